/* SPDX-License-Identifier: MIT */
/*
 * A connection and its thread. When the server goes away, requests wait for reconnect-delay seconds
 * while the thread tries to reach it again, and are then sent once more (all of them may be); after
 * that time they fail, new ones at once, until it is there again. Without a delay it is over.
 */
#include "block/drivers/nbd/nbd_priv.h"

#include "base/error.h"
#include "base/thread.h"

#include <errno.h>
#include <glib-unix.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ATTEMPT_MS = 5000, FIRST_PAUSE_MS = 100, LAST_PAUSE_MS = 2000 };

static bool reach(const Nbd *nbd, int deadline_ms, BlockNbdPeer *peer, GError **error)
{
    BlockNbdTarget target = { .address = nbd->address, .creds = nbd->creds, .hostname = nbd->tls_hostname,
                              .wanted = { .name = nbd->export, .extended = true, .contexts = nbd->contexts },
                              .deadline_ms = deadline_ms };
    if (!block_nbd_connect(&target, peer, error))
        return false;
    g_unix_set_fd_nonblocking(peer->fd, TRUE, NULL);
    return true;
}

static void adopt(Nbd *nbd, const NbdClient *client)
{
    const NbdExport *e = nbd_client_export(client);
    nbd->size = e->size;
    nbd->flags = e->flags;
    nbd->minimum = MAX(e->minimum, 1);
    nbd->preferred = e->preferred;
    nbd->maximum = e->maximum ? e->maximum : NBD_MAX_PAYLOAD;
    nbd->extended = nbd_client_extended(client);
    nbd->has_context = nbd_client_structured(client) && nbd_client_context(client, 0, &nbd->context_id);
}

/* Whether what answers now can stand in for what answered first. */
static bool is_same(Nbd *nbd, const NbdClient *client)
{
    const NbdExport *e = nbd_client_export(client);
    uint32_t id = nbd->context_id;
    bool context = nbd_client_structured(client) && nbd_client_context(client, 0, &id);
    uint32_t maximum = e->maximum ? e->maximum : NBD_MAX_PAYLOAD;
    return e->size == nbd->size && (e->flags & nbd->flags) == nbd->flags &&
           !(e->flags & ~nbd->flags & NBD_FLAG_READ_ONLY) && MAX(e->minimum, 1) <= nbd->minimum &&
           maximum >= MIN(nbd->maximum, NBD_MAX_PAYLOAD) &&
           nbd_client_extended(client) == nbd->extended && context == nbd->has_context && id == nbd->context_id;
}

/* ---- The thread ---------------------------------------------------------------- */

static int receive(NbdLink *link)
{
    struct iovec iov[2];
    int n = nbd_client_buffers(link->peer.client, iov);
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (size_t)n };
    ssize_t got;
    if (link->peer.tls) {
        got = crypto_tls_read(link->peer.tls, iov[0].iov_base, iov[0].iov_len);
    } else {
        do
            got = recvmsg(link->peer.fd, &msg, 0);
        while (got < 0 && errno == EINTR);
        got = got < 0 ? -errno : got;
    }
    if (got <= 0)
        return got ? (int)got : -ECONNRESET;
    nbd_client_advance(link->peer.client, (size_t)got);
    return 0;
}

/* Until something can be received or sent, or somebody asks for us. */
static int wait_for_news(NbdLink *link)
{
    struct pollfd p[2] = { { .fd = link->peer.fd, .events = POLLIN }, { .fd = link->wake, .events = POLLIN } };
    g_mutex_lock(&link->lock);
    int r = nbd_slot_send(link);
    bool stop = link->stop;
    g_mutex_unlock(&link->lock);
    if (stop)
        return -ECANCELED;
    if (r && r != -EAGAIN)
        return r;
    if (r)
        p[0].events |= POLLOUT;
    if (poll(p, 2, -1) > 0 && p[1].revents) {
        eventfd_t n;
        eventfd_read(link->wake, &n);
    }
    return 0;
}

/* One step; 0 or why the connection is over. */
static int step(NbdLink *link)
{
    NbdReply reply;
    int r;
    switch (nbd_client_next(link->peer.client, nbd_slot_find, link, &reply)) {
    case NBD_REPLY:
        return nbd_slot_reply(link, &reply);
    case NBD_PAYLOAD:
        return nbd_slot_filled(link);
    case NBD_NEED:
        r = receive(link);
        return r == -EAGAIN ? wait_for_news(link) : r;
    default:
        block_node_warn(link->nbd->node, "%s: the server breaks the protocol: %s", block_node_file(link->nbd->node),
                        nbd_client_error(link->peer.client));
        return -EPROTO;
    }
}

static void pause_for(NbdLink *link, int ms)
{
    struct pollfd p = { .fd = link->wake, .events = POLLIN };
    eventfd_t n;
    if (poll(&p, 1, ms) > 0)
        eventfd_read(link->wake, &n);
}

static bool is_stopped(NbdLink *link)
{
    g_mutex_lock(&link->lock);
    bool stop = link->stop;
    g_mutex_unlock(&link->lock);
    return stop;
}

/* The connection is there: what waits is sent. */
static void come_up(NbdLink *link, BlockNbdPeer *peer)
{
    g_mutex_lock(&link->lock);
    link->peer = *peer;
    link->state = LINK_UP;
    nbd_slot_requeue(link);
    g_mutex_unlock(&link->lock);
}

static void go_down(NbdLink *link)
{
    Nbd *nbd = link->nbd;
    g_mutex_lock(&link->lock);
    int64_t now = g_get_monotonic_time();
    /* Of a server that comes back and goes again over the same requests, time goes on. */
    if (link->answered || !link->used || !link->give_up)
        link->give_up = now + (int64_t)nbd->reconnect_delay * 1000000;
    link->state = nbd->reconnect_delay && now < link->give_up ? LINK_LOST : LINK_FAILED;
    block_nbd_close(&link->peer);
    link->filling = NULL;
    bool stop = link->stop, failed = link->state == LINK_FAILED;
    g_mutex_unlock(&link->lock);
    if (failed || stop)
        nbd_slot_fail(link, EIO);
    if (!stop)
        block_node_warn(nbd->node, "%s: the connection was lost%s", block_node_file(nbd->node),
                        failed ? "" : "; trying to connect again");
}

/* An attempt takes no longer than requests wait for it. */
static int attempt_ms(NbdLink *link)
{
    g_mutex_lock(&link->lock);
    int64_t left = (link->give_up - g_get_monotonic_time()) / 1000;
    bool lost = link->state == LINK_LOST;
    g_mutex_unlock(&link->lock);
    return lost ? (int)CLAMP(left, FIRST_PAUSE_MS, ATTEMPT_MS) : ATTEMPT_MS;
}

/* Tries until it is there; false: not any more. */
static bool come_back(NbdLink *link)
{
    Nbd *nbd = link->nbd;
    int pause = FIRST_PAUSE_MS;
    if (!link->answered) /* it was here just now, for nothing */
        pause_for(link, pause);
    link->answered = false;
    while (!is_stopped(link)) {
        BlockNbdPeer peer;
        if (reach(nbd, attempt_ms(link), &peer, NULL)) {
            if (is_same(nbd, peer.client)) {
                come_up(link, &peer);
                return true;
            }
            block_nbd_close(&peer);
        }
        g_mutex_lock(&link->lock);
        bool give_up = link->state == LINK_LOST && g_get_monotonic_time() >= link->give_up;
        if (give_up)
            link->state = LINK_FAILED;
        g_mutex_unlock(&link->lock);
        if (give_up)
            nbd_slot_fail(link, EIO);
        pause_for(link, pause);
        pause = MIN(pause * 2, LAST_PAUSE_MS);
    }
    nbd_slot_fail(link, EIO);
    return false;
}

/* A further connection makes itself; if it cannot, its requests go elsewhere: it never had any. */
static bool make_another(NbdLink *link)
{
    BlockNbdPeer peer;
    bool there = reach(link->nbd, ATTEMPT_MS, &peer, NULL);
    if (there && is_same(link->nbd, peer.client)) {
        come_up(link, &peer);
        return true;
    }
    if (there)
        block_nbd_close(&peer);
    g_mutex_lock(&link->lock);
    link->state = LINK_FAILED;
    g_mutex_unlock(&link->lock);
    return false;
}

static void *run(void *opaque)
{
    NbdLink *link = opaque;
    if (link->state == LINK_STARTING && !make_another(link))
        return NULL;
    for (;;) {
        while (!step(link))
            ;
        go_down(link);
        if (!link->nbd->reconnect_delay || !come_back(link))
            return NULL;
    }
}

/* ---- The control thread --------------------------------------------------------- */

static bool start(NbdLink *link, GError **error)
{
    link->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int e = link->wake < 0 ? errno : thread_start(&link->thread, "nbd-client", run, link);
    link->started = !e;
    return !e || fail_errno(error, e, "a thread for the NBD connection");
}

static void prepare(Nbd *nbd, NbdLink *link)
{
    link->nbd = nbd;
    link->peer.fd = -1;
    link->wake = -1;
    g_mutex_init(&link->lock);
    link->queue_end = &link->queue;
    link->waiting_end = &link->waiting;
}

bool nbd_link_open(Nbd *nbd, GError **error)
{
    NbdLink *link = &nbd->links[0];
    int64_t until = g_get_monotonic_time() + (int64_t)nbd->open_timeout * 1000000;
    prepare(nbd, link);
    nbd->links_up = 1;
    for (int pause = FIRST_PAUSE_MS;; pause = MIN(pause * 2, LAST_PAUSE_MS)) {
        g_autoptr(GError) local = NULL;
        if (reach(nbd, -1, &link->peer, &local))
            break;
        if (g_get_monotonic_time() >= until) {
            g_propagate_error(error, g_steal_pointer(&local));
            return false;
        }
        g_usleep((gulong)pause * 1000);
    }
    adopt(nbd, link->peer.client);
    link->state = LINK_UP;
    return start(link, error);
}

void nbd_link_add(Nbd *nbd)
{
    if (!g_mutex_trylock(&nbd->grow))
        return;
    unsigned n = nbd->links_up;
    if (n < nbd->connections) {
        NbdLink *link = &nbd->links[n];
        prepare(nbd, link);
        link->state = LINK_STARTING;
        if (!start(link, NULL))
            link->state = LINK_FAILED;
        nbd->links_up = n + 1;
    }
    g_mutex_unlock(&nbd->grow);
}

void nbd_link_close(NbdLink *link)
{
    if (link->started) {
        g_mutex_lock(&link->lock);
        link->stop = true;
        if (link->state == LINK_UP) {
            uint8_t head[NBD_HEAD_ROOM];
            NbdRequest bye = { .command = NBD_CMD_DISC };
            struct iovec iov = { head, nbd_client_put_request(link->peer.client, &bye, head) };
            if (link->peer.tls)
                crypto_tls_writev(link->peer.tls, &iov, 1);
            else
                send(link->peer.fd, head, iov.iov_len, MSG_NOSIGNAL | MSG_DONTWAIT);
        }
        g_mutex_unlock(&link->lock);
        eventfd_write(link->wake, 1);
        pthread_join(link->thread, NULL);
    }
    block_nbd_close(&link->peer);
    if (link->wake >= 0)
        close(link->wake);
    g_mutex_clear(&link->lock);
}
