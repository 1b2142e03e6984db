/* SPDX-License-Identifier: MIT */
/*
 * What is made with an attribute (a security label) from the start, in one of three ways:
 *   the kernel's own security attribute, by its name: fscreate of this thread says it beforehand;
 *   under another name, files: made without a name, given the attribute, then linked;
 *   what else there is: made, then given the attribute, and removed again when that fails. Between
 * the two it can be seen without; the guest's kernel does not show it before it has our answer.
 */
#include "fs/fs_priv.h"

#include <errno.h>
#include <linux/limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

/* "" takes it back. */
static int set_fscreate(const Fs *fs, const void *label, size_t size)
{
    char path[96];
    snprintf(path, sizeof path, "%s../task/%ld/attr/fscreate", fs->self_fd, syscall(SYS_gettid));
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = write(fd, label, size);
    int e = n < 0 ? -errno : (size_t)n == size ? 0 : -EIO;
    close(fd);
    return e;
}

static int made_then_labelled(Fs *fs, const FsUse *folder, const char *name, const char *attribute,
                              const FsCaller *caller)
{
    int fd = openat(folder->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int e = setxattr(fs_path(fs, fd).text, attribute, caller->label, caller->label_size, 0) ? -errno
                                                                                            : 0;
    struct stat st;
    if (e && !fstat(fd, &st))
        unlinkat(folder->fd, name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0);
    close(fd);
    return e;
}

static int as_caller(Fs *fs, const FsCaller *caller, const FsUse *folder, const char *name,
                     FsMake *make, void *opaque)
{
    FsBecame became;
    int e = fs_become(fs, caller, FS_MAKES, &became);
    if (e)
        return e;
    e = make(fs, folder->fd, name, opaque);
    fs_become_self(fs, &became);
    return e;
}

/* A file without a name, which gets one when it has its label. -EOPNOTSUPP: the file system or the
   way it is opened has none such. */
static int labelled_then_named(Fs *fs, const FsUse *folder, const char *name, const char *attribute,
                               const FsCaller *caller, FsMake *unnamed, void *opaque)
{
    int fd = as_caller(fs, caller, folder, name, unnamed, opaque);
    if (fd < 0)
        return fd == -EISDIR || fd == -EINVAL ? -EOPNOTSUPP : fd;
    FsPath path = fs_path(fs, fd);
    int e = setxattr(path.text, attribute, caller->label, caller->label_size, 0) ||
                    linkat(AT_FDCWD, path.text, folder->fd, name, AT_SYMLINK_FOLLOW) ? -errno : fd;
    if (e < 0)
        close(fd);
    return e;
}

int fs_make_labelled(Fs *fs, const FsCaller *caller, const FsUse *folder, const char *name,
                     FsMake *make, FsMake *unnamed, void *opaque)
{
    char attribute[XATTR_NAME_MAX + 1];
    if (!caller->label_name)
        return as_caller(fs, caller, folder, name, make, opaque);
    if (!fs->o.xattr)
        return -EOPNOTSUPP;
    int e = fs_xattr_to_host(fs->o.xattr_map, caller->label_name, attribute);
    if (e)
        return e;
    if (!strcmp(attribute, "security.selinux") &&
        !set_fscreate(fs, caller->label, caller->label_size)) {
        e = as_caller(fs, caller, folder, name, make, opaque);
        if (set_fscreate(fs, "", 0))
            g_error("cannot take the label of new files back"); /* all that this thread makes would
                                                                   have it */
        return e;
    }
    struct stat st; /* the common error first: nothing is to be made then */
    if (unnamed && fstatat(folder->fd, name, &st, AT_SYMLINK_NOFOLLOW) && errno == ENOENT) {
        e = labelled_then_named(fs, folder, name, attribute, caller, unnamed, opaque);
        if (e != -EOPNOTSUPP)
            return e;
    }
    int made = as_caller(fs, caller, folder, name, make, opaque);
    if (made < 0)
        return made;
    e = made_then_labelled(fs, folder, name, attribute, caller);
    if (e && made > 0)
        close(made);
    return e ? e : made;
}
