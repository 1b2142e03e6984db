/* SPDX-License-Identifier: MIT */
/*
 * SVE, integers: what an instruction is, as a description for its helper (sve_priv.h). Also what other
 * instructions do to Z registers, once a program uses them: an Advanced SIMD or floating-point
 * instruction makes zero what is above 128 bits in the register it writes.
 */
#include "guest/arm/sve2_priv.h"

#define DECODE_EXTERN
#define DECODE_TYPES_ONLY
#include "gen/guest/arm/a64_sve_int.inc"

/* ---- modes ------------------------------------------------------------------------------- */

bool arm_sve_enter(ArmTrans *c)
{
    if (sve_vl(c) == 16 || c->b->mode & MODE_Z_USED)
        return true;
    ir_call(c->b, HELPER_SVE_START, 0, 0, 0, 0);
    ir_exit_mode(c->b, c->b->insn);
    return false;
}

static void mark_stale(ArmTrans *c, uint32_t regs)
{
    if (regs && c->b->mode & MODE_Z_USED)
        ir_put(c->b, SLOT_Z_STALE, ir_binary_imm(c->b, IR_OR, ir_get(c->b, SLOT_Z_STALE), regs));
}

void arm_sve_after(ArmTrans *c, unsigned first)
{
    IrBuilder *b = c->b;
    uint32_t regs = 0;
    bool others = false, helper = false;
    bool data = (c->bits >> 25 & 7) == 7; /* not a load or store: at most one register, rd */
    for (unsigned i = first; i < b->n; i++) {
        const IrOp *op = &b->ops[i];
        if (op->code == IR_CALL && b->guest->helpers[op->imm].flags & IR_HELPER_WRITES)
            helper = true;
        if (op->code == IR_RAISE)
            return;
        if (op->code != IR_PUT)
            continue;
        if (op->imm >= SLOT_V && op->imm < SLOT_V + 32)
            regs |= 1u << (op->imm - SLOT_V);
        else
            others = true;
    }
    /* a register moved to itself leaves no trace */
    if (data && (helper || (!regs && !others)))
        regs |= 1u << (c->bits & 31);
    mark_stale(c, regs);
}

void sve_put_v(ArmTrans *c, unsigned n, IrRef low)
{
    arm_put_v(c, (int)n, low, 0);
    mark_stale(c, 1u << n);
}

/* ---- descriptions --------------------------------------------------------------------------- */

ArmSve sve_describe(const ArmTrans *c, SveFn fn, unsigned esz)
{
    return (ArmSve){.fn = (uint8_t)fn, .esz = (uint8_t)esz, .vl = (uint8_t)(sve_vl(c) / 16), .rd = sve_field(c, 0, 5),
                    .rn = sve_field(c, 5, 5), .rm = sve_field(c, 16, 5), .pg = sve_field(c, 10, 3)};
}

IrRef sve_call_helper(ArmTrans *c, const ArmSve *s, IrRef x, IrRef y)
{
    uint64_t w[2];
    unsigned helper = HELPER_SVE;
    memcpy(w, s, sizeof w);
    switch ((SveFn)s->fn) {
    case SVE_LAST: case SVE_CLAST: case SVE_CNTP: case SVE_SAT_ADD: helper = HELPER_SVE_VALUE; break;
    default:
        if (s->fn >= SVE_LD)
            helper = HELPER_SVE_MEM;
        else if (s->fn >= SVE_FP_TWO)
            helper = HELPER_SVE_FP;
        break;
    }
    IrRef zero = ir_const(c->b, IR_I64, 0);
    return ir_call(c->b, helper, ir_const(c->b, IR_I64, w[0]), ir_const(c->b, IR_I64, w[1]), x ? x : zero, y ? y : zero);
}

bool sve_call(ArmTrans *c, const ArmSve *s, IrRef x, IrRef y)
{
    if (s->vl > 1 || !sve_by_ir(c, s, x, y))
        sve_call_helper(c, s, x, y);
    return true;
}

/* ---- operations on lanes ------------------------------------------------------------------------ */

/* What opcodes mean: an operation, and whether its operands change places. */
typedef struct Code {
    uint8_t op;
    bool there, reverse;
} Code;
#define IS(op) {op, true, false}
#define REVERSED(op) {op, true, true}

static bool two(ArmTrans *c, ArmSve *s, SveOp op)
{
    s->op = (uint8_t)op;
    return sve_has_op(op, s->esz) && sve_call(c, s, 0, 0);
}

/* zdn = op(zdn, zm) */
static bool destructive(ArmTrans *c, const Code *code, unsigned esz)
{
    ArmSve s = sve_describe(c, SVE_TWO, esz);
    s.rm = s.rn;
    s.rn = s.rd;
    s.flags = code->reverse ? SVE_REVERSE : 0;
    return code->there && two(c, &s, (SveOp)code->op);
}

bool trans_sve_bin_pred(ArmTrans *c, const ArgsEOp *a)
{
    static const Code codes[32] = {
        [0] = IS(SVE_ADD), [1] = IS(SVE_SUB), [3] = REVERSED(SVE_SUB),
        [8] = IS(SVE_SMAX), IS(SVE_UMAX), IS(SVE_SMIN), IS(SVE_UMIN), IS(SVE_SABD), IS(SVE_UABD),
        [16] = IS(SVE_MUL), [18] = IS(SVE_SMULH), IS(SVE_UMULH), IS(SVE_SDIV), IS(SVE_UDIV), REVERSED(SVE_SDIV),
        REVERSED(SVE_UDIV), IS(SVE_ORR), IS(SVE_EOR), IS(SVE_AND), IS(SVE_BIC),
    };
    return destructive(c, &codes[a->op], sve_size(c));
}

bool trans_sve_shift_pred(ArmTrans *c, const ArgsEOp *a)
{
    static const Code codes[32] = {
        [16] = IS(SVE_ASR), IS(SVE_LSR), [19] = IS(SVE_LSL), REVERSED(SVE_ASR), REVERSED(SVE_LSR), [23] = REVERSED(SVE_LSL),
        [24] = IS(SVE_ASR), IS(SVE_LSR), [27] = IS(SVE_LSL),
    };
    static const uint8_t by_imm[4] = {SVE_ASR, SVE_LSR, 0, SVE_LSL};
    unsigned op = (unsigned)a->op;
    ArmSve s = sve_describe(c, SVE_TWO, sve_size(c));
    if (op >= 16) {
        s.rm = s.rn;
        s.rn = s.rd;
        s.m = op >= 24 ? SVE_M_WIDE : SVE_M_REG;
        s.flags = codes[op].reverse ? SVE_REVERSE : 0;
        return codes[op].there && !(op >= 24 && s.esz == 3) && two(c, &s, (SveOp)codes[op].op);
    }
    unsigned imm = sve_size(c) << 5 | sve_field(c, 5, 5);
    if (imm < 8 || op == 2 || (op > 4 && !c->p->sve2))
        return false;
    if (op > 4)
        return sve2_shift_pred(c, op, imm);
    s.esz = (uint8_t)(28 - __builtin_clz(imm));
    s.rn = s.rd;
    s.m = SVE_M_IMM;
    s.imm = op == 3 ? (int)imm - (8 << s.esz) : (16 << s.esz) - (int)imm;
    return two(c, &s, op == 4 ? SVE_ASRD : (SveOp)by_imm[op]);
}

bool trans_sve_shift_imm(ArmTrans *c, const ArgsENone *a)
{
    static const uint8_t ops[4] = {SVE_ASR, SVE_LSR, 0, SVE_LSL};
    unsigned imm = sve_size(c) << 5 | sve_field(c, 16, 5), op = sve_field(c, 10, 2);
    if (imm < 8 || op == 2)
        return false;
    ArmSve s = sve_describe(c, SVE_TWO, 28u - (unsigned)__builtin_clz(imm));
    s.pg = SVE_NO_PG;
    s.m = SVE_M_IMM;
    s.imm = op == 3 ? (int)imm - (8 << s.esz) : (16 << s.esz) - (int)imm;
    return two(c, &s, (SveOp)ops[op]);
}

bool trans_sve_shift_wide(ArmTrans *c, const ArgsENone *a)
{
    static const uint8_t ops[4] = {SVE_ASR, SVE_LSR, 0, SVE_LSL};
    ArmSve s = sve_describe(c, SVE_TWO, sve_size(c));
    s.pg = SVE_NO_PG;
    s.m = SVE_M_WIDE;
    return s.esz < 3 && sve_field(c, 10, 2) != 2 && two(c, &s, (SveOp)ops[sve_field(c, 10, 2)]);
}

bool trans_sve_unary(ArmTrans *c, const ArgsEOp *a)
{
    static const uint8_t ops[16] = {SVE_SXTB, SVE_UXTB, SVE_SXTH, SVE_UXTH, SVE_SXTW, SVE_UXTW, SVE_ABS, SVE_NEG,
                                    SVE_CLS, SVE_CLZ, SVE_CNT, SVE_CNOT, SVE_FABS, SVE_FNEG, SVE_NOT, 0};
    ArmSve s = sve_describe(c, SVE_TWO, sve_size(c));
    return a->op >= 16 && a->op < 31 && two(c, &s, (SveOp)ops[a->op - 16]);
}

bool trans_sve_bin(ArmTrans *c, const ArgsENone *a)
{
    static const Code codes[8] = {IS(SVE_ADD), IS(SVE_SUB), {0}, {0}, IS(SVE_SQADD), IS(SVE_UQADD), IS(SVE_SQSUB), IS(SVE_UQSUB)};
    const Code *code = &codes[sve_field(c, 10, 3)];
    ArmSve s = sve_describe(c, SVE_TWO, sve_size(c));
    s.pg = SVE_NO_PG;
    return code->there && two(c, &s, (SveOp)code->op);
}

bool trans_sve_logic(ArmTrans *c, const ArgsENone *a)
{
    static const uint8_t ops[4] = {SVE_AND, SVE_ORR, SVE_EOR, SVE_BIC};
    ArmSve s = sve_describe(c, SVE_TWO, 3);
    s.pg = SVE_NO_PG;
    return two(c, &s, (SveOp)ops[sve_size(c)]);
}

bool trans_sve_ftssel(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, SVE_TWO, sve_size(c));
    s.pg = SVE_NO_PG;
    return two(c, &s, SVE_FTSSEL);
}

bool trans_sve_fexpa(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, SVE_FEXPA, sve_size(c));
    return s.esz && sve_call(c, &s, 0, 0);
}

bool trans_sve_movprfx(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, SVE_MOVPRFX, 3);
    s.pg = SVE_NO_PG;
    return sve_call(c, &s, 0, 0);
}

/* MLA and MLS add to zd; MAD and MSB multiply by it */
bool trans_sve_mla(ArmTrans *c, const ArgsEOp *a)
{
    ArmSve s = sve_describe(c, SVE_MLA, sve_size(c));
    s.ra = s.rd;
    s.flags = sve_field(c, 13, 1) ? SVE_NEGATIVE : 0;
    if (sve_field(c, 15, 1)) {
        s.ra = s.rn;
        s.rn = s.rd;
    }
    return sve_call(c, &s, 0, 0);
}

bool trans_sve_reduce(ArmTrans *c, const ArgsEOp *a)
{
    static const Code codes[32] = {
        [0] = IS(SVE_ADD), IS(SVE_ADD), [8] = IS(SVE_SMAX), IS(SVE_UMAX), IS(SVE_SMIN), IS(SVE_UMIN),
        [24] = IS(SVE_ORR), IS(SVE_EOR), IS(SVE_AND),
    };
    ArmSve s = sve_describe(c, SVE_REDUCE, sve_size(c));
    if ((a->op & ~1) == 16) { /* MOVPRFX */
        s.fn = SVE_MOVPRFX;
        s.flags = a->op & 1 ? 0 : SVE_ZERO;
        return sve_call(c, &s, 0, 0);
    }
    s.op = codes[a->op].op;
    s.flags = a->op == 1 ? SVE_UNSIGNED : 0;
    return codes[a->op].there && !(a->op == 0 && s.esz == 3) && sve_call(c, &s, 0, 0);
}

bool trans_sve_index(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, SVE_INDEX, sve_size(c));
    IrRef base = sve_field(c, 10, 1) ? arm_x(c, s.rn) : ir_const(c->b, IR_I64, (uint64_t)bits_sext(s.rn, 5));
    IrRef step = sve_field(c, 11, 1) ? arm_x(c, s.rm) : ir_const(c->b, IR_I64, (uint64_t)bits_sext(s.rm, 5));
    return sve_call(c, &s, base, step);
}

bool trans_sve_adr(ArmTrans *c, const ArgsENone *a)
{
    unsigned opc = sve_size(c);
    ArmSve s = sve_describe(c, SVE_ADR, opc == 2 ? 2 : 3);
    s.op = (uint8_t)opc;
    s.imm = (int)sve_field(c, 10, 2);
    return sve_call(c, &s, 0, 0);
}

/* ADD and so on with an immediate, and DUP of one */
bool trans_sve_wide_imm(ArmTrans *c, const ArgsEOp *a)
{
    static const Code codes[32] = {
        [0] = IS(SVE_ADD), IS(SVE_SUB), [3] = REVERSED(SVE_SUB), IS(SVE_SQADD), IS(SVE_UQADD), IS(SVE_SQSUB), IS(SVE_UQSUB),
        IS(SVE_SMAX), IS(SVE_UMAX), IS(SVE_SMIN), IS(SVE_UMIN), [16] = IS(SVE_MUL),
    };
    unsigned imm = sve_field(c, 5, 8), shift = sve_field(c, 13, 1), op = (unsigned)a->op;
    ArmSve s = sve_describe(c, SVE_TWO, sve_size(c));
    s.pg = SVE_NO_PG;
    if (op == 25) { /* FDUP */
        s.fn = SVE_CPY;
        uint64_t v = s.esz == 3 ? arm_fp_imm(imm, true) : arm_fp_imm(imm, false);
        if (s.esz == 1)
            v = (imm & 0x80) << 8 | (imm & 0x40 ? 0x3000 : 0x4000) | (imm & 0x3f) << 6;
        return s.esz && !shift && sve_call(c, &s, ir_const(c->b, IR_I64, v), 0);
    }
    if (shift && (s.esz == 0 || (op >= 8 && op != 24)))
        return false;
    if (op == 24) {
        s.fn = SVE_CPY;
        return sve_call(c, &s, ir_const(c->b, IR_I64, (uint64_t)(bits_sext(imm, 8) * (shift ? 256 : 1))), 0);
    }
    if (!codes[op].there)
        return false;
    bool is_signed = op == 8 || op == 10 || op == 16;
    s.imm = is_signed ? (int)bits_sext(imm, 8) : (int)(imm << (shift ? 8 : 0));
    s.m = SVE_M_IMM;
    s.rn = s.rd;
    s.flags = codes[op].reverse ? SVE_REVERSE : 0;
    if ((op == 4 || op == 6) && (int64_t)s.imm >> (8 * (1 << s.esz) - 1)) { /* more than a signed lane: in three steps */
        int all = s.imm;
        s.imm = all / 3;
        two(c, &s, (SveOp)codes[op].op);
        two(c, &s, (SveOp)codes[op].op);
        s.imm = all - 2 * s.imm;
    }
    return two(c, &s, (SveOp)codes[op].op);
}

bool trans_sve_logic_imm(ArmTrans *c, const ArgsEImm13 *a)
{
    static const uint8_t ops[4] = {SVE_ORR, SVE_EOR, SVE_AND, 0};
    uint64_t mask;
    unsigned imm = (unsigned)a->imm;
    if (!arm_bit_mask(true, imm >> 12, imm >> 6 & 63, imm & 63, &mask))
        return false;
    ArmSve s = sve_describe(c, SVE_TWO, 3);
    IrRef v = ir_const(c->b, IR_I64, mask);
    s.pg = SVE_NO_PG;
    s.rn = s.rd;
    s.op = ops[sve_size(c)];
    s.m = SVE_M_VALUE;
    if (sve_size(c) == 3) {
        s.fn = SVE_CPY;
        return sve_call(c, &s, v, 0);
    }
    return sve_call(c, &s, 0, v);
}

bool trans_sve_cpy_imm(ArmTrans *c, const ArgsENone *a)
{
    unsigned shift = sve_field(c, 13, 1);
    ArmSve s = sve_describe(c, SVE_CPY, sve_size(c));
    if (shift && !s.esz)
        return false;
    s.pg = sve_field(c, 16, 4);
    s.flags = sve_field(c, 14, 1) ? 0 : SVE_ZERO;
    return sve_call(c, &s, ir_const(c->b, IR_I64, (uint64_t)(bits_sext(sve_field(c, 5, 8), 8) * (shift ? 256 : 1))), 0);
}

bool trans_sve_fcpy(ArmTrans *c, const ArgsENone *a)
{
    unsigned imm = sve_field(c, 5, 8);
    ArmSve s = sve_describe(c, SVE_CPY, sve_size(c));
    uint64_t v = arm_fp_imm(imm, s.esz == 3);
    if (s.esz == 1)
        v = (imm & 0x80) << 8 | (imm & 0x40 ? 0x3000 : 0x4000) | (imm & 0x3f) << 6;
    s.pg = sve_field(c, 16, 4);
    return s.esz && sve_call(c, &s, ir_const(c->b, IR_I64, v), 0);
}

bool trans_sve_dot(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, SVE_DOT, sve_size(c));
    s.flags = sve_field(c, 10, 1) ? SVE_UNSIGNED : 0;
    s.imm = -1;
    return sve_call(c, &s, 0, 0);
}

bool trans_sve_dot_lane(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, SVE_DOT, sve_size(c));
    s.flags = sve_field(c, 10, 1) ? SVE_UNSIGNED : 0;
    s.rm = s.esz == 2 ? s.rm & 7 : s.rm & 15;
    s.imm = (int)(s.esz == 2 ? sve_field(c, 19, 2) : sve_field(c, 20, 1));
    return sve_call(c, &s, 0, 0);
}
