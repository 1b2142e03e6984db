/* SPDX-License-Identifier: MIT */
/*
 * The device tree of RISC-V's "virt" (bindings riscv,cpus, sifive,plic, riscv,aplic, riscv,imsics,
 * riscv,aclint; Devicetree Specification 0.4).
 */
#include "machines/riscv_virt_priv.h"

#include <inttypes.h>
#include <string.h>

#define TIMEBASE_HZ 10000000

/* Local interrupts of a hart (RISC-V privileged architecture, mip). */
enum { IRQ_SEXT = 9, IRQ_MEXT = 11 };

typedef struct {
    const Machine *m;
    Fdt *tree;
    RiscvVirt v;
    uint32_t *intc;                       /* of each hart */
    uint32_t control[RISCV_VIRT_SOCKETS]; /* PLIC or supervisor's APLIC of each socket */
    uint32_t machine_domain[RISCV_VIRT_SOCKETS];
    uint32_t imsic_m, imsic_s, test;
} Tree;

/* With AIA the harts have its extensions: in the place that the order of their names asks for. */
static char *hart_isa(const Tree *t)
{
    const char *isa = t->m->cpus.isa;
    if (t->v.aia != RISCV_AIA_IMSIC || strstr(isa, "_smaia"))
        return g_strdup(isa);
    const char *at = isa;
    while ((at = strchr(at, '_'))) {
        if (at[1] == 's' && strcmp(at + 1, "smaia") > 0)
            break;
        at++;
    }
    size_t before = at ? (size_t)(at - isa) : strlen(isa);
    return g_strdup_printf("%.*s_smaia_ssaia%s", (int)before, isa, at ? at : "");
}

static unsigned socket_of(const Tree *t, unsigned hart)
{
    return machine_numa_cpu_node(t->m->options->numa, hart);
}

static void fdt_cpu(Tree *t, unsigned n, const char *isa)
{
    const MachineCpus *cpus = &t->m->cpus;
    Fdt *tree = t->tree;
    unsigned socket = socket_of(t, n);
    g_autofree char *path = g_strdup_printf("/cpus/cpu@%x", n);
    g_autofree char *controller = g_strdup_printf("%s/interrupt-controller", path);
    g_autofree char *cluster = g_strdup_printf("/cpus/cpu-map/cluster%u", socket);
    g_autofree char *core = g_strdup_printf("%s/core%u", cluster, n - t->v.first[socket]);
    uint32_t phandle = fdt_tree_phandle_new(tree);
    t->intc[n] = fdt_tree_phandle_new(tree);

    fdt_tree_node(tree, path);
    fdt_tree_phandle_set(tree, path, phandle);
    fdt_tree_string(tree, path, "device_type", "cpu");
    fdt_tree_u32(tree, path, "reg", n);
    fdt_tree_string(tree, path, "status", "okay");
    fdt_tree_string(tree, path, "compatible", cpus->compatible);
    fdt_tree_string(tree, path, "riscv,isa", isa);
    if (cpus->mmu_type)
        fdt_tree_string(tree, path, "mmu-type", cpus->mmu_type);
    if (cpus->cbom_block_size)
        fdt_tree_u32(tree, path, "riscv,cbom-block-size", cpus->cbom_block_size);
    if (cpus->cboz_block_size)
        fdt_tree_u32(tree, path, "riscv,cboz-block-size", cpus->cboz_block_size);
    if (t->m->options->numa->count)
        fdt_tree_u32(tree, path, "numa-node-id", socket);

    fdt_tree_node(tree, controller);
    fdt_tree_u32(tree, controller, "#interrupt-cells", 1);
    fdt_tree_empty(tree, controller, "interrupt-controller");
    fdt_tree_string(tree, controller, "compatible", "riscv,cpu-intc");
    fdt_tree_phandle_set(tree, controller, t->intc[n]);

    fdt_tree_node(tree, cluster);
    fdt_tree_node(tree, core);
    fdt_tree_u32(tree, core, "cpu", phandle);
}

static void fdt_cpus(Tree *t)
{
    Fdt *tree = t->tree;
    g_autofree char *isa = hart_isa(t);
    fdt_tree_node(tree, "/cpus");
    fdt_tree_u32(tree, "/cpus", "#address-cells", 1);
    fdt_tree_u32(tree, "/cpus", "#size-cells", 0);
    fdt_tree_u32(tree, "/cpus", "timebase-frequency", TIMEBASE_HZ);
    fdt_tree_node(tree, "/cpus/cpu-map");
    for (unsigned n = 0; n < t->m->options->smp.cpus; n++)
        fdt_cpu(t, n, isa);
}

static void fdt_head(const Machine *m, Fdt *tree)
{
    fdt_tree_u32(tree, "/", "#address-cells", 2);
    fdt_tree_u32(tree, "/", "#size-cells", 2);
    fdt_tree_string(tree, "/", "compatible", "riscv-virtio");
    fdt_tree_string(tree, "/", "model", "riscv-virtio,qemu");
    fdt_tree_node(tree, "/chosen");
    g_autofree char *serial = g_strdup_printf("/soc/serial@%" PRIx64,
                                              machine_row(m, "uart0")->addr);
    fdt_tree_string(tree, "/chosen", "stdout-path", serial);
    machine_fdt_memory(m, tree);
}

/* One node for both, as a bank each of the same kind of chip. */
static void fdt_flash(const Machine *m, Fdt *tree)
{
    const MachineMap *first = machine_row(m, "pflash0"), *second = machine_row(m, "pflash1");
    g_autofree char *path = g_strdup_printf("/flash@%" PRIx64, first->addr);
    const uint32_t reg[] = {
        (uint32_t)(first->addr >> 32),  (uint32_t)first->addr,  0, (uint32_t)first->size,
        (uint32_t)(second->addr >> 32), (uint32_t)second->addr, 0, (uint32_t)second->size,
    };
    fdt_tree_node(tree, path);
    fdt_tree_string(tree, path, "compatible", "cfi-flash");
    fdt_tree_cells(tree, path, "reg", reg, G_N_ELEMENTS(reg));
    fdt_tree_u32(tree, path, "bank-width", 4);
}

static bool is_kind(const MachineMap *row, const char *kind)
{
    return g_str_has_prefix(row->id, kind);
}

/* Pairs of a hart's controller and one of its local interrupts. */
static uint32_t *harts_irq(const Tree *t, unsigned first, unsigned count, uint32_t irq)
{
    uint32_t *cells = g_new(uint32_t, 2 * (size_t)count);
    for (unsigned i = 0; i < count; i++) {
        cells[2 * i] = t->intc[first + i];
        cells[2 * i + 1] = irq;
    }
    return cells;
}

/* One of the AIA's controllers: which harts it interrupts, or whose messages it sends. */
static void fdt_aia(const Tree *t, const MachineDevice *md, DeviceFdt *ctx, unsigned socket)
{
    bool imsic = is_kind(md->row, "imsic");
    bool machine = is_kind(md->row, "imsic-m") || is_kind(md->row, "aplic-m");
    unsigned first = imsic ? 0 : t->v.first[socket];
    unsigned count = imsic ? t->m->options->smp.cpus : t->v.count[socket];
    g_autofree uint32_t *sources = harts_irq(t, first, count, machine ? IRQ_MEXT : IRQ_SEXT);
    ctx->sources = sources;
    ctx->source_count = 2 * (size_t)count;
    ctx->has_node = !imsic && t->m->options->numa->count;
    if (imsic) {
        ctx->phandle = machine ? t->imsic_m : t->imsic_s;
    } else {
        ctx->phandle = machine ? t->machine_domain[socket] : t->control[socket];
        ctx->msi = machine ? t->imsic_m : t->imsic_s;
        ctx->child = machine ? t->control[socket] : 0; /* which is the supervisor's */
    }
    device_fdt(md->device, ctx);
}

/* From the last to the first: guests number virtio-mmio slots in the order of the tree, and know this
   board with the highest address first. */
static void fdt_device(const Tree *t, const MachineDevice *md)
{
    const MachineMap *row = md->row;
    bool top = g_str_equal(row->device, "syscon-power") || g_str_equal(row->device, "fw-cfg-mmio");
    bool own = is_kind(row, "plic") || is_kind(row, "clint") || is_kind(row, "aplic") ||
               is_kind(row, "imsic");
    char digit = row->id[strlen(row->id) - 1];
    unsigned socket = !own ? riscv_virt_socket(&t->v, row)
                      : g_ascii_isdigit(digit) ? (unsigned)(digit - '0') : 0;
    uint32_t irq = (uint32_t)row->irq;
    const uint32_t irqs[] = {irq, irq + 1, irq + 2, irq + 3};
    DeviceFdt ctx = {
        .tree = t->tree, .parent = top ? "" : "/soc", .intc = t->control[socket],
        .interrupts = irqs, .interrupt_count = !irq ? 0 : row->irqs ? (size_t)row->irqs : 1,
        .irq_kind = t->v.aia == RISCV_AIA_NONE ? DEVICE_FDT_IRQ_NUMBER : DEVICE_FDT_IRQ_SENSE,
        .cpu_intc = t->intc + t->v.first[own ? socket : 0], .cpu_count = t->v.count[socket],
        .regmap = t->test, .msi_parent = g_str_equal(row->id, "pcie") && t->imsic_s,
        .msi = t->imsic_s,
        .has_node = own && t->m->options->numa->count, .node = socket,
        .phandle = is_kind(row, "plic") ? t->control[socket]
                   : g_str_equal(row->id, "test") ? t->test : 0,
    };
    if (is_kind(row, "aplic") || is_kind(row, "imsic"))
        fdt_aia(t, md, &ctx, socket);
    else
        device_fdt(md->device, &ctx);
}

void riscv_virt_fdt(const Machine *m, const MachineBoot *boot G_GNUC_UNUSED, Fdt *tree)
{
    g_autofree uint32_t *intc = g_new0(uint32_t, m->options->smp.cpus);
    Tree t = {.m = m, .tree = tree, .intc = intc};
    if (!riscv_virt_read(m, &t.v, NULL))
        g_assert_not_reached(); /* the board's build has refused it */
    fdt_head(m, tree);
    fdt_cpus(&t);
    fdt_tree_node(tree, "/soc");
    fdt_tree_u32(tree, "/soc", "#address-cells", 2);
    fdt_tree_u32(tree, "/soc", "#size-cells", 2);
    fdt_tree_string(tree, "/soc", "compatible", "simple-bus");
    fdt_tree_empty(tree, "/soc", "ranges");
    for (unsigned s = 0; s < t.v.sockets; s++) {
        t.control[s] = fdt_tree_phandle_new(tree);
        t.machine_domain[s] = t.v.aia == RISCV_AIA_NONE ? 0 : fdt_tree_phandle_new(tree);
    }
    t.test = fdt_tree_phandle_new(tree);
    t.imsic_m = t.v.aia == RISCV_AIA_IMSIC ? fdt_tree_phandle_new(tree) : 0;
    t.imsic_s = t.v.aia == RISCV_AIA_IMSIC ? fdt_tree_phandle_new(tree) : 0;
    for (guint i = m->devices->len; i > 0; i--)
        fdt_device(&t, &g_array_index(m->devices, MachineDevice, i - 1));
    fdt_flash(m, tree);
}
