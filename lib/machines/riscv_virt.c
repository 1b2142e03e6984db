/* SPDX-License-Identifier: MIT */
/*
 * RISC-V "virt": the memory map and device tree that QEMU's board of that name has, so that the same
 * kernels, firmware and command lines work. Reserved in the map, and not in the tree until they are
 * there: the platform bus.
 */
#include "machines/riscv_boot_priv.h"

#include <inttypes.h>

#define VIRT_MAX_CPUS 512
#define TIMEBASE_HZ 10000000
#define MIB (UINT64_C(1) << 20)

enum { FINISHER_PASS = 0x5555, FINISHER_RESET = 0x7777 };

static const MachineMap virt_map[] = {
    {.id = "plic", .device = "plic", .addr = 0xc000000, .size = 0x600000},
    {.id = "clint", .device = "riscv-aclint", .region = 0, .addr = 0x2000000, .size = 0x4000},
    {.id = "clint", .device = "riscv-aclint", .region = 1, .addr = 0x2004000, .size = 0x8000},
    {.id = "virtio1", .device = "virtio-mmio", .addr = 0x10001000, .size = 0x1000, .irq = 1},
    {.id = "virtio2", .device = "virtio-mmio", .addr = 0x10002000, .size = 0x1000, .irq = 2},
    {.id = "virtio3", .device = "virtio-mmio", .addr = 0x10003000, .size = 0x1000, .irq = 3},
    {.id = "virtio4", .device = "virtio-mmio", .addr = 0x10004000, .size = 0x1000, .irq = 4},
    {.id = "virtio5", .device = "virtio-mmio", .addr = 0x10005000, .size = 0x1000, .irq = 5},
    {.id = "virtio6", .device = "virtio-mmio", .addr = 0x10006000, .size = 0x1000, .irq = 6},
    {.id = "virtio7", .device = "virtio-mmio", .addr = 0x10007000, .size = 0x1000, .irq = 7},
    {.id = "virtio8", .device = "virtio-mmio", .addr = 0x10008000, .size = 0x1000, .irq = 8},
    {.id = "test", .device = "sifive-test", .addr = 0x100000, .size = 0x1000},
    {.id = "uart0", .device = "uart16550", .addr = 0x10000000, .size = 0x100, .irq = 10},
    {.id = "rtc", .device = "goldfish_rtc", .addr = 0x101000, .size = 0x1000, .irq = 11},
    {.id = "fw-cfg", .device = "fw-cfg-mmio", .addr = 0x10100000, .size = 0x18},
    {.id = "pflash0", .device = "cfi.pflash01", .addr = 0x20000000, .size = 0x2000000},
    {.id = "pflash1", .device = "cfi.pflash01", .addr = 0x22000000, .size = 0x2000000},
    {.id = "pcie", .device = "gpex-pcihost", .addr = 0x30000000, .size = 0x10000000, .irq = 32,
     .irqs = 4},
    {.id = "poweroff", .device = "syscon-power"},
    {.id = "reboot", .device = "syscon-power"},
    /* Not devices of ours, or not yet. */
    {.id = "debug", .addr = 0x0, .size = 0x100},
    {.id = "mrom", .addr = 0x1000, .size = 0xf000},
    {.id = "sswi", .addr = 0x2f00000, .size = 0x4000},
    {.id = "pcie-pio", .addr = 0x3000000, .size = 0x10000},
    {.id = "platform-bus", .addr = 0x4000000, .size = 0x2000000},
    {.id = "pcie-mmio", .addr = 0x40000000, .size = 0x40000000},
    {.id = "dram", .addr = 0x80000000},
    {.id = NULL},
};

static bool set_power_node(Machine *m, const char *id, bool reboot, uint32_t value, GError **error)
{
    Device *dev = machine_device(m, id);
    return device_set(dev, "reboot", reboot ? "on" : "off", error) &&
           device_set_u64(dev, "value", value, error);
}

/* Above all RAM, at a multiple of its size. */
static bool set_pcie(Machine *m, GError **error)
{
    const uint64_t high = 16 * 1024 * MIB;
    const MachineMap *pio = machine_row(m, "pcie-pio"), *mmio = machine_row(m, "pcie-mmio");
    uint64_t ram_end = m->type->ram_base + m->options->ram_max;
    Device *dev = machine_device(m, "pcie");
    return device_set_u64(dev, "pio_base", pio->addr, error) &&
           device_set_u64(dev, "pio_size", pio->size, error) &&
           device_set_u64(dev, "mmio_base", mmio->addr, error) &&
           device_set_u64(dev, "mmio_size", mmio->size, error) &&
           device_set_u64(dev, "mmio64_base", (ram_end + high - 1) & ~(high - 1), error) &&
           device_set_u64(dev, "mmio64_size", high, error);
}

static bool virt_build(Machine *m, GError **error)
{
    uint64_t harts = m->options->smp.cpus;
    bool aclint = machine_prop_on(m, "aclint");
    fw_cfg_mmio_set_table(machine_device(m, "fw-cfg"), m->fw_cfg);
    Device *clint = machine_device(m, "clint");
    if (aclint)
        device_place(clint, 2, machine_row(m, "sswi")->addr);
    return device_set_u64(clint, "harts", harts, error) &&
           device_set_u64(clint, "frequency", TIMEBASE_HZ, error) &&
           device_set(clint, "aclint", aclint ? "on" : "off", error) &&
           device_set_u64(machine_device(m, "plic"), "contexts", 2 * harts, error) &&
           set_pcie(m, error) && set_power_node(m, "poweroff", false, FINISHER_PASS, error) &&
           set_power_node(m, "reboot", true, FINISHER_RESET, error);
}

static bool virt_wire(Machine *m, GError **error)
{
    const MachineMap *mrom = machine_row(m, "mrom");
    if (!bus_ram_new(m->space, "ram", m->type->ram_base, m->options->ram_size, 0, 0, error) ||
        !bus_ram_new(m->space, "mrom", mrom->addr, mrom->size, BUS_RAM_ROM, 0, error))
        return false;
    Device *plic = machine_device(m, "plic"), *clint = machine_device(m, "clint");
    for (unsigned h = 0; h < m->options->smp.cpus; h++) {
        device_connect(clint, 3 * h + 0, machine_cpu_line(m, h, MACHINE_RISCV_MSOFT));
        device_connect(clint, 3 * h + 1, machine_cpu_line(m, h, MACHINE_RISCV_MTIMER));
        device_connect(clint, 3 * h + 2, machine_cpu_line(m, h, MACHINE_RISCV_SSWI));
        device_connect(plic, 2 * h + 0, machine_cpu_line(m, h, MACHINE_RISCV_MEXT));
        device_connect(plic, 2 * h + 1, machine_cpu_line(m, h, MACHINE_RISCV_SEXT));
    }
    machine_connect_irqs(m, "plic");
    return true;
}

/* ---- Device tree --------------------------------------------------------- */

/* One hart; its interrupt controller's phandle goes to *intc. */
static void fdt_cpu(const Machine *m, Fdt *tree, unsigned n, uint32_t *intc)
{
    const MachineCpus *cpus = &m->cpus;
    g_autofree char *path = g_strdup_printf("/cpus/cpu@%x", n);
    g_autofree char *controller = g_strdup_printf("%s/interrupt-controller", path);
    g_autofree char *core = g_strdup_printf("/cpus/cpu-map/cluster0/core%u", n);
    uint32_t phandle = fdt_tree_phandle_new(tree);
    *intc = fdt_tree_phandle_new(tree);

    fdt_tree_node(tree, path);
    fdt_tree_phandle_set(tree, path, phandle);
    fdt_tree_string(tree, path, "device_type", "cpu");
    fdt_tree_u32(tree, path, "reg", n);
    fdt_tree_string(tree, path, "status", "okay");
    fdt_tree_string(tree, path, "compatible", cpus->compatible);
    fdt_tree_string(tree, path, "riscv,isa", cpus->isa);
    if (cpus->mmu_type)
        fdt_tree_string(tree, path, "mmu-type", cpus->mmu_type);
    if (cpus->cbom_block_size)
        fdt_tree_u32(tree, path, "riscv,cbom-block-size", cpus->cbom_block_size);
    if (cpus->cboz_block_size)
        fdt_tree_u32(tree, path, "riscv,cboz-block-size", cpus->cboz_block_size);

    fdt_tree_node(tree, controller);
    fdt_tree_u32(tree, controller, "#interrupt-cells", 1);
    fdt_tree_empty(tree, controller, "interrupt-controller");
    fdt_tree_string(tree, controller, "compatible", "riscv,cpu-intc");
    fdt_tree_phandle_set(tree, controller, *intc);

    fdt_tree_node(tree, core);
    fdt_tree_u32(tree, core, "cpu", phandle);
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
    g_autofree char *memory = g_strdup_printf("/memory@%" PRIx64, m->type->ram_base);
    fdt_tree_node(tree, memory);
    fdt_tree_string(tree, memory, "device_type", "memory");
    fdt_tree_reg(tree, memory, m->type->ram_base, m->options->ram_size);
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

static void virt_fdt(const Machine *m, const MachineBoot *boot G_GNUC_UNUSED, Fdt *tree)
{
    unsigned harts = m->options->smp.cpus;
    g_autofree uint32_t *intc = g_new(uint32_t, harts);
    fdt_head(m, tree);
    fdt_tree_node(tree, "/cpus");
    fdt_tree_u32(tree, "/cpus", "#address-cells", 1);
    fdt_tree_u32(tree, "/cpus", "#size-cells", 0);
    fdt_tree_u32(tree, "/cpus", "timebase-frequency", TIMEBASE_HZ);
    fdt_tree_node(tree, "/cpus/cpu-map");
    fdt_tree_node(tree, "/cpus/cpu-map/cluster0");
    for (unsigned n = 0; n < harts; n++)
        fdt_cpu(m, tree, n, &intc[n]);

    fdt_tree_node(tree, "/soc");
    fdt_tree_u32(tree, "/soc", "#address-cells", 2);
    fdt_tree_u32(tree, "/soc", "#size-cells", 2);
    fdt_tree_string(tree, "/soc", "compatible", "simple-bus");
    fdt_tree_empty(tree, "/soc", "ranges");
    uint32_t plic = fdt_tree_phandle_new(tree), test = fdt_tree_phandle_new(tree);
    /* From the last to the first: guests number virtio-mmio slots in the order of the tree, and
       know this board with the highest address first. */
    for (guint i = m->devices->len; i > 0; i--) {
        const MachineDevice *md = &g_array_index(m->devices, MachineDevice, i - 1);
        bool top = g_str_equal(md->row->device, "syscon-power") ||
                   g_str_equal(md->row->device, "fw-cfg-mmio");
        uint32_t irq = (uint32_t)md->row->irq;
        const uint32_t irqs[] = { irq, irq + 1, irq + 2, irq + 3 };
        DeviceFdt ctx = {
            .tree = tree, .parent = top ? "" : "/soc", .intc = plic, .interrupts = irqs,
            .interrupt_count = !irq ? 0 : md->row->irqs ? (size_t)md->row->irqs : 1,
            .cpu_intc = intc, .cpu_count = harts, .regmap = test,
            .phandle = g_str_equal(md->row->id, "plic")   ? plic
                       : g_str_equal(md->row->id, "test") ? test
                                                          : 0,
        };
        device_fdt(md->device, &ctx);
    }
    fdt_flash(m, tree);
}

static bool virt_place(Machine *m, const MachineBoot *boot, GBytes *fdt, MachineEntry *entry,
                       GError **error)
{
    return riscv_boot_place(m, boot, fdt, machine_row(m, "mrom")->addr, entry, error);
}

static const char *const virt_isas[] = {"riscv64", NULL};

static const MachineProp virt_props[] = {
    {.name = "aclint", .is_bool = true, .def = "off",
     .help = "ACLINT devices in place of a CLINT, with supervisor software interrupts"},
    {.name = "pflash0", .help = "node of -blockdev with the contents of the first flash"},
    {.name = "pflash1", .help = "node of -blockdev with the contents of the second flash"},
    {.name = NULL},
};

const MachineType riscv_virt_type = {
    .name = "virt",
    .summary = "RISC-V VirtIO board",
    .isas = virt_isas,
    .props = virt_props,
    .map = virt_map,
    .max_cpus = VIRT_MAX_CPUS,
    .ram_base = 0x80000000,
    .ram_min = 4 * MIB,
    /* Physical addresses have 56 bits; PCI's high memory comes after RAM. */
    .ram_limit = (UINT64_C(1) << 55) - 0x80000000,
    .ram_default = 128 * MIB,
    .is_default = true,
    .build = virt_build,
    .wire = virt_wire,
    .fdt = virt_fdt,
    .layout = riscv_boot_layout,
    .place = virt_place,
};
