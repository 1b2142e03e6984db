/* SPDX-License-Identifier: MIT */
/*
 * pty: a new pseudo-terminal, raw; path= makes a symbolic link to it, for as long as we run. The
 * kernel does not tell when somebody opens it, so that is looked for every POLL_MS while nobody
 * has it open; output is dropped then.
 */
#include "base/error.h"
#include "chardev/chardev_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#define POLL_MS 100

typedef struct {
    ChardevStream *stream;
    int fd;
    char *name, *link;
    GSource *timer; /* while nobody has it open */
} Pty;

static gboolean look(gpointer opaque)
{
    Chardev *c = opaque;
    Pty *p = c->priv;
    struct pollfd pfd = { .fd = p->fd, .events = POLLIN };
    poll(&pfd, 1, 0);
    if (pfd.revents & POLLHUP && !(pfd.revents & POLLIN))
        return G_SOURCE_CONTINUE;
    g_clear_pointer(&p->timer, g_source_unref);
    chardev_stream_attach(p->stream, p->fd, false);
    return G_SOURCE_REMOVE;
}

static void start_looking(Chardev *c)
{
    Pty *p = c->priv;
    p->timer = g_timeout_source_new(POLL_MS);
    g_source_set_callback(p->timer, look, c, NULL);
    g_source_attach(p->timer, NULL);
}

/* Opens the master and leaves the terminal raw, with nobody at the other end. */
static int open_pair(char *name, size_t size, GError **error)
{
    int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave = -1;
    struct termios mode;
    if (fd < 0 || grantpt(fd) || unlockpt(fd) || ptsname_r(fd, name, size) ||
        (slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0 || tcgetattr(slave, &mode)) {
        fail_errno(error, errno, "cannot make a pseudo-terminal");
        if (slave >= 0)
            close(slave);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    cfmakeraw(&mode);
    tcsetattr(slave, TCSANOW, &mode);
    close(slave); /* from here on the master tells when nobody has it open */
    return fd;
}

static bool make_link(const char *name, const char *path, GError **error)
{
    if (!symlink(name, path))
        return true;
    int e = errno;
    g_autofree char *old = g_file_read_link(path, NULL);
    /* left by somebody who was killed */
    if (e == EEXIST && old && g_str_has_prefix(old, "/dev/pts/") && !unlink(path) &&
        !symlink(name, path))
        return true;
    return fail_errno(error, e, "cannot make the link %s", path);
}

static bool pty_open(Chardev *c, Options *o, GError **error)
{
    char name[64];
    const char *link = options_get(o, "path");
    if (!options_done(o, error))
        return false;
    int fd = open_pair(name, sizeof name, error);
    if (fd < 0)
        return false;
    if (link && !make_link(name, link, error)) {
        close(fd);
        return false;
    }
    Pty *p = g_new0(Pty, 1);
    p->fd = fd;
    p->name = g_strdup(name);
    p->link = g_strdup(link);
    c->priv = p;
    p->stream = chardev_stream_new(c, start_looking);
    start_looking(c);
    chardev_notice(c, "char device redirected to %s (label %s)", name, c->label);
    return true;
}

static size_t pty_write(Chardev *c, const uint8_t *buf, size_t len)
{
    Pty *p = c->priv;
    return chardev_stream_write(p->stream, buf, len);
}

static void pty_accept_input(Chardev *c)
{
    Pty *p = c->priv;
    chardev_stream_accept(p->stream);
}

static bool pty_flush(Chardev *c, int timeout_ms, GError **error)
{
    Pty *p = c->priv;
    return chardev_stream_flush(p->stream, timeout_ms, error);
}

static char *pty_describe(const Chardev *c)
{
    const Pty *p = c->priv;
    return g_strconcat("pty:", p->name, NULL);
}

static void pty_close(Chardev *c)
{
    Pty *p = c->priv;
    if (!p)
        return;
    chardev_stream_free(p->stream);
    if (p->timer) {
        g_source_destroy(p->timer);
        g_source_unref(p->timer);
    }
    g_autofree char *target = p->link ? g_file_read_link(p->link, NULL) : NULL;
    if (target && !g_strcmp0(target, p->name))
        unlink(p->link);
    close(p->fd);
    g_free(p->name);
    g_free(p->link);
    g_free(p);
}

const ChardevType pty_chardev = {
    .name = "pty",
    .usage = "pty[:LINK]",
    .summary = "a new pseudo-terminal, whose name is told",
    .open = pty_open,
    .write = pty_write,
    .accept_input = pty_accept_input,
    .flush = pty_flush,
    .describe = pty_describe,
    .close = pty_close,
};
