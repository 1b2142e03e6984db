/* SPDX-License-Identifier: MIT */
/* img measure: what an image would need on disk. */
#include "img.h"

#include <json-c/json.h>
#include <string.h>

#include "base/error.h"
#include "block/bitmap.h"

/* Room for the source's bitmaps, as qcow2 keeps them. */
static uint64_t bitmap_bytes(BlockNode *node, uint64_t cluster, bool *any)
{
    uint64_t bytes = 0, directory = 0;
    const BlockBitmap *b;

    for (unsigned i = 0; (b = block_bitmap_nth(node, i)); i++) {
        if (!block_bitmap_persistent(b) || block_bitmap_inconsistent(b))
            continue;
        uint64_t grain = block_bitmap_granularity(b),
                 bits = (block_node_size(node) + grain - 1) / grain;
        uint64_t data = ((bits + 7) / 8 + cluster - 1) / cluster;
        bytes += (data + (data * 8 + cluster - 1) / cluster) * cluster;
        directory += (24 + strlen(block_bitmap_name(b)) + 7) & ~UINT64_C(7);
        *any = true;
    }
    return bytes + (directory + cluster - 1) / cluster * cluster;
}

static void print(Img *img, const BlockMeasure *m, bool json, bool bitmaps)
{
    if (!json) {
        printf("required size: %" G_GUINT64_FORMAT "\nfully allocated size: %" G_GUINT64_FORMAT
               "\n",
               m->required, m->fully_allocated);
        if (bitmaps)
            printf("bitmaps size: %" G_GUINT64_FORMAT "\n", m->bitmaps);
        return;
    }
    struct json_object *o = json_object_new_object();
    if (bitmaps)
        json_object_object_add(o, "bitmaps", json_object_new_int64((int64_t)m->bitmaps));
    json_object_object_add(o, "required", json_object_new_int64((int64_t)m->required));
    json_object_object_add(o, "fully-allocated",
                           json_object_new_int64((int64_t)m->fully_allocated));
    img_print_json(img, o);
    json_object_put(o);
}

static int run(Img *img, const ImgCommon *c, const char *file, const char *out,
               struct json_object *options, const char *snapshot)
{
    g_autoptr(GError) error = NULL;
    ImgFile f = {NULL, NULL};
    BlockMeasure m;
    bool bitmaps = false;

    if (!block_can_create(img->graph, out))
        return img_fail(img, "Unknown file format '%s'", out);
    if (!img_options_known(img, NULL, out, options))
        return img_fail(img, "Invalid options for file format '%s'", out);
    if (file && !img_open_file(img, &f, file, c->format, NULL,
                               BLOCK_OPEN_READ_ONLY | (c->share ? BLOCK_OPEN_FORCE_SHARE : 0),
                               c->image_opts, 0))
        return IMG_FAILED;
    if (snapshot && !img_snapshot_load(img, f.node, snapshot)) {
        img_close(&f);
        return IMG_FAILED;
    }
    bool ok = block_measure(img->graph, out, options, f.user, &m, &error);
    if (ok && f.node && m.bitmaps != UINT64_MAX) {
        struct json_object *v;
        bool given = json_object_object_get_ex(options, "cluster_size", &v);
        uint64_t cluster = 65536;
        if (given && !img_size(img, json_object_get_string(v), "cluster size", &cluster))
            ok = false;
        /* sources that could have bitmaps are told that they have none */
        bitmaps = block_keeps_bitmaps(f.node);
        bool any = false;
        m.bitmaps = bitmap_bytes(f.node, cluster, &any);
        m.bitmaps = any ? m.bitmaps : 0;
    }
    if (ok)
        print(img, &m, c->json, bitmaps);
    img_close(&f);
    return ok ? IMG_OK : error ? img_error(img, g_steal_pointer(&error)) : IMG_FAILED;
}

int img_measure(Img *img, int argc, char **argv)
{
    enum { SIZE = IMG_OPT_OWN };
    static const struct option longs[] = {
        IMG_LONG_COMMON, {"size", required_argument, NULL, SIZE}, {NULL, 0, NULL, 0}};
    ImgCommon c = {.format = NULL};
    g_autoptr(GPtrArray) lists = g_ptr_array_new();
    const char *out = "raw", *snapshot = NULL;
    g_autofree char *size_text = NULL;
    int option, status;

    while ((option = getopt_long(argc, argv, ":hf:l:o:O:U", longs, NULL)) != -1) {
        int took = img_common(img, &c, option, &status);
        if (took < 0)
            return status;
        if (took)
            continue;
        uint64_t size;
        switch (option) {
        case 'l': snapshot = optarg; break;
        case 'o': g_ptr_array_add(lists, optarg); break;
        case 'O': out = optarg; break;
        case SIZE:
            if (!img_size(img, optarg, "image size", &size))
                return IMG_FAILED;
            size_text = g_strdup_printf("%" G_GUINT64_FORMAT, size);
            break;
        default: return img_bad_option(img, option, argv);
        }
    }
    if (argc - optind > 1)
        return img_misused(img, "At most one filename argument is allowed.");
    if (argc == optind && (c.image_opts || c.format || snapshot))
        return img_misused(img, "--image-opts, -f, and -l require a filename argument.");
    if (argc == optind && !size_text)
        return img_misused(img, "Either --size N or one filename must be specified.");
    if (argc > optind && size_text)
        return img_misused(img, "--size N cannot be used together with a filename.");
    g_ptr_array_add(lists, NULL);
    struct json_object *options = img_options(img, (const char *const *)lists->pdata);
    if (!options)
        return IMG_FAILED;
    if (size_text)
        json_object_object_add(options, "size", json_object_new_string(size_text));
    status = run(img, &c, argv[optind], out, options, snapshot);
    json_object_put(options);
    return status;
}
