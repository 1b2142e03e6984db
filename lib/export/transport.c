/* SPDX-License-Identifier: MIT */
/* A connection's bytes, in the clear or by TLS. The descriptor blocks; whoever must not wait asks.
 */
#include "export/export_priv.h"

#include <errno.h>
#include <sched.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum { LINGER_MS = 500 };

enum { WHOLE = 32 << 10, LOOK_US = 50, CONTENDED_US = 10, MOST_SKIPPED = 100 };

static bool readable(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    return poll(&p, 1, 0) != 0;
}

/*
 * A peer that waits for each answer sends the next request at once, and going to sleep and being
 * woken would take longer than that: so it is looked for a little while, unless others wait for
 * this processor. Who does not find anything several times looks less often.
 */
static void comes_soon(Connection *c)
{
    if (c->looks_skipped < c->looks_in_vain) {
        c->looks_skipped++;
        return;
    }
    c->looks_skipped = 0;
    int64_t now = g_get_monotonic_time(), end = now + LOOK_US, before;
    do {
        if (readable(c->fd)) {
            c->looks_in_vain = 0;
            return;
        }
        before = g_get_monotonic_time();
        sched_yield();
        now = g_get_monotonic_time();
    } while (now < end && now - before < CONTENDED_US);
    c->looks_in_vain = MIN(2 * c->looks_in_vain + 1, MOST_SKIPPED);
}

static ssize_t receive_some(Connection *c, struct iovec *iov, int n, int flags)
{
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (size_t)n };
    ssize_t got;
    do
        got = recvmsg(c->fd, &msg, flags);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

static ssize_t receive_clear(Connection *c, struct iovec *iov, int n, bool wait)
{
    ssize_t got = receive_some(c, iov, n, MSG_DONTWAIT);
    if (got != -EAGAIN || !wait)
        return got;
    comes_soon(c);
    /* the rest of a long payload in one go: what follows it comes by itself */
    bool whole = n > 1 && iov[0].iov_len >= WHOLE;
    return receive_some(c, iov, whole ? 1 : n, whole ? MSG_WAITALL : 0);
}

static int receive_piped(Connection *c, bool wait)
{
    int r = export_pipe_receive(c);
    if (r != -EAGAIN || !wait)
        return r;
    comes_soon(c);
    r = export_pipe_receive(c);
    return r == -EAGAIN ? export_wait(c) : r;
}

int export_receive(Connection *c, bool wait)
{
    struct iovec iov[2];
    ssize_t got;
    if (c->receiving && c->receiving->by_pipe && !c->receiving->error)
        return receive_piped(c, wait);
    int n = nbd_server_buffers(c->nbd, iov);
    if (wait && c->tls && !crypto_tls_pending(c->tls))
        comes_soon(c);
    if (!c->tls)
        got = receive_clear(c, iov, n, wait);
    else if (!wait && !crypto_tls_pending(c->tls) && !readable(c->fd))
        got = -EAGAIN;
    else
        got = crypto_tls_read(c->tls, iov[0].iov_base, iov[0].iov_len);
    if (got <= 0)
        return got ? (int)got : -ESHUTDOWN;
    nbd_server_advance(c->nbd, (size_t)got);
    return 0;
}

int export_wait(Connection *c)
{
    struct pollfd p[2] = { { .fd = c->fd, .events = POLLIN }, { .fd = c->wake, .events = POLLIN } };
    int timeout = -1;
    if (c->deadline) {
        int64_t left = c->deadline - g_get_monotonic_time();
        if (left <= 0)
            return -ETIMEDOUT;
        timeout = (int)(left / 1000) + 1;
    }
    if (poll(p, 2, timeout) > 0 && p[1].revents) {
        eventfd_t n;
        eventfd_read(c->wake, &n);
    }
    return 0;
}

static int send_clear(Connection *c, struct iovec *iov, int n, bool more)
{
    while (n) {
        struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (size_t)n };
        ssize_t sent = sendmsg(c->fd, &msg, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return -errno;
        for (; n && (size_t)sent >= iov->iov_len; n--, iov++)
            sent -= (ssize_t)iov->iov_len;
        if (n) {
            iov->iov_base = (uint8_t *)iov->iov_base + sent;
            iov->iov_len -= (size_t)sent;
        }
    }
    return 0;
}

int export_send(Connection *c, struct iovec *iov, int iovcnt, bool more)
{
    if (c->dead)
        return -EPIPE;
    int r;
    if (c->tls) {
        ssize_t sent = crypto_tls_writev(c->tls, iov, iovcnt);
        r = sent < 0                    ? (int)sent
            : crypto_tls_unsent(c->tls) ? -EAGAIN
                                        : 0; /* in a handshake: it took too long */
    } else {
        r = send_clear(c, iov, iovcnt, more);
    }
    c->dead = r;
    return r;
}

void export_linger(Connection *c)
{
    int64_t end = g_get_monotonic_time() + LINGER_MS * 1000;
    int domain = 0, unsent = 1;
    socklen_t len = sizeof domain;
    bool wasted = false;
    getsockopt(c->fd, SOL_SOCKET, SO_DOMAIN, &domain, &len);
    if (domain != AF_INET && domain != AF_INET6)
        return;
    while (g_get_monotonic_time() < end) {
        uint8_t waste[4096];
        if (recv(c->fd, waste, sizeof waste, MSG_DONTWAIT) > 0) {
            wasted = true;
            continue;
        }
        if (ioctl(c->fd, SIOCOUTQ, &unsent) || !unsent)
            break;
        g_usleep(1000);
    }
    /* who was still sending may find the window shut, and would look at it for a minute */
    struct linger reset = { .l_onoff = 1 };
    if (wasted)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}
