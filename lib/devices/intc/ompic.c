/* SPDX-License-Identifier: MIT */
/*
 * OpenRISC's controller for interrupts between CPUs (devicetree binding openrisc,ompic): a description,
 * without registers yet. Its size is eight bytes a CPU.
 */
#include "devices/device.h"

static void ompic_fdt(const Device *dev, const DeviceFdt *ctx)
{
    g_autofree char *path = device_fdt_node(dev, ctx, "ompic", 0);
    fdt_tree_string(ctx->tree, path, "compatible", "openrisc,ompic");
    fdt_tree_empty(ctx->tree, path, "interrupt-controller");
    fdt_tree_u32(ctx->tree, path, "#interrupt-cells", 0);
}

static const DeviceRegion ompic_regions[] = {
    {.name = "ompic", .size = 0x20},
    {.name = NULL},
};

const DeviceType ompic_type = {
    .name = "or1k-ompic",
    .summary = "OpenRISC inter-processor interrupts (description)",
    .size = sizeof(Device),
    .regions = ompic_regions,
    .fdt = ompic_fdt,
};
