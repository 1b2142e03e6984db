/* SPDX-License-Identifier: MIT */
/*
 * Eight general-purpose lines of Arm boards (PrimeCell PL061, ARM DDI 0190): a description, without
 * registers yet. What hangs on the lines is the board's to say.
 */
#include "devices/device.h"

static void gpio_fdt(const Device *dev, const DeviceFdt *ctx)
{
    g_autofree char *path = device_fdt_node(dev, ctx, "pl061", 0);
    device_fdt_primecell(ctx, path, "arm,pl061", NULL);
    fdt_tree_u32(ctx->tree, path, "#gpio-cells", 2);
    fdt_tree_empty(ctx->tree, path, "gpio-controller");
}

static const DeviceRegion gpio_regions[] = {
    {.name = "pl061", .size = 0x1000},
    {.name = NULL},
};

const DeviceType pl061_type = {
    .name = "pl061",
    .summary = "PrimeCell GPIO (description)",
    .size = sizeof(Device),
    .regions = gpio_regions,
    .fdt = gpio_fdt,
};
