/* SPDX-License-Identifier: MIT */
/*
 * quorum: several copies of a disk. Writes go to all; a read asks all and gives what at least
 * vote-threshold of them agree on, or, with read-pattern=fifo, what the first gives that can be
 * read. An operation is good when it is on vote-threshold children.
 */
#include "block/filter_priv.h"

#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 32, PIECE = 1 << 20 };
enum { PATTERN_QUORUM, PATTERN_FIFO };

static const char *const patterns[] = { "quorum", "fifo", NULL };

typedef struct {
    BlockUser *children[MOST];
    unsigned count;
    uint64_t threshold;
    bool blkverify, rewrite;
    int pattern;
    _Atomic bool told;
    FilterRanges ranges; /* overlapping writes must reach all in one order, reads see no half */
} Quorum;

static const BlockProp props[] = {
    { .name = "vote-threshold", .kind = BLOCK_PROP_NUMBER, .offset = offsetof(Quorum, threshold),
      .needed = true, .min = 1, .max = MOST, .help = "how many must agree" },
    { .name = "blkverify", .kind = BLOCK_PROP_BOOL, .offset = offsetof(Quorum, blkverify),
      .def = "off", .help = "two children, which must always agree" },
    { .name = "rewrite-corrupted", .kind = BLOCK_PROP_BOOL, .offset = offsetof(Quorum, rewrite),
      .def = "off", .help = "those outvoted get what was agreed on" },
    { .name = "read-pattern", .kind = BLOCK_PROP_ENUM, .offset = offsetof(Quorum, pattern),
      .names = patterns, .def = "quorum", .help = "fifo: the first that can be read" },
    { 0 }
};

#define CHILD(n) \
    { .name = "children." #n, .role = BLOCK_CHILD_FILTERED, .optional = true, \
      .offset = offsetof(Quorum, children[n]) }

static const BlockChildSlot children[] = {
    CHILD(0),  CHILD(1),  CHILD(2),  CHILD(3),  CHILD(4),  CHILD(5),  CHILD(6),  CHILD(7),
    CHILD(8),  CHILD(9),  CHILD(10), CHILD(11), CHILD(12), CHILD(13), CHILD(14), CHILD(15),
    CHILD(16), CHILD(17), CHILD(18), CHILD(19), CHILD(20), CHILD(21), CHILD(22), CHILD(23),
    CHILD(24), CHILD(25), CHILD(26), CHILD(27), CHILD(28), CHILD(29), CHILD(30), CHILD(31),
    { 0 }
};

static bool quorum_open(BlockNode *node, GError **error)
{
    Quorum *q = block_node_state(node);

    for (unsigned i = 0; i < MOST; i++) {
        if (q->children[i] && i != q->count)
            return fail_usage(error, "quorum: children.%u without children.%u", i, q->count);
        q->count += q->children[i] != NULL;
    }
    if (!q->count)
        return fail_usage(error, "quorum: children.0=... is missing");
    if (q->threshold > q->count)
        return fail_usage(error, "vote-threshold=%" G_GUINT64_FORMAT " of %u children",
                          q->threshold, q->count);
    if (q->blkverify && (q->count != 2 || q->threshold != 2))
        return fail_usage(error, "blkverify=on needs two children and vote-threshold=2");
    if (q->rewrite && (q->blkverify || q->pattern == PATTERN_FIFO))
        return fail_usage(error, "rewrite-corrupted=on needs a vote: no blkverify=on or "
                                 "read-pattern=fifo");
    for (unsigned i = 1; i < q->count; i++)
        if (block_size(q->children[i]) != block_size(q->children[0]))
            return fail(error, "quorum: children of %" G_GUINT64_FORMAT " and %" G_GUINT64_FORMAT
                        " bytes", block_size(q->children[0]), block_size(q->children[i]));
    filter_ranges_init(&q->ranges);
    return true;
}

static void quorum_close(BlockNode *node)
{
    filter_ranges_clear(&((Quorum *)block_node_state(node))->ranges);
}

static void quorum_child_perm(BlockNode *node, const BlockChildSlot *slot, unsigned perm,
                              unsigned shared, unsigned *child_perm, unsigned *child_shared)
{
    Quorum *q = block_node_state(node);

    *child_perm = perm;
    *child_shared = shared;
    if (q->rewrite && !block_node_read_only(node))
        *child_perm |= BLOCK_PERM_WRITE;
}

static void quorum_limits(BlockNode *node, BlockLimits *limits)
{
    limits->fua = true;
}

/* ---- reading ------------------------------------------------------------- */

static void tell(BlockNode *node, const char *what, uint64_t at)
{
    Quorum *q = block_node_state(node);

    if (!atomic_exchange(&q->told, true))
        block_node_warn(node, "%s: quorum: %s at offset %" G_GUINT64_FORMAT,
                        block_node_file(node), what, at);
}

static int read_first(Quorum *q, uint64_t offset, uint64_t bytes, const struct iovec *iov,
                      int iovcnt)
{
    int first = 0;

    for (unsigned i = 0; i < q->count; i++) {
        int r = block_run(q->children[i], BLOCK_READ, 0, offset, bytes, iov, iovcnt);
        if (!r)
            return 0;
        first = first ? first : r;
    }
    return first;
}

typedef struct {
    uint8_t *copy[MOST];
    int r[MOST];
    unsigned votes[MOST]; /* of the first of those that agree */
    unsigned best;
} Vote;

static void count_votes(const Quorum *q, Vote *v, uint64_t bytes)
{
    for (unsigned i = 0; i < q->count; i++) {
        unsigned k = 0;
        if (v->r[i])
            continue;
        while (k < i && (v->r[k] || memcmp(v->copy[k], v->copy[i], bytes)))
            k++;
        v->votes[k]++;
        if (v->votes[k] > v->votes[v->best])
            v->best = k;
    }
}

/* Those outvoted get the winner's bytes; that it fails harms nobody. */
static void rewrite(Quorum *q, const Vote *v, uint64_t offset, uint64_t bytes)
{
    for (unsigned i = 0; i < q->count; i++)
        if (!v->r[i] && memcmp(v->copy[i], v->copy[v->best], bytes))
            block_write(q->children[i], offset, v->copy[v->best], bytes, 0);
}

static int read_voted(BlockNode *node, uint64_t offset, uint64_t bytes, uint8_t *room,
                      uint64_t size, const struct iovec *iov, int iovcnt, uint64_t skip)
{
    Quorum *q = block_node_state(node);
    Vote v = { .best = 0 };
    unsigned good = 0;
    int first = 0;

    for (unsigned i = 0; i < q->count; i++) {
        v.copy[i] = room + i * size;
        v.r[i] = block_read(q->children[i], offset, v.copy[i], bytes);
        good += !v.r[i];
        first = first ? first : v.r[i];
    }
    if (good < q->threshold)
        return first;
    count_votes(q, &v, bytes);
    if (v.votes[v.best] < q->threshold) {
        tell(node, q->blkverify ? "contents mismatch" : "no majority", offset);
        return -EIO;
    }
    if (v.votes[v.best] < good) {
        tell(node, "a child was outvoted", offset);
        if (q->rewrite && !block_node_read_only(node))
            rewrite(q, &v, offset, bytes);
    }
    filter_scatter(iov, iovcnt, skip, v.copy[v.best], bytes);
    return 0;
}

static int quorum_read(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov,
                       int iovcnt)
{
    Quorum *q = block_node_state(node);
    uint64_t size = (MIN(bytes, PIECE) + 4095) & ~UINT64_C(4095);

    if (q->pattern == PATTERN_FIFO)
        return read_first(q, offset, bytes, iov, iovcnt);
    uint8_t *room = aligned_alloc(4096, size * q->count);
    int r = room ? 0 : -ENOMEM;
    /* what was outvoted is written while nobody else is there */
    FilterRange range = { .start = offset, .end = offset + bytes, .shared = !q->rewrite };
    filter_range_take(&q->ranges, node, &range);
    for (uint64_t done = 0, n; !r && done < bytes; done += n) {
        n = MIN(bytes - done, size);
        r = read_voted(node, offset + done, n, room, size, iov, iovcnt, done);
    }
    filter_range_give(&q->ranges, &range);
    free(room);
    return r;
}

/* ---- all others ---------------------------------------------------------- */

static int on_all(BlockNode *node, BlockOp op, uint64_t offset, uint64_t bytes,
                  const struct iovec *iov, int iovcnt, unsigned flags)
{
    Quorum *q = block_node_state(node);
    FilterRange range = { .start = offset, .end = offset + bytes };
    unsigned good = 0;
    int first = 0;

    filter_range_take(&q->ranges, node, &range);
    for (unsigned i = 0; i < q->count; i++) {
        int r = block_run(q->children[i], op, flags, offset, bytes, iov, iovcnt);
        good += !r;
        first = first ? first : r;
    }
    filter_range_give(&q->ranges, &range);
    return good >= q->threshold ? 0 : first;
}

static int quorum_write(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov,
                        int iovcnt, unsigned flags)
{
    return on_all(node, BLOCK_WRITE, offset, bytes, iov, iovcnt, flags);
}

static int quorum_zero(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
    /* one that had done it quickly would differ from one that could not */
    return on_all(node, BLOCK_ZERO, offset, bytes, NULL, 0,
                  flags & ~(unsigned)BLOCK_NO_FALLBACK);
}

static int quorum_flush(BlockNode *node)
{
    return on_all(node, BLOCK_FLUSH, 0, 0, NULL, 0, 0);
}

static bool quorum_resize(BlockNode *node, uint64_t size, BlockPrealloc prealloc, GError **error)
{
    Quorum *q = block_node_state(node);

    for (unsigned i = 0; i < q->count; i++)
        if (!block_resize(q->children[i], size, prealloc, error))
            return prefix(error, "children.%u", i);
    return true;
}

/* One that has data has the vote: the others could be wrong. */
static int quorum_extents(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags,
                          BlockExtent *out, unsigned max)
{
    Quorum *q = block_node_state(node);
    BlockExtent e;

    *out = (BlockExtent){ .offset = offset, .flags = BLOCK_EXTENT_ZERO | BLOCK_EXTENT_ALLOCATED };
    for (unsigned i = 0; i < q->count; i++) {
        int r = block_extents(q->children[i], offset, bytes, flags, &e, 1);
        if (r < 0)
            continue;
        if (!(e.flags & BLOCK_EXTENT_ZERO))
            out->flags = BLOCK_EXTENT_DATA | BLOCK_EXTENT_ALLOCATED;
        bytes = MIN(bytes, e.bytes);
    }
    out->bytes = bytes;
    return 1;
}

const BlockDriver block_quorum_driver = {
    .name = "quorum",
    .summary = "several copies of a disk, which vote",
    .size = sizeof(Quorum),
    .props = props,
    .children = children,
    .open = quorum_open,
    .close = quorum_close,
    .limits = quorum_limits,
    .child_perm = quorum_child_perm,
    .resize = quorum_resize,
    .read = quorum_read,
    .write = quorum_write,
    .zero = quorum_zero,
    .flush = quorum_flush,
    .flushes_children = true,
    .extents = quorum_extents,
};
