/* SPDX-License-Identifier: MIT */
/* SVE, floating point: what an instruction is, as a description for its helper. */
#include "guest/arm/simd_priv.h"
#include "guest/arm/sve_priv.h"

#define DECODE_EXTERN
#define DECODE_TYPES_ONLY
#include "gen/guest/arm/a64_sve_fp.inc"

typedef struct Code {
    uint8_t op;
    bool there, reverse;
} Code;
#define IS(op) {op, true, false}
#define REVERSED(op) {op, true, true}

/* zdn = op(zdn, zm) */
static bool destructive(ArmTrans *c, const Code *code, IrRef y)
{
    ArmSve s = sve_describe(c, SVE_FP_TWO, sve_size(c));
    s.op = code->op;
    s.rm = s.rn;
    s.rn = s.rd;
    s.m = y ? SVE_M_VALUE : SVE_M_REG;
    s.flags = code->reverse ? SVE_REVERSE : 0;
    return code->there && s.esz && sve_call(c, &s, 0, y);
}

bool trans_sve_fbin(ArmTrans *c, const ArgsENone *a)
{
    static const Code codes[8] = {IS(FP_ADD), IS(FP_SUB), IS(FP_MUL), IS(SVE_FP_TSMUL), {0}, {0}, IS(FP_RECPS), IS(FP_RSQRTS)};
    const Code *code = &codes[sve_field(c, 10, 3)];
    ArmSve s = sve_describe(c, SVE_FP_TWO, sve_size(c));
    s.op = code->op;
    s.pg = SVE_NO_PG;
    return code->there && s.esz && sve_call(c, &s, 0, 0);
}

bool trans_sve_fbin_pred(ArmTrans *c, const ArgsEOp *a)
{
    static const Code codes[16] = {
        IS(FP_ADD), IS(FP_SUB), IS(FP_MUL), REVERSED(FP_SUB), IS(FP_MAXNM), IS(FP_MINNM), IS(FP_MAX), IS(FP_MIN),
        IS(FP_ABD), IS(SVE_FP_SCALE), IS(FP_MULX), {0}, REVERSED(FP_DIV), IS(FP_DIV),
    };
    return destructive(c, &codes[a->op], 0);
}

/* by 0.5 or 1, 0.5 or 2, 0 or 1 */
bool trans_sve_fbin_imm(ArmTrans *c, const ArgsEOp *a)
{
    static const Code codes[8] = {IS(FP_ADD), IS(FP_SUB), IS(FP_MUL), REVERSED(FP_SUB), IS(FP_MAXNM), IS(FP_MINNM),
                                  IS(FP_MAX), IS(FP_MIN)};
    static const uint64_t halves[4] = {0, 0x3800, 0x3f000000, UINT64_C(0x3fe0000000000000)};
    static const uint64_t ones[4] = {0, 0x3c00, 0x3f800000, UINT64_C(0x3ff0000000000000)};
    static const uint64_t twos[4] = {0, 0x4000, 0x40000000, UINT64_C(0x4000000000000000)};
    unsigned op = a->op & 7, second = sve_field(c, 5, 1), esz = sve_size(c);
    uint64_t v = op == 2 ? second ? twos[esz] : halves[esz] : second ? ones[esz] : op < 4 ? halves[esz] : 0;
    return destructive(c, &codes[op], ir_const(c->b, IR_I64, v));
}

bool trans_sve_festimate(ArmTrans *c, const ArgsEOp *a)
{
    ArmSve s = sve_describe(c, SVE_FP_ONE, sve_size(c));
    s.op = a->op & 1 ? FP_RSQRTE : FP_RECPE;
    s.imm = IR_RDYN;
    s.pg = SVE_NO_PG;
    return (a->op & 7) >= 6 && s.esz && sve_call(c, &s, 0, 0);
}

bool trans_sve_ftmad(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, SVE_FP_TMAD, sve_size(c));
    s.imm = (int)sve_field(c, 16, 3);
    return s.esz && sve_call(c, &s, 0, 0);
}

bool trans_sve_freduce(ArmTrans *c, const ArgsEOp *a)
{
    static const Code codes[8] = {IS(FP_ADD), {0}, {0}, {0}, IS(FP_MAXNM), IS(FP_MINNM), IS(FP_MAX), IS(FP_MIN)};
    ArmSve s = sve_describe(c, SVE_FP_REDUCE, sve_size(c));
    s.op = codes[a->op & 7].op;
    return codes[a->op & 7].there && s.esz && sve_call(c, &s, 0, 0);
}

bool trans_sve_fadda(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, SVE_FP_ADDA, sve_size(c));
    return s.esz && sve_call(c, &s, 0, 0);
}

static bool compare(ArmTrans *c, const Code *code, IrRef y)
{
    ArmSve s = sve_describe(c, SVE_FP_CMP, sve_size(c));
    s.op = code->op;
    s.rd &= 15;
    s.m = y ? SVE_M_VALUE : SVE_M_REG;
    return code->there && s.esz && sve_call(c, &s, 0, y);
}

bool trans_sve_fcmp(ArmTrans *c, const ArgsENone *a)
{
    static const Code codes[8] = {IS(FP_GE), IS(FP_GT), IS(FP_EQ), IS(SVE_FP_NE), IS(SVE_FP_UO), IS(FP_ACGE), {0}, IS(FP_ACGT)};
    return compare(c, &codes[sve_field(c, 15, 1) << 2 | sve_field(c, 13, 1) << 1 | sve_field(c, 4, 1)], 0);
}

bool trans_sve_fcmp_zero(ArmTrans *c, const ArgsEOp *a)
{
    static const Code codes[8] = {IS(FP_GE), IS(FP_GT), IS(FP_LT), IS(FP_LE), IS(FP_EQ), {0}, IS(SVE_FP_NE), {0}};
    return compare(c, &codes[(a->op & 3) << 1 | sve_field(c, 4, 1)], ir_const(c->b, IR_I64, 0));
}

/* FMLA FMLS FNMLA FNMLS add to zd; FMAD and the like multiply it */
bool trans_sve_fmla(ArmTrans *c, const ArgsEOp *a)
{
    ArmSve s = sve_describe(c, SVE_FP_MLA, sve_size(c));
    unsigned kind = sve_field(c, 13, 2);
    s.ra = s.rd;
    if (sve_field(c, 15, 1)) {
        s.ra = s.rm;
        s.rm = s.rn;
        s.rn = s.rd;
    }
    s.flags = (kind == 1 || kind == 2 ? SVE_NEGATIVE : 0) | (kind >= 2 ? SVE_SECOND : 0);
    return s.esz && sve_call(c, &s, 0, 0);
}

/* zm and its lane, of sizes as `...by element` have them */
static bool by_lane(ArmTrans *c, ArmSve *s)
{
    unsigned size = sve_size(c);
    s->esz = size < 2 ? 1 : (uint8_t)size;
    s->pg = SVE_NO_PG;
    s->m = SVE_M_LANE;
    s->imm = (int)(size == 3 ? sve_field(c, 20, 1) : sve_field(c, 19, 2) | (size == 1 ? 4 : 0));
    s->rm = (uint8_t)(size == 3 ? sve_field(c, 16, 4) : sve_field(c, 16, 3));
    return sve_call(c, s, 0, 0);
}

bool trans_sve_fmla_lane(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, SVE_FP_MLA, 1);
    s.ra = s.rd;
    s.flags = sve_field(c, 10, 1) ? SVE_NEGATIVE : 0;
    return by_lane(c, &s);
}

bool trans_sve_fmul_lane(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, SVE_FP_TWO, 1);
    s.op = FP_MUL;
    return by_lane(c, &s);
}

bool trans_sve_fcmla(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, SVE_FP_CMLA, sve_size(c));
    s.imm = (int)sve_field(c, 13, 2);
    s.ra = SVE_NO_PG;
    return s.esz && sve_call(c, &s, 0, 0);
}

bool trans_sve_fcmla_lane(ArmTrans *c, const ArgsENone *a)
{
    bool half = sve_size(c) == 2;
    ArmSve s = sve_describe(c, SVE_FP_CMLA, half ? 1 : 2);
    s.imm = (int)sve_field(c, 10, 2);
    s.ra = (uint8_t)(half ? sve_field(c, 19, 2) : sve_field(c, 20, 1));
    s.rm = (uint8_t)(half ? sve_field(c, 16, 3) : sve_field(c, 16, 4));
    s.pg = SVE_NO_PG;
    return sve_call(c, &s, 0, 0);
}

bool trans_sve_fcadd(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, SVE_FP_CADD, sve_size(c));
    s.imm = sve_field(c, 16, 1) ? 3 : 1;
    s.rm = s.rn;
    s.rn = s.rd;
    return s.esz && sve_call(c, &s, 0, 0);
}

/* ---- unary ones under a predicate --------------------------------------------------------------- */

static bool convert(ArmTrans *c, FpOp op, unsigned in, unsigned out, bool is_unsigned)
{
    ArmSve s = sve_describe(c, SVE_FP_CVT, MAX(in, out));
    s.op = (uint8_t)op;
    s.ra = (uint8_t)in;
    s.msz = (uint8_t)out;
    s.flags = is_unsigned ? SVE_UNSIGNED : 0;
    return sve_call(c, &s, 0, 0);
}

static bool one(ArmTrans *c, FpOp op, IrRound round)
{
    ArmSve s = sve_describe(c, SVE_FP_ONE, sve_size(c));
    s.op = (uint8_t)op;
    s.imm = round;
    return s.esz && sve_call(c, &s, 0, 0);
}

/* Sizes of the float and the integer of SCVTF and FCVTZS by bits 23:22 and 18:17; 0: none. */
static const struct { uint8_t real, integer; } sizes[16] = {
    [5] = {1, 1}, {1, 2}, {1, 3}, [10] = {2, 2}, [12] = {3, 2}, [14] = {2, 3}, {3, 3},
};

bool trans_sve_funary(ArmTrans *c, const ArgsEOp *a)
{
    static const IrRound rounds[8] = {IR_RNE, IR_RUP, IR_RDN, IR_RTZ, IR_RMM, 0, IR_RDYN, IR_RDYN};
    unsigned op = (unsigned)a->op, size = sve_size(c), key = size << 2 | (op >> 1 & 3);
    if (op < 8)
        return op != 5 && one(c, op == 6 ? FP_RINTX : FP_RINT, rounds[op]);
    if (op == 12)
        return one(c, FP_RECPX, IR_RDYN);
    if (op == 13)
        return one(c, FP_SQRT, IR_RDYN);
    if (op >= 8 && op < 12) {
        static const uint8_t in[16] = {[8] = 2, 1, 0, 0, 3, 1, 3, 2}, out[16] = {[8] = 1, 2, 0, 0, 1, 3, 2, 3};
        unsigned k = size << 2 | (op & 3);
        return in[k] && convert(c, FP_CONVERT, in[k], out[k], false);
    }
    if (op < 16 || !sizes[key].real)
        return false;
    /* FCVTZS of doubles to words is what SCVTF of words to doubles is the other way round */
    if (op < 24)
        return convert(c, FP_FROM_INT, sizes[key].integer, sizes[key].real, op & 1);
    unsigned real = sizes[key].real, integer = sizes[key].integer;
    return convert(c, FP_TO_INT, real, integer, op & 1);
}
