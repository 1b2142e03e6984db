/* SPDX-License-Identifier: MIT */
/*
 * What is where: the driver's extents, those it sends on to a child replaced by the child's answer,
 * neighbours joined.
 */
#include "block/block_priv.h"

#include <errno.h>

enum { SOME = 16 }; /* asked for at once */

static int node_extents(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags,
                        BlockExtent *out, unsigned max, int depth);

/* The child's view of one extent; only its first part if it has several. */
static int follow(BlockExtent *e, unsigned flags, int depth)
{
    BlockUser *child = e->child;
    BlockExtent sub = { 0 };

    if (depth > BLOCK_MAX_NESTING)
        return -ELOOP;
    BlockNode *node = block_user_enter(child);
    uint64_t size = node_size(node);
    int r = 1;
    if (e->child_offset >= size)
        sub = (BlockExtent){ .bytes = e->bytes,
                             .flags = BLOCK_EXTENT_ZERO | (e->flags & BLOCK_EXTENT_ALLOCATED) };
    else
        r = node_extents(node, e->child_offset, MIN(e->bytes, size - e->child_offset), flags, &sub,
                         1, depth + 1);
    block_gate_leave(&node->gate);
    if (r < 0)
        return r;
    /* past the end of what it is based on, the layer above answers itself */
    bool backing = child->slot && child->slot->role == BLOCK_CHILD_BACKING && e->child_offset < size;
    *e = (BlockExtent){
        .offset = e->offset,
        .bytes = MIN(e->bytes, sub.bytes),
        /* what a layer has it has, wherever its file keeps it */
        .flags = sub.flags | (e->flags & BLOCK_EXTENT_ALLOCATED),
        .depth = sub.depth + e->depth + backing,
        .host = sub.host,
        .file = sub.file,
    };
    return 0;
}

static bool joins(const BlockExtent *a, const BlockExtent *b)
{
    return a->flags == b->flags && a->depth == b->depth && a->file == b->file &&
           (!(a->flags & BLOCK_EXTENT_HOST) || a->host + a->bytes == b->host);
}

/* One step of the driver; several extents. */
static int ask(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags, BlockExtent *out,
               unsigned max)
{
    const BlockDriver *d = node->driver;
    BlockUser *child = block_node_child(node, 0);

    if (d->extents)
        return d->extents(node, offset, bytes, flags, out, max);
    *out = (BlockExtent){ .offset = offset, .bytes = bytes,
                          .flags = BLOCK_EXTENT_DATA | BLOCK_EXTENT_ALLOCATED };
    if (child && d->filter) {
        out->flags = BLOCK_EXTENT_FORWARD;
        out->child = child;
        out->child_offset = offset;
    }
    return 1;
}

static int node_extents(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags,
                        BlockExtent *out, unsigned max, int depth)
{
    uint64_t end = offset + bytes;
    unsigned n = 0;

    while (offset < end) {
        BlockExtent some[SOME];
        int got = ask(node, offset, end - offset, flags, some, SOME);
        if (got < 0)
            return got;
        if (!got || !some[0].bytes)
            return -EIO;
        for (int i = 0; i < got && offset < end; i++) {
            BlockExtent e = some[i];
            e.bytes = MIN(e.bytes, end - offset);
            bool whole = true;
            if (e.flags & BLOCK_EXTENT_FORWARD) {
                uint64_t asked = e.bytes;
                int r = follow(&e, flags, depth);
                if (r)
                    return r;
                whole = e.bytes == asked;
            }
            if (n && joins(&out[n - 1], &e))
                out[n - 1].bytes += e.bytes;
            else if (n == max)
                return (int)n;
            else
                out[n++] = e;
            offset += e.bytes;
            if (!whole)
                break; /* the rest of it is asked for again */
        }
    }
    return (int)n;
}

int block_extents(BlockUser *user, uint64_t offset, uint64_t bytes, unsigned flags,
                  BlockExtent *out, unsigned max)
{
    BlockNode *node = block_user_enter(user);
    int r = -EINVAL;

    if (max && bytes && offset < node_size(node) && bytes <= node_size(node) - offset)
        r = node_extents(node, offset, bytes, flags, out, max, 0);
    block_gate_leave(&node->gate);
    return r;
}
