/* SPDX-License-Identifier: MIT */
/*
 * Data processing on general registers. NZCV is a slot of type flags whose carry is Arm's: set by a
 * subtraction that does not borrow.
 */
#include "guest/arm/arm_priv.h"

#define DECODE_EXTERN
#define DECODE_TYPES_ONLY
#include "gen/guest/arm/a64_int.inc"

static IrRef flags3(ArmTrans *c, IrCode code, IrRef x, IrRef y, IrRef z)
{
    return ir_op(c->b, (IrOp){.code = (uint8_t)code, .type = IR_FLAGS, .a = x, .b = y, .c = z});
}

static IrRef invert_carry(ArmTrans *c, IrRef f)
{
    return ir_unary(c->b, IR_FLAGS_INVC, IR_FLAGS, f);
}

static IrRef test_flags(ArmTrans *c, IrRef f, IrFlagCond cond)
{
    return ir_op(c->b, (IrOp){.code = IR_FLAGS_TEST, .type = IR_I8, .sub = (uint8_t)cond, .a = f});
}

IrRef arm_condition(ArmTrans *c, unsigned cc)
{
    static const uint8_t tests[][2] = {
        {IR_F_Z, IR_F_NZ}, {IR_F_C, IR_F_NC}, {IR_F_S, IR_F_NS}, {IR_F_O, IR_F_NO},
        {IR_F_A, IR_F_BE}, {IR_F_GE, IR_F_L}, {IR_F_G, IR_F_LE}};
    if (cc >> 1 == 7)
        return ir_const(c->b, IR_I8, 1);
    IrRef f = ir_get(c->b, SLOT_FLAGS);
    if (cc >> 1 == 4) /* C and not Z: "above", once the carry is a borrow */
        f = invert_carry(c, f);
    return test_flags(c, f, tests[cc >> 1][cc & 1]);
}

IrRef arm_nzcv_const(ArmTrans *c, unsigned nzcv)
{
    uint32_t f = (nzcv & 8 ? IR_FLAG_S : 0) | (nzcv & 4 ? IR_FLAG_Z : 0) |
                 (nzcv & 2 ? IR_FLAG_C : 0) | (nzcv & 1 ? IR_FLAG_O : 0);
    return ir_unary(c->b, IR_FLAGS_PACK, IR_FLAGS, ir_const(c->b, IR_I32, f));
}

bool arm_bit_mask(bool sf, unsigned n, unsigned immr, unsigned imms, uint64_t *mask)
{
    unsigned all = n << 6 | (~imms & 63), len = 31 - (unsigned)__builtin_clz(all | 1);
    if (!all || !len || (!sf && n))
        return false;
    unsigned size = 1u << len, s = imms & (size - 1), r = immr & (size - 1);
    if (s == size - 1)
        return false;
    uint64_t e = bits_mask(s + 1);
    if (r)
        e = (e >> r | e << (size - r)) & bits_mask(size);
    for (; size < 64; size *= 2)
        e |= e << size;
    *mask = sf ? e : (uint32_t)e;
    return true;
}

/* rd, sp in place of the zero register if no flags are set. */
static bool add_sub(ArmTrans *c, int rd, bool sp, bool sub, bool set, IrRef x, IrRef y)
{
    IrRef v = ir_binary(c->b, sub ? IR_SUB : IR_ADD, x, y);
    if (set) {
        IrRef f = flags3(c, sub ? IR_FLAGS_SUB : IR_FLAGS_ADD, x, y, 0);
        arm_put(c, rd, v);
        ir_put(c->b, SLOT_FLAGS, sub ? invert_carry(c, f) : f);
    } else if (sp) {
        arm_put_sp(c, rd, v);
    } else {
        arm_put(c, rd, v);
    }
    return true;
}

bool trans_a64_adr(ArmTrans *c, const ArgsAdr *a)
{
    /* ADRP: pages from that of the instruction, whose address is known only when it runs */
    if (!a->top) {
        arm_put(c, a->rd, ir_pc(c->b, c->b->insn + a->imm));
        return true;
    }
    IrRef page = ir_binary_imm(c->b, IR_AND, ir_pc(c->b, c->b->insn), -4096);
    arm_put(c, a->rd, ir_binary_imm(c->b, IR_ADD, page, (int64_t)a->imm * 4096));
    return true;
}

bool trans_a64_add_imm(ArmTrans *c, const ArgsAddi *a)
{
    IrRef x = ir_trunc(c->b, arm_type(a->sf), arm_x_sp(c, a->rn));
    IrRef y = ir_const(c->b, arm_type(a->sf), (uint64_t)a->imm << (a->sh ? 12 : 0));
    return add_sub(c, a->rd, true, a->op, a->s, x, y);
}

static bool logic(ArmTrans *c, int rd, bool sp, int opc, IrRef x, IrRef y)
{
    static const IrCode codes[] = {IR_AND, IR_OR, IR_XOR, IR_AND};
    IrRef v = ir_binary(c->b, codes[opc], x, y);
    if (sp && opc != 3)
        arm_put_sp(c, rd, v);
    else
        arm_put(c, rd, v);
    if (opc == 3)
        ir_put(c->b, SLOT_FLAGS, flags3(c, IR_FLAGS_LOGIC, v, 0, 0));
    return true;
}

bool trans_a64_logic_imm(ArmTrans *c, const ArgsLogi *a)
{
    uint64_t mask;
    if (!arm_bit_mask(a->sf, (unsigned)a->n, (unsigned)a->immr, (unsigned)a->imms, &mask))
        return false;
    return logic(c, a->rd, true, a->opc, arm_r(c, a->sf, a->rn), ir_const(c->b, arm_type(a->sf), mask));
}

bool trans_a64_movw(ArmTrans *c, const ArgsMovw *a)
{
    IrType t = arm_type(a->sf);
    unsigned at = 16 * (unsigned)a->hw;
    uint64_t v = (uint64_t)(uint32_t)a->imm << at;
    if ((!a->sf && a->hw > 1) || a->opc == 1)
        return false;
    if (a->opc == 3)
        arm_put(c, a->rd, ir_deposit(c->b, arm_r(c, a->sf, a->rd), ir_const(c->b, t, (uint64_t)a->imm), at, 16));
    else
        arm_put(c, a->rd, ir_const(c->b, t, a->opc ? v : a->sf ? ~v : (uint32_t)~v));
    return true;
}

/* SBFM, BFM, UBFM */
bool trans_a64_bitfield(ArmTrans *c, const ArgsLogi *a)
{
    unsigned bits = a->sf ? 64 : 32, r = (unsigned)a->immr, s = (unsigned)a->imms;
    IrRef x = arm_r(c, a->sf, a->rn), v;
    if (a->n != a->sf || a->opc == 3 || r >= bits || s >= bits)
        return false;
    unsigned len = s >= r ? s - r + 1 : s + 1, from = s >= r ? r : 0, to = s >= r ? 0 : bits - r;
    if (a->opc == 1) {
        IrRef field = from ? ir_binary_imm(c->b, IR_SHR, x, from) : x;
        IrRef old = arm_r(c, a->sf, a->rd);
        v = len == bits ? field : ir_deposit(c->b, old, field, to, len);
    } else {
        v = ir_binary_imm(c->b, IR_SHL, x, bits - from - len);
        v = ir_binary_imm(c->b, a->opc ? IR_SHR : IR_SAR, v, bits - len);
        if (a->opc && len < 32) /* an AND does */
            v = ir_extract(c->b, x, from, len);
        v = ir_binary_imm(c->b, IR_SHL, v, to);
    }
    arm_put(c, a->rd, v);
    return true;
}

bool trans_a64_extr(ArmTrans *c, const ArgsExtr *a)
{
    unsigned bits = a->sf ? 64 : 32, at = (unsigned)a->imms;
    if (a->n != a->sf || at >= bits)
        return false;
    IrRef low = arm_r(c, a->sf, a->rm), high = arm_r(c, a->sf, a->rn);
    if (a->rm == a->rn)
        low = ir_binary_imm(c->b, IR_ROR, low, at);
    else if (at)
        low = ir_binary(c->b, IR_OR, ir_binary_imm(c->b, IR_SHR, low, at),
                        ir_binary_imm(c->b, IR_SHL, high, bits - at));
    arm_put(c, a->rd, low);
    return true;
}

/* registers */

static IrRef shifted(ArmTrans *c, const ArgsShifted *a)
{
    static const IrCode kinds[] = {IR_SHL, IR_SHR, IR_SAR, IR_ROR};
    IrRef v = arm_r(c, a->sf, a->rm);
    return a->imms ? ir_binary_imm(c->b, kinds[a->shift], v, a->imms) : v;
}

bool trans_a64_logic(ArmTrans *c, const ArgsShifted *a)
{
    if (!a->sf && a->imms >= 32)
        return false;
    IrRef y = shifted(c, a);
    if (a->neg)
        y = ir_unary(c->b, IR_NOT, arm_type(a->sf), y);
    return logic(c, a->rd, false, a->opc, arm_r(c, a->sf, a->rn), y);
}

bool trans_a64_add(ArmTrans *c, const ArgsShifted *a)
{
    if (a->shift == 3 || (!a->sf && a->imms >= 32))
        return false;
    return add_sub(c, a->rd, false, a->opc & 2, a->opc & 1, arm_r(c, a->sf, a->rn), shifted(c, a));
}

bool trans_a64_add_ext(ArmTrans *c, const ArgsExt *a)
{
    static const IrType types[] = {IR_I8, IR_I16, IR_I32, IR_I64};
    IrType t = arm_type(a->sf);
    if (a->imm > 4)
        return false;
    IrRef x = ir_trunc(c->b, t, arm_x_sp(c, a->rn)), y = arm_x(c, a->rm);
    y = ir_trunc(c->b, types[a->option & 3], y);
    y = a->option & 4 ? ir_sext(c->b, IR_I64, y) : ir_zext(c->b, IR_I64, y);
    y = ir_binary_imm(c->b, IR_SHL, ir_trunc(c->b, t, y), a->imm);
    return add_sub(c, a->rd, true, a->op, a->s, x, y);
}

bool trans_a64_adc(ArmTrans *c, const ArgsAdc *a)
{
    IrType t = arm_type(a->sf);
    IrRef x = arm_r(c, a->sf, a->rn), y = arm_r(c, a->sf, a->rm);
    IrRef in = test_flags(c, ir_get(c->b, SLOT_FLAGS), a->op ? IR_F_NC : IR_F_C);
    IrCode code = a->op ? IR_SUB : IR_ADD;
    IrRef v = ir_binary(c->b, code, ir_binary(c->b, code, x, y), ir_zext(c->b, t, in));
    IrRef f = 0;
    if (a->s)
        f = flags3(c, a->op ? IR_FLAGS_SBC : IR_FLAGS_ADC, x, y, in);
    arm_put(c, a->rd, v);
    if (a->s)
        ir_put(c->b, SLOT_FLAGS, a->op ? invert_carry(c, f) : f);
    return true;
}

bool trans_a64_ccmp(ArmTrans *c, const ArgsCcmp *a)
{
    IrRef x = arm_r(c, a->sf, a->rn);
    IrRef y = a->isimm ? ir_const(c->b, arm_type(a->sf), (uint64_t)a->rm) : arm_r(c, a->sf, a->rm);
    IrRef cond = arm_condition(c, (unsigned)a->cond);
    IrRef f = flags3(c, a->op ? IR_FLAGS_SUB : IR_FLAGS_ADD, x, y, 0);
    if (a->op)
        f = invert_carry(c, f);
    ir_put(c->b, SLOT_FLAGS, ir_select(c->b, cond, f, arm_nzcv_const(c, (unsigned)a->nzcv)));
    return true;
}

bool trans_a64_csel(ArmTrans *c, const ArgsCsel *a)
{
    IrType t = arm_type(a->sf);
    IrRef yes = arm_r(c, a->sf, a->rn), no = arm_r(c, a->sf, a->rm);
    if (a->op)
        no = ir_unary(c->b, IR_NOT, t, no);
    if (a->op2)
        no = ir_binary_imm(c->b, IR_ADD, no, 1);
    arm_put(c, a->rd, ir_select(c->b, arm_condition(c, (unsigned)a->cond), yes, no));
    return true;
}

bool trans_a64_div(ArmTrans *c, const ArgsDiv *a)
{
    IrRef x = arm_r(c, a->sf, a->rn), y = arm_r(c, a->sf, a->rm);
    IrRef zero = ir_const(c->b, arm_type(a->sf), 0);
    IrRef q = ir_binary(c->b, a->sgn ? IR_DIVS : IR_DIVU, x, y);
    arm_put(c, a->rd, ir_select(c->b, ir_cmp(c->b, IR_EQ, y, zero), zero, q));
    return true;
}

bool trans_a64_shiftv(ArmTrans *c, const ArgsShv *a)
{
    static const IrCode kinds[] = {IR_SHL, IR_SHR, IR_SAR, IR_ROR};
    arm_put(c, a->rd, ir_binary(c->b, kinds[a->kind], arm_r(c, a->sf, a->rn), arm_r(c, a->sf, a->rm)));
    return true;
}

bool trans_a64_crc32(ArmTrans *c, const ArgsCrc *a)
{
    if (!c->p->crc32 || (a->size == 3) != a->sf)
        return false;
    IrRef crc = ir_zext(c->b, IR_I64, arm_r(c, 0, a->rn));
    arm_put(c, a->rd, ir_trunc(c->b, IR_I32, ir_call(c->b, HELPER_CRC32, crc, arm_x(c, a->rm),
                                                    ir_const(c->b, IR_I64, UINT64_C(1) << a->size),
                                                    ir_const(c->b, IR_I64, (uint64_t)a->crcc))));
    return true;
}

/* The bytes of each halfword exchanged. */
static IrRef rev16(ArmTrans *c, IrType t, IrRef x)
{
    uint64_t mask = UINT64_C(0x00ff00ff00ff00ff);
    IrRef high = ir_binary(c->b, IR_AND, ir_binary_imm(c->b, IR_SHR, x, 8), ir_const(c->b, t, mask));
    IrRef low = ir_binary_imm(c->b, IR_SHL, ir_binary(c->b, IR_AND, x, ir_const(c->b, t, mask)), 8);
    return ir_binary(c->b, IR_OR, high, low);
}

bool trans_a64_one(ArmTrans *c, const ArgsOne *a)
{
    IrType t = arm_type(a->sf);
    IrRef x = arm_r(c, a->sf, a->rn), v;
    switch (a->code1) {
    case 0: v = ir_unary(c->b, IR_BITREV, t, x); break;
    case 1: v = rev16(c, t, x); break;
    case 2:
        v = ir_unary(c->b, IR_BSWAP, t, x);
        if (a->sf)
            v = ir_binary_imm(c->b, IR_ROR, v, 32);
        break;
    case 3:
        if (!a->sf)
            return false;
        v = ir_unary(c->b, IR_BSWAP, t, x);
        break;
    case 4:
        if (c->b->ops[x].code == IR_BITREV) /* what RBIT and CLZ are written for */
            v = ir_unary(c->b, IR_CTZ, t, c->b->ops[x].a);
        else
            v = ir_unary(c->b, IR_CLZ, t, x);
        break;
    case 5: /* leading bits equal to the sign, without it */
        v = ir_binary(c->b, IR_XOR, x, ir_binary_imm(c->b, IR_SAR, x, a->sf ? 63 : 31));
        v = ir_binary_imm(c->b, IR_ADD, ir_unary(c->b, IR_CLZ, t, v), -1);
        break;
    default: return false;
    }
    arm_put(c, a->rd, v);
    return true;
}

bool trans_a64_madd(ArmTrans *c, const ArgsMad *a)
{
    IrRef p = ir_binary(c->b, IR_MUL, arm_r(c, a->sf, a->rn), arm_r(c, a->sf, a->rm));
    arm_put(c, a->rd, ir_binary(c->b, a->o0 ? IR_SUB : IR_ADD, arm_r(c, a->sf, a->ra), p));
    return true;
}

bool trans_a64_maddl(ArmTrans *c, const ArgsMadl *a)
{
    IrRef x = arm_r(c, 0, a->rn), y = arm_r(c, 0, a->rm);
    x = a->uns ? ir_zext(c->b, IR_I64, x) : ir_sext(c->b, IR_I64, x);
    y = a->uns ? ir_zext(c->b, IR_I64, y) : ir_sext(c->b, IR_I64, y);
    arm_put(c, a->rd, ir_binary(c->b, a->o0 ? IR_SUB : IR_ADD, arm_x(c, a->ra), ir_binary(c->b, IR_MUL, x, y)));
    return true;
}

bool trans_a64_mulh(ArmTrans *c, const ArgsMulh *a)
{
    arm_put(c, a->rd, ir_binary(c->b, a->uns ? IR_MULHU : IR_MULHS, arm_x(c, a->rn), arm_x(c, a->rm)));
    return true;
}

/* branches */

bool trans_a64_b(ArmTrans *c, const ArgsB *a)
{
    if (!a->top) {
        ir_jump(c->b, c->b->insn + a->imm);
        return true;
    }
    arm_put(c, 30, ir_pc(c->b, c->next));
    ir_call_direct(c->b, c->b->insn + a->imm, c->next);
    return true;
}

bool trans_a64_cb(ArmTrans *c, const ArgsCb *a)
{
    IrRef zero = ir_const(c->b, arm_type(a->sf), 0);
    ir_branch(c->b, ir_cmp(c->b, a->cbop ? IR_NE : IR_EQ, arm_r(c, a->sf, a->rn), zero),
              c->b->insn + a->imm);
    return true;
}

bool trans_a64_tb(ArmTrans *c, const ArgsTb *a)
{
    IrRef bit = ir_extract(c->b, arm_x(c, a->rn), (unsigned)a->bit, 1);
    ir_branch(c->b, ir_cmp(c->b, a->cbop ? IR_NE : IR_EQ, bit, ir_const(c->b, IR_I64, 0)),
              c->b->insn + a->imm);
    return true;
}

bool trans_a64_b_cond(ArmTrans *c, const ArgsBc *a)
{
    if (a->cond >= 14)
        ir_jump(c->b, c->b->insn + a->imm);
    else
        ir_branch(c->b, arm_condition(c, (unsigned)a->cond), c->b->insn + a->imm);
    return true;
}

void arm_branch_register(ArmTrans *c, unsigned op, int rn, IrRef to)
{
    if (c->b->mode & MODE_GUARDS && op < 2)
        arm_set_btype(c, op, rn);
    if (op == 1) {
        arm_put(c, 30, ir_pc(c->b, c->next));
        ir_call_indirect(c->b, to, c->next);
    } else if (op == 2) {
        ir_return(c->b, to);
    } else {
        ir_jump_indirect(c->b, to);
    }
}

bool trans_a64_br(ArmTrans *c, const ArgsBr *a)
{
    arm_branch_register(c, (unsigned)a->brop, a->rn, arm_x(c, a->rn));
    return true;
}
