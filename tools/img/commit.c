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

typedef struct {
    Img *img;
    BlockUser *top;
    unsigned levels; /* images over the base */
    uint64_t rate, seen, copied;
    struct timespec begun;
} Job;

/* What there was to copy up to done. */
static void count(Job *job, uint64_t done)
{
    BlockExtent e[32];

    while (job->seen < done) {
        int n = block_extents(job->top, job->seen, done - job->seen, 0, e, G_N_ELEMENTS(e));
        if (n <= 0)
            break;
        for (int i = 0; i < n; i++)
            if (e[i].depth < job->levels && e[i].flags & BLOCK_EXTENT_ALLOCATED &&
                !(e[i].flags & BLOCK_EXTENT_ZERO))
                job->copied += e[i].bytes;
        job->seen = e[n - 1].offset + e[n - 1].bytes;
    }
}

/* Between stretches: waits until as much may have been copied. */
static void keep_rate(Job *job, uint64_t done)
{
    struct timespec now;

    count(job, done);
    double due = (double)job->copied / (double)job->rate;
    while (!img_interrupted()) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        double gone = (double)(now.tv_sec - job->begun.tv_sec) +
                      (double)(now.tv_nsec - job->begun.tv_nsec) / 1e9;
        if (gone >= due)
            break;
        g_usleep((gulong)(MIN(due - gone, 0.1) * 1e6));
    }
}

static bool show(void *opaque, uint64_t done, uint64_t total)
{
    Job *job = opaque;

    if (job->rate)
        keep_rate(job, done);
    img_progress(job->img, done, total);
    return !img_interrupted();
}

static int run(Img *img, const ImgCommon *c, const char *file, const char *base_name, bool keep,
               uint64_t rate)
{
    g_autoptr(GError) error = NULL;
    ImgFile f;

    if (!img_open_file(img, &f, file, c->format, c->cache, BLOCK_OPEN_UNMAP, c->image_opts,
                       BLOCK_PERM_RW))
        return IMG_FAILED;
    BlockNode *base = find_base(f.node, base_name);
    if (!base) {
        img_close(&f);
        return base_name ? img_fail(img, "Did not find '%s' in the backing chain of '%s'",
                                    base_name, file)
                         : img_fail(img, "Image does not have a backing file");
    }
    Job job = {.img = img, .top = f.user, .rate = rate};
    for (BlockNode *n = f.node; n && n != base; n = block_backing_node(n))
        job.levels++;
    clock_gettime(CLOCK_MONOTONIC, &job.begun);
    img_progress_begin(img);
    bool ok = block_commit(f.node, base, &(BlockProgress){show, &job}, &error) &&
              (keep || block_make_empty(f.node, &error));
    int r = img_close(&f);
    if (!ok && img_interrupted())
        return img_fail(img, "interrupted; %s shows what it did, and can be committed again", file);
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
    uint64_t rate = 0;
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
        else if (option != 'r')
            return img_bad_option(img, option, argv);
        else if (!img_size(img, optarg, "rate limit", &rate))
            return IMG_FAILED;
    }
    if (optind != argc - 1)
        return img_misused(img, "Expecting one image file name");
    return run(img, &c, argv[optind], base, drop || base, rate);
}
