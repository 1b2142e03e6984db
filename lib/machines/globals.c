/* SPDX-License-Identifier: MIT */
/* What holds across devices: -global's defaults, and the order of bootindex=. */
#include "machines/machine_priv.h"

#include "base/error.h"
#include "base/option.h"

#include <inttypes.h>
#include <string.h>

typedef struct {
    char *driver, *property, *value, *text;
} MachineGlobal;

static void global_free(gpointer opaque)
{
    MachineGlobal *g = opaque;
    g_free(g->driver);
    g_free(g->property);
    g_free(g->value);
    g_free(g->text);
    g_free(g);
}

void machine_globals_init(Machine *m)
{
    m->globals = g_ptr_array_new_with_free_func(global_free);
    m->boot_order = g_array_new(FALSE, FALSE, sizeof(MachineBootDevice));
}

void machine_globals_clear(Machine *m)
{
    g_ptr_array_unref(m->globals);
    g_array_unref(m->boot_order);
}

/* ---- -global ------------------------------------------------------------------ */

/* By its whole name ("virtio-blk-device"), a short one or the one of its form on PCI. */
static bool is_driver(const DeviceType *type, const char *driver)
{
    const char *pci = strstr(driver, "-pci");
    size_t len = pci && pci > driver + strlen("virtio") ? (size_t)(pci - driver) : strlen(driver);
    return !strcmp(type->name, driver) ||
           (!strncmp(type->name, driver, len) && !strcmp(type->name + len, "-device"));
}

static const DeviceType *find_driver(const char *driver, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (const DeviceType *const *t = device_types(); *t; t++) {
        if (is_driver(*t, driver))
            return *t;
        g_ptr_array_add(names, (char *)(*t)->name);
    }
    g_ptr_array_add(names, NULL);
    const char *nearest = option_nearest(driver, (const char *const *)names->pdata);
    fail_usage(error, "there is no device '%s'%s%s%s", driver, nearest ? "; did you mean '" : "",
               nearest ? nearest : "", nearest ? "'?" : "");
    return NULL;
}

static bool apply(const MachineGlobal *g, Device *dev, Device *proxy, GError **error)
{
    if (!is_driver(dev->type, g->driver) && !(proxy && is_driver(proxy->type, g->driver)))
        return true;
    Device *owner = proxy && device_prop(proxy->type, g->property, NULL) ? proxy : dev;
    return device_set(owner, g->property, g->value, error) || prefix(error, "-global %s", g->text);
}

/* Of the type, or of the function in front of it if it is named in its form on PCI. */
static bool has_prop(const DeviceType *type, const MachineGlobal *g, GError **error)
{
    const DeviceType *proxy = strstr(g->driver, "-pci") ? device_type_find("virtio-pci") : NULL;
    return (proxy && device_prop(proxy, g->property, NULL)) ||
           device_prop(type, g->property, error);
}

/* "DRIVER.PROPERTY=VALUE", where names have no dots; else the long form. */
static bool parse(MachineGlobal *g, const char *text, GError **error)
{
    const char *equals = strchr(text, '='), *dot = strchr(text, '.');
    if (dot && equals && dot < equals && !memchr(text, ',', (size_t)(equals - text))) {
        g->driver = g_strndup(text, (gsize)(dot - text));
        g->property = g_strndup(dot + 1, (gsize)(equals - dot - 1));
        g->value = g_strdup(equals + 1);
        return true;
    }
    g_autoptr(Options) o = options_parse(text, NULL, NULL);
    if (!o || !options_has(o, "driver"))
        return fail_usage(error, "DRIVER.PROPERTY=VALUE is wanted, or driver=,property=,value=");
    g->driver = g_strdup(options_get(o, "driver"));
    g->property = g_strdup(options_need(o, "property", error));
    g->value = g->property ? g_strdup(options_need(o, "value", error)) : NULL;
    return g->value && options_done(o, error);
}

bool machine_add_global(Machine *m, const char *text, GError **error)
{
    MachineGlobal *g = g_new0(MachineGlobal, 1);
    g->text = g_strdup(text);
    g_ptr_array_add(m->globals, g);
    if (!parse(g, text, error))
        return prefix(error, "-global %s", text);
    const DeviceType *type = find_driver(g->driver, m->type->description ? NULL : error);
    /* a description leaves out what makes no difference to it */
    bool known = type && has_prop(type, g, m->type->description ? NULL : error);
    if (!known && m->type->description) {
        g_ptr_array_remove(m->globals, g);
        return true;
    }
    if (!known)
        return prefix(error, "-global %s", text);
    for (guint i = 0; i < m->devices->len; i++) {
        if (!apply(g, g_array_index(m->devices, MachineDevice, i).device, NULL, error))
            return false;
    }
    return true;
}

bool machine_globals_apply(const Machine *m, Device *dev, Device *proxy, GError **error)
{
    for (guint i = 0; i < m->globals->len; i++) {
        if (!apply(g_ptr_array_index(m->globals, i), dev, proxy, error))
            return false;
    }
    return true;
}

/* ---- bootindex= ------------------------------------------------------------------- */

const GArray *machine_boot_order(const Machine *m)
{
    return m->boot_order;
}

bool machine_boot_order_add(Machine *m, const Device *dev, const char *value, GError **error)
{
    if (!value)
        return true;
    MachineBootDevice entry = { (uint32_t)g_ascii_strtoull(value, NULL, 0), dev };
    guint at = 0;
    for (; at < m->boot_order->len; at++) {
        const MachineBootDevice *b = &g_array_index(m->boot_order, MachineBootDevice, at);
        if (b->index == entry.index)
            return fail_usage(error, "The bootindex %" PRIu32 " has already been used",
                              entry.index);
        if (b->index > entry.index)
            break;
    }
    g_array_insert_val(m->boot_order, at, entry);
    return true;
}

void machine_boot_order_remove(Machine *m, const Device *dev)
{
    for (guint i = 0; i < m->boot_order->len; i++) {
        if (g_array_index(m->boot_order, MachineBootDevice, i).device == dev)
            g_array_remove_index(m->boot_order, i--);
    }
}
