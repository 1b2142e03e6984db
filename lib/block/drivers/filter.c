/* SPDX-License-Identifier: MIT */
/* What filters share; see filter_priv.h. */
#include "block/filter_priv.h"

#include <string.h>

/* ---- on to the first child ----------------------------------------------- */

bool filter_map(BlockNode *node, BlockOp op, uint64_t offset, uint64_t bytes, BlockMap *map)
{
    *map = (BlockMap){ block_node_child(node, 0), offset, bytes };
    return true;
}

void filter_limits(BlockNode *node, BlockLimits *limits)
{
    limits->fua = true; /* passed on */
    limits->max_effect = BLOCK_MAX_SIZE;
}

int filter_zero(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
    return block_zero(block_node_child(node, 0), offset, bytes, flags);
}

int filter_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    return block_discard(block_node_child(node, 0), offset, bytes);
}

int filter_write_compressed(BlockNode *node, uint64_t offset, uint64_t bytes,
                            const struct iovec *iov, int iovcnt)
{
    return block_run(block_node_child(node, 0), BLOCK_WRITE, BLOCK_COMPRESS, offset, bytes, iov,
                     iovcnt);
}

bool filter_resize(BlockNode *node, uint64_t size, BlockPrealloc prealloc, GError **error)
{
    return block_resize(block_node_child(node, 0), size, prealloc, error);
}

/* ---- ranges -------------------------------------------------------------- */

void filter_ranges_init(FilterRanges *ranges)
{
    pthread_mutex_init(&ranges->lock, NULL);
    pthread_cond_init(&ranges->changed, NULL);
    ranges->busy = NULL;
}

void filter_ranges_clear(FilterRanges *ranges)
{
    pthread_cond_destroy(&ranges->changed);
    pthread_mutex_destroy(&ranges->lock);
}

static bool is_busy(const FilterRanges *ranges, const FilterRange *range)
{
    for (const FilterRange *r = ranges->busy; r; r = r->next)
        if (r->start < range->end && range->start < r->end && !(r->shared && range->shared))
            return true;
    return false;
}

void filter_range_take(FilterRanges *ranges, BlockNode *node, FilterRange *range)
{
    pthread_mutex_lock(&ranges->lock);
    if (is_busy(ranges, range)) {
        /* who has it may need a worker to go on */
        block_pool_waiting(node->graph->pool, 1);
        while (is_busy(ranges, range))
            pthread_cond_wait(&ranges->changed, &ranges->lock);
        block_pool_waiting(node->graph->pool, -1);
    }
    range->next = ranges->busy;
    ranges->busy = range;
    pthread_mutex_unlock(&ranges->lock);
}

void filter_range_give(FilterRanges *ranges, FilterRange *range)
{
    FilterRange **at = &ranges->busy;

    pthread_mutex_lock(&ranges->lock);
    while (*at != range)
        at = &(*at)->next;
    *at = range->next;
    pthread_cond_broadcast(&ranges->changed);
    pthread_mutex_unlock(&ranges->lock);
}

/* ---- vectors ------------------------------------------------------------- */

static void copy(const struct iovec *iov, int iovcnt, uint64_t skip, uint8_t *flat, uint64_t bytes,
                 bool out)
{
    for (int i = 0; i < iovcnt && bytes; i++) {
        uint64_t n = iov[i].iov_len;
        if (skip >= n) {
            skip -= n;
            continue;
        }
        uint8_t *part = (uint8_t *)iov[i].iov_base + skip;
        n = MIN(n - skip, bytes);
        memcpy(out ? part : flat, out ? flat : part, n);
        flat += n;
        bytes -= n;
        skip = 0;
    }
}

void filter_gather(const struct iovec *iov, int iovcnt, uint64_t skip, void *flat, uint64_t bytes)
{
    copy(iov, iovcnt, skip, flat, bytes, false);
}

void filter_scatter(const struct iovec *iov, int iovcnt, uint64_t skip, const void *flat,
                    uint64_t bytes)
{
    copy(iov, iovcnt, skip, (uint8_t *)flat, bytes, true);
}

struct iovec *filter_head(const struct iovec *iov, int iovcnt, uint64_t bytes, int *count)
{
    struct iovec *head = g_new(struct iovec, MAX(iovcnt, 1));

    *count = 0;
    for (int i = 0; i < iovcnt && bytes; i++) {
        size_t n = MIN(iov[i].iov_len, bytes);
        head[(*count)++] = (struct iovec){ iov[i].iov_base, n };
        bytes -= n;
    }
    return head;
}
