/* SPDX-License-Identifier: MIT */
/*
 * Advanced SIMD, what moves about: immediates, lanes to and from registers, permutations; and
 * cryptography.
 */
#include "guest/arm/simd_priv.h"

#define DECODE_EXTERN
#define DECODE_TYPES_ONLY
#include "gen/guest/arm/a64_simd.inc"

uint64_t arm_fp_imm(unsigned imm8, bool twice)
{
    uint64_t sign = imm8 >> 7, b = imm8 >> 6 & 1, low = imm8 & 63;
    if (twice)
        return sign << 63 | (b ^ 1) << 62 | (b ? UINT64_C(0xff) << 54 : 0) | low << 48;
    return sign << 31 | (b ^ 1) << 30 | (b ? 0x1fu << 25 : 0) | low << 19;
}

bool trans_a64_mod_imm(ArmTrans *c, const ArgsVImm *a)
{
    uint64_t v = (uint64_t)a->imm, all = 0;
    unsigned cmode = (unsigned)a->cmode;
    bool invert = a->u, old = false;
    if (a->o2)
        return false; /* FMOV of halves */
    if (cmode < 12) {
        bool words = cmode < 8;
        v <<= 8 * (cmode >> 1 & (words ? 3u : 1u));
        all = v * (words ? UINT64_C(0x100000001) : UINT64_C(0x1000100010001));
        old = cmode & 1;
    } else if (cmode < 14) {
        v = cmode & 1 ? v << 16 | 0xffff : v << 8 | 0xff;
        all = v * UINT64_C(0x100000001);
    } else if (cmode == 14) {
        all = v * UINT64_C(0x101010101010101);
        for (unsigned i = 0; a->u && i < 8; i++)
            all = bits_set(all, 8 * i, 8, v >> i & 1 ? 255 : 0);
        invert = false;
    } else {
        if (a->u && !a->q)
            return false;
        all = a->u ? arm_fp_imm((unsigned)v, true) : arm_fp_imm((unsigned)v, false) * UINT64_C(0x100000001);
        invert = false;
    }
    all = invert ? ~all : all;
    IrRef value = ir_vconst(c->b, all, a->q || old ? all : 0);
    if (old)
        value = arm_low_bytes(c, ir_vector(c->b, invert ? IR_VAND : IR_VOR, 0, arm_v(c, a->rd), value), a->q ? 16 : 8);
    arm_put_vector(c, a->rd, value);
    return true;
}

static bool splat(ArmTrans *c, int rd, bool q, unsigned log2, IrRef x)
{
    static const IrType types[] = {IR_I8, IR_I16, IR_I32, IR_I64};
    arm_put_vector(c, rd, arm_low_bytes(c, ir_vsplat(c->b, ir_trunc(c->b, types[log2], x)), q ? 16 : 8));
    return true;
}

static IrRef lane(ArmTrans *c, int v, unsigned log2, unsigned n)
{
    static const IrType types[] = {IR_I8, IR_I16, IR_F32, IR_F64};
    return ir_vextract(c->b, types[log2], arm_v(c, v), n);
}

static IrRef narrow_lane(ArmTrans *c, int v, unsigned log2, unsigned n)
{
    static const IrType types[] = {IR_I8, IR_I16, IR_I32};
    return ir_vextract(c->b, types[log2], arm_v(c, v), n);
}

bool trans_a64_copy(ArmTrans *c, const ArgsVCopy *a)
{
    unsigned imm = (unsigned)a->imm5, log2 = imm ? (unsigned)__builtin_ctz(imm) : 4, n = imm >> (log2 + 1);
    if (log2 > 3)
        return false;
    if (a->u) { /* INS of an element */
        IrRef x = lane(c, a->rn, log2, (unsigned)a->imm4 >> log2);
        arm_put_vector(c, a->rd, ir_vinsert(c->b, arm_v(c, a->rd), n, x));
        return a->q;
    }
    switch (a->imm4) {
    case 0:
        arm_put_vector(c, a->rd, arm_low_bytes(c, arm_splat_lane(c, arm_v(c, a->rn), log2, n), a->q ? 16 : 8));
        return a->q || log2 < 3;
    case 1: return (a->q || log2 < 3) && splat(c, a->rd, a->q, log2, arm_x(c, a->rn));
    case 3: return a->q && arm_insert_lane(c, a->rd, log2, n, arm_x(c, a->rn));
    case 5: /* SMOV */
        if (log2 == 3 || (!a->q && log2 == 2))
            return false;
        arm_put(c, a->rd, ir_sext(c->b, arm_type(a->q), narrow_lane(c, a->rn, log2, n)));
        return true;
    case 7: /* UMOV */
        if ((log2 == 3) != a->q)
            return false;
        arm_put(c, a->rd, arm_get_lane(c, a->rn, log2, n));
        return true;
    default: return false;
    }
}

bool trans_a64_dup_scalar(ArmTrans *c, const ArgsVCopy *a)
{
    unsigned imm = (unsigned)a->imm5, log2 = imm ? (unsigned)__builtin_ctz(imm) : 4;
    if (log2 > 3)
        return false;
    arm_put_vector(c, a->rd, ir_vzext(c->b, lane(c, a->rn, log2, imm >> (log2 + 1))));
    return true;
}

bool trans_a64_permute(ArmTrans *c, const ArgsVPerm *a)
{
    enum { UZP = 1, TRN, ZIP };
    IrBuilder *b = c->b;
    unsigned log2 = (unsigned)a->size, width = 8u << log2, kind = (unsigned)a->kind & 3;
    bool second = a->kind & 4;
    IrRef n = arm_v(c, a->rn), m = arm_v(c, a->rm), v;
    if (!kind || (log2 == 3 && !a->q))
        return false;
    if (kind == ZIP) { /* halves of 8 bytes are both in the lower half zipped */
        v = ir_vector(b, second && a->q ? IR_VZIPH : IR_VZIPL, log2, n, m);
        if (second && !a->q)
            v = ir_vector_imm(b, IR_VEXT, 0, v, v, 8);
    } else if (kind == UZP || log2 == 3) {
        if (!a->q)
            n = m = ir_vector(b, IR_VZIPL, 3, n, m);
        v = ir_vector(b, second ? IR_VUZPO : IR_VUZPE, log2, n, m);
    } else {
        IrRef even = arm_splat_const(c, log2 + 1, bits_mask(width));
        if (second)
            v = ir_vector(b, IR_VOR, 0, ir_vector_imm(b, IR_VSHR, log2 + 1, n, 0, width),
                          ir_vector(b, IR_VANDN, 0, m, even));
        else
            v = ir_vector(b, IR_VOR, 0, ir_vector(b, IR_VAND, 0, n, even),
                          ir_vector_imm(b, IR_VSHL, log2 + 1, m, 0, width));
    }
    arm_put_vector(c, a->rd, arm_low_bytes(c, v, a->q ? 16 : 8));
    return true;
}

/* Each of the table's registers gives zero where the index is beyond it. */
bool trans_a64_tbl(ArmTrans *c, const ArgsVTbl *a)
{
    IrBuilder *b = c->b;
    unsigned regs = (unsigned)a->len + 1;
    IrRef index = arm_v(c, a->rm), v = 0;
    for (unsigned k = 0; k < regs; k++) {
        IrRef at = k ? ir_vector(b, IR_VSUB, 0, index, arm_splat_const(c, 0, 16 * k)) : index;
        IrRef part = ir_vector(b, IR_VSHUFFLE, 0, arm_v(c, (a->rn + (int)k) & 31), at);
        v = k ? ir_vector(b, IR_VOR, 0, v, part) : part;
    }
    if (a->tbx) {
        IrRef beyond = ir_vector(b, IR_VCMPEQ, 0, ir_vector(b, IR_VMAXU, 0, index, arm_splat_const(c, 0, 16 * regs)),
                                 index);
        v = ir_vector(b, IR_VOR, 0, v, ir_vector(b, IR_VAND, 0, arm_v(c, a->rd), beyond));
    }
    arm_put_vector(c, a->rd, arm_low_bytes(c, v, a->q ? 16 : 8));
    return true;
}

bool trans_a64_ext(ArmTrans *c, const ArgsVExt *a)
{
    unsigned at = (unsigned)a->imm4;
    IrRef n = arm_v(c, a->rn), m = arm_v(c, a->rm);
    if (!a->q && at >= 8)
        return false;
    if (!a->q)
        n = m = ir_vector(c->b, IR_VZIPL, 3, n, m);
    arm_put_vector(c, a->rd, arm_low_bytes(c, ir_vector_imm(c->b, IR_VEXT, 0, n, m, at), a->q ? 16 : 8));
    return true;
}

/* AESE AESD AESMC AESIMC */
bool trans_a64_aes(ArmTrans *c, const ArgsVAes *a)
{
    unsigned kind = (unsigned)a->op - 4;
    if (!c->p->crypto || kind > 3)
        return false;
    IrRef v = arm_v(c, a->rn);
    if (kind < 2)
        v = ir_vector(c->b, IR_VXOR, 0, arm_v(c, a->rd), v);
    arm_put_vector(c, a->rd, ir_vector_imm(c->b, IR_VAES, 0, v, 0, kind));
    return true;
}
