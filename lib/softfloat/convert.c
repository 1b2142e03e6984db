/* SPDX-License-Identifier: MIT */
/* Conversions: between formats, to and from integers and fixed point, to integral values (IEEE
   754-2019 section 5.4.1, 5.4.2, 5.8, 5.9). */
#include "softfloat/softfloat_priv.h"

SfU128 sf_convert(SfEnv *env, const SfFormat *from, const SfFormat *to, SfU128 bits)
{
    SfNum a = sf_unpack(env, from, bits);
    if (sf_is_nan_class(&a)) {
        a = sf_nan_result(env, &a, &a);
    } else {
        sf_note_denormal(env, &a, &a);
    }
    return sf_round_pack(env, to, &a, sf_full_precision(to), (SfRound)env->round);
}

SfU128 sf_round_to_int(SfEnv *env, const SfFormat *f, SfU128 bits, SfRound round, bool inexact)
{
    SfNum a = sf_unpack(env, f, bits);
    if (sf_is_nan_class(&a)) {
        a = sf_nan_result(env, &a, &a);
    } else if (a.cls == SF_NORMAL) {
        if (f->explicit_bit) { /* FRNDINT reports it, ROUNDSD does not */
            sf_note_denormal(env, &a, &a);
        }
        if (sf_round_integral(&a, round) && inexact) {
            env->flags |= SF_INEXACT;
        }
    }
    return sf_round_pack(env, f, &a, sf_full_precision(f), (SfRound)env->round);
}

/* ---- to integers */
static SfU128 extend(SfU128 v, unsigned bits, bool is_signed)
{
    unsigned shift = 128 - bits;
    return is_signed ? (SfU128)((SfI128)(v << shift) >> shift) : v << shift >> shift;
}

/* What a NaN, or a number beyond the range on the side of its sign, becomes. `low` are the
   low bits of its magnitude. */
static SfU128 out_of_range(SfEnv *env, const SfNum *a, SfU128 low, unsigned bits, bool is_signed,
                           SfToInt rule)
{
    SfU128 top = (SfU128)1 << (bits - 1);
    SfU128 least = is_signed ? top : 0, greatest = is_signed ? top - 1 : top | (top - 1);
    SfU128 bound = a->sign ? least : greatest, r = 0;
    bool nan = sf_is_nan_class(a);

    env->flags |= SF_INVALID;
    switch (rule) {
    case SF_TOINT_SATURATE_NAN_ZERO:
        r = nan ? 0 : bound;
        break;
    case SF_TOINT_SATURATE_NAN_MAX:
        r = nan ? greatest : bound;
        break;
    case SF_TOINT_SATURATE_NAN_MIN:
        r = nan ? least : bound;
        break;
    case SF_TOINT_X86:
        r = is_signed ? top : greatest;
        break;
    case SF_TOINT_MODULO:
        r = nan || a->cls == SF_INF ? 0 : a->sign ? -low : low;
        break;
    }
    return extend(r, bits, is_signed);
}

SfU128 sf_to_int(SfEnv *env, const SfFormat *f, SfU128 a_bits, SfRound round, int scale,
                 unsigned bits, bool is_signed, SfToInt rule)
{
    SfNum a = sf_unpack(env, f, a_bits);
    SfU128 magnitude = 0, limit;
    bool inexact = false, fits;

    if (a.cls == SF_ZERO) {
        return 0;
    }
    if (a.cls != SF_NORMAL) {
        return out_of_range(env, &a, 0, bits, is_signed, rule);
    }
    a.exp += sf_clamp_scale(scale);
    inexact = sf_round_integral(&a, round);
    if (a.cls == SF_NORMAL) {
        unsigned up = a.exp > 127 ? (unsigned)a.exp - 127 : 0;
        magnitude = up ? (up < 128 ? a.sig << up : 0) : a.sig >> (127 - a.exp);
    }
    limit = (SfU128)1 << (bits - 1);
    if (is_signed) {
        fits = a.sign ? magnitude <= limit : magnitude < limit;
    } else {
        fits = a.sign ? magnitude == 0 : magnitude <= (limit | (limit - 1));
    }
    if (!fits || (a.cls == SF_NORMAL && a.exp > 127)) {
        return out_of_range(env, &a, magnitude, bits, is_signed, rule);
    }
    env->flags |= inexact ? SF_INEXACT : 0;
    return extend(a.sign ? -magnitude : magnitude, bits, is_signed);
}

/* ---- from integers */
SfU128 sf_from_int(SfEnv *env, const SfFormat *f, bool sign, SfU128 magnitude, int scale)
{
    SfNum a = { SF_ZERO, false, false, 0, 0 };
    if (magnitude != 0) {
        unsigned shift = sf_clz128(magnitude);
        a.cls = SF_NORMAL;
        a.sign = sign;
        a.sig = magnitude << shift;
        a.exp = 127 - (int)shift - sf_clamp_scale(scale);
    }
    return sf_round_pack(env, f, &a, sf_full_precision(f), (SfRound)env->round);
}
