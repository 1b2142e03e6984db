/* SPDX-License-Identifier: MIT */
/*
 * The ends of a copy that are pipes. A pipe is waited for with poll, a while at a time, so that
 * whoever asks the job to stop is heard though nothing comes. Where zeroes go to a file that its
 * owner opened for us, they are left out as holes.
 */
#include "block/jobs/copy_priv.h"

#include "base/error.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { WHILE_MS = 200 };

/* 0 once fd is ready; -ECANCELED. Files are always ready. */
static int await(int fd, short events, bool (*go)(void *opaque), void *opaque)
{
    struct pollfd p = { .fd = fd, .events = events };

    for (;;) {
        int n = poll(&p, 1, WHILE_MS);
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
        if (!go(opaque))
            return -ECANCELED;
    }
}

int copy_pipe_read(BlockPipe *pipe, uint8_t *buf, size_t len, size_t *got, bool (*go)(void *opaque),
                   void *opaque)
{
    for (*got = 0; *got < len;) {
        if (pipe->n_lead) {
            size_t n = MIN(pipe->n_lead, len - *got);
            memcpy(buf + *got, pipe->lead, n);
            pipe->lead += n;
            pipe->n_lead -= n;
            *got += n;
            continue;
        }
        int r = await(pipe->fd, POLLIN, go, opaque);
        if (r)
            return r;
        ssize_t n = read(pipe->fd, buf + *got, len - *got);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return -errno;
        if (!n)
            break;
        *got += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

int copy_pipe_write(BlockPipe *pipe, const uint8_t *buf, size_t len, bool (*go)(void *opaque),
                    void *opaque)
{
    while (len) {
        int r = await(pipe->fd, POLLOUT, go, opaque);
        if (r)
            return r;
        ssize_t n = write(pipe->fd, buf, len);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return -errno;
        buf += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

int copy_pipe_skip(BlockPipe *pipe, uint64_t len)
{
    return lseek(pipe->fd, (off_t)len, SEEK_CUR) < 0 ? -errno : 0;
}

int copy_pipe_end(BlockPipe *pipe)
{
    off_t at = pipe->seekable ? lseek(pipe->fd, 0, SEEK_CUR) : 0;

    if (pipe->seekable && (at < 0 || ftruncate(pipe->fd, at)))
        return -errno;
    return 0;
}
