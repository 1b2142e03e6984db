/* SPDX-License-Identifier: MIT */
/*
 * Sessions of TLS. gnutls makes and opens records one by one; between it and the socket are two
 * buffers, so that many records (of 16 KiB at most) go with one system call each way. What was
 * received is at a record's boundary, or none of it is left, whenever a read has returned, which
 * is how crypto_tls_pending knows of whole records without asking gnutls.
 */
#include "base/bytes.h"
#include "base/error.h"
#include "crypto/tls_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/x509.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

enum {
    RECORD = 16384,          /* bytes of data in one at most */
    RECORD_HEADER = 5,
    ROOM = RECORD + 2048,    /* what one takes on the wire at most */
    BUFFER = 8 * ROOM,       /* a share of the second-level cache */
};

struct CryptoTls {
    int fd;
    bool server;
    CryptoTlsCreds *creds;
    CryptoAuthz *authz;
    char *hostname, *peer;
    gnutls_session_t session;
    GError *refused; /* why crypto_tls_verify has ended the handshake */
    bool denied;     /* it was by authorization */
    bool shaking;    /* both buffers are one thread's, and what is sent waits for room */
    gint64 until;    /* when the handshake has to be over; -1: never */
    /* reader */
    uint8_t *in;
    size_t in_at, in_end;
    int in_error; /* errno of the last receive */
    int end;      /* what all further reads give: 0 not yet, 1 a goodbye, or -errno */
    /* writer */
    uint8_t *out, *stage; /* stage: small pieces on their way into one record */
    size_t out_at, out_end, out_size;
};

/* ---- below gnutls ---------------------------------------------------------- */

static ssize_t pull(gnutls_transport_ptr_t opaque, void *buf, size_t len)
{
    CryptoTls *t = opaque;

    if (t->in_at == t->in_end) {
        ssize_t n;
        do
            n = recv(t->fd, t->in, BUFFER, t->shaking ? MSG_DONTWAIT : 0);
        while (n < 0 && errno == EINTR);
        t->in_error = n < 0 ? errno : 0;
        if (n <= 0) {
            gnutls_transport_set_errno(t->session, t->in_error);
            return n;
        }
        t->in_at = 0;
        t->in_end = (size_t)n;
    }
    size_t n = MIN(len, t->in_end - t->in_at);
    memcpy(buf, t->in + t->in_at, n);
    t->in_at += n;
    return (ssize_t)n;
}

static int pull_timeout(gnutls_transport_ptr_t opaque, unsigned ms)
{
    CryptoTls *t = opaque;
    struct pollfd p = { .fd = t->fd, .events = POLLIN };

    return t->in_at < t->in_end ? 1 : poll(&p, 1, (int)MIN(ms, G_MAXINT));
}

/* Takes everything: a writer has made room before, and a handshake is small. */
static ssize_t push(gnutls_transport_ptr_t opaque, const void *data, size_t len)
{
    CryptoTls *t = opaque;

    if (t->out_size - t->out_end < len) {
        t->out_size = t->out_end + len;
        t->out = g_realloc(t->out, t->out_size);
    }
    memcpy(t->out + t->out_end, data, len);
    t->out_end += len;
    return (ssize_t)len;
}

int crypto_tls_flush(CryptoTls *t)
{
    while (t->out_at < t->out_end) {
        ssize_t n = send(t->fd, t->out + t->out_at, t->out_end - t->out_at,
                         MSG_NOSIGNAL | (t->shaking ? MSG_DONTWAIT : 0));
        if (n < 0 && errno != EINTR)
            return -errno;
        t->out_at += n > 0 ? (size_t)n : 0;
    }
    t->out_at = t->out_end = 0;
    return 0;
}

bool crypto_tls_unsent(const CryptoTls *t)
{
    return t->out_at < t->out_end;
}

/* ---- life ------------------------------------------------------------------ */

static bool set_credentials(CryptoTls *t)
{
    const CryptoTlsCreds *c = t->creds;

    switch (c->kind) {
    case CREDS_X509:
        if (t->server)
            gnutls_certificate_server_set_request(t->session, c->verify_peer ? GNUTLS_CERT_REQUIRE
                                                                             : GNUTLS_CERT_IGNORE);
        return !gnutls_credentials_set(t->session, GNUTLS_CRD_CERTIFICATE, c->x509);
    case CREDS_PSK:
        return !gnutls_credentials_set(t->session, GNUTLS_CRD_PSK,
                                       t->server ? (void *)c->psk_server : (void *)c->psk_client);
    case CREDS_ANON:
        break;
    }
    return !gnutls_credentials_set(t->session, GNUTLS_CRD_ANON,
                                   t->server ? (void *)c->anon_server : (void *)c->anon_client);
}

/*
 * gnutls prefers ciphers with longer keys, and a key that both sides know goes with SHA-256 alone: left to
 * itself it would then take ChaCha20, at an eighth of the speed that AES-128 has on a processor with
 * instructions for it. There ChaCha20 comes last, and a server's order counts.
 */
static const char *preferred(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul"))
        return "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-CHACHA20-POLY1305:+CHACHA20-POLY1305:"
               "%SERVER_PRECEDENCE";
#endif
    return "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
}

static bool set_priority(CryptoTls *t, GError **error)
{
    static const char *const more[] = {
        [CREDS_X509] = "",
        [CREDS_PSK] = ":+ECDHE-PSK:+DHE-PSK:+PSK",
        [CREDS_ANON] = ":-VERS-TLS1.3:+ANON-ECDH:+ANON-DH", /* 1.3 has no such thing */
    };
    const char *given = t->creds->priority;
    g_autofree char *text =
        g_strconcat(given ? given : preferred(),
                    more[t->creds->kind], NULL);
    int e = gnutls_priority_set_direct(t->session, text, NULL);

    return !e || fail_usage(error, "Unable to set TLS session priority %s: %s", text,
                            gnutls_strerror(e));
}

/* Names of hosts are told to the server; addresses are not names (RFC 6066, 3). */
static void set_name(CryptoTls *t)
{
    struct in6_addr a;

    if (!t->server && t->hostname && *t->hostname && !inet_pton(AF_INET, t->hostname, &a) &&
        !inet_pton(AF_INET6, t->hostname, &a))
        gnutls_server_name_set(t->session, GNUTLS_NAME_DNS, t->hostname, strlen(t->hostname));
}

CryptoTls *crypto_tls_new(const CryptoTlsCreds *creds, const CryptoTlsParty *party, int fd,
                          GError **error)
{
    g_autoptr(CryptoTls) t = g_new0(CryptoTls, 1);

    t->fd = fd;
    t->server = party->server;
    t->creds = crypto_tls_creds_ref(creds);
    t->authz = party->authz ? crypto_authz_ref(party->authz) : NULL;
    t->hostname = g_strdup(party->hostname);
    t->out_size = BUFFER;
    t->in = g_malloc(BUFFER);
    t->out = g_malloc(BUFFER);
    t->stage = g_malloc(RECORD);
    if (creds->server != party->server) {
        fail(error, "Expected TLS credentials for a %s endpoint",
             party->server ? "server" : "client");
        return NULL;
    }
    int e = gnutls_init(&t->session, (t->server ? GNUTLS_SERVER : GNUTLS_CLIENT) |
                                         GNUTLS_NO_TICKETS | GNUTLS_NO_SIGNAL);
    if (e) {
        t->session = NULL;
        fail(error, "Cannot create TLS session: %s", gnutls_strerror(e));
        return NULL;
    }
    gnutls_session_set_ptr(t->session, t);
    if (!set_priority(t, error))
        return NULL;
    if (!set_credentials(t)) {
        fail(error, "Cannot set session credentials");
        return NULL;
    }
    set_name(t);
    gnutls_handshake_set_timeout(t->session, GNUTLS_INDEFINITE_TIMEOUT);
    gnutls_transport_set_ptr(t->session, t);
    gnutls_transport_set_pull_function(t->session, pull);
    gnutls_transport_set_pull_timeout_function(t->session, pull_timeout);
    gnutls_transport_set_push_function(t->session, push);
    return g_steal_pointer(&t);
}

void crypto_tls_free(CryptoTls *t)
{
    if (!t)
        return;
    if (t->session)
        gnutls_deinit(t->session);
    crypto_tls_creds_unref(t->creds);
    crypto_authz_unref(t->authz);
    g_clear_error(&t->refused);
    crypto_wipe(t->stage, RECORD);
    g_free(t->hostname);
    g_free(t->peer);
    g_free(t->in);
    g_free(t->out);
    g_free(t->stage);
    g_free(t);
}

/* ---- who is there ---------------------------------------------------------- */

static bool authorize(CryptoTls *t, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (!t->authz)
        return true;
    if (!t->peer)
        return fail(error, "the TLS client has not shown who it is, as authorization needs");
    if (crypto_authz_check(t->authz, t->peer, &why))
        return true;
    return fail(error, "TLS authz check for %s: %s", t->peer, why->message);
}

static bool read_name(CryptoTls *t, gnutls_x509_crt_t c, GError **error)
{
    gnutls_datum_t name = { 0 };
    int e = gnutls_x509_crt_get_dn3(c, &name, 0);

    if (e < 0)
        return fail(error, "Cannot get client distinguished name: %s", gnutls_strerror(e));
    g_free(t->peer);
    t->peer = g_strndup((const char *)name.data, name.size);
    gnutls_free(name.data);
    return true;
}

static bool verify_certificate(CryptoTls *t, GError **error)
{
    unsigned count = 0, status = 0;
    const gnutls_datum_t *list = gnutls_certificate_get_peers(t->session, &count);
    gnutls_typed_vdata_st purpose = {
        .type = GNUTLS_DT_KEY_PURPOSE_OID,
        .data = (unsigned char *)(t->server ? GNUTLS_KP_TLS_WWW_CLIENT : GNUTLS_KP_TLS_WWW_SERVER),
    };
    gnutls_x509_crt_t c;

    if (!t->creds->verify_peer)
        return true;
    if (!list || !count)
        return fail(error, "No certificate peers");
    int e = gnutls_certificate_verify_peers(t->session, &purpose, 1, &status);
    if (e < 0)
        return fail(error, "Verify failed: %s", gnutls_strerror(e));
    if (status)
        return fail(error, "%s", crypto_certificate_reason(status));
    if (gnutls_x509_crt_init(&c) < 0)
        return fail(error, "the certificate cannot be read");
    e = gnutls_x509_crt_import(c, &list[0], GNUTLS_X509_FMT_DER);
    bool ok = e >= 0 ? read_name(t, c, error)
                     : fail(error, "Cannot import certificate: %s", gnutls_strerror(e));
    if (ok && !t->server) {
        if (!t->hostname)
            ok = fail(error, "No hostname for certificate validation");
        else if (!gnutls_x509_crt_check_hostname(c, t->hostname))
            ok = fail(error, "Certificate does not match the hostname %s", t->hostname);
    }
    gnutls_x509_crt_deinit(c);
    t->denied = ok && !authorize(t, error);
    return ok && !t->denied;
}

int crypto_tls_verify(gnutls_session_t session)
{
    CryptoTls *t = gnutls_session_get_ptr(session);

    g_clear_error(&t->refused);
    return verify_certificate(t, &t->refused) ? 0 : GNUTLS_E_CERTIFICATE_ERROR;
}

/* What the verify function has not seen: keys, and no certificate at all. */
static bool verify_rest(CryptoTls *t, GError **error)
{
    if (t->creds->kind == CREDS_PSK && t->server)
        t->peer = g_strdup(gnutls_psk_server_get_username(t->session));
    if (t->creds->kind == CREDS_X509 && t->creds->verify_peer) {
        if (!t->peer)
            return fail(error, "the TLS peer has shown no certificate");
        return true;
    }
    return authorize(t, error);
}

const char *crypto_tls_peer(const CryptoTls *t)
{
    return t->peer;
}

char *crypto_tls_describe(const CryptoTls *t)
{
    char *desc = gnutls_session_get_desc(t->session), *copy = g_strdup(desc ? desc : "TLS");

    gnutls_free(desc);
    return copy;
}

/* ---- handshake ------------------------------------------------------------- */

/* 0, or an errno; the descriptor may be ready or not. */
static int wait_for(CryptoTls *t, short events)
{
    struct pollfd p = { .fd = t->fd, .events = events };
    gint64 left = t->until < 0 ? -1 : t->until - g_get_monotonic_time() / 1000;

    if (t->until >= 0 && left <= 0)
        return ETIMEDOUT;
    int n = poll(&p, 1, (int)MIN(left, G_MAXINT));
    return n > 0 || (n < 0 && errno == EINTR) ? 0 : n ? errno : ETIMEDOUT;
}

static int flush_waiting(CryptoTls *t)
{
    int e;

    while ((e = crypto_tls_flush(t)) == -EAGAIN)
        if ((e = -wait_for(t, POLLOUT)))
            return e;
    return e;
}

static bool fail_handshake(CryptoTls *t, int e, GError **error)
{
    if (t->refused) {
        g_propagate_error(error, g_steal_pointer(&t->refused));
        return false;
    }
    if (e == GNUTLS_E_FATAL_ALERT_RECEIVED)
        return fail(error, "TLS handshake failed: %s %s", gnutls_strerror(e),
                    gnutls_alert_get_name(gnutls_alert_get(t->session)));
    if (e == GNUTLS_E_PULL_ERROR && t->in_error)
        return fail_errno(error, t->in_error, "TLS handshake failed");
    if (e == GNUTLS_E_PREMATURE_TERMINATION)
        return fail(error, "TLS handshake failed: the peer has closed the connection");
    return fail(error, "TLS handshake failed: %s", gnutls_strerror(e));
}

static void say_why(CryptoTls *t, int e)
{
    if (t->denied)
        gnutls_alert_send(t->session, GNUTLS_AL_FATAL, GNUTLS_A_ACCESS_DENIED);
    else
        gnutls_alert_send_appropriate(t->session, e);
    crypto_tls_flush(t); /* without waiting; it is a courtesy */
}

static bool shake(CryptoTls *t, GError **error)
{
    for (;;) {
        int e = gnutls_handshake(t->session), sys = flush_waiting(t);
        if (e < 0 && e != GNUTLS_E_AGAIN && e != GNUTLS_E_INTERRUPTED && gnutls_error_is_fatal(e)) {
            say_why(t, e);
            return fail_handshake(t, e, error);
        }
        if (!sys && !e)
            return true;
        if (!sys && e == GNUTLS_E_AGAIN)
            sys = -wait_for(t, POLLIN);
        if (sys)
            return fail_errno(error, -sys, "TLS handshake failed");
    }
}

bool crypto_tls_handshake(CryptoTls *t, int deadline_ms, GError **error)
{
    t->until = deadline_ms < 0 ? -1 : g_get_monotonic_time() / 1000 + deadline_ms;
    t->shaking = true;
    bool ok = shake(t, error);
    if (ok && !verify_rest(t, error)) {
        gnutls_alert_send(t->session, GNUTLS_AL_FATAL, GNUTLS_A_ACCESS_DENIED);
        crypto_tls_flush(t);
        ok = false;
    }
    t->shaking = false;
    return ok;
}

/* ---- data ------------------------------------------------------------------ */

bool crypto_tls_pending(const CryptoTls *t)
{
    size_t n = t->in_end - t->in_at;

    return t->end || gnutls_record_check_pending(t->session) ||
           (n >= RECORD_HEADER && n - RECORD_HEADER >= ld_be16(t->in + t->in_at + 3));
}

static int read_error(const CryptoTls *t, int e)
{
    switch (e) {
    case GNUTLS_E_PREMATURE_TERMINATION:
        return -ECONNRESET;
    case GNUTLS_E_PULL_ERROR:
        return t->in_error ? -t->in_error : -EIO;
    case GNUTLS_E_DECRYPTION_FAILED:
        return -EBADMSG;
    case GNUTLS_E_FATAL_ALERT_RECEIVED:
        return -ECONNABORTED;
    case GNUTLS_E_MEMORY_ERROR:
        return -ENOMEM;
    }
    return -EPROTO;
}

ssize_t crypto_tls_read(CryptoTls *t, void *buf, size_t len)
{
    size_t done = 0;

    /* once there is something, only what needs no receive */
    while (!t->end && done < len && (!done || crypto_tls_pending(t))) {
        t->in_error = 0;
        ssize_t n = gnutls_record_recv(t->session, (uint8_t *)buf + done, len - done);
        if (n > 0)
            done += (size_t)n;
        else if (n == GNUTLS_E_AGAIN && t->in_error != EAGAIN)
            continue; /* it was a record without data for us, such as a ticket */
        else if (n == GNUTLS_E_AGAIN)
            return done ? (ssize_t)done : -EAGAIN;
        else if (!n)
            t->end = 1;
        else if (n == GNUTLS_E_REHANDSHAKE && t->server)
            t->end = -EPROTO; /* a client may not start over */
        else if (gnutls_error_is_fatal((int)n))
            t->end = read_error(t, (int)n);
    }
    return done || t->end >= 0 ? (ssize_t)done : t->end;
}

/* One record of what gnutls takes at most. */
static int send_record(CryptoTls *t, const void *data, size_t len)
{
    ssize_t n;

    do
        n = gnutls_record_send(t->session, data, len);
    while (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED);
    return n == (ssize_t)len ? 0 : n == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EPIPE;
}

/* Where a writer is in its pieces. */
typedef struct {
    const struct iovec *iov;
    int count;
    size_t at; /* in the first */
} Cursor;

static size_t piece(Cursor *c, const uint8_t **data)
{
    while (c->count && c->at == c->iov->iov_len) {
        c->iov++;
        c->count--;
        c->at = 0;
    }
    if (!c->count)
        return 0;
    *data = (const uint8_t *)c->iov->iov_base + c->at;
    return c->iov->iov_len - c->at;
}

/*
 * The data of the next record: from where it lies, or small pieces put together. Of a large piece
 * after small ones only what is beyond whole records joins them, so that the rest needs no copy.
 */
static size_t next_record(CryptoTls *t, Cursor *c, size_t limit, const uint8_t **data)
{
    size_t n = piece(c, data), staged = 0;

    if (n >= limit) {
        c->at += limit;
        return limit;
    }
    while (n) {
        size_t take = n < limit ? n : n % limit;
        const uint8_t *from = *data;
        if (!take || take > limit - staged)
            break;
        c->at += take;
        n = take < n ? 0 : piece(c, data);
        if (!n && !staged) {
            *data = from;
            return take;
        }
        memcpy(t->stage + staged, from, take);
        staged += take;
    }
    *data = t->stage;
    return staged;
}

ssize_t crypto_tls_writev(CryptoTls *t, const struct iovec *iov, int iovcnt)
{
    Cursor c = { iov, iovcnt, 0 };
    size_t limit = MIN(gnutls_record_get_max_size(t->session), (size_t)RECORD), done = 0, n;
    const uint8_t *data;
    int e = 0;

    if (crypto_tls_unsent(t) && (e = crypto_tls_flush(t)))
        return e;
    while (!e && (n = piece(&c, &data))) {
        if (t->out_size - t->out_end < ROOM && (e = crypto_tls_flush(t)))
            break;
        n = next_record(t, &c, limit, &data);
        e = send_record(t, data, n);
        done += e ? 0 : n;
    }
    if (!e)
        e = crypto_tls_flush(t);
    return e == -EAGAIN && done ? (ssize_t)done : e ? e : (ssize_t)done;
}

ssize_t crypto_tls_write(CryptoTls *t, const void *buf, size_t len)
{
    struct iovec iov = { (void *)buf, len };

    return crypto_tls_writev(t, &iov, 1);
}

int crypto_tls_bye(CryptoTls *t)
{
    int e = gnutls_bye(t->session, GNUTLS_SHUT_WR);
    int sys = crypto_tls_flush(t);

    return e < 0 ? -EPIPE : sys;
}
