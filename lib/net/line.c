/* SPDX-License-Identifier: MIT */
/*
 * One peer on a stream socket: packets with their lengths in front, both ways. A packet that was
 * taken from the card is sent whole or, when the peer vanishes, not at all. The link of the card is
 * down while there is no peer.
 */
#include "base/bytes.h"
#include "base/error.h"
#include "net/net_priv.h"

#include <errno.h>
#include <glib-unix.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define IOV_LIMIT 64
#define READ_SIZE (256 << 10)

struct NetLine {
    NetBackend *b;
    bool server;
    unsigned reconnect;
    char *path;        /* to be removed at the end, or NULL */
    GArray *addresses; /* of NetAddress */
    guint next;
    int error;         /* why there is no connection */
    int listen_fd, connect_fd;
    GSource *source;   /* of those, or the time until the next attempt */
    GSource *in;
    bool reads;        /* `in` waits for input, not for a hang-up alone */
    NetFrames frames;
    uint8_t *buf;      /* READ_SIZE */

    GMutex lock;       /* of what follows */
    int fd;            /* -1: no peer; changed by the main thread only */
    GByteArray *out;   /* the rest of a packet that is half sent */
    bool wants_room;   /* net_line_send has said false */
    GSource *writable; /* while there is a rest */
};

static void clear_source(GSource **source)
{
    if (*source) {
        g_source_destroy(*source);
        g_clear_pointer(source, g_source_unref);
    }
}

static void set_source(NetLine *l, GSource *source, GSourceFunc func)
{
    clear_source(&l->source);
    l->source = source;
    g_source_set_callback(source, func, l, NULL);
    g_source_attach(source, NULL);
}

static void watch(NetLine *l, bool input);
static void peer_gone(NetLine *l);

/* ---- Sending --------------------------------------------------------------- */

static gboolean on_writable(gint fd, GIOCondition condition, gpointer opaque)
{
    NetLine *l = opaque;
    g_mutex_lock(&l->lock);
    ssize_t n = send(l->fd, l->out->data, l->out->len, MSG_NOSIGNAL | MSG_DONTWAIT);
    bool broken = n < 0 && errno != EAGAIN && errno != EINTR;
    if (n > 0)
        g_byte_array_remove_range(l->out, 0, (guint)n);
    bool done = broken || !l->out->len, room = done && l->wants_room;
    if (broken)
        g_byte_array_set_size(l->out, 0); /* the reader sees the end and closes */
    if (room)
        l->wants_room = false;
    if (done)
        clear_source(&l->writable);
    g_mutex_unlock(&l->lock);
    if (broken)
        shutdown(fd, SHUT_RDWR);
    if (room)
        net_room(l->b);
    return done ? G_SOURCE_REMOVE : G_SOURCE_CONTINUE;
}

static void keep_rest(NetLine *l, const struct iovec *iov, size_t count, size_t sent)
{
    for (size_t i = 0; i < count; i++) {
        size_t skip = MIN(sent, iov[i].iov_len);
        sent -= skip;
        g_byte_array_append(l->out, (uint8_t *)iov[i].iov_base + skip,
                            (guint)(iov[i].iov_len - skip));
    }
    l->writable = g_unix_fd_source_new(l->fd, G_IO_OUT | G_IO_HUP | G_IO_ERR);
    g_source_set_callback(l->writable, G_SOURCE_FUNC(on_writable), l, NULL);
    g_source_attach(l->writable, NULL);
}

bool net_line_send(NetLine *l, const struct iovec *iov, unsigned count, size_t length)
{
    uint8_t header[4];
    struct iovec all[IOV_LIMIT + 1] = { { .iov_base = header, .iov_len = sizeof header } };
    g_autofree uint8_t *flat = NULL;
    size_t n = 1;
    st_be32(header, (uint32_t)length);
    if (count <= IOV_LIMIT) {
        for (unsigned i = 0; i < count; i++)
            all[n++] = iov[i];
    } else { /* rare */
        flat = g_malloc(length);
        size_t at = 0;
        for (unsigned i = 0; i < count; at += iov[i++].iov_len)
            memcpy(flat + at, iov[i].iov_base, iov[i].iov_len);
        all[n++] = (struct iovec){ flat, length };
    }
    bool taken = true;
    g_mutex_lock(&l->lock);
    if (l->fd >= 0 && l->out->len) {
        l->wants_room = true;
        taken = false;
    } else if (l->fd >= 0) {
        struct msghdr msg = { .msg_iov = all, .msg_iovlen = n };
        ssize_t sent = sendmsg(l->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EAGAIN)
            sent = 0;
        if (sent >= 0 && (size_t)sent < length + sizeof header)
            keep_rest(l, all, n, (size_t)sent);
    }
    g_mutex_unlock(&l->lock);
    return taken;
}

/* ---- Receiving ------------------------------------------------------------- */

static void on_packet(void *opaque, const uint8_t *data, size_t length)
{
    NetLine *l = opaque;
    net_deliver(l->b, data, length);
}

static gboolean on_input(gint fd, GIOCondition condition, gpointer opaque)
{
    NetLine *l = opaque;
    if (!net_wants_more(l->b) && !(condition & (G_IO_HUP | G_IO_ERR))) {
        watch(l, false);
        return G_SOURCE_REMOVE;
    }
    ssize_t n = recv(fd, l->buf, READ_SIZE, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return G_SOURCE_CONTINUE;
    if (n <= 0 || !net_frames_feed(&l->frames, l->buf, (size_t)n, on_packet, l)) {
        peer_gone(l);
        return G_SOURCE_REMOVE;
    }
    return G_SOURCE_CONTINUE;
}

static void watch(NetLine *l, bool input)
{
    if (l->in && l->reads == input)
        return;
    clear_source(&l->in);
    l->reads = input;
    l->in = g_unix_fd_source_new(l->fd, (input ? G_IO_IN : 0) | G_IO_HUP | G_IO_ERR);
    g_source_set_callback(l->in, G_SOURCE_FUNC(on_input), l, NULL);
    g_source_attach(l->in, NULL);
}

void net_line_resume(NetLine *l)
{
    if (l->fd >= 0)
        watch(l, true);
}

/* ---- Peers ----------------------------------------------------------------- */

static void attach(NetLine *l, int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    net_frames_reset(&l->frames);
    g_mutex_lock(&l->lock);
    l->fd = fd;
    g_mutex_unlock(&l->lock);
    watch(l, true);
    net_set_peer(l->b, true);
}

static gboolean on_accept(gint listen_fd, GIOCondition condition, gpointer opaque)
{
    NetLine *l = opaque;
    int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return G_SOURCE_CONTINUE;
    clear_source(&l->source);
    attach(l, fd);
    return G_SOURCE_REMOVE;
}

static void try_next(NetLine *l);

static gboolean on_connected(gint fd, GIOCondition condition, gpointer opaque)
{
    NetLine *l = opaque;
    socklen_t len = sizeof l->error;
    l->connect_fd = -1;
    clear_source(&l->source);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &l->error, &len))
        l->error = errno;
    if (!l->error) {
        attach(l, fd);
    } else {
        close(fd);
        try_next(l);
    }
    return G_SOURCE_REMOVE;
}

static gboolean on_retry(gpointer opaque)
{
    NetLine *l = opaque;
    l->next = 0;
    clear_source(&l->source);
    try_next(l);
    return G_SOURCE_REMOVE;
}

static void try_next(NetLine *l)
{
    while (l->next < l->addresses->len) {
        const NetAddress *a = &g_array_index(l->addresses, NetAddress, l->next++);
        int fd = socket(a->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd >= 0 && !connect(fd, (const struct sockaddr *)&a->addr, a->len)) {
            attach(l, fd);
            return;
        }
        l->error = errno;
        if (fd >= 0 && errno == EINPROGRESS) {
            l->connect_fd = fd;
            set_source(l, g_unix_fd_source_new(fd, G_IO_OUT | G_IO_HUP | G_IO_ERR),
                       G_SOURCE_FUNC(on_connected));
            return;
        }
        if (fd >= 0)
            close(fd);
    }
    if (l->reconnect)
        set_source(l, g_timeout_source_new_seconds(l->reconnect), on_retry);
}

static void peer_gone(NetLine *l)
{
    g_mutex_lock(&l->lock);
    int fd = l->fd;
    l->fd = -1;
    clear_source(&l->writable);
    clear_source(&l->in);
    g_byte_array_set_size(l->out, 0);
    bool room = l->wants_room;
    l->wants_room = false;
    g_mutex_unlock(&l->lock);
    close(fd);
    net_set_peer(l->b, false);
    if (room)
        net_room(l->b);
    if (l->listen_fd >= 0)
        set_source(l, g_unix_fd_source_new(l->listen_fd, G_IO_IN), G_SOURCE_FUNC(on_accept));
    else if (l->reconnect)
        set_source(l, g_timeout_source_new_seconds(l->reconnect), on_retry);
}

/* ---- Life ------------------------------------------------------------------ */

static bool listen_at(NetLine *l, const NetAddress *a, const char *path, GError **error)
{
    const struct sockaddr *addr = (const struct sockaddr *)&a->addr;
    int on = 1, fd = socket(a->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail_errno(error, errno, "cannot make a socket");
    if (path) { /* left by one who was killed: nobody answers there */
        int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (probe >= 0 && connect(probe, addr, a->len) && errno == ECONNREFUSED)
            unlink(path);
        if (probe >= 0)
            close(probe);
    } else {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    }
    if (bind(fd, addr, a->len) || listen(fd, 1)) {
        fail_errno(error, errno, "cannot listen%s%s", path ? " on " : "", path ? path : "");
        close(fd);
        return false;
    }
    l->path = g_strdup(path);
    l->listen_fd = fd;
    return true;
}

static bool start(NetLine *l, const NetLineConfig *config, GError **error)
{
    if (config->server) {
        l->listen_fd = config->fd;
        for (guint i = 0; l->listen_fd < 0 && i < l->addresses->len; i++) {
            g_clear_error(error);
            listen_at(l, &g_array_index(l->addresses, NetAddress, i), config->path, error);
        }
        if (l->listen_fd < 0)
            return false;
        set_source(l, g_unix_fd_source_new(l->listen_fd, G_IO_IN), G_SOURCE_FUNC(on_accept));
        return true;
    }
    if (config->fd >= 0) {
        attach(l, config->fd);
        return true;
    }
    try_next(l);
    while (l->fd < 0 && !l->reconnect) {
        if (!l->source)
            return fail_errno(error, l->error, "cannot connect%s%s", config->path ? " to " : "",
                              config->path ? config->path : "");
        struct pollfd p = { .fd = l->connect_fd, .events = POLLOUT };
        poll(&p, 1, -1);
        on_connected(l->connect_fd, G_IO_OUT, l);
    }
    return true;
}

NetLine *net_line_new(NetBackend *b, const NetLineConfig *config, GError **error)
{
    NetLine *l = g_new0(NetLine, 1);
    l->b = b;
    l->reconnect = config->reconnect;
    l->addresses = g_array_new(FALSE, FALSE, sizeof(NetAddress));
    if (config->addresses)
        g_array_append_vals(l->addresses, config->addresses->data, config->addresses->len);
    l->listen_fd = l->connect_fd = l->fd = -1;
    l->out = g_byte_array_new();
    l->buf = g_malloc(READ_SIZE);
    g_mutex_init(&l->lock);
    net_frames_init(&l->frames);
    net_set_peer(b, false);
    if (!start(l, config, error)) {
        net_line_free(l);
        return NULL;
    }
    return l;
}

void net_line_free(NetLine *l)
{
    if (!l)
        return;
    clear_source(&l->source);
    clear_source(&l->in);
    clear_source(&l->writable);
    const int fds[] = { l->fd, l->listen_fd, l->connect_fd };
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    if (l->path)
        unlink(l->path);
    g_free(l->path);
    g_array_unref(l->addresses);
    g_byte_array_unref(l->out);
    net_frames_clear(&l->frames);
    g_mutex_clear(&l->lock);
    g_free(l->buf);
    g_free(l);
}
