/* SPDX-License-Identifier: MIT */
/* The table of back ends, -serial SPEC, and the calls of front ends; see chardev.h. */
#include "base/error.h"
#include "chardev/chardev_priv.h"

#include <string.h>

static const ChardevType *const chardev_types[] = {
#define CHARDEV(name) &name##_chardev,
#include "chardev/chardevs.def"
#undef CHARDEV
};

/* What users may write because QEMU takes it, and we do not yet. */
static const char *const known_elsewhere[] = { "pty", "unix", "tcp", "udp", "telnet", "websocket",
                                               "vc", "pipe", "chardev", "msmouse", "braille" };

Chardev *chardev_new(const ChardevType *type, const char *arg, bool shared, GError **error)
{
    Chardev *c = g_new0(Chardev, 1);
    c->type = type;
    g_mutex_init(&c->lock);
    if (type->open && !type->open(c, arg, shared, error)) {
        chardev_free(c);
        return NULL;
    }
    return c;
}

static const ChardevType *find_type(const char *name, size_t len)
{
    for (size_t i = 0; i < G_N_ELEMENTS(chardev_types); i++) {
        const ChardevType *t = chardev_types[i];
        if (t->usage && strlen(t->name) == len && !memcmp(t->name, name, len))
            return t;
    }
    return NULL;
}

Chardev *chardev_open(const char *spec, const ChardevHost *host, GError **error)
{
    const char *rest = spec;
    bool shared = g_str_has_prefix(spec, "mon:");
    if (shared)
        rest += strlen("mon:");
    if (!strcmp(rest, "none"))
        rest = "null";
    const char *colon = strchr(rest, ':');
    size_t name_len = colon ? (size_t)(colon - rest) : strlen(rest);
    const ChardevType *type = find_type(rest, name_len);
    if (!type) {
        for (size_t i = 0; i < G_N_ELEMENTS(known_elsewhere); i++) {
            if (strlen(known_elsewhere[i]) == name_len &&
                !memcmp(known_elsewhere[i], rest, name_len)) {
                fail_usage(error, "'%s': the %s back end is not there yet "
                           "(there are: null, stdio, file:PATH, mon:stdio)", spec,
                           known_elsewhere[i]);
                return NULL;
            }
        }
        fail_usage(error, "'%s': no such character back end "
                   "(there are: null, none, stdio, file:PATH, mon:stdio)", spec);
        return NULL;
    }
    Chardev *back = chardev_new(type, colon ? colon + 1 : NULL, shared, error);
    if (!back) {
        prefix(error, "'%s'", spec);
        return NULL;
    }
    return shared ? chardev_mux_new(back, host) : back;
}

size_t chardev_write(Chardev *c, const void *buf, size_t len)
{
    if (!c || !c->type->write || !len)
        return len;
    return c->type->write(c, buf, len);
}

static gboolean on_accept(gpointer opaque)
{
    Chardev *c = opaque;
    g_mutex_lock(&c->lock);
    g_clear_pointer(&c->accept_source, g_source_unref);
    g_mutex_unlock(&c->lock);
    c->type->accept_input(c);
    return G_SOURCE_REMOVE;
}

void chardev_accept_input(Chardev *c)
{
    if (!c || !c->type->accept_input)
        return;
    g_mutex_lock(&c->lock);
    if (!c->accept_source) {
        c->accept_source = g_idle_source_new();
        g_source_set_priority(c->accept_source, G_PRIORITY_DEFAULT);
        g_source_set_callback(c->accept_source, on_accept, c, NULL);
        g_source_attach(c->accept_source, NULL);
    }
    g_mutex_unlock(&c->lock);
}

void chardev_set_handlers(Chardev *c, ChardevCanReceive can_receive, ChardevReceive receive,
                          ChardevEventFn event, void *opaque)
{
    if (!c)
        return;
    c->can_receive = can_receive;
    c->receive = receive;
    c->event = event;
    c->opaque = opaque;
    chardev_send_event(c, CHARDEV_EVENT_OPENED);
    if (can_receive && receive)
        chardev_accept_input(c);
}

size_t chardev_room(Chardev *c)
{
    return c->can_receive && c->receive ? c->can_receive(c->opaque) : 0;
}

void chardev_deliver(Chardev *c, const uint8_t *buf, size_t len)
{
    if (c->receive && len)
        c->receive(c->opaque, buf, len);
}

void chardev_send_event(Chardev *c, ChardevEvent event)
{
    if (c->event)
        c->event(c->opaque, event);
}

bool chardev_flush(Chardev *c, int timeout_ms, GError **error)
{
    if (!c || !c->type->flush)
        return true;
    return c->type->flush(c, timeout_ms, error);
}

void chardev_free(Chardev *c)
{
    if (!c)
        return;
    g_mutex_lock(&c->lock);
    if (c->accept_source) {
        g_source_destroy(c->accept_source);
        g_clear_pointer(&c->accept_source, g_source_unref);
    }
    g_mutex_unlock(&c->lock);
    if (c->type->close)
        c->type->close(c);
    g_mutex_clear(&c->lock);
    g_free(c);
}

char *chardev_help(void)
{
    GString *s = g_string_new(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(chardev_types); i++) {
        if (chardev_types[i]->usage)
            g_string_append_printf(s, "  %-12s %s\n", chardev_types[i]->usage,
                                   chardev_types[i]->summary);
    }
    g_string_append_printf(s, "  %-12s %s\n", "mon:stdio",
                           "stdio with the Ctrl-a keys (Ctrl-a h shows them, Ctrl-a x quits)");
    return g_string_free(s, FALSE);
}
