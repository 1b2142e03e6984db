/* SPDX-License-Identifier: MIT */
/*
 * commit of images in the middle of a chain: nobody writes to them, so they are copied into their base and
 * left out. Data that moves down reads the same from above before and after. What base has past the end of
 * top was never seen from above, and must not be then: it is zeroed.
 */
#include "block/jobs/job_priv.h"

#include "base/error.h"

#include <errno.h>
#include <stdlib.h>

typedef struct {
    BlockJob job;
    BlockNode *overlay, *top, *base, *above;
    BlockUser *from, *into;
    char *name, *format; /* of base, to be recorded in overlay */
    unsigned levels, base_flags;
    bool begun;
    int failed;          /* of a piece, under ON_ERROR_IGNORE */
} Mid;

BlockNode *block_job_overlay(BlockNode *node)
{
    const BlockUser *user = node->users->len == 1 ? node->users->pdata[0] : NULL;

    return user && user->parent && user->slot->role == BLOCK_CHILD_BACKING ? user->parent : NULL;
}

static int copy(Mid *m, const BlockExtent *e, uint8_t *buf, bool *reading)
{
    *reading = false;
    if (!block_job_is_above(e, m->levels))
        return 0;
    if (e->flags & BLOCK_EXTENT_ZERO)
        return block_zero(m->into, e->offset, e->bytes, BLOCK_MAY_UNMAP);
    *reading = true;
    int r = block_read(m->from, e->offset, buf, e->bytes);
    if (r)
        return r;
    *reading = false;
    return block_write(m->into, e->offset, buf, e->bytes, 0);
}

static int mid_run(BlockJob *job)
{
    Mid *m = (Mid *)job;
    uint64_t end = block_size(m->from), size = MAX(end, block_size(m->into)), most;
    uint8_t *buf = aligned_alloc(4096, JOB_PIECE);
    int r = buf ? 0 : -ENOMEM;

    atomic_store(&job->total, size);
    for (uint64_t at = 0, n; !r && at < size; at += n) {
        BlockExtent e = { 0 };
        bool reading = true;
        most = MIN((at < end ? end : size) - at, JOB_PIECE);
        if (at < end)
            r = block_extents(m->from, at, most, 0, &e, 1);
        else
            e = (BlockExtent){ .offset = at, .bytes = most, .flags = BLOCK_EXTENT_ZERO | BLOCK_EXTENT_ALLOCATED };
        r = r < 0 ? r : copy(m, &e, buf, &reading);
        n = e.bytes ? e.bytes : most;
        if (r) {
            BlockJobAction action = block_job_failed(job, r, reading);
            if (action == JOB_FAIL)
                break;
            if (action == JOB_RETRY)
                n = 0;
            else
                m->failed = m->failed ? m->failed : r;
        }
        r = block_job_go_on(job, r ? 0 : n) ? 0 : -ECANCELED;
    }
    free(buf);
    r = r ? r : m->failed;
    return r ? r : block_job_flush(job, m->into);
}

/* overlay is based on base from now on; it may be open for reading only. */
static bool leave_out(Mid *m, GError **error)
{
    unsigned flags = m->overlay->flags;
    bool ok = block_node_reopen(m->overlay, flags & ~(unsigned)BLOCK_OPEN_READ_ONLY, error) &&
              block_backing_record(m->overlay, m->name, m->format, error);

    if (!block_node_reopen(m->overlay, flags, ok ? error : NULL))
        ok = false;
    return ok && block_node_set_backing(m->overlay, m->base, error);
}

static bool mid_conclude(BlockJob *job, bool good, GError **error)
{
    Mid *m = (Mid *)job;
    bool ok = true;

    block_detach(m->into);
    block_detach(m->from);
    if (m->begun)
        ok = block_commit_end(m->above, m->base, m->base_flags, error);
    return good && ok ? leave_out(m, error) : ok;
}

static void mid_clear(BlockJob *job)
{
    Mid *m = (Mid *)job;

    g_free(m->name);
    g_free(m->format);
}

static const BlockJobKind mid_kind = {
    .name = "commit", .size = sizeof(Mid), .run = mid_run, .conclude = mid_conclude, .clear = mid_clear,
};

static bool begin(Mid *m, GError **error)
{
    m->begun = block_commit_begin(m->above, m->base, error);
    if (!m->begun)
        return false;
    m->from = block_attach(m->top, &(BlockAttach){ .name = m->job.id, .perm = BLOCK_PERM_READ,
                                                   .shared = BLOCK_SHARE_ALL }, error);
    m->into = m->from ? block_attach(m->base, &(BlockAttach){ .name = m->job.id, .perm = BLOCK_PERM_RW,
                                                              .shared = BLOCK_SHARE_DEFAULT }, error) : NULL;
    if (!m->into || block_size(m->from) <= block_size(m->into))
        return m->into != NULL;
    m->base->job = NULL; /* nobody else's */
    bool ok = block_resize(m->into, block_size(m->from), BLOCK_PREALLOC_OFF, error);
    m->base->job = &m->job;
    return ok;
}

BlockJob *block_job_commit_mid(BlockNode *overlay, BlockNode *top, BlockNode *base, const BlockJobOptions *options,
                               GError **error)
{
    g_autoptr(GPtrArray) nodes = g_ptr_array_new();
    BlockNode *above = NULL;
    unsigned levels = block_job_levels(top, base, &above);

    if (!levels) {
        fail(error, "%s is not below %s", block_node_file(base), block_node_file(top));
        return NULL;
    }
    for (BlockNode *n = overlay; n != base; n = block_job_below(n))
        g_ptr_array_add(nodes, n);
    g_ptr_array_add(nodes, base);
    Mid *m = (Mid *)block_job_new(&mid_kind, top->graph, (BlockNode **)nodes->pdata, nodes->len, options, error);
    if (!m)
        return NULL;
    m->overlay = overlay;
    m->top = top;
    m->base = base;
    m->above = above;
    m->levels = levels;
    m->base_flags = base->flags;
    m->name = block_job_name_from(overlay, above, base);
    m->format = block_backing_format(above);
    if (begin(m, error))
        return &m->job;
    block_job_free(&m->job);
    return NULL;
}
