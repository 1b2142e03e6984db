/* SPDX-License-Identifier: MIT */
/* Between the two kinds of ring and the walk through descriptors. */
#pragma once

#include "base/bytes.h"
#include "vring/vring.h"

enum {
    VRING_DESC_NEXT = 1,
    VRING_DESC_WRITE = 2,
    VRING_DESC_INDIRECT = 4,
    VRING_DESC_AVAIL = 1 << 7, /* packed */
    VRING_DESC_USED = 1 << 15, /* packed */
};

typedef struct {
    uint64_t addr;
    uint32_t len;
    uint16_t flags;
    uint16_t next; /* packed: the buffer id */
} VringDesc;

/* A chain under construction. */
typedef struct {
    Vring *ring;
    VringChain *chain;
    unsigned iovs, outs; /* pieces so far; those that are readable */
    unsigned descs;      /* descriptors so far */
} VringWalk;

/* Notes why and returns false. */
bool vring_break(Vring *ring, const char *why);
void vring_desc_read_split(const uint8_t *p, VringDesc *d);
void vring_desc_read_packed(const uint8_t *p, VringDesc *d);

void vring_walk_begin(VringWalk *walk, Vring *ring, VringChain *chain);
/* One more buffer element; false when the ring is broken by it. */
bool vring_walk_add(VringWalk *walk, const VringDesc *d);
/* All elements of the table that d refers to. */
bool vring_walk_table(VringWalk *walk, const VringDesc *d);
void vring_walk_end(VringWalk *walk);

/* The words of a ring that carry the order of everything else. */
static inline uint16_t vring_load16(const uint8_t *p)
{
    uint16_t v = __atomic_load_n((const uint16_t *)(const void *)p, __ATOMIC_ACQUIRE);
    return ld_le16(&v);
}

static inline void vring_store16(uint8_t *p, uint16_t value)
{
    uint16_t v;
    st_le16(&v, value);
    __atomic_store_n((uint16_t *)(void *)p, v, __ATOMIC_RELEASE);
}

/* Did the index pass event when it went from old to now? (2.7.7.2) */
static inline bool vring_passed(uint16_t event, uint16_t now, uint16_t old)
{
    return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

/* Marks what the device has written of the chain's buffers. */
void vring_chain_mark(const Vring *ring, const VringChain *chain, uint32_t written);

/* Chains that were popped in another life: those of a head, or of descriptors that were kept. */
VringResult vring_split_take(Vring *ring, uint16_t head, VringChain *chain);
VringResult vring_packed_take(Vring *ring, const uint8_t *raw, unsigned count, VringChain *chain);
VringResult vring_split_pop(Vring *ring, VringChain *chain);
void vring_split_push(Vring *ring, const VringChain *chains, const uint32_t *written,
                      unsigned count);
void vring_split_unpop(Vring *ring, const VringChain *chain);
bool vring_split_flush(Vring *ring);
bool vring_split_notify(Vring *ring, bool on);

VringResult vring_packed_pop(Vring *ring, VringChain *chain);
void vring_packed_push(Vring *ring, const VringChain *chains, const uint32_t *written,
                       unsigned count);
void vring_packed_unpop(Vring *ring, const VringChain *chain);
bool vring_packed_flush(Vring *ring);
bool vring_packed_notify(Vring *ring, bool on);
