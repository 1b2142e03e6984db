/* SPDX-License-Identifier: MIT */
/* What boards need to know of bridges that are only described. */
#pragma once

#include "devices/device.h"

typedef struct {
    Device dev;
    DevicePci pci;
    PciBus *bus; /* made when first needed */
    uint32_t bus_nr, numa_node; /* of pxb and pxb-pcie */
} DescribedBridge;

extern const DeviceType pxb_type, pxb_pcie_type, described_root_port_type, described_downstream_type;
