/* SPDX-License-Identifier: MIT */
/*
 * Internal snapshots: a table of copies of the L1 table. Taking one counts everything the active
 * table leads to once more; from then on the first write to a cluster moves it elsewhere. The state
 * of a machine is kept behind the end of its disk, in the guest offsets that the disk does not use.
 */
#include "block/drivers/qcow2/qcow2_priv.h"

#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- the table ----------------------------------------------------------- */

static void clear_one(gpointer p)
{
    Qcow2Snapshot *s = p;
    block_snapshot_clear(&s->info);
    g_free(s->unknown);
}

void qcow2_snapshots_clear(Qcow2 *q)
{
    g_clear_pointer(&q->snapshots, g_array_unref);
}

static uint64_t parse_one(const Qcow2 *q, const uint8_t *p, uint64_t left, Qcow2Snapshot *s)
{
    if (left < 40)
        return 0;
    uint32_t id = ld_be16(p + 12), name = ld_be16(p + 14), extra = ld_be32(p + 36);
    if (extra > QCOW2_MAX_SNAPSHOT_EXTRA || left - 40 < (uint64_t)extra + id + name)
        return 0;
    const uint8_t *more = p + 40;
    *s = (Qcow2Snapshot){ .l1_offset = ld_be64(p), .l1_entries = ld_be32(p + 8), .extra = extra };
    s->info.date_ns = (int64_t)ld_be32(p + 16) * 1000000000 + ld_be32(p + 20);
    s->info.vm_clock_ns = (int64_t)ld_be64(p + 24);
    s->info.vm_state_size = extra >= 8 ? ld_be64(more) : ld_be32(p + 32);
    s->info.disk_size = extra >= 16 ? ld_be64(more + 8) : q->header.size;
    s->info.icount = extra >= 24 ? (int64_t)ld_be64(more + 16) : -1;
    if (extra > 24) {
        s->unknown_len = extra - 24;
        s->unknown = g_memdup2(more + 24, s->unknown_len);
    }
    s->info.id = g_strndup((const char *)more + extra, id);
    s->info.name = g_strndup((const char *)more + extra + id, name);
    return round_up(40 + (uint64_t)extra + id + name, 8);
}

bool qcow2_snapshots_load(Qcow2 *q, GError **error)
{
    const char *file = block_node_file(q->node);
    uint64_t offset = q->header.snapshots_offset, size = block_size(q->file), at = 0;

    q->snapshots = g_array_new(FALSE, TRUE, sizeof(Qcow2Snapshot));
    g_array_set_clear_func(q->snapshots, clear_one);
    if (!q->header.n_snapshots)
        return true;
    if (offset >= size)
        return fail(error,
                    "%s: the snapshot table at %#" G_GINT64_MODIFIER "x lies past the file's end",
                    file, offset);
    uint64_t len = MIN(size - offset, QCOW2_MAX_SNAPSHOT_TABLE);
    g_autofree uint8_t *table = g_malloc(len);
    int r = block_read(q->file, offset, table, len);
    if (r)
        return fail_errno(error, -r, "%s: its snapshot table", file);
    for (uint32_t i = 0; i < q->header.n_snapshots; i++) {
        Qcow2Snapshot s;
        uint64_t n = at < len ? parse_one(q, table + at, len - at, &s) : 0;
        if (!n)
            return fail(error, "%s: snapshot %u of %u, at %#" G_GINT64_MODIFIER "x, makes no sense",
                        file, i + 1, q->header.n_snapshots, offset + at);
        g_array_append_val(q->snapshots, s);
        if (s.l1_offset & (q->cluster_size - 1) || (uint64_t)s.l1_entries * 8 > QCOW2_MAX_L1)
            return fail(error,
                        "%s: snapshot %u: its L1 table at %#" G_GINT64_MODIFIER
                        "x (%u entries) makes no sense",
                        file, i + 1, s.l1_offset, s.l1_entries);
        at += n;
    }
    return true;
}

uint64_t qcow2_snapshot_bytes(const Qcow2Snapshot *s)
{
    return round_up(40 + (uint64_t)s->extra + strlen(s->info.id) + strlen(s->info.name), 8);
}

static void put_one(GByteArray *out, Qcow2Snapshot *s)
{
    s->extra = 24 + s->unknown_len;
    static const uint8_t zeroes[8];
    uint8_t p[40 + 24] = { 0 };
    uint32_t id = (uint32_t)strlen(s->info.id), name = (uint32_t)strlen(s->info.name);

    st_be64(p, s->l1_offset);
    st_be32(p + 8, s->l1_entries);
    st_be16(p + 12, (uint16_t)id);
    st_be16(p + 14, (uint16_t)name);
    st_be32(p + 16, (uint32_t)(s->info.date_ns / 1000000000));
    st_be32(p + 20, (uint32_t)(s->info.date_ns % 1000000000));
    st_be64(p + 24, (uint64_t)s->info.vm_clock_ns);
    st_be32(p + 32, s->info.vm_state_size > UINT32_MAX ? 0 : (uint32_t)s->info.vm_state_size);
    st_be32(p + 36, 24 + s->unknown_len);
    st_be64(p + 40, s->info.vm_state_size);
    st_be64(p + 48, s->info.disk_size);
    st_be64(p + 56, (uint64_t)s->info.icount);
    g_byte_array_append(out, p, sizeof p);
    g_byte_array_append(out, s->unknown, s->unknown_len);
    g_byte_array_append(out, (const uint8_t *)s->info.id, id);
    g_byte_array_append(out, (const uint8_t *)s->info.name, name);
    g_byte_array_append(out, zeroes, (guint)(round_up(out->len, 8) - out->len));
}

/* With the lock: a new table in place of the old one. */
static int write_snapshots(Qcow2 *q)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    uint64_t old = q->header.snapshots_offset, old_len = 0, at = 0;
    uint32_t old_n = q->header.n_snapshots;
    uint8_t fields[12];
    int r = 0;

    for (unsigned i = 0; i < q->snapshots->len; i++)
        put_one(out, &g_array_index(q->snapshots, Qcow2Snapshot, i));
    if (out->len > QCOW2_MAX_SNAPSHOT_TABLE)
        return -EFBIG;
    if (out->len) {
        int64_t got = qcow2_alloc(q, qcow2_clusters(q, out->len), NULL);
        if (got < 0)
            return (int)got;
        at = (uint64_t)got;
        r = block_write(q->file, at, out->data, out->len, 0);
    }
    if (!r)
        r = qcow2_flush_tables(q);
    if (!r)
        r = block_flush(q->file);
    st_be32(fields, q->snapshots->len);
    st_be64(fields + 4, at);
    if (!r)
        r = block_write(q->file, 60, fields, sizeof fields, BLOCK_FUA);
    if (r) {
        if (out->len)
            qcow2_refcount_add(q, at >> q->cluster_bits, qcow2_clusters(q, out->len), -1);
        return r;
    }
    q->header.snapshots_offset = at;
    q->header.n_snapshots = q->snapshots->len;
    if (!old_n)
        return 0;
    /* how long the old one was */
    uint64_t size = block_size(q->file), len = MIN(size - old, QCOW2_MAX_SNAPSHOT_TABLE);
    g_autofree uint8_t *table = g_malloc(len);
    if (block_read(q->file, old, table, len))
        return 0; /* a leak */
    for (uint32_t i = 0; i < old_n && old_len < len; i++) {
        const uint8_t *p = table + old_len;
        old_len += round_up(40 + (uint64_t)ld_be32(p + 36) + ld_be16(p + 12) + ld_be16(p + 14), 8);
    }
    qcow2_free(q, old, old_len, false);
    return 0;
}

/* ---- counting what a table leads to -------------------------------------- */

/* The data clusters one L2 slice names, and their COPIED flags. */
static int count_slice(Qcow2 *q, Slice *slice, bool active, int change)
{
    unsigned entries = q->slice_size / q->entry_size;

    for (unsigned i = 0; i < entries; i++) {
        uint64_t entry = qcow2_entry(q, slice, i), at = entry & QCOW2_OFFSET, count = 0;
        int r = 0;
        if (entry & QCOW2_COMPRESSED) {
            uint32_t bytes;
            qcow2_packed_place(q, entry, &at, &bytes);
            uint64_t first = at >> q->cluster_bits, end = ((at + bytes - 1) >> q->cluster_bits) + 1;
            if (change < 0)
                qcow2_free(q, at, bytes, q->discard_snapshot);
            else if (change)
                r = qcow2_refcount_add(q, first, end - first, change);
            if (r)
                return r;
            continue;
        }
        if (!at || q->data)
            continue;
        if (at & (q->cluster_size - 1))
            return qcow2_corrupt(
                q, "an L2 entry names %#" G_GINT64_MODIFIER "x, which is no cluster", at);
        if (change < 0)
            qcow2_free(q, at, q->cluster_size, q->discard_snapshot);
        else if (change)
            r = qcow2_refcount_add(q, at >> q->cluster_bits, 1, change);
        if (!r && active)
            r = qcow2_refcount(q, at >> q->cluster_bits, &count);
        if (r)
            return r;
        uint64_t want = active && count == 1 ? entry | QCOW2_COPIED : entry & ~QCOW2_COPIED;
        if (active && want != entry)
            qcow2_entry_set(q, slice, i, want, qcow2_entry_bits(q, slice, i));
    }
    return 0;
}

int qcow2_count_table(Qcow2 *q, uint64_t *l1, uint32_t entries, bool active, int change)
{
    for (uint32_t i = 0; i < entries; i++) {
        uint64_t l2 = l1[i] & QCOW2_OFFSET, count = 0;
        int r = 0;
        if (!l2)
            continue;
        if (l2 & (q->cluster_size - 1) || (!qcow2_is_metadata(q, l2) && l2 >= block_size(q->file)))
            return qcow2_corrupt(
                q, "the L2 table %#" G_GINT64_MODIFIER "x of L1 entry %u cannot be there", l2, i);
        for (uint64_t at = 0; at < q->cluster_size; at += q->slice_size) {
            Slice *slice;
            r = qcow2_slice_get(q, SLICE_L2, l2 + at, false, &slice);
            if (r)
                return r;
            r = count_slice(q, slice, active, change);
            qcow2_slice_put(q, slice);
            if (r)
                return r;
        }
        if (change < 0)
            qcow2_free(q, l2, q->cluster_size, q->discard_snapshot);
        else if (change)
            r = qcow2_refcount_add(q, l2 >> q->cluster_bits, 1, change);
        if (!r && active)
            r = qcow2_refcount(q, l2 >> q->cluster_bits, &count);
        if (r)
            return r;
        uint64_t want = count == 1 ? l2 | QCOW2_COPIED : l2;
        if (active && want != l1[i]) {
            l1[i] = want;
            q->l1_dirty_first = q->l1_dirty ? MIN(q->l1_dirty_first, i) : i;
            q->l1_dirty_end = q->l1_dirty ? MAX(q->l1_dirty_end, i + 1) : i + 1;
            q->l1_dirty = true;
        }
    }
    return 0;
}

/* ---- the operations ------------------------------------------------------ */

/* Where the machine's state begins. */
static uint64_t state_offset(const Qcow2 *q)
{
    return qcow2_l1_needed(q->header.size, q->cluster_bits, q->l2_bits)
           << (q->cluster_bits + q->l2_bits);
}

static int find(const Qcow2 *q, const char *which)
{
    for (unsigned turn = 0; turn < 2; turn++)
        for (unsigned i = 0; i < q->snapshots->len; i++) {
            const Qcow2Snapshot *s = &g_array_index(q->snapshots, Qcow2Snapshot, i);
            if (!strcmp(turn ? s->info.name : s->info.id, which))
                return (int)i;
        }
    return -1;
}

static bool found(Qcow2 *q, const char *which, int *index, GError **error)
{
    *index = find(q, which);
    return *index >= 0 ||
           fail(error, "%s: there is no snapshot '%s'", block_node_file(q->node), which);
}

static char *next_id(const Qcow2 *q)
{
    unsigned long most = 0;

    for (unsigned i = 0; i < q->snapshots->len; i++) {
        unsigned long id = strtoul(g_array_index(q->snapshots, Qcow2Snapshot, i).info.id, NULL, 10);
        most = MAX(most, id);
    }
    return g_strdup_printf("%lu", most + 1);
}

/* With the lock: an L1 table of the snapshot's own. */
static int copy_l1(Qcow2 *q, Qcow2Snapshot *s)
{
    uint64_t bytes = (uint64_t)q->l1_entries * 8;
    g_autofree uint8_t *out = g_malloc0(MAX(bytes, 8));
    int64_t at = qcow2_alloc(q, MAX(qcow2_clusters(q, bytes), 1), NULL);

    if (at < 0)
        return (int)at;
    for (uint32_t i = 0; i < q->l1_entries; i++)
        st_be64(out + 8 * (size_t)i, q->l1[i] & ~QCOW2_COPIED);
    int r = block_write(q->file, (uint64_t)at, out, MAX(bytes, 8), 0);
    if (r) {
        qcow2_refcount_add(q, (uint64_t)at >> q->cluster_bits, MAX(qcow2_clusters(q, bytes), 1),
                           -1);
        return r;
    }
    s->l1_offset = (uint64_t)at;
    s->l1_entries = q->l1_entries;
    return 0;
}

static bool take(BlockNode *node, BlockSnapshot *wanted, GError **error)
{
    Qcow2 *q = qcow2_of(node);
    const char *file = block_node_file(node);
    Qcow2Snapshot s = { 0 };

    if (q->snapshots->len >= QCOW2_MAX_SNAPSHOTS)
        return fail(error, "%s: it has %d snapshots already", file, QCOW2_MAX_SNAPSHOTS);
    if (q->data)
        return fail(error, "%s: an image with a data file has no snapshots", file);
    if (wanted->id && find(q, wanted->id) >= 0)
        return fail(error, "%s: there is a snapshot '%s' already", file, wanted->id);
    if (strlen(wanted->name ? wanted->name : "") > UINT16_MAX)
        return fail(error, "%s: the snapshot's name is too long", file);
    s.info = *wanted;
    s.info.id = wanted->id ? g_strdup(wanted->id) : next_id(q);
    s.info.name = g_strdup(wanted->name ? wanted->name : "");
    s.info.disk_size = q->header.size;
    s.extra = 24;
    pthread_mutex_lock(&q->lock);
    int r = q->broken ? -EIO : qcow2_flush_tables(q);
    if (!r)
        r = copy_l1(q, &s);
    if (!r)
        r = qcow2_count_table(q, q->l1, q->l1_entries, true, 1);
    if (!r) {
        g_array_append_val(q->snapshots, s);
        r = write_snapshots(q);
        if (r) {
            g_array_set_size(q->snapshots, q->snapshots->len - 1); /* clears it */
            qcow2_count_table(q, q->l1, q->l1_entries, true, -1);
        }
    } else {
        block_snapshot_clear(&s.info);
    }
    /* the machine's state is the snapshot's now */
    uint64_t first = state_offset(q) >> q->cluster_bits,
             end = (uint64_t)q->l1_entries << q->l2_bits;
    if (!r && first < end)
        r = qcow2_unmap(q, first, end, false);
    pthread_mutex_unlock(&q->lock);
    if (r)
        return fail_errno(error, -r, "%s: no snapshot could be taken", file);
    if (!wanted->id)
        wanted->id =
            g_strdup(g_array_index(q->snapshots, Qcow2Snapshot, q->snapshots->len - 1).info.id);
    return true;
}

/* A snapshot's L1 table, host order; NULL with *r set. Caller frees. */
static uint64_t *read_l1(Qcow2 *q, const Qcow2Snapshot *s, int *r)
{
    uint64_t *l1 = g_new0(uint64_t, MAX(s->l1_entries, 1));

    *r = s->l1_entries ? block_read(q->file, s->l1_offset, l1, (uint64_t)s->l1_entries * 8) : 0;
    if (*r) {
        g_free(l1);
        return NULL;
    }
    for (uint32_t i = 0; i < s->l1_entries; i++)
        l1[i] = ld_be64(&l1[i]);
    return l1;
}

static void l1_all_dirty(Qcow2 *q)
{
    q->l1_dirty = true;
    q->l1_dirty_first = 0;
    q->l1_dirty_end = q->l1_entries;
}

/* With the lock: the active table becomes that of s. The old clusters lose a user when all that is
 * on disk. */
static int go_back(Qcow2 *q, const Qcow2Snapshot *s)
{
    int r = qcow2_flush_tables(q);
    if (r)
        return r;
    g_autofree uint64_t *l1 = read_l1(q, s, &r);
    if (!r)
        r = qcow2_l1_grow(q, s->l1_entries);
    if (!r)
        r = qcow2_count_table(q, l1, s->l1_entries, false, 1);
    if (r)
        return r;
    g_autofree uint64_t *old = g_memdup2(q->l1, (size_t)q->l1_entries * 8);
    memset(q->l1, 0, (size_t)q->l1_entries * 8);
    for (uint32_t i = 0; i < s->l1_entries; i++)
        q->l1[i] = l1[i] & QCOW2_OFFSET;
    qcow2_note_metadata(q);
    l1_all_dirty(q);
    r = qcow2_flush_tables(q);
    if (r)
        return r;
    r = qcow2_count_table(q, old, q->l1_entries, false, -1);
    if (!r)
        r = qcow2_flush_tables(q);
    /* what only the active table uses now may be written in place */
    if (!r)
        r = qcow2_count_table(q, q->l1, q->l1_entries, true, 0);
    return r ? r : qcow2_flush_tables(q);
}

static bool revert(BlockNode *node, const char *which, GError **error)
{
    Qcow2 *q = qcow2_of(node);
    int i;

    if (!found(q, which, &i, error))
        return false;
    if (q->data)
        return fail(error, "%s: an image with a data file has no snapshots", block_node_file(node));
    const Qcow2Snapshot *s = &g_array_index(q->snapshots, Qcow2Snapshot, i);
    if (s->info.disk_size != q->header.size &&
        !qcow2_resize(node, s->info.disk_size, BLOCK_PREALLOC_OFF, error))
        return false;
    pthread_mutex_lock(&q->lock);
    int r = q->broken ? -EIO : go_back(q, s);
    pthread_mutex_unlock(&q->lock);
    if (r)
        return fail_errno(error, -r, "%s: going back to snapshot '%s'", block_node_file(node),
                          which);
    return true;
}

static bool drop(BlockNode *node, const char *which, GError **error)
{
    Qcow2 *q = qcow2_of(node);
    int i, r = 0;

    if (!found(q, which, &i, error))
        return false;
    pthread_mutex_lock(&q->lock);
    Qcow2Snapshot s = g_array_index(q->snapshots, Qcow2Snapshot, i);
    g_autofree uint64_t *l1 = read_l1(q, &s, &r);
    if (!r) {
        /* off the table first: a crash in between leaks, no more */
        Qcow2Snapshot *kept = g_new(Qcow2Snapshot, q->snapshots->len);
        unsigned n = q->snapshots->len;
        memcpy(kept, q->snapshots->data, n * sizeof *kept);
        g_array_set_clear_func(q->snapshots, NULL);
        g_array_remove_index(q->snapshots, (guint)i);
        r = write_snapshots(q);
        if (r) {
            g_array_set_size(q->snapshots, 0);
            g_array_append_vals(q->snapshots, kept, n);
        }
        g_array_set_clear_func(q->snapshots, clear_one);
        g_free(kept);
    }
    if (!r) {
        r = qcow2_count_table(q, l1, s.l1_entries, false, -1);
        qcow2_free(q, s.l1_offset, MAX((uint64_t)s.l1_entries * 8, 8), q->discard_snapshot);
        if (!r)
            r = qcow2_flush_tables(q);
        if (!r)
            r = qcow2_count_table(q, q->l1, q->l1_entries, true, 0);
        if (!r)
            r = qcow2_flush_tables(q);
        clear_one(&s);
    }
    pthread_mutex_unlock(&q->lock);
    return !r || fail_errno(error, -r, "%s: deleting snapshot '%s'", block_node_file(node), which);
}

static GArray *list(BlockNode *node, GError **error)
{
    Qcow2 *q = qcow2_of(node);
    GArray *all = g_array_new(FALSE, TRUE, sizeof(BlockSnapshot));

    g_array_set_clear_func(all, (GDestroyNotify)block_snapshot_clear);
    for (unsigned i = 0; i < q->snapshots->len; i++) {
        BlockSnapshot s = g_array_index(q->snapshots, Qcow2Snapshot, i).info;
        s.id = g_strdup(s.id);
        s.name = g_strdup(s.name);
        g_array_append_val(all, s);
    }
    return all;
}

static bool load(BlockNode *node, const char *which, GError **error)
{
    Qcow2 *q = qcow2_of(node);
    int i, r;

    if (!found(q, which, &i, error))
        return false;
    if (!block_node_read_only(node))
        return fail(error, "%s: a snapshot can only be looked at read-only", block_node_file(node));
    const Qcow2Snapshot *s = &g_array_index(q->snapshots, Qcow2Snapshot, i);
    pthread_mutex_lock(&q->lock);
    uint64_t *l1 = read_l1(q, s, &r);
    if (l1) {
        g_free(q->l1);
        q->l1 = l1;
        q->l1_entries = s->l1_entries;
        q->header.size = s->info.disk_size;
        qcow2_note_metadata(q);
    }
    pthread_mutex_unlock(&q->lock);
    if (!l1)
        return fail_errno(error, -r, "%s: the L1 table of snapshot '%s'", block_node_file(node),
                          which);
    return block_node_refresh(node, error);
}

/* ---- the machine's state ------------------------------------------------- */

static uint64_t total(const struct iovec *iov, int iovcnt)
{
    uint64_t n = 0;
    for (int i = 0; i < iovcnt; i++)
        n += iov[i].iov_len;
    return n;
}

/* State comes in any lengths, ciphers work on sectors: between iov and the middle of a buffer of
 * whole ones, of which what is around is read before it is written. */
static int ragged_state(BlockNode *node, uint64_t at, const struct iovec *iov, int iovcnt,
                        bool write)
{
    uint64_t start = at & ~UINT64_C(511), bytes = total(iov, iovcnt),
             n = round_up(at + bytes, 512) - start;
    uint8_t *buf = malloc(n);

    if (!buf)
        return -ENOMEM;
    int r = qcow2_read(node, start, n, &(struct iovec){ buf, n }, 1);
    uint8_t *p = buf + (at - start);
    for (int i = 0; i < iovcnt && !r; p += iov[i++].iov_len)
        memcpy(write ? p : iov[i].iov_base, write ? iov[i].iov_base : p, iov[i].iov_len);
    if (!r && write)
        r = qcow2_write(node, start, n, &(struct iovec){ buf, n }, 1, 0);
    free(buf);
    return r;
}

static bool is_ragged(const Qcow2 *q, uint64_t at, uint64_t bytes)
{
    return qcow2_encrypted(q) && (at | bytes) & (CRYPTO_SECTOR - 1);
}

static int read_state(BlockNode *node, uint64_t offset, const struct iovec *iov, int iovcnt)
{
    uint64_t at = state_offset(qcow2_of(node)) + offset, bytes = total(iov, iovcnt);

    return is_ragged(qcow2_of(node), at, bytes) ? ragged_state(node, at, iov, iovcnt, false)
                                                : qcow2_read(node, at, bytes, iov, iovcnt);
}

static int write_state(BlockNode *node, uint64_t offset, const struct iovec *iov, int iovcnt)
{
    Qcow2 *q = qcow2_of(node);
    uint64_t at = state_offset(q) + offset, bytes = total(iov, iovcnt);

    pthread_mutex_lock(&q->lock);
    int r = qcow2_l1_grow(q, ((at + bytes - 1) >> (q->cluster_bits + q->l2_bits)) + 1);
    pthread_mutex_unlock(&q->lock);
    if (r)
        return r;
    return is_ragged(q, at, bytes) ? ragged_state(node, at, iov, iovcnt, true)
                                   : qcow2_write(node, at, bytes, iov, iovcnt, 0);
}

const BlockSnapshotOps qcow2_snapshot_ops = { take, revert,     drop,       list,
                                              load, read_state, write_state };
