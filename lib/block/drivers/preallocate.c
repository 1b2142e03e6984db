/* SPDX-License-Identifier: MIT */
/*
 * preallocate: a file that grows by writes past its end is made longer in large steps, which on
 * many file systems are much cheaper than small ones. It stands between a format and its file. What
 * is there beyond the last write is not shown, and cut off when the node is closed.
 */
#include "block/filter_priv.h"

#include "base/error.h"

#include <errno.h>
#include <stdatomic.h>

typedef struct {
    BlockUser *file;
    uint64_t align, step;
    pthread_mutex_t lock;      /* of growing */
    _Atomic uint64_t data_end; /* what we show */
    _Atomic uint64_t file_end; /* what there is */
    bool failed;               /* there is no quick way to grow: no more tries */
} Preallocate;

static const BlockProp props[] = {
    { .name = "prealloc-align", .kind = BLOCK_PROP_SIZE, .offset = offsetof(Preallocate, align),
      .def = "1M", .min = 512, .max = 1ull << 40, .help = "the file ends at multiples of it" },
    { .name = "prealloc-size", .kind = BLOCK_PROP_SIZE, .offset = offsetof(Preallocate, step),
      .def = "128M", .max = 1ull << 40, .help = "what is added beyond a write" },
    { 0 }
};

static const BlockChildSlot children[] = {
    { .name = "file", .role = BLOCK_CHILD_FILTERED, .offset = offsetof(Preallocate, file) },
    { 0 }
};

static bool preallocate_open(BlockNode *node, GError **error)
{
    Preallocate *p = block_node_state(node);

    if (p->align % BLOCK_SECTOR)
        return fail_usage(error, "prealloc-align=%" G_GUINT64_FORMAT " is not a multiple of 512",
                          p->align);
    pthread_mutex_init(&p->lock, NULL);
    atomic_store(&p->data_end, block_size(p->file));
    atomic_store(&p->file_end, block_size(p->file));
    return true;
}

static void preallocate_close(BlockNode *node)
{
    Preallocate *p = block_node_state(node);
    uint64_t end = atomic_load(&p->data_end);
    g_autoptr(GError) error = NULL;

    if (!block_node_read_only(node) && end < block_size(p->file) &&
        !block_resize(p->file, end, BLOCK_PREALLOC_OFF, &error))
        block_node_warn(node, "%s: it stays longer than its data: %s", block_node_file(node),
                        error->message);
    pthread_mutex_destroy(&p->lock);
}

static int64_t preallocate_length(BlockNode *node)
{
    return (int64_t)atomic_load(&((Preallocate *)block_node_state(node))->data_end);
}

/* It changes the length by itself, also when the last user has gone. */
static void preallocate_child_perm(BlockNode *node, const BlockChildSlot *slot, unsigned perm,
                                   unsigned shared, unsigned *child_perm, unsigned *child_shared)
{
    *child_perm = perm;
    *child_shared = shared;
    if (block_node_read_only(node))
        return;
    *child_perm |= BLOCK_PERM_CONSISTENT_READ | BLOCK_PERM_WRITE | BLOCK_PERM_RESIZE;
    *child_shared &= ~(unsigned)(BLOCK_PERM_WRITE | BLOCK_PERM_RESIZE);
}

static bool preallocate_resize(BlockNode *node, uint64_t size, BlockPrealloc prealloc,
                               GError **error)
{
    Preallocate *p = block_node_state(node);
    uint64_t data = atomic_load(&p->data_end);

    /* what was added must not be taken for data, and is to be preallocated as was asked for */
    if (block_size(p->file) > data && !block_resize(p->file, data, BLOCK_PREALLOC_OFF, error))
        return false;
    atomic_store(&p->data_end, size);
    if (!block_resize(p->file, size, prealloc, error)) {
        atomic_store(&p->data_end, data);
        atomic_store(&p->file_end, block_size(p->file));
        return false;
    }
    atomic_store(&p->file_end, block_size(p->file));
    return true;
}

/* ---- growing ------------------------------------------------------------- */

static void push_to(_Atomic uint64_t *at, uint64_t to)
{
    uint64_t now = atomic_load(at);
    while (now < to && !atomic_compare_exchange_weak(at, &now, to))
        ;
}

/* Sees to it that a write up to end finds room; a failure to do so leaves that to the write. */
static void grow(Preallocate *p, uint64_t end)
{
    pthread_mutex_lock(&p->lock);
    uint64_t from = atomic_load(&p->file_end);
    if (end > from && !p->failed && p->step <= BLOCK_MAX_SIZE - end) {
        uint64_t to = (end + p->step + p->align - 1) / p->align * p->align;
        if (to <= BLOCK_MAX_SIZE && !block_zero(p->file, from, to - from, BLOCK_NO_FALLBACK))
            push_to(&p->file_end, to);
        else
            p->failed = true;
    }
    pthread_mutex_unlock(&p->lock);
}

static int past_end(BlockNode *node, BlockOp op, uint64_t offset, uint64_t bytes,
                    const struct iovec *iov, int iovcnt, unsigned flags)
{
    Preallocate *p = block_node_state(node);
    uint64_t end = offset + bytes;

    if (end > atomic_load(&p->file_end))
        grow(p, end);
    int r = block_run(p->file, op, flags, offset, bytes, iov, iovcnt);
    if (!r) {
        push_to(&p->data_end, end);
        push_to(&p->file_end, end);
    }
    return r;
}

static int preallocate_write(BlockNode *node, uint64_t offset, uint64_t bytes,
                             const struct iovec *iov, int iovcnt, unsigned flags)
{
    return past_end(node, BLOCK_WRITE, offset, bytes, iov, iovcnt, flags);
}

static int preallocate_zero(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
    return past_end(node, BLOCK_ZERO, offset, bytes, NULL, 0, flags);
}

static bool preallocate_map(BlockNode *node, BlockOp op, uint64_t offset, uint64_t bytes,
                            BlockMap *map)
{
    Preallocate *p = block_node_state(node);

    if ((op == BLOCK_WRITE || op == BLOCK_ZERO) && offset + bytes > atomic_load(&p->data_end))
        return false;
    return filter_map(node, op, offset, bytes, map);
}

const BlockDriver block_preallocate_driver = {
    .name = "preallocate",
    .summary = "a file grows in large steps",
    .size = sizeof(Preallocate),
    .props = props,
    .children = children,
    .filter = true,
    .open = preallocate_open,
    .close = preallocate_close,
    .length = preallocate_length,
    .limits = filter_limits,
    .child_perm = preallocate_child_perm,
    .resize = preallocate_resize,
    .write = preallocate_write,
    .zero = preallocate_zero,
    .write_compressed = filter_write_compressed,
    .map = preallocate_map,
};
