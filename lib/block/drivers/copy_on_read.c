/* SPDX-License-Identifier: MIT */
/*
 * copy-on-read: what is read from the backing files of the image below is written into it, so that
 * the next read finds it there. With bottom= only what comes from that node or those above it is
 * kept. A copy and a write to the same bytes wait for each other: a copy must not bring old data
 * back over what was written meanwhile.
 */
#include "block/filter_priv.h"

#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 1 << 20 }; /* copied at once */

typedef struct {
    BlockUser *file;
    char *bottom;
    unsigned depth;  /* of the last layer that is copied from; 0: any */
    uint64_t grain;  /* a copy is of whole ones, so that the image need not read for it */
    FilterRanges ranges;
} CopyOnRead;

static const BlockProp props[] = {
    { .name = "bottom", .kind = BLOCK_PROP_STRING, .offset = offsetof(CopyOnRead, bottom),
      .help = "the last node of the backing chain that is copied from" },
    { 0 }
};

static const BlockChildSlot children[] = {
    { .name = "file", .role = BLOCK_CHILD_FILTERED, .offset = offsetof(CopyOnRead, file) },
    { 0 }
};

/* The layer below in the chain, filters skipped; *steps counts backing files. */
static BlockNode *below(BlockNode *node, unsigned *steps)
{
    for (unsigned i = 0; i < node->children->len; i++) {
        BlockUser *child = node->children->pdata[i];
        if (!child)
            continue;
        bool backing = child->slot->role == BLOCK_CHILD_BACKING;
        if (!backing && !node->driver->filter)
            continue;
        *steps += backing;
        return block_user_node(child);
    }
    return NULL;
}

static bool find_bottom(BlockNode *node, CopyOnRead *c, GError **error)
{
    BlockNode *at = block_user_node(c->file);

    for (unsigned i = 0; at && i < BLOCK_MAX_NESTING; i++) {
        if (!strcmp(block_node_name(at), c->bottom))
            return c->depth ||
                   fail_usage(error, "bottom=%s: it is the image that is copied to", c->bottom);
        at = below(at, &c->depth);
    }
    return fail_usage(error, "bottom=%s: %s is not based on a node of that name", c->bottom,
                      block_node_file(node));
}

static bool cor_open(BlockNode *node, GError **error)
{
    CopyOnRead *c = block_node_state(node);
    const BlockNode *image = block_user_node(c->file);

    if (block_node_read_only(image))
        return fail(error, "%s: it is open for reading only, so nothing can be copied into it",
                    block_node_file(node));
    if (c->bottom && !find_bottom(node, c, error))
        return false;
    c->grain = MAX(image->limits.cluster, 4096);
    filter_ranges_init(&c->ranges);
    return true;
}

static void cor_close(BlockNode *node)
{
    filter_ranges_clear(&((CopyOnRead *)block_node_state(node))->ranges);
}

static void cor_child_perm(BlockNode *node, const BlockChildSlot *slot, unsigned perm,
                           unsigned shared, unsigned *child_perm, unsigned *child_shared)
{
    *child_perm = perm | BLOCK_PERM_CONSISTENT_READ | BLOCK_PERM_WRITE_UNCHANGED;
    *child_shared = shared | BLOCK_PERM_WRITE_UNCHANGED;
}

/* ---- reading ------------------------------------------------------------- */

/* What is to be done with the bytes at offset: *bytes gets how far it goes. */
static int look(CopyOnRead *c, uint64_t offset, uint64_t *bytes, bool *copy)
{
    BlockExtent e;
    int r;

    *copy = false;
    if (offset >= block_size(c->file))
        return 0;
    *bytes = MIN(*bytes, block_size(c->file) - offset);
    r = block_extents(c->file, offset, *bytes, BLOCK_EXTENTS_ALLOCATION, &e, 1);
    if (r < 0)
        return r;
    *bytes = e.bytes;
    *copy = e.depth > 0 && (e.flags & BLOCK_EXTENT_ALLOCATED) &&
            (!c->depth || e.depth <= c->depth);
    /* an image that is shorter than the one above hides what is below by zeroes that none has */
    if (c->depth && !(e.flags & BLOCK_EXTENT_ALLOCATED) && e.flags & BLOCK_EXTENT_ZERO)
        *copy = e.depth < c->depth;
    return 0;
}

/* Brings a range in and gives what of it was asked for; it is locked and in the backing files. */
static int copy_in(CopyOnRead *c, uint64_t start, uint64_t len, uint8_t *buf)
{
    int r = block_read(c->file, start, buf, len);

    if (r)
        return r;
    if (block_iov_is_zero(&(struct iovec){ buf, len }, 1))
        return block_zero(c->file, start, len, 0);
    return block_write(c->file, start, buf, len, 0);
}

/* Copies all of [start, end) that is not in the image yet. */
static int fill(BlockNode *node, uint64_t start, uint64_t end)
{
    CopyOnRead *c = block_node_state(node);
    FilterRange range = { .start = start, .end = end };
    uint8_t *buf = NULL;
    int r = 0;

    filter_range_take(&c->ranges, node, &range);
    for (uint64_t at = start, n; !r && at < end; at += n) {
        bool copy;
        n = MIN(end - at, PIECE);
        r = look(c, at, &n, &copy);
        if (r || !copy)
            continue;
        if (!buf)
            buf = aligned_alloc(4096, PIECE);
        r = buf ? copy_in(c, at, n, buf) : -ENOMEM;
    }
    filter_range_give(&c->ranges, &range);
    free(buf);
    return r;
}

static int cor_read(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov,
                    int iovcnt)
{
    CopyOnRead *c = block_node_state(node);
    uint64_t size = block_node_size(node), end = MIN(offset + bytes, size);

    for (uint64_t at = offset, n; at < end; at += n) {
        bool copy;
        n = end - at;
        int r = look(c, at, &n, &copy);
        if (!r && copy) {
            uint64_t start = at / c->grain * c->grain;
            uint64_t stop = (at + n + c->grain - 1) / c->grain * c->grain;
            r = fill(node, start, MIN(stop, size));
        }
        if (r)
            return r;
    }
    return block_run(c->file, BLOCK_READ, 0, offset, bytes, iov, iovcnt);
}

/* ---- writing: not into a copy that is under way -------------------------- */

static int cor_change(BlockNode *node, BlockOp op, uint64_t offset, uint64_t bytes,
                      const struct iovec *iov, int iovcnt, unsigned flags)
{
    CopyOnRead *c = block_node_state(node);
    FilterRange range = { .start = offset, .end = offset + bytes, .shared = true };

    filter_range_take(&c->ranges, node, &range);
    int r = block_run(c->file, op, flags, offset, bytes, iov, iovcnt);
    filter_range_give(&c->ranges, &range);
    return r;
}

static int cor_write(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov,
                     int iovcnt, unsigned flags)
{
    return cor_change(node, BLOCK_WRITE, offset, bytes, iov, iovcnt, flags);
}

static int cor_zero(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
    return cor_change(node, BLOCK_ZERO, offset, bytes, NULL, 0, flags);
}

static int cor_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    return cor_change(node, BLOCK_DISCARD, offset, bytes, NULL, 0, 0);
}

static int cor_compressed(BlockNode *node, uint64_t offset, uint64_t bytes,
                          const struct iovec *iov, int iovcnt)
{
    return cor_change(node, BLOCK_WRITE, offset, bytes, iov, iovcnt, BLOCK_COMPRESS);
}

const BlockDriver block_copy_on_read_driver = {
    .name = "copy-on-read",
    .summary = "what is read from backing files is written into the image",
    .size = sizeof(CopyOnRead),
    .props = props,
    .children = children,
    .filter = true,
    .open = cor_open,
    .close = cor_close,
    .limits = filter_limits,
    .child_perm = cor_child_perm,
    .resize = filter_resize,
    .read = cor_read,
    .write = cor_write,
    .zero = cor_zero,
    .discard = cor_discard,
    .write_compressed = cor_compressed,
};
