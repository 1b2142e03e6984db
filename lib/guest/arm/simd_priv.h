/* SPDX-License-Identifier: MIT */
/*
 * Vector instructions that C does: one description for nearly all of them, made when the instruction
 * is translated and passed to its helper in two words.
 *
 * Lanes 0..count-1 of the result are each made of lane x of n, lane y of m and lane d of the old
 * destination; what is beyond them in the destination is zeroed.
 */
#pragma once

#include <string.h>

#include "guest/arm/arm_priv.h"
#include "softfloat/softfloat.h"

typedef enum {
    LANE_NONE,
    /* x and y */
    LANE_ADD, LANE_SUB, LANE_MUL, LANE_DMUL, /* DMUL: doubled */
    LANE_HADD, LANE_HSUB, LANE_ABD, LANE_MAX, LANE_MIN, LANE_GT, LANE_GE, LANE_EQ, LANE_TST, LANE_LE, LANE_LT,
    LANE_PMUL, LANE_SHIFT, LANE_DMULH, LANE_ADDH, LANE_SUBH,
    /* x */
    LANE_MOVE, LANE_ABS, LANE_NEG, LANE_NOT, LANE_CLS, LANE_CLZ, LANE_CNT, LANE_RBIT, LANE_ADD_OLD,
    /* x and the amount */
    LANE_SHR, LANE_SHL, LANE_SRI, LANE_SLI,
    LANE_URECPE, LANE_URSQRTE,
} LaneOp;

typedef enum { /* floating point */
    FP_NONE,
    FP_ADD, FP_SUB, FP_MUL, FP_MULX, FP_DIV, FP_MAX, FP_MIN, FP_MAXNM, FP_MINNM, FP_ABD,
    FP_EQ, FP_GE, FP_GT, FP_LE, FP_LT, FP_ACGE, FP_ACGT, FP_RECPS, FP_RSQRTS, FP_MLA, FP_MLS,
    FP_ABS, FP_NEG, FP_SQRT, FP_RINT, FP_RINTX, FP_TO_INT, FP_FROM_INT, FP_RECPE, FP_RSQRTE, FP_RECPX,
    FP_CONVERT, FP_CONVERT_ODD,
} FpOp;

enum { /* flags */
    LANE_UNSIGNED_N = 1, LANE_UNSIGNED_M = 2, LANE_UNSIGNED = 3,
    LANE_ROUND = 4,
    LANE_PAIRS = 8,    /* x and y are neighbours in n, and then in m */
    LANE_REDUCE = 16,  /* one lane: all of n joined by the operation */
    LANE_M_ZERO = 32,
    LANE_SATURATE = 64, LANE_SATURATE_UNSIGNED = 128,
};
#define LANE_EACH 255

typedef struct ArmLanes {
    uint8_t op, flags;
    uint8_t nlog2, mlog2, dlog2; /* sizes of lanes */
    uint8_t count;
    uint8_t nstart, mstart;      /* first lane */
    uint8_t rd, rn, rm;
    uint8_t shift;               /* or IrRound */
    uint8_t acc;                 /* 1: added to the old lane, 2: subtracted from it */
    uint8_t dstart;              /* first lane of the result; the lower ones are kept */
    uint8_t element;             /* of m for all lanes, or LANE_EACH */
    uint8_t nlanes;              /* of n, for pairs and joined ones */
} ArmLanes;
_Static_assert(sizeof(ArmLanes) == 16, "two words");

static inline ArmLanes arm_lanes_of(uint64_t a, uint64_t b)
{
    ArmLanes l;
    uint64_t words[2] = {a, b};
    memcpy(&l, words, sizeof l);
    return l;
}

static inline uint64_t arm_lane(const ArmCpu *cpu, unsigned v, unsigned log2, unsigned lane)
{
    unsigned at = lane << log2;
    return cpu->v[v][at >> 3] >> (8 * (at & 7)) & bits_mask(8u << log2);
}

static inline void arm_set_lane(ArmCpu *cpu, unsigned v, unsigned log2, unsigned lane, uint64_t value)
{
    unsigned at = lane << log2;
    uint64_t *half = &cpu->v[v][at >> 3];
    *half = bits_set(*half, 8 * (at & 7), 8u << log2, value & bits_mask(8u << log2));
}

/* Writes results as l says. */
static inline void arm_lanes_put(ArmCpu *cpu, const ArmLanes *l, const uint64_t *results)
{
    if (!l->dstart)
        cpu->v[l->rd][0] = 0;
    cpu->v[l->rd][1] = 0;
    for (unsigned i = 0; i < l->count; i++)
        arm_set_lane(cpu, l->rd, l->dlog2, l->dstart + i, results[i]);
}

/* Of the manual: an operand of 9 bits, the highest (or one of the two highest) set; so is the result. */
static inline unsigned arm_recip_estimate(unsigned a)
{
    a = a * 2 + 1;
    return ((1u << 19) / a + 1) / 2;
}

static inline unsigned arm_rsqrt_estimate(unsigned a)
{
    unsigned b = 512;
    a = a < 256 ? a * 2 + 1 : (a | 1) * 2;
    while ((uint64_t)a * (b + 1) * (b + 1) < UINT64_C(1) << 28)
        b++;
    return (b + 1) / 2;
}

/* What l says, of integers (trans_vector.c) and of floats (trans_lanes.c), and by a helper; true. */
bool arm_call_lanes(ArmTrans *c, const ArmLanes *l);
bool arm_call_fp(ArmTrans *c, const ArmLanes *l);
bool arm_call_helper(ArmTrans *c, unsigned helper, const ArmLanes *l);

/* trans_vector.c: the low bytes of a vector (1, 2, 4, 8, 16) with zeros above; one lane in all; a constant. */
IrRef arm_low_bytes(ArmTrans *c, IrRef v, unsigned bytes);
IrRef arm_low_half(ArmTrans *c, IrRef v);
IrRef arm_splat_lane(ArmTrans *c, IrRef v, unsigned log2, unsigned lane);
IrRef arm_splat_const(ArmTrans *c, unsigned log2, uint64_t v);

/* simd.c: one lane as l says, of raw ones; its old value where l needs it */
uint64_t arm_lane_result(ArmCpu *cpu, const ArmLanes *l, uint64_t x, uint64_t y, uint64_t old);

/* trans_simd.c */
bool arm_fp_unary_encoded(unsigned key, bool scalar, ArmLanes *l, bool *vector_only);

/* softfloat by FPCR, and back into FPSR */
SfEnv arm_sf_env(ArmCpu *cpu);
void arm_sf_done(ArmCpu *cpu, const SfEnv *env);
/* simd_fp.c: one lane of 32 bits or 64 */
uint64_t arm_fp_two(SfEnv *env, bool twice, FpOp op, uint64_t x, uint64_t y, uint64_t z);
uint64_t arm_fp_one(SfEnv *env, uint32_t fpcr, const ArmLanes *l, uint64_t x);

