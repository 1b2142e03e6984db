/* SPDX-License-Identifier: MIT */
/* img map: where in which file of a chain the data of a disk lies. */
#include "img.h"

#include <json-c/json.h>
#include <string.h>

static void print_json(const BlockExtent *e, bool first)
{
    bool zero = e->flags & BLOCK_EXTENT_ZERO;

    printf("%s{ \"start\": %" G_GUINT64_FORMAT ", \"length\": %" G_GUINT64_FORMAT
           ", \"depth\": %u, \"present\": %s, "
           "\"zero\": %s, \"data\": %s",
           first ? "[" : ",\n", e->offset, e->bytes, e->depth,
           e->flags & BLOCK_EXTENT_ALLOCATED ? "true" : "false", zero ? "true" : "false",
           e->flags & BLOCK_EXTENT_DATA ? "true" : "false");
    if (e->flags & BLOCK_EXTENT_HOST)
        printf(", \"offset\": %" G_GUINT64_FORMAT, e->host);
    printf("}");
}

/* False: it is data whose place in a file cannot be told. */
static bool print_human(Img *img, const BlockExtent *e)
{
    if (!(e->flags & BLOCK_EXTENT_DATA) || e->flags & BLOCK_EXTENT_ZERO)
        return true;
    if (!(e->flags & BLOCK_EXTENT_HOST)) {
        img_fail(img, "File contains external, encrypted or compressed clusters.");
        return false;
    }
    printf("%#-16" G_GINT64_MODIFIER "x%#-16" G_GINT64_MODIFIER "x%#-16" G_GINT64_MODIFIER "x%s\n",
           e->offset, e->bytes, e->host, e->file);
    return true;
}

/* Whether b goes on where a ends, told in one line. */
static bool joins(const BlockExtent *a, const BlockExtent *b)
{
    return a->flags == b->flags && a->depth == b->depth && a->file == b->file &&
           (!(a->flags & BLOCK_EXTENT_HOST) || a->host + a->bytes == b->host);
}

static int show(Img *img, BlockUser *user, uint64_t at, uint64_t end, bool json)
{
    BlockExtent some[128], last = {.bytes = 0};
    bool first = true, ok = true;

    if (!json)
        printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
    while (at < end && ok) {
        int n = block_extents(user, at, end - at, 0, some, G_N_ELEMENTS(some));
        if (n < 0)
            return img_fail(img, "Failed to read image metadata: %s", g_strerror(-n));
        for (int i = 0; i < n && ok; i++) {
            at = some[i].offset + some[i].bytes;
            if (last.bytes && joins(&last, &some[i])) {
                last.bytes += some[i].bytes;
                continue;
            }
            if (last.bytes) {
                ok = json ? (print_json(&last, first), true) : print_human(img, &last);
                first = false;
            }
            last = some[i];
        }
    }
    if (ok && last.bytes)
        ok = json ? (print_json(&last, first), true) : print_human(img, &last);
    if (ok && json)
        printf("%s]\n", last.bytes ? "" : "[");
    return ok ? IMG_OK : IMG_FAILED;
}

int img_map(Img *img, int argc, char **argv)
{
    static const struct option longs[] = {IMG_LONG_COMMON,
                                          {"start-offset", required_argument, NULL, 's'},
                                          {"format", required_argument, NULL, 'f'},
                                          {"max-length", required_argument, NULL, 'l'},
                                          {NULL, 0, NULL, 0}};
    ImgCommon c = {.format = NULL};
    uint64_t start = 0, length = UINT64_MAX;
    ImgFile f;
    int option, status;

    while ((option = getopt_long(argc, argv, ":f:s:l:hU", longs, NULL)) != -1) {
        int took = img_common(img, &c, option, &status);
        if (took < 0)
            return status;
        if (took)
            continue;
        if (option != 's' && option != 'l')
            return img_bad_option(img, option, argv);
        if (!img_size(img, optarg, option == 's' ? "start offset" : "max length",
                      option == 's' ? &start : &length))
            return IMG_FAILED;
    }
    if (optind != argc - 1)
        return img_misused(img, "Expecting one image file name");
    if (!img_open_file(img, &f, argv[optind], c.format, NULL,
                       BLOCK_OPEN_READ_ONLY | (c.share ? BLOCK_OPEN_FORCE_SHARE : 0), c.image_opts,
                       0))
        return IMG_FAILED;
    uint64_t size = block_size(f.user);
    if (start > size && c.json) {
        printf("[{ \"start\": %" G_GUINT64_FORMAT
               ", \"length\": 0, \"depth\": 0, \"present\": false, \"zero\": false, "
               "\"data\": false}]\n",
               start);
        status = IMG_OK;
    } else {
        status = show(img, f.user, start, start > size ? start : start + MIN(length, size - start),
                      c.json);
    }
    img_close(&f);
    return status;
}
