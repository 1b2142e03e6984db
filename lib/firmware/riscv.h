/* SPDX-License-Identifier: MIT */
/*
 * What stands below a RISC-V supervisor when no firmware image runs: harts that enter
 * S-mode as OpenSBI would leave them, and SBI calls answered over a CpuGroup (sbi.h). Registers of
 * the CPUs are reached by the names that the ISA lists.
 */
#pragma once

#include "chardev/chardev.h"
#include "cpu/cpu.h"

typedef struct FirmwareRiscv FirmwareRiscv;

/* A hart's own side of it; all on the hart's thread. */
typedef struct {
    /* Power-on state, then S-mode at entry with a0 = hart, a1 = arg, translation off, everything
       delegated. */
    void (*enter)(TranslateCpu *cpu, const GuestIsa *isa, uint64_t hart, uint64_t entry,
                  uint64_t arg);
    /* Drops translations of start..+size (0, UINT64_MAX: all). */
    void (*fence)(TranslateCpu *cpu, uint64_t start, uint64_t size);
    /* Where the CPU has Sstc: sets its comparator. */
    void (*set_timer)(TranslateCpu *cpu, uint64_t when);
} FirmwareRiscvHart;

/* Of the real front end. */
extern const FirmwareRiscvHart firmware_riscv_hart;

typedef struct {
    const FirmwareRiscvHart *hart;
    BusSpace *space;
    Chardev *console; /* output of the debug console; NULL: dropped. Borrowed */
    /* Input of the debug console; NULL: there never is any. vCPU threads. */
    size_t (*console_read)(void *opaque, void *buf, size_t len);
    /* The guest asks for power-off or reboot; a vCPU's thread: only note it. */
    void (*reset)(void *opaque, bool reboot, bool failure);
    void *opaque;
} FirmwareRiscvEnv;

/* For a connected group. Fails if the ISA lacks a register that is needed. */
FirmwareRiscv *firmware_riscv_new(CpuGroup *g, const FirmwareRiscvEnv *env, GError **error);
/* The group's threads must have ended. NULL is fine. */
void firmware_riscv_free(FirmwareRiscv *f);

/* For CpuHooks.hypercall; opaque is the FirmwareRiscv. Answers ecall from S-mode. */
bool firmware_riscv_hypercall(void *opaque, Vcpu *cpu, uint32_t number);

/* Turns hart 0 on in S-mode at entry with a0 = 0, a1 = fdt; the others stay stopped. All are off and the
   group is paused; main thread. Also after each reset. */
void firmware_riscv_boot(FirmwareRiscv *f, uint64_t entry, uint64_t fdt);
