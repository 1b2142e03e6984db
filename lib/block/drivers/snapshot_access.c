/* SPDX-License-Identifier: MIT */
/*
 * snapshot-access: a copy-before-write node's disk as it was when that was opened. It is not
 * written to; a discard says that a part is done with: nothing is copied for it any more, and it
 * cannot be read again (EACCES), as what is outside the bitmap cannot.
 */
#include "block/cbw_priv.h"

#include "base/error.h"

#include <errno.h>

typedef struct {
    BlockUser *file;
    BlockNode *cbw; /* of file when it was opened, also if a filter comes between */
    uint64_t size;
} SnapshotAccess;

static const BlockChildSlot children[] = {
    { .name = "file", .role = BLOCK_CHILD_DATA, .offset = offsetof(SnapshotAccess, file) },
    { 0 }
};

static bool access_open(BlockNode *node, GError **error)
{
    SnapshotAccess *a = block_node_state(node);
    BlockNode *below = block_user_node(a->file);

    if (below->driver != &block_copy_before_write_driver)
        return fail_usage(error, "snapshot-access: file=%s: it is a copy-before-write node, not %s",
                          block_node_name(below), below->driver->name);
    a->cbw = below;
    a->size = block_size(a->file);
    return true;
}

/* It goes round the node, which is written to by others. */
static void access_child_perm(BlockNode *node, const BlockChildSlot *slot, unsigned perm,
                              unsigned shared, unsigned *child_perm, unsigned *child_shared)
{
    *child_perm = 0;
    *child_shared = BLOCK_SHARE_ALL;
}

static int64_t access_length(BlockNode *node)
{
    return (int64_t)((SnapshotAccess *)block_node_state(node))->size;
}

static void access_limits(BlockNode *node, BlockLimits *limits)
{
    SnapshotAccess *a = block_node_state(node);

    limits->can_discard = true;
    limits->discard_align = (uint32_t)cbw_cluster(a->cbw);
    limits->max_effect = BLOCK_MAX_SIZE;
    limits->quick_zero = limits->zero_init = false;
}

static int access_read(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov,
                       int iovcnt)
{
    SnapshotAccess *a = block_node_state(node);
    return cbw_snapshot_read(a->cbw, offset, bytes, iov, iovcnt);
}

static int access_write(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov,
                        int iovcnt, unsigned flags)
{
    return -ENOTSUP;
}

static int access_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    SnapshotAccess *a = block_node_state(node);
    return cbw_snapshot_discard(a->cbw, offset, bytes);
}

/* What was copied is flushed with the target, by its own users. */
static int access_flush(BlockNode *node)
{
    return 0;
}

static int access_extents(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags,
                          BlockExtent *out, unsigned max)
{
    SnapshotAccess *a = block_node_state(node);
    return cbw_snapshot_extents(a->cbw, offset, bytes, out);
}

const BlockDriver block_snapshot_access_driver = {
    .name = "snapshot-access",
    .summary = "the disk of a copy-before-write node as it was",
    .size = sizeof(SnapshotAccess),
    .children = children,
    .open = access_open,
    .child_perm = access_child_perm,
    .length = access_length,
    .limits = access_limits,
    .read = access_read,
    .write = access_write,
    .discard = access_discard,
    .flush = access_flush,
    .extents = access_extents,
};
