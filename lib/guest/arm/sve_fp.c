/* SPDX-License-Identifier: MIT */
/*
 * SVE floating point, one active lane after the other by lib/softfloat: inactive ones raise nothing.
 * What operations there are in Advanced SIMD too is done by simd_fp.c and half.c.
 */
#include "guest/arm/sve_priv.h"

#include "guest/arm/half_priv.h"

static const uint64_t signs[4] = {0, 0x8000, 0x80000000, UINT64_C(0x8000000000000000)};

typedef struct Fp { /* the environment of one size of lanes */
    ArmCpu *cpu;
    SfEnv env;
    unsigned esz;
} Fp;

static Fp start(ArmCpu *cpu, unsigned esz)
{
    return (Fp){cpu, esz == 1 ? arm_half_env(cpu) : arm_sf_env(cpu), esz};
}

static void done(Fp *f)
{
    if (f->esz == 1)
        arm_half_done(f->cpu, &f->env);
    else
        arm_sf_done(f->cpu, &f->env);
}

static uint64_t apply(Fp *f, FpOp op, uint64_t x, uint64_t y, uint64_t z)
{
    if (f->esz == 1)
        return arm_half_two(&f->env, op, (SfF16)x, (SfF16)y, (SfF16)z);
    return arm_fp_two(&f->env, f->esz == 3, op, x, y, z);
}

static bool is_nan(const Fp *f, uint64_t x)
{
    return f->esz == 1 ? sf_f16_is_nan((SfF16)x) : f->esz == 2 ? sf_f32_is_nan((SfF32)x) : sf_f64_is_nan(x);
}

/* x * 2^y, y a signed integer */
static uint64_t scale(Fp *f, uint64_t x, uint64_t y)
{
    int64_t by = CLAMP(bits_sext(y, 8u << f->esz), -100000, 100000);
    return f->esz == 1 ? sf_f16_scalb(&f->env, (SfF16)x, (int)by)
           : f->esz == 2 ? sf_f32_scalb(&f->env, (SfF32)x, (int)by) : sf_f64_scalb(&f->env, x, (int)by);
}

static uint64_t two(Fp *f, unsigned op, uint64_t x, uint64_t y)
{
    uint64_t r;
    switch (op) {
    case SVE_FP_SCALE: return scale(f, x, y);
    case SVE_FP_TSMUL: /* the square, its sign bit 0 of y */
        r = apply(f, FP_MUL, x, x, 0);
        return is_nan(f, r) ? r : (r & ~signs[f->esz]) | (y & 1 ? signs[f->esz] : 0);
    default: return apply(f, (FpOp)op, x, y, 0);
    }
}

/* The whole register by the host, into zd; false: lane after lane. some: not all lanes are active. */
static bool by_host(ArmCpu *cpu, const ArmSve *s, unsigned op, const uint64_t *g, bool some, const void *n, const void *m,
                    const void *a)
{
    uint64_t r[ARM_Z_WORDS], space[3][ARM_Z_WORDS];
    if (some) {
        uint64_t one = s->esz == 2 ? 0x3f800000 : UINT64_C(0x3ff0000000000000);
        sve_masked(s, g, space[0], n, 0);
        sve_masked(s, g, space[1], m, op == FP_DIV ? one : 0);
        sve_masked(s, g, space[2], a, 0);
        n = space[0];
        m = space[1];
        a = space[2];
    }
    bool picks = op == FP_MAX || op == FP_MIN || op == FP_MAXNM || op == FP_MINNM;
    if (!(picks ? sve_fp_pick(s, r, n, m) : sve_fp_host(cpu, s, op, r, n, m, a)))
        return false;
    sve_put(cpu, s, r);
    return true;
}

uint64_t sve_fp_two(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS], space[ARM_Z_WORDS], g[4];
    const void *n = sve_z(cpu, s->rn), *m = sve_operand(cpu, s, y, space);
    Fp f = start(cpu, s->esz);
    bool some = sve_governing(cpu, s, g);
    if (s->flags & SVE_REVERSE) {
        const void *t = n;
        n = m;
        m = t;
    }
    if (s->op <= FP_ABD && s->op != FP_MULX && by_host(cpu, s, s->op, g, some, n, m, n))
        return 0;
    for (unsigned i = 0; i < sve_lanes(s); i++)
        if (sve_active(g, s->esz, i))
            sve_set(r, s->esz, i, two(&f, s->op, sve_get(n, s->esz, i), sve_get(m, s->esz, i)));
    done(&f);
    sve_put(cpu, s, r);
    return 0;
}

/* imm: IrRound */
uint64_t sve_fp_one(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS], g[4];
    ArmLanes l = {.op = s->op, .nlog2 = s->esz, .dlog2 = s->esz, .shift = (uint8_t)s->imm};
    Fp f = start(cpu, s->esz);
    bool some = sve_governing(cpu, s, g);
    if (s->op == FP_SQRT && by_host(cpu, s, FP_SQRT, g, some, sve_z(cpu, s->rn), sve_z(cpu, s->rn), sve_z(cpu, s->rn)))
        return 0;
    for (unsigned i = 0; i < sve_lanes(s); i++) {
        uint64_t v = sve_get(sve_z(cpu, s->rn), s->esz, i);
        if (sve_active(g, s->esz, i))
            sve_set(r, s->esz, i, s->esz == 1 ? arm_half_one(&f.env, (FpOp)s->op, (SfF16)v, (unsigned)s->imm, 0, false)
                                              : arm_fp_one(&f.env, cpu->fpcr, &l, v));
    }
    done(&f);
    sve_put(cpu, s, r);
    return 0;
}

uint64_t sve_fp_cmp(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS], space[ARM_Z_WORDS], g[4], p[4] = {0};
    const void *n = sve_z(cpu, s->rn), *m = sve_operand(cpu, s, y, space);
    Fp f = start(cpu, s->esz);
    sve_governing(cpu, s, g);
    if (sve_fp_relate(s, r, n, m)) {
        sve_lanes_to_p(s, g, r, sve_p(cpu, s->rd));
        return 0;
    }
    for (unsigned i = 0; i < sve_lanes(s); i++) {
        uint64_t a = sve_get(n, s->esz, i), b = sve_get(m, s->esz, i);
        bool is;
        if (!sve_active(g, s->esz, i))
            continue;
        is = apply(&f, s->op >= SVE_FP_NE ? FP_EQ : (FpOp)s->op, a, b, 0) != 0; /* for its flags, at least */
        if (s->op == SVE_FP_NE)
            is = !is;
        else if (s->op == SVE_FP_UO)
            is = is_nan(&f, a) || is_nan(&f, b);
        p[(i << s->esz) >> 6] |= (uint64_t)is << (i << s->esz & 63);
    }
    done(&f);
    memcpy(sve_p(cpu, s->rd), p, sizeof p);
    return 0;
}

/* Lanes with their sign changed, if there is one to change. */
static const void *signed_lanes(const ArmSve *s, const uint64_t *z, uint64_t sign, uint64_t *space)
{
    for (unsigned w = 0; sign && w < sve_bytes(s) / 8; w++)
        space[w] = z[w] ^ sve_splat(s->esz, sign);
    return sign ? space : z;
}

/* za + zn * zm, with the product (SVE_NEGATIVE) and the addend (SVE_SECOND) negated */
uint64_t sve_fp_mla(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS], space[ARM_Z_WORDS], signs_n[ARM_Z_WORDS], signs_a[ARM_Z_WORDS], g[4];
    const void *m = sve_operand(cpu, s, y, space);
    uint64_t product = s->flags & SVE_NEGATIVE ? signs[s->esz] : 0, addend = s->flags & SVE_SECOND ? signs[s->esz] : 0;
    Fp f = start(cpu, s->esz);
    bool some = sve_governing(cpu, s, g);
    const void *n = signed_lanes(s, sve_z(cpu, s->rn), product, signs_n), *a = signed_lanes(s, sve_z(cpu, s->ra), addend, signs_a);
    if (by_host(cpu, s, FP_MLA, g, some, n, m, a))
        return 0;
    for (unsigned i = 0; i < sve_lanes(s); i++)
        if (sve_active(g, s->esz, i))
            sve_set(r, s->esz, i, apply(&f, FP_MLA, sve_get(sve_z(cpu, s->rn), s->esz, i) ^ product, sve_get(m, s->esz, i),
                                        sve_get(sve_z(cpu, s->ra), s->esz, i) ^ addend));
    done(&f);
    sve_put(cpu, s, r);
    return 0;
}

/* ---- reductions ------------------------------------------------------------------------ */

static uint64_t identity(const ArmSve *s)
{
    static const uint64_t infinities[4] = {0, 0x7c00, 0x7f800000, UINT64_C(0x7ff0000000000000)};
    static const uint64_t nans[4] = {0, 0x7e00, 0x7fc00000, UINT64_C(0x7ff8000000000000)};
    switch ((FpOp)s->op) {
    case FP_MAXNM: case FP_MINNM: return nans[s->esz];
    case FP_MAX: return infinities[s->esz] | signs[s->esz];
    case FP_MIN: return infinities[s->esz];
    default: return 0;
    }
}

/* Neighbours first, as if there were a power of two of lanes. */
uint64_t sve_fp_reduce(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t v[SVE_MAX_BYTES / 2], g[4], *d = sve_z(cpu, s->rd);
    unsigned lanes = sve_lanes(s), n = 1;
    Fp f = start(cpu, s->esz);
    sve_governing(cpu, s, g);
    while (n < lanes)
        n *= 2;
    for (unsigned i = 0; i < n; i++)
        v[i] = i < lanes && sve_active(g, s->esz, i) ? sve_get(sve_z(cpu, s->rn), s->esz, i) : identity(s);
    for (; n > 1; n /= 2)
        for (unsigned i = 0; i < n / 2; i++)
            v[i] = apply(&f, (FpOp)s->op, v[2 * i], v[2 * i + 1], 0);
    done(&f);
    memset(d, 0, sve_bytes(s));
    d[0] = v[0];
    return 0;
}

/* One after the other, from the lowest lane of zd on. */
uint64_t sve_fp_adda(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t g[4], *d = sve_z(cpu, s->rd), sum = sve_get(d, s->esz, 0);
    Fp f = start(cpu, s->esz);
    sve_governing(cpu, s, g);
    for (unsigned i = 0; i < sve_lanes(s); i++)
        if (sve_active(g, s->esz, i))
            sum = apply(&f, FP_ADD, sum, sve_get(sve_z(cpu, s->rn), s->esz, i), 0);
    done(&f);
    memset(d, 0, sve_bytes(s));
    d[0] = sum;
    return 0;
}

/* ---- conversions ---------------------------------------------------------------------------- */

/* Sizes (log2) as FCVT of Advanced SIMD encodes them. */
static unsigned type_of(unsigned size) { return size == 1 ? 3 : size == 2 ? 0 : 1; }

static uint64_t to_int(Fp *f, uint64_t x, unsigned bits, bool is_signed)
{
    SfEnv *e = &f->env;
    return f->esz == 1 ? sf_f16_to_int(e, (SfF16)x, SF_RTZ, bits, is_signed, SF_TOINT_SATURATE_NAN_ZERO)
           : f->esz == 2 ? sf_f32_to_int(e, (SfF32)x, SF_RTZ, bits, is_signed, SF_TOINT_SATURATE_NAN_ZERO)
                         : sf_f64_to_int(e, x, SF_RTZ, bits, is_signed, SF_TOINT_SATURATE_NAN_ZERO);
}

static uint64_t from_int(Fp *f, uint64_t x, bool is_signed)
{
    SfEnv *e = &f->env;
    return f->esz == 1 ? sf_f16_from_fixed(e, x, is_signed, 0)
           : f->esz == 2 ? sf_f32_from_fixed(e, x, is_signed, 0) : sf_f64_from_fixed(e, x, is_signed, 0);
}

/* From size ra to size msz in lanes of esz. FPCR.AHP is for others. */
uint64_t sve_fp_cvt(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS], g[4];
    bool is_signed = !(s->flags & SVE_UNSIGNED);
    unsigned in = s->ra, out = s->msz;
    Fp f = s->op == FP_CONVERT ? (Fp){cpu, arm_sf_env(cpu), 3} : start(cpu, s->op == FP_TO_INT ? in : out);
    sve_governing(cpu, s, g);
    for (unsigned i = 0; i < sve_lanes(s); i++) {
        uint64_t v = sve_get(sve_z(cpu, s->rn), s->esz, i) & bits_mask(8u << in);
        if (!sve_active(g, s->esz, i))
            continue;
        if (s->op == FP_TO_INT)
            v = to_int(&f, v, 8u << out, is_signed);
        else if (s->op == FP_FROM_INT)
            v = from_int(&f, is_signed ? (uint64_t)bits_sext(v, 8u << in) : v, is_signed);
        else if (in == 1 || out == 1)
            v = arm_half_convert(&f.env, cpu->fpcr & ~ARM_FPCR_AHP, type_of(in), type_of(out), v);
        else
            v = in == 3 ? sf_f64_to_f32(&f.env, v) : sf_f32_to_f64(&f.env, (SfF32)v);
        sve_set(r, s->esz, i, v);
    }
    done(&f);
    sve_put(cpu, s, r);
    return 0;
}

/* ---- complex numbers: real and imaginary parts are neighbours -------------------------------- */

/* imm 1: zm is turned by 90 degrees before it is added, 3: by 270 */
uint64_t sve_fp_cadd(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS], g[4], sign = signs[s->esz];
    Fp f = start(cpu, s->esz);
    sve_governing(cpu, s, g);
    for (unsigned i = 0; i < sve_lanes(s); i++) {
        uint64_t m = sve_get(sve_z(cpu, s->rm), s->esz, i ^ 1);
        if ((i & 1) == (s->imm == 3))
            m ^= sign;
        if (sve_active(g, s->esz, i))
            sve_set(r, s->esz, i, apply(&f, FP_ADD, sve_get(sve_z(cpu, s->rn), s->esz, i), m, 0));
    }
    done(&f);
    sve_put(cpu, s, r);
    return 0;
}

/* imm: quarter turns; ra: the pair of zm in each 16 bytes, or SVE_NO_PG */
uint64_t sve_fp_cmla(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS], g[4], sign = signs[s->esz];
    unsigned group = 16u >> s->esz, turn = (unsigned)s->imm;
    Fp f = start(cpu, s->esz);
    sve_governing(cpu, s, g);
    for (unsigned i = 0; i < sve_lanes(s); i++) {
        unsigned pair = s->ra == SVE_NO_PG ? i & ~1u : i / group * group + 2u * s->ra;
        uint64_t n = sve_get(sve_z(cpu, s->rn), s->esz, (i & ~1u) | (turn & 1));
        uint64_t m = sve_get(sve_z(cpu, s->rm), s->esz, pair | ((i ^ turn) & 1));
        if (i & 1 ? turn >= 2 : turn == 1 || turn == 2)
            m ^= sign;
        if (sve_active(g, s->esz, i))
            sve_set(r, s->esz, i, apply(&f, FP_MLA, n, m, sve_get(sve_z(cpu, s->rd), s->esz, i)));
    }
    done(&f);
    sve_put(cpu, s, r);
    return 0;
}

/* ---- tables ------------------------------------------------------------------------------------- */

/* Coefficients of sine, then of cosine. */
static const uint64_t tmad_64[16] = {
    0x3ff0000000000000, 0xbfc5555555555543, 0x3f8111111110f30c, 0xbf2a01a019b92fc6,
    0x3ec71de351f3d22b, 0xbe5ae5e2b60f7b91, 0x3de5d8408868552f, 0x0000000000000000,
    0x3ff0000000000000, 0xbfe0000000000000, 0x3fa5555555555536, 0xbf56c16c16c13a0b,
    0x3efa01a019b1e8d8, 0xbe927e4f7282f468, 0x3e21ee96d2641b13, 0xbda8f76380fbb401,
};
static const uint32_t tmad_32[16] = {
    0x3f800000, 0xbe2aaaab, 0x3c088886, 0xb95008b9, 0x36369d6d, 0, 0, 0,
    0x3f800000, 0xbf000000, 0x3d2aaaa6, 0xbab60705, 0x37cd37cc, 0, 0, 0,
};
static const uint16_t tmad_16[16] = {0x3c00, 0xb155, 0x2030, 0, 0, 0, 0, 0, 0x3c00, 0xb800, 0x293a, 0, 0, 0, 0, 0};

/* A step of the polynomial: the coefficient + zd * |zm|. */
uint64_t sve_fp_tmad(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    Fp f = start(cpu, s->esz);
    for (unsigned i = 0; i < sve_lanes(s); i++) {
        uint64_t m = sve_get(sve_z(cpu, s->rn), s->esz, i), *d = sve_z(cpu, s->rd);
        unsigned k = (unsigned)s->imm + (m & signs[s->esz] ? 8 : 0);
        uint64_t coefficient = s->esz == 3 ? tmad_64[k] : s->esz == 2 ? tmad_32[k] : tmad_16[k];
        sve_set(d, s->esz, i, apply(&f, FP_MLA, sve_get(d, s->esz, i), m & ~signs[s->esz], coefficient));
    }
    done(&f);
    return 0;
}

/* Fractions of 2^(i/32), and of 2^(i/64). */
static const uint16_t expa_16[32] = {
    0x000, 0x016, 0x02d, 0x045, 0x05d, 0x075, 0x08e, 0x0a8, 0x0c2, 0x0dc, 0x0f8, 0x114,
    0x130, 0x14d, 0x16b, 0x189, 0x1a8, 0x1c8, 0x1e8, 0x209, 0x22b, 0x24e, 0x271, 0x295,
    0x2ba, 0x2e0, 0x306, 0x32e, 0x356, 0x37f, 0x3a9, 0x3d4,
};
static const uint32_t expa_32[64] = {
    0x000000, 0x0164d2, 0x02cd87, 0x043a29, 0x05aac3, 0x071f62, 0x08980f, 0x0a14d5,
    0x0b95c2, 0x0d1adf, 0x0ea43a, 0x1031dc, 0x11c3d3, 0x135a2b, 0x14f4f0, 0x16942d,
    0x1837f0, 0x19e046, 0x1b8d3a, 0x1d3eda, 0x1ef532, 0x20b051, 0x227043, 0x243516,
    0x25fed7, 0x27cd94, 0x29a15b, 0x2b7a3a, 0x2d583f, 0x2f3b79, 0x3123f6, 0x3311c4,
    0x3504f3, 0x36fd92, 0x38fbaf, 0x3aff5b, 0x3d08a4, 0x3f179a, 0x412c4d, 0x4346cd,
    0x45672a, 0x478d75, 0x49b9be, 0x4bec15, 0x4e248c, 0x506334, 0x52a81e, 0x54f35b,
    0x5744fd, 0x599d16, 0x5bfbb8, 0x5e60f5, 0x60ccdf, 0x633f89, 0x65b907, 0x68396a,
    0x6ac0c7, 0x6d4f30, 0x6fe4ba, 0x728177, 0x75257d, 0x77d0df, 0x7a83b3, 0x7d3e0c,
};
static const uint64_t expa_64[64] = {
    0x0000000000000, 0x02c9a3e778061, 0x059b0d3158574, 0x0874518759bc8, 0x0b5586cf9890f,
    0x0e3ec32d3d1a2, 0x11301d0125b51, 0x1429aaea92de0, 0x172b83c7d517b, 0x1a35beb6fcb75,
    0x1d4873168b9aa, 0x2063b88628cd6, 0x2387a6e756238, 0x26b4565e27cdd, 0x29e9df51fdee1,
    0x2d285a6e4030b, 0x306fe0a31b715, 0x33c08b26416ff, 0x371a7373aa9cb, 0x3a7db34e59ff7,
    0x3dea64c123422, 0x4160a21f72e2a, 0x44e086061892d, 0x486a2b5c13cd0, 0x4bfdad5362a27,
    0x4f9b2769d2ca7, 0x5342b569d4f82, 0x56f4736b527da, 0x5ab07dd485429, 0x5e76f15ad2148,
    0x6247eb03a5585, 0x6623882552225, 0x6a09e667f3bcd, 0x6dfb23c651a2f, 0x71f75e8ec5f74,
    0x75feb564267c9, 0x7a11473eb0187, 0x7e2f336cf4e62, 0x82589994cce13, 0x868d99b4492ed,
    0x8ace5422aa0db, 0x8f1ae99157736, 0x93737b0cdc5e5, 0x97d829fde4e50, 0x9c49182a3f090,
    0xa0c667b5de565, 0xa5503b23e255d, 0xa9e6b5579fdbf, 0xae89f995ad3ad, 0xb33a2b84f15fb,
    0xb7f76f2fb5e47, 0xbcc1e904bc1d2, 0xc199bdd85529c, 0xc67f12e57d14b, 0xcb720dcef9069,
    0xd072d4a07897c, 0xd5818dcfba487, 0xda9e603db3285, 0xdfc97337b9b5f, 0xe502ee78b3ff6,
    0xea4afa2a490da, 0xefa1bee615a27, 0xf50765b6e4540, 0xfa7c1819e90d8,
};

/* 2 to the power of a number of which a few bits are the fraction. */
uint64_t sve_fexpa(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    for (unsigned i = 0; i < sve_lanes(s); i++) {
        uint64_t v = sve_get(sve_z(cpu, s->rn), s->esz, i);
        v = s->esz == 1 ? (v >> 5 & 31) << 10 | expa_16[v & 31]
            : s->esz == 2 ? (v >> 6 & 255) << 23 | expa_32[v & 63] : (v >> 6 & 2047) << 52 | expa_64[v & 63];
        sve_set(sve_z(cpu, s->rd), s->esz, i, v);
    }
    return 0;
}
