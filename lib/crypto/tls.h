/* SPDX-License-Identifier: MIT */
/*
 * TLS (RFC 8446, RFC 5246) over stream sockets, by gnutls. Credentials and who is let in are
 * objects that the user names (crypto/crypto.h): tls-creds-x509, tls-creds-psk, tls-creds-anon,
 * authz-simple, authz-list, authz-list-file.
 *
 * Threads. Credentials and authorizations are looked at by any number of threads. A session is for
 * one that reads and one that writes at the same time, once the handshake is over. The descriptor
 * stays the caller's.
 */
#pragma once

#include "crypto/crypto.h"

#include <sys/types.h>
#include <sys/uio.h>

typedef struct CryptoTlsCreds CryptoTlsCreds;
typedef struct CryptoAuthz CryptoAuthz;

/* Borrowed from objects (which may be NULL) until the object is removed; who keeps them longer
 * takes a reference. NULL with an error when there are none of that id, or they are for the other
 * end. */
CryptoTlsCreds *crypto_tls_creds(const CryptoObjects *objects, const char *id, bool server,
                                 GError **error);
CryptoTlsCreds *crypto_tls_creds_ref(const CryptoTlsCreds *creds);
void crypto_tls_creds_unref(CryptoTlsCreds *creds); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CryptoTlsCreds, crypto_tls_creds_unref)

CryptoAuthz *crypto_authz(const CryptoObjects *objects, const char *id, GError **error);
CryptoAuthz *crypto_authz_ref(const CryptoAuthz *authz);
void crypto_authz_unref(CryptoAuthz *authz); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CryptoAuthz, crypto_authz_unref)
/* Whether identity (a distinguished name, a user) is let in; false with an error that says it is
 * not, or that the rules cannot be read. */
bool crypto_authz_check(const CryptoAuthz *authz, const char *identity, GError **error);

/* ---- sessions --------------------------------------------------------------- */

typedef struct {
    bool server;
    const char *hostname;     /* client: whom the server's certificate is for; x509 needs it */
    const CryptoAuthz *authz; /* server: who may come in; NULL: whoever the credentials let in */
} CryptoTlsParty;

typedef struct CryptoTls CryptoTls;

/* On a connected stream socket, blocking or not, before any byte of TLS. creds are for party's end,
 * a reference to them is kept; party's members are copied or referenced. */
CryptoTls *crypto_tls_new(const CryptoTlsCreds *creds, const CryptoTlsParty *party, int fd,
                          GError **error);
/* Closes nothing and says nothing to the peer. NULL is fine. */
void crypto_tls_free(CryptoTls *tls);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CryptoTls, crypto_tls_free)

/* Waits for the handshake and looks at the peer: its certificate, its name, whether it is let in.
 * -1: without a deadline. After an error (the peer is told by an alert) the session is good for
 * crypto_tls_free alone. */
bool crypto_tls_handshake(CryptoTls *tls, int deadline_ms, GError **error);
/* Who is there, after the handshake: the distinguished name of its certificate (RFC 4514) or the
 * user of its key; NULL when it has shown neither. */
const char *crypto_tls_peer(const CryptoTls *tls);
/* For messages and logs: "TLS1.3 ECDHE-... AES-256-GCM". Newly allocated. */
char *crypto_tls_describe(const CryptoTls *tls);

/* How many bytes were read, as many as are there without waiting, at least 1; 0 when the peer has
 * said goodbye; -EAGAIN on a non-blocking descriptor with nothing there; -ECONNRESET when the
 * connection ended without a goodbye; -EPROTO for what is no TLS, -EBADMSG for what was tampered
 * with. */
ssize_t crypto_tls_read(CryptoTls *tls, void *buf, size_t len);
/* A read would give something (or find an end) without a look at the descriptor: ask before
 * poll. */
bool crypto_tls_pending(const CryptoTls *tls);

/* On a blocking descriptor all of it is sent, or -errno. On a non-blocking one, how many bytes were
 * taken, at least 1, or -EAGAIN; of what was taken some may not be sent yet: crypto_tls_unsent, and
 * crypto_tls_flush once the descriptor is writable, or the next write. -EPIPE: the peer is gone.
 * Never raises SIGPIPE. */
ssize_t crypto_tls_writev(CryptoTls *tls, const struct iovec *iov, int iovcnt);
ssize_t crypto_tls_write(CryptoTls *tls, const void *buf, size_t len);
bool crypto_tls_unsent(const CryptoTls *tls);
/* 0 when nothing is unsent, -EAGAIN, or another -errno. */
int crypto_tls_flush(CryptoTls *tls);

/* Says goodbye and does not wait for the peer's; by the thread that writes. 0 or -errno. */
int crypto_tls_bye(CryptoTls *tls);
