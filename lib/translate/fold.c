/* SPDX-License-Identifier: MIT */
/*
 * Folding, done while the region is built: constants, identities, extension
 * chains, and the idioms that ISAs without rotates or zero-extending moves use.
 *
 * Sign-extension tracking: for each value the builder keeps the least k for
 * which the value equals the sign extension of its low k bits. An extension of
 * what already is one costs nothing then. Rules are local: each looks at an
 * operation and the operations that made its operands.
 */
#include "base/bits.h"
#include "translate/ir_priv.h"

bool ir_is_live_slot_value(const IrBuilder *b, IrRef v)
{
    if (ir_is_const(b, v) || b->ops[v].code == IR_PC)
        return true;
    for (unsigned s = 0; s < b->guest->n_slots; s++)
        if (b->now[s] == v)
            return true;
    return false;
}

static unsigned significant(uint64_t v, unsigned width)
{
    int64_t s = bits_sext(v, width);
    return 65 - (unsigned)__builtin_clzll((uint64_t)(s < 0 ? ~s : s) << 1 | 1);
}

uint8_t ir_known_bits(const IrBuilder *b, const IrOp *op)
{
    unsigned width = ir_type_bits(op->type);
    unsigned ka = op->a ? b->known[op->a] : 64, kb = op->b ? b->known[op->b] : 64;
    unsigned k = width;
    if (!ir_type_is_int(op->type) || width > 64)
        return 64;
    switch (op->code) {
    case IR_CONST:
        k = significant((uint64_t)op->imm, width);
        break;
    case IR_LOAD: {
        IrMem mem = (IrMem)op->imm;
        k = 8 * ir_mem_bytes(mem) + (mem & IR_MEM_SIGNED ? 0 : 1);
        break;
    }
    case IR_CMP:
    case IR_FCMP:
    case IR_FLAGS_TEST:
    case IR_STORE_COND:
        k = 2;
        break;
    case IR_SEXT:
        k = ka;
        break;
    case IR_ZEXT:
        k = ir_type_bits(op->aux) + 1;
        if (b->ops[op->a].code == IR_CMP || b->ops[op->a].code == IR_FCMP ||
            b->ops[op->a].code == IR_FLAGS_TEST)
            k = 2;
        break;
    case IR_TRUNC:
        k = ka;
        break;
    case IR_AND:
        k = ka > kb ? ka : kb;
        if (ir_is_const(b, op->b) && bits_sext(ir_value_of(b, op->b), width) >= 0)
            k = kb;
        break;
    case IR_OR:
    case IR_XOR:
        k = ka > kb ? ka : kb;
        break;
    case IR_NOT:
        k = ka;
        break;
    case IR_SELECT:
        k = kb > b->known[op->c] ? kb : b->known[op->c];
        break;
    case IR_SAR:
        if (ir_is_const(b, op->b)) {
            unsigned n = ir_value_of(b, op->b) & (width - 1);
            k = ka > n ? ka - n : 1;
        } else {
            k = ka;
        }
        break;
    case IR_SHR:
        if (ir_is_const(b, op->b) && (ir_value_of(b, op->b) & (width - 1)))
            k = width - (ir_value_of(b, op->b) & (width - 1)) + 1;
        break;
    case IR_EXTRACT:
        k = (unsigned)(op->imm >> 8 & 0xff) + 1;
        break;
    case IR_ADD:
    case IR_SUB:
        k = (ka > kb ? ka : kb) + 1;
        break;
    default:
        break;
    }
    return (uint8_t)(k < width ? k : width);
}

static bool all_const(const IrBuilder *b, const IrOp *op)
{
    unsigned n = ir_code_operands(op->code);
    if (n == 0 || ir_type_bits(op->type) > 64 || op->type == IR_VOID)
        return false;
    const IrRef r[] = {op->a, op->b, op->c};
    for (unsigned i = 0; i < n; i++)
        if (!ir_is_const(b, r[i]) || ir_type_bits(b->ops[r[i]].type) > 64)
            return false;
    return true;
}

static IrRef fold_constants(IrBuilder *b, const IrOp *op)
{
    IrValue r = {.w = {0}}, v[3] = {{.w = {0}}};
    const IrRef ref[] = {op->a, op->b, op->c};
    for (unsigned i = 0; i < ir_code_operands(op->code); i++)
        v[i].u = ir_value_of(b, ref[i]);
    ir_eval(op, &r, &v[0], &v[1], &v[2]);
    return ir_const(b, op->type, r.u);
}

static bool commutes(unsigned code)
{
    return code == IR_ADD || code == IR_MUL || code == IR_AND || code == IR_OR || code == IR_XOR ||
           code == IR_MULHS || code == IR_MULHU;
}

/* (x << a) op (x >> (width - a)) with op one of | ^ +: a rotate. */
static IrRef fold_rotate(IrBuilder *b, const IrOp *op)
{
    const IrOp *l = &b->ops[op->a], *r = &b->ops[op->b];
    IrType outer = IR_VOID;
    bool is_signed = false;
    bool extended =
        (l->code == IR_SEXT || l->code == IR_ZEXT) && (r->code == IR_SEXT || r->code == IR_ZEXT);
    if (extended && l->aux == r->aux) {
        /* the left shift decides the upper bits, the right shift has none set */
        const IrOp *left = b->ops[l->a].code == IR_SHL ? l : r;
        outer = op->type;
        is_signed = left->code == IR_SEXT;
        l = &b->ops[l->a];
        r = &b->ops[r->a];
    }
    if (l->code == IR_SHR && r->code == IR_SHL) {
        const IrOp *t = l;
        l = r;
        r = t;
    }
    if (l->code != IR_SHL || r->code != IR_SHR || l->a != r->a || l->type != r->type)
        return 0;
    unsigned width = ir_type_bits(l->type);
    if (!ir_is_const(b, l->b) || !ir_is_const(b, r->b))
        return 0;
    uint64_t n = ir_value_of(b, l->b) & (width - 1), m = ir_value_of(b, r->b) & (width - 1);
    if (n == 0 || n + m != width)
        return 0;
    IrRef rot = ir_binary_imm(b, IR_ROL, l->a, (int64_t)n);
    return !outer ? rot : is_signed ? ir_sext(b, outer, rot) : ir_zext(b, outer, rot);
}

/* Bitwise operations on what both operands were sign-extended from; the extension comes after. */
static IrRef fold_bitwise_extended(IrBuilder *b, const IrOp *op)
{
    const IrOp *l = &b->ops[op->a], *r = &b->ops[op->b];
    if (l->code != IR_SEXT || r->code != IR_SEXT || l->aux != r->aux || l->aux != IR_I32)
        return 0;
    return ir_sext(b, op->type, ir_binary(b, op->code, l->a, r->a));
}

static IrType int_of_bits(unsigned bits)
{
    return bits == 8 ? IR_I8 : bits == 16 ? IR_I16 : bits == 32 ? IR_I32 : IR_VOID;
}

/* (x << a) >> c: zero or sign extension, or a shift of one. */
static IrRef fold_shift_pair(IrBuilder *b, const IrOp *op, unsigned amount)
{
    const IrOp *in = &b->ops[op->a];
    if (in->code != IR_SHL || !ir_is_const(b, in->b))
        return 0;
    unsigned width = ir_type_bits(op->type), up = ir_value_of(b, in->b) & (width - 1);
    if (up < amount || amount == 0)
        return 0;
    IrType narrow = int_of_bits(width - up);
    if (!narrow || !ir_is_live_slot_value(b, in->a))
        return 0;
    IrRef low = ir_trunc(b, narrow, in->a);
    IrRef wide = op->code == IR_SHR ? ir_zext(b, op->type, low) : ir_sext(b, op->type, low);
    return up == amount ? wide : ir_binary_imm(b, IR_SHL, wide, up - amount);
}

static IrRef fold_binary_const(IrBuilder *b, IrOp *op)
{
    unsigned width = ir_type_bits(op->type);
    uint64_t c = ir_value_of(b, op->b), ones = bits_mask(width);
    const IrOp *x = &b->ops[op->a];
    switch (op->code) {
    case IR_SUB: /* becomes an addition, so that chains of them fold alike */
        if (width > 64)
            return 0;
        return ir_binary_imm(b, IR_ADD, op->a, (int64_t)(0 - c));
    case IR_ADD:
        if (c == 0)
            return op->a;
        if (x->code == IR_PC)
            return ir_pc(b, x->imm + (int64_t)c);
        if (x->code == IR_ADD && ir_is_const(b, x->b) && ir_is_live_slot_value(b, x->a))
            return ir_binary_imm(b, IR_ADD, x->a, (int64_t)(c + ir_value_of(b, x->b)));
        return 0;
    case IR_OR:
    case IR_XOR:
        if (c == 0)
            return op->a;
        if (c == ones && op->code == IR_XOR)
            return ir_unary(b, IR_NOT, op->type, op->a);
        return 0;
    case IR_AND:
        if (c == 0)
            return op->b;
        if (c == ones)
            return op->a;
        if ((c == 0xff || c == 0xffff || c == 0xffffffff) && ir_is_live_slot_value(b, op->a))
            return ir_zext(b, op->type,
                           ir_trunc(b,
                                    int_of_bits(c == 0xff     ? 8
                                                : c == 0xffff ? 16
                                                              : 32),
                                    op->a));
        return 0;
    case IR_ANDN:
        return ir_binary_imm(b, IR_AND, op->a, (int64_t)~c);
    case IR_MUL:
        if (c == 1)
            return op->a;
        if (c && !(c & (c - 1)))
            return ir_binary_imm(b, IR_SHL, op->a, __builtin_ctzll(c));
        return 0;
    case IR_SHL:
    case IR_SHR:
    case IR_SAR:
    case IR_ROL:
    case IR_ROR:
        c &= width - 1;
        if (c == 0)
            return op->a;
        return op->code == IR_SHR || op->code == IR_SAR ? fold_shift_pair(b, op, (unsigned)c) : 0;
    default:
        return 0;
    }
}

static IrRef fold_binary(IrBuilder *b, IrOp *op)
{
    if (ir_type_bits(op->type) > 64)
        return 0;
    if (ir_is_const(b, op->a) && !ir_is_const(b, op->b) && commutes(op->code)) {
        IrRef t = op->a;
        op->a = op->b;
        op->b = t;
    }
    if (ir_is_const(b, op->b))
        return fold_binary_const(b, op);
    if (op->a == op->b) {
        if (op->code == IR_XOR || op->code == IR_SUB || op->code == IR_ANDN)
            return ir_const(b, op->type, 0);
        if (op->code == IR_AND || op->code == IR_OR)
            return op->a;
    }
    if (ir_is_const(b, op->a) && ir_value_of(b, op->a) == 0) {
        if (op->code == IR_SUB)
            return ir_unary(b, IR_NEG, op->type, op->b);
        if (op->code == IR_SHL || op->code == IR_SHR || op->code == IR_SAR)
            return op->a;
    }
    IrRef folded = 0;
    if (op->code == IR_OR || op->code == IR_XOR || op->code == IR_ADD)
        folded = fold_rotate(b, op);
    if (!folded &&
        (op->code == IR_OR || op->code == IR_XOR || op->code == IR_AND || op->code == IR_ANDN))
        folded = fold_bitwise_extended(b, op);
    if (!folded && op->code == IR_AND && b->ops[op->b].code == IR_NOT)
        folded = ir_binary(b, IR_ANDN, op->a, b->ops[op->b].a);
    return folded;
}

static IrRef fold_extension(IrBuilder *b, const IrOp *op)
{
    const IrOp *x = &b->ops[op->a];
    unsigned from = ir_type_bits(x->type);
    if (op->type == IR_I128)
        return 0;
    if (op->code == IR_SEXT) {
        if (x->code == IR_SEXT)
            return ir_sext(b, op->type, x->a);
        if (x->code == IR_SHR && x->type == IR_I32 && ir_is_const(b, x->b) && (ir_value_of(b, x->b) & 31))
            return ir_zext(b, op->type, op->a); /* never negative */
        if (x->code == IR_ZEXT && b->known[op->a] < from)
            return ir_zext(b, op->type, x->a);
        /* a truncation of what already was the extension */
        if (x->code == IR_TRUNC && b->ops[x->a].type == op->type && b->known[x->a] <= from)
            return x->a;
    } else if (x->code == IR_ZEXT) {
        return ir_zext(b, op->type, x->a);
    }
    return 0;
}

static IrRef fold_trunc(IrBuilder *b, const IrOp *op)
{
    const IrOp *x = &b->ops[op->a];
    if (x->code == IR_TRUNC)
        return ir_trunc(b, op->type, x->a);
    if (x->code == IR_SEXT || x->code == IR_ZEXT) {
        unsigned want = ir_type_bits(op->type), have = ir_type_bits(b->ops[x->a].type);
        if (want == have)
            return x->a;
        if (want < have)
            return ir_trunc(b, op->type, x->a);
        return ir_unary(b, x->code, op->type, x->a);
    }
    return 0;
}

static IrRef fold_cmp(IrBuilder *b, IrOp *op)
{
    if (ir_is_const(b, op->a) && !ir_is_const(b, op->b)) {
        IrRef t = op->a;
        op->a = op->b;
        op->b = t;
        op->sub = ir_cond_swap((IrCond)op->sub);
    }
    if (op->a == op->b) {
        bool yes = op->sub == IR_EQ || op->sub == IR_GE || op->sub == IR_LE || op->sub == IR_GEU ||
                   op->sub == IR_LEU;
        return ir_const(b, IR_I8, yes);
    }
    const IrOp *x = &b->ops[op->a];
    bool zero = ir_is_const(b, op->b) && ir_value_of(b, op->b) == 0;
    if (zero && (op->sub == IR_LTU || op->sub == IR_GEU))
        return ir_const(b, IR_I8, op->sub == IR_GEU);
    /* (bool) != 0, == 0 */
    if (zero && x->code == IR_ZEXT && x->aux == IR_I8 && (op->sub == IR_NE || op->sub == IR_EQ)) {
        const IrOp *c = &b->ops[x->a];
        if (c->code == IR_CMP) {
            if (op->sub == IR_NE)
                return x->a;
            IrOp inv = *c;
            inv.sub = ir_cond_invert((IrCond)inv.sub);
            return ir_append(b, inv);
        }
        if (op->sub == IR_NE && b->known[x->a] <= 2)
            return x->a;
    }
    /* compare in the narrow type what was extended from it in the same way */
    if (x->code == IR_SEXT && b->ops[op->b].code == IR_SEXT && x->aux == b->ops[op->b].aux &&
        x->aux == IR_I32)
        return ir_cmp(b, (IrCond)op->sub, x->a, b->ops[op->b].a);
    if (x->code == IR_SEXT && x->aux == IR_I32 && ir_is_const(b, op->b) && op->aux == IR_I64 &&
        b->known[op->b] <= 32)
        return ir_cmp(b, (IrCond)op->sub, x->a, ir_const(b, IR_I32, ir_value_of(b, op->b)));
    return 0;
}

IrRef ir_fold(IrBuilder *b, IrOp *op)
{
    const IrOp *x = &b->ops[op->a];
    if (all_const(b, op))
        return fold_constants(b, op);
    switch (op->code) {
    case IR_ADD:
    case IR_SUB:
    case IR_MUL:
    case IR_AND:
    case IR_OR:
    case IR_XOR:
    case IR_ANDN:
    case IR_SHL:
    case IR_SHR:
    case IR_SAR:
    case IR_ROL:
    case IR_ROR:
        return fold_binary(b, op);
    case IR_ZEXT:
    case IR_SEXT:
        return fold_extension(b, op);
    case IR_TRUNC:
        return fold_trunc(b, op);
    case IR_CMP:
        return fold_cmp(b, op);
    case IR_SELECT:
        if (op->b == op->c)
            return op->b;
        if (ir_is_const(b, op->a))
            return ir_value_of(b, op->a) ? op->b : op->c;
        return 0;
    case IR_NOT:
        if (x->code == IR_SEXT && x->aux == IR_I32)
            return ir_sext(b, op->type, ir_unary(b, IR_NOT, IR_I32, x->a));
        /* fallthrough */
    case IR_NEG:
    case IR_BSWAP:
    case IR_BITREV:
    case IR_FNEG:
        return x->code == op->code && x->type == op->type ? x->a : 0;
    case IR_BITCAST:
        if (x->code == IR_BITCAST)
            return ir_bitcast(b, op->type, x->a);
        if (x->code == IR_VEXTRACT && ir_is_live_slot_value(b, x->a))
            return ir_vextract(b, op->type, x->a, (unsigned)x->imm);
        return 0;
    case IR_FUNBOX:
        return x->code == IR_FBOX && x->aux == op->type && (op->sub || !x->sub) ? x->a : 0;
    case IR_FLAGS_INVC:
        return x->code == IR_FLAGS_INVC ? x->a : 0;
    case IR_FLAGS_TEST:
        return ir_fold_test(b, op);
    case IR_FLAGS_PACK:
        return x->code == IR_FLAGS_BITS ? x->a : 0;
    case IR_FLAGS_BITS:
        return x->code == IR_FLAGS_PACK ? x->a : 0;
    default:
        return op->code >= IR_VADD && op->code <= IR_VZEXT ? ir_fold_vector(b, op) : 0;
    }
}
