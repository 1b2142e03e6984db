/* SPDX-License-Identifier: MIT */
/*
 * pipe: two FIFOs that the user has made, PATH.in for input and PATH.out for output, or one
 * character device PATH for both. FIFOs are held open for both directions, so that programs at
 * their other ends may come and go: no end of file, no broken pipe.
 */
#include "base/error.h"
#include "chardev/chardev_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    char *path;
    ChardevSink *out;
    ChardevReader in;
} Pipe;

static int open_end(const char *path)
{
    return open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

static bool open_ends(const char *path, int *in, int *out, GError **error)
{
    g_autofree char *in_path = g_strconcat(path, ".in", NULL);
    g_autofree char *out_path = g_strconcat(path, ".out", NULL);
    struct stat st;
    *in = open_end(in_path);
    int e = errno;
    if (*in < 0 && e == ENOENT && !stat(path, &st) && S_ISCHR(st.st_mode)) {
        *in = open_end(path);
        *out = *in < 0 ? -1 : fcntl(*in, F_DUPFD_CLOEXEC, 0);
        if (*out < 0)
            fail_errno(error, errno, "cannot open %s", path);
    } else if (*in < 0) {
        *out = -1;
        fail_errno(error, e, "cannot open %s (mkfifo makes it)", in_path);
    } else if ((*out = open_end(out_path)) < 0) {
        fail_errno(error, errno, "cannot open %s (mkfifo makes it)", out_path);
    }
    if (*out < 0 && *in >= 0)
        close(*in);
    return *out >= 0;
}

static bool pipe_open(Chardev *c, Options *o, GError **error)
{
    int in, out;
    const char *path = options_need(o, "path", error);
    if (!path || !options_done(o, error) || !open_ends(path, &in, &out, error))
        return false;
    Pipe *p = g_new0(Pipe, 1);
    p->path = g_strdup(path);
    p->out = chardev_sink_new(out, true);
    p->in.c = c;
    p->in.fd = in;
    c->priv = p;
    return true;
}

static size_t pipe_write(Chardev *c, const uint8_t *buf, size_t len)
{
    Pipe *p = c->priv;
    return chardev_sink_write(p->out, buf, len);
}

static void pipe_accept_input(Chardev *c)
{
    Pipe *p = c->priv;
    chardev_reader_accept(&p->in);
}

static bool pipe_flush(Chardev *c, int timeout_ms, GError **error)
{
    Pipe *p = c->priv;
    return chardev_sink_flush(p->out, timeout_ms, error);
}

static char *pipe_describe(const Chardev *c)
{
    const Pipe *p = c->priv;
    return g_strconcat("pipe:", p->path, NULL);
}

static void pipe_close(Chardev *c)
{
    Pipe *p = c->priv;
    if (!p)
        return;
    chardev_reader_stop(&p->in);
    close(p->in.fd);
    chardev_sink_free(p->out);
    g_free(p->path);
    g_free(p);
}

const ChardevType pipe_chardev = {
    .name = "pipe",
    .usage = "pipe:PATH",
    .summary = "the FIFOs PATH.in and PATH.out",
    .open = pipe_open,
    .write = pipe_write,
    .accept_input = pipe_accept_input,
    .flush = pipe_flush,
    .describe = pipe_describe,
    .close = pipe_close,
};
