/* SPDX-License-Identifier: MIT */
/*
 * I/O memory management units: VIOT (ACPI 6.5 5.2.31; virtio 1.2 5.13), DMAR (VT-d 4.0 chapter 8),
 * IVRS (AMD I/O virtualization 3.07 chapter 5.2), IORT (Arm DEN0049).
 */
#include "acpi/tables.h"

/* ---- VIOT ---------------------------------------------------------------------------- */

AcpiTable *acpi_viot(uint16_t segment, uint16_t bdf, const AcpiPciRange *ranges, unsigned count)
{
    enum { NODES_AT = 48, VIRTIO_PCI = 3, PCI_RANGE = 1, VIRTIO_PCI_SIZE = 16, RANGE_SIZE = 24 };
    AcpiTable *t = acpi_table_new("VIOT", 0);
    acpi_u16(t, (uint16_t)(count + 1));
    acpi_u16(t, NODES_AT);
    acpi_u64(t, 0);
    acpi_u8(t, VIRTIO_PCI);
    acpi_u8(t, 0);
    acpi_u16(t, VIRTIO_PCI_SIZE);
    acpi_u16(t, segment);
    acpi_u16(t, bdf);
    acpi_u64(t, 0);
    for (unsigned i = 0; i < count; i++) {
        acpi_u8(t, PCI_RANGE);
        acpi_u8(t, 0);
        acpi_u16(t, RANGE_SIZE);
        acpi_u32(t, ranges[i].endpoint);
        acpi_u16(t, ranges[i].segment);
        acpi_u16(t, ranges[i].segment);
        acpi_u16(t, ranges[i].first_bdf);
        acpi_u16(t, ranges[i].last_bdf);
        acpi_u16(t, NODES_AT); /* the IOMMU */
        acpi_u16(t, 0);
        acpi_u32(t, 0);
    }
    return t;
}

/* ---- DMAR ------------------------------------------------------------------------------- */

static void scope(AcpiTable *t, uint8_t type, uint8_t id, uint8_t bus, uint8_t device,
                  uint8_t function)
{
    acpi_u8(t, type);
    acpi_u8(t, 8);
    acpi_u16(t, 0);
    acpi_u8(t, id);
    acpi_u8(t, bus);
    acpi_u8(t, device);
    acpi_u8(t, function);
}

AcpiTable *acpi_dmar(uint8_t address_bits, bool interrupts, uint64_t registers, uint8_t ioapic,
                     uint8_t ioapic_bus, uint8_t ioapic_device, const AcpiScope *scopes,
                     unsigned count, bool device_tlb)
{
    enum { DRHD_SIZE = 16, ENDPOINT = 1, BRIDGE = 2, IOAPIC = 3, ATSR = 2, ALL_PORTS = 1 };
    AcpiTable *t = acpi_table_new("DMAR", 1);
    acpi_u8(t, (uint8_t)(address_bits - 1));
    acpi_u8(t, interrupts);
    acpi_zero(t, 10);
    acpi_u16(t, 0);
    acpi_u16(t, (uint16_t)(DRHD_SIZE + 8 * (count + 1)));
    acpi_u8(t, 0);
    acpi_u8(t, 0);
    acpi_u16(t, 0);
    acpi_u64(t, registers);
    scope(t, IOAPIC, ioapic, ioapic_bus, ioapic_device, 0);
    for (unsigned i = 0; i < count; i++)
        scope(t, scopes[i].bridge ? BRIDGE : ENDPOINT, 0, scopes[i].bus, scopes[i].path[0],
              scopes[i].path[1]);
    if (device_tlb) {
        acpi_u16(t, ATSR);
        acpi_u16(t, 8);
        acpi_u8(t, ALL_PORTS);
        acpi_u8(t, 0);
        acpi_u16(t, 0);
    }
    return t;
}

/* ---- IVRS ----------------------------------------------------------------------------------- */

AcpiTable *acpi_ivrs(uint16_t bdf, uint16_t capability, uint64_t registers, uint32_t features,
                     const AcpiScope *scopes, unsigned count, uint8_t ioapic, uint16_t ioapic_bdf)
{
    enum { IVHD = 0x10, FLAGS = 0xd1, HEAD = 24, SELECT = 2, SPECIAL = 0x48, KIND_IOAPIC = 1 };
    AcpiTable *t = acpi_table_new("IVRS", 1);
    acpi_u32(t, 0x2800); /* addresses of 40 bits */
    acpi_u64(t, 0);
    acpi_u8(t, IVHD);
    acpi_u8(t, FLAGS);
    acpi_u16(t, (uint16_t)(HEAD + 4 * count + 8));
    acpi_u16(t, bdf);
    acpi_u16(t, capability);
    acpi_u64(t, registers);
    acpi_u16(t, 0);
    acpi_u16(t, 0);
    acpi_u32(t, features);
    for (unsigned i = 0; i < count; i++) {
        const AcpiScope *s = &scopes[i];
        acpi_u8(t, SELECT);
        acpi_u16(t, (uint16_t)(s->bus << 8 | s->path[0] << 3 | s->path[1]));
        acpi_u8(t, 0);
    }
    acpi_u8(t, SPECIAL);
    acpi_u16(t, 0);
    acpi_u8(t, 0);
    acpi_u8(t, ioapic);
    acpi_u16(t, ioapic_bdf);
    acpi_u8(t, KIND_IOAPIC);
    return t;
}

/* ---- IORT ------------------------------------------------------------------------------------ */

enum { IORT_HEAD = 48, MAP_SIZE = 20 };

AcpiTable *acpi_iort(uint8_t revision)
{
    AcpiTable *t = acpi_table_new("IORT", revision);
    acpi_u32(t, 0); /* nodes: counted as they come */
    acpi_u32(t, IORT_HEAD);
    acpi_u32(t, 0);
    return t;
}

/* One more node in the table, whose count stands behind the header. */
static uint32_t node(AcpiTable *t, uint8_t type, uint8_t revision, uint32_t identifier,
                     unsigned size, unsigned maps)
{
    uint32_t at = (uint32_t)acpi_size(t);
    acpi_set32(t, ACPI_HEADER, acpi_get32(t, ACPI_HEADER) + 1);
    acpi_u8(t, type);
    acpi_u16(t, (uint16_t)(size + MAP_SIZE * maps));
    acpi_u8(t, revision);
    acpi_u32(t, identifier);
    acpi_u32(t, maps);
    acpi_u32(t, maps ? size : 0);
    return at;
}

static void add_maps(AcpiTable *t, const AcpiIortMap *maps, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        acpi_u32(t, maps[i].input);
        acpi_u32(t, maps[i].count);
        acpi_u32(t, maps[i].output);
        acpi_u32(t, maps[i].node);
        acpi_u32(t, maps[i].flags);
    }
}

uint32_t acpi_iort_its(AcpiTable *t, uint32_t identifier, uint32_t its)
{
    uint32_t at = node(t, 0, 1, identifier, 24, 0);
    acpi_u32(t, 1);
    acpi_u32(t, its);
    return at;
}

uint32_t acpi_iort_smmu3(AcpiTable *t, uint32_t identifier, uint64_t base, const uint32_t gsi[4],
                         const AcpiIortMap *maps, unsigned count)
{
    uint32_t at = node(t, 4, 4, identifier, 68, count);
    acpi_u64(t, base);
    acpi_u32(t, 1); /* coherent accesses */
    acpi_u32(t, 0);
    acpi_u64(t, 0);
    acpi_u32(t, 0); /* generic model */
    for (unsigned i = 0; i < 4; i++)
        acpi_u32(t, gsi[i]);
    acpi_u32(t, 0);
    acpi_u32(t, 0);
    add_maps(t, maps, count);
    return at;
}

uint32_t acpi_iort_root(AcpiTable *t, uint32_t identifier, uint8_t address_bits,
                        const AcpiIortMap *maps, unsigned count)
{
    uint32_t at = node(t, 2, 3, identifier, 36, count);
    acpi_u32(t, 1); /* coherent */
    acpi_u8(t, 0);
    acpi_u16(t, 0);
    acpi_u8(t, 3);
    acpi_u32(t, 0);
    acpi_u32(t, 0);
    acpi_u8(t, address_bits);
    acpi_zero(t, 3);
    add_maps(t, maps, count);
    return at;
}
