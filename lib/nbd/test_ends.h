/* SPDX-License-Identifier: MIT */
/*
 * Both ends against each other in memory: bytes go over in pieces of random lengths, a disk of some
 * MiB answers. For the tests and for the fuzz targets' seeds.
 */
#pragma once

#include "nbd/nbd.h"

#include <string.h>

/* Moves what `from` has to say into `to`, at most `piece` bytes a time; false: nothing went. */
#define PUMP(from, to, queue)                                                                      \
    do {                                                                                           \
        size_t len_;                                                                               \
        const uint8_t *p_ = nbd_##from##_output(from, &len_);                                      \
        g_byte_array_append(queue, p_, (guint)len_);                                               \
        nbd_##from##_sent(from);                                                                   \
    } while (0)

static inline size_t feed(GByteArray *queue, size_t piece, struct iovec *iov, int n)
{
    size_t total = 0;
    for (int i = 0; i < n; i++) {
        size_t len = MIN(MIN(iov[i].iov_len, piece - total), queue->len - total);
        if (len)
            memcpy(iov[i].iov_base, queue->data + total, len);
        total += len;
    }
    g_byte_array_remove_range(queue, 0, (guint)total);
    return total;
}
