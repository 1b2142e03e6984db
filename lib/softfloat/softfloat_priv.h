/* SPDX-License-Identifier: MIT */
/* One unpacked form and one set of operations for all formats.

   A finite non-zero number is (-1)^sign * sig / 2^127 * 2^exp with bit 127 of sig set, so that
   the widest format (f128, 113 bits) leaves 15 bits below for guard and sticky. "Jamming" means
   that bits shifted out leave bit 0 set if any was: with at least two bits below the rounding
   position that rounds as the exact value would, and tells inexact from exact.

   Encodings pass as SfU128, whatever their format, right-aligned. */
#pragma once

#include "softfloat/softfloat.h"

typedef enum {
    SF_ZERO,
    SF_NORMAL,
    SF_INF,
    SF_QNAN,
    SF_SNAN,
    SF_BAD /* unsupported f80 encoding */
} SfClass;

typedef struct SfFormat {
    uint8_t exp_bits;
    uint8_t frac_bits;  /* without the integer bit */
    bool explicit_bit;  /* the integer bit is stored, and there is precision control */
} SfFormat;

typedef struct SfNum {
    SfClass cls;
    bool sign;
    bool denormal;  /* SF_NORMAL from a subnormal encoding */
    int32_t exp;    /* SF_NORMAL only; unbiased */
    SfU128 sig;     /* SF_NORMAL: above; NaN: the fraction, quiet bit at 126 */
} SfNum;

extern const SfFormat sf_format_f16, sf_format_bf16, sf_format_f32, sf_format_f64, sf_format_f80,
    sf_format_f128;

#define SF_TOP ((SfU128)1 << 127)

/* ---- helpers */
static inline unsigned sf_clz128(SfU128 v) /* v is not 0 */
{
    uint64_t hi = (uint64_t)(v >> 64);
    return hi ? (unsigned)__builtin_clzll(hi) : 64 + (unsigned)__builtin_clzll((uint64_t)v);
}

static inline SfU128 sf_shift_right_jam(SfU128 v, unsigned n)
{
    if (n == 0) {
        return v;
    }
    if (n > 127) {
        return v != 0;
    }
    return v >> n | ((v << (128 - n)) != 0);
}

/* A scale that a caller gives, cut to where every format has over- or underflowed anyway. */
static inline int sf_clamp_scale(int n)
{
    return n > 100000 ? 100000 : n < -100000 ? -100000 : n;
}

static inline bool sf_is_nan_class(const SfNum *a)
{
    return a->cls >= SF_QNAN;
}

/* 128 x 128 bits to 256. */
static inline void sf_mul128(SfU128 a, SfU128 b, SfU128 *hi, SfU128 *lo)
{
    uint64_t a1 = (uint64_t)(a >> 64), a0 = (uint64_t)a, b1 = (uint64_t)(b >> 64), b0 = (uint64_t)b;
    SfU128 low = (SfU128)a0 * b0, m1 = (SfU128)a1 * b0, m2 = (SfU128)a0 * b1;
    SfU128 mid = (low >> 64) + (uint64_t)m1 + (uint64_t)m2;
    *lo = mid << 64 | (uint64_t)low;
    *hi = (SfU128)a1 * b1 + (m1 >> 64) + (m2 >> 64) + (mid >> 64);
}

/* ---- pack.c */
/* Flushes, and raises INPUT_DENORMAL if so, as env says. */
SfNum sf_unpack(SfEnv *env, const SfFormat *f, SfU128 bits);
/* As it stands: no flushing, no flags. */
SfNum sf_unpack_raw(const SfFormat *f, SfU128 bits);
/* Rounds to `precision` significand bits (at most the format's) and encodes, with all flags. */
SfU128 sf_round_pack(SfEnv *env, const SfFormat *f, const SfNum *n, unsigned precision,
                     SfRound round);
/* The same at the precision that env sets for arithmetic, with env->round. */
SfU128 sf_finish(SfEnv *env, const SfFormat *f, const SfNum *n);
/* Rounds n, SF_NORMAL, to an integral value; the result may be a zero. True if it was inexact. */
bool sf_round_integral(SfNum *n, SfRound round);
unsigned sf_full_precision(const SfFormat *f);
SfNum sf_default_nan(const SfEnv *env);
/* The default NaN with INVALID raised. */
SfNum sf_invalid(SfEnv *env);
/* The NaN result for operands of which at least one is a NaN; raises INVALID for sNaNs. */
SfNum sf_nan_result(SfEnv *env, const SfNum *a, const SfNum *b);
SfNum sf_nan_result3(SfEnv *env, const SfNum *a, const SfNum *b, const SfNum *c);
/* INPUT_DENORMAL for operands that are used as they are. */
void sf_note_denormal(SfEnv *env, const SfNum *a, const SfNum *b);

/* ---- operations on encodings, public semantics as in softfloat.h */
SfU128 sf_add(SfEnv *env, const SfFormat *f, SfU128 a, SfU128 b, bool subtract);
SfU128 sf_mul(SfEnv *env, const SfFormat *f, SfU128 a, SfU128 b);
SfU128 sf_div(SfEnv *env, const SfFormat *f, SfU128 a, SfU128 b);
SfU128 sf_sqrt(SfEnv *env, const SfFormat *f, SfU128 a);
SfU128 sf_fma(SfEnv *env, const SfFormat *f, SfU128 a, SfU128 b, SfU128 c, unsigned negate);
SfU128 sf_rem(SfEnv *env, const SfFormat *f, SfU128 a, SfU128 b, bool truncate, uint64_t *quotient);
SfU128 sf_scalb(SfEnv *env, const SfFormat *f, SfU128 a, int n);
SfU128 sf_round_to_int(SfEnv *env, const SfFormat *f, SfU128 a, SfRound round, bool inexact);
SfU128 sf_minmax(SfEnv *env, const SfFormat *f, SfU128 a, SfU128 b, SfMinMax kind, bool max);
SfRelation sf_compare(SfEnv *env, const SfFormat *f, SfU128 a, SfU128 b, bool signalling);
SfRelation sf_relation(const SfNum *a, const SfNum *b);
/* bits 1..128; the result is cut to `bits`, sign-extended to 128 if is_signed. */
SfU128 sf_to_int(SfEnv *env, const SfFormat *f, SfU128 a, SfRound round, int scale, unsigned bits,
                 bool is_signed, SfToInt rule);
SfU128 sf_from_int(SfEnv *env, const SfFormat *f, bool sign, SfU128 magnitude, int scale);
SfU128 sf_convert(SfEnv *env, const SfFormat *from, const SfFormat *to, SfU128 a);
unsigned sf_classify(const SfFormat *f, SfU128 a);
