/* SPDX-License-Identifier: MIT */
/*
 * Bytes that came in. Small messages are read many at a time into a buffer and payloads copied out
 * of it; a large payload is read right to its place, with little behind it, so that hardly any of
 * the next large one has to be copied.
 */
#include "nbd/nbd_priv.h"

#include <string.h>

enum { SMALL_READ = 4 << 10, LARGE_PAYLOAD = 32 << 10 };

void nbd_input_init(NbdInput *in)
{
    *in = (NbdInput){ .buf = g_malloc(NBD_INPUT), .size = NBD_INPUT };
}

void nbd_input_clear(NbdInput *in)
{
    g_clear_pointer(&in->buf, g_free);
}

int nbd_input_buffers(NbdInput *in, struct iovec iov[2])
{
    int n = 0;
    if (in->start == in->end) {
        in->start = in->end = 0;
        if (in->size > NBD_INPUT) {
            in->size = NBD_INPUT;
            in->buf = g_realloc(in->buf, in->size);
        }
    } else if (in->start) {
        memmove(in->buf, in->buf + in->start, nbd_input_len(in));
        in->end -= in->start;
        in->start = 0;
    }
    if (in->left && in->to)
        iov[n++] = (struct iovec){ in->to, (size_t)MIN(in->left, SSIZE_MAX / 2) };
    size_t room = in->size - in->end;
    if (in->size > NBD_INPUT)
        room = MIN(room, NBD_INPUT);
    else if (in->large && !(in->left && !in->to))
        room = MIN(room, in->head > in->end ? in->head - in->end : SMALL_READ);
    if (room)
        iov[n++] = (struct iovec){ in->buf + in->end, room };
    return n;
}

void nbd_input_advance(NbdInput *in, size_t got)
{
    if (in->left && in->to) {
        size_t n = (size_t)MIN(in->left, got);
        in->to += n;
        in->left -= n;
        got -= n;
    }
    in->end += got;
}

void nbd_input_reserve(NbdInput *in, size_t n)
{
    if (n > in->size - in->start) {
        in->size = MAX(n, NBD_INPUT) + in->start;
        in->buf = g_realloc(in->buf, in->size);
    }
}

const uint8_t *nbd_input_peek(const NbdInput *in, size_t n)
{
    return nbd_input_len(in) < n ? NULL : in->buf + in->start;
}

const uint8_t *nbd_input_take(NbdInput *in, size_t n)
{
    const uint8_t *p = nbd_input_peek(in, n);
    if (p)
        in->start += n;
    return p;
}

void nbd_input_payload(NbdInput *in, void *to, uint64_t len)
{
    in->large = len >= LARGE_PAYLOAD;
    in->head = 0;
    in->to = to;
    in->left = len;
    size_t n = (size_t)MIN(len, nbd_input_len(in));
    if (to && n) {
        memcpy(to, in->buf + in->start, n);
        in->to += n;
    }
    in->start += n;
    in->left -= n;
}

const uint8_t *nbd_input_pass(NbdInput *in, uint64_t len, size_t head, size_t *here)
{
    const uint8_t *p = in->buf + in->start;
    *here = (size_t)MIN(len, nbd_input_len(in));
    nbd_input_payload(in, NULL, len);
    in->head = head;
    return p;
}

bool nbd_input_filled(NbdInput *in)
{
    if (in->left && !in->to) {
        size_t n = (size_t)MIN(in->left, nbd_input_len(in));
        in->start += n;
        in->left -= n;
    }
    return !in->left;
}
