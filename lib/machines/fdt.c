/* SPDX-License-Identifier: MIT */
/* What device trees of boards have in common: memory and its nodes, seeds, the boot properties. */
#include "machines/machine_priv.h"

#include "base/error.h"

#include <inttypes.h>

/* Free bytes at the end of the tree: U-Boot adds to it where it lies, and keeps its own data behind it. */
enum { TREE_ROOM = 32768 };

bool machine_seeds(const Machine *m)
{
    const char *kaslr = machine_prop(m, "dtb-kaslr-seed");
    const char *all = machine_prop(m, "dtb-randomness");
    return !m->type->no_seeds && (!kaslr || machine_prop_on(m, "dtb-kaslr-seed")) &&
           (!all || machine_prop_on(m, "dtb-randomness"));
}

void machine_fdt_rng_seed(const Machine *m, Fdt *tree, const char *path)
{
    uint8_t seed[32];
    bus_random(m->clock, seed, sizeof seed);
    fdt_tree_bytes(tree, path, "rng-seed", seed, sizeof seed);
}

static void fdt_bank(Fdt *tree, uint64_t base, uint64_t size, bool has_node, uint32_t node)
{
    g_autofree char *path = g_strdup_printf("/memory@%" PRIx64, base);
    fdt_tree_node(tree, path);
    fdt_tree_string(tree, path, "device_type", "memory");
    fdt_tree_reg(tree, path, base, size);
    if (has_node)
        fdt_tree_u32(tree, path, "numa-node-id", node);
}

void machine_fdt_memory(const Machine *m, Fdt *tree)
{
    const MachineNuma *numa = m->options->numa;
    uint64_t base = m->type->ram_base;
    if (!numa->count)
        fdt_bank(tree, base, m->options->ram_size, false, 0);
    for (unsigned i = 0; i < numa->count; i++) {
        if (numa->nodes[i].ram)
            fdt_bank(tree, base, numa->nodes[i].ram, true, i);
        base += numa->nodes[i].ram;
    }
    if (!numa->has_distances)
        return;
    g_autofree uint32_t *matrix = g_new(uint32_t, 3 * (size_t)numa->count * numa->count);
    uint32_t *cell = matrix;
    for (unsigned i = 0; i < numa->count; i++) {
        for (unsigned k = 0; k < numa->count; k++) {
            *cell++ = i;
            *cell++ = k;
            *cell++ = numa->nodes[i].distance[k];
        }
    }
    fdt_tree_node(tree, "/distance-map");
    fdt_tree_string(tree, "/distance-map", "compatible", "numa-distance-map-v1");
    fdt_tree_cells(tree, "/distance-map", "distance-matrix", matrix, (size_t)(cell - matrix));
}

static Fdt *tree_base(const Machine *m, const MachineBoot *boot, GError **error)
{
    if (boot && boot->dtb) {
        gsize len;
        const void *data = g_bytes_get_data(boot->dtb, &len);
        Fdt *tree = fdt_tree_from_bytes(data, len, error);
        if (!tree)
            prefix(error, "%s", boot->dtb_name ? boot->dtb_name : "-dtb");
        return tree;
    }
    if (!m->type->fdt) {
        fail(error, "machine '%s' has no device tree", m->type->name);
        return NULL;
    }
    Fdt *tree = fdt_tree_new();
    m->type->fdt(m, boot, tree);
    return tree;
}

/* The binding takes one cell or two, and old readers one where that is enough. */
static void fdt_address(Fdt *tree, const char *name, uint64_t value)
{
    if (value <= UINT32_MAX)
        fdt_tree_u32(tree, "/chosen", name, (uint32_t)value);
    else
        fdt_tree_u64(tree, "/chosen", name, value);
}

GBytes *machine_tree_build(Machine *m, const MachineBoot *boot, const MachineEntry *entry,
                           GError **error)
{
    g_autoptr(Fdt) tree = tree_base(m, boot, error);
    if (!tree)
        return NULL;
    fdt_tree_node(tree, "/chosen");
    if (machine_seeds(m))
        machine_fdt_rng_seed(m, tree, "/chosen");
    if (boot && boot->append && boot->append[0])
        fdt_tree_string(tree, "/chosen", "bootargs", boot->append);
    if (entry->initrd_end) {
        fdt_address(tree, "linux,initrd-start", entry->initrd_start);
        fdt_address(tree, "linux,initrd-end", entry->initrd_end);
    }
    return fdt_tree_finish_with_room(tree, TREE_ROOM, error);
}

GBytes *machine_fdt(Machine *m, const MachineBoot *boot, GError **error)
{
    MachineEntry entry = {0};
    if (boot && m->type->layout && !m->type->layout(m, boot, &entry, error))
        return NULL;
    return machine_tree_build(m, boot, &entry, error);
}
