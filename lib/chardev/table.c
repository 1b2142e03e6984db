/* SPDX-License-Identifier: MIT */
/* All of a machine's back ends by name, and which front ends they have; see chardev.h. */
#include "base/error.h"
#include "chardev/chardev_priv.h"

#include <string.h>

typedef struct {
    char *id;
    Chardev *c;       /* the only front end's; NULL with mux */
    ChardevMux *mux;
    GPtrArray *ports; /* of mux, owned */
    bool taken;
} Entry;

struct ChardevTable {
    ChardevHost host;
    GPtrArray *entries; /* in the order they were opened */
};

static void entry_free(void *opaque)
{
    Entry *e = opaque;
    g_free(e->id);
    chardev_free(e->c);
    g_ptr_array_unref(e->ports);
    chardev_mux_unref(e->mux);
    g_free(e);
}

ChardevTable *chardev_table_new(const ChardevHost *host)
{
    ChardevTable *t = g_new0(ChardevTable, 1);
    if (host)
        t->host = *host;
    t->entries = g_ptr_array_new_with_free_func(entry_free);
    return t;
}

void chardev_table_free(ChardevTable *table)
{
    if (!table)
        return;
    g_ptr_array_unref(table->entries);
    g_free(table);
}

static Entry *find(const ChardevTable *t, const char *id, guint *at)
{
    for (guint i = 0; i < t->entries->len; i++) {
        Entry *e = t->entries->pdata[i];
        if (!strcmp(e->id, id)) {
            if (at)
                *at = i;
            return e;
        }
    }
    return NULL;
}

static Entry *add(ChardevTable *t, const char *id, Chardev *c, bool mux)
{
    Entry *e = g_new0(Entry, 1);
    e->id = g_strdup(id);
    e->ports = g_ptr_array_new_with_free_func((GDestroyNotify)chardev_free);
    if (mux)
        e->mux = chardev_mux_new(c, &t->host);
    else
        e->c = c;
    g_ptr_array_add(t->entries, e);
    return e;
}

/* A front end more; NULL if there can be none. */
static Chardev *take(Entry *e)
{
    if (e->mux) {
        Chardev *port = chardev_mux_port(e->mux);
        g_ptr_array_add(e->ports, port);
        return port;
    }
    if (e->taken)
        return NULL;
    e->taken = true;
    return e->c;
}

static bool good_id(const char *id)
{
    if (!g_ascii_isalpha(*id))
        return false;
    for (; *id; id++) {
        if (!g_ascii_isalnum(*id) && !strchr("-._", *id))
            return false;
    }
    return true;
}

bool chardev_table_add(ChardevTable *table, const char *text, GError **error)
{
    bool mux = false;
    g_autoptr(Options) o = options_parse(text, "backend", error);
    const char *id = o ? options_need(o, "id", error) : NULL;
    if (!id)
        return prefix(error, "'%s'", text);
    if (!good_id(id))
        return fail_usage(error, "id=%s: it begins with a letter and has letters, digits, - . _",
                          id);
    if (find(table, id, NULL))
        return fail_usage(error, "there are two of id=%s", id);
    Chardev *c = chardev_open_options(text, id, &table->host, &mux, error);
    if (!c)
        return prefix(error, "%s", id);
    add(table, id, c, mux);
    return true;
}

Chardev *chardev_table_get(ChardevTable *table, const char *id, GError **error)
{
    Entry *e = find(table, id, NULL);
    if (!e) {
        fail_usage(error, "there is no -chardev with id=%s", id);
        return NULL;
    }
    Chardev *c = take(e);
    if (!c)
        fail_usage(error, "the chardev %s is in use already (mux=on lets several share it)", id);
    return c;
}

Chardev *chardev_table_open(ChardevTable *table, const char *label, const char *spec,
                            GError **error)
{
    if (g_str_has_prefix(spec, "chardev:"))
        return chardev_table_get(table, spec + strlen("chardev:"), error);
    bool shared = g_str_has_prefix(spec, "mon:");
    const char *rest = spec + (shared ? strlen("mon:") : 0);
    if (find(table, label, NULL)) {
        fail_usage(error, "'%s': there is another chardev named %s", spec, label);
        return NULL;
    }
    g_autofree char *text = chardev_expand(rest, error);
    g_autofree char *full = !text ? NULL : shared && !strcmp(rest, "stdio")
                            ? g_strconcat(text, ",signal=off", NULL) : g_strdup(text);
    Chardev *c = full ? chardev_open_options(full, label, &table->host, NULL, error) : NULL;
    if (!c) {
        prefix(error, "'%s'", spec);
        return NULL;
    }
    Entry *e = add(table, label, c, shared);
    Chardev *front = take(e);
    if (shared && table->host.monitor)
        table->host.monitor(table->host.opaque, take(e));
    return front;
}

bool chardev_table_remove(ChardevTable *table, const char *id, GError **error)
{
    guint at;
    Entry *e = find(table, id, &at);
    if (!e)
        return fail_usage(error, "there is no chardev %s", id);
    if (e->taken || e->ports->len)
        return fail(error, "the chardev %s is in use", id);
    g_ptr_array_remove_index(table->entries, at);
    return true;
}

bool chardev_table_break(ChardevTable *table, const char *id, GError **error)
{
    Entry *e = find(table, id, NULL);
    if (!e)
        return fail_usage(error, "there is no chardev %s", id);
    chardev_send_event(e->mux ? chardev_mux_back(e->mux) : e->c, CHARDEV_EVENT_BREAK);
    return true;
}

char *chardev_table_info(const ChardevTable *table)
{
    GString *s = g_string_new(NULL);
    for (guint i = 0; i < table->entries->len; i++) {
        const Entry *e = table->entries->pdata[i];
        g_autofree char *where = e->c ? chardev_describe(e->c) : chardev_mux_describe(e->mux);
        g_string_append_printf(s, "%s: filename=%s\n", e->id, where);
    }
    return g_string_free(s, FALSE);
}
