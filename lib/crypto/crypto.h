/* SPDX-License-Identifier: MIT */
/*
 * Objects that a user names (secrets, credentials, who is let in), and what encrypted disks need of
 * cryptography: block ciphers by sector, PBKDF2 and hashes. The primitives are gnutls' and
 * nettle's; here is only how disks use them. TLS is in crypto/tls.h.
 *
 * Threads. A CryptoObjects is changed by one thread while nobody else looks. A CryptoCipher does
 * its work on any number of threads at once. Key material is overwritten before its memory is given
 * back.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- objects --------------------------------------------------------------- */

/* What --object makes for this library, by id: secret, tls-creds-x509, tls-creds-psk,
 * tls-creds-anon, authz-simple, authz-list, authz-list-file. crypto/tls.h is for the latter. */
typedef struct CryptoObjects CryptoObjects;

CryptoObjects *crypto_objects_new(void);
void crypto_objects_free(CryptoObjects *objects); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CryptoObjects, crypto_objects_free)
/* Whether the text of an --object is one for crypto_objects_add. */
bool crypto_is_object(const char *text);
/* "KIND,id=ID,KEY=VALUE,..." Files are read, and what is in them is checked, here. */
bool crypto_objects_add(CryptoObjects *objects, const char *text, GError **error);
/* False: there is none of that name. Sessions of TLS that use it go on. */
bool crypto_objects_remove(CryptoObjects *objects, const char *id);
/* Folders of files that objects read again in time (keys, rules), NULL at the end: who confines itself leaves
 * them readable. Caller frees with g_strfreev. */
char **crypto_objects_folders(const CryptoObjects *objects);

/* ---- secrets --------------------------------------------------------------- */

/* "secret,id=ID,data=...|file=...[,format=raw|base64][,keyid=ID,iv=BASE64]". With keyid, what is
 * given is encrypted by AES-256 in CBC mode with that secret (32 bytes in base64) as the key. */
enum { CRYPTO_MAX_SECRET = 1 << 20 }; /* bytes of one */

/* The bytes of a secret, borrowed; NULL with an error if there is none. objects may be NULL. */
const uint8_t *crypto_secret(const CryptoObjects *objects, const char *id, size_t *len,
                             GError **error);
/* The same, which has to be UTF-8, as passphrases are. */
const uint8_t *crypto_secret_text(const CryptoObjects *objects, const char *id, size_t *len,
                                  GError **error);

/* ---- hashes and key derivation ------------------------------------------- */

typedef enum { CRYPTO_SHA1, CRYPTO_SHA224, CRYPTO_SHA256, CRYPTO_SHA384, CRYPTO_SHA512 } CryptoHash;
extern const char *const crypto_hash_names[]; /* by CryptoHash; NULL at the end */
enum { CRYPTO_MAX_HASH = 64 };

size_t crypto_hash_size(CryptoHash hash);
/* out has room for crypto_hash_size bytes. */
bool crypto_hash(CryptoHash hash, const void *in, size_t len, uint8_t *out, GError **error);
/* RFC 2898 with HMAC. */
bool crypto_pbkdf2(CryptoHash hash, const void *password, size_t len, const uint8_t *salt, size_t salt_len,
                   uint32_t iterations, uint8_t *out, size_t out_len, GError **error);
/* How many iterations this machine does for out_len bytes in a second of CPU time, by trying. */
bool crypto_pbkdf2_rate(CryptoHash hash, size_t out_len, uint64_t *per_second, GError **error);
bool crypto_random(void *out, size_t len, GError **error);

/* ---- ciphers ------------------------------------------------------------- */

enum { CRYPTO_SECTOR = 512, CRYPTO_MAX_KEY = 64 };

typedef enum { CRYPTO_CBC, CRYPTO_XTS } CryptoMode;
typedef enum { CRYPTO_PLAIN, CRYPTO_PLAIN64, CRYPTO_ESSIV } CryptoIv;
extern const char *const crypto_mode_names[], *const crypto_iv_names[]; /* NULL at the end */

/* AES, and how the vector of a sector follows from its number. */
typedef struct {
    CryptoMode mode;
    CryptoIv iv;
    CryptoHash iv_hash; /* of ESSIV */
} CryptoKind;

typedef struct CryptoCipher CryptoCipher;

/* len: 16, 24 or 32 bytes, and twice that for XTS. key is copied. */
CryptoCipher *crypto_cipher_new(const CryptoKind *kind, const uint8_t *key, size_t len, GError **error);
void crypto_cipher_free(CryptoCipher *cipher); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CryptoCipher, crypto_cipher_free)
/* Whole sectors from the one numbered sector on; out may be in. 0 or -errno. */
int crypto_encrypt(CryptoCipher *cipher, uint64_t sector, void *out, const void *in, size_t len);
int crypto_decrypt(CryptoCipher *cipher, uint64_t sector, void *out, const void *in, size_t len);

/* Overwrites key material in a way that is not optimized away. */
void crypto_wipe(void *p, size_t len);
