/* SPDX-License-Identifier: MIT */
/* Slots that boards which are only described have beside PCI: devices with memory of the machine's
   ("system"), ISA, and memory modules ("dimm"). */
#include "devices/device.h"

static bool bus_plug(Device *slot, Device *dev, GError **error)
{
    return true;
}

static bool bus_plugged(const Device *slot)
{
    return false;
}

const DeviceType described_system_type = {
    .name = "system-bus",
    .summary = "what is neither on PCI nor on ISA",
    .size = sizeof(Device),
    .described = true,
    .offers = "system",
    .bus_name = "main-system-bus",
    .plug = bus_plug,
    .plugged = bus_plugged,
};

const DeviceType described_isa_type = {
    .name = "isa-bus",
    .summary = "ISA without a bridge",
    .size = sizeof(Device),
    .described = true,
    .offers = "isa",
    .bus_name = "isa.0",
    .plug = bus_plug,
    .plugged = bus_plugged,
};

const DeviceType described_dimm_type = {
    .name = "dimm-slots",
    .summary = "slots for memory modules",
    .size = sizeof(Device),
    .described = true,
    .offers = "dimm",
    .bus_name = "dimm",
    .plug = bus_plug,
    .plugged = bus_plugged,
};
