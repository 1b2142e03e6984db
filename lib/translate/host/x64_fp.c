/* SPDX-License-Identifier: MIT */
/*
 * f32 and f64 on x86-64, in line where the host's result and sticky flags are
 * the guest's. Rounding is MXCSR's (IR_RDYN); of the explicit modes only those
 * of conversions to integers and to integral values are done here.
 *
 * What the host does otherwise is seen in the result, and put right by cold code:
 *   - NaNs. Rules as SSE has them need no look. With default_nan the default NaN
 *     is put in place. Under all other rules C does the operation again, on the
 *     operands, which therefore keep their registers.
 *   - Tininess before rounding differs only where rounding gave just the smallest
 *     normal: then C does it again, too. Flags of the first time are among those of
 *     the second. Sums are exact there; and no quotient of two numbers of p bits lies
 *     between a power of two and that times 1 - 2^-p, to round up to it.
 *   - Flushing, in rules other than those of SSE: done by MXCSR where translate_fp_flushes()
 *     says so, and left to C altogether where not. Operands are looked at, once each, as the host
 *     does not say which it flushed; and results, as a zero may have been flushed to. Then C
 *     does the operation again, if not before rounding (the host flushes what is tiny behind
 *     it), then for the flag of underflow: the host has set it, and that for inexact, which was set.
 */
#include "translate/host/x64_fp_priv.h"

static bool left_to_c(const Emit *e)
{
    const TranslateFp *fp = &e->fp;
    return !translate_fp_is_sse(fp) && !translate_fp_flushes(fp) &&
           (fp->flush_inputs || fp->flush_outputs || fp->denormal_flag);
}

/* Registers that the result must not be made in, since C may need them. */
static uint32_t kept(const Emit *e, bool checked, const Operands *from)
{
    uint32_t mask = 0;
    for (unsigned n = 0; checked && nan_rule(e) == NAN_AGAIN && n < 3; n++)
        mask |= from->regs[n] != NO_REG ? reg_bit(from->regs[n]) : 0;
    return mask;
}

static bool emit_arith(Emit *e, IrRef i, const IrOp *op, unsigned opcode)
{
    NanRule rule = nan_rule(e);
    bool commutes = (op->code == IR_FADD || op->code == IR_FMUL) && rule == NAN_DEFAULT;
    bool nan = rule != NAN_HOST, tiny = e->fp.tiny_before && op->code == IR_FMUL;
    Operands from = {{NO_REG, NO_REG, NO_REG}, 0};
    if (op->sub != IR_RDYN)
        return false;
    if (op->type == IR_F64 && !translate_fp_flushes(&e->fp) && use_mem(e, op->b, &from.disp)) {
        unsigned a = from.regs[0] = (uint8_t)use_reg(e, op->a);
        unsigned d = def_reg_not(e, i, kept(e, true, &from));
        e->zeroed[i] = e->zeroed[op->a];
        vex_rm(&e->a, 1, 3, false, opcode, (int)d - 16, (int)a - 16, RBP, from.disp);
        fp_check(e, i, d, nan, tiny, &from);
        return true;
    }
    unsigned a = use_reg(e, op->a), b = use_reg(e, op->b);
    from.regs[0] = (uint8_t)a;
    from.regs[1] = (uint8_t)b;
    fp_look_in(e, op->a, op->type, a);
    fp_look_in(e, op->b, op->type, b);
    if (commutes && op->type == IR_F32 && !e->boxed[op->a] && e->boxed[op->b]) {
        unsigned t = a;
        a = b;
        b = t;
        e->boxed[i] = 1;
    } else {
        e->boxed[i] = op->type == IR_F32 && e->boxed[op->a]; /* upper lanes: the first source's */
        e->zeroed[i] = e->zeroed[op->a];
    }
    unsigned d = def_reg_not(e, i, kept(e, true, &from));
    vex_rr(&e->a, 1, scalar_pp(op->type), false, opcode, (int)d - 16, (int)a - 16, (int)b - 16);
    fp_check(e, i, d, nan, tiny, &from);
    return true;
}

static bool emit_sqrt(Emit *e, IrRef i, const IrOp *op)
{
    if (op->sub != IR_RDYN)
        return false;
    unsigned a = use_reg(e, op->a);
    const Operands from = {{(uint8_t)a, NO_REG, NO_REG}, 0};
    fp_look_in(e, op->a, op->type, a);
    unsigned d = def_reg_not(e, i, kept(e, true, &from));
    e->boxed[i] = op->type == IR_F32 && e->boxed[op->a];
    e->zeroed[i] = e->zeroed[op->a];
    vex_rr(&e->a, 1, scalar_pp(op->type), false, 0x51, (int)d - 16, (int)a - 16, (int)a - 16);
    fp_check(e, i, d, nan_rule(e) != NAN_HOST, false, &from);
    return true;
}

/* The result may be made in an operand's place; then that is copied, where C or cold code may need it. */
static bool emit_fma(Emit *e, IrRef i, const IrOp *op)
{
    /* 231 (the addend's place): fmadd, fnmadd, fmsub, fnmsub; less 0x10: 213, a factor's */
    static const uint8_t opcode[] = {0xb9, 0xbd, 0xbb, 0xbf};
    const unsigned needs_check = IR_FMA_NEGATE_NAN | IR_FMA_NEGATE_RESULT;
    NanRule rule = nan_rule(e);
    if (op->sub != IR_RDYN || (rule == NAN_HOST && op->imm & needs_check))
        return false;
    const IrRef refs[] = {op->a, op->b, op->c};
    Operands from = {{(uint8_t)use_reg(e, op->a), (uint8_t)use_reg(e, op->b), (uint8_t)use_reg(e, op->c)}, 0};
    unsigned r[3], place = 2, w = op->type == IR_F64, code = opcode[op->imm & 3];
    for (unsigned n = 0; n < 3; n++)
        fp_look_in(e, refs[n], op->type, r[n] = from.regs[n]);
    /* the host's choice among NaNs goes by the form */
    uint32_t factors = (reg_bit(r[0]) | reg_bit(r[1])) & ~reg_bit(r[2]);
    unsigned d = def_reg_not(e, i, rule == NAN_HOST ? factors : 0), copy = NO_REG;
    for (unsigned n = 0; n < 3; n++) {
        if (r[n] != d)
            continue;
        if (r[2] != d)
            place = n;
        if (copy == NO_REG && (rule == NAN_AGAIN || (rule == NAN_DEFAULT && n < 2)))
            mov_xmm(e, copy = temp_xmm(e), d);
        if (copy != NO_REG)
            from.regs[n] = (uint8_t)copy;
    }
    e->boxed[i] = op->type == IR_F32 && e->boxed[refs[place]];
    e->zeroed[i] = e->zeroed[refs[place]];
    if (place == 2) {
        mov_xmm(e, d, r[2]);
        vex_rr(&e->a, 2, 1, w, code, (int)d - 16, (int)r[0] - 16, (int)r[1] - 16);
    } else {
        vex_rr(&e->a, 2, 1, w, code - 0x10, (int)d - 16, (int)r[1 - place] - 16, (int)r[2] - 16);
    }
    Cold *cold = fp_check(e, i, d, rule != NAN_HOST, e->fp.tiny_before, &from);
    if (cold && cold->kind == COLD_NAN) /* multiply: infinity times zero is invalid even with a NaN */
        cold->base = 1;
    if (cold && op->imm & IR_FMA_NEGATE_RESULT) {
        vex_pool(e, 0, 0x57, d, d, POOL_SIGN + (op->type == IR_F32)); /* vxorps */
        cold->back = e->a.p;
    }
    return true;
}

/* The result is known but for NaNs and, where the sign of a zero matters, for equal operands. */
static bool emit_minmax(Emit *e, IrRef i, const IrOp *op)
{
    bool flush = op->imm != IR_MINMAX_X86 && e->fp.flush_inputs;
    unsigned a = use_reg(e, op->a), b = use_reg(e, op->b), d = def_reg(e, i);
    unsigned opcode = op->code == IR_FMIN ? 0x5d : 0x5f;
    const Operands from = {{(uint8_t)a, (uint8_t)b, NO_REG}, 0};
    e->boxed[i] = op->type == IR_F32 && e->boxed[op->a] && e->boxed[op->b];
    e->zeroed[i] = e->zeroed[op->a] && e->zeroed[op->b];
    Cold *c = NULL;
    fp_look_in(e, op->a, op->type, a);
    fp_look_in(e, op->b, op->type, b);
    if (op->imm != IR_MINMAX_X86) {
        ucomi(e, false, op->type, a, b);
        c = fp_jump_cold(e, COLD_EVAL, CC_E);
    }
    vex_rr(&e->a, 1, scalar_pp(op->type), false, opcode, (int)d - 16, (int)a - 16, (int)b - 16);
    if (c)
        finish_cold(e, c, i, d, &from)->base = !flush; /* equal ones may be two that are flushed */
    return true;
}

static void vround(Emit *e, unsigned type, unsigned d, unsigned a, unsigned round, bool inexact)
{
    static const uint8_t modes[] = {[IR_RNE] = 0, [IR_RTZ] = 3, [IR_RDN] = 1, [IR_RUP] = 2,
                                    [IR_RDYN] = 4};
    vex_rr(&e->a, 3, 1, false, type == IR_F32 ? 0x0a : 0x0b, (int)d - 16, (int)a - 16, (int)a - 16);
    put8(&e->a, modes[round] | (inexact ? 0u : 8u));
}

static bool emit_fround(Emit *e, IrRef i, const IrOp *op)
{
    if (op->sub == IR_RMM)
        return false;
    unsigned a = use_reg(e, op->a);
    const Operands from = {{(uint8_t)a, NO_REG, NO_REG}, 0};
    fp_look_in(e, op->a, op->type, a);
    unsigned d = def_reg_not(e, i, kept(e, e->fp.default_nan, &from));
    e->boxed[i] = op->type == IR_F32 && e->boxed[op->a];
    e->zeroed[i] = e->zeroed[op->a];
    vround(e, op->type, d, a, op->sub, op->imm & 1);
    fp_check(e, i, d, e->fp.default_nan, false, &from); /* a single NaN is handed on alike by all */
    return true;
}

/* ucomi or comi; where it is to raise no flag and may have raised one, that is put back: the
 * comparison's own flags remain. */
static void compare(Emit *e, const IrOp *op, unsigned a, unsigned b)
{
    ucomi(e, op->imm & 1 && !(op->imm & 2), op->aux, a, b);
    if (op->imm & 2)
        fp_jump_cold(e, COLD_STICKY, CC_P)->back = e->a.p;
}

static bool emit_fcmp(Emit *e, IrRef i, const IrOp *op)
{
    if (op->imm & 2 && e->sticky != op->c)
        return false;
    unsigned a = use_reg(e, op->a), b = use_reg(e, op->b), d = def_reg(e, i);
    fp_look_in(e, op->a, op->aux, a);
    fp_look_in(e, op->b, op->aux, b);
    switch (op->sub) {
    case IR_FEQ: {
        unsigned t = temp_gpr(e);
        compare(e, op, a, b);
        setcc(&e->a, CC_NP, (int)t);
        setcc(&e->a, CC_E, (int)d);
        op_rr8(&e->a, false, 0x22, (int)d, (int)t); /* and */
        break;
    }
    case IR_FUN:
        compare(e, op, a, b);
        setcc(&e->a, CC_P, (int)d);
        break;
    default: /* a < b is b above a, which no NaN is */
        compare(e, op, b, a);
        setcc(&e->a, op->sub == IR_FLT ? CC_A : CC_AE, (int)d);
        break;
    }
    return true;
}

static bool emit_frel(Emit *e, IrRef i, const IrOp *op)
{
    unsigned a = use_reg(e, op->a), b = use_reg(e, op->b), d = def_reg(e, i), t = temp_gpr(e);
    static const struct { uint8_t cc, shift; } order[] = {{CC_B, 0}, {CC_E, 16}, {CC_P, 48}};
    fp_look_in(e, op->a, op->aux, a);
    fp_look_in(e, op->b, op->aux, b);
    ucomi(e, op->sub, op->aux, a, b);
    mov_ri_keep(&e->a, (int)d, op->imm >> 32 & 0xffff);
    for (unsigned n = 0; n < G_N_ELEMENTS(order); n++) { /* all three hold when unordered */
        mov_ri_keep(&e->a, (int)t, op->imm >> order[n].shift & 0xffff);
        op_rr(&e->a, 0, false, 0x0f40 | order[n].cc, (int)d, (int)t);
    }
    return true;
}

static void convert(Emit *e, unsigned type, bool w, bool trunc, unsigned d, unsigned a)
{
    put_vex(&e->a, 1, scalar_pp(type), w, false, (int)d, 0, (int)a - 16, 0);
    put8(&e->a, trunc ? 0x2c : 0x2d);
    put8(&e->a, 0xc0 | (d & 7) << 3 | (a & 7));
}

/*
 * The host answers 1 << (width - 1) for all that does not fit: then C decides. Unsigned values are
 * looked at first, by sign and exponent: from 0 to below 2^63 and 2^32 (2^31 where rounding could
 * reach that) they are converted as signed ones of 64 bits.
 */
static bool emit_ftoi(Emit *e, IrRef i, const IrOp *op)
{
    bool trunc = op->sub == IR_RTZ, rounds = !trunc && op->sub != IR_RDYN, f32 = op->aux == IR_F32;
    bool w = op->type == IR_I64;
    bool is_unsigned = op->imm & IR_TOINT_UNSIGNED, x86 = op->imm & IR_TOINT_X86;
    if (op->sub == IR_RMM || (op->type != IR_I32 && !w) || (rounds && x86))
        return false;
    unsigned a = use_reg(e, op->a), d = def_reg(e, i), t = rounds ? temp_xmm(e) : a;
    const Operands from = {{(uint8_t)a, NO_REG, NO_REG}, 0};
    Cold *c = NULL;
    fp_look_in(e, op->a, op->aux, a);
    if (is_unsigned) {
        vex_rr(&e->a, 1, 1, !f32, 0x7e, (int)a - 16, 0, (int)d); /* vmovd, vmovq */
        shift_ri(&e->a, !f32, SH_SHR, (int)d, f32 ? 23 : 52);
        alu_ri(&e->a, false, ALU_CMP, (int)d, (f32 ? 127 : 1023) + (w ? 63 : trunc ? 32 : 31));
        c = fp_jump_cold(e, COLD_EVAL, CC_AE);
    }
    if (rounds)
        vround(e, op->aux, t, a, op->sub, false);
    convert(e, op->aux, w || is_unsigned, trunc || rounds, d, t);
    if (!is_unsigned && !x86) {
        alu_ri(&e->a, w, ALU_CMP, (int)d, 1); /* overflows for that value only */
        c = fp_jump_cold(e, COLD_EVAL, CC_O);
    }
    if (rounds) /* inexact, now that it has turned out not to be invalid */
        vround(e, op->aux, t, a, op->sub, true);
    if (c)
        finish_cold(e, c, i, d, &from);
    return true;
}

static bool emit_itof(Emit *e, IrRef i, const IrOp *op)
{
    bool w = op->aux == IR_I64, is_unsigned = op->imm & 1;
    bool exact = op->aux == IR_I32 && op->type == IR_F64;
    if ((op->aux != IR_I32 && op->aux != IR_I64) || (op->sub != IR_RDYN && !exact))
        return false;
    unsigned a = use_reg(e, op->a), d = def_reg(e, i);
    const Operands from = {{(uint8_t)a, NO_REG, NO_REG}, 0};
    Cold *c = NULL;
    if (is_unsigned && w) {
        op_rr(&e->a, 0, true, 0x85, (int)a, (int)a); /* test */
        c = fp_jump_cold(e, COLD_EVAL, CC_S);
    } else if (is_unsigned) {
        unsigned t = temp_gpr(e);
        mov_rr(&e->a, false, (int)t, (int)a);
        a = t;
        w = true;
    }
    e->zeroed[i] = 1;
    /* vxorps: no old value to wait for */
    vex_rr(&e->a, 1, 0, false, 0x57, (int)d - 16, (int)d - 16, (int)d - 16);
    put_vex(&e->a, 1, scalar_pp(op->type), w, false, (int)d - 16, 0, (int)a, (int)d - 16);
    put8(&e->a, 0x2a);
    put8(&e->a, 0xc0 | (d & 7) << 3 | (a & 7));
    if (c)
        finish_cold(e, c, i, d, &from);
    return true;
}

static bool emit_ftof(Emit *e, IrRef i, const IrOp *op)
{
    bool narrower = op->type == IR_F32, tiny = narrower && e->fp.tiny_before;
    if (!is_float_type(op->aux) || (narrower && op->sub != IR_RDYN))
        return false;
    unsigned a = use_reg(e, op->a);
    const Operands from = {{(uint8_t)a, NO_REG, NO_REG}, 0};
    fp_look_in(e, op->a, op->aux, a);
    unsigned d = def_reg_not(e, i, kept(e, e->fp.default_nan || tiny, &from));
    e->zeroed[i] = !narrower && e->zeroed[op->a];
    vex_rr(&e->a, 1, scalar_pp(op->aux), false, 0x5a, (int)d - 16, (int)a - 16, (int)a - 16);
    fp_check(e, i, d, e->fp.default_nan, tiny, &from);
    return true;
}

static bool emit_bitcast(Emit *e, IrRef i, const IrOp *op)
{
    bool to = is_float_type(op->type), from = is_float_type(op->aux);
    int32_t disp;
    if (ir_type_bits(op->type) > 64 || op->type == IR_F16 || op->aux == IR_F16)
        return false;
    if (to && !from && use_mem(e, op->a, &disp)) {
        unsigned d = def_reg(e, i);
        e->zeroed[i] = 1;
        vex_rm(&e->a, 1, op->type == IR_F32 ? 2 : 3, false, 0x10, (int)d - 16, 0, RBP, disp);
        return true;
    }
    unsigned a = use_reg(e, op->a), d = def_reg(e, i);
    bool w = is_64(op->type);
    e->zeroed[i] = to && (!from || e->zeroed[op->a]);
    if (to && !from)
        vex_rr(&e->a, 1, 1, w, 0x6e, (int)d - 16, 0, (int)a);
    else if (from && !to)
        vex_rr(&e->a, 1, 1, w, 0x7e, (int)a - 16, 0, (int)d);
    else if (to)
        mov_xmm(e, d, a);
    else
        mov_rr(&e->a, w, (int)d, (int)a);
    return true;
}

static bool emit_box(Emit *e, IrRef i, const IrOp *op)
{
    if (op->aux != IR_F32)
        return false;
    unsigned a = use_reg(e, op->a), d = def_reg(e, i);
    if (op->sub) {
        e->zeroed[i] = 1;
        if (e->zeroed[op->a])
            mov_xmm(e, d, a);
        else
            vex_pool(e, 0, 0x54, d, a, POOL_LOW); /* vandps */
        return true;
    }
    if (e->boxed[op->a])
        mov_xmm(e, d, a);
    else
        vex_pool(e, 0, 0x56, d, a, POOL_ABOVE); /* vorps */
    e->boxed[i] = 1;
    return true;
}

static void unboxed_cold(Emit *e, IrRef i, unsigned d)
{
    Cold *c = fp_jump_cold(e, COLD_NAN, CC_NE);
    c->op = i;
    c->type = IR_F32;
    c->wide = true;
    c->reg = (uint8_t)d;
    c->back = e->a.p;
    e->boxed[i] = 1;
}

static bool emit_unbox(Emit *e, IrRef i, const IrOp *op)
{
    unsigned slot = e->slot[op->a];
    if (op->type != IR_F32)
        return false;
    if (!op->sub && !e->boxed[op->a] && e->reg[op->a] == NO_REG && slot != NO_SLOT &&
        e->pin[slot] < 0) { /* in memory */
        unsigned d = def_reg(e, i);
        alu_mi(&e->a, false, ALU_CMP, RBP, slot_disp(e, slot) + 4, -1);
        vex_rm(&e->a, 1, 2, false, 0x7e, (int)d - 16, 0, RBP, slot_disp(e, slot)); /* vmovq */
        unboxed_cold(e, i, d);
        return true;
    }
    unsigned a = use_reg(e, op->a), t = temp_gpr(e), d = def_reg(e, i);
    if (op->sub) {
        mov_xmm(e, d, a);
        e->boxed[i] = e->boxed[op->a];
        return true;
    }
    if (!e->boxed[op->a]) {
        put_vex(&e->a, 3, 1, false, false, (int)a - 16, 0, (int)t, 0); /* vpextrd t, a, 1 */
        put8(&e->a, 0x16);
        put8(&e->a, 0xc0 | (a & 7) << 3 | (t & 7));
        put8(&e->a, 1);
        mov_xmm(e, d, a);
        alu_ri(&e->a, false, ALU_CMP, (int)t, -1);
        unboxed_cold(e, i, d);
    } else {
        mov_xmm(e, d, a);
    }
    e->boxed[i] = 1;
    return true;
}

/* Sign operations. */
static bool emit_sign(Emit *e, IrRef i, const IrOp *op)
{
    unsigned f32 = op->type == IR_F32, a = use_reg(e, op->a), d;
    e->normal[i] = e->normal[op->a];
    e->boxed[i] = f32 && e->boxed[op->a];
    e->zeroed[i] = e->zeroed[op->a] || (!f32 && op->code != IR_FNEG); /* the constants are zero above */
    if (op->code == IR_FCOPYSIGN) {
        unsigned b = use_reg(e, op->b), t = temp_xmm(e);
        vex_pool(e, 0, 0x54, t, b, POOL_SIGN + f32); /* vandps */
        d = def_reg(e, i);
        vex_pool(e, 0, 0x54, d, a, POOL_ABS + f32);
        vex_rr(&e->a, 1, 0, false, 0x56, (int)d - 16, (int)d - 16, (int)t - 16); /* vorps */
        return true;
    }
    d = def_reg(e, i);
    if (op->code == IR_FNEG)
        vex_pool(e, 0, 0x57, d, a, POOL_SIGN + f32); /* vxorps */
    else
        vex_pool(e, 0, 0x54, d, a, POOL_ABS + f32);
    return true;
}

/* By a mask and a blend: no branch to be guessed. */
static bool emit_fselect(Emit *e, IrRef i, const IrOp *op)
{
    unsigned cond = use_reg(e, op->a), yes = use_reg(e, op->b), no = use_reg(e, op->c);
    unsigned t = temp_gpr(e), mask = temp_xmm(e), d = def_reg(e, i);
    op_rr8(&e->a, false, 0x0fb6, (int)t, (int)cond); /* movzx */
    op_rr(&e->a, 0, true, 0xf7, 3, (int)t);          /* neg */
    vex_rr(&e->a, 1, 1, true, 0x6e, (int)mask - 16, 0, (int)t);
    vex_rr(&e->a, 3, 1, false, 0x4b, (int)d - 16, (int)no - 16, (int)yes - 16); /* vblendvpd */
    put8(&e->a, (mask - 16) << 4);
    e->boxed[i] = op->type == IR_F32 && e->boxed[op->b] && e->boxed[op->c];
    e->zeroed[i] = e->zeroed[op->b] && e->zeroed[op->c];
    return true;
}

static bool emit_value(Emit *e, IrRef i, const IrOp *op)
{
    switch (op->code) {
    case IR_FNEG:
    case IR_FABS:
    case IR_FCOPYSIGN: return emit_sign(e, i, op);
    case IR_FBOX: return emit_box(e, i, op);
    case IR_FUNBOX: return emit_unbox(e, i, op);
    case IR_ITOF: return emit_itof(e, i, op);
    case IR_SELECT: return emit_fselect(e, i, op);
    default: break;
    }
    if (left_to_c(e))
        return false;
    switch (op->code) {
    case IR_FADD: return emit_arith(e, i, op, 0x58);
    case IR_FSUB: return emit_arith(e, i, op, 0x5c);
    case IR_FMUL: return emit_arith(e, i, op, 0x59);
    case IR_FDIV: return emit_arith(e, i, op, 0x5e);
    case IR_FSQRT: return emit_sqrt(e, i, op);
    case IR_FMA: return emit_fma(e, i, op);
    case IR_FMIN:
    case IR_FMAX: return emit_minmax(e, i, op);
    case IR_FROUND: return emit_fround(e, i, op);
    case IR_FTOF: return emit_ftof(e, i, op);
    default: return false;
    }
}

bool emit_float(Emit *e, IrRef i, const IrOp *op)
{
    switch (op->code) {
    case IR_BITCAST: return emit_bitcast(e, i, op);
    case IR_FCMP: return is_float_type(op->aux) && !left_to_c(e) && emit_fcmp(e, i, op);
    case IR_FREL: return is_float_type(op->aux) && !left_to_c(e) && emit_frel(e, i, op);
    case IR_FSTICKY: return emit_sticky(e, i, op);
    case IR_FSTICKY_SET: return emit_sticky_set(e, op);
    case IR_FTOI: return is_float_type(op->aux) && !left_to_c(e) && emit_ftoi(e, i, op);
    default: return is_float_type(op->type) && emit_value(e, i, op);
    }
}
