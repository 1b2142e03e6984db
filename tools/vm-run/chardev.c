/* SPDX-License-Identifier: MIT */
/* -chardev, -serial and what they default to. */
#include "chardev.h"

#include "base/error.h"

#include <string.h>

bool chardevs_open(const RunOptions *o, ChardevTable *table, Machine *machine, GPtrArray *serials,
                   GError **error)
{
    for (guint i = 0; i < o->chardev->len; i++) {
        if (!chardev_table_add(table, o->chardev->pdata[i], error))
            return prefix(error, "-chardev");
    }
    if (!o->serial->len && !o->nographic && (o->nodefaults || o->display || o->qtest))
        return true;
    for (guint i = 0; i < MAX(o->serial->len, 1); i++) {
        const char *spec = o->serial->len ? o->serial->pdata[i] : "mon:stdio";
        g_autofree char *label = g_strdup_printf("serial%u", i);
        if (!strcmp(spec, "none")) {
            g_ptr_array_add(serials, NULL);
            continue;
        }
        Chardev *c = chardev_table_open(table, label, spec, error);
        if (!c)
            return prefix(error, "-serial");
        g_ptr_array_add(serials, c);
        if (!machine_set_serial(machine, i, c, error))
            return prefix(error, "-serial");
    }
    return true;
}
