/* SPDX-License-Identifier: MIT */
/*
 * Single accesses and DMA: from an address to RAM bytes or a device's callback, with
 * the size, alignment and byte-order rules of BusOps, and page flags kept on every
 * write to RAM.
 */
#include "bus/bus_priv.h"

#include "base/bits.h"
#include "base/bytes.h"
#include "base/error.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

/* Where an address leads. An MMIO region is counted busy until hit_put. */
typedef struct {
    BusRegion *region;
    uint64_t offset;
    uint64_t left; /* bytes up to the end of the slice, at least 1; UINT64_MAX for 2^64 */
} Hit;

static bool hit_get(BusSpace *space, uint64_t addr, Hit *hit)
{
    BusViewRef ref = bus_view_enter(space);
    const BusSlice *s = bus_view_find(ref.view, addr);
    if (s) {
        hit->region = s->region;
        hit->offset = s->offset + (addr - s->start);
        hit->left = s->last - addr == UINT64_MAX ? UINT64_MAX : s->last - addr + 1;
        if (s->region->kind == REGION_MMIO)
            __atomic_fetch_add(&s->region->busy, 1, __ATOMIC_RELAXED);
    }
    bus_view_leave(ref);
    return s != NULL;
}

static void hit_put(const Hit *hit)
{
    if (hit->region->kind == REGION_MMIO)
        __atomic_fetch_sub(&hit->region->busy, 1, __ATOMIC_RELEASE);
}

/* ---- RAM ----------------------------------------------------------------- */

static uint64_t order_le(uint64_t v, unsigned size)
{
    if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ || size == 1)
        return v;
    return __builtin_bswap64(v) >> (64 - 8 * size);
}

/* Aligned accesses are single-copy atomic, as a guest expects of its memory. */
static uint64_t ram_load(const uint8_t *p, unsigned size)
{
    uint64_t v = 0;
    if ((uintptr_t)p & (size - 1)) {
        for (unsigned i = 0; i < size; i++)
            v |= (uint64_t)__atomic_load_n(&p[i], __ATOMIC_RELAXED) << (8 * i);
        return v;
    }
    switch (size) {
    case 1: return __atomic_load_n(p, __ATOMIC_RELAXED);
    case 2: v = __atomic_load_n((const uint16_t *)(const void *)p, __ATOMIC_RELAXED); break;
    case 4: v = __atomic_load_n((const uint32_t *)(const void *)p, __ATOMIC_RELAXED); break;
    default: v = __atomic_load_n((const uint64_t *)(const void *)p, __ATOMIC_RELAXED); break;
    }
    return order_le(v, size);
}

static void ram_store(uint8_t *p, uint64_t v, unsigned size)
{
    if ((uintptr_t)p & (size - 1)) {
        for (unsigned i = 0; i < size; i++)
            __atomic_store_n(&p[i], (uint8_t)(v >> (8 * i)), __ATOMIC_RELAXED);
        return;
    }
    v = order_le(v & bits_mask(8 * size), size);
    switch (size) {
    case 1: __atomic_store_n(p, (uint8_t)v, __ATOMIC_RELAXED); break;
    case 2: __atomic_store_n((uint16_t *)(void *)p, (uint16_t)v, __ATOMIC_RELAXED); break;
    case 4: __atomic_store_n((uint32_t *)(void *)p, (uint32_t)v, __ATOMIC_RELAXED); break;
    default: __atomic_store_n((uint64_t *)(void *)p, v, __ATOMIC_RELAXED); break;
    }
}

/* Calls the code hook for bytes offset .. offset + len of a RAM region, wherever they are visible.
   One slice at a time, since the hook must run outside of the read-side section. */
static void code_notify(BusSpace *space, const BusRegion *ram, uint64_t offset, uint64_t len)
{
    if (!space->code_written)
        return;
    for (size_t skip = 0;; skip++) {
        BusViewRef ref = bus_view_enter(space);
        size_t seen = 0;
        bool found = false;
        uint64_t phys = 0, part = 0;
        for (size_t i = 0; i < ref.view->count && !found; i++) {
            const BusSlice *s = &ref.view->slice[i];
            uint64_t s_last = s->offset + (s->last - s->start);
            if (s->region != ram || s->offset > offset + (len - 1) || s_last < offset)
                continue;
            if (seen++ != skip)
                continue;
            uint64_t from = MAX(offset, s->offset), last = MIN(offset + (len - 1), s_last);
            phys = s->start + (from - s->offset);
            part = last - from + 1;
            found = true;
        }
        bus_view_leave(ref);
        if (!found)
            return;
        space->code_written(space->code_opaque, phys, part);
    }
}

/* After a write of len >= 1 bytes at offset of a RAM region. */
static void ram_touched(BusSpace *space, const BusRegion *ram, uint64_t offset, uint64_t len)
{
    /* The bytes must be visible before the flag is looked at: a translator flags first, then
       reads, so one of the two sees the other. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    uint64_t first = offset >> BUS_PAGE_BITS, last = (offset + (len - 1)) >> BUS_PAGE_BITS;
    uint64_t run = UINT64_MAX; /* the first page of a stretch that holds code */
    for (uint64_t page = first; page <= last; page++) {
        uint8_t *flags = &ram->flags[page];
        bus_page_mark(flags, BUS_PAGE_DIRTY);
        bool code = __atomic_load_n(flags, __ATOMIC_RELAXED) & BUS_PAGE_CODE;
        if (code && run == UINT64_MAX)
            run = page;
        bool ends = run != UINT64_MAX && (!code || page == last);
        if (!ends)
            continue;
        uint64_t from = MAX(offset, run << BUS_PAGE_BITS);
        uint64_t until = code ? offset + len : page << BUS_PAGE_BITS;
        code_notify(space, ram, from, until - from);
        run = UINT64_MAX;
    }
}

bool bus_find_ram(BusSpace *space, uint64_t addr, BusRamRef *out)
{
    uint64_t page = align_down(addr, BUS_PAGE_SIZE);
    bool found = false;
    BusViewRef ref = bus_view_enter(space);
    const BusSlice *s = bus_view_find(ref.view, page);
    if (s && s->region->kind == REGION_RAM && s->last - page >= BUS_PAGE_SIZE - 1) {
        uint64_t offset = s->offset + (page - s->start);
        /* An alias may be shifted by part of a page: then a page has no flag byte of its own. */
        if (is_aligned(offset, BUS_PAGE_SIZE)) {
            out->host = s->region->host + offset;
            out->flags = s->region->flags + (offset >> BUS_PAGE_BITS);
            out->left = s->last - page + 1;
            out->writable = !s->region->rom;
            found = true;
        }
    }
    bus_view_leave(ref);
    return found;
}

void bus_ram_written(BusSpace *space, uint64_t addr, uint64_t len)
{
    while (len) {
        Hit hit;
        if (!hit_get(space, addr, &hit))
            return;
        uint64_t n = MIN(len, hit.left);
        if (hit.region->kind == REGION_RAM)
            ram_touched(space, hit.region, hit.offset, n);
        hit_put(&hit);
        addr += n;
        len -= n;
    }
}

void bus_ram_discard(BusSpace *space, uint64_t addr, uint64_t len)
{
    while (len) {
        Hit hit;
        uint64_t n = len;
        if (hit_get(space, addr, &hit)) {
            n = MIN(len, hit.left);
            const BusRegion *r = hit.region;
            bool ram = r->kind == REGION_RAM && !r->rom;
            uint64_t first = align_up(hit.offset, BUS_PAGE_SIZE);
            uint64_t end = align_down(hit.offset + n, BUS_PAGE_SIZE);
            if (ram && first < end &&
                fallocate(r->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(r->fd_offset + first),
                          (off_t)(end - first)) == 0)
                ram_touched(space, r, first, end - first);
            hit_put(&hit);
        } else {
            /* a hole; it may be large, and its end is looked for page by page */
            n = MIN(len, BUS_PAGE_SIZE - (addr & (BUS_PAGE_SIZE - 1)));
        }
        addr += n;
        len -= n;
    }
}

/* ---- MMIO ---------------------------------------------------------------- */

typedef struct {
    unsigned min, max; /* of the callbacks */
    bool swap;         /* the device is big-endian */
} Rules;

static bool mmio_rules(const BusRegion *r, uint64_t offset, unsigned size, Rules *rules)
{
    const BusOps *ops = r->ops;
    unsigned valid_min = ops->valid_min ? ops->valid_min : 1;
    unsigned valid_max = ops->valid_max ? ops->valid_max : 8;
    if (size < valid_min || size > valid_max)
        return false;
    if (!ops->unaligned && !is_aligned(offset, size))
        return false;
    rules->min = ops->min ? ops->min : 1;
    rules->max = ops->max ? ops->max : 8;
    rules->swap = ops->endian == BUS_BIG || (ops->endian == BUS_NATIVE && r->space->big_endian);
    if (size >= rules->min)
        return true;
    /* It must lie in one container of the least size, which must lie in the region. */
    uint64_t container = align_down(offset, rules->min);
    return offset - container + size <= rules->min && rules->min <= r->size - container;
}

static uint64_t swap_if(bool swap, uint64_t v, unsigned size)
{
    return swap ? __builtin_bswap64(v) >> (64 - 8 * size) : v & bits_mask(8 * size);
}

static BusResult mmio_read(const BusRegion *r, uint64_t offset, unsigned size, uint64_t *value)
{
    const BusOps *ops = r->ops;
    Rules rules;
    if (!ops->read || !mmio_rules(r, offset, size, &rules))
        return BUS_DENIED;
    if (size < rules.min) {
        uint64_t container = align_down(offset, rules.min);
        uint64_t v = swap_if(rules.swap, ops->read(r->opaque, container, rules.min), rules.min);
        *value = bits_get(v, 8 * (unsigned)(offset - container), 8 * size);
        return BUS_OK;
    }
    unsigned step = MIN(size, rules.max);
    uint64_t v = 0;
    for (unsigned i = 0; i < size; i += step)
        v |= swap_if(rules.swap, ops->read(r->opaque, offset + i, step), step) << (8 * i);
    *value = v;
    return BUS_OK;
}

static BusResult mmio_write(const BusRegion *r, uint64_t offset, unsigned size, uint64_t value)
{
    const BusOps *ops = r->ops;
    Rules rules;
    if (!ops->write || !mmio_rules(r, offset, size, &rules))
        return BUS_DENIED;
    value &= bits_mask(8 * size);
    if (size < rules.min) {
        uint64_t container = align_down(offset, rules.min);
        uint64_t v = value << (8 * (offset - container));
        ops->write(r->opaque, container, swap_if(rules.swap, v, rules.min), rules.min);
        return BUS_OK;
    }
    unsigned step = MIN(size, rules.max);
    for (unsigned i = 0; i < size; i += step)
        ops->write(r->opaque, offset + i, swap_if(rules.swap, value >> (8 * i), step), step);
    return BUS_OK;
}

/* ---- Single accesses ----------------------------------------------------- */

static bool size_ok(unsigned size)
{
    return size == 1 || size == 2 || size == 4 || size == 8;
}

/* An access over the edge of a slice: allowed where every byte is RAM. */
static BusResult all_ram(BusSpace *space, uint64_t addr, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        Hit hit;
        if (!hit_get(space, addr + i, &hit))
            return BUS_UNMAPPED;
        bool ram = hit.region->kind == REGION_RAM;
        hit_put(&hit);
        if (!ram)
            return BUS_DENIED;
    }
    return BUS_OK;
}

BusResult bus_read(BusSpace *space, uint64_t addr, unsigned size, uint64_t *value)
{
    Hit hit;
    *value = 0;
    if (!size_ok(size))
        return BUS_DENIED;
    if (!hit_get(space, addr, &hit))
        return BUS_UNMAPPED;
    BusResult result = BUS_OK;
    if (hit.left < size) {
        result = all_ram(space, addr, size);
        for (unsigned i = 0; i < size && result == BUS_OK; i++) {
            uint64_t byte;
            result = bus_read(space, addr + i, 1, &byte);
            *value |= byte << (8 * i);
        }
        if (result != BUS_OK)
            *value = 0;
    } else if (hit.region->kind == REGION_RAM) {
        *value = ram_load(hit.region->host + hit.offset, size);
    } else {
        result = mmio_read(hit.region, hit.offset, size, value);
    }
    hit_put(&hit);
    return result;
}

BusResult bus_write(BusSpace *space, uint64_t addr, uint64_t value, unsigned size)
{
    Hit hit;
    if (!size_ok(size))
        return BUS_DENIED;
    if (!hit_get(space, addr, &hit))
        return BUS_UNMAPPED;
    BusResult result = BUS_OK;
    if (hit.left < size) {
        result = all_ram(space, addr, size);
        for (unsigned i = 0; i < size && result == BUS_OK; i++)
            result = bus_write(space, addr + i, value >> (8 * i), 1);
    } else if (hit.region->ops) {
        result = mmio_write(hit.region, hit.offset, size, value);
    } else if (!hit.region->rom) {
        ram_store(hit.region->host + hit.offset, value, size);
        ram_touched(space, hit.region, hit.offset, size);
    }
    hit_put(&hit);
    return result;
}

/* ---- DMA ----------------------------------------------------------------- */

/* The largest piece to take at addr from a device, with at most max bytes wanted. */
static unsigned mmio_piece(const Hit *hit, uint64_t addr, uint64_t max)
{
    unsigned limit = hit->region->ops->valid_max ? hit->region->ops->valid_max : 8;
    unsigned n = 8;
    while (n > 1 && (n > limit || n > max || !is_aligned(addr, n) || n > hit->left))
        n /= 2;
    return n;
}

BusResult bus_dma_read(BusSpace *space, uint64_t addr, void *buf, uint64_t len)
{
    uint8_t *p = buf;
    while (len) {
        Hit hit;
        BusResult result = BUS_OK;
        uint64_t n = 0;
        if (!hit_get(space, addr, &hit)) {
            result = BUS_UNMAPPED;
        } else if (hit.region->kind == REGION_RAM) {
            n = MIN(len, hit.left);
            memcpy(p, hit.region->host + hit.offset, n);
        } else {
            uint64_t v;
            n = mmio_piece(&hit, addr, len);
            hit_put(&hit);
            result = bus_read(space, addr, (unsigned)n, &v);
            for (unsigned i = 0; i < n; i++)
                p[i] = (uint8_t)(v >> (8 * i));
        }
        if (result != BUS_OK) {
            memset(p, 0, len);
            return result;
        }
        addr += n;
        p += n;
        len -= n;
    }
    return BUS_OK;
}

/* buf NULL: byte is written throughout. */
static BusResult dma_put(BusSpace *space, uint64_t addr, const uint8_t *buf, uint8_t byte,
                         uint64_t len, bool rom_too)
{
    while (len) {
        Hit hit;
        uint64_t n;
        if (!hit_get(space, addr, &hit))
            return BUS_UNMAPPED;
        if (hit.region->kind == REGION_RAM) {
            n = MIN(len, hit.left);
            if (!hit.region->rom || rom_too) {
                uint8_t *host = hit.region->host + hit.offset;
                if (buf)
                    memcpy(host, buf, n);
                else
                    memset(host, byte, n);
                ram_touched(space, hit.region, hit.offset, n);
            }
        } else {
            uint64_t v = 0;
            n = mmio_piece(&hit, addr, len);
            hit_put(&hit);
            for (unsigned i = 0; i < n; i++)
                v |= (uint64_t)(buf ? buf[i] : byte) << (8 * i);
            BusResult result = bus_write(space, addr, v, (unsigned)n);
            if (result != BUS_OK)
                return result;
        }
        addr += n;
        buf = buf ? buf + n : NULL;
        len -= n;
    }
    return BUS_OK;
}

BusResult bus_dma_write(BusSpace *space, uint64_t addr, const void *buf, uint64_t len)
{
    return dma_put(space, addr, buf, 0, len, false);
}

BusResult bus_dma_fill(BusSpace *space, uint64_t addr, uint8_t byte, uint64_t len)
{
    return dma_put(space, addr, NULL, byte, len, false);
}

BusResult bus_ram_read(BusSpace *space, uint64_t addr, void *buf, uint64_t len)
{
    uint8_t *p = buf;
    while (len) {
        uint64_t n = len;
        const uint8_t *host = bus_dma_map(space, addr, &n, false);
        if (!host) {
            memset(p, 0, len);
            return BUS_DENIED;
        }
        memcpy(p, host, n);
        addr += n;
        p += n;
        len -= n;
    }
    return BUS_OK;
}

BusResult bus_ram_write(BusSpace *space, uint64_t addr, const void *buf, uint64_t len)
{
    const uint8_t *p = buf;
    while (len) {
        uint64_t n = len;
        uint8_t *host = bus_dma_map(space, addr, &n, true);
        if (!host)
            return BUS_DENIED;
        memcpy(host, p, n);
        bus_dma_unmap(space, addr, n);
        addr += n;
        p += n;
        len -= n;
    }
    return BUS_OK;
}

BusResult bus_message(BusSpace *space, uint64_t addr, uint32_t data)
{
    Hit hit;
    if (!hit_get(space, addr, &hit))
        return BUS_UNMAPPED;
    BusResult result = BUS_OK;
    BusRegion *r = hit.region;
    if (hit.left < sizeof data || addr % sizeof data ||
        (r->kind == REGION_RAM ? r->rom : !r->ops->messages)) {
        result = BUS_DENIED;
    } else if (r->kind == REGION_RAM) {
        __atomic_thread_fence(__ATOMIC_RELEASE); /* what was written before is seen before */
        ram_store(r->host + hit.offset, data, sizeof data);
        ram_touched(space, r, hit.offset, sizeof data);
    } else {
        result = mmio_write(r, hit.offset, sizeof data, data);
    }
    hit_put(&hit);
    return result;
}

void *bus_dma_map(BusSpace *space, uint64_t addr, uint64_t *len, bool write)
{
    Hit hit;
    if (*len == 0 || !hit_get(space, addr, &hit))
        return NULL;
    bool usable = hit.region->kind == REGION_RAM && !(write && hit.region->rom);
    hit_put(&hit);
    if (!usable)
        return NULL;
    *len = MIN(*len, hit.left);
    return hit.region->host + hit.offset;
}

void bus_dma_unmap(BusSpace *space, uint64_t addr, uint64_t written)
{
    bus_ram_written(space, addr, written);
}

bool bus_load(BusSpace *space, uint64_t addr, const void *buf, uint64_t len, GError **error)
{
    uint64_t at = addr, rest = len;
    while (rest) {
        Hit hit;
        bool there = hit_get(space, at, &hit);
        bool memory = there && hit.region->kind == REGION_RAM;
        if (there)
            hit_put(&hit);
        if (!memory)
            return fail(error,
                        "%" PRIu64 " bytes for %#" PRIx64 ": there is no memory at %#" PRIx64, len,
                        addr, at);
        uint64_t n = MIN(rest, hit.left);
        at += n;
        rest -= n;
    }
    dma_put(space, addr, buf, 0, len, true);
    return true;
}
