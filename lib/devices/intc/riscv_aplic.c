/* SPDX-License-Identifier: MIT */
/*
 * A domain of RISC-V's Advanced Platform-Level Interrupt Controller (RISC-V Advanced Interrupt
 * Architecture 1.0, chapter 4): a description, without registers yet. It delivers wires to the harts
 * of sources[] (pairs of a hart's controller and a local interrupt), or as messages to ctx->msi.
 */
#include "devices/device.h"

typedef struct {
    Device dev;
    uint32_t wires;
} Aplic;

static void aplic_fdt(const Device *dev, const DeviceFdt *ctx)
{
    const Aplic *a = (const Aplic *)dev;
    g_autofree char *path = device_fdt_node(dev, ctx, "aplic", 0);
    fdt_tree_string(ctx->tree, path, "compatible", "riscv,aplic");
    fdt_tree_u32(ctx->tree, path, "#interrupt-cells", 2);
    fdt_tree_empty(ctx->tree, path, "interrupt-controller");
    fdt_tree_u32(ctx->tree, path, "riscv,num-sources", a->wires);
    if (ctx->msi)
        fdt_tree_u32(ctx->tree, path, "msi-parent", ctx->msi);
    else
        fdt_tree_cells(ctx->tree, path, "interrupts-extended", ctx->sources, ctx->source_count);
    if (ctx->child) {
        const uint32_t all[] = {ctx->child, 1, a->wires};
        fdt_tree_u32(ctx->tree, path, "riscv,children", ctx->child);
        fdt_tree_cells(ctx->tree, path, "riscv,delegate", all, G_N_ELEMENTS(all));
    }
}

static const DeviceProp aplic_props[] = {
    {.name = "num-irqs", .kind = DEVICE_U32, .offset = offsetof(Aplic, wires), .def = "96",
     .min = 1, .max = 1023, .help = "wired interrupts"},
    {.name = NULL},
};

static const DeviceRegion aplic_regions[] = {
    {.name = "aplic", .size = 0x8000},
    {.name = NULL},
};

const DeviceType riscv_aplic_type = {
    .name = "riscv.aplic",
    .summary = "RISC-V APLIC domain (description)",
    .size = sizeof(Aplic),
    .props = aplic_props,
    .regions = aplic_regions,
    .fdt = aplic_fdt,
};
