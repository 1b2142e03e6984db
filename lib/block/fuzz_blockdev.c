/* SPDX-License-Identifier: MIT */
/* -blockdev, -drive and file names from any text: read, and opened where that needs no file.
 * Nothing is named that exists, so no file is touched. */
#include "block/driver.h"

#include <json-c/json.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Only null-co and raw on top of it: whatever has a path stays closed. */
static bool harmless(struct json_object *o, int depth)
{
    switch (json_object_get_type(o)) {
    case json_type_object: {
        json_object_object_foreach(o, key, value) {
            if (strstr(key, "filename") || depth > 40 || !harmless(value, depth + 1))
                return false;
            if (!strcmp(key, "latency-ns"))
                return false;
        }
        return true;
    }
    case json_type_array:
        return false;
    default:
        return true;
    }
}

static void use(BlockGraph *graph, BlockNode *node)
{
    uint8_t buf[700];
    BlockExtent e[4];
    BlockUser *user = block_attach(node, &(BlockAttach){ .name = "fuzz", .perm = BLOCK_PERM_READ,
                                   .shared = BLOCK_SHARE_ALL }, NULL);
    if (!user)
        return;
    uint64_t size = block_size(user);
    if (size >= sizeof buf) {
        g_assert_cmpint(block_read(user, size - sizeof buf, buf, sizeof buf), ==, 0);
        g_assert_cmpint(block_extents(user, 0, size, 0, e, 4), >, 0);
    }
    json_object_put(block_node_describe(node));
    block_detach(user);
}

static void try_open(BlockGraph *graph, struct json_object *options, unsigned flags)
{
    g_autoptr(GError) error = NULL;

    if (!harmless(options, 0))
        return;
    g_autoptr(BlockNode) node = block_open(graph, options, flags, &error);
    g_assert_true(!node == !!error);
    if (node)
        use(graph, node);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(BlockGraph) graph = block_graph_new();
    g_autoptr(GError) error = NULL;

    struct json_object *o = block_options_parse(text, "driver", &error);
    g_assert_true(!o == !!error);
    if (o)
        try_open(graph, o, 0);
    json_object_put(o);
    g_clear_error(&error);

    BlockDrive *drive = block_drive_parse(graph, text, &error);
    g_assert_true(!drive == !!error);
    if (drive && drive->options)
        try_open(graph, drive->options, drive->flags);
    block_drive_free(drive);
    g_clear_error(&error);

    o = block_name_options(graph, text, &error);
    g_assert_true(!o == !!error);
    json_object_put(o);
    return 0;
}
