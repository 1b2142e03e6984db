/* SPDX-License-Identifier: MIT */
/*
 * FEAT_FP16: arithmetic of half precision, by lib/softfloat with the rules of FPCR. FPCR.FZ16, not FZ,
 * flushes halves, and sets UFC for a result but never IDC. Also conversions with the alternative
 * format of FPCR.AHP, which has neither infinities nor NaNs.
 */
#include "guest/arm/half_priv.h"

#define SIGN 0x8000u
#define INFINITY_BITS 0x7c00u
#define TWO 0x4000
#define ONE_AND_HALF 0x3e00
#define THREE 0x4200
#define HALF 0x3800

SfEnv arm_half_env(ArmCpu *cpu)
{
    SfEnv env = arm_sf_env(cpu);
    env.flush_inputs = env.flush_outputs = cpu->fpcr & ARM_FPCR_FZ16;
    return env;
}

void arm_half_done(ArmCpu *cpu, const SfEnv *env)
{
    translate_fp_set_flags(&cpu->base, translate_fp_flags(&cpu->base) | (env->flags & 31u));
}

static unsigned exponent_of(SfF16 x) { return x >> 10 & 31; }

static bool is_zero(const SfEnv *env, SfF16 x)
{
    return !(x & ~SIGN) || (env->flush_inputs && !exponent_of(x));
}

static bool infinity_times_zero(const SfEnv *env, SfF16 x, SfF16 y)
{
    return ((x & ~SIGN) == INFINITY_BITS && is_zero(env, y)) || ((y & ~SIGN) == INFINITY_BITS && is_zero(env, x));
}

/* 2 - x * y */
static SfF16 recip_step(SfEnv *env, SfF16 x, SfF16 y)
{
    if (infinity_times_zero(env, x, y))
        return TWO;
    return sf_f16_fma(env, x ^ SIGN, y, TWO, 0);
}

/* (3 - x * y) / 2, without overflow on the way: one operand is halved if that is exact */
static SfF16 rsqrt_step(SfEnv *env, SfF16 x, SfF16 y)
{
    unsigned ex = exponent_of(x), ey = exponent_of(y);
    if (infinity_times_zero(env, x, y))
        return ONE_AND_HALF;
    x ^= SIGN;
    if (ex > 1 && ex < 31 && ey < 31)
        return sf_f16_fma(env, (SfF16)(x - 0x400), y, ONE_AND_HALF, 0);
    if (ey > 1 && ex < 31 && ey < 31)
        return sf_f16_fma(env, x, (SfF16)(y - 0x400), ONE_AND_HALF, 0);
    return sf_f16_mul(env, sf_f16_fma(env, x, y, THREE, 0), HALF);
}

static SfF16 mask_of(bool is) { return is ? 0xffff : 0; }

SfF16 arm_half_two(SfEnv *env, FpOp op, SfF16 x, SfF16 y, SfF16 z)
{
    const SfF16 ax = x & (SIGN - 1), ay = y & (SIGN - 1);
    SfF16 r;
    if (arm_half_fast(env, op, x, y, z, &r))
        return r;
    switch (op) {
    case FP_ADD: return sf_f16_add(env, x, y);
    case FP_SUB: return sf_f16_sub(env, x, y);
    case FP_MUL: return sf_f16_mul(env, x, y);
    case FP_DIV: return sf_f16_div(env, x, y);
    case FP_MULX:
        if (infinity_times_zero(env, x, y))
            return ((x ^ y) & SIGN) | TWO;
        return sf_f16_mul(env, x, y);
    case FP_MAX: return sf_f16_max(env, x, y, SF_MINMAX_NAN);
    case FP_MIN: return sf_f16_min(env, x, y, SF_MINMAX_NAN);
    case FP_MAXNM: return sf_f16_max(env, x, y, SF_MINMAX_NUMBER_2008);
    case FP_MINNM: return sf_f16_min(env, x, y, SF_MINMAX_NUMBER_2008);
    case FP_ABD: return sf_f16_sub(env, x, y) & (SIGN - 1);
    case FP_EQ: return mask_of(sf_f16_eq(env, x, y, false));
    case FP_GE: return mask_of(sf_f16_le(env, y, x, true));
    case FP_GT: return mask_of(sf_f16_lt(env, y, x, true));
    case FP_LE: return mask_of(sf_f16_le(env, x, y, true));
    case FP_LT: return mask_of(sf_f16_lt(env, x, y, true));
    case FP_ACGE: return mask_of(sf_f16_le(env, ay, ax, true));
    case FP_ACGT: return mask_of(sf_f16_lt(env, ay, ax, true));
    case FP_RECPS: return recip_step(env, x, y);
    case FP_RSQRTS: return rsqrt_step(env, x, y);
    case FP_MLA: return sf_f16_fma(env, x, y, z, 0);
    case FP_MLS: return sf_f16_fma(env, x ^ SIGN, y, z, 0);
    default: return 0;
    }
}

/* ---- estimates --------------------------------------------------------------------------- */

static SfF16 recip_estimate(SfEnv *env, SfF16 x)
{
    unsigned sign = x & SIGN, fraction = x & 0x3ff, e = exponent_of(x);
    int out = 29 - (int)e;
    if (is_zero(env, x)) {
        env->flags |= SF_DIVZERO;
        return (SfF16)(sign | INFINITY_BITS);
    }
    if ((x & ~SIGN) == INFINITY_BITS)
        return (SfF16)sign;
    if (!e && !(fraction >> 8)) { /* the result overflows */
        bool up = env->round == SF_RNE || env->round == (sign ? SF_RDN : SF_RUP);
        env->flags |= SF_OVERFLOW | SF_INEXACT;
        return (SfF16)(sign | (INFINITY_BITS - !up));
    }
    if (env->flush_outputs && out <= 0) {
        env->flags |= SF_UNDERFLOW;
        return (SfF16)sign;
    }
    if (!e) {
        unsigned by = fraction & 0x200 ? 1 : 2;
        out += (int)by - 1;
        fraction = fraction << by & 0x3ff;
    }
    fraction = (arm_recip_estimate(256 | fraction >> 2) & 255) << 2;
    if (out <= 0) {
        fraction = (fraction | 0x400) >> (1 - out);
        out = 0;
    }
    return (SfF16)(sign | (unsigned)out << 10 | fraction);
}

static SfF16 rsqrt_estimate(SfEnv *env, SfF16 x)
{
    unsigned fraction = x & 0x3ff;
    int e = (int)exponent_of(x);
    if (is_zero(env, x)) {
        env->flags |= SF_DIVZERO;
        return (x & SIGN) | INFINITY_BITS;
    }
    if (x & SIGN) {
        env->flags |= SF_INVALID;
        return sf_f16_default_nan(env);
    }
    if (x == INFINITY_BITS)
        return 0;
    if (!e) {
        for (; !(fraction & 0x200); e--)
            fraction <<= 1;
        fraction = fraction << 1 & 0x3ff;
    }
    unsigned scaled = e & 1 ? 128 | fraction >> 3 : 256 | fraction >> 2;
    return (SfF16)((unsigned)((44 - e) / 2) << 10 | (arm_rsqrt_estimate(scaled) & 255) << 2);
}

uint64_t arm_half_one(SfEnv *env, FpOp op, SfF16 x, unsigned round, int scale, bool is_unsigned)
{
    SfRound r = round == IR_RDYN ? (SfRound)env->round : (SfRound)round;
    SfF16 root;
    bool estimate = op == FP_RECPE || op == FP_RSQRTE || op == FP_RECPX;
    if (estimate && sf_f16_is_nan(x))
        return sf_f16_add(env, x, x); /* quieted, or the default */
    switch (op) {
    case FP_ABS: return x & (SIGN - 1);
    case FP_NEG: return x ^ SIGN;
    case FP_SQRT: return arm_half_sqrt(env, x, &root) ? root : sf_f16_sqrt(env, x);
    case FP_RINT: case FP_RINTX: return sf_f16_round_to_int(env, x, r, op == FP_RINTX);
    case FP_TO_INT: return sf_f16_to_fixed(env, x, r, scale, 16, !is_unsigned, SF_TOINT_SATURATE_NAN_ZERO);
    case FP_FROM_INT:
        return sf_f16_from_fixed(env, is_unsigned ? x : (uint64_t)(int16_t)x, !is_unsigned, scale);
    case FP_RECPE: return recip_estimate(env, x);
    case FP_RSQRTE: return rsqrt_estimate(env, x);
    case FP_RECPX: return (x & SIGN) | (exponent_of(x) ? (exponent_of(x) ^ 31) << 10 : 30u << 10);
    default: return 0;
    }
}

/* ---- conversions --------------------------------------------------------------------------- */

static uint64_t to_wide(SfEnv *env, unsigned to, SfF16 x)
{
    return to == 1 ? sf_f16_to_f64(env, x) : sf_f16_to_f32(env, x);
}

/* The alternative format: the greatest exponent is one like others, what is too large the greatest. */
static SfF16 to_alternative(SfEnv *env, unsigned from, uint64_t x)
{
    unsigned sign = (unsigned)(from == 1 ? x >> 63 : x >> 31 & 1) << 15;
    unsigned fraction = from == 1 ? 52 : 23, bias = from == 1 ? 1023 : 127;
    unsigned e = (unsigned)(x >> fraction & (2 * bias + 1));
    uint8_t flags = env->flags;
    if (e == 2 * bias + 1) {
        env->flags |= SF_INVALID;
        return (SfF16)(x & bits_mask(fraction) ? sign : sign | 0x7fff);
    }
    bool large = e >= bias + 15; /* a quarter is rounded in its stead */
    x -= large ? UINT64_C(2) << fraction : 0;
    SfF16 r = from == 1 ? sf_f64_to_f16(env, x) : sf_f32_to_f16(env, (SfF32)x);
    if (!large)
        return r;
    if (exponent_of(r) >= 30) {
        env->flags = flags | SF_INVALID;
        return (SfF16)(sign | 0x7fff);
    }
    return (SfF16)(r + (2u << 10));
}

uint64_t arm_half_convert(SfEnv *env, uint32_t fpcr, unsigned from, unsigned to, uint64_t x)
{
    bool alternative = fpcr & ARM_FPCR_AHP;
    SfEnv e = *env;
    uint64_t r;
    e.flags = 0;
    e.flush_outputs = false;
    if (from == 3) {
        e.flush_inputs = false;
        if (alternative && exponent_of((SfF16)x) == 31) /* twice what it is as 30 */
            r = to_wide(&e, to, (SfF16)(x - 0x400)) + (UINT64_C(1) << (to == 1 ? 52 : 23));
        else
            r = to_wide(&e, to, (SfF16)x);
        e.flags &= 31;
    } else if (alternative) {
        r = to_alternative(&e, from, x);
    } else {
        r = from == 1 ? sf_f64_to_f16(&e, x) : sf_f32_to_f16(&e, (SfF32)x);
    }
    env->flags |= e.flags;
    return r;
}

SfF32 arm_half_widen(const SfEnv *env, SfF16 x)
{
    SfEnv none = *env;
    uint32_t sign = (uint32_t)(x & SIGN) << 16;
    if (env->flush_inputs && !exponent_of(x))
        return sign;
    if (exponent_of(x) == 31)
        return sign | 0x7f800000 | (uint32_t)(x & 0x3ff) << 13;
    return sf_f16_to_f32(&none, x);
}

/* Whole vectors, if they are plain. */
static bool many(ArmCpu *cpu, const ArmLanes *l, SfEnv *env)
{
    static const SfF16 none[8];
    SfF16 x[8], y[8], z[8], r[8] = {0};
    bool adds = l->op == FP_MLA || l->op == FP_MLS;
    if (l->flags || l->op >= FP_ABS || l->count < 4)
        return false;
    memcpy(x, cpu->v[l->rn], sizeof x);
    memcpy(y, cpu->v[l->rm], sizeof y);
    memcpy(z, cpu->v[l->rd], sizeof z);
    for (unsigned i = 0; i < l->count && l->element != LANE_EACH; i++)
        y[i] = (SfF16)arm_lane(cpu, l->rm, 1, l->element);
    if (!arm_half_many(env, (FpOp)l->op, l->count, x, y, adds ? z : none, r))
        return false;
    memcpy(cpu->v[l->rd], r, sizeof r);
    return true;
}

/* ---- helpers --------------------------------------------------------------------------------- */

HELPER(half_lanes)
{
    ArmCpu *arm = cpu;
    ArmLanes l = arm_lanes_of(a, b);
    SfEnv env = arm_half_env(arm);
    FpOp op = (FpOp)l.op;
    bool pairs = l.flags & LANE_PAIRS, is_unsigned = l.flags & LANE_UNSIGNED_N;
    uint64_t results[16];
    if (many(arm, &l, &env)) {
        arm_half_done(arm, &env);
        return 0;
    }
    if (l.flags & LANE_REDUCE) { /* neighbours first */
        for (unsigned i = 0; i < l.nlanes; i++)
            results[i] = arm_lane(arm, l.rn, 1, i);
        for (unsigned n = l.nlanes; n > 1; n /= 2)
            for (unsigned i = 0; i < n / 2; i++)
                results[i] = arm_half_two(&env, op, (SfF16)results[2 * i], (SfF16)results[2 * i + 1], 0);
        arm_lanes_put(arm, &l, results);
        arm_half_done(arm, &env);
        return 0;
    }
    for (unsigned i = 0; i < l.count; i++) {
        unsigned at = pairs ? 2 * i : i, v = l.rn;
        if (at >= l.nlanes && pairs) {
            v = l.rm;
            at -= l.nlanes;
        }
        SfF16 x = (SfF16)arm_lane(arm, v, 1, at), y = 0, z = (SfF16)arm_lane(arm, l.rd, 1, i);
        if (op >= FP_ABS) {
            results[i] = arm_half_one(&env, op, x, l.shift, l.mstart, is_unsigned);
            continue;
        }
        if (pairs)
            y = (SfF16)arm_lane(arm, v, 1, at + 1);
        else if (!(l.flags & LANE_M_ZERO))
            y = (SfF16)arm_lane(arm, l.rm, 1, l.element == LANE_EACH ? i : l.element);
        results[i] = arm_half_two(&env, op, x, y, z);
    }
    arm_lanes_put(arm, &l, results);
    arm_half_done(arm, &env);
    return 0;
}

/* x * y + z, d: SF_NEGATE bits; NaNs are negated too */
HELPER(half_fma)
{
    SfEnv env = arm_half_env(cpu);
    SfF16 x = (SfF16)(d & SF_NEGATE_PRODUCT ? a ^ SIGN : a), z = (SfF16)(d & SF_NEGATE_ADDEND ? c ^ SIGN : c);
    SfF16 r = sf_f16_fma(&env, x, (SfF16)b, z, 0);
    arm_half_done(cpu, &env);
    return r;
}

/* c: signalling; the flags */
HELPER(half_compare)
{
    SfEnv env = arm_half_env(cpu);
    SfRelation r = sf_f16_compare(&env, (SfF16)a, (SfF16)b, c);
    arm_half_done(cpu, &env);
    return r == SF_LESS ? IR_FLAG_S : r == SF_EQUAL ? IR_FLAG_Z | IR_FLAG_C
           : r == SF_GREATER ? IR_FLAG_C : IR_FLAG_C | IR_FLAG_O;
}

/* b: scale | 256 unsigned | 512 64 bits | IrRound << 12 */
HELPER(half_to_int)
{
    SfEnv env = arm_half_env(cpu);
    unsigned bits = b & 512 ? 64 : 32;
    uint64_t r = sf_f16_to_fixed(&env, (SfF16)a, (SfRound)(b >> 12 & 7), (int)(b & 255), bits, !(b & 256),
                                 SF_TOINT_SATURATE_NAN_ZERO);
    arm_half_done(cpu, &env);
    return r & bits_mask(bits);
}

HELPER(half_from_int)
{
    SfEnv env = arm_half_env(cpu);
    if (!(b & 512))
        a = b & 256 ? (uint32_t)a : (uint64_t)(int64_t)(int32_t)a;
    uint64_t r = sf_f16_from_fixed(&env, a, !(b & 256), (int)(b & 255));
    arm_half_done(cpu, &env);
    return r;
}
