/* SPDX-License-Identifier: MIT */
/*
 * Block devices of the host: size and sectors by ioctl, zeroing and discarding by the block layer's
 * own calls. I/O is in posix.c. Left out: SCSI pass-through, CD-ROM tray control.
 */
#include "block/drivers/posix_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

typedef struct {
    PosixFile posix;
    _Atomic bool no_zeroout, no_discard;
} HostDevice;

static const BlockProp props[] = { POSIX_PROPS(HostDevice), { 0 } };

static bool device_open(BlockNode *node, GError **error)
{
    return posix_open(node, true, error);
}

static int64_t device_length(BlockNode *node)
{
    PosixFile *p = block_node_state(node);
    uint64_t bytes;

    if (ioctl(p->fd, BLKGETSIZE64, &bytes) < 0)
        return -errno;
    atomic_store(&p->length, bytes);
    return (int64_t)bytes;
}

static void device_limits(BlockNode *node, BlockLimits *limits)
{
    HostDevice *d = block_node_state(node);
    int sector = BLOCK_SECTOR;
    unsigned physical = 0;

    ioctl(d->posix.fd, BLKSSZGET, &sector);
    ioctl(d->posix.fd, BLKPBSZGET, &physical);
    if (d->posix.direct)
        d->posix.align = MAX((uint32_t)sector, BLOCK_SECTOR);
    posix_limits(node, limits);
    /* zeroing and discarding go past the page cache, by whole sectors */
    limits->zero_align = limits->discard_align = (uint32_t)sector;
    limits->optimal = physical > (unsigned)sector ? physical : 0;
    limits->can_discard = !d->no_discard;
    limits->quick_zero = !d->no_zeroout;
}

static int effect(int fd, unsigned long request, uint64_t offset, uint64_t bytes)
{
    uint64_t range[2] = { offset, bytes };
    int r;

    do {
        r = ioctl(fd, request, range);
    } while (r < 0 && errno == EINTR);
    if (!r)
        return 0;
    return errno == ENOTTY || errno == EOPNOTSUPP || errno == ENOSYS ? -ENOTSUP : -errno;
}

static int device_zero(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
    HostDevice *d = block_node_state(node);
    int fd = d->posix.fd, r = -ENOTSUP;

    /* of a device a punched hole reads as zeroes; it is refused where that would be slow */
    if (flags & (BLOCK_MAY_UNMAP | BLOCK_NO_FALLBACK)) {
        r = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)bytes);
        r = !r ? 0 : errno == EOPNOTSUPP || errno == ENODEV ? -ENOTSUP : -errno;
        if ((flags & BLOCK_NO_FALLBACK) && r)
            return r;
    }
    if (r == -ENOTSUP && !atomic_load_explicit(&d->no_zeroout, memory_order_relaxed)) {
        r = effect(fd, BLKZEROOUT, offset, bytes);
        if (r == -ENOTSUP)
            atomic_store(&d->no_zeroout, true);
    }
    if (r)
        return r;
    posix_note_write(&d->posix, 0);
    return flags & BLOCK_FUA ? posix_flush(node) : 0;
}

static int device_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    HostDevice *d = block_node_state(node);

    if (atomic_load_explicit(&d->no_discard, memory_order_relaxed))
        return -ENOTSUP;
    int r = effect(d->posix.fd, BLKDISCARD, offset, bytes);
    if (r == -ENOTSUP)
        atomic_store(&d->no_discard, true);
    posix_note_write(&d->posix, 0);
    return r;
}

const BlockDriver block_host_device_driver = {
    .name = "host_device",
    .summary = "a block device of this machine",
    .size = sizeof(HostDevice),
    .props = props,
    .protocol = true,
    .name_prop = "filename",
    .open = device_open,
    .close = posix_close,
    .reopen = posix_reopen,
    .length = device_length,
    .limits = device_limits,
    .set_perm = posix_set_perm,
    .read = posix_read,
    .write = posix_write,
    .write_pipe = posix_write_pipe,
    .zero = device_zero,
    .discard = device_discard,
    .flush = posix_flush,
    .submit = posix_submit,
    .plain = posix_plain,
};
