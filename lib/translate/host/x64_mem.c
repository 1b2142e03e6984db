/* SPDX-License-Identifier: MIT */
/*
 * Memory accesses on x86-64. System mode looks the page up in line:
 *
 *     lea  t2, [base + disp]
 *     rorx t1, t2, 7            index of the page's entry, times its size
 *     and  t1, ...
 *     xor  t2, [rbp + t1 + tag] offset in the page, if it is this page
 *     cmp  t2, 4096 - size
 *     ja   cold
 *     add  t2, [rbp + t1 + host]
 *     mov  d, [t2]
 *
 * User mode uses the address as it is (plus a base). Everything else (a miss,
 * device memory, page crossing, code pages) is memory.c's, called from cold code.
 */
#include "translate/host/x64_priv.h"

static unsigned log2_of_entry(void)
{
    _Static_assert(sizeof(TranslateTlbEntry) == 32, "the index is shifted by 5");
    return 5;
}

static int32_t tlb_disp(const Emit *e, unsigned mmu, bool is_store)
{
    if (e->t->options.accel == TRANSLATE_VERIFY)
        mmu = TRANSLATE_MMUS - 1; /* always empty: every access goes through the log */
    return CPU_DISP(e, tlb) + (int32_t)(mmu * sizeof(TranslateTlbEntry) * TRANSLATE_TLB_SIZE) +
           (int32_t)(is_store ? offsetof(TranslateTlbEntry, write) : offsetof(TranslateTlbEntry, read));
}

/* Puts the host address of the access into the register returned; the jump to cold code is noted in *cold. */
static unsigned emit_address(Emit *e, unsigned base, int32_t disp, IrMem mem, bool is_store, Cold **cold)
{
    Asm *a = &e->a;
    bool w = !(mem & IR_MEM_ADDR32);
    unsigned t2 = temp_gpr(e), size = ir_mem_bytes(mem), mmu = ir_mem_mmu(mem);
    *cold = NULL;
    if (disp)
        lea(a, w, (int)t2, (int)base, disp);
    else
        mov_rr(a, w, (int)t2, (int)base);
    if (e->t->guest->direct_memory) {
        if (e->t->options.memory_base) {
            unsigned t1 = temp_gpr(e);
            mov_ri(a, (int)t1, e->t->options.memory_base);
            alu_rr(a, true, ALU_ADD, (int)t2, (int)t1);
        }
        if (!(mem & IR_MEM_ALIGNED) || size == 1)
            return t2;
    }
    Cold *c = add_cold(e, is_store ? COLD_STORE : COLD_LOAD);
    *cold = c;
    if (e->t->guest->direct_memory) {
        op_rr8(a, false, 0xf6, 0, (int)t2); /* test t2, size - 1 */
        put8(a, size - 1);
        put8(a, 0x0f);
        put8(a, 0x80 | CC_NE);
        put32(a, 0);
        c->from = a->p;
        return t2;
    }
    unsigned t1 = temp_gpr(e);
    rorx(a, true, (int)t1, (int)t2, GUEST_PAGE_BITS - log2_of_entry());
    alu_ri(a, false, ALU_AND, (int)t1, (int32_t)((TRANSLATE_TLB_SIZE - 1) << log2_of_entry()));
    op_rx(a, 0, true, ALU_XOR << 3 | 3, (int)t2, RBP, (int)t1, 0, tlb_disp(e, mmu, is_store));
    if (mem & IR_MEM_ALIGNED && size > 1) {
        /* the offset must be below the page size with its low bits clear: rotate them to the top */
        int32_t bad = (int32_t)(size - 1);
        op_rr(a, 0, true, 0xf7, 0, (int)t2); /* test t2, ~(page - size) */
        put32(a, (uint32_t)(~(int32_t)PAGE_MASK | bad));
        put8(a, 0x0f);
        put8(a, 0x80 | CC_NE);
    } else {
        alu_ri(a, true, ALU_CMP, (int)t2, (int32_t)(GUEST_PAGE_SIZE - size));
        put8(a, 0x0f);
        put8(a, 0x80 | CC_A);
    }
    put32(a, 0);
    c->from = a->p;
    op_rx(a, 0, true, ALU_ADD << 3 | 3, (int)t2, RBP, (int)t1, 0,
          tlb_disp(e, mmu, false) + (int32_t)offsetof(TranslateTlbEntry, host));
    return t2;
}

static void emit_load_gpr(Emit *e, IrMem mem, bool w, unsigned d, unsigned from)
{
    Asm *a = &e->a;
    bool sign = mem & IR_MEM_SIGNED, be = mem & IR_MEM_BE;
    switch (ir_mem_log2(mem)) {
    case 0:
        op_rm(a, 0, w && sign, sign ? 0x0fbe : 0x0fb6, (int)d, (int)from, 0);
        break;
    case 1:
        if (be) {
            op_rm(a, 0x66, false, 0x0f38f0, (int)d, (int)from, 0); /* movbe */
            op_rr(a, 0, w && sign, sign ? 0x0fbf : 0x0fb7, (int)d, (int)d);
        } else {
            op_rm(a, 0, w && sign, sign ? 0x0fbf : 0x0fb7, (int)d, (int)from, 0);
        }
        break;
    case 2:
        if (be) {
            op_rm(a, 0, false, 0x0f38f0, (int)d, (int)from, 0);
            if (sign && w)
                op_rr(a, 0, true, 0x63, (int)d, (int)d);
        } else if (sign && w) {
            op_rm(a, 0, true, 0x63, (int)d, (int)from, 0);
        } else {
            load(a, false, (int)d, (int)from, 0);
        }
        break;
    default:
        if (be)
            op_rm(a, 0, true, 0x0f38f0, (int)d, (int)from, 0);
        else
            load(a, true, (int)d, (int)from, 0);
        break;
    }
}

static void fill_cold(Emit *e, Cold *c, IrRef i, const IrOp *op, unsigned base, unsigned reg)
{
    if (!c)
        return;
    c->op = i;
    c->base = (uint8_t)base;
    c->reg = (uint8_t)reg;
    c->disp = (int32_t)(op->imm >> 32);
    c->info = (uint32_t)op->imm;
    c->type = op->type;
    c->back = e->a.p;
}

static bool emit_load(Emit *e, IrRef i, const IrOp *op)
{
    IrMem mem = (IrMem)op->imm;
    Cold *c;
    bool is_float = is_float_type(op->type);
    if (ir_mem_log2(mem) > 3 || is_wide_type(op->type) || (is_float && mem & IR_MEM_BE) || op->type == IR_F16)
        return false;
    unsigned base = use_reg(e, op->a), d = def_reg(e, i);
    unsigned host = emit_address(e, base, (int32_t)(op->imm >> 32), mem, false, &c);
    if (is_float)
        vex_rm(&e->a, 1, op->type == IR_F32 ? 2 : 3, false, 0x10, (int)d - 16, 0, (int)host, 0);
    else
        emit_load_gpr(e, mem, is_64(op->type), d, host);
    fill_cold(e, c, i, op, base, d);
    return true;
}

static void emit_store_gpr(Emit *e, IrMem mem, unsigned v, unsigned to)
{
    Asm *a = &e->a;
    bool be = mem & IR_MEM_BE;
    switch (ir_mem_log2(mem)) {
    case 0:
        op_rm8(a, 0x88, (int)v, (int)to, 0);
        break;
    case 1:
        op_rm(a, 0x66, false, be ? 0x0f38f1 : 0x89, (int)v, (int)to, 0);
        break;
    default:
        op_rm(a, 0, ir_mem_log2(mem) == 3, be ? 0x0f38f1 : 0x89, (int)v, (int)to, 0);
        break;
    }
}

static bool emit_store(Emit *e, const IrOp *op)
{
    IrMem mem = (IrMem)op->imm;
    const IrOp *value = op_of(e, op->b);
    Cold *c;
    bool is_float = is_float_type(value->type);
    if (ir_mem_log2(mem) > 3 || is_wide_type(value->type) || (is_float && mem & IR_MEM_BE) || value->type == IR_F16)
        return false;
    unsigned base = use_reg(e, op->a), v = use_reg(e, op->b);
    unsigned host = emit_address(e, base, (int32_t)(op->imm >> 32), mem, true, &c);
    if (!is_float)
        emit_store_gpr(e, mem, v, host);
    else if (ir_mem_log2(mem) == 2)
        vex_rm(&e->a, 1, 2, false, 0x11, (int)v - 16, 0, (int)host, 0);
    else
        vex_rm(&e->a, 1, 3, false, 0x11, (int)v - 16, 0, (int)host, 0);
    fill_cold(e, c, 0, op, base, v);
    return true;
}

void emit_cold_memory(Emit *e, Cold *c)
{
    Asm *a = &e->a;
    bool is_store = c->kind == COLD_STORE;
    bool is_float = c->reg >= 16;
    /* a scratch register that is neither base nor value: any temporary is free to be changed if put back */
    if (c->disp || c->info & IR_MEM_ADDR32) {
        unsigned t = c->base == RAX || c->reg == RAX ? (c->base == RCX || c->reg == RCX ? RDX : RCX) : RAX;
        store(a, true, RBP, CPU_DISP(e, slow_value), (int)t);
        lea(a, !(c->info & IR_MEM_ADDR32), (int)t, c->base, c->disp);
        store(a, true, RBP, CPU_DISP(e, slow_address), (int)t);
        load(a, true, (int)t, RBP, CPU_DISP(e, slow_value));
    } else {
        store(a, true, RBP, CPU_DISP(e, slow_address), c->base);
    }
    if (is_store) {
        if (is_float)
            vex_rm(a, 1, 1, false, 0xd6, c->reg - 16, 0, RBP, CPU_DISP(e, slow_value));
        else
            store(a, true, RBP, CPU_DISP(e, slow_value), c->reg);
    }
    store_i(a, false, RBP, CPU_DISP(e, slow_info), (int32_t)c->info);
    emit_call_thunk(e, is_store ? e->k->store : e->k->load);
    if (is_store)
        return;
    if (is_float)
        vex_rm(a, 1, 2, false, 0x7e, c->reg - 16, 0, RBP, CPU_DISP(e, slow_value));
    else
        load(a, is_64(c->type), c->reg, RBP, CPU_DISP(e, slow_value));
}

bool emit_memory(Emit *e, IrRef i, const IrOp *op)
{
    if (e->t->options.accel == TRANSLATE_VERIFY && e->t->guest->direct_memory)
        return false; /* every access is to be seen */
    if (op->code == IR_LOAD)
        return emit_load(e, i, op);
    if (op->code == IR_STORE)
        return emit_store(e, op);
    return false;
}
