/* SPDX-License-Identifier: MIT */
/*
 * SiFive's test finisher: one 32-bit register, write-only in effect. The low half of what is
 * written says how the run ends: 0x5555 pass, 0x3333 fail with the code in the high half, 0x7777
 * reset. Also a syscon, through which syscon-poweroff and syscon-reboot act.
 */
#include "devices/device.h"

enum { FINISHER_FAIL = 0x3333, FINISHER_PASS = 0x5555, FINISHER_RESET = 0x7777 };

static uint64_t test_read(Device *dev, uint64_t offset, unsigned size)
{
    return 0;
}

static void test_write(Device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    if (offset != 0 || !dev->env.power)
        return;
    uint32_t code = (uint32_t)(value >> 16) & 0xffff;
    switch (value & 0xffff) {
    case FINISHER_PASS: dev->env.power(dev->env.opaque, DEVICE_POWER_OFF, 0); break;
    case FINISHER_FAIL: dev->env.power(dev->env.opaque, DEVICE_POWER_FAIL, code); break;
    case FINISHER_RESET: dev->env.power(dev->env.opaque, DEVICE_POWER_RESET, 0); break;
    }
}

static void test_fdt(const Device *dev, const DeviceFdt *ctx)
{
    g_autofree char *path = device_fdt_node(dev, ctx, "test", 0);
    fdt_tree_strings(ctx->tree, path, "compatible", "sifive,test1", "sifive,test0", "syscon", NULL);
}

static const DeviceRegion test_regions[] = {
    {.name = "test", .size = 0x1000, .max = 4, .valid_min = 2, .valid_max = 4, .read = test_read,
     .write = test_write},
    {.name = NULL},
};

const DeviceType sifive_test_type = {
    .name = "sifive-test",
    .summary = "SiFive test finisher: power-off, failure code, reset",
    .size = sizeof(Device),
    .regions = test_regions,
    .fdt = test_fdt,
};
