/* SPDX-License-Identifier: MIT */
/*
 * Pointer authentication (FEAT_PAuth): addresses have 48 bits and a top byte of their own, so that a code
 * has bits 48 to 54; without FEAT_FPAC a wrong one makes an address that faults. With pauth-impdef the
 * code is a product of both operands and the key, a few instructions of IR; nobody who can read memory is
 * to be kept from forging it, as the keys lie there.
 */
#include "guest/arm/arm_priv.h"

#define DECODE_EXTERN
#define DECODE_TYPES_ONLY
#include "gen/guest/arm/a64_pauth.inc"

enum { LOW = 48, BITS = 7, LR = 30 }; /* where the code is */
static const uint64_t field = UINT64_C(0x7f) << LOW;

static IrRef constant(ArmTrans *c, uint64_t v) { return ir_const(c->b, IR_I64, v); }

static IrRef code_of(ArmTrans *c, unsigned key, IrRef pointer, IrRef modifier)
{
    IrBuilder *b = c->b;
    if (!c->p->pauth_impdef)
        return ir_call(b, HELPER_QARMA, pointer, modifier, constant(c, key), 0);
    IrRef x = ir_binary(b, IR_XOR, pointer, ir_get(b, SLOT_PAC + 2 * key));
    x = ir_binary(b, IR_MUL, x, constant(c, UINT64_C(0x9e3779b97f4a7c15)));
    x = ir_binary(b, IR_XOR, x, ir_binary_imm(b, IR_SHR, x, 29));
    x = ir_binary(b, IR_XOR, x, ir_binary(b, IR_XOR, modifier, ir_get(b, SLOT_PAC + 2 * key + 1)));
    x = ir_binary(b, IR_MUL, x, constant(c, UINT64_C(0xbf58476d1ce4e5b9)));
    return ir_binary(b, IR_XOR, x, ir_binary_imm(b, IR_SHR, x, 31));
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
    IrRef clean = strip(c, pointer), code = code_of(c, key, clean, modifier);
    IrRef bad = ir_zext(b, IR_I64, ir_cmp(b, IR_NE, clean, pointer));
    code = ir_binary(b, IR_XOR, code, ir_binary_imm(b, IR_SHL, bad, 54));
    return ir_deposit(b, pointer, ir_extract(b, code, LOW, BITS), LOW, BITS);
}

/* Keys are numbered IA, IB, DA, DB: the error code is 1 for an A, 2 for a B. */
static IrRef authenticate(ArmTrans *c, unsigned key, IrRef pointer, IrRef modifier)
{
    IrBuilder *b = c->b;
    if (b->mode & MODE_NO_KEY(key))
        return pointer;
    IrRef clean = strip(c, pointer), code = code_of(c, key, clean, modifier);
    IrRef differ = ir_binary(b, IR_AND, ir_binary(b, IR_XOR, code, pointer), constant(c, field));
    IrRef wrong = ir_deposit(b, clean, constant(c, key & 1 ? 2 : 1), 53, 2);
    return ir_select(b, ir_cmp(b, IR_EQ, differ, constant(c, 0)), clean, wrong);
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
    arm_put(c, a->rd, a->op & 4 ? authenticate(c, key, x, modifier) : sign(c, key, x, modifier));
    return true;
}

bool trans_a64_pacga(ArmTrans *c, const ArgsPTwo *a)
{
    if (!c->p->pauth)
        return false;
    IrRef v = code_of(c, ARM_KEY_GA, arm_x(c, a->rn), arm_x_sp(c, a->rm));
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
    arm_put(c, reg, auth ? authenticate(c, key, arm_x(c, reg), modifier) : sign(c, key, arm_x(c, reg), modifier));
    return true;
}
