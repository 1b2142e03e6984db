/* SPDX-License-Identifier: MIT */
/*
 * What a user adds to a board: -drive, -blockdev and -object make back ends, -device makes a device
 * and plugs it into a slot. Slots fill from the last to the first, so that the first device added is
 * the first that a guest finds.
 */
#include "machines/machine_priv.h"

#include "base/error.h"
#include "base/option.h"

#include <stdio.h>
#include <string.h>

struct MachineDrive {
    BlockDrive *parsed; /* NULL: of -blockdev */
    BlockNode *node;    /* a reference */
    char *id;
    bool used; /* by a device */
    DeviceDrive drive;
};

struct MachineRng {
    DeviceRng rng; /* its strings are owned */
};

static void drive_free(gpointer p)
{
    MachineDrive *d = p;
    block_node_unref(d->node);
    block_drive_free(d->parsed);
    g_free(d->id);
    g_free(d);
}

static void rng_free(gpointer p)
{
    MachineRng *r = p;
    g_free((char *)r->rng.id);
    g_free((char *)r->rng.filename);
    g_free(r);
}

void machine_added_init(Machine *m)
{
    m->block = block_graph_new();
    m->drives = g_ptr_array_new_with_free_func(drive_free);
    m->rngs = g_ptr_array_new_with_free_func(rng_free);
    m->added = g_ptr_array_new_with_free_func((GDestroyNotify)device_free);
}

void machine_added_clear(Machine *m)
{
    while (m->added->len)
        g_ptr_array_remove_index(m->added, m->added->len - 1);
}

void machine_backends_clear(Machine *m)
{
    g_ptr_array_unref(m->added);
    g_ptr_array_unref(m->drives);
    g_ptr_array_unref(m->rngs);
    block_graph_free(m->block);
}

BlockGraph *machine_block(Machine *m)
{
    return m->block;
}

/* ---- Drives ---------------------------------------------------------------- */

static MachineDrive *drive_find(const Machine *m, const char *id)
{
    for (guint i = 0; i < m->drives->len; i++) {
        MachineDrive *d = g_ptr_array_index(m->drives, i);
        if (strcmp(d->id, id) == 0)
            return d;
    }
    return NULL;
}

static MachineDrive *drive_add(Machine *m, BlockNode *node, const char *id)
{
    MachineDrive *d = g_new0(MachineDrive, 1);
    d->node = node;
    d->id = g_strdup(id);
    d->drive = (DeviceDrive){.id = d->id, .node = node, .werror = BLOCK_ON_ERROR_ENOSPC};
    g_ptr_array_add(m->drives, d);
    return d;
}

/* The id of a drive without one: "virtio0", "none1"... */
static char *drive_id(const Machine *m, const char *kind)
{
    for (unsigned n = 0;; n++) {
        char *id = g_strdup_printf("%s%u", kind, n);
        if (!drive_find(m, id))
            return id;
        g_free(id);
    }
}

static bool drive_open(Machine *m, BlockDrive *parsed, bool snapshot, bool *own, GError **error)
{
    bool none = parsed->interface == BLOCK_IF_NONE, flash = parsed->interface == BLOCK_IF_PFLASH;
    *own = parsed->interface == BLOCK_IF_VIRTIO || parsed->interface == BLOCK_IF_DEFAULT;
    if (!none && !*own && !(flash && machine_device(m, "pflash0")))
        return fail_usage(error,
                          "machine '%s' has no such interface; use if=virtio, or if=none with "
                          "-device",
                          m->type->name);
    g_autofree char *id = parsed->id ? g_strdup(parsed->id)
                                     : drive_id(m, none ? "none" : flash ? "pflash" : "virtio");
    if (drive_find(m, id))
        return fail_usage(error, "Duplicate ID '%s' for drive", id);
    if (snapshot) {
        parsed->snapshot = true;
        parsed->flags |= BLOCK_OPEN_READ_ONLY;
    }
    BlockNode *node = block_drive_open(m->block, parsed, error);
    if (!node)
        return false;
    MachineDrive *d = drive_add(m, node, id);
    d->drive.read_only = parsed->read_only;
    d->drive.writethrough = parsed->writethrough;
    d->drive.werror = parsed->werror;
    d->drive.rerror = parsed->rerror;
    d->drive.serial = parsed->serial;
    if (flash) {
        int given = parsed->unit >= 0 ? parsed->unit : parsed->index;
        int unit = given >= 0 ? given : m->flash[0]; /* none given: the first that is free */
        d->used = true;
        if (!machine_flash_drive(m, (unsigned)unit, &d->drive, error)) {
            g_ptr_array_remove_index(m->drives, m->drives->len - 1);
            return false;
        }
    }
    d->parsed = parsed;
    return true;
}

bool machine_add_drive(Machine *m, const char *text, bool snapshot, GError **error)
{
    BlockDrive *parsed = block_drive_parse(m->block, text, error);
    bool own = false;
    if (!parsed || !drive_open(m, parsed, snapshot, &own, error)) {
        block_drive_free(parsed);
        return prefix(error, "-drive %s", text);
    }
    if (!own)
        return true;
    const MachineDrive *d = g_ptr_array_index(m->drives, m->drives->len - 1);
    g_autoptr(GString) device = g_string_new("virtio-blk-device,drive=");
    for (const char *p = d->id; *p; p++)
        g_string_append_printf(device, *p == ',' ? ",," : "%c", *p);
    g_ptr_array_add(m->pending, g_string_free(g_steal_pointer(&device), FALSE));
    return true;
}

bool machine_add_blockdev(Machine *m, const char *text, GError **error)
{
    return block_blockdev(m->block, text, error) || prefix(error, "-blockdev %s", text);
}

/* ---- Objects --------------------------------------------------------------- */

static bool object_add(Machine *m, Options *options, GError **error)
{
    const char *type = options_need(options, "qom-type", error);
    if (!type)
        return false;
    bool builtin = strcmp(type, "rng-builtin") == 0;
    if (!builtin && strcmp(type, "rng-random"))
        return fail_usage(error, "'%s': there are rng-random and rng-builtin", type);
    const char *id = options_need(options, "id", error);
    if (!id)
        return false;
    const char *file = builtin ? NULL : options_get(options, "filename");
    if (!options_done(options, error))
        return false;
    for (guint i = 0; i < m->rngs->len; i++)
        if (!strcmp(((MachineRng *)g_ptr_array_index(m->rngs, i))->rng.id, id))
            return fail_usage(error, "attempt to add duplicate property '%s' to object", id);
    /* The kernel's own generator is what the machine's source is. */
    if (file && (!strcmp(file, "/dev/urandom") || !strcmp(file, "/dev/random")))
        file = NULL;
    MachineRng *r = g_new0(MachineRng, 1);
    r->rng = (DeviceRng){g_strdup(id), g_strdup(file)};
    g_ptr_array_add(m->rngs, r);
    return true;
}

bool machine_add_object(Machine *m, const char *text, GError **error)
{
    g_autoptr(Options) options = options_parse(text, "qom-type", error);
    return (options && object_add(m, options, error)) || prefix(error, "-object %s", text);
}

/* ---- Devices --------------------------------------------------------------- */

/* Short names, as on boards without PCI. */
static const char *full_name(const char *name)
{
    static const char *const names[][2] = {
        {"virtio-blk", "virtio-blk-device"},
        {"virtio-rng", "virtio-rng-device"},
        {"virtio-serial", "virtio-serial-device"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        if (strcmp(name, names[i][0]) == 0)
            return names[i][1];
    return name;
}

static const DeviceType *type_find(const char *name, GError **error)
{
    static const char *const later[] = {
        "virtio-net-device", "virtio-scsi-device", "virtio-balloon-device",
        "virtio-gpu-device", "virtio-9p-device", "virtio-net", "virtio-scsi",
        "nvme", "e1000e", NULL};
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (const DeviceType *const *t = device_types(); *t; t++) {
        if (!(*t)->slot)
            continue;
        if (strcmp((*t)->name, full_name(name)) == 0)
            return *t;
        g_ptr_array_add(names, (char *)(*t)->name);
    }
    g_ptr_array_add(names, NULL);
    const char *nearest = option_nearest(name, (const char *const *)names->pdata);
    if (g_strv_contains(later, name))
        fail_usage(error, "'%s' is not there yet (help: list)", name);
    else if (g_str_has_suffix(name, "-pci"))
        fail_usage(error, "there is no PCI yet; devices for -device end in -device (help: list)");
    else if (nearest)
        fail_usage(error, "'%s' is not a valid device model name; did you mean '%s'?", name,
                   nearest);
    else
        fail_usage(error, "'%s' is not a valid device model name (help: list)", name);
    return NULL;
}

bool machine_set_drive(Machine *m, Device *dev, const char *key, const char *value, GError **error)
{
    MachineDrive *d = drive_find(m, value);
    if (!d) {
        BlockNode *node = block_find(m->block, value);
        if (!node)
            return fail_usage(error, "Property '%s.%s' can't find value '%s'", dev->type->name, key,
                              value);
        d = drive_add(m, block_node_ref(node), value);
    }
    /* Nodes of -blockdev are shared as far as the devices allow it. */
    if (d->parsed && d->used)
        return fail_usage(error, "Drive '%s' is already in use by another device", value);
    d->used = true;
    return device_set_drive(dev, key, &d->drive, error);
}

static bool set_rng(Machine *m, Device *dev, const char *key, const char *value, GError **error)
{
    for (guint i = 0; i < m->rngs->len; i++) {
        const MachineRng *r = g_ptr_array_index(m->rngs, i);
        if (!strcmp(r->rng.id, value))
            return device_set_rng(dev, key, &r->rng, error);
    }
    return fail_usage(error, "Device '%s' not found (property '%s.%s')", value, dev->type->name, key);
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

void machine_set_chardev_source(Machine *m,
                                Chardev *(*get)(void *opaque, const char *id, GError **error),
                                void *opaque)
{
    m->chardev_get = get;
    m->chardev_opaque = opaque;
}

/* All but driver=, id= and bus=. */
static bool set_props(Machine *m, Device *dev, Options *options, GError **error)
{
    const char *key, *value;
    for (unsigned i = 0; options_item(options, i, &key, &value); i++) {
        if (!strcmp(key, "driver") || !strcmp(key, "id") || !strcmp(key, "bus"))
            continue;
        const DeviceProp *p = device_prop(dev->type, key, error);
        if (!p)
            return false;
        bool ok = p->kind == DEVICE_DRIVE     ? machine_set_drive(m, dev, key, value, error)
                  : p->kind == DEVICE_RNG     ? set_rng(m, dev, key, value, error)
                  : p->kind == DEVICE_CHARDEV ? set_chardev(m, dev, key, value, error)
                                              : device_set(dev, key, value, error);
        if (!ok)
            return false;
    }
    return true;
}

/* The slot of that kind for bus=, or one with room: of the board's the last. */
static Device *slot_find(const Machine *m, const char *kind, const char *bus, GError **error)
{
    unsigned slots = 0;
    Device *free = NULL;
    g_autofree char *names = NULL;
    for (guint i = 0; i < m->devices->len + m->added->len; i++) {
        bool board = i < m->devices->len;
        Device *dev = board ? g_array_index(m->devices, MachineDevice, i).device
                            : g_ptr_array_index(m->added, i - m->devices->len);
        if (g_strcmp0(dev->type->offers, kind))
            continue;
        g_autofree char *own = board ? g_strdup_printf("%s-bus.%u", dev->type->name, slots)
                                     : g_strdup_printf("%s.0", dev->id);
        slots++;
        if (bus && (!strcmp(bus, own) || !strcmp(bus, dev->id)))
            return dev;
        if (!dev->type->plugged(dev) && (board || !free))
            free = dev;
        g_autofree char *before = names;
        names = before ? g_strdup_printf("%s, %s", before, own) : g_strdup(own);
    }
    if (!slots)
        fail_usage(error, "no %s to plug it into", kind);
    else if (bus)
        fail_usage(error, "Bus '%s' not found; there are %s", bus, names);
    else if (!free)
        fail_usage(error, "no slot is free (%s)", names);
    return bus ? NULL : free;
}

static bool device_add(Machine *m, Options *options, GError **error)
{
    const char *driver = options_need(options, "driver", error);
    if (driver && !strcmp(driver, "loader"))
        return machine_add_loader(m, options, error);
    const DeviceType *type = driver ? type_find(driver, error) : NULL;
    if (!type)
        return false;
    const char *given = options_get(options, "id"), *bus = options_get(options, "bus");
    g_autofree char *id = given ? g_strdup(given)
                                : g_strdup_printf("%s#%u", type->name, m->added->len);
    if (machine_device(m, id))
        return fail_usage(error, "Duplicate device ID '%s'", id);
    g_autoptr(Device) dev = device_new(type, id);
    Device *slot = set_props(m, dev, options, error) ? slot_find(m, type->slot, bus, error) : NULL;
    if (!slot || !slot->type->plug(slot, dev, error))
        return false;
    g_ptr_array_add(m->added, g_steal_pointer(&dev));
    return true;
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

bool machine_added_start(Machine *m, const DeviceEnv *env, GError **error)
{
    for (guint i = 0; i < m->added->len; i++)
        if (!device_start(g_ptr_array_index(m->added, i), env, error))
            return false;
    return true;
}

/* ---- Help ---------------------------------------------------------------------- */

char *machine_device_help(const char *text)
{
    g_autoptr(Options) options = options_parse(text, "driver", NULL);
    const char *driver = options ? options_get(options, "driver") : NULL;
    if (!driver)
        return NULL;
    GString *s = g_string_new("");
    if (!strcmp(driver, "help") || !strcmp(driver, "?")) {
        for (const DeviceType *const *t = device_types(); *t; t++)
            if ((*t)->slot)
                g_string_append_printf(s, "name \"%s\", desc \"%s\"\n", (*t)->name, (*t)->summary);
        return g_string_free(s, FALSE);
    }
    const DeviceType *type = options_has(options, "help") || options_has(options, "?")
                                 ? type_find(driver, NULL)
                                 : NULL;
    if (!type)
        return g_string_free(s, TRUE);
    static const char *const kinds[] = {[DEVICE_BOOL] = "bool", [DEVICE_U32] = "uint32",
                                        [DEVICE_U64] = "uint64", [DEVICE_STRING] = "str",
                                        [DEVICE_CHARDEV] = "chardev", [DEVICE_DRIVE] = "drive",
                                        [DEVICE_RNG] = "rng"};
    g_string_append_printf(s, "%s options:\n", type->name);
    for (const DeviceProp *p = type->props; p && p->name; p++)
        g_string_append_printf(s, "  %s=<%s> - %s%s%s%s\n", p->name, kinds[p->kind], p->help,
                               p->def ? " (default: " : "", p->def ? p->def : "",
                               p->def ? ")" : "");
    return g_string_free(s, FALSE);
}
