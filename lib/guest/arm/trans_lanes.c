/* SPDX-License-Identifier: MIT */
/*
 * Lanes of vectors in the IR: one at a time to be read and written; and floating point of whole
 * descriptions (simd_priv.h), scalars and vectors. Helpers do the rest.
 */
#include "guest/arm/simd_priv.h"

static const IrType lane_types[] = {IR_I8, IR_I16, IR_I32, IR_I64};

IrRef arm_get_lane(ArmTrans *c, int v, unsigned log2, unsigned lane)
{
    return ir_zext(c->b, IR_I64, ir_vextract(c->b, lane_types[log2], arm_v(c, v), lane));
}

bool arm_insert_lane(ArmTrans *c, int v, unsigned log2, unsigned lane, IrRef value)
{
    arm_put_vector(c, v, ir_vinsert(c->b, arm_v(c, v), lane, ir_trunc(c->b, lane_types[log2], value)));
    return true;
}

bool arm_call_helper(ArmTrans *c, unsigned helper, const ArmLanes *l)
{
    uint64_t w[2];
    memcpy(w, l, sizeof w);
    ir_call(c->b, helper, ir_const(c->b, IR_I64, w[0]), ir_const(c->b, IR_I64, w[1]), 0, 0);
    return true;
}

/* ---- floating point by the IR, lane after lane -------------------------------------------- */

/* Lane i of vector v as a float. */
static IrRef float_lane(ArmTrans *c, unsigned v, unsigned log2, unsigned i)
{
    return ir_vextract(c->b, log2 == 3 ? IR_F64 : IR_F32, arm_v(c, (int)v), i);
}

/* Lane i of l's result: a float or an integer; 0: the IR has it not. */
static IrRef fp_lane(ArmTrans *c, const ArmLanes *l, unsigned i)
{
    IrBuilder *b = c->b;
    unsigned log2 = l->nlog2;
    IrType t = log2 == 3 ? IR_F64 : IR_F32, whole = log2 == 3 ? IR_I64 : IR_I32;
    bool two = l->op < FP_ABS && !(l->flags & LANE_M_ZERO), is_unsigned = l->flags & LANE_UNSIGNED_N;
    IrRef x = float_lane(c, l->rn, log2, i), y = 0;
    if (two)
        y = float_lane(c, l->rm, log2, l->element == LANE_EACH ? i : l->element);
    if (!two && l->op < FP_ABS)
        y = ir_const(b, t, 0);
    switch ((FpOp)l->op) {
    case FP_EQ: return ir_unary(b, IR_NEG, whole, ir_zext(b, whole, ir_fcmp(b, IR_FEQ, x, y, false)));
    case FP_GE: return ir_unary(b, IR_NEG, whole, ir_zext(b, whole, ir_fcmp(b, IR_FLE, y, x, true)));
    case FP_GT: return ir_unary(b, IR_NEG, whole, ir_zext(b, whole, ir_fcmp(b, IR_FLT, y, x, true)));
    case FP_LE: return ir_unary(b, IR_NEG, whole, ir_zext(b, whole, ir_fcmp(b, IR_FLE, x, y, true)));
    case FP_LT: return ir_unary(b, IR_NEG, whole, ir_zext(b, whole, ir_fcmp(b, IR_FLT, x, y, true)));
    case FP_ADD: return ir_fop2(b, IR_FADD, x, y, IR_RDYN);
    case FP_SUB: return ir_fop2(b, IR_FSUB, x, y, IR_RDYN);
    case FP_MUL: return ir_fop2(b, IR_FMUL, x, y, IR_RDYN);
    case FP_DIV: return ir_fop2(b, IR_FDIV, x, y, IR_RDYN);
    case FP_ABD: return ir_unary(b, IR_FABS, t, ir_fop2(b, IR_FSUB, x, y, IR_RDYN));
    case FP_MAX: return ir_fminmax(b, IR_FMAX, x, y, IR_MINMAX_NAN);
    case FP_MIN: return ir_fminmax(b, IR_FMIN, x, y, IR_MINMAX_NAN);
    case FP_MAXNM: return ir_fminmax(b, IR_FMAX, x, y, IR_MINMAX_NUMBER_2008);
    case FP_MINNM: return ir_fminmax(b, IR_FMIN, x, y, IR_MINMAX_NUMBER_2008);
    case FP_MLA: case FP_MLS:
        return ir_fma_as(b, x, y, float_lane(c, l->rd, log2, i),
                         IR_FMA_NEGATE_NAN | (l->op == FP_MLS ? IR_FMA_NEGATE_PRODUCT : 0), IR_RDYN);
    case FP_ABS: return ir_unary(b, IR_FABS, t, x);
    case FP_NEG: return ir_unary(b, IR_FNEG, t, x);
    case FP_SQRT: return ir_fop1(b, IR_FSQRT, x, IR_RDYN);
    case FP_FROM_INT:
        return l->mstart ? 0 : ir_itof(b, t, ir_bitcast(b, whole, x), is_unsigned, IR_RDYN);
    case FP_TO_INT:
        return l->mstart ? 0 : ir_ftoi(b, whole, x, is_unsigned ? IR_TOINT_UNSIGNED : 0, (IrRound)l->shift);
    default: return 0;
    }
}

/* ---- and all lanes at once --------------------------------------------------------------- */

static IrRef sign_bits(ArmTrans *c, unsigned log2)
{
    return arm_splat_const(c, log2, UINT64_C(1) << ((8u << log2) - 1));
}

/* What is done on x, and y of those with two; old: the destination. 0: not by vectors. */
static IrRef fp_vector(ArmTrans *c, const ArmLanes *l, IrRef x, IrRef y, IrRef old)
{
    IrBuilder *b = c->b;
    unsigned log2 = l->nlog2;
    IrRef v;
    switch ((FpOp)l->op) {
    case FP_EQ: return ir_vector_imm(b, IR_VFCMP, log2, x, y, IR_FEQ);
    case FP_GE: return ir_vector_imm(b, IR_VFCMP, log2, y, x, IR_FLE | 256);
    case FP_GT: return ir_vector_imm(b, IR_VFCMP, log2, y, x, IR_FLT | 256);
    case FP_LE: return ir_vector_imm(b, IR_VFCMP, log2, x, y, IR_FLE | 256);
    case FP_LT: return ir_vector_imm(b, IR_VFCMP, log2, x, y, IR_FLT | 256);
    case FP_ACGE: case FP_ACGT:
        x = ir_vector(b, IR_VANDN, 0, x, sign_bits(c, log2));
        y = ir_vector(b, IR_VANDN, 0, y, sign_bits(c, log2));
        return ir_vector_imm(b, IR_VFCMP, log2, y, x, (l->op == FP_ACGE ? IR_FLE : IR_FLT) | 256);
    case FP_ADD: return ir_vector(b, IR_VFADD, log2, x, y);
    case FP_SUB: return ir_vector(b, IR_VFSUB, log2, x, y);
    case FP_MUL: return ir_vector(b, IR_VFMUL, log2, x, y);
    case FP_DIV: return ir_vector(b, IR_VFDIV, log2, x, y);
    case FP_ABD:
        v = ir_vector(b, IR_VFSUB, log2, x, y);
        return ir_vector(b, IR_VANDN, 0, v, sign_bits(c, log2));
    case FP_MAX: return ir_vector_imm(b, IR_VFMAX, log2, x, y, IR_MINMAX_NAN);
    case FP_MIN: return ir_vector_imm(b, IR_VFMIN, log2, x, y, IR_MINMAX_NAN);
    case FP_MAXNM: return ir_vector_imm(b, IR_VFMAX, log2, x, y, IR_MINMAX_NUMBER_2008);
    case FP_MINNM: return ir_vector_imm(b, IR_VFMIN, log2, x, y, IR_MINMAX_NUMBER_2008);
    case FP_MLA: case FP_MLS:
        return ir_op(b, (IrOp){.code = IR_VFMA, .type = IR_V128, .sub = (uint8_t)log2, .a = x, .b = y, .c = old,
                               .imm = IR_FMA_NEGATE_NAN | (l->op == FP_MLS ? IR_FMA_NEGATE_PRODUCT : 0)});
    case FP_ABS: return ir_vector(b, IR_VANDN, 0, x, sign_bits(c, log2));
    case FP_NEG: return ir_vector(b, IR_VXOR, 0, x, sign_bits(c, log2));
    case FP_SQRT: return ir_vector(b, IR_VFSQRT, log2, x, 0);
    case FP_RINT: case FP_RINTX:
        return ir_vector_imm(b, IR_VFROUND, log2, x, 0, (l->op == FP_RINTX) | l->shift << 8);
    case FP_FROM_INT: return ir_vector_imm(b, IR_VITOF, log2, x, 0, 0);
    case FP_TO_INT: return ir_vector_imm(b, IR_VFTOI, log2, x, 0, l->shift << 8);
    default: return 0;
    }
}

/* Which of them: conversions of words alone, as the host has no others. */
static bool is_vector(const ArmLanes *l)
{
    bool pairs = l->flags & LANE_PAIRS;
    if (l->nlog2 != l->dlog2 || l->nlog2 < 2 || l->flags & LANE_REDUCE || (l->count == 1 && !pairs))
        return false;
    switch ((FpOp)l->op) {
    case FP_FROM_INT: case FP_TO_INT:
        return l->nlog2 == 2 && !l->mstart && !(l->flags & LANE_UNSIGNED_N) &&
               (l->op == FP_FROM_INT || l->shift == IR_RTZ || l->shift == IR_RDYN);
    case FP_RINT: case FP_RINTX: return l->shift != IR_RMM;
    case FP_MULX: case FP_RECPS: case FP_RSQRTS: case FP_RECPE: case FP_RSQRTE: case FP_RECPX:
    case FP_CONVERT: case FP_CONVERT_ODD:
        return false;
    default: return true;
    }
}

/* Half a vector is computed as a whole: with zeros in the other half, divided by ones, so that no flag
 * comes from there. */
static bool call_vector(ArmTrans *c, const ArmLanes *l)
{
    IrBuilder *b = c->b;
    bool half = l->count << l->nlog2 == 8, two = !(l->flags & LANE_M_ZERO) && l->op < FP_ABS;
    IrRef x = arm_v(c, l->rn), y = two ? arm_v(c, l->rm) : ir_vconst(b, 0, 0), old = arm_v(c, l->rd), v;
    if (two && l->element != LANE_EACH)
        y = arm_splat_lane(c, y, l->nlog2, l->element);
    if (l->flags & LANE_PAIRS) {
        IrRef n = half ? ir_vector(b, IR_VZIPL, 3, x, y) : x, m = half ? n : y;
        x = ir_vector(b, IR_VUZPE, l->nlog2, n, m);
        y = ir_vector(b, IR_VUZPO, l->nlog2, n, m);
    }
    if (half) {
        x = arm_low_half(c, x);
        y = l->op == FP_DIV ? ir_vector(b, IR_VZIPL, 3, y, ir_vconst(b, 0x3f8000003f800000, 0)) : arm_low_half(c, y);
        old = arm_low_half(c, old);
    }
    v = fp_vector(c, l, x, y, old);
    arm_put_vector(c, l->rd, half ? arm_low_half(c, v) : v);
    return true;
}

/* Floating-point lanes of n, m and d itself: done by the IR if it can. */
bool arm_call_fp(ArmTrans *c, const ArmLanes *l)
{
    IrBuilder *b = c->b;
    IrRef v[4] = {0};
    if (is_vector(l))
        return call_vector(c, l);
    if (l->flags & (LANE_PAIRS | LANE_REDUCE) || l->nlog2 != l->dlog2 || l->nlog2 < 2)
        return arm_call_helper(c, HELPER_FP_LANES, l);
    for (unsigned i = 0; i < l->count; i++) {
        v[i] = fp_lane(c, l, i);
        if (!v[i])
            return arm_call_helper(c, HELPER_FP_LANES, l); /* the first says so: nothing was made yet */
    }
    IrRef all = ir_vzext(b, v[0]);
    for (unsigned i = 1; i < l->count; i++)
        all = ir_vinsert(b, all, i, v[i]);
    arm_put_vector(c, l->rd, all);
    return true;
}
