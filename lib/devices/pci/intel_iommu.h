/* SPDX-License-Identifier: MIT */
/* What boards need to know of Intel's IOMMU. */
#pragma once

#include "devices/device.h"

typedef struct {
    Device dev;
    char *intremap;
    bool device_iotlb;
    uint32_t aw_bits;
} IntelIommu;

extern const DeviceType intel_iommu_type;
