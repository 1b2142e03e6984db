/* SPDX-License-Identifier: MIT */
/* SVE, permutations of vectors and predicates, and moves of single lanes. */
#include "guest/arm/sve_priv.h"

#define DECODE_EXTERN
#define DECODE_TYPES_ONLY
#include "gen/guest/arm/a64_sve_int.inc"

bool trans_sve_ext(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, SVE_EXT, 0);
    s.imm = (int)(sve_field(c, 16, 5) << 3 | sve_field(c, 10, 3));
    return sve_call(c, &s, 0, 0);
}

bool trans_sve_dup_lane(ArmTrans *c, const ArgsENone *a)
{
    unsigned tsz = sve_size(c) << 5 | sve_field(c, 16, 5);
    if (!(tsz & 31))
        return false;
    ArmSve s = sve_describe(c, SVE_DUP_LANE, (unsigned)__builtin_ctz(tsz));
    s.imm = (int)(tsz >> (s.esz + 1));
    return sve_call(c, &s, 0, 0);
}

bool trans_sve_tbl(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, SVE_TBL, sve_size(c));
    return sve_call(c, &s, 0, 0);
}

/* DUP and INSR of scalars, REV, SUNPKLO and the like */
bool trans_sve_perm_one(ArmTrans *c, const ArgsEOp *a)
{
    ArmSve s = sve_describe(c, SVE_REV, sve_size(c));
    s.pg = SVE_NO_PG;
    switch (a->op) {
    case 0: s.fn = SVE_CPY; return sve_call(c, &s, arm_x_sp(c, s.rn), 0);
    case 4: s.fn = SVE_INSR; return sve_call(c, &s, arm_x(c, s.rn), 0);
    case 20: s.fn = SVE_INSR; return sve_call(c, &s, arm_v_low(c, s.rn), 0);
    case 24: return sve_call(c, &s, 0, 0);
    case 16: case 17: case 18: case 19:
        s.fn = SVE_UNPK;
        s.flags = (a->op & 1 ? SVE_SECOND : 0) | (a->op & 2 ? SVE_UNSIGNED : 0);
        return s.esz && sve_call(c, &s, 0, 0);
    default: return false;
    }
}

bool trans_sve_perm_two(ArmTrans *c, const ArgsENone *a)
{
    static const uint8_t fns[4] = {SVE_ZIP, SVE_UZP, SVE_TRN, 0};
    unsigned opc = sve_field(c, 10, 3);
    ArmSve s = sve_describe(c, (SveFn)fns[opc >> 1], sve_size(c));
    s.flags = opc & 1 ? SVE_SECOND : 0;
    return opc < 6 && sve_call(c, &s, 0, 0);
}

static ArmSve describe_p(const ArmTrans *c, SveFn fn, unsigned esz)
{
    ArmSve s = sve_describe(c, fn, esz);
    s.rd = sve_field(c, 0, 4);
    s.rn = sve_field(c, 5, 4);
    s.rm = sve_field(c, 16, 4);
    return s;
}

bool trans_sve_perm_p(ArmTrans *c, const ArgsENone *a)
{
    static const uint8_t fns[4] = {SVE_PZIP, SVE_PUZP, SVE_PTRN, 0};
    unsigned opc = sve_field(c, 10, 3);
    ArmSve s = describe_p(c, (SveFn)fns[opc >> 1], sve_size(c));
    s.flags = opc & 1 ? SVE_SECOND : 0;
    return opc < 6 && sve_call(c, &s, 0, 0);
}

bool trans_sve_rev_p(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = describe_p(c, SVE_PREV, sve_size(c));
    return sve_call(c, &s, 0, 0);
}

bool trans_sve_punpk(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = describe_p(c, SVE_PUNPK, 0);
    s.flags = sve_field(c, 16, 1) ? SVE_SECOND : 0;
    return sve_call(c, &s, 0, 0);
}

bool trans_sve_sel(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, SVE_SEL, sve_size(c));
    s.pg = sve_field(c, 10, 4);
    return sve_call(c, &s, 0, 0);
}

/* The general register, or the lowest lane of the V register, that is merged in. */
static bool clast(ArmTrans *c, ArmSve *s, bool vector)
{
    s->fn = SVE_CLAST;
    IrRef old = vector ? arm_get_lane(c, s->rd, s->esz, 0) : arm_x(c, s->rd), v = sve_call_helper(c, s, old, 0);
    if (vector)
        sve_put_v(c, s->rd, v);
    else
        arm_put(c, s->rd, v);
    return true;
}

static bool general(ArmTrans *c, ArmSve *s, unsigned op)
{
    switch (op) {
    case 0: case 1: /* LASTA, LASTB */
        s->fn = SVE_LAST;
        arm_put(c, s->rd, sve_call_helper(c, s, 0, 0));
        return true;
    case 8: s->fn = SVE_CPY; return sve_call(c, s, arm_x_sp(c, s->rn), 0);
    case 16: case 17: return clast(c, s, false);
    default: return false;
    }
}

bool trans_sve_perm_pred(ArmTrans *c, const ArgsEOp *a)
{
    ArmSve s = sve_describe(c, SVE_TWO, sve_size(c));
    unsigned op = (unsigned)a->op;
    static const uint8_t turns[4] = {SVE_REVB, SVE_REVH, SVE_REVW, SVE_RBIT};
    s.flags = op & 1 ? SVE_SECOND : 0;
    if (sve_field(c, 13, 1))
        return general(c, &s, op);
    switch (op) {
    case 0:
        s.fn = SVE_CPY;
        return sve_call(c, &s, arm_v_low(c, s.rn), 0);
    case 1:
        s.fn = SVE_COMPACT;
        return s.esz >= 2 && sve_call(c, &s, 0, 0);
    case 2: case 3:
        s.fn = SVE_LAST;
        sve_put_v(c, s.rd, sve_call_helper(c, &s, 0, 0));
        return true;
    case 4: case 5: case 6: case 7:
        s.op = turns[op - 4];
        s.flags = 0;
        return sve_has_op((SveOp)s.op, s.esz) && sve_call(c, &s, 0, 0);
    case 8: case 9:
        s.fn = SVE_CLAST_Z;
        return sve_call(c, &s, 0, 0);
    case 10: case 11: return clast(c, &s, true);
    case 12:
        s.fn = SVE_SPLICE;
        return sve_call(c, &s, 0, 0);
    default: return false;
    }
}
