/* SPDX-License-Identifier: MIT */
/*
 * The registers of a virtio-mmio slot, version 2 (Virtio 1.2, 4.2.2). An empty slot has DeviceID 0, by
 * which a driver knows to leave it alone. Registers are 32 bits wide; the configuration takes any
 * size. Left out: version 1 (legacy), shared memory, QueueReset.
 */
#include "virtio/virtio_priv.h"

#include "base/bytes.h"

enum {
    MAGIC = 0x000,
    VERSION = 0x004,
    DEVICE_ID = 0x008,
    VENDOR_ID = 0x00c,
    DEVICE_FEATURES = 0x010,
    DEVICE_FEATURES_SEL = 0x014,
    DRIVER_FEATURES = 0x020,
    DRIVER_FEATURES_SEL = 0x024,
    QUEUE_SEL = 0x030,
    QUEUE_SIZE_MAX = 0x034,
    QUEUE_SIZE = 0x038,
    QUEUE_READY = 0x044,
    QUEUE_NOTIFY = 0x050,
    INTERRUPT_STATUS = 0x060,
    INTERRUPT_ACK = 0x064,
    STATUS = 0x070,
    QUEUE_DESC_LOW = 0x080,
    QUEUE_DESC_HIGH = 0x084,
    QUEUE_DRIVER_LOW = 0x090,
    QUEUE_DRIVER_HIGH = 0x094,
    QUEUE_DEVICE_LOW = 0x0a0,
    QUEUE_DEVICE_HIGH = 0x0a4,
    SHM_LEN_LOW = 0x0b0,
    SHM_BASE_HIGH = 0x0bc,
    CONFIG_GENERATION = 0x0fc,
    CONFIG = 0x100,
};

enum { ISR_QUEUE = 1, ISR_CONFIG = 2 };

/* ---- Interrupts -------------------------------------------------------------- */

/* isr and the line change together. */
static void isr_change(VirtioMmio *m, uint32_t set, uint32_t clear)
{
    pthread_mutex_lock(&m->irq_lock);
    uint32_t isr = (m->isr | set) & ~clear;
    bool change = !isr != !m->isr;
    __atomic_store_n(&m->isr, isr, __ATOMIC_RELAXED);
    if (change)
        m->line(m->opaque, isr != 0);
    pthread_mutex_unlock(&m->irq_lock);
}

static void mmio_interrupt(void *transport, int queue)
{
    isr_change(transport, queue < 0 ? ISR_CONFIG : ISR_QUEUE, 0);
}

static void mmio_quiet(void *transport)
{
    isr_change(transport, 0, UINT32_MAX);
}

static const VirtioTransport mmio_transport = {mmio_interrupt, mmio_quiet};

void virtio_mmio_init(VirtioMmio *m, void (*line)(void *opaque, bool level), void *opaque)
{
    m->line = line;
    m->opaque = opaque;
    pthread_mutex_init(&m->irq_lock, NULL);
}

void virtio_mmio_clear(VirtioMmio *m)
{
    pthread_mutex_destroy(&m->irq_lock);
}

void virtio_mmio_plug(VirtioMmio *m, VirtioDevice *v)
{
    m->v = v;
    v->transport = &mmio_transport;
    v->transport_opaque = m;
}

void virtio_mmio_reset(VirtioMmio *m)
{
    m->device_features_sel = m->driver_features_sel = m->queue_sel = 0;
    isr_change(m, 0, UINT32_MAX);
}

/* ---- Reading ----------------------------------------------------------------- */

static VirtioQueue *queue(const VirtioMmio *m)
{
    return m->queue_sel < m->v->queue_count ? &m->v->queues[m->queue_sel] : NULL;
}

static uint32_t features_read(const VirtioMmio *m)
{
    unsigned word = m->device_features_sel;
    return word < 2 ? (uint32_t)(m->v->offered >> (32 * word)) : 0;
}

static uint32_t device_read(VirtioMmio *m, uint64_t offset)
{
    const VirtioQueue *q = queue(m);
    switch (offset) {
    case DEVICE_ID: return m->v->type->id;
    case DEVICE_FEATURES: return features_read(m);
    case QUEUE_SIZE_MAX: return q ? q->max_size : 0;
    case QUEUE_READY: return q && q->enabled;
    case STATUS: return virtio_status(m->v);
    case CONFIG_GENERATION: return __atomic_load_n(&m->v->generation, __ATOMIC_ACQUIRE);
    default: break;
    }
    /* a shared memory region that is not there has length and base -1 */
    return offset >= SHM_LEN_LOW && offset <= SHM_BASE_HIGH ? UINT32_MAX : 0;
}

uint64_t virtio_mmio_read(VirtioMmio *m, uint64_t offset, unsigned size)
{
    if (offset < CONFIG && (size != 4 || offset & 3))
        return 0;
    switch (offset) {
    case MAGIC: return 0x74726976; /* "virt" */
    case VERSION: return 2;
    case VENDOR_ID: return 0x554d4551;
    case INTERRUPT_STATUS: return __atomic_load_n(&m->isr, __ATOMIC_RELAXED);
    default: break;
    }
    if (!m->v)
        return 0;
    uint8_t bytes[8] = {0};
    uint64_t value;
    pthread_mutex_lock(&m->v->lock);
    if (offset < CONFIG) {
        value = device_read(m, offset);
    } else {
        virtio_read_config(m->v, offset - CONFIG, bytes, size);
        value = ld_le64(bytes);
    }
    pthread_mutex_unlock(&m->v->lock);
    return value;
}

/* ---- Writing ----------------------------------------------------------------- */

/* Where a queue is: fixed while it is enabled. */
static void queue_write(VirtioQueue *q, uint64_t offset, uint32_t value)
{
    bool high = offset & 4;
    if (q->enabled)
        return;
    /* A size that makes no sense is kept as one that does not, until the queue is enabled. */
    if (offset == QUEUE_SIZE)
        q->config.size = value > UINT16_MAX ? 0 : (uint16_t)value;
    switch (offset & ~UINT64_C(4)) {
    case QUEUE_DESC_LOW: virtio_set_half(&q->config.desc, high, value); break;
    case QUEUE_DRIVER_LOW: virtio_set_half(&q->config.driver, high, value); break;
    case QUEUE_DEVICE_LOW: virtio_set_half(&q->config.device, high, value); break;
    default: break;
    }
}

static void device_write(VirtioMmio *m, uint64_t offset, uint32_t value)
{
    VirtioQueue *q = queue(m);
    switch (offset) {
    case DEVICE_FEATURES_SEL: m->device_features_sel = value; break;
    case DRIVER_FEATURES: virtio_set_features(m->v, m->driver_features_sel, value); break;
    case DRIVER_FEATURES_SEL: m->driver_features_sel = value; break;
    case QUEUE_SEL: m->queue_sel = value; break;
    case STATUS: virtio_set_status(m->v, (uint8_t)value); break;
    case QUEUE_READY:
        if (q)
            virtio_enable_queue(m->v, m->queue_sel, value & 1);
        break;
    default:
        if (q)
            queue_write(q, offset, value);
        break;
    }
}

void virtio_mmio_write(VirtioMmio *m, uint64_t offset, uint64_t value, unsigned size)
{
    if (!m->v || (offset < CONFIG && (size != 4 || offset & 3)))
        return;
    switch (offset) {
    case QUEUE_NOTIFY:
        virtio_kick(m->v, (uint32_t)value);
        return;
    case INTERRUPT_ACK:
        isr_change(m, 0, (uint32_t)value);
        return;
    default: break;
    }
    pthread_mutex_lock(&m->v->lock);
    if (offset < CONFIG) {
        device_write(m, offset, (uint32_t)value);
    } else {
        uint8_t bytes[8];
        st_le64(bytes, value);
        virtio_write_config(m->v, offset - CONFIG, bytes, size);
    }
    pthread_mutex_unlock(&m->v->lock);
}
