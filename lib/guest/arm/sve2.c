/* SPDX-License-Identifier: MIT */
/* SVE2 in C, integers. */
#include "guest/arm/sve2_priv.h"

static uint64_t finish(ArmCpu *cpu, const ArmSve *s, const void *r)
{
    memcpy(sve_z(cpu, s->rd), r, sve_bytes(s));
    return 0;
}

/* Shifts by lanes go by the whole lane here, and by a byte in simd.c. */
static uint64_t amount_of(uint64_t y, unsigned log2)
{
    int64_t by = bits_sext(y, 8u << log2);
    return (uint64_t)CLAMP(by, -128, 127) & bits_mask(8u << log2);
}

uint64_t sve2_lanes(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    unsigned in = s->msz & 15, im = s->msz >> 4, wide = MAX(MAX(s->esz, in), im);
    unsigned element = (unsigned)s->imm >> 8 & 255, count = sve_bytes(s) >> wide;
    ArmLanes l = {.op = s->op, .flags = s->ra, .nlog2 = (uint8_t)in, .mlog2 = (uint8_t)im, .dlog2 = s->esz,
                  .shift = (uint8_t)s->imm, .acc = s->m & S2_ADDS ? 1 : s->m & S2_SUBTRACTS ? 2 : 0};
    uint64_t r[ARM_Z_WORDS] = {0}, qc[G_N_ELEMENTS(cpu->qc)];
    const void *n = sve_z(cpu, s->rn), *m = sve_z(cpu, s->rm), *d = sve_z(cpu, s->rd);
    memcpy(qc, cpu->qc, sizeof qc); /* which SVE does not set */
    if (s->m & S2_KEEPS)
        memcpy(r, d, sve_bytes(s));
    for (unsigned i = 0; i < count; i++) {
        unsigned ni = in == wide ? i : 2 * i + (s->m & S2_N_TOP ? 1 : 0), mi = im == wide ? i : 2 * i + (s->m & S2_M_TOP ? 1 : 0);
        unsigned di = s->esz == wide ? i : 2 * i + (s->m & S2_D_TOP ? 1 : 0), group = 16u >> im;
        if (element != S2_EACH)
            mi = (i << wide) / 16 * group + element;
        uint64_t a = sve_get(n, in, ni), b = sve_get(m, im, mi);
        if (s->m & S2_PAIRS) {
            const void *from = i & 1 ? m : n;
            a = sve_get(from, in, i & ~1u);
            b = sve_get(from, in, i | 1);
        }
        if (l.op == LANE_SHIFT)
            b = amount_of(b, im);
        sve_set(r, s->esz, di, arm_lane_result(cpu, &l, a, b, sve_get(d, s->esz, di)));
    }
    memcpy(cpu->qc, qc, sizeof qc);
    sve_put(cpu, s, r);
    return 0;
}

/* ---- complex numbers -------------------------------------------------------------------------- */

static uint64_t product_lane(ArmCpu *cpu, const ArmSve *s, unsigned i, bool rounded)
{
    unsigned turn = s->imm & 3, group = 16u >> s->esz, element = (unsigned)s->imm >> 8 & 255;
    unsigned pair = element == S2_EACH ? i & ~1u : i / group * group + 2 * element;
    uint64_t n = sve_get(sve_z(cpu, s->rn), s->esz, (i & ~1u) | (turn & 1));
    uint64_t m = sve_get(sve_z(cpu, s->rm), s->esz, pair | ((i ^ turn) & 1)), d = sve_get(sve_z(cpu, s->rd), s->esz, i);
    bool negative = i & 1 ? turn >= 2 : turn == 1 || turn == 2;
    if (!rounded)
        return negative ? d - n * m : d + n * m;
    ArmLanes l = {.op = LANE_DMULH, .flags = LANE_ROUND | LANE_SATURATE, .nlog2 = s->esz, .mlog2 = s->esz, .dlog2 = s->esz,
                  .acc = negative ? 2 : 1};
    return arm_lane_result(cpu, &l, n, m, d);
}

uint64_t sve2_cmla(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS];
    for (unsigned i = 0; i < sve_lanes(s); i++)
        sve_set(r, s->esz, i, product_lane(cpu, s, i, false));
    return finish(cpu, s, r);
}

uint64_t sve2_rdcmlah(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS], qc[G_N_ELEMENTS(cpu->qc)];
    memcpy(qc, cpu->qc, sizeof qc);
    for (unsigned i = 0; i < sve_lanes(s); i++)
        sve_set(r, s->esz, i, product_lane(cpu, s, i, true));
    memcpy(cpu->qc, qc, sizeof qc);
    return finish(cpu, s, r);
}

static uint64_t part(const void *z, unsigned log2, unsigned i) { return (uint64_t)bits_sext(sve_get(z, log2, i), 8u << log2); }

uint64_t sve2_cdot(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS];
    unsigned in = s->esz - 2u, turn = s->imm & 3, group = 16u >> s->esz, element = (unsigned)s->imm >> 8 & 255, a = turn & 1;
    for (unsigned i = 0; i < sve_lanes(s); i++) {
        unsigned k = element == S2_EACH ? i : i / group * group + element;
        uint64_t sum = sve_get(sve_z(cpu, s->rd), s->esz, i);
        for (unsigned j = 0; j < 4; j += 2) {
            uint64_t real = part(sve_z(cpu, s->rn), in, 4 * i + j) * part(sve_z(cpu, s->rm), in, 4 * k + j + a);
            uint64_t imag = part(sve_z(cpu, s->rn), in, 4 * i + j + 1) * part(sve_z(cpu, s->rm), in, 4 * k + j + (a ^ 1));
            sum += real + (turn == 0 || turn == 3 ? -imag : imag);
        }
        sve_set(r, s->esz, i, sum);
    }
    return finish(cpu, s, r);
}

/* imm 1: by 90 degrees, 3: by 270; op: saturating */
uint64_t sve2_cadd(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS], sum[ARM_Z_WORDS], less[ARM_Z_WORDS], m[ARM_Z_WORDS];
    for (unsigned i = 0; i < sve_lanes(s); i++)
        sve_set(m, s->esz, i, sve_get(sve_z(cpu, s->rm), s->esz, i ^ 1));
    sve_lane_op(s->op ? SVE_SQADD : SVE_ADD, s->esz, sum, sve_z(cpu, s->rn), m, sve_bytes(s));
    sve_lane_op(s->op ? SVE_SQSUB : SVE_SUB, s->esz, less, sve_z(cpu, s->rn), m, sve_bytes(s));
    for (unsigned i = 0; i < sve_lanes(s); i++)
        sve_set(r, s->esz, i, sve_get((i & 1) == (s->imm == 3) ? less : sum, s->esz, i));
    return finish(cpu, s, r);
}

/* ---- others on lanes -------------------------------------------------------------------------------- */

/* Even lanes of the result, or with SVE_SECOND odd ones, of those of n and the other ones of m */
uint64_t sve2_eorbt(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS];
    memcpy(r, sve_z(cpu, s->rd), sve_bytes(s));
    for (unsigned i = s->flags & SVE_SECOND ? 1 : 0; i < sve_lanes(s); i += 2)
        sve_set(r, s->esz, i, sve_get(sve_z(cpu, s->rn), s->esz, i) ^ sve_get(sve_z(cpu, s->rm), s->esz, i ^ 1));
    return finish(cpu, s, r);
}

/* Sums of even lanes with the carry in odd ones of m: into even lanes, with the carry in odd ones. */
uint64_t sve2_adcl(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS], all = bits_mask(8u << s->esz);
    for (unsigned i = 0; i < sve_lanes(s); i += 2) {
        uint64_t a = sve_get(sve_z(cpu, s->rd), s->esz, i), carry = sve_get(sve_z(cpu, s->rm), s->esz, i + 1) & 1;
        uint64_t b = sve_get(sve_z(cpu, s->rn), s->esz, i + (s->flags & SVE_SECOND ? 1 : 0));
        if (s->flags & SVE_NEGATIVE)
            b ^= all;
        uint64_t sum = (a + b + carry) & all;
        sve_set(r, s->esz, i, sum);
        sve_set(r, s->esz, i + 1, sum < a || (carry && sum == a));
    }
    return finish(cpu, s, r);
}

/* zd, zm and zk, which is zn */
uint64_t sve2_bits(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t *d = sve_z(cpu, s->rd);
    const uint64_t *m = sve_z(cpu, s->rm), *k = sve_z(cpu, s->rn);
    for (unsigned i = 0; i < sve_bytes(s) / 8; i++)
        switch (s->op) {
        case 0: d[i] ^= m[i] ^ k[i]; break;              /* EOR3 */
        case 1: d[i] = (d[i] & k[i]) | (m[i] & ~k[i]); break; /* BSL */
        case 2: d[i] ^= m[i] & ~k[i]; break;             /* BCAX */
        case 3: d[i] = (~d[i] & k[i]) | (m[i] & ~k[i]); break;
        case 5: d[i] = (d[i] & k[i]) | (~m[i] & ~k[i]); break;
        default: d[i] = ~((d[i] & k[i]) | (m[i] & ~k[i])); break;
        }
    return 0;
}

uint64_t sve2_xar(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    unsigned bits = 8u << s->esz, by = (unsigned)s->imm;
    for (unsigned i = 0; i < sve_lanes(s); i++) {
        uint64_t v = sve_get(sve_z(cpu, s->rd), s->esz, i) ^ sve_get(sve_z(cpu, s->rn), s->esz, i);
        sve_set(sve_z(cpu, s->rd), s->esz, i, by == bits ? v : v >> by | v << (bits - by));
    }
    return 0;
}

/* ---- permutations -------------------------------------------------------------------------------------- */

uint64_t sve2_ext(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint8_t r[SVE_MAX_BYTES];
    unsigned bytes = sve_bytes(s), at = (unsigned)s->imm < bytes ? (unsigned)s->imm : 0;
    memcpy(r, (uint8_t *)sve_z(cpu, s->rn) + at, bytes - at);
    memcpy(r + (bytes - at), sve_z(cpu, s->rn + 1u), at);
    return finish(cpu, s, r);
}

/* As SPLICE of zn and the register after it. */
uint64_t sve2_splice(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS], g[4];
    unsigned n = 0, m = 0, lanes = sve_lanes(s), first = lanes, last = 0;
    sve_governing(cpu, s, g);
    for (unsigned i = 0; i < lanes; i++)
        if (sve_active(g, s->esz, i)) {
            first = MIN(first, i);
            last = i;
        }
    for (unsigned i = first; i < lanes && i <= last; i++)
        sve_set(r, s->esz, n++, sve_get(sve_z(cpu, s->rn), s->esz, i));
    while (n < lanes)
        sve_set(r, s->esz, n++, sve_get(sve_z(cpu, s->rn + 1u), s->esz, m++));
    return finish(cpu, s, r);
}

uint64_t sve2_tbl(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS];
    unsigned lanes = sve_lanes(s);
    for (unsigned i = 0; i < lanes; i++) {
        uint64_t at = sve_get(sve_z(cpu, s->rm), s->esz, i);
        sve_set(r, s->esz, i, at < lanes ? sve_get(sve_z(cpu, s->rn), s->esz, (unsigned)at)
                              : at < 2 * lanes ? sve_get(sve_z(cpu, s->rn + 1u), s->esz, (unsigned)at - lanes) : 0);
    }
    return finish(cpu, s, r);
}

uint64_t sve2_tbx(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS];
    unsigned lanes = sve_lanes(s);
    for (unsigned i = 0; i < lanes; i++) {
        uint64_t at = sve_get(sve_z(cpu, s->rm), s->esz, i);
        sve_set(r, s->esz, i, sve_get(at < lanes ? sve_z(cpu, s->rn) : sve_z(cpu, s->rd), s->esz, at < lanes ? (unsigned)at : i));
    }
    return finish(cpu, s, r);
}

/* ---- searches -------------------------------------------------------------------------------------------- */

/* Active lanes of zn that are, or are not, in the 16 bytes of zm beside them. */
uint64_t sve2_match(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t g[4], p[4] = {0};
    unsigned group = 16u >> s->esz;
    sve_governing(cpu, s, g);
    for (unsigned i = 0; i < sve_lanes(s); i++) {
        bool found = false;
        for (unsigned k = 0; k < group; k++)
            found |= sve_get(sve_z(cpu, s->rn), s->esz, i) == sve_get(sve_z(cpu, s->rm), s->esz, i / group * group + k);
        if (sve_active(g, s->esz, i) && found == !(s->flags & SVE_NEGATIVE))
            p[(i << s->esz) >> 6] |= UINT64_C(1) << (i << s->esz & 63);
    }
    memcpy(sve_p(cpu, s->rd), p, sizeof p);
    sve_set_nzcv(cpu, s, g, p);
    return 0;
}

uint64_t sve2_histcnt(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t g[4], r[ARM_Z_WORDS] = {0};
    sve_governing(cpu, s, g);
    for (unsigned i = 0; i < sve_lanes(s); i++) {
        uint64_t count = 0;
        for (unsigned k = 0; k <= i && sve_active(g, s->esz, i); k++)
            count += sve_active(g, s->esz, k) && sve_get(sve_z(cpu, s->rn), s->esz, i) == sve_get(sve_z(cpu, s->rm), s->esz, k);
        sve_set(r, s->esz, i, count);
    }
    return finish(cpu, s, r);
}

uint64_t sve2_histseg(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS];
    for (unsigned i = 0; i < sve_bytes(s); i++) {
        uint64_t count = 0;
        for (unsigned k = 0; k < 16; k++)
            count += sve_get(sve_z(cpu, s->rn), 0, i) == sve_get(sve_z(cpu, s->rm), 0, (i & ~15u) + k);
        sve_set(r, 0, i, count);
    }
    return finish(cpu, s, r);
}

/* x > y or, as op has it, x >= y: the last so many lanes. imm: bits of the numbers, which are extended to 64 */
uint64_t sve2_while(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t count = 0, lanes = sve_lanes(s), least = 0, p[4] = {0}, g[4] = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    bool u = s->flags & SVE_UNSIGNED;
    if (!u)
        least = s->imm == 64 ? UINT64_C(1) << 63 : (uint64_t)INT64_C(-0x80000000);
    if ((u ? x > y : (int64_t)x > (int64_t)y) || (s->op && x == y))
        count = s->op && y == least ? lanes : x - y + s->op; /* going down from the least there is no end */
    for (uint64_t i = lanes - MIN(count, lanes); i < lanes; i++)
        p[(i << s->esz) >> 6] |= UINT64_C(1) << (i << s->esz & 63);
    memcpy(sve_p(cpu, s->rd), p, sizeof p);
    sve_set_nzcv(cpu, s, g, p);
    return 0;
}

/* Lanes before a store to y would reach what a load from x takes; op: of reads and writes either way. Where they
   are less than a lane apart, none, as qemu-aarch64 has it. */
uint64_t sve2_whilewr(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t distance = s->op && x > y ? x - y : y - x, lanes = sve_lanes(s);
    bool apart = s->op ? x != y : y > x;
    uint64_t count = apart ? distance >> s->esz : lanes;
    ArmSve w = *s;
    w.op = 0;
    w.imm = 64;
    w.flags = SVE_SETS | SVE_UNSIGNED;
    return sve_while(cpu, &w, 0, MIN(count, lanes));
}

/* ---- extensions of it ------------------------------------------------------------------------------------- */

/* op 0: bits of n that m selects, together at the low end; 1: the low bits of n, to where m selects; 2: as 0,
   with the others above them */
static uint64_t permuted(unsigned op, uint64_t n, uint64_t m, unsigned bits)
{
    uint64_t r = 0, others = 0;
    unsigned k = 0, rest = 0;
    for (unsigned i = 0; i < bits; i++) {
        if (op == 1)
            r |= m >> i & 1 ? (n >> k++ & 1) << i : 0;
        else if (m >> i & 1)
            r |= (n >> i & 1) << k++;
        else
            others |= (n >> i & 1) << rest++;
    }
    return op == 2 && k < bits ? r | others << k : r;
}

uint64_t sve2_bitperm(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS];
    for (unsigned i = 0; i < sve_lanes(s); i++)
        sve_set(r, s->esz, i, permuted(s->op, sve_get(sve_z(cpu, s->rn), s->esz, i), sve_get(sve_z(cpu, s->rm), s->esz, i), 8u << s->esz));
    return finish(cpu, s, r);
}

uint64_t sve2_rax1(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t *d = sve_z(cpu, s->rd), *n = sve_z(cpu, s->rn), *m = sve_z(cpu, s->rm);
    for (unsigned i = 0; i < sve_lanes(s); i++)
        d[i] = n[i] ^ (m[i] << 1 | m[i] >> 63);
    return 0;
}

/* A byte as a number: op 1 makes those of n unsigned, 2 those of m. */
static uint64_t byte_of(const void *z, unsigned i, bool u) { return u ? sve_get(z, 0, i) : part(z, 0, i); }

/* Words of zd plus rows of eight bytes of zn by rows of zm */
uint64_t sve2_mmla(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS];
    for (unsigned i = 0; i < sve_lanes(s); i++) {
        unsigned n = i / 4 * 16 + (i >> 1 & 1) * 8, m = i / 4 * 16 + (i & 1) * 8;
        uint64_t sum = sve_get(sve_z(cpu, s->rd), 2, i);
        for (unsigned j = 0; j < 8; j++)
            sum += byte_of(sve_z(cpu, s->rn), n + j, s->op & 1) * byte_of(sve_z(cpu, s->rm), m + j, s->op & 2);
        sve_set(r, 2, i, sum);
    }
    return finish(cpu, s, r);
}

uint64_t sve2_usdot(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS];
    for (unsigned i = 0; i < sve_lanes(s); i++) {
        unsigned k = s->imm == S2_EACH ? i : i / 4 * 4 + (unsigned)s->imm;
        uint64_t sum = sve_get(sve_z(cpu, s->rd), 2, i);
        for (unsigned j = 0; j < 4; j++)
            sum += byte_of(sve_z(cpu, s->rn), 4 * i + j, s->op & 1) * byte_of(sve_z(cpu, s->rm), 4 * k + j, s->op & 2);
        sve_set(r, 2, i, sum);
    }
    return finish(cpu, s, r);
}
