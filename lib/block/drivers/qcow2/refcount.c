/* SPDX-License-Identifier: MIT */
/*
 * Reference counts of host clusters, and what follows from them: which are free. A count has
 * 2^order bits; below 8 bits they lie in a byte from its low end. Clusters that no block covers
 * have count 0.
 *
 * A missing block is put into the first cluster it covers that is wanted, so it counts itself and
 * nothing else must be looked for. All with the lock held.
 */
#include "block/drivers/qcow2/qcow2_priv.h"

#include <errno.h>
#include <string.h>

uint64_t qcow2_refcount_max(const Qcow2 *q)
{
    unsigned bits = 1u << q->header.refcount_order;
    return bits == 64 ? INT64_MAX : (UINT64_C(1) << bits) - 1;
}

uint64_t qcow2_block_entries(const Qcow2 *q)
{
    return q->cluster_size * 8 >> q->header.refcount_order;
}

uint64_t qcow2_refcount_in(const uint8_t *block, unsigned order, uint64_t index)
{
    switch (order) {
    case 3: return block[index];
    case 4: return ld_be16(block + 2 * index);
    case 5: return ld_be32(block + 4 * index);
    case 6: return ld_be64(block + 8 * index);
    default:
        return block[index >> (3 - order)] >> ((index & ((8u >> order) - 1)) << order) &
               ((1u << (1u << order)) - 1);
    }
}

void qcow2_refcount_into(uint8_t *block, unsigned order, uint64_t index, uint64_t count)
{
    switch (order) {
    case 3: block[index] = (uint8_t)count; return;
    case 4: st_be16(block + 2 * index, (uint16_t)count); return;
    case 5: st_be32(block + 4 * index, (uint32_t)count); return;
    case 6: st_be64(block + 8 * index, count); return;
    default: {
        uint8_t *p = &block[index >> (3 - order)];
        unsigned shift = (unsigned)(index & ((8u >> order) - 1)) << order,
                 mask = ((1u << (1u << order)) - 1) << shift;
        *p = (uint8_t)((*p & ~mask) | (count << shift & mask));
    }
    }
}

/* ---- one slice of counts ------------------------------------------------- */

static uint64_t slice_entries(const Qcow2 *q)
{
    return (uint64_t)q->slice_size * 8 >> q->header.refcount_order;
}

/* The slice with the count of cluster, pinned, and the count's index in it; *slice NULL: no block
 * covers it. */
static int get(Qcow2 *q, uint64_t cluster, Slice **slice, uint64_t *index)
{
    uint64_t per_block = qcow2_block_entries(q), per_slice = slice_entries(q);
    uint64_t n = cluster / per_block, in_block = cluster % per_block, block;

    *slice = NULL;
    *index = in_block % per_slice;
    if (n >= q->reftable_entries || !(block = q->reftable[n]))
        return 0;
    if (!qcow2_is_metadata(q, block))
        return qcow2_corrupt(q, "reference count block %#" G_GINT64_MODIFIER "x cannot be there",
                             block);
    return qcow2_slice_get(q, SLICE_REFCOUNT, block + in_block / per_slice * q->slice_size, false,
                           slice);
}

int qcow2_refcount(Qcow2 *q, uint64_t cluster, uint64_t *count)
{
    Slice *slice;
    uint64_t index;
    int r = get(q, cluster, &slice, &index);

    *count = 0;
    if (r || !slice)
        return r;
    *count = qcow2_refcount_in(slice->data, q->header.refcount_order, index);
    qcow2_slice_put(q, slice);
    return 0;
}

void qcow2_counts_end(Qcow2 *q, Qcow2Counts *c)
{
    if (c->slice)
        qcow2_slice_put(q, c->slice);
    *c = (Qcow2Counts){ NULL, 0, 0 };
}

int qcow2_counts_at(Qcow2 *q, Qcow2Counts *c, uint64_t cluster, uint64_t *count)
{
    uint64_t index = cluster - c->first;

    if (cluster < c->first || cluster >= c->end) {
        qcow2_counts_end(q, c);
        int r = get(q, cluster, &c->slice, &index);
        if (r)
            return r;
        c->first = cluster - index;
        c->end = c->first + slice_entries(q);
    }
    *count = c->slice ? qcow2_refcount_in(c->slice->data, q->header.refcount_order, index) : 0;
    return 0;
}

/* Those of [first, first + n) that lie in the slice of the first; *done says how many. */
static int add_some(Qcow2 *q, uint64_t first, uint64_t n, int64_t change, uint64_t *done)
{
    unsigned order = q->header.refcount_order;
    Slice *slice;
    uint64_t index, most = qcow2_refcount_max(q);
    int r = get(q, first, &slice, &index);

    *done = 0;
    if (r)
        return r;
    if (!slice)
        return qcow2_corrupt(
            q, "no reference count block covers the cluster at %#" G_GINT64_MODIFIER "x",
            first << q->cluster_bits);
    n = MIN(n, slice_entries(q) - index);
    qcow2_slice_dirty(q, slice);
    for (uint64_t i = 0; i < n && !r; i++) {
        uint64_t count = qcow2_refcount_in(slice->data, order, index + i);
        if (change < 0 ? count < (uint64_t)-change : count > most - (uint64_t)change) {
            r = change > 0
                    ? -EINVAL
                    : qcow2_corrupt(q,
                                    "the cluster at %#" G_GINT64_MODIFIER "x is used more often "
                                    "than counted",
                                    (first + i) << q->cluster_bits);
            break;
        }
        count += (uint64_t)change;
        qcow2_refcount_into(slice->data, order, index + i, count);
        if (!count)
            q->free_hint = MIN(q->free_hint, first + i);
        (*done)++;
    }
    qcow2_slice_put(q, slice);
    return r;
}

int qcow2_refcount_add(Qcow2 *q, uint64_t first, uint64_t n, int64_t change)
{
    for (uint64_t at = first, done; n; at += done, n -= done) {
        int r = add_some(q, at, n, change, &done);
        if (!r)
            continue;
        /* as it was */
        for (uint64_t back = first, end = at + done; back < end; back += done)
            if (add_some(q, back, end - back, -change, &done))
                break;
        return r;
    }
    return 0;
}

/* ---- blocks and the table ------------------------------------------------ */

/* A block at cluster, which it covers itself; nothing of the range is used. */
static int make_block(Qcow2 *q, uint64_t cluster)
{
    uint64_t per_block = qcow2_block_entries(q), n = cluster / per_block,
             offset = cluster << q->cluster_bits;
    uint64_t at = cluster % per_block / slice_entries(q);

    for (uint64_t i = 0; i < q->cluster_size / q->slice_size; i++) {
        Slice *slice;
        int r = qcow2_slice_get(q, SLICE_REFCOUNT, offset + i * q->slice_size, true, &slice);
        if (r) {
            qcow2_slices_drop(q, offset, q->cluster_size);
            return r;
        }
        if (i == at)
            qcow2_refcount_into(slice->data, q->header.refcount_order, cluster % slice_entries(q),
                                1);
        qcow2_slice_dirty(q, slice);
        qcow2_slice_put(q, slice);
    }
    q->reftable[n] = offset;
    q->reftable_dirty = true;
    g_hash_table_add(q->metadata, GSIZE_TO_POINTER(cluster));
    return 0;
}

static void count_area(Qcow2 *q, uint8_t *blocks, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        qcow2_refcount_into(blocks + (i / qcow2_block_entries(q) << q->cluster_bits),
                            q->header.refcount_order, i % qcow2_block_entries(q), 1);
}

/* A longer table. It and the blocks that count it lie where the old one's reach ends. */
static int grow(Qcow2 *q)
{
    uint64_t per_block = qcow2_block_entries(q), per_cluster = q->cluster_size / 8;
    uint64_t first = (uint64_t)q->reftable_entries * per_block, old = q->header.reftable_offset;
    uint64_t table = qcow2_clusters(q, ((uint64_t)q->reftable_entries * 3 / 2 + 64) * 8),
             blocks = 1;
    uint32_t old_clusters = q->header.reftable_clusters;

    for (;; table++) {
        while (blocks * per_block < blocks + table)
            blocks++;
        if (q->reftable_entries + blocks <= table * per_cluster)
            break;
    }
    if (table << q->cluster_bits > QCOW2_MAX_REFTABLE ||
        (first + blocks + table) > (UINT64_C(1) << 56 >> q->cluster_bits))
        return -EFBIG;
    int r = qcow2_flush_tables(q);
    if (r)
        return r;
    g_autofree uint8_t *out = g_malloc0((blocks + table) << q->cluster_bits);
    uint8_t *entries = out + (blocks << q->cluster_bits);
    uint64_t *wider = g_new0(uint64_t, table * per_cluster);
    memcpy(wider, q->reftable, (size_t)q->reftable_entries * 8);
    for (uint64_t i = 0; i < blocks; i++)
        wider[q->reftable_entries + i] = (first + i) << q->cluster_bits;
    count_area(q, out, blocks + table);
    for (uint64_t i = 0; i < table * per_cluster; i++)
        st_be64(entries + 8 * i, wider[i]);
    r = block_write(q->file, first << q->cluster_bits, out, (blocks + table) << q->cluster_bits, 0);
    if (!r)
        r = block_flush(q->file);
    if (!r) {
        uint8_t fields[12];
        st_be64(fields, (first + blocks) << q->cluster_bits);
        st_be32(fields + 8, (uint32_t)table);
        r = block_write(q->file, 48, fields, sizeof fields, BLOCK_FUA);
    }
    if (r) {
        g_free(wider);
        return r;
    }
    g_free(q->reftable);
    q->reftable = wider;
    for (uint64_t i = 0; i < blocks; i++)
        g_hash_table_add(q->metadata, GSIZE_TO_POINTER(first + i));
    q->reftable_entries = (uint32_t)(table * per_cluster);
    q->header.reftable_offset = (first + blocks) << q->cluster_bits;
    q->header.reftable_clusters = (uint32_t)table;
    qcow2_slices_drop(q, first << q->cluster_bits, blocks << q->cluster_bits);
    return qcow2_refcount_add(q, old >> q->cluster_bits, old_clusters, -1);
}

/* ---- finding free ones --------------------------------------------------- */

/* Free clusters in a row at cluster, at most n; makes the block that covers them, which may take
 * the first: *at moves on. */
static int free_run(Qcow2 *q, uint64_t *at, uint64_t n, uint64_t *run)
{
    uint64_t cluster = *at, per_block = qcow2_block_entries(q), found = 0, index;

    while (found < n) {
        uint64_t c = cluster + found;
        Slice *slice;
        int r;
        if (c / per_block >= q->reftable_entries) {
            if (found)
                break;
            r = grow(q);
            if (r)
                return r;
            /* what it took lies here */
            *at = cluster + 1;
            *run = 0;
            return 0;
        }
        if (!q->reftable[c / per_block]) {
            r = make_block(q, c);
            if (r)
                return r;
            if (found)
                break;
            *at = cluster + 1;
            *run = 0;
            return 0;
        }
        r = get(q, c, &slice, &index);
        if (r)
            return r;
        uint64_t end = MIN(slice_entries(q), index + (n - found)), i = index;
        while (i < end && !qcow2_refcount_in(slice->data, q->header.refcount_order, i))
            i++;
        qcow2_slice_put(q, slice);
        found += i - index;
        if (i < end)
            break;
    }
    *run = found;
    return 0;
}

int64_t qcow2_alloc(Qcow2 *q, uint64_t n, uint64_t *got)
{
    uint64_t at = q->free_hint, run = 0;
    bool first = true;

    for (;;) {
        int r = free_run(q, &at, n, &run);
        if (r)
            return r;
        if (run && first) {
            q->free_hint = at;
            first = false;
        }
        if (run == n || (run && got))
            break;
        at += run + (run ? 1 : 0);
        if (run)
            continue;
        /* used: on to the next that is not, quickly */
        uint64_t index;
        Slice *slice;
        r = get(q, at, &slice, &index);
        if (r)
            return r;
        if (!slice)
            continue;
        uint64_t i = index;
        while (i < slice_entries(q) && qcow2_refcount_in(slice->data, q->header.refcount_order, i))
            i++;
        qcow2_slice_put(q, slice);
        at += i - index;
    }
    if ((at + run) > UINT64_C(1) << 56 >> q->cluster_bits)
        return -EFBIG;
    int r = qcow2_refcount_add(q, at, run, 1);
    if (r)
        return r;
    if (q->free_hint == at)
        q->free_hint = at + run;
    if (got)
        *got = run;
    return (int64_t)(at << q->cluster_bits);
}

int qcow2_alloc_at(Qcow2 *q, uint64_t offset, uint64_t n, uint64_t *got)
{
    uint64_t cluster = offset >> q->cluster_bits, per_block = qcow2_block_entries(q), run = 0;

    *got = 0;
    while (run < n) {
        uint64_t c = cluster + run, index, i;
        Slice *slice;
        if (c / per_block >= q->reftable_entries || !q->reftable[c / per_block])
            break;
        int r = get(q, c, &slice, &index);
        if (r)
            return r;
        for (i = index; i < slice_entries(q) && run < n; i++, run++)
            if (qcow2_refcount_in(slice->data, q->header.refcount_order, i))
                break;
        qcow2_slice_put(q, slice);
        if (i < slice_entries(q))
            break;
    }
    if (!run)
        return 0;
    int r = qcow2_refcount_add(q, cluster, run, 1);
    if (!r)
        *got = run;
    if (!r && q->free_hint >= cluster && q->free_hint < cluster + run)
        q->free_hint = cluster + run;
    return r;
}

int64_t qcow2_alloc_packed(Qcow2 *q, uint32_t bytes)
{
    uint64_t at = q->packed_next, room = at ? q->cluster_size - (at & (q->cluster_size - 1)) : 0,
             count = 0, got = 0;
    int r = 0;

    if (at) {
        r = qcow2_refcount(q, at >> q->cluster_bits, &count);
        if (r)
            return r;
        if (!count || count == qcow2_refcount_max(q))
            at = room = 0;
    }
    if (bytes > room && at) { /* goes on in the next cluster, if that is free */
        r = qcow2_alloc_at(q, at + room, 1, &got);
        if (r)
            return r;
    }
    if (bytes > room && !got) {
        int64_t fresh = qcow2_alloc(q, 1, NULL);
        if (fresh < 0)
            return fresh;
        /* the neighbour after all? */
        if (!at || (uint64_t)fresh != at + room) {
            q->packed_next = (uint64_t)fresh + bytes;
            return fresh;
        }
    }
    r = qcow2_refcount_add(q, at >> q->cluster_bits, 1, 1);
    if (r) {
        if (bytes > room)
            qcow2_refcount_add(q, (at + room) >> q->cluster_bits, 1, -1);
        return r;
    }
    q->packed_next = bytes == room ? 0 : at + bytes;
    return (int64_t)at;
}

/* ---- freeing ------------------------------------------------------------- */

void qcow2_free(Qcow2 *q, uint64_t offset, uint64_t bytes, bool discard)
{
    uint64_t first = offset >> q->cluster_bits, end = (offset + bytes - 1) >> q->cluster_bits;
    Limbo *last = q->limbo->len ? &g_array_index(q->limbo, Limbo, q->limbo->len - 1) : NULL;

    if (last && last->cluster + last->n == first && last->discard == discard) {
        last->n += end + 1 - first;
        return;
    }
    Limbo one = { first, end + 1 - first, discard };
    g_array_append_val(q->limbo, one);
}

void qcow2_free_entry(Qcow2 *q, uint64_t entry, bool discard)
{
    uint64_t offset = entry & QCOW2_OFFSET;

    if (entry & QCOW2_COMPRESSED) {
        uint32_t bytes;
        qcow2_packed_place(q, entry, &offset, &bytes);
        qcow2_free(q, offset, bytes, discard);
    } else if (q->data) {
        /* the entry may stay on disk a little longer: where holes read as noise the data stays for good */
        if (discard && !qcow2_encrypted(q) && (offset || entry & QCOW2_COPIED))
            block_discard(q->data, offset, q->cluster_size);
    } else if (offset) {
        qcow2_free(q, offset, q->cluster_size, discard);
    }
}

/* Tells the file which of the clusters are free now. */
static void discard_free(Qcow2 *q, const Limbo *l)
{
    uint64_t run = 0, count;

    for (uint64_t i = 0; i <= l->n; i++) {
        count = 1;
        if (i < l->n && qcow2_refcount(q, l->cluster + i, &count))
            return;
        if (!count) {
            run++;
        } else if (run) {
            block_discard(q->file, (l->cluster + i - run) << q->cluster_bits,
                          run << q->cluster_bits);
            run = 0;
        }
    }
}

int qcow2_settle_limbo(Qcow2 *q)
{
    int r = 0;

    /* somebody may be reading there still: another time */
    if (q->readers)
        return 0;
    unsigned i;
    for (i = 0; i < q->limbo->len && !r; i++) {
        Limbo l = g_array_index(q->limbo, Limbo, i);
        r = qcow2_refcount_add(q, l.cluster, l.n, -1);
        if (!r && q->packed_next && q->packed_next >> q->cluster_bits >= l.cluster &&
            q->packed_next >> q->cluster_bits < l.cluster + l.n)
            q->packed_next = 0;
        Qcow2Counts counts = { NULL, 0, 0 };
        uint64_t count;
        for (uint64_t k = 0; !r && k < l.n; k++)
            if (!qcow2_counts_at(q, &counts, l.cluster + k, &count) && !count)
                g_hash_table_remove(q->metadata, GSIZE_TO_POINTER(l.cluster + k));
        qcow2_counts_end(q, &counts);
        if (!r && (l.discard || q->discard_other))
            discard_free(q, &l);
    }
    g_array_remove_range(q->limbo, 0, i);
    return r;
}
