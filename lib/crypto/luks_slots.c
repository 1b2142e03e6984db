/* SPDX-License-Identifier: MIT */
/*
 * Key slots of LUKS1. A passphrase gives a key by PBKDF2, which decrypts the slot's material: the master
 * key, split by the specification's anti-forensic splitter so that losing any sector of it loses the key.
 * Whether the result is the master key its digest tells.
 */
#include "crypto/luks.h"

#include "base/bytes.h"
#include "base/error.h"

#include <string.h>

enum { LEAST_ITERATIONS = 1000 };

static void wipe_free(void *p, size_t len)
{
    if (p)
        crypto_wipe(p, len);
    g_free(p);
}

/* ---- the splitter -------------------------------------------------------- */

/* Every hash-sized part of block becomes the hash of its number and itself. */
static bool diffuse(CryptoHash hash, uint8_t *block, size_t len, GError **error)
{
    uint8_t in[4 + CRYPTO_MAX_HASH], out[CRYPTO_MAX_HASH];
    size_t size = crypto_hash_size(hash);

    for (size_t at = 0; at < len; at += size) {
        size_t n = MIN(size, len - at);
        st_be32(in, (uint32_t)(at / size));
        memcpy(in + 4, block + at, n);
        if (!crypto_hash(hash, in, 4 + n, out, error))
            return false;
        memcpy(block + at, out, n);
    }
    return true;
}

static void mix(uint8_t *into, const uint8_t *with, size_t len)
{
    for (size_t i = 0; i < len; i++)
        into[i] ^= with[i];
}

/* key from stripes; or, with split, the last stripe so that the others, which are random, give key. */
static bool merge(CryptoHash hash, uint8_t *stripes, uint32_t n, uint8_t *key, size_t len, bool split, GError **error)
{
    uint8_t d[CRYPTO_MAX_KEY] = { 0 };
    bool ok = true;

    for (uint32_t i = 0; ok && i + 1 < n; i++) {
        mix(d, stripes + i * len, len);
        ok = diffuse(hash, d, len, error);
    }
    uint8_t *last = stripes + (n - 1) * len;
    if (split)
        memcpy(last, key, len);
    mix(split ? last : d, split ? d : last, len);
    if (!split)
        memcpy(key, d, len);
    crypto_wipe(d, sizeof d);
    return ok;
}

/* ---- one slot ------------------------------------------------------------ */

static size_t material_bytes(const CryptoLuks *l, const CryptoLuksSlot *s)
{
    return ((size_t)s->stripes * l->key_len + CRYPTO_SECTOR - 1) / CRYPTO_SECTOR * CRYPTO_SECTOR;
}

static CryptoCipher *slot_cipher(const CryptoLuks *l, const CryptoLuksSlot *s, CryptoPass pass, GError **error)
{
    uint8_t key[CRYPTO_MAX_KEY];
    CryptoCipher *cipher = NULL;

    if (crypto_pbkdf2(l->hash, pass.data, pass.len, s->salt, sizeof s->salt, s->iterations, key, l->key_len, error))
        cipher = crypto_cipher_new(&l->kind, key, l->key_len, error);
    crypto_wipe(key, sizeof key);
    return cipher;
}

static bool digest_of(const CryptoLuks *l, const uint8_t *key, uint8_t out[20], GError **error)
{
    return crypto_pbkdf2(l->hash, key, l->key_len, l->salt, sizeof l->salt, l->iterations, out, 20, error);
}

int crypto_luks_try(const CryptoLuks *l, const CryptoLuksIo *io, unsigned n, CryptoPass pass,
                    uint8_t key[CRYPTO_MAX_KEY], GError **error)
{
    const CryptoLuksSlot *s = &l->slots[n];
    uint8_t digest[20];

    if (!s->active)
        return 0;
    g_autoptr(CryptoCipher) cipher = slot_cipher(l, s, pass, error);
    if (!cipher)
        return -1;
    size_t bytes = material_bytes(l, s);
    uint8_t *stripes = g_malloc(bytes);
    int r = io->read(io->opaque, s->offset, stripes, bytes);
    if (!r)
        r = crypto_decrypt(cipher, 0, stripes, stripes, bytes);
    bool ok = !r || fail_errno(error, -r, "LUKS key slot %u", n);
    ok = ok && merge(l->hash, stripes, s->stripes, key, l->key_len, false, error) && digest_of(l, key, digest, error);
    wipe_free(stripes, bytes);
    return !ok ? -1 : !memcmp(digest, l->digest, sizeof digest);
}

bool crypto_luks_open(const CryptoLuks *l, const CryptoLuksIo *io, CryptoPass pass, uint8_t key[CRYPTO_MAX_KEY],
                      unsigned *slot, GError **error)
{
    for (unsigned n = 0; n < CRYPTO_LUKS_SLOTS; n++) {
        int r = crypto_luks_try(l, io, n, pass, key, error);
        if (r < 0)
            return false;
        if (!r)
            continue;
        if (slot)
            *slot = n;
        return true;
    }
    return fail(error, "Invalid password, cannot unlock any keyslot");
}

CryptoCipher *crypto_luks_unlock(const CryptoLuks *l, const CryptoLuksIo *io, CryptoPass pass, GError **error)
{
    uint8_t key[CRYPTO_MAX_KEY];
    CryptoCipher *cipher = NULL;

    if (crypto_luks_open(l, io, pass, key, NULL, error))
        cipher = crypto_cipher_new(&l->kind, key, l->key_len, error);
    crypto_wipe(key, sizeof key);
    return cipher;
}

/* ---- changing ------------------------------------------------------------ */

static bool write_header(const CryptoLuks *l, const CryptoLuksIo *io, GError **error)
{
    uint8_t head[CRYPTO_LUKS_HEADER];

    crypto_luks_bytes(l, head);
    int r = io->write(io->opaque, 0, head, sizeof head);
    return !r || fail_errno(error, -r, "LUKS header");
}

static bool iterations_for(CryptoHash hash, size_t len, uint64_t iter_ms, unsigned share, uint32_t *n, GError **error)
{
    uint64_t rate;

    if (!crypto_pbkdf2_rate(hash, len, &rate, error))
        return false;
    double wanted = (double)rate * (double)iter_ms / 1000 / share;
    *n = (uint32_t)CLAMP(wanted, LEAST_ITERATIONS, CRYPTO_LUKS_MAX_ITERATIONS);
    return true;
}

bool crypto_luks_set_slot(CryptoLuks *l, const CryptoLuksIo *io, unsigned n, CryptoPass pass,
                          const uint8_t key[CRYPTO_MAX_KEY], uint64_t iter_ms, GError **error)
{
    CryptoLuksSlot s = l->slots[n];
    size_t bytes = material_bytes(l, &s);
    uint8_t *stripes = g_malloc0(bytes), master[CRYPTO_MAX_KEY];

    s.active = true;
    memcpy(master, key, l->key_len);
    bool ok = iterations_for(l->hash, l->key_len, iter_ms, 1, &s.iterations, error) &&
              crypto_random(s.salt, sizeof s.salt, error) &&
              crypto_random(stripes, (size_t)s.stripes * l->key_len, error) &&
              merge(l->hash, stripes, s.stripes, master, l->key_len, true, error);
    g_autoptr(CryptoCipher) cipher = ok ? slot_cipher(l, &s, pass, error) : NULL;
    int r = 0;
    if (cipher)
        r = crypto_encrypt(cipher, 0, stripes, stripes, bytes);
    if (cipher && !r)
        r = io->write(io->opaque, s.offset, stripes, bytes);
    if (r)
        fail_errno(error, -r, "LUKS key slot %u", n);
    wipe_free(stripes, bytes);
    crypto_wipe(master, sizeof master);
    if (!cipher || r)
        return false;
    CryptoLuksSlot before = l->slots[n];
    l->slots[n] = s;
    if (write_header(l, io, error))
        return true;
    l->slots[n] = before;
    return false;
}

bool crypto_luks_erase_slot(CryptoLuks *l, const CryptoLuksIo *io, unsigned n, GError **error)
{
    CryptoLuksSlot *s = &l->slots[n];
    size_t bytes = material_bytes(l, s);
    g_autofree uint8_t *junk = g_malloc(bytes);
    CryptoLuksSlot before = *s;

    /* the header first: a slot that says it is used and holds nothing would only cost time */
    s->active = false;
    s->iterations = 0;
    memset(s->salt, 0, sizeof s->salt);
    if (!write_header(l, io, error)) {
        *s = before;
        return false;
    }
    if (!crypto_random(junk, bytes, error))
        return false;
    int r = io->write(io->opaque, s->offset, junk, bytes);
    return !r || fail_errno(error, -r, "LUKS key slot %u", n);
}

bool crypto_luks_format(CryptoLuks *l, const CryptoLuksIo *io, CryptoPass pass, uint64_t iter_ms, GError **error)
{
    uint8_t key[CRYPTO_MAX_KEY];

    bool ok = crypto_random(key, l->key_len, error) && crypto_random(l->salt, sizeof l->salt, error) &&
              iterations_for(l->hash, sizeof l->digest, iter_ms, 8, &l->iterations, error) &&
              digest_of(l, key, l->digest, error) && crypto_luks_set_slot(l, io, 0, pass, key, iter_ms, error);
    crypto_wipe(key, sizeof key);
    return ok;
}
