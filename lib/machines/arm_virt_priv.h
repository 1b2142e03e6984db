/* SPDX-License-Identifier: MIT */
/* The Arm board "virt" as its parts see it: the tree, and ACPI's tables. */
#pragma once

#include "machines/arm_cpu_priv.h"

typedef struct {
    unsigned version; /* 602 */
    ArmCpu cpu;
    unsigned gic; /* 2 or 3 */
    bool its;     /* of a GICv3 */
    bool secure, virtualization, iommu, mte, acpi, ras;
    bool ged;           /* firmware reads ACPI's tables, and the power button is told by them */
    bool topology;      /* cpu-map is told */
    unsigned cluster;   /* CPUs that share MPIDR's Aff1 and above */
    bool second_redist; /* a second region of redistributors is needed */
    /* As placed; size 0: not there. */
    uint64_t redist2_base, ecam_base, ecam_size, high_mmio_base, high_mmio_size;
    uint64_t device_memory_base, device_memory_size; /* for memory that is added while it runs */
} ArmVirt;

/* What the machine's options mean. Checked by the board's build: cannot fail after it. */
bool arm_virt_read(const Machine *m, ArmVirt *v, GError **error);
/* MPIDR's affinity fields of CPU n. */
uint64_t arm_virt_mpidr(const ArmVirt *v, unsigned n);
/* In arm_virt_acpi.c. */
AcpiTables *arm_virt_acpi(Machine *m, GError **error);
bool arm_virt_smbios(Machine *m, SmbiosMachine *s, SmbiosRange *ranges, GError **error);
/* In arm_virt_fdt.c. */
void arm_virt_fdt(const Machine *m, const MachineBoot *boot, Fdt *tree);
