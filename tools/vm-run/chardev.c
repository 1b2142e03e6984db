/* SPDX-License-Identifier: MIT */
/* -chardev, -serial and what they default to. */
#include "chardev.h"
#include "exec.h"

#include "base/error.h"

#include <string.h>

/* Whether the terminal is taken by a monitor of its own, or nobody is there. */
static bool no_terminal(const RunOptions *o)
{
    for (guint i = 0; i < o->monitor->len; i++) {
        if (g_str_has_suffix(o->monitor->pdata[i], "stdio"))
            return !o->nographic;
    }
    return o->daemonize;
}

bool chardevs_open(const RunOptions *o, ChardevTable *table, Machine *machine, GPtrArray *serials,
                   GError **error)
{
    for (guint i = 0; i < o->chardev->len; i++) {
        if (!chardev_table_add(table, o->chardev->pdata[i], error))
            return prefix(error, "-chardev");
    }
    if (!o->serial->len && !o->exec && !o->nographic &&
        (o->nodefaults || o->display || o->qtest || no_terminal(o)))
        return true;
    for (guint i = 0; i < MAX(o->serial->len, 1); i++) {
        const char *spec = o->serial->len ? o->serial->pdata[i]
                           : o->exec      ? "chardev:" EXEC_CONSOLE
                                          : "mon:stdio";
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
