/* SPDX-License-Identifier: MIT */
/*
 * One request on its way: its fixed part and names are copied out of guest memory once, into memory
 * that nobody else changes; data of READ and WRITE stay where they are. Integers are the guest's
 * own, which is this host's order.
 */
#pragma once

#include "fuse/fuse.h"

#include <linux/fuse.h>

#include <pthread.h>
#include <stdatomic.h>

/* 7.39 and later; what headers of today's distributions lack. */
#define FUSE_CREATE_SUPP_GROUP_ (UINT64_C(1) << 34)
#define FUSE_DIRECT_IO_ALLOW_MMAP_ (UINT64_C(1) << 36)
enum { FUSE_EXT_GROUPS_ = 32 };

enum {
    FUSE_MAX_ARGS = 160 * 1024, /* fixed part, names, a label and an attribute's value */
    FUSE_MAX_DATA = 256 * 1024, /* of an answer that is made here and copied */
    FUSE_INTERRUPTED = 16,
    FUSE_MAX_WAITING = 512,
    FUSE_TROUBLES = 10,
};

/* A request that waits; on its thread's stack. */
typedef struct FuseWaiter FuseWaiter;
struct FuseWaiter {
    FuseWaiter *next;
    uint64_t unique;
    pthread_t thread;
    sigset_t before;
    _Atomic bool given_up;
};

/* replay.c: what outlives the process */
typedef struct FuseKept FuseKept;
typedef struct FuseSlot FuseSlot;

#define FUSE_HELLO_ (UINT64_C(1) << 63) /* of a session's flags: there was an INIT */

struct FuseSession {
    Fs *fs;
    FuseKept *kept;           /* NULL: nothing does */
    bool resumed;
    FuseOptions o;
    uint64_t entry_ns;        /* how long names and attributes hold */
    _Atomic uint64_t flags;   /* what both sides agreed on; 0: no INIT yet */
    _Atomic bool reading;     /* somebody has the file of events open */
    _Atomic int64_t told[FUSE_TROUBLES]; /* when, in seconds; 0: never */
    pthread_mutex_t lock;     /* of what follows */
    FuseWaiter *waiters;
    unsigned waiting;
    uint64_t interrupted[FUSE_INTERRUPTED]; /* the last requests that the guest gave up */
    unsigned next_interrupted;
};

/* Pieces, and where in them we are. */
typedef struct {
    const struct iovec *iov;
    int n;
    size_t at; /* within iov[0] */
} FusePieces;

size_t fuse_pieces_size(const struct iovec *iov, int n);
/* Copies up to size bytes and goes on behind them: how many there were. */
size_t fuse_pieces_take(FusePieces *p, void *to, size_t size);
size_t fuse_pieces_put(FusePieces *p, const void *from, size_t size);
/* Fills iov (of max) with what lies in the next size bytes, and goes on behind them; *bytes is how
 * many they are. */
int fuse_pieces_slice(FusePieces *p, struct iovec *iov, int max, size_t size, size_t *bytes);

typedef struct {
    FuseSession *s;
    Fs *fs;
    struct fuse_in_header h;
    FsCaller caller;
    const uint8_t *arg; /* what follows the header: fixed part, names; 8-byte aligned */
    size_t arg_size;
    FusePieces in;      /* behind arg: data of WRITE */
    size_t in_size;
    FusePieces out;     /* behind the answer's header */
    size_t out_size;
    uint8_t *data;      /* the answer: at least 4096 bytes, or fuse_room */
    uint8_t *heap;
    FuseSlot *slot;     /* NULL: it may be done twice */
    bool again;         /* it may have been done before */
    uint8_t small[4096] __attribute__((aligned(8)));
} FuseRequest;

/* size bytes for the answer, in r->data. */
void *fuse_room(FuseRequest *r, size_t size);
/* The nth string behind a fixed part, or NULL when it has no end. rest, if not NULL: what follows
 * it. */
const char *fuse_string(const FuseRequest *r, size_t fixed, unsigned n, size_t *rest);
bool fuse_agreed(const FuseRequest *r, uint64_t flag);

/* Labels and groups that come behind the names of requests that make something, into r->caller. */
int fuse_extensions(FuseRequest *r, size_t at);

/* The answer to CREATE, in r->data; its size. */
int64_t fuse_put_created(FuseRequest *r, const FsEntry *entry, uint64_t handle);
/* What is offered (init.c). */
uint64_t fuse_wanted(const FuseOptions *o);
void fuse_put_entry(const FuseRequest *r, const FsEntry *entry, struct fuse_entry_out *out);
void fuse_put_attr(const FuseRequest *r, const FsEntry *entry, struct fuse_attr *out);
void fuse_hold(const FuseRequest *r, uint64_t *seconds, uint32_t *nanoseconds);

/* wait.c. False: it was given up already, or too many wait. */
void fuse_wait_init(FuseSession *s);
bool fuse_wait_begin(FuseRequest *r, FuseWaiter *w);
void fuse_wait_end(FuseRequest *r, FuseWaiter *w);
void fuse_wait_interrupt(FuseSession *s, uint64_t unique);

/* trouble.c: an operation failed with that errno. */
void fuse_trouble(FuseRequest *r, int error);

/* events.c: the file of events, as a node and a handle that lib/fs never gives; its entry; requests
 * on it. */
#define FUSE_EVENTS UINT64_MAX
bool fuse_is_events(const FuseRequest *r, const char *name);
int64_t fuse_events_entry(FuseRequest *r);
int64_t fuse_events(FuseRequest *r);
bool fuse_is_touch(const FuseRequest *r, const char *name);
/* replay.c. At the start of a session, and when a guest begins anew. */
void fuse_replay_open(FuseSession *s);
void fuse_replay_forget(FuseSession *s);
void fuse_replay_flags(FuseSession *s, uint64_t flags);
typedef enum { FUSE_NEW, FUSE_AGAIN, FUSE_DONE } FuseKnown;
/* What is known of the request in that slot; r->slot and r->again are set. DONE: fuse_replay_answer
 * has the answer. */
FuseKnown fuse_replay_begin(FuseRequest *r, uint32_t number);
size_t fuse_replay_answer(const FuseRequest *r, const struct iovec *out, int n_out);
/* Notes what tells afterwards whether it was done. True: it was, and the answer is 0. */
bool fuse_replay_before(FuseRequest *r);
/* Where operations note what goes or moves, or NULL. */
uint64_t *fuse_replay_noted(FuseRequest *r);
/* The same for a WRITE: bytes that are written, or -1 to go on as usual. */
int64_t fuse_replay_append(FuseRequest *r, uint64_t handle, uint32_t size);
void fuse_replay_done(FuseRequest *r, const struct fuse_out_header *h, const void *data,
                      size_t size);

/* All: the bytes of the answer in r->data (READ: written already), or -errno. */
typedef int64_t FuseOp(FuseRequest *r);
FuseOp fuse_init, fuse_destroy, fuse_lookup, fuse_getattr, fuse_setattr, fuse_readlink,
    fuse_symlink, fuse_mknod, fuse_mkdir, fuse_unlink, fuse_rmdir, fuse_rename, fuse_rename2,
    fuse_link, fuse_statfs, fuse_access, fuse_syncfs, fuse_setxattr, fuse_getxattr, fuse_listxattr,
    fuse_removexattr;
FuseOp fuse_open, fuse_create, fuse_tmpfile, fuse_read, fuse_write, fuse_flush, fuse_release,
    fuse_fsync, fuse_fallocate, fuse_lseek, fuse_copy, fuse_opendir, fuse_readdir, fuse_readdirplus,
    fuse_releasedir, fuse_fsyncdir, fuse_getlk, fuse_setlk, fuse_setlkw;
/* What the guest is told when its request, which came again, fails so. */
int64_t fuse_replay_judge(FuseRequest *r, int64_t error, FuseOp *op);
