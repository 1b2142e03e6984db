/* SPDX-License-Identifier: MIT */
/* -netdev, -nic and -net: back ends, and the cards that -nic makes for them. */
#include "net.h"

#include "base/error.h"

#include <string.h>

typedef bool Add(NetTable *table, const char *text, GError **error);

bool nets_open(const RunOptions *o, NetTable *table, GError **error)
{
    const struct {
        const char *name;
        const GPtrArray *texts;
        Add *add;
    } options[] = { { "-netdev", o->netdev, net_table_add },
                    { "-nic", o->nic, net_table_add_nic },
                    { "-net", o->net, net_table_add_net } };
    for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
        for (guint k = 0; k < options[i].texts->len; k++) {
            if (!options[i].add(table, options[i].texts->pdata[k], error))
                return prefix(error, "%s", options[i].name);
        }
    }
    return true;
}

/* The one place that knows what a card is when no model is named. Its name without a suffix takes
   the form that the board prefers. */
static const char *card_model(const char *model)
{
    return !model || !strcmp(model, "virtio") ? "virtio-net" : model;
}

static NetBackend *backend_of(void *opaque, const char *id, GError **error)
{
    return net_table_get(opaque, id, error);
}

/* For the device of a -nic alone: its back end, which others cannot ask for. */
static NetBackend *backend_of_nic(void *opaque, const char *id, GError **error)
{
    return opaque;
}

static bool plug_nic(Machine *m, const NetNic *nic, GError **error)
{
    const char *id = net_id(nic->backend);
    g_autoptr(GString) text = g_string_new(card_model(nic->model));
    g_string_append_printf(text, ",netdev=%s", id);
    if (nic->has_mac)
        g_string_append_printf(text, ",mac=%02x:%02x:%02x:%02x:%02x:%02x", nic->mac[0],
                               nic->mac[1], nic->mac[2], nic->mac[3], nic->mac[4], nic->mac[5]);
    machine_set_net_source(m, backend_of_nic, nic->backend);
    g_autoptr(GError) e = NULL;
    if (machine_add_device(m, text->str, &e))
        return true;
    /* what the user has written, instead of the -device that it stands for */
    g_autofree char *ours = g_strdup_printf("-device %s: ", text->str);
    const char *why = e->message + (g_str_has_prefix(e->message, ours) ? strlen(ours) : 0);
    g_set_error(error, e->domain, e->code, "-nic: model=%s: %s", nic->model ? nic->model : "virtio", why);
    return false;
}

bool nets_plug(NetTable *table, Machine *m, GError **error)
{
    const GPtrArray *nics = net_table_nics(table);
    for (guint i = 0; i < nics->len; i++) {
        if (!plug_nic(m, nics->pdata[i], error))
            return false;
    }
    machine_set_net_source(m, backend_of, table);
    return true;
}

void nets_check_used(const NetTable *table, void (*warn)(const char *line))
{
    const char *id;
    for (unsigned i = 0; (id = net_table_unused(table, i)); i++) {
        g_autofree char *line = g_strdup_printf("warning: netdev %s has no peer", id);
        warn(line);
    }
}
