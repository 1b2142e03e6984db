/* SPDX-License-Identifier: MIT */
/* The boards' flashes: which drive is the contents of which, and whether firmware starts there. */
#include "machines/machine_priv.h"

#include "base/error.h"

#include <string.h>

static Device *flash_device(const Machine *m, unsigned unit)
{
    g_autofree char *id = g_strdup_printf("pflash%u", unit);
    return unit < G_N_ELEMENTS(m->flash) ? machine_device(m, id) : NULL;
}

bool machine_flash_drive(Machine *m, unsigned unit, const DeviceDrive *drive, GError **error)
{
    Device *dev = flash_device(m, unit);
    if (!dev)
        return fail_usage(error, "machine type does not support if=pflash,bus=0,unit=%u", unit);
    if (m->flash[unit])
        return fail_usage(error, "drive with bus=0, unit=%u (index=%u) exists", unit, unit);
    m->flash[unit] = true;
    return device_set_drive(dev, "drive", drive, error);
}

bool machine_flash_props(Machine *m, GError **error)
{
    for (unsigned unit = 0; unit < G_N_ELEMENTS(m->flash); unit++) {
        g_autofree char *name = g_strdup_printf("pflash%u", unit);
        const char *node = machine_prop(m, name);
        Device *dev = flash_device(m, unit);
        if (!node || !dev)
            continue;
        if (m->flash[unit])
            return fail_usage(error, "-machine %s=%s: -drive if=pflash gives its contents already",
                              name, node);
        if (!machine_set_drive(m, dev, "drive", node, error))
            return prefix(error, "-machine %s=%s", name, node);
        m->flash[unit] = true;
    }
    return true;
}

/* Also before machine_start has looked at the properties. */
static bool has_contents(const Machine *m, unsigned unit)
{
    return m->flash[unit] || (flash_device(m, unit) &&
                              machine_prop(m, unit ? "pflash1" : "pflash0"));
}

bool machine_has_software(const Machine *m)
{
    return has_contents(m, 0) || has_contents(m, 1) || m->starts->len;
}

MachineFirmware machine_firmware(const Machine *m, MachineFirmware asked)
{
    if (asked != MACHINE_FIRMWARE_BUILTIN)
        return asked;
    return has_contents(m, 0) ? MACHINE_FIRMWARE_FLASH
           : m->starts->len   ? MACHINE_FIRMWARE_NONE
                              : asked;
}
