/* SPDX-License-Identifier: MIT */
/*
 * Split rings (Virtio 1.2, 2.7): a descriptor table, the available ring
 *   flags le16, idx le16, ring le16[size], used_event le16
 * and the used ring
 *   flags le16, idx le16, { id le32, len le32 }[size], avail_event le16.
 */
#include "vring/vring_priv.h"

#include "base/bytes.h"

enum {
    AVAIL_NO_INTERRUPT = 1,
    USED_NO_NOTIFY = 1,
};

VringResult vring_split_take(Vring *ring, uint16_t head, VringChain *chain)
{
    uint16_t size = ring->config.size;
    VringWalk walk;
    VringDesc d;
    vring_walk_begin(&walk, ring, chain);
    for (uint16_t i = head;; i = d.next) {
        if (i >= size) {
            vring_break(ring, "a descriptor's index is out of range");
            return VRING_BROKEN;
        }
        uint8_t raw[VRING_DESC_SIZE];
        memcpy(raw, ring->desc + (size_t)VRING_DESC_SIZE * i, sizeof raw);
        vring_desc_read_split(raw, &d);
        bool table = d.flags & VRING_DESC_INDIRECT;
        if (table && d.flags & VRING_DESC_NEXT)
            vring_break(ring, "a descriptor behind an indirect table");
        if (ring->broken || !(table ? vring_walk_table(&walk, &d) : vring_walk_add(&walk, &d)))
            return VRING_BROKEN;
        if (table || !(d.flags & VRING_DESC_NEXT))
            break;
        if (walk.descs >= size) {
            vring_break(ring, "a chain is longer than the ring, or a loop");
            return VRING_BROKEN;
        }
    }
    vring_walk_end(&walk);
    chain->id = head;
    chain->count = 1;
    return VRING_GOT;
}

VringResult vring_split_pop(Vring *ring, VringChain *chain)
{
    uint16_t size = ring->config.size;
    uint16_t ready = (uint16_t)(vring_load16(ring->driver + 2) - ring->at.avail);
    if (!ready)
        return VRING_EMPTY;
    if (ready > size || ring->in_flight >= size) {
        vring_break(ring, "more buffers are available than the ring has");
        return VRING_BROKEN;
    }
    unsigned slot = ring->at.avail & (size - 1u);
    VringResult result = vring_split_take(ring, ld_le16(ring->driver + 4 + 2 * slot), chain);
    ring->at.avail += result == VRING_GOT;
    return result;
}

void vring_split_unpop(Vring *ring, const VringChain *chain)
{
    ring->at.avail--;
}

void vring_split_push(Vring *ring, const VringChain *chains, const uint32_t *written,
                      unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint8_t *p = ring->device + 4 + 8 * (ring->at.used & (ring->config.size - 1u));
        st_le32(p, chains[i].id);
        st_le32(p + 4, written[i]);
        ring->at.used++;
        ring->dirty_count++;
    }
    vring_store16(ring->device + 2, ring->at.used);
}

bool vring_split_flush(Vring *ring)
{
    if (!ring->dirty_count)
        return false;
    ring->dirty_count = 0;
    /* The whole ring is a few pages at most, and most of it is marked already. */
    bus_dma_unmap(ring->space, ring->config.device, 4 + 8 * (uint64_t)ring->config.size);
    /* What was pushed must be seen before it is asked whether the driver wants to know. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!(ring->config.flags & VRING_EVENT_IDX))
        return !(vring_load16(ring->driver) & AVAIL_NO_INTERRUPT);
    uint16_t event = vring_load16(ring->driver + 4 + 2 * ring->config.size);
    bool wanted = !ring->signalled_valid || vring_passed(event, ring->at.used, ring->signalled);
    ring->signalled = ring->at.used;
    ring->signalled_valid = true;
    return wanted;
}

bool vring_split_notify(Vring *ring, bool on)
{
    uint64_t offset = 0;
    if (ring->config.flags & VRING_EVENT_IDX) {
        if (!on)
            return false; /* an event index that has been passed stays quiet */
        offset = 4 + 8 * (uint64_t)ring->config.size;
        vring_store16(ring->device + offset, ring->at.avail);
    } else {
        vring_store16(ring->device, on ? 0 : USED_NO_NOTIFY);
    }
    bus_dma_unmap(ring->space, ring->config.device + offset, 2);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return on && vring_load16(ring->driver + 2) != ring->at.avail;
}
