/* SPDX-License-Identifier: MIT */
/*
 * SVE with vectors of 16 bytes: Z registers are V registers then, and most of what loops are made of is done
 * by the vector operations of the IR. A governing predicate becomes a mask of lanes; for floating point,
 * operands of inactive lanes are zeros (divisors ones), so that no flag comes of them.
 */
#include "guest/arm/simd_priv.h"
#include "guest/arm/sve_priv.h"

static IrRef vec(ArmTrans *c, IrCode code, unsigned log2, IrRef x, IrRef y)
{
    return ir_vector(c->b, code, log2, x, y);
}

static IrRef invert(ArmTrans *c, IrRef v)
{
    return vec(c, IR_VXOR, 0, v, ir_vconst(c->b, UINT64_MAX, UINT64_MAX));
}

static uint64_t lane_bits(unsigned esz) { return sve_every(esz) & 0xffff; }

/* Active lanes all ones; 0: all are active. */
static IrRef mask_of(ArmTrans *c, const ArmSve *s)
{
    IrRef p = s->pg == SVE_NO_PG ? 0 : sve_ir_p(c, s->pg);
    if (!p || (c->b->ops[p].code == IR_CONST && !(lane_bits(s->esz) & ~(uint64_t)c->b->ops[p].imm)))
        return 0;
    return sve_ir_mask(c, s);
}

IrRef sve_ir_mask(ArmTrans *c, const ArmSve *s)
{
    /* for each byte the bit of its lane in eight bits of the predicate */
    static const uint64_t bits[4] = {0x8040201008040201, 0x4040101004040101, 0x1010101001010101, 0x0101010101010101};
    IrBuilder *b = c->b;
    IrRef p = sve_ir_p(c, s->pg), which = ir_vconst(b, bits[s->esz], bits[s->esz]);
    p = ir_vsplat(b, ir_trunc(b, IR_I16, p));
    p = vec(c, IR_VSHUFFLE, 0, p, ir_vconst(b, 0, 0x0101010101010101)); /* eight times each byte */
    return vec(c, IR_VCMPEQ, 0, vec(c, IR_VAND, 0, p, which), which);
}

/* yes where m is set; m 0: everywhere */
static IrRef blend(ArmTrans *c, IrRef m, IrRef yes, IrRef no)
{
    return m ? vec(c, IR_VOR, 0, vec(c, IR_VAND, 0, yes, m), vec(c, IR_VANDN, 0, no, m)) : yes;
}

static bool put(ArmTrans *c, const ArmSve *s, IrRef m, IrRef r)
{
    if (m && s->flags & SVE_ZERO)
        r = vec(c, IR_VAND, 0, r, m);
    else if (m)
        r = blend(c, m, r, arm_v(c, s->rd));
    arm_put_vector(c, s->rd, r);
    return true;
}

/* The second operand; 0: not here. */
static IrRef operand(ArmTrans *c, const ArmSve *s, IrRef y)
{
    static const IrType types[] = {IR_I8, IR_I16, IR_I32, IR_I64};
    switch ((SveM)s->m) {
    case SVE_M_REG: return arm_v(c, s->rm);
    case SVE_M_IMM: return arm_splat_const(c, s->esz, (uint64_t)(int64_t)s->imm);
    case SVE_M_VALUE: return ir_vsplat(c->b, ir_trunc(c->b, types[s->esz], y));
    case SVE_M_LANE: return arm_splat_lane(c, arm_v(c, s->rm), s->esz, (unsigned)s->imm);
    default: return 0;
    }
}

/* ---- integers ----------------------------------------------------------------------------- */

static IrRef greater(ArmTrans *c, unsigned log2, bool u, IrRef x, IrRef y)
{
    if (u) {
        IrRef sign = arm_splat_const(c, log2, UINT64_C(1) << ((8u << log2) - 1));
        x = vec(c, IR_VXOR, 0, x, sign);
        y = vec(c, IR_VXOR, 0, y, sign);
    }
    return vec(c, IR_VCMPGT, log2, x, y);
}

/* Lanes all ones where the relation holds; 0: op is none. */
static IrRef relation(ArmTrans *c, SveOp op, unsigned log2, IrRef x, IrRef y)
{
    switch (op) {
    case SVE_EQ: return vec(c, IR_VCMPEQ, log2, x, y);
    case SVE_NE: return invert(c, vec(c, IR_VCMPEQ, log2, x, y));
    case SVE_GT: return greater(c, log2, false, x, y);
    case SVE_GE: return invert(c, greater(c, log2, false, y, x));
    case SVE_LT: return greater(c, log2, false, y, x);
    case SVE_LE: return invert(c, greater(c, log2, false, x, y));
    case SVE_HI: return greater(c, log2, true, x, y);
    case SVE_HS: return invert(c, greater(c, log2, true, y, x));
    case SVE_LO: return greater(c, log2, true, y, x);
    case SVE_LS: return invert(c, greater(c, log2, true, x, y));
    default: return 0;
    }
}

static IrRef shifted(ArmTrans *c, const ArmSve *s, IrRef x, IrRef y)
{
    IrCode by_imm = s->op == SVE_LSL ? IR_VSHL : s->op == SVE_LSR ? IR_VSHR : IR_VSAR;
    IrCode by_lanes = s->op == SVE_LSL ? IR_VSHLV : s->op == SVE_LSR ? IR_VSHRV : IR_VSARV;
    if (s->m == SVE_M_IMM)
        return ir_vector_imm(c->b, by_imm, s->esz, x, 0, s->imm);
    return s->esz < 2 || (s->esz == 3 && s->op == SVE_ASR) ? 0 : vec(c, by_lanes, s->esz, x, y);
}

/* The low 8, 16 or 32 bits of lanes extended: shifted up and down. */
static IrRef extended(ArmTrans *c, unsigned log2, unsigned from, bool u, IrRef x)
{
    unsigned by = (8u << log2) - (8u << from);
    x = ir_vector_imm(c->b, IR_VSHL, log2, x, 0, by);
    return ir_vector_imm(c->b, u ? IR_VSHR : IR_VSAR, log2, x, 0, by);
}

static IrRef lane_op(ArmTrans *c, const ArmSve *s, IrRef x, IrRef y)
{
    unsigned log2 = s->esz;
    IrRef sign;
    switch ((SveOp)s->op) {
    case SVE_ADD: return vec(c, IR_VADD, log2, x, y);
    case SVE_SUB: return vec(c, IR_VSUB, log2, x, y);
    case SVE_MUL: return vec(c, IR_VMUL, log2, x, y);
    case SVE_SMAX: return log2 < 3 ? vec(c, IR_VMAXS, log2, x, y) : 0;
    case SVE_UMAX: return log2 < 3 ? vec(c, IR_VMAXU, log2, x, y) : 0;
    case SVE_SMIN: return log2 < 3 ? vec(c, IR_VMINS, log2, x, y) : 0;
    case SVE_UMIN: return log2 < 3 ? vec(c, IR_VMINU, log2, x, y) : 0;
    case SVE_SABD:
        return log2 < 3 ? vec(c, IR_VSUB, log2, vec(c, IR_VMAXS, log2, x, y), vec(c, IR_VMINS, log2, x, y)) : 0;
    case SVE_UABD:
        return log2 < 3 ? vec(c, IR_VSUB, log2, vec(c, IR_VMAXU, log2, x, y), vec(c, IR_VMINU, log2, x, y)) : 0;
    case SVE_ORR: return vec(c, IR_VOR, 0, x, y);
    case SVE_EOR: return vec(c, IR_VXOR, 0, x, y);
    case SVE_AND: return vec(c, IR_VAND, 0, x, y);
    case SVE_BIC: return vec(c, IR_VANDN, 0, x, y);
    case SVE_LSL: case SVE_LSR: case SVE_ASR: return shifted(c, s, x, y);
    case SVE_MOV: return x;
    case SVE_NOT: return invert(c, x);
    case SVE_NEG: return vec(c, IR_VSUB, log2, ir_vconst(c->b, 0, 0), x);
    case SVE_ABS: return ir_vector(c->b, IR_VABS, log2, x, 0);
    case SVE_SXTB: case SVE_SXTH: case SVE_SXTW: return extended(c, log2, (s->op - SVE_SXTB) / 2u, false, x);
    case SVE_UXTB: case SVE_UXTH: case SVE_UXTW: return extended(c, log2, (s->op - SVE_UXTB) / 2u, true, x);
    case SVE_FABS: case SVE_FNEG:
        sign = arm_splat_const(c, log2, UINT64_C(1) << ((8u << log2) - 1));
        return vec(c, s->op == SVE_FABS ? IR_VANDN : IR_VXOR, 0, x, sign);
    default: return 0;
    }
}

static bool two(ArmTrans *c, const ArmSve *s, IrRef y)
{
    IrRef n = arm_v(c, s->rn), m = operand(c, s, y);
    if (!m)
        return false;
    IrRef r = s->flags & SVE_REVERSE ? lane_op(c, s, m, n) : lane_op(c, s, n, m);
    return r && put(c, s, mask_of(c, s), r);
}

static bool multiply_add(ArmTrans *c, const ArmSve *s)
{
    IrRef r = vec(c, IR_VMUL, s->esz, arm_v(c, s->rn), arm_v(c, s->rm));
    r = vec(c, s->flags & SVE_NEGATIVE ? IR_VSUB : IR_VADD, s->esz, arm_v(c, s->ra), r);
    return put(c, s, mask_of(c, s), r);
}

/* Lanes all ones or zero as a predicate, the active ones in *g. */
static IrRef predicate(ArmTrans *c, const ArmSve *s, IrRef v, IrRef *g)
{
    /* for each lowest byte of a lane its bit of eight: they are added up */
    static const uint64_t bits[4] = {0x8040201008040201, 0x0040001000040001, 0x0000001000000001, 1};
    IrBuilder *b = c->b;
    v = vec(c, IR_VAND, 0, v, ir_vconst(b, bits[s->esz], bits[s->esz]));
    v = vec(c, IR_VSAD, 0, v, ir_vconst(b, 0, 0));
    IrRef high = ir_binary_imm(b, IR_SHL, ir_vextract(b, IR_I64, v, 1), 8);
    *g = ir_binary_imm(b, IR_AND, sve_ir_p(c, s->pg), (int64_t)lane_bits(s->esz));
    return ir_binary(b, IR_AND, ir_binary(b, IR_OR, ir_vextract(b, IR_I64, v, 0), high), *g);
}

static bool compare(ArmTrans *c, const ArmSve *s)
{
    IrRef m = operand(c, s, 0), g;
    if (!m)
        return false;
    IrRef r = predicate(c, s, relation(c, (SveOp)s->op, s->esz, arm_v(c, s->rn), m), &g);
    ir_put(c->b, SLOT_P + s->rd, r);
    sve_ir_nzcv(c, g, r);
    return true;
}

/* ---- floating point ------------------------------------------------------------------------------ */

static IrRef sign_of(ArmTrans *c, const ArmSve *s)
{
    return arm_splat_const(c, s->esz, UINT64_C(1) << ((8u << s->esz) - 1));
}

static IrRef masked(ArmTrans *c, IrRef m, IrRef x) { return m ? vec(c, IR_VAND, 0, x, m) : x; }

/* Operands of inactive lanes: see above. */
static IrRef fp_op(ArmTrans *c, const ArmSve *s, IrRef m, IrRef x, IrRef y)
{
    IrBuilder *b = c->b;
    unsigned log2 = s->esz;
    x = masked(c, m, x);
    if (s->op == FP_DIV)
        y = blend(c, m, y, arm_splat_const(c, log2, log2 == 3 ? UINT64_C(0x3ff0000000000000) : 0x3f800000));
    else if (y)
        y = masked(c, m, y);
    switch (s->op) {
    case FP_ADD: return vec(c, IR_VFADD, log2, x, y);
    case FP_SUB: return vec(c, IR_VFSUB, log2, x, y);
    case FP_MUL: return vec(c, IR_VFMUL, log2, x, y);
    case FP_DIV: return vec(c, IR_VFDIV, log2, x, y);
    case FP_ABD: return vec(c, IR_VANDN, 0, vec(c, IR_VFSUB, log2, x, y), sign_of(c, s));
    case FP_MAX: return ir_vector_imm(b, IR_VFMAX, log2, x, y, IR_MINMAX_NAN);
    case FP_MIN: return ir_vector_imm(b, IR_VFMIN, log2, x, y, IR_MINMAX_NAN);
    case FP_MAXNM: return ir_vector_imm(b, IR_VFMAX, log2, x, y, IR_MINMAX_NUMBER_2008);
    case FP_MINNM: return ir_vector_imm(b, IR_VFMIN, log2, x, y, IR_MINMAX_NUMBER_2008);
    case FP_EQ: return ir_vector_imm(b, IR_VFCMP, log2, x, y, IR_FEQ);
    case SVE_FP_NE: return invert(c, ir_vector_imm(b, IR_VFCMP, log2, x, y, IR_FEQ));
    case FP_GE: return ir_vector_imm(b, IR_VFCMP, log2, y, x, IR_FLE | 256);
    case FP_GT: return ir_vector_imm(b, IR_VFCMP, log2, y, x, IR_FLT | 256);
    case FP_LE: return ir_vector_imm(b, IR_VFCMP, log2, x, y, IR_FLE | 256);
    case FP_LT: return ir_vector_imm(b, IR_VFCMP, log2, x, y, IR_FLT | 256);
    default: return 0;
    }
}

static bool fp_two(ArmTrans *c, const ArmSve *s, IrRef y)
{
    IrRef n = arm_v(c, s->rn), o = operand(c, s, y), m = mask_of(c, s);
    if (s->esz < 2 || !o || s->op > FP_ABD || s->op == FP_MULX)
        return false;
    return put(c, s, m, s->flags & SVE_REVERSE ? fp_op(c, s, m, o, n) : fp_op(c, s, m, n, o));
}

static bool fp_compare(ArmTrans *c, const ArmSve *s, IrRef y)
{
    IrRef o = operand(c, s, y), m = mask_of(c, s), g;
    if (s->esz < 2 || !o || (s->op != SVE_FP_NE && (s->op < FP_EQ || s->op > FP_LT)))
        return false;
    ir_put(c->b, SLOT_P + s->rd, predicate(c, s, fp_op(c, s, m, arm_v(c, s->rn), o), &g));
    return true;
}

static bool fp_multiply_add(ArmTrans *c, const ArmSve *s, IrRef y)
{
    IrRef n = arm_v(c, s->rn), o = operand(c, s, y), a = arm_v(c, s->ra), m = mask_of(c, s);
    if (s->esz < 2 || !o)
        return false;
    if (s->flags & SVE_NEGATIVE)
        n = vec(c, IR_VXOR, 0, n, sign_of(c, s));
    if (s->flags & SVE_SECOND)
        a = vec(c, IR_VXOR, 0, a, sign_of(c, s));
    IrRef r = ir_op(c->b, (IrOp){.code = IR_VFMA, .type = IR_V128, .sub = s->esz, .a = masked(c, m, n),
                                 .b = masked(c, m, o), .c = masked(c, m, a), .imm = IR_FMA_NEGATE_NAN});
    return put(c, s, m, r);
}

static bool fp_one(ArmTrans *c, const ArmSve *s)
{
    IrRef m = mask_of(c, s), x = masked(c, m, arm_v(c, s->rn));
    if (s->esz < 2)
        return false;
    if (s->op == FP_SQRT)
        return put(c, s, m, vec(c, IR_VFSQRT, s->esz, x, 0));
    if ((s->op != FP_RINT && s->op != FP_RINTX) || s->imm == IR_RMM)
        return false;
    return put(c, s, m, ir_vector_imm(c->b, IR_VFROUND, s->esz, x, 0, (s->op == FP_RINTX) | s->imm << 8));
}

/* Of words; the rest has no host instruction. */
static bool fp_convert(ArmTrans *c, const ArmSve *s)
{
    IrRef m = mask_of(c, s), x = masked(c, m, arm_v(c, s->rn));
    if (s->esz != 2 || s->ra != 2 || s->msz != 2 || s->flags & SVE_UNSIGNED)
        return false;
    if (s->op == FP_FROM_INT)
        return put(c, s, m, ir_vector_imm(c->b, IR_VITOF, 2, x, 0, 0));
    return put(c, s, m, ir_vector_imm(c->b, IR_VFTOI, 2, x, 0, IR_RTZ << 8));
}

/* ---- permutations ---------------------------------------------------------------------------------- */

/* Lanes in reverse order. */
static IrRef reversed(ArmTrans *c, unsigned log2, IrRef v)
{
    uint64_t k[2] = {0};
    for (unsigned i = 0; i < 16; i++)
        k[i / 8] |= (uint64_t)(((15 - i) & ~((1u << log2) - 1)) | (i & ((1u << log2) - 1))) << 8 * (i & 7);
    return vec(c, IR_VSHUFFLE, 0, v, ir_vconst(c->b, k[0], k[1]));
}

static IrRef permuted(ArmTrans *c, const ArmSve *s)
{
    bool second = s->flags & SVE_SECOND;
    IrRef n = arm_v(c, s->rn);
    switch ((SveFn)s->fn) {
    case SVE_ZIP: return vec(c, second ? IR_VZIPH : IR_VZIPL, s->esz, n, arm_v(c, s->rm));
    case SVE_UZP: return vec(c, second ? IR_VUZPO : IR_VUZPE, s->esz, n, arm_v(c, s->rm));
    case SVE_UNPK:
        n = second ? ir_vector_imm(c->b, IR_VEXT, 0, n, n, 8) : n;
        return vec(c, s->flags & SVE_UNSIGNED ? IR_VWIDENU : IR_VWIDENS, s->esz - 1u, n, 0);
    case SVE_REV: return reversed(c, s->esz, n);
    case SVE_EXT: return s->imm < 16 ? ir_vector_imm(c->b, IR_VEXT, 0, arm_v(c, s->rd), n, s->imm) : arm_v(c, s->rd);
    case SVE_DUP_LANE: return s->esz < 4 && s->imm << s->esz < 16 ? arm_splat_lane(c, n, s->esz, (unsigned)s->imm) : 0;
    case SVE_TBL: return s->esz ? 0 : vec(c, IR_VSHUFFLE, 0, n, arm_v(c, s->rm));
    default: return 0;
    }
}

/* ---- all of them ----------------------------------------------------------------------------------------- */

static bool permute(ArmTrans *c, const ArmSve *s)
{
    IrRef r = permuted(c, s);
    if (r)
        arm_put_vector(c, s->rd, r);
    return r;
}

static bool splat(ArmTrans *c, const ArmSve *s, IrRef x)
{
    static const IrType types[] = {IR_I8, IR_I16, IR_I32, IR_I64};
    return put(c, s, mask_of(c, s), ir_vsplat(c->b, ir_trunc(c->b, types[s->esz], x)));
}

bool sve_by_ir(ArmTrans *c, const ArmSve *s, IrRef x, IrRef y)
{
    if (s->fn >= SVE_LD && c->b->mode & MODE_TAG_CHECKS)
        return false;
    switch ((SveFn)s->fn) {
    case SVE_TWO: return two(c, s, y);
    case SVE_MLA: return multiply_add(c, s);
    case SVE_CMP: return compare(c, s);
    case SVE_CPY: return splat(c, s, x);
    case SVE_MOVPRFX: return put(c, s, mask_of(c, s), arm_v(c, s->rn));
    case SVE_SEL:
        arm_put_vector(c, s->rd, blend(c, mask_of(c, s), arm_v(c, s->rn), arm_v(c, s->rm)));
        return true;
    case SVE_ZIP: case SVE_UZP: case SVE_UNPK: case SVE_REV: case SVE_EXT: case SVE_DUP_LANE: case SVE_TBL:
        return permute(c, s);
    case SVE_FP_TWO: return fp_two(c, s, y);
    case SVE_FP_CMP: return fp_compare(c, s, y);
    case SVE_FP_MLA: return fp_multiply_add(c, s, y);
    case SVE_FP_ONE: return fp_one(c, s);
    case SVE_FP_CVT: return fp_convert(c, s);
    case SVE_LD: return sve_ir_load(c, s, x);
    case SVE_ST: return sve_ir_store(c, s, x);
    case SVE_LDR:
        arm_put_vector(c, s->rd, ir_load(c->b, IR_V128, IR_MEM_SIZE(4), x, 0));
        return true;
    case SVE_STR:
        ir_store(c->b, IR_MEM_SIZE(4), x, 0, arm_v(c, s->rd));
        return true;
    default: return false;
    }
}
