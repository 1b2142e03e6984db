/* SPDX-License-Identifier: MIT */
/* What the files of the core share: the structs behind the handles, gates, workers. */
#pragma once

#include "block/driver.h"
#include "block/image.h"

#include <pthread.h>
#include <stdatomic.h>

typedef struct BlockPool BlockPool;
typedef struct BlockRing BlockRing;

struct BlockGraph {
    GPtrArray *nodes;   /* BlockNode, oldest first; not references */
    GPtrArray *kept;    /* references of block_blockdev */
    GPtrArray *dead;    /* what node_free left of nodes that users were moved from */
    GPtrArray *drivers; /* further ones, of block_graph_add_driver */
    struct json_object *throttle_groups; /* limits by id, of block_throttle_group */
    unsigned next_name;
    void (*warn)(void *opaque, const char *text);
    void *warn_opaque;
    const CryptoObjects *objects;
    BlockPool *pool;
    pthread_mutex_t ring_lock; /* of the two below until they are set */
    _Atomic(BlockRing *) ring;
    _Atomic bool no_ring;
    GPtrArray *jobs;    /* BlockJob, oldest first; not owned */
};

/* Who may enter, and how many are inside: see gate.c. */
typedef struct {
    _Atomic uint32_t word; /* inside, and GATE_CLOSED */
    unsigned closed;       /* under lock: times closed */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    BlockRequest *held, **held_tail; /* under lock: those that came while it was closed */
} BlockGate;

enum { GATE_CLOSED = 1u << 31 };

typedef enum { DETECT_ZEROES_OFF, DETECT_ZEROES_ON, DETECT_ZEROES_UNMAP } BlockDetectZeroes;

struct BlockNode {
    BlockGraph *graph;
    const BlockDriver *driver;
    int refs; /* control thread */
    char *name, *file;
    void *state;
    unsigned flags;  /* BlockOpenFlags */
    bool opened;     /* driver->open was successful */
    bool named;      /* name was given */
    bool probed;     /* taken for raw by a guess */
    int depth;       /* of nodes above it when it was opened */
    bool moved_from; /* users were moved to another node: see node_free */
    int detect_zeroes;
    GPtrArray *children; /* BlockUser or NULL, by slot */
    GPtrArray *users;    /* BlockUser; not owned */
    unsigned backing_shared; /* what more others may do to the backing file: a job's */
    struct BlockJob *job;    /* that works on it: no other does, and its size stays */
    GPtrArray *bitmaps;  /* BlockBitmap, owned */
    BlockLimits limits;
    bool tracks;         /* some writes are serialized: all are noted */
    _Atomic uint64_t size;
    unsigned perm, shared; /* of all users together, as the driver was told */
    BlockGate gate;
    BlockFrame *tracked, *tracked_last; /* under gate.lock */
};

struct BlockUser {
    BlockGraph *graph;
    _Atomic(BlockNode *) node;
    BlockNode *parent;          /* NULL: an outside user */
    const BlockChildSlot *slot; /* of parent */
    char *name;
    _Atomic unsigned perm; /* requests look at it while others come and go */
    unsigned shared;
    _Atomic bool writethrough;
    void (*resized)(void *opaque, uint64_t size);
    void *opaque;
    struct {
        _Atomic uint64_t ops[5], bytes[5], errors[5];
    } stats;
};

static inline BlockNode *user_node(const BlockUser *user)
{
    return atomic_load_explicit(&user->node, memory_order_acquire);
}

static inline uint64_t node_size(const BlockNode *node)
{
    return atomic_load_explicit(&node->size, memory_order_acquire);
}

/* Sizes are whole sectors. */
#define ROUND_UP_SECTOR(n) (((n) + BLOCK_SECTOR - 1) & ~(uint64_t)(BLOCK_SECTOR - 1))

/* ---- gate.c -------------------------------------------------------------- */

void block_gate_init(BlockGate *gate);
void block_gate_clear(BlockGate *gate);
/* True: inside. False: the gate is closed and has taken req, which a worker resumes later. */
bool block_gate_enter(BlockGate *gate, BlockRequest *req);
/* Waits for a closed gate to open. */
void block_gate_enter_wait(BlockGate *gate);
void block_gate_leave(BlockGate *gate);
/* Enters the node user is for now, with no request. */
BlockNode *block_user_enter(BlockUser *user);

/* Notes frame in its node. False: it waits for another; a worker goes on with req. */
bool block_track(BlockFrame *frame, BlockRequest *req);
void block_untrack(BlockFrame *frame);

/* ---- bitmap.c ------------------------------------------------------------ */

/* A range of node was written. */
void block_bitmaps_note(BlockNode *node, uint64_t offset, uint64_t bytes);

/* ---- request.c ----------------------------------------------------------- */

enum {
    STAGE_ENTER,    /* go into req->into */
    STAGE_RUN,      /* the node on top of the frames */
    STAGE_BLOCKING, /* its blocking calls */
    STAGE_NESTED,   /* a request of its own into req->into: no frame is left */
};
enum { STATE_CANCELLED = 1, STATE_DRIVER = 2 };

/* A worker has req. */
void block_request_work(BlockRequest *req);
/* Gives req to a worker at this stage. */
void block_request_push(BlockRequest *req, int stage);

/* ---- io.c ---------------------------------------------------------------- */

/* The blocking form of one operation in a node that is entered already. */
int block_node_io(BlockNode *node, BlockOp op, uint64_t offset, uint64_t bytes,
                  const struct iovec *iov, int iovcnt, unsigned how);
/* Whether the driver can take it as it is. */
bool block_node_fits(const BlockNode *node, BlockOp op, uint64_t offset, uint64_t bytes,
                     const struct iovec *iov, int iovcnt);
bool block_iov_is_zero(const struct iovec *iov, int iovcnt);
void block_iov_zero(const struct iovec *iov, int iovcnt, uint64_t from);
/* Submits to the driver of node alone, and waits. */
int block_driver_submit_wait(BlockNode *node, BlockOp op, uint64_t offset, uint64_t bytes,
                             const struct iovec *iov, int iovcnt, unsigned how);

/* ---- pool.c -------------------------------------------------------------- */

BlockPool *block_pool_new(unsigned threads);
void block_pool_free(BlockPool *pool);
void block_pool_push(BlockPool *pool, BlockRequest *req);
/* A thread (perhaps of the pool) waits for requests: others may be started in its place. */
void block_pool_waiting(BlockPool *pool, int change);

/* ---- ring.c -------------------------------------------------------------- */

BlockRing *block_ring_of(BlockGraph *graph); /* NULL: none */
void block_ring_free(BlockRing *ring);
void block_ring_plug(BlockRing *ring, int change);

/* ---- perm.c -------------------------------------------------------------- */

/* Tells node and those below what their users hold together. */
bool block_perm_update(BlockNode *node, GError **error);
/* Makes the child of that slot use node, with the permissions that follow. */
BlockUser *block_child_attach(BlockNode *parent, const BlockChildSlot *slot, BlockNode *node,
                              GError **error);
/* Without a wait or an update of permissions. */
void block_user_drop(BlockUser *user);

/* ---- node.c -------------------------------------------------------------- */

/* What a child gets from its parent unless its options say otherwise. */
typedef struct {
    unsigned flags;
    bool format; /* a missing driver is a format to be guessed, not a protocol */
} BlockInherit;

/* Opens a tree, or refers to the node that a string names. Returns a reference. */
BlockNode *block_node_open(BlockGraph *graph, struct json_object *options, BlockInherit inherit,
                           int depth, GError **error);
/* What a child of that slot gets from node. */
BlockInherit block_node_inherit(const BlockNode *node, const BlockChildSlot *slot);
/* Puts below into the place of the slot with that number. */
bool block_node_adopt(BlockNode *node, unsigned slot, BlockNode *below, GError **error);
/* backing.c: opens what the image says it is based on, unless options or flags say otherwise. */
bool block_open_backing(BlockNode *node, struct json_object *options, GError **error);
/* Asks the driver for length and limits again. */
bool block_node_measure(BlockNode *node, GError **error);
/* change.c: false, naming it, when a job works on node. */
bool block_node_jobless(const BlockNode *node, GError **error);
/* Frees what node_free left. */
void block_node_bury(BlockNode *node);
char *block_node_new_name(BlockGraph *graph);
BlockUser *block_node_child(const BlockNode *node, unsigned slot);

/* ---- options.c ----------------------------------------------------------- */

/* The value at a dotted path, NULL when there is none. */
struct json_object *block_options_get(struct json_object *options, const char *path);
/* Its text; NULL when absent; "" for null, objects and lists never give text. */
const char *block_options_text(struct json_object *options, const char *path);
bool block_options_bool(struct json_object *options, const char *path, bool *value,
                        GError **error);
/* A deep copy. */
struct json_object *block_options_copy(struct json_object *options);
struct json_object *block_options_json(const char *text, GError **error);

/* A format that block_probe knows by its first bytes though there is no driver for it yet. */
bool block_format_known(const char *name);
/* Says that there is no such driver, and what was meant or is not there yet; false. */
bool block_unknown_driver(const char *name, GError **error);
