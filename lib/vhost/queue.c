/* SPDX-License-Identifier: MIT */
/* One queue: the thread that serves its ring. */
#include "vhost/vhost_priv.h"

#include "base/bytes.h"
#include "base/error.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { LOOK_US = 50, CONTENDED_US = 10, MOST_SKIPPED = 100, INTERRUPT_MS = 20 };

void vhost_queue_init(VhostQueue *q, VhostBackend *b, unsigned index)
{
    *q = (VhostQueue){
        .backend = b, .index = index, .kick = -1, .call = -1, .err = -1, .stop = -1
    };
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->idle, NULL);
}

void vhost_queue_clear(VhostQueue *q)
{
    int fds[] = { q->kick, q->call, q->err, q->stop };
    for (unsigned i = 0; i < G_N_ELEMENTS(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    pthread_cond_destroy(&q->idle);
    pthread_mutex_destroy(&q->lock);
}

/* ---- Requests ---------------------------------------------------------------- */

static VhostRequest *request_new(VhostQueue *q)
{
    VhostRequest *r = g_steal_pointer(&q->spare);
    if (!r)
        r = g_new0(VhostRequest, 1);
    r->queue = q->index;
    r->owner = q;
    return r;
}

static void request_free(VhostRequest *r)
{
    if (!r)
        return;
    vring_chain_clear(&r->chain);
    g_free(r);
}

/* An event that is full has been seen as little as it can be: one that nobody reads is not waited
 * for. */
static void signal_event(int fd, bool blocks)
{
    struct pollfd p = { .fd = fd, .events = POLLOUT };
    if (fd >= 0 && (!blocks || (poll(&p, 1, 0) > 0 && p.revents & POLLOUT)))
        eventfd_write(fd, 1);
}

/* Under the lock. */
static void finish(VhostQueue *q, VhostRequest *r, uint32_t written)
{
    if (q->track.region)
        vhost_inflight_push(q, r, written);
    else
        vring_push(&q->ring, &r->chain, written);
    bool tell = vring_flush(&q->ring);
    if (!--q->pending)
        pthread_cond_signal(&q->idle);
    if (tell)
        signal_event(q->call, q->call_blocks);
}

void vhost_request_done(VhostRequest *r, uint32_t written)
{
    VhostQueue *q = r->owner;
    pthread_mutex_lock(&q->lock);
    finish(q, r, written);
    pthread_mutex_unlock(&q->lock);
    request_free(r);
}

/* One request, if there is one. */
static VringResult serve_one(VhostQueue *q)
{
    const VhostDevice *device = &q->backend->device;
    VhostRequest *r = request_new(q);
    pthread_mutex_lock(&q->lock);
    VringResult got = q->track.region ? vhost_inflight_pop(q, r) : vring_pop(&q->ring, &r->chain);
    q->pending += got == VRING_GOT;
    pthread_mutex_unlock(&q->lock);
    if (got != VRING_GOT) {
        q->spare = r;
        return got;
    }
    int64_t written = device->handle(device->opaque, r);
    if (written == VHOST_LATER)
        return got;
    pthread_mutex_lock(&q->lock);
    finish(q, r, (uint32_t)written);
    pthread_mutex_unlock(&q->lock);
    q->spare = r;
    return got;
}

/* ---- The thread -------------------------------------------------------------- */

static bool notify(VhostQueue *q, bool on)
{
    pthread_mutex_lock(&q->lock);
    bool more = vring_notify(&q->ring, on);
    pthread_mutex_unlock(&q->lock);
    return more;
}

/* The driver is likely to have its next request soon: going to sleep and being woken takes longer.
 * But when others wait for this processor, they may be what it comes from. */
static VringResult look(VhostQueue *q)
{
    if (q->looks_skipped < q->looks_in_vain) {
        q->looks_skipped++;
        return VRING_EMPTY;
    }
    q->looks_skipped = 0;
    int64_t now = g_get_monotonic_time(), end = now + LOOK_US, before;
    do {
        VringResult got = serve_one(q);
        if (got != VRING_EMPTY) {
            q->looks_in_vain = 0;
            return got;
        }
        before = g_get_monotonic_time();
        sched_yield();
        now = g_get_monotonic_time();
    } while (now < end && now - before < CONTENDED_US && !atomic_load(&q->ending));
    q->looks_in_vain = MIN(2 * q->looks_in_vain + 1, MOST_SKIPPED);
    return VRING_EMPTY;
}

/* What another process left undone, all of it even when we are to end: the driver has been told
 * that it was taken. A broken one is found again by drain. */
static void finish_old(VhostQueue *q)
{
    while (q->track.again_at < q->track.again_count && serve_one(q) == VRING_GOT)
        ;
}

/* All that is there; false: the ring is broken. */
static bool drain(VhostQueue *q)
{
    VringResult got;
    notify(q, false);
    do {
        do
            got = serve_one(q);
        while (got == VRING_GOT && !atomic_load(&q->ending));
        if (got == VRING_EMPTY)
            got = look(q);
        if (atomic_load(&q->ending))
            break;
        if (got == VRING_EMPTY && notify(q, true)) {
            notify(q, false);
            got = VRING_GOT;
        }
    } while (got == VRING_GOT);
    return got != VRING_BROKEN;
}

static void *run(void *opaque)
{
    VhostQueue *q = opaque;
    struct pollfd p[2] = { { .fd = q->stop, .events = POLLIN },
                           { .fd = q->kick, .events = POLLIN } };
    finish_old(q);
    while (!atomic_load(&q->ending)) {
        eventfd_t n;
        if (!drain(q)) {
            signal_event(q->err, true);
            vhost_say(q->backend, "queue %u: its driver broke the ring: %s", q->index,
                      q->ring.broken);
            p[1].fd = -1;
        }
        poll(p, 2, -1);
        if (p[1].revents & (POLLHUP | POLLNVAL))
            p[1].fd = -1; /* no event at all */
        else if (p[1].revents)
            (void)!read(q->kick, &n, sizeof n);
    }
    return NULL;
}

/* ---- Starting and stopping --------------------------------------------------- */

static bool place(VhostQueue *q, VringConfig *config, GError **error)
{
    VhostBackend *b = q->backend;
    if (!vhost_memory_find(b, q->addresses.desc, &config->desc) ||
        !vhost_memory_find(b, q->addresses.avail, &config->driver) ||
        !vhost_memory_find(b, q->addresses.used, &config->device))
        return fail(error, "queue %u: its ring is not in the memory there is", q->index);
    config->size = q->size;
    config->flags = (b->features >> VHOST_RING_F_INDIRECT & 1 ? VRING_INDIRECT : 0u) |
                    (b->features >> VHOST_RING_F_EVENT_IDX & 1 ? VRING_EVENT_IDX : 0u) |
                    (b->features >> VHOST_F_RING_PACKED & 1 ? VRING_PACKED : 0u);
    return true;
}

/* Where to go on: a front end says what it knows, and the rest is in the ring. */
static VringIndex begin_at(VhostQueue *q, const VringConfig *config)
{
    uint8_t word[2] = { 0 };
    if (config->flags & VRING_PACKED) {
        uint16_t used = q->based ? q->base_used : 1 << 15, avail = q->based ? q->base : 1 << 15;
        return (VringIndex){ .avail = avail & 0x7fff, .avail_wrap = avail >> 15,
                             .used = used & 0x7fff, .used_wrap = used >> 15 };
    }
    bus_ram_read(q->backend->space, config->device + 2, word, sizeof word);
    return (VringIndex){ .avail = q->base, .used = ld_le16(word), .avail_wrap = 1, .used_wrap = 1 };
}

bool vhost_queue_start(VhostQueue *q, GError **error)
{
    VringConfig config = { 0 };
    char name[16];
    if (q->running || !q->enabled || !q->addressed || !q->size || q->kick < 0)
        return true;
    if (!place(q, &config, error))
        return false;
    VringIndex index = begin_at(q, &config);
    if (!vhost_inflight_begin(q, &config, &index, error))
        return false;
    if (!vring_start(&q->ring, q->backend->space, &config, &index)) {
        vhost_inflight_forget(q);
        return fail(error, "queue %u: %s", q->index, q->ring.broken);
    }
    if (q->stop < 0)
        q->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    atomic_store(&q->ending, false);
    q->looks_in_vain = q->looks_skipped = 0;
    int r = q->stop < 0 ? errno : pthread_create(&q->thread, NULL, run, q);
    if (r) {
        vhost_inflight_forget(q);
        vring_stop(&q->ring);
        return fail_errno(error, r, "queue %u: no thread can be started", q->index);
    }
    snprintf(name, sizeof name, "%.10s-%u", q->backend->device.name, q->index);
    pthread_setname_np(q->thread, name);
    q->running = q->backend->dirty = true;
    return true;
}

/* Those that wait for something are asked to end, again and again, as one may have just begun to.
 */
static void wait_until_idle(VhostQueue *q)
{
    const VhostDevice *device = &q->backend->device;
    pthread_mutex_lock(&q->lock);
    while (q->pending) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += INTERRUPT_MS * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_mutex_unlock(&q->lock);
        if (device->interrupt)
            device->interrupt(device->opaque);
        pthread_mutex_lock(&q->lock);
        if (q->pending)
            pthread_cond_timedwait(&q->idle, &q->lock, &until);
    }
    pthread_mutex_unlock(&q->lock);
}

void vhost_queue_stop(VhostQueue *q)
{
    eventfd_t n;
    if (!q->running)
        return;
    atomic_store(&q->ending, true);
    eventfd_write(q->stop, 1);
    wait_until_idle(q);
    pthread_join(q->thread, NULL);
    wait_until_idle(q); /* its last */
    eventfd_read(q->stop, &n);
    request_free(g_steal_pointer(&q->spare));
    bool packed = q->ring.config.flags & VRING_PACKED;
    q->base = (uint16_t)(q->ring.at.avail | (packed ? q->ring.at.avail_wrap << 15 : 0));
    q->base_used = (uint16_t)(q->ring.at.used | (packed ? q->ring.at.used_wrap << 15 : 0));
    q->based = true;
    vhost_inflight_end(q);
    vring_stop(&q->ring);
    q->running = false;
}
