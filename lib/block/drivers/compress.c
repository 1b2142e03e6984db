/* SPDX-License-Identifier: MIT */
/*
 * compress: each write makes compressed clusters of the image below. What covers a part of a
 * cluster is read, changed and written as a whole; such writes are one at a time in a cluster.
 */
#include "block/filter_priv.h"

#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    BlockUser *file;
    uint64_t cluster;
} Compress;

static const BlockChildSlot children[] = {
    { .name = "file", .role = BLOCK_CHILD_FILTERED, .offset = offsetof(Compress, file) },
    { 0 }
};

static bool compress_open(BlockNode *node, GError **error)
{
    Compress *c = block_node_state(node);
    const BlockNode *below = block_user_node(c->file);

    if (!below->driver->write_compressed || !below->limits.cluster)
        return fail(error, "%s: %s has no compressed clusters", block_node_file(node),
                    below->driver->name);
    c->cluster = below->limits.cluster;
    return true;
}

static void compress_limits(BlockNode *node, BlockLimits *limits)
{
    Compress *c = block_node_state(node);

    limits->serialize = limits->optimal = (uint32_t)c->cluster;
    limits->cluster = (uint32_t)c->cluster;
    limits->zero_align = (uint32_t)c->cluster; /* parts are written, so that they get packed */
    limits->max_effect = BLOCK_MAX_SIZE;
}

/* A part of the cluster at start. */
static int part(BlockNode *node, uint64_t start, uint64_t len, uint64_t offset, uint64_t bytes,
                const struct iovec *iov, int iovcnt, uint64_t skip)
{
    Compress *c = block_node_state(node);
    uint8_t *buf = aligned_alloc(4096, (c->cluster + 4095) & ~UINT64_C(4095));
    int r = buf ? 0 : -ENOMEM;

    if (!r && bytes < len)
        r = block_read(c->file, start, buf, len);
    if (!r) {
        filter_gather(iov, iovcnt, skip, buf + (offset - start), bytes);
        r = block_write(c->file, start, buf, len, BLOCK_COMPRESS);
    }
    free(buf);
    return r;
}

static int compress_write(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov,
                          int iovcnt, unsigned flags)
{
    Compress *c = block_node_state(node);
    uint64_t size = block_node_size(node);

    for (uint64_t done = 0; done < bytes;) {
        uint64_t at = offset + done, start = at & ~(c->cluster - 1);
        uint64_t n = MIN(bytes - done, start + c->cluster - at);
        uint64_t len = MIN(c->cluster, MAX(size, at + n) - start);
        int r = part(node, start, len, at, n, iov, iovcnt, done);
        if (r)
            return r;
        done += n;
    }
    return 0;
}

/* Only writes need a look, and zeroes for parts of clusters. */
static bool compress_map(BlockNode *node, BlockOp op, uint64_t offset, uint64_t bytes,
                         BlockMap *map)
{
    Compress *c = block_node_state(node);

    if (op == BLOCK_ZERO && ((offset | bytes) & (c->cluster - 1)))
        return false;
    return op != BLOCK_WRITE && filter_map(node, op, offset, bytes, map);
}

const BlockDriver block_compress_driver = {
    .name = "compress",
    .summary = "writes make compressed clusters of the image below",
    .size = sizeof(Compress),
    .children = children,
    .filter = true,
    .open = compress_open,
    .limits = compress_limits,
    .resize = filter_resize,
    .write = compress_write,
    .write_compressed = filter_write_compressed,
    .map = compress_map,
};
