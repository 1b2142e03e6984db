/* SPDX-License-Identifier: MIT */
/* Comparison (IEEE 754-2019 section 5.6.1), minimum and maximum (2019 section 9.6, 2008 section
   5.3.1, SSE MINSS), classification. */
#include "softfloat/softfloat_priv.h"

/* No NaN. */
static SfRelation magnitude(const SfNum *a, const SfNum *b)
{
    if (a->cls != b->cls) {
        return a->cls < b->cls ? SF_LESS : SF_GREATER; /* SF_ZERO, SF_NORMAL, SF_INF */
    }
    if (a->cls != SF_NORMAL || (a->exp == b->exp && a->sig == b->sig)) {
        return SF_EQUAL;
    }
    if (a->exp != b->exp) {
        return a->exp < b->exp ? SF_LESS : SF_GREATER;
    }
    return a->sig < b->sig ? SF_LESS : SF_GREATER;
}

SfRelation sf_relation(const SfNum *a, const SfNum *b)
{
    if (sf_is_nan_class(a) || sf_is_nan_class(b)) {
        return SF_UNORDERED;
    }
    if (a->cls == SF_ZERO && b->cls == SF_ZERO) {
        return SF_EQUAL;
    }
    if (a->sign != b->sign) {
        return a->sign ? SF_LESS : SF_GREATER;
    }
    return a->sign ? magnitude(b, a) : magnitude(a, b);
}

SfRelation sf_compare(SfEnv *env, const SfFormat *f, SfU128 a_bits, SfU128 b_bits, bool signalling)
{
    SfNum a = sf_unpack(env, f, a_bits), b = sf_unpack(env, f, b_bits);
    SfRelation r = sf_relation(&a, &b);
    if (r != SF_UNORDERED) {
        sf_note_denormal(env, &a, &b);
    } else if (signalling || a.cls > SF_QNAN || b.cls > SF_QNAN) {
        env->flags |= SF_INVALID;
    }
    return r;
}

/* Whether a is the result; neither is a NaN. Unlike SSE, the others order -0 below +0. */
static bool first_wins(const SfNum *a, const SfNum *b, SfMinMax kind, bool max)
{
    SfRelation r = sf_relation(a, b);
    if (r == SF_EQUAL && kind != SF_MINMAX_X86) {
        return a->sign != max;
    }
    return r == (max ? SF_GREATER : SF_LESS);
}

SfU128 sf_minmax(SfEnv *env, const SfFormat *f, SfU128 a_bits, SfU128 b_bits, SfMinMax kind,
                 bool max)
{
    SfNum a = sf_unpack(env, f, a_bits), b = sf_unpack(env, f, b_bits), r;
    bool a_nan = sf_is_nan_class(&a), b_nan = sf_is_nan_class(&b);
    bool signals = a.cls > SF_QNAN || b.cls > SF_QNAN;

    if (!a_nan && !b_nan) {
        sf_note_denormal(env, &a, &b);
        r = first_wins(&a, &b, kind, max) ? a : b;
    } else if (kind == SF_MINMAX_X86) {
        env->flags |= SF_INVALID;
        if (b_nan) {
            return b_bits; /* as it is, signalling or not */
        }
        r = b;
    } else if ((a_nan && b_nan) || kind == SF_MINMAX_NAN ||
               (kind == SF_MINMAX_NUMBER_2008 && signals)) {
        r = sf_nan_result(env, &a, &b);
    } else {
        env->flags |= signals ? SF_INVALID : 0;
        r = a_nan ? b : a;
    }
    /* an operand is representable: packing it again changes nothing, and must not flush it */
    SfEnv exact = { 0 };
    return sf_round_pack(&exact, f, &r, sf_full_precision(f), SF_RNE);
}

unsigned sf_classify(const SfFormat *f, SfU128 a)
{
    SfNum n = sf_unpack_raw(f, a);
    switch (n.cls) {
    case SF_ZERO:
        return n.sign ? SF_CLASS_NEG_ZERO : SF_CLASS_POS_ZERO;
    case SF_NORMAL:
        if (n.denormal) {
            return n.sign ? SF_CLASS_NEG_SUBNORMAL : SF_CLASS_POS_SUBNORMAL;
        }
        return n.sign ? SF_CLASS_NEG_NORMAL : SF_CLASS_POS_NORMAL;
    case SF_INF:
        return n.sign ? SF_CLASS_NEG_INF : SF_CLASS_POS_INF;
    case SF_QNAN:
        return SF_CLASS_QNAN;
    case SF_SNAN:
        return SF_CLASS_SNAN;
    case SF_BAD:
        break;
    }
    return SF_CLASS_UNSUPPORTED;
}
