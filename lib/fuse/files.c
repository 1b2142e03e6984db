/* SPDX-License-Identifier: MIT */
/* Requests on what is open: data, folders, locks. */
#include "fuse/fuse_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static uint32_t how_opened(const FuseRequest *r, bool dir)
{
    switch (r->s->o.cache) {
    case FUSE_CACHE_ALWAYS:
        return dir ? FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR : FOPEN_KEEP_CACHE;
    case FUSE_CACHE_METADATA:
        return dir ? FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR
                   : FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES;
    case FUSE_CACHE_NEVER:
        return dir ? 0 : FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES;
    default:
        return 0;
    }
}

static int64_t open_answer(FuseRequest *r, int e, const uint64_t *handle, bool dir)
{
    struct fuse_open_out *out = fuse_room(r, sizeof *out);
    if (e)
        return e;
    *out = (struct fuse_open_out){ .fh = *handle, .open_flags = how_opened(r, dir) };
    return sizeof *out;
}

int64_t fuse_open(FuseRequest *r)
{
    uint64_t handle = 0;
    struct fuse_open_in in;
    memcpy(&in, r->arg, sizeof in);
    bool kill = (in.open_flags & FUSE_OPEN_KILL_SUIDGID) != 0;
    return open_answer(r, fs_open(r->fs, r->h.nodeid, (int)in.flags, kill, &handle), &handle, false);
}

int64_t fuse_put_created(FuseRequest *r, const FsEntry *entry, uint64_t handle)
{
    struct {
        struct fuse_entry_out entry;
        struct fuse_open_out open;
    } *out = fuse_room(r, sizeof *out);
    fuse_put_entry(r, entry, &out->entry);
    out->open = (struct fuse_open_out){ .fh = handle, .open_flags = how_opened(r, false) };
    return sizeof *out;
}

static int64_t create(FuseRequest *r, bool tmpfile)
{
    FsEntry entry;
    uint64_t handle = 0;
    struct fuse_create_in in;
    memcpy(&in, r->arg, sizeof in);
    const char *name = fuse_string(r, sizeof in, 0, NULL);
    bool kill = (in.open_flags & FUSE_OPEN_KILL_SUIDGID) != 0;
    if (fuse_agreed(r, FUSE_DONT_MASK))
        r->caller.umask = in.umask & 0777;
    int e = tmpfile ? fs_tmpfile(r->fs, &r->caller, r->h.nodeid, (int)in.flags, in.mode, &entry,
                                 &handle)
                    : fs_create(r->fs, &r->caller, r->h.nodeid, name, (int)in.flags, in.mode, kill,
                                &entry, &handle);
    if (e)
        return e;
    return fuse_put_created(r, &entry, handle);
}

int64_t fuse_create(FuseRequest *r)
{
    return create(r, false);
}

int64_t fuse_tmpfile(FuseRequest *r)
{
    return create(r, true);
}

/* ---- Data ------------------------------------------------------------------------------------ */

int64_t fuse_read(FuseRequest *r)
{
    struct iovec iov[256];
    struct fuse_read_in in;
    memcpy(&in, r->arg, sizeof in);
    uint64_t want = MIN(in.size, r->out_size), done = 0;
    do {
        size_t bytes;
        int n = fuse_pieces_slice(&r->out, iov, G_N_ELEMENTS(iov), want - done, &bytes);
        ssize_t got = fs_read(r->fs, in.fh, iov, n, in.offset + done);
        if (got < 0)
            return done ? (int64_t)done : got;
        done += (uint64_t)got;
        if ((size_t)got < bytes)
            break; /* the end; an answer that is short says so */
    } while (done < want);
    return (int64_t)done;
}

static int64_t write_all(FuseRequest *r, const struct fuse_write_in *in)
{
    struct iovec iov[256];
    bool kill = (in->write_flags & FUSE_WRITE_KILL_SUIDGID) != 0;
    uint64_t done = 0;
    do {
        size_t bytes;
        int n = fuse_pieces_slice(&r->in, iov, G_N_ELEMENTS(iov), in->size - done, &bytes);
        ssize_t put = fs_write(r->fs, in->fh, iov, n, in->offset + done, kill);
        if (put < 0 && !done)
            return put;
        done += put > 0 ? (uint64_t)put : 0;
        if (put < 0 || (size_t)put < bytes)
            break;
    } while (done < in->size);
    return (int64_t)done;
}

int64_t fuse_write(FuseRequest *r)
{
    struct fuse_write_in in;
    memcpy(&in, r->arg, sizeof in);
    if (in.size > r->in_size)
        return -EINVAL;
    int64_t done = r->slot ? fuse_replay_append(r, in.fh, in.size) : -1;
    if (done < 0)
        done = write_all(r, &in);
    if (done < 0)
        return done;
    struct fuse_write_out *out = fuse_room(r, sizeof *out);
    *out = (struct fuse_write_out){ .size = (uint32_t)done };
    return sizeof *out;
}

int64_t fuse_flush(FuseRequest *r)
{
    struct fuse_flush_in in;
    memcpy(&in, r->arg, sizeof in);
    return fs_flush(r->fs, r->h.nodeid, in.fh, in.lock_owner);
}

int64_t fuse_release(FuseRequest *r)
{
    struct fuse_release_in in;
    memcpy(&in, r->arg, sizeof in);
    return fs_release(r->fs, in.fh);
}

int64_t fuse_fsync(FuseRequest *r)
{
    struct fuse_fsync_in in;
    memcpy(&in, r->arg, sizeof in);
    return fs_fsync(r->fs, in.fh, (in.fsync_flags & FUSE_FSYNC_FDATASYNC) != 0);
}

int64_t fuse_fallocate(FuseRequest *r)
{
    struct fuse_fallocate_in in;
    memcpy(&in, r->arg, sizeof in);
    return fs_fallocate(r->fs, in.fh, (int)in.mode, in.offset, in.length);
}

int64_t fuse_lseek(FuseRequest *r)
{
    struct fuse_lseek_in in;
    struct fuse_lseek_out *out = fuse_room(r, sizeof *out);
    memcpy(&in, r->arg, sizeof in);
    int64_t at = fs_lseek(r->fs, in.fh, (int64_t)in.offset, (int)in.whence);
    if (at < 0)
        return at;
    out->offset = (uint64_t)at;
    return sizeof *out;
}

int64_t fuse_copy(FuseRequest *r)
{
    struct fuse_copy_file_range_in in;
    struct fuse_write_out *out = fuse_room(r, sizeof *out);
    memcpy(&in, r->arg, sizeof in);
    if (in.flags > UINT_MAX)
        return -EINVAL;
    ssize_t n = fs_copy_range(r->fs, in.fh_in, in.off_in, in.fh_out, in.off_out, in.len,
                              (unsigned)in.flags);
    if (n < 0)
        return n;
    *out = (struct fuse_write_out){ .size = (uint32_t)n };
    return sizeof *out;
}

/* ---- Folders --------------------------------------------------------------------------------- */

int64_t fuse_opendir(FuseRequest *r)
{
    uint64_t handle = 0;
    return open_answer(r, fs_opendir(r->fs, r->h.nodeid, &handle), &handle, true);
}

int64_t fuse_releasedir(FuseRequest *r)
{
    struct fuse_release_in in;
    memcpy(&in, r->arg, sizeof in);
    return fs_releasedir(r->fs, in.fh);
}

int64_t fuse_fsyncdir(FuseRequest *r)
{
    struct fuse_fsync_in in;
    memcpy(&in, r->arg, sizeof in);
    return fs_fsyncdir(r->fs, in.fh, (in.fsync_flags & FUSE_FSYNC_FDATASYNC) != 0);
}

typedef struct {
    FuseRequest *r;
    bool plus, full;
    size_t at, size;
} Listing;

static bool take_entry(void *opaque, const FsDirent *d)
{
    Listing *l = opaque;
    size_t length = strlen(d->name), head = l->plus ? sizeof(struct fuse_entry_out) : 0;
    size_t need = FUSE_REC_ALIGN(head + FUSE_NAME_OFFSET + length);
    if (need > l->size - l->at) {
        l->full = true;
        return false;
    }
    uint8_t *to = l->r->data + l->at;
    memset(to, 0, need);
    if (l->plus) {
        FsEntry entry;
        struct fuse_entry_out out = { .attr = { .ino = d->ino, .mode = d->type << 12 } };
        bool self = !strcmp(d->name, ".") || !strcmp(d->name, "..");
        if (!self && !fs_lookup(l->r->fs, l->r->h.nodeid, d->name, &entry))
            fuse_put_entry(l->r, &entry, &out);
        memcpy(to, &out, sizeof out);
    }
    struct fuse_dirent out = {
        .ino = d->ino, .off = d->next, .namelen = (uint32_t)length, .type = d->type
    };
    memcpy(to + head, &out, FUSE_NAME_OFFSET);
    memcpy(to + head + FUSE_NAME_OFFSET, d->name, length);
    l->at += need;
    return true;
}

static int64_t list(FuseRequest *r, bool plus)
{
    struct fuse_read_in in;
    memcpy(&in, r->arg, sizeof in);
    Listing l = { .r = r, .plus = plus, .size = MIN(MIN(in.size, r->out_size), FUSE_MAX_DATA) };
    fuse_room(r, l.size);
    int e = fs_readdir(r->fs, in.fh, in.offset, take_entry, &l);
    if (l.at)
        return (int64_t)l.at; /* an error after that comes with the next request */
    return e ? e : l.full ? -EINVAL : 0;
}

int64_t fuse_readdir(FuseRequest *r)
{
    return list(r, false);
}

int64_t fuse_readdirplus(FuseRequest *r)
{
    return list(r, true);
}

/* ---- Locks ----------------------------------------------------------------------------------- */

static bool take_lock(const FuseRequest *r, struct fuse_lk_in *in, struct flock *lock)
{
    memcpy(in, r->arg, sizeof *in);
    if (in->lk.start > INT64_MAX || in->lk.end < in->lk.start)
        return false;
    *lock = (struct flock){ .l_type = (short)in->lk.type,
                            .l_whence = SEEK_SET,
                            .l_start = (off_t)in->lk.start };
    if (in->lk.end < INT64_MAX)
        lock->l_len = (off_t)(in->lk.end - in->lk.start + 1);
    return in->lk.type == F_RDLCK || in->lk.type == F_WRLCK || in->lk.type == F_UNLCK;
}

int64_t fuse_getlk(FuseRequest *r)
{
    struct flock lock;
    struct fuse_lk_in in;
    struct fuse_lk_out *out = fuse_room(r, sizeof *out);
    if (!take_lock(r, &in, &lock))
        return -EINVAL;
    int e = fs_getlk(r->fs, r->h.nodeid, in.fh, in.owner, &lock);
    if (e)
        return e;
    *out = (struct fuse_lk_out){ .lk = { .start = (uint64_t)lock.l_start,
                                         .type = (uint32_t)lock.l_type,
                                         .pid = (uint32_t)lock.l_pid } };
    out->lk.end = lock.l_len ? out->lk.start + (uint64_t)lock.l_len - 1 : INT64_MAX;
    if (lock.l_type == F_UNLCK)
        out->lk = in.lk, out->lk.type = F_UNLCK;
    return sizeof *out;
}

static int do_lock(FuseRequest *r, bool wait)
{
    struct flock lock;
    struct fuse_lk_in in;
    if (!take_lock(r, &in, &lock))
        return -EINVAL;
    if (in.lk_flags & FUSE_LK_FLOCK)
        return fs_flock(r->fs, in.fh,
                        lock.l_type == F_RDLCK   ? LOCK_SH
                        : lock.l_type == F_WRLCK ? LOCK_EX
                                                 : LOCK_UN,
                        wait);
    return fs_setlk(r->fs, r->h.nodeid, in.fh, in.owner, &lock, wait);
}

int64_t fuse_setlk(FuseRequest *r)
{
    return do_lock(r, false);
}

int64_t fuse_setlkw(FuseRequest *r)
{
    FuseWaiter w;
    int e = do_lock(r, false); /* most need not wait */
    if (e != -EAGAIN)
        return e;
    if (!fuse_wait_begin(r, &w))
        return w.given_up ? -EINTR : -ENOLCK;
    do
        e = do_lock(r, true);
    while (e == -EINTR && !w.given_up);
    fuse_wait_end(r, &w);
    return e;
}
