/* SPDX-License-Identifier: MIT */
/*
 * img convert: one or more disks, one behind the other, into a new image or one that is there. What
 * was begun under a new name is removed when it cannot be finished.
 */
#include "img.h"

#include <errno.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "block/bitmap.h"
#include "block/jobs/jobs.h"

enum { MOST_SOURCES = 256, MOST_WORKERS = 16, MOST_SPARSE = 16 << 20 };

typedef struct Convert {
    ImgCommon c;
    GPtrArray *lists; /* -o */
    const char *out_format, *source_cache, *backing, *backing_format, *snapshot, *target;
    const char **files;
    unsigned n;
    bool compress, no_create, target_is_zero, target_opts, bitmaps, skip_broken, salvage, unordered,
        offload, has_sparse, has_options;
    uint64_t sparse, rate;
    unsigned workers;
    ImgPipe from, to; /* "-" */
} Convert;

/* ---- what is asked for ------------------------------------------------------ */

enum { TARGET_IMAGE_OPTS = IMG_OPT_OWN, SALVAGE, TARGET_IS_ZERO, BITMAPS, SKIP_BROKEN };

static bool workers(Img *img, const char *text, unsigned *value, int *status)
{
    char *end;
    unsigned long n = strtoul(text, &end, 0);
    if (*text && !*end && n >= 1 && n <= MOST_WORKERS) {
        *value = (unsigned)n;
        return true;
    }
    *status = img_misused(
        img, "Invalid number of coroutines. Allowed number of coroutines is between 1 and %d",
        MOST_WORKERS);
    return false;
}

static bool take(Img *img, Convert *o, int option, char **argv, int *status)
{
    uint64_t size;

    switch (option) {
    case 'O': o->out_format = optarg; return true;
    case 'B': o->backing = optarg; return true;
    case 'F': o->backing_format = optarg; return true;
    case 'C': o->offload = true; return true;
    case 'c': o->compress = true; return true;
    case 'o': g_ptr_array_add(o->lists, optarg); return true;
    case 'l': o->snapshot = optarg; return true;
    case 'T': o->source_cache = optarg; return true;
    case 'n': o->no_create = true; return true;
    case 'W': o->unordered = true; return true;
    case 'm': return workers(img, optarg, &o->workers, status);
    case 'S':
        *status = IMG_FAILED;
        if (!img_size(img, optarg, "buffer size for sparse output", &size))
            return false;
        if (size & (BLOCK_SECTOR - 1) || size > MOST_SPARSE) {
            *status = img_misused(
                img,
                "Invalid buffer size for sparse output specified. Valid sizes are multiples of "
                "%d up to %d. Select 0 to disable sparse detection (fully allocates output).",
                (int)BLOCK_SECTOR, (int)MOST_SPARSE);
            return false;
        }
        /* zeroes are looked for in units of a power of two */
        for (o->sparse = size; o->sparse & (o->sparse - 1);)
            o->sparse &= o->sparse - 1;
        o->has_sparse = true;
        return true;
    case 'r': *status = IMG_FAILED; return img_size(img, optarg, "rate limit", &o->rate);
    case TARGET_IMAGE_OPTS: o->target_opts = true; return true;
    case SALVAGE: o->salvage = true; return true;
    case TARGET_IS_ZERO: o->target_is_zero = true; return true;
    case BITMAPS: o->bitmaps = true; return true;
    case SKIP_BROKEN: o->skip_broken = true; return true;
    default: *status = img_bad_option(img, option, argv); return false;
    }
}

/* What does not go together: 0, or the status after a message. */
static int refuse(Img *img, const Convert *o)
{
    const char *out = o->out_format ? o->out_format : "raw";
    unsigned flags;
    bool writethrough;

    if (o->target_opts && !o->no_create)
        return img_misused(img, "--target-image-opts requires use of -n flag");
    if (o->target_opts && o->out_format)
        return img_misused(img, "--image-opts and --format are mutually exclusive");
    if (o->target_is_zero && !o->no_create)
        return img_misused(img, "--target-is-zero requires use of -n flag");
    if (o->target_is_zero && o->backing)
        return img_misused(
            img, "Cannot use --target-is-zero when the destination image has a backing file");
    if (o->offload && (o->compress || o->has_sparse))
        return img_misused(img, "Cannot enable copy offloading when %s is used",
                           o->compress ? "-c" : "-S");
    if (o->offload && o->salvage)
        return img_misused(img, "Cannot use copy offloading in salvaging mode");
    if (o->skip_broken && !o->bitmaps)
        return img_misused(img, "Use of --skip-broken-bitmaps requires --bitmaps");
    if (o->has_options && o->no_create)
        return img_misused(img, "-o has no effect when skipping image creation");
    if (o->backing && o->n > 1)
        return img_misused(
            img, "Having a backing file for the target makes no sense when concatenating multiple "
                 "input images");
    if (img->compatible && o->backing && !o->backing_format && !o->no_create)
        return img_fail(img, "Use of backing file requires explicit backing format");
    if (o->backing_format && !o->backing)
        return img_fail(
            img,
            "%s: error while converting %s: Backing format cannot be used without backing file",
            o->target, out);
    if (o->c.cache && !block_cache_parse(o->c.cache, &flags, &writethrough, NULL))
        return img_fail(img, "Invalid cache option: %s", o->c.cache);
    /* what cannot be packed has no way of it to choose */
    if (o->compress && !o->target_opts && block_can_create(img->graph, out) &&
        !block_create_knows(img->graph, out, "compression_type"))
        return img_fail(img, "Compression not supported for this file format");
    return 0;
}

/* "-" is standard input or output. 0, or the status after a message. */
static int pipes(Img *img, Convert *o)
{
    for (unsigned i = 0; i < o->n && !o->c.image_opts; i++) {
        if (strcmp(o->files[i], "-"))
            continue;
        if (o->n > 1 || o->snapshot || o->bitmaps)
            return img_misused(
                img, "standard input cannot be joined with other images, and has no snapshots or "
                     "bitmaps");
        if (!img_pipe_in(img, &o->from, &o->files[i], o->c.format))
            return IMG_FAILED;
        o->n -= o->from.is;
    }
    if (o->target_opts || strcmp(o->target, "-"))
        return 0;
    if (strcmp(o->out_format, "raw") || o->compress || o->backing || o->no_create || o->bitmaps ||
        o->has_options)
        return img_misused(
            img, "standard output takes a plain disk: -O raw, without -c, -n, -B, -o or --bitmaps");
    o->target = "standard output";
    return img_pipe_out(img, &o->to) ? 0 : IMG_FAILED;
}

/* ---- sources ----------------------------------------------------------------- */

static bool open_sources(Img *img, const Convert *o, ImgFile *sources)
{
    unsigned flags = BLOCK_OPEN_READ_ONLY | (o->c.share ? BLOCK_OPEN_FORCE_SHARE : 0);

    for (unsigned i = 0; i < o->n; i++)
        if (!img_open_file(img, &sources[i], o->files[i], o->c.format, o->source_cache, flags,
                           o->c.image_opts, 0))
            return false;
    if (!o->snapshot)
        return true;
    if (o->n > 1) {
        img_fail(img, "No support for concatenating multiple snapshot");
        return false;
    }
    return img_snapshot_load(img, sources[0].node, o->snapshot);
}

/* ---- the target -------------------------------------------------------------- */

static void set_text(struct json_object *o, const char *key, const char *value)
{
    json_object_object_add(o, key, json_object_new_string(value));
}

/* What the backing file is goes into the image, as create does it. */
static bool probe_backing(Img *img, const Convert *o, struct json_object *options)
{
    g_autofree char *beside = block_name_beside(o->target, o->backing);
    BlockNode *node =
        img_open(img, beside, NULL, NULL,
                 BLOCK_OPEN_READ_ONLY | BLOCK_OPEN_FORCE_SHARE | BLOCK_OPEN_NO_DATA, false);

    if (node)
        set_text(options, "backing_fmt", block_node_driver(node));
    block_node_unref(node);
    return node != NULL;
}

static bool make_target(Img *img, const Convert *o, struct json_object *options, uint64_t size,
                        bool *made)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *bytes = g_strdup_printf("%" G_GUINT64_FORMAT, size);
    struct stat st;

    if (!block_can_create(img->graph, o->out_format)) {
        img_fail(img, "Unknown file format '%s'", o->out_format);
        return false;
    }
    if (o->backing && !block_create_knows(img->graph, o->out_format, "backing_file")) {
        img_fail(img, "Backing file not supported for file format '%s'", o->out_format);
        return false;
    }
    if (!img_options_known(img, NULL, o->out_format, options))
        return false;
    if (o->compress && img_option_text(options, "data_file")) {
        img_fail(img, "Compression not supported with an external data file");
        return false;
    }
    if (o->backing && !o->backing_format && !probe_backing(img, o, options))
        return false;
    if (o->compress &&
        (img_option_text(options, "encrypt.format") || img_option_text(options, "encryption"))) {
        img_fail(img, "Compression and encryption not supported at the same time");
        return false;
    }
    const char *prealloc = img_option_text(options, "preallocation");
    if (o->from.is && prealloc && strcmp(prealloc, "off")) {
        img_fail(img, "preallocation=%s: how long standard input is is not known beforehand",
                 prealloc);
        return false;
    }
    set_text(options, "size", bytes);
    set_text(options, "filename", o->target);
    if (o->backing)
        set_text(options, "backing_file", o->backing);
    if (o->backing_format)
        set_text(options, "backing_fmt", o->backing_format);
    /* a device or pipe is not ours to remove */
    *made = stat(o->target, &st) || S_ISREG(st.st_mode);
    img_stop_removes(*made ? o->target : NULL, false);
    if (block_create(img->graph, o->out_format, options, &error))
        return true;
    *made = false;
    img_stop_removes(NULL, false);
    img_fail(img, "%s: error while converting %s: %s", o->target, o->out_format, error->message);
    return false;
}

static bool open_target(Img *img, const Convert *o, struct json_object *options, uint64_t size,
                        ImgFile *target)
{
    unsigned flags = BLOCK_OPEN_UNMAP | (o->backing ? 0 : BLOCK_OPEN_NO_BACKING);
    const char *cache = o->c.cache ? o->c.cache : "unsafe";
    g_autoptr(GError) error = NULL;

    target->node = o->target_opts
                       ? img_open(img, o->target, NULL, cache, flags, true)
                       : img_open_made(img, o->target, o->out_format, cache, flags, options);
    if (target->node)
        target->user = img_attach(img, target->node, BLOCK_PERM_RW);
    if (!target->user)
        return false; /* closed by the caller */
    if (o->bitmaps && !block_keeps_bitmaps(target->node)) {
        img_fail(img, "Format driver '%s' does not support bitmaps",
                 block_node_driver(target->node));
        return false;
    }
    if (block_size(target->user) >= size)
        return true;
    if (o->no_create) {
        img_fail(img, "output file is smaller than input file");
        return false;
    }
    if (block_resize(target->user, size, BLOCK_PREALLOC_OFF, &error))
        return true;
    img_error(img, g_steal_pointer(&error));
    return false;
}

/* ---- bitmaps ------------------------------------------------------------------ */

static bool copy_bitmaps(Img *img, const Convert *o, BlockNode *from, BlockNode *to)
{
    g_autoptr(GError) error = NULL;
    BlockBitmap *b;

    for (unsigned i = 0; (b = block_bitmap_nth(from, i)); i++) {
        if (!block_bitmap_persistent(b))
            continue;
        if (block_bitmap_inconsistent(b)) {
            if (o->skip_broken) {
                img_warn(img, "Skipping inconsistent bitmap '%s'", block_bitmap_name(b));
                continue;
            }
            img_fail(img,
                     "Cannot copy inconsistent bitmap '%s'\nhint: --skip-broken-bitmaps, or img "
                     "bitmap --remove",
                     block_bitmap_name(b));
            return false;
        }
        BlockBitmap *copy =
            block_bitmap_add(to, block_bitmap_name(b), block_bitmap_granularity(b), true, &error);
        bool ok = copy && block_bitmap_clear(copy, &error) && block_bitmap_merge(copy, b, &error) &&
                  block_bitmap_set_enabled(copy, block_bitmap_enabled(b), &error);
        if (!ok) {
            img_fail(img, "Failed to populate bitmap %s: %s", block_bitmap_name(b), error->message);
            return false;
        }
    }
    return true;
}

/* ---- the work ------------------------------------------------------------------ */

static bool show(void *opaque, uint64_t done, uint64_t total)
{
    img_progress(opaque, done, total);
    return !img_interrupted();
}

static void bad(void *opaque, uint64_t offset, uint64_t bytes, int err)
{
    const Img *img = opaque;
    if (!img->quiet)
        img_warn(opaque, "error while reading offset %" G_GUINT64_FORMAT ": %s", offset,
                 g_strerror(err));
}

static int copy(Img *img, Convert *o, ImgFile *sources, ImgFile *target)
{
    g_autofree BlockUser **users = g_new(BlockUser *, o->n);
    BlockProgress progress = {show, img};
    BlockCopy job = {.sources = users,
                     .n_sources = o->n,
                     .target = target->user,
                     .compress = o->compress,
                     .salvage = o->salvage,
                     .unordered = o->unordered,
                     .sparse = o->sparse,
                     .workers = o->workers,
                     .rate = o->rate,
                     .progress = &progress,
                     .bad = bad,
                     .opaque = img,
                     .skip_depth = o->backing ? 1 : 0,
                     .from = o->from.is ? &o->from.pipe : NULL,
                     .to = o->to.is ? &o->to.pipe : NULL,
                     .resize = o->from.is && !o->no_create};
    g_autoptr(GError) why = NULL;

    for (unsigned i = 0; i < o->n; i++)
        users[i] = sources[i].user;
    job.target_is_zero =
        target->user &&
        (o->target_is_zero || (!o->no_create && !o->backing && block_zero_init(target->user)));
    int r = block_copy(&job);
    why = job.why;
    if (!r)
        return IMG_OK;
    if (r == -ECANCELED)
        return img_fail(img, "interrupted; %s is not complete", o->target);
    if (r == -EFBIG && o->from.is && !job.reading)
        return img_fail(img, "output file is smaller than input file");
    bool end = job.reading ? o->from.is : o->to.is;
    return img_fail(img, "%serror while %s at byte %" G_GUINT64_FORMAT ": %s",
                    !end          ? ""
                    : job.reading ? "standard input: "
                                  : "standard output: ",
                    job.reading ? "reading" : "writing", job.where,
                    why                            ? why->message
                    : r == -ENOTSUP && o->compress ? "this format cannot be compressed"
                                                   : g_strerror(-r));
}

static int run(Img *img, Convert *o, struct json_object *options)
{
    g_autofree ImgFile *sources = g_new0(ImgFile, o->n);
    ImgFile target = {NULL, NULL};
    uint64_t size = 0;
    bool made = false, seen = false; /* seen: by its name, which may also be that of a protocol */
    int status = IMG_FAILED;

    if (open_sources(img, o, sources)) {
        for (unsigned i = 0; i < o->n; i++)
            size += block_size(sources[i].user);
        img_progress_begin(img);
        if (o->to.is) {
            /* there is nothing to undo, and a write to a pipe may take for ever */
            signal(SIGINT, SIG_DFL);
            signal(SIGTERM, SIG_DFL);
            status = copy(img, o, sources, &target);
        } else if ((o->no_create || make_target(img, o, options, size, &made)) &&
                   open_target(img, o, options, size, &target)) {
            seen = made && !access(o->target, F_OK);
            status = copy(img, o, sources, &target);
        }
        if (status == IMG_OK && o->bitmaps && o->n &&
            !copy_bitmaps(img, o, sources[0].node, target.node))
            status = IMG_FAILED;
    }
    int r = img_close(&target);
    if (status == IMG_OK && r)
        status = img_fail(img, "%s: %s", o->target, g_strerror(-r));
    if (status == IMG_OK && seen && access(o->target, F_OK))
        status = img_fail(img, "%s: somebody removed it meanwhile", o->target);
    if (status != IMG_OK && made)
        block_remove_file(o->target);
    img_stop_removes(NULL, false);
    for (unsigned i = 0; i < o->n; i++)
        img_close(&sources[i]);
    if (status == IMG_OK)
        img_progress_end(img);
    return status;
}

static int help(Img *img, const Convert *o, bool has_file)
{
    const char *format = o->out_format ? o->out_format : "raw";
    g_autofree char *text = block_create_help(img->graph, format, has_file);

    if (!text)
        return img_fail(img, "Unknown file format '%s'", format);
    if (has_file)
        printf("Supported options:\n%s", text);
    else
        printf("Supported %s options:\n%s\nThe protocol level may support further options.\n"
               "Specify the target filename to include those options.\n", format, text);
    return IMG_OK;
}

int img_convert(Img *img, int argc, char **argv)
{
    static const struct option longs[] = {
        IMG_LONG_COMMON,
        IMG_LONG_PROGRESS,
        {"source-image-opts", no_argument, NULL, IMG_OPT_IMAGE_OPTS},
        {"target-image-opts", no_argument, NULL, TARGET_IMAGE_OPTS},
        {"salvage", no_argument, NULL, SALVAGE},
        {"target-is-zero", no_argument, NULL, TARGET_IS_ZERO},
        {"bitmaps", no_argument, NULL, BITMAPS},
        {"skip-broken-bitmaps", no_argument, NULL, SKIP_BROKEN},
        {NULL, 0, NULL, 0}};
    g_autoptr(GPtrArray) lists = g_ptr_array_new();
    Convert o = {.lists = lists, .sparse = 4096};
    int option, status = IMG_FAILED;

    while ((option = getopt_long(argc, argv, ":hf:O:B:CcF:o:l:S:pt:T:qnm:WUr:", longs, NULL)) !=
           -1) {
        int took = img_common(img, &o.c, option, &status);
        if (took < 0)
            return status;
        if (!took && !take(img, &o, option, argv, &status))
            return status;
    }
    for (unsigned i = 0; i < lists->len; i++) {
        if (strcmp(lists->pdata[i], "help"))
            continue;
        return help(img, &o, optind < argc);
    }
    if (argc - optind < 2)
        return img_misused(img, "Must specify image file name");
    o.files = (const char **)argv + optind;
    o.n = (unsigned)(argc - optind - 1);
    o.target = argv[argc - 1];
    if (o.n > MOST_SOURCES)
        return img_misused(img, "more than %d images to read", MOST_SOURCES);
    o.has_options = lists->len > 0;
    g_ptr_array_add(lists, NULL);
    struct json_object *options = img_options(img, (const char *const *)lists->pdata);
    if (!options)
        return IMG_FAILED;
    if (!o.backing)
        o.backing = img_option_text(options, "backing_file");
    if (!o.backing_format)
        o.backing_format = img_option_text(options, "backing_fmt");
    status = refuse(img, &o);
    o.out_format = o.out_format ? o.out_format : "raw";
    if (!status)
        status = pipes(img, &o);
    if (!status)
        status = run(img, &o, options);
    json_object_put(options);
    return status;
}
