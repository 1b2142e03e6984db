/* SPDX-License-Identifier: MIT */
/*
 * A directory of the host as a file system for somebody who is not trusted: operations on nodes
 * (files that were looked up, by number) and handles (files that were opened, by number). Names are
 * single components, looked up below a descriptor of their folder without following links, so that
 * no name leads out whatever the host's processes rename meanwhile. Numbers carry a generation: old
 * and made-up ones are errors.
 *
 * All operations return 0, a count or -errno, from any thread, several at once. Who may do what is
 * for the guest's kernel to check, as with any local disk; what is made belongs to the caller (uid,
 * gid).
 */
#pragma once

#include "base/fdstore.h"

#include <fcntl.h>
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <sys/uio.h>

#define FS_ROOT 1u

typedef struct Fs Fs;

typedef enum {
    FS_HANDLES_NEVER,     /* a node is an open descriptor, or a name that leads to it again */
    FS_HANDLES_PREFER,    /* the file system's own handles, where it has them and we may use them */
    FS_HANDLES_MANDATORY, /* or fail at the start */
} FsFileHandles;

typedef struct FsIdMap FsIdMap;
typedef struct FsXattrMap FsXattrMap;

typedef struct {
    int root;             /* O_PATH or more; fs makes its own copy */
    const char *self_fd; /* a path of /proc/self/fd with "/" at its end, or "" when that is the
                            working folder; NULL: "/proc/self/fd/" */
    bool readonly;
    bool one_owner;       /* we may not become others: all that is made is ours */
    bool xattr;
    const FsXattrMap *xattr_map; /* NULL: names as they are; borrowed */
    bool posix_acl;       /* masks give way to default ACLs */
    bool submounts;       /* tell where other file systems begin */
    bool writeback;       /* the guest merges writes, so it reads what it opened for writing */
    bool direct_io;       /* O_DIRECT of the guest is meant */
    const FsIdMap *uids, *gids; /* NULL: the same here and there; borrowed */
    FsFileHandles file_handles;
    bool watch;           /* tell of changes that others make (fs_watch_read) */
    unsigned max_fds;     /* descriptors kept for nodes; 0: what RLIMIT_NOFILE leaves */
} FsOptions;

Fs *fs_new(const FsOptions *options, GError **error);
void fs_free(Fs *fs);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Fs, fs_free)
/* Lets all nodes but the root and all handles go. No operation may be running. */
void fs_reset(Fs *fs);

/* ---- Restarts ------------------------------------------------------------------ */

/*
 * From now on what is known of nodes, handles and locks outlives the process, in memory and
 * descriptors that the keeper has; store is borrowed. When the keeper had some from before, fs goes
 * on with it: all numbers mean what they did (fs_resumed). *forgot says why what it had is
 * forgotten instead, when it does not fit; newly allocated, NULL: it was not. False and *error:
 * nothing will outlive us. Once, before any operation.
 */
bool fs_keep(Fs *fs, FdStore *store, char **forgot, GError **error);
bool fs_resumed(const Fs *fs, unsigned *files, unsigned *open);
/* FS_KEPT bytes that outlive us, too, for whoever uses fs; zeros at first. NULL: there are none. */
#define FS_KEPT (UINT64_C(288) << 20)
void *fs_kept(Fs *fs);
/* The guest was told of this handle. After a restart those that it was not told of are let go by
 * fs_drop_unknown. */
void fs_handle_known(Fs *fs, uint64_t handle);
void fs_drop_unknown(Fs *fs);
/* For who asks whether something has happened already: what is at a name, or the node (name NULL).
 */
typedef struct {
    uint64_t ino, size;
    mode_t type;
    int64_t changed, born; /* ns since 1970; born 0: the file system does not say */
} FsTrace;
int fs_trace(Fs *fs, uint64_t node, const char *name, FsTrace *trace);
/* The handle appends, whatever the offset; where its file ends. */
bool fs_appends(Fs *fs, uint64_t handle, uint64_t *end);
/* Appends what was perhaps appended already, in part or whole, when the file ended at before. Bytes
   that are there now; negative: there is no trace of it, or one cannot look. */
ssize_t fs_append_again(Fs *fs, uint64_t handle, const void *data, size_t size, uint64_t before);

/* ---- Who asks ----------------------------------------------------------------- */

typedef struct {
    uint32_t uid, gid, pid; /* the guest's */
    uint32_t umask; /* what to take off modes, unless the folder has a default ACL; 0 when the guest
                       did */
    const char *label_name; /* an attribute that what is made has from the start (a security label);
                               NULL: none */
    const void *label;
    size_t label_size;
    uint32_t more_gid;      /* a group the caller is in beside gid */
    bool has_more_gid;
} FsCaller;

/* ---- Nodes -------------------------------------------------------------------- */

typedef struct {
    uint64_t node; /* counts as looked up once more: fs_forget takes it back */
    struct stat attr;
    bool submount; /* another file system than its folder's */
} FsEntry;

int fs_lookup(Fs *fs, uint64_t parent, const char *name, FsEntry *entry);
void fs_forget(Fs *fs, uint64_t node, uint64_t count);
/* handle 0: by the node alone. */
int fs_getattr(Fs *fs, uint64_t node, uint64_t handle, FsEntry *entry);

enum {
    FS_SET_MODE = 1, FS_SET_UID = 2, FS_SET_GID = 4, FS_SET_SIZE = 8, FS_SET_ATIME = 16, FS_SET_MTIME = 32,
    FS_SET_KILL_PRIV = 64, /* with a size: set-id bits go as for a writer without privileges */
};
typedef struct {
    unsigned what; /* FS_SET_ */
    mode_t mode;
    uint32_t uid, gid;
    uint64_t size;
    struct timespec atime, mtime; /* tv_nsec may be UTIME_NOW */
} FsSet;
int fs_setattr(Fs *fs, uint64_t node, uint64_t handle, const FsSet *set, FsEntry *entry);

/* The bytes put, without a NUL. */
ssize_t fs_readlink(Fs *fs, uint64_t node, char *target, size_t size);
int fs_access(Fs *fs, const FsCaller *caller, uint64_t node, int mask);
int fs_statfs(Fs *fs, uint64_t node, struct statvfs *st);
/* The whole file system of the node. */
int fs_syncfs(Fs *fs, uint64_t node);

int fs_mknod(Fs *fs, const FsCaller *caller, uint64_t parent, const char *name, mode_t mode,
             dev_t rdev, FsEntry *entry);
int fs_mkdir(Fs *fs, const FsCaller *caller, uint64_t parent, const char *name, mode_t mode,
             FsEntry *entry);
int fs_symlink(Fs *fs, const FsCaller *caller, uint64_t parent, const char *name,
               const char *target, FsEntry *entry);
int fs_link(Fs *fs, uint64_t node, uint64_t parent, const char *name, FsEntry *entry);
/* noted: gets st_ino + 1 of what goes or moves, before it does, for who must know later whether it
 * did; NULL: nobody. */
int fs_unlink(Fs *fs, uint64_t parent, const char *name, uint64_t *noted);
int fs_rmdir(Fs *fs, uint64_t parent, const char *name, uint64_t *noted);
/* flags: RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT */
int fs_rename(Fs *fs, uint64_t from, const char *name, uint64_t to, const char *new_name,
              unsigned flags, uint64_t *noted);

/* size 0: only how much there is. List: names with a NUL behind each. */
ssize_t fs_getxattr(Fs *fs, uint64_t node, const char *name, void *value, size_t size);
ssize_t fs_listxattr(Fs *fs, uint64_t node, char *list, size_t size);
/* kill_sgid: the set-gid bit goes with an ACL that says less (the guest's kernel asks for it). */
int fs_setxattr(Fs *fs, uint64_t node, const char *name, const void *value, size_t size, int flags,
                bool kill_sgid);
int fs_removexattr(Fs *fs, uint64_t node, const char *name);

/* ---- Handles ------------------------------------------------------------------- */

/* flags as of open(2), this host's. kill_priv: with O_TRUNC, as FS_SET_KILL_PRIV. */
int fs_open(Fs *fs, uint64_t node, int flags, bool kill_priv, uint64_t *handle);
int fs_create(Fs *fs, const FsCaller *caller, uint64_t parent, const char *name, int flags,
              mode_t mode, bool kill_priv, FsEntry *entry, uint64_t *handle);
int fs_tmpfile(Fs *fs, const FsCaller *caller, uint64_t parent, int flags, mode_t mode,
               FsEntry *entry, uint64_t *handle);
int fs_release(Fs *fs, uint64_t handle);
/* Up to IOV_MAX pieces; as many bytes as there are before the end of the file. */
ssize_t fs_read(Fs *fs, uint64_t handle, const struct iovec *iov, int n, uint64_t offset);
ssize_t fs_write(Fs *fs, uint64_t handle, const struct iovec *iov, int n, uint64_t offset,
                 bool kill_priv);
/* A descriptor of the guest is closed: what its owner locked with POSIX locks is free again. */
int fs_flush(Fs *fs, uint64_t node, uint64_t handle, uint64_t owner);
int fs_fsync(Fs *fs, uint64_t handle, bool data_only);
int fs_fallocate(Fs *fs, uint64_t handle, int mode, uint64_t offset, uint64_t length);
ssize_t fs_copy_range(Fs *fs, uint64_t from, uint64_t from_offset, uint64_t to, uint64_t to_offset,
                      uint64_t length, unsigned flags);
int64_t fs_lseek(Fs *fs, uint64_t handle, int64_t offset, int whence);

int fs_opendir(Fs *fs, uint64_t node, uint64_t *handle);
int fs_releasedir(Fs *fs, uint64_t handle);
int fs_fsyncdir(Fs *fs, uint64_t handle, bool data_only);
typedef struct {
    uint64_t ino, next; /* next: the offset that goes on behind it */
    unsigned type;      /* DT_ */
    const char *name;
} FsDirent;
/* Calls take for each entry from offset on until it returns false: that entry comes again. */
typedef bool FsTake(void *opaque, const FsDirent *entry);
int fs_readdir(Fs *fs, uint64_t handle, uint64_t offset, FsTake *take, void *opaque);

/* ---- Locks --------------------------------------------------------------------- */

/* POSIX locks of owner; lock as for fcntl(2), l_whence SEEK_SET. Conflicts: EAGAIN, or with wait
   until there is none or a signal comes (EINTR). */
int fs_getlk(Fs *fs, uint64_t node, uint64_t handle, uint64_t owner, struct flock *lock);
int fs_setlk(Fs *fs, uint64_t node, uint64_t handle, uint64_t owner, const struct flock *lock,
             bool wait);
/* operation: LOCK_SH, LOCK_EX or LOCK_UN. */
int fs_flock(Fs *fs, uint64_t handle, int operation, bool wait);

/* ---- What others change (FsOptions.watch) ------------------------------------------ */

/*
 * Waits up to timeout ms, or until a signal comes, for changes that other processes made in folders
 * that are known, and puts the paths of what changed, below the root, with a NUL behind each: their
 * bytes, or 0. "." is the root itself, "/" says that any file may have changed. One thread at a
 * time.
 */
ssize_t fs_watch_read(Fs *fs, char *paths, size_t size, int timeout);
/* What was not read so far is not told any more. */
void fs_watch_skip(Fs *fs);

/* ---- Tables of options ------------------------------------------------------------ */

/*
 * Ids of the guest and of the host. Lines are added in order and the first that fits holds; without
 * any, and where none fits, an id is itself.
 */
typedef enum { FS_ID_MAP, FS_ID_GUEST, FS_ID_HOST, FS_ID_SQUASH_GUEST, FS_ID_SQUASH_HOST, FS_ID_FORBID_GUEST } FsIdKind;
FsIdMap *fs_id_map_new(void);
void fs_id_map_free(FsIdMap *map);
/* "TYPE:SOURCE:TARGET:COUNT", or "forbid-guest:SOURCE:COUNT"; types are map, guest, host,
 * squash-guest, squash-host. */
bool fs_id_map_add(FsIdMap *map, const char *text, GError **error);
/* False when the id is forbidden. */
bool fs_id_to_host(const FsIdMap *map, uint32_t id, uint32_t *host);
uint32_t fs_id_to_guest(const FsIdMap *map, uint32_t id);

/*
 * Names of extended attributes: rules ":TYPE:SCOPE:KEY:PREPEND:" one after the other (any
 * separator, white space between), types prefix, ok, bad, unsupported, scopes client, server, all;
 * or ":map:KEY:PREPEND:" as the last.
 */
FsXattrMap *fs_xattr_map_parse(const char *text, GError **error);
void fs_xattr_map_free(FsXattrMap *map);
/* The host's name, or -errno. size of NAME: XATTR_NAME_MAX + 1. */
int fs_xattr_to_host(const FsXattrMap *map, const char *name, char *host);
/* The guest's name of a host's (part of it), or NULL when the guest shall not see it. */
const char *fs_xattr_to_guest(const FsXattrMap *map, const char *host);
