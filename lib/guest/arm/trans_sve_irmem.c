/* SPDX-License-Identifier: MIT */
/*
 * SVE with vectors of 16 bytes, contiguous loads and stores by the IR: first as if all lanes were active.
 * Else, in user mode, what is loaded is the whole register, if that lies within a page, and inactive lanes are
 * made zero; and what is stored is the first bytes, in two pieces that overlap. C does the rest.
 */
#include "guest/arm/sve_priv.h"

#define PAGE 4096

static uint64_t lane_bits(unsigned esz) { return sve_every(esz) & 0xffff; }

/* The address and the active lanes, again after a label. */
static IrRef address(ArmTrans *c) { return ir_get(c->b, SLOT_SVE_ADDRESS); }
static IrRef active(ArmTrans *c, const ArmSve *s)
{
    return ir_binary_imm(c->b, IR_AND, sve_ir_p(c, s->pg), (int64_t)lane_bits(s->esz));
}

static bool all_known(ArmTrans *c, const ArmSve *s)
{
    const IrOp *p = &c->b->ops[sve_ir_p(c, s->pg)];
    return p->code == IR_CONST && !(lane_bits(s->esz) & ~(uint64_t)p->imm);
}

static unsigned bytes_of(const ArmSve *s) { return 16u >> (s->esz - (s->msz & 7)); }

/* All lanes. */
static IrRef load_all(ArmTrans *c, const ArmSve *s, IrRef at)
{
    static const IrType types[] = {0, IR_I16, IR_I32, IR_I64, IR_V128};
    IrBuilder *b = c->b;
    unsigned log2 = (unsigned)__builtin_ctz(bytes_of(s));
    IrRef v = ir_load(b, types[log2], IR_MEM_SIZE(log2), at, 0);
    if (log2 < 4)
        v = ir_vzext(b, v);
    for (unsigned k = s->msz & 7; k < s->esz; k++)
        v = ir_vector(b, s->msz & 8 ? IR_VWIDENS : IR_VWIDENU, k, v, 0);
    return v;
}

bool sve_ir_load(ArmTrans *c, const ArmSve *s, IrRef x)
{
    IrBuilder *b = c->b;
    if (s->op != 1 || s->flags & (SVE_FIRST_FAULT | SVE_NO_FAULT))
        return false;
    if (all_known(c, s)) {
        arm_put_vector(c, s->rd, load_all(c, s, x));
        return true;
    }
    unsigned some = ir_label_new(b), none = ir_label_new(b), slow = ir_label_new(b), end = ir_label_new(b);
    ir_put(b, SLOT_SVE_ADDRESS, x);
    ir_brcond(b, ir_cmp(b, IR_NE, active(c, s), ir_const(b, IR_I64, lane_bits(s->esz))), some);
    arm_put_vector(c, s->rd, load_all(c, s, x));
    ir_br(b, end);
    ir_label(b, some);
    ir_brcond(b, ir_cmp(b, IR_EQ, active(c, s), ir_const(b, IR_I64, 0)), none);
    IrRef within = ir_binary_imm(b, IR_AND, address(c), PAGE - 1);
    ir_brcond(b, ir_cmp(b, IR_GTU, within, ir_const(b, IR_I64, PAGE - bytes_of(s))), slow);
    IrRef v = load_all(c, s, address(c));
    arm_put_vector(c, s->rd, ir_vector(b, IR_VAND, 0, v, sve_ir_mask(c, s)));
    ir_br(b, end);
    ir_label(b, none);
    arm_put_vector(c, s->rd, ir_vconst(b, 0, 0));
    ir_br(b, end);
    ir_label(b, slow);
    sve_call_helper(c, s, address(c), 0);
    ir_label(b, end);
    return true;
}

/* Bytes `first` on of what is stored, at most eight, in the low bits. */
static IrRef tail(ArmTrans *c, const ArmSve *s, IrRef first)
{
    IrBuilder *b = c->b;
    IrRef by = ir_binary_imm(b, IR_SHL, first, 3); /* 0 to 56 */
    IrRef low = ir_binary(b, IR_SHR, arm_v_low(c, s->rd), by);
    IrRef high = ir_binary(b, IR_SHL, ir_binary_imm(b, IR_SHL, arm_v_high(c, s->rd), 1),
                           ir_binary(b, IR_SUB, ir_const(b, IR_I64, 63), by));
    return ir_binary(b, IR_OR, low, high);
}

/* n bytes, of 1 << log2 to twice as many: the last ones first, as they are the ones on another page. */
static void two_pieces(ArmTrans *c, const ArmSve *s, IrRef n, unsigned log2)
{
    static const IrType types[] = {IR_I8, IR_I16, IR_I32, IR_I64};
    IrBuilder *b = c->b;
    IrRef first = ir_binary_imm(b, IR_SUB, n, 1 << log2), end = ir_binary(b, IR_ADD, address(c), first);
    ir_store(b, IR_MEM_SIZE(log2), end, 0, ir_trunc(b, types[log2], tail(c, s, first)));
    ir_store(b, IR_MEM_SIZE(log2), address(c), 0, ir_trunc(b, types[log2], arm_v_low(c, s->rd)));
}

bool sve_ir_store(ArmTrans *c, const ArmSve *s, IrRef x)
{
    IrBuilder *b = c->b;
    if (s->op != 1 || s->esz != s->msz)
        return false;
    if (all_known(c, s)) {
        ir_store(b, IR_MEM_SIZE(4), x, 0, arm_v(c, s->rd));
        return true;
    }
    unsigned some = ir_label_new(b), slow = ir_label_new(b), end = ir_label_new(b), less[3];
    ir_put(b, SLOT_SVE_ADDRESS, x);
    ir_brcond(b, ir_cmp(b, IR_NE, active(c, s), ir_const(b, IR_I64, lane_bits(s->esz))), some);
    ir_store(b, IR_MEM_SIZE(4), x, 0, arm_v(c, s->rd));
    ir_br(b, end);
    ir_label(b, some);
    /* bits for all bytes: are they the first ones? */
    IrRef bytes = ir_binary(b, IR_MUL, active(c, s), ir_const(b, IR_I64, bits_mask(1u << s->esz)));
    ir_brcond(b, ir_cmp(b, IR_EQ, bytes, ir_const(b, IR_I64, 0)), end);
    IrRef gaps = ir_binary(b, IR_AND, bytes, ir_binary_imm(b, IR_ADD, bytes, 1));
    ir_brcond(b, ir_cmp(b, IR_NE, gaps, ir_const(b, IR_I64, 0)), slow);
    for (unsigned log2 = 3; ; log2--) {
        bytes = ir_binary(b, IR_MUL, active(c, s), ir_const(b, IR_I64, bits_mask(1u << s->esz)));
        IrRef n = ir_unary(b, IR_POPCNT, IR_I64, bytes);
        if (log2 > s->esz) {
            less[log2 - 1] = ir_label_new(b);
            ir_brcond(b, ir_cmp(b, IR_LTU, n, ir_const(b, IR_I64, 1u << log2)), less[log2 - 1]);
        }
        two_pieces(c, s, n, log2);
        ir_br(b, end);
        if (log2 <= s->esz)
            break;
        ir_label(b, less[log2 - 1]);
    }
    ir_label(b, slow);
    sve_call_helper(c, s, address(c), 0);
    ir_label(b, end);
    return true;
}
