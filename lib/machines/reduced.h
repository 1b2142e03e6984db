/* SPDX-License-Identifier: MIT */
/* The namespace of boards with ACPI's reduced hardware: a generic PCI Express host bridge and events by
   interrupt. */
#pragma once

#include "machines/acpi_priv.h"

typedef struct {
    uint64_t ecam, ecam_size;
    uint64_t mmio32, mmio32_size, mmio64, mmio64_size, pio, pio_size; /* size 0: none; pio: its CPU address */
    uint32_t irq;    /* of INTA; the others follow */
    uint8_t last_bus;
} ReducedPci;

/* Devices PCI0 and what it needs, into the open scope. */
void acpi_reduced_pci(Aml *a, const ReducedPci *pci);
/* A further host bridge, of one bus. */
void acpi_reduced_pxb(Aml *a, const ReducedPci *pci, unsigned bus, unsigned node);

enum { ACPI_GED_MEMORY = 1, ACPI_GED_POWER = 2, ACPI_GED_NVDIMM = 4 };
/* A Generic Event Device (ACPI 6.4 5.6.9): its interrupt, and the register that says what happened. */
void acpi_ged(Aml *a, uint32_t irq, uint64_t base, unsigned events);
/* A button that the machine presses. */
void acpi_power_button(Aml *a);
