/* SPDX-License-Identifier: MIT */
/*
 * copy-before-write: before a part of the file is overwritten for the first time, what it holds is
 * copied to the target, at the same offset. So file and target together still have the disk as it
 * was when the node was opened; snapshot-access shows it. Two bitmaps of clusters:
 *
 *   todo    is not copied, and must be before it is written; what of the view is in the file
 *   access  belongs to the view: all, or what bitmap= had marked; a discard of the view takes
 *           it out, and nothing is copied for it any more
 *
 * A cluster is locked while it is copied and while the view is read there. A write goes on when
 * nothing in it is todo, so no read of the view from the file can see it.
 */
#include "block/cbw_priv.h"
#include "block/filter_priv.h"

#include "base/error.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { CLUSTER = 65536, PIECE = 1 << 20 };
enum { BREAK_WRITE, BREAK_SNAPSHOT };

static const char *const on_error_words[] = { "break-guest-write", "break-snapshot", NULL };

typedef struct {
    BlockUser *file, *target;
    char *bitmap_node, *bitmap_name;
    int on_error;
    uint64_t timeout;
    uint64_t cluster;
    BlockBitmap *todo, *access;
    FilterRanges ranges;
    _Atomic int broken; /* -errno: the view is, under break-snapshot */
} Cbw;

static const BlockProp props[] = {
    { .name = "bitmap.node", .kind = BLOCK_PROP_STRING, .offset = offsetof(Cbw, bitmap_node),
      .help = "the node that has it" },
    { .name = "bitmap.name", .kind = BLOCK_PROP_STRING, .offset = offsetof(Cbw, bitmap_name),
      .help = "only what this bitmap marks now is copied and can be read" },
    { .name = "on-cbw-error", .kind = BLOCK_PROP_ENUM, .offset = offsetof(Cbw, on_error),
      .names = on_error_words, .def = "break-guest-write", .help = "what fails with a copy" },
    { .name = "cbw-timeout", .kind = BLOCK_PROP_NUMBER, .offset = offsetof(Cbw, timeout),
      .def = "0", .max = UINT32_MAX,
      .help = "seconds; accepted, a copy takes as long as it takes" },
    { 0 }
};

static const BlockChildSlot children[] = {
    { .name = "file", .role = BLOCK_CHILD_FILTERED, .offset = offsetof(Cbw, file) },
    { .name = "target", .role = BLOCK_CHILD_DATA, .offset = offsetof(Cbw, target) },
    { 0 }
};

/* ---- opening ------------------------------------------------------------- */

static bool fill_bitmaps(BlockNode *node, Cbw *c, GError **error)
{
    BlockNode *owner;
    BlockBitmap *from;

    if (!c->bitmap_node && !c->bitmap_name) {
        block_bitmap_mark(c->access, 0, block_size(c->file));
    } else if (!c->bitmap_node || !c->bitmap_name) {
        return fail_usage(error, "bitmap: it has a node and a name");
    } else {
        if (!(owner = block_find(node->graph, c->bitmap_node)))
            return fail_usage(error, "bitmap.node=%s: no node is called that", c->bitmap_node);
        if (!(from = block_bitmap_find(owner, c->bitmap_name)))
            return fail_usage(error, "bitmap.name=%s: node %s has no such bitmap", c->bitmap_name,
                              c->bitmap_node);
        if (!block_bitmap_merge(c->access, from, error))
            return false;
    }
    return block_bitmap_merge(c->todo, c->access, error);
}

static bool cbw_open(BlockNode *node, GError **error)
{
    Cbw *c = block_node_state(node);
    uint64_t size = block_size(c->file);
    const BlockLimits *below = &block_user_node(c->target)->limits;

    if (block_size(c->target) < size)
        return fail(error, "%s: the target is shorter (%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
                    " bytes)", block_node_file(node), block_size(c->target), size);
    c->cluster = MAX(MAX(CLUSTER, below->cluster), below->align);
    c->todo = block_bitmap_new("todo", (uint32_t)c->cluster, size, error);
    c->access = c->todo ? block_bitmap_new("access", (uint32_t)c->cluster, size, error) : NULL;
    if (!c->access || !fill_bitmaps(node, c, error)) {
        block_bitmap_free(c->todo);
        block_bitmap_free(c->access);
        return false;
    }
    filter_ranges_init(&c->ranges);
    return true;
}

static void cbw_close(BlockNode *node)
{
    Cbw *c = block_node_state(node);

    block_bitmap_free(c->todo);
    block_bitmap_free(c->access);
    filter_ranges_clear(&c->ranges);
}

static void cbw_child_perm(BlockNode *node, const BlockChildSlot *slot, unsigned perm,
                           unsigned shared, unsigned *child_perm, unsigned *child_shared)
{
    bool writable = !block_node_read_only(node);

    if (slot->role == BLOCK_CHILD_DATA) {
        *child_perm = BLOCK_PERM_CONSISTENT_READ | (writable ? BLOCK_PERM_WRITE : 0);
        *child_shared = BLOCK_SHARE_DEFAULT;
        return;
    }
    *child_perm = perm | BLOCK_PERM_CONSISTENT_READ;
    *child_shared = shared;
    /* who wrote past us would change the view; before it is inserted over a disk, all do */
    if (node->users->len)
        *child_shared &= ~(unsigned)(BLOCK_PERM_WRITE | BLOCK_PERM_RESIZE);
}

/* ---- copying before a write ---------------------------------------------- */

static int copy(Cbw *c, uint64_t offset, uint64_t bytes, uint8_t *buf)
{
    int r = block_read(c->file, offset, buf, bytes);

    if (r)
        return r;
    if (block_iov_is_zero(&(struct iovec){ buf, bytes }, 1))
        return block_zero(c->target, offset, bytes, BLOCK_MAY_UNMAP);
    return block_write(c->target, offset, buf, bytes, 0);
}

/* All clusters of a locked range that are todo. */
static int copy_range(Cbw *c, uint64_t start, uint64_t end)
{
    uint8_t *buf = NULL;
    int r = 0;

    for (uint64_t at = start, n; !r && at < end; at += n) {
        bool todo;
        n = block_bitmap_run(c->todo, at, end - at, &todo);
        if (!todo)
            continue;
        n = MIN(n, MAX(PIECE, c->cluster));
        if (!buf)
            buf = aligned_alloc(4096, MAX(PIECE, c->cluster));
        r = buf ? copy(c, at, n, buf) : -ENOMEM;
        if (!r)
            block_bitmap_unmark(c->todo, at, n);
    }
    free(buf);
    return r;
}

/* Before a write. */
static int save(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    Cbw *c = block_node_state(node);
    uint64_t size = c->todo->size;
    FilterRange range = { .start = offset & ~(c->cluster - 1) };

    if (offset >= size || atomic_load(&c->broken))
        return 0;
    range.end = MIN(size, (offset + bytes + c->cluster - 1) & ~(c->cluster - 1));
    filter_range_take(&c->ranges, node, &range);
    int r = copy_range(c, range.start, range.end);
    if (r && c->on_error == BREAK_SNAPSHOT) {
        atomic_store(&c->broken, r);
        r = 0;
    }
    filter_range_give(&c->ranges, &range);
    return r;
}

static int change(BlockNode *node, BlockOp op, uint64_t offset, uint64_t bytes,
                  const struct iovec *iov, int iovcnt, unsigned flags)
{
    Cbw *c = block_node_state(node);
    int r = save(node, offset, bytes);
    return r ? r : block_run(c->file, op, flags, offset, bytes, iov, iovcnt);
}

static int cbw_write(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov,
                     int iovcnt, unsigned flags)
{
    return change(node, BLOCK_WRITE, offset, bytes, iov, iovcnt, flags);
}

static int cbw_zero(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
    return change(node, BLOCK_ZERO, offset, bytes, NULL, 0, flags);
}

static int cbw_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    return change(node, BLOCK_DISCARD, offset, bytes, NULL, 0, 0);
}

static int cbw_compressed(BlockNode *node, uint64_t offset, uint64_t bytes,
                          const struct iovec *iov, int iovcnt)
{
    return change(node, BLOCK_WRITE, offset, bytes, iov, iovcnt, BLOCK_COMPRESS);
}

/* What is copied already needs no thread. */
static bool cbw_map(BlockNode *node, BlockOp op, uint64_t offset, uint64_t bytes, BlockMap *map)
{
    Cbw *c = block_node_state(node);
    bool todo = false;

    if (op != BLOCK_READ && !atomic_load(&c->broken) &&
        (block_bitmap_run(c->todo, offset, bytes, &todo) < bytes || todo))
        return false;
    return filter_map(node, op, offset, bytes, map);
}

/* ---- the view as it was -------------------------------------------------- */

uint64_t cbw_cluster(BlockNode *node)
{
    return ((Cbw *)block_node_state(node))->cluster;
}

/* ---- for backup ------------------------------------------------------------ */

uint64_t cbw_todo(BlockNode *node, uint64_t offset, uint64_t bytes, bool *todo)
{
    return block_bitmap_run(((Cbw *)block_node_state(node))->todo, offset, bytes, todo);
}

int cbw_save(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    Cbw *c = block_node_state(node);
    FilterRange range = { .start = offset, .end = offset + bytes };

    filter_range_take(&c->ranges, node, &range);
    int r = atomic_load(&c->broken);
    if (!r)
        r = copy_range(c, range.start, range.end);
    filter_range_give(&c->ranges, &range);
    return r;
}

void cbw_skip(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    Cbw *c = block_node_state(node);
    FilterRange range = { .start = offset, .end = offset + bytes };

    filter_range_take(&c->ranges, node, &range);
    block_bitmap_unmark(c->access, offset, bytes);
    block_bitmap_unmark(c->todo, offset, bytes);
    filter_range_give(&c->ranges, &range);
}

int cbw_broken(BlockNode *node)
{
    return atomic_load(&((Cbw *)block_node_state(node))->broken);
}

bool cbw_give_back(BlockNode *node, BlockBitmap *bitmap, GError **error)
{
    return block_bitmap_merge(bitmap, ((Cbw *)block_node_state(node))->access, error);
}

/* ---- the view, read -------------------------------------------------------- */

/* Whether it may be read; a range of it is locked. */
static int allowed(Cbw *c, uint64_t offset, uint64_t bytes)
{
    bool ok;

    if (atomic_load(&c->broken))
        return -EACCES;
    return block_bitmap_run(c->access, offset, bytes, &ok) >= bytes && ok ? 0 : -EACCES;
}

int cbw_snapshot_read(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov,
                      int iovcnt)
{
    Cbw *c = block_node_state(node);
    FilterRange range = { .start = offset, .end = offset + bytes, .shared = true };
    bool todo;

    filter_range_take(&c->ranges, node, &range);
    int r = allowed(c, offset, bytes);
    if (!r && block_bitmap_run(c->todo, offset, bytes, &todo) >= bytes) {
        r = block_run(todo ? c->file : c->target, BLOCK_READ, 0, offset, bytes, iov, iovcnt);
    } else if (!r) {
        uint8_t *buf = aligned_alloc(4096, PIECE);
        r = buf ? 0 : -ENOMEM;
        for (uint64_t done = 0, n; !r && done < bytes; done += n) {
            n = block_bitmap_run(c->todo, offset + done, MIN(bytes - done, PIECE), &todo);
            r = block_read(todo ? c->file : c->target, offset + done, buf, n);
            if (!r)
                filter_scatter(iov, iovcnt, done, buf, n);
        }
        free(buf);
    }
    filter_range_give(&c->ranges, &range);
    return r;
}

int cbw_snapshot_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    Cbw *c = block_node_state(node);
    uint64_t end = offset + bytes;
    FilterRange range;

    offset = (offset + c->cluster - 1) & ~(c->cluster - 1);
    if (end < c->access->size)
        end &= ~(c->cluster - 1);
    if (offset >= end)
        return 0;
    range = (FilterRange){ .start = offset, .end = end };
    filter_range_take(&c->ranges, node, &range);
    block_bitmap_unmark(c->access, offset, end - offset);
    block_bitmap_unmark(c->todo, offset, end - offset);
    filter_range_give(&c->ranges, &range);
    return block_discard(c->target, offset, end - offset);
}

int cbw_snapshot_extents(BlockNode *node, uint64_t offset, uint64_t bytes, BlockExtent *out)
{
    Cbw *c = block_node_state(node);
    bool ok, todo;
    uint64_t n = block_bitmap_run(c->access, offset, bytes, &ok);

    if (!ok || atomic_load(&c->broken))
        return -EACCES;
    n = block_bitmap_run(c->todo, offset, n, &todo);
    *out = (BlockExtent){ .offset = offset, .bytes = n, .child_offset = offset,
                          .child = todo ? c->file : c->target, .flags = BLOCK_EXTENT_FORWARD };
    return 1;
}

const BlockDriver block_copy_before_write_driver = {
    .name = "copy-before-write",
    .summary = "what is overwritten is copied to a target first",
    .size = sizeof(Cbw),
    .props = props,
    .children = children,
    .filter = true,
    .open = cbw_open,
    .close = cbw_close,
    .limits = filter_limits,
    .child_perm = cbw_child_perm,
    .write = cbw_write,
    .zero = cbw_zero,
    .discard = cbw_discard,
    .write_compressed = cbw_compressed,
    .map = cbw_map,
};
