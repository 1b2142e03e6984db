/* SPDX-License-Identifier: MIT */
/*
 * Arm's Generic Interrupt Controller version 3 (ARM IHI 0069) as a description: distributor and one or
 * two regions of redistributors. interrupts[] is the maintenance interrupt, a private one.
 */
#include "devices/intc/arm_gic_priv.h"

#include "base/bytes.h"

typedef struct {
    Device dev;
    uint64_t second_size; /* bytes of the second region of redistributors */
} Gic;

static void gic_fdt(const Device *dev, const DeviceFdt *ctx)
{
    const Gic *gic = (const Gic *)dev;
    g_autofree char *path = arm_gic_fdt_node(dev, ctx, "arm,gic-v3");
    bool second = device_base(dev, 2) != UINT64_MAX;
    uint8_t reg[3 * 16];
    for (unsigned i = 0; i < (second ? 3 : 2); i++) {
        st_be64(reg + 16 * i, device_base(dev, i));
        st_be64(reg + 16 * i + 8, i == 2 ? gic->second_size : dev->type->regions[i].size);
    }
    fdt_tree_u32(ctx->tree, path, "#redistributor-regions", 1 + second);
    fdt_tree_bytes(ctx->tree, path, "reg", reg, second ? 48 : 32);
}

static const DeviceProp gic_props[] = {
    {.name = "redist-region-size", .kind = DEVICE_U64, .offset = offsetof(Gic, second_size),
     .help = "bytes of the second region of redistributors"},
    {.name = NULL},
};

static const DeviceRegion gic_regions[] = {
    {.name = "distributor", .size = 0x10000},
    {.name = "redistributors", .size = 0xf60000},
    {.name = "redistributors-2", .size = 0x4000000},
    {.name = NULL},
};

const DeviceType arm_gicv3_type = {
    .name = "arm-gicv3",
    .summary = "GICv3 interrupt controller (description)",
    .size = sizeof(Gic),
    .props = gic_props,
    .regions = gic_regions,
    .fdt = gic_fdt,
};
