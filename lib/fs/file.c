/* SPDX-License-Identifier: MIT */
/* Data of open files. */
#include "fs/fs_priv.h"

#include <errno.h>
#include <linux/fs.h>
#include <unistd.h>

static int use_file(Fs *fs, uint64_t handle, uint64_t offset, FsHandle **h)
{
    if (offset > INT64_MAX)
        return -EINVAL;
    return fs_handle_use(fs, handle, false, h);
}

ssize_t fs_read(Fs *fs, uint64_t handle, const struct iovec *iov, int n, uint64_t offset)
{
    FsHandle *h;
    int e = use_file(fs, handle, offset, &h);
    if (e)
        return e;
    ssize_t done = preadv(h->fd, iov, n, (off_t)offset);
    done = done < 0 ? -errno : done;
    fs_handle_done(fs, h);
    return done;
}

ssize_t fs_write(Fs *fs, uint64_t handle, const struct iovec *iov, int n, uint64_t offset,
                 bool kill_priv)
{
    FsHandle *h;
    FsBecame became = { 0 };
    int e = use_file(fs, handle, offset, &h);
    if (e)
        return e;
    if (kill_priv)
        fs_drop_fsetid(fs, &became);
    ssize_t done = pwritev(h->fd, iov, n, (off_t)offset);
    done = done < 0 ? -errno : done;
    fs_become_self(fs, &became);
    fs_handle_done(fs, h);
    return done;
}

static int sync_handle(Fs *fs, uint64_t handle, bool dir, bool data_only)
{
    FsHandle *h;
    int e = fs_handle_use(fs, handle, dir, &h);
    if (e)
        return e;
    e = (data_only ? fdatasync(h->fd) : fsync(h->fd)) ? -errno : 0;
    fs_handle_done(fs, h);
    return e;
}

int fs_fsync(Fs *fs, uint64_t handle, bool data_only)
{
    return sync_handle(fs, handle, false, data_only);
}

int fs_fsyncdir(Fs *fs, uint64_t handle, bool data_only)
{
    return sync_handle(fs, handle, true, data_only);
}

int fs_fallocate(Fs *fs, uint64_t handle, int mode, uint64_t offset, uint64_t length)
{
    FsHandle *h;
    int e = use_file(fs, handle, offset, &h);
    if (e)
        return e;
    e = length > INT64_MAX                                     ? -EFBIG
        : fallocate(h->fd, mode, (off_t)offset, (off_t)length) ? -errno
                                                               : 0;
    fs_handle_done(fs, h);
    return e;
}

ssize_t fs_copy_range(Fs *fs, uint64_t from, uint64_t from_offset, uint64_t to, uint64_t to_offset,
                      uint64_t length, unsigned flags)
{
    FsHandle *a, *b;
    off_t in = (off_t)from_offset, out = (off_t)to_offset;
    int e = fs_handle_use(fs, from, false, &a);
    if (e)
        return e;
    e = fs_handle_use(fs, to, false, &b);
    if (e) {
        fs_handle_done(fs, a);
        return e;
    }
    ssize_t n = copy_file_range(a->fd, &in, b->fd, &out, MIN(length, INT32_MAX & ~4095), flags);
    n = n < 0 ? -errno : n;
    fs_handle_done(fs, b);
    fs_handle_done(fs, a);
    return n;
}

int64_t fs_lseek(Fs *fs, uint64_t handle, int64_t offset, int whence)
{
    FsHandle *h;
    int e = fs_handle_use(fs, handle, false, &h);
    if (e)
        return e;
    /* Nothing of ours goes by the descriptor's own offset. */
    off_t at = lseek(h->fd, offset, whence);
    at = at < 0 ? -errno : at;
    fs_handle_done(fs, h);
    return at;
}
