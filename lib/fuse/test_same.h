/* SPDX-License-Identifier: MIT */
/* Two folders alike, one served by a session and one of the host's, and a case on both of them:
 * what they gave, and whole folders, compared. */
#pragma once

#include "fuse/test_front.h"

#include <dirent.h>
#include <grp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>

static const char *const kinds[] = { "file",     "empty",   "dir",     "full",   "link",
                                     "dangling", "loop",    "dirlink", "fifo",   "sock",
                                     "setuid",   "setgid",  "ro",      "sparse", "hard",
                                     "dev",      "missing", "sgdir",   "sticky" };
enum { KINDS = G_N_ELEMENTS(kinds) };

typedef struct {
    Front *f;
    char *ours, *hosts; /* the folder served, and its like */
    int host;
    bool devices;       /* we may make some */
    unsigned cases, wrong;
    char *pristine;     /* what the folder is like when it was just made */
    bool dirty;         /* it may have changed in what is not told of it */
    GString *a, *b;     /* what the two gave */
} Pair;

/* ---- The folder ------------------------------------------------------------------- */

static void put_file(int at, const char *name, size_t size, mode_t mode)
{
    int fd = openat(at, name, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    g_assert_cmpint(fd, >=, 0);
    for (size_t i = 0; i < size; i++) {
        char c = (char)('a' + i % 26);
        g_assert_cmpint(write(fd, &c, 1), ==, 1);
    }
    g_assert_cmpint(fchmod(fd, mode), ==, 0);
    close(fd);
}

static void fill(const char *dir, bool devices)
{
    int at = open(dir, O_RDONLY | O_DIRECTORY);
    put_file(at, "file", 100, 0644);
    put_file(at, "empty", 0, 0600);
    put_file(at, "setuid", 10, 04755);
    put_file(at, "setgid", 10, 02755);
    put_file(at, "ro", 5, 0444);
    put_file(at, "sparse", 1, 0666);
    int fd = openat(at, "sparse", O_WRONLY);
    g_assert_cmpint(pwrite(fd, "x", 1, 1 << 20), ==, 1);
    close(fd);
    g_assert_cmpint(mkdirat(at, "dir", 0777), ==, 0);
    g_assert_cmpint(mkdirat(at, "sgdir", 02777), ==, 0);
    g_assert_cmpint(mkdirat(at, "sticky", 01777), ==, 0);
    g_assert_cmpint(mkdirat(at, "full", 0777), ==, 0);
    g_assert_cmpint(linkat(at, "file", at, "full/inner", 0), ==, 0);
    g_assert_cmpint(linkat(at, "setuid", at, "hard", 0), ==, 0);
    g_assert_cmpint(symlinkat("file", at, "link"), ==, 0);
    g_assert_cmpint(symlinkat("nowhere", at, "dangling"), ==, 0);
    g_assert_cmpint(symlinkat("loop", at, "loop"), ==, 0);
    g_assert_cmpint(symlinkat("dir", at, "dirlink"), ==, 0);
    g_assert_cmpint(mknodat(at, "fifo", S_IFIFO | 0644, 0), ==, 0);
    g_assert_cmpint(mknodat(at, "sock", S_IFSOCK | 0755, 0), ==, 0);
    if (devices)
        g_assert_cmpint(mknodat(at, "dev", S_IFCHR | 0666, makedev(1, 3)), ==, 0);
    close(at);
}

static void tell_attr(GString *to, const struct stat *st)
{
    g_string_append_printf(to, " mode %o links %u own %u:%u size %lld rdev %u.%u", st->st_mode,
                           (unsigned)st->st_nlink, st->st_uid, st->st_gid,
                           S_ISDIR(st->st_mode) ? 0LL : (long long)st->st_size, major(st->st_rdev),
                           minor(st->st_rdev));
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void tell_xattrs(const char *path, GString *to)
{
    char list[4096], value[4096];
    ssize_t n = llistxattr(path, list, sizeof list);
    for (ssize_t i = 0; i < n; i += (ssize_t)strlen(list + i) + 1) {
        ssize_t v = lgetxattr(path, list + i, value, sizeof value);
        g_string_append_printf(to, " %s=%d:%.*s", list + i, (int)v, (int)MAX(v, 0), value);
    }
}

/* All there is below a folder of the host. */
static void tell_tree(const char *dir, GString *to)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d)) != NULL;)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
            g_ptr_array_add(names, g_strdup(e->d_name));
    if (d)
        closedir(d);
    g_ptr_array_sort(names, by_name);
    for (guint i = 0; i < names->len; i++) {
        g_autofree char *path = g_build_filename(dir, names->pdata[i], NULL);
        struct stat st;
        char target[256];
        if (lstat(path, &st))
            continue;
        g_string_append_printf(to, "\n%s", (char *)names->pdata[i]);
        tell_attr(to, &st);
        tell_xattrs(path, to);
        ssize_t n = S_ISLNK(st.st_mode) ? readlink(path, target, sizeof target) : 0;
        if (n > 0)
            g_string_append_printf(to, " -> %.*s", (int)n, target);
        g_autofree char *text = NULL;
        gsize size = 0;
        uint32_t hash = 1;
        if (S_ISREG(st.st_mode) && st.st_size < 10000 &&
            g_file_get_contents(path, &text, &size, NULL))
            for (gsize k = 0; k < size; k++)
                hash = (hash ^ (uint8_t)text[k]) * 16777619;
        if (hash != 1)
            g_string_append_printf(to, " hash %x", hash);
        if (S_ISDIR(st.st_mode))
            tell_tree(path, to);
    }
}

static void empty_folder(const char *dir)
{
    front_remove(dir);
    g_assert_cmpint(mkdir(dir, 0777), ==, 0);
}

/* ---- One case ------------------------------------------------------------------------ */

static void begin(Pair *p)
{
    const char *dirs[] = { p->ours, p->hosts };
    g_autofree char *host = g_build_filename(p->hosts, "t", NULL);
    for (unsigned i = 0; i < 2 && p->dirty; i++) {
        g_autofree char *dir = g_build_filename(dirs[i], "t", NULL);
        empty_folder(dir);
        fill(dir, p->devices);
    }
    if (!p->pristine) {
        g_autoptr(GString) tree = g_string_new(NULL);
        tell_tree(host, tree);
        p->pristine = g_string_free(g_steal_pointer(&tree), FALSE);
    }
    p->dirty = false;
    p->host = open(host, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_string_truncate(p->a, 0);
    g_string_truncate(p->b, 0);
}

static void show_difference(const char *what, const char *a, const char *b)
{
    g_auto(GStrv) x = g_strsplit(a, "\n", -1), y = g_strsplit(b, "\n", -1);
    g_printerr("%s\n", what);
    for (unsigned i = 0; x[i] && y[i]; i++)
        if (strcmp(x[i], y[i])) {
            g_printerr("  session: %s\n  host:    %s\n", x[i], y[i]);
            return;
        }
    g_printerr("  one of the folders has more in it\n");
}

static void end(Pair *p, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
static void end(Pair *p, const char *fmt, ...)
{
    va_list ap;
    g_autofree char *ours = g_build_filename(p->ours, "t", NULL),
                    *host = g_build_filename(p->hosts, "t", NULL);
    close(p->host);
    size_t told[] = { p->a->len, p->b->len };
    tell_tree(ours, p->a);
    tell_tree(host, p->b);
    p->dirty = p->dirty || strcmp(p->a->str + told[0], p->pristine) ||
               strcmp(p->b->str + told[1], p->pristine);
    p->cases++;
    if (!strcmp(p->a->str, p->b->str))
        return;
    va_start(ap, fmt);
    g_autofree char *what = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    if (p->wrong++ < 20)
        show_difference(what, p->a->str, p->b->str);
}

static void gave(GString *to, int e)
{
    g_string_append_printf(to, " [%s]", e ? g_strerror(e) : "done");
}

/* The folder "t" through the session. */
static uint64_t folder(Pair *p)
{
    uint64_t node;
    g_assert_cmpint(front_walk(p->f, "t", &node), ==, 0);
    return node;
}

/* The call on the host, as the guest's user where that matters. */
#define HOST(p, call) gave((p)->b, (call) < 0 ? errno : 0)

static void host_become(Pair *p)
{
    if (p->f->gid)
        g_assert_cmpint(syscall(SYS_setresgid, -1, p->f->gid, -1), ==, 0);
    if (p->f->uid)
        g_assert_cmpint(syscall(SYS_setresuid, -1, p->f->uid, -1), ==, 0);
}

static void host_back(Pair *p)
{
    if (p->f->uid)
        g_assert_cmpint(syscall(SYS_setresuid, -1, 0, -1), ==, 0);
    if (p->f->gid)
        g_assert_cmpint(syscall(SYS_setresgid, -1, 0, -1), ==, 0);
}

#define HOST_AS(p, call) \
    do { \
        host_become(p); \
        int r_ = (call) < 0 ? errno : 0; \
        host_back(p); \
        gave((p)->b, r_); \
    } while (0)
