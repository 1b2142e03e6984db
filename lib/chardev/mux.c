/* SPDX-License-Identifier: MIT */
/*
 * Several front ends on one back end, each with a port of its own, and the Ctrl-a keys (`mon:SPEC`,
 * mux=on, -nographic). What ports write goes out as it comes; input goes to the port that has
 * the focus, the first one until Ctrl-a c moves on. A port always takes input into a queue of up to
 * QUEUE_MAX bytes, so that Ctrl-a x works while the guest does not read.
 */
#include "chardev/chardev_priv.h"

#include <string.h>

#define ESCAPE_KEY 0x01 /* Ctrl-a */
#define QUEUE_MAX 4096

struct ChardevMux {
    unsigned refs;
    Chardev *back;
    ChardevHost host;
    bool escaped;
    GPtrArray *ports; /* of Chardev, borrowed */
    guint focus;      /* in ports */
};

typedef struct {
    ChardevMux *mux;
    GByteArray *queue;
} Port;

static const ChardevType port_type;

static void say(ChardevMux *m, const char *text)
{
    chardev_write(m->back, text, strlen(text));
}

static Chardev *focused(ChardevMux *m)
{
    return m->ports->len ? m->ports->pdata[m->focus] : NULL;
}

static void drain(Chardev *c)
{
    Port *p = c->priv;
    size_t n;
    while (p->queue->len && (n = chardev_room(c)) > 0) {
        uint8_t chunk[QUEUE_MAX];
        n = MIN(n, p->queue->len);
        memcpy(chunk, p->queue->data, n);
        g_byte_array_remove_range(p->queue, 0, (guint)n);
        chardev_deliver(c, chunk, n);
    }
}

static void move_on(ChardevMux *m)
{
    if (m->ports->len < 2) {
        say(m, "\r\nCtrl-a c: there is nothing else on this terminal\r\n");
        return;
    }
    drain(focused(m)); /* what was typed before the key */
    chardev_send_event(focused(m), CHARDEV_EVENT_FOCUS_OUT);
    m->focus = (m->focus + 1) % m->ports->len;
    chardev_send_event(focused(m), CHARDEV_EVENT_FOCUS_IN);
    chardev_accept_input(focused(m));
}

static void escaped_key(ChardevMux *m, uint8_t key)
{
    switch (key) {
    case ESCAPE_KEY:
        if (focused(m))
            g_byte_array_append(((Port *)focused(m)->priv)->queue, &key, 1);
        break;
    case 'x':
    case 'X':
        if (m->host.quit)
            m->host.quit(m->host.opaque);
        else
            say(m, "\r\nCtrl-a x: nothing to quit here\r\n");
        break;
    case 'b':
        if (focused(m))
            chardev_send_event(focused(m), CHARDEV_EVENT_BREAK);
        break;
    case 'c':
        move_on(m);
        break;
    case 'h':
    case '?':
        say(m, "\r\n"
               "Ctrl-a h    this help\r\n"
               "Ctrl-a x    quit\r\n"
               "Ctrl-a b    send a break\r\n"
               "Ctrl-a c    the next user of this terminal: a console, a monitor\r\n"
               "Ctrl-a Ctrl-a    send Ctrl-a\r\n");
        break;
    default: /* not a key of ours: dropped, as the terminal's user expects */
        break;
    }
}

static size_t mux_can_receive(void *opaque)
{
    Chardev *c = focused(opaque);
    /* With nobody there the keys still work. */
    return c ? QUEUE_MAX - MIN(((Port *)c->priv)->queue->len, QUEUE_MAX) : 1;
}

static void mux_receive(void *opaque, const uint8_t *buf, size_t len)
{
    ChardevMux *m = opaque;
    for (size_t i = 0; i < len; i++) {
        if (m->escaped) {
            m->escaped = false;
            escaped_key(m, buf[i]);
        } else if (buf[i] == ESCAPE_KEY) {
            m->escaped = true;
        } else if (focused(m)) {
            g_byte_array_append(((Port *)focused(m)->priv)->queue, &buf[i], 1);
        }
    }
    if (focused(m))
        drain(focused(m));
}

static void mux_event(void *opaque, ChardevEvent event)
{
    ChardevMux *m = opaque;
    if (event == CHARDEV_EVENT_BREAK) {
        if (focused(m))
            chardev_send_event(focused(m), event);
        return;
    }
    for (guint i = 0; i < m->ports->len; i++) {
        Chardev *c = m->ports->pdata[i];
        if (event == CHARDEV_EVENT_OPENED || m->back->away)
            chardev_set_away(c, m->back->away);
        else
            chardev_send_event(c, event);
    }
}

static size_t port_write(Chardev *c, const uint8_t *buf, size_t len)
{
    Port *p = c->priv;
    return chardev_write(p->mux->back, buf, len);
}

static void port_accept_input(Chardev *c)
{
    Port *p = c->priv;
    drain(c);
    chardev_accept_input(p->mux->back);
}

static bool port_flush(Chardev *c, int timeout_ms, GError **error)
{
    Port *p = c->priv;
    return chardev_flush(p->mux->back, timeout_ms, error);
}

static char *port_describe(const Chardev *c)
{
    const Port *p = c->priv;
    return chardev_mux_describe(p->mux);
}

static void port_close(Chardev *c)
{
    Port *p = c->priv;
    ChardevMux *m = p->mux;
    guint at;
    if (g_ptr_array_find(m->ports, c, &at)) {
        g_ptr_array_remove_index(m->ports, at);
        if (at < m->focus || m->focus == m->ports->len)
            m->focus = m->focus ? m->focus - 1 : 0;
    }
    g_byte_array_unref(p->queue);
    g_free(p);
    chardev_mux_unref(m);
}

static const ChardevType port_type = {
    .name = "mux",
    .write = port_write,
    .accept_input = port_accept_input,
    .flush = port_flush,
    .describe = port_describe,
    .close = port_close,
};

bool chardev_has_focus(const Chardev *c)
{
    return c && (c->type != &port_type || focused(((const Port *)c->priv)->mux) == c);
}

Chardev *chardev_mux_back(ChardevMux *mux)
{
    return mux->back;
}

char *chardev_mux_describe(const ChardevMux *mux)
{
    g_autofree char *back = chardev_describe(mux->back);
    return g_strconcat("mux:", back, NULL);
}

Chardev *chardev_mux_port(ChardevMux *mux)
{
    Chardev *c = chardev_new(&port_type, mux->back->label, &mux->host, NULL, NULL);
    Port *p = g_new0(Port, 1);
    p->mux = mux;
    p->queue = g_byte_array_new();
    c->priv = p;
    c->away = mux->back->away;
    mux->refs++;
    g_ptr_array_add(mux->ports, c);
    return c;
}

ChardevMux *chardev_mux_new(Chardev *back, const ChardevHost *host)
{
    ChardevMux *m = g_new0(ChardevMux, 1);
    m->refs = 1;
    m->back = back;
    m->ports = g_ptr_array_new();
    if (host)
        m->host = *host;
    chardev_set_handlers(back, mux_can_receive, mux_receive, mux_event, m);
    return m;
}

void chardev_mux_unref(ChardevMux *mux)
{
    if (!mux || --mux->refs)
        return;
    chardev_set_handlers(mux->back, NULL, NULL, NULL, NULL);
    chardev_free(mux->back);
    g_ptr_array_unref(mux->ports);
    g_free(mux);
}
