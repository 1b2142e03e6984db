/* SPDX-License-Identifier: MIT */
/* Values, NaNs and every flag (denormal operand too) against the SSE and x87 units of an x86-64
   host, in all rounding modes, DAZ and FTZ settings and precision controls. The instructions
   are given with their control word in one asm statement, so that no compiler moves them. Elsewhere
   there is nothing to compare with: skipped. */
#include "softfloat/softfloat.h"
#include <glib.h>

#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RANDOM_COUNT 30000
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define RANDOM_COUNT 30000
#endif
#endif
#ifndef RANDOM_COUNT
#define RANDOM_COUNT 300000
#endif

/* x86: 0 IE, 1 DE, 2 ZE, 3 OE, 4 UE, 5 PE; both in MXCSR and in the x87 status word */
static unsigned flags_of(unsigned x86)
{
    return ((x86 & 1) ? SF_INVALID : 0) | ((x86 & 2) ? SF_INPUT_DENORMAL : 0) |
           ((x86 & 4) ? SF_DIVZERO : 0) | ((x86 & 8) ? SF_OVERFLOW : 0) |
           ((x86 & 16) ? SF_UNDERFLOW : 0) | ((x86 & 32) ? SF_INEXACT : 0);
}

/* SfRound to the RC field: nearest, down, up, zero */
static const unsigned rc[] = { [SF_RNE] = 0, [SF_RDN] = 1, [SF_RUP] = 2, [SF_RTZ] = 3 };

static SfEnv sse_env(unsigned i)
{
    return (SfEnv){
        .round = (uint8_t)(i & 3),
        .negative_default = true,
        .propagate = SF_PROPAGATE_X86,
        .flush_inputs = (i & 12) == 12,
        .flush_outputs = (i & 20) == 20,
    };
}

static uint32_t mxcsr_of(const SfEnv *env)
{
    return 0x1f80 | rc[env->round] << 13 | (env->flush_inputs ? 0x40u : 0) |
           (env->flush_outputs ? 0x8000u : 0);
}

#define SSE2(NAME, T, X, INSN)                                                                     \
    static T host_##NAME(uint32_t *csr, T a, T b)                                                  \
    {                                                                                              \
        union { T i; X f; } x = { .i = a }, y = { .i = b };                                        \
        uint32_t saved = _mm_getcsr();                                                             \
        __asm__ volatile("ldmxcsr %1\n\t" INSN " %2, %0\n\tstmxcsr %1\n\tldmxcsr %3"               \
                         : "+x"(x.f), "+m"(*csr) : "x"(y.f), "m"(saved));                          \
        return x.i;                                                                                \
    }
/* the result's type differs */
#define SSE1(NAME, R, RX, RC, T, X, INSN)                                                          \
    static R host_##NAME(uint32_t *csr, T a)                                                       \
    {                                                                                              \
        union { T i; X f; } x = { .i = a };                                                        \
        union { R i; RX f; } r = { .i = 0 };                                                       \
        uint32_t saved = _mm_getcsr();                                                             \
        __asm__ volatile("ldmxcsr %1\n\t" INSN " %2, %0\n\tstmxcsr %1\n\tldmxcsr %3"               \
                         : "+" RC(r.f), "+m"(*csr) : "x"(x.f), "m"(saved));                        \
        return r.i;                                                                                \
    }
#define FROM_INT(NAME, R, RX, I, INSN)                                                             \
    static R host_##NAME(uint32_t *csr, I a)                                                       \
    {                                                                                              \
        union { R i; RX f; } r = { .i = 0 };                                                       \
        uint32_t saved = _mm_getcsr();                                                             \
        __asm__ volatile("ldmxcsr %1\n\t" INSN " %2, %0\n\tstmxcsr %1\n\tldmxcsr %3"               \
                         : "+x"(r.f), "+m"(*csr) : "r"(a), "m"(saved));                            \
        return r.i;                                                                                \
    }
#define COMPARE(NAME, T, X, INSN)                                                                  \
    static SfRelation host_##NAME(uint32_t *csr, T a, T b)                                         \
    {                                                                                              \
        union { T i; X f; } x = { .i = a }, y = { .i = b };                                        \
        uint32_t saved = _mm_getcsr();                                                             \
        uint8_t parity, below, zero;                                                               \
        __asm__ volatile("ldmxcsr %3\n\t" INSN " %5, %4\n\tsetp %0\n\tsetb %1\n\tsete %2\n\t"      \
                         "stmxcsr %3\n\tldmxcsr %6"                                                \
                         : "=&q"(parity), "=&q"(below), "=&q"(zero), "+m"(*csr)                    \
                         : "x"(x.f), "x"(y.f), "m"(saved) : "cc");                                 \
        return parity ? SF_UNORDERED : below ? SF_LESS : zero ? SF_EQUAL : SF_GREATER;             \
    }
#define FMA(NAME, T, X, INSN)                                                                      \
    static T host_##NAME(uint32_t *csr, T a, T b, T c)                                             \
    {                                                                                              \
        union { T i; X f; } x = { .i = a }, y = { .i = b }, z = { .i = c };                        \
        uint32_t saved = _mm_getcsr();                                                             \
        __asm__ volatile("ldmxcsr %1\n\t" INSN " %3, %2, %0\n\tstmxcsr %1\n\tldmxcsr %4"           \
                         : "+x"(x.f), "+m"(*csr) : "x"(y.f), "x"(z.f), "m"(saved));                \
        return x.i;                                                                                \
    }
#define FORMAT(P, T, X, S)                                                                         \
    SSE2(P##_add, T, X, "adds" S) SSE2(P##_sub, T, X, "subs" S) SSE2(P##_mul, T, X, "muls" S)      \
    SSE2(P##_div, T, X, "divs" S) SSE2(P##_min, T, X, "mins" S) SSE2(P##_max, T, X, "maxs" S)      \
    SSE1(P##_sqrt, T, X, "x", T, X, "sqrts" S)                                                     \
    SSE1(P##_to_i32, uint32_t, int32_t, "r", T, X, "cvts" S "2si")                                 \
    SSE1(P##_to_i64, uint64_t, int64_t, "r", T, X, "cvts" S "2si")                                 \
    SSE1(P##_truncate, uint64_t, int64_t, "r", T, X, "cvtts" S "2si")                              \
    FROM_INT(P##_from_i32, T, X, int32_t, "cvtsi2s" S "l")                                         \
    FROM_INT(P##_from_i64, T, X, int64_t, "cvtsi2s" S "q")                                         \
    COMPARE(P##_quiet, T, X, "ucomis" S) COMPARE(P##_signalling, T, X, "comis" S)                  \
    FMA(P##_fma, T, X, "vfmadd213s" S) FMA(P##_fnmsub, T, X, "vfnmsub213s" S)                      \
    SSE1(P##_rint, T, X, "x", T, X, "rounds" S " $4,")                                             \
    SSE1(P##_nearbyint, T, X, "x", T, X, "rounds" S " $12,")
FORMAT(f32, uint32_t, float, "s")
FORMAT(f64, uint64_t, double, "d")
SSE1(f32_to_f64, uint64_t, double, "x", uint32_t, float, "cvtss2sd")
SSE1(f64_to_f32, uint32_t, float, "x", uint64_t, double, "cvtsd2ss")

static void same(const char *what, const SfEnv *env, uint64_t a, uint64_t b, uint64_t c,
                 uint64_t got, uint64_t want, uint32_t csr)
{
    unsigned flags = flags_of(csr), mine = env->flags;
    if (env->flush_inputs) { /* DAZ reports nothing, where we say what was flushed */
        flags &= ~(unsigned)SF_INPUT_DENORMAL;
        mine &= ~(unsigned)SF_INPUT_DENORMAL;
    }
    if (got != want || mine != flags) {
        g_error("%s round %u daz %d ftz %d: %#" G_GINT64_MODIFIER "x %#" G_GINT64_MODIFIER
                "x %#" G_GINT64_MODIFIER "x: got %#" G_GINT64_MODIFIER "x flags %#x, want %#"
                G_GINT64_MODIFIER "x flags %#x",
                what, env->round, env->flush_inputs, env->flush_outputs, a, b, c, got, mine, want,
                flags);
    }
}

#define CHECK(WHAT, OURS, HOST)                                                                    \
    do {                                                                                           \
        uint32_t csr = mxcsr_of(&env);                                                             \
        env.flags = 0;                                                                             \
        uint64_t got = (OURS), want = (HOST);                                                      \
        same(WHAT, &env, a, b, c, got, want, csr);                                                 \
    } while (0)

#define CHECK_FORMAT(P, T, I32MASK)                                                                \
    static void check_##P(SfEnv env, T a, T b, T c)                                                \
    {                                                                                              \
        SfRound r = (SfRound)env.round;                                                            \
        CHECK(#P " add", sf_##P##_add(&env, a, b), host_##P##_add(&csr, a, b));                    \
        CHECK(#P " sub", sf_##P##_sub(&env, a, b), host_##P##_sub(&csr, a, b));                    \
        CHECK(#P " mul", sf_##P##_mul(&env, a, b), host_##P##_mul(&csr, a, b));                    \
        CHECK(#P " div", sf_##P##_div(&env, a, b), host_##P##_div(&csr, a, b));                    \
        CHECK(#P " min", sf_##P##_min(&env, a, b, SF_MINMAX_X86), host_##P##_min(&csr, a, b));     \
        CHECK(#P " max", sf_##P##_max(&env, a, b, SF_MINMAX_X86), host_##P##_max(&csr, a, b));     \
        CHECK(#P " sqrt", sf_##P##_sqrt(&env, a), host_##P##_sqrt(&csr, a));                       \
        CHECK(#P " i32", (uint32_t)sf_##P##_to_i32(&env, a, r, SF_TOINT_X86),                      \
              host_##P##_to_i32(&csr, a));                                                         \
        CHECK(#P " i64", (uint64_t)sf_##P##_to_i64(&env, a, r, SF_TOINT_X86),                      \
              host_##P##_to_i64(&csr, a));                                                         \
        CHECK(#P " truncate", (uint64_t)sf_##P##_to_i64(&env, a, SF_RTZ, SF_TOINT_X86),            \
              host_##P##_truncate(&csr, a));                                                       \
        CHECK(#P " from i32", sf_##P##_from_i32(&env, (int32_t)a),                                 \
              host_##P##_from_i32(&csr, (int32_t)a));                                              \
        CHECK(#P " from i64", sf_##P##_from_i64(&env, (int64_t)((uint64_t)a * b)),                 \
              host_##P##_from_i64(&csr, (int64_t)((uint64_t)a * b)));                              \
        CHECK(#P " ucomi", (uint64_t)sf_##P##_compare(&env, a, b, false),                          \
              (uint64_t)host_##P##_quiet(&csr, a, b));                                             \
        CHECK(#P " comi", (uint64_t)sf_##P##_compare(&env, a, b, true),                            \
              (uint64_t)host_##P##_signalling(&csr, a, b));                                        \
        if (__builtin_cpu_supports("sse4.1")) {                                                    \
            CHECK(#P " rint", sf_##P##_round_to_int(&env, a, r, true), host_##P##_rint(&csr, a));  \
            CHECK(#P " nearbyint", sf_##P##_round_to_int(&env, a, r, false),                       \
                  host_##P##_nearbyint(&csr, a));                                                  \
        }                                                                                          \
        if (__builtin_cpu_supports("fma")) {                                                       \
            CHECK(#P " fma", sf_##P##_fma(&env, b, a, c, 0), host_##P##_fma(&csr, a, b, c));       \
            CHECK(#P " fnmsub", sf_##P##_fma(&env, b, a, c, 3), host_##P##_fnmsub(&csr, a, b, c)); \
        }                                                                                          \
    }
CHECK_FORMAT(f32, uint32_t, 0)
CHECK_FORMAT(f64, uint64_t, 0)

static void check_between(SfEnv env, uint64_t a)
{
    uint64_t b = 0, c = 0;
    CHECK("f32 to f64", sf_f32_to_f64(&env, (uint32_t)a), host_f32_to_f64(&csr, (uint32_t)a));
    CHECK("f64 to f32", sf_f64_to_f32(&env, a), host_f64_to_f32(&csr, a));
}

/* ---- operands: exponent and fraction patterns, NaNs included */
static uint64_t pattern(GRand *rand, int exp_bits, int frac_bits)
{
    int max = (1 << exp_bits) - 1, b = max / 2, e;
    uint64_t frac = (uint64_t)g_rand_int(rand) << 32 | g_rand_int(rand);
    switch (g_rand_int_range(rand, 0, 8)) {
    case 0: e = 0; break;
    case 1: e = max; break;
    case 2: e = 1; break;
    case 3: e = max - 1; break;
    case 4: e = g_rand_int_range(rand, 0, max); break;
    case 5: e = b / 2 + g_rand_int_range(rand, -2, 3); break;
    case 6: e = b + g_rand_int_range(rand, 0, frac_bits + 12); break;
    default: e = b + g_rand_int_range(rand, -3, 4); break;
    }
    e = CLAMP(e, 0, max);
    switch (g_rand_int_range(rand, 0, 8)) {
    case 0: frac = 0; break;
    case 1: frac = 1; break;
    case 2: frac = UINT64_MAX; break;
    case 3: frac = UINT64_C(1) << (frac_bits - 1); break;
    case 4: frac = (UINT64_C(1) << (frac_bits - 1)) | 1; break;
    case 5: frac = UINT64_MAX << g_rand_int_range(rand, 0, frac_bits); break;
    default: break;
    }
    frac &= (UINT64_C(1) << frac_bits) - 1;
    return (uint64_t)g_rand_boolean(rand) << (exp_bits + frac_bits) | (uint64_t)e << frac_bits | frac;
}

static void test_sse(void)
{
    GRand *rand = g_rand_new_with_seed(1);
    for (unsigned i = 0; i < RANDOM_COUNT; i++) {
        SfEnv env = sse_env(i);
        check_f32(env, (uint32_t)pattern(rand, 8, 23), (uint32_t)pattern(rand, 8, 23),
                  (uint32_t)pattern(rand, 8, 23));
        check_f64(env, pattern(rand, 11, 52), pattern(rand, 11, 52), pattern(rand, 11, 52));
        check_between(env, pattern(rand, 8, 23));
        uint64_t wide = pattern(rand, 11, 52);
        if (i & 32) { /* around the range of f32 */
            wide = (wide & ~(UINT64_C(0x7ff) << 52)) |
                   (uint64_t)(1023 + g_rand_int_range(rand, -152, 130)) << 52;
        }
        check_between(env, wide);
    }
    g_rand_free(rand);
}

/* ---- x87 */
typedef union Ext {
    long double f;
    struct { uint64_t mantissa; uint16_t se; } i;
} Ext;

#define X87(NAME, INSN)                                                                            \
    static SfF80 host_##NAME(uint16_t cw, uint16_t *sw, SfF80 a, SfF80 b)                          \
    {                                                                                              \
        Ext x, y, r;                                                                               \
        uint16_t saved;                                                                            \
        x.i.mantissa = a.mantissa, x.i.se = a.sign_exponent;                                       \
        y.i.mantissa = b.mantissa, y.i.se = b.sign_exponent;                                       \
        __asm__ volatile("fnstcw %3\n\tfldcw %2\n\tfldt %5\n\tfldt %4\n\tfnclex\n\t" INSN          \
                         "\n\tfnstsw %1\n\tfstpt %0\n\tfnclex\n\tfldcw %3"                         \
                         : "=m"(r), "=m"(*sw) : "m"(cw), "m"(saved), "m"(x), "m"(y)                \
                         : "st", "st(1)", "ax", "cc", "memory");                                               \
        return (SfF80){ r.i.mantissa, r.i.se };                                                    \
    }
/* st is a, st(1) is b */
X87(fadd, "faddp")
X87(fsub, "fsub %%st(1), %%st\n\tfstp %%st(1)")
X87(fmul, "fmulp")
X87(fdiv, "fdiv %%st(1), %%st\n\tfstp %%st(1)")
X87(fsqrt, "fstp %%st(1)\n\tfsqrt")
X87(frndint, "fstp %%st(1)\n\tfrndint")
X87(fprem, "1: fprem\n\tfnstsw %%ax\n\ttestb $4, %%ah\n\tjnz 1b\n\tfstp %%st(1)")
X87(fprem1, "1: fprem1\n\tfnstsw %%ax\n\ttestb $4, %%ah\n\tjnz 1b\n\tfstp %%st(1)")

static void same80(const char *what, const SfEnv *env, SfF80 a, SfF80 b, SfF80 got, SfF80 want,
                   unsigned sw)
{
    if (got.mantissa != want.mantissa || got.sign_exponent != want.sign_exponent ||
        env->flags != flags_of(sw)) {
        g_error("%s round %u precision %u: %04x_%016" G_GINT64_MODIFIER "x %04x_%016"
                G_GINT64_MODIFIER "x: got %04x_%016" G_GINT64_MODIFIER "x flags %#x, want %04x_%016"
                G_GINT64_MODIFIER "x flags %#x",
                what, env->round, env->f80_precision, a.sign_exponent, a.mantissa, b.sign_exponent,
                b.mantissa, got.sign_exponent, got.mantissa, env->flags, want.sign_exponent,
                want.mantissa, flags_of(sw));
    }
}

static SfF80 pattern80(GRand *rand)
{
    uint64_t v = pattern(rand, 11, 52);
    int e = (int)(v >> 52 & 0x7ff);
    uint64_t m = (v & ((UINT64_C(1) << 52) - 1)) << 11;
    m |= g_rand_int_range(rand, 0, 3) ? 0 : g_rand_int(rand) & 0x7ff;
    e = e < 16 ? e : e > 0x7ff - 16 ? 0x7fff - (0x7ff - e) : 0x3fff + (e - 0x3ff);
    /* mostly valid; else pseudo-denormals and the unsupported */
    m |= (e != 0) == (g_rand_int_range(rand, 0, 50) != 0) ? UINT64_C(1) << 63 : 0;
    return (SfF80){ m, (uint16_t)(e | (v >> 63) << 15) };
}

#define CHECK80(OURS, HOST)                                                                        \
    do {                                                                                           \
        uint16_t sw = 0;                                                                           \
        env.flags = 0;                                                                             \
        SfF80 got = (OURS), want = host_##HOST(cw, &sw, a, b);                                     \
        same80(#HOST, &env, a, b, got, want, sw);                                                  \
    } while (0)

static void test_x87(void)
{
    static const uint8_t precisions[] = { 24, 53, 64 };
    static const uint16_t pc[] = { 0, 2, 3 };
    GRand *rand = g_rand_new_with_seed(87);
    for (unsigned i = 0; i < RANDOM_COUNT; i++) {
        SfEnv env = { .round = (uint8_t)(i & 3), .negative_default = true,
                      .propagate = SF_PROPAGATE_X87, .f80_precision = precisions[i / 4 % 3] };
        uint16_t cw = (uint16_t)(0x7f | pc[i / 4 % 3] << 8 | rc[env.round] << 10);
        uint64_t q;
        SfF80 a = pattern80(rand), b = pattern80(rand);
        CHECK80(sf_f80_add(&env, a, b), fadd);
        CHECK80(sf_f80_sub(&env, a, b), fsub);
        CHECK80(sf_f80_mul(&env, a, b), fmul);
        CHECK80(sf_f80_div(&env, a, b), fdiv);
        CHECK80(sf_f80_sqrt(&env, a), fsqrt);
        CHECK80(sf_f80_round_to_int(&env, a, (SfRound)env.round, true), frndint);
        /* far apart the host takes several rounds, and the later ones may start from a subnormal */
        if ((a.sign_exponent & 0x7fff) < (b.sign_exponent & 0x7fff) + 60 ||
            (a.sign_exponent & 0x7fff) == 0x7fff || (b.mantissa >> 63) == 0) {
            CHECK80(sf_f80_rem_quotient(&env, a, b, true, &q), fprem);
            CHECK80(sf_f80_rem(&env, a, b), fprem1);
        }
    }
    g_rand_free(rand);
}
#else
static void test_sse(void)
{
    g_test_skip("no SSE unit here to compare with");
}

static void test_x87(void)
{
    g_test_skip("no x87 here to compare with");
}
#endif

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/softfloat/host/sse", test_sse);
    g_test_add_func("/softfloat/host/x87", test_x87);
    return g_test_run();
}
