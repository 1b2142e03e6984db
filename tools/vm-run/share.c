/* SPDX-License-Identifier: MIT */
#include "share.h"

#include "base/captive.h"
#include "base/error.h"

#include <string.h>

typedef struct {
    char *dir, *tag;
    bool read_only;
} Share;

static void share_clear(Share *s)
{
    g_free(s->dir);
    g_free(s->tag);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Share, share_clear)

static bool share_parse(const char *text, Share *s, GError **error)
{
    s->dir = g_strdup(text);
    s->read_only = g_str_has_suffix(text, ",readonly");
    if (s->read_only)
        s->dir[strlen(text) - strlen(",readonly")] = '\0';
    char *colon = strrchr(s->dir, ':');
    if (colon && !strchr(colon, '/')) {
        s->tag = g_strdup(colon + 1);
        *colon = '\0';
    } else {
        g_autofree char *whole = g_canonicalize_filename(s->dir, NULL);
        s->tag = g_path_get_basename(whole);
    }
    if (!*s->dir || !*s->tag || strchr(s->tag, ','))
        return fail_usage(error, "--share %s: expected DIR:TAG, and perhaps ,readonly", text);
    return g_file_test(s->dir, G_FILE_TEST_IS_DIR) || fail(error, "--share %s: there is no such folder: %s", text, s->dir);
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

/* It is started anew when it dies, with what it has stored; the device waits for it until it is refused, which
 * happens once it is given up. */
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

GPtrArray *shares_open(const RunOptions *o, ChardevTable *chardevs, void (*warn)(const char *line), GError **error)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)captive_end);
    g_autofree char *fsd = find_fsd();
    for (guint i = 0; i < o->share->len; i++) {
        g_auto(Share) s = { 0 };
        if (!share_parse(o->share->pdata[i], &s, error))
            return NULL;
        g_autofree char *dir = g_strdup_printf("--shared-dir=%s", s.dir), *tag = g_strdup_printf("--tag=%s", s.tag);
        const char *const argv[] = { fsd, dir, tag, s.read_only ? "--readonly" : NULL, NULL };
        Sharer sharer = { o->share->pdata[i], warn };
        CaptiveKeep keep = { .restarts = RESTARTS, .seconds = SECONDS, .say = say, .opaque = &sharer };
        Captive *captive = captive_start_kept(argv, &keep, error);
        if (!captive)
            return prefix(error, "--share"), NULL;
        g_ptr_array_add(all, captive);
        g_autofree char *end = g_strdup_printf("socket,id=share%u,path=%s,reconnect-ms=%d,reconnect-tries=1", i,
                                                captive_socket(captive), RETRY_MS);
        if (!chardev_table_add(chardevs, end, error))
            return NULL;
    }
    return g_steal_pointer(&all);
}

bool shares_plug(const RunOptions *o, Machine *m, GError **error)
{
    for (guint i = 0; i < o->share->len; i++) {
        g_auto(Share) s = { 0 };
        if (!share_parse(o->share->pdata[i], &s, error))
            return false;
        g_autofree char *text = g_strdup_printf("vhost-user-fs-pci,id=share%u,chardev=share%u,tag=%s", i, i, s.tag);
        if (!machine_add_device(m, text, error))
            return false;
    }
    return true;
}
