/* SPDX-License-Identifier: MIT */
/* The view of a copy-before-write node as it was, which snapshot-access shows. */
#pragma once

#include "block/block_priv.h"

extern const BlockDriver block_copy_before_write_driver;

/* As the members of BlockDriver; node is of that driver. */
int cbw_snapshot_read(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov,
                      int iovcnt);
int cbw_snapshot_discard(BlockNode *node, uint64_t offset, uint64_t bytes);
int cbw_snapshot_extents(BlockNode *node, uint64_t offset, uint64_t bytes, BlockExtent *out);
uint64_t cbw_cluster(BlockNode *node);

/* For backup. How far the answer at offset goes: whether it is still to be copied. */
uint64_t cbw_todo(BlockNode *node, uint64_t offset, uint64_t bytes, bool *todo);
/* Copies now what is still to be copied of a range of whole clusters. */
int cbw_save(BlockNode *node, uint64_t offset, uint64_t bytes);
/* Whole clusters that need not be copied at all. */
void cbw_skip(BlockNode *node, uint64_t offset, uint64_t bytes);
/* Why the view is no longer whole (on-cbw-error=break-snapshot): -errno, or 0. */
int cbw_broken(BlockNode *node);
/* Marks in bitmap what belonged to the view. */
bool cbw_give_back(BlockNode *node, BlockBitmap *bitmap, GError **error);
