/* SPDX-License-Identifier: MIT */
/* Status, features, configuration and reset of a virtio device (Virtio 1.2, 2.1, 2.2, 2.5, 3.1). */
#include "virtio/virtio_priv.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/log.h"

#include <string.h>

void virtio_init(VirtioDevice *v, const VirtioType *type, BusSpace *space, unsigned queues,
                 unsigned size, uint64_t features, uint32_t config_size)
{
    g_return_if_fail(queues && queues <= VIRTIO_MAX_QUEUES && config_size <= VIRTIO_CONFIG_MAX);
    v->type = type;
    v->space = space;
    v->offered = features | VIRTIO_F_VERSION_1;
    v->config_size = config_size;
    pthread_mutex_init(&v->lock, NULL);
    v->queue_count = queues;
    v->queues = g_new0(VirtioQueue, queues);
    for (unsigned i = 0; i < queues; i++)
        virtio_queue_init(v, &v->queues[i], size);
    v->saved_count = VIRTIO_SAVED_WORDS * queues;
    v->saved = g_new0(uint64_t, v->saved_count);
}

void virtio_pause(VirtioDevice *v)
{
    for (unsigned i = 0; i < v->queue_count; i++)
        virtio_queue_pause(&v->queues[i]);
    if (v->type->drain)
        v->type->drain(v);
}

void virtio_resume(VirtioDevice *v)
{
    for (unsigned i = 0; i < v->queue_count; i++)
        virtio_queue_resume(&v->queues[i]);
}

void virtio_clear(VirtioDevice *v)
{
    if (!v->type)
        return;
    virtio_pause(v);
    for (unsigned i = 0; i < v->queue_count; i++)
        virtio_queue_clear(&v->queues[i]);
    g_free(v->queues);
    g_free(v->saved);
    pthread_mutex_destroy(&v->lock);
    v->type = NULL;
}

/* ---- Status ----------------------------------------------------------------- */

uint8_t virtio_status(const VirtioDevice *v)
{
    return __atomic_load_n(&v->status, __ATOMIC_ACQUIRE);
}

void virtio_break(VirtioDevice *v, const char *why)
{
    uint8_t before = __atomic_fetch_or(&v->status, VIRTIO_NEEDS_RESET, __ATOMIC_ACQ_REL);
    if (before & VIRTIO_NEEDS_RESET)
        return;
    log_line(LOG_GUEST_ERRORS, "%s: %s: it needs a reset", v->type->name, why);
    if (before & VIRTIO_DRIVER_OK && v->transport)
        v->transport->interrupt(v->transport_opaque, -1);
}

/* The queue's thread is paused, nothing is in flight. */
static void queue_off(VirtioQueue *q)
{
    pthread_mutex_lock(&q->lock);
    vring_stop(&q->ring);
    q->ring.broken = NULL;
    pthread_mutex_unlock(&q->lock);
    __atomic_store_n(&q->enabled, false, __ATOMIC_RELEASE);
}

static void reset_locked(VirtioDevice *v)
{
    virtio_pause(v);
    if (v->type->reset)
        v->type->reset(v);
    for (unsigned i = 0; i < v->queue_count; i++) {
        queue_off(&v->queues[i]);
        v->queues[i].config = (VringConfig){.size = v->queues[i].max_size};
    }
    v->accepted = 0;
    v->legacy = false;
    __atomic_store_n(&v->status, 0, __ATOMIC_RELEASE);
    if (v->transport)
        v->transport->reset(v->transport_opaque);
    virtio_resume(v);
}

void virtio_reset(VirtioDevice *v)
{
    pthread_mutex_lock(&v->lock);
    reset_locked(v);
    pthread_mutex_unlock(&v->lock);
}

void virtio_unplug(VirtioDevice *v)
{
    if (!v->type)
        return;
    virtio_pause(v);
    v->transport = NULL;
    virtio_resume(v);
}

void virtio_set_legacy(VirtioDevice *v)
{
    v->legacy = true;
}

void virtio_set_status(VirtioDevice *v, uint8_t status)
{
    uint8_t before = virtio_status(v);
    if (!status) {
        reset_locked(v);
        return;
    }
    /* Bits are only added (2.1.1), and NEEDS_RESET is ours. */
    status = (uint8_t)((status & ~VIRTIO_NEEDS_RESET) | before);
    bool sane = !(v->accepted & ~v->offered) && (v->legacy || v->accepted & VIRTIO_F_VERSION_1);
    if (v->legacy) /* there is no agreeing on features in a step of its own */
        v->accepted &= v->offered;
    if (!(before & VIRTIO_FEATURES_OK) && status & VIRTIO_FEATURES_OK && !sane)
        status &= (uint8_t)~VIRTIO_FEATURES_OK;
    bool ok = status & ~before & VIRTIO_DRIVER_OK && (v->legacy || status & VIRTIO_FEATURES_OK);
    if (ok && v->type->driver_ok)
        v->type->driver_ok(v);
    __atomic_fetch_or(&v->status, status, __ATOMIC_ACQ_REL);
    /* Buffers may have been made available before. */
    for (unsigned i = 0; ok && i < v->queue_count; i++)
        virtio_kick(v, i);
}

void virtio_set_features(VirtioDevice *v, unsigned word, uint32_t bits)
{
    if (word > 1 || virtio_status(v) & VIRTIO_FEATURES_OK)
        return;
    unsigned shift = 32 * word;
    v->accepted = (v->accepted & ~(UINT64_C(0xffffffff) << shift)) | (uint64_t)bits << shift;
}

static unsigned ring_flags(const VirtioDevice *v)
{
    return (virtio_has(v, VIRTIO_F_INDIRECT_DESC) ? VRING_INDIRECT : 0u) |
           (virtio_has(v, VIRTIO_F_EVENT_IDX) ? VRING_EVENT_IDX : 0u) |
           (virtio_has(v, VIRTIO_F_RING_PACKED) ? VRING_PACKED : 0u);
}

static bool queue_on(VirtioDevice *v, VirtioQueue *q, const VringIndex *index)
{
    q->config.flags = ring_flags(v);
    pthread_mutex_lock(&q->lock);
    bool ok = q->config.size <= q->max_size && vring_start(&q->ring, v->space, &q->config, index);
    pthread_mutex_unlock(&q->lock);
    __atomic_store_n(&q->enabled, ok, __ATOMIC_RELEASE);
    return ok;
}

void virtio_enable_queue(VirtioDevice *v, unsigned queue, bool enable)
{
    VirtioQueue *q = &v->queues[queue];
    if (enable == q->enabled)
        return;
    if (enable) {
        if (!v->legacy && !(virtio_status(v) & VIRTIO_FEATURES_OK))
            virtio_break(v, "a queue is enabled before the features are agreed on");
        else if (!queue_on(v, q, NULL))
            virtio_break(v, q->config.size > q->max_size ? "a ring is too large" : q->ring.broken);
        return;
    }
    virtio_pause(v);
    queue_off(q);
    virtio_resume(v);
}

void virtio_set_queue_page(VirtioDevice *v, unsigned queue, uint64_t addr, uint64_t align)
{
    VirtioQueue *q = &v->queues[queue];
    virtio_enable_queue(v, queue, false);
    q->config = (VringConfig){ .size = q->config.size };
    if (!addr)
        return;
    uint64_t n = q->config.size, used = addr + VRING_DESC_SIZE * n + 2 * (3 + n);
    q->config.desc = addr;
    q->config.driver = addr + VRING_DESC_SIZE * n;
    q->config.device = (used + align - 1) & ~(align - 1);
    virtio_enable_queue(v, queue, true);
}

/* ---- Configuration ------------------------------------------------------------ */

void virtio_config_changed(VirtioDevice *v)
{
    __atomic_add_fetch(&v->generation, 1, __ATOMIC_ACQ_REL);
    if (virtio_status(v) & VIRTIO_DRIVER_OK && v->transport)
        v->transport->interrupt(v->transport_opaque, -1);
}

void virtio_read_config(VirtioDevice *v, uint64_t offset, uint8_t *bytes, uint32_t len)
{
    uint8_t config[VIRTIO_CONFIG_MAX] = {0};
    memset(bytes, 0, len);
    if (offset >= v->config_size)
        return;
    v->type->read_config(v, config);
    memcpy(bytes, config + offset, MIN(len, v->config_size - offset));
}

void virtio_write_config(VirtioDevice *v, uint64_t offset, const uint8_t *bytes, uint32_t len)
{
    if (v->type->write_config && offset < v->config_size && len <= v->config_size - offset)
        v->type->write_config(v, (uint32_t)offset, bytes, len);
}

/* ---- Saving ------------------------------------------------------------------- */

void virtio_saving(VirtioDevice *v)
{
    pthread_mutex_lock(&v->lock);
    virtio_pause(v);
    for (unsigned i = 0; i < v->queue_count; i++) {
        const VirtioQueue *q = &v->queues[i];
        uint64_t *w = &v->saved[VIRTIO_SAVED_WORDS * i];
        const VringIndex *at = &q->ring.at;
        w[0] = q->config.size | (uint64_t)q->enabled << 16;
        w[1] = q->config.desc;
        w[2] = q->config.driver;
        w[3] = q->config.device;
        w[4] = at->avail | (uint64_t)at->used << 16 | (uint64_t)at->avail_wrap << 32 |
               (uint64_t)at->used_wrap << 33;
    }
    virtio_resume(v);
    pthread_mutex_unlock(&v->lock);
}

bool virtio_loaded(VirtioDevice *v, GError **error)
{
    if (v->accepted & ~v->offered)
        return fail(error, "%s: the saved state has features that this device lacks",
                    v->type->name);
    for (unsigned i = 0; i < v->queue_count; i++) {
        VirtioQueue *q = &v->queues[i];
        const uint64_t *w = &v->saved[VIRTIO_SAVED_WORDS * i];
        queue_off(q);
        q->config = (VringConfig){w[1], w[2], w[3], (uint16_t)w[0], 0};
        VringIndex at = {(uint16_t)w[4], (uint16_t)(w[4] >> 16), w[4] >> 32 & 1, w[4] >> 33 & 1};
        if (w[0] >> 16 & 1 && !queue_on(v, q, &at))
            return fail(error, "%s: queue %u of the saved state: %s", v->type->name, i,
                        q->ring.broken ? q->ring.broken : "it is too large");
    }
    if (virtio_status(v) & VIRTIO_DRIVER_OK && v->type->driver_ok)
        v->type->driver_ok(v);
    for (unsigned i = 0; i < v->queue_count; i++)
        virtio_kick(v, i);
    return true;
}
