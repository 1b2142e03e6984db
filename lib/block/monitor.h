/* SPDX-License-Identifier: MIT */
/* The monitor's commands about disks; their context is the BlockGraph. */
#pragma once

#include "block/block.h"
#include "monitor/monitor.h"

extern const MonitorCommand block_commands[];
