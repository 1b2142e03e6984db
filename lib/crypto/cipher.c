/* SPDX-License-Identifier: MIT */
/*
 * AES by sector. CBC and XTS (IEEE 1619) of gnutls, which uses the CPU's instructions; XTS with AES-192,
 * which gnutls does not have, of nettle. A gnutls handle holds the vector, so each thread at work has one
 * of its own from a list that grows to as many as there are threads.
 *
 * Vectors: plain is the sector's number in 32 bits, plain64 in 64 (little-endian, then zeroes); essiv is
 * plain64 encrypted by AES with a hash of the key as its key.
 */
#include "crypto/crypto.h"

#include "base/bytes.h"
#include "base/error.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <nettle/aes.h>
#include <nettle/xts.h>
#include <pthread.h>

enum { BLOCK = 16 };

const char *const crypto_mode_names[] = { "cbc", "xts", NULL };
const char *const crypto_iv_names[] = { "plain", "plain64", "essiv", NULL };

typedef union {
    struct aes128_ctx aes128;
    struct aes192_ctx aes192;
    struct aes256_ctx aes256;
} Aes;

struct CryptoCipher {
    CryptoKind kind;
    uint8_t key[CRYPTO_MAX_KEY];
    size_t len;
    gnutls_cipher_algorithm_t algorithm; /* UNKNOWN: nettle's XTS */
    pthread_mutex_t lock;
    GPtrArray *idle;                     /* handles nobody uses now */
    struct aes192_ctx to, from, tweak;   /* of nettle's XTS */
    Aes essiv;
    size_t essiv_len;
};

static gnutls_cipher_algorithm_t algorithm_of(CryptoMode mode, size_t len)
{
    if (mode == CRYPTO_XTS)
        return len == 32 ? GNUTLS_CIPHER_AES_128_XTS : len == 64 ? GNUTLS_CIPHER_AES_256_XTS : GNUTLS_CIPHER_UNKNOWN;
    return len == 16 ? GNUTLS_CIPHER_AES_128_CBC : len == 24 ? GNUTLS_CIPHER_AES_192_CBC : GNUTLS_CIPHER_AES_256_CBC;
}

static bool set_essiv(CryptoCipher *c, GError **error)
{
    uint8_t hash[CRYPTO_MAX_HASH];

    c->essiv_len = crypto_hash_size(c->kind.iv_hash);
    if (c->essiv_len != 16 && c->essiv_len != 24 && c->essiv_len != 32)
        return fail(error, "No AES cipher with key size %zu available", c->essiv_len);
    if (!crypto_hash(c->kind.iv_hash, c->key, c->len, hash, error))
        return false;
    if (c->essiv_len == 16)
        aes128_set_encrypt_key(&c->essiv.aes128, hash);
    else if (c->essiv_len == 24)
        aes192_set_encrypt_key(&c->essiv.aes192, hash);
    else
        aes256_set_encrypt_key(&c->essiv.aes256, hash);
    crypto_wipe(hash, sizeof hash);
    return true;
}

static gnutls_cipher_hd_t new_handle(const CryptoCipher *c)
{
    uint8_t zero[BLOCK] = { 0 };
    gnutls_datum_t key = { (unsigned char *)(uintptr_t)c->key, (unsigned)c->len }, iv = { zero, BLOCK };
    gnutls_cipher_hd_t handle;

    return gnutls_cipher_init(&handle, c->algorithm, &key, &iv) ? NULL : handle;
}

CryptoCipher *crypto_cipher_new(const CryptoKind *kind, const uint8_t *key, size_t len, GError **error)
{
    size_t aes = kind->mode == CRYPTO_XTS ? len / 2 : len;

    if ((aes != 16 && aes != 24 && aes != 32) || (kind->mode == CRYPTO_XTS && len % 2)) {
        fail(error, "a key of %zu bytes is none of AES in mode %s", len, crypto_mode_names[kind->mode]);
        return NULL;
    }
    g_autoptr(CryptoCipher) c = g_new0(CryptoCipher, 1);
    c->kind = *kind;
    c->len = len;
    memcpy(c->key, key, len);
    pthread_mutex_init(&c->lock, NULL);
    c->idle = g_ptr_array_new();
    c->algorithm = algorithm_of(kind->mode, len);
    if (c->algorithm == GNUTLS_CIPHER_UNKNOWN) {
        aes192_set_encrypt_key(&c->to, key);
        aes192_set_decrypt_key(&c->from, key);
        aes192_set_encrypt_key(&c->tweak, key + len / 2);
    } else {
        gnutls_cipher_hd_t first = new_handle(c);
        if (!first) {
            fail(error, "the key is refused by the cipher");
            return NULL;
        }
        g_ptr_array_add(c->idle, first);
    }
    if (kind->iv == CRYPTO_ESSIV && !set_essiv(c, error))
        return NULL;
    return g_steal_pointer(&c);
}

void crypto_cipher_free(CryptoCipher *c)
{
    if (!c)
        return;
    for (unsigned i = 0; i < c->idle->len; i++)
        gnutls_cipher_deinit(c->idle->pdata[i]);
    g_ptr_array_unref(c->idle);
    pthread_mutex_destroy(&c->lock);
    crypto_wipe(c, sizeof *c);
    g_free(c);
}

static gnutls_cipher_hd_t take(CryptoCipher *c)
{
    pthread_mutex_lock(&c->lock);
    gnutls_cipher_hd_t handle = c->idle->len ? g_ptr_array_steal_index_fast(c->idle, c->idle->len - 1) : NULL;
    pthread_mutex_unlock(&c->lock);
    return handle ? handle : new_handle(c);
}

static void give_back(CryptoCipher *c, gnutls_cipher_hd_t handle)
{
    pthread_mutex_lock(&c->lock);
    g_ptr_array_add(c->idle, handle);
    pthread_mutex_unlock(&c->lock);
}

static void set_vector(const CryptoCipher *c, uint64_t sector, uint8_t iv[BLOCK])
{
    uint8_t plain[BLOCK] = { 0 };

    st_le64(plain, c->kind.iv == CRYPTO_PLAIN ? (uint32_t)sector : sector);
    if (c->kind.iv != CRYPTO_ESSIV)
        memcpy(iv, plain, BLOCK);
    else if (c->essiv_len == 16)
        aes128_encrypt(&c->essiv.aes128, BLOCK, iv, plain);
    else if (c->essiv_len == 24)
        aes192_encrypt(&c->essiv.aes192, BLOCK, iv, plain);
    else
        aes256_encrypt(&c->essiv.aes256, BLOCK, iv, plain);
}

static void run_nettle(CryptoCipher *c, uint64_t sector, uint8_t *out, const uint8_t *in, size_t len, bool encrypt)
{
    nettle_cipher_func *to = (nettle_cipher_func *)aes192_encrypt, *from = (nettle_cipher_func *)aes192_decrypt;
    uint8_t iv[BLOCK];

    for (; len; sector++, out += CRYPTO_SECTOR, in += CRYPTO_SECTOR, len -= CRYPTO_SECTOR) {
        set_vector(c, sector, iv);
        if (encrypt)
            xts_encrypt_message(&c->to, &c->tweak, to, iv, CRYPTO_SECTOR, out, in);
        else
            xts_decrypt_message(&c->from, &c->tweak, from, to, iv, CRYPTO_SECTOR, out, in);
    }
}

static int run(CryptoCipher *c, uint64_t sector, uint8_t *out, const uint8_t *in, size_t len, bool encrypt)
{
    uint8_t iv[BLOCK];
    int r = 0;

    if (len % CRYPTO_SECTOR)
        return -EINVAL;
    if (c->algorithm == GNUTLS_CIPHER_UNKNOWN) {
        run_nettle(c, sector, out, in, len, encrypt);
        return 0;
    }
    gnutls_cipher_hd_t handle = take(c);
    if (!handle)
        return -ENOMEM;
    for (; len && !r; sector++, out += CRYPTO_SECTOR, in += CRYPTO_SECTOR, len -= CRYPTO_SECTOR) {
        set_vector(c, sector, iv);
        gnutls_cipher_set_iv(handle, iv, BLOCK);
        r = encrypt ? gnutls_cipher_encrypt2(handle, in, CRYPTO_SECTOR, out, CRYPTO_SECTOR)
                    : gnutls_cipher_decrypt2(handle, in, CRYPTO_SECTOR, out, CRYPTO_SECTOR);
    }
    give_back(c, handle);
    return r ? -EIO : 0;
}

int crypto_encrypt(CryptoCipher *c, uint64_t sector, void *out, const void *in, size_t len)
{
    return run(c, sector, out, in, len, true);
}

int crypto_decrypt(CryptoCipher *c, uint64_t sector, void *out, const void *in, size_t len)
{
    return run(c, sector, out, in, len, false);
}
