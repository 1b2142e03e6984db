/* SPDX-License-Identifier: MIT */
/*
 * RISC-V "virt": the memory map and device tree that QEMU's board of that name has, so that the same
 * kernels, firmware and command lines work. Each NUMA node is a socket, with interrupt controllers and
 * timers of its own. The Advanced Interrupt Architecture (aia=) is a description. Reserved in the map,
 * and not in the tree until it is there: the platform bus.
 */
#include "machines/riscv_virt_priv.h"

#include "base/error.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>

#define VIRT_MAX_CPUS 512
#define TIMEBASE_HZ 10000000
#define MIB (UINT64_C(1) << 20)
#define IMSIC_GUESTS_MAX 7

enum { FINISHER_PASS = 0x5555, FINISHER_RESET = 0x7777 };

/* The controllers of socket n; those that the options ask for are made. */
#define SOCKET(s, n)                                                                               \
    {.id = "plic" s, .device = "plic", .addr = 0xc000000 + 0x600000 * (n), .size = 0x600000},      \
    {.id = "aplic-m" s, .device = "riscv.aplic", .addr = 0xc000000 + 0x8000 * (n),                 \
     .size = 0x8000},                                                                              \
    {.id = "aplic-s" s, .device = "riscv.aplic", .addr = 0xd000000 + 0x8000 * (n),                 \
     .size = 0x8000},                                                                              \
    {.id = "clint" s, .device = "riscv-aclint", .region = 0, .addr = 0x2000000 + 0x10000 * (n),    \
     .size = 0x4000},                                                                              \
    {.id = "clint" s, .device = "riscv-aclint", .region = 1, .addr = 0x2004000 + 0x10000 * (n),    \
     .size = 0x8000}

static const MachineMap virt_map[] = {
    SOCKET("", 0),
    SOCKET("1", 1),
    SOCKET("2", 2),
    SOCKET("3", 3),
    {.id = "imsic-m", .device = "riscv.imsic", .addr = 0x24000000, .size = 0x4000000},
    {.id = "imsic-s", .device = "riscv.imsic", .addr = 0x28000000, .size = 0x4000000},
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

/* ---- What options mean --------------------------------------------------- */

static const char *const aia_names[] = {"none", "aplic", "aplic-imsic", NULL};

/* The harts of each socket, which are one after the other. */
static bool read_sockets(const Machine *m, RiscvVirt *v, GError **error)
{
    const MachineNuma *numa = m->options->numa;
    unsigned harts = m->options->smp.cpus;
    v->sockets = numa->count ? numa->count : 1;
    if (v->sockets > RISCV_VIRT_SOCKETS)
        return fail_usage(error, "number of sockets/nodes should be at most %d",
                          RISCV_VIRT_SOCKETS);
    for (unsigned s = 0; s < v->sockets; s++) {
        unsigned last = 0;
        for (unsigned h = 0; h < harts; h++) {
            if (machine_numa_cpu_node(numa, h) != s)
                continue;
            v->first[s] = v->count[s]++ ? v->first[s] : h;
            last = h;
        }
        if (!v->count[s] || last - v->first[s] + 1 != v->count[s])
            return fail_usage(error, "discontinuous hartids in socket%u", s);
    }
    return true;
}

bool riscv_virt_read(const Machine *m, RiscvVirt *v, GError **error)
{
    const char *aia = machine_prop(m, "aia"), *guests = machine_prop(m, "aia-guests");
    guint64 n;
    *v = (RiscvVirt){0};
    while (aia_names[v->aia] && strcmp(aia_names[v->aia], aia) != 0)
        v->aia++;
    if (!aia_names[v->aia])
        return fail_usage(error, "Invalid AIA interrupt controller type '%s': valid values are none, "
                                 "aplic, and aplic-imsic", aia);
    if (!g_ascii_string_to_unsigned(guests, 10, 0, IMSIC_GUESTS_MAX, &n, NULL))
        return fail_usage(error, "Invalid number of AIA IMSIC guests '%s': valid values are between 0 "
                                 "and %d", guests, IMSIC_GUESTS_MAX);
    while ((UINT64_C(1) << v->guest_bits) < n + 1)
        v->guest_bits++;
    return read_sockets(m, v, error);
}

unsigned riscv_virt_socket(const RiscvVirt *v, const MachineMap *row)
{
    unsigned wanted = g_str_has_prefix(row->id, "virtio") ? 1 : !strcmp(row->id, "pcie") ? 2 : 0;
    return MIN(wanted, v->sockets - 1);
}

char *riscv_virt_id(const char *kind, unsigned socket)
{
    return socket ? g_strdup_printf("%s%u", kind, socket) : g_strdup(kind);
}

/* ---- The board ----------------------------------------------------------- */

static bool virt_present(const Machine *m, const MachineMap *row)
{
    const char *aia = machine_prop(m, "aia");
    bool wires = aia && strcmp(aia, "none") != 0;
    bool plic = g_str_has_prefix(row->id, "plic"), aplic = g_str_has_prefix(row->id, "aplic");
    if (g_str_has_prefix(row->id, "imsic"))
        return wires && strcmp(aia, "aplic-imsic") == 0;
    if (!plic && !aplic && !g_str_has_prefix(row->id, "clint"))
        return true;
    char digit = row->id[strlen(row->id) - 1];
    unsigned socket = g_ascii_isdigit(digit) ? (unsigned)(digit - '0') : 0;
    return socket < MAX(m->options->numa->count, 1u) && (plic ? !wires : aplic ? wires : true);
}

static bool set_clint(Machine *m, const RiscvVirt *v, unsigned socket, GError **error)
{
    bool aclint = machine_prop_on(m, "aclint");
    bool timer_only = aclint && v->aia == RISCV_AIA_IMSIC;
    g_autofree char *id = riscv_virt_id("clint", socket);
    Device *clint = machine_device(m, id);
    if (aclint)
        device_place(clint, 2, machine_row(m, "sswi")->addr + 0x4000 * socket);
    if (timer_only)
        device_place(clint, 1, machine_row(m, "clint")->addr + 0x8000 * socket);
    return device_set_u64(clint, "harts", v->count[socket], error) &&
           device_set_u64(clint, "frequency", TIMEBASE_HZ, error) &&
           device_set(clint, "aclint", aclint ? "on" : "off", error) &&
           device_set(clint, "imsic", timer_only ? "on" : "off", error);
}

static bool set_socket(Machine *m, const RiscvVirt *v, unsigned socket, GError **error)
{
    g_autofree char *id = riscv_virt_id("plic", socket);
    Device *plic = machine_device(m, id);
    return set_clint(m, v, socket, error) &&
           (!plic || device_set_u64(plic, "contexts", 2 * v->count[socket], error));
}

/* A page for each hart, and at the supervisor's level one for each of its guests. */
static bool set_imsic(Machine *m, const RiscvVirt *v, const char *id, unsigned guest_bits,
                      GError **error)
{
    Device *dev = machine_device(m, id);
    if (!dev)
        return true;
    unsigned most = 0, hart_bits = 0;
    g_autoptr(GString) pages = g_string_new(NULL);
    for (unsigned s = 0; s < v->sockets; s++) {
        most = MAX(most, v->count[s]);
        g_string_append_printf(pages, "%s%u", s ? "," : "", v->count[s] << guest_bits);
    }
    while ((1u << hart_bits) < most)
        hart_bits++;
    return device_set_u64(dev, "guest-bits", guest_bits, error) &&
           device_set_u64(dev, "hart-bits", hart_bits, error) &&
           device_set_u64(dev, "groups", v->sockets, error) &&
           device_set(dev, "pages", pages->str, error);
}

static bool virt_build(Machine *m, GError **error)
{
    RiscvVirt v;
    if (!riscv_virt_read(m, &v, error))
        return false;
    fw_cfg_mmio_set_table(machine_device(m, "fw-cfg"), m->fw_cfg);
    for (unsigned s = 0; s < v.sockets; s++)
        if (!set_socket(m, &v, s, error))
            return false;
    return set_imsic(m, &v, "imsic-m", 0, error) &&
           set_imsic(m, &v, "imsic-s", v.guest_bits, error) && set_pcie(m, error) &&
           set_power_node(m, "poweroff", false, FINISHER_PASS, error) &&
           set_power_node(m, "reboot", true, FINISHER_RESET, error);
}

static void wire_socket(Machine *m, const RiscvVirt *v, unsigned socket)
{
    g_autofree char *plic_id = riscv_virt_id("plic", socket);
    g_autofree char *clint_id = riscv_virt_id("clint", socket);
    Device *plic = machine_device(m, plic_id), *clint = machine_device(m, clint_id);
    for (unsigned i = 0; i < v->count[socket]; i++) {
        unsigned h = v->first[socket] + i;
        device_connect(clint, 3 * i + 0, machine_cpu_line(m, h, MACHINE_RISCV_MSOFT));
        device_connect(clint, 3 * i + 1, machine_cpu_line(m, h, MACHINE_RISCV_MTIMER));
        device_connect(clint, 3 * i + 2, machine_cpu_line(m, h, MACHINE_RISCV_SSWI));
        device_connect(plic, 2 * i + 0, machine_cpu_line(m, h, MACHINE_RISCV_MEXT));
        device_connect(plic, 2 * i + 1, machine_cpu_line(m, h, MACHINE_RISCV_SEXT));
    }
}

static bool virt_wire(Machine *m, GError **error)
{
    const MachineMap *mrom = machine_row(m, "mrom");
    RiscvVirt v;
    if (!riscv_virt_read(m, &v, error))
        return false;
    if (v.aia != RISCV_AIA_NONE)
        return fail(error, "machine 'virt' with aia=%s can be described by dtbgen, but does not run yet",
                    aia_names[v.aia]);
    if (!bus_ram_new(m->space, "ram", m->type->ram_base, m->options->ram_size, 0, 0, error) ||
        !bus_ram_new(m->space, "mrom", mrom->addr, mrom->size, BUS_RAM_ROM, 0, error))
        return false;
    for (unsigned s = 0; s < v.sockets; s++)
        wire_socket(m, &v, s);
    for (guint i = 0; i < m->devices->len; i++) {
        const MachineDevice *md = &g_array_index(m->devices, MachineDevice, i);
        g_autofree char *id = riscv_virt_id("plic", riscv_virt_socket(&v, md->row));
        machine_connect_irq(md, machine_device(m, id));
    }
    return true;
}

static bool virt_place(Machine *m, const MachineBoot *boot, GBytes *fdt, MachineEntry *entry,
                       GError **error)
{
    return riscv_boot_place(m, boot, fdt, machine_row(m, "mrom")->addr, entry, error);
}

/* Equal shares of the CPUs that are there; what is left over belongs to the last. */
static unsigned virt_cpu_node(const MachineOptions *o, unsigned cpu)
{
    unsigned share = MAX(o->smp.cpus / o->numa->count, 1u);
    return MIN(cpu / share, o->numa->count - 1);
}

static const char *const virt_isas[] = {"riscv64", NULL};

static const MachineProp virt_props[] = {
    {.name = "aclint", .is_bool = true, .def = "off",
     .help = "ACLINT devices in place of a CLINT, with supervisor software interrupts"},
    {.name = "aia", .def = "none",
     .help = "Advanced Interrupt Architecture: none, aplic or aplic-imsic (described, does not run)"},
    {.name = "aia-guests", .def = "0", .help = "guests of a hart with interrupt files, 0 to 7"},
    {.name = "dtb-randomness", .is_bool = true, .def = "on", .help = "random seeds in the tree"},
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
    .numa = true,
    .numa_mem_before = UINT_MAX,
    .cpu_node = virt_cpu_node,
    .present = virt_present,
    .build = virt_build,
    .wire = virt_wire,
    .fdt = riscv_virt_fdt,
    .layout = riscv_boot_layout,
    .place = virt_place,
};
