/* SPDX-License-Identifier: MIT */
/* The back ends that a user adds to a machine: -drive, -blockdev, -object. plug.c has the devices. */
#include "machines/machine_priv.h"

#include "base/error.h"
#include "base/option.h"
#include "crypto/crypto.h"

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

void machine_backends_init(Machine *m)
{
    m->block = block_graph_new();
    m->objects = crypto_objects_new();
    block_graph_set_objects(m->block, m->objects);
    m->drives = g_ptr_array_new_with_free_func(drive_free);
    m->rngs = g_ptr_array_new_with_free_func(rng_free);
}

void machine_backends_clear(Machine *m)
{
    g_ptr_array_unref(m->drives);
    g_ptr_array_unref(m->rngs);
    block_graph_free(m->block);
    crypto_objects_free(m->objects);
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

static bool drive_open(Machine *m, BlockDrive *parsed, bool snapshot, GError **error)
{
    static const char *const kinds[] = { [BLOCK_IF_NONE] = "none", [BLOCK_IF_VIRTIO] = "virtio",
                                         [BLOCK_IF_SCSI] = "scsi", [BLOCK_IF_PFLASH] = "pflash" };
    if (parsed->interface == BLOCK_IF_DEFAULT)
        parsed->interface = parsed->cdrom ? BLOCK_IF_SCSI : BLOCK_IF_VIRTIO;
    bool flash = parsed->interface == BLOCK_IF_PFLASH;
    const char *kind = parsed->interface < (int)G_N_ELEMENTS(kinds) ? kinds[parsed->interface] : NULL;
    if (!kind || (flash && !machine_device(m, "pflash0")))
        return fail_usage(error,
                          "machine '%s' has no such interface; use if=virtio, if=scsi, or if=none "
                          "with -device",
                          m->type->name);
    g_autofree char *id = parsed->id ? g_strdup(parsed->id) : drive_id(m, kind);
    if (drive_find(m, id))
        return fail_usage(error, "Duplicate ID '%s' for drive", id);
    if (snapshot && parsed->options) {
        parsed->snapshot = true;
        parsed->flags |= BLOCK_OPEN_READ_ONLY;
    }
    BlockNode *node = parsed->options ? block_drive_open(m->block, parsed, error) : NULL;
    if (!node && (parsed->options || !parsed->cdrom))
        return parsed->options ? false : fail_usage(error, "file=... is missing");
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

/* Plugs it in later: machine_add_pending. */
static void add_pending(Machine *m, GString *text)
{
    g_ptr_array_add(m->pending, g_string_free(text, FALSE));
}

/* The controller of if=scsi with that number, made with its first disk. */
static void add_controller(Machine *m, unsigned number)
{
    g_autofree char *text = g_strdup_printf("virtio-scsi,id=drive-scsi%u", number);
    for (guint i = 0; i < m->pending->len; i++)
        if (!strcmp(g_ptr_array_index(m->pending, i), text))
            return;
    add_pending(m, g_string_new(text));
}

/* The device of a drive that was given an interface. */
static void add_device(Machine *m, const MachineDrive *d)
{
    const BlockDrive *parsed = d->parsed;
    bool scsi = parsed->interface == BLOCK_IF_SCSI;
    GString *device = g_string_new(scsi ? parsed->cdrom ? "scsi-cd" : "scsi-hd" : "virtio-blk");
    if (scsi) {
        /* index= counts through the buses, seven disks on each (as where SCSI began) */
        int bus = parsed->bus >= 0 ? parsed->bus : parsed->index >= 0 ? parsed->index / 7 : 0;
        int unit = parsed->unit >= 0 ? parsed->unit : parsed->index >= 0 ? parsed->index % 7 : -1;
        add_controller(m, (unsigned)bus);
        g_string_append_printf(device, ",bus=drive-scsi%d.0", bus);
        if (unit >= 0)
            g_string_append_printf(device, ",scsi-id=%d", unit);
    }
    g_string_append(device, ",drive=");
    for (const char *p = d->id; *p; p++)
        g_string_append_printf(device, *p == ',' ? ",," : "%c", *p);
    add_pending(m, device);
}

bool machine_add_drive(Machine *m, const char *text, bool snapshot, GError **error)
{
    BlockDrive *parsed = block_drive_parse(m->block, text, error);
    if (!parsed || !drive_open(m, parsed, snapshot, error)) {
        block_drive_free(parsed);
        return prefix(error, "-drive %s", text);
    }
    if (parsed->interface != BLOCK_IF_NONE && parsed->interface != BLOCK_IF_PFLASH)
        add_device(m, g_ptr_array_index(m->drives, m->drives->len - 1));
    return true;
}

bool machine_add_blockdev(Machine *m, const char *text, GError **error)
{
    return block_blockdev(m->block, text, error) || prefix(error, "-blockdev %s", text);
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
    const DeviceProp *prop = device_prop(dev->type, key, NULL);
    if (!d->node && prop && prop->max != DEVICE_DRIVE_MAY_BE_EMPTY)
        return fail_usage(error, "Device needs media, but drive '%s' is empty", value);
    /* Nodes of -blockdev are shared as far as the devices allow it. */
    if (d->parsed && d->used)
        return fail_usage(error, "Drive '%s' is already in use by another device", value);
    d->used = true;
    return device_set_drive(dev, key, &d->drive, error);
}

void machine_release_backends(Machine *m, Device *dev)
{
    for (const DeviceProp *p = dev->type->props; p && p->name; p++) {
        const DeviceDrive *drive = NULL;
        NetBackend *net = NULL;
        if (p->kind == DEVICE_NET)
            memcpy(&net, (char *)dev + p->offset, sizeof net);
        if (net)
            net_release(net);
        if (p->kind == DEVICE_DRIVE)
            memcpy(&drive, (char *)dev + p->offset, sizeof drive);
        for (guint i = 0; drive && i < m->drives->len; i++) {
            MachineDrive *d = g_ptr_array_index(m->drives, i);
            d->used = d->used && &d->drive != drive;
        }
    }
}

/* The drive's device, and which of its properties it is; NULL if there is none that it can be taken out
   of. */
static Device *removable(const Machine *m, const MachineDrive *d)
{
    for (guint i = 0; i < m->added->len; i++) {
        Device *dev = g_ptr_array_index(m->added, i);
        for (const DeviceProp *p = dev->type->props; dev->type->medium && p && p->name; p++) {
            const DeviceDrive *drive = NULL;
            if (p->kind == DEVICE_DRIVE)
                memcpy(&drive, (char *)dev + p->offset, sizeof drive);
            if (drive == &d->drive)
                return dev;
        }
    }
    return NULL;
}

/* The drive of that id, or that of the device of that id. */
static MachineDrive *drive_or_device(const Machine *m, const char *id)
{
    for (guint i = 0; i < m->drives->len; i++) {
        MachineDrive *d = g_ptr_array_index(m->drives, i);
        const Device *dev = removable(m, d);
        if (!strcmp(d->id, id) || (dev && !strcmp(dev->id, id)))
            return d;
    }
    return NULL;
}

bool machine_change_medium(Machine *m, const char *id, const char *file, const char *format,
                           bool force, GError **error)
{
    MachineDrive *d = drive_or_device(m, id);
    if (!d)
        return fail_usage(error, "Device '%s' not found", id);
    Device *dev = removable(m, d);
    if (!dev)
        return fail_usage(error, "Device '%s' is not removable", id);
    BlockNode *old = d->node;
    d->node = file ? block_open_file(m->block, file, format, BLOCK_OPEN_READ_ONLY, error) : NULL;
    if (file && !d->node) {
        d->node = old;
        return false;
    }
    d->drive.node = d->node;
    if (!dev->type->medium(dev, force, error)) {
        block_node_unref(d->node);
        d->node = d->drive.node = old;
        return false;
    }
    block_node_unref(old);
    return true;
}

/* ---- Objects --------------------------------------------------------------- */

static bool object_add(Machine *m, Options *options, GError **error)
{
    const char *type = options_need(options, "qom-type", error);
    if (!type)
        return false;
    bool builtin = strcmp(type, "rng-builtin") == 0;
    if (!builtin && strcmp(type, "rng-random"))
        return fail_usage(error,
                          "'%s': there are secret, tls-creds-*, authz-*, rng-random and rng-builtin", type);
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
    /* what is wrong with a secret is said without the secret */
    if (crypto_is_object(text)) {
        size_t kind = strcspn(text, ",=");
        return crypto_objects_add(m->objects, text, error) ||
               prefix(error, "-object %.*s", text[kind] == '=' ? 0 : (int)kind, text);
    }
    g_autoptr(Options) options = options_parse(text, "qom-type", error);
    return (options && object_add(m, options, error)) || prefix(error, "-object %s", text);
}

bool machine_set_rng(Machine *m, Device *dev, const char *key, const char *value, GError **error)
{
    for (guint i = 0; i < m->rngs->len; i++) {
        const MachineRng *r = g_ptr_array_index(m->rngs, i);
        if (!strcmp(r->rng.id, value))
            return device_set_rng(dev, key, &r->rng, error);
    }
    return fail_usage(error, "Device '%s' not found (property '%s.%s')", value, dev->type->name, key);
}
