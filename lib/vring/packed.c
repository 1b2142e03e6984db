/* SPDX-License-Identifier: MIT */
/*
 * Packed rings (Virtio 1.2, 2.8): one ring of descriptors, { addr le64, len le32, id le16, flags
 * le16 }, which the device overwrites as it uses them, and two event suppression areas, { off_wrap
 * le16, flags le16 }: the driver's, read here, and the device's, written here.
 */
#include "vring/vring_priv.h"

#include "base/bytes.h"

enum {
    EVENT_ENABLE = 0,
    EVENT_DISABLE = 1,
    EVENT_DESC = 2, /* at off_wrap; only with VIRTIO_F_EVENT_IDX */
    EVENT_WRAP = 1 << 15,
};

static uint8_t *desc_at(const Vring *ring, unsigned i)
{
    return ring->desc + (size_t)VRING_DESC_SIZE * i;
}

static bool available(const Vring *ring, unsigned i, bool wrap)
{
    uint16_t flags = vring_load16(desc_at(ring, i) + 14);
    return !!(flags & VRING_DESC_AVAIL) == wrap && !!(flags & VRING_DESC_USED) != wrap;
}

/* i and its wrap counter, by descriptors further. */
static void advance(const Vring *ring, uint16_t *i, uint8_t *wrap, unsigned by)
{
    unsigned next = *i + by;
    if (next >= ring->config.size) {
        next -= ring->config.size;
        *wrap = !*wrap;
    }
    *i = (uint16_t)next;
}

VringResult vring_packed_pop(Vring *ring, VringChain *chain)
{
    uint16_t i = ring->at.avail;
    uint8_t wrap = ring->at.avail_wrap;
    if (!available(ring, i, wrap))
        return VRING_EMPTY;
    VringWalk walk;
    VringDesc d;
    unsigned count = 0;
    vring_walk_begin(&walk, ring, chain);
    do {
        /* The driver makes the first of a chain available last: the others are there. */
        if (ring->in_flight + ++count > ring->config.size) {
            vring_break(ring, "a chain is longer than the ring");
            return VRING_BROKEN;
        }
        uint8_t raw[VRING_DESC_SIZE];
        memcpy(raw, desc_at(ring, i), sizeof raw);
        vring_desc_read_packed(raw, &d);
        bool table = d.flags & VRING_DESC_INDIRECT;
        if (table && (count > 1 || d.flags & VRING_DESC_NEXT))
            vring_break(ring, "a descriptor beside an indirect table");
        if (ring->broken || !(table ? vring_walk_table(&walk, &d) : vring_walk_add(&walk, &d)))
            return VRING_BROKEN;
        advance(ring, &i, &wrap, 1);
    } while (d.flags & VRING_DESC_NEXT);
    vring_walk_end(&walk);
    chain->id = d.next; /* the last one's */
    chain->count = (uint16_t)count;
    ring->at.avail = i;
    ring->at.avail_wrap = wrap;
    return VRING_GOT;
}

VringResult vring_packed_take(Vring *ring, const uint8_t *raw, unsigned count, VringChain *chain)
{
    VringWalk walk;
    VringDesc d = { 0 };
    vring_walk_begin(&walk, ring, chain);
    for (unsigned i = 0; i < count; i++) {
        vring_desc_read_packed(raw + (size_t)VRING_DESC_SIZE * i, &d);
        bool table = d.flags & VRING_DESC_INDIRECT;
        if (table && count > 1)
            vring_break(ring, "a descriptor beside an indirect table");
        if (ring->broken || !(table ? vring_walk_table(&walk, &d) : vring_walk_add(&walk, &d)))
            return VRING_BROKEN;
    }
    vring_walk_end(&walk);
    chain->id = d.next;
    chain->count = (uint16_t)count;
    return VRING_GOT;
}

void vring_packed_unpop(Vring *ring, const VringChain *chain)
{
    unsigned back = chain->count;
    if (back > ring->at.avail) {
        ring->at.avail = (uint16_t)(ring->at.avail + ring->config.size);
        ring->at.avail_wrap = !ring->at.avail_wrap;
    }
    ring->at.avail = (uint16_t)(ring->at.avail - back);
}

void vring_packed_push(Vring *ring, const VringChain *chains, const uint32_t *written,
                       unsigned count)
{
    uint8_t *first = desc_at(ring, ring->at.used);
    uint16_t first_flags = 0;
    for (unsigned i = 0; i < count; i++) {
        uint8_t *p = desc_at(ring, ring->at.used);
        uint16_t flags = ring->at.used_wrap ? VRING_DESC_AVAIL | VRING_DESC_USED : 0;
        if (written[i])
            flags |= VRING_DESC_WRITE;
        st_le32(p + 8, written[i]);
        st_le16(p + 12, chains[i].id);
        /* The driver looks at the others once it has seen the first. */
        if (i)
            vring_store16(p + 14, flags);
        else
            first_flags = flags;
        bus_dma_unmap(ring->space, ring->config.desc + (uint64_t)VRING_DESC_SIZE * ring->at.used,
                      VRING_DESC_SIZE);
        advance(ring, &ring->at.used, &ring->at.used_wrap, chains[i].count);
        ring->pending += chains[i].count;
    }
    vring_store16(first + 14, first_flags);
}

bool vring_packed_flush(Vring *ring)
{
    uint16_t used = ring->pending;
    if (!used)
        return false;
    ring->pending = 0;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    uint16_t flags = vring_load16(ring->driver + 2) & 3;
    if (flags == EVENT_DISABLE)
        return false;
    if (flags != EVENT_DESC || !(ring->config.flags & VRING_EVENT_IDX))
        return true;
    /* Positions count on over the wrap, as if the event were in this lap or the one before. */
    uint16_t word = vring_load16(ring->driver);
    int now = ring->at.used, event = word & (EVENT_WRAP - 1);
    if (!!(word & EVENT_WRAP) != ring->at.used_wrap)
        event -= ring->config.size;
    return vring_passed((uint16_t)event, (uint16_t)now, (uint16_t)(now - used));
}

bool vring_packed_notify(Vring *ring, bool on)
{
    if (!on) {
        vring_store16(ring->device + 2, EVENT_DISABLE);
    } else if (ring->config.flags & VRING_EVENT_IDX) {
        vring_store16(ring->device,
                (uint16_t)(ring->at.avail | (ring->at.avail_wrap ? EVENT_WRAP : 0)));
        vring_store16(ring->device + 2, EVENT_DESC);
    } else {
        vring_store16(ring->device + 2, EVENT_ENABLE);
    }
    bus_dma_unmap(ring->space, ring->config.device, 4);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return on && available(ring, ring->at.avail, ring->at.avail_wrap);
}
