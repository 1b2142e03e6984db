/* SPDX-License-Identifier: MIT */
/* The real-time clock of a PC, as ACPI describes it. */
#include "devices/device.h"

static void rtc_acpi(const Device *dev, const DeviceAcpi *ctx)
{
    Aml *a = ctx->aml;
    aml_device(a, "RTC");
    aml_name_eisaid(a, "_HID", "PNP0B00");
    aml_resources(a, "_CRS");
    aml_io(a, 0x70, 0x70, 1, 8);
    aml_irq(a, 8);
    aml_end(a);
    aml_end(a);
}

const DeviceType mc146818rtc_type = {
    .name = "mc146818rtc",
    .summary = "real-time clock of a PC",
    .size = sizeof(Device),
    .described = true,
    .slot = "isa",
    .acpi = rtc_acpi,
};
