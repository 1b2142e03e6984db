/* SPDX-License-Identifier: MIT */
/*
 * SVE: what is done in each lane with integers. Each operation is four loops that the compiler makes
 * host vectors of, one for each size of lanes.
 */
#if defined __GNUC__ && !defined __clang__
#pragma GCC optimize("O3")
#endif
#include "guest/arm/sve_priv.h"

__extension__ typedef __int128 I128;
__extension__ typedef unsigned __int128 U128;

typedef void LaneLoop(void *r, const void *n, const void *m, unsigned bytes);

/* U and S: a lane; I and N: wide enough for any product, sum or shifted value */
#define LOOP(name, bits, wide, wide_unsigned, ...) \
    static void name##_##bits(void *rv, const void *nv, const void *mv, unsigned bytes) \
    { \
        G_GNUC_UNUSED typedef uint##bits##_t U; \
        G_GNUC_UNUSED typedef int##bits##_t S; \
        G_GNUC_UNUSED typedef wide I; \
        G_GNUC_UNUSED typedef wide_unsigned N; \
        enum { BITS = bits }; \
        U *r = rv; \
        const U *n = nv, *m = mv; \
        for (unsigned i = 0; i < bytes / sizeof(U); i++) { \
            const U x = n[i]; \
            G_GNUC_UNUSED const U y = m[i]; \
            r[i] = (U)(__VA_ARGS__); \
        } \
    }
#define LANES_8(name, ...) LOOP(name, 8, int32_t, uint32_t, __VA_ARGS__)
#define LANES_16(name, ...) LOOP(name, 16, int32_t, uint32_t, __VA_ARGS__)
#define LANES_32(name, ...) LOOP(name, 32, int64_t, uint64_t, __VA_ARGS__)
#define LANES_64(name, ...) LOOP(name, 64, I128, U128, __VA_ARGS__)
#define LANES(name, ...) \
    LANES_8(name, __VA_ARGS__) LANES_16(name, __VA_ARGS__) LANES_32(name, __VA_ARGS__) LANES_64(name, __VA_ARGS__)

#define TOP ((I)1 << (BITS - 1))
#define WITHIN(v, least, most) ((v) < (least) ? (least) : (v) > (most) ? (most) : (v))

LANES(add, x + y)
LANES(sub, x - y)
LANES(smax, (S)x > (S)y ? x : y)
LANES(umax, x > y ? x : y)
LANES(smin, (S)x < (S)y ? x : y)
LANES(umin, x < y ? x : y)
LANES(sabd, (S)x > (S)y ? x - y : y - x)
LANES(uabd, x > y ? x - y : y - x)
LANES_8(mul, (N)x * y)
LANES_16(mul, (N)x * y)
LANES_32(mul, x * y)
LANES_64(mul, x * y)
LANES(smulh, (I)(S)x * (S)y >> BITS)
LANES(umulh, (N)x * y >> BITS)
LANES_32(sdiv, y == 0 ? 0 : y == UINT32_MAX ? -x : (U)((S)x / (S)y))
LANES_64(sdiv, y == 0 ? 0 : y == UINT64_MAX ? -x : (U)((S)x / (S)y))
LANES_32(udiv, y ? x / y : 0)
LANES_64(udiv, y ? x / y : 0)
LANES(orr, x | y)
LANES(eor, x ^ y)
LANES(and, x & y)
LANES(bic, x & ~y)
LANES(asr, (S)x >> (y < BITS ? y : BITS - 1))
LANES(lsr, y < BITS ? x >> (y & (BITS - 1)) : 0)
LANES(lsl, y < BITS ? (U)(x << (y & (BITS - 1))) : 0)
LANES(asrd, ((I)(S)x + ((S)x < 0 ? (I)(((N)1 << y) - 1) : 0)) >> y)
LANES(sqadd, WITHIN((I)(S)x + (S)y, -TOP, TOP - 1))
LANES(uqadd, (U)(x + y) < x ? (U)-1 : x + y)
LANES(sqsub, WITHIN((I)(S)x - (S)y, -TOP, TOP - 1))
LANES(uqsub, x > y ? x - y : 0)
LANES(eq, x == y ? -1 : 0)
LANES(ne, x != y ? -1 : 0)
LANES(ge, (S)x >= (S)y ? -1 : 0)
LANES(gt, (S)x > (S)y ? -1 : 0)
LANES(hs, x >= y ? -1 : 0)
LANES(hi, x > y ? -1 : 0)
LANES(lt, (S)x < (S)y ? -1 : 0)
LANES(le, (S)x <= (S)y ? -1 : 0)
LANES(lo, x < y ? -1 : 0)
LANES(ls, x <= y ? -1 : 0)
/* one, or x, with the sign changed if the second bit says so */
LANES_16(ftssel, (y & 1 ? 0x3c00 : x) ^ (y & 2) << 14)
LANES_32(ftssel, (y & 1 ? 0x3f800000 : x) ^ (y & 2) << 30)
LANES_64(ftssel, (y & 1 ? 0x3ff0000000000000 : x) ^ (y & 2) << 62)

LANES(mov, x)
LANES_16(sxtb, (S)(int8_t)x)
LANES_32(sxtb, (S)(int8_t)x)
LANES_64(sxtb, (S)(int8_t)x)
LANES_16(uxtb, (uint8_t)x)
LANES_32(uxtb, (uint8_t)x)
LANES_64(uxtb, (uint8_t)x)
LANES_32(sxth, (S)(int16_t)x)
LANES_64(sxth, (S)(int16_t)x)
LANES_32(uxth, (uint16_t)x)
LANES_64(uxth, (uint16_t)x)
LANES_64(sxtw, (S)(int32_t)x)
LANES_64(uxtw, (uint32_t)x)
LANES(abs, (S)x < 0 ? (U)-x : x)
LANES(neg, -x)
LANES(cls, __builtin_clzll((U)((x ^ (x >> (BITS - 1) ? (U)-1 : 0)) << 1 | 1)) - (64 - BITS))
LANES(clz, x ? __builtin_clzll(x) - (64 - BITS) : BITS)
LANES(cnt, __builtin_popcountll(x))
LANES(cnot, x == 0)
LANES_16(fabs, x & ~TOP)
LANES_32(fabs, x & ~TOP)
LANES_64(fabs, x & ~TOP)
LANES_16(fneg, x ^ TOP)
LANES_32(fneg, x ^ TOP)
LANES_64(fneg, x ^ TOP)
LANES(not, ~x)
LANES_16(revb, __builtin_bswap16(x))
LANES_32(revb, __builtin_bswap32(x))
LANES_64(revb, __builtin_bswap64(x))
LANES_32(revh, x << 16 | x >> 16)
LANES_64(revh, x << 48 | (x & 0xffff0000) << 16 | (x >> 16 & 0xffff0000) | x >> 48)
LANES_64(revw, x << 32 | x >> 32)

static inline uint8_t reversed(uint8_t x)
{
    return (uint8_t)((x * UINT64_C(0x0202020202) & UINT64_C(0x010884422010)) % 1023);
}
LANES_8(rbit, reversed(x))
LANES_16(rbit, reversed((uint8_t)x) << 8 | reversed((uint8_t)(x >> 8)))
static inline uint32_t reversed_32(uint32_t x)
{
    x = (x >> 1 & 0x55555555) | (x & 0x55555555) << 1;
    x = (x >> 2 & 0x33333333) | (x & 0x33333333) << 2;
    x = (x >> 4 & 0x0f0f0f0f) | (x & 0x0f0f0f0f) << 4;
    return __builtin_bswap32(x);
}
LANES_32(rbit, reversed_32(x))
LANES_64(rbit, (uint64_t)reversed_32((uint32_t)x) << 32 | reversed_32((uint32_t)(x >> 32)))

#define FROM_8(name) {name##_8, name##_16, name##_32, name##_64}
#define FROM_16(name) {NULL, name##_16, name##_32, name##_64}
#define FROM_32(name) {NULL, NULL, name##_32, name##_64}
#define FROM_64(name) {NULL, NULL, NULL, name##_64}
static LaneLoop *const loops[SVE_OPS][4] = {
    [SVE_ADD] = FROM_8(add), [SVE_SUB] = FROM_8(sub), [SVE_SMAX] = FROM_8(smax), [SVE_UMAX] = FROM_8(umax),
    [SVE_SMIN] = FROM_8(smin), [SVE_UMIN] = FROM_8(umin), [SVE_SABD] = FROM_8(sabd), [SVE_UABD] = FROM_8(uabd),
    [SVE_MUL] = FROM_8(mul), [SVE_SMULH] = FROM_8(smulh), [SVE_UMULH] = FROM_8(umulh), [SVE_SDIV] = FROM_32(sdiv),
    [SVE_UDIV] = FROM_32(udiv), [SVE_ORR] = FROM_8(orr), [SVE_EOR] = FROM_8(eor), [SVE_AND] = FROM_8(and),
    [SVE_BIC] = FROM_8(bic), [SVE_ASR] = FROM_8(asr), [SVE_LSR] = FROM_8(lsr), [SVE_LSL] = FROM_8(lsl),
    [SVE_ASRD] = FROM_8(asrd), [SVE_SQADD] = FROM_8(sqadd), [SVE_UQADD] = FROM_8(uqadd),
    [SVE_SQSUB] = FROM_8(sqsub), [SVE_UQSUB] = FROM_8(uqsub), [SVE_EQ] = FROM_8(eq), [SVE_NE] = FROM_8(ne),
    [SVE_GE] = FROM_8(ge), [SVE_GT] = FROM_8(gt), [SVE_HS] = FROM_8(hs), [SVE_HI] = FROM_8(hi), [SVE_LT] = FROM_8(lt),
    [SVE_LE] = FROM_8(le), [SVE_LO] = FROM_8(lo), [SVE_LS] = FROM_8(ls), [SVE_FTSSEL] = FROM_16(ftssel),
    [SVE_MOV] = FROM_8(mov), [SVE_SXTB] = FROM_16(sxtb), [SVE_UXTB] = FROM_16(uxtb), [SVE_SXTH] = FROM_32(sxth),
    [SVE_UXTH] = FROM_32(uxth), [SVE_SXTW] = FROM_64(sxtw), [SVE_UXTW] = FROM_64(uxtw), [SVE_ABS] = FROM_8(abs),
    [SVE_NEG] = FROM_8(neg), [SVE_CLS] = FROM_8(cls), [SVE_CLZ] = FROM_8(clz), [SVE_CNT] = FROM_8(cnt),
    [SVE_CNOT] = FROM_8(cnot), [SVE_FABS] = FROM_16(fabs), [SVE_FNEG] = FROM_16(fneg), [SVE_NOT] = FROM_8(not),
    [SVE_REVB] = FROM_16(revb), [SVE_REVH] = FROM_32(revh), [SVE_REVW] = FROM_64(revw), [SVE_RBIT] = FROM_8(rbit),
};

bool sve_has_op(SveOp op, unsigned esz)
{
    return loops[op][esz];
}

void sve_lane_op(SveOp op, unsigned esz, void *r, const void *n, const void *m, unsigned bytes)
{
    loops[op][esz](r, n, m, bytes);
}

#define WIDEN(to, from) \
    static void widen_##from##_##to(void *rv, const void *nv, unsigned bytes) \
    { \
        to *r = rv; \
        const from *n = nv; \
        for (unsigned i = 0; i < bytes / sizeof(to); i++) \
            r[i] = (to)n[i]; \
    }
WIDEN(uint16_t, uint8_t)
WIDEN(uint32_t, uint8_t)
WIDEN(uint64_t, uint8_t)
WIDEN(uint32_t, uint16_t)
WIDEN(uint64_t, uint16_t)
WIDEN(uint64_t, uint32_t)
WIDEN(int16_t, int8_t)
WIDEN(int32_t, int8_t)
WIDEN(int64_t, int8_t)
WIDEN(int32_t, int16_t)
WIDEN(int64_t, int16_t)
WIDEN(int64_t, int32_t)

void sve_widen(unsigned msz, unsigned esz, void *r, const void *n, unsigned bytes)
{
    typedef void Widen(void *r, const void *n, unsigned bytes);
    static Widen *const all[2][4][4] = {
        {{NULL, widen_uint8_t_uint16_t, widen_uint8_t_uint32_t, widen_uint8_t_uint64_t},
         {NULL, NULL, widen_uint16_t_uint32_t, widen_uint16_t_uint64_t}, {NULL, NULL, NULL, widen_uint32_t_uint64_t}},
        {{NULL, widen_int8_t_int16_t, widen_int8_t_int32_t, widen_int8_t_int64_t},
         {NULL, NULL, widen_int16_t_int32_t, widen_int16_t_int64_t}, {NULL, NULL, NULL, widen_int32_t_int64_t}},
    };
    if ((msz & 7) == esz)
        memcpy(r, n, bytes);
    else
        all[msz >> 3][msz & 7][esz](r, n, bytes);
}
