/* SPDX-License-Identifier: MIT */
/* Division, square root and remainder (IEEE 754-2019 section 5.4.1, 5.3.1). Significands of up to
   64 bits are divided by machine division, f128 bit by bit; roots are taken bit by bit, as many as
   the format keeps and two more. A remainder takes one step a bit of the exponents' difference,
   at most about 33000. */
#include "softfloat/softfloat_priv.h"

/* Quotient of two significands with bit 127 set, scaled to have bit 127 set; *exp is lowered by one
   when a < b. Jammed. */
static SfU128 divide(SfU128 a, SfU128 b, int *exp, unsigned precision)
{
    if (a < b) {
        (*exp)--;
    }
    if (precision <= 64) { /* the low halves are zero */
        uint64_t divisor = (uint64_t)(b >> 64);
        SfU128 n = a < b ? a : a >> 1;
        SfU128 high = n / divisor;
        SfU128 rest = (n % divisor) << 64;
        return high << 64 | rest / divisor | (rest % divisor != 0);
    }
    unsigned steps = precision + 2;
    SfU128 q = 0;
    bool carry = false;
    if (a < b) {
        carry = a >> 127;
        a <<= 1;
    }
    for (unsigned i = 0; i < steps; i++) {
        bool one = carry || a >= b;
        a -= one ? b : 0;
        q = q << 1 | one;
        carry = a >> 127;
        a <<= 1;
    }
    return q << (128 - steps) | (a != 0 || carry);
}

SfU128 sf_div(SfEnv *env, const SfFormat *f, SfU128 a_bits, SfU128 b_bits)
{
    SfNum a = sf_unpack(env, f, a_bits), b = sf_unpack(env, f, b_bits);
    SfNum r = { SF_NORMAL, a.sign != b.sign, false, a.exp - b.exp, 0 };

    if (sf_is_nan_class(&a) || sf_is_nan_class(&b)) {
        r = sf_nan_result(env, &a, &b);
    } else if (a.cls == b.cls && a.cls != SF_NORMAL) {
        r = sf_invalid(env);
    } else if (b.cls == SF_ZERO && a.cls == SF_NORMAL) {
        env->flags |= SF_DIVZERO;
        r.cls = SF_INF;
    } else {
        sf_note_denormal(env, &a, &b);
        if (a.cls == SF_NORMAL && b.cls == SF_NORMAL) {
            r.sig = divide(a.sig, b.sig, &r.exp, sf_full_precision(f));
        } else {
            r.cls = a.cls == SF_INF || b.cls == SF_ZERO ? SF_INF : SF_ZERO;
        }
    }
    return sf_finish(env, f, &r);
}

/* The root of a.sig / 2^127 * 2^(exp & 1), in [1, 2), with bit 127 set. Jammed. */
static SfU128 root(SfU128 sig, bool odd, unsigned precision)
{
    /* The radicand, as a fixed-point number with two bits before the point, is fed two bits a
       step, so that all its bits are used; when odd it is sig itself, else half of it (bit 0 is
       clear). rest never exceeds twice the root. */
    unsigned steps = precision + 2;
    SfU128 r = 0, rest = 0, trial;
    if (!odd) {
        sig >>= 1;
    }
    for (unsigned i = 0; i < steps; i++) {
        rest = rest << 2 | sig >> 126;
        sig <<= 2;
        trial = r << 2 | 1;
        r <<= 1;
        if (rest >= trial) {
            rest -= trial;
            r |= 1;
        }
    }
    return r << (128 - steps) | (rest != 0);
}

SfU128 sf_sqrt(SfEnv *env, const SfFormat *f, SfU128 bits)
{
    SfNum a = sf_unpack(env, f, bits);
    if (sf_is_nan_class(&a)) {
        a = sf_nan_result(env, &a, &a);
    } else if (a.sign && a.cls != SF_ZERO) {
        a = sf_invalid(env);
    } else if (a.cls == SF_NORMAL) {
        bool odd = a.exp & 1;
        sf_note_denormal(env, &a, &a);
        a.sig = root(a.sig, odd, sf_full_precision(f));
        a.exp = (a.exp - odd) / 2;
    }
    return sf_finish(env, f, &a);
}

/* a, b SF_NORMAL. */
static SfNum remainder_of(const SfNum *a, const SfNum *b, bool truncate, uint64_t *quotient)
{
    SfNum r = *a;
    int steps = a->exp - b->exp;
    SfU128 rest = a->sig, twice;
    uint64_t q = 0;
    bool carry = false;

    if (steps < (truncate ? 0 : -1)) {
        return r; /* below half of b */
    }
    if (steps < 0) {
        rest >>= 1; /* exact: the low bits are zero */
    }
    for (int i = 0; i <= steps; i++) {
        if (i > 0) {
            carry = rest >> 127;
            rest <<= 1;
        }
        bool one = carry || rest >= b->sig;
        rest -= one ? b->sig : 0;
        q = q << 1 | one;
    }
    twice = rest << 1;
    carry = rest >> 127;
    if (!truncate && (carry || twice > b->sig || (twice == b->sig && (q & 1)))) {
        rest = b->sig - rest;
        r.sign = !r.sign;
        q++;
    }
    *quotient = q;
    if (rest == 0) {
        r.cls = SF_ZERO;
        return r;
    }
    unsigned shift = sf_clz128(rest);
    r.sig = rest << shift;
    r.exp = b->exp - (int)shift;
    return r;
}

SfU128 sf_rem(SfEnv *env, const SfFormat *f, SfU128 a_bits, SfU128 b_bits, bool truncate,
              uint64_t *quotient)
{
    SfNum a = sf_unpack(env, f, a_bits), b = sf_unpack(env, f, b_bits);
    *quotient = 0;
    if (sf_is_nan_class(&a) || sf_is_nan_class(&b)) {
        a = sf_nan_result(env, &a, &b);
    } else if (a.cls == SF_INF || b.cls == SF_ZERO) {
        a = sf_invalid(env);
    } else {
        sf_note_denormal(env, &a, &b);
        if (a.cls == SF_NORMAL && b.cls == SF_NORMAL) {
            a = remainder_of(&a, &b, truncate, quotient);
        }
    }
    return sf_round_pack(env, f, &a, sf_full_precision(f), (SfRound)env->round);
}
