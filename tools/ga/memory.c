/* SPDX-License-Identifier: MIT */
/* Memory blocks: /sys/devices/system/memory (Documentation/admin-guide/mm/memory-hotplug.rst). */
#include "sysfs.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <string.h>
#include <unistd.h>

#define MEMORY "/sys/devices/system/memory"
#define UNSUPPORTED "this feature or command is not currently supported"

static bool is_online(const Ga *ga, uint64_t block)
{
    g_autofree char *state = ga_read(ga, MEMORY "/memory%" PRIu64 "/state", block);
    return g_strcmp0(state, "online") == 0;
}

static struct json_object *get_blocks(void *opaque, struct json_object *args, GError **error)
{
    const Ga *ga = opaque;
    g_autoptr(GArray) numbers = ga_numbered(ga, "memory", MEMORY);
    if (!numbers)
        return ga_fail(error, UNSUPPORTED);
    struct json_object *list = json_object_new_array();
    for (unsigned i = 0; i < numbers->len; i++) {
        int64_t block = g_array_index(numbers, int64_t, i);
        struct json_object *o = json_object_new_object();
        agent_put_int(o, "phys-index", block);
        agent_put_bool(o, "online", is_online(ga, block));
        agent_put_bool(o, "can-offline",
                       ga_read_number(ga, 10, 0, MEMORY "/memory%" PRId64 "/removable",
                                      block) == 1);
        json_object_array_add(list, o);
    }
    return list;
}

static struct json_object *get_info(void *opaque, struct json_object *args, GError **error)
{
    int64_t size = ga_read_number(opaque, 16, -1, MEMORY "/block_size_bytes");
    if (size < 0)
        return ga_fail(error, UNSUPPORTED);
    struct json_object *o = json_object_new_object();
    agent_put_int(o, "size", size);
    return o;
}

/* How a block's change is told: with the errno where there is one. */
static const char *set_block(const Ga *ga, uint64_t block, bool online, int *err)
{
    g_autofree char *folder = ga_path(ga, MEMORY "/memory%" PRIu64, block);
    g_autofree char *file = g_build_filename(folder, "state", NULL);
    const char *text = online ? "online" : "offline";
    *err = 0;
    if (access(folder, F_OK)) {
        *err = errno;
        return errno == ENOENT ? "not-found" : "operation-failed";
    }
    if (is_online(ga, block) == online)
        return "success";
    if (!online && ga_read_number(ga, 10, 1, MEMORY "/memory%" PRIu64 "/removable", block) == 0)
        return "operation-not-supported";
    int fd = open(file, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    *err = done ? 0 : errno;
    if (fd >= 0)
        close(fd);
    return done ? "success" : "operation-failed";
}

static struct json_object *set_blocks(void *opaque, struct json_object *args, GError **error)
{
    struct json_object *list = agent_list(args, "mem-blks"), *results = json_object_new_array();
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *one = json_object_array_get_idx(list, i), *o = json_object_new_object();
        uint64_t block = agent_uint(one, "phys-index", 0);
        int err;
        agent_put_uint(o, "phys-index", block);
        agent_put_string(o, "response", set_block(opaque, block, agent_bool(one, "online", true),
                                                  &err));
        if (err)
            agent_put_int(o, "error-code", err);
        json_object_array_add(results, o);
    }
    return results;
}

static const AgentArg block_args[] = {
    { .name = "phys-index", .type = AGENT_UINT }, { .name = "online", .type = AGENT_BOOL },
    { .name = "can-offline", .type = AGENT_BOOL, .optional = true }, { 0 }
};
static const AgentArg set_args[] = { { .name = "mem-blks", .type = AGENT_OBJECTS,
                                       .members = block_args }, { 0 } };

const AgentCommand ga_memory_commands[] = {
    { .name = "guest-get-memory-blocks", .run = get_blocks },
    { .name = "guest-set-memory-blocks", .args = set_args, .run = set_blocks },
    { .name = "guest-get-memory-block-info", .run = get_info },
    { 0 }
};
