/* SPDX-License-Identifier: MIT */
/*
 * Advanced SIMD, arithmetic and logic: which of a group's opcodes there are, and what each is in lanes
 * (simd_priv.h). trans_vector.c and trans_lanes.c do them.
 */
#include "guest/arm/simd_priv.h"

#define DECODE_EXTERN
#define DECODE_TYPES_ONLY
#include "gen/guest/arm/a64_simd.inc"

/* All lanes of one size, as many as a register has. */
static ArmLanes lanes(int rd, int rn, int rm, int q, int scalar, unsigned log2)
{
    unsigned count = scalar ? 1 : (q ? 16u : 8u) >> log2;
    return (ArmLanes){.nlog2 = (uint8_t)log2, .mlog2 = (uint8_t)log2, .dlog2 = (uint8_t)log2, .count = (uint8_t)count,
                      .rd = (uint8_t)rd, .rn = (uint8_t)rn, .rm = (uint8_t)rm, .element = LANE_EACH,
                      .nlanes = (uint8_t)((q ? 16u : 8u) >> log2)};
}

#define SAT(u) ((u) ? LANE_SATURATE_UNSIGNED : LANE_SATURATE)

/* ---- three registers of the same kind --------------------------------------------------- */

enum { /* of an opcode */
    S_ALL = 1,  /* scalar: all sizes */
    S_64 = 2,   /* scalar: doublewords */
    NO_64 = 4,  /* vector: no doublewords */
    ONLY_8 = 8,
    SATS = 16, ROUNDS = 32,
    SIGNED_64 = 64, /* U does not mean unsigned */
};
typedef struct Same {
    uint8_t op[2], how[2]; /* by U */
    uint8_t acc[2], flags;
} Same;

static const Same sames[32] = {
    [0] = {{LANE_HADD, LANE_HADD}, {NO_64, NO_64}, {0}, 0},
    [1] = {{LANE_ADD, LANE_ADD}, {S_ALL | SATS, S_ALL | SATS}, {0}, 0},
    [2] = {{LANE_HADD, LANE_HADD}, {NO_64 | ROUNDS, NO_64 | ROUNDS}, {0}, 0},
    [4] = {{LANE_HSUB, LANE_HSUB}, {NO_64, NO_64}, {0}, 0},
    [5] = {{LANE_SUB, LANE_SUB}, {S_ALL | SATS, S_ALL | SATS}, {0}, 0},
    [6] = {{LANE_GT, LANE_GT}, {S_64, S_64}, {0}, 0},
    [7] = {{LANE_GE, LANE_GE}, {S_64, S_64}, {0}, 0},
    [8] = {{LANE_SHIFT, LANE_SHIFT}, {S_64, S_64}, {0}, 0},
    [9] = {{LANE_SHIFT, LANE_SHIFT}, {S_ALL | SATS, S_ALL | SATS}, {0}, 0},
    [10] = {{LANE_SHIFT, LANE_SHIFT}, {S_64 | ROUNDS, S_64 | ROUNDS}, {0}, 0},
    [11] = {{LANE_SHIFT, LANE_SHIFT}, {S_ALL | SATS | ROUNDS, S_ALL | SATS | ROUNDS}, {0}, 0},
    [12] = {{LANE_MAX, LANE_MAX}, {NO_64, NO_64}, {0}, 0},
    [13] = {{LANE_MIN, LANE_MIN}, {NO_64, NO_64}, {0}, 0},
    [14] = {{LANE_ABD, LANE_ABD}, {NO_64, NO_64}, {0}, 0},
    [15] = {{LANE_ABD, LANE_ABD}, {NO_64, NO_64}, {1, 1}, 0},
    [16] = {{LANE_ADD, LANE_SUB}, {S_64, S_64}, {0}, 0},
    [17] = {{LANE_TST, LANE_EQ}, {S_64, S_64}, {0}, 0},
    [18] = {{LANE_MUL, LANE_MUL}, {NO_64, NO_64}, {1, 2}, 0},
    [19] = {{LANE_MUL, LANE_PMUL}, {NO_64, ONLY_8}, {0}, 0},
    [20] = {{LANE_MAX, LANE_MAX}, {NO_64, NO_64}, {0}, LANE_PAIRS},
    [21] = {{LANE_MIN, LANE_MIN}, {NO_64, NO_64}, {0}, LANE_PAIRS},
    [23] = {{LANE_ADD, 0}, {0, 0}, {0}, LANE_PAIRS},
};

/* op by U and bit 23; + 64: scalars too; pairs and acc as they are */
static const uint8_t fp_sames[8][2][2] = {
    {{FP_MAXNM, FP_MINNM}, {FP_MAXNM, FP_MINNM}},
    {{FP_MLA, FP_MLS}, {0, 0}},
    {{FP_ADD, FP_SUB}, {FP_ADD, FP_ABD | 64}},
    {{FP_MULX | 64, 0}, {FP_MUL, 0}},
    {{FP_EQ | 64, 0}, {FP_GE | 64, FP_GT | 64}},
    {{0, 0}, {FP_ACGE | 64, FP_ACGT | 64}},
    {{FP_MAX, FP_MIN}, {FP_MAX, FP_MIN}},
    {{FP_RECPS | 64, FP_RSQRTS | 64}, {FP_DIV, 0}},
};

static bool fp_same(ArmTrans *c, const ArgsVSame *a)
{
    unsigned group = (unsigned)a->op & 7, log2 = 2 + (unsigned)(a->size & 1), op = fp_sames[group][a->u][a->size >> 1];
    if (!op || (a->scalar && !(op & 64)) || (!a->scalar && log2 == 3 && !a->q))
        return false;
    ArmLanes l = lanes(a->rd, a->rn, a->rm, a->q, a->scalar, log2);
    l.op = op & 63;
    if (a->u && (group == 0 || group == 6 || (group == 2 && !(a->size & 2))))
        l.flags |= LANE_PAIRS;
    return arm_call_fp(c, &l);
}

/* AND BIC ORR ORN, EOR BSL BIT BIF */
static bool logic(ArmTrans *c, const ArgsVSame *a)
{
    IrBuilder *b = c->b;
    if (a->scalar)
        return false;
    IrRef n = arm_v(c, a->rn), m = arm_v(c, a->rm), d = 0, v;
    unsigned how = (unsigned)(a->u << 2 | a->size);
    if (how > 4)
        d = arm_v(c, a->rd);
    switch (how) {
    case 0: v = ir_vector(b, IR_VAND, 0, n, m); break;
    case 1: v = ir_vector(b, IR_VANDN, 0, n, m); break;
    case 2: v = ir_vector(b, IR_VOR, 0, n, m); break;
    case 3: v = ir_vector(b, IR_VOR, 0, n, ir_vector(b, IR_VXOR, 0, m, ir_vconst(b, UINT64_MAX, UINT64_MAX))); break;
    case 4: v = a->rn == a->rm ? ir_vconst(b, 0, 0) : ir_vector(b, IR_VXOR, 0, n, m); break;
    case 5: /* BSL: by d, n or m */
        v = ir_vector(b, IR_VXOR, 0, m, ir_vector(b, IR_VAND, 0, ir_vector(b, IR_VXOR, 0, m, n), d));
        break;
    default: /* BIT, BIF: n where m is set, or clear */
        v = ir_vector(b, how == 6 ? IR_VAND : IR_VANDN, 0, ir_vector(b, IR_VXOR, 0, d, n), m);
        v = ir_vector(b, IR_VXOR, 0, d, v);
        break;
    }
    arm_put_vector(c, a->rd, arm_low_bytes(c, v, a->q ? 16 : 8));
    return true;
}

bool trans_a64_three_same(ArmTrans *c, const ArgsVSame *a)
{
    unsigned log2 = (unsigned)a->size;
    if (a->op == 3)
        return logic(c, a);
    if (a->op >= 24)
        return fp_same(c, a);
    ArmLanes l = lanes(a->rd, a->rn, a->rm, a->q, a->scalar, log2);
    if (a->op == 22) { /* SQDMULH, SQRDMULH */
        l.op = LANE_DMULH;
        l.flags = LANE_SATURATE | (a->u ? LANE_ROUND : 0);
        return (log2 == 1 || log2 == 2) && arm_call_lanes(c, &l);
    }
    const Same *s = &sames[a->op];
    unsigned how = s->how[a->u];
    l.op = s->op[a->u];
    if (!l.op || (how & ONLY_8 && log2) || (!a->scalar && log2 == 3 && (how & NO_64 || !a->q)) ||
        (a->scalar && !(how & S_ALL) && !(how & S_64 && log2 == 3)))
        return false;
    l.acc = s->acc[a->u];
    l.flags = s->flags | (how & ROUNDS ? LANE_ROUND : 0) | (how & SATS ? SAT(a->u) : 0);
    if (a->u && a->op != 16 && a->op != 17 && a->op != 18)
        l.flags |= l.op == LANE_SHIFT ? LANE_UNSIGNED_N : LANE_UNSIGNED;
    if (l.op == LANE_PMUL)
        l.flags |= LANE_UNSIGNED;
    return arm_call_lanes(c, &l);
}

bool trans_a64_rdm(ArmTrans *c, const ArgsVSame *a) /* SQRDMLAH, SQRDMLSH */
{
    ArmLanes l = lanes(a->rd, a->rn, a->rm, a->q, a->scalar, (unsigned)a->size);
    if (!c->p->rdm || a->size == 0 || a->size == 3)
        return false;
    l.op = LANE_DMULH;
    l.flags = LANE_SATURATE | LANE_ROUND;
    l.acc = (uint8_t)(1 + (a->op & 1 ? 1 : 0));
    return arm_call_lanes(c, &l);
}

/* ---- two registers ----------------------------------------------------------------------- */

/* Narrowing: XTN and the like, from both halves of n into one of d. */
static void narrow(ArmLanes *l, int q, int scalar, unsigned log2)
{
    l->nlog2 = (uint8_t)(log2 + 1);
    l->count = (uint8_t)(scalar ? 1 : 8u >> log2);
    l->dstart = (uint8_t)(q && !scalar ? 8u >> log2 : 0);
}

/* Widening: from one half of n and m. */
static void widen(ArmLanes *l, int q, int scalar, unsigned log2)
{
    l->dlog2 = (uint8_t)(log2 + 1);
    l->count = (uint8_t)(scalar ? 1 : 8u >> log2);
    l->nstart = l->mstart = (uint8_t)(q && !scalar ? 8u >> log2 : 0);
}

/* The encodings that floats of all sizes share: 16 or 32 and 64 bits. key: opcode, "a" in bit 8, U in bit 9.
 * Which have no scalar form, *vector_only says. */
bool arm_fp_unary_encoded(unsigned key, bool scalar, ArmLanes *l, bool *vector_only)
{
    static const uint8_t rounds[] = {IR_RNE, IR_RUP, IR_RDN, IR_RTZ};
    *vector_only = false;
    l->shift = rounds[(key & 1) << 1 | (key >> 8 & 1)];
    switch (key) {
    case 0x018: case 0x118: case 0x019: case 0x119: l->op = FP_RINT; *vector_only = true; break; /* FRINTN P M Z */
    case 0x218: l->shift = IR_RMM; l->op = FP_RINT; *vector_only = true; break;
    case 0x219: l->shift = IR_RDYN; l->op = FP_RINTX; *vector_only = true; break;
    case 0x319: l->shift = IR_RDYN; l->op = FP_RINT; *vector_only = true; break;
    case 0x01a: case 0x11a: case 0x01b: case 0x11b: case 0x21a: case 0x31a: case 0x21b: case 0x31b:
        l->op = FP_TO_INT;
        break;
    case 0x01c: case 0x21c: l->shift = IR_RMM; l->op = FP_TO_INT; break;
    case 0x01d: case 0x21d: l->op = FP_FROM_INT; break;
    case 0x11d: l->op = FP_RECPE; break;
    case 0x31d: l->op = FP_RSQRTE; break;
    case 0x10c: l->op = FP_GT; break;
    case 0x30c: l->op = FP_GE; break;
    case 0x10d: l->op = FP_EQ; break;
    case 0x30d: l->op = FP_LE; break;
    case 0x10e: l->op = FP_LT; break;
    case 0x10f: l->op = FP_ABS; *vector_only = true; break;
    case 0x30f: l->op = FP_NEG; *vector_only = true; break;
    case 0x31f: l->op = FP_SQRT; *vector_only = true; break;
    case 0x11f: l->op = FP_RECPX; return scalar;
    default: return false;
    }
    if (key & 0x200 && (l->op == FP_TO_INT || l->op == FP_FROM_INT))
        l->flags |= LANE_UNSIGNED_N;
    return true;
}

static bool fp_two(ArmTrans *c, const ArgsVTwo *a)
{
    unsigned log2 = 2 + (unsigned)(a->size & 1), high = (unsigned)a->size >> 1;
    ArmLanes l = lanes(a->rd, a->rn, 0, a->q, a->scalar, log2);
    unsigned key = (unsigned)a->op | high << 8 | (unsigned)a->u << 9;
    bool vector_only;
    l.flags = LANE_M_ZERO;
    switch (key) {
    case 0x016: case 0x216: /* FCVTN, FCVTXN */
        narrow(&l, a->q, a->scalar, log2 - 1);
        l.dlog2 = (uint8_t)(log2 - 1);
        l.op = a->u ? FP_CONVERT_ODD : FP_CONVERT;
        if (a->u ? log2 != 3 : a->scalar)
            return false;
        return arm_call_fp(c, &l);
    case 0x017: /* FCVTL */
        l.nlog2 = (uint8_t)(log2 - 1);
        l.dlog2 = (uint8_t)log2;
        l.count = (uint8_t)(16u >> log2);
        l.nstart = a->q ? l.count : 0;
        l.op = FP_CONVERT;
        return !a->scalar && arm_call_fp(c, &l);
    case 0x11c: case 0x31c: /* URECPE, URSQRTE */
        l.op = a->u ? LANE_URSQRTE : LANE_URECPE;
        return !a->scalar && log2 == 2 && arm_call_lanes(c, &l);
    default: break;
    }
    if (!arm_fp_unary_encoded(key, a->scalar, &l, &vector_only) || (a->scalar && vector_only) ||
        (!a->scalar && log2 == 3 && !a->q))
        return false;
    return arm_call_fp(c, &l);
}

static bool reverse(ArmTrans *c, const ArgsVTwo *a)
{
    unsigned unit = a->op ? 2 : a->u ? 4 : 8, size = 1u << a->size;
    uint64_t k = 0;
    if (a->scalar || (a->op && a->u) || size >= unit)
        return false;
    for (unsigned i = 0; i < 8; i++) /* lanes in the opposite order, each as it is */
        k |= (uint64_t)((i & ~(unit - 1)) + ((i ^ (unit - size)) & (unit - 1))) << 8 * i;
    IrRef v = ir_vector(c->b, IR_VSHUFFLE, 0, arm_v(c, a->rn), ir_vconst(c->b, k, k + 0x0808080808080808));
    arm_put_vector(c, a->rd, arm_low_bytes(c, v, a->q ? 16 : 8));
    return true;
}

bool trans_a64_two_misc(ArmTrans *c, const ArgsVTwo *a)
{
    unsigned log2 = (unsigned)a->size;
    bool full = log2 < 3 || a->q || a->scalar, s64 = a->scalar && log2 == 3, u = a->u;
    ArmLanes l = lanes(a->rd, a->rn, 0, a->q, a->scalar, log2);
    l.flags = LANE_M_ZERO;
    switch (a->op) {
    case 0: case 1: return reverse(c, a);
    case 2: case 6: /* ADDLP, ADALP */
        l.op = LANE_ADD;
        l.flags = LANE_PAIRS | (u ? LANE_UNSIGNED : 0);
        l.acc = a->op == 6;
        l.dlog2 = (uint8_t)(log2 + 1);
        l.count /= 2;
        return !a->scalar && log2 < 3 && arm_call_lanes(c, &l);
    case 3: /* SUQADD: unsigned x; USQADD: signed x */
        l.op = LANE_ADD_OLD;
        l.flags |= SAT(u) | (u ? 0 : LANE_UNSIGNED_N);
        return full && arm_call_lanes(c, &l);
    case 4:
        l.op = u ? LANE_CLZ : LANE_CLS;
        return !a->scalar && log2 < 3 && arm_call_lanes(c, &l);
    case 5:
        if (a->scalar || log2 > (u ? 1u : 0u))
            return false;
        l = lanes(a->rd, a->rn, 0, a->q, 0, 0);
        l.flags = LANE_M_ZERO;
        l.op = !u ? LANE_CNT : log2 ? LANE_RBIT : LANE_NOT;
        return arm_call_lanes(c, &l);
    case 7: case 11: /* ABS and NEG, saturating or not */
        l.op = u ? LANE_NEG : LANE_ABS;
        l.flags |= a->op == 7 ? LANE_SATURATE : 0;
        return full && (!a->scalar || a->op == 7 || log2 == 3) && arm_call_lanes(c, &l);
    case 8: l.op = u ? LANE_GE : LANE_GT; break;
    case 9: l.op = u ? LANE_LE : LANE_EQ; break;
    case 10: l.op = LANE_LT; if (u) return false; break;
    case 18: case 20: /* XTN, SQXTUN, SQXTN, UQXTN */
        narrow(&l, a->q, a->scalar, log2);
        l.op = LANE_MOVE;
        l.flags |= a->op == 20 ? SAT(u) | (u ? LANE_UNSIGNED_N : 0) : u ? LANE_SATURATE_UNSIGNED : 0;
        return log2 < 3 && !(a->scalar && a->op == 18 && !u) && arm_call_lanes(c, &l);
    case 19: /* SHLL */
        widen(&l, a->q, 0, log2);
        l.op = LANE_SHL;
        l.shift = (uint8_t)(8u << log2);
        return u && !a->scalar && log2 < 3 && arm_call_lanes(c, &l);
    default: return fp_two(c, a);
    }
    return full && (!a->scalar || s64) && arm_call_lanes(c, &l);
}

/* One lane of all; scalar: of a pair. */
bool trans_a64_across(ArmTrans *c, const ArgsVTwo *a)
{
    unsigned log2 = (unsigned)a->size, high = (unsigned)a->size >> 1;
    bool fp = a->op == 12 || a->op == 15 || a->op == 13;
    if (fp)
        log2 = 2 + (unsigned)(a->size & 1);
    ArmLanes l = lanes(a->rd, a->rn, 0, a->q, 1, log2);
    l.flags = LANE_REDUCE | (a->u && !fp ? LANE_UNSIGNED : 0);
    if (a->scalar) {
        l.nlanes = 2;
        if (!fp && (a->op != 27 || a->u || log2 != 3))
            return false;
    } else if (fp ? !a->q || log2 == 3 || a->op == 13 : log2 == 3 || l.nlanes < 4) {
        return false;
    }
    switch (a->op) {
    case 3: l.op = LANE_ADD; l.dlog2++; break;
    case 10: l.op = LANE_MAX; break;
    case 26: l.op = LANE_MIN; break;
    case 27: l.op = LANE_ADD; if (a->u) return false; break;
    case 12: l.op = high ? FP_MINNM : FP_MAXNM; break;
    case 13: l.op = FP_ADD; if (high) return false; break;
    case 15: l.op = high ? FP_MIN : FP_MAX; break;
    default: return false;
    }
    if (fp)
        return a->u && arm_call_fp(c, &l);
    return arm_call_lanes(c, &l);
}

/* ---- three registers of different kinds; by element --------------------------------------- */

static bool pmull(ArmTrans *c, const ArgsVLong *a)
{
    arm_put_vector(c, a->rd, ir_vector_imm(c->b, IR_VCLMUL, 3, arm_v(c, a->rn), arm_v(c, a->rm), a->q ? 0x11 : 0));
    return c->p->crypto;
}

bool trans_a64_three_diff(ArmTrans *c, const ArgsVLong *a)
{
    /* ADDL ADDW SUBL SUBW ADDHN ABAL SUBHN ABDL MLAL SQDMLAL MLSL SQDMLSL MULL SQDMULL PMULL */
    static const uint8_t ops[16] = {LANE_ADD, LANE_ADD, LANE_SUB, LANE_SUB, LANE_ADDH, LANE_ABD, LANE_SUBH, LANE_ABD,
                                    LANE_MUL, LANE_DMUL, LANE_MUL, LANE_DMUL, LANE_MUL, LANE_DMUL, LANE_PMUL, 0};
    static const uint8_t accs[16] = {[5] = 1, [8] = 1, [9] = 1, [10] = 2, [11] = 2};
    unsigned log2 = (unsigned)a->size;
    ArmLanes l = lanes(a->rd, a->rn, a->rm, a->q, a->scalar, log2);
    l.op = ops[a->op];
    l.acc = accs[a->op];
    if (a->op == 14 && log2 == 3)
        return !a->u && !a->scalar && pmull(c, a);
    if (!l.op || log2 == 3 || (l.op == LANE_PMUL && (a->u || log2)) ||
        (l.op == LANE_DMUL ? a->u || !log2 : a->scalar))
        return false;
    widen(&l, a->q, a->scalar, log2);
    l.flags = a->u || l.op == LANE_PMUL ? LANE_UNSIGNED : 0;
    if (l.op == LANE_DMUL)
        l.flags |= LANE_SATURATE;
    if (a->op == 1 || a->op == 3) {
        l.nlog2 = l.dlog2;
        l.nstart = 0;
    }
    if (a->op == 4 || a->op == 6) {
        l.mlog2 = l.nlog2 = l.dlog2;
        l.nstart = l.mstart = 0;
        narrow(&l, a->q, 0, log2);
        l.dlog2 = (uint8_t)log2;
        l.flags = a->u ? LANE_ROUND : 0;
    }
    return arm_call_lanes(c, &l);
}

static bool fp_element(ArmTrans *c, const ArgsVElem *a)
{
    static const uint8_t ops[16] = {[1] = FP_MLA, [5] = FP_MLS, [9] = FP_MUL};
    unsigned log2 = 2 + (unsigned)(a->size & 1), l_bit = (unsigned)a->lm >> 1;
    if (a->size < 2 || (log2 == 3 && (l_bit || (!a->q && !a->scalar))) || (a->u && a->op != 9))
        return false;
    ArmLanes l = lanes(a->rd, a->rn, a->rm | (a->lm & 1) << 4, a->q, a->scalar, log2);
    l.op = a->u ? FP_MULX : ops[a->op];
    l.element = (uint8_t)(log2 == 3 ? (unsigned)a->h : (unsigned)a->h << 1 | l_bit);
    return arm_call_fp(c, &l);
}

bool trans_a64_by_element(ArmTrans *c, const ArgsVElem *a)
{
    /* by U: what there is; long ones widen */
    static const struct { uint8_t op, acc, when, scalar, wide; } kinds[16] = {
        [0] = {LANE_MUL, 1, 2, 0, 0}, [4] = {LANE_MUL, 2, 2, 0, 0}, [8] = {LANE_MUL, 0, 1, 0, 0},
        [2] = {LANE_MUL, 1, 3, 0, 1}, [6] = {LANE_MUL, 2, 3, 0, 1}, [10] = {LANE_MUL, 0, 3, 0, 1},
        [3] = {LANE_DMUL, 1, 1, 1, 1}, [7] = {LANE_DMUL, 2, 1, 1, 1}, [11] = {LANE_DMUL, 0, 1, 1, 1},
        [12] = {LANE_DMULH, 0, 1, 1, 0}, [13] = {LANE_DMULH, 0, 3, 1, 0}, [15] = {LANE_DMULH, 2, 2, 1, 0},
    };
    unsigned log2 = (unsigned)a->size;
    if (a->op == 1 || a->op == 5 || a->op == 9)
        return fp_element(c, a);
    if (!(kinds[a->op].when >> a->u & 1) || (a->scalar && !kinds[a->op].scalar) || log2 == 0 || log2 == 3)
        return false;
    ArmLanes l = lanes(a->rd, a->rn, log2 == 1 ? a->rm : a->rm | (a->lm & 1) << 4, a->q, a->scalar, log2);
    l.op = kinds[a->op].op;
    l.acc = kinds[a->op].acc;
    if (kinds[a->op].wide)
        widen(&l, a->q, a->scalar, log2);
    if (l.op != LANE_MUL)
        l.flags = LANE_SATURATE;
    else if (a->u && kinds[a->op].wide)
        l.flags = LANE_UNSIGNED;
    if (l.op == LANE_DMULH && a->op != 12)
        l.flags |= LANE_ROUND;
    if (l.op == LANE_DMULH && a->u) {
        l.acc = a->op == 13 ? 1 : 2;
        if (!c->p->rdm)
            return false;
    }
    l.element = (uint8_t)(log2 == 1 ? (unsigned)(a->h << 2 | a->lm) : (unsigned)(a->h << 1 | a->lm >> 1));
    return arm_call_lanes(c, &l);
}

/* ---- shifts by an immediate --------------------------------------------------------------- */

static bool fixed_point(ArmTrans *c, const ArgsVShift *a, unsigned log2, unsigned right)
{
    ArmLanes l = lanes(a->rd, a->rn, 0, a->q, a->scalar, log2);
    if (log2 < 2)
        return false;
    l.op = a->op == 28 ? FP_FROM_INT : FP_TO_INT;
    l.flags = a->u ? LANE_UNSIGNED : 0;
    l.mstart = (uint8_t)right;
    l.shift = IR_RTZ;
    return arm_call_fp(c, &l);
}

bool trans_a64_shift_imm(ArmTrans *c, const ArgsVShift *a)
{
    unsigned imm = (unsigned)a->imm, log2 = 28 - (unsigned)__builtin_clz(imm | 1);
    if (imm < 8)
        return false;
    unsigned bits = 8u << log2, right = 2 * bits - imm, left = imm - bits, op = (unsigned)a->op;
    bool u = a->u, s64 = !a->scalar || log2 == 3, full = log2 < 3 || a->q || a->scalar;
    ArmLanes l = lanes(a->rd, a->rn, 0, a->q, a->scalar, log2);
    l.flags = LANE_M_ZERO | (u ? LANE_UNSIGNED_N : 0);
    l.shift = (uint8_t)right;
    switch (op) {
    case 0: case 2: case 4: case 6: /* SSHR SSRA SRSHR SRSRA */
        l.op = LANE_SHR;
        l.acc = op >> 1 & 1;
        l.flags |= op & 4 ? LANE_ROUND : 0;
        return full && s64 && arm_call_lanes(c, &l);
    case 8: l.op = LANE_SRI; return u && full && s64 && arm_call_lanes(c, &l);
    case 10:
        l.op = u ? LANE_SLI : LANE_SHL;
        l.shift = (uint8_t)left;
        return full && s64 && arm_call_lanes(c, &l);
    case 12: /* SQSHLU */
        l.op = LANE_SHL;
        l.shift = (uint8_t)left;
        l.flags = LANE_M_ZERO | LANE_SATURATE_UNSIGNED;
        return u && full && arm_call_lanes(c, &l);
    case 14:
        l.op = LANE_SHL;
        l.shift = (uint8_t)left;
        l.flags |= SAT(u);
        return full && arm_call_lanes(c, &l);
    case 16: case 17: case 18: case 19: /* SHRN SQSHRUN, rounding; SQSHRN UQSHRN, rounding */
        if (log2 == 3 || (a->scalar && op < 18 && !u))
            return false;
        narrow(&l, a->q, a->scalar, log2);
        l.op = LANE_SHR;
        l.flags = LANE_M_ZERO | (op & 1 ? LANE_ROUND : 0);
        l.flags |= op >= 18 ? SAT(u) | (u ? LANE_UNSIGNED_N : 0) : u ? LANE_SATURATE_UNSIGNED : 0;
        return arm_call_lanes(c, &l);
    case 20: /* SSHLL */
        if (log2 == 3 || a->scalar)
            return false;
        widen(&l, a->q, 0, log2);
        l.op = LANE_SHL;
        l.shift = (uint8_t)left;
        return arm_call_lanes(c, &l);
    case 28: case 31: return full && fixed_point(c, a, log2, right);
    default: return false;
    }
}
