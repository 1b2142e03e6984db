/* SPDX-License-Identifier: MIT */
/*
 * Virtqueues, seen from the device (Virtio 1.2, 2.6 to 2.8): split and packed rings, indirect
 * descriptors, event suppression by flag or index.
 *
 * All that a driver writes is checked here, once: a chain comes out as host memory, bounded in
 * pieces and bytes. Rings, tables and buffers must be RAM; nothing here reads or writes a device. A
 * ring whose contents make no sense is broken: vring_pop says so once and for all, and its user
 * asks the driver for a reset (NEEDS_RESET).
 *
 * RAM stays mapped as long as its space, so a ring that the guest unmaps or moves away in flight
 * does no harm to the host.
 *
 * Threads: a Vring is used by one thread at a time; its user holds a lock around each call.
 * A VringChain belongs to whoever popped it until it is pushed.
 *
 * Not there: in-order completion, notification data, rings behind an IOMMU.
 */
#pragma once

#include "bus/bus.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

enum {
    VRING_MAX_SIZE = 1024,  /* entries of a ring; also descriptors, and pieces, of a chain */
    VRING_DESC_SIZE = 16,   /* bytes of a descriptor, in every kind of ring */
};

typedef enum {
    VRING_INDIRECT = 1 << 0,  /* VIRTIO_F_INDIRECT_DESC was agreed on */
    VRING_EVENT_IDX = 1 << 1, /* VIRTIO_F_EVENT_IDX */
    VRING_PACKED = 1 << 2,    /* VIRTIO_F_RING_PACKED */
} VringFlags;

/* Guest-physical; the driver says where. For split rings driver is the available ring and device
   the used ring; for packed ones they are the event suppression areas. */
typedef struct {
    uint64_t desc, driver, device;
    uint16_t size; /* 1 .. VRING_MAX_SIZE; a power of two if split */
    unsigned flags; /* VringFlags */
} VringConfig;

/* Where the device is in its rings; what a saved state holds. The wrap counters are of packed
   rings, and start at 1. Nothing is in flight when it is taken or set. */
typedef struct {
    uint16_t avail, used;
    uint8_t avail_wrap, used_wrap;
} VringIndex;

typedef struct {
    uint64_t addr, len;
} VringRange;

/*
 * One buffer of the driver's. out is what the device may read, in what it may write; the pieces are
 * host memory, neither empty nor more than VRING_MAX_SIZE in all, and the bytes of each kind are
 * below 2^32. A user may shorten out and in (vring_chain_take, _take_last).
 *
 * A zeroed struct is ready for vring_pop, which reuses its memory; vring_chain_clear frees that.
 */
typedef struct {
    struct iovec *out, *in;
    unsigned out_count, in_count;
    uint64_t out_bytes, in_bytes;
    /* Bytes from the start of the writable part that were written, if more than vring_push is
       told: they count as changed memory. */
    uint64_t touched;
    VringRange *ranges; /* the writable part as the guest gave it: only to be read */
    unsigned range_count;

    /* vring's own */
    uint16_t id, count;
    struct iovec *iov;
    unsigned iov_room, range_room;
} VringChain;

typedef struct Vring Vring;
struct Vring {
    BusSpace *space;
    VringConfig config;
    bool running;
    const char *broken; /* why, or NULL; a string constant */
    unsigned in_flight; /* ring entries popped and not pushed */

    /* vring's own */
    uint8_t *desc, *driver, *device; /* host memory */
    VringIndex at;
    uint16_t signalled; /* used index (packed: entries counted on) at the last vring_flush */
    bool signalled_valid;
    uint16_t pending;   /* packed: entries used since then */
    uint16_t dirty_count; /* split: used entries written since the last flush */
};

/* Looks up the rings' memory. False, and ring->broken, when they are not aligned, not in RAM or of
   a wrong size. index NULL: a new ring. */
bool vring_start(Vring *ring, BusSpace *space, const VringConfig *config, const VringIndex *index);
/* Forgets the memory; chains in flight may still be cleared, and pushing them does nothing. */
void vring_stop(Vring *ring);

typedef enum { VRING_BROKEN = -1, VRING_EMPTY = 0, VRING_GOT = 1 } VringResult;
/* The next buffer. BROKEN now and at each later call once the ring is. */
VringResult vring_pop(Vring *ring, VringChain *chain);
/* For who keeps notes of what is in flight elsewhere, and went on from an index behind it: a buffer that was popped
   before, by a split ring's head, or by a packed ring's count descriptors as they were, which the ring may not hold
   any more. vring_desc copies one of those as it is now. */
VringResult vring_pop_head(Vring *ring, uint16_t head, VringChain *chain);
VringResult vring_pop_descs(Vring *ring, const uint8_t *raw, unsigned count, VringChain *chain);
void vring_desc(const Vring *ring, unsigned index, uint8_t raw[VRING_DESC_SIZE]);
/* Gives it back with the number of bytes written to its writable part, from its start. Memory
   written is marked (bus_dma_unmap). The driver may look at once, but is not told. */
void vring_push(Vring *ring, VringChain *chain, uint32_t written);
/* The same for count of them, in order; the driver sees all of them or none. */
void vring_push_all(Vring *ring, VringChain *chains, const uint32_t *written, unsigned count);
/* Makes the last one popped and not yet taken back the next to pop, untouched. */
void vring_unpop(Vring *ring, const VringChain *chain);
/* After one or more pushes: true if the driver wants an interrupt for them. */
bool vring_flush(Vring *ring);

/* Tells the driver whether it need announce new buffers. Turning it on returns true if there are
   some already, which will not be announced. */
bool vring_notify(Vring *ring, bool on);

/* Copies the first len bytes of the readable part to buf and takes them off; false (and nothing
   done) when there are fewer. */
bool vring_chain_take(VringChain *chain, void *buf, size_t len);
/* Takes the last byte off the writable part and says where it is; NULL when there is none. */
uint8_t *vring_chain_take_last(VringChain *chain);
/* Copies buf into the writable part from its byte offset on, as far as both last; bytes copied. */
size_t vring_chain_fill(const VringChain *chain, uint64_t offset, const void *buf, size_t len);
void vring_chain_clear(VringChain *chain);
