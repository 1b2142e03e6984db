/* SPDX-License-Identifier: MIT */
/* SLIT and HMAT of any board with NUMA: what -numa dist, hmat-lb and hmat-cache say. */
#include "machines/acpi_priv.h"

#include "base/error.h"

#include <inttypes.h>

AcpiTable *machine_slit(const Machine *m)
{
    const MachineNuma *numa = m->options->numa;
    g_autofree uint8_t *distance = g_malloc(numa->count * numa->count);
    for (unsigned i = 0; i < numa->count; i++)
        for (unsigned k = 0; k < numa->count; k++)
            distance[i * numa->count + k] = numa->nodes[i].distance[k];
    return acpi_slit(numa->count, distance);
}

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
