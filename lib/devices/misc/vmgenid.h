/* SPDX-License-Identifier: MIT */
/* What the board needs to know of the generation id. */
#pragma once

#include "devices/device.h"

typedef struct {
    Device dev;
    char *guid; /* its text, or "auto", or NULL: all zero */
} Vmgenid;

extern const DeviceType vmgenid_type;
