/* SPDX-License-Identifier: MIT */
/*
 * Fields of PSTATE that EL0 may change: NZCV bit by bit (FlagM, FlagM2), and those that have registers
 * and immediates of their own. DIT and SSBS are kept and mean nothing here;
 * TCO does to mte.c.
 */
#include "guest/arm/arm_priv.h"

#define DECODE_EXTERN
#define DECODE_TYPES_ONLY
#include "gen/guest/arm/a64_int.inc"
#include "gen/guest/arm/a64_sys.inc"

enum { N, Z, C, V };
static const uint8_t places[] = {7, 6, 0, 11}; /* of IrFlagBits */

static IrRef flag_bits(ArmTrans *c)
{
    return ir_unary(c->b, IR_FLAGS_BITS, IR_I32, ir_get(c->b, SLOT_FLAGS));
}

static IrRef flag(ArmTrans *c, IrRef bits, unsigned which)
{
    return ir_extract(c->b, bits, places[which], 1);
}

/* Each 0 or 1. */
static bool put_flags(ArmTrans *c, const IrRef flags[4])
{
    IrRef v = ir_const(c->b, IR_I32, 0);
    for (unsigned i = 0; i < 4; i++)
        v = ir_binary(c->b, IR_OR, v, ir_binary_imm(c->b, IR_SHL, flags[i], places[i]));
    ir_put(c->b, SLOT_FLAGS, ir_unary(c->b, IR_FLAGS_PACK, IR_FLAGS, v));
    return true;
}

bool trans_a64_rmif(ArmTrans *c, const ArgsRmif *a)
{
    if (!c->p->flagm)
        return false;
    IrRef x = ir_binary_imm(c->b, IR_ROR, arm_x(c, a->rn), a->imm), old = flag_bits(c), f[4];
    for (unsigned i = 0; i < 4; i++)
        f[i] = a->mask >> (3 - i) & 1 ? ir_trunc(c->b, IR_I32, ir_extract(c->b, x, 3 - i, 1)) : flag(c, old, i);
    return put_flags(c, f);
}

bool trans_a64_setf(ArmTrans *c, const ArgsSetf *a)
{
    unsigned bits = a->width ? 16 : 8;
    if (!c->p->flagm)
        return false;
    IrRef x = arm_r(c, 0, a->rn), old = flag_bits(c), f[4];
    f[N] = ir_extract(c->b, x, bits - 1, 1);
    f[Z] = ir_zext(c->b, IR_I32, ir_cmp(c->b, IR_EQ, ir_extract(c->b, x, 0, bits), ir_const(c->b, IR_I32, 0)));
    f[C] = flag(c, old, C);
    f[V] = ir_binary(c->b, IR_XOR, ir_extract(c->b, x, bits, 1), f[N]);
    return put_flags(c, f);
}

/* CFINV; XAFLAG and AXFLAG, to and from what other architectures' compares of floats give */
static bool convert_flags(ArmTrans *c, unsigned op)
{
    IrBuilder *b = c->b;
    if (!op) {
        ir_put(b, SLOT_FLAGS, ir_unary(b, IR_FLAGS_INVC, IR_FLAGS, ir_get(b, SLOT_FLAGS)));
        return c->p->flagm;
    }
    if (!c->p->flagm2)
        return false;
    IrRef old = flag_bits(c), z = flag(c, old, Z), carry = flag(c, old, C), v = flag(c, old, V), f[4];
    if (op == 1) {
        f[N] = ir_binary_imm(b, IR_XOR, ir_binary(b, IR_OR, carry, z), 1);
        f[Z] = ir_binary(b, IR_AND, z, carry);
        f[C] = ir_binary(b, IR_OR, carry, z);
        f[V] = ir_binary(b, IR_ANDN, z, carry);
    } else {
        f[N] = f[V] = ir_const(b, IR_I32, 0);
        f[Z] = ir_binary(b, IR_OR, z, v);
        f[C] = ir_binary(b, IR_ANDN, carry, v);
    }
    return put_flags(c, f);
}

uint32_t arm_pstate_immediate(const ArmProps *p, unsigned op)
{
    switch (op) {
    case 3 << 3 | 1: return p->ssbs ? ARM_PSTATE_SSBS : 0;
    case 3 << 3 | 4: return p->mte ? ARM_PSTATE_TCO : 0;
    case 3 << 3 | 2: return p->dit ? ARM_PSTATE_DIT : 0;
    default: return 0;
    }
}

uint32_t arm_pstate_register(const ArmProps *p, unsigned op2)
{
    return op2 == 5 && p->dit ? ARM_PSTATE_DIT : op2 == 6 && p->ssbs2 ? ARM_PSTATE_SSBS
           : op2 == 7 && p->mte ? ARM_PSTATE_TCO : 0;
}

void arm_put_pstate(ArmTrans *c, uint32_t bit, IrRef from)
{
    IrRef old = ir_binary(c->b, IR_AND, ir_get(c->b, SLOT_PSTATE), ir_const(c->b, IR_I64, ~(uint64_t)bit));
    from = ir_binary(c->b, IR_AND, from, ir_const(c->b, IR_I64, bit));
    ir_put(c->b, SLOT_PSTATE, ir_binary(c->b, IR_OR, old, from));
}

bool trans_a64_msr_imm(ArmTrans *c, const ArgsSPstate *a)
{
    unsigned op = (unsigned)(a->op1 << 3 | a->op2);
    uint32_t bit = arm_pstate_immediate(c->p, op);
    if (op < 3)
        return !a->crm && (op || c->p->flagm) && convert_flags(c, op);
    if (bit)
        arm_put_pstate(c, bit, ir_const(c->b, IR_I64, a->crm & 1 ? UINT64_MAX : 0));
    return bit != 0;
}
