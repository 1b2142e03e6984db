/* SPDX-License-Identifier: MIT */
/*
 * The Ctrl-a keys in front of a back end (`mon:SPEC`, -nographic). Input is always taken
 * into a queue of its own, up to QUEUE_MAX bytes, so that Ctrl-a x works while the guest does
 * not read. One front end so far: the keys that would change to a monitor say that there is none.
 */
#include "chardev/chardev_priv.h"

#include <string.h>

#define ESCAPE_KEY 0x01 /* Ctrl-a */
#define QUEUE_MAX 4096

typedef struct Mux {
    Chardev *back;
    ChardevHost host;
    bool escaped;
    GByteArray *queue;
} Mux;

static void say(Mux *m, const char *text)
{
    chardev_write(m->back, text, strlen(text));
}

static void drain(Chardev *c)
{
    Mux *m = c->priv;
    size_t n;
    while (m->queue->len && (n = chardev_room(c)) > 0) {
        uint8_t chunk[QUEUE_MAX];
        n = MIN(n, m->queue->len);
        memcpy(chunk, m->queue->data, n);
        g_byte_array_remove_range(m->queue, 0, (guint)n);
        chardev_deliver(c, chunk, n);
    }
}

static void escaped_key(Chardev *c, uint8_t key)
{
    Mux *m = c->priv;
    switch (key) {
    case ESCAPE_KEY:
        g_byte_array_append(m->queue, &key, 1);
        break;
    case 'x':
    case 'X':
        if (m->host.quit)
            m->host.quit(m->host.opaque);
        else
            say(m, "\r\nCtrl-a x: nothing to quit here\r\n");
        break;
    case 'b':
        chardev_send_event(c, CHARDEV_EVENT_BREAK);
        break;
    case 'c':
        say(m, "\r\nCtrl-a c: there is no monitor yet\r\n");
        break;
    case 'h':
    case '?':
        say(m, "\r\n"
               "Ctrl-a h    this help\r\n"
               "Ctrl-a x    quit\r\n"
               "Ctrl-a b    send a break\r\n"
               "Ctrl-a c    monitor (not there yet)\r\n"
               "Ctrl-a Ctrl-a    send Ctrl-a\r\n");
        break;
    default: /* not a key of ours: dropped, as the terminal's user expects */
        break;
    }
}

static size_t mux_can_receive(void *opaque)
{
    Chardev *c = opaque;
    Mux *m = c->priv;
    return QUEUE_MAX - m->queue->len;
}

static void mux_receive(void *opaque, const uint8_t *buf, size_t len)
{
    Chardev *c = opaque;
    Mux *m = c->priv;
    for (size_t i = 0; i < len; i++) {
        if (m->escaped) {
            m->escaped = false;
            escaped_key(c, buf[i]);
        } else if (buf[i] == ESCAPE_KEY) {
            m->escaped = true;
        } else {
            g_byte_array_append(m->queue, &buf[i], 1);
        }
    }
    drain(c);
}

static void mux_event(void *opaque, ChardevEvent event)
{
    if (event != CHARDEV_EVENT_OPENED) /* the front end has had its own */
        chardev_send_event(opaque, event);
}

static size_t mux_write(Chardev *c, const uint8_t *buf, size_t len)
{
    Mux *m = c->priv;
    return chardev_write(m->back, buf, len);
}

static void mux_accept_input(Chardev *c)
{
    Mux *m = c->priv;
    drain(c);
    chardev_accept_input(m->back);
}

static bool mux_flush(Chardev *c, int timeout_ms, GError **error)
{
    Mux *m = c->priv;
    return chardev_flush(m->back, timeout_ms, error);
}

static void mux_close(Chardev *c)
{
    Mux *m = c->priv;
    chardev_free(m->back);
    g_byte_array_unref(m->queue);
    g_free(m);
}

static const ChardevType mux_type = {
    .name = "mon",
    .write = mux_write,
    .accept_input = mux_accept_input,
    .flush = mux_flush,
    .close = mux_close,
};

Chardev *chardev_mux_new(Chardev *back, const ChardevHost *host)
{
    Chardev *c = chardev_new(&mux_type, NULL, true, NULL);
    Mux *m = g_new0(Mux, 1);
    m->back = back;
    m->queue = g_byte_array_new();
    if (host)
        m->host = *host;
    c->priv = m;
    chardev_set_handlers(back, mux_can_receive, mux_receive, mux_event, c);
    return c;
}
