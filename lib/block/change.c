/* SPDX-License-Identifier: MIT */
/*
 * Nodes that change: size, flags, filters put in and taken out, images made; and what a node
 * looks like as JSON. All with the nodes concerned at rest (drained from the top down).
 */
#include "block/block_priv.h"
#include "block/jobs/jobs.h"

#include "base/error.h"

#include <json-c/json.h>

bool block_node_jobless(const BlockNode *node, GError **error)
{
    return !node->job || fail(error, "%s: job %s works on it", block_node_file(node), block_job_info(node->job).id);
}

/* ---- size ---------------------------------------------------------------- */

static bool refresh(BlockNode *node, int depth, GError **error)
{
    uint64_t before = node_size(node);

    block_drain_begin(node);
    bool ok = block_node_measure(node, error);
    uint64_t size = node_size(node);
    bool changed = ok && size != before;
    for (unsigned i = 0; changed && i < node->users->len; i++) {
        BlockUser *user = node->users->pdata[i];
        if (user->resized)
            user->resized(user->opaque, size);
    }
    block_drain_end(node);
    /* a parent is drained before its child: so after the child is let go */
    for (unsigned i = 0; changed && ok && i < node->users->len; i++) {
        BlockUser *user = node->users->pdata[i];
        if (user->parent && user->parent->opened && depth < BLOCK_MAX_NESTING)
            ok = refresh(user->parent, depth + 1, error);
    }
    return ok;
}

bool block_node_refresh(BlockNode *node, GError **error)
{
    return refresh(node, 0, error);
}

bool block_resize(BlockUser *user, uint64_t size, BlockPrealloc prealloc, GError **error)
{
    BlockNode *node = user_node(user);

    if (!block_node_jobless(node, error))
        return false;
    if (node->flags & BLOCK_OPEN_READ_ONLY)
        return fail(error, "%s: it is open for reading only", block_node_file(node));
    if (!(user->perm & BLOCK_PERM_RESIZE))
        return fail(error, "%s: %s has no permission to resize it", block_node_file(node),
                    user->name);
    if (!node->driver->resize)
        return fail(error, "%s: %s cannot be resized", block_node_file(node), node->driver->name);
    if (size > BLOCK_MAX_SIZE)
        return fail_usage(error, "%s: larger than 8 EiB", block_node_file(node));
    block_drain_begin(node);
    bool ok = node->driver->resize(node, size, prealloc, error);
    block_drain_end(node);
    /* one that failed in the middle may have changed it, too */
    return block_node_refresh(node, ok ? error : NULL) && ok;
}

/* ---- flags --------------------------------------------------------------- */

enum {
    CHANGEABLE = BLOCK_OPEN_READ_ONLY | BLOCK_OPEN_DIRECT | BLOCK_OPEN_NO_FLUSH | BLOCK_OPEN_UNMAP
};

/* Nobody writes any more, and all that was written is on disk. */
static bool flush_for_good(BlockNode *node, GError **error)
{
    for (unsigned i = 0; i < node->users->len; i++) {
        const BlockUser *user = node->users->pdata[i];
        /* one of a node above follows that node, which is asked first */
        if (!user->parent && user->perm & (BLOCK_PERM_WRITE | BLOCK_PERM_RESIZE))
            return fail(error, "%s: %s writes to it", block_node_file(node), user->name);
    }
    int r = block_node_io(node, BLOCK_FLUSH, 0, 0, NULL, 0, BLOCK_MAY_WAIT);
    return !r || fail_errno(error, -r, "%s: flushing it", block_node_file(node));
}

static bool reopen_one(BlockNode *node, unsigned flags, GError **error)
{
    unsigned old = node->flags;

    if (((old ^ flags) & CHANGEABLE) == 0)
        return true;
    block_drain_begin(node);
    bool closing = !(old & BLOCK_OPEN_READ_ONLY) && flags & BLOCK_OPEN_READ_ONLY;
    bool opening = old & BLOCK_OPEN_READ_ONLY && !(flags & BLOCK_OPEN_READ_ONLY);
    bool ok = !closing || flush_for_good(node, error);
    if (ok) {
        node->flags = (old & ~(unsigned)CHANGEABLE) | (flags & CHANGEABLE);
        /* who begins to write may have to mark the image, who ends has to close it: with the right to */
        ok = (!opening || block_perm_update(node, error)) &&
             (!node->driver->reopen || node->driver->reopen(node, error));
        if (ok && !(block_perm_update(node, error) && block_node_measure(node, error))) {
            ok = false;
            node->flags = old;
            if (node->driver->reopen)
                node->driver->reopen(node, NULL);
        }
    }
    if (!ok) {
        node->flags = old;
        block_perm_update(node, NULL);
    }
    block_drain_end(node);
    return ok;
}

static bool reopen_tree(BlockNode *node, unsigned flags, GError **error);

static bool reopen_children(BlockNode *node, unsigned flags, GError **error)
{
    for (unsigned i = 0; i < node->children->len; i++) {
        BlockUser *child = node->children->pdata[i];
        if (!child || child->slot->role == BLOCK_CHILD_BACKING)
            continue;
        BlockNode *below = user_node(child);
        if (!reopen_tree(below,
                         (flags & ~(unsigned)BLOCK_OPEN_UNMAP) | (below->flags & BLOCK_OPEN_UNMAP),
                         error))
            return false;
    }
    return true;
}

/* Writable from the bottom up, read-only from the top down. */
static bool reopen_tree(BlockNode *node, unsigned flags, GError **error)
{
    unsigned old = node->flags;
    bool down = flags & BLOCK_OPEN_READ_ONLY;

    if (down ? reopen_one(node, flags, error) && reopen_children(node, flags, error)
             : reopen_children(node, flags, error) && reopen_one(node, flags, error))
        return true;
    if (!down) {
        reopen_one(node, old, NULL);
        reopen_children(node, old, NULL);
    } else {
        reopen_children(node, old, NULL);
        reopen_one(node, old, NULL);
    }
    return false;
}

bool block_node_reopen(BlockNode *node, unsigned flags, GError **error)
{
    return reopen_tree(node, flags, error);
}

/* ---- filters ------------------------------------------------------------- */

static bool is_below(const BlockNode *top, const BlockNode *node, int depth)
{
    if (top == node)
        return true;
    for (unsigned i = 0; depth < BLOCK_MAX_NESTING && i < top->children->len; i++)
        if (top->children->pdata[i] &&
            is_below(user_node(top->children->pdata[i]), node, depth + 1))
            return true;
    return false;
}

static void move(BlockUser *user, BlockNode *to)
{
    BlockNode *from = user_node(user);

    block_node_ref(to);
    from->moved_from = true;
    g_ptr_array_remove(from->users, user);
    g_ptr_array_add(to->users, user);
    atomic_store(&user->node, to);
    block_node_unref(from);
}

/* Moves the users of from, except those of nodes below except, to to; both are drained. */
static bool move_all(BlockNode *from, BlockNode *to, const BlockNode *except, GError **error)
{
    g_autoptr(GPtrArray) moved = g_ptr_array_new();

    for (unsigned i = 0; i < from->users->len; i++) {
        BlockUser *user = from->users->pdata[i];
        if (!except || !user->parent || !is_below(except, user->parent, 0))
            g_ptr_array_add(moved, user);
    }
    block_node_ref(from); /* it may lose its last users on the way */
    block_node_ref(to);
    for (unsigned i = 0; i < moved->len; i++)
        move(moved->pdata[i], to);
    bool ok = block_perm_update(from, error) && block_perm_update(to, error);
    for (unsigned i = 0; !ok && i < moved->len; i++)
        move(moved->pdata[i], from);
    if (!ok) {
        block_perm_update(to, NULL);
        block_perm_update(from, NULL);
    }
    block_node_unref(to);
    block_node_unref(from);
    return ok;
}

bool block_node_insert(BlockNode *node, BlockNode *filter, GError **error)
{
    if (filter == node || !is_below(filter, node, 0))
        return fail(error, "node %s is not above node %s", filter->name, node->name);
    block_drain_begin(filter);
    block_drain_begin(node);
    bool ok = move_all(node, filter, filter, error);
    block_drain_end(node);
    block_drain_end(filter);
    return ok;
}

bool block_node_remove(BlockNode *filter, GError **error)
{
    BlockUser *child = block_node_child(filter, 0);

    if (!child)
        return fail(error, "node %s has nothing below it", filter->name);
    BlockNode *node = user_node(child);
    unsigned perm = child->perm, shared = child->shared;
    block_node_ref(filter);
    block_drain_begin(filter);
    block_drain_begin(node);
    /* the filter's own claim must not stand in the way of those that take over */
    child->perm = 0;
    child->shared = BLOCK_SHARE_ALL;
    bool ok = true;
    g_autoptr(GPtrArray) users = g_ptr_array_copy(filter->users, NULL, NULL);
    for (unsigned i = 0; i < users->len; i++)
        move(users->pdata[i], node);
    ok = block_perm_update(node, error);
    for (unsigned i = 0; !ok && i < users->len; i++)
        move(users->pdata[i], filter);
    if (!ok) {
        child->perm = perm;
        child->shared = shared;
        block_perm_update(node, NULL);
    } else {
        filter->perm = 0;
        filter->shared = BLOCK_SHARE_ALL;
    }
    block_drain_end(node);
    block_drain_end(filter);
    block_node_unref(filter);
    return ok;
}

bool block_node_replace(BlockNode *from, BlockNode *to, GError **error)
{
    if (from == to || node_size(from) != node_size(to))
        return fail(error, "node %s cannot take the place of node %s: their sizes differ", to->name, from->name);
    block_drain_begin(from);
    block_drain_begin(to);
    bool ok = move_all(from, to, to, error);
    block_drain_end(to);
    block_drain_end(from);
    return ok;
}

bool block_node_set_backing(BlockNode *node, BlockNode *below, GError **error)
{
    const BlockChildSlot *slot = node->driver->children;

    while (slot && slot->name && slot->role != BLOCK_CHILD_BACKING)
        slot++;
    if (!slot || !slot->name)
        return fail(error, "%s: images of format %s have no backing file", block_node_file(node), node->driver->name);
    unsigned n = (unsigned)(slot - node->driver->children);
    BlockUser *old = block_node_child(node, n), *new = NULL;
    if (below && is_below(below, node, 0))
        return fail(error, "node %s is above node %s", below->name, node->name);
    block_drain_begin(node);
    bool ok = !below || (new = block_child_attach(node, slot, below, error));
    if (ok) {
        node->children->pdata[n] = new;
        *(BlockUser **)((char *)node->state + slot->offset) = new;
        if (old)
            block_user_drop(old);
        ok = block_node_measure(node, error);
    }
    block_drain_end(node);
    return ok;
}

/* ---- making images ------------------------------------------------------- */

bool block_create(BlockGraph *graph, const char *driver, struct json_object *options,
                  GError **error)
{
    const BlockDriver *d = block_driver_find(graph, driver);

    if (!d)
        return block_unknown_driver(driver, error);
    if (!d->create)
        return fail_usage(error, "images of format %s cannot be made", driver);
    return d->create(graph, options, error);
}

/* ---- as JSON ------------------------------------------------------------- */

static void add_text(struct json_object *o, const char *key, const char *text)
{
    json_object_object_add(o, key, json_object_new_string(text));
}

static struct json_object *perm_words(unsigned perm)
{
    static const char *const words[] = { "consistent-read", "write", "write-unchanged", "resize" };
    struct json_object *list = json_object_new_array();

    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++)
        if (perm >> i & 1)
            json_object_array_add(list, json_object_new_string(words[i]));
    return list;
}

struct json_object *block_node_describe(BlockNode *node)
{
    static const char *const detect[] = { "off", "on", "unmap" };
    struct json_object *o = json_object_new_object(), *cache = json_object_new_object();
    struct json_object *users = json_object_new_array(), *children = json_object_new_object();

    add_text(o, "node-name", node->name);
    add_text(o, "driver", node->driver->name);
    add_text(o, "file", block_node_file(node));
    json_object_object_add(o, "size", json_object_new_int64((int64_t)node_size(node)));
    json_object_object_add(o, "read-only", json_object_new_boolean(block_node_read_only(node)));
    json_object_object_add(cache, "direct", json_object_new_boolean(block_node_direct(node)));
    json_object_object_add(cache, "no-flush", json_object_new_boolean(block_node_no_flush(node)));
    json_object_object_add(o, "cache", cache);
    add_text(o, "discard", node->flags & BLOCK_OPEN_UNMAP ? "unmap" : "ignore");
    add_text(o, "detect-zeroes", detect[node->detect_zeroes]);
    for (unsigned i = 0; i < node->users->len; i++) {
        const BlockUser *user = node->users->pdata[i];
        struct json_object *u = json_object_new_object();
        add_text(u, "name", user->name);
        json_object_object_add(u, "perm", perm_words(user->perm));
        json_object_object_add(u, "shared", perm_words(user->shared));
        json_object_array_add(users, u);
    }
    json_object_object_add(o, "users", users);
    for (unsigned i = 0; i < node->children->len; i++) {
        BlockUser *child = node->children->pdata[i];
        if (child)
            json_object_object_add(children, child->slot->name,
                                   block_node_describe(user_node(child)));
    }
    json_object_object_add(o, "children", children);
    if (node->driver->info) {
        struct json_object *special = json_object_new_object();
        node->driver->info(node, special);
        json_object_object_add(o, "format-specific", special);
    }
    return o;
}
