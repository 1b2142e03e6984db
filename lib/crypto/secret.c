/* SPDX-License-Identifier: MIT */
/*
 * Secrets by name, as --object gives them. What scripts may look for in messages is worded as QEMU does.
 * A file is read once, when the secret is made.
 */
#include "crypto/crypto.h"

#include "base/error.h"
#include "base/option.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string.h>
#include <unistd.h>

enum { KEY_BYTES = 32, IV_BYTES = 16 };

typedef struct {
    char *id;
    uint8_t *data;
    size_t len;
} Secret;

struct CryptoObjects {
    GPtrArray *all; /* of Secret */
};

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
    g_free(s->id);
    g_free(s);
}

CryptoObjects *crypto_objects_new(void)
{
    CryptoObjects *objects = g_new0(CryptoObjects, 1);

    objects->all = g_ptr_array_new_with_free_func(secret_free);
    return objects;
}

void crypto_objects_free(CryptoObjects *objects)
{
    if (!objects)
        return;
    g_ptr_array_unref(objects->all);
    g_free(objects);
}

static Secret *find(const CryptoObjects *objects, const char *id)
{
    for (unsigned i = 0; objects && i < objects->all->len; i++) {
        Secret *s = objects->all->pdata[i];
        if (!strcmp(s->id, id))
            return s;
    }
    return NULL;
}

const uint8_t *crypto_secret(const CryptoObjects *objects, const char *id, size_t *len, GError **error)
{
    const Secret *s = find(objects, id);

    if (!s) {
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

bool crypto_objects_remove(CryptoObjects *objects, const char *id)
{
    Secret *s = find(objects, id);

    return s && g_ptr_array_remove(objects->all, s);
}

/* ---- reading ------------------------------------------------------------- */

/* A file may be a pipe or a descriptor, so its length is what comes. */
static bool read_file(const char *file, uint8_t **data, size_t *len, GError **error)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC), err = errno;
    uint8_t *out = fd < 0 ? NULL : g_malloc(CRYPTO_MAX_SECRET + 1);
    size_t at = 0;
    ssize_t n = fd < 0 ? -1 : 1;

    while (n > 0 && at <= CRYPTO_MAX_SECRET) {
        n = read(fd, out + at, CRYPTO_MAX_SECRET + 1 - at);
        err = errno;
        if (n < 0 && err == EINTR)
            n = 1;
        else if (n > 0)
            at += (size_t)n;
    }
    if (fd >= 0)
        close(fd);
    bool ok = n >= 0 && at <= CRYPTO_MAX_SECRET;
    if (n < 0)
        fail_errno(error, err, "Unable to read %s", file);
    else if (!ok)
        fail(error, "Unable to read %s: a secret has at most %d bytes", file, CRYPTO_MAX_SECRET);
    if (ok) {
        *data = g_malloc(at + 1);
        memcpy(*data, out, at);
        (*data)[at] = 0;
        *len = at;
    }
    wipe_free(out, at);
    return ok;
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

static bool good_id(const char *id)
{
    bool ok = g_ascii_isalpha(*id);

    for (; *id; id++)
        ok = ok && (g_ascii_isalnum(*id) || strchr("-._", *id));
    return ok;
}

static bool add(CryptoObjects *objects, Options *o, GError **error)
{
    static const char *const formats[] = { "raw", "base64", NULL };
    const char *id = options_get(o, "id"), *data = options_get(o, "data"), *file = options_get(o, "file");
    const char *format = options_get(o, "format"), *keyid = options_get(o, "keyid"), *iv = options_get(o, "iv");
    int as = 0;

    options_get(o, "qom-type");
    if (!id)
        return fail_usage(error, "Parameter 'id' is missing");
    if (!good_id(id))
        return fail_usage(error, "Parameter 'id' expects an identifier\n"
                                 "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.");
    if (format && !options_get_enum(o, "format", formats, &as, NULL))
        return fail_usage(error, "Parameter 'format' does not accept value '%s'", format);
    if (!options_done(o, error))
        return false;
    if (data && file)
        return fail_usage(error, "'file' and 'data' are mutually exclusive");
    if (!data && !file)
        return fail_usage(error, "Either 'file' or 'data' must be provided");
    if (find(objects, id))
        return fail_usage(error, "attempt to add duplicate property '%s' to object", id);
    Secret *s = g_new0(Secret, 1);
    bool ok = true;
    s->id = g_strdup(id);
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
        return false;
    }
    g_ptr_array_add(objects->all, s);
    return true;
}

bool crypto_is_object(const char *text)
{
    g_autoptr(Options) o = options_parse(text, "qom-type", NULL);
    const char *type = o ? options_get(o, "qom-type") : NULL;

    return type && !strcmp(type, "secret");
}

bool crypto_objects_add(CryptoObjects *objects, const char *text, GError **error)
{
    g_autoptr(Options) o = options_parse(text, "qom-type", error);

    return o && add(objects, o, error);
}
