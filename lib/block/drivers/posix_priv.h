/* SPDX-License-Identifier: MIT */
/* Plain file descriptors, for the drivers file and host_device: reading, writing, flushing, locks.
 * Their state begins with a PosixFile. */
#pragma once

#include "block/driver.h"

#include <stdatomic.h>

enum { POSIX_LOCKING_AUTO, POSIX_LOCKING_ON, POSIX_LOCKING_OFF };
enum { POSIX_AIO_DEFAULT, POSIX_AIO_THREADS, POSIX_AIO_NATIVE, POSIX_AIO_IO_URING };

typedef struct {
    char *filename;
    int locking, aio;
    int fd;
    bool direct, ring;
    bool memory;                  /* its file system keeps it in memory: nothing is waited for */
    uint32_t align, mem_align;    /* of direct I/O */
    BlockLock held;
    _Atomic uint64_t length;      /* of a regular file: what is known to be there */
    _Atomic uint64_t writes;      /* that have ended */
    _Atomic uint64_t flushed;     /* writes when the last good flush began */
    _Atomic bool flush_failed;    /* what was in the page cache may be lost: never good again */
    _Atomic bool no_nowait_read, no_nowait_write, no_dsync, no_zero_range, no_punch;
} PosixFile;

extern const char *const posix_locking_words[], *const posix_aio_words[];

#define POSIX_PROPS(type)                                                                        \
    { .name = "filename", .kind = BLOCK_PROP_STRING, .offset = offsetof(type, posix.filename),   \
      .needed = true, .help = "path" },                                                          \
    { .name = "locking", .kind = BLOCK_PROP_ENUM, .offset = offsetof(type, posix.locking),       \
      .def = "auto", .names = posix_locking_words, .help = "keep others from writing to it" },   \
    { .name = "aio", .kind = BLOCK_PROP_ENUM, .offset = offsetof(type, posix.aio),               \
      .def = "default", .names = posix_aio_words, .help = "how requests wait for the disk" }

/* Opens the file as the node's flags say; block: it must be a block device, else a regular file. */
bool posix_open(BlockNode *node, bool block, GError **error);
void posix_close(BlockNode *node);
bool posix_reopen(BlockNode *node, GError **error);
bool posix_set_perm(BlockNode *node, unsigned perm, unsigned shared, GError **error);
void posix_limits(BlockNode *node, BlockLimits *limits);

int posix_read(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov,
               int iovcnt);
int posix_write_pipe(BlockNode *node, uint64_t offset, uint64_t bytes, int pipe);
int posix_write(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov,
                int iovcnt, unsigned flags);
int posix_flush(BlockNode *node);
int posix_submit(BlockNode *node, BlockRequest *req);
int posix_plain(BlockNode *node, BlockUser **child, uint64_t *offset);
/* A change of the file outside write: it needs a flush. end: how far the file reaches now. */
void posix_note_write(PosixFile *p, uint64_t end);
