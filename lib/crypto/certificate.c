/* SPDX-License-Identifier: MIT */
/*
 * Whether the certificates of a directory can work at all, so that what is wrong with them is said
 * with the name of the file and not by a peer that hangs up: RFC 5280, sections 4.1.2.5, 4.2.1.3,
 * 4.2.1.9, 4.2.1.12 and 6.
 */
#include "base/error.h"
#include "crypto/tls_priv.h"

#include <gnutls/x509.h>
#include <string.h>
#include <time.h>

typedef struct {
    gnutls_x509_crt_t *at;
    unsigned count;
} List;

static void list_clear(List *l)
{
    for (unsigned i = 0; i < l->count; i++)
        gnutls_x509_crt_deinit(l->at[i]);
    gnutls_free(l->at);
}

const char *crypto_certificate_reason(unsigned status)
{
    static const struct {
        unsigned bit;
        const char *text;
    } reasons[] = {
        { GNUTLS_CERT_REVOKED, "The certificate has been revoked" },
        { GNUTLS_CERT_SIGNER_NOT_FOUND, "The certificate hasn't got a known issuer" },
        { GNUTLS_CERT_SIGNER_NOT_CA, "The certificate's issuer is not a CA" },
        { GNUTLS_CERT_INSECURE_ALGORITHM, "The certificate uses an insecure algorithm" },
        { GNUTLS_CERT_NOT_ACTIVATED, "The certificate is not yet activated" },
        { GNUTLS_CERT_EXPIRED, "The certificate has expired" },
        { GNUTLS_CERT_PURPOSE_MISMATCH, "The certificate is not for this purpose" },
        { GNUTLS_CERT_SIGNATURE_FAILURE, "The certificate's signature is wrong" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(reasons); i++)
        if (status & reasons[i].bit)
            return reasons[i].text;
    return "The certificate is invalid";
}

static bool check_times(gnutls_x509_crt_t c, const char *what, const char *file, GError **error)
{
    time_t now = time(NULL);

    if (gnutls_x509_crt_get_expiration_time(c) < now)
        return fail(error, "The %s certificate %s has expired", what, file);
    if (gnutls_x509_crt_get_activation_time(c) > now)
        return fail(error, "The %s certificate %s is not yet active", what, file);
    return true;
}

static bool check_ca(gnutls_x509_crt_t c, const char *file, GError **error)
{
    unsigned usage = 0;

    if (!check_times(c, "CA", file, error))
        return false;
    if (gnutls_x509_crt_get_basic_constraints(c, NULL, NULL, NULL) <= 0)
        return fail(error, "The certificate %s basic constraints do not show a CA", file);
    if (!gnutls_x509_crt_get_key_usage(c, &usage, NULL) && !(usage & GNUTLS_KEY_KEY_CERT_SIGN))
        return fail(error, "Certificate %s usage does not permit certificate signing", file);
    return true;
}

/* One that is limited to purposes has this end's among them. */
static bool check_purpose(gnutls_x509_crt_t c, const char *file, bool server, GError **error)
{
    const char *want = server ? GNUTLS_KP_TLS_WWW_SERVER : GNUTLS_KP_TLS_WWW_CLIENT;
    char oid[128];

    for (unsigned i = 0;; i++) {
        size_t size = sizeof oid;
        int e = gnutls_x509_crt_get_key_purpose_oid(c, i, oid, &size, NULL);
        if (e == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
            return !i || fail(error, "Certificate %s purpose does not allow use with a TLS %s",
                              file, server ? "server" : "client");
        if (e < 0 || !strcmp(oid, want) || !strcmp(oid, GNUTLS_KP_ANY))
            return e >= 0 || fail(error, "Unable to read the purposes of %s: %s", file,
                                  gnutls_strerror(e));
    }
}

static bool check_own(gnutls_x509_crt_t c, const char *file, bool server, GError **error)
{
    const char *what = server ? "server" : "client";
    unsigned usage = 0;

    if (!check_times(c, what, file, error))
        return false;
    if (gnutls_x509_crt_get_basic_constraints(c, NULL, NULL, NULL) > 0)
        return fail(error,
                    "The certificate %s basic constraints show a CA, but we need one for a %s",
                    file, what);
    if (!gnutls_x509_crt_get_key_usage(c, &usage, NULL) &&
        !(usage & (GNUTLS_KEY_DIGITAL_SIGNATURE | GNUTLS_KEY_KEY_ENCIPHERMENT |
                   GNUTLS_KEY_KEY_AGREEMENT)))
        return fail(error, "Certificate %s usage does not permit digital signature", file);
    return check_purpose(c, file, server, error);
}

static bool check_chain(const List *own, const List *ca, const gnutls_datum_t *crl,
                        const char *own_file, const char *ca_file, GError **error)
{
    gnutls_x509_crl_t *crls = NULL;
    unsigned count = 0, status = 0;

    if (crl->data)
        gnutls_x509_crl_list_import2(&crls, &count, crl, GNUTLS_X509_FMT_PEM, 0);
    int e = gnutls_x509_crt_list_verify(own->at, (int)own->count, ca->at, (int)ca->count, crls,
                                        (int)count, 0, &status);
    for (unsigned i = 0; i < count; i++)
        gnutls_x509_crl_deinit(crls[i]);
    gnutls_free(crls);
    if (e < 0 || status)
        return fail(error, "Our own certificate %s failed validation against %s: %s", own_file,
                    ca_file, e < 0 ? gnutls_strerror(e) : crypto_certificate_reason(status));
    return true;
}

bool crypto_certificates_check(const char *dir, bool server, const gnutls_datum_t *ca,
                               const gnutls_datum_t *own, const gnutls_datum_t *crl,
                               GError **error)
{
    g_autofree char *ca_file = g_build_filename(dir, "ca-cert.pem", NULL);
    const char *name = server ? "server-cert.pem" : "client-cert.pem";
    g_autofree char *file = g_build_filename(dir, name, NULL);
    List cas = { 0 }, certs = { 0 };
    int e = gnutls_x509_crt_list_import2(&cas.at, &cas.count, ca, GNUTLS_X509_FMT_PEM, 0);
    bool ok = e >= 0 || fail(error, "Unable to import CA certificate list %s: %s", ca_file,
                             gnutls_strerror(e));

    for (unsigned i = 0; ok && i < cas.count; i++)
        ok = check_ca(cas.at[i], ca_file, error);
    if (ok && own->data) {
        e = gnutls_x509_crt_list_import2(&certs.at, &certs.count, own, GNUTLS_X509_FMT_PEM, 0);
        ok = e >= 0 ? check_own(certs.at[0], file, server, error)
                    : fail(error, "Unable to import %s certificate %s: %s",
                           server ? "server" : "client", file, gnutls_strerror(e));
        /* what follows the first are the issuers between */
        for (unsigned i = 1; ok && i < certs.count; i++)
            ok = check_ca(certs.at[i], file, error);
        ok = ok && check_chain(&certs, &cas, crl, file, ca_file, error);
    }
    list_clear(&cas);
    list_clear(&certs);
    return ok;
}
