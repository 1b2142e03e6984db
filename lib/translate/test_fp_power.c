/* SPDX-License-Identifier: MIT */
/*
 * What a Power front end needs of floating point: the first NaN of a, b, c in
 * the order in which the instruction names them, tininess before rounding, fnmadd
 * that negates what was rounded but no NaN, conversions whose NaN is the least
 * value, compares into a field of CR. Oracle: lib/softfloat with Power's rules.
 *
 * Not here, and not in the IR: the causes of invalid operations that FPSCR tells
 * apart (VXISI, VXIMZ and so on), FPSCR.FR and FI, and single-precision forms on
 * operands that are no singles.
 */
#include "translate/test_fp.h"

#define EMIT(name) static void emit_##name(IrBuilder *b, const Insn *i)
#define ORACLE(name) static void oracle_##name(State *s, const Insn *i)
#define FD s->regs.f[i->d]
#define FA s->regs.f[i->n]
#define FB s->regs.f[i->m]
#define C_REG (i->a & 7)
#define FC s->regs.f[C_REG]
#define SIGN (UINT64_C(1) << 63)

static void oracle_rules(const State *s, SfEnv *env)
{
    env->tiny_before = true;
    env->propagate = SF_PROPAGATE_FIRST;
}

static IrRef get(IrBuilder *b, unsigned n) { return ir_get(b, F0 + n); }
static void put(IrBuilder *b, unsigned n, IrRef v) { ir_put(b, F0 + n, v); }

/* e is the environment; its flags stick. */
#define WITH_ENV(statement) \
    SfEnv env = fp_env(s), *e = &env; \
    statement; \
    s->fp_flags |= env.flags & 31;

#define TWO(name, code, fn) \
    EMIT(name) { put(b, i->d, ir_fop2(b, code, get(b, i->n), get(b, i->m), IR_RDYN)); } \
    ORACLE(name) { WITH_ENV(FD = sf_f64_##fn(e, FA, FB)) }
TWO(fadd, IR_FADD, add)
TWO(fsub, IR_FSUB, sub)
TWO(fmul, IR_FMUL, mul)
TWO(fdiv, IR_FDIV, div)
EMIT(fsqrt) { put(b, i->d, ir_fop1(b, IR_FSQRT, get(b, i->m), IR_RDYN)); }
ORACLE(fsqrt) { WITH_ENV(FD = sf_f64_sqrt(e, FB)) }

/* fmadd fmsub fnmadd fnmsub: a * c +- b; bits 3-4 of a */
EMIT(fmadd)
{
    unsigned how = (i->a & 8 ? IR_FMA_NEGATE_ADDEND : 0) | (i->a & 16 ? IR_FMA_NEGATE_RESULT : 0);
    put(b, i->d, ir_fma_as(b, get(b, i->n), get(b, C_REG), get(b, i->m), how, IR_RDYN));
}
ORACLE(fmadd)
{
    WITH_ENV(uint64_t v = sf_f64_fma(e, FA, FC, FB, i->a & 8 ? SF_NEGATE_ADDEND : 0))
    FD = i->a & 16 && !sf_f64_is_nan(v) ? v ^ SIGN : v;
}

/* fctiw fctid and their unsigned forms (bit 1), toward zero (bit 2); bit 0: to 64 bits */
EMIT(fcti)
{
    unsigned how = i->a & 2 ? IR_TOINT_UNSIGNED : IR_TOINT_NAN_MIN;
    IrRef v = ir_ftoi(b, i->a & 1 ? IR_I64 : IR_I32, get(b, i->m), how,
                      i->a & 4 ? IR_RTZ : IR_RDYN);
    put(b, i->d, ir_bitcast(b, IR_F64, ir_zext(b, IR_I64, v)));
}
ORACLE(fcti)
{
    unsigned bits = i->a & 1 ? 64 : 32;
    SfRound round = i->a & 4 ? SF_RTZ : (SfRound)s->fp_round;
    SfToInt rule = SF_TOINT_SATURATE_NAN_MIN;
    WITH_ENV(uint64_t v = sf_f64_to_int(e, FB, round, bits, !(i->a & 2), rule))
    FD = v & bits_mask(bits);
}

/* fcfid fcfidu (bit 1), and to single (bit 0) */
EMIT(fcfid)
{
    IrRef v = ir_itof(b, i->a & 1 ? IR_F32 : IR_F64, ir_bitcast(b, IR_I64, get(b, i->m)), i->a & 2,
                      IR_RDYN);
    put(b, i->d, i->a & 1 ? ir_ftof(b, IR_F64, v, IR_RDYN) : v);
}
ORACLE(fcfid)
{
    uint64_t u = FB;
    int64_t v = (int64_t)u;
    if (i->a & 1) {
        WITH_ENV(SfF32 r = i->a & 2 ? sf_f32_from_u64(e, u) : sf_f32_from_i64(e, v))
        FD = sf_f32_to_f64(&env, r);
    } else {
        WITH_ENV(FD = i->a & 2 ? sf_f64_from_u64(e, u) : sf_f64_from_i64(e, v))
    }
}

EMIT(frsp) { put(b, i->d, ir_ftof(b, IR_F64, ir_ftof(b, IR_F32, get(b, i->m), IR_RDYN), IR_RDYN)); }
ORACLE(frsp) { WITH_ENV(FD = sf_f32_to_f64(e, sf_f64_to_f32(e, FB))) }

/* frin friz frip frim: bits 0-1 of a; nearest is away from zero */
EMIT(fri)
{
    static const uint8_t modes[] = {IR_RTZ, IR_RTZ, IR_RUP, IR_RDN};
    put(b, i->d, ir_fop1(b, IR_FROUND, get(b, i->m), modes[i->a & 3]));
}
ORACLE(fri)
{
    static const uint8_t modes[] = {SF_RTZ, SF_RTZ, SF_RUP, SF_RDN};
    WITH_ENV(FD = sf_f64_round_to_int(e, FB, (SfRound)modes[i->a & 3], false))
}
EMIT(frin) { put(b, i->d, ir_fop1(b, IR_FROUND, get(b, i->m), IR_RMM)); }
ORACLE(frin) { WITH_ENV(FD = sf_f64_round_to_int(e, FB, SF_RMM, false)) }

/* fcmpu, fcmpo with bit 4: LT GT EQ UN into the field of CR that bits 0-2 of a name */
EMIT(fcmp)
{
    IrRef v = ir_frel(b, IR_I32, get(b, i->n), get(b, i->m), i->a & 16, 8, 2, 4, 1);
    ir_put(b, COND, ir_deposit(b, ir_get(b, COND), v, 28 - 4 * (i->a & 7), 4));
}
ORACLE(fcmp)
{
    WITH_ENV(SfRelation rel = sf_f64_compare(e, FA, FB, i->a & 16))
    uint32_t v = rel == SF_LESS ? 8 : rel == SF_EQUAL ? 2 : rel == SF_GREATER ? 4 : 1;
    unsigned pos = 28 - 4 * (i->a & 7);
    s->regs.cond = (s->regs.cond & ~(UINT32_C(15) << pos)) | v << pos;
}

/* a >= 0 ? c : b, which no operand makes an exception */
EMIT(fsel)
{
    IrRef bits = ir_bitcast(b, IR_I64, get(b, i->n));
    IrRef plus = ir_cmp(b, IR_LEU, bits, ir_const(b, IR_I64, UINT64_C(0x7ff0000000000000)));
    IrRef yes = ir_binary(b, IR_OR, plus, ir_cmp(b, IR_EQ, bits, ir_const(b, IR_I64, SIGN)));
    put(b, i->d, ir_select(b, yes, get(b, C_REG), get(b, i->m)));
}
ORACLE(fsel)
{
    uint64_t a = FA;
    FD = a == SIGN || a <= UINT64_C(0x7ff0000000000000) ? FC : FB;
}

/* fneg fabs fnabs fcpsgn: bits 0-1 of a */
EMIT(fsign)
{
    IrRef x = get(b, i->m), v = ir_unary(b, IR_FABS, IR_F64, x);
    if (i->a & 1)
        v = ir_unary(b, IR_FNEG, IR_F64, i->a & 2 ? v : x);
    else if (i->a & 2)
        v = ir_binary(b, IR_FCOPYSIGN, x, get(b, i->n));
    put(b, i->d, v);
}
ORACLE(fsign)
{
    uint64_t x = FB;
    const uint64_t r[] = {x & ~SIGN, x ^ SIGN, (x & ~SIGN) | (FA & SIGN), x | SIGN};
    FD = r[i->a & 3];
}

/* singles in memory are doubles in registers: frsp and stfs, then lfs of another */
EMIT(stfs_lfs)
{
    IrRef base = ir_get(b, R0 + 15), v = ir_ftof(b, IR_F32, get(b, i->m), IR_RDYN);
    ir_store(b, IR_MEM_SIZE(2) | IR_MEM_BE, base, 16, v);
    v = ir_load(b, IR_F32, IR_MEM_SIZE(2) | IR_MEM_BE, base, 8);
    put(b, i->d, ir_ftof(b, IR_F64, v, IR_RDYN));
}
ORACLE(stfs_lfs)
{
    uint32_t v, w;
    memcpy(&v, state_at(s, s->regs.r[15] + 8), 4);
    WITH_ENV(w = __builtin_bswap32(sf_f64_to_f32(e, FB));
             FD = sf_f32_to_f64(e, __builtin_bswap32(v)))
    memcpy(state_at(s, s->regs.r[15] + 16), &w, 4);
}

#define OP(name, flags) {#name, emit_##name, oracle_##name, flags}
static const Op ops[] = {
    OP(fadd, 0), OP(fsub, 0), OP(fmul, 0), OP(fdiv, 0), OP(fsqrt, 0), OP(fmadd, 0), OP(fcti, 0),
    OP(fcfid, 0), OP(frsp, 0), OP(fri, 0), OP(frin, OP_IN_C), OP(fcmp, 0), OP(fsel, 0),
    OP(fsign, 0), OP(stfs_lfs, 0),
};

int main(int argc, char **argv)
{
    static const TranslateFp fp = {.tiny_before = true, .propagate = SF_PROPAGATE_FIRST};
    fp_rules = oracle_rules;
    fp_doubles = true;
    return fp_main(argc, argv, ops, G_N_ELEMENTS(ops), &fp, NULL);
}
