/* SPDX-License-Identifier: MIT */
/* Credentials as sessions see them. */
#pragma once

#include "crypto/tls.h"

#include <gnutls/gnutls.h>

typedef enum { CREDS_ANON, CREDS_PSK, CREDS_X509 } CredsKind;

struct CryptoTlsCreds {
    gint refs;
    CredsKind kind;
    bool server, verify_peer;
    char *priority;
    gnutls_certificate_credentials_t x509;
    gnutls_psk_client_credentials_t psk_client;
    gnutls_psk_server_credentials_t psk_server;
    char *psk_dir; /* of psk_server's file */
    gnutls_anon_client_credentials_t anon_client;
    gnutls_anon_server_credentials_t anon_server;
    gnutls_dh_params_t dh;
};

/* Called by gnutls within the handshake; 0, or the handshake ends. */
int crypto_tls_verify(gnutls_session_t session);
/* Certificates of a directory are good for this end: dates, purpose, chain; all in PEM. own and crl
 * may have no data. */
bool crypto_certificates_check(const char *dir, bool server, const gnutls_datum_t *ca,
                               const gnutls_datum_t *own, const gnutls_datum_t *crl,
                               GError **error);
/* What is wrong by the bits of gnutls_certificate_status_t. */
const char *crypto_certificate_reason(unsigned status);
