/* SPDX-License-Identifier: MIT */
/* ACPI tables of the PC boards: the namespace put together, and the static tables beside it. */
#include "machines/pc_priv.h"

#include "devices/misc/tpm.h"
#include "devices/pci/intel_iommu.h"

#include "base/error.h"

#include <string.h>

#define GIB (UINT64_C(1) << 30)

enum { HPET_ID = 0x8086a201, TPM_BASE = 0xfed40000, TPM_CRB_CONTROL = 0xfed40040 };
enum { IOAPIC_BUS = 0xff, VTD_BASE = 0xfed90000, AMD_IOMMU_BASE = 0xfed80000 };
enum { PORTS_BEFORE_PCI_CONFIG = 0xcf7, PORTS_AFTER_PCI_CONFIG = 0xd00, PCI_CONFIG = 0xcf8 };
enum { HOLE32_END = 0xfebfffff };

static const Device *find(const Machine *m, const char *type)
{
    for (guint i = 0; i < m->added->len; i++) {
        const Device *dev = g_ptr_array_index(m->added, i);
        if (!strcmp(dev->type->name, type))
            return dev;
    }
    return NULL;
}

/* ---- The namespace ---------------------------------------------------------------------- */

static void host_bridge(const Pc *pc, Aml *a)
{
    unsigned native = pc->bridge_hotplug ? 0x1e : 0x1f; /* all but plugging, where ACPI does that */
    aml_scope(a, "\\_SB");
    aml_device(a, "PCI0");
    aml_name_eisaid(a, "_HID", pc->q35 ? "PNP0A08" : "PNP0A03");
    if (pc->q35)
        aml_name_eisaid(a, "_CID", "PNP0A03");
    aml_name_int(a, "_UID", machine_version(pc->m) <= 501);
    if (pc->q35)
        machine_acpi_osc(a, native);
    aml_end(a);
    if (pc->q35) {
        aml_device(a, "DRAC"); /* so that nobody puts a BAR there */
        aml_name_string(a, "_HID", "PNP0C01");
        aml_resources(a, "_CRS");
        aml_dword_memory(a, false, (uint32_t)pc->mcfg, (uint32_t)pc->mcfg + 0x0fffffff);
        aml_end(a);
        aml_end(a);
    }
    aml_end(a);
}

/* The ranges of memory below 4 GiB that PCI has: all from the end of RAM on but the ECAM window. */
static void low_hole(const Pc *pc, Aml *a)
{
    uint64_t start = pc->mem.low;
    if (pc->q35) {
        if (start < pc->mcfg)
            aml_dword_memory(a, false, (uint32_t)start, (uint32_t)pc->mcfg - 1);
        start = MAX(start, pc->mcfg + 0x10000000);
    }
    aml_dword_memory(a, false, (uint32_t)start, HOLE32_END);
}

static void host_resources(const Pc *pc, Aml *a)
{
    aml_resources(a, "_CRS");
    aml_word_buses(a, 0, pc_pci_last_bus(pc));
    aml_io(a, PCI_CONFIG, PCI_CONFIG, 1, 8);
    aml_word_ports(a, 0, PORTS_BEFORE_PCI_CONFIG);
    aml_word_ports(a, PORTS_AFTER_PCI_CONFIG, 0xffff);
    aml_dword_memory(a, true, 0xa0000, 0xbffff);
    low_hole(pc, a);
    if (pc->mem.hole64_size)
        aml_qword_memory(a, true, pc->mem.hole64, pc->mem.hole64 + pc->mem.hole64_size - 1);
    if (find(pc->m, "tpm-tis"))
        aml_memory32(a, true, TPM_BASE, 0x5000);
    aml_end(a);
}

static void ports_device(Aml *a, const char *name, const char *uid, uint16_t base, uint8_t len)
{
    aml_device(a, name);
    aml_asl(a, "Name (_HID, \"PNP0A06\") Name (_UID, \"%s\") Name (_STA, 0x0B)", uid);
    aml_resources(a, "_CRS");
    aml_io(a, base, base, 1, len);
    aml_end(a);
    aml_end(a);
}

static void host_bridge_contents(const Pc *pc, Aml *a)
{
    aml_scope(a, "\\_SB.PCI0");
    host_resources(pc, a);
    pc_irq_root(pc, a);
    ports_device(a, "GPE0", "GPE0 resources", pc->gpe0, pc->gpe0_len);
    if (pc_pci_hotplug(pc))
        ports_device(a, "PHPR", "PCI Hotplug resources", pc->pci_hotplug, 0x18);
    device_acpi(machine_device(pc->m, "fw-cfg"), &(DeviceAcpi){.aml = a, .path = "\\_SB.PCI0"});
    aml_end(a);
}

static void sleep_states(const Pc *pc, Aml *a)
{
    if (!pc->power->disable_s3)
        aml_asl(a, "Name (\\_S3, Package (4) { 1, 1, 0, 0 })");
    if (!pc->power->disable_s4)
        aml_asl(a, "Name (\\_S4, Package (4) { %u, %u, 0, 0 })", pc->power->s4_val, pc->power->s4_val);
    aml_asl(a, "Name (\\_S5, Package (4) { 0, 0, 0, 0 })");
}

/* Devices that are neither on PCI nor ISA. */
static void system_devices(const Pc *pc, Aml *a)
{
    const DeviceAcpi ctx = {.aml = a, .path = "\\_SB"};
    aml_scope(a, "\\_SB");
    if (machine_prop_on(pc->m, "hpet"))
        device_acpi(machine_device(pc->m, "hpet"), &ctx);
    for (guint i = 0; i < pc->m->added->len; i++) {
        const Device *dev = g_ptr_array_index(pc->m->added, i);
        if (dev->bus == machine_device(pc->m, "system"))
            device_acpi(dev, &ctx);
    }
    aml_end(a);
}

static AcpiTable *dsdt(const Pc *pc, GError **error)
{
    Aml *a = aml_new();
    host_bridge(pc, a);
    aml_asl(a, "Scope (\\_GPE) { Name (_HID, \"ACPI0006\") }");
    if (pc->q35)
        aml_asl(a, "Name (\\PICF, 0) Method (\\_PIC, 1) { \\PICF = Arg0 }");
    pc_irq_links(pc, a);
    system_devices(pc, a);
    if (pc_pci_hotplug(pc))
        pc_pci_hotplug_methods(pc, a);
    acpi_cpu_hotplug(pc->m, a, "\\_SB.PCI0", pc->cpu_hotplug, "\\_GPE._E02");
    if (pc->mem.device_size)
        acpi_memory_hotplug(pc->m, a, "\\_SB.PCI0", PC_MEMORY_HOTPLUG, false, "\\_GPE._E03");
    pc_pci_extra_roots(pc, a);
    host_bridge_contents(pc, a);
    sleep_states(pc, a);
    pc_pci_functions(pc, a);
    return machine_acpi_aml("DSDT", 1, a, error);
}

/* ---- Static tables ------------------------------------------------------------------------- */

/* Row by row, what the two chipsets have in common and what not; 440FX keeps to ACPI 1.0. */
static AcpiTable *fadt(const Pc *pc, uint32_t facs, uint32_t dsdt_at)
{
    AcpiFadt f = {
        .revision = pc->q35 ? 3 : 1,
        .has_facs = true,
        .facs = facs,
        .dsdt = dsdt_at,
        .int_model = 1,
        .sci_int = 9,
        .smi_cmd = 0xb2,
        .acpi_enable = pc->q35 ? 2 : 0xf1,
        .acpi_disable = pc->q35 ? 3 : 0xf0,
        .pm1a_evt = PC_PM_BASE,
        .pm1a_cnt = PC_PM_BASE + 4,
        .pm_tmr = PC_PM_BASE + 8,
        .gpe0 = pc->gpe0,
        .gpe0_len = pc->gpe0_len,
        .c2_latency = 0xfff, /* C2 and C3 are not there */
        .c3_latency = 0xfff,
        .century = 0x32,
        .flags = ACPI_FADT_WBINVD | ACPI_FADT_PROC_C1 | ACPI_FADT_SLP_BUTTON | ACPI_FADT_RTC_S4 |
                 ACPI_FADT_PLATFORM_CLOCK,
    };
    if (pc->q35) {
        f.flags |= ACPI_FADT_RESET_REG;
        f.reset = (AcpiGas){ACPI_SPACE_PORTS, 8, 0, 0xcf9};
        f.reset_value = 0xf;
        f.iapc_boot_arch = machine_prop_on(pc->m, "i8042") ? ACPI_BOOT_8042 : 0;
    }
    /* With more than eight CPUs a logical destination needs clusters. */
    if (pc->m->options->smp.maxcpus > 8)
        f.flags |= ACPI_FADT_APIC_CLUSTER;
    return acpi_fadt(&f);
}

static bool iommu_tables(const Pc *pc, AcpiTables *s, GError **error)
{
    const Device *intel = find(pc->m, "intel-iommu"), *amd = find(pc->m, "amd-iommu"),
                 *virtio = find(pc->m, "virtio-iommu-device");
    g_autoptr(GArray) scopes = pc_pci_scopes(pc);
    const AcpiScope *list = (const AcpiScope *)(const void *)scopes->data;
    uint16_t bdf;
    if (intel) {
        const IntelIommu *v = (const IntelIommu *)intel;
        acpi_tables_add(s, acpi_dmar((uint8_t)v->aw_bits, g_strcmp0(v->intremap, "off") != 0, VTD_BASE, 0,
                                     IOAPIC_BUS, 0, list, scopes->len, v->device_iotlb),
                        true);
    }
    if ((amd && !pc_pci_bdf(pc->m, amd, &bdf)) || (virtio && !pc_pci_bdf(pc->m, virtio, &bdf)))
        return fail_usage(error, "-device %s: it has to be on the root bus", amd ? "amd-iommu" : "virtio-iommu-pci");
    if (amd)
        acpi_tables_add(s, acpi_ivrs(bdf, 0x40, AMD_IOMMU_BASE, 0x44, list, scopes->len, 0, 0xa0), true);
    if (virtio)
        acpi_tables_add(s, machine_viot(pc->m, bdf), true);
    return true;
}

static void tpm_tables(const Pc *pc, AcpiTables *s)
{
    static const char log[] = "etc/tpm/log";
    enum { LOG_SIZE = 65536 };
    const Tpm *tis = (const Tpm *)find(pc->m, "tpm-tis"), *crb = (const Tpm *)find(pc->m, "tpm-crb");
    if (!tis && !crb)
        return;
    g_autofree uint8_t *zero = g_malloc0(LOG_SIZE);
    g_autoptr(GBytes) bytes = g_bytes_new(zero, LOG_SIZE);
    if (tis && !tis->version2)
        acpi_tables_add(s, acpi_tcpa(0, log, LOG_SIZE), true);
    else
        acpi_tables_add(s, acpi_tpm2(0, tis ? 0 : TPM_CRB_CONTROL, tis ? 6 : 7, log, LOG_SIZE), true);
    acpi_tables_add_file(s, log, bytes, 1);
}

static bool add_tables(const Pc *pc, AcpiTables *s, GError **error)
{
    const Machine *m = pc->m;
    uint32_t facs = acpi_tables_add_facs(s);
    AcpiTable *space = dsdt(pc, error);
    if (!space)
        return false;
    uint32_t dsdt_at = acpi_tables_add(s, space, false);
    acpi_tables_add(s, fadt(pc, facs, dsdt_at), true);
    acpi_tables_add(s, x86_madt(m, 1, true), true);
    if (find(m, "acpi-erst"))
        acpi_tables_add(s, acpi_erst(UINT64_MAX), true); /* firmware has not placed its BAR yet */
    if (!acpi_vmgenid(m, s, "\\_GPE._E05", error))
        return false;
    if (machine_prop_on(m, "hpet"))
        acpi_tables_add(s, acpi_hpet(HPET_ID, device_base(machine_device(m, "hpet"), 0)), true);
    tpm_tables(pc, s);
    if (!x86_affinity(m, &pc->mem, pc->dimms, s, error))
        return false;
    if (pc->q35)
        acpi_tables_add(s, acpi_mcfg(pc->mcfg, 0, 0, 255), true);
    if (!iommu_tables(pc, s, error) || !acpi_nvdimm_table(m, pc->dimms, s, "\\_GPE._E04", error))
        return false;
    acpi_tables_add(s, acpi_waet(2), true); /* one read of the timer is good */
    return machine_acpi_user(m, s, error);
}

AcpiTables *pc_acpi(const Pc *pc, GError **error)
{
    AcpiTables *s = machine_acpi_begin(pc->m, false);
    if (!add_tables(pc, s, error))
        g_clear_pointer(&s, acpi_tables_free);
    return s;
}
