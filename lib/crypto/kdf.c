/* SPDX-License-Identifier: MIT */
/* Hashes, PBKDF2 (RFC 2898 section 5.2) and how fast this machine is at it, random bytes. */
#include "crypto/crypto.h"

#include "base/error.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string.h>
#include <time.h>

const char *const crypto_hash_names[] = { "sha1", "sha224", "sha256", "sha384", "sha512", NULL };

static const struct {
    gnutls_digest_algorithm_t digest;
    gnutls_mac_algorithm_t mac;
    size_t size;
} hashes[] = {
    [CRYPTO_SHA1] = { GNUTLS_DIG_SHA1, GNUTLS_MAC_SHA1, 20 },
    [CRYPTO_SHA224] = { GNUTLS_DIG_SHA224, GNUTLS_MAC_SHA224, 28 },
    [CRYPTO_SHA256] = { GNUTLS_DIG_SHA256, GNUTLS_MAC_SHA256, 32 },
    [CRYPTO_SHA384] = { GNUTLS_DIG_SHA384, GNUTLS_MAC_SHA384, 48 },
    [CRYPTO_SHA512] = { GNUTLS_DIG_SHA512, GNUTLS_MAC_SHA512, 64 },
};

void crypto_wipe(void *p, size_t len)
{
    explicit_bzero(p, len);
}

size_t crypto_hash_size(CryptoHash hash)
{
    return hashes[hash].size;
}

bool crypto_hash(CryptoHash hash, const void *in, size_t len, uint8_t *out, GError **error)
{
    int r = gnutls_hash_fast(hashes[hash].digest, in, len, out);

    return !r || fail(error, "hash %s: %s", crypto_hash_names[hash], gnutls_strerror(r));
}

bool crypto_pbkdf2(CryptoHash hash, const void *password, size_t len, const uint8_t *salt, size_t salt_len,
                   uint32_t iterations, uint8_t *out, size_t out_len, GError **error)
{
    gnutls_datum_t key = { (unsigned char *)(uintptr_t)password, (unsigned)len };
    gnutls_datum_t with = { (unsigned char *)(uintptr_t)salt, (unsigned)salt_len };
    int r = gnutls_pbkdf2(hashes[hash].mac, &key, &with, iterations, out, out_len);

    return !r || fail(error, "PBKDF2 with %s: %s", crypto_hash_names[hash], gnutls_strerror(r));
}

static uint64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

bool crypto_pbkdf2_rate(CryptoHash hash, size_t out_len, uint64_t *per_second, GError **error)
{
    uint8_t out[CRYPTO_MAX_KEY], salt[32] = { 0 };
    uint64_t best = 0;

    /* long enough to be told from the clock's grain */
    for (uint32_t n = 1 << 12; n <= UINT32_C(1) << 24; n *= 2) {
        uint64_t begin = cpu_ns();
        if (!crypto_pbkdf2(hash, "password", 8, salt, sizeof salt, n, out, MIN(out_len, sizeof out), error))
            return false;
        uint64_t took = MAX(cpu_ns() - begin, 1);
        best = (uint64_t)((double)n * 1e9 / (double)took);
        if (took >= 40000000)
            break;
    }
    *per_second = MAX(best, 1);
    return true;
}

bool crypto_random(void *out, size_t len, GError **error)
{
    int r = gnutls_rnd(GNUTLS_RND_KEY, out, len);

    return !r || fail(error, "no random bytes: %s", gnutls_strerror(r));
}
