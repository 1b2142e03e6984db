/* SPDX-License-Identifier: MIT */
/* guest-get-fsinfo: file systems on disks, by /proc/self/mountinfo, statvfs() and
 * /sys/dev/block. */
#include "sysfs.h"

#include <json-c/json.h>
#include <sys/statvfs.h>

/* total-bytes is what there is for users, since free space below it is what they can have: the
 * reserve of root is only in total-bytes-privileged. */
static void put_usage(struct json_object *o, const char *dir)
{
    struct statvfs v;
    if (statvfs(dir, &v))
        return;
    uint64_t used = v.f_blocks - v.f_bfree;
    agent_put_int(o, "used-bytes", (int64_t)(used * v.f_frsize));
    agent_put_int(o, "total-bytes", (int64_t)((used + v.f_bavail) * v.f_frsize));
    agent_put_int(o, "total-bytes-privileged", (int64_t)(v.f_blocks * v.f_frsize));
}

static struct json_object *file_system(const Ga *ga, const GaMount *m)
{
    g_autofree char *link = g_strdup_printf("/sys/dev/block/%u:%u", m->major, m->minor);
    g_autofree char *path = ga_block_path(ga, link);
    g_autofree char *name = g_path_get_basename(path ? path : m->device);
    struct json_object *o = json_object_new_object(), *disks = json_object_new_array();
    if (path)
        ga_disk_addresses(ga, path, disks);
    agent_put_string(o, "name", name);
    agent_put_string(o, "mountpoint", m->dir);
    agent_put_string(o, "type", m->type);
    put_usage(o, m->dir);
    json_object_object_add(o, "disk", disks);
    return o;
}

static struct json_object *get_fsinfo(void *opaque, struct json_object *args, GError **error)
{
    g_autoptr(GPtrArray) mounts = ga_mounts(opaque, error);
    if (!mounts)
        return NULL;
    struct json_object *list = json_object_new_array();
    for (unsigned i = 0; i < mounts->len; i++)
        json_object_array_add(list, file_system(opaque, mounts->pdata[i]));
    return list;
}

const AgentCommand ga_fsinfo_commands[] = { { .name = "guest-get-fsinfo", .run = get_fsinfo },
                                            { 0 } };
