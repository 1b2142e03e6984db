/* SPDX-License-Identifier: MIT */
/*
 * The IR verifier, on in debug builds for every region: operands come before
 * their use and not from behind a label, types fit, labels stand once, and the
 * region ends by leaving.
 */
#include <glib.h>

#include "translate/ir_priv.h"

static bool takes_operand_types(const IrBuilder *b, const IrOp *op)
{
    unsigned ta = b->ops[op->a].type, tb = b->ops[op->b].type, tc = b->ops[op->c].type;
    switch (op->code) {
    case IR_ADD: case IR_SUB: case IR_MUL: case IR_MULHS: case IR_MULHU: case IR_MULHSU:
    case IR_DIVS: case IR_DIVU: case IR_REMS: case IR_REMU: case IR_AND: case IR_OR: case IR_XOR:
    case IR_ANDN: case IR_SHL: case IR_SHR: case IR_SAR: case IR_ROL: case IR_ROR:
    case IR_CLMUL: case IR_CLMULH:
        return ir_type_is_int(op->type) && ta == op->type && tb == op->type;
    case IR_NOT: case IR_NEG: case IR_CLZ: case IR_CTZ: case IR_POPCNT: case IR_BSWAP: case IR_BITREV:
        return ir_type_is_int(op->type) && ta == op->type;
    case IR_CMP:
        return op->type == IR_I8 && ir_type_is_int(ta) && ta == tb;
    case IR_SELECT:
        return ta == IR_I8 && tb == tc && tb == op->type;
    case IR_ZEXT: case IR_SEXT:
        return ir_type_is_int(ta) && ir_type_is_int(op->type) &&
               ir_type_bits(ta) < ir_type_bits(op->type);
    case IR_TRUNC:
        return ir_type_is_int(ta) && ir_type_is_int(op->type) &&
               ir_type_bits(ta) > ir_type_bits(op->type);
    case IR_BITCAST:
        return ir_type_bits(ta) == ir_type_bits(op->type);
    case IR_FADD: case IR_FSUB: case IR_FMUL: case IR_FDIV: case IR_FMIN: case IR_FMAX: case IR_FCOPYSIGN:
        return ir_type_is_float(op->type) && ta == op->type && tb == op->type;
    case IR_FMA:
        return ir_type_is_float(op->type) && ta == op->type && tb == op->type && tc == op->type;
    case IR_FSQRT: case IR_FROUND: case IR_FNEG: case IR_FABS:
        return ir_type_is_float(op->type) && ta == op->type;
    case IR_FCMP:
        return op->type == IR_I8 && ir_type_is_float(ta) && ta == tb;
    case IR_FREL:
        return (op->type == IR_I32 || op->type == IR_FLAGS) && ir_type_is_float(ta) && ta == tb;
    case IR_FTOI:
        return ir_type_is_float(ta) && ir_type_is_int(op->type);
    case IR_ITOF:
        return ir_type_is_int(ta) && ir_type_is_float(op->type);
    case IR_FTOF:
        return ir_type_is_float(ta) && ir_type_is_float(op->type) && ta != op->type;
    case IR_FBOX:
        return op->type == IR_F64 && (ta == IR_F32 || ta == IR_F16);
    case IR_FUNBOX:
        return ta == IR_F64 && (op->type == IR_F32 || op->type == IR_F16);
    case IR_VSPLAT: case IR_VZEXT:
        return op->type == IR_V128 && ta != IR_VOID && ir_type_bits(ta) <= 64 &&
               (op->code == IR_VZEXT || ir_type_bits(ta) == 8u << op->sub);
    case IR_VEXTRACT:
        return ta == IR_V128 && ir_type_bits(op->type) == 8u << op->sub;
    case IR_VINSERT:
        return ta == IR_V128 && op->type == IR_V128 && ir_type_bits(tb) == 8u << op->sub;
    case IR_VPAIR:
        return op->type == IR_V128 && ta == IR_I64 && tb == IR_I64;
    case IR_PUT:
        return ta == b->guest->slots[op->imm].type;
    case IR_EXIT_IF: case IR_BRCOND:
        return ta == IR_I8;
    case IR_LOAD: case IR_STORE: case IR_ATOMIC: case IR_CAS: case IR_LOAD_LINKED: case IR_STORE_COND:
        return ta == IR_I64;
    case IR_EXIT_IND: case IR_EXIT_RET: case IR_EXIT_CALL_IND: case IR_RAISE:
        return ta == IR_I64;
    case IR_FLAGS_TEST: case IR_FLAGS_BITS: case IR_FLAGS_INVC:
        return ta == IR_FLAGS;
    default:
        if (op->code >= IR_VADD && op->code <= IR_VFROUND)
            return ta == op->type && (tb == op->type || !op->b) && (tc == op->type || !op->c);
        return true;
    }
}

static const char *check_op(const IrBuilder *b, IrRef i, IrRef after_label)
{
    const IrOp *op = &b->ops[i];
    const IrRef refs[] = {op->a, op->b, op->c};
    for (unsigned n = 0; n < 3; n++) {
        bool wanted = n < ir_code_operands(op->code);
        if (refs[n] >= i)
            return "uses a value made later";
        if (refs[n] && b->ops[refs[n]].type == IR_VOID)
            return "uses an operation without a value";
        if (!refs[n] && wanted && op->code != IR_EXIT_MODE)
            return "lacks an operand";
        if (refs[n] && refs[n] < after_label)
            return "uses a value from before a label";
    }
    if ((op->code == IR_GET || op->code == IR_PUT) && (uint64_t)op->imm >= b->guest->n_slots)
        return "names no slot";
    if (op->code == IR_CALL && (uint64_t)op->imm >= b->guest->n_helpers)
        return "names no helper";
    return takes_operand_types(b, op) ? NULL : "has operands of wrong types";
}

static const char *check_labels(const IrBuilder *b)
{
    unsigned stands[IR_MAX_LABELS] = {0};
    for (IrRef i = 1; i < b->n; i++)
        if (b->ops[i].code == IR_LABEL && stands[b->ops[i].imm]++)
            return "a label stands twice";
    for (IrRef i = 1; i < b->n; i++)
        if ((b->ops[i].code == IR_BR || b->ops[i].code == IR_BRCOND) && !stands[b->ops[i].imm])
            return "a branch has no label";
    return NULL;
}

char *ir_verify(const IrBuilder *b)
{
    IrRef after_label = 0;
    for (IrRef i = 1; i < b->n; i++) {
        const char *wrong = check_op(b, i, after_label);
        if (wrong)
            return g_strdup_printf("operation %u (%s) %s", i, ir_code_name(b->ops[i].code), wrong);
        if (b->ops[i].code == IR_LABEL)
            after_label = i;
    }
    const char *wrong = check_labels(b);
    if (wrong)
        return g_strdup(wrong);
    unsigned last = b->n > 1 ? b->ops[b->n - 1].code : IR_NOP;
    if (!(ir_code_attr(last) & IR_ATTR_E) || last == IR_EXIT_IF)
        return g_strdup("the region does not end by leaving");
    return NULL;
}
