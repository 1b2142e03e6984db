/* SPDX-License-Identifier: MIT */
/*
 * Arm "virt", a description: the memory map that QEMU's board of that name has, what its versions
 * differ in, and what its properties mean. What lies above RAM moves with RAM's size, and is there only
 * where the CPU's physical addresses reach.
 */
#include "machines/arm_virt_priv.h"

#include "base/bits.h"
#include "base/error.h"

#include <inttypes.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define RAM_BASE 0x40000000
/* Boards with less memory than this have their high regions where they always were. */
#define HIGH_FLOOR (256 * GIB)
#define MAX_CPUS 512
#define MAX_CPUS_OF_OLD 255 /* before virt-3.0 */
#define GICV2_CPUS 8
#define REDIST_CPUS 123 /* that the first region of redistributors has room for */

#define VIRTIO(n)                                                                                  \
    {                                                                                              \
        .id = "virtio" #n, .device = "virtio-mmio", .addr = 0xa000000 + 0x200 * (n),               \
        .size = 0x200, .irq = 16 + (n)                                                             \
    }

/* irq is that of a shared interrupt (SPI); PPIs are in the code. */
static const MachineMap virt_map[] = {
    {.id = "gic", .device = "arm_gic", .region = 0, .addr = 0x8000000, .size = 0x10000},
    {.id = "gic", .device = "arm_gic", .region = 1, .addr = 0x8010000, .size = 0x10000},
    {.id = "v2m", .device = "arm-gicv2m", .addr = 0x8020000, .size = 0x1000},
    {.id = "gicv3", .device = "arm-gicv3", .region = 0, .addr = 0x8000000, .size = 0x10000},
    {.id = "gicv3", .device = "arm-gicv3", .region = 1, .addr = 0x80a0000, .size = 0xf60000},
    {.id = "its", .device = "arm-gicv3-its", .addr = 0x8080000, .size = 0x20000},
    {.id = "uart0", .device = "pl011", .addr = 0x9000000, .size = 0x1000, .irq = 1},
    {.id = "rtc", .device = "pl031", .addr = 0x9010000, .size = 0x1000, .irq = 2},
    {.id = "fw-cfg", .device = "fw-cfg-mmio", .addr = 0x9020000, .size = 0x18},
    {.id = "gpio", .device = "pl061", .addr = 0x9030000, .size = 0x1000, .irq = 7},
    {.id = "secure-uart", .device = "pl011", .addr = 0x9040000, .size = 0x1000, .irq = 8},
    {.id = "smmu", .device = "arm-smmuv3", .addr = 0x9050000, .size = 0x20000, .irq = 74, .irqs = 4},
    {.id = "secure-gpio", .device = "pl061", .addr = 0x90b0000, .size = 0x1000},
    VIRTIO(0), VIRTIO(1), VIRTIO(2), VIRTIO(3),
    VIRTIO(4), VIRTIO(5), VIRTIO(6), VIRTIO(7),
    VIRTIO(8), VIRTIO(9), VIRTIO(10), VIRTIO(11),
    VIRTIO(12), VIRTIO(13), VIRTIO(14), VIRTIO(15),
    VIRTIO(16), VIRTIO(17), VIRTIO(18), VIRTIO(19),
    VIRTIO(20), VIRTIO(21), VIRTIO(22), VIRTIO(23),
    VIRTIO(24), VIRTIO(25), VIRTIO(26), VIRTIO(27),
    VIRTIO(28), VIRTIO(29), VIRTIO(30), VIRTIO(31),
    {.id = "platform-bus", .device = "platform-bus-device", .addr = 0xc000000, .size = 0x2000000},
    {.id = "pcie", .device = "gpex-pcihost", .addr = 0x3f000000, .size = 0x1000000, .irq = 3,
     .irqs = 4},
    {.id = "dimm", .device = "dimm-slots"},
    {.id = "pflash0", .device = "cfi.pflash01", .addr = 0x0, .size = 0x4000000},
    {.id = "pflash1", .device = "cfi.pflash01", .addr = 0x4000000, .size = 0x4000000},
    /* Not devices, or seen in ACPI's tables only. */
    {.id = "gic-hypervisor", .addr = 0x8030000, .size = 0x10000},
    {.id = "gic-virtual-cpu", .addr = 0x8040000, .size = 0x10000},
    {.id = "pcdimm-acpi", .addr = 0x9070000, .size = 0x18},
    {.id = "acpi-ged", .addr = 0x9080000, .size = 0x4, .irq = 9},
    {.id = "nvdimm-acpi", .addr = 0x9090000, .size = 0x4},
    {.id = "pvtime", .addr = 0x90a0000, .size = 0x10000},
    {.id = "secure-memory", .addr = 0xe000000, .size = 0x1000000},
    {.id = "pcie-mmio", .addr = 0x10000000, .size = 0x2eff0000},
    {.id = "pcie-pio", .addr = 0x3eff0000, .size = 0x10000},
    {.id = "dram", .addr = RAM_BASE},
    {.id = NULL},
};

/* ---- What options mean ----------------------------------------------------------------- */

static bool one_of(const Machine *m, const char *name, const char *const *values, const char *text,
                   GError **error)
{
    const char *value = machine_prop(m, name);
    return g_strv_contains(values, value) ||
           fail_usage(error, "Invalid %s value '%s': valid values are %s", name, value, text);
}

static bool read_gic(const Machine *m, ArmVirt *v, GError **error)
{
    static const char *const values[] = {"2", "3", "4", "max", "host", NULL};
    const char *value = machine_prop(m, "gic-version");
    unsigned cpus = m->options->smp.maxcpus;
    if (v->version < 300 && cpus > MAX_CPUS_OF_OLD)
        return fail_usage(error,
                          "Invalid SMP CPUs %u. The max CPUs supported by machine '%s' is %d", cpus,
                          machine_options_name(m->options), MAX_CPUS_OF_OLD);
    if (!one_of(m, "gic-version", values, "2, 3, 4, host, max", error))
        return false;
    if (strcmp(value, "host") == 0)
        return fail_usage(error, "gic-version=host requires KVM");
    if (strcmp(value, "4") == 0)
        return fail_usage(error, "gic-version=4 is not there: use 3");
    v->gic = strcmp(value, "2") == 0 ? 2 : 3;
    if (v->gic == 2 && cpus > GICV2_CPUS)
        return fail_usage(error,
                          "Number of SMP CPUs requested (%u) exceeds max CPUs supported by machine "
                          "'mach-virt' (%d): gic-version=3 takes more",
                          cpus, GICV2_CPUS);
    /* The translated machine of old had none. */
    v->its = v->gic == 3 && machine_prop_on(m, "its") && v->version >= 602;
    v->cluster = v->gic == 3 && v->version >= 207 ? 16 : 8;
    return true;
}

/* A region above RAM, at a multiple of its size; false if addresses do not reach. */
static bool high_region(uint64_t *base, uint64_t size, bool wanted, bool compact,
                        unsigned bits, uint64_t *at)
{
    uint64_t start = align_up(*base, size);
    bool fits = bits >= 64 || start + size <= UINT64_C(1) << bits;
    bool there = wanted && fits;
    if (there || !compact)
        *base = start + size;
    *at = there ? start : 0;
    return there;
}

static bool read_memory(const Machine *m, ArmVirt *v, GError **error)
{
    const MachineOptions *o = m->options;
    unsigned bits = machine_prop_on(m, "highmem") ? v->cpu.address_bits : 32;
    bool compact = machine_prop_on(m, "compact-highmem");
    uint64_t added = o->ram_max - o->ram_size + o->ram_slots * GIB;
    v->device_memory_base = align_up(RAM_BASE + o->ram_size, GIB);
    v->device_memory_size = added;
    uint64_t end = added ? v->device_memory_base + align_up(added, GIB) : RAM_BASE + o->ram_size;
    if (end > UINT64_C(1) << bits)
        return fail_usage(error,
                          "Addressing limited to %u bits, but memory exceeds it by %" PRIu64 " bytes",
                          bits, end - (UINT64_C(1) << bits));
    uint64_t base = MAX(HIGH_FLOOR, v->device_memory_base + align_up(added, GIB));
    bool redist = high_region(&base, 64 * MIB, machine_prop_on(m, "highmem-redists"), compact,
                              bits, &v->redist2_base);
    bool ecam = high_region(&base, 256 * MIB,
                            machine_prop_on(m, "highmem-ecam") && v->version >= 300 &&
                                (!o->firmware || strcmp(o->isa, "aarch64") == 0),
                            compact, bits, &v->ecam_base);
    v->ecam_size = 256 * MIB;
    if (!ecam) {
        v->ecam_base = machine_row(m, "pcie")->addr;
        v->ecam_size = machine_row(m, "pcie")->size;
    }
    if (high_region(&base, 512 * GIB, machine_prop_on(m, "highmem-mmio"), compact, bits,
                    &v->high_mmio_base))
        v->high_mmio_size = 512 * GIB;
    v->second_redist = v->gic == 3 && o->smp.maxcpus > REDIST_CPUS;
    if (v->second_redist && !redist)
        return fail_usage(error,
                          "Capacity of the redist regions(%d) does not match the number of vcpus(%u)",
                          REDIST_CPUS, o->smp.maxcpus);
    return true;
}

static bool read_switches(const Machine *m, ArmVirt *v, GError **error)
{
    static const char *const iommus[] = {"none", "smmuv3", NULL};
    static const char *const acpis[] = {"on", "off", "auto", NULL};
    if (!one_of(m, "iommu", iommus, "none, smmuv3", error) ||
        !one_of(m, "acpi", acpis, "on, off, auto", error))
        return false;
    v->secure = machine_prop_on(m, "secure");
    v->virtualization = machine_prop_on(m, "virtualization");
    v->iommu = strcmp(machine_prop(m, "iommu"), "smmuv3") == 0;
    v->acpi = strcmp(machine_prop(m, "acpi"), "off") != 0;
    v->ras = machine_prop_on(m, "ras");
    v->mte = machine_prop_on(m, "mte");
    if (v->mte && !v->cpu.mte)
        return fail_usage(error, "MTE requested, but not supported by the guest CPU");
    v->topology = v->version >= 602;
    return true;
}

bool arm_virt_read(const Machine *m, ArmVirt *v, GError **error)
{
    bool is64 = strcmp(m->options->isa, "aarch64") == 0;
    *v = (ArmVirt){.version = machine_version(m)};
    v->ged = m->options->firmware && is64 && v->version >= 402 && strcmp(machine_prop(m, "acpi"), "off") != 0;
    return arm_cpu_parse(m->cpus.model, is64, v->version, &v->cpu, error) &&
           read_gic(m, v, error) && read_switches(m, v, error) && read_memory(m, v, error);
}

uint64_t arm_virt_mpidr(const ArmVirt *v, unsigned n)
{
    return (uint64_t)(n / v->cluster) << 8 | n % v->cluster;
}

/* ---- The board --------------------------------------------------------------------------- */

static bool virt_present(const Machine *m, const MachineMap *row)
{
    const char *gic = machine_prop(m, "gic-version");
    bool v2 = !gic || strcmp(gic, "2") == 0;
    if (!strcmp(row->id, "gic") || !strcmp(row->id, "v2m"))
        return v2;
    if (!strcmp(row->id, "gicv3"))
        return !v2;
    if (!strcmp(row->id, "its"))
        return !v2 && machine_prop_on(m, "its") && machine_version(m) >= 602;
    if (!strcmp(row->id, "smmu"))
        return strcmp(machine_prop(m, "iommu"), "smmuv3") == 0;
    if (!strcmp(row->id, "secure-uart"))
        return machine_prop_on(m, "secure");
    if (!strcmp(row->id, "secure-gpio"))
        return machine_prop_on(m, "secure") && machine_version(m) >= 600;
    return true;
}

static bool set_pcie(Machine *m, const ArmVirt *v, GError **error)
{
    const MachineMap *pio = machine_row(m, "pcie-pio"), *mmio = machine_row(m, "pcie-mmio");
    Device *dev = machine_device(m, "pcie");
    device_place(dev, 0, v->ecam_base);
    return device_set_u64(dev, "pio_base", pio->addr, error) &&
           device_set_u64(dev, "pio_size", pio->size, error) &&
           device_set_u64(dev, "mmio_base", mmio->addr, error) &&
           device_set_u64(dev, "mmio_size", mmio->size, error) &&
           device_set_u64(dev, "mmio64_base", v->high_mmio_base, error) &&
           device_set_u64(dev, "mmio64_size", v->high_mmio_size, error);
}

static bool virt_build(Machine *m, GError **error)
{
    ArmVirt v;
    if (!arm_virt_read(m, &v, error) || !set_pcie(m, &v, error))
        return false;
    fw_cfg_mmio_set_table(machine_device(m, "fw-cfg"), m->fw_cfg);
    Device *gic = machine_device(m, v.gic == 2 ? "gic" : "gicv3");
    if (v.gic == 2 && v.virtualization) {
        device_place(gic, 2, machine_row(m, "gic-hypervisor")->addr);
        device_place(gic, 3, machine_row(m, "gic-virtual-cpu")->addr);
    }
    if (v.second_redist) {
        device_place(gic, 2, v.redist2_base);
        return device_set_u64(gic, "redist-region-size", 64 * MIB, error);
    }
    return true;
}

/* Where a kernel goes from the start of RAM (Linux, arm64/booting), and the initial RAM disk
   behind it. */
static bool virt_layout(const Machine *m, const MachineBoot *boot, MachineEntry *entry,
                        GError **error)
{
    uint64_t base = m->type->ram_base, size = m->options->ram_size;
    if (boot->kernel) {
        const LoadImage *k = boot->kernel;
        bool is64 = strcmp(m->options->isa, "aarch64") == 0;
        uint64_t offset = is64 ? 0x80000 : 0x10000;
        if (k->id.kind == LOAD_IMAGE_ARM64) /* not over what the loader itself needs */
            offset = k->offset < 0x1000 ? k->offset + 2 * MIB : k->offset;
        uint64_t lowest = UINT64_MAX;
        for (size_t i = 0; i < k->count; i++)
            lowest = MIN(lowest, k->segments[i].addr);
        entry->has_kernel = true;
        entry->kernel_base = k->placed ? lowest : base + offset;
        entry->kernel_end = entry->kernel_base + k->mem_size;
        entry->kernel_entry = k->placed ? k->entry : entry->kernel_base + k->entry;
    }
    if (boot->initrd) {
        uint64_t start = MAX(base + MIN(size / 2, 128 * MIB), entry->kernel_end);
        entry->initrd_start = align_up(start, 4096);
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

static void virt_cpu_ids(const MachineOptions *o, unsigned cpu, MachineCpuIds *ids)
{
    const MachineSmp *s = &o->smp;
    ids->thread = (int)(cpu % s->threads);
    ids->core = (int)(cpu / s->threads % s->cores);
    ids->cluster = (int)(cpu / (s->threads * s->cores) % s->clusters);
    ids->socket = (int)(cpu / (s->threads * s->cores * s->clusters) % s->sockets);
}

/* CPUs of a socket stay together. */
static unsigned virt_cpu_node(const MachineOptions *o, unsigned cpu)
{
    MachineCpuIds ids;
    virt_cpu_ids(o, cpu, &ids);
    return (unsigned)ids.socket % o->numa->count;
}

#define SWITCH(n, d, h)                                                                            \
    {                                                                                              \
        .name = n, .is_bool = true, .def = d, .help = h                                            \
    }

static const MachineProp virt_props[] = {
    {.name = "gic-version", .def = "2", .help = "interrupt controller: 2, 3, or max"},
    SWITCH("its", "on", "interrupt translation service of a GICv3"),
    SWITCH("secure", "off", "devices of the secure world, CPUs with EL3"),
    SWITCH("virtualization", "off", "CPUs with EL2"),
    {.name = "iommu", .def = "none", .help = "in front of PCI: none or smmuv3"},
    SWITCH("highmem", "on", "physical addresses above 4 GiB"),
    SWITCH("highmem-redists", "on", "a second region of redistributors, for over 123 CPUs"),
    SWITCH("highmem-ecam", "on", "256 PCI buses, configured above 4 GiB"),
    SWITCH("highmem-mmio", "on", "PCI memory above 4 GiB"),
    SWITCH("compact-highmem", "off", "high regions that are not there leave no gap"),
    SWITCH("dtb-kaslr-seed", "on", "random seeds in the tree"),
    SWITCH("dtb-randomness", "on", "the same"),
    SWITCH("ras", "off", "memory errors are told to the guest by ACPI"),
    SWITCH("mte", "off", "memory tags"),
    {.name = "acpi", .def = "auto", .help = "ACPI tables: on, off or auto"},
    SWITCH("default-bus-bypass-iommu", "off", "the root bus is not behind the IOMMU"),
    {.name = "x-oem-id", .def = "BOCHS ", .help = "OEM id of ACPI tables, up to 6 characters"},
    {.name = "x-oem-table-id", .def = "BXPC    ", .help = "OEM table id of ACPI tables, up to 8 characters"},
    SWITCH("nvdimm", "off", "memory modules that keep their contents"),
    {.name = "nvdimm-persistence", .help = "what a power loss leaves: cpu or mem-ctrl"},
    {.name = "pflash0", .help = "node of -blockdev with the contents of the first flash"},
    {.name = "pflash1", .help = "node of -blockdev with the contents of the second flash"},
    {.name = NULL},
};

static const char *const virt_isas[] = {"aarch64", "arm", NULL};

static const char *const virt_versions[] = {
    "virt-7.0",  "virt-6.2",  "virt-6.1",  "virt-6.0", "virt-5.2", "virt-5.1", "virt-5.0",
    "virt-4.2",  "virt-4.1",  "virt-4.0",  "virt-3.1", "virt-3.0", "virt-2.12", "virt-2.11",
    "virt-2.10", "virt-2.9",  "virt-2.8",  "virt-2.7", "virt-2.6", NULL,
};

const MachineType arm_virt_type = {
    .name = "virt",
    .summary = "Arm VirtIO board",
    .isas = virt_isas,
    .versions = virt_versions,
    .props = virt_props,
    .map = virt_map,
    .max_cpus = MAX_CPUS,
    .ram_base = RAM_BASE,
    .ram_min = 8192,
    .ram_limit = (UINT64_C(1) << 52) - RAM_BASE,
    .ram_default = 128 * MIB,
    .description = true,
    .clusters = true,
    .sockets_before = 602,
    .numa = true,
    .numa_for_slots = 402,
    .numa_mem_before = 501,
    .cpu_node = virt_cpu_node,
    .cpu_ids = virt_cpu_ids,
    .present = virt_present,
    .build = virt_build,
    .fdt = arm_virt_fdt,
    .acpi = arm_virt_acpi,
    .smbios = arm_virt_smbios,
    .layout = virt_layout,
};
