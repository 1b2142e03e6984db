/* SPDX-License-Identifier: MIT */
/* The small board of x86, as a description: virtio slots in memory, and PCI Express where it is wanted.
   ACPI with reduced hardware. */
#include "machines/reduced.h"
#include "machines/x86.h"

#include "base/error.h"

#include <inttypes.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)
#define TIB (UINT64_C(1) << 40)

enum { GED_BASE = 0xfea00000, GED_IRQ = 9, SLEEP_AT = 0x200, RESET_AT = 0x202, RESET_VALUE = 0x42 };
enum { XHCI_BASE = 0xfe900000, XHCI_SIZE = 0x4000, XHCI_IRQ = 10, PCI_IRQ = 16 };
enum { SLOTS = 24, SLOT_SIZE = 0x200, SLOTS_ONE_APIC = 8, SLOT_IRQ = 24, SLOT_IRQ_ONE_APIC = 16 };

#define SLOT(n)                                                                                    \
    {                                                                                              \
        .id = "virtio" #n, .device = "virtio-mmio", .addr = 0xfeb00000 + n * SLOT_SIZE,            \
        .size = SLOT_SIZE                                                                          \
    }

static const MachineMap microvm_map[] = {
    {.id = "fw-cfg", .device = "fw_cfg_io"},
    {.id = "rtc", .device = "mc146818rtc"},
    {.id = "isa", .device = "isa-bus"},
    SLOT(0),  SLOT(1),  SLOT(2),  SLOT(3),  SLOT(4),  SLOT(5),  SLOT(6),  SLOT(7),
    SLOT(8),  SLOT(9),  SLOT(10), SLOT(11), SLOT(12), SLOT(13), SLOT(14), SLOT(15),
    SLOT(16), SLOT(17), SLOT(18), SLOT(19), SLOT(20), SLOT(21), SLOT(22), SLOT(23),
    {.id = "pcie", .device = "q35-pcihost"},
    {.id = NULL},
};

/* A property of on, off and auto, which is on; or, for what the board does without, off. */
static bool wanted(const Machine *m, const char *name)
{
    const char *value = machine_prop(m, name);
    return value && strcmp(value, "off") != 0 && strcmp(value, "no") != 0 && strcmp(value, "false") != 0;
}

static bool two_apics(const Machine *m)
{
    return wanted(m, "ioapic2");
}

static unsigned slot_count(const Machine *m)
{
    return two_apics(m) ? SLOTS : SLOTS_ONE_APIC;
}

/* Slots need lines of the second controller. */
static bool microvm_present(const Machine *m, const MachineMap *row)
{
    if (g_str_has_prefix(row->id, "virtio"))
        return g_ascii_strtoull(row->id + strlen("virtio"), NULL, 10) < slot_count(m);
    return strcmp(row->id, "pcie") != 0 || wanted(m, "pcie");
}

static bool microvm_build(Machine *m, GError **error)
{
    uint64_t id;
    static const char *const autos[] = {"on", "off", "auto", "yes", "no", "true", "false", NULL};
    static const char *const names[] = {"acpi", "ioapic2", "pcie", "rtc", "pic", "pit", "smm", NULL};
    for (const char *const *name = names; *name; name++)
        if (!g_strv_contains(autos, machine_prop(m, *name)))
            return fail_usage(error, "Parameter '%s' does not accept value '%s'", *name, machine_prop(m, *name));
    return machine_acpi_props(m, error) && x86_processor_id(m, &id, error);
}

/* ---- Tables ---------------------------------------------------------------------------------- */

static void add_slots(const Machine *m, Aml *a)
{
    for (unsigned i = 0; i < slot_count(m); i++) {
        g_autofree char *id = g_strdup_printf("virtio%u", i);
        const Device *dev = machine_device(m, id);
        uint32_t irq = (two_apics(m) ? SLOT_IRQ : SLOT_IRQ_ONE_APIC) + i;
        const DeviceAcpi ctx = {.aml = a, .path = "\\_SB", .number = i, .interrupts = &irq, .interrupt_count = 1};
        if (dev->type->plugged(dev))
            device_acpi(dev, &ctx);
    }
}

static void add_xhci(Aml *a)
{
    static const uint32_t irq = XHCI_IRQ;
    aml_device(a, "XHCI");
    aml_name_eisaid(a, "_HID", "PNP0D10");
    aml_resources(a, "_CRS");
    aml_memory32(a, true, XHCI_BASE, XHCI_SIZE);
    aml_interrupts(a, 0, &irq, 1);
    aml_end(a);
    aml_end(a);
}

/* The last quarter of the addresses that CPUs have. */
static const ReducedPci pci_windows = {
    .ecam = 0xe0000000, .ecam_size = 0x10000000, .mmio32 = 0xc0000000, .mmio32_size = 0x20000000,
    .mmio64 = 3 * TIB / 4, .mmio64_size = TIB / 4, .irq = PCI_IRQ, .last_bus = 255,
};

static AcpiTable *dsdt(const Machine *m, GError **error)
{
    Aml *a = aml_new();
    const DeviceAcpi ctx = {.aml = a, .path = "\\_SB"};
    aml_scope(a, "\\_SB");
    device_acpi(machine_device(m, "fw-cfg"), &ctx);
    for (guint i = 0; i < m->added->len; i++) {
        const Device *dev = g_ptr_array_index(m->added, i);
        if (dev->bus == machine_device(m, "isa") && machine_prop_on(m, "isa-serial"))
            device_acpi(dev, &ctx);
    }
    if (wanted(m, "rtc"))
        device_acpi(machine_device(m, "rtc"), &ctx);
    acpi_ged(a, GED_IRQ, GED_BASE, ACPI_GED_POWER);
    acpi_power_button(a);
    if (machine_prop_on(m, "usb"))
        add_xhci(a);
    add_slots(m, a);
    if (wanted(m, "pcie"))
        acpi_reduced_pci(a, &pci_windows);
    aml_end(a);
    aml_asl(a, "Name (\\_S5, Package (4) { 5, 0, 0, 0 })");
    return machine_acpi_aml("DSDT", 2, a, error);
}

static AcpiTables *microvm_tables(Machine *m, GError **error)
{
    AcpiTables *s = machine_acpi_begin(m, true);
    AcpiTable *space = machine_number_ports(m, error) ? dsdt(m, error) : NULL;
    if (!space) {
        acpi_tables_free(s);
        return NULL;
    }
    const AcpiFadt f = {
        .revision = 5,
        .dsdt = acpi_tables_add(s, space, false),
        .flags = ACPI_FADT_HW_REDUCED | ACPI_FADT_RESET_REG,
        .reset = {ACPI_SPACE_MEMORY, 8, 0, GED_BASE + RESET_AT},
        .reset_value = RESET_VALUE,
        .sleep_control = {ACPI_SPACE_MEMORY, 8, 0, GED_BASE + SLEEP_AT},
        .sleep_status = {ACPI_SPACE_MEMORY, 8, 0, GED_BASE + SLEEP_AT + 1},
    };
    acpi_tables_add(s, acpi_fadt(&f), true);
    acpi_tables_add(s, x86_madt(m, two_apics(m) ? 2 : 1, false), true);
    if (!machine_acpi_user(m, s, error))
        g_clear_pointer(&s, acpi_tables_free);
    return s;
}

static const char *const microvm_isas[] = {"x86_64", NULL};

static const MachineProp microvm_props[] = {
    {.name = "x-oem-id", .def = "BOCHS ", .help = "OEM id of ACPI tables, up to 6 characters"},
    {.name = "x-oem-table-id", .def = "BXPC    ", .help = "OEM table id of ACPI tables, up to 8 characters"},
    {.name = "acpi", .def = "auto", .help = "ACPI tables"},
    {.name = "ioapic2", .def = "auto", .help = "second interrupt controller, for 24 virtio slots and not 8"},
    {.name = "pcie", .def = "off", .help = "PCI Express"},
    {.name = "rtc", .def = "auto", .help = "real-time clock"},
    {.name = "isa-serial", .is_bool = true, .def = "on", .help = "serial port"},
    {.name = "usb", .is_bool = true, .def = "off", .help = "USB controller"},
    {.name = "pic", .def = "auto", .help = "interrupt controller (no difference here)"},
    {.name = "pit", .def = "auto", .help = "interval timer (no difference here)"},
    {.name = "smm", .def = "auto", .help = "system management mode (no difference here)"},
    {.name = "auto-kernel-cmdline", .is_bool = true, .def = "on", .help = "no difference here"},
    {.name = "x-option-roms", .is_bool = true, .def = "on", .help = "no difference here"},
    {.name = "graphics", .is_bool = true, .def = "on", .help = "no difference here"},
    {.name = "mem-merge", .is_bool = true, .def = "on", .help = "no difference here"},
    {.name = "dump-guest-core", .is_bool = true, .def = "on", .help = "no difference here"},
    {.name = "kernel-irqchip", .help = "no difference here"},
    {.name = "memory-backend", .help = "no difference here"},
    {.name = NULL},
};

const MachineType microvm_type = {
    .name = "microvm",
    .summary = "microvm (i386)",
    .isas = microvm_isas,
    .props = microvm_props,
    .map = microvm_map,
    .max_cpus = 288,
    .ram_min = MIB,
    .ram_limit = 64 * TIB,
    .ram_default = 128 * MIB,
    .description = true,
    .dies = true,
    .present = microvm_present,
    .build = microvm_build,
    .acpi = microvm_tables,
    .default_serials = 1,
};
