/* SPDX-License-Identifier: MIT */
/* Images as files: what is asked of a driver's optional parts, with the node at rest. */
#include "block/image.h"

#include "base/error.h"
#include "base/size.h"
#include "block/block_priv.h"

#include <json-c/json.h>
#include <string.h>
#include <sys/stat.h>

/* ---- snapshots ----------------------------------------------------------- */

void block_snapshot_clear(BlockSnapshot *snapshot)
{
    g_clear_pointer(&snapshot->id, g_free);
    g_clear_pointer(&snapshot->name, g_free);
}

/* The node of node or below it (through filters and raw) that has snapshots. */
static BlockNode *snapshots_of(const BlockNode *node)
{
    for (int depth = 0; depth < BLOCK_MAX_NESTING; depth++) {
        if (node->driver->snapshots)
            return (BlockNode *)(uintptr_t)node;
        BlockUser *child = node->driver->filter ? block_node_child(node, 0) : NULL;
        if (!child)
            return NULL;
        node = user_node(child);
    }
    return NULL;
}

static BlockNode *need_snapshots(BlockNode *node, GError **error)
{
    BlockNode *with = snapshots_of(node);

    if (!with)
        fail(error, "%s: images of format %s have no snapshots", block_node_file(node), node->driver->name);
    return with;
}

GArray *block_snapshot_list(BlockNode *node, GError **error)
{
    BlockNode *with = snapshots_of(node);

    return with ? with->driver->snapshots->list(with, error) : g_array_new(FALSE, TRUE, sizeof(BlockSnapshot));
}

bool block_snapshot_take(BlockNode *node, BlockSnapshot *wanted, GError **error)
{
    BlockNode *with = need_snapshots(node, error);

    if (!with)
        return false;
    block_drain_begin(with);
    bool ok = with->driver->snapshots->take(with, wanted, error);
    block_drain_end(with);
    return ok;
}

bool block_snapshot_revert(BlockNode *node, const char *which, GError **error)
{
    BlockNode *with = need_snapshots(node, error);

    if (!with || !block_node_jobless(with, error))
        return false;
    block_drain_begin(with);
    bool ok = with->driver->snapshots->revert(with, which, error);
    block_drain_end(with);
    if (!ok || !block_node_refresh(with, error))
        return false;
    /* anything may have changed: who backs up by a bitmap must not miss it */
    block_bitmaps_note(with, 0, node_size(with));
    return true;
}

bool block_snapshot_drop(BlockNode *node, const char *which, GError **error)
{
    BlockNode *with = need_snapshots(node, error);

    if (!with)
        return false;
    block_drain_begin(with);
    bool ok = with->driver->snapshots->drop(with, which, error);
    block_drain_end(with);
    return ok;
}

bool block_snapshot_load(BlockNode *node, const char *which, GError **error)
{
    BlockNode *with = need_snapshots(node, error);

    return with && with->driver->snapshots->load(with, which, error);
}

/* ---- backing files ------------------------------------------------------- */

char *block_backing_name(BlockNode *node)
{
    return node->driver->backing ? node->driver->backing->name(node) : NULL;
}

char *block_backing_format(BlockNode *node)
{
    return node->driver->backing ? node->driver->backing->format(node) : NULL;
}

bool block_backing_record(BlockNode *node, const char *name, const char *format, GError **error)
{
    if (!node->driver->backing)
        return fail(error, "%s: images of format %s have no backing file", block_node_file(node), node->driver->name);
    block_drain_begin(node);
    bool ok = node->driver->backing->record(node, name, format, error);
    block_drain_end(node);
    return ok;
}

static BlockNode *child_of(BlockNode *node, BlockChildRole role)
{
    for (unsigned i = 0; i < node->children->len; i++) {
        BlockUser *child = node->children->pdata[i];
        if (child && child->slot->role == role)
            return user_node(child);
    }
    return NULL;
}

BlockNode *block_backing_node(BlockNode *node)
{
    return child_of(node, BLOCK_CHILD_BACKING);
}

BlockNode *block_file_node(BlockNode *node)
{
    return child_of(node, BLOCK_CHILD_FILE);
}

/* ---- checking, measuring, amending --------------------------------------- */

bool block_can_check(const BlockNode *node)
{
    return node->driver->check != NULL;
}

bool block_check(BlockNode *node, unsigned fix, BlockCheck *result, void (*say)(void *opaque, const char *line),
                 void *opaque, GError **error)
{
    if (!node->driver->check)
        return fail(error, "%s: images of format %s cannot be checked", block_node_file(node), node->driver->name);
    if (fix && block_node_read_only(node))
        return fail(error, "%s: it is open for reading only", block_node_file(node));
    block_drain_begin(node);
    bool ok = node->driver->check(node, fix, result, say, opaque, error);
    block_drain_end(node);
    return ok;
}

bool block_measure(BlockGraph *graph, const char *driver, struct json_object *options, BlockUser *source,
                   BlockMeasure *result, GError **error)
{
    const BlockDriver *d = block_driver_find(graph, driver);

    if (!d)
        return block_unknown_driver(driver, error);
    if (!d->measure)
        return fail(error, "the size of images of format %s cannot be known beforehand", driver);
    return d->measure(options, source, result, error);
}

bool block_amend(BlockNode *node, struct json_object *options, bool force, GError **error)
{
    if (!node->driver->amend)
        return fail(error, "%s: images of format %s have no options that can be changed", block_node_file(node),
                    node->driver->name);
    block_drain_begin(node);
    bool ok = node->driver->amend(node, options, force, error);
    block_drain_end(node);
    return ok && block_node_refresh(node, error);
}

/* ---- what an image is ---------------------------------------------------- */

struct json_object *block_format_info(BlockNode *node)
{
    struct json_object *into;

    if (!node->driver->info)
        return NULL;
    into = json_object_new_object();
    node->driver->info(node, into);
    return into;
}

bool block_is_unclean(BlockNode *node)
{
    return node->driver->unclean && node->driver->unclean(node);
}

uint32_t block_cluster_size(const BlockNode *node)
{
    return node->limits.cluster;
}

int64_t block_allocated_size(BlockNode *node)
{
    struct stat st;

    while (block_file_node(node))
        node = block_file_node(node);
    return stat(block_node_file(node), &st) || !S_ISREG(st.st_mode) ? -1 : (int64_t)st.st_blocks * 512;
}

bool block_zero_init(const BlockUser *user)
{
    return user_node(user)->limits.zero_init;
}

bool block_can_create(BlockGraph *graph, const char *driver)
{
    const BlockDriver *d = block_driver_find(graph, driver);

    return d && d->create;
}

BlockUser *block_make_file(BlockGraph *graph, const char *name, GError **error)
{
    struct json_object *options = block_name_options(graph, name, error);
    BlockUser *user = NULL;

    if (!options)
        return NULL;
    const BlockDriver *d = block_driver_find(graph, json_object_get_string(json_object_object_get(options, "driver")));
    struct json_object *making = json_object_new_object();
    json_object_object_add(making, "filename", json_object_new_string(name));
    json_object_object_add(making, "size", json_object_new_string("0"));
    if (!d || !d->create || d->create(graph, making, error)) {
        g_autoptr(BlockNode) node = block_open(graph, options, 0, error);
        if (node)
            user = block_attach(node, &(BlockAttach){ .name = "create", .perm = BLOCK_PERM_RW }, error);
    }
    json_object_put(making);
    json_object_put(options);
    return user;
}

/* Raw images take the options of the file they are. */
static const BlockProp *create_props_of(BlockGraph *graph, const char *driver)
{
    const BlockDriver *d = block_driver_find(graph, driver);

    if (d && !d->create_props && d->create && !strcmp(d->name, "raw"))
        d = block_driver_find(graph, "file");
    return d && d->create ? d->create_props : NULL;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char *block_create_help(BlockGraph *graph, const char *driver, bool all)
{
    static const char *const kinds[] = { "<bool (on/off)>", "<size>", "<num>", "<str>", "<str>", "<str>" };
    GString *s = g_string_new(NULL);

    if (!block_driver_find(graph, driver)) {
        g_string_free(s, TRUE);
        return NULL;
    }
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
    for (const BlockProp *p = create_props_of(graph, driver); p && p->name; p++) {
        g_autofree char *left = g_strdup_printf("%s=%s", p->name, kinds[p->kind]);
        if (strcmp(p->name, "filename") && (all || !p->below))
            g_ptr_array_add(lines, g_strdup_printf("  %-22s - %s\n", left, p->help));
    }
    g_ptr_array_sort(lines, by_text);
    for (unsigned i = 0; i < lines->len; i++)
        g_string_append(s, lines->pdata[i]);
    return g_string_free(s, FALSE);
}

char *block_create_told(BlockGraph *graph, const char *driver, struct json_object *options)
{
    GString *s = g_string_new(NULL);

    for (const BlockProp *p = create_props_of(graph, driver); p && p->name; p++) {
        const char *text = block_options_text(options, p->name);
        uint64_t bytes;
        if (!text && p->told)
            text = p->def;
        if (!text || !strcmp(p->name, "filename"))
            continue;
        if (p->kind == BLOCK_PROP_SIZE && size_parse(text, &bytes, NULL))
            g_string_append_printf(s, " %s=%" G_GUINT64_FORMAT, p->name, bytes);
        else
            g_string_append_printf(s, " %s=%s", p->name, text);
    }
    return g_string_free(s, FALSE);
}

bool block_create_knows(BlockGraph *graph, const char *driver, const char *option)
{
    for (const BlockProp *p = create_props_of(graph, driver); p && p->name; p++)
        if (!strcmp(p->name, option))
            return true;
    return false;
}
