/* SPDX-License-Identifier: MIT */
/*
 * A syscon-poweroff or syscon-reboot node: description only. It tells the guest which value to write
 * into which register of a syscon (property regmap) for the machine to go off or start again.
 */
#include "devices/device.h"

typedef struct {
    Device dev;
    bool reboot;
    uint32_t offset, value;
} SysconPower;

static void power_fdt(const Device *dev, const DeviceFdt *ctx)
{
    const SysconPower *power = (const SysconPower *)dev;
    const char *name = power->reboot ? "reboot" : "poweroff";
    g_autofree char *path = g_strdup_printf("%s/%s", ctx->parent, name);
    fdt_tree_node(ctx->tree, path);
    fdt_tree_string(ctx->tree, path, "compatible",
                    power->reboot ? "syscon-reboot" : "syscon-poweroff");
    fdt_tree_u32(ctx->tree, path, "regmap", ctx->regmap);
    fdt_tree_u32(ctx->tree, path, "offset", power->offset);
    fdt_tree_u32(ctx->tree, path, "value", power->value);
}

static const DeviceProp power_props[] = {
    {.name = "reboot", .kind = DEVICE_BOOL, .offset = offsetof(SysconPower, reboot),
     .help = "the node is syscon-reboot, else syscon-poweroff"},
    {.name = "offset", .kind = DEVICE_U32, .offset = offsetof(SysconPower, offset),
     .help = "of the register in the syscon"},
    {.name = "value", .kind = DEVICE_U32, .offset = offsetof(SysconPower, value),
     .help = "what to write"},
    {.name = NULL},
};

const DeviceType syscon_power_type = {
    .name = "syscon-power",
    .summary = "device-tree node for power-off or reboot through a syscon",
    .size = sizeof(SysconPower),
    .props = power_props,
    .fdt = power_fdt,
};
