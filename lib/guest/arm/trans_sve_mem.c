/* SPDX-License-Identifier: MIT */
/* SVE, loads and stores: addresses, and the description of what is accessed for its helper. */
#include "guest/arm/sve_priv.h"

#define DECODE_EXTERN
#define DECODE_TYPES_ONLY
#include "gen/guest/arm/a64_sve_mem.inc"

static IrRef base_of(ArmTrans *c) { return arm_x_sp(c, (int)sve_field(c, 5, 5)); }

/* base + imm */
static IrRef at_imm(ArmTrans *c, ArmSve *s, int64_t imm)
{
    if (sve_field(c, 5, 5) == 31)
        s->flags |= SVE_UNCHECKED;
    return ir_binary_imm(c->b, IR_ADD, base_of(c), imm);
}

/* base + Xm << log2 */
static IrRef at_reg(ArmTrans *c, unsigned log2)
{
    return ir_binary(c->b, IR_ADD, base_of(c), ir_binary_imm(c->b, IR_SHL, arm_x(c, (int)sve_field(c, 16, 5)), log2));
}

static bool no_index(const ArmTrans *c) { return sve_field(c, 16, 5) == ZR; }

/* What dtype of LD1 says: sizes in memory and in the register. */
static ArmSve describe_ld(const ArmTrans *c, SveFn fn, unsigned dtype)
{
    static const uint8_t msz[16] = {0, 0, 0, 0, 2 | 8, 1, 1, 1, 1 | 8, 1 | 8, 2, 2, 0 | 8, 0 | 8, 0 | 8, 3};
    static const uint8_t esz[16] = {0, 1, 2, 3, 3, 1, 2, 3, 3, 2, 2, 3, 3, 2, 1, 3};
    ArmSve s = sve_describe(c, fn, esz[dtype]);
    s.msz = msz[dtype];
    s.op = 1;
    return s;
}

/* Bytes in memory of a whole register. */
static int64_t span(const ArmTrans *c, const ArmSve *s) { return sve_vl(c) >> (s->esz - (s->msz & 7)); }

bool trans_sve_ld1(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = describe_ld(c, SVE_LD, sve_field(c, 21, 4));
    return !no_index(c) && sve_call(c, &s, at_reg(c, s.msz & 7), 0);
}

bool trans_sve_ldff1(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = describe_ld(c, SVE_LD, sve_field(c, 21, 4));
    s.flags = SVE_FIRST_FAULT;
    return sve_call(c, &s, at_reg(c, s.msz & 7), 0);
}

bool trans_sve_ld1_imm(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = describe_ld(c, SVE_LD, sve_field(c, 21, 4));
    s.flags = sve_field(c, 20, 1) ? SVE_NO_FAULT : 0;
    return sve_call(c, &s, at_imm(c, &s, span(c, &s) * bits_sext(sve_field(c, 16, 4), 4)), 0);
}

/* LDNT1, LD2 to LD4, STNT1, ST2 to ST4 */
static bool several(ArmTrans *c, SveFn fn, bool imm)
{
    ArmSve s = sve_describe(c, fn, sve_field(c, 23, 2));
    s.msz = s.esz;
    s.op = (uint8_t)(sve_field(c, 21, 2) + 1);
    if (imm)
        return sve_call(c, &s, at_imm(c, &s, (int64_t)sve_vl(c) * s.op * bits_sext(sve_field(c, 16, 4), 4)), 0);
    return !no_index(c) && sve_call(c, &s, at_reg(c, s.msz), 0);
}

bool trans_sve_ldn(ArmTrans *c, const ArgsENone *a) { return several(c, SVE_LD, false); }
bool trans_sve_ldn_imm(ArmTrans *c, const ArgsENone *a) { return several(c, SVE_LD, true); }
bool trans_sve_stn(ArmTrans *c, const ArgsENone *a) { return several(c, SVE_ST, false); }
bool trans_sve_stn_imm(ArmTrans *c, const ArgsENone *a) { return several(c, SVE_ST, true); }

static bool st1(ArmTrans *c, bool imm)
{
    ArmSve s = sve_describe(c, SVE_ST, sve_field(c, 21, 2));
    s.msz = (uint8_t)sve_field(c, 23, 2);
    s.op = 1;
    if (s.msz > s.esz)
        return false;
    if (imm)
        return sve_call(c, &s, at_imm(c, &s, span(c, &s) * bits_sext(sve_field(c, 16, 4), 4)), 0);
    return !no_index(c) && sve_call(c, &s, at_reg(c, s.msz), 0);
}

bool trans_sve_st1(ArmTrans *c, const ArgsENone *a) { return st1(c, false); }
bool trans_sve_st1_imm(ArmTrans *c, const ArgsENone *a) { return st1(c, true); }

bool trans_sve_ld1r(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = describe_ld(c, SVE_LD_ALL, sve_field(c, 23, 2) << 2 | sve_field(c, 13, 2));
    s.flags = SVE_ZERO;
    return sve_call(c, &s, at_imm(c, &s, (int64_t)sve_field(c, 16, 6) << (s.msz & 7)), 0);
}

static ArmSve describe_quad(const ArmTrans *c)
{
    ArmSve s = sve_describe(c, SVE_LD_ALL, sve_field(c, 23, 2));
    s.msz = s.esz;
    s.imm = 16;
    return s;
}

bool trans_sve_ld1rq(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = describe_quad(c);
    return !no_index(c) && sve_call(c, &s, at_reg(c, s.msz), 0);
}

bool trans_sve_ld1rq_imm(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = describe_quad(c);
    return sve_call(c, &s, at_imm(c, &s, 16 * bits_sext(sve_field(c, 16, 4), 4)), 0);
}

/* ---- LDR, STR: whole registers ---------------------------------------------------------- */

static bool whole(ArmTrans *c, SveFn fn, bool predicate)
{
    ArmSve s = sve_describe(c, fn, 0);
    int64_t imm = bits_sext(sve_field(c, 16, 6) << 3 | sve_field(c, 10, 3), 9);
    return sve_call(c, &s, at_imm(c, &s, imm * (sve_vl(c) / (predicate ? 8 : 1))), 0);
}

bool trans_sve_ldr_p(ArmTrans *c, const ArgsENone *a) { return whole(c, SVE_LDP, true); }
bool trans_sve_ldr_z(ArmTrans *c, const ArgsENone *a) { return whole(c, SVE_LDR, false); }
bool trans_sve_str_p(ArmTrans *c, const ArgsENone *a) { return whole(c, SVE_STP, true); }
bool trans_sve_str_z(ArmTrans *c, const ArgsENone *a) { return whole(c, SVE_STR, false); }

/* ---- gather and scatter --------------------------------------------------------------------- */

/* How offsets are extended. */
enum { WHOLE, UXTW, SXTW };

/* A load of size 24:23 into lanes of esz: U is bit 14, first-fault bit 13; false: there is none. */
static bool gather(ArmTrans *c, unsigned esz, ArmSve *s)
{
    unsigned msz = sve_field(c, 23, 2), u = sve_field(c, 14, 1);
    *s = sve_describe(c, SVE_GATHER, esz);
    s->msz = (uint8_t)(msz | (u ? 0 : 8));
    s->flags = sve_field(c, 13, 1) ? SVE_FIRST_FAULT : 0;
    return msz <= esz && (u || msz < esz);
}

bool trans_sve_gather_s(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s;
    if (!gather(c, 2, &s))
        return false;
    s.m = sve_field(c, 22, 1) ? SXTW : UXTW;
    s.imm = sve_field(c, 21, 1) ? s.msz & 7 : 0;
    return sve_call(c, &s, base_of(c), 0);
}

bool trans_sve_gather_d(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s;
    bool scaled = sve_field(c, 21, 1);
    if (!gather(c, 3, &s) || (scaled && !(s.msz & 7)))
        return false;
    s.m = sve_field(c, 22, 1) ? SXTW : UXTW;
    s.imm = scaled ? s.msz & 7 : 0;
    return sve_call(c, &s, base_of(c), 0);
}

bool trans_sve_gather_d64(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s;
    bool scaled = sve_field(c, 21, 1);
    if (!gather(c, 3, &s) || (scaled && !(s.msz & 7)))
        return false;
    s.m = WHOLE;
    s.imm = scaled ? s.msz & 7 : 0;
    return sve_call(c, &s, base_of(c), 0);
}

/* Addresses are the lanes of zn, plus an immediate. */
static bool from_vector(ArmTrans *c, ArmSve *s)
{
    s->rm = s->rn;
    s->m = s->esz == 2 ? UXTW : WHOLE;
    return sve_call(c, s, ir_const(c->b, IR_I64, (uint64_t)sve_field(c, 16, 5) << (s->msz & 7)), 0);
}

bool trans_sve_gather_vec(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s;
    return gather(c, sve_field(c, 30, 1) ? 3 : 2, &s) && from_vector(c, &s);
}

bool trans_sve_scatter(ArmTrans *c, const ArgsENone *a)
{
    bool scaled = sve_field(c, 21, 1);
    ArmSve s = sve_describe(c, SVE_SCATTER, sve_field(c, 22, 1) ? 2 : 3);
    s.msz = (uint8_t)sve_field(c, 23, 2);
    s.m = sve_field(c, 14, 1) ? SXTW : UXTW;
    s.imm = scaled ? s.msz : 0;
    return s.msz <= s.esz && (!scaled || s.msz) && sve_call(c, &s, base_of(c), 0);
}

bool trans_sve_scatter64(ArmTrans *c, const ArgsENone *a)
{
    unsigned kind = sve_field(c, 21, 2);
    ArmSve s = sve_describe(c, SVE_SCATTER, kind == 3 ? 2 : 3);
    s.msz = (uint8_t)sve_field(c, 23, 2);
    if (s.msz > s.esz)
        return false;
    if (kind >= 2)
        return from_vector(c, &s);
    s.m = WHOLE;
    s.imm = kind ? s.msz : 0;
    return (!kind || s.msz) && sve_call(c, &s, base_of(c), 0);
}

/* ---- prefetches do nothing -------------------------------------------------------------------- */

bool trans_sve_prf(ArmTrans *c, const ArgsENone *a)
{
    return true;
}

bool trans_sve_prf_reg(ArmTrans *c, const ArgsENone *a)
{
    return !no_index(c);
}
