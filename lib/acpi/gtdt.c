/* SPDX-License-Identifier: MIT */
/* Generic Timer Description Table of Arm. ACPI 6.4 5.2.24. */
#include "acpi/tables.h"

AcpiTable *acpi_gtdt(uint8_t revision, const AcpiTimer timers[4])
{
    AcpiTable *t = acpi_table_new("GTDT", revision);
    acpi_u64(t, UINT64_MAX); /* the counter has no memory-mapped registers */
    acpi_u32(t, 0);
    for (unsigned i = 0; i < 4; i++) {
        acpi_u32(t, timers[i].gsi);
        acpi_u32(t, timers[i].flags);
    }
    acpi_u64(t, UINT64_MAX);
    acpi_u32(t, 0); /* no platform timers */
    acpi_u32(t, 0);
    if (revision >= 3) {
        acpi_u32(t, 0); /* the EL2 virtual timer */
        acpi_u32(t, 0);
    }
    return t;
}
