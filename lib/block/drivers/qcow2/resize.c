/* SPDX-License-Identifier: MIT */
/*
 * Other sizes. What is added reads as zeroes, whatever a backing file has there and whatever an
 * earlier, longer disk left in its last cluster; what is cut off is given up for good. Snapshots
 * keep the size they were taken at.
 */
#include "block/drivers/qcow2/qcow2_priv.h"

#include "base/error.h"

#include <errno.h>

static int write_size(Qcow2 *q, uint64_t size)
{
    uint8_t field[8];

    st_be64(field, size);
    int r = block_write(q->file, 24, field, sizeof field, BLOCK_FUA);
    if (!r) {
        q->header.size = size;
    } else {
        /* it may have got there nevertheless */
        st_be64(field, q->header.size);
        block_write(q->file, 24, field, sizeof field, BLOCK_FUA);
    }
    return r;
}

static int shrink(Qcow2 *q, uint64_t size)
{
    uint64_t old = q->header.size;

    pthread_mutex_lock(&q->lock);
    int r = write_size(q, size);
    if (!r)
        r = qcow2_unmap(q, qcow2_clusters(q, size), qcow2_clusters(q, old), false);
    if (!r)
        r = qcow2_flush_tables(q);
    pthread_mutex_unlock(&q->lock);
    return r;
}

/* Version 2 cannot say so of part of a cluster, nor over a backing file. */
static int zero_somehow(Qcow2 *q, uint64_t at, uint64_t end)
{
    static const uint8_t zeroes[65536];
    int r = qcow2_zero(q->node, at, end - at, 0);

    if (r != -ENOTSUP)
        return r;
    r = 0;
    for (uint64_t n; !r && at < end; at += n) {
        n = MIN(end - at, sizeof zeroes);
        r = qcow2_write(q->node, at, n, &(struct iovec){ (void *)(uintptr_t)zeroes, n }, 1, 0);
    }
    return r;
}

static int grow(Qcow2 *q, uint64_t size)
{
    uint64_t old = qcow2_size(q), tail = MIN(size, round_up(old, q->cluster_size));

    pthread_mutex_lock(&q->lock);
    int r = qcow2_l1_grow(q, qcow2_l1_needed(size, q->cluster_bits, q->l2_bits));
    if (!r)
        r = qcow2_flush_tables(q);
    uint64_t before = q->header.size;
    q->header.size = size; /* zeroes go there first, the header comes last */
    /* what is left there of a longer disk, by someone who was stopped while making it shorter */
    if (!r && !qcow2_data_is_raw(q))
        r = qcow2_unmap(q, qcow2_clusters(q, old), qcow2_clusters(q, size), false);
    pthread_mutex_unlock(&q->lock);
    if (!r && tail > old)
        r = zero_somehow(q, old, tail);
    if (!r && q->backing && block_size(q->backing) > tail && size > tail)
        r = zero_somehow(q, tail, MIN(size, block_size(q->backing)));
    pthread_mutex_lock(&q->lock);
    if (!r)
        r = qcow2_flush_tables(q);
    q->header.size = before;
    if (!r)
        r = write_size(q, size);
    pthread_mutex_unlock(&q->lock);
    return r;
}

static bool preallocate(Qcow2 *q, uint64_t old, uint64_t size, BlockPrealloc prealloc,
                        GError **error)
{
    const char *name = block_node_file(q->node);
    uint64_t host_end = 0;
    int r = qcow2_preallocate(q, old, size - old, &host_end);

    if (r)
        return fail_errno(error, -r, "%s: making room beforehand", name);
    if (q->data && prealloc != BLOCK_PREALLOC_METADATA)
        return block_resize(q->data, size, prealloc, error);
    if (q->data)
        return block_size(q->data) >= size ||
               block_resize(q->data, size, BLOCK_PREALLOC_OFF, error);
    uint64_t length = block_size(q->file);
    if (prealloc != BLOCK_PREALLOC_METADATA && host_end > length)
        return block_resize(q->file, host_end, prealloc, error);
    return host_end <= length || block_resize(q->file, host_end, BLOCK_PREALLOC_OFF, error);
}

/* The same for a raw data file, which is as long as the disk: what lies behind its end goes first. */
static bool cut_raw_data(Qcow2 *q, uint64_t old, uint64_t size, GError **error)
{
    if (size <= old || !qcow2_data_is_raw(q) || block_size(q->data) <= old)
        return true;
    if (!block_resize(q->data, old, BLOCK_PREALLOC_OFF, error))
        return false;
    int r = block_flush(q->data);
    return !r || fail_errno(error, -r, "%s: cutting its data file", block_node_file(q->node));
}

bool qcow2_resize(BlockNode *node, uint64_t size, BlockPrealloc prealloc, GError **error)
{
    Qcow2 *q = qcow2_of(node);
    const char *name = block_node_file(node);
    uint64_t old = q->header.size;

    if (size & (BLOCK_SECTOR - 1))
        return fail_usage(error, "%s: the size of a qcow2 image is a multiple of 512", name);
    if (q->snapshots->len && q->header.version < 3)
        return fail(error, "%s: an image of version 2 with snapshots cannot be resized", name);
    if (q->broken)
        return fail(error, "%s: the image is corrupt", name);
    if (qcow2_l1_needed(size, q->cluster_bits, q->l2_bits) * 8 > QCOW2_MAX_L1)
        return fail(error, "%s: too large for clusters of %" G_GUINT64_FORMAT " bytes", name,
                    q->cluster_size);
    if (prealloc != BLOCK_PREALLOC_OFF && size < old)
        return fail_usage(error, "%s: there is nothing to preallocate when an image gets smaller",
                          name);
    /* longer ones first, shorter ones last: what they know is not lost should it fail */
    if (!qcow2_bitmaps_resize(q, MAX(size, old), error) || !cut_raw_data(q, old, size, error))
        return false;
    int r = size < old ? shrink(q, size) : size > old ? grow(q, size) : 0;
    if (!qcow2_bitmaps_resize(q, q->header.size, r ? NULL : error) && !r)
        return false;
    if (r)
        return fail_errno(error, -r, "%s: resizing it", name);
    if (qcow2_data_is_raw(q) && !block_resize(q->data, size, BLOCK_PREALLOC_OFF, error))
        return false;
    return prealloc == BLOCK_PREALLOC_OFF || size <= old ||
           preallocate(q, old, size, prealloc, error);
}

bool qcow2_make_empty(BlockNode *node, GError **error)
{
    Qcow2 *q = qcow2_of(node);

    pthread_mutex_lock(&q->lock);
    int r = q->broken ? -EIO : qcow2_unmap(q, 0, qcow2_clusters(q, qcow2_size(q)), false);
    if (!r)
        r = qcow2_flush_tables(q);
    pthread_mutex_unlock(&q->lock);
    return !r || fail_errno(error, -r, "%s: emptying it", block_node_file(node));
}
