/* SPDX-License-Identifier: MIT */
/*
 * What the files of lib/fs share. One lock (Fs.lock) guards the tables and what nodes and handles
 * say of themselves; no system call that may wait for a disk is made under it.
 */
#pragma once

#include "fs/fs.h"

#include <fcntl.h>
#include <pthread.h>

/* ---- Numbers for things (slots.c) ------------------------------------------------ */

/* An id is a place and how often it was used before, so that one which is let go fits nothing any
 * more. */
typedef struct {
    void **items;
    uint32_t *generations, *free_next;
    uint32_t size, free_head, count; /* free_head: place + 1, 0: none */
} FsSlots;

uint64_t fs_slots_add(FsSlots *slots, void *item);
void *fs_slots_find(const FsSlots *slots, uint64_t id);
void fs_slots_remove(FsSlots *slots, uint64_t id);
void fs_slots_clear(FsSlots *slots);
/* Puts an item (or NULL) at its old place, in any order; then fs_slots_restored, before anything
 * else. */
bool fs_slots_restore(FsSlots *slots, uint32_t place, uint32_t generation, void *item);
void fs_slots_restored(FsSlots *slots);

/* ---- Nodes (node.c, way.c) --------------------------------------------------------- */

/* What tells files apart. birth: when it was made, as numbers of files are given again. */
typedef struct {
    uint64_t dev, ino, mount, birth;
} FsKey;

/* The file system's name for a file, as name_to_handle_at gives it. */
typedef struct {
    unsigned size;
    int type;
    uint8_t bytes[]; /* size of them */
} FsFileHandle;

/* Room for any handle that name_to_handle_at gives. */
typedef union {
    struct file_handle h;
    uint8_t bytes[sizeof(struct file_handle) + MAX_HANDLE_SZ];
} FsKernelHandle;

typedef struct FsNode FsNode;
struct FsNode {
    FsKey key;
    uint64_t id;
    uint64_t lookups;        /* how often the guest was told of it and has not forgotten */
    unsigned users;          /* operations, handles and nodes below that point here */
    unsigned pins;           /* who uses fd right now */
    int fd;                  /* O_PATH; -1: closed meanwhile */
    unsigned open_below;     /* open nodes that have this one as their parent */
    mode_t type;             /* S_IFMT of it */
    bool keep;               /* nothing leads to it again: fd stays */
    bool hashed;             /* found by key */
    bool watched;            /* in Fs.watch; its fd stays */
    bool lost;               /* its last name went: when nobody has it open, it is gone */
    bool stored;             /* the keeper has a descriptor of it */
    unsigned handles;        /* open ones of it */
    FsFileHandle *file_handle; /* a way to it */
    FsNode *parent;          /* another: a name, when there is no file handle */
    char *name;
    FsNode *older, *newer;   /* among those whose fd may be closed */
    GArray *locks;           /* FsLock */
};

typedef struct {
    uint64_t owner;
    int fd;
    bool stored; /* the keeper has the descriptor, too */
} FsLock;

typedef struct FsWatch FsWatch;
typedef struct FsState FsState;
typedef struct FsDirState FsDirState;
typedef struct {
    uint64_t id;
    FsNode *node;
    int fd, flags; /* fd -1: came back from before a restart, and is opened when it is used */
    unsigned users;
    bool dir;
    bool stored;             /* the keeper has a descriptor of it */
    FsDirState *state;
} FsHandle;

struct Fs {
    FsOptions o;
    char *self_fd;
    int root_fd;
    uid_t uid;               /* what we are ourselves */
    gid_t gid;
    uint64_t caps;           /* what we may, permitted */
    pthread_mutex_t lock;
    FsSlots nodes, handles;
    GHashTable *by_key;      /* FsKey * in its FsNode */
    FsNode *root, *oldest, *newest;
    unsigned open_fds, max_fds, max_handles, closed; /* closed: nodes without fd that go by name */
    unsigned dir_buffers;    /* kept between requests */
    bool use_file_handles;
    FsWatch *watch;          /* NULL: nobody wants to know */
    GHashTable *mounts;      /* mount id -> descriptor for open_by_handle_at, +1 */
    FsState *state;          /* what outlives us; NULL: nothing does */
};

/* A node in use: fd is open until fs_done. */
typedef struct {
    FsNode *node;
    int fd;
} FsUse;

int fs_use(Fs *fs, uint64_t id, FsUse *use);
/* The same for a folder whose name is about to be used: also checks the name. */
int fs_use_folder(Fs *fs, uint64_t id, const char *name, FsUse *use);
void fs_done(Fs *fs, FsUse *use);
/* The node of fd (O_PATH, ours from now on), found or made, looked up once more. */
int fs_node_enter(Fs *fs, FsNode *parent, const char *name, int fd, FsEntry *entry);
/* Under the lock: one user less; the node may be gone then. */
void fs_node_drop(Fs *fs, FsNode *node);
void fs_nodes_init(Fs *fs);
void fs_nodes_clear(Fs *fs, bool all);
/* Under the lock: n->fd was just opened. */
void fs_node_opened(Fs *fs, FsNode *n);
/* Under the lock: closes what is too much. May give the lock up in between. */
void fs_evict(Fs *fs);
/* What is there is about to lose that name. The node that this is the end of, for fs_after_unlink;
 * 0: none. */
uint64_t fs_before_unlink(Fs *fs, FsUse *folder, const char *name, uint64_t *noted);
void fs_after_unlink(Fs *fs, uint64_t node, bool failed);
/* The node that is about to move there, for fs_after_rename; 0: not known. */
uint64_t fs_before_rename(Fs *fs, FsUse *from, const char *name, FsUse *to, const char *new_name,
                          uint64_t *noted);
void fs_after_rename(Fs *fs, uint64_t node, FsUse *folder, const char *name, bool failed);

/* state.c: what outlives the process. Under the lock, unless it says otherwise. */
void fs_state_node(Fs *fs, const FsNode *n);    /* all of it: it is new */
void fs_state_lookups(Fs *fs, const FsNode *n); /* each of these: what its name says has changed */
void fs_state_way(Fs *fs, const FsNode *n);
void fs_state_lost(Fs *fs, const FsNode *n);
/* Is about to get that name, too; folder NULL: it did not. */
void fs_state_moving(Fs *fs, const FsNode *n, const FsNode *folder, const char *name);
void fs_state_gone(Fs *fs, FsNode *n);
/* It has a name again. */
void fs_state_found(Fs *fs, FsNode *n);
/* fd, of any kind, is of that node, to which no way will lead back. Without the lock; n has a user.
 */
void fs_state_keep_node(Fs *fs, FsNode *n, int fd);
void fs_state_mount(Fs *fs, const FsKey *key, int fd);
void fs_state_handle(Fs *fs, const FsHandle *h);
void fs_state_handle_gone(Fs *fs, uint64_t id);
/* These without the lock. A handle that could not be opened again as it is. */
void fs_state_keep_handle(Fs *fs, FsHandle *h);
void fs_state_drop_handle(Fs *fs, FsHandle *h);
bool fs_state_keep_lock(Fs *fs, uint64_t node, uint64_t owner, int fd);
void fs_state_drop_lock(Fs *fs, uint64_t node, uint64_t owner);
void fs_state_free(FsState *state);
/* When all nodes are gone: their memory goes, too. */
void fs_state_reset(Fs *fs);

/* way.c: opens the node anew by what leads to it. */
int fs_way_open(Fs *fs, FsNode *node);
bool fs_way_init(Fs *fs, GError **error);
FsFileHandle *fs_way_handle(Fs *fs, int fd, const FsKey *key, mode_t type);
bool fs_way_equal(const FsFileHandle *a, const FsFileHandle *b);

/* attr.c */
int fs_stat_fd(int fd, struct stat *st, FsKey *key);
int fs_stat_at(int fd, const char *name, struct stat *st, FsKey *key);
/* Makes what the host says into what the guest sees. */
void fs_to_guest(const Fs *fs, struct stat *st);

/* ---- Changes of others (watch.c) ----------------------------------------------------- */

bool fs_watch_start(Fs *fs, GError **error);
void fs_watch_free(Fs *fs);
/* A folder that has just become known. */
void fs_watch_folder(Fs *fs, uint64_t id);
/* All that are known, after a restart; nobody saw what happened meanwhile. */
void fs_watch_all(Fs *fs);
/* Under the lock: n is about to go. */
void fs_watch_drop(Fs *fs, FsNode *n);

/* ---- Handles (handle.c) -------------------------------------------------------------- */

/* fd is ours from now on, also on failure; node gets a user. */
int fs_handle_add(Fs *fs, FsNode *node, int fd, int flags, bool dir, uint64_t *id);
int fs_handle_use(Fs *fs, uint64_t id, bool dir, FsHandle **handle);
void fs_handle_done(Fs *fs, FsHandle *handle);
int fs_handle_release(Fs *fs, uint64_t id, bool dir);
/* Opens what the guest has open, as it had it: flags as in FsHandle. The descriptor or -errno. */
int fs_open_node(Fs *fs, const FsUse *use, int flags, bool dir);
/* All handles of the node that may not be opened by that mode (0: none can be) go to the keeper. */
void fs_handles_keep(Fs *fs, FsNode *node, mode_t mode);
/* On another mount than the root: what the keeper has of that may not be opened again, as Landlock
 * finds no way up. */
bool fs_elsewhere(const Fs *fs, const FsNode *node);
/* Whether it had a buffer, which counts in dir_buffers. */
bool fs_dir_state_free(FsDirState *state);
/* Room for one more descriptor that is no node's. */
bool fs_room(Fs *fs);

/* ---- Paths of descriptors --------------------------------------------------------------- */

typedef struct {
    char text[64];
} FsPath;
/* A path to the very file of fd, whatever its kind. */
FsPath fs_path(const Fs *fs, int fd);
/* Opens what an O_PATH descriptor stands for; only regular files and folders. The descriptor or
 * -errno. */
int fs_reopen(const Fs *fs, int fd, mode_t type, int flags);

/* ---- Who does it (creds.c) ----------------------------------------------------------------- */

typedef struct {
    bool uid, gid, groups, caps;
    uint64_t effective;
} FsBecame;
enum { FS_MAKES = 1, /* may also write where the guest's kernel allowed it */ };
/* This thread acts as the caller from now on until fs_become_self. */
int fs_become(Fs *fs, const FsCaller *caller, unsigned how, FsBecame *became);
void fs_become_self(Fs *fs, FsBecame *became);
/* This thread writes as somebody without privileges: set-id bits go. */
void fs_drop_fsetid(Fs *fs, FsBecame *became);
uint64_t fs_caps_permitted(void);


/* ---- Making things (make.c, label.c) -------------------------------------------------------- */

/* Makes one thing at name in folder fd: descriptor (for files) or 0, or -errno. */
typedef int FsMake(Fs *fs, int folder, const char *name, void *opaque);
/* Does make as the caller, with the caller's label on what is made. unnamed: makes the same file
   without a name; NULL: there is no such way. */
int fs_make_labelled(Fs *fs, const FsCaller *caller, const FsUse *folder, const char *name,
                     FsMake *make, FsMake *unnamed, void *opaque);
mode_t fs_masked(Fs *fs, const FsCaller *caller, const FsUse *folder, mode_t mode);
void fs_locks_clear(Fs *fs, FsNode *node);
void fs_locks_add(FsNode *node, uint64_t owner, int fd);
