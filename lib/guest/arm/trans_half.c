/* SPDX-License-Identifier: MIT */
/*
 * Half precision (FEAT_FP16), scalars and vectors. Moves and selections are done here, arithmetic by
 * the helpers of half.c.
 */
#include "guest/arm/simd_priv.h"

#define DECODE_EXTERN
#define DECODE_TYPES_ONLY
#include "gen/guest/arm/a64_half.inc"

static const uint8_t rounds[] = {IR_RNE, IR_RUP, IR_RDN, IR_RTZ};

static IrRef constant(ArmTrans *c, uint64_t v) { return ir_const(c->b, IR_I64, v); }
static IrRef half(ArmTrans *c, int n) { return ir_extract(c->b, arm_v_low(c, n), 0, 16); }

static bool put(ArmTrans *c, int n, IrRef v)
{
    arm_put_v(c, n, ir_zext(c->b, IR_I64, v), 0);
    return true;
}

static bool call_lanes(ArmTrans *c, const ArmLanes *l)
{
    uint64_t w[2];
    memcpy(w, l, sizeof w);
    ir_call(c->b, HELPER_HALF_LANES, constant(c, w[0]), constant(c, w[1]), 0, 0);
    return true;
}

static ArmLanes lanes(int rd, int rn, int rm, int q, int scalar, unsigned op)
{
    return (ArmLanes){.nlog2 = 1, .mlog2 = 1, .dlog2 = 1, .op = (uint8_t)op, .count = scalar ? 1 : q ? 8 : 4,
                      .rd = (uint8_t)rd, .rn = (uint8_t)rn, .rm = (uint8_t)rm, .element = LANE_EACH,
                      .nlanes = q ? 8 : 4};
}

/* ---- scalars --------------------------------------------------------------------------------- */

bool trans_a64_half_one(ArmTrans *c, const ArgsHOne *a)
{
    static const uint8_t modes[] = {IR_RNE, IR_RUP, IR_RDN, IR_RTZ, IR_RMM, 255, IR_RDYN, IR_RDYN};
    if (!c->p->fp16)
        return false;
    ArmLanes l = lanes(a->rd, a->rn, 0, 0, 1, FP_RINT);
    switch (a->op) {
    case 0: return put(c, a->rd, half(c, a->rn));
    case 1: return put(c, a->rd, ir_binary(c->b, IR_AND, half(c, a->rn), constant(c, 0x7fff)));
    case 2: return put(c, a->rd, ir_binary(c->b, IR_XOR, half(c, a->rn), constant(c, 0x8000)));
    case 3: l.op = FP_SQRT; return call_lanes(c, &l);
    default: break;
    }
    if (a->op < 8 || a->op > 15 || modes[a->op & 7] == 255)
        return false;
    l.op = a->op == 14 ? FP_RINTX : FP_RINT;
    l.shift = modes[a->op & 7];
    return call_lanes(c, &l);
}

bool trans_a64_half_two(ArmTrans *c, const ArgsHTwo *a)
{
    static const uint8_t ops[] = {FP_MUL, FP_DIV, FP_ADD, FP_SUB, FP_MAX, FP_MIN, FP_MAXNM, FP_MINNM, FP_MUL};
    if (!c->p->fp16 || a->op > 8)
        return false;
    ArmLanes l = lanes(a->rd, a->rn, a->rm, 0, 1, ops[a->op]);
    call_lanes(c, &l);
    if (a->op == 8)
        put(c, a->rd, ir_binary(c->b, IR_XOR, half(c, a->rd), constant(c, 0x8000)));
    return true;
}

bool trans_a64_half_three(ArmTrans *c, const ArgsHThree *a)
{
    unsigned how = (a->o0 != a->o1 ? SF_NEGATE_PRODUCT : 0) | (a->o1 ? SF_NEGATE_ADDEND : 0);
    if (!c->p->fp16)
        return false;
    return put(c, a->rd, ir_call(c->b, HELPER_HALF_FMA, half(c, a->rn), half(c, a->rm), half(c, a->ra),
                                 constant(c, how)));
}

static IrRef compare(ArmTrans *c, IrRef x, IrRef y, int signalling)
{
    IrRef f = ir_call(c->b, HELPER_HALF_COMPARE, x, y, constant(c, (uint64_t)signalling), 0);
    return ir_unary(c->b, IR_FLAGS_PACK, IR_FLAGS, ir_trunc(c->b, IR_I32, f));
}

bool trans_a64_half_cmp(ArmTrans *c, const ArgsHCmp *a)
{
    if (!c->p->fp16)
        return false;
    ir_put(c->b, SLOT_FLAGS, compare(c, half(c, a->rn), a->zero ? constant(c, 0) : half(c, a->rm), a->e));
    return true;
}

/* The compare may raise flags only if the condition holds. */
bool trans_a64_half_ccmp(ArmTrans *c, const ArgsHCcmp *a)
{
    IrBuilder *b = c->b;
    if (!c->p->fp16)
        return false;
    unsigned yes = ir_label_new(b), end = ir_label_new(b);
    ir_brcond(b, arm_condition(c, (unsigned)a->cond), yes);
    ir_put(b, SLOT_FLAGS, arm_nzcv_const(c, (unsigned)a->nzcv));
    ir_br(b, end);
    ir_label(b, yes);
    ir_put(b, SLOT_FLAGS, compare(c, half(c, a->rn), half(c, a->rm), a->e));
    ir_label(b, end);
    return true;
}

bool trans_a64_half_csel(ArmTrans *c, const ArgsHSel *a)
{
    if (!c->p->fp16)
        return false;
    return put(c, a->rd, ir_select(c->b, arm_condition(c, (unsigned)a->cond), half(c, a->rn), half(c, a->rm)));
}

/* VFPExpandImm of the manual */
static uint64_t immediate(unsigned imm8)
{
    unsigned b = imm8 >> 6 & 1;
    return (imm8 >> 7) << 15 | (b ^ 1) << 14 | (b ? 3u << 12 : 0) | (imm8 & 63) << 6;
}

bool trans_a64_half_imm(ArmTrans *c, const ArgsHImm *a)
{
    return c->p->fp16 && put(c, a->rd, constant(c, immediate((unsigned)a->imm)));
}

static uint64_t how(int sf, int is_unsigned, unsigned scale, unsigned round)
{
    return scale | (is_unsigned ? 256 : 0) | (sf ? 512 : 0) | round << 12;
}

bool trans_a64_half_int(ArmTrans *c, const ArgsHInt *a)
{
    if (!c->p->fp16 || (a->opcode >= 2 && a->opcode != 4 && a->opcode != 5 && a->rmode) ||
        (a->opcode >> 1 == 2 && a->rmode))
        return false;
    if (a->opcode == 7)
        return put(c, a->rd, ir_extract(c->b, arm_x(c, a->rn), 0, 16));
    if (a->opcode == 6) {
        arm_put(c, a->rd, half(c, a->rn));
        return true;
    }
    unsigned round = a->opcode & 4 ? IR_RMM : rounds[a->rmode];
    IrRef h = constant(c, how(a->sf, a->opcode & 1, 0, round));
    if (a->opcode >> 1 == 1)
        return put(c, a->rd, ir_call(c->b, HELPER_HALF_FROM_INT, arm_x(c, a->rn), h, 0, 0));
    arm_put(c, a->rd, ir_call(c->b, HELPER_HALF_TO_INT, half(c, a->rn), h, 0, 0));
    return true;
}

bool trans_a64_half_fixed(ArmTrans *c, const ArgsHFixed *a)
{
    bool from = a->opcode >> 1 == 1;
    if (!c->p->fp16 || (!a->sf && a->scale < 32) || a->opcode > 3 || a->rmode != (from ? 0 : 3))
        return false;
    IrRef h = constant(c, how(a->sf, a->opcode & 1, 64 - (unsigned)a->scale, IR_RTZ));
    if (from)
        return put(c, a->rd, ir_call(c->b, HELPER_HALF_FROM_INT, arm_x(c, a->rn), h, 0, 0));
    arm_put(c, a->rd, ir_call(c->b, HELPER_HALF_TO_INT, half(c, a->rn), h, 0, 0));
    return true;
}

/* ---- vectors ------------------------------------------------------------------------------------ */

/* op by U and bit 23; + 64: scalars too, + 128: pairs */
static const uint8_t sames[8][2][2] = {
    {{FP_MAXNM, FP_MINNM}, {FP_MAXNM | 128, FP_MINNM | 128}},
    {{FP_MLA, FP_MLS}, {0, 0}},
    {{FP_ADD, FP_SUB}, {FP_ADD | 128, FP_ABD | 64}},
    {{FP_MULX | 64, 0}, {FP_MUL, 0}},
    {{FP_EQ | 64, 0}, {FP_GE | 64, FP_GT | 64}},
    {{0, 0}, {FP_ACGE | 64, FP_ACGT | 64}},
    {{FP_MAX, FP_MIN}, {FP_MAX | 128, FP_MIN | 128}},
    {{FP_RECPS | 64, FP_RSQRTS | 64}, {FP_DIV, 0}},
};

bool trans_a64_half_same(ArmTrans *c, const ArgsHSame *a)
{
    unsigned op = sames[a->op][a->u][a->a];
    if (!c->p->fp16 || !op || (a->scalar && !(op & 64)))
        return false;
    ArmLanes l = lanes(a->rd, a->rn, a->rm, a->q, a->scalar, op & 63);
    l.flags = op & 128 ? LANE_PAIRS : 0;
    return call_lanes(c, &l);
}

bool trans_a64_half_misc(ArmTrans *c, const ArgsHMisc *a)
{
    ArmLanes l = lanes(a->rd, a->rn, 0, a->q, a->scalar, 0);
    bool vector_only;
    l.flags = LANE_M_ZERO;
    if (!c->p->fp16 || !arm_fp_unary_encoded((unsigned)(a->op | a->a << 8 | a->u << 9), a->scalar, &l, &vector_only) ||
        (a->scalar && vector_only))
        return false;
    return call_lanes(c, &l);
}

/* One lane of all, or of a pair. */
bool trans_a64_half_across(ArmTrans *c, const ArgsHMisc *a)
{
    ArmLanes l = lanes(a->rd, a->rn, 0, a->q, 1, 0);
    l.flags = LANE_REDUCE;
    if (a->scalar)
        l.nlanes = 2;
    switch (a->op) {
    case 12: l.op = a->a ? FP_MINNM : FP_MAXNM; break;
    case 13: l.op = FP_ADD; if (a->a || !a->scalar) return false; break;
    case 15: l.op = a->a ? FP_MIN : FP_MAX; break;
    default: return false;
    }
    return c->p->fp16 && call_lanes(c, &l);
}

bool trans_a64_half_elem(ArmTrans *c, const ArgsHElem *a)
{
    static const uint8_t ops[16] = {[1] = FP_MLA, [5] = FP_MLS, [9] = FP_MUL};
    unsigned op = a->u ? a->op == 9 ? FP_MULX : 0 : ops[a->op];
    if (!c->p->fp16 || !op)
        return false;
    ArmLanes l = lanes(a->rd, a->rn, a->rm, a->q, a->scalar, op);
    l.element = (uint8_t)(a->h << 2 | a->lm);
    return call_lanes(c, &l);
}

/* Fixed point. */
bool trans_a64_half_shift(ArmTrans *c, const ArgsHShift *a)
{
    ArmLanes l = lanes(a->rd, a->rn, 0, a->q, a->scalar, a->from ? FP_TO_INT : FP_FROM_INT);
    l.flags = LANE_M_ZERO | (a->u ? LANE_UNSIGNED_N : 0);
    l.mstart = (uint8_t)(16 - a->imm);
    l.shift = IR_RTZ;
    return c->p->fp16 && call_lanes(c, &l);
}

bool trans_a64_half_vimm(ArmTrans *c, const ArgsHVimm *a)
{
    IrRef v = constant(c, immediate((unsigned)a->imm) * UINT64_C(0x1000100010001));
    if (!c->p->fp16)
        return false;
    arm_put_v(c, a->rd, v, a->q ? v : 0);
    return true;
}
