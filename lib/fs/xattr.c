/* SPDX-License-Identifier: MIT */
/* Extended attributes, by the path of the node's descriptor, as O_PATH descriptors have none
 * themselves. ACLs are the guest's business only when it was told that they are kept. */
#include "fs/fs_priv.h"

#include <errno.h>
#include <linux/limits.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

static bool is_acl(const char *name)
{
    return !strcmp(name, "system.posix_acl_access") || !strcmp(name, "system.posix_acl_default");
}

/* The host's name of an attribute, and the node. */
static int begin(Fs *fs, uint64_t node, const char *name, char *host, FsUse *use)
{
    if (!fs->o.xattr)
        return -ENOSYS;
    int e = fs_xattr_to_host(fs->o.xattr_map, name, host);
    if (e)
        return e;
    if (is_acl(host) && !fs->o.posix_acl)
        return -EOPNOTSUPP;
    return fs_use(fs, node, use);
}

ssize_t fs_getxattr(Fs *fs, uint64_t node, const char *name, void *value, size_t size)
{
    FsUse use;
    char host[XATTR_NAME_MAX + 1];
    int e = begin(fs, node, name, host, &use);
    if (e)
        return e == -EPERM ? -ENODATA : e;
    ssize_t n = getxattr(fs_path(fs, use.fd).text, host, value, size);
    n = n < 0 ? -errno : n;
    fs_done(fs, &use);
    return n;
}

int fs_setxattr(Fs *fs, uint64_t node, const char *name, const void *value, size_t size, int flags,
                bool kill_sgid)
{
    FsUse use;
    struct stat st;
    char host[XATTR_NAME_MAX + 1];
    if (fs->o.readonly)
        return -EROFS;
    int e = begin(fs, node, name, host, &use);
    if (e)
        return e;
    FsPath path = fs_path(fs, use.fd);
    e = setxattr(path.text, host, value, size, flags) ? -errno : 0;
    if (!e && kill_sgid && !fstat(use.fd, &st) && (st.st_mode & S_ISGID))
        e = chmod(path.text, st.st_mode & 07777 & ~S_ISGID) ? -errno : 0;
    fs_done(fs, &use);
    return e;
}

int fs_removexattr(Fs *fs, uint64_t node, const char *name)
{
    FsUse use;
    char host[XATTR_NAME_MAX + 1];
    if (fs->o.readonly)
        return -EROFS;
    int e = begin(fs, node, name, host, &use);
    if (e)
        return e;
    e = removexattr(fs_path(fs, use.fd).text, host) ? -errno : 0;
    fs_done(fs, &use);
    return e;
}

/* What the guest may see of them under its names; length of what is left. */
static size_t filter(const Fs *fs, const char *host, size_t length, char *guest)
{
    size_t out = 0;
    for (size_t at = 0, n; at < length; at += n + 1) {
        n = strnlen(host + at, length - at);
        if (at + n == length)
            break;
        const char *name = is_acl(host + at) && !fs->o.posix_acl
                               ? NULL
                               : fs_xattr_to_guest(fs->o.xattr_map, host + at);
        if (!name)
            continue;
        size_t put = strlen(name) + 1; /* never longer than what it is of */
        memcpy(guest + out, name, put);
        out += put;
    }
    return out;
}

ssize_t fs_listxattr(Fs *fs, uint64_t node, char *list, size_t size)
{
    FsUse use;
    if (!fs->o.xattr)
        return -ENOSYS;
    int e = fs_use(fs, node, &use);
    if (e)
        return e;
    g_autofree char *host = g_malloc(XATTR_LIST_MAX), *guest = g_malloc(XATTR_LIST_MAX);
    ssize_t n = listxattr(fs_path(fs, use.fd).text, host, XATTR_LIST_MAX);
    n = n < 0 ? -errno : (ssize_t)filter(fs, host, (size_t)n, guest);
    fs_done(fs, &use);
    if (n <= 0 || !size)
        return n;
    if ((size_t)n > size)
        return -ERANGE;
    memcpy(list, guest, (size_t)n);
    return n;
}
