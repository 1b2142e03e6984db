/* SPDX-License-Identifier: MIT */
/* Processors: /sys/devices/system/cpu/cpuN/online (Documentation/core-api/cpu_hotplug.rst),
 * times in /proc/stat, the load in /proc/loadavg (proc(5)). */
#include "sysfs.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CPUS "/sys/devices/system/cpu"

static struct json_object *get_vcpus(void *opaque, struct json_object *args, GError **error)
{
    const Ga *ga = opaque;
    g_autoptr(GArray) numbers = ga_numbered(ga, "cpu", CPUS);
    if (!numbers)
        return ga_fail(error, "failed to read " CPUS);
    struct json_object *list = json_object_new_array();
    for (unsigned i = 0; i < numbers->len; i++) {
        int64_t id = g_array_index(numbers, int64_t, i);
        /* one that cannot go has no such file */
        int64_t online = ga_read_number(ga, 10, -1, CPUS "/cpu%" PRId64 "/online", id);
        struct json_object *o = json_object_new_object();
        agent_put_int(o, "logical-id", id);
        agent_put_bool(o, "online", online != 0);
        agent_put_bool(o, "can-offline", online >= 0);
        json_object_array_add(list, o);
    }
    return list;
}

static bool set_vcpu(const Ga *ga, int64_t id, bool online, GError **error)
{
    g_autofree char *folder = ga_path(ga, CPUS "/cpu%" PRId64 "/", id);
    g_autofree char *file = g_strconcat(folder, "online", NULL);
    if (access(folder, F_OK))
        return ga_fail_errno(error, errno, "open(\"%s\")", folder);
    int64_t now = ga_read_number(ga, 10, -1, CPUS "/cpu%" PRId64 "/online", id);
    if (now < 0) {
        if (!online)
            ga_fail(error, "logical processor #%" PRId64 " can't be offlined", id);
        return online;
    }
    if (now == online)
        return true;
    int fd = open(file, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, online ? "1" : "0", 1) == 1;
    if (!done)
        ga_fail_errno(error, errno, "write(\"%s\")", file);
    if (fd >= 0)
        close(fd);
    return done;
}

/* The number of those done up to the first that could not be; an error only if that is the
 * first. */
static struct json_object *set_vcpus(void *opaque, struct json_object *args, GError **error)
{
    struct json_object *list = agent_list(args, "vcpus");
    g_autoptr(GError) local = NULL;
    size_t n = json_object_array_length(list), done = 0;
    while (done < n) {
        struct json_object *one = json_object_array_get_idx(list, done);
        if (!set_vcpu(opaque, agent_int(one, "logical-id", 0), agent_bool(one, "online", true),
                      &local))
            break;
        done++;
    }
    if (local && !done) {
        g_propagate_error(error, g_steal_pointer(&local));
        return NULL;
    }
    return json_object_new_int64((int64_t)done);
}

static const char *const times[] = {
    "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guestnice",
};

static struct json_object *get_cpustats(void *opaque, struct json_object *args, GError **error)
{
    g_autofree char *text = ga_read(opaque, "/proc/stat");
    int64_t ticks = sysconf(_SC_CLK_TCK), cpu;
    if (!text)
        return ga_fail(error, "failed to read /proc/stat");
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    struct json_object *list = json_object_new_array();
    for (unsigned i = 0; lines[i]; i++) {
        int at = 0;
        /* the sum of all has no number */
        if (!g_str_has_prefix(lines[i], "cpu") || !g_ascii_isdigit(lines[i][3]) ||
            sscanf(lines[i] + 3, "%" SCNd64 "%n", &cpu, &at) != 1)
            continue;
        struct json_object *o = json_object_new_object();
        const char *p = lines[i] + 3 + at;
        agent_put_string(o, "type", "linux");
        agent_put_int(o, "cpu", cpu);
        for (unsigned t = 0; t < G_N_ELEMENTS(times); t++) {
            char *end;
            uint64_t n = g_ascii_strtoull(p, &end, 10);
            if (end == p)
                break;
            agent_put_int(o, times[t], (int64_t)(n * 1000 / (uint64_t)ticks));
            p = end;
        }
        json_object_array_add(list, o);
    }
    return list;
}

static struct json_object *get_load(void *opaque, struct json_object *args, GError **error)
{
    static const char *const names[] = { "load1m", "load5m", "load15m" };
    g_autofree char *text = ga_read(opaque, "/proc/loadavg");
    if (!text)
        return ga_fail(error, "failed to read /proc/loadavg");
    struct json_object *o = json_object_new_object();
    char *p = text;
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
        json_object_object_add(o, names[i], json_object_new_double(g_ascii_strtod(p, &p)));
    return o;
}

static const AgentArg vcpu[] = {
    { .name = "logical-id", .type = AGENT_INT }, { .name = "online", .type = AGENT_BOOL },
    { .name = "can-offline", .type = AGENT_BOOL, .optional = true }, { 0 }
};
static const AgentArg set_args[] = { { .name = "vcpus", .type = AGENT_OBJECTS, .members = vcpu },
                                     { 0 } };

const AgentCommand ga_cpus_commands[] = {
    { .name = "guest-get-vcpus", .run = get_vcpus },
    { .name = "guest-set-vcpus", .args = set_args, .run = set_vcpus },
    { .name = "guest-get-cpustats", .run = get_cpustats },
    /* in guest-info, though 7.2 has it not: hosts look for it there, by the name it has since
     * 9.2 */
    { .name = "guest-get-load", .run = get_load },
    { 0 }
};
