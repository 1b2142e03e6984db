/* SPDX-License-Identifier: MIT */
/*
 * From guest offsets to what is there: L1 and L2 tables walked, pieces of one kind that lie in a
 * row joined, tables made or copied before they change. A cluster has one part, or 32 with extended
 * L2 entries, whose second word says of each part whether it is data (low half) or zeroes (high
 * half). All with the lock held.
 */
#include "block/drivers/qcow2/qcow2_priv.h"

#include <errno.h>
#include <string.h>

int qcow2_corrupt(Qcow2 *q, const char *fmt, ...)
{
    va_list ap;

    if (q->broken)
        return -EIO;
    q->broken = true;
    va_start(ap, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    block_node_warn(q->node, "%s: the image is corrupt: %s; nothing more is written",
                    block_node_file(q->node), text);
    if (!block_node_read_only(q->node) && q->header.version >= 3) {
        q->header.incompatible |= QCOW2_CORRUPT;
        qcow2_header_features(q);
    }
    return -EIO;
}

void qcow2_packed_place(const Qcow2 *q, uint64_t entry, uint64_t *offset, uint32_t *bytes)
{
    unsigned x = 62 - (q->cluster_bits - 8);
    uint64_t sectors = (entry & ~(QCOW2_COPIED | QCOW2_COMPRESSED)) >> x;

    *offset = entry & ((UINT64_C(1) << x) - 1);
    *bytes = (uint32_t)((sectors + 1) * 512 - (*offset & 511));
}

uint64_t qcow2_entry(const Qcow2 *q, const Slice *slice, unsigned index)
{
    return ld_be64(slice->data + index * q->entry_size);
}

uint64_t qcow2_entry_bits(const Qcow2 *q, const Slice *slice, unsigned index)
{
    return q->entry_size == 16 ? ld_be64(slice->data + index * q->entry_size + 8) : 0;
}

void qcow2_entry_set(Qcow2 *q, Slice *slice, unsigned index, uint64_t entry, uint64_t bits)
{
    st_be64(slice->data + index * q->entry_size, entry);
    if (q->entry_size == 16)
        st_be64(slice->data + index * q->entry_size + 8, bits);
    qcow2_slice_dirty(q, slice);
}

/* ---- pieces -------------------------------------------------------------- */

/* What part sub of a cluster is; false: the entry makes no sense. */
static bool part_kind(const Qcow2 *q, uint64_t entry, uint64_t bits, unsigned sub, PieceKind *kind)
{
    bool there = (entry & QCOW2_OFFSET) || (q->data && entry & QCOW2_COPIED);

    if (entry & QCOW2_COMPRESSED) {
        *kind = PIECE_PACKED;
        return !(q->data && q->header.incompatible & QCOW2_DATA_FILE);
    }
    if (entry & QCOW2_OFFSET & (q->cluster_size - 1))
        return false;
    if (q->subclusters == 1) {
        if (entry & QCOW2_ZERO && q->header.version >= 3)
            *kind = there ? PIECE_ZERO_THERE : PIECE_ZERO;
        else
            *kind = there ? PIECE_DATA : PIECE_HOLE;
        return true;
    }
    bool data = bits >> sub & 1, zero = bits >> (32 + sub) & 1;
    if ((data && zero) || (data && !there))
        return false;
    *kind = data    ? PIECE_DATA
            : zero  ? (there ? PIECE_ZERO_THERE : PIECE_ZERO)
            : there ? PIECE_HOLE_THERE
                    : PIECE_HOLE;
    return true;
}

static bool same_kind(const Piece *p, PieceKind kind, uint64_t host, bool copied)
{
    if (p->kind != kind)
        return false;
    switch (kind) {
    case PIECE_HOLE:
    case PIECE_ZERO: return true;
    case PIECE_PACKED: return false;
    default: return host == p->host + p->bytes && copied == p->copied;
    }
}

/* Goes on in the slice while the kind stays. */
static int walk(Qcow2 *q, const Slice *slice, unsigned index, unsigned entries, uint64_t offset,
                uint64_t bytes, Piece *piece)
{
    uint64_t at = offset;
    bool first = true;

    for (; index < entries && at < offset + bytes; index++) {
        uint64_t entry = qcow2_entry(q, slice, index), bits = qcow2_entry_bits(q, slice, index);
        uint64_t in = at & (q->cluster_size - 1), host = entry & QCOW2_OFFSET;
        do {
            PieceKind kind;
            uint64_t step = q->subcluster_size - (at & (q->subcluster_size - 1));
            if (!part_kind(q, entry, bits, (unsigned)(in / q->subcluster_size), &kind))
                return qcow2_corrupt(q,
                                     "the L2 entry %#" G_GINT64_MODIFIER
                                     "x for offset %#" G_GINT64_MODIFIER "x makes no sense",
                                     entry, at);
            if (first) {
                *piece = (Piece){ .kind = kind, .host = host + in, .copied = entry & QCOW2_COPIED,
                                  .entry = entry,
                                  .bits = bits };
                if (kind == PIECE_PACKED) {
                    qcow2_packed_place(q, entry, &piece->host, &piece->packed_bytes);
                    piece->bytes = q->cluster_size - in;
                    return 0;
                }
                first = false;
            } else if (!same_kind(piece, kind, host + in, entry & QCOW2_COPIED)) {
                return 0;
            }
            piece->bytes += step;
            at += step;
            in += step;
        } while (in < q->cluster_size && at < offset + bytes);
    }
    return 0;
}

int qcow2_piece(Qcow2 *q, uint64_t offset, uint64_t bytes, bool load, Piece *piece)
{
    uint64_t l1_index = offset >> (q->cluster_bits + q->l2_bits),
             reach = q->cluster_size << q->l2_bits;
    uint64_t l2 = l1_index < q->l1_entries ? q->l1[l1_index] & QCOW2_OFFSET : 0;

    if (!l2) {
        *piece = (Piece){ .kind = PIECE_HOLE, .bytes = MIN(bytes, reach - (offset & (reach - 1))) };
        /* over neighbours without a table: sparse images are long */
        while (piece->bytes < bytes && ++l1_index < q->l1_entries &&
               !(q->l1[l1_index] & QCOW2_OFFSET))
            piece->bytes += reach;
        piece->bytes = MIN(piece->bytes, bytes);
        return 0;
    }
    if (l2 & (q->cluster_size - 1))
        return qcow2_corrupt(q,
                             "the L2 table %#" G_GINT64_MODIFIER "x of L1 entry %" G_GUINT64_FORMAT
                             " does not begin at a cluster",
                             l2, l1_index);
    uint64_t in_table = (offset >> q->cluster_bits & (qcow2_l2_entries(q) - 1)) * q->entry_size;
    uint64_t slice_at = l2 + (in_table & ~(uint64_t)(q->slice_size - 1));
    Slice *slice = qcow2_slice_look(q, slice_at);
    if (!slice && !load)
        return -EAGAIN;
    int r = 0;
    if (!slice && !qcow2_is_metadata(q, l2))
        return qcow2_corrupt(q,
                             "the L2 table %#" G_GINT64_MODIFIER "x of L1 entry %" G_GUINT64_FORMAT
                             " lies past the end of the file",
                             l2, l1_index);
    if (!slice)
        r = qcow2_slice_get(q, SLICE_L2, slice_at, false, &slice);
    else
        slice->pins++;
    if (r)
        return r;
    unsigned index = (unsigned)(in_table & (q->slice_size - 1)) / q->entry_size;
    r = walk(q, slice, index, q->slice_size / q->entry_size, offset, bytes, piece);
    qcow2_slice_put(q, slice);
    piece->bytes = MIN(piece->bytes, bytes);
    return r;
}

/* ---- tables that change -------------------------------------------------- */

static void l1_set(Qcow2 *q, uint32_t index, uint64_t entry)
{
    q->l1[index] = entry;
    q->l1_dirty_first = q->l1_dirty ? MIN(q->l1_dirty_first, index) : index;
    q->l1_dirty_end = q->l1_dirty ? MAX(q->l1_dirty_end, index + 1) : index + 1;
    q->l1_dirty = true;
}

/* A new table for index, empty or with what the old one has, which others share. */
static int make_table(Qcow2 *q, uint32_t index)
{
    uint64_t old = q->l1[index] & QCOW2_OFFSET;
    int64_t fresh = qcow2_alloc(q, 1, NULL);
    int r = 0;

    if (fresh < 0)
        return (int)fresh;
    for (uint64_t at = 0; at < q->cluster_size && !r; at += q->slice_size) {
        Slice *to, *from = NULL;
        r = qcow2_slice_get(q, SLICE_L2, (uint64_t)fresh + at, true, &to);
        if (r)
            break;
        if (old)
            r = qcow2_slice_get(q, SLICE_L2, old + at, false, &from);
        if (from) {
            memcpy(to->data, from->data, q->slice_size);
            qcow2_slice_put(q, from);
        }
        qcow2_slice_dirty(q, to);
        qcow2_slice_put(q, to);
    }
    if (r) {
        qcow2_slices_drop(q, (uint64_t)fresh, q->cluster_size);
        qcow2_refcount_add(q, (uint64_t)fresh >> q->cluster_bits, 1, -1);
        return r;
    }
    g_hash_table_add(q->metadata, GSIZE_TO_POINTER((uint64_t)fresh >> q->cluster_bits));
    l1_set(q, index, (uint64_t)fresh | QCOW2_COPIED);
    if (old)
        qcow2_free(q, old, q->cluster_size, false);
    return 0;
}

int qcow2_l2_for_write(Qcow2 *q, uint64_t offset, Slice **slice, unsigned *index)
{
    uint64_t l1_index = offset >> (q->cluster_bits + q->l2_bits);
    int r = 0;

    if (l1_index >= q->l1_entries)
        return -EFBIG;
    if (q->l1[l1_index] & QCOW2_OFFSET && !qcow2_is_metadata(q, q->l1[l1_index] & QCOW2_OFFSET))
        return qcow2_corrupt(q,
                             "the L2 table %#" G_GINT64_MODIFIER "x of L1 entry %" G_GUINT64_FORMAT
                             " cannot be there",
                             q->l1[l1_index] & QCOW2_OFFSET, l1_index);
    if (!(q->l1[l1_index] & QCOW2_OFFSET) || !(q->l1[l1_index] & QCOW2_COPIED))
        r = make_table(q, (uint32_t)l1_index);
    if (r)
        return r;
    uint64_t in_table = (offset >> q->cluster_bits & (qcow2_l2_entries(q) - 1)) * q->entry_size;
    *index = (unsigned)(in_table & (q->slice_size - 1)) / q->entry_size;
    return qcow2_slice_get(
        q, SLICE_L2, (q->l1[l1_index] & QCOW2_OFFSET) + (in_table & ~(uint64_t)(q->slice_size - 1)),
        false, slice);
}

int qcow2_l1_grow(Qcow2 *q, uint64_t entries)
{
    uint64_t clusters = qcow2_clusters(q, entries * 8), old = q->header.l1_offset,
             old_entries = q->l1_entries;

    if (entries <= q->l1_entries)
        return 0;
    if (entries * 8 > QCOW2_MAX_L1)
        return -EFBIG;
    int r = qcow2_flush_tables(q);
    if (r)
        return r;
    int64_t at = qcow2_alloc(q, clusters, NULL);
    if (at < 0)
        return (int)at;
    g_autofree uint8_t *out = g_malloc0(clusters << q->cluster_bits);
    for (uint32_t i = 0; i < q->l1_entries; i++)
        st_be64(out + 8 * (size_t)i, q->l1[i]);
    r = block_write(q->file, (uint64_t)at, out, clusters << q->cluster_bits, 0);
    if (!r)
        r = qcow2_flush_tables(q); /* its counts */
    if (!r)
        r = block_flush(q->file);
    if (!r) {
        uint8_t fields[12];
        st_be32(fields, (uint32_t)entries);
        st_be64(fields + 4, (uint64_t)at);
        r = block_write(q->file, 36, fields, sizeof fields, BLOCK_FUA);
    }
    if (r) {
        qcow2_refcount_add(q, (uint64_t)at >> q->cluster_bits, clusters, -1);
        return r;
    }
    q->l1 = g_renew(uint64_t, q->l1, entries);
    memset(q->l1 + q->l1_entries, 0, (entries - q->l1_entries) * 8);
    q->l1_entries = q->header.l1_entries = (uint32_t)entries;
    q->header.l1_offset = (uint64_t)at;
    if (old && old_entries)
        qcow2_free(q, old, old_entries * 8, false);
    return 0;
}
