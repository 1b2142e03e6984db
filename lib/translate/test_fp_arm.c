/* SPDX-License-Identifier: MIT */
/*
 * What an AArch64 front end needs of floating point: NaNs of the first signalling
 * operand, or the default one under FPCR.DN; tininess before rounding; FPCR.FZ
 * with its own sticky flag; NZCV from compares; conversions that saturate, in any
 * rounding; maxNum. Oracle: lib/softfloat with the rules of the Arm manual.
 *
 * Bit 0 of an instruction's a: double, else single.
 */
#include "translate/test_fp.h"

#define EMIT(name) static void emit_##name(IrBuilder *b, const Insn *i)
#define ORACLE(name) static void oracle_##name(State *s, const Insn *i)
#define DOUBLE ((i->a & 1) != 0)
#define W64 ((i->a & 2) != 0) /* of an integer */
enum { MODE_DN = 1, MODE_FZ = 2, MODE_INEXACT = 4 };
enum { C = IR_FLAG_C, Z = IR_FLAG_Z, N = IR_FLAG_S, V = IR_FLAG_O };

static void rules(uint64_t mode, TranslateFp *fp)
{
    fp->default_nan = mode & MODE_DN;
    fp->flush_inputs = fp->flush_outputs = mode & MODE_FZ;
    fp->inexact = mode & MODE_INEXACT ? TRANSLATE_INEXACT_SET : TRANSLATE_INEXACT_UNKNOWN;
}

static void oracle_rules(const State *s, SfEnv *env)
{
    env->tiny_before = true;
    env->propagate = SF_PROPAGATE_FIRST_SNAN;
    env->default_nan = s->regs.order & MODE_DN;
    env->flush_inputs = env->flush_outputs = s->regs.order & MODE_FZ;
}

static bool flushes(unsigned mode) { return (mode & (MODE_FZ | MODE_INEXACT)) == MODE_FZ; }

static IrRef get(IrBuilder *b, const Insn *i, unsigned n)
{
    return DOUBLE ? ir_get(b, F0 + n) : ir_flow(b, IR_F32, ir_get(b, F0 + n));
}

static void put(IrBuilder *b, const Insn *i, unsigned n, IrRef v)
{
    ir_put(b, F0 + n, DOUBLE ? v : ir_fzext(b, v));
}

/* IDC is set only by FZ */
static void done(State *s, const SfEnv *env)
{
    s->fp_flags |= env->flags & (env->flush_inputs ? 63 : 31);
}

#define FN64(n) s->regs.f[n]
#define FN32(n) (SfF32)s->regs.f[n]
/* f[d] = the one or the other, of e */
#define BY_WIDTH(value64, value32) \
    SfEnv env = fp_env(s), *e = &env; \
    s->regs.f[i->d] = DOUBLE ? (value64) : (uint64_t)(value32); \
    done(s, e);

#define TWO(name, code, fn) \
    EMIT(name) { put(b, i, i->d, ir_fop2(b, code, get(b, i, i->n), get(b, i, i->m), IR_RDYN)); } \
    ORACLE(name) \
    { \
        BY_WIDTH(sf_f64_##fn(e, FN64(i->n), FN64(i->m)), sf_f32_##fn(e, FN32(i->n), FN32(i->m))) \
    }
TWO(fadd, IR_FADD, add)
TWO(fsub, IR_FSUB, sub)
TWO(fmul, IR_FMUL, mul)
TWO(fdiv, IR_FDIV, div)

/* -(n * m): the sign of a NaN turns too */
#define SIGN64 UINT64_C(0x8000000000000000)
#define SIGN32 UINT32_C(0x80000000)
EMIT(fnmul)
{
    IrRef v = ir_fop2(b, IR_FMUL, get(b, i, i->n), get(b, i, i->m), IR_RDYN);
    put(b, i, i->d, ir_unary(b, IR_FNEG, DOUBLE ? IR_F64 : IR_F32, v));
}
ORACLE(fnmul)
{
    BY_WIDTH(sf_f64_mul(e, FN64(i->n), FN64(i->m)) ^ SIGN64,
             sf_f32_mul(e, FN32(i->n), FN32(i->m)) ^ SIGN32)
}

EMIT(fsqrt) { put(b, i, i->d, ir_fop1(b, IR_FSQRT, get(b, i, i->n), IR_RDYN)); }
ORACLE(fsqrt) { BY_WIDTH(sf_f64_sqrt(e, FN64(i->n)), sf_f32_sqrt(e, FN32(i->n))) }

/* fmadd fmsub fnmadd fnmsub: a bits 2-3; the addend is register a >> 4 */
#define ADDEND (i->a >> 4 & 7)
EMIT(fmadd)
{
    static const uint8_t negate[] = {0, IR_FMA_NEGATE_PRODUCT,
                                     IR_FMA_NEGATE_PRODUCT | IR_FMA_NEGATE_ADDEND,
                                     IR_FMA_NEGATE_ADDEND};
    unsigned how = negate[i->a >> 2 & 3] | IR_FMA_NEGATE_NAN;
    put(b, i, i->d,
        ir_fma_as(b, get(b, i, i->n), get(b, i, i->m), get(b, i, ADDEND), how, IR_RDYN));
}
ORACLE(fmadd)
{
    unsigned k = i->a >> 2 & 3;
    bool np = k == 1 || k == 2, na = k >= 2;
    BY_WIDTH(sf_f64_fma(e, FN64(i->n) ^ (np ? SIGN64 : 0), FN64(i->m),
                        FN64(ADDEND) ^ (na ? SIGN64 : 0), 0),
             sf_f32_fma(e, FN32(i->n) ^ (np ? SIGN32 : 0), FN32(i->m),
                        FN32(ADDEND) ^ (na ? SIGN32 : 0), 0))
}

/* fmin fmax fminnm fmaxnm: a bits 2-3 */
#define KIND (i->a & 8 ? IR_MINMAX_NUMBER_2008 : IR_MINMAX_NAN)
EMIT(fmin)
{
    put(b, i, i->d,
        ir_fminmax(b, i->a & 4 ? IR_FMAX : IR_FMIN, get(b, i, i->n), get(b, i, i->m), KIND));
}
ORACLE(fmin)
{
    SfMinMax k = i->a & 8 ? SF_MINMAX_NUMBER_2008 : SF_MINMAX_NAN;
    if (i->a & 4) {
        BY_WIDTH(sf_f64_max(e, FN64(i->n), FN64(i->m), k), sf_f32_max(e, FN32(i->n), FN32(i->m), k))
    } else {
        BY_WIDTH(sf_f64_min(e, FN64(i->n), FN64(i->m), k), sf_f32_min(e, FN32(i->n), FN32(i->m), k))
    }
}

/* compares: a bit 2: signalling; bit 3: with zero */
static IrRef compare(IrBuilder *b, const Insn *i)
{
    IrRef zero = ir_const(b, DOUBLE ? IR_F64 : IR_F32, 0);
    return ir_frel(b, IR_FLAGS, get(b, i, i->n), i->a & 8 ? zero : get(b, i, i->m), i->a & 4, N,
                   Z | C, C, C | V);
}
static uint32_t compared(State *s, const Insn *i)
{
    SfEnv env = fp_env(s);
    SfRelation rel = DOUBLE ? sf_f64_compare(&env, FN64(i->n), i->a & 8 ? 0 : FN64(i->m), i->a & 4)
                            : sf_f32_compare(&env, FN32(i->n), i->a & 8 ? 0 : FN32(i->m), i->a & 4);
    done(s, &env);
    return rel == SF_LESS ? N : rel == SF_EQUAL ? Z | C : rel == SF_GREATER ? C : C | V;
}
EMIT(fcmp) { ir_put(b, FLAGS, compare(b, i)); }
ORACLE(fcmp) { s->regs.flags = compared(s, i); }

/* conditions MI (less) and VC (ordered) are enough here: a bit 4 */
static IrRef condition(IrBuilder *b, const Insn *i)
{
    return ir_op(b, (IrOp){.code = IR_FLAGS_TEST,
                           .type = IR_I8,
                           .sub = i->a & 16 ? IR_F_S : IR_F_NO,
                           .a = ir_get(b, FLAGS)});
}
static bool holds(const State *s, const Insn *i)
{
    return i->a & 16 ? s->regs.flags & N : !(s->regs.flags & V);
}
/* no sticky flag may come of a compare that the condition forbids */
EMIT(fccmp)
{
    unsigned yes = ir_label_new(b), end = ir_label_new(b);
    ir_brcond(b, condition(b, i), yes);
    ir_put(b, FLAGS,
           ir_unary(b, IR_FLAGS_PACK, IR_FLAGS, ir_const(b, IR_I32, i->imm[0] & 15 ? Z : V)));
    ir_br(b, end);
    ir_label(b, yes);
    ir_put(b, FLAGS, compare(b, i));
    ir_label(b, end);
}
ORACLE(fccmp) { s->regs.flags = holds(s, i) ? compared(s, i) : i->imm[0] & 15 ? Z : V; }
EMIT(fcsel) { put(b, i, i->d, ir_select(b, condition(b, i), get(b, i, i->n), get(b, i, i->m))); }
ORACLE(fcsel)
{
    uint64_t v = s->regs.f[holds(s, i) ? i->n : i->m];
    s->regs.f[i->d] = DOUBLE ? v : (uint32_t)v;
}

/* conversions to integers; a: bit 2 unsigned, bits 3-5 rounding N P M Z */
static const uint8_t roundings[] = {IR_RNE, IR_RUP, IR_RDN, IR_RTZ};
#define ROUNDING roundings[i->a >> 3 & 3]
static void emit_to_int(IrBuilder *b, const Insn *i, unsigned round)
{
    IrRef v = ir_ftoi(b, W64 ? IR_I64 : IR_I32, get(b, i, i->n), i->a & 4 ? IR_TOINT_UNSIGNED : 0,
                      round);
    ir_put(b, R0 + i->d, ir_zext(b, IR_I64, v));
}
static void oracle_to_int(State *s, const Insn *i, SfRound round)
{
    unsigned bits = W64 ? 64 : 32;
    SfEnv env = fp_env(s);
    SfToInt rule = SF_TOINT_SATURATE_NAN_ZERO;
    uint64_t v = DOUBLE ? sf_f64_to_int(&env, FN64(i->n), round, bits, !(i->a & 4), rule)
                        : sf_f32_to_int(&env, FN32(i->n), round, bits, !(i->a & 4), rule);
    s->regs.r[i->d] = v & bits_mask(bits);
    done(s, &env);
}
EMIT(fcvt_int) { emit_to_int(b, i, ROUNDING); }
ORACLE(fcvt_int) { oracle_to_int(s, i, (SfRound)ROUNDING); }
EMIT(fcvta) { emit_to_int(b, i, IR_RMM); }
ORACLE(fcvta) { oracle_to_int(s, i, SF_RMM); }
EMIT(fjcvtzs)
{
    IrRef v = ir_ftoi(b, IR_I32, ir_get(b, F0 + i->n), IR_TOINT_MODULO, IR_RTZ);
    ir_put(b, R0 + i->d, ir_zext(b, IR_I64, v));
}
ORACLE(fjcvtzs)
{
    SfEnv env = fp_env(s);
    s->regs.r[i->d] = (uint32_t)sf_f64_to_int(&env, FN64(i->n), SF_RTZ, 32, true, SF_TOINT_MODULO);
    done(s, &env);
}

/* scvtf ucvtf: a bit 2: unsigned */
EMIT(scvtf)
{
    IrRef v = ir_trunc(b, W64 ? IR_I64 : IR_I32, ir_get(b, R0 + i->n));
    put(b, i, i->d, ir_itof(b, DOUBLE ? IR_F64 : IR_F32, v, i->a & 4, IR_RDYN));
}
ORACLE(scvtf)
{
    uint64_t u = s->regs.r[i->n] & (W64 ? UINT64_MAX : UINT32_MAX);
    int64_t v = W64 ? (int64_t)u : (int32_t)u;
    BY_WIDTH(i->a & 4 ? sf_f64_from_u64(e, u) : sf_f64_from_i64(e, v),
             i->a & 4 ? sf_f32_from_u64(e, u) : sf_f32_from_i64(e, v))
}

/* frintn p m z, and i or x when a bit 5 is set; bit 2: inexact */
EMIT(frint)
{
    unsigned round = i->a & 32 ? IR_RDYN : ROUNDING;
    IrRef v = ir_op(b, (IrOp){.code = IR_FROUND,
                              .type = DOUBLE ? IR_F64 : IR_F32,
                              .sub = (uint8_t)round,
                              .imm = i->a >> 2 & 1,
                              .a = get(b, i, i->n)});
    put(b, i, i->d, v);
}
ORACLE(frint)
{
    SfRound round = i->a & 32 ? (SfRound)s->fp_round : (SfRound)ROUNDING;
    BY_WIDTH(sf_f64_round_to_int(e, FN64(i->n), round, i->a & 4),
             sf_f32_round_to_int(e, FN32(i->n), round, i->a & 4))
}
EMIT(frinta) { put(b, i, i->d, ir_fop1(b, IR_FROUND, get(b, i, i->n), IR_RMM)); }
ORACLE(frinta)
{
    BY_WIDTH(sf_f64_round_to_int(e, FN64(i->n), SF_RMM, false),
             sf_f32_round_to_int(e, FN32(i->n), SF_RMM, false))
}

EMIT(fabs) { put(b, i, i->d, ir_unary(b, IR_FABS, DOUBLE ? IR_F64 : IR_F32, get(b, i, i->n))); }
ORACLE(fabs) { s->regs.f[i->d] = DOUBLE ? FN64(i->n) & ~SIGN64 : FN32(i->n) & ~SIGN32; }
EMIT(fneg) { put(b, i, i->d, ir_unary(b, IR_FNEG, DOUBLE ? IR_F64 : IR_F32, get(b, i, i->n))); }
ORACLE(fneg) { s->regs.f[i->d] = DOUBLE ? FN64(i->n) ^ SIGN64 : FN32(i->n) ^ SIGN32; }

/* fcvt: from double when bit 0 is set, else to double */
EMIT(fcvt)
{
    IrRef v = ir_ftof(b, DOUBLE ? IR_F32 : IR_F64, get(b, i, i->n), IR_RDYN);
    ir_put(b, F0 + i->d, DOUBLE ? ir_fzext(b, v) : v);
}
ORACLE(fcvt) { BY_WIDTH((uint64_t)sf_f64_to_f32(e, FN64(i->n)), sf_f32_to_f64(e, FN32(i->n))) }
/* to an integer register and from one */
EMIT(fmov)
{
    IrRef v = ir_bitcast(b, DOUBLE ? IR_I64 : IR_I32, get(b, i, i->n));
    ir_put(b, R0 + i->d, ir_zext(b, IR_I64, v));
    v = ir_trunc(b, DOUBLE ? IR_I64 : IR_I32, ir_get(b, R0 + i->m));
    put(b, i, i->d, ir_bitcast(b, DOUBLE ? IR_F64 : IR_F32, v));
}
ORACLE(fmov)
{
    uint64_t in = DOUBLE ? FN64(i->n) : FN32(i->n);
    uint64_t m = i->d == i->m ? in : s->regs.r[i->m];
    s->regs.r[i->d] = in;
    s->regs.f[i->d] = DOUBLE ? m : (uint32_t)m;
}

#define OP(name, flags) {#name, emit_##name, oracle_##name, flags}
static const Op ops[] = {
    OP(fadd, 0), OP(fsub, 0), OP(fmul, 0), OP(fdiv, 0), OP(fnmul, 0), OP(fsqrt, 0), OP(fmadd, 0),
    OP(fmin, 0), OP(fcmp, 0), OP(fccmp, 0), OP(fcsel, 0), OP(fcvt_int, 0), OP(fcvta, OP_IN_C),
    OP(fjcvtzs, 0), OP(scvtf, 0), OP(frint, 0), OP(frinta, OP_IN_C), OP(fabs, 0), OP(fneg, 0),
    OP(fcvt, 0), OP(fmov, 0),
};

int main(int argc, char **argv)
{
    static const TranslateFp fp = {.tiny_before = true, .propagate = SF_PROPAGATE_FIRST_SNAN};
    fp_modes = 8;
    fp_mode_inexact = MODE_INEXACT;
    fp_rules = oracle_rules;
    fp_mode_in_c = flushes;
    test_flags_mask = N | Z | C | V;
    return fp_main(argc, argv, ops, G_N_ELEMENTS(ops), &fp, rules);
}
