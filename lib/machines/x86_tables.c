/* SPDX-License-Identifier: MIT */
/* Static tables of x86 boards: interrupt controllers, nodes and distances. */
#include "machines/x86.h"

#include "base/error.h"

#include <inttypes.h>

#define GIB (UINT64_C(1) << 30)

enum { LOCAL_APIC = 0xfee00000, IO_APIC = 0xfec00000, IO_APIC2 = 0xfec10000, IO_APIC_LINES = 24 };
enum { PC_AT = 1, NMI_LINE = 1 };
/* MPS flags of an override: active high, level triggered. */
enum { HIGH_LEVEL = 0xd };

AcpiTable *x86_madt(const Machine *m, unsigned io_apics, bool overrides)
{
    const MachineSmp *smp = &m->options->smp;
    AcpiTable *t = acpi_madt(1, LOCAL_APIC, PC_AT);
    bool x2 = false;
    for (unsigned i = 0; i < smp->maxcpus; i++) {
        uint32_t apic = x86_apic_id(smp, i);
        acpi_madt_cpu(t, i, apic, i < smp->cpus);
        x2 |= apic > 254;
    }
    acpi_madt_ioapic(t, 0, IO_APIC, 0);
    if (io_apics > 1)
        acpi_madt_ioapic(t, 1, IO_APIC2, IO_APIC_LINES);
    if (overrides) {
        static const uint8_t level[] = {5, 9, 10, 11};
        acpi_madt_override(t, 0, 2, 0);
        for (size_t i = 0; i < sizeof level; i++)
            acpi_madt_override(t, level[i], level[i], HIGH_LEVEL);
    }
    acpi_madt_nmi(t, x2, NMI_LINE);
    return t;
}

/* ---- SRAT, SLIT -------------------------------------------------------------------------- */

/* RAM of node n from *at on, which skips the holes of a PC. */
static void add_ram(AcpiTable *t, const X86Memory *mem, uint32_t node, uint64_t size, uint64_t *at)
{
    enum { VGA_START = 0xa0000, VGA_END = 0x100000 };
    while (size) {
        uint64_t base = *at, len = size;
        if (base < VGA_START) {
            len = MIN(size, VGA_START - base);
        } else if (base == VGA_START) {
            /* RAM behind the legacy range is not seen, and counts */
            uint64_t lost = MIN(size, VGA_END - VGA_START);
            *at += lost;
            size -= lost;
            continue;
        } else if (base < mem->low) {
            len = MIN(size, mem->low - base);
        } else if (base == mem->low && base < 4 * GIB) {
            *at = 4 * GIB;
            continue;
        }
        acpi_srat_memory(t, base, len, node, ACPI_MEM_ENABLED);
        *at = base + len;
        size -= len;
    }
}

/* NVDIMMs that are there, and the whole range for modules, which is the last node's until _PXM of one
   says otherwise. */
static void add_modules(AcpiTable *t, const Machine *m, const X86Memory *mem, const GArray *dimms)
{
    unsigned nodes = MAX(m->options->numa->count, 1);
    for (guint i = 0; i < dimms->len; i++) {
        const MachineDimm *d = &g_array_index(dimms, MachineDimm, i);
        if (d->nvdimm)
            acpi_srat_memory(t, d->base, d->size, d->node, ACPI_MEM_ENABLED | ACPI_MEM_NONVOLATILE);
    }
    if (mem->device_size)
        acpi_srat_memory(t, mem->device_base, mem->device_size, nodes - 1,
                         ACPI_MEM_ENABLED | ACPI_MEM_HOTPLUG);
}

static AcpiTable *srat(const Machine *m, const X86Memory *mem, const GArray *dimms)
{
    const MachineNuma *numa = m->options->numa;
    AcpiTable *t = acpi_srat(1);
    uint64_t at = 0;
    for (unsigned i = 0; i < m->options->smp.maxcpus; i++)
        acpi_srat_cpu(t, x86_apic_id(&m->options->smp, i), machine_numa_cpu_node(numa, i));
    if (!numa->count)
        add_ram(t, mem, 0, m->options->ram_size, &at);
    for (unsigned n = 0; n < numa->count; n++)
        add_ram(t, mem, n, numa->nodes[n].ram, &at);
    add_modules(t, m, mem, dimms);
    return t;
}

bool x86_affinity(const Machine *m, const X86Memory *mem, const GArray *dimms, AcpiTables *s,
                  GError **error)
{
    const MachineNuma *numa = m->options->numa;
    if (numa->count || mem->device_size)
        acpi_tables_add(s, srat(m, mem, dimms), true);
    if (numa->has_distances)
        acpi_tables_add(s, machine_slit(m), true);
    return machine_hmat(m, s, error);
}
