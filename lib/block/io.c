/* SPDX-License-Identifier: MIT */
/*
 * Operations in their blocking form, in a node that is entered: split to what the driver takes,
 * rounded out to its alignment (read-modify-write), copied to buffers that suit it, and with what
 * it lacks made from what it has: zeroes written, FUA by a flush, a read past the end of a child by
 * zeroes.
 *
 * Whoever gets here has serialized writes that are not aligned (request.c), so
 * read-modify-write is alone in its units.
 */
#include "block/block_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    BOUNCE = 1 << 20,    /* longest buffer for unaligned I/O */
    ZEROES = 256 << 10,  /* written at once where there is no quick way */
};
#define NODE_SLICE 64    /* vectors on the stack */

/* ---- vectors ------------------------------------------------------------- */

bool block_iov_is_zero(const struct iovec *iov, int iovcnt)
{
    for (int i = 0; i < iovcnt; i++) {
        const uint8_t *p = iov[i].iov_base;
        size_t n = iov[i].iov_len;
        size_t head = MIN(n, 16);
        for (size_t k = 0; k < head; k++)
            if (p[k])
                return false;
        /* each byte equals the one 16 before it */
        if (n > 16 && memcmp(p, p + 16, n - 16))
            return false;
    }
    return true;
}

void block_iov_zero(const struct iovec *iov, int iovcnt, uint64_t from)
{
    for (int i = 0; i < iovcnt; i++) {
        size_t skip = MIN(from, iov[i].iov_len);
        memset((uint8_t *)iov[i].iov_base + skip, 0, iov[i].iov_len - skip);
        from -= skip;
    }
}

/* Part of a vector: bytes from skip on. Uses small[] when that is enough. */
typedef struct {
    struct iovec small[NODE_SLICE], *iov, *large;
    int count;
} Slice;

static void slice_make(Slice *s, const struct iovec *iov, int iovcnt, uint64_t skip, uint64_t bytes)
{
    s->large = iovcnt > NODE_SLICE ? g_new(struct iovec, iovcnt) : NULL;
    s->iov = s->large ? s->large : s->small;
    s->count = 0;
    for (int i = 0; i < iovcnt && bytes; i++) {
        uint64_t n = iov[i].iov_len;
        if (skip >= n) {
            skip -= n;
            continue;
        }
        n = MIN(n - skip, bytes);
        s->iov[s->count++] = (struct iovec){ (uint8_t *)iov[i].iov_base + skip, n };
        skip = 0;
        bytes -= n;
    }
}

static void slice_clear(Slice *s)
{
    g_free(s->large);
}

static void copy(const struct iovec *iov, int iovcnt, uint64_t skip, uint8_t *flat, uint64_t bytes,
                 bool out)
{
    Slice s;
    slice_make(&s, iov, iovcnt, skip, bytes);
    for (int i = 0; i < s.count; i++) {
        if (out)
            memcpy(s.iov[i].iov_base, flat, s.iov[i].iov_len);
        else
            memcpy(flat, s.iov[i].iov_base, s.iov[i].iov_len);
        flat += s.iov[i].iov_len;
    }
    slice_clear(&s);
}

static bool iov_aligned(const BlockLimits *l, const struct iovec *iov, int iovcnt)
{
    if (l->mem_align > 1) {
        for (int i = 0; i < iovcnt; i++)
            if (((uintptr_t)iov[i].iov_base | iov[i].iov_len) & (l->mem_align - 1))
                return false;
    }
    return true;
}

bool block_node_fits(const BlockNode *node, BlockOp op, uint64_t offset, uint64_t bytes,
                     const struct iovec *iov, int iovcnt)
{
    const BlockLimits *l = &node->limits;

    switch (op) {
    case BLOCK_READ:
    case BLOCK_WRITE:
        return !((offset | bytes) & (l->align - 1)) && bytes <= l->max_transfer &&
               iovcnt <= IOV_MAX && (op == BLOCK_WRITE || offset + bytes <= node_size(node)) &&
               iov_aligned(l, iov, iovcnt);
    case BLOCK_ZERO:
        return !((offset | bytes) & (l->zero_align - 1)) && bytes <= l->max_effect;
    case BLOCK_DISCARD:
        return !((offset | bytes) & (l->discard_align - 1)) && bytes <= l->max_effect;
    case BLOCK_FLUSH:
        return !node->children->len;
    }
    return false;
}

/* ---- one piece the driver takes as it is --------------------------------- */

static int driver_rw(BlockNode *node, bool write, uint64_t offset, uint64_t bytes,
                     const struct iovec *iov, int iovcnt, unsigned how)
{
    const BlockDriver *d = node->driver;

    if (how & BLOCK_COMPRESS)
        return d->write_compressed ? d->write_compressed(node, offset, bytes, iov, iovcnt)
                                   : -ENOTSUP;
    if (!write && d->read)
        return d->read(node, offset, bytes, iov, iovcnt);
    if (write && d->write) {
        unsigned flags = how & (BLOCK_PADDED | (node->limits.fua ? BLOCK_FUA : 0));
        return d->write(node, offset, bytes, iov, iovcnt, flags);
    }
    if (d->submit)
        return block_driver_submit_wait(node, write ? BLOCK_WRITE : BLOCK_READ, offset, bytes, iov,
                                        iovcnt, how);
    return -ENOTSUP;
}

/* Aligned as the driver wants it, and not longer than it takes; map is asked again for each
 * part. */
static int piece_rw(BlockNode *node, bool write, uint64_t offset, uint64_t bytes,
                    const struct iovec *iov, int iovcnt, unsigned how)
{
    const BlockDriver *d = node->driver;
    uint64_t done = 0;

    while (done < bytes) {
        BlockMap map = { .bytes = bytes - done };
        Slice s;
        int r;
        bool mapped =
            d->map && !(how & BLOCK_COMPRESS) &&
            d->map(node, write ? BLOCK_WRITE : BLOCK_READ, offset + done, bytes - done, &map);
        uint64_t n = mapped ? MIN(map.bytes, bytes - done) : bytes - done;

        if (!done && n == bytes) {
            s = (Slice){ .iov = (struct iovec *)iov, .count = iovcnt };
        } else {
            slice_make(&s, iov, iovcnt, done, n);
        }
        if (!mapped) {
            r = driver_rw(node, write, offset + done, n, s.iov, s.count, how);
        } else if (map.child) {
            r = block_run(map.child, write ? BLOCK_WRITE : BLOCK_READ, how & BLOCK_FUA, map.offset,
                          n, s.iov, s.count);
        } else {
            block_iov_zero(s.iov, s.count, 0);
            r = 0;
        }
        if (s.large)
            slice_clear(&s);
        if (r)
            return r;
        done += n;
    }
    return 0;
}

/* ---- read and write ------------------------------------------------------ */

static void *buffer_new(const BlockLimits *l, size_t bytes)
{
    void *p = NULL;
    return posix_memalign(&p, MAX(l->mem_align, 4096), bytes) ? NULL : p;
}

/* Reads a whole unit into the buffer of a read-modify-write; past the end there are zeroes. */
static int read_unit(BlockNode *node, uint64_t offset, uint8_t *buf, uint64_t bytes)
{
    uint64_t size = node_size(node);

    if (offset >= size) {
        memset(buf, 0, bytes);
        return 0;
    }
    return piece_rw(node, false, offset, bytes, &(struct iovec){ buf, bytes }, 1, 0);
}

/* Through a buffer of our own: rounded out to the alignment, [offset, offset + bytes) copied. */
static int bounce_rw(BlockNode *node, bool write, uint64_t offset, uint64_t bytes,
                     const struct iovec *iov, int iovcnt, unsigned how)
{
    const BlockLimits *l = &node->limits;
    uint64_t mask = l->align - 1, most = MAX(MIN(l->max_transfer, BOUNCE), l->align);
    uint64_t want = ((offset + bytes + mask) & ~mask) - (offset & ~mask);
    uint8_t *buf = buffer_new(l, MIN(want, most));
    int r = buf ? 0 : -ENOMEM;

    for (uint64_t done = 0; !r && done < bytes;) {
        uint64_t at = offset + done, start = at & ~mask;
        uint64_t n = MIN(bytes - done, most - (at - start));
        uint64_t end = (at + n + mask) & ~mask, len = end - start;
        struct iovec flat = { buf, len };
        unsigned flags = how;

        if (!write) {
            r = piece_rw(node, false, start, len, &flat, 1, how);
            if (!r)
                copy(iov, iovcnt, done, buf + (at - start), n, true);
            done += n;
            continue;
        }
        if (start < at)
            r = read_unit(node, start, buf, mask + 1);
        if (!r && end > at + n && (start == at || end - mask - 1 > start))
            r = read_unit(node, end - mask - 1, buf + len - mask - 1, mask + 1);
        if (r)
            break;
        copy(iov, iovcnt, done, buf + (at - start), n, false);
        if (end > node_size(node) && at + n <= node_size(node))
            flags |= BLOCK_PADDED;
        r = piece_rw(node, true, start, len, &flat, 1, flags);
        done += n;
    }
    free(buf);
    return r;
}

static int node_rw(BlockNode *node, bool write, uint64_t offset, uint64_t bytes,
                   const struct iovec *iov, int iovcnt, unsigned how)
{
    const BlockLimits *l = &node->limits;

    if (((offset | bytes) & (l->align - 1)) || !iov_aligned(l, iov, iovcnt))
        return bounce_rw(node, write, offset, bytes, iov, iovcnt, how);
    if (bytes <= l->max_transfer && iovcnt <= IOV_MAX)
        return piece_rw(node, write, offset, bytes, iov, iovcnt, how);

    uint64_t most = l->max_transfer;
    if (iovcnt > IOV_MAX)
        return bounce_rw(node, write, offset, bytes, iov, iovcnt, how);
    for (uint64_t done = 0; done < bytes;) {
        uint64_t n = MIN(bytes - done, most);
        Slice s;
        slice_make(&s, iov, iovcnt, done, n);
        int r = piece_rw(node, write, offset + done, n, s.iov, s.count, how);
        slice_clear(&s);
        if (r)
            return r;
        done += n;
    }
    return 0;
}

static int node_read(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov,
                     int iovcnt, unsigned how)
{
    uint64_t size = node_size(node), n = offset >= size ? 0 : MIN(bytes, size - offset);

    if (n == bytes)
        return node_rw(node, false, offset, bytes, iov, iovcnt, how);
    /* past the end of a child */
    if (n) {
        Slice s;
        slice_make(&s, iov, iovcnt, 0, n);
        int r = node_rw(node, false, offset, n, s.iov, s.count, how);
        slice_clear(&s);
        if (r)
            return r;
    }
    block_iov_zero(iov, iovcnt, n);
    return 0;
}

/* ---- flush --------------------------------------------------------------- */

static int node_flush(BlockNode *node)
{
    int r = node->driver->flush ? node->driver->flush(node) : 0;

    if (!r && !node->driver->flush && !node->driver->read && !node->driver->write &&
        node->driver->submit && !node->children->len)
        r = block_driver_submit_wait(node, BLOCK_FLUSH, 0, 0, NULL, 0, 0);
    if (node->driver->flushes_children)
        return r;
    for (unsigned i = 0; i < node->children->len; i++) {
        BlockUser *child = node->children->pdata[i];
        if (!child || (child->slot->role == BLOCK_CHILD_BACKING) ||
            block_node_read_only(user_node(child)))
            continue;
        int c = block_flush(child);
        if (!r)
            r = c;
    }
    return r;
}

/* FUA for what had none. */
static int settle(BlockNode *node, int r, unsigned how)
{
    return r || !(how & BLOCK_FUA) ? r : node_flush(node);
}

static int node_write(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov,
                      int iovcnt, unsigned how)
{
    if (node->detect_zeroes && !(how & BLOCK_COMPRESS) && block_iov_is_zero(iov, iovcnt)) {
        unsigned flags = how & BLOCK_FUA;
        if (node->detect_zeroes == DETECT_ZEROES_UNMAP && (node->flags & BLOCK_OPEN_UNMAP))
            flags |= BLOCK_MAY_UNMAP;
        return block_node_io(node, BLOCK_ZERO, offset, bytes, NULL, 0, flags);
    }
    int r = node_rw(node, true, offset, bytes, iov, iovcnt, how);
    /* map passes FUA on to the child, but parts may have gone through write */
    bool exact = node->limits.fua && !(how & BLOCK_COMPRESS);
    return exact ? r : settle(node, r, how);
}

/* ---- zero and discard ---------------------------------------------------- */

static int write_zeroes(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    uint8_t *buf = buffer_new(&node->limits, MIN(bytes, ZEROES));
    int r = buf ? 0 : -ENOMEM;

    if (buf)
        memset(buf, 0, MIN(bytes, ZEROES));
    while (!r && bytes) {
        uint64_t n = MIN(bytes, ZEROES);
        r = node_rw(node, true, offset, n, &(struct iovec){ buf, n }, 1, 0);
        offset += n;
        bytes -= n;
    }
    free(buf);
    return r;
}

/* One piece within the driver's limits; *flush when FUA is not in it. */
static int zero_piece(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned how, bool *flush)
{
    const BlockDriver *d = node->driver;
    uint64_t mask = node->limits.zero_align - 1;
    int r = -ENOTSUP;

    if ((d->zero || (d->submit && !d->write)) && !((offset | bytes) & mask)) {
        unsigned flags = how & (BLOCK_MAY_UNMAP | BLOCK_NO_FALLBACK |
                                (node->limits.fua ? BLOCK_FUA : 0));
        r = d->zero ? d->zero(node, offset, bytes, flags)
                    : block_driver_submit_wait(node, BLOCK_ZERO, offset, bytes, NULL, 0, flags);
        if (r != -ENOTSUP) {
            *flush |= !node->limits.fua;
            return r;
        }
    }
    if (how & BLOCK_NO_FALLBACK)
        return -ENOTSUP;
    *flush = true;
    return write_zeroes(node, offset, bytes);
}

static int node_zero(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned how)
{
    const BlockDriver *d = node->driver;
    const BlockLimits *l = &node->limits;
    uint64_t mask = l->zero_align - 1;
    bool flush = false;
    int r = 0;

    while (!r && bytes) {
        BlockMap map;
        uint64_t n = MIN(bytes, l->max_effect & ~mask);
        if (d->map && d->map(node, BLOCK_ZERO, offset, n, &map)) {
            n = MIN(n, map.bytes);
            r = block_run(map.child, BLOCK_ZERO,
                          how & (BLOCK_FUA | BLOCK_MAY_UNMAP | BLOCK_NO_FALLBACK), map.offset, n,
                          NULL, 0);
        } else {
            /* the ragged ends by themselves */
            if (offset & mask)
                n = MIN(n, mask + 1 - (offset & mask));
            else if (n > mask)
                n &= ~mask;
            r = zero_piece(node, offset, n, how, &flush);
        }
        offset += n;
        bytes -= n;
    }
    return flush ? settle(node, r, how) : r;
}

static int node_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    const BlockDriver *d = node->driver;
    const BlockLimits *l = &node->limits;
    uint64_t mask = l->discard_align - 1, end = MIN(offset + bytes, node_size(node));
    int r = 0;

    /* the tail of the image counts as a whole unit */
    if (end < node_size(node))
        end &= ~mask;
    offset = (offset + mask) & ~mask;
    while (!r && offset < end) {
        BlockMap map;
        uint64_t n = MIN(end - offset, l->max_effect);
        if (d->map && d->map(node, BLOCK_DISCARD, offset, n, &map)) {
            n = MIN(n, map.bytes);
            r = block_run(map.child, BLOCK_DISCARD, 0, map.offset, n, NULL, 0);
        } else if (d->discard) {
            r = d->discard(node, offset, n);
        } else if (d->submit && !d->write) {
            r = block_driver_submit_wait(node, BLOCK_DISCARD, offset, n, NULL, 0, 0);
        }
        if (r == -ENOTSUP)
            return 0;
        offset += n;
    }
    return r;
}

int block_node_io(BlockNode *node, BlockOp op, uint64_t offset, uint64_t bytes,
                  const struct iovec *iov, int iovcnt, unsigned how)
{
    switch (op) {
    case BLOCK_READ:
        return node_read(node, offset, bytes, iov, iovcnt, how);
    case BLOCK_WRITE:
        return node_write(node, offset, bytes, iov, iovcnt, how);
    case BLOCK_ZERO:
        return node_zero(node, offset, bytes, how);
    case BLOCK_DISCARD:
        return node_discard(node, offset, bytes);
    case BLOCK_FLUSH:
        return node_flush(node);
    }
    return -EINVAL;
}

/* ---- the public blocking calls ------------------------------------------- */

int block_read(BlockUser *user, uint64_t offset, void *buf, uint64_t bytes)
{
    struct iovec iov = { buf, bytes };
    return block_run(user, BLOCK_READ, 0, offset, bytes, &iov, 1);
}

int block_write(BlockUser *user, uint64_t offset, const void *buf, uint64_t bytes, unsigned flags)
{
    struct iovec iov = { (void *)buf, bytes };
    return block_run(user, BLOCK_WRITE, flags, offset, bytes, &iov, 1);
}

static uint64_t iov_bytes(const struct iovec *iov, int iovcnt)
{
    uint64_t n = 0;
    for (int i = 0; i < iovcnt; i++)
        n += iov[i].iov_len;
    return n;
}

int block_readv(BlockUser *user, uint64_t offset, const struct iovec *iov, int iovcnt)
{
    return block_run(user, BLOCK_READ, 0, offset, iov_bytes(iov, iovcnt), iov, iovcnt);
}

int block_writev(BlockUser *user, uint64_t offset, const struct iovec *iov, int iovcnt,
                 unsigned flags)
{
    return block_run(user, BLOCK_WRITE, flags, offset, iov_bytes(iov, iovcnt), iov, iovcnt);
}

int block_zero(BlockUser *user, uint64_t offset, uint64_t bytes, unsigned flags)
{
    return block_run(user, BLOCK_ZERO, flags, offset, bytes, NULL, 0);
}

int block_discard(BlockUser *user, uint64_t offset, uint64_t bytes)
{
    return block_run(user, BLOCK_DISCARD, 0, offset, bytes, NULL, 0);
}

int block_flush(BlockUser *user)
{
    return block_run(user, BLOCK_FLUSH, 0, 0, 0, NULL, 0);
}

int block_write_packed(BlockUser *user, uint64_t offset, uint64_t bytes, const void *packed, size_t len)
{
    BlockNode *node = block_user_enter(user);
    int r = node->driver->write_packed ? 0 : -ENOTSUP;

    if (!r && (node->flags & BLOCK_OPEN_READ_ONLY || !(user->perm & BLOCK_PERM_WRITE)))
        r = -EPERM;
    if (!r && (offset > node_size(node) || bytes > node_size(node) - offset))
        r = -EINVAL;
    if (!r)
        r = node->driver->write_packed(node, offset, packed, len);
    if (!r && node->bitmaps->len)
        block_bitmaps_note(node, offset, bytes);
    block_gate_leave(&node->gate);
    return r;
}
