/* SPDX-License-Identifier: MIT */
/*
 * blklogwrites: what is written also goes to a log, in order, so that each state the disk went
 * through can be made again. The format is that of Linux' dm-log-writes
 * (Documentation/admin-guide/device-mapper/log-writes.rst), which its replay-log reads:
 *
 *   sector 0   magic, version, number of entries (64 bits each), sector size (32)
 *   then       entries: a sector that begins with sector, sectors, flags and a length that
 *              only marks use (64 bits each), then the data; a discard has none
 *
 * All numbers are little endian, sectors are of log-sector-size. The superblock is written with
 * each flush and each log-super-update-interval entries.
 */
#include "block/filter_priv.h"

#include "base/bytes.h"
#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC UINT64_C(0x6a736677736872)
enum { VERSION = 1, SUPER_BYTES = 28, ENTRY_BYTES = 32, MAX_SECTOR = 1 << 23 };
enum { LOG_FLUSH = 1 << 0, LOG_FUA = 1 << 1, LOG_DISCARD = 1 << 2 };

typedef struct {
    BlockUser *file, *log;
    uint64_t sector, interval;
    bool append;
    pthread_mutex_t lock; /* of the log: entries are written one after the other */
    uint64_t entries, at; /* at: the sector of the next entry */
    uint8_t *block;       /* a sector */
    FilterRanges ranges;  /* overlapping writes reach file and log in one order */
    int failed;           /* the log has a hole: nothing may be added */
} Logwrites;

static const BlockProp props[] = {
    { .name = "log-sector-size", .kind = BLOCK_PROP_SIZE, .offset = offsetof(Logwrites, sector),
      .def = "512", .min = 512, .max = MAX_SECTOR - 1, .help = "a power of two below 8M" },
    { .name = "log-append", .kind = BLOCK_PROP_BOOL, .offset = offsetof(Logwrites, append),
      .def = "off", .help = "go on behind what is in the log" },
    { .name = "log-super-update-interval", .kind = BLOCK_PROP_NUMBER,
      .offset = offsetof(Logwrites, interval), .def = "4096", .min = 1,
      .help = "entries until the superblock is written, if no flush comes" },
    { 0 }
};

static const BlockChildSlot children[] = {
    { .name = "file", .role = BLOCK_CHILD_FILTERED, .offset = offsetof(Logwrites, file) },
    { .name = "log", .role = BLOCK_CHILD_DATA, .offset = offsetof(Logwrites, log) },
    { 0 }
};

/* ---- opening ------------------------------------------------------------- */

/* Finds the end of the log that is there. */
static int find_end(Logwrites *l, uint64_t entries)
{
    uint64_t size = block_size(l->log);

    for (uint64_t i = 0; i < entries; i++) {
        uint8_t head[ENTRY_BYTES];
        if (l->at > (size - ENTRY_BYTES) / l->sector)
            return -EINVAL;
        int r = block_read(l->log, l->at * l->sector, head, sizeof head);
        if (r)
            return r;
        uint64_t flags = ld_le64(head + 16), sectors = ld_le64(head + 8);
        l->at++;
        if (flags & LOG_DISCARD)
            continue;
        if (sectors > size / l->sector)
            return -EINVAL;
        l->at += sectors;
    }
    l->entries = entries;
    return 0;
}

static bool append(BlockNode *node, Logwrites *l, GError **error)
{
    const char *file = block_node_file(block_user_node(l->log));
    uint8_t super[SUPER_BYTES];
    int r = block_size(l->log) < BLOCK_SECTOR ? -EINVAL
                                               : block_read(l->log, 0, super, sizeof super);

    if (r == -EINVAL || (!r && ld_le64(super) != MAGIC))
        return fail(error, "%s: it has no log to be appended to", file);
    if (r)
        return fail_errno(error, -r, "%s: its superblock", file);
    if (ld_le64(super + 8) != VERSION)
        return fail(error, "%s: version %" G_GUINT64_FORMAT " of a log; 1 is known", file,
                    ld_le64(super + 8));
    uint32_t sector = ld_le32(super + 24);
    if (sector & (sector - 1) || sector < 512 || sector >= MAX_SECTOR)
        return fail(error, "%s: a log with sectors of %u bytes", file, sector);
    l->sector = sector;
    r = find_end(l, ld_le64(super + 16));
    return !r || (r == -EINVAL ? fail(error, "%s: the log ends early", file)
                               : fail_errno(error, -r, "%s: its entries", file));
}

static bool log_open(BlockNode *node, GError **error)
{
    Logwrites *l = block_node_state(node);

    if (l->sector & (l->sector - 1))
        return fail_usage(error, "log-sector-size=%" G_GUINT64_FORMAT " is not a power of two",
                          l->sector);
    l->at = 1;
    if (l->append && !append(node, l, error))
        return false;
    l->block = aligned_alloc(4096, MAX(l->sector, 4096));
    if (!l->block)
        return fail(error, "%s: no memory", block_node_file(node));
    pthread_mutex_init(&l->lock, NULL);
    filter_ranges_init(&l->ranges);
    return true;
}

static void log_close(BlockNode *node)
{
    Logwrites *l = block_node_state(node);

    free(l->block);
    filter_ranges_clear(&l->ranges);
    pthread_mutex_destroy(&l->lock);
}

static void log_limits(BlockNode *node, BlockLimits *limits)
{
    limits->fua = true;
    limits->align = (uint32_t)((Logwrites *)block_node_state(node))->sector;
}

/* ---- the log, under the lock --------------------------------------------- */

static int write_super(Logwrites *l)
{
    memset(l->block, 0, l->sector);
    st_le64(l->block, MAGIC);
    st_le64(l->block + 8, VERSION);
    st_le64(l->block + 16, l->entries);
    st_le32(l->block + 24, (uint32_t)l->sector);
    int r = block_write(l->log, 0, l->block, l->sector, 0);
    return r ? r : block_flush(l->log);
}

static int write_data(Logwrites *l, uint64_t offset, uint64_t bytes, const struct iovec *iov,
                      int iovcnt)
{
    if (!bytes)
        return 0;
    return iov ? block_run(l->log, BLOCK_WRITE, 0, offset, bytes, iov, iovcnt)
               : block_zero(l->log, offset, bytes, 0);
}

/* Adds an entry: data (iov, or zeroes without one) is of data bytes. */
static int add(Logwrites *l, uint64_t offset, uint64_t bytes, uint64_t data, unsigned flags,
               const struct iovec *iov, int iovcnt)
{
    uint64_t at = l->at * l->sector;
    int r;

    if (l->failed)
        return l->failed;
    memset(l->block, 0, l->sector);
    st_le64(l->block, offset / l->sector);
    st_le64(l->block + 8, bytes / l->sector);
    st_le64(l->block + 16, flags);
    st_le64(l->block + 24, 0); /* what follows a mark; the data of a write is not counted */
    r = block_write(l->log, at, l->block, l->sector, 0);
    if (!r)
        r = write_data(l, at + l->sector, data, iov, iovcnt);
    if (!r) {
        l->at += 1 + data / l->sector;
        l->entries++;
        if (flags & LOG_FLUSH || l->entries % l->interval == 0)
            r = write_super(l);
    }
    l->failed = r;
    return r;
}

static int log_it(BlockNode *node, uint64_t offset, uint64_t bytes, uint64_t data, unsigned flags,
                  const struct iovec *iov, int iovcnt)
{
    Logwrites *l = block_node_state(node);

    block_pool_waiting(node->graph->pool, 1); /* others may wait for the lock, for long */
    pthread_mutex_lock(&l->lock);
    int r = add(l, offset, bytes, data, flags, iov, iovcnt);
    pthread_mutex_unlock(&l->lock);
    block_pool_waiting(node->graph->pool, -1);
    return r;
}

/* ---- requests: the file, then the log ------------------------------------ */

static int change(BlockNode *node, BlockOp op, uint64_t offset, uint64_t bytes,
                  const struct iovec *iov, int iovcnt, unsigned flags)
{
    Logwrites *l = block_node_state(node);
    FilterRange range = { .start = offset, .end = offset + bytes };
    unsigned marks = flags & BLOCK_FUA ? LOG_FUA : op == BLOCK_DISCARD ? LOG_DISCARD : 0;

    filter_range_take(&l->ranges, node, &range);
    int r = block_run(l->file, op, flags & (BLOCK_FUA | BLOCK_MAY_UNMAP | BLOCK_NO_FALLBACK),
                      offset, bytes, iov, iovcnt);
    if (!r)
        r = log_it(node, offset, bytes, op == BLOCK_DISCARD ? 0 : bytes, marks, iov, iovcnt);
    filter_range_give(&l->ranges, &range);
    return r;
}

static int log_write(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov,
                     int iovcnt, unsigned flags)
{
    return change(node, BLOCK_WRITE, offset, bytes, iov, iovcnt, flags);
}

static int log_zero(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
    return change(node, BLOCK_ZERO, offset, bytes, NULL, 0, flags);
}

static int log_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    return change(node, BLOCK_DISCARD, offset, bytes, NULL, 0, 0);
}

static int log_flush(BlockNode *node)
{
    Logwrites *l = block_node_state(node);
    int r = block_flush(l->file);

    return r ? r : log_it(node, 0, 0, 0, LOG_FLUSH, NULL, 0);
}

static bool log_map(BlockNode *node, BlockOp op, uint64_t offset, uint64_t bytes, BlockMap *map)
{
    return op == BLOCK_READ && filter_map(node, op, offset, bytes, map);
}

const BlockDriver block_blklogwrites_driver = {
    .name = "blklogwrites",
    .summary = "what is written also goes to a log, as of dm-log-writes",
    .size = sizeof(Logwrites),
    .props = props,
    .children = children,
    .filter = true,
    .open = log_open,
    .close = log_close,
    .limits = log_limits,
    .write = log_write,
    .zero = log_zero,
    .discard = log_discard,
    .flush = log_flush,
    .map = log_map,
};
