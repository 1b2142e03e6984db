/* SPDX-License-Identifier: MIT */
/*
 * The RISC-V Supervisor Binary Interface 2.0 as a table of functions over callbacks: BASE,
 * TIME, sPI (IPI), RFNC, HSM, SRST, DBCN, and of the legacy calls set_timer, the console's two and shutdown.
 * Harts are numbered 0 .. harts - 1. firmware/riscv.h ties this to a machine's CPUs.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    SBI_SUCCESS = 0,
    SBI_ERR_FAILED = -1,
    SBI_ERR_NOT_SUPPORTED = -2,
    SBI_ERR_INVALID_PARAM = -3,
    SBI_ERR_DENIED = -4,
    SBI_ERR_INVALID_ADDRESS = -5,
    SBI_ERR_ALREADY_AVAILABLE = -6,
    SBI_ERR_ALREADY_STARTED = -7,
    SBI_ERR_ALREADY_STOPPED = -8,
} SbiError;

typedef enum { SBI_FENCE_I, SBI_FENCE_VMA, SBI_FENCE_VMA_ASID } SbiFence;

/* States of the HSM extension, as the guest sees them. */
typedef enum {
    SBI_HART_STARTED,
    SBI_HART_STOPPED,
    SBI_HART_START_PENDING,
    SBI_HART_STOP_PENDING,
    SBI_HART_SUSPENDED,
} SbiHartState;

/* Everything is called during sbi_call, on its thread. None may be NULL. */
typedef struct {
    void *opaque;
    unsigned harts; /* at most SBI_HARTS_MAX */
    uint64_t mvendorid, marchid, mimpid;
    /* This hart's next timer interrupt is at `when` (UINT64_MAX: never); the pending one is
       cleared. */
    void (*set_timer)(void *opaque, uint64_t when);
    void (*send_ipi)(void *opaque, const uint16_t *harts, size_t count);
    /* Returns when the harts have done it. size UINT64_MAX: all addresses. */
    void (*fence)(void *opaque, SbiFence kind, const uint16_t *harts, size_t count, uint64_t start,
                  uint64_t size, uint64_t asid);
    /* True if addr (physical) is memory that code may start in. */
    bool (*executable)(void *opaque, uint64_t addr);
    /* The hart enters S-mode at addr with a0 = its number, a1 = arg. False if it is not stopped. */
    bool (*hart_start)(void *opaque, unsigned hart, uint64_t addr, uint64_t arg);
    /* This hart stops after the call. */
    void (*hart_stop)(void *opaque);
    SbiHartState (*hart_state)(void *opaque, unsigned hart);
    /* This hart waits for an interrupt. */
    void (*hart_suspend)(void *opaque);
    /* The machine ends or starts again soon after the call. failure: the guest's reason. */
    void (*system_reset)(void *opaque, bool reboot, bool failure);
    /* Physical memory. False if some of it is not RAM. */
    bool (*read_memory)(void *opaque, uint64_t addr, void *buf, size_t len);
    bool (*write_memory)(void *opaque, uint64_t addr, const void *buf, size_t len);
    /* Bytes taken (or got), without waiting for long. */
    size_t (*console_write)(void *opaque, const void *buf, size_t len);
    size_t (*console_read)(void *opaque, void *buf, size_t len);
} SbiEnv;

#define SBI_HARTS_MAX 4096u

/* a0 .. a7 at the ecall, sign-extended on a 32-bit hart; a0 and a1 are the result. */
typedef struct {
    uint64_t a[8];
} SbiRegs;

/* Answers one call; what is unknown is SBI_ERR_NOT_SUPPORTED. xlen is 32 or 64. */
void sbi_call(const SbiEnv *env, unsigned xlen, SbiRegs *regs);
