/* SPDX-License-Identifier: MIT */
/*
 * Images of any bytes: opened, looked at, read, checked, written and mended. Whatever they say, no
 * file but their own is opened (backing and data files are left alone), memory stays small, and an
 * image of which only leaks were mended checks clean.
 */
#include "block/driver.h"

#include <fcntl.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static BlockNode *open_image(BlockGraph *graph, const char *path, unsigned flags)
{
    struct json_object *o = json_object_new_object(), *file = json_object_new_object();

    json_object_object_add(file, "driver", json_object_new_string("file"));
    json_object_object_add(file, "filename", json_object_new_string(path));
    json_object_object_add(file, "locking", json_object_new_string("off"));
    json_object_object_add(o, "driver", json_object_new_string("qcow2"));
    json_object_object_add(o, "l2-cache-size", json_object_new_string("256k"));
    json_object_object_add(o, "file", file);
    BlockNode *node =
        block_open(graph, o, flags | BLOCK_OPEN_NO_BACKING | BLOCK_OPEN_NO_FLUSH, NULL);
    json_object_put(o);
    return node;
}

static void look(BlockNode *node)
{
    static uint8_t buf[70000];
    BlockExtent e[16];
    BlockUser *user = block_attach(node, &(BlockAttach){ .name = "fuzz", .perm = BLOCK_PERM_READ,
                                                         .shared = BLOCK_SHARE_ALL }, NULL);
    uint64_t length = user ? block_size(user) : 0;

    for (uint64_t at = 0, n = 0; at < length && n < 64; n++) {
        int got = block_extents(user, at, length - at, 0, e, G_N_ELEMENTS(e));
        if (got <= 0)
            break;
        at = e[got - 1].offset + e[got - 1].bytes;
        block_read(user, e[0].offset, buf, MIN(e[0].bytes, sizeof buf));
    }
    GArray *list = block_snapshot_list(node, NULL);
    g_clear_pointer(&list, g_array_unref);
    json_object_put(block_format_info(node));
    block_detach(user);
}

static void change(BlockNode *node)
{
    static uint8_t buf[5000];
    BlockUser *user = block_attach(node, &(BlockAttach){ .name = "fuzz", .perm = BLOCK_PERM_RW,
                                                         .shared = BLOCK_SHARE_ALL }, NULL);
    uint64_t length = user ? block_size(user) : 0;

    if (length >= 1 << 20) {
        block_write(user, 700, buf, sizeof buf, 0);
        block_zero(user, 0, 1 << 20, BLOCK_MAY_UNMAP);
        block_write(user, length - sizeof buf, buf, sizeof buf, 0);
        block_discard(user, 0, 1 << 20);
        block_flush(user);
        BlockSnapshot s = { .name = (char *)(uintptr_t)"fuzz", .icount = -1 };
        if (block_snapshot_take(node, &s, NULL))
            block_snapshot_drop(node, s.id, NULL);
        g_free(s.id);
    }
    block_detach(user);
}

static void mend(BlockGraph *graph, const char *path)
{
    g_autoptr(BlockNode) node = open_image(graph, path, BLOCK_OPEN_CHECK);
    BlockCheck first, second;

    if (!node || !block_check(node, BLOCK_CHECK_FIX_LEAKS | BLOCK_CHECK_FIX_ERRORS, &first, NULL,
                              NULL, NULL))
        return;
    /* tables that lie on each other may change as they are mended; without damage, leaks are gone
     */
    if (!first.corruptions && first.leaks == first.leaks_fixed &&
        block_check(node, 0, &second, NULL, NULL, NULL))
        g_assert_cmpuint(second.leaks + second.corruptions, ==, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(BlockGraph) graph = block_graph_new();
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);

    if (fd < 0 || write(fd, data, size) != (ssize_t)size) {
        close(fd);
        return 0;
    }
    BlockNode *node = open_image(graph, path, BLOCK_OPEN_READ_ONLY);
    if (node)
        look(node);
    block_node_unref(node);
    node = open_image(graph, path, 0);
    if (node)
        change(node);
    block_node_unref(node);
    mend(graph, path);
    close(fd);
    return 0;
}
