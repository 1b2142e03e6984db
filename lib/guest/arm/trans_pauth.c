/* SPDX-License-Identifier: MIT */
/*
 * Pointer authentication (FEAT_PAuth): addresses have 48 bits and a top byte of their own, so that a code
 * has bits 48 to 54; without FEAT_FPAC a wrong one makes an address that faults.
 *
 * With pauth-impdef the code is a product of both operands and the key, since each function of a program
 * has two of these instructions: it is the upper bits of ((pointer << 16) ^ modifier ^ K0) * K1, and is
 * exclusive-ored to what is in its place, which a canonical pointer has all zeros or all ones. That of
 * another thus never becomes right. Nobody who can read memory is kept from forging codes, as the keys
 * lie there.
 */
#include "guest/arm/arm_priv.h"

#define DECODE_EXTERN
#define DECODE_TYPES_ONLY
#include "gen/guest/arm/a64_pauth.inc"

enum { LOW = 48, BITS = 7, LR = 30 }; /* where the code is */
static const uint64_t field = UINT64_C(0x7f) << LOW;

static IrRef constant(ArmTrans *c, uint64_t v) { return ir_const(c->b, IR_I64, v); }

/* In its place, zeros elsewhere. */
static IrRef short_code(ArmTrans *c, unsigned key, IrRef pointer, IrRef modifier)
{
    IrBuilder *b = c->b;
    IrRef x = ir_binary(b, IR_XOR, ir_binary_imm(b, IR_SHL, pointer, 16), modifier);
    x = ir_binary(b, IR_MUL, ir_binary(b, IR_XOR, x, ir_get(b, SLOT_PAC + 2 * key)), ir_get(b, SLOT_PAC + 2 * key + 1));
    return ir_binary_imm(b, IR_SHL, ir_binary_imm(b, IR_SHR, x, 64 - BITS), LOW);
}

static IrRef qarma(ArmTrans *c, unsigned key, IrRef value, IrRef modifier)
{
    return ir_call(c->b, HELPER_QARMA, value, modifier, constant(c, key), 0);
}

/* Bits 48 to 54 as bit 55 is. */
static IrRef strip(ArmTrans *c, IrRef pointer)
{
    IrBuilder *b = c->b;
    IrRef sign = ir_binary_imm(b, IR_SAR, ir_binary_imm(b, IR_SHL, pointer, 8), 63);
    return ir_deposit(b, pointer, ir_extract(b, sign, 0, BITS), LOW, BITS);
}

/* A canonical pointer gets its code; that of another is made wrong. */
static IrRef sign(ArmTrans *c, unsigned key, IrRef pointer, IrRef modifier)
{
    IrBuilder *b = c->b;
    if (b->mode & MODE_NO_KEY(key))
        return pointer;
    if (c->p->pauth_impdef)
        return ir_binary(b, IR_XOR, pointer, short_code(c, key, pointer, modifier));
    IrRef clean = strip(c, pointer), code = qarma(c, key, clean, modifier);
    IrRef bad = ir_zext(b, IR_I64, ir_cmp(b, IR_NE, clean, pointer));
    code = ir_binary(b, IR_XOR, code, ir_binary_imm(b, IR_SHL, bad, 54));
    return ir_deposit(b, pointer, ir_extract(b, code, LOW, BITS), LOW, BITS);
}

/* What a pointer with a wrong code becomes. Keys are numbered IA, IB, DA, DB: 1 for an A, 2 for a B. */
static IrRef wrong(ArmTrans *c, unsigned key, IrRef pointer)
{
    return ir_deposit(c->b, strip(c, pointer), constant(c, key & 1 ? 2 : 1), 53, 2);
}

/* *right: i8, whether the code was the right one; the pointer without it, if so. */
static IrRef take_off(ArmTrans *c, unsigned key, IrRef pointer, IrRef modifier, IrRef *right)
{
    IrBuilder *b = c->b;
    if (c->p->pauth_impdef) { /* bits 48 to 55 must be alike then */
        IrRef clean = ir_binary(b, IR_XOR, pointer, short_code(c, key, pointer, modifier));
        IrRef top = ir_binary_imm(b, IR_SAR, ir_binary_imm(b, IR_SHL, clean, 8), 56);
        *right = ir_cmp(b, IR_LEU, ir_binary_imm(b, IR_ADD, top, 1), constant(c, 1));
        return clean;
    }
    IrRef clean = strip(c, pointer);
    IrRef differ = ir_binary(b, IR_XOR, qarma(c, key, clean, modifier), pointer);
    *right = ir_cmp(b, IR_EQ, ir_binary(b, IR_AND, differ, constant(c, field)), constant(c, 0));
    return clean;
}

static IrRef authenticate(ArmTrans *c, unsigned key, IrRef pointer, IrRef modifier)
{
    IrRef right;
    if (c->b->mode & MODE_NO_KEY(key))
        return pointer;
    IrRef clean = take_off(c, key, pointer, modifier, &right);
    return ir_select(c->b, right, clean, wrong(c, key, pointer));
}

/* The same of a register, where the wrong one is made off the way. */
static void authenticate_register(ArmTrans *c, unsigned key, int reg, IrRef modifier)
{
    IrBuilder *b = c->b;
    IrRef right;
    if (reg == ZR || b->mode & MODE_NO_KEY(key))
        return;
    unsigned end = ir_label_new(b);
    arm_put(c, reg, take_off(c, key, arm_x(c, reg), modifier, &right));
    ir_brcond(b, right, end);
    arm_put(c, reg, wrong(c, key, arm_x(c, reg)));
    ir_label(b, end);
}

bool trans_a64_pac_one(ArmTrans *c, const ArgsPOne *a)
{
    unsigned key = (unsigned)a->op & 3;
    bool zero = a->op & 8;
    if (!c->p->pauth || a->op > 17 || (a->op >= 8 && a->rn != 31))
        return false;
    IrRef x = arm_x(c, a->rd);
    if (a->op >= 16) {
        arm_put(c, a->rd, strip(c, x));
        return true;
    }
    IrRef modifier = zero ? constant(c, 0) : arm_x_sp(c, a->rn);
    if (a->op & 4)
        authenticate_register(c, key, a->rd, modifier);
    else
        arm_put(c, a->rd, sign(c, key, x, modifier));
    return true;
}

bool trans_a64_pacga(ArmTrans *c, const ArgsPTwo *a)
{
    if (!c->p->pauth)
        return false;
    IrBuilder *b = c->b;
    IrRef v = arm_x(c, a->rn), modifier = arm_x_sp(c, a->rm);
    if (c->p->pauth_impdef) {
        v = ir_binary(b, IR_XOR, v, ir_get(b, SLOT_PAC + 2 * ARM_KEY_GA));
        v = ir_binary(b, IR_MUL, v, constant(c, UINT64_C(0x9e3779b97f4a7c15)));
        v = ir_binary(b, IR_XOR, v, ir_binary_imm(b, IR_SHR, v, 29));
        v = ir_binary(b, IR_XOR, v, ir_binary(b, IR_XOR, modifier, ir_get(b, SLOT_PAC + 2 * ARM_KEY_GA + 1)));
        v = ir_binary(b, IR_MUL, v, constant(c, UINT64_C(0xbf58476d1ce4e5b9)));
    } else {
        v = qarma(c, ARM_KEY_GA, v, modifier);
    }
    arm_put(c, a->rd, ir_binary(c->b, IR_AND, v, constant(c, UINT64_C(0xffffffff) << 32)));
    return true;
}

/* BRAA, BLRAA, RETAA and those of zero and of key B. */
bool trans_a64_bra(ArmTrans *c, const ArgsPBr *a)
{
    unsigned key = (unsigned)a->m; /* IA or IB */
    bool ret = a->op == 2;
    if (!c->p->pauth || a->op == 3 || (ret ? a->z || a->rn != 31 || a->rm != 31 : !a->z && a->rm != 31))
        return false;
    IrRef modifier = ret ? ir_get(c->b, SLOT_SP) : a->z ? arm_x_sp(c, a->rm) : constant(c, 0);
    IrRef to = authenticate(c, key, arm_x(c, ret ? LR : a->rn), modifier);
    arm_branch_register(c, (unsigned)a->op, ret ? LR : a->rn, to);
    return true;
}

bool trans_a64_ldra(ArmTrans *c, const ArgsPLoad *a)
{
    if (!c->p->pauth)
        return false;
    IrRef base = authenticate(c, a->m ? ARM_KEY_DB : ARM_KEY_DA, arm_x_sp(c, a->rn), constant(c, 0));
    IrRef v = ir_load(c->b, IR_I64, IR_MEM_SIZE(3), base, a->imm);
    if (a->w)
        arm_put_sp(c, a->rn, ir_binary_imm(c->b, IR_ADD, base, a->imm));
    arm_put(c, a->rt, v);
    return true;
}

bool arm_pauth_hint(ArmTrans *c, unsigned hint)
{
    bool auth, zero = false;
    unsigned key = hint >> 1 & 1;
    int reg = LR;
    if (!c->p->pauth)
        return false;
    if (hint == 7) { /* XPACLRI */
        arm_put(c, LR, strip(c, arm_x(c, LR)));
        return true;
    }
    switch (hint) {
    case 8: case 10: case 12: case 14: /* X17 by X16 */
        reg = 17;
        auth = hint & 4;
        break;
    case 24: case 25: case 26: case 27: case 28: case 29: case 30: case 31: /* the link register by zero or SP */
        zero = !(hint & 1);
        auth = hint & 4;
        break;
    default: return false;
    }
    IrRef modifier = zero ? constant(c, 0) : reg == 17 ? arm_x(c, 16) : ir_get(c->b, SLOT_SP);
    if (auth)
        authenticate_register(c, key, reg, modifier);
    else
        arm_put(c, reg, sign(c, key, arm_x(c, reg), modifier));
    return true;
}
