/* SPDX-License-Identifier: MIT */
/*
 * Lanes of vectors in the IR: one at a time to be read and written, and of whole descriptions
 * (simd_priv.h) what the IR has for lanes of 32 and 64 bits. Helpers do the rest.
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

/* Floating-point lanes of n, m and d itself: done by the IR if it can. */
bool arm_call_fp(ArmTrans *c, const ArmLanes *l)
{
    IrBuilder *b = c->b;
    IrRef v[4] = {0};
    if (l->flags & (LANE_PAIRS | LANE_REDUCE) || l->nlog2 != l->dlog2 || l->nlog2 < 2)
        return arm_call_helper(c, HELPER_FP_LANES, l);
    for (unsigned i = 0; i < l->count; i++) {
        v[i] = fp_lane(c, l, i);
        if (!v[i])
            return arm_call_helper(c, HELPER_FP_LANES, l); /* the first says so: nothing was made yet */
        IrType t = (IrType)b->ops[v[i]].type;
        if (t == IR_F32 || t == IR_F64)
            v[i] = ir_bitcast(b, t == IR_F64 ? IR_I64 : IR_I32, v[i]);
        v[i] = ir_zext(b, IR_I64, v[i]);
    }
    if (l->nlog2 == 3) {
        arm_put_v(c, l->rd, v[0], v[1]);
        return true;
    }
    IrRef low = l->count > 1 ? ir_deposit(b, v[0], v[1], 32, 32) : v[0];
    arm_put_v(c, l->rd, low, l->count > 2 ? ir_deposit(b, v[2], v[3], 32, 32) : 0);
    return true;
}
