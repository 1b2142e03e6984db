/* SPDX-License-Identifier: MIT */
/* file:PATH: output goes to a file, which is emptied at the start; no input. */
#include "base/error.h"
#include "chardev/chardev_priv.h"

#include <errno.h>
#include <fcntl.h>

static bool file_open(Chardev *c, const char *arg, bool shared, GError **error)
{
    if (!arg || !*arg)
        return fail_usage(error, "file needs a path: file:PATH");
    int fd = open(arg, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
    if (fd < 0)
        return fail_errno(error, errno, "cannot write %s", arg);
    c->priv = chardev_sink_new(fd, true);
    return true;
}

static size_t file_write(Chardev *c, const uint8_t *buf, size_t len)
{
    return chardev_sink_write(c->priv, buf, len);
}

static bool file_flush(Chardev *c, int timeout_ms, GError **error)
{
    return chardev_sink_flush(c->priv, timeout_ms, error);
}

static void file_close(Chardev *c)
{
    chardev_sink_free(c->priv);
}

const ChardevType file_chardev = {
    .name = "file",
    .usage = "file:PATH",
    .summary = "output to a file (emptied first), no input",
    .open = file_open,
    .write = file_write,
    .flush = file_flush,
    .close = file_close,
};
