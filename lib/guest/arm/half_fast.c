/* SPDX-License-Identifier: MIT */
/*
 * Half precision by the host's doubles, for operands and results that are plain: neither NaNs nor
 * infinities, results neither subnormal nor too large. lib/softfloat does all others.
 *
 * Sums and products of halves are exact in a double. A quotient or root is either exact there or further
 * from every number of 12 bits than a double's rounding reaches. Of x * y + z, whose sum may be rounded,
 * the double is made odd when something was lost, as in SF_RODD. So the one rounding that counts, and the
 * inexact flag, come of the double's bits.
 */
#include <math.h>

#include "guest/arm/half_priv.h"

static inline bool is_finite(SfF16 x) { return (x & 0x7c00) != 0x7c00; }

static inline uint64_t bits_of(double v)
{
    uint64_t u;
    memcpy(&u, &v, sizeof u);
    return u;
}

static inline double double_of(SfF16 x)
{
    uint64_t sign = (uint64_t)(x & 0x8000) << 48, u;
    double v;
    if (!(x & 0x7c00))
        return x & 0x8000 ? -(double)(x & 0x3ff) * 0x1p-24 : (double)(x & 0x3ff) * 0x1p-24;
    u = sign | ((uint64_t)(x & 0x7fff) + (UINT64_C(1008) << 10)) << 42;
    memcpy(&v, &u, sizeof v);
    return v;
}

/* False: it is no plain number. */
static inline bool pack(SfEnv *env, double v, SfF16 *r)
{
    uint64_t u = bits_of(v), exponent = u >> 52 & 0x7ff, rest = u & bits_mask(42), half = UINT64_C(1) << 41;
    unsigned sign = (unsigned)(u >> 63);
    if (v == 0 && env->round != SF_RDN) { /* which a host that rounds to nearest gives the right sign */
        *r = (SfF16)(sign << 15);
        return true;
    }
    if (exponent < 1023 - 14 || exponent > 1023 + 15)
        return false;
    unsigned h = (unsigned)((u & bits_mask(63)) >> 42) - (1008u << 10);
    if (rest) {
        switch (env->round) {
        case SF_RNE: h += rest > half || (rest == half && h & 1); break;
        case SF_RDN: h += sign; break;
        case SF_RUP: h += !sign; break;
        default: break; /* toward zero */
        }
        if (h >= 0x7c00)
            return false;
        env->flags |= SF_INEXACT;
    }
    *r = (SfF16)(sign << 15 | h);
    return true;
}

static inline double sum_made_odd(double p, double z)
{
    double s = p + z, part = s - p, lost = (p - (s - part)) + (z - part);
    uint64_t u = bits_of(s);
    if (lost != 0 && !(u & 1)) {
        u = (lost > 0) == (s > 0) ? u | 1 : u - 1;
        memcpy(&s, &u, sizeof s);
    }
    return s;
}

/* As numbers: their order is that of halves that are no NaNs, but for the sign of zeros. */
static inline int order(SfF16 x) { return x & 0x8000 ? -(x & 0x7fff) : x; }

static inline SfF16 truth(bool is) { return is ? 0xffff : 0; }

static bool compared(FpOp op, SfF16 x, SfF16 y, SfF16 *r)
{
    int a = order(x), b = order(y);
    switch (op) {
    case FP_EQ: *r = truth(a == b); return true;
    case FP_GE: *r = truth(a >= b); return true;
    case FP_GT: *r = truth(a > b); return true;
    case FP_LE: *r = truth(a <= b); return true;
    case FP_LT: *r = truth(a < b); return true;
    case FP_ACGE: *r = truth((x & 0x7fff) >= (y & 0x7fff)); return true;
    case FP_ACGT: *r = truth((x & 0x7fff) > (y & 0x7fff)); return true;
    case FP_MAX: case FP_MAXNM: *r = a > b ? x : a < b ? y : x & y; return true;
    case FP_MIN: case FP_MINNM: *r = a < b ? x : a > b ? y : x | y; return true;
    default: return false;
    }
}

bool arm_half_fast(SfEnv *env, FpOp op, SfF16 x, SfF16 y, SfF16 z, SfF16 *r)
{
    if (env->flush_inputs || env->flush_outputs || !is_finite(x) || !is_finite(y))
        return false;
    if (compared(op, x, y, r))
        return true;
    double a = double_of(x), b = double_of(y);
    switch (op) {
    case FP_ADD: return pack(env, a + b, r);
    case FP_SUB: return pack(env, a - b, r);
    case FP_ABD: return pack(env, a - b, r) && (*r &= 0x7fff, true);
    case FP_MUL: case FP_MULX: return pack(env, a * b, r);
    case FP_DIV: return b != 0 && pack(env, a / b, r);
    case FP_MLA: return is_finite(z) && pack(env, sum_made_odd(a * b, double_of(z)), r);
    case FP_MLS: return is_finite(z) && pack(env, sum_made_odd(-(a * b), double_of(z)), r);
    default: return false;
    }
}

bool arm_half_sqrt(SfEnv *env, SfF16 x, SfF16 *r)
{
    return !env->flush_inputs && x < 0x7c00 && pack(env, sqrt(double_of(x)), r);
}

/* The operations that programs are made of, in loops of their own. */
#define EACH(value) \
    for (unsigned i = 0; i < n; i++) { \
        double a = double_of(x[i]), b = double_of(y[i]); \
        if (!is_finite(x[i]) || !is_finite(y[i]) || !is_finite(z[i]) || !pack(&e, value, &r[i])) \
            return false; \
    } \
    break

bool arm_half_many(SfEnv *env, FpOp op, unsigned n, const SfF16 *x, const SfF16 *y, const SfF16 *z, SfF16 *r)
{
    SfEnv e = *env;
    if (env->flush_inputs || env->flush_outputs)
        return false;
    switch (op) {
    case FP_ADD: EACH(a + b);
    case FP_SUB: EACH(a - b);
    case FP_MUL: EACH(a * b);
    case FP_MLA: EACH(sum_made_odd(a * b, double_of(z[i])));
    case FP_MLS: EACH(sum_made_odd(-(a * b), double_of(z[i])));
    default: return false;
    }
    env->flags = e.flags;
    return true;
}
