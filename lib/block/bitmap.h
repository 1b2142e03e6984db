/* SPDX-License-Identifier: MIT */
/*
 * Dirty bitmaps: which parts of a node were written since. A bit stands for granularity bytes.
 *
 * Making, removing and changing are for the control thread; they bring the node to rest themselves
 * where it matters. Looking is for any thread.
 */
#pragma once

#include "block/block.h"

typedef struct BlockBitmap BlockBitmap;

enum { BLOCK_BITMAP_NAME_MAX = 1023, BLOCK_BITMAP_MIN_GRANULARITY = 512 };
#define BLOCK_BITMAP_MAX_GRANULARITY (UINT32_C(1) << 31)

/* Granularity 0: 64 KiB, or the cluster size of the format if that is from 4 KiB to 64 KiB. A
 * persistent one is kept in the image, which must be able to. The node owns it. */
BlockBitmap *block_bitmap_add(BlockNode *node, const char *name, uint32_t granularity, bool persistent,
                              GError **error);
/* Also out of the image. */
bool block_bitmap_remove(BlockNode *node, BlockBitmap *bitmap, GError **error);
BlockBitmap *block_bitmap_find(BlockNode *node, const char *name); /* NULL: none */
BlockBitmap *block_bitmap_nth(BlockNode *node, unsigned n);        /* NULL past the last */

/* Whether the image can keep bitmaps. */
bool block_keeps_bitmaps(BlockNode *node);

const char *block_bitmap_name(const BlockBitmap *bitmap);
uint32_t block_bitmap_granularity(const BlockBitmap *bitmap);
bool block_bitmap_enabled(const BlockBitmap *bitmap);    /* writes are noted */
bool block_bitmap_persistent(const BlockBitmap *bitmap);
/* Its writer did not finish: it says nothing and can only be removed. */
bool block_bitmap_inconsistent(const BlockBitmap *bitmap);

bool block_bitmap_set_enabled(BlockBitmap *bitmap, bool enabled, GError **error);
bool block_bitmap_clear(BlockBitmap *bitmap, GError **error);
/* Adds what source has; granularities may differ, sizes not. */
bool block_bitmap_merge(BlockBitmap *bitmap, const BlockBitmap *source, GError **error);

/* Notes a range; any thread. */
void block_bitmap_mark(BlockBitmap *bitmap, uint64_t offset, uint64_t bytes);
void block_bitmap_unmark(BlockBitmap *bitmap, uint64_t offset, uint64_t bytes);
/* How far, at most bytes, the answer at offset holds; *dirty is the answer. */
uint64_t block_bitmap_run(const BlockBitmap *bitmap, uint64_t offset, uint64_t bytes, bool *dirty);
