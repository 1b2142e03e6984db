/* SPDX-License-Identifier: MIT */
/* img snapshot: lists, takes, applies and deletes snapshots inside an image. */
#include "img.h"

#include <string.h>
#include <time.h>

typedef enum { NOTHING, LIST, APPLY, CREATE, DELETE } Action;

static bool act(Img *img, BlockNode *node, Action action, const char *name, GError **error)
{
    struct timespec now;
    BlockSnapshot s = {.name = (char *)(uintptr_t)name, .icount = 0};
    bool ok;

    switch (action) {
    case APPLY: return block_snapshot_revert(node, name, error);
    case DELETE: return block_snapshot_drop(node, name, error);
    default:
        clock_gettime(CLOCK_REALTIME, &now);
        s.date_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
        ok = block_snapshot_take(node, &s, error);
        g_free(s.id);
        return ok;
    }
}

static int run(Img *img, const ImgCommon *c, const char *file, Action action, const char *name)
{
    g_autoptr(GError) error = NULL;
    bool looks = action == LIST;
    unsigned flags =
        (looks ? BLOCK_OPEN_READ_ONLY : BLOCK_OPEN_UNMAP) | (c->share ? BLOCK_OPEN_FORCE_SHARE : 0);
    ImgFile f;

    if (!img_open_file(img, &f, file, c->format, NULL,
                       flags | (looks ? BLOCK_OPEN_NO_BACKING | BLOCK_OPEN_NO_DATA : 0),
                       c->image_opts, looks ? 0 : BLOCK_PERM_RW))
        return IMG_FAILED;
    bool ok = true;
    if (looks) {
        g_autoptr(GArray) list = block_snapshot_list(f.node, &error);
        ok = list != NULL;
        if (ok && list->len)
            img_print_snapshots(list);
    } else {
        ok = act(img, f.node, action, name, &error);
    }
    int r = img_close(&f);
    if (!ok && img->compatible)
        return img_fail(img, "Could not %s snapshot '%s': %s", action == APPLY ? "apply"
                        : action == DELETE ? "delete" : "create", name, error->message);
    if (!ok)
        return img_error(img, g_steal_pointer(&error));
    return r ? img_fail(img, "%s: %s", file, g_strerror(-r)) : IMG_OK;
}

int img_snapshot(Img *img, int argc, char **argv)
{
    static const struct option longs[] = {IMG_LONG_COMMON, {NULL, 0, NULL, 0}};
    ImgCommon c = {.format = NULL};
    Action action = NOTHING;
    const char *name = NULL;
    int option, status;

    while ((option = getopt_long(argc, argv, ":la:c:d:hqUf:", longs, NULL)) != -1) {
        Action wanted = NOTHING;
        switch (option) {
        case 'l': wanted = LIST; break;
        case 'a': wanted = APPLY; break;
        case 'c': wanted = CREATE; break;
        case 'd': wanted = DELETE; break;
        default:
            status = IMG_FAILED;
            int took = img_common(img, &c, option, &status);
            if (took < 0)
                return status;
            if (!took)
                return img_bad_option(img, option, argv);
            continue;
        }
        if (action != NOTHING)
            return img_misused(img, "Cannot mix '-l', '-a', '-c', '-d'");
        action = wanted;
        name = optarg;
    }
    if (optind != argc - 1)
        return img_misused(img, "Expecting one image file name");
    return run(img, &c, argv[optind], action == NOTHING ? LIST : action, name);
}
