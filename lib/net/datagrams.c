/* SPDX-License-Identifier: MIT */
/*
 * Packets as datagrams, one each. A peer that is not there drops them, as a network does; one that
 * comes back at the same address is found again. A full socket of the only peer holds the card up.
 */
#include "net/net_priv.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <unistd.h>

#define READ_BUDGET 64 /* packets in a row, so that others have their turn */
#define IOV_LIMIT 64

struct NetDatagrams {
    NetBackend *b;
    bool has_remote, one_peer; /* one_peer: connected to remote, when it is there */
    NetAddress remote;
    char *path; /* to be removed at the end, or NULL */
    GSource *in;
    uint8_t *buf; /* NET_PACKET_MAX */

    GMutex lock; /* of what follows */
    int fd;
    bool connected;
    GSource *writable; /* after send has said false */
};

static void clear_source(GSource **source)
{
    if (*source) {
        g_source_destroy(*source);
        g_clear_pointer(source, g_source_unref);
    }
}

static gboolean on_input(gint fd, GIOCondition condition, gpointer opaque)
{
    NetDatagrams *d = opaque;
    for (int i = 0; i < READ_BUDGET; i++) {
        if (!net_wants_more(d->b)) {
            clear_source(&d->in);
            return G_SOURCE_REMOVE;
        }
        ssize_t n = recv(fd, d->buf, NET_PACKET_MAX, MSG_DONTWAIT | MSG_TRUNC);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n > 0 && (size_t)n <= NET_PACKET_MAX)
            net_deliver(d->b, d->buf, (size_t)n);
    }
    return G_SOURCE_CONTINUE;
}

void net_datagrams_resume(NetDatagrams *d)
{
    if (d->in)
        return;
    d->in = g_unix_fd_source_new(d->fd, G_IO_IN);
    g_source_set_callback(d->in, G_SOURCE_FUNC(on_input), d, NULL);
    g_source_attach(d->in, NULL);
}

static gboolean on_writable(gint fd, GIOCondition condition, gpointer opaque)
{
    NetDatagrams *d = opaque;
    g_mutex_lock(&d->lock);
    clear_source(&d->writable);
    g_mutex_unlock(&d->lock);
    net_room(d->b);
    return G_SOURCE_REMOVE;
}

static ssize_t send_once(NetDatagrams *d, struct msghdr *msg)
{
    if (d->one_peer && d->has_remote && !d->connected)
        d->connected = !connect(d->fd, (struct sockaddr *)&d->remote.addr, d->remote.len);
    if (d->one_peer && d->has_remote && !d->connected)
        return 0; /* nobody is there yet */
    return sendmsg(d->fd, msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

bool net_datagrams_send(NetDatagrams *d, const struct iovec *iov, unsigned count, size_t length)
{
    g_autofree uint8_t *flat = NULL;
    struct iovec one;
    struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = count };
    if (count > IOV_LIMIT) {
        size_t at = 0;
        flat = g_malloc(length);
        for (unsigned i = 0; i < count; at += iov[i++].iov_len)
            memcpy(flat + at, iov[i].iov_base, iov[i].iov_len);
        one = (struct iovec){ flat, length };
        msg.msg_iov = &one;
        msg.msg_iovlen = 1;
    }
    if (!d->one_peer) {
        msg.msg_name = &d->remote.addr;
        msg.msg_namelen = d->remote.len;
    }
    bool taken = true;
    g_mutex_lock(&d->lock);
    ssize_t n = send_once(d, &msg);
    if (n < 0 && d->one_peer && d->has_remote && errno != EAGAIN) {
        d->connected = false; /* another may sit at the address by now */
        n = send_once(d, &msg);
    }
    if (n < 0 && errno == EAGAIN && d->one_peer) {
        taken = false;
        if (!d->writable) {
            d->writable = g_unix_fd_source_new(d->fd, G_IO_OUT | G_IO_ERR);
            g_source_set_callback(d->writable, G_SOURCE_FUNC(on_writable), d, NULL);
            g_source_attach(d->writable, NULL);
        }
    }
    g_mutex_unlock(&d->lock);
    return taken;
}

NetDatagrams *net_datagrams_new(NetBackend *b, int fd, const NetAddress *remote, bool one_peer,
                                const char *path)
{
    NetDatagrams *d = g_new0(NetDatagrams, 1);
    d->b = b;
    d->fd = fd;
    d->one_peer = one_peer;
    d->has_remote = remote != NULL;
    if (remote)
        d->remote = *remote;
    d->path = g_strdup(path);
    d->buf = g_malloc(NET_PACKET_MAX);
    g_mutex_init(&d->lock);
    g_unix_set_fd_nonblocking(fd, TRUE, NULL);
    net_datagrams_resume(d);
    return d;
}

void net_datagrams_free(NetDatagrams *d)
{
    if (!d)
        return;
    clear_source(&d->in);
    clear_source(&d->writable);
    close(d->fd);
    if (d->path)
        unlink(d->path);
    g_mutex_clear(&d->lock);
    g_free(d->path);
    g_free(d->buf);
    g_free(d);
}
