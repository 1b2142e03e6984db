/* SPDX-License-Identifier: MIT */
/* Files and folders that the guest has open, by number. One that is released while an operation of
 * another request uses it goes when that is done. */
#include "fs/fs_priv.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/file.h>
#include <unistd.h>

bool fs_elsewhere(const Fs *fs, const FsNode *node)
{
    return node->key.mount != fs->root->key.mount;
}

bool fs_room(Fs *fs)
{
    pthread_mutex_lock(&fs->lock);
    bool room = fs->handles.count < fs->max_handles;
    pthread_mutex_unlock(&fs->lock);
    return room;
}

/* A handle of what has no name, with a user that is taken. A keeper may take no open file for two,
 * hence another one. */
static void keep_lost(Fs *fs, FsHandle *h)
{
    int path = open(fs_path(fs, h->fd).text, O_PATH | O_CLOEXEC);
    fs_state_keep_node(fs, h->node, path);
    if (fs_elsewhere(fs, h->node))
        fs_state_keep_handle(fs, h);
    if (path >= 0)
        close(path);
    fs_handle_done(fs, h);
}

int fs_handle_add(Fs *fs, FsNode *node, int fd, int flags, bool dir, uint64_t *id)
{
    FsHandle *h = g_new0(FsHandle, 1);
    pthread_mutex_lock(&fs->lock);
    *id = fs->handles.count < fs->max_handles ? fs_slots_add(&fs->handles, h) : 0;
    if (*id) {
        *h = (FsHandle){
            .id = *id, .node = node, .fd = fd, .flags = flags, .dir = dir, .users = 1
        };
        node->users++;
        node->handles++;
        fs_state_handle(fs, h);
    }
    bool lost = *id && node->lost && fs->state;
    h->users += lost;
    pthread_mutex_unlock(&fs->lock);
    if (lost)
        keep_lost(fs, h);
    if (*id)
        return 0;
    g_free(h);
    close(fd);
    return -ENFILE;
}

/* One that came back closed. Several may try at once. */
static int open_again(Fs *fs, FsHandle *h)
{
    FsUse use;
    int e = fs_use(fs, h->node->id, &use);
    if (e)
        return e;
    int fd = fs_open_node(fs, &use, h->flags & ~(O_CREAT | O_EXCL | O_TRUNC), h->dir);
    fs_done(fs, &use);
    if (fd < 0)
        return fd;
    pthread_mutex_lock(&fs->lock);
    if (h->fd < 0) {
        h->fd = fd;
        fd = -1;
    }
    pthread_mutex_unlock(&fs->lock);
    if (fd >= 0)
        close(fd);
    return 0;
}

int fs_handle_use(Fs *fs, uint64_t id, bool dir, FsHandle **handle)
{
    pthread_mutex_lock(&fs->lock);
    FsHandle *h = fs_slots_find(&fs->handles, id);
    if (h && h->dir == dir)
        h->users++;
    else
        h = NULL;
    bool closed = h && h->fd < 0;
    pthread_mutex_unlock(&fs->lock);
    *handle = h;
    int e = h ? 0 : -EBADF;
    if (closed && (e = open_again(fs, h)) != 0)
        fs_handle_done(fs, h);
    return e;
}

static void drop(Fs *fs, FsHandle *h)
{
    if (--h->users) {
        pthread_mutex_unlock(&fs->lock);
        return;
    }
    h->node->handles--;
    fs_node_drop(fs, h->node);
    fs->dir_buffers -= fs_dir_state_free(h->state); /* nobody else has the handle */
    pthread_mutex_unlock(&fs->lock);
    if (h->stored && fs->state) {
        flock(h->fd, LOCK_UN); /* the keeper's copy would keep it */
        fs_state_drop_handle(fs, h);
    }
    if (h->fd >= 0)
        close(h->fd);
    g_free(h);
}

void fs_handle_done(Fs *fs, FsHandle *h)
{
    pthread_mutex_lock(&fs->lock);
    drop(fs, h);
}

int fs_handle_release(Fs *fs, uint64_t id, bool dir)
{
    pthread_mutex_lock(&fs->lock);
    FsHandle *h = fs_slots_find(&fs->handles, id);
    if (!h || h->dir != dir) {
        pthread_mutex_unlock(&fs->lock);
        return -EBADF;
    }
    fs_slots_remove(&fs->handles, id);
    fs_state_handle_gone(fs, id);
    drop(fs, h);
    return 0;
}

/* Whether the mode lets us have that again: a file that is made, or whose mode is changed, is ours.
 */
static bool may_again(const Fs *fs, mode_t mode, int flags)
{
    mode_t need = (flags & O_ACCMODE) == O_RDONLY   ? 0400
                  : (flags & O_ACCMODE) == O_WRONLY ? 0200
                                                    : 0600;
    return mode && ((fs->caps & UINT64_C(1) << CAP_DAC_OVERRIDE) || (mode & need) == need);
}

void fs_handles_keep(Fs *fs, FsNode *node, mode_t mode)
{
    pthread_mutex_lock(&fs->lock);
    bool some = fs->state && node->handles;
    uint32_t size = some ? fs->handles.size : 0;
    for (uint32_t i = 0; i < size; i++) {
        FsHandle *h = fs->handles.items[i];
        if (!h || h->node != node || h->stored || h->dir || may_again(fs, mode, h->flags))
            continue;
        h->users++;
        pthread_mutex_unlock(&fs->lock);
        FsHandle *open;
        if (!fs_handle_use(fs, h->id, false, &open)) {
            fs_state_keep_handle(fs, open);
            fs_handle_done(fs, open);
        }
        pthread_mutex_lock(&fs->lock);
        drop(fs, h); /* gives the lock up */
        pthread_mutex_lock(&fs->lock);
    }
    pthread_mutex_unlock(&fs->lock);
}

int fs_release(Fs *fs, uint64_t handle)
{
    return fs_handle_release(fs, handle, false);
}

int fs_releasedir(Fs *fs, uint64_t handle)
{
    return fs_handle_release(fs, handle, true);
}
