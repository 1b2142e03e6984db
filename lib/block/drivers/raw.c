/* SPDX-License-Identifier: MIT */
/*
 * Raw images: the file's bytes as they are, or a window of them (offset=, size=). Nothing happens
 * here: every request is mapped to the file.
 */
#include "block/driver.h"

#include "base/error.h"

#include <json-c/json.h>

typedef struct {
    uint64_t offset, size; /* size 0: up to the end */
    BlockUser *file;
} Raw;

static const BlockProp props[] = {
    { .name = "offset", .kind = BLOCK_PROP_SIZE, .offset = offsetof(Raw, offset), .def = "0",
      .max = BLOCK_MAX_SIZE, .help = "where in the file the image begins" },
    { .name = "size", .kind = BLOCK_PROP_SIZE, .offset = offsetof(Raw, size),
      .help = "of the image, a multiple of 512; else up to the end of the file" },
    { 0 }
};

static const BlockChildSlot children[] = {
    { .name = "file", .role = BLOCK_CHILD_FILE, .offset = offsetof(Raw, file) },
    { 0 }
};

static int raw_probe(const uint8_t *head, size_t len, const char *file)
{
    return 1;
}

static bool raw_open(BlockNode *node, GError **error)
{
    Raw *raw = block_node_state(node);
    uint64_t all = block_size(raw->file);
    const char *file = block_node_file(node);

    if (raw->offset > all)
        return fail(
            error, "%s: offset=%" G_GUINT64_FORMAT " is past its end (%" G_GUINT64_FORMAT " bytes)",
            file, raw->offset, all);
    if (raw->size % BLOCK_SECTOR)
        return fail_usage(error, "%s: size=%" G_GUINT64_FORMAT " is not a multiple of 512", file,
                          raw->size);
    if (raw->size > all - raw->offset)
        return fail(error,
                    "%s: it is too short: offset=%" G_GUINT64_FORMAT ",size=%" G_GUINT64_FORMAT
                    " of %" G_GUINT64_FORMAT " bytes",
                    file, raw->offset, raw->size, all);
    return true;
}

static int64_t raw_length(BlockNode *node)
{
    Raw *raw = block_node_state(node);
    uint64_t all = block_size(raw->file);

    if (raw->size)
        return (int64_t)raw->size;
    return all > raw->offset ? (int64_t)((all - raw->offset) & ~(uint64_t)(BLOCK_SECTOR - 1)) : 0;
}

static void raw_limits(BlockNode *node, BlockLimits *limits)
{
    limits->fua = true; /* passed on */
    limits->max_effect = BLOCK_MAX_SIZE;
}

static void raw_child_perm(BlockNode *node, const BlockChildSlot *slot, unsigned perm,
                           unsigned shared, unsigned *child_perm, unsigned *child_shared)
{
    *child_perm = perm;
    *child_shared = shared;
}

static bool raw_map(BlockNode *node, BlockOp op, uint64_t offset, uint64_t bytes, BlockMap *map)
{
    Raw *raw = block_node_state(node);

    *map = (BlockMap){ raw->file, raw->offset + offset, bytes };
    return true;
}

static int raw_plain(BlockNode *node, BlockUser **child, uint64_t *offset)
{
    Raw *raw = block_node_state(node);

    *child = raw->file;
    *offset += raw->offset;
    return -1;
}

static int raw_extents(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags,
                       BlockExtent *out, unsigned max)
{
    Raw *raw = block_node_state(node);

    *out = (BlockExtent){ .offset = offset, .bytes = bytes, .flags = BLOCK_EXTENT_FORWARD,
                          .child = raw->file, .child_offset = raw->offset + offset };
    return 1;
}

static bool raw_resize(BlockNode *node, uint64_t size, BlockPrealloc prealloc, GError **error)
{
    Raw *raw = block_node_state(node);

    if (raw->size)
        return fail(error, "%s: its size is fixed by size=", block_node_file(node));
    if (size > BLOCK_MAX_SIZE - raw->offset)
        return fail_usage(error, "%s: larger than 8 EiB", block_node_file(node));
    return block_resize(raw->file, raw->offset + size, prealloc, error);
}

static bool raw_create(BlockGraph *graph, struct json_object *options, GError **error)
{
    return block_create(graph, "file", options, error);
}

static bool raw_measure(struct json_object *options, BlockUser *source, BlockMeasure *result,
                        GError **error)
{
    uint64_t size = source ? block_size(source) : 0;
    struct json_object *value;

    if (!source && json_object_object_get_ex(options, "size", &value))
        size = (uint64_t)json_object_get_int64(value);
    *result = (BlockMeasure){ size, size, UINT64_MAX };
    return true;
}

const BlockDriver block_raw_driver = {
    .name = "raw",
    .summary = "the bytes of a file as they are, or a part of them",
    .size = sizeof(Raw),
    .props = props,
    .children = children,
    .probe = raw_probe,
    .create = raw_create,
    .open = raw_open,
    .length = raw_length,
    .limits = raw_limits,
    .child_perm = raw_child_perm,
    .resize = raw_resize,
    .extents = raw_extents,
    .map = raw_map,
    .plain = raw_plain,
    .measure = raw_measure,
};
