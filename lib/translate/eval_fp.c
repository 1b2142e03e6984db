/* SPDX-License-Identifier: MIT */
/*
 * Floating-point operations over lib/softfloat: for the interpreter, and for
 * compiled code where the host's arithmetic is not the guest's. Rounding and
 * sticky flags are the CPU's; NaN, tininess and flushing rules those of the
 * guest's current mode.
 */
#include <string.h>

#include "base/bits.h"
#include "softfloat/softfloat.h"
#include "translate/translate_priv.h"

_Static_assert((int)IR_RNE == SF_RNE && (int)IR_RTZ == SF_RTZ && (int)IR_RDN == SF_RDN &&
                   (int)IR_RUP == SF_RUP && (int)IR_RMM == SF_RMM,
               "rounding modes are numbered alike");
_Static_assert((int)IR_MINMAX_NUMBER == SF_MINMAX_NUMBER && (int)IR_MINMAX_X86 == SF_MINMAX_X86 &&
                   (int)IR_MINMAX_NAN == SF_MINMAX_NAN &&
                   (int)IR_MINMAX_NUMBER_2008 == SF_MINMAX_NUMBER_2008,
               "minimum rules are numbered alike");

static SfF16 get_f16(const IrValue *v) { return (SfF16)v->u; }
static SfF32 get_f32(const IrValue *v) { return (SfF32)v->u; }
static SfF64 get_f64(const IrValue *v) { return v->u; }
static SfF80 get_f80(const IrValue *v) { return (SfF80){v->w[0], (uint16_t)v->w[1]}; }
static SfF128 get_f128(const IrValue *v) { return (SfF128){v->w[0], v->w[1]}; }

static void clear(IrValue *r)
{
    memset(r, 0, sizeof *r);
}

static void set_f16(IrValue *r, SfF16 v) { clear(r); r->u = v; }
static void set_f32(IrValue *r, SfF32 v) { clear(r); r->u = v; }
static void set_f64(IrValue *r, SfF64 v) { clear(r); r->u = v; }
static void set_f80(IrValue *r, SfF80 v)
{
    clear(r);
    r->w[0] = v.mantissa;
    r->w[1] = v.sign_exponent;
}
static void set_f128(IrValue *r, SfF128 v) { clear(r); r->w[0] = v.lo; r->w[1] = v.hi; }

static SfToInt to_int_rule(const IrOp *op)
{
    static const struct { unsigned flag; SfToInt rule; } rules[] = {
        {IR_TOINT_X86, SF_TOINT_X86},
        {IR_TOINT_MODULO, SF_TOINT_MODULO},
        {IR_TOINT_NAN_MAX, SF_TOINT_SATURATE_NAN_MAX},
        {IR_TOINT_NAN_MIN, SF_TOINT_SATURATE_NAN_MIN},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rules); i++)
        if (op->imm & rules[i].flag)
            return rules[i].rule;
    return SF_TOINT_SATURATE_NAN_ZERO;
}

static bool compare(SfRelation rel, unsigned cond)
{
    switch (cond) {
    case IR_FEQ: return rel == SF_EQUAL;
    case IR_FLT: return rel == SF_LESS;
    case IR_FLE: return rel == SF_LESS || rel == SF_EQUAL;
    default: return rel == SF_UNORDERED;
    }
}

static uint64_t relation(SfRelation rel, int64_t results)
{
    unsigned n = rel == SF_LESS ? 0 : rel == SF_EQUAL ? 1 : rel == SF_GREATER ? 2 : 3;
    return (uint64_t)results >> (16 * n) & 0xffff;
}

/* The sign bit of a float of any type is its top bit. */
static void flip(IrValue *v, unsigned type)
{
    unsigned top = ir_type_bits(type) - 1;
    v->w[top / 64] ^= UINT64_C(1) << top % 64;
}

#define ARITH2(X, CODE, name)                                                                      \
    case CODE: set_##X(r, sf_##X##_##name(env, get_##X(a), get_##X(b))); return true;
#define MINMAX(X, CODE, name)                                                                      \
    case CODE:                                                                                     \
        set_##X(r, sf_##X##_##name(env, get_##X(a), get_##X(b), (SfMinMax)op->imm));               \
        return true;

/* Operations whose operands are all of one format X; the result too, or an integer. */
#define FORMAT(X)                                                                                  \
    static void fma_##X(SfEnv *env, const IrOp *op, IrValue *r, const IrValue *a,                  \
                        const IrValue *b, const IrValue *c)                                        \
    {                                                                                              \
        IrValue x = *a, z = *c;                                                                    \
        unsigned negate = op->imm & (IR_FMA_NEGATE_PRODUCT | IR_FMA_NEGATE_ADDEND);                \
        if (op->imm & IR_FMA_NEGATE_NAN) {                                                         \
            if (negate & IR_FMA_NEGATE_PRODUCT)                                                    \
                flip(&x, op->type);                                                                \
            if (negate & IR_FMA_NEGATE_ADDEND)                                                     \
                flip(&z, op->type);                                                                \
            negate = 0;                                                                            \
        }                                                                                          \
        set_##X(r, sf_##X##_fma(env, get_##X(&x), get_##X(b), get_##X(&z), negate));               \
        if (op->imm & IR_FMA_NEGATE_RESULT && !sf_##X##_is_nan(get_##X(r)))                        \
            flip(r, op->type);                                                                     \
    }                                                                                              \
    static bool eval_##X(SfEnv *env, const IrOp *op, unsigned round, IrValue *r, const IrValue *a, \
                         const IrValue *b, const IrValue *c)                                       \
    {                                                                                              \
        unsigned bits = ir_type_bits(op->type);                                                    \
        switch (op->code) {                                                                        \
            ARITH2(X, IR_FADD, add)                                                                \
            ARITH2(X, IR_FSUB, sub)                                                                \
            ARITH2(X, IR_FMUL, mul)                                                                \
            ARITH2(X, IR_FDIV, div)                                                                \
            MINMAX(X, IR_FMIN, min)                                                                \
            MINMAX(X, IR_FMAX, max)                                                                \
        case IR_FSQRT: set_##X(r, sf_##X##_sqrt(env, get_##X(a))); return true;                    \
        case IR_FMA: fma_##X(env, op, r, a, b, c); return true;                                    \
        case IR_FROUND:                                                                            \
            set_##X(r, sf_##X##_round_to_int(env, get_##X(a), (SfRound)round, op->imm & 1));       \
            return true;                                                                           \
        case IR_FCMP:                                                                              \
            clear(r);                                                                              \
            r->u = compare(sf_##X##_compare(env, get_##X(a), get_##X(b), op->imm & 1), op->sub);       \
            return true;                                                                           \
        case IR_FREL:                                                                              \
            clear(r);                                                                              \
            r->u = relation(sf_##X##_compare(env, get_##X(a), get_##X(b), op->sub), op->imm);      \
            return true;                                                                           \
        case IR_FTOI:                                                                              \
            clear(r);                                                                              \
            r->u = sf_##X##_to_int(env, get_##X(a), (SfRound)round, bits,                          \
                                   !(op->imm & IR_TOINT_UNSIGNED), to_int_rule(op));               \
            r->u &= bits_mask(bits);                                                               \
            return true;                                                                           \
        default: return false;                                                                     \
        }                                                                                          \
    }                                                                                              \
    static void from_int_##X(SfEnv *env, const IrOp *op, IrValue *r, const IrValue *a)             \
    {                                                                                              \
        unsigned bits = ir_type_bits(op->aux);                                                     \
        uint64_t v = a->u & bits_mask(bits);                                                       \
        if (op->imm & 1)                                                                           \
            set_##X(r, sf_##X##_from_u64(env, v));                                                 \
        else                                                                                       \
            set_##X(r, sf_##X##_from_i64(env, bits_sext(v, bits)));                                \
    }

FORMAT(f16)
FORMAT(f32)
FORMAT(f64)
FORMAT(f80)
FORMAT(f128)

#define TO(X, Y) case IR_##Y: set_##X(r, sf_##Y##_to_##X(env, get_##Y(a))); return true
#define CONVERT(X, T1, T2, T3, T4)                                                                 \
    static bool convert_##X(SfEnv *env, unsigned from, IrValue *r, const IrValue *a)               \
    {                                                                                              \
        switch (from) {                                                                            \
            T1; T2; T3; T4;                                                                        \
        default: return false;                                                                     \
        }                                                                                          \
    }
#define IR_f16 IR_F16
#define IR_f32 IR_F32
#define IR_f64 IR_F64
#define IR_f80 IR_F80
#define IR_f128 IR_F128
CONVERT(f16, TO(f16, f32), TO(f16, f64), TO(f16, f80), TO(f16, f128))
CONVERT(f32, TO(f32, f16), TO(f32, f64), TO(f32, f80), TO(f32, f128))
CONVERT(f64, TO(f64, f16), TO(f64, f32), TO(f64, f80), TO(f64, f128))
CONVERT(f80, TO(f80, f16), TO(f80, f32), TO(f80, f64), TO(f80, f128))
CONVERT(f128, TO(f128, f16), TO(f128, f32), TO(f128, f64), TO(f128, f80))

static bool eval_one(SfEnv *env, const IrOp *op, unsigned round, IrValue *r, const IrValue *a,
                     const IrValue *b, const IrValue *c);

/* The scalar operation that each lane is. */
static IrOp scalar_of(const IrOp *op, unsigned *round)
{
    static const struct { uint8_t vector, scalar; } codes[] = {
        {IR_VFADD, IR_FADD}, {IR_VFSUB, IR_FSUB}, {IR_VFMUL, IR_FMUL}, {IR_VFDIV, IR_FDIV},
        {IR_VFSQRT, IR_FSQRT}, {IR_VFMA, IR_FMA}, {IR_VFMIN, IR_FMIN}, {IR_VFMAX, IR_FMAX},
        {IR_VFCMP, IR_FCMP}, {IR_VFTOI, IR_FTOI}, {IR_VITOF, IR_ITOF}, {IR_VFROUND, IR_FROUND}};
    static const uint8_t floats[] = {IR_F16, IR_F16, IR_F32, IR_F64}, ints[] = {IR_I8, IR_I16, IR_I32, IR_I64};
    IrOp lane = {.type = floats[op->sub], .aux = floats[op->sub], .imm = op->imm};
    for (unsigned i = 0; i < G_N_ELEMENTS(codes); i++)
        if (codes[i].vector == op->code)
            lane.code = codes[i].scalar;
    if (op->code == IR_VFCMP) {
        lane.type = IR_I8;
        lane.sub = op->imm & 255;
        lane.imm = op->imm >> 8 & 1;
    } else if (op->code == IR_VFTOI || op->code == IR_VFROUND) {
        lane.imm = op->imm & 255;
        if (op->imm >> 8 != IR_RDYN)
            *round = (unsigned)(op->imm >> 8);
    }
    if (op->code == IR_VFTOI)
        lane.type = ints[op->sub];
    if (op->code == IR_VITOF)
        lane.aux = ints[op->sub];
    return lane;
}

static bool eval_lanes(SfEnv *env, const IrOp *op, unsigned round, IrValue *r, const IrValue *a,
                       const IrValue *b, const IrValue *c)
{
    unsigned size = 1u << op->sub;
    IrOp lane = scalar_of(op, &round);
    IrValue out;
    clear(&out);
    for (unsigned at = 0; at < ir_type_bits(op->type) / 8; at += size) {
        IrValue in[3], z;
        const IrValue *from[] = {a, b, c};
        for (unsigned i = 0; i < 3; i++) {
            clear(&in[i]);
            memcpy(in[i].bytes, from[i]->bytes + at, size);
        }
        if (!eval_one(env, &lane, round, &z, &in[0], &in[1], &in[2]))
            return false;
        if (op->code == IR_VFCMP)
            z.u = z.u & 1 ? UINT64_MAX : 0;
        memcpy(out.bytes + at, z.bytes, size);
    }
    *r = out;
    return true;
}

static bool eval_one(SfEnv *env, const IrOp *op, unsigned round, IrValue *r, const IrValue *a,
                     const IrValue *b, const IrValue *c)
{
    bool of_operands = op->code == IR_FCMP || op->code == IR_FREL || op->code == IR_FTOI;
    unsigned format = of_operands ? op->aux : op->type;
    if (op->code == IR_FTOF) {
        switch (op->type) {
        case IR_F16: return convert_f16(env, op->aux, r, a);
        case IR_F32: return convert_f32(env, op->aux, r, a);
        case IR_F64: return convert_f64(env, op->aux, r, a);
        case IR_F80: return convert_f80(env, op->aux, r, a);
        default: return convert_f128(env, op->aux, r, a);
        }
    }
    if (op->code == IR_ITOF) {
        switch (op->type) {
        case IR_F16: from_int_f16(env, op, r, a); return true;
        case IR_F32: from_int_f32(env, op, r, a); return true;
        case IR_F64: from_int_f64(env, op, r, a); return true;
        case IR_F80: from_int_f80(env, op, r, a); return true;
        default: from_int_f128(env, op, r, a); return true;
        }
    }
    switch (format) {
    case IR_F16: return eval_f16(env, op, round, r, a, b, c);
    case IR_F32: return eval_f32(env, op, round, r, a, b, c);
    case IR_F64: return eval_f64(env, op, round, r, a, b, c);
    case IR_F80: return eval_f80(env, op, round, r, a, b, c);
    case IR_F128: return eval_f128(env, op, round, r, a, b, c);
    default: return eval_lanes(env, op, round, r, a, b, c);
    }
}

/* TranslateFpFlags as IR_FSTICKY has them, and back. */
static unsigned sticky_order(unsigned flags, unsigned reverse)
{
    unsigned r = 0;
    for (unsigned i = 0; reverse && i < 5; i++)
        r |= (flags >> i & 1) << (4 - i);
    return reverse ? r : flags;
}

bool eval_fp(TranslateCpu *cpu, const IrOp *op, IrValue *r, const IrValue *a, const IrValue *b,
             const IrValue *c)
{
    if (op->code == IR_FSTICKY) {
        clear(r);
        r->u = sticky_order(translate_fp_flags(cpu), op->sub);
        return true;
    }
    if (op->code == IR_FSTICKY_SET) {
        unsigned keep = op->sub ? translate_fp_flags(cpu) & TRANSLATE_FP_DENORMAL : 0;
        translate_fp_set_flags(cpu, sticky_order((unsigned)a->u & 63, op->sub) | keep);
        return true;
    }
    const TranslateFp *rules = &cpu->fp;
    bool has_round = op->code != IR_FCMP && op->code != IR_FREL &&
                     !(op->code >= IR_VFADD && op->code <= IR_VFROUND);
    unsigned round = has_round && op->sub != IR_RDYN ? op->sub : cpu->round;
    IrValue x = *a, y = *b, z = *c; /* r may be one of them */
    SfEnv env = {
        .round = (uint8_t)round,
        .default_nan = rules->default_nan,
        .negative_default = rules->negative_default,
        .tiny_before = rules->tiny_before,
        .propagate = rules->propagate,
        .flush_inputs = rules->flush_inputs,
        .flush_outputs = rules->flush_outputs,
    };
    if (!eval_one(&env, op, round, r, &x, &y, &z))
        return false;
    if (op->code == IR_FCMP && op->imm & 2)
        return true;
    /* without flushing the flag means another thing, which only x86 wants */
    bool denormal = rules->denormal_flag ? !rules->flush_inputs : rules->flush_inputs;
    unsigned flags = translate_fp_flags(cpu) | (env.flags & (denormal ? 63 : 31));
    translate_fp_set_flags(cpu, flags);
    if (flags & TRANSLATE_FP_INEXACT && rules->inexact == TRANSLATE_INEXACT_CLEAR)
        translate_kick(cpu); /* there is a faster mode now */
    return true;
}
