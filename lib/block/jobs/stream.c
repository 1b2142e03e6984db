/* SPDX-License-Identifier: MIT */
/*
 * stream: what lies below an image is brought into it, so that it needs less below, or nothing. A
 * copy-on-read filter does the copying, one place at a time against the guest's writes; the job only
 * reads through it what is not in the image yet.
 */
#include "block/jobs/job_priv.h"

#include "base/error.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    BlockJob job;
    BlockNode *node, *base, *filter; /* base: NULL: none stays; filter: a reference */
    BlockUser *through;
    char *name, *format;             /* to be recorded */
    unsigned levels;                 /* of images that the node will hold then, itself included; 0: all */
    bool inserted;
    int failed;                      /* of a piece, under ON_ERROR_IGNORE */
} Stream;

/* Brings [at, at + bytes) in, as far as it comes from below. */
static int bring(Stream *s, const BlockExtent *e, uint8_t *buf)
{
    /* zeroes that need not be read are read for the filter to write them */
    bool here = e->depth == 0 && e->flags & BLOCK_EXTENT_ALLOCATED;

    if (here || !block_job_is_above(e, s->levels ? s->levels : UINT32_MAX))
        return 0;
    if (!(e->flags & BLOCK_EXTENT_ALLOCATED) && !s->levels)
        return 0; /* with nothing below, what is nowhere reads as zeroes */
    return block_read(s->through, e->offset, buf, e->bytes);
}

static int stream_run(BlockJob *job)
{
    Stream *s = (Stream *)job;
    uint64_t size = block_size(s->through);
    uint8_t *buf = aligned_alloc(4096, JOB_PIECE);
    int r = buf ? 0 : -ENOMEM;

    atomic_store(&job->total, size);
    for (uint64_t at = 0; !r && at < size;) {
        BlockExtent e = { 0 };
        uint64_t most = MIN(size - at, JOB_PIECE);
        r = block_extents(s->through, at, most, BLOCK_EXTENTS_ALLOCATION, &e, 1);
        r = r < 0 ? r : bring(s, &e, buf);
        uint64_t n = e.bytes;
        if (r) {
            /* a copy fails as a read: of a full disk that is the target's */
            switch (block_job_failed(job, r, r != -ENOSPC)) {
            case JOB_FAIL: goto out;
            case JOB_RETRY: n = 0; break;
            case JOB_IGNORE:
                s->failed = s->failed ? s->failed : r;
                n = n ? n : most;
                break;
            }
            r = 0;
        }
        at += n;
        if (!block_job_go_on(job, n))
            r = -ECANCELED;
    }
    r = r ? r : s->failed;
out:
    free(buf);
    return r ? r : block_job_flush(job, s->through);
}

static bool stream_conclude(BlockJob *job, bool good, GError **error)
{
    Stream *s = (Stream *)job;
    bool ok = true;

    block_detach(s->through);
    if (s->inserted)
        ok = block_node_remove(s->filter, error);
    block_node_unref(s->filter);
    if (!good || !ok)
        return ok;
    /* the record first: should it fail, all is as it was */
    return block_backing_record(s->node, s->name, s->format, error) &&
           block_node_set_backing(s->node, s->base, error);
}

static void stream_clear(BlockJob *job)
{
    Stream *s = (Stream *)job;

    g_free(s->name);
    g_free(s->format);
}

static const BlockJobKind stream_kind = {
    .name = "stream", .size = sizeof(Stream), .run = stream_run, .conclude = stream_conclude, .clear = stream_clear,
};

static bool begin(Stream *s, BlockNode *above, const char *backing_name, GError **error)
{
    struct json_object *options = json_object_new_object();

    if (s->base) {
        s->name = backing_name ? g_strdup(backing_name) : block_job_name_from(s->node, above, s->base);
        s->format = block_backing_format(above);
        /* the last that is brought in, if there is one besides the node */
        if (above != s->node)
            json_object_object_add(options, "bottom", json_object_new_string(block_node_name(above)));
    }
    s->filter = block_job_filter(s->node, "copy-on-read", "file", options, error);
    if (!s->filter || !block_node_insert(s->node, s->filter, error))
        return false;
    s->inserted = true;
    s->through = block_attach(s->filter, &(BlockAttach){ .name = s->job.id, .perm = BLOCK_PERM_READ,
                                                         .shared = BLOCK_SHARE_ALL }, error);
    return s->through != NULL;
}

BlockJob *block_job_stream(BlockNode *node, const BlockStream *what, const BlockJobOptions *options, GError **error)
{
    g_autoptr(GPtrArray) nodes = g_ptr_array_new();
    BlockNode *above = NULL;
    unsigned levels = what->base ? block_job_levels(node, what->base, &above) : 0;

    if (!node->driver->backing) {
        fail(error, "%s: images of format %s have no backing file", block_node_file(node), node->driver->name);
        return NULL;
    }
    g_autoptr(GArray) snapshots = block_snapshot_list(node, error);
    if (!snapshots)
        return NULL;
    if (snapshots->len) {
        fail(error, "%s: its snapshots need what it is based on", block_node_file(node));
        return NULL;
    }
    if (what->base && !levels) {
        fail(error, "%s is not below %s", block_node_file(what->base), block_node_file(node));
        return NULL;
    }
    for (BlockNode *n = node; n && n != what->base; n = block_job_below(n))
        g_ptr_array_add(nodes, n);
    Stream *s = (Stream *)block_job_new(&stream_kind, node->graph, (BlockNode **)nodes->pdata, nodes->len,
                                        options, error);
    if (!s)
        return NULL;
    s->node = node;
    s->base = what->base;
    s->levels = levels;
    if (begin(s, above, what->backing_name, error))
        return &s->job;
    block_job_free(&s->job);
    return NULL;
}
