/* SPDX-License-Identifier: MIT */
/* Fixed ACPI Description Table, in the lengths of its revisions 1, 3, 5 and 6. ACPI 6.4 5.2.9. */
#include "acpi/tables.h"

/* Offsets of fields that hold addresses. */
enum { FACS_AT = 36, DSDT_AT = 40, X_DSDT_AT = 140 };

static void gas(AcpiTable *t, const AcpiGas *g)
{
    acpi_gas(t, g->space, g->bits, g->access, g->address);
}

static void block(AcpiTable *t, uint32_t port, unsigned bytes)
{
    if (port)
        acpi_gas(t, ACPI_SPACE_PORTS, (uint8_t)(8 * bytes), 0, port);
    else
        acpi_gas(t, 0, 0, 0, 0);
}

static void first_part(AcpiTable *t, const AcpiFadt *f)
{
    acpi_u32(t, f->facs);
    acpi_u32(t, f->only_x_dsdt ? 0 : f->dsdt);
    if (f->has_facs)
        acpi_pointer(t, FACS_AT, 4, ACPI_FILE_TABLES);
    if (!f->only_x_dsdt)
        acpi_pointer(t, DSDT_AT, 4, ACPI_FILE_TABLES);
    acpi_u8(t, f->int_model);
    acpi_u8(t, 0); /* profile: unspecified */
    acpi_u16(t, f->sci_int);
    acpi_u32(t, f->smi_cmd);
    acpi_u8(t, f->acpi_enable);
    acpi_u8(t, f->acpi_disable);
    acpi_u16(t, 0);
    acpi_u32(t, f->pm1a_evt);
    acpi_u32(t, 0);
    acpi_u32(t, f->pm1a_cnt);
    acpi_u32(t, 0);
    acpi_u32(t, 0);
    acpi_u32(t, f->pm_tmr);
    acpi_u32(t, f->gpe0);
    acpi_u32(t, 0);
    acpi_u8(t, f->pm1a_evt ? 4 : 0);
    acpi_u8(t, f->pm1a_cnt ? 2 : 0);
    acpi_u8(t, 0);
    acpi_u8(t, f->pm_tmr ? 4 : 0);
    acpi_u8(t, f->gpe0_len);
    acpi_zero(t, 3);
    acpi_u16(t, f->c2_latency);
    acpi_u16(t, f->c3_latency);
    acpi_zero(t, 8);
    acpi_u8(t, f->century);
    acpi_u16(t, f->iapc_boot_arch);
    acpi_u8(t, 0);
    acpi_u32(t, f->flags);
}

/* The 64-bit copies. */
static void second_part(AcpiTable *t, const AcpiFadt *f)
{
    gas(t, &f->reset);
    acpi_u8(t, f->reset_value);
    acpi_u16(t, f->arm_boot_arch);
    acpi_u8(t, f->minor);
    acpi_u64(t, 0);
    acpi_u64(t, f->dsdt);
    acpi_pointer(t, X_DSDT_AT, 8, ACPI_FILE_TABLES);
    block(t, f->pm1a_evt, 4);
    block(t, 0, 0);
    block(t, f->pm1a_cnt, 2);
    block(t, 0, 0);
    block(t, 0, 0);
    block(t, f->pm_tmr, 4);
    block(t, f->gpe0, f->gpe0_len);
    block(t, 0, 0);
}

AcpiTable *acpi_fadt(const AcpiFadt *f)
{
    AcpiTable *t = acpi_table_new("FACP", f->revision);
    first_part(t, f);
    if (f->revision >= 3)
        second_part(t, f);
    if (f->revision >= 5) {
        gas(t, &f->sleep_control);
        gas(t, &f->sleep_status);
    }
    if (f->revision >= 6)
        acpi_raw(t, "QEMU\0\0\0", 8); /* hypervisor vendor: what this board is known as */
    return t;
}
