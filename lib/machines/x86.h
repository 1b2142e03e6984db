/* SPDX-License-Identifier: MIT */
/* What x86 boards share: their memory and CPUs as numbers, and parts of their tables. */
#pragma once

#include "machines/acpi_priv.h"

/* ---- x86_cpu.c ----------------------------------------------------------------- */

/* What CPUID leaf 1 of the machine's CPUs has, EDX << 32 | EAX. */
bool x86_processor_id(const Machine *m, uint64_t *id, GError **error);

/* ---- x86.c ------------------------------------------------------------------------ */

typedef struct {
    uint64_t low, high;   /* bytes of RAM from 0, and from 4 GiB */
    uint64_t device_base, device_size; /* for memory modules; size 0: none */
    uint64_t hole64, hole64_size;      /* for PCI above all of that */
} X86Memory;

/* Its low limit depends on the board: split is the most RAM below 4 GiB, low what stays when there is more;
   hole64_size of PCI. */
void x86_memory(const Machine *m, uint64_t split, uint64_t low, uint64_t hole64_size, X86Memory *out);
/* A CPU's APIC id: socket, die, core and thread, each in bits of its own. */
uint32_t x86_apic_id(const MachineSmp *smp, unsigned cpu);
void x86_cpu_ids(const MachineOptions *options, unsigned cpu, MachineCpuIds *ids);
unsigned x86_cpu_node(const MachineOptions *options, unsigned cpu);
bool x86_smbios(Machine *m, const X86Memory *mem, SmbiosMachine *s, SmbiosRange *ranges, GError **error);

/* ---- x86_tables.c ------------------------------------------------------------------ */

/* io_apics: of one (24 lines) or two; overrides: those of ISA. */
AcpiTable *x86_madt(const Machine *m, unsigned io_apics, bool overrides);
bool x86_affinity(const Machine *m, const X86Memory *mem, const GArray *dimms, AcpiTables *s,
                  GError **error);
