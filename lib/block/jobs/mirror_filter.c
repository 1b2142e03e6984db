/* SPDX-License-Identifier: MIT */
/*
 * mirror-filter: over the source of a mirror, so that users can be moved to the target, and nobody writes
 * to the source past it. With a target, each write is done there too; writes and the mirror's own copies
 * of one place go one after the other, so that both disks see them in the same order. What could not
 * be written to the target is marked: the mirror copies it later.
 */
#include "block/jobs/job_priv.h"

static const BlockChildSlot children[] = {
    { .name = "file", .role = BLOCK_CHILD_FILTERED, .offset = offsetof(MirrorFilter, file) },
    { 0 }
};

static void filter_child_perm(BlockNode *node, const BlockChildSlot *slot, unsigned perm, unsigned shared,
                              unsigned *child_perm, unsigned *child_shared)
{
    *child_perm = perm;
    *child_shared = shared;
    if (node->users->len) /* not before it is inserted */
        *child_shared &= ~(unsigned)(BLOCK_PERM_WRITE | BLOCK_PERM_RESIZE);
}

static int change(BlockNode *node, BlockOp op, uint64_t offset, uint64_t bytes, const struct iovec *iov, int iovcnt,
                  unsigned flags)
{
    MirrorFilter *m = block_node_state(node);
    FilterRange range = { .start = offset, .end = offset + bytes };

    if (!m->target)
        return block_run(m->file, op, flags, offset, bytes, iov, iovcnt);
    filter_range_take(m->ranges, node, &range);
    int r = block_run(m->file, op, flags, offset, bytes, iov, iovcnt);
    /* after a failure, nobody knows what is there now; nor what is where something was discarded */
    bool known = !r && op != BLOCK_DISCARD;
    if (!known || block_run(m->target, op, flags & BLOCK_MAY_UNMAP, offset, bytes, iov, iovcnt))
        block_bitmap_mark(m->dirty, offset, bytes);
    filter_range_give(m->ranges, &range);
    return r;
}

static int filter_write(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov, int iovcnt,
                        unsigned flags)
{
    return change(node, BLOCK_WRITE, offset, bytes, iov, iovcnt, flags & BLOCK_FUA);
}

static int mirror_zero(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
    MirrorFilter *m = block_node_state(node);

    /* the two may differ in what they can do quickly */
    return change(node, BLOCK_ZERO, offset, bytes, NULL, 0, m->target ? flags & ~(unsigned)BLOCK_NO_FALLBACK : flags);
}

static int mirror_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    return change(node, BLOCK_DISCARD, offset, bytes, NULL, 0, 0);
}

static int mirror_compressed(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov, int iovcnt)
{
    MirrorFilter *m = block_node_state(node);
    int r = block_run(m->file, BLOCK_WRITE, BLOCK_COMPRESS, offset, bytes, iov, iovcnt);

    if (m->target)
        block_bitmap_mark(m->dirty, offset, bytes);
    return r;
}

static bool mirror_map(BlockNode *node, BlockOp op, uint64_t offset, uint64_t bytes, BlockMap *map)
{
    MirrorFilter *m = block_node_state(node);

    return (op == BLOCK_READ || !m->target) && filter_map(node, op, offset, bytes, map);
}

const BlockDriver block_mirror_filter_driver = {
    .name = "mirror-filter",
    .summary = "over the source of a mirror",
    .size = sizeof(MirrorFilter),
    .children = children,
    .filter = true,
    .limits = filter_limits,
    .child_perm = filter_child_perm,
    .resize = filter_resize,
    .write = filter_write,
    .zero = mirror_zero,
    .discard = mirror_discard,
    .write_compressed = mirror_compressed,
    .map = mirror_map,
};
