/* SPDX-License-Identifier: MIT */
/*
 * Where phandles are in properties, by the bindings' rules: alone, before specifiers whose length the node
 * they stand for tells (#clock-cells and the like), or in maps. Unknown properties have none.
 */
#include "fdt/refs_priv.h"

#include "base/bytes.h"

#include <string.h>

typedef struct {
    const char *name;
    unsigned before;        /* cells ahead of the phandle */
    const char *specifier;  /* property of the node it stands for with the cells that follow */
    unsigned after;         /* cells behind those */
} Rule;

static const Rule rules[] = {
    {"interrupt-parent", 0, NULL, 0},
    {"interrupts-extended", 0, "#interrupt-cells", 0},
    {"clocks", 0, "#clock-cells", 0},
    {"gpios", 0, "#gpio-cells", 0},
    {"msi-parent", 0, "#msi-cells", 0},
    {"msi-map", 1, NULL, 2},
    {"iommus", 0, "#iommu-cells", 0},
    {"iommu-map", 1, NULL, 2},
    {"regmap", 0, NULL, 0},
    {"cpu", 0, NULL, 0},
    {"next-level-cache", 0, NULL, 0},
    {"riscv,children", 0, NULL, 0},
    {"riscv,delegate", 0, NULL, 2},
};

static const char *node_of(GHashTable *by_phandle, uint32_t phandle)
{
    return g_hash_table_lookup(by_phandle, GUINT_TO_POINTER(phandle));
}

static bool note(void *opaque, const char *path)
{
    const Fdt *tree = ((void **)opaque)[0];
    GHashTable *index = ((void **)opaque)[1];
    uint32_t phandle = fdt_tree_get_phandle(tree, path);
    if (phandle && !node_of(index, phandle))
        g_hash_table_insert(index, GUINT_TO_POINTER(phandle), (gpointer)path);
    return true;
}

GHashTable *fdt_refs_index(const Fdt *tree)
{
    GHashTable *index = g_hash_table_new(NULL, NULL);
    void *both[] = {(void *)tree, index};
    fdt_tree_each(tree, note, both);
    return index;
}

bool fdt_refs_is_seed(const char *name)
{
    return strcmp(name, "rng-seed") == 0 || strcmp(name, "kaslr-seed") == 0;
}

/* A row of an interrupt-map: address and specifier of a child, phandle, the same of the parent. */
static void interrupt_map(const Fdt *tree, const char *path, const uint8_t *data, size_t cells,
                          GHashTable *by_phandle, bool *refs)
{
    size_t child = fdt_tree_get_u32(tree, path, "#address-cells", 2) +
                   (size_t)fdt_tree_get_u32(tree, path, "#interrupt-cells", 1);
    size_t at = child;
    while (child < 64 && at < cells) {
        refs[at] = true;
        const char *to = node_of(by_phandle, ld_be32(data + 4 * at));
        if (!to)
            return;
        size_t parent = fdt_tree_get_u32(tree, to, "#address-cells", 0) +
                        (size_t)fdt_tree_get_u32(tree, to, "#interrupt-cells", 0);
        if (parent > 64)
            return;
        at += 1 + parent + child;
    }
}

bool *fdt_refs_find(const Fdt *tree, const char *path, const char *name, const uint8_t *data,
                    size_t cells, GHashTable *by_phandle)
{
    bool *refs = g_new0(bool, cells + 1);
    if (strcmp(name, "interrupt-map") == 0) {
        interrupt_map(tree, path, data, cells, by_phandle, refs);
        return refs;
    }
    const Rule *rule = NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(rules); i++)
        if (strcmp(rules[i].name, name) == 0)
            rule = &rules[i];
    size_t at = rule ? rule->before : 0;
    while (rule && at < cells) {
        refs[at] = true;
        const char *to = node_of(by_phandle, ld_be32(data + 4 * at));
        size_t more = rule->specifier && to ? fdt_tree_get_u32(tree, to, rule->specifier, 0) : 0;
        if (more > 64)
            break;
        at += 1 + more + rule->after + rule->before;
    }
    return refs;
}
