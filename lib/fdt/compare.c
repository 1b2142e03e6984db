/* SPDX-License-Identifier: MIT */
/* What differs between two trees, and what is wrong with one. */
#include "fdt/refs_priv.h"

#include "base/bytes.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

/* ---- Two trees ------------------------------------------------------------- */

typedef struct {
    const Fdt *a, *b;
    GHashTable *in_a, *in_b; /* phandles */
    bool second;             /* going through b, for what a does not have */
    const char *path;
    void (*f)(void *opaque, const char *path, const char *prop, const char *in_a, const char *in_b);
    void *opaque;
} Diff;

static void diff_prop(void *opaque, const char *name, const void *data, size_t len)
{
    Diff *d = opaque;
    if (strcmp(name, "phandle") == 0 || strcmp(name, "linux,phandle") == 0)
        return;
    const Fdt *own = d->second ? d->b : d->a, *other = d->second ? d->a : d->b;
    size_t other_len;
    const uint8_t *there = fdt_tree_get(other, d->path, name, &other_len);
    if (there && (d->second || fdt_refs_is_seed(name)))
        return;
    g_autofree char *mine = fdt_refs_text(own, d->path, name, data, len,
                                          d->second ? d->in_b : d->in_a);
    g_autofree char *theirs = there ? fdt_refs_text(other, d->path, name, there, other_len, d->in_b)
                                    : NULL;
    if (!theirs)
        d->f(d->opaque, d->path, name, d->second ? NULL : mine, d->second ? mine : NULL);
    else if (strcmp(mine, theirs) != 0)
        d->f(d->opaque, d->path, name, mine, theirs);
}

static bool diff_node(void *opaque, const char *path)
{
    Diff *d = opaque;
    d->path = path;
    if (!fdt_tree_has(d->second ? d->a : d->b, path))
        d->f(d->opaque, path, NULL, d->second ? NULL : "", d->second ? "" : NULL);
    else
        fdt_tree_each_prop(d->second ? d->b : d->a, path, diff_prop, d);
    return true;
}

void fdt_tree_diff(const Fdt *a, const Fdt *b,
                   void (*f)(void *opaque, const char *path, const char *prop, const char *in_a,
                             const char *in_b),
                   void *opaque)
{
    Diff d = {.a = a, .b = b, .in_a = fdt_refs_index(a), .in_b = fdt_refs_index(b), .f = f,
              .opaque = opaque};
    fdt_tree_each(a, diff_node, &d);
    d.second = true;
    fdt_tree_each(b, diff_node, &d);
    g_hash_table_unref(d.in_a);
    g_hash_table_unref(d.in_b);
}

/* ---- One tree -------------------------------------------------------------- */

typedef struct {
    const Fdt *tree;
    GHashTable *by_phandle;
    const char *path;
    unsigned cpus, memories;
    void (*f)(void *opaque, const char *path, const char *line);
    void *opaque;
} Lint;

static void say(Lint *l, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
static void say(Lint *l, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *line = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    l->f(l->opaque, l->path, line);
}

static void lint_prop(void *opaque, const char *name, const void *data, size_t len)
{
    Lint *l = opaque;
    const uint8_t *bytes = data;
    if (len % 4)
        return;
    g_autofree bool *refs = fdt_refs_find(l->tree, l->path, name, bytes, len / 4, l->by_phandle);
    for (size_t i = 0; i < len / 4; i++) {
        uint32_t value = ld_be32(bytes + 4 * i);
        if (refs[i] && value && !g_hash_table_lookup(l->by_phandle, GUINT_TO_POINTER(value)))
            say(l, "%s refers to phandle %#x, which no node has", name, value);
    }
}

static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == path ? g_strdup("/") : g_strndup(path, (gsize)(slash - path));
}

/* reg against the parent's cells, and its first address against the name. */
static void lint_reg(Lint *l)
{
    size_t len;
    const uint8_t *reg = fdt_tree_get(l->tree, l->path, "reg", &len);
    const char *at = strchr(strrchr(l->path, '/'), '@');
    if (!reg) {
        if (at && !fdt_tree_get(l->tree, l->path, "ranges", NULL))
            say(l, "the name has an address, but there is no reg");
        return;
    }
    g_autofree char *parent = parent_of(l->path);
    size_t address = fdt_tree_get_u32(l->tree, parent, "#address-cells", 2);
    size_t size = fdt_tree_get_u32(l->tree, parent, "#size-cells", 1);
    if (address > 4 || size > 4 || !len || len % (4 * (address + size))) {
        say(l, "reg has %zu bytes, which is not a number of addresses of %zu and sizes of %zu cells",
            len, address, size);
        return;
    }
    if (address < 1 || address > 2 || !at)
        return;
    uint64_t first = address == 2 ? ld_be64(reg) : ld_be32(reg);
    char *end;
    uint64_t named = g_ascii_strtoull(at + 1, &end, 16);
    bool pci = g_strcmp0(fdt_tree_get_string(l->tree, l->path, "device_type"), "pci") == 0;
    if (!pci && (*end || named != first))
        say(l, "the name says @%s, reg %#" PRIx64, at + 1, first);
}

static void lint_cpu(Lint *l)
{
    l->cpus++;
    if (!fdt_tree_get_string(l->tree, l->path, "compatible"))
        say(l, "a CPU without compatible");
    if (!fdt_tree_get(l->tree, l->path, "reg", NULL))
        say(l, "a CPU without reg");
}

static bool lint_node(void *opaque, const char *path)
{
    Lint *l = opaque;
    l->path = path;
    if (path[1])
        lint_reg(l);
    const char *kind = fdt_tree_get_string(l->tree, path, "device_type");
    /* Not all architectures say of what kind it is. */
    bool named = g_str_has_prefix(path, "/cpus/cpu@") && !strchr(path + strlen("/cpus/cpu@"), '/');
    if (named || g_strcmp0(kind, "cpu") == 0)
        lint_cpu(l);
    if (g_strcmp0(kind, "memory") == 0)
        l->memories++;
    uint32_t phandle = fdt_tree_get_phandle(l->tree, path);
    if (phandle && strcmp(g_hash_table_lookup(l->by_phandle, GUINT_TO_POINTER(phandle)), path) != 0)
        say(l, "phandle %#x is that of %s, too", phandle,
            (const char *)g_hash_table_lookup(l->by_phandle, GUINT_TO_POINTER(phandle)));
    if (fdt_tree_get(l->tree, path, "interrupt-controller", NULL) &&
        !fdt_tree_get(l->tree, path, "#interrupt-cells", NULL))
        say(l, "an interrupt controller without #interrupt-cells");
    fdt_tree_each_prop(l->tree, path, lint_prop, l);
    return true;
}

static void lint_root(Lint *l)
{
    static const char *const needed[] = {"compatible", "#address-cells", "#size-cells"};
    l->path = "/";
    for (size_t i = 0; i < G_N_ELEMENTS(needed); i++)
        if (!fdt_tree_get(l->tree, "/", needed[i], NULL))
            say(l, "%s is missing", needed[i]);
    if (!l->cpus)
        say(l, "there is no CPU");
    if (!l->memories)
        say(l, "there is no memory");
    const char *console = fdt_tree_get_string(l->tree, "/chosen", "stdout-path");
    if (!console)
        return;
    l->path = "/chosen";
    g_autofree char *path = g_strndup(console, strcspn(console, ":"));
    const char *alias = path[0] == '/' ? path : fdt_tree_get_string(l->tree, "/aliases", path);
    if (!alias || !fdt_tree_has(l->tree, alias))
        say(l, "stdout-path names %s, which is not there", path);
}

void fdt_tree_lint(const Fdt *tree, void (*f)(void *opaque, const char *path, const char *line),
                   void *opaque)
{
    Lint l = {.tree = tree, .by_phandle = fdt_refs_index(tree), .f = f, .opaque = opaque};
    fdt_tree_each(tree, lint_node, &l);
    lint_root(&l);
    g_hash_table_unref(l.by_phandle);
}
