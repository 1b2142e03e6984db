/* SPDX-License-Identifier: MIT */
/*
 * Data in and out. What lies in one piece in a file goes there without this driver's knowing (map);
 * here is the rest: tables that must be read first, compressed clusters, and writes that need room.
 *
 * A write that needs room: find or count clusters (lock), fill them with the data and around it
 * with what was there before (no lock, a Flight keeps others off), then let the tables point there
 * (lock). Whatever fails in between leaves the tables as they were.
 */
#include "block/drivers/qcow2/qcow2_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- vectors ------------------------------------------------------------- */

/* Bytes of iov from skip on into list, at most bytes; the number of parts. list has room. */
static int cut(const struct iovec *iov, int iovcnt, uint64_t skip, uint64_t bytes,
               struct iovec *list)
{
    int n = 0;

    for (int i = 0; i < iovcnt && bytes; i++) {
        uint64_t len = iov[i].iov_len;
        if (skip >= len) {
            skip -= len;
            continue;
        }
        len = MIN(len - skip, bytes);
        list[n++] = (struct iovec){ (uint8_t *)iov[i].iov_base + skip, len };
        skip = 0;
        bytes -= len;
    }
    return n;
}

static void copy_out(const struct iovec *iov, int iovcnt, const uint8_t *from)
{
    for (int i = 0; i < iovcnt; i++) {
        memcpy(iov[i].iov_base, from, iov[i].iov_len);
        from += iov[i].iov_len;
    }
}

/* ---- where things may go on by themselves -------------------------------- */

/* Whether guest data may go to [host, host + bytes): not where tables lie, and if it is there
 * already not behind the file's end. */
static bool host_is_fair(Qcow2 *q, uint64_t host, uint64_t bytes, bool fresh)
{
    uint64_t first = host >> q->cluster_bits, end = (host + bytes - 1) >> q->cluster_bits;
    uint64_t l1 = q->header.l1_offset >> q->cluster_bits;
    uint64_t l1_end = l1 + qcow2_clusters(q, (uint64_t)q->l1_entries * 8);
    uint64_t table = q->header.reftable_offset >> q->cluster_bits,
             table_end = table + q->header.reftable_clusters;

    if (q->data)
        return true;
    if (!fresh && end >= qcow2_clusters(q, block_size(q->file)))
        return false;
    if (!first || (first < l1_end && end >= l1) || (first < table_end && end >= table))
        return false;
    for (uint64_t c = first; c <= end; c++)
        if (g_hash_table_contains(q->metadata, GSIZE_TO_POINTER(c)))
            return false;
    return true;
}

bool qcow2_map(BlockNode *node, BlockOp op, uint64_t offset, uint64_t bytes, BlockMap *map)
{
    Qcow2 *q = qcow2_of(node);
    Piece p;
    bool ok = false;

    if (op != BLOCK_READ && op != BLOCK_WRITE)
        return false;
    if (q->header.crypt_method || pthread_mutex_trylock(&q->lock))
        return false;
    if (!qcow2_piece(q, offset, bytes, false, &p)) {
        *map = (BlockMap){ qcow2_data(q), p.host, p.bytes };
        if (op == BLOCK_WRITE) {
            ok = p.kind == PIECE_DATA && p.copied && !q->broken &&
                 host_is_fair(q, p.host, p.bytes, false);
        } else {
            ok = p.kind != PIECE_PACKED;
            if (p.kind == PIECE_HOLE || p.kind == PIECE_HOLE_THERE)
                *map = (BlockMap){ q->backing, offset, p.bytes };
            else if (p.kind != PIECE_DATA)
                *map = (BlockMap){ NULL, 0, p.bytes };
        }
    }
    pthread_mutex_unlock(&q->lock);
    return ok;
}

/* ---- reading ------------------------------------------------------------- */

/* Part of a compressed cluster: [in, in + bytes) of it. */
static int read_packed(Qcow2 *q, const Piece *p, uint64_t in, uint64_t bytes,
                       const struct iovec *iov, int iovcnt)
{
    uint8_t *packed = malloc(p->packed_bytes), *whole = malloc(q->cluster_size);
    int r = packed && whole ? block_read(q->file, p->host, packed, p->packed_bytes) : -ENOMEM;

    if (!r && !qcow2_unpack(&q->packers, q->header.compression, packed, p->packed_bytes, whole,
                            q->cluster_size))
        r = -EIO;
    if (!r)
        copy_out(iov, iovcnt, whole + in);
    free(packed);
    free(whole);
    return r;
}

/* Encrypted sectors are numbered by where they lie in their file. */
static int read_data(Qcow2 *q, uint64_t host, uint64_t bytes, const struct iovec *iov, int iovcnt)
{
    if (qcow2_encrypted(q))
        return luks_read(qcow2_data(q), q->cipher, host, host / CRYPTO_SECTOR, bytes, iov, iovcnt);
    return block_run(qcow2_data(q), BLOCK_READ, 0, host, bytes, iov, iovcnt);
}

static int write_data(Qcow2 *q, uint64_t host, uint64_t bytes, const struct iovec *iov, int iovcnt)
{
    if (qcow2_encrypted(q))
        return luks_write(qcow2_data(q), q->cipher, host, host / CRYPTO_SECTOR, bytes, iov, iovcnt,
                          0);
    return block_run(qcow2_data(q), BLOCK_WRITE, 0, host, bytes, iov, iovcnt);
}

static int read_piece(Qcow2 *q, const Piece *p, uint64_t offset, const struct iovec *iov,
                      int iovcnt)
{
    switch (p->kind) {
    case PIECE_DATA: return read_data(q, p->host, p->bytes, iov, iovcnt);
    case PIECE_PACKED:
        return read_packed(q, p, offset & (q->cluster_size - 1), p->bytes, iov, iovcnt);
    case PIECE_HOLE:
    case PIECE_HOLE_THERE:
        if (q->backing)
            return block_run(q->backing, BLOCK_READ, 0, offset, p->bytes, iov, iovcnt);
        break;
    default: break;
    }
    for (int i = 0; i < iovcnt; i++)
        memset(iov[i].iov_base, 0, iov[i].iov_len);
    return 0;
}

int qcow2_read(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov,
               int iovcnt)
{
    Qcow2 *q = qcow2_of(node);
    g_autofree struct iovec *list = g_new(struct iovec, iovcnt + 1);

    for (uint64_t done = 0; done < bytes;) {
        Piece p;
        pthread_mutex_lock(&q->lock);
        int r = qcow2_piece(q, offset + done, bytes - done, true, &p);
        bool packed = !r && p.kind == PIECE_PACKED;
        q->readers += packed;
        pthread_mutex_unlock(&q->lock);
        if (!r)
            r = read_piece(q, &p, offset + done, list, cut(iov, iovcnt, done, p.bytes, list));
        if (packed) {
            pthread_mutex_lock(&q->lock);
            q->readers--;
            pthread_mutex_unlock(&q->lock);
        }
        if (r)
            return r;
        done += p.bytes;
    }
    return 0;
}

/* ---- flights ------------------------------------------------------------- */

/* Waits until nobody allocates for the clusters, with the lock held again at the end. True: it had
 * to wait, and what was looked up before is old. */
static bool await(Qcow2 *q, uint64_t first, uint64_t end)
{
    for (const Flight *f = q->flights; f; f = f->next) {
        if (f->first >= end || f->end <= first)
            continue;
        pthread_cond_wait(&q->landed, &q->lock);
        return true;
    }
    return false;
}

static void take_off(Qcow2 *q, Flight *f)
{
    f->next = q->flights;
    q->flights = f;
}

static void land(Qcow2 *q, Flight *f)
{
    for (Flight **at = &q->flights; *at; at = &(*at)->next) {
        if (*at != f)
            continue;
        *at = f->next;
        break;
    }
    pthread_cond_broadcast(&q->landed);
}

/* ---- writing that needs room --------------------------------------------- */

typedef struct {
    uint64_t offset, bytes; /* what the user writes */
    uint64_t start, end;    /* what is filled: to the ends of parts or clusters */
    uint64_t first, n;      /* guest clusters */
    uint64_t host;          /* of the first cluster */
    bool made;              /* they were counted for this */
    bool blank;             /* what is not written there reads as zeroes */
    bool zero;              /* room made beforehand that must not be read as data */
    Flight flight;
} Room;

static bool needs_new(const Piece *p)
{
    return !p->copied || p->kind == PIECE_PACKED || p->kind == PIECE_HOLE || p->kind == PIECE_ZERO;
}

/* With the lock: clusters in a row from offset on that all need new room. */
static int count_new(Qcow2 *q, uint64_t offset, uint64_t bytes, uint64_t *n)
{
    uint64_t first = offset >> q->cluster_bits, last = (offset + bytes - 1) >> q->cluster_bits;
    uint64_t table_end = (first | (qcow2_l2_entries(q) - 1)) + 1,
             slice = q->slice_size / q->entry_size;

    last = MIN(last, table_end - 1);
    /* entries of one slice are set at once */
    last = MIN(last, (first | (slice - 1)));
    for (*n = 1; first + *n <= last; (*n)++) {
        Piece p;
        int r = qcow2_piece(q, (first + *n) << q->cluster_bits, q->cluster_size, true, &p);
        if (r)
            return r;
        if (!needs_new(&p))
            break;
    }
    return 0;
}

/* Host clusters for r->n guest clusters; fewer may come. */
static int find_host(Qcow2 *q, Room *r)
{
    if (q->data) {
        r->host = r->first << q->cluster_bits;
        return 0;
    }
    int64_t at = qcow2_alloc(q, r->n, &r->n);
    if (at < 0)
        return (int)at;
    r->host = (uint64_t)at;
    r->made = true;
    r->blank =
        block_advice(q->file).quick_zero && r->host >= block_size(q->file) && !qcow2_encrypted(q);
    if (!host_is_fair(q, r->host, r->n << q->cluster_bits, true)) {
        qcow2_refcount_add(q, r->host >> q->cluster_bits, r->n, -1);
        return qcow2_corrupt(
            q, "the cluster at %#" G_GINT64_MODIFIER "x holds tables but is counted as free",
            r->host);
    }
    return 0;
}

/* With the lock: decides what is to be done for a write at offset whose piece is p. */
static int plan(Qcow2 *q, const Piece *p, uint64_t offset, uint64_t bytes, Room *r)
{
    uint64_t mask = q->cluster_size - 1;
    int ret = 0;

    *r = (Room){ .offset = offset, .first = offset >> q->cluster_bits, .n = 1 };
    if (needs_new(p)) {
        ret = count_new(q, offset, bytes, &r->n);
        if (!ret)
            ret = find_host(q, r);
        if (ret)
            return ret;
    } else {
        r->host = (p->host & ~mask);
        if (!host_is_fair(q, r->host, 1, false))
            return qcow2_corrupt(
                q, "offset %#" G_GINT64_MODIFIER "x cannot lie at %#" G_GINT64_MODIFIER "x", offset,
                r->host);
    }
    uint64_t end = (r->first + r->n) << q->cluster_bits;
    r->bytes = MIN(bytes, end - offset);
    /* with parts, only those of clusters without data of their own may stay as they are */
    uint64_t unit = q->cluster_size;
    if (q->subclusters > 1 && r->n == 1 &&
        (!r->made || !(p->entry & (QCOW2_OFFSET | QCOW2_COMPRESSED))))
        unit = q->subcluster_size;
    r->start = offset & ~(unit - 1);
    r->end = round_up(offset + r->bytes, unit);
    if (qcow2_data_is_raw(q)) /* a raw disk does not go on behind its end */
        r->end = MIN(r->end, MAX(qcow2_size(q), offset + r->bytes));
    r->flight = (Flight){ r->first, r->first + r->n, NULL };
    take_off(q, &r->flight);
    return 0;
}

static bool is_zero(const uint8_t *p, uint64_t n)
{
    return !n || (!p[0] && !memcmp(p, p + 1, n - 1));
}

/* What was at [from, to), past the end of the disk zeroes, into buf. */
static int read_old(Qcow2 *q, uint64_t from, uint64_t to, uint8_t *buf)
{
    uint64_t size = MAX(qcow2_size(q), from), n = MIN(to, size) - from;

    memset(buf + n, 0, to - from - n);
    return n ? qcow2_read(q->node, from, n, &(struct iovec){ buf, n }, 1) : 0;
}

/* Without the lock. */
static int fill(Qcow2 *q, const Room *r, const struct iovec *iov, int iovcnt)
{
    uint64_t head = r->offset - r->start, tail = r->end - (r->offset + r->bytes);
    uint64_t host = r->host + (r->start - (r->first << q->cluster_bits));
    g_autofree struct iovec *list = g_new(struct iovec, iovcnt + 2);
    uint8_t *old = head + tail ? malloc(head + tail) : NULL;
    int n = 0, ret = head + tail && !old ? -ENOMEM : 0;

    if (!ret && head)
        ret = read_old(q, r->start, r->offset, old);
    if (!ret && tail)
        ret = read_old(q, r->offset + r->bytes, r->end, old + head);
    if (!ret && r->blank && is_zero(old, head)) {
        host += head;
        head = 0;
    }
    if (!ret && r->blank && is_zero(old + (r->offset - r->start), tail))
        tail = 0;
    if (head)
        list[n++] = (struct iovec){ old, head };
    memcpy(list + n, iov, sizeof *iov * (size_t)iovcnt);
    n += iovcnt;
    if (tail)
        list[n++] = (struct iovec){ old + (r->offset - r->start), tail };
    if (!ret)
        ret = write_data(q, host, head + r->bytes + tail, list, n);
    free(old);
    return ret;
}

/* The bits of parts [from, to) within a cluster. */
static uint64_t part_bits(const Qcow2 *q, uint64_t from, uint64_t to)
{
    unsigned a = (unsigned)(from / q->subcluster_size),
             b = (unsigned)((to + q->subcluster_size - 1) / q->subcluster_size);
    uint64_t all = b >= 64 ? UINT64_MAX : (UINT64_C(1) << b) - 1;

    return all & ~((UINT64_C(1) << a) - 1);
}

/* With the lock: the tables point there. */
static int link_room(Qcow2 *q, const Room *r)
{
    Slice *slice;
    unsigned index;
    int ret = qcow2_l2_for_write(q, r->first << q->cluster_bits, &slice, &index);

    if (ret)
        return ret;
    for (uint64_t i = 0; i < r->n; i++) {
        uint64_t start = (r->first + i) << q->cluster_bits;
        uint64_t old = qcow2_entry(q, slice, index + (unsigned)i),
                 bits = qcow2_entry_bits(q, slice, index + (unsigned)i);
        uint64_t from = MAX(r->start, start) - start,
                 to = MIN(r->end, start + q->cluster_size) - start;
        uint64_t parts = part_bits(q, from, to);
        bool whole = old & QCOW2_COMPRESSED;
        bits = whole ? parts : (bits & ~(parts << 32)) | parts;
        uint64_t flags = QCOW2_COPIED;
        if (r->zero && q->subclusters > 1)
            bits = parts << 32;
        else if (r->zero)
            flags |= QCOW2_ZERO;
        qcow2_entry_set(q, slice, index + (unsigned)i, (r->host + (i << q->cluster_bits)) | flags,
                        bits);
        if (r->made)
            qcow2_free_entry(q, old, false);
    }
    qcow2_slice_put(q, slice);
    return 0;
}

static int mark_dirty(Qcow2 *q)
{
    if (!(q->header.compatible & QCOW2_LAZY_REFCOUNTS) || q->header.incompatible & QCOW2_DIRTY)
        return 0;
    q->header.incompatible |= QCOW2_DIRTY;
    int r = qcow2_header_features(q);
    if (r)
        q->header.incompatible &= ~QCOW2_DIRTY;
    return r;
}

static int write_some(Qcow2 *q, uint64_t offset, uint64_t bytes, const struct iovec *iov,
                      int iovcnt, struct iovec *list, uint64_t skip, uint64_t *done)
{
    Piece p;
    Room room;

    pthread_mutex_lock(&q->lock);
    int r = q->broken ? -EIO : mark_dirty(q);
    do {
        if (!r)
            r = qcow2_piece(q, offset, bytes, true, &p);
        /* to the end of what plan may take */
    } while (!r && !(p.kind == PIECE_DATA && p.copied) &&
             await(q, offset >> q->cluster_bits, (offset + bytes - 1) / q->cluster_size + 1));
    bool in_place = !r && p.kind == PIECE_DATA && p.copied;
    if (in_place && !host_is_fair(q, p.host, p.bytes, false))
        r = qcow2_corrupt(q,
                          "offset %#" G_GINT64_MODIFIER "x cannot lie at %#" G_GINT64_MODIFIER "x",
                          offset, p.host);
    if (!r && !in_place)
        r = plan(q, &p, offset, bytes, &room);
    pthread_mutex_unlock(&q->lock);
    if (r)
        return r;
    *done = in_place ? p.bytes : room.bytes;
    int n = cut(iov, iovcnt, skip, *done, list);
    if (in_place)
        return write_data(q, p.host, p.bytes, list, n);
    r = fill(q, &room, list, n);
    pthread_mutex_lock(&q->lock);
    if (!r)
        r = link_room(q, &room);
    if (r && room.made)
        qcow2_refcount_add(q, room.host >> q->cluster_bits, room.n, -1);
    land(q, &room.flight);
    pthread_mutex_unlock(&q->lock);
    return r;
}

int qcow2_write(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov,
                int iovcnt, unsigned flags)
{
    Qcow2 *q = qcow2_of(node);
    g_autofree struct iovec *list = g_new(struct iovec, iovcnt + 1);

    for (uint64_t at = 0, done; at < bytes; at += done) {
        int r = write_some(q, offset + at, bytes - at, iov, iovcnt, list, at, &done);
        if (r)
            return r;
    }
    return 0;
}

/* ---- compressed ---------------------------------------------------------- */

/* With the lock. */
static int link_packed(Qcow2 *q, uint64_t offset, uint64_t host, size_t len)
{
    unsigned x = 62 - (q->cluster_bits - 8), index;
    uint64_t sectors = ((host & 511) + len - 1) / 512;
    Slice *slice;
    int r = qcow2_l2_for_write(q, offset, &slice, &index);

    if (r)
        return r;
    uint64_t old = qcow2_entry(q, slice, index);
    qcow2_entry_set(q, slice, index, QCOW2_COMPRESSED | sectors << x | host, 0);
    qcow2_slice_put(q, slice);
    qcow2_free_entry(q, old, false);
    return 0;
}

static int store_packed(Qcow2 *q, uint64_t offset, const uint8_t *packed, size_t len)
{
    Flight f = { offset >> q->cluster_bits, (offset >> q->cluster_bits) + 1, NULL };

    pthread_mutex_lock(&q->lock);
    while (await(q, f.first, f.end))
        ;
    int64_t at = q->broken ? -EIO : mark_dirty(q);
    if (!at)
        at = qcow2_alloc_packed(q, (uint32_t)len);
    if (at >= 0)
        take_off(q, &f);
    pthread_mutex_unlock(&q->lock);
    if (at < 0)
        return (int)at;
    int r = block_write(q->file, (uint64_t)at, packed, len, 0);
    pthread_mutex_lock(&q->lock);
    if (!r)
        r = link_packed(q, offset, (uint64_t)at, len);
    if (r)
        qcow2_free(q, (uint64_t)at, len, false);
    land(q, &f);
    pthread_mutex_unlock(&q->lock);
    return r;
}

size_t qcow2_pack_cluster(BlockNode *node, const void *in, uint64_t bytes, void *out)
{
    Qcow2 *q = qcow2_of(node);

    if (q->data || qcow2_encrypted(q))
        return 0;
    if (bytes == q->cluster_size)
        return qcow2_pack(&q->packers, q->header.compression, in, bytes, out, q->cluster_size - 1);
    uint8_t *whole = calloc(1, q->cluster_size);
    if (!whole)
        return 0;
    memcpy(whole, in, bytes);
    size_t len = qcow2_pack(&q->packers, q->header.compression, whole, q->cluster_size, out,
                            q->cluster_size - 1);
    free(whole);
    return len;
}

int qcow2_write_packed(BlockNode *node, uint64_t offset, const void *packed, size_t len)
{
    Qcow2 *q = qcow2_of(node);

    if (offset & (q->cluster_size - 1) || !len || len >= q->cluster_size || qcow2_encrypted(q))
        return -EINVAL;
    return store_packed(q, offset, packed, len);
}

int qcow2_write_compressed(BlockNode *node, uint64_t offset, uint64_t bytes,
                           const struct iovec *iov, int iovcnt)
{
    Qcow2 *q = qcow2_of(node);
    uint64_t end = qcow2_size(q);

    if (q->data || qcow2_encrypted(q))
        return -ENOTSUP;
    if (offset & (q->cluster_size - 1) ||
        ((bytes & (q->cluster_size - 1)) && offset + bytes != end))
        return -EINVAL;
    uint8_t *whole = malloc(q->cluster_size), *packed = malloc(q->cluster_size);
    g_autofree struct iovec *list = g_new(struct iovec, iovcnt + 1);
    int r = whole && packed ? 0 : -ENOMEM;
    for (uint64_t at = 0; !r && at < bytes; at += q->cluster_size) {
        uint64_t n = MIN(q->cluster_size, bytes - at);
        int parts = cut(iov, iovcnt, at, n, list);
        uint8_t *p = whole;
        for (int i = 0; i < parts; p += list[i++].iov_len)
            memcpy(p, list[i].iov_base, list[i].iov_len);
        size_t len = qcow2_pack_cluster(node, whole, n, packed);
        r = len ? store_packed(q, offset + at, packed, len)
                : qcow2_write(node, offset + at, n, list, parts, 0);
    }
    free(whole);
    free(packed);
    return r;
}

/* ---- zeroes, nothing ----------------------------------------------------- */

/* With the lock: one cluster reads as zeroes; unmap: its room is given up. */
static int zero_cluster(Qcow2 *q, uint64_t cluster, bool unmap)
{
    Slice *slice;
    unsigned index;
    Piece p;
    int r = qcow2_piece(q, cluster << q->cluster_bits, q->cluster_size, true, &p);

    if (r)
        return r;
    uint64_t old = p.entry, bits = p.bits, entry = old, all = UINT64_C(0xffffffff00000000);
    bool there = (old & QCOW2_OFFSET) || (q->data && old & QCOW2_COPIED);
    bool drop = old & QCOW2_COMPRESSED || (there && (unmap || !(old & QCOW2_COPIED)));
    if (drop)
        entry = 0;
    if (q->subclusters == 1)
        entry |= QCOW2_ZERO;
    if (entry == old && (q->subclusters == 1 || bits == all))
        return 0;
    r = qcow2_l2_for_write(q, cluster << q->cluster_bits, &slice, &index);
    if (r)
        return r;
    qcow2_entry_set(q, slice, index, entry, all);
    qcow2_slice_put(q, slice);
    if (drop)
        qcow2_free_entry(q, old, q->pass_discard);
    return 0;
}

int qcow2_unmap(Qcow2 *q, uint64_t first, uint64_t end, bool hidden)
{
    for (uint64_t c = first; c < end; c++) {
        Piece p;
        Slice *slice;
        unsigned index;
        int r = qcow2_piece(q, c << q->cluster_bits, (end - c) << q->cluster_bits, true, &p);
        if (r)
            return r;
        bool bare =
            !(p.entry & (QCOW2_OFFSET | QCOW2_COMPRESSED)) && !(q->data && p.entry & QCOW2_COPIED);
        /* nothing to do for runs of nothing */
        if (p.kind == PIECE_HOLE && bare && (!hidden || !q->backing)) {
            c += MAX(p.bytes >> q->cluster_bits, 1) - 1;
            continue;
        }
        if (hidden && q->header.version >= 3) {
            r = zero_cluster(q, c, true);
        } else {
            r = qcow2_l2_for_write(q, c << q->cluster_bits, &slice, &index);
            if (r)
                return r;
            qcow2_entry_set(q, slice, index, 0, 0);
            qcow2_slice_put(q, slice);
            qcow2_free_entry(q, p.entry, q->pass_discard);
        }
        if (r)
            return r;
        if (q->limbo->len > 4096)
            r = qcow2_flush_tables(q);
        if (r)
            return r;
    }
    return 0;
}

/* Zeroes as data, for part of a cluster; nothing where zeroes are read already. */
static int zero_ragged(Qcow2 *q, uint64_t offset, uint64_t bytes, unsigned flags)
{
    uint64_t start = offset & ~(q->cluster_size - 1), size = qcow2_size(q), at = start;
    uint64_t end = MIN(start + q->cluster_size, size);
    Piece p;
    int r = 0;

    /* with the rest of the cluster zeroes too, all of it is */
    pthread_mutex_lock(&q->lock);
    while (await(q, start >> q->cluster_bits, (start >> q->cluster_bits) + 1))
        ;
    bool rest = q->header.version >= 3;
    while (rest && !r && at < end) {
        r = qcow2_piece(q, at, end - at, true, &p);
        bool zero = p.kind == PIECE_ZERO || p.kind == PIECE_ZERO_THERE ||
                    (p.kind == PIECE_HOLE && !q->backing);
        rest = !r && (zero || (at >= offset && at + p.bytes <= offset + bytes));
        at += r ? 0 : p.bytes;
    }
    if (!r && rest)
        r = zero_cluster(q, start >> q->cluster_bits, flags & BLOCK_MAY_UNMAP);
    pthread_mutex_unlock(&q->lock);
    if (r || rest)
        return r;
    if (flags & BLOCK_NO_FALLBACK)
        return -ENOTSUP;
    void *zeroes = calloc(1, bytes);
    r = zeroes ? qcow2_write(q->node, offset, bytes, &(struct iovec){ zeroes, bytes }, 1, 0)
               : -ENOMEM;
    free(zeroes);
    return r;
}

int qcow2_zero(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
    Qcow2 *q = qcow2_of(node);
    uint64_t mask = q->cluster_size - 1, end = offset + bytes, size = qcow2_size(q);
    uint64_t first = round_up(offset, q->cluster_size),
             last = end >= size ? round_up(end, q->cluster_size) : end & ~mask;
    int r = 0;

    if (qcow2_data_is_raw(q))
        return block_zero(q->data, offset, bytes, flags & (BLOCK_MAY_UNMAP | BLOCK_NO_FALLBACK));
    if (q->header.version < 3 && q->backing)
        return -ENOTSUP;
    if (q->header.version < 3 && ((offset | bytes) & mask) && end < size)
        return -ENOTSUP;
    if (first > last) /* all in one cluster; where they are equal it reaches over a border */
        return zero_ragged(q, offset, bytes, flags);
    if (offset < first)
        r = zero_ragged(q, offset, MIN(first, end) - offset, flags);
    if (!r && last < end)
        r = zero_ragged(q, last, end - last, flags);
    if (r)
        return r;
    pthread_mutex_lock(&q->lock);
    while (await(q, first >> q->cluster_bits, last >> q->cluster_bits))
        ;
    r = q->broken ? -EIO : mark_dirty(q);
    if (!r && q->header.version < 3)
        r = qcow2_unmap(q, first >> q->cluster_bits, last >> q->cluster_bits, false);
    else
        for (uint64_t c = first >> q->cluster_bits; !r && c < last >> q->cluster_bits; c++)
            r = zero_cluster(q, c, flags & BLOCK_MAY_UNMAP);
    pthread_mutex_unlock(&q->lock);
    return r;
}

int qcow2_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    Qcow2 *q = qcow2_of(node);
    uint64_t end = offset + bytes;
    uint64_t first = qcow2_clusters(q, offset),
             last = end >= qcow2_size(q) ? qcow2_clusters(q, end) : end >> q->cluster_bits;
    if (first >= last)
        return 0;
    if (qcow2_data_is_raw(q))
        return block_zero(q->data, first << q->cluster_bits,
                          MIN(last << q->cluster_bits, qcow2_size(q)) - (first << q->cluster_bits),
                          BLOCK_MAY_UNMAP);
    pthread_mutex_lock(&q->lock);
    while (await(q, first, last))
        ;
    int r = q->broken ? -EIO : mark_dirty(q);
    if (!r)
        r = qcow2_unmap(q, first, last, true);
    pthread_mutex_unlock(&q->lock);
    return r;
}

/* ---- room made beforehand ------------------------------------------------ */

int qcow2_preallocate(Qcow2 *q, uint64_t offset, uint64_t bytes, uint64_t *host_end)
{
    int r = 0;

    pthread_mutex_lock(&q->lock);
    for (uint64_t end = offset + bytes; !r && offset < end;) {
        Piece p;
        Room room;
        r = qcow2_piece(q, offset, end - offset, true, &p);
        if (r)
            break;
        if (!needs_new(&p)) {
            offset += p.bytes;
            continue;
        }
        r = plan(q, &p, offset, end - offset, &room);
        if (r)
            break;
        land(q, &room.flight);
        /* what the file has there would be decrypted to noise */
        room.zero = qcow2_encrypted(q);
        room.start = room.first << q->cluster_bits;
        room.end = (room.first + room.n) << q->cluster_bits;
        r = link_room(q, &room);
        *host_end = MAX(*host_end, room.host + (room.n << q->cluster_bits));
        offset = room.end;
    }
    pthread_mutex_unlock(&q->lock);
    return r;
}
