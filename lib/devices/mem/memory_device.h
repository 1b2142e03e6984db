/* SPDX-License-Identifier: MIT */
/* Memory modules: what tables need to know of them. */
#pragma once

#include "devices/device.h"

typedef struct {
    Device dev;
    char *memdev; /* the memory backend */
    uint64_t addr;
    uint32_t slot, node;
    uint64_t label_size; /* of NVDIMMs */
    bool unarmed;
} MemoryDevice;

enum { MEMORY_SLOT_AUTO = UINT32_MAX };

extern const DeviceType nvdimm_type, pc_dimm_type;
