/* SPDX-License-Identifier: MIT */
/*
 * A queue and the thread that serves it. The thread is made with the first notification and sleeps
 * between them; while it works, the driver is told to keep quiet, so that a busy queue costs the
 * vCPU nothing.
 */
#include "virtio/virtio_priv.h"

#include "base/log.h"
#include "base/thread.h"

void virtio_queue_init(VirtioDevice *v, VirtioQueue *q, unsigned size)
{
    q->v = v;
    q->max_size = (uint16_t)size;
    q->config.size = q->max_size;
    pthread_mutex_init(&q->lock, NULL);
    pthread_mutex_init(&q->wake_lock, NULL);
    pthread_cond_init(&q->wake, NULL);
    pthread_cond_init(&q->rest, NULL);
}

static void *serve(void *opaque)
{
    VirtioQueue *q = opaque;
    unsigned n = (unsigned)(q - q->v->queues);
    pthread_mutex_lock(&q->wake_lock);
    while (!q->end) {
        if (!q->pending || q->paused) {
            pthread_cond_wait(&q->wake, &q->wake_lock);
            continue;
        }
        q->pending = false;
        q->busy = true;
        pthread_mutex_unlock(&q->wake_lock);
        q->v->type->notify(q->v, n);
        pthread_mutex_lock(&q->wake_lock);
        q->busy = false;
        pthread_cond_broadcast(&q->rest);
    }
    pthread_mutex_unlock(&q->wake_lock);
    return NULL;
}

/* Under wake_lock. */
static bool thread_begin(VirtioQueue *q)
{
    g_autofree char *name = g_strdup_printf("%.11s/%u", q->v->type->name,
                                            (unsigned)(q - q->v->queues));
    q->has_thread = thread_start(&q->thread, name, serve, q) == 0;
    return q->has_thread;
}

void virtio_wake(VirtioDevice *v, unsigned queue)
{
    VirtioQueue *q = &v->queues[queue];
    pthread_mutex_lock(&q->wake_lock);
    q->pending = true;
    bool served = q->has_thread || thread_begin(q);
    bool sleeps = !q->busy;
    pthread_mutex_unlock(&q->wake_lock);
    if (!served)
        virtio_break(v, "the host has no thread to spare");
    else if (sleeps)
        pthread_cond_signal(&q->wake);
}

void virtio_queue_pause(VirtioQueue *q)
{
    pthread_mutex_lock(&q->wake_lock);
    __atomic_add_fetch(&q->paused, 1, __ATOMIC_RELAXED);
    while (q->busy)
        pthread_cond_wait(&q->rest, &q->wake_lock);
    pthread_mutex_unlock(&q->wake_lock);
}

void virtio_queue_resume(VirtioQueue *q)
{
    pthread_mutex_lock(&q->wake_lock);
    __atomic_sub_fetch(&q->paused, 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&q->wake_lock);
    pthread_cond_signal(&q->wake);
}

void virtio_queue_clear(VirtioQueue *q)
{
    pthread_mutex_lock(&q->wake_lock);
    q->end = true;
    pthread_mutex_unlock(&q->wake_lock);
    pthread_cond_signal(&q->wake);
    if (q->has_thread)
        pthread_join(q->thread, NULL);
    pthread_mutex_destroy(&q->lock);
    pthread_mutex_destroy(&q->wake_lock);
    pthread_cond_destroy(&q->wake);
    pthread_cond_destroy(&q->rest);
}

/* ---- Rings ------------------------------------------------------------------ */

bool virtio_pop(VirtioDevice *v, unsigned queue, VringChain *chain)
{
    VirtioQueue *q = &v->queues[queue];
    if (__atomic_load_n(&q->paused, __ATOMIC_RELAXED) || virtio_status(v) & VIRTIO_NEEDS_RESET)
        return false;
    pthread_mutex_lock(&q->lock);
    VringResult result = vring_pop(&q->ring, chain);
    pthread_mutex_unlock(&q->lock);
    if (result == VRING_BROKEN)
        virtio_break(v, q->ring.broken);
    return result == VRING_GOT;
}

void virtio_push_all(VirtioDevice *v, unsigned queue, VringChain *chains, const uint32_t *written,
                     unsigned count)
{
    VirtioQueue *q = &v->queues[queue];
    pthread_mutex_lock(&q->lock);
    vring_push_all(&q->ring, chains, written, count);
    pthread_mutex_unlock(&q->lock);
}

void virtio_push(VirtioDevice *v, unsigned queue, VringChain *chain, uint32_t written)
{
    virtio_push_all(v, queue, chain, &written, 1);
}

void virtio_unpop(VirtioDevice *v, unsigned queue, const VringChain *chain)
{
    VirtioQueue *q = &v->queues[queue];
    pthread_mutex_lock(&q->lock);
    vring_unpop(&q->ring, chain);
    pthread_mutex_unlock(&q->lock);
}

void virtio_flush(VirtioDevice *v, unsigned queue)
{
    VirtioQueue *q = &v->queues[queue];
    pthread_mutex_lock(&q->lock);
    bool wanted = vring_flush(&q->ring);
    pthread_mutex_unlock(&q->lock);
    if (wanted && v->transport)
        v->transport->interrupt(v->transport_opaque, (int)queue);
}

bool virtio_quiet(VirtioDevice *v, unsigned queue, bool quiet)
{
    VirtioQueue *q = &v->queues[queue];
    pthread_mutex_lock(&q->lock);
    bool more = vring_notify(&q->ring, !quiet);
    pthread_mutex_unlock(&q->lock);
    /* One that is to rest looks again when it is resumed. */
    if (more && __atomic_load_n(&q->paused, __ATOMIC_RELAXED)) {
        virtio_wake(v, queue);
        return false;
    }
    return more && !(virtio_status(v) & VIRTIO_NEEDS_RESET);
}

void virtio_kick(VirtioDevice *v, uint32_t queue)
{
    if (queue < v->queue_count && virtio_status(v) & VIRTIO_DRIVER_OK &&
        __atomic_load_n(&v->queues[queue].enabled, __ATOMIC_ACQUIRE))
        virtio_wake(v, queue);
}
