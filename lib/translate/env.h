/* SPDX-License-Identifier: MIT */
/*
 * GuestEnv: the whole outside world of one guest CPU, as callbacks. lib/cpu
 * implements it over a bus, lib/linux over a process. Translator and guest ISAs
 * reach nothing else. All callbacks run on the vCPU's own thread; NULL means
 * what each comment says.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* One 4 KiB page of guest RAM, as the host sees it. */
typedef struct GuestPage {
    uint8_t *host;  /* first byte of the page */
    /* the page's flag byte, atomic: bit 0 (GUEST_PAGE_CODE) while it holds translated code */
    uint8_t *flags;
    bool writable;
} GuestPage;

#define GUEST_PAGE_CODE 1u
#define GUEST_PAGE_BITS 12
#define GUEST_PAGE_SIZE 4096u

struct TranslateCpu;

typedef struct GuestEnv {
    void *opaque;
    /* RAM that contains physical address phys; false when it is not RAM. Never blocks. */
    bool (*ram)(void *opaque, uint64_t phys, GuestPage *out);
    /* Physical access that is not RAM; size 1, 2, 4 or 8, value in host order. False: bus error.
     * NULL: always a bus error. */
    bool (*load)(void *opaque, uint64_t phys, unsigned size, uint64_t *value);
    bool (*store)(void *opaque, uint64_t phys, unsigned size, uint64_t value);
    /* The platform's time counter, in its ticks. NULL: 0. */
    uint64_t (*time)(void *opaque);
    /* The guest set comparator n of its own timer: call translate_kick when time() reaches
     * `when` (UINT64_MAX: never). NULL: ignored. */
    void (*deadline)(void *opaque, unsigned n, uint64_t when);
    /* A call to the layer below (ecall, SMC, HVC, diagnose). True: answered, the guest goes on
     * after the instruction. NULL or false: the guest's own exception. */
    bool (*hypercall)(void *opaque, struct TranslateCpu *cpu, uint32_t number);
    /* I/O port access. False: bus error. NULL: no ports. */
    bool (*port)(void *opaque, uint32_t port, unsigned size, bool write, uint64_t *value);
    /* The vector of the interrupt to take (x86). NULL: none. */
    int (*acknowledge)(void *opaque);
    /* The CPU waits for an interrupt: block until translate_kick, or until an interrupt is
     * pending. NULL: returns at once. */
    void (*idle)(void *opaque);
    /* The guest wants the whole machine or this CPU stopped or reset. NULL: ignored. */
    void (*power)(void *opaque, uint32_t what);
    /* Semihosting call with the guest's two argument registers; result to be returned to it.
     * NULL: the breakpoint exception. */
    bool (*semihost)(void *opaque, struct TranslateCpu *cpu);
    /* A fence of other CPUs' instruction streams or address translations asked for by the guest:
     * start..+size of address space. NULL: none needed.
     * User mode: the guest says by an instruction of its ISA (RISC-V: FENCE.I) that it has written
     * code there (size UINT64_MAX: anywhere). The environment, which knows what the guest may
     * write, drops the code made from that (translate_invalidate). Called from compiled code. */
    void (*remote_fence)(void *opaque, uint64_t start, uint64_t size);

    /* User mode (TranslateGuest.direct_memory) only. Of the above, time and remote_fence are called
     * there. */
    /* Code is about to be made from the page that contains address. False: the guest may not
     * execute there. No lock is held. */
    bool (*executable)(void *opaque, uint64_t address);
    /* The guest raised an exception at cpu->pc: one of its ISA (system call, illegal instruction,
     * breakpoint, misaligned access, no right to execute) or TRANSLATE_HOST_FAULT (value: the
     * address where the host says it; the signal knows better). Changes the CPU's state; the
     * guest goes on at cpu->pc. */
    void (*exception)(void *opaque, struct TranslateCpu *cpu, uint32_t exception, uint64_t value);
    /* Code of the environment's own that the guest runs (a vDSO) asks for service `number`, done here
     * without leaving compiled code; registers may change. key is what that code presents. NULL or
     * false: the guest made it up, an illegal instruction. */
    bool (*service)(void *opaque, struct TranslateCpu *cpu, uint32_t number, uint64_t key);
    /* The CPU was kicked, or an exception was handled: what is due (signals) is done. */
    void (*attention)(void *opaque, struct TranslateCpu *cpu);
} GuestEnv;
