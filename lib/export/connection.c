/* SPDX-License-Identifier: MIT */
/* One connection's thread: the handshake, then requests until the peer or the server has enough. */
#include "export/export_priv.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

enum { SEND_ROOM = 512 << 10, POSTPONED = 4 /* answers */ };

static const NbdExport *nth(void *opaque, unsigned i)
{
    Connection *c = opaque;
    const NbdExport *found = NULL;
    g_mutex_lock(&c->server->lock);
    for (unsigned at = 0; at < c->server->exports->len && !found; at++) {
        Export *e = c->server->exports->pdata[at];
        if (!e->removed && !i--)
            found = &e->wire;
    }
    g_mutex_unlock(&c->server->lock);
    return found;
}

static const NbdExport *find(void *opaque, const char *name)
{
    Connection *c = opaque;
    const NbdExport *e;
    for (unsigned i = 0; (e = nth(c, i)); i++)
        if (!strcmp(e->name, name))
            return e;
    return NULL;
}

static bool admit(void *opaque, const NbdExport *chosen, char *reason, size_t room)
{
    /* wire is the first member */
    if (export_enter(opaque, (Export *)(void *)chosen))
        return true;
    g_strlcpy(reason, "the export is going away", room);
    return false;
}

/* Neither a record of TLS that stops halfway nor answers that nobody takes keep a handshake for
 * longer. */
static void limit_waits(Connection *c, unsigned ms)
{
    struct timeval t = { .tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000 };
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
}

/* Room for two long answers, as a Unix socket never takes more by itself; with much more than that
 * they would leave the processor's cache before they are read. */
static void widen(Connection *c)
{
    int domain = 0, room = SEND_ROOM;
    socklen_t len = sizeof domain;
    getsockopt(c->fd, SOL_SOCKET, SO_DOMAIN, &domain, &len);
    if (domain == AF_UNIX)
        setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
}

static int secure(Connection *c)
{
    GError *error = NULL;
    CryptoTlsParty party = { .server = true, .authz = c->server->config.authz };
    int64_t left = (c->deadline - g_get_monotonic_time()) / 1000;
    c->tls = crypto_tls_new(c->server->config.creds, &party, c->fd, &error);
    if (!c->tls || !crypto_tls_handshake(c->tls, (int)MAX(left, 0), &error)) {
        c->broke = g_strdup(error->message);
        g_error_free(error);
        return -EPROTO;
    }
    nbd_server_secured(c->nbd);
    return 0;
}

/* What the handshake has to say. */
static int send_output(Connection *c)
{
    size_t len;
    const uint8_t *out = nbd_server_output(c->nbd, &len);
    struct iovec iov = { (void *)out, len };
    int r = len ? export_send(c, &iov, 1, false) : 0;
    nbd_server_sent(c->nbd);
    return r;
}

/* More bytes: what is finished is answered first, and nothing is waited for that could be. */
static int more(Connection *c)
{
    int r = export_collect(c);
    if (!r && c->n_ready && c->n_ready < POSTPONED && !c->tls) {
        /* what is in the socket already comes first: the peer is then told less often */
        r = export_receive(c, false);
        if (r != -EAGAIN)
            return r;
        r = 0;
    }
    if (!r)
        r = export_flush_answers(c);
    if (r)
        return r;
    /* a TCP socket that is shut down for reading still gives what is in it, megabytes perhaps */
    if (atomic_load(&c->stopping))
        return -ESHUTDOWN;
    if (!c->in_flight && !c->deadline)
        return export_receive(c, true);
    if (c->deadline && g_get_monotonic_time() >= c->deadline)
        return -ETIMEDOUT; /* who keeps talking has no more time than others */
    r = export_receive(c, false);
    if (r == -EAGAIN)
        r = export_wait(c);
    return r;
}

static int step(Connection *c)
{
    NbdRequest request;
    size_t len;
    NbdEvent event = nbd_server_next(c->nbd, &request);
    nbd_server_output(c->nbd, &len);
    bool said = len;
    int r = said ? send_output(c) : 0;
    if (r)
        return r;
    switch (event) {
    case NBD_NEED:
        return said ? 0 : more(c);
    case NBD_START_TLS:
        return secure(c);
    case NBD_READY:
        c->deadline = 0;
        limit_waits(c, 0);
        return 0;
    case NBD_REQUEST:
        return export_request(c, &request);
    case NBD_PAYLOAD:
        return export_payload(c);
    case NBD_END:
        return -ESHUTDOWN;
    default:
        if (!c->broke)
            c->broke = g_strdup(nbd_server_error(c->nbd));
        return -EPROTO;
    }
}

/* The peer is told that it was the end in good order, and what has been sent to it is not thrown
 * away: closing a TCP socket with bytes unread would reset it. */
static void say_goodbye(Connection *c)
{
    if (c->tls)
        crypto_tls_bye(c->tls);
    shutdown(c->fd, SHUT_WR);
    if (atomic_load(&c->stopping) && !c->dead)
        export_linger(c);
}

static void explain(Connection *c, int r)
{
    if (c->broke || r == -ESHUTDOWN || atomic_load(&c->stopping))
        return;
    if (r == -ECONNRESET || r == -EPIPE)
        return; /* gone without a word: many clients do */
    bool late = r == -ETIMEDOUT || (r == -EAGAIN && c->deadline);
    c->broke = late ? g_strdup("it did not choose an export in time") : g_strdup(g_strerror(-r));
}

void *export_connection_run(void *opaque)
{
    Connection *c = opaque;
    sigset_t pipe; /* sendfile has no MSG_NOSIGNAL */
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, NULL);
    ExportNbd *server = c->server;
    NbdOffer offer = { .nth = nth, .find = find, .admit = admit, .opaque = c };
    c->nbd = nbd_server_new(&offer, server->config.creds ? NBD_TLS_REQUIRED : NBD_TLS_NONE);
    c->deadline = g_get_monotonic_time() + server->config.handshake_ms * INT64_C(1000);
    limit_waits(c, server->config.handshake_ms);
    widen(c);
    int r = send_output(c);
    while (!r)
        r = step(c);
    /* the answers to what was read are owed, as long as somebody listens */
    while (c->in_flight || c->n_ready) {
        export_flush_answers(c);
        if (c->in_flight)
            export_wait_finished(c);
        export_collect(c);
    }
    while (atomic_load(&c->poking))
        g_thread_yield();
    explain(c, r);
    say_goodbye(c);
    export_free_tasks(c);
    g_mutex_lock(&server->lock);
    c->ended = true;
    g_source_set_ready_time(server->reaper, 0);
    g_mutex_unlock(&server->lock);
    return NULL;
}
