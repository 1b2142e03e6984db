/* SPDX-License-Identifier: MIT */
/*
 * snapshot=on: a layer that keeps what is written in a temporary file and leaves the image as it
 * is. A bitmap in memory, a bit for 4 KiB, says what is in the file, at the same offset as in the
 * image. A granule is marked after all of it was written, so a failed write loses nothing.
 * Nothing of it outlives the process.
 */
#include "block/driver.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { GRANULE = 4096 };
#define LARGEST ((uint64_t)64 << 40) /* 2 GiB of bitmap, touched as it is used */

typedef struct {
    BlockUser *backing, *overlay;
    uint64_t granules;
    _Atomic uint64_t *here; /* mapped: a bit a granule */
    size_t mapped;
} Snapshot;

static const BlockChildSlot children[] = {
    { .name = "backing", .role = BLOCK_CHILD_BACKING, .offset = offsetof(Snapshot, backing) },
    { .name = "overlay", .role = BLOCK_CHILD_DATA, .offset = offsetof(Snapshot, overlay) },
    { 0 }
};

static bool snapshot_open(BlockNode *node, GError **error)
{
    Snapshot *s = block_node_state(node);
    uint64_t size = block_size(s->backing);

    if (size > LARGEST)
        return fail(error, "%s: larger than 64 TiB, too large for a temporary layer",
                    block_node_file(node));
    s->granules = (size + GRANULE - 1) / GRANULE;
    s->mapped = MAX(8, (s->granules + 63) / 64 * 8);
    void *p = mmap(NULL, s->mapped, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return fail_errno(error, errno, "%s: a bitmap for the temporary layer",
                          block_node_file(node));
    s->here = p;
    return true;
}

static void snapshot_close(BlockNode *node)
{
    Snapshot *s = block_node_state(node);
    munmap((void *)s->here, s->mapped);
}

static int64_t snapshot_length(BlockNode *node)
{
    return (int64_t)block_size(((Snapshot *)block_node_state(node))->backing);
}

static void snapshot_limits(BlockNode *node, BlockLimits *limits)
{
    limits->serialize = GRANULE;
    limits->fua = true;
    limits->can_discard = limits->quick_zero = true;
}

/* ---- the bitmap ---------------------------------------------------------- */

static bool is_here(const Snapshot *s, uint64_t granule)
{
    return atomic_load_explicit(&s->here[granule / 64], memory_order_acquire) >> (granule % 64) & 1;
}

static void mark(Snapshot *s, uint64_t first, uint64_t end)
{
    for (uint64_t g = first; g < end;) {
        uint64_t n = MIN(64 - g % 64, end - g);
        uint64_t bits = (n == 64 ? ~0ull : (1ull << n) - 1) << (g % 64);
        atomic_fetch_or_explicit(&s->here[g / 64], bits, memory_order_release);
        g += n;
    }
}

/* How far the answer for offset holds, at most bytes; *here is the answer. */
static uint64_t run_length(const Snapshot *s, uint64_t offset, uint64_t bytes, bool *here)
{
    uint64_t g = offset / GRANULE, last = (offset + bytes - 1) / GRANULE;

    *here = is_here(s, g);
    while (++g <= last) {
        /* whole words at once: sparse images are long */
        uint64_t word = atomic_load_explicit(&s->here[g / 64], memory_order_acquire);
        if (g % 64 == 0 && word == (*here ? ~0ull : 0))
            g += 63;
        else if ((word >> (g % 64) & 1) != *here)
            break;
    }
    return MIN(bytes, g * GRANULE - offset);
}

static bool snapshot_map(BlockNode *node, BlockOp op, uint64_t offset, uint64_t bytes,
                         BlockMap *map)
{
    Snapshot *s = block_node_state(node);
    bool here;
    uint64_t n = run_length(s, offset, bytes, &here);

    /* writes only where all of it is here already: marking comes after writing */
    if (op != BLOCK_READ && (!here || n < bytes))
        return false;
    *map = (BlockMap){ here ? s->overlay : s->backing, offset, n };
    return true;
}

/* ---- writing what is not here yet ---------------------------------------- */

/* Copies the granule that holds offset, unless it is here; the write that comes next covers only
 * part of it. The core lets no other write into it meanwhile. */
static int bring(BlockNode *node, uint64_t offset)
{
    Snapshot *s = block_node_state(node);
    uint64_t g = offset / GRANULE;
    uint8_t buf[GRANULE];
    uint64_t n = MIN(GRANULE, block_node_size(node) - g * GRANULE);
    int r;

    if (is_here(s, g))
        return 0;
    r = block_read(s->backing, g * GRANULE, buf, n);
    if (!r)
        r = block_write(s->overlay, g * GRANULE, buf, n, 0);
    if (!r)
        mark(s, g, g + 1);
    return r;
}

static int bring_ends(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    uint64_t end = offset + bytes;
    int r = offset % GRANULE ? bring(node, offset) : 0;

    if (!r && end % GRANULE && end < block_node_size(node))
        r = bring(node, end - 1);
    return r;
}

static int snapshot_write(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov,
                          int iovcnt, unsigned flags)
{
    Snapshot *s = block_node_state(node);
    int r = bring_ends(node, offset, bytes);

    if (!r)
        r = block_run(s->overlay, BLOCK_WRITE, flags & BLOCK_FUA, offset, bytes, iov, iovcnt);
    if (!r)
        mark(s, offset / GRANULE, (offset + bytes + GRANULE - 1) / GRANULE);
    return r;
}

static int snapshot_zero(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
    Snapshot *s = block_node_state(node);
    int r = bring_ends(node, offset, bytes);

    if (!r)
        r = block_zero(s->overlay, offset, bytes, (flags & BLOCK_FUA) | BLOCK_MAY_UNMAP);
    if (!r)
        mark(s, offset / GRANULE, (offset + bytes + GRANULE - 1) / GRANULE);
    return r;
}

static int snapshot_extents(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags,
                            BlockExtent *out, unsigned max)
{
    Snapshot *s = block_node_state(node);
    bool here;
    uint64_t n = run_length(s, offset, bytes, &here);

    *out = (BlockExtent){ .offset = offset, .bytes = n, .child_offset = offset,
                          .child = here ? s->overlay : s->backing,
                          .flags = BLOCK_EXTENT_FORWARD | (here ? BLOCK_EXTENT_ALLOCATED : 0) };
    return 1;
}

const BlockDriver block_snapshot_driver = {
    .name = "snapshot",
    .summary = "a layer that keeps writes in a temporary file (snapshot=on)",
    .size = sizeof(Snapshot),
    .children = children,
    .open = snapshot_open,
    .close = snapshot_close,
    .length = snapshot_length,
    .limits = snapshot_limits,
    .write = snapshot_write,
    .zero = snapshot_zero,
    .extents = snapshot_extents,
    .map = snapshot_map,
};

/* ---- made for a node ----------------------------------------------------- */

/* A file without a name, where there is room. */
static int temporary(GError **error)
{
    const char *dir = g_getenv("TMPDIR");
    int fd;

    if (!dir || !*dir)
        dir = "/var/tmp";
    fd = open(dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    if (fd < 0) {
        g_autofree char *name = g_strdup_printf("%s/lathe-XXXXXX", dir);
        fd = mkostemp(name, O_CLOEXEC);
        if (fd >= 0)
            unlink(name);
    }
    if (fd < 0)
        fail_errno(error, errno, "%s: no temporary file can be made there (TMPDIR)", dir);
    return fd;
}

BlockNode *block_snapshot_layer(BlockNode *node, GError **error)
{
    struct json_object *options, *overlay;
    BlockNode *layer;
    int fd = temporary(error);

    if (fd < 0)
        return NULL;
    if (ftruncate(fd, (off_t)block_node_size(node)) < 0) {
        fail_errno(error, errno, "a temporary file of %" G_GUINT64_FORMAT " bytes",
                   block_node_size(node));
        close(fd);
        return NULL;
    }
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    options = json_object_new_object();
    overlay = json_object_new_object();
    json_object_object_add(overlay, "driver", json_object_new_string("file"));
    json_object_object_add(overlay, "filename", json_object_new_string(path));
    json_object_object_add(overlay, "locking", json_object_new_string("off"));
    json_object_object_add(options, "driver", json_object_new_string("snapshot"));
    json_object_object_add(options, "backing", json_object_new_string(block_node_name(node)));
    json_object_object_add(options, "overlay", overlay);
    /* nobody needs it after a crash */
    layer =
        block_open(block_node_graph(node), options, BLOCK_OPEN_NO_FLUSH | BLOCK_OPEN_UNMAP, error);
    json_object_put(options);
    close(fd);
    return layer;
}
