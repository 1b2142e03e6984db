/* SPDX-License-Identifier: MIT */
/* Memory modules that a machine starts with besides its own memory, or gets later. */
#include "devices/mem/memory_device.h"

#define DIMM_PROPS                                                                                 \
    {"memdev", DEVICE_STRING, offsetof(MemoryDevice, memdev), NULL, 0, 0, "the memory backend"},   \
        {"addr", DEVICE_U64, offsetof(MemoryDevice, addr), "0", 0, 0,                              \
         "where it lies; 0: in the first gap"},                                                    \
        {"slot", DEVICE_U32, offsetof(MemoryDevice, slot), "4294967295", 0, 0,                     \
         "its slot; 4294967295: the first that is free"},                                          \
        {"node", DEVICE_U32, offsetof(MemoryDevice, node), "0", 0, 127, "its node of -numa"}

static const DeviceProp dimm_props[] = {
    DIMM_PROPS,
    {.name = NULL},
};

static const DeviceProp nvdimm_props[] = {
    DIMM_PROPS,
    {"label-size", DEVICE_U64, offsetof(MemoryDevice, label_size), "0", 0, 0, "bytes for labels"},
    {"unarmed", DEVICE_BOOL, offsetof(MemoryDevice, unarmed), "off", 0, 0, "what is written gets lost"},
    {.name = NULL},
};

const DeviceType pc_dimm_type = {
    .name = "pc-dimm",
    .summary = "memory module",
    .size = sizeof(MemoryDevice),
    .props = dimm_props,
    .described = true,
    .slot = "dimm",
};

const DeviceType nvdimm_type = {
    .name = "nvdimm",
    .summary = "memory module that keeps its contents",
    .size = sizeof(MemoryDevice),
    .props = nvdimm_props,
    .described = true,
    .slot = "dimm",
};
