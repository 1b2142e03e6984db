/* SPDX-License-Identifier: MIT */
/* What space.c and access.c share: regions, views and the read-side section. */
#pragma once

#include "bus/bus.h"

#include <pthread.h>

typedef enum { REGION_RAM, REGION_MMIO, REGION_ALIAS } RegionKind;

struct BusRegion {
    BusSpace *space;
    char *name;
    RegionKind kind;
    uint64_t base, size;
    int priority;
    uint64_t seq; /* order of adding */
    bool enabled, removed;
    int busy; /* callbacks running; atomic */
    /* RAM */
    int fd;
    uint64_t fd_offset; /* of the memory in it */
    bool rom;
    uint8_t *host, *flags;
    /* MMIO */
    const BusOps *ops;
    void *opaque;
    /* alias */
    BusRegion *target;
    uint64_t target_offset;
};

/* A stretch of the space that one RAM or MMIO region answers. */
typedef struct {
    uint64_t start, last;
    BusRegion *region;
    uint64_t offset; /* of start in the region */
} BusSlice;

typedef struct {
    size_t count;
    BusSlice slice[];
} BusView;

#define BUS_STRIPES 16

/* Readers of the view, by epoch parity; one cache line a stripe, so that vCPUs do not share. */
typedef struct {
    _Alignas(64) int count[2];
} BusReaders;

struct BusSpace {
    char *name;
    bool big_endian;
    BusView *view;  /* atomic */
    unsigned epoch; /* atomic */
    BusReaders readers[BUS_STRIPES];
    /* Under update. */
    pthread_mutex_t update;
    unsigned depth;
    bool stale;
    uint64_t next_seq;
    GPtrArray *regions; /* in the order of adding; all that ever were */
    void (*code_written)(void *opaque, uint64_t phys, uint64_t len);
    void *code_opaque;
    void (*map_changed)(void *opaque);
    void *map_opaque;
};

/* A read-side section: the view and what it points to stay until bus_view_leave. No callback may
   run inside, since a callback may change the map, and a change waits for readers. */
typedef struct {
    const BusView *view;
    int *count;
} BusViewRef;

static inline BusViewRef bus_view_enter(BusSpace *space)
{
    uintptr_t self = (uintptr_t)pthread_self() >> 6;
    BusReaders *r = &space->readers[(self * UINT64_C(0x9e3779b97f4a7c15)) >> 60];
    unsigned parity = __atomic_load_n(&space->epoch, __ATOMIC_RELAXED) & 1;
    BusViewRef ref = {.count = &r->count[parity]};
    __atomic_fetch_add(ref.count, 1, __ATOMIC_SEQ_CST);
    ref.view = __atomic_load_n(&space->view, __ATOMIC_SEQ_CST);
    return ref;
}

static inline void bus_view_leave(BusViewRef ref)
{
    __atomic_fetch_sub(ref.count, 1, __ATOMIC_RELEASE);
}

static inline const BusSlice *bus_view_find(const BusView *view, uint64_t addr)
{
    size_t lo = 0, hi = view->count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (addr > view->slice[mid].last)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < view->count && view->slice[lo].start <= addr ? &view->slice[lo] : NULL;
}
