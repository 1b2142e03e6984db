/* SPDX-License-Identifier: MIT */
/*
 * What others do to the shared directory, by fanotify(7): each folder that the guest knows is
 * marked, and an event names its folder by the file system's handle, which a table leads back to
 * the node. Events of this very process, which are the guest's own doing, carry its number and are
 * dropped; all others come without one, since we have no privileges. A folder that is marked keeps
 * its descriptor, by which the mark is taken away again, so only so many are.
 */
#include "fs/fs_priv.h"

#include "base/error.h"

#include <errno.h>
#include <linux/limits.h>
#include <linux/openat2.h>
#include <poll.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
    MASK = FAN_CREATE | FAN_DELETE | FAN_MOVED_FROM | FAN_MOVED_TO | FAN_MODIFY | FAN_ATTRIB |
           FAN_ONDIR | FAN_EVENT_ON_CHILD
};

struct FsWatch {
    int fd;
    GHashTable *nodes;  /* key (GBytes) -> uint64_t *, a node's id */
    GHashTable *keys;   /* FsNode * -> key */
    bool missed;        /* something may have happened of which there is no event */
    size_t at, end;     /* what is left of buffer; the reader's */
    uint8_t buffer[16384] __attribute__((aligned(8)));
};

/* File system, type and bytes of a handle. */
static GBytes *key_of(const void *fsid, const struct file_handle *h)
{
    uint8_t bytes[8 + sizeof h->handle_type + MAX_HANDLE_SZ];
    if (h->handle_bytes > MAX_HANDLE_SZ)
        return NULL;
    memcpy(bytes, fsid, 8);
    memcpy(bytes + 8, &h->handle_type, sizeof h->handle_type);
    memcpy(bytes + 8 + sizeof h->handle_type, h->f_handle, h->handle_bytes);
    return g_bytes_new(bytes, 8 + sizeof h->handle_type + h->handle_bytes);
}

bool fs_watch_start(Fs *fs, GError **error)
{
    if (!fs->o.watch)
        return true;
    int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME | FAN_NONBLOCK | FAN_CLOEXEC,
                           O_RDONLY);
    if (fd < 0)
        return fail_errno(error, errno,
                          "watching the shared directory (fanotify of Linux 5.13 or later)");
    if (fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_ONLYDIR, MASK, AT_FDCWD,
                      fs_path(fs, fs->root_fd).text)) {
        int e = errno;
        close(fd);
        return fail_errno(error, e, "watching the shared directory");
    }
    FsWatch *w = g_new0(FsWatch, 1);
    w->fd = fd;
    w->nodes =
        g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, g_free);
    w->keys = g_hash_table_new(NULL, NULL);
    fs->watch = w;
    return true;
}

void fs_watch_free(Fs *fs)
{
    FsWatch *w = fs->watch;
    if (!w)
        return;
    close(w->fd);
    g_hash_table_destroy(w->keys);
    g_hash_table_destroy(w->nodes);
    g_free(w);
    fs->watch = NULL;
}

/* ---- Folders -------------------------------------------------------------------------- */

void fs_watch_folder(Fs *fs, uint64_t id)
{
    FsUse use;
    struct statfs st;
    FsWatch *w = fs->watch;
    FsKernelHandle k = { .h.handle_bytes = MAX_HANDLE_SZ };
    int mount;
    if (fs_use(fs, id, &use))
        return;
    GBytes *key = NULL;
    if (!name_to_handle_at(use.fd, "", &k.h, &mount, AT_EMPTY_PATH) && !fstatfs(use.fd, &st))
        key = key_of(&st.f_fsid, &k.h);
    pthread_mutex_lock(&fs->lock);
    bool room = key && !use.node->watched && g_hash_table_size(w->keys) < fs->max_fds / 2 &&
                !fanotify_mark(w->fd, FAN_MARK_ADD | FAN_MARK_ONLYDIR, MASK, AT_FDCWD,
                               fs_path(fs, use.fd).text);
    if (room) {
        uint64_t *value = g_new(uint64_t, 1);
        *value = id;
        use.node->watched = use.node->keep = true;
        g_hash_table_insert(w->keys, use.node, key);
        g_hash_table_replace(w->nodes, g_bytes_ref(key), value);
        key = NULL;
    }
    pthread_mutex_unlock(&fs->lock);
    if (key)
        g_bytes_unref(key);
    fs_done(fs, &use);
}

void fs_watch_all(Fs *fs)
{
    for (uint32_t i = 0; fs->watch && i < fs->nodes.size; i++) {
        const FsNode *n = fs->nodes.items[i];
        if (n && S_ISDIR(n->type))
            fs_watch_folder(fs, n->id);
    }
    if (fs->watch)
        fs->watch->missed = true;
}

void fs_watch_drop(Fs *fs, FsNode *n)
{
    FsWatch *w = fs->watch;
    GBytes *key = g_hash_table_lookup(w->keys, n);
    if (!key)
        return;
    const uint64_t *id = g_hash_table_lookup(w->nodes, key);
    if (id && *id == n->id) { /* else the same folder is known by another mount, too */
        g_hash_table_remove(w->nodes, key);
        fanotify_mark(w->fd, FAN_MARK_REMOVE, MASK, AT_FDCWD, fs_path(fs, n->fd).text);
    }
    g_hash_table_remove(w->keys, n);
    g_bytes_unref(key);
}

/* ---- Events ----------------------------------------------------------------------------- */

/* Whether path leads from the root to that very folder: those that are gone or were moved out have
 * paths, too. */
static bool leads_to(Fs *fs, const char *path, int folder)
{
    struct stat want, st;
    struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                            .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
    int fd = (int)syscall(SYS_openat2, fs->root_fd, *path ? path : ".", &how, sizeof how);
    bool same = fd >= 0 && !fstat(fd, &st) && !fstat(folder, &want) && st.st_dev == want.st_dev &&
                st.st_ino == want.st_ino;
    if (fd >= 0)
        close(fd);
    return same;
}

/* The path of a folder below the root, "" for the root. */
static bool path_of(Fs *fs, uint64_t id, char *path, size_t size)
{
    FsUse use;
    char root[PATH_MAX];
    ssize_t r = readlinkat(AT_FDCWD, fs_path(fs, fs->root_fd).text, root, sizeof root);
    if (r < 0 || (size_t)r == sizeof root || fs_use(fs, id, &use))
        return false;
    if (r == 1)
        r = 0; /* "/" */
    ssize_t n = readlinkat(AT_FDCWD, fs_path(fs, use.fd).text, path, size);
    bool below = n >= r && (size_t)n < size && !memcmp(path, root, (size_t)r);
    if (below) {
        path[n] = 0;
        size_t from = (size_t)r + (path[r] == '/');
        memmove(path, path + from, (size_t)n - from + 1);
        below = leads_to(fs, path, use.fd);
    }
    fs_done(fs, &use);
    return below;
}

/* The path of what an event is about: its length, 0 when it is of no interest. */
static size_t event_path(Fs *fs, const struct fanotify_event_metadata *m, char *path, size_t size)
{
    const struct fanotify_event_info_fid *info =
        (const void *)((const uint8_t *)m + m->metadata_len);
    FsKernelHandle k;
    if (m->mask & FAN_Q_OVERFLOW)
        return g_strlcpy(path, "/", size);
    size_t room = m->event_len - m->metadata_len;
    if (m->pid == getpid() || room < sizeof *info + sizeof k.h ||
        info->hdr.info_type != FAN_EVENT_INFO_TYPE_DFID_NAME)
        return 0;
    memcpy(&k.h, info->handle, sizeof k.h);
    if (k.h.handle_bytes > MAX_HANDLE_SZ || room < sizeof *info + sizeof k.h + k.h.handle_bytes + 1)
        return 0;
    memcpy(k.bytes, info->handle, sizeof k.h + k.h.handle_bytes);
    const char *name = (const char *)info->handle + sizeof k.h + k.h.handle_bytes;
    g_autoptr(GBytes) key = key_of(&info->fsid, &k.h);
    pthread_mutex_lock(&fs->lock);
    const uint64_t *found = g_hash_table_lookup(fs->watch->nodes, key);
    uint64_t id = found ? *found : 0;
    pthread_mutex_unlock(&fs->lock);
    if (!id || !path_of(fs, id, path, size))
        return 0;
    if (strcmp(name, ".") || !*path) {
        if (*path)
            g_strlcat(path, "/", size);
        return g_strlcat(path, name, size);
    }
    return strlen(path);
}

static bool fill(FsWatch *w, int timeout)
{
    struct pollfd p = { w->fd, POLLIN, 0 };
    if (w->at < w->end)
        return true;
    if (timeout && poll(&p, 1, timeout) <= 0)
        return false;
    ssize_t n = read(w->fd, w->buffer, sizeof w->buffer);
    w->at = 0;
    w->end = n > 0 ? (size_t)n : 0;
    return n > 0;
}

ssize_t fs_watch_read(Fs *fs, char *paths, size_t size, int timeout)
{
    FsWatch *w = fs->watch;
    size_t put = 0, last = 0;
    char path[PATH_MAX + NAME_MAX + 2];
    if (w && w->missed) {
        w->missed = false;
        put = (size_t)g_strlcpy(paths, "/", size) + 1;
    }
    while (w && fill(w, put ? 0 : timeout)) {
        const struct fanotify_event_metadata *m = (const void *)(w->buffer + w->at);
        if (!FAN_EVENT_OK(m, (long)(w->end - w->at))) {
            w->at = w->end;
            continue;
        }
        size_t n = event_path(fs, m, path, sizeof path);
        if (n >= PATH_MAX)
            n = 0;
        if (n && n + 1 > size - put)
            break; /* with the next */
        w->at += m->event_len;
        if (!n || (put && !strcmp(paths + last, path)))
            continue; /* one after the other of the same file */
        memcpy(paths + put, path, n + 1);
        last = put;
        put += n + 1;
    }
    return (ssize_t)put;
}

void fs_watch_skip(Fs *fs)
{
    FsWatch *w = fs->watch;
    while (w && fill(w, 0))
        w->at = w->end;
    if (w)
        w->missed = false;
}
