/* SPDX-License-Identifier: MIT */
/*
 * Making images, and saying beforehand how large they would get. A new image is a header, a table
 * of reference counts with one block or more, and an empty L1 table; the rest comes as it is
 * written.
 */
#include "block/drivers/qcow2/qcow2_priv.h"

#include "base/error.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

typedef struct {
    uint64_t size, cluster_size, refcount_bits, extent_size_hint;
    char *backing, *backing_format, *data_file, *encrypt_format;
    LuksWanted luks;
    int compat, compression, preallocation;
    bool lazy_refcounts, data_file_raw, extended_l2, nocow, encryption;
} Wanted;

static const char *const compats[] = { "0.10", "1.1", "v2", "v3", NULL };
static const char *const compressions[] = { "zlib", "zstd", NULL };
static const char *const preallocations[] = { "off", "metadata", "falloc", "full", NULL };

#define FIELD(member) .offset = offsetof(Wanted, member)
/* In the order in which `create` tells them. */
const BlockProp qcow2_create_props[] = {
    { .name = "encryption", .kind = BLOCK_PROP_BOOL, FIELD(encryption),
      .help = "Encrypt the image with format 'aes'. (Deprecated in favor of encrypt.format=aes)" },
    { .name = "encrypt.format", .kind = BLOCK_PROP_STRING, FIELD(encrypt_format),
      .help = "Encrypt the image, format choices: 'aes', 'luks'" },
    LUKS_CREATE_PROPS("encrypt.", Wanted, luks,
                      "ID of secret providing qcow AES key or LUKS passphrase"),
    { .name = "cluster_size", .kind = BLOCK_PROP_SIZE, FIELD(cluster_size), .def = "65536",
      .told = true,
      .help = "qcow2 cluster size" },
    { .name = "extended_l2", .kind = BLOCK_PROP_BOOL, FIELD(extended_l2), .def = "off",
      .told = true, .help = "Extended L2 tables" },
    { .name = "preallocation", .kind = BLOCK_PROP_ENUM, FIELD(preallocation), .def = "off",
      .names = preallocations,
      .help = "Preallocation mode (allowed values: off, metadata, falloc, full)" },
    { .name = "compression_type", .kind = BLOCK_PROP_ENUM, FIELD(compression), .def = "zlib",
      .told = true, .names = compressions,
      .help = "Compression method used for image cluster compression" },
    { .name = "size", .kind = BLOCK_PROP_SIZE, FIELD(size), .help = "Virtual disk size" },
    { .name = "compat", .kind = BLOCK_PROP_ENUM, FIELD(compat), .def = "1.1", .names = compats,
      .help = "Compatibility level (v2 [0.10] or v3 [1.1])" },
    { .name = "backing_file", .kind = BLOCK_PROP_STRING, FIELD(backing),
      .help = "File name of a base image" },
    { .name = "backing_fmt", .kind = BLOCK_PROP_STRING, FIELD(backing_format),
      .help = "Image format of the base image" },
    { .name = "data_file", .kind = BLOCK_PROP_STRING, FIELD(data_file),
      .help = "File name of an external data file" },
    { .name = "data_file_raw", .kind = BLOCK_PROP_BOOL, FIELD(data_file_raw),
      .help = "The external data file must stay valid as a raw image" },
    { .name = "lazy_refcounts", .kind = BLOCK_PROP_BOOL, FIELD(lazy_refcounts), .def = "off",
      .told = true, .help = "Postpone refcount updates" },
    { .name = "refcount_bits", .kind = BLOCK_PROP_NUMBER, FIELD(refcount_bits), .def = "16",
      .told = true,
      .help = "Width of a reference count entry in bits" },
    { .name = "nocow", .kind = BLOCK_PROP_BOOL, FIELD(nocow), .below = true,
      .help = "Turn off copy-on-write (valid only on btrfs)" },
    { .name = "extent_size_hint", .kind = BLOCK_PROP_SIZE, FIELD(extent_size_hint), .below = true,
      .help = "Extent size hint for the image file, 0 to disable" },
    { 0 }
};
#undef FIELD

static bool power_of_two(uint64_t n)
{
    return n && !(n & (n - 1));
}

/* ---- what is wanted ------------------------------------------------------ */

static bool check_wanted(Wanted *w, GError **error)
{
    bool v2 = w->compat % 2 == 0;

    if (!power_of_two(w->cluster_size) || w->cluster_size < 512 || w->cluster_size > 2 << 20)
        return fail_usage(error, "Cluster size must be a power of two between 512 and 2048k");
    if (w->extended_l2 && w->cluster_size < 16384)
        return fail_usage(
            error,
            "Extended L2 entries are only supported with cluster sizes of at least 16384 bytes");
    if (!power_of_two(w->refcount_bits) || w->refcount_bits > 64)
        return fail_usage(error,
                          "Refcount width must be a power of two and may not exceed 64 bits");
    if (v2 && w->refcount_bits != 16)
        return fail_usage(
            error,
            "Different refcount widths than 16 bits require compatibility level 1.1 or above "
            "(use version=v3 or greater)");
    if (v2 && w->lazy_refcounts)
        return fail_usage(error,
                          "Lazy refcounts only supported with compatibility level 1.1 and above "
                          "(use version=v3 or greater)");
    if (v2 && (w->extended_l2 || w->data_file || w->compression))
        return fail_usage(
            error,
            "%s only supported with compatibility level 1.1 and above (use version=v3 or greater)",
            w->extended_l2 ? "Extended L2 entries are"
            : w->data_file ? "External data files are"
                           : "Non-zlib compression type is");
    if (w->data_file_raw && w->backing)
        return fail_usage(error, "Backing file and data-file-raw cannot be used at the same time");
    if (w->data_file_raw && !w->data_file)
        return fail_usage(error, "data-file-raw requires data-file");
    if (w->backing && w->preallocation && !w->extended_l2)
        return fail_usage(
            error,
            "Backing file and preallocation can only be used at the same time if extended_l2 is "
            "enabled");
    if (w->encryption || (w->encrypt_format && !strcmp(w->encrypt_format, "aes")))
        return fail_usage(error,
                          "AES encryption of old images is not there (encrypt.format=luks is)");
    if (w->encrypt_format && strcmp(w->encrypt_format, "luks"))
        return fail_usage(error, "Parameter 'format' does not accept value '%s'",
                          w->encrypt_format);
    if (w->luks.secret && !w->encrypt_format)
        return fail_usage(error, "Parameter 'encrypt.format' is missing");
    if (v2 && w->encrypt_format && w->preallocation)
        return fail_usage(
            error,
            "Encryption and preallocation only go together with compatibility level 1.1 and above "
            "(use version=v3 or greater)");
    /* raw data that readers need no tables for: all of it is there */
    if (w->data_file_raw && w->preallocation == BLOCK_PREALLOC_OFF)
        w->preallocation = BLOCK_PREALLOC_METADATA;
    return true;
}

static bool fill_header(const Wanted *w, Qcow2Header *h, GError **error)
{
    *h = (Qcow2Header){ .version = w->compat % 2 ? 3 : 2, .size = round_up(w->size, 512),
                        .compression = (Qcow2Compression)w->compression };
    while (UINT64_C(1) << h->cluster_bits < w->cluster_size)
        h->cluster_bits++;
    while (UINT64_C(1) << h->refcount_order < w->refcount_bits)
        h->refcount_order++;
    h->incompatible = (w->compression ? QCOW2_COMPRESSION_TYPE : 0) |
                      (w->data_file ? QCOW2_DATA_FILE : 0) |
                      (w->extended_l2 ? QCOW2_EXTENDED_L2 : 0);
    h->compatible = w->lazy_refcounts ? QCOW2_LAZY_REFCOUNTS : 0;
    h->autoclear = w->data_file_raw ? QCOW2_AUTO_RAW : 0;
    h->crypt_method = w->encrypt_format ? 2 : 0;
    h->backing = w->backing;
    h->backing_format = w->backing_format;
    h->data_file = w->data_file;
    unsigned l2_bits = h->cluster_bits - (w->extended_l2 ? 4 : 3);
    uint64_t l1 = qcow2_l1_needed(h->size, h->cluster_bits, l2_bits);
    if (w->size > BLOCK_MAX_SIZE || l1 * 8 > QCOW2_MAX_L1)
        return fail_usage(error,
                          "Image size too large for file format at cluster_size=%" G_GUINT64_FORMAT,
                          w->cluster_size);
    h->l1_entries = (uint32_t)l1;
    return true;
}

/* ---- how large ----------------------------------------------------------- */

/* Clusters of counts for `clusters` clusters and themselves. */
static uint64_t count_clusters(uint64_t clusters, const Qcow2Header *h, uint64_t *table)
{
    uint64_t per_block = (UINT64_C(8) << h->cluster_bits) >> h->refcount_order;
    uint64_t per_table = (UINT64_C(1) << h->cluster_bits) / 8, blocks = 0, before;

    *table = 0;
    do {
        before = blocks + *table;
        blocks = (clusters + *table + blocks + per_block - 1) / per_block;
        *table = (blocks + per_table - 1) / per_table;
    } while (blocks + *table != before);
    return blocks;
}

/* Bytes of tables for an image full of data. */
static uint64_t table_bytes(const Qcow2Header *h)
{
    uint64_t cluster = UINT64_C(1) << h->cluster_bits,
             entry = h->incompatible & QCOW2_EXTENDED_L2 ? 16 : 8;
    uint64_t data = round_up(h->size, cluster), l2 = round_up(data / cluster * entry, cluster);
    uint64_t l1 = round_up(l2 / cluster * 8, cluster), table;
    uint64_t tables = cluster + l1 + l2 + round_up(h->crypto_length, cluster);
    uint64_t blocks = count_clusters((tables + data) / cluster, h, &table);

    return tables + (blocks + table) * cluster;
}

/* Bytes of the source's data, in whole clusters. */
static bool data_bytes(BlockUser *source, uint64_t cluster, uint64_t *bytes, GError **error)
{
    uint64_t size = block_size(source), end = 0;
    BlockExtent e[64];

    *bytes = 0;
    for (uint64_t at = 0; at < size;) {
        int n = block_extents(source, at, size - at, 0, e, G_N_ELEMENTS(e));
        if (n < 0)
            return fail_errno(error, -n, "where its data is");
        for (int i = 0; i < n; i++) {
            at = e[i].offset + e[i].bytes;
            if (e[i].flags & BLOCK_EXTENT_ZERO)
                continue;
            uint64_t first = MAX(e[i].offset & ~(cluster - 1), end), last = round_up(at, cluster);
            *bytes += last > first ? last - first : 0;
            end = MAX(end, last);
        }
    }
    return true;
}

bool qcow2_measure(struct json_object *options, BlockUser *source, BlockMeasure *result,
                   GError **error)
{
    Wanted w = { 0 };
    Qcow2Header h;
    uint64_t bytes = 0;

    bool ok = block_props_read(qcow2_create_props, options, &w, error) && check_wanted(&w, error);
    if (ok && source)
        w.size = block_size(source);
    ok = ok && fill_header(&w, &h, error) &&
         (!source || w.backing || data_bytes(source, w.cluster_size, &bytes, error));
    if (ok && w.encrypt_format) {
        CryptoLuks luks = { .key_len = (16 + 8 * (uint32_t)w.luks.cipher) *
                                       (w.luks.mode == CRYPTO_XTS ? 2 : 1) };
        ok = crypto_luks_lay_out(&luks, error);
        h.crypto_length = luks.payload;
    }
    if (ok) {
        uint64_t tables = table_bytes(&h), whole = round_up(h.size, w.cluster_size);
        if (w.preallocation == BLOCK_PREALLOC_FULL || w.preallocation == BLOCK_PREALLOC_FALLOC)
            bytes = whole;
        *result = (BlockMeasure){ .required = tables + (w.data_file ? 0 : bytes),
                                  .fully_allocated = tables + (w.data_file ? 0 : whole),
                                  .bitmaps = h.version < 3 ? UINT64_MAX : 0 };
    }
    block_props_clear(qcow2_create_props, &w);
    return ok;
}

/* ---- making -------------------------------------------------------------- */

/* The tables of an empty image; clusters for the encryption header behind them. */
static bool write_tables(BlockUser *file, const char *name, Qcow2Header *h, GError **error)
{
    uint64_t crypto = (h->crypto_length + (UINT64_C(1) << h->cluster_bits) - 1) >> h->cluster_bits;
    uint64_t cluster = UINT64_C(1) << h->cluster_bits,
             l1 = ((uint64_t)h->l1_entries * 8 + cluster - 1) / cluster, table;
    uint64_t blocks = count_clusters(1 + l1 + crypto, h, &table), at = 1;
    uint64_t used = 1 + table + blocks + l1 + crypto;

    h->reftable_offset = cluster;
    h->reftable_clusters = (uint32_t)table;
    h->l1_offset = h->l1_entries || h->size == 0 ? (1 + table + blocks) * cluster : 0;
    h->crypto_offset = crypto ? (used - crypto) * cluster : 0;
    if (block_size(file) < used * cluster &&
        !block_resize(file, used * cluster, BLOCK_PREALLOC_OFF, error))
        return false;
    uint8_t *out = g_malloc0((table + blocks) * cluster);
    for (uint64_t i = 0; i < blocks; i++)
        st_be64(out + 8 * i, (at + table + i) * cluster);
    uint64_t per_block = (cluster * 8) >> h->refcount_order;
    for (uint64_t i = 0; i < used; i++)
        qcow2_refcount_into(out + (table + i / per_block) * cluster, h->refcount_order,
                            i % per_block, 1);
    int r = block_write(file, cluster, out, (table + blocks) * cluster, 0);
    g_free(out);
    if (!r && l1)
        r = block_zero(file, h->l1_offset, l1 * cluster, 0);
    if (r)
        return fail_errno(error, -r, "%s: its tables", name);
    return qcow2_header_write(file, name, h, error);
}

static bool make_data_file(BlockGraph *graph, const char *image, const Wanted *w, GError **error)
{
    if (!w->data_file)
        return true;
    g_autofree char *name = block_name_beside(image, w->data_file);
    struct json_object *making = json_object_new_object();
    g_autofree char *size = g_strdup_printf("%" G_GUINT64_FORMAT, round_up(w->size, 512));
    json_object_object_add(making, "filename", json_object_new_string(name));
    json_object_object_add(making, "size", json_object_new_string(size));
    bool ok = block_create(graph, "file", making, error);
    json_object_put(making);
    return ok || prefix(error, "data file");
}

/* Preallocation happens in the opened image. */
static bool fill_up(BlockGraph *graph, const char *name, const Wanted *w, GError **error)
{
    if (!w->preallocation)
        return true;
    struct json_object *options = block_image_options(graph, name, "qcow2", error);
    bool ok = options && (!w->luks.secret ||
                          block_options_set(options, "encrypt.key-secret", w->luks.secret, error));
    g_autoptr(BlockNode) node =
        ok ? block_open(graph, options, BLOCK_OPEN_NO_BACKING, error) : NULL;
    json_object_put(options);
    g_autoptr(BlockUser) user =
        node ? block_attach(node, &(BlockAttach){ .name = "create", .perm = BLOCK_PERM_RW }, error)
             : NULL;
    return user &&
           block_resize(user, round_up(w->size, 512), (BlockPrealloc)w->preallocation, error);
}

bool qcow2_create(BlockGraph *graph, struct json_object *options, GError **error)
{
    Wanted w = { 0 };
    Qcow2Header h;
    struct json_object *filename = NULL;

    json_object_object_get_ex(options, "filename", &filename);
    const char *name = filename ? json_object_get_string(filename) : NULL;
    if (!name)
        return fail_usage(error, "filename=... is missing");
    bool ok = block_props_read(qcow2_create_props, options, &w, error) && check_wanted(&w, error) &&
              fill_header(&w, &h, error);
    uint64_t size = h.size;
    CryptoLuks luks;
    CryptoPass pass;
    if (ok && w.encrypt_format) {
        ok = luks_plan(graph, &w.luks, "encrypt.", &luks, &pass, error);
        h.crypto_length = luks.payload;
    }
    if (ok) {
        /* filled up by growing it */
        if (w.preallocation)
            h.size = h.l1_entries = 0;
        g_autoptr(BlockUser) file = block_make_file(graph, name, error);
        ok = file && make_data_file(graph, name, &w, error) &&
             write_tables(file, name, &h, error) &&
             (!w.encrypt_format ||
              luks_write_new(file, h.crypto_offset, &luks, pass, w.luks.iter_time, error));
        if (file && !ok) {
            block_detach(g_steal_pointer(&file));
            block_remove_file(name);
        }
    }
    w.size = size;
    if (ok && !fill_up(graph, name, &w, error)) {
        block_remove_file(name);
        ok = false;
    }
    block_props_clear(qcow2_create_props, &w);
    return ok;
}
