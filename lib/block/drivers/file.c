/* SPDX-License-Identifier: MIT */
/*
 * Regular files: holes by SEEK_DATA and SEEK_HOLE, zeroing and discarding by fallocate, resized and
 * made. I/O is in posix.c.
 */
#include "block/drivers/posix_priv.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    PosixFile posix;
} File;

static const BlockProp props[] = { POSIX_PROPS(File), { 0 } };

static int64_t file_length(BlockNode *node)
{
    PosixFile *p = block_node_state(node);
    struct stat st;

    if (fstat(p->fd, &st) < 0)
        return -errno;
    atomic_store(&p->length, (uint64_t)st.st_size);
    return st.st_size;
}

static bool file_open(BlockNode *node, GError **error)
{
    return posix_open(node, false, error);
}

static void file_limits(BlockNode *node, BlockLimits *limits)
{
    PosixFile *p = block_node_state(node);

    posix_limits(node, limits);
    limits->can_discard = !p->no_punch;
    limits->quick_zero = true;
    limits->zero_init = true;
}

/* ---- zero, discard ------------------------------------------------------- */

static int allocate(int fd, int mode, uint64_t offset, uint64_t bytes)
{
    int r;

    do {
        r = fallocate(fd, mode, (off_t)offset, (off_t)bytes);
    } while (r < 0 && errno == EINTR);
    if (!r)
        return 0;
    return errno == ENOSYS || errno == EOPNOTSUPP || errno == ENODEV ? -ENOTSUP : -errno;
}

static int punch(PosixFile *p, uint64_t offset, uint64_t bytes)
{
    if (atomic_load_explicit(&p->no_punch, memory_order_relaxed))
        return -ENOTSUP;
    int r = allocate(p->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, bytes);
    if (r == -ENOTSUP)
        atomic_store(&p->no_punch, true);
    return r;
}

/* Makes the file reach end. A byte of the range itself is written: a truncate could cut off what
 * another thread is adding behind. */
static int reach(PosixFile *p, uint64_t end)
{
    if (atomic_load(&p->length) >= end)
        return 0;
    return pwrite(p->fd, "", 1, (off_t)(end - 1)) == 1 ? 0 : -errno;
}

static int zero_allocated(PosixFile *p, uint64_t offset, uint64_t bytes)
{
    int r = -ENOTSUP;

    if (!atomic_load_explicit(&p->no_zero_range, memory_order_relaxed)) {
        r = allocate(p->fd, FALLOC_FL_ZERO_RANGE, offset, bytes);
        if (r == -ENOTSUP)
            atomic_store(&p->no_zero_range, true);
    }
    if (r == -ENOTSUP) {
        r = punch(p, offset, bytes);
        if (!r)
            r = allocate(p->fd, 0, offset, bytes);
    }
    return r;
}

static int file_zero(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
    PosixFile *p = block_node_state(node);
    uint64_t end = offset + bytes;
    int r = -ENOTSUP;

    /* what direct I/O pads stays beyond the end */
    if (flags & BLOCK_MAY_UNMAP) {
        r = punch(p, offset, bytes);
        if (!r && !p->direct)
            r = reach(p, end);
        else if (!r && atomic_load(&p->length) < end)
            r = allocate(p->fd, 0, offset, bytes);
    }
    if (r == -ENOTSUP)
        r = zero_allocated(p, offset, bytes);
    if (r)
        return r;
    posix_note_write(p, end);
    return flags & BLOCK_FUA ? posix_flush(node) : 0;
}

static int file_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    PosixFile *p = block_node_state(node);
    int r = punch(p, offset, bytes);

    posix_note_write(p, 0);
    return r;
}

/* ---- extents ------------------------------------------------------------- */

static int file_extents(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags,
                        BlockExtent *out, unsigned max)
{
    PosixFile *p = block_node_state(node);
    off_t data, hole;

    *out = (BlockExtent){ .offset = offset, .bytes = bytes, .host = offset,
                          .file = block_node_file(node),
                          .flags = BLOCK_EXTENT_DATA | BLOCK_EXTENT_ALLOCATED | BLOCK_EXTENT_HOST };
    if (flags & BLOCK_EXTENTS_ALLOCATION)
        return 1;
    data = lseek(p->fd, (off_t)offset, SEEK_DATA);
    if (data < 0 && errno != ENXIO)
        return 1; /* not known there */
    if (data < 0 || (uint64_t)data > offset) {
        out->flags = BLOCK_EXTENT_ZERO | BLOCK_EXTENT_ALLOCATED | BLOCK_EXTENT_HOST;
        if (data >= 0)
            out->bytes = MIN(bytes, (uint64_t)data - offset);
        return 1;
    }
    hole = lseek(p->fd, (off_t)offset, SEEK_HOLE);
    if (hole > (off_t)offset) {
        /* the last sector belongs together */
        uint64_t end =
            (uint64_t)hole == atomic_load(&p->length) ? block_node_size(node) : (uint64_t)hole;
        out->bytes = MIN(bytes, end - offset);
    }
    return 1;
}

/* ---- resize and create --------------------------------------------------- */

static int write_all_zero(int fd, uint64_t offset, uint64_t bytes)
{
    enum { STEP = 1 << 20 };
    void *buf = calloc(1, STEP);
    int r = buf ? 0 : -ENOMEM;

    while (!r && bytes) {
        ssize_t n = pwrite(fd, buf, MIN(bytes, STEP), (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            r = n ? -errno : -ENOSPC;
            break;
        }
        offset += (uint64_t)n;
        bytes -= (uint64_t)n;
    }
    if (!r && fdatasync(fd) < 0)
        r = -errno;
    free(buf);
    return r;
}

/* From size old to size; fd may be one for direct I/O unless prealloc is FULL. */
static bool set_size(int fd, const char *file, uint64_t old, uint64_t size, BlockPrealloc prealloc,
                     GError **error)
{
    int r = 0;

    if (prealloc == BLOCK_PREALLOC_METADATA)
        return fail_usage(
            error, "%s: preallocation=metadata is for formats; a file has off, falloc, full", file);
    if (prealloc != BLOCK_PREALLOC_OFF && size < old)
        return fail_usage(error, "%s: preallocation is for growing", file);
    if (ftruncate(fd, (off_t)size) < 0)
        return fail_errno(error, errno, "%s: it cannot be made %" G_GUINT64_FORMAT " bytes long",
                          file, size);
    if (size > old && prealloc == BLOCK_PREALLOC_FALLOC)
        r = -posix_fallocate(fd, (off_t)old, (off_t)(size - old));
    else if (size > old && prealloc == BLOCK_PREALLOC_FULL)
        r = write_all_zero(fd, old, size - old);
    if (!r)
        return true;
    if (ftruncate(fd, (off_t)old) < 0)
        r = r ? r : -errno;
    return fail_errno(error, -r, "%s: no room for %" G_GUINT64_FORMAT " bytes", file, size);
}

static bool file_resize(BlockNode *node, uint64_t size, BlockPrealloc prealloc, GError **error)
{
    PosixFile *p = block_node_state(node);
    struct stat st;

    if (fstat(p->fd, &st) < 0)
        return fail_errno(error, errno, "%s", block_node_file(node));
    if (p->direct && prealloc == BLOCK_PREALLOC_FULL)
        prealloc = BLOCK_PREALLOC_FALLOC;
    if (!set_size(p->fd, block_node_file(node), (uint64_t)st.st_size, size, prealloc, error))
        return false;
    posix_note_write(p, 0);
    return true;
}

typedef struct {
    char *filename;
    uint64_t size, extent_size_hint;
    int preallocation;
    bool nocow;
} Create;

static const char *const prealloc_words[] = { "off", "metadata", "falloc", "full", NULL };

static const BlockProp create_props[] = {
    { .name = "filename", .kind = BLOCK_PROP_STRING, .offset = offsetof(Create, filename),
      .needed = true, .help = "path" },
    { .name = "size", .kind = BLOCK_PROP_SIZE, .offset = offsetof(Create, size), .def = "0",
      .max = BLOCK_MAX_SIZE, .help = "Virtual disk size" },
    { .name = "preallocation", .kind = BLOCK_PROP_ENUM, .offset = offsetof(Create, preallocation),
      .def = "off", .names = prealloc_words, .below = true,
      .help = "Preallocation mode (allowed values: off, falloc, full)" },
    { .name = "nocow", .kind = BLOCK_PROP_BOOL, .offset = offsetof(Create, nocow), .def = "off",
      .below = true, .help = "Turn off copy-on-write (valid only on btrfs)" },
    /* what space is asked for in is the file system's own affair */
    { .name = "extent_size_hint", .kind = BLOCK_PROP_SIZE, .offset = offsetof(Create,
      extent_size_hint),
      .below = true, .help = "Extent size hint for the image file, 0 to disable" },
    { 0 }
};

static bool create_file(const Create *c, GError **error)
{
    BlockLock held = { 0 }, wanted = { BLOCK_PERM_RW, BLOCK_PERM_WRITE | BLOCK_PERM_RESIZE };
    int fd = open(c->filename, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    bool made = fd >= 0, ok;
    struct stat st;

    if (!made && errno == EEXIST)
        fd = open(c->filename, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fail_errno(error, errno, "%s", c->filename);
    ok = !fstat(fd, &st);
    if (ok && !S_ISREG(st.st_mode))
        ok = fail(error, "%s: it is there and not a regular file", c->filename);
    /* what somebody else uses is not emptied under him */
    if (ok && block_lock_usable(fd))
        ok = block_lock_change(fd, c->filename, &held, wanted, error);
    if (ok && ftruncate(fd, 0) < 0)
        ok = fail_errno(error, errno, "%s", c->filename);
    ok = ok && set_size(fd, c->filename, 0, c->size, c->preallocation, error);
    close(fd);
    if (!ok && made)
        unlink(c->filename);
    return ok;
}

static bool file_create(BlockGraph *graph, struct json_object *options, GError **error)
{
    static const char *const others[] = { "driver", NULL };
    Create c = { 0 };

    bool ok = block_props_done(create_props, others, options, "file", error) &&
              block_props_read(create_props, options, &c, error) && create_file(&c, error);
    block_props_clear(create_props, &c);
    return ok;
}

const BlockDriver block_file_driver = {
    .name = "file",
    .summary = "a regular file",
    .size = sizeof(File),
    .props = props,
    .protocol = true,
    .name_prop = "filename",
    .create = file_create,
    .create_props = create_props,
    .open = file_open,
    .close = posix_close,
    .reopen = posix_reopen,
    .length = file_length,
    .limits = file_limits,
    .set_perm = posix_set_perm,
    .resize = file_resize,
    .read = posix_read,
    .write = posix_write,
    .write_pipe = posix_write_pipe,
    .zero = file_zero,
    .discard = file_discard,
    .flush = posix_flush,
    .extents = file_extents,
    .submit = posix_submit,
    .plain = posix_plain,
};
