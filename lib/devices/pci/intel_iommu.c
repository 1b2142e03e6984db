/* SPDX-License-Identifier: MIT */
/* Intel's I/O memory management unit, as DMAR describes it. */
#include "devices/pci/intel_iommu.h"

static const DeviceProp iommu_props[] = {
    {"intremap", DEVICE_STRING, offsetof(IntelIommu, intremap), "auto", 0, 0,
     "interrupts go through it (on, off, auto)"},
    {"device-iotlb", DEVICE_BOOL, offsetof(IntelIommu, device_iotlb), "off", 0, 0,
     "devices keep translations"},
    {"aw-bits", DEVICE_U32, offsetof(IntelIommu, aw_bits), "39", 39, 48, "bits of an address: 39 or 48"},
    {.name = NULL},
};

const DeviceType intel_iommu_type = {
    .name = "intel-iommu",
    .single = "IOMMU",
    .summary = "I/O memory management unit of Intel",
    .size = sizeof(IntelIommu),
    .props = iommu_props,
    .described = true,
    .slot = "system",
};
