/* SPDX-License-Identifier: MIT */
/* guest-get-osinfo: uname(2) and os-release(5). guest-get-devices, which other systems' agents
 * have, lists PCI functions by /sys/bus/pci. */
#include "sysfs.h"

#include <json-c/json.h>
#include <string.h>
#include <sys/utsname.h>

static const struct { const char *key, *name; } keys[] = {
    { "ID", "id" }, { "NAME", "name" }, { "PRETTY_NAME", "pretty-name" }, { "VERSION", "version" },
    { "VERSION_ID", "version-id" }, { "VARIANT", "variant" }, { "VARIANT_ID", "variant-id" },
};

static void put_release(struct json_object *o, char *line)
{
    char *equals = strchr(g_strstrip(line), '=');
    if (*line == '#' || !equals)
        return;
    *equals = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++) {
        /* values are quoted as a shell's */
        g_autofree char *value = g_str_equal(keys[i].key, line) ?
            g_shell_unquote(equals + 1, NULL) : NULL;
        if (value && *value)
            agent_put_string(o, keys[i].name, value);
    }
}

static struct json_object *get_osinfo(void *opaque, struct json_object *args, GError **error)
{
    struct json_object *o = json_object_new_object();
    struct utsname u;
    if (!uname(&u)) {
        agent_put_string(o, "kernel-release", u.release);
        agent_put_string(o, "kernel-version", u.version);
        agent_put_string(o, "machine", u.machine);
    }
    g_autofree char *text = ga_read(opaque, "/etc/os-release");
    if (!text)
        text = ga_read(opaque, "/usr/lib/os-release");
    g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
    for (unsigned i = 0; lines[i]; i++)
        put_release(o, lines[i]);
    return o;
}

static struct json_object *get_devices(void *opaque, struct json_object *args, GError **error)
{
    const Ga *ga = opaque;
    g_autofree char *folder = ga_path(ga, "/sys/bus/pci/devices");
    g_autoptr(GPtrArray) names = ga_names(folder);
    struct json_object *list = json_object_new_array();
    for (unsigned i = 0; names && i < names->len; i++) {
        const char *name = names->pdata[i];
        g_autofree char *link = g_build_filename(folder, name, "driver", NULL),
            *driver = ga_link_name(link);
        struct json_object *o = json_object_new_object(), *id = json_object_new_object();
        if (driver) {
            agent_put_string(id, "type", "pci");
            agent_put_int(id, "vendor-id",
                          ga_read_number(ga, 16, 0, "/sys/bus/pci/devices/%s/vendor", name));
            agent_put_int(id, "device-id",
                          ga_read_number(ga, 16, 0, "/sys/bus/pci/devices/%s/device", name));
            agent_put_string(o, "driver-name", driver);
            json_object_object_add(o, "id", id);
            json_object_array_add(list, o);
        } else {
            json_object_put(id);
            json_object_put(o);
        }
    }
    return list;
}

const AgentCommand ga_osinfo_commands[] = {
    { .name = "guest-get-osinfo", .run = get_osinfo },
    { .name = "guest-get-devices", .run = get_devices },
    { 0 }
};
