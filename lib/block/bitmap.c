/* SPDX-License-Identifier: MIT */
/*
 * Dirty bitmaps: words of bits, set by whoever completes a write, on any thread. A node's list of
 * them changes only while the node is at rest.
 */
#include "block/bitmap.h"

#include "base/error.h"
#include "block/block_priv.h"

#include <string.h>

#define MAX_BYTES (UINT64_C(1) << 30) /* of bits in memory */

static uint64_t words_of(const BlockBitmap *b, uint64_t size)
{
    uint64_t bits = (size >> b->shift) + !!(size & ((UINT64_C(1) << b->shift) - 1));
    return (bits + 63) / 64;
}

static bool make_words(BlockBitmap *b, uint64_t size, GError **error)
{
    uint64_t n = words_of(b, size);

    if (n * 8 > MAX_BYTES)
        return fail(error, "bitmap '%s': %" G_GUINT64_FORMAT " bytes in grains of %u would need %" G_GUINT64_FORMAT
                    " MiB of memory", b->name, size, 1u << b->shift, n >> 17);
    b->words = g_try_malloc0(MAX(n, 1) * 8);
    if (!b->words)
        return fail(error, "bitmap '%s': no memory", b->name);
    b->size = size;
    return true;
}

void block_bitmap_free(BlockBitmap *b)
{
    if (!b)
        return;
    g_free((void *)b->words);
    g_free(b->name);
    g_free(b);
}

BlockBitmap *block_bitmap_new(const char *name, uint32_t granularity, uint64_t size, GError **error)
{
    BlockBitmap *b = g_new0(BlockBitmap, 1);

    b->name = g_strdup(name);
    b->enabled = true;
    while (1u << b->shift < granularity)
        b->shift++;
    if (make_words(b, size, error))
        return b;
    block_bitmap_free(b);
    return NULL;
}

static void join_list(BlockNode *node, BlockBitmap *b)
{
    block_drain_begin(node);
    b->node = node;
    g_ptr_array_add(node->bitmaps, b);
    block_drain_end(node);
}

void block_bitmap_adopt(BlockNode *node, BlockBitmap *b)
{
    b->node = node;
    g_ptr_array_add(node->bitmaps, b);
}

BlockBitmap *block_bitmap_add(BlockNode *node, const char *name, uint32_t granularity, bool persistent,
                              GError **error)
{
    const BlockBitmapOps *ops = node->driver->bitmaps;

    if (!*name || strlen(name) > BLOCK_BITMAP_NAME_MAX) {
        fail_usage(error, "a bitmap's name has 1 to %d bytes", BLOCK_BITMAP_NAME_MAX);
        return NULL;
    }
    if (block_bitmap_find(node, name)) {
        fail(error, "Bitmap already exists: %s", name);
        return NULL;
    }
    if (!granularity) {
        uint32_t cluster = node->limits.cluster;
        granularity = cluster >= 4096 && cluster <= 65536 ? cluster : 65536;
    }
    if (granularity & (granularity - 1) || granularity < BLOCK_BITMAP_MIN_GRANULARITY) {
        fail_usage(error, "the granularity of a bitmap is a power of two from 512 to 2 GiB");
        return NULL;
    }
    if (persistent && (!ops || !ops->can_store)) {
        fail(error, "%s: the format %s cannot keep bitmaps", block_node_file(node), node->driver->name);
        return NULL;
    }
    if (persistent && !ops->can_store(node, name, granularity, error))
        return NULL;
    BlockBitmap *b = block_bitmap_new(name, granularity, node_size(node), error);
    if (!b)
        return NULL;
    b->persistent = persistent;
    join_list(node, b);
    return b;
}

bool block_bitmap_remove(BlockNode *node, BlockBitmap *b, GError **error)
{
    const BlockBitmapOps *ops = node->driver->bitmaps;

    if (b->persistent && ops && ops->drop && !ops->drop(node, b->name, error))
        return false;
    block_drain_begin(node);
    g_ptr_array_remove(node->bitmaps, b); /* frees it */
    block_drain_end(node);
    return true;
}

BlockBitmap *block_bitmap_nth(BlockNode *node, unsigned n)
{
    return n < node->bitmaps->len ? node->bitmaps->pdata[n] : NULL;
}

BlockBitmap *block_bitmap_find(BlockNode *node, const char *name)
{
    BlockBitmap *b;

    for (unsigned i = 0; (b = block_bitmap_nth(node, i)); i++)
        if (!strcmp(b->name, name))
            return b;
    return NULL;
}

bool block_keeps_bitmaps(BlockNode *node)
{
    const BlockBitmapOps *ops = node->driver->bitmaps;
    return ops && (!ops->keeps || ops->keeps(node));
}

const char *block_bitmap_name(const BlockBitmap *b) { return b->name; }
uint32_t block_bitmap_granularity(const BlockBitmap *b) { return 1u << b->shift; }
bool block_bitmap_enabled(const BlockBitmap *b) { return b->enabled; }
bool block_bitmap_persistent(const BlockBitmap *b) { return b->persistent; }
bool block_bitmap_inconsistent(const BlockBitmap *b) { return b->inconsistent; }

/* ---- changing ------------------------------------------------------------ */

static bool usable(const BlockBitmap *b, GError **error)
{
    return !b->inconsistent ||
           fail(error, "Bitmap '%s' is inconsistent and cannot be used\nhint: remove it: img bitmap --remove", b->name);
}

bool block_bitmap_set_enabled(BlockBitmap *b, bool enabled, GError **error)
{
    if (!usable(b, error))
        return false;
    block_drain_begin(b->node);
    b->enabled = enabled;
    block_drain_end(b->node);
    return true;
}

bool block_bitmap_clear(BlockBitmap *b, GError **error)
{
    if (!usable(b, error))
        return false;
    block_drain_begin(b->node);
    memset((void *)b->words, 0, words_of(b, b->size) * 8);
    block_drain_end(b->node);
    return true;
}

bool block_bitmap_merge(BlockBitmap *b, const BlockBitmap *source, GError **error)
{
    if (!usable(b, error) || !usable(source, error))
        return false;
    if (b->size != source->size)
        return fail(error, "Bitmaps are of different sizes (destination size is %" G_GUINT64_FORMAT
                    ", source size is %" G_GUINT64_FORMAT ") and can't be merged", b->size, source->size);
    for (uint64_t at = 0; at < source->size;) {
        bool dirty;
        uint64_t n = block_bitmap_run(source, at, source->size - at, &dirty);
        if (dirty)
            block_bitmap_mark(b, at, n);
        at += n;
    }
    return true;
}

bool block_bitmap_resize(BlockBitmap *b, uint64_t size, GError **error)
{
    _Atomic uint64_t *old = b->words;
    uint64_t before = b->size, keep = MIN(words_of(b, b->size), words_of(b, size));

    if (size == b->size)
        return true;
    if (!make_words(b, size, error)) {
        b->words = old;
        return false;
    }
    memcpy((void *)b->words, (void *)old, keep * 8);
    g_free((void *)old);
    /* bits past the end of a shorter one */
    uint64_t bits = (size + (UINT64_C(1) << b->shift) - 1) >> b->shift;
    if (size < before && bits % 64)
        b->words[bits / 64] &= (UINT64_C(1) << (bits % 64)) - 1;
    return true;
}

/* ---- bits ---------------------------------------------------------------- */

static void change(BlockBitmap *b, uint64_t first, uint64_t end, bool set)
{
    for (uint64_t i = first; i < end;) {
        uint64_t n = MIN(64 - i % 64, end - i), bits = (n == 64 ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1) << (i % 64);
        if (!set)
            atomic_fetch_and_explicit(&b->words[i / 64], ~bits, memory_order_relaxed);
        else if ((atomic_load_explicit(&b->words[i / 64], memory_order_relaxed) & bits) != bits)
            atomic_fetch_or_explicit(&b->words[i / 64], bits, memory_order_relaxed);
        i += n;
    }
}

void block_bitmap_mark(BlockBitmap *b, uint64_t offset, uint64_t bytes)
{
    uint64_t end = MIN(offset + bytes, b->size);

    if (offset < end)
        change(b, offset >> b->shift, ((end - 1) >> b->shift) + 1, true);
}

void block_bitmap_unmark(BlockBitmap *b, uint64_t offset, uint64_t bytes)
{
    uint64_t end = MIN(offset + bytes, b->size);

    if (offset < end)
        change(b, offset >> b->shift, ((end - 1) >> b->shift) + 1, false);
}

static bool bit(const BlockBitmap *b, uint64_t i)
{
    return atomic_load_explicit(&b->words[i / 64], memory_order_relaxed) >> (i % 64) & 1;
}

uint64_t block_bitmap_run(const BlockBitmap *b, uint64_t offset, uint64_t bytes, bool *dirty)
{
    uint64_t end = MIN(offset + bytes, b->size), i = offset >> b->shift, last = ((MAX(end, 1) - 1) >> b->shift) + 1;

    if (offset >= end) {
        *dirty = false;
        return bytes;
    }
    *dirty = bit(b, i);
    while (++i < last) {
        uint64_t word = atomic_load_explicit(&b->words[i / 64], memory_order_relaxed);
        if (i % 64 == 0 && i + 64 <= last && word == (*dirty ? ~UINT64_C(0) : 0))
            i += 63;
        else if ((word >> (i % 64) & 1) != *dirty)
            break;
    }
    return MIN(end, i << b->shift) - offset;
}

void block_bitmaps_note(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    for (unsigned i = 0; i < node->bitmaps->len; i++) {
        BlockBitmap *b = node->bitmaps->pdata[i];
        if (b->enabled && !b->inconsistent)
            block_bitmap_mark(b, offset, bytes);
    }
}
