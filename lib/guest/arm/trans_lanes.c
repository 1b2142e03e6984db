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

static bool call(ArmTrans *c, unsigned helper, const ArmLanes *l)
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
        return call(c, HELPER_FP_LANES, l);
    for (unsigned i = 0; i < l->count; i++) {
        v[i] = fp_lane(c, l, i);
        if (!v[i])
            return call(c, HELPER_FP_LANES, l); /* the first says so: nothing was made yet */
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

/* ---- integers: lanes of 32 and 64 bits by the IR ------------------------------------------ */

/* Lane of v, extended to the type that the operation is done in. */
static IrRef int_lane(ArmTrans *c, unsigned v, unsigned log2, unsigned lane, IrType work, bool is_unsigned)
{
    IrRef x = arm_get_lane(c, (int)v, log2, lane);
    if (log2 == 3)
        return x;
    x = ir_trunc(c->b, IR_I32, x);
    if (work == IR_I32)
        return x;
    return is_unsigned ? ir_zext(c->b, IR_I64, x) : ir_sext(c->b, IR_I64, x);
}

/* All ones if the condition holds. */
static IrRef mask_of(ArmTrans *c, IrType t, IrCond cond, IrRef x, IrRef y)
{
    return ir_unary(c->b, IR_NEG, t, ir_zext(c->b, t, ir_cmp(c->b, cond, x, y)));
}

/* 0: not by the IR. old: the destination's lane. */
static IrRef int_op(ArmTrans *c, const ArmLanes *l, IrType t, IrRef x, IrRef y, IrRef old)
{
    IrBuilder *b = c->b;
    bool u = l->flags & LANE_UNSIGNED_N;
    unsigned bits = t == IR_I64 ? 64 : 32, by = l->shift;
    uint64_t all = bits_mask(bits);
    switch ((LaneOp)l->op) {
    case LANE_ADD: return ir_binary(b, IR_ADD, x, y);
    case LANE_SUB: return ir_binary(b, IR_SUB, x, y);
    case LANE_MUL: return ir_binary(b, IR_MUL, x, y);
    case LANE_MAX: return ir_select(b, ir_cmp(b, u ? IR_GTU : IR_GT, x, y), x, y);
    case LANE_MIN: return ir_select(b, ir_cmp(b, u ? IR_LTU : IR_LT, x, y), x, y);
    case LANE_GT: return mask_of(c, t, u ? IR_GTU : IR_GT, x, y);
    case LANE_GE: return mask_of(c, t, u ? IR_GEU : IR_GE, x, y);
    case LANE_LE: return mask_of(c, t, IR_LE, x, y);
    case LANE_LT: return mask_of(c, t, IR_LT, x, y);
    case LANE_EQ: return mask_of(c, t, IR_EQ, x, y);
    case LANE_TST: return mask_of(c, t, IR_NE, ir_binary(b, IR_AND, x, y), ir_const(b, t, 0));
    case LANE_MOVE: return x;
    case LANE_NEG: return ir_unary(b, IR_NEG, t, x);
    case LANE_ABS:
        return ir_select(b, ir_cmp(b, IR_LT, x, ir_const(b, t, 0)), ir_unary(b, IR_NEG, t, x), x);
    case LANE_SHL: return ir_binary_imm(b, IR_SHL, x, by);
    case LANE_SHR: return by >= bits ? 0 : ir_binary_imm(b, u ? IR_SHR : IR_SAR, x, by);
    case LANE_SLI:
        x = ir_binary_imm(b, IR_SHL, x, by);
        return ir_binary(b, IR_OR, x, ir_binary(b, IR_AND, old, ir_const(b, t, bits_mask(by))));
    case LANE_SRI:
        if (by >= bits)
            return 0;
        x = ir_binary_imm(b, IR_SHR, x, by);
        return ir_binary(b, IR_OR, x, ir_binary(b, IR_AND, old, ir_const(b, t, all & ~(all >> by))));
    default: return 0;
    }
}

/* Integer lanes: done by the IR if it can and they are few. */
bool arm_call_lanes(ArmTrans *c, const ArmLanes *l)
{
    IrBuilder *b = c->b;
    bool one = l->flags & LANE_M_ZERO;
    IrType t = l->nlog2 == 3 || l->dlog2 == 3 ? IR_I64 : IR_I32;
    IrRef v[4] = {0};
    if (l->flags & ~(LANE_UNSIGNED | LANE_M_ZERO) || l->nlog2 < 2 || l->dlog2 < 2 || (!one && l->mlog2 < 2))
        return call(c, HELPER_LANES, l);
    for (unsigned i = 0; i < l->count; i++) {
        IrRef x = int_lane(c, l->rn, l->nlog2, l->nstart + i, t, l->flags & LANE_UNSIGNED_N), y, old = 0;
        y = one ? ir_const(b, t, 0)
                : int_lane(c, l->rm, l->mlog2, l->element == LANE_EACH ? l->mstart + i : l->element, t,
                           l->flags & LANE_UNSIGNED_M);
        if (l->acc || l->op == LANE_SLI || l->op == LANE_SRI)
            old = int_lane(c, l->rd, l->dlog2, l->dstart + i, t, true);
        v[i] = int_op(c, l, t, x, y, old);
        if (!v[i])
            return call(c, HELPER_LANES, l); /* the first says so: nothing was made yet */
        if (l->acc)
            v[i] = ir_binary(b, l->acc == 1 ? IR_ADD : IR_SUB, old, v[i]);
        if (l->dlog2 == 2)
            v[i] = ir_trunc(b, IR_I32, v[i]);
        v[i] = ir_zext(b, IR_I64, v[i]);
    }
    IrRef low = v[0], high = v[1];
    if (l->dlog2 == 2) {
        low = l->count > 1 ? ir_deposit(b, v[0], v[1], 32, 32) : v[0];
        high = l->count > 2 ? ir_deposit(b, v[2], v[3], 32, 32) : 0;
    }
    if (l->dstart) /* two narrow ones go to the upper half */
        arm_insert_lane(c, l->rd, 3, 1, low);
    else
        arm_put_v(c, l->rd, low, high);
    return true;
}
