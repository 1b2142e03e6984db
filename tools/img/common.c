/* SPDX-License-Identifier: MIT */
/* Messages, options that many verbs have, and opening and closing images. */
#include "img.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/size.h"
#include "crypto/crypto.h"

/* ---- messages ------------------------------------------------------------ */

static void print(const Img *img, const char *what, const char *fmt, va_list ap)
{
    g_autofree char *text = g_strdup_vprintf(fmt, ap);
    fflush(stdout);
    fprintf(stderr, "%s: %s%s\n", img->name, what, text);
}

int img_fail(Img *img, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    print(img, "", fmt, ap);
    va_end(ap);
    return IMG_FAILED;
}

int img_error(Img *img, GError *error)
{
    int status =
        error && error->code == BASE_ERROR_USAGE && !img->compatible ? IMG_MISUSED : IMG_FAILED;
    img_fail(img, "%s", error ? error->message : "no reason given");
    g_clear_error(&error);
    return status;
}

int img_misused(Img *img, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    print(img, "", fmt, ap);
    va_end(ap);
    bool verb = img->verb && !img->compatible;
    fprintf(stderr, "Try '%s %s%s--help' for more information\n", img->name, verb ? img->verb : "",
            verb ? " " : "");
    return img->compatible ? IMG_FAILED : IMG_MISUSED;
}

void img_warn(Img *img, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    print(img, "warning: ", fmt, ap);
    va_end(ap);
}

void img_say(Img *img, const char *fmt, ...)
{
    va_list ap;
    if (img->quiet)
        return;
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
}

/* ---- options -------------------------------------------------------------- */

static bool throttle_group(Img *img, const char *text)
{
    g_autoptr(GError) error = NULL;
    struct json_object *options = block_options_parse(text, NULL, &error);

    if (options)
        block_throttle_group(img->graph, options, &error);
    json_object_put(options);
    if (!error)
        return true;
    img_error(img, g_steal_pointer(&error));
    return false;
}

/* --object: throttle groups, and what lib/crypto has. */
static bool object(Img *img, const char *text, int *status)
{
    size_t n = strcspn(text, ",");
    GError *error = NULL;

    if (n == strlen("throttle-group") && !strncmp(text, "throttle-group", n)) {
        *status = IMG_FAILED;
        return throttle_group(img, text[n] ? text + n + 1 : "");
    }
    if (!crypto_is_object(text)) {
        *status = img_misused(img, "Parameter 'qom-type' does not accept value '%.*s'", (int)n, text);
        return false;
    }
    if (crypto_objects_add(img->objects, text, &error))
        return true;
    *status = img_error(img, error);
    return false;
}

/* --progress: how it is shown, for programs that read it. */
static bool progress(Img *img, const char *text, int *status)
{
    static const char *const words[] = {[IMG_PROGRESS_NONE] = "none", [IMG_PROGRESS_BAR] = "bar",
                                        [IMG_PROGRESS_JSON] = "json"};
    char *end;

    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        if (!words[i] || strcmp(words[i], text))
            continue;
        img->progress = (ImgProgress)i;
        return true;
    }
    if (g_str_has_prefix(text, "fd:") && g_ascii_isdigit(text[3])) {
        unsigned long fd = strtoul(text + 3, &end, 10);
        if (!*end && fd <= INT_MAX && fcntl((int)fd, F_GETFD) >= 0) {
            img->progress = IMG_PROGRESS_FD;
            img->progress_fd = (int)fd;
            return true;
        }
        *status = img_misused(img, "--progress=%s: there is no such open file descriptor", text);
        return false;
    }
    *status = img_misused(img, "--progress=%s: it is none, bar, json or fd:N", text);
    return false;
}

static int print_usage(Img *img)
{
    static const struct {
        const char *name, *usage, *summary;
    } verbs[] = {
#define IMG_VERB(name, usage, summary) {#name, usage, summary},
#include "verbs.def"
#undef IMG_VERB
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(verbs); i++)
        if (!strcmp(verbs[i].name, img->verb))
            printf("usage: %s %s %s\n%s; img(1) has all options\n", img->name, img->verb,
                   verbs[i].usage, verbs[i].summary);
    return IMG_OK;
}

int img_common(Img *img, ImgCommon *c, int option, int *status)
{
    switch (option) {
    case 'h': *status = print_usage(img); c->help = true; return -1;
    case 'f': c->format = optarg; return 1;
    case 't': c->cache = optarg; return 1;
    case 'U': c->share = true; return 1;
    case 'q': img->quiet = true; return 1;
    case 'p': img->progress = img->progress ? img->progress : IMG_PROGRESS_STDOUT; return 1;
    case IMG_OPT_PROGRESS: return progress(img, optarg, status) ? 1 : -1;
    case IMG_OPT_IMAGE_OPTS: c->image_opts = true; return 1;
    case IMG_OPT_OBJECT:
        return object(img, optarg, status) ? 1 : -1;
    case IMG_OPT_OUTPUT:
        c->json = !strcmp(optarg, "json");
        if (c->json || !strcmp(optarg, "human"))
            return 1;
        *status = img_misused(img, "--output must be used with human or json as argument.");
        return -1;
    default: return 0;
    }
}

int img_bad_option(Img *img, int option, char **argv)
{
    const char *word = argv[optind - 1];
    char letter[] = {'-', (char)optopt, 0};

    /* a long option has no letter, or stands for one and was spelt out */
    if (optopt && optopt < 128 && !g_str_has_prefix(word, "--"))
        word = letter;
    return option == ':' ? img_misused(img, "missing argument for option '%s'", word)
                         : img_misused(img, "unrecognized option '%s'", word);
}

/* Later words replace earlier ones; "encrypt.a" and "encrypt.b" of two lists go together. */
static void merge(struct json_object *into, struct json_object *from)
{
    struct json_object *there;

    json_object_object_foreach(from, key, value) {
        if (json_object_is_type(value, json_type_object) &&
            json_object_object_get_ex(into, key, &there) &&
            json_object_is_type(there, json_type_object))
            merge(there, value);
        else
            json_object_object_add(into, key, json_object_get(value));
    }
}

struct json_object *img_options(Img *img, const char *const *lists)
{
    struct json_object *all = json_object_new_object();
    g_autoptr(GError) error = NULL;

    for (; lists && *lists; lists++) {
        struct json_object *one = block_options_parse(*lists, NULL, &error);
        if (!one) {
            img_error(img, g_steal_pointer(&error));
            json_object_put(all);
            return NULL;
        }
        merge(all, one);
        json_object_put(one);
    }
    return all;
}

const char *img_option_text(struct json_object *options, const char *path)
{
    const char *dot = strchr(path, '.');
    g_autofree char *first = dot ? g_strndup(path, (gsize)(dot - path)) : g_strdup(path);
    struct json_object *value;

    if (!json_object_object_get_ex(options, first, &value))
        return NULL;
    return dot ? img_option_text(value, dot + 1) : json_object_get_string(value);
}

void img_option_names(struct json_object *options, const char *prefix, GPtrArray *names)
{
    json_object_object_foreach(options, key, value) {
        char *path = g_strconcat(prefix, key, NULL);
        if (json_object_is_type(value, json_type_object)) {
            g_autofree char *under = g_strconcat(path, ".", NULL);
            img_option_names(value, under, names);
            g_free(path);
        } else {
            g_ptr_array_add(names, path);
        }
    }
}

bool img_options_known(Img *img, const char *file, const char *format, struct json_object *options)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

    img_option_names(options, "", names);
    for (unsigned i = 0; i < names->len; i++) {
        const char *name = names->pdata[i];
        if (strcmp(name, "size") && !block_create_knows(img->graph, format, name)) {
            img_misused(img, "%s%sInvalid parameter '%s'", file ? file : "", file ? ": " : "",
                        name);
            return false;
        }
    }
    return true;
}

bool img_size(Img *img, const char *text, const char *what, uint64_t *size)
{
    g_autoptr(GError) error = NULL;
    bool number = size_parse(text, size, &error);
    if (number && *size <= INT64_MAX)
        return true;
    if (number || (g_ascii_isdigit(*text) && strstr(error->message, "64 bits"))) {
        img_fail(img, "Invalid %s specified. Must be between 0 and 9223372036854775807.", what);
        return false;
    }
    img_fail(img, "Invalid %s specified. You may use k, M, G, T, P or E suffixes for", what);
    img_fail(img, "kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.");
    return false;
}

/* ---- images --------------------------------------------------------------- */

static bool image_opts_tree(const char *text, struct json_object **tree, GError **error)
{
    *tree = block_options_parse(text, "driver", error);
    return *tree != NULL;
}

BlockNode *img_open(Img *img, const char *name, const char *format, const char *cache,
                    unsigned flags, bool image_opts)
{
    g_autoptr(GError) error = NULL;
    BlockNode *node = NULL;
    bool writethrough;

    if (cache && !block_cache_parse(cache, &flags, &writethrough, &error)) {
        img_fail(img, "Invalid %scache option: %s", flags & BLOCK_OPEN_READ_ONLY ? "source " : "",
                 cache);
        return NULL;
    }
    if (image_opts) {
        struct json_object *tree;
        if (format) {
            img_misused(img, "--image-opts and --format are mutually exclusive");
            return NULL;
        }
        if (image_opts_tree(name, &tree, &error)) {
            node = block_open(img->graph, tree, flags, &error);
            json_object_put(tree);
        }
    } else {
        node = block_open_file(img->graph, name, format, flags, &error);
    }
    if (!node && img->compatible)
        img_fail(img, "Could not open '%s': %s", name, error->message);
    else if (!node)
        img_error(img, g_steal_pointer(&error));
    return node;
}

BlockNode *img_open_made(Img *img, const char *name, const char *format, const char *cache,
                         unsigned flags, struct json_object *made_with)
{
    static const char *const names[] = {"key-secret", "encrypt.key-secret", "encrypt.format"};
    g_autoptr(GError) error = NULL;
    struct json_object *tree = block_image_options(img->graph, name, format, &error);
    BlockNode *node = NULL;
    bool writethrough,
        ok = tree && (!cache || block_cache_parse(cache, &flags, &writethrough, &error));

    for (unsigned i = 0; ok && i < G_N_ELEMENTS(names); i++) {
        const char *text = img_option_text(made_with, names[i]);
        if (text)
            ok = block_options_set(tree, names[i], text, &error);
    }
    if (ok)
        node = block_open(img->graph, tree, flags, &error);
    json_object_put(tree);
    if (!node)
        img_fail(img, "Could not open '%s': %s", name, error->message);
    return node;
}

BlockUser *img_attach(Img *img, BlockNode *node, unsigned perm)
{
    g_autoptr(GError) error = NULL;
    BlockAttach attach = {.name = img->name, .perm = perm ? perm : BLOCK_PERM_READ,
                          .shared = BLOCK_SHARE_DEFAULT | (perm ? 0 : BLOCK_PERM_RESIZE)};
    BlockUser *user = block_attach(node, &attach, &error);
    if (!user)
        img_error(img, g_steal_pointer(&error));
    return user;
}

bool img_open_file(Img *img, ImgFile *file, const char *name, const char *format, const char *cache,
                   unsigned flags, bool image_opts, unsigned perm)
{
    *file = (ImgFile){NULL, NULL};
    file->node = img_open(img, name, format, cache, flags, image_opts);
    if (file->node)
        file->user = img_attach(img, file->node, perm);
    if (!file->user)
        img_close(file);
    return file->user != NULL;
}

int img_close(ImgFile *file)
{
    int r = file->user && !block_node_read_only(file->node) ? block_flush(file->user) : 0;
    block_detach(g_steal_pointer(&file->user));
    block_node_unref(g_steal_pointer(&file->node));
    return r;
}

bool img_snapshot_load(Img *img, BlockNode *node, const char *which)
{
    g_autoptr(GError) error = NULL;
    const char *id = NULL, *name = NULL;
    struct json_object *parts = NULL;

    if (g_str_has_prefix(which, "snapshot.")) {
        parts = block_options_parse(which, NULL, &error);
        id = parts ? img_option_text(parts, "snapshot.id") : NULL;
        name = parts ? img_option_text(parts, "snapshot.name") : NULL;
        if (!id && !name) {
            img_fail(img, "Failed in parsing snapshot param '%s'", which);
            json_object_put(parts);
            return false;
        }
    }
    bool ok = true;
    if (id && name) {
        /* both have to be those of one snapshot */
        g_autoptr(GArray) list = block_snapshot_list(node, &error);
        ok = false;
        for (unsigned i = 0; list && i < list->len; i++) {
            const BlockSnapshot *s = &g_array_index(list, BlockSnapshot, i);
            ok = ok || (!strcmp(s->id, id) && !strcmp(s->name, name));
        }
        if (!ok)
            img_fail(img, "Failed to load snapshot: Can't find snapshot");
    }
    if (ok && !block_snapshot_load(node, id ? id : name ? name : which, &error)) {
        img_fail(img, "Failed to load snapshot: %s", error->message);
        ok = false;
    }
    json_object_put(parts);
    return ok;
}
