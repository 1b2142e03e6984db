/* SPDX-License-Identifier: MIT */
/* The generation id of a virtual machine: a GUID that changes when a machine is copied or goes back in time
   (Microsoft's "Virtual Machine Generation ID"). The table is made by the board. */
#include "devices/misc/vmgenid.h"

static const DeviceProp vmgenid_props[] = {
    {"guid", DEVICE_STRING, offsetof(Vmgenid, guid), NULL, 0, 0, "the id, or auto"},
    {.name = NULL},
};

const DeviceType vmgenid_type = {
    .name = "vmgenid",
    .single = "vmgenid",
    .summary = "generation id of the virtual machine",
    .size = sizeof(Vmgenid),
    .props = vmgenid_props,
    .described = true,
    .slot = "system",
};
