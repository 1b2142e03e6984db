/* SPDX-License-Identifier: MIT */
/*
 * Floating point that the IR has not: vectors, steps and estimates of reciprocals, fixed point, half
 * precision. lib/softfloat with the rules of FPCR.
 */
#include "guest/arm/half_priv.h"

SfEnv arm_sf_env(ArmCpu *cpu)
{
    static const uint8_t rounds[] = {SF_RNE, SF_RUP, SF_RDN, SF_RTZ};
    bool flush = cpu->fpcr & ARM_FPCR_FZ;
    return (SfEnv){.round = rounds[cpu->fpcr >> 22 & 3], .default_nan = cpu->fpcr & ARM_FPCR_DN, .tiny_before = true,
                   .propagate = SF_PROPAGATE_FIRST_SNAN, .flush_inputs = flush, .flush_outputs = flush};
}

void arm_sf_done(ArmCpu *cpu, const SfEnv *env)
{
    unsigned flags = env->flags & (env->flush_inputs ? 63 : 31);
    translate_fp_set_flags(&cpu->base, translate_fp_flags(&cpu->base) | flags);
}

/* What single and double differ in. */
typedef struct Format {
    unsigned fraction, exponent; /* bits of them */
} Format;
static const Format formats[] = {{23, 8}, {52, 11}};

static uint64_t sign_bit(const Format *f) { return UINT64_C(1) << (f->fraction + f->exponent); }
static uint64_t exponent_of(const Format *f, uint64_t x) { return x >> f->fraction & bits_mask(f->exponent); }
static bool is_infinity(const Format *f, uint64_t x)
{
    return (x & ~sign_bit(f)) == bits_mask(f->exponent) << f->fraction;
}

/* With subnormals that count as zeros. */
static bool is_zero(SfEnv *env, const Format *f, uint64_t x)
{
    bool flushed = env->flush_inputs && !exponent_of(f, x) && x & bits_mask(f->fraction);
    if (flushed)
        env->flags |= SF_INPUT_DENORMAL;
    return flushed || !(x & ~sign_bit(f));
}

static bool infinity_times_zero(SfEnv *env, const Format *f, uint64_t x, uint64_t y)
{
    SfEnv none = *env; /* a flag comes of it only when it is one */
    bool is = (is_infinity(f, x) && is_zero(&none, f, y)) || (is_infinity(f, y) && is_zero(&none, f, x));
    if (is)
        env->flags = none.flags;
    return is;
}

#define BOTH(call64, call32) (twice ? (uint64_t)(call64) : (uint64_t)(call32))

static uint64_t multiply_add(SfEnv *env, bool twice, uint64_t x, uint64_t y, uint64_t z)
{
    return BOTH(sf_f64_fma(env, x, y, z, 0), sf_f32_fma(env, (SfF32)x, (SfF32)y, (SfF32)z, 0));
}

static uint64_t constant(bool twice, uint64_t f64, uint32_t f32) { return twice ? f64 : f32; }
#define TWO constant(twice, UINT64_C(0x4000000000000000), 0x40000000)
#define ONE_AND_HALF constant(twice, UINT64_C(0x3ff8000000000000), 0x3fc00000)
#define THREE constant(twice, UINT64_C(0x4008000000000000), 0x40400000)
#define HALF constant(twice, UINT64_C(0x3fe0000000000000), 0x3f000000)

/* 2 - x * y */
static uint64_t recip_step(SfEnv *env, bool twice, uint64_t x, uint64_t y)
{
    const Format *f = &formats[twice];
    if (infinity_times_zero(env, f, x, y))
        return TWO;
    return multiply_add(env, twice, x ^ sign_bit(f), y, TWO);
}

/* (3 - x * y) / 2, which must not overflow on the way: the larger operand is halved if it can be */
static uint64_t rsqrt_step(SfEnv *env, bool twice, uint64_t x, uint64_t y)
{
    const Format *f = &formats[twice];
    uint64_t ex = exponent_of(f, x), ey = exponent_of(f, y), all = bits_mask(f->exponent);
    if (infinity_times_zero(env, f, x, y))
        return ONE_AND_HALF;
    x ^= sign_bit(f);
    if (ex > 1 && ex < all && ey < all)
        return multiply_add(env, twice, x - (UINT64_C(1) << f->fraction), y, ONE_AND_HALF);
    if (ey > 1 && ex < all && ey < all)
        return multiply_add(env, twice, x, y - (UINT64_C(1) << f->fraction), ONE_AND_HALF);
    x = multiply_add(env, twice, x, y, THREE);
    return BOTH(sf_f64_mul(env, x, HALF), sf_f32_mul(env, (SfF32)x, (SfF32)HALF));
}

/* ---- estimates --------------------------------------------------------------------- */

/* A NaN's result; false: it is none. */
static bool nan_result(SfEnv *env, bool twice, uint64_t x, uint64_t *out)
{
    if (!(twice ? sf_f64_is_nan(x) : sf_f32_is_nan((SfF32)x)))
        return false;
    *out = BOTH(sf_f64_add(env, x, x), sf_f32_add(env, (SfF32)x, (SfF32)x)); /* quieted, or the default */
    return true;
}

/* The fraction as one of 52 bits. */
static uint64_t long_fraction(const Format *f, uint64_t x)
{
    return (x & bits_mask(f->fraction)) << (52 - f->fraction);
}

static uint64_t recip_estimate(SfEnv *env, bool twice, uint64_t x)
{
    const Format *f = &formats[twice];
    uint64_t r, sign = x & sign_bit(f), fraction = long_fraction(f, x), top = UINT64_C(1) << 51;
    uint64_t infinity = bits_mask(f->exponent) << f->fraction;
    int exp = (int)exponent_of(f, x), out = (twice ? 2045 : 253) - exp;
    if (nan_result(env, twice, x, &r))
        return r;
    if (is_infinity(f, x))
        return sign;
    if (is_zero(env, f, x)) {
        env->flags |= SF_DIVZERO;
        return sign | infinity;
    }
    if (!exp && !(fraction >> 50)) { /* the result overflows */
        bool up = env->round == SF_RNE || env->round == (sign ? SF_RDN : SF_RUP);
        env->flags |= SF_OVERFLOW | SF_INEXACT;
        return sign | (infinity - !up);
    }
    if (env->flush_outputs && out <= 0) {
        env->flags |= SF_UNDERFLOW;
        return sign;
    }
    if (!exp) {
        unsigned by = fraction & top ? 1 : 2;
        out += (int)by - 1;
        fraction = fraction << by & bits_mask(52);
    }
    fraction = (uint64_t)(arm_recip_estimate(256 | (unsigned)(fraction >> 44)) & 255) << 44;
    if (out <= 0) {
        fraction = (fraction | UINT64_C(1) << 52) >> (1 - out);
        out = 0;
    }
    return sign | (uint64_t)out << f->fraction | fraction >> (52 - f->fraction);
}

static uint64_t rsqrt_estimate(SfEnv *env, bool twice, uint64_t x)
{
    const Format *f = &formats[twice];
    uint64_t r, sign = x & sign_bit(f), fraction = long_fraction(f, x);
    int exp = (int)exponent_of(f, x);
    if (nan_result(env, twice, x, &r))
        return r;
    if (is_zero(env, f, x)) {
        env->flags |= SF_DIVZERO;
        return sign | bits_mask(f->exponent) << f->fraction;
    }
    if (sign) {
        env->flags |= SF_INVALID;
        return BOTH(sf_f64_default_nan(env), sf_f32_default_nan(env));
    }
    if (is_infinity(f, x))
        return 0;
    if (!exp) {
        for (; !(fraction >> 51 & 1); exp--)
            fraction <<= 1;
        fraction = fraction << 1 & bits_mask(52);
    }
    unsigned scaled = exp & 1 ? 128 | (unsigned)(fraction >> 45) : 256 | (unsigned)(fraction >> 44);
    uint64_t out = (uint64_t)((twice ? 3068 : 380) - exp) / 2;
    return out << f->fraction | (uint64_t)(arm_rsqrt_estimate(scaled) & 255) << (f->fraction - 8);
}

static uint64_t recip_exponent(SfEnv *env, bool twice, uint64_t x)
{
    const Format *f = &formats[twice];
    uint64_t r, all = bits_mask(f->exponent), exp = exponent_of(f, x);
    if (nan_result(env, twice, x, &r))
        return r;
    is_zero(env, f, x); /* for its flag */
    return (x & sign_bit(f)) | (exp ? exp ^ all : all - 1) << f->fraction;
}

/* ---- lanes -------------------------------------------------------------------------- */

static uint64_t two(SfEnv *env, bool twice, FpOp op, uint64_t x, uint64_t y, uint64_t z)
{
    const Format *f = &formats[twice];
    uint64_t sign = sign_bit(f);
#define ARITH(name) BOTH(sf_f64_##name(env, x, y), sf_f32_##name(env, (SfF32)x, (SfF32)y))
#define PICK(name, kind) BOTH(sf_f64_##name(env, x, y, kind), sf_f32_##name(env, (SfF32)x, (SfF32)y, kind))
#define TRUE_IF(name, a, b, loud) \
    ((twice ? sf_f64_##name(env, a, b, loud) : sf_f32_##name(env, (SfF32)(a), (SfF32)(b), loud)) ? UINT64_MAX : 0)
    switch (op) {
    case FP_ADD: return ARITH(add);
    case FP_SUB: return ARITH(sub);
    case FP_MUL: return ARITH(mul);
    case FP_DIV: return ARITH(div);
    case FP_MULX:
        if (infinity_times_zero(env, f, x, y))
            return ((x ^ y) & sign) | TWO;
        return ARITH(mul);
    case FP_MAX: return PICK(max, SF_MINMAX_NAN);
    case FP_MIN: return PICK(min, SF_MINMAX_NAN);
    case FP_MAXNM: return PICK(max, SF_MINMAX_NUMBER_2008);
    case FP_MINNM: return PICK(min, SF_MINMAX_NUMBER_2008);
    case FP_ABD: return ARITH(sub) & ~sign;
    case FP_EQ: return TRUE_IF(eq, x, y, false);
    case FP_GE: return TRUE_IF(le, y, x, true);
    case FP_GT: return TRUE_IF(lt, y, x, true);
    case FP_LE: return TRUE_IF(le, x, y, true);
    case FP_LT: return TRUE_IF(lt, x, y, true);
    case FP_ACGE: return TRUE_IF(le, y & ~sign, x & ~sign, true);
    case FP_ACGT: return TRUE_IF(lt, y & ~sign, x & ~sign, true);
    case FP_RECPS: return recip_step(env, twice, x, y);
    case FP_RSQRTS: return rsqrt_step(env, twice, x, y);
    case FP_MLA: return multiply_add(env, twice, x, y, z);
    case FP_MLS: return multiply_add(env, twice, x ^ sign, y, z);
    default: return 0;
    }
}

static uint64_t one(SfEnv *env, uint32_t fpcr, const ArmLanes *l, uint64_t x)
{
    bool twice = l->nlog2 == 3, is_signed = !(l->flags & LANE_UNSIGNED_N);
    uint64_t sign = sign_bit(&formats[twice]);
    unsigned bits = 8u << l->nlog2;
    SfRound round = l->shift == IR_RDYN ? (SfRound)env->round : (SfRound)l->shift;
    switch ((FpOp)l->op) {
    case FP_ABS: return x & ~sign;
    case FP_NEG: return x ^ sign;
    case FP_SQRT: return BOTH(sf_f64_sqrt(env, x), sf_f32_sqrt(env, (SfF32)x));
    case FP_RINT: case FP_RINTX:
        return BOTH(sf_f64_round_to_int(env, x, round, l->op == FP_RINTX),
                    sf_f32_round_to_int(env, (SfF32)x, round, l->op == FP_RINTX));
    case FP_TO_INT:
        return BOTH(sf_f64_to_fixed(env, x, round, l->mstart, bits, is_signed, SF_TOINT_SATURATE_NAN_ZERO),
                    sf_f32_to_fixed(env, (SfF32)x, round, l->mstart, bits, is_signed, SF_TOINT_SATURATE_NAN_ZERO));
    case FP_FROM_INT:
        x = is_signed ? (uint64_t)bits_sext(x, bits) : x;
        return BOTH(sf_f64_from_fixed(env, x, is_signed, l->mstart), sf_f32_from_fixed(env, x, is_signed, l->mstart));
    case FP_RECPE: return recip_estimate(env, twice, x);
    case FP_RSQRTE: return rsqrt_estimate(env, twice, x);
    case FP_RECPX: return recip_exponent(env, twice, x);
    case FP_CONVERT_ODD: env->round = SF_RODD; return sf_f64_to_f32(env, x);
    case FP_CONVERT:
        if (l->nlog2 == 3)
            return sf_f64_to_f32(env, x);
        if (l->nlog2 == 1)
            return arm_half_convert(env, fpcr, 3, 0, x);
        return l->dlog2 == 3 ? sf_f32_to_f64(env, (SfF32)x) : arm_half_convert(env, fpcr, 0, 3, x);
    default: return 0;
    }
}

uint64_t arm_fp_two(SfEnv *env, bool twice, FpOp op, uint64_t x, uint64_t y, uint64_t z)
{
    return two(env, twice, op, x, y, z);
}

uint64_t arm_fp_one(SfEnv *env, uint32_t fpcr, const ArmLanes *l, uint64_t x)
{
    return one(env, fpcr, l, x);
}

HELPER(fp_lanes)
{
    ArmCpu *arm = cpu;
    ArmLanes l = arm_lanes_of(a, b);
    SfEnv env = arm_sf_env(arm);
    bool twice = l.nlog2 == 3;
    FpOp op = (FpOp)l.op;
    uint64_t results[16];
    if (l.flags & LANE_REDUCE) { /* neighbours first */
        for (unsigned i = 0; i < l.nlanes; i++)
            results[i] = arm_lane(arm, l.rn, l.nlog2, i);
        for (unsigned n = l.nlanes; n > 1; n /= 2)
            for (unsigned i = 0; i < n / 2; i++)
                results[i] = two(&env, twice, op, results[2 * i], results[2 * i + 1], 0);
    }
    for (unsigned i = 0; i < l.count && !(l.flags & LANE_REDUCE); i++) {
        uint64_t x = arm_lane(arm, l.rn, l.nlog2, l.nstart + i), y = 0;
        if (l.flags & LANE_PAIRS) {
            unsigned at = 2 * i, v = at < l.nlanes ? l.rn : l.rm;
            at -= at < l.nlanes ? 0 : l.nlanes;
            x = arm_lane(arm, v, l.nlog2, at);
            y = arm_lane(arm, v, l.nlog2, at + 1);
        } else if (op < FP_ABS && !(l.flags & LANE_M_ZERO)) {
            y = arm_lane(arm, l.rm, l.mlog2, l.element == LANE_EACH ? i : l.element);
        }
        results[i] = op < FP_ABS ? two(&env, twice, op, x, y, arm_lane(arm, l.rd, l.dlog2, i)) : one(&env, arm->fpcr, &l, x);
    }
    arm_lanes_put(arm, &l, results);
    arm_sf_done(arm, &env);
    return 0;
}

/* ---- scalars ---------------------------------------------------------------------------- */

HELPER(fcvt_fixed)
{
    SfEnv env = arm_sf_env(cpu);
    int scale = (int)(b & 255);
    unsigned bits = b & 512 ? 64 : 32;
    bool is_signed = !(b & 256);
    uint64_t r = b & 1024 ? sf_f64_to_fixed(&env, a, SF_RTZ, scale, bits, is_signed, SF_TOINT_SATURATE_NAN_ZERO)
                          : sf_f32_to_fixed(&env, (SfF32)a, SF_RTZ, scale, bits, is_signed, SF_TOINT_SATURATE_NAN_ZERO);
    arm_sf_done(cpu, &env);
    return r & bits_mask(bits);
}

HELPER(fixed_fcvt)
{
    SfEnv env = arm_sf_env(cpu);
    int scale = (int)(b & 255);
    bool is_signed = !(b & 256);
    if (!(b & 512))
        a = is_signed ? (uint64_t)(int64_t)(int32_t)a : (uint32_t)a;
    uint64_t r = b & 1024 ? sf_f64_from_fixed(&env, a, is_signed, scale) : sf_f32_from_fixed(&env, a, is_signed, scale);
    arm_sf_done(cpu, &env);
    return r;
}

HELPER(fcvt_half)
{
    SfEnv env = arm_sf_env(cpu);
    uint64_t r = arm_half_convert(&env, arm_of(cpu)->fpcr, b & 3, b >> 2 & 3, a);
    arm_sf_done(cpu, &env);
    return r;
}
