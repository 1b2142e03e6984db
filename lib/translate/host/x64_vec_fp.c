/* SPDX-License-Identifier: MIT */
/*
 * Floating point in lanes, in line where the host's result is the guest's, as x64_fp.c has it for
 * scalars: what any lane made otherwise is seen in the result, and then C does the whole operation
 * again, on operands that have kept their registers.
 */
#include "translate/host/x64_vec_priv.h"

static bool left_to_c(const Emit *e)
{
    const TranslateFp *fp = &e->fp;
    return !translate_fp_is_sse(fp) && !translate_fp_flushes(fp) &&
           (fp->flush_inputs || fp->flush_outputs || fp->denormal_flag);
}

static unsigned packed_pp(const IrOp *op)
{
    return op->sub == 2 ? 0 : 1; /* ps, pd */
}

/* vcmpps, vcmppd */
static void vcmp(Emit *e, const IrOp *op, unsigned d, unsigned a, unsigned b, unsigned predicate)
{
    vec_rri(e, 1, packed_pp(op), 0xc2, d, a, b, predicate);
}

enum { EQ_OQ, LT_OS, LE_OS, UNORD_Q, EQ_UQ = 8, EQ_OS = 16, LT_OQ, LE_OQ, UNORD_S, NGT_UQ = 26 };

/* To C if any bit of t is set; the result is in d then. */
static void cold_if(Emit *e, IrRef i, unsigned t, unsigned d, const Operands *from)
{
    vec_rr(e, 2, 1, 0x17, t, 0, t); /* vptest */
    finish_cold(e, fp_jump_cold(e, COLD_EVAL, CC_NE), i, d, from);
}

static uint32_t operand_regs(const Operands *from)
{
    uint32_t mask = 0;
    for (unsigned n = 0; n < 3; n++)
        mask |= from->regs[n] != NO_REG ? reg_bit(from->regs[n]) : 0;
    return mask;
}

/* As fp_look_in: zeros and what counts as one, with a bit set but that of a zero above 0. */
static void look_in(Emit *e, const IrOp *op, IrRef v, unsigned r, unsigned t)
{
    uint8_t bit = (uint8_t)(1 << op->sub);
    if (!translate_fp_flushes(&e->fp) || e->normal[v] & bit)
        return;
    vec_rr(e, 1, 0, 0x57, t, t, t); /* vxorps */
    vcmp(e, op, t, r, t, EQ_OQ);
    vec_rr(e, 2, 1, 0x17, t, 0, r); /* vptest */
    Cold *c = fp_jump_cold(e, COLD_SUBNORMAL, CC_NE);
    c->type = op->sub == 2 ? IR_F32 : IR_F64;
    c->pair = 1;
    c->reg = (uint8_t)r;
    c->back = e->a.p;
    e->normal[v] |= bit;
}

/* NaNs, results that may have been tiny before they were rounded, and zeros that may have been flushed to. */
static void look(Emit *e, IrRef i, const IrOp *op, unsigned d, unsigned t, bool tiny, const Operands *from)
{
    bool flush = translate_fp_flushes(&e->fp);
    if (nan_rule(e) == NAN_HOST)
        return;
    if (flush)
        e->normal[i] |= (uint8_t)(1 << op->sub);
    if (tiny && e->fp.tiny_before) {
        uint64_t abs = op->sub == 2 ? 0x7fffffff7fffffff : INT64_MAX;
        uint64_t least = op->sub == 2 ? 0x0080000000800000 : UINT64_C(1) << 52;
        const uint64_t k[2] = {least, least};
        unsigned u = temp_xmm(e);
        vec_rks(e, 1, 0xdb, t, d, abs);
        make_vector_const(e, u, k);
        vcmp(e, op, t, t, u, flush ? NGT_UQ : EQ_UQ);
    } else if (flush && (op->code == IR_VFADD || op->code == IR_VFSUB || op->code == IR_VFDIV)) {
        vec_rr(e, 1, 0, 0x57, t, t, t); /* vxorps */
        vcmp(e, op, t, d, t, EQ_UQ);
    } else {
        vcmp(e, op, t, d, d, UNORD_Q);
    }
    cold_if(e, i, t, d, from);
}

static bool emit_arith(Emit *e, IrRef i, const IrOp *op, unsigned opcode)
{
    unsigned a = use_reg(e, op->a), b = op->b ? use_reg(e, op->b) : 0, t = temp_xmm(e);
    const Operands from = {{(uint8_t)a, (uint8_t)(b ? b : NO_REG), NO_REG}, 0};
    look_in(e, op, op->a, a, t);
    if (b)
        look_in(e, op, op->b, b, t);
    unsigned d = def_reg_not(e, i, operand_regs(&from));
    if (b)
        vec_rr(e, 1, packed_pp(op), opcode, d, a, b);
    else
        vec_rr(e, 1, packed_pp(op), opcode, d, 0, a);
    look(e, i, op, d, t, op->code == IR_VFMUL, &from);
    return true;
}

static bool emit_fma(Emit *e, IrRef i, const IrOp *op)
{
    static const uint8_t opcode[] = {0xb8, 0xbc, 0xba, 0xbe}; /* 231: fmadd, fnmadd, fmsub, fnmsub */
    if (op->imm & IR_FMA_NEGATE_RESULT || (nan_rule(e) == NAN_HOST && op->imm & IR_FMA_NEGATE_NAN))
        return false;
    unsigned a = use_reg(e, op->a), b = use_reg(e, op->b), c = use_reg(e, op->c), t = temp_xmm(e);
    const Operands from = {{(uint8_t)a, (uint8_t)b, (uint8_t)c}, 0};
    look_in(e, op, op->a, a, t);
    look_in(e, op, op->b, b, t);
    look_in(e, op, op->c, c, t);
    unsigned d = def_reg_not(e, i, operand_regs(&from));
    mov_xmm(e, d, c);
    vex_rr(&e->a, 2, 1, op->sub == 3, opcode[op->imm & 3], (int)d - 16, (int)a - 16, (int)b - 16);
    look(e, i, op, d, t, true, &from);
    return true;
}

/* Done both ways round, which differ where both are zeros: joined, the signs come out right. */
static bool emit_minmax(Emit *e, IrRef i, const IrOp *op)
{
    bool min = op->code == IR_VFMIN;
    unsigned opcode = min ? 0x5d : 0x5f, pp = packed_pp(op);
    unsigned a = use_reg(e, op->a), b = use_reg(e, op->b), t = temp_xmm(e);
    const Operands from = {{(uint8_t)a, (uint8_t)b, NO_REG}, 0};
    look_in(e, op, op->a, a, t);
    look_in(e, op, op->b, b, t);
    unsigned d = def_reg_not(e, i, operand_regs(&from));
    Cold *c = NULL;
    if (op->imm != IR_MINMAX_X86) { /* looked at first: the host's raises a flag for every NaN */
        vcmp(e, op, t, a, b, UNORD_Q);
        vec_rr(e, 2, 1, 0x17, t, 0, t);
        c = fp_jump_cold(e, COLD_EVAL, CC_NE);
        vec_rr(e, 1, pp, opcode, t, b, a);
    }
    vec_rr(e, 1, pp, opcode, d, a, b);
    if (c) {
        vec_rr(e, 1, pp, min ? 0x56 : 0x54, d, d, t); /* vorps, vandps */
        finish_cold(e, c, i, d, &from);
    }
    return true;
}

static bool emit_compare(Emit *e, IrRef i, const IrOp *op)
{
    static const uint8_t quiet[] = {EQ_OQ, LT_OQ, LE_OQ, UNORD_Q}, signalling[] = {EQ_OS, LT_OS, LE_OS, UNORD_S};
    unsigned a = use_reg(e, op->a), b = use_reg(e, op->b), t = translate_fp_flushes(&e->fp) ? temp_xmm(e) : 0;
    look_in(e, op, op->a, a, t);
    look_in(e, op, op->b, b, t);
    unsigned d = def_reg(e, i);
    vcmp(e, op, d, a, b, (op->imm >> 8 ? signalling : quiet)[op->imm & 3]);
    return true;
}

/* Words. The host answers 1 << 31 for all that does not fit: then C decides. */
static bool emit_to_int(Emit *e, IrRef i, const IrOp *op)
{
    unsigned round = (unsigned)(op->imm >> 8), flags = op->imm & 255;
    if (op->sub != 2 || flags & (IR_TOINT_UNSIGNED | IR_TOINT_X86) || (round != IR_RTZ && round != IR_RDYN))
        return false;
    unsigned a = use_reg(e, op->a), t = temp_xmm(e);
    const Operands from = {{(uint8_t)a, NO_REG, NO_REG}, 0};
    look_in(e, op, op->a, a, t);
    unsigned d = def_reg_not(e, i, reg_bit(a));
    vec_rr(e, 1, round == IR_RTZ ? 2 : 1, 0x5b, d, 0, a); /* vcvttps2dq, vcvtps2dq */
    vec_rks(e, 1, 0x76, t, d, 0x8000000080000000);        /* vpcmpeqd */
    cold_if(e, i, t, d, &from);
    return true;
}

static bool emit_from_int(Emit *e, IrRef i, const IrOp *op)
{
    if (op->sub != 2 || op->imm & 1)
        return false;
    unsigned a = use_reg(e, op->a), d = def_reg(e, i);
    vec_rr(e, 1, 0, 0x5b, d, 0, a); /* vcvtdq2ps */
    return true;
}

static bool emit_round(Emit *e, IrRef i, const IrOp *op)
{
    static const uint8_t modes[] = {[IR_RNE] = 0, [IR_RTZ] = 3, [IR_RDN] = 1, [IR_RUP] = 2, [IR_RDYN] = 4};
    unsigned round = (unsigned)(op->imm >> 8);
    if (round == IR_RMM)
        return false;
    unsigned a = use_reg(e, op->a), t = temp_xmm(e);
    const Operands from = {{(uint8_t)a, NO_REG, NO_REG}, 0};
    look_in(e, op, op->a, a, t);
    unsigned d = def_reg_not(e, i, reg_bit(a));
    vec_rri(e, 3, 1, op->sub == 2 ? 0x08 : 0x09, d, 0, a, modes[round] | (op->imm & 1 ? 0u : 8u));
    if (e->fp.default_nan) /* else a single NaN is handed on alike by all */
        look(e, i, op, d, t, false, &from);
    return true;
}

bool emit_vec_float(Emit *e, IrRef i, const IrOp *op)
{
    if (op->code < IR_VFADD || op->sub < 2 || left_to_c(e))
        return false;
    switch (op->code) {
    case IR_VFADD: return emit_arith(e, i, op, 0x58);
    case IR_VFSUB: return emit_arith(e, i, op, 0x5c);
    case IR_VFMUL: return emit_arith(e, i, op, 0x59);
    case IR_VFDIV: return emit_arith(e, i, op, 0x5e);
    case IR_VFSQRT: return emit_arith(e, i, op, 0x51);
    case IR_VFMA: return emit_fma(e, i, op);
    case IR_VFMIN:
    case IR_VFMAX: return emit_minmax(e, i, op);
    case IR_VFCMP: return emit_compare(e, i, op);
    case IR_VFTOI: return emit_to_int(e, i, op);
    case IR_VITOF: return emit_from_int(e, i, op);
    default: return emit_round(e, i, op);
    }
}
