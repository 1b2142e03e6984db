/* SPDX-License-Identifier: MIT */
/*
 * The server's side of FUSE, version 7.38 as in <linux/fuse.h>: a request in pieces comes in, its
 * answer goes out, what it asks for is done by lib/fs. Where the pieces come from (virtqueues, a
 * test) is the caller's.
 *
 * Left out: DAX (SETUPMAPPING), IOCTL, POLL, BMAP and notifications, which get ENOSYS, so that the
 * guest's kernel does without. A request of the other byte order is an error.
 */
#pragma once

#include "fs/fs.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

typedef struct FuseSession FuseSession;

typedef enum {
    FUSE_CACHE_NEVER,    /* the guest asks each time and keeps no data of files */
    FUSE_CACHE_AUTO,     /* what it knows holds for a second; data until a file is opened again */
    FUSE_CACHE_ALWAYS,   /* only the guest changes the directory */
    FUSE_CACHE_METADATA, /* names and attributes as ALWAYS, no data */
} FuseCache;

/* What is offered; a guest takes what it knows of. The same switches in FsOptions have to agree. */
typedef struct {
    FuseCache cache;
    bool has_timeout;
    uint64_t timeout_ns;    /* how long names and attributes hold, in place of what cache says */
    bool writeback;         /* the guest may keep writes back */
    bool posix_lock, flock; /* locks are seen by others of the host and other guests */
    bool posix_acl;
    bool security_label;    /* labels come with requests that make files */
    bool killpriv_v2;       /* set-id bits are cleared here, not by a request of their own */
    bool announce_submounts;
    bool no_readdirplus;
    bool allow_direct_io;   /* the guest's O_DIRECT reaches the host */
    uint32_t max_write;     /* bytes; 0 is 1 MiB */
    bool notify;            /* the root has a file of events (events.c); FsOptions.watch is on */
    /* What the host ought to know, as an errno, each kind at most twice a minute; ENOENT: the
       shared directory is gone. Any thread. NULL: it is not told. */
    void (*trouble)(void *opaque, int error);
    void *opaque;
} FuseOptions;

/* fs is borrowed and outlives the session. */
FuseSession *fuse_session_new(Fs *fs, const FuseOptions *options, GError **error);
void fuse_session_free(FuseSession *session);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FuseSession, fuse_session_free)

/* Whether the guest that was there before a restart goes on (fs_keep). */
bool fuse_session_resumed(const FuseSession *session);

/* The place of a request, which is the same when it comes again after a restart: a queue and the
 * number in its ring. */
enum { FUSE_SLOT_QUEUES = 32, FUSE_SLOT_HEADS = 32768 };
#define FUSE_NO_SLOT UINT32_MAX
static inline uint32_t fuse_slot(uint32_t queue, uint32_t head)
{
    return queue < FUSE_SLOT_QUEUES && head < FUSE_SLOT_HEADS ? queue * FUSE_SLOT_HEADS + head
                                                              : FUSE_NO_SLOT;
}

/*
 * One request. in: what the guest sent (header first, in any number of pieces); out: where the
 * answer goes. Returns the bytes of the answer, 0 when there is none (FORGET). Never reads or
 * writes past either; malformed requests get an error answer. Any thread, several at once; may
 * block. READ fills out's iovecs by preadv straight from the file, WRITE takes in's by pwritev: the
 * iovecs point into guest memory.
 */
size_t fuse_session_handle(FuseSession *session, const struct iovec *in, int n_in,
                           const struct iovec *out, int n_out, uint32_t slot);
/* The request may wait for what only another request, or the host, can bring (a lock, events): not
   on the one thread that serves others. A thread that waits is woken by SIGUSR1. */
bool fuse_may_wait(const struct iovec *in, int n_in);
/* Requests that wait so now end with EINTR. Any thread. */
void fuse_session_interrupt(FuseSession *session);
/* The guest is gone or mounts anew: all handles and nodes are let go. No request may be running. */
void fuse_session_reset(FuseSession *session);
