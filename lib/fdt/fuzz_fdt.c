/* SPDX-License-Identifier: MIT */
/* Any bytes as a device tree: refused, or read and written again to a tree that reads the same. */
#include "fdt/fdt.h"

static void ignore_line(void *opaque G_GNUC_UNUSED, const char *path G_GNUC_UNUSED,
                        const char *line G_GNUC_UNUSED)
{
}

static void no_difference(void *opaque G_GNUC_UNUSED, const char *path, const char *prop,
                          const char *in_a G_GNUC_UNUSED, const char *in_b G_GNUC_UNUSED)
{
    g_error("a tree differs from itself at %s %s", path, prop ? prop : "");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(Fdt) tree = fdt_tree_from_bytes(data, size, NULL);
    if (!tree)
        return 0;
    g_autoptr(GBytes) first = fdt_tree_finish(tree, NULL);
    if (!first)
        return 0;
    g_autoptr(Fdt) again =
        fdt_tree_from_bytes(g_bytes_get_data(first, NULL), g_bytes_get_size(first), NULL);
    g_autoptr(GBytes) second = again ? fdt_tree_finish(again, NULL) : NULL;
    if (!second || !g_bytes_equal(first, second))
        g_error("a tree that was written does not read the same");
    g_free(fdt_tree_dts(tree));
    fdt_tree_lint(tree, ignore_line, NULL);
    fdt_tree_diff(tree, again, no_difference, NULL);
    return 0;
}
