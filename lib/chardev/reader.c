/* SPDX-License-Identifier: MIT */
/* Input from a descriptor at the pace of the front end: polled only while there is room. */
#include "chardev/chardev_priv.h"

#include <errno.h>
#include <glib-unix.h>
#include <unistd.h>

void chardev_reader_stop(ChardevReader *r)
{
    if (r->source) {
        g_source_destroy(r->source);
        g_clear_pointer(&r->source, g_source_unref);
    }
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer opaque)
{
    ChardevReader *r = opaque;
    uint8_t buf[4096];
    size_t room = MIN(chardev_room(r->c), sizeof buf);
    if (!room) {
        chardev_reader_stop(r);
        return G_SOURCE_REMOVE;
    }
    ssize_t n = read(fd, buf, room);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return G_SOURCE_CONTINUE;
    if (n <= 0) {
        r->ended = true;
        chardev_reader_stop(r);
        chardev_send_event(r->c, CHARDEV_EVENT_CLOSED);
        return G_SOURCE_REMOVE;
    }
    chardev_deliver(r->c, buf, (size_t)n);
    return G_SOURCE_CONTINUE;
}

void chardev_reader_accept(ChardevReader *r)
{
    if (r->source || r->ended || !chardev_room(r->c))
        return;
    r->source = g_unix_fd_source_new(r->fd, G_IO_IN | G_IO_HUP | G_IO_ERR | G_IO_NVAL);
    g_source_set_callback(r->source, G_SOURCE_FUNC(on_readable), r, NULL);
    g_source_attach(r->source, NULL);
}
