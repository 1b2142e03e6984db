/* SPDX-License-Identifier: MIT */
/* The bridge to the low pin count bus in ICH9, as ACPI describes it: routing registers of the PCI interrupts,
   and what hangs on it. The properties are those of ICH9's power management. */
#include "devices/device.h"

#include "devices/isa/isa_bridge.h"

static void lpc_acpi(const Device *dev, const DeviceAcpi *ctx)
{
    aml_asl(ctx->aml,
            "OperationRegion (PIRQ, PCI_Config, 0x60, 0x0C)"
            "Scope (\\_SB) { Field (%s.PIRQ, ByteAcc, NoLock, Preserve) {"
            " PRQA, 8, PRQB, 8, PRQC, 8, PRQD, 8, Offset (8), PRQE, 8, PRQF, 8, PRQG, 8, PRQH, 8 } }",
            ctx->path);
}

static const DeviceProp lpc_props[] = {
    ISA_BRIDGE_POWER_PROPS(IsaBridge),
    {.name = NULL},
};

const DeviceType ich9_lpc_type = {
    .name = "ICH9-LPC",
    .summary = "bridge to the low pin count bus of ICH9",
    .size = sizeof(IsaBridge),
    .props = lpc_props,
    .described = true,
    .fixed = true,
    .offers = "isa",
    .bus_name = "isa.0",
    .plug = isa_bridge_plug,
    .plugged = isa_bridge_plugged,
    .pci = isa_bridge_pci,
    .acpi = lpc_acpi,
};
