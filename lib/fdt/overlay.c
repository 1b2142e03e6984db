/* SPDX-License-Identifier: MIT */
/*
 * Overlays as dtc -@ makes them from /plugin/ sources (dtc's dt-object-internal): fragments, each with a
 * target and an __overlay__ that is merged into it; __fixups__, where phandles of labels of the base go;
 * __local_fixups__, where the overlay's own phandles are; __symbols__, its labels.
 *
 * Phandles of the overlay get new numbers, or that of the base's node which theirs is merged into, so
 * that no reference of the base is lost. Everything is looked up and checked: an overlay may
 * come from anybody, and libfdt trusts what it applies.
 */
#include "fdt/fdt.h"

#include "base/bytes.h"
#include "base/error.h"

#include <stdarg.h>
#include <string.h>

enum { FRAGMENTS_MAX = 4096 };

typedef struct {
    char *path;   /* "/fragment@0" */
    char *target; /* path in the base */
} Fragment;

typedef struct {
    Fdt *base, *over;
    GPtrArray *fragments;  /* Fragment */
    GHashTable *phandles;  /* the overlay's number to that in the result */
    GHashTable *resolved;  /* "PATH" of fragments whose target is a label's phandle: in the base */
    GError **error;
    bool failed;
} Merge;

static void fragment_free(gpointer data)
{
    Fragment *f = data;
    g_free(f->path);
    g_free(f->target);
    g_free(f);
}

static bool wrong(Merge *m, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
static bool wrong(Merge *m, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    if (!m->failed)
        fail(m->error, "the overlay does not fit: %s", text);
    m->failed = true;
    return false;
}

/* ---- References ------------------------------------------------------------- */

/* A cell of a property of the overlay. */
static bool patch(Merge *m, const char *path, const char *name, size_t offset, uint32_t value)
{
    size_t len;
    const void *data = fdt_tree_get(m->over, path, name, &len);
    if (!data || offset > len || len - offset < 4)
        return wrong(m, "it refers to byte %zu of %s %s, which is not there", offset, path, name);
    g_autofree uint8_t *copy = g_memdup2(data, len);
    st_be32(copy + offset, value);
    fdt_tree_bytes(m->over, path, name, copy, len);
    return true;
}

/* "path:property:offset" */
static bool fix_one(Merge *m, const char *where, uint32_t phandle)
{
    g_auto(GStrv) parts = g_strsplit(where, ":", -1);
    guint64 offset;
    if (g_strv_length(parts) != 3 ||
        !g_ascii_string_to_unsigned(parts[2], 10, 0, G_MAXINT, &offset, NULL))
        return wrong(m, "its __fixups__ have '%s'", where);
    if (g_str_has_prefix(parts[0], "/__")) /* the tables themselves, one of which is being read */
        return wrong(m, "its __fixups__ have '%s'", where);
    if (strcmp(parts[1], "target") == 0)
        g_hash_table_add(m->resolved, g_strdup(parts[0]));
    return patch(m, parts[0], parts[1], offset, phandle);
}

/* The phandle of a node of the base, which is given one if it has none. */
static uint32_t base_phandle(Merge *m, const char *path)
{
    uint32_t phandle = fdt_tree_get_phandle(m->base, path);
    if (!phandle)
        fdt_tree_phandle_set(m->base, path, phandle = fdt_tree_phandle_new(m->base));
    return phandle;
}

static void fix_label(void *opaque, const char *label, const void *data, size_t len)
{
    Merge *m = opaque;
    const char *path = fdt_tree_get_string(m->base, "/__symbols__", label), *where = data;
    if (m->failed)
        return;
    if (!path || !fdt_tree_has(m->base, path)) {
        wrong(m, "it wants label '%s'%s", label, fdt_tree_has(m->base, "/__symbols__") ? ""
              : ", and the tree has no __symbols__ (only target-path= can find nodes in it)");
        return;
    }
    if (!len || where[len - 1]) {
        wrong(m, "its __fixups__ for '%s' have no end", label);
        return;
    }
    uint32_t phandle = base_phandle(m, path);
    for (size_t i = 0; i < len && !m->failed; i += strlen(where + i) + 1)
        fix_one(m, where + i, phandle);
}

/* ---- Fragments -------------------------------------------------------------- */

/* Where a node of the overlay ends up, newly allocated; NULL: nowhere. */
static char *destination(const Merge *m, const char *path)
{
    for (guint i = 0; i < m->fragments->len; i++) {
        const Fragment *f = m->fragments->pdata[i];
        size_t len = strlen(f->path);
        const char *rest = path + len + strlen("/__overlay__");
        if (!g_str_has_prefix(path, f->path) || !g_str_has_prefix(path + len, "/__overlay__") ||
            (*rest && *rest != '/'))
            continue;
        bool root = strcmp(f->target, "/") == 0;
        return root && *rest ? g_strdup(rest) : g_strconcat(f->target, rest, NULL);
    }
    return NULL;
}

typedef struct {
    const Fdt *tree;
    uint32_t phandle;
    char *path;
} Search;

static bool search_phandle(void *opaque, const char *path)
{
    Search *s = opaque;
    if (fdt_tree_get_phandle(s->tree, path) != s->phandle)
        return true;
    s->path = g_strdup(path);
    return false;
}

/* The path of a node by its phandle, newly allocated, or NULL. */
static char *by_phandle(const Fdt *tree, uint32_t phandle)
{
    Search s = {.tree = tree, .phandle = phandle};
    if (phandle)
        fdt_tree_each(tree, search_phandle, &s);
    return s.path;
}

/* The target of a fragment: by path, by the phandle of a label of the base, or by that of a node which an
   earlier fragment brings. */
static char *target_of(Merge *m, const char *path)
{
    const char *by_path = fdt_tree_get_string(m->over, path, "target-path");
    if (by_path)
        return g_strdup(by_path);
    uint32_t phandle = fdt_tree_get_u32(m->over, path, "target", 0);
    g_autofree char *local = g_strconcat("/__local_fixups__", path, NULL);
    if (!g_hash_table_contains(m->resolved, path) &&
        fdt_tree_get(m->over, local, "target", NULL)) {
        g_autofree char *own = by_phandle(m->over, phandle);
        return own ? destination(m, own) : NULL;
    }
    return by_phandle(m->base, phandle);
}

static bool find_fragment(void *opaque, const char *path)
{
    Merge *m = opaque;
    g_autofree char *content = g_strconcat(path, "/__overlay__", NULL);
    if (!path[1] || strchr(path + 1, '/') || !fdt_tree_has(m->over, content))
        return !m->failed;
    if (m->fragments->len == FRAGMENTS_MAX)
        return wrong(m, "it has more than %d parts", FRAGMENTS_MAX);
    Fragment *f = g_new0(Fragment, 1);
    f->path = g_strdup(path);
    f->target = target_of(m, path);
    if (f->target && f->target[0] == '/')
        g_ptr_array_add(m->fragments, f);
    else {
        fragment_free(f);
        wrong(m, "nothing says where %s goes", path);
    }
    return !m->failed;
}

/* ---- Phandles --------------------------------------------------------------- */

static bool number_node(void *opaque, const char *path)
{
    Merge *m = opaque;
    uint32_t own = fdt_tree_get_phandle(m->over, path);
    g_autofree char *to = own ? destination(m, path) : NULL;
    if (!to)
        return true;
    uint32_t there = fdt_tree_has(m->base, to) ? fdt_tree_get_phandle(m->base, to) : 0;
    uint32_t number = there ? there : fdt_tree_phandle_new(m->base);
    g_hash_table_insert(m->phandles, GUINT_TO_POINTER(own), GUINT_TO_POINTER(number));
    fdt_tree_phandle_set(m->over, path, number);
    return true;
}

typedef struct {
    Merge *m;
    const char *path; /* of the node of the overlay */
} Local;

static void fix_local(void *opaque, const char *name, const void *data, size_t len)
{
    const Local *l = opaque;
    Merge *m = l->m;
    for (size_t i = 0; i + 4 <= len && !m->failed; i += 4) {
        uint32_t offset = ld_be32((const uint8_t *)data + i);
        size_t there;
        const uint8_t *value = fdt_tree_get(m->over, l->path, name, &there);
        uint32_t own = value && offset <= there && there - offset >= 4 ? ld_be32(value + offset) : 0;
        gpointer number = g_hash_table_lookup(m->phandles, GUINT_TO_POINTER(own));
        if (number)
            patch(m, l->path, name, offset, GPOINTER_TO_UINT(number));
        else
            wrong(m, "%s %s refers to a node of its own that is not there", l->path, name);
    }
}

static bool fix_local_node(void *opaque, const char *path)
{
    Merge *m = opaque;
    const char *root = "/__local_fixups__";
    if (!g_str_has_prefix(path, root) || path[strlen(root)] != '/')
        return true;
    Local l = {.m = m, .path = path + strlen(root)};
    g_autofree char *to = destination(m, l.path);
    if (to) /* the rest are targets, which were looked at */
        fdt_tree_each_prop(m->over, path, fix_local, &l);
    return !m->failed;
}

/* ---- Merging ---------------------------------------------------------------- */

typedef struct {
    Merge *m;
    const char *to;
} Copy;

static void copy_prop(void *opaque, const char *name, const void *data, size_t len)
{
    const Copy *c = opaque;
    fdt_tree_bytes(c->m->base, c->to, name, data, len);
}

static bool copy_node(void *opaque, const char *path)
{
    Merge *m = opaque;
    g_autofree char *to = destination(m, path);
    if (!to)
        return true;
    const char *content = strchr(path + 1, '/');
    if (strcmp(content, "/__overlay__") == 0 && !fdt_tree_has(m->base, to))
        return wrong(m, "there is no node %s", to);
    Copy c = {.m = m, .to = to};
    fdt_tree_node(m->base, to);
    fdt_tree_each_prop(m->over, path, copy_prop, &c);
    return true;
}

static void copy_symbol(void *opaque, const char *label, const void *data, size_t len)
{
    Merge *m = opaque;
    const char *path = data;
    g_autofree char *to = len && !path[len - 1] ? destination(m, path) : NULL;
    if (!to)
        return;
    fdt_tree_node(m->base, "/__symbols__");
    fdt_tree_string(m->base, "/__symbols__", label, to);
}

static bool merge(Merge *m)
{
    fdt_tree_each_prop(m->over, "/__fixups__", fix_label, m);
    if (!m->failed)
        fdt_tree_each(m->over, find_fragment, m);
    if (!m->failed && !m->fragments->len)
        return wrong(m, "no part of it is to be merged (dtc -@ makes overlays of /plugin/ sources)");
    if (!m->failed)
        fdt_tree_each(m->over, number_node, m);
    if (!m->failed)
        fdt_tree_each(m->over, fix_local_node, m);
    if (!m->failed)
        fdt_tree_each(m->over, copy_node, m);
    if (!m->failed)
        fdt_tree_each_prop(m->over, "/__symbols__", copy_symbol, m);
    return !m->failed;
}

GBytes *fdt_merge(GBytes *base, GBytes *overlay, GError **error)
{
    g_autoptr(Fdt) first = fdt_tree_from_bytes(g_bytes_get_data(base, NULL),
                                               g_bytes_get_size(base), error);
    if (!first)
        return NULL;
    g_autoptr(Fdt) second = fdt_tree_from_bytes(g_bytes_get_data(overlay, NULL),
                                                g_bytes_get_size(overlay), error);
    if (!second) {
        prefix(error, "the overlay");
        return NULL;
    }
    Merge m = {.base = first, .over = second, .error = error,
               .fragments = g_ptr_array_new_with_free_func(fragment_free),
               .phandles = g_hash_table_new(NULL, NULL),
               .resolved = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL)};
    GBytes *out = merge(&m) ? fdt_tree_finish(first, error) : NULL;
    g_ptr_array_free(m.fragments, TRUE);
    g_hash_table_unref(m.phandles);
    g_hash_table_unref(m.resolved);
    return out;
}
