/* SPDX-License-Identifier: MIT */
/*
 * SVE floating point by the host, for lanes of 32 and 64 bits: the whole register at once, under the
 * guest's rounding, with operands of inactive lanes that raise nothing. It counts only if nothing came of it
 * but exact or rounded normal numbers; else lib/softfloat does it all again. So NaNs, subnormals and the
 * border of them, flags but IXC, and flushing to zero are never the host's.
 */
#include "guest/arm/simd_priv.h"
#include "guest/arm/sve_priv.h"

#ifdef __x86_64__
#include <immintrin.h>

#ifdef __clang__
#define FMA __attribute__((target("avx2,fma")))
#else
#define FMA __attribute__((target("avx2,fma"), optimize("O3")))
#endif
#define FENCE __asm__ volatile("" : : : "memory")

/* Of each type: the operations on `lanes` lanes, and whether results are such that they count. */
#define TYPE(F, U, name, fma, root, fraction, top) \
    FMA static void compute_##name(unsigned op, F *r, const F *x, const F *y, const F *z, unsigned lanes) \
    { \
        switch (op) { \
        case FP_ADD: for (unsigned i = 0; i < lanes; i++) r[i] = x[i] + y[i]; break; \
        case FP_SUB: for (unsigned i = 0; i < lanes; i++) r[i] = x[i] - y[i]; break; \
        case FP_MUL: for (unsigned i = 0; i < lanes; i++) r[i] = x[i] * y[i]; break; \
        case FP_DIV: for (unsigned i = 0; i < lanes; i++) r[i] = x[i] / y[i]; break; \
        case FP_MLA: for (unsigned i = 0; i < lanes; i++) r[i] = fma(x[i], y[i], z[i]); break; \
        case FP_ABD: for (unsigned i = 0; i < lanes; i++) r[i] = __builtin_fabs(x[i] - y[i]); break; \
        case FP_SQRT: for (unsigned i = 0; i < lanes; i++) r[i] = root(x[i]); break; \
        default: break; \
        } \
    } \
    FMA static bool counts_##name(const void *rv, unsigned lanes) \
    { \
        U strange = 0; \
        for (unsigned i = 0; i < lanes; i++) { \
            U v; \
            memcpy(&v, (const char *)rv + i * sizeof v, sizeof v); \
            v &= (U)-1 >> 1; \
            strange |= (U)-(U)(v - 1 < (U)1 << fraction) | (U)-(U)(v > top << fraction); \
        } \
        return !strange; \
    } \
    /* of numbers that count */ \
    FMA static void relate_##name(unsigned op, U *r, const F *x, const F *y, unsigned lanes) \
    { \
        switch (op) { \
        case FP_EQ: for (unsigned i = 0; i < lanes; i++) r[i] = x[i] == y[i] ? (U)-1 : 0; break; \
        case SVE_FP_NE: for (unsigned i = 0; i < lanes; i++) r[i] = x[i] != y[i] ? (U)-1 : 0; break; \
        case FP_GE: for (unsigned i = 0; i < lanes; i++) r[i] = x[i] >= y[i] ? (U)-1 : 0; break; \
        case FP_GT: for (unsigned i = 0; i < lanes; i++) r[i] = x[i] > y[i] ? (U)-1 : 0; break; \
        case FP_LE: for (unsigned i = 0; i < lanes; i++) r[i] = x[i] <= y[i] ? (U)-1 : 0; break; \
        default: for (unsigned i = 0; i < lanes; i++) r[i] = x[i] < y[i] ? (U)-1 : 0; break; \
        } \
    } \
    FMA static void pick_##name(bool greatest, U *r, const F *x, const F *y, unsigned lanes) \
    { \
        for (unsigned i = 0; i < lanes; i++) { \
            U a, b; \
            memcpy(&a, x + i, sizeof a); \
            memcpy(&b, y + i, sizeof b); \
            U even = greatest ? a & b : a | b; /* zeros of either sign, too */ \
            r[i] = x[i] == y[i] ? even : (x[i] > y[i]) == greatest ? a : b; \
        } \
    }

#define ROOT_32(x) _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x)))
#define ROOT_64(x) _mm_cvtsd_f64(_mm_sqrt_sd(_mm_setzero_pd(), _mm_set_sd(x)))
TYPE(float, uint32_t, 32, __builtin_fmaf, ROOT_32, 23, (uint32_t)255)
TYPE(double, uint64_t, 64, __builtin_fma, ROOT_64, 52, (uint64_t)2047)

bool sve_fp_host(ArmCpu *cpu, const ArmSve *s, unsigned op, void *r, const void *x, const void *y, const void *z)
{
    static const uint8_t rounds[] = {0, 2, 1, 3}; /* of FPCR, as MXCSR has them */
    unsigned lanes = sve_lanes(s), old = _mm_getcsr();
    if (s->esz < 2 || !__builtin_cpu_supports("fma"))
        return false;
    _mm_setcsr(0x1f80u | (unsigned)rounds[cpu->fpcr >> 22 & 3] << 13);
    FENCE;
    if (s->esz == 2)
        compute_32(op, r, x, y, z, lanes);
    else
        compute_64(op, r, x, y, z, lanes);
    FENCE;
    unsigned flags = _mm_getcsr() & 63;
    _mm_setcsr(old);
    if (flags & 31 || !(s->esz == 2 ? counts_32(r, lanes) : counts_64(r, lanes)))
        return false;
    if (flags)
        translate_fp_set_flags(&cpu->base, translate_fp_flags(&cpu->base) | TRANSLATE_FP_INEXACT);
    return true;
}

static bool ordinary(const ArmSve *s, const void *x, const void *y)
{
    unsigned lanes = sve_lanes(s);
    if (s->esz < 2 || !__builtin_cpu_supports("avx2"))
        return false;
    return s->esz == 2 ? counts_32(x, lanes) && counts_32(y, lanes) : counts_64(x, lanes) && counts_64(y, lanes);
}

bool sve_fp_relate(const ArmSve *s, void *r, const void *x, const void *y)
{
    if (!ordinary(s, x, y) || (s->op != SVE_FP_NE && (s->op < FP_EQ || s->op > FP_LT)))
        return false;
    if (s->esz == 2)
        relate_32(s->op, r, x, y, sve_lanes(s));
    else
        relate_64(s->op, r, x, y, sve_lanes(s));
    return true;
}

bool sve_fp_pick(const ArmSve *s, void *r, const void *x, const void *y)
{
    bool greatest = s->op == FP_MAX || s->op == FP_MAXNM;
    if (!ordinary(s, x, y))
        return false;
    if (s->esz == 2)
        pick_32(greatest, r, x, y, sve_lanes(s));
    else
        pick_64(greatest, r, x, y, sve_lanes(s));
    return true;
}

#else

bool sve_fp_relate(const ArmSve *s, void *r, const void *x, const void *y)
{
    return false;
}

bool sve_fp_pick(const ArmSve *s, void *r, const void *x, const void *y)
{
    return false;
}

bool sve_fp_host(ArmCpu *cpu, const ArmSve *s, unsigned op, void *r, const void *x, const void *y, const void *z)
{
    return false;
}

#endif
