/* SPDX-License-Identifier: MIT */
/* null-co: a disk of any size that takes and gives nothing, for tests and for measuring all that
 * is not the disk. */
#include "block/driver.h"

#include "base/error.h"

#include <string.h>
#include <time.h>

typedef struct {
    uint64_t size, latency;
    bool zeroes;
} Null;

static const BlockProp props[] = {
    { .name = "size", .kind = BLOCK_PROP_SIZE, .offset = offsetof(Null, size), .def = "1G",
      .max = BLOCK_MAX_SIZE, .help = "bytes" },
    { .name = "latency-ns", .kind = BLOCK_PROP_NUMBER, .offset = offsetof(Null, latency),
      .def = "0", .max = 60000000000ull, .help = "how long each request takes" },
    { .name = "read-zeroes", .kind = BLOCK_PROP_BOOL, .offset = offsetof(Null, zeroes),
      .def = "off", .help = "reads give zeroes rather than leave the buffer alone" },
    { 0 }
};

static const char *const aliases[] = { "null-aio", "null", NULL };

static int64_t null_length(BlockNode *node)
{
    return (int64_t)((Null *)block_node_state(node))->size;
}

static void null_limits(BlockNode *node, BlockLimits *limits)
{
    limits->fua = limits->quick_zero = limits->can_discard = true;
    limits->zero_init = ((Null *)block_node_state(node))->zeroes;
}

static void linger(Null *null)
{
    struct timespec t = { .tv_sec = (time_t)(null->latency / 1000000000),
                          .tv_nsec = (long)(null->latency % 1000000000) };
    if (null->latency)
        while (nanosleep(&t, &t))
            ;
}

static int fill(Null *null, const struct iovec *iov, int iovcnt)
{
    for (int i = 0; null->zeroes && i < iovcnt; i++)
        memset(iov[i].iov_base, 0, iov[i].iov_len);
    return 0;
}

static int null_read(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov,
                     int iovcnt)
{
    linger(block_node_state(node));
    return fill(block_node_state(node), iov, iovcnt);
}

static int null_write(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov,
                      int iovcnt, unsigned flags)
{
    linger(block_node_state(node));
    return 0;
}

static int null_zero(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
    linger(block_node_state(node));
    return 0;
}

static int null_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    linger(block_node_state(node));
    return 0;
}

static int null_flush(BlockNode *node)
{
    linger(block_node_state(node));
    return 0;
}

static int null_submit(BlockNode *node, BlockRequest *req)
{
    Null *null = block_node_state(node);

    if (null->latency)
        return BLOCK_BLOCKING;
    return req->op == BLOCK_READ ? fill(null, req->iov, req->iovcnt) : 0;
}

static int null_extents(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags,
                        BlockExtent *out, unsigned max)
{
    Null *null = block_node_state(node);

    *out = (BlockExtent){ .offset = offset,
                          .bytes = bytes,
                          .host = offset,
                          .file = block_node_file(node),
                          .flags = BLOCK_EXTENT_HOST | BLOCK_EXTENT_ALLOCATED |
                                   (null->zeroes ? BLOCK_EXTENT_ZERO : BLOCK_EXTENT_DATA) };
    return 1;
}

static bool null_parse_name(const char *name, struct json_object *options, GError **error)
{
    const char *rest = strchr(name, ':') + 1;
    return !strcmp(rest, "//") || !*rest || fail_usage(error, "it takes no name");
}

const BlockDriver block_null_driver = {
    .name = "null-co",
    .summary = "nothing, of any size",
    .size = sizeof(Null),
    .props = props,
    .aliases = aliases,
    .protocol = true,
    .parse_name = null_parse_name,
    .length = null_length,
    .limits = null_limits,
    .read = null_read,
    .write = null_write,
    .zero = null_zero,
    .discard = null_discard,
    .flush = null_flush,
    .extents = null_extents,
    .submit = null_submit,
};
