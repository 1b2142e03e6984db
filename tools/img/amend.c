/* SPDX-License-Identifier: MIT */
/* img amend: creation options of an image that is there. */
#include "img.h"

#include <json-c/json.h>
#include <string.h>

#include "base/error.h"

/* -o help: what can be changed, which is less than what can be made. */
static int help(Img *img, const ImgCommon *c, const char *file)
{
    static const struct {
        const char *name, *kind, *what;
        bool luks; /* of qcow2 it begins with "encrypt." */
    } all[] = {
        {"backing_file", "str", "File name of a base image", false},
        {"backing_fmt", "str", "Image format of the base image", false},
        {"compat", "str", "Compatibility level (v2 [0.10] or v3 [1.1])", false},
        {"data_file", "str", "File name of an external data file", false},
        {"data_file_raw", "bool (on/off)", "The external data file must stay valid as a raw image",
         false},
        {"encrypt.iter-time", "num", "Time to spend in PBKDF in milliseconds", true},
        {"encrypt.keyslot", "num", "Select a single keyslot to modify explicitly", true},
        {"encrypt.new-secret", "str",
         "New secret to set in the matching keyslots. Empty string to erase", true},
        {"encrypt.old-secret", "str", "Select all keyslots that match this password", true},
        {"encrypt.state", "str", "Select new state of affected keyslots (active/inactive)", true},
        {"lazy_refcounts", "bool (on/off)", "Postpone refcount updates", false},
        {"refcount_bits", "num", "Width of a reference count entry in bits", false},
        {"size", "size", "Virtual disk size", false},
    };
    g_autofree char *format = g_strdup(c->format);
    ImgFile f;

    if (!format && !file)
        return img_misused(img, "Expecting one image file name");
    if (!format) {
        if (!img_open_file(img, &f, file, NULL, NULL,
                           BLOCK_OPEN_READ_ONLY | BLOCK_OPEN_NO_BACKING | BLOCK_OPEN_NO_DATA,
                           c->image_opts, 0))
            return IMG_FAILED;
        format = g_strdup(block_node_driver(f.node));
        img_close(&f);
    }
    bool luks = !strcmp(format, "luks");
    if (!block_can_create(img->graph, format))
        return img_fail(img, "Unknown file format '%s'", format);
    if (!luks && strcmp(format, "qcow2"))
        return img_fail(img, "Format driver '%s' does not support option amendment", format);
    printf("Amend options for '%s':\n", format);
    for (unsigned i = 0; i < G_N_ELEMENTS(all); i++) {
        if (luks && !all[i].luks)
            continue;
        g_autofree char *left =
            g_strdup_printf("%s=<%s>", all[i].name + (luks ? strlen("encrypt.") : 0), all[i].kind);
        printf("  %-22s - %s\n", left, all[i].what);
    }
    return IMG_OK;
}

/* Names that only making an image knows, or nothing does. */
static bool can_change(Img *img, BlockNode *node, struct json_object *options)
{
    static const char *const only_made[] = {
        "cluster_size", "compression_type", "extended_l2", "preallocation",
        "nocow",        "extent_size_hint", "encryption"};
    const char *format = block_node_driver(node),
               *backing = img_option_text(options, "backing_file");
    g_autofree char *now = block_backing_name(node);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

    img_option_names(options, "", names);
    for (unsigned i = 0; i < names->len; i++) {
        const char *name = names->pdata[i];
        if (g_str_has_prefix(name, "encrypt.") || !strcmp(format, "luks"))
            continue;
        bool made = false;
        for (unsigned k = 0; k < G_N_ELEMENTS(only_made); k++)
            made = made || !strcmp(only_made[k], name);
        if (made || !block_create_knows(img->graph, format, name)) {
            img_fail(img, "Invalid parameter '%s'%s", name,
                     made ? "\nThis option is only supported for image creation" : "");
            return false;
        }
    }
    if (img->compatible && backing && g_strcmp0(backing, now ? now : "")) {
        img_fail(img, "Cannot amend the backing file\nYou can use 'qemu-img rebase' instead.");
        return false;
    }
    return true;
}

static int change(Img *img, BlockNode *node, struct json_object *options, bool force)
{
    g_autoptr(GError) error = NULL;

    if (!strcmp(block_node_driver(node), "raw"))
        return img_fail(img, "Format driver 'raw' does not support option amendment");
    if (!can_change(img, node, options))
        return IMG_FAILED;
    return block_amend(node, options, force, &error) ? IMG_OK
                                                     : img_error(img, g_steal_pointer(&error));
}

int img_amend(Img *img, int argc, char **argv)
{
    static const struct option longs[] = {IMG_LONG_COMMON,
                                          IMG_LONG_PROGRESS,
                                          {"force", no_argument, NULL, IMG_OPT_FORCE},
                                          {NULL, 0, NULL, 0}};
    ImgCommon c = {.format = NULL};
    g_autoptr(GPtrArray) lists = g_ptr_array_new();
    bool force = false;
    ImgFile f;
    int option, status;

    while ((option = getopt_long(argc, argv, ":ho:f:t:pq", longs, NULL)) != -1) {
        int took = img_common(img, &c, option, &status);
        if (took < 0)
            return status;
        if (took)
            continue;
        if (option == 'o')
            g_ptr_array_add(lists, optarg);
        else if (option == IMG_OPT_FORCE)
            force = true;
        else
            return img_bad_option(img, option, argv);
    }
    if (!lists->len)
        return img_misused(img, "Must specify options (-o)");
    if (!strcmp(lists->pdata[0], "help"))
        return help(img, &c, argc > optind ? argv[optind] : NULL);
    if (optind != argc - 1)
        return img_misused(img, "Expecting one image file name");
    g_ptr_array_add(lists, NULL);
    struct json_object *options = img_options(img, (const char *const *)lists->pdata);
    if (!options)
        return IMG_FAILED;
    status = IMG_FAILED;
    if (img_open_file(img, &f, argv[optind], c.format, c.cache, BLOCK_OPEN_UNMAP, c.image_opts,
                      BLOCK_PERM_RW)) {
        img_progress_begin(img);
        img_stop_removes(NULL, true);
        status = change(img, f.node, options, force);
        int r = img_close(&f);
        if (status == IMG_OK && r)
            status = img_fail(img, "%s: %s", argv[optind], g_strerror(-r));
        if (status == IMG_OK)
            img_progress_end(img);
    }
    json_object_put(options);
    return status;
}
