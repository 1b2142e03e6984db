/* SPDX-License-Identifier: MIT */
/*
 * The clock chip of Arm boards (PrimeCell PL031, ARM DDI 0224): a description, without registers yet.
 */
#include "devices/device.h"

static void rtc_fdt(const Device *dev, const DeviceFdt *ctx)
{
    g_autofree char *path = device_fdt_node(dev, ctx, "pl031", 0);
    device_fdt_primecell(ctx, path, "arm,pl031", NULL);
}

static const DeviceRegion rtc_regions[] = {
    {.name = "pl031", .size = 0x1000},
    {.name = NULL},
};

const DeviceType pl031_type = {
    .name = "pl031",
    .summary = "PrimeCell real-time clock (description)",
    .size = sizeof(Device),
    .regions = rtc_regions,
    .fdt = rtc_fdt,
};
