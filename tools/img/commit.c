/* SPDX-License-Identifier: MIT */
/* img commit: what an image has goes into the one below it, or further down with -b. */
#include "img.h"

#include <string.h>

#include "base/error.h"
#include "block/jobs/jobs.h"

/* The node below node whose file is name (as given or beside it), or NULL. */
static BlockNode *find_base(BlockNode *node, const char *name)
{
    g_autofree char *beside = name ? block_name_beside(block_node_file(node), name) : NULL;

    for (BlockNode *n = block_backing_node(node); n; n = block_backing_node(n))
        if (!name || !strcmp(block_node_file(n), name) || !strcmp(block_node_file(n), beside))
            return n;
    return NULL;
}

static bool show(void *opaque, uint64_t done, uint64_t total)
{
    img_progress(opaque, done, total);
    return !img_interrupted();
}

static int run(Img *img, const ImgCommon *c, const char *file, const char *base_name, bool keep)
{
    g_autoptr(GError) error = NULL;
    ImgFile f;

    if (!img_open_file(img, &f, file, c->format, c->cache, BLOCK_OPEN_UNMAP, c->image_opts, BLOCK_PERM_RW))
        return IMG_FAILED;
    BlockNode *base = find_base(f.node, base_name);
    if (!base) {
        img_close(&f);
        return base_name ? img_fail(img, "Did not find '%s' in the backing chain of '%s'", base_name, file)
                         : img_fail(img, "Image does not have a backing file");
    }
    img_progress_begin(img);
    bool ok = block_commit(f.node, base, &(BlockProgress){show, img}, &error) &&
              (keep || block_make_empty(f.node, &error));
    int r = img_close(&f);
    if (!ok)
        return img_error(img, g_steal_pointer(&error));
    if (r)
        return img_fail(img, "%s: %s", file, g_strerror(-r));
    img_progress_end(img);
    img_say(img, "Image committed.\n");
    return IMG_OK;
}

int img_commit(Img *img, int argc, char **argv)
{
    static const struct option longs[] = {IMG_LONG_COMMON, IMG_LONG_PROGRESS, {NULL, 0, NULL, 0}};
    ImgCommon c = {.format = NULL};
    const char *base = NULL;
    bool drop = false;
    int option, status;

    while ((option = getopt_long(argc, argv, ":f:ht:b:dpqr:", longs, NULL)) != -1) {
        int took = img_common(img, &c, option, &status);
        if (took < 0)
            return status;
        if (took)
            continue;
        if (option == 'b')
            base = optarg;
        else if (option == 'd')
            drop = true;
        else if (option == 'r')
            return img_fail(img, "-r (a limit of the rate) is not there yet");
        else
            return img_bad_option(img, argv);
    }
    if (optind != argc - 1)
        return img_misused(img, "Expecting one image file name");
    return run(img, &c, argv[optind], base, drop || base);
}
