/* SPDX-License-Identifier: MIT */
/*
 * The device tree of Arm's "virt" (Linux's bindings arm,gic, arm,gic-v3, arm,pmu, psci, cpu-topology,
 * numa; Devicetree Specification 0.4). Secure devices are there for the secure world only.
 */
#include "machines/arm_virt_priv.h"

#include "base/bytes.h"

#include <inttypes.h>
#include <string.h>

/* Private interrupts of each CPU. */
enum { PPI_MAINTENANCE = 9, PPI_SECURE_TIMER = 13, PPI_TIMER = 14, PPI_VIRTUAL_TIMER = 11,
       PPI_HYPERVISOR_TIMER = 10, PPI_PMU = 7 };
enum { EDGE_RISING = 1, LEVEL_HIGH = 4 };
#define APB_HZ 24000000

typedef struct {
    const Machine *m;
    Fdt *tree;
    ArmVirt v;
    uint32_t gic, clock, msi, smmu, gpio, secure_gpio;
} Tree;

/* The flags of a private interrupt: a GICv2 wants to know which CPUs have it. */
static uint32_t ppi_flags(const Tree *t, uint32_t sense)
{
    unsigned cpus = MIN(t->m->options->smp.cpus, 8);
    return sense | (t->v.gic == 2 ? ((UINT32_C(1) << cpus) - 1) << 8 : 0);
}

/* ---- What is no device --------------------------------------------------------------------- */

static void fdt_chosen(const Tree *t, const char *path, const char *uart)
{
    g_autofree char *serial = g_strdup_printf("/pl011@%" PRIx64, machine_row(t->m, uart)->addr);
    fdt_tree_node(t->tree, path);
    fdt_tree_string(t->tree, path, "stdout-path", serial);
    if (!machine_seeds(t->m))
        return;
    uint8_t seed[8];
    bus_random(t->m->clock, seed, sizeof seed);
    fdt_tree_bytes(t->tree, path, "kaslr-seed", seed, sizeof seed);
}

static void fdt_head(const Tree *t)
{
    fdt_tree_u32(t->tree, "/", "interrupt-parent", t->gic);
    fdt_tree_string(t->tree, "/", "compatible", "linux,dummy-virt");
    fdt_tree_string(t->tree, "/", "model", "linux,dummy-virt");
    fdt_tree_u32(t->tree, "/", "#address-cells", 2);
    fdt_tree_u32(t->tree, "/", "#size-cells", 2);
    fdt_chosen(t, "/chosen", "uart0");
    if (t->v.secure) {
        fdt_chosen(t, "/secure-chosen", "secure-uart");
        if (machine_seeds(t->m))
            machine_fdt_rng_seed(t->m, t->tree, "/secure-chosen");
    }
    machine_fdt_memory(t->m, t->tree);
}

/* Where CPU n is in cpu-map: sockets, clusters, cores, and threads where there are several. */
static void fdt_cpu_map(const Tree *t, unsigned n, uint32_t phandle)
{
    MachineCpuIds ids;
    machine_options_cpu_ids(t->m->options, n, &ids);
    g_autofree char *socket = g_strdup_printf("/cpus/cpu-map/socket%d", ids.socket);
    g_autofree char *cluster = g_strdup_printf("%s/cluster%d", socket, ids.cluster);
    g_autofree char *core = g_strdup_printf("%s/core%d", cluster, ids.core);
    g_autofree char *thread = g_strdup_printf("%s/thread%d", core, ids.thread);
    bool threads = t->m->options->smp.threads > 1;
    fdt_tree_node(t->tree, socket);
    fdt_tree_node(t->tree, cluster);
    fdt_tree_node(t->tree, core);
    if (threads)
        fdt_tree_node(t->tree, thread);
    fdt_tree_u32(t->tree, threads ? thread : core, "cpu", phandle);
}

static void fdt_cpus(const Tree *t)
{
    const MachineOptions *o = t->m->options;
    unsigned cpus = o->smp.cpus;
    g_autofree uint32_t *phandles = g_new0(uint32_t, cpus);
    fdt_tree_node(t->tree, "/cpus");
    fdt_tree_u32(t->tree, "/cpus", "#address-cells", 1);
    fdt_tree_u32(t->tree, "/cpus", "#size-cells", 0);
    for (unsigned n = 0; n < cpus; n++) {
        uint64_t mpidr = arm_virt_mpidr(&t->v, n);
        g_autofree char *path = g_strdup_printf("/cpus/cpu@%" PRIx64, mpidr);
        fdt_tree_node(t->tree, path);
        fdt_tree_string(t->tree, path, "device_type", "cpu");
        fdt_tree_string(t->tree, path, "compatible", t->v.cpu.compatible);
        fdt_tree_u32(t->tree, path, "reg", (uint32_t)mpidr);
        if (cpus > 1 && !(t->v.secure && o->firmware)) /* which starts them as it likes */
            fdt_tree_string(t->tree, path, "enable-method", "psci");
        if (o->numa->count)
            fdt_tree_u32(t->tree, path, "numa-node-id", machine_numa_cpu_node(o->numa, n));
        if (t->v.topology)
            fdt_tree_phandle_set(t->tree, path, phandles[n] = fdt_tree_phandle_new(t->tree));
    }
    if (!t->v.topology)
        return;
    fdt_tree_node(t->tree, "/cpus/cpu-map");
    for (unsigned n = 0; n < cpus; n++)
        fdt_cpu_map(t, n, phandles[n]);
}

/* Calls to start and stop CPUs (Arm DEN 0022), by the instruction that traps to whoever answers: us, so
   that there are none where the guest's own software runs in the place of it. */
static void fdt_psci(const Tree *t, const MachineBoot *boot)
{
    bool direct = boot && boot->kernel && boot->mode != MACHINE_FIRMWARE_FILE;
    if (t->v.secure && !direct)
        return;
    bool is64 = t->v.cpu.is64;
    uint32_t wide = is64 ? UINT32_C(0x40000000) : 0;
    fdt_tree_node(t->tree, "/psci");
    fdt_tree_strings(t->tree, "/psci", "compatible", "arm,psci-1.0", "arm,psci-0.2", "arm,psci",
                     NULL);
    fdt_tree_string(t->tree, "/psci", "method", t->v.virtualization ? "smc" : "hvc");
    fdt_tree_u32(t->tree, "/psci", "cpu_suspend", 0x84000001 | wide);
    fdt_tree_u32(t->tree, "/psci", "cpu_off", 0x84000002);
    fdt_tree_u32(t->tree, "/psci", "cpu_on", 0x84000003 | wide);
    fdt_tree_u32(t->tree, "/psci", "migrate", 0x84000005 | wide);
}

static void fdt_timer(const Tree *t)
{
    static const uint32_t ppis[] = {PPI_SECURE_TIMER, PPI_TIMER, PPI_VIRTUAL_TIMER,
                                    PPI_HYPERVISOR_TIMER};
    uint32_t cells[3 * G_N_ELEMENTS(ppis)];
    for (size_t i = 0; i < G_N_ELEMENTS(ppis); i++) {
        cells[3 * i] = 1;
        cells[3 * i + 1] = ppis[i];
        /* Boards of old were wrong about it. */
        cells[3 * i + 2] = ppi_flags(t, t->v.version < 209 ? EDGE_RISING : LEVEL_HIGH);
    }
    fdt_tree_node(t->tree, "/timer");
    if (t->v.cpu.v8)
        fdt_tree_strings(t->tree, "/timer", "compatible", "arm,armv8-timer", "arm,armv7-timer",
                         NULL);
    else
        fdt_tree_string(t->tree, "/timer", "compatible", "arm,armv7-timer");
    fdt_tree_empty(t->tree, "/timer", "always-on");
    fdt_tree_cells(t->tree, "/timer", "interrupts", cells, G_N_ELEMENTS(cells));
}

static void fdt_pmu(const Tree *t)
{
    if (!t->v.cpu.pmu || t->v.version < 207)
        return;
    const uint32_t cells[] = {1, PPI_PMU, ppi_flags(t, LEVEL_HIGH)};
    fdt_tree_node(t->tree, "/pmu");
    if (!t->v.cpu.v8)
        return;
    fdt_tree_string(t->tree, "/pmu", "compatible", "arm,armv8-pmuv3");
    fdt_tree_cells(t->tree, "/pmu", "interrupts", cells, G_N_ELEMENTS(cells));
}

static void fdt_clock(const Tree *t)
{
    fdt_tree_node(t->tree, "/apb-pclk");
    fdt_tree_string(t->tree, "/apb-pclk", "compatible", "fixed-clock");
    fdt_tree_u32(t->tree, "/apb-pclk", "#clock-cells", 0);
    fdt_tree_u32(t->tree, "/apb-pclk", "clock-frequency", APB_HZ);
    fdt_tree_string(t->tree, "/apb-pclk", "clock-output-names", "clk24mhz");
    fdt_tree_phandle_set(t->tree, "/apb-pclk", t->clock);
}

static void fdt_secure(const Tree *t, const char *path)
{
    fdt_tree_string(t->tree, path, "status", "disabled");
    fdt_tree_string(t->tree, path, "secure-status", "okay");
}

/* The secure world keeps the first flash, and has memory, to itself. */
static void fdt_flash(const Tree *t)
{
    const MachineMap *first = machine_row(t->m, "pflash0"), *second = machine_row(t->m, "pflash1");
    const MachineMap *ram = machine_row(t->m, "secure-memory");
    g_autofree char *path = g_strdup_printf("%s@%" PRIx64, t->v.secure ? "/secflash" : "/flash",
                                            first->addr);
    g_autofree char *own = g_strdup_printf("/flash@%" PRIx64, second->addr);
    g_autofree char *memory = g_strdup_printf("/secram@%" PRIx64, ram->addr);
    const uint32_t both[] = {0, (uint32_t)first->addr,  0, (uint32_t)first->size,
                             0, (uint32_t)second->addr, 0, (uint32_t)second->size};
    fdt_tree_node(t->tree, path);
    fdt_tree_string(t->tree, path, "compatible", "cfi-flash");
    fdt_tree_cells(t->tree, path, "reg", both, t->v.secure ? 4 : 8);
    fdt_tree_u32(t->tree, path, "bank-width", 4);
    if (!t->v.secure)
        return;
    fdt_secure(t, path);
    fdt_tree_node(t->tree, own);
    fdt_tree_string(t->tree, own, "compatible", "cfi-flash");
    fdt_tree_cells(t->tree, own, "reg", both + 4, 4);
    fdt_tree_u32(t->tree, own, "bank-width", 4);
    fdt_tree_node(t->tree, memory);
    fdt_tree_string(t->tree, memory, "device_type", "memory");
    fdt_tree_reg(t->tree, memory, ram->addr, ram->size);
    fdt_secure(t, memory);
}

/* ---- What hangs on lines of the GPIOs -------------------------------------------------- */

static void fdt_gpios(const Tree *t, const char *path, uint32_t chip, uint32_t line)
{
    const uint32_t cells[] = {chip, line, 0};
    fdt_tree_cells(t->tree, path, "gpios", cells, G_N_ELEMENTS(cells));
}

static void fdt_keys(const Tree *t)
{
    enum { KEY_POWER = 116 }; /* linux/input-event-codes.h */
    if (!t->v.ged) {
        fdt_tree_node(t->tree, "/gpio-keys");
        fdt_tree_string(t->tree, "/gpio-keys", "compatible", "gpio-keys");
        fdt_tree_node(t->tree, "/gpio-keys/poweroff");
        fdt_tree_string(t->tree, "/gpio-keys/poweroff", "label", "GPIO Key Poweroff");
        fdt_tree_u32(t->tree, "/gpio-keys/poweroff", "linux,code", KEY_POWER);
        fdt_gpios(t, "/gpio-keys/poweroff", t->gpio, 3);
    }
    if (!machine_device(t->m, "secure-gpio"))
        return;
    static const char *const outputs[] = {"gpio-poweroff", "gpio-restart"};
    for (uint32_t i = 0; i < G_N_ELEMENTS(outputs); i++) {
        g_autofree char *path = g_strconcat("/", outputs[i], NULL);
        fdt_tree_node(t->tree, path);
        fdt_tree_string(t->tree, path, "compatible", outputs[i]);
        fdt_gpios(t, path, t->secure_gpio, i);
        fdt_secure(t, path);
    }
}

/* ---- Devices ------------------------------------------------------------------------------- */

/* In the order of the map, which is that of addresses among virtio slots: guests number them so. */
static void fdt_devices(const Tree *t)
{
    const char *gic = t->v.gic == 2 ? "gic" : "gicv3";
    g_autofree char *gic_path = g_strdup_printf("/intc@%" PRIx64, machine_row(t->m, gic)->addr);
    static const uint32_t maintenance = PPI_MAINTENANCE;
    for (guint i = 0; i < t->m->devices->len; i++) {
        const MachineDevice *md = &g_array_index(t->m->devices, MachineDevice, i);
        const MachineMap *row = md->row;
        if (g_str_has_prefix(row->id, "pflash") || (t->v.ged && g_str_equal(row->id, "gpio")))
            continue;
        bool is_gic = g_str_equal(row->id, gic);
        bool frame = g_str_equal(row->id, "v2m") || g_str_equal(row->id, "its");
        bool pcie = g_str_equal(row->id, "pcie"), smmu = g_str_equal(row->id, "smmu");
        bool virtio = g_str_has_prefix(row->id, "virtio");
        bool pl061 = g_str_equal(row->device, "pl061");
        uint32_t irq = (uint32_t)row->irq;
        const uint32_t irqs[] = {irq, irq + 1, irq + 2, irq + 3};
        DeviceFdt ctx = {
            .tree = t->tree, .parent = frame ? gic_path : "", .intc = t->gic,
            .parent_is_default = true, .irq_kind = DEVICE_FDT_IRQ_GIC,
            .interrupts = is_gic ? &maintenance : irqs,
            .interrupt_count = is_gic ? t->v.virtualization : row->irqs ? (size_t)row->irqs
                               : irq || pl061 ? 1 : 0,
            .edge = virtio || smmu, .coherent = virtio || smmu,
            .secure = g_str_has_prefix(row->id, "secure-"), .clock = t->clock,
            .size = pcie ? t->v.ecam_size : virtio ? row->size : 0,
            .name = pcie ? "pcie" : NULL, .unit = pcie ? machine_row(t->m, "pcie-mmio")->addr : 0,
            .msi = pcie ? t->msi : 0, .iommu = pcie ? t->smmu : 0,
            .phandle = is_gic  ? t->gic
                       : frame ? t->msi
                       : smmu  ? t->smmu
                       : g_str_equal(row->id, "gpio")        ? t->gpio
                       : g_str_equal(row->id, "secure-gpio") ? t->secure_gpio
                                                             : 0,
        };
        device_fdt(md->device, &ctx);
    }
}

/* The function of a virtio-iommu that a user has added to the root bus, or -1. */
static int virtio_iommu(const Machine *m)
{
    for (guint i = 0; i < m->added->len; i++) {
        Device *dev = g_ptr_array_index(m->added, i);
        Device *front = dev->bus && dev->bus->type->front ? dev->bus : dev;
        if (!strcmp(dev->type->name, "virtio-iommu-device") && front->type->pci &&
            front->bus == machine_device(m, "pcie"))
            return front->type->pci(front)->fn.devfn;
    }
    return -1;
}

/* It translates for all functions but itself (bindings virtio,pci-iommu and pci-iommu). */
static void fdt_virtio_iommu(const Tree *t)
{
    int devfn = virtio_iommu(t->m);
    if (devfn < 0 || t->v.iommu)
        return;
    uint32_t self = (uint32_t)devfn, phandle = fdt_tree_phandle_new(t->tree);
    g_autofree char *host = g_strdup_printf("/pcie@%" PRIx64,
                                            machine_row(t->m, "pcie-mmio")->addr);
    g_autofree char *path = g_strdup_printf("%s/virtio_iommu@%x,%x", host, self >> 3, self & 7);
    const uint32_t map[] = {0, phandle, 0, self, self + 1, phandle, self + 1, 0xffff - self};
    const uint32_t reg[] = {self << 8, 0, 0, 0, 0};
    fdt_tree_cells(t->tree, host, "iommu-map", map, G_N_ELEMENTS(map));
    fdt_tree_node(t->tree, path);
    fdt_tree_strings(t->tree, path, "compatible", "virtio,pci-iommu", "pci1af4,1057", NULL);
    fdt_tree_cells(t->tree, path, "reg", reg, G_N_ELEMENTS(reg));
    fdt_tree_u32(t->tree, path, "#iommu-cells", 1);
    fdt_tree_phandle_set(t->tree, path, phandle);
}

void arm_virt_fdt(const Machine *m, const MachineBoot *boot, Fdt *tree)
{
    Tree t = {.m = m, .tree = tree};
    if (!arm_virt_read(m, &t.v, NULL))
        g_assert_not_reached(); /* the board's build has refused it */
    t.gic = fdt_tree_phandle_new(tree);
    t.clock = fdt_tree_phandle_new(tree);
    t.gpio = fdt_tree_phandle_new(tree);
    t.msi = machine_device(m, "v2m") || machine_device(m, "its") ? fdt_tree_phandle_new(tree) : 0;
    t.smmu = t.v.iommu ? fdt_tree_phandle_new(tree) : 0;
    t.secure_gpio = machine_device(m, "secure-gpio") ? fdt_tree_phandle_new(tree) : 0;
    fdt_head(&t);
    fdt_cpus(&t);
    fdt_psci(&t, boot);
    fdt_timer(&t);
    fdt_clock(&t);
    fdt_pmu(&t);
    fdt_flash(&t);
    fdt_devices(&t);
    fdt_virtio_iommu(&t);
    fdt_keys(&t);
}
