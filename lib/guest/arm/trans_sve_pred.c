/* SPDX-License-Identifier: MIT */
/*
 * SVE, predicates: comparisons, loops, counts. Where a predicate has at most 64 bits (vectors of up to
 * 64 bytes) what loops are made of is done by the IR.
 */
#include "guest/arm/sve_priv.h"

#define DECODE_EXTERN
#define DECODE_TYPES_ONLY
#include "gen/guest/arm/a64_sve_int.inc"

/* ---- predicates of at most 64 bits --------------------------------------------------------- */

/* Its bits, with those beyond the vector length as they may be. */
IrRef sve_ir_p(ArmTrans *c, unsigned n)
{
    return ir_get(c->b, SLOT_P + n);
}

/* The bits that count for lanes of a size. */
static uint64_t lane_bits(const ArmTrans *c, unsigned esz)
{
    unsigned bytes = sve_vl(c);
    return sve_every(esz) & (bytes >= 64 ? UINT64_MAX : bits_mask(bytes));
}

static IrRef and_imm(ArmTrans *c, IrRef x, uint64_t mask) { return ir_binary_imm(c->b, IR_AND, x, (int64_t)mask); }

/* NZCV of r within g: first active, none, not last. */
void sve_ir_nzcv(ArmTrans *c, IrRef g, IrRef r)
{
    IrBuilder *b = c->b;
    IrRef zero = ir_const(b, IR_I64, 0), lowest = ir_binary(b, IR_AND, g, ir_unary(b, IR_NEG, IR_I64, g));
    IrRef first = ir_cmp(b, IR_NE, ir_binary(b, IR_AND, r, lowest), zero);
    IrRef last = ir_cmp(b, IR_GTU, r, ir_binary(b, IR_XOR, g, r)); /* r is within g */
    IrRef flags = ir_select(b, ir_cmp(b, IR_EQ, r, zero), ir_const(b, IR_I32, IR_FLAG_Z), ir_const(b, IR_I32, 0));
    flags = ir_binary(b, IR_OR, flags, ir_select(b, first, ir_const(b, IR_I32, IR_FLAG_S), ir_const(b, IR_I32, 0)));
    flags = ir_binary(b, IR_OR, flags, ir_select(b, last, ir_const(b, IR_I32, 0), ir_const(b, IR_I32, IR_FLAG_C)));
    ir_put(b, SLOT_FLAGS, ir_unary(b, IR_FLAGS_PACK, IR_FLAGS, flags));
}

static void put_p(ArmTrans *c, unsigned n, IrRef v)
{
    ir_put(c->b, SLOT_P + n, v);
}

/* Registers of predicate instructions. */
static ArmSve describe(const ArmTrans *c, SveFn fn, unsigned esz)
{
    ArmSve s = sve_describe(c, fn, esz);
    s.rd = sve_field(c, 0, 4);
    s.rn = sve_field(c, 5, 4);
    s.rm = sve_field(c, 16, 4);
    s.pg = sve_field(c, 10, 4);
    return s;
}

/* ---- comparisons ------------------------------------------------------------------------------ */

bool trans_sve_cmp(ArmTrans *c, const ArgsENone *a)
{
    /* by bits 15 to 13 and 4; odd ones of the first six and all of the last are against doublewords */
    static const struct { uint8_t op; bool wide; } kinds[16] = {
        {SVE_HS, 0}, {SVE_HI, 0}, {SVE_EQ, 1}, {SVE_NE, 1}, {SVE_GE, 1}, {SVE_GT, 1}, {SVE_LT, 1}, {SVE_LE, 1},
        {SVE_GE, 0}, {SVE_GT, 0}, {SVE_EQ, 0}, {SVE_NE, 0}, {SVE_HS, 1}, {SVE_HI, 1}, {SVE_LO, 1}, {SVE_LS, 1},
    };
    unsigned kind = sve_field(c, 13, 3) << 1 | sve_field(c, 4, 1);
    ArmSve s = sve_describe(c, SVE_CMP, sve_size(c));
    s.rd &= 15;
    s.op = kinds[kind].op;
    s.m = kinds[kind].wide ? SVE_M_WIDE : SVE_M_REG;
    return !(kinds[kind].wide && s.esz == 3) && sve_call(c, &s, 0, 0);
}

static bool compare_imm(ArmTrans *c, SveOp op, int imm)
{
    ArmSve s = sve_describe(c, SVE_CMP, sve_size(c));
    s.rd &= 15;
    s.op = (uint8_t)op;
    s.m = SVE_M_IMM;
    s.imm = imm;
    return sve_call(c, &s, 0, 0);
}

bool trans_sve_cmp_uimm(ArmTrans *c, const ArgsENone *a)
{
    static const uint8_t ops[4] = {SVE_HS, SVE_HI, SVE_LO, SVE_LS};
    return compare_imm(c, (SveOp)ops[sve_field(c, 13, 1) << 1 | sve_field(c, 4, 1)], (int)sve_field(c, 14, 7));
}

bool trans_sve_cmp_simm(ArmTrans *c, const ArgsENone *a)
{
    static const uint8_t ops[8] = {SVE_GE, SVE_GT, SVE_LT, SVE_LE, SVE_EQ, SVE_NE};
    unsigned kind = sve_field(c, 15, 1) << 2 | sve_field(c, 13, 1) << 1 | sve_field(c, 4, 1);
    return kind < 6 && compare_imm(c, (SveOp)ops[kind], (int)bits_sext(sve_field(c, 16, 5), 5));
}

/* ---- logic -------------------------------------------------------------------------------------- */

bool trans_sve_plogic(ArmTrans *c, const ArgsENone *a)
{
    IrBuilder *b = c->b;
    ArmSve s = describe(c, SVE_PLOGIC, 0);
    bool sets = sve_field(c, 22, 1);
    s.op = (uint8_t)(sve_field(c, 23, 1) << 2 | sve_field(c, 9, 1) << 1 | sve_field(c, 4, 1));
    s.flags = sets ? SVE_SETS : 0;
    if (s.op == 3 && sets)
        return false;
    if (!sve_short(c))
        return sve_call(c, &s, 0, 0);
    IrRef n = sve_ir_p(c, s.rn), m = sve_ir_p(c, s.rm), g = and_imm(c, sve_ir_p(c, s.pg), lane_bits(c, 0)), r;
    switch (s.op) {
    case 0: r = ir_binary(b, IR_AND, n, m); break;
    case 1: r = ir_binary(b, IR_ANDN, n, m); break;
    case 2: r = ir_binary(b, IR_XOR, n, m); break;
    case 3: /* SEL */
        r = ir_binary(b, IR_OR, ir_binary(b, IR_AND, n, g), ir_binary(b, IR_ANDN, m, g));
        put_p(c, s.rd, r);
        return true;
    case 4: r = ir_binary(b, IR_OR, n, m); break;
    case 5: r = ir_binary(b, IR_OR, n, ir_unary(b, IR_NOT, IR_I64, m)); break;
    case 6: r = ir_unary(b, IR_NOT, IR_I64, ir_binary(b, IR_OR, n, m)); break;
    default: r = ir_unary(b, IR_NOT, IR_I64, ir_binary(b, IR_AND, n, m)); break;
    }
    r = ir_binary(b, IR_AND, r, g);
    put_p(c, s.rd, r);
    if (sets)
        sve_ir_nzcv(c, g, r);
    return true;
}

bool trans_sve_brkp(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = describe(c, SVE_BRKP, 0);
    s.flags = (sve_field(c, 22, 1) ? SVE_SETS : 0) | (sve_field(c, 4, 1) ? SVE_SECOND : 0);
    return sve_call(c, &s, 0, 0);
}

bool trans_sve_brk(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = describe(c, SVE_BRK, 0);
    bool sets = sve_field(c, 22, 1), merges = sve_field(c, 4, 1);
    s.flags = (sets ? SVE_SETS : 0) | (sve_field(c, 23, 1) ? SVE_SECOND : 0) | (merges ? 0 : SVE_ZERO);
    return !(sets && merges) && sve_call(c, &s, 0, 0);
}

bool trans_sve_brkn(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = describe(c, SVE_BRKN, 0);
    s.flags = sve_field(c, 22, 1) ? SVE_SETS : 0;
    return sve_call(c, &s, 0, 0);
}

bool trans_sve_ptest(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = describe(c, SVE_PTEST, 0);
    if (!sve_short(c))
        return sve_call(c, &s, 0, 0);
    IrRef g = and_imm(c, sve_ir_p(c, s.pg), lane_bits(c, 0));
    sve_ir_nzcv(c, g, ir_binary(c->b, IR_AND, g, sve_ir_p(c, s.rn)));
    return true;
}

/* PFIRST and PNEXT are governed by the register at 8:5 */
static bool first_next(ArmTrans *c, SveFn fn, unsigned esz)
{
    ArmSve s = describe(c, fn, esz);
    s.pg = sve_field(c, 5, 4);
    s.flags = SVE_SETS;
    return sve_call(c, &s, 0, 0);
}

bool trans_sve_pfirst(ArmTrans *c, const ArgsENone *a)
{
    return first_next(c, SVE_PFIRST, 0);
}

bool trans_sve_pnext(ArmTrans *c, const ArgsENone *a)
{
    return first_next(c, SVE_PNEXT, sve_size(c));
}

static bool ptrue(ArmTrans *c, unsigned esz, unsigned pattern, bool sets)
{
    ArmSve s = describe(c, SVE_PTRUE, esz);
    unsigned lanes = sve_lanes(&s), count = pattern == 32 ? 0 : sve_pattern(pattern, lanes), at = count << esz;
    s.imm = (int)pattern;
    s.flags = sets ? SVE_SETS : 0;
    if (!sve_short(c))
        return sve_call(c, &s, 0, 0);
    put_p(c, s.rd, ir_const(c->b, IR_I64, sve_every(esz) & (at >= 64 ? UINT64_MAX : bits_mask(at))));
    if (sets) /* all that is true counts as active */
        ir_put(c->b, SLOT_FLAGS, arm_nzcv_const(c, count ? 8 : 6));
    return true;
}

bool trans_sve_ptrue(ArmTrans *c, const ArgsENone *a)
{
    return ptrue(c, sve_size(c), sve_field(c, 5, 5), sve_field(c, 16, 1));
}

bool trans_sve_pfalse(ArmTrans *c, const ArgsENone *a)
{
    return ptrue(c, 0, 32, false);
}

bool trans_sve_rdffr(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = describe(c, SVE_RDFFR, 0);
    s.pg = sve_field(c, 5, 4);
    s.flags = sve_field(c, 22, 1) ? SVE_SETS : 0;
    return sve_call(c, &s, 0, 0);
}

bool trans_sve_rdffr_all(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = describe(c, SVE_RDFFR, 0);
    s.pg = SVE_NO_PG;
    return sve_call(c, &s, 0, 0);
}

bool trans_sve_wrffr(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = describe(c, SVE_WRFFR, 0);
    return sve_call(c, &s, 0, 0);
}

bool trans_sve_setffr(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = describe(c, SVE_SETFFR, 0);
    return sve_call(c, &s, 0, 0);
}

/* ---- loops ------------------------------------------------------------------------------------------ */

static IrRef operand(ArmTrans *c, unsigned n, bool sf, bool u)
{
    if (sf)
        return arm_x(c, (int)n);
    IrRef x = arm_r(c, 0, (int)n);
    return u ? ir_zext(c->b, IR_I64, x) : ir_sext(c->b, IR_I64, x);
}

/* x < y by the IR: the first y - x lanes */
static void while_less(ArmTrans *c, const ArmSve *s, IrRef x, IrRef y, bool u)
{
    IrBuilder *b = c->b;
    IrRef lanes = ir_const(b, IR_I64, sve_lanes(s)), zero = ir_const(b, IR_I64, 0);
    IrRef left = ir_binary(b, IR_SUB, y, x), some = ir_cmp(b, u ? IR_LTU : IR_LT, x, y);
    IrRef less = ir_cmp(b, IR_LTU, left, lanes);
    IrRef n = ir_select(b, some, ir_select(b, less, left, lanes), zero);
    IrRef at = ir_binary_imm(b, IR_SHL, n, s->esz), one = ir_const(b, IR_I64, 1), mask;
    if (sve_vl(c) == 64) { /* in two steps, since a shift by 64 is none */
        IrRef half = ir_binary_imm(b, IR_SHR, at, 1);
        mask = ir_binary(b, IR_SHL, ir_binary(b, IR_SHL, one, half), ir_binary(b, IR_SUB, at, half));
    } else {
        mask = ir_binary(b, IR_SHL, one, at);
    }
    mask = and_imm(c, ir_binary_imm(b, IR_SUB, mask, 1), sve_every(s->esz));
    IrRef c_flag = ir_select(b, ir_cmp(b, IR_LTU, n, lanes), ir_const(b, IR_I32, IR_FLAG_S | IR_FLAG_C),
                             ir_const(b, IR_I32, IR_FLAG_S));
    IrRef flags = ir_select(b, some, c_flag, ir_const(b, IR_I32, IR_FLAG_Z | IR_FLAG_C));
    put_p(c, s->rd, mask);
    ir_put(b, SLOT_FLAGS, ir_unary(b, IR_FLAGS_PACK, IR_FLAGS, flags));
}

bool trans_sve_while(ArmTrans *c, const ArgsENone *a)
{
    bool sf = sve_field(c, 12, 1), u = sve_field(c, 11, 1);
    ArmSve s = describe(c, SVE_WHILE, sve_size(c));
    s.op = (uint8_t)sve_field(c, 4, 1);
    s.flags = SVE_SETS | (u ? SVE_UNSIGNED : 0);
    s.imm = sf ? 64 : 32;
    IrRef x = operand(c, sve_field(c, 5, 5), sf, u), y = operand(c, sve_field(c, 16, 5), sf, u);
    if (!sve_short(c) || s.op)
        return sve_call(c, &s, x, y);
    while_less(c, &s, x, y, u);
    return true;
}

/* N says that the condition holds; else V is the inverse of C */
bool trans_sve_cterm(ArmTrans *c, const ArgsENone *a)
{
    IrBuilder *b = c->b;
    int sf = (int)sve_field(c, 22, 1);
    IrRef is = ir_cmp(b, sve_field(c, 4, 1) ? IR_NE : IR_EQ, arm_r(c, sf, (int)sve_field(c, 5, 5)), arm_r(c, sf, (int)sve_field(c, 16, 5)));
    IrRef old = ir_unary(b, IR_FLAGS_BITS, IR_I32, ir_get(b, SLOT_FLAGS));
    IrRef kept = ir_binary_imm(b, IR_AND, old, IR_FLAG_Z | IR_FLAG_C);
    IrRef v = ir_select(b, ir_cmp(b, IR_EQ, ir_binary_imm(b, IR_AND, old, IR_FLAG_C), ir_const(b, IR_I32, 0)),
                        ir_const(b, IR_I32, IR_FLAG_O), ir_const(b, IR_I32, 0));
    IrRef flags = ir_binary(b, IR_OR, kept, ir_select(b, is, ir_const(b, IR_I32, IR_FLAG_S), v));
    ir_put(b, SLOT_FLAGS, ir_unary(b, IR_FLAGS_PACK, IR_FLAGS, flags));
    return true;
}

/* ---- counts -------------------------------------------------------------------------------------------- */

bool trans_sve_addvl(ArmTrans *c, const ArgsEOp *a)
{
    int64_t unit = sve_field(c, 22, 1) ? sve_vl(c) / 8 : sve_vl(c);
    arm_put_sp(c, (int)sve_field(c, 0, 5), ir_binary_imm(c->b, IR_ADD, arm_x_sp(c, a->op), unit * bits_sext(sve_field(c, 5, 6), 6)));
    return true;
}

bool trans_sve_rdvl(ArmTrans *c, const ArgsENone *a)
{
    arm_put(c, (int)sve_field(c, 0, 5), ir_const(c->b, IR_I64, (uint64_t)(sve_vl(c) * bits_sext(sve_field(c, 5, 6), 6))));
    return true;
}

/* x + or - amount, saturated: of 32 or 64 bits */
static bool saturate(ArmTrans *c, bool wide, bool u, bool negative, IrRef amount)
{
    ArmSve s = sve_describe(c, SVE_SAT_ADD, 0);
    s.imm = wide ? 64 : 32;
    s.flags = (u ? SVE_UNSIGNED : 0) | (negative ? SVE_NEGATIVE : 0);
    arm_put(c, s.rd, sve_call_helper(c, &s, arm_x(c, s.rd), amount));
    return true;
}

/* CNTB and the like, and what is added or subtracted by them */
bool trans_sve_count(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, SVE_TWO, sve_size(c));
    unsigned kind = sve_field(c, 12, 2), d = sve_field(c, 11, 1), u = sve_field(c, 10, 1), high = sve_field(c, 20, 1);
    unsigned count = sve_pattern(sve_field(c, 5, 5), sve_lanes(&s)) * (sve_field(c, 16, 4) + 1);
    IrRef amount = ir_const(c->b, IR_I64, count);
    switch (kind) {
    case 2:
        if (d || (u && !high))
            return false;
        if (!high)
            arm_put(c, s.rd, amount);
        else
            arm_put(c, s.rd, ir_binary(c->b, u ? IR_SUB : IR_ADD, arm_x(c, s.rd), amount));
        return true;
    case 3: return saturate(c, high, u, d, amount);
    case 0:
        if (!s.esz || (high && d))
            return false;
        s.pg = SVE_NO_PG;
        s.rn = s.rd;
        s.m = SVE_M_VALUE;
        if (high)
            s.op = u ? SVE_SUB : SVE_ADD;
        else
            s.op = d ? u ? SVE_UQSUB : SVE_SQSUB : u ? SVE_UQADD : SVE_SQADD;
        return sve_call(c, &s, 0, amount);
    default: return false;
    }
}

/* Active lanes of pg that are true in pn. */
static IrRef count_p(ArmTrans *c, unsigned pg, unsigned pn, unsigned esz)
{
    ArmSve s = sve_describe(c, SVE_CNTP, esz);
    s.pg = (uint8_t)pg;
    s.rn = (uint8_t)pn;
    if (!sve_short(c))
        return sve_call_helper(c, &s, 0, 0);
    IrRef r = ir_binary(c->b, IR_AND, sve_ir_p(c, pg), sve_ir_p(c, pn));
    return ir_unary(c->b, IR_POPCNT, IR_I64, and_imm(c, r, lane_bits(c, esz)));
}

bool trans_sve_cntp(ArmTrans *c, const ArgsENone *a)
{
    arm_put(c, (int)sve_field(c, 0, 5), count_p(c, sve_field(c, 10, 4), sve_field(c, 5, 4), sve_size(c)));
    return true;
}

/* INCP, DECP; without bit 18 saturating: of vectors or general registers */
bool trans_sve_incp(ArmTrans *c, const ArgsENone *a)
{
    ArmSve s = sve_describe(c, SVE_TWO, sve_size(c));
    bool plain = sve_field(c, 18, 1), scalar = sve_field(c, 11, 1), d = sve_field(c, 17, 1), u = sve_field(c, 16, 1);
    bool sf = sve_field(c, 10, 1);
    if (sve_field(c, 9, 1) || (plain && (sf || d)) || (!scalar && (sf || !s.esz)))
        return false;
    IrRef n = count_p(c, sve_field(c, 5, 4), sve_field(c, 5, 4), s.esz);
    if (scalar && !plain)
        return saturate(c, sf, u, d, n);
    if (scalar) {
        arm_put(c, s.rd, ir_binary(c->b, u ? IR_SUB : IR_ADD, arm_x(c, s.rd), n));
        return true;
    }
    s.pg = SVE_NO_PG;
    s.rn = s.rd;
    s.m = SVE_M_VALUE;
    if (plain)
        s.op = u ? SVE_SUB : SVE_ADD;
    else
        s.op = d ? u ? SVE_UQSUB : SVE_SQSUB : u ? SVE_UQADD : SVE_SQADD;
    return sve_call(c, &s, 0, n);
}
