/* SPDX-License-Identifier: MIT */
/* The rules in which guests differ and that neither MPFR nor the host's units can show: NaN
   choice of other guests, conversions out of range, minimum and maximum, Arm flushing, default
   NaNs, classes, fixed point, bf16. Expected values are from the manuals. */
#include "softfloat/softfloat.h"
#include <glib.h>

enum {
    F32_QNAN1 = 0x7fc00001,
    F32_QNAN2 = 0x7fe00002,
    F32_SNAN1 = 0x7f800011,
    F32_SNAN2 = 0x7f900012,
    F32_DEFAULT = 0x7fc00000,
    F32_INF = 0x7f800000,
    F32_ONE = 0x3f800000,
    F32_TWO = 0x40000000,
    F32_MIN_NORMAL = 0x00800000,
    QUIET = 0x00400000
};
#define F32_NEG(x) ((uint32_t)(x) | 0x80000000u)

#define check(env, expr, want, want_flags)                                                         \
    do {                                                                                           \
        (env).flags = 0;                                                                           \
        g_assert_cmphex((uint64_t)(expr), ==, (uint64_t)(want));                                   \
        g_assert_cmphex((env).flags, ==, (unsigned)(want_flags));                                  \
    } while (0)

static void test_nan_first_snan(void)
{
    SfEnv e = { .propagate = SF_PROPAGATE_FIRST_SNAN };
    check(e, sf_f32_add(&e, F32_QNAN1, F32_QNAN2), F32_QNAN1, 0);
    check(e, sf_f32_add(&e, F32_QNAN1, F32_SNAN2), F32_SNAN2 | QUIET, SF_INVALID);
    check(e, sf_f32_add(&e, F32_SNAN1, F32_SNAN2), F32_SNAN1 | QUIET, SF_INVALID);
    check(e, sf_f32_sub(&e, F32_ONE, F32_QNAN2), F32_QNAN2, 0);
    check(e, sf_f32_sqrt(&e, F32_NEG(F32_SNAN1)), F32_NEG(F32_SNAN1 | QUIET), SF_INVALID);
    /* the addend comes first, then a, then b; signalling ones before quiet ones */
    check(e, sf_f32_fma(&e, F32_QNAN1, F32_QNAN2, 0x7fc00003, 0), 0x7fc00003, 0);
    check(e, sf_f32_fma(&e, F32_SNAN1, F32_SNAN2, F32_QNAN2, 0), F32_SNAN1 | QUIET, SF_INVALID);
    check(e, sf_f32_fma(&e, F32_QNAN1, F32_SNAN2, F32_QNAN2, 0), F32_SNAN2 | QUIET, SF_INVALID);
    check(e, sf_f32_fma(&e, F32_SNAN1, F32_ONE, F32_SNAN2, 0), F32_SNAN2 | QUIET, SF_INVALID);
    check(e, sf_f32_fma(&e, F32_INF, 0, F32_QNAN2, 0), F32_DEFAULT, SF_INVALID);
    check(e, sf_f32_fma(&e, F32_INF, 0, F32_SNAN2, 0), F32_SNAN2 | QUIET, SF_INVALID);
    check(e, sf_f32_fma(&e, F32_INF, 0, F32_ONE, 0), F32_DEFAULT, SF_INVALID);
}

static void test_nan_first(void)
{
    SfEnv e = { .propagate = SF_PROPAGATE_FIRST };
    check(e, sf_f32_add(&e, F32_QNAN1, F32_SNAN2), F32_QNAN1, SF_INVALID);
    check(e, sf_f32_add(&e, F32_ONE, F32_SNAN2), F32_SNAN2 | QUIET, SF_INVALID);
    check(e, sf_f32_fma(&e, F32_ONE, F32_QNAN1, F32_QNAN2, 0), F32_QNAN2, 0);
    check(e, sf_f32_fma(&e, F32_ONE, F32_SNAN1, F32_QNAN2, 0), F32_QNAN2, SF_INVALID);
    check(e, sf_f32_fma(&e, F32_ONE, F32_QNAN1, F32_ONE, 0), F32_QNAN1, 0);
    check(e, sf_f32_fma(&e, 0, F32_INF, F32_QNAN2, 0), F32_QNAN2, SF_INVALID);
}

static void test_nan_default(void)
{
    SfEnv e = { .default_nan = true }, x86 = { .negative_default = true };
    check(e, sf_f32_add(&e, F32_NEG(F32_QNAN1), F32_ONE), F32_DEFAULT, 0);
    check(e, sf_f32_mul(&e, F32_SNAN1, F32_ONE), F32_DEFAULT, SF_INVALID);
    check(e, sf_f32_to_f64(&e, F32_SNAN1), UINT64_C(0x7ff8000000000000), SF_INVALID);
    check(e, sf_f32_fma(&e, F32_INF, 0, F32_QNAN2, 0), F32_DEFAULT, SF_INVALID);
    e.propagate = SF_PROPAGATE_X86; /* must not matter with default_nan */
    check(e, sf_f32_fma(&e, F32_INF, 0, F32_QNAN2, 0), F32_DEFAULT, SF_INVALID);

    g_assert_cmphex(sf_f16_default_nan(&e), ==, 0x7e00);
    g_assert_cmphex(sf_f32_default_nan(&x86), ==, 0xffc00000);
    g_assert_cmphex(sf_f64_default_nan(&x86), ==, UINT64_C(0xfff8000000000000));
    g_assert_cmphex(sf_f80_default_nan(&x86).sign_exponent, ==, 0xffff);
    g_assert_cmphex(sf_f80_default_nan(&x86).mantissa, ==, UINT64_C(0xc000000000000000));
    g_assert_cmphex(sf_f128_default_nan(&e).hi, ==, UINT64_C(0x7fff800000000000));
    g_assert_cmphex(sf_f128_default_nan(&e).lo, ==, 0);
}

static void test_nan_conversion(void)
{
    SfEnv e = { 0 };
    check(e, sf_f64_to_f32(&e, UINT64_C(0xfff0000020000001)), 0xffc00001, SF_INVALID);
    check(e, sf_f64_to_f16(&e, UINT64_C(0x7ff0000000000001)), 0x7e00, SF_INVALID);
    check(e, sf_f32_to_f64(&e, F32_QNAN1), UINT64_C(0x7ff8000020000000), 0);
    check(e, sf_f32_to_f80(&e, F32_NEG(F32_QNAN1)).mantissa, UINT64_C(0xc000010000000000), 0);
    check(e, sf_f32_to_f128(&e, F32_NEG(F32_QNAN1)).hi, UINT64_C(0xffff800002000000), 0);
}

static void test_minmax(void)
{
    SfEnv e = { 0 };
    uint32_t nz = F32_NEG(0);
    check(e, sf_f32_min(&e, F32_ONE, F32_TWO, SF_MINMAX_NUMBER), F32_ONE, 0);
    check(e, sf_f32_max(&e, F32_ONE, F32_TWO, SF_MINMAX_NUMBER), F32_TWO, 0);
    check(e, sf_f32_min(&e, 0, nz, SF_MINMAX_NUMBER), nz, 0);
    check(e, sf_f32_max(&e, nz, 0, SF_MINMAX_NAN), 0, 0);
    check(e, sf_f32_max(&e, 0, nz, SF_MINMAX_NUMBER_2008), 0, 0);
    check(e, sf_f32_max(&e, 0, nz, SF_MINMAX_X86), nz, 0);
    check(e, sf_f32_min(&e, nz, 0, SF_MINMAX_X86), 0, 0);
    check(e, sf_f32_min(&e, F32_QNAN1, F32_ONE, SF_MINMAX_NUMBER), F32_ONE, 0);
    check(e, sf_f32_min(&e, F32_ONE, F32_SNAN1, SF_MINMAX_NUMBER), F32_ONE, SF_INVALID);
    check(e, sf_f32_min(&e, F32_QNAN1, F32_QNAN2, SF_MINMAX_NUMBER), F32_QNAN1, 0);
    check(e, sf_f32_min(&e, F32_QNAN1, F32_ONE, SF_MINMAX_NUMBER_2008), F32_ONE, 0);
    check(e, sf_f32_min(&e, F32_ONE, F32_SNAN1, SF_MINMAX_NUMBER_2008), F32_SNAN1 | QUIET,
          SF_INVALID);
    check(e, sf_f32_min(&e, F32_ONE, F32_QNAN2, SF_MINMAX_NAN), F32_QNAN2, 0);
    check(e, sf_f32_max(&e, F32_SNAN1, F32_ONE, SF_MINMAX_NAN), F32_SNAN1 | QUIET, SF_INVALID);
    check(e, sf_f32_max(&e, F32_SNAN1, F32_ONE, SF_MINMAX_X86), F32_ONE, SF_INVALID);
    check(e, sf_f32_max(&e, F32_ONE, F32_SNAN1, SF_MINMAX_X86), F32_SNAN1, SF_INVALID);
    e.flush_outputs = true; /* an operand is not a result that could be tiny */
    check(e, sf_f32_min(&e, 1, F32_ONE, SF_MINMAX_NUMBER), 1, SF_INPUT_DENORMAL);
    e.flush_inputs = true;
    check(e, sf_f32_max(&e, 0, 1, SF_MINMAX_NUMBER), 0, SF_INPUT_DENORMAL);
}

static void test_to_int(void)
{
    SfEnv e = { 0 };
    const SfF32 big = 0x4f800000 /* 2^32 */, low = F32_NEG(big), minus = F32_NEG(F32_ONE);
    const struct { SfToInt rule; uint32_t nan, pos, neg, unan, upos, uneg; } t[] = {
        { SF_TOINT_SATURATE_NAN_ZERO, 0, INT32_MAX, 0x80000000, 0, UINT32_MAX, 0 },
        { SF_TOINT_SATURATE_NAN_MAX, INT32_MAX, INT32_MAX, 0x80000000, UINT32_MAX, UINT32_MAX, 0 },
        { SF_TOINT_SATURATE_NAN_MIN, 0x80000000, INT32_MAX, 0x80000000, 0, UINT32_MAX, 0 },
        { SF_TOINT_X86, 0x80000000, 0x80000000, 0x80000000, UINT32_MAX, UINT32_MAX, UINT32_MAX },
        { SF_TOINT_MODULO, 0, 0, 0, 0, 0, UINT32_MAX },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(t); i++) {
        SfToInt rule = t[i].rule;
        check(e, (uint32_t)sf_f32_to_i32(&e, F32_QNAN1, SF_RNE, rule), t[i].nan, SF_INVALID);
        check(e, (uint32_t)sf_f32_to_i32(&e, big, SF_RNE, rule), t[i].pos, SF_INVALID);
        check(e, (uint32_t)sf_f32_to_i32(&e, low, SF_RNE, rule), t[i].neg, SF_INVALID);
        check(e, sf_f32_to_u32(&e, F32_NEG(F32_SNAN1), SF_RNE, rule), t[i].unan, SF_INVALID);
        check(e, sf_f32_to_u32(&e, big, SF_RNE, rule), t[i].upos, SF_INVALID);
        check(e, sf_f32_to_u32(&e, minus, SF_RNE, rule), t[i].uneg, SF_INVALID);
        /* in range all agree: 2.5, and -0.25 to unsigned */
        check(e, (uint32_t)sf_f32_to_i32(&e, 0x40200000, SF_RNE, rule), 2, SF_INEXACT);
        check(e, (uint32_t)sf_f32_to_i32(&e, 0x40200000, SF_RMM, rule), 3, SF_INEXACT);
        check(e, sf_f32_to_u32(&e, 0xbe800000, SF_RNE, rule), 0, SF_INEXACT);
    }
    check(e, (uint64_t)sf_f64_to_i32(&e, UINT64_C(0xc1e0000000000000), SF_RTZ, SF_TOINT_X86),
          UINT64_C(0xffffffff80000000), 0);
    check(e, sf_f32_to_int(&e, 0x43000000, SF_RTZ, 8, true, SF_TOINT_SATURATE_NAN_ZERO), 127,
          SF_INVALID); /* 128 */
    check(e, sf_f32_to_int(&e, 0xc3000000, SF_RTZ, 8, true, SF_TOINT_SATURATE_NAN_ZERO),
          (uint64_t)-128, 0);
    check(e, sf_f32_to_int(&e, 0x43800000, SF_RTZ, 8, false, SF_TOINT_SATURATE_NAN_ZERO), 255,
          SF_INVALID);
    /* JavaScript: 2^32 + 3 is 3; -(2^32 + 3) is -3 */
    check(e, (uint32_t)sf_f64_to_i32(&e, UINT64_C(0x41f0000000300000), SF_RTZ, SF_TOINT_MODULO), 3,
          SF_INVALID);
    check(e, (uint32_t)sf_f64_to_i32(&e, UINT64_C(0xc1f0000000300000), SF_RTZ, SF_TOINT_MODULO),
          (uint32_t)-3, SF_INVALID);
}

static void test_fixed(void)
{
    SfEnv e = { 0 };
    check(e, sf_f32_to_fixed(&e, 0x3fc00000, SF_RTZ, 16, 32, true, SF_TOINT_SATURATE_NAN_ZERO),
          0x18000, 0); /* 1.5 */
    check(e, sf_f32_to_fixed(&e, 0x7f7fffff, SF_RTZ, 64, 64, false, SF_TOINT_SATURATE_NAN_ZERO),
          UINT64_MAX, SF_INVALID);
    check(e, sf_f32_from_fixed(&e, 0x18000, true, 16), 0x3fc00000, 0);
    check(e, sf_f64_from_fixed(&e, (uint64_t)-1, true, 1), UINT64_C(0xbfe0000000000000), 0);
    check(e, sf_f64_from_fixed(&e, (uint64_t)-1, false, 64), UINT64_C(0x3ff0000000000000),
          SF_INEXACT);
    check(e, sf_f32_from_fixed(&e, 1, true, INT32_MIN), F32_INF, SF_OVERFLOW | SF_INEXACT);
    check(e, sf_f32_to_fixed(&e, F32_ONE, SF_RTZ, INT32_MAX, 64, true, SF_TOINT_MODULO), 0,
          SF_INVALID);
    check(e, sf_f32_scalb(&e, F32_ONE, INT32_MIN), 0, SF_UNDERFLOW | SF_INEXACT);
    check(e, sf_f32_scalb(&e, F32_ONE, -149), 1, 0);
}

static void test_flush(void)
{
    SfEnv arm = { .flush_inputs = true, .flush_outputs = true, .tiny_before = true };
    SfEnv none = { .tiny_before = true };
    check(arm, sf_f32_add(&arm, 1, F32_ONE), F32_ONE, SF_INPUT_DENORMAL);
    check(arm, sf_f32_add(&arm, 1, F32_QNAN1), F32_QNAN1, SF_INPUT_DENORMAL);
    check(arm, sf_f32_div(&arm, F32_ONE, F32_NEG(1)), F32_NEG(F32_INF),
          SF_INPUT_DENORMAL | SF_DIVZERO);
    check(arm, sf_f32_mul(&arm, F32_NEG(F32_MIN_NORMAL), 0x3f000000), F32_NEG(0), SF_UNDERFLOW);
    check(arm, (uint64_t)sf_f32_eq(&arm, 1, F32_NEG(2), false), true, SF_INPUT_DENORMAL);
    check(arm, sf_f32_to_f64(&arm, 1), 0, SF_INPUT_DENORMAL);
    check(arm, sf_f32_round_to_int(&arm, 1, SF_RUP, true), 0, SF_INPUT_DENORMAL);
    /* (1 - 2^-24) * 2^-126 rounds to the least normal number: tiny only before rounding */
    check(arm, sf_f32_mul(&arm, F32_MIN_NORMAL, 0x3f7fffff), 0, SF_UNDERFLOW);
    check(none, sf_f32_mul(&none, F32_MIN_NORMAL, 0x3f7fffff), F32_MIN_NORMAL,
          SF_UNDERFLOW | SF_INEXACT);
    none.tiny_before = false; /* with 24 bits it is exact, and so tiny both ways */
    check(none, sf_f32_mul(&none, F32_MIN_NORMAL, 0x3f7fffff), F32_MIN_NORMAL,
          SF_UNDERFLOW | SF_INEXACT);
    /* (1 - 2^-53) * 2^-126: with 24 bits and no bound, up to 2^-126; so not tiny after rounding */
    none.round = SF_RUP;
    check(none, sf_f64_to_f32(&none, UINT64_C(0x380fffffffffffff)), F32_MIN_NORMAL, SF_INEXACT);
    none.tiny_before = true;
    check(none, sf_f64_to_f32(&none, UINT64_C(0x380fffffffffffff)), F32_MIN_NORMAL,
          SF_UNDERFLOW | SF_INEXACT);
}

static void test_f80(void)
{
    SfEnv e = { .negative_default = true, .propagate = SF_PROPAGATE_X87 };
    const SfF80 one = { UINT64_C(1) << 63, 0x3fff }, unnormal = { UINT64_C(1) << 62, 0x3fff };
    const SfF80 pseudo_inf = { 0, 0x7fff }, pseudo_denormal = { UINT64_C(1) << 63, 0 };
    const SfF80 least_normal = { UINT64_C(1) << 63, 1 };
    check(e, sf_f80_add(&e, unnormal, one).sign_exponent, 0xffff, SF_INVALID);
    check(e, sf_f80_to_f32(&e, pseudo_inf), 0xffc00000, SF_INVALID);
    check(e, (uint32_t)sf_f80_to_i32(&e, unnormal, SF_RNE, SF_TOINT_X86), 0x80000000, SF_INVALID);
    check(e, (uint64_t)sf_f80_unordered(&e, unnormal, one, false), true, SF_INVALID);
    check(e, (uint64_t)sf_f80_eq(&e, pseudo_denormal, least_normal, false), true,
          SF_INPUT_DENORMAL);
    check(e, sf_f80_classify(unnormal), SF_CLASS_UNSUPPORTED, 0);
    check(e, sf_f80_classify(pseudo_denormal), SF_CLASS_POS_SUBNORMAL, 0);
    g_assert_true(sf_f80_is_nan(pseudo_inf) && sf_f80_is_snan(pseudo_inf));
    g_assert_false(sf_f80_is_nan(one));
}

static void test_classify(void)
{
    static const struct { uint32_t v; unsigned bit; } t[] = {
        { 0xff800000, 0 }, { 0xbf800000, 1 }, { 0x80000001, 2 }, { 0x80000000, 3 }, { 0, 4 },
        { 0x007fffff, 5 }, { F32_MIN_NORMAL, 6 }, { F32_INF, 7 }, { F32_SNAN1, 8 },
        { F32_QNAN1, 9 }, { 0xffffffff, 9 },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(t); i++) {
        g_assert_cmphex(sf_f32_classify(t[i].v), ==, 1u << t[i].bit);
        g_assert_cmpint(sf_f32_is_nan(t[i].v), ==, t[i].bit >= 8);
        g_assert_cmpint(sf_f32_is_snan(t[i].v), ==, t[i].bit == 8);
    }
}

static void test_compare(void)
{
    SfEnv e = { 0 };
    check(e, (uint64_t)sf_f32_eq(&e, 0, F32_NEG(0), true), true, 0);
    check(e, (uint64_t)sf_f32_lt(&e, F32_NEG(F32_INF), F32_ONE, true), true, 0);
    check(e, (uint64_t)sf_f32_le(&e, F32_QNAN1, F32_ONE, true), false, SF_INVALID);
    check(e, (uint64_t)sf_f32_le(&e, F32_QNAN1, F32_ONE, false), false, 0);
    check(e, (uint64_t)sf_f32_eq(&e, F32_SNAN1, F32_ONE, false), false, SF_INVALID);
    check(e, (uint64_t)sf_f32_unordered(&e, F32_ONE, F32_QNAN1, false), true, 0);
}

static void test_quotient(void)
{
    SfEnv e = { 0 };
    uint64_t q;
    /* 17 by 5 and 18 by 5, -18 by 5 */
    check(e, sf_f32_rem_quotient(&e, 0x41880000, 0x40a00000, true, &q), 0x40000000, 0);
    g_assert_cmpuint(q, ==, 3);
    check(e, sf_f32_rem_quotient(&e, 0x41900000, 0x40a00000, false, &q), 0xc0000000, 0);
    g_assert_cmpuint(q, ==, 4);
    check(e, sf_f32_rem_quotient(&e, 0xc1900000, 0x40a00000, true, &q), 0xc0400000, 0);
    g_assert_cmpuint(q, ==, 3);
    check(e, sf_f32_rem_quotient(&e, F32_ONE, F32_INF, false, &q), F32_ONE, 0);
    g_assert_cmpuint(q, ==, 0);
    check(e, sf_f32_rem_quotient(&e, F32_INF, F32_ONE, false, &q), F32_DEFAULT, SF_INVALID);
    g_assert_cmpuint(q, ==, 0);
}

static void test_bf16(void)
{
    SfEnv e = { 0 };
    check(e, sf_bf16_to_f32(&e, 0x3f80), F32_ONE, 0);
    check(e, sf_f32_to_bf16(&e, 0x3f808000), 0x3f80, SF_INEXACT); /* a tie, to even */
    check(e, sf_f32_to_bf16(&e, 0x3f818000), 0x3f82, SF_INEXACT);
    check(e, sf_f32_to_bf16(&e, F32_SNAN1), 0x7fc0, SF_INVALID);
    check(e, sf_f64_to_bf16(&e, UINT64_C(0x7fefffffffffffff)), 0x7f80, SF_OVERFLOW | SF_INEXACT);
}

static void test_negate(void)
{
    SfEnv e = { 0 };
    for (unsigned n = 0; n < 4; n++) { /* 2 * 2 with 1 */
        static const uint32_t want[] = { 0x40a00000, 0xc0400000, 0x40400000, 0xc0a00000 };
        check(e, sf_f32_fma(&e, F32_TWO, F32_TWO, F32_ONE, n), want[n], 0);
        check(e, sf_f32_fma(&e, F32_TWO, F32_TWO, F32_QNAN1, n), F32_QNAN1, 0);
    }
    check(e, sf_f32_fma(&e, F32_INF, F32_ONE, F32_INF, SF_NEGATE_ADDEND), F32_DEFAULT, SF_INVALID);
    check(e, sf_f32_fma(&e, 0, F32_ONE, 0, SF_NEGATE_ADDEND | SF_NEGATE_PRODUCT), F32_NEG(0), 0);
    check(e, sf_f32_fma(&e, 0, F32_ONE, 0, SF_NEGATE_ADDEND), 0, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/softfloat/nan/first_snan", test_nan_first_snan);
    g_test_add_func("/softfloat/nan/first", test_nan_first);
    g_test_add_func("/softfloat/nan/default", test_nan_default);
    g_test_add_func("/softfloat/nan/conversion", test_nan_conversion);
    g_test_add_func("/softfloat/minmax", test_minmax);
    g_test_add_func("/softfloat/to_int", test_to_int);
    g_test_add_func("/softfloat/fixed", test_fixed);
    g_test_add_func("/softfloat/flush", test_flush);
    g_test_add_func("/softfloat/f80", test_f80);
    g_test_add_func("/softfloat/classify", test_classify);
    g_test_add_func("/softfloat/compare", test_compare);
    g_test_add_func("/softfloat/quotient", test_quotient);
    g_test_add_func("/softfloat/bf16", test_bf16);
    g_test_add_func("/softfloat/negate", test_negate);
    return g_test_run();
}
