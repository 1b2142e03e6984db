/* SPDX-License-Identifier: MIT */
/*
 * Memory accesses on x86-64. System mode looks the page up in line. Where it is
 * found is guessed from where this access found it last time, so that nothing
 * between the address and the data waits for a computed TLB index:
 *
 *     lea  t2, [base + disp]
 *     mov  t1, [rbp + hint]          offset of the entry guessed
 *     xor  t2, [rbp + t1 + tag]      offset in the page, if it is this page
 *     cmp  t2, 4096 - size
 *     ja   cold                      computes the index; a hit there is the next guess
 *     mov  t1, [rbp + t1 + addend]   host address - guest address
 *     mov  d, [base + t1 + disp]
 *
 * A guess need not be right, for any entry whose tag matches will do. Where
 * guesses fail too often (columns of a matrix, hash tables) the region is made
 * again with the index computed in line at that place. User mode uses the address as it is (plus a base). Everything else (a miss, device
 * memory, page crossing, code pages) is memory.c's, called from cold code.
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

static int32_t hint_disp(const Emit *e, uint32_t hint, size_t field)
{
    return CPU_DISP(e, hints) + (int32_t)(hint * sizeof(TranslateHint) + field);
}

static void jump_cold(Emit *e, Cold *c, unsigned cc)
{
    put8(&e->a, 0x0f);
    put8(&e->a, 0x80 | cc);
    put32(&e->a, 0);
    c->from = e->a.p;
}

/* The host's memory operand for an access: [base + index + disp], index NO_REG if there is none. */
typedef struct Host {
    unsigned base, index;
    int32_t disp;
} Host;

static Host direct_address(Emit *e, unsigned base, int32_t disp, IrMem mem, Cold *c)
{
    Asm *a = &e->a;
    unsigned t2 = temp_gpr(e), size = ir_mem_bytes(mem);
    if (disp || mem & IR_MEM_ADDR32)
        lea(a, !(mem & IR_MEM_ADDR32), (int)t2, (int)base, disp);
    else
        mov_rr(a, true, (int)t2, (int)base);
    if (e->t->options.memory_base) {
        unsigned t1 = temp_gpr(e);
        mov_ri(a, (int)t1, e->t->options.memory_base);
        alu_rr(a, true, ALU_ADD, (int)t2, (int)t1);
    }
    if (c) {
        op_rr8(a, false, 0xf6, 0, (int)t2); /* test t2, size - 1 */
        put8(a, size - 1);
        jump_cold(e, c, CC_NE);
    }
    return (Host){t2, NO_REG, 0};
}

/* t2: offset in the page if the tag matched; cc of a failed check */
static unsigned emit_tag_check(Emit *e, unsigned t1, unsigned t2, IrMem mem, bool is_store)
{
    Asm *a = &e->a;
    int32_t size = (int32_t)ir_mem_bytes(mem);
    op_rx(a, 0, true, ALU_XOR << 3 | 3, (int)t2, RBP, (int)t1, 0, tlb_disp(e, ir_mem_mmu(mem), is_store));
    if (mem & IR_MEM_ALIGNED && size > 1) {
        op_rr(a, 0, true, 0xf7, 0, (int)t2); /* test: no bits above the page's, none below the size */
        put32(a, (uint32_t)(~(int32_t)PAGE_MASK | (size - 1)));
        return CC_NE;
    }
    alu_ri(a, true, ALU_CMP, (int)t2, (int32_t)GUEST_PAGE_SIZE - size);
    return CC_A;
}

static void emit_effective(Emit *e, unsigned t2, unsigned base, int32_t disp, IrMem mem)
{
    if (disp || mem & IR_MEM_ADDR32)
        lea(&e->a, !(mem & IR_MEM_ADDR32), (int)t2, (int)base, disp);
    else
        mov_rr(&e->a, true, (int)t2, (int)base);
}

/* Checks the access; the way to cold code is noted in *cold. */
static Host emit_address(Emit *e, unsigned base, int32_t disp, IrMem mem, bool is_store, Cold **cold)
{
    Asm *a = &e->a;
    bool direct = e->t->guest->direct_memory;
    *cold = direct && (!(mem & IR_MEM_ALIGNED) || ir_mem_bytes(mem) == 1) ? NULL
                                                                          : add_cold(e, is_store ? COLD_STORE : COLD_LOAD);
    if (direct)
        return direct_address(e, base, disp, mem, *cold);
    Cold *c = *cold;
    unsigned t2 = temp_gpr(e), t1 = temp_gpr(e);
    unsigned site = e->n_sites++;
    bool indexed = site < 64 && e->indexed >> site & 1;
    c->regs[0] = (uint8_t)t1;
    c->regs[1] = (uint8_t)t2;
    emit_effective(e, t2, base, disp, mem);
    if (indexed) {
        rorx(a, true, (int)t1, (int)t2, GUEST_PAGE_BITS - log2_of_entry());
        alu_ri(a, false, ALU_AND, (int)t1, (int32_t)((TRANSLATE_TLB_SIZE - 1) << log2_of_entry()));
    } else {
        c->hint = e->t->next_hint++ % TRANSLATE_HINTS;
        load(a, false, (int)t1, RBP, hint_disp(e, c->hint, offsetof(TranslateHint, entry)));
    }
    jump_cold(e, c, emit_tag_check(e, t1, t2, mem, is_store));
    if (!indexed) {
        c->hit = a->p;
        c->site = (uint8_t)(site < 64 ? site : 64);
    }
    op_rx(a, 0, true, 0x8b, (int)t1, RBP, (int)t1, 0,
          tlb_disp(e, ir_mem_mmu(mem), false) + (int32_t)offsetof(TranslateTlbEntry, addend));
    if (mem & IR_MEM_ADDR32) {
        emit_effective(e, t2, base, disp, mem);
        return (Host){t2, t1, 0};
    }
    return (Host){base, t1, disp};
}

static void mem_op(Emit *e, unsigned pre, bool w, uint32_t opcode, unsigned reg, Host h)
{
    if (h.index == NO_REG)
        op_rm(&e->a, pre, w, opcode, (int)reg, (int)h.base, h.disp);
    else
        op_rx(&e->a, pre, w, opcode, (int)reg, (int)h.base, (int)h.index, 0, h.disp);
}

static void mem_op_float(Emit *e, unsigned pp, unsigned opcode, unsigned x, Host h)
{
    Asm *a = &e->a;
    put_vex(a, 1, pp, false, false, (int)x - 16, h.index == NO_REG ? 0 : (int)h.index, (int)h.base, 0);
    put8(a, opcode);
    if (h.index == NO_REG)
        put_mem(a, (int)x - 16, (int)h.base, h.disp);
    else
        put_memx(a, (int)x - 16, (int)h.base, (int)h.index, 0, h.disp);
}

static void emit_load_gpr(Emit *e, IrMem mem, bool w, unsigned d, Host from)
{
    Asm *a = &e->a;
    bool sign = mem & IR_MEM_SIGNED, be = mem & IR_MEM_BE;
    switch (ir_mem_log2(mem)) {
    case 0:
        mem_op(e, 0, w && sign, sign ? 0x0fbe : 0x0fb6, d, from);
        break;
    case 1:
        if (be) {
            mem_op(e, 0x66, false, 0x0f38f0, d, from); /* movbe */
            op_rr(a, 0, w && sign, sign ? 0x0fbf : 0x0fb7, (int)d, (int)d);
        } else {
            mem_op(e, 0, w && sign, sign ? 0x0fbf : 0x0fb7, d, from);
        }
        break;
    case 2:
        if (be) {
            mem_op(e, 0, false, 0x0f38f0, d, from);
            if (sign && w)
                op_rr(a, 0, true, 0x63, (int)d, (int)d);
        } else if (sign && w) {
            mem_op(e, 0, true, 0x63, d, from);
        } else {
            mem_op(e, 0, false, 0x8b, d, from);
        }
        break;
    default:
        if (be)
            mem_op(e, 0, true, 0x0f38f0, d, from);
        else
            mem_op(e, 0, true, 0x8b, d, from);
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
    Host host = emit_address(e, base, (int32_t)(op->imm >> 32), mem, false, &c);
    if (is_float)
        mem_op_float(e, op->type == IR_F32 ? 2 : 3, 0x10, d, host);
    else
        emit_load_gpr(e, mem, is_64(op->type), d, host);
    fill_cold(e, c, i, op, base, d);
    return true;
}

static void emit_store_gpr(Emit *e, IrMem mem, unsigned v, Host to)
{
    bool be = mem & IR_MEM_BE;
    unsigned log2 = ir_mem_log2(mem);
    if (log2 == 0) {
        put_rex(&e->a, 0, false, (int)v, to.index == NO_REG ? 0 : (int)to.index, (int)to.base, v >= 4);
        put8(&e->a, 0x88);
        if (to.index == NO_REG)
            put_mem(&e->a, (int)v, (int)to.base, to.disp);
        else
            put_memx(&e->a, (int)v, (int)to.base, (int)to.index, 0, to.disp);
        return;
    }
    mem_op(e, log2 == 1 ? 0x66 : 0, log2 == 3, be ? 0x0f38f1 : 0x89, v, to);
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
    Host host = emit_address(e, base, (int32_t)(op->imm >> 32), mem, true, &c);
    if (!is_float)
        emit_store_gpr(e, mem, v, host);
    else if (ir_mem_log2(mem) == 2)
        mem_op_float(e, 2, 0x11, v, host);
    else
        mem_op_float(e, 3, 0x11, v, host);
    fill_cold(e, c, 0, op, base, v);
    return true;
}

void emit_cold_memory(Emit *e, Cold *c)
{
    Asm *a = &e->a;
    bool is_store = c->kind == COLD_STORE;
    bool is_float = c->reg >= 16;
    if (c->hit) { /* the entry where the page belongs; then guess that */
        unsigned t1 = c->regs[0], t2 = c->regs[1];
        emit_effective(e, t1, c->base, c->disp, c->info);
        mov_rr(a, true, (int)t2, (int)t1);
        shift_ri(a, true, SH_SHR, (int)t1, GUEST_PAGE_BITS - log2_of_entry());
        alu_ri(a, false, ALU_AND, (int)t1, (int32_t)((TRANSLATE_TLB_SIZE - 1) << log2_of_entry()));
        unsigned cc = emit_tag_check(e, t1, t2, c->info, is_store);
        put8(a, 0x0f);
        put8(a, 0x80 | cc);
        put32(a, 0);
        uint8_t *miss = a->p;
        store(a, false, RBP, hint_disp(e, c->hint, offsetof(TranslateHint, entry)), (int)t1);
        if (c->site < 64) {
            alu_mi(a, false, ALU_ADD, RBP, hint_disp(e, c->hint, offsetof(TranslateHint, wrong)), 1);
            alu_mi(a, false, ALU_CMP, RBP, hint_disp(e, c->hint, offsetof(TranslateHint, wrong)), X64_WRONG_GUESSES);
            put8(a, 0x0f); /* jb: back to where it is used */
            put8(a, 0x80 | CC_B);
            put32(a, (uint32_t)(c->hit - (a->p + 4)));
            store_i(a, false, RBP, hint_disp(e, c->hint, offsetof(TranslateHint, wrong)), 0);
            store_i(a, false, RBP, CPU_DISP(e, slow_info), c->site);
            emit_call_thunk(e, e->k->wrong_guesses);
        }
        put8(a, 0xe9);
        put32(a, (uint32_t)(c->hit - (a->p + 4)));
        int32_t over = (int32_t)(a->p - miss);
        memcpy(miss - 4, &over, 4);
    }
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
