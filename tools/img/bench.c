/* SPDX-License-Identifier: MIT */
/*
 * img bench: how long a disk takes for a number of requests, DEPTH of them in flight. One thread
 * keeps them going: completions, which come on any thread, hand a request back to it.
 */
#include "img.h"

#include <errno.h>
#include <json-c/json.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/size.h"

enum { FLUSH_INTERVAL = IMG_OPT_OWN, NO_DRAIN, PATTERN };
enum { MOST_DEPTH = 65536 };

typedef struct Slot {
    BlockRequest req;
    struct iovec iov;
    struct Bench *bench;
    struct Slot *next;
} Slot;

typedef struct Bench {
    uint64_t count, depth, bytes, step, flush_interval, pattern, offset;
    bool write, no_drain;
    const char *aio;
    BlockUser *user;
    uint64_t size;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    Slot *slots, *idle; /* idle, busy, ret: under lock */
    uint64_t busy;
    int ret;
    uint64_t sent;
    bool flush_due;
} Bench;

static void finish(BlockRequest *req)
{
    Slot *slot = req->opaque;
    Bench *b = slot->bench;

    pthread_mutex_lock(&b->lock);
    if (req->ret && !b->ret)
        b->ret = req->ret;
    slot->next = b->idle;
    b->idle = slot;
    b->busy--;
    pthread_cond_signal(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

/* An idle slot, or with drained the last of them to become idle; NULL: a request failed. */
static Slot *take(Bench *b, bool drained)
{
    Slot *slot = NULL;

    pthread_mutex_lock(&b->lock);
    while (!b->ret && (!b->idle || (drained && b->busy)))
        pthread_cond_wait(&b->changed, &b->lock);
    if (!b->ret) {
        slot = b->idle;
        b->idle = slot->next;
        b->busy++;
    }
    pthread_mutex_unlock(&b->lock);
    return slot;
}

static void start(Bench *b, Slot *slot, bool flush)
{
    slot->req = (BlockRequest){.op = flush      ? BLOCK_FLUSH
                                     : b->write ? BLOCK_WRITE
                                                : BLOCK_READ,
                               .done = finish,
                               .opaque = slot};
    if (!flush) {
        slot->req.offset = b->offset;
        slot->req.bytes = b->bytes;
        slot->req.iov = &slot->iov;
        slot->req.iovcnt = 1;
        b->offset += b->step;
        b->offset %= b->size - b->bytes + 1;
        b->sent++;
        b->flush_due = b->flush_interval && b->sent % b->flush_interval == 0;
    }
    if (block_submit(b->user, &slot->req))
        finish(&slot->req);
}

static int run(Bench *b)
{
    Slot *slot;

    while (b->sent < b->count || b->flush_due) {
        bool flush = b->flush_due;
        if (!(slot = take(b, flush && !b->no_drain)))
            break;
        b->flush_due = false;
        start(b, slot, flush);
        /* whoever waits for all to be written waits for the flush, too */
        if (flush && !b->no_drain) {
            pthread_mutex_lock(&b->lock);
            while (b->busy)
                pthread_cond_wait(&b->changed, &b->lock);
            pthread_mutex_unlock(&b->lock);
        }
    }
    pthread_mutex_lock(&b->lock);
    while (b->busy)
        pthread_cond_wait(&b->changed, &b->lock);
    pthread_mutex_unlock(&b->lock);
    return b->ret;
}

static int measure(Img *img, Bench *b)
{
    struct timespec before, after;
    uint8_t *memory = aligned_alloc(4096, (b->bytes * b->depth + 4095) & ~UINT64_C(4095));
    int r;

    if (!memory)
        return img_fail(
            img, "no memory for %" G_GUINT64_FORMAT " buffers of %" G_GUINT64_FORMAT " bytes",
            b->depth, b->bytes);
    memset(memory, b->write ? (int)b->pattern : 0, b->bytes * b->depth);
    b->slots = g_new0(Slot, b->depth);
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->changed, NULL);
    for (uint64_t i = 0; i < b->depth; i++) {
        b->slots[i].bench = b;
        b->slots[i].iov = (struct iovec){memory + i * b->bytes, b->bytes};
        b->slots[i].next = b->idle;
        b->idle = &b->slots[i];
    }
    img_say(img,
            "Sending %" G_GUINT64_FORMAT " %s requests, %" G_GUINT64_FORMAT
            " bytes each, %" G_GUINT64_FORMAT " in parallel (starting at offset %" G_GUINT64_FORMAT
            ", step size %" G_GUINT64_FORMAT ")\n",
            b->count, b->write ? "write" : "read", b->bytes, b->depth, b->offset, b->step);
    if (b->flush_interval)
        img_say(img, "Sending flush every %" G_GUINT64_FORMAT " requests\n", b->flush_interval);
    clock_gettime(CLOCK_MONOTONIC, &before);
    r = run(b);
    clock_gettime(CLOCK_MONOTONIC, &after);
    if (!r)
        img_say(img, "Run completed in %3.3f seconds.\n",
                (double)(after.tv_sec - before.tv_sec) +
                    (double)(after.tv_nsec - before.tv_nsec) / 1e9);
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->lock);
    g_free(b->slots);
    free(memory);
    return r ? img_fail(img, "Failed request: %s", g_strerror(-r)) : IMG_OK;
}

/* ---- options -------------------------------------------------------------- */

static bool number(Img *img, const char *text, const char *what, uint64_t least, uint64_t most,
                   uint64_t *value)
{
    g_autoptr(GError) error = NULL;

    if (number_parse(text, value, &error) && *value >= least && *value <= most)
        return true;
    img_fail(img, "Invalid %s specified", what);
    return false;
}

static bool is_aio(Img *img, const char *word)
{
    if (!strcmp(word, "threads") || !strcmp(word, "native") || !strcmp(word, "io_uring"))
        return true;
    img_fail(img, "Invalid aio option: %s", word);
    return false;
}

/* One of our own options; false after a message, *known tells whether it was one. */
static bool option_taken(Img *img, Bench *b, int option, bool *known)
{
    *known = true;
    switch (option) {
    case 'c': return number(img, optarg, "request count", 0, INT32_MAX, &b->count);
    case 'd': return number(img, optarg, "queue depth", 1, MOST_DEPTH, &b->depth);
    case 'i': b->aio = optarg; return is_aio(img, optarg);
    case 'n': b->aio = "native"; return true;
    case 'o': return img_size(img, optarg, "offset", &b->offset);
    case 's': return img_size(img, optarg, "buffer size", &b->bytes);
    case 'S': return img_size(img, optarg, "step_size", &b->step);
    case 'w': b->write = true; return true;
    case FLUSH_INTERVAL:
        return number(img, optarg, "flush interval", 0, INT32_MAX, &b->flush_interval);
    case NO_DRAIN: b->no_drain = true; return true;
    case PATTERN: return number(img, optarg, "pattern byte", 0, 255, &b->pattern);
    default: *known = false; return true;
    }
}

static bool consistent(Img *img, const Bench *b)
{
    if (!b->bytes || b->bytes > INT32_MAX || b->bytes * b->depth > UINT64_C(1) << 32)
        img_fail(img, "Invalid buffer size specified");
    else if (!b->write && b->flush_interval)
        img_fail(img, "--flush-interval is only available in write tests");
    else if (b->flush_interval && b->flush_interval < b->depth)
        img_fail(img, "Flush interval can't be smaller than depth");
    else
        return true;
    return false;
}

/* The name with aio= in it, which belongs to the file at the bottom; NULL after a message. */
static char *with_aio(Img *img, const char *name, const ImgCommon *c, const char *aio)
{
    g_autoptr(GError) error = NULL;
    struct json_object *tree = c->image_opts
                                   ? block_options_parse(name, "driver", &error)
                                   : block_image_options(img->graph, name, c->format, &error);
    struct json_object *at = tree, *file;

    if (!tree) {
        img_error(img, g_steal_pointer(&error));
        return NULL;
    }
    while (json_object_object_get_ex(at, "file", &file) &&
           json_object_is_type(file, json_type_object))
        at = file;
    json_object_object_add(at, "aio", json_object_new_string(aio));
    char *text =
        g_strconcat("json:", json_object_to_json_string_ext(tree, JSON_C_TO_STRING_PLAIN), NULL);
    json_object_put(tree);
    return text;
}

static int open_and_measure(Img *img, Bench *b, const ImgCommon *c, const char *name)
{
    ImgFile f;
    unsigned flags =
        (b->write ? 0 : BLOCK_OPEN_READ_ONLY) | (c->share ? BLOCK_OPEN_FORCE_SHARE : 0);
    g_autofree char *named = b->aio ? with_aio(img, name, c, b->aio) : NULL;
    int status = IMG_FAILED;

    if (b->aio && !named)
        return IMG_FAILED;
    if (!img_open_file(img, &f, named ? named : name, named ? NULL : c->format, c->cache, flags,
                       c->image_opts && !named, b->write ? BLOCK_PERM_RW : 0))
        return IMG_FAILED;
    b->user = f.user;
    b->size = block_size(f.user);
    if (b->bytes > b->size || b->offset > b->size - b->bytes)
        img_fail(img,
                 "%s: requests of %" G_GUINT64_FORMAT " bytes at %" G_GUINT64_FORMAT
                 " do not fit into %" G_GUINT64_FORMAT " bytes",
                 name, b->bytes, b->offset, b->size);
    else
        status = measure(img, b);
    int r = img_close(&f);
    return r ? img_fail(img, "%s: %s", name, g_strerror(-r)) : status;
}

int img_bench(Img *img, int argc, char **argv)
{
    static const struct option longs[] = {
        IMG_LONG_COMMON,
        {"flush-interval", required_argument, NULL, FLUSH_INTERVAL},
        {"no-drain", no_argument, NULL, NO_DRAIN},
        {"pattern", required_argument, NULL, PATTERN},
        {NULL, 0, NULL, 0}};
    ImgCommon c = {.format = NULL};
    Bench b = {.count = 75000, .depth = 64, .bytes = 4096};
    g_autoptr(GError) error = NULL;
    int option, status;
    bool known, writethrough;
    unsigned flags = 0;

    while ((option = getopt_long(argc, argv, ":hc:d:f:i:no:qs:S:t:wU", longs, NULL)) != -1) {
        int took = img_common(img, &c, option, &status);
        if (took < 0)
            return status;
        if (took)
            continue;
        if (!option_taken(img, &b, option, &known))
            return IMG_FAILED;
        if (!known)
            return img_bad_option(img, option, argv);
    }
    if (optind != argc - 1)
        return img_misused(img, "Expecting one image file name");
    if (c.cache && !block_cache_parse(c.cache, &flags, &writethrough, &error))
        return img_fail(img, "Invalid cache mode");
    if (b.aio && !strcmp(b.aio, "native") && !(flags & BLOCK_OPEN_DIRECT))
        return img_fail(
            img,
            "Could not open '%s': aio=native was specified, but it requires cache.direct=on, which "
            "was not specified.",
            argv[optind]);
    if (!b.step)
        b.step = b.bytes;
    if (!consistent(img, &b))
        return IMG_FAILED;
    return open_and_measure(img, &b, &c, argv[optind]);
}
