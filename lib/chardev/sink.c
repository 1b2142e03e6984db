/* SPDX-License-Identifier: MIT */
/*
 * Output to a blocking descriptor through a thread. Writers append to a buffer under a
 * lock; the thread swaps it for an empty one and writes that out. Descriptors shared with
 * other processes (standard output) must not be made non-blocking, hence the thread.
 */
#include "base/error.h"
#include "chardev/chardev_priv.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#define FULL_WAIT_US (100 * 1000)
#define FREE_WAIT_MS 1000

struct ChardevSink {
    int refs; /* the owner and the thread; under lock */
    GMutex lock;
    GCond more;  /* for the thread: bytes or stop */
    GCond moved; /* for writers and flush: bytes left, or an error */
    GByteArray *waiting;
    size_t writing; /* bytes of the chunk that the thread holds */
    bool stop;
    int error;
    int fd;
    bool own_fd;
};

static void sink_unref_locked(ChardevSink *s)
{
    bool last = --s->refs == 0;
    g_mutex_unlock(&s->lock);
    if (!last)
        return;
    if (s->own_fd)
        close(s->fd);
    g_byte_array_unref(s->waiting);
    g_mutex_clear(&s->lock);
    g_cond_clear(&s->more);
    g_cond_clear(&s->moved);
    g_free(s);
}

/* 0 or an errno value. */
static int write_fully(int fd, const uint8_t *p, size_t len)
{
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n > 0) {
            p += n;
            len -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            struct pollfd pfd = { .fd = fd, .events = POLLOUT };
            poll(&pfd, 1, -1);
        } else if (n < 0 && errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

static gpointer sink_thread(gpointer opaque)
{
    ChardevSink *s = opaque;
    GByteArray *chunk = g_byte_array_new();
    sigset_t pipe_set;
    sigemptyset(&pipe_set);
    sigaddset(&pipe_set, SIGPIPE); /* a reader that left is EPIPE here, not our death */
    pthread_sigmask(SIG_BLOCK, &pipe_set, NULL);
    g_mutex_lock(&s->lock);
    for (;;) {
        while (!s->waiting->len && !s->stop)
            g_cond_wait(&s->more, &s->lock);
        if (!s->waiting->len)
            break;
        GByteArray *t = s->waiting;
        s->waiting = chunk;
        chunk = t;
        s->writing = chunk->len;
        int error = s->error;
        g_mutex_unlock(&s->lock);
        if (!error)
            error = write_fully(s->fd, chunk->data, chunk->len);
        g_byte_array_set_size(chunk, 0);
        g_mutex_lock(&s->lock);
        s->writing = 0;
        s->error = error;
        g_cond_broadcast(&s->moved);
    }
    g_byte_array_unref(chunk);
    sink_unref_locked(s);
    return NULL;
}

ChardevSink *chardev_sink_new(int fd, bool own_fd)
{
    ChardevSink *s = g_new0(ChardevSink, 1);
    g_mutex_init(&s->lock);
    g_cond_init(&s->more);
    g_cond_init(&s->moved);
    s->waiting = g_byte_array_new();
    s->fd = fd;
    s->own_fd = own_fd;
    s->refs = 2;
    g_thread_unref(g_thread_new("chardev", sink_thread, s));
    return s;
}

size_t chardev_sink_write(ChardevSink *s, const uint8_t *buf, size_t len)
{
    gint64 until = 0;
    size_t taken = 0;
    g_mutex_lock(&s->lock);
    while (taken < len) {
        size_t held = s->waiting->len + s->writing;
        size_t n = held < CHARDEV_BUFFER_MAX ? MIN(len - taken, CHARDEV_BUFFER_MAX - held) : 0;
        if (s->error)
            n = len - taken; /* dropped: chardev_flush tells */
        if (n) {
            if (!s->error)
                g_byte_array_append(s->waiting, buf + taken, n);
            taken += n;
            g_cond_signal(&s->more);
            continue;
        }
        if (!until)
            until = g_get_monotonic_time() + FULL_WAIT_US;
        if (!g_cond_wait_until(&s->moved, &s->lock, until))
            break;
    }
    g_mutex_unlock(&s->lock);
    return taken;
}

bool chardev_sink_flush(ChardevSink *s, int timeout_ms, GError **error)
{
    gint64 until = g_get_monotonic_time() + (gint64)timeout_ms * 1000;
    g_mutex_lock(&s->lock);
    while (s->waiting->len + s->writing) {
        if (!g_cond_wait_until(&s->moved, &s->lock, until))
            break;
    }
    size_t left = s->waiting->len + s->writing;
    int e = s->error;
    g_mutex_unlock(&s->lock);
    if (e)
        return fail_errno(error, e, "output was lost");
    if (left)
        return fail(error, "output is stalled, %zu bytes are waiting", left);
    return true;
}

void chardev_sink_free(ChardevSink *s)
{
    if (!s)
        return;
    chardev_sink_flush(s, FREE_WAIT_MS, NULL);
    g_mutex_lock(&s->lock);
    s->stop = true;
    g_cond_broadcast(&s->more);
    sink_unref_locked(s);
}
