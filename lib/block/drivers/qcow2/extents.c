/* SPDX-License-Identifier: MIT */
/*
 * What is where, for `map` and for copies. Where far more clusters are counted than the file has on
 * disk, room was made beforehand, and the file is asked what of the data was ever written.
 */
#include "block/drivers/qcow2/qcow2_priv.h"

static void as_extent(const Qcow2 *q, const Piece *p, uint64_t offset, BlockExtent *e)
{
    *e = (BlockExtent){ .offset = offset, .bytes = p->bytes };
    switch (p->kind) {
    case PIECE_HOLE:
    case PIECE_HOLE_THERE:
        e->flags = q->backing ? BLOCK_EXTENT_FORWARD : BLOCK_EXTENT_ZERO;
        e->child = q->backing;
        e->child_offset = offset;
        if (p->kind == PIECE_HOLE_THERE && !q->backing) {
            e->flags |= BLOCK_EXTENT_HOST;
            e->host = p->host;
            e->file = block_node_file(block_user_node(qcow2_data(q)));
        }
        break;
    case PIECE_ZERO: e->flags = BLOCK_EXTENT_ZERO | BLOCK_EXTENT_ALLOCATED; break;
    case PIECE_PACKED:
        e->flags = BLOCK_EXTENT_DATA | BLOCK_EXTENT_ALLOCATED | BLOCK_EXTENT_COMPRESSED;
        break;
    case PIECE_ZERO_THERE:
    case PIECE_DATA:
        e->flags = BLOCK_EXTENT_ALLOCATED | BLOCK_EXTENT_HOST |
                   (p->kind == PIECE_DATA ? BLOCK_EXTENT_DATA : BLOCK_EXTENT_ZERO);
        e->host = p->host;
        e->file = block_node_file(block_user_node(qcow2_data(q)));
        break;
    }
}

/* Whether so many clusters are counted that most of them cannot be on the disk: room that was made
 * beforehand, where the file knows better what reads as zeroes. */
static int find_preallocated(Qcow2 *q)
{
    int64_t allocated = block_allocated_size(block_user_node(q->file));
    uint64_t real = allocated < 0 ? UINT64_MAX / 16 : qcow2_clusters(q, (uint64_t)allocated), n = 0,
             count;

    Qcow2Counts counts = { NULL, 0, 0 };
    int r = 0;

    q->preallocated_known = true;
    for (uint64_t i = 0, end = qcow2_clusters(q, block_size(q->file));
         i < end && !r && !q->preallocated; i++) {
        r = qcow2_counts_at(q, &counts, i, &count);
        n += !r && count;
        q->preallocated = n >= MAX(real * 10 / 9, real + 2);
    }
    qcow2_counts_end(q, &counts);
    return r;
}

/* Data that the file has a hole for reads as zeroes. */
static void look_into_file(Qcow2 *q, BlockExtent *e)
{
    BlockExtent in;

    if (!(e->flags & BLOCK_EXTENT_DATA) || !(e->flags & BLOCK_EXTENT_HOST) ||
        e->host >= block_size(qcow2_data(q)))
        return;
    uint64_t n = MIN(e->bytes, block_size(qcow2_data(q)) - e->host);
    if (block_extents(qcow2_data(q), e->host, n, 0, &in, 1) != 1)
        return;
    if (in.flags & BLOCK_EXTENT_ZERO)
        e->flags |= BLOCK_EXTENT_ZERO;
    if (in.bytes < n || in.flags & BLOCK_EXTENT_ZERO)
        e->bytes = in.bytes;
}

int qcow2_extents(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags,
                  BlockExtent *out, unsigned max)
{
    Qcow2 *q = qcow2_of(node);
    unsigned n = 0;
    int r = 0;

    pthread_mutex_lock(&q->lock);
    if (!q->preallocated_known && !q->data && !qcow2_encrypted(q) &&
        !(flags & BLOCK_EXTENTS_ALLOCATION))
        r = find_preallocated(q);
    for (; !r && n < max && bytes; n++) {
        Piece p;
        r = qcow2_piece(q, offset, bytes, true, &p);
        if (r)
            break;
        as_extent(q, &p, offset, &out[n]);
        if (q->preallocated && !(flags & BLOCK_EXTENTS_ALLOCATION))
            look_into_file(q, &out[n]);
        offset += out[n].bytes;
        bytes -= out[n].bytes;
    }
    pthread_mutex_unlock(&q->lock);
    return n ? (int)n : r;
}
