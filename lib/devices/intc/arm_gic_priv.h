/* SPDX-License-Identifier: MIT */
/* What GICv2 and GICv3 nodes have in common. */
#pragma once

#include "devices/device.h"

/* Makes the node of a controller whose children are its frames or its ITS; returns its path, newly
   allocated. */
char *arm_gic_fdt_node(const Device *dev, const DeviceFdt *ctx, const char *compatible);
