/* SPDX-License-Identifier: MIT */
/*
 * What a block driver is: one BlockDriver, one line in drivers.def, one file in drivers/ (a folder
 * from three files on). NULL always means the ordinary way, which is said at each member.
 *
 * A driver's state begins with nothing of ours: node->state is driver->size zeroed bytes, filled
 * from props before open. The core has checked range, read-only and permission when a driver is
 * asked, has done read-modify-write where limits.align asks for it, has copied what lies
 * badly for limits.mem_align, has split at limits.max_transfer, and has replaced what the driver
 * cannot do (zero by writing zeroes, FUA by a flush). What a driver sees of a request:
 *
 *   map      first, if there is one: may send the request on to a child, no thread involved.
 *   submit   next, if there is one: may finish it at once, take it, or decline.
 *   read...  the blocking calls, on a worker thread of the graph or on the caller's own.
 *
 * Threads: open, close, reopen, limits, resize, create, check, amend on the control thread with
 * the node at rest; probe on the control thread; everything else on any thread and several at once,
 * so a driver has locks of its own. A blocking call may use the node's children with the blocking
 * calls of block.h (passing BLOCK_MAY_WAIT, which those do); a map or submit may not wait.
 */
#pragma once

#include "block/bitmap.h"
#include "block/block.h"
#include "block/image.h"

#include <stddef.h>

typedef struct BlockDriver BlockDriver;

/* ---- Options ------------------------------------------------------------- */

typedef enum {
    BLOCK_PROP_BOOL,   /* bool */
    BLOCK_PROP_SIZE,   /* uint64_t, "4k" */
    BLOCK_PROP_NUMBER, /* uint64_t, min..max */
    BLOCK_PROP_STRING, /* char *, the node's; freed by the core */
    BLOCK_PROP_ENUM,   /* int, the index into names */
    BLOCK_PROP_TREE,   /* struct json_object *, an object or list (server.*); put by the core */
} BlockPropKind;

typedef struct {
    const char *name;  /* may hold dots: a path in the tree. NULL ends a table */
    BlockPropKind kind;
    size_t offset;     /* in the driver's state */
    const char *def;   /* as a user would write it; NULL: zero, or required when it is needed */
    bool needed;
    uint64_t min, max; /* of numbers and sizes; max 0: no limit */
    const char *const *names; /* of an enum, NULL-terminated */
    const char *help;
    bool below;        /* of creation options: the file's rather than the format's */
    bool told;         /* of creation options: named by `create` even when it is the default */
} BlockProp;

/* What a child is for, which decides what it inherits and which permissions it is asked for. */
typedef enum {
    BLOCK_CHILD_FILE,     /* the bytes of a format: opened by name as a protocol; gets writes that
                             this node decides on, nobody else may write or resize */
    BLOCK_CHILD_FILTERED, /* same data, seen through this node; asked for what this node is asked */
    BLOCK_CHILD_BACKING,  /* what is read where this node has nothing: read only, format guessed */
    BLOCK_CHILD_DATA,     /* like FILE, for further files (data-file, target) */
} BlockChildRole;

typedef struct {
    const char *name;   /* "file", "backing"; NULL ends a table */
    BlockChildRole role;
    bool optional;
    size_t offset;      /* of a BlockUser * in the driver's state, set before open */
} BlockChildSlot;

/* ---- Limits -------------------------------------------------------------- */

/* Zero stands for the default in brackets. */
typedef struct {
    uint32_t align;         /* of offset and length of read and write; a power of two [1] */
    uint32_t mem_align;     /* of each buffer and vector length [1] */
    uint32_t optimal;       /* a good request size [0: nothing known] */
    uint64_t max_transfer;  /* of read and write [1 GiB] */
    uint64_t max_effect;    /* of zero and discard [1 GiB] */
    uint32_t zero_align;    /* zero is tried only for whole units [align] */
    uint32_t discard_align; /* the rest of a discard is left out [align] */
    uint32_t serialize;     /* writes that do not fill units of this size run one at a time where
                               they touch the same unit [align, when that is above 1] */
    bool fua;               /* write and zero know BLOCK_FUA [the core flushes behind them] */
    bool quick_zero;        /* zero is likely not to write */
    bool can_discard;
    bool zero_init;         /* a newly made image reads as zeroes */
    bool lone_effects;      /* zero and discard run alone against overlapping writes: for formats
                               that give away what a mapped write may still be going to */
    uint32_t cluster;       /* what the format allocates at once, for info [0: nothing] */
} BlockLimits;

/* ---- Nodes, as drivers see them ------------------------------------------ */

struct BlockNode;
void *block_node_state(BlockNode *node); /* node->state */
BlockGraph *block_node_graph(BlockNode *node);
const CryptoObjects *block_graph_objects(BlockGraph *graph);
/* The options the node was opened with that are the core's business. */
bool block_node_direct(const BlockNode *node);
bool block_node_no_flush(const BlockNode *node);
bool block_node_force_share(const BlockNode *node);
bool block_node_auto_read_only(const BlockNode *node);
bool block_node_for_check(const BlockNode *node); /* BLOCK_OPEN_CHECK */
bool block_node_no_data(const BlockNode *node);   /* BLOCK_OPEN_NO_DATA or CHECK: keys are not needed */
/* During open: the driver could only open for reading, under auto-read-only. */
void block_node_set_read_only(BlockNode *node);
/* During open: what messages call the node. Copied. NULL: what its first child is called. */
void block_node_set_file(BlockNode *node, const char *file);
/* During open: makes the optional child of that slot from a name that the image records (relative
 * to the image). format NULL: guessed, or for files none. */
bool block_node_open_child(BlockNode *node, const char *slot, const char *name, const char *format,
                           GError **error);
/* A line for the user; during control calls, and once when an image turns out to be damaged. */
void block_node_warn(BlockNode *node, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/* What submit answers beside 0 and -errno, which finish the request. */
enum {
    BLOCK_PENDING = 1,  /* taken: block_request_done follows, on any thread, maybe already */
    BLOCK_BLOCKING = 2, /* not this way: the blocking calls, please */
};
/* Ends a request that submit answers BLOCK_PENDING for. Any thread, without the driver's locks. */
void block_request_done(BlockRequest *req, int ret);

/* Of write's flags, the core's own: the end of this write is padding past the end of the node
 * (read-modify-write at an end that is not aligned): the file must not become longer by it. */
enum { BLOCK_PADDED = 1 << 30 };

/* Sends such a request on to a child, now or later: it ends with the child's answer. For filters
 * that delay or look (throttle). Any thread, without the driver's locks; may run the
 * child's I/O. */
void block_request_forward(BlockRequest *req, BlockUser *child, uint64_t offset);

/* What map found. */
typedef struct {
    BlockUser *child;  /* NULL: it reads as zeroes (read only) */
    uint64_t offset;   /* in child */
    uint64_t bytes;    /* how far it goes from the offset asked for; may be more than asked */
} BlockMap;

/* ---- Groups: a driver without them has NULL ------------------------------ */

/* Internal snapshots. Control thread, node at rest. which is an id or a name, id first. */
typedef struct {
    bool (*take)(BlockNode *node, BlockSnapshot *wanted, GError **error);
    bool (*revert)(BlockNode *node, const char *which, GError **error);
    bool (*drop)(BlockNode *node, const char *which, GError **error);
    GArray *(*list)(BlockNode *node, GError **error); /* of BlockSnapshot; caller unrefs */
    /* Reads from then on give what the snapshot holds; the node is read-only. */
    bool (*load)(BlockNode *node, const char *which, GError **error);
    int (*read_state)(BlockNode *node, uint64_t offset, const struct iovec *iov, int iovcnt);
    int (*write_state)(BlockNode *node, uint64_t offset, const struct iovec *iov, int iovcnt);
} BlockSnapshotOps;

/* Bitmaps kept in the image: the driver makes those it has when it opens, and stores those that are
 * persistent when it closes. Control thread. */
typedef struct {
    bool (*keeps)(BlockNode *node); /* images of this kind, full or read-only as they may be */
    bool (*can_store)(BlockNode *node, const char *name, uint32_t granularity, GError **error);
    /* Out of the image; the one in memory goes afterwards. */
    bool (*drop)(BlockNode *node, const char *name, GError **error);
} BlockBitmapOps;

struct BlockBitmap {
    BlockNode *node;
    char *name;
    unsigned shift; /* log2 of the granularity */
    uint64_t size;
    bool enabled, persistent, inconsistent;
    _Atomic uint64_t *words; /* bits from the lowest on; those past the end are 0 */
};
BlockBitmap *block_bitmap_new(const char *name, uint32_t granularity, uint64_t size, GError **error);
void block_bitmap_free(BlockBitmap *bitmap);
/* During open: the node has it from then on. */
void block_bitmap_adopt(BlockNode *node, BlockBitmap *bitmap);
/* At rest. What is added is clean. */
bool block_bitmap_resize(BlockBitmap *bitmap, uint64_t size, GError **error);

/* Images on top of others. */
typedef struct {
    /* The name and format recorded, NULL when there is none; caller frees. */
    char *(*name)(BlockNode *node);
    char *(*format)(BlockNode *node);
    bool (*record)(BlockNode *node, const char *name, const char *format, GError **error);
} BlockBackingOps;

/* ---- The driver ---------------------------------------------------------- */

struct BlockDriver {
    const char *name;    /* as driver= says it; the symbol is block_FILE_driver */
    const char *summary; /* one line */
    size_t size;         /* of the state */
    const BlockProp *props;          /* NULL: none */
    const BlockChildSlot *children;  /* NULL: none */
    bool protocol; /* bytes from outside: it stands at the bottom and needs no format */
    bool filter;   /* its data is its first child's */
    const char *const *aliases;      /* further names for driver=, NULL-terminated; NULL: none */
    /* The property that a bare file name is for ("filename"); NULL: it takes none. */
    const char *name_prop;

    /* ---- control ------------------------------------------------------------- */

    /* How sure it is that an image with this beginning is its own: 0 no, 100 a magic matched.
     * len may be short for small files. NULL: never guessed. */
    int (*probe)(const uint8_t *head, size_t len, const char *file);
    /* Reads a file name that begins with the driver's name, or an alias, and a colon into options (an
     * object). NULL: what follows the colon is name_prop's value. */
    bool (*parse_name)(const char *name, struct json_object *options, GError **error);
    /* Makes an image. options is checked against create_props by the driver's own reading, with
     * block_props_read. A failure leaves nothing behind. NULL: it cannot be made. */
    bool (*create)(BlockGraph *graph, struct json_object *options, GError **error);
    const BlockProp *create_props; /* for help; NULL: none */
    /* Props and children are there. On failure close is not called: it undoes what it did. NULL:
     * nothing to do. */
    bool (*open)(BlockNode *node, GError **error);
    /* Frees what open made; the node is at rest and flushed, children still there. NULL:
     * nothing. */
    void (*close)(BlockNode *node);
    /* block_node_read_only, _direct and so on have new values: follow them, or fail with all as
     * it was. NULL: they do not matter to it. */
    bool (*reopen)(BlockNode *node, GError **error);
    /* Bytes or -errno; after open and when block_node_refresh asks. NULL: the first child's. */
    int64_t (*length)(BlockNode *node);
    /* After open and reopen; children's limits are known. NULL: all defaults, can_discard,
     * quick_zero and zero_init from the first child. */
    void (*limits)(BlockNode *node, BlockLimits *limits);
    /* The permissions all users hold together changed: a file takes locks. Called before they
     * count; on failure all is as it was. NULL: nothing to do. */
    bool (*set_perm)(BlockNode *node, unsigned perm, unsigned shared, GError **error);
    /* What it wants of a child, given what is wanted of it. NULL: by the child's role. */
    void (*child_perm)(BlockNode *node, const BlockChildSlot *slot, unsigned perm, unsigned shared,
                       unsigned *child_perm, unsigned *child_shared);
    /* New size, at rest. NULL: it cannot. */
    bool (*resize)(BlockNode *node, uint64_t size, BlockPrealloc prealloc, GError **error);

    /* ---- I/O, blocking: 0 or -errno. The vector's lengths sum up to bytes ---- */

    int (*read)(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov,
                int iovcnt);
    /* flags: FUA, if limits.fua; BLOCK_PADDED, if limits.align is above 1. */
    int (*write)(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov,
                 int iovcnt, unsigned flags);
    /* The next bytes of a pipe, without copying them twice. -ENOTSUP: none was taken; after another
     * error some may have been. NULL: -ENOTSUP. */
    int (*write_pipe)(BlockNode *node, uint64_t offset, uint64_t bytes, int pipe);
    /* flags: FUA, MAY_UNMAP, NO_FALLBACK (which it may ignore if it never falls back itself).
     * -ENOTSUP: the core writes zeroes, or not under NO_FALLBACK. NULL: the same. */
    int (*zero)(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags);
    /* Advice: what is read there afterwards is anything. -ENOTSUP counts as done. NULL: nothing. */
    int (*discard)(BlockNode *node, uint64_t offset, uint64_t bytes);
    /* All that was written is on disk, in this node's own terms; the core flushes the children
     * afterwards, unless flush says it did (flushes_children). NULL: only the children. */
    int (*flush)(BlockNode *node);
    bool flushes_children;
    /* A whole cluster (or the tail of the image), to be packed. NULL: -ENOTSUP. */
    int (*write_compressed)(BlockNode *node, uint64_t offset, uint64_t bytes,
                            const struct iovec *iov, int iovcnt);
    /* The two halves of it, for those who pack on several threads: a cluster (bytes may be fewer, at
     * the end of the image) into out, which has room for a cluster; its length, or 0 when it does not
     * get shorter. Then that, written. NULL: not there. */
    size_t (*pack)(BlockNode *node, const void *in, uint64_t bytes, void *out);
    int (*write_packed)(BlockNode *node, uint64_t offset, const void *packed, size_t len);
    /* As block_extents, range within the node. NULL: all data and allocated; of a filter,
     * forwarded. */
    int (*extents)(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags,
                   BlockExtent *out, unsigned max);

    /* Where reads find all of the node, whatever the request: *child set, *offset moved by where it
     * begins there; or the answer is a descriptor (the node's) that is read through the page cache.
     * -1: neither. Control thread. NULL: neither. */
    int (*plain)(BlockNode *node, BlockUser **child, uint64_t *offset);

    /* ---- I/O, not blocking --------------------------------------------------- */

    /* Where a read, write, zero or discard may go on without this node's knowing: true with *map
     * set for bytes from offset on. False: through submit or the blocking calls. NULL: false. Only
     * what covers a whole request is sent on without a thread; other pieces are run in turn. */
    bool (*map)(BlockNode *node, BlockOp op, uint64_t offset, uint64_t bytes, BlockMap *map);
    /* Starts req (req->at, ->bytes, ->how, iov; limits respected): 0, -errno, BLOCK_PENDING or
     * BLOCK_BLOCKING. A driver that has this alone and no blocking calls may not answer BLOCKING.
     * NULL: BLOCKING. */
    int (*submit)(BlockNode *node, BlockRequest *req);
    /* Tries to end a pending request early; it still calls block_request_done. NULL: left to end.
     */
    void (*cancel)(BlockNode *node, BlockRequest *req);

    /* ---- images: control thread, blocking ------------------------------------ */

    /* Finds, and under fix mends, what is wrong. False: it could not be examined. NULL: this format
     * has nothing to check (img check answers 63). say gets one line a finding. */
    bool (*check)(BlockNode *node, unsigned fix, BlockCheck *result,
                  void (*say)(void *opaque, const char *line), void *opaque, GError **error);
    /* Adds what is special to the format ("format-specific" of info). NULL: nothing. */
    void (*info)(BlockNode *node, struct json_object *into);
    /* Whether the last to write it did not close it. NULL: it keeps no note of that. */
    bool (*unclean)(BlockNode *node);
    /* What an image made with options and holding source's data would need. NULL: not known. */
    bool (*measure)(struct json_object *options, BlockUser *source, BlockMeasure *result,
                    GError **error);
    /* Changes creation options of what is there. NULL: it cannot. */
    bool (*amend)(BlockNode *node, struct json_object *options, bool force, GError **error);

    /* Gives up all it has itself, so that what it is based on shows. NULL: it cannot. */
    bool (*make_empty)(BlockNode *node, GError **error);

    const BlockSnapshotOps *snapshots;
    const BlockBitmapOps *bitmaps;
    const BlockBackingOps *backing;
};

/* ---- Helps --------------------------------------------------------------- */

/* Fills state from options by props (defaults first). taken (may be NULL) gets the dotted paths it
 * knows. Usage errors name the key. Strings and trees in state become the caller's. */
bool block_props_read(const BlockProp *props, struct json_object *options, void *state,
                      GError **error);
/* Frees the strings and trees. */
void block_props_clear(const BlockProp *props, void *state);
/* False with a usage error that names a key of options that is in neither table nor among names
 * (NULL-terminated, may be NULL) and the nearest that is. who is put in front. */
bool block_props_done(const BlockProp *props, const char *const *names,
                      struct json_object *options, const char *who, GError **error);

/* Makes an empty file (of any protocol that name is for) and attaches to it to fill it. */
BlockUser *block_make_file(BlockGraph *graph, const char *name, GError **error);

/* For tests and tools with a driver of their own: found by this graph alone. Borrowed. */
void block_graph_add_driver(BlockGraph *graph, const BlockDriver *driver);
const BlockDriver *block_driver_find(BlockGraph *graph, const char *name);
/* The nth driver of drivers.def, NULL past the last. */
const BlockDriver *block_driver_nth(unsigned n);
/* The best guess for these first bytes: always a driver (raw if nothing else), or NULL with *name
 * the name of a format that is known by its magic but not there. */
const BlockDriver *block_probe(BlockGraph *graph, const uint8_t *head, size_t len,
                               const char *file, const char **name);

/* Asynchronous I/O on a plain file descriptor through the graph's ring, which is made at first
 * use. False: there is no io_uring here (once false, always false). */
bool block_ring_usable(BlockGraph *graph);
/* Sends a read or write of req->iov at req->at; FUA in req->how is RWF_DSYNC. BLOCK_PENDING, or
 * BLOCK_BLOCKING when the ring has no room. ended is called with bytes or -errno on the ring's
 * thread and finishes the request (or starts it again). */
int block_ring_io(BlockGraph *graph, BlockRequest *req, int fd, bool write,
                  void (*ended)(BlockRequest *req, int64_t result));
/* Runs the blocking calls for a request that submit had taken, on a worker. */
void block_request_block(BlockRequest *req);

/* ---- Locks on files ------------------------------------------------------ */

/*
 * OFD byte locks as QEMU takes them: byte 100 + n is held by who has permission n, 200 + n by who
 * does not share it. Two processes get along when neither's 100s meet the other's 200s. old is what
 * is held now; on failure it is held again. The error names who is in the way.
 */
typedef struct {
    unsigned perm, unshared; /* bits as BlockPerm */
} BlockLock;
bool block_lock_usable(int fd);
bool block_lock_change(int fd, const char *file, BlockLock *held, BlockLock wanted,
                       GError **error);
