/* SPDX-License-Identifier: MIT */
/*
 * blkverify: a driver beside a raw copy of the same disk. Writes go to both, reads must give the
 * same from both; where they do not, the read fails and the first byte that differs is told.
 */
#include "block/filter_priv.h"

#include "base/error.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 1 << 20 };

typedef struct {
    BlockUser *raw, *test;
    _Atomic bool told;
    FilterRanges ranges; /* both must get overlapping writes in one order, reads see no half */
} Blkverify;

static const BlockChildSlot children[] = {
    { .name = "test", .role = BLOCK_CHILD_FILTERED, .offset = offsetof(Blkverify, test) },
    { .name = "raw", .role = BLOCK_CHILD_FILTERED, .offset = offsetof(Blkverify, raw) },
    { 0 }
};

static bool verify_open(BlockNode *node, GError **error)
{
    Blkverify *v = block_node_state(node);

    if (block_size(v->raw) < block_size(v->test))
        return fail(error, "%s: blkverify: the raw copy is shorter (%" G_GUINT64_FORMAT
                    " of %" G_GUINT64_FORMAT " bytes)", block_node_file(node), block_size(v->raw),
                    block_size(v->test));
    filter_ranges_init(&v->ranges);
    return true;
}

static void verify_close(BlockNode *node)
{
    filter_ranges_clear(&((Blkverify *)block_node_state(node))->ranges);
}

static int differs(BlockNode *node, const char *what, uint64_t at)
{
    Blkverify *v = block_node_state(node);

    if (!atomic_exchange(&v->told, true))
        block_node_warn(node, "%s: blkverify: %s at offset %" G_GUINT64_FORMAT,
                        block_node_file(node), what, at);
    return -EIO;
}

/* Compares what the vector got from one with the other. */
static int compare(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov,
                   int iovcnt)
{
    Blkverify *v = block_node_state(node);
    uint64_t piece = MIN(PIECE, bytes);
    g_autofree uint8_t *a = g_malloc(piece), *b = g_malloc(piece);

    for (uint64_t done = 0, n; done < bytes; done += n) {
        n = MIN(piece, bytes - done);
        int r = block_read(v->raw, offset + done, b, n);
        if (r)
            return differs(node, "only the raw copy cannot be read", offset + done);
        filter_gather(iov, iovcnt, done, a, n);
        if (!memcmp(a, b, n))
            continue;
        uint64_t i = 0;
        while (a[i] == b[i])
            i++;
        return differs(node, "contents mismatch", offset + done + i);
    }
    return 0;
}

static int verify_read(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov,
                       int iovcnt)
{
    Blkverify *v = block_node_state(node);
    FilterRange range = { .start = offset, .end = offset + bytes, .shared = true };

    filter_range_take(&v->ranges, node, &range);
    int r = block_run(v->test, BLOCK_READ, 0, offset, bytes, iov, iovcnt);
    r = r ? r : compare(node, offset, bytes, iov, iovcnt);
    filter_range_give(&v->ranges, &range);
    return r;
}

static int verify_write(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov,
                        int iovcnt, unsigned flags)
{
    Blkverify *v = block_node_state(node);
    FilterRange range = { .start = offset, .end = offset + bytes };

    filter_range_take(&v->ranges, node, &range);
    int r = block_run(v->test, BLOCK_WRITE, flags, offset, bytes, iov, iovcnt);
    int raw = block_run(v->raw, BLOCK_WRITE, flags, offset, bytes, iov, iovcnt);
    filter_range_give(&v->ranges, &range);

    if (!r != !raw)
        return differs(node, "a write fails on one side alone", offset);
    return r;
}

static void verify_limits(BlockNode *node, BlockLimits *limits)
{
    limits->fua = true;
    limits->can_discard = limits->quick_zero = false;
}

static int verify_extents(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags,
                          BlockExtent *out, unsigned max)
{
    Blkverify *v = block_node_state(node);

    *out = (BlockExtent){ .offset = offset, .bytes = bytes, .child = v->test,
                          .child_offset = offset, .flags = BLOCK_EXTENT_FORWARD };
    return 1;
}

/* RAW:TEST */
static bool verify_parse_name(const char *name, struct json_object *options, GError **error)
{
    const char *rest = strchr(name, ':') + 1;
    const char *colon = strchr(rest, ':');
    struct json_object *raw, *file, *test, *test_file;

    if (!colon || colon == rest || !colon[1])
        return fail_usage(error, "it is blkverify:RAW:IMAGE");
    raw = json_object_new_object();
    file = json_object_new_object();
    json_object_object_add(raw, "driver", json_object_new_string("raw"));
    json_object_object_add(file, "driver", json_object_new_string("file"));
    json_object_object_add(file, "filename",
                           json_object_new_string_len(rest, (int)(colon - rest)));
    json_object_object_add(raw, "file", file);
    json_object_object_add(options, "raw", raw);
    test = json_object_new_object();
    test_file = json_object_new_object();
    json_object_object_add(test_file, "driver", json_object_new_string("file"));
    json_object_object_add(test_file, "filename", json_object_new_string(colon + 1));
    json_object_object_add(test, "file", test_file);
    json_object_object_add(options, "test", test);
    return true;
}

const BlockDriver block_blkverify_driver = {
    .name = "blkverify",
    .summary = "compares what is read with a raw copy",
    .size = sizeof(Blkverify),
    .children = children,
    .filter = true,
    .parse_name = verify_parse_name,
    .open = verify_open,
    .close = verify_close,
    .limits = verify_limits,
    .read = verify_read,
    .write = verify_write,
    .extents = verify_extents,
};
