/* SPDX-License-Identifier: MIT */
/* What block status says, by context: what is allocated and zero, how deep in a chain it lies, what
 * a bitmap has. */
#include "export/export_priv.h"

#include <errno.h>

enum { MAX_PIECES = 4096, SOME = 64 };

/* Adds a piece, joined with the one before; false: there are enough. */
static bool add(GArray *pieces, unsigned max, uint64_t length, uint64_t flags)
{
    NbdExtent *last = pieces->len ? &g_array_index(pieces, NbdExtent, pieces->len - 1) : NULL;
    if (last && last->flags == flags) {
        last->length += length;
        return true;
    }
    if (pieces->len == max)
        return false;
    g_array_append_vals(pieces, &(NbdExtent){ length, flags }, 1);
    return true;
}

static uint64_t allocation(const BlockExtent *e)
{
    return (e->flags & BLOCK_EXTENT_DATA ? 0 : NBD_STATE_HOLE) |
           (e->flags & BLOCK_EXTENT_ZERO ? NBD_STATE_ZERO : 0);
}

static uint64_t depth(const BlockExtent *e)
{
    return e->flags & BLOCK_EXTENT_ALLOCATED ? e->depth + 1 : 0;
}

static int from_extents(BlockUser *user, const NbdRequest *r, unsigned how,
                        uint64_t (*flags)(const BlockExtent *e), unsigned max, GArray *pieces)
{
    uint64_t at = r->offset, end = r->offset + r->length;
    while (at < end) {
        BlockExtent some[SOME];
        int n = block_extents(user, at, end - at, how, some, SOME);
        if (n <= 0)
            return n ? n : -EIO;
        for (int i = 0; i < n; i++) {
            if (!add(pieces, max, some[i].bytes, flags(&some[i])))
                return 0;
            at = some[i].offset + some[i].bytes;
        }
    }
    return 0;
}

static void from_bitmap(const BlockBitmap *bitmap, const NbdRequest *r, unsigned max,
                        GArray *pieces)
{
    uint64_t at = r->offset, end = r->offset + r->length;
    while (at < end) {
        bool dirty;
        uint64_t n = block_bitmap_run(bitmap, at, end - at, &dirty);
        if (!n || !add(pieces, max, n, dirty ? NBD_STATE_DIRTY : 0))
            return;
        at += n;
    }
}

int export_status(Connection *c, Task *t)
{
    Export *e = c->export;
    unsigned max = t->nbd.flags & NBD_CMD_FLAG_REQ_ONE ? 1 : MAX_PIECES;
    g_autoptr(GArray) pieces = g_array_new(false, false, sizeof(NbdExtent));
    t->body = g_byte_array_new();
    int index;
    for (unsigned i = 0; (index = nbd_server_context(c->nbd, i)) >= 0; i++) {
        int err = 0;
        g_array_set_size(pieces, 0);
        if (!index) {
            err = from_extents(e->user, &t->nbd, 0, allocation, max, pieces);
        } else if ((unsigned)index < e->first_bitmap) {
            err = from_extents(e->user, &t->nbd, BLOCK_EXTENTS_ALLOCATION, depth, max, pieces);
        } else {
            const char *name = e->wire.contexts[index] + sizeof NBD_CONTEXT_BITMAP - 1;
            BlockBitmap *bitmap = block_bitmap_find(e->node, name);
            if (bitmap)
                from_bitmap(bitmap, &t->nbd, max, pieces);
            else
                err = -EINVAL;
        }
        if (err) {
            g_clear_pointer(&t->body, g_byte_array_unref);
            return -err;
        }
        bool last = nbd_server_context(c->nbd, i + 1) < 0;
        nbd_server_put_extents(c->nbd, &t->nbd, i, (const NbdExtent *)(void *)pieces->data,
                               pieces->len, last, t->body);
    }
    return 0;
}
