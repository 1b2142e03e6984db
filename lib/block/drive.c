/* SPDX-License-Identifier: MIT */
/*
 * -drive: what belongs to the device (if, index, serial, werror...), what belongs to the node
 * (format, read-only, discard...), what belongs to the file (aio, locking, file.*), and file=
 * itself.
 */
#include "block/block_priv.h"

#include "base/error.h"
#include "base/option.h"
#include "base/size.h"

#include <json-c/json.h>
#include <string.h>

static const char *const drive_names[] = {
    "file", "if", "format", "cache", "readonly", "snapshot", "aio", "id", "index", "bus", "unit",
    "media", "serial", "werror", "rerror", "copy-on-read", "locking", "driver", "node-name",
    "read-only", "auto-read-only", "force-share", "discard", "detect-zeroes", "cache.direct",
    "cache.no-flush", "cache.writeback", NULL
};

static const char *const interfaces[] = { "",   "none", "virtio", "ide",    "scsi",
                                          "sd", "mtd",  "floppy", "pflash", NULL };
static const char *const on_error[] = { "report", "ignore", "enospc", "stop", NULL };
static const char *const media_words[] = { "disk", "cdrom", NULL };

bool block_cache_parse(const char *mode, unsigned *flags, bool *writethrough, GError **error)
{
    static const struct {
        const char *name;
        unsigned flags;
        bool writethrough;
    } modes[] = {
        { "writeback", 0, false },
        { "none", BLOCK_OPEN_DIRECT, false },
        { "off", BLOCK_OPEN_DIRECT, false },
        { "writethrough", 0, true },
        { "directsync", BLOCK_OPEN_DIRECT, true },
        { "unsafe", BLOCK_OPEN_NO_FLUSH, false },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        if (strcmp(mode, modes[i].name))
            continue;
        *flags = (*flags & ~(unsigned)(BLOCK_OPEN_DIRECT | BLOCK_OPEN_NO_FLUSH)) | modes[i].flags;
        *writethrough = modes[i].writethrough;
        return true;
    }
    return fail_usage(error, "cache=%s: it is none, writeback, writethrough, directsync or unsafe",
                      mode);
}

void block_drive_free(BlockDrive *drive)
{
    if (!drive)
        return;
    json_object_put(drive->options);
    g_free(drive->id);
    g_free(drive->serial);
    g_free(drive);
}

/* ---- pieces -------------------------------------------------------------- */

/* What is being read: keys of the drive's own are taken out, the rest is the node's. */
typedef struct {
    BlockGraph *graph;
    BlockDrive *drive;
    struct json_object *rest;
    char *file; /* file=, as text */
} Reading;

static char *take(Reading *r, const char *key)
{
    char *text = g_strdup(block_options_text(r->rest, key));
    if (text)
        json_object_object_del(r->rest, key);
    return text;
}

static bool take_bool(Reading *r, const char *key, bool *value, GError **error)
{
    if (!block_options_bool(r->rest, key, value, error))
        return false;
    g_free(take(r, key));
    return true;
}

static bool take_number(Reading *r, const char *key, int *value, GError **error)
{
    g_autofree char *text = take(r, key);
    uint64_t n;

    if (!text)
        return true;
    if (!number_parse(text, &n, error))
        return prefix(error, "%s", key);
    if (n > 65535)
        return fail_usage(error, "%s=%s: it is 0 to 65535", key, text);
    *value = (int)n;
    return true;
}

static bool take_word(Reading *r, const char *key, const char *const *words, int *value,
                      GError **error)
{
    g_autofree char *text = take(r, key);

    if (!text)
        return true;
    for (int i = 0; words[i]; i++) {
        if (!strcmp(words[i], text) && *text) {
            *value = i;
            return true;
        }
    }
    g_autofree char *all = g_strjoinv(", ", (char **)(**words ? words : words + 1));
    return fail_usage(error, "%s=%s: it is one of %s", key, text, all);
}

static bool read_device(Reading *r, GError **error)
{
    BlockDrive *d = r->drive;
    int interface = BLOCK_IF_DEFAULT, werror = BLOCK_ON_ERROR_ENOSPC,
        rerror = BLOCK_ON_ERROR_REPORT;
    int media = 0;

    d->index = d->bus = d->unit = -1;
    d->id = take(r, "id");
    d->serial = take(r, "serial");
    if (!take_word(r, "if", interfaces, &interface, error) ||
        !take_word(r, "media", media_words, &media, error) ||
        !take_word(r, "werror", on_error, &werror, error) ||
        !take_word(r, "rerror", on_error, &rerror, error) ||
        !take_number(r, "index", &d->index, error) || !take_number(r, "bus", &d->bus, error) ||
        !take_number(r, "unit", &d->unit, error))
        return false;
    if (rerror == BLOCK_ON_ERROR_ENOSPC)
        return fail_usage(error, "rerror=enospc: it is one of report, ignore, stop");
    d->interface = interface;
    d->werror = werror;
    d->rerror = rerror;
    d->cdrom = media == 1;
    return true;
}

static bool read_node(Reading *r, GError **error)
{
    BlockDrive *d = r->drive;
    g_autofree char *cache = take(r, "cache-mode"), *format = take(r, "format");
    bool copy_on_read = false, writeback = true;

    if (d->cdrom)
        d->read_only = true;
    if (cache && !block_cache_parse(cache, &d->flags, &d->writethrough, error))
        return false;
    if (block_options_get(r->rest, "cache.writeback")) {
        if (!block_options_bool(r->rest, "cache.writeback", &writeback, error))
            return false;
        json_object_object_del(block_options_get(r->rest, "cache"), "writeback");
        d->writethrough = !writeback;
    }
    if (!take_bool(r, "readonly", &d->read_only, error) ||
        !take_bool(r, "read-only", &d->read_only, error) ||
        !take_bool(r, "snapshot", &d->snapshot, error) ||
        !take_bool(r, "copy-on-read", &copy_on_read, error))
        return false;
    if (copy_on_read)
        return fail_usage(error, "copy-on-read=on is not there yet");
    if (block_options_get(r->rest, "throttling"))
        return fail_usage(error, "throttling.* is not there yet");
    if (d->read_only || d->snapshot)
        d->flags |= BLOCK_OPEN_READ_ONLY;
    if (format) {
        const char *driver = block_options_text(r->rest, "driver");
        if (driver && strcmp(driver, format))
            return fail_usage(error, "format=%s beside driver=%s", format, driver);
        json_object_object_add(r->rest, "driver", json_object_new_string(format));
    }
    return true;
}

/* Members of from that to has not yet. */
static void merge(struct json_object *to, struct json_object *from)
{
    json_object_object_foreach(from, key, value) {
        struct json_object *there;
        if (!json_object_object_get_ex(to, key, &there))
            json_object_object_add(to, key, json_object_get(value));
        else if (json_object_is_type(there, json_type_object) &&
                 json_object_is_type(value, json_type_object))
            merge(there, value);
    }
}

/* file=NAME becomes file.driver, file.filename..., or with json: the whole node. */
static bool read_file(Reading *r, GError **error)
{
    struct json_object *named, *there = block_options_get(r->rest, "file");

    if (!r->file)
        return true;
    named = block_name_options(r->graph, r->file, error);
    if (!named)
        return false;
    if (g_str_has_prefix(r->file, "json:")) {
        merge(r->rest, named);
        json_object_put(named);
    } else if (there) {
        merge(there, named);
        json_object_put(named);
    } else {
        json_object_object_add(r->rest, "file", named);
    }
    return true;
}

/* aio= and locking= go to the file at the bottom. */
static bool pass_down(Reading *r, const char *key, GError **error)
{
    g_autofree char *text = take(r, key);
    struct json_object *at = r->rest, *file;

    if (!text)
        return true;
    while (json_object_object_get_ex(at, "file", &file) &&
           json_object_is_type(file, json_type_object))
        at = file;
    const char *driver = block_options_text(at, "driver");
    if (driver && strcmp(driver, "file") && strcmp(driver, "host_device"))
        return fail_usage(error, "%s=%s: it is for files, not for %s", key, text, driver);
    json_object_object_add(at, key, json_object_new_string(text));
    return true;
}

/* A first look at the keys, with the drive's own as suggestions; drivers look again. */
static bool check_names(Reading *r, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();

    for (const char *const *n = drive_names; *n; n++)
        g_ptr_array_add(names, (char *)*n);
    for (unsigned i = 0; block_driver_nth(i); i++) {
        for (const BlockProp *p = block_driver_nth(i)->props; p && p->name; p++)
            g_ptr_array_add(names, (char *)p->name);
        for (const BlockChildSlot *c = block_driver_nth(i)->children; c && c->name; c++)
            g_ptr_array_add(names, (char *)c->name);
    }
    g_ptr_array_add(names, NULL);
    return r->graph->drivers->len ||
           block_props_done(NULL, (const char *const *)names->pdata, r->rest, "-drive", error);
}

static struct json_object *split(const char *text, char **file, GError **error)
{
    g_autoptr(Options) list = options_parse(text, NULL, error);
    const char *key, *value;

    if (!list)
        return NULL;
    struct json_object *tree = json_object_new_object();
    for (unsigned i = 0; options_item(list, i, &key, &value); i++) {
        /* a name here, not the node that -blockdev would mean */
        if (!strcmp(key, "file")) {
            g_free(*file);
            *file = g_strdup(value);
        } else if (!strcmp(key, "cache")) {
            /* beside cache.direct */
            json_object_object_add(tree, "cache-mode", json_object_new_string(value));
        } else if (!block_options_set(tree, key, value, error)) {
            json_object_put(tree);
            return NULL;
        }
    }
    return tree;
}

BlockDrive *block_drive_parse(BlockGraph *graph, const char *text, GError **error)
{
    g_autoptr(BlockDrive) drive = g_new0(BlockDrive, 1);
    Reading r = { .graph = graph, .drive = drive };

    r.rest = split(text, &r.file, error);
    bool ok = r.rest && read_device(&r, error) && read_node(&r, error) && read_file(&r, error) &&
              pass_down(&r, "aio", error) && pass_down(&r, "locking", error) &&
              check_names(&r, error);
    if (ok && (block_options_get(r.rest, "file") || block_options_get(r.rest, "driver")))
        drive->options = json_object_get(r.rest);
    else if (ok && !drive->cdrom && json_object_object_length(r.rest))
        ok = fail_usage(error, "file=... is missing");
    json_object_put(r.rest);
    g_free(r.file);
    return ok ? g_steal_pointer(&drive) : NULL;
}

BlockNode *block_drive_open(BlockGraph *graph, const BlockDrive *drive, GError **error)
{
    if (!drive->options) {
        fail_usage(error, "an empty drive has nothing to open");
        return NULL;
    }
    g_autoptr(BlockNode) node = block_open(graph, drive->options, drive->flags, error);
    if (!node || !drive->snapshot)
        return g_steal_pointer(&node);
    BlockNode *layer = block_snapshot_layer(node, error);
    if (layer)
        layer->detect_zeroes = node->detect_zeroes; /* what is written goes there */
    return layer;
}
