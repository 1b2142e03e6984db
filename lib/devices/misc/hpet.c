/* SPDX-License-Identifier: MIT */
/* The high precision event timer, as ACPI describes it: there if its registers say so. */
#include "devices/device.h"

static void hpet_acpi(const Device *dev, const DeviceAcpi *ctx)
{
    Aml *a = ctx->aml;
    aml_device(a, "HPET");
    aml_name_eisaid(a, "_HID", "PNP0103");
    aml_name_int(a, "_UID", 0);
    aml_asl(a, "OperationRegion (HPTM, SystemMemory, 0x%08x, 0x400)"
               "Field (HPTM, DWordAcc, Lock, Preserve) { VEND, 32, PRD, 32 }"
               "Method (_STA) {"
               " Local0 = VEND >> 16 Local1 = PRD"
               " If (Local0 == 0 || Local0 == 0xffff || Local1 == 0 || Local1 > 100000000) { Return (0) }"
               " Return (0x0F) }",
            (unsigned)device_base(dev, 0));
    aml_resources(a, "_CRS");
    aml_memory32(a, false, (uint32_t)device_base(dev, 0), 0x400);
    aml_end(a);
    aml_end(a);
}

static const DeviceRegion hpet_regions[] = {
    {.name = "hpet", .size = 0x400},
    {.name = NULL},
};

const DeviceType hpet_type = {
    .name = "hpet",
    .summary = "high precision event timer",
    .size = sizeof(Device),
    .regions = hpet_regions,
    .described = true,
    .acpi = hpet_acpi,
};
