/* SPDX-License-Identifier: MIT */
/*
 * Ways back to a node whose descriptor was closed. File handles (open_by_handle_at(2)) lead to the
 * file wherever it is moved to; they need CAP_DAC_READ_SEARCH and a file system that has them, and
 * an ordinary descriptor on each mount, made of the first folder or file that is met there. Else
 * the chain of folders and names is walked, each step checked to be the file that it was.
 */
#include "fs/fs_priv.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

bool fs_way_equal(const FsFileHandle *a, const FsFileHandle *b)
{
    return a && b && a->size == b->size && a->type == b->type &&
           !memcmp(a->bytes, b->bytes, a->size);
}

/* ---- File handles ------------------------------------------------------------------ */

static FsFileHandle *kernel_name(int fd)
{
    FsKernelHandle k = { .h.handle_bytes = MAX_HANDLE_SZ };
    int mount;
    if (name_to_handle_at(fd, "", &k.h, &mount, AT_EMPTY_PATH) || k.h.handle_bytes > MAX_HANDLE_SZ)
        return NULL;
    FsFileHandle *h = g_malloc(sizeof *h + k.h.handle_bytes);
    h->size = k.h.handle_bytes;
    h->type = k.h.handle_type;
    memcpy(h->bytes, k.h.f_handle, h->size);
    return h;
}

static int open_handle(int mount, const FsFileHandle *h)
{
    FsKernelHandle k = { .h = { .handle_bytes = h->size, .handle_type = h->type } };
    memcpy(k.h.f_handle, h->bytes, h->size);
    int fd = open_by_handle_at(mount, &k.h, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* An ordinary descriptor on the mount of fd, or -1. */
static int mount_of(Fs *fs, int fd, uint64_t mount, mode_t type)
{
    gpointer known;
    gpointer id = (gpointer)(uintptr_t)mount;
    pthread_mutex_lock(&fs->lock);
    bool found = g_hash_table_lookup_extended(fs->mounts, id, NULL, &known);
    pthread_mutex_unlock(&fs->lock);
    if (found)
        return GPOINTER_TO_INT(known) - 1;
    int made = fs_reopen(fs, fd, type, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (made < 0)
        return -1;
    pthread_mutex_lock(&fs->lock);
    if (g_hash_table_lookup_extended(fs->mounts, id, NULL, &known)) {
        close(made);
        made = GPOINTER_TO_INT(known) - 1;
    } else
        g_hash_table_insert(fs->mounts, id, GINT_TO_POINTER(made + 1));
    pthread_mutex_unlock(&fs->lock);
    return made;
}

FsFileHandle *fs_way_handle(Fs *fs, int fd, const FsKey *key, mode_t type)
{
    if (!fs->use_file_handles || mount_of(fs, fd, key->mount, type) < 0)
        return NULL;
    return kernel_name(fd);
}

bool fs_way_init(Fs *fs, GError **error)
{
    FsKey key;
    struct stat st;
    fs->mounts = g_hash_table_new(NULL, NULL);
    if (fs->o.file_handles == FS_HANDLES_NEVER)
        return true;
    int e = fs_stat_fd(fs->root_fd, &st, &key);
    g_autofree FsFileHandle *h = e ? NULL : kernel_name(fs->root_fd);
    if (!h)
        e = e ? e : -errno;
    else {
        int mount = mount_of(fs, fs->root_fd, key.mount, st.st_mode & S_IFMT);
        int fd = mount < 0 ? -EPERM : open_handle(mount, h);
        e = fd < 0 ? fd : 0;
        if (fd >= 0)
            close(fd);
    }
    fs->use_file_handles = !e;
    if (e && fs->o.file_handles == FS_HANDLES_MANDATORY)
        return fail_errno(error, -e, "file handles of the shared directory");
    return true;
}

/* ---- Opening again ------------------------------------------------------------------- */

static int open_checked(int parent, const char *name, const FsKey *want)
{
    FsKey key;
    struct stat st;
    int fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? -ESTALE : -errno;
    int e = fs_stat_fd(fd, &st, &key);
    if (!e && (key.ino != want->ino || key.dev != want->dev || key.birth != want->birth))
        e = -ESTALE;
    if (!e)
        return fd;
    close(fd);
    return e;
}

/* Under the lock: fd is the node's, unless somebody was faster. */
static void settle(Fs *fs, FsNode *n, int fd)
{
    if (n->fd >= 0)
        close(fd);
    else {
        n->fd = fd;
        fs_node_opened(fs, n);
        fs->closed -= !n->file_handle;
    }
}

static int open_by_file_handle(Fs *fs, FsNode *n)
{
    gpointer known;
    if (!g_hash_table_lookup_extended(fs->mounts, (gpointer)(uintptr_t)n->key.mount, NULL, &known))
        return -ESTALE;
    pthread_mutex_unlock(&fs->lock);
    int fd = open_handle(GPOINTER_TO_INT(known) - 1, n->file_handle);
    pthread_mutex_lock(&fs->lock);
    if (fd < 0)
        return fd;
    settle(fs, n, fd);
    return 0;
}

/* The caller holds n; parents are held by their children. */
static int open_by_name(Fs *fs, FsNode *n)
{
    FsNode *parent = n->parent;
    FsKey key = n->key;
    if (!parent)
        return -ESTALE;
    g_autofree char *name = g_strdup(n->name);
    int at = parent->fd;
    parent->users++;
    parent->pins++;
    pthread_mutex_unlock(&fs->lock);
    int fd = open_checked(at, name, &key);
    pthread_mutex_lock(&fs->lock);
    parent->pins--;
    fs_node_drop(fs, parent);
    if (fd < 0)
        return fd;
    settle(fs, n, fd);
    return 0;
}

/* Opens the topmost closed node of the chain above n, again and again until n itself is. Depth is
   the guest's choice, so there is no recursion; a chain that others keep closing is given up. */
int fs_way_open(Fs *fs, FsNode *n)
{
    for (unsigned tries = 0; n->fd < 0; tries++) {
        FsNode *top = n;
        while (!top->file_handle && top->parent && top->parent->fd < 0)
            top = top->parent;
        if (tries > 100000)
            return -EBUSY;
        top->users++;
        int e = top->file_handle ? open_by_file_handle(fs, top) : open_by_name(fs, top);
        fs_node_drop(fs, top);
        if (e)
            return e;
    }
    return 0;
}
