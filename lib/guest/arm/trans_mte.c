/* SPDX-License-Identifier: MIT */
/*
 * Memory tagging (FEAT_MTE). Accesses are checked only in a mode of its own, before the instruction, by
 * what access.c knows of it; so not those of LDRAA, and prefetches; sve_mem.c looks itself. A store of tags
 * asks for the right to write by a store that changes nothing.
 */
#include "guest/arm/arm_priv.h"

#define DECODE_EXTERN
#define DECODE_TYPES_ONLY
#include "gen/guest/arm/a64_mte.inc"

static IrRef constant(ArmTrans *c, uint64_t v) { return ir_const(c->b, IR_I64, v); }
static IrRef tag_of(ArmTrans *c, IrRef address) { return ir_extract(c->b, address, 56, 4); }
static IrRef with_tag(ArmTrans *c, IrRef address, IrRef tag) { return ir_deposit(c->b, address, tag, 56, 4); }

void arm_check_tags(ArmTrans *c)
{
    IrBuilder *b = c->b;
    ArmAccess a;
    if (!arm_access(c->bits, &a) || a.unchecked)
        return;
    IrRef at = arm_x_sp(c, a.rn);
    if (a.index) {
        IrRef x = arm_x(c, a.rm);
        if (!(a.option & 1)) {
            x = ir_trunc(b, IR_I32, x);
            x = a.option & 4 ? ir_sext(b, IR_I64, x) : ir_zext(b, IR_I64, x);
        }
        at = ir_binary(b, IR_ADD, at, ir_binary_imm(b, IR_SHL, x, a.shift));
    } else {
        at = ir_binary_imm(b, IR_ADD, at, a.offset);
    }
    ir_call(b, HELPER_TAG_CHECK, at, constant(c, a.bytes | (a.write ? 1u << 16 : 0)), 0, 0);
}

bool trans_a64_addg(ArmTrans *c, const ArgsTImm *a)
{
    if (!c->p->mte)
        return false;
    IrRef x = arm_x_sp(c, a->rn), tag = ir_call(c->b, HELPER_ADD_TAG, tag_of(c, x), constant(c, (uint64_t)a->imm4), 0, 0);
    x = ir_binary_imm(c->b, IR_ADD, x, (a->sub ? -16 : 16) * (int64_t)a->imm6);
    arm_put_sp(c, a->rd, with_tag(c, x, tag));
    return true;
}

bool trans_a64_irg(ArmTrans *c, const ArgsTTwo *a)
{
    if (!c->p->mte)
        return false;
    IrRef tag = ir_call(c->b, HELPER_RANDOM_TAG, arm_x(c, a->rm), 0, 0, 0);
    arm_put_sp(c, a->rd, with_tag(c, arm_x_sp(c, a->rn), tag));
    return true;
}

bool trans_a64_gmi(ArmTrans *c, const ArgsTTwo *a)
{
    if (!c->p->mte)
        return false;
    IrRef bit = ir_binary(c->b, IR_SHL, constant(c, 1), tag_of(c, arm_x_sp(c, a->rn)));
    arm_put(c, a->rd, ir_binary(c->b, IR_OR, arm_x(c, a->rm), bit));
    return true;
}

/* SUBP and SUBPS: of 56 bits, signed */
bool trans_a64_subp(ArmTrans *c, const ArgsTSub *a)
{
    IrBuilder *b = c->b;
    if (!c->p->mte)
        return false;
    IrRef x = ir_binary_imm(b, IR_SAR, ir_binary_imm(b, IR_SHL, arm_x_sp(c, a->rn), 8), 8);
    IrRef y = ir_binary_imm(b, IR_SAR, ir_binary_imm(b, IR_SHL, arm_x_sp(c, a->rm), 8), 8);
    arm_put(c, a->rd, ir_binary(b, IR_SUB, x, y));
    if (a->s) {
        IrRef f = ir_op(b, (IrOp){.code = IR_FLAGS_SUB, .type = IR_FLAGS, .a = x, .b = y});
        ir_put(b, SLOT_FLAGS, ir_unary(b, IR_FLAGS_INVC, IR_FLAGS, f));
    }
    return true;
}

static void store_tags(ArmTrans *c, IrRef at, IrRef tag, unsigned granules)
{
    ir_call(c->b, HELPER_STORE_TAG, at, tag, constant(c, granules), 0);
}

/* STG ST2G STZG STZ2G, LDG; those of many tags are not EL0's */
bool trans_a64_stg(ArmTrans *c, const ArgsTMem *a)
{
    IrBuilder *b = c->b;
    bool zero = a->opc & 1;
    unsigned granules = a->opc & 2 ? 2 : 1;
    if (!c->p->mte || (!a->mode && a->opc != 1))
        return false;
    IrRef base = arm_x_sp(c, a->rn), at = base;
    if (a->mode != 1)
        at = ir_binary_imm(b, IR_ADD, base, a->imm);
    if (!a->mode) {
        at = ir_binary_imm(b, IR_AND, at, -16);
        ir_load(b, IR_I64, IR_MEM_SIZE(0), at, 0);
        IrRef tag = ir_call(b, HELPER_LOAD_TAG, at, 0, 0, 0);
        arm_put(c, a->rt, with_tag(c, arm_x(c, a->rt), tag));
        return true;
    }
    ir_call(b, HELPER_TAG_ALIGNED, at, 0, 0, 0);
    IrRef tag = tag_of(c, arm_x_sp(c, a->rt));
    for (unsigned i = 0; i < granules; i++) {
        if (!zero) {
            IrRef byte = ir_binary_imm(b, IR_ADD, at, 16 * i);
            ir_atomic(b, IR_ATOMIC_OR, IR_I64, IR_MEM_SIZE(0) | IR_MEM_ATOMIC, byte, constant(c, 0));
        }
        for (int32_t k = 0; k < 16 && zero; k += 8)
            ir_store(b, IR_MEM_SIZE(3), at, (int32_t)(16 * i) + k, constant(c, 0));
    }
    store_tags(c, at, tag, granules);
    if (a->mode & 1)
        arm_put_sp(c, a->rn, ir_binary_imm(b, IR_ADD, base, a->imm));
    return true;
}

/* A pair of registers, and the tag of the address */
bool trans_a64_stgp(ArmTrans *c, const ArgsTPair *a)
{
    IrBuilder *b = c->b;
    if (!c->p->mte || !a->idx)
        return false;
    IrRef base = arm_x_sp(c, a->rn), at = base;
    if (a->idx != 1)
        at = ir_binary_imm(b, IR_ADD, base, a->imm);
    ir_call(b, HELPER_TAG_ALIGNED, at, 0, 0, 0);
    ir_store(b, IR_MEM_SIZE(3), at, 0, arm_x(c, a->rt));
    ir_store(b, IR_MEM_SIZE(3), at, 8, arm_x(c, a->rt2));
    store_tags(c, at, tag_of(c, at), 1);
    if (a->idx & 1)
        arm_put_sp(c, a->rn, ir_binary_imm(b, IR_ADD, base, a->imm));
    return true;
}

/* DC GVA and GZVA: a block of DC ZVA */
void arm_tag_block(ArmTrans *c, IrRef address)
{
    IrRef at = ir_binary_imm(c->b, IR_AND, address, -64);
    ir_atomic(c->b, IR_ATOMIC_OR, IR_I64, IR_MEM_SIZE(0) | IR_MEM_ATOMIC, at, constant(c, 0));
    store_tags(c, at, tag_of(c, at), 4);
}
