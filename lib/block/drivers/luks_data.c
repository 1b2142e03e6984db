/* SPDX-License-Identifier: MIT */
/*
 * Data through a cipher, by way of a buffer: a caller's memory may be a guest's, which must see no
 * cipher text and whose changes while it is written must not reach the disk half encrypted. Whole
 * sectors of a vector are worked on where they lie, others are put together in the buffer.
 */
#include "block/drivers/luks_priv.h"

#include <errno.h>
#include <stdlib.h>

enum { PIECE = 256 << 10 }; /* stays in the cache between disk and cipher */

typedef struct { /* a place in a vector */
    const struct iovec *iov;
    int left;
    size_t in;
} Place;

/* The bytes that lie in a row there. */
static size_t in_row(Place *p)
{
    while (p->left && p->in == p->iov->iov_len) {
        p->iov++;
        p->left--;
        p->in = 0;
    }
    return p->left ? p->iov->iov_len - p->in : 0;
}

static uint8_t *here(const Place *p)
{
    return (uint8_t *)p->iov->iov_base + p->in;
}

static void copy_sector(Place *p, uint8_t *sector, bool out)
{
    for (size_t done = 0, n; done < CRYPTO_SECTOR; done += n) {
        n = MIN(in_row(p), CRYPTO_SECTOR - done);
        if (!n)
            return;
        memcpy(out ? here(p) : sector + done, out ? sector + done : here(p), n);
        p->in += n;
    }
}

/* Between the vector at p and buf. */
static int transform(CryptoCipher *cipher, uint64_t sector, Place *p, uint8_t *buf, size_t bytes,
                     bool encrypt)
{
    int r = 0;

    for (size_t at = 0, n; !r && at < bytes; at += n) {
        n = MIN(in_row(p), bytes - at) & ~(size_t)(CRYPTO_SECTOR - 1);
        if (n) {
            r = encrypt ? crypto_encrypt(cipher, sector + at / CRYPTO_SECTOR, buf + at, here(p), n)
                        : crypto_decrypt(cipher, sector + at / CRYPTO_SECTOR, here(p), buf + at, n);
            p->in += n;
            continue;
        }
        n = CRYPTO_SECTOR;
        if (encrypt) {
            copy_sector(p, buf + at, false);
            r = crypto_encrypt(cipher, sector + at / CRYPTO_SECTOR, buf + at, buf + at, n);
        } else {
            r = crypto_decrypt(cipher, sector + at / CRYPTO_SECTOR, buf + at, buf + at, n);
            copy_sector(p, buf + at, true);
        }
    }
    return r;
}

int luks_read(BlockUser *file, CryptoCipher *cipher, uint64_t host, uint64_t sector, uint64_t bytes,
              const struct iovec *iov, int iovcnt)
{
    Place p = { iov, iovcnt, 0 };
    void *buf;

    if (!cipher)
        return -EPERM;
    if (posix_memalign(&buf, 4096, MIN(bytes, PIECE)))
        return -ENOMEM;
    int r = 0;
    for (uint64_t at = 0, n; !r && at < bytes; at += n) {
        n = MIN(bytes - at, PIECE);
        r = block_read(file, host + at, buf, n);
        if (!r)
            r = transform(cipher, sector + at / CRYPTO_SECTOR, &p, buf, n, false);
    }
    free(buf);
    return r;
}

int luks_write(BlockUser *file, CryptoCipher *cipher, uint64_t host, uint64_t sector,
               uint64_t bytes, const struct iovec *iov, int iovcnt, unsigned flags)
{
    Place p = { iov, iovcnt, 0 };
    void *buf;

    if (!cipher)
        return -EPERM;
    if (posix_memalign(&buf, 4096, MIN(bytes, PIECE)))
        return -ENOMEM;
    int r = 0;
    for (uint64_t at = 0, n; !r && at < bytes; at += n) {
        n = MIN(bytes - at, PIECE);
        r = transform(cipher, sector + at / CRYPTO_SECTOR, &p, buf, n, true);
        if (!r)
            r = block_write(file, host + at, buf, n, flags);
    }
    free(buf);
    return r;
}
