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

/* ---- Copying whole disks -------------------------------------------------- */

/* An end that is no node but a descriptor, read or written once from the beginning to the end. */
typedef struct BlockPipe {
    int fd;
    const uint8_t *lead; /* reading: bytes that were taken from it already */
    size_t n_lead;
    bool seekable;       /* writing: a file, in which zeroes may be holes */
} BlockPipe;

typedef struct BlockCopy {
    BlockUser *const *sources; /* one behind the other */
    unsigned n_sources;
    BlockPipe *from;           /* instead of sources: its end is the disk's, filled up to whole sectors */
    BlockUser *target;         /* at least as long as they are together */
    BlockPipe *to;             /* instead of target */
    bool resize;               /* the target is to be as long as what comes out of from */
    bool compress;
    bool target_is_zero;       /* what is not written there reads as zeroes */
    bool salvage;              /* what cannot be read is copied as zeroes, bad is told */
    bool unordered;            /* the target need not be filled from its beginning to its end */
    unsigned skip_depth;       /* not 0: what comes from that many images down is left alone */
    uint64_t sparse;           /* so many zero bytes in a row, a power of two, are not written; 0: all is written */
    unsigned workers;          /* threads; 0: as many as help */
    uint64_t rate;             /* bytes a second at most; 0: no limit */
    const BlockProgress *progress;
    void (*bad)(void *opaque, uint64_t offset, uint64_t bytes, int err); /* from any thread, one at a time */
    void *opaque;
    /* out */
    uint64_t length;           /* of the disk */
    /* out, on failure */
    GError *why;               /* more about it, or NULL */
    bool reading;              /* it was the source's */
    uint64_t where;
} BlockCopy;

/* 0 or -errno; -ECANCELED when progress said so; -EFBIG: from has more than the target has room for.
 * Flushes the target at the end. */
int block_copy(BlockCopy *job);
