/* SPDX-License-Identifier: MIT */
/*
 * The header and its extensions, read with every field checked before it is believed, and written
 * back whole. What a file says is never followed out of its bounds here: tables are only checked
 * for size and alignment.
 */
#include "block/drivers/qcow2/qcow2_priv.h"

#include "base/error.h"

#include <errno.h>
#include <string.h>

/* The feature names that images carry for tools that do not know a bit. */
static const struct {
    uint8_t type, bit;
    const char *name;
} features[] = {
    { 0, 0, "dirty bit" }, { 0, 1, "corrupt bit" }, { 0, 2, "external data file" },
    { 0, 3, "compression type" }, { 0, 4, "extended L2 entries" }, { 1, 0, "lazy refcounts" },
    { 2, 0, "bitmaps" }, { 2, 1, "raw external data" },
};
enum { FEATURE_SIZE = 48, MAX_EXTENSION = 64 << 10, MAX_NAME = 1023, MAX_FORMAT = 15 };

void qcow2_header_clear(Qcow2Header *h)
{
    g_clear_pointer(&h->backing, g_free);
    g_clear_pointer(&h->backing_format, g_free);
    g_clear_pointer(&h->data_file, g_free);
    for (unsigned i = 0; h->unknown && i < h->unknown->len; i++)
        g_free(g_array_index(h->unknown, Qcow2Extension, i).data);
    g_clear_pointer(&h->unknown, g_array_unref);
}

/* ---- reading ------------------------------------------------------------- */

static bool check_table(const char *name, const Qcow2Header *h, const char *what, uint64_t offset,
                        uint64_t bytes, uint64_t most, GError **error)
{
    if (bytes > most)
        return fail(error,
                    "%s: the %s is too large: %" G_GUINT64_FORMAT
                    " bytes (at most %" G_GUINT64_FORMAT ")",
                    name, what, bytes, most);
    if (offset & ((UINT64_C(1) << h->cluster_bits) - 1))
        return fail(error, "%s: the %s at %#" G_GINT64_MODIFIER "x does not begin at a cluster",
                    name, what, offset);
    if (offset > (uint64_t)INT64_MAX - bytes)
        return fail(error, "%s: the %s at %#" G_GINT64_MODIFIER "x lies past any file's end", name,
                    what, offset);
    return true;
}

/* What a feature is called in the image's own table, or "bit N". */
static char *feature_name(const uint8_t *table, uint32_t len, unsigned type, unsigned bit)
{
    for (; len >= FEATURE_SIZE; table += FEATURE_SIZE, len -= FEATURE_SIZE)
        if (table[0] == type && table[1] == bit && table[2])
            return g_strndup((const char *)table + 2, FEATURE_SIZE - 2);
    return g_strdup_printf("bit %u", bit);
}

static bool check_features(const char *name, const Qcow2Header *h, const uint8_t *table,
                           uint32_t len, GError **error)
{
    uint64_t unknown = h->incompatible & ~QCOW2_INCOMPATIBLE;
    g_autoptr(GString) list = g_string_new(NULL);

    if (!unknown)
        return true;
    for (unsigned bit = 0; bit < 64; bit++) {
        if (!(unknown >> bit & 1))
            continue;
        g_autofree char *one = feature_name(table, len, 0, bit);
        g_autofree char *printable = g_strescape(one, NULL);
        g_string_append_printf(list, "%s%s", list->len ? ", " : "", printable);
    }
    return fail(error, "%s: it uses features that are not known here: %s", name, list->str);
}

static bool read_bitmaps_extension(const char *name, Qcow2Header *h, const uint8_t *p, uint32_t len,
                                   GError **error)
{
    if (len != 24)
        return fail(error, "%s: the bitmaps extension has %u bytes, not 24", name, len);
    if (!(h->autoclear & QCOW2_AUTO_BITMAPS))
        return true; /* somebody wrote without keeping them: they are worth nothing */
    h->n_bitmaps = ld_be32(p);
    h->bitmaps_size = ld_be64(p + 8);
    h->bitmaps_offset = ld_be64(p + 16);
    if (!h->n_bitmaps || h->n_bitmaps > QCOW2_MAX_BITMAPS)
        return fail(error, "%s: %u bitmaps (1 to %u are possible)", name, h->n_bitmaps,
                    QCOW2_MAX_BITMAPS);
    return check_table(name, h, "bitmap directory", h->bitmaps_offset, h->bitmaps_size,
                       QCOW2_MAX_BITMAP_DIRECTORY, error);
}

static bool read_extension(const char *name, Qcow2Header *h, uint32_t type, uint32_t len,
                           const uint8_t *p, GError **error)
{
    Qcow2Extension kept = { type, len, NULL };

    switch (type) {
    case QCOW2_EXT_BACKING_FORMAT:
        if (len > MAX_FORMAT)
            return fail(error, "%s: the name of the backing format is too long: %u bytes", name,
                        len);
        g_free(h->backing_format);
        h->backing_format = g_strndup((const char *)p, len);
        return true;
    case QCOW2_EXT_DATA_FILE:
        g_free(h->data_file);
        h->data_file = g_strndup((const char *)p, MIN(len, MAX_NAME));
        return true;
    case QCOW2_EXT_BITMAPS:
        return read_bitmaps_extension(name, h, p, len, error);
    case QCOW2_EXT_CRYPTO:
        if (len != 16)
            return fail(error, "%s: the encryption extension has %u bytes, not 16", name, len);
        h->crypto_offset = ld_be64(p);
        h->crypto_length = ld_be64(p + 8);
        return check_table(name, h, "encryption header", h->crypto_offset, h->crypto_length,
                           UINT64_C(64) << 20, error);
    case QCOW2_EXT_FEATURES:
        return true; /* seen before; written anew */
    default:
        kept.data = g_memdup2(p, len);
        g_array_append_val(h->unknown, kept);
        return true;
    }
}

/* Calls for all extensions; first pass: only the feature table, which messages need. */
static bool walk_extensions(const char *name, Qcow2Header *h, const uint8_t *head, uint64_t end,
                            bool names_only, GError **error)
{
    uint64_t at = h->length;

    while (at + 8 <= end) {
        uint32_t type = ld_be32(head + at), len = ld_be32(head + at + 4);
        at += 8;
        if (!type)
            break;
        if (len > end - at)
            return fail(error,
                        "%s: header extension %#x at %" G_GUINT64_FORMAT
                        " reaches past the header's end",
                        name, type, at - 8);
        if (names_only && type == QCOW2_EXT_FEATURES)
            return check_features(name, h, head + at, len, error);
        if (!names_only && !read_extension(name, h, type, len, head + at, error))
            return false;
        at += round_up(len, 8);
    }
    return !names_only || check_features(name, h, NULL, 0, error);
}

static bool read_fields(const uint8_t *p, const char *name, Qcow2Header *h, GError **error)
{
    h->version = ld_be32(p + 4);
    if (h->version < 2 || h->version > 3)
        return fail(error, "%s: qcow2 of version %u (2 and 3 are known)", name, h->version);
    h->cluster_bits = ld_be32(p + 20);
    h->size = ld_be64(p + 24);
    h->crypt_method = ld_be32(p + 32);
    h->l1_entries = ld_be32(p + 36);
    h->l1_offset = ld_be64(p + 40);
    h->reftable_offset = ld_be64(p + 48);
    h->reftable_clusters = ld_be32(p + 56);
    h->n_snapshots = ld_be32(p + 60);
    h->snapshots_offset = ld_be64(p + 64);
    h->refcount_order = 4;
    h->length = QCOW2_V2_HEADER;
    if (h->version < 3)
        return true;
    h->incompatible = ld_be64(p + 72);
    h->compatible = ld_be64(p + 80);
    h->autoclear = ld_be64(p + 88);
    h->refcount_order = ld_be32(p + 96);
    h->length = ld_be32(p + 100);
    if (h->length < QCOW2_V3_HEADER)
        return fail(error, "%s: a header of %u bytes is too short", name, h->length);
    return true;
}

static bool check_fields(const char *name, const Qcow2Header *h, GError **error)
{
    uint64_t cluster = UINT64_C(1) << h->cluster_bits;

    if (h->length > cluster)
        return fail(error, "%s: a header of %u bytes does not fit its cluster", name, h->length);
    if (h->refcount_order > 6)
        return fail(error, "%s: reference counts of 2^%u bits (at most 64 are possible)", name,
                    h->refcount_order);
    if (h->size > BLOCK_MAX_SIZE)
        return fail(error, "%s: it is larger than 8 EiB", name);
    if (h->crypt_method > 2)
        return fail(error, "%s: encryption method %u is not known", name, h->crypt_method);
    if (h->n_snapshots > QCOW2_MAX_SNAPSHOTS)
        return fail(error, "%s: too many snapshots: %u (at most %u)", name, h->n_snapshots,
                    QCOW2_MAX_SNAPSHOTS);
    if ((h->incompatible & QCOW2_EXTENDED_L2) && h->cluster_bits < 14)
        return fail(error, "%s: extended L2 entries need clusters of 16 KiB or more", name);
    if (!check_table(name, h, "L1 table", h->l1_offset, (uint64_t)h->l1_entries * 8, QCOW2_MAX_L1,
                     error) ||
        !check_table(name, h, "reference count table", h->reftable_offset,
                     h->reftable_clusters * cluster, QCOW2_MAX_REFTABLE, error) ||
        !check_table(name, h, "snapshot table", h->n_snapshots ? h->snapshots_offset : 0, 0, 0,
                     error))
        return false;
    if (!h->reftable_clusters || !h->reftable_offset)
        return fail(error, "%s: it has no reference count table", name);
    unsigned l2_bits = h->cluster_bits - (h->incompatible & QCOW2_EXTENDED_L2 ? 4 : 3);
    if (qcow2_l1_needed(h->size, h->cluster_bits, l2_bits) > h->l1_entries)
        return fail(error,
                    "%s: the L1 table is too small: %u entries for %" G_GUINT64_FORMAT " bytes",
                    name, h->l1_entries, h->size);
    return true;
}

static bool read_backing(const uint8_t *head, uint64_t len, const char *name, Qcow2Header *h,
                         GError **error)
{
    uint64_t offset = ld_be64(head + 8);
    uint32_t n = ld_be32(head + 16);

    if (!offset)
        return true;
    if (n > MAX_NAME)
        return fail(error, "%s: the backing file's name is too long: %u bytes (at most %d)", name,
                    n, MAX_NAME);
    if (offset > len || n > len - offset)
        return fail(error, "%s: the backing file's name lies outside the header's cluster", name);
    h->backing = g_strndup((const char *)head + offset, n);
    return true;
}

bool qcow2_header_read(BlockUser *file, const char *name, Qcow2Header *h, GError **error)
{
    uint8_t first[QCOW2_V3_HEADER + 8] = { 0 };
    uint64_t size = block_size(file);
    g_autofree uint8_t *head = NULL;

    *h = (Qcow2Header){ 0 };
    if (size < QCOW2_V2_HEADER)
        return fail(error, "%s: too short for a qcow2 image: %" G_GUINT64_FORMAT " bytes", name,
                    size);
    int r = block_read(file, 0, first, MIN(size, sizeof first));
    if (r)
        return fail_errno(error, -r, "%s: its header", name);
    if (ld_be32(first) != QCOW2_MAGIC)
        return fail(error, "%s: it is not a qcow2 image", name);
    if (!read_fields(first, name, h, error))
        return false;
    if (h->cluster_bits < QCOW2_MIN_CLUSTER_BITS || h->cluster_bits > QCOW2_MAX_CLUSTER_BITS)
        return fail(error, "%s: clusters of 2^%u bytes (512 bytes to 2 MiB are possible)", name,
                    h->cluster_bits);
    uint64_t end = MIN(size, UINT64_C(1) << h->cluster_bits);
    head = g_malloc0(MAX(UINT64_C(1) << h->cluster_bits, sizeof first));
    r = block_read(file, 0, head, end);
    if (r)
        return fail_errno(error, -r, "%s: its header", name);
    h->unknown = g_array_new(FALSE, FALSE, sizeof(Qcow2Extension));
    /* extensions end where the backing file's name begins */
    uint64_t backing = ld_be64(head + 8);
    uint64_t stop = backing && backing < end ? backing : end;
    if (h->length > end) {
        fail(error, "%s: a header of %u bytes does not fit its cluster", name, h->length);
        goto failed;
    }
    if (h->incompatible & QCOW2_COMPRESSION_TYPE) {
        if (h->length <= QCOW2_V3_HEADER || head[QCOW2_V3_HEADER] > QCOW2_ZSTD) {
            fail(error, "%s: compression type %u is not known", name,
                 h->length <= QCOW2_V3_HEADER ? 0u : head[QCOW2_V3_HEADER]);
            goto failed;
        }
        h->compression = (Qcow2Compression)head[QCOW2_V3_HEADER];
    } else if (h->length > QCOW2_V3_HEADER && head[QCOW2_V3_HEADER]) {
        fail(error, "%s: a compression type is given, but not the feature for it", name);
        goto failed;
    }
    if (!walk_extensions(name, h, head, stop, true, error) || !check_fields(name, h, error) ||
        !walk_extensions(name, h, head, stop, false, error) ||
        !read_backing(head, end, name, h, error))
        goto failed;
    return true;
failed:
    qcow2_header_clear(h);
    return false;
}

/* ---- writing ------------------------------------------------------------- */

static void put_extension(GByteArray *out, uint32_t type, const void *data, uint32_t len)
{
    static const uint8_t zeroes[8];
    uint8_t head[8];

    st_be32(head, type);
    st_be32(head + 4, len);
    g_byte_array_append(out, head, 8);
    if (len)
        g_byte_array_append(out, data, len);
    g_byte_array_append(out, zeroes, (guint)(round_up(len, 8) - len));
}

static void put_features(GByteArray *out)
{
    uint8_t table[G_N_ELEMENTS(features) * FEATURE_SIZE] = { 0 };

    for (unsigned i = 0; i < G_N_ELEMENTS(features); i++) {
        table[i * FEATURE_SIZE] = features[i].type;
        table[i * FEATURE_SIZE + 1] = features[i].bit;
        g_strlcpy((char *)table + i * FEATURE_SIZE + 2, features[i].name, FEATURE_SIZE - 2);
    }
    put_extension(out, QCOW2_EXT_FEATURES, table, sizeof table);
}

/* with_names: with the table of features, which is only for messages. */
static void put_extensions(GByteArray *out, const Qcow2Header *h, bool with_names)
{
    uint8_t words[24] = { 0 };

    if (h->backing_format)
        put_extension(out, QCOW2_EXT_BACKING_FORMAT, h->backing_format,
                      (uint32_t)strlen(h->backing_format));
    if (h->data_file)
        put_extension(out, QCOW2_EXT_DATA_FILE, h->data_file, (uint32_t)strlen(h->data_file));
    if (h->crypto_length) {
        st_be64(words, h->crypto_offset);
        st_be64(words + 8, h->crypto_length);
        put_extension(out, QCOW2_EXT_CRYPTO, words, 16);
    }
    if (h->version >= 3 && with_names)
        put_features(out);
    if (h->n_bitmaps) {
        st_be32(words, h->n_bitmaps);
        st_be32(words + 4, 0);
        st_be64(words + 8, h->bitmaps_size);
        st_be64(words + 16, h->bitmaps_offset);
        put_extension(out, QCOW2_EXT_BITMAPS, words, 24);
    }
    for (unsigned i = 0; h->unknown && i < h->unknown->len; i++) {
        const Qcow2Extension *e = &g_array_index(h->unknown, Qcow2Extension, i);
        put_extension(out, e->type, e->data, e->len);
    }
    put_extension(out, 0, NULL, 0);
}

uint8_t *qcow2_header_bytes(const Qcow2Header *h, const char *name, GError **error)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    uint64_t cluster = UINT64_C(1) << h->cluster_bits;
    unsigned length = h->version >= 3 ? QCOW2_V3_HEADER + 8 : QCOW2_V2_HEADER;

    g_byte_array_set_size(out, length);
    memset(out->data, 0, length);
    put_extensions(out, h, true);
    if (out->len + (h->backing ? strlen(h->backing) : 0) > cluster) {
        g_byte_array_set_size(out, length);
        put_extensions(out, h, false);
    }
    uint64_t backing_at = h->backing ? out->len : 0;
    if (h->backing)
        g_byte_array_append(out, (const uint8_t *)h->backing, (guint)strlen(h->backing));
    if (out->len > cluster) {
        fail(error, "%s: the header does not fit a cluster of %" G_GUINT64_FORMAT " bytes", name,
             cluster);
        return NULL;
    }
    uint8_t *p = out->data;
    st_be32(p, QCOW2_MAGIC);
    st_be32(p + 4, h->version);
    st_be64(p + 8, backing_at);
    st_be32(p + 16, h->backing ? (uint32_t)strlen(h->backing) : 0);
    st_be32(p + 20, h->cluster_bits);
    st_be64(p + 24, h->size);
    st_be32(p + 32, h->crypt_method);
    st_be32(p + 36, h->l1_entries);
    st_be64(p + 40, h->l1_offset);
    st_be64(p + 48, h->reftable_offset);
    st_be32(p + 56, h->reftable_clusters);
    st_be32(p + 60, h->n_snapshots);
    st_be64(p + 64, h->n_snapshots ? h->snapshots_offset : 0);
    if (h->version >= 3) {
        st_be64(p + 72, h->incompatible);
        st_be64(p + 80, h->compatible);
        st_be64(p + 88, h->autoclear);
        st_be32(p + 96, h->refcount_order);
        st_be32(p + 100, length);
        p[QCOW2_V3_HEADER] = (uint8_t)h->compression;
    }
    uint8_t *whole = g_malloc0(cluster);
    memcpy(whole, p, out->len);
    return whole;
}

bool qcow2_header_write(BlockUser *file, const char *name, const Qcow2Header *h, GError **error)
{
    g_autofree uint8_t *head = qcow2_header_bytes(h, name, error);

    if (!head)
        return false;
    int r = block_write(file, 0, head, UINT64_C(1) << h->cluster_bits, BLOCK_FUA);
    return !r || fail_errno(error, -r, "%s: its header cannot be written", name);
}

int qcow2_header_features(Qcow2 *q)
{
    uint8_t words[24];

    if (q->header.version < 3)
        return 0;
    st_be64(words, q->header.incompatible);
    st_be64(words + 8, q->header.compatible);
    st_be64(words + 16, q->header.autoclear);
    return block_write(q->file, 72, words, sizeof words, BLOCK_FUA);
}
