/* SPDX-License-Identifier: MIT */
/*
 * A frame beside a GICv2 that turns messages into its interrupts (Server Base System Architecture,
 * appendix GICv2m): a description, without registers yet.
 */
#include "devices/device.h"

static void frame_fdt(const Device *dev, const DeviceFdt *ctx)
{
    g_autofree char *path = device_fdt_node(dev, ctx, "v2m", 0);
    fdt_tree_string(ctx->tree, path, "compatible", "arm,gic-v2m-frame");
    fdt_tree_empty(ctx->tree, path, "msi-controller");
}

static const DeviceRegion frame_regions[] = {
    {.name = "v2m", .size = 0x1000},
    {.name = NULL},
};

const DeviceType arm_gicv2m_type = {
    .name = "arm-gicv2m",
    .summary = "GICv2m frame for messages (description)",
    .size = sizeof(Device),
    .regions = frame_regions,
    .fdt = frame_fdt,
};
