/* SPDX-License-Identifier: MIT */
/*
 * ACPI and SMBIOS of the Arm board "virt": reduced hardware (ACPI 6.4 4.1; Arm's Base Boot Requirements).
 * Interrupts in tables are numbers of the GIC: a PPI n is 16 + n, an SPI n is 32 + n.
 */
#include "machines/arm_virt_priv.h"
#include "machines/reduced.h"

#include "devices/pci/described_bridge.h"

#include "base/error.h"

#include <string.h>

enum { SPI = 32, PMU_GSI = 23, MAINTENANCE_GSI = 25, SLOTS = 32 };
enum { GPIO_POWER_PIN = 3, UART_SIZE = 0x1000 };

static uint32_t gsi(const Machine *m, const char *id)
{
    return SPI + (uint32_t)machine_row(m, id)->irq;
}

/* ---- The namespace -------------------------------------------------------------------- */

static void add_cpus(const Machine *m, Aml *a)
{
    for (unsigned i = 0; i < m->options->smp.cpus; i++) {
        g_autofree char *name = g_strdup_printf("C%03X", i);
        aml_device(a, name);
        aml_asl(a, "Name (_HID, \"ACPI0007\") Name (_UID, %u)", i);
        aml_end(a);
    }
}

/* Memory and one interrupt of a row of the map. */
static void row_resources(const Machine *m, Aml *a, const char *id)
{
    const MachineMap *row = machine_row(m, id);
    uint32_t line = gsi(m, id);
    aml_resources(a, "_CRS");
    aml_memory32(a, true, (uint32_t)row->addr, (uint32_t)row->size);
    if (row->irq)
        aml_interrupts(a, 0, &line, 1);
    aml_end(a);
}

static void add_fixed(const Machine *m, const ArmVirt *v, Aml *a)
{
    aml_device(a, "COM0");
    aml_asl(a, "Name (_HID, \"ARMH0011\") Name (_UID, 0)");
    row_resources(m, a, "uart0");
    aml_end(a);
    for (unsigned i = 0; v->version <= 500 && i < 2; i++) { /* firmware's own, since */
        g_autofree char *name = g_strdup_printf("FLS%u", i), *id = g_strdup_printf("pflash%u", i);
        aml_device(a, name);
        aml_asl(a, "Name (_HID, \"LNRO0015\") Name (_UID, %u)", i);
        row_resources(m, a, id);
        aml_end(a);
    }
    aml_device(a, "FWCF");
    aml_asl(a, "Name (_HID, \"QEMU0002\") Name (_STA, 0x0B) Name (_CCA, 1)");
    row_resources(m, a, "fw-cfg");
    aml_end(a);
    for (unsigned i = 0; i < SLOTS; i++) {
        g_autofree char *id = g_strdup_printf("virtio%u", i);
        uint32_t line = gsi(m, id);
        device_acpi(machine_device(m, id), &(DeviceAcpi){.aml = a, .path = "\\_SB", .number = i,
                                                         .interrupts = &line, .interrupt_count = 1});
    }
}

static void add_pci(const Machine *m, const ArmVirt *v, Aml *a)
{
    const MachineMap *mmio = machine_row(m, "pcie-mmio"), *pio = machine_row(m, "pcie-pio");
    ReducedPci pci = {
        .ecam = v->ecam_base, .ecam_size = v->ecam_size, .mmio32 = mmio->addr, .mmio32_size = mmio->size,
        .mmio64 = v->high_mmio_base, .mmio64_size = v->high_mmio_size, .pio = pio->addr, .pio_size = pio->size,
        .irq = gsi(m, "pcie"), .last_bus = (uint8_t)((v->ecam_size >> 20) - 1),
    };
    for (guint i = 0; i < m->added->len; i++) {
        const Device *dev = g_ptr_array_index(m->added, i);
        const DescribedBridge *b = (const DescribedBridge *)dev;
        if (!machine_is_pxb(dev))
            continue;
        acpi_reduced_pxb(a, &pci, b->bus_nr, b->numa_node);
        pci.last_bus = (uint8_t)MIN(pci.last_bus, MAX(b->bus_nr, 1) - 1);
    }
    acpi_reduced_pci(a, &pci);
}

/* Who tells of the power button: an event device, or, where no firmware reads tables, a pin. */
static void add_events(const Machine *m, const ArmVirt *v, Aml *a)
{
    if (v->ged) {
        unsigned events = ACPI_GED_POWER | (m->options->ram_slots ? ACPI_GED_MEMORY : 0) |
                          (machine_prop_on(m, "nvdimm") ? ACPI_GED_NVDIMM : 0);
        acpi_ged(a, gsi(m, "acpi-ged"), machine_row(m, "acpi-ged")->addr, events);
    } else {
        static const uint16_t pin = GPIO_POWER_PIN;
        aml_device(a, "GPO0");
        aml_asl(a, "Name (_HID, \"ARMH0061\") Name (_UID, 0)");
        row_resources(m, a, "gpio");
        aml_resources(a, "_AEI");
        aml_gpio_interrupt(a, AML_EDGE, 1, &pin, 1, "GPO0");
        aml_end(a);
        aml_asl(a, "Method (_E%02X) { Notify (\\_SB.PWRB, 0x80) }", GPIO_POWER_PIN);
        aml_end(a);
    }
    acpi_power_button(a);
}

static AcpiTable *dsdt(const Machine *m, const ArmVirt *v, GError **error)
{
    Aml *a = aml_new();
    aml_scope(a, "\\_SB");
    add_cpus(m, a);
    add_fixed(m, v, a);
    add_pci(m, v, a);
    add_events(m, v, a);
    aml_end(a);
    if (v->ged && m->options->ram_slots)
        acpi_memory_hotplug(m, a, "\\_SB", machine_row(m, "pcdimm-acpi")->addr, true, NULL);
    return machine_acpi_aml("DSDT", 2, a, error);
}

/* ---- Interrupts and timers --------------------------------------------------------------- */

static AcpiTable *madt(const Machine *m, const ArmVirt *v)
{
    AcpiTable *t = acpi_madt(4, 0, 0);
    bool v2 = v->gic == 2;
    acpi_madt_gicd(t, machine_row(m, "gic")->addr, (uint8_t)v->gic);
    for (unsigned i = 0; i < m->options->smp.cpus; i++) {
        const AcpiGicc g = {
            .interface = i, .uid = i, .flags = 1,
            .performance_gsi = v->cpu.pmu && v->version > 206 ? PMU_GSI : 0,
            .base = v2 ? 0x8010000 : 0,
            .gich = v2 ? machine_row(m, "gic-hypervisor")->addr : 0,
            .gicv = v2 ? machine_row(m, "gic-virtual-cpu")->addr : 0,
            .mpidr = arm_virt_mpidr(v, i),
            .vgic_gsi = v->virtualization ? MAINTENANCE_GSI : 0,
        };
        acpi_madt_gicc(t, &g);
    }
    if (!v2) {
        acpi_madt_gicr(t, 0x80a0000, 0xf60000);
        if (v->second_redist)
            acpi_madt_gicr(t, v->redist2_base, 64 << 20);
        if (v->its)
            acpi_madt_its(t, 0, machine_row(m, "its")->addr);
    } else {
        acpi_madt_msi_frame(t, 0, machine_row(m, "v2m")->addr, 1, 64, SPI + 48);
    }
    return t;
}

static AcpiTable *gtdt(const ArmVirt *v)
{
    enum { EDGE = 1, ALWAYS_ON = 4 };
    uint32_t kind = v->version <= 208 ? EDGE : 0;
    const AcpiTimer timers[4] = {{29, kind}, {30, kind | ALWAYS_ON}, {27, kind}, {26, kind}};
    return acpi_gtdt(2, timers);
}

/* Functions of bus 0 go through the SMMU, where there is one, and messages of all to the ITS. */
static AcpiTable *iort(const Machine *m, const ArmVirt *v)
{
    AcpiTable *t = acpi_iort(3);
    uint32_t its = acpi_iort_its(t, 0, 0), irq = gsi(m, "smmu");
    AcpiIortMap maps[2] = {{0, 0xffff, 0, its, 0}};
    if (!v->iommu) {
        acpi_iort_root(t, 1, 64, maps, 1);
        return t;
    }
    /* event queue, page requests, global errors, command sync */
    const uint32_t lines[4] = {irq, irq + 1, irq + 3, irq + 2};
    uint32_t smmu = acpi_iort_smmu3(t, 1, machine_row(m, "smmu")->addr, lines, maps, 1);
    maps[0] = (AcpiIortMap){0, 0xff, 0, smmu, 0};
    maps[1] = (AcpiIortMap){0x100, 0xfeff, 0x100, its, 0};
    acpi_iort_root(t, 2, 64, maps, 2);
    return t;
}

/* ---- Topology and memory --------------------------------------------------------------------- */

static AcpiTable *pptt(const Machine *m)
{
    const MachineSmp *smp = &m->options->smp;
    AcpiTable *t = acpi_pptt();
    uint32_t socket = 0, cluster = 0, core = 0;
    for (unsigned i = 0; i < smp->cpus; i++) {
        unsigned per_cluster = smp->cores * smp->threads, per_socket = smp->clusters * per_cluster;
        if (i % per_socket == 0)
            socket = acpi_pptt_node(t, ACPI_PPTT_PACKAGE, 0, i / per_socket);
        if (i % per_cluster == 0)
            cluster = acpi_pptt_node(t, 0, socket, i / per_cluster % smp->clusters);
        if (smp->threads == 1) {
            acpi_pptt_node(t, ACPI_PPTT_ID_VALID | ACPI_PPTT_LEAF, cluster, i);
            continue;
        }
        if (i % smp->threads == 0)
            core = acpi_pptt_node(t, 0, cluster, i / smp->threads % smp->cores);
        acpi_pptt_node(t, ACPI_PPTT_ID_VALID | ACPI_PPTT_THREAD | ACPI_PPTT_LEAF, core, i);
    }
    return t;
}

static AcpiTable *srat(const Machine *m, const ArmVirt *v, const GArray *dimms)
{
    const MachineNuma *numa = m->options->numa;
    AcpiTable *t = acpi_srat(3);
    uint64_t at = m->type->ram_base;
    for (unsigned i = 0; i < m->options->smp.cpus; i++)
        acpi_srat_gicc(t, i, machine_numa_cpu_node(numa, i));
    for (unsigned n = 0; n < MAX(numa->count, 1); n++) {
        uint64_t size = numa->count ? numa->nodes[n].ram : m->options->ram_size;
        if (size)
            acpi_srat_memory(t, at, size, n, ACPI_MEM_ENABLED);
        at += size;
    }
    for (guint i = 0; i < dimms->len; i++) {
        const MachineDimm *d = &g_array_index(dimms, MachineDimm, i);
        if (d->nvdimm)
            acpi_srat_memory(t, d->base, d->size, d->node, ACPI_MEM_ENABLED | ACPI_MEM_NONVOLATILE);
    }
    if (v->device_memory_size)
        acpi_srat_memory(t, v->device_memory_base, v->device_memory_size, MAX(numa->count, 1) - 1,
                         ACPI_MEM_ENABLED | ACPI_MEM_HOTPLUG);
    return t;
}

/* ---- All ----------------------------------------------------------------------------------------- */

static void add_serial(const Machine *m, AcpiTables *s)
{
    enum { PL011 = 3, GIC = 8, BAUD_9600 = 3, RTS_CTS = 2, BYTE_ACCESS = 1 };
    const AcpiGas base = {ACPI_SPACE_MEMORY, 8, BYTE_ACCESS, machine_row(m, "uart0")->addr};
    const AcpiSpcr spcr = {.type = PL011, .base = base, .interrupt_type = GIC, .gsi = gsi(m, "uart0"),
                           .baud = BAUD_9600, .flow = RTS_CTS};
    acpi_tables_add(s, acpi_spcr(2, &spcr), true);
    acpi_tables_add(s, acpi_dbg2(PL011, &base, UART_SIZE, "COM0"), true);
}

static bool add_iommu(const Machine *m, AcpiTables *s, GError **error)
{
    for (guint i = 0; i < m->added->len; i++) {
        const Device *dev = g_ptr_array_index(m->added, i);
        if (strcmp(dev->type->name, "virtio-iommu-device"))
            continue;
        const Device *front = dev->bus && dev->bus->type->front ? dev->bus : dev;
        if (!front->type->pci || front->bus != machine_device(m, "pcie"))
            return fail_usage(error, "-device virtio-iommu-pci: it has to be on the root bus");
        acpi_tables_add(s, machine_viot(m, front->type->pci((Device *)front)->fn.devfn), true);
    }
    return true;
}

/* Firmware at EL3 answers PSCI itself; without, the machine does, by the exception that leaves EL2 alone. */
static uint16_t psci(const ArmVirt *v)
{
    return v->secure ? 0 : v->virtualization ? ACPI_ARM_PSCI : ACPI_ARM_PSCI | ACPI_ARM_PSCI_HVC;
}

static bool add_tables(const Machine *m, const ArmVirt *v, const GArray *dimms, AcpiTables *s, GError **error)
{
    const MachineNuma *numa = m->options->numa;
    AcpiTable *space = dsdt(m, v, error);
    if (!space)
        return false;
    const AcpiFadt f = {
        .revision = 6,
        .minor = 0,
        .dsdt = acpi_tables_add(s, space, false),
        .flags = ACPI_FADT_HW_REDUCED,
        .arm_boot_arch = psci(v),
        .only_x_dsdt = true,
    };
    acpi_tables_add(s, acpi_fadt(&f), true);
    acpi_tables_add(s, madt(m, v), true);
    if (v->version >= 602)
        acpi_tables_add(s, pptt(m), true);
    acpi_tables_add(s, gtdt(v), true);
    acpi_tables_add(s, acpi_mcfg(v->ecam_base, 0, 0, (uint8_t)((v->ecam_size >> 20) - 1)), true);
    add_serial(m, s);
    if (numa->count || m->options->ram_slots)
        acpi_tables_add(s, srat(m, v, dimms), true);
    if (numa->has_distances)
        acpi_tables_add(s, machine_slit(m), true);
    if (!machine_hmat(m, s, error) ||
        !acpi_nvdimm_table(m, dimms, s, NULL, error))
        return false;
    if (v->version >= 208)
        acpi_tables_add(s, iort(m, v), true);
    return add_iommu(m, s, error) && machine_acpi_user(m, s, error);
}

AcpiTables *arm_virt_acpi(Machine *m, GError **error)
{
    ArmVirt v;
    if (!machine_acpi_props(m, error) || !arm_virt_read(m, &v, error))
        return NULL;
    g_autoptr(GArray) dimms = machine_dimms(m, v.device_memory_base, v.device_memory_size, error);
    if (!dimms)
        return NULL;
    AcpiTables *s = machine_acpi_begin(m, true);
    if (!add_tables(m, &v, dimms, s, error))
        g_clear_pointer(&s, acpi_tables_free);
    return s;
}

bool arm_virt_smbios(Machine *m, SmbiosMachine *s, SmbiosRange *ranges, GError **error)
{
    s->product = "QEMU Virtual Machine";
    s->ep64 = true;
    if (machine_version(m) <= 211)
        s->version = "1.0";
    return true;
}
