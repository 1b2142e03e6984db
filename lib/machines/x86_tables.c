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

AcpiTable *machine_slit(const Machine *m)
{
    const MachineNuma *numa = m->options->numa;
    g_autofree uint8_t *distance = g_malloc(numa->count * numa->count);
    for (unsigned i = 0; i < numa->count; i++)
        for (unsigned k = 0; k < numa->count; k++)
            distance[i * numa->count + k] = numa->nodes[i].distance[k];
    return acpi_slit(numa->count, distance);
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

/* ---- HMAT ---------------------------------------------------------------------------------- */

typedef struct {
    uint32_t nodes[MACHINE_NUMA_NODES];
    unsigned count;
} NodeList;

static unsigned place_in(NodeList *list, uint32_t node)
{
    unsigned at = 0;
    while (at < list->count && list->nodes[at] != node)
        at++;
    if (at == list->count)
        list->nodes[list->count++] = node;
    return at;
}

/* The largest unit in which all values are whole and fit 16 bits: of latencies a power of ten
   picoseconds, of bandwidths a power of two MiB a second. */
static bool choose_base(const uint64_t *values, size_t count, uint64_t first, uint64_t factor, uint64_t *base,
                        GError **error)
{
    uint64_t unit = first;
    for (;;) {
        uint64_t next;
        bool whole = !__builtin_mul_overflow(unit, factor, &next);
        for (size_t i = 0; whole && i < count; i++)
            whole = values[i] % next == 0;
        if (!whole || next > UINT64_MAX / factor)
            break;
        unit = next;
    }
    *base = unit;
    for (size_t i = 0; i < count; i++)
        if (values[i] / unit >= 0xffff || values[i] % unit)
            return fail_usage(error, "-numa hmat-lb: values from %" PRIu64 " on do not fit the table's 16 bits "
                                     "in units of %" PRIu64, values[i], unit);
    return true;
}

/* One matrix: all of -numa hmat-lb with that hierarchy and kind of data. */
static bool hmat_matrix(AcpiTable *t, const MachineNuma *numa, MachineHmatHierarchy hierarchy,
                        MachineHmatData data, GError **error)
{
    bool latency = data <= MACHINE_HMAT_WRITE_LATENCY;
    NodeList initiators = {.count = 0}, targets = {.count = 0};
    g_autoptr(GArray) values = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    for (unsigned n = 0; n < numa->count; n++) {
        if (numa->nodes[n].has_cpus)
            place_in(&initiators, n);
        place_in(&targets, n);
    }
    g_autofree uint64_t *matrix = g_new0(uint64_t, (gsize)initiators.count * targets.count + 1);
    for (guint i = 0; i < numa->lb->len; i++) {
        const MachineHmatLb *lb = &g_array_index(numa->lb, MachineHmatLb, i);
        if (lb->hierarchy != hierarchy || lb->data != data)
            continue;
        /* the table counts in picoseconds and MiB a second */
        uint64_t value = latency ? lb->value * 1000 : lb->value >> 20;
        if (!numa->nodes[lb->initiator].has_cpus)
            return fail_usage(error, "-numa hmat-lb: node %u has no CPUs", lb->initiator);
        matrix[place_in(&initiators, lb->initiator) * targets.count + place_in(&targets, lb->target)] = value;
        g_array_append_val(values, value);
    }
    if (!values->len)
        return true;
    uint64_t base;
    if (!choose_base((const uint64_t *)(const void *)values->data, values->len, 1, latency ? 10 : 2, &base,
                     error))
        return false;
    g_autofree uint16_t *entries = g_new0(uint16_t, (gsize)initiators.count * targets.count);
    for (unsigned i = 0; i < initiators.count * targets.count; i++)
        entries[i] = (uint16_t)(matrix[i] / base);
    acpi_hmat_matrix(t, (uint8_t)hierarchy, (uint8_t)data, base, initiators.count, initiators.nodes,
                     targets.count, targets.nodes, entries);
    return true;
}

static void hmat_caches(AcpiTable *t, const MachineNuma *numa)
{
    for (guint i = 0; i < numa->caches->len; i++) {
        const MachineHmatCache *c = &g_array_index(numa->caches, MachineHmatCache, i);
        unsigned levels = 0;
        for (guint k = 0; k < numa->caches->len; k++)
            levels += g_array_index(numa->caches, MachineHmatCache, k).node == c->node;
        acpi_hmat_cache(t, c->node, c->size,
                        levels | c->level << 4 | c->associativity << 8 | c->policy << 12 |
                            (uint32_t)c->line << 16);
    }
}

bool machine_hmat(const Machine *m, AcpiTables *s, GError **error)
{
    const MachineNuma *numa = m->options->numa;
    if (!machine_prop_on(m, "hmat") || !numa->count)
        return true;
    g_autoptr(AcpiTable) t = acpi_hmat();
    for (unsigned n = 0; n < numa->count; n++) {
        unsigned initiator = numa->nodes[n].initiator;
        if (initiator >= MACHINE_NUMA_NODES && numa->nodes[n].has_cpus)
            initiator = n;
        bool told = initiator < MACHINE_NUMA_NODES;
        acpi_hmat_node(t, told, told ? initiator : MACHINE_NUMA_NODES, n);
    }
    for (MachineHmatHierarchy h = MACHINE_HMAT_MEMORY; h <= MACHINE_HMAT_THIRD_LEVEL; h++)
        for (MachineHmatData d = MACHINE_HMAT_ACCESS_LATENCY; d <= MACHINE_HMAT_WRITE_BANDWIDTH; d++)
            if (!hmat_matrix(t, numa, h, d, error))
                return false;
    hmat_caches(t, numa);
    acpi_tables_add(s, g_steal_pointer(&t), true);
    return true;
}
