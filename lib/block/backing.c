/* SPDX-License-Identifier: MIT */
/*
 * What an image is based on: opened as the image records it unless the user says otherwise, by
 * "backing": null for none. A backing file is only read, and shared with other images on top of it.
 */
#include "block/block_priv.h"

#include "base/error.h"

#include <json-c/json.h>
#include <string.h>

bool block_node_open_child(BlockNode *node, const char *slot_name, const char *name,
                           const char *format, GError **error)
{
    const BlockChildSlot *slot = node->driver->children;
    g_autofree char *beside = block_name_beside(node->file, name);
    struct json_object *options;

    while (strcmp(slot->name, slot_name))
        slot++;
    BlockInherit inherit = block_node_inherit(node, slot);
    options = inherit.format ? block_image_options(node->graph, beside, format, error)
                             : block_name_options(node->graph, beside, error);
    if (!options)
        return false;
    g_autoptr(BlockNode) below =
        block_node_open(node->graph, options, inherit, node->depth + 1, error);
    json_object_put(options);
    return below && block_node_adopt(node, (unsigned)(slot - node->driver->children), below, error);
}

bool block_open_backing(BlockNode *node, struct json_object *options, GError **error)
{
    const BlockBackingOps *ops = node->driver->backing;

    if (!ops || node->flags & BLOCK_OPEN_NO_BACKING ||
        json_object_object_get_ex(options, "backing", NULL))
        return true;
    g_autofree char *name = ops->name(node), *format = ops->format(node);
    if (!name || !*name)
        return true;
    if (!block_node_open_child(node, "backing", name, format, error))
        return node->depth ? false : prefix(error, "%s: its backing file", block_node_file(node));
    /* an image from elsewhere could show any file of the host as a disk, and files have no magic */
    if (!format && block_backing_node(node)->probed)
        return fail(error, "%s: its backing file '%s' looks like raw data, and the image does not say that it is\n"
                    "hint: if it is meant: img rebase -u -b '%s' -F raw", block_node_file(node), name, name);
    return true;
}
