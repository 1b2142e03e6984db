/* SPDX-License-Identifier: MIT */
/* Addition, subtraction, multiplication and scaling (IEEE 754-2019 section 5.4.1, 5.3.3). */
#include "softfloat/softfloat_priv.h"

/* The sum of two SF_NORMAL numbers, unrounded; an exact zero has the sign the mode asks for. */
static SfNum add_normal(const SfEnv *env, const SfNum *a, const SfNum *b)
{
    SfNum r = *a;
    SfU128 small = b->sig;
    bool differ = a->sign != b->sign;

    if (b->exp > a->exp || (b->exp == a->exp && b->sig > a->sig)) {
        r = *b;
        small = a->sig;
    }
    small = sf_shift_right_jam(small, (unsigned)(r.exp - (r.exp == a->exp ? b->exp : a->exp)));
    if (!differ) {
        r.sig += small;
        if (r.sig < small) {
            r.sig = r.sig >> 1 | (r.sig & 1) | SF_TOP;
            r.exp++;
        }
        return r;
    }
    r.sig -= small;
    if (r.sig == 0) {
        r.cls = SF_ZERO;
        r.sign = env->round == SF_RDN;
        return r;
    }
    unsigned shift = sf_clz128(r.sig);
    r.sig <<= shift;
    r.exp -= (int)shift;
    return r;
}

static SfNum add(SfEnv *env, const SfNum *a, const SfNum *b)
{
    if (a->cls == SF_INF && b->cls == SF_INF && a->sign != b->sign) {
        return sf_invalid(env);
    }
    sf_note_denormal(env, a, b);
    if (a->cls == SF_NORMAL && b->cls == SF_NORMAL) {
        return add_normal(env, a, b);
    }
    if (a->cls == SF_ZERO && b->cls == SF_ZERO) {
        SfNum r = *a;
        r.sign = a->sign == b->sign ? a->sign : env->round == SF_RDN;
        return r;
    }
    return a->cls == SF_INF || b->cls == SF_ZERO ? *a : *b;
}

SfU128 sf_add(SfEnv *env, const SfFormat *f, SfU128 a_bits, SfU128 b_bits, bool subtract)
{
    SfNum a = sf_unpack(env, f, a_bits), b = sf_unpack(env, f, b_bits), r;
    if (sf_is_nan_class(&a) || sf_is_nan_class(&b)) {
        r = sf_nan_result(env, &a, &b);
    } else {
        b.sign ^= subtract;
        r = add(env, &a, &b);
    }
    return sf_finish(env, f, &r);
}

SfU128 sf_mul(SfEnv *env, const SfFormat *f, SfU128 a_bits, SfU128 b_bits)
{
    SfNum a = sf_unpack(env, f, a_bits), b = sf_unpack(env, f, b_bits);
    SfNum r = { SF_NORMAL, a.sign != b.sign, false, a.exp + b.exp + 1, 0 };
    SfU128 low;

    if (sf_is_nan_class(&a) || sf_is_nan_class(&b)) {
        r = sf_nan_result(env, &a, &b);
    } else if ((a.cls == SF_INF && b.cls == SF_ZERO) || (a.cls == SF_ZERO && b.cls == SF_INF)) {
        r = sf_invalid(env);
    } else {
        sf_note_denormal(env, &a, &b);
        if (a.cls != SF_NORMAL || b.cls != SF_NORMAL) {
            r.cls = a.cls == SF_INF || b.cls == SF_INF ? SF_INF : SF_ZERO;
        } else {
            sf_mul128(a.sig, b.sig, &r.sig, &low);
            if (!(r.sig >> 127)) {
                r.sig = r.sig << 1 | low >> 127;
                low <<= 1;
                r.exp--;
            }
            r.sig |= low != 0;
        }
    }
    return sf_finish(env, f, &r);
}

SfU128 sf_scalb(SfEnv *env, const SfFormat *f, SfU128 bits, int n)
{
    SfNum a = sf_unpack(env, f, bits);
    if (sf_is_nan_class(&a)) {
        a = sf_nan_result(env, &a, &a);
    } else {
        sf_note_denormal(env, &a, &a);
        a.exp += sf_clamp_scale(n);
    }
    return sf_round_pack(env, f, &a, sf_full_precision(f), (SfRound)env->round);
}
