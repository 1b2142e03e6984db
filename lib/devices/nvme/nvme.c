/* SPDX-License-Identifier: MIT */
/*
 * An NVM Express 1.4 controller with one namespace: properties, registers (3.1), start and end. BAR 0
 * has the registers, the doorbells from 0x1000 on, the MSI-X table at 0x2000. Left out: SGLs, several
 * namespaces, controller memory buffers, zones.
 */
#include "devices/nvme/nvme_priv.h"

#include "base/bits.h"
#include "base/error.h"

#include <string.h>

enum {
    CAP = 0x00,
    VS = 0x08,
    INTMS = 0x0c,
    INTMC = 0x10,
    CC = 0x14,
    CSTS = 0x1c,
    AQA = 0x24,
    ASQ = 0x28,
    ACQ = 0x30,
    DOORBELLS = 0x1000,
    REGS_SIZE = 0x2000,
    MSIX_TABLE = 0x2000,
    MSIX_PBA = 0x3000,
    BAR_SIZE = 0x4000,
};

enum { CC_EN = 1, CSTS_RDY = 1, CSTS_SHUTDOWN_DONE = 2 << 2, CSTS_SHUTDOWN = 3 << 2 };
#define CC_SHUTDOWN (3u << 14)

/* ---- Enabling -------------------------------------------------------------------------- */

/* What CC says must be what CAP offers: the NVM command set, pages of 4 KiB, entries of 64 and 16
   bytes. Under the lock. */
static bool enable(Nvme *n)
{
    uint32_t sq = (n->aqa & 0xfff) + 1, cq = (n->aqa >> 16 & 0xfff) + 1;
    if (n->cc >> 4 & 7 || n->cc >> 7 & 15 || n->asq & (NVME_PAGE - 1) || n->acq & (NVME_PAGE - 1) ||
        sq < 2 || cq < 2 || sq > NVME_ENTRIES || cq > NVME_ENTRIES)
        return false;
    n->cq[0] = (NvmeCq){ .base = n->acq, .size = (uint16_t)cq, .phase = 1, .interrupts = 1,
                         .users = 1 };
    n->sq[0] = (NvmeSq){ .base = n->asq, .size = (uint16_t)sq };
    return true;
}

/* Not under the lock. */
static void controller_reset(Nvme *n)
{
    nvme_pause(n);
    pthread_mutex_lock(&n->lock);
    nvme_queues_clear(n);
    n->csts = 0;
    n->intms = 0;
    memset(n->features, 0, sizeof n->features);
    nvme_irq_update(n);
    pthread_mutex_unlock(&n->lock);
    nvme_resume(n);
}

/* All that was acknowledged is on the disk before the guest is told that it may turn the power off. */
static void shut_down(Nvme *n)
{
    nvme_pause(n);
    if (!n->read_only)
        block_flush(n->user);
    pthread_mutex_lock(&n->lock);
    n->csts = (n->csts & ~(uint32_t)CSTS_SHUTDOWN) | CSTS_SHUTDOWN_DONE;
    pthread_mutex_unlock(&n->lock);
    nvme_resume(n);
}

static void write_cc(Nvme *n, uint32_t value)
{
    pthread_mutex_lock(&n->lock);
    uint32_t before = n->cc;
    n->cc = value;
    bool on = value & ~before & CC_EN, off = before & ~value & CC_EN;
    bool stop = value & CC_SHUTDOWN && !(before & CC_SHUTDOWN);
    if (on)
        n->csts = enable(n) ? CSTS_RDY : 2;
    pthread_mutex_unlock(&n->lock);
    if (off)
        controller_reset(n);
    else if (stop)
        shut_down(n);
}

/* ---- Registers ------------------------------------------------------------------------------ */

static uint64_t capabilities(void)
{
    /* entries, contiguous queues, 7.5 s to get ready, the NVM command set, pages of 4 KiB */
    return (NVME_ENTRIES - 1) | UINT64_C(1) << 16 | UINT64_C(15) << 24 | UINT64_C(1) << 37;
}

static uint64_t reg_read(const Nvme *n, uint64_t offset)
{
    switch (offset & ~UINT64_C(7)) {
    case CAP: return capabilities();
    case ASQ: return n->asq;
    case ACQ: return n->acq;
    default: break;
    }
    switch (offset & ~UINT64_C(3)) {
    case VS: return 0x00010400;
    case INTMS:
    case INTMC: return n->intms;
    case CC: return n->cc;
    case CSTS: return n->csts;
    case AQA: return n->aqa;
    default: return 0;
    }
}

static uint64_t nvme_read(Device *dev, uint64_t offset, unsigned size)
{
    Nvme *n = (Nvme *)dev;
    uint64_t at = offset & ~UINT64_C(7);
    bool wide = at == CAP || at == ASQ || at == ACQ;
    pthread_mutex_lock(&n->lock);
    uint64_t value = reg_read(n, offset);
    if (size == 8 && !wide)
        value = (value & UINT32_MAX) | reg_read(n, offset + 4) << 32;
    else if (wide)
        value >>= 8 * (offset & 4);
    pthread_mutex_unlock(&n->lock);
    return value;
}

static void set_half(uint64_t *reg, uint64_t offset, uint32_t value)
{
    *reg = bits_set(*reg, offset & 4 ? 32 : 0, 32, value);
}

/* Under the lock. */
static void reg_write(Nvme *n, uint64_t offset, uint32_t value)
{
    switch (offset) {
    case INTMS: n->intms |= value; break;
    case INTMC: n->intms &= ~value; break;
    case AQA: n->aqa = value; break;
    case ASQ:
    case ASQ + 4: set_half(&n->asq, offset, value); break;
    case ACQ:
    case ACQ + 4: set_half(&n->acq, offset, value); break;
    default: break;
    }
    if (offset == INTMS || offset == INTMC)
        nvme_irq_update(n);
}

static void nvme_write(Device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    Nvme *n = (Nvme *)dev;
    if (offset == CC && size == 4) {
        write_cc(n, (uint32_t)value);
        return;
    }
    pthread_mutex_lock(&n->lock);
    if (offset >= DOORBELLS) {
        uint64_t doorbell = (offset - DOORBELLS) / 4;
        if (size == 4 && !(offset & 3))
            nvme_doorbell(n, (unsigned)(doorbell / 2), doorbell & 1, (uint32_t)value);
    } else {
        reg_write(n, offset, (uint32_t)value);
        if (size == 8)
            reg_write(n, offset + 4, (uint32_t)(value >> 32));
    }
    pthread_mutex_unlock(&n->lock);
}

/* ---- Life -------------------------------------------------------------------------------------- */

static void nvme_reset(Device *dev)
{
    Nvme *n = (Nvme *)dev;
    controller_reset(n);
    n->cc = n->aqa = 0;
    n->asq = n->acq = 0;
    block_user_set_writethrough(n->user, n->drive->writethrough);
}

static void on_reset(void *opaque)
{
    nvme_reset(opaque);
}

static const PciOps nvme_ops = {.reset = on_reset};

static bool check(const Nvme *n, GError **error)
{
    if (!n->drive)
        return fail_usage(error, "drive property not set: drive=ID names a -drive or -blockdev");
    if (!n->serial || !*n->serial)
        return fail_usage(error, "serial property not set: serial=TEXT is what the guest knows it by");
    if (n->block_size & (n->block_size - 1))
        return fail_usage(error, "logical_block_size=%u is not a power of two", n->block_size);
    return true;
}

static bool nvme_start(Device *dev, GError **error)
{
    Nvme *n = (Nvme *)dev;
    static const PciIds ids = { .vendor = 0x1b36, .device = 0x0010, .sub_vendor = 0x1af4,
                                .sub_device = 0x1100, .revision = 2, .class_code = 0x010802 };
    if (!check(n, error))
        return false;
    n->user = device_drive_attach(n->drive, "nvme", n->share_rw, &n->read_only, NULL, NULL, error);
    if (!n->user || !nvme_thread_start(n, error))
        return false;
    n->vectors = n->max_pairs + 1;
    pci_init(&n->pci.fn, &ids, &nvme_ops, n);
    pci_pin(&n->pci.fn, 1);
    if (!device_bar(dev, 0, PCI_BAR_MEM64, BAR_SIZE, 0, 0, error) ||
        !pci_msix(&n->pci.fn, 0, PCI_BAR_MEM64, BAR_SIZE, n->vectors, MSIX_TABLE, MSIX_PBA, error))
        return false;
    pci_express(&n->pci.fn, 0);
    return true;
}

static void nvme_stop(Device *dev)
{
    Nvme *n = (Nvme *)dev;
    nvme_thread_end(n);
    block_detach(n->user);
}

static uint64_t four(uint16_t a, uint16_t b, uint16_t c, uint16_t d)
{
    return a | (uint64_t)b << 16 | (uint64_t)c << 32 | (uint64_t)d << 48;
}

static void nvme_saving(Device *dev)
{
    Nvme *n = (Nvme *)dev;
    nvme_pause(n);
    for (unsigned i = 0; i < NVME_QUEUES; i++) {
        const NvmeSq *sq = &n->sq[i];
        const NvmeCq *cq = &n->cq[i];
        uint64_t *w = n->saved[i];
        w[0] = sq->base;
        w[1] = four(sq->size, sq->head, sq->tail, sq->cqid);
        w[2] = cq->base;
        w[3] = four(cq->size, cq->head, cq->tail, cq->vector);
        w[4] = four(cq->phase, cq->interrupts, cq->users, 0);
    }
    nvme_resume(n);
}

/* False if it makes no sense. */
static bool load_pair(Nvme *n, unsigned i)
{
    const uint64_t *w = n->saved[i];
    NvmeSq sq = { .base = w[0], .size = (uint16_t)w[1], .head = (uint16_t)(w[1] >> 16),
                  .tail = (uint16_t)(w[1] >> 32), .cqid = (uint16_t)(w[1] >> 48) };
    NvmeCq cq = { .base = w[2], .size = (uint16_t)w[3], .head = (uint16_t)(w[3] >> 16),
                  .tail = (uint16_t)(w[3] >> 32), .vector = (uint16_t)(w[3] >> 48),
                  .phase = w[4] & 1, .interrupts = w[4] >> 16 & 1,
                  .users = (uint16_t)(w[4] >> 32) };
    n->sq[i] = sq;
    n->cq[i] = cq;
    return sq.size <= NVME_ENTRIES && cq.size <= NVME_ENTRIES && sq.cqid < NVME_QUEUES &&
           (!sq.size || (sq.head < sq.size && sq.tail < sq.size)) &&
           (!cq.size || (cq.head < cq.size && cq.tail < cq.size));
}

/* A queue reports to one that is there. */
static bool load_queues(Nvme *n)
{
    bool ok = n->aer_count <= NVME_AERS;
    for (unsigned i = 0; i < NVME_QUEUES; i++)
        ok = load_pair(n, i) && ok;
    for (unsigned i = 0; ok && i < NVME_QUEUES; i++)
        ok = !n->sq[i].size || n->cq[n->sq[i].cqid].size;
    if (!ok)
        nvme_queues_clear(n);
    return ok;
}

static bool nvme_loaded(Device *dev, GError **error)
{
    Nvme *n = (Nvme *)dev;
    nvme_pause(n);
    pthread_mutex_lock(&n->lock);
    bool ok = load_queues(n);
    nvme_irq_update(n);
    pthread_mutex_unlock(&n->lock);
    nvme_resume(n);
    return ok || fail(error, "the saved queues make no sense");
}

static DevicePci *nvme_pci(Device *dev)
{
    return &((Nvme *)dev)->pci;
}

#define AT(field) offsetof(Nvme, field)
static const DeviceProp nvme_props[] = {
    {"drive", DEVICE_DRIVE, AT(drive), NULL, 0, 0, "the -drive or -blockdev to show"},
    {"serial", DEVICE_STRING, AT(serial), NULL, 0, 0, "serial number, 20 characters at most"},
    {"max_ioqpairs", DEVICE_U32, AT(max_pairs), "64", 1, NVME_QUEUES - 1, "pairs of I/O queues"},
    {"logical_block_size", DEVICE_U32, AT(block_size), "512", 512, 32768, "bytes of a block"},
    {"share-rw", DEVICE_BOOL, AT(share_rw), "off", 0, 0, "others may write to the disk too"},
    {"bootindex", DEVICE_U32, AT(bootindex), "0xffffffff", 0, 0, "place in the order of booting"},
    DEVICE_PCI_PROPS(Nvme, pci),
    {.name = NULL},
};

static const DeviceRegion nvme_regions[] = {
    {.name = "nvme", .size = REGS_SIZE, .min = 4, .max = 8, .valid_min = 4, .valid_max = 8,
     .read = nvme_read, .write = nvme_write},
    {.name = NULL},
};

static const StateField nvme_saved[] = {
    PCI_SAVED(Nvme, pci.fn),
    STATE_FIELD(Nvme, intms, 1),
    STATE_FIELD(Nvme, cc, 1),
    STATE_FIELD(Nvme, csts, 1),
    STATE_FIELD(Nvme, aqa, 1),
    STATE_FIELD(Nvme, asq, 1),
    STATE_FIELD(Nvme, acq, 1),
    STATE_ARRAY(Nvme, aers, 1),
    STATE_FIELD(Nvme, aer_count, 1),
    STATE_ARRAY(Nvme, features, 1),
    {"saved", AT(saved), 8, false, NVME_QUEUES * NVME_SAVED_WORDS, 0, 1},
    STATE_END,
};

const DeviceType nvme_type = {
    .name = "nvme",
    .summary = "disk with an NVM Express controller",
    .size = sizeof(Nvme),
    .props = nvme_props,
    .regions = nvme_regions,
    .saved = nvme_saved,
    .slot = "pci",
    .unlocked = true,
    .start = nvme_start,
    .reset = nvme_reset,
    .stop = nvme_stop,
    .saving = nvme_saving,
    .loaded = nvme_loaded,
    .retry = nvme_retry,
    .pci = nvme_pci,
};
