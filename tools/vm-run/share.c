/* SPDX-License-Identifier: MIT */
#include "share.h"

#include "base/captive.h"
#include "base/error.h"

#include <string.h>

typedef struct {
    char *dir, *tag;
    bool read_only, notify;
    Captive *fsd;
} Share;

static void share_free(void *opaque)
{
    Share *s = opaque;
    captive_end(s->fsd);
    g_free(s->dir);
    g_free(s->tag);
    g_free(s);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Share, share_free)

/* Whether text ended with word, which is then cut off. */
static bool take_word(char *text, const char *word)
{
    if (!g_str_has_suffix(text, word))
        return false;
    text[strlen(text) - strlen(word)] = '\0';
    return true;
}

static Share *share_parse(const char *text, GError **error)
{
    g_autoptr(Share) s = g_new0(Share, 1);
    s->dir = g_strdup(text);
    for (bool more = true; more;) {
        bool read_only = take_word(s->dir, ",readonly"), notify = take_word(s->dir, ",notify");
        s->read_only |= read_only;
        s->notify |= notify;
        more = read_only || notify;
    }
    char *colon = strrchr(s->dir, ':');
    if (colon && !strchr(colon, '/')) {
        s->tag = g_strdup(colon + 1);
        *colon = '\0';
    } else {
        g_autofree char *whole = g_canonicalize_filename(s->dir, NULL);
        s->tag = g_path_get_basename(whole);
    }
    if (!*s->dir || !*s->tag || strchr(s->tag, ','))
        return fail_usage(error, "--share %s: expected DIR:TAG, and perhaps ,readonly or ,notify",
                          text), NULL;
    if (!g_file_test(s->dir, G_FILE_TEST_IS_DIR))
        return fail(error, "--share %s: there is no such folder: %s", text, s->dir), NULL;
    return g_steal_pointer(&s);
}

/* The fsd beside us, or that of PATH. */
static char *find_fsd(void)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *dir = self ? g_path_get_dirname(self) : g_strdup("/usr/bin");
    char *beside = g_build_filename(dir, "fsd", NULL);
    if (g_file_test(beside, G_FILE_TEST_IS_EXECUTABLE))
        return beside;
    g_free(beside);
    return g_strdup("fsd");
}

/* It is started anew when it dies, with what it has stored; the device waits for it until it is
 * refused, which happens once it is given up. */
enum { RESTARTS = 5, SECONDS = 10, RETRY_MS = 50 };

typedef struct {
    const char *text; /* of the option */
    void (*warn)(const char *line);
} Sharer;

static void say(void *opaque, const char *line)
{
    const Sharer *sharer = opaque;
    g_autofree char *whole = g_strdup_printf("--share %s: %s", sharer->text, line);
    sharer->warn(whole);
}

static Captive *start_fsd(const Share *s, Sharer *sharer, GError **error)
{
    g_autofree char *fsd = find_fsd(), *dir = g_strdup_printf("--shared-dir=%s", s->dir),
                    *tag = g_strdup_printf("--tag=%s", s->tag);
    const char *argv[6] = { fsd, dir, tag };
    unsigned n = 3;
    if (s->read_only)
        argv[n++] = "--readonly";
    if (s->notify)
        argv[n++] = "--notify";
    CaptiveKeep keep = { .restarts = RESTARTS, .seconds = SECONDS, .say = say, .opaque = sharer };
    Captive *captive = captive_start_kept(argv, &keep, error);
    return captive ? captive : (prefix(error, "--share"), NULL);
}

GPtrArray *shares_open(const RunOptions *o, ChardevTable *chardevs, void (*warn)(const char *line),
                       GError **error)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(share_free);
    for (guint i = 0; i < o->share->len; i++) {
        Sharer sharer = { o->share->pdata[i], warn };
        Share *s = share_parse(sharer.text, error);
        if (!s)
            return NULL;
        g_ptr_array_add(all, s);
        s->fsd = start_fsd(s, &sharer, error);
        if (!s->fsd)
            return NULL;
        g_autofree char *end =
            g_strdup_printf("socket,id=share%u,path=%s,reconnect-ms=%d,reconnect-tries=1", i,
                            captive_socket(s->fsd), RETRY_MS);
        if (!chardev_table_add(chardevs, end, error))
            return NULL;
    }
    return g_steal_pointer(&all);
}

bool shares_plug(const GPtrArray *shares, Machine *m, GError **error)
{
    for (guint i = 0; i < shares->len; i++) {
        const Share *s = shares->pdata[i];
        g_autofree char *text =
            g_strdup_printf("vhost-user-fs-pci,id=share%u,chardev=share%u,tag=%s", i, i, s->tag);
        if (!machine_add_device(m, text, error))
            return false;
    }
    return true;
}
