/* SPDX-License-Identifier: MIT */
/* A run of bytes in pieces: taken and put once, from the front. */
#include "fuse/fuse_priv.h"

#include <string.h>

size_t fuse_pieces_size(const struct iovec *iov, int n)
{
    size_t size = 0;
    for (int i = 0; i < n; i++)
        size = iov[i].iov_len > SIZE_MAX / 2 - size ? SIZE_MAX / 2 : size + iov[i].iov_len;
    return size;
}

/* The next bytes that lie in one piece; 0: there are none. */
static size_t next(FusePieces *p, size_t size, uint8_t **bytes)
{
    while (p->n && p->at == p->iov->iov_len) {
        p->iov++;
        p->n--;
        p->at = 0;
    }
    if (!p->n || !size)
        return 0;
    size_t n = MIN(size, p->iov->iov_len - p->at);
    *bytes = (uint8_t *)p->iov->iov_base + p->at;
    p->at += n;
    return n;
}

size_t fuse_pieces_take(FusePieces *p, void *to, size_t size)
{
    uint8_t *bytes;
    size_t done = 0;
    for (size_t n; (n = next(p, size - done, &bytes)) != 0; done += n)
        memcpy((uint8_t *)to + done, bytes, n);
    return done;
}

size_t fuse_pieces_put(FusePieces *p, const void *from, size_t size)
{
    uint8_t *bytes;
    size_t done = 0;
    for (size_t n; (n = next(p, size - done, &bytes)) != 0; done += n)
        memcpy(bytes, (const uint8_t *)from + done, n);
    return done;
}

int fuse_pieces_slice(FusePieces *p, struct iovec *iov, int max, size_t size, size_t *bytes)
{
    uint8_t *piece;
    size_t n;
    int made = 0;
    for (*bytes = 0; made < max && (n = next(p, size - *bytes, &piece)) != 0; *bytes += n)
        iov[made++] = (struct iovec){ piece, n };
    return made;
}
