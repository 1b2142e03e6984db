/* SPDX-License-Identifier: MIT */
/* Any bytes from a client, in pieces of any length: the server's end neither fails nor waits for
 * ever, and takes no request that does not lie in the export. */
#include "nbd/fuzz_feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const contexts[] = { NBD_CONTEXT_ALLOCATION, NBD_CONTEXT_DEPTH, NULL };
static const NbdExport export = { .name = "", .description = "d", .size = 1 << 20, .preferred = 4096,
                                  .minimum = 1, .maximum = NBD_MAX_PAYLOAD, .contexts = contexts,
                                  .flags = NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_TRIM |
                                           NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_SEND_FUA };

static const NbdExport *nth(void *opaque, unsigned i)
{
    return i ? NULL : &export;
}

static const NbdExport *find(void *opaque, const char *name)
{
    return *name ? NULL : &export;
}

/* Some payloads go by another way. */
static bool passes(const NbdRequest *r)
{
    return r->cookie & 1;
}

static void serve(NbdServer *s, const NbdRequest *r, uint8_t *disk)
{
    size_t here;
    uint8_t head[NBD_HEAD_ROOM + 256];
    const char *why;
    int err = nbd_server_check(s, r, &why);
    if (!err && r->command != NBD_CMD_FLUSH && r->command != NBD_CMD_BLOCK_STATUS &&
        (r->offset > export.size || r->length > export.size - r->offset))
        abort();
    if (!err && r->command == NBD_CMD_WRITE && passes(r)) {
        const uint8_t *p = nbd_server_payload_here(s, &here);
        if (here + nbd_server_payload_left(s) != r->length)
            abort();
        memcpy(disk + r->offset, p, here);
        if (r->cookie & 2)
            nbd_server_payload_rest(s);
    } else if (!err && r->command == NBD_CMD_WRITE) {
        nbd_server_payload(s, disk + r->offset);
    }
    if (nbd_server_put_end(s, r, err, why, head) > sizeof head)
        abort();
    if (!err && r->command == NBD_CMD_BLOCK_STATUS) {
        g_autoptr(GByteArray) out = g_byte_array_new();
        NbdExtent x = { r->length, 0 };
        for (unsigned i = 0; nbd_server_context(s, i) >= 0; i++)
            nbd_server_put_extents(s, r, i, &x, 1, false, out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t piece = 1 + data[0] * (size_t)17;
    NbdServer *s = nbd_server_new(&(NbdOffer){ .nth = nth, .find = find }, data[1] % 3);
    uint8_t *disk = calloc(1, export.size);
    size_t at = 2;
    bool passing = false;
    for (;;) {
        struct iovec iov[2];
        NbdRequest r;
        NbdEvent event = nbd_server_next(s, &r);
        size_t out;
        nbd_server_output(s, &out);
        nbd_server_sent(s);
        if (event == NBD_REQUEST) {
            const char *why;
            serve(s, &r, disk);
            passing = r.command == NBD_CMD_WRITE && passes(&r) && !(r.cookie & 2) &&
                      !nbd_server_check(s, &r, &why);
        } else if (event == NBD_PAYLOAD) {
            passing = false;
        } else if (event == NBD_NEED && passing) {
            size_t n = MIN(MIN(piece, size - at), nbd_server_payload_left(s));
            if (!n)
                break;
            at += n;
            nbd_server_passed(s, n);
        } else if (event == NBD_START_TLS) {
            nbd_server_secured(s);
        } else if (event == NBD_END || event == NBD_BROKEN) {
            break;
        } else if (event == NBD_NEED && !out) {
            size_t left = MIN(piece, size - at);
            if (!left)
                break;
            int count = nbd_server_buffers(s, iov);
            size_t n = fuzz_feed(data + at, left, iov, count);
            at += n;
            nbd_server_advance(s, n);
        }
    }
    nbd_server_free(s);
    free(disk);
    return 0;
}
