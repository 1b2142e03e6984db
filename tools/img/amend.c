/* SPDX-License-Identifier: MIT */
/* img amend: creation options of an image that is there. */
#include "img.h"

#include <json-c/json.h>
#include <string.h>

#include "base/error.h"

int img_amend(Img *img, int argc, char **argv)
{
    static const struct option longs[] = {IMG_LONG_COMMON, IMG_LONG_PROGRESS, {"force", no_argument, NULL, IMG_OPT_FORCE}, {NULL, 0, NULL, 0}};
    ImgCommon c = {.format = NULL};
    g_autoptr(GPtrArray) lists = g_ptr_array_new();
    g_autoptr(GError) error = NULL;
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
            return img_bad_option(img, argv);
    }
    if (!lists->len)
        return img_misused(img, "Must specify options (-o)");
    if (!strcmp(lists->pdata[0], "help")) {
        g_autofree char *text = block_create_help(img->graph, c.format ? c.format : "qcow2", true);
        printf("Options of %s that can be made; which can be changed is in img(1):\n%s", c.format ? c.format : "qcow2",
               text ? text : "");
        return IMG_OK;
    }
    if (optind != argc - 1)
        return img_misused(img, "Expecting one image file name");
    g_ptr_array_add(lists, NULL);
    struct json_object *options = img_options(img, (const char *const *)lists->pdata);
    if (!options)
        return IMG_FAILED;
    status = IMG_FAILED;
    if (img_open_file(img, &f, argv[optind], c.format, c.cache, BLOCK_OPEN_UNMAP, c.image_opts, BLOCK_PERM_RW)) {
        img_progress_begin(img);
        status = block_amend(f.node, options, force, &error) ? IMG_OK : img_error(img, g_steal_pointer(&error));
        int r = img_close(&f);
        if (status == IMG_OK && r)
            status = img_fail(img, "%s: %s", argv[optind], g_strerror(-r));
        if (status == IMG_OK)
            img_progress_end(img);
    }
    json_object_put(options);
    return status;
}
