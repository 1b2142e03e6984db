/* SPDX-License-Identifier: MIT */
/*
 * PCI Express as guests see it: functions with their configuration space, the buses and bridges they
 * sit on, and a host with an ECAM window (PCI Express Base Specification 4.0; PCI Local Bus 3.0;
 * PCI-to-PCI Bridge 1.2).
 *
 *   PciHost      windows of the CPU's address space, four interrupt lines, the root bus.
 *   PciBus       32 slots of 8 functions; the secondary side of a bridge has a PciBus too.
 *   PciFunction  one function, part of a device model's struct. Plugged into a bus first, which
 *                needs nothing else, and made with pci_init when the machine starts.
 *
 * BARs go straight into the host's address space, where the guest's addresses lead through the windows
 * of the host and of every bridge above; there are no address spaces of bridges.
 *
 * Threads and locks: a host has a tree lock, held during configuration accesses and the callbacks of
 * PciOps, and an interrupt lock inside of it. pci_intx, pci_msix and pci_interrupt are for any
 * thread, device locks held; so a callback under the tree lock may take a device's lock, and
 * never the other way round. Everything else belongs to the main thread, with vCPUs stopped or
 * the function not yet visible.
 *
 * Left out: MSI (only MSI-X), SR-IOV, expansion ROMs, power states.
 */
#pragma once

#include "bus/bus.h"
#include "state/state.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct PciHost PciHost;
typedef struct PciBus PciBus;
typedef struct PciFunction PciFunction;

enum {
    PCI_SPACE_SIZE = 4096, /* bytes of a function's configuration space */
    PCI_BARS = 6,
    PCI_BAR_PARTS = 3,
    PCI_MSIX_MAX = 2048,
};

#define PCI_DEVFN_OF(slot, function) ((uint8_t)((slot) << 3 | (function)))

typedef struct {
    uint16_t vendor, device, sub_vendor, sub_device;
    uint8_t revision;
    uint32_t class_code; /* class, subclass, interface: 0x010802 */
} PciIds;

/* NULL members: nothing to do. On a vCPU's thread, under the tree lock. */
typedef struct {
    /* A reset of this function or of the bus it is on: the registers go back to power-on; the
       configuration has already. */
    void (*reset)(void *opaque);
    /* The guest reads or has written len bytes (1, 2, 4) at offset. */
    void (*reading)(void *opaque, unsigned offset, unsigned len);
    void (*written)(void *opaque, unsigned offset, unsigned len);
} PciOps;

typedef enum { PCI_BAR_NONE, PCI_BAR_IO, PCI_BAR_MEM32, PCI_BAR_MEM64, PCI_BAR_MEM64_PREFETCH } PciBarKind;

typedef struct {
    PciBarKind kind;
    uint64_t size;
    struct {
        BusRegion *region;
        uint64_t offset;
    } parts[PCI_BAR_PARTS];
    uint64_t mapped; /* the CPU address, or UINT64_MAX; for the curious */
} PciBar;

struct PciFunction {
    PciBus *bus; /* NULL: not plugged */
    uint8_t devfn;
    bool visible; /* made, and not taken out: the guest finds it */
    PciHost *host;
    const PciOps *ops;
    void *opaque;
    /* PCI_SPACE_SIZE bytes each: as it is, as after power-on, bits the guest writes, bits that writing
       1 clears. */
    uint8_t *config, *initial, *writable, *clear;
    uint32_t config_size; /* PCI_SPACE_SIZE once made; for saved state */
    unsigned cap_end, cap_last, ext_end, ext_last;
    unsigned express; /* offset of the Express capability, or 0 */
    PciBar bars[PCI_BARS];
    PciBus *secondary; /* of a bridge */

    bool intx, intx_driven; /* under the interrupt lock, like all that follows */
    unsigned msix_cap;      /* 0: none */
    uint32_t msix_words, msix_pending_words;
    uint32_t *msix_table;   /* 4 words a vector */
    uint64_t *msix_pending;
    BusRegion *msix_regions[2];
};

/* Entries for a device's table of saved fields; member is its PciFunction. pci_loaded follows. */
#define PCI_SAVED(Type, member)                                                                    \
    STATE_POINTER(Type, member.config, PCI_SPACE_SIZE, member.config_size, 1),                     \
        STATE_FIELD(Type, member.intx, 1),                                                         \
        STATE_POINTER(Type, member.msix_table, 4 * PCI_MSIX_MAX, member.msix_words, 1),            \
        STATE_POINTER(Type, member.msix_pending, PCI_MSIX_MAX / 64, member.msix_pending_words, 1)

/* ---- Hosts and buses --------------------------------------------------------- */

/* A stretch of the CPU's address space behind which there is PCI. */
typedef struct {
    bool io; /* ports; else memory */
    uint64_t cpu, pci, size;
} PciWindow;

/* windows are copied, at most 4 of them, empty ones left out; name is that of the root bus ("pcie.0"), copied. */
PciHost *pci_host_new(const char *name, const PciWindow *windows, size_t count);
/* All functions must have been cleared. NULL is fine. */
void pci_host_free(PciHost *host);
PciBus *pci_host_bus(PciHost *host);
/* The machine runs from now on: its memory, and where INTA to INTD lead. In the windows, what no BAR
   claims reads as ones and ignores writes. */
bool pci_host_start(PciHost *host, BusSpace *space, const BusIrq lines[4], GError **error);
/* An access to the ECAM window: offset has bus, devfn and register; size 1, 2 or 4, aligned. What is
   not there reads as ones. Any thread. */
uint64_t pci_host_read(PciHost *host, uint64_t offset, unsigned size);
void pci_host_write(PciHost *host, uint64_t offset, uint64_t value, unsigned size);

/* A name for messages. */
const char *pci_bus_name(const PciBus *bus);
/* True if the bus is the secondary side of a bridge, not the host's. */
bool pci_bus_behind_bridge(const PciBus *bus);
/* Whether all slots that functions can go to by themselves are taken. */
bool pci_bus_full(const PciBus *bus);
/* "5", "5.1" (both hexadecimal), or NULL for the next free slot: takes a place there. The text is that
   of addr=. multifunction: more functions may come beside function 0. */
bool pci_plug(PciBus *bus, PciFunction *fn, const char *addr, bool multifunction, GError **error);
/* Gives the place back; the function must not be visible any more. */
void pci_unplug(PciFunction *fn);

/* ---- Functions ----------------------------------------------------------------- */

/* Makes the configuration space: ids, no BARs, no capabilities. ops is borrowed. The function, which
   has been plugged, is visible after pci_show. */
void pci_init(PciFunction *fn, const PciIds *ids, const PciOps *ops, void *opaque);
/* What init and what follows made is freed, but for the regions of pci_bar; the function must be hidden,
   and keeps its place. One that was never made is fine. */
void pci_clear(PciFunction *fn);

/* Between init and show: */
/* A part of BAR n, at offset; its first part makes the BAR, with its size (a power of two, 16 bytes at
   least). region is hidden, in the host's space, and moved from now on. */
void pci_bar(PciFunction *fn, unsigned n, PciBarKind kind, uint64_t size, BusRegion *region,
             uint64_t offset);
/* Space for a capability of len bytes with its two-byte (extended: four-byte) head; its offset. */
unsigned pci_capability(PciFunction *fn, uint8_t id, unsigned len);
unsigned pci_ext_capability(PciFunction *fn, uint16_t id, uint8_t version, unsigned len);
/* The Express capability: type is that of the Express Capabilities register (0: endpoint, 4: root
   port, 9: endpoint of a root complex). Functions on a host's bus that are endpoints get type 9. */
void pci_express(PciFunction *fn, uint8_t type);
/* An interrupt pin, 1 to 4. */
void pci_pin(PciFunction *fn, unsigned pin);
/* MSI-X with that many vectors, its table at offset table of BAR n, the pending bits at offset pba,
   both of which this makes; size is the BAR's, used if these are its first parts. */
bool pci_msix(PciFunction *fn, unsigned n, PciBarKind kind, uint64_t size, unsigned vectors,
              uint64_t table, uint64_t pba, GError **error);
/* The guest may find it: the state now is the one after power-on. */
void pci_show(PciFunction *fn);
/* It is gone: BARs unmapped, interrupts dropped. Waits until no vCPU is in its regions. */
void pci_hide(PciFunction *fn);

/* The configuration to the state after power-on; not the registers behind it. */
void pci_reset(PciFunction *fn);
/* After saved fields were read: maps and drives what follows from them. */
bool pci_loaded(PciFunction *fn, GError **error);

/* ---- Running: any thread --------------------------------------------------------- */

/* The level of the function's interrupt pin. */
void pci_intx(PciFunction *fn, bool level);
/* The pin as a line to connect to. */
BusIrq pci_intx_line(PciFunction *fn);
/* A message, if the guest has turned MSI-X on. */
void pci_msix_send(PciFunction *fn, unsigned vector);
bool pci_msix_on(const PciFunction *fn);
/* Whether the guest lets the function do DMA. */
bool pci_bus_master(const PciFunction *fn);

/* ---- Bridges ---------------------------------------------------------------------- */

/* The bus behind a bridge, with that many slots (1 behind a port of PCI Express). It may be there, and
   take functions, before the bridge is made; it belongs to the caller. name is copied. */
PciBus *pci_bus_new(const char *name, unsigned slots);
void pci_bus_free(PciBus *bus);
/* After pci_init: fn gets a type 1 header, and bus behind it. */
void pci_bridge_init(PciFunction *fn, PciBus *bus);

/* A slot of a root port that takes one device while the machine runs (Express 6.7). */
typedef struct {
    PciFunction *fn;
    /* The guest has turned the slot's power off: the device may be taken out. Under the tree lock. */
    void (*off)(void *opaque);
    void *opaque;
    bool present;
} PciSlot;

/* fn is a root port with its Express capability; number is the physical slot's. */
void pci_slot_init(PciSlot *slot, PciFunction *fn, uint16_t number, void (*off)(void *opaque),
                   void *opaque);
/* The function's PciOps.written calls this. */
void pci_slot_written(PciSlot *slot, unsigned offset, unsigned len);
/* A device is in the slot, or none: told to the guest if the machine runs. */
void pci_slot_set(PciSlot *slot, bool present, bool tell);
/* Asks the guest to let the device go, with the attention button. A guest that does not listen to the slot
   (it has no driver for that) is not asked: off is called at once. */
void pci_slot_button(PciSlot *slot);
/* After a reset of the machine. */
void pci_slot_reset(PciSlot *slot);
