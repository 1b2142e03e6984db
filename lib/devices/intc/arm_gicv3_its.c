/* SPDX-License-Identifier: MIT */
/*
 * The Interrupt Translation Service of a GICv3 (ARM IHI 0069, chapter 5), to which PCI functions send
 * messages: a description, without registers yet.
 */
#include "devices/device.h"

static void its_fdt(const Device *dev, const DeviceFdt *ctx)
{
    g_autofree char *path = device_fdt_node(dev, ctx, "its", 0);
    fdt_tree_string(ctx->tree, path, "compatible", "arm,gic-v3-its");
    fdt_tree_empty(ctx->tree, path, "msi-controller");
    fdt_tree_u32(ctx->tree, path, "#msi-cells", 1);
}

static const DeviceRegion its_regions[] = {
    {.name = "its", .size = 0x20000},
    {.name = NULL},
};

const DeviceType arm_gicv3_its_type = {
    .name = "arm-gicv3-its",
    .summary = "GICv3 interrupt translation service (description)",
    .size = sizeof(Device),
    .regions = its_regions,
    .fdt = its_fdt,
};
