/* SPDX-License-Identifier: MIT */
/* Between encodings and the unpacked form: the one place that knows the formats, and the one that
   rounds, overflows, underflows and flushes (IEEE 754-2019 section 3.4, 4.3, 7.4 to 7.6), and
   chooses NaNs (6.2). */
#include "softfloat/softfloat_priv.h"

const SfFormat sf_format_f16 = { 5, 10, false };
const SfFormat sf_format_bf16 = { 8, 7, false };
const SfFormat sf_format_f32 = { 8, 23, false };
const SfFormat sf_format_f64 = { 11, 52, false };
const SfFormat sf_format_f80 = { 15, 63, true };
const SfFormat sf_format_f128 = { 15, 112, false };

unsigned sf_full_precision(const SfFormat *f)
{
    return f->frac_bits + 1u;
}

static int bias(const SfFormat *f)
{
    return (1 << (f->exp_bits - 1)) - 1;
}

/* ---- unpacking */
SfNum sf_unpack_raw(const SfFormat *f, SfU128 bits)
{
    SfNum n = { SF_ZERO, false, false, 0, 0 };
    int max = (1 << f->exp_bits) - 1;
    unsigned exp_pos = f->frac_bits + (f->explicit_bit ? 1u : 0u);
    int e = (int)(bits >> exp_pos) & max;
    SfU128 frac = (bits & (((SfU128)1 << f->frac_bits) - 1)) << (127 - f->frac_bits);
    bool integer_bit = f->explicit_bit ? (bits >> f->frac_bits & 1) != 0 : e != 0;

    n.sign = (bits >> (exp_pos + f->exp_bits) & 1) != 0;
    if (e != 0 && !integer_bit) {
        n.cls = SF_BAD;
        n.sig = frac;
    } else if (e == max) {
        n.cls = frac == 0 ? SF_INF : frac >> 126 ? SF_QNAN : SF_SNAN;
        n.sig = frac;
    } else if (e != 0) {
        n.cls = SF_NORMAL;
        n.sig = frac | SF_TOP;
        n.exp = e - bias(f);
    } else if (frac != 0 || integer_bit) {
        n.cls = SF_NORMAL;
        n.denormal = true;
        n.sig = frac | (integer_bit ? SF_TOP : 0);
        unsigned shift = sf_clz128(n.sig);
        n.sig <<= shift;
        n.exp = 1 - bias(f) - (int)shift;
    }
    return n;
}

SfNum sf_unpack(SfEnv *env, const SfFormat *f, SfU128 bits)
{
    SfNum n = sf_unpack_raw(f, bits);
    if (n.denormal && env->flush_inputs) {
        n.cls = SF_ZERO;
        n.denormal = false;
        env->flags |= SF_INPUT_DENORMAL;
    }
    return n;
}

void sf_note_denormal(SfEnv *env, const SfNum *a, const SfNum *b)
{
    if (a->denormal || b->denormal) {
        env->flags |= SF_INPUT_DENORMAL;
    }
}

/* ---- packing */
/* exp is biased; sig has its integer bit at 127, which only f80 keeps. */
static SfU128 join(const SfFormat *f, bool sign, int exp, SfU128 sig)
{
    unsigned exp_pos = f->frac_bits + (f->explicit_bit ? 1u : 0u);
    SfU128 low = sig >> (127 - f->frac_bits);
    low &= ((SfU128)1 << exp_pos) - 1;
    return (SfU128)sign << (exp_pos + f->exp_bits) | (SfU128)exp << exp_pos | low;
}

/* Rounds sig at bit `drop` (1..128): the bits below go. When that carries out, *carry is set and
   sig is 2^127, to be taken with an exponent one higher. Returns whether it was inexact. */
static bool round_at(SfU128 *sig, unsigned drop, bool sign, SfRound round, bool *carry)
{
    SfU128 unit = drop > 127 ? 0 : (SfU128)1 << drop; /* 0: 2^128 */
    SfU128 rest = *sig & (unit - 1), half = (SfU128)1 << (drop - 1);
    bool up = false;

    *carry = false;
    if (rest == 0) {
        return false;
    }
    *sig -= rest;
    switch (round) {
    case SF_RNE:
        up = rest > half || (rest == half && (*sig & unit) != 0);
        break;
    case SF_RMM:
        up = rest >= half;
        break;
    case SF_RDN:
        up = sign;
        break;
    case SF_RUP:
        up = !sign;
        break;
    case SF_RODD:
        up = (*sig & unit) == 0;
        break;
    case SF_RTZ:
        break;
    }
    if (up) {
        *sig += unit;
        if (*sig == 0) {
            *sig = SF_TOP;
            *carry = true;
        }
    }
    return true;
}

bool sf_round_integral(SfNum *n, SfRound round)
{
    bool carry;
    if (n->exp >= 127) {
        return false;
    }
    if (n->exp < -1) { /* anything below a half acts alike */
        n->exp = -1;
        n->sig = 1;
    }
    bool inexact = round_at(&n->sig, (unsigned)(127 - n->exp), n->sign, round, &carry);
    if (carry) {
        n->exp++;
    } else if (n->sig == 0) {
        n->cls = SF_ZERO;
    }
    return inexact;
}

static SfU128 overflow(SfEnv *env, const SfFormat *f, bool sign, unsigned precision, SfRound round)
{
    int max = (1 << f->exp_bits) - 1;
    bool infinite = round == SF_RNE || round == SF_RMM || round == (sign ? SF_RDN : SF_RUP);
    env->flags |= SF_OVERFLOW | SF_INEXACT;
    return infinite ? join(f, sign, max, SF_TOP)
                    : join(f, sign, max - 1, ~(SfU128)0 << (128 - precision));
}

/* e, the biased exponent, is below 1. Tiny after rounding: as if the exponent had no bound. */
static bool is_tiny(const SfEnv *env, const SfNum *n, int e, unsigned drop, SfRound round)
{
    SfU128 sig = n->sig;
    bool carry = false;
    if (!env->tiny_before && e == 0) {
        round_at(&sig, drop, n->sign, round, &carry);
    }
    return !carry;
}

SfU128 sf_round_pack(SfEnv *env, const SfFormat *f, const SfNum *n, unsigned precision,
                     SfRound round)
{
    int max = (1 << f->exp_bits) - 1, e = n->exp + bias(f);
    unsigned drop = 128 - precision;
    SfU128 sig = n->sig;
    bool tiny = false, carry;

    if (n->cls == SF_ZERO) {
        return join(f, n->sign, 0, 0);
    }
    if (n->cls != SF_NORMAL) {
        return join(f, n->sign, max, n->cls == SF_INF ? SF_TOP : n->sig | SF_TOP);
    }
    if (e < 1) {
        tiny = is_tiny(env, n, e, drop, round);
        if (tiny && env->flush_outputs) {
            env->flags |= SF_UNDERFLOW | (env->tiny_before ? 0 : SF_INEXACT);
            return join(f, n->sign, 0, 0);
        }
        sig = sf_shift_right_jam(sig, (unsigned)(1 - e));
        e = 1;
    }
    if (round_at(&sig, drop, n->sign, round, &carry)) {
        env->flags |= SF_INEXACT | (tiny ? SF_UNDERFLOW : 0);
    }
    e += carry;
    if (e >= max) {
        return overflow(env, f, n->sign, precision, round);
    }
    return join(f, n->sign, sig >> 127 ? e : 0, sig);
}

SfU128 sf_finish(SfEnv *env, const SfFormat *f, const SfNum *n)
{
    unsigned precision = sf_full_precision(f);
    if (f->explicit_bit && env->f80_precision != 0 && env->f80_precision < 64) {
        precision = env->f80_precision == 53 ? 53 : 24;
    }
    return sf_round_pack(env, f, n, precision, (SfRound)env->round);
}

/* ---- NaNs */
SfNum sf_default_nan(const SfEnv *env)
{
    return (SfNum){ SF_QNAN, env->negative_default, false, 0, SF_TOP >> 1 };
}

SfNum sf_invalid(SfEnv *env)
{
    env->flags |= SF_INVALID;
    return sf_default_nan(env);
}

/* Of two NaNs, x87: quiet wins, then the larger significand, then the positive one. */
static const SfNum *choose_x87(const SfNum *a, const SfNum *b)
{
    if (!sf_is_nan_class(a) || !sf_is_nan_class(b)) {
        return sf_is_nan_class(a) ? a : b;
    }
    if (a->cls != b->cls) {
        return a->cls == SF_QNAN ? a : b;
    }
    if (a->sig != b->sig) {
        return a->sig > b->sig ? a : b;
    }
    return a->sign ? b : a;
}

static const SfNum *choose(SfPropagate rule, const SfNum *a, const SfNum *b)
{
    switch (rule) {
    case SF_PROPAGATE_X87:
        return choose_x87(a, b);
    case SF_PROPAGATE_FIRST_SNAN:
        if (b->cls == SF_SNAN && a->cls != SF_SNAN) {
            return b;
        }
        break;
    case SF_PROPAGATE_X86:
    case SF_PROPAGATE_FIRST:
        break;
    }
    return sf_is_nan_class(a) ? a : b;
}

SfNum sf_nan_result(SfEnv *env, const SfNum *a, const SfNum *b)
{
    if (a->cls > SF_QNAN || b->cls > SF_QNAN) {
        env->flags |= SF_INVALID;
    }
    if (env->default_nan || a->cls == SF_BAD || b->cls == SF_BAD) {
        return sf_default_nan(env);
    }
    SfNum n = *choose((SfPropagate)env->propagate, a, b);
    n.cls = SF_QNAN;
    n.sig |= SF_TOP >> 1;
    return n;
}

SfNum sf_nan_result3(SfEnv *env, const SfNum *a, const SfNum *b, const SfNum *c)
{
    const SfNum *first = a, *second = b, *third = c;
    SfPropagate rule = (SfPropagate)env->propagate;
    if (rule == SF_PROPAGATE_FIRST_SNAN) {
        first = c, second = a, third = b;
    } else if (rule == SF_PROPAGATE_FIRST) {
        second = c, third = b;
    }
    if (first->cls == SF_BAD || second->cls == SF_BAD || third->cls == SF_BAD) {
        return sf_invalid(env);
    }
    /* not through sf_nan_result twice: its first result would no longer be signalling */
    const SfNum *pair = choose(rule, first, second);
    if (third->cls == SF_SNAN || (pair != first ? first : second)->cls == SF_SNAN) {
        env->flags |= SF_INVALID;
    }
    return sf_nan_result(env, pair, third);
}
