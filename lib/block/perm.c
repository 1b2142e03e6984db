/* SPDX-License-Identifier: MIT */
/*
 * Users and their permissions. Each user says what it does to a node and what it lets others do;
 * a node refuses a user that conflicts with another of its own. What all its users hold
 * together goes down to its children by their roles, and at the bottom to the file driver, which
 * asks the other processes by locks.
 */
#include "block/block_priv.h"

#include "base/error.h"

#include <fcntl.h>

static const char *perm_name(unsigned perm)
{
    if (perm & BLOCK_PERM_WRITE)
        return "write to";
    if (perm & BLOCK_PERM_RESIZE)
        return "resize";
    if (perm & BLOCK_PERM_CONSISTENT_READ)
        return "read";
    return "change";
}

static bool check_pair(BlockNode *node, const BlockUser *a, const BlockUser *b, GError **error)
{
    unsigned clash = a->perm & ~b->shared;

    if (!clash)
        return true;
    return fail(error, "%s: %s may not %s it while %s uses it", block_node_file(node), a->name,
                perm_name(clash), b->name);
}

/* What a child is asked for when the driver does not say. */
static void perm_by_role(const BlockNode *node, BlockChildRole role, unsigned perm, unsigned shared,
                         unsigned *child_perm, unsigned *child_shared)
{
    bool writable = !(node->flags & BLOCK_OPEN_READ_ONLY);

    switch (role) {
    case BLOCK_CHILD_FILTERED:
        *child_perm = perm;
        *child_shared = shared;
        break;
    case BLOCK_CHILD_FILE:
    case BLOCK_CHILD_DATA:
        *child_perm =
            BLOCK_PERM_CONSISTENT_READ | (writable ? BLOCK_PERM_WRITE | BLOCK_PERM_RESIZE : 0);
        *child_shared = BLOCK_SHARE_DEFAULT;
        break;
    case BLOCK_CHILD_BACKING:
        *child_perm = BLOCK_PERM_CONSISTENT_READ;
        *child_shared = BLOCK_SHARE_DEFAULT | node->backing_shared;
        break;
    }
    if (node->flags & BLOCK_OPEN_FORCE_SHARE)
        *child_shared = BLOCK_SHARE_ALL;
}

static void child_perm(BlockNode *node, const BlockChildSlot *slot, unsigned perm, unsigned shared, BlockUser *child)
{
    unsigned now = 0, others = BLOCK_SHARE_ALL;

    if (node->driver->child_perm)
        node->driver->child_perm(node, slot, perm, shared, &now, &others);
    else
        perm_by_role(node, slot->role, perm, shared, &now, &others);
    child->perm = now; /* at once: nothing less in between */
    child->shared = others;
}

static bool update_children(BlockNode *node, unsigned perm, unsigned shared, GError **error)
{
    for (unsigned i = 0; i < node->children->len; i++) {
        BlockUser *child = node->children->pdata[i];
        unsigned old_perm, old_shared;
        if (!child)
            continue;
        old_perm = child->perm;
        old_shared = child->shared;
        child_perm(node, child->slot, perm, shared, child);
        if (block_perm_update(user_node(child), error))
            continue;
        child->perm = old_perm;
        child->shared = old_shared;
        block_perm_update(user_node(child), NULL);
        return false;
    }
    return true;
}

bool block_perm_update(BlockNode *node, GError **error)
{
    unsigned perm = 0, shared = BLOCK_SHARE_ALL;

    for (unsigned i = 0; i < node->users->len; i++) {
        BlockUser *a = node->users->pdata[i];
        for (unsigned k = 0; k < node->users->len; k++)
            if (k != i && !check_pair(node, a, node->users->pdata[k], error))
                return false;
        perm |= a->perm;
        shared &= a->shared;
    }
    if (node->flags & BLOCK_OPEN_FORCE_SHARE)
        shared = BLOCK_SHARE_ALL;
    if ((node->flags & BLOCK_OPEN_READ_ONLY) && (perm & (BLOCK_PERM_WRITE | BLOCK_PERM_RESIZE)))
        return fail(error, "%s: it is open for reading only", block_node_file(node));
    if (!update_children(node, perm, shared, error))
        goto back;
    if (node->driver->set_perm && node->opened &&
        !node->driver->set_perm(node, perm, shared, error))
        goto back;
    node->perm = perm;
    node->shared = shared;
    return true;
back:
    update_children(node, node->perm, node->shared, NULL);
    return false;
}

static BlockUser *user_new(BlockNode *node, const char *name)
{
    BlockUser *user = g_new0(BlockUser, 1);

    user->graph = node->graph;
    user->name = g_strdup(name);
    user->shared = BLOCK_SHARE_ALL;
    atomic_store(&user->node, block_node_ref(node));
    g_ptr_array_add(node->users, user);
    return user;
}

void block_user_drop(BlockUser *user)
{
    BlockNode *node = user_node(user);

    g_ptr_array_remove(node->users, user);
    block_perm_update(node, NULL);
    block_node_unref(node);
    g_free(user->name);
    g_free(user);
}

/* Has the new user's permissions taken; without them there is no user. */
static BlockUser *settle(BlockUser *user, BlockNode *node, GError **error)
{
    if (block_perm_update(node, error))
        return user;
    user->perm = 0;
    user->shared = BLOCK_SHARE_ALL;
    block_user_drop(user);
    return NULL;
}

BlockUser *block_attach(BlockNode *node, const BlockAttach *attach, GError **error)
{
    BlockUser *user = user_new(node, attach->name ? attach->name : "user");

    user->perm = attach->perm;
    user->shared = attach->shared;
    user->resized = attach->resized;
    user->opaque = attach->opaque;
    atomic_store(&user->writethrough, attach->writethrough);
    return settle(user, node, error);
}

BlockUser *block_child_attach(BlockNode *parent, const BlockChildSlot *slot, BlockNode *node,
                              GError **error)
{
    g_autofree char *name = g_strdup_printf("node %s", parent->name);
    BlockUser *user = user_new(node, name);

    user->parent = parent;
    user->slot = slot;
    child_perm(parent, slot, 0, BLOCK_SHARE_ALL, user);
    return settle(user, node, error);
}

void block_detach(BlockUser *user)
{
    if (!user)
        return;
    BlockNode *node = user_node(user);
    /* all users of the node wait for a moment, so that this one's completions are over */
    block_drain_begin(node);
    block_drain_end(node);
    block_user_drop(user);
}

bool block_user_set_perm(BlockUser *user, unsigned perm, unsigned shared, GError **error)
{
    unsigned old_perm = user->perm, old_shared = user->shared;

    user->perm = perm;
    user->shared = shared;
    if (block_perm_update(user_node(user), error))
        return true;
    user->perm = old_perm;
    user->shared = old_shared;
    block_perm_update(user_node(user), NULL);
    return false;
}

void block_user_set_writethrough(BlockUser *user, bool writethrough)
{
    atomic_store_explicit(&user->writethrough, writethrough, memory_order_relaxed);
}

bool block_user_writethrough(const BlockUser *user)
{
    return atomic_load_explicit(&user->writethrough, memory_order_relaxed);
}

BlockNode *block_user_node(const BlockUser *user)
{
    return user_node(user);
}

uint64_t block_size(const BlockUser *user)
{
    return node_size(user_node(user));
}

BlockStats block_user_stats(const BlockUser *user)
{
    BlockStats stats;

    for (unsigned i = 0; i < G_N_ELEMENTS(stats.ops); i++) {
        stats.ops[i] = atomic_load_explicit(&user->stats.ops[i], memory_order_relaxed);
        stats.bytes[i] = atomic_load_explicit(&user->stats.bytes[i], memory_order_relaxed);
        stats.errors[i] = atomic_load_explicit(&user->stats.errors[i], memory_order_relaxed);
    }
    return stats;
}

BlockAdvice block_advice(const BlockUser *user)
{
    const BlockNode *node = user_node(user);
    const BlockLimits *l = &node->limits;

    return (BlockAdvice){
        .align = l->align,
        .optimal = l->optimal,
        .max_transfer = l->max_transfer,
        .discard_align = l->discard_align,
        .can_discard = l->can_discard && (node->flags & BLOCK_OPEN_UNMAP),
        .quick_zero = l->quick_zero,
    };
}

BlockPlain block_plain(const BlockUser *user)
{
    BlockPlain plain = { .node = user_node(user), .fd = -1 };

    while (user) {
        BlockNode *node = user_node(user);
        user = NULL;
        if (node->driver->plain) {
            BlockUser *child = NULL;
            int fd = node->driver->plain(node, &child, &plain.offset);
            plain.fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
            user = child;
        }
    }
    return plain;
}
