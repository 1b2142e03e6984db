/* SPDX-License-Identifier: MIT */
/* Values and flags of all formats against MPFR: the exact result is taken to ten bits more than
   the format has, made odd when inexact, and rounded here by scaling to an integer, which is as
   unlike the library's way as can be. Every pair of special values and random ones, in every
   rounding mode and both rules of tininess. NaN operands are in test_rules.c. */
#include "softfloat/softfloat.h"
#include <glib.h>
#include <mpfr.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RANDOM_COUNT 20000
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define RANDOM_COUNT 20000
#endif
#endif
#ifndef RANDOM_COUNT
#define RANDOM_COUNT 100000
#endif

typedef struct Format {
    const char *name;
    int exp_bits, frac_bits;
    bool explicit_bit;
    SfU128 (*add)(SfEnv *, SfU128, SfU128);
    SfU128 (*sub)(SfEnv *, SfU128, SfU128);
    SfU128 (*mul)(SfEnv *, SfU128, SfU128);
    SfU128 (*div)(SfEnv *, SfU128, SfU128);
    SfU128 (*rem)(SfEnv *, SfU128, SfU128);
    SfU128 (*mod)(SfEnv *, SfU128, SfU128);
    SfU128 (*sqrt)(SfEnv *, SfU128);
    SfU128 (*rint)(SfEnv *, SfU128);
    SfU128 (*fma)(SfEnv *, SfU128, SfU128, SfU128);
    SfU128 (*scalb)(SfEnv *, SfU128, int);
    SfRelation (*compare)(SfEnv *, SfU128, SfU128);
    SfU128 (*from_i128)(SfEnv *, SfI128);
    SfU128 (*to_i128)(SfEnv *, SfU128);
    SfU128 (*to_u128)(SfEnv *, SfU128);
    uint64_t (*to_int)(SfEnv *, SfU128, unsigned, bool);
    SfU128 (*to[5])(SfEnv *, SfU128);
} Format;

static SfU128 get_f16(SfF16 v) { return v; }
static SfU128 get_f32(SfF32 v) { return v; }
static SfU128 get_f64(SfF64 v) { return v; }
static SfU128 get_f80(SfF80 v) { return (SfU128)v.sign_exponent << 64 | v.mantissa; }
static SfU128 get_f128(SfF128 v) { return (SfU128)v.hi << 64 | v.lo; }
static SfF16 put_f16(SfU128 v) { return (SfF16)v; }
static SfF32 put_f32(SfU128 v) { return (SfF32)v; }
static SfF64 put_f64(SfU128 v) { return (SfF64)v; }
static SfF80 put_f80(SfU128 v) { return (SfF80){ (uint64_t)v, (uint16_t)(v >> 64) }; }
static SfF128 put_f128(SfU128 v) { return (SfF128){ (uint64_t)v, (uint64_t)(v >> 64) }; }

#define OP2(X, OP)                                                                                 \
    static SfU128 X##_##OP(SfEnv *e, SfU128 a, SfU128 b)                                           \
    {                                                                                              \
        return get_##X(sf_##X##_##OP(e, put_##X(a), put_##X(b)));                                  \
    }
#define TO(X, Y)                                                                                   \
    static SfU128 X##_to_##Y(SfEnv *e, SfU128 a) { return get_##Y(sf_##X##_to_##Y(e, put_##X(a))); }
#define OPS(X)                                                                                     \
    OP2(X, add) OP2(X, sub) OP2(X, mul) OP2(X, div) OP2(X, rem)                                    \
    static SfU128 X##_mod(SfEnv *e, SfU128 a, SfU128 b)                                            \
    {                                                                                              \
        uint64_t q;                                                                                \
        return get_##X(sf_##X##_rem_quotient(e, put_##X(a), put_##X(b), true, &q));                \
    }                                                                                              \
    static SfU128 X##_sqrt(SfEnv *e, SfU128 a) { return get_##X(sf_##X##_sqrt(e, put_##X(a))); }   \
    static SfU128 X##_rint(SfEnv *e, SfU128 a)                                                     \
    {                                                                                              \
        return get_##X(sf_##X##_round_to_int(e, put_##X(a), (SfRound)e->round, true));             \
    }                                                                                              \
    static SfU128 X##_fma(SfEnv *e, SfU128 a, SfU128 b, SfU128 c)                                  \
    {                                                                                              \
        return get_##X(sf_##X##_fma(e, put_##X(a), put_##X(b), put_##X(c), 0));                    \
    }                                                                                              \
    static SfU128 X##_scalb(SfEnv *e, SfU128 a, int n)                                             \
    {                                                                                              \
        return get_##X(sf_##X##_scalb(e, put_##X(a), n));                                          \
    }                                                                                              \
    static SfRelation X##_compare(SfEnv *e, SfU128 a, SfU128 b)                                    \
    {                                                                                              \
        return sf_##X##_compare(e, put_##X(a), put_##X(b), true);                                  \
    }                                                                                              \
    static SfU128 X##_from_i128(SfEnv *e, SfI128 v) { return get_##X(sf_##X##_from_i128(e, v)); }  \
    static SfU128 X##_to_i128(SfEnv *e, SfU128 a)                                                  \
    {                                                                                              \
        return (SfU128)sf_##X##_to_i128(e, put_##X(a), (SfRound)e->round,                          \
                                        SF_TOINT_SATURATE_NAN_ZERO);                               \
    }                                                                                              \
    static SfU128 X##_to_u128(SfEnv *e, SfU128 a)                                                  \
    {                                                                                              \
        return sf_##X##_to_u128(e, put_##X(a), (SfRound)e->round, SF_TOINT_SATURATE_NAN_ZERO);     \
    }                                                                                              \
    static uint64_t X##_to_int(SfEnv *e, SfU128 a, unsigned bits, bool is_signed)                  \
    {                                                                                              \
        return sf_##X##_to_int(e, put_##X(a), (SfRound)e->round, bits, is_signed,                  \
                               SF_TOINT_SATURATE_NAN_ZERO);                                        \
    }
OPS(f16) OPS(f32) OPS(f64) OPS(f80) OPS(f128)
TO(f16, f32) TO(f16, f64) TO(f16, f80) TO(f16, f128)
TO(f32, f16) TO(f32, f64) TO(f32, f80) TO(f32, f128)
TO(f64, f16) TO(f64, f32) TO(f64, f80) TO(f64, f128)
TO(f80, f16) TO(f80, f32) TO(f80, f64) TO(f80, f128)
TO(f128, f16) TO(f128, f32) TO(f128, f64) TO(f128, f80)

#define ENTRY(X, E, F, EXPLICIT, ...)                                                              \
    { #X, E, F, EXPLICIT, X##_add, X##_sub, X##_mul, X##_div, X##_rem, X##_mod, X##_sqrt,          \
      X##_rint, X##_fma, X##_scalb, X##_compare, X##_from_i128, X##_to_i128, X##_to_u128,          \
      X##_to_int, { __VA_ARGS__ } }
static const Format formats[5] = {
    ENTRY(f16, 5, 10, false, NULL, f16_to_f32, f16_to_f64, f16_to_f80, f16_to_f128),
    ENTRY(f32, 8, 23, false, f32_to_f16, NULL, f32_to_f64, f32_to_f80, f32_to_f128),
    ENTRY(f64, 11, 52, false, f64_to_f16, f64_to_f32, NULL, f64_to_f80, f64_to_f128),
    ENTRY(f80, 15, 63, true, f80_to_f16, f80_to_f32, f80_to_f64, NULL, f80_to_f128),
    ENTRY(f128, 15, 112, false, f128_to_f16, f128_to_f32, f128_to_f64, f128_to_f80, NULL),
};

/* ---- encodings */
static int bias(const Format *f) { return (1 << (f->exp_bits - 1)) - 1; }
static int width(const Format *f) { return 1 + f->exp_bits + f->frac_bits + f->explicit_bit; }

static SfU128 encode(const Format *f, bool sign, int e, SfU128 frac)
{
    SfU128 one = (SfU128)1 << f->frac_bits;
    if (f->explicit_bit) {
        SfU128 low = (frac & (one - 1)) | (e ? one : 0);
        return (SfU128)sign << 79 | (SfU128)e << 64 | low;
    }
    return (SfU128)sign << (width(f) - 1) | (SfU128)e << f->frac_bits | (frac & (one - 1));
}

static void set_u128(mpfr_t x, SfU128 v)
{
    mpfr_set_ui(x, (unsigned long)(v >> 64), MPFR_RNDZ);
    mpfr_mul_2ui(x, x, 64, MPFR_RNDZ);
    mpfr_add_ui(x, x, (unsigned long)v, MPFR_RNDZ);
}

/* x has at least 128 bits. Not for NaNs. */
static void decode(const Format *f, SfU128 v, mpfr_t x)
{
    bool sign = v >> (width(f) - 1) & 1;
    int e = (int)(v >> (f->frac_bits + f->explicit_bit)) & ((1 << f->exp_bits) - 1);
    SfU128 one = (SfU128)1 << f->frac_bits, frac = v & (one - 1);
    if (e == (1 << f->exp_bits) - 1) {
        mpfr_set_inf(x, 1);
    } else {
        set_u128(x, e ? frac | one : frac);
        mpfr_mul_2si(x, x, (e ? e : 1) - bias(f) - f->frac_bits, MPFR_RNDZ);
    }
    mpfr_setsign(x, x, sign, MPFR_RNDZ);
}

static SfU128 get_u128(mpfr_t x) /* a non-negative integer below 2^128 */
{
    mpz_t z;
    SfU128 v = 0;
    uint64_t limb[2] = { 0, 0 };
    size_t count;
    mpz_init(z);
    mpfr_get_z(z, x, MPFR_RNDZ);
    mpz_export(limb, &count, -1, 8, 0, 0, z);
    v = (SfU128)limb[1] << 64 | limb[0];
    mpz_clear(z);
    return v;
}

/* n = x / 2^quantum rounded to an integer; returns whether inexact. */
static bool round_at(mpfr_t n, mpfr_t x, long quantum, SfRound round)
{
    mpfr_t q;
    int t = 0;
    mpfr_init2(q, 300);
    mpfr_mul_2si(q, x, -quantum, MPFR_RNDZ);
    switch (round) {
    case SF_RNE: t = mpfr_rint(n, q, MPFR_RNDN); break;
    case SF_RTZ: t = mpfr_rint(n, q, MPFR_RNDZ); break;
    case SF_RDN: t = mpfr_rint(n, q, MPFR_RNDD); break;
    case SF_RUP: t = mpfr_rint(n, q, MPFR_RNDU); break;
    case SF_RMM: t = mpfr_round(n, q); break;
    case SF_RODD:
        t = mpfr_rint(n, q, MPFR_RNDZ);
        mpfr_div_2ui(q, n, 1, MPFR_RNDZ);
        if (t && mpfr_integer_p(q)) { /* even */
            t < 0 ? mpfr_add_ui(n, n, 1, MPFR_RNDZ) : mpfr_sub_ui(n, n, 1, MPFR_RNDZ);
        }
        break;
    }
    mpfr_clear(q);
    return t != 0;
}

/* Encodes x, which stands for the exact result, with `precision` bits; adds flags. */
static SfU128 expect(const Format *f, const SfEnv *env, mpfr_t x, int precision, unsigned *flags)
{
    int max = (1 << f->exp_bits) - 1, emin = 1 - bias(f);
    bool sign = mpfr_signbit(x), tiny, inexact;
    SfRound round = (SfRound)env->round;
    SfU128 v;
    mpfr_t n;

    if (mpfr_inf_p(x) || mpfr_zero_p(x)) {
        return encode(f, sign, mpfr_inf_p(x) ? max : 0, 0);
    }
    mpfr_init2(n, 300);
    long exp = mpfr_get_exp(x) - 1; /* x = 1.m * 2^exp */
    round_at(n, x, exp - precision + 1, round);
    mpfr_mul_2si(n, n, exp - precision + 1, MPFR_RNDZ);
    long after = mpfr_get_exp(n) - 1;
    tiny = (env->tiny_before ? exp : after) < emin;
    if (after > bias(f)) {
        bool infinite = round == SF_RNE || round == SF_RMM || round == (sign ? SF_RDN : SF_RUP);
        *flags |= SF_OVERFLOW | SF_INEXACT;
        mpfr_clear(n);
        return infinite ? encode(f, sign, max, 0)
                        : encode(f, sign, max - 1, ~(SfU128)0 << (f->frac_bits + 1 - precision));
    }
    long quantum = (exp < emin ? emin : exp) - precision + 1;
    inexact = round_at(n, x, quantum, round);
    *flags |= inexact ? SF_INEXACT | (tiny ? SF_UNDERFLOW : 0) : 0;
    /* to units of the format's last place at that exponent */
    mpfr_mul_2si(n, n, f->frac_bits + 1 - precision, MPFR_RNDZ);
    mpfr_abs(n, n, MPFR_RNDZ);
    v = get_u128(n);
    mpfr_clear(n);
    int e = (int)(exp < emin ? emin : exp) + bias(f);
    if (v >> f->frac_bits == 0) {
        e = 0;
    } else if (v >> (f->frac_bits + 1)) {
        v >>= 1;
        e++;
    }
    return encode(f, sign, e, v);
}

/* x was truncated with ternary t: make it odd if that lost something. */
static void stick(mpfr_t x, int t)
{
    if (t != 0 && mpfr_min_prec(x) < mpfr_get_prec(x)) {
        mpfr_sgn(x) > 0 ? mpfr_nextabove(x) : mpfr_nextbelow(x);
    }
}

/* ---- operands */
static SfU128 random_bits(GRand *rand)
{
    SfU128 v = 0;
    for (int i = 0; i < 4; i++) {
        v = v << 32 | g_rand_int(rand);
    }
    return v;
}

/* Exponents near each other and near the ends, long runs in the fraction; no NaN. */
static SfU128 random_value(GRand *rand, const Format *f)
{
    int max = (1 << f->exp_bits) - 1, e;
    SfU128 frac = random_bits(rand);
    switch (g_rand_int_range(rand, 0, 4)) {
    case 0: e = g_rand_int_range(rand, 0, max); break;
    case 1: e = bias(f) + g_rand_int_range(rand, -6, 7); break;
    case 2: e = g_rand_int_range(rand, 0, 3); break;
    default: e = bias(f) + g_rand_int_range(rand, -bias(f) / 2, bias(f) / 2); break;
    }
    switch (g_rand_int_range(rand, 0, 4)) {
    case 0: frac = (SfU128)1 << g_rand_int_range(rand, 0, f->frac_bits); break;
    case 1: frac = ~(SfU128)0 << g_rand_int_range(rand, 0, f->frac_bits); break;
    case 2: frac &= ~(SfU128)0 << (f->frac_bits / 2); break;
    default: break;
    }
    return encode(f, g_rand_boolean(rand), e, frac);
}

static unsigned specials(const Format *f, SfU128 *out)
{
    int b = bias(f), max = (1 << f->exp_bits) - 1, p = f->frac_bits;
    SfU128 ones = ~(SfU128)0, half = (SfU128)1 << (p - 1);
    const struct { int e; SfU128 frac; } list[] = {
        { 0, 0 }, { 0, 1 }, { 0, 2 }, { 0, 3 }, { 0, half }, { 0, ones }, { 0, ones << 1 },
        { 1, 0 }, { 1, 1 }, { 1, ones }, { 2, 0 }, { 2, 1 }, { p > b ? 3 : b - p, 1 },
        { b - 2, ones }, { b - 1, 0 }, { b - 1, 1 }, { b - 1, ones }, { b, 0 }, { b, 1 },
        { b, half }, { b, ones }, { b + 1, 0 }, { b + 1, half }, { b + 2, half >> 1 },
        { b + p / 2, 1 }, { p + b >= max ? max - 2 : p + b - 1, 1 },
        { p + b >= max ? max - 2 : p + b, 1 }, { max - 2, ones }, { max - 1, 0 },
        { max - 1, ones << 1 }, { max - 1, ones }, { max, 0 },
    };
    unsigned n = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(list); i++) {
        out[n++] = encode(f, false, list[i].e, list[i].frac);
        out[n++] = encode(f, true, list[i].e, list[i].frac);
    }
    return n;
}

/* ---- checks */
enum { ADD, SUB, MUL, DIV, REM, MOD, SQRT, FMA, OPERATIONS };
static const char *const op_names[] = { "add", "sub", "mul", "div", "rem", "mod", "sqrt", "fma" };

static int exact(int op, mpfr_t r, mpfr_t a, mpfr_t b, mpfr_t c, mpfr_rnd_t rnd)
{
    switch (op) {
    case ADD: return mpfr_add(r, a, b, rnd);
    case SUB: return mpfr_sub(r, a, b, rnd);
    case MUL: return mpfr_mul(r, a, b, rnd);
    case DIV: return mpfr_div(r, a, b, rnd);
    case REM: return mpfr_remainder(r, a, b, rnd);
    case MOD: return mpfr_fmod(r, a, b, rnd);
    case SQRT: return mpfr_sqrt(r, a, rnd);
    default: return mpfr_fma(r, a, b, c, rnd);
    }
}

static SfU128 ours(const Format *f, int op, SfEnv *env, SfU128 a, SfU128 b, SfU128 c)
{
    switch (op) {
    case ADD: return f->add(env, a, b);
    case SUB: return f->sub(env, a, b);
    case MUL: return f->mul(env, a, b);
    case DIV: return f->div(env, a, b);
    case REM: return f->rem(env, a, b);
    case MOD: return f->mod(env, a, b);
    case SQRT: return f->sqrt(env, a);
    default: return f->fma(env, a, b, c);
    }
}

#define HEX "%016" G_GINT64_MODIFIER "x_%016" G_GINT64_MODIFIER "x"
#define HALVES(v) (uint64_t)((v) >> 64), (uint64_t)(v)

static void same(const Format *f, const char *what, const SfEnv *env, const SfU128 *in, SfU128 got,
                 SfU128 want, unsigned flags)
{
    if (got != want || (env->flags & ~SF_INPUT_DENORMAL) != flags) {
        g_error("%s %s round %u tiny_before %u precision %u: " HEX " " HEX " " HEX ": got " HEX
                " flags %#x, want " HEX " flags %#x",
                f->name, what, env->round, env->tiny_before, env->f80_precision, HALVES(in[0]),
                HALVES(in[1]), HALVES(in[2]), HALVES(got), env->flags, HALVES(want), flags);
    }
}

static void check(const Format *f, int op, SfEnv *env, SfU128 a, SfU128 b, SfU128 c)
{
    mpfr_t x, y, z, r;
    SfU128 in[3] = { a, b, c }, want;
    unsigned flags = 0;
    int precision = f->frac_bits + 1;

    if (f->explicit_bit && env->f80_precision && op != REM && op != MOD) {
        precision = env->f80_precision;
    }
    mpfr_inits2(128, x, y, z, (mpfr_ptr)NULL);
    mpfr_init2(r, f->frac_bits + 11);
    decode(f, a, x);
    decode(f, b, y);
    decode(f, c, z);
    int t = exact(op, r, x, y, z, MPFR_RNDZ);
    if (mpfr_zero_p(r) && env->round == SF_RDN) {
        exact(op, r, x, y, z, MPFR_RNDD); /* the sign of a zero sum */
    }
    stick(r, t);
    if (mpfr_nan_p(r)) {
        flags = SF_INVALID;
        want = encode(f, false, (1 << f->exp_bits) - 1, (SfU128)1 << (f->frac_bits - 1));
    } else {
        if (op == DIV && mpfr_zero_p(y) && mpfr_regular_p(x)) {
            flags = SF_DIVZERO;
        }
        want = expect(f, env, r, precision, &flags);
    }
    mpfr_clears(x, y, z, r, (mpfr_ptr)NULL);
    env->flags = 0;
    same(f, op_names[op], env, in, ours(f, op, env, a, b, c), want, flags);
}

/* A mode from a counter, so that all come up everywhere. */
static SfEnv mode(unsigned i)
{
    return (SfEnv){ .round = (uint8_t)(i % 6), .tiny_before = i / 6 % 2 };
}

static void test_special_pairs(gconstpointer data)
{
    const Format *f = data;
    SfU128 v[80];
    unsigned n = specials(f, v), turn = 0;
    for (unsigned i = 0; i < n; i++) {
        for (unsigned j = 0; j < n; j++) {
            for (int op = ADD; op < SQRT; op++) {
                bool slow = op >= REM && f->exp_bits == 15 && (i + j) % 16;
                for (unsigned m = 0; m < (RANDOM_COUNT > 50000 && op < REM ? 12 : 1) && !slow; m++) {
                    SfEnv env = mode(turn++);
                    check(f, op, &env, v[i], v[j], 0);
                }
            }
            for (unsigned m = 0; m < (RANDOM_COUNT > 50000 ? 3 : 1); m++) {
                SfEnv env = mode(turn++);
                check(f, FMA, &env, v[i], v[j], v[(turn * 7 + j) % n]);
            }
            turn += 5;
        }
        for (unsigned m = 0; m < 12; m++) {
            SfEnv env = mode(m);
            check(f, SQRT, &env, v[i], 0, 0);
        }
    }
}

static void test_random(gconstpointer data)
{
    const Format *f = data;
    GRand *rand = g_rand_new_with_seed(20 + (guint32)f->frac_bits);
    for (unsigned i = 0; i < RANDOM_COUNT; i++) {
        SfEnv env = mode(i);
        SfU128 a = random_value(rand, f), b = random_value(rand, f), c = random_value(rand, f);
        for (int op = ADD; op < OPERATIONS; op++) {
            if ((op == REM || op == MOD) && i % 16) {
                continue;
            }
            check(f, op, &env, a, b, c);
        }
        /* sums that nearly cancel */
        env.flags = 0;
        SfU128 product = f->mul(&env, a, b);
        if (!(env.flags & (SF_OVERFLOW | SF_INVALID))) {
            check(f, FMA, &env, a, b, product ^ (SfU128)1 << (width(f) - 1));
        }
    }
    g_rand_free(rand);
}

static void test_precision_control(void)
{
    const Format *f = &formats[3];
    GRand *rand = g_rand_new_with_seed(80);
    for (unsigned i = 0; i < RANDOM_COUNT / 2; i++) {
        SfEnv env = mode(i);
        env.f80_precision = i / 12 % 2 ? 24 : 53;
        SfU128 a = random_value(rand, f), b = random_value(rand, f), c = random_value(rand, f);
        for (int op = ADD; op < OPERATIONS; op++) {
            if (op != REM && op != MOD) {
                check(f, op, &env, a, b, c);
            }
        }
    }
    g_rand_free(rand);
}

static void check_conversions(const Format *f, SfEnv *env, SfU128 a)
{
    SfU128 in[3] = { a, 0, 0 }, want;
    mpfr_t x, r;
    unsigned flags;
    mpfr_inits2(300, x, r, (mpfr_ptr)NULL);
    decode(f, a, x);
    for (unsigned k = 0; k < 5; k++) {
        if (f->to[k] != NULL) {
            const Format *to = &formats[k];
            flags = env->flags = 0;
            want = expect(to, env, x, to->frac_bits + 1, &flags);
            same(f, to->name, env, in, f->to[k](env, a), want, flags);
        }
    }
    flags = env->flags = 0;
    mpfr_set(r, x, MPFR_RNDZ);
    if (mpfr_regular_p(x) && round_at(r, x, 0, (SfRound)env->round)) {
        flags = SF_INEXACT;
    }
    mpfr_setsign(r, r, mpfr_signbit(x), MPFR_RNDZ);
    want = expect(f, env, r, f->frac_bits + 1, &flags);
    same(f, "rint", env, in, f->rint(env, a), want, flags);

    static const unsigned sizes[] = { 8, 16, 32, 64, 128 };
    for (unsigned k = 0; k < 10; k++) {
        unsigned bits = sizes[k / 2];
        bool is_signed = k % 2;
        SfU128 top = (SfU128)1 << (bits - 1), got;
        mpfr_t least, greatest;
        mpfr_inits2(300, least, greatest, (mpfr_ptr)NULL);
        set_u128(greatest, is_signed ? top - 1 : top | (top - 1));
        mpfr_set_ui(least, 0, MPFR_RNDZ);
        if (is_signed) {
            set_u128(least, top);
            mpfr_neg(least, least, MPFR_RNDZ);
        }
        unsigned want_flags = flags;
        mpfr_ptr bound = r;
        if (mpfr_greater_p(r, greatest) || mpfr_less_p(r, least)) {
            bound = mpfr_sgn(r) > 0 ? greatest : least;
            want_flags = SF_INVALID;
        }
        bool negative = mpfr_sgn(bound) < 0;
        mpfr_abs(x, bound, MPFR_RNDZ);
        want = negative ? -get_u128(x) : get_u128(x);
        mpfr_clears(least, greatest, (mpfr_ptr)NULL);
        env->flags = 0;
        if (bits == 128) {
            got = is_signed ? f->to_i128(env, a) : f->to_u128(env, a);
        } else {
            got = f->to_int(env, a, bits, is_signed);
            want = (uint64_t)want;
        }
        same(f, is_signed ? "to signed" : "to unsigned", env, in, got, want, want_flags);
    }
    mpfr_clears(x, r, (mpfr_ptr)NULL);
}

static void check_from_int(const Format *f, SfEnv *env, SfI128 v)
{
    SfU128 in[3] = { (SfU128)v, 0, 0 };
    unsigned flags = env->flags = 0;
    mpfr_t x;
    mpfr_init2(x, 300);
    set_u128(x, v < 0 ? -(SfU128)v : (SfU128)v);
    if (v < 0) {
        mpfr_neg(x, x, MPFR_RNDZ);
    }
    SfU128 want = expect(f, env, x, f->frac_bits + 1, &flags);
    same(f, "from integer", env, in, f->from_i128(env, v), want, flags);
    mpfr_clear(x);
}

static void check_compare(const Format *f, SfU128 a, SfU128 b)
{
    SfEnv env = { 0 };
    mpfr_t x, y;
    mpfr_inits2(128, x, y, (mpfr_ptr)NULL);
    decode(f, a, x);
    decode(f, b, y);
    int want = mpfr_cmp(x, y);
    g_assert_cmpint(f->compare(&env, a, b), ==, want < 0 ? -1 : want > 0);
    g_assert_cmpint(env.flags & ~SF_INPUT_DENORMAL, ==, 0);
    mpfr_clears(x, y, (mpfr_ptr)NULL);
}

static void check_scalb(const Format *f, SfEnv *env, SfU128 a, int n)
{
    SfU128 in[3] = { a, (SfU128)n, 0 };
    unsigned flags = env->flags = 0;
    mpfr_t x;
    mpfr_init2(x, 128);
    decode(f, a, x);
    mpfr_mul_2si(x, x, n, MPFR_RNDZ);
    SfU128 want = expect(f, env, x, f->frac_bits + 1, &flags);
    same(f, "scalb", env, in, f->scalb(env, a, n), want, flags);
    mpfr_clear(x);
}

static void test_conversions(gconstpointer data)
{
    const Format *f = data;
    SfU128 v[80];
    unsigned n = specials(f, v);
    GRand *rand = g_rand_new_with_seed(3);
    for (unsigned i = 0; i < n; i++) {
        for (unsigned m = 0; m < 12; m++) {
            SfEnv env = mode(m);
            check_conversions(f, &env, v[i]);
        }
        for (unsigned j = 0; j < n; j++) {
            check_compare(f, v[i], v[j]);
        }
    }
    for (unsigned i = 0; i < RANDOM_COUNT / 4; i++) {
        SfEnv env = mode(i);
        SfU128 a = random_value(rand, f);
        check_conversions(f, &env, a);
        /* exponents around the integers' widths */
        int e = bias(f) + g_rand_int_range(rand, -3, f->exp_bits == 5 ? 16 : 127);
        check_conversions(f, &env, encode(f, i & 1, e, random_bits(rand)));
        check_from_int(f, &env, (SfI128)random_bits(rand) >> g_rand_int_range(rand, 0, 127));
        check_compare(f, a, random_value(rand, f));
        check_scalb(f, &env, a, g_rand_int_range(rand, -2 * bias(f), 2 * bias(f)));
    }
    g_rand_free(rand);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < 5; i++) {
        const Format *f = &formats[i];
        g_autofree char *a = g_strdup_printf("/softfloat/mpfr/%s/specials", f->name);
        g_autofree char *b = g_strdup_printf("/softfloat/mpfr/%s/random", f->name);
        g_autofree char *c = g_strdup_printf("/softfloat/mpfr/%s/conversions", f->name);
        g_test_add_data_func(a, f, test_special_pairs);
        g_test_add_data_func(b, f, test_random);
        g_test_add_data_func(c, f, test_conversions);
    }
    g_test_add_func("/softfloat/mpfr/f80/precision_control", test_precision_control);
    return g_test_run();
}
