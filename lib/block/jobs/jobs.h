/* SPDX-License-Identifier: MIT */
/*
 * Work on whole disks.
 *
 * First what blocks its caller (who may be any thread that does control work; I/O of others goes on
 * meanwhile): commit, copying. Then jobs, which have a thread of their own: stream, mirror, commit of a
 * disk that is written to, backup.
 *
 * The life of a job:
 *   job = block_job_mirror(source, target, &what, &options, &error);   CREATED; the graph is changed already
 *   block_job_start(job);                                              RUNNING, then perhaps READY
 *   block_job_complete(job, true, &error);                             of a READY one
 *   ... options.changed is called when it is WAITING ...
 *   block_job_conclude(job, &error);                                   CONCLUDED: the graph is as it is to be
 *   block_job_free(job);
 *
 * A job is made, completed, concluded and freed on the control thread; everything else about it is for
 * any thread. While there is a job, nodes it works on cannot be resized or reverted, and no other job
 * takes them. A node that is drained holds a job's requests back as everybody's.
 *
 * Not there: write thresholds, transactions of several jobs, migration of bitmaps with a mirror.
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

/* ---- Jobs ------------------------------------------------------------------ */

typedef struct BlockJob BlockJob;

typedef enum {
    BLOCK_JOB_CREATED,
    BLOCK_JOB_RUNNING,
    BLOCK_JOB_PAUSED,   /* at rest, by block_job_pause or after an error under ON_ERROR_STOP */
    BLOCK_JOB_READY,    /* source and target are the same and are kept so */
    BLOCK_JOB_STANDBY,  /* ready, and at rest */
    BLOCK_JOB_WAITING,  /* its thread has ended: block_job_conclude is due */
    BLOCK_JOB_CONCLUDED,
} BlockJobStatus;

typedef struct BlockJobOptions {
    const char *id;                 /* NULL: made up */
    uint64_t rate;                  /* bytes a second; 0: no limit */
    /* What it does when the source cannot be read or the target cannot be written. REPORT: it fails.
     * IGNORE: goes on with the rest, a mirror then tries again, the others fail in the end. STOP: is
     * paused, and when resumed tries again. ENOSPC: STOP for a full disk, else REPORT. */
    BlockOnError on_source_error, on_target_error;
    /* It is ready, paused or waiting now, or no longer; any thread, NULL: nobody wants to know. May
     * look at the job but not wait for it. */
    void (*changed)(BlockJob *job, void *opaque);
    void *opaque;
} BlockJobOptions;

typedef struct BlockJobInfo {
    BlockJobStatus status;
    const char *id, *kind;          /* "stream"; as long as the job */
    uint64_t done, total;           /* bytes; total may grow */
    uint64_t rate;
    int error;                      /* the last that paused it, or why it failed: -errno, 0: none */
    bool reading;                   /* it was the source's */
} BlockJobInfo;

/* Brings what images below node hold into node, down to base (which stays; NULL: all), then node is
 * based on base. Its recorded name is backing_name, NULL: as the image above base has it. Not for an image
 * with snapshots inside, as those show what is below, too. */
typedef struct BlockStream {
    BlockNode *base;
    const char *backing_name;
} BlockStream;
BlockJob *block_job_stream(BlockNode *node, const BlockStream *what, const BlockJobOptions *options,
                           GError **error);

typedef enum {
    BLOCK_SYNC_FULL,        /* all of the disk */
    BLOCK_SYNC_TOP,         /* what source has itself; target is based on the same image */
    BLOCK_SYNC_NONE,        /* nothing that is there already */
    BLOCK_SYNC_INCREMENTAL, /* backup: what a bitmap marks */
} BlockSync;

/* Keeps target the same as source, which is written to meanwhile. Ready, it goes on until it is
 * completed: then source's users have target. With write_blocking, writes are done when both have
 * them; else target is brought up to date behind them. target becomes as large as source. */
typedef struct BlockMirror {
    BlockSync sync;
    bool write_blocking;
    uint32_t granularity;   /* of what is copied again; 0: 64 KiB */
} BlockMirror;
BlockJob *block_job_mirror(BlockNode *source, BlockNode *target, const BlockMirror *what,
                           const BlockJobOptions *options, GError **error);

/* The same from top, whose users may write, into base below it; completed, they have base, and top
 * and what was between are worth nothing any more. base becomes as large as top. Where top is only the backing
 * file of another image, that one is based on base when the job ends, which it does by itself. */
BlockJob *block_job_commit(BlockNode *top, BlockNode *base, const BlockJobOptions *options, GError **error);

/* Copies source as it is now, whatever is written to it meanwhile. Under SYNC_NONE target gets what is
 * overwritten until the job is completed or cancelled. An incremental one takes what bitmap (source's)
 * marks, and the bitmap then holds what was written since now; should it fail, both. A write of source's
 * users never fails for the backup: the backup does. */
typedef struct BlockBackup {
    BlockSync sync;
    const char *bitmap;     /* for SYNC_INCREMENTAL */
} BlockBackup;
BlockJob *block_job_backup(BlockNode *source, BlockNode *target, const BlockBackup *what,
                           const BlockJobOptions *options, GError **error);

void block_job_start(BlockJob *job);
/* Returns when it is at rest. Nests. Not while a node of it is drained. */
void block_job_pause(BlockJob *job);
/* Also after an error stopped it. */
void block_job_resume(BlockJob *job);
void block_job_set_rate(BlockJob *job, uint64_t rate);
/* Asks it to stop: its users stay where they are, target is worth nothing. */
void block_job_cancel(BlockJob *job);
/* Ends a ready job (a backup of SYNC_NONE at any time). pivot false: its users stay with source, target is
 * what source was at this moment. Requests of users wait until it is concluded, so do that soon. */
bool block_job_complete(BlockJob *job, bool pivot, GError **error);
/* Waits until it is ready, paused by an error, or waiting: what it is then. */
BlockJobStatus block_job_wait(BlockJob *job);
/* Waits for its thread (which someone must have told to end, unless it does by itself) and leaves the graph
 * as it is to be. False: it failed or was cancelled. */
bool block_job_conclude(BlockJob *job, GError **error);
/* Cancels and concludes it if need be. NULL is fine. */
void block_job_free(BlockJob *job);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BlockJob, block_job_free)

BlockJobInfo block_job_info(BlockJob *job);
/* The word of QMP for it. */
const char *block_job_status_name(BlockJobStatus status);
/* Of a graph, control thread: NULL when there is none. */
BlockJob *block_job_find(BlockGraph *graph, const char *id);
BlockJob *block_job_nth(BlockGraph *graph, unsigned n);
