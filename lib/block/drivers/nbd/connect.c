/* SPDX-License-Identifier: MIT */
/* From an address to a connection on which requests can be sent. */
#include "block/nbd.h"

#include "base/error.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

typedef struct {
    const BlockNbdTarget *target;
    BlockNbdPeer *peer;
    int64_t deadline; /* monotonic us; 0: none */
} Handshake;

static int left_ms(const Handshake *h)
{
    if (!h->deadline)
        return -1;
    return (int)MAX((h->deadline - g_get_monotonic_time() + 999) / 1000, 0);
}

static bool send_all(Handshake *h, const uint8_t *bytes, size_t len, GError **error)
{
    BlockNbdPeer *p = h->peer;
    while (len) {
        ssize_t n = p->tls ? crypto_tls_write(p->tls, bytes, len) : send(p->fd, bytes, len, MSG_NOSIGNAL);
        int e = p->tls ? (int)-n : errno;
        if (n < 0 && e == EINTR)
            continue;
        if (n < 0)
            return fail_errno(error, e, "the server does not listen");
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

static bool receive(Handshake *h, GError **error)
{
    BlockNbdPeer *p = h->peer;
    struct pollfd pfd = { .fd = p->fd, .events = POLLIN };
    struct iovec iov[2];
    nbd_client_buffers(p->client, iov);
    int left = left_ms(h); /* none: also for one that never stops talking */
    if (!left || (!(p->tls && crypto_tls_pending(p->tls)) && poll(&pfd, 1, left) == 0))
        return fail(error, "the server has not answered within %d ms", h->target->deadline_ms);
    ssize_t n = p->tls ? crypto_tls_read(p->tls, iov[0].iov_base, iov[0].iov_len)
                       : recv(p->fd, iov[0].iov_base, iov[0].iov_len, 0);
    int e = p->tls ? (int)-n : errno;
    if (n < 0 && e == EINTR)
        return true;
    if (n < 0)
        return fail_errno(error, e, "reading from the server");
    if (!n)
        return fail(error, "the server closed the connection");
    nbd_client_advance(p->client, (size_t)n);
    return true;
}

static bool secure(Handshake *h, GError **error)
{
    const BlockNbdTarget *t = h->target;
    BlockNbdPeer *p = h->peer;
    const char *host = t->address->type == SOCKET_INET ? t->address->host : NULL;
    CryptoTlsParty party = { .hostname = t->hostname ? t->hostname : host };
    p->tls = crypto_tls_new(t->creds, &party, p->fd, error);
    if (!p->tls || !crypto_tls_handshake(p->tls, left_ms(h), error))
        return false;
    nbd_client_secured(p->client);
    return true;
}

static bool shake(Handshake *h, GError **error)
{
    NbdClient *client = h->peer->client;
    for (;;) {
        NbdReply reply;
        NbdEvent event = nbd_client_next(client, NULL, NULL, &reply);
        size_t len;
        const uint8_t *out = nbd_client_output(client, &len);
        if (event == NBD_READY) {
            send_all(h, out, len, NULL); /* at the end of a list, a farewell to whoever still listens */
            nbd_client_sent(client);
            return true;
        }
        if (event == NBD_BROKEN)
            return fail(error, "%s", nbd_client_error(client));
        if (len && !send_all(h, out, len, error))
            return false;
        nbd_client_sent(client);
        if (event == NBD_START_TLS ? !secure(h, error) : !len && !receive(h, error))
            return false;
    }
}

/* Nor is a record of TLS waited for that stops halfway. ms 0: as long as it takes. */
static void limit_waits(int fd, int ms)
{
    struct timeval t = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
}

bool block_nbd_connect(const BlockNbdTarget *target, BlockNbdPeer *peer, GError **error)
{
    BlockNbdPeer p = { .fd = -1 };
    Handshake h = { .target = target, .peer = &p };
    if (target->deadline_ms >= 0)
        h.deadline = g_get_monotonic_time() + target->deadline_ms * INT64_C(1000);
    p.fd = socket_connect(target->address, target->deadline_ms, error);
    if (p.fd < 0)
        return false;
    socket_quick(p.fd);
    if (target->deadline_ms > 0)
        limit_waits(p.fd, target->deadline_ms);
    NbdWanted wanted = target->wanted;
    wanted.tls = target->creds;
    p.client = nbd_client_new(&wanted);
    if (shake(&h, error)) {
        limit_waits(p.fd, 0);
        *peer = p;
        return true;
    }
    block_nbd_close(&p);
    return false;
}

void block_nbd_close(BlockNbdPeer *peer)
{
    crypto_tls_free(g_steal_pointer(&peer->tls));
    nbd_client_free(g_steal_pointer(&peer->client));
    if (peer->fd >= 0)
        close(peer->fd);
    peer->fd = -1;
}
