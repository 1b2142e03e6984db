/* SPDX-License-Identifier: MIT */
/*
 * The host's ends of vsock streams: Unix sockets. A host program connects to PATH, says "CONNECT PORT\n"
 * and is answered "OK NUMBER\n" once the guest has accepted; a guest that connects to a port of
 * the host gets whoever listens at PATH_PORT. One thread waits for all of them.
 */
#include "devices/virtio/virtio_vsock.h"

#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { EVENTS = 32, FIRST_PORT = 1 << 30 };

/* ---- Streams ----------------------------------------------------------------------------- */

static VsockStream *stream_new(Vsock *s, int fd, VsockState state)
{
    VsockStream *c = g_new0(VsockStream, 1);
    c->vsock = s;
    c->fd = fd;
    c->state = state;
    c->out = g_byte_array_new();
    return c;
}

void vsock_free_stream(gpointer stream)
{
    VsockStream *c = stream;
    if (c->fd >= 0)
        close(c->fd);
    g_byte_array_unref(c->out);
    g_free(c);
}

uint32_t vsock_credit(const VsockStream *c)
{
    uint32_t used = c->sent - c->peer_fwd;
    return used < c->peer_alloc ? c->peer_alloc - used : 0;
}

void vsock_arm(VsockStream *c)
{
    Vsock *s = c->vsock;
    uint32_t events = 0;
    if (c->fd >= 0) {
        bool reads = c->state == VSOCK_GREETING ||
                     (c->state == VSOCK_OPEN && !c->host_done && !s->starved && vsock_credit(c));
        events = (reads ? EPOLLIN : 0u) | (c->out->len ? EPOLLOUT : 0u);
    }
    if (events == c->events)
        return;
    struct epoll_event e = { .events = events, .data.ptr = c };
    int op = !c->events ? EPOLL_CTL_ADD : !events ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
    epoll_ctl(s->epoll_fd, op, c->fd, &e);
    c->events = events;
}

void vsock_close(VsockStream *c)
{
    if (c->fd >= 0) {
        if (c->events)
            epoll_ctl(c->vsock->epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
        c->events = 0;
        close(c->fd);
        c->fd = -1;
    }
    c->state = VSOCK_CLOSED;
}

/* Once the socket has all that the guest sent before it ended. */
static void pass_end_on(VsockStream *c)
{
    if (!c->guest_done || c->out->len || c->fd < 0)
        return;
    shutdown(c->fd, SHUT_WR);
    if (c->host_done) {
        c->tell |= TELL_RST;
        vsock_close(c);
    }
}

static bool write_out(VsockStream *c)
{
    while (c->out->len) {
        ssize_t n = send(c->fd, c->out->data, c->out->len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN;
        g_byte_array_remove_range(c->out, 0, (guint)n);
        if (c->state == VSOCK_OPEN)
            c->fwd += (uint32_t)n;
    }
    return true;
}

/* After bytes have gone to the socket. */
static void flushed(VsockStream *c, bool ok)
{
    if (!ok) {
        c->tell |= TELL_RST;
        vsock_close(c);
        return;
    }
    if (c->fwd - c->fwd_told >= VSOCK_BUFFER / 4)
        c->tell |= TELL_CREDIT;
    pass_end_on(c);
    vsock_arm(c);
}

bool vsock_take(VsockStream *c, const struct iovec *iov, unsigned count)
{
    if (c->fd < 0)
        return true;
    for (unsigned i = 0; i < count; i++) {
        if (iov[i].iov_len > VSOCK_BUFFER - MIN(c->out->len, VSOCK_BUFFER))
            return false;
        g_byte_array_append(c->out, iov[i].iov_base, (guint)iov[i].iov_len);
    }
    flushed(c, write_out(c));
    return true;
}

void vsock_opened(VsockStream *c)
{
    char line[VSOCK_LINE];
    int len = snprintf(line, sizeof line, "OK %u\n", c->host_port);
    /* Not the guest's bytes: they count for nothing. The socket is empty, it takes them. */
    ssize_t n = send(c->fd, line, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
    c->state = VSOCK_OPEN;
    flushed(c, n == len);
}

void vsock_guest_done(VsockStream *c)
{
    c->guest_done = true;
    pass_end_on(c);
}

VsockStream *vsock_connect(Vsock *s, uint32_t host_port, uint32_t guest_port)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int len = snprintf(a.sun_path, sizeof a.sun_path, "%s_%u", s->path, host_port);
    if (len >= (int)sizeof a.sun_path || g_hash_table_size(s->streams) >= VSOCK_STREAMS)
        return NULL;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return NULL;
    if (connect(fd, (const struct sockaddr *)&a, sizeof a)) {
        close(fd);
        return NULL;
    }
    VsockStream *c = stream_new(s, fd, VSOCK_OPEN);
    c->host_port = host_port;
    c->guest_port = guest_port;
    return c;
}

/* ---- From the host ------------------------------------------------------------------------- */

bool vsock_listen(Vsock *s, GError **error)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    if (strlen(s->path) >= sizeof a.sun_path - 11)
        return fail_usage(error, "%s: the path is too long for a socket", s->path);
    strcpy(a.sun_path, s->path);
    s->next_port = FIRST_PORT;
    s->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->listen_fd < 0)
        return fail_errno(error, errno, "a socket");
    const struct sockaddr *addr = (const struct sockaddr *)&a;
    int ret = bind(s->listen_fd, addr, sizeof a);
    if (ret && errno == EADDRINUSE) {
        /* One that nobody listens at any more is left over. */
        int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool stale = connect(probe, addr, sizeof a) && errno == ECONNREFUSED;
        close(probe);
        errno = EADDRINUSE;
        ret = stale && !unlink(s->path) ? bind(s->listen_fd, addr, sizeof a) : -1;
    }
    if (ret || listen(s->listen_fd, 64)) {
        int e = errno;
        close(s->listen_fd);
        s->listen_fd = -1;
        return fail_errno(error, e, "%s", s->path);
    }
    return true;
}

static void accept_one(Vsock *s)
{
    int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    if (s->greeting->len + g_hash_table_size(s->streams) >= VSOCK_STREAMS) {
        close(fd);
        return;
    }
    VsockStream *c = stream_new(s, fd, VSOCK_GREETING);
    g_ptr_array_add(s->greeting, c);
    vsock_arm(c);
}

/* A number of a stream that is not in use. */
static uint32_t free_port(Vsock *s, uint32_t guest_port)
{
    uint64_t key;
    do {
        s->next_port = s->next_port == UINT32_MAX ? FIRST_PORT : s->next_port + 1;
        key = vsock_key(s->next_port, guest_port);
    } while (g_hash_table_contains(s->streams, &key));
    return s->next_port;
}

/* The greeting, byte by byte, since what follows it is the guest's. False: it is none. */
static bool greet(VsockStream *c)
{
    for (;;) {
        char byte;
        ssize_t n = recv(c->fd, &byte, 1, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return true;
        if (n <= 0 || c->line_len == VSOCK_LINE - 1)
            return false;
        if (byte != '\n') {
            c->line[c->line_len++] = byte;
            continue;
        }
        char *end;
        c->line[c->line_len] = '\0';
        guint64 port = g_str_has_prefix(c->line, "CONNECT ")
                           ? g_ascii_strtoull(c->line + 8, &end, 10) : UINT64_MAX;
        if (port >= UINT32_MAX || end == c->line + 8 || *end)
            return false;
        c->guest_port = (uint32_t)port;
        c->state = VSOCK_ASKING;
        return true;
    }
}

static void on_greeting(Vsock *s, VsockStream *c)
{
    bool ok = greet(c);
    if (ok && c->state == VSOCK_GREETING)
        return;
    g_ptr_array_remove_fast(s->greeting, c);
    if (!ok) {
        vsock_close(c);
        vsock_free_stream(c);
        return;
    }
    c->host_port = free_port(s, c->guest_port);
    c->tell = TELL_REQUEST;
    uint64_t *key = g_new(uint64_t, 1);
    *key = vsock_key(c->host_port, c->guest_port);
    g_hash_table_replace(s->streams, key, c);
    vsock_arm(c);
}

static void on_event(Vsock *s, VsockStream *c, uint32_t events)
{
    if (c->state == VSOCK_GREETING) {
        on_greeting(s, c);
        return;
    }
    if (events & EPOLLOUT)
        flushed(c, write_out(c));
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR) && c->state == VSOCK_OPEN && !c->host_done)
        while (vsock_credit(c) && !c->host_done && vsock_send_data(s, c))
            ;
    if (events & (EPOLLHUP | EPOLLERR) && c->state == VSOCK_ASKING) {
        c->tell |= TELL_RST; /* it did not wait for the answer */
        vsock_close(c);
    }
    if (c->state == VSOCK_OPEN) {
        pass_end_on(c);
        vsock_arm(c);
    }
}

void *vsock_serve(void *opaque)
{
    Vsock *s = opaque;
    struct epoll_event events[EVENTS];
    for (;;) {
        /* What there is is asked for under the lock, so that no stream goes away in between. */
        epoll_wait(s->epoll_fd, events, 1, -1);
        pthread_mutex_lock(&s->lock);
        if (s->end)
            break;
        int n = epoll_wait(s->epoll_fd, events, EVENTS, 0);
        for (int i = 0; i < n; i++) {
            uint64_t count;
            if (events[i].data.ptr == &s->listen_fd)
                accept_one(s);
            else if (events[i].data.ptr != &s->wake_fd)
                on_event(s, events[i].data.ptr, events[i].events);
            else if (read(s->wake_fd, &count, sizeof count) > 0)
                s->starved = false;
        }
        vsock_pump(s);
        pthread_mutex_unlock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}
