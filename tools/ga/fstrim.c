/* SPDX-License-Identifier: MIT */
/* guest-fstrim: FITRIM (linux/fs.h) on each file system on a disk. Under each of its names, as
 * hosts expect of qemu-ga. */
#include "sysfs.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void trim(const char *dir, uint64_t minimum, struct json_object *o)
{
    struct fstrim_range range = { .len = UINT64_MAX, .minlen = minimum };
    g_autofree char *text = NULL;
    int fd = open(dir, O_RDONLY | O_CLOEXEC);
    int err = fd < 0 ? errno : ioctl(fd, FITRIM, &range) ? errno : 0;
    const char *what = fd < 0 ? "open" : "trim";
    if (err == ENOTTY || err == EOPNOTSUPP)
        agent_put_string(o, "error", "trim not supported");
    else if (err)
        agent_put_string(o, "error", text = g_strdup_printf("failed to %s: %s", what,
                                                            g_strerror(err)));
    else
        agent_put_int(o, "trimmed", (int64_t)range.len);
    if (!err)
        agent_put_int(o, "minimum", (int64_t)range.minlen);
    if (fd >= 0)
        close(fd);
}

static struct json_object *fstrim(void *opaque, struct json_object *args, GError **error)
{
    g_autoptr(GPtrArray) mounts = ga_mounts(opaque, error);
    if (!mounts)
        return NULL;
    struct json_object *o = json_object_new_object(), *list = json_object_new_array();
    /* the oldest name first: what there was to trim is said of that one */
    for (unsigned i = mounts->len; i > 0; i--) {
        const GaMount *m = mounts->pdata[i - 1];
        struct json_object *one = json_object_new_object();
        agent_put_string(one, "path", m->dir);
        trim(m->dir, (uint64_t)agent_int(args, "minimum", 0), one);
        json_object_array_add(list, one);
    }
    json_object_object_add(o, "paths", list);
    return o;
}

static const AgentArg args[] = { { .name = "minimum", .type = AGENT_INT, .optional = true },
                                 { 0 } };

const AgentCommand ga_fstrim_commands[] = { { .name = "guest-fstrim", .args = args,
                                              .run = fstrim }, { 0 } };
