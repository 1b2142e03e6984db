/* SPDX-License-Identifier: MIT */
/*
 * What SBI does to a hart beyond its registers, over the real RISC-V front end.
 * Kept apart from riscv.c so that its tests can bring harts of their own.
 */
#include "firmware/riscv.h"
#include "guest/riscv/riscv.h"

static void enter(TranslateCpu *cpu, const GuestIsa *isa, uint64_t hart, uint64_t entry,
                  uint64_t arg)
{
    isa->reset(cpu, hart, entry);
    riscv_sbi_enable(cpu);
    /* cycle, time and instret for programs: Linux without an SBI PMU leaves them as firmware has
       them */
    ((RiscvCpu *)cpu)->scounteren = 7;
    riscv_set_timer(cpu, UINT64_MAX);
    ((RiscvCpu *)cpu)->priv = RISCV_S;
    riscv_set_x(cpu, 10, hart);
    riscv_set_x(cpu, 11, arg);
    cpu->pc = entry;
    riscv_fence(cpu, 0, UINT64_MAX);
}

const FirmwareRiscvHart firmware_riscv_hart = {
    .enter = enter,
    .fence = riscv_fence,
    .set_timer = riscv_set_timer,
};
