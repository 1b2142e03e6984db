/* SPDX-License-Identifier: MIT */
/*
 * What the files of the x86-64 compiler's vectors share: x64_vec.c has constants and the table of
 * operations that are one instruction, x64_vec_lanes.c those that take several, x64_vec_move.c what
 * moves lanes about, x64_vec_fp.c floating point.
 */
#pragma once

#include "translate/host/x64_fp_priv.h"

/* An instruction of three registers; of two (vvvv 0), with a byte behind it. Map and prefix as VEX has
 * them: 1 66, 2 f3, 3 f2. */
void vec_rr(Emit *e, unsigned map, unsigned pp, unsigned opcode, unsigned reg, unsigned vvvv, unsigned rm);
void vec_rri(Emit *e, unsigned map, unsigned pp, unsigned opcode, unsigned reg, unsigned vvvv, unsigned rm, unsigned imm);
/* The same whose last operand is a constant. */
void vec_rk(Emit *e, unsigned map, unsigned opcode, unsigned reg, unsigned vvvv, const uint64_t k[2]);
void vec_rks(Emit *e, unsigned map, unsigned opcode, unsigned reg, unsigned vvvv, uint64_t each_half);
/* Immediate shift of map 1: opcode 0x71 to 0x73 by lane size, way 2 right, 4 arithmetic, 6 left. */
void vec_shift(Emit *e, unsigned log2, unsigned way, unsigned d, unsigned a, unsigned n);

/* v in every lane of that size */
static inline uint64_t vec_repeat(unsigned log2, uint64_t v)
{
    static const uint64_t ones[] = {0x0101010101010101, 0x0001000100010001, 0x0000000100000001, 1};
    return v * ones[log2];
}

bool emit_vec_lanes(Emit *e, IrRef i, const IrOp *op);
bool emit_vec_move(Emit *e, IrRef i, const IrOp *op);
bool emit_vec_float(Emit *e, IrRef i, const IrOp *op);
bool emit_vec_sha(Emit *e, IrRef i, const IrOp *op);
