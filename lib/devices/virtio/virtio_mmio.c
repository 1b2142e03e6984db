/* SPDX-License-Identifier: MIT */
/*
 * A virtio-mmio slot (Virtio 1.2, 4.2) with no device behind it: it answers with its magic, version 2
 * and DeviceID 0, by which a driver knows to leave it alone (4.2.2.2), and takes no writes. The
 * transport comes with lib/virtio.
 */
#include "devices/device.h"

enum {
    MMIO_MAGIC = 0x000,
    MMIO_VERSION = 0x004,
    MMIO_DEVICE_ID = 0x008,
    MMIO_VENDOR_ID = 0x00c,
};

static uint64_t slot_read(Device *dev, uint64_t offset, unsigned size)
{
    switch (offset) {
    case MMIO_MAGIC: return 0x74726976; /* "virt" */
    case MMIO_VERSION: return 2;
    case MMIO_VENDOR_ID: return 0x554d4551;
    default: return 0; /* DeviceID 0, and nothing else exists */
    }
}

static void slot_write(Device *dev, uint64_t offset, uint64_t value, unsigned size)
{
}

static void slot_fdt(const Device *dev, const DeviceFdt *ctx)
{
    g_autofree char *path = device_fdt_node(dev, ctx, "virtio_mmio", 0);
    fdt_tree_string(ctx->tree, path, "compatible", "virtio,mmio");
}

static const DeviceRegion slot_regions[] = {
    {.name = "virtio-mmio", .size = 0x1000, .min = 4, .max = 4, .read = slot_read,
     .write = slot_write},
    {.name = NULL},
};

const DeviceType virtio_mmio_type = {
    .name = "virtio-mmio",
    .summary = "virtio-mmio slot",
    .size = sizeof(Device),
    .regions = slot_regions,
    .fdt = slot_fdt,
};
