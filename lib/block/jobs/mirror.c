/* SPDX-License-Identifier: MIT */
/*
 * mirror, and commit of a disk in use, which is one into the disk's own base. A bitmap says what differs:
 * a piece is unmarked, then read, then written, so that a write that comes between marks it again. When
 * nothing is marked the job is ready. To end, the source's users are brought to rest; what is marked then is
 * copied, and they are moved to the target.
 */
#include "block/jobs/job_priv.h"

#include "base/error.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>

enum { GRANULARITY = 65536, READY_PAUSE_MS = 50, AGAIN_MS = 200, LAST_TRIES = 5 };

typedef struct {
    BlockJob job;
    BlockNode *source, *target, *filter; /* filter: a reference */
    BlockUser *from, *into;
    BlockBitmap *dirty;
    FilterRanges ranges;
    BlockSync sync;
    bool blocking, inserted, drained;
    unsigned levels; /* of images whose data is wanted; 0: all */
    /* of a commit */
    BlockNode *above;
    unsigned base_flags;
    int failed; /* of a piece, under ON_ERROR_IGNORE */
} Mirror;

/* ---- copying: on the job's thread ----------------------------------------- */

static bool reads_zero(BlockUser *user, uint64_t at, uint64_t bytes)
{
    BlockExtent e;
    return block_extents(user, at, bytes, 0, &e, 1) == 1 && e.bytes >= bytes && e.flags & BLOCK_EXTENT_ZERO;
}

/* A range that is not marked any more. */
static int copy_range(Mirror *m, uint64_t at, uint64_t bytes, uint8_t *buf, bool *reading)
{
    int r = 0;

    for (uint64_t n; !r && bytes; at += n, bytes -= n) {
        BlockExtent e;
        *reading = true;
        r = block_extents(m->from, at, bytes, 0, &e, 1);
        if (r < 0)
            return r;
        n = MIN(e.bytes, bytes);
        if (e.flags & BLOCK_EXTENT_ZERO) {
            *reading = false;
            r = reads_zero(m->into, at, n) ? 0 : block_zero(m->into, at, n, BLOCK_MAY_UNMAP);
            continue;
        }
        r = block_read(m->from, at, buf, n);
        if (r)
            return r;
        *reading = false;
        r = block_write(m->into, at, buf, n, 0);
    }
    return r;
}

static int copy_piece(Mirror *m, uint64_t at, uint64_t bytes, uint8_t *buf, bool *reading)
{
    FilterRange range = { .start = at, .end = at + bytes };

    if (m->blocking)
        filter_range_take(&m->ranges, m->filter, &range);
    block_bitmap_unmark(m->dirty, at, bytes);
    int r = copy_range(m, at, bytes, buf, reading);
    if (r)
        block_bitmap_mark(m->dirty, at, bytes);
    if (m->blocking)
        filter_range_give(&m->ranges, &range);
    return r;
}

/* Everything that is marked, once. *some: something was. */
static int pass(Mirror *m, uint8_t *buf, bool *some)
{
    uint64_t size = m->dirty->size, n;
    bool marked, reading;

    *some = false;
    m->failed = 0;
    for (uint64_t at = 0; at < size; at += n) {
        n = block_bitmap_run(m->dirty, at, size - at, &marked);
        if (!marked)
            continue;
        *some = true;
        n = MIN(n, JOB_PIECE);
        int r = copy_piece(m, at, n, buf, &reading);
        if (r) {
            switch (block_job_failed(&m->job, r, reading)) {
            case JOB_FAIL: return r;
            case JOB_RETRY: n = 0; break;
            case JOB_IGNORE: m->failed = r; break;
            }
        }
        if (!block_job_go_on(&m->job, r ? 0 : n))
            return -ECANCELED;
    }
    return 0;
}

/* Marks what is wanted of what is there. */
static int mark(Mirror *m)
{
    uint64_t size = m->dirty->size;
    BlockExtent e[16];

    if (m->sync == BLOCK_SYNC_NONE)
        return 0;
    if (!m->levels) {
        block_bitmap_mark(m->dirty, 0, size);
        return 0;
    }
    for (uint64_t at = 0; at < size;) {
        int n = block_extents(m->from, at, size - at, BLOCK_EXTENTS_ALLOCATION, e, G_N_ELEMENTS(e));
        if (n < 0)
            return n;
        for (int i = 0; i < n; i++) {
            if (block_job_is_above(&e[i], m->levels))
                block_bitmap_mark(m->dirty, e[i].offset, e[i].bytes);
            at = e[i].offset + e[i].bytes;
        }
        if (!block_job_go_on(&m->job, 0))
            return -ECANCELED;
    }
    return 0;
}

static uint64_t marked_bytes(const BlockBitmap *b)
{
    uint64_t sum = 0, n;
    bool marked;

    for (uint64_t at = 0; at < b->size; at += n) {
        n = block_bitmap_run(b, at, b->size - at, &marked);
        sum += marked ? n : 0;
    }
    return sum;
}

static int mirror_run(BlockJob *job)
{
    Mirror *m = (Mirror *)job;
    uint8_t *buf = aligned_alloc(4096, JOB_PIECE);
    int r = buf ? mark(m) : -ENOMEM, tries = 0;

    while (!r) {
        /* asked first: once it is to end nothing gets marked any more */
        bool last = job->completing, some;
        atomic_store(&job->total, atomic_load(&job->done) + marked_bytes(m->dirty));
        r = pass(m, buf, &some);
        if (r)
            break;
        if (m->failed && last && ++tries == LAST_TRIES) /* its users wait */
            r = m->failed;
        else if (m->failed)
            r = block_job_idle(job, AGAIN_MS) ? 0 : -ECANCELED;
        else if (!some && last)
            break;
        else if (!some) {
            block_job_set_ready(job);
            r = block_job_idle(job, READY_PAUSE_MS) ? 0 : -ECANCELED;
        }
    }
    free(buf);
    return r ? r : block_job_flush(job, m->into);
}

/* ---- the graph: control thread -------------------------------------------- */

static void mirror_complete(BlockJob *job)
{
    Mirror *m = (Mirror *)job;

    block_drain_begin(m->filter);
    m->drained = true;
}

static bool mirror_conclude(BlockJob *job, bool good, GError **error)
{
    Mirror *m = (Mirror *)job;
    bool pivot = good && job->pivot, ok = true;

    if (m->inserted) {
        if (!m->drained)
            block_drain_begin(m->filter);
        ((MirrorFilter *)block_node_state(m->filter))->target = NULL;
    }
    block_detach(m->into);
    block_detach(m->from);
    if (m->inserted) {
        ok = !pivot || block_node_replace(m->filter, m->target, error);
        pivot = pivot && ok;
        if (!pivot && !block_node_remove(m->filter, ok ? error : NULL))
            ok = false;
        block_drain_end(m->filter);
    }
    block_node_unref(m->filter);
    if (m->dirty)
        block_bitmap_remove(m->source, m->dirty, NULL);
    /* after a pivot what is above the base says nothing any more, and must not stand in the way */
    if (m->above && !pivot && !block_commit_end(m->above, m->target, m->base_flags, ok ? error : NULL))
        ok = false;
    return ok;
}

static void mirror_clear(BlockJob *job)
{
    filter_ranges_clear(&((Mirror *)job)->ranges);
}

static const BlockJobKind mirror_kind = {
    .name = "mirror", .size = sizeof(Mirror), .run = mirror_run, .complete = mirror_complete,
    .conclude = mirror_conclude, .clear = mirror_clear,
};
static const BlockJobKind commit_kind = {
    .name = "commit", .size = sizeof(Mirror), .run = mirror_run, .complete = mirror_complete,
    .conclude = mirror_conclude, .clear = mirror_clear,
};

static bool fit(Mirror *m, GError **error)
{
    uint64_t size = block_node_size(m->source), room = block_size(m->into);

    if (room == size)
        return true;
    if (room > size)
        return fail(error, "%s: it is larger than %s", block_node_file(m->target), block_node_file(m->source));
    m->target->job = NULL; /* nobody else's */
    bool ok = block_resize(m->into, size, BLOCK_PREALLOC_OFF, error);
    m->target->job = &m->job;
    return ok;
}

static bool insert(Mirror *m, GError **error)
{
    if (!block_driver_find(m->job.graph, block_mirror_filter_driver.name))
        block_graph_add_driver(m->job.graph, &block_mirror_filter_driver);
    m->filter = block_job_filter(m->source, block_mirror_filter_driver.name, "file", json_object_new_object(), error);
    if (!m->filter)
        return false;
    if (m->blocking) {
        MirrorFilter *f = block_node_state(m->filter);
        block_bitmap_set_enabled(m->dirty, false, NULL); /* the filter knows better */
        *f = (MirrorFilter){ f->file, m->into, m->dirty, &m->ranges };
    }
    m->inserted = block_node_insert(m->source, m->filter, error);
    return m->inserted;
}

/* Once nodes are claimed and, for a commit, the base can be written to. */
static bool begin(Mirror *m, uint32_t granularity, GError **error)
{
    filter_ranges_init(&m->ranges);
    if (m->target->flags & BLOCK_OPEN_READ_ONLY)
        return fail(error, "%s: it is open for reading only", block_node_file(m->target));
    m->into = block_attach(m->target, &(BlockAttach){ .name = m->job.id, .perm = BLOCK_PERM_RW,
                                                      .shared = BLOCK_SHARE_DEFAULT }, error);
    if (!m->into || !fit(m, error))
        return false;
    m->dirty = block_bitmap_add(m->source, m->job.id, granularity ? granularity : GRANULARITY, false, error);
    if (!m->dirty || !insert(m, error))
        return false;
    /* only now: users of source are above the filter, and this one is not to be */
    m->from = block_attach(m->source, &(BlockAttach){ .name = m->job.id, .perm = BLOCK_PERM_READ,
                                                      .shared = BLOCK_SHARE_ALL }, error);
    return m->from != NULL;
}

static BlockJob *made(Mirror *m, bool ok)
{
    if (ok)
        return &m->job;
    block_job_free(&m->job);
    return NULL;
}

BlockJob *block_job_mirror(BlockNode *source, BlockNode *target, const BlockMirror *what,
                           const BlockJobOptions *options, GError **error)
{
    BlockNode *nodes[] = { source, target };

    if (what->sync == BLOCK_SYNC_INCREMENTAL) {
        fail_usage(error, "a mirror cannot be incremental");
        return NULL;
    }
    if (source == target) {
        fail_usage(error, "%s: it is source and target", block_node_file(source));
        return NULL;
    }
    Mirror *m = (Mirror *)block_job_new(&mirror_kind, source->graph, nodes, G_N_ELEMENTS(nodes), options, error);
    if (!m)
        return NULL;
    m->source = source;
    m->target = target;
    m->sync = what->sync;
    m->blocking = what->write_blocking;
    m->levels = what->sync == BLOCK_SYNC_TOP ? 1 : 0;
    return made(m, begin(m, what->granularity, error));
}

BlockJob *block_job_commit(BlockNode *top, BlockNode *base, const BlockJobOptions *options, GError **error)
{
    g_autoptr(GPtrArray) nodes = g_ptr_array_new();
    BlockNode *above = NULL;
    BlockNode *overlay = block_job_overlay(top);
    unsigned levels = block_job_levels(top, base, &above);

    if (overlay)
        return block_job_commit_mid(overlay, top, base, options, error);
    if (!levels) {
        fail(error, "%s is not below %s", block_node_file(base), block_node_file(top));
        return NULL;
    }
    for (BlockNode *n = top; n != base; n = block_job_below(n))
        g_ptr_array_add(nodes, n);
    g_ptr_array_add(nodes, base);
    Mirror *m = (Mirror *)block_job_new(&commit_kind, top->graph, (BlockNode **)nodes->pdata, nodes->len,
                                        options, error);
    if (!m)
        return NULL;
    m->source = top;
    m->target = base;
    m->levels = levels;
    m->base_flags = base->flags;
    bool ok = block_commit_begin(above, base, error);
    if (ok)
        m->above = above;
    else
        filter_ranges_init(&m->ranges);
    return made(m, ok && begin(m, 0, error));
}
