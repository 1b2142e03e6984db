/* SPDX-License-Identifier: MIT */
/*
 * Scalar floating point of single and double precision, in the low part of a V register.
 * Half precision is converted only.
 */
#include "guest/arm/arm_priv.h"

#define DECODE_EXTERN
#define DECODE_TYPES_ONLY
#include "gen/guest/arm/a64_fp.inc"

enum { SINGLE, DOUBLE, HALF = 3 };

static IrType fp_type(int type) { return type == DOUBLE ? IR_F64 : IR_F32; }

static IrRef get(ArmTrans *c, int type, int n)
{
    return ir_vextract(c->b, fp_type(type), arm_v(c, n), 0);
}

static bool put(ArmTrans *c, int type, int n, IrRef v)
{
    (void)type;
    arm_put_vector(c, n, ir_vzext(c->b, v));
    return true;
}

/* The bits of a scalar, zero-extended. */
static IrRef bits_of(ArmTrans *c, int type, int n)
{
    IrType t = type == HALF ? IR_I16 : type == DOUBLE ? IR_I64 : IR_I32;
    return ir_zext(c->b, IR_I64, ir_vextract(c->b, t, arm_v(c, n), 0));
}

static bool put_bits(ArmTrans *c, int n, IrRef v)
{
    arm_put_v(c, n, ir_zext(c->b, IR_I64, v), 0);
    return true;
}

static IrRef constant(ArmTrans *c, uint64_t v)
{
    return ir_const(c->b, IR_I64, v);
}

static bool convert(ArmTrans *c, const ArgsFOne *a, int to)
{
    if (to == 2 || to == a->type)
        return false;
    if (to != HALF && a->type != HALF)
        return put(c, to, a->rd, ir_ftof(c->b, fp_type(to), get(c, a->type, a->rn), IR_RDYN));
    return put_bits(c, a->rd, ir_call(c->b, HELPER_FCVT_HALF, bits_of(c, a->type, a->rn),
                                      constant(c, (uint64_t)(a->type | to << 2)), 0, 0));
}

bool trans_a64_fp_one(ArmTrans *c, const ArgsFOne *a)
{
    static const uint8_t rounds[] = {IR_RNE, IR_RUP, IR_RDN, IR_RTZ, IR_RMM, 255, IR_RDYN, IR_RDYN};
    if (a->type == 2)
        return false;
    if (a->op1 >> 2 == 1)
        return convert(c, a, a->op1 & 3);
    if (a->type == HALF)
        return false;
    IrRef v = get(c, a->type, a->rn);
    switch (a->op1) {
    case 0: return put(c, a->type, a->rd, v);
    case 1: return put(c, a->type, a->rd, ir_unary(c->b, IR_FABS, fp_type(a->type), v));
    case 2: return put(c, a->type, a->rd, ir_unary(c->b, IR_FNEG, fp_type(a->type), v));
    case 3: return put(c, a->type, a->rd, ir_fop1(c->b, IR_FSQRT, v, IR_RDYN));
    default: break;
    }
    if (a->op1 < 8 || a->op1 > 15 || rounds[a->op1 & 7] == 255)
        return false;
    v = ir_op(c->b, (IrOp){.code = IR_FROUND, .type = (uint8_t)fp_type(a->type), .sub = rounds[a->op1 & 7], .a = v,
                           .imm = a->op1 == 14});
    return put(c, a->type, a->rd, v);
}

bool trans_a64_fp_two(ArmTrans *c, const ArgsFTwo *a)
{
    static const uint8_t codes[] = {IR_FMUL, IR_FDIV, IR_FADD, IR_FSUB, IR_FMAX, IR_FMIN, IR_FMAX, IR_FMIN, IR_FMUL};
    if (a->type > 1 || a->op2 > 8)
        return false;
    IrRef x = get(c, a->type, a->rn), y = get(c, a->type, a->rm), v;
    IrCode code = (IrCode)codes[a->op2];
    if (a->op2 >> 2 == 1)
        v = ir_fminmax(c->b, code, x, y, a->op2 & 2 ? IR_MINMAX_NUMBER_2008 : IR_MINMAX_NAN);
    else
        v = ir_fop2(c->b, code, x, y, IR_RDYN);
    if (a->op2 == 8)
        v = ir_unary(c->b, IR_FNEG, fp_type(a->type), v);
    return put(c, a->type, a->rd, v);
}

bool trans_a64_fp_three(ArmTrans *c, const ArgsFThree *a)
{
    if (a->type > 1)
        return false;
    unsigned how = IR_FMA_NEGATE_NAN | (a->o0 != a->o1 ? IR_FMA_NEGATE_PRODUCT : 0) |
                   (a->o1 ? IR_FMA_NEGATE_ADDEND : 0);
    return put(c, a->type, a->rd, ir_fma_as(c->b, get(c, a->type, a->rn), get(c, a->type, a->rm),
                                            get(c, a->type, a->ra), how, IR_RDYN));
}

static IrRef compare(ArmTrans *c, IrRef x, IrRef y, bool signalling)
{
    return ir_frel(c->b, IR_FLAGS, x, y, signalling, IR_FLAG_S, IR_FLAG_Z | IR_FLAG_C, IR_FLAG_C,
                   IR_FLAG_C | IR_FLAG_O);
}

bool trans_a64_fcmp(ArmTrans *c, const ArgsFCmp *a)
{
    if (a->type > 1)
        return false;
    IrRef y = a->zero ? ir_const(c->b, fp_type(a->type), 0) : get(c, a->type, a->rm);
    ir_put(c->b, SLOT_FLAGS, compare(c, get(c, a->type, a->rn), y, a->e));
    return true;
}

/* The compare may raise flags only if the condition holds. */
bool trans_a64_fccmp(ArmTrans *c, const ArgsFCcmp *a)
{
    IrBuilder *b = c->b;
    if (a->type > 1)
        return false;
    unsigned yes = ir_label_new(b), end = ir_label_new(b);
    ir_brcond(b, arm_condition(c, (unsigned)a->cond), yes);
    ir_put(b, SLOT_FLAGS, arm_nzcv_const(c, (unsigned)a->nzcv));
    ir_br(b, end);
    ir_label(b, yes);
    ir_put(b, SLOT_FLAGS, compare(c, get(c, a->type, a->rn), get(c, a->type, a->rm), a->e));
    ir_label(b, end);
    return true;
}

bool trans_a64_fcsel(ArmTrans *c, const ArgsFSel *a)
{
    if (a->type > 1)
        return false;
    return put(c, a->type, a->rd, ir_select(c->b, arm_condition(c, (unsigned)a->cond), get(c, a->type, a->rn),
                                            get(c, a->type, a->rm)));
}

bool trans_a64_fmov_imm(ArmTrans *c, const ArgsFImm *a)
{
    if (a->type > 1)
        return false;
    return put_bits(c, a->rd, constant(c, arm_fp_imm((unsigned)a->imm, a->type == DOUBLE)));
}

/* FMOV between the files of registers: rmode 1 is for the upper half of a vector */
static bool move(ArmTrans *c, const ArgsFInt *a)
{
    bool top = a->rmode == 1;
    if (a->rmode > 1 || (top ? !a->sf || a->type != 2 : a->type > 1 || a->type != a->sf))
        return false;
    if (a->opcode == 6)
        arm_put(c, a->rd, top ? arm_v_high(c, a->rn) : bits_of(c, a->type, a->rn));
    else if (top)
        arm_put_vector(c, a->rd, ir_vinsert(c->b, arm_v(c, a->rd), 1, arm_x(c, a->rn)));
    else
        arm_put_v(c, a->rd, arm_r(c, a->sf, a->rn), 0);
    return true;
}

bool trans_a64_fp_int(ArmTrans *c, const ArgsFInt *a)
{
    static const uint8_t rounds[] = {IR_RNE, IR_RUP, IR_RDN, IR_RTZ};
    if (a->opcode >= 6)
        return move(c, a);
    if (a->type > 1 || (a->opcode >= 2 && a->rmode))
        return false;
    if (a->opcode >> 1 == 1)
        return put(c, a->type, a->rd, ir_itof(c->b, fp_type(a->type), arm_r(c, a->sf, a->rn), a->opcode & 1, IR_RDYN));
    IrRound round = a->opcode & 4 ? IR_RMM : (IrRound)rounds[a->rmode];
    arm_put(c, a->rd, ir_ftoi(c->b, arm_type(a->sf), get(c, a->type, a->rn), a->opcode & 1 ? IR_TOINT_UNSIGNED : 0,
                              round));
    return true;
}

bool trans_a64_fp_fixed(ArmTrans *c, const ArgsFFixed *a)
{
    bool from = a->opcode >> 1 == 1;
    uint64_t how = (uint64_t)(64 - a->scale) | (a->opcode & 1 ? 256 : 0) | (a->sf ? 512 : 0) |
                   (a->type == DOUBLE ? 1024 : 0);
    if (a->type > 1 || (!a->sf && a->scale < 32) || a->opcode > 3 || a->rmode != (from ? 0 : 3))
        return false;
    if (!from) {
        IrRef v = ir_call(c->b, HELPER_FCVT_FIXED, bits_of(c, a->type, a->rn), constant(c, how), 0, 0);
        arm_put(c, a->rd, v);
        return true;
    }
    return put_bits(c, a->rd, ir_call(c->b, HELPER_FIXED_FCVT, arm_x(c, a->rn), constant(c, how), 0, 0));
}
