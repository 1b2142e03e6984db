/* SPDX-License-Identifier: MIT */
/*
 * Initial RAM disks: cpio archives of the "newc" kind (Linux, Documentation/driver-api/early-userspace/
 * buffer-format.rst), any number after each other, each packed or not. Archives are made, and looked
 * into for the names they have.
 */
#include "load/load_priv.h"

#include "base/error.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { HEADER = 110, FIELD = 8, NAME_MAX_BYTES = 4096, DEPTH_MAX = 128 };
enum { F_MODE = 1, F_SIZE = 6, F_NAME = 11 }; /* fields after the magic */

static const char trailer[] = "TRAILER!!!";

/* ---- Making -------------------------------------------------------------------------- */

static void pad(GByteArray *out)
{
    static const uint8_t zeros[4];
    g_byte_array_append(out, zeros, (guint)(-out->len & 3));
}

static void put_header(GByteArray *out, const char *name, uint32_t mode, size_t size, dev_t device)
{
    char header[HEADER + 1];
    snprintf(header, sizeof header,
             "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", 0u, mode, 0u, 0u, 1u, 0u,
             (unsigned)size, 0u, 0u, major(device), minor(device), (unsigned)strlen(name) + 1, 0u);
    g_byte_array_append(out, (const uint8_t *)header, HEADER);
    g_byte_array_append(out, (const uint8_t *)name, (guint)strlen(name) + 1);
    pad(out);
}

void load_cpio_add(GByteArray *out, const char *name, uint32_t mode, const void *data, size_t size)
{
    put_header(out, name, mode, size, 0);
    g_byte_array_append(out, data, (guint)size);
    pad(out);
}

void load_cpio_end(GByteArray *out)
{
    load_cpio_add(out, trailer, 0, "", 0);
}

typedef struct {
    GByteArray *out;
    uint64_t max;
    int depth;
} Adding;

static bool add_tree(Adding *a, int dir, const char *name, const char *entry, GError **error);

static bool add_folder(Adding *a, int fd, const char *name, GError **error)
{
    DIR *d = fdopendir(fd);
    if (!d) {
        int e = errno;
        close(fd);
        return fail_errno(error, e, "%s", name);
    }
    bool ok = ++a->depth <= DEPTH_MAX || fail(error, "%s: folders nested too deep", name);
    const struct dirent *e;
    while (ok && (e = readdir(d))) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        g_autofree char *child = *name ? g_strdup_printf("%s/%s", name, e->d_name)
                                       : g_strdup(e->d_name);
        ok = add_tree(a, fd, child, e->d_name, error);
    }
    a->depth--;
    closedir(d);
    return ok;
}

static bool add_file(Adding *a, int dir, const char *name, const char *entry, const struct stat *st,
                     GError **error)
{
    if (a->out->len + (uint64_t)st->st_size > a->max)
        return fail(error, "%s: more than %" G_GUINT64_FORMAT " MiB in all", name, a->max >> 20);
    int fd = openat(dir, entry, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return fail_errno(error, errno, "%s", name);
    put_header(a->out, name, st->st_mode, (size_t)st->st_size, 0);
    guint at = a->out->len;
    g_byte_array_set_size(a->out, at + (guint)st->st_size);
    size_t got = 0;
    ssize_t n = 0;
    while (got < (size_t)st->st_size &&
           (n = read(fd, a->out->data + at + got, (size_t)st->st_size - got)) > 0)
        got += (size_t)n;
    int e = n < 0 ? errno : 0;
    close(fd);
    if (e)
        return fail_errno(error, e, "%s", name);
    memset(a->out->data + at + got, 0, (size_t)st->st_size - got); /* it has shrunk meanwhile */
    pad(a->out);
    return true;
}

static bool add_tree(Adding *a, int dir, const char *name, const char *entry, GError **error)
{
    struct stat st;
    if (fstatat(dir, entry, &st, AT_SYMLINK_NOFOLLOW))
        return fail_errno(error, errno, "%s", name);
    if (S_ISREG(st.st_mode))
        return add_file(a, dir, name, entry, &st, error);
    if (S_ISLNK(st.st_mode)) {
        char target[NAME_MAX_BYTES];
        ssize_t n = readlinkat(dir, entry, target, sizeof target);
        if (n < 0)
            return fail_errno(error, errno, "%s", name);
        load_cpio_add(a->out, name, st.st_mode, target, (size_t)n);
        return true;
    }
    if (!S_ISDIR(st.st_mode)) {
        put_header(a->out, name, st.st_mode, 0, st.st_rdev);
        return true;
    }
    put_header(a->out, name, st.st_mode, 0, 0);
    int fd = openat(dir, entry, O_RDONLY | O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW);
    return fd < 0 ? fail_errno(error, errno, "%s", name) : add_folder(a, fd, name, error);
}

bool load_cpio_add_folder(GByteArray *out, const char *folder, const char *name, uint64_t max,
                          GError **error)
{
    Adding a = { .out = out, .max = MIN(max, G_MAXINT32) };
    int fd = open(folder, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    if (fd < 0)
        return fail_errno(error, errno, "%s", folder);
    if (*name)
        put_header(out, name, S_IFDIR | 0755, 0, 0);
    return add_folder(&a, fd, name, error) || prefix(error, "%s", folder);
}

/* ---- Looking --------------------------------------------------------------------------- */

static bool get_field(const uint8_t *header, unsigned n, uint32_t *value)
{
    char text[FIELD + 1] = {0}, *end;
    memcpy(text, header + 6 + FIELD * n, FIELD);
    *value = (uint32_t)strtoul(text, &end, 16);
    return end == text + FIELD;
}

static size_t aligned(size_t n)
{
    return (n + 3) & ~(size_t)3;
}

/* One entry at *at, which moves past it. False: nothing of the kind is there. */
static bool next_entry(const uint8_t *data, size_t size, size_t *at, const char **name)
{
    uint32_t file_size, name_size;
    size_t left = size - *at;
    if (left < HEADER || memcmp(data + *at, "07070", 5) ||
        !get_field(data + *at, F_SIZE, &file_size) || !get_field(data + *at, F_NAME, &name_size) ||
        !name_size || name_size > NAME_MAX_BYTES || name_size > left - HEADER)
        return false;
    *name = (const char *)data + *at + HEADER;
    if ((*name)[name_size - 1])
        return false;
    size_t body = aligned(*at + HEADER + name_size);
    if (body > size || file_size > size - body)
        return false;
    *at = MIN(aligned(body + file_size), size);
    return true;
}

static bool is_name(const char *entry, const char *name)
{
    while (entry[0] == '/' || (entry[0] == '.' && entry[1] == '/'))
        entry++;
    return !strcmp(entry, name);
}

static void note(const char *entry, const char *const *names, bool *found)
{
    for (size_t i = 0; names[i]; i++)
        found[i] = found[i] || is_name(entry, names[i]);
}

/* Archives within packed data are not packed again. */
static bool look(GBytes *initrd, bool packed, const char *const *names, bool *found)
{
    gsize size;
    const uint8_t *data = g_bytes_get_data(initrd, &size);
    size_t at = 0;
    while (at < size) {
        const char *name;
        if (!data[at]) {
            at++;
        } else if (next_entry(data, size, &at, &name)) {
            note(name, names, found);
        } else if (packed) {
            return false;
        } else {
            g_autoptr(GBytes) rest = g_bytes_new_from_bytes(initrd, at, size - at);
            size_t used = 0;
            g_autoptr(GBytes) plain = load_unpack_first(rest, &used);
            if (!plain || !used || !look(plain, true, names, found))
                return false;
            at += used;
        }
    }
    return true;
}

bool load_cpio_has(GBytes *initrd, const char *const *names, bool *found)
{
    return look(initrd, false, names, found);
}
