/* SPDX-License-Identifier: MIT */
/* SVE: instructions on predicates, and the counts and conditions that come of them. */
#include "guest/arm/sve_priv.h"

static bool bit(const uint64_t *p, unsigned at) { return p[at >> 6] >> (at & 63) & 1; }
static void set_bit(uint64_t *p, unsigned at, bool v)
{
    p[at >> 6] = bits_set(p[at >> 6], at & 63, 1, v);
}

/* A predicate's bits of one lane, and written. */
static uint64_t element(const uint64_t *p, unsigned esz, unsigned i)
{
    unsigned at = i << esz;
    return p[at >> 6] >> (at & 63) & bits_mask(1u << esz);
}

static void set_element(uint64_t *p, unsigned esz, unsigned i, uint64_t v)
{
    unsigned at = i << esz;
    p[at >> 6] = bits_set(p[at >> 6], at & 63, 1u << esz, v);
}

/* Into pd, with NZCV under g if they are to be set. */
static uint64_t finish(ArmCpu *cpu, const ArmSve *s, const uint64_t *g, const uint64_t *r)
{
    uint64_t *d = sve_p(cpu, s->rd);
    for (unsigned w = 0; w < 4; w++)
        d[w] = w < sve_p_words(s) ? r[w] & sve_p_valid(s, w) : 0;
    if (s->flags & SVE_SETS)
        sve_set_nzcv(cpu, s, g, d);
    return 0;
}

static const uint64_t ones[4] = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};

/* op: the operation's bits op, o2 and o3 */
uint64_t sve_plogic(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[4], g[4];
    sve_governing(cpu, s, g);
    for (unsigned w = 0; w < 4; w++) {
        uint64_t n = sve_p(cpu, s->rn)[w], m = sve_p(cpu, s->rm)[w];
        switch (s->op) {
        case 0: r[w] = n & m; break;
        case 1: r[w] = n & ~m; break;
        case 2: r[w] = n ^ m; break;
        case 3: r[w] = (n & g[w]) | (m & ~g[w]); continue; /* SEL */
        case 4: r[w] = n | m; break;
        case 5: r[w] = n | ~m; break;
        case 6: r[w] = ~(n | m); break;
        default: r[w] = ~(n & m); break;
        }
        r[w] &= g[w];
    }
    return finish(cpu, s, g, r);
}

/* Whether the last active element of p is true; no active one: false. */
static bool last_active(const ArmSve *s, const uint64_t *g, const uint64_t *p)
{
    for (unsigned w = sve_p_words(s); w-- > 0;)
        if (g[w])
            return p[w] >> (63 - __builtin_clzll(g[w])) & 1;
    return false;
}

uint64_t sve_brkp(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[4] = {0}, g[4];
    sve_governing(cpu, s, g);
    bool last = last_active(s, g, sve_p(cpu, s->rn));
    for (unsigned i = 0; i < sve_bytes(s) && last; i++) {
        if (!bit(g, i))
            continue;
        bool stops = bit(sve_p(cpu, s->rm), i);
        set_bit(r, i, !(stops && s->flags & SVE_SECOND));
        last = !stops;
    }
    return finish(cpu, s, g, r);
}

uint64_t sve_brk(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[4] = {0}, g[4];
    bool going = true;
    sve_governing(cpu, s, g);
    if (!(s->flags & SVE_ZERO))
        memcpy(r, sve_p(cpu, s->rd), sizeof r);
    for (unsigned i = 0; i < sve_bytes(s); i++) {
        if (!bit(g, i))
            continue;
        bool stops = bit(sve_p(cpu, s->rn), i);
        set_bit(r, i, going && !(stops && s->flags & SVE_SECOND));
        going &= !stops;
    }
    return finish(cpu, s, g, r);
}

uint64_t sve_brkn(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[4] = {0}, g[4];
    sve_governing(cpu, s, g);
    if (last_active(s, g, sve_p(cpu, s->rn)))
        memcpy(r, sve_p(cpu, s->rd), sizeof r);
    return finish(cpu, s, ones, r);
}

uint64_t sve_ptest(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t g[4];
    sve_governing(cpu, s, g);
    sve_set_nzcv(cpu, s, g, sve_p(cpu, s->rn));
    return 0;
}

uint64_t sve_pfirst(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[4], g[4];
    sve_governing(cpu, s, g);
    memcpy(r, sve_p(cpu, s->rd), sizeof r);
    for (unsigned w = 0; w < sve_p_words(s); w++)
        if (g[w]) {
            r[w] |= g[w] & -g[w];
            break;
        }
    return finish(cpu, s, g, r);
}

uint64_t sve_pnext(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[4] = {0}, g[4];
    unsigned lanes = sve_lanes(s), next = lanes;
    sve_governing(cpu, s, g);
    while (next > 0 && !sve_active(sve_p(cpu, s->rd), s->esz, next - 1))
        next--;
    while (next < lanes && !sve_active(g, s->esz, next))
        next++;
    if (next < lanes)
        set_element(r, s->esz, next, 1);
    return finish(cpu, s, g, r);
}

/* The first `count` lanes of esz. */
static void first_lanes(const ArmSve *s, uint64_t count, uint64_t r[4])
{
    uint64_t at = count << s->esz;
    for (unsigned w = 0; w < 4; w++)
        r[w] = at >= 64 * (w + 1) ? sve_every(s->esz) : at <= 64 * w ? 0 : sve_every(s->esz) & bits_mask((unsigned)at & 63);
}

/* imm: the pattern; that of 32 is PFALSE */
uint64_t sve_ptrue(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[4];
    first_lanes(s, s->imm == 32 ? 0 : sve_pattern((unsigned)s->imm, sve_lanes(s)), r);
    return finish(cpu, s, r, r);
}

/* x < y or, as op has it, x <= y. imm: bits of the numbers, which are extended to 64 */
uint64_t sve_while(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[4], count = 0, most = bits_mask((unsigned)s->imm);
    bool u = s->flags & SVE_UNSIGNED, less = u ? x < y : (int64_t)x < (int64_t)y;
    if (!u)
        most >>= 1;
    if (less || (s->op && x == y))
        count = s->op && y == most ? UINT64_MAX : y - x + s->op;
    first_lanes(s, MIN(count, sve_lanes(s)), r);
    return finish(cpu, s, ones, r);
}

uint64_t sve_rdffr(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[4], g[4];
    sve_governing(cpu, s, g);
    for (unsigned w = 0; w < 4; w++)
        r[w] = sve_p(cpu, ARM_FFR)[w] & g[w];
    return finish(cpu, s, g, r);
}

uint64_t sve_wrffr(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    memcpy(sve_p(cpu, ARM_FFR), sve_p(cpu, s->rn), sizeof cpu->p[0]);
    return 0;
}

uint64_t sve_setffr(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    for (unsigned w = 0; w < 4; w++)
        sve_p(cpu, ARM_FFR)[w] = w < sve_p_words(s) ? sve_p_valid(s, w) : 0;
    return 0;
}

/* ---- permutations ------------------------------------------------------------------------ */

uint64_t sve_pzip(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[4] = {0};
    unsigned half = sve_lanes(s) / 2, from = s->flags & SVE_SECOND ? half : 0;
    for (unsigned i = 0; i < half; i++) {
        set_element(r, s->esz, 2 * i, element(sve_p(cpu, s->rn), s->esz, from + i));
        set_element(r, s->esz, 2 * i + 1, element(sve_p(cpu, s->rm), s->esz, from + i));
    }
    return finish(cpu, s, r, r);
}

uint64_t sve_puzp(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[4] = {0};
    unsigned half = sve_lanes(s) / 2, odd = s->flags & SVE_SECOND ? 1 : 0;
    for (unsigned i = 0; i < half; i++) {
        set_element(r, s->esz, i, element(sve_p(cpu, s->rn), s->esz, 2 * i + odd));
        set_element(r, s->esz, half + i, element(sve_p(cpu, s->rm), s->esz, 2 * i + odd));
    }
    return finish(cpu, s, r, r);
}

uint64_t sve_ptrn(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[4] = {0};
    unsigned odd = s->flags & SVE_SECOND ? 1 : 0;
    for (unsigned i = 0; i < sve_lanes(s); i += 2) {
        set_element(r, s->esz, i, element(sve_p(cpu, s->rn), s->esz, i + odd));
        set_element(r, s->esz, i + 1, element(sve_p(cpu, s->rm), s->esz, i + odd));
    }
    return finish(cpu, s, r, r);
}

uint64_t sve_prev(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[4] = {0};
    unsigned lanes = sve_lanes(s);
    for (unsigned i = 0; i < lanes; i++)
        set_element(r, s->esz, i, element(sve_p(cpu, s->rn), s->esz, lanes - 1 - i));
    return finish(cpu, s, r, r);
}

uint64_t sve_punpk(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[4] = {0};
    unsigned half = sve_bytes(s) / 2, from = s->flags & SVE_SECOND ? half : 0;
    for (unsigned i = 0; i < half; i++)
        set_bit(r, 2 * i, bit(sve_p(cpu, s->rn), from + i));
    return finish(cpu, s, r, r);
}

/* ---- counts --------------------------------------------------------------------------------- */

uint64_t sve_cntp(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t g[4], n = 0;
    sve_governing(cpu, s, g);
    for (unsigned w = 0; w < 4; w++)
        n += (unsigned)__builtin_popcountll(g[w] & sve_p(cpu, s->rn)[w]);
    return n;
}

/* x + or - y, x of 32 bits (imm) or 64, saturated and extended as it is signed or not */
uint64_t sve_sat_add(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    bool u = s->flags & SVE_UNSIGNED;
    uint64_t r;
    sve_lane_op(s->flags & SVE_NEGATIVE ? u ? SVE_UQSUB : SVE_SQSUB : u ? SVE_UQADD : SVE_SQADD, s->imm == 64 ? 3 : 2, &r,
                &x, &y, s->imm == 64 ? 8 : 4);
    return s->imm == 64 ? r : u ? (uint32_t)r : (uint64_t)(int64_t)(int32_t)r;
}
