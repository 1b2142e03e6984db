/* SPDX-License-Identifier: MIT */
/*
 * Commands about disks: info block, info blockstats, info block-jobs, block_resize, blockdev-add
 * and blockdev-del. A disk goes by its id, which is the last word of its user's name ("virtio-blk
 * d0"), or by its node's name. What is not there: removable media (eject, change), snapshots, the
 * commands that make jobs.
 */
#include "block/block_priv.h"
#include "block/jobs/jobs.h"
#include "block/monitor.h"

#include "base/error.h"
#include "base/size.h"

#include <inttypes.h>
#include <string.h>

static const char *user_id(const BlockUser *user)
{
    const char *blank = strrchr(user->name, ' ');
    return blank ? blank + 1 : user->name;
}

/* Who has the node from outside the graph: a device, an export; NULL: nobody. */
static BlockUser *outside_user(const BlockNode *node)
{
    for (unsigned i = 0; i < node->users->len; i++) {
        BlockUser *user = node->users->pdata[i];
        if (!user->parent)
            return user;
    }
    return NULL;
}

static bool is_meant(const BlockNode *node, const char *name)
{
    const BlockUser *user = outside_user(node);
    return !name || !strcmp(node->name, name) || (user && !strcmp(user_id(user), name));
}

static void show_node(BlockNode *node, GString *out)
{
    const BlockUser *user = outside_user(node);
    if (user)
        g_string_append_printf(out, "%s (%s): ", user_id(user), node->name);
    else
        g_string_append_printf(out, "%s: ", node->name);
    g_autofree char *size = size_format(block_node_size(node));
    g_string_append_printf(out, "%s (%s%s)\n    Size:             %s\n", block_node_file(node),
                           node->driver->name, block_node_read_only(node) ? ", read-only" : "",
                           size);
    if (user)
        g_string_append_printf(out, "    Attached to:      %s\n", user->name);
    g_string_append_printf(out, "    Cache mode:       %s%s%s\n",
                           user && block_user_writethrough(user) ? "writethrough" : "writeback",
                           node->flags & BLOCK_OPEN_DIRECT ? ", direct" : "",
                           node->flags & BLOCK_OPEN_NO_FLUSH ? ", ignore flushes" : "");
    if (node->detect_zeroes != DETECT_ZEROES_OFF)
        g_string_append_printf(out, "    Detect zeroes:    %s\n",
                               node->detect_zeroes == DETECT_ZEROES_ON ? "on" : "unmap");
}

/* Disks, and nodes that nobody uses yet. */
static bool run_block(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    const char *name = monitor_arg(args, "device");
    bool any = false, nodes = monitor_arg_flag(args, "-n");
    BlockNode *node;
    for (unsigned i = 0; (node = block_graph_node(ctx, i)); i++) {
        bool top = outside_user(node) || !node->users->len;
        if (!is_meant(node, name) || (!name && !nodes && !top))
            continue;
        if (any)
            g_string_append_c(out, '\n');
        show_node(node, out);
        any = true;
    }
    return any || !name || fail_usage(error, "there is no disk '%s'", name);
}

static bool run_blockstats(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    BlockNode *node;
    for (unsigned i = 0; (node = block_graph_node(ctx, i)); i++) {
        const BlockUser *user = outside_user(node);
        if (!user)
            continue;
        BlockStats s = block_user_stats(user);
        g_string_append_printf(out, "%s: rd_bytes=%" PRIu64 " wr_bytes=%" PRIu64
                               " rd_operations=%" PRIu64 " wr_operations=%" PRIu64
                               " flush_operations=%" PRIu64 " unmap_operations=%" PRIu64
                               " failed_operations=%" PRIu64 "\n", user_id(user),
                               s.bytes[BLOCK_READ], s.bytes[BLOCK_WRITE], s.ops[BLOCK_READ],
                               s.ops[BLOCK_WRITE], s.ops[BLOCK_FLUSH], s.ops[BLOCK_DISCARD],
                               s.errors[BLOCK_READ] + s.errors[BLOCK_WRITE] +
                               s.errors[BLOCK_FLUSH] + s.errors[BLOCK_DISCARD]);
    }
    return true;
}

static bool run_block_jobs(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    BlockJob *job;
    for (unsigned i = 0; (job = block_job_nth(ctx, i)); i++) {
        BlockJobInfo j = block_job_info(job);
        g_string_append_printf(out, "%s: %s, %s, %" PRIu64 " of %" PRIu64 " bytes, speed limit %" PRIu64 " bytes/s\n",
                               j.id, j.kind, block_job_status_name(j.status), j.done, j.total, j.rate);
    }
    if (!block_job_nth(ctx, 0))
        g_string_append(out, "No active jobs\n");
    return true;
}

static bool run_block_resize(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    const char *name = monitor_arg(args, "device");
    const char *text = monitor_arg(args, "size");
    uint64_t size;
    /* QEMU's monitor counts a plain number in MiB */
    if (!size_parse_unit(text, UINT64_C(1) << 20, &size, error))
        return prefix(error, "size");
    BlockNode *node;
    for (unsigned i = 0; (node = block_graph_node(ctx, i)); i++) {
        BlockUser *user = outside_user(node);
        if (!is_meant(node, name))
            continue;
        return user ? block_resize(user, size, BLOCK_PREALLOC_OFF, error)
                    : fail(error, "%s: no device has it", name);
    }
    return fail_usage(error, "there is no disk '%s'", name);
}

static bool run_blockdev_add(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    return block_blockdev(ctx, monitor_arg(args, "options"), error) != NULL;
}

static bool run_blockdev_del(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    return block_blockdev_del(ctx, monitor_arg(args, "node"), error);
}

const MonitorCommand block_commands[] = {
    { "info block", NULL, "-n [device]", "disks; with -n all nodes", run_block },
    { "info blockstats", NULL, NULL, "what disks were asked for", run_blockstats },
    { "info block-jobs", NULL, NULL, "jobs on disks", run_block_jobs },
    { "block_resize", NULL, "device size", "makes a disk larger or smaller (MiB, or 4G)",
      run_block_resize },
    { "blockdev_add", NULL, "options...", "opens a node as -blockdev does", run_blockdev_add },
    { "blockdev_del", NULL, "node", "closes a node that nobody uses", run_blockdev_del },
    { 0 },
};
