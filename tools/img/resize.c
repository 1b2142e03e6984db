/* SPDX-License-Identifier: MIT */
/* img resize: the size is the last argument, absolute or with a sign. */
#include "img.h"

#include <string.h>

#include "base/error.h"

static bool parse_prealloc(const char *text, BlockPrealloc *prealloc)
{
    static const char *const words[] = {"off", "metadata", "falloc", "full"};
    for (int i = 0; i < (int)G_N_ELEMENTS(words); i++)
        if (!strcmp(text, words[i])) {
            *prealloc = (BlockPrealloc)i;
            return true;
        }
    return false;
}

static int run(Img *img, const ImgCommon *c, const char *file, const char *text,
               BlockPrealloc prealloc, bool shrink)
{
    g_autoptr(GError) error = NULL;
    char sign = *text == '+' || *text == '-' ? *text++ : 0;
    uint64_t size, now;
    ImgFile f;

    if (!img_size(img, text, "image size", &size))
        return IMG_FAILED;
    if (!img_open_file(img, &f, file, c->format, NULL, BLOCK_OPEN_UNMAP, c->image_opts,
                       BLOCK_PERM_RW))
        return IMG_FAILED;
    now = block_size(f.user);
    size = sign == '+' ? now + size : sign == '-' ? (size > now ? 0 : now - size) : size;
    int status = IMG_OK;
    if (!size && sign == '-')
        status = img_fail(img, "New image size must be positive");
    else if (size > BLOCK_MAX_SIZE)
        status = img_fail(img, "%s: larger than 8 EiB", file);
    else if (size < now && !shrink)
        status = img_fail(img,
                          "Use the --shrink option to perform a shrink operation.\n%s: warning: "
                          "Shrinking an image "
                          "will delete all data beyond the shrunken image's end. Before performing "
                          "such an operation, "
                          "make sure there is no important data there.",
                          img->name);
    else if (size == now && prealloc != BLOCK_PREALLOC_OFF)
        status = img_fail(img, "%s: nothing is added that could be preallocated", file);
    else if (!block_resize(f.user, size, prealloc, &error))
        status = img_error(img, g_steal_pointer(&error));
    int r = img_close(&f);
    if (status == IMG_OK && r)
        status = img_fail(img, "%s: %s", file, g_strerror(-r));
    if (status == IMG_OK)
        img_say(img, "Image resized.\n");
    return status;
}

int img_resize(Img *img, int argc, char **argv)
{
    enum { PREALLOCATION = IMG_OPT_OWN, SHRINK };
    static const struct option longs[] = {IMG_LONG_COMMON,
                                          {"preallocation", required_argument, NULL, PREALLOCATION},
                                          {"shrink", no_argument, NULL, SHRINK},
                                          {NULL, 0, NULL, 0}};
    ImgCommon c = {.format = NULL};
    BlockPrealloc prealloc = BLOCK_PREALLOC_OFF;
    bool shrink = false;
    int option, status;

    if (argc < 3)
        return argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
                   ? (img_common(img, &c, 'h', &status), status)
                   : img_misused(img, "Not enough arguments");
    /* "-1G" is a size, not an option */
    const char *size = argv[--argc];
    argv[argc] = NULL;
    while ((option = getopt_long(argc, argv, ":f:hq", longs, NULL)) != -1) {
        int took = img_common(img, &c, option, &status);
        if (took < 0)
            return status;
        if (took)
            continue;
        if (option == SHRINK)
            shrink = true;
        else if (option == PREALLOCATION && !parse_prealloc(optarg, &prealloc))
            return img_misused(img, "Invalid preallocation mode '%s'", optarg);
        else if (option != PREALLOCATION)
            return img_bad_option(img, option, argv);
    }
    if (optind != argc - 1)
        return img_misused(img, "Expecting image file name and size");
    return run(img, &c, argv[optind], size, prealloc, shrink);
}
