/* SPDX-License-Identifier: MIT */
/* Any bytes from a server: the client's end neither fails nor waits for ever, and hands on nothing
 * that does not lie in a request. */
#include "nbd/fuzz_feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const NbdRequest asked[] = {
    { .command = NBD_CMD_READ, .cookie = 0, .offset = 1000, .length = 3000 },
    { .command = NBD_CMD_BLOCK_STATUS, .cookie = 1, .offset = 512, .length = 1 << 30 },
    { .command = NBD_CMD_WRITE, .cookie = 2, .offset = 0, .length = 512 },
};

static const NbdRequest *find(void *opaque, uint64_t cookie)
{
    return cookie < G_N_ELEMENTS(asked) ? &asked[cookie] : NULL;
}

static void look(NbdClient *c, const NbdReply *reply, uint8_t *buf)
{
    const NbdRequest *r = &asked[reply->cookie];
    uint64_t sum = 0;
    if (reply->kind == NBD_REPLY_DATA || reply->kind == NBD_REPLY_HOLE) {
        if (reply->offset < r->offset || reply->length > r->length ||
            reply->offset - r->offset > r->length - reply->length)
            abort();
        if (reply->kind == NBD_REPLY_DATA)
            nbd_client_payload(c, buf, reply->length / 2 + 1);
    }
    for (unsigned i = 0; i < reply->n_extents; i++)
        sum += reply->extents[i].length;
    if (sum > INT64_MAX)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const contexts[] = { NBD_CONTEXT_ALLOCATION, NULL };
    if (size < 2)
        return 0;
    size_t piece = 1 + data[0] * (size_t)17, at = 2;
    NbdWanted wanted = { .name = data[1] & 1 ? "e" : "", .list = data[1] & 2, .tls = data[1] & 4,
                         .simple = data[1] & 8, .extended = data[1] & 16, .contexts = contexts };
    NbdClient *c = nbd_client_new(&wanted);
    uint8_t *buf = malloc(3000);
    for (;;) {
        struct iovec iov[2];
        NbdReply reply;
        NbdEvent event = nbd_client_next(c, find, NULL, &reply);
        size_t out;
        nbd_client_output(c, &out);
        nbd_client_sent(c);
        if (event == NBD_REPLY) {
            look(c, &reply, buf);
        } else if (event == NBD_START_TLS) {
            nbd_client_secured(c);
        } else if (event == NBD_END || event == NBD_BROKEN) {
            break;
        } else if (event == NBD_NEED && !out) {
            size_t left = MIN(piece, size - at);
            if (!left)
                break;
            int count = nbd_client_buffers(c, iov);
            size_t n = fuzz_feed(data + at, left, iov, count);
            at += n;
            nbd_client_advance(c, n);
        }
    }
    for (unsigned i = 0; nbd_client_listed(c, i); i++)
        if (!nbd_client_listed(c, i)->name)
            abort();
    nbd_client_free(c);
    free(buf);
    return 0;
}
