/* SPDX-License-Identifier: MIT */
/* SVE: lanes that change places, and single ones. */
#include "guest/arm/sve_priv.h"

static uint64_t finish(ArmCpu *cpu, const ArmSve *s, const void *r)
{
    memcpy(sve_z(cpu, s->rd), r, sve_bytes(s));
    return 0;
}

/* imm: first byte */
uint64_t sve_ext(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint8_t r[SVE_MAX_BYTES];
    unsigned bytes = sve_bytes(s), at = (unsigned)s->imm < bytes ? (unsigned)s->imm : 0;
    memcpy(r, (uint8_t *)sve_z(cpu, s->rd) + at, bytes - at);
    memcpy(r + (bytes - at), sve_z(cpu, s->rn), at);
    return finish(cpu, s, r);
}

uint64_t sve_dup_lane(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint8_t r[SVE_MAX_BYTES], lane[16] = {0};
    unsigned size = 1u << s->esz, at = (unsigned)s->imm * size;
    if (at < sve_bytes(s))
        memcpy(lane, (uint8_t *)sve_z(cpu, s->rn) + at, size);
    for (unsigned i = 0; i < sve_bytes(s); i += size)
        memcpy(r + i, lane, size);
    return finish(cpu, s, r);
}

uint64_t sve_tbl(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS];
    unsigned lanes = sve_lanes(s);
    for (unsigned i = 0; i < lanes; i++) {
        uint64_t at = sve_get(sve_z(cpu, s->rm), s->esz, i);
        sve_set(r, s->esz, i, at < lanes ? sve_get(sve_z(cpu, s->rn), s->esz, (unsigned)at) : 0);
    }
    return finish(cpu, s, r);
}

uint64_t sve_insr(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint8_t *d = sve_z(cpu, s->rd);
    unsigned size = 1u << s->esz;
    memmove(d + size, d, sve_bytes(s) - size);
    sve_set(d, s->esz, 0, x);
    return 0;
}

uint64_t sve_rev(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS];
    unsigned lanes = sve_lanes(s);
    for (unsigned i = 0; i < lanes; i++)
        sve_set(r, s->esz, i, sve_get(sve_z(cpu, s->rn), s->esz, lanes - 1 - i));
    return finish(cpu, s, r);
}

/* esz: of the result */
uint64_t sve_unpk(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS];
    unsigned bytes = sve_bytes(s), in = (s->esz - 1u) | (s->flags & SVE_UNSIGNED ? 0 : 8);
    sve_widen(in, s->esz, r, (const uint8_t *)sve_z(cpu, s->rn) + (s->flags & SVE_SECOND ? bytes / 2 : 0), bytes);
    return finish(cpu, s, r);
}

uint64_t sve_zip(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS];
    unsigned half = sve_lanes(s) / 2, from = s->flags & SVE_SECOND ? half : 0;
    for (unsigned i = 0; i < half; i++) {
        sve_set(r, s->esz, 2 * i, sve_get(sve_z(cpu, s->rn), s->esz, from + i));
        sve_set(r, s->esz, 2 * i + 1, sve_get(sve_z(cpu, s->rm), s->esz, from + i));
    }
    return finish(cpu, s, r);
}

uint64_t sve_uzp(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS];
    unsigned half = sve_lanes(s) / 2, odd = s->flags & SVE_SECOND ? 1 : 0;
    for (unsigned i = 0; i < half; i++) {
        sve_set(r, s->esz, i, sve_get(sve_z(cpu, s->rn), s->esz, 2 * i + odd));
        sve_set(r, s->esz, half + i, sve_get(sve_z(cpu, s->rm), s->esz, 2 * i + odd));
    }
    return finish(cpu, s, r);
}

uint64_t sve_trn(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS];
    unsigned odd = s->flags & SVE_SECOND ? 1 : 0;
    for (unsigned i = 0; i < sve_lanes(s); i += 2) {
        sve_set(r, s->esz, i, sve_get(sve_z(cpu, s->rn), s->esz, i + odd));
        sve_set(r, s->esz, i + 1, sve_get(sve_z(cpu, s->rm), s->esz, i + odd));
    }
    return finish(cpu, s, r);
}

/* ---- by predicate ------------------------------------------------------------------------- */

uint64_t sve_compact(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS] = {0}, g[4];
    unsigned n = 0;
    sve_governing(cpu, s, g);
    for (unsigned i = 0; i < sve_lanes(s); i++)
        if (sve_active(g, s->esz, i))
            sve_set(r, s->esz, n++, sve_get(sve_z(cpu, s->rn), s->esz, i));
    return finish(cpu, s, r);
}

/* The last active lane, or -1. */
static int last_of(const ArmSve *s, const uint64_t *g)
{
    for (unsigned w = sve_p_words(s); w-- > 0;)
        if (g[w])
            return (int)((64 * w + 63 - (unsigned)__builtin_clzll(g[w])) >> s->esz);
    return -1;
}

uint64_t sve_splice(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS], g[4];
    unsigned n = 0, m = 0, lanes = sve_lanes(s), first = 0;
    sve_governing(cpu, s, g);
    int last = last_of(s, g);
    while (last >= 0 && !sve_active(g, s->esz, first))
        first++;
    for (int i = (int)first; i <= last; i++)
        sve_set(r, s->esz, n++, sve_get(sve_z(cpu, s->rd), s->esz, (unsigned)i));
    while (n < lanes)
        sve_set(r, s->esz, n++, sve_get(sve_z(cpu, s->rn), s->esz, m++));
    return finish(cpu, s, r);
}

/* LASTA: the lane after it, around the end; LASTB: it itself, or the last of all. */
static uint64_t last_value(ArmCpu *cpu, const ArmSve *s, int last)
{
    unsigned lanes = sve_lanes(s), at = (unsigned)(last + 1);
    if (s->flags & SVE_SECOND)
        at += lanes - 1;
    return sve_get(sve_z(cpu, s->rn), s->esz, at % lanes);
}

uint64_t sve_last(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t g[4];
    sve_governing(cpu, s, g);
    return last_value(cpu, s, last_of(s, g));
}

/* x if none is active */
uint64_t sve_clast(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t g[4];
    sve_governing(cpu, s, g);
    int last = last_of(s, g);
    return last < 0 ? x & bits_mask(8u << s->esz) : last_value(cpu, s, last);
}

uint64_t sve_clast_z(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS], g[4];
    sve_governing(cpu, s, g);
    int last = last_of(s, g);
    if (last < 0)
        return 0;
    uint64_t v = sve_splat(s->esz, last_value(cpu, s, last));
    for (unsigned i = 0; i < ARM_Z_WORDS; i++)
        r[i] = v;
    return finish(cpu, s, r);
}
