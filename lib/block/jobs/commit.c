/* SPDX-License-Identifier: MIT */
/*
 * commit: a chain's upper part written into its base. The base is read-only as a backing file is, and
 * the node above it forbids others to write there: both are lifted while the job runs. Data that
 * moves down reads the same from above before and after, so readers may go on.
 */
#include "block/jobs/job_priv.h"

#include "base/error.h"

#include <errno.h>
#include <stdlib.h>

enum { STEP = 2 << 20 };

static int copy(BlockUser *top, BlockUser *base, uint64_t at, uint64_t bytes, bool zero, uint8_t *buf)
{
    int r = zero ? block_zero(base, at, bytes, BLOCK_MAY_UNMAP) : 0;

    while (!zero && !r && bytes) {
        uint64_t n = MIN(bytes, STEP);
        r = block_read(top, at, buf, n);
        if (!r)
            r = block_write(base, at, buf, n, 0);
        at += n;
        bytes -= n;
    }
    return r;
}

/* Everything that images above base have; levels: how many there are. */
static int copy_all(BlockUser *top, BlockUser *base, unsigned levels, const BlockProgress *progress)
{
    uint64_t size = block_size(top);
    uint8_t *buf = malloc(STEP);
    BlockExtent e[64];
    int r = buf ? 0 : -ENOMEM;

    for (uint64_t at = 0; !r && at < size;) {
        int n = block_extents(top, at, size - at, 0, e, G_N_ELEMENTS(e));
        if (n < 0)
            r = n;
        for (int i = 0; !r && i < n; i++) {
            at = e[i].offset + e[i].bytes;
            if (block_job_is_above(&e[i], levels))
                r = copy(top, base, e[i].offset, e[i].bytes, e[i].flags & BLOCK_EXTENT_ZERO, buf);
            if (!r && progress && progress->at && !progress->at(progress->opaque, at, size))
                r = -ECANCELED;
        }
    }
    free(buf);
    return r ? r : block_flush(base);
}

bool block_commit_begin(BlockNode *parent, BlockNode *base, GError **error)
{
    unsigned flags = base->flags;

    parent->backing_shared = BLOCK_PERM_WRITE | BLOCK_PERM_RESIZE;
    if (block_perm_update(parent, error) &&
        block_node_reopen(base, (flags & ~(unsigned)BLOCK_OPEN_READ_ONLY) | BLOCK_OPEN_UNMAP, error))
        return true;
    parent->backing_shared = 0;
    block_perm_update(parent, NULL);
    return false;
}

bool block_commit_end(BlockNode *parent, BlockNode *base, unsigned flags, GError **error)
{
    bool ok = block_node_reopen(base, flags, error);

    parent->backing_shared = 0;
    block_perm_update(parent, NULL);
    return ok;
}

bool block_commit(BlockNode *top, BlockNode *base, const BlockProgress *progress, GError **error)
{
    BlockNode *parent = NULL;
    unsigned levels = block_job_levels(top, base, &parent), flags = base->flags;
    BlockUser *from = NULL, *into = NULL;
    int r = 0;

    if (!levels)
        return fail(error, "%s is not below %s", block_node_file(base), block_node_file(top));
    if (!block_commit_begin(parent, base, error))
        return false;
    from = block_attach(top, &(BlockAttach){ .name = "commit", .perm = BLOCK_PERM_READ,
                                             .shared = BLOCK_SHARE_ALL }, error);
    into = from ? block_attach(base, &(BlockAttach){ .name = "commit", .perm = BLOCK_PERM_RW,
                                                     .shared = BLOCK_SHARE_DEFAULT }, error) : NULL;
    bool ok = into && (block_size(from) <= block_size(into) ||
                       block_resize(into, block_size(from), BLOCK_PREALLOC_OFF, error));
    if (ok)
        r = copy_all(from, into, levels, progress);
    block_detach(into);
    block_detach(from);
    if (!block_commit_end(parent, base, flags, ok && !r ? error : NULL))
        ok = false;
    if (r)
        return fail_errno(error, -r, "%s: committing to it", block_node_file(base));
    return ok;
}

bool block_make_empty(BlockNode *node, GError **error)
{
    if (!node->driver->make_empty)
        return fail(error, "%s: images of format %s cannot be emptied", block_node_file(node), node->driver->name);
    block_drain_begin(node);
    bool ok = node->driver->make_empty(node, error);
    block_drain_end(node);
    return ok;
}
