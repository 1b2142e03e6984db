/* SPDX-License-Identifier: MIT */
/*
 * What filters share: sending on to the first child what they do not look at, and locks on ranges
 * for those that copy while others write.
 */
#pragma once

#include "block/block_priv.h"

/* Members of a BlockDriver that do what the first child does. */
bool filter_map(BlockNode *node, BlockOp op, uint64_t offset, uint64_t bytes, BlockMap *map);
void filter_limits(BlockNode *node, BlockLimits *limits);
int filter_zero(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags);
int filter_discard(BlockNode *node, uint64_t offset, uint64_t bytes);
int filter_write_compressed(BlockNode *node, uint64_t offset, uint64_t bytes,
                            const struct iovec *iov, int iovcnt);
bool filter_resize(BlockNode *node, uint64_t size, BlockPrealloc prealloc, GError **error);

/* Ranges of a node that somebody is at, one at a time each; others wait for them. */
typedef struct FilterRange {
    struct FilterRange *next;
    uint64_t start, end;
    bool shared; /* gets along with other shared ones */
} FilterRange;

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    FilterRange *busy;
} FilterRanges;

void filter_ranges_init(FilterRanges *ranges);
void filter_ranges_clear(FilterRanges *ranges);
/* range belongs to the caller, who fills start, end and shared. On a thread that may wait. */
void filter_range_take(FilterRanges *ranges, BlockNode *node, FilterRange *range);
void filter_range_give(FilterRanges *ranges, FilterRange *range);

/* The bytes of a vector from skip on, into or out of a flat buffer. */
void filter_gather(const struct iovec *iov, int iovcnt, uint64_t skip, void *flat, uint64_t bytes);
void filter_scatter(const struct iovec *iov, int iovcnt, uint64_t skip, const void *flat,
                    uint64_t bytes);
/* The first bytes of a vector as one of its own; caller frees. */
struct iovec *filter_head(const struct iovec *iov, int iovcnt, uint64_t bytes, int *count);
