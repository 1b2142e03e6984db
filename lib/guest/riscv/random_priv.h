/* SPDX-License-Identifier: MIT */
/*
 * For test_random.c: makes groups of random instructions from the decode files
 * of this folder (what they accept is what is tested) with operands chosen for
 * their edges. A group is straight code with forward branches; its loads,
 * stores and atomics stay within its scratch memory by base registers that it
 * does not write. Left out: privileged instructions, CSRs but fflags, frm and
 * fcsr, dynamic rounding while frm may be invalid, misaligned atomics, SC whose
 * result the manual leaves open. RV32 and RV64 share the files: what RV32 has not,
 * legal_32 and small_ok know.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <glib.h>

#define SCRATCH 512
#define MAX_UNITS 32
#define MAX_CODE 352 /* halfwords */

/* Both what a group starts with and what it leaves, in the guest's memory. Whole 64-byte blocks. */
typedef struct Record {
    uint64_t x[32], f[32], fcsr, pad[7];
    uint8_t scratch[SCRATCH];
} Record;

/* x3 is the record's address, x4 the code's; base registers hold scratch + delta: the image's
   maker knows where. */
typedef struct Group {
    Record start;
    uint32_t bases;            /* a bit for each base register */
    int32_t delta[32];
    uint16_t code[MAX_CODE];
    unsigned length;           /* halfwords */
    unsigned unit[MAX_UNITS + 1]; /* where each begins: no jump leaves one */
    unsigned units;
} Group;

typedef struct Pattern {
    char name[20], format[12];
    bool small;                /* 16 bits */
    uint32_t value, mask;      /* mask: fixed bits */
    unsigned made;             /* as gen_count has seen */
} Pattern;

typedef struct Gen {
    uint64_t state;
    bool rv32;
    GArray *fp, *other, *model; /* of Pattern; model: what the oracle program lacks */
    Group *g;
    bool frm_valid;
    unsigned near, far;        /* near: aligned to 16, within the scratch, one of x8..x15 */
} Gen;

static inline uint64_t rnd(Gen *gen)
{
    uint64_t z = gen->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static inline unsigned below(Gen *gen, unsigned n)
{
    return (unsigned)((rnd(gen) >> 32) * n >> 32);
}

static inline bool percent(Gen *gen, unsigned p)
{
    return below(gen, 100) < p;
}

/* ---- operands */
static inline uint32_t random_f32(Gen *gen)
{
    static const uint32_t special[] = {
        0, 0x80000000, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001, 0x7f800001, 0xffbfffff, 1, 0x80000001,
        0x007fffff, 0x807fffff, 0x00800000, 0x80800000, 0x00800001, 0x7f7fffff, 0xff7fffff, 0x3f800000, 0xbf800000,
        0x3f800001, 0x3f7fffff, 0x3f000000, 0xbf000000, 0x4f000000, 0xcf000000, 0x4f800000, 0x5f000000, 0xdf000000,
        0x5f800000, 0x4effffff, 0x5effffff, 0x3effffff, 0x3fc00000, 0x40200000, 0xbf7fffff, 0x7f000000, 0x00400000,
    };
    uint32_t fraction = (uint32_t)rnd(gen) & 0x7fffff, exponent,
        sign = (uint32_t)rnd(gen) & 0x80000000;
    if (percent(gen, 30))
        return special[below(gen, G_N_ELEMENTS(special))];
    switch (below(gen, 6)) {
    case 0: fraction &= 0x700000; break;
    case 1: fraction &= 0x700007; break;
    case 2: fraction |= 0x7ffff0; break;
    case 3: fraction &= 0x7ff000; break;
    default: break;
    }
    switch (below(gen, 7)) {
    case 0: case 1: exponent = 124 + below(gen, 7); break;
    case 2: exponent = below(gen, 3); break;
    case 3: exponent = 252 + below(gen, 3); break;
    case 4: exponent = 127 + (percent(gen, 50) ? 20 : 52) + below(gen, 14); break;
    case 5: exponent = 127 - 75 + below(gen, 26); break;
    default: exponent = below(gen, 255); break;
    }
    return sign | exponent << 23 | fraction;
}

static inline uint64_t random_f64(Gen *gen)
{
    static const uint64_t special[] = {
        0, UINT64_C(1) << 63, 0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000, 0xfff8000000000001,
        0x7ff0000000000001, 0xfff7ffffffffffff, 1, 0x8000000000000001, 0x000fffffffffffff, 0x0010000000000000,
        0x800fffffffffffff, 0x8010000000000000, 0x7fefffffffffffff, 0xffefffffffffffff, 0x3ff0000000000000,
        0xbff0000000000000, 0x3ff0000000000001, 0x3fefffffffffffff, 0x3fe0000000000000, 0xbfe0000000000000,
        0x41e0000000000000, 0xc1e0000000000000, 0xc1e0000000100000, 0xc1e0000000200000, 0x41dfffffffe00000,
        0x41dfffffffc00000, 0x41efffffffe00000, 0x41effffffff00000, 0x43e0000000000000, 0xc3e0000000000000,
        0x43f0000000000000, 0x43efffffffffffff, 0x3ff8000000000000, 0x4004000000000000, 0x47efffffe0000000,
        0x47effffff0000000, 0x47efffffefffffff, 0x3810000000000000, 0x380fffffffffffff, 0x380fffffe0000000,
        0x380ffffff0000000, 0x36a0000000000000, 0x3690000000000000, 0x3690000000000001, 0xbfefffffffffffff,
    };
    uint64_t fraction = rnd(gen) & 0xfffffffffffff, exponent, sign = rnd(gen) & UINT64_C(1) << 63;
    if (percent(gen, 30))
        return special[below(gen, G_N_ELEMENTS(special))];
    switch (below(gen, 7)) {
    case 0: fraction &= 0xe000000000000; break;
    case 1: fraction &= 0xe000000000007; break;
    case 2: fraction |= 0xffffffffffff0; break;
    case 3: fraction = (fraction & 0xfffffe0000000) | 0x10000000; break; /* half way between two f32 */
    case 4: fraction &= 0xfffffe0000000; break;
    default: break;
    }
    switch (below(gen, 8)) {
    case 0: case 1: exponent = 1020 + below(gen, 7); break;
    case 2: exponent = below(gen, 3); break;
    case 3: exponent = 2044 + below(gen, 3); break;
    case 4: exponent = 1023 + (percent(gen, 50) ? 20 : 50) + below(gen, 16); break;
    case 5: exponent = percent(gen, 50) ? 1023 - 152 + below(gen, 28) : 1023 + 124 + below(gen, 6); break;
    case 6: exponent = 480 + below(gen, 60); break; /* products near the smallest */
    default: exponent = below(gen, 2047); break;
    }
    return sign | exponent << 52 | fraction;
}

/* f0..f15 hold singles, f16..f31 doubles. */
static inline uint64_t random_f(Gen *gen, bool twice)
{
    if (twice)
        return random_f64(gen);
    uint64_t box = percent(gen, 95) ? UINT64_C(0xffffffff) : percent(gen, 50) ? 0xfffffffe :
                   rnd(gen) & 0xffffffff;
    return box << 32 | random_f32(gen);
}

static inline uint64_t random_x64(Gen *gen)
{
    static const uint64_t edge[] = {
        0, 1, 2, UINT64_MAX, UINT64_MAX - 1, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0xffffffff80000000,
        0xffffffff7fffffff, 0x7fffffffffffffff, 0x8000000000000000, 0x8000000000000001, 0xff, 0x80, 0x8000, 0xffff,
        0x20000000000001, 0x1000001, 0xfffffffffffff800, 0xfffffffffffffbff, 0x7ffffffffffffe00, 31, 32, 63, 64,
    };
    unsigned k = below(gen, 64);
    switch (below(gen, 9)) {
    case 0: case 1: return edge[below(gen, G_N_ELEMENTS(edge))];
    case 2: return UINT64_C(1) << k;
    case 3: return (UINT64_C(1) << k) - 1;
    case 4: return ~(UINT64_C(1) << k);
    case 5: return (uint64_t)(int64_t)(int32_t)rnd(gen);
    case 6: return rnd(gen) & rnd(gen) & rnd(gen);
    case 7: return percent(gen, 50) ? random_f(gen, false) : random_f64(gen);
    default: return rnd(gen) >> k;
    }
}

static inline uint64_t random_x(Gen *gen)
{
    uint64_t v = random_x64(gen);
    return !gen->rv32 ? v : percent(gen, 70) ? (uint32_t)v : v >> 32;
}

/* ---- patterns */
#define FIELD(word, at, width) ((word) >> (at) & ((1u << (width)) - 1))

/* Whether RV32 has a word of 32 bits that RV64 has: no doublewords in x registers, no shift
   beyond 31. */
static inline bool legal_32(uint32_t w)
{
    unsigned f3 = FIELD(w, 12, 3);
    switch (w & 0x7f) {
    case 0x1b: case 0x3b: return false;
    case 0x03: return f3 != 3 && f3 != 6;
    case 0x23: case 0x2f: return f3 != 3;
    case 0x13: return (f3 & 3) != 1 || !(w & 1u << 25);
    case 0x53:
        if (w >> 29 == 6) /* fcvt: no l, no lu */
            return !(w & 1u << 21);
        return w >> 29 != 7 || f3 == 1 || !(w & 1u << 25); /* fmv of a double */
    default: return true;
    }
}

static inline bool gen_wanted(const Gen *gen, const Pattern *p)
{
    static const char *const not[] = {"service", "ecall", "ebreak", "sret", "mret", "wfi", "sfence_vma",
                                      "sinval_vma",
                                      "sfence_w_inval", "sfence_inval_ir", "illegal"};
    for (unsigned i = 0; i < G_N_ELEMENTS(not); i++)
        if (!strcmp(p->name, not[i]))
            return false;
    if (!gen->rv32) /* its own forms of two */
        return strcmp(p->name, "zext_h_32") && strcmp(p->name, "rev8_32");
    return p->small ? strcmp(p->name, "subw") && strcmp(p->name, "addw") : legal_32(p->value);
}

/*
 * What the oracle, qemu 7.2, lacks or does wrong goes to the model: its ctzw counts on
 * into the upper word when the lower one is 0, where the manual (Zbb) says 32.
 */
static inline void gen_add(Gen *gen, const Pattern *p)
{
    bool model = g_str_has_prefix(p->name, "czero") || g_str_has_prefix(p->name, "cbo") ||
                 !strcmp(p->name, "ctzw");
    if (model)
        g_array_append_val(gen->model, *p);
    else
        g_array_append_vals(p->format[0] == 'f' && p->format[1] < 'o' &&
                            p->format[1] != 'e' ? gen->fp : gen->other, p, 1);
}

/* Reads one decode file. False: it is not there. */
static inline bool gen_read(Gen *gen, const char *path)
{
    g_autofree char *text = NULL;
    bool small = false;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return false;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        g_auto(GStrv) words = g_regex_split_simple("\\s+", *line, 0, 0);
        unsigned at = 1, bits = 0;
        Pattern p = {0};
        if (!words[0] || !words[1] || words[0][0] == '#' || !strcmp(words[0], "field") ||
            !strcmp(words[0], "format"))
            continue;
        if (!strcmp(words[0], "unit")) {
            small = atoi(words[1]) == 16;
            continue;
        }
        for (; words[at] && strspn(words[at], "01.") == strlen(words[at]); at++)
            for (const char *c = words[at]; *c; c++, bits++) {
                p.value = p.value << 1 | (*c == '1');
                p.mask = p.mask << 1 | (*c != '.');
            }
        g_assert_cmpuint(bits, ==, small ? 16 : 32);
        g_strlcpy(p.name, words[0], sizeof p.name);
        g_strlcpy(p.format, words[at] ? words[at] : "", sizeof p.format);
        p.small = small;
        if (gen_wanted(gen, &p))
            gen_add(gen, &p);
    }
    return true;
}

/* ---- instructions */
static inline uint32_t set_field(uint32_t word, unsigned at, unsigned width, uint32_t v)
{
    uint32_t mask = ((1u << width) - 1) << at;
    return (word & ~mask) | (v << at & mask);
}

static inline void emit(Gen *gen, uint32_t word)
{
    Group *g = gen->g;
    g_assert(g->length + 2 <= MAX_CODE);
    g->code[g->length++] = (uint16_t)word;
    if ((word & 3) == 3)
        g->code[g->length++] = (uint16_t)(word >> 16);
}

static inline bool writable(const Gen *gen, unsigned rd)
{
    return rd != 3 && rd != 4 && !(gen->g->bases >> rd & 1);
}

static inline unsigned random_rd(Gen *gen)
{
    unsigned rd;
    do
        rd = below(gen, 32);
    while (!writable(gen, rd));
    return rd;
}

static inline unsigned random_base(Gen *gen, bool aligned)
{
    unsigned which = below(gen, 3);
    if (which == 0 && gen->g->bases & 4)
        return 2;
    return which == 1 && !aligned ? gen->far : gen->near;
}

/* An offset from base that stays in the scratch. */
static inline int random_offset(Gen *gen, unsigned base, unsigned size)
{
    for (;;) {
        int at = (int)below(gen, SCRATCH - size + 1);
        if (percent(gen, 60))
            at &= -(int)size;
        at -= gen->g->delta[base];
        if (at >= -2048 && at < 2048)
            return at;
    }
}

static inline unsigned random_freg(Gen *gen, bool twice)
{
    return below(gen, 16) + (twice != percent(gen, 8) ? 16 : 0);
}

static inline uint32_t fill(Gen *gen, const Pattern *p)
{
    uint32_t w;
    do
        w = p->value | ((uint32_t)rnd(gen) & ~p->mask);
    while (gen->rv32 && !p->small && !legal_32(w));
    return w;
}

static inline void emit_memory(Gen *gen, const Pattern *p)
{
    uint32_t word = fill(gen, p);
    bool store = p->format[0] == 's', fp = p->name[0] == 'f';
    unsigned size = 1u << (FIELD(word, 12, 3) & 3), base = random_base(gen, false);
    uint32_t imm = (uint32_t)random_offset(gen, base, size);
    word = set_field(word, 15, 5, base);
    if (store) {
        word = set_field(set_field(word, 25, 7, imm >> 5), 7, 5, imm);
    } else {
        word = set_field(word, 20, 12, imm);
        word = set_field(word, 7, 5, fp ? random_freg(gen, size == 8) : random_rd(gen));
    }
    emit(gen, word);
}

static inline void emit_amo(Gen *gen, const Pattern *p)
{
    uint32_t word = set_field(fill(gen, p), 15, 5, random_base(gen, true));
    emit(gen, set_field(word, 7, 5, random_rd(gen)));
}

static inline void emit_fp(Gen *gen, const Pattern *p)
{
    static const char *const to_x[] = {"fle", "flt", "feq", "fcvt_int", "fmv_x", "fclass"};
    uint32_t word = fill(gen, p);
    bool twice = word >> 25 & 1, from_x = !strcmp(p->name, "fcvt_from") ||
                 !strcmp(p->name, "fmv_f");
    bool other = !strcmp(p->name, "fcvt_s_d") || !strcmp(p->name, "fcvt_d_s"), x = false;
    for (unsigned i = 0; i < G_N_ELEMENTS(to_x); i++)
        x |= !strcmp(p->name, to_x[i]);
    if ((p->mask >> 12 & 7) == 0) {
        unsigned rm = below(gen, gen->frm_valid ? 7 : 5);
        word = set_field(word, 12, 3, rm < 5 ? rm : 7);
    }
    word = set_field(word, 7, 5, x ? random_rd(gen) : random_freg(gen, twice));
    if (!from_x)
        word = set_field(word, 15, 5, random_freg(gen, twice != other));
    if ((p->mask >> 20 & 31) == 0)
        word = set_field(word, 20, 5, percent(gen, 10) ? FIELD(word, 15, 5) :
                         random_freg(gen, twice));
    if (!strcmp(p->format, "f4"))
        word = set_field(word, 27, 5, random_freg(gen, twice));
    emit(gen, word);
}

/* Whether a compressed word is no jump, not reserved, and writes and reaches only what it may. */
static inline bool small_ok(const Gen *gen, uint32_t w)
{
    static const uint8_t sizes64[8] = {0, 8, 4, 8, 0, 8, 4, 8},
        sizes32[8] = {0, 8, 4, 4, 0, 8, 4, 4};
    const uint8_t *sizes = gen->rv32 ? sizes32 : sizes64;
    unsigned f3 = FIELD(w, 13, 3), rd = FIELD(w, 7, 5), rdp = FIELD(w, 2, 3) + 8,
        rs1p = FIELD(w, 7, 3) + 8;
    bool eight = sizes[f3] == 8, load = f3 < 4, in_f = f3 == 1 || f3 == 5 ||
                 (gen->rv32 && (f3 == 3 || f3 == 7));
    bool bit5 = gen->rv32 && w & 0x1000; /* of a shift, or of what RV64 alone has */
    unsigned imm, base;
    if ((w & 3) == 1) {
        if (f3 == 4)
            return writable(gen, rs1p) && !(bit5 && FIELD(w, 10, 2) != 2);
        if ((f3 == 3 && !(w & 0x107c)) || (f3 == 1 && gen->rv32))
            return false;
        return f3 < 4 && writable(gen, rd) && (f3 != 1 || rd);
    }
    if ((w & 3) == 0 && f3 == 0)
        return w & 0x1fe0 && writable(gen, rdp);
    if ((w & 3) == 2 && (f3 == 0 || f3 == 4))
        return writable(gen, rd) && (f3 == 0 ? !bit5 : w & 0x7c);
    if ((w & 3) == 0) {
        base = rs1p;
        imm = FIELD(w, 10, 3) << 3 | (eight ? FIELD(w, 5, 2) << 6 : FIELD(w, 5, 1) << 6 |
                                      FIELD(w, 6, 1) << 2);
        rd = rdp;
    } else {
        base = 2;
        if (load)
            imm = FIELD(w, 12, 1) << 5 | (eight ? FIELD(w, 5, 2) << 3 |
                                          FIELD(w, 2, 3) << 6 :
                                              FIELD(w, 4, 3) << 2 | FIELD(w, 2, 2) << 6);
        else
            imm = eight ? FIELD(w, 10, 3) << 3 | FIELD(w, 7, 3) << 6 :
                  FIELD(w, 9, 4) << 2 | FIELD(w, 7, 2) << 6;
        if (load && !in_f && !rd)
            return false;
    }
    if (load && !in_f && !writable(gen, rd))
        return false;
    int at = gen->g->delta[base] + (int)imm;
    return gen->g->bases >> base & 1 && at >= 0 && at + sizes[f3] <= SCRATCH;
}

static inline bool emit_small(Gen *gen, const Pattern *p)
{
    for (unsigned i = 0; i < 400; i++) {
        uint32_t word = fill(gen, p);
        if (small_ok(gen, word)) {
            emit(gen, word);
            return true;
        }
    }
    return false;
}

static inline bool is_plain_format(const char *format)
{
    static const char *const plain[] = {"r", "i", "sh", "shw", "u", "un"};
    for (unsigned i = 0; i < G_N_ELEMENTS(plain); i++)
        if (!strcmp(format, plain[i]))
            return true;
    return false;
}

static inline const Pattern *pick(Gen *gen, const GArray *of)
{
    return &g_array_index(of, Pattern, below(gen, of->len));
}

/* One instruction that neither jumps nor touches fcsr by a CSR instruction. integer: and no
   memory or floating point. */
static inline void emit_plain(Gen *gen, bool integer)
{
    for (;;) {
        bool fp = !integer && percent(gen, 40);
        const Pattern *p = pick(gen, fp ? gen->fp : gen->other);
        if (fp) {
            emit_fp(gen, p);
        } else if (p->small) {
            if (integer || !emit_small(gen, p))
                continue;
        } else if (is_plain_format(p->format) && strcmp(p->name, "jalr")) {
            emit(gen, set_field(fill(gen, p), 7, 5, random_rd(gen)));
        } else if (integer) {
            continue;
        } else if (!strcmp(p->format, "load") || !strcmp(p->format, "store")) {
            emit_memory(gen, p);
        } else if (!strcmp(p->name, "amo")) {
            emit_amo(gen, p);
        } else if (!strcmp(p->name, "fence") || !strcmp(p->name, "fence_i")) {
            emit(gen, fill(gen, p));
        } else {
            continue;
        }
        return;
    }
}

/* fflags, frm, fcsr; says what is known of frm after. */
static inline void emit_csr(Gen *gen)
{
    static const unsigned ops[] = {1, 2, 3, 5, 6, 7};
    unsigned csr = 1 + below(gen, 3), op = ops[below(gen, 6)], rs1 = below(gen, 32);
    if (!gen->frm_valid && percent(gen, 60)) {
        csr = 2;
        op = 5;
        rs1 = below(gen, 5);
    }
    emit(gen, csr << 20 | rs1 << 15 | op << 12 | random_rd(gen) << 7 | 0x73);
    if (csr == 1 || (rs1 == 0 && (op & 3) != 1))
        return;
    if (op == 5)
        gen->frm_valid = csr == 3 || (rs1 & 7) <= 4;
    else if (csr == 2 || op < 4)
        gen->frm_valid = false;
}

static inline uint32_t jal_word(unsigned rd, unsigned offset)
{
    return FIELD(offset, 1, 10) << 21 | FIELD(offset, 11, 1) << 20 | rd << 7 | 0x6f;
}

/* A jump, taken or not, over one instruction. */
static inline void emit_jump(Gen *gen)
{
    Group *g = gen->g;
    unsigned how = below(gen, 8), at = g->length, r, rs1 = below(gen, 32), rs2 = below(gen, 32),
        f3 = below(gen, 6);
    bool indirect = how >= 5;
    do
        r = random_rd(gen);
    while (!r);
    if (indirect) {
        emit(gen, r << 7 | 0x17);          /* auipc r, 0 */
        emit(gen, r << 15 | r << 7 | 0x13); /* addi r, r, ? */
    }
    unsigned jump = g->length, rd = random_rd(gen);
    unsigned bias = indirect && how == 5 ? below(gen, 65) - 32u : 0;
    emit(gen, how >= 6 || how == 1 || how == 2 ? 1 : 0x13);
    emit_plain(gen, false);
    unsigned over = 2 * (g->length - jump), word;
    if (how == 0)
        word = jal_word(rd, over);
    else if (how == 1) /* c.j; RV32 has c.jal too */
        word = (gen->rv32 && rd & 1 && writable(gen, 1) ? 0x2001 : 0xa001) | FIELD(over, 1, 3) << 3;
    else if (how == 2) /* c.beqz, c.bnez */
        word = 0xc001 | (rs1 & 1) << 13 | (rs2 & 7) << 7 | FIELD(over, 1, 2) << 3;
    else if (how < 5)
        word = rs2 << 20 | rs1 << 15 | (f3 < 2 ? f3 : f3 + 2) << 12 | FIELD(over, 1, 4) << 8 | 0x63;
    else if (how == 5)
        word = (bias & 0xfff) << 20 | r << 15 | rd << 7 | 0x67;
    else if (how == 6 || !writable(gen, 1)) /* c.jr */
        word = 0x8002 | r << 7;
    else /* c.jalr */
        word = 0x9002 | r << 7;
    g->code[jump] = (uint16_t)word;
    if ((word & 3) == 3)
        g->code[jump + 1] = (uint16_t)(word >> 16);
    if (indirect) {
        uint32_t to = 8 + over - bias + (percent(gen, 20) && !(bias & 1));
        g->code[at + 3] = (uint16_t)((to & 0xfff) << 4 | r >> 1);
    }
}

/* LR, up to two integer instructions, SC to the same place; perhaps a second SC, which must
   fail. */
static inline void emit_lr_sc(Gen *gen)
{
    unsigned f3 = gen->rv32 ? 2 : 2 + below(gen, 2), base = random_base(gen, true);
    unsigned n = below(gen, 3), sc = 1 + percent(gen, 30);
    emit(gen, 2u << 27 | below(gen, 4) << 25 | base << 15 | f3 << 12 | random_rd(gen) << 7 | 0x2f);
    for (unsigned i = 0; i < n; i++)
        emit_plain(gen, true);
    for (unsigned i = 0; i < sc; i++)
        emit(gen, 3u << 27 | below(gen, 4) << 25 | below(gen, 32) << 20 | base << 15 | f3 << 12 |
             random_rd(gen) << 7 | 0x2f);
}

/* ---- groups */
static inline void group_state(Gen *gen)
{
    Group *g = gen->g;
    static const uint8_t frms[] = {0, 0, 0, 1, 2, 3, 4, 4, 5, 6, 7};
    unsigned frm = frms[below(gen, sizeof frms)];
    *g = (Group){.start.fcsr = frm << 5 | (percent(gen, 50) ? 0 : below(gen, 32))};
    gen->frm_valid = frm <= 4;
    for (unsigned i = 1; i < 32; i++)
        g->start.x[i] = random_x(gen);
    for (unsigned i = 0; i < 32; i++)
        g->start.f[i] = random_f(gen, i >= 16);
    for (unsigned i = 0; i < SCRATCH; i += 8) {
        uint64_t v = i % 16 ? random_x(gen) : i % 32 ? random_f64(gen) : random_f(gen, false);
        memcpy(g->start.scratch + i, &v, 8);
    }
    gen->near = 8 + below(gen, 8);
    do
        gen->far = 1 + below(gen, 31);
    while (gen->far == gen->near || (gen->far >= 2 && gen->far <= 4));
    g->bases = 1u << gen->near | 1u << gen->far | (percent(gen, 50) ? 1u << 2 : 0);
    g->delta[gen->near] = 16 * (int)below(gen, 16);
    g->delta[gen->far] = (int)below(gen, SCRATCH + 3600) - 1800;
    g->delta[2] = 16 * (int)below(gen, 8);
}

static inline void group_random(Gen *gen, Group *g)
{
    gen->g = g;
    group_state(gen);
    unsigned n = MAX_UNITS / 2 + below(gen, MAX_UNITS / 2 + 1);
    for (g->units = 0; g->units < n;) {
        unsigned what = below(gen, 100);
        if (what < 6)
            emit_csr(gen);
        else if (what < 14)
            emit_jump(gen);
        else if (what < 17)
            emit_lr_sc(gen);
        else
            emit_plain(gen, false);
        g->unit[++g->units] = g->length;
    }
}

/* Only what the oracle lacks or does wrong: Zicond, Zicbom, Zicboz, ctzw. */
static inline void group_model(Gen *gen, Group *g)
{
    gen->g = g;
    group_state(gen);
    for (unsigned i = 1; i < 32; i++)
        if (percent(gen, 40))
            g->start.x[i] = 0;
    for (g->units = 0; g->units < MAX_UNITS;) {
        const Pattern *p = pick(gen, gen->model);
        uint32_t word = fill(gen, p);
        if (p->name[1] == 'b') /* cbo */
            word = set_field(word, 15, 5, gen->near);
        else
            word = set_field(word, 7, 5, random_rd(gen));
        if (!strcmp(p->name, "cbo_zero") && percent(gen, 70))
            continue;
        emit(gen, word);
        g->unit[++g->units] = g->length;
    }
}

/* Counts by pattern the instructions of a group. */
static inline void gen_count(Gen *gen, const Group *g)
{
    GArray *const lists[] = {gen->fp, gen->other, gen->model};
    for (unsigned at = 0; at < g->unit[g->units];) {
        bool small = (g->code[at] & 3) != 3;
        uint32_t word = g->code[at] | (small ? 0 : (uint32_t)g->code[at + 1] << 16);
        Pattern *best = NULL;
        for (unsigned l = 0; l < G_N_ELEMENTS(lists); l++)
            for (unsigned i = 0; i < lists[l]->len; i++) {
                Pattern *p = &g_array_index(lists[l], Pattern, i);
                if (p->small == small && (word & p->mask) == p->value &&
                    (!best || (p->mask & best->mask) == best->mask))
                    best = p;
            }
        if (best)
            best->made++;
        at += small ? 1 : 2;
    }
}

/* Fails the test if a pattern of the list was never made. */
static inline void gen_check_all_made(const GArray *list)
{
    for (unsigned i = 0; i < list->len; i++) {
        const Pattern *p = &g_array_index(list, Pattern, i);
        if (!p->made)
            g_test_message("never made: %s (%s, %08x of %08x)", p->name, p->format, p->value,
                           p->mask);
        g_assert_cmpuint(p->made, >, 0);
    }
}

static inline Gen *gen_new(uint64_t seed, bool rv32)
{
    Gen *gen = g_new0(Gen, 1);
    gen->state = seed;
    gen->rv32 = rv32;
    gen->fp = g_array_new(FALSE, FALSE, sizeof(Pattern));
    gen->other = g_array_new(FALSE, FALSE, sizeof(Pattern));
    gen->model = g_array_new(FALSE, FALSE, sizeof(Pattern));
    return gen;
}

static inline void gen_free(Gen *gen)
{
    g_array_unref(gen->fp);
    g_array_unref(gen->other);
    g_array_unref(gen->model);
    g_free(gen);
}
