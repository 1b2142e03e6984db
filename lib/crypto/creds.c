/* SPDX-License-Identifier: MIT */
/*
 * Credentials for TLS: certificates (x509), keys known to both sides (psk, RFC 4279) and none at
 * all (anon), from the files of a directory. dh-params.pem is used where it is, else the groups
 * that gnutls knows.
 */
#include "base/error.h"
#include "crypto/object_priv.h"
#include "crypto/tls_priv.h"

#include <errno.h>
#include <gnutls/x509.h>
#include <string.h>

CryptoTlsCreds *crypto_tls_creds_ref(const CryptoTlsCreds *creds)
{
    CryptoTlsCreds *c = (CryptoTlsCreds *)creds;

    g_atomic_int_inc(&c->refs);
    return c;
}

void crypto_tls_creds_unref(CryptoTlsCreds *c)
{
    if (!c || !g_atomic_int_dec_and_test(&c->refs))
        return;
    if (c->x509)
        gnutls_certificate_free_credentials(c->x509);
    if (c->psk_client)
        gnutls_psk_free_client_credentials(c->psk_client);
    if (c->psk_server)
        gnutls_psk_free_server_credentials(c->psk_server);
    g_free(c->psk_dir);
    if (c->anon_client)
        gnutls_anon_free_client_credentials(c->anon_client);
    if (c->anon_server)
        gnutls_anon_free_server_credentials(c->anon_server);
    if (c->dh)
        gnutls_dh_params_deinit(c->dh);
    g_free(c->priority);
    g_free(c);
}

static void creds_unref(void *p)
{
    crypto_tls_creds_unref(p);
}

/* ---- files ----------------------------------------------------------------- */

static void datum_clear(gnutls_datum_t *d)
{
    if (d->data)
        crypto_wipe(d->data, d->size);
    g_free(d->data);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(gnutls_datum_t, datum_clear)

/* d has no data when the file is not there and need not be. */
static bool load(const char *dir, const char *name, bool needed, gnutls_datum_t *d, GError **error)
{
    g_autofree char *file = g_build_filename(dir, name, NULL);
    size_t len = 0;

    d->data = crypto_read_file(file, &len);
    d->size = (unsigned)len;
    if (d->data || (errno == ENOENT && !needed))
        return true;
    return fail_errno(error, errno, "Unable to access credentials %s", file);
}

static bool load_dh(CryptoTlsCreds *c, const char *dir, GError **error)
{
    g_auto(gnutls_datum_t) d = { 0 };

    if (!dir)
        return true;
    if (!load(dir, "dh-params.pem", false, &d, error))
        return false;
    if (!d.data)
        return true;
    int e = gnutls_dh_params_init(&c->dh);
    if (e >= 0)
        e = gnutls_dh_params_import_pkcs3(c->dh, &d, GNUTLS_X509_FMT_PEM);
    return e >= 0 || fail(error, "Unable to import %s/dh-params.pem: %s", dir, gnutls_strerror(e));
}

/* ---- kinds ----------------------------------------------------------------- */

/* What all kinds have. */
static CryptoTlsCreds *begin(CredsKind kind, Options *o, const char **dir, bool *sanity,
                             GError **error)
{
    static const char *const ends[] = { "client", "server", NULL };
    g_autoptr(CryptoTlsCreds) c = g_new0(CryptoTlsCreds, 1);
    const char *end = options_get(o, "endpoint");
    int server = 0;

    c->refs = 1;
    c->kind = kind;
    c->verify_peer = true;
    *sanity = true;
    *dir = options_get(o, "dir");
    c->priority = g_strdup(options_get(o, "priority"));
    if (end && !options_get_enum(o, "endpoint", ends, &server, NULL)) {
        fail_usage(error, "Parameter 'endpoint' does not accept value '%s'", end);
        return NULL;
    }
    c->server = server;
    if (!options_get_bool(o, "verify-peer", &c->verify_peer, error) ||
        (kind == CREDS_X509 && !options_get_bool(o, "sanity-check", sanity, error)) ||
        !options_done(o, error))
        return NULL;
    if (kind != CREDS_ANON && !*dir) {
        fail_usage(error, "Missing 'dir' property value");
        return NULL;
    }
    if (c->server && !load_dh(c, *dir, error))
        return NULL;
    return g_steal_pointer(&c);
}

static void *anon_make(const CryptoObjects *objects, const char *id, Options *o, GError **error)
{
    bool sanity;
    const char *dir;
    CryptoTlsCreds *c = begin(CREDS_ANON, o, &dir, &sanity, error);

    if (c && c->server) {
        gnutls_anon_allocate_server_credentials(&c->anon_server);
        if (c->dh)
            gnutls_anon_set_server_dh_params(c->anon_server, c->dh);
        else
            gnutls_anon_set_server_known_dh_params(c->anon_server, GNUTLS_SEC_PARAM_MEDIUM);
    } else if (c) {
        gnutls_anon_allocate_client_credentials(&c->anon_client);
    }
    return c;
}

/* The key of user in lines of USER:HEX. */
static char *psk_key(const char *text, const char *user)
{
    g_auto(GStrv) lines = g_strsplit_set(text, "\r\n", -1);
    size_t n = strlen(user);
    char *key = NULL;

    for (char **l = lines; *l; l++) {
        if (!key && !strncmp(*l, user, n) && (*l)[n] == ':')
            key = g_strdup(*l + n + 1);
        crypto_wipe(*l, strlen(*l));
    }
    return key;
}

static bool psk_load(CryptoTlsCreds *c, const char *dir, const char *user, GError **error)
{
    g_autofree char *file = g_build_filename(dir, "keys.psk", NULL);
    g_auto(gnutls_datum_t) d = { 0 };
    int e;

    if (!load(dir, "keys.psk", true, &d, error))
        return false;
    if (c->server) {
        c->psk_dir = g_strdup(dir);
        gnutls_psk_allocate_server_credentials(&c->psk_server);
        e = gnutls_psk_set_server_credentials_file(c->psk_server, file);
        if (e < 0)
            return fail(error, "Cannot set PSK server credentials %s: %s", file,
                        gnutls_strerror(e));
        if (c->dh)
            gnutls_psk_set_server_dh_params(c->psk_server, c->dh);
        else
            gnutls_psk_set_server_known_dh_params(c->psk_server, GNUTLS_SEC_PARAM_MEDIUM);
        return true;
    }
    char *key = psk_key((const char *)d.data, user);
    if (!key)
        return fail(error, "Username %s not found in PSK file %s", user, file);
    gnutls_datum_t k = { (unsigned char *)key, (unsigned)strlen(key) };
    gnutls_psk_allocate_client_credentials(&c->psk_client);
    e = gnutls_psk_set_client_credentials(c->psk_client, user, &k, GNUTLS_PSK_KEY_HEX);
    datum_clear(&k);
    return e >= 0 || fail(error, "Cannot set PSK client credentials of %s in %s: %s", user, file,
                          gnutls_strerror(e));
}

static void *psk_make(const CryptoObjects *objects, const char *id, Options *o, GError **error)
{
    bool sanity;
    const char *dir, *user = options_get(o, "username");
    g_autoptr(CryptoTlsCreds) c = begin(CREDS_PSK, o, &dir, &sanity, error);

    if (c && c->server && user) {
        fail_usage(error, "username should not be set when endpoint=server");
        return NULL;
    }
    return c && psk_load(c, dir, user ? user : "qemu", error) ? g_steal_pointer(&c) : NULL;
}

typedef struct {
    gnutls_datum_t ca, crl, cert, key;
} Files;

static void files_clear(Files *f)
{
    datum_clear(&f->ca);
    datum_clear(&f->crl);
    datum_clear(&f->cert);
    datum_clear(&f->key);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Files, files_clear)

static bool x509_load(CryptoTlsCreds *c, const char *dir, bool sanity, const char *password,
                      GError **error)
{
    const char *cert = c->server ? "server-cert.pem" : "client-cert.pem";
    const char *key = c->server ? "server-key.pem" : "client-key.pem";
    g_auto(Files) f = { 0 };

    if (!load(dir, "ca-cert.pem", true, &f.ca, error) ||
        !load(dir, "ca-crl.pem", false, &f.crl, error) ||
        !load(dir, cert, c->server, &f.cert, error) ||
        !load(dir, key, c->server || f.cert.data, &f.key, error))
        return false;
    if (sanity && !crypto_certificates_check(dir, c->server, &f.ca, &f.cert, &f.crl, error))
        return false;
    gnutls_certificate_allocate_credentials(&c->x509);
    gnutls_certificate_set_verify_function(c->x509, crypto_tls_verify);
    int e = gnutls_certificate_set_x509_trust_mem(c->x509, &f.ca, GNUTLS_X509_FMT_PEM);
    if (e < 0)
        return fail(error, "Cannot load CA certificate '%s/ca-cert.pem': %s", dir,
                    gnutls_strerror(e));
    if (f.cert.data) {
        e = gnutls_certificate_set_x509_key_mem2(c->x509, &f.cert, &f.key, GNUTLS_X509_FMT_PEM,
                                                 password, 0);
        if (e < 0)
            return fail(error, "Cannot load certificate '%s/%s' & key '%s/%s': %s", dir, cert, dir,
                        key, gnutls_strerror(e));
    }
    if (f.crl.data) {
        e = gnutls_certificate_set_x509_crl_mem(c->x509, &f.crl, GNUTLS_X509_FMT_PEM);
        if (e < 0)
            return fail(error, "Cannot load CRL '%s/ca-crl.pem': %s", dir, gnutls_strerror(e));
    }
    if (c->server && c->dh)
        gnutls_certificate_set_dh_params(c->x509, c->dh);
    else if (c->server)
        gnutls_certificate_set_known_dh_params(c->x509, GNUTLS_SEC_PARAM_MEDIUM);
    return true;
}

static void *x509_make(const CryptoObjects *objects, const char *id, Options *o, GError **error)
{
    bool sanity;
    size_t len;
    const char *dir, *password = NULL, *password_id = options_get(o, "passwordid");
    g_autoptr(CryptoTlsCreds) c = begin(CREDS_X509, o, &dir, &sanity, error);

    if (!c || (password_id && !(password = (const char *)crypto_secret_text(objects, password_id,
                                                                            &len, error))))
        return NULL;
    return x509_load(c, dir, sanity, password, error) ? g_steal_pointer(&c) : NULL;
}

/* gnutls looks a user up when he comes. */
static char *psk_folder(const void *object)
{
    return g_strdup(((const CryptoTlsCreds *)object)->psk_dir);
}

const CryptoObjectKind x509_object = { x509_make, creds_unref, NULL };
const CryptoObjectKind psk_object = { psk_make, creds_unref, psk_folder };
const CryptoObjectKind anon_object = { anon_make, creds_unref, NULL };

CryptoTlsCreds *crypto_tls_creds(const CryptoObjects *objects, const char *id, bool server,
                                 GError **error)
{
    const CryptoObjectKind *kind;
    CryptoTlsCreds *c = crypto_object_find(objects, id, &kind);

    if (!kind) {
        fail(error, "No TLS credentials with id '%s'", id);
        return NULL;
    }
    if (kind->unref != creds_unref) {
        fail(error, "Object with id '%s' is not TLS credentials", id);
        return NULL;
    }
    if (c->server == server)
        return c;
    fail(error, "Expected TLS credentials for a %s endpoint", server ? "server" : "client");
    return NULL;
}
