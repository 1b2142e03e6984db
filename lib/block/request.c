/* SPDX-License-Identifier: MIT */
/*
 * The way of a request: into the node of its user, checked; noted there if the node serializes;
 * then on to a child (map), or to the driver's submit, or to its blocking calls on a worker or on
 * the caller's own thread; and back out through all the nodes it is in.
 *
 * Each node it is in is a frame, the lowest one last. Every step answers 0, -errno or
 * BLOCK_PENDING; what is pending has been given away and may be over already, so it is not touched
 * again. Whoever gets a final answer ends the request: block_submit on the submitter's thread,
 * block_request_done or a worker elsewhere.
 */
#include "block/block_priv.h"

#include <errno.h>
#include <string.h>

static int run(BlockRequest *req);

static bool is_write(BlockOp op)
{
    return op == BLOCK_WRITE || op == BLOCK_ZERO || op == BLOCK_DISCARD;
}

/* ---- in ------------------------------------------------------------------ */

/* What the core checks once. Formats may write past the end of their files. */
static int check(BlockUser *user, BlockNode *node, const BlockRequest *req)
{
    if (req->op == BLOCK_FLUSH)
        return 0;
    if (req->bytes > BLOCK_MAX_SIZE || req->at > BLOCK_MAX_SIZE - req->bytes)
        return -EINVAL;
    if (is_write(req->op)) {
        if (node->flags & BLOCK_OPEN_READ_ONLY)
            return -EPERM;
        if (!(user->perm & (BLOCK_PERM_WRITE | BLOCK_PERM_WRITE_UNCHANGED)))
            return -EPERM;
    }
    if (req->at + req->bytes > node_size(node)) {
        if (!user->parent)
            return -EINVAL;
        if (is_write(req->op) && !(user->perm & BLOCK_PERM_RESIZE))
            return -EINVAL;
    }
    return 0;
}

/* Whether the write must be alone in the units it touches. */
static bool is_serial(const BlockNode *node, const BlockRequest *req)
{
    uint32_t unit = node->limits.serialize;

    if (req->how & BLOCK_SERIALIZE || (node->limits.lone_effects && req->op != BLOCK_WRITE))
        return true;
    return unit > 1 && ((req->at | req->bytes) & (unit - 1));
}

static int enter(BlockRequest *req)
{
    BlockUser *user = req->into;
    BlockNode *node;

    for (;;) {
        node = user_node(user);
        req->stage = STAGE_ENTER;
        if (!block_gate_enter(&node->gate, req))
            return BLOCK_PENDING;
        /* a filter may have been put there meanwhile, which happens only while node is drained */
        if (user_node(user) == node)
            break;
        block_gate_leave(&node->gate);
    }
    BlockFrame *frame = &req->frames[req->depth++];
    frame->node = node;
    frame->tracked = false;
    frame->start = req->at;
    frame->end = req->at + req->bytes;
    frame->write = is_write(req->op);

    int r = check(user, node, req);
    if (r)
        return r;
    if (!frame->write)
        return run(req);
    if (!user->parent && req->op != BLOCK_DISCARD &&
        atomic_load_explicit(&user->writethrough, memory_order_relaxed))
        req->how |= BLOCK_FUA;
    if (node->tracks || (req->how & BLOCK_SERIALIZE)) {
        frame->unit = MAX(1, node->limits.serialize);
        frame->serial = is_serial(node, req);
        req->how &= ~(unsigned)BLOCK_SERIALIZE;
        if (!block_track(frame, req))
            return BLOCK_PENDING;
    }
    return run(req);
}

/* ---- through one node ---------------------------------------------------- */

/* A disk taken for raw by a guess must not turn into another format: its next guess would follow
 * what its guest wrote there, names of host files included. */
static int check_head(BlockNode *node, const BlockRequest *req)
{
    uint8_t head[BLOCK_SECTOR];
    const char *format = NULL;
    size_t got = 0;

    if (req->op != BLOCK_WRITE || req->at != 0)
        return req->at < BLOCK_SECTOR && req->op == BLOCK_WRITE ? -EPERM : 0;
    for (int i = 0; i < req->iovcnt && got < sizeof head; i++) {
        size_t n = MIN(req->iov[i].iov_len, sizeof head - got);
        memcpy(head + got, req->iov[i].iov_base, n);
        got += n;
    }
    if (got < sizeof head)
        return -EPERM;
    const BlockDriver *driver = block_probe(node->graph, head, got, node->file, &format);
    return driver == node->driver ? 0 : -EPERM;
}

/* What the node's options make of the request: BLOCK_PENDING to go on. */
static int apply_options(BlockNode *node, BlockRequest *req)
{
    if (node->flags & BLOCK_OPEN_NO_FLUSH) {
        if (req->op == BLOCK_FLUSH)
            return 0;
        req->how &= ~(unsigned)BLOCK_FUA;
    }
    if (!is_write(req->op))
        return BLOCK_PENDING;
    if (!(node->flags & BLOCK_OPEN_UNMAP)) {
        if (req->op == BLOCK_DISCARD)
            return 0;
        req->how &= ~(unsigned)BLOCK_MAY_UNMAP;
    }
    if (node->probed) {
        int r = check_head(node, req);
        if (r)
            return r;
    }
    return BLOCK_PENDING;
}

/* What has to look at the data cannot take them from a pipe. */
static bool looks_at_data(const BlockNode *node)
{
    return node->probed || node->detect_zeroes;
}

static bool finds_zeroes(const BlockNode *node, const BlockRequest *req)
{
    return node->detect_zeroes && req->op == BLOCK_WRITE && !(req->how & BLOCK_COMPRESS) &&
           block_iov_is_zero(req->iov, req->iovcnt);
}

/* Where a request may go on as a whole. True: *child is set, or *r is the answer. */
static bool map_whole(BlockNode *node, BlockRequest *req, BlockUser **child, int *r)
{
    const BlockDriver *d = node->driver;
    BlockMap map;

    if (req->op == BLOCK_FLUSH) {
        *child = node->children->len == 1 && !d->flush ? node->children->pdata[0] : NULL;
        return *child != NULL;
    }
    if (!d->map || (req->how & BLOCK_COMPRESS) || req->at + req->bytes > node_size(node) ||
        !d->map(node, req->op, req->at, req->bytes, &map) || map.bytes < req->bytes)
        return false;
    *child = map.child;
    if (map.child) {
        req->at = map.offset;
        return true;
    }
    block_iov_zero(req->iov, req->iovcnt, 0);
    *r = 0;
    return true;
}

static bool has_blocking(const BlockDriver *d, BlockOp op)
{
    return d->read || d->write || (op != BLOCK_READ && op != BLOCK_WRITE);
}

static int run_blocking(BlockNode *node, BlockRequest *req)
{
    return block_node_io(node, req->op, req->at, req->bytes, req->iov, req->iovcnt, req->how);
}

static int to_driver(BlockNode *node, BlockRequest *req, bool zeroes)
{
    const BlockDriver *d = node->driver;

    if (req->how & BLOCK_FROM_PIPE)
        return d->write_pipe ? d->write_pipe(node, req->at, req->bytes, req->pipe) : -ENOTSUP;
    if (req->how & BLOCK_ELSEWHERE && has_blocking(d, req->op)) {
        block_request_push(req, STAGE_BLOCKING);
        return BLOCK_PENDING;
    }
    if (d->submit && !((req->how & BLOCK_MAY_WAIT) && has_blocking(d, req->op)) && !zeroes &&
        block_node_fits(node, req->op, req->at, req->bytes, req->iov, req->iovcnt)) {
        if (d->cancel)
            __atomic_fetch_or(&req->state, STATE_DRIVER, __ATOMIC_RELEASE);
        int r = d->submit(node, req);
        if (r != BLOCK_BLOCKING)
            return r;
    }
    if (req->how & BLOCK_MAY_WAIT)
        return run_blocking(node, req);
    block_request_push(req, STAGE_BLOCKING);
    return BLOCK_PENDING;
}

/* Runs the request in the node of its top frame, and below. */
static int run(BlockRequest *req)
{
    BlockNode *node = req->frames[req->depth - 1].node;
    BlockUser *child;
    int r;

    if (__atomic_load_n(&req->state, __ATOMIC_RELAXED) & STATE_CANCELLED)
        return -ECANCELED;
    if (req->how & BLOCK_FROM_PIPE && (looks_at_data(node) || req->how & BLOCK_FUA))
        return -ENOTSUP;
    r = apply_options(node, req);
    if (r != BLOCK_PENDING)
        return r;
    if (req->op != BLOCK_FLUSH && !req->bytes)
        return 0;
    bool zeroes = finds_zeroes(node, req);
    if (req->depth < BLOCK_FRAMES && !zeroes && map_whole(node, req, &child, &r)) {
        if (!child)
            return r;
        req->into = child;
        return enter(req); /* bounded by BLOCK_FRAMES */
    }
    return to_driver(node, req, zeroes);
}

/* ---- out ----------------------------------------------------------------- */

/* Out of the top frame, but for the gate. */
static void leave_frame(BlockRequest *req, BlockFrame *frame, int ret)
{
    BlockNode *node = frame->node;

    if (frame->write && !ret && req->op != BLOCK_DISCARD && frame->end > node_size(node)) {
        uint64_t end = ROUND_UP_SECTOR(frame->end), size = node_size(node);
        while (size < end && !atomic_compare_exchange_weak(&node->size, &size, end))
            ;
    }
    if (frame->write && node->bitmaps->len)
        block_bitmaps_note(node, frame->start, frame->end - frame->start);
    block_untrack(frame);
}

static void count(BlockUser *user, const BlockRequest *req, int ret)
{
    if (!user || user->parent)
        return;
    atomic_fetch_add_explicit(&user->stats.ops[req->op], 1, memory_order_relaxed);
    if (ret)
        atomic_fetch_add_explicit(&user->stats.errors[req->op], 1, memory_order_relaxed);
    else
        atomic_fetch_add_explicit(&user->stats.bytes[req->op], req->bytes, memory_order_relaxed);
}

/* Out of all nodes; returns the gate still to be left, or NULL. */
static BlockGate *unwind(BlockRequest *req, int ret)
{
    for (int d = req->depth - 1; d > 0; d--) {
        BlockNode *node = req->frames[d].node;
        leave_frame(req, &req->frames[d], ret);
        block_gate_leave(&node->gate);
    }
    if (req->depth)
        leave_frame(req, &req->frames[0], ret);
    count(req->user, req, ret);
    req->ret = ret;
    return req->depth ? &req->frames[0].node->gate : NULL;
}

void block_request_done(BlockRequest *req, int ret)
{
    BlockGate *gate = unwind(req, ret);

    /* the node is not at rest until done has returned: then its owner may free both */
    req->done(req);
    if (gate)
        block_gate_leave(gate);
}

void block_request_push(BlockRequest *req, int stage)
{
    BlockNode *node = req->frames[req->depth - 1].node;

    req->stage = stage;
    block_pool_push(node->graph->pool, req);
}

void block_request_block(BlockRequest *req)
{
    block_request_push(req, STAGE_BLOCKING);
}

void block_request_forward(BlockRequest *req, BlockUser *child, uint64_t offset)
{
    req->at = offset;
    req->into = child;
    if (req->depth == BLOCK_FRAMES) {
        req->stage = STAGE_NESTED;
        block_pool_push(child->graph->pool, req);
        return;
    }
    int r = enter(req);
    if (r != BLOCK_PENDING)
        block_request_done(req, r);
}

static int run_nested(BlockRequest *req)
{
    unsigned flags = req->how & (BLOCK_FUA | BLOCK_MAY_UNMAP | BLOCK_NO_FALLBACK | BLOCK_COMPRESS);

    return block_run(req->into, req->op, flags, req->at, req->bytes, req->iov, req->iovcnt);
}

void block_request_work(BlockRequest *req)
{
    int r;

    req->how |= BLOCK_MAY_WAIT; /* this thread is for that */
    if (req->stage == STAGE_ENTER)
        r = enter(req);
    else if (req->stage == STAGE_RUN)
        r = run(req);
    else if (__atomic_load_n(&req->state, __ATOMIC_RELAXED) & STATE_CANCELLED)
        r = -ECANCELED;
    else if (req->stage == STAGE_NESTED)
        r = run_nested(req);
    else
        r = run_blocking(req->frames[req->depth - 1].node, req);
    if (r != BLOCK_PENDING)
        block_request_done(req, r);
}

bool block_submit(BlockUser *user, BlockRequest *req)
{
    req->user = req->into = user;
    req->at = req->offset;
    req->how = req->flags;
    req->state = 0;
    req->depth = 0;
    int r = enter(req);
    if (r == BLOCK_PENDING)
        return false;
    BlockGate *gate = unwind(req, r);
    if (gate)
        block_gate_leave(gate);
    return true;
}

void block_cancel(BlockRequest *req)
{
    int state = __atomic_fetch_or(&req->state, STATE_CANCELLED, __ATOMIC_ACQ_REL);

    if ((state & STATE_DRIVER) && req->depth) {
        BlockNode *node = req->frames[req->depth - 1].node;
        if (node->driver->cancel)
            node->driver->cancel(node, req);
    }
}

void block_plug(BlockUser *user)
{
    BlockRing *ring = atomic_load_explicit(&user->graph->ring, memory_order_acquire);
    if (ring)
        block_ring_plug(ring, 1);
}

void block_unplug(BlockUser *user)
{
    BlockRing *ring = atomic_load_explicit(&user->graph->ring, memory_order_acquire);
    if (ring)
        block_ring_plug(ring, -1);
}

/* ---- waiting for one ----------------------------------------------------- */

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool over;
} Wait;

static void wake(BlockRequest *req)
{
    Wait *wait = req->opaque;

    pthread_mutex_lock(&wait->lock);
    wait->over = true;
    pthread_cond_signal(&wait->cond);
    pthread_mutex_unlock(&wait->lock);
}

static void wait_for(Wait *wait, BlockPool *pool)
{
    block_pool_waiting(pool, 1);
    pthread_mutex_lock(&wait->lock);
    while (!wait->over)
        pthread_cond_wait(&wait->cond, &wait->lock);
    pthread_mutex_unlock(&wait->lock);
    block_pool_waiting(pool, -1);
    pthread_mutex_destroy(&wait->lock);
    pthread_cond_destroy(&wait->cond);
}

/* req is big: of it only what its kind needs is set. */
static int submit_and_wait(BlockUser *user, BlockRequest *req)
{
    Wait wait = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false };

    req->flags |= BLOCK_MAY_WAIT;
    req->done = wake;
    req->opaque = &wait;
    if (!block_submit(user, req))
        wait_for(&wait, user->graph->pool);
    return req->ret;
}

int block_run(BlockUser *user, BlockOp op, unsigned flags, uint64_t offset, uint64_t bytes,
              const struct iovec *iov, int iovcnt)
{
    BlockRequest req;

    req.op = op;
    req.flags = flags;
    req.offset = offset;
    req.bytes = bytes;
    req.iov = iov;
    req.iovcnt = iovcnt;
    return submit_and_wait(user, &req);
}

int block_write_pipe(BlockUser *user, uint64_t offset, uint64_t bytes, int pipe)
{
    BlockRequest req;

    req.op = BLOCK_WRITE;
    req.flags = BLOCK_FROM_PIPE;
    req.offset = offset;
    req.bytes = bytes;
    req.iov = NULL;
    req.iovcnt = 0;
    req.pipe = pipe;
    return submit_and_wait(user, &req);
}

int block_driver_submit_wait(BlockNode *node, BlockOp op, uint64_t offset, uint64_t bytes,
                             const struct iovec *iov, int iovcnt, unsigned how)
{
    Wait wait = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false };
    BlockRequest req = { .op = op, .offset = offset, .bytes = bytes, .iov = iov, .iovcnt = iovcnt,
                         .done = wake, .opaque = &wait, .at = offset,
                         .how = how & ~(unsigned)BLOCK_MAY_WAIT };

    int r = node->driver->submit(node, &req);
    if (r == BLOCK_BLOCKING)
        return -ENOTSUP;
    if (r != BLOCK_PENDING)
        return r;
    wait_for(&wait, node->graph->pool);
    return req.ret;
}
