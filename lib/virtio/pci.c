/* SPDX-License-Identifier: MIT */
/*
 * The PCI transport (Virtio 1.2, 4.1): capabilities that lead to four kinds of registers in one BAR, a
 * window to them in configuration space, MSI-X or the interrupt pin. Offsets in the BAR: common
 * 0, interrupt status 0x1000, configuration 0x2000, notifications 0x3000. Left out: shared memory,
 * QueueReset, notification data.
 */
#include "virtio/virtio_priv.h"

#include "base/bytes.h"

#include <linux/pci_regs.h>
#include <string.h>

enum {
    COMMON = 0x0000,
    ISR = 0x1000,
    CONFIG = 0x2000,
    NOTIFY = 0x3000,
    PART = 0x1000,
    NOTIFY_MULTIPLIER = 4,
};

/* struct virtio_pci_common_cfg */
enum {
    DEVICE_FEATURES_SEL = 0x00,
    DEVICE_FEATURES = 0x04,
    DRIVER_FEATURES_SEL = 0x08,
    DRIVER_FEATURES = 0x0c,
    CONFIG_VECTOR = 0x10,
    NUM_QUEUES = 0x12,
    STATUS = 0x14,
    GENERATION = 0x15,
    QUEUE_SEL = 0x16,
    QUEUE_SIZE = 0x18,
    QUEUE_VECTOR = 0x1a,
    QUEUE_ENABLE = 0x1c,
    QUEUE_NOTIFY_OFF = 0x1e,
    QUEUE_DESC = 0x20,
    QUEUE_DRIVER = 0x28,
    QUEUE_DEVICE = 0x30,
    COMMON_SIZE = 0x38,
};

/* Capabilities */
enum { CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_ISR = 3, CAP_DEVICE = 4, CAP_WINDOW = 5 };
enum { CAP_LEN = 2, CAP_TYPE = 3, CAP_BAR = 4, CAP_OFFSET = 8, CAP_LENGTH = 12, CAP_MORE = 16 };

enum { ISR_QUEUE = 1, ISR_CONFIG = 2 };

void virtio_pci_ids(PciIds *ids, const VirtioType *type, bool transitional)
{
    static const struct {
        uint16_t id, legacy;
        uint32_t class_code;
    } known[] = {
        {1, 0x1000, 0x020000},  {2, 0x1001, 0x010000},  {3, 0x1003, 0x078000},
        {4, 0x1005, 0x00ff00},  {5, 0x1002, 0x00ff00},  {8, 0x1004, 0x010000},
        {9, 0x1009, 0x000200},  {16, 0, 0x038000},      {18, 0, 0x090000},
        {19, 0, 0x028000},      {26, 0, 0x018000},
    };
    *ids = (PciIds){ .vendor = 0x1af4, .sub_vendor = 0x1af4, .class_code = 0x00ff00 };
    uint16_t legacy = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        if (known[i].id == type->id) {
            ids->class_code = known[i].class_code;
            legacy = known[i].legacy;
        }
    }
    bool old = transitional && legacy;
    ids->device = old ? legacy : (uint16_t)(0x1040 + type->id);
    ids->sub_device = old ? type->id : 0x1100;
    ids->revision = old ? 0 : 1;
}

/* ---- Interrupts ------------------------------------------------------------------- */

/* isr and the pin change together. */
static uint8_t isr_change(VirtioPci *p, uint8_t set, uint8_t clear)
{
    pthread_mutex_lock(&p->irq_lock);
    uint8_t before = p->isr;
    p->isr = (uint8_t)((before | set) & ~clear);
    if (!before != !p->isr)
        pci_intx(p->fn, p->isr != 0);
    pthread_mutex_unlock(&p->irq_lock);
    return before;
}

static void pci_interrupt(void *transport, int queue)
{
    VirtioPci *p = transport;
    if (!pci_msix_on(p->fn)) {
        isr_change(p, queue < 0 ? ISR_CONFIG : ISR_QUEUE, 0);
        return;
    }
    const uint16_t *vector = queue < 0 ? &p->config_vector : &p->vectors[queue];
    pci_msix_send(p->fn, __atomic_load_n(vector, __ATOMIC_RELAXED));
}

static void set_vectors(VirtioPci *p)
{
    __atomic_store_n(&p->config_vector, VIRTIO_PCI_NO_VECTOR, __ATOMIC_RELAXED);
    for (size_t i = 0; i < G_N_ELEMENTS(p->vectors); i++)
        __atomic_store_n(&p->vectors[i], VIRTIO_PCI_NO_VECTOR, __ATOMIC_RELAXED);
}

static void pci_quiet(void *transport)
{
    isr_change(transport, 0, UINT8_MAX);
    set_vectors(transport);
}

static const VirtioTransport pci_transport = {pci_interrupt, pci_quiet};

/* ---- Plugging ---------------------------------------------------------------------- */

static unsigned add_cap(VirtioPci *p, uint8_t type, uint32_t offset, uint32_t length, unsigned more)
{
    unsigned at = pci_capability(p->fn, PCI_CAP_ID_VNDR, CAP_MORE + more);
    uint8_t *c = p->fn->config + at;
    c[CAP_LEN] = (uint8_t)(CAP_MORE + more);
    c[CAP_TYPE] = type;
    c[CAP_BAR] = (uint8_t)p->bar;
    st_le32(c + CAP_OFFSET, offset);
    st_le32(c + CAP_LENGTH, length);
    return at;
}

static void add_caps(VirtioPci *p)
{
    add_cap(p, CAP_COMMON, COMMON, PART, 0);
    add_cap(p, CAP_ISR, ISR, PART, 0);
    add_cap(p, CAP_DEVICE, CONFIG, PART, 0);
    unsigned notify = add_cap(p, CAP_NOTIFY, NOTIFY, PART, 4);
    st_le32(p->fn->config + notify + CAP_MORE, NOTIFY_MULTIPLIER);
    p->window = add_cap(p, CAP_WINDOW, 0, 0, 4);
    uint8_t *w = p->fn->writable + p->window;
    p->fn->config[p->window + CAP_BAR] = 0;
    w[CAP_BAR] = 0xff;
    st_le32(w + CAP_OFFSET, UINT32_MAX);
    st_le32(w + CAP_LENGTH, UINT32_MAX);
    st_le32(w + CAP_MORE, UINT32_MAX);
}

void virtio_pci_plug(VirtioPci *p, VirtioDevice *v, PciFunction *fn, int bar)
{
    p->v = v;
    p->fn = fn;
    p->modern = bar >= 0;
    pthread_mutex_init(&p->irq_lock, NULL);
    set_vectors(p);
    if (p->modern) {
        p->bar = (unsigned)bar;
        add_caps(p);
    }
    v->transport = &pci_transport;
    v->transport_opaque = p;
}

void virtio_pci_unplug(VirtioPci *p)
{
    if (!p->v)
        return;
    virtio_unplug(p->v);
    pthread_mutex_destroy(&p->irq_lock);
    p->v = NULL;
}

void virtio_pci_reset(VirtioPci *p)
{
    p->device_features_sel = p->driver_features_sel = p->queue_sel = 0;
    pci_quiet(p);
}

/* ---- Modern registers: reading ------------------------------------------------------ */

static VirtioQueue *queue(const VirtioPci *p)
{
    return p->queue_sel < p->v->queue_count ? &p->v->queues[p->queue_sel] : NULL;
}

static uint32_t features(const VirtioPci *p, uint64_t bits, uint32_t word)
{
    return word < 2 ? (uint32_t)(bits >> (32 * word)) : 0;
}

/* All of it, as bytes; accesses take their part. */
static void common_bytes(const VirtioPci *p, uint8_t b[COMMON_SIZE])
{
    const VirtioDevice *v = p->v;
    const VirtioQueue *q = queue(p);
    memset(b, 0, COMMON_SIZE);
    st_le32(b + DEVICE_FEATURES_SEL, p->device_features_sel);
    st_le32(b + DEVICE_FEATURES, features(p, v->offered, p->device_features_sel));
    st_le32(b + DRIVER_FEATURES_SEL, p->driver_features_sel);
    st_le32(b + DRIVER_FEATURES, features(p, v->accepted, p->driver_features_sel));
    st_le16(b + CONFIG_VECTOR, p->config_vector);
    st_le16(b + NUM_QUEUES, (uint16_t)v->queue_count);
    b[STATUS] = virtio_status(v);
    b[GENERATION] = (uint8_t)__atomic_load_n(&v->generation, __ATOMIC_ACQUIRE);
    st_le16(b + QUEUE_SEL, p->queue_sel);
    if (!q)
        return;
    st_le16(b + QUEUE_SIZE, q->config.size);
    st_le16(b + QUEUE_VECTOR, p->vectors[p->queue_sel]);
    st_le16(b + QUEUE_ENABLE, q->enabled);
    st_le16(b + QUEUE_NOTIFY_OFF, p->queue_sel);
    st_le64(b + QUEUE_DESC, q->config.desc);
    st_le64(b + QUEUE_DRIVER, q->config.driver);
    st_le64(b + QUEUE_DEVICE, q->config.device);
}

uint64_t virtio_pci_read(VirtioPci *p, uint64_t offset, unsigned size)
{
    uint8_t bytes[COMMON_SIZE + 8] = {0};
    uint8_t *at = bytes;
    if (offset >= ISR && offset < CONFIG)
        return offset == ISR ? isr_change(p, 0, UINT8_MAX) : 0;
    if (offset >= NOTIFY)
        return 0;
    pthread_mutex_lock(&p->v->lock);
    if (offset >= CONFIG) {
        virtio_read_config(p->v, offset - CONFIG, bytes, size);
    } else if (offset < COMMON_SIZE) {
        common_bytes(p, bytes);
        at = bytes + offset;
    }
    pthread_mutex_unlock(&p->v->lock);
    uint64_t value = ld_le64(at);
    return size == 8 ? value : value & ((UINT64_C(1) << 8 * size) - 1);
}

/* ---- Modern registers: writing -------------------------------------------------------- */

static void set_vector(const VirtioPci *p, uint16_t *vector, uint64_t value)
{
    bool there = value < p->fn->msix_words / 4;
    __atomic_store_n(vector, there ? (uint16_t)value : VIRTIO_PCI_NO_VECTOR, __ATOMIC_RELAXED);
}

/* Where a queue is: fixed while it is enabled. */
static void queue_write(VirtioQueue *q, uint64_t offset, uint32_t value)
{
    if (q->enabled)
        return;
    uint64_t *word = offset < QUEUE_DRIVER ? &q->config.desc
                     : offset < QUEUE_DEVICE ? &q->config.driver : &q->config.device;
    virtio_set_half(word, offset & 4, value);
}

/* One field: offset and size are those of a field. */
static void common_write(VirtioPci *p, uint64_t offset, uint64_t value)
{
    VirtioDevice *v = p->v;
    VirtioQueue *q = queue(p);
    switch (offset) {
    case DEVICE_FEATURES_SEL: p->device_features_sel = (uint32_t)value; return;
    case DRIVER_FEATURES_SEL: p->driver_features_sel = (uint32_t)value; return;
    case DRIVER_FEATURES:
        virtio_set_features(v, p->driver_features_sel, (uint32_t)value);
        return;
    case CONFIG_VECTOR: set_vector(p, &p->config_vector, value); return;
    case STATUS: virtio_set_status(v, (uint8_t)value); return;
    case QUEUE_SEL: p->queue_sel = (uint16_t)value; return;
    default: break;
    }
    if (!q)
        return;
    if (offset == QUEUE_SIZE && !q->enabled)
        q->config.size = (uint16_t)value;
    else if (offset == QUEUE_VECTOR)
        set_vector(p, &p->vectors[p->queue_sel], value);
    else if (offset == QUEUE_ENABLE && value & 1) /* only a reset turns it off */
        virtio_enable_queue(v, p->queue_sel, true);
    else if (offset >= QUEUE_DESC && offset < COMMON_SIZE)
        queue_write(q, offset, (uint32_t)value);
}

/* Bytes of the field at an offset, 0 if none begins there. Addresses are written in halves. */
static unsigned field_size(uint64_t offset)
{
    if (offset < CONFIG_VECTOR || (offset >= QUEUE_DESC && offset < COMMON_SIZE))
        return offset % 4 ? 0 : 4;
    if (offset == STATUS || offset == GENERATION)
        return 1;
    return offset % 2 || offset >= COMMON_SIZE ? 0 : 2;
}

void virtio_pci_write(VirtioPci *p, uint64_t offset, uint64_t value, unsigned size)
{
    if (offset >= NOTIFY) {
        virtio_kick(p->v, (uint32_t)((offset - NOTIFY) / NOTIFY_MULTIPLIER));
        return;
    }
    if (offset >= ISR && offset < CONFIG)
        return;
    pthread_mutex_lock(&p->v->lock);
    if (offset >= CONFIG) {
        uint8_t bytes[8];
        st_le64(bytes, value);
        virtio_write_config(p->v, offset - CONFIG, bytes, size);
    } else if (size == 8 && offset >= QUEUE_DESC && field_size(offset) == 4) {
        common_write(p, offset, (uint32_t)value);
        common_write(p, offset + 4, value >> 32);
    } else if (size == field_size(offset)) {
        common_write(p, offset, value);
    }
    pthread_mutex_unlock(&p->v->lock);
}

/* ---- The window in configuration space (4.1.4.9) ----------------------------------------- */

/* The offset in the BAR, if the window is at one of its registers. */
static bool window_at(const VirtioPci *p, uint32_t *offset, uint32_t *size)
{
    const uint8_t *c = p->fn->config + p->window;
    *offset = ld_le32(c + CAP_OFFSET);
    *size = ld_le32(c + CAP_LENGTH);
    return c[CAP_BAR] == p->bar && (*size == 1 || *size == 2 || *size == 4) && !(*offset % *size) &&
           *offset < VIRTIO_PCI_BAR_SIZE;
}

static bool in_window(const VirtioPci *p, unsigned offset, unsigned len)
{
    unsigned data = p->window + CAP_MORE;
    return p->modern && offset < data + 4 && offset + len > data;
}

void virtio_pci_reading(VirtioPci *p, unsigned offset, unsigned len)
{
    uint32_t at, size;
    if (in_window(p, offset, len) && window_at(p, &at, &size))
        st_le32(p->fn->config + p->window + CAP_MORE, (uint32_t)virtio_pci_read(p, at, size));
}

void virtio_pci_written(VirtioPci *p, unsigned offset, unsigned len)
{
    uint32_t at, size;
    if (in_window(p, offset, len) && window_at(p, &at, &size))
        virtio_pci_write(p, at, ld_le32(p->fn->config + p->window + CAP_MORE), size);
}

/* ---- Legacy ports (4.1.4.10) --------------------------------------------------------------- */

enum {
    OLD_DEVICE_FEATURES = 0,
    OLD_DRIVER_FEATURES = 4,
    OLD_QUEUE_PAGE = 8,
    OLD_QUEUE_SIZE = 12,
    OLD_QUEUE_SEL = 14,
    OLD_QUEUE_NOTIFY = 16,
    OLD_STATUS = 18,
    OLD_ISR = 19,
    OLD_CONFIG_VECTOR = 20, /* these two are there while MSI-X is on */
    OLD_QUEUE_VECTOR = 22,
    OLD_PAGE = 4096,
};

static unsigned old_config(const VirtioPci *p)
{
    return pci_msix_on(p->fn) ? 24 : 20;
}

uint64_t virtio_pci_legacy_size(const VirtioDevice *v)
{
    uint64_t size = 32;
    while (size < 24 + v->config_size)
        size *= 2;
    return size;
}

static uint64_t old_read(VirtioPci *p, uint64_t offset)
{
    const VirtioQueue *q = queue(p);
    switch (offset) {
    case OLD_DEVICE_FEATURES: return (uint32_t)p->v->offered;
    case OLD_DRIVER_FEATURES: return (uint32_t)p->v->accepted;
    case OLD_QUEUE_PAGE: return q ? q->config.desc / OLD_PAGE : 0;
    case OLD_QUEUE_SIZE: return q ? q->config.size : 0;
    case OLD_QUEUE_SEL: return p->queue_sel;
    case OLD_STATUS: return virtio_status(p->v);
    case OLD_CONFIG_VECTOR: return p->config_vector;
    case OLD_QUEUE_VECTOR: return q ? p->vectors[p->queue_sel] : VIRTIO_PCI_NO_VECTOR;
    default: return 0;
    }
}

uint64_t virtio_pci_legacy_read(VirtioPci *p, uint64_t offset, unsigned size)
{
    uint8_t bytes[8] = {0};
    if (offset == OLD_ISR)
        return isr_change(p, 0, UINT8_MAX);
    pthread_mutex_lock(&p->v->lock);
    if (offset >= old_config(p))
        virtio_read_config(p->v, offset - old_config(p), bytes, size);
    else
        st_le64(bytes, old_read(p, offset));
    pthread_mutex_unlock(&p->v->lock);
    return ld_le64(bytes);
}

static void old_write(VirtioPci *p, uint64_t offset, uint32_t value)
{
    VirtioDevice *v = p->v;
    VirtioQueue *q = queue(p);
    virtio_set_legacy(v);
    switch (offset) {
    case OLD_DRIVER_FEATURES: virtio_set_features(v, 0, value & (uint32_t)v->offered); break;
    case OLD_QUEUE_SEL: p->queue_sel = (uint16_t)value; break;
    case OLD_STATUS: virtio_set_status(v, (uint8_t)value); break;
    case OLD_CONFIG_VECTOR: set_vector(p, &p->config_vector, value); break;
    case OLD_QUEUE_PAGE:
        if (q)
            virtio_set_queue_page(v, p->queue_sel, (uint64_t)value * OLD_PAGE, OLD_PAGE);
        break;
    case OLD_QUEUE_VECTOR:
        if (q)
            set_vector(p, &p->vectors[p->queue_sel], value);
        break;
    default: break;
    }
}

void virtio_pci_legacy_write(VirtioPci *p, uint64_t offset, uint64_t value, unsigned size)
{
    if (offset == OLD_QUEUE_NOTIFY) {
        virtio_kick(p->v, (uint32_t)value);
        return;
    }
    pthread_mutex_lock(&p->v->lock);
    if (offset >= old_config(p)) {
        uint8_t bytes[8];
        st_le64(bytes, value);
        virtio_write_config(p->v, offset - old_config(p), bytes, size);
    } else {
        old_write(p, offset, (uint32_t)value);
    }
    pthread_mutex_unlock(&p->v->lock);
}
