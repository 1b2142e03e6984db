/* SPDX-License-Identifier: MIT */
/* What is said of a file: attributes, changed ones, access, file systems. */
#include "fs/fs_priv.h"

#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static struct timespec when(const struct statx_timestamp *t)
{
    return (struct timespec){ t->tv_sec, t->tv_nsec };
}

int fs_stat_at(int fd, const char *name, struct stat *st, FsKey *key)
{
    struct statx x;
    if (statx(fd, name, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
              STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID, &x))
        return -errno;
    *st = (struct stat){
        .st_dev = makedev(x.stx_dev_major, x.stx_dev_minor), .st_ino = x.stx_ino, .st_mode = x.stx_mode,
        .st_nlink = x.stx_nlink, .st_uid = x.stx_uid, .st_gid = x.stx_gid,
        .st_rdev = makedev(x.stx_rdev_major, x.stx_rdev_minor), .st_size = (off_t)x.stx_size,
        .st_blksize = x.stx_blksize, .st_blocks = (blkcnt_t)x.stx_blocks, .st_atim = when(&x.stx_atime),
        .st_mtim = when(&x.stx_mtime), .st_ctim = when(&x.stx_ctime)
    };
    *key = (FsKey){ .dev = st->st_dev, .ino = x.stx_ino };
    if (x.stx_mask & STATX_MNT_ID)
        key->mount = x.stx_mnt_id;
    if (x.stx_mask & STATX_BTIME)
        key->birth = (uint64_t)x.stx_btime.tv_sec * 1000000000 + x.stx_btime.tv_nsec;
    return 0;
}

int fs_stat_fd(int fd, struct stat *st, FsKey *key)
{
    return fs_stat_at(fd, "", st, key);
}

void fs_to_guest(const Fs *fs, struct stat *st)
{
    st->st_uid = fs_id_to_guest(fs->o.uids, st->st_uid);
    st->st_gid = fs_id_to_guest(fs->o.gids, st->st_gid);
}

int fs_lookup(Fs *fs, uint64_t parent, const char *name, FsEntry *entry)
{
    FsUse folder;
    int e = fs_use_folder(fs, parent, name, &folder);
    if (e)
        return e;
    int fd = openat(folder.fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    e = fd < 0 ? -errno : fs_node_enter(fs, folder.node, name, fd, entry);
    fs_done(fs, &folder);
    return e;
}

/* By the handle, when it is of that node. */
static int use_both(Fs *fs, uint64_t node, uint64_t handle, FsUse *use, FsHandle **h)
{
    *h = NULL;
    int e = fs_use(fs, node, use);
    if (e || !handle)
        return e;
    e = fs_handle_use(fs, handle, S_ISDIR(use->node->type), h);
    if (!e && (*h)->node != use->node) {
        fs_handle_done(fs, *h);
        e = -EBADF;
    }
    if (e)
        fs_done(fs, use);
    return e;
}

int fs_getattr(Fs *fs, uint64_t node, uint64_t handle, FsEntry *entry)
{
    FsUse use;
    FsKey key;
    FsHandle *h;
    int e = use_both(fs, node, handle, &use, &h);
    if (e)
        return e;
    e = fs_stat_fd(h ? h->fd : use.fd, &entry->attr, &key);
    entry->node = node;
    entry->submount = false;
    if (h)
        fs_handle_done(fs, h);
    fs_done(fs, &use);
    if (!e)
        fs_to_guest(fs, &entry->attr);
    return e;
}

/* ---- Changing ------------------------------------------------------------------------- */

static int set_owner(Fs *fs, const FsUse *use, const FsSet *set)
{
    uint32_t uid = UINT32_MAX, gid = UINT32_MAX; /* as it is */
    if (((set->what & FS_SET_UID) && !fs_id_to_host(fs->o.uids, set->uid, &uid)) ||
        ((set->what & FS_SET_GID) && !fs_id_to_host(fs->o.gids, set->gid, &gid)))
        return -EPERM;
    if (!fchownat(use->fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
        return 0;
    return errno == EINVAL ? -EPERM : -errno; /* an id that our user namespace does not have */
}

static int set_size(Fs *fs, const FsUse *use, const FsHandle *h, const FsSet *set)
{
    FsBecame became = { 0 };
    if (set->size > INT64_MAX)
        return -EFBIG;
    if (set->what & FS_SET_KILL_PRIV)
        fs_drop_fsetid(fs, &became);
    bool by_handle = h && (h->flags & O_ACCMODE) != O_RDONLY;
    int e = by_handle ? ftruncate(h->fd, (off_t)set->size)
                      : truncate(fs_path(fs, use->fd).text, (off_t)set->size);
    e = e ? -errno : 0;
    fs_become_self(fs, &became);
    return e;
}

static int set_times(Fs *fs, const FsUse *use, const FsSet *set)
{
    struct timespec t[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_OMIT } };
    if (set->what & FS_SET_ATIME)
        t[0] = set->atime;
    if (set->what & FS_SET_MTIME)
        t[1] = set->mtime;
    return utimensat(AT_FDCWD, fs_path(fs, use->fd).text, t, 0) ? -errno : 0;
}

int fs_setattr(Fs *fs, uint64_t node, uint64_t handle, const FsSet *set, FsEntry *entry)
{
    FsUse use;
    FsKey key;
    FsHandle *h;
    if (fs->o.readonly)
        return -EROFS;
    int e = use_both(fs, node, handle, &use, &h);
    if (e)
        return e;
    if (set->what & FS_SET_MODE) {
        fs_handles_keep(fs, use.node, set->mode | S_IFREG);
        e = chmod(fs_path(fs, use.fd).text, set->mode & 07777) ? -errno : 0;
    }
    if (!e && (set->what & (FS_SET_UID | FS_SET_GID)))
        e = set_owner(fs, &use, set);
    if (!e && (set->what & FS_SET_SIZE))
        e = set_size(fs, &use, h, set);
    if (!e && (set->what & (FS_SET_ATIME | FS_SET_MTIME)))
        e = set_times(fs, &use, set);
    if (!e)
        e = fs_stat_fd(use.fd, &entry->attr, &key);
    entry->node = node;
    entry->submount = false;
    if (h)
        fs_handle_done(fs, h);
    fs_done(fs, &use);
    if (!e)
        fs_to_guest(fs, &entry->attr);
    return e;
}

/* ---- Asking ---------------------------------------------------------------------------- */

ssize_t fs_readlink(Fs *fs, uint64_t node, char *target, size_t size)
{
    FsUse use;
    int e = fs_use(fs, node, &use);
    if (e)
        return e;
    ssize_t n = S_ISLNK(use.node->type) ? readlinkat(use.fd, "", target, size)
                                        : (errno = EINVAL, -1);
    n = n < 0 ? -errno : n;
    fs_done(fs, &use);
    return n;
}

int fs_access(Fs *fs, const FsCaller *caller, uint64_t node, int mask)
{
    FsUse use;
    FsBecame became;
    if (fs->o.readonly && (mask & W_OK))
        return -EROFS;
    int e = fs_use(fs, node, &use);
    if (e)
        return e;
    e = fs_become(fs, caller, 0, &became);
    if (!e) {
        e = faccessat(AT_FDCWD, fs_path(fs, use.fd).text, mask, AT_EACCESS) ? -errno : 0;
        fs_become_self(fs, &became);
    }
    fs_done(fs, &use);
    return e;
}

int fs_statfs(Fs *fs, uint64_t node, struct statvfs *st)
{
    FsUse use;
    int e = fs_use(fs, node, &use);
    if (e)
        return e;
    e = fstatvfs(use.fd, st) ? -errno : 0;
    fs_done(fs, &use);
    return e;
}

int fs_syncfs(Fs *fs, uint64_t node)
{
    FsUse use;
    int e = fs_use(fs, node, &use);
    if (e)
        return e;
    int fd = fs_reopen(fs, use.fd, use.node->type, O_RDONLY);
    e = fd < 0 ? fd : syncfs(fd) ? -errno : 0;
    if (fd >= 0)
        close(fd);
    fs_done(fs, &use);
    return e;
}
