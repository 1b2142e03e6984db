/* SPDX-License-Identifier: MIT */
/* img dd: part of a disk into a new image, with dd's words. */
#include "img.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

typedef struct {
    const char *in, *out;
    uint64_t bs, count, skip;
    bool has_count;
} Operands;

static bool operand(Img *img, Operands *o, const char *word, int *status)
{
    const char *value = strchr(word, '=');

    *status = IMG_FAILED;
    if (!value) {
        *status = img_misused(img, "unrecognized operand %s", word);
        return false;
    }
    size_t n = (size_t)(value++ - word);
    if (n == 2 && !strncmp(word, "if", n))
        o->in = value;
    else if (n == 2 && !strncmp(word, "of", n))
        o->out = value;
    else if (n == 2 && !strncmp(word, "bs", n))
        return img_size(img, value, "bs", &o->bs) &&
               ((o->bs && o->bs <= INT32_MAX) ||
                (img_fail(img, "Invalid bs specified. Must be between 1 and 2147483647."), false));
    else if (n == 5 && !strncmp(word, "count", n))
        return o->has_count = true, img_size(img, value, "count", &o->count);
    else if (n == 4 && !strncmp(word, "skip", n))
        return img_size(img, value, "skip", &o->skip);
    else {
        *status = img_misused(img, "unrecognized operand %.*s", (int)n, word);
        return false;
    }
    return true;
}

static int copy(BlockUser *from, BlockUser *to, uint64_t skip, uint64_t bytes, uint64_t bs)
{
    uint64_t step = MAX(bs, MIN((UINT64_C(1) << 20) / bs * bs, UINT64_C(1) << 20));
    uint8_t *buf = malloc(step);
    int r = buf ? 0 : -ENOMEM;

    for (uint64_t at = 0, n; !r && at < bytes; at += n) {
        n = MIN(step, bytes - at);
        r = block_read(from, skip + at, buf, n);
        if (!r)
            r = block_write(to, at, buf, n, 0);
        if (img_interrupted())
            r = -ECANCELED;
    }
    free(buf);
    return r;
}

static int run(Img *img, const ImgCommon *c, const Operands *o, const char *out_format)
{
    g_autoptr(GError) error = NULL;
    ImgFile in, out;
    int status = IMG_OK;

    if (!block_can_create(img->graph, out_format))
        return img_fail(img, "Unknown file format '%s'", out_format);
    if (!img_open_file(img, &in, o->in, c->format, NULL,
                       BLOCK_OPEN_READ_ONLY | (c->share ? BLOCK_OPEN_FORCE_SHARE : 0),
                       c->image_opts, 0))
        return IMG_FAILED;
    uint64_t size = block_size(in.user), bytes = size, skip = 0;
    if (o->has_count && (!o->count || o->bs <= size / o->count))
        bytes = o->bs * o->count;
    if (o->skip && o->skip > size / o->bs) {
        img_warn(img, "%s: cannot skip to specified offset", o->in);
        skip = bytes = size;
    } else {
        skip = o->skip * o->bs;
    }
    bytes = MIN(bytes, size - skip);
    bytes = skip >= size ? 0 : bytes;
    struct json_object *options = json_object_new_object();
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, bytes);
    json_object_object_add(options, "filename", json_object_new_string(o->out));
    json_object_object_add(options, "size", json_object_new_string(text));
    img_progress_begin(img);
    img_stop_removes(o->out, false);
    if (!block_create(img->graph, out_format, options, &error)) {
        status = img_fail(img, "%s: error while creating output image: %s", o->out, error->message);
    } else if (!img_open_file(img, &out, o->out, out_format, NULL, 0, false, BLOCK_PERM_RW)) {
        status = IMG_FAILED;
    } else {
        int r = copy(in.user, out.user, skip, bytes, o->bs), closed = img_close(&out);
        r = r ? r : closed;
        if (r) {
            status = r == -ECANCELED
                         ? img_fail(img, "interrupted; %s is not complete", o->out)
                         : img_fail(img, "error while copying %s: %s", o->in, g_strerror(-r));
            block_remove_file(o->out);
        }
    }
    json_object_put(options);
    img_close(&in);
    return status;
}

int img_dd(Img *img, int argc, char **argv)
{
    static const struct option longs[] = {IMG_LONG_COMMON, {NULL, 0, NULL, 0}};
    ImgCommon c = {.format = NULL};
    Operands o = {.bs = 512};
    const char *out_format = "raw";
    int option, status;

    while ((option = getopt_long(argc, argv, ":hf:O:U", longs, NULL)) != -1) {
        int took = img_common(img, &c, option, &status);
        if (took < 0)
            return status;
        if (took)
            continue;
        if (option != 'O')
            return img_bad_option(img, option, argv);
        out_format = optarg;
    }
    for (int i = optind; i < argc; i++)
        if (!operand(img, &o, argv[i], &status))
            return status;
    if (!o.in || !o.out)
        return img_misused(img, "Must specify both input and output files");
    return run(img, &c, &o, out_format);
}
