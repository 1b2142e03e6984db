/* SPDX-License-Identifier: MIT */
/* -netdev, -nic and -net. Their words are checked; no board or -device has a network card yet. */
#include "net.h"

#include "base/error.h"

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
    if (o->netdev->len || net_table_nics(table)->len)
        return fail_usage(error, "%s: network cards are not there yet",
                          o->netdev->len ? "-netdev" : "-nic");
    return true;
}
