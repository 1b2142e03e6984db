/* SPDX-License-Identifier: MIT */
/*
 * Integer lanes of whole descriptions (simd_priv.h) by the vector operations of the IR. All 16 bytes are
 * computed, as lanes do not disturb each other; what is beyond the description's lanes is zeroed at
 * the end. What the IR has not is left to the helper.
 */
#include "guest/arm/simd_priv.h"

/* The operation: sizes of lanes as computed, and operands. */
typedef struct Work {
    ArmTrans *c;
    const ArmLanes *l;
    unsigned log2;
    IrRef x, y;
    bool u, round;
} Work;

static IrRef op2(ArmTrans *c, IrCode code, unsigned log2, IrRef x, IrRef y)
{
    return ir_vector(c->b, code, log2, x, y);
}

static IrRef by(ArmTrans *c, IrCode code, unsigned log2, IrRef x, unsigned n)
{
    return ir_vector_imm(c->b, code, log2, x, 0, n);
}

IrRef arm_splat_const(ArmTrans *c, unsigned log2, uint64_t v)
{
    uint64_t all = log2 == 3 ? v : (v & bits_mask(8u << log2)) * (UINT64_MAX / bits_mask(8u << log2));
    return ir_vconst(c->b, all, all);
}

static IrRef zero(ArmTrans *c)
{
    return ir_vconst(c->b, 0, 0);
}

static IrRef invert(ArmTrans *c, IrRef v)
{
    return op2(c, IR_VXOR, 0, v, ir_vconst(c->b, UINT64_MAX, UINT64_MAX));
}

IrRef arm_low_half(ArmTrans *c, IrRef v)
{
    return ir_vzext(c->b, ir_vextract(c->b, IR_F64, v, 0));
}

/* The low `bytes` of v (1, 2, 4, 8, 16), zeros above. */
IrRef arm_low_bytes(ArmTrans *c, IrRef v, unsigned bytes)
{
    static const IrType types[] = {IR_I8, IR_I16, IR_F32, IR_F64};
    return bytes == 16 ? v : ir_vzext(c->b, ir_vextract(c->b, types[__builtin_ctz(bytes)], v, 0));
}

IrRef arm_splat_lane(ArmTrans *c, IrRef v, unsigned log2, unsigned lane)
{
    uint64_t k = 0;
    for (unsigned i = 0; i < 8; i++)
        k |= (uint64_t)((lane << log2) + (i & ((1u << log2) - 1))) << 8 * i;
    return op2(c, IR_VSHUFFLE, 0, v, ir_vconst(c->b, k, k));
}

/* ---- operations on x and y ------------------------------------------------------------------ */

static IrRef greater(const Work *w, IrRef x, IrRef y)
{
    ArmTrans *c = w->c;
    if (!w->u)
        return op2(c, IR_VCMPGT, w->log2, x, y);
    if (w->log2 < 3)
        return invert(c, op2(c, IR_VCMPEQ, w->log2, op2(c, IR_VMINU, w->log2, x, y), x));
    IrRef sign = ir_vconst(c->b, UINT64_C(1) << 63, UINT64_C(1) << 63);
    return op2(c, IR_VCMPGT, 3, op2(c, IR_VXOR, 3, x, sign), op2(c, IR_VXOR, 3, y, sign));
}

static IrRef at_least(const Work *w, IrRef x, IrRef y)
{
    if (w->u && w->log2 < 3)
        return op2(w->c, IR_VCMPEQ, w->log2, op2(w->c, IR_VMAXU, w->log2, x, y), x);
    return invert(w->c, greater(w, y, x));
}

/* Halving: (x + y) / 2 from what they have in common and half of what they have not. */
static IrRef halved(const Work *w, bool subtract)
{
    ArmTrans *c = w->c;
    unsigned log2 = w->log2;
    if (w->round && w->u && log2 < 2)
        return op2(c, IR_VAVGU, log2, w->x, w->y);
    IrRef half = by(c, w->u ? IR_VSHR : IR_VSAR, log2, op2(c, IR_VXOR, log2, w->x, w->y), 1);
    if (subtract)
        return op2(c, IR_VSUB, log2, half, op2(c, IR_VANDN, log2, w->y, w->x));
    if (w->round)
        return op2(c, IR_VSUB, log2, op2(c, IR_VOR, log2, w->x, w->y), half);
    return op2(c, IR_VADD, log2, op2(c, IR_VAND, log2, w->x, w->y), half);
}

static IrRef difference(const Work *w)
{
    ArmTrans *c = w->c;
    if (w->l->dlog2 > w->l->nlog2) /* widened: no overflow */
        return ir_vector(c->b, IR_VABS, w->log2, op2(c, IR_VSUB, w->log2, w->x, w->y), 0);
    return op2(c, IR_VSUB, w->log2, op2(c, w->u ? IR_VMAXU : IR_VMAXS, w->log2, w->x, w->y),
               op2(c, w->u ? IR_VMINU : IR_VMINS, w->log2, w->x, w->y));
}

/* By the signed low bytes of y: to the left, or if negative to the right. Amounts of the wrong sign are
 * large ones. */
static IrRef shift_by_lanes(const Work *w)
{
    ArmTrans *c = w->c;
    unsigned log2 = w->log2, above = (8u << log2) - 8;
    if (w->round || log2 < 2 || (log2 == 3 && !w->u))
        return 0;
    IrRef n = by(c, IR_VSHL, log2, w->y, above);
    if (log2 == 2) {
        n = by(c, IR_VSAR, 2, n, above);
    } else { /* sign by a comparison */
        IrRef sign = op2(c, IR_VCMPGT, 3, zero(c), n);
        n = op2(c, IR_VOR, 3, by(c, IR_VSHR, 3, n, above), by(c, IR_VSHL, 3, sign, 8));
    }
    IrRef left = op2(c, IR_VSHLV, log2, w->x, n), minus = op2(c, IR_VSUB, log2, zero(c), n);
    if (w->u)
        return op2(c, IR_VOR, log2, left, op2(c, IR_VSHRV, log2, w->x, minus));
    IrRef negative = by(c, IR_VSAR, log2, n, 31), right = op2(c, IR_VSARV, log2, w->x, minus);
    return op2(c, IR_VOR, log2, op2(c, IR_VANDN, log2, left, negative), op2(c, IR_VAND, log2, right, negative));
}

static IrRef shift_right(const Work *w, unsigned n)
{
    ArmTrans *c = w->c;
    IrRef v = by(c, w->u ? IR_VSHR : IR_VSAR, w->log2, w->x, n);
    if (!w->round)
        return v;
    IrRef last = n > 8u << w->log2 ? zero(c) : by(c, IR_VSHR, w->log2, w->x, n - 1);
    return op2(c, IR_VADD, w->log2, v, op2(c, IR_VAND, w->log2, last, arm_splat_const(c, w->log2, 1)));
}

static IrRef insert_shifted(const Work *w, unsigned n)
{
    ArmTrans *c = w->c;
    unsigned width = 8u << w->log2;
    bool left = w->l->op == LANE_SLI;
    uint64_t keep = left ? bits_mask(n) : n >= width ? UINT64_MAX : ~(bits_mask(width) >> n);
    IrRef v = by(c, left ? IR_VSHL : IR_VSHR, w->log2, w->x, n);
    return op2(c, IR_VOR, 0, v, op2(c, IR_VAND, 0, arm_v(c, w->l->rd), arm_splat_const(c, w->log2, keep)));
}

/* Bits of each byte by tables of its halves. */
static IrRef by_nibbles(const Work *w, uint64_t low0, uint64_t low1, uint64_t high0, uint64_t high1, IrCode join)
{
    ArmTrans *c = w->c;
    IrRef mask = arm_splat_const(c, 0, 15);
    IrRef low = op2(c, IR_VAND, 0, w->x, mask), high = op2(c, IR_VAND, 0, by(c, IR_VSHR, 1, w->x, 4), mask);
    return op2(c, join, 0, op2(c, IR_VSHUFFLE, 0, ir_vconst(c->b, low0, low1), low),
               op2(c, IR_VSHUFFLE, 0, ir_vconst(c->b, high0, high1), high));
}

/* The rounding constant of ADDHN and the like, added: half of what is cut off. */
static IrRef high_half(const Work *w, IrCode code)
{
    ArmTrans *c = w->c;
    unsigned half = 4u << w->log2;
    IrRef v = op2(c, code, w->log2, w->x, w->y);
    if (w->round)
        v = op2(c, IR_VADD, w->log2, v, arm_splat_const(c, w->log2, UINT64_C(1) << (half - 1)));
    return by(c, IR_VSHR, w->log2, v, half);
}

static IrRef one_operand(const Work *w)
{
    ArmTrans *c = w->c;
    unsigned n = w->l->shift;
    switch ((LaneOp)w->l->op) {
    case LANE_MOVE: return w->x;
    case LANE_ABS: return ir_vector(c->b, IR_VABS, w->log2, w->x, 0);
    case LANE_NEG: return op2(c, IR_VSUB, w->log2, zero(c), w->x);
    case LANE_NOT: return invert(c, w->x);
    case LANE_CNT:
        return by_nibbles(w, 0x0302020102010100, 0x0403030203020201, 0x0302020102010100, 0x0403030203020201, IR_VADD);
    case LANE_RBIT:
        return by_nibbles(w, 0xe060a020c0408000, 0xf070b030d0509010, 0x0e060a020c040800, 0x0f070b030d050901, IR_VOR);
    case LANE_SHL: return by(c, IR_VSHL, w->log2, w->x, n);
    case LANE_SHR: return shift_right(w, n);
    case LANE_SLI: case LANE_SRI: return insert_shifted(w, n);
    default: return 0;
    }
}

static IrRef compute(const Work *w)
{
    ArmTrans *c = w->c;
    bool u = w->u;
    switch ((LaneOp)w->l->op) {
    case LANE_ADD: return op2(c, IR_VADD, w->log2, w->x, w->y);
    case LANE_SUB: return op2(c, IR_VSUB, w->log2, w->x, w->y);
    case LANE_MUL: return op2(c, IR_VMUL, w->log2, w->x, w->y);
    case LANE_HADD: return halved(w, false);
    case LANE_HSUB: return halved(w, true);
    case LANE_ABD: return difference(w);
    case LANE_MAX: return op2(c, u ? IR_VMAXU : IR_VMAXS, w->log2, w->x, w->y);
    case LANE_MIN: return op2(c, u ? IR_VMINU : IR_VMINS, w->log2, w->x, w->y);
    case LANE_GT: return greater(w, w->x, w->y);
    case LANE_GE: return at_least(w, w->x, w->y);
    case LANE_LE: return at_least(w, w->y, w->x);
    case LANE_LT: return greater(w, w->y, w->x);
    case LANE_EQ: return op2(c, IR_VCMPEQ, w->log2, w->x, w->y);
    case LANE_TST:
        return invert(c, op2(c, IR_VCMPEQ, w->log2, op2(c, IR_VAND, 0, w->x, w->y), zero(c)));
    case LANE_SHIFT: return shift_by_lanes(w);
    case LANE_ADDH: return high_half(w, IR_VADD);
    case LANE_SUBH: return high_half(w, IR_VSUB);
    default: return one_operand(w);
    }
}

/* ---- what saturates ------------------------------------------------------------------------- */

/* Notes where v, of that many bytes, is not what it would be without saturation. */
static void note_saturated(ArmTrans *c, IrRef v, IrRef exact, unsigned bytes)
{
    IrRef differ = arm_low_bytes(c, op2(c, IR_VXOR, 0, v, exact), bytes);
    ir_put(c->b, SLOT_QC, op2(c, IR_VOR, 0, ir_get(c->b, SLOT_QC), differ));
}

static IrRef saturated_sum(const Work *w)
{
    static const uint8_t codes[2][2] = {{IR_VADDSAT, IR_VADDUSAT}, {IR_VSUBSAT, IR_VSUBUSAT}};
    bool subtract = w->l->op == LANE_SUB, to_unsigned = w->l->flags & LANE_SATURATE_UNSIGNED;
    if ((w->l->op != LANE_ADD && !subtract) || w->log2 > 1 || w->l->acc || to_unsigned != w->u)
        return 0;
    IrRef v = op2(w->c, (IrCode)codes[subtract][w->u], w->log2, w->x, w->y);
    note_saturated(w->c, v, compute(w), (unsigned)w->l->count << w->log2);
    return v;
}

/* Lanes of w->log2 to half their size, in the low half. */
static IrRef narrowed(const Work *w, IrRef v)
{
    ArmTrans *c = w->c;
    unsigned log2 = w->log2, half = log2 - 1, size = 1u << half;
    bool to_signed = w->l->flags & LANE_SATURATE, to_unsigned = w->l->flags & LANE_SATURATE_UNSIGNED;
    if (!to_signed && !to_unsigned) {
        uint64_t k = 0;
        for (unsigned i = 0; i < 8; i++)
            k |= (uint64_t)((i >> half << log2) + (i & (size - 1))) << 8 * i;
        return op2(c, IR_VSHUFFLE, 0, v, ir_vconst(c->b, k, UINT64_MAX));
    }
    if (log2 == 3 || (w->u && to_signed))
        return 0;
    IrRef in = v;
    if (w->u)
        in = op2(c, IR_VMINU, log2, v, arm_splat_const(c, log2, bits_mask(4u << log2)));
    IrRef out = op2(c, to_unsigned ? IR_VPACKU : IR_VPACKS, log2, in, in);
    IrRef back = ir_vector(c->b, to_unsigned ? IR_VWIDENU : IR_VWIDENS, half, out, 0);
    note_saturated(c, back, v, (unsigned)w->l->count << log2);
    return arm_low_half(c, out);
}

/* ---- descriptions ----------------------------------------------------------------------------- */

static IrRef operand(ArmTrans *c, unsigned v, unsigned from, unsigned to, unsigned start, bool is_unsigned)
{
    IrRef x = arm_v(c, (int)v);
    if (from == to)
        return x;
    if (start)
        x = ir_vector_imm(c->b, IR_VEXT, 0, x, x, 8);
    return ir_vector(c->b, is_unsigned ? IR_VWIDENU : IR_VWIDENS, from, x, 0);
}

/* Neighbours in n and then in m; or in n alone, widened. */
static bool pairs(Work *w)
{
    ArmTrans *c = w->c;
    const ArmLanes *l = w->l;
    IrRef n = arm_v(c, l->rn);
    if (l->dlog2 != l->nlog2) {
        unsigned width = 8u << l->nlog2;
        bool u = l->flags & LANE_UNSIGNED_N;
        w->y = by(c, u ? IR_VSHR : IR_VSAR, l->dlog2, n, width);
        w->x = u ? op2(c, IR_VAND, 0, n, arm_splat_const(c, l->dlog2, bits_mask(width)))
                 : by(c, IR_VSAR, l->dlog2, by(c, IR_VSHL, l->dlog2, n, width), width);
        return true;
    }
    IrRef m = arm_v(c, l->rm);
    if (l->nlanes << l->nlog2 == 8)
        n = m = op2(c, IR_VZIPL, 3, n, m);
    w->x = op2(c, IR_VUZPE, l->nlog2, n, m);
    w->y = op2(c, IR_VUZPO, l->nlog2, n, m);
    return true;
}

/* Joins all lanes: by halves, until one is left. */
static IrRef reduced(Work *w)
{
    ArmTrans *c = w->c;
    const ArmLanes *l = w->l;
    unsigned bytes = (unsigned)l->nlanes << l->nlog2;
    IrRef v = arm_v(c, l->rn);
    w->log2 = l->nlog2;
    if (l->op != LANE_ADD && l->op != LANE_MAX && l->op != LANE_MIN)
        return 0;
    if (l->op == LANE_ADD && l->nlog2 == 0 && (l->dlog2 == 0 || w->u)) { /* sums of bytes */
        v = op2(c, IR_VSAD, 0, v, zero(c));
        v = bytes == 16 ? op2(c, IR_VADD, 3, v, ir_vector_imm(c->b, IR_VEXT, 0, v, v, 8)) : v;
        return arm_low_bytes(c, v, 1u << l->dlog2);
    }
    if (l->dlog2 != l->nlog2) {
        pairs(w);
        v = op2(c, IR_VADD, l->dlog2, w->x, w->y);
        w->log2 = l->dlog2;
    }
    for (unsigned at = bytes / 2; at >= 1u << w->log2; at /= 2) {
        w->x = v;
        w->y = ir_vector_imm(c->b, IR_VEXT, 0, v, v, at);
        v = compute(w);
    }
    return arm_low_bytes(c, v, 1u << w->log2);
}

static IrRef whole(Work *w)
{
    ArmTrans *c = w->c;
    const ArmLanes *l = w->l;
    bool sat = l->flags & (LANE_SATURATE | LANE_SATURATE_UNSIGNED), narrows = l->dlog2 < l->nlog2;
    w->log2 = MAX(l->nlog2, l->dlog2);
    if (l->flags & LANE_PAIRS) {
        pairs(w);
    } else {
        w->x = operand(c, l->rn, l->nlog2, w->log2, l->nstart, l->flags & LANE_UNSIGNED_N);
        if (l->flags & LANE_M_ZERO)
            w->y = zero(c);
        else if (l->element == LANE_EACH)
            w->y = operand(c, l->rm, l->mlog2, w->log2, l->mstart, l->flags & LANE_UNSIGNED_M);
        else
            w->y = arm_splat_lane(c, arm_v(c, l->rm), l->mlog2, l->element);
        if (l->element != LANE_EACH && l->mlog2 < w->log2)
            w->y = ir_vector(c->b, l->flags & LANE_UNSIGNED_M ? IR_VWIDENU : IR_VWIDENS, l->mlog2, w->y, 0);
    }
    if (sat && !narrows)
        return saturated_sum(w);
    IrRef v = compute(w);
    if (v && narrows)
        return narrowed(w, v);
    if (v && l->acc)
        v = op2(c, l->acc == 1 ? IR_VADD : IR_VSUB, w->log2, arm_v(c, l->rd), v);
    return v;
}

/* Of saturating ones only sums, and what narrows, are done here; and products of doublewords only where
 * they are of words. Rounding is another thing for the rest. */
static bool is_able(const ArmLanes *l)
{
    bool narrows = l->dlog2 < l->nlog2, sat = l->flags & (LANE_SATURATE | LANE_SATURATE_UNSIGNED);
    switch ((LaneOp)l->op) {
    case LANE_DMUL: case LANE_PMUL: case LANE_DMULH: case LANE_CLS: case LANE_CLZ: case LANE_ADD_OLD:
    case LANE_URECPE: case LANE_URSQRTE:
        return false;
    case LANE_MAX: case LANE_MIN:
        return l->nlog2 < 3;
    case LANE_SHIFT:
        return !sat && !(l->flags & LANE_ROUND) && l->nlog2 >= 2 && !(l->nlog2 == 3 && !(l->flags & LANE_UNSIGNED_N));
    case LANE_ADD: case LANE_SUB:
        return !sat || (l->nlog2 < 2 && !narrows);
    default:
        return !sat || (narrows && l->nlog2 < 3 &&
                        !(l->flags & LANE_UNSIGNED_N && l->flags & LANE_SATURATE));
    }
}

/* Integer lanes: by the IR if it can. */
bool arm_call_lanes(ArmTrans *c, const ArmLanes *l)
{
    Work w = {.c = c, .l = l, .u = l->flags & LANE_UNSIGNED_N, .round = l->flags & LANE_ROUND};
    if (!is_able(l))
        return arm_call_helper(c, HELPER_LANES, l);
    IrRef v = l->flags & LANE_REDUCE ? reduced(&w) : whole(&w);
    g_assert(v);
    if (l->dstart) /* to the upper half */
        v = op2(c, IR_VZIPL, 3, arm_v(c, l->rd), v);
    else if (!(l->flags & LANE_REDUCE))
        v = arm_low_bytes(c, v, (unsigned)l->count << l->dlog2);
    arm_put_vector(c, l->rd, v);
    return true;
}
