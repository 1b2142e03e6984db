/* SPDX-License-Identifier: MIT */
/* What bridges from PCI to ISA share. */
#pragma once

#include "devices/device.h"

/* Of a chipset's power management, wherever its registers are. */
typedef struct {
    uint32_t disable_s3, disable_s4, s4_val;
    bool bridge_hotplug, root_hotplug;
} ChipsetPower;

typedef struct {
    Device dev;
    DevicePci pci;
    ChipsetPower power;
} IsaBridge;

#define ISA_BRIDGE_POWER_PROPS(Type)                                                               \
    {"disable_s3", DEVICE_U32, offsetof(Type, power.disable_s3), "0", 0, 1,                        \
     "1: no suspending to RAM"},                                                                   \
        {"disable_s4", DEVICE_U32, offsetof(Type, power.disable_s4), "0", 0, 1,                    \
         "1: no suspending to disk"},                                                              \
        {"s4_val", DEVICE_U32, offsetof(Type, power.s4_val), "2", 0, 255,                          \
         "what is written to suspend to disk"},                                                    \
        {"acpi-pci-hotplug-with-bridge-support", DEVICE_BOOL,                                      \
         offsetof(Type, power.bridge_hotplug), "on", 0, 0, "ACPI plugs behind bridges"}

bool isa_bridge_plug(Device *slot, Device *dev, GError **error);
bool isa_bridge_plugged(const Device *slot);
DevicePci *isa_bridge_pci(Device *dev);
