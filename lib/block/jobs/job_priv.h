/* SPDX-License-Identifier: MIT */
/* What the files of jobs/ share: a job from the inside. */
#pragma once

#include "block/jobs/jobs.h"

#include "block/filter_priv.h"

typedef struct BlockJobKind {
    const char *name;
    size_t size;  /* of the struct that begins with a BlockJob */
    /* The work, on the job's thread: 0 or -errno, -ECANCELED when block_job_go_on said false. */
    int (*run)(BlockJob *job);
    /* Control thread, the job is ready: brings its users to rest; run is to end soon after. NULL: it
     * cannot be completed. */
    void (*complete)(BlockJob *job);
    /* Control thread, run is over (or never began): the graph after success or failure. */
    bool (*conclude)(BlockJob *job, bool good, GError **error);
    void (*clear)(BlockJob *job); /* the rest; NULL: nothing */
    bool any_time;                /* it may be completed without being ready */
} BlockJobKind;

struct BlockJob {
    const BlockJobKind *kind;
    char *id;
    BlockGraph *graph;
    GPtrArray *claimed; /* BlockNode, referenced */
    BlockOnError on_source_error, on_target_error;
    void (*changed)(BlockJob *job, void *opaque);
    void *opaque;
    pthread_t thread;
    bool started, concluded; /* control thread */
    _Atomic bool completing, pivot;
    _Atomic uint64_t done, total;

    pthread_mutex_t lock;
    pthread_cond_t wake;     /* for the thread and those who wait for it */
    /* under the lock */
    unsigned pauses;
    bool parked, ready, ended, cancelled, stopped;
    uint64_t rate;
    int64_t due;             /* when the next bytes may be moved, in us */
    int error;
    bool reading;
};

/* A job of that kind, not started: takes the nodes for itself. NULL: one has a job already. */
BlockJob *block_job_new(const BlockJobKind *kind, BlockGraph *graph, BlockNode *const *nodes, unsigned n,
                        const BlockJobOptions *options, GError **error);

/* ---- on the job's thread -------------------------------------------------- */

/* bytes are done: keeps to the rate, rests while it is paused. False: it is to stop. */
bool block_job_go_on(BlockJob *job, uint64_t bytes);
/* The same, after at most that time or when something about the job changed. */
bool block_job_idle(BlockJob *job, unsigned ms);
typedef enum { JOB_FAIL, JOB_RETRY, JOB_IGNORE } BlockJobAction;
/* What to do about an error; rests first if it is to. */
BlockJobAction block_job_failed(BlockJob *job, int error, bool reading);
/* Flushes a target: 0, or what it ends with. */
int block_job_flush(BlockJob *job, BlockUser *user);
void block_job_set_ready(BlockJob *job);

/* ---- for several kinds ---------------------------------------------------- */

enum { JOB_PIECE = 1 << 20 }; /* moved at once */

/* The image below node in the chain, filters skipped. NULL: none. */
BlockNode *block_job_below(BlockNode *node);
/* How many images down base is; 0: it is not below. *above: the one right above it. */
unsigned block_job_levels(BlockNode *top, const BlockNode *base, BlockNode **above);
/* Whether reading an extent shows what one of the first levels images has, or that one of those is shorter than
 * the one above it: what would change if they went. */
bool block_job_is_above(const BlockExtent *e, unsigned levels);
/* What above, the image right above base, calls it, as it is from where node is. Caller frees. */
char *block_job_name_from(const BlockNode *node, BlockNode *above, BlockNode *base);
/* A filter over node: "driver" and what else options has (taken). Not inserted yet. Returns a
 * reference. */
BlockNode *block_job_filter(BlockNode *node, const char *driver, const char *slot, struct json_object *options,
                            GError **error);

/* mid.c: the image that has node as its backing file, if nobody else uses it. NULL: it is used otherwise, or
 * several have. */
BlockNode *block_job_overlay(BlockNode *node);
BlockJob *block_job_commit_mid(BlockNode *overlay, BlockNode *top, BlockNode *base, const BlockJobOptions *options,
                               GError **error);
/* commit.c: base can be written to though parent, right above it, has it as its backing file. */
bool block_commit_begin(BlockNode *parent, BlockNode *base, GError **error);
bool block_commit_end(BlockNode *parent, BlockNode *base, unsigned flags, GError **error);

/* mirror_filter.c: a driver over the source of a mirror. */
typedef struct MirrorFilter {
    BlockUser *file;
    /* write_blocking alone; set before it is inserted */
    BlockUser *target;
    BlockBitmap *dirty;
    FilterRanges *ranges;
} MirrorFilter;
extern const BlockDriver block_mirror_filter_driver;
