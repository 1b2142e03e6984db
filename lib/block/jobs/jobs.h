/* SPDX-License-Identifier: MIT */
/*
 * Work on whole disks: what lies above a base written into it, and so on. Each blocks its caller, who
 * may be any thread that does control work; I/O of others goes on meanwhile.
 */
#pragma once

#include "block/block.h"

/* Called now and then with how much is done; false asks the job to stop, which it does with
 * -ECANCELED and its work so far in place. NULL: no one looks. */
typedef struct BlockProgress {
    bool (*at)(void *opaque, uint64_t done, uint64_t total);
    void *opaque;
} BlockProgress;

/* Writes into base, a node somewhere below top, everything that top and those between have over it;
 * base becomes as large as top. base is opened for writing meanwhile. top stays as it is. */
bool block_commit(BlockNode *top, BlockNode *base, const BlockProgress *progress, GError **error);
/* Gives up all that node's image has itself: what is below it shows everywhere. node needs a user that
 * may write. */
bool block_make_empty(BlockNode *node, GError **error);
