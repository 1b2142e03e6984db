/* SPDX-License-Identifier: MIT */
/*
 * SVE in C: the way into helpers, predicates as they govern lanes, and the integer instructions that
 * are one operation in each lane.
 */
#if defined __GNUC__ && !defined __clang__
#pragma GCC optimize("O3")
#endif
#include "guest/arm/sve2_priv.h"

static SveHelper *const functions[SVE_FNS] = {
    [SVE_TWO] = sve_two, [SVE_CMP] = sve_cmp, [SVE_MLA] = sve_mla, [SVE_DOT] = sve_dot,
    [SVE_REDUCE] = sve_reduce, [SVE_INDEX] = sve_index, [SVE_CPY] = sve_cpy, [SVE_ADR] = sve_adr,
    [SVE_MOVPRFX] = sve_movprfx, [SVE_SEL] = sve_sel,
    [SVE_EXT] = sve_ext, [SVE_DUP_LANE] = sve_dup_lane, [SVE_TBL] = sve_tbl, [SVE_INSR] = sve_insr,
    [SVE_REV] = sve_rev, [SVE_UNPK] = sve_unpk, [SVE_ZIP] = sve_zip, [SVE_UZP] = sve_uzp, [SVE_TRN] = sve_trn,
    [SVE_COMPACT] = sve_compact, [SVE_SPLICE] = sve_splice, [SVE_LAST] = sve_last, [SVE_CLAST] = sve_clast,
    [SVE_CLAST_Z] = sve_clast_z,
    [SVE_PLOGIC] = sve_plogic, [SVE_BRKP] = sve_brkp, [SVE_BRK] = sve_brk, [SVE_BRKN] = sve_brkn,
    [SVE_PTEST] = sve_ptest, [SVE_PFIRST] = sve_pfirst, [SVE_PNEXT] = sve_pnext, [SVE_PTRUE] = sve_ptrue,
    [SVE_PZIP] = sve_pzip, [SVE_PUZP] = sve_puzp, [SVE_PTRN] = sve_ptrn, [SVE_PREV] = sve_prev,
    [SVE_PUNPK] = sve_punpk, [SVE_RDFFR] = sve_rdffr, [SVE_WRFFR] = sve_wrffr, [SVE_SETFFR] = sve_setffr,
    [SVE_WHILE] = sve_while, [SVE_CNTP] = sve_cntp, [SVE_SAT_ADD] = sve_sat_add,
    [SVE_FP_TWO] = sve_fp_two, [SVE_FP_ONE] = sve_fp_one, [SVE_FP_CMP] = sve_fp_cmp, [SVE_FP_MLA] = sve_fp_mla,
    [SVE_FP_REDUCE] = sve_fp_reduce, [SVE_FP_ADDA] = sve_fp_adda, [SVE_FP_CVT] = sve_fp_cvt,
    [SVE_FP_CADD] = sve_fp_cadd, [SVE_FP_CMLA] = sve_fp_cmla, [SVE_FP_TMAD] = sve_fp_tmad,
    [SVE_FEXPA] = sve_fexpa,
    [SVE2_LANES] = sve2_lanes, [SVE2_CMLA] = sve2_cmla, [SVE2_RDCMLAH] = sve2_rdcmlah,
    [SVE2_CDOT] = sve2_cdot, [SVE2_CADD] = sve2_cadd, [SVE2_EORBT] = sve2_eorbt, [SVE2_ADCL] = sve2_adcl,
    [SVE2_BITS] = sve2_bits, [SVE2_XAR] = sve2_xar, [SVE2_EXT] = sve2_ext, [SVE2_SPLICE] = sve2_splice,
    [SVE2_TBL] = sve2_tbl, [SVE2_TBX] = sve2_tbx, [SVE2_MATCH] = sve2_match, [SVE2_HISTCNT] = sve2_histcnt,
    [SVE2_HISTSEG] = sve2_histseg, [SVE2_WHILE] = sve2_while, [SVE2_WHILEWR] = sve2_whilewr,
    [SVE2_FPAIRS] = sve2_fpairs, [SVE2_FCVT] = sve2_fcvt, [SVE2_FLOGB] = sve2_flogb,
    [SVE2_FMLAL] = sve2_fmlal,
    [SVE2_BITPERM] = sve2_bitperm, [SVE2_RAX1] = sve2_rax1, [SVE2_MMLA] = sve2_mmla, [SVE2_USDOT] = sve2_usdot,
    [SVE_LD] = sve_ld, [SVE_ST] = sve_st, [SVE_LDR] = sve_ldr, [SVE_STR] = sve_str, [SVE_LDP] = sve_ldp,
    [SVE_STP] = sve_stp, [SVE_LD_ALL] = sve_ld_all, [SVE_GATHER] = sve_gather, [SVE_SCATTER] = sve_scatter,
};

static void settle(ArmCpu *cpu)
{
    for (uint64_t stale = cpu->z_stale; stale; stale &= stale - 1)
        memset(&cpu->v[__builtin_ctzll(stale)][2], 0, SVE_MAX_BYTES - 16);
    cpu->z_stale = 0;
}

void arm_sve_settle(TranslateCpu *cpu)
{
    settle(arm_of(cpu));
}

HELPER(sve)
{
    ArmCpu *arm = cpu;
    ArmSve s;
    uint64_t words[2] = {a, b};
    memcpy(&s, words, sizeof s);
    if (G_UNLIKELY(arm->z_stale))
        settle(arm);
    return functions[s.fn](arm, &s, c, d);
}

HELPER(sve_start)
{
    ((ArmCpu *)cpu)->z_used = true;
    return 0;
}

void arm_sve_set_vl(TranslateCpu *base, unsigned bytes)
{
    ArmCpu *cpu = arm_of(base);
    if (cpu->vl == bytes)
        return;
    cpu->vl = (uint16_t)bytes;
    cpu->z_stale = UINT32_MAX;
    settle(cpu);
    memset(cpu->p, 0, sizeof cpu->p);
}

/* ---- predicates ------------------------------------------------------------------------ */

bool sve_governing(ArmCpu *cpu, const ArmSve *s, uint64_t out[4])
{
    uint64_t inactive = 0, every = sve_every(s->esz);
    unsigned words = sve_p_words(s);
    memset(out, 0, 32);
    for (unsigned w = 0; w < words; w++) {
        uint64_t all = every & sve_p_valid(s, w);
        out[w] = s->pg == SVE_NO_PG ? all : sve_p(cpu, s->pg)[w] & all;
        inactive |= out[w] ^ all;
    }
    return inactive;
}

void sve_set_nzcv(ArmCpu *cpu, const ArmSve *s, const uint64_t *g, const uint64_t *result)
{
    uint64_t every = sve_every(s->esz);
    unsigned flags = IR_FLAG_Z | IR_FLAG_C, words = sve_p_words(s);
    bool seen = false;
    for (unsigned w = 0; w < words; w++) {
        uint64_t active = g[w] & every & sve_p_valid(s, w), r = result[w] & active;
        if (r)
            flags &= ~(unsigned)IR_FLAG_Z;
        if (!active)
            continue;
        if (!seen && r & active & -active)
            flags |= IR_FLAG_S;
        seen = true;
        flags = r >> (63 - __builtin_clzll(active)) & 1 ? flags & ~(unsigned)IR_FLAG_C : flags | IR_FLAG_C;
    }
    cpu->flags = flags;
}

/* Eight bits to the bytes of a doubleword, all ones each or zero. */
static inline uint64_t spread(uint64_t bits)
{
    uint64_t x = (bits & 255) * 0x0101010101010101 & 0x8040201008040201;
    return ((x + 0x7f7f7f7f7f7f7f7f) >> 7 & 0x0101010101010101) * 255;
}

/* The lanes' lowest bytes' lowest bits of a doubleword. */
static inline uint64_t gather_bits(uint64_t x)
{
    return (x & 0x0101010101010101) * 0x0102040810204080 >> 56;
}

void sve_lanes_to_p(const ArmSve *s, const uint64_t *g, const uint64_t *r, uint64_t p[4])
{
    memset(p, 0, 32);
    for (unsigned w = 0; w < sve_bytes(s) / 8; w++)
        p[w / 8] |= gather_bits(r[w]) << 8 * (w % 8);
    for (unsigned w = 0; w < 4; w++)
        p[w] &= g[w];
}

static const uint8_t wide[] = {1, 3, 15, 255};

void sve_masked(const ArmSve *s, const uint64_t *g, void *dst, const void *src, uint64_t otherwise)
{
    uint64_t other = sve_splat(s->esz, otherwise);
    for (unsigned w = 0; w < sve_bytes(s) / 8; w++) {
        uint64_t v, mask = spread((g[w / 8] >> 8 * (w % 8) & 255) * wide[s->esz]);
        memcpy(&v, (const uint8_t *)src + 8 * w, 8);
        v = (v & mask) | (other & ~mask);
        memcpy((uint8_t *)dst + 8 * w, &v, 8);
    }
}

void sve_put(ArmCpu *cpu, const ArmSve *s, const void *r)
{
    uint64_t g[4], *d = sve_z(cpu, s->rd);
    unsigned words = sve_bytes(s) / 8;
    if (!sve_governing(cpu, s, g)) {
        memcpy(d, r, 8 * words);
        return;
    }
    uint64_t old[ARM_Z_WORDS] = {0};
    if (!(s->flags & SVE_ZERO))
        memcpy(old, d, 8 * words);
    for (unsigned w = 0; w < words; w++) {
        uint64_t value, mask = spread((g[w / 8] >> 8 * (w % 8) & 255) * wide[s->esz]);
        memcpy(&value, (const uint8_t *)r + 8 * w, 8);
        d[w] = (value & mask) | (old[w] & ~mask);
    }
}

unsigned sve_pattern(unsigned pattern, unsigned lanes)
{
    switch (pattern) {
    case 0: return 1u << (31 - __builtin_clz(lanes)); /* POW2 */
    case 1: case 2: case 3: case 4: case 5: case 6: case 7: case 8: return lanes >= pattern ? pattern : 0;
    case 9: case 10: case 11: case 12: case 13: return lanes >= 16u << (pattern - 9) ? 16u << (pattern - 9) : 0;
    case 29: return lanes / 4 * 4;
    case 30: return lanes / 3 * 3;
    case 31: return lanes;
    default: return 0;
    }
}

/* ---- integers --------------------------------------------------------------------------- */

const void *sve_operand(ArmCpu *cpu, const ArmSve *s, uint64_t value, void *space)
{
    unsigned bytes = sve_bytes(s), lanes = sve_lanes(s);
    if (s->m == SVE_M_IMM || s->m == SVE_M_VALUE) {
        uint64_t v = sve_splat(s->esz, s->m == SVE_M_IMM ? (uint64_t)(int64_t)s->imm : value);
        for (unsigned i = 0; i < bytes; i += 8)
            memcpy((uint8_t *)space + i, &v, 8);
        return space;
    }
    if (s->m == SVE_M_WIDE) { /* amounts of shifts: from 255 on they are all alike */
        for (unsigned i = 0; i < lanes; i++)
            sve_set(space, s->esz, i, MIN(sve_get(sve_z(cpu, s->rm), 3, i >> (3 - s->esz)), 255));
        return space;
    }
    if (s->m == SVE_M_LANE) {
        unsigned group = 16u >> s->esz;
        for (unsigned i = 0; i < lanes; i++)
            sve_set(space, s->esz, i, sve_get(sve_z(cpu, s->rm), s->esz, i / group * group + (unsigned)s->imm));
        return space;
    }
    return sve_z(cpu, s->rm);
}

uint64_t sve_two(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS], space[ARM_Z_WORDS];
    const void *n = sve_z(cpu, s->rn), *m = sve_operand(cpu, s, y, space);
    if (s->flags & SVE_REVERSE) {
        const void *t = n;
        n = m;
        m = t;
    }
    sve_lane_op((SveOp)s->op, s->esz, r, n, m, sve_bytes(s));
    sve_put(cpu, s, r);
    return 0;
}

/* Lane against doubleword. */
static bool wide_holds(SveOp op, int64_t x, int64_t y)
{
    switch (op) {
    case SVE_EQ: return x == y;
    case SVE_NE: return x != y;
    case SVE_GE: return x >= y;
    case SVE_GT: return x > y;
    case SVE_LT: return x < y;
    case SVE_LE: return x <= y;
    case SVE_HS: return (uint64_t)x >= (uint64_t)y;
    case SVE_HI: return (uint64_t)x > (uint64_t)y;
    case SVE_LO: return (uint64_t)x < (uint64_t)y;
    default: return (uint64_t)x <= (uint64_t)y;
    }
}

uint64_t sve_cmp(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS], space[ARM_Z_WORDS], g[4], p[4] = {0};
    const void *n = sve_z(cpu, s->rn);
    unsigned lanes = sve_lanes(s);
    sve_governing(cpu, s, g);
    if (s->m == SVE_M_WIDE) {
        bool is_signed = s->op >= SVE_LT ? s->op < SVE_LO : s->op < SVE_HS;
        for (unsigned i = 0; i < lanes; i++) {
            uint64_t v = sve_get(n, s->esz, i);
            v = is_signed ? (uint64_t)bits_sext(v, 8u << s->esz) : v;
            bool holds = wide_holds((SveOp)s->op, (int64_t)v, (int64_t)sve_get(sve_z(cpu, s->rm), 3, i >> (3 - s->esz)));
            p[(i << s->esz) >> 6] |= (uint64_t)holds << (i << s->esz & 63);
        }
    } else {
        sve_lane_op((SveOp)s->op, s->esz, r, n, sve_operand(cpu, s, y, space), sve_bytes(s));
        sve_lanes_to_p(s, g, r, p);
    }
    for (unsigned w = 0; w < 4; w++)
        p[w] &= g[w];
    memcpy(sve_p(cpu, s->rd), p, sizeof p);
    sve_set_nzcv(cpu, s, g, p);
    return 0;
}

uint64_t sve_mla(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS];
    unsigned bytes = sve_bytes(s);
    sve_lane_op(SVE_MUL, s->esz, r, sve_z(cpu, s->rn), sve_z(cpu, s->rm), bytes);
    sve_lane_op(s->flags & SVE_NEGATIVE ? SVE_SUB : SVE_ADD, s->esz, r, sve_z(cpu, s->ra), r, bytes);
    sve_put(cpu, s, r);
    return 0;
}

uint64_t sve_movprfx(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS];
    memcpy(r, sve_z(cpu, s->rn), sve_bytes(s));
    sve_put(cpu, s, r);
    return 0;
}

/* Lanes of zn where pg is active, else of zm. */
uint64_t sve_sel(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t n[ARM_Z_WORDS], m[ARM_Z_WORDS];
    memcpy(n, sve_z(cpu, s->rn), sve_bytes(s));
    memcpy(m, sve_z(cpu, s->rm), sve_bytes(s));
    memcpy(sve_z(cpu, s->rd), m, sve_bytes(s));
    sve_put(cpu, s, n);
    return 0;
}

/* x in each lane, merged or zeroed as pg says */
uint64_t sve_cpy(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS];
    x = sve_splat(s->esz, x);
    for (unsigned i = 0; i < sve_bytes(s) / 8; i++)
        r[i] = x;
    sve_put(cpu, s, r);
    return 0;
}

uint64_t sve_index(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    for (unsigned i = 0; i < sve_lanes(s); i++)
        sve_set(sve_z(cpu, s->rd), s->esz, i, x + i * y);
    return 0;
}

/* Addresses: zn + (zm << imm), zm whole lanes or the low 32 bits extended. */
uint64_t sve_adr(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    for (unsigned i = 0; i < sve_lanes(s); i++) {
        uint64_t m = sve_get(sve_z(cpu, s->rm), s->esz, i);
        m = s->op == 0 ? (uint64_t)(int64_t)(int32_t)m : s->op == 1 ? (uint32_t)m : m;
        sve_set(sve_z(cpu, s->rd), s->esz, i, sve_get(sve_z(cpu, s->rn), s->esz, i) + (m << s->imm));
    }
    return 0;
}

/* ---- products of four ----------------------------------------------------------------------- */

static int64_t part(const void *z, unsigned esz, unsigned i, bool is_unsigned)
{
    uint64_t v = sve_get(z, esz, i);
    return is_unsigned ? (int64_t)v : bits_sext(v, 8u << esz);
}

uint64_t sve_dot(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS];
    unsigned in = s->esz - 2u, group = 16u >> s->esz;
    bool u = s->flags & SVE_UNSIGNED;
    for (unsigned i = 0; i < sve_lanes(s); i++) {
        unsigned k = s->imm < 0 ? i : i / group * group + (unsigned)s->imm;
        uint64_t sum = sve_get(sve_z(cpu, s->rd), s->esz, i);
        for (unsigned j = 0; j < 4; j++)
            sum += (uint64_t)part(sve_z(cpu, s->rn), in, 4 * i + j, u) *
                   (uint64_t)part(sve_z(cpu, s->rm), in, 4 * k + j, u);
        sve_set(r, s->esz, i, sum);
    }
    memcpy(sve_z(cpu, s->rd), r, sve_bytes(s));
    return 0;
}

/* ---- reductions ------------------------------------------------------------------------------ */

/* Of active lanes, into the lowest one of zd; sums in 64 bits. */
uint64_t sve_reduce(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t g[4], *d = sve_z(cpu, s->rd);
    unsigned bits = 8u << s->esz;
    bool is_signed = s->op == SVE_SMAX || s->op == SVE_SMIN || (s->op == SVE_ADD && !(s->flags & SVE_UNSIGNED));
    int64_t most = (int64_t)bits_mask(bits - 1), all = s->op == SVE_SMAX ? -most - 1 : s->op == SVE_SMIN ? most
        : s->op == SVE_UMIN || s->op == SVE_AND ? (int64_t)bits_mask(bits) : 0;
    sve_governing(cpu, s, g);
    for (unsigned i = 0; i < sve_lanes(s); i++) {
        if (!sve_active(g, s->esz, i))
            continue;
        int64_t v = part(sve_z(cpu, s->rn), s->esz, i, !is_signed);
        switch ((SveOp)s->op) {
        case SVE_ADD: all = (int64_t)((uint64_t)all + (uint64_t)v); break;
        case SVE_SMAX: all = MAX(all, v); break;
        case SVE_SMIN: all = MIN(all, v); break;
        case SVE_UMAX: all = (int64_t)MAX((uint64_t)all, (uint64_t)v); break;
        case SVE_UMIN: all = (int64_t)MIN((uint64_t)all, (uint64_t)v); break;
        case SVE_ORR: all |= v; break;
        case SVE_EOR: all ^= v; break;
        default: all &= v; break;
        }
    }
    memset(d, 0, sve_bytes(s));
    d[0] = s->op == SVE_ADD ? (uint64_t)all : (uint64_t)all & bits_mask(bits);
    return 0;
}
