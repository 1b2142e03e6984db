/* SPDX-License-Identifier: MIT */
/* copy_pipe.c for copy.c: pipes at the ends of a copy. All return 0 or -errno, -ECANCELED when go
 * says no. */
#pragma once

#include "block/jobs/jobs.h"

/* Fills buf as far as there is something: *got is less than len only at the end. */
int copy_pipe_read(BlockPipe *pipe, uint8_t *buf, size_t len, size_t *got, bool (*go)(void *opaque),
                   void *opaque);
int copy_pipe_write(BlockPipe *pipe, const uint8_t *buf, size_t len, bool (*go)(void *opaque),
                    void *opaque);
/* Zeroes; the pipe is seekable. */
int copy_pipe_skip(BlockPipe *pipe, uint64_t len);
/* All is written. */
int copy_pipe_end(BlockPipe *pipe);
