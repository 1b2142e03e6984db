/* SPDX-License-Identifier: MIT */
/*
 * Integer instructions: RV32I/RV64I arithmetic and control, M. Operations work
 * on XLEN bits (rv_get/rv_put), *W ones on 32; both are sign-extended into the
 * register, which costs nothing where the value is known to be so already.
 */
#include "guest/riscv/riscv_priv.h"

#define DECODE_EXTERN
#define DECODE_TYPES_ONLY
#include "gen/guest/riscv/rv.inc"

bool trans_lui(RvTrans *c, const ArgsU *a)
{
    rv_put64(c, a->rd, ir_const(c->b, IR_I64, (uint64_t)(int64_t)a->imm));
    return true;
}

/* Address at `offset` from the region's start, as a register value. */
static IrRef pc_value(RvTrans *c, int64_t offset)
{
    IrRef pc = ir_pc(c->b, offset);
    return c->rv32 ? ir_sext(c->b, IR_I64, ir_trunc(c->b, IR_I32, pc)) : pc;
}

bool trans_auipc(RvTrans *c, const ArgsU *a)
{
    rv_put64(c, a->rd, pc_value(c, c->b->insn + a->imm));
    return true;
}

static bool is_link(int r)
{
    return r == 1 || r == 5;
}

bool trans_jal(RvTrans *c, const ArgsJ *a)
{
    int64_t target = c->b->insn + a->imm;
    if (!c->p->c && a->imm & 2) {
        ir_raise(c->b, RISCV_FETCH_MISALIGNED, ir_pc(c->b, target));
        return true;
    }
    if (a->rd)
        rv_put64(c, a->rd, pc_value(c, c->next));
    if (is_link(a->rd))
        ir_call_direct(c->b, target, c->next);
    else
        ir_jump(c->b, target);
    return true;
}

static IrRef jump_address(RvTrans *c, int rs1, int32_t imm)
{
    IrRef v = ir_binary_imm(c->b, IR_ADD, rv_get(c, rs1), imm);
    const IrOp *op = &c->b->ops[v];
    if (op->code != IR_PC || op->imm & 1)
        v = ir_binary_imm(c->b, IR_AND, v, ~INT64_C(1));
    return ir_zext(c->b, IR_I64, v);
}

bool trans_jalr(RvTrans *c, const ArgsI *a)
{
    IrRef target = jump_address(c, a->rs1, a->imm);
    if (!c->p->c) {
        unsigned aligned = ir_label_new(c->b);
        IrRef two = ir_binary_imm(c->b, IR_AND, target, 2);
        ir_brcond(c->b, ir_cmp(c->b, IR_EQ, two, ir_const(c->b, IR_I64, 0)), aligned);
        ir_raise(c->b, RISCV_FETCH_MISALIGNED, target);
        ir_label(c->b, aligned);
        c->b->flow = IR_NEXT;
        target = jump_address(c, a->rs1, a->imm);
    }
    if (a->rd)
        rv_put64(c, a->rd, pc_value(c, c->next));
    if (is_link(a->rd))
        ir_call_indirect(c->b, target, c->next);
    else if (is_link(a->rs1) && !a->rd)
        ir_return(c->b, target);
    else
        ir_jump_indirect(c->b, target);
    return true;
}

bool trans_branch(RvTrans *c, const ArgsBranch *a)
{
    static const uint8_t conds[] = {IR_EQ, IR_NE, 0, 0, IR_LT, IR_GE, IR_LTU, IR_GEU};
    int64_t target = c->b->insn + a->imm;
    /* sign-extended values compare as the 32-bit ones do */
    IrCond cond = (IrCond)conds[a->cond];
    if (!c->p->c && a->imm & 2) {
        unsigned over = ir_label_new(c->b);
        ir_brcond(c->b, ir_cmp(c->b, ir_cond_invert(cond), rv_get64(c, a->rs1),
                               rv_get64(c, a->rs2)), over);
        ir_raise(c->b, RISCV_FETCH_MISALIGNED, ir_pc(c->b, target));
        ir_label(c->b, over);
        c->b->flow = IR_NEXT;
        return true;
    }
    ir_branch(c->b, ir_cmp(c->b, cond, rv_get64(c, a->rs1), rv_get64(c, a->rs2)), target);
    return true;
}

static bool op_imm(RvTrans *c, const ArgsI *a, IrCode code)
{
    rv_put(c, a->rd, ir_binary_imm(c->b, code, rv_get(c, a->rs1), a->imm));
    return true;
}

/* and, or, xor of sign-extended values are sign-extended: no need to narrow. */
static bool logic_imm(RvTrans *c, const ArgsI *a, IrCode code)
{
    rv_put64(c, a->rd, ir_binary_imm(c->b, code, rv_get64(c, a->rs1), a->imm));
    return true;
}

bool trans_addi(RvTrans *c, const ArgsI *a)
{
    if (!a->imm) { /* mv, nop */
        rv_put64(c, a->rd, rv_get64(c, a->rs1));
        return true;
    }
    return op_imm(c, a, IR_ADD);
}

bool trans_xori(RvTrans *c, const ArgsI *a)
{
    return logic_imm(c, a, IR_XOR);
}

bool trans_ori(RvTrans *c, const ArgsI *a)
{
    return logic_imm(c, a, IR_OR);
}

bool trans_andi(RvTrans *c, const ArgsI *a)
{
    return logic_imm(c, a, IR_AND);
}

static bool set_if(RvTrans *c, int rd, IrCond cond, IrRef x, IrRef y)
{
    rv_put64(c, rd, ir_zext(c->b, IR_I64, ir_cmp(c->b, cond, x, y)));
    return true;
}

bool trans_slti(RvTrans *c, const ArgsI *a)
{
    return set_if(c, a->rd, IR_LT, rv_get64(c, a->rs1),
                  ir_const(c->b, IR_I64, (uint64_t)(int64_t)a->imm));
}

bool trans_sltiu(RvTrans *c, const ArgsI *a)
{
    return set_if(c, a->rd, IR_LTU, rv_get64(c, a->rs1),
                  ir_const(c->b, IR_I64, (uint64_t)(int64_t)a->imm));
}

static bool shift_imm(RvTrans *c, const ArgsI *a, IrCode code)
{
    if (c->rv32 && a->imm > 31)
        return false;
    return op_imm(c, a, code);
}

bool trans_slli(RvTrans *c, const ArgsI *a)
{
    return shift_imm(c, a, IR_SHL);
}

bool trans_srli(RvTrans *c, const ArgsI *a)
{
    return shift_imm(c, a, IR_SHR);
}

bool trans_srai(RvTrans *c, const ArgsI *a)
{
    return shift_imm(c, a, IR_SAR);
}

static bool op(RvTrans *c, const ArgsR *a, IrCode code)
{
    rv_put(c, a->rd, ir_binary(c->b, code, rv_get(c, a->rs1), rv_get(c, a->rs2)));
    return true;
}

static bool logic(RvTrans *c, const ArgsR *a, IrCode code)
{
    rv_put64(c, a->rd, ir_binary(c->b, code, rv_get64(c, a->rs1), rv_get64(c, a->rs2)));
    return true;
}

bool trans_add(RvTrans *c, const ArgsR *a)
{
    if (!a->rs1) { /* c.mv */
        rv_put64(c, a->rd, rv_get64(c, a->rs2));
        return true;
    }
    return op(c, a, IR_ADD);
}

bool trans_sub(RvTrans *c, const ArgsR *a)
{
    return op(c, a, IR_SUB);
}

bool trans_sll(RvTrans *c, const ArgsR *a)
{
    return op(c, a, IR_SHL);
}

bool trans_srl(RvTrans *c, const ArgsR *a)
{
    return op(c, a, IR_SHR);
}

bool trans_sra(RvTrans *c, const ArgsR *a)
{
    return op(c, a, IR_SAR);
}

bool trans_xor(RvTrans *c, const ArgsR *a)
{
    return logic(c, a, IR_XOR);
}

bool trans_or(RvTrans *c, const ArgsR *a)
{
    return logic(c, a, IR_OR);
}

bool trans_and(RvTrans *c, const ArgsR *a)
{
    return logic(c, a, IR_AND);
}

bool trans_slt(RvTrans *c, const ArgsR *a)
{
    return set_if(c, a->rd, IR_LT, rv_get64(c, a->rs1), rv_get64(c, a->rs2));
}

bool trans_sltu(RvTrans *c, const ArgsR *a)
{
    return set_if(c, a->rd, IR_LTU, rv_get64(c, a->rs1), rv_get64(c, a->rs2));
}

/* RV64 instructions on words */

static bool word_imm(RvTrans *c, const ArgsI *a, IrCode code)
{
    if (c->rv32)
        return false;
    rv_put(c, a->rd, ir_binary_imm(c->b, code, rv_get32(c, a->rs1), a->imm));
    return true;
}

bool trans_addiw(RvTrans *c, const ArgsI *a)
{
    return word_imm(c, a, IR_ADD);
}

bool trans_slliw(RvTrans *c, const ArgsI *a)
{
    return word_imm(c, a, IR_SHL);
}

bool trans_srliw(RvTrans *c, const ArgsI *a)
{
    return word_imm(c, a, IR_SHR);
}

bool trans_sraiw(RvTrans *c, const ArgsI *a)
{
    return word_imm(c, a, IR_SAR);
}

static bool word(RvTrans *c, const ArgsR *a, IrCode code)
{
    if (c->rv32)
        return false;
    rv_put(c, a->rd, ir_binary(c->b, code, rv_get32(c, a->rs1), rv_get32(c, a->rs2)));
    return true;
}

bool trans_addw(RvTrans *c, const ArgsR *a)
{
    return word(c, a, IR_ADD);
}

bool trans_subw(RvTrans *c, const ArgsR *a)
{
    return word(c, a, IR_SUB);
}

bool trans_sllw(RvTrans *c, const ArgsR *a)
{
    return word(c, a, IR_SHL);
}

bool trans_srlw(RvTrans *c, const ArgsR *a)
{
    return word(c, a, IR_SHR);
}

bool trans_sraw(RvTrans *c, const ArgsR *a)
{
    return word(c, a, IR_SAR);
}

/* M: the IR's division has RISC-V's results for zero divisors and overflow */

static bool m_op(RvTrans *c, const ArgsR *a, IrCode code)
{
    return c->p->m && op(c, a, code);
}

static bool m_word(RvTrans *c, const ArgsR *a, IrCode code)
{
    return c->p->m && word(c, a, code);
}

bool trans_mul(RvTrans *c, const ArgsR *a)
{
    return m_op(c, a, IR_MUL);
}

bool trans_mulh(RvTrans *c, const ArgsR *a)
{
    return m_op(c, a, IR_MULHS);
}

bool trans_mulhsu(RvTrans *c, const ArgsR *a)
{
    return m_op(c, a, IR_MULHSU);
}

bool trans_mulhu(RvTrans *c, const ArgsR *a)
{
    return m_op(c, a, IR_MULHU);
}

bool trans_div(RvTrans *c, const ArgsR *a)
{
    return m_op(c, a, IR_DIVS);
}

bool trans_divu(RvTrans *c, const ArgsR *a)
{
    return m_op(c, a, IR_DIVU);
}

bool trans_rem(RvTrans *c, const ArgsR *a)
{
    return m_op(c, a, IR_REMS);
}

bool trans_remu(RvTrans *c, const ArgsR *a)
{
    return m_op(c, a, IR_REMU);
}

bool trans_mulw(RvTrans *c, const ArgsR *a)
{
    return m_word(c, a, IR_MUL);
}

bool trans_divw(RvTrans *c, const ArgsR *a)
{
    return m_word(c, a, IR_DIVS);
}

bool trans_divuw(RvTrans *c, const ArgsR *a)
{
    return m_word(c, a, IR_DIVU);
}

bool trans_remw(RvTrans *c, const ArgsR *a)
{
    return m_word(c, a, IR_REMS);
}

bool trans_remuw(RvTrans *c, const ArgsR *a)
{
    return m_word(c, a, IR_REMU);
}
