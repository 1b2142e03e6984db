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
