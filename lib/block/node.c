/* SPDX-License-Identifier: MIT */
/*
 * Nodes: opened from an option tree with their children, closed with their last reference. Also
 * what a missing driver= stands for: by the file's kind where a protocol is wanted, by its first
 * bytes where a format is.
 */
#include "block/block_priv.h"

#include "base/error.h"
#include "base/option.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/stat.h>

enum { PROBE_BYTES = 2048, INHERITED = BLOCK_OPEN_READ_ONLY | BLOCK_OPEN_AUTO_READ_ONLY |
       BLOCK_OPEN_FORCE_SHARE | BLOCK_OPEN_DIRECT | BLOCK_OPEN_NO_FLUSH | BLOCK_OPEN_NO_BACKING };

#define DEFAULT_TRANSFER (1ull << 30)

/* ---- getters ------------------------------------------------------------- */

const char *block_node_name(const BlockNode *node) { return node->name; }
const char *block_node_file(const BlockNode *node) { return node->file ? node->file : node->name; }
const char *block_node_driver(const BlockNode *node) { return node->driver->name; }
uint64_t block_node_size(const BlockNode *node) { return node_size(node); }
void *block_node_state(BlockNode *node) { return node->state; }
BlockGraph *block_node_graph(BlockNode *node) { return node->graph; }

bool block_node_read_only(const BlockNode *node)
{
    return node->flags & BLOCK_OPEN_READ_ONLY;
}

bool block_node_direct(const BlockNode *node)
{
    return node->flags & BLOCK_OPEN_DIRECT;
}

bool block_node_no_flush(const BlockNode *node)
{
    return node->flags & BLOCK_OPEN_NO_FLUSH;
}

bool block_node_force_share(const BlockNode *node)
{
    return node->flags & BLOCK_OPEN_FORCE_SHARE;
}

bool block_node_no_data(const BlockNode *node)
{
    return node->flags & (BLOCK_OPEN_NO_DATA | BLOCK_OPEN_CHECK);
}

bool block_node_for_check(const BlockNode *node)
{
    return node->flags & BLOCK_OPEN_CHECK;
}

bool block_node_auto_read_only(const BlockNode *node)
{
    return node->flags & BLOCK_OPEN_AUTO_READ_ONLY;
}

void block_node_set_read_only(BlockNode *node)
{
    node->flags |= BLOCK_OPEN_READ_ONLY;
}

void block_node_set_file(BlockNode *node, const char *file)
{
    g_free(node->file);
    node->file = g_strdup(file);
}

void block_node_warn(BlockNode *node, const char *fmt, ...)
{
    va_list ap;

    if (!node->graph->warn)
        return;
    va_start(ap, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    node->graph->warn(node->graph->warn_opaque, text);
}

BlockUser *block_node_child(const BlockNode *node, unsigned slot)
{
    return slot < node->children->len ? node->children->pdata[slot] : NULL;
}

/* ---- references ---------------------------------------------------------- */

char *block_node_new_name(BlockGraph *graph)
{
    return g_strdup_printf("#block%u", graph->next_name++);
}

static BlockNode *node_new(BlockGraph *graph, const BlockDriver *driver)
{
    BlockNode *node = g_new0(BlockNode, 1);

    node->graph = graph;
    node->driver = driver;
    node->refs = 1;
    node->state = g_malloc0(MAX(driver->size, 1));
    node->children = g_ptr_array_new();
    node->users = g_ptr_array_new();
    node->bitmaps = g_ptr_array_new_with_free_func((GDestroyNotify)block_bitmap_free);
    node->shared = BLOCK_SHARE_ALL;
    block_gate_init(&node->gate);
    g_ptr_array_add(graph->nodes, node);
    return node;
}

void block_node_bury(BlockNode *node)
{
    block_gate_clear(&node->gate);
    g_free(node);
}

/*
 * A submitter may have read user->node just before the user was moved, and enter the gate only now,
 * to see that it must try again. So of a node that users were moved from the gate stays until
 * the graph goes.
 */
static void node_free(BlockNode *node)
{
    if (node->opened) {
        block_drain_begin(node);
        if (!(node->flags & (BLOCK_OPEN_READ_ONLY | BLOCK_OPEN_NO_FLUSH)))
            block_node_io(node, BLOCK_FLUSH, 0, 0, NULL, 0, 0);
        if (node->driver->close)
            node->driver->close(node);
        block_drain_end(node);
    }
    for (unsigned i = 0; i < node->children->len; i++)
        if (node->children->pdata[i])
            block_user_drop(node->children->pdata[i]);
    g_ptr_array_unref(node->children);
    g_ptr_array_unref(node->users);
    g_ptr_array_unref(node->bitmaps);
    block_props_clear(node->driver->props, node->state);
    g_ptr_array_remove(node->graph->nodes, node);
    g_free(node->state);
    g_free(node->name);
    g_free(node->file);
    if (node->moved_from)
        g_ptr_array_add(node->graph->dead, node);
    else
        block_node_bury(node);
}

BlockNode *block_node_ref(BlockNode *node)
{
    node->refs++;
    return node;
}

void block_node_unref(BlockNode *node)
{
    if (node && !--node->refs)
        node_free(node);
}

/* ---- size and limits ----------------------------------------------------- */

static void default_limits(BlockNode *node, BlockLimits *l)
{
    BlockUser *child = block_node_child(node, 0);

    memset(l, 0, sizeof *l);
    if (child) {
        const BlockLimits *below = &user_node(child)->limits;
        l->can_discard = below->can_discard;
        l->quick_zero = below->quick_zero;
        l->zero_init = below->zero_init;
    }
    if (node->driver->limits)
        node->driver->limits(node, l);
    l->align = MAX(1, l->align);
    l->mem_align = MAX(1, l->mem_align);
    l->max_transfer = l->max_transfer ? l->max_transfer : DEFAULT_TRANSFER;
    l->max_transfer = MAX(l->max_transfer & ~(uint64_t)(l->align - 1), l->align);
    l->zero_align = MAX(l->zero_align, l->align);
    l->discard_align = MAX(l->discard_align, l->align);
    l->max_effect = l->max_effect ? l->max_effect : DEFAULT_TRANSFER;
    if (!l->serialize && l->align > 1)
        l->serialize = l->align;
}

bool block_node_measure(BlockNode *node, GError **error)
{
    BlockUser *child = block_node_child(node, 0);
    int64_t length = node->driver->length ? node->driver->length(node)
                                          : child ? (int64_t)block_size(child) : 0;

    if (length < 0)
        return fail_errno(error, (int)-length, "%s: its size", block_node_file(node));
    if ((uint64_t)length > BLOCK_MAX_SIZE)
        return fail(error, "%s: it is larger than 8 EiB", block_node_file(node));
    atomic_store(&node->size, ROUND_UP_SECTOR((uint64_t)length));
    default_limits(node, &node->limits);
    node->tracks = node->limits.serialize > 1 || node->limits.lone_effects;
    return true;
}

/* ---- opening: the options of every node ---------------------------------- */

static const char *const generic_names[] = {
    "driver", "node-name", "read-only", "auto-read-only", "force-share", "discard",
    "detect-zeroes", "cache.direct", "cache.no-flush", NULL
};

static bool get_flag(struct json_object *o, const char *key, unsigned flag, unsigned *flags,
                     GError **error)
{
    bool on = *flags & flag;

    if (!block_options_bool(o, key, &on, error))
        return false;
    *flags = on ? *flags | flag : *flags & ~flag;
    return true;
}

static bool get_discard(BlockNode *node, struct json_object *o, GError **error)
{
    static const char *const zero_words[] = { "off", "on", "unmap" };
    const char *discard = block_options_text(o, "discard");
    const char *zeroes = block_options_text(o, "detect-zeroes");

    if (discard && (!strcmp(discard, "unmap") || !strcmp(discard, "on")))
        node->flags |= BLOCK_OPEN_UNMAP;
    else if (discard && (!strcmp(discard, "ignore") || !strcmp(discard, "off")))
        node->flags &= ~(unsigned)BLOCK_OPEN_UNMAP;
    else if (discard)
        return fail_usage(error, "discard=%s: it is ignore or unmap", discard);
    if (!zeroes)
        return true;
    for (int i = 0; i < (int)G_N_ELEMENTS(zero_words); i++) {
        if (strcmp(zeroes, zero_words[i]))
            continue;
        node->detect_zeroes = i;
        if (i == DETECT_ZEROES_UNMAP && !(node->flags & BLOCK_OPEN_UNMAP))
            return fail_usage(error, "detect-zeroes=unmap needs discard=unmap");
        return true;
    }
    return fail_usage(error, "detect-zeroes=%s: it is off, on or unmap", zeroes);
}

static bool get_name(BlockNode *node, struct json_object *o, GError **error)
{
    const char *name = block_options_text(o, "node-name");

    if (!name) {
        node->name = block_node_new_name(node->graph);
        return true;
    }
    node->named = true;
    bool ok = g_ascii_isalpha(*name) && strlen(name) <= BLOCK_NAME_MAX;
    for (const char *p = name; *p; p++)
        ok = ok && (g_ascii_isalnum(*p) || strchr("-._", *p));
    node->name = ok ? g_strdup(name) : block_node_new_name(node->graph);
    if (!ok)
        return fail_usage(error,
                          "node-name=%s: it is a letter, then letters, digits and -._, at most %d",
                          name, BLOCK_NAME_MAX);
    for (unsigned i = 0; i < node->graph->nodes->len; i++) {
        BlockNode *other = node->graph->nodes->pdata[i];
        if (other != node && other->name && !strcmp(other->name, name))
            return fail_usage(error, "node-name=%s: there is one already", name);
    }
    return true;
}

static bool get_generic(BlockNode *node, struct json_object *o, unsigned flags, GError **error)
{
    node->flags = flags;
    if (!get_name(node, o, error) ||
        !get_flag(o, "read-only", BLOCK_OPEN_READ_ONLY, &node->flags, error) ||
        !get_flag(o, "auto-read-only", BLOCK_OPEN_AUTO_READ_ONLY, &node->flags, error) ||
        !get_flag(o, "force-share", BLOCK_OPEN_FORCE_SHARE, &node->flags, error) ||
        !get_flag(o, "cache.direct", BLOCK_OPEN_DIRECT, &node->flags, error) ||
        !get_flag(o, "cache.no-flush", BLOCK_OPEN_NO_FLUSH, &node->flags, error) ||
        !get_discard(node, o, error))
        return false;
    if ((node->flags & BLOCK_OPEN_FORCE_SHARE) && !(node->flags & BLOCK_OPEN_READ_ONLY))
        return fail_usage(error, "force-share=on needs read-only=on");
    return true;
}

/* ---- opening: children --------------------------------------------------- */

BlockInherit block_node_inherit(const BlockNode *node, const BlockChildSlot *slot)
{
    BlockInherit in = { .flags = node->flags & INHERITED };

    switch (slot->role) {
    case BLOCK_CHILD_FILE:
    case BLOCK_CHILD_DATA:
        in.flags |= BLOCK_OPEN_UNMAP; /* whether to discard was decided above */
        break;
    case BLOCK_CHILD_FILTERED:
        in.flags |= BLOCK_OPEN_UNMAP;
        in.format = true;
        break;
    case BLOCK_CHILD_BACKING:
        in.flags = (in.flags | BLOCK_OPEN_READ_ONLY) & ~(unsigned)BLOCK_OPEN_AUTO_READ_ONLY;
        in.format = true;
        break;
    }
    return in;
}

bool block_node_adopt(BlockNode *node, unsigned n, BlockNode *below, GError **error)
{
    const BlockChildSlot *slot = &node->driver->children[n];

    if (slot->role != BLOCK_CHILD_BACKING && block_node_read_only(below) &&
        !block_node_read_only(node)) {
        if (!block_node_auto_read_only(node))
            return fail(error, "%s: it is open for reading only", block_node_file(below));
        block_node_set_read_only(node);
    }
    BlockUser *user = block_child_attach(node, slot, below, error);
    if (!user)
        return false;
    node->children->pdata[n] = user;
    *(BlockUser **)((char *)node->state + slot->offset) = user;
    if (!node->file && below->file)
        node->file = g_strdup(below->file);
    return true;
}

static bool open_child(BlockNode *node, const BlockChildSlot *slot, struct json_object *options,
                       int depth, GError **error)
{
    struct json_object *sub = block_options_get(options, slot->name);
    bool skip = slot->role == BLOCK_CHILD_BACKING && (node->flags & BLOCK_OPEN_NO_BACKING);

    g_ptr_array_add(node->children, NULL);
    if (!sub || skip)
        return slot->optional ||
               fail_usage(error, "%s: %s=... is missing", node->driver->name, slot->name);
    g_autoptr(BlockNode) below =
        block_node_open(node->graph, sub, block_node_inherit(node, slot), depth + 1, error);
    return below && block_node_adopt(node, node->children->len - 1, below, error);
}

static bool open_children(BlockNode *node, struct json_object *options, int depth, GError **error)
{
    for (const BlockChildSlot *slot = node->driver->children; slot && slot->name; slot++)
        if (!open_child(node, slot, options, depth, error))
            return false;
    return true;
}

static bool check_leftovers(BlockNode *node, struct json_object *options, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();

    for (const char *const *n = generic_names; *n; n++)
        g_ptr_array_add(names, (char *)*n);
    for (const BlockChildSlot *slot = node->driver->children; slot && slot->name; slot++)
        g_ptr_array_add(names, (char *)slot->name);
    g_ptr_array_add(names, NULL);
    return block_props_done(node->driver->props, (const char *const *)names->pdata, options,
                            node->driver->name, error);
}

static BlockNode *open_driver(BlockGraph *graph, const BlockDriver *driver,
                              struct json_object *options, BlockInherit inherit, int depth,
                              GError **error)
{
    BlockNode *node = node_new(graph, driver);

    node->depth = depth;
    if (!get_generic(node, options, inherit.flags, error) ||
        !check_leftovers(node, options, error) ||
        !block_props_read(driver->props, options, node->state, error))
        goto failed;
    if (driver->name_prop) {
        const char *file = block_options_text(options, driver->name_prop);
        if (file)
            block_node_set_file(node, file);
    }
    if (!open_children(node, options, depth, error) || (driver->open && !driver->open(node, error)))
        goto failed;
    node->opened = true;
    if (!block_open_backing(node, options, error))
        goto failed;
    if (!block_node_measure(node, error) || !block_perm_update(node, error))
        goto failed;
    return node;
failed:
    block_node_unref(node);
    return NULL;
}

/* ---- opening: without a driver ------------------------------------------- */

/* Reads the beginning of node with whoever may be writing to it. */
static int64_t read_head(BlockNode *node, uint8_t *head, size_t len)
{
    size_t n = MIN(len, node_size(node));

    memset(head, 0, len);
    block_gate_enter_wait(&node->gate);
    int r = n ? block_node_io(node, BLOCK_READ, 0, n, &(struct iovec){ head, n }, 1, BLOCK_MAY_WAIT)
              : 0;
    block_gate_leave(&node->gate);
    return r ? r : (int64_t)n;
}

static BlockNode *open_guessed(BlockGraph *graph, struct json_object *options, BlockInherit inherit,
                               int depth, GError **error)
{
    static const BlockChildSlot file_slot = { .name = "file", .role = BLOCK_CHILD_FILE };
    struct json_object *file = block_options_get(options, "file");
    uint8_t head[PROBE_BYTES];
    const char *format = NULL;
    BlockNode below_like = { .flags = inherit.flags }, *node;

    if (!file) {
        fail_usage(error, "driver=... is missing");
        return NULL;
    }
    /* what the file's own node inherits must not depend on the format */
    if (!get_flag(options, "read-only", BLOCK_OPEN_READ_ONLY, &below_like.flags, error) ||
        !get_flag(options, "auto-read-only", BLOCK_OPEN_AUTO_READ_ONLY, &below_like.flags, error) ||
        !get_flag(options, "force-share", BLOCK_OPEN_FORCE_SHARE, &below_like.flags, error) ||
        !get_flag(options, "cache.direct", BLOCK_OPEN_DIRECT, &below_like.flags, error) ||
        !get_flag(options, "cache.no-flush", BLOCK_OPEN_NO_FLUSH, &below_like.flags, error))
        return NULL;
    g_autoptr(BlockNode) below =
        block_node_open(graph, file, block_node_inherit(&below_like, &file_slot), depth + 1, error);
    if (!below)
        return NULL;
    int64_t n = read_head(below, head, sizeof head);
    if (n < 0) {
        fail_errno(error, (int)-n, "%s: its first bytes cannot be read", block_node_file(below));
        return NULL;
    }
    const BlockDriver *driver =
        block_probe(graph, head, (size_t)n, block_node_file(below), &format);
    if (!driver) {
        fail(error,
             "%s: it looks like %s, a format that is not there yet (format=raw takes it as it is)",
             block_node_file(below), format);
        return NULL;
    }
    struct json_object *copy = block_options_copy(options);
    json_object_object_add(copy, "file", json_object_new_string(below->name));
    node = open_driver(graph, driver, copy, inherit, depth, error);
    json_object_put(copy);
    if (node && !strcmp(driver->name, "raw")) {
        node->probed = true;
        if (!block_node_read_only(node))
            block_node_warn(
                node,
                "%s: no format given, taken for raw; its first sector is protected from "
                "becoming another format's (format=raw lifts that)",
                block_node_file(node));
    }
    return node;
}

static const char *protocol_for(struct json_object *options)
{
    const char *file = block_options_text(options, "filename");
    struct stat st;

    if (!file)
        return NULL;
    return !stat(file, &st) && S_ISBLK(st.st_mode) ? "host_device" : "file";
}

bool block_unknown_driver(const char *name, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();

    for (unsigned i = 0; block_driver_nth(i); i++)
        g_ptr_array_add(names, (char *)block_driver_nth(i)->name);
    g_ptr_array_add(names, NULL);
    if (block_format_known(name))
        return fail_usage(error, "format '%s' is not there yet", name);
    const char *near = option_nearest(name, (const char *const *)names->pdata);
    if (near)
        return fail_usage(error, "no driver or format is called '%s' (did you mean '%s'?)", name,
                          near);
    return fail_usage(error, "no driver or format is called '%s'", name);
}

static BlockNode *refer(BlockGraph *graph, const char *name, GError **error)
{
    BlockNode *node = block_find(graph, name);

    if (!node || !node->opened) {
        fail_usage(error, "no node is called '%s'", name);
        return NULL;
    }
    return block_node_ref(node);
}

BlockNode *block_node_open(BlockGraph *graph, struct json_object *options, BlockInherit inherit,
                           int depth, GError **error)
{
    if (depth > BLOCK_MAX_NESTING) {
        fail_usage(error, "more than %d nodes above each other", BLOCK_MAX_NESTING);
        return NULL;
    }
    if (json_object_is_type(options, json_type_string))
        return refer(graph, json_object_get_string(options), error);
    if (!json_object_is_type(options, json_type_object)) {
        fail_usage(error, "a node is given by its name or its options");
        return NULL;
    }
    const char *name = block_options_text(options, "driver");
    if (!name && !inherit.format)
        name = protocol_for(options);
    if (!name)
        return open_guessed(graph, options, inherit, depth, error);
    const BlockDriver *driver = block_driver_find(graph, name);
    if (!driver) {
        block_unknown_driver(name, error);
        return NULL;
    }
    return open_driver(graph, driver, options, inherit, depth, error);
}

BlockNode *block_open(BlockGraph *graph, struct json_object *options, unsigned flags,
                      GError **error)
{
    return block_node_open(graph, options, (BlockInherit){ .flags = flags, .format = true }, 0,
                           error);
}
