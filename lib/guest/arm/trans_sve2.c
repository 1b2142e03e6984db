/* SPDX-License-Identifier: MIT */
/* SVE2: what an instruction is, as a description for its helper (sve2_priv.h). */
#include "guest/arm/sve2_priv.h"

#define DECODE_EXTERN
#define DECODE_TYPES_ONLY
#include "gen/guest/arm/a64_sve2.inc"

#define F(at, width) sve_field(c, at, width)

/* Lanes of esz from lanes of n and m, by a LaneOp with its flags. */
static ArmSve lanes(const ArmTrans *c, unsigned esz, unsigned n, unsigned m, LaneOp op, unsigned flags)
{
    ArmSve s = sve_describe(c, SVE2_LANES, esz);
    s.op = (uint8_t)op;
    s.ra = (uint8_t)flags;
    s.msz = (uint8_t)(n | m << 4);
    s.pg = SVE_NO_PG;
    s.imm = S2_EACH << 8;
    return s;
}

static bool call(ArmTrans *c, const ArmSve *s) { return sve_call(c, s, 0, 0); }
static unsigned sat(bool u) { return u ? LANE_SATURATE_UNSIGNED : LANE_SATURATE; }
static unsigned both(bool u) { return u ? LANE_UNSIGNED : 0; }

/* m is a lane, of sizes and at places as `indexed` ones of the same size have it: 16, 32, 64 bits */
static bool by_lane(ArmTrans *c, ArmSve *s)
{
    unsigned size = sve_size(c), esz = size < 2 ? 1 : size;
    unsigned lane = size == 3 ? F(20, 1) : F(19, 2) | (size == 1 ? 4 : 0);
    s->esz = (uint8_t)esz;
    s->msz = (uint8_t)(esz | esz << 4);
    s->rm = (uint8_t)(size == 3 ? F(16, 4) : F(16, 3));
    s->imm = (int)(lane << 8);
    return call(c, s);
}

/* The same of one that is twice as wide. */
static bool by_narrow_lane(ArmTrans *c, ArmSve *s)
{
    unsigned lane = s->esz == 2 ? F(19, 2) << 1 | F(11, 1) : F(20, 1) << 1 | F(11, 1);
    s->rm = (uint8_t)(s->esz == 2 ? F(16, 3) : F(16, 4));
    s->imm = (int)(lane << 8);
    return call(c, s);
}

/* ---- under a predicate -------------------------------------------------------------------- */

bool trans_sve2_unary(ArmTrans *c, const ArgsEOp *a)
{
    unsigned esz = sve_size(c), op = (unsigned)a->op;
    static const uint8_t ops[16] = {[0] = LANE_URECPE, LANE_URSQRTE, [8] = LANE_ABS, LANE_NEG};
    ArmSve s = lanes(c, esz, esz, esz, (LaneOp)ops[op & 15], op >= 8 ? LANE_SATURATE : op < 2 ? LANE_UNSIGNED : 0);
    s.pg = F(10, 3);
    if (op == 4 || op == 5) { /* SADALP, UADALP */
        if (!esz)
            return false;
        s.op = LANE_ADD;
        s.msz = (uint8_t)((esz - 1) * 0x11);
        s.m = S2_M_TOP | S2_ADDS;
        s.rm = s.rn;
        s.ra = (uint8_t)both(op & 1);
        return call(c, &s);
    }
    return ops[op & 15] && (op >= 8 || esz == 2) && call(c, &s);
}

bool trans_sve2_pairs(ArmTrans *c, const ArgsEOp *a)
{
    static const uint8_t ops[16] = {[1] = LANE_ADD, [4] = LANE_MAX, LANE_MAX, LANE_MIN, LANE_MIN};
    unsigned esz = sve_size(c);
    ArmSve s = lanes(c, esz, esz, esz, (LaneOp)ops[a->op & 15], both(a->op & 1));
    s.pg = F(10, 3);
    s.rm = s.rn;
    s.rn = s.rd;
    s.m = S2_PAIRS;
    return ops[a->op & 15] && call(c, &s);
}

/* Shifts by lanes; halving; saturating sums */
bool trans_sve2_bin_pred(ArmTrans *c, const ArgsEOp *a)
{
    unsigned op = (unsigned)a->op, esz = sve_size(c);
    bool u = op & 1, reverse = false;
    ArmSve s = lanes(c, esz, esz, esz, LANE_SHIFT, 0);
    if (op < 16) {
        if (op < 2 || op == 4 || op == 5)
            return false;
        s.ra = (uint8_t)((u ? LANE_UNSIGNED_N : 0) | (op & 8 ? sat(u) : 0) | (op & 2 ? LANE_ROUND : 0));
        reverse = op & 4;
    } else if (op < 24) {
        s.op = op & 2 ? LANE_HSUB : LANE_HADD;
        s.ra = (uint8_t)(both(u) | ((op & 6) == 4 ? LANE_ROUND : 0));
        reverse = (op & 6) == 6;
    } else {
        s.op = op & 2 ? LANE_SUB : LANE_ADD;
        s.ra = (uint8_t)(both(u) | sat(u));
        if (op == 28 || op == 29) /* SUQADD, USQADD: to a number of the one kind one of the other */
            s.ra = (uint8_t)(op == 28 ? LANE_UNSIGNED_M | LANE_SATURATE : LANE_UNSIGNED_N | LANE_SATURATE_UNSIGNED);
        reverse = op >= 30;
    }
    s.pg = F(10, 3);
    s.rm = reverse ? s.rd : s.rn;
    s.rn = reverse ? s.rn : s.rd;
    return call(c, &s);
}

/* ---- multiply and add ------------------------------------------------------------------------ */

bool trans_sve2_dmlalbt(ArmTrans *c, const ArgsENone *a)
{
    unsigned esz = sve_size(c);
    ArmSve s = lanes(c, esz, esz - 1, esz - 1, LANE_DMUL, LANE_SATURATE);
    s.m = S2_M_TOP | (F(10, 1) ? S2_SUBTRACTS : S2_ADDS);
    return esz && call(c, &s);
}

bool trans_sve2_mlal(ArmTrans *c, const ArgsENone *a)
{
    unsigned esz = sve_size(c);
    ArmSve s = lanes(c, esz, esz - 1, esz - 1, LANE_MUL, both(F(11, 1)));
    s.m = (uint8_t)((F(10, 1) ? S2_N_TOP | S2_M_TOP : 0) | (F(12, 1) ? S2_SUBTRACTS : S2_ADDS));
    return esz && call(c, &s);
}

bool trans_sve2_dmlal(ArmTrans *c, const ArgsENone *a)
{
    unsigned esz = sve_size(c);
    ArmSve s = lanes(c, esz, esz - 1, esz - 1, LANE_DMUL, LANE_SATURATE);
    s.m = (uint8_t)((F(10, 1) ? S2_N_TOP | S2_M_TOP : 0) | (F(11, 1) ? S2_SUBTRACTS : S2_ADDS));
    return esz && call(c, &s);
}

static ArmSve rounded(const ArmTrans *c)
{
    unsigned esz = sve_size(c);
    ArmSve s = lanes(c, esz, esz, esz, LANE_DMULH, LANE_ROUND | LANE_SATURATE);
    s.m = F(10, 1) ? S2_SUBTRACTS : S2_ADDS;
    return s;
}

bool trans_sve2_rdmlah(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = rounded(c);
    return call(c, &s);
}

bool trans_sve2_rdmlah_l(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = rounded(c);
    return by_lane(c, &s);
}

bool trans_sve2_mla_lane(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = lanes(c, 1, 1, 1, LANE_MUL, 0);
    s.m = F(10, 1) ? S2_SUBTRACTS : S2_ADDS;
    return by_lane(c, &s);
}

bool trans_sve2_mul_l(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = lanes(c, 1, 1, 1, LANE_MUL, 0);
    return by_lane(c, &s);
}

bool trans_sve2_dmulh_l(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = lanes(c, 1, 1, 1, LANE_DMULH, LANE_SATURATE | (F(10, 1) ? LANE_ROUND : 0));
    return by_lane(c, &s);
}

bool trans_sve2_dmlal_l(ArmTrans *c, const ArgsENone *a)
{
    unsigned esz = sve_size(c);
    ArmSve s = lanes(c, esz, esz - 1, esz - 1, LANE_DMUL, LANE_SATURATE);
    s.m = (uint8_t)((F(10, 1) ? S2_N_TOP : 0) | (F(12, 1) ? S2_SUBTRACTS : S2_ADDS));
    return by_narrow_lane(c, &s);
}

bool trans_sve2_mlal_l(ArmTrans *c, const ArgsENone *a)
{
    unsigned esz = sve_size(c);
    ArmSve s = lanes(c, esz, esz - 1, esz - 1, LANE_MUL, both(F(12, 1)));
    s.m = (uint8_t)((F(10, 1) ? S2_N_TOP : 0) | (F(13, 1) ? S2_SUBTRACTS : S2_ADDS));
    return by_narrow_lane(c, &s);
}

bool trans_sve2_mull_l(ArmTrans *c, const ArgsENone *a)
{
    unsigned esz = sve_size(c);
    ArmSve s = lanes(c, esz, esz - 1, esz - 1, LANE_MUL, both(F(12, 1)));
    s.m = F(10, 1) ? S2_N_TOP : 0;
    return by_narrow_lane(c, &s);
}

bool trans_sve2_dmull_l(ArmTrans *c, const ArgsENone *a)
{
    unsigned esz = sve_size(c);
    ArmSve s = lanes(c, esz, esz - 1, esz - 1, LANE_DMUL, LANE_SATURATE);
    s.m = F(10, 1) ? S2_N_TOP : 0;
    return by_narrow_lane(c, &s);
}

/* ---- complex numbers ---------------------------------------------------------------------------- */

static ArmSve complex(const ArmTrans *c, SveFn fn, unsigned esz, unsigned turn)
{
    ArmSve s = sve_describe(c, fn, esz);
    s.imm = (int)turn | S2_EACH << 8;
    return s;
}

bool trans_sve2_cdot(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = complex(c, SVE2_CDOT, sve_size(c), F(10, 2));
    return call(c, &s);
}

bool trans_sve2_cmla(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = complex(c, F(12, 1) ? SVE2_RDCMLAH : SVE2_CMLA, sve_size(c), F(10, 2));
    return call(c, &s);
}

static bool complex_lane(ArmTrans *c, ArmSve *s)
{
    bool small = sve_size(c) == 2;
    s->rm = (uint8_t)(small ? F(16, 3) : F(16, 4));
    s->imm = (int)(F(10, 2) | (small ? F(19, 2) : F(20, 1)) << 8);
    return call(c, s);
}

bool trans_sve2_cdot_l(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = complex(c, SVE2_CDOT, sve_size(c), 0);
    return complex_lane(c, &s);
}

bool trans_sve2_cmla_l(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = complex(c, F(12, 1) ? SVE2_RDCMLAH : SVE2_CMLA, sve_size(c) - 1, 0);
    return complex_lane(c, &s);
}

bool trans_sve2_cadd(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, SVE2_CADD, sve_size(c));
    s.op = (uint8_t)F(16, 1);
    s.imm = F(10, 1) ? 3 : 1;
    s.rm = s.rn;
    s.rn = s.rd;
    return call(c, &s);
}

/* ---- wider and narrower ----------------------------------------------------------------------------- */

static ArmSve long_lanes(const ArmTrans *c, LaneOp op, unsigned flags, bool top)
{
    unsigned esz = sve_size(c);
    ArmSve s = lanes(c, esz, esz - 1, esz - 1, op, flags);
    s.m = top ? S2_N_TOP | S2_M_TOP : 0;
    return s;
}

bool trans_sve2_long(ArmTrans *c, const ArgsENone *a)
{
    static const uint8_t ops[4] = {LANE_ADD, LANE_SUB, 0, LANE_ABD};
    ArmSve s = long_lanes(c, (LaneOp)ops[F(12, 2)], both(F(11, 1)), F(10, 1));
    return s.esz && s.op && call(c, &s);
}

bool trans_sve2_addw(ArmTrans *c, const ArgsENone *a)
{
    unsigned esz = sve_size(c);
    ArmSve s = lanes(c, esz, esz, esz - 1, F(12, 1) ? LANE_SUB : LANE_ADD, both(F(11, 1)));
    s.m = F(10, 1) ? S2_M_TOP : 0;
    return esz && call(c, &s);
}

bool trans_sve2_mull(ArmTrans *c, const ArgsENone *a)
{
    static const uint8_t ops[4] = {LANE_DMUL, LANE_PMUL, LANE_MUL, LANE_MUL};
    static const uint8_t flags[4] = {LANE_SATURATE, LANE_UNSIGNED, 0, LANE_UNSIGNED};
    unsigned kind = F(11, 2);
    ArmSve s = long_lanes(c, (LaneOp)ops[kind], flags[kind], F(10, 1));
    return s.esz && !(kind == 1 && s.esz == 2) && call(c, &s);
}

bool trans_sve2_addlbt(ArmTrans *c, const ArgsENone *a)
{
    unsigned kind = F(10, 2);
    ArmSve s = long_lanes(c, kind ? LANE_SUB : LANE_ADD, 0, false);
    s.m = kind == 3 ? S2_N_TOP : S2_M_TOP;
    return s.esz && kind != 1 && call(c, &s);
}

bool trans_sve2_abal(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = long_lanes(c, LANE_ABD, both(F(11, 1)), F(10, 1));
    s.m |= S2_ADDS;
    return s.esz && call(c, &s);
}

bool trans_sve2_aba(ArmTrans *c, const ArgsENone *a)
{
    unsigned esz = sve_size(c);
    ArmSve s = lanes(c, esz, esz, esz, LANE_ABD, both(F(10, 1)));
    s.m = S2_ADDS;
    return call(c, &s);
}

/* The size and amount of an immediate shift at 23:22 and `at`; false: reserved. */
static bool shift_of(const ArmTrans *c, unsigned at, unsigned *log2, unsigned *right, unsigned *left)
{
    unsigned imm = sve_size(c) << 5 | F(at, 5);
    if (imm < 8)
        return false;
    *log2 = 28u - (unsigned)__builtin_clz(imm);
    *right = (16u << *log2) - imm;
    *left = imm - (8u << *log2);
    return true;
}

static ArmSve shift(const ArmTrans *c, unsigned esz, unsigned in, LaneOp op, unsigned flags, unsigned by)
{
    ArmSve s = lanes(c, esz, in, in, op, flags);
    s.imm |= (int)by;
    return s;
}

bool trans_sve2_shll(ArmTrans *c, const ArgsENone *a)
{
    unsigned log2, right, left;
    if (!shift_of(c, 16, &log2, &right, &left) || log2 == 3)
        return false;
    ArmSve s = shift(c, log2 + 1, log2, LANE_SHL, both(F(11, 1)), left);
    s.m = F(10, 1) ? S2_N_TOP | S2_M_TOP : 0;
    return call(c, &s);
}

bool trans_sve2_sra(ArmTrans *c, const ArgsENone *a)
{
    unsigned log2, right, left;
    if (!shift_of(c, 16, &log2, &right, &left))
        return false;
    ArmSve s = shift(c, log2, log2, LANE_SHR, both(F(10, 1)) | (F(11, 1) ? LANE_ROUND : 0), right);
    s.m = S2_ADDS;
    return call(c, &s);
}

bool trans_sve2_sri(ArmTrans *c, const ArgsENone *a)
{
    unsigned log2, right, left;
    if (!shift_of(c, 16, &log2, &right, &left))
        return false;
    ArmSve s = shift(c, log2, log2, F(10, 1) ? LANE_SLI : LANE_SRI, LANE_UNSIGNED, F(10, 1) ? left : right);
    return call(c, &s);
}

bool sve2_shift_pred(ArmTrans *c, unsigned op, unsigned imm)
{
    unsigned log2 = 28u - (unsigned)__builtin_clz(imm), right = (16u << log2) - imm, left = imm - (8u << log2);
    ArmSve s = shift(c, log2, log2, LANE_SHL, 0, left);
    switch (op) {
    case 6: case 7: s.ra = (uint8_t)(both(op & 1) | sat(op & 1)); break;
    case 12: case 13:
        s = shift(c, log2, log2, LANE_SHR, LANE_ROUND | both(op & 1), right);
        break;
    case 15: s.ra = LANE_SATURATE_UNSIGNED; break;
    default: return false;
    }
    s.pg = F(10, 3);
    s.rn = s.rd;
    return call(c, &s);
}

/* Into even lanes with zeros above, or into odd ones. */
static uint8_t narrow_place(const ArmTrans *c) { return sve_field(c, 10, 1) ? S2_D_TOP | S2_KEEPS : 0; }

bool trans_sve2_shrn(ArmTrans *c, const ArgsENone *a)
{
    /* by bits 13 and 12: SQSHRUN, SHRN, SQSHRN, UQSHRN */
    static const uint8_t flags[4] = {LANE_SATURATE_UNSIGNED, 0, LANE_SATURATE, LANE_SATURATE_UNSIGNED | LANE_UNSIGNED};
    unsigned log2, right, left;
    if (!shift_of(c, 16, &log2, &right, &left) || log2 == 3)
        return false;
    ArmSve s = shift(c, log2, log2 + 1, LANE_SHR, flags[F(12, 2)] | (F(11, 1) ? LANE_ROUND : 0), right);
    s.m = narrow_place(c);
    return call(c, &s);
}

bool trans_sve2_xtn(ArmTrans *c, const ArgsENone *a)
{
    static const uint8_t flags[4] = {LANE_SATURATE, LANE_SATURATE_UNSIGNED | LANE_UNSIGNED, LANE_SATURATE_UNSIGNED, 0};
    unsigned log2, right, left;
    if (!shift_of(c, 16, &log2, &right, &left) || log2 == 3 || left || F(11, 2) == 3)
        return false;
    ArmSve s = lanes(c, log2, log2 + 1, log2 + 1, LANE_MOVE, flags[F(11, 2)]);
    s.m = narrow_place(c);
    return call(c, &s);
}

bool trans_sve2_addhn(ArmTrans *c, const ArgsENone *a)
{
    unsigned in = sve_size(c);
    if (!in)
        return false;
    ArmSve s = lanes(c, in - 1, in, in, F(12, 1) ? LANE_SUBH : LANE_ADDH, LANE_UNSIGNED | (F(11, 1) ? LANE_ROUND : 0));
    s.m = narrow_place(c);
    return call(c, &s);
}

/* ---- of lanes of one size ------------------------------------------------------------------------------ */

bool trans_sve2_mul(ArmTrans *c, const ArgsENone *a)
{
    static const uint8_t ops[4] = {SVE_MUL, 0, SVE_SMULH, SVE_UMULH};
    ArmSve s = sve_describe(c, SVE_TWO, sve_size(c));
    s.pg = SVE_NO_PG;
    s.op = ops[F(10, 2)];
    if (F(10, 2) == 1) {
        s = lanes(c, 0, 0, 0, LANE_PMUL, LANE_UNSIGNED);
        return !sve_size(c) && call(c, &s);
    }
    return call(c, &s);
}

bool trans_sve2_dmulh(ArmTrans *c, const ArgsENone *a)
{
    unsigned esz = sve_size(c);
    ArmSve s = lanes(c, esz, esz, esz, LANE_DMULH, LANE_SATURATE | (F(10, 1) ? LANE_ROUND : 0));
    return call(c, &s);
}

bool trans_sve2_eorbt(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, SVE2_EORBT, sve_size(c));
    s.flags = F(10, 1) ? SVE_SECOND : 0;
    return call(c, &s);
}

bool trans_sve2_adcl(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, SVE2_ADCL, F(22, 1) ? 3 : 2);
    s.flags = (F(10, 1) ? SVE_SECOND : 0) | (F(23, 1) ? SVE_NEGATIVE : 0);
    return call(c, &s);
}

bool trans_sve2_bits(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, SVE2_BITS, 3);
    s.op = (uint8_t)(sve_size(c) << 1 | F(10, 1));
    return s.op != 4 && s.op != 6 && call(c, &s);
}

bool trans_sve2_xar(ArmTrans *c, const ArgsENone *a)
{
    unsigned log2, right, left;
    if (!shift_of(c, 16, &log2, &right, &left))
        return false;
    ArmSve s = sve_describe(c, SVE2_XAR, log2);
    s.imm = (int)right;
    return call(c, &s);
}

bool trans_sve2_ext(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, SVE2_EXT, 0);
    s.imm = (int)(F(16, 5) << 3 | F(10, 3));
    return call(c, &s);
}

bool trans_sve2_splice(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, SVE2_SPLICE, sve_size(c));
    return call(c, &s);
}

bool trans_sve2_tbl(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, F(10, 1) ? SVE2_TBX : SVE2_TBL, sve_size(c));
    return call(c, &s);
}

bool trans_sve2_match(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, SVE2_MATCH, sve_size(c));
    s.rd &= 15;
    s.flags = F(4, 1) ? SVE_NEGATIVE : 0;
    return call(c, &s);
}

bool trans_sve2_histcnt(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, SVE2_HISTCNT, sve_size(c));
    return call(c, &s);
}

bool trans_sve2_histseg(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, SVE2_HISTSEG, 0);
    return call(c, &s);
}

/* ---- extensions ------------------------------------------------------------------------------------------- */

bool trans_sve2_bitperm(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, SVE2_BITPERM, sve_size(c));
    s.op = (uint8_t)F(10, 2);
    return s.op < 3 && call(c, &s);
}

bool trans_sve2_rax1(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, SVE2_RAX1, 3);
    return c->p->sha3 && call(c, &s);
}

bool trans_sve2_mmla(ArmTrans *c, const ArgsENone *a)
{
    static const uint8_t ops[4] = {0, 0, 1, 3}; /* SMMLA, USMMLA, UMMLA */
    ArmSve s = sve_describe(c, SVE2_MMLA, 2);
    s.op = ops[sve_size(c)];
    return c->p->i8mm && sve_size(c) != 1 && call(c, &s);
}

bool trans_sve2_usdot(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, SVE2_USDOT, 2);
    s.op = 1;
    s.imm = S2_EACH;
    return c->p->i8mm && call(c, &s);
}

bool trans_sve2_usdot_l(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, SVE2_USDOT, 2);
    s.op = F(10, 1) ? 2 : 1;
    s.rm &= 7;
    s.imm = (int)F(19, 2);
    return c->p->i8mm && call(c, &s);
}

/* ---- loops ------------------------------------------------------------------------------------------------ */

/* WHILEGE GT HS HI: downward, from the last lane on */
bool trans_sve2_while(ArmTrans *c, const ArgsENone *a)
{
    bool sf = F(12, 1), u = F(11, 1);
    ArmSve s = sve_describe(c, SVE2_WHILE, sve_size(c));
    IrRef v[2];
    for (unsigned i = 0; i < 2; i++) {
        int n = (int)F(i ? 16 : 5, 5);
        v[i] = sf ? arm_x(c, n) : u ? ir_zext(c->b, IR_I64, arm_r(c, 0, n)) : ir_sext(c->b, IR_I64, arm_r(c, 0, n));
    }
    s.rd &= 15;
    s.op = (uint8_t)!F(4, 1); /* equal ones count, too */
    s.imm = sf ? 64 : 32;
    s.flags = SVE_SETS | (u ? SVE_UNSIGNED : 0);
    return sve_call(c, &s, v[0], v[1]);
}

bool trans_sve2_whilewr(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, SVE2_WHILEWR, sve_size(c));
    s.rd &= 15;
    s.op = (uint8_t)F(4, 1);
    return sve_call(c, &s, arm_x(c, (int)F(5, 5)), arm_x(c, (int)F(16, 5)));
}

/* ---- floating point ------------------------------------------------------------------------------------------ */

bool trans_sve2_fpairs(ArmTrans *c, const ArgsEOp *a)
{
    static const uint8_t ops[8] = {FP_ADD, 0, 0, 0, FP_MAXNM, FP_MINNM, FP_MAX, FP_MIN};
    ArmSve s = sve_describe(c, SVE2_FPAIRS, sve_size(c));
    s.op = ops[a->op & 7];
    return s.esz && s.op && call(c, &s);
}

static bool convert(ArmTrans *c, FpOp op, unsigned in, unsigned out, bool odd_lanes)
{
    ArmSve s = sve_describe(c, SVE2_FCVT, MAX(in, out));
    s.op = (uint8_t)op;
    s.ra = (uint8_t)in;
    s.msz = (uint8_t)out;
    s.flags = odd_lanes ? SVE_SECOND : 0;
    return call(c, &s);
}

bool trans_sve2_fcvt(ArmTrans *c, const ArgsEOp *a)
{
    switch (sve_size(c) << 2 | (a->op & 3)) {
    case 2: return convert(c, FP_CONVERT_ODD, 3, 2, true);
    case 8: return convert(c, FP_CONVERT, 2, 1, true);
    case 9: return convert(c, FP_CONVERT, 1, 2, true);
    case 14: return convert(c, FP_CONVERT, 3, 2, true);
    case 15: return convert(c, FP_CONVERT, 2, 3, true);
    default: return false;
    }
}

bool trans_sve2_fcvtx(ArmTrans *c, const ArgsENone *a)
{
    return convert(c, FP_CONVERT_ODD, 3, 2, false);
}

bool trans_sve2_flogb(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, SVE2_FLOGB, F(17, 2));
    return s.esz && call(c, &s);
}

bool trans_sve2_fmlal(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, SVE2_FMLAL, 2);
    s.flags = (F(13, 1) ? SVE_NEGATIVE : 0) | (F(10, 1) ? SVE_SECOND : 0);
    s.imm = S2_EACH;
    return call(c, &s);
}

bool trans_sve2_fmlal_l(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, SVE2_FMLAL, 2);
    s.flags = (F(13, 1) ? SVE_NEGATIVE : 0) | (F(10, 1) ? SVE_SECOND : 0);
    s.rm &= 7;
    s.imm = (int)(F(19, 2) << 1 | F(11, 1));
    return call(c, &s);
}

/* ---- memory: addresses of vectors, plus a register ------------------------------------------------------------- */

bool trans_sve2_ldnt1(ArmTrans *c, const ArgsENone *a)
{
    bool wide = F(30, 1), u = F(wide ? 14 : 13, 1);
    ArmSve s = sve_describe(c, SVE_GATHER, wide ? 3 : 2);
    unsigned msz = F(23, 2);
    IrRef base = arm_x(c, s.rm);
    s.msz = (uint8_t)(msz | (u ? 0 : 8));
    s.rm = s.rn;
    s.m = wide ? 0 : 1;
    return msz <= s.esz && (u || msz < s.esz) && sve_call(c, &s, base, 0);
}

bool trans_sve2_stnt1(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, SVE_SCATTER, F(22, 1) ? 2 : 3);
    IrRef base = arm_x(c, s.rm);
    s.msz = (uint8_t)F(23, 2);
    s.rm = s.rn;
    s.m = s.esz == 3 ? 0 : 1;
    return s.msz <= s.esz && sve_call(c, &s, base, 0);
}
