/* SPDX-License-Identifier: MIT */
/*
 * img compare: whether two disks read the same. Exit status: 0 they do, 1 they do not, 2 and more:
 * an error (2 opening, 3 a second one, 4 reading). A longer one may end in zeroes, but not with -s.
 */
#include "img.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { DIFFERENT = 1, OPENING = 2, METADATA = 3, READING = 4, STEP = 256 << 10 };
enum {
    ALLOCATION =
        BLOCK_EXTENT_ALLOCATED | BLOCK_EXTENT_DATA | BLOCK_EXTENT_ZERO | BLOCK_EXTENT_COMPRESSED
};

typedef struct {
    BlockUser *user;
    BlockExtent some[32];
    int n, i;
    uint64_t size;
} Side;

/* What is at offset; *bytes is shortened to what it holds for. */
static int look(Side *s, uint64_t at, uint64_t *bytes, unsigned *flags)
{
    if (at >= s->size) {
        *flags = BLOCK_EXTENT_ZERO;
        return 0;
    }
    while (s->i < s->n && s->some[s->i].offset + s->some[s->i].bytes <= at)
        s->i++;
    if (s->i == s->n) {
        s->i = 0;
        s->n = block_extents(s->user, at, s->size - at, 0, s->some, G_N_ELEMENTS(s->some));
        if (s->n < 0)
            return s->n;
    }
    const BlockExtent *e = &s->some[s->i];
    *bytes = MIN(*bytes, e->offset + e->bytes - at);
    *flags = e->flags;
    return 0;
}

static bool is_zero(const uint8_t *p, uint64_t n)
{
    return !p[0] && !memcmp(p, p + 1, n - 1);
}

/* The first byte that differs, or n. */
static uint64_t difference(const uint8_t *a, const uint8_t *b, uint64_t n)
{
    if (!memcmp(a, b, n))
        return n;
    for (uint64_t i = 0; i < n; i++)
        if (a[i] != b[i])
            return i;
    return n;
}

static uint64_t first_set(const uint8_t *p, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        if (p[i])
            return i;
    return n;
}

typedef struct {
    Side a, b;
    uint8_t *x, *y;
    bool strict;
} Both;

/* [at, at + n): -1 the same, else where they differ; *r an error. */
static int64_t compare_some(Both *c, uint64_t at, uint64_t n, unsigned fa, unsigned fb, int *r)
{
    bool za = fa & BLOCK_EXTENT_ZERO, zb = fb & BLOCK_EXTENT_ZERO;
    uint64_t d;

    if (za && zb)
        return -1;
    *r = za ? 0 : block_read(c->a.user, at, c->x, n);
    if (!*r && !zb)
        *r = block_read(c->b.user, at, c->y, n);
    if (*r)
        return -1;
    if (!za && !zb)
        d = difference(c->x, c->y, n);
    else
        d = is_zero(za ? c->y : c->x, n) ? n : first_set(za ? c->y : c->x, n);
    return d == n ? -1 : (int64_t)(at + d);
}

static int compare(Img *img, Both *c)
{
    uint64_t end = MAX(c->a.size, c->b.size);

    uint64_t common = MIN(c->a.size, c->b.size);

    if (common != end && c->strict) {
        img_say(img, "Strict mode: Image size mismatch!\n");
        return DIFFERENT;
    }
    for (uint64_t at = 0, n; at < end; at += n) {
        unsigned fa, fb;
        if (at == common)
            img_say(img, "Warning: Image size mismatch!\n");
        n = MIN(end - at, STEP);
        n = at < c->a.size ? MIN(n, c->a.size - at) : n;
        n = at < c->b.size ? MIN(n, c->b.size - at) : n;
        uint64_t whole = (at < common ? common : end) - at;
        int r = look(&c->a, at, &whole, &fa);
        if (!r)
            r = look(&c->b, at, &whole, &fb);
        if (r)
            return img_fail(img, "Sector allocation test failed: %s", g_strerror(-r)), METADATA;
        n = fa & fb & BLOCK_EXTENT_ZERO ? whole : MIN(n, whole);
        /* also what is packed on one side: it has no place of its own there */
        if (c->strict && at < common && ((fa ^ fb) & ALLOCATION)) {
            img_say(img, "Strict mode: Offset %" G_GUINT64_FORMAT " block status mismatch!\n", at);
            return DIFFERENT;
        }
        int64_t where = compare_some(c, at, n, fa, fb, &r);
        if (r)
            return img_fail(img, "Error while reading offset %" G_GUINT64_FORMAT ": %s", at,
                            g_strerror(-r)),
                   READING;
        if (where >= 0) {
            img_say(img, "Content mismatch at offset %" G_GINT64_FORMAT "!\n",
                    where);
            return DIFFERENT;
        }
        img_progress(img, at + n, end);
    }
    img_say(img, "Images are identical.\n");
    return IMG_OK;
}

int img_compare(Img *img, int argc, char **argv)
{
    static const struct option longs[] = {IMG_LONG_COMMON, IMG_LONG_PROGRESS, {NULL, 0, NULL, 0}};
    ImgCommon c = {.format = NULL};
    const char *second = NULL, *cache = NULL;
    ImgFile a, b = {NULL, NULL};
    Both both = {.strict = false};
    int option, status;

    while ((option = getopt_long(argc, argv, ":hf:F:T:pqsU", longs, NULL)) != -1) {
        int took = img_common(img, &c, option, &status);
        if (took < 0)
            return status;
        if (took)
            continue;
        if (option == 'F')
            second = optarg;
        else if (option == 'T')
            cache = optarg;
        else if (option == 's')
            both.strict = true;
        else
            return img_bad_option(img, option, argv);
    }
    if (optind != argc - 2)
        return img_misused(img, "Expecting two image file names");
    unsigned flags = BLOCK_OPEN_READ_ONLY | (c.share ? BLOCK_OPEN_FORCE_SHARE : 0);
    status = OPENING;
    if (img_open_file(img, &a, argv[optind], c.format, cache, flags, c.image_opts, 0)) {
        if (img_open_file(img, &b, argv[optind + 1], second, cache, flags, c.image_opts, 0)) {
            both.a = (Side){.user = a.user, .size = block_size(a.user)};
            both.b = (Side){.user = b.user, .size = block_size(b.user)};
            both.x = aligned_alloc(4096, STEP);
            both.y = aligned_alloc(4096, STEP);
            img_progress_begin(img);
            img_stop_removes(NULL, true);
            status = both.x && both.y ? compare(img, &both) : READING;
            img_progress_stop(img);
            free(both.x);
            free(both.y);
        }
        img_close(&b);
        img_close(&a);
    }
    return status;
}
