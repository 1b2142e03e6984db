/* SPDX-License-Identifier: MIT */
/* Overlays from anybody, and settings, over a tree of ours. The first byte chooses. */
#include "fdt/fdt.h"

static GBytes *base_tree(void)
{
    g_autoptr(Fdt) tree = fdt_tree_new();
    fdt_tree_u32(tree, "/", "#address-cells", 2);
    fdt_tree_node(tree, "/chosen");
    fdt_tree_node(tree, "/soc");
    fdt_tree_phandle_set(tree, "/soc", fdt_tree_phandle_new(tree));
    fdt_tree_node(tree, "/__symbols__");
    fdt_tree_string(tree, "/__symbols__", "soc", "/soc");
    return fdt_tree_finish(tree, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    g_autoptr(GBytes) base = base_tree();
    if (data[0] == 's') {
        g_autofree char *text = g_strndup((const char *)data + 1, size - 1);
        g_autoptr(Fdt) tree = fdt_tree_from_bytes(g_bytes_get_data(base, NULL),
                                                  g_bytes_get_size(base), NULL);
        g_autoptr(GError) error = NULL;
        bool ok = fdt_tree_set_text(tree, text, &error);
        g_autoptr(GBytes) out = fdt_tree_finish(tree, NULL);
        if (ok != !error || !out)
            g_error("a setting that was taken cannot be written");
        return 0;
    }
    g_autoptr(GBytes) overlay = g_bytes_new(data + 1, size - 1);
    g_autoptr(GBytes) out = fdt_merge(base, overlay, NULL);
    if (out) {
        g_autoptr(Fdt) tree = fdt_tree_from_bytes(g_bytes_get_data(out, NULL),
                                                  g_bytes_get_size(out), NULL);
        (void)tree; /* it may be deeper than we read */
    }
    return 0;
}
