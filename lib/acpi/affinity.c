/* SPDX-License-Identifier: MIT */
/* Which CPUs and memory are near each other: SRAT (5.2.16), SLIT (5.2.17), HMAT (5.2.27), PPTT
   (5.2.30) of ACPI 6.4. */
#include "acpi/tables.h"

AcpiTable *acpi_srat(uint8_t revision)
{
    AcpiTable *t = acpi_table_new("SRAT", revision);
    acpi_u32(t, 1);
    acpi_u64(t, 0);
    return t;
}

void acpi_srat_cpu(AcpiTable *t, uint32_t apic_id, uint32_t node)
{
    bool x2 = apic_id >= 255;
    acpi_u8(t, x2 ? 2 : 0);
    acpi_u8(t, x2 ? 24 : 16);
    if (x2) {
        acpi_u16(t, 0);
        acpi_u32(t, node);
        acpi_u32(t, apic_id);
        acpi_u32(t, 1);
        acpi_u32(t, 0);
        acpi_u32(t, 0);
        return;
    }
    acpi_u8(t, (uint8_t)node);
    acpi_u8(t, (uint8_t)apic_id);
    acpi_u32(t, 1);
    acpi_u8(t, 0);
    for (unsigned shift = 8; shift < 32; shift += 8)
        acpi_u8(t, (uint8_t)(node >> shift));
    acpi_u32(t, 0);
}

void acpi_srat_gicc(AcpiTable *t, uint32_t uid, uint32_t node)
{
    acpi_u8(t, 3);
    acpi_u8(t, 18);
    acpi_u32(t, node);
    acpi_u32(t, uid);
    acpi_u32(t, 1);
    acpi_u32(t, 0);
}

void acpi_srat_memory(AcpiTable *t, uint64_t base, uint64_t len, uint32_t node, uint32_t flags)
{
    acpi_u8(t, 1);
    acpi_u8(t, 40);
    acpi_u32(t, node);
    acpi_u16(t, 0);
    acpi_u64(t, base);
    acpi_u64(t, len);
    acpi_u32(t, 0);
    acpi_u32(t, flags);
    acpi_u64(t, 0);
}

AcpiTable *acpi_slit(unsigned count, const uint8_t *distance)
{
    AcpiTable *t = acpi_table_new("SLIT", 1);
    acpi_u64(t, count);
    acpi_raw(t, distance, (size_t)count * count);
    return t;
}

AcpiTable *acpi_hmat(void)
{
    AcpiTable *t = acpi_table_new("HMAT", 2);
    acpi_u32(t, 0);
    return t;
}

static void hmat_head(AcpiTable *t, uint16_t type, uint32_t len)
{
    acpi_u16(t, type);
    acpi_u16(t, 0);
    acpi_u32(t, len);
}

void acpi_hmat_node(AcpiTable *t, bool has_initiator, uint32_t initiator, uint32_t memory)
{
    hmat_head(t, 0, 40);
    acpi_u16(t, has_initiator);
    acpi_u16(t, 0);
    acpi_u32(t, initiator);
    acpi_u32(t, memory);
    acpi_zero(t, 20);
}

void acpi_hmat_matrix(AcpiTable *t, uint8_t hierarchy, uint8_t data, uint64_t base,
                      unsigned initiators, const uint32_t *initiator, unsigned targets,
                      const uint32_t *target, const uint16_t *entries)
{
    hmat_head(t, 1, 32 + 4 * (initiators + targets) + 2 * initiators * targets);
    acpi_u8(t, hierarchy);
    acpi_u8(t, data);
    acpi_u16(t, 0);
    acpi_u32(t, initiators);
    acpi_u32(t, targets);
    acpi_u32(t, 0);
    acpi_u64(t, base);
    for (unsigned i = 0; i < initiators; i++)
        acpi_u32(t, initiator[i]);
    for (unsigned i = 0; i < targets; i++)
        acpi_u32(t, target[i]);
    for (unsigned i = 0; i < initiators * targets; i++)
        acpi_u16(t, entries[i]);
}

void acpi_hmat_cache(AcpiTable *t, uint32_t node, uint64_t size, uint32_t attributes)
{
    hmat_head(t, 2, 32);
    acpi_u32(t, node);
    acpi_u32(t, 0);
    acpi_u64(t, size);
    acpi_u32(t, attributes);
    acpi_u16(t, 0);
    acpi_u16(t, 0); /* SMBIOS handles */
}

AcpiTable *acpi_pptt(void)
{
    return acpi_table_new("PPTT", 2);
}

uint32_t acpi_pptt_node(AcpiTable *t, uint32_t flags, uint32_t parent, uint32_t id)
{
    uint32_t at = (uint32_t)acpi_size(t);
    acpi_u8(t, 0);
    acpi_u8(t, 20);
    acpi_u16(t, 0);
    acpi_u32(t, flags);
    acpi_u32(t, parent);
    acpi_u32(t, id);
    acpi_u32(t, 0); /* private resources */
    return at;
}
