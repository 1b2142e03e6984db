/* SPDX-License-Identifier: MIT */
/*
 * The tree is held as nodes and properties, in the order they were made, with an index by path;
 * libfdt turns it into a blob (sequential write) and checks and walks blobs that come in.
 */
#include "fdt/fdt.h"

#include "base/bytes.h"
#include "base/error.h"

#include <libfdt.h>
#include <stdarg.h>
#include <string.h>

#define FDT_MAX ((size_t)64 << 20)
#define FDT_MAX_DEPTH 64 /* of nodes in a tree that is read */

typedef struct {
    char *name;
    uint8_t *data;
    size_t len;
} Prop;

typedef struct Node {
    char *path;       /* "" for the root; its last part is the name */
    struct Node *parent;
    GPtrArray *props; /* Prop */
    GPtrArray *nodes; /* Node */
} Node;

typedef struct {
    uint64_t addr, size;
} Reserve;

struct Fdt {
    Node *root;
    GHashTable *by_path; /* char * of the node's own, to Node */
    GArray *reserves;
    uint32_t last_phandle;
    char *failure; /* the first */
};

static void prop_free(gpointer data)
{
    Prop *prop = data;
    g_free(prop->name);
    g_free(prop->data);
    g_free(prop);
}

/* The index owns the nodes. */
static void node_free(gpointer data)
{
    Node *node = data;
    g_ptr_array_free(node->props, TRUE);
    g_ptr_array_free(node->nodes, TRUE);
    g_free(node->path);
    g_free(node);
}

static Node *node_new(Fdt *tree, Node *parent, const char *path)
{
    Node *node = g_new0(Node, 1);
    node->path = g_strdup(path);
    node->parent = parent;
    node->props = g_ptr_array_new_with_free_func(prop_free);
    node->nodes = g_ptr_array_new();
    if (parent)
        g_ptr_array_add(parent->nodes, node);
    g_hash_table_insert(tree->by_path, node->path, node);
    return node;
}

Fdt *fdt_tree_new(void)
{
    Fdt *tree = g_new0(Fdt, 1);
    tree->by_path = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, node_free);
    tree->reserves = g_array_new(FALSE, FALSE, sizeof(Reserve));
    tree->root = node_new(tree, NULL, "");
    return tree;
}

void fdt_tree_free(Fdt *tree)
{
    if (!tree)
        return;
    g_hash_table_destroy(tree->by_path);
    g_array_free(tree->reserves, TRUE);
    g_free(tree->failure);
    g_free(tree);
}

static void note_failure(Fdt *tree, const char *path, const char *name, const char *what)
{
    if (!tree->failure)
        tree->failure = g_strdup_printf("device tree: %s%s%s: %s", path, name ? ": " : "",
                                        name ? name : "", what);
}

static Node *find(const Fdt *tree, const char *path)
{
    return g_hash_table_lookup(tree->by_path, strcmp(path, "/") == 0 ? "" : path);
}

static Prop *find_prop(const Node *node, const char *name)
{
    for (guint i = 0; i < node->props->len; i++) {
        Prop *prop = g_ptr_array_index(node->props, i);
        if (strcmp(prop->name, name) == 0)
            return prop;
    }
    return NULL;
}

/* ---- Building ------------------------------------------------------------ */

void fdt_tree_node(Fdt *tree, const char *path)
{
    if (find(tree, path))
        return;
    const char *slash = strrchr(path, '/');
    if (!slash || !slash[1]) {
        note_failure(tree, path, NULL, "not the path of a node");
        return;
    }
    g_autofree char *above = g_strndup(path, (gsize)(slash - path));
    Node *parent = find(tree, above);
    if (!parent)
        note_failure(tree, path, NULL, "there is no parent node");
    else
        node_new(tree, parent, path);
}

void fdt_tree_node_remove(Fdt *tree, const char *path)
{
    Node *node = find(tree, path);
    if (!node || !node->parent)
        return;
    g_ptr_array_remove(node->parent->nodes, node);
    /* It and all below it leave the index, which frees them. */
    g_autofree char *below = g_strconcat(node->path, "/", NULL);
    g_autofree char *own = g_strdup(node->path);
    GHashTableIter iter;
    gpointer key;
    g_hash_table_iter_init(&iter, tree->by_path);
    while (g_hash_table_iter_next(&iter, &key, NULL))
        if (strcmp(key, own) == 0 || g_str_has_prefix(key, below))
            g_hash_table_iter_remove(&iter);
}

void fdt_tree_bytes(Fdt *tree, const char *path, const char *name, const void *data, size_t len)
{
    Node *node = find(tree, path);
    if (!node || len > FDT_MAX) {
        note_failure(tree, path, name, node ? "the property is too large" : "there is no such node");
        return;
    }
    Prop *prop = find_prop(node, name);
    if (!prop) {
        prop = g_new0(Prop, 1);
        prop->name = g_strdup(name);
        g_ptr_array_add(node->props, prop);
    }
    uint8_t *copy = len ? g_memdup2(data, len) : NULL;
    g_free(prop->data);
    prop->data = copy;
    prop->len = len;
}

void fdt_tree_empty(Fdt *tree, const char *path, const char *name)
{
    fdt_tree_bytes(tree, path, name, NULL, 0);
}

void fdt_tree_u32(Fdt *tree, const char *path, const char *name, uint32_t value)
{
    fdt_tree_cells(tree, path, name, &value, 1);
}

void fdt_tree_u64(Fdt *tree, const char *path, const char *name, uint64_t value)
{
    uint8_t be[8];
    st_be64(be, value);
    fdt_tree_bytes(tree, path, name, be, sizeof be);
}

void fdt_tree_cells(Fdt *tree, const char *path, const char *name, const uint32_t *cells,
                    size_t count)
{
    g_autofree uint8_t *be = g_malloc_n(count, 4);
    for (size_t i = 0; i < count; i++)
        st_be32(be + 4 * i, cells[i]);
    fdt_tree_bytes(tree, path, name, be, 4 * count);
}

void fdt_tree_string(Fdt *tree, const char *path, const char *name, const char *value)
{
    fdt_tree_bytes(tree, path, name, value, strlen(value) + 1);
}

void fdt_tree_strings(Fdt *tree, const char *path, const char *name, ...)
{
    g_autoptr(GByteArray) list = g_byte_array_new();
    va_list ap;
    va_start(ap, name);
    for (const char *s = va_arg(ap, const char *); s; s = va_arg(ap, const char *))
        g_byte_array_append(list, (const uint8_t *)s, (guint)strlen(s) + 1);
    va_end(ap);
    fdt_tree_bytes(tree, path, name, list->data, list->len);
}

void fdt_tree_reg(Fdt *tree, const char *path, uint64_t addr, uint64_t size)
{
    uint32_t cells[4] = {(uint32_t)(addr >> 32), (uint32_t)addr, (uint32_t)(size >> 32),
                         (uint32_t)size};
    fdt_tree_cells(tree, path, "reg", cells, 4);
}

void fdt_tree_prop_remove(Fdt *tree, const char *path, const char *name)
{
    Node *node = find(tree, path);
    Prop *prop = node ? find_prop(node, name) : NULL;
    if (prop)
        g_ptr_array_remove(node->props, prop);
}

uint32_t fdt_tree_phandle_new(Fdt *tree)
{
    return ++tree->last_phandle;
}

void fdt_tree_phandle_set(Fdt *tree, const char *path, uint32_t phandle)
{
    fdt_tree_u32(tree, path, "phandle", phandle);
}

void fdt_tree_reserve(Fdt *tree, uint64_t addr, uint64_t size)
{
    Reserve r = {addr, size};
    g_array_append_val(tree->reserves, r);
}

/* ---- To and from blobs ---------------------------------------------------- */

static const char *node_name(const Node *node)
{
    const char *slash = strrchr(node->path, '/');
    return slash ? slash + 1 : "";
}

/* Depth is bounded: a blob's by FDT_MAX_DEPTH, a board's by its code. */
static int write_node(void *blob, const Node *node)
{
    int rc = fdt_begin_node(blob, node_name(node));
    for (guint i = 0; i < node->props->len && rc == 0; i++) {
        const Prop *prop = g_ptr_array_index(node->props, i);
        rc = fdt_property(blob, prop->name, prop->len ? (const void *)prop->data : "",
                          (int)prop->len);
    }
    for (guint i = 0; i < node->nodes->len && rc == 0; i++)
        rc = write_node(blob, g_ptr_array_index(node->nodes, i));
    return rc ? rc : fdt_end_node(blob);
}

static int write_tree(const Fdt *tree, void *blob, size_t size)
{
    int rc = fdt_create(blob, (int)size);
    for (guint i = 0; i < tree->reserves->len && rc == 0; i++) {
        const Reserve *r = &g_array_index(tree->reserves, Reserve, i);
        rc = fdt_add_reservemap_entry(blob, r->addr, r->size);
    }
    if (rc == 0)
        rc = fdt_finish_reservemap(blob);
    if (rc == 0)
        rc = write_node(blob, tree->root);
    return rc ? rc : fdt_finish(blob);
}

GBytes *fdt_tree_finish(Fdt *tree, GError **error)
{
    return fdt_tree_finish_with_room(tree, 0, error);
}

GBytes *fdt_tree_finish_with_room(Fdt *tree, size_t room, GError **error)
{
    if (tree->failure) {
        fail(error, "%s", tree->failure);
        return NULL;
    }
    int rc = -FDT_ERR_NOSPACE;
    for (size_t size = 16384; rc == -FDT_ERR_NOSPACE && size <= FDT_MAX; size *= 2) {
        uint8_t *blob = g_malloc0(size);
        rc = write_tree(tree, blob, size);
        if (rc == 0) {
            size_t all = fdt_totalsize(blob) + room;
            blob = g_realloc(blob, MAX(all, size));
            if (all > size)
                memset(blob + size, 0, all - size);
            fdt_set_totalsize(blob, (uint32_t)all);
            return g_bytes_new_take(blob, all);
        }
        g_free(blob);
    }
    fail(error, "device tree: %s", fdt_strerror(rc));
    return NULL;
}

static const char *read_node(Fdt *tree, const void *blob, int offset, Node *node)
{
    int prop, len;
    fdt_for_each_property_offset(prop, blob, offset) {
        const char *name;
        const void *data = fdt_getprop_by_offset(blob, prop, &name, &len);
        if (!data)
            return "a property cannot be read";
        fdt_tree_bytes(tree, node->path, name, data, (size_t)len);
    }
    return NULL;
}

static const char *read_tree(Fdt *tree, const void *blob)
{
    Node *stack[FDT_MAX_DEPTH] = {tree->root};
    const char *wrong = read_node(tree, blob, 0, tree->root);
    int depth = 0;
    for (int offset = fdt_next_node(blob, 0, &depth); offset >= 0 && depth > 0 && !wrong;
         offset = fdt_next_node(blob, offset, &depth)) {
        if (depth >= FDT_MAX_DEPTH)
            return "its nodes are nested too deeply";
        const char *name = fdt_get_name(blob, offset, NULL);
        if (!name || !name[0] || strchr(name, '/'))
            return "a node has no proper name";
        g_autofree char *path = g_strdup_printf("%s/%s", stack[depth - 1]->path, name);
        if (find(tree, path))
            return "two nodes have the same path";
        stack[depth] = node_new(tree, stack[depth - 1], path);
        wrong = read_node(tree, blob, offset, stack[depth]);
        uint32_t phandle = fdt_tree_get_u32(tree, path, "phandle", 0);
        if (phandle != UINT32_MAX)
            tree->last_phandle = MAX(tree->last_phandle, phandle);
    }
    for (int i = 0; i < fdt_num_mem_rsv(blob) && !wrong; i++) {
        uint64_t addr, size;
        if (fdt_get_mem_rsv(blob, i, &addr, &size) == 0)
            fdt_tree_reserve(tree, addr, size);
    }
    return wrong;
}

Fdt *fdt_tree_from_bytes(const void *data, size_t len, GError **error)
{
    if (len > FDT_MAX) {
        fail(error, "a device tree of %zu bytes is larger than the limit of %zu", len, FDT_MAX);
        return NULL;
    }
    g_autofree uint8_t *copy = g_memdup2(data, len); /* libfdt wants it aligned */
    int rc = len < sizeof(struct fdt_header) ? -FDT_ERR_TRUNCATED : fdt_check_header(copy);
    /* Before version 17 a tree does not say how long its structure is, and libfdt reads past it. */
    if (rc == 0 && (fdt_version(copy) < 17 || fdt_totalsize(copy) > len))
        rc = fdt_version(copy) < 17 ? -FDT_ERR_BADVERSION : -FDT_ERR_TRUNCATED;
    if (rc == 0)
        rc = fdt_check_full(copy, len);
    if (rc != 0) {
        fail(error, "not a device tree: %s", fdt_strerror(rc));
        return NULL;
    }
    Fdt *tree = fdt_tree_new();
    const char *wrong = read_tree(tree, copy);
    if (!wrong)
        return tree;
    fail(error, "not a device tree we can use: %s", wrong);
    fdt_tree_free(tree);
    return NULL;
}

/* ---- Queries ------------------------------------------------------------- */

bool fdt_tree_has(const Fdt *tree, const char *path)
{
    return find(tree, path) != NULL;
}

const void *fdt_tree_get(const Fdt *tree, const char *path, const char *name, size_t *len)
{
    const Node *node = find(tree, path);
    const Prop *prop = node ? find_prop(node, name) : NULL;
    if (len)
        *len = prop ? prop->len : 0;
    if (!prop)
        return NULL;
    return prop->len ? (const void *)prop->data : "";
}

uint32_t fdt_tree_get_u32(const Fdt *tree, const char *path, const char *name, uint32_t def)
{
    size_t len;
    const void *data = fdt_tree_get(tree, path, name, &len);
    return len >= 4 ? ld_be32(data) : def;
}

const char *fdt_tree_get_string(const Fdt *tree, const char *path, const char *name)
{
    size_t len;
    const char *s = fdt_tree_get(tree, path, name, &len);
    return s && len && memchr(s, 0, len) ? s : NULL;
}

uint32_t fdt_tree_get_phandle(const Fdt *tree, const char *path)
{
    return fdt_tree_get_u32(tree, path, "phandle", 0);
}

static bool each(const Node *node, bool (*f)(void *opaque, const char *path), void *opaque)
{
    if (!f(opaque, node->path[0] ? node->path : "/"))
        return false;
    for (guint i = 0; i < node->nodes->len; i++)
        if (!each(g_ptr_array_index(node->nodes, i), f, opaque))
            return false;
    return true;
}

void fdt_tree_each(const Fdt *tree, bool (*f)(void *opaque, const char *path), void *opaque)
{
    each(tree->root, f, opaque);
}

void fdt_tree_each_prop(const Fdt *tree, const char *path,
                        void (*f)(void *opaque, const char *name, const void *data, size_t len),
                        void *opaque)
{
    const Node *node = find(tree, path);
    for (guint i = 0; node && i < node->props->len; i++) {
        const Prop *prop = g_ptr_array_index(node->props, i);
        f(opaque, prop->name, prop->len ? (const void *)prop->data : "", prop->len);
    }
}

void fdt_tree_each_reserve(const Fdt *tree, void (*f)(void *opaque, uint64_t addr, uint64_t size),
                           void *opaque)
{
    for (guint i = 0; i < tree->reserves->len; i++) {
        const Reserve *r = &g_array_index(tree->reserves, Reserve, i);
        f(opaque, r->addr, r->size);
    }
}
