/* SPDX-License-Identifier: MIT */
/*
 * img rebase: another backing file. With -u only the name changes; else what the old one shows and
 * the new one does not is written into the image first, so that nothing a reader sees changes.
 */
#include "img.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum { STEP = 1 << 20 };

typedef struct {
    const char *name, *format, *cache;
    bool unsafe;
} Wanted;

static int read_short(BlockUser *user, uint64_t at, uint8_t *buf, uint64_t bytes)
{
    uint64_t size = user ? block_size(user) : 0, n = at >= size ? 0 : MIN(bytes, size - at);

    memset(buf + n, 0, bytes - n);
    return n ? block_read(user, at, buf, n) : 0;
}

/* A stretch that the image has not itself: compared cluster by cluster. */
static int settle(BlockUser *top, BlockUser *old, BlockUser *now, uint64_t at, uint64_t bytes,
                  uint64_t cluster, uint8_t *a, uint8_t *b)
{
    int r = 0;

    while (!r && bytes) {
        uint64_t n = MIN(bytes, STEP);
        r = read_short(old, at, a, n);
        if (!r)
            r = read_short(now, at, b, n);
        for (uint64_t k = 0, part; !r && k < n; k += part) {
            part = MIN(cluster - ((at + k) & (cluster - 1)), n - k);
            if (memcmp(a + k, b + k, part))
                r = block_write(top, at + k, a + k, part, 0);
        }
        at += n;
        bytes -= n;
    }
    return r;
}

static int settle_all(Img *img, BlockUser *top, BlockUser *old, BlockUser *now)
{
    uint64_t size = block_size(top), cluster = MAX(block_cluster_size(block_user_node(top)), 4096);
    uint8_t *a = malloc(STEP), *b = malloc(STEP);
    BlockExtent e[64];
    int r = a && b ? 0 : -ENOMEM;

    for (uint64_t at = 0; !r && at < size;) {
        int n = block_extents(top, at, size - at, 0, e, G_N_ELEMENTS(e));
        r = n < 0 ? n : 0;
        for (int i = 0; !r && i < n; i++) {
            at = e[i].offset + e[i].bytes;
            bool own = !e[i].depth && e[i].flags & BLOCK_EXTENT_ALLOCATED;
            if (!own)
                r = settle(top, old, now, e[i].offset, e[i].bytes, cluster, a, b);
            img_progress(img, at, size);
            if (img_interrupted())
                r = -ECANCELED;
        }
    }
    free(a);
    free(b);
    return r;
}

static BlockNode *open_new(Img *img, const char *file, const Wanted *w)
{
    g_autofree char *beside = block_name_beside(file, w->name);
    return img_open(img, beside, w->format, w->cache, BLOCK_OPEN_READ_ONLY, false);
}

static int run(Img *img, const ImgCommon *c, const char *file, const Wanted *w)
{
    g_autoptr(GError) error = NULL;
    unsigned flags = BLOCK_OPEN_UNMAP | (w->unsafe ? BLOCK_OPEN_NO_BACKING : 0);
    bool none = !*w->name;
    ImgFile f, now = {NULL, NULL};
    int r = 0, status = IMG_OK;

    if (!img_open_file(img, &f, file, c->format, c->cache, flags, c->image_opts, BLOCK_PERM_RW))
        return IMG_FAILED;
    const char *format = w->format;
    if (!none && !w->unsafe) {
        now.node = open_new(img, file, w);
        now.user = now.node ? img_attach(img, now.node, 0) : NULL;
        if (!now.user)
            status = IMG_FAILED;
        else if (!format)
            format = block_node_driver(now.node);
    }
    if (status == IMG_OK && !w->unsafe) {
        BlockNode *below = block_backing_node(f.node);
        BlockUser *old = below ? img_attach(img, below, 0) : NULL;
        if (below && !old)
            status = IMG_FAILED;
        img_progress_begin(img);
        if (status == IMG_OK)
            r = settle_all(img, f.user, old, now.user);
        block_detach(old);
        if (!r && status == IMG_OK)
            r = block_flush(f.user);
        if (r)
            status =
                r == -ECANCELED
                    ? img_fail(img, "interrupted; %s shows what it did, over its old backing file",
                               file)
                    : img_fail(img, "%s: %s", file, g_strerror(-r));
    }
    if (status == IMG_OK &&
        !block_backing_record(f.node, none ? NULL : w->name, none ? NULL : format, &error))
        status =
            img_fail(img, "Could not change the backing file to '%s': %s", w->name, error->message);
    img_close(&now);
    r = img_close(&f);
    if (status == IMG_OK && r)
        status = img_fail(img, "%s: %s", file, g_strerror(-r));
    if (status == IMG_OK)
        img_progress_end(img);
    return status;
}

int img_rebase(Img *img, int argc, char **argv)
{
    static const struct option longs[] = {IMG_LONG_COMMON, IMG_LONG_PROGRESS, {NULL, 0, NULL, 0}};
    ImgCommon c = {.format = NULL};
    Wanted w = {.name = NULL};
    int option, status;

    while ((option = getopt_long(argc, argv, ":hf:F:b:upt:T:qU", longs, NULL)) != -1) {
        int took = img_common(img, &c, option, &status);
        if (took < 0)
            return status;
        if (took)
            continue;
        switch (option) {
        case 'F': w.format = optarg; break;
        case 'b': w.name = optarg; break;
        case 'u': w.unsafe = true; break;
        case 'T': w.cache = optarg; break;
        default: return img_bad_option(img, option, argv);
        }
    }
    if (optind != argc - 1)
        return img_misused(img, "Expecting one image file name");
    if (!w.name && !w.unsafe)
        return img_misused(img, "Must specify backing file (-b) or use unsafe mode (-u)");
    w.name = w.name ? w.name : "";
    if (img->compatible && *w.name && !w.format)
        return img_fail(
            img, "Could not change the backing file to '%s': backing format must be specified",
            w.name);
    if (w.format && !block_can_create(img->graph, w.format))
        return img_fail(img, "Invalid format name: '%s'", w.format);
    return run(img, &c, argv[optind], &w);
}
