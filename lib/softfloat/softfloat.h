/* SPDX-License-Identifier: MIT */
/* IEEE 754-2019 binary arithmetic in integers, with the choices that guests differ in: which
   NaN a result is, when a result is tiny, flushing of subnormals, x87 precision control.
   Values are bit patterns; no function touches the host FPU or its environment. All functions
   are pure but for the flags they OR into env->flags; an SfEnv belongs to one thread.

   Formats: f16 f32 f64 f128 (IEEE interchange), f80 (x87, explicit integer bit), and bf16 for
   conversions. A NaN is signalling when the top fraction bit is clear (not old MIPS, HPPA).

   f80 encodings that the x87 no longer supports (unnormals, pseudo-NaN, pseudo-infinity) act
   as signalling NaNs whose result is the default NaN; pseudo-denormals have their value.

   Left out: decimal formats, estimate tables, Arm's alternative half precision, trapped
   results (wrapped exponents), transcendental functions. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The first five have the numbers of IrRound. RMM: nearest, ties away from zero; RODD: inexact
   results are truncated and made odd. */
typedef enum { SF_RNE, SF_RTZ, SF_RDN, SF_RUP, SF_RMM, SF_RODD } SfRound;

/* SF_INPUT_DENORMAL: an operand was subnormal. With flush_inputs it is set whenever one was
   made zero (Arm's IDC); without, only by operations that compute with it: not when the result
   is a NaN or from a division by zero, nor by conversions to integers (x86's DE). A guest
   takes the bit in the mode in which its own flag means that, and masks it in the other. */
typedef enum {
    SF_INVALID = 1,
    SF_DIVZERO = 2,
    SF_OVERFLOW = 4,
    SF_UNDERFLOW = 8,
    SF_INEXACT = 16,
    SF_INPUT_DENORMAL = 32
} SfFlag;

/* Which operand's NaN is the (quieted) result when default_nan is off. For fma, a * b + c:
   FIRST_SNAN looks at c, a, b; X86 at a, b, c (the operands as the digits of VFMADD132, 213, 231
   name them); FIRST at a, c, b. */
typedef enum {
    SF_PROPAGATE_FIRST_SNAN, /* the first signalling one, else the first quiet one: Arm, s390x */
    SF_PROPAGATE_X86,        /* SSE: the first operand if a NaN, else the second */
    SF_PROPAGATE_X87,        /* quiet before signalling, then the larger significand, then + */
    SF_PROPAGATE_FIRST       /* the first NaN, signalling or not: PowerPC */
} SfPropagate;

typedef struct SfEnv {
    uint8_t round;          /* SfRound */
    uint8_t flags;          /* sticky SfFlag bits, ORed in */
    bool default_nan;       /* NaN results are the default NaN */
    bool negative_default;  /* sign of the default NaN (x86: set) */
    bool tiny_before;       /* tininess is detected before rounding */
    uint8_t propagate;      /* SfPropagate */
    bool flush_inputs;      /* subnormal operands are zeros of their sign */
    bool flush_outputs;     /* tiny results are zeros of their sign; UNDERFLOW is set, and INEXACT
                               too unless tiny_before (Arm sets the one, x86 both) */
    uint8_t f80_precision;  /* significand bits of f80 add, sub, mul, div, sqrt and fma: 24 (also
                               said as 32), 53, or 0 or 64: full. The exponent range stays. */
} SfEnv;

typedef enum {
    SF_MINMAX_NUMBER,      /* 2019 minimumNumber: a number beats a NaN; sNaN raises INVALID */
    SF_MINMAX_X86,         /* a < b ? a : b as SSE has it: b when equal or any NaN (INVALID) */
    SF_MINMAX_NAN,         /* 2019 minimum: any NaN gives a NaN */
    SF_MINMAX_NUMBER_2008  /* 2008 minNum: as NUMBER, but a signalling NaN gives a NaN */
} SfMinMax;

/* What a conversion gives for a NaN or a value out of range; all raise INVALID alone. */
typedef enum {
    SF_TOINT_SATURATE_NAN_ZERO, /* nearest bound; NaN: 0 (Arm) */
    SF_TOINT_SATURATE_NAN_MAX,  /* nearest bound; NaN: the greatest (RISC-V) */
    SF_TOINT_X86,               /* always the indefinite: only the top bit set, or unsigned all ones */
    SF_TOINT_SATURATE_NAN_MIN,  /* nearest bound; NaN: the least (PowerPC, s390x) */
    SF_TOINT_MODULO             /* the low bits; NaN and infinity: 0 (Alpha, Arm FJCVTZS) */
} SfToInt;

typedef enum { SF_LESS = -1, SF_EQUAL = 0, SF_GREATER = 1, SF_UNORDERED = 2 } SfRelation;

/* sf_X_classify: one bit, numbered as by RISC-V fclass. */
typedef enum {
    SF_CLASS_NEG_INF = 1 << 0,
    SF_CLASS_NEG_NORMAL = 1 << 1,
    SF_CLASS_NEG_SUBNORMAL = 1 << 2,
    SF_CLASS_NEG_ZERO = 1 << 3,
    SF_CLASS_POS_ZERO = 1 << 4,
    SF_CLASS_POS_SUBNORMAL = 1 << 5,
    SF_CLASS_POS_NORMAL = 1 << 6,
    SF_CLASS_POS_INF = 1 << 7,
    SF_CLASS_SNAN = 1 << 8,
    SF_CLASS_QNAN = 1 << 9,
    SF_CLASS_UNSUPPORTED = 1 << 10 /* f80 only */
} SfClassBit;

/* sf_X_fma: bits of `negate`. NaN operands are never negated: a guest that does negate them
   (Arm) flips the sign of its operand itself. */
enum { SF_NEGATE_PRODUCT = 1, SF_NEGATE_ADDEND = 2 };

typedef uint16_t SfF16;
typedef uint16_t SfBF16;
typedef uint32_t SfF32;
typedef uint64_t SfF64;
typedef struct { uint64_t lo, hi; } SfF128; /* hi: sign, exponent, top of fraction */
typedef struct { uint64_t mantissa; uint16_t sign_exponent; } SfF80;

__extension__ typedef __int128 SfI128;
__extension__ typedef unsigned __int128 SfU128;

/* For each format X with value type T. Arithmetic rounds as env->round says.
   fma        a * b + c rounded once. Infinity times zero raises INVALID even when c is a quiet
              NaN (RISC-V, Arm, Power, s390x), and then gives c under X86, X87 and FIRST, else the
              default NaN. Only SF_PROPAGATE_X86 with default_nan off raises nothing there.
   rem        IEEE remainder: a - b * n, n the integer nearest to a / b, ties to even. Exact.
   rem_quotient   the same, or with truncate a - b * trunc(a / b) (fmod, x87 FPREM);
              *quotient gets the low 64 bits of the magnitude of n, 0 when the result is a NaN.
   scalb      a * 2^n, rounded once
   round_to_int   a rounded to an integral value; INEXACT is raised only if `inexact`.
   lt le eq unordered   false (unordered: true) on NaN; INVALID on a signalling NaN, with
              `signalling` on any NaN.
   to_int     two's complement in `bits` bits (1 to 64), sign-extended to 64 if is_signed
   to_fixed   as to_int, of a * 2^scale
   from_fixed v * 2^-scale, v taken as int64_t if is_signed; rounded once
   is_nan     true for unsupported f80 encodings too; so is is_snan. */
#define SF_DECLARE(X, T)                                                                           \
    T sf_##X##_add(SfEnv *env, T a, T b);                                                          \
    T sf_##X##_sub(SfEnv *env, T a, T b);                                                          \
    T sf_##X##_mul(SfEnv *env, T a, T b);                                                          \
    T sf_##X##_div(SfEnv *env, T a, T b);                                                          \
    T sf_##X##_sqrt(SfEnv *env, T a);                                                              \
    T sf_##X##_fma(SfEnv *env, T a, T b, T c, unsigned negate);                                    \
    T sf_##X##_rem(SfEnv *env, T a, T b);                                                          \
    T sf_##X##_rem_quotient(SfEnv *env, T a, T b, bool truncate, uint64_t *quotient);              \
    T sf_##X##_scalb(SfEnv *env, T a, int n);                                                      \
    T sf_##X##_round_to_int(SfEnv *env, T a, SfRound round, bool inexact);                         \
    T sf_##X##_min(SfEnv *env, T a, T b, SfMinMax kind);                                           \
    T sf_##X##_max(SfEnv *env, T a, T b, SfMinMax kind);                                           \
    SfRelation sf_##X##_compare(SfEnv *env, T a, T b, bool signalling);                            \
    bool sf_##X##_eq(SfEnv *env, T a, T b, bool signalling);                                       \
    bool sf_##X##_lt(SfEnv *env, T a, T b, bool signalling);                                       \
    bool sf_##X##_le(SfEnv *env, T a, T b, bool signalling);                                       \
    bool sf_##X##_unordered(SfEnv *env, T a, T b, bool signalling);                                \
    uint64_t sf_##X##_to_int(SfEnv *env, T a, SfRound round, unsigned bits, bool is_signed,        \
                             SfToInt rule);                                                        \
    uint64_t sf_##X##_to_fixed(SfEnv *env, T a, SfRound round, int scale, unsigned bits,           \
                               bool is_signed, SfToInt rule);                                      \
    int32_t sf_##X##_to_i32(SfEnv *env, T a, SfRound round, SfToInt rule);                         \
    uint32_t sf_##X##_to_u32(SfEnv *env, T a, SfRound round, SfToInt rule);                        \
    int64_t sf_##X##_to_i64(SfEnv *env, T a, SfRound round, SfToInt rule);                         \
    uint64_t sf_##X##_to_u64(SfEnv *env, T a, SfRound round, SfToInt rule);                        \
    SfI128 sf_##X##_to_i128(SfEnv *env, T a, SfRound round, SfToInt rule);                         \
    SfU128 sf_##X##_to_u128(SfEnv *env, T a, SfRound round, SfToInt rule);                         \
    T sf_##X##_from_i32(SfEnv *env, int32_t v);                                                    \
    T sf_##X##_from_u32(SfEnv *env, uint32_t v);                                                   \
    T sf_##X##_from_i64(SfEnv *env, int64_t v);                                                    \
    T sf_##X##_from_u64(SfEnv *env, uint64_t v);                                                   \
    T sf_##X##_from_i128(SfEnv *env, SfI128 v);                                                    \
    T sf_##X##_from_u128(SfEnv *env, SfU128 v);                                                    \
    T sf_##X##_from_fixed(SfEnv *env, uint64_t v, bool is_signed, int scale);                      \
    bool sf_##X##_is_nan(T a);                                                                     \
    bool sf_##X##_is_snan(T a);                                                                    \
    unsigned sf_##X##_classify(T a);                                                               \
    T sf_##X##_default_nan(const SfEnv *env);

SF_DECLARE(f16, SfF16)
SF_DECLARE(f32, SfF32)
SF_DECLARE(f64, SfF64)
SF_DECLARE(f80, SfF80)
SF_DECLARE(f128, SfF128)

/* Between formats: rounded as env->round says; NaNs are quieted and keep sign and the top of
   their payload (unless default_nan). f80_precision plays no part. */
SfF32 sf_f16_to_f32(SfEnv *env, SfF16 a);
SfF64 sf_f16_to_f64(SfEnv *env, SfF16 a);
SfF80 sf_f16_to_f80(SfEnv *env, SfF16 a);
SfF128 sf_f16_to_f128(SfEnv *env, SfF16 a);
SfF16 sf_f32_to_f16(SfEnv *env, SfF32 a);
SfF64 sf_f32_to_f64(SfEnv *env, SfF32 a);
SfF80 sf_f32_to_f80(SfEnv *env, SfF32 a);
SfF128 sf_f32_to_f128(SfEnv *env, SfF32 a);
SfF16 sf_f64_to_f16(SfEnv *env, SfF64 a);
SfF32 sf_f64_to_f32(SfEnv *env, SfF64 a);
SfF80 sf_f64_to_f80(SfEnv *env, SfF64 a);
SfF128 sf_f64_to_f128(SfEnv *env, SfF64 a);
SfF16 sf_f80_to_f16(SfEnv *env, SfF80 a);
SfF32 sf_f80_to_f32(SfEnv *env, SfF80 a);
SfF64 sf_f80_to_f64(SfEnv *env, SfF80 a);
SfF128 sf_f80_to_f128(SfEnv *env, SfF80 a);
SfF16 sf_f128_to_f16(SfEnv *env, SfF128 a);
SfF32 sf_f128_to_f32(SfEnv *env, SfF128 a);
SfF64 sf_f128_to_f64(SfEnv *env, SfF128 a);
SfF80 sf_f128_to_f80(SfEnv *env, SfF128 a);
SfF32 sf_bf16_to_f32(SfEnv *env, SfBF16 a);
SfBF16 sf_f32_to_bf16(SfEnv *env, SfF32 a);
SfBF16 sf_f64_to_bf16(SfEnv *env, SfF64 a);
