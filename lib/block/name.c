/* SPDX-License-Identifier: MIT */
/*
 * File names as users give them, and formats by their first bytes.
 *
 *   name = "json:" JSON | PROTOCOL ":" rest | path
 */
#include "block/block_priv.h"

#include "base/error.h"

#include <json-c/json.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The length of a protocol's name in front of a colon, or 0 for a path. */
static size_t protocol_length(const char *name)
{
    size_t n = strcspn(name, ":/");

    if (name[n] != ':')
        return 0;
    for (size_t i = 0; i < n; i++)
        if (!g_ascii_isalnum(name[i]) && !strchr("+-._", name[i]))
            return 0;
    return n;
}

static struct json_object *with_protocol(BlockGraph *graph, const char *name, size_t n,
                                         GError **error)
{
    g_autofree char *protocol = g_strndup(name, n);
    const BlockDriver *d = block_driver_find(graph, protocol);
    struct json_object *options;

    if (!d || (!d->parse_name && !(d->protocol && d->name_prop))) {
        fail_usage(error, "%s: no protocol is called '%s' (a path with a colon is written ./%s)",
                   name, protocol, name);
        return NULL;
    }
    options = json_object_new_object();
    json_object_object_add(options, "driver", json_object_new_string(d->name));
    if (d->parse_name) {
        if (!d->parse_name(name, options, error)) {
            json_object_put(options);
            prefix(error, "%s", name);
            return NULL;
        }
    } else {
        json_object_object_add(options, d->name_prop, json_object_new_string(name + n + 1));
    }
    return options;
}

struct json_object *block_name_options(BlockGraph *graph, const char *name, GError **error)
{
    size_t n = protocol_length(name);
    struct stat st;

    if (g_str_has_prefix(name, "json:"))
        return block_options_json(name + 5, error);
    if (!*name) {
        fail_usage(error, "the name of the image is empty");
        return NULL;
    }
    if (n)
        return with_protocol(graph, name, n, error);
    struct json_object *options = json_object_new_object();
    bool device = !stat(name, &st) && S_ISBLK(st.st_mode);
    json_object_object_add(options, "driver",
                           json_object_new_string(device ? "host_device" : "file"));
    json_object_object_add(options, "filename", json_object_new_string(name));
    return options;
}

struct json_object *block_image_options(BlockGraph *graph, const char *name, const char *format,
                                        GError **error)
{
    struct json_object *top = block_name_options(graph, name, error);
    const BlockDriver *d = format ? block_driver_find(graph, format) : NULL;

    if (!top)
        return NULL;
    bool json = g_str_has_prefix(name, "json:");
    if (!json && d && d->protocol && !protocol_length(name)) {
        json_object_object_del(top, "driver"); /* "host_device" instead of what stat says */
    } else if (!json && !(d && d->protocol)) {
        struct json_object *file = top;
        top = json_object_new_object();
        json_object_object_add(top, "file", file);
    }
    const char *driver = block_options_text(top, "driver");
    if (format && driver && strcmp(format, driver)) {
        fail_usage(error, "%s: format %s, but its driver is %s", name, format, driver);
        json_object_put(top);
        return NULL;
    }
    if (format)
        json_object_object_add(top, "driver", json_object_new_string(format));
    return top;
}

BlockNode *block_open_file(BlockGraph *graph, const char *name, const char *format, unsigned flags,
                           GError **error)
{
    struct json_object *top = block_image_options(graph, name, format, error);
    BlockNode *node = top ? block_open(graph, top, flags, error) : NULL;

    json_object_put(top);
    return node;
}

char *block_name_beside(const char *image, const char *name)
{
    const char *slash = image ? strrchr(image, '/') : NULL;

    if (*name == '/' || protocol_length(name) || g_str_has_prefix(name, "json:") || !slash ||
        g_str_has_prefix(image, "json:"))
        return g_strdup(name);
    return g_strdup_printf("%.*s%s", (int)(slash + 1 - image), image, name);
}

void block_remove_file(const char *name)
{
    if (g_str_has_prefix(name, "file:"))
        name += 5;
    else if (protocol_length(name))
        return;
    struct stat st;
    if (!lstat(name, &st) && S_ISREG(st.st_mode))
        unlink(name);
}

/* ---- by first bytes ------------------------------------------------------ */

/* Formats that are known by sight: what is not there yet is named rather than taken for raw. */
static const struct {
    const char *format;
    size_t offset, len;
    const char *magic;
} magics[] = {
    { "vmdk", 0, 4, "KDMV" },
    { "vmdk", 0, 4, "COWD" },
    { "vmdk", 0, 21, "# Disk DescriptorFile" },
    { "vhdx", 0, 8, "vhdxfile" },
    { "vpc", 0, 8, "conectix" },
    { "vdi", 0x40, 4, "\x7f\x10\xda\xbe" },
    { "qed", 0, 4, "QED" },
    { "parallels", 0, 16, "WithoutFreeSpace" },
    { "parallels", 0, 16, "WithouFreSpacExt" },
    { "bochs", 0, 24, "Bochs Virtual HD Image" "\0" },
};

bool block_format_known(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(magics); i++) {
        if (!strcmp(magics[i].format, name))
            return true;
    }
    return false;
}

static const BlockDriver *best(const BlockDriver *now, int *score, const BlockDriver *d,
                               const uint8_t *head, size_t len, const char *file)
{
    int s = d->probe ? d->probe(head, len, file) : 0;

    if (s <= *score)
        return now;
    *score = s;
    return d;
}

const BlockDriver *block_probe(BlockGraph *graph, const uint8_t *head, size_t len,
                               const char *file, const char **name)
{
    const BlockDriver *found = NULL;
    int score = 0;

    for (unsigned i = 0; i < graph->drivers->len; i++)
        found = best(found, &score, graph->drivers->pdata[i], head, len, file);
    for (unsigned i = 0; block_driver_nth(i); i++)
        found = best(found, &score, block_driver_nth(i), head, len, file);
    if (score > 1)
        return found;
    for (size_t i = 0; i < G_N_ELEMENTS(magics); i++) {
        if (magics[i].offset + magics[i].len <= len &&
            !memcmp(head + magics[i].offset, magics[i].magic, magics[i].len)) {
            *name = magics[i].format;
            return NULL;
        }
    }
    return found;
}
