/* SPDX-License-Identifier: MIT */
/*
 * Vector instructions of later extensions. What is logic alone is done here on halves, FJCVTZS by the
 * IR, the rest by helpers of dot.c and crypto3.c.
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

bool trans_a64_dot(ArmTrans *c, const ArgsXVec *a) { return vector(c, c->p->dotprod, a->u ? DOT_UDOT : DOT_SDOT, a); }

bool trans_a64_dot_elem(ArmTrans *c, const ArgsXElem *a)
{
    return by_word(c, c->p->dotprod, a->u ? DOT_UDOT : DOT_SDOT, a);
}

bool trans_a64_usdot(ArmTrans *c, const ArgsXVec *a) { return vector(c, c->p->i8mm, DOT_USDOT, a); }

bool trans_a64_usdot_elem(ArmTrans *c, const ArgsXElem *a)
{
    return by_word(c, c->p->i8mm, a->size ? DOT_USDOT : DOT_SUDOT, a);
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

static bool put_both(ArmTrans *c, int rd, IrRef low, IrRef high)
{
    arm_put_v(c, rd, low, high);
    return true;
}

/* One more instruction shares their encoding: RAX1 of SHA3 */
bool trans_a64_sha512(ArmTrans *c, const ArgsXThree *a)
{
    static const ArmCrypto3 kinds[] = {CRYPTO_SHA512H, CRYPTO_SHA512H2, CRYPTO_SHA512SU1};
    IrBuilder *b = c->b;
    IrRef r[2];
    if (a->op < 3)
        return crypto(c, c->p->sha512, kinds[a->op]);
    if (!c->p->sha3)
        return false;
    for (unsigned i = 0; i < 2; i++) {
        IrRef n = i ? arm_v_high(c, a->rn) : arm_v_low(c, a->rn), m = i ? arm_v_high(c, a->rm) : arm_v_low(c, a->rm);
        r[i] = ir_binary(b, IR_XOR, n, ir_binary_imm(b, IR_ROR, m, 63));
    }
    return put_both(c, a->rd, r[0], r[1]);
}

bool trans_a64_sm3_part(ArmTrans *c, const ArgsXThree *a)
{
    if (a->op == 2)
        return crypto(c, c->p->sm4, CRYPTO_SM4EKEY);
    return a->op < 2 && crypto(c, c->p->sm3, CRYPTO_SM3PARTW1 + (unsigned)a->op);
}

bool trans_a64_sha512su0(ArmTrans *c, const ArgsXTwo *a) { return crypto(c, c->p->sha512, CRYPTO_SHA512SU0); }
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
    IrRef low = ir_binary(b, IR_XOR, arm_v_low(c, a->rm), arm_v_low(c, a->ra));
    IrRef high = ir_binary(b, IR_XOR, arm_v_high(c, a->rm), arm_v_high(c, a->ra));
    return put_both(c, a->rd, ir_binary(b, IR_XOR, low, arm_v_low(c, a->rn)),
                    ir_binary(b, IR_XOR, high, arm_v_high(c, a->rn)));
}

bool trans_a64_bcax(ArmTrans *c, const ArgsXFour *a)
{
    IrBuilder *b = c->b;
    if (!c->p->sha3)
        return false;
    IrRef low = ir_binary(b, IR_ANDN, arm_v_low(c, a->rm), arm_v_low(c, a->ra));
    IrRef high = ir_binary(b, IR_ANDN, arm_v_high(c, a->rm), arm_v_high(c, a->ra));
    return put_both(c, a->rd, ir_binary(b, IR_XOR, low, arm_v_low(c, a->rn)),
                    ir_binary(b, IR_XOR, high, arm_v_high(c, a->rn)));
}

bool trans_a64_xar(ArmTrans *c, const ArgsXXar *a)
{
    IrBuilder *b = c->b;
    if (!c->p->sha3)
        return false;
    IrRef low = ir_binary(b, IR_XOR, arm_v_low(c, a->rn), arm_v_low(c, a->rm));
    IrRef high = ir_binary(b, IR_XOR, arm_v_high(c, a->rn), arm_v_high(c, a->rm));
    return put_both(c, a->rd, ir_binary_imm(b, IR_ROR, low, a->imm), ir_binary_imm(b, IR_ROR, high, a->imm));
}
