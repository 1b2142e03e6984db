/* SPDX-License-Identifier: MIT */
/* Messages as they are on the wire, and what the files of the back end share. */
#pragma once

#include "vhost/vhost.h"

#include <pthread.h>
#include <stdatomic.h>

enum { /* requests of a front end; those that are not listed are refused */
    VHOST_GET_FEATURES = 1, VHOST_SET_FEATURES, VHOST_SET_OWNER, VHOST_RESET_OWNER, VHOST_SET_MEM_TABLE,
    VHOST_SET_LOG_BASE, VHOST_SET_LOG_FD, VHOST_SET_VRING_NUM, VHOST_SET_VRING_ADDR, VHOST_SET_VRING_BASE,
    VHOST_GET_VRING_BASE, VHOST_SET_VRING_KICK, VHOST_SET_VRING_CALL, VHOST_SET_VRING_ERR,
    VHOST_GET_PROTOCOL_FEATURES, VHOST_SET_PROTOCOL_FEATURES, VHOST_GET_QUEUE_NUM, VHOST_SET_VRING_ENABLE,
    VHOST_GET_CONFIG = 24, VHOST_SET_CONFIG, VHOST_GET_INFLIGHT_FD = 31, VHOST_SET_INFLIGHT_FD, VHOST_RESET_DEVICE = 34, VHOST_GET_MAX_MEM_SLOTS = 36,
    VHOST_ADD_MEM_REG, VHOST_REM_MEM_REG, VHOST_SET_STATUS, VHOST_GET_STATUS,
};

enum { /* of a message's flags */
    VHOST_VERSION = 1, VHOST_VERSION_MASK = 3, VHOST_REPLY = 4, VHOST_NEED_REPLY = 8,
};

enum { /* bits of the protocol features */
    VHOST_PROTOCOL_MQ = 0, VHOST_PROTOCOL_REPLY_ACK = 3, VHOST_PROTOCOL_CONFIG = 9,
    VHOST_PROTOCOL_INFLIGHT_SHMFD = 12,
    VHOST_PROTOCOL_RESET_DEVICE = 13, VHOST_PROTOCOL_MEM_SLOTS = 15, VHOST_PROTOCOL_STATUS = 16,
};

enum { /* feature bits that are not a device's */
    VHOST_F_PROTOCOL_FEATURES = 30, VHOST_RING_F_INDIRECT = 28, VHOST_RING_F_EVENT_IDX = 29,
    VHOST_F_VERSION_1 = 32, VHOST_F_RING_PACKED = 34,
};

enum {
    VHOST_MAX_FDS = 8,
    VHOST_MAX_REGIONS = 8,    /* of a memory table */
    VHOST_MAX_SLOTS = 509,    /* added one by one */
    VHOST_MAX_TAKEN = 64,     /* slots taken back whose memory is still mapped */
    VHOST_MAX_GUARDS = VHOST_MAX_SLOTS + VHOST_MAX_TAKEN + 1,
    VHOST_MAX_CONFIG = 256,
    VHOST_NO_FD = 1 << 8,     /* of the word in SET_VRING_KICK and the like */
};

typedef struct {
    uint32_t request, flags, size;
} VhostHead;

typedef struct {
    uint64_t guest, size, user, offset;
} VhostRegion;

typedef struct {
    uint32_t index, flags;
    uint64_t desc, used, avail, log; /* in the front end's own addresses */
} VhostAddresses;

typedef struct {
    uint32_t index, num;
} VhostState;

typedef struct {
    uint32_t offset, size, flags;
    uint8_t data[VHOST_MAX_CONFIG];
} VhostConfig;

typedef struct {
    uint64_t size, offset;
    uint16_t queues, queue_size;
} VhostInflight; /* 20 bytes on the wire, and padding where a front end thinks so */

enum { VHOST_INFLIGHT_BYTES = 20 };

/* One message; the front end's byte order is the host's. */
typedef struct {
    VhostHead head;
    union {
        uint64_t u64;
        VhostState state;
        VhostAddresses addresses;
        struct {
            uint32_t count, padding;
            VhostRegion regions[VHOST_MAX_REGIONS];
        } memory;
        struct {
            uint64_t padding;
            VhostRegion region;
        } slot;
        VhostConfig config;
        VhostInflight inflight;
        uint8_t bytes[512];
    } body;
    int fds[VHOST_MAX_FDS];
    unsigned fd_count; /* those that are still in fds are closed by vhost_message_clear */
} VhostMessage;

/* wire.c: 1, 0 at the end of the connection, -errno; -EPROTO when the other end talks nonsense.
 * answer: it is one, or a request. */
int vhost_message_receive(int fd, VhostMessage *message, bool answer);
/* fds: with the message's descriptors, which stay the caller's. */
int vhost_message_send(int fd, const VhostMessage *message, bool fds);
void vhost_message_clear(VhostMessage *message);
/* The only descriptor, which becomes the caller's; -1: there is none. */
int vhost_message_take_fd(VhostMessage *message);

/* A queue's part of the memory for inflight tracking, and our own copy of what of it is read;
 * region NULL: none. */
typedef struct {
    void *region;
    bool packed;
    uint64_t counter;
    uint16_t last_head;               /* split */
    uint16_t free_head;               /* packed: of the entries, */
    uint16_t *next, *last, *num;      /* by entry */
    uint16_t *again;                  /* what was in flight, in order */
    unsigned again_count, again_at;
} VhostTrack;

typedef struct VhostQueue {
    VhostBackend *backend;
    unsigned index;
    bool addressed, enabled, based;
    VhostAddresses addresses;
    uint16_t size, base, base_used;
    int kick, call, err, stop;   /* eventfds, or -1; stop is ours */
    bool call_blocks;            /* a write might: the front end has not made it otherwise */

    pthread_t thread;
    bool running;                /* there is a thread */
    atomic_bool ending;          /* it is asked to end */
    pthread_mutex_t lock;        /* of ring and pending */
    pthread_cond_t idle;
    Vring ring;
    unsigned pending;            /* requests not done */
    VhostTrack track;
    VhostRequest *spare;         /* of the queue's thread */
    unsigned looks_in_vain, looks_skipped;
} VhostQueue;

typedef struct {
    VhostRegion at;
    BusRegion *region;
} VhostMemory;

/* Memory of a file that others may make shorter. */
typedef struct {
    _Atomic uintptr_t start, size; /* size 0: free */
} VhostGuard;

struct VhostBackend {
    VhostDevice device;
    int fd, stop; /* the connection; an eventfd */
    uint64_t features, protocol;
    uint8_t status;
    BusSpace *space;
    GArray *memory; /* of VhostMemory */
    unsigned taken; /* regions of space that the front end has taken back */
    VhostGuard *guards;
    atomic_bool shrunk; /* memory of the front end has gone: the connection ends */
    VhostQueue *queues;
    bool dirty;     /* a queue has run since the last reset */
    uint8_t *inflight; /* mapped, or NULL */
    size_t inflight_bytes;
    unsigned inflight_queues, inflight_size;
};

/* backend.c */
void vhost_say(const VhostBackend *b, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/* memory.c: false, and *error. All queues are at rest when memory goes. */
bool vhost_memory_set(VhostBackend *b, VhostMessage *m, GError **error);
bool vhost_memory_add(VhostBackend *b, VhostMessage *m, GError **error);
bool vhost_memory_remove(VhostBackend *b, VhostMessage *m, GError **error);
void vhost_memory_clear(VhostBackend *b);
/* Gives up what was taken back; all queues are at rest. */
bool vhost_memory_renew(VhostBackend *b, GError **error);
/* From the front end's address to the guest's. */
bool vhost_memory_find(const VhostBackend *b, uint64_t user, uint64_t *guest);

/* queue.c: all on the thread of vhost_backend_serve. */
void vhost_queue_init(VhostQueue *q, VhostBackend *b, unsigned index);
void vhost_queue_clear(VhostQueue *q);
/* Starts it if it has all it needs and is enabled; true also when it need not start. */
bool vhost_queue_start(VhostQueue *q, GError **error);
/* Ends its thread and waits for its requests. What the ring was at stays in base. */
void vhost_queue_stop(VhostQueue *q);

/* guard.c: has the connection end, and not the process, when memory that is guarded is not there
 * any more. */
void vhost_guard_backend(VhostBackend *b);
void vhost_unguard_backend(VhostBackend *b);
void vhost_guard(VhostBackend *b, const void *start, size_t size);
/* Before it is unmapped; nobody touches it. */
void vhost_unguard(VhostBackend *b, const void *start);

/* inflight.c: false, and *error. All queues are at rest when the memory changes. */
bool vhost_inflight_get(VhostBackend *b, VhostMessage *m, GError **error);
bool vhost_inflight_set(VhostBackend *b, VhostMessage *m, GError **error);
void vhost_inflight_clear(VhostBackend *b);
/* Before a queue's ring starts: says where, and has what was in flight popped first. */
bool vhost_inflight_begin(VhostQueue *q, const VringConfig *config, VringIndex *index,
                          GError **error);
/* The queue is at rest and has done all it took. */
void vhost_inflight_end(VhostQueue *q);
/* It did not start: what was in flight still is. */
void vhost_inflight_forget(VhostQueue *q);
/* In place of vring_pop and vring_push, where there is a region. */
VringResult vhost_inflight_pop(VhostQueue *q, VhostRequest *r);
void vhost_inflight_push(VhostQueue *q, VhostRequest *r, uint32_t written);
