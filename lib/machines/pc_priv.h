/* SPDX-License-Identifier: MIT */
/* What the parts of the PC boards' namespace share. */
#pragma once

#include "devices/isa/isa_bridge.h"
#include "machines/x86.h"

typedef struct {
    Machine *m;
    bool q35;
    X86Memory mem;
    GArray *dimms; /* MachineDimm */
    const ChipsetPower *power;
    uint64_t mcfg;      /* of q35's ECAM window */
    uint16_t gpe0, pci_hotplug, cpu_hotplug; /* ports */
    uint8_t gpe0_len;
    bool bridge_hotplug, root_hotplug;
} Pc;

enum { PC_MEMORY_HOTPLUG = 0xa00, PC_PM_BASE = 0x600 };

/* ---- pc_acpi.c: the set but for its root; NULL with *error ------------------------------ */

AcpiTables *pc_acpi(const Pc *pc, GError **error);

/* ---- pc_pci.c: functions on their buses ------------------------------------------------ */

/* Whether some bus takes devices by ACPI. */
bool pc_pci_hotplug(const Pc *pc);
/* The registers behind it, and methods that devices call. */
void pc_pci_hotplug_methods(const Pc *pc, Aml *a);
/* Every function of the root bus and below, and what plugs in and out. */
void pc_pci_functions(const Pc *pc, Aml *a);
/* Further host bridges. */
void pc_pci_extra_roots(const Pc *pc, Aml *a);
/* The last bus that the first host bridge has. */
uint8_t pc_pci_last_bus(const Pc *pc);
/* Functions as IOMMU tables name them: of the root bus, bridges included. Of AcpiScope. */
GArray *pc_pci_scopes(const Pc *pc);
/* The function on the root bus that a device is. */
bool pc_pci_bdf(const Machine *m, const Device *dev, uint16_t *bdf);

/* ---- pc_irq.c: links and routing of PCI's interrupts -------------------------------------- */

void pc_irq_links(const Pc *pc, Aml *a);
/* _PRT of the first host bridge, and of further ones. */
void pc_irq_root(const Pc *pc, Aml *a);
void pc_irq_extra_root(const Pc *pc, Aml *a);
