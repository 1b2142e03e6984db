/* SPDX-License-Identifier: MIT */
/*
 * News of the host for a program in the guest, as virtiofs has no way to tell the guest's kernel: a
 * file in the root that no list shows (".fsd-events") is read, and gives paths of what others
 * changed, with a NUL behind each. When there is nothing for a while the answer is EAGAIN, since a
 * guest cannot interrupt a request of virtiofs. The program then sets an attribute
 * ("user.fsd.touch") on these files, which goes no further than here: what it is for is that the
 * guest's kernel tells its watchers, so nothing comes back.
 */
#include "fuse/fuse_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <string.h>

enum { WAIT_MS = 1000, ANSWER = 32768 };

bool fuse_is_events(const FuseRequest *r, const char *name)
{
    return r->s->o.notify && r->h.nodeid == FS_ROOT && !strcmp(name, ".fsd-events");
}

bool fuse_is_touch(const FuseRequest *r, const char *name)
{
    return r->s->o.notify && !strcmp(name, "user.fsd.touch");
}

static const struct fuse_attr attributes = {
    .ino = UINT64_MAX, .mode = S_IFREG | 0400, .nlink = 1, .blksize = 4096
};

int64_t fuse_events_entry(FuseRequest *r)
{
    struct fuse_entry_out *out = fuse_room(r, sizeof *out);
    *out = (struct fuse_entry_out){ .nodeid = FUSE_EVENTS, .attr = attributes };
    fuse_hold(r, &out->entry_valid, &out->entry_valid_nsec);
    fuse_hold(r, &out->attr_valid, &out->attr_valid_nsec);
    return sizeof *out;
}

static int64_t get_attributes(FuseRequest *r)
{
    struct fuse_attr_out *out = fuse_room(r, sizeof *out);
    *out = (struct fuse_attr_out){ .attr = attributes };
    return sizeof *out;
}

static int64_t open_events(FuseRequest *r)
{
    struct fuse_open_in in;
    struct fuse_open_out *out = fuse_room(r, sizeof *out);
    memcpy(&in, r->arg, sizeof in);
    if ((in.flags & O_ACCMODE) != O_RDONLY)
        return -EACCES;
    if (atomic_exchange(&r->s->reading, true))
        return -EBUSY; /* each event is given once */
    fs_watch_skip(r->fs);
    *out = (struct fuse_open_out){ .fh = FUSE_EVENTS,
                                   .open_flags = FOPEN_DIRECT_IO | FOPEN_NONSEEKABLE };
    return sizeof *out;
}

static int64_t read_events(FuseRequest *r)
{
    FuseWaiter w;
    struct fuse_read_in in;
    memcpy(&in, r->arg, sizeof in);
    size_t size = MIN(MIN(in.size, r->out_size), ANSWER);
    if (in.fh != FUSE_EVENTS)
        return -EBADF;
    atomic_store(&r->s->reading, true); /* it may have been opened before a restart of ours */
    if (size < PATH_MAX)
        return -EINVAL;
    if (!fuse_wait_begin(r, &w))
        return -EAGAIN;
    g_autofree char *paths = g_malloc(size);
    ssize_t n = w.given_up ? 0 : fs_watch_read(r->fs, paths, size, WAIT_MS);
    fuse_wait_end(r, &w);
    fuse_pieces_put(&r->out, paths, (size_t)n);
    return n ? n : w.given_up ? -EINTR : -EAGAIN;
}

int64_t fuse_events(FuseRequest *r)
{
    switch (r->h.opcode) {
    case FUSE_GETATTR: return get_attributes(r);
    case FUSE_OPEN: return open_events(r);
    case FUSE_READ: return read_events(r);
    case FUSE_RELEASE: atomic_store(&r->s->reading, false); return 0;
    case FUSE_FLUSH: case FUSE_ACCESS: return 0;
    case FUSE_GETXATTR: return -ENODATA;
    default: return -EPERM;
    }
}
