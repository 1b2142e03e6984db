/* SPDX-License-Identifier: MIT */
/*
 * Folding of tests of condition flags, which become comparisons of what the flags were made of, and of
 * lanes of vectors just put together. The rest is in fold.c.
 */
#include "base/bits.h"
#include "translate/ir_priv.h"

/* A value a op c computed lately, whose flags are asked for. 0: none. */
static IrRef find_result(const IrBuilder *b, IrCode code, const IrOp *flags)
{
    for (IrRef i = b->n; i-- > 1 && i + 12 > b->n && b->ops[i].code != IR_LABEL;)
        if (b->ops[i].code == code && b->ops[i].a == flags->a && b->ops[i].b == flags->b)
            return i;
    return 0;
}

/* The value, or what it is the low part of, sits in a slot or is a constant. */
static bool is_at_hand(const IrBuilder *b, IrRef v)
{
    while (b->ops[v].code == IR_TRUNC)
        v = b->ops[v].a;
    return ir_is_live_slot_value(b, v);
}

/* Of a difference: a comparison, as long as what was subtracted is at hand; of a result: one with 0. */
static IrRef test_as_compare(IrBuilder *b, unsigned cond, const IrOp *flags)
{
    /* by IrFlagCond: 255 is none */
    static const uint8_t conds[16] = {255, 255, IR_LTU, IR_GEU, IR_EQ, IR_NE, IR_LEU, IR_GTU,
                                      255, 255, 255, 255, IR_LT, IR_GE, IR_LE, IR_GT};
    static const uint8_t logic[16] = {255, 255, 255, 255, IR_EQ, IR_NE, IR_EQ, IR_NE,
                                      IR_LT, IR_GE, 255, 255, IR_LT, IR_GE, IR_LE, IR_GT};
    const IrOp op = *flags;
    IrType type = (IrType)op.aux;
    if (ir_type_bits(type) > 64 || ir_type_bits(type) < 32)
        return 0;
    if (op.code == IR_FLAGS_LOGIC && logic[cond] != 255)
        return ir_cmp(b, (IrCond)logic[cond], op.a, ir_const(b, type, 0));
    if (op.code != IR_FLAGS_SUB)
        return 0;
    if (conds[cond] != 255 && is_at_hand(b, op.a) && is_at_hand(b, op.b))
        return ir_cmp(b, (IrCond)conds[cond], op.a, op.b);
    if (cond != IR_F_Z && cond != IR_F_NZ && cond != IR_F_S && cond != IR_F_NS)
        return 0;
    IrOp sum = op; /* the difference of a constant is a sum */
    IrRef v = 0;
    if (ir_is_const(b, op.b)) {
        for (IrRef k = b->n; k-- > 1 && k + 12 > b->n && !v;)
            if (ir_is_const(b, k) && b->ops[k].type == type &&
                ir_value_of(b, k) == ((0 - ir_value_of(b, op.b)) & bits_mask(ir_type_bits(type)))) {
                sum.b = k;
                v = find_result(b, IR_ADD, &sum);
            }
    } else {
        v = find_result(b, IR_SUB, &op);
    }
    if (!v)
        return 0;
    return ir_cmp(b, cond == IR_F_Z ? IR_EQ : cond == IR_F_NZ ? IR_NE : cond == IR_F_S ? IR_LT : IR_GE, v,
                  ir_const(b, type, 0));
}

IrRef ir_fold_test(IrBuilder *b, const IrOp *op)
{
    const IrOp *x = &b->ops[op->a];
    IrOp again = *op;
    if (x->code == IR_FLAGS_INVC && op->sub >> 1 != 3) { /* all but those of carry and zero */
        again.a = x->a;
        again.sub ^= op->sub >> 1 == 1;
        return ir_op(b, again);
    }
    if (x->code == IR_FLAGS_SUB || x->code == IR_FLAGS_LOGIC)
        return test_as_compare(b, op->sub, x);
    return 0;
}

/* A lane of what was just put together. */
static IrRef fold_lane(IrBuilder *b, const IrOp *op)
{
    const IrOp *x = &b->ops[op->a], *from = &b->ops[x->a];
    unsigned bits = ir_type_bits(op->type);
    bool is_float = ir_type_is_float(op->type);
    if (x->code == IR_VPAIR && bits == 64) {
        IrRef half = op->imm ? x->b : x->a;
        return ir_is_live_slot_value(b, half) ? ir_bitcast(b, op->type, half) : 0;
    }
    if (x->code != IR_VZEXT)
        return 0;
    unsigned have = ir_type_bits(from->type);
    if (op->imm)
        return (unsigned)op->imm * bits >= have ? ir_const(b, op->type, 0) : 0;
    if (bits == have)
        return ir_bitcast(b, op->type, x->a);
    if (from->type == IR_F64 && op->type == IR_F32)
        return ir_flow(b, IR_F32, x->a);
    if (from->type == IR_F32 && op->type == IR_F64)
        return ir_fzext(b, x->a);
    if (!is_float && ir_type_is_int(from->type))
        return bits < have ? ir_trunc(b, op->type, x->a) : ir_zext(b, op->type, x->a);
    return 0;
}

IrRef ir_fold_vector(IrBuilder *b, const IrOp *op)
{
    const IrOp *x = &b->ops[op->a], *y = &b->ops[op->b];
    switch (op->code) {
    case IR_VEXTRACT:
        return fold_lane(b, op);
    case IR_VPAIR: /* a vector's own halves */
        return x->code == IR_VEXTRACT && y->code == IR_VEXTRACT && x->a == y->a && !x->imm && y->imm ? x->a : 0;
    case IR_VAND:
    case IR_VOR:
    case IR_VMINS: case IR_VMINU: case IR_VMAXS: case IR_VMAXU:
        return op->a == op->b ? op->a : 0;
    case IR_VSHL: case IR_VSHR: case IR_VSAR:
    case IR_VEXT:
        return op->imm == 0 ? op->a : 0;
    default:
        return 0;
    }
}
