/* SPDX-License-Identifier: MIT */
/* For both fuzz targets: bytes into the places that an end names. */
#pragma once

#include "nbd/nbd.h"

#include <stdlib.h>
#include <string.h>

/* How many of len bytes went there, at least 1: an end that wants bytes has room for some. */
static inline size_t fuzz_feed(const uint8_t *data, size_t len, const struct iovec *iov, int count)
{
    size_t n = 0;
    for (int i = 0; i < count; i++) {
        size_t part = MIN(iov[i].iov_len, len - n);
        memcpy(iov[i].iov_base, data + n, part);
        n += part;
    }
    if (!n)
        abort();
    return n;
}
