/* SPDX-License-Identifier: MIT */
/*
 * OpenCores' 10/100 Ethernet MAC (devicetree binding opencores,ethoc), its registers followed by its
 * buffer descriptors: a description, without registers yet.
 */
#include "devices/device.h"

static void ethoc_fdt(const Device *dev, const DeviceFdt *ctx)
{
    g_autofree char *path = device_fdt_node(dev, ctx, "ethoc", 0);
    fdt_tree_string(ctx->tree, path, "compatible", "opencores,ethoc");
    fdt_tree_empty(ctx->tree, path, "big-endian");
}

static const DeviceRegion ethoc_regions[] = {
    {.name = "ethoc", .size = 0x800},
    {.name = NULL},
};

const DeviceType ethoc_type = {
    .name = "open_eth",
    .summary = "OpenCores Ethernet MAC (description)",
    .size = sizeof(Device),
    .regions = ethoc_regions,
    .fdt = ethoc_fdt,
};
