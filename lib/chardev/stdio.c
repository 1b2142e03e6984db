/* SPDX-License-Identifier: MIT */
/*
 * stdio: standard output and standard input, which may be a terminal, a pipe, a file or
 * closed. The end of input is an event, not the end of the machine.
 */
#include "base/error.h"
#include "chardev/chardev_priv.h"

#include <errno.h>
#include <glib-unix.h>
#include <unistd.h>

typedef struct Stdio {
    ChardevSink *out;
    GSource *in; /* while the front end has room */
    bool ended;
} Stdio;

static void stop_reading(Stdio *s)
{
    if (s->in) {
        g_source_destroy(s->in);
        g_clear_pointer(&s->in, g_source_unref);
    }
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer opaque)
{
    Chardev *c = opaque;
    Stdio *s = c->priv;
    uint8_t buf[4096];
    size_t room = MIN(chardev_room(c), sizeof buf);
    if (!room) {
        stop_reading(s);
        return G_SOURCE_REMOVE;
    }
    ssize_t n = read(fd, buf, room);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return G_SOURCE_CONTINUE;
    if (n <= 0) {
        s->ended = true;
        stop_reading(s);
        chardev_send_event(c, CHARDEV_EVENT_CLOSED);
        return G_SOURCE_REMOVE;
    }
    chardev_deliver(c, buf, (size_t)n);
    return G_SOURCE_CONTINUE;
}

static void stdio_accept_input(Chardev *c)
{
    Stdio *s = c->priv;
    if (s->in || s->ended || !chardev_room(c))
        return;
    s->in = g_unix_fd_source_new(STDIN_FILENO, G_IO_IN | G_IO_HUP | G_IO_ERR | G_IO_NVAL);
    g_source_set_callback(s->in, G_SOURCE_FUNC(on_readable), c, NULL);
    g_source_attach(s->in, NULL);
}

static bool stdio_open(Chardev *c, const char *arg, bool shared, GError **error)
{
    if (arg)
        return fail_usage(error, "stdio takes no argument");
    if (!chardev_terminal_claim(!shared, error))
        return false;
    Stdio *s = g_new0(Stdio, 1);
    s->out = chardev_sink_new(STDOUT_FILENO, false);
    c->priv = s;
    return true;
}

static size_t stdio_write(Chardev *c, const uint8_t *buf, size_t len)
{
    Stdio *s = c->priv;
    return chardev_sink_write(s->out, buf, len);
}

static bool stdio_flush(Chardev *c, int timeout_ms, GError **error)
{
    Stdio *s = c->priv;
    return chardev_sink_flush(s->out, timeout_ms, error);
}

static void stdio_close(Chardev *c)
{
    Stdio *s = c->priv;
    if (!s)
        return;
    stop_reading(s);
    chardev_sink_free(s->out);
    chardev_terminal_release();
    g_free(s);
}

const ChardevType stdio_chardev = {
    .name = "stdio",
    .usage = "stdio",
    .summary = "standard input and output; Ctrl-C ends vm-run",
    .open = stdio_open,
    .write = stdio_write,
    .accept_input = stdio_accept_input,
    .flush = stdio_flush,
    .close = stdio_close,
};
