/* SPDX-License-Identifier: MIT */
/*
 * What comes back for requests. Nothing is handed on that does not lie within a request that waits
 * for it; the lengths of all but data are bounded and read whole.
 */
#include "nbd/client_priv.h"

#include "base/bytes.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

size_t nbd_client_put_request(const NbdClient *c, const NbdRequest *r, uint8_t out[NBD_HEAD_ROOM])
{
    uint16_t flags = r->flags;
    if (c->extended && r->command == NBD_CMD_WRITE)
        flags |= NBD_CMD_FLAG_PAYLOAD_LEN;
    st_be32(out, c->extended ? (uint32_t)NBD_EXTENDED_REQUEST_MAGIC : (uint32_t)NBD_REQUEST_MAGIC);
    st_be16(out + 4, flags);
    st_be16(out + 6, r->command);
    st_be64(out + 8, r->cookie);
    st_be64(out + 16, r->offset);
    if (!c->extended) {
        st_be32(out + 24, (uint32_t)r->length);
        return NBD_REQUEST_HEAD;
    }
    st_be64(out + 24, r->length);
    return NBD_EXTENDED_REQUEST_HEAD;
}

void nbd_client_payload(NbdClient *c, void *to, uint64_t len)
{
    len = MIN(len, c->payload);
    c->payload -= len;
    nbd_input_payload(&c->in, to, len);
    c->data = true;
}

static NbdEvent stranger(NbdClient *c, uint64_t cookie)
{
    return nbd_client_break(c, "an answer to request %" PRIu64 ", which is none of ours", cookie);
}

static NbdEvent lie(NbdClient *c, const NbdRequest *r, const char *what)
{
    return nbd_client_break(c, "the answer to a %s at %" PRIu64 " %s", nbd_command_name(r->command),
                            r->offset, what);
}

/* ---- Simple replies -------------------------------------------------------- */

static NbdEvent take_simple(NbdClient *c, NbdFind find, void *opaque, NbdReply *reply)
{
    const uint8_t *p = nbd_input_take(&c->in, NBD_SIMPLE_HEAD);
    if (!p)
        return NBD_NEED;
    uint32_t error = ld_be32(p + 4);
    *reply = (NbdReply){ .kind = NBD_REPLY_END, .cookie = ld_be64(p + 8), .last = true };
    const NbdRequest *r = find(opaque, reply->cookie);
    if (!r)
        return stranger(c, reply->cookie);
    if (error) {
        reply->kind = NBD_REPLY_ERROR;
        reply->err = nbd_errno_of(error);
    } else if (r->command == NBD_CMD_READ || r->command == NBD_CMD_BLOCK_STATUS) {
        if (c->structured || r->command == NBD_CMD_BLOCK_STATUS)
            return lie(c, r, "is a simple one");
        reply->kind = NBD_REPLY_DATA;
        reply->offset = r->offset;
        reply->length = c->payload = r->length;
    }
    return NBD_REPLY;
}

/* ---- Chunks ---------------------------------------------------------------- */

typedef struct {
    uint16_t flags, type;
    uint64_t cookie, len;
    size_t head;
} Chunk;

static bool within(const NbdRequest *r, uint64_t offset, uint64_t len)
{
    return len && offset >= r->offset && offset - r->offset <= r->length &&
           len <= r->length - (offset - r->offset);
}

static NbdEvent take_data(NbdClient *c, const Chunk *k, const NbdRequest *r, NbdReply *reply)
{
    const uint8_t *p = nbd_input_take(&c->in, k->head + 8);
    if (!p)
        return NBD_NEED;
    reply->kind = NBD_REPLY_DATA;
    reply->offset = ld_be64(p + k->head);
    reply->length = k->len - 8;
    if (r->command != NBD_CMD_READ || !within(r, reply->offset, reply->length))
        return lie(c, r, "has data that does not lie in it");
    c->payload = reply->length;
    return NBD_REPLY;
}

static NbdEvent take_hole(NbdClient *c, const uint8_t *p, const NbdRequest *r, NbdReply *reply)
{
    reply->kind = NBD_REPLY_HOLE;
    reply->offset = ld_be64(p);
    reply->length = ld_be32(p + 8);
    if (r->command != NBD_CMD_READ || !within(r, reply->offset, reply->length))
        return lie(c, r, "has a hole that does not lie in it");
    return NBD_REPLY;
}

static NbdEvent take_status(NbdClient *c, const Chunk *k, const uint8_t *p, const NbdRequest *r,
                            NbdReply *reply)
{
    bool wide = k->type == NBD_CHUNK_STATUS_EXT;
    unsigned size = wide ? 16 : 8, head = wide ? 8 : 4;
    uint64_t n = (k->len - head) / size, sum = 0;
    if (r->command != NBD_CMD_BLOCK_STATUS || wide != c->extended || (k->len - head) % size || !n ||
        (wide && ld_be32(p + 4) != n))
        return lie(c, r, "has extents that make no sense");
    g_array_set_size(c->extents, 0);
    for (const uint8_t *e = p + head; n; n--, e += size) {
        NbdExtent x = { wide ? ld_be64(e) : ld_be32(e), wide ? ld_be64(e + 8) : ld_be32(e + 4) };
        /* the last may go beyond what was asked, up to any size that a disk can have */
        if (!x.length || sum >= r->length || x.length > (uint64_t)INT64_MAX - sum)
            return lie(c, r, "has extents of wrong lengths");
        sum += x.length;
        g_array_append_val(c->extents, x);
    }
    reply->kind = NBD_REPLY_EXTENTS;
    reply->context = ld_be32(p);
    reply->extents = (const NbdExtent *)(void *)c->extents->data;
    reply->n_extents = c->extents->len;
    return NBD_REPLY;
}

static NbdEvent take_error(NbdClient *c, const Chunk *k, const uint8_t *p, const NbdRequest *r,
                           NbdReply *reply)
{
    uint32_t error = ld_be32(p);
    uint64_t text = ld_be16(p + 4), behind = k->type == NBD_CHUNK_ERROR_OFFSET ? 8 : 0;
    bool known = k->type == NBD_CHUNK_ERROR || behind;
    if (!error || (known && k->len != 6 + text + behind))
        return lie(c, r, "is an error that makes no sense");
    reply->kind = NBD_REPLY_ERROR;
    reply->err = nbd_errno_of(error);
    g_free(c->message);
    c->message = known && text ? g_utf8_make_valid((const char *)p + 6, (gssize)text) : NULL;
    reply->message = c->message;
    return NBD_REPLY;
}

/* How long a chunk's body may be, and has to be at least. */
static bool fits(const Chunk *k)
{
    switch (k->type) {
    case NBD_CHUNK_NONE:
        return !k->len && k->flags & NBD_CHUNK_DONE;
    case NBD_CHUNK_DATA:
        return k->len > 8 && k->len <= 8 + (uint64_t)NBD_MAX_PAYLOAD;
    case NBD_CHUNK_HOLE:
        return k->len == 12;
    case NBD_CHUNK_STATUS:
        return k->len >= 12 && k->len <= 4 + UINT64_C(8) * NBD_MAX_EXTENTS;
    case NBD_CHUNK_STATUS_EXT:
        return k->len >= 24 && k->len <= 8 + UINT64_C(16) * NBD_MAX_EXTENTS;
    default:
        return k->type & 0x8000 && k->len >= 6 && k->len <= 6 + 8 + (uint64_t)NBD_MAX_STRING;
    }
}

static NbdEvent take_body(NbdClient *c, const Chunk *k, const NbdRequest *r, NbdReply *reply)
{
    size_t whole = k->head + (size_t)k->len;
    const uint8_t *p = nbd_input_take(&c->in, whole);
    if (!p) {
        nbd_input_reserve(&c->in, whole);
        return NBD_NEED;
    }
    p += k->head;
    switch (k->type) {
    case NBD_CHUNK_NONE:
        reply->kind = NBD_REPLY_END;
        return NBD_REPLY;
    case NBD_CHUNK_HOLE:
        return take_hole(c, p, r, reply);
    case NBD_CHUNK_STATUS:
    case NBD_CHUNK_STATUS_EXT:
        return take_status(c, k, p, r, reply);
    default:
        return take_error(c, k, p, r, reply);
    }
}

static NbdEvent take_chunk(NbdClient *c, NbdFind find, void *opaque, NbdReply *reply)
{
    Chunk k = { .head = c->extended ? NBD_EXTENDED_HEAD : NBD_STRUCTURED_HEAD };
    const uint8_t *p = nbd_input_peek(&c->in, k.head);
    if (!p)
        return NBD_NEED;
    k.flags = ld_be16(p + 4);
    k.type = ld_be16(p + 6);
    k.cookie = ld_be64(p + 8);
    k.len = c->extended ? ld_be64(p + 24) : ld_be32(p + 16);
    const NbdRequest *r = find(opaque, k.cookie);
    if (!r)
        return stranger(c, k.cookie);
    if (!fits(&k))
        return lie(c, r, "is of no kind that there is");
    *reply = (NbdReply){ .cookie = k.cookie, .last = k.flags & NBD_CHUNK_DONE };
    return k.type == NBD_CHUNK_DATA ? take_data(c, &k, r, reply) : take_body(c, &k, r, reply);
}

NbdEvent nbd_client_answer(NbdClient *c, NbdFind find, void *opaque, NbdReply *reply)
{
    if (c->data) {
        if (!nbd_input_filled(&c->in))
            return NBD_NEED;
        c->data = false;
        return NBD_PAYLOAD;
    }
    if (c->payload) /* the caller did not say where: nowhere */
        nbd_client_payload(c, NULL, c->payload);
    const uint8_t *p = nbd_input_peek(&c->in, 4);
    if (!p)
        return NBD_NEED;
    uint32_t magic = ld_be32(p);
    if (magic == NBD_SIMPLE_REPLY_MAGIC && !c->extended)
        return take_simple(c, find, opaque, reply);
    if (c->structured && magic == (c->extended ? (uint32_t)NBD_EXTENDED_REPLY_MAGIC
                                               : (uint32_t)NBD_STRUCTURED_REPLY_MAGIC))
        return take_chunk(c, find, opaque, reply);
    return nbd_client_break(c, "an answer begins with 0x%08" PRIx32, magic);
}
