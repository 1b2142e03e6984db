/* SPDX-License-Identifier: MIT */
/*
 * What all virtio devices share (Virtio 1.2, 2 and 3): feature negotiation, status, queues, each
 * served on a thread of its own, configuration and its changes, reset. A driver that comes by a legacy
 * interface (2.2.3) need not accept VIRTIO_F_VERSION_1; others must.
 *
 *   VirtioType      what one kind of device does; in lib/devices.
 *   VirtioDevice    the state of one; part of a device model's struct.
 *   VirtioTransport how interrupts reach the driver; set by what the device is plugged into.
 *   VirtioMmio      the registers of a virtio-mmio slot (4.2).
 *   VirtioPci       the registers, capabilities and interrupts of a PCI function (4.1).
 *
 * Threads. A transport calls from vCPU threads, under VirtioDevice.lock but for virtio_kick. A
 * queue's notify runs on that queue's thread. virtio_pop, _push, _flush and _quiet are for any
 * thread (completions push from where they end). A reset stops the queues' threads and waits for
 * what is in flight, so that no completion outlives it; the vCPU that asked waits as long.
 */
#pragma once

#include "pci/pci.h"
#include "state/state.h"
#include "vring/vring.h"

#include <glib.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct VirtioDevice VirtioDevice;
typedef struct VirtioQueue VirtioQueue;

enum {
    VIRTIO_ACKNOWLEDGE = 1,
    VIRTIO_DRIVER = 2,
    VIRTIO_DRIVER_OK = 4,
    VIRTIO_FEATURES_OK = 8,
    VIRTIO_NEEDS_RESET = 64,
    VIRTIO_FAILED = 128,
};

#define VIRTIO_F(n) (UINT64_C(1) << (n))
#define VIRTIO_F_INDIRECT_DESC VIRTIO_F(28)
#define VIRTIO_F_EVENT_IDX VIRTIO_F(29)
#define VIRTIO_F_VERSION_1 VIRTIO_F(32)
#define VIRTIO_F_RING_PACKED VIRTIO_F(34)

enum {
    VIRTIO_MAX_QUEUES = 64,
    VIRTIO_CONFIG_MAX = 256, /* bytes of a configuration structure */
};

typedef struct {
    const char *name; /* "virtio-blk" */
    uint16_t id;      /* chapter 5 */
    /* The driver has set the device up: v->accepted holds. On a vCPU's thread, under v->lock.
       NULL: nothing to do. */
    void (*driver_ok)(VirtioDevice *v);
    /* Waits until no buffer of this device is in flight; the queues' threads are at rest. Any
       thread that may wait. NULL: buffers never outlive notify. */
    void (*drain)(VirtioDevice *v);
    /* Drained; to the state after power-on. NULL: there is no more state than the core's. */
    void (*reset)(VirtioDevice *v);
    /* The driver has made buffers available, perhaps; on the queue's thread, with no lock. */
    void (*notify)(VirtioDevice *v, unsigned queue);
    /* Fills the configuration, v->config_size zeroed bytes. Under v->lock. */
    void (*read_config)(VirtioDevice *v, uint8_t *config);
    /* The driver has written len bytes at offset, all within. Under v->lock. NULL: ignored. */
    void (*write_config)(VirtioDevice *v, uint32_t offset, const uint8_t *bytes, uint32_t len);
} VirtioType;

typedef struct {
    /* Tells the driver: of used buffers in a queue, or with -1 of a changed configuration or
       status. Any thread; takes no lock but its own. */
    void (*interrupt)(void *transport, int queue);
    /* The device was reset: no interrupt is pending any more. */
    void (*reset)(void *transport);
} VirtioTransport;

struct VirtioQueue {
    VringConfig config; /* as the driver says; under v->lock, fixed while enabled */
    uint16_t max_size;
    bool enabled;       /* atomic */

    pthread_mutex_t lock; /* of ring */
    Vring ring;

    pthread_mutex_t wake_lock; /* of what follows */
    pthread_cond_t wake, rest;
    VirtioDevice *v;
    pthread_t thread;
    bool has_thread, pending, busy, end;
    unsigned paused; /* atomic too: notify ends early */
};

enum { VIRTIO_SAVED_WORDS = 5 }; /* of a queue */

struct VirtioDevice {
    const VirtioType *type;
    const VirtioTransport *transport; /* NULL: plugged into nothing */
    void *transport_opaque;
    BusSpace *space;
    uint64_t offered, accepted;
    bool legacy; /* the driver uses a legacy interface; until reset */
    uint32_t config_size;
    VirtioQueue *queues;
    uint32_t queue_count;
    uint8_t status;      /* atomic */
    uint32_t generation; /* of the configuration; atomic */
    pthread_mutex_t lock;
    uint64_t *saved;     /* filled by virtio_saving */
    uint32_t saved_count;
};

/* Entries for a device's table of saved fields; member is its VirtioDevice. */
#define VIRTIO_SAVED(Type, member)                                                                 \
    STATE_FIELD(Type, member.status, 1), STATE_FIELD(Type, member.accepted, 1),                    \
        STATE_FIELD(Type, member.generation, 1),                                                   \
        STATE_POINTER(Type, member.saved, VIRTIO_SAVED_WORDS * VIRTIO_MAX_QUEUES,                  \
                      member.saved_count, 1)

/* ---- For device models: main thread --------------------------------------- */

/* queues is 1 .. VIRTIO_MAX_QUEUES, size that of each at most, a power of two up to VRING_MAX_SIZE;
   VERSION_1 is added to features. transport and its opaque stay as they are. */
void virtio_init(VirtioDevice *v, const VirtioType *type, BusSpace *space, unsigned queues,
                 unsigned size, uint64_t features, uint32_t config_size);
/* Ends the threads, after draining. A device that was never initialized is fine. */
void virtio_clear(VirtioDevice *v);
/* Reset by the machine. vCPUs are stopped. */
void virtio_reset(VirtioDevice *v);
/* What it is plugged into goes away: no more interrupts. Nothing is in flight when it returns. */
void virtio_unplug(VirtioDevice *v);
/* Brings the queues' threads and what is in flight to rest, and lets them go on; they nest. Not from
   a queue's thread. */
void virtio_pause(VirtioDevice *v);
void virtio_resume(VirtioDevice *v);
/* Before saved fields are written: drains, and notes the queues. */
void virtio_saving(VirtioDevice *v);
/* After they were read, the device's own already checked: rings go on where they were. */
bool virtio_loaded(VirtioDevice *v, GError **error);

/* ---- For device models: any thread ----------------------------------------- */

/* The next buffer of a queue; false when there is none (or the ring is broken, or the queue is
   about to rest). */
bool virtio_pop(VirtioDevice *v, unsigned queue, VringChain *chain);
/* Gives it back; the driver is told by virtio_flush. */
void virtio_push(VirtioDevice *v, unsigned queue, VringChain *chain, uint32_t written);
/* The same for count of them; the driver sees all of them or none. */
void virtio_push_all(VirtioDevice *v, unsigned queue, VringChain *chains, const uint32_t *written,
                     unsigned count);
/* Makes the last one popped, of those still with the device, the next to pop. */
void virtio_unpop(VirtioDevice *v, unsigned queue, const VringChain *chain);
/* Interrupts the driver if it wants to know of what was pushed. */
void virtio_flush(VirtioDevice *v, unsigned queue);
/* true: the driver need not notify, the queue is being looked at. false: it must again; returns true
   if there are buffers already, so look once more. */
bool virtio_quiet(VirtioDevice *v, unsigned queue, bool quiet);
/* The driver wrote nonsense: NEEDS_RESET, with a debug line. */
void virtio_break(VirtioDevice *v, const char *why);
/* The configuration changed on its own. */
void virtio_config_changed(VirtioDevice *v);
/* Has notify called on the queue's thread. */
void virtio_wake(VirtioDevice *v, unsigned queue);
static inline bool virtio_has(const VirtioDevice *v, uint64_t feature)
{
    return v->accepted & feature;
}

/* ---- For transports ---------------------------------------------------------- */

/* The driver's notification; takes no lock of the device. Any number. */
void virtio_kick(VirtioDevice *v, uint32_t queue);
uint8_t virtio_status(const VirtioDevice *v);
/* Under v->lock: */
void virtio_set_status(VirtioDevice *v, uint8_t status);
/* 32 bits of the feature words; what was not offered is remembered, and refused with FEATURES_OK. */
void virtio_set_features(VirtioDevice *v, unsigned word, uint32_t bits);
void virtio_enable_queue(VirtioDevice *v, unsigned queue, bool enable);
/* The driver uses the legacy interface from now on. */
void virtio_set_legacy(VirtioDevice *v);
/* A legacy queue: one stretch of memory (2.7.2), aligned at align. 0 turns it off. */
void virtio_set_queue_page(VirtioDevice *v, unsigned queue, uint64_t addr, uint64_t align);
/* Any offset and length; what is outside reads as 0. */
void virtio_read_config(VirtioDevice *v, uint64_t offset, uint8_t *bytes, uint32_t len);
void virtio_write_config(VirtioDevice *v, uint64_t offset, const uint8_t *bytes, uint32_t len);

/* ---- MMIO ---------------------------------------------------------------------- */

/* A slot. Zeroed, but for v (NULL: empty) and line, it is ready after virtio_mmio_plug. */
typedef struct {
    VirtioDevice *v;
    void (*line)(void *opaque, bool level);
    void *opaque;
    uint32_t device_features_sel, driver_features_sel, queue_sel;
    uint32_t isr; /* under irq_lock, with the line */
    pthread_mutex_t irq_lock;
} VirtioMmio;

/* line is called under a lock of the slot's, on any thread. */
void virtio_mmio_init(VirtioMmio *m, void (*line)(void *opaque, bool level), void *opaque);
void virtio_mmio_clear(VirtioMmio *m);
void virtio_mmio_plug(VirtioMmio *m, VirtioDevice *v);
/* The slot's own registers; the device is reset by itself. */
void virtio_mmio_reset(VirtioMmio *m);
/* offset below 0x1000, size 1, 2, 4 or 8. Any thread. */
uint64_t virtio_mmio_read(VirtioMmio *m, uint64_t offset, unsigned size);
void virtio_mmio_write(VirtioMmio *m, uint64_t offset, uint64_t value, unsigned size);

/* ---- PCI ------------------------------------------------------------------------- */

enum { VIRTIO_PCI_BAR_SIZE = 0x4000, VIRTIO_PCI_NO_VECTOR = 0xffff };

/* The registers of a function; zeroed at first. */
typedef struct {
    VirtioDevice *v;
    PciFunction *fn;
    bool modern;       /* the capabilities of Virtio 1.0 */
    unsigned window;   /* offset of the capability that reaches the BAR from configuration space */
    unsigned bar;      /* of the modern registers */
    uint32_t device_features_sel, driver_features_sel;
    uint16_t queue_sel;
    uint16_t config_vector, vectors[VIRTIO_MAX_QUEUES];
    uint8_t isr;       /* under irq_lock, with the pin */
    pthread_mutex_t irq_lock;
} VirtioPci;

#define VIRTIO_PCI_SAVED(Type, member)                                                             \
    STATE_FIELD(Type, member.device_features_sel, 1),                                              \
        STATE_FIELD(Type, member.driver_features_sel, 1), STATE_FIELD(Type, member.queue_sel, 1),  \
        STATE_FIELD(Type, member.config_vector, 1), STATE_ARRAY(Type, member.vectors, 1),          \
        STATE_FIELD(Type, member.isr, 1)

/* The ids by which a driver knows a device of that type (4.1.2); transitional: those of a device that
   legacy drivers find too. */
void virtio_pci_ids(PciIds *ids, const VirtioType *type, bool transitional);
/* v has been initialized, fn made with pci_init, not shown. bar: -1, or the BAR of the modern
   registers (VIRTIO_PCI_BAR_SIZE bytes), whose capabilities this adds. */
void virtio_pci_plug(VirtioPci *p, VirtioDevice *v, PciFunction *fn, int bar);
/* Undoes plug. */
void virtio_pci_unplug(VirtioPci *p);
/* Registers and interrupts to power-on; the device is reset by itself. */
void virtio_pci_reset(VirtioPci *p);
/* Modern registers: offset below VIRTIO_PCI_BAR_SIZE. Any thread. */
uint64_t virtio_pci_read(VirtioPci *p, uint64_t offset, unsigned size);
void virtio_pci_write(VirtioPci *p, uint64_t offset, uint64_t value, unsigned size);
/* The I/O ports of a legacy device; size of their BAR. Any thread. */
uint64_t virtio_pci_legacy_read(VirtioPci *p, uint64_t offset, unsigned size);
void virtio_pci_legacy_write(VirtioPci *p, uint64_t offset, uint64_t value, unsigned size);
uint64_t virtio_pci_legacy_size(const VirtioDevice *v);
/* For PciOps: the window in configuration space. */
void virtio_pci_reading(VirtioPci *p, unsigned offset, unsigned len);
void virtio_pci_written(VirtioPci *p, unsigned offset, unsigned len);
