/* SPDX-License-Identifier: MIT */
/* SVE2 in C, floating point, by lib/softfloat. */
#include "guest/arm/half_priv.h"
#include "guest/arm/sve2_priv.h"

static SfEnv env_of(ArmCpu *cpu, unsigned log2) { return log2 == 1 ? arm_half_env(cpu) : arm_sf_env(cpu); }

static void done(ArmCpu *cpu, unsigned log2, const SfEnv *env)
{
    if (log2 == 1)
        arm_half_done(cpu, env);
    else
        arm_sf_done(cpu, env);
}

/* Even lanes of pairs in zd, odd ones of pairs in zm, which is zn */
uint64_t sve2_fpairs(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS], g[4];
    SfEnv env = env_of(cpu, s->esz);
    sve_governing(cpu, s, g);
    for (unsigned i = 0; i < sve_lanes(s); i++) {
        const void *from = sve_z(cpu, i & 1 ? s->rn : s->rd);
        uint64_t a = sve_get(from, s->esz, i & ~1u), b = sve_get(from, s->esz, i | 1);
        if (!sve_active(g, s->esz, i))
            continue;
        sve_set(r, s->esz, i, s->esz == 1 ? arm_half_two(&env, (FpOp)s->op, (SfF16)a, (SfF16)b, 0)
                                          : arm_fp_two(&env, s->esz == 3, (FpOp)s->op, a, b, 0));
    }
    done(cpu, s->esz, &env);
    sve_put(cpu, s, r);
    return 0;
}

/* From size ra to size msz, of which the wider is esz: narrow ones are odd lanes. op: FP_CONVERT, FP_CONVERT_ODD */
uint64_t sve2_fcvt(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS], g[4];
    SfEnv env = arm_sf_env(cpu);
    memcpy(r, sve_z(cpu, s->rd), sve_bytes(s));
    sve_governing(cpu, s, g);
    if (s->op == FP_CONVERT_ODD)
        env.round = SF_RODD;
    for (unsigned i = 0; i < sve_lanes(s); i++) {
        unsigned in = s->ra, out = s->msz, narrow = MIN(in, out), odd = s->flags & SVE_SECOND ? 1 : 0;
        uint64_t v = sve_get(sve_z(cpu, s->rn), in, in == narrow ? 2 * i + odd : i);
        if (!sve_active(g, s->esz, i))
            continue;
        if (narrow == 1)
            v = arm_half_convert(&env, cpu->fpcr & ~ARM_FPCR_AHP, in == 1 ? 3 : 0, out == 1 ? 3 : 0, v);
        else
            v = in == 3 ? sf_f64_to_f32(&env, v) : sf_f32_to_f64(&env, (SfF32)v);
        if (out == narrow && !odd)
            sve_set(r, s->esz, i, v);
        else
            sve_set(r, out, out == narrow ? 2 * i + 1 : i, v);
    }
    arm_sf_done(cpu, &env);
    memcpy(sve_z(cpu, s->rd), r, sve_bytes(s));
    return 0;
}

/* The exponent as an integer; of zeros and NaNs the least, of infinities the greatest. */
uint64_t sve2_flogb(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    static const uint8_t fractions[4] = {0, 10, 23, 52};
    uint64_t r[ARM_Z_WORDS], g[4];
    SfEnv env = env_of(cpu, s->esz);
    unsigned bits = 8u << s->esz, fraction = fractions[s->esz];
    sve_governing(cpu, s, g);
    for (unsigned i = 0; i < sve_lanes(s); i++) {
        uint64_t v = sve_get(sve_z(cpu, s->rn), s->esz, i) & bits_mask(bits - 1), low = v & bits_mask(fraction);
        int64_t top = (int64_t)bits_mask(bits - 1 - fraction), e = (int64_t)(v >> fraction), out;
        if (!sve_active(g, s->esz, i))
            continue;
        if (!e && low && env.flush_inputs) {
            low = 0;
            env.flags |= SF_INPUT_DENORMAL;
        }
        if ((e == top && low) || (!e && !low)) {
            env.flags |= SF_INVALID;
            out = -(INT64_C(1) << (bits - 2)) * 2;
        } else if (e == top) {
            out = (int64_t)bits_mask(bits - 1);
        } else {
            out = e ? e - top / 2 : 63 - __builtin_clzll(low) - (int)fraction + 1 - top / 2;
        }
        sve_set(r, s->esz, i, (uint64_t)out);
    }
    done(cpu, s->esz, &env);
    sve_put(cpu, s, r);
    return 0;
}

/* Words of zd plus or minus products of halves, even or odd; imm: a lane of zm, or S2_EACH */
uint64_t sve2_fmlal(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS];
    SfEnv env = arm_sf_env(cpu), half = arm_half_env(cpu);
    unsigned odd = s->flags & SVE_SECOND ? 1 : 0;
    for (unsigned i = 0; i < sve_lanes(s); i++) {
        unsigned k = s->imm == S2_EACH ? 2 * i + odd : i / 4 * 8 + (unsigned)s->imm;
        SfF32 n = arm_half_widen(&half, (SfF16)sve_get(sve_z(cpu, s->rn), 1, 2 * i + odd));
        SfF32 m = arm_half_widen(&half, (SfF16)sve_get(sve_z(cpu, s->rm), 1, k));
        if (s->flags & SVE_NEGATIVE)
            n ^= 0x80000000;
        sve_set(r, 2, i, sf_f32_fma(&env, n, m, (SfF32)sve_get(sve_z(cpu, s->rd), 2, i), 0));
    }
    arm_sf_done(cpu, &env);
    memcpy(sve_z(cpu, s->rd), r, sve_bytes(s));
    return 0;
}
