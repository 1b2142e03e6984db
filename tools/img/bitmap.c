/* SPDX-License-Identifier: MIT */
/* img bitmap: actions on the dirty bitmaps of an image, in the order given. */
#include "img.h"

#include <string.h>

#include "base/error.h"
#include "block/bitmap.h"

typedef enum { ADD, REMOVE, CLEAR, ENABLE, DISABLE, MERGE } Action;
typedef struct {
    Action action;
    const char *source; /* of MERGE */
} Step;

static BlockBitmap *need(BlockNode *node, const char *name, GError **error)
{
    BlockBitmap *b = block_bitmap_find(node, name);
    if (!b)
        fail(error, "Dirty bitmap '%s' not found", name);
    return b;
}

static bool act(BlockNode *node, BlockNode *from, const Step *s, const char *name,
                uint32_t granularity, GError **error)
{
    if (s->action == ADD)
        return block_bitmap_add(node, name, granularity, true, error) != NULL;
    BlockBitmap *b = need(node, name, error), *source;
    if (!b)
        return false;
    switch (s->action) {
    case REMOVE: return block_bitmap_remove(node, b, error);
    case CLEAR: return block_bitmap_clear(b, error);
    case ENABLE: return block_bitmap_set_enabled(b, true, error);
    case DISABLE: return block_bitmap_set_enabled(b, false, error);
    default:
        source = need(from, s->source, error);
        return source && block_bitmap_merge(b, source, error);
    }
}

static const char *action_name(Action a)
{
    static const char *const names[] = {"add", "remove", "clear", "enable", "disable", "merge"};
    return names[a];
}

static int run(Img *img, ImgFile *f, BlockNode *from, const GArray *steps, const char *name,
               uint32_t granularity)
{
    g_autoptr(GError) error = NULL;

    for (unsigned i = 0; i < steps->len; i++) {
        const Step *s = &g_array_index(steps, Step, i);
        if (!act(f->node, from, s, name, granularity, &error))
            return img_fail(img, "Operation %s on bitmap %s failed: %s", action_name(s->action),
                            name, error->message);
    }
    return IMG_OK;
}

int img_bitmap(Img *img, int argc, char **argv)
{
    enum { OWN = IMG_OPT_OWN };
    static const struct option longs[] = {IMG_LONG_COMMON,
                                          {"add", no_argument, NULL, OWN + ADD},
                                          {"remove", no_argument, NULL, OWN + REMOVE},
                                          {"clear", no_argument, NULL, OWN + CLEAR},
                                          {"enable", no_argument, NULL, OWN + ENABLE},
                                          {"disable", no_argument, NULL, OWN + DISABLE},
                                          {"merge", required_argument, NULL, OWN + MERGE},
                                          {"source-file", required_argument, NULL, 'b'},
                                          {"source-format", required_argument, NULL, 'F'},
                                          {"granularity", required_argument, NULL, 'g'},
                                          {NULL, 0, NULL, 0}};
    ImgCommon c = {.format = NULL};
    g_autoptr(GArray) steps = g_array_new(FALSE, FALSE, sizeof(Step));
    const char *source = NULL, *source_format = NULL;
    uint64_t granularity = 0;
    bool add = false, merge = false;
    ImgFile f, from = {NULL, NULL};
    int option, status;

    while ((option = getopt_long(argc, argv, ":b:f:F:g:hU", longs, NULL)) != -1) {
        int took = img_common(img, &c, option, &status);
        if (took < 0)
            return status;
        if (took)
            continue;
        Step s = {(Action)(option - OWN), optarg};
        if (option >= OWN && option <= OWN + MERGE) {
            g_array_append_val(steps, s);
            add |= s.action == ADD;
            merge |= s.action == MERGE;
        } else if (option == 'b') {
            source = optarg;
        } else if (option == 'F') {
            source_format = optarg;
        } else if (option == 'g') {
            if (!img_size(img, optarg, "granularity", &granularity))
                return IMG_FAILED;
            if (granularity > UINT64_C(1) << 31)
                return img_misused(
                    img, "the granularity of a bitmap is a power of two from 512 to 2 GiB");
        } else {
            return img_bad_option(img, option, argv);
        }
    }
    if (optind != argc - 2)
        return img_misused(img, "Expecting filename and bitmap name");
    if (!steps->len)
        return img_misused(
            img, "Need at least one of --add, --remove, --clear, --enable, --disable, or --merge");
    if (granularity && !add)
        return img_misused(img, "granularity only supported with --add");
    if (source_format && !source)
        return img_misused(img, "-F only supported with -b");
    if (source && !merge)
        return img_misused(img, "Merge bitmap source file only supported with --merge");
    if (!img_open_file(img, &f, argv[optind], c.format, NULL, BLOCK_OPEN_NO_BACKING, c.image_opts,
                       BLOCK_PERM_RW))
        return IMG_FAILED;
    status = IMG_OK;
    if (source && !img_open_file(img, &from, source, source_format, NULL,
                                 BLOCK_OPEN_READ_ONLY | BLOCK_OPEN_NO_BACKING, false, 0))
        status = IMG_FAILED;
    if (status == IMG_OK)
        status = run(img, &f, source ? from.node : f.node, steps, argv[optind + 1],
                     (uint32_t)granularity);
    img_close(&from);
    int r = img_close(&f);
    return status == IMG_OK && r ? img_fail(img, "%s: %s", argv[optind], g_strerror(-r)) : status;
}
