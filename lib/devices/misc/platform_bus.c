/* SPDX-License-Identifier: MIT */
/*
 * Room in a board's map for devices that users add outside of PCI, as "qemu,platform" describes it:
 * addresses within count from its base. Nothing can be put there yet.
 */
#include "devices/device.h"

#include <inttypes.h>

static void bus_fdt(const Device *dev, const DeviceFdt *ctx)
{
    uint64_t base = device_base(dev, 0), size = dev->type->regions[0].size;
    g_autofree char *path = g_strdup_printf("%s/platform-bus@%" PRIx64, ctx->parent, base);
    const uint32_t ranges[] = {0, (uint32_t)(base >> 32), (uint32_t)base, (uint32_t)size};
    fdt_tree_node(ctx->tree, path);
    fdt_tree_strings(ctx->tree, path, "compatible", "qemu,platform", "simple-bus", NULL);
    fdt_tree_u32(ctx->tree, path, "#address-cells", 1);
    fdt_tree_u32(ctx->tree, path, "#size-cells", 1);
    fdt_tree_cells(ctx->tree, path, "ranges", ranges, G_N_ELEMENTS(ranges));
    fdt_tree_u32(ctx->tree, path, "interrupt-parent", ctx->intc);
}

static const DeviceRegion bus_regions[] = {
    {.name = "platform-bus", .size = 0x2000000},
    {.name = NULL},
};

const DeviceType platform_bus_type = {
    .name = "platform-bus-device",
    .summary = "room for devices outside of PCI (description)",
    .size = sizeof(Device),
    .regions = bus_regions,
    .fdt = bus_fdt,
};
