/* SPDX-License-Identifier: MIT */
/*
 * The qcow2 driver: opening and closing, options, limits, what `info` tells. The format's parts are
 * in the files beside it; qcow2_priv.h says how they go together.
 */
#include "block/drivers/qcow2/qcow2_priv.h"

#include "base/error.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

/* A check looks at each table once, in order. */
enum { DEFAULT_CACHE = 32 << 20, CHECK_CACHE = 1 << 20 };

static const char *const overlap_words[] = { "none", "constant", "cached", "all", NULL };

static const BlockProp props[] = {
    { .name = "lazy-refcounts", .kind = BLOCK_PROP_BOOL, .offset = offsetof(Qcow2, lazy_refcounts),
      .help = "counts are written when the image is closed" },
    { .name = "pass-discard-request", .kind = BLOCK_PROP_BOOL, .offset = offsetof(Qcow2,
      discard_request),
      .def = "on", .help = "what a guest discards is given back to the file" },
    { .name = "pass-discard-snapshot", .kind = BLOCK_PROP_BOOL, .offset = offsetof(Qcow2,
      discard_snapshot),
      .def = "on", .help = "what a deleted snapshot held is given back to the file" },
    { .name = "pass-discard-other", .kind = BLOCK_PROP_BOOL, .offset = offsetof(Qcow2,
      discard_other),
      .def = "off", .help = "so is all else that becomes free" },
    { .name = "overlap-check", .kind = BLOCK_PROP_ENUM, .offset = offsetof(Qcow2, overlap_check),
      .def = "cached", .names = overlap_words,
      .help = "data is never written over tables, whatever is said here" },
    { .name = "cache-size", .kind = BLOCK_PROP_SIZE, .offset = offsetof(Qcow2, cache_size),
      .help = "memory for tables, at most" },
    { .name = "l2-cache-size", .kind = BLOCK_PROP_SIZE, .offset = offsetof(Qcow2, l2_cache_size),
      .help = "the same" },
    { .name = "refcount-cache-size", .kind = BLOCK_PROP_SIZE, .offset = offsetof(Qcow2,
      refcount_cache_size),
      .help = "added to it" },
    { .name = "encrypt.format", .kind = BLOCK_PROP_STRING, .offset = offsetof(Qcow2,
      encrypt_format),
      .help = "luks: how it is encrypted" },
    { .name = "encrypt.key-secret", .kind = BLOCK_PROP_STRING, .offset = offsetof(Qcow2,
      key_secret),
      .help = "the secret that holds the passphrase" },
    { .name = "l2-cache-entry-size", .kind = BLOCK_PROP_SIZE, .offset = offsetof(Qcow2,
      ignored_size),
      .help = "accepted" },
    { .name = "cache-clean-interval", .kind = BLOCK_PROP_NUMBER, .offset = offsetof(Qcow2,
      ignored_size),
      .help = "accepted" },
    { 0 }
};

static const BlockChildSlot children[] = {
    { .name = "file", .role = BLOCK_CHILD_FILE, .offset = offsetof(Qcow2, file) },
    { .name = "data-file", .role = BLOCK_CHILD_DATA, .optional = true, .offset = offsetof(Qcow2,
      data) },
    { .name = "backing", .role = BLOCK_CHILD_BACKING, .optional = true, .offset = offsetof(Qcow2,
      backing) },
    { 0 }
};

static int probe(const uint8_t *head, size_t len, const char *file)
{
    return len >= 4 && ld_be32(head) == QCOW2_MAGIC ? 100 : 0;
}

/* ---- opening ------------------------------------------------------------- */

static bool load_table(Qcow2 *q, const char *what, uint64_t offset, uint64_t entries,
                       uint64_t **table, GError **error)
{
    if (!qcow2_in_file(q, offset, entries * 8))
        return fail(error, "%s: the %s at %#" G_GINT64_MODIFIER "x lies past the end of the file",
                    block_node_file(q->node), what, offset);
    *table = g_new0(uint64_t, MAX(entries, 1));
    int r = entries ? block_read(q->file, offset, *table, entries * 8) : 0;

    if (r)
        return fail_errno(error, -r, "%s: the %s", block_node_file(q->node), what);
    for (uint64_t i = 0; i < entries; i++)
        (*table)[i] = ld_be64(&(*table)[i]);
    return true;
}

static void note(Qcow2 *q, uint64_t offset, uint64_t end)
{
    if (offset && !(offset & (q->cluster_size - 1)) && offset < end)
        g_hash_table_add(q->metadata, GSIZE_TO_POINTER(offset >> q->cluster_bits));
}

void qcow2_note_metadata(Qcow2 *q)
{
    uint64_t end = block_size(q->file);

    for (uint32_t i = 0; i < q->l1_entries; i++)
        note(q, q->l1[i] & QCOW2_OFFSET, end);
    for (uint32_t i = 0; i < q->reftable_entries; i++)
        note(q, q->reftable[i], end);
}

static void set_up(Qcow2 *q)
{
    const Qcow2Header *h = &q->header;
    bool extended = h->incompatible & QCOW2_EXTENDED_L2;

    q->cluster_bits = h->cluster_bits;
    q->cluster_size = UINT64_C(1) << h->cluster_bits;
    q->entry_size = extended ? 16 : 8;
    q->l2_bits = q->cluster_bits - (extended ? 4 : 3);
    q->subclusters = extended ? QCOW2_SUBCLUSTERS : 1;
    q->subcluster_size = q->cluster_size / q->subclusters;
    q->slice_size = (uint32_t)MIN(q->cluster_size, 4096);
    q->l1_entries = h->l1_entries;
    q->reftable_entries = (uint32_t)(h->reftable_clusters << q->cluster_bits >> 3);
    if (q->lazy_refcounts)
        q->header.compatible |= QCOW2_LAZY_REFCOUNTS;
    q->pass_discard = q->discard_request;
    q->limbo = g_array_new(FALSE, FALSE, sizeof(Limbo));
    q->metadata = g_hash_table_new(NULL, NULL);
    uint64_t cache = q->l2_cache_size ? q->l2_cache_size : q->cache_size;
    if (!cache)
        cache = block_node_for_check(q->node) ? CHECK_CACHE : DEFAULT_CACHE;
    qcow2_slices_init(q, cache + q->refcount_cache_size);
    qcow2_packers_init(&q->packers);
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->landed, NULL);
}

static void tear_down(Qcow2 *q)
{
    qcow2_bitmaps_clear(q);
    qcow2_snapshots_clear(q);
    qcow2_slices_clear(q);
    g_clear_pointer(&q->cipher, crypto_cipher_free);
    g_clear_pointer(&q->limbo, g_array_unref);
    g_clear_pointer(&q->metadata, g_hash_table_unref);
    g_clear_pointer(&q->l1, g_free);
    g_clear_pointer(&q->reftable, g_free);
    qcow2_header_clear(&q->header);
    qcow2_packers_clear(&q->packers);
    pthread_mutex_destroy(&q->lock);
    pthread_cond_destroy(&q->landed);
}

/* The file that holds the data, if that is another one. */
static bool check_data_file(Qcow2 *q, GError **error)
{
    const char *name = block_node_file(q->node);
    bool wanted = q->header.incompatible & QCOW2_DATA_FILE;

    if (!wanted && q->data)
        return fail(error, "%s: data-file is given, but it holds its data itself", name);
    if (wanted && !q->data && q->header.data_file)
        return block_node_open_child(q->node, "data-file", q->header.data_file, NULL, error);
    if (wanted && !q->data)
        return fail(error,
                    "%s: its data is in another file, whose name it does not say (data-file=)",
                    name);
    return true;
}

/* What a user should know, and what is not to be opened for writing. */
static bool check_state(Qcow2 *q, GError **error)
{
    const char *name = block_node_file(q->node);

    if (q->header.crypt_method == 1)
        return fail(error, "%s: AES encryption of old images is not there", name);
    if (block_node_read_only(q->node) || block_node_for_check(q->node))
        return true;
    if (q->header.incompatible & QCOW2_CORRUPT)
        return fail(error,
                    "%s: it is marked as corrupt and can only be read (img check -r all mends it)",
                    name);
    return true;
}

static bool open_encryption(Qcow2 *q, GError **error)
{
    const char *name = block_node_file(q->node), *format = q->encrypt_format;

    if (!qcow2_encrypted(q))
        return !format ||
               fail(error, "%s: No encryption in image header, but options specified format '%s'",
                    name, format);
    if (format && strcmp(format, "luks"))
        return fail(error, "%s: Header reported 'luks' encryption format but options specify '%s'",
                    name, format);
    if (!q->header.crypto_length)
        return fail(error, "%s: Missing CRYPTO header for crypt method 2", name);
    return luks_open_header(q->node, q->file, q->header.crypto_offset, q->header.crypto_length,
                            "encrypt.", q->key_secret, &q->luks, &q->cipher, error);
}

static bool qcow2_open(BlockNode *node, GError **error)
{
    Qcow2 *q = qcow2_of(node);
    const char *name = block_node_file(node);

    q->node = node;
    if (!qcow2_header_read(q->file, name, &q->header, error))
        return false;
    set_up(q);
    if (!check_state(q, error) || !check_data_file(q, error) ||
        !load_table(q, "L1 table", q->header.l1_offset, q->l1_entries, &q->l1, error) ||
        !load_table(q, "reference count table", q->header.reftable_offset, q->reftable_entries,
                    &q->reftable, error) ||
        !qcow2_snapshots_load(q, error) || !open_encryption(q, error))
        goto failed;
    qcow2_note_metadata(q);
    if (!block_node_read_only(node) && !block_node_for_check(node)) {
        if (q->header.incompatible & QCOW2_DIRTY && !qcow2_repair(q, error)) {
            prefix(error, "%s: it was not closed and cannot be mended", name);
            goto failed;
        }
        /* features that a writer who does not know them must clear */
        uint64_t known = QCOW2_AUTO_BITMAPS | QCOW2_AUTO_RAW;
        if (q->header.autoclear & ~known) {
            q->header.autoclear &= known;
            qcow2_header_features(q);
        }
    }
    if (!qcow2_bitmaps_load(q, error))
        goto failed;
    return true;
failed:
    tear_down(q);
    return false;
}

/* All is on disk, the image is clean. */
static int settle(Qcow2 *q)
{
    bool was_dirty = q->header.incompatible & QCOW2_DIRTY;

    q->header.incompatible &= ~QCOW2_DIRTY; /* the counts are written now */
    int r = q->broken ? -EIO : qcow2_flush_tables(q);
    /* what the limbo lowered */
    if (!r && q->slices.dirty)
        r = qcow2_flush_tables(q);
    if (!r && was_dirty) {
        r = block_flush(q->file);
        if (!r)
            r = qcow2_header_features(q);
    }
    if (r && was_dirty)
        q->header.incompatible |= QCOW2_DIRTY;
    return r;
}

static void qcow2_close(BlockNode *node)
{
    Qcow2 *q = qcow2_of(node);

    if (!block_node_read_only(node) && !block_node_for_check(node)) {
        g_autoptr(GError) error = NULL;
        if (!qcow2_bitmaps_store(q, &error))
            block_node_warn(node, "%s", error->message);
        pthread_mutex_lock(&q->lock);
        int r = settle(q);
        pthread_mutex_unlock(&q->lock);
        if (r && !q->broken)
            block_node_warn(node, "%s: its tables cannot be written: %s", block_node_file(node),
                            g_strerror(-r));
    }
    tear_down(q);
}

static bool qcow2_reopen(BlockNode *node, GError **error)
{
    Qcow2 *q = qcow2_of(node);

    if (!block_node_read_only(node))
        return check_state(q, error);
    /* it was flushed, but only a clean image may be left like that */
    if (!qcow2_bitmaps_store(q, error))
        return false;
    pthread_mutex_lock(&q->lock);
    int r = q->slices.dirty || q->header.incompatible & QCOW2_DIRTY ? settle(q) : 0;
    pthread_mutex_unlock(&q->lock);
    return !r || fail_errno(error, -r, "%s: its tables cannot be written", block_node_file(node));
}

static int64_t qcow2_length(BlockNode *node)
{
    return (int64_t)qcow2_of(node)->header.size;
}

static void qcow2_limits(BlockNode *node, BlockLimits *l)
{
    const Qcow2 *q = qcow2_of(node);

    l->align = qcow2_encrypted(q) ? CRYPTO_SECTOR : 1;
    l->optimal = (uint32_t)q->cluster_size;
    l->zero_align = q->header.version < 3 ? (uint32_t)q->cluster_size : 1;
    l->discard_align = (uint32_t)q->cluster_size;
    l->max_effect = BLOCK_MAX_SIZE;
    l->max_transfer = UINT64_C(1) << 30;
    l->can_discard = true;
    l->quick_zero = q->header.version >= 3;
    l->zero_init = !q->backing;
    l->lone_effects = true;
    l->cluster = (uint32_t)q->cluster_size;
}

static int qcow2_flush(BlockNode *node)
{
    Qcow2 *q = qcow2_of(node);

    pthread_mutex_lock(&q->lock);
    int r = q->broken ? -EIO : qcow2_flush_tables(q);
    pthread_mutex_unlock(&q->lock);
    return r;
}

/* ---- what info tells ----------------------------------------------------- */

static void add_bool(struct json_object *o, const char *key, bool value)
{
    json_object_object_add(o, key, json_object_new_boolean(value));
}

static void qcow2_info(BlockNode *node, struct json_object *into)
{
    Qcow2 *q = qcow2_of(node);
    const Qcow2Header *h = &q->header;
    struct json_object *data = json_object_new_object();

    json_object_object_add(into, "type", json_object_new_string("qcow2"));
    json_object_object_add(data, "compat", json_object_new_string(h->version < 3 ? "0.10" : "1.1"));
    json_object_object_add(data, "compression-type",
                           json_object_new_string(h->compression ? "zstd" : "zlib"));
    if (h->version >= 3)
        add_bool(data, "lazy-refcounts", h->compatible & QCOW2_LAZY_REFCOUNTS);
    struct json_object *bitmaps = qcow2_bitmaps_describe(q);
    if (bitmaps)
        json_object_object_add(data, "bitmaps", bitmaps);
    if (h->version >= 3) {
        json_object_object_add(data, "refcount-bits", json_object_new_int(1 << h->refcount_order));
        if (h->incompatible & QCOW2_DATA_FILE) {
            if (h->data_file)
                json_object_object_add(data, "data-file", json_object_new_string(h->data_file));
            add_bool(data, "data-file-raw", h->autoclear & QCOW2_AUTO_RAW);
        }
    } else {
        json_object_object_add(data, "refcount-bits", json_object_new_int(16));
    }
    if (h->crypt_method) {
        struct json_object *encrypt = json_object_new_object();
        luks_describe(&q->luks, true, encrypt);
        json_object_object_add(data, "encrypt", encrypt);
    }
    if (h->version >= 3)
        add_bool(data, "corrupt", h->incompatible & QCOW2_CORRUPT);
    if (h->version >= 3)
        add_bool(data, "extended-l2", h->incompatible & QCOW2_EXTENDED_L2);
    json_object_object_add(into, "data", data);
}

static bool qcow2_unclean(BlockNode *node)
{
    return qcow2_of(node)->header.incompatible & QCOW2_DIRTY;
}

/* ---- backing files ------------------------------------------------------- */

static char *backing_name(BlockNode *node)
{
    return g_strdup(qcow2_of(node)->header.backing);
}

static char *backing_format(BlockNode *node)
{
    return g_strdup(qcow2_of(node)->header.backing_format);
}

static bool backing_record(BlockNode *node, const char *name, const char *format, GError **error)
{
    Qcow2 *q = qcow2_of(node);
    Qcow2Header h = q->header;

    if (name && (q->header.autoclear & QCOW2_AUTO_RAW))
        return fail(error, "%s: its data file is raw, so it cannot have a backing file",
                    block_node_file(node));
    h.backing = (char *)(uintptr_t)name;
    h.backing_format = (char *)(uintptr_t)format;
    if (!qcow2_header_write(q->file, block_node_file(node), &h, error))
        return false;
    char *new_name = g_strdup(name), *new_format = g_strdup(format);
    g_free(q->header.backing);
    g_free(q->header.backing_format);
    q->header.backing = new_name;
    q->header.backing_format = new_format;
    return true;
}

const BlockBackingOps qcow2_backing_ops = { backing_name, backing_format, backing_record };

extern const BlockDriver block_qcow2_driver;
const BlockDriver block_qcow2_driver = {
    .name = "qcow2",
    .summary = "QEMU's format: grows as it is written, backing files, snapshots, compression",
    .size = sizeof(Qcow2),
    .props = props,
    .children = children,
    .probe = probe,
    .create = qcow2_create,
    .create_props = qcow2_create_props,
    .open = qcow2_open,
    .close = qcow2_close,
    .reopen = qcow2_reopen,
    .length = qcow2_length,
    .limits = qcow2_limits,
    .resize = qcow2_resize,
    .read = qcow2_read,
    .write = qcow2_write,
    .zero = qcow2_zero,
    .discard = qcow2_discard,
    .flush = qcow2_flush,
    .write_compressed = qcow2_write_compressed,
    .pack = qcow2_pack_cluster,
    .write_packed = qcow2_write_packed,
    .extents = qcow2_extents,
    .map = qcow2_map,
    .check = qcow2_check,
    .info = qcow2_info,
    .unclean = qcow2_unclean,
    .measure = qcow2_measure,
    .amend = qcow2_amend,
    .make_empty = qcow2_make_empty,
    .snapshots = &qcow2_snapshot_ops,
    .bitmaps = &qcow2_bitmap_ops,
    .backing = &qcow2_backing_ops,
};
