/* SPDX-License-Identifier: MIT */
/*
 * The UART of Arm boards (PrimeCell PL011, ARM DDI 0183): a description, without registers yet.
 */
#include "devices/device.h"

static void uart_fdt(const Device *dev, const DeviceFdt *ctx)
{
    g_autofree char *path = device_fdt_node(dev, ctx, "pl011", 0);
    device_fdt_primecell(ctx, path, "arm,pl011", "uartclk");
}

static const DeviceRegion uart_regions[] = {
    {.name = "pl011", .size = 0x1000},
    {.name = NULL},
};

const DeviceType pl011_type = {
    .name = "pl011",
    .summary = "PrimeCell UART (description)",
    .size = sizeof(Device),
    .regions = uart_regions,
    .fdt = uart_fdt,
};
