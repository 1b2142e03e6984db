/* SPDX-License-Identifier: MIT */
/* The keyboard controller of a PC, as ACPI describes it: a keyboard and a mouse. */
#include "devices/device.h"

static void i8042_acpi(const Device *dev, const DeviceAcpi *ctx)
{
    Aml *a = ctx->aml;
    aml_device(a, "KBD");
    aml_asl(a, "Name (_HID, EisaId (\"PNP0303\")) Name (_STA, 0x0F)");
    aml_resources(a, "_CRS");
    aml_io(a, 0x60, 0x60, 1, 1);
    aml_io(a, 0x64, 0x64, 1, 1);
    aml_irq(a, 1);
    aml_end(a);
    aml_end(a);
    aml_device(a, "MOU");
    aml_asl(a, "Name (_HID, EisaId (\"PNP0F13\")) Name (_STA, 0x0F)");
    aml_resources(a, "_CRS");
    aml_irq(a, 12);
    aml_end(a);
    aml_end(a);
}

const DeviceType i8042_type = {
    .name = "i8042",
    .summary = "keyboard and mouse controller of a PC",
    .size = sizeof(Device),
    .described = true,
    .slot = "isa",
    .acpi = i8042_acpi,
};
