/* SPDX-License-Identifier: MIT */
/*
 * Parts of tables in memory: slices of at most 4 KiB of L2 tables and reference count blocks, found
 * by their offset, thrown out by a clock, and the order in which all tables reach the disk
 * (qcow2_priv.h says why). All with the lock held.
 */
#include "block/drivers/qcow2/qcow2_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void qcow2_slices_init(Qcow2 *q, uint64_t bytes)
{
    q->slices.by_offset = g_hash_table_new(g_int64_hash, g_int64_equal);
    q->slices.all = g_ptr_array_new();
    q->slices.most = (unsigned)MAX(64, bytes / q->slice_size);
}

static void slice_free(Slice *s)
{
    g_free(s->data);
    g_free(s);
}

void qcow2_slices_clear(Qcow2 *q)
{
    for (unsigned i = 0; q->slices.all && i < q->slices.all->len; i++)
        slice_free(q->slices.all->pdata[i]);
    g_clear_pointer(&q->slices.all, g_ptr_array_unref);
    g_clear_pointer(&q->slices.by_offset, g_hash_table_unref);
}

Slice *qcow2_slice_look(Qcow2 *q, uint64_t offset)
{
    Slice *s = g_hash_table_lookup(q->slices.by_offset, &offset);

    if (s)
        s->used = true;
    return s;
}

static void forget(Qcow2 *q, unsigned i)
{
    Slice *s = q->slices.all->pdata[i];

    q->slices.dirty -= s->dirty;
    g_hash_table_remove(q->slices.by_offset, &s->offset);
    g_ptr_array_remove_index_fast(q->slices.all, i);
    slice_free(s);
}

/* Throws out one that is not in use, clean if there is one. */
static int make_room(Qcow2 *q)
{
    Slices *all = &q->slices;

    for (unsigned turn = 0; turn < 2; turn++) {
        for (unsigned n = 0; n < 2 * all->all->len; n++) {
            all->hand = all->hand + 1 < all->all->len ? all->hand + 1 : 0;
            Slice *s = all->all->pdata[all->hand];
            if (!s->pins && !s->dirty && !s->used) {
                forget(q, all->hand);
                return 0;
            }
            s->used = false;
        }
        int r = qcow2_flush_tables(q);
        if (r)
            return r;
    }
    return 0; /* all are pinned: one more, then */
}

int qcow2_slice_get(Qcow2 *q, SliceKind kind, uint64_t offset, bool fresh, Slice **slice)
{
    Slice *s = qcow2_slice_look(q, offset);

    if (!s) {
        if (q->slices.all->len >= q->slices.most) {
            int r = make_room(q);
            if (r)
                return r;
        }
        s = g_new0(Slice, 1);
        s->offset = offset;
        s->data = g_malloc0(q->slice_size);
        int r = fresh ? 0 : block_read(q->file, offset, s->data, q->slice_size);
        if (r) {
            slice_free(s);
            return r;
        }
        g_hash_table_insert(q->slices.by_offset, &s->offset, s);
        g_ptr_array_add(q->slices.all, s);
    } else if (fresh) {
        memset(s->data, 0, q->slice_size);
    }
    s->kind = kind;
    s->used = true;
    s->pins++;
    *slice = s;
    return 0;
}

void qcow2_slice_put(Qcow2 *q, Slice *slice)
{
    slice->pins--;
}

void qcow2_slice_dirty(Qcow2 *q, Slice *slice)
{
    q->slices.dirty += !slice->dirty;
    slice->dirty = true;
}

void qcow2_slices_drop(Qcow2 *q, uint64_t offset, uint64_t bytes)
{
    for (unsigned i = 0; i < q->slices.all->len;) {
        Slice *s = q->slices.all->pdata[i];
        if (s->offset >= offset && s->offset - offset < bytes && !s->pins)
            forget(q, i);
        else
            i++;
    }
}

/* ---- to the disk --------------------------------------------------------- */

static int by_offset(const void *a, const void *b)
{
    const Slice *x = *(Slice *const *)a, *y = *(Slice *const *)b;

    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Changed slices of a kind, in the file's order, neighbours in one write. */
static int write_kind(Qcow2 *q, SliceKind kind)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new();
    struct iovec iov[64];
    int r = 0;

    for (unsigned i = 0; i < q->slices.all->len; i++) {
        Slice *s = q->slices.all->pdata[i];
        if (s->dirty && s->kind == kind)
            g_ptr_array_add(list, s);
    }
    if (list->len)
        qsort(list->pdata, list->len, sizeof *list->pdata, by_offset);
    for (unsigned i = 0, n; i < list->len; i += n) {
        Slice *first = list->pdata[i];
        for (n = 0; n < G_N_ELEMENTS(iov) && i + n < list->len; n++) {
            Slice *s = list->pdata[i + n];
            if (s->offset != first->offset + (uint64_t)n * q->slice_size)
                break;
            iov[n] = (struct iovec){ s->data, q->slice_size };
        }
        r = block_writev(q->file, first->offset, iov, (int)n, 0);
        if (r)
            return r;
        for (unsigned k = 0; k < n; k++) {
            ((Slice *)list->pdata[i + k])->dirty = false;
            q->slices.dirty--;
        }
    }
    return 0;
}

static bool any(const Qcow2 *q, SliceKind kind)
{
    for (unsigned i = 0; q->slices.dirty && i < q->slices.all->len; i++) {
        const Slice *s = q->slices.all->pdata[i];
        if (s->dirty && s->kind == kind)
            return true;
    }
    return false;
}

static int write_reftable(Qcow2 *q)
{
    if (!q->reftable_dirty)
        return 0;
    uint64_t bytes = (uint64_t)q->reftable_entries * 8;
    g_autofree uint8_t *out = g_malloc(bytes);
    for (uint32_t i = 0; i < q->reftable_entries; i++)
        st_be64(out + 8 * (size_t)i, q->reftable[i]);
    int r = block_write(q->file, q->header.reftable_offset, out, bytes, 0);
    if (!r)
        q->reftable_dirty = false;
    return r;
}

static int write_l1(Qcow2 *q)
{
    uint32_t first = q->l1_dirty_first, n = q->l1_dirty_end - first;
    g_autofree uint8_t *out = g_malloc((size_t)n * 8);

    for (uint32_t i = 0; i < n; i++)
        st_be64(out + 8 * (size_t)i, q->l1[first + i]);
    int r =
        block_write(q->file, q->header.l1_offset + 8 * (uint64_t)first, out, (uint64_t)n * 8, 0);
    if (!r)
        q->l1_dirty = false;
    return r;
}

int qcow2_flush_tables(Qcow2 *q)
{
    bool l2 = any(q, SLICE_L2);
    int r = 0;

    if (!(q->header.incompatible &
          QCOW2_DIRTY)) { /* else they are mended when it is opened again */
        r = write_kind(q, SLICE_REFCOUNT);
        if (!r)
            r = write_reftable(q);
    }
    if (!r && (l2 || q->l1_dirty))
        r = block_flush(q->file);
    if (!r && q->data && (l2 || q->l1_dirty))
        r = block_flush(q->data);
    if (!r && l2)
        r = write_kind(q, SLICE_L2);
    if (!r && q->l1_dirty) {
        r = l2 ? block_flush(q->file) : 0;
        if (!r)
            r = write_l1(q);
    }
    if (!r && q->limbo->len) {
        r = block_flush(q->file);
        if (!r)
            r = qcow2_settle_limbo(q);
    }
    return r;
}
