/* SPDX-License-Identifier: MIT */
/* NVDIMM Firmware Interface Table: each memory device a range, a map and a control region of its
   own. ACPI 6.4 5.2.25. */
#include "acpi/tables.h"

#include "acpi/aml.h"

enum { RANGE = 0, MAP = 1, CONTROL = 4, CAPABILITIES = 7 };
enum { ADD_ONLY = 1, NODE_VALID = 2 };
/* EFI memory attributes: write-back, non-volatile. */
enum { ATTRIBUTES = 0x8008 };

AcpiTable *acpi_nfit(void)
{
    AcpiTable *t = acpi_table_new("NFIT", 1);
    acpi_u32(t, 0);
    return t;
}

/* Numbers of structures: ranges are even and control regions odd, from 2 and 3. */
static uint16_t range_index(unsigned slot)
{
    return (uint16_t)(2 * slot + 2);
}

static void add_range(AcpiTable *t, unsigned slot, uint64_t base, uint64_t size, uint32_t node)
{
    uint8_t guid[16];
    aml_uuid("66f0d379-b4f3-4074-ac43-0d3318b78cdb", guid); /* persistent memory */
    acpi_u16(t, RANGE);
    acpi_u16(t, 56);
    acpi_u16(t, range_index(slot));
    acpi_u16(t, ADD_ONLY | NODE_VALID);
    acpi_u32(t, 0);
    acpi_u32(t, node);
    acpi_raw(t, guid, sizeof guid);
    acpi_u64(t, base);
    acpi_u64(t, size);
    acpi_u64(t, ATTRIBUTES);
}

void acpi_nfit_dimm(AcpiTable *t, unsigned slot, uint64_t base, uint64_t size, uint32_t node,
                    bool unarmed)
{
    enum { NOT_ARMED = 1 << 3 };
    add_range(t, slot, base, size, node);
    acpi_u16(t, MAP);
    acpi_u16(t, 48);
    acpi_u32(t, slot + 1); /* device handle, as _ADR has it */
    acpi_u16(t, 0);
    acpi_u16(t, 0);
    acpi_u16(t, range_index(slot));
    acpi_u16(t, (uint16_t)(range_index(slot) + 1));
    acpi_u64(t, size);
    acpi_u64(t, 0);
    acpi_u64(t, 0);
    acpi_u16(t, 0);
    acpi_u16(t, 1); /* no interleaving */
    acpi_u16(t, unarmed ? NOT_ARMED : 0);
    acpi_u16(t, 0);

    acpi_u16(t, CONTROL);
    acpi_u16(t, 80);
    acpi_u16(t, (uint16_t)(range_index(slot) + 1));
    acpi_u16(t, 0x8086);
    acpi_u16(t, 1);
    acpi_u16(t, 1);
    acpi_zero(t, 6);
    acpi_zero(t, 6);
    acpi_u32(t, 0x123456 + slot); /* serial number */
    acpi_u16(t, 0x301);           /* byte addressable, without energy source of its own */
    acpi_u16(t, 0);
    acpi_zero(t, 48);
}

void acpi_nfit_capabilities(AcpiTable *t, uint8_t highest, uint32_t capabilities)
{
    acpi_u16(t, CAPABILITIES);
    acpi_u16(t, 16);
    acpi_u8(t, highest);
    acpi_zero(t, 3);
    acpi_u32(t, capabilities);
    acpi_u32(t, 0);
}
