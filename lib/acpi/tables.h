/* SPDX-License-Identifier: MIT */
/*
 * The families of static tables; each takes plain numbers and gives a table or appends a structure
 * to one. Fields and their meanings: ACPI 6.4 chapters 5.2, 18.5 and 21, and the specifications
 * that the source files name.
 */
#pragma once

#include "acpi/table.h"

/* ---- fadt.c (5.2.9) --------------------------------------------------------------- */

typedef struct {
    uint8_t space, bits, access;
    uint64_t address;
} AcpiGas;

/* Bits of iapc_boot_arch and arm_boot_arch, and of flags. */
enum { ACPI_BOOT_8042 = 1 << 1 };
enum { ACPI_ARM_PSCI = 1 << 0, ACPI_ARM_PSCI_HVC = 1 << 1 };
enum {
    ACPI_FADT_WBINVD = 1 << 0, ACPI_FADT_PROC_C1 = 1 << 2, ACPI_FADT_SLP_BUTTON = 1 << 5,
    ACPI_FADT_RTC_S4 = 1 << 7, ACPI_FADT_RESET_REG = 1 << 10, ACPI_FADT_PLATFORM_CLOCK = 1 << 15,
    ACPI_FADT_APIC_CLUSTER = 1 << 18, ACPI_FADT_HW_REDUCED = 1 << 20,
};

typedef struct {
    uint8_t revision, minor; /* 1: 116 bytes, 3: 244, 5: 268, 6: 276 */
    bool has_facs;
    uint32_t facs, dsdt; /* offsets in etc/acpi/tables */
    bool only_x_dsdt;    /* the 32-bit field stays 0 */
    uint8_t int_model;
    uint16_t sci_int;
    uint32_t smi_cmd;
    uint8_t acpi_enable, acpi_disable;
    uint32_t pm1a_evt, pm1a_cnt, pm_tmr, gpe0; /* ports; 0: there is none */
    uint8_t gpe0_len;
    uint16_t c2_latency, c3_latency;
    uint8_t century;
    uint16_t iapc_boot_arch, arm_boot_arch;
    uint32_t flags;
    AcpiGas reset;
    uint8_t reset_value;
    AcpiGas sleep_control, sleep_status;
} AcpiFadt;

AcpiTable *acpi_fadt(const AcpiFadt *f);

/* ---- madt.c (5.2.12) ---------------------------------------------------------------- */

AcpiTable *acpi_madt(uint8_t revision, uint32_t local_apic, uint32_t flags);
/* An APIC of 8 bits where both numbers fit, else an x2APIC. enabled: it is there. */
void acpi_madt_cpu(AcpiTable *t, uint32_t uid, uint32_t apic_id, bool enabled);
/* The same structure for a processor's _MAT; returns its length. */
size_t acpi_madt_cpu_bytes(uint8_t out[16], uint32_t uid, uint32_t apic_id, bool enabled);
void acpi_madt_ioapic(AcpiTable *t, uint8_t id, uint32_t address, uint32_t first);
void acpi_madt_override(AcpiTable *t, uint8_t irq, uint32_t line, uint16_t flags);
/* On all processors; x2: those with large numbers. */
void acpi_madt_nmi(AcpiTable *t, bool x2, uint8_t lint);

typedef struct {
    uint32_t interface, uid, flags, performance_gsi;
    uint64_t base, gicv, gich, redistributor, mpidr;
    uint32_t vgic_gsi;
} AcpiGicc;
void acpi_madt_gicd(AcpiTable *t, uint64_t base, uint8_t version);
void acpi_madt_gicc(AcpiTable *t, const AcpiGicc *g);
void acpi_madt_gicr(AcpiTable *t, uint64_t base, uint32_t len);
void acpi_madt_its(AcpiTable *t, uint32_t id, uint64_t base);
void acpi_madt_msi_frame(AcpiTable *t, uint32_t id, uint64_t base, uint32_t flags, uint16_t count,
                         uint16_t first);

/* ---- affinity.c: SRAT, SLIT, HMAT, PPTT (5.2.16, 17, 27, 30) -------------------------- */

enum { ACPI_MEM_ENABLED = 1, ACPI_MEM_HOTPLUG = 2, ACPI_MEM_NONVOLATILE = 4 };

AcpiTable *acpi_srat(uint8_t revision);
void acpi_srat_cpu(AcpiTable *t, uint32_t apic_id, uint32_t node);
void acpi_srat_gicc(AcpiTable *t, uint32_t uid, uint32_t node);
void acpi_srat_memory(AcpiTable *t, uint64_t base, uint64_t len, uint32_t node, uint32_t flags);
/* distance[from * count + to] */
AcpiTable *acpi_slit(unsigned count, const uint8_t *distance);

AcpiTable *acpi_hmat(void);
void acpi_hmat_node(AcpiTable *t, bool has_initiator, uint32_t initiator, uint32_t memory);
/* One matrix: entries[i * targets + t] in units of base. */
void acpi_hmat_matrix(AcpiTable *t, uint8_t hierarchy, uint8_t data, uint64_t base,
                      unsigned initiators, const uint32_t *initiator, unsigned targets,
                      const uint32_t *target, const uint16_t *entries);
void acpi_hmat_cache(AcpiTable *t, uint32_t node, uint64_t size, uint32_t attributes);

AcpiTable *acpi_pptt(void);
enum { ACPI_PPTT_PACKAGE = 1, ACPI_PPTT_ID_VALID = 2, ACPI_PPTT_THREAD = 4, ACPI_PPTT_LEAF = 8 };
/* Returns the node's offset, a parent for others; 0: no parent. */
uint32_t acpi_pptt_node(AcpiTable *t, uint32_t flags, uint32_t parent, uint32_t id);

/* ---- platform.c: what is small ---------------------------------------------------------- */

AcpiTable *acpi_hpet(uint32_t hardware_id, uint64_t address);
AcpiTable *acpi_mcfg(uint64_t base, uint16_t segment, uint8_t first_bus, uint8_t last_bus);
AcpiTable *acpi_waet(uint32_t flags);
/* start: 6 memory mapped, 7 command-response buffer; the log is a file of len bytes, or NULL. */
AcpiTable *acpi_tpm2(uint16_t platform, uint64_t control, uint32_t start, const char *log_file,
                     uint32_t log_len);
/* TPM 1.2's */
AcpiTable *acpi_tcpa(uint16_t platform, const char *log_file, uint32_t log_len);
typedef struct {
    uint8_t type; /* of the interface: 0 16550, 3 PL011 */
    AcpiGas base;
    uint8_t interrupt_type, irq;
    uint32_t gsi;
    uint8_t baud, terminal;
    uint8_t flow;
} AcpiSpcr;
AcpiTable *acpi_spcr(uint8_t revision, const AcpiSpcr *s);
/* One serial port. subtype: 0 16550, 3 PL011 */
AcpiTable *acpi_dbg2(uint16_t subtype, const AcpiGas *base, uint32_t size, const char *path);
/* registers: ACTION and VALUE of the store of error records (18.5). */
AcpiTable *acpi_erst(uint64_t registers);

/* ---- iommu.c: VIOT (6.5, 5.2.31), DMAR, IVRS, IORT ----------------------------------------- */

typedef struct {
    uint16_t segment, first_bdf, last_bdf;
    uint32_t endpoint;
} AcpiPciRange;
/* The IOMMU is a PCI function; ranges of functions behind it. */
AcpiTable *acpi_viot(uint16_t segment, uint16_t bdf, const AcpiPciRange *ranges, unsigned count);

/* bus << 8 | device << 3 | function, each */
typedef struct {
    uint8_t bus, path[2]; /* device, function */
    bool bridge;
} AcpiScope;
AcpiTable *acpi_dmar(uint8_t address_bits, bool interrupts, uint64_t registers, uint8_t ioapic,
                     uint8_t ioapic_bus, uint8_t ioapic_device, const AcpiScope *scopes,
                     unsigned count, bool device_tlb);
AcpiTable *acpi_ivrs(uint16_t bdf, uint16_t capability, uint64_t registers, uint32_t features,
                     const AcpiScope *scopes, unsigned count, uint8_t ioapic, uint16_t ioapic_bdf);

typedef struct {
    uint32_t input, count, output;
    uint32_t node; /* offset of the node it leads to */
    uint32_t flags;
} AcpiIortMap;
AcpiTable *acpi_iort(uint8_t revision);
uint32_t acpi_iort_its(AcpiTable *t, uint32_t identifier, uint32_t its);
uint32_t acpi_iort_smmu3(AcpiTable *t, uint32_t identifier, uint64_t base, const uint32_t gsi[4],
                         const AcpiIortMap *maps, unsigned count);
uint32_t acpi_iort_root(AcpiTable *t, uint32_t identifier, uint8_t address_bits,
                        const AcpiIortMap *maps, unsigned count);

/* ---- gtdt.c (5.2.24) ------------------------------------------------------------------------- */

typedef struct {
    uint32_t gsi, flags;
} AcpiTimer;
/* secure, non-secure, virtual, hypervisor; virtual_el2 of revision 3 */
AcpiTable *acpi_gtdt(uint8_t revision, const AcpiTimer timers[4]);

/* ---- nfit.c (5.2.25) ------------------------------------------------------------------------- */

AcpiTable *acpi_nfit(void);
/* One memory device as a range of its own; slot from 0. unarmed: what is written will be lost. */
void acpi_nfit_dimm(AcpiTable *t, unsigned slot, uint64_t base, uint64_t size, uint32_t node,
                    bool unarmed);
/* What the platform keeps over a power loss: bits of 5.2.25.9. */
void acpi_nfit_capabilities(AcpiTable *t, uint8_t highest, uint32_t capabilities);
