/* SPDX-License-Identifier: MIT */
/* img info: what an image is, and with --backing-chain what it is based on, down to the last. */
#include "img.h"

#include <json-c/json.h>
#include <string.h>

#include "base/error.h"

enum { LONGEST_CHAIN = 200 };

/* ---- as an object ---------------------------------------------------------- */

static void add_text(struct json_object *o, const char *key, const char *value)
{
    if (value)
        json_object_object_add(o, key, json_object_new_string(value));
}

static void add_number(struct json_object *o, const char *key, int64_t value)
{
    json_object_object_add(o, key, json_object_new_int64(value));
}

static struct json_object *snapshots(const GArray *list)
{
    struct json_object *all = json_object_new_array();

    for (unsigned i = 0; i < list->len; i++) {
        const BlockSnapshot *s = &g_array_index(list, BlockSnapshot, i);
        struct json_object *o = json_object_new_object();
        if (s->icount >= 0)
            add_number(o, "icount", s->icount);
        add_number(o, "vm-clock-nsec", s->vm_clock_ns % 1000000000);
        add_text(o, "name", s->name);
        add_number(o, "date-sec", s->date_ns / 1000000000);
        add_number(o, "date-nsec", s->date_ns % 1000000000);
        add_number(o, "vm-clock-sec", s->vm_clock_ns / 1000000000);
        add_text(o, "id", s->id);
        add_number(o, "vm-state-size", (int64_t)s->vm_state_size);
        json_object_array_add(all, o);
    }
    return all;
}

typedef struct Info {
    struct json_object *all;
    GArray *snapshots;
    char *backing, *backing_full, *backing_format;
    struct json_object *special; /* borrowed from all */
} Info;

static void info_clear(Info *i)
{
    json_object_put(i->all);
    if (i->snapshots)
        g_array_unref(i->snapshots);
    g_free(i->backing);
    g_free(i->backing_full);
    g_free(i->backing_format);
}

static bool encrypted(struct json_object *special)
{
    struct json_object *type, *data;

    if (!special || !json_object_object_get_ex(special, "type", &type))
        return false;
    return !strcmp(json_object_get_string(type), "luks") ||
           (json_object_object_get_ex(special, "data", &data) &&
            json_object_object_get_ex(data, "encrypt", NULL));
}

static bool collect(BlockNode *node, const char *file, Info *i, GError **error)
{
    struct json_object *o = json_object_new_object();
    int64_t actual = block_allocated_size(node);

    *i = (Info){.all = o};
    i->snapshots = block_snapshot_list(node, error);
    if (!i->snapshots)
        return false;
    if (i->snapshots->len)
        json_object_object_add(o, "snapshots", snapshots(i->snapshots));
    i->backing = block_backing_name(node);
    i->backing_format = block_backing_format(node);
    if (i->backing && *i->backing) {
        i->backing_full = block_name_beside(file, i->backing);
        add_text(o, "backing-filename-format", i->backing_format);
    }
    add_number(o, "virtual-size", (int64_t)block_node_size(node));
    add_text(o, "filename", file);
    if (block_cluster_size(node))
        add_number(o, "cluster-size", block_cluster_size(node));
    add_text(o, "format", block_node_driver(node));
    if (actual >= 0)
        add_number(o, "actual-size", actual);
    i->special = block_format_info(node);
    if (i->special)
        json_object_object_add(o, "format-specific", i->special);
    add_text(o, "full-backing-filename", i->backing_full);
    if (encrypted(i->special))
        json_object_object_add(o, "encrypted", json_object_new_boolean(true));
    if (i->backing_full)
        add_text(o, "backing-filename", i->backing);
    /* of a disk whose bytes are elsewhere nothing is known */
    if (actual >= 0 || block_cluster_size(node))
        json_object_object_add(o, "dirty-flag", json_object_new_boolean(block_is_unclean(node)));
    return true;
}

/* ---- for people ------------------------------------------------------------- */

/* "lazy-refcounts" is shown as "lazy refcounts". */
static void print_value(struct json_object *v, unsigned depth);

static void print_members(struct json_object *o, unsigned depth)
{
    if (json_object_is_type(o, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(o); i++) {
            printf("%*s[%zu]:", 4 * (int)depth, "", i);
            print_value(json_object_array_get_idx(o, i), depth);
        }
        return;
    }
    json_object_object_foreach(o, key, value) {
        g_autofree char *name = g_strdup(key);
        for (char *p = name; *p; p++)
            *p = *p == '-' ? ' ' : *p;
        printf("%*s%s:", 4 * (int)depth, "", name);
        print_value(value, depth);
    }
}

static void print_value(struct json_object *v, unsigned depth)
{
    if (json_object_is_type(v, json_type_object) || json_object_is_type(v, json_type_array)) {
        printf("\n");
        print_members(v, depth + 1);
    } else {
        printf(" %s\n", json_object_get_string(v));
    }
}

static void print_info(BlockNode *node, const char *file, const Info *i)
{
    g_autofree char *size = img_human_size(block_node_size(node));
    int64_t actual = block_allocated_size(node);
    g_autofree char *disk = actual < 0 ? g_strdup("unavailable") : img_human_size((uint64_t)actual);
    struct json_object *data;

    printf("image: %s\nfile format: %s\nvirtual size: %s (%" G_GUINT64_FORMAT
           " bytes)\ndisk size: %s\n",
           file, block_node_driver(node), size, block_node_size(node), disk);
    if (encrypted(i->special))
        printf("encrypted: yes\n");
    if (block_cluster_size(node))
        printf("cluster_size: %u\n", block_cluster_size(node));
    if (block_is_unclean(node))
        printf("cleanly shut down: no\n");
    if (i->backing_full) {
        printf("backing file: %s", i->backing);
        if (strcmp(i->backing, i->backing_full))
            printf(" (actual path: %s)", i->backing_full);
        printf("\n");
        if (i->backing_format)
            printf("backing file format: %s\n", i->backing_format);
    }
    if (i->snapshots->len)
        img_print_snapshots(i->snapshots);
    if (i->special && json_object_object_get_ex(i->special, "data", &data)) {
        printf("Format specific information:\n");
        print_members(data, 1);
    }
}

/* ---- the chain -------------------------------------------------------------- */

/* One image; *next and *format (both to be freed) say what it is based on. */
static int one(Img *img, const ImgCommon *c, const char *file, const char *format, bool image_opts,
               struct json_object *list, bool first, char **next, char **next_format)
{
    g_autoptr(GError) error = NULL;
    unsigned flags = BLOCK_OPEN_READ_ONLY | BLOCK_OPEN_NO_BACKING | BLOCK_OPEN_NO_DATA |
                     (c->share ? BLOCK_OPEN_FORCE_SHARE : 0);
    ImgFile f;
    Info i;

    if (!img_open_file(img, &f, file, format, NULL, flags, image_opts, 0))
        return IMG_FAILED;
    const char *shown = block_node_file(f.node);
    bool ok = collect(f.node, shown, &i, &error);
    if (ok && list)
        json_object_array_add(list, json_object_get(i.all));
    else if (ok) {
        if (!first)
            printf("\n");
        print_info(f.node, shown, &i);
    }
    *next = g_strdup(i.backing_full);
    *next_format = g_strdup(i.backing_format);
    info_clear(&i);
    img_close(&f);
    return ok ? IMG_OK : img_error(img, g_steal_pointer(&error));
}

static int chain(Img *img, const ImgCommon *c, const char *file, bool whole)
{
    struct json_object *list = c->json ? json_object_new_array() : NULL;
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autofree char *name = g_strdup(file), *format = g_strdup(c->format);
    int status = IMG_OK;

    for (unsigned n = 0; name && status == IMG_OK; n++) {
        char *next = NULL, *next_format = NULL;
        if (!g_hash_table_add(seen, g_strdup(name)) || n >= LONGEST_CHAIN) {
            status = img_fail(img, "Backing file '%s' creates an infinite loop.", name);
            break;
        }
        status = one(img, c, name, format, c->image_opts && !n, list, !n, &next, &next_format);
        g_free(name);
        g_free(format);
        name = whole ? next : NULL;
        format = next_format;
        if (!whole)
            g_free(next);
    }
    if (list && status == IMG_OK)
        img_print_json(img, whole ? list : json_object_array_get_idx(list, 0));
    json_object_put(list);
    return status;
}

int img_info(Img *img, int argc, char **argv)
{
    enum { CHAIN = IMG_OPT_OWN };
    static const struct option longs[] = {IMG_LONG_COMMON,
                                          {"backing-chain", no_argument, NULL, CHAIN},
                                          {"format", required_argument, NULL, 'f'},
                                          {NULL, 0, NULL, 0}};
    ImgCommon c = {.format = NULL};
    bool whole = false;
    int option, status;

    while ((option = getopt_long(argc, argv, ":hf:U", longs, NULL)) != -1) {
        int took = img_common(img, &c, option, &status);
        if (took < 0)
            return status;
        if (took)
            continue;
        if (option != CHAIN)
            return img_bad_option(img, option, argv);
        whole = true;
    }
    if (optind != argc - 1)
        return img_misused(img, "Expecting one image file name");
    return chain(img, &c, argv[optind], whole);
}
