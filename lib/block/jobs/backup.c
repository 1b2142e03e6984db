/* SPDX-License-Identifier: MIT */
/*
 * backup: a disk as it was when the job was made. A copy-before-write filter saves what users are about
 * to overwrite; the job has it save all the rest. What the filter cannot save makes the backup
 * fail, not the user's write.
 */
#include "block/cbw_priv.h"
#include "block/jobs/job_priv.h"

#include "base/error.h"

#include <errno.h>
#include <json-c/json.h>

enum { PAUSE_MS = 500 };

typedef struct {
    BlockJob job;
    BlockNode *source, *target, *filter; /* filter: a reference */
    BlockUser *through, *into;           /* to come to rest with, to flush */
    BlockBitmap *bitmap;                 /* the user's; it was cleared */
    BlockSync sync;
    bool inserted;
} Backup;

/* ---- on the job's thread -------------------------------------------------- */

/* What source's own image has not is not copied. */
static int skip_unallocated(Backup *b)
{
    uint64_t size = block_size(b->through), n;
    BlockBitmap *wanted = block_bitmap_new("wanted", (uint32_t)cbw_cluster(b->filter), size, NULL);
    BlockExtent e[16];
    bool is;
    int r = wanted ? 0 : -ENOMEM;

    for (uint64_t at = 0; r >= 0 && at < size;) {
        r = block_extents(b->through, at, size - at, BLOCK_EXTENTS_ALLOCATION, e, G_N_ELEMENTS(e));
        for (int i = 0; i < r; i++) {
            if (block_job_is_above(&e[i], 1))
                block_bitmap_mark(wanted, e[i].offset, e[i].bytes);
            at = e[i].offset + e[i].bytes;
        }
        if (!block_job_go_on(&b->job, 0))
            r = -ECANCELED;
    }
    for (uint64_t at = 0; r >= 0 && at < size; at += n) {
        n = block_bitmap_run(wanted, at, size - at, &is);
        if (!is)
            cbw_skip(b->filter, at, n);
    }
    block_bitmap_free(wanted);
    return MIN(r, 0);
}

static void count_todo(Backup *b)
{
    uint64_t size = block_size(b->through), sum = 0, n;
    bool todo;

    for (uint64_t at = 0; at < size; at += n) {
        n = cbw_todo(b->filter, at, size - at, &todo);
        sum += todo ? n : 0;
    }
    atomic_store(&b->job.total, sum);
}

static int save_all(Backup *b)
{
    uint64_t size = block_size(b->through), most = MAX(JOB_PIECE, cbw_cluster(b->filter)), n;
    int failed = 0;
    bool todo;

    for (uint64_t at = 0; at < size; at += n) {
        int r = 0;
        n = cbw_todo(b->filter, at, size - at, &todo);
        if (todo) {
            n = MIN(n, most);
            BlockNode *entered = block_user_enter(b->through);
            r = cbw_save(b->filter, at, n);
            block_gate_leave(&entered->gate);
        }
        /* one that a user's write broke cannot be mended by trying again */
        if (cbw_broken(b->filter))
            return cbw_broken(b->filter);
        if (r) {
            switch (block_job_failed(&b->job, r, false)) {
            case JOB_FAIL: return r;
            case JOB_RETRY: n = 0; break;
            case JOB_IGNORE: failed = failed ? failed : r; break;
            }
        }
        if (!block_job_go_on(&b->job, todo && !r ? n : 0))
            return -ECANCELED;
    }
    return failed;
}

/* Until somebody ends it. */
static int keep(Backup *b)
{
    while (!b->job.completing)
        if (!block_job_idle(&b->job, PAUSE_MS))
            return -ECANCELED;
    return cbw_broken(b->filter);
}

static int backup_run(BlockJob *job)
{
    Backup *b = (Backup *)job;
    int r = b->sync == BLOCK_SYNC_TOP ? skip_unallocated(b) : 0;

    if (r)
        return r;
    if (b->sync != BLOCK_SYNC_NONE)
        count_todo(b);
    r = b->sync == BLOCK_SYNC_NONE ? keep(b) : save_all(b);
    return r ? r : block_job_flush(job, b->into);
}

/* ---- the graph: control thread -------------------------------------------- */

static void backup_complete(BlockJob *job)
{
}

static bool backup_conclude(BlockJob *job, bool good, GError **error)
{
    Backup *b = (Backup *)job;
    bool ok = true;

    block_detach(b->through);
    block_detach(b->into);
    if (b->bitmap && !good)
        ok = cbw_give_back(b->filter, b->bitmap, error);
    if (b->inserted && !block_node_remove(b->filter, ok ? error : NULL))
        ok = false;
    block_node_unref(b->filter);
    return ok;
}

static const BlockJobKind backup_kind = {
    .name = "backup", .size = sizeof(Backup), .run = backup_run, .conclude = backup_conclude,
};
static const BlockJobKind fleecing_kind = {
    .name = "backup", .size = sizeof(Backup), .run = backup_run, .conclude = backup_conclude,
    .complete = backup_complete, .any_time = true,
};

static bool insert(Backup *b, const char *bitmap, GError **error)
{
    struct json_object *options = json_object_new_object();
    BlockBitmap *found = bitmap ? block_bitmap_find(b->source, bitmap) : NULL;

    json_object_object_add(options, "target", json_object_new_string(block_node_name(b->target)));
    json_object_object_add(options, "on-cbw-error", json_object_new_string("break-snapshot"));
    if (bitmap) {
        struct json_object *which = json_object_new_object();
        json_object_object_add(which, "node", json_object_new_string(block_node_name(b->source)));
        json_object_object_add(which, "name", json_object_new_string(bitmap));
        json_object_object_add(options, "bitmap", which);
    }
    b->filter = block_job_filter(b->source, block_copy_before_write_driver.name, "file", options, error);
    b->inserted = b->filter && block_node_insert(b->source, b->filter, error);
    if (!b->inserted)
        return false;
    if (found && !block_bitmap_clear(found, error))
        return false;
    b->bitmap = found;
    return true;
}

static bool begin(Backup *b, const char *bitmap, GError **error)
{
    if (block_node_size(b->source) != block_node_size(b->target))
        return fail(error, "%s: it is not as large as %s", block_node_file(b->target), block_node_file(b->source));
    /* what the bitmap marks and what the disk holds are of one moment */
    block_drain_begin(b->source);
    bool ok = insert(b, bitmap, error);
    block_drain_end(b->source);
    if (!ok)
        return false;
    b->through = block_attach(b->filter, &(BlockAttach){ .name = b->job.id, .shared = BLOCK_SHARE_ALL }, error);
    b->into = b->through ? block_attach(b->target, &(BlockAttach){ .name = b->job.id, .shared = BLOCK_SHARE_ALL },
                                        error) : NULL;
    return b->into != NULL;
}

BlockJob *block_job_backup(BlockNode *source, BlockNode *target, const BlockBackup *what,
                           const BlockJobOptions *options, GError **error)
{
    BlockNode *nodes[] = { source, target };
    bool incremental = what->sync == BLOCK_SYNC_INCREMENTAL;

    if (incremental != (what->bitmap != NULL)) {
        fail_usage(error, "an incremental backup has a bitmap, and no other");
        return NULL;
    }
    if (source == target) {
        fail_usage(error, "%s: it is source and target", block_node_file(source));
        return NULL;
    }
    Backup *b = (Backup *)block_job_new(what->sync == BLOCK_SYNC_NONE ? &fleecing_kind : &backup_kind, source->graph,
                                        nodes, G_N_ELEMENTS(nodes), options, error);
    if (!b)
        return NULL;
    b->source = source;
    b->target = target;
    b->sync = what->sync;
    if (begin(b, what->bitmap, error))
        return &b->job;
    block_job_free(&b->job);
    return NULL;
}
