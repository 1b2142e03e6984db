/* SPDX-License-Identifier: MIT */
/* Hosts and buses from within, and what the files of this folder call of each other. */
#pragma once

#include "pci/pci.h"

#include <linux/pci_regs.h>

enum { PCI_WINDOWS = 4, PCI_DEVFNS = 256 };

struct PciBus {
    char *name;
    PciHost *host;       /* NULL: its bridge is not plugged yet */
    PciFunction *bridge; /* NULL: the root bus, or its bridge is not made yet */
    unsigned slots;
    PciFunction *functions[PCI_DEVFNS];
    bool multifunction[32];
};

struct PciHost {
    PciBus root;
    BusSpace *space; /* NULL until started */
    PciWindow windows[PCI_WINDOWS];
    size_t window_count;
    pthread_mutex_t lock;     /* the tree's; recursive, since resets go down through bridges */
    pthread_mutex_t irq_lock; /* within lock */
    BusIrq lines[4];
    unsigned asserted[4]; /* functions that drive each */
};

/* Under the tree lock: BARs of a function, and of all behind it if it is a bridge, to where the
   configuration says. */
void pci_remap(PciFunction *fn);
/* The reset of all functions on a bus. */
void pci_bus_reset(PciBus *bus);
/* The bridge's windows let this range of PCI addresses through. */
bool pci_bridge_passes(const PciFunction *bridge, bool io, uint64_t base, uint64_t size);
/* Under the tree lock: INTx as command register and msix state now have it. */
void pci_intx_update(PciFunction *fn);
/* Messages that wait, if they no longer must. Takes the interrupt lock. */
void pci_msix_update(PciFunction *fn);
