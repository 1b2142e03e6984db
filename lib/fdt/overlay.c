/* SPDX-License-Identifier: MIT */
/* Overlays (dtc's "plugin" blobs) over libfdt. */
#include "fdt/fdt.h"

#include "base/error.h"

#include <libfdt.h>
#include <string.h>

#define MERGED_MAX ((size_t)128 << 20)

static bool look_for_overlay(void *opaque, const char *path)
{
    *(bool *)opaque |= g_str_has_suffix(path, "/__overlay__");
    return !*(bool *)opaque;
}

GBytes *fdt_merge(GBytes *base, GBytes *overlay, GError **error)
{
    gsize base_len, len;
    const void *base_data = g_bytes_get_data(base, &base_len);
    const void *data = g_bytes_get_data(overlay, &len);
    /* Both in full, with their limits, as libfdt trusts what it merges. */
    g_autoptr(Fdt) first = fdt_tree_from_bytes(base_data, base_len, error);
    if (!first)
        return NULL;
    g_autoptr(Fdt) second = fdt_tree_from_bytes(data, len, error);
    if (!second) {
        prefix(error, "the overlay");
        return NULL;
    }
    bool is_overlay = false;
    fdt_tree_each(second, look_for_overlay, &is_overlay);
    if (!is_overlay) {
        fail(error, "the overlay is none: no part of it is to be merged (dtc -@ and /plugin/ make them)");
        return NULL;
    }
    /* It damages both when it fails, as it does for want of room: symbols grow by where they go. */
    g_autofree void *out = NULL;
    int rc = -FDT_ERR_NOSPACE;
    for (size_t room = base_len + 2 * len + 4096; rc == -FDT_ERR_NOSPACE && room <= MERGED_MAX;
         room *= 2) {
        g_autofree void *copy = g_memdup2(data, len);
        g_free(out);
        out = g_malloc0(room);
        rc = fdt_open_into(base_data, out, (int)room);
        if (rc == 0)
            rc = fdt_overlay_apply(out, copy);
    }
    if (rc == -FDT_ERR_NOTFOUND || rc == -FDT_ERR_BADPHANDLE || rc == -FDT_ERR_BADOVERLAY) {
        fail(error, "the overlay does not fit: %s%s", fdt_strerror(rc),
             fdt_tree_has(first, "/__symbols__") ? ""
             : " (the tree has no __symbols__, so that only target-path= can find nodes)");
        return NULL;
    }
    if (rc != 0) {
        fail(error, "the overlay cannot be applied: %s", fdt_strerror(rc));
        return NULL;
    }
    rc = fdt_pack(out);
    if (rc != 0) {
        fail(error, "the overlay cannot be applied: %s", fdt_strerror(rc));
        return NULL;
    }
    size_t total = fdt_totalsize(out);
    return g_bytes_new(out, total);
}
