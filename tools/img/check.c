/* SPDX-License-Identifier: MIT */
/*
 * img check. Exit status: 0 sound, or all was mended; 1 it could not be checked; 2 corrupt; 3
 * leaks; 63 the format has nothing to check.
 */
#include "img.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>

enum { CORRUPT = 2, LEAKS = 3, CANNOT = 63 };

static void tell(void *opaque, const char *line)
{
    const Img *img = opaque;
    if (!img->quiet)
        fprintf(stderr, "%s\n", line);
}

static void add(struct json_object *o, const char *key, uint64_t value)
{
    json_object_object_add(o, key, json_object_new_int64((int64_t)value));
}

static void print_json(Img *img, const char *file, const char *format, const BlockCheck *r)
{
    struct json_object *o = json_object_new_object();

    if (r->end_offset)
        add(o, "image-end-offset", r->end_offset);
    if (r->total_clusters)
        add(o, "total-clusters", r->total_clusters);
    add(o, "check-errors", r->errors);
    if (r->corruptions)
        add(o, "corruptions", r->corruptions);
    if (r->leaks)
        add(o, "leaks", r->leaks);
    if (r->corruptions_fixed)
        add(o, "corruptions-fixed", r->corruptions_fixed);
    if (r->leaks_fixed)
        add(o, "leaks-fixed", r->leaks_fixed);
    if (r->allocated_clusters)
        add(o, "allocated-clusters", r->allocated_clusters);
    if (r->fragmented_clusters)
        add(o, "fragmented-clusters", r->fragmented_clusters);
    if (r->compressed_clusters)
        add(o, "compressed-clusters", r->compressed_clusters);
    json_object_object_add(o, "filename", json_object_new_string(file));
    json_object_object_add(o, "format", json_object_new_string(format));
    img_print_json(img, o);
    json_object_put(o);
}

static void print_human(const BlockCheck *r)
{
    if (!(r->corruptions || r->leaks || r->errors)) {
        printf("No errors were found on the image.\n");
    } else {
        if (r->corruptions)
            printf("\n%" PRIu64 " errors were found on the image.\nData may be corrupted, or "
                                "further writes to the image "
                   "may corrupt it.\n",
                   r->corruptions);
        if (r->leaks)
            printf("\n%" PRIu64 " leaked clusters were found on the image.\nThis means waste of "
                                "disk space, but no harm to "
                   "data.\n",
                   r->leaks);
        if (r->errors)
            printf("\n%" PRIu64 " internal errors have occurred during the check.\n", r->errors);
    }
    if (r->total_clusters && r->allocated_clusters)
        printf("%" PRIu64 "/%" PRIu64
               " = %0.2f%% allocated, %0.2f%% fragmented, %0.2f%% compressed clusters\n",
               r->allocated_clusters, r->total_clusters,
               (double)r->allocated_clusters * 100 / (double)r->total_clusters,
               (double)r->fragmented_clusters * 100 / (double)r->allocated_clusters,
               (double)r->compressed_clusters * 100 / (double)r->allocated_clusters);
    if (r->end_offset)
        printf("Image end offset: %" PRIu64 "\n", r->end_offset);
}

/* What is left to say after mending: the image is looked at again. */
static bool again(Img *img, bool json, ImgFile *f, BlockCheck *r, GError **error)
{
    BlockCheck second;

    if (!json && !img->quiet)
        printf("The following inconsistencies were found and repaired:\n\n    %" PRIu64
               " leaked clusters\n    %" PRIu64
               " corruptions\n\nDouble checking the fixed image now...\n",
               r->leaks_fixed, r->corruptions_fixed);
    if (!block_check(f->node, 0, &second, tell, img, error))
        return false;
    second.leaks_fixed = r->leaks_fixed;
    second.corruptions_fixed = r->corruptions_fixed;
    *r = second;
    return true;
}

static int run(Img *img, const ImgCommon *c, const char *file, const char *cache, unsigned fix)
{
    g_autoptr(GError) error = NULL;
    unsigned flags = BLOCK_OPEN_CHECK | BLOCK_OPEN_NO_BACKING |
                     (c->share ? BLOCK_OPEN_FORCE_SHARE : 0) | (fix ? 0 : BLOCK_OPEN_READ_ONLY);
    BlockCheck r;
    ImgFile f;

    if (!img_open_file(img, &f, file, c->format, cache, flags, c->image_opts,
                       fix ? BLOCK_PERM_RW : 0))
        return IMG_FAILED;
    const char *format = block_node_driver(f.node);
    if (!block_can_check(f.node)) {
        img_fail(img, "This image format does not support checks");
        img_close(&f);
        return CANNOT;
    }
    bool ok = block_check(f.node, fix, &r, tell, img, &error);
    if (ok && (r.corruptions_fixed || r.leaks_fixed))
        ok = again(img, c->json, &f, &r, &error);
    if (ok && c->json)
        print_json(img, file, format, &r);
    else if (ok && !img->quiet)
        print_human(&r);
    int closed = img_close(&f);
    if (!ok)
        return img_error(img, g_steal_pointer(&error));
    if (closed)
        return img_fail(img, "%s: %s", file, g_strerror(-closed));
    return r.corruptions ? CORRUPT : r.leaks ? LEAKS : r.errors ? IMG_FAILED : IMG_OK;
}

int img_check(Img *img, int argc, char **argv)
{
    static const struct option longs[] = {IMG_LONG_COMMON,
                                          {"format", required_argument, NULL, 'f'},
                                          {"repair", required_argument, NULL, 'r'},
                                          {NULL, 0, NULL, 0}};
    ImgCommon c = {.format = NULL};
    const char *cache = NULL;
    unsigned fix = 0;
    int option, status;

    while ((option = getopt_long(argc, argv, ":hf:r:T:qU", longs, NULL)) != -1) {
        int took = img_common(img, &c, option, &status);
        if (took < 0)
            return status;
        if (took)
            continue;
        if (option == 'T')
            cache = optarg;
        else if (option == 'r' && !strcmp(optarg, "leaks"))
            fix = BLOCK_CHECK_FIX_LEAKS;
        else if (option == 'r' && !strcmp(optarg, "all"))
            fix = BLOCK_CHECK_FIX_LEAKS | BLOCK_CHECK_FIX_ERRORS;
        else if (option == 'r')
            return img_misused(img, "Unknown option value for -r (expecting 'leaks' or 'all'): %s",
                               optarg);
        else
            return img_bad_option(img, option, argv);
    }
    if (optind != argc - 1)
        return img_misused(img, "Expecting one image file name");
    return run(img, &c, argv[optind], cache, fix);
}
