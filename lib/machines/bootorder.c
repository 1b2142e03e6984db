/* SPDX-License-Identifier: MIT */
/*
 * fw_cfg's file "bootorder": the devices with a bootindex, first to be tried first, one a line, by paths
 * as Open Firmware's bindings have them and as firmware for QEMU expects them.
 */
#include "machines/machine_priv.h"

#include "base/bytes.h"
#include "base/error.h"

#include <inttypes.h>
#include <string.h>

/* One step: what the function is called and its place on its bus. The host's own address is -1 there. */
static void pci_path(GString *path, Device *dev)
{
    enum { VENDOR = 0, DEVICE = 2, CLASS = 0x0a, CLASS_SCSI = 0x0100, CLASS_BRIDGE = 0x0604 };
    DevicePci *pci = dev->type->pci ? dev->type->pci(dev) : NULL;
    if (!pci || !pci->fn.config) {
        g_string_append(path, "/pci@ffffffffffffffff");
        return;
    }
    if (dev->bus)
        pci_path(path, dev->bus);
    const uint8_t *config = pci->fn.config;
    uint16_t class = ld_le16(config + CLASS);
    if (class == CLASS_SCSI)
        g_string_append(path, "/scsi");
    else if (class == CLASS_BRIDGE)
        g_string_append(path, "/pci-bridge");
    else
        g_string_append_printf(path, "/pci%x,%04x", ld_le16(config + VENDOR),
                               ld_le16(config + DEVICE));
    g_string_append_printf(path, "@%x", pci->fn.devfn >> 3);
    if (pci->fn.devfn & 7)
        g_string_append_printf(path, ",%x", pci->fn.devfn & 7u);
}

static void device_path(GString *path, Device *dev)
{
    Device *bus = dev->bus;
    if (dev->type->pci)
        pci_path(path, dev);
    else if (bus && bus->type->pci)
        pci_path(path, bus);
    else if (bus)
        g_string_append_printf(path, "/virtio-mmio@%016" PRIx64, device_base(bus, 0));
    g_string_append(path, strcmp(dev->type->name, "nvme") ? "/disk@0,0" : "/namespace@1,0");
}

GBytes *machine_bootorder(const Machine *m)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (guint i = 0; i < m->boot_order->len; i++) {
        if (i)
            g_string_append_c(text, '\n');
        device_path(text, (Device *)g_array_index(m->boot_order, MachineBootDevice, i).device);
    }
    /* With its NUL, and empty if there is none. */
    return g_bytes_new(text->str, text->len ? text->len + 1 : 0);
}
