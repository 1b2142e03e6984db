/* SPDX-License-Identifier: MIT */
/*
 * -device: makes a device and plugs it into a slot of the board or of another device, before the machine
 * starts or, where the bus allows it, while it runs; and takes it out again. Slots of one kind
 * fill from the last to the first, so that the first device added is the first that a guest finds.
 *
 * "virtio-blk-pci" stands for two devices, the PCI function and the "virtio-blk-device" plugged into it,
 * which has the user's id; "virtio-blk" for whichever of the two forms the board prefers.
 */
#include "machines/acpi.h"
#include "machines/machine_priv.h"

#include "base/error.h"
#include "base/option.h"

#include <stdio.h>
#include <string.h>

/* ---- Names ------------------------------------------------------------------------- */

/* What a name means: a type, and the PCI function in front of it, or NULL. */
typedef struct {
    const DeviceType *type, *proxy;
    const char *preset; /* a property of the proxy that the name sets, "disable-legacy=on", or NULL */
} Model;

static bool plugs(const DeviceType *type)
{
    return type->slot && !type->front;
}

static const DeviceType *with_suffix(const char *name, size_t len, const char *suffix)
{
    g_autofree char *full = g_strdup_printf("%.*s%s", (int)len, name, suffix);
    const DeviceType *type = device_type_find(full);
    return type && plugs(type) ? type : NULL;
}

static bool has_pci(const Machine *m)
{
    for (guint i = 0; i < m->devices->len; i++)
        if (!g_strcmp0(g_array_index(m->devices, MachineDevice, i).device->type->offers, "pci"))
            return true;
    return false;
}

/* m NULL: any board. */
static bool model_find(const Machine *m, const char *name, Model *model)
{
    static const struct {
        const char *suffix, *preset;
    } forms[] = { { "-pci", NULL },
                  { "-pci-transitional", "disable-legacy=off" },
                  { "-pci-non-transitional", "disable-legacy=on" } };
    *model = (Model){ .type = device_type_find(name) };
    if (model->type)
        return plugs(model->type);
    const DeviceType *proxy = device_type_find("virtio-pci");
    for (size_t i = 0; i < G_N_ELEMENTS(forms); i++) {
        if (!g_str_has_suffix(name, forms[i].suffix))
            continue;
        size_t len = strlen(name) - strlen(forms[i].suffix);
        *model = (Model){ with_suffix(name, len, "-device"), proxy, forms[i].preset };
        return model->type != NULL;
    }
    *model = (Model){ with_suffix(name, strlen(name), "-device"),
                      m && has_pci(m) ? proxy : NULL, NULL };
    return model->type != NULL;
}

static void list_names(GPtrArray *names)
{
    for (const DeviceType *const *t = device_types(); *t; t++) {
        if (!plugs(*t) || (*t)->described)
            continue;
        g_ptr_array_add(names, g_strdup((*t)->name));
        if (!strcmp((*t)->slot, "virtio"))
            g_ptr_array_add(names, g_strdup_printf("%.*s-pci", (int)(strlen((*t)->name) - 7),
                                                   (*t)->name));
    }
}

static bool model_unknown(const char *name, GError **error)
{
    Model model;
    if (model_find(NULL, name, &model) && model.type->described)
        return fail_usage(error, "'%s' is not there yet (help: list)", name);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    list_names(names);
    g_ptr_array_add(names, NULL);
    const char *nearest = option_nearest(name, (const char *const *)names->pdata);
    return nearest ? fail_usage(error,
                                "'%s' is not a valid device model name; did you mean '%s'?", name,
                                nearest)
                   : fail_usage(error, "'%s' is not a valid device model name (help: list)", name);
}

/* ---- Properties ---------------------------------------------------------------------- */

void machine_set_chardev_source(Machine *m,
                                Chardev *(*get)(void *opaque, const char *id, GError **error),
                                void *opaque)
{
    m->chardev_get = get;
    m->chardev_opaque = opaque;
}

static bool set_chardev(Machine *m, Device *dev, const char *key, const char *value,
                        GError **error)
{
    if (!m->chardev_get)
        return fail_usage(error, "Property '%s.%s' can't find value '%s'", dev->type->name, key,
                          value);
    Chardev *c = m->chardev_get(m->chardev_opaque, value, error);
    return c && device_set_chardev(dev, key, c, error);
}

static bool set_prop(Machine *m, Device *dev, const char *key, const char *value, GError **error)
{
    const DeviceProp *p = device_prop(dev->type, key, error);
    if (!p)
        return false;
    switch (p->kind) {
    case DEVICE_DRIVE: return machine_set_drive(m, dev, key, value, error);
    case DEVICE_RNG: return machine_set_rng(m, dev, key, value, error);
    case DEVICE_CHARDEV: return set_chardev(m, dev, key, value, error);
    case DEVICE_NET: return machine_set_net(m, dev, key, value, error);
    default: return device_set(dev, key, value, error);
    }
}

/* On a board that is described only, back ends are not looked for, and what makes no difference to a
   description is taken unseen, unless it looks like a slip. */
static bool described_prop(const Machine *m, const Device *dev, const Device *proxy, const char *key)
{
    if (!m->type->description)
        return false;
    const DeviceType *owner = proxy && device_prop(proxy->type, key, NULL) ? proxy->type : dev->type;
    const DeviceProp *p = device_prop(owner, key, NULL);
    if (p)
        return p->kind == DEVICE_DRIVE || p->kind == DEVICE_RNG || p->kind == DEVICE_CHARDEV ||
               p->kind == DEVICE_NET;
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (p = dev->type->props; p && p->name; p++)
        g_ptr_array_add(names, (char *)p->name);
    for (p = proxy ? proxy->type->props : NULL; p && p->name; p++)
        g_ptr_array_add(names, (char *)p->name);
    g_ptr_array_add(names, NULL);
    return !option_nearest(key, (const char *const *)names->pdata);
}

/* Each goes to the device that has it, those of the PCI function first. */
static bool set_props(Machine *m, Device *dev, Device *proxy, Options *options, GError **error)
{
    const char *key, *value;
    for (unsigned i = 0; options_item(options, i, &key, &value); i++) {
        if (!strcmp(key, "driver") || !strcmp(key, "id") || !strcmp(key, "bus"))
            continue;
        if (described_prop(m, dev, proxy, key))
            continue;
        Device *owner = proxy && device_prop(proxy->type, key, NULL) ? proxy : dev;
        if (!set_prop(m, owner, key, value, error))
            return false;
    }
    return true;
}

/* ---- Slots ----------------------------------------------------------------------------- */

static Device *nth(const Machine *m, guint i)
{
    return i < m->devices->len ? g_array_index(m->devices, MachineDevice, i).device
                               : g_ptr_array_index(m->added, i - m->devices->len);
}

char *machine_bus_name(const Machine *m, const Device *slot)
{
    const char *form = slot->type->bus_name ? slot->type->bus_name : "%s.0";
    const char *percent = strchr(form, '%');
    if (!percent)
        return g_strdup(form);
    unsigned number = 0;
    for (guint i = 0; nth(m, i) != slot; i++)
        number += nth(m, i)->type == slot->type;
    g_autofree char *count = g_strdup_printf("%u", number);
    return g_strdup_printf("%.*s%s%s", (int)(percent - form), form,
                           percent[1] == 's' ? slot->id : count, percent + 2);
}

/* The slot of that kind for bus=, or one with room: of the board's the last. */
static Device *slot_find(const Machine *m, const char *kind, const char *bus, GError **error)
{
    Device *free = NULL;
    g_autoptr(GString) names = g_string_new("");
    for (guint i = 0; i < m->devices->len + m->added->len; i++) {
        Device *dev = nth(m, i);
        if (g_strcmp0(dev->type->offers, kind) || dev->type->front)
            continue;
        bool board = i < m->devices->len;
        g_autofree char *own = machine_bus_name(m, dev);
        if (bus && (!strcmp(bus, own) || !strcmp(bus, dev->id))) {
            if (!m->started || dev->type->inserted)
                return dev;
            fail_usage(error, "Bus '%s' does not support hotplugging", own);
            return NULL;
        }
        if (!dev->type->plugged(dev) && (board || !free) &&
            (!m->started || dev->type->inserted))
            free = dev;
        g_string_append_printf(names, "%s%s", names->len ? ", " : "", own);
    }
    if (!names->len)
        fail_usage(error, "no %s bus to plug it into", kind);
    else if (bus)
        fail_usage(error, "Bus '%s' not found; there are %s", bus, names->str);
    else if (!free)
        fail_usage(error, m->started ? "no free slot takes devices while the machine runs (%s)"
                                     : "no slot is free (%s)", names->str);
    return bus ? NULL : free;
}

/* ---- Adding ------------------------------------------------------------------------------- */

/* The last one plugged into dev, or NULL. */
static Device *child_of(const Machine *m, const Device *dev)
{
    for (guint i = m->added->len; i > 0; i--) {
        Device *child = g_ptr_array_index(m->added, i - 1);
        if (child->bus == dev)
            return child;
    }
    return NULL;
}

/* Takes the device out of its slot and frees it, with what is plugged into it: that goes first, but for
   what a front carries, since the front calls into it. */
static void discard(Machine *m, Device *dev)
{
    Device *child, *inner = dev->type->front ? child_of(m, dev) : NULL;
    while (!inner && (child = child_of(m, dev)))
        discard(m, child);
    if (dev->bus && dev->bus->type->unplug)
        dev->bus->type->unplug(dev->bus, dev);
    machine_release_backends(m, dev);
    machine_boot_order_remove(m, dev);
    g_ptr_array_remove(m->added, dev);
    if (inner) {
        inner->bus = NULL;
        discard(m, inner);
    }
}

/* dev goes into proxy, if there is one, and that into slot; both belong to the machine then. */
static bool plug(Machine *m, Device *dev, Device *proxy, Device *slot, GError **error)
{
    Device *outer = proxy ? proxy : dev;
    if (!slot->type->plug(slot, outer, error)) {
        machine_release_backends(m, dev);
        machine_boot_order_remove(m, dev);
        device_free(proxy);
        device_free(dev);
        return false;
    }
    outer->bus = slot;
    g_ptr_array_add(m->added, dev);
    if (proxy) {
        proxy->type->plug(proxy, dev, NULL);
        dev->bus = proxy;
        g_ptr_array_add(m->added, proxy);
    }
    if (!m->started)
        return true;
    if (!device_start(dev, &m->env, error) || (proxy && !device_start(proxy, &m->env, error))) {
        discard(m, outer);
        return false;
    }
    slot->type->inserted(slot, outer);
    return true;
}

static bool device_add(Machine *m, Options *options, GError **error)
{
    const char *driver = options_need(options, "driver", error);
    Model model;
    if (!driver)
        return false;
    if (!strcmp(driver, "loader"))
        return machine_add_loader(m, options, error);
    if (!model_find(m, driver, &model) || (model.type->described && !m->type->description))
        return model_unknown(driver, error);
    for (guint i = 0; model.type->single && i < m->added->len; i++) {
        const Device *other = g_ptr_array_index(m->added, i);
        if (!g_strcmp0(other->type->single, model.type->single))
            return fail_usage(error, "at most one %s device is permitted, and there is '%s'", model.type->single,
                              other->type->name);
    }
    const char *given = options_get(options, "id"), *bus = options_get(options, "bus");
    if (given && machine_device(m, given))
        return fail_usage(error, "Duplicate device ID '%s'", given);
    /* A plain name means the form without PCI where bus= names such a slot. */
    if (model.proxy && bus && !g_str_has_suffix(driver, "-pci") && !model.preset &&
        slot_find(m, model.type->slot, bus, NULL))
        model.proxy = NULL;
    g_autofree char *id = given ? g_strdup(given)
                                : g_strdup_printf("%s#%u", model.type->name, m->anonymous++);
    g_autofree char *proxy_id = g_strdup_printf("%s/pci", id);
    g_autoptr(Device) dev = device_new(model.type, id);
    g_autoptr(Device) proxy = model.proxy ? device_new(model.proxy, proxy_id) : NULL;
    const char *equals = model.preset ? strchr(model.preset, '=') : NULL;
    g_autofree char *key = equals ? g_strndup(model.preset, (gsize)(equals - model.preset)) : NULL;
    Device *slot = NULL;
    if ((key && !device_set(proxy, key, equals + 1, error)) ||
        !machine_globals_apply(m, dev, proxy, error) ||
        !set_props(m, dev, proxy, options, error) ||
        !(slot = slot_find(m, proxy ? "pci" : model.type->slot, bus, error)) ||
        !machine_boot_order_add(m, dev, options_get(options, "bootindex"), error)) {
        machine_release_backends(m, dev);
        return false;
    }
    machine_give_mac(m, dev);
    return plug(m, g_steal_pointer(&dev), g_steal_pointer(&proxy), slot, error);
}

bool machine_add_device(Machine *m, const char *text, GError **error)
{
    g_autoptr(Options) options = options_parse(text, "driver", error);
    return (options && device_add(m, options, error)) || prefix(error, "-device %s", text);
}

bool machine_add_pending(Machine *m, GError **error)
{
    for (guint i = 0; i < m->pending->len; i++)
        if (!machine_add_device(m, g_ptr_array_index(m->pending, i), error))
            return false;
    g_ptr_array_set_size(m->pending, 0);
    return true;
}

bool machine_added_start(Machine *m, GError **error)
{
    for (guint i = 0; i < m->added->len; i++)
        if (!device_start(g_ptr_array_index(m->added, i), &m->env, error))
            return false;
    return true;
}

void machine_added_clear(Machine *m)
{
    while (m->added->len)
        discard(m, g_ptr_array_index(m->added, m->added->len - 1));
    g_ptr_array_unref(m->added);
}

/* ---- Taking out ------------------------------------------------------------------------------ */

typedef struct {
    Machine *m;
    Device *dev;
    GSource *source;
} Ejected;

static void ejected_free(gpointer opaque)
{
    Ejected *e = opaque;
    g_source_destroy(e->source);
    g_source_unref(e->source);
    g_free(e);
}

void machine_eject_init(Machine *m)
{
    g_mutex_init(&m->eject_lock);
    m->ejecting = g_ptr_array_new_with_free_func(ejected_free);
}

void machine_eject_clear(Machine *m)
{
    g_ptr_array_unref(m->ejecting);
    g_mutex_clear(&m->eject_lock);
}

static gboolean on_ejected(gpointer opaque)
{
    const Ejected *e = opaque;
    Machine *m = e->m;
    Device *dev = e->dev;
    g_mutex_lock(&m->eject_lock);
    g_ptr_array_remove(m->ejecting, opaque);
    g_mutex_unlock(&m->eject_lock);
    if (g_ptr_array_find(m->added, dev, NULL)) {
        g_autofree char *id = g_strdup(dev->id);
        char *proxy = g_str_has_suffix(id, "/pci") ? id + strlen(id) - 4 : NULL;
        if (proxy)
            *proxy = '\0';
        discard(m, dev);
        if (m->removed)
            m->removed(m->removed_opaque, id);
    }
    return G_SOURCE_REMOVE;
}

/* Any thread, locks may be held: the rest is the main loop's. A guest may say it any number of times. */
void machine_ejected(void *opaque, Device *dev)
{
    Machine *m = opaque;
    g_mutex_lock(&m->eject_lock);
    bool known = false;
    for (guint i = 0; i < m->ejecting->len && !known; i++)
        known = ((const Ejected *)g_ptr_array_index(m->ejecting, i))->dev == dev;
    if (!known) {
        Ejected *e = g_new(Ejected, 1);
        *e = (Ejected){ m, dev, g_idle_source_new() };
        g_source_set_priority(e->source, G_PRIORITY_DEFAULT);
        g_source_set_callback(e->source, on_ejected, e, NULL);
        g_ptr_array_add(m->ejecting, e);
        g_source_attach(e->source, NULL);
    }
    g_mutex_unlock(&m->eject_lock);
}

void machine_on_removed(Machine *m, void (*removed)(void *opaque, const char *id), void *opaque)
{
    m->removed = removed;
    m->removed_opaque = opaque;
}

bool machine_remove_device(Machine *m, const char *id, GError **error)
{
    Device *dev = machine_device(m, id);
    guint index;
    if (!dev || !g_ptr_array_find(m->added, dev, &index))
        return dev ? fail_usage(error, "Device '%s' is part of the board", id)
                   : fail_usage(error, "Device '%s' not found", id);
    if (dev->bus && dev->bus->type->front)
        dev = dev->bus;
    Device *bus = dev->bus;
    if (!bus->type->eject) {
        g_autofree char *name = machine_bus_name(m, bus);
        return fail_usage(error, "Bus '%s' does not support hotplugging", name);
    }
    return bus->type->eject(bus, dev, error);
}

/* ---- Help ---------------------------------------------------------------------------------- */

static void describe(GString *s, const char *name, const DeviceType *type)
{
    g_string_append_printf(s, "name \"%s\", desc \"%s\"\n", name, type->summary);
}

static void list_devices(GString *s)
{
    for (const DeviceType *const *t = device_types(); *t; t++) {
        if (!plugs(*t) || (*t)->described)
            continue;
        describe(s, (*t)->name, *t);
        if (!strcmp((*t)->slot, "virtio")) {
            g_autofree char *name = g_strdup_printf("%.*s-pci", (int)(strlen((*t)->name) - 7),
                                                    (*t)->name);
            describe(s, name, *t);
        }
    }
}

static void list_props(GString *s, const DeviceType *type)
{
    static const char *const kinds[] = {[DEVICE_BOOL] = "bool", [DEVICE_U32] = "uint32",
                                        [DEVICE_U64] = "uint64", [DEVICE_STRING] = "str",
                                        [DEVICE_CHARDEV] = "chardev", [DEVICE_DRIVE] = "drive",
                                        [DEVICE_RNG] = "rng", [DEVICE_NET] = "netdev",
                                        [DEVICE_MAC] = "mac"};
    for (const DeviceProp *p = type->props; p && p->name; p++)
        g_string_append_printf(s, "  %s=<%s> - %s%s%s%s\n", p->name, kinds[p->kind], p->help,
                               p->def ? " (default: " : "", p->def ? p->def : "",
                               p->def ? ")" : "");
}

char *machine_described_help(void)
{
    GString *s = g_string_new("");
    list_devices(s);
    for (const DeviceType *const *t = device_types(); *t; t++) {
        if (!(*t)->described || !(*t)->slot)
            continue;
        bool inner = !strcmp((*t)->slot, "virtio");
        g_autofree char *name = inner ? g_strdup_printf("%.*s-pci", (int)(strlen((*t)->name) - 7), (*t)->name)
                                      : g_strdup((*t)->name);
        describe(s, name, *t);
    }
    return g_string_free(s, FALSE);
}

char *machine_device_help(const char *text)
{
    g_autoptr(Options) options = options_parse(text, "driver", NULL);
    const char *driver = options ? options_get(options, "driver") : NULL;
    if (!driver)
        return NULL;
    GString *s = g_string_new("");
    Model model;
    if (!strcmp(driver, "help") || !strcmp(driver, "?")) {
        list_devices(s);
        g_string_append(s, "name \"loader\", desc \"bytes put into memory, CPUs started\"\n");
    } else if (!strcmp(driver, "loader") && options_has(options, "help")) {
        machine_loader_help(s);
    } else if ((options_has(options, "help") || options_has(options, "?")) &&
               model_find(NULL, driver, &model)) {
        g_string_append_printf(s, "%s options:\n", driver);
        list_props(s, model.type);
        if (model.proxy)
            list_props(s, model.proxy);
    }
    return g_string_free(s, FALSE);
}
