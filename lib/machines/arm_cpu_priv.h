/* SPDX-License-Identifier: MIT */
/* What Arm boards that are descriptions need to know of their CPUs. */
#pragma once

#include "machines/machine_priv.h"

typedef struct {
    const char *name;       /* as -cpu says it */
    const char *compatible; /* devicetree binding arm,cpus */
    bool v8;                /* Armv8: AArch64 but under a 32-bit board, PMUv3 */
    bool is64;              /* runs AArch64 on this board */
    bool pmu;
    bool mte;
    unsigned address_bits;  /* of physical addresses */
} ArmCpu;

/* What "cortex-a57,pmu=off" means on a board; model NULL: the board's default. A usage error for what
   there is not. */
bool arm_cpu_parse(const char *model, bool is64, unsigned version, ArmCpu *cpu, GError **error);
