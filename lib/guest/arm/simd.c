/* SPDX-License-Identifier: MIT */
/*
 * Vector instructions on integers, one lane after the other. Lanes are held in 128 bits, so that
 * nothing overflows before it is saturated or cut.
 */
#include "guest/arm/simd_priv.h"

__extension__ typedef __int128 I128;

static I128 round_shift(I128 x, int amount, bool round)
{
    if (amount >= 127)
        return 0; /* nothing is left of 64 bits, rounded or not; the sign is x's only when not rounded */
    return (x + (round && amount > 0 ? (I128)1 << (amount - 1) : 0)) >> amount;
}

/* By the signed low byte of y, to the right if that is negative. */
static I128 shift_by(I128 x, I128 y, unsigned bits, bool round)
{
    int amount = (int8_t)y;
    if (amount < 0) {
        if (-amount > (int)bits + 1)
            return round || x >= 0 ? 0 : -1;
        return round_shift(x, -amount, round);
    }
    if (amount >= (int)bits) /* only its being out of range counts */
        return x == 0 ? 0 : x > 0 ? (I128)1 << 100 : -((I128)1 << 100);
    return (I128)((unsigned __int128)x << amount);
}

static uint64_t polynomial(uint64_t x, uint64_t y, unsigned bits)
{
    uint64_t r = 0;
    for (unsigned i = 0; i < bits; i++)
        r ^= y >> i & 1 ? x << i : 0;
    return r;
}

static uint64_t unary(LaneOp op, uint64_t x, unsigned bits)
{
    uint64_t r = 0;
    switch (op) {
    case LANE_CLS:
        x = (x ^ (x >> (bits - 1) & 1 ? UINT64_MAX : 0)) & bits_mask(bits);
        return (x ? (unsigned)__builtin_clzll(x) - (64 - bits) : bits) - 1;
    case LANE_CLZ: return x ? (unsigned)__builtin_clzll(x) - (64 - bits) : bits;
    case LANE_CNT: return (unsigned)__builtin_popcountll(x);
    case LANE_RBIT:
        for (unsigned i = 0; i < bits; i++)
            r |= (x >> i & 1) << (bits - 1 - i);
        return r;
    /* the manual's tables, as the formulas they were made by: nine bits of 1/x and 1/sqrt(x) */
    case LANE_URECPE:
        return x >> 31 ? (uint64_t)arm_recip_estimate((unsigned)(x >> 23)) << 23 : 0xffffffff;
    case LANE_URSQRTE:
        return x >> 30 ? (uint64_t)arm_rsqrt_estimate((unsigned)(x >> 23)) << 23 : 0xffffffff;
    default: return 0;
    }
}

typedef struct Lane {
    const ArmLanes *l;
    unsigned nbits, dbits;
    uint64_t raw_x; /* unextended */
    I128 old;       /* the destination's lane, signed if the result is */
} Lane;

static I128 lane_op(const Lane *p, I128 x, I128 y)
{
    const ArmLanes *l = p->l;
    bool round = l->flags & LANE_ROUND;
    unsigned n = p->nbits;
    switch ((LaneOp)l->op) {
    case LANE_ADD: return x + y;
    case LANE_SUB: return x - y;
    case LANE_MUL: return x * y;
    case LANE_DMUL: return x * y * 2;
    case LANE_HADD: return (x + y + round) >> 1;
    case LANE_HSUB: return (x - y) >> 1;
    case LANE_ABD: return x > y ? x - y : y - x;
    case LANE_MAX: return x > y ? x : y;
    case LANE_MIN: return x < y ? x : y;
    case LANE_GT: return -(x > y);
    case LANE_GE: return -(x >= y);
    case LANE_LE: return -(x <= y);
    case LANE_LT: return -(x < y);
    case LANE_EQ: return -(x == y);
    case LANE_TST: return -((x & y) != 0);
    case LANE_PMUL: return (I128)polynomial((uint64_t)x, (uint64_t)y, n);
    case LANE_SHIFT: return shift_by(x, y, n, round);
    case LANE_DMULH: /* with acc, the old lane's upper half takes part before rounding; all are halved, for 64 bits */
        x = l->acc == 2 ? -(x * y) : x * y;
        x += l->acc ? p->old * ((I128)1 << (n - 1)) : 0;
        return round_shift(x + (round ? (I128)1 << (n - 2) : 0), (int)n - 1, false);
    case LANE_ADDH: case LANE_SUBH:
        return round_shift(l->op == LANE_ADDH ? x + y : x - y, (int)n / 2, round);
    case LANE_MOVE: return x;
    case LANE_ABS: return x < 0 ? -x : x;
    case LANE_NEG: return -x;
    case LANE_NOT: return ~x;
    case LANE_ADD_OLD: return x + p->old;
    case LANE_SHR: return round_shift(x, l->shift, round);
    case LANE_SHL: return (I128)((unsigned __int128)x << l->shift);
    case LANE_SRI:
        return (I128)((l->shift < n ? p->raw_x >> l->shift : 0) |
                      ((uint64_t)p->old & ~(l->shift < n ? bits_mask(n) >> l->shift : 0)));
    case LANE_SLI: return (I128)(p->raw_x << l->shift | ((uint64_t)p->old & bits_mask(l->shift)));
    default: return (I128)unary((LaneOp)l->op, p->raw_x, n);
    }
}

static I128 saturate(ArmCpu *cpu, I128 v, unsigned bits, bool is_unsigned)
{
    I128 most = is_unsigned ? ((I128)1 << bits) - 1 : ((I128)1 << (bits - 1)) - 1;
    I128 least = is_unsigned ? 0 : -((I128)1 << (bits - 1));
    if (v >= least && v <= most)
        return v;
    cpu->qc[0] = 1;
    return v < least ? least : most;
}

static I128 extended(uint64_t v, unsigned bits, bool is_unsigned)
{
    return is_unsigned ? (I128)v : (I128)bits_sext(v, bits);
}

static uint64_t one_lane(ArmCpu *cpu, const Lane *p, I128 x, I128 y)
{
    const ArmLanes *l = p->l;
    I128 r = lane_op(p, x, y);
    bool is_unsigned = l->flags & LANE_SATURATE_UNSIGNED;
    bool saturates = is_unsigned || l->flags & LANE_SATURATE;
    if (l->acc && l->op != LANE_DMULH) {
        if (saturates)
            r = saturate(cpu, r, p->dbits, is_unsigned);
        r = l->acc == 1 ? p->old + r : p->old - r;
    }
    if (saturates)
        r = saturate(cpu, r, p->dbits, is_unsigned);
    return (uint64_t)r;
}

/* ---- what the compiler makes host vectors of: plain operations on whole registers */

#define VECTOR(bits) \
    typedef uint##bits##_t U##bits __attribute__((vector_size(16))); \
    typedef int##bits##_t S##bits __attribute__((vector_size(16)))
VECTOR(8);
VECTOR(16);
VECTOR(32);
VECTOR(64);

#define FAST(bits) \
    static bool fast_##bits(const ArmLanes *l, const void *n, const void *m, void *d) \
    { \
        U##bits x, y, r, old, all = ~(U##bits){0}; \
        S##bits sx, sy; \
        bool u = l->flags & LANE_UNSIGNED_N; \
        memcpy(&x, n, 16); \
        memcpy(&y, m, 16); \
        memcpy(&old, d, 16); \
        sx = (S##bits)x; \
        sy = (S##bits)y; \
        switch ((LaneOp)l->op) { \
        case LANE_ADD: r = x + y; break; \
        case LANE_SUB: r = x - y; break; \
        case LANE_MUL: r = x * y; break; \
        case LANE_MAX: case LANE_MIN: /* x where the mask is set */ \
            r = u ? (U##bits)(x > y) : (U##bits)(sx > sy); \
            r = l->op == LANE_MAX ? r : ~r; \
            r = (x & r) | (y & ~r); \
            break; \
        case LANE_GT: r = u ? (U##bits)(x > y) : (U##bits)(sx > sy); break; \
        case LANE_GE: r = u ? (U##bits)(x >= y) : (U##bits)(sx >= sy); break; \
        case LANE_LE: r = (U##bits)(sx <= sy); break; \
        case LANE_LT: r = (U##bits)(sx < sy); break; \
        case LANE_EQ: r = (U##bits)(x == y); break; \
        case LANE_TST: r = (U##bits)((x & y) != 0); break; \
        case LANE_NEG: r = -x; break; \
        case LANE_NOT: r = ~x; break; \
        case LANE_ABS: \
            r = (U##bits)(sx < 0); \
            r = (x ^ r) - r; \
            break; \
        case LANE_SHL: r = x << l->shift; break; \
        case LANE_SLI: r = x << l->shift | (old & ~(all << l->shift)); break; \
        case LANE_SRI: \
            if (l->shift >= bits) \
                return false; \
            r = x >> l->shift | (old & ~(all >> l->shift)); \
            break; \
        case LANE_SHR: \
            if (l->shift >= bits) \
                return false; \
            r = u ? x >> l->shift : (U##bits)(sx >> l->shift); \
            break; \
        default: return false; \
        } \
        if (l->acc) \
            r = l->acc == 1 ? old + r : old - r; \
        memcpy(d, &r, 16); \
        return true; \
    }
FAST(8)
FAST(16)
FAST(32)
FAST(64)

static bool fast(ArmCpu *cpu, const ArmLanes *l)
{
    static bool (*const by_size[])(const ArmLanes *, const void *, const void *, void *) = {
        fast_8, fast_16, fast_32, fast_64};
    uint64_t splat[2] = {0};
    const void *m = l->flags & LANE_M_ZERO ? splat : cpu->v[l->rm];
    if (l->flags & ~(LANE_UNSIGNED | LANE_M_ZERO) || l->nlog2 != l->dlog2 || l->mlog2 != l->nlog2 || l->dstart ||
        l->nstart || l->mstart || l->count << l->nlog2 < 8)
        return false;
    if (l->element != LANE_EACH && !(l->flags & LANE_M_ZERO)) {
        uint64_t one = arm_lane(cpu, l->rm, l->mlog2, l->element);
        splat[0] = splat[1] = l->mlog2 == 3 ? one : one * (UINT64_MAX / bits_mask(8u << l->mlog2));
        m = splat;
    }
    if (!by_size[l->nlog2](l, cpu->v[l->rn], m, cpu->v[l->rd]))
        return false;
    if (l->count << l->nlog2 == 8)
        cpu->v[l->rd][1] = 0;
    return true;
}

/* What string functions are made of: bytes joined, in pairs or all, and the narrowing that makes a
   mask of a comparison. */
static bool fast_bytes(ArmCpu *cpu, const ArmLanes *l)
{
    uint8_t n[32], r[16] = {0};
    uint16_t h[8];
    bool pairs = l->flags & LANE_PAIRS, join = pairs || l->flags & LANE_REDUCE;
    unsigned sum = 0;
    if (!l->nlog2 && join && l->flags & LANE_UNSIGNED_N && !l->acc && (pairs ? !l->dlog2 : l->count == 1)) {
        memcpy(n, cpu->v[l->rn], 16);
        memcpy(n + l->nlanes, cpu->v[l->rm], 16);
        if (l->op != LANE_MAX && l->op != LANE_MIN)
            return false;
        for (unsigned i = 0; pairs && i < l->count; i++)
            r[i] = l->op == LANE_MAX ? MAX(n[2 * i], n[2 * i + 1]) : MIN(n[2 * i], n[2 * i + 1]);
        sum = n[0];
        for (unsigned i = 1; !pairs && i < l->nlanes; i++)
            sum = l->op == LANE_MAX ? MAX(sum, n[i]) : MIN(sum, n[i]);
        r[0] = pairs ? r[0] : (uint8_t)sum;
    } else if (!l->nlog2 && !l->dlog2 && pairs && l->op == LANE_ADD && !l->acc) {
        memcpy(n, cpu->v[l->rn], 16);
        memcpy(n + l->nlanes, cpu->v[l->rm], 16);
        for (unsigned i = 0; i < l->count; i++)
            r[i] = (uint8_t)(n[2 * i] + n[2 * i + 1]);
    } else if (l->nlog2 == 1 && !l->dlog2 && l->count == 8 && !(l->flags & ~(LANE_UNSIGNED | LANE_M_ZERO)) &&
               (l->op == LANE_SHR || l->op == LANE_MOVE) && !l->acc) {
        unsigned by = l->op == LANE_SHR ? l->shift : 0;
        memcpy(h, cpu->v[l->rn], 16);
        for (unsigned i = 0; i < 8; i++)
            r[l->dstart + i] = (uint8_t)(h[i] >> by);
        if (l->dstart)
            memcpy(r, cpu->v[l->rd], 8);
    } else {
        return false;
    }
    memcpy(cpu->v[l->rd], r, 16);
    return true;
}

uint64_t arm_lane_result(ArmCpu *cpu, const ArmLanes *l, uint64_t x, uint64_t y, uint64_t old)
{
    bool un = l->flags & LANE_UNSIGNED_N, um = l->flags & LANE_UNSIGNED_M;
    unsigned nbits = 8u << l->nlog2, mbits = 8u << l->mlog2, dbits = 8u << l->dlog2;
    Lane p = {.l = l, .nbits = nbits, .dbits = dbits, .raw_x = x, .old = extended(old, dbits, l->flags & LANE_SATURATE_UNSIGNED)};
    return one_lane(cpu, &p, extended(x, nbits, un), extended(y, mbits, um));
}

HELPER(lanes)
{
    ArmCpu *arm = cpu;
    ArmLanes l = arm_lanes_of(a, b);
    bool un = l.flags & LANE_UNSIGNED_N, um = l.flags & LANE_UNSIGNED_M;
    unsigned nbits = 8u << l.nlog2, mbits = 8u << l.mlog2, dbits = 8u << l.dlog2;
    Lane p = {.l = &l, .nbits = nbits, .dbits = dbits};
    uint64_t results[16];
    if (fast(arm, &l) || fast_bytes(arm, &l))
        return 0;
    if (l.flags & LANE_REDUCE) {
        I128 sum = extended(arm_lane(arm, l.rn, l.nlog2, 0), nbits, un);
        for (unsigned i = 1; i < l.nlanes; i++)
            sum = lane_op(&p, sum, extended(arm_lane(arm, l.rn, l.nlog2, i), nbits, un));
        results[0] = (uint64_t)sum;
        arm_lanes_put(arm, &l, results);
        return 0;
    }
    for (unsigned i = 0; i < l.count; i++) {
        uint64_t x, y = 0;
        if (l.flags & LANE_PAIRS) {
            unsigned at = 2 * i, v = at < l.nlanes ? l.rn : l.rm;
            at -= at < l.nlanes ? 0 : l.nlanes;
            x = arm_lane(arm, v, l.nlog2, at);
            y = arm_lane(arm, v, l.nlog2, at + 1);
        } else {
            x = arm_lane(arm, l.rn, l.nlog2, l.nstart + i);
            if (!(l.flags & LANE_M_ZERO))
                y = arm_lane(arm, l.rm, l.mlog2, l.element == LANE_EACH ? l.mstart + i : l.element);
        }
        p.raw_x = x;
        p.old = extended(arm_lane(arm, l.rd, l.dlog2, l.dstart + i), dbits,
                         l.flags & LANE_SATURATE_UNSIGNED);
        results[i] = one_lane(arm, &p, extended(x, nbits, un), extended(y, mbits, um));
    }
    arm_lanes_put(arm, &l, results);
    return 0;
}
