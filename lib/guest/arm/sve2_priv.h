/* SPDX-License-Identifier: MIT */
/*
 * SVE2: instructions that are an operation of simd_priv.h's in each lane, of lanes of different sizes. Where a
 * size is half of another its lanes are those with even numbers (bottom) or odd ones (top).
 */
#pragma once

#include "guest/arm/simd_priv.h"
#include "guest/arm/sve_priv.h"

/* In ArmSve.m: which lanes of n, m and the result; and what is done with the old ones. */
enum {
    S2_N_TOP = 1, S2_M_TOP = 2, S2_D_TOP = 4,
    S2_ADDS = 8, S2_SUBTRACTS = 16,
    S2_KEEPS = 32, /* other lanes of the result: else zero */
    S2_PAIRS = 64, /* even lanes are of pairs in n, odd ones of pairs in m */
};
#define S2_EACH 255 /* lanes of m; else that of each 16 bytes */

/* op, esz: LaneOp, of results. ra: LANE_ flags. msz: size of n | that of m << 4. imm: amount | lane << 8. */
SveHelper sve2_lanes;
/* imm: quarter turns | lane (pair, or group) of m in each 16 bytes << 8 */
SveHelper sve2_cmla, sve2_rdcmlah, sve2_cdot, sve2_cadd;
SveHelper sve2_eorbt, sve2_adcl, sve2_bits, sve2_xar, sve2_ext, sve2_splice, sve2_tbl, sve2_tbx, sve2_match, sve2_histcnt,
    sve2_histseg, sve2_while, sve2_whilewr, sve2_bitperm, sve2_rax1, sve2_mmla, sve2_usdot, sve2_fpairs, sve2_fcvt, sve2_flogb, sve2_fmlal;

/* trans_sve2.c: shifts by an immediate under a predicate, by opcode and size with amount */
bool sve2_shift_pred(ArmTrans *c, unsigned op, unsigned imm);
