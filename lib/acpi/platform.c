/* SPDX-License-Identifier: MIT */
/*
 * Small tables of single devices: HPET (IA-PC HPET 1.0a 3.2.4), MCFG (PCI Firmware 3.3 4.1.2), WAET
 * (Windows ACPI Emulated Devices Table 1.0), TPM2 and TCPA (TCG ACPI 1.2), SPCR and DBG2
 * (Microsoft's pages of those names).
 */
#include "acpi/tables.h"

#include <string.h>

AcpiTable *acpi_hpet(uint32_t hardware_id, uint64_t address)
{
    AcpiTable *t = acpi_table_new("HPET", 1);
    acpi_u32(t, hardware_id);
    acpi_gas(t, ACPI_SPACE_MEMORY, 0, 0, address);
    acpi_u8(t, 0);
    acpi_u16(t, 0);
    acpi_u8(t, 0);
    return t;
}

AcpiTable *acpi_mcfg(uint64_t base, uint16_t segment, uint8_t first_bus, uint8_t last_bus)
{
    AcpiTable *t = acpi_table_new("MCFG", 1);
    acpi_u64(t, 0);
    acpi_u64(t, base);
    acpi_u16(t, segment);
    acpi_u8(t, first_bus);
    acpi_u8(t, last_bus);
    acpi_u32(t, 0);
    return t;
}

AcpiTable *acpi_waet(uint32_t flags)
{
    AcpiTable *t = acpi_table_new("WAET", 1);
    acpi_u32(t, flags);
    return t;
}

AcpiTable *acpi_tpm2(uint16_t platform, uint64_t control, uint32_t start, const char *log_file,
                     uint32_t log_len)
{
    AcpiTable *t = acpi_table_new("TPM2", 4);
    acpi_u16(t, platform);
    acpi_u16(t, 0);
    acpi_u64(t, control);
    acpi_u32(t, start);
    acpi_zero(t, 12);
    acpi_u32(t, log_file ? log_len : 0);
    size_t at = acpi_size(t);
    acpi_u64(t, 0);
    if (log_file)
        acpi_pointer(t, at, 8, log_file);
    return t;
}

AcpiTable *acpi_tcpa(uint16_t platform, const char *log_file, uint32_t log_len)
{
    AcpiTable *t = acpi_table_new("TCPA", 2);
    acpi_u16(t, platform);
    acpi_u32(t, log_len);
    size_t at = acpi_size(t);
    acpi_u64(t, 0);
    acpi_pointer(t, at, 8, log_file);
    return t;
}

AcpiTable *acpi_spcr(uint8_t revision, const AcpiSpcr *s)
{
    AcpiTable *t = acpi_table_new("SPCR", revision);
    acpi_u8(t, s->type);
    acpi_zero(t, 3);
    acpi_gas(t, s->base.space, s->base.bits, s->base.access, s->base.address);
    acpi_u8(t, s->interrupt_type);
    acpi_u8(t, s->irq);
    acpi_u32(t, s->gsi);
    acpi_u8(t, s->baud);
    acpi_u8(t, 0); /* no parity */
    acpi_u8(t, 1); /* one stop bit */
    acpi_u8(t, s->flow);
    acpi_u8(t, s->terminal);
    acpi_u8(t, 0);
    acpi_u16(t, 0xffff); /* not a PCI device */
    acpi_u16(t, 0xffff);
    acpi_zero(t, 3);
    acpi_u32(t, 0);
    acpi_u8(t, 0);
    acpi_u32(t, 0);
    return t;
}

AcpiTable *acpi_dbg2(uint16_t subtype, const AcpiGas *base, uint32_t size, const char *path)
{
    enum { INFO = 22, GAS = 12 };
    uint16_t name_at = INFO + GAS + 4, name_len = (uint16_t)(strlen(path) + 1);
    AcpiTable *t = acpi_table_new("DBG2", 0);
    acpi_u32(t, ACPI_HEADER + 8);
    acpi_u32(t, 1);
    acpi_u8(t, 0);
    acpi_u16(t, (uint16_t)(name_at + name_len));
    acpi_u8(t, 1); /* one address */
    acpi_u16(t, name_len);
    acpi_u16(t, name_at);
    acpi_u16(t, 0);
    acpi_u16(t, 0);
    acpi_u16(t, 0x8000); /* serial */
    acpi_u16(t, subtype);
    acpi_u16(t, 0);
    acpi_u16(t, INFO);
    acpi_u16(t, INFO + GAS);
    acpi_gas(t, base->space, base->bits, base->access, base->address);
    acpi_u32(t, size);
    acpi_raw(t, path, name_len);
    return t;
}
