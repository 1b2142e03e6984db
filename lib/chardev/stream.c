/* SPDX-License-Identifier: MIT */
/*
 * A non-blocking descriptor with a peer that may vanish; see chardev_priv.h.
 *
 * Output is written by whoever has it, under the lock; what does not fit waits in `out`, which a
 * source on the main loop empties. A write that fails marks the stream broken and leaves the
 * end of it to the main thread, which first reads what the peer had sent.
 */
#include "base/error.h"
#include "chardev/chardev_priv.h"

#include <errno.h>
#include <glib-unix.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define FULL_WAIT_MS 100
#define FREE_WAIT_MS 1000

struct ChardevStream {
    Chardev *c;
    void (*gone)(Chardev *c);
    size_t (*filter)(Chardev *c, uint8_t *buf, size_t len);
    GByteArray *pending; /* input of a peer that has gone, that had no room */
    GSource *in;
    bool watches_in;     /* `in` waits for input too, not for a hang-up alone */
    bool ended;          /* the peer sends no more, but there is output for it */
    bool own_fd, is_socket;

    GMutex lock; /* of what follows */
    int fd;      /* -1: no peer. Changed by the main thread only. */
    bool broken; /* a write has failed */
    GByteArray *out;
    GSource *writable; /* while there is output waiting, or to tell that the stream is broken */
};

static void clear_source(GSource **source)
{
    if (*source) {
        g_source_destroy(*source);
        g_clear_pointer(source, g_source_unref);
    }
}

static void watch(ChardevStream *s, bool input);
static void end(ChardevStream *s);
static void pull_rest(ChardevStream *s);

/* ---- Output: under the lock ------------------------------------------------ */

/* How much left at once; broken is set if none ever will. */
static size_t send_some(ChardevStream *s, const uint8_t *buf, size_t len)
{
    size_t done = 0;
    while (done < len && !s->broken) {
        ssize_t n = s->is_socket ? send(s->fd, buf + done, len - done, MSG_NOSIGNAL | MSG_DONTWAIT)
                                 : write(s->fd, buf + done, len - done);
        if (n > 0)
            done += (size_t)n;
        else if (n < 0 && errno == EAGAIN)
            break;
        else if (n == 0 || errno != EINTR)
            s->broken = true;
    }
    return done;
}

static void send_waiting(ChardevStream *s)
{
    if (s->out->len)
        g_byte_array_remove_range(s->out, 0, (guint)send_some(s, s->out->data, s->out->len));
}

static gboolean on_writable(gint fd, GIOCondition condition, gpointer opaque)
{
    ChardevStream *s = opaque;
    g_mutex_lock(&s->lock);
    send_waiting(s);
    bool broken = s->broken, done = broken || !s->out->len;
    if (done)
        clear_source(&s->writable);
    g_mutex_unlock(&s->lock);
    if (broken)
        pull_rest(s);
    if (broken || (done && s->ended))
        end(s);
    return done ? G_SOURCE_REMOVE : G_SOURCE_CONTINUE;
}

/* Has the main loop go on with the output. A broken descriptor is always ready. */
static void watch_output(ChardevStream *s)
{
    if (s->writable || s->fd < 0)
        return;
    s->writable = g_unix_fd_source_new(s->fd, G_IO_OUT | G_IO_HUP | G_IO_ERR);
    g_source_set_callback(s->writable, G_SOURCE_FUNC(on_writable), s, NULL);
    g_source_attach(s->writable, NULL);
}

size_t chardev_stream_write(ChardevStream *s, const uint8_t *buf, size_t len)
{
    size_t taken = 0;
    g_mutex_lock(&s->lock);
    if (s->fd < 0) {
        g_mutex_unlock(&s->lock);
        return len;
    }
    if (!s->out->len)
        taken = send_some(s, buf, len);
    gint64 until = g_get_monotonic_time() + FULL_WAIT_MS * 1000;
    while (taken < len) {
        size_t room = CHARDEV_BUFFER_MAX - MIN(s->out->len, CHARDEV_BUFFER_MAX);
        size_t n = MIN(room, len - taken);
        if (n) {
            g_byte_array_append(s->out, buf + taken, (guint)n);
            taken += n;
            continue;
        }
        gint64 left = until - g_get_monotonic_time();
        if (left <= 0 || s->broken)
            break;
        /* The main loop may be the one that calls: it does not empty the buffer then. */
        struct pollfd p = { .fd = s->fd, .events = POLLOUT };
        poll(&p, 1, (int)(left / 1000) + 1);
        send_waiting(s);
    }
    if (s->out->len || s->broken)
        watch_output(s);
    g_mutex_unlock(&s->lock);
    return taken;
}

void chardev_stream_push(ChardevStream *s, const uint8_t *buf, size_t len)
{
    g_mutex_lock(&s->lock);
    if (s->fd >= 0) {
        g_byte_array_append(s->out, buf, (guint)len);
        send_waiting(s);
        if (s->out->len || s->broken)
            watch_output(s);
    }
    g_mutex_unlock(&s->lock);
}

bool chardev_stream_flush(ChardevStream *s, int timeout_ms, GError **error)
{
    gint64 until = g_get_monotonic_time() + (gint64)timeout_ms * 1000;
    for (;;) {
        g_mutex_lock(&s->lock);
        int fd = s->fd;
        if (fd >= 0)
            send_waiting(s);
        size_t left = fd >= 0 && !s->broken ? s->out->len : 0; /* with no peer, it must wait */
        g_mutex_unlock(&s->lock);
        if (!left)
            return true;
        gint64 wait = until - g_get_monotonic_time();
        if (wait <= 0)
            return fail(error, "output is stalled, %zu bytes are waiting", left);
        struct pollfd p = { .fd = fd, .events = POLLOUT };
        poll(&p, 1, (int)(wait / 1000) + 1);
    }
}

/* ---- Input: main thread ---------------------------------------------------- */

static ssize_t read_some(ChardevStream *s, uint8_t *buf, size_t len)
{
    ssize_t n;
    do
        n = read(s->fd, buf, len);
    while (n < 0 && errno == EINTR);
    return n;
}

static void filter_in(ChardevStream *s, uint8_t *buf, size_t n, bool keep)
{
    if (s->filter)
        n = s->filter(s->c, buf, n);
    if (keep)
        g_byte_array_append(s->pending, buf, (guint)n);
    else
        chardev_deliver(s->c, buf, n);
}

/* The peer has gone: what it sent is kept until there is room. */
static void pull_rest(ChardevStream *s)
{
    uint8_t buf[4096];
    ssize_t n;
    while (s->fd >= 0 && s->pending->len < CHARDEV_BUFFER_MAX &&
           (n = read_some(s, buf, sizeof buf)) > 0)
        filter_in(s, buf, (size_t)n, true);
    if (s->pending->len)
        chardev_accept_input(s->c);
}

static void end(ChardevStream *s)
{
    g_mutex_lock(&s->lock);
    int fd = s->fd;
    s->fd = -1;
    s->broken = s->ended = false;
    clear_source(&s->writable);
    clear_source(&s->in);
    g_mutex_unlock(&s->lock);
    if (fd < 0)
        return;
    if (s->own_fd)
        close(fd);
    chardev_set_away(s->c, true);
    s->gone(s->c);
}

/* End of file: output that still leaves does so first. */
static void on_end_of_input(ChardevStream *s)
{
    g_mutex_lock(&s->lock);
    send_waiting(s);
    s->ended = s->is_socket && s->out->len && !s->broken;
    if (s->ended)
        watch_output(s);
    g_mutex_unlock(&s->lock);
    if (s->ended)
        watch(s, false);
    else
        end(s);
}

static gboolean on_input(gint fd, GIOCondition condition, gpointer opaque)
{
    ChardevStream *s = opaque;
    bool hangup = condition & (G_IO_HUP | G_IO_ERR);
    uint8_t buf[4096];
    size_t room = s->pending->len ? 0 : MIN(chardev_room(s->c), sizeof buf);
    if (hangup && (s->ended || !room)) {
        pull_rest(s);
        end(s);
        return G_SOURCE_REMOVE;
    }
    if (!room) {
        watch(s, false);
        return G_SOURCE_REMOVE;
    }
    ssize_t n = read_some(s, buf, room);
    if (n > 0) {
        filter_in(s, buf, (size_t)n, false);
        return G_SOURCE_CONTINUE;
    }
    if (n < 0 && errno == EAGAIN && !hangup)
        return G_SOURCE_CONTINUE;
    on_end_of_input(s);
    return G_SOURCE_REMOVE;
}

static void watch(ChardevStream *s, bool input)
{
    if (s->in && s->watches_in == input)
        return;
    clear_source(&s->in);
    s->watches_in = input;
    s->in = g_unix_fd_source_new(s->fd, (input ? G_IO_IN : 0) | G_IO_HUP | G_IO_ERR);
    g_source_set_callback(s->in, G_SOURCE_FUNC(on_input), s, NULL);
    g_source_attach(s->in, NULL);
}

void chardev_stream_accept(ChardevStream *s)
{
    size_t n;
    while (s->pending->len && (n = chardev_room(s->c)) > 0) {
        n = MIN(n, s->pending->len);
        g_autofree uint8_t *chunk = g_memdup2(s->pending->data, n);
        g_byte_array_remove_range(s->pending, 0, (guint)n);
        chardev_deliver(s->c, chunk, n);
    }
    if (s->fd >= 0 && !s->ended && !s->pending->len && chardev_room(s->c))
        watch(s, true);
}

/* ---- Life ------------------------------------------------------------------ */

ChardevStream *chardev_stream_new(Chardev *c, void (*gone)(Chardev *c))
{
    ChardevStream *s = g_new0(ChardevStream, 1);
    g_mutex_init(&s->lock);
    s->c = c;
    s->gone = gone;
    s->fd = -1;
    s->pending = g_byte_array_new();
    s->out = g_byte_array_new();
    c->away = true;
    return s;
}

void chardev_stream_set_filter(ChardevStream *s,
                               size_t (*filter)(Chardev *c, uint8_t *buf, size_t len))
{
    s->filter = filter;
}

void chardev_stream_attach(ChardevStream *s, int fd, bool own_fd)
{
    int type;
    socklen_t len = sizeof type;
    g_unix_set_fd_nonblocking(fd, TRUE, NULL);
    s->own_fd = own_fd;
    s->is_socket = !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len);
    g_mutex_lock(&s->lock);
    s->fd = fd;
    if (s->out->len)
        watch_output(s);
    g_mutex_unlock(&s->lock);
    watch(s, false);
    chardev_set_away(s->c, false);
    chardev_accept_input(s->c);
}

bool chardev_stream_attached(const ChardevStream *s)
{
    return s->fd >= 0;
}

int chardev_stream_fd(const ChardevStream *s)
{
    return s->fd;
}

void chardev_stream_free(ChardevStream *s)
{
    if (!s)
        return;
    chardev_stream_flush(s, FREE_WAIT_MS, NULL);
    clear_source(&s->in);
    clear_source(&s->writable);
    if (s->fd >= 0 && s->own_fd) {
        /* Unread input would make close() a reset, which takes what the peer has not read yet. */
        uint8_t buf[4096];
        if (s->is_socket)
            shutdown(s->fd, SHUT_WR);
        for (int i = 0; i < 256 && read_some(s, buf, sizeof buf) > 0; i++)
            ;
        close(s->fd);
    }
    g_byte_array_unref(s->pending);
    g_byte_array_unref(s->out);
    g_mutex_clear(&s->lock);
    g_free(s);
}
