/* SPDX-License-Identifier: MIT */
/* What the board needs to know of TPMs. */
#pragma once

#include "devices/device.h"

typedef struct {
    Device dev;
    char *tpmdev;
    bool version2, ppi;
} Tpm;

extern const DeviceType tpm_tis_type, tpm_crb_type;
