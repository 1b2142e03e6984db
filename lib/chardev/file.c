/* SPDX-License-Identifier: MIT */
/*
 * file: output goes to a file, which is emptied at the start unless append=on; input comes from
 * another, input-path=, or there is none.
 */
#include "base/error.h"
#include "chardev/chardev_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

typedef struct {
    char *path;
    ChardevSink *out;
    ChardevReader in; /* fd -1: no input */
} File;

static bool file_open(Chardev *c, Options *o, GError **error)
{
    bool append = false;
    const char *path = options_need(o, "path", error);
    const char *input = options_get(o, "input-path");
    if (!path || !options_get_bool(o, "append", &append, error) || !options_done(o, error))
        return false;
    if (!*path)
        return fail_usage(error, "the file needs a path");
    int in = -1;
    if (input && (in = open(input, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)) < 0)
        return fail_errno(error, errno, "cannot read %s", input);
    int out = open(path, O_WRONLY | O_CREAT | (append ? O_APPEND : O_TRUNC) | O_CLOEXEC | O_NOCTTY,
                   0666);
    if (out < 0) {
        int e = errno;
        if (in >= 0)
            close(in);
        return fail_errno(error, e, "cannot write %s", path);
    }
    File *f = g_new0(File, 1);
    f->path = g_strdup(path);
    f->out = chardev_sink_new(out, true);
    f->in.c = c;
    f->in.fd = in;
    c->priv = f;
    return true;
}

static size_t file_write(Chardev *c, const uint8_t *buf, size_t len)
{
    File *f = c->priv;
    return chardev_sink_write(f->out, buf, len);
}

static void file_accept_input(Chardev *c)
{
    File *f = c->priv;
    if (f->in.fd >= 0)
        chardev_reader_accept(&f->in);
}

static bool file_flush(Chardev *c, int timeout_ms, GError **error)
{
    File *f = c->priv;
    return chardev_sink_flush(f->out, timeout_ms, error);
}

static char *file_describe(const Chardev *c)
{
    const File *f = c->priv;
    return g_strconcat("file:", f->path, NULL);
}

static void file_close(Chardev *c)
{
    File *f = c->priv;
    if (!f)
        return;
    chardev_reader_stop(&f->in);
    if (f->in.fd >= 0)
        close(f->in.fd);
    chardev_sink_free(f->out);
    g_free(f->path);
    g_free(f);
}

const ChardevType file_chardev = {
    .name = "file",
    .usage = "file:PATH",
    .summary = "output to a file (emptied first), no input",
    .open = file_open,
    .write = file_write,
    .accept_input = file_accept_input,
    .flush = file_flush,
    .describe = file_describe,
    .close = file_close,
};
