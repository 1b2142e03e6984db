/* SPDX-License-Identifier: MIT */
/* --check and --diff: lines about trees. */
#include "dtbgen.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>

static Fdt *open_tree(GBytes *bytes, const char *name, GError **error)
{
    Fdt *tree = fdt_tree_from_bytes(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), error);
    if (!tree)
        prefix(error, "%s", name);
    return tree;
}

/* ---- --diff -------------------------------------------------------------------------------- */

static void on_difference(void *opaque, const char *path, const char *prop, const char *a,
                          const char *b)
{
    *(bool *)opaque = false;
    if (!prop)
        printf("%s %s\n", a ? "-" : "+", path);
    else if (!b)
        printf("- %s %s%s%s\n", path, prop, *a == '[' && a[1] == ']' ? "" : " = ",
               *a == '[' && a[1] == ']' ? "" : a);
    else if (!a)
        printf("+ %s %s%s%s\n", path, prop, *b == '[' && b[1] == ']' ? "" : " = ",
               *b == '[' && b[1] == ']' ? "" : b);
    else
        printf("! %s %s = %s -> %s\n", path, prop, a, b);
}

bool dtbgen_diff(const char *a, const char *b, bool *same, GError **error)
{
    g_autoptr(GBytes) a_bytes = dtbgen_read(a, error);
    g_autoptr(GBytes) b_bytes = a_bytes ? dtbgen_read(b, error) : NULL;
    g_autoptr(Fdt) a_tree = b_bytes ? open_tree(a_bytes, a, error) : NULL;
    g_autoptr(Fdt) b_tree = a_tree ? open_tree(b_bytes, b, error) : NULL;
    if (!b_tree)
        return false;
    *same = true;
    fdt_tree_diff(a_tree, b_tree, on_difference, same);
    return true;
}

/* ---- --check ------------------------------------------------------------------------------- */

typedef struct {
    const char *name;
    const Fdt *tree;
    bool good;
} Check;

static void on_fault(void *opaque, const char *path, const char *line)
{
    Check *c = opaque;
    c->good = false;
    printf("%s: %s: %s\n", c->name, path, line);
}

/* What is the user's to choose, and what a boot loader fills in. */
static bool is_free(const char *path, const char *prop)
{
    static const char *const chosen[] = {"bootargs", "linux,initrd-start", "linux,initrd-end",
                                         "rng-seed", "kaslr-seed", "stdout-path", NULL};
    return (!strcmp(path, "/chosen") || !strcmp(path, "/secure-chosen")) && prop &&
           g_strv_contains(chosen, prop);
}

/* Beyond what the machine has there may be anything but processors and memory. */
static void on_check(void *opaque, const char *path, const char *prop, const char *machine,
                     const char *tree)
{
    Check *c = opaque;
    if (is_free(path, prop))
        return;
    if (!machine) {
        const char *kind = prop ? NULL : fdt_tree_get_string(c->tree, path, "device_type");
        if (kind && (!strcmp(kind, "cpu") || !strcmp(kind, "memory")))
            on_fault(c, path, "the machine has no such node");
        return;
    }
    g_autofree char *line = !prop ? g_strdup("missing")
                            : !tree ? g_strdup_printf("%s is missing: %s", prop, machine)
                            : g_strdup_printf("%s is %s, but the machine's is %s", prop, tree,
                                              machine);
    on_fault(c, path, line);
}

bool dtbgen_check(GBytes *bytes, GBytes *machine, const char *name, bool *good, GError **error)
{
    g_autoptr(Fdt) tree = open_tree(bytes, name, error);
    g_autoptr(Fdt) wanted = tree && machine ? open_tree(machine, "the machine", error) : NULL;
    if (!tree || (machine && !wanted))
        return false;
    Check c = {.name = name, .tree = tree, .good = true};
    fdt_tree_lint(tree, on_fault, &c);
    if (wanted)
        fdt_tree_diff(wanted, tree, on_check, &c);
    *good = c.good;
    return true;
}
