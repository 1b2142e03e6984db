/* SPDX-License-Identifier: MIT */
/*
 * Regions and the building of views.
 *
 * A view is an immutable sorted array of slices, each answered by one region. Any change of
 * regions builds a new view under the space's update lock, swaps the pointer, and waits until no
 * reader can still hold the old one: readers count themselves in one of two parities;
 * the writer waits for the idle parity to drain, flips, and waits for the other. A reader that
 * counts itself after the writer looked also loads the pointer after the swap (all sequentially
 * consistent), so it sees the new view. Sections are a few instructions, so waiting is spinning.
 */
#include "bus/bus_priv.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static BusView *view_alloc(size_t count)
{
    return g_malloc0(sizeof(BusView) + count * sizeof(BusSlice));
}

BusSpace *bus_space_new(const char *name, bool big_endian)
{
    BusSpace *space = g_aligned_alloc0(1, sizeof *space, 64);
    space->name = g_strdup(name);
    space->big_endian = big_endian;
    space->view = view_alloc(0);
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&space->update, &attr);
    pthread_mutexattr_destroy(&attr);
    space->regions = g_ptr_array_new();
    return space;
}

static void region_free(BusRegion *r)
{
    if (!r)
        return;
    if (r->host)
        munmap(r->host, r->size);
    if (r->flags)
        munmap(r->flags, r->size >> BUS_PAGE_BITS);
    if (r->fd >= 0)
        close(r->fd);
    g_free(r->name);
    g_free(r);
}

void bus_space_free(BusSpace *space)
{
    if (!space)
        return;
    for (guint i = 0; i < space->regions->len; i++)
        region_free(g_ptr_array_index(space->regions, i));
    g_ptr_array_free(space->regions, TRUE);
    pthread_mutex_destroy(&space->update);
    g_free(space->view);
    g_free(space->name);
    g_aligned_free(space);
}

/* A visible region with aliases followed. */
typedef struct {
    uint64_t start, last;
    BusRegion *region;
    uint64_t offset;
    int priority;
    uint64_t seq;
} Piece;

static bool piece_of(BusRegion *r, Piece *p)
{
    if (!r->enabled || r->removed)
        return false;
    *p = (Piece){.start = r->base, .last = r->base + (r->size - 1), .priority = r->priority,
                 .seq = r->seq};
    while (r->kind == REGION_ALIAS) {
        p->offset += r->target_offset;
        r = r->target;
        if (r->removed)
            return false;
    }
    p->region = r;
    return true;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static const Piece *best_at(const GArray *pieces, uint64_t addr)
{
    const Piece *best = NULL;
    for (guint i = 0; i < pieces->len; i++) {
        const Piece *p = &g_array_index(pieces, Piece, i);
        if (addr < p->start || addr > p->last)
            continue;
        if (!best || p->priority > best->priority ||
            (p->priority == best->priority && p->seq > best->seq))
            best = p;
    }
    return best;
}

static BusView *view_build(BusSpace *space)
{
    g_autoptr(GArray) pieces = g_array_new(FALSE, FALSE, sizeof(Piece));
    g_autoptr(GArray) edges = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    for (guint i = 0; i < space->regions->len; i++) {
        Piece p;
        if (!piece_of(g_ptr_array_index(space->regions, i), &p))
            continue;
        g_array_append_val(pieces, p);
        g_array_append_val(edges, p.start);
        uint64_t after = p.last + 1;
        if (after)
            g_array_append_val(edges, after);
    }
    g_array_sort(edges, compare_u64);

    BusView *view = view_alloc(edges->len);
    for (guint i = 0; i < edges->len; i++) {
        uint64_t start = g_array_index(edges, uint64_t, i);
        uint64_t last = i + 1 < edges->len ? g_array_index(edges, uint64_t, i + 1) - 1 : UINT64_MAX;
        if (i + 1 < edges->len && last + 1 == start)
            continue; /* the same edge twice */
        const Piece *p = best_at(pieces, start);
        if (!p)
            continue;
        uint64_t offset = p->offset + (start - p->start);
        BusSlice *prev = view->count ? &view->slice[view->count - 1] : NULL;
        if (prev && prev->region == p->region && prev->last + 1 == start &&
            prev->offset + (start - prev->start) == offset) {
            prev->last = last;
            continue;
        }
        view->slice[view->count++] = (BusSlice){start, last, p->region, offset};
    }
    return view;
}

static void wait_drained(BusSpace *space, unsigned parity)
{
    for (unsigned i = 0; i < BUS_STRIPES; i++)
        while (__atomic_load_n(&space->readers[i].count[parity], __ATOMIC_SEQ_CST))
            sched_yield();
}

static void view_replace(BusSpace *space)
{
    BusView *old = space->view;
    __atomic_store_n(&space->view, view_build(space), __ATOMIC_SEQ_CST);
    unsigned parity = space->epoch & 1;
    wait_drained(space, parity ^ 1);
    __atomic_fetch_add(&space->epoch, 1, __ATOMIC_SEQ_CST);
    wait_drained(space, parity);
    g_free(old);
}

void bus_update_begin(BusSpace *space)
{
    pthread_mutex_lock(&space->update);
    space->depth++;
}

void bus_update_end(BusSpace *space)
{
    bool changed = --space->depth == 0 && space->stale;
    if (changed) {
        space->stale = false;
        view_replace(space);
    }
    pthread_mutex_unlock(&space->update);
    if (changed && space->map_changed)
        space->map_changed(space->map_opaque);
}

static BusRegion *region_new(BusSpace *space, const char *name, RegionKind kind, uint64_t base,
                             uint64_t size, int priority, GError **error)
{
    if (size == 0 || base + (size - 1) < base) {
        fail(error, "%s: a region of %#" PRIx64 " bytes at %#" PRIx64 " does not fit in %s", name,
             size, base, space->name);
        return NULL;
    }
    BusRegion *r = g_new0(BusRegion, 1);
    r->space = space;
    r->name = g_strdup(name);
    r->kind = kind;
    r->base = base;
    r->size = size;
    r->priority = priority;
    r->enabled = true;
    r->fd = -1;
    return r;
}

static BusRegion *region_add(BusRegion *r)
{
    BusSpace *space = r->space;
    bus_update_begin(space);
    r->seq = space->next_seq++;
    g_ptr_array_add(space->regions, r);
    space->stale = true;
    bus_update_end(space);
    return r;
}

static void *map_reserved(int fd, uint64_t offset, uint64_t size)
{
    int flags = MAP_NORESERVE | (fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS);
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, (off_t)offset);
    return p == MAP_FAILED ? NULL : p;
}

static BusRegion *ram_region(BusSpace *space, const char *name, uint64_t base, uint64_t size, int priority,
                             GError **error)
{
    if (!((base | size) & (BUS_PAGE_SIZE - 1)))
        return region_new(space, name, REGION_RAM, base, size, priority, error);
    fail(error, "%s: memory must be whole pages of 4 KiB, not %#" PRIx64 " bytes at %#" PRIx64,
         name, size, base);
    return NULL;
}

BusRegion *bus_ram_new(BusSpace *space, const char *name, uint64_t base, uint64_t size,
                       BusRamFlags flags, int priority, GError **error)
{
    BusRegion *r = ram_region(space, name, base, size, priority, error);
    if (!r)
        return NULL;
    r->rom = flags & BUS_RAM_ROM;
    r->fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    bool ok = r->fd >= 0 && size <= INT64_MAX && ftruncate(r->fd, (off_t)size) == 0;
    if (ok) /* other processes get it, and nobody is to end us by making it shorter */
        fcntl(r->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    ok = ok && (r->host = map_reserved(r->fd, 0, size)) != NULL;
    ok = ok && (r->flags = map_reserved(-1, 0, size >> BUS_PAGE_BITS)) != NULL;
    if (!ok) {
        fail_errno(error, size > INT64_MAX ? ENOMEM : errno,
                   "%s: cannot reserve %" PRIu64 " bytes of memory", name, size);
        region_free(r);
        return NULL;
    }
    return region_add(r);
}

BusRegion *bus_ram_map(BusSpace *space, const char *name, uint64_t base, uint64_t size, int fd, uint64_t offset,
                       GError **error)
{
    struct stat st;
    BusRegion *r = ram_region(space, name, base, size, 0, error);
    if (!r)
        return NULL;
    bool fits = !fstat(fd, &st) && offset <= INT64_MAX && size <= INT64_MAX - offset &&
                offset + size <= (uint64_t)st.st_size;
    r->fd = fits ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    r->fd_offset = offset;
    bool ok = r->fd >= 0 && (r->host = map_reserved(r->fd, offset, size)) != NULL;
    ok = ok && (r->flags = map_reserved(-1, 0, size >> BUS_PAGE_BITS)) != NULL;
    if (!ok) {
        if (!fits)
            fail(error, "%s: the file is shorter than %#" PRIx64 " bytes at %#" PRIx64, name, size, offset);
        else
            fail_errno(error, errno, "%s: cannot map %" PRIu64 " bytes of memory", name, size);
        region_free(r);
        return NULL;
    }
    return region_add(r);
}

void bus_rom_set_write(BusRegion *rom, const BusOps *ops, void *opaque)
{
    g_return_if_fail(rom->kind == REGION_RAM && rom->rom);
    rom->ops = ops;
    rom->opaque = opaque;
}

BusRegion *bus_mmio_new(BusSpace *space, const char *name, uint64_t base, uint64_t size,
                        const BusOps *ops, void *opaque, int priority, GError **error)
{
    BusRegion *r = region_new(space, name, REGION_MMIO, base, size, priority, error);
    if (!r)
        return NULL;
    r->ops = ops;
    r->opaque = opaque;
    return region_add(r);
}

BusRegion *bus_alias_new(BusSpace *space, const char *name, uint64_t base, uint64_t size,
                         BusRegion *target, uint64_t offset, int priority, GError **error)
{
    if (target->space != space || offset > target->size || size > target->size - offset) {
        fail(error, "%s: the alias reaches outside of %s", name, target->name);
        return NULL;
    }
    BusRegion *r = region_new(space, name, REGION_ALIAS, base, size, priority, error);
    if (!r)
        return NULL;
    r->target = target;
    r->target_offset = offset;
    return region_add(r);
}

void bus_region_remove(BusRegion *region)
{
    bus_update_begin(region->space);
    region->space->stale |= !region->removed;
    region->removed = true;
    bus_update_end(region->space);
}

void bus_region_enable(BusRegion *region, bool enabled)
{
    bus_update_begin(region->space);
    region->space->stale |= region->enabled != enabled;
    region->enabled = enabled;
    bus_update_end(region->space);
}

void bus_region_move(BusRegion *region, uint64_t base)
{
    bus_update_begin(region->space);
    bool fits = base + (region->size - 1) >= base &&
                (region->kind == REGION_MMIO || (base & (BUS_PAGE_SIZE - 1)) == 0);
    if (fits && region->base != base) {
        region->base = base;
        region->space->stale = true;
    } else if (!fits && region->enabled) {
        region->enabled = false;
        region->space->stale = true;
    }
    bus_update_end(region->space);
}

bool bus_region_busy(const BusRegion *region)
{
    return __atomic_load_n(&region->busy, __ATOMIC_ACQUIRE) != 0;
}

int bus_ram_fd(const BusRegion *region)
{
    return region->fd;
}

uint8_t *bus_ram_host(const BusRegion *region)
{
    return region->host;
}

uint64_t bus_region_size(const BusRegion *region)
{
    return region->size;
}

uint64_t bus_region_base(const BusRegion *region)
{
    return region->base;
}

void bus_ram_each(BusSpace *space, void (*f)(void *opaque, BusRegion *ram), void *opaque)
{
    bus_update_begin(space);
    for (guint i = 0; i < space->regions->len; i++) {
        BusRegion *r = space->regions->pdata[i];
        if (r->kind == REGION_RAM && !r->rom)
            f(opaque, r);
    }
    bus_update_end(space);
}

void bus_space_each(BusSpace *space,
                    void (*f)(void *opaque, BusSliceKind kind, const char *name, uint64_t base,
                              uint64_t last),
                    void *opaque)
{
    pthread_mutex_lock(&space->update); /* keeps the view without holding up readers' writers */
    const BusView *view = space->view;
    for (size_t i = 0; i < view->count; i++) {
        const BusSlice *s = &view->slice[i];
        BusSliceKind kind = s->region->kind == REGION_MMIO ? BUS_SLICE_MMIO
                            : s->region->rom               ? BUS_SLICE_ROM
                                                           : BUS_SLICE_RAM;
        f(opaque, kind, s->region->name, s->start, s->last);
    }
    pthread_mutex_unlock(&space->update);
}

void bus_set_code_hook(BusSpace *space,
                       void (*written)(void *opaque, uint64_t phys, uint64_t len), void *opaque)
{
    space->code_opaque = opaque;
    space->code_written = written;
}

void bus_set_map_hook(BusSpace *space, void (*changed)(void *opaque), void *opaque)
{
    space->map_opaque = opaque;
    space->map_changed = changed;
}
