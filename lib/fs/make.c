/* SPDX-License-Identifier: MIT */
/* Making files of all kinds and taking names away. What is made belongs to the caller, so it is
 * made as the caller. */
#include "fs/fs_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

typedef struct {
    mode_t mode;
    dev_t rdev;
    int flags;
    const char *target;
} Made;

/* As the kernel does it: the default ACL of the folder, or the mask. */
mode_t fs_masked(Fs *fs, const FsCaller *caller, const FsUse *folder, mode_t mode)
{
    if (!caller->umask)
        return mode;
    if (fs->o.posix_acl &&
        getxattr(fs_path(fs, folder->fd).text, "system.posix_acl_default", NULL, 0) > 0)
        return mode;
    return mode & ~(caller->umask & 0777);
}

static int make_node(Fs *fs, int folder, const char *name, void *opaque)
{
    Made *m = opaque;
    return mknodat(folder, name, m->mode, m->rdev) ? -errno : 0;
}

static int make_folder(Fs *fs, int folder, const char *name, void *opaque)
{
    Made *m = opaque;
    return mkdirat(folder, name, m->mode) ? -errno : 0;
}

static int make_link(Fs *fs, int folder, const char *name, void *opaque)
{
    Made *m = opaque;
    return symlinkat(m->target, folder, name) ? -errno : 0;
}

static int make_file(Fs *fs, int folder, const char *name, void *opaque)
{
    Made *m = opaque;
    int fd = openat(folder, name, m->flags | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, m->mode);
    return fd < 0 ? -errno : fd;
}

static int make_tmpfile(Fs *fs, int folder, const char *name, void *opaque)
{
    Made *m = opaque;
    int fd = openat(folder, ".", m->flags | O_TMPFILE | O_CLOEXEC, m->mode);
    return fd < 0 ? -errno : fd;
}

/* Makes it, then looks it up: somebody else may have put another file there, which is then what the
 * name means. */
static int make_and_enter(Fs *fs, const FsCaller *caller, uint64_t parent, const char *name,
                          FsMake *make, Made *m, FsEntry *entry)
{
    FsUse folder;
    if (fs->o.readonly)
        return -EROFS;
    int e = fs_use_folder(fs, parent, name, &folder);
    if (e)
        return e;
    m->mode = fs_masked(fs, caller, &folder, m->mode);
    e = fs_make_labelled(fs, caller, &folder, name, make, NULL, m);
    if (!e) {
        int fd = openat(folder.fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        e = fd < 0 ? -errno : fs_node_enter(fs, folder.node, name, fd, entry);
    }
    fs_done(fs, &folder);
    return e;
}

int fs_mknod(Fs *fs, const FsCaller *caller, uint64_t parent, const char *name, mode_t mode,
             dev_t rdev, FsEntry *entry)
{
    Made m = { .mode = mode, .rdev = rdev };
    return make_and_enter(fs, caller, parent, name, make_node, &m, entry);
}

int fs_mkdir(Fs *fs, const FsCaller *caller, uint64_t parent, const char *name, mode_t mode,
             FsEntry *entry)
{
    Made m = { .mode = mode & 07777 };
    return make_and_enter(fs, caller, parent, name, make_folder, &m, entry);
}

int fs_symlink(Fs *fs, const FsCaller *caller, uint64_t parent, const char *name,
               const char *target, FsEntry *entry)
{
    Made m = { .target = target };
    return make_and_enter(fs, caller, parent, name, make_link, &m, entry);
}

int fs_link(Fs *fs, uint64_t node, uint64_t parent, const char *name, FsEntry *entry)
{
    FsUse file, folder;
    if (fs->o.readonly)
        return -EROFS;
    int e = fs_use_folder(fs, parent, name, &folder);
    if (e)
        return e;
    e = fs_use(fs, node, &file);
    if (!e) {
        e = linkat(AT_FDCWD, fs_path(fs, file.fd).text, folder.fd, name, AT_SYMLINK_FOLLOW) ? -errno
                                                                                            : 0;
        fs_done(fs, &file);
    }
    if (!e) {
        int fd = openat(folder.fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        e = fd < 0 ? -errno : fs_node_enter(fs, folder.node, name, fd, entry);
    }
    fs_done(fs, &folder);
    return e;
}

/* ---- Names that go ---------------------------------------------------------------------- */

static int take_away(Fs *fs, uint64_t parent, const char *name, int flags, uint64_t *noted)
{
    FsUse folder;
    if (fs->o.readonly)
        return -EROFS;
    int e = fs_use_folder(fs, parent, name, &folder);
    if (e)
        return e;
    uint64_t last = fs_before_unlink(fs, &folder, name, noted);
    e = unlinkat(folder.fd, name, flags) ? -errno : 0;
    fs_after_unlink(fs, last, e != 0);
    fs_done(fs, &folder);
    return e;
}

int fs_unlink(Fs *fs, uint64_t parent, const char *name, uint64_t *noted)
{
    return take_away(fs, parent, name, 0, noted);
}

int fs_rmdir(Fs *fs, uint64_t parent, const char *name, uint64_t *noted)
{
    return take_away(fs, parent, name, AT_REMOVEDIR, noted);
}

int fs_rename(Fs *fs, uint64_t from, const char *name, uint64_t to, const char *new_name,
              unsigned flags, uint64_t *noted)
{
    FsUse a, b;
    if (fs->o.readonly)
        return -EROFS;
    int e = fs_use_folder(fs, from, name, &a);
    if (e)
        return e;
    e = fs_use_folder(fs, to, new_name, &b);
    if (e) {
        fs_done(fs, &a);
        return e;
    }
    bool swap = flags & RENAME_EXCHANGE;
    uint64_t last = swap || (flags & RENAME_NOREPLACE) ? 0
                                                       : fs_before_unlink(fs, &b, new_name, NULL);
    uint64_t there = fs_before_rename(fs, &a, name, &b, new_name, noted);
    uint64_t here = swap ? fs_before_rename(fs, &b, new_name, &a, name, NULL) : 0;
    e = syscall(SYS_renameat2, a.fd, name, b.fd, new_name, flags) ? -errno : 0;
    fs_after_unlink(fs, last, e != 0);
    fs_after_rename(fs, there, &b, new_name, e != 0);
    if (swap)
        fs_after_rename(fs, here, &a, name, e != 0);
    fs_done(fs, &b);
    fs_done(fs, &a);
    return e;
}

/* ---- Files that are open at once ------------------------------------------------------------ */

static int host_flags(const Fs *fs, int flags)
{
    int take = O_ACCMODE | O_APPEND | O_TRUNC | O_SYNC | O_DSYNC | O_NOATIME | O_NONBLOCK;
    if (fs->o.direct_io)
        take |= O_DIRECT;
    flags &= take;
    if (fs->o.writeback) {
        /* The guest fills pages up that it writes to in part, and knows where the end is. */
        if ((flags & O_ACCMODE) == O_WRONLY)
            flags = (flags & ~O_ACCMODE) | O_RDWR;
        flags &= ~O_APPEND;
    }
    return flags;
}

/* The node is made of the very file that was made. */
static int enter_made(Fs *fs, const FsUse *folder, const char *name, int made, int flags,
                      FsEntry *entry, uint64_t *handle)
{
    int fd = open(fs_path(fs, made).text, O_PATH | O_CLOEXEC);
    int e = fd < 0 ? -errno : fs_node_enter(fs, folder->node, name, fd, entry);
    if (e) {
        close(made);
        return e;
    }
    pthread_mutex_lock(&fs->lock);
    FsNode *n = fs_slots_find(&fs->nodes, entry->node);
    if (n)
        n->users++;
    pthread_mutex_unlock(&fs->lock);
    if (!n) { /* the guest guessed its number and forgot it */
        close(made);
        return -ESTALE;
    }
    e = fs_handle_add(fs, n, made, flags, false, handle);
    if (!e)
        fs_handles_keep(fs, n, entry->attr.st_mode);
    pthread_mutex_lock(&fs->lock);
    fs_node_drop(fs, n);
    pthread_mutex_unlock(&fs->lock);
    if (e)
        fs_forget(fs, entry->node, 1);
    return e;
}

int fs_create(Fs *fs, const FsCaller *caller, uint64_t parent, const char *name, int flags,
              mode_t mode, bool kill_priv, FsEntry *entry, uint64_t *handle)
{
    FsUse folder;
    if (fs->o.readonly)
        return -EROFS;
    if (!fs_room(fs))
        return -ENFILE;
    int e = fs_use_folder(fs, parent, name, &folder);
    if (e)
        return e;
    /* What is there already is looked up and opened as any file is, so that it is known to be one.
     */
    Made m = { .mode = fs_masked(fs, caller, &folder, mode & 07777),
               .flags = host_flags(fs, flags) & ~O_TRUNC };
    int made = fs_make_labelled(fs, caller, &folder, name, make_file, make_tmpfile, &m);
    bool there = made == -EEXIST && !(flags & O_EXCL);
    e = made < 0 ? made : enter_made(fs, &folder, name, made, m.flags, entry, handle);
    fs_done(fs, &folder);
    if (!there)
        return e;
    e = fs_lookup(fs, parent, name, entry);
    if (e)
        return e;
    e = fs_open(fs, entry->node, flags, kill_priv, handle);
    if (e)
        fs_forget(fs, entry->node, 1);
    return e;
}

int fs_tmpfile(Fs *fs, const FsCaller *caller, uint64_t parent, int flags, mode_t mode,
               FsEntry *entry, uint64_t *handle)
{
    FsUse folder;
    if (fs->o.readonly)
        return -EROFS;
    if (!fs_room(fs))
        return -ENFILE;
    int e = fs_use_folder(fs, parent, "tmpfile", &folder);
    if (e)
        return e;
    Made m = { .mode = fs_masked(fs, caller, &folder, mode & 07777),
               .flags = (host_flags(fs, flags) & ~O_TRUNC) | (flags & O_EXCL) };
    FsCaller plain = *caller;
    plain.label_name = NULL;
    int made = fs_make_labelled(fs, &plain, &folder, NULL, make_tmpfile, NULL, &m);
    e = made < 0 ? made : enter_made(fs, &folder, NULL, made, m.flags, entry, handle);
    fs_done(fs, &folder);
    return e;
}

int fs_open_node(Fs *fs, const FsUse *use, int flags, bool dir)
{
    if (dir) {
        int folder = openat(use->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return folder < 0 ? -errno : folder;
    }
    int fd = fs_reopen(fs, use->fd, use->node->type, flags);
    if (fd == -EPERM &&
        (flags & O_NOATIME)) /* only the owner may, and the guest's kernel has seen to that */
        fd = fs_reopen(fs, use->fd, use->node->type, flags & ~O_NOATIME);
    return fd;
}

int fs_open(Fs *fs, uint64_t node, int flags, bool kill_priv, uint64_t *handle)
{
    FsUse use;
    FsBecame became = { 0 };
    int host = host_flags(fs, flags);
    if (fs->o.readonly && ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC)))
        return -EROFS;
    if (!fs_room(fs))
        return -ENFILE;
    int e = fs_use(fs, node, &use);
    if (e)
        return e;
    if (kill_priv && (host & O_TRUNC))
        fs_drop_fsetid(fs, &became);
    int fd = S_ISDIR(use.node->type) ? -EISDIR : fs_open_node(fs, &use, host, false);
    /* A file of which we may write, and not read: partial pages will have to fail. */
    if (fd == -EACCES && fs->o.writeback && (flags & O_ACCMODE) == O_WRONLY) {
        host = (host & ~O_ACCMODE) | O_WRONLY;
        fd = fs_open_node(fs, &use, host, false);
    }
    fs_become_self(fs, &became);
    e = fd < 0 ? fd : fs_handle_add(fs, use.node, fd, host, false, handle);
    fs_done(fs, &use);
    return e;
}
