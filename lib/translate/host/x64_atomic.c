/* SPDX-License-Identifier: MIT */
/*
 * Atomic operations in line: user mode, words of 4 and 8 bytes in the host's byte
 * order. Unaligned addresses, and all else, are C's. A register that the guest
 * sees is written after the instruction that may fault.
 */
#include "translate/host/x64_priv.h"

static bool in_line(const Emit *e, IrMem mem)
{
    unsigned log2 = ir_mem_log2(mem);
    return e->t->guest->direct_memory && !e->t->options.memory_base && (log2 == 2 || log2 == 3) &&
           !(mem & (IR_MEM_BE | IR_MEM_ADDR32));
}

/* Unaligned: to C, with the operands from their registers. */
static Cold *check_alignment(Emit *e, IrRef i, unsigned base, unsigned value)
{
    const IrOp *op = op_of(e, i);
    op_rr8(&e->a, false, 0xf6, 0, (int)base); /* test base, size - 1 */
    put8(&e->a, ir_mem_bytes((IrMem)op->imm) - 1);
    Cold *c = add_cold(e, COLD_EVAL);
    put8(&e->a, 0x0f);
    put8(&e->a, 0x80 | CC_NE);
    put32(&e->a, 0);
    c->from = e->a.p;
    c->op = i;
    c->type = op->type;
    c->regs[0] = (uint8_t)base;
    c->regs[1] = (uint8_t)value;
    c->regs[2] = NO_REG;
    return c;
}

/* d = what was loaded into t, as the operation's type */
static void finish(Emit *e, Cold *c, const IrOp *op, unsigned d, unsigned t)
{
    if (ir_mem_log2((IrMem)op->imm) == 2 && op->imm & IR_MEM_SIGNED && is_64(op->type))
        op_rr(&e->a, 0, true, 0x63, (int)d, (int)t); /* movsxd */
    else if (d != t)
        mov_rr(&e->a, is_64(op->type), (int)d, (int)t);
    c->reg = (uint8_t)d;
    c->back = e->a.p;
}

/* A temporary to work in: d itself where that is one and no operand. */
static unsigned scratch(Emit *e, unsigned d, unsigned a, unsigned b)
{
    bool own = d != a && d != b;
    for (unsigned n = 0; own && n < e->n_temps; n++)
        if (e->temps[n] == d)
            return d;
    return temp_gpr(e);
}

static bool emit_rmw(Emit *e, IrRef i, const IrOp *op)
{
    bool w = ir_mem_log2((IrMem)op->imm) == 3, add = op->sub == IR_ATOMIC_ADD;
    int32_t disp = (int32_t)(op->imm >> 32);
    if (disp || (!add && op->sub != IR_ATOMIC_SWAP) || (op->type != IR_I64 && op->type != IR_I32))
        return false;
    unsigned base = use_reg(e, op->a), value = use_reg(e, op->b), d = def_reg(e, i);
    unsigned t = scratch(e, d, base, value);
    Cold *c = check_alignment(e, i, base, value);
    mov_rr(&e->a, true, (int)t, (int)value);
    if (add)
        put8(&e->a, 0xf0); /* lock; xchg has it built in */
    op_rm(&e->a, 0, w, add ? 0x0fc1 : 0x87, (int)t, (int)base, 0);
    finish(e, c, op, d, t);
    return true;
}

static bool emit_linked(Emit *e, IrRef i, const IrOp *op)
{
    bool w = ir_mem_log2((IrMem)op->imm) == 3;
    if (op->imm >> 32 || (op->type != IR_I64 && op->type != IR_I32))
        return false;
    unsigned base = use_reg(e, op->a), d = def_reg(e, i), t = scratch(e, d, base, base);
    Cold *c = check_alignment(e, i, base, NO_REG);
    load(&e->a, w, (int)t, (int)base, 0);
    store(&e->a, true, RBP, CPU_DISP(e, linked_value), (int)t);
    store(&e->a, true, RBP, CPU_DISP(e, linked_address), (int)base);
    store_i(&e->a, false, RBP, CPU_DISP(e, linked_valid), 1);
    finish(e, c, op, d, t);
    return true;
}

static bool emit_conditional(Emit *e, IrRef i, const IrOp *op)
{
    Asm *a = &e->a;
    bool w = ir_mem_log2((IrMem)op->imm) == 3;
    if (op->imm >> 32)
        return false;
    take_reg(e, RAX);
    unsigned base = use_reg(e, op->a), value = use_reg(e, op->b);
    Cold *c = check_alignment(e, i, base, value);
    alu_mi(a, false, ALU_CMP, RBP, CPU_DISP(e, linked_valid), 1);
    uint8_t *none = jump_short(a, CC_NE);
    store_i(a, false, RBP, CPU_DISP(e, linked_valid), 0);
    alu_rm(a, true, ALU_CMP, (int)base, RBP, CPU_DISP(e, linked_address));
    uint8_t *other = jump_short(a, CC_NE);
    load(a, true, RAX, RBP, CPU_DISP(e, linked_value));
    put8(a, 0xf0);
    op_rm(a, 0, w, 0x0fb1, (int)value, (int)base, 0); /* lock cmpxchg */
    land(a, none);
    land(a, other);
    setcc(a, CC_E, RAX);
    def_in(e, i, RAX);
    c->reg = RAX;
    c->back = a->p;
    return true;
}

bool emit_atomic(Emit *e, IrRef i, const IrOp *op)
{
    if (!in_line(e, (IrMem)op->imm))
        return false;
    switch (op->code) {
    case IR_ATOMIC: return emit_rmw(e, i, op);
    case IR_LOAD_LINKED: return emit_linked(e, i, op);
    case IR_STORE_COND: return emit_conditional(e, i, op);
    default: return false;
    }
}
