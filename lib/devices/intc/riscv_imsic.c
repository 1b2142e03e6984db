/* SPDX-License-Identifier: MIT */
/*
 * RISC-V's Incoming Message-Signaled Interrupt Controllers of one privilege level (RISC-V Advanced
 * Interrupt Architecture 1.0, chapter 3), those of all harts as one node: a description, without
 * registers yet. sources[] are pairs of a hart's controller and a local interrupt. Each group of harts
 * (socket) has a window of pages.
 */
#include "devices/device.h"

#include "base/bytes.h"

#include <inttypes.h>

typedef struct {
    Device dev;
    uint32_t identities, guest_bits, hart_bits, groups, group_shift;
    char *pages; /* of each group, "4,2" */
} Imsic;

static uint32_t bits_for(uint32_t n)
{
    uint32_t bits = 0;
    while ((UINT32_C(1) << bits) < n)
        bits++;
    return bits;
}

static void imsic_fdt(const Device *dev, const DeviceFdt *ctx)
{
    const Imsic *m = (const Imsic *)dev;
    uint64_t base = device_base(dev, 0);
    g_autofree char *path = g_strdup_printf("%s/imsics@%" PRIx64, ctx->parent, base);
    g_autoptr(GByteArray) reg = g_byte_array_new();
    g_auto(GStrv) pages = g_strsplit(m->pages ? m->pages : "", ",", -1);
    for (uint32_t g = 0; pages[g]; g++) {
        uint8_t range[16];
        st_be64(range, base + ((uint64_t)g << m->group_shift));
        st_be64(range + 8, g_ascii_strtoull(pages[g], NULL, 10) << 12);
        g_byte_array_append(reg, range, sizeof range);
    }
    fdt_tree_node(ctx->tree, path);
    fdt_tree_string(ctx->tree, path, "compatible", "riscv,imsics");
    fdt_tree_u32(ctx->tree, path, "#interrupt-cells", 0);
    fdt_tree_empty(ctx->tree, path, "interrupt-controller");
    fdt_tree_empty(ctx->tree, path, "msi-controller");
    fdt_tree_cells(ctx->tree, path, "interrupts-extended", ctx->sources, ctx->source_count);
    fdt_tree_bytes(ctx->tree, path, "reg", reg->data, reg->len);
    fdt_tree_u32(ctx->tree, path, "riscv,num-ids", m->identities);
    fdt_tree_u32(ctx->tree, path, "riscv,ipi-id", 1);
    if (m->guest_bits)
        fdt_tree_u32(ctx->tree, path, "riscv,guest-index-bits", m->guest_bits);
    if (m->groups > 1) {
        fdt_tree_u32(ctx->tree, path, "riscv,hart-index-bits", m->hart_bits);
        fdt_tree_u32(ctx->tree, path, "riscv,group-index-bits", bits_for(m->groups));
        fdt_tree_u32(ctx->tree, path, "riscv,group-index-shift", m->group_shift);
    }
    fdt_tree_phandle_set(ctx->tree, path, ctx->phandle);
}

static const DeviceProp imsic_props[] = {
    {.name = "num-irqs", .kind = DEVICE_U32, .offset = offsetof(Imsic, identities), .def = "255",
     .help = "interrupt identities"},
    {.name = "guest-bits", .kind = DEVICE_U32, .offset = offsetof(Imsic, guest_bits),
     .help = "bits of an address that choose a guest's file"},
    {.name = "hart-bits", .kind = DEVICE_U32, .offset = offsetof(Imsic, hart_bits),
     .help = "bits of an address that choose a hart of a group"},
    {.name = "groups", .kind = DEVICE_U32, .offset = offsetof(Imsic, groups), .def = "1", .min = 1,
     .help = "groups of harts"},
    {.name = "group-shift", .kind = DEVICE_U32, .offset = offsetof(Imsic, group_shift),
     .def = "24", .help = "lowest bit of an address that chooses a group"},
    {.name = "pages", .kind = DEVICE_STRING, .offset = offsetof(Imsic, pages),
     .help = "pages that each group has, in order"},
    {.name = NULL},
};

static const DeviceRegion imsic_regions[] = {
    {.name = "imsic", .size = 0x1000},
    {.name = NULL},
};

const DeviceType riscv_imsic_type = {
    .name = "riscv.imsic",
    .summary = "RISC-V IMSICs of one privilege level (description)",
    .size = sizeof(Imsic),
    .props = imsic_props,
    .regions = imsic_regions,
    .fdt = imsic_fdt,
};
