/* SPDX-License-Identifier: MIT */
/*
 * Secrets: what is given, or in a file, perhaps in base64, perhaps encrypted under another secret.
 * A file is read once, when the secret is made.
 */
#include "base/error.h"
#include "crypto/object_priv.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string.h>

enum { KEY_BYTES = 32, IV_BYTES = 16 };

typedef struct {
    uint8_t *data;
    size_t len;
} Secret;

static void wipe_free(uint8_t *p, size_t len)
{
    if (p)
        crypto_wipe(p, len);
    g_free(p);
}

static void secret_free(void *p)
{
    Secret *s = p;

    wipe_free(s->data, s->len);
    g_free(s);
}

const uint8_t *crypto_secret(const CryptoObjects *objects, const char *id, size_t *len, GError **error)
{
    const CryptoObjectKind *kind;
    const Secret *s = crypto_object_find(objects, id, &kind);

    if (kind != &secret_object) {
        fail(error, "No secret with id '%s'", id);
        return NULL;
    }
    *len = s->len;
    return s->data;
}

const uint8_t *crypto_secret_text(const CryptoObjects *objects, const char *id, size_t *len, GError **error)
{
    const uint8_t *data = crypto_secret(objects, id, len, error);

    if (data && !g_utf8_validate_len((const char *)data, *len, NULL)) {
        fail(error, "Data from secret %s is not valid UTF-8", id);
        return NULL;
    }
    return data;
}

/* ---- reading ------------------------------------------------------------- */

static bool read_file(const char *file, uint8_t **data, size_t *len, GError **error)
{
    *data = crypto_read_file(file, len);
    if (*data)
        return true;
    return errno == EFBIG ? fail(error, "Unable to read %s: a secret has at most %d bytes", file,
                                 CRYPTO_MAX_SECRET)
                          : fail_errno(error, errno, "Unable to read %s", file);
}

/* In place; white space between is fine. */
static bool decode(uint8_t *data, size_t *len, GError **error)
{
    size_t n = 0, pad = 0;

    for (size_t i = 0; i < *len; i++) {
        uint8_t c = data[i];
        if (g_ascii_isspace(c))
            continue;
        pad += c == '=';
        if (c != '=' && ((!g_ascii_isalnum(c) && c != '+' && c != '/') || pad))
            return fail(error, "Base64 data contains invalid characters");
        data[n++] = c;
    }
    data[n] = 0;
    if (pad > 2 || n % 4)
        return fail(error, "Base64 data is not whole");
    *len = 0;
    if (n)
        g_base64_decode_inplace((char *)data, len);
    data[*len] = 0;
    return true;
}

/* The 32 or 16 bytes of a key or a vector in base64. */
static bool exactly(const char *what, const uint8_t *text, size_t len, uint8_t *out, size_t want, GError **error)
{
    uint8_t *copy = g_malloc(len + 1);
    size_t n = len;

    memcpy(copy, text, len);
    bool ok = decode(copy, &n, error);
    if (ok && n != want)
        ok = fail(error, "%s should be %zu bytes in length not %zu", what, want, n);
    if (ok)
        memcpy(out, copy, want);
    wipe_free(copy, len);
    return ok;
}

static bool decrypt(const CryptoObjects *objects, const char *keyid, const char *iv, uint8_t *data, size_t *len,
                    GError **error)
{
    uint8_t key[KEY_BYTES], vector[IV_BYTES];
    gnutls_cipher_hd_t handle;
    size_t n;
    const uint8_t *text = crypto_secret(objects, keyid, &n, error);

    if (!text)
        return false;
    if (!iv)
        return fail(error, "IV is required to decrypt secret");
    bool ok = exactly("Master key", text, n, key, sizeof key, error) &&
              exactly("IV", (const uint8_t *)iv, strlen(iv), vector, sizeof vector, error);
    if (ok && (!*len || *len % IV_BYTES))
        ok = fail(error, "Length of ciphertext data is not a multiple of %d: %zu", IV_BYTES, *len);
    gnutls_datum_t k = { key, sizeof key }, v = { vector, sizeof vector };
    if (ok && gnutls_cipher_init(&handle, GNUTLS_CIPHER_AES_256_CBC, &k, &v))
        ok = fail(error, "AES is not there");
    else if (ok) {
        ok = !gnutls_cipher_decrypt(handle, data, *len) || fail(error, "the secret cannot be decrypted");
        gnutls_cipher_deinit(handle);
    }
    crypto_wipe(key, sizeof key);
    if (!ok)
        return false;
    uint8_t pad = data[*len - 1];
    if (!pad || pad > IV_BYTES)
        return fail(error, "Incorrect number of padding bytes (%u) found on decrypted data", pad);
    *len -= pad;
    data[*len] = 0;
    return true;
}

static void *secret_make(const CryptoObjects *objects, const char *id, Options *o, GError **error)
{
    static const char *const formats[] = { "raw", "base64", NULL };
    const char *data = options_get(o, "data"), *file = options_get(o, "file");
    const char *format = options_get(o, "format"), *keyid = options_get(o, "keyid"), *iv = options_get(o, "iv");
    bool ok = true;
    int as = 0;

    if (format && !options_get_enum(o, "format", formats, &as, NULL))
        ok = fail_usage(error, "Parameter 'format' does not accept value '%s'", format);
    ok = ok && options_done(o, error);
    if (ok && data && file)
        ok = fail_usage(error, "'file' and 'data' are mutually exclusive");
    if (ok && !data && !file)
        ok = fail_usage(error, "Either 'file' or 'data' must be provided");
    if (!ok)
        return NULL;
    Secret *s = g_new0(Secret, 1);
    if (file) {
        ok = read_file(file, &s->data, &s->len, error);
    } else {
        s->data = (uint8_t *)g_strdup(data);
        s->len = strlen(data);
    }
    size_t all = s->len;
    ok = ok && (!as || decode(s->data, &s->len, error)) &&
         (!keyid || decrypt(objects, keyid, iv, s->data, &s->len, error));
    if (!ok) {
        s->len = all;
        secret_free(s);
        return NULL;
    }
    return s;
}

const CryptoObjectKind secret_object = { .make = secret_make, .unref = secret_free };
