/* SPDX-License-Identifier: MIT */
/* Half precision in C, for the helpers of half.c and of others that need it. */
#pragma once

#include "guest/arm/simd_priv.h"

/* softfloat by FPCR.FZ16, and back into FPSR, where halves that are flushed leave nothing */
SfEnv arm_half_env(ArmCpu *cpu);
void arm_half_done(ArmCpu *cpu, const SfEnv *env);

/* One lane: of x and y, with FP_MLA and FP_MLS added to z. */
SfF16 arm_half_two(SfEnv *env, FpOp op, SfF16 x, SfF16 y, SfF16 z);
/* One lane: round is IrRound, scale of fixed point, integers of 16 bits. */
uint64_t arm_half_one(SfEnv *env, FpOp op, SfF16 x, unsigned round, int scale, bool is_unsigned);

/* half_fast.c: the same of plain numbers; false, and nothing done, if they are not. */
bool arm_half_fast(SfEnv *env, FpOp op, SfF16 x, SfF16 y, SfF16 z, SfF16 *r);
/* n lanes; z counts for FP_MLA and FP_MLS alone, and else is plain numbers of any kind. */
bool arm_half_many(SfEnv *env, FpOp op, unsigned n, const SfF16 *x, const SfF16 *y, const SfF16 *z, SfF16 *r);
bool arm_half_sqrt(SfEnv *env, SfF16 x, SfF16 *r);

/* FCVT of types as instructions encode them: 0 single, 1 double, 3 half. Only FPCR.FZ flushes, and no
   halves; env is that of the wider type. */
uint64_t arm_half_convert(SfEnv *env, uint32_t fpcr, unsigned from, unsigned to, uint64_t x);

/* Exactly, a NaN still signalling: for sums of a wider type. */
SfF32 arm_half_widen(const SfEnv *env, SfF16 x);
