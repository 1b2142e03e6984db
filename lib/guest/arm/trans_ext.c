/* SPDX-License-Identifier: MIT */
/*
 * Vector instructions of later extensions. Dot products of bytes, SHA512, SHA3 and FJCVTZS are done by the IR,
 * the rest by helpers of dot.c and crypto3.c.
 */
#include "guest/arm/ext_priv.h"

#define DECODE_EXTERN
#define DECODE_TYPES_ONLY
#include "gen/guest/arm/a64_ext.inc"

static IrRef constant(ArmTrans *c, uint64_t v) { return ir_const(c->b, IR_I64, v); }

static bool dot(ArmTrans *c, unsigned kind, int q, int rd, int rn, int rm, unsigned element)
{
    uint64_t regs = (uint64_t)(q << 16 | rd | rn << 5 | rm << 10);
    ir_call(c->b, HELPER_DOT, constant(c, kind), constant(c, regs), constant(c, element), 0);
    return true;
}

/* ---- sums of products ---------------------------------------------------------------------------- */

static bool vector(ArmTrans *c, bool there, unsigned kind, const ArgsXVec *a)
{
    return there && dot(c, kind, a->q, a->rd, a->rn, a->rm, DOT_EACH);
}

static bool by_word(ArmTrans *c, bool there, unsigned kind, const ArgsXElem *a)
{
    return there && dot(c, kind, a->q, a->rd, a->rn, a->rm | (a->lm & 1) << 4, (unsigned)(a->h << 1 | a->lm >> 1));
}

/* Of eight bytes each: the sums of neighbouring products, in words. */
static IrRef pair_sums(ArmTrans *c, IrRef x, IrRef y, bool x_signed, bool y_signed)
{
    IrBuilder *b = c->b;
    IrRef p = ir_vector(b, IR_VMUL, 1, ir_vector(b, x_signed ? IR_VWIDENS : IR_VWIDENU, 0, x, 0),
                        ir_vector(b, y_signed ? IR_VWIDENS : IR_VWIDENU, 0, y, 0));
    IrCode shift = x_signed || y_signed ? IR_VSAR : IR_VSHR; /* products fit 16 bits of that kind */
    IrRef even = ir_vector_imm(b, shift, 2, ir_vector_imm(b, IR_VSHL, 2, p, 0, 16), 0, 16);
    return ir_vector(b, IR_VADD, 2, even, ir_vector_imm(b, shift, 2, p, 0, 16));
}

/* Four products a word; y is m, or one word of it in all places */
static bool dot_bytes(ArmTrans *c, int q, int rd, int rn, IrRef y, bool x_signed, bool y_signed)
{
    IrBuilder *b = c->b;
    IrRef x = arm_v(c, rn), v = pair_sums(c, x, y, x_signed, y_signed), high;
    high = q ? pair_sums(c, ir_vector_imm(b, IR_VEXT, 0, x, x, 8), ir_vector_imm(b, IR_VEXT, 0, y, y, 8), x_signed,
                         y_signed) : v;
    v = ir_vector(b, IR_VADD, 2, ir_vector(b, IR_VUZPE, 2, v, high), ir_vector(b, IR_VUZPO, 2, v, high));
    arm_put_vector(c, rd, arm_low_bytes(c, ir_vector(b, IR_VADD, 2, arm_v(c, rd), v), q ? 16 : 8));
    return true;
}

static IrRef word_of(ArmTrans *c, const ArgsXElem *a)
{
    unsigned lane = (unsigned)(a->h << 1 | a->lm >> 1);
    return ir_vsplat(c->b, ir_vextract(c->b, IR_I32, arm_v(c, a->rm | (a->lm & 1) << 4), lane));
}

bool trans_a64_dot(ArmTrans *c, const ArgsXVec *a)
{
    return c->p->dotprod && dot_bytes(c, a->q, a->rd, a->rn, arm_v(c, a->rm), !a->u, !a->u);
}

bool trans_a64_dot_elem(ArmTrans *c, const ArgsXElem *a)
{
    return c->p->dotprod && dot_bytes(c, a->q, a->rd, a->rn, word_of(c, a), !a->u, !a->u);
}

bool trans_a64_usdot(ArmTrans *c, const ArgsXVec *a)
{
    return c->p->i8mm && dot_bytes(c, a->q, a->rd, a->rn, arm_v(c, a->rm), false, true);
}

/* and SUDOT */
bool trans_a64_usdot_elem(ArmTrans *c, const ArgsXElem *a)
{
    return c->p->i8mm && dot_bytes(c, a->q, a->rd, a->rn, word_of(c, a), !a->size, a->size);
}

bool trans_a64_mmla(ArmTrans *c, const ArgsXVec *a) { return vector(c, c->p->i8mm, a->u ? DOT_UMMLA : DOT_SMMLA, a); }
bool trans_a64_usmmla(ArmTrans *c, const ArgsXVec *a) { return vector(c, c->p->i8mm, DOT_USMMLA, a); }
bool trans_a64_bfdot(ArmTrans *c, const ArgsXVec *a) { return vector(c, c->p->bf16, DOT_BFDOT, a); }
bool trans_a64_bfdot_elem(ArmTrans *c, const ArgsXElem *a) { return by_word(c, c->p->bf16, DOT_BFDOT, a); }
bool trans_a64_bfmmla(ArmTrans *c, const ArgsXVec *a) { return vector(c, c->p->bf16, DOT_BFMMLA, a); }

/* Q says which halves of words. */
bool trans_a64_bfmlal(ArmTrans *c, const ArgsXVec *a)
{
    return c->p->bf16 && dot(c, a->q ? DOT_BFMLALT : DOT_BFMLALB, 1, a->rd, a->rn, a->rm, DOT_EACH);
}

bool trans_a64_bfmlal_elem(ArmTrans *c, const ArgsXElem *a)
{
    return c->p->bf16 && dot(c, a->q ? DOT_BFMLALT : DOT_BFMLALB, 1, a->rd, a->rn, a->rm,
                             (unsigned)(a->h << 2 | a->lm));
}

bool trans_a64_bfcvt(ArmTrans *c, const ArgsXTwo *a)
{
    return c->p->bf16 && dot(c, DOT_BFCVT, 0, a->rd, a->rn, 0, DOT_EACH);
}

bool trans_a64_bfcvtn(ArmTrans *c, const ArgsXNarrow *a)
{
    return c->p->bf16 && dot(c, a->q ? DOT_BFCVTN2 : DOT_BFCVTN, 1, a->rd, a->rn, 0, DOT_EACH);
}

bool trans_a64_fmlal(ArmTrans *c, const ArgsXFhm *a)
{
    return c->p->fhm && dot(c, a->minus ? DOT_FMLSL : DOT_FMLAL, a->q, a->rd, a->rn, a->rm, DOT_EACH);
}

bool trans_a64_fmlal2(ArmTrans *c, const ArgsXFhm *a)
{
    return c->p->fhm && dot(c, a->minus ? DOT_FMLSL2 : DOT_FMLAL2, a->q, a->rd, a->rn, a->rm, DOT_EACH);
}

static bool fhm_elem(ArmTrans *c, const ArgsXFhme *a, unsigned kind)
{
    return c->p->fhm && dot(c, kind, a->q, a->rd, a->rn, a->rm, (unsigned)(a->h << 2 | a->lm));
}

bool trans_a64_fmlal_elem(ArmTrans *c, const ArgsXFhme *a) { return fhm_elem(c, a, a->minus ? DOT_FMLSL : DOT_FMLAL); }
bool trans_a64_fmlal2_elem(ArmTrans *c, const ArgsXFhme *a)
{
    return fhm_elem(c, a, a->minus ? DOT_FMLSL2 : DOT_FMLAL2);
}

/* ---- complex numbers --------------------------------------------------------------------------- */

static bool complex_size(ArmTrans *c, int size, int q)
{
    return c->p->fcma && size && (size > 1 || c->p->fp16) && (size < 3 || q);
}

bool trans_a64_fcadd(ArmTrans *c, const ArgsXRot *a)
{
    if (!complex_size(c, a->size, a->q))
        return false;
    return dot(c, DOT_FCADD + (unsigned)(a->size - 1) + (a->rot ? 4 : 0), a->q, a->rd, a->rn, a->rm, DOT_EACH);
}

bool trans_a64_fcmla(ArmTrans *c, const ArgsXRot *a)
{
    if (!complex_size(c, a->size, a->q))
        return false;
    return dot(c, DOT_FCMLA + (unsigned)(a->size - 1 + 4 * a->rot), a->q, a->rd, a->rn, a->rm, DOT_EACH);
}

bool trans_a64_fcmla_elem(ArmTrans *c, const ArgsXRote *a)
{
    bool single = a->size == 2;
    unsigned element = single ? (unsigned)a->h : (unsigned)(a->h << 1 | a->lm >> 1);
    if (!complex_size(c, a->size, a->q) || a->size == 3 || (single ? a->lm >> 1 || !a->q : a->h && !a->q))
        return false;
    return dot(c, DOT_FCMLA + (unsigned)(a->size - 1 + 4 * a->rot), a->q, a->rd, a->rn, a->rm | (a->lm & 1) << 4,
               element);
}

/* ---- rounding and converting ---------------------------------------------------------------------- */

bool trans_a64_frint(ArmTrans *c, const ArgsXFrint *a)
{
    unsigned how = 8 + (unsigned)(a->size & 1) + (a->op & 1 ? 2 : 0) + (a->op & 2 ? 4 : 0);
    return c->p->frintts && a->size < 2 && dot(c, DOT_FRINT + how, 0, a->rd, a->rn, 0, DOT_EACH);
}

bool trans_a64_frint_vec(ArmTrans *c, const ArgsXFrintv *a)
{
    unsigned how = (unsigned)(a->size & 1) + (a->u ? 2 : 0) + (a->op ? 4 : 0);
    return c->p->frintts && (a->q || !a->size) && dot(c, DOT_FRINT + how, a->q, a->rd, a->rn, 0, DOT_EACH);
}

/* Z says whether the result is the very same number, which 0 is not for -0. */
bool trans_a64_fjcvtzs(ArmTrans *c, const ArgsXTwo *a)
{
    IrBuilder *b = c->b;
    if (!c->p->jscvt)
        return false;
    IrRef bits = arm_v_low(c, a->rn);
    IrRef v = ir_ftoi(b, IR_I32, ir_bitcast(b, IR_F64, bits), IR_TOINT_MODULO, IR_RTZ);
    IrRef back = ir_bitcast(b, IR_I64, ir_itof(b, IR_F64, v, false, IR_RTZ));
    if (b->mode & MODE_FZ) { /* a subnormal counts as the zero that it was taken for */
        IrRef none = ir_cmp(b, IR_EQ, ir_extract(b, bits, 52, 11), constant(c, 0));
        bits = ir_select(b, none, ir_binary(b, IR_AND, bits, constant(c, UINT64_C(1) << 63)), bits);
    }
    IrRef same = ir_cmp(b, IR_EQ, back, bits);
    arm_put(c, a->rd, v);
    ir_put(b, SLOT_FLAGS, ir_select(b, same, arm_nzcv_const(c, 4), arm_nzcv_const(c, 0)));
    return true;
}

/* ---- hash functions and ciphers -------------------------------------------------------------------- */

static bool crypto(ArmTrans *c, bool there, ArmCrypto3 kind)
{
    if (there)
        ir_call(c->b, HELPER_CRYPTO3, constant(c, kind), constant(c, c->bits), 0, 0);
    return there;
}

static IrRef exclusive_or(ArmTrans *c, IrRef a, IrRef b) { return ir_binary(c->b, IR_XOR, a, b); }

/* A doubleword rotated to the right by three amounts, or with `shift` moved by the last, and joined. */
static IrRef sigma(ArmTrans *c, IrRef x, int r1, int r2, int r3, bool shift)
{
    IrRef v = exclusive_or(c, ir_binary_imm(c->b, IR_ROR, x, r1), ir_binary_imm(c->b, IR_ROR, x, r2));
    return exclusive_or(c, v, ir_binary_imm(c->b, shift ? IR_SHR : IR_ROR, x, r3));
}

static IrRef add3(ArmTrans *c, IrRef x, IrRef y, IrRef z)
{
    return ir_binary(c->b, IR_ADD, ir_binary(c->b, IR_ADD, x, y), z);
}

static IrRef choose(ArmTrans *c, IrRef x, IrRef y, IrRef z)
{
    return exclusive_or(c, z, ir_binary(c->b, IR_AND, x, exclusive_or(c, y, z)));
}

static IrRef majority(ArmTrans *c, IrRef x, IrRef y, IrRef z)
{
    return ir_binary(c->b, IR_OR, ir_binary(c->b, IR_AND, x, y),
                     ir_binary(c->b, IR_AND, ir_binary(c->b, IR_OR, x, y), z));
}

/* SHA512 (FIPS 180-4): d, n and m by halves, as the manual has them. RAX1 of SHA3 shares their encoding. */
bool trans_a64_sha512(ArmTrans *c, const ArgsXThree *a)
{
    IrBuilder *b = c->b;
    if (a->op == 3) {
        IrRef m = arm_v(c, a->rm);
        if (!c->p->sha3)
            return false;
        m = ir_vector(b, IR_VOR, 3, ir_vector_imm(b, IR_VSHL, 3, m, 0, 1), ir_vector_imm(b, IR_VSHR, 3, m, 0, 63));
        arm_put_vector(c, a->rd, ir_vector(b, IR_VXOR, 3, arm_v(c, a->rn), m));
        return true;
    }
    if (!c->p->sha512)
        return false;
    IrRef w0 = arm_v_low(c, a->rd), w1 = arm_v_high(c, a->rd), x0 = arm_v_low(c, a->rn), x1 = arm_v_high(c, a->rn);
    IrRef y0 = arm_v_low(c, a->rm), y1 = arm_v_high(c, a->rm), t;
    if (a->op == 0) {
        w1 = add3(c, w1, choose(c, y1, x0, x1), sigma(c, y1, 14, 18, 41, false));
        t = ir_binary(b, IR_ADD, w1, y0);
        w0 = add3(c, w0, choose(c, t, y1, x0), sigma(c, t, 14, 18, 41, false));
    } else if (a->op == 1) {
        w1 = add3(c, w1, majority(c, x0, y1, y0), sigma(c, y0, 28, 34, 39, false));
        w0 = add3(c, w0, majority(c, w1, y0, y1), sigma(c, w1, 28, 34, 39, false));
    } else {
        w1 = add3(c, w1, sigma(c, x1, 19, 61, 6, true), y1);
        w0 = add3(c, w0, sigma(c, x0, 19, 61, 6, true), y0);
    }
    arm_put_v(c, a->rd, w0, w1);
    return true;
}

bool trans_a64_sha512su0(ArmTrans *c, const ArgsXTwo *a)
{
    if (!c->p->sha512)
        return false;
    IrRef w0 = arm_v_low(c, a->rd), w1 = arm_v_high(c, a->rd);
    w0 = ir_binary(c->b, IR_ADD, w0, sigma(c, w1, 1, 8, 7, true));
    w1 = ir_binary(c->b, IR_ADD, w1, sigma(c, arm_v_low(c, a->rn), 1, 8, 7, true));
    arm_put_v(c, a->rd, w0, w1);
    return true;
}

bool trans_a64_sm3_part(ArmTrans *c, const ArgsXThree *a)
{
    if (a->op == 2)
        return crypto(c, c->p->sm4, CRYPTO_SM4EKEY);
    return a->op < 2 && crypto(c, c->p->sm3, CRYPTO_SM3PARTW1 + (unsigned)a->op);
}

bool trans_a64_sm4e(ArmTrans *c, const ArgsXTwo *a) { return crypto(c, c->p->sm4, CRYPTO_SM4E); }
bool trans_a64_sm3ss1(ArmTrans *c, const ArgsXFour *a) { return crypto(c, c->p->sm3, CRYPTO_SM3SS1); }

bool trans_a64_sm3_tt(ArmTrans *c, const ArgsXIndex *a)
{
    return crypto(c, c->p->sm3, CRYPTO_SM3TT1A + (unsigned)a->op);
}

bool trans_a64_eor3(ArmTrans *c, const ArgsXFour *a)
{
    IrBuilder *b = c->b;
    if (!c->p->sha3)
        return false;
    IrRef v = ir_vector(b, IR_VXOR, 3, arm_v(c, a->rn), arm_v(c, a->rm));
    arm_put_vector(c, a->rd, ir_vector(b, IR_VXOR, 3, v, arm_v(c, a->ra)));
    return true;
}

bool trans_a64_bcax(ArmTrans *c, const ArgsXFour *a)
{
    IrBuilder *b = c->b;
    if (!c->p->sha3)
        return false;
    IrRef v = ir_vector(b, IR_VANDN, 3, arm_v(c, a->rm), arm_v(c, a->ra));
    arm_put_vector(c, a->rd, ir_vector(b, IR_VXOR, 3, arm_v(c, a->rn), v));
    return true;
}

bool trans_a64_xar(ArmTrans *c, const ArgsXXar *a)
{
    IrBuilder *b = c->b;
    if (!c->p->sha3)
        return false;
    IrRef v = ir_vector(b, IR_VXOR, 3, arm_v(c, a->rn), arm_v(c, a->rm));
    if (a->imm)
        v = ir_vector(b, IR_VOR, 3, ir_vector_imm(b, IR_VSHR, 3, v, 0, a->imm),
                      ir_vector_imm(b, IR_VSHL, 3, v, 0, 64 - a->imm));
    arm_put_vector(c, a->rd, v);
    return true;
}
