/* SPDX-License-Identifier: MIT */
/*
 * The graph's io_uring, for drivers that read and write a file descriptor. Any thread submits,
 * under a lock; a thread of the ring's own takes completions and runs them. While it is plugged,
 * entries only gather; the last unplug sends them with one system call.
 *
 * A request of a thread that ends is cancelled by the kernel: the driver sees -ECANCELED and
 * starts it again.
 */
#include "block/block_priv.h"

#include <errno.h>
#include <unistd.h>

#ifdef HAVE_LIBURING
#include <liburing.h>

enum { ENTRIES = 256, BATCH = 32 };

struct BlockRing {
    struct io_uring uring;
    pthread_mutex_t lock; /* of the submission side and what follows */
    int plugged;
    unsigned gathered;
    _Atomic unsigned sent; /* orders what a submitter wrote before what the reaper reads, which
                              otherwise only the kernel does */
    pthread_t reaper;
};

typedef void (*Ended)(BlockRequest *req, int64_t result);

/* Under the lock. */
static void send_all(BlockRing *ring)
{
    while (ring->gathered) {
        int r = io_uring_submit(&ring->uring);
        if (r > 0)
            ring->gathered -= MIN((unsigned)r, ring->gathered);
        else if (r != -EINTR)
            usleep(100); /* the kernel is short of memory or completions wait to be taken */
    }
}

static void *reap(void *p)
{
    BlockRing *ring = p;
    struct {
        BlockRequest *req;
        int64_t result;
    } batch[BATCH];

    for (;;) {
        struct io_uring_cqe *cqe;
        unsigned head, n = 0;
        bool stop = false;

        if (io_uring_wait_cqe(&ring->uring, &cqe) < 0)
            continue;
        atomic_load_explicit(&ring->sent, memory_order_acquire);
        io_uring_for_each_cqe(&ring->uring, head, cqe) {
            batch[n].req = io_uring_cqe_get_data(cqe);
            batch[n].result = cqe->res;
            stop |= !batch[n].req;
            if (++n == BATCH)
                break;
        }
        io_uring_cq_advance(&ring->uring, n);
        for (unsigned i = 0; i < n; i++) {
            BlockRequest *req = batch[i].req;
            if (req)
                ((Ended)(uintptr_t)req->driver_word)(req, batch[i].result);
        }
        if (stop)
            return NULL;
    }
}

static BlockRing *ring_new(void)
{
    BlockRing *ring = g_new0(BlockRing, 1);

    if (io_uring_queue_init(ENTRIES, &ring->uring, 0) < 0) {
        g_free(ring);
        return NULL;
    }
    pthread_mutex_init(&ring->lock, NULL);
    if (pthread_create(&ring->reaper, NULL, reap, ring)) {
        io_uring_queue_exit(&ring->uring);
        pthread_mutex_destroy(&ring->lock);
        g_free(ring);
        return NULL;
    }
    return ring;
}

void block_ring_free(BlockRing *ring)
{
    if (!ring)
        return;
    pthread_mutex_lock(&ring->lock);
    struct io_uring_sqe *sqe;
    while (!(sqe = io_uring_get_sqe(&ring->uring)))
        send_all(ring);
    io_uring_prep_nop(sqe);
    io_uring_sqe_set_data(sqe, NULL);
    ring->gathered++;
    send_all(ring);
    pthread_mutex_unlock(&ring->lock);
    pthread_join(ring->reaper, NULL);
    io_uring_queue_exit(&ring->uring);
    pthread_mutex_destroy(&ring->lock);
    g_free(ring);
}

void block_ring_plug(BlockRing *ring, int change)
{
    pthread_mutex_lock(&ring->lock);
    ring->plugged += change;
    if (ring->plugged < 0)
        ring->plugged = 0; /* the ring was made in between */
    if (!ring->plugged)
        send_all(ring);
    pthread_mutex_unlock(&ring->lock);
}

int block_ring_io(BlockGraph *graph, BlockRequest *req, int fd, bool write,
                  void (*ended)(BlockRequest *req, int64_t result))
{
    BlockRing *ring = block_ring_of(graph);
    struct io_uring_sqe *sqe;

    if (!ring)
        return BLOCK_BLOCKING;
    pthread_mutex_lock(&ring->lock);
    sqe = io_uring_get_sqe(&ring->uring);
    if (!sqe) {
        send_all(ring);
        sqe = io_uring_get_sqe(&ring->uring);
    }
    if (sqe) {
        req->driver_word = (uintptr_t)ended;
        if (write)
            io_uring_prep_writev2(sqe, fd, req->iov, (unsigned)req->iovcnt, req->at,
                                  req->how & BLOCK_FUA ? RWF_DSYNC : 0);
        else
            io_uring_prep_readv(sqe, fd, req->iov, (unsigned)req->iovcnt, req->at);
        io_uring_sqe_set_data(sqe, req);
        ring->gathered++;
        atomic_fetch_add_explicit(&ring->sent, 1, memory_order_release);
        if (!ring->plugged)
            send_all(ring);
    }
    pthread_mutex_unlock(&ring->lock);
    return sqe ? BLOCK_PENDING : BLOCK_BLOCKING;
}

#else

static BlockRing *ring_new(void)
{
    return NULL;
}

void block_ring_free(BlockRing *ring)
{
}

void block_ring_plug(BlockRing *ring, int change)
{
}

int block_ring_io(BlockGraph *graph, BlockRequest *req, int fd, bool write,
                  void (*ended)(BlockRequest *req, int64_t result))
{
    return BLOCK_BLOCKING;
}

#endif

BlockRing *block_ring_of(BlockGraph *graph)
{
    BlockRing *ring = atomic_load_explicit(&graph->ring, memory_order_acquire);

    if (ring || atomic_load_explicit(&graph->no_ring, memory_order_relaxed))
        return ring;
    pthread_mutex_lock(&graph->ring_lock);
    ring = atomic_load(&graph->ring);
    if (!ring && !atomic_load(&graph->no_ring)) {
        ring = ring_new();
        if (ring)
            atomic_store_explicit(&graph->ring, ring, memory_order_release);
        else
            atomic_store(&graph->no_ring, true);
    }
    pthread_mutex_unlock(&graph->ring_lock);
    return ring;
}

bool block_ring_usable(BlockGraph *graph)
{
    return block_ring_of(graph) != NULL;
}
