/* SPDX-License-Identifier: MIT */
/*
 * Arm's System MMU version 3 (ARM IHI 0070) in front of PCI: a description, without registers yet.
 * interrupts[]: event queue, page requests, command sync, errors.
 */
#include "devices/device.h"

static void smmu_fdt(const Device *dev, const DeviceFdt *ctx)
{
    g_autofree char *path = device_fdt_node(dev, ctx, "smmuv3", 0);
    fdt_tree_string(ctx->tree, path, "compatible", "arm,smmu-v3");
    fdt_tree_strings(ctx->tree, path, "interrupt-names", "eventq", "priq", "cmdq-sync", "gerror",
                     NULL);
    fdt_tree_u32(ctx->tree, path, "#iommu-cells", 1);
}

static const DeviceRegion smmu_regions[] = {
    {.name = "smmuv3", .size = 0x20000},
    {.name = NULL},
};

const DeviceType arm_smmuv3_type = {
    .name = "arm-smmuv3",
    .summary = "System MMU of Arm boards (description)",
    .size = sizeof(Device),
    .regions = smmu_regions,
    .fdt = smmu_fdt,
};
