/* SPDX-License-Identifier: MIT */
/*
 * Reading folders: entries come from the kernel by the buffer (getdents64) and leave by the answer;
 * what did not fit stays for the next request, which goes on at the offset that the last entry
 * taken had. Any other offset, and 0, is a seek. Two requests for one handle take turns. Only so
 * many buffers are kept between requests, however many folders a guest opens; who has none seeks.
 */
#include "fs/fs_priv.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BUFFER = 32 * 1024, MAX_BUFFERS = 512 };

struct FsDirState {
    pthread_mutex_t lock;
    uint64_t next;      /* the offset at which buffer[at] goes on */
    size_t at, end;
    uint8_t *buffer;    /* BUFFER bytes, or NULL: there is nothing in it */
};

/* struct linux_dirent64, getdents64(2) */
enum { D_INO = 0, D_OFF = 8, D_RECLEN = 16, D_TYPE = 18, D_NAME = 19 };

bool fs_dir_state_free(FsDirState *state)
{
    bool had = state && state->buffer;
    if (!state)
        return false;
    pthread_mutex_destroy(&state->lock);
    g_free(state->buffer);
    g_free(state);
    return had;
}

int fs_opendir(Fs *fs, uint64_t node, uint64_t *handle)
{
    FsUse use;
    if (!fs_room(fs))
        return -ENFILE;
    int e = fs_use(fs, node, &use);
    if (e)
        return e;
    int fd = S_ISDIR(use.node->type) ? fs_open_node(fs, &use, O_RDONLY, true) : -ENOTDIR;
    e = fd < 0 ? fd : fs_handle_add(fs, use.node, fd, O_RDONLY, true, handle);
    fs_done(fs, &use);
    return e;
}

static FsDirState *state_of(Fs *fs, FsHandle *h)
{
    pthread_mutex_lock(&fs->lock);
    if (!h->state) {
        h->state = g_new0(FsDirState, 1);
        pthread_mutex_init(&h->state->lock, NULL);
    }
    pthread_mutex_unlock(&fs->lock);
    return h->state;
}

/* 1: there is more in the buffer, 0: the end. */
static int fill(FsHandle *h, FsDirState *s)
{
    if (!s->buffer)
        s->buffer = g_malloc(BUFFER);
    ssize_t n = syscall(SYS_getdents64, h->fd, s->buffer, (size_t)BUFFER);
    s->at = s->end = 0;
    if (n <= 0)
        return n ? -errno : 0;
    s->end = (size_t)n;
    return 1;
}

static int seek_to(FsHandle *h, FsDirState *s, uint64_t offset)
{
    if (offset && offset == s->next)
        return 0;
    if (offset > INT64_MAX)
        return -EINVAL;
    s->at = s->end = 0;
    s->next = UINT64_MAX;
    if (lseek(h->fd, (off_t)offset, SEEK_SET) < 0)
        return -errno;
    s->next = offset;
    return 0;
}

/* The buffer stays when there is something in it and not too many have one. */
static int settle(Fs *fs, FsHandle *h, FsDirState *s, bool had)
{
    bool left = s->at < s->end, keep;
    pthread_mutex_lock(&fs->lock);
    fs->dir_buffers -= had;
    keep = left && fs->dir_buffers < MAX_BUFFERS;
    fs->dir_buffers += keep;
    pthread_mutex_unlock(&fs->lock);
    if (keep)
        return 0;
    g_free(s->buffer);
    s->buffer = NULL;
    s->at = s->end = 0;
    return left && lseek(h->fd, (off_t)s->next, SEEK_SET) < 0 ? -errno : 0;
}

int fs_readdir(Fs *fs, uint64_t handle, uint64_t offset, FsTake *take, void *opaque)
{
    FsHandle *h;
    int e = fs_handle_use(fs, handle, true, &h);
    if (e)
        return e;
    FsDirState *s = state_of(fs, h);
    pthread_mutex_lock(&s->lock);
    bool had = s->buffer != NULL;
    e = seek_to(h, s, offset);
    while (!e) {
        if (s->at == s->end) {
            int more = fill(h, s);
            if (more <= 0) {
                e = more;
                break;
            }
        }
        const uint8_t *p = s->buffer + s->at;
        FsDirent d = { .type = p[D_TYPE], .name = (const char *)p + D_NAME };
        memcpy(&d.ino, p + D_INO, 8);
        memcpy(&d.next, p + D_OFF, 8);
        uint16_t length;
        memcpy(&length, p + D_RECLEN, 2);
        if (!take(opaque, &d))
            break;
        s->at += length;
        s->next = d.next;
    }
    int bad = settle(fs, h, s, had);
    pthread_mutex_unlock(&s->lock);
    fs_handle_done(fs, h);
    return e ? e : bad;
}
