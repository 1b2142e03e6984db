/* SPDX-License-Identifier: MIT */
/* Helpers for boards with ACPI and SMBIOS tables. */
#pragma once

#include "acpi/aml.h"
#include "acpi/tables.h"
#include "machines/acpi.h"
#include "machines/machine_priv.h"

/* Of -M, for a board's table of properties. */
#define MACHINE_ACPI_PROPS                                                                         \
    {.name = "x-oem-id", .def = "BOCHS ", .help = "OEM id of ACPI tables, up to 6 characters"},    \
        {.name = "x-oem-table-id", .def = "BXPC    ",                                              \
         .help = "OEM table id of ACPI tables, up to 8 characters"},                               \
        {.name = "smbios-entry-point-type", .help = "entry point of SMBIOS: 32 or 64"},            \
        {.name = "smbios-ep", .help = "the same: 2-1 or 3-0"}

/* Checks them; in build. */
bool machine_acpi_props(const Machine *m, GError **error);
/* ep64 stays as it is where nothing was said... */
bool machine_smbios_ep64(const Machine *m, bool *ep64, GError **error);
/* A set with the machine's ids, or those of a user's SLIC. */
AcpiTables *machine_acpi_begin(const Machine *m, bool xsdt);
/* The user's tables. */
bool machine_acpi_user(const Machine *m, AcpiTables *s, GError **error);
/* A DSDT or SSDT of what was written. */
AcpiTable *machine_acpi_aml(const char *signature, uint8_t revision, Aml *aml, GError **error);
/* Gives serial and parallel ports without a number the next. */
bool machine_number_ports(Machine *m, GError **error);
/* A further host bridge. */
bool machine_is_pxb(const Device *dev);
/* VIOT for a virtio-iommu on that place of the root bus. */
AcpiTable *machine_viot(const Machine *m, uint16_t bdf);
/* _OSC of a PCI host bridge that leaves these bits to the OS. */
void machine_acpi_osc(Aml *a, unsigned control);
void machine_acpi_clear(Machine *m);

/* ---- dimms.c ---- */

/* A memory module with its place. */
typedef struct {
    const Device *device;
    unsigned slot, node;
    uint64_t base, size;
    bool nvdimm;
} MachineDimm;
/* All modules, sorted by slot (MachineDimm), in a range set aside for them; size 0: there is none. NULL with
   *error when they do not fit. */
GArray *machine_dimms(const Machine *m, uint64_t base, uint64_t size, GError **error);

/* ---- distances.c ---- */

/* SLIT, of any board with NUMA. */
AcpiTable *machine_slit(const Machine *m);
/* HMAT, if -M hmat=on; any board with NUMA. */
bool machine_hmat(const Machine *m, AcpiTables *s, GError **error);

/* ---- hotplug.c: controllers that add and remove CPUs and memory ------------------------------ */

/* pci0: the path of the bridge its resources are listed under; ports from base. event: the method
   that scans. */
void acpi_cpu_hotplug(const Machine *m, Aml *a, const char *parent, uint16_t base, const char *event);
/* memory: registers in memory rather than ports. With event NULL something else calls MSCN. */
void acpi_memory_hotplug(const Machine *m, Aml *a, const char *parent, uint64_t base, bool memory,
                         const char *event);

/* ---- ssdt.c: parts of the namespace with memory of their own --------------------------------- */

/* event: "\\_GPE._E05", or NULL */
bool acpi_vmgenid(const Machine *m, AcpiTables *s, const char *event, GError **error);
bool acpi_nvdimm_table(const Machine *m, const GArray *dimms, AcpiTables *s, const char *event, GError **error);
