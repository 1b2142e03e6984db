/* SPDX-License-Identifier: MIT */
/* The table of back ends, -serial SPEC, and the calls of front ends; see chardev.h. */
#include "base/error.h"
#include "chardev/chardev_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static const ChardevType *const chardev_types[] = {
#define CHARDEV(name) &name##_chardev,
#include "chardev/chardevs.def"
#undef CHARDEV
};

Chardev *chardev_new(const ChardevType *type, const char *label, const ChardevHost *host,
                     Options *options, GError **error)
{
    g_autoptr(Options) none = options ? NULL : options_parse("", NULL, NULL);
    Chardev *c = g_new0(Chardev, 1);
    c->type = type;
    c->label = g_strdup(label);
    if (host)
        c->host = *host;
    g_mutex_init(&c->lock);
    if (type->open ? !type->open(c, options ? options : none, error)
                   : options && !options_done(options, error)) {
        chardev_free(c);
        return NULL;
    }
    return c;
}

static const ChardevType *find_type(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(chardev_types); i++) {
        const ChardevType *t = chardev_types[i];
        if (t->usage && !strcmp(t->name, name))
            return t;
    }
    return NULL;
}

static ChardevSink *open_log(const char *path, bool append, GError **error)
{
    int fd = open(path, O_WRONLY | O_CREAT | (append ? O_APPEND : O_TRUNC) | O_CLOEXEC | O_NOCTTY,
                  0666);
    if (fd < 0)
        fail_errno(error, errno, "cannot write the log %s", path);
    return fd < 0 ? NULL : chardev_sink_new(fd, true);
}

Chardev *chardev_open_options(const char *text, const char *label, const ChardevHost *host,
                              bool *mux, GError **error)
{
    bool append = false, shared = false;
    g_autoptr(Options) o = options_parse(text, "backend", error);
    const char *name = o ? options_need(o, "backend", error) : NULL;
    if (!name)
        return NULL;
    const ChardevType *type = find_type(name);
    if (!type) {
        g_autofree char *spec = g_strconcat(name, ":", NULL);
        /* it says what it knows of that name */
        g_autofree char *short_form = chardev_expand(spec, error);
        if (short_form)
            fail_usage(error, "'%s' is a form of -serial; here it is socket", name);
        return NULL;
    }
    options_get(o, "id");
    const char *log = options_get(o, "logfile");
    if (!options_get_bool(o, "logappend", &append, error) ||
        (mux && !options_get_bool(o, "mux", &shared, error)))
        return NULL;
    if (mux)
        *mux = shared;
    ChardevSink *sink = log ? open_log(log, append, error) : NULL;
    if (log && !sink)
        return NULL;
    Chardev *c = chardev_new(type, label, host, o, error);
    if (c)
        c->log = sink;
    else
        chardev_sink_free(sink);
    return c;
}

Chardev *chardev_open(const char *spec, const ChardevHost *host, GError **error)
{
    bool shared = g_str_has_prefix(spec, "mon:");
    const char *rest = spec + (shared ? strlen("mon:") : 0);
    g_autofree char *text = chardev_expand(rest, error);
    g_autofree char *full = !text ? NULL : shared && !strcmp(rest, "stdio")
                            ? g_strconcat(text, ",signal=off", NULL) : g_strdup(text);
    Chardev *c = full ? chardev_open_options(full, spec, host, NULL, error) : NULL;
    if (!c) {
        prefix(error, "'%s'", spec);
        return NULL;
    }
    if (!shared)
        return c;
    ChardevMux *mux = chardev_mux_new(c, host);
    Chardev *port = chardev_mux_port(mux);
    chardev_mux_unref(mux);
    return port;
}

size_t chardev_write(Chardev *c, const void *buf, size_t len)
{
    if (!c || !len)
        return len;
    if (!atomic_load_explicit(&c->wrote, memory_order_relaxed))
        atomic_store_explicit(&c->wrote, true, memory_order_relaxed);
    size_t taken = c->type->write ? c->type->write(c, buf, len) : len;
    if (c->log)
        chardev_sink_write(c->log, buf, taken);
    return taken;
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
    if (!c->away)
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

void chardev_set_away(Chardev *c, bool away)
{
    if (c->away == away)
        return;
    c->away = away;
    chardev_send_event(c, away ? CHARDEV_EVENT_CLOSED : CHARDEV_EVENT_OPENED);
}

int chardev_socket(const Chardev *c)
{
    int fd = c && c->type->socket ? c->type->socket(c) : -1;
    return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

ChardevRetry chardev_retry(const Chardev *c)
{
    return c && c->type->retry ? c->type->retry(c) : (ChardevRetry){ 0 };
}

int chardev_connect_again(const Chardev *c)
{
    if (c && c->type->connect_again)
        return c->type->connect_again(c);
    errno = ENOTCONN;
    return -1;
}

bool chardev_is_open(const Chardev *c)
{
    return c && !c->away;
}

bool chardev_wrote(const Chardev *c)
{
    return atomic_load_explicit(&c->wrote, memory_order_relaxed);
}

char *chardev_describe(const Chardev *c)
{
    return c->type->describe ? c->type->describe(c) : g_strdup(c->type->name);
}

void chardev_notice(const Chardev *c, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *line = g_strdup_vprintf(fmt, args);
    va_end(args);
    if (c->host.notice)
        c->host.notice(c->host.opaque, line);
}

bool chardev_cancelled(const Chardev *c)
{
    return c->host.cancelled && c->host.cancelled(c->host.opaque);
}

bool chardev_flush(Chardev *c, int timeout_ms, GError **error)
{
    if (!c || (c->type->flush && !c->type->flush(c, timeout_ms, error)))
        return !c;
    if (c->log && !chardev_sink_flush(c->log, timeout_ms, error))
        return prefix(error, "the log");
    return true;
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
    chardev_sink_free(c->log);
    g_free(c->label);
    g_mutex_clear(&c->lock);
    g_free(c);
}

char *chardev_help(void)
{
    GString *s = g_string_new(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(chardev_types); i++) {
        if (chardev_types[i]->usage)
            g_string_append_printf(s, "  %-44s %s\n", chardev_types[i]->usage,
                                   chardev_types[i]->summary);
    }
    g_string_append_printf(s, "  %-44s %s\n", "chardev:ID", "one that -chardev has made");
    g_string_append_printf(s, "  %-44s %s\n", "mon:SPEC",
                           "with the Ctrl-a keys (Ctrl-a h shows them, Ctrl-a x quits)");
    return g_string_free(s, FALSE);
}
