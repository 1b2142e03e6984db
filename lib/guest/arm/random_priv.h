/* SPDX-License-Identifier: MIT */
/*
 * For test_random.c: groups of random instructions made from the decode files of this folder, as far
 * as the decoder takes them, with operands chosen for their edges. A group is straight code with
 * forward branches over one instruction; memory is reached by x26, which points at the scratch of
 * the group's record. x26 to x28 and sp are never written. Left out: what raises an exception or
 * depends on the host (counters, identification, DC ZVA, whose block an oracle may choose).
 */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "guest/arm/arm_priv.h"

#define SCRATCH 512
#define MAX_UNITS 24
#define MAX_CODE 128
#define FILES 9

/* Both what a group starts with and what it leaves, in the guest's memory. */
typedef struct Record {
    uint64_t x[31], sp, nzcv, fpcr, fpsr, pad[5];
    uint64_t v[32][2];
    uint8_t scratch[SCRATCH];
} Record;

typedef struct Group {
    Record start;
    uint32_t code[MAX_CODE];
    unsigned length, unit[MAX_UNITS + 1], units;
} Group;

typedef struct Pattern {
    char name[20];
    uint32_t value, mask;
    unsigned made;
} Pattern;

typedef struct Gen {
    uint64_t state;
    GArray *patterns[FILES]; /* a file each: int mem sys fp simd, then those of extensions */
    IrBuilder *b;        /* to ask the decoder */
    Group *g;
} Gen;

static inline uint64_t rnd(Gen *gen)
{
    uint64_t z = gen->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static inline unsigned below(Gen *gen, unsigned n) { return (unsigned)((rnd(gen) >> 32) * n >> 32); }
static inline bool percent(Gen *gen, unsigned p) { return below(gen, 100) < p; }
#define FIELD(word, at, width) ((word) >> (at) & ((1u << (width)) - 1))

static inline uint32_t set_field(uint32_t word, unsigned at, unsigned width, uint32_t v)
{
    uint32_t mask = ((1u << width) - 1) << at;
    return (word & ~mask) | (v << at & mask);
}

/* ---- operands */

/* A float of so many fraction and exponent bits. */
static inline uint64_t random_float(Gen *gen, unsigned fraction, unsigned exponent)
{
    uint64_t f = rnd(gen) & bits_mask(fraction), half = UINT64_C(1) << (fraction - 1);
    uint64_t top = bits_mask(exponent), bias = top >> 1, e;
    switch (below(gen, 7)) {
    case 0: f = 0; break;
    case 1: f &= ~bits_mask(fraction - 3); break;
    case 2: f |= bits_mask(fraction - 4); break;
    case 3: f &= 3; break;
    case 4: f = percent(gen, 50) ? half : half + 1; break;
    default: break;
    }
    switch (below(gen, 9)) {
    case 0: e = 0; break;
    case 1: e = top; break;
    case 2: e = below(gen, 4); break;
    case 3: e = top - 1 - below(gen, 3); break;
    case 4: case 5: e = bias - 3 + below(gen, 8); break;
    case 6: e = bias + below(gen, 66); break;
    case 7: e = bias / 2 + below(gen, 30); break;
    default: e = rnd(gen) & top; break;
    }
    return (rnd(gen) & 1) << (fraction + exponent) | (e & top) << fraction | f;
}

static inline uint64_t random_x(Gen *gen)
{
    static const uint64_t edge[] = {
        0, 1, 2, UINT64_MAX, UINT64_MAX - 1, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000,
        0xffffffff80000000, 0x7fffffffffffffff, 0x8000000000000000, 0xff, 0x80, 0x8000, 63, 64,
    };
    unsigned k = below(gen, 64);
    switch (below(gen, 9)) {
    case 0: case 1: return edge[below(gen, G_N_ELEMENTS(edge))];
    case 2: return UINT64_C(1) << k;
    case 3: return (UINT64_C(1) << k) - 1;
    case 4: return (uint64_t)(int64_t)(int32_t)rnd(gen);
    case 5: return rnd(gen) & rnd(gen) & rnd(gen);
    case 6: return random_float(gen, 52, 11);
    default: return rnd(gen) >> k;
    }
}

/* Half a vector of lanes of some kind. */
static inline uint64_t random_half(Gen *gen)
{
    uint64_t v = 0;
    switch (below(gen, 6)) {
    case 0: case 1: return random_float(gen, 52, 11);
    case 2: case 3: return random_float(gen, 23, 8) << 32 | random_float(gen, 23, 8);
    case 4:
        for (unsigned i = 0; i < 4; i++)
            v = v << 16 | random_float(gen, 10, 5);
        return v;
    default:
        for (unsigned i = 0; i < 8; i++) {
            static const uint8_t edge[] = {0, 1, 127, 128, 255, 16, 64};
            v = v << 8 | (percent(gen, 60) ? edge[below(gen, sizeof edge)] : rnd(gen) & 255);
        }
        return v;
    }
}

/* ---- patterns */

static inline bool gen_read(Gen *gen, unsigned file, const char *path)
{
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return false;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        g_auto(GStrv) words = g_regex_split_simple("\\s+", *line, 0, 0);
        Pattern p = {0};
        if (!words[0] || !words[1] || strspn(words[1], "01.") != strlen(words[1]))
            continue;
        for (unsigned at = 1; words[at] && strspn(words[at], "01.") == strlen(words[at]); at++)
            for (const char *c = words[at]; *c; c++) {
                p.value = p.value << 1 | (*c == '1');
                p.mask = p.mask << 1 | (*c != '.');
            }
        g_strlcpy(p.name, words[0] + strlen("a64_"), sizeof p.name);
        g_array_append_val(gen->patterns[file], p);
    }
    return true;
}

/* Whether the decoder takes it. */
static inline bool gen_known(Gen *gen, uint32_t word)
{
    uint8_t bytes[4];
    st_le32(bytes, word);
    ir_builder_reset(gen->b);
    gen->b->insn = 0;
    arm_insn(gen->b, bytes, 4);
    for (unsigned i = 1; i < gen->b->n; i++)
        if (gen->b->ops[i].code == IR_RAISE && gen->b->ops[i].imm == ARM_UNDEFINED)
            return false;
    return true;
}

static inline void emit(Gen *gen, uint32_t word)
{
    g_assert(gen->g->length < MAX_CODE);
    gen->g->code[gen->g->length++] = word;
}

static inline uint32_t fill(Gen *gen, const Pattern *p)
{
    return p->value | ((uint32_t)rnd(gen) & ~p->mask);
}

static inline bool is(const Pattern *p, const char *name) { return !strcmp(p->name, name); }
static inline uint32_t random_rd(Gen *gen) { return below(gen, 26) + (percent(gen, 8) ? 4 : 0); }
static inline uint32_t rd_word(Gen *gen, uint32_t word)
{
    unsigned rd = random_rd(gen);
    return set_field(word, 0, 5, rd >= 26 && rd <= 28 ? 30 : rd);
}

#define MOVZ(rd, imm) (0xd2800000u | (uint32_t)(imm) << 5 | (rd))
#define ADD_IMM(rd, rn, imm) (0x91000000u | (uint32_t)(imm) << 10 | (uint32_t)(rn) << 5 | (rd))
#define ADR(rd, by) (0x10000000u | (uint32_t)((by) >> 2) << 5 | ((by) & 3u) << 29 | (rd))
enum { TEMP = 25, INDEX = 24 }; /* may hold anything outside of one unit */

/* x25 = an address in the scratch, `back` bytes or more from its start */
static inline void emit_address(Gen *gen, unsigned align, unsigned back)
{
    unsigned at = back + below(gen, 128);
    emit(gen, ADD_IMM(TEMP, 26, (at + align - 1) & ~(align - 1)));
}

static inline bool emit_exclusive(Gen *gen, uint32_t word)
{
    uint32_t load = word | 1u << 22 | 31u << 16, st = word & ~(1u << 22);
    bool pair = word & 1u << 21;
    if (pair && !(word >> 31)) { /* CASP */
        emit_address(gen, 16, 0);
        word = set_field(set_field(word, 16, 5, 2 * below(gen, 11)), 0, 5, 2 * below(gen, 11));
        emit(gen, set_field(set_field(word, 10, 5, 31), 5, 5, TEMP));
        return true;
    }
    emit_address(gen, 16, 0);
    load = set_field(set_field(load, 0, 5, 1 + below(gen, 10)), 5, 5, TEMP);
    load = set_field(load, 10, 5, pair ? 11 + below(gen, 5) : 31);
    st = set_field(set_field(st, 0, 5, below(gen, 23)), 5, 5, TEMP);
    st = set_field(set_field(st, 10, 5, pair ? below(gen, 23) : 31), 16, 5, 23);
    if (percent(gen, 90))
        emit(gen, load);
    if (percent(gen, 10))
        emit(gen, 0xd503305f | below(gen, 16) << 8); /* CLREX */
    emit(gen, st);
    if (percent(gen, 20))
        emit(gen, st);
    return true;
}

static inline bool emit_memory(Gen *gen, const Pattern *p)
{
    uint32_t word = fill(gen, p);
    unsigned size = word >> 30;
    bool vec = word & 1u << 26, pair = is(p, "pair");
    word = set_field(word, 5, 5, TEMP);
    if (!strcmp(p->name, "exclusive")) {
        return emit_exclusive(gen, word);
    } else if (is(p, "ldapur")) {
        word = set_field(set_field(word, 0, 5, below(gen, 24)), 12, 9, 8 * below(gen, 8) - 32u);
        if (!gen_known(gen, word))
            return false;
        emit_address(gen, 8, 32);
        emit(gen, word);
        return true;
    } else if (is(p, "cas") || is(p, "atomic") || is(p, "ordered")) {
        word = set_field(set_field(word, 0, 5, below(gen, 24)), 16, 5, below(gen, 24));
        if (is(p, "atomic")) {
            if (percent(gen, 20))
                word = (word & ~0x00607c00u) | 0x00a0c000u | 31u << 16; /* LDAPR */
        } else {
            word = set_field(word, 10, 5, 31);
        }
        if (is(p, "ordered"))
            word = set_field(word, 16, 5, 31);
        if (!gen_known(gen, word))
            return false;
        emit_address(gen, 8, 0);
        emit(gen, word);
        return true;
    }
    if (pair && (word & 0xfe400000) == 0x68000000) /* STGP, see below */
        return false;
    if (is(p, "stg") || is(p, "stgp")) { /* there are no tags */
        word = set_field(set_field(word, 0, 5, below(gen, 24)), is(p, "stg") ? 12 : 15, 5, 0);
        word = is(p, "stgp") ? set_field(word, 20, 2, 0) : set_field(word, 17, 4, 0);
        if (!gen_known(gen, word))
            return false;
        emit_address(gen, 16, 32);
        emit(gen, word);
        emit(gen, MOVZ(TEMP, 0));
        return true;
    }
    if (!vec && !is(p, "multi") && !is(p, "single"))
        word = set_field(word, 0, 5, below(gen, 24));
    if (pair) {
        unsigned rt2 = below(gen, 24);
        word = set_field(word, 15, 7, below(gen, 8) - 4u);
        word = set_field(word, 10, 5, rt2 == FIELD(word, 0, 5) ? (rt2 + 1) % 24 : rt2);
    } else if (is(p, "ldst_imm")) {
        word = set_field(word, 10, 12, below(gen, 8));
    } else if (is(p, "ldst_imm9")) {
        word = set_field(word, 12, 9, below(gen, 64) - 32u);
    } else if (is(p, "load_lit")) {
        word = set_field(word, 5, 19, 0u - below(gen, 2));
    } else if (is(p, "ldst_reg")) {
        word = set_field(word, 16, 5, INDEX);
        emit(gen, MOVZ(INDEX, below(gen, 10)));
        if (percent(gen, 50) && FIELD(word, 13, 3) != 2) /* but of UXTW */
            emit(gen, 0xcb0003e0 | INDEX << 16 | INDEX); /* NEG */
    } else if (FIELD(word, 16, 5) != 31) { /* multi, single */
        word = set_field(word, 16, 5, word & 1u << 23 ? INDEX : 0);
    }
    (void)size;
    if (!gen_known(gen, word)) {
        gen->g->length = gen->g->unit[gen->g->units];
        return false;
    }
    if (!is(p, "load_lit"))
        emit_address(gen, 1, 128);
    emit(gen, word);
    return true;
}

/* Only registers of state that both sides have. */
static inline bool emit_system(Gen *gen, const Pattern *p)
{
    /* nzcv fpcr fpsr tpidr dit ssbs tco */
    static const uint32_t regs[] = {0xd51b4200, 0xd51b4400, 0xd51b4420, 0xd51bd040, 0xd51b42a0, 0xd51b42c0, 0xd51b42e0};
    if (is(p, "msr_imm")) {
        uint32_t word = fill(gen, p);
        bool known = gen_known(gen, word);
        if (known)
            emit(gen, word);
        return known;
    }
    if (is(p, "hint") || is(p, "barrier")) {
        uint32_t word = fill(gen, p), op = FIELD(word, 5, 7);
        if (is(p, "hint") && (op == 3 || op == 2)) /* WFI and WFE wait */
            return false;
        if (is(p, "hint") && (op == 7 || (op >= 8 && op < 32))) /* see emit_pauth */
            word = 0xd503201f;
        if (!gen_known(gen, word))
            return false;
        emit(gen, word);
        return true;
    }
    if (!is(p, "sysreg"))
        return false;
    unsigned k = below(gen, G_N_ELEMENTS(regs));
    uint32_t word = regs[k];
    if (k >= 3) { /* first written, then read */
        emit(gen, word | below(gen, 24));
        emit(gen, word | 1u << 21 | below(gen, 24));
    } else if (percent(gen, 40)) {
        emit(gen, word | 1u << 21 | below(gen, 24));
    } else if (k == 1) {
        emit(gen, 0xd2a00000u | (below(gen, 32) << 6 | below(gen, 2) << 3) << 5 | TEMP); /* movz x25, fpcr >> 16, lsl 16 */
        emit(gen, word | TEMP);
    } else if (k == 2) {
        emit(gen, MOVZ(TEMP, below(gen, 2) ? 0x9f : below(gen, 32)));
        emit(gen, word | TEMP);
    } else {
        emit(gen, word | below(gen, 24));
    }
    return true;
}

static inline bool emit_one(Gen *gen);

/* A branch of any kind, taken or not, over one instruction. */
static inline bool emit_branch(Gen *gen, const Pattern *p)
{
    Group *g = gen->g;
    uint32_t word = fill(gen, p);
    unsigned at;
    if (is(p, "br")) {
        emit(gen, 0);
        at = g->length;
        emit(gen, set_field(p->value, 5, 5, TEMP));
    } else {
        at = g->length;
        emit(gen, word);
    }
    unsigned units = g->units;
    g->unit[++g->units] = g->length; /* what fails in emit_one goes back to here */
    while (!emit_one(gen))
        ;
    g->units = units;
    unsigned over = g->length - at;
    if (is(p, "br"))
        g->code[at - 1] = ADR(TEMP, 4 * (over + 1));
    else if (is(p, "b"))
        g->code[at] = set_field(word, 0, 26, over);
    else if (is(p, "tb"))
        g->code[at] = set_field(word, 5, 14, over);
    else
        g->code[at] = set_field(word, 5, 19, over);
    return true;
}

static inline Pattern *pick(Gen *gen, unsigned file)
{
    return &g_array_index(gen->patterns[file], Pattern, below(gen, gen->patterns[file]->len));
}

/* What codes of pointer authentication are is the keys', which nobody tells: each is taken off again. */
static inline bool emit_pauth(Gen *gen, const Pattern *p)
{
    unsigned rd = below(gen, 24), rn = percent(gen, 20) ? 31 : (rd + 1 + below(gen, 22)) % 24, key = below(gen, 4);
    bool zero = percent(gen, 25), strip = percent(gen, 30), load = is(p, "ldra");
    uint32_t op = key | (zero ? 8 : 0);
    if (is(p, "pacga")) { /* the same twice is the same, but for what is wrong */
        emit(gen, 0x9ac03000 | rn << 16 | rd << 5 | 24);
        emit(gen, 0x9ac03000 | rn << 16 | rd << 5 | TEMP);
        emit(gen, 0xcb000000 | TEMP << 16 | 24 << 5 | 24); /* x24 -= x25 */
        emit(gen, 0x2a1f03e0 | TEMP);                      /* mov w25, wzr */
        return true;
    }
    if (load) {
        emit_address(gen, 8, 0);
        emit(gen, 0xdac10000 | (10u + (key & 1)) << 10 | 31u << 5 | TEMP); /* PACDZA, PACDZB */
        emit(gen, 0xf8200400 | (key & 1) << 23 | below(gen, 8) << 12 | TEMP << 5 | rd);
        emit(gen, MOVZ(TEMP, 0));
        return true;
    }
    rn = zero ? 31 : rn;
    emit(gen, 0x92409800 | rd << 5 | rd); /* and rd, rd, #0x7fffffffff */
    emit(gen, 0xdac10000 | op << 10 | rn << 5 | rd);
    if (strip)
        emit(gen, 0xdac10000 | (16u + (key >> 1)) << 10 | 31u << 5 | rd);
    else
        emit(gen, 0xdac10000 | (op | 4) << 10 | rn << 5 | rd);
    return true;
}

/* What qemu-aarch64 7.2 does otherwise than the manual says. */
static inline bool oracle_is_wrong(uint32_t word)
{
    /* FCVTZS (scalar, fixed point) of halves sign-extends its result into the upper half of S */
    return (word & 0xfff0fc00) == 0x5f10fc00;
}

/* One instruction with what it needs before it; false: try again. No branches. */
static inline bool emit_one(Gen *gen)
{
    static const uint8_t weights[] = {0, 0, 0, 0, 1, 1, 1, 2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6, 7, 8};
    unsigned file = weights[below(gen, sizeof weights)];
    Pattern *p = pick(gen, file);
    bool done;
    if (file == 7) {
        done = !is(p, "bra") && emit_pauth(gen, p);
    } else if (file == 8 && !is(p, "addg") && !is(p, "gmi") && !is(p, "subp")) {
        done = !is(p, "irg") && emit_memory(gen, p);
    } else if (file == 1 || file == 2) {
        done = file == 1 ? emit_memory(gen, p) : emit_system(gen, p);
    } else if (is(p, "b") || is(p, "cb") || is(p, "tb") || is(p, "b_cond") || is(p, "br")) {
        return false;
    } else {
        uint32_t word = 0;
        done = false;
        for (unsigned i = 0; i < 100 && !done; i++) {
            word = fill(gen, p);
            if (file || (!is(p, "ccmp")))
                word = g_str_has_suffix(p->name, "cmp") ? word : rd_word(gen, word);
            done = !oracle_is_wrong(word) && gen_known(gen, word);
        }
        if (done)
            emit(gen, word);
    }
    p->made += done;
    return done;
}

static inline void group_random(Gen *gen, Group *g)
{
    gen->g = g;
    memset(g, 0, sizeof *g);
    for (unsigned i = 0; i < 31; i++)
        g->start.x[i] = random_x(gen);
    for (unsigned i = 0; i < 32; i++)
        for (unsigned k = 0; k < 2; k++)
            g->start.v[i][k] = i % 8 == 7 ? random_x(gen) : random_half(gen);
    for (unsigned i = 0; i < SCRATCH; i += 8)
        st_le64(g->start.scratch + i, percent(gen, 50) ? random_half(gen) : random_x(gen));
    g->start.nzcv = (uint64_t)below(gen, 16) << 28;
    g->start.fpcr = percent(gen, 50) ? 0 : (uint64_t)below(gen, 32) << 22 | (uint64_t)below(gen, 2) << 19;
    g->start.fpsr = percent(gen, 50) ? 0 : below(gen, 32);
    unsigned n = MAX_UNITS / 2 + below(gen, MAX_UNITS / 2 - 1);
    while (g->units < n && g->length + 16 < MAX_CODE) {
        Pattern *p = pick(gen, 0);
        if (percent(gen, 10) && (is(p, "b") || is(p, "cb") || is(p, "tb") || is(p, "b_cond") || is(p, "br")))
            p->made += emit_branch(gen, p);
        else if (!emit_one(gen))
            continue;
        g->unit[++g->units] = g->length;
    }
}
