/* SPDX-License-Identifier: MIT */
/*
 * stdio: standard output and standard input, which may be a terminal, a pipe, a file or
 * closed. The end of input is an event, not the end of the machine.
 */
#include "chardev/chardev_priv.h"

#include <unistd.h>

typedef struct Stdio {
    ChardevSink *out;
    ChardevReader in;
} Stdio;

static void stdio_accept_input(Chardev *c)
{
    Stdio *s = c->priv;
    chardev_reader_accept(&s->in);
}

static bool stdio_open(Chardev *c, Options *o, GError **error)
{
    bool keep_signals = true;
    if (!options_get_bool(o, "signal", &keep_signals, error) || !options_done(o, error) ||
        !chardev_terminal_claim(keep_signals, error))
        return false;
    Stdio *s = g_new0(Stdio, 1);
    s->out = chardev_sink_new(STDOUT_FILENO, false);
    s->in.c = c;
    s->in.fd = STDIN_FILENO;
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
    chardev_reader_stop(&s->in);
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
