/* SPDX-License-Identifier: MIT */
/* Reading /sys and /proc: proc(5) for mountinfo, the kernel's
 * Documentation/admin-guide/sysfs-rules.rst. */
#include "sysfs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

int64_t ga_read_number(const Ga *ga, int base, int64_t def, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *path = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    g_autofree char *text = ga_read(ga, "%s", path);
    char *end;
    if (!text)
        return def;
    int64_t n = g_ascii_strtoll(text, &end, base);
    return end == text ? def : n;
}

char *ga_link_name(const char *path)
{
    g_autofree char *to = g_file_read_link(path, NULL);
    return to ? g_path_get_basename(to) : NULL;
}

static int by_version(const void *a, const void *b)
{
    return strverscmp(*(char *const *)a, *(char *const *)b);
}

GPtrArray *ga_names(const char *path)
{
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *name;
    if (!dir)
        return NULL;
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    while ((name = g_dir_read_name(dir)))
        g_ptr_array_add(names, g_strdup(name));
    g_dir_close(dir);
    g_ptr_array_sort(names, by_version);
    return names;
}

GArray *ga_numbered(const Ga *ga, const char *prefix, const char *folder)
{
    g_autofree char *path = ga_path(ga, "%s", folder);
    g_autoptr(GPtrArray) names = ga_names(path);
    size_t skip = strlen(prefix);
    if (!names)
        return NULL;
    GArray *numbers = g_array_new(false, false, sizeof(int64_t));
    for (unsigned i = 0; i < names->len; i++) {
        const char *name = names->pdata[i];
        if (!g_str_has_prefix(name, prefix) || !name[skip] ||
            name[skip + strspn(name + skip, "0123456789")])
            continue;
        int64_t n = g_ascii_strtoll(name + skip, NULL, 10);
        g_array_append_val(numbers, n);
    }
    return numbers;
}

/* ---- Mounts ----------------------------------------------------------------------- */

static void mount_free(void *opaque)
{
    GaMount *m = opaque;
    g_free(m->device);
    g_free(m->dir);
    g_free(m->type);
    g_free(m);
}

/* File systems with several disks have a number of their own in mountinfo: the disk that is
 * named is what they are known by. */
static bool real_numbers(GaMount *m)
{
    struct stat st;
    if (m->major)
        return true;
    if (!g_str_equal(m->type, "btrfs") && !g_str_equal(m->type, "bcachefs"))
        return false;
    if (stat(m->device, &st) || !S_ISBLK(st.st_mode))
        return false;
    m->major = major(st.st_rdev);
    m->minor = minor(st.st_rdev);
    return true;
}

/* "ID PARENT MAJOR:MINOR ROOT DIR OPTIONS [TAGS] - TYPE SOURCE OPTIONS"; NULL: not on a disk. */
static GaMount *parse_mount(const char *line)
{
    g_auto(GStrv) words = g_strsplit(line, " ", -1);
    unsigned n = g_strv_length(words), dash = 6;
    GaMount *m = g_new0(GaMount, 1);
    while (dash < n && !g_str_equal(words[dash], "-"))
        dash++;
    if (dash + 2 < n && sscanf(words[2], "%u:%u", &m->major, &m->minor) == 2 &&
        words[dash + 2][0] == '/') {
        m->device = g_strcompress(words[dash + 2]); /* blanks are octal */
        m->dir = g_strcompress(words[4]);
        m->type = g_strdup(words[dash + 1]);
        if (real_numbers(m))
            return m;
    }
    mount_free(m);
    return NULL;
}

GPtrArray *ga_mounts(const Ga *ga, GError **error)
{
    g_autofree char *text = ga_read(ga, "/proc/self/mountinfo");
    if (!text) {
        ga_fail(error, "failed to read /proc/self/mountinfo");
        return NULL;
    }
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    GPtrArray *mounts = g_ptr_array_new_with_free_func(mount_free);
    for (unsigned i = g_strv_length(lines); i > 0; i--) {
        GaMount *m = parse_mount(lines[i - 1]);
        if (m)
            g_ptr_array_add(mounts, m);
    }
    return mounts;
}

char *ga_block_path(const Ga *ga, const char *link)
{
    g_autofree char *path = ga_path(ga, "%s", link);
    char *real = realpath(path, NULL);
    char *copy = g_strdup(real);
    free(real);
    return copy;
}
