/* SPDX-License-Identifier: MIT */
/*
 * Creation options of an image that is there already, changed. In what order matters only where one
 * rules out another: to version 3 first, to version 2 last.
 */
#include "block/drivers/qcow2/qcow2_priv.h"

#include "base/error.h"
#include "base/size.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

/* What is there as clusters of zeroes becomes data: version 2 has no such clusters. */
static int expand_zeroes(Qcow2 *q)
{
    int r = 0;

    for (uint64_t at = 0, size = qcow2_size(q); !r && at < size;) {
        Piece p;
        pthread_mutex_lock(&q->lock);
        r = qcow2_piece(q, at, size - at, true, &p);
        bool nothing = p.kind == PIECE_ZERO && !q->backing;
        if (!r && nothing)
            r = qcow2_unmap(q, at >> q->cluster_bits, qcow2_clusters(q, at + p.bytes), false);
        pthread_mutex_unlock(&q->lock);
        if (r)
            break;
        bool zero = (p.kind == PIECE_ZERO && !nothing) || p.kind == PIECE_ZERO_THERE;
        uint64_t n = zero ? MIN(p.bytes, UINT64_C(1) << 20) : p.bytes;
        if (zero) {
            g_autofree void *zeroes = g_malloc0(n);
            r = qcow2_write(q->node, at, n, &(struct iovec){ zeroes, n }, 1, 0);
        }
        at += n;
    }
    return r;
}

static bool rewrite(Qcow2 *q, const Qcow2Header *h, GError **error)
{
    pthread_mutex_lock(&q->lock);
    int r = qcow2_flush_tables(q);
    if (!r)
        r = block_flush(q->file);
    pthread_mutex_unlock(&q->lock);
    if (r)
        return fail_errno(error, -r, "%s", block_node_file(q->node));
    if (!qcow2_header_write(q->file, block_node_file(q->node), h, error))
        return false;
    q->header.version = h->version;
    q->header.compatible = h->compatible;
    q->header.incompatible = h->incompatible;
    q->header.autoclear = h->autoclear;
    return true;
}

static bool downgrade(Qcow2 *q, GError **error)
{
    const char *file = block_node_file(q->node);
    Qcow2Header h = q->header;
    const char *why = h.refcount_order != 4 ? "reference counts that do not have 16 bits"
                      : h.incompatible & QCOW2_DATA_FILE   ? "an external data file"
                      : h.incompatible & QCOW2_EXTENDED_L2 ? "extended L2 entries"
                      : h.incompatible & QCOW2_COMPRESSION_TYPE
                          ? "a compression type other than zlib"
                      : h.n_bitmaps || block_bitmap_nth(q->node, 0) ? "bitmaps"
                                                                    : NULL;

    if (why)
        return fail(error, "%s: version 2 has no %s", file, why);
    for (unsigned i = 0; i < q->snapshots->len; i++)
        if (g_array_index(q->snapshots, Qcow2Snapshot, i).info.disk_size != h.size)
            return fail(error, "%s: version 2 has no snapshots of other sizes", file);
    if (q->snapshots->len)
        return fail(error, "%s: an image with snapshots stays version 3", file);
    int r = expand_zeroes(q);
    if (r)
        return fail_errno(error, -r, "%s: writing out its zeroes", file);
    h = q->header;
    h.version = 2;
    h.incompatible = h.compatible = h.autoclear = 0;
    return rewrite(q, &h, error);
}

static bool set_refcount_bits(Qcow2 *q, uint64_t bits, GError **error)
{
    unsigned order = 0;

    if (!bits || bits & (bits - 1) || bits > 64)
        return fail_usage(error,
                          "Refcount width must be a power of two and may not exceed 64 bits");
    while (UINT64_C(1) << order < bits)
        order++;
    if (order == q->header.refcount_order)
        return true;
    if (q->header.version < 3)
        return fail_usage(
            error,
            "Different refcount widths than 16 bits require compatibility level 1.1 or above "
            "(use version=v3 or greater)");
    int r = qcow2_change_refcount_order(q, order);
    if (r == -EOVERFLOW)
        return fail(error, "%s: some clusters are used too often for reference counts of %u bits",
                    block_node_file(q->node), 1u << order);
    return !r || fail_errno(error, -r, "%s: its reference counts", block_node_file(q->node));
}

/* Text of an option, NULL when it is not given. */
static const char *given(struct json_object *options, const char *key)
{
    struct json_object *value;

    return json_object_object_get_ex(options, key, &value) ? json_object_get_string(value) : NULL;
}

static bool set_lazy(Qcow2 *q, const char *text, GError **error)
{
    Qcow2Header h = q->header;
    bool on = !strcmp(text, "on");

    if (!on && strcmp(text, "off"))
        return fail_usage(error, "lazy_refcounts=%s: it is on or off", text);
    if (on && h.version < 3)
        return fail_usage(error,
                          "Lazy refcounts only supported with compatibility level 1.1 and above "
                          "(use version=v3 or greater)");
    h.compatible = on ? h.compatible | QCOW2_LAZY_REFCOUNTS : h.compatible & ~QCOW2_LAZY_REFCOUNTS;
    if (!on)
        h.incompatible &= ~QCOW2_DIRTY;
    q->header.incompatible = h.incompatible; /* so that counts are written below */
    return rewrite(q, &h, error);
}

bool qcow2_amend(BlockNode *node, struct json_object *options, bool force, GError **error)
{
    static const char *const known[] = { "backing_file",
                                         "backing_fmt",
                                         "compat",
                                         "lazy_refcounts",
                                         "refcount_bits",
                                         "size",
                                         "data_file",
                                         "data_file_raw",
                                         "encrypt.state",
                                         "encrypt.new-secret",
                                         "encrypt.old-secret",
                                         "encrypt.keyslot",
                                         "encrypt.iter-time",
                                         NULL };
    Qcow2 *q = qcow2_of(node);
    const char *compat = given(options, "compat"), *lazy = given(options, "lazy_refcounts");
    const char *bits = given(options, "refcount_bits"), *size = given(options, "size"),
               *data = given(options, "data_file");
    const char *backing = given(options, "backing_file"), *format = given(options, "backing_fmt");
    Qcow2Header h = q->header;

    if (!block_props_done(NULL, known, options, "qcow2", error))
        return false;
    if (json_object_object_get_ex(options, "encrypt", NULL)) {
        if (!qcow2_encrypted(q))
            return fail(error, "%s: Can't amend encryption options - encryption not present",
                        block_node_file(node));
        if (!luks_amend(node, q->file, h.crypto_offset, "encrypt.", q->key_secret, &q->luks,
                        options, force, error))
            return false;
    }
    bool v2 = compat && (!strcmp(compat, "0.10") || !strcmp(compat, "v2"));
    bool v3 = compat && (!strcmp(compat, "1.1") || !strcmp(compat, "v3"));
    if (compat && !v2 && !v3)
        return fail_usage(error, "Unknown compatibility level %s", compat);
    if (v3 && h.version < 3) {
        h.version = 3;
        if (!rewrite(q, &h, error))
            return false;
    }
    if (bits && !set_refcount_bits(q, g_ascii_strtoull(bits, NULL, 10), error))
        return false;
    if (data && !(h.incompatible & QCOW2_DATA_FILE))
        return fail(error, "%s: data_file can only be changed for images that have one",
                    block_node_file(node));
    if (data) {
        g_free(q->header.data_file);
        q->header.data_file = g_strdup(data);
        h = q->header;
        if (!rewrite(q, &h, error))
            return false;
    }
    if (lazy && !set_lazy(q, lazy, error))
        return false;
    if (backing || format) {
        g_autofree char *name = g_strdup(backing ? backing : q->header.backing);
        g_autofree char *as = g_strdup(format ? format : q->header.backing_format);
        if (!qcow2_backing_ops.record(node, name && *name ? name : NULL, as, error))
            return false;
    }
    uint64_t bytes;
    if (size &&
        !(size_parse(size, &bytes, error) && qcow2_resize(node, bytes, BLOCK_PREALLOC_OFF, error)))
        return false;
    return !v2 || q->header.version < 3 || downgrade(q, error);
}
