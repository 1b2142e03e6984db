/* SPDX-License-Identifier: MIT */
/*
 * The server's end: its life, and the requests once the handshake (handshake.c) is over. A
 * request's payload is announced with it; the caller may throw it away, and a peer that announces
 * more than anyone could send is cut off.
 */
#include "nbd/server_priv.h"

#include "base/bytes.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define MAX_SKIPPED (UINT64_C(1) << 30) /* of a payload that nobody wants */

NbdServer *nbd_server_new(const NbdOffer *offer, NbdTls tls)
{
    NbdServer *s = g_new0(NbdServer, 1);
    s->offer = *offer;
    s->tls = tls;
    s->out = g_byte_array_new();
    nbd_input_init(&s->in);
    nbd_server_greet(s);
    return s;
}

void nbd_server_free(NbdServer *s)
{
    if (!s)
        return;
    nbd_input_clear(&s->in);
    g_byte_array_unref(s->out);
    g_free(s->error);
    g_free(s);
}

int nbd_server_buffers(NbdServer *s, struct iovec iov[2])
{
    return nbd_input_buffers(&s->in, iov);
}

void nbd_server_advance(NbdServer *s, size_t got)
{
    nbd_input_advance(&s->in, got);
}

const uint8_t *nbd_server_output(const NbdServer *s, size_t *len)
{
    *len = s->out->len;
    return s->out->data;
}

void nbd_server_sent(NbdServer *s)
{
    g_byte_array_set_size(s->out, 0);
}

const NbdExport *nbd_server_export(const NbdServer *s)
{
    return s->chosen;
}

bool nbd_server_structured(const NbdServer *s)
{
    return s->structured;
}

const char *nbd_server_error(const NbdServer *s)
{
    return s->error ? s->error : "nothing";
}

int nbd_server_context(const NbdServer *s, unsigned i)
{
    return i < s->n_contexts ? s->contexts[i] : -1;
}

void nbd_server_payload(NbdServer *s, void *to)
{
    nbd_input_payload(&s->in, to, s->payload);
}

static size_t head_size(const NbdServer *s)
{
    return s->extended ? NBD_EXTENDED_REQUEST_HEAD : NBD_REQUEST_HEAD;
}

const uint8_t *nbd_server_payload_here(NbdServer *s, size_t *len)
{
    return nbd_input_pass(&s->in, s->payload, head_size(s), len);
}

uint64_t nbd_server_payload_left(const NbdServer *s)
{
    return s->in.left;
}

void nbd_server_passed(NbdServer *s, uint64_t bytes)
{
    s->in.left -= bytes;
}

void nbd_server_payload_rest(NbdServer *s)
{
    nbd_input_payload(&s->in, NULL, s->in.left);
}

NbdEvent nbd_server_break(NbdServer *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    g_free(s->error);
    s->error = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    s->state = SERVER_BROKEN;
    return NBD_BROKEN;
}

/* ---- Requests -------------------------------------------------------------- */

static NbdEvent take_request(NbdServer *s, NbdRequest *r)
{
    const uint8_t *p = nbd_input_take(&s->in, head_size(s));
    if (!p)
        return NBD_NEED;
    uint32_t magic = ld_be32(p);
    if (magic != (s->extended ? (uint32_t)NBD_EXTENDED_REQUEST_MAGIC : (uint32_t)NBD_REQUEST_MAGIC))
        return nbd_server_break(s, "a request begins with 0x%08" PRIx32, magic);
    *r = (NbdRequest){ .flags = ld_be16(p + 4), .command = ld_be16(p + 6), .cookie = ld_be64(p + 8),
                       .offset = ld_be64(p + 16), .length = s->extended ? ld_be64(p + 24) : ld_be32(p + 24) };
    if (r->command == NBD_CMD_DISC) {
        s->state = SERVER_ENDED;
        return NBD_END;
    }
    bool payload = s->extended ? r->flags & NBD_CMD_FLAG_PAYLOAD_LEN : r->command == NBD_CMD_WRITE;
    if (payload) {
        if (r->length > MAX_SKIPPED)
            return nbd_server_break(s, "a request announces %" PRIu64 " bytes of data", r->length);
        s->payload = r->length;
        s->state = SERVER_PAYLOAD;
        nbd_input_payload(&s->in, NULL, 0);
        s->in.left = r->length; /* until the caller says where it goes, nothing is taken */
    } else {
        s->in.head = 0;
    }
    return NBD_REQUEST;
}

NbdEvent nbd_server_next(NbdServer *s, NbdRequest *request)
{
    for (;;) {
        NbdEvent event = NBD_NEED;
        switch (s->state) {
        case SERVER_REQUESTS:
            return take_request(s, request);
        case SERVER_PAYLOAD:
            if (!nbd_input_filled(&s->in))
                return NBD_NEED;
            s->state = SERVER_REQUESTS;
            return NBD_PAYLOAD;
        case SERVER_ENDED:
            return NBD_END;
        case SERVER_BROKEN:
            return NBD_BROKEN;
        case SERVER_TLS:
            return NBD_NEED; /* of the caller: nbd_server_secured */
        default:
            if (!nbd_server_shake(s, &event))
                return event;
        }
    }
}

bool nbd_server_has_more(const NbdServer *s)
{
    if (s->state == SERVER_PAYLOAD)
        return !s->in.left || (!s->in.to && nbd_input_len(&s->in));
    return nbd_input_len(&s->in) >= NBD_REQUEST_HEAD;
}

/* ---- Whether they make sense ----------------------------------------------- */

static int check_flags(const NbdServer *s, const NbdRequest *r, const char **why)
{
    uint16_t flags = r->flags, may = s->chosen->flags;
    uint16_t known = may & NBD_FLAG_SEND_FUA ? NBD_CMD_FLAG_FUA : 0;
    switch (r->command) {
    case NBD_CMD_READ:
        known |= s->structured ? NBD_CMD_FLAG_DF : 0;
        break;
    case NBD_CMD_WRITE:
        if (s->extended && !(flags & NBD_CMD_FLAG_PAYLOAD_LEN)) {
            *why = "a write without its payload";
            return EINVAL;
        }
        known |= s->extended ? NBD_CMD_FLAG_PAYLOAD_LEN : 0;
        break;
    case NBD_CMD_WRITE_ZEROES:
        known |= NBD_CMD_FLAG_NO_HOLE |
                 (may & NBD_FLAG_SEND_FAST_ZERO ? NBD_CMD_FLAG_FAST_ZERO : 0);
        break;
    case NBD_CMD_BLOCK_STATUS:
        known |= NBD_CMD_FLAG_REQ_ONE;
        break;
    default:
        break;
    }
    *why = "unknown flags";
    return flags & ~known ? EINVAL : 0;
}

static int check_range(const NbdServer *s, const NbdRequest *r, const char **why)
{
    uint64_t size = s->chosen->size;
    if (r->offset > size || r->length > size - r->offset) {
        *why = "beyond the end of the export";
        return r->command == NBD_CMD_WRITE || r->command == NBD_CMD_WRITE_ZEROES ? ENOSPC : EINVAL;
    }
    if ((r->command == NBD_CMD_READ || r->command == NBD_CMD_WRITE) &&
        r->length > NBD_MAX_PAYLOAD) {
        *why = "longer than the 32 MiB that one request may have";
        return EINVAL;
    }
    if (s->chosen->minimum > 1 && ((r->offset | r->length) & (s->chosen->minimum - 1))) {
        *why = "not aligned to the minimum block size";
        return EINVAL;
    }
    return 0;
}

int nbd_server_check(const NbdServer *s, const NbdRequest *r, const char **why)
{
    static const struct {
        uint16_t needs; /* a transmission flag */
        bool writes;
    } kinds[] = {
        [NBD_CMD_READ] = { 0, false },
        [NBD_CMD_WRITE] = { 0, true },
        [NBD_CMD_FLUSH] = { NBD_FLAG_SEND_FLUSH, false },
        [NBD_CMD_TRIM] = { NBD_FLAG_SEND_TRIM, true },
        [NBD_CMD_CACHE] = { NBD_FLAG_SEND_CACHE, false },
        [NBD_CMD_WRITE_ZEROES] = { NBD_FLAG_SEND_WRITE_ZEROES, true },
        [NBD_CMD_BLOCK_STATUS] = { 0, false },
    };
    *why = "no such command";
    if (r->command >= G_N_ELEMENTS(kinds) || r->command == NBD_CMD_DISC)
        return EINVAL;
    if (kinds[r->command].writes && s->chosen->flags & NBD_FLAG_READ_ONLY) {
        *why = "the export is read-only";
        return EPERM;
    }
    if (kinds[r->command].needs & ~s->chosen->flags)
        return EINVAL;
    int err = check_flags(s, r, why);
    if (err)
        return err;
    if (r->command == NBD_CMD_FLUSH) {
        *why = "a flush has no range";
        return r->offset || r->length ? EINVAL : 0;
    }
    if (r->command == NBD_CMD_BLOCK_STATUS && (!s->n_contexts || !r->length)) {
        *why = s->n_contexts ? "a length of 0" : "no metadata context was set";
        return EINVAL;
    }
    err = check_range(s, r, why);
    if (!err)
        *why = NULL;
    return err;
}
