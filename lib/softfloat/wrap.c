/* SPDX-License-Identifier: MIT */
/* The public functions: each format's value type in and out of the common SfU128, and nothing
   more. */
#include "softfloat/softfloat_priv.h"

static inline SfU128 bits_f16(SfF16 a) { return a; }
static inline SfU128 bits_bf16(SfBF16 a) { return a; }
static inline SfU128 bits_f32(SfF32 a) { return a; }
static inline SfU128 bits_f64(SfF64 a) { return a; }
static inline SfU128 bits_f80(SfF80 a) { return (SfU128)a.sign_exponent << 64 | a.mantissa; }
static inline SfU128 bits_f128(SfF128 a) { return (SfU128)a.hi << 64 | a.lo; }
static inline SfF16 value_f16(SfU128 v) { return (SfF16)v; }
static inline SfBF16 value_bf16(SfU128 v) { return (SfBF16)v; }
static inline SfF32 value_f32(SfU128 v) { return (SfF32)v; }
static inline SfF64 value_f64(SfU128 v) { return (SfF64)v; }

static inline SfF80 value_f80(SfU128 v)
{
    return (SfF80){ (uint64_t)v, (uint16_t)(v >> 64) };
}

static inline SfF128 value_f128(SfU128 v)
{
    return (SfF128){ .lo = (uint64_t)v, .hi = (uint64_t)(v >> 64) };
}

static SfU128 from_signed(SfEnv *env, const SfFormat *f, SfI128 v, int scale)
{
    return sf_from_int(env, f, v < 0, v < 0 ? -(SfU128)v : (SfU128)v, scale);
}

#define ARITH(X, T)                                                                                \
    T sf_##X##_add(SfEnv *env, T a, T b)                                                           \
    {                                                                                              \
        return value_##X(sf_add(env, &sf_format_##X, bits_##X(a), bits_##X(b), false));            \
    }                                                                                              \
    T sf_##X##_sub(SfEnv *env, T a, T b)                                                           \
    {                                                                                              \
        return value_##X(sf_add(env, &sf_format_##X, bits_##X(a), bits_##X(b), true));             \
    }                                                                                              \
    T sf_##X##_mul(SfEnv *env, T a, T b)                                                           \
    {                                                                                              \
        return value_##X(sf_mul(env, &sf_format_##X, bits_##X(a), bits_##X(b)));                   \
    }                                                                                              \
    T sf_##X##_div(SfEnv *env, T a, T b)                                                           \
    {                                                                                              \
        return value_##X(sf_div(env, &sf_format_##X, bits_##X(a), bits_##X(b)));                   \
    }                                                                                              \
    T sf_##X##_sqrt(SfEnv *env, T a)                                                               \
    {                                                                                              \
        return value_##X(sf_sqrt(env, &sf_format_##X, bits_##X(a)));                               \
    }                                                                                              \
    T sf_##X##_fma(SfEnv *env, T a, T b, T c, unsigned negate)                                     \
    {                                                                                              \
        return value_##X(                                                                          \
            sf_fma(env, &sf_format_##X, bits_##X(a), bits_##X(b), bits_##X(c), negate));           \
    }                                                                                              \
    T sf_##X##_rem(SfEnv *env, T a, T b)                                                           \
    {                                                                                              \
        uint64_t q;                                                                                \
        return value_##X(sf_rem(env, &sf_format_##X, bits_##X(a), bits_##X(b), false, &q));        \
    }                                                                                              \
    T sf_##X##_rem_quotient(SfEnv *env, T a, T b, bool truncate, uint64_t *quotient)               \
    {                                                                                              \
        return value_##X(                                                                          \
            sf_rem(env, &sf_format_##X, bits_##X(a), bits_##X(b), truncate, quotient));            \
    }                                                                                              \
    T sf_##X##_scalb(SfEnv *env, T a, int n)                                                       \
    {                                                                                              \
        return value_##X(sf_scalb(env, &sf_format_##X, bits_##X(a), n));                           \
    }                                                                                              \
    T sf_##X##_round_to_int(SfEnv *env, T a, SfRound round, bool inexact)                          \
    {                                                                                              \
        return value_##X(sf_round_to_int(env, &sf_format_##X, bits_##X(a), round, inexact));       \
    }

#define COMPARE(X, T)                                                                              \
    T sf_##X##_min(SfEnv *env, T a, T b, SfMinMax kind)                                            \
    {                                                                                              \
        return value_##X(sf_minmax(env, &sf_format_##X, bits_##X(a), bits_##X(b), kind, false));   \
    }                                                                                              \
    T sf_##X##_max(SfEnv *env, T a, T b, SfMinMax kind)                                            \
    {                                                                                              \
        return value_##X(sf_minmax(env, &sf_format_##X, bits_##X(a), bits_##X(b), kind, true));    \
    }                                                                                              \
    SfRelation sf_##X##_compare(SfEnv *env, T a, T b, bool signalling)                             \
    {                                                                                              \
        return sf_compare(env, &sf_format_##X, bits_##X(a), bits_##X(b), signalling);              \
    }                                                                                              \
    bool sf_##X##_eq(SfEnv *env, T a, T b, bool signalling)                                        \
    {                                                                                              \
        return sf_##X##_compare(env, a, b, signalling) == SF_EQUAL;                                \
    }                                                                                              \
    bool sf_##X##_lt(SfEnv *env, T a, T b, bool signalling)                                        \
    {                                                                                              \
        return sf_##X##_compare(env, a, b, signalling) == SF_LESS;                                 \
    }                                                                                              \
    bool sf_##X##_le(SfEnv *env, T a, T b, bool signalling)                                        \
    {                                                                                              \
        SfRelation r = sf_##X##_compare(env, a, b, signalling);                                    \
        return r == SF_LESS || r == SF_EQUAL;                                                      \
    }                                                                                              \
    bool sf_##X##_unordered(SfEnv *env, T a, T b, bool signalling)                                 \
    {                                                                                              \
        return sf_##X##_compare(env, a, b, signalling) == SF_UNORDERED;                            \
    }                                                                                              \
    bool sf_##X##_is_nan(T a)                                                                      \
    {                                                                                              \
        return sf_classify(&sf_format_##X, bits_##X(a)) >= SF_CLASS_SNAN;                          \
    }                                                                                              \
    bool sf_##X##_is_snan(T a)                                                                     \
    {                                                                                              \
        return sf_classify(&sf_format_##X, bits_##X(a)) & (SF_CLASS_SNAN | SF_CLASS_UNSUPPORTED);  \
    }                                                                                              \
    unsigned sf_##X##_classify(T a)                                                                \
    {                                                                                              \
        return sf_classify(&sf_format_##X, bits_##X(a));                                           \
    }                                                                                              \
    T sf_##X##_default_nan(const SfEnv *env)                                                       \
    {                                                                                              \
        SfEnv none = { 0 };                                                                        \
        SfNum n = sf_default_nan(env);                                                             \
        return value_##X(sf_round_pack(&none, &sf_format_##X, &n, 1, SF_RNE));                     \
    }

#define TO_INT(X, T, NAME, INT, BITS, SIGNED)                                                      \
    INT sf_##X##_to_##NAME(SfEnv *env, T a, SfRound round, SfToInt rule)                           \
    {                                                                                              \
        return (INT)sf_to_int(env, &sf_format_##X, bits_##X(a), round, 0, BITS, SIGNED, rule);     \
    }
#define FROM_SIGNED(X, T, NAME, INT)                                                               \
    T sf_##X##_from_##NAME(SfEnv *env, INT v)                                                      \
    {                                                                                              \
        return value_##X(from_signed(env, &sf_format_##X, v, 0));                                  \
    }
#define FROM_UNSIGNED(X, T, NAME, INT)                                                             \
    T sf_##X##_from_##NAME(SfEnv *env, INT v)                                                      \
    {                                                                                              \
        return value_##X(sf_from_int(env, &sf_format_##X, false, v, 0));                           \
    }

#define INTEGERS(X, T)                                                                             \
    TO_INT(X, T, i32, int32_t, 32, true)                                                           \
    TO_INT(X, T, u32, uint32_t, 32, false)                                                         \
    TO_INT(X, T, i64, int64_t, 64, true)                                                           \
    TO_INT(X, T, u64, uint64_t, 64, false)                                                         \
    TO_INT(X, T, i128, SfI128, 128, true)                                                          \
    TO_INT(X, T, u128, SfU128, 128, false)                                                         \
    FROM_SIGNED(X, T, i32, int32_t)                                                                \
    FROM_SIGNED(X, T, i64, int64_t)                                                                \
    FROM_SIGNED(X, T, i128, SfI128)                                                                \
    FROM_UNSIGNED(X, T, u32, uint32_t)                                                             \
    FROM_UNSIGNED(X, T, u64, uint64_t)                                                             \
    FROM_UNSIGNED(X, T, u128, SfU128)                                                              \
    uint64_t sf_##X##_to_int(SfEnv *env, T a, SfRound round, unsigned bits, bool is_signed,        \
                             SfToInt rule)                                                         \
    {                                                                                              \
        return sf_##X##_to_fixed(env, a, round, 0, bits, is_signed, rule);                         \
    }                                                                                              \
    uint64_t sf_##X##_to_fixed(SfEnv *env, T a, SfRound round, int scale, unsigned bits,           \
                               bool is_signed, SfToInt rule)                                       \
    {                                                                                              \
        return (uint64_t)sf_to_int(env, &sf_format_##X, bits_##X(a), round, scale, bits,           \
                                   is_signed, rule);                                               \
    }                                                                                              \
    T sf_##X##_from_fixed(SfEnv *env, uint64_t v, bool is_signed, int scale)                       \
    {                                                                                              \
        return value_##X(from_signed(env, &sf_format_##X,                                          \
                                     is_signed ? (SfI128)(int64_t)v : (SfI128)v, scale));          \
    }

#define FORMAT(X, T) ARITH(X, T) COMPARE(X, T) INTEGERS(X, T)
FORMAT(f16, SfF16)
FORMAT(f32, SfF32)
FORMAT(f64, SfF64)
FORMAT(f80, SfF80)
FORMAT(f128, SfF128)

#define CONVERT(X, T, Y, U)                                                                        \
    U sf_##X##_to_##Y(SfEnv *env, T a)                                                             \
    {                                                                                              \
        return value_##Y(sf_convert(env, &sf_format_##X, &sf_format_##Y, bits_##X(a)));            \
    }
#define BOTH(X, T, Y, U) CONVERT(X, T, Y, U) CONVERT(Y, U, X, T)
BOTH(f16, SfF16, f32, SfF32)
BOTH(f16, SfF16, f64, SfF64)
BOTH(f16, SfF16, f80, SfF80)
BOTH(f16, SfF16, f128, SfF128)
BOTH(f32, SfF32, f64, SfF64)
BOTH(f32, SfF32, f80, SfF80)
BOTH(f32, SfF32, f128, SfF128)
BOTH(f64, SfF64, f80, SfF80)
BOTH(f64, SfF64, f128, SfF128)
BOTH(f80, SfF80, f128, SfF128)
BOTH(f32, SfF32, bf16, SfBF16)
CONVERT(f64, SfF64, bf16, SfBF16)
