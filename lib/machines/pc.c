/* SPDX-License-Identifier: MIT */
/*
 * The PC boards as descriptions: "q35" (Q35 with ICH9) and "pc" (440FX with PIIX). What firmware sets up
 * before it reads the tables is taken as it leaves it: power management's ports at 0x600 and, on q35,
 * the ECAM window at 0xb0000000.
 */
#include "machines/pc_priv.h"

#include "base/error.h"
#include "base/size.h"

#include <inttypes.h>
#include <string.h>

extern const MachineType q35_type;

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define TIB (UINT64_C(1) << 40)

#define PC_COMMON_ROWS                                                                             \
    {.id = "fw-cfg", .device = "fw_cfg_io"},                                                       \
        {.id = "hpet", .device = "hpet", .addr = 0xfed00000, .size = 0x400},                       \
        {.id = "system", .device = "system-bus"}, {.id = "dimm", .device = "dimm-slots"},          \
        {.id = "i8042", .device = "i8042"}, {.id = "rtc", .device = "mc146818rtc"},                \
    {                                                                                              \
        .id = NULL                                                                                 \
    }

static const MachineMap q35_map[] = {
    {.id = "host", .device = "q35-pcihost"},
    {.id = "mch", .device = "mch"},
    {.id = "isa", .device = "ICH9-LPC"},
    {.id = "sata", .device = "ich9-ahci"},
    {.id = "smbus", .device = "ICH9-SMB"},
    PC_COMMON_ROWS,
};

static const MachineMap i440fx_map[] = {
    {.id = "host", .device = "i440FX-pcihost"},
    {.id = "mch", .device = "i440FX"},
    {.id = "isa", .device = "PIIX3"},
    {.id = "ide", .device = "piix3-ide"},
    {.id = "pm", .device = "PIIX4_PM"},
    PC_COMMON_ROWS,
};

static bool is_q35(const Machine *m)
{
    return m->type == &q35_type;
}

/* ---- Building ---------------------------------------------------------------------------------- */

/* A function of the board's onto the root bus. */
static bool plug_function(Machine *m, const char *id, const char *addr, GError **error)
{
    Device *host = machine_device(m, "host"), *dev = machine_device(m, id);
    DevicePci *pci = dev->type->pci(dev);
    char *given = pci->addr;
    bool shared = pci->multifunction;
    pci->addr = (char *)addr;
    pci->multifunction = true;
    bool good = host->type->plug(host, dev, error);
    pci->addr = given;
    pci->multifunction = shared;
    dev->bus = host;
    return good;
}

static bool plug_board(Machine *m, GError **error)
{
    static const struct {
        bool q35;
        const char *id, *addr;
    } places[] = {
        {true, "mch", "0"},     {true, "isa", "1f"},     {true, "sata", "1f.2"},
        {true, "smbus", "1f.3"}, {false, "mch", "0"},    {false, "isa", "1"},
        {false, "ide", "1.1"},  {false, "pm", "1.3"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        if (places[i].q35 != is_q35(m) || (!strcmp(places[i].id, "sata") && !machine_prop_on(m, "sata")) ||
            (!strcmp(places[i].id, "smbus") && !machine_prop_on(m, "smbus")))
            continue;
        if (!plug_function(m, places[i].id, places[i].addr, error))
            return false;
    }
    machine_device(m, "i8042")->bus = machine_device(m, "rtc")->bus = machine_device(m, "isa");
    return true;
}

/* max-ram-below-4g=, or what the board has. */
static bool max_below_4g(const Machine *m, uint64_t *limit, GError **error)
{
    const char *text = machine_prop(m, "max-ram-below-4g");
    if (!text)
        return true;
    if (!size_parse(text, limit, NULL))
        return fail_usage(error, "Parameter 'max-ram-below-4g' expects a size: '%s'", text);
    if (*limit > 4 * GIB)
        return fail_usage(error,
                          "Machine option 'max-ram-below-4g=%" PRIu64 "' expects size less than or equal to 4G",
                          *limit);
    if (*limit < MIB)
        return fail_usage(error, "Machine option 'max-ram-below-4g=%" PRIu64 "' is too small (at least 1M)",
                          *limit);
    return true;
}

/* Q35 leaves a round 2 GiB where RAM does not fit below its ECAM window; 440FX 3 GiB. */
static bool memory_of(const Machine *m, X86Memory *mem, GError **error)
{
    uint64_t given = 0;
    if (!max_below_4g(m, &given, error))
        return false;
    if (is_q35(m)) {
        uint64_t low = m->options->ram_size >= 0xb0000000 ? 0x80000000 : 0xb0000000;
        if (given)
            low = MIN(low, given);
        x86_memory(m, low, low, machine_version(m) < 211 ? 0 : 32 * GIB, mem);
    } else {
        uint64_t split = given ? given : 0xe0000000;
        x86_memory(m, split, MIN(split, 0xc0000000), machine_version(m) < 211 ? 0 : 2 * GIB, mem);
    }
    return true;
}

static bool pc_build(Machine *m, GError **error)
{
    X86Memory mem;
    uint64_t id;
    if (is_q35(m) && machine_version(m) < 601 &&
        !device_set(machine_device(m, "isa"), "acpi-pci-hotplug-with-bridge-support", "off", error))
        return false;
    return machine_acpi_props(m, error) && memory_of(m, &mem, error) &&
           x86_processor_id(m, &id, error) && plug_board(m, error);
}

/* ---- Tables -------------------------------------------------------------------------------------- */

static AcpiTables *pc_tables(Machine *m, GError **error)
{
    bool q35 = is_q35(m);
    Pc pc = {
        .m = m,
        .q35 = q35,
        .power = &((const IsaBridge *)machine_device(m, q35 ? "isa" : "pm"))->power,
        .mcfg = 0xb0000000,
        .gpe0 = q35 ? PC_PM_BASE + 0x20 : 0xafe0,
        .gpe0_len = q35 ? 16 : 4,
        .pci_hotplug = q35 ? 0xcc0 : 0xae00,
        .cpu_hotplug = q35 ? 0xcd8 : 0xaf00,
    };
    pc.bridge_hotplug = pc.power->bridge_hotplug;
    pc.root_hotplug = !q35 && pc.power->root_hotplug;
    if (!memory_of(m, &pc.mem, error) || !machine_number_ports(m, error) || !(pc.dimms = machine_dimms(m, pc.mem.device_base, pc.mem.device_size, error)))
        return NULL;
    AcpiTables *s = pc_acpi(&pc, error);
    g_array_unref(pc.dimms);
    return s;
}

static bool pc_smbios(Machine *m, SmbiosMachine *s, SmbiosRange *ranges, GError **error)
{
    X86Memory mem;
    s->product = is_q35(m) ? "Standard PC (Q35 + ICH9, 2009)" : "Standard PC (i440FX + PIIX, 1996)";
    return memory_of(m, &mem, error) && x86_smbios(m, &mem, s, ranges, error);
}

static const char *const x86_isas[] = {"x86_64", NULL};

static const char *const q35_versions[] = {
    "pc-q35-7.0", "pc-q35-6.2", "pc-q35-6.1", "pc-q35-6.0", "pc-q35-5.2", "pc-q35-5.1", "pc-q35-5.0",
    "pc-q35-4.2", "pc-q35-4.1", "pc-q35-4.0", "pc-q35-3.1", "pc-q35-3.0", "pc-q35-2.12", "pc-q35-2.11",
    "pc-q35-2.10", "pc-q35-2.9", "pc-q35-2.8", NULL};

static const char *const i440fx_versions[] = {
    "pc-i440fx-7.0", "pc-i440fx-6.2", "pc-i440fx-6.1", "pc-i440fx-6.0", "pc-i440fx-5.2", "pc-i440fx-5.1",
    "pc-i440fx-5.0", "pc-i440fx-4.2", "pc-i440fx-4.1", "pc-i440fx-4.0", "pc-i440fx-3.1", "pc-i440fx-3.0",
    "pc-i440fx-2.12", "pc-i440fx-2.11", "pc-i440fx-2.10", "pc-i440fx-2.9", "pc-i440fx-2.8", NULL};

static const MachineProp pc_props[] = {
    MACHINE_ACPI_PROPS,
    {.name = "acpi", .def = "auto", .help = "ACPI tables (on, off, auto)"},
    {.name = "i8042", .is_bool = true, .def = "on", .help = "keyboard controller"},
    {.name = "hpet", .is_bool = true, .def = "on", .help = "high precision event timer"},
    {.name = "sata", .is_bool = true, .def = "on", .help = "AHCI controller of q35"},
    {.name = "smbus", .is_bool = true, .def = "on", .help = "system management bus"},
    {.name = "nvdimm", .is_bool = true, .def = "off", .help = "memory modules that keep their contents"},
    {.name = "nvdimm-persistence", .help = "what a power loss leaves: cpu or mem-ctrl"},
    {.name = "max-ram-below-4g", .help = "the most RAM below 4 GiB"},
    /* what makes no difference to tables */
    {.name = "vmport", .def = "auto", .help = "VMware's port (no difference here)"},
    {.name = "usb", .is_bool = true, .def = "off", .help = "USB controller (no difference here)"},
    {.name = "smm", .def = "auto", .help = "system management mode (no difference here)"},
    {.name = "pit", .is_bool = true, .def = "on", .help = "interval timer (no difference here)"},
    {.name = "pic", .is_bool = true, .def = "on", .help = "interrupt controller (no difference here)"},
    {.name = "graphics", .is_bool = true, .def = "on", .help = "graphics (no difference here)"},
    {.name = "kernel-irqchip", .help = "interrupt controllers of KVM (no difference here)"},
    {.name = "dump-guest-core", .is_bool = true, .def = "on", .help = "no difference here"},
    {.name = "mem-merge", .is_bool = true, .def = "on", .help = "no difference here"},
    {.name = "default-bus-bypass-iommu", .is_bool = true, .def = "off", .help = "no difference here"},
    {.name = "pflash0", .help = "flash (no difference here)"},
    {.name = "pflash1", .help = "flash (no difference here)"},
    {.name = NULL},
};

#define PC_TYPE                                                                                    \
    .isas = x86_isas, .props = pc_props, .ram_min = MIB, .ram_limit = 64 * TIB,                    \
    .ram_default = 128 * MIB, .description = true, .dies = true, .sockets_before = 602,            \
    .numa = true, .numa_mem_before = 501, .cpu_node = x86_cpu_node, .cpu_ids = x86_cpu_ids,        \
    .build = pc_build, .acpi = pc_tables, .smbios = pc_smbios, .default_vga = "VGA",               \
    .default_serials = 1, .default_parallels = 1

const MachineType q35_type = {
    .name = "q35",
    .summary = "Standard PC (Q35 + ICH9, 2009)",
    .versions = q35_versions,
    .map = q35_map,
    .max_cpus = 288,
    .default_nic = "e1000e",
    PC_TYPE,
};

const MachineType i440fx_type = {
    .name = "pc",
    .summary = "Standard PC (i440FX + PIIX, 1996)",
    .versions = i440fx_versions,
    .map = i440fx_map,
    .max_cpus = 255,
    .is_default = true,
    .default_nic = "e1000",
    .default_floppy = "isa-fdc,fdtypeA=auto",
    PC_TYPE,
};
