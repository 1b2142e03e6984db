/* SPDX-License-Identifier: MIT */
/* The bridge to ISA in PIIX3, as ACPI describes it, and what bridges to ISA share. */
#include "devices/isa/isa_bridge.h"

/* Devices on ISA have no place but their ports. */
bool isa_bridge_plug(Device *slot, Device *dev, GError **error)
{
    return true;
}

bool isa_bridge_plugged(const Device *slot)
{
    return false;
}

DevicePci *isa_bridge_pci(Device *dev)
{
    return &((IsaBridge *)dev)->pci;
}

static void piix3_acpi(const Device *dev, const DeviceAcpi *ctx)
{
    aml_asl(ctx->aml,
            "OperationRegion (P40C, PCI_Config, 0x60, 4)"
            "Scope (\\_SB) { Field (%s.P40C, ByteAcc, NoLock, Preserve) {"
            " PRQ0, 8, PRQ1, 8, PRQ2, 8, PRQ3, 8 } }",
            ctx->path);
}

const DeviceType piix3_type = {
    .name = "PIIX3",
    .summary = "bridge to ISA in PIIX3",
    .size = sizeof(IsaBridge),
    .described = true,
    .fixed = true,
    .offers = "isa",
    .bus_name = "isa.0",
    .plug = isa_bridge_plug,
    .plugged = isa_bridge_plugged,
    .pci = isa_bridge_pci,
    .acpi = piix3_acpi,
};
