/* SPDX-License-Identifier: MIT */
/* -netdev, -nic and -net: the back ends by name, and the cards asked for; see net.h. */
#include "base/error.h"
#include "net/net_priv.h"

#include <stdio.h>
#include <string.h>

struct NetTable {
    GPtrArray *backends; /* of NetBackend */
    GPtrArray *nics;     /* of NetNic */
    bool none;
};

static void nic_free(void *opaque)
{
    NetNic *n = opaque;
    g_free(n->model);
    g_free(n);
}

NetTable *net_table_new(void)
{
    NetTable *t = g_new0(NetTable, 1);
    t->backends = g_ptr_array_new_with_free_func((GDestroyNotify)net_free);
    t->nics = g_ptr_array_new_with_free_func(nic_free);
    return t;
}

void net_table_free(NetTable *table)
{
    if (!table)
        return;
    g_ptr_array_unref(table->nics);
    g_ptr_array_unref(table->backends);
    g_free(table);
}

static NetBackend *find(const NetTable *t, const char *id)
{
    for (guint i = 0; i < t->backends->len; i++) {
        if (!strcmp(net_id(t->backends->pdata[i]), id))
            return t->backends->pdata[i];
    }
    return NULL;
}

static NetBackend *add(NetTable *t, Options *o, const char *id, GError **error)
{
    bool good = g_ascii_isalpha(*id) || *id == '_';
    for (const char *p = id; *p; p++)
        good = good && (g_ascii_isalnum(*p) || strchr("-._", *p));
    if (!good) {
        fail_usage(error, "id=%s: it begins with a letter and has letters, digits, - . _", id);
        return NULL;
    }
    if (find(t, id)) {
        fail_usage(error, "there are two of id=%s", id);
        return NULL;
    }
    NetBackend *b = net_open(o, id, error);
    if (!b) {
        prefix(error, "%s", id);
        return NULL;
    }
    g_ptr_array_add(t->backends, b);
    return b;
}

bool net_table_add(NetTable *table, const char *text, GError **error)
{
    g_autoptr(Options) o = options_parse(text, "type", error);
    const char *id = o ? options_need(o, "id", error) : NULL;
    return id && add(table, o, id, error);
}

bool net_parse_mac(const char *text, uint8_t mac[6], GError **error)
{
    unsigned byte[6];
    char end;
    bool good = strlen(text) == 17 &&
                sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%c", &byte[0], &byte[1], &byte[2], &byte[3],
                       &byte[4], &byte[5], &end) == 6;
    for (int i = 0; good && i < 17; i++)
        good = i % 3 == 2 ? text[i] == ':' : g_ascii_isxdigit(text[i]);
    if (!good)
        return fail_usage(error, "mac=%s: it has the form 52:54:00:12:34:56", text);
    if (byte[0] & 1)
        return fail_usage(error, "mac=%s: that is a group's address", text);
    for (int i = 0; i < 6; i++)
        mac[i] = (uint8_t)byte[i];
    return true;
}

bool net_table_add_nic(NetTable *table, const char *text, GError **error)
{
    if (!strcmp(text, "none")) {
        table->none = true;
        return true;
    }
    g_autoptr(Options) o = options_parse(text, "type", error);
    if (!o)
        return false;
    NetNic nic = { .model = g_strdup(options_get(o, "model")) };
    const char *mac = options_get(o, "mac"), *id = options_get(o, "id");
    g_autofree char *name = id ? g_strdup(id) : NULL;
    for (unsigned n = 0; !name; n++) {
        g_autofree char *candidate = g_strdup_printf("__nic%u", n);
        if (!find(table, candidate))
            name = g_steal_pointer(&candidate);
    }
    nic.has_mac = mac != NULL;
    if ((mac && !net_parse_mac(mac, nic.mac, error)) ||
        !(nic.backend = add(table, o, name, error))) {
        g_free(nic.model);
        return false;
    }
    nic.backend->taken = true;
    g_ptr_array_add(table->nics, g_memdup2(&nic, sizeof nic));
    return true;
}

bool net_table_add_net(NetTable *table, const char *text, GError **error)
{
    if (!strcmp(text, "none")) {
        table->none = true;
        return true;
    }
    if (g_str_has_prefix(text, "nic"))
        return fail_usage(error, "'%s': there are no hubs; -nic TYPE,model=... makes a card and "
                          "its back end", text);
    return fail_usage(error, "'%s': there are no hubs; write -nic %s", text, text);
}

NetBackend *net_table_get(NetTable *table, const char *id, GError **error)
{
    NetBackend *b = find(table, id);
    if (!b || b->taken) {
        fail_usage(error, b ? "the netdev %s has a card already"
                            : "there is no -netdev with id=%s", id);
        return NULL;
    }
    b->taken = true;
    return b;
}

void net_release(NetBackend *b)
{
    b->taken = false;
}

NetBackend *net_table_find(const NetTable *table, const char *id)
{
    return find(table, id);
}

NetBackend *net_table_nth(const NetTable *table, unsigned n)
{
    return n < table->backends->len ? table->backends->pdata[n] : NULL;
}

bool net_table_remove(NetTable *table, const char *id, GError **error)
{
    NetBackend *b = find(table, id);
    if (!b)
        return fail_usage(error, "there is no netdev %s", id);
    if (b->card.receive || b->card.room || b->card.link)
        return fail(error, "the netdev %s is in use by a card", id);
    for (guint i = 0; i < table->nics->len; i++) {
        if (((NetNic *)table->nics->pdata[i])->backend == b)
            return fail(error, "the netdev %s is in use by a card", id);
    }
    g_ptr_array_remove(table->backends, b);
    return true;
}

const GPtrArray *net_table_nics(const NetTable *table)
{
    return table->nics;
}

bool net_table_no_default(const NetTable *table)
{
    return table->none;
}

const char *net_table_unused(const NetTable *table, unsigned n)
{
    for (guint i = 0; i < table->backends->len; i++) {
        const NetBackend *b = table->backends->pdata[i];
        if (!b->taken && n-- == 0)
            return net_id(b);
    }
    return NULL;
}

char *net_table_info(const NetTable *table)
{
    GString *s = g_string_new(NULL);
    for (guint i = 0; i < table->backends->len; i++) {
        NetBackend *b = table->backends->pdata[i];
        g_autofree char *what = net_describe(b);
        g_string_append_printf(s, "%s: %s%s\n", net_id(b), what, net_link(b) ? "" : " (no link)");
    }
    return g_string_free(s, FALSE);
}
