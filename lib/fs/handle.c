/* SPDX-License-Identifier: MIT */
/* Files and folders that the guest has open, by number. One that is released while an operation of another request
 * uses it goes when that is done. */
#include "fs/fs_priv.h"

#include <errno.h>
#include <unistd.h>

bool fs_room(Fs *fs)
{
    pthread_mutex_lock(&fs->lock);
    bool room = fs->handles.count < fs->max_handles;
    pthread_mutex_unlock(&fs->lock);
    return room;
}

int fs_handle_add(Fs *fs, FsNode *node, int fd, int flags, bool dir, uint64_t *id)
{
    FsHandle *h = g_new0(FsHandle, 1);
    pthread_mutex_lock(&fs->lock);
    *id = fs->handles.count < fs->max_handles ? fs_slots_add(&fs->handles, h) : 0;
    if (*id) {
        *h = (FsHandle){ .id = *id, .node = node, .fd = fd, .flags = flags, .dir = dir, .users = 1 };
        node->users++;
    }
    pthread_mutex_unlock(&fs->lock);
    if (*id)
        return 0;
    g_free(h);
    close(fd);
    return -ENFILE;
}

int fs_handle_use(Fs *fs, uint64_t id, bool dir, FsHandle **handle)
{
    pthread_mutex_lock(&fs->lock);
    FsHandle *h = fs_slots_find(&fs->handles, id);
    if (h && h->dir == dir)
        h->users++;
    else
        h = NULL;
    pthread_mutex_unlock(&fs->lock);
    *handle = h;
    return h ? 0 : -EBADF;
}

static void drop(Fs *fs, FsHandle *h)
{
    if (--h->users) {
        pthread_mutex_unlock(&fs->lock);
        return;
    }
    fs_node_drop(fs, h->node);
    fs->dir_buffers -= fs_dir_state_free(h->state); /* nobody else has the handle */
    pthread_mutex_unlock(&fs->lock);
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
    drop(fs, h);
    return 0;
}

int fs_release(Fs *fs, uint64_t handle)
{
    return fs_handle_release(fs, handle, false);
}

int fs_releasedir(Fs *fs, uint64_t handle)
{
    return fs_handle_release(fs, handle, true);
}
