/* SPDX-License-Identifier: MIT */
/* The file system as a whole: made, reset, let go; paths of descriptors. How many descriptors there
 * may be is shared out here: three quarters of the limit to nodes, whose descriptors can be closed
 * and opened again, the rest to handles. */
#include "fs/fs_priv.h"

#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static void share_out(Fs *fs)
{
    struct rlimit limit = { 1024, 1024 };
    getrlimit(RLIMIT_NOFILE, &limit);
    unsigned all = (unsigned)MIN(limit.rlim_cur, 4u << 20);
    unsigned ours = all > 128 ? all - 64 : all / 2;
    fs->max_fds = fs->o.max_fds ? fs->o.max_fds : ours - ours / 4;
    fs->max_handles = ours / 4;
}

static bool add_root(Fs *fs, GError **error)
{
    FsEntry entry = { 0 };
    int fd = dup(fs->root_fd);
    int e = fd < 0 ? -errno : fs_node_enter(fs, NULL, NULL, fd, &entry);
    if (e)
        return fail_errno(error, -e, "the shared directory");
    if (!S_ISDIR(entry.attr.st_mode))
        return fail_errno(error, ENOTDIR, "the shared directory");
    fs->root = fs_slots_find(&fs->nodes, entry.node);
    fs->root->keep = true;
    g_assert(entry.node == FS_ROOT);
    return true;
}

Fs *fs_new(const FsOptions *options, GError **error)
{
    Fs *fs = g_new0(Fs, 1);
    fs->o = *options;
    fs->self_fd = g_strdup(options->self_fd ? options->self_fd : "/proc/self/fd/");
    fs->uid = geteuid();
    fs->gid = getegid();
    fs->caps = fs_caps_permitted();
    pthread_mutex_init(&fs->lock, NULL);
    fs_nodes_init(fs);
    share_out(fs);
    fs->root_fd = dup(options->root);
    if (fs->root_fd < 0
            ? !fail_errno(error, errno, "the shared directory")
            : fs_way_init(fs, error) && fs_watch_start(fs, error) && add_root(fs, error))
        return fs;
    fs_free(fs);
    return NULL;
}

static void clear(Fs *fs, bool all)
{
    for (uint32_t i = 0; i < fs->handles.size; i++) {
        pthread_mutex_lock(&fs->lock);
        const FsHandle *h = fs->handles.items[i];
        uint64_t id = h ? h->id : 0;
        bool dir = h && h->dir;
        pthread_mutex_unlock(&fs->lock);
        if (id)
            fs_handle_release(fs, id, dir);
    }
    pthread_mutex_lock(&fs->lock);
    fs_nodes_clear(fs, all);
    fs_state_reset(fs);
    pthread_mutex_unlock(&fs->lock);
}

void fs_reset(Fs *fs)
{
    clear(fs, false);
}

void fs_free(Fs *fs)
{
    if (!fs)
        return;
    fs_state_free(g_steal_pointer(&fs->state)); /* what the keeper has stays as it is */
    clear(fs, true);
    fs_slots_clear(&fs->handles);
    fs_watch_free(fs);
    if (fs->mounts) {
        GHashTableIter i;
        gpointer fd;
        g_hash_table_iter_init(&i, fs->mounts);
        while (g_hash_table_iter_next(&i, NULL, &fd))
            close(GPOINTER_TO_INT(fd) - 1);
        g_hash_table_destroy(fs->mounts);
    }
    if (fs->root_fd >= 0)
        close(fs->root_fd);
    pthread_mutex_destroy(&fs->lock);
    g_free(fs->self_fd);
    g_free(fs);
}

FsPath fs_path(const Fs *fs, int fd)
{
    FsPath path;
    snprintf(path.text, sizeof path.text, "%s%d", fs->self_fd, fd);
    return path;
}

int fs_reopen(const Fs *fs, int fd, mode_t type, int flags)
{
    /* A device or FIFO is the guest's own affair: opening the host's would reach a driver, or wait.
     */
    if (S_ISLNK(type))
        return -ELOOP;
    if (!S_ISREG(type) && !S_ISDIR(type))
        return -ENXIO;
    int made = open(fs_path(fs, fd).text, (flags & ~O_NOFOLLOW) | O_CLOEXEC);
    return made < 0 ? -errno : made;
}
