/* SPDX-License-Identifier: MIT */
/*
 * Long writes to exports that are plain files: their data go from the socket through a pipe to the
 * page cache, pages that change hands and are copied once. What is in the pipe is written when
 * there is enough of it, in whole pages of the file as far as possible, so that no page has to be
 * read to be filled.
 */
#include "export/export_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    WORTH = 32 << 10,
    PIPE_ROOM = 512 << 10,
    PIPE_LEAST = 256 << 10, /* bytes, of which each page may hold one piece */
    ENOUGH = 256 << 10,
    PAGE = 4096,
};

void export_pipe_close(Connection *c)
{
    for (unsigned i = 0; i < 2; i++)
        if (c->pipe[i] >= 0)
            close(c->pipe[i]);
    c->pipe[0] = c->pipe[1] = -1;
}

/* Whoever has many connections has no room for pipes at some point. */
static bool open_pipe(Connection *c)
{
    if (c->no_pipe || c->pipe[0] >= 0)
        return !c->no_pipe;
    if (pipe2(c->pipe, O_CLOEXEC | O_NONBLOCK)) {
        c->no_pipe = true;
        return false;
    }
    fcntl(c->pipe[0], F_SETPIPE_SZ, PIPE_ROOM);
    c->no_pipe = fcntl(c->pipe[0], F_GETPIPE_SZ) < PIPE_LEAST;
    if (c->no_pipe)
        export_pipe_close(c);
    return !c->no_pipe;
}

bool export_writes_plain(Connection *c, const NbdRequest *r)
{
    return r->length >= WORTH && !(r->flags & NBD_CMD_FLAG_FUA) && !c->tls && export_is_plain(c) &&
           open_pipe(c);
}

/* Without the pipe's help, for disks that have to look at what is written. */
static int write_copied(Connection *c, uint64_t at, size_t n)
{
    g_autofree uint8_t *buf = g_malloc(n);
    for (size_t have = 0; have < n;) {
        ssize_t got = read(c->pipe[0], buf + have, n - have);
        if (got <= 0)
            return -EIO;
        have += (size_t)got;
    }
    c->no_pipe = true;
    return block_write(c->export->user, at, buf, n, 0);
}

/* n bytes of the pipe to the disk. */
static void write_out(Connection *c, Task *t, size_t n)
{
    uint64_t at = t->nbd.offset + t->done;
    int r = block_write_pipe(c->export->user, at, n, c->pipe[0]);
    if (r == -ENOTSUP)
        r = write_copied(c, at, n);
    t->done += n;
    t->piped -= n;
    if (!r)
        return;
    /* the rest is of no use any more */
    t->error = -r;
    export_pipe_close(c);
    t->piped = 0;
    nbd_server_payload_rest(c->nbd);
}

/* Bytes of the pipe up to the last border of pages in the file: no page is then half old and half
 * new, whenever this process ends. */
static size_t whole_pages(const Connection *c, const Task *t)
{
    uint64_t at = c->export->plain.offset + t->nbd.offset + t->done,
             end = (at + t->piped) & ~(uint64_t)(PAGE - 1);
    return end > at ? (size_t)(end - at) : 0;
}

/* Writes what is worth it. */
static void write_some(Connection *c, Task *t)
{
    if (!t->piped || t->error)
        return;
    if (!nbd_server_payload_left(c->nbd))
        write_out(c, t, t->piped);
    else if (t->piped >= ENOUGH)
        write_out(c, t, whole_pages(c, t));
}

/* A pipe that is full of little pieces. */
static int make_room(Connection *c, Task *t)
{
    uint8_t buf[2 * PAGE];
    size_t n = whole_pages(c, t);
    if (n) {
        write_out(c, t, n);
        return 0;
    }
    ssize_t got = read(c->pipe[0], buf, t->piped); /* less than a page */
    return got == (ssize_t)t->piped && write(c->pipe[1], buf, (size_t)got) == got ? 0 : -EIO;
}

int export_pipe_begin(Connection *c, Task *t)
{
    size_t n;
    const uint8_t *here = nbd_server_payload_here(c->nbd, &n);
    t->by_pipe = true;
    t->error = 0;
    t->piped = 0;
    c->receiving = t;
    while (n && !t->error) {
        ssize_t put = write(c->pipe[1], here, n);
        if (put > 0) {
            here += put;
            n -= (size_t)put;
            t->piped += (size_t)put;
        } else if (put < 0 && errno != EINTR) {
            return -errno; /* it was empty, and takes more than what may be here */
        }
    }
    write_some(c, t);
    return 0;
}

static bool is_full(const Connection *c)
{
    struct pollfd p = { .fd = c->pipe[1], .events = POLLOUT };
    return poll(&p, 1, 0) == 0;
}

/* One piece from the socket; 0, or -errno of the connection. */
int export_pipe_receive(Connection *c)
{
    Task *t = c->receiving;
    uint64_t left = nbd_server_payload_left(c->nbd);
    ssize_t got = splice(c->fd, NULL, c->pipe[1], NULL, MIN(left, PIPE_ROOM), SPLICE_F_NONBLOCK);
    if (!got)
        return -ESHUTDOWN;
    if (got < 0 && errno == EINTR)
        return 0;
    if (got < 0 && errno == EAGAIN && t->piped && is_full(c))
        return make_room(c, t);
    if (got < 0)
        return -errno;
    nbd_server_passed(c->nbd, (uint64_t)got);
    t->piped += (size_t)got;
    write_some(c, t);
    return 0;
}
