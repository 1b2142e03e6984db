/* SPDX-License-Identifier: MIT */
/*
 * What is asked of the disk. A request that is alone is done on the connection's thread, wait or
 * not: that is quickest. Of several, lib/block does at once what needs no waiting, and the others
 * wait side by side. Answers are sent together when the peer has nothing more to say, or when
 * enough have come together.
 */
#include "export/export_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

enum {
    ENOUGH = 256 << 10,     /* bytes of answers, to be sent */
    KEPT_TASKS = 64,        /* that are not used, with buffers up to KEPT_ROOM */
    KEPT_ROOM = 1 << 20,
    CACHE_STEP = 1 << 20,   /* read at a time for NBD_CMD_CACHE */
    HOLE_WORTH = 4096,      /* zeroes, from so many on, are told and not sent */
    LONG = 128 << 10,       /* worth another thread */
    PIECE = 256 << 10,      /* of a long read: the peer takes one while the next is read */
};

/* ---- Tasks ----------------------------------------------------------------- */

static void task_free(Task *t)
{
    free(t->buf);
    if (t->body)
        g_byte_array_unref(t->body);
    g_free(t);
}

static void task_release(Connection *c, Task *t)
{
    c->tasks--;
    c->held -= t->holds;
    if (t->body)
        g_clear_pointer(&t->body, g_byte_array_unref);
    if (c->spares >= KEPT_TASKS || t->room > KEPT_ROOM) {
        task_free(t);
        return;
    }
    t->next = c->spare;
    c->spare = t;
    c->spares++;
    c->kept += t->room;
}

static Task *take_spare(Connection *c)
{
    Task *t = c->spare;
    if (!t)
        return NULL;
    c->spare = t->next;
    c->spares--;
    c->kept -= t->room;
    return t;
}

void export_free_tasks(Connection *c)
{
    g_clear_pointer(&c->receiving, task_free);
    g_clear_pointer(&c->warm, free);
    export_pipe_close(c);
    for (Task *t; (t = take_spare(c));)
        task_free(t);
}

void export_wait_finished(Connection *c)
{
    struct pollfd p = { .fd = c->wake, .events = POLLIN };
    eventfd_t n;
    if (!atomic_load(&c->finished))
        poll(&p, 1, -1);
    eventfd_read(c->wake, &n);
}

static int make_room(Connection *c, uint64_t bytes)
{
    while (c->tasks && (c->tasks >= EXPORT_MAX_REQUESTS || c->held + bytes > EXPORT_MAX_BYTES)) {
        int r = export_flush_answers(c);
        if (r)
            return r;
        if (c->in_flight)
            export_wait_finished(c);
        r = export_collect(c);
        if (r)
            return r;
    }
    while (c->spare && c->held + c->kept + bytes > EXPORT_MAX_BYTES)
        task_free(take_spare(c));
    return 0;
}

/* The buffer of what was written last is the next to be filled: it is in the processor's cache. */
static void swap_warm(Connection *c, Task *t)
{
    uint8_t *buf = t->buf;
    size_t room = t->room;
    t->buf = c->warm;
    t->room = c->warm_room;
    c->warm = buf;
    c->warm_room = room;
}

/* One with room for bytes; its buf is NULL if there is no memory. */
static int task_new(Connection *c, const NbdRequest *request, uint64_t bytes, Task **task)
{
    int r = make_room(c, bytes);
    if (r)
        return r;
    Task *t = take_spare(c);
    if (!t) {
        t = g_new0(Task, 1);
        t->connection = c;
    }
    if (bytes && c->warm_room >= bytes)
        swap_warm(c, t);
    if (t->room < bytes) {
        size_t room = MAX((size_t)bytes, 4096);
        free(t->buf);
        t->buf = aligned_alloc(4096, (room + 4095) & ~(size_t)4095);
        t->room = t->buf ? room : 0;
    }
    t->nbd = *request;
    t->holds = MAX(bytes, t->room); /* a buffer that was larger than it need be counts as it is */
    t->done = 0;
    t->plain = t->by_pipe = false;
    c->tasks++;
    c->held += t->holds;
    *task = t;
    return 0;
}

/* ---- Answers --------------------------------------------------------------- */

int export_flush_answers(Connection *c)
{
    struct iovec iov[2 * EXPORT_BATCH];
    int n = 0, r = 0;
    for (unsigned i = 0; i < c->n_ready && !r; i++) {
        Task *t = c->ready[i];
        if (t->body) {
            iov[n++] = (struct iovec){ t->body->data, t->body->len };
            continue;
        }
        iov[n++] = (struct iovec){ t->head, t->head_len };
        if (t->plain) {
            r = export_send(c, iov, n, true);
            n = 0;
            r = r ? r : export_send_plain(c, t->nbd.offset, t->nbd.length);
        } else if (t->iov.iov_len) {
            iov[n++] = t->iov;
        }
    }
    if (n && !r)
        r = export_send(c, iov, n, false);
    for (unsigned i = 0; i < c->n_ready; i++)
        task_release(c, c->ready[i]);
    c->n_ready = 0;
    c->ready_bytes = 0;
    return r;
}

static int answer(Connection *c, Task *t)
{
    c->ready[c->n_ready++] = t;
    c->ready_bytes += t->plain ? t->nbd.length : t->iov.iov_len;
    return c->n_ready == EXPORT_BATCH || c->ready_bytes >= ENOUGH ? export_flush_answers(c) : 0;
}

static int answer_end(Connection *c, Task *t, int err, const char *message)
{
    t->iov.iov_len = 0;
    t->head_len = nbd_server_put_end(c->nbd, &t->nbd, err, message, t->head);
    return answer(c, t);
}

static bool is_zero(const uint8_t *p, size_t len)
{
    return !p[0] && !p[len / 2] && !p[len - 1] && !memcmp(p, p + 1, len - 1);
}

static int answer_read(Connection *c, Task *t)
{
    const NbdRequest *r = &t->nbd;
    bool may = nbd_server_structured(c->nbd) && !(r->flags & NBD_CMD_FLAG_DF) &&
               r->length >= HOLE_WORTH;
    if (may && is_zero(t->buf, (size_t)r->length)) {
        t->iov.iov_len = 0;
        t->head_len = nbd_server_put_hole(c->nbd, r, r->offset, r->length, true, t->head);
    } else {
        t->iov = (struct iovec){ t->buf, (size_t)r->length };
        t->head_len = nbd_server_put_data(c->nbd, r, r->offset, r->length, true, t->head);
    }
    return answer(c, t);
}

/* ---- The disk -------------------------------------------------------------- */

static void on_done(BlockRequest *req)
{
    Task *t = req->opaque;
    Connection *c = t->connection;
    atomic_fetch_add(&c->poking, 1);
    Task *first = atomic_load(&c->finished);
    do
        t->next = first;
    while (!atomic_compare_exchange_weak(&c->finished, &first, t));
    if (!first)
        eventfd_write(c->wake, 1);
    atomic_fetch_sub(&c->poking, 1);
}

static void describe(Task *t, BlockOp op, unsigned flags, uint64_t offset, uint64_t bytes)
{
    bool data = op == BLOCK_READ || op == BLOCK_WRITE;
    t->iov = (struct iovec){ t->buf, data ? (size_t)bytes : 0 };
    t->req = (BlockRequest){ .op = op, .flags = flags, .offset = offset, .bytes = bytes,
                             .iov = data ? &t->iov : NULL, .iovcnt = data, .done = on_done, .opaque = t };
}

/* The next step of a request; false: there is none. */
static bool next_step(Connection *c, Task *t)
{
    const NbdRequest *r = &t->nbd;
    unsigned fua = r->flags & NBD_CMD_FLAG_FUA ? BLOCK_FUA : 0;
    uint64_t left = r->length - t->done;
    bool first = !t->done;
    switch (r->command) {
    case NBD_CMD_READ:
    case NBD_CMD_WRITE: {
        bool read = r->command == NBD_CMD_READ;
        /* alone, so nobody waits behind it */
        bool alone = !c->in_flight && !nbd_server_has_more(c->nbd);
        unsigned flags = BLOCK_MAY_STALL | (alone ? BLOCK_MAY_WAIT : 0);
        /* one of several long ones on another processor, while this one moves the bytes of the
         * others */
        if (read && !alone && !c->in_flight && r->length >= LONG)
            flags = BLOCK_ELSEWHERE;
        if (first && left)
            describe(t, read ? BLOCK_READ : BLOCK_WRITE, flags | (read ? 0 : fua), r->offset,
                     r->length);
        t->done = r->length;
        return first && left;
    }
    case NBD_CMD_WRITE_ZEROES:
        if (first && left)
            describe(t, BLOCK_ZERO, fua | (r->flags & NBD_CMD_FLAG_NO_HOLE ? 0 : BLOCK_MAY_UNMAP) |
                                        (r->flags & NBD_CMD_FLAG_FAST_ZERO ? BLOCK_NO_FALLBACK : 0),
                     r->offset, r->length);
        t->done = r->length;
        return first && left;
    case NBD_CMD_CACHE:
        left = MIN(left, CACHE_STEP);
        if (left)
            describe(t, BLOCK_READ, 0, r->offset + t->done, left);
        t->done += left;
        return left;
    case NBD_CMD_TRIM:
        if (first && left)
            describe(t, BLOCK_DISCARD, 0, r->offset, r->length);
        else if (fua && t->req.op == BLOCK_DISCARD)
            describe(t, BLOCK_FLUSH, 0, 0, 0);
        else
            return false;
        t->done = r->length;
        return true;
    default: /* flush */
        if (t->done)
            return false;
        describe(t, BLOCK_FLUSH, 0, 0, 0);
        t->done = 1;
        return true;
    }
}

/* Does it, as far as it goes without waiting. */
static int run(Connection *c, Task *t)
{
    int err = 0;
    while (!err && next_step(c, t)) {
        if (!block_submit(c->export->user, &t->req)) {
            c->in_flight++;
            return 0;
        }
        err = t->req.ret;
    }
    if (err)
        return answer_end(c, t, -err, g_strerror(-err));
    if (t->nbd.command == NBD_CMD_READ)
        return answer_read(c, t);
    if (t->nbd.command == NBD_CMD_WRITE && t->room <= KEPT_ROOM)
        swap_warm(c, t);
    return answer_end(c, t, 0, NULL);
}

static int go_on(Connection *c, Task *t)
{
    c->in_flight--;
    if (t->req.ret)
        return answer_end(c, t, -t->req.ret, g_strerror(-t->req.ret));
    return run(c, t);
}

int export_collect(Connection *c)
{
    Task *newest = atomic_exchange(&c->finished, NULL), *oldest = NULL;
    while (newest) {
        Task *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    int r = 0;
    while (oldest) {
        Task *next = oldest->next;
        int one = go_on(c, oldest);
        r = r ? r : one;
        oldest = next;
    }
    return r;
}

/* A long read that nobody waits behind, in pieces, each sent while the peer takes the one before.
 */
static int read_in_pieces(Connection *c, Task *t)
{
    const NbdRequest *r = &t->nbd;
    int err = 0, sent = export_flush_answers(c);
    for (uint64_t at = 0; !err && !sent && at < r->length; at += PIECE) {
        uint64_t n = MIN(r->length - at, PIECE);
        bool last = at + n == r->length;
        err = block_read(c->export->user, r->offset + at, t->buf, n);
        if (err)
            break;
        struct iovec iov[2] = { { t->head, 0 }, { t->buf, (size_t)n } };
        bool hole = is_zero(t->buf, (size_t)n);
        iov[0].iov_len = hole ? nbd_server_put_hole(c->nbd, r, r->offset + at, n, last, t->head)
                              : nbd_server_put_data(c->nbd, r, r->offset + at, n, last, t->head);
        sent = export_send(c, iov, hole ? 1 : 2, false);
    }
    if (err)
        return answer_end(c, t, -err, g_strerror(-err));
    task_release(c, t);
    return sent;
}

static bool wants_pieces(const Connection *c, const NbdRequest *r)
{
    return r->command == NBD_CMD_READ && r->length >= 2 * PIECE && nbd_server_structured(c->nbd) &&
           !(r->flags & NBD_CMD_FLAG_DF) && !c->in_flight && !nbd_server_has_more(c->nbd);
}

/* ---- What the peer says ---------------------------------------------------- */

static int take_status(Connection *c, Task *t)
{
    t->iov.iov_len = 0;
    int err = export_status(c, t);
    return err ? answer_end(c, t, err, g_strerror(err)) : answer(c, t);
}

static int take_read(Connection *c, Task *t, bool plain)
{
    const NbdRequest *r = &t->nbd;
    if (!plain)
        return wants_pieces(c, r) ? read_in_pieces(c, t) : run(c, t);
    t->plain = true;
    t->head_len = nbd_server_put_data(c->nbd, r, r->offset, r->length, true, t->head);
    return answer(c, t);
}

/* Bytes of buffer that a request needs. */
static uint64_t room_for(const NbdRequest *r, bool plain)
{
    switch (r->command) {
    case NBD_CMD_READ:
    case NBD_CMD_WRITE: return plain ? 0 : r->length;
    case NBD_CMD_CACHE: return CACHE_STEP;
    default: return 0;
    }
}

int export_request(Connection *c, const NbdRequest *request)
{
    const char *why;
    int err = nbd_server_check(c->nbd, request, &why);
    bool read = request->command == NBD_CMD_READ, write = request->command == NBD_CMD_WRITE;
    bool plain = !err && ((read && export_reads_plain(c, request)) ||
                          (write && export_writes_plain(c, request)));
    uint64_t bytes = err ? 0 : room_for(request, plain);
    Task *t;
    int r = task_new(c, request, bytes, &t);
    if (r)
        return r;
    if (!err && bytes && !t->buf)
        err = ENOMEM, why = "no memory for it";
    if (err) /* a payload is thrown away */
        return answer_end(c, t, err, why);
    if (write && plain)
        return export_pipe_begin(c, t);
    if (write) {
        nbd_server_payload(c->nbd, t->buf);
        c->receiving = t;
        return 0;
    }
    if (request->command == NBD_CMD_BLOCK_STATUS)
        return take_status(c, t);
    return read ? take_read(c, t, plain) : run(c, t);
}

int export_payload(Connection *c)
{
    Task *t = g_steal_pointer(&c->receiving);
    if (!t)
        return 0;
    return t->by_pipe ? answer_end(c, t, t->error, t->error ? g_strerror(t->error) : NULL)
                      : run(c, t);
}
