/* SPDX-License-Identifier: MIT */
/*
 * Disks as everybody above sees them: a graph of nodes (file, format, filter), opened from
 * options, used through a BlockUser, asked for I/O by requests with a completion.
 *
 *   BlockGraph   holds the nodes of one machine or one tool run, their worker threads, their ring.
 *   BlockNode    one file, format or filter; drivers are in drivers.def, what one is in driver.h.
 *   BlockUser    a right to use a node: a device, an export, a job, or the node above. It carries
 *                permissions (checked against all other users, and against other processes by
 *                locks on the file) and stays valid when a filter is put under it.
 *   BlockRequest one read, write, zero, discard or flush; belongs to the caller.
 *
 * The life of a disk:
 *   graph = block_graph_new();
 *   node = block_open_file(graph, "disk.img", NULL, 0, &error);
 *   user = block_attach(node, &(BlockAttach){ .name = "virtio-blk d0", .perm = BLOCK_PERM_RW,
 *                                             .shared = BLOCK_SHARE_DEFAULT }, &error);
 *   block_read(user, 0, buf, 512); ... block_submit(user, &request); ...
 *   block_detach(user); block_node_unref(node); block_graph_free(graph);
 *
 * Threads. Control (everything that takes a GError) is for one thread at a time, usually the main
 * one; it may run while I/O does. block_submit, the blocking calls, block_cancel, block_plug and
 * the getters are for any thread. Nothing here needs a main loop. Threads begin with the first
 * request: fork (daemonize) before that.
 *
 * Numbers. Offsets and lengths are bytes. The size of a node is a multiple of 512: past the
 * end of a file with an odd size there are zeroes, and a write there makes the file longer. The
 * core checks range, permission, read-only and alignment once; a request of any alignment works.
 *
 * Errors. Control: GError, naming the file; a second line "hint: ..." may follow. I/O: 0 or -errno;
 * -ENOSPC, -EIO and so on as the driver got them, -EINVAL out of range, -EPERM read-only or no such
 * permission, -ENOTSUP when BLOCK_NO_FALLBACK asked for a quick way that is not there, -ECANCELED
 * after block_cancel.
 *
 * Not there yet, with its place: formats beyond raw, qcow2 and luks, nbd and further protocols (drivers/,
 * driver.h has the calls). Stream, mirror, commit and backup are jobs: jobs/jobs.h.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct json_object;

typedef struct BlockGraph BlockGraph;
typedef struct BlockNode BlockNode;
typedef struct BlockUser BlockUser;
typedef struct BlockRequest BlockRequest;
typedef struct CryptoObjects CryptoObjects;

enum {
    BLOCK_SECTOR = 512,
    BLOCK_MAX_NESTING = 32,           /* nodes above each other, levels of an option tree */
    BLOCK_NAME_MAX = 31,              /* bytes of a node name */
};
#define BLOCK_MAX_SIZE ((uint64_t)INT64_MAX & ~(uint64_t)(BLOCK_SECTOR - 1))

/* ---- The graph ----------------------------------------------------------- */

BlockGraph *block_graph_new(void);
/* All users must have gone. Named nodes are let go; worker threads end. NULL is fine. */
void block_graph_free(BlockGraph *graph);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BlockGraph, block_graph_free)

/* Called on the control thread with one line that a user should see though nothing failed (a
 * guessed format). Default: nothing is said. */
void block_graph_on_warning(BlockGraph *graph, void (*warn)(void *opaque, const char *text),
                            void *opaque);
/* Where drivers find passphrases and TLS credentials by name; borrowed, and must outlive the graph.
 * NULL: nowhere. */
void block_graph_set_objects(BlockGraph *graph, const CryptoObjects *objects);
/* The node of that name, or NULL; borrowed. */
BlockNode *block_find(BlockGraph *graph, const char *name);
/* All nodes, oldest first: NULL after the last. For `info block` and the like. */
BlockNode *block_graph_node(BlockGraph *graph, unsigned i);

/* ---- Opening ------------------------------------------------------------- */

/*
 * Options are a tree as in -blockdev's JSON: an object with "driver", keys of all drivers
 * (node-name, read-only, auto-read-only, force-share, discard, detect-zeroes, cache.direct,
 * cache.no-flush), the driver's own (its props), and its children, each an object or a string
 * that names a node. Leaves may be typed or text ("on", "4k").
 */
typedef enum {
    BLOCK_OPEN_READ_ONLY = 1 << 0,
    BLOCK_OPEN_AUTO_READ_ONLY = 1 << 1, /* read-only when writing is not allowed */
    BLOCK_OPEN_FORCE_SHARE = 1 << 2,    /* -U: others may write meanwhile; needs READ_ONLY */
    BLOCK_OPEN_DIRECT = 1 << 3,         /* cache.direct: past the host's page cache */
    BLOCK_OPEN_NO_FLUSH = 1 << 4,       /* cache.no-flush: a crash may lose all */
    BLOCK_OPEN_UNMAP = 1 << 5,          /* discard=unmap */
    BLOCK_OPEN_NO_BACKING = 1 << 6,     /* leave a backing file alone (rebase -u, info) */
    BLOCK_OPEN_CHECK = 1 << 7,          /* as it is, damaged or not: for block_check */
    BLOCK_OPEN_NO_DATA = 1 << 8,        /* for what it says of itself: no passphrase is asked for */
} BlockOpenFlags;

/* Opens a file by name (below) with this format, NULL: a guess from its first bytes. An image taken
 * for raw by a guess warns, and refuses writes that would make its first sector look like another
 * format (a guest could otherwise have its disk opened as something else the next time).
 * Returns a reference. */
BlockNode *block_open_file(BlockGraph *graph, const char *name, const char *format, unsigned flags,
                           GError **error);
/* Opens an option tree. "driver" may be missing: the format is then guessed as above.
 * options stays the caller's and is not changed. */
BlockNode *block_open(BlockGraph *graph, struct json_object *options, unsigned flags,
                      GError **error);
/* -blockdev: "driver=raw,node-name=n,file.driver=file,file.filename=x" or JSON. driver and
 * node-name must be given. The graph keeps the node until block_blockdev_del. Returns it, borrowed.
 */
BlockNode *block_blockdev(BlockGraph *graph, const char *text, GError **error);
bool block_blockdev_del(BlockGraph *graph, const char *name, GError **error);

/* The option tree a file name stands for: "json:{...}", "PROTOCOL:...", or a path (a path with a
 * colon in its first part is written "./a:b" or "file:a:b"). Caller puts it. */
struct json_object *block_name_options(BlockGraph *graph, const char *name, GError **error);
/* The tree that opens name as an image of format (NULL: guessed), protocols included. Caller puts
 * it. */
struct json_object *block_image_options(BlockGraph *graph, const char *name, const char *format,
                                        GError **error);
/* What name, as an image called image records it, is from here: a path that is not absolute is
 * relative to image's folder. Caller frees. */
char *block_name_beside(const char *image, const char *name);
/* Removes a plain file; names of other kinds are left alone. */
void block_remove_file(const char *name);
/* The tree of "a.b=c,d=e" or of JSON text. implied as in base/option.h. Caller puts it. */
struct json_object *block_options_parse(const char *text, const char *implied, GError **error);
/* Sets a leaf by its dotted path, making objects on the way; false when a leaf is in the way. */
bool block_options_set(struct json_object *options, const char *path, const char *value,
                       GError **error);

/* -object throttle-group: limits that nodes with throttle-group=ID share. options has id, and limits.*
 * or x-* (bps-total and so on, as the driver throttle has them). */
bool block_throttle_group(BlockGraph *graph, struct json_object *options, GError **error);

/* none, writeback, writethrough, directsync, unsafe (QEMU's words) into open flags and a choice of
 * write cache, which is a user's (BlockAttach.writethrough). */
bool block_cache_parse(const char *mode, unsigned *flags, bool *writethrough, GError **error);

BlockNode *block_node_ref(BlockNode *node);
/* Closes it with the last reference; writes are flushed then. NULL is fine. */
void block_node_unref(BlockNode *node);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BlockNode, block_node_unref)

/* ---- -drive -------------------------------------------------------------- */

typedef enum { BLOCK_IF_DEFAULT, BLOCK_IF_NONE, BLOCK_IF_VIRTIO, BLOCK_IF_IDE, BLOCK_IF_SCSI,
               BLOCK_IF_SD, BLOCK_IF_MTD, BLOCK_IF_FLOPPY, BLOCK_IF_PFLASH } BlockInterface;

/* What a device does when a request fails; the device acts on it, lib/block only reports. */
typedef enum { BLOCK_ON_ERROR_REPORT, BLOCK_ON_ERROR_IGNORE, BLOCK_ON_ERROR_ENOSPC, /* stop on it */
               BLOCK_ON_ERROR_STOP } BlockOnError;

typedef struct {
    char *id;                 /* NULL: none given */
    BlockInterface interface;
    int index, bus, unit;     /* -1: not given */
    bool cdrom;               /* media=cdrom; implies read_only */
    bool read_only;
    bool snapshot;            /* writes go to a temporary file */
    bool writethrough;        /* for BlockAttach */
    char *serial;             /* NULL: none given */
    BlockOnError werror, rerror;
    unsigned flags;           /* BlockOpenFlags */
    struct json_object *options; /* NULL: an empty drive (cdrom without a disc) */
} BlockDrive;

/* Reads -drive's text: file= if= format= cache= readonly= snapshot= discard= detect-zeroes= aio=
 * id= index= bus= unit= media= serial= werror= rerror= locking=, dotted keys (file.driver=...), and
 * the keys of the driver. Nothing is opened. Usage errors name the key. */
BlockDrive *block_drive_parse(BlockGraph *graph, const char *text, GError **error);
void block_drive_free(BlockDrive *drive);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BlockDrive, block_drive_free)
/* Opens what it says, a snapshot included. Returns a reference. */
BlockNode *block_drive_open(BlockGraph *graph, const BlockDrive *drive, GError **error);
/* Puts a temporary copy-on-write layer over node (-snapshot): node is only read from then on.
 * Returns a reference to the layer, which holds one to node. */
BlockNode *block_snapshot_layer(BlockNode *node, GError **error);

/* ---- Using a node -------------------------------------------------------- */

/* What a user does to a node, and (in .shared) what it lets others do. The bits are those that
 * QEMU puts into its locks. */
typedef enum {
    BLOCK_PERM_CONSISTENT_READ = 1 << 0, /* expects what it reads to be whole */
    BLOCK_PERM_WRITE = 1 << 1,
    BLOCK_PERM_WRITE_UNCHANGED = 1 << 2, /* writes what is there already (copy-on-read) */
    BLOCK_PERM_RESIZE = 1 << 3,
    BLOCK_PERM_ALL = 15,
    BLOCK_PERM_RW = BLOCK_PERM_CONSISTENT_READ | BLOCK_PERM_WRITE | BLOCK_PERM_RESIZE,
    BLOCK_PERM_READ = BLOCK_PERM_CONSISTENT_READ,
    /* what a guest disk lets others do; add WRITE and RESIZE for share-rw */
    BLOCK_SHARE_DEFAULT = BLOCK_PERM_CONSISTENT_READ | BLOCK_PERM_WRITE_UNCHANGED,
    BLOCK_SHARE_ALL = BLOCK_PERM_ALL,
} BlockPerm;

typedef struct {
    const char *name;  /* who: "virtio-blk d0", for messages; copied */
    unsigned perm, shared;
    bool writethrough; /* each write is on disk when it completes */
    /* The size of the node changed; control thread, no request of this user in flight. NULL:
     * ignored. */
    void (*resized)(void *opaque, uint64_t size);
    void *opaque;
} BlockAttach;

/* Takes the permissions, and with them the locks on the file; the error names the other user or
 * the other process. Keeps a reference to node. */
BlockUser *block_attach(BlockNode *node, const BlockAttach *attach, GError **error);
/* Waits for its requests, flushes nothing, gives up its permissions. NULL is fine. */
void block_detach(BlockUser *user);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BlockUser, block_detach)
/* Asks for other permissions. On failure the old ones hold. */
bool block_user_set_perm(BlockUser *user, unsigned perm, unsigned shared, GError **error);
/* Turns the write cache of this user off or on (virtio-blk's config WCE). Any thread. */
void block_user_set_writethrough(BlockUser *user, bool writethrough);
bool block_user_writethrough(const BlockUser *user);

/* The node used now; a job may put another one there. Control thread. */
BlockNode *block_user_node(const BlockUser *user);
/* Bytes, a multiple of 512. Any thread. */
uint64_t block_size(const BlockUser *user);

typedef struct {
    uint64_t ops[5], bytes[5], errors[5]; /* by BlockOp */
} BlockStats;
BlockStats block_user_stats(const BlockUser *user);

const char *block_node_name(const BlockNode *node);   /* "#block12" when none was given */
const char *block_node_file(const BlockNode *node);   /* what to call it in a message */
const char *block_node_driver(const BlockNode *node); /* "raw" */
bool block_node_read_only(const BlockNode *node);
uint64_t block_node_size(const BlockNode *node);
/* {"node-name","driver","file","size","read-only","cache":{},"discard","detect-zeroes","users":[],
 * "children":{...}}. Caller puts it. */
struct json_object *block_node_describe(BlockNode *node);

/* What suits the node: a device shows these to its guest. */
typedef struct {
    uint32_t align;        /* requests that are multiples of it need no read-modify-write */
    uint32_t optimal;      /* a good request size, or 0 */
    uint64_t max_transfer; /* of one request the driver takes whole; larger ones are split */
    uint32_t discard_align;
    bool can_discard;      /* discard=unmap, and the driver can */
    bool quick_zero;       /* zeroing is likely not to write */
} BlockAdvice;
BlockAdvice block_advice(const BlockUser *user);

/* Of a node that is read by nothing but reading a file through the page cache: where its bytes lie, for
 * sendfile and the like. It holds while block_user_node is node. */
typedef struct {
    const BlockNode *node;
    int fd;          /* the caller's to close; -1: it is no such node */
    uint64_t offset; /* of the node's first byte */
} BlockPlain;
/* Control thread. */
BlockPlain block_plain(const BlockUser *user);

/* ---- Requests ------------------------------------------------------------ */

typedef enum { BLOCK_READ, BLOCK_WRITE, BLOCK_ZERO, BLOCK_DISCARD, BLOCK_FLUSH } BlockOp;

typedef enum {
    BLOCK_FUA = 1 << 0,         /* write, zero: on disk when it completes */
    BLOCK_MAY_UNMAP = 1 << 1,   /* zero: it may give the space back */
    BLOCK_NO_FALLBACK = 1 << 2, /* zero: -ENOTSUP rather than writing zeroes */
    /* The calling thread may be kept as long as it takes: blocking drivers run on it. */
    BLOCK_MAY_WAIT = 1 << 3,
    /* The calling thread serves this queue alone: it may be kept for what is mostly short (a
     * copy into the page cache) though it may stall at times. An I/O thread of a device sets it:
     * buffered writes are then three to ten times as fast as through a worker. */
    BLOCK_MAY_STALL = 1 << 4,
    /* Runs alone against overlapping writes, on this node. */
    BLOCK_SERIALIZE = 1 << 5,
    /* write: qcow2's compressed clusters; -ENOTSUP when the node has none */
    BLOCK_COMPRESS = 1 << 6,
    /* On a worker, though it could be done at once: the calling thread has other things to do. */
    BLOCK_ELSEWHERE = 1 << 7,
    /* write, of block_write_pipe: the data are in a pipe, and iov is NULL. */
    BLOCK_FROM_PIPE = 1 << 8,
} BlockRequestFlags;

enum { BLOCK_FRAMES = 6 };

/* The core's: a node that a request is in. */
typedef struct BlockFrame {
    BlockNode *node;
    struct BlockFrame *prev, *next; /* of node->tracked, oldest first */
    struct BlockRequest *waiters;   /* that wait for this frame to end */
    uint64_t start, end;
    uint64_t unit;                  /* serial: start and end count as rounded out to it */
    bool tracked, serial, write;
} BlockFrame;

/*
 * The caller fills the first part, block_request_init or a zeroed struct the rest; the struct, the
 * vector and the buffers stay as they are until completion. It may then be used again.
 */
struct BlockRequest {
    BlockOp op;
    unsigned flags;
    uint64_t offset, bytes;   /* flush: both 0 */
    const struct iovec *iov;  /* read, write: lengths sum up to bytes; else NULL */
    int iovcnt;
    int pipe;                 /* of BLOCK_FROM_PIPE */
    /*
     * Called once when the request ends after block_submit has returned false, on any thread: a
     * worker, the ring's thread, a driver's own; never with a lock of lib/block held. It must not
     * wait for another request. It may free or reuse the request and submit others.
     */
    void (*done)(BlockRequest *req);
    void *opaque;

    int ret; /* out: 0 or -errno */

    /* For the core and drivers: where it is now. Of callers only block_request_init looks. */
    uint64_t at;              /* offset in the node that has it */
    unsigned how;             /* flags in force there */
    BlockUser *user;          /* the one it was submitted to */
    BlockUser *into;          /* the one whose node it is to enter next */
    BlockRequest *next;       /* in one queue at a time: held, waiting, a pool's or a driver's */
    void *driver;             /* the driver's own while it has the request */
    uint64_t driver_word;
    int stage;                /* what a worker that takes it does */
    int state;                /* atomic: cancelled, in a driver */
    int depth;                /* frames in use */
    BlockFrame frames[BLOCK_FRAMES];
};

/* Starts a request. True: it is over, ret says how, and done is not called. False: done is, or was
 * by now. Any thread; it blocks only as far as MAY_WAIT and MAY_STALL allow. */
bool block_submit(BlockUser *user, BlockRequest *req);
/* Between these, of one thread, drivers may hold back requests to send them together. Do not wait
 * for a completion in between. They nest. */
void block_plug(BlockUser *user);
void block_unplug(BlockUser *user);
/* Asks that a request end early. It completes as usual, with -ECANCELED if it had not begun; one
 * that a driver works on is left to end. Only for a request whose done cannot have run yet. */
void block_cancel(BlockRequest *req);

/* Holds back new requests of the node's users (they wait, nothing fails) and waits until none is
 * in flight. Nests. Top down: never drain a node under one that is drained later. Not from a
 * completion. */
void block_drain_begin(BlockNode *node);
void block_drain_end(BlockNode *node);
/* All nodes of the graph come to rest, once; new requests are let in again at once. */
void block_drain_all(BlockGraph *graph);
/* The same, then what the disks of users outside the graph hold back is written. The first error,
 * or 0. Control thread, which may wait. */
int block_flush_all(BlockGraph *graph);

/* ---- Blocking calls: any thread that may wait ---------------------------- */

int block_read(BlockUser *user, uint64_t offset, void *buf, uint64_t bytes);
int block_write(BlockUser *user, uint64_t offset, const void *buf, uint64_t bytes, unsigned flags);
int block_readv(BlockUser *user, uint64_t offset, const struct iovec *iov, int iovcnt);
int block_writev(BlockUser *user, uint64_t offset, const struct iovec *iov, int iovcnt,
                 unsigned flags);
/* The next bytes of a pipe, which must be in it already. -ENOTSUP: this disk cannot, and none was taken; after
 * another error some may have been, the rest is still there. Plain files can (block_plain). */
int block_write_pipe(BlockUser *user, uint64_t offset, uint64_t bytes, int pipe);
int block_zero(BlockUser *user, uint64_t offset, uint64_t bytes, unsigned flags);
int block_discard(BlockUser *user, uint64_t offset, uint64_t bytes);
int block_flush(BlockUser *user);
/* A cluster of bytes bytes at offset as the driver's pack made it (driver.h). */
int block_write_packed(BlockUser *user, uint64_t offset, uint64_t bytes, const void *packed, size_t len);
/* Any operation. */
int block_run(BlockUser *user, BlockOp op, unsigned flags, uint64_t offset, uint64_t bytes,
              const struct iovec *iov, int iovcnt);

/* ---- What is where ------------------------------------------------------- */

typedef enum {
    BLOCK_EXTENT_DATA = 1 << 0,       /* reading may give anything */
    BLOCK_EXTENT_ZERO = 1 << 1,       /* reading gives zeroes */
    BLOCK_EXTENT_ALLOCATED = 1 << 2,  /* this node has it, not one it is backed by */
    BLOCK_EXTENT_COMPRESSED = 1 << 3,
    BLOCK_EXTENT_HOST = 1 << 4,       /* host is the offset in the lowest file */
    BLOCK_EXTENT_FORWARD = 1 << 5,    /* from drivers only: ask child, at child_offset */
} BlockExtentFlags;

typedef struct {
    uint64_t offset, bytes;
    unsigned flags;
    unsigned depth;        /* backing levels down, as in `map` */
    uint64_t host;
    const char *file;      /* with HOST: the file, borrowed from its node */
    BlockUser *child;      /* with FORWARD */
    uint64_t child_offset;
} BlockExtent;

/* Whether zero or data does not matter, only allocation: quicker, and nothing is cached. */
enum { BLOCK_EXTENTS_ALLOCATION = 1 << 0 };

/* Fills out[] with what lies at offset and behind, in order and without gaps, at least one and at
 * most max, none past offset + bytes; neighbours with the same answer may be joined.
 * Blocking. Returns the number or -errno. */
int block_extents(BlockUser *user, uint64_t offset, uint64_t bytes, unsigned flags,
                  BlockExtent *out, unsigned max);

/* ---- Changing nodes: control thread -------------------------------------- */

typedef enum { BLOCK_PREALLOC_OFF, BLOCK_PREALLOC_METADATA, BLOCK_PREALLOC_FALLOC,
               BLOCK_PREALLOC_FULL } BlockPrealloc;

/* Needs BLOCK_PERM_RESIZE. Growth reads as zeroes. */
bool block_resize(BlockUser *user, uint64_t size, BlockPrealloc prealloc, GError **error);
/* Looks at the size of the file again (it grew, or a disc was changed) and tells the users. */
bool block_node_refresh(BlockNode *node, GError **error);
/* Changes flags (read-only, direct, no-flush, unmap) of a node and those below it in place,
 * drained. On failure all is as before. */
bool block_node_reopen(BlockNode *node, unsigned flags, GError **error);
/* Puts filter, which has node as a child already, between node and its other users: drained,
 * permissions checked, then their requests pass through filter. */
bool block_node_insert(BlockNode *node, BlockNode *filter, GError **error);
/* The reverse: users of filter use node, its child. */
bool block_node_remove(BlockNode *filter, GError **error);
/* Users of from use to, of the same size, instead: drained, permissions checked. Not those below to. */
bool block_node_replace(BlockNode *from, BlockNode *to, GError **error);
/* Another node, or NULL, is below node as its backing file; nothing is recorded. */
bool block_node_set_backing(BlockNode *node, BlockNode *below, GError **error);

/* Makes an image: driver's creation options as a tree ("size", "filename", ...). A file that is
 * there is overwritten; a failure leaves none under its name. */
bool block_create(BlockGraph *graph, const char *driver, struct json_object *options,
                  GError **error);

/* The drivers as text, one line each, for `-drive help` and `-blockdev help`; and the options of
 * one, or NULL if there is no such. Caller frees. */
char *block_help(void);
char *block_driver_help(const char *driver);
