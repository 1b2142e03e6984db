/* SPDX-License-Identifier: MIT */
/* Requests on nodes by number and name, and on their attributes. */
#include "fuse/fuse_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <string.h>
#include <sys/sysmacros.h>

/* ---- Answers ------------------------------------------------------------------------------- */

void fuse_hold(const FuseRequest *r, uint64_t *seconds, uint32_t *nanoseconds)
{
    *seconds = r->s->entry_ns / 1000000000;
    *nanoseconds = (uint32_t)(r->s->entry_ns % 1000000000);
}

void fuse_put_attr(const FuseRequest *r, const FsEntry *entry, struct fuse_attr *out)
{
    const struct stat *st = &entry->attr;
    *out = (struct fuse_attr){
        .ino = st->st_ino, .size = (uint64_t)st->st_size, .blocks = (uint64_t)st->st_blocks,
        .atime = (uint64_t)st->st_atim.tv_sec, .mtime = (uint64_t)st->st_mtim.tv_sec,
        .ctime = (uint64_t)st->st_ctim.tv_sec, .atimensec = (uint32_t)st->st_atim.tv_nsec,
        .mtimensec = (uint32_t)st->st_mtim.tv_nsec, .ctimensec = (uint32_t)st->st_ctim.tv_nsec,
        .mode = st->st_mode, .nlink = (uint32_t)st->st_nlink, .uid = st->st_uid, .gid = st->st_gid,
        /* the guest's kernel has 12 bits of major and 20 of minor, in this order */
        .rdev = (minor(st->st_rdev) & 0xff) | major(st->st_rdev) << 8 | (minor(st->st_rdev) & ~0xffu) << 12,
        .blksize = (uint32_t)st->st_blksize,
    };
    if (entry->submount && fuse_agreed(r, FUSE_SUBMOUNTS))
        out->flags |= FUSE_ATTR_SUBMOUNT;
}

void fuse_put_entry(const FuseRequest *r, const FsEntry *entry, struct fuse_entry_out *out)
{
    *out = (struct fuse_entry_out){ .nodeid = entry->node };
    fuse_hold(r, &out->entry_valid, &out->entry_valid_nsec);
    fuse_hold(r, &out->attr_valid, &out->attr_valid_nsec);
    fuse_put_attr(r, entry, &out->attr);
}

static int64_t entry_answer(FuseRequest *r, int e, const FsEntry *entry)
{
    if (e)
        return e;
    fuse_put_entry(r, entry, fuse_room(r, sizeof(struct fuse_entry_out)));
    return sizeof(struct fuse_entry_out);
}

static int64_t attr_answer(FuseRequest *r, int e, const FsEntry *entry)
{
    struct fuse_attr_out *out = fuse_room(r, sizeof *out);
    if (e)
        return e;
    *out = (struct fuse_attr_out){ 0 };
    fuse_hold(r, &out->attr_valid, &out->attr_valid_nsec);
    fuse_put_attr(r, entry, &out->attr);
    return sizeof *out;
}

static void take_umask(FuseRequest *r, uint32_t umask)
{
    if (fuse_agreed(r, FUSE_DONT_MASK))
        r->caller.umask = umask & 0777;
}

/* ---- Nodes ----------------------------------------------------------------------------------- */

int64_t fuse_lookup(FuseRequest *r)
{
    FsEntry entry;
    const char *name = fuse_string(r, 0, 0, NULL);
    if (fuse_is_events(r, name))
        return fuse_events_entry(r);
    int e = fs_lookup(r->fs, r->h.nodeid, name, &entry);
    if (e == -ENOENT && r->s->o.cache == FUSE_CACHE_ALWAYS) {
        /* That there is nothing holds, too. */
        struct fuse_entry_out *out = fuse_room(r, sizeof *out);
        *out = (struct fuse_entry_out){ 0 };
        fuse_hold(r, &out->entry_valid, &out->entry_valid_nsec);
        return sizeof *out;
    }
    return entry_answer(r, e, &entry);
}

int64_t fuse_getattr(FuseRequest *r)
{
    FsEntry entry;
    struct fuse_getattr_in in;
    memcpy(&in, r->arg, sizeof in);
    uint64_t handle = in.getattr_flags & FUSE_GETATTR_FH ? in.fh : 0;
    return attr_answer(r, fs_getattr(r->fs, r->h.nodeid, handle, &entry), &entry);
}

int64_t fuse_setattr(FuseRequest *r)
{
    FsEntry entry;
    struct fuse_setattr_in in;
    memcpy(&in, r->arg, sizeof in);
    FsSet set = { .mode = in.mode, .uid = in.uid, .gid = in.gid, .size = in.size,
                  .atime = { (time_t)in.atime, in.atimensec }, .mtime = { (time_t)in.mtime, in.mtimensec } };
    if (in.valid & FATTR_ATIME_NOW)
        set.atime.tv_nsec = UTIME_NOW;
    else if (in.atimensec > 999999999 && (in.valid & FATTR_ATIME))
        return -EINVAL;
    if (in.valid & FATTR_MTIME_NOW)
        set.mtime.tv_nsec = UTIME_NOW;
    else if (in.mtimensec > 999999999 && (in.valid & FATTR_MTIME))
        return -EINVAL;
    set.what = (in.valid & FATTR_MODE ? FS_SET_MODE : 0) | (in.valid & FATTR_UID ? FS_SET_UID : 0) |
               (in.valid & FATTR_GID ? FS_SET_GID : 0) | (in.valid & FATTR_SIZE ? FS_SET_SIZE : 0) |
               (in.valid & (FATTR_ATIME | FATTR_ATIME_NOW) ? FS_SET_ATIME : 0) |
               (in.valid & (FATTR_MTIME | FATTR_MTIME_NOW) ? FS_SET_MTIME : 0) |
               (in.valid & FATTR_KILL_SUIDGID ? FS_SET_KILL_PRIV : 0);
    uint64_t handle = in.valid & FATTR_FH ? in.fh : 0;
    return attr_answer(r, fs_setattr(r->fs, r->h.nodeid, handle, &set, &entry), &entry);
}

int64_t fuse_readlink(FuseRequest *r)
{
    return fs_readlink(r->fs, r->h.nodeid, fuse_room(r, PATH_MAX), MIN(r->out_size, PATH_MAX));
}

int64_t fuse_symlink(FuseRequest *r)
{
    FsEntry entry;
    const char *name = fuse_string(r, 0, 0, NULL), *target = fuse_string(r, 0, 1, NULL);
    return entry_answer(r, fs_symlink(r->fs, &r->caller, r->h.nodeid, name, target, &entry),
                        &entry);
}

int64_t fuse_mknod(FuseRequest *r)
{
    FsEntry entry;
    struct fuse_mknod_in in;
    memcpy(&in, r->arg, sizeof in);
    take_umask(r, in.umask);
    dev_t rdev = makedev((in.rdev & 0xfff00) >> 8, (in.rdev & 0xff) | ((in.rdev >> 12) & 0xfff00));
    const char *name = fuse_string(r, sizeof in, 0, NULL);
    return entry_answer(r, fs_mknod(r->fs, &r->caller, r->h.nodeid, name, in.mode, rdev, &entry),
                        &entry);
}

int64_t fuse_mkdir(FuseRequest *r)
{
    FsEntry entry;
    struct fuse_mkdir_in in;
    memcpy(&in, r->arg, sizeof in);
    take_umask(r, in.umask);
    const char *name = fuse_string(r, sizeof in, 0, NULL);
    return entry_answer(r, fs_mkdir(r->fs, &r->caller, r->h.nodeid, name, in.mode, &entry), &entry);
}

int64_t fuse_unlink(FuseRequest *r)
{
    return fs_unlink(r->fs, r->h.nodeid, fuse_string(r, 0, 0, NULL), fuse_replay_noted(r));
}

int64_t fuse_rmdir(FuseRequest *r)
{
    return fs_rmdir(r->fs, r->h.nodeid, fuse_string(r, 0, 0, NULL), fuse_replay_noted(r));
}

static int64_t rename_from(FuseRequest *r, size_t fixed, uint64_t folder, unsigned flags)
{
    return fs_rename(r->fs, r->h.nodeid, fuse_string(r, fixed, 0, NULL), folder,
                     fuse_string(r, fixed, 1, NULL), flags, fuse_replay_noted(r));
}

int64_t fuse_rename(FuseRequest *r)
{
    struct fuse_rename_in in;
    memcpy(&in, r->arg, sizeof in);
    return rename_from(r, sizeof in, in.newdir, 0);
}

int64_t fuse_rename2(FuseRequest *r)
{
    struct fuse_rename2_in in;
    memcpy(&in, r->arg, sizeof in);
    return rename_from(r, sizeof in, in.newdir, in.flags);
}

int64_t fuse_link(FuseRequest *r)
{
    FsEntry entry;
    struct fuse_link_in in;
    memcpy(&in, r->arg, sizeof in);
    const char *name = fuse_string(r, sizeof in, 0, NULL);
    return entry_answer(r, fs_link(r->fs, in.oldnodeid, r->h.nodeid, name, &entry), &entry);
}

int64_t fuse_statfs(FuseRequest *r)
{
    struct statvfs st;
    struct fuse_statfs_out *out = fuse_room(r, sizeof *out);
    int e = fs_statfs(r->fs, r->h.nodeid, &st);
    if (e)
        return e;
    *out = (struct fuse_statfs_out){ .st = { .blocks = st.f_blocks, .bfree = st.f_bfree, .bavail = st.f_bavail,
                                             .files = st.f_files, .ffree = st.f_ffree, .bsize = (uint32_t)st.f_bsize,
                                             .namelen = (uint32_t)st.f_namemax, .frsize = (uint32_t)st.f_frsize } };
    return sizeof *out;
}

int64_t fuse_access(FuseRequest *r)
{
    struct fuse_access_in in;
    memcpy(&in, r->arg, sizeof in);
    return fs_access(r->fs, &r->caller, r->h.nodeid, (int)(in.mask & 7));
}

int64_t fuse_syncfs(FuseRequest *r)
{
    return fs_syncfs(r->fs, r->h.nodeid);
}

/* ---- Extended attributes --------------------------------------------------------------------- */

int64_t fuse_setxattr(FuseRequest *r)
{
    struct fuse_setxattr_in in = { 0 };
    bool ext = fuse_agreed(r, FUSE_SETXATTR_EXT);
    size_t fixed = ext ? sizeof in : FUSE_COMPAT_SETXATTR_IN_SIZE, value;
    if (r->arg_size < fixed)
        return -EINVAL;
    memcpy(&in, r->arg, fixed);
    const char *name = fuse_string(r, fixed, 0, &value);
    if (!name || in.size > r->arg_size - value)
        return -EINVAL;
    if (fuse_is_touch(r, name))
        return 0;
    int e = fs_setxattr(r->fs, r->h.nodeid, name, r->arg + value, in.size, (int)in.flags,
                        (in.setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID) != 0);
    /* After ENOSYS the guest's kernel asks for none again. */
    return e == -ENOSYS && r->s->o.notify ? -EOPNOTSUPP : e;
}

/* What is said when it is asked how much there is. */
static int64_t amount(FuseRequest *r, ssize_t n)
{
    struct fuse_getxattr_out *out = fuse_room(r, sizeof *out);
    if (n < 0)
        return n;
    *out = (struct fuse_getxattr_out){ .size = (uint32_t)n };
    return sizeof *out;
}

int64_t fuse_getxattr(FuseRequest *r)
{
    struct fuse_getxattr_in in;
    memcpy(&in, r->arg, sizeof in);
    const char *name = fuse_string(r, sizeof in, 0, NULL);
    if (!in.size)
        return amount(r, fs_getxattr(r->fs, r->h.nodeid, name, NULL, 0));
    size_t size = MIN(MIN(in.size, r->out_size), XATTR_SIZE_MAX);
    return size ? fs_getxattr(r->fs, r->h.nodeid, name, fuse_room(r, size), size) : -ERANGE;
}

int64_t fuse_listxattr(FuseRequest *r)
{
    struct fuse_getxattr_in in;
    memcpy(&in, r->arg, sizeof in);
    if (!in.size)
        return amount(r, fs_listxattr(r->fs, r->h.nodeid, NULL, 0));
    size_t size = MIN(MIN(in.size, r->out_size), XATTR_LIST_MAX);
    return size ? fs_listxattr(r->fs, r->h.nodeid, fuse_room(r, size), size) : -ERANGE;
}

int64_t fuse_removexattr(FuseRequest *r)
{
    return fs_removexattr(r->fs, r->h.nodeid, fuse_string(r, 0, 0, NULL));
}
