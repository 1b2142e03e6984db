/* SPDX-License-Identifier: MIT */
/*
 * OpenRISC's "or1k-sim", a description: the board that the or1ksim simulator made, as QEMU has it. Each CPU
 * has its own interrupt controller, inside; the one node stands for all. All is big-endian.
 */
#include "machines/machine_priv.h"

#include "base/bits.h"
#include "base/error.h"

#include <inttypes.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)
#define CLOCK_HZ 20000000
#define KERNEL_BASE 0x100 /* where CPUs start: the reset vector */
#define PAGE 0x2000
enum { OMPIC_CPU = 8 }; /* bytes of its registers a CPU */

static const MachineMap sim_map[] = {
    {.id = "ompic", .device = "or1k-ompic", .addr = 0x98000000, .size = 0x20, .irq = 1},
    {.id = "uart0", .device = "uart16550", .addr = 0x90000000, .size = 0x100, .irq = 2},
    {.id = "uart1", .device = "uart16550", .addr = 0x90000100, .size = 0x100, .irq = 2},
    {.id = "uart2", .device = "uart16550", .addr = 0x90000200, .size = 0x100, .irq = 2},
    {.id = "uart3", .device = "uart16550", .addr = 0x90000300, .size = 0x100, .irq = 2},
    {.id = "ethoc", .device = "open_eth", .addr = 0x92000000, .size = 0x800, .irq = 4},
    {.id = "dram", .addr = 0x0},
    {.id = NULL},
};

static bool sim_present(const Machine *m, const MachineMap *row)
{
    return strcmp(row->id, "ompic") != 0 || m->options->smp.cpus > 1;
}

static bool sim_build(Machine *m, GError **error)
{
    const char *model = m->cpus.model;
    if (model && strcmp(model, "or1200") && strcmp(model, "any"))
        return fail_usage(error, "-cpu %s: this board has no such CPU (there are: or1200, any)",
                          model);
    for (guint i = 0; i < m->devices->len; i++) {
        const MachineDevice *md = &g_array_index(m->devices, MachineDevice, i);
        if (strcmp(md->row->device, "uart16550") == 0 &&
            (!device_set_u64(md->device, "clock-frequency", CLOCK_HZ, error) ||
             !device_set(md->device, "big-endian", "on", error)))
            return false;
    }
    return true;
}

/* ---- Device tree --------------------------------------------------------- */

static void fdt_cpus(const Machine *m, Fdt *tree)
{
    fdt_tree_node(tree, "/cpus");
    fdt_tree_u32(tree, "/cpus", "#address-cells", 1);
    fdt_tree_u32(tree, "/cpus", "#size-cells", 0);
    for (unsigned n = 0; n < m->options->smp.cpus; n++) {
        g_autofree char *path = g_strdup_printf("/cpus/cpu@%x", n);
        fdt_tree_node(tree, path);
        fdt_tree_string(tree, path, "compatible", "opencores,or1200-rtlsvn481");
        fdt_tree_u32(tree, path, "reg", n);
        fdt_tree_u32(tree, path, "clock-frequency", CLOCK_HZ);
    }
}

static void fdt_head(const Machine *m, Fdt *tree, uint32_t pic)
{
    const uint32_t memory[] = {(uint32_t)m->type->ram_base, (uint32_t)m->options->ram_size};
    fdt_tree_string(tree, "/", "compatible", "opencores,or1ksim");
    fdt_tree_string(tree, "/", "model", "or1k-sim"); /* the specification asks for one */
    fdt_tree_u32(tree, "/", "#address-cells", 1);
    fdt_tree_u32(tree, "/", "#size-cells", 1);
    fdt_tree_u32(tree, "/", "interrupt-parent", pic);
    fdt_tree_node(tree, "/chosen");
    fdt_tree_node(tree, "/aliases");
    fdt_tree_node(tree, "/memory@0");
    fdt_tree_string(tree, "/memory@0", "device_type", "memory");
    fdt_tree_cells(tree, "/memory@0", "reg", memory, G_N_ELEMENTS(memory));
    fdt_cpus(m, tree);
    fdt_tree_node(tree, "/pic");
    fdt_tree_string(tree, "/pic", "compatible", "opencores,or1k-pic-level");
    fdt_tree_u32(tree, "/pic", "#interrupt-cells", 1);
    fdt_tree_empty(tree, "/pic", "interrupt-controller");
    fdt_tree_phandle_set(tree, "/pic", pic);
}

static void fdt_alias(Fdt *tree, const MachineMap *row)
{
    bool uart = g_str_has_prefix(row->id, "uart");
    if (!uart && strcmp(row->id, "ethoc") != 0)
        return;
    g_autofree char *name = uart ? g_strdup_printf("serial%s", row->id + strlen("uart"))
                                 : g_strdup("enet0");
    g_autofree char *path = g_strdup_printf("/%s@%" PRIx64, uart ? "serial" : "ethoc", row->addr);
    fdt_tree_string(tree, "/aliases", name, path);
    if (strcmp(row->id, "uart0") == 0)
        fdt_tree_string(tree, "/chosen", "stdout-path", path);
}

static void sim_fdt(const Machine *m, const MachineBoot *boot G_GNUC_UNUSED, Fdt *tree)
{
    uint32_t pic = fdt_tree_phandle_new(tree);
    fdt_head(m, tree, pic);
    for (guint i = 0; i < m->devices->len; i++) {
        const MachineDevice *md = &g_array_index(m->devices, MachineDevice, i);
        uint32_t irq = (uint32_t)md->row->irq;
        DeviceFdt ctx = {.tree = tree, .parent = "", .cells = 1, .intc = pic,
                         .parent_is_default = true, .interrupts = &irq, .interrupt_count = 1,
                         .size = strcmp(md->row->id, "ompic") == 0
                                     ? OMPIC_CPU * m->type->max_cpus : md->row->size};
        device_fdt(md->device, &ctx);
        fdt_alias(tree, md->row);
    }
}

/* The kernel at the reset vector, and the initial RAM disk at the next page behind it. */
static bool sim_layout(const Machine *m, const MachineBoot *boot, MachineEntry *entry,
                       GError **error)
{
    if (boot->kernel) {
        const LoadImage *k = boot->kernel;
        uint64_t lowest = UINT64_MAX;
        for (size_t i = 0; i < k->count; i++)
            lowest = MIN(lowest, k->segments[i].addr);
        entry->has_kernel = true;
        entry->kernel_base = k->placed ? lowest : KERNEL_BASE;
        entry->kernel_end = entry->kernel_base + k->mem_size;
        entry->kernel_entry = k->placed ? k->entry : KERNEL_BASE;
    }
    if (boot->initrd) {
        entry->initrd_start = align_up(entry->kernel_end, PAGE);
        entry->initrd_end = entry->initrd_start + g_bytes_get_size(boot->initrd);
    }
    const MachineRange ranges[] = {
        {.what = "kernel", .name = boot->kernel ? boot->kernel->name : NULL,
         .start = entry->kernel_base, .size = entry->kernel_end - entry->kernel_base},
        {.what = "initrd", .name = boot->initrd_name, .start = entry->initrd_start,
         .size = entry->initrd_end - entry->initrd_start},
    };
    return machine_check_ranges(m, ranges, G_N_ELEMENTS(ranges), error);
}

static const char *const sim_isas[] = {"or1k", NULL};

const MachineType or1k_sim_type = {
    .name = "or1k-sim",
    .summary = "OpenRISC simulation board",
    .isas = sim_isas,
    .map = sim_map,
    .max_cpus = 4,
    .ram_base = 0,
    .ram_min = 8192,
    .ram_limit = 0x90000000, /* the first device */
    .ram_default = 128 * MIB,
    .is_default = true,
    .description = true,
    .no_seeds = true,
    .present = sim_present,
    .build = sim_build,
    .fdt = sim_fdt,
    .layout = sim_layout,
};
