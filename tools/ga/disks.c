/* SPDX-License-Identifier: MIT */
/* Disks: /sys/block and the folders of parts and parents in it (guest-get-disks),
 * /proc/diskstats by Documentation/admin-guide/iostats.rst (guest-get-diskstats). */
#include "sysfs.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

static struct json_object *new_disk(const char *name, bool partition)
{
    g_autofree char *device = g_strconcat("/dev/", name, NULL);
    struct json_object *o = json_object_new_object();
    /* the kernel has '!' where /dev has a folder */
    agent_put_string(o, "name", g_strdelimit(device, "!", '/'));
    agent_put_bool(o, "partition", partition);
    return o;
}

static void put_dependencies(struct json_object *o, GPtrArray *names)
{
    struct json_object *list = json_object_new_array();
    for (unsigned i = 0; names && i < names->len; i++) {
        g_autofree char *device = g_strconcat("/dev/", names->pdata[i], NULL);
        json_object_array_add(list, json_object_new_string(g_strdelimit(device, "!", '/')));
    }
    json_object_object_add(o, "dependencies", list);
}

static void add_disk(const Ga *ga, const char *name, struct json_object *list)
{
    g_autofree char *link = g_strconcat("/sys/block/", name, NULL);
    g_autofree char *path = ga_block_path(ga, link);
    /* loop devices without a file and drives without a disc are none */
    if (!path || ga_read_number(ga, 10, 0, "%s/size", link) <= 0)
        return;
    g_autofree char *slaves = g_build_filename(path, "slaves", NULL);
    g_autoptr(GPtrArray) parents = ga_names(slaves), inside = ga_names(path);
    g_autofree char *mapped = ga_read(ga, "%s/dm/name", link);
    g_autofree char *alias = mapped ? g_strconcat("/dev/mapper/", mapped, NULL) : NULL;
    struct json_object *o = new_disk(name, false), *address = ga_disk_address(ga, path);
    put_dependencies(o, parents);
    if (address)
        json_object_object_add(o, "address", address);
    agent_put_string(o, "alias", alias);
    if (g_str_has_prefix(name, "nvme") && !ga->root)
        ga_put_smart(o, json_object_get_string(json_object_object_get(o, "name")));
    json_object_array_add(list, o);
    for (unsigned i = 0; inside && i < inside->len; i++) {
        g_autofree char *part = g_build_filename(path, inside->pdata[i], "partition", NULL);
        g_autoptr(GPtrArray) whole = g_ptr_array_new();
        if (!g_file_test(part, G_FILE_TEST_EXISTS))
            continue;
        g_ptr_array_add(whole, (char *)name);
        o = new_disk(inside->pdata[i], true);
        put_dependencies(o, whole);
        json_object_array_add(list, o);
    }
}

static struct json_object *get_disks(void *opaque, struct json_object *args, GError **error)
{
    const Ga *ga = opaque;
    g_autofree char *folder = ga_path(ga, "/sys/block");
    g_autoptr(GPtrArray) names = ga_names(folder);
    if (!names)
        return ga_fail(error, "failed to read /sys/block");
    struct json_object *list = json_object_new_array();
    for (unsigned i = 0; i < names->len; i++)
        add_disk(ga, names->pdata[i], list);
    return list;
}

/* In the file's order; kernels before 4.18 and 5.5 have fewer. */
static const char *const stats[] = {
    "read-ios",     "read-merges",    "read-sectors",    "read-ticks",
    "write-ios",    "write-merges",   "write-sectors",   "write-ticks",
    "ios-pgr",      "total-ticks",    "weight-ticks",
    "discard-ios",  "discard-merges", "discard-sectors", "discard-ticks",
    "flush-ios",    "flush-ticks",
};

static void add_stats(const char *line, struct json_object *list)
{
    unsigned major, minor;
    char name[128];
    int at = 0;
    if (sscanf(line, "%u %u %127s%n", &major, &minor, name, &at) != 3)
        return;
    struct json_object *o = json_object_new_object(), *s = json_object_new_object();
    const char *p = line + at;
    for (unsigned i = 0; i < G_N_ELEMENTS(stats); i++) {
        char *end;
        uint64_t n = g_ascii_strtoull(p, &end, 10);
        if (end == p)
            break;
        agent_put_int(s, stats[i], (int64_t)n);
        p = end;
    }
    agent_put_string(o, "name", name);
    agent_put_int(o, "major", major);
    agent_put_int(o, "minor", minor);
    json_object_object_add(o, "stats", s);
    json_object_array_add(list, o);
}

static struct json_object *get_diskstats(void *opaque, struct json_object *args, GError **error)
{
    g_autofree char *text = ga_read(opaque, "/proc/diskstats");
    if (!text)
        return ga_fail(error, "failed to read /proc/diskstats");
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    struct json_object *list = json_object_new_array();
    for (unsigned i = 0; lines[i]; i++)
        add_stats(lines[i], list);
    return list;
}

const AgentCommand ga_disks_commands[] = {
    { .name = "guest-get-disks", .run = get_disks },
    { .name = "guest-get-diskstats", .run = get_diskstats },
    { 0 }
};
