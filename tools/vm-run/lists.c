/* SPDX-License-Identifier: MIT */
/* Options that ask what there is: "help" in place of a value. */
#include "run_priv.h"

#include "base/log.h"
#include "block/block.h"

#include <stdio.h>
#include <string.h>

static bool asks_help(const char *text)
{
    return text && (!strcmp(text, "help") || !strcmp(text, "?"));
}

static const char *wanted_isa(const Run *r)
{
    return r->o->arch ? r->o->arch : r->o->called_arch;
}

static void print_models(const Run *r)
{
    const char *wanted = wanted_isa(r);
    for (const GuestIsa *const *i = guest_isas(); *i; i++) {
        if (wanted ? strcmp((*i)->name, wanted) != 0 : !(*i)->reset)
            continue;
        g_autoptr(GString) s = g_string_new(NULL);
        (*i)->list_models(s);
        printf("%s:\n%s", (*i)->name, s->str);
    }
}

static void print_machines(const Run *r)
{
    g_autofree const char **isas = machine_isas();
    for (const char **isa = isas; *isa; isa++) {
        if (wanted_isa(r) && strcmp(*isa, wanted_isa(r)) != 0)
            continue;
        g_autofree char *text = machine_help(*isa);
        printf("%s:\n%s", *isa, text);
    }
}

bool run_print_lists(const Run *r)
{
    const RunOptions *o = r->o;
    g_autofree char *text = NULL;
    if (asks_help(o->accel)) {
        text = cpu_accel_help();
    } else if (asks_help(o->debug)) {
        text = log_help();
    } else if ((o->serial->len && asks_help(o->serial->pdata[0])) ||
               (o->chardev->len && asks_help(o->chardev->pdata[0]))) {
        text = chardev_help();
    } else if (o->drive->len && asks_help(o->drive->pdata[0])) {
        text = block_help();
    } else if (o->device->len && (text = machine_device_help(o->device->pdata[0])) && *text) {
        /* text is the list */
    } else if ((o->netdev->len && asks_help(o->netdev->pdata[0])) ||
               (o->nic->len && asks_help(o->nic->pdata[0]))) {
        text = net_help();
    } else if (asks_help(o->cpu)) {
        print_models(r);
        return true;
    } else {
        for (guint i = 0; i < o->machine->len; i++) {
            if (asks_help(o->machine->pdata[i])) {
                print_machines(r);
                return true;
            }
        }
        return false;
    }
    fputs(text, stdout);
    return true;
}
