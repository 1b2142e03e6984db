/* SPDX-License-Identifier: MIT */
/*
 * Locks that others on the host and other guests see. A POSIX lock belongs to an owner in the
 * guest, so each owner has a descriptor of its own of the file, whose open file description holds
 * the locks (F_OFD_SETLK, fcntl(2)). flock goes with the handle's description. Who waits does so in
 * the kernel, and a signal ends it (EINTR).
 */
#include "fs/fs_priv.h"

#include <errno.h>
#include <sys/file.h>
#include <unistd.h>

/* The keeper's copy would keep what is locked. */
static void close_lock(Fs *fs, uint64_t node, const FsLock *l)
{
    struct flock all = { .l_type = F_UNLCK, .l_whence = SEEK_SET };
    if (l->stored && fs->state) {
        fcntl(l->fd, F_OFD_SETLK, &all);
        fs_state_drop_lock(fs, node, l->owner);
    }
    close(l->fd);
}

void fs_locks_clear(Fs *fs, FsNode *node)
{
    if (!node->locks)
        return;
    for (guint i = 0; i < node->locks->len; i++)
        close_lock(fs, node->id, &g_array_index(node->locks, FsLock, i));
    g_array_free(node->locks, TRUE);
    node->locks = NULL;
}

static int find(const FsNode *node, uint64_t owner)
{
    for (guint i = 0; node->locks && i < node->locks->len; i++)
        if (g_array_index(node->locks, FsLock, i).owner == owner)
            return (int)i;
    return -1;
}

void fs_locks_add(FsNode *node, uint64_t owner, int fd)
{
    FsLock lock = { .owner = owner, .fd = fd, .stored = true };
    if (!node->locks)
        node->locks = g_array_new(FALSE, FALSE, sizeof lock);
    g_array_append_val(node->locks, lock);
}

/* What is locked outlives us. False: another restart would lose it. */
static void keep_lock(Fs *fs, FsNode *node, uint64_t owner)
{
    if (!fs->state)
        return;
    pthread_mutex_lock(&fs->lock);
    int i = find(node, owner);
    FsLock *l = i >= 0 ? &g_array_index(node->locks, FsLock, i) : NULL;
    if (l && !l->stored)
        l->stored = fs_state_keep_lock(fs, node->id, owner, l->fd);
    pthread_mutex_unlock(&fs->lock);
}

/* The owner's descriptor; a copy, since a flush may close it meanwhile. */
static int owner_fd(Fs *fs, const FsUse *use, uint64_t owner)
{
    pthread_mutex_lock(&fs->lock);
    int i = find(use->node, owner);
    int fd = i >= 0 ? dup(g_array_index(use->node->locks, FsLock, i).fd) : -1;
    bool full = use->node->locks && use->node->locks->len >= 4096;
    pthread_mutex_unlock(&fs->lock);
    if (i >= 0)
        return fd < 0 ? -ENOLCK : fd;
    if (full)
        return -ENOLCK;
    int made = fs_reopen(fs, use->fd, use->node->type, O_RDWR);
    if (made < 0)
        made = fs_reopen(fs, use->fd, use->node->type, O_RDONLY);
    if (made < 0)
        return made == -EMFILE || made == -ENFILE ? -ENOLCK : made;
    pthread_mutex_lock(&fs->lock);
    i = find(use->node, owner);
    if (i >= 0) {
        close(made);
        made = g_array_index(use->node->locks, FsLock, i).fd;
    } else {
        FsLock lock = { .owner = owner, .fd = made };
        if (!use->node->locks)
            use->node->locks = g_array_new(FALSE, FALSE, sizeof lock);
        g_array_append_val(use->node->locks, lock);
    }
    fd = dup(made);
    pthread_mutex_unlock(&fs->lock);
    return fd < 0 ? -ENOLCK : fd;
}

static int on_owner(Fs *fs, uint64_t node, uint64_t handle, uint64_t owner, int command,
                    struct flock *lock)
{
    FsUse use;
    FsHandle *h;
    int e = fs_handle_use(fs, handle, false, &h);
    if (e)
        return e;
    e = fs_use(fs, node, &use);
    if (!e) {
        int fd = h->node == use.node ? owner_fd(fs, &use, owner) : -EBADF;
        lock->l_whence = SEEK_SET;
        lock->l_pid = 0;
        e = fd < 0 ? fd : fcntl(fd, command, lock) ? -errno : 0;
        if (!e && command != F_OFD_GETLK && lock->l_type != F_UNLCK)
            keep_lock(fs, use.node, owner);
        if (fd >= 0)
            close(fd);
        fs_done(fs, &use);
    }
    fs_handle_done(fs, h);
    return e;
}

int fs_getlk(Fs *fs, uint64_t node, uint64_t handle, uint64_t owner, struct flock *lock)
{
    int e = on_owner(fs, node, handle, owner, F_OFD_GETLK, lock);
    if (!e && lock->l_pid < 0)
        lock->l_pid = 0; /* a process of another machine */
    return e;
}

int fs_setlk(Fs *fs, uint64_t node, uint64_t handle, uint64_t owner, const struct flock *lock,
             bool wait)
{
    struct flock l = *lock;
    int e = on_owner(fs, node, handle, owner, wait ? F_OFD_SETLKW : F_OFD_SETLK, &l);
    return e == -EACCES ? -EAGAIN : e;
}

int fs_flush(Fs *fs, uint64_t node, uint64_t handle, uint64_t owner)
{
    FsHandle *h;
    int e = fs_handle_use(fs, handle, false, &h);
    if (e)
        return e;
    pthread_mutex_lock(&fs->lock);
    int i = find(h->node, owner);
    if (i >= 0) {
        close_lock(fs, h->node->id, &g_array_index(h->node->locks, FsLock, i));
        g_array_remove_index_fast(h->node->locks, (guint)i);
    }
    pthread_mutex_unlock(&fs->lock);
    /* Errors of writes that the host's file system tells at close (NFS, quotas). */
    int again = dup(h->fd);
    e = again < 0 ? 0 : close(again) ? -errno : 0;
    fs_handle_done(fs, h);
    return e;
}

int fs_flock(Fs *fs, uint64_t handle, int operation, bool wait)
{
    FsHandle *h;
    int e = fs_handle_use(fs, handle, false, &h);
    if (e)
        return e;
    e = flock(h->fd, operation | (wait ? 0 : LOCK_NB)) ? -errno : 0;
    if (!e && operation != LOCK_UN)
        fs_state_keep_handle(fs, h);
    fs_handle_done(fs, h);
    return e;
}
