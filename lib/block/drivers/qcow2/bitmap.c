/* SPDX-License-Identifier: MIT */
/*
 * Bitmaps in the image: a directory of them, each with a table of clusters of bits (0: all clear,
 * 1: all set). While an image is open for writing they are marked as in use; who does not get to
 * close it leaves them inconsistent. They are written whole when it is closed.
 */
#include "block/drivers/qcow2/qcow2_priv.h"

#include "base/error.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

enum { IN_USE = 1, AUTO = 2, EXTRA_COMPATIBLE = 4, HEAD = 24 };
#define MAX_TABLE (UINT64_C(64) << 20)

typedef struct {
    uint64_t table;      /* on disk; 0: not there yet */
    uint32_t entries, flags;
    unsigned shift;
    char *name;
} Stored;

struct Qcow2Bitmaps {
    GArray *stored; /* of Stored, as the directory on disk has them */
};

static void clear_stored(gpointer p)
{
    g_free(((Stored *)p)->name);
}

void qcow2_bitmaps_clear(Qcow2 *q)
{
    if (q->bitmaps)
        g_array_unref(q->bitmaps->stored);
    g_clear_pointer(&q->bitmaps, g_free);
}

static Stored *find(Qcow2 *q, const char *name)
{
    for (unsigned i = 0; q->bitmaps && i < q->bitmaps->stored->len; i++) {
        Stored *s = &g_array_index(q->bitmaps->stored, Stored, i);
        if (!strcmp(s->name, name))
            return s;
    }
    return NULL;
}

/* ---- reading ------------------------------------------------------------- */

static uint64_t bits_of(uint64_t size, unsigned shift)
{
    return (size >> shift) + !!(size & ((UINT64_C(1) << shift) - 1));
}

/* Entries a table has: each is a cluster of bits. */
static uint64_t entries_of(const Qcow2 *q, uint64_t size, unsigned shift)
{
    return (bits_of(size, shift) + q->cluster_size * 8 - 1) / (q->cluster_size * 8);
}

static uint64_t parse_one(const uint8_t *p, uint64_t left, Stored *s)
{
    if (left < HEAD)
        return 0;
    uint32_t name = ld_be16(p + 18), extra = ld_be32(p + 20);
    *s = (Stored){ .table = ld_be64(p), .entries = ld_be32(p + 8), .flags = ld_be32(p + 12),
                   .shift = p[17] };
    uint64_t whole = round_up(HEAD + (uint64_t)name, 8); /* each is filled up, the last one too */
    if (whole > left || !name || name > QCOW2_MAX_BITMAP_NAME || p[16] != 1 || s->shift < 9 ||
        s->shift > 31 || extra)
        return 0;
    if (memchr(p + HEAD, 0, name))
        return 0;
    s->name = g_strndup((const char *)p + HEAD, name);
    return whole;
}

static bool load_bits(Qcow2 *q, const Stored *s, BlockBitmap *b, GError **error)
{
    g_autofree uint8_t *table = g_malloc0((size_t)s->entries * 8 + 8);
    uint64_t left = (bits_of(b->size, b->shift) + 7) / 8;
    uint8_t *out = (uint8_t *)b->words;
    int r = block_read(q->file, s->table, table, (uint64_t)s->entries * 8);

    for (uint32_t i = 0; !r && i < s->entries; i++) {
        uint64_t entry = ld_be64(table + 8 * (size_t)i), at = entry & QCOW2_OFFSET,
                 n = MIN(left, q->cluster_size);
        if (at & (q->cluster_size - 1) || (at && entry & 1))
            return fail(error, "%s: bitmap '%s': entry %u of its table makes no sense",
                        block_node_file(q->node), s->name, i);
        if (at)
            r = block_read(q->file, at, out, n);
        else
            memset(out, entry & 1 ? 0xff : 0, n);
        out += n;
        left -= n;
    }
    /* our words are of this host's order */
    for (uint64_t i = 0, n = (bits_of(b->size, b->shift) + 63) / 64; i < n; i++)
        b->words[i] = ld_le64((uint8_t *)b->words + 8 * i);
    uint64_t bits = bits_of(b->size, b->shift);
    if (bits % 64)
        b->words[bits / 64] &= (UINT64_C(1) << (bits % 64)) - 1;
    return !r || fail_errno(error, -r, "%s: bitmap '%s'", block_node_file(q->node), s->name);
}

static bool load_one(Qcow2 *q, const Stored *s, GError **error)
{
    uint64_t size = qcow2_size(q);
    bool in_use = s->flags & IN_USE;

    if ((uint64_t)s->entries * 8 > MAX_TABLE || s->table & (q->cluster_size - 1) ||
        (!in_use && s->entries != entries_of(q, size, s->shift)))
        return fail(error,
                    "%s: bitmap '%s': its table (%u entries at %#" G_GINT64_MODIFIER
                    "x) makes no sense",
                    block_node_file(q->node), s->name, s->entries, s->table);
    /* one that says nothing needs no bits */
    BlockBitmap *b = block_bitmap_new(s->name, UINT32_C(1) << s->shift, in_use ? 0 : size, error);
    if (!b)
        return false;
    b->persistent = true;
    b->inconsistent = in_use;
    b->enabled = s->flags & AUTO && !in_use;
    if (!in_use && !load_bits(q, s, b, error)) {
        block_bitmap_free(b);
        return false;
    }
    block_bitmap_adopt(q->node, b);
    return true;
}

static int mark_in_use(Qcow2 *q, uint8_t *directory)
{
    uint64_t at = 0;

    for (unsigned i = 0; i < q->bitmaps->stored->len; i++) {
        Stored *s = &g_array_index(q->bitmaps->stored, Stored, i);
        s->flags |= IN_USE;
        st_be32(directory + at + 12, s->flags);
        at += round_up(HEAD + strlen(s->name), 8);
    }
    return block_write(q->file, q->header.bitmaps_offset, directory, q->header.bitmaps_size,
                       BLOCK_FUA);
}

bool qcow2_bitmaps_load(Qcow2 *q, GError **error)
{
    const char *file = block_node_file(q->node);
    uint64_t at = 0, len = q->header.bitmaps_size;

    q->bitmaps = g_new0(struct Qcow2Bitmaps, 1);
    q->bitmaps->stored = g_array_new(FALSE, TRUE, sizeof(Stored));
    g_array_set_clear_func(q->bitmaps->stored, clear_stored);
    if (!q->header.n_bitmaps)
        return true;
    if (!qcow2_in_file(q, q->header.bitmaps_offset, len))
        return fail(error,
                    "%s: the bitmap directory at %#" G_GINT64_MODIFIER
                    "x lies past the end of the file",
                    file, q->header.bitmaps_offset);
    g_autofree uint8_t *directory = g_malloc(MAX(len, 1));
    int r = block_read(q->file, q->header.bitmaps_offset, directory, len);
    if (r)
        return fail_errno(error, -r, "%s: its bitmap directory", file);
    for (uint32_t i = 0; i < q->header.n_bitmaps; i++) {
        Stored s;
        uint64_t n = parse_one(directory + at, len - at, &s);
        if (!n)
            return fail(error, "%s: bitmap %u of %u, at %#" G_GINT64_MODIFIER "x, makes no sense",
                        file, i + 1, q->header.n_bitmaps, q->header.bitmaps_offset + at);
        g_array_append_val(q->bitmaps->stored, s);
        at += n;
        if (!block_node_for_check(q->node) && !load_one(q, &s, error))
            return false;
    }
    if (at != len)
        return fail(error, "%s: the bitmap directory does not end with its last bitmap", file);
    return true;
}

bool qcow2_bitmaps_claim(Qcow2 *q, GError **error)
{
    uint64_t len = q->header.bitmaps_size;
    g_autofree uint8_t *directory = g_malloc(MAX(len, 1));

    if (!q->header.n_bitmaps)
        return true;
    int r = block_read(q->file, q->header.bitmaps_offset, directory, len);
    if (!r)
        r = mark_in_use(q, directory);
    return !r || fail_errno(error, -r, "%s: its bitmap directory", block_node_file(q->node));
}

/* ---- writing: with the lock ---------------------------------------------- */

static bool all_are(const uint8_t *p, uint64_t n, uint8_t value)
{
    return p[0] == value && !memcmp(p, p + 1, n - 1);
}

/* Bits and table of one in new clusters. */
static int store_bits(Qcow2 *q, const BlockBitmap *b, Stored *s)
{
    uint64_t left = (bits_of(b->size, b->shift) + 7) / 8, n;
    g_autofree uint8_t *cluster = g_malloc(q->cluster_size), *table = NULL;
    const uint8_t *from = (const uint8_t *)b->words;
    int64_t at;
    int r = 0;

    s->entries = (uint32_t)entries_of(q, b->size, b->shift);
    table = g_malloc0(round_up((uint64_t)s->entries * 8 + 8, q->cluster_size));
    for (uint32_t i = 0; i < s->entries; i++, from += n, left -= n) {
        n = MIN(left, q->cluster_size);
        if (all_are(from, n, 0))
            continue;
        if (n == q->cluster_size && all_are(from, n, 0xff)) {
            st_be64(table + 8 * (size_t)i, 1);
            continue;
        }
        memset(cluster, 0, q->cluster_size);
        memcpy(cluster, from, n);
        for (uint64_t k = 0; k + 8 <= q->cluster_size; k += 8) {
            uint64_t word;
            memcpy(&word, cluster + k, 8);
            st_le64(cluster + k, word);
        }
        at = qcow2_alloc(q, 1, NULL);
        if (at < 0)
            return (int)at;
        st_be64(table + 8 * (size_t)i, (uint64_t)at);
        r = block_write(q->file, (uint64_t)at, cluster, q->cluster_size, 0);
        if (r)
            return r;
    }
    if (!s->entries)
        return 0;
    at = qcow2_alloc(q, qcow2_clusters(q, (uint64_t)s->entries * 8), NULL);
    if (at < 0)
        return (int)at;
    s->table = (uint64_t)at;
    return block_write(q->file, s->table, table,
                       round_up((uint64_t)s->entries * 8, q->cluster_size), 0);
}

/* What a table and its bits take is given up. */
static int free_table(Qcow2 *q, const Stored *s)
{
    g_autofree uint8_t *table = g_malloc0((size_t)s->entries * 8 + 8);

    if (!s->entries || (uint64_t)s->entries * 8 > MAX_TABLE)
        return 0;
    int r = block_read(q->file, s->table, table, (uint64_t)s->entries * 8);
    for (uint32_t i = 0; !r && i < s->entries; i++) {
        uint64_t at = ld_be64(table + 8 * (size_t)i) & QCOW2_OFFSET;
        if (at)
            qcow2_free(q, at, q->cluster_size, false);
    }
    qcow2_free(q, s->table, (uint64_t)s->entries * 8, false);
    return r;
}

static int write_directory(Qcow2 *q, GArray *list, GError **error)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    static const uint8_t zeroes[8];
    int64_t at = 0;

    for (unsigned i = 0; i < list->len; i++) {
        const Stored *s = &g_array_index(list, Stored, i);
        uint8_t p[HEAD] = { 0 };
        st_be64(p, s->table);
        st_be32(p + 8, s->entries);
        st_be32(p + 12, s->flags);
        p[16] = 1;
        p[17] = (uint8_t)s->shift;
        st_be16(p + 18, (uint16_t)strlen(s->name));
        g_byte_array_append(out, p, HEAD);
        g_byte_array_append(out, (const uint8_t *)s->name, (guint)strlen(s->name));
        g_byte_array_append(out, zeroes, (guint)(round_up(out->len, 8) - out->len));
    }
    int r = 0;
    if (out->len) {
        at = qcow2_alloc(q, qcow2_clusters(q, out->len), NULL);
        r = at < 0 ? (int)at : block_write(q->file, (uint64_t)at, out->data, out->len, 0);
    }
    if (!r)
        r = qcow2_flush_tables(q);
    if (!r)
        r = block_flush(q->file);
    if (r)
        return r;
    Qcow2Header h = q->header;
    h.n_bitmaps = list->len;
    h.bitmaps_offset = (uint64_t)at;
    h.bitmaps_size = out->len;
    h.autoclear = list->len ? h.autoclear | QCOW2_AUTO_BITMAPS : h.autoclear & ~QCOW2_AUTO_BITMAPS;
    if (!qcow2_header_write(q->file, block_node_file(q->node), &h, error))
        return -EIO;
    if (q->header.n_bitmaps)
        qcow2_free(q, q->header.bitmaps_offset, q->header.bitmaps_size, false);
    q->header = h;
    return 0;
}

/* The directory anew: those in memory with their bits; inconsistent ones keep what they have. */
static int store_all(Qcow2 *q, GError **error)
{
    GArray *old = q->bitmaps->stored, *list = g_array_new(FALSE, TRUE, sizeof(Stored));
    const BlockBitmap *b;
    int r = 0;

    g_array_set_clear_func(list, clear_stored);
    for (unsigned i = 0; !r && (b = block_bitmap_nth(q->node, i)); i++) {
        if (!b->persistent)
            continue;
        const Stored *before = find(q, b->name);
        Stored s = { .flags = b->enabled ? AUTO : 0, .shift = b->shift };
        if (b->inconsistent && before)
            s = *before;
        s.name = g_strdup(b->name);
        if (!b->inconsistent)
            r = store_bits(q, b, &s);
        g_array_append_val(list, s);
    }
    if (!r && (list->len || old->len))
        r = write_directory(q, list, error);
    if (r) {
        g_array_unref(list);
        return r;
    }
    for (unsigned i = 0; i < old->len; i++) {
        const Stored *s = &g_array_index(old, Stored, i);
        b = block_bitmap_find(q->node, s->name);
        if (!b || !b->inconsistent)
            free_table(q, s);
    }
    q->bitmaps->stored = list;
    g_array_unref(old);
    return 0;
}

bool qcow2_bitmaps_store(Qcow2 *q, GError **error)
{
    if (!q->bitmaps || q->broken)
        return true;
    pthread_mutex_lock(&q->lock);
    int r = store_all(q, error);
    pthread_mutex_unlock(&q->lock);
    if (!r || (error && *error))
        return !r;
    return fail_errno(error, -r, "%s: its bitmaps cannot be stored", block_node_file(q->node));
}

/* ---- for the core and its neighbours ------------------------------------- */

bool qcow2_bitmaps_resize(Qcow2 *q, uint64_t size, GError **error)
{
    BlockBitmap *b;

    for (unsigned i = 0; (b = block_bitmap_nth(q->node, i)); i++)
        if (b->inconsistent)
            return fail(error, "%s: bitmap '%s' is inconsistent; remove it first",
                        block_node_file(q->node), b->name);
    for (unsigned i = 0; (b = block_bitmap_nth(q->node, i)); i++)
        if (!block_bitmap_resize(b, size, error))
            return false;
    return true;
}

struct json_object *qcow2_bitmaps_describe(Qcow2 *q)
{
    struct json_object *list = NULL;

    for (unsigned i = 0; q->bitmaps && i < q->bitmaps->stored->len; i++) {
        const Stored *s = &g_array_index(q->bitmaps->stored, Stored, i);
        struct json_object *o = json_object_new_object(), *flags = json_object_new_array();
        if (s->flags & IN_USE)
            json_object_array_add(flags, json_object_new_string("in-use"));
        if (s->flags & AUTO)
            json_object_array_add(flags, json_object_new_string("auto"));
        json_object_object_add(o, "flags", flags);
        json_object_object_add(o, "name", json_object_new_string(s->name));
        json_object_object_add(o, "granularity", json_object_new_int64((int64_t)1 << s->shift));
        list = list ? list : json_object_new_array();
        json_object_array_add(list, o);
    }
    return list;
}

int qcow2_bitmaps_each(Qcow2 *q, Qcow2RangeFn *each, void *opaque)
{
    if (q->header.n_bitmaps)
        each(opaque, q->header.bitmaps_offset, q->header.bitmaps_size, "bitmap directory");
    for (unsigned i = 0; q->bitmaps && i < q->bitmaps->stored->len; i++) {
        const Stored *s = &g_array_index(q->bitmaps->stored, Stored, i);
        if ((uint64_t)s->entries * 8 > MAX_TABLE || !s->entries)
            continue;
        g_autofree uint8_t *table = g_malloc((size_t)s->entries * 8);
        if (!each(opaque, s->table, (uint64_t)s->entries * 8, "bitmap table"))
            continue;
        int r = block_read(q->file, s->table, table, (uint64_t)s->entries * 8);
        if (r)
            return r;
        for (uint32_t k = 0; k < s->entries; k++) {
            uint64_t at = ld_be64(table + 8 * (size_t)k) & QCOW2_OFFSET;
            if (at)
                each(opaque, at, q->cluster_size, "bits of a bitmap");
        }
    }
    return 0;
}

static bool keeps(BlockNode *node)
{
    return qcow2_of(node)->header.version >= 3;
}

static bool can_store(BlockNode *node, const char *name, uint32_t granularity, GError **error)
{
    Qcow2 *q = qcow2_of(node);
    const char *file = block_node_file(node);

    if (q->header.version < 3)
        return fail(error, "%s: Cannot store dirty bitmaps in qcow2 v2 files", file);
    if (block_node_read_only(node))
        return fail(error, "%s: it is open for reading only", file);
    if (q->bitmaps->stored->len >= QCOW2_MAX_BITMAPS)
        return fail(error, "%s: it has %d bitmaps already", file, QCOW2_MAX_BITMAPS);
    if (bits_of(qcow2_size(q), (unsigned)__builtin_ctz(granularity)) / 8 >
        MAX_TABLE / 8 * q->cluster_size)
        return fail(error, "%s: too many bits for a granularity of %u", file, granularity);
    return true;
}

static bool drop(BlockNode *node, const char *name, GError **error)
{
    Qcow2 *q = qcow2_of(node);
    BlockBitmap *b = block_bitmap_find(node, name);

    if (!find(q, name))
        return true; /* it never got there */
    if (!b || block_node_read_only(node))
        return fail(error, "%s: it is open for reading only", block_node_file(node));
    /* from now on it is not stored, nor kept */
    b->persistent = b->inconsistent = false;
    return true;
}

const BlockBitmapOps qcow2_bitmap_ops = { keeps, can_store, drop };
