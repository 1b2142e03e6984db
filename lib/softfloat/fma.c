/* SPDX-License-Identifier: MIT */
/* Fused multiply-add (IEEE 754-2019 section 5.4.1): the product is kept whole in 256 bits, of
   which the widest format fills 226, so jamming at the low end never meets a significant bit. */
#include "softfloat/softfloat_priv.h"

typedef struct Wide {
    SfU128 hi, lo;
} Wide;

static Wide wide_shift_right_jam(Wide v, unsigned n)
{
    if (n == 0) {
        return v;
    }
    if (n >= 128) {
        Wide r = { 0, sf_shift_right_jam(v.hi, n - 128) };
        r.lo |= v.lo != 0;
        return r;
    }
    return (Wide){ v.hi >> n, v.hi << (128 - n) | sf_shift_right_jam(v.lo, n) };
}

static Wide wide_shift_left(Wide v, unsigned n)
{
    if (n == 0) {
        return v;
    }
    if (n >= 128) {
        return (Wide){ v.lo << (n - 128), 0 };
    }
    return (Wide){ v.hi << n | v.lo >> (128 - n), v.lo << n };
}

static bool wide_less(Wide a, Wide b)
{
    return a.hi < b.hi || (a.hi == b.hi && a.lo < b.lo);
}

/* x, of exponent exp and sign `sign`, plus y, of the others; both have bit 255 set. */
static SfNum wide_add(const SfEnv *env, Wide x, int exp, bool sign, Wide y, int y_exp, bool y_sign)
{
    SfNum r = { SF_NORMAL, sign, false, exp, 0 };
    if (y_exp > exp || (y_exp == exp && wide_less(x, y))) {
        Wide swap = x;
        x = y;
        y = swap;
        r.exp = y_exp;
        r.sign = y_sign;
        y_exp = exp;
    }
    y = wide_shift_right_jam(y, (unsigned)(r.exp - y_exp));
    if (sign == y_sign) {
        x.lo += y.lo;
        SfU128 carry = x.lo < y.lo;
        SfU128 sum = x.hi + y.hi;
        bool out = sum < y.hi;
        x.hi = sum + carry;
        out |= x.hi < sum;
        if (out) {
            x = wide_shift_right_jam(x, 1);
            x.hi |= SF_TOP;
            r.exp++;
        }
    } else {
        x.hi -= y.hi + (x.lo < y.lo);
        x.lo -= y.lo;
        if ((x.hi | x.lo) == 0) {
            r.cls = SF_ZERO;
            r.sign = env->round == SF_RDN;
            return r;
        }
        unsigned shift = x.hi ? sf_clz128(x.hi) : 128 + sf_clz128(x.lo);
        x = wide_shift_left(x, shift);
        r.exp -= (int)shift;
    }
    r.sig = x.hi | (x.lo != 0);
    return r;
}

/* At least one operand is a NaN. */
static SfNum fma_nan(SfEnv *env, const SfNum *a, const SfNum *b, const SfNum *c, bool inf_zero)
{
    bool sse = env->propagate == SF_PROPAGATE_X86 && !env->default_nan;
    if (inf_zero && c->cls == SF_QNAN && !sse) {
        env->flags |= SF_INVALID;
        if (env->propagate == SF_PROPAGATE_FIRST_SNAN) {
            return sf_default_nan(env);
        }
    }
    return sf_nan_result3(env, a, b, c);
}

/* No NaN, no invalid combination; `sign` is the product's. */
static SfNum fma_value(const SfEnv *env, const SfNum *a, const SfNum *b, const SfNum *c, bool sign)
{
    SfNum r = { SF_INF, sign, false, 0, 0 };
    if (a->cls == SF_INF || b->cls == SF_INF) {
        return r;
    }
    if (c->cls == SF_INF) {
        return *c;
    }
    if (a->cls == SF_ZERO || b->cls == SF_ZERO) {
        r = *c;
        if (c->cls == SF_ZERO && c->sign != sign) {
            r.sign = env->round == SF_RDN;
        }
        return r;
    }
    Wide product;
    int exp = a->exp + b->exp + 1;
    sf_mul128(a->sig, b->sig, &product.hi, &product.lo);
    if (!(product.hi >> 127)) {
        product = wide_shift_left(product, 1);
        exp--;
    }
    if (c->cls == SF_ZERO) {
        r.cls = SF_NORMAL;
        r.exp = exp;
        r.sig = product.hi | (product.lo != 0);
        return r;
    }
    return wide_add(env, product, exp, sign, (Wide){ c->sig, 0 }, c->exp, c->sign);
}

SfU128 sf_fma(SfEnv *env, const SfFormat *f, SfU128 a_bits, SfU128 b_bits, SfU128 c_bits,
              unsigned negate)
{
    SfNum a = sf_unpack(env, f, a_bits), b = sf_unpack(env, f, b_bits);
    SfNum c = sf_unpack(env, f, c_bits), r;
    bool inf_zero = (a.cls == SF_INF && b.cls == SF_ZERO) || (a.cls == SF_ZERO && b.cls == SF_INF);
    bool infinite = a.cls == SF_INF || b.cls == SF_INF;

    if (sf_is_nan_class(&a) || sf_is_nan_class(&b) || sf_is_nan_class(&c)) {
        r = fma_nan(env, &a, &b, &c, inf_zero);
    } else {
        bool sign = a.sign ^ b.sign ^ ((negate & SF_NEGATE_PRODUCT) != 0);
        c.sign ^= (negate & SF_NEGATE_ADDEND) != 0;
        if (inf_zero || (infinite && c.cls == SF_INF && c.sign != sign)) {
            r = sf_invalid(env);
        } else {
            sf_note_denormal(env, &a, &b);
            sf_note_denormal(env, &c, &c);
            r = fma_value(env, &a, &b, &c, sign);
        }
    }
    return sf_finish(env, f, &r);
}
