/* SPDX-License-Identifier: MIT */
/*
 * Address spaces, interrupt lines and the machine's clock: all that devices and
 * CPUs share, with knowledge of neither.
 *
 * A BusSpace is a set of regions (RAM, MMIO, aliases of either) with priorities.
 * Changes rebuild an immutable sorted view and swap it in, so that lookups on any
 * number of vCPU threads take no lock and never wait for a change.
 *
 * Values passed to and from bus_read and bus_write are what a little-endian CPU
 * would have in its register: byte 0 of memory is bits 7:0. A big-endian CPU swaps
 * on its own side; a big-endian device is swapped here (BusOps.endian).
 *
 * Nothing a guest can cause makes a function here fail in any way but its result.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- Spaces and regions -------------------------------------------------- */

typedef struct BusSpace BusSpace;
typedef struct BusRegion BusRegion;

#define BUS_PAGE_BITS 12
#define BUS_PAGE_SIZE 4096u

typedef enum {
    BUS_OK,
    BUS_UNMAPPED, /* nothing answers at (some byte of) the address */
    BUS_DENIED,   /* something is there, but not for this size, alignment or direction */
} BusResult;

typedef enum {
    BUS_LITTLE,
    BUS_BIG,
    BUS_NATIVE, /* the byte order the space was made with */
} BusEndian;

/*
 * How an MMIO range answers. The struct is borrowed and must outlive the region.
 *
 * Called on the accessing thread (a vCPU's or a DMA engine's), any number at once; offset is
 * within the region, size is 1, 2, 4 or 8 and within min..max; unused high bits of value are zero,
 * and those of a result are dropped. A NULL read or write makes that direction BUS_DENIED.
 */
typedef struct {
    uint64_t (*read)(void *opaque, uint64_t offset, unsigned size);
    void (*write)(void *opaque, uint64_t offset, uint64_t value, unsigned size);
    /* The sizes the callbacks take; 0 means 1 and 8. A larger access is split, lowest address
       first. A smaller read reads the aligned container and takes its part; a smaller write
       writes the container with zeros in the other bytes. */
    uint8_t min, max;
    /* The sizes a guest may use; 0 means 1 and 8. Others are BUS_DENIED. */
    uint8_t valid_min, valid_max;
    bool unaligned; /* misaligned accesses are passed on as they are; else BUS_DENIED */
    /* Writes may be messages of devices (bus_message), whose locks are held meanwhile: write takes
       locks of interrupt controllers only. */
    bool messages;
    BusEndian endian;
} BusOps;

typedef enum {
    BUS_RAM_ROM = 1, /* guest and DMA writes are ignored; bus_load still writes */
} BusRamFlags;

/* A new, empty space. big_endian is what BUS_NATIVE means in it. Name is for messages. */
BusSpace *bus_space_new(const char *name, bool big_endian);
/* Frees the space with its regions and RAM. No other thread may be using it. NULL is fine. */
void bus_space_free(BusSpace *space);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BusSpace, bus_space_free)

/*
 * Adding. size is at least 1 and base + size must not pass 2^64 (NULL and *error otherwise).
 * The region belongs to the space. Where regions overlap, the higher priority answers; of equals,
 * the one added last. name is copied. Any thread.
 */

/* Zeroed memory from a memfd: reserved, not allocated, so size may exceed the host's memory.
   base and size are multiples of 4096. Fails with a system error when the host refuses. */
BusRegion *bus_ram_new(BusSpace *space, const char *name, uint64_t base, uint64_t size,
                       BusRamFlags flags, int priority, GError **error);
/* Memory that somebody else has: size bytes of fd (a memfd, a file) from offset on, both whole pages. fd
   stays the caller's. The file must not become shorter: what uses the memory then ends by SIGBUS. */
BusRegion *bus_ram_map(BusSpace *space, const char *name, uint64_t base, uint64_t size, int fd, uint64_t offset,
                       GError **error);
/* Guest writes to a ROM go to ops->write with that opaque in place of being ignored (reads stay
   memory; ops->read is not used): a flash chip. ops is borrowed. Before vCPUs run; DMA is still
   ignored. */
void bus_rom_set_write(BusRegion *rom, const BusOps *ops, void *opaque);
BusRegion *bus_mmio_new(BusSpace *space, const char *name, uint64_t base, uint64_t size,
                        const BusOps *ops, void *opaque, int priority, GError **error);
/* Another view of target's bytes offset .. offset + size. target is in the same space, and is
   RAM or MMIO, visible or not; it must stay as long as the alias does. */
BusRegion *bus_alias_new(BusSpace *space, const char *name, uint64_t base, uint64_t size,
                         BusRegion *target, uint64_t offset, int priority, GError **error);

/* Takes the region out of the map for good. Its callbacks may still be running on other threads
   when this returns; bus_region_busy tells. RAM itself lives until the space is freed, since
   TLBs may hold pointers to it. */
void bus_region_remove(BusRegion *region);
/* Hides or shows a region (made visible), or moves it. For BARs: allocates nothing lasting.
   A move that would pass 2^64, or leave RAM
   off a page boundary, hides the region. */
void bus_region_enable(BusRegion *region, bool enabled);
void bus_region_move(BusRegion *region, uint64_t base);
bool bus_region_busy(const BusRegion *region);

/* Several changes as one: the view is rebuilt at the outermost end. */
void bus_update_begin(BusSpace *space);
void bus_update_end(BusSpace *space);

/* The backing of a RAM region: its memfd (for another process to map) and its mapping. */
int bus_ram_fd(const BusRegion *region);
uint8_t *bus_ram_host(const BusRegion *region);
uint64_t bus_region_size(const BusRegion *region);
uint64_t bus_region_base(const BusRegion *region);

/* Calls f for each RAM region, ROM left out, visible or not. f changes nothing. */
void bus_ram_each(BusSpace *space, void (*f)(void *opaque, BusRegion *ram), void *opaque);
/* Calls f for each visible slice in address order: kind, name, range. For `info mtree`. */
typedef enum { BUS_SLICE_RAM, BUS_SLICE_ROM, BUS_SLICE_MMIO } BusSliceKind;
void bus_space_each(BusSpace *space,
                    void (*f)(void *opaque, BusSliceKind kind, const char *name, uint64_t base,
                              uint64_t last),
                    void *opaque);

/* ---- Accesses ------------------------------------------------------------ */

/* One access of size 1, 2, 4 or 8 bytes (any other: BUS_DENIED). *value is 0 unless BUS_OK.
   Any thread; may run a device's callback. */
BusResult bus_read(BusSpace *space, uint64_t addr, unsigned size, uint64_t *value);
BusResult bus_write(BusSpace *space, uint64_t addr, uint64_t value, unsigned size);

/* Page flags: one byte for each 4 KiB of RAM, changed with atomic or/and. */
enum {
    BUS_PAGE_CODE = 1,  /* holds translated code: whoever writes must call bus_ram_written */
    BUS_PAGE_DIRTY = 2, /* written since somebody last cleared this */
};

static inline void bus_page_mark(uint8_t *flags, uint8_t bits)
{
    if ((__atomic_load_n(flags, __ATOMIC_RELAXED) & bits) != bits)
        __atomic_fetch_or(flags, bits, __ATOMIC_SEQ_CST);
}

static inline void bus_page_clear(uint8_t *flags, uint8_t bits)
{
    __atomic_fetch_and(flags, (uint8_t)~bits, __ATOMIC_SEQ_CST);
}

/* What a TLB needs to know of one page. */
typedef struct {
    uint8_t *host;  /* the byte of host memory for the first byte of the 4 KiB page */
    uint8_t *flags; /* that page's flag byte; the next page's follows, within left */
    uint64_t left;  /* bytes from the page's start to the end of what is contiguous, >= 4096 */
    bool writable;
} BusRamRef;

/* True if the whole 4 KiB page that holds addr is RAM or ROM. The pointers stay valid until the
   space is freed, but what the address means may change: see bus_set_map_hook. */
bool bus_find_ram(BusSpace *space, uint64_t addr, BusRamRef *out);

/* Tells that RAM at addr .. addr + len has been written through a pointer: marks the pages dirty
   and calls the code hook for those that hold code, at every address they are visible at. */
void bus_ram_written(BusSpace *space, uint64_t addr, uint64_t len);

/* The guest has no use for the whole pages within addr .. addr + len: their memory goes back to the
   host, and they read as zeros. What is not RAM is passed over. Counts as written. */
void bus_ram_discard(BusSpace *space, uint64_t addr, uint64_t len);

/* written: called after a write to a page flagged BUS_PAGE_CODE, on the writing thread, once for
   each contiguous stretch and each address it is visible at. NULL: nobody cares. One hook a space;
   set before vCPUs run. */
void bus_set_code_hook(BusSpace *space,
                       void (*written)(void *opaque, uint64_t phys, uint64_t len), void *opaque);
/* changed: called after each change of the map, on the changing thread, with no lock of the space
   held: cached BusRamRefs must be dropped. */
void bus_set_map_hook(BusSpace *space, void (*changed)(void *opaque), void *opaque);

/* ---- DMA ----------------------------------------------------------------- */

/* Copies len bytes; MMIO is accessed in the largest aligned pieces its device takes. The first
   failure stops and is the result; what came before it is done. A failed read zeroes the rest. */
BusResult bus_dma_read(BusSpace *space, uint64_t addr, void *buf, uint64_t len);
BusResult bus_dma_write(BusSpace *space, uint64_t addr, const void *buf, uint64_t len);
BusResult bus_dma_fill(BusSpace *space, uint64_t addr, uint8_t byte, uint64_t len);

/* The same, of RAM alone: registers are BUS_DENIED, so that a device may hold its locks meanwhile. */
BusResult bus_ram_read(BusSpace *space, uint64_t addr, void *buf, uint64_t len);
BusResult bus_ram_write(BusSpace *space, uint64_t addr, const void *buf, uint64_t len);
/* A message-signalled interrupt: 32 bits to RAM or to a region that takes messages; to anything else
   BUS_DENIED, as it would call back into devices. Locks of devices may be held. */
BusResult bus_message(BusSpace *space, uint64_t addr, uint32_t data);

/* Host memory for the longest contiguous RAM at addr, at most *len, which is updated. NULL when
   there is no RAM at addr (or only ROM, for a write). A write map must be unmapped with the number
   of bytes written, before the guest is told of them. */
void *bus_dma_map(BusSpace *space, uint64_t addr, uint64_t *len, bool write);
void bus_dma_unmap(BusSpace *space, uint64_t addr, uint64_t written);

/* A loader's write: RAM and ROM, all or nothing; the error names the range that is not memory. */
bool bus_load(BusSpace *space, uint64_t addr, const void *buf, uint64_t len, GError **error);

/* ---- Interrupt lines ----------------------------------------------------- */

/* A line is where to call when the level changes; the zero value is a line that leads nowhere.
   set may be called on any thread, must not block for long, and must not call back into the device
   that drives the line. */
typedef struct {
    void (*set)(void *opaque, int n, bool level);
    void *opaque;
    int n;
} BusIrq;

static inline void bus_irq_set(BusIrq irq, bool level)
{
    if (irq.set)
        irq.set(irq.opaque, irq.n, level);
}

/* A wired OR: inputs 0 .. 63 into one output, which is driven on changes only. */
typedef struct BusIrqOr BusIrqOr;
BusIrqOr *bus_irq_or_new(BusIrq out);
void bus_irq_or_free(BusIrqOr *gate);
BusIrq bus_irq_or_input(BusIrqOr *gate, int n);

/* ---- Clock, timers, random: the one door of what is not deterministic ------ */

typedef struct BusClock BusClock;
typedef struct BusTimer BusTimer;

/* A stopped clock at 0 ns with a thread of its own, on which all timer callbacks run. */
BusClock *bus_clock_new(void);
/* A clock that moves only by bus_clock_advance, which runs the timers that fall due, in order and
   on the calling thread. For tests and for deterministic runs. */
BusClock *bus_clock_new_manual(void);
/* Ends the thread. All timers must have been freed. NULL is fine. */
void bus_clock_free(BusClock *clock);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BusClock, bus_clock_free)

/* Virtual nanoseconds, never going back. Lock-free. */
int64_t bus_clock_now(BusClock *clock);
void bus_clock_start(BusClock *clock);
void bus_clock_stop(BusClock *clock);
void bus_clock_set(BusClock *clock, int64_t ns); /* stopped only: for restoring a state */
void bus_clock_advance(BusClock *clock, int64_t ns);
bool bus_clock_is_manual(const BusClock *clock);
/* When the first timer that is set falls due; INT64_MAX: none is. */
int64_t bus_clock_deadline(BusClock *clock);
/* Nanoseconds since 1970 UTC, by the host; on a manual clock, 2000-01-01 plus virtual time. Goes
   on while the clock is stopped. */
int64_t bus_clock_wall(BusClock *clock);
/* Another wall time: ahead nanoseconds (or behind) of the above; with follow, it stops and goes on
   with virtual time from where it is now. Before others use the clock. */
void bus_clock_set_wall(BusClock *clock, int64_t ahead, bool follow);

/* Random bytes: the host's, or after bus_clock_seed a repeatable sequence. */
void bus_random(BusClock *clock, void *buf, size_t len);
void bus_clock_seed(BusClock *clock, uint64_t seed);

/* A timer that is not set. fire runs on the clock's thread with no lock held, once for each time
   set; it may set, cancel or free timers, its own included. */
BusTimer *bus_timer_new(BusClock *clock, void (*fire)(void *opaque), void *opaque);
/* Cancels, and waits for a callback running on the clock's thread (unless called there): so hold
   no lock that the callback takes. NULL is fine. */
void bus_timer_free(BusTimer *timer);
/* Fires when the clock reaches deadline (at once if it has); replaces an earlier deadline. Any
   thread; does not wait. INT64_MAX means never. */
void bus_timer_set(BusTimer *timer, int64_t deadline);
/* Does not wait: a callback may be about to run or running. */
void bus_timer_cancel(BusTimer *timer);
