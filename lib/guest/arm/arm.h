/* SPDX-License-Identifier: MIT */
/*
 * Arm as its users see it: the CPU struct, and what an operating system's layer needs of it beyond
 * guest.h. Arm Architecture Reference Manual for A-profile (DDI 0487), state A64, user level (EL0).
 * Names are the manual's.
 *
 * A V register is one slot of 128 bits; scalar floating point works on its low part.
 *
 * Unless a comment says otherwise a function is for the CPU's own thread, or for any thread while
 * the CPU does not run.
 */
#pragma once

#include "guest/guest.h"

typedef enum { /* numbers of exceptions, as env.exception has them */
    ARM_SVC = 1,      /* value: the immediate */
    ARM_UNDEFINED,    /* value: the instruction */
    ARM_BRK,          /* value: the immediate */
    ARM_ALIGNMENT,    /* value: the address */
    ARM_PC_ALIGNMENT, /* value: the address */
    ARM_FETCH,        /* no right to execute; value: the address */
    ARM_DATA,         /* value: the address */
} ArmException;

/* Bits of FPCR and FPSR. */
#define ARM_FPCR_MASK UINT32_C(0x03c00000) /* DN, FZ, RMode */
#define ARM_FPCR_DN (1u << 25)
#define ARM_FPCR_FZ (1u << 24)
#define ARM_FPSR_QC (1u << 27)

/* Of a Z register, at the greatest vector length of SVE: 2,048 bits. */
#define ARM_Z_WORDS 32

/* What the model and its properties chose; constant while the CPU lives. */
typedef struct ArmProps {
    uint64_t midr;
    bool crypto; /* AES, PMULL, SHA1, SHA256 */
    bool crc32, lse, rdm, lrcpc;
} ArmProps;

typedef struct ArmCpu {
    TranslateCpu base;
    uint64_t x[31], sp;
    /* Z0 to Z31; the V registers are their first 16 bytes. Host byte order, doubleword by doubleword. */
    _Alignas(16) uint64_t v[32][ARM_Z_WORDS];
    uint32_t flags;         /* IrFlagBits; the carry is Arm's */
    uint32_t fpcr;
    uint64_t qc[2];         /* FPSR.QC is set unless they are 0 */
    uint64_t tpidr;         /* TPIDR_EL0 */
    /* LDXP of two doublewords: its address (1: none) and what was there */
    uint64_t pair_address, pair_low, pair_high;
    uint64_t id;
    ArmProps props;
    uint32_t user_tags[4];  /* by FPCR.DN and FZ; 0: none yet */
} ArmCpu;

/* NZCV in bits 31 to 28. */
uint32_t arm_nzcv(const TranslateCpu *cpu);
void arm_set_nzcv(TranslateCpu *cpu, uint32_t nzcv);
uint32_t arm_fpcr(const TranslateCpu *cpu);
/* The mode may change: a mode exit must follow. */
void arm_set_fpcr(TranslateCpu *cpu, uint32_t value);
uint32_t arm_fpsr(TranslateCpu *cpu);
void arm_set_fpsr(TranslateCpu *cpu, uint32_t value);
