/* SPDX-License-Identifier: MIT */
/* What a board that is described only comes with, where the user does not say otherwise. */
#include "machines/acpi.h"
#include "machines/machine_priv.h"

#include "base/error.h"
#include "base/option.h"

#include <string.h>

static const char *const graphics[] = {"VGA", "cirrus-vga", "qxl-vga", "vmware-svga", "virtio-vga", NULL};

/* Whether one of the texts of -device is of one of these kinds. */
static bool has_device(const MachineDefaults *d, const char *const *names)
{
    for (guint i = 0; d->devices && i < d->devices->len; i++) {
        g_autoptr(Options) o = options_parse(g_ptr_array_index(d->devices, i), "driver", NULL);
        const char *driver = o ? options_get(o, "driver") : NULL;
        if (driver && g_strv_contains(names, driver))
            return true;
    }
    return false;
}

/* The device that -vga means; NULL with *error when it is no kind of it. */
static const char *vga_device(const char *kind, GError **error)
{
    static const char *const kinds[][2] = {{"none", ""}, {"std", "VGA"}, {"cirrus", "cirrus-vga"},
                                           {"qxl", "qxl-vga"}, {"vmware", "vmware-svga"},
                                           {"virtio", "virtio-vga"}};
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (!strcmp(kind, kinds[i][0]))
            return kinds[i][1];
    fail_usage(error, "unknown vga type: %s", kind);
    return NULL;
}

static bool add_ports(Machine *m, const char *driver, int given, unsigned by_default, const MachineDefaults *d,
                      GError **error)
{
    const char *const names[] = {driver, NULL};
    int count = given >= 0 ? given : d->nodefaults || has_device(d, names) ? 0 : (int)by_default;
    for (int i = 0; i < count; i++)
        if (!machine_add_device(m, driver, error))
            return false;
    return true;
}

bool machine_add_defaults(Machine *m, const MachineDefaults *d, GError **error)
{
    const MachineType *type = m->type;
    static const char *const floppies[] = {"isa-fdc", "floppy", NULL};
    const char *vga = d->vga ? vga_device(d->vga, error)
                      : d->nodefaults || has_device(d, graphics) || !type->default_vga ? ""
                                                                                       : type->default_vga;
    if (!vga || (*vga && !machine_add_device(m, vga, error)))
        return false;
    if (type->default_nic && !d->nodefaults && !d->no_network &&
        !machine_add_device(m, type->default_nic, error))
        return false;
    /* The controller is part of the board, with or without a drive. */
    if (type->default_floppy && !has_device(d, floppies) &&
        !machine_add_device(m, d->nodefaults ? "isa-fdc" : type->default_floppy, error))
        return false;
    return add_ports(m, "isa-serial", d->serials, type->default_serials, d, error) &&
           add_ports(m, "isa-parallel", d->parallels, type->default_parallels, d, error);
}
