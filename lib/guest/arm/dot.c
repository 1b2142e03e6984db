/* SPDX-License-Identifier: MIT */
/*
 * Sums of products of narrow lanes (matrices of I8MM, BF16, FHM), complex numbers (FCMA), and rounding to
 * the range of an integer (FRINTTS). An element of m stands in all places of a copy before it begins.
 */
#include "guest/arm/ext_priv.h"

typedef union Vector {
    uint64_t d[2];
    uint32_t s[4];
    uint16_t h[8];
    uint8_t b[16];
} Vector;

/* ---- integers ------------------------------------------------------------------------------- */

/* Rows of eight bytes: the products of each of x's with each of y's. */
static void integers(ArmDot kind, Vector *d, const Vector *x, const Vector *y)
{
    bool xs = kind == DOT_SMMLA, ys = kind != DOT_UMMLA;
    for (unsigned i = 0; i < 4; i++)
        for (unsigned k = 0; k < 8; k++) {
            uint8_t p = x->b[8 * (i >> 1) + k], q = y->b[8 * (i & 1) + k];
            d->s[i] += (uint32_t)((xs ? (int8_t)p : p) * (ys ? (int8_t)q : q));
        }
}

/* ---- BF16: without EBF16, sums are rounded to odd, with no flags and no subnormals ------------ */

static SfF32 bf_done(SfEnv *env, SfF32 r)
{
    bool over = env->flags & SF_OVERFLOW;
    env->flags = 0;
    return over ? (r & 0x80000000) | 0x7f800000 : r;
}

static SfF32 bf_dot(SfF32 sum, const uint16_t *x, const uint16_t *y)
{
    SfEnv env = {.round = SF_RODD, .default_nan = true, .tiny_before = true, .flush_inputs = true,
                 .flush_outputs = true};
    SfF32 p[2];
    for (unsigned i = 0; i < 2; i++)
        p[i] = bf_done(&env, sf_f32_mul(&env, (SfF32)x[i] << 16, (SfF32)y[i] << 16));
    p[0] = bf_done(&env, sf_f32_add(&env, p[0], p[1]));
    return bf_done(&env, sf_f32_add(&env, sum, p[0]));
}

static void brains(ArmCpu *cpu, ArmDot kind, Vector *d, const Vector *x, const Vector *y)
{
    SfEnv env = arm_sf_env(cpu);
    Vector r = {{0}};
    switch (kind) {
    case DOT_BFDOT:
        for (unsigned i = 0; i < 4; i++)
            d->s[i] = bf_dot(d->s[i], x->h + 2 * i, y->h + 2 * i);
        return;
    case DOT_BFMMLA:
        for (unsigned i = 0; i < 4; i++)
            for (unsigned k = 0; k < 2; k++)
                d->s[i] = bf_dot(d->s[i], x->h + 4 * (i >> 1) + 2 * k, y->h + 4 * (i & 1) + 2 * k);
        return;
    case DOT_BFMLALB: case DOT_BFMLALT:
        for (unsigned i = 0; i < 4; i++) {
            unsigned at = 2 * i + (kind == DOT_BFMLALT);
            d->s[i] = sf_f32_fma(&env, (SfF32)x->h[at] << 16, (SfF32)y->h[at] << 16, d->s[i], 0);
        }
        break;
    case DOT_BFCVT:
        r.h[0] = sf_f32_to_bf16(&env, x->s[0]);
        *d = r;
        break;
    default: /* into d's lower half, or only its upper one */
        for (unsigned i = 0; i < 4; i++)
            r.h[i] = sf_f32_to_bf16(&env, x->s[i]);
        d->d[0] = kind == DOT_BFCVTN ? r.d[0] : d->d[0];
        d->d[1] = kind == DOT_BFCVTN ? 0 : r.d[0];
        break;
    }
    arm_sf_done(cpu, &env);
}

/* ---- half by half, in singles ------------------------------------------------------------------ */

static void halves(ArmCpu *cpu, ArmDot kind, bool q, Vector *d, const Vector *x, const Vector *y)
{
    SfEnv env = arm_sf_env(cpu), half = arm_half_env(cpu);
    bool minus = kind == DOT_FMLSL || kind == DOT_FMLSL2;
    unsigned at = kind >= DOT_FMLAL2 ? q ? 4 : 2 : 0;
    for (unsigned i = 0; i < (q ? 4u : 2u); i++)
        d->s[i] = sf_f32_fma(&env, arm_half_widen(&half, x->h[at + i]) ^ (minus ? 0x80000000 : 0),
                             arm_half_widen(&half, y->h[at + i]), d->s[i], 0);
    arm_sf_done(cpu, &env);
}

/* ---- complex numbers ------------------------------------------------------------------------- */

typedef struct Lanes { /* of 2 << log2 bytes */
    unsigned log2;
    SfEnv env;
} Lanes;

static uint64_t lane(const Lanes *l, const Vector *v, unsigned i)
{
    return l->log2 == 1 ? v->h[i] : l->log2 == 2 ? v->s[i] : v->d[i];
}

static void set_lane(const Lanes *l, Vector *v, unsigned i, uint64_t value)
{
    if (l->log2 == 1)
        v->h[i] = (uint16_t)value;
    else if (l->log2 == 2)
        v->s[i] = (uint32_t)value;
    else
        v->d[i] = value;
}

static uint64_t add(Lanes *l, uint64_t x, uint64_t y)
{
    return l->log2 == 1   ? sf_f16_add(&l->env, (SfF16)x, (SfF16)y)
           : l->log2 == 2 ? sf_f32_add(&l->env, (SfF32)x, (SfF32)y) : sf_f64_add(&l->env, x, y);
}

static uint64_t multiply_add(Lanes *l, uint64_t x, uint64_t y, uint64_t z)
{
    return l->log2 == 1   ? sf_f16_fma(&l->env, (SfF16)x, (SfF16)y, (SfF16)z, 0)
           : l->log2 == 2 ? sf_f32_fma(&l->env, (SfF32)x, (SfF32)y, (SfF32)z, 0) : sf_f64_fma(&l->env, x, y, z, 0);
}

/* rotation by 90 degrees times rot; pairs of them, the real part first */
static void complex_numbers(ArmCpu *cpu, bool sum, unsigned log2, unsigned rot, Vector *d, const Vector *x,
                            const Vector *y)
{
    Lanes l = {log2, log2 == 1 ? arm_half_env(cpu) : arm_sf_env(cpu)};
    uint64_t sign = UINT64_C(1) << ((8u << log2) - 1);
    Vector r = *d;
    for (unsigned i = 0; i < 16u >> log2; i += 2) {
        uint64_t re = lane(&l, y, i), im = lane(&l, y, i + 1);
        if (sum) {
            set_lane(&l, &r, i, add(&l, lane(&l, x, i), im ^ (rot == 1 ? sign : 0)));
            set_lane(&l, &r, i + 1, add(&l, lane(&l, x, i + 1), re ^ (rot == 3 ? sign : 0)));
            continue;
        }
        uint64_t first = rot & 1 ? im : re, second = rot & 1 ? re : im, by = lane(&l, x, i + (rot & 1));
        first ^= rot == 1 || rot == 2 ? sign : 0;
        second ^= rot & 2 ? sign : 0;
        set_lane(&l, &r, i, multiply_add(&l, by, first, lane(&l, d, i)));
        set_lane(&l, &r, i + 1, multiply_add(&l, by, second, lane(&l, d, i + 1)));
    }
    *d = r;
    if (log2 == 1)
        arm_half_done(cpu, &l.env);
    else
        arm_sf_done(cpu, &l.env);
}

/* ---- rounding to the range of an integer --------------------------------------------------------- */

/* What does not fit is the least integer. */
static uint64_t round_to(SfEnv *env, uint64_t x, bool twice, unsigned bits, SfRound round)
{
    SfEnv try = *env;
    uint64_t r = twice ? sf_f64_round_to_int(&try, x, round, true) : sf_f32_round_to_int(&try, (SfF32)x, round, true);
    uint64_t fraction = twice ? 52 : 23, sign = twice ? r >> 63 : r >> 31 & 1, bias = twice ? 1023 : 127;
    uint64_t e = r >> fraction & (2 * bias + 1), least = (twice ? UINT64_C(1) << 63 : UINT64_C(1) << 31) |
                                                         (bias + bits - 1) << fraction;
    if (e < bias + bits - 1 || (sign && r == least)) {
        env->flags = try.flags;
        return r;
    }
    env->flags |= SF_INVALID;
    return least;
}

static void rounding(ArmCpu *cpu, unsigned how, Vector *d, const Vector *x)
{
    SfEnv env = arm_sf_env(cpu);
    unsigned bits = how & 4 ? 64 : 32;
    SfRound round = how & 2 ? (SfRound)env.round : SF_RTZ;
    Vector r = {{0}};
    for (unsigned i = 0; i < (how & 8 ? 1u : how & 1 ? 2u : 4u); i++)
        if (how & 1)
            r.d[i] = round_to(&env, x->d[i], true, bits, round);
        else
            r.s[i] = (uint32_t)round_to(&env, x->s[i], false, bits, round);
    *d = r;
    arm_sf_done(cpu, &env);
}

/* An element of m in all places. */
static void repeat(ArmDot kind, unsigned element, Vector *y)
{
    Vector from = *y;
    bool halfs = (kind >= DOT_FMLAL && kind <= DOT_FMLSL2) || kind == DOT_BFMLALB || kind == DOT_BFMLALT;
    bool wide = kind >= DOT_FCMLA && kind < DOT_FRINT && ((kind - DOT_FCMLA) & 3) == 1; /* pairs of singles */
    for (unsigned i = 0; i < 8 && halfs; i++)
        y->h[i] = from.h[element];
    for (unsigned i = 0; i < 4 && !halfs && !wide; i++)
        y->s[i] = from.s[element];
    for (unsigned i = 0; i < 2 && wide; i++)
        y->d[i] = from.d[element];
}

HELPER(dot)
{
    ArmCpu *arm = cpu;
    ArmDot kind = (ArmDot)a;
    unsigned rd = b & 31, n = b >> 5 & 31, m = b >> 10 & 31;
    bool q = b >> 16 & 1;
    Vector r, x, y;
    memcpy(&r, arm->v[rd], 16);
    memcpy(&x, arm->v[n], 16);
    memcpy(&y, arm->v[m], 16);
    if (c != DOT_EACH)
        repeat(kind, (unsigned)c, &y);
    if (!q) /* what is no part of it must raise nothing */
        x.d[1] = y.d[1] = r.d[1] = 0;
    if (kind <= DOT_USMMLA)
        integers(kind, &r, &x, &y);
    else if (kind <= DOT_BFCVTN2)
        brains(arm, kind, &r, &x, &y);
    else if (kind <= DOT_FMLSL2)
        halves(arm, kind, q, &r, &x, &y);
    else if (kind < DOT_FCMLA)
        complex_numbers(arm, true, 1 + ((kind - DOT_FCADD) & 3), (kind - DOT_FCADD) & 4 ? 3 : 1, &r, &x, &y);
    else if (kind < DOT_FRINT)
        complex_numbers(arm, false, 1 + ((kind - DOT_FCMLA) & 3), (kind - DOT_FCMLA) >> 2, &r, &x, &y);
    else
        rounding(arm, kind - DOT_FRINT, &r, &x);
    arm->v[rd][0] = r.d[0];
    arm->v[rd][1] = q ? r.d[1] : 0;
    return 0;
}
