/* SPDX-License-Identifier: MIT */
/* Multiple APIC Description Table. ACPI 6.4 5.2.12. */
#include "acpi/tables.h"

#include "base/bytes.h"

#include <string.h>

enum {
    LAPIC = 0, IOAPIC = 1, OVERRIDE = 2, LAPIC_NMI = 4, X2APIC = 9, X2APIC_NMI = 10, GICC = 11,
    GICD = 12, MSI_FRAME = 13, GICR = 14, ITS = 15,
};
enum { ENABLED = 1 };

static void head(AcpiTable *t, uint8_t type, uint8_t len)
{
    acpi_u8(t, type);
    acpi_u8(t, len);
}

AcpiTable *acpi_madt(uint8_t revision, uint32_t local_apic, uint32_t flags)
{
    AcpiTable *t = acpi_table_new("APIC", revision);
    acpi_u32(t, local_apic);
    acpi_u32(t, flags);
    return t;
}

size_t acpi_madt_cpu_bytes(uint8_t out[16], uint32_t uid, uint32_t apic_id, bool enabled)
{
    memset(out, 0, 16);
    if (apic_id < 255 && uid < 255) {
        out[0] = LAPIC;
        out[1] = 8;
        out[2] = (uint8_t)uid;
        out[3] = (uint8_t)apic_id;
        st_le32(out + 4, enabled ? ENABLED : 0);
    } else {
        out[0] = X2APIC;
        out[1] = 16;
        st_le32(out + 4, apic_id);
        st_le32(out + 8, enabled ? ENABLED : 0);
        st_le32(out + 12, uid);
    }
    return out[1];
}

void acpi_madt_cpu(AcpiTable *t, uint32_t uid, uint32_t apic_id, bool enabled)
{
    uint8_t bytes[16];
    size_t len = acpi_madt_cpu_bytes(bytes, uid, apic_id, enabled);
    acpi_raw(t, bytes, len);
}

void acpi_madt_ioapic(AcpiTable *t, uint8_t id, uint32_t address, uint32_t first)
{
    head(t, IOAPIC, 12);
    acpi_u8(t, id);
    acpi_u8(t, 0);
    acpi_u32(t, address);
    acpi_u32(t, first);
}

void acpi_madt_override(AcpiTable *t, uint8_t irq, uint32_t line, uint16_t flags)
{
    head(t, OVERRIDE, 10);
    acpi_u8(t, 0); /* ISA */
    acpi_u8(t, irq);
    acpi_u32(t, line);
    acpi_u16(t, flags);
}

void acpi_madt_nmi(AcpiTable *t, bool x2, uint8_t lint)
{
    head(t, x2 ? X2APIC_NMI : LAPIC_NMI, x2 ? 12 : 6);
    if (!x2)
        acpi_u8(t, 0xff);
    acpi_u16(t, 0);
    if (x2)
        acpi_u32(t, 0xffffffff);
    acpi_u8(t, lint);
    if (x2)
        acpi_zero(t, 3);
}

void acpi_madt_gicd(AcpiTable *t, uint64_t base, uint8_t version)
{
    head(t, GICD, 24);
    acpi_u16(t, 0);
    acpi_u32(t, 0);
    acpi_u64(t, base);
    acpi_u32(t, 0);
    acpi_u8(t, version);
    acpi_zero(t, 3);
}

void acpi_madt_gicc(AcpiTable *t, const AcpiGicc *g)
{
    head(t, GICC, 80);
    acpi_u16(t, 0);
    acpi_u32(t, g->interface);
    acpi_u32(t, g->uid);
    acpi_u32(t, g->flags);
    acpi_u32(t, 0); /* parking */
    acpi_u32(t, g->performance_gsi);
    acpi_u64(t, 0);
    acpi_u64(t, g->base);
    acpi_u64(t, g->gicv);
    acpi_u64(t, g->gich);
    acpi_u32(t, g->vgic_gsi);
    acpi_u64(t, g->redistributor);
    acpi_u64(t, g->mpidr);
    acpi_u8(t, 0);
    acpi_u8(t, 0);
    acpi_u16(t, 0); /* statistical profiling */
}

void acpi_madt_gicr(AcpiTable *t, uint64_t base, uint32_t len)
{
    head(t, GICR, 16);
    acpi_u16(t, 0);
    acpi_u64(t, base);
    acpi_u32(t, len);
}

void acpi_madt_its(AcpiTable *t, uint32_t id, uint64_t base)
{
    head(t, ITS, 20);
    acpi_u16(t, 0);
    acpi_u32(t, id);
    acpi_u64(t, base);
    acpi_u32(t, 0);
}

void acpi_madt_msi_frame(AcpiTable *t, uint32_t id, uint64_t base, uint32_t flags, uint16_t count,
                         uint16_t first)
{
    head(t, MSI_FRAME, 24);
    acpi_u16(t, 0);
    acpi_u32(t, id);
    acpi_u64(t, base);
    acpi_u32(t, flags);
    acpi_u16(t, count);
    acpi_u16(t, first);
}
