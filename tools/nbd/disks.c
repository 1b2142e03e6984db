/* SPDX-License-Identifier: MIT */
/* Opening what is to be served, and offering it. */
#include "tool.h"

#include "base/error.h"
#include "base/option.h"
#include "block/bitmap.h"
#include "block/image.h"

#include <json-c/json.h>
#include <string.h>

unsigned disks_count(const Tool *tool)
{
    return tool->exports->len ? tool->exports->len : tool->images->len;
}

/* ---- Images on the command line ---------------------------------------------- */

static bool set(struct json_object *tree, const char *path, const char *value, GError **error)
{
    return !value || block_options_set(tree, path, value, error);
}

static struct json_object *image_tree(const Tool *t, BlockGraph *graph, const char *name,
                                      GError **error)
{
    struct json_object *tree = t->image_opts ? block_options_parse(name, "driver", error)
                                             : block_image_options(graph, name, t->format, error);
    bool ok = tree && set(tree, "discard", t->discard, error) &&
              set(tree, "detect-zeroes", t->detect_zeroes, error) &&
              set(tree, t->image_opts ? "aio" : "file.aio", t->aio, error);
    if (!ok)
        g_clear_pointer(&tree, json_object_put);
    return tree;
}

/* What snapshot.id=, snapshot.name= or a bare word names. */
static const char *snapshot_word(const char *text)
{
    return g_str_has_prefix(text, "snapshot.id=")     ? text + strlen("snapshot.id=")
           : g_str_has_prefix(text, "snapshot.name=") ? text + strlen("snapshot.name=")
                                                      : text;
}

/* A raw node over node that begins at offset; node's reference is the caller's still. */
static BlockNode *shifted(BlockGraph *graph, BlockNode *node, uint64_t offset, GError **error)
{
    if (offset >= block_node_size(node))
        return fail(error, "the image is %" G_GUINT64_FORMAT " bytes long: nothing is at offset %" G_GUINT64_FORMAT,
                    block_node_size(node), offset), NULL;
    struct json_object *tree = json_object_new_object();
    json_object_object_add(tree, "driver", json_object_new_string("raw"));
    json_object_object_add(tree, "offset", json_object_new_int64((int64_t)offset));
    json_object_object_add(tree, "file", json_object_new_string(block_node_name(node)));
    BlockNode *raw = block_open(graph, tree, block_node_read_only(node) ? BLOCK_OPEN_READ_ONLY : 0, error);
    json_object_put(tree);
    return raw;
}

static BlockNode *open_image(const Tool *t, BlockGraph *graph, const char *name, GError **error)
{
    unsigned flags = t->read_only ? BLOCK_OPEN_READ_ONLY : 0;
    bool writethrough;
    if (!block_cache_parse(t->cache ? t->cache : "writeback", &flags, &writethrough, error))
        return prefix(error, "Invalid cache mode `%s'", t->cache), NULL;
    if (t->snapshot)
        flags |= BLOCK_OPEN_READ_ONLY;
    struct json_object *tree = image_tree(t, graph, name, error);
    if (!tree)
        return NULL;
    g_autoptr(BlockNode) node = block_open(graph, tree, flags, error);
    json_object_put(tree);
    if (!node)
        return NULL;
    if (t->load_snapshot && !block_snapshot_load(node, snapshot_word(t->load_snapshot), error))
        return prefix(error, "Failed to load snapshot"), NULL;
    if (t->snapshot) {
        BlockNode *layer = block_snapshot_layer(node, error);
        if (!layer)
            return NULL;
        block_node_unref(node);
        node = layer;
    }
    if (t->offset)
        return shifted(graph, node, t->offset, error);
    return g_steal_pointer(&node);
}

static bool is_writethrough(const char *cache)
{
    unsigned flags = 0;
    bool writethrough = false;
    return cache && block_cache_parse(cache, &flags, &writethrough, NULL) && writethrough;
}

static bool offer_image(const Tool *t, BlockGraph *graph, ExportNbd *server, unsigned i,
                        GPtrArray *held, GError **error)
{
    g_autofree char *name = disks_name(t, i);
    BlockNode *node = open_image(t, graph, t->images->pdata[i], error);
    if (!node)
        return t->voice.compatible
                   ? prefix(error, "Failed to blk_new_open '%s'", (char *)t->images->pdata[i])
                   : false;
    g_ptr_array_add(held, node);
    ExportDisk disk = { .name = name, .description = t->description, .node = node, .depth = t->depth,
                        .writable = !t->read_only, .writethrough = is_writethrough(t->cache),
                        .bitmaps = t->bitmaps->len ? (const char *const *)t->bitmaps->pdata : NULL,
                        .multi_conn = t->shared != 1 || t->what == NBD_CONNECT };
    return export_nbd_add(server, &disk, error);
}

/* ---- --export ------------------------------------------------------------------ */

typedef struct {
    char *node, *name, *description;
    bool writable, depth;
    GPtrArray *bitmaps;
} Spec;

static bool read_spec(const char *text, Spec *spec, GError **error)
{
    static const char *const types[] = { "nbd", NULL };
    g_autoptr(Options) o = options_parse(text, "type", error);
    int type = 0;
    if (!o || !options_get_enum(o, "type", types, &type, error))
        return false;
    options_get(o, "id");
    const char *node = options_need(o, "node-name", error);
    if (!node)
        return false;
    spec->node = g_strdup(node);
    spec->name = g_strdup(options_has(o, "name") ? options_get(o, "name") : node);
    spec->description = g_strdup(options_get(o, "description"));
    if (!options_get_bool(o, "writable", &spec->writable, error) ||
        !options_get_bool(o, "allocation-depth", &spec->depth, error))
        return false;
    spec->bitmaps = g_ptr_array_new_with_free_func(g_free);
    for (unsigned i = 0;; i++) {
        g_autofree char *key = g_strdup_printf("bitmaps.%u", i);
        if (!options_has(o, key))
            break;
        g_ptr_array_add(spec->bitmaps, g_strdup(options_get(o, key)));
    }
    g_ptr_array_add(spec->bitmaps, NULL);
    return options_done(o, error);
}

static void clear_spec(Spec *spec)
{
    g_free(spec->node);
    g_free(spec->name);
    g_free(spec->description);
    if (spec->bitmaps)
        g_ptr_array_unref(spec->bitmaps);
}

static bool offer_node(const Tool *t, BlockGraph *graph, ExportNbd *server, const char *text,
                       GError **error)
{
    Spec spec = { 0 };
    bool ok = read_spec(text, &spec, error) || prefix(error, "--export");
    if (ok) {
        BlockNode *node = block_find(graph, spec.node);
        ExportDisk disk = { .name = spec.name, .description = spec.description, .node = node,
                            .writable = spec.writable, .depth = spec.depth, .multi_conn = t->shared != 1,
                            .bitmaps = (const char *const *)spec.bitmaps->pdata };
        ok = node ? export_nbd_add(server, &disk, error)
                  : fail(error, "there is no node '%s'", spec.node);
    }
    clear_spec(&spec);
    return ok;
}

char *disks_name(const Tool *t, unsigned i)
{
    if (t->exports->len) {
        Spec spec = { 0 };
        read_spec(t->exports->pdata[i], &spec, NULL);
        char *name = g_strdup(spec.name ? spec.name : "");
        clear_spec(&spec);
        return name;
    }
    if (t->images->len > 1)
        return g_path_get_basename(t->images->pdata[i]);
    return g_strdup(t->export_name ? t->export_name : "");
}

bool disks_offer(const Tool *t, BlockGraph *graph, ExportNbd *server, GPtrArray *held,
                 GError **error)
{
    for (unsigned i = 0; i < t->throttle_groups->len; i++) {
        struct json_object *options = block_options_parse(t->throttle_groups->pdata[i], "qom-type", error);
        if (!options)
            return false;
        json_object_object_del(options, "qom-type");
        bool ok = block_throttle_group(graph, options, error);
        json_object_put(options);
        if (!ok)
            return false;
    }
    for (unsigned i = 0; i < t->blockdevs->len; i++)
        if (!block_blockdev(graph, t->blockdevs->pdata[i], error))
            return prefix(error, "--blockdev");
    for (unsigned i = 0; i < t->exports->len; i++)
        if (!offer_node(t, graph, server, t->exports->pdata[i], error))
            return false;
    for (unsigned i = 0; i < t->images->len; i++)
        if (!offer_image(t, graph, server, i, held, error))
            return false;
    return true;
}
