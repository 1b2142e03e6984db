/* SPDX-License-Identifier: MIT */
/* img: makes, inspects, converts and repairs disk images. Under the name qemu-img it has its texts.
 */
#include "img.h"

#include <signal.h>
#include <string.h>

#include "base/captive.h"
#include "base/option.h"
#include "crypto/crypto.h"

static const struct {
    const char *name;
    ImgVerb *run;
    const char *usage, *summary;
} verbs[] = {
#define IMG_VERB(name, usage, summary) {#name, img_##name, usage, summary},
#include "verbs.def"
#undef IMG_VERB
};

static int help(const Img *img)
{
    printf("%s%s\nusage: %s [-h] [-V] VERB [OPTIONS]\nMakes, inspects, converts and repairs disk "
           "images.\n\n",
           img->name,
           img->compatible ? " version 7.0.0 (Lathe " LATHE_VERSION ")" : " (Lathe) " LATHE_VERSION,
           img->name);
    for (unsigned i = 0; i < G_N_ELEMENTS(verbs); i++)
        printf("  %-9s %s\n            %s\n", verbs[i].name, verbs[i].usage, verbs[i].summary);
    printf("\nOptions of most verbs: -f FMT format, -q quiet, -p progress, -t CACHE and -T CACHE "
           "cache modes, -U share\n"
           "with other users, --image-opts names are option lists, --object secret,..., "
           "--output=human|json.\n"
           "  --help    after a verb: all its options\n");
    printf("\nExamples:\n  %s create -f qcow2 disk.qcow2 20G\n  %s info -U disk.qcow2\n", img->name,
           img->name);
    g_autofree char *drivers = block_help();
    g_autoptr(GString) names = g_string_new(NULL);
    for (char *line = drivers, *end; line && *line; line = end ? end + 1 : NULL) {
        end = strchr(line, '\n');
        g_string_append_printf(names, " %.*s", (int)strcspn(line, " "), line);
    }
    printf("\nSupported formats:%s\n", names->str);
    return fflush(stdout) ? IMG_FAILED : IMG_OK;
}

static int version(const Img *img)
{
    puts(img->compatible ? "qemu-img version 7.0.0 (Lathe " LATHE_VERSION ")"
                         : "img (Lathe) " LATHE_VERSION);
    return fflush(stdout) ? IMG_FAILED : IMG_OK;
}

static int unknown_verb(Img *img, const char *verb)
{
    const char *names[G_N_ELEMENTS(verbs) + 1] = {NULL};
    for (unsigned i = 0; i < G_N_ELEMENTS(verbs); i++)
        names[i] = verbs[i].name;
    const char *near = option_nearest(verb, names);
    if (near)
        return img_misused(img, "Command not found: %s (did you mean '%s'?)", verb, near);
    return img_misused(img, "Command not found: %s", verb);
}

/* Lines of lib/block: a guess of raw is told as qemu-img tells it. */
static void on_warning(void *opaque, const char *text)
{
    Img *img = opaque;
    const char *guess = strstr(text, ": no format given, taken for raw");

    if (!guess) {
        img_warn(img, "%s", text);
        return;
    }
    if (img->probed_raw)
        return;
    img->probed_raw = true;
    fprintf(stderr,
            "WARNING: Image format was not specified for '%.*s' and probing guessed raw.\n"
            "         Automatically detecting the format is dangerous for raw images, write "
            "operations on block 0 "
            "will be restricted.\n"
            "         Specify the 'raw' format explicitly to remove the restrictions.\n",
            (int)(guess - text), text);
}

int main(int argc, char **argv)
{
    g_autofree char *name = g_path_get_basename(argc && argv[0] ? argv[0] : "img");
    Img img = {.name = name, .compatible = g_str_has_prefix(name, "qemu-img")};

    /* both are errors of writing like others */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    if (argc < 2)
        return img_misused(&img, "Not enough arguments");
    const char *verb = argv[1];
    /* tracing is accepted and not there */
    if ((!strcmp(verb, "-T") || !strcmp(verb, "--trace")) && argc > 3) {
        argv += 2;
        argc -= 2;
        verb = argv[1];
    }
    if (!strcmp(verb, "-h") || !strcmp(verb, "--help") || !strcmp(verb, "-help") ||
        !strcmp(verb, "help"))
        return help(&img);
    if (!strcmp(verb, "-V") || !strcmp(verb, "--version") || !strcmp(verb, "-v"))
        return version(&img);
    for (unsigned i = 0; i < G_N_ELEMENTS(verbs); i++) {
        if (strcmp(verbs[i].name, verb))
            continue;
        g_auto(GStrv) words = NULL;
        g_autoptr(GPtrArray) captives = NULL;
        GError *error = NULL;
        img.verb = verb;
        if (!captive_arguments(argc - 1, argv + 1, &words, &captives, &error))
            return img_error(&img, error);
        img.graph = block_graph_new();
        img.objects = crypto_objects_new();
        block_graph_set_objects(img.graph, img.objects);
        block_graph_on_warning(img.graph, on_warning, &img);
        unsigned n = g_strv_length(words);
        /* verbs put other words in their place */
        g_autofree char **given = g_memdup2(words, (n + 1) * sizeof *words);
        int status = verbs[i].run(&img, (int)n, given);
        block_graph_free(img.graph);
        crypto_objects_free(img.objects);
        if (fflush(stdout) || ferror(stdout)) {
            perror(name);
            return IMG_FAILED;
        }
        return status;
    }
    return unknown_verb(&img, verb);
}
