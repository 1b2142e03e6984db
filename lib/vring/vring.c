/* SPDX-License-Identifier: MIT */
/* Starting a ring, and what both kinds share; chains as their users handle them. */
#include "vring/vring_priv.h"

#include "base/bits.h"

#include <string.h>

bool vring_break(Vring *ring, const char *why)
{
    if (!ring->broken)
        ring->broken = why;
    return false;
}

/* ---- Rings --------------------------------------------------------------- */

static uint8_t *map(Vring *ring, uint64_t addr, uint64_t len, uint64_t align, bool write)
{
    uint64_t got = len;
    if (!is_aligned(addr, align)) {
        vring_break(ring, "a ring is not aligned");
        return NULL;
    }
    uint8_t *p = bus_dma_map(ring->space, addr, &got, write);
    if (!p || got < len) {
        vring_break(ring, "a ring is not in memory");
        return NULL;
    }
    return p;
}

bool vring_start(Vring *ring, BusSpace *space, const VringConfig *config, const VringIndex *index)
{
    static const VringIndex fresh = {0, 0, 1, 1};
    *ring = (Vring){.space = space, .config = *config, .at = index ? *index : fresh};
    bool packed = config->flags & VRING_PACKED;
    unsigned n = config->size;
    if (!n || n > VRING_MAX_SIZE || (!packed && (n & (n - 1))))
        return vring_break(ring, "the size of a ring is out of range");
    if (packed && (ring->at.avail >= n || ring->at.used >= n))
        return vring_break(ring, "an index is out of range");
    /* The event word at the end of each split ring is there only if it was agreed on. */
    uint64_t event = config->flags & VRING_EVENT_IDX ? 2 : 0;
    uint64_t driver = packed ? 4 : 4 + 2 * n + event, device = packed ? 4 : 4 + 8 * n + event;
    ring->desc = map(ring, config->desc, (uint64_t)VRING_DESC_SIZE * n, 16, packed);
    ring->driver = ring->desc ? map(ring, config->driver, driver, packed ? 4 : 2, false) : NULL;
    ring->device = ring->driver ? map(ring, config->device, device, 4, true) : NULL;
    ring->running = ring->device != NULL;
    return ring->running;
}

void vring_stop(Vring *ring)
{
    ring->running = false;
    ring->desc = ring->driver = ring->device = NULL;
}

static VringResult count_in(Vring *ring, const VringChain *chain, VringResult result)
{
    if (result == VRING_GOT)
        ring->in_flight += chain->count;
    return result;
}

VringResult vring_pop(Vring *ring, VringChain *chain)
{
    if (ring->broken)
        return VRING_BROKEN;
    if (!ring->running)
        return VRING_EMPTY;
    return count_in(ring, chain, ring->config.flags & VRING_PACKED ? vring_packed_pop(ring, chain)
                                                                   : vring_split_pop(ring, chain));
}

VringResult vring_pop_head(Vring *ring, uint16_t head, VringChain *chain)
{
    if (ring->broken || !ring->running)
        return ring->broken ? VRING_BROKEN : VRING_EMPTY;
    return count_in(ring, chain, vring_split_take(ring, head, chain));
}

VringResult vring_pop_descs(Vring *ring, const uint8_t *raw, unsigned count, VringChain *chain)
{
    if (ring->broken || !ring->running)
        return ring->broken ? VRING_BROKEN : VRING_EMPTY;
    return count_in(ring, chain, vring_packed_take(ring, raw, count, chain));
}

void vring_desc(const Vring *ring, unsigned index, uint8_t raw[VRING_DESC_SIZE])
{
    if (ring->running && index < ring->config.size)
        memcpy(raw, ring->desc + (size_t)VRING_DESC_SIZE * index, VRING_DESC_SIZE);
    else
        memset(raw, 0, VRING_DESC_SIZE);
}

void vring_push_all(Vring *ring, VringChain *chains, const uint32_t *written, unsigned count)
{
    if (!ring->running || !count)
        return;
    for (unsigned i = 0; i < count; i++) {
        vring_chain_mark(ring, &chains[i], written[i]);
        ring->in_flight -= MIN(ring->in_flight, chains[i].count);
    }
    if (ring->config.flags & VRING_PACKED)
        vring_packed_push(ring, chains, written, count);
    else
        vring_split_push(ring, chains, written, count);
}

void vring_push(Vring *ring, VringChain *chain, uint32_t written)
{
    vring_push_all(ring, chain, &written, 1);
}

void vring_unpop(Vring *ring, const VringChain *chain)
{
    if (!ring->running)
        return;
    ring->in_flight -= MIN(ring->in_flight, chain->count);
    if (ring->config.flags & VRING_PACKED)
        vring_packed_unpop(ring, chain);
    else
        vring_split_unpop(ring, chain);
}

bool vring_flush(Vring *ring)
{
    if (!ring->running)
        return false;
    return ring->config.flags & VRING_PACKED ? vring_packed_flush(ring) : vring_split_flush(ring);
}

bool vring_notify(Vring *ring, bool on)
{
    if (!ring->running || ring->broken)
        return false;
    return ring->config.flags & VRING_PACKED ? vring_packed_notify(ring, on)
                                             : vring_split_notify(ring, on);
}

/* ---- Chains -------------------------------------------------------------- */

void vring_chain_mark(const Vring *ring, const VringChain *chain, uint32_t written)
{
    uint64_t rest = MAX(written, chain->touched);
    for (unsigned i = 0; i < chain->range_count && rest; i++) {
        uint64_t n = MIN(rest, chain->ranges[i].len);
        bus_dma_unmap(ring->space, chain->ranges[i].addr, n);
        rest -= n;
    }
}

bool vring_chain_take(VringChain *chain, void *buf, size_t len)
{
    if (chain->out_bytes < len)
        return false;
    uint8_t *to = buf;
    chain->out_bytes -= len;
    while (len) {
        struct iovec *v = chain->out;
        size_t n = MIN(len, v->iov_len);
        memcpy(to, v->iov_base, n);
        to += n;
        len -= n;
        v->iov_base = (uint8_t *)v->iov_base + n;
        v->iov_len -= n;
        if (!v->iov_len) {
            chain->out++;
            chain->out_count--;
        }
    }
    return true;
}

uint8_t *vring_chain_take_last(VringChain *chain)
{
    if (!chain->in_count)
        return NULL;
    struct iovec *v = &chain->in[chain->in_count - 1];
    v->iov_len--;
    chain->in_bytes--;
    uint8_t *last = (uint8_t *)v->iov_base + v->iov_len;
    if (!v->iov_len)
        chain->in_count--;
    return last;
}

size_t vring_chain_fill(const VringChain *chain, uint64_t offset, const void *buf, size_t len)
{
    const uint8_t *from = buf;
    size_t done = 0;
    for (unsigned i = 0; i < chain->in_count && done < len; i++) {
        const struct iovec *v = &chain->in[i];
        if (offset >= v->iov_len) {
            offset -= v->iov_len;
            continue;
        }
        size_t n = MIN(len - done, v->iov_len - offset);
        memcpy((uint8_t *)v->iov_base + offset, from + done, n);
        done += n;
        offset = 0;
    }
    return done;
}

void vring_chain_clear(VringChain *chain)
{
    g_free(chain->iov);
    g_free(chain->ranges);
    *chain = (VringChain){0};
}
