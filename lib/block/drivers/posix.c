/* SPDX-License-Identifier: MIT */
/*
 * I/O on plain file descriptors. A read that the page cache can answer ends at once, on the
 * caller's thread (RWF_NOWAIT); so does a write where the file system can say beforehand that it
 * will not wait, or the caller allows a stall. The rest goes to the ring or, with aio=threads, to a
 * worker.
 *
 * Flush is fdatasync, left out when nothing was written since the last. When one fails, what was in
 * the page cache may be gone though a second would succeed: from then on flushes fail.
 */
#include "block/drivers/posix_priv.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { STALL_BYTES = 1 << 20 };

const char *const posix_locking_words[] = { "auto", "on", "off", NULL };
const char *const posix_aio_words[] = { "default", "threads", "native", "io_uring", NULL };

static PosixFile *posix_of(BlockNode *node)
{
    return block_node_state(node);
}

/* ---- open ---------------------------------------------------------------- */

static bool wrong_kind(const char *file, mode_t mode, bool block, GError **error)
{
    if (S_ISDIR(mode))
        return fail(error, "%s: it is a directory", file);
    if (block)
        return fail(error, "%s: it is not a block device", file);
    if (S_ISBLK(mode))
        return fail(error, "%s: it is a block device\nhint: driver=host_device takes it", file);
    return fail(error, "%s: it is not a regular file", file);
}

static int open_fd(BlockNode *node, bool read_only)
{
    PosixFile *p = posix_of(node);
    int flags = O_CLOEXEC | O_NOCTTY | (read_only ? O_RDONLY : O_RDWR) |
                (block_node_direct(node) ? O_DIRECT : 0);
    int fd;

    do {
        fd = open(p->filename, flags);
    } while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

static bool open_failed(BlockNode *node, int e, GError **error)
{
    const char *file = block_node_file(node);

    if (e == EINVAL && block_node_direct(node))
        return fail(error, "%s: its file system has no direct I/O (cache.direct, cache=none)",
                    file);
    if (!block_node_read_only(node) && (e == EACCES || e == EROFS || e == EPERM)) {
        if (!access(posix_of(node)->filename, R_OK))
            return fail(error,
                        "%s: it cannot be written: %s\nhint: read-only=on opens it for reading",
                        file, g_strerror(e));
    }
    return fail_errno(error, e, "%s", file);
}

/* How it is read and written. Direct I/O: in the smallest unit that a read at the start gets by
 * with. */
static void find_ways(BlockNode *node)
{
    PosixFile *p = posix_of(node);
    void *buf = NULL;

    p->direct = block_node_direct(node);
    /* by itself the ring gains only where requests really wait */
    p->ring = p->aio != POSIX_AIO_THREADS && (p->aio != POSIX_AIO_DEFAULT || p->direct) &&
              block_ring_usable(block_node_graph(node));
    p->align = p->mem_align = 1;
    if (!p->direct)
        return;
    p->align = p->mem_align = 4096;
    if (posix_memalign(&buf, 4096, 8192))
        return;
    if (pread(p->fd, buf, 512, 0) == 512) {
        p->align = 512;
        if (pread(p->fd, (char *)buf + 512, 512, 0) == 512)
            p->mem_align = 512;
    }
    free(buf);
}

bool posix_open(BlockNode *node, bool block, GError **error)
{
    PosixFile *p = posix_of(node);
    bool read_only = block_node_read_only(node);
    struct stat st;

    /* before opening: a FIFO would wait for its other end */
    if (!stat(p->filename, &st) && (block ? !S_ISBLK(st.st_mode) : !S_ISREG(st.st_mode)))
        return wrong_kind(block_node_file(node), st.st_mode, block, error);
    p->fd = open_fd(node, read_only);
    if (!read_only && block_node_auto_read_only(node) &&
        (p->fd == -EACCES || p->fd == -EROFS || p->fd == -EPERM)) {
        p->fd = open_fd(node, true);
        if (p->fd >= 0)
            block_node_set_read_only(node);
    }
    if (p->fd < 0)
        return open_failed(node, -p->fd, error);
    if (fstat(p->fd, &st) < 0 || (block ? !S_ISBLK(st.st_mode) : !S_ISREG(st.st_mode))) {
        wrong_kind(block_node_file(node), st.st_mode, block, error);
        close(p->fd);
        return false;
    }
    if (p->locking == POSIX_LOCKING_ON && !block_lock_usable(p->fd)) {
        close(p->fd);
        return fail(error, "%s: locking=on, but its file system has no locks",
                    block_node_file(node));
    }
    if (p->locking == POSIX_LOCKING_AUTO && !block_lock_usable(p->fd))
        p->locking = POSIX_LOCKING_OFF;
    find_ways(node);
    struct statfs fs;
    p->memory = !block && !p->direct && !fstatfs(p->fd, &fs) &&
                (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
    return true;
}

void posix_close(BlockNode *node)
{
    close(posix_of(node)->fd);
}

bool posix_reopen(BlockNode *node, GError **error)
{
    PosixFile *p = posix_of(node);
    BlockLock none = { 0 };
    int fd = open_fd(node, block_node_read_only(node));

    if (fd < 0)
        return open_failed(node, -fd, error);
    /* the old descriptor keeps others out until the new one does: no question of conflicts */
    if (p->locking != POSIX_LOCKING_OFF) {
        for (unsigned bit = 0; bit < 4; bit++) {
            struct flock l = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 1 };
            l.l_start = 100 + bit;
            if (p->held.perm >> bit & 1 && fcntl(fd, F_OFD_SETLK, &l) < 0)
                goto failed;
            l.l_start = 200 + bit;
            if (p->held.unshared >> bit & 1 && fcntl(fd, F_OFD_SETLK, &l) < 0)
                goto failed;
        }
    } else {
        p->held = none;
    }
    close(p->fd);
    p->fd = fd;
    find_ways(node);
    return true;
failed:
    close(fd);
    return fail_errno(error, errno, "%s: its lock cannot be taken again", block_node_file(node));
}

bool posix_set_perm(BlockNode *node, unsigned perm, unsigned shared, GError **error)
{
    PosixFile *p = posix_of(node);
    BlockLock wanted = { perm, ~shared & BLOCK_PERM_ALL };

    if (p->locking == POSIX_LOCKING_OFF)
        return true;
    /* a node that nobody uses hinders nobody */
    if (!perm)
        wanted.unshared = 0;
    return block_lock_change(p->fd, block_node_file(node), &p->held, wanted, error);
}

void posix_limits(BlockNode *node, BlockLimits *limits)
{
    PosixFile *p = posix_of(node);

    limits->align = p->align;
    limits->mem_align = p->mem_align;
    limits->fua = true;
    limits->zero_align = limits->discard_align = 1;
    if (p->direct)
        limits->zero_align = limits->discard_align = p->align;
}

/* ---- blocking I/O -------------------------------------------------------- */

void posix_note_write(PosixFile *p, uint64_t end)
{
    uint64_t length = atomic_load_explicit(&p->length, memory_order_relaxed);

    while (length < end && !atomic_compare_exchange_weak(&p->length, &length, end))
        ;
    atomic_fetch_add_explicit(&p->writes, 1, memory_order_release);
}

/* A vector being worked off. */
typedef struct {
    struct iovec small[16], *iov, *own;
    int count;
} Rest;

static void rest_make(Rest *r, const struct iovec *iov, int iovcnt)
{
    r->own = iovcnt > (int)G_N_ELEMENTS(r->small) ? g_new(struct iovec, iovcnt) : NULL;
    r->iov = r->own ? r->own : r->small;
    memcpy(r->iov, iov, (size_t)iovcnt * sizeof *iov);
    r->count = iovcnt;
}

static void rest_skip(Rest *r, size_t n)
{
    while (r->count && n >= r->iov->iov_len) {
        n -= r->iov->iov_len;
        r->iov++;
        r->count--;
    }
    if (r->count) {
        r->iov->iov_base = (char *)r->iov->iov_base + n;
        r->iov->iov_len -= n;
    }
}

/* Nothing more in the file at this point: the padding of its last sector, or it was cut short. */
static int past_end(PosixFile *p, Rest *r, uint64_t at)
{
    if (at < atomic_load(&p->length))
        return -EIO;
    for (int i = 0; i < r->count; i++)
        memset(r->iov[i].iov_base, 0, r->iov[i].iov_len);
    return 0;
}

int posix_read(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov,
               int iovcnt)
{
    PosixFile *p = posix_of(node);
    uint64_t done = 0;
    Rest r;
    int ret = 0;

    rest_make(&r, iov, iovcnt);
    while (done < bytes) {
        ssize_t n = preadv(p->fd, r.iov, MIN(r.count, IOV_MAX), (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        /* direct I/O cannot start where an odd end left off */
        if (!n || (n < 0 && errno == EINVAL && done && p->direct)) {
            ret = past_end(p, &r, offset + done);
            break;
        }
        if (n < 0) {
            ret = -errno;
            break;
        }
        rest_skip(&r, (size_t)n);
        done += (uint64_t)n;
    }
    g_free(r.own);
    return ret;
}

static ssize_t write_some(PosixFile *p, const Rest *r, uint64_t at, bool fua)
{
    if (fua && !atomic_load_explicit(&p->no_dsync, memory_order_relaxed)) {
        ssize_t n = pwritev2(p->fd, r->iov, MIN(r->count, IOV_MAX), (off_t)at, RWF_DSYNC);
        if (n >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS))
            return n;
        atomic_store(&p->no_dsync, true);
    }
    return pwritev(p->fd, r->iov, MIN(r->count, IOV_MAX), (off_t)at);
}

int posix_write(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov,
                int iovcnt, unsigned flags)
{
    PosixFile *p = posix_of(node);
    uint64_t done = 0, end = offset + bytes;
    Rest r;
    int ret = 0;

    rest_make(&r, iov, iovcnt);
    while (done < bytes && !ret) {
        ssize_t n = write_some(p, &r, offset + done, flags & BLOCK_FUA);
        if (n > 0) {
            rest_skip(&r, (size_t)n);
            done += (uint64_t)n;
        } else if (!n || errno != EINTR) {
            ret = n ? -errno : -ENOSPC;
        }
    }
    g_free(r.own);
    if (!ret && (flags & BLOCK_PADDED)) {
        end = MIN(end, block_node_size(node));
        if (ftruncate(p->fd, (off_t)end) < 0 && errno != EINVAL)
            ret = -errno;
    }
    posix_note_write(p, ret ? 0 : end);
    if (!ret && (flags & BLOCK_FUA) && atomic_load_explicit(&p->no_dsync, memory_order_relaxed))
        ret = posix_flush(node);
    return ret;
}

int posix_write_pipe(BlockNode *node, uint64_t offset, uint64_t bytes, int pipe)
{
    PosixFile *p = posix_of(node);
    off_t at = (off_t)offset;
    uint64_t left = bytes;
    int ret = p->direct ? -ENOTSUP : 0;

    while (left && !ret) {
        ssize_t n = splice(pipe, NULL, p->fd, &at, left, SPLICE_F_NONBLOCK);
        if (n > 0)
            left -= (uint64_t)n;
        else if (n < 0 && errno == EINVAL && left == bytes)
            ret = -ENOTSUP; /* a file system that cannot */
        else if (!n || errno != EINTR)
            ret = n ? -errno : -ENOSPC;
    }
    if (ret != -ENOTSUP)
        posix_note_write(p, ret ? 0 : offset + bytes);
    return ret;
}

int posix_flush(BlockNode *node)
{
    PosixFile *p = posix_of(node);
    uint64_t writes = atomic_load_explicit(&p->writes, memory_order_acquire);

    if (atomic_load(&p->flush_failed))
        return -EIO;
    if (writes == atomic_load(&p->flushed))
        return 0;
    if (fdatasync(p->fd) < 0) {
        int e = errno;
        if (e == EINVAL || e == EROFS)
            return 0; /* nothing to sync there */
        if (!p->direct)
            atomic_store(&p->flush_failed, true);
        return -e;
    }
    uint64_t flushed = atomic_load(&p->flushed);
    while (flushed < writes && !atomic_compare_exchange_weak(&p->flushed, &flushed, writes))
        ;
    return 0;
}

/* ---- without waiting ----------------------------------------------------- */

static void ring_ended(BlockRequest *req, int64_t result)
{
    BlockNode *node = req->frames[req->depth - 1].node;
    PosixFile *p = posix_of(node);

    if (result == (int64_t)req->bytes) {
        if (req->op == BLOCK_WRITE)
            posix_note_write(p, req->at + req->bytes);
        block_request_done(req, 0);
    } else if (result >= 0 || result == -EAGAIN || result == -EINTR || result == -ECANCELED ||
               result == -EOPNOTSUPP) {
        block_request_block(req); /* a part: the whole again, the plain way */
    } else {
        if (req->op == BLOCK_WRITE)
            posix_note_write(p, 0);
        block_request_done(req, (int)result);
    }
}

static bool not_supported(int e)
{
    return e == EOPNOTSUPP || e == EINVAL || e == ENOSYS;
}

static int submit_read(BlockNode *node, PosixFile *p, BlockRequest *req)
{
    if (p->memory)
        return posix_read(node, req->at, req->bytes, req->iov, req->iovcnt);
    if (!p->direct && !atomic_load_explicit(&p->no_nowait_read, memory_order_relaxed)) {
        ssize_t n = preadv2(p->fd, req->iov, req->iovcnt, (off_t)req->at, RWF_NOWAIT);
        if (n == (ssize_t)req->bytes)
            return 0;
        if (n < 0 && not_supported(errno))
            atomic_store(&p->no_nowait_read, true);
    }
    /* depth 0: from a blocking call's helper, which has no frame to come back to */
    if (p->ring && req->depth)
        return block_ring_io(block_node_graph(node), req, p->fd, false, ring_ended);
    return BLOCK_BLOCKING;
}

static int submit_write(BlockNode *node, PosixFile *p, BlockRequest *req)
{
    bool fua = req->how & BLOCK_FUA;

    if (!p->direct && !fua) {
        if (p->memory || ((req->how & BLOCK_MAY_STALL) && req->bytes <= STALL_BYTES))
            return posix_write(node, req->at, req->bytes, req->iov, req->iovcnt, 0);
        if (!atomic_load_explicit(&p->no_nowait_write, memory_order_relaxed)) {
            ssize_t n = pwritev2(p->fd, req->iov, req->iovcnt, (off_t)req->at, RWF_NOWAIT);
            if (n == (ssize_t)req->bytes) {
                posix_note_write(p, req->at + req->bytes);
                return 0;
            }
            if (n < 0 && not_supported(errno))
                atomic_store(&p->no_nowait_write, true);
            /* a part of it may be there: the same bytes go there again */
        }
    }
    if (p->ring && req->depth && !atomic_load_explicit(&p->no_dsync, memory_order_relaxed))
        return block_ring_io(block_node_graph(node), req, p->fd, true, ring_ended);
    return BLOCK_BLOCKING;
}

int posix_submit(BlockNode *node, BlockRequest *req)
{
    PosixFile *p = posix_of(node);

    switch (req->op) {
    case BLOCK_READ:
        return submit_read(node, p, req);
    case BLOCK_WRITE:
        return submit_write(node, p, req);
    case BLOCK_FLUSH:
        /* nothing written: no reason to wake anybody */
        if (atomic_load(&p->writes) == atomic_load(&p->flushed) && !atomic_load(&p->flush_failed))
            return 0;
        return BLOCK_BLOCKING;
    default:
        return BLOCK_BLOCKING;
    }
}

int posix_plain(BlockNode *node, BlockUser **child, uint64_t *offset)
{
    PosixFile *p = posix_of(node);

    return p->direct ? -1 : p->fd;
}
