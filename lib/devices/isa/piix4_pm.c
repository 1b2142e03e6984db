/* SPDX-License-Identifier: MIT */
/* Power management of PIIX4, a PCI function with properties that tables depend on. */
#include "devices/isa/isa_bridge.h"

static const DeviceProp pm_props[] = {
    ISA_BRIDGE_POWER_PROPS(IsaBridge),
    {"acpi-root-pci-hotplug", DEVICE_BOOL, offsetof(IsaBridge, power.root_hotplug), "on", 0, 0,
     "ACPI plugs on the root bus"},
    {.name = NULL},
};

const DeviceType piix4_pm_type = {
    .name = "PIIX4_PM",
    .summary = "power management of PIIX4",
    .size = sizeof(IsaBridge),
    .props = pm_props,
    .described = true,
    .fixed = true,
    .pci = isa_bridge_pci,
};
