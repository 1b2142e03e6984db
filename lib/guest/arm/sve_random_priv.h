/* SPDX-License-Identifier: MIT */
/*
 * For test_sve.c: groups of random instructions of SVE, made from the decode files as random_priv.h does,
 * between some of Advanced SIMD and floating point. Memory is reached by x26, which points into the scratch
 * page of the group's record; x26 to x28 are never written, z29 and z30 hold addresses and offsets.
 */
#pragma once

#include "guest/arm/random_priv.h"

#define SVE_UNITS 14
#define SVE_CODE 64
#define SVE_SCRATCH_AT 12288u

/* Both what a group starts with and what it leaves: registers lie as the vector length has them. */
typedef struct SveRecord {
    uint64_t x[31], pad, nzcv, fpcr, fpsr, pad2[5];
    uint8_t p[17][32]; /* the last is FFR */
    uint8_t z[32][256];
    uint8_t pad3[SVE_SCRATCH_AT - 40 * 8 - 17 * 32 - 32 * 256];
    uint8_t scratch[4096];
} SveRecord;
_Static_assert(sizeof(SveRecord) == 16384, "whole pages");

typedef struct SveGroup {
    SveRecord start;
    uint32_t code[SVE_CODE];
    unsigned length, unit[SVE_UNITS + 1], units;
} SveGroup;

typedef struct SveGen {
    Gen gen;             /* patterns: SVE's int, fp, mem; fp; simd; SVE2's */
    SveGroup *g;
    unsigned vl;
} SveGen;

static inline void put(SveGen *s, uint32_t word)
{
    g_assert(s->g->length < SVE_CODE);
    s->g->code[s->g->length++] = word;
}

static inline bool starts(const Pattern *p, const char *name) { return g_str_has_prefix(p->name, name); }

/* z30 = small offsets, of lanes of 64 or 32 bits; z29 = addresses */
static inline void put_offsets(SveGen *s, bool wide, bool addresses)
{
    put(s, wide ? 0x058200be : 0x058000be); /* and z30.T, z30.T, #0x3f */
    if (addresses) {
        put(s, (wide ? 0x05e03800u : 0x05a03800u) | 26u << 5 | 29); /* mov z29.T, x26 */
        put(s, (wide ? 0x04e00000u : 0x04a00000u) | 30u << 16 | 29u << 5 | 29); /* add z29.T, z29.T, z30.T */
    }
}

/* One load or store, with what it needs before it. */
static inline bool put_memory(SveGen *s, const Pattern *p)
{
    Gen *gen = &s->gen;
    uint32_t word = fill(gen, p);
    bool wide = (word >> 25 & 0x7f) == 0x62 || ((word >> 25 & 0x7f) == 0x72 && !(word & 1u << 22));
    bool nofault = starts(p, "ld1_imm") && word & 1u << 20;
    word = set_field(word, 5, 5, 26);
    if (is(p, "st1") && FIELD(word, 22, 3) == 6) /* STR */
        return false;
    if (starts(p, "ld1_imm") || starts(p, "ldn_imm") || starts(p, "st1_imm") || starts(p, "stn_imm"))
        word = set_field(word, 16, 4, below(gen, 2) ? 0 : 15 * below(gen, 2));
    else if (starts(p, "ldr") || starts(p, "str"))
        word = set_field(set_field(word, 16, 6, 0), 10, 3, below(gen, 4));
    else if (starts(p, "prf") || is(p, "ld1r") || is(p, "ld1rq_imm"))
        ;
    else if (is(p, "_ldnt1") || is(p, "_stnt1")) {
        wide = is(p, "_ldnt1") ? word >> 30 & 1 : !(word & 1u << 22);
        word = set_field(set_field(word, 5, 5, 29), 16, 5, percent(gen, 30) ? 31 : 24);
    } else if (starts(p, "gather_vec") || (starts(p, "scatter64") && word & 1u << 22)) {
        wide = starts(p, "gather_vec") ? word >> 30 & 1 : !(word & 1u << 21);
        word = set_field(word, 5, 5, 29);
    } else if (starts(p, "gather") || starts(p, "scatter"))
        word = set_field(word, 16, 5, 30);
    else
        word = set_field(word, 16, 5, 24);
    if (nofault && percent(gen, 25))
        word = set_field(word, 5, 5, 23);
    if (!gen_known(gen, word))
        return false;
    if (starts(p, "gather") || starts(p, "scatter") || FIELD(word, 5, 5) == 29)
        put_offsets(s, wide, FIELD(word, 5, 5) == 29);
    if (FIELD(word, 16, 5) == 24)
        put(s, MOVZ(24, below(gen, 8)));
    /* qemu-aarch64 7.2 loads nothing, without a word in FFR, where the first lane is inactive */
    if (nofault || starts(p, "ldff1") || (starts(p, "gather") && word & 1u << 13))
        put(s, 0x2518e000u | FIELD(word, 10, 3) | (percent(gen, 50) ? 31 : below(gen, 14)) << 5); /* ptrue p.b */
    if (FIELD(word, 5, 5) == 23)
        put(s, MOVZ(23, below(gen, 100)));
    put(s, word);
    return true;
}

/* General registers that hold addresses are not written. */
static inline uint32_t safe_rd(Gen *gen, const Pattern *p, uint32_t word)
{
    static const char *const names[] = {"addvl", "rdvl", "count", "perm_pred", "cntp", "incp"};
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
        if (is(p, names[i]) && FIELD(word, 0, 5) >= 26)
            return set_field(word, 0, 5, below(gen, 26));
    return word;
}

static inline bool put_one(SveGen *s)
{
    static const uint8_t weights[] = {0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3, 4, 5, 5, 5, 5, 5, 5};
    Gen *gen = &s->gen;
    unsigned file = weights[below(gen, sizeof weights)], length = s->g->length;
    Pattern *p = pick(gen, file);
    bool done = false;
    if (file == 2 || is(p, "_ldnt1") || is(p, "_stnt1")) {
        done = put_memory(s, p);
    } else if (file == 3 || file == 4) { /* what zeroes the rest of a Z register */
        uint32_t word = rd_word(gen, fill(gen, p));
        /* qemu-aarch64 7.2 keeps what is above 128 bits when others widen or pair lanes */
        bool right = (is(p, "three_same") && FIELD(word, 11, 5) < 20) || is(p, "mod_imm") || is(p, "copy") || is(p, "ext") || is(p, "tbl") || is(p, "permute");
        done = !is(p, "fcmp") && !is(p, "fccmp") && (file == 3 || right) && gen_known(gen, word);
        if (done)
            put(s, word);
    } else {
        for (unsigned i = 0; i < 50 && !done; i++) {
            uint32_t word = safe_rd(gen, p, fill(gen, p));
            if (percent(gen, 10))
                word = set_field(word, 5, 5, FIELD(word, 0, 5));
            /* qemu-aarch64 7.2 has zero for UQXTN of doublewords with their top bit set */
            done = !(is(p, "_xtn") && word & 1u << 22 && FIELD(word, 11, 2) == 1) && gen_known(gen, word);
            if (done)
                put(s, word);
        }
    }
    p->made += done;
    if (!done)
        s->g->length = length;
    return done;
}

static inline void random_predicate(SveGen *s, uint8_t out[32])
{
    Gen *gen = &s->gen;
    unsigned n = below(gen, s->vl + 1), kind = below(gen, 8);
    for (unsigned i = 0; i < 32; i++)
        out[i] = kind == 0 ? 255 : kind == 1 ? (uint8_t)(rnd(gen) & rnd(gen) & rnd(gen)) : kind == 2 ? 0x11
               : kind == 3 ? 0 : (uint8_t)rnd(gen);
    if (kind >= 6) /* the first n bits, or but these */
        for (unsigned i = 0; i < 256; i++)
            out[i / 8] = (uint8_t)bits_set(out[i / 8], i % 8, 1, (i < n) == (kind == 6));
}

static inline void sve_group_random(SveGen *s, SveGroup *g)
{
    Gen *gen = &s->gen;
    s->g = g;
    memset(g, 0, sizeof *g);
    for (unsigned i = 0; i < 31; i++)
        g->start.x[i] = percent(gen, 30) ? below(gen, 70) : random_x(gen);
    for (unsigned i = 0; i < 32 * s->vl; i += 8) { /* one after the other, as LDR has them */
        unsigned z = i / s->vl;
        st_le64(&g->start.z[0][0] + i, z % 8 == 7 ? random_x(gen) : z % 8 == 6 ? below(gen, 40) * UINT64_C(0x100000001) : random_half(gen));
    }
    for (unsigned i = 0; i < 17; i++) {
        uint8_t bits[32];
        random_predicate(s, bits);
        memcpy(&g->start.p[0][0] + i * s->vl / 8, bits, s->vl / 8);
    }
    uint8_t *ffr = &g->start.p[0][0] + 16 * s->vl / 8;
    unsigned n = percent(gen, 70) ? s->vl : below(gen, s->vl); /* its first lanes only, as instructions make it */
    for (unsigned i = 0; i < s->vl; i++)
        ffr[i / 8] = (uint8_t)bits_set(ffr[i / 8], i % 8, 1, i < n);
    for (unsigned i = 0; i < sizeof g->start.scratch; i += 8)
        st_le64(g->start.scratch + i, percent(gen, 50) ? random_half(gen) : random_x(gen));
    g->start.nzcv = (uint64_t)below(gen, 16) << 28;
    g->start.fpcr = percent(gen, 50) ? 0 : (uint64_t)below(gen, 16) << 22;
    if (percent(gen, 20))
        g->start.fpcr |= rnd(gen) & (ARM_FPCR_AHP | ARM_FPCR_FZ16);
    g->start.fpsr = percent(gen, 50) ? 0 : below(gen, 32);
    while (g->units < SVE_UNITS && g->length + 8 < SVE_CODE)
        if (put_one(s))
            g->unit[++g->units] = g->length;
}
