/* SPDX-License-Identifier: MIT */
/*
 * From descriptors to pieces of host memory. Each descriptor counts against VRING_MAX_SIZE, so a
 * chain that bites its own tail ends there; each piece counts against it too, and the bytes of
 * either direction must stay below 2^32 (2.7.4.2 says so of the whole).
 *
 * The driver may change descriptors while they are read: each is copied once, then checked.
 */
#include "vring/vring_priv.h"

#include "base/bytes.h"

void vring_desc_read_split(const uint8_t *p, VringDesc *d)
{
    *d = (VringDesc){ld_le64(p), ld_le32(p + 8), ld_le16(p + 12), ld_le16(p + 14)};
}

void vring_desc_read_packed(const uint8_t *p, VringDesc *d)
{
    *d = (VringDesc){ld_le64(p), ld_le32(p + 8), ld_le16(p + 14), ld_le16(p + 12)};
}

void vring_walk_begin(VringWalk *walk, Vring *ring, VringChain *chain)
{
    *walk = (VringWalk){ring, chain, 0, 0, 0};
    chain->out_bytes = chain->in_bytes = chain->touched = 0;
    chain->range_count = 0;
}

/* One piece of host memory, joined to the one before where it goes on. */
static bool add_piece(VringWalk *walk, uint8_t *host, uint64_t len, bool first_in)
{
    VringChain *chain = walk->chain;
    struct iovec *last = walk->iovs ? &chain->iov[walk->iovs - 1] : NULL;
    if (last && !first_in && (uint8_t *)last->iov_base + last->iov_len == host) {
        last->iov_len += len;
        return true;
    }
    if (walk->iovs == VRING_MAX_SIZE)
        return vring_break(walk->ring, "a chain is in too many pieces");
    if (walk->iovs == chain->iov_room) {
        chain->iov_room = chain->iov_room ? 2 * chain->iov_room : 8;
        chain->iov = g_renew(struct iovec, chain->iov, chain->iov_room);
    }
    chain->iov[walk->iovs++] = (struct iovec){host, len};
    return true;
}

static void add_range(VringChain *chain, uint64_t addr, uint64_t len)
{
    VringRange *last = chain->range_count ? &chain->ranges[chain->range_count - 1] : NULL;
    if (last && last->addr + last->len == addr) {
        last->len += len;
        return;
    }
    if (chain->range_count == chain->range_room) {
        chain->range_room = chain->range_room ? 2 * chain->range_room : 8;
        chain->ranges = g_renew(VringRange, chain->ranges, chain->range_room);
    }
    chain->ranges[chain->range_count++] = (VringRange){addr, len};
}

bool vring_walk_add(VringWalk *walk, const VringDesc *d)
{
    VringChain *chain = walk->chain;
    bool in = d->flags & VRING_DESC_WRITE;
    if (++walk->descs > VRING_MAX_SIZE)
        return vring_break(walk->ring, "a chain is too long, or a loop");
    if (!d->len)
        return vring_break(walk->ring, "a descriptor has no length");
    if (d->addr + (d->len - 1) < d->addr)
        return vring_break(walk->ring, "a descriptor passes the end of memory");
    if (!in && chain->in_bytes)
        return vring_break(walk->ring, "a readable descriptor is behind a writable one");
    uint64_t *bytes = in ? &chain->in_bytes : &chain->out_bytes;
    if (*bytes + d->len > UINT32_MAX)
        return vring_break(walk->ring, "a chain has 4 GiB or more");
    bool first_in = in && !*bytes;
    *bytes += d->len;
    if (in)
        add_range(chain, d->addr, d->len);
    for (uint64_t addr = d->addr, rest = d->len; rest;) {
        uint64_t n = rest;
        uint8_t *host = bus_dma_map(walk->ring->space, addr, &n, in);
        if (!host)
            return vring_break(walk->ring, "a descriptor is not in memory");
        if (!add_piece(walk, host, n, first_in))
            return false;
        if (!in)
            walk->outs = walk->iovs;
        first_in = false;
        addr += n;
        rest -= n;
    }
    return true;
}

/* One descriptor of a table in guest memory, which may be in pieces. */
static bool table_read(VringWalk *walk, uint64_t addr, uint8_t raw[VRING_DESC_SIZE])
{
    for (unsigned done = 0; done < VRING_DESC_SIZE;) {
        uint64_t n = VRING_DESC_SIZE - done;
        const uint8_t *p = bus_dma_map(walk->ring->space, addr + done, &n, false);
        if (!p)
            return vring_break(walk->ring, "an indirect table is not in memory");
        memcpy(raw + done, p, n);
        done += (unsigned)n;
    }
    return true;
}

bool vring_walk_table(VringWalk *walk, const VringDesc *d)
{
    Vring *ring = walk->ring;
    bool packed = ring->config.flags & VRING_PACKED;
    if (!(ring->config.flags & VRING_INDIRECT))
        return vring_break(ring, "an indirect descriptor without the feature");
    if (!d->len || d->len % VRING_DESC_SIZE)
        return vring_break(ring, "the length of an indirect table is wrong");
    if (d->addr + (d->len - 1) < d->addr)
        return vring_break(ring, "an indirect table passes the end of memory");
    uint64_t whole = d->len;
    const uint8_t *host = bus_dma_map(ring->space, d->addr, &whole, false);
    uint32_t count = d->len / VRING_DESC_SIZE;
    for (uint32_t i = 0;;) {
        uint8_t raw[VRING_DESC_SIZE];
        VringDesc e;
        uint64_t offset = (uint64_t)i * VRING_DESC_SIZE;
        if (host && whole == d->len)
            memcpy(raw, host + offset, sizeof raw);
        else if (!table_read(walk, d->addr + offset, raw))
            return false;
        if (packed)
            vring_desc_read_packed(raw, &e);
        else
            vring_desc_read_split(raw, &e);
        if (e.flags & VRING_DESC_INDIRECT)
            return vring_break(ring, "an indirect table in an indirect table");
        if (!vring_walk_add(walk, &e))
            return false;
        /* In a packed ring's table the elements just follow each other (2.8.7). */
        if (packed ? i + 1 == count : !(e.flags & VRING_DESC_NEXT))
            return true;
        i = packed ? i + 1 : e.next;
        if (i >= count)
            return vring_break(ring, "a descriptor's next is out of range");
    }
}

void vring_walk_end(VringWalk *walk)
{
    VringChain *chain = walk->chain;
    chain->out = chain->iov;
    chain->out_count = walk->outs;
    chain->in = chain->iov ? chain->iov + walk->outs : NULL;
    chain->in_count = walk->iovs - walk->outs;
}
