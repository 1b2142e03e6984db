/* SPDX-License-Identifier: MIT */
/*
 * Is the image sound? Everything the header leads to is counted, cluster by cluster, and compared
 * with the reference counts on disk. Too high a count is a leak and harmless; too low a one, or an
 * entry that leads nowhere, is damage.
 *
 * Mending. Leaks: the counts are lowered. Counts that are too low or whose blocks are not where
 * they should be: a new set of counts is written behind all that is used, and the header switched
 * to it last. Entries that lead nowhere are cleared, COPIED flags set by the counts.
 *
 * Memory: one byte a cluster of the file, and a hash table for those used more than 254 times.
 */
#include "block/drivers/qcow2/qcow2_priv.h"

#include "base/error.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { MANY = 255 }; /* the count is in the hash table */

typedef struct {
    Qcow2 *q;
    uint64_t clusters;  /* of the file */
    uint64_t highest;   /* end of those that are used */
    uint8_t *counts;
    GHashTable *many;   /* cluster to its count */
    Qcow2Counts stored;
    unsigned fix;
    bool blocks_wrong;  /* counts must be written anew */
    BlockCheck *res;
    void (*say)(void *opaque, const char *line);
    void *opaque;
    uint64_t next_contiguous;
} Check;

static void say(Check *c, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
static void say(Check *c, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    g_autofree char *line = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    if (c->say)
        c->say(c->opaque, line);
}

/* ---- counting ------------------------------------------------------------ */

static uint64_t counted(const Check *c, uint64_t cluster)
{
    if (c->counts[cluster] < MANY)
        return c->counts[cluster];
    return GPOINTER_TO_SIZE(g_hash_table_lookup(c->many, GSIZE_TO_POINTER(cluster)));
}

static void count_one(Check *c, uint64_t cluster)
{
    if (c->counts[cluster] < MANY - 1) {
        c->counts[cluster]++;
        return;
    }
    uint64_t n = counted(c, cluster) + 1;
    c->counts[cluster] = MANY;
    g_hash_table_insert(c->many, GSIZE_TO_POINTER(cluster), GSIZE_TO_POINTER(n));
}

static void uncount(Check *c, uint64_t cluster)
{
    uint64_t n = cluster < c->clusters ? counted(c, cluster) : 0;

    if (n && c->counts[cluster] < MANY)
        c->counts[cluster]--;
    else if (n)
        g_hash_table_insert(c->many, GSIZE_TO_POINTER(cluster), GSIZE_TO_POINTER(n - 1));
}

/* False: it is not in the file. */
static bool count(Check *c, uint64_t offset, uint64_t bytes, const char *what)
{
    if (!bytes)
        return true;
    uint64_t first = offset >> c->q->cluster_bits,
             end = ((offset + bytes - 1) >> c->q->cluster_bits) + 1;

    if (offset + bytes < offset || end > c->clusters) {
        say(c, "ERROR %s at %#" PRIx64 " (%" PRIu64 " bytes) lies past the end of the file", what,
            offset, bytes);
        c->res->corruptions++;
        return false;
    }
    for (uint64_t i = first; i < end; i++)
        count_one(c, i);
    c->highest = MAX(c->highest, end);
    return true;
}

/* ---- tables -------------------------------------------------------------- */

static void count_entry_stats(Check *c, uint64_t entry, uint64_t at)
{
    c->res->allocated_clusters++;
    if (entry & QCOW2_COMPRESSED) {
        c->res->compressed_clusters++;
        c->res->fragmented_clusters++;
        return;
    }
    if (c->next_contiguous && at != c->next_contiguous)
        c->res->fragmented_clusters++;
    c->next_contiguous = at + c->q->cluster_size;
}

/* False: it makes no sense and has been said. */
static bool check_entry(Check *c, uint64_t l2, unsigned index, uint64_t entry, uint64_t bits,
                        bool active)
{
    Qcow2 *q = c->q;
    uint64_t at = entry & QCOW2_OFFSET, in = at & (q->cluster_size - 1);
    bool there = at || (q->data && entry & QCOW2_COPIED);

    if (entry & QCOW2_COMPRESSED) {
        uint32_t bytes;
        if (q->data || entry & QCOW2_COPIED) {
            say(c,
                q->data ? "ERROR compressed cluster %" PRIx64 " with data file"
                        : "ERROR: coffset=%#" PRIx64
                          ": copied flag must never be set for compressed clusters",
                entry);
            return false;
        }
        qcow2_packed_place(q, entry, &at, &bytes);
        /* the last sector may be the file's last and short */
        uint64_t end = c->clusters << q->cluster_bits;
        if (at < end && at + bytes > end)
            bytes = (uint32_t)(end - at);
        if (!count(c, at, bytes, "compressed cluster"))
            return false;
        if (active)
            count_entry_stats(c, entry, at);
        return true;
    }
    if (q->subclusters > 1 && (bits & bits >> 32 & UINT32_MAX)) {
        say(c,
            "ERROR offset=%" PRIx64
            ": Allocated/zero subclusters overlap, L2 entry %u of %#" PRIx64,
            at, index, l2);
        return false;
    }
    if (q->subclusters > 1 && !there && bits & UINT32_MAX) {
        say(c,
            "ERROR subclusters are marked as allocated, but L2 entry %u of %#" PRIx64
            " has no cluster",
            index, l2);
        return false;
    }
    if (!there)
        return true;
    if (in) {
        say(c, "ERROR offset=%" PRIx64 ": Cluster is not properly aligned; L2 entry corrupted.",
            at);
        return false;
    }
    if (!q->data && !count(c, at, q->cluster_size, "data cluster"))
        return false;
    if (active)
        count_entry_stats(c, entry, at);
    return true;
}

static int clear_entry(Check *c, uint64_t l2, unsigned index)
{
    uint8_t nothing[16] = { 0 };

    if (!(c->fix & BLOCK_CHECK_FIX_ERRORS))
        return 0;
    int r = block_write(c->q->file, l2 + (uint64_t)index * c->q->entry_size, nothing,
                        c->q->entry_size, 0);
    if (!r)
        c->res->corruptions_fixed++;
    return r;
}

static int check_l2(Check *c, uint64_t l2, uint8_t *table, bool active)
{
    Qcow2 *q = c->q;
    int r = block_read(q->file, l2, table, q->cluster_size);

    c->next_contiguous = 0; /* where a table begins nothing is expected */
    for (unsigned i = 0; !r && i < qcow2_l2_entries(q); i++) {
        const uint8_t *p = table + (size_t)i * q->entry_size;
        uint64_t entry = ld_be64(p), bits = q->entry_size == 16 ? ld_be64(p + 8) : 0;
        if (!entry && !bits)
            continue;
        uint64_t before = c->res->corruptions;
        if (check_entry(c, l2, i, entry, bits, active))
            continue;
        c->res->corruptions = before + 1;
        r = clear_entry(c, l2, i);
    }
    return r;
}

/* An L1 table at offset (host order in l1) and all below it. */
static int check_l1(Check *c, uint64_t offset, uint64_t *l1, uint32_t entries, bool active)
{
    Qcow2 *q = c->q;
    g_autofree uint8_t *table = g_malloc(q->cluster_size);
    int r = 0;

    if (entries &&
        !count(c, offset, (uint64_t)entries * 8, active ? "L1 table" : "L1 table of a snapshot"))
        return 0;
    for (uint32_t i = 0; !r && i < entries; i++) {
        uint64_t l2 = l1[i] & QCOW2_OFFSET, before = c->res->corruptions;
        bool bad = l1[i] & QCOW2_L1_RESERVED || l2 & (q->cluster_size - 1);
        if (!l1[i])
            continue;
        if (bad)
            say(c, "ERROR l1_entry=%" PRIx64 " (index %u): no L2 table can be there", l1[i], i);
        if (l2 && !bad)
            bad = !count(c, l2, q->cluster_size, "L2 table");
        if (!bad) {
            if (l2)
                r = check_l2(c, l2, table, active);
            continue;
        }
        c->res->corruptions = before + 1;
        if (!(c->fix & BLOCK_CHECK_FIX_ERRORS))
            continue;
        uint8_t nothing[8] = { 0 };
        r = block_write(q->file, offset + 8 * (uint64_t)i, nothing, 8, 0);
        if (!r) {
            c->res->corruptions_fixed++;
            l1[i] = 0;
        }
    }
    return r;
}

static int check_snapshots(Check *c)
{
    Qcow2 *q = c->q;
    uint64_t bytes = 0;

    for (unsigned i = 0; i < q->snapshots->len; i++) {
        const Qcow2Snapshot *s = &g_array_index(q->snapshots, Qcow2Snapshot, i);
        g_autofree uint64_t *l1 = g_new0(uint64_t, MAX(s->l1_entries, 1));
        int r =
            s->l1_entries ? block_read(q->file, s->l1_offset, l1, (uint64_t)s->l1_entries * 8) : 0;
        for (uint32_t k = 0; k < s->l1_entries; k++)
            l1[k] = ld_be64(&l1[k]);
        if (!r)
            r = check_l1(c, s->l1_offset, l1, s->l1_entries, false);
        if (r)
            return r;
        bytes += qcow2_snapshot_bytes(s);
    }
    count(c, q->header.snapshots_offset, bytes, "snapshot table");
    return 0;
}

static int check_counts_tables(Check *c)
{
    Qcow2 *q = c->q;

    count(c, q->header.reftable_offset, (uint64_t)q->header.reftable_clusters << q->cluster_bits,
          "reference count table");
    for (uint32_t i = 0; i < q->reftable_entries; i++) {
        uint64_t block = q->reftable[i];
        if (!block)
            continue;
        if (block & QCOW2_REFTABLE_RESERVED || block & (q->cluster_size - 1)) {
            say(c, "ERROR refcount block %u is not cluster aligned; refcount table entry corrupted",
                i);
            c->res->corruptions++;
            c->blocks_wrong = true;
        } else if (!count(c, block, q->cluster_size, "reference count block")) {
            c->blocks_wrong = true;
        } else if (counted(c, block >> q->cluster_bits) != 1) {
            say(c, "ERROR refcount block %u refcount=%" PRIu64, i,
                counted(c, block >> q->cluster_bits));
            c->res->corruptions++;
            c->blocks_wrong = true;
        }
    }
    return 0;
}

/* ---- comparing ----------------------------------------------------------- */

/* The count on disk; blocks that cannot be used count nothing. */
static int stored(Check *c, uint64_t cluster, uint64_t *n)
{
    Qcow2 *q = c->q;
    uint64_t i = cluster / qcow2_block_entries(q);

    *n = 0;
    if (i >= q->reftable_entries ||
        !qcow2_is_metadata(q, q->reftable[i]))
        return 0;
    return qcow2_counts_at(q, &c->stored, cluster, n);
}

static int compare(Check *c)
{
    Qcow2 *q = c->q;

    uint64_t end = c->highest, covered = 0;

    /* a sparse file may be far longer than anything in it */
    for (uint32_t i = 0; i < q->reftable_entries; i++)
        covered = q->reftable[i] ? i + 1 : covered;
    end = MIN(MAX(end, covered * qcow2_block_entries(q)), c->clusters);
    for (uint64_t i = 0; i < end; i++) {
        uint64_t want = counted(c, i), have;
        int r = stored(c, i, &have);
        if (r)
            return r;
        if (want)
            c->res->end_offset = (i + 1) << q->cluster_bits;
        if (want == have)
            continue;
        bool leak = have > want,
             fix = c->fix & (leak ? BLOCK_CHECK_FIX_LEAKS : BLOCK_CHECK_FIX_ERRORS);
        say(c, "%s cluster %" PRIu64 " refcount=%" PRIu64 " reference=%" PRIu64, fix ? "Repairing"
            : leak ? "Leaked" : "ERROR", i, have, want);
        if (leak)
            c->res->leaks++;
        else
            c->res->corruptions++;
        if (leak && fix && !c->blocks_wrong) {
            qcow2_counts_end(q, &c->stored);
            r = qcow2_refcount_add(q, i, 1, (int64_t)(want - have));
            if (r)
                return r;
            c->res->leaks_fixed++;
        } else if (!leak) {
            c->blocks_wrong = true;
        }
    }
    return 0;
}

/* A whole new set of counts, behind everything. */
static int rebuild(Check *c, unsigned order)
{
    Qcow2 *q = c->q;
    uint64_t per_block = (q->cluster_size * 8) >> order,
             most = order == 6 ? INT64_MAX : (UINT64_C(1) << (1u << order)) - 1;
    uint64_t used = c->res->end_offset >> q->cluster_bits, blocks = 0, table = 1;
    uint64_t old = q->header.reftable_offset, all;
    int r = 0;

    /* the old set is given up */
    for (uint32_t i = 0; i < q->reftable_entries; i++)
        if (q->reftable[i] && !(q->reftable[i] & (q->cluster_size - 1)))
            uncount(c, q->reftable[i] >> q->cluster_bits);
    for (uint64_t i = 0; i < q->header.reftable_clusters; i++)
        uncount(c, (old >> q->cluster_bits) + i);
    for (all = 0; all != used + blocks + table;) {
        all = used + blocks + table;
        blocks = (all + per_block - 1) / per_block;
        table = qcow2_clusters(q, blocks * 8);
    }
    if (table << q->cluster_bits > QCOW2_MAX_REFTABLE)
        return -EFBIG;
    g_autofree uint8_t *block = g_malloc(q->cluster_size);
    g_autofree uint8_t *entries = g_malloc0(table << q->cluster_bits);
    for (uint64_t b = 0; b < blocks && !r; b++) {
        memset(block, 0, q->cluster_size);
        for (uint64_t k = 0; k < per_block; k++) {
            uint64_t i = b * per_block + k, n = i < used ? counted(c, i) : i < all ? 1 : 0;
            if (n > most)
                return -EOVERFLOW;
            if (n)
                qcow2_refcount_into(block, order, k, n);
        }
        st_be64(entries + 8 * b, (used + b) << q->cluster_bits);
        r = block_write(q->file, (used + b) << q->cluster_bits, block, q->cluster_size, 0);
    }
    if (!r)
        r = block_write(q->file, (used + blocks) << q->cluster_bits, entries,
                        table << q->cluster_bits, 0);
    if (!r)
        r = block_flush(q->file);
    /* from the table's place to the width of counts, in one write */
    uint8_t fields[100 - 48];
    if (!r)
        r = block_read(q->file, 48, fields, sizeof fields);
    st_be64(fields, (used + blocks) << q->cluster_bits);
    st_be32(fields + 8, (uint32_t)table);
    st_be32(fields + 96 - 48, order);
    if (!r)
        r = block_write(q->file, 48, fields, q->header.version < 3 ? 12 : sizeof fields, BLOCK_FUA);
    if (r)
        return r;
    qcow2_slices_drop(q, 0, UINT64_MAX);
    g_free(q->reftable);
    q->reftable_entries = (uint32_t)((table << q->cluster_bits) / 8);
    q->reftable = g_new0(uint64_t, q->reftable_entries);
    for (uint64_t b = 0; b < blocks; b++)
        q->reftable[b] = (used + b) << q->cluster_bits;
    q->header.reftable_offset = (used + blocks) << q->cluster_bits;
    q->header.reftable_clusters = (uint32_t)table;
    q->header.refcount_order = order;
    q->free_hint = 0;
    q->packed_next = 0;
    g_hash_table_remove_all(q->metadata);
    qcow2_note_metadata(q);
    c->res->corruptions_fixed = c->res->corruptions;
    c->res->leaks_fixed = c->res->leaks;
    c->res->end_offset = all << q->cluster_bits;
    return 0;
}

/* ---- COPIED flags -------------------------------------------------------- */

static int check_flag(Check *c, uint64_t entry, uint64_t at, const char *what)
{
    uint64_t n;
    int r = stored(c, at >> c->q->cluster_bits, &n);

    if (r || (n == 1) == !!(entry & QCOW2_COPIED))
        return r;
    say(c, "%s OFLAG_COPIED %s: %s_entry=%" PRIx64 " refcount=%" PRIu64,
        c->fix & BLOCK_CHECK_FIX_ERRORS ? "Repairing" : "ERROR", what, *what == 'd' ? "l2" : "l1",
        entry, n);
    c->res->corruptions++;
    if (c->fix & BLOCK_CHECK_FIX_ERRORS)
        c->res->corruptions_fixed++;
    return 0;
}

static int check_flags(Check *c)
{
    Qcow2 *q = c->q;
    g_autofree uint8_t *table = g_malloc(q->cluster_size);
    int r = 0;

    for (uint32_t i = 0; !r && i < q->l1_entries; i++) {
        uint64_t l2 = q->l1[i] & QCOW2_OFFSET;
        if (!l2 || l2 & (q->cluster_size - 1) || l2 >> q->cluster_bits >= c->clusters)
            continue;
        r = check_flag(c, q->l1[i], l2, "L2 cluster");
        if (!r && !q->data)
            r = block_read(q->file, l2, table, q->cluster_size);
        for (unsigned k = 0; !r && !q->data && k < qcow2_l2_entries(q); k++) {
            uint64_t entry = ld_be64(table + (size_t)k * q->entry_size), at = entry & QCOW2_OFFSET;
            if (at && !(entry & QCOW2_COMPRESSED) && !(at & (q->cluster_size - 1)))
                r = check_flag(c, entry, at, "data cluster");
        }
    }
    qcow2_counts_end(q, &c->stored);
    if (!r && c->fix & BLOCK_CHECK_FIX_ERRORS)
        r = qcow2_count_table(q, q->l1, q->l1_entries, true, 0);
    return r;
}

/* ---- all of it ----------------------------------------------------------- */

static int check_all(Check *c)
{
    Qcow2 *q = c->q;

    count(c, 0, q->cluster_size, "header");
    int r = check_l1(c, q->header.l1_offset, q->l1, q->l1_entries, true);
    if (!r)
        r = check_snapshots(c);
    if (!r && q->header.crypto_length)
        count(c, q->header.crypto_offset, q->header.crypto_length, "encryption header");
    if (!r)
        r = qcow2_bitmaps_each(q, (Qcow2RangeFn *)count, c);
    if (!r)
        r = check_counts_tables(c);
    if (!r)
        r = compare(c);
    qcow2_counts_end(q, &c->stored);
    if (!r && c->blocks_wrong && c->fix & BLOCK_CHECK_FIX_ERRORS)
        r = rebuild(c, q->header.refcount_order);
    if (!r)
        r = check_flags(c);
    qcow2_counts_end(q, &c->stored);
    if (!r && c->fix)
        r = qcow2_flush_tables(q);
    return r;
}

bool qcow2_check(BlockNode *node, unsigned fix, BlockCheck *result,
                 void (*tell)(void *opaque, const char *line), void *opaque, GError **error)
{
    Qcow2 *q = qcow2_of(node);
    Check c = { .q = q, .fix = fix, .res = result, .say = tell, .opaque = opaque,
                .clusters = qcow2_clusters(q, block_size(q->file)) };

    *result = (BlockCheck){ .total_clusters = qcow2_clusters(q, q->header.size) };
    c.counts = g_try_malloc0(c.clusters);
    if (!c.counts)
        return fail(error, "%s: no memory to count %" G_GUINT64_FORMAT " clusters",
                    block_node_file(node), c.clusters);
    c.many = g_hash_table_new(NULL, NULL);
    pthread_mutex_lock(&q->lock);
    int r = fix ? 0 : qcow2_flush_tables(q);
    if (fix) /* what is in memory may rest on what is wrong */
        qcow2_slices_drop(q, 0, UINT64_MAX);
    q->broken = false;
    r = check_all(&c);
    bool clean = !r && result->corruptions == result->corruptions_fixed &&
                 (result->leaks == result->leaks_fixed || !(q->header.incompatible & QCOW2_DIRTY));
    if (clean && fix && q->header.incompatible & (QCOW2_DIRTY | QCOW2_CORRUPT)) {
        q->header.incompatible &= ~(QCOW2_DIRTY | QCOW2_CORRUPT);
        r = block_flush(q->file);
        if (!r)
            r = qcow2_header_features(q);
    }
    pthread_mutex_unlock(&q->lock);
    g_free(c.counts);
    g_hash_table_unref(c.many);
    return !r ||
           fail_errno(error, -r, "%s: it cannot be checked to the end", block_node_file(node));
}

bool qcow2_repair(Qcow2 *q, GError **error)
{
    BlockCheck result;

    if (!qcow2_check(q->node, BLOCK_CHECK_FIX_LEAKS | BLOCK_CHECK_FIX_ERRORS, &result, NULL, NULL,
                     error))
        return false;
    if (result.corruptions > result.corruptions_fixed)
        return fail(error, "%" G_GUINT64_FORMAT " errors remain",
                    result.corruptions - result.corruptions_fixed);
    return true;
}

int qcow2_change_refcount_order(Qcow2 *q, unsigned order)
{
    BlockCheck result = { 0 };
    Check c = { .q = q, .res = &result, .clusters = 0 };
    int r;

    pthread_mutex_lock(&q->lock);
    r = qcow2_flush_tables(q);
    c.clusters = qcow2_clusters(q, block_size(q->file));
    c.counts = g_try_malloc0(c.clusters);
    c.many = g_hash_table_new(NULL, NULL);
    if (!r && !c.counts)
        r = -ENOMEM;
    if (!r)
        r = check_all(&c);
    /* not on top of damage */
    if (!r && result.corruptions)
        r = -EIO;
    if (!r)
        r = rebuild(&c, order);
    pthread_mutex_unlock(&q->lock);
    g_free(c.counts);
    g_hash_table_unref(c.many);
    return r;
}
