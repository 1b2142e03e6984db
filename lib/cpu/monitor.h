/* SPDX-License-Identifier: MIT */
/* The monitor's commands about CPUs and what they see: info cpus, info registers, info jit, cpu,
   x, xp, memsave, pmemsave. */
#pragma once

#include "cpu/cpu.h"
#include "monitor/monitor.h"

/* What the commands work on, and their context for monitor_add. Main thread. */
typedef struct {
    CpuGroup *group; /* connected */
    BusSpace *space;
    unsigned current; /* the CPU that x, memsave and info registers are about */
} CpuMonitor;

extern const MonitorCommand cpu_commands[];

/* For monitor_set_variables: registers of the current CPU. opaque is a CpuMonitor. */
bool cpu_monitor_register(void *opaque, const char *name, uint64_t *value);
