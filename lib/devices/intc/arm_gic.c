/* SPDX-License-Identifier: MIT */
/*
 * Arm's Generic Interrupt Controller version 2 (ARM IHI 0048) as a description: distributor and CPU
 * interface; with virtualization, also the hypervisor's and the virtual machine's. interrupts[] is the
 * maintenance interrupt, a private one.
 */
#include "devices/intc/arm_gic_priv.h"

#include "base/bytes.h"

#include <inttypes.h>

char *arm_gic_fdt_node(const Device *dev, const DeviceFdt *ctx, const char *compatible)
{
    char *path = g_strdup_printf("%s/intc@%" PRIx64, ctx->parent, device_base(dev, 0));
    fdt_tree_node(ctx->tree, path);
    fdt_tree_string(ctx->tree, path, "compatible", compatible);
    fdt_tree_u32(ctx->tree, path, "#interrupt-cells", 3);
    fdt_tree_empty(ctx->tree, path, "interrupt-controller");
    fdt_tree_u32(ctx->tree, path, "#address-cells", 2);
    fdt_tree_u32(ctx->tree, path, "#size-cells", 2);
    fdt_tree_empty(ctx->tree, path, "ranges");
    if (ctx->interrupt_count) {
        const uint32_t cells[] = {1, ctx->interrupts[0], 4};
        fdt_tree_cells(ctx->tree, path, "interrupts", cells, G_N_ELEMENTS(cells));
    }
    fdt_tree_phandle_set(ctx->tree, path, ctx->phandle);
    return path;
}

static void gic_fdt(const Device *dev, const DeviceFdt *ctx)
{
    g_autofree char *path = arm_gic_fdt_node(dev, ctx, "arm,cortex-a15-gic");
    uint8_t reg[4 * 16];
    size_t n = 0;
    for (unsigned i = 0; i < 4; i++) {
        if (device_base(dev, i) == UINT64_MAX)
            continue;
        st_be64(reg + n, device_base(dev, i));
        st_be64(reg + n + 8, dev->type->regions[i].size);
        n += 16;
    }
    fdt_tree_bytes(ctx->tree, path, "reg", reg, n);
}

static const DeviceRegion gic_regions[] = {
    {.name = "distributor", .size = 0x10000},
    {.name = "cpu", .size = 0x10000},
    {.name = "hypervisor", .size = 0x10000},
    {.name = "virtual-cpu", .size = 0x10000},
    {.name = NULL},
};

const DeviceType arm_gic_type = {
    .name = "arm_gic",
    .summary = "GICv2 interrupt controller (description)",
    .size = sizeof(Device),
    .regions = gic_regions,
    .fdt = gic_fdt,
};
