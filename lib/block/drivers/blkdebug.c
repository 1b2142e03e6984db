/* SPDX-License-Identifier: MIT */
/*
 * blkdebug: fails requests as it is told, and makes a disk look less capable than it is.
 *
 * Rules wait for an event: none (they hold from the start), read_aio and write_aio (before each
 * read and write), flush_to_os and flush_to_disk (before each flush). An event makes the
 * inject-error rules for it the active ones, in place of those before, and set-state rules change
 * the state, a number from 1 on, which rules may ask for. A request fails with the first active
 * rule that fits its kind and place. Formats tell of no events of their own; rules for those are
 * warned of.
 */
#include "block/filter_priv.h"

#include "base/error.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

enum { EV_NONE, EV_READ_AIO, EV_WRITE_AIO, EV_FLUSH_TO_OS, EV_FLUSH_TO_DISK, EV_SEEN };

static const char *const events[] = {
    "none", "read_aio", "write_aio", "flush_to_os", "flush_to_disk",
    /* what only formats could tell of */
    "l1_update", "l1_grow_alloc_table", "l1_grow_write_table", "l1_grow_activate_table",
    "l2_load", "l2_update", "l2_update_compressed", "l2_alloc_cow_read", "l2_alloc_write",
    "read", "read_backing_aio", "read_compressed", "write_compressed", "vmstate_load",
    "vmstate_save", "cow_read", "cow_write", "reftable_load", "reftable_grow", "reftable_update",
    "refblock_load", "refblock_update", "refblock_update_part", "refblock_alloc",
    "refblock_alloc_hookup", "refblock_alloc_write", "refblock_alloc_write_blocks",
    "refblock_alloc_write_table", "refblock_alloc_switch_table", "cluster_alloc",
    "cluster_alloc_bytes", "cluster_free", "pwritev_rmw_head", "pwritev_rmw_after_head",
    "pwritev_rmw_tail", "pwritev_rmw_after_tail", "pwritev", "pwritev_zero", "pwritev_done",
    "empty_image_prepare", "l1_shrink_write_table", "l1_shrink_free_l2_clusters", "cor_write",
    "cluster_alloc_space", NULL
};

enum { IO_STATUS = 5, IO_ANY }; /* otherwise a BlockOp; any is not block-status */
static const char *const iotypes[] = { "read", "write", "write-zeroes", "discard", "flush",
                                       "block-status", "any", NULL };

typedef struct {
    int event, iotype;
    uint64_t state, new_state, error;
    char *sector;      /* as given; NULL: any */
    bool once, immediately;
    uint64_t at;
    bool inject, active, gone;
} Rule;

typedef struct {
    BlockUser *image;
    char *config;
    struct json_object *inject, *set_state;
    uint64_t align, max_transfer, opt_zero, max_zero, opt_discard, max_discard;
    pthread_mutex_t lock; /* of the rules and the state */
    GPtrArray *rules;
    uint64_t state;
} Blkdebug;

static const BlockProp props[] = {
    { .name = "config", .kind = BLOCK_PROP_STRING, .offset = offsetof(Blkdebug, config),
      .help = "a file with sections [inject-error] and [set-state]" },
    { .name = "inject-error", .kind = BLOCK_PROP_TREE, .offset = offsetof(Blkdebug, inject),
      .help = "a list: event, errno, sector, state, iotype, once, immediately" },
    { .name = "set-state", .kind = BLOCK_PROP_TREE, .offset = offsetof(Blkdebug, set_state),
      .help = "a list: event, state, new_state" },
    { .name = "align", .kind = BLOCK_PROP_SIZE, .offset = offsetof(Blkdebug, align),
      .max = 1u << 30, .help = "of each read and write" },
    { .name = "max-transfer", .kind = BLOCK_PROP_SIZE, .offset = offsetof(Blkdebug, max_transfer),
      .max = 1u << 30, .help = "of a read or write" },
    { .name = "opt-write-zero", .kind = BLOCK_PROP_SIZE, .offset = offsetof(Blkdebug, opt_zero),
      .max = 1u << 30, .help = "zeroes are written in multiples of it" },
    { .name = "max-write-zero", .kind = BLOCK_PROP_SIZE, .offset = offsetof(Blkdebug, max_zero),
      .max = 1u << 30, .help = "zeroes at once" },
    { .name = "opt-discard", .kind = BLOCK_PROP_SIZE, .offset = offsetof(Blkdebug, opt_discard),
      .max = 1u << 30, .help = "discards are multiples of it" },
    { .name = "max-discard", .kind = BLOCK_PROP_SIZE, .offset = offsetof(Blkdebug, max_discard),
      .max = 1u << 30, .help = "of a discard" },
    { 0 }
};

static const BlockProp inject_props[] = {
    { .name = "event", .kind = BLOCK_PROP_ENUM, .offset = offsetof(Rule, event), .names = events,
      .needed = true },
    { .name = "state", .kind = BLOCK_PROP_NUMBER, .offset = offsetof(Rule, state), .def = "0" },
    { .name = "iotype", .kind = BLOCK_PROP_ENUM, .offset = offsetof(Rule, iotype),
      .names = iotypes, .def = "any" },
    { .name = "errno", .kind = BLOCK_PROP_NUMBER, .offset = offsetof(Rule, error), .def = "5",
      .max = 4095 },
    { .name = "sector", .kind = BLOCK_PROP_STRING, .offset = offsetof(Rule, sector) },
    { .name = "once", .kind = BLOCK_PROP_BOOL, .offset = offsetof(Rule, once), .def = "off" },
    { .name = "immediately", .kind = BLOCK_PROP_BOOL, .offset = offsetof(Rule, immediately),
      .def = "off" },
    { 0 }
};

static const BlockProp state_props[] = {
    { .name = "event", .kind = BLOCK_PROP_ENUM, .offset = offsetof(Rule, event), .names = events,
      .needed = true },
    { .name = "state", .kind = BLOCK_PROP_NUMBER, .offset = offsetof(Rule, state), .def = "0" },
    { .name = "new_state", .kind = BLOCK_PROP_NUMBER, .offset = offsetof(Rule, new_state),
      .def = "0", .max = INT32_MAX },
    { 0 }
};

static const BlockChildSlot children[] = {
    { .name = "image", .role = BLOCK_CHILD_FILTERED, .offset = offsetof(Blkdebug, image) },
    { 0 }
};

/* ---- the rules as they are given ----------------------------------------- */

static void rule_free(void *p)
{
    g_free(((Rule *)p)->sector);
    g_free(p);
}

static bool add_rule(BlockNode *node, struct json_object *options, bool inject, GError **error)
{
    Blkdebug *d = block_node_state(node);
    const BlockProp *table = inject ? inject_props : state_props;
    Rule *rule = g_new0(Rule, 1);

    g_ptr_array_add(d->rules, rule);
    rule->inject = inject;
    if (!json_object_is_type(options, json_type_object))
        return fail_usage(error, "a rule has parts: event=... and others");
    if (!block_props_done(table, NULL, options, "rule", error) ||
        !block_props_read(table, options, rule, error))
        return false;
    if (rule->sector && strcmp(rule->sector, "-1")) {
        char *end;
        rule->at = g_ascii_strtoull(rule->sector, &end, 0);
        if (*end || !g_ascii_isdigit(*rule->sector) || rule->at > BLOCK_MAX_SIZE / BLOCK_SECTOR)
            return fail_usage(error, "sector=%s: it is a number of sectors", rule->sector);
    } else {
        g_clear_pointer(&rule->sector, g_free);
    }
    if (rule->event >= EV_SEEN)
        block_node_warn(node, "blkdebug: event %s never comes: formats do not tell of theirs",
                        events[rule->event]);
    return true;
}

/* A list, or an object with the keys 0, 1 and so on. */
static bool add_rules(BlockNode *node, struct json_object *list, bool inject, GError **error)
{
    const char *what = inject ? "inject-error" : "set-state";

    if (json_object_is_type(list, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(list); i++)
            if (!add_rule(node, json_object_array_get_idx(list, i), inject, error))
                return prefix(error, "%s.%zu", what, i);
    } else if (list) {
        json_object_object_foreach(list, key, value)
            if (strspn(key, "0123456789") != strlen(key))
                return fail_usage(error, "%s.%s: it is a list: %s.0.event and so on", what, key,
                                  what);
            else if (!add_rule(node, value, inject, error))
                return prefix(error, "%s.%s", what, key);
    }
    return true;
}

static bool end_section(BlockNode *node, struct json_object *options, const char *section,
                        GError **error)
{
    bool ok = !*section || add_rule(node, options, !strcmp(section, "inject-error"), error);
    json_object_put(options);
    return ok;
}

/* key = "value" */
static bool config_line(struct json_object *options, char *line, GError **error)
{
    char *value = strchr(line, '=');

    if (!value)
        return fail_usage(error, "neither [section] nor key = \"value\"");
    *value++ = 0;
    g_strstrip(line);
    g_strstrip(value);
    size_t n = strlen(value);
    if (n >= 2 && value[0] == '"' && value[n - 1] == '"') {
        value[n - 1] = 0;
        value++;
    }
    json_object_object_add(options, line, json_object_new_string(value));
    return true;
}

static bool read_config(BlockNode *node, const char *file, GError **error)
{
    g_autofree char *text = NULL;
    const char *section = "";
    bool ok = true;

    if (!g_file_get_contents(file, &text, NULL, error))
        return false;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    struct json_object *options = json_object_new_object();
    for (unsigned i = 0; ok && lines[i]; i++) {
        char *line = g_strstrip(lines[i]);
        if (!*line || *line == '#')
            continue;
        if (*line == '[') {
            ok = end_section(node, options, section, error);
            options = json_object_new_object();
            section = !strcmp(line, "[inject-error]") ? "inject-error"
                      : !strcmp(line, "[set-state]")  ? "set-state" : "";
            ok = ok && (*section ||
                        fail_usage(error, "section %s: it is [inject-error] or [set-state]", line));
        } else {
            ok = *section ? config_line(options, line, error)
                          : fail_usage(error, "a line in front of the first section");
        }
        if (!ok)
            prefix(error, "%s:%u", file, i + 1);
    }
    if (ok)
        return end_section(node, options, section, error) || prefix(error, "%s", file);
    json_object_put(options);
    return false;
}

/* ---- events and errors --------------------------------------------------- */

/* Under the lock. */
static void happen(Blkdebug *d, int event)
{
    uint64_t state = d->state;
    bool fresh = true;

    for (unsigned i = 0; i < d->rules->len; i++) {
        Rule *rule = d->rules->pdata[i];
        if (rule->event != event || rule->gone || (rule->state && rule->state != state))
            continue;
        if (!rule->inject) {
            d->state = rule->new_state;
            continue;
        }
        for (unsigned k = 0; fresh && k < d->rules->len; k++)
            ((Rule *)d->rules->pdata[k])->active = false;
        fresh = false;
        rule->active = true;
    }
}

static bool fits(const Rule *rule, int iotype, uint64_t offset, uint64_t bytes)
{
    if (!rule->active || (rule->iotype == IO_ANY ? iotype == IO_STATUS : rule->iotype != iotype))
        return false;
    return !rule->sector ||
           (bytes && offset <= rule->at * BLOCK_SECTOR && rule->at * BLOCK_SECTOR - offset < bytes);
}

/* 0, or what the request is to fail with. */
static int verdict(BlockNode *node, int event, int iotype, uint64_t offset, uint64_t bytes)
{
    Blkdebug *d = block_node_state(node);
    int r = 0;

    pthread_mutex_lock(&d->lock);
    if (event == EV_FLUSH_TO_DISK)
        happen(d, EV_FLUSH_TO_OS);
    if (event)
        happen(d, event);
    for (unsigned i = 0; !r && i < d->rules->len; i++) {
        Rule *rule = d->rules->pdata[i];
        if (!fits(rule, iotype, offset, bytes))
            continue;
        r = -(int)rule->error;
        if (rule->once) {
            rule->active = false;
            rule->gone = true;
        }
        break;
    }
    pthread_mutex_unlock(&d->lock);
    return r;
}

static int debug_read(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov,
                      int iovcnt)
{
    Blkdebug *d = block_node_state(node);
    int r = verdict(node, EV_READ_AIO, BLOCK_READ, offset, bytes);
    return r ? r : block_run(d->image, BLOCK_READ, 0, offset, bytes, iov, iovcnt);
}

static int debug_write(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov,
                       int iovcnt, unsigned flags)
{
    Blkdebug *d = block_node_state(node);
    int r = verdict(node, EV_WRITE_AIO, BLOCK_WRITE, offset, bytes);

    if (r)
        return r;
    /* the padding of a write at an end that is not aligned must not make the image longer */
    uint64_t size = block_node_size(node);
    if (!(flags & BLOCK_PADDED) || offset + bytes <= size)
        return block_run(d->image, BLOCK_WRITE, flags & BLOCK_FUA, offset, bytes, iov, iovcnt);
    int count;
    g_autofree struct iovec *head = filter_head(iov, iovcnt, size - offset, &count);
    return block_run(d->image, BLOCK_WRITE, flags & BLOCK_FUA, offset, size - offset, head, count);
}

static int debug_zero(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
    int r = verdict(node, EV_NONE, BLOCK_ZERO, offset, bytes);
    return r ? r : filter_zero(node, offset, bytes, flags);
}

static int debug_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    int r = verdict(node, EV_NONE, BLOCK_DISCARD, offset, bytes);
    return r ? r : filter_discard(node, offset, bytes);
}

static int debug_flush(BlockNode *node)
{
    return verdict(node, EV_FLUSH_TO_DISK, BLOCK_FLUSH, 0, 0);
}

static int debug_compressed(BlockNode *node, uint64_t offset, uint64_t bytes,
                            const struct iovec *iov, int iovcnt)
{
    int r = verdict(node, EV_WRITE_AIO, BLOCK_WRITE, offset, bytes);
    return r ? r : filter_write_compressed(node, offset, bytes, iov, iovcnt);
}

static int debug_extents(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags,
                         BlockExtent *out, unsigned max)
{
    Blkdebug *d = block_node_state(node);
    int r = verdict(node, EV_NONE, IO_STATUS, offset, bytes);

    *out = (BlockExtent){ .offset = offset, .bytes = bytes, .child = d->image,
                          .child_offset = offset, .flags = BLOCK_EXTENT_FORWARD };
    return r ? r : 1;
}

/* ---- limits, opening ----------------------------------------------------- */

static void debug_limits(BlockNode *node, BlockLimits *limits)
{
    Blkdebug *d = block_node_state(node);
    uint64_t most = d->max_zero && d->max_discard ? MIN(d->max_zero, d->max_discard)
                                                  : d->max_zero + d->max_discard;

    limits->fua = true;
    limits->align = (uint32_t)d->align;
    limits->max_transfer = d->max_transfer;
    limits->zero_align = (uint32_t)d->opt_zero;
    limits->discard_align = (uint32_t)d->opt_discard;
    limits->max_effect = most; /* one limit for both */
}

static bool check_limit(const char *name, uint64_t value, uint64_t unit, GError **error)
{
    return value % MAX(unit, 1) == 0 ||
           fail_usage(error, "%s=%" G_GUINT64_FORMAT " is not a multiple of %" G_GUINT64_FORMAT,
                      name, value, unit);
}

static bool check_power(const char *name, uint64_t value, GError **error)
{
    return !(value & (value - 1)) || !value ||
           fail_usage(error, "%s=%" G_GUINT64_FORMAT " is not a power of two", name, value);
}

static bool debug_open(BlockNode *node, GError **error)
{
    Blkdebug *d = block_node_state(node);

    if (!check_power("align", d->align, error) ||
        !check_power("opt-write-zero", d->opt_zero, error) ||
        !check_power("opt-discard", d->opt_discard, error) ||
        !check_limit("max-transfer", d->max_transfer, d->align, error) ||
        !check_limit("opt-write-zero", d->opt_zero, d->align, error) ||
        !check_limit("max-write-zero", d->max_zero, MAX(d->opt_zero, d->align), error) ||
        !check_limit("opt-discard", d->opt_discard, d->align, error) ||
        !check_limit("max-discard", d->max_discard, MAX(d->opt_discard, d->align), error))
        return false;
    d->rules = g_ptr_array_new_with_free_func(rule_free);
    d->state = 1;
    if ((d->config && *d->config && !read_config(node, d->config, error)) ||
        !add_rules(node, d->inject, true, error) || !add_rules(node, d->set_state, false, error)) {
        g_ptr_array_unref(d->rules);
        return false;
    }
    pthread_mutex_init(&d->lock, NULL);
    happen(d, EV_NONE);
    return true;
}

static void debug_close(BlockNode *node)
{
    Blkdebug *d = block_node_state(node);

    g_ptr_array_unref(d->rules);
    pthread_mutex_destroy(&d->lock);
}

/* CONFIG:IMAGE */
static bool debug_parse_name(const char *name, struct json_object *options, GError **error)
{
    const char *rest = strchr(name, ':') + 1;
    const char *colon = strchr(rest, ':');
    struct json_object *image = json_object_new_object();

    if (!colon || !colon[1]) {
        json_object_put(image);
        return fail_usage(error, "it is blkdebug:CONFIG:IMAGE");
    }
    if (colon > rest)
        json_object_object_add(options, "config",
                               json_object_new_string_len(rest, (int)(colon - rest)));
    json_object_object_add(image, "driver", json_object_new_string("file"));
    json_object_object_add(image, "filename", json_object_new_string(colon + 1));
    json_object_object_add(options, "image", image);
    return true;
}

const BlockDriver block_blkdebug_driver = {
    .name = "blkdebug",
    .summary = "fails requests as it is told",
    .size = sizeof(Blkdebug),
    .props = props,
    .children = children,
    .filter = true,
    .parse_name = debug_parse_name,
    .open = debug_open,
    .close = debug_close,
    .limits = debug_limits,
    .resize = filter_resize,
    .read = debug_read,
    .write = debug_write,
    .zero = debug_zero,
    .discard = debug_discard,
    .flush = debug_flush,
    .write_compressed = debug_compressed,
    .extents = debug_extents,
};
