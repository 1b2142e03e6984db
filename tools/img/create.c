/* SPDX-License-Identifier: MIT */
/* img create: an image, with its size from the command line or from what it is based on. */
#include "img.h"

#include <json-c/json.h>
#include <string.h>
#include <sys/stat.h>

static const char *text_of(struct json_object *o, const char *key)
{
    struct json_object *v;
    return json_object_object_get_ex(o, key, &v) ? json_object_get_string(v) : NULL;
}

static void set_text(struct json_object *o, const char *key, const char *value)
{
    json_object_object_add(o, key, json_object_new_string(value));
}

/* Opens what it is to be based on, says its format if none was given, and gives its size. */
static bool look_at_backing(Img *img, const char *file, struct json_object *options, bool unsafe,
                            bool *has_size, uint64_t *size)
{
    const char *backing = text_of(options, "backing_file"),
               *format = text_of(options, "backing_fmt");

    if (!backing || !*backing || unsafe)
        return true;
    g_autofree char *beside = block_name_beside(file, backing);
    /* only whether it can be read matters here, not who else uses it */
    BlockNode *node =
        img_open(img, beside, format, NULL,
                 BLOCK_OPEN_READ_ONLY | BLOCK_OPEN_FORCE_SHARE | BLOCK_OPEN_NO_DATA, false);
    if (!node) {
        img_fail(img, "%s: Could not open backing image to determine size.", file);
        return false;
    }
    if (!format) {
        if (img->compatible) {
            img_fail(img,
                     "%s: Backing file specified without backing format\nDetected format of %s.",
                     file, block_node_driver(node));
            block_node_unref(node);
            return false;
        }
        set_text(options, "backing_fmt", block_node_driver(node));
    }
    if (!*has_size)
        *size = block_node_size(node);
    *has_size = true;
    block_node_unref(node);
    return true;
}

/* "Formatting 'x', fmt=qcow2 size=1 ..." */
static void announce(Img *img, const char *file, const char *format, struct json_object *options)
{
    g_autofree char *told = block_create_told(img->graph, format, options);
    img_say(img, "Formatting '%s', fmt=%s%s\n", file, format, told);
}

static int make(Img *img, const char *file, const char *format, struct json_object *options,
                const char *size_text, bool unsafe)
{
    g_autoptr(GError) error = NULL;
    uint64_t size = 0;
    bool has_size = false;
    struct stat st;
    const char *in_options = text_of(options, "size");

    if (!block_can_create(img->graph, format))
        return img_fail(img, "%s: Unknown file format '%s'", file, format);
    if (size_text && in_options)
        return img_fail(img, "%s: The image size must be specified only once", file);
    if (size_text || in_options) {
        if (!img_size(img, size_text ? size_text : in_options, "image size", &size))
            return IMG_FAILED;
        has_size = true;
    }
    const char *backing = text_of(options, "backing_file");
    if (backing && !block_create_knows(img->graph, format, "backing_file"))
        return img_fail(img, "%s: Backing file not supported for file format '%s'", file, format);
    if (!backing && text_of(options, "backing_fmt"))
        return img_fail(img, "%s: Backing format cannot be used without backing file", file);
    if (backing && !strcmp(backing, file))
        return img_fail(
            img, "%s: Error: Trying to create an image with the same filename as the backing file",
            file);
    if (!img_options_known(img, file, format, options))
        return img->compatible ? IMG_FAILED : IMG_MISUSED;
    if (!look_at_backing(img, file, options, unsafe, &has_size, &size))
        return IMG_FAILED;
    if (!has_size)
        return img_misused(img, "%s: Image creation needs a size parameter", file);
    g_autofree char *bytes = g_strdup_printf("%" G_GUINT64_FORMAT, size);
    set_text(options, "size", bytes);
    announce(img, file, format, options);
    set_text(options, "filename", file);
    /* what writes all of it may take long */
    img_stop_removes(stat(file, &st) || S_ISREG(st.st_mode) ? file : NULL, true);
    if (!block_create(img->graph, format, options, &error))
        return img_fail(img, "%s: %s", file, error->message);
    return IMG_OK;
}

int img_create(Img *img, int argc, char **argv)
{
    static const struct option longs[] = {IMG_LONG_COMMON, {NULL, 0, NULL, 0}};
    ImgCommon c = {.format = NULL};
    g_autoptr(GPtrArray) lists = g_ptr_array_new();
    const char *backing = NULL, *backing_format = NULL;
    bool unsafe = false;
    int option, status;

    while ((option = getopt_long(argc, argv, ":F:b:f:ho:qu6e", longs, NULL)) != -1) {
        int took = img_common(img, &c, option, &status);
        if (took < 0)
            return status;
        if (took)
            continue;
        switch (option) {
        case 'F': backing_format = optarg; break;
        case 'b': backing = optarg; break;
        case 'o': g_ptr_array_add(lists, optarg); break;
        case 'u': unsafe = true; break;
        case '6': return img_misused(img, "option -6 is deprecated, use '-o compat6' instead!");
        case 'e': return img_misused(img, "option -e is deprecated, use '-o encryption' instead!");
        default: return img_bad_option(img, option, argv);
        }
    }
    const char *format = c.format ? c.format : "raw";
    for (unsigned i = 0; i < lists->len; i++) {
        if (strcmp(lists->pdata[i], "help") && strcmp(lists->pdata[i], "?"))
            continue;
        g_autofree char *text = block_create_help(img->graph, format, optind < argc);
        if (!text)
            return img_fail(img, "Unknown file format '%s'", format);
        if (optind < argc)
            printf("Supported options:\n%s", text);
        else
            printf("Supported %s options:\n%s%s", format, text,
                   "\nThe protocol level may support further options.\nSpecify the target filename "
                   "to include those "
                   "options.\n");
        return IMG_OK;
    }
    if (optind == argc)
        return img_misused(img, "Expecting image file name");
    if (argc - optind > 2)
        return img_misused(img, "Unexpected argument: %s", argv[optind + 2]);
    g_ptr_array_add(lists, NULL);
    struct json_object *options = img_options(img, (const char *const *)lists->pdata);
    if (!options)
        return IMG_FAILED;
    if (backing)
        set_text(options, "backing_file", backing);
    if (backing_format)
        set_text(options, "backing_fmt", backing_format);
    status = make(img, argv[optind], format, options, argv[optind + 1], unsafe);
    json_object_put(options);
    return status;
}
