/* SPDX-License-Identifier: MIT */
/* Bit manipulation: Zba, Zbb, Zbc, Zbs (1.0.0), and Zicond (1.0). */
#include "guest/riscv/riscv_priv.h"

#define DECODE_EXTERN
#define DECODE_TYPES_ONLY
#include "gen/guest/riscv/rv.inc"

/* Zba */

static bool shift_add(RvTrans *c, const ArgsR *a, unsigned n)
{
    if (!c->p->zba)
        return false;
    IrRef shifted = ir_binary_imm(c->b, IR_SHL, rv_get(c, a->rs1), n);
    rv_put(c, a->rd, ir_binary(c->b, IR_ADD, shifted, rv_get(c, a->rs2)));
    return true;
}

bool trans_sh1add(RvTrans *c, const ArgsR *a)
{
    return shift_add(c, a, 1);
}

bool trans_sh2add(RvTrans *c, const ArgsR *a)
{
    return shift_add(c, a, 2);
}

bool trans_sh3add(RvTrans *c, const ArgsR *a)
{
    return shift_add(c, a, 3);
}

static bool shift_add_uw(RvTrans *c, const ArgsR *a, unsigned n)
{
    if (!c->p->zba || c->rv32)
        return false;
    IrRef v = ir_zext(c->b, IR_I64, rv_get32(c, a->rs1));
    if (n)
        v = ir_binary_imm(c->b, IR_SHL, v, n);
    if (a->rs2)
        v = ir_binary(c->b, IR_ADD, v, rv_get64(c, a->rs2));
    rv_put64(c, a->rd, v);
    return true;
}

bool trans_add_uw(RvTrans *c, const ArgsR *a)
{
    return shift_add_uw(c, a, 0);
}

bool trans_sh1add_uw(RvTrans *c, const ArgsR *a)
{
    return shift_add_uw(c, a, 1);
}

bool trans_sh2add_uw(RvTrans *c, const ArgsR *a)
{
    return shift_add_uw(c, a, 2);
}

bool trans_sh3add_uw(RvTrans *c, const ArgsR *a)
{
    return shift_add_uw(c, a, 3);
}

bool trans_slli_uw(RvTrans *c, const ArgsI *a)
{
    if (!c->p->zba || c->rv32)
        return false;
    IrRef v = ir_zext(c->b, IR_I64, rv_get32(c, a->rs1));
    rv_put64(c, a->rd, ir_binary_imm(c->b, IR_SHL, v, a->imm));
    return true;
}

/* Zbb */

bool trans_andn(RvTrans *c, const ArgsR *a)
{
    if (!c->p->zbb)
        return false;
    rv_put64(c, a->rd, ir_binary(c->b, IR_ANDN, rv_get64(c, a->rs1), rv_get64(c, a->rs2)));
    return true;
}

bool trans_orn(RvTrans *c, const ArgsR *a)
{
    if (!c->p->zbb)
        return false;
    IrRef no = ir_unary(c->b, IR_NOT, IR_I64, rv_get64(c, a->rs2));
    rv_put64(c, a->rd, ir_binary(c->b, IR_OR, rv_get64(c, a->rs1), no));
    return true;
}

bool trans_xnor(RvTrans *c, const ArgsR *a)
{
    if (!c->p->zbb)
        return false;
    IrRef v = ir_binary(c->b, IR_XOR, rv_get64(c, a->rs1), rv_get64(c, a->rs2));
    rv_put64(c, a->rd, ir_unary(c->b, IR_NOT, IR_I64, v));
    return true;
}

static bool unary(RvTrans *c, const ArgsUn *a, IrCode code, IrType type)
{
    if (!c->p->zbb || (c->rv32 && type == IR_I64))
        return false;
    rv_put(c, a->rd, ir_unary(c->b, code, type, ir_trunc(c->b, type, rv_get64(c, a->rs1))));
    return true;
}

static bool unary_word(RvTrans *c, const ArgsUn *a, IrCode code)
{
    return !c->rv32 && unary(c, a, code, IR_I32);
}

bool trans_clz(RvTrans *c, const ArgsUn *a)
{
    return unary(c, a, IR_CLZ, c->xlen);
}

bool trans_ctz(RvTrans *c, const ArgsUn *a)
{
    return unary(c, a, IR_CTZ, c->xlen);
}

bool trans_cpop(RvTrans *c, const ArgsUn *a)
{
    return unary(c, a, IR_POPCNT, c->xlen);
}

bool trans_clzw(RvTrans *c, const ArgsUn *a)
{
    return unary_word(c, a, IR_CLZ);
}

bool trans_ctzw(RvTrans *c, const ArgsUn *a)
{
    return unary_word(c, a, IR_CTZ);
}

bool trans_cpopw(RvTrans *c, const ArgsUn *a)
{
    return unary_word(c, a, IR_POPCNT);
}

bool trans_sext_b(RvTrans *c, const ArgsUn *a)
{
    if (!c->p->zbb)
        return false;
    rv_put(c, a->rd, ir_trunc(c->b, IR_I8, rv_get64(c, a->rs1)));
    return true;
}

bool trans_sext_h(RvTrans *c, const ArgsUn *a)
{
    if (!c->p->zbb)
        return false;
    rv_put(c, a->rd, ir_trunc(c->b, IR_I16, rv_get64(c, a->rs1)));
    return true;
}

static bool zext_h(RvTrans *c, const ArgsUn *a)
{
    if (!c->p->zbb)
        return false;
    rv_put64(c, a->rd, ir_zext(c->b, IR_I64, ir_trunc(c->b, IR_I16, rv_get64(c, a->rs1))));
    return true;
}

bool trans_zext_h_32(RvTrans *c, const ArgsUn *a)
{
    return c->rv32 && zext_h(c, a);
}

bool trans_zext_h_64(RvTrans *c, const ArgsUn *a)
{
    return !c->rv32 && zext_h(c, a);
}

static bool minmax(RvTrans *c, const ArgsR *a, IrCond cond)
{
    if (!c->p->zbb)
        return false;
    IrRef x = rv_get64(c, a->rs1), y = rv_get64(c, a->rs2);
    rv_put64(c, a->rd, ir_select(c->b, ir_cmp(c->b, cond, x, y), x, y));
    return true;
}

bool trans_min(RvTrans *c, const ArgsR *a)
{
    return minmax(c, a, IR_LT);
}

bool trans_minu(RvTrans *c, const ArgsR *a)
{
    return minmax(c, a, IR_LTU);
}

bool trans_max(RvTrans *c, const ArgsR *a)
{
    return minmax(c, a, IR_GT);
}

bool trans_maxu(RvTrans *c, const ArgsR *a)
{
    return minmax(c, a, IR_GTU);
}

static bool rotate(RvTrans *c, const ArgsR *a, IrCode code)
{
    if (!c->p->zbb)
        return false;
    rv_put(c, a->rd, ir_binary(c->b, code, rv_get(c, a->rs1), rv_get(c, a->rs2)));
    return true;
}

static bool rotate_word(RvTrans *c, const ArgsR *a, IrCode code)
{
    if (!c->p->zbb || c->rv32)
        return false;
    rv_put(c, a->rd, ir_binary(c->b, code, rv_get32(c, a->rs1), rv_get32(c, a->rs2)));
    return true;
}

bool trans_rol(RvTrans *c, const ArgsR *a)
{
    return rotate(c, a, IR_ROL);
}

bool trans_ror(RvTrans *c, const ArgsR *a)
{
    return rotate(c, a, IR_ROR);
}

bool trans_rolw(RvTrans *c, const ArgsR *a)
{
    return rotate_word(c, a, IR_ROL);
}

bool trans_rorw(RvTrans *c, const ArgsR *a)
{
    return rotate_word(c, a, IR_ROR);
}

bool trans_rori(RvTrans *c, const ArgsI *a)
{
    if (!c->p->zbb || (c->rv32 && a->imm > 31))
        return false;
    rv_put(c, a->rd, ir_binary_imm(c->b, IR_ROR, rv_get(c, a->rs1), a->imm));
    return true;
}

bool trans_roriw(RvTrans *c, const ArgsI *a)
{
    if (!c->p->zbb || c->rv32)
        return false;
    rv_put(c, a->rd, ir_binary_imm(c->b, IR_ROR, rv_get32(c, a->rs1), a->imm));
    return true;
}

/* Each byte that is not zero becomes 0xff: carries out of the low 7 bits, or bit 7 itself, mark
   it. */
bool trans_orc_b(RvTrans *c, const ArgsUn *a)
{
    IrBuilder *b = c->b;
    if (!c->p->zbb)
        return false;
    IrRef x = rv_get64(c, a->rs1);
    IrRef low7 = ir_const(b, IR_I64, UINT64_C(0x7f7f7f7f7f7f7f7f));
    IrRef carry = ir_binary(b, IR_ADD, ir_binary(b, IR_AND, x, low7), low7);
    IrRef marks = ir_binary(b, IR_ANDN, ir_binary(b, IR_OR, carry, x), low7);
    IrRef ones = ir_binary_imm(b, IR_SHR, marks, 7);
    IrRef v = ir_binary(b, IR_SUB, ir_binary_imm(b, IR_SHL, ones, 8), ones);
    rv_put(c, a->rd, ir_trunc(b, c->xlen, v));
    return true;
}

bool trans_rev8_32(RvTrans *c, const ArgsUn *a)
{
    return c->rv32 && unary(c, a, IR_BSWAP, IR_I32);
}

bool trans_rev8_64(RvTrans *c, const ArgsUn *a)
{
    return unary(c, a, IR_BSWAP, IR_I64);
}

/* Zbc */

static bool carryless(RvTrans *c, const ArgsR *a, IrCode code)
{
    if (!c->p->zbc)
        return false;
    rv_put(c, a->rd, ir_binary(c->b, code, rv_get(c, a->rs1), rv_get(c, a->rs2)));
    return true;
}

bool trans_clmul(RvTrans *c, const ArgsR *a)
{
    return carryless(c, a, IR_CLMUL);
}

bool trans_clmulh(RvTrans *c, const ArgsR *a)
{
    return carryless(c, a, IR_CLMULH);
}

/* Bits XLEN-1 .. 2*XLEN-2 of the product. */
bool trans_clmulr(RvTrans *c, const ArgsR *a)
{
    IrBuilder *b = c->b;
    if (!c->p->zbc)
        return false;
    IrRef x = rv_get(c, a->rs1), y = rv_get(c, a->rs2);
    IrRef high = ir_binary_imm(b, IR_SHL, ir_binary(b, IR_CLMULH, x, y), 1);
    IrRef low = ir_binary_imm(b, IR_SHR, ir_binary(b, IR_CLMUL, x, y), c->rv32 ? 31 : 63);
    rv_put(c, a->rd, ir_binary(b, IR_OR, high, low));
    return true;
}

/* Zbs */

static IrRef bit(RvTrans *c, IrRef n)
{
    return ir_binary(c->b, IR_SHL, rv_imm(c, 1), n);
}

static bool single(RvTrans *c, int rd, int rs1, IrRef n, IrCode code)
{
    rv_put(c, rd, ir_binary(c->b, code, rv_get(c, rs1), bit(c, n)));
    return true;
}

static bool single_reg(RvTrans *c, const ArgsR *a, IrCode code)
{
    return c->p->zbs && single(c, a->rd, a->rs1, rv_get(c, a->rs2), code);
}

static bool single_imm(RvTrans *c, const ArgsI *a, IrCode code)
{
    return c->p->zbs && !(c->rv32 && a->imm > 31) &&
           single(c, a->rd, a->rs1, rv_imm(c, a->imm), code);
}

static bool extract_bit(RvTrans *c, int rd, int rs1, IrRef n)
{
    IrRef v = ir_binary(c->b, IR_SHR, rv_get(c, rs1), n);
    rv_put(c, rd, ir_binary_imm(c->b, IR_AND, v, 1));
    return true;
}

bool trans_bclr(RvTrans *c, const ArgsR *a)
{
    return single_reg(c, a, IR_ANDN);
}

bool trans_bset(RvTrans *c, const ArgsR *a)
{
    return single_reg(c, a, IR_OR);
}

bool trans_binv(RvTrans *c, const ArgsR *a)
{
    return single_reg(c, a, IR_XOR);
}

bool trans_bext(RvTrans *c, const ArgsR *a)
{
    return c->p->zbs && extract_bit(c, a->rd, a->rs1, rv_get(c, a->rs2));
}

bool trans_bclri(RvTrans *c, const ArgsI *a)
{
    return single_imm(c, a, IR_ANDN);
}

bool trans_bseti(RvTrans *c, const ArgsI *a)
{
    return single_imm(c, a, IR_OR);
}

bool trans_binvi(RvTrans *c, const ArgsI *a)
{
    return single_imm(c, a, IR_XOR);
}

bool trans_bexti(RvTrans *c, const ArgsI *a)
{
    return c->p->zbs && !(c->rv32 && a->imm > 31) &&
           extract_bit(c, a->rd, a->rs1, rv_imm(c, a->imm));
}

/* Zicond */

static bool zero_if(RvTrans *c, const ArgsR *a, IrCond cond)
{
    if (!c->p->zicond)
        return false;
    IrRef zero = ir_const(c->b, IR_I64, 0);
    IrRef yes = ir_cmp(c->b, cond, rv_get64(c, a->rs2), zero);
    rv_put64(c, a->rd, ir_select(c->b, yes, zero, rv_get64(c, a->rs1)));
    return true;
}

bool trans_czero_eqz(RvTrans *c, const ArgsR *a)
{
    return zero_if(c, a, IR_EQ);
}

bool trans_czero_nez(RvTrans *c, const ArgsR *a)
{
    return zero_if(c, a, IR_NE);
}
