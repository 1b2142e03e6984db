/* SPDX-License-Identifier: MIT */
/*
 * Error Record Serialization Table: how the firmware's store of error records is asked, here by two
 * registers of a PCI device: ACTION at 0 and VALUE at 8. ACPI 6.4 18.5.
 */
#include "acpi/tables.h"

/* Instructions (table 18.23). */
enum { READ = 0, READ_VALUE = 1, WRITE = 2, WRITE_VALUE = 3 };
/* Actions (table 18.21). */
enum {
    BEGIN_WRITE, BEGIN_READ, BEGIN_CLEAR, END_OPERATION, SET_RECORD_OFFSET, EXECUTE, CHECK_BUSY,
    GET_STATUS, GET_RECORD_ID, SET_RECORD_ID, GET_RECORD_COUNT, BEGIN_DUMMY_WRITE,
    GET_RANGE = 0xd, GET_LENGTH, GET_ATTRIBUTES, GET_TIMINGS,
};
/* What EXECUTE wants to see in VALUE, so that a stray write does nothing. */
enum { EXECUTE_KEY = 0x9c };
enum { ENTRY_SIZE = 32, HEADER_SIZE = 48, VALUE_AT = 8 };

static void entry(AcpiTable *t, uint8_t action, uint8_t instruction, uint8_t bits, uint64_t address,
                  uint64_t value)
{
    acpi_u8(t, action);
    acpi_u8(t, instruction);
    acpi_u8(t, 0);
    acpi_u8(t, 0);
    acpi_gas(t, ACPI_SPACE_MEMORY, bits, bits == 64 ? 4 : 3, address);
    acpi_u64(t, value);
    acpi_u64(t, bits == 64 ? UINT64_MAX : UINT32_MAX);
}

AcpiTable *acpi_erst(uint64_t registers)
{
    AcpiTable *t = acpi_table_new("ERST", 1);
    uint64_t value = registers + VALUE_AT;
    acpi_u32(t, HEADER_SIZE);
    acpi_u32(t, 0);
    acpi_u32(t, 0);
    for (uint8_t a = BEGIN_WRITE; a <= GET_TIMINGS; a++) {
        if (a == 0xc)
            continue;
        bool wide = a == GET_RECORD_ID || a == SET_RECORD_ID || a == GET_RANGE || a == GET_LENGTH ||
                    a == GET_TIMINGS;
        uint8_t bits = wide ? 64 : 32;
        if (a == SET_RECORD_OFFSET || a == SET_RECORD_ID)
            entry(t, a, WRITE, bits, value, 0);
        if (a == EXECUTE)
            entry(t, a, WRITE_VALUE, bits, value, EXECUTE_KEY);
        entry(t, a, WRITE_VALUE, 32, registers, a);
        if (a == CHECK_BUSY)
            entry(t, a, READ_VALUE, bits, value, 1);
        else if (a == GET_STATUS || a == GET_RECORD_ID || a == GET_RECORD_COUNT || a >= GET_RANGE)
            entry(t, a, READ, bits, value, 0);
    }
    acpi_set32(t, 44, (uint32_t)((acpi_size(t) - HEADER_SIZE) / ENTRY_SIZE));
    return t;
}
