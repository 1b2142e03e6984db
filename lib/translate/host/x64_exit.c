/* SPDX-License-Identifier: MIT */
/*
 * Leaving a region. A direct exit is one jump, patched to the target once that
 * is known (x64_patch). Within a guest page it needs nothing else; a backward
 * one first looks whether the CPU was kicked. Across pages it moves pc_base and
 * compares the tag under which it was linked, since the target page may have
 * been mapped elsewhere since. Indirect exits look the address up in the CPU's
 * jump table in line.
 *
 * Calls and returns are paired: a call pushes the guest's return address and is
 * a host call; a return is a host return with the address it wants in rax; the
 * code behind the call compares the two, and on a match goes on by a link, else
 * through the jump table. The host stack serves; it is emptied whenever compiled
 * code is entered, so that no pair outlives a tag or a mode, and when a chain of
 * calls grows too deep. At its bottom lies a return to x64's underflow thunk.
 */
#include "translate/host/x64_priv.h"

static bool direct(const Emit *e)
{
    return e->t->guest->direct_memory;
}

void emit_pc(Emit *e, unsigned dst, int64_t offset)
{
    if (direct(e)) {
        mov_ri(&e->a, (int)dst, e->r->phys + (uint64_t)offset);
        return;
    }
    int64_t off = (int64_t)e->r->in_page + offset;
    load(&e->a, true, (int)dst, RBP, CPU_DISP(e, pc_base));
    if (off == (int32_t)off) {
        if (off)
            lea(&e->a, true, (int)dst, (int)dst, (int32_t)off);
    } else {
        unsigned t = temp_gpr(e);
        mov_ri(&e->a, (int)t, (uint64_t)off);
        alu_rr(&e->a, true, ALU_ADD, (int)dst, (int)t);
        e->locked &= ~reg_bit(t);
    }
}

static void emit_rel32(Emit *e, uint32_t target)
{
    put32(&e->a, target - (uint32_t)(code_offset(e) + 4));
}

static void emit_call(Emit *e, uint32_t target)
{
    put8(&e->a, 0xe8);
    emit_rel32(e, target);
}

void emit_call_thunk(Emit *e, uint32_t thunk)
{
    if (e->swapped)
        emit_call(e, e->swap_out);
    emit_call(e, thunk);
    if (e->swapped)
        emit_call(e, e->swap_in);
}

void emit_jump_thunk(Emit *e, uint32_t thunk)
{
    if (e->swapped)
        emit_call(e, e->swap_out);
    put8(&e->a, 0xe9);
    emit_rel32(e, thunk);
}

Cold *add_cold(Emit *e, ColdKind kind)
{
    if (e->n_cold == MAX_COLD)
        e->failed = true;
    else
        e->n_cold++;
    Cold *c = &e->cold[e->n_cold - 1];
    memset(c, 0, sizeof *c);
    c->kind = (uint8_t)kind;
    c->guest = e->insn;
    c->swapped = e->swapped;
    return c;
}

/* Keeps a rel32 that will be patched while others run it within one cache line. */
static void align_rel32(Emit *e, unsigned opcode_bytes)
{
    uintptr_t at = (uintptr_t)e->a.p + opcode_bytes;
    if ((at & 63) > 60)
        put_nops(&e->a, (unsigned)(64 - (at & 63)));
}

static Link *new_link(Emit *e, int64_t offset, uint32_t *index)
{
    Translator *t = e->t;
    if (t->n_links >= t->max_links) {
        e->no_room = true;
        *index = 0;
        return &t->links[0];
    }
    *index = t->n_links++;
    Link *l = &t->links[*index];
    int64_t target = (int64_t)e->r->in_page + offset;
    *l = (Link){.from = e->r,
                .page = target & ~(int64_t)PAGE_MASK,
                .offset = (uint32_t)(target & (int64_t)PAGE_MASK),
                .loop = e->r->loop && offset == 0};
    return l;
}

/* Leaves to the dispatcher at the current instruction if the CPU was kicked. */
static void emit_poll(Emit *e, int32_t offset)
{
    alu_mi(&e->a, false, ALU_CMP, RBP, CPU_DISP(e, live_tag), 0);
    Cold *c = add_cold(e, COLD_PC_MISS);
    put8(&e->a, 0x0f);
    put8(&e->a, 0x80 | CC_E);
    put32(&e->a, 0);
    c->from = e->a.p;
    c->disp = offset;
}

#define NO_TARGET INT32_MIN
enum { JUMP_ALWAYS = -1, JUMP_CALL = -2 }; /* beside condition codes */

static void emit_link_jump(Emit *e, Link *l, uint32_t index, int cc)
{
    align_rel32(e, cc < 0 ? 1 : 2);
    if (cc < 0) {
        put8(&e->a, cc == JUMP_CALL ? 0xe8 : 0xe9);
    } else {
        put8(&e->a, 0x0f);
        put8(&e->a, 0x80 | (unsigned)cc);
    }
    l->jump = (uint32_t)code_offset(e);
    put32(&e->a, 0);
    Cold *c = add_cold(e, COLD_LINK);
    c->info = index;
    c->from = e->a.p;
}

/* Out of a loop with pins of its own if cc: by cold code that changes back first. */
static void emit_leave_if(Emit *e, uint32_t index, unsigned cc)
{
    put8(&e->a, 0x0f);
    put8(&e->a, 0x80 | cc);
    put32(&e->a, 0);
    Cold *c = add_cold(e, COLD_LEAVE);
    c->info = index;
    c->from = e->a.p;
}

/* The guarded jump to another page, or call if `ra` holds a return address; falls into it. */
static Cold *emit_cross(Emit *e, Link *l, uint32_t index, unsigned ra)
{
    Asm *a = &e->a;
    if (l->page == (int32_t)l->page) {
        alu_mi(a, true, ALU_ADD, RBP, CPU_DISP(e, pc_base), (int32_t)l->page);
    } else { /* all temporaries are free here */
        mov_ri(a, RAX, (uint64_t)l->page);
        op_rm(a, 0, true, 0x01, RAX, RBP, CPU_DISP(e, pc_base));
    }
    while (((uintptr_t)a->p + 6) & 3) /* the guard's immediate is patched alone: keep it aligned */
        put_nops(a, 1);
    op_rm(a, 0, false, 0x81, ALU_CMP, RBP, CPU_DISP(e, live_tag) | 0);
    l->guard = (uint32_t)code_offset(e);
    put32(a, 0);
    align_rel32(e, 2);
    put8(a, 0x0f);
    put8(a, 0x80 | CC_NE);
    l->fallback = (uint32_t)code_offset(e);
    put32(a, 0);
    Cold *c = add_cold(e, COLD_GUARD);
    c->info = index;
    c->from = a->p;
    c->reg = (uint8_t)ra;
    if (ra != NO_REG)
        push(&e->a, ra);
    emit_link_jump(e, l, index, ra != NO_REG ? JUMP_CALL : JUMP_ALWAYS);
    return c;
}

/* flags_dead: the guest's flags may not have been made, as nobody needs them at the target. */
static void emit_exit_to(Emit *e, int64_t offset, bool may_poll, bool flags_dead)
{
    uint32_t index;
    Link *l = new_link(e, offset, &index);
    if (!l->loop)
        loop_leave(e);
    if (direct(e) || l->page == 0) {
        if (may_poll && offset <= e->insn) {
            if (e->insn_dirty || flags_dead)
                emit_poll(e, (int32_t)offset);
            else
                emit_poll(e, e->insn);
        }
        emit_link_jump(e, l, index, JUMP_ALWAYS);
    } else {
        emit_cross(e, l, index, NO_REG);
    }
}

/* The guest's flags of the host's, which are those of a comparison. rax and t are free. */
static void store_flags(Emit *e, unsigned how, unsigned t)
{
    emit_flag_bits(e, t, IR_FLAG_C | IR_FLAG_P | IR_FLAG_A | IR_FLAG_Z | IR_FLAG_S | IR_FLAG_O);
    if (how & IR_FLAGS_INVERT)
        alu_ri(&e->a, false, ALU_XOR, RAX, IR_FLAG_C);
    store(&e->a, false, RBP, slot_disp(e, e->t->guest->flags_slot), RAX);
}

static void emit_exit_else(Emit *e, const IrOp *op)
{
    if (!(op->sub & IR_FLAGS_ELSE))
        return;
    e->locked = 0; /* what was compared is used no more */
    take_reg(e, RAX);
    store_flags(e, op->sub, temp_gpr(e));
}

static void emit_exit_taken(Emit *e, const IrOp *op, Link *l, uint32_t index, unsigned cc)
{
    if (op->sub & IR_FLAGS_IF_TAKEN) {
        put8(&e->a, 0x0f);
        put8(&e->a, 0x80 | cc);
        put32(&e->a, 0);
        Cold *c = add_cold(e, COLD_FLAGS);
        c->info = index;
        c->site = op->sub;
        c->from = e->a.p;
    } else if (e->swapped && !l->loop) {
        emit_leave_if(e, index, cc);
    } else {
        emit_link_jump(e, l, index, (int)cc);
    }
}

static void emit_exit_if(Emit *e, const IrOp *op)
{
    uint32_t index;
    Link *l = new_link(e, op->imm, &index);
    bool same_page = direct(e) || l->page == 0, back = op->imm <= e->insn;
    bool again = !e->insn_dirty && !op->sub; /* the instruction can be done again, flags being there */
    if (same_page && back && again)
        emit_poll(e, e->insn);
    unsigned cc = emit_condition(e, op->a);
    if (same_page && (!back || again)) {
        emit_exit_taken(e, op, l, index, cc);
        return;
    }
    put8(&e->a, 0x0f);
    put8(&e->a, 0x80 | (cc ^ 1));
    put32(&e->a, 0);
    uint8_t *from = e->a.p;
    if (op->sub & IR_FLAGS_IF_TAKEN)
        store_flags(e, op->sub, RCX); /* temporaries are free on the way out */
    if (!l->loop)
        loop_leave(e);
    if (same_page) {
        emit_poll(e, (int32_t)op->imm);
        emit_link_jump(e, l, index, JUMP_ALWAYS);
    } else {
        emit_cross(e, l, index, NO_REG);
    }
    int32_t rel = (int32_t)(e->a.p - from);
    memcpy(from - 4, &rel, 4);
}

/* The pinned register in which the front end has put the return address of a call, or NO_REG. */
static unsigned pinned_address(const Emit *e, int32_t offset)
{
    const IrGuest *g = e->b->guest;
    for (unsigned s = 0; s < g->n_slots; s++) {
        IrRef v = e->slot_held[s];
        if (v && e->pin[s] >= 0 && op_of(e, v)->code == IR_PC && op_of(e, v)->imm == offset)
            return (unsigned)e->pin[s];
    }
    return NO_REG;
}

/* The return address of a call in a register; in user mode it is made where it is pushed. */
static unsigned return_address(Emit *e, int32_t offset)
{
    unsigned r = pinned_address(e, offset);
    if (r == NO_REG && !direct(e)) {
        take_reg(e, R14);
        emit_pc(e, R14, offset);
        return R14;
    }
    return r;
}

/* rcx is free */
static void push_address(Emit *e, unsigned ra, int32_t offset)
{
    if (ra == NO_REG)
        emit_pc(e, ra = RCX, offset);
    push(&e->a, ra);
}

/* Behind a call: rax is the address that the return wants, the stack has the one that was
 * pushed. */
static void emit_return_site(Emit *e, int32_t offset)
{
    Asm *a = &e->a;
    uint32_t index;
    put8(a, 0x58 | RCX); /* pop rcx */
    alu_rr(a, true, ALU_CMP, RAX, RCX);
    put8(a, 0x0f);
    put8(a, 0x80 | CC_NE);
    emit_rel32(e, e->k->lookup);
    Link *l = new_link(e, offset, &index);
    if (!direct(e)) {
        if (l->page != 0) { /* the call ended its page */
            emit_jump_thunk(e, e->k->lookup);
            e->t->n_links--;
            return;
        }
        alu_ri(a, true, ALU_AND, RCX, -(int32_t)GUEST_PAGE_SIZE);
        store(a, true, RBP, CPU_DISP(e, pc_base), RCX);
    }
    emit_link_jump(e, l, index, JUMP_ALWAYS);
}

/*
 * Room on the stack, and a place to come back to for cold code. That looks for a kick as well, so
 * calls need not: without a jump backward or through the jump table they can only go on for ever
 * by filling the stack. target: of the call, or NO_TARGET when it is in rax.
 */
static void emit_stack_check(Emit *e, int32_t target)
{
    op_rm(&e->a, 0, true, 0x3b, RSP, RBP, CPU_DISP(e, stack_limit)); /* cmp rsp, [limit] */
    Cold *c = add_cold(e, COLD_STACK);
    put8(&e->a, 0x0f);
    put8(&e->a, 0x80 | CC_B);
    put32(&e->a, 0);
    c->from = e->a.p;
    c->back = e->a.p;
    c->disp = target;
}

static void emit_direct_call(Emit *e, const IrOp *op)
{
    int32_t target = (int32_t)op->imm, back = (int32_t)(op->imm >> 32);
    uint32_t index;
    Cold *guard = NULL;
    Link *l = new_link(e, target, &index);
    bool same_page = direct(e) || l->page == 0;
    unsigned ra = return_address(e, back);
    emit_stack_check(e, target);
    if (same_page) {
        push_address(e, ra, back);
        emit_link_jump(e, l, index, JUMP_CALL);
    } else {
        guard = emit_cross(e, l, index, ra);
    }
    if (guard)
        guard->back = e->a.p;
    emit_return_site(e, back);
}

static void emit_indirect_call(Emit *e, const IrOp *op)
{
    int32_t back = (int32_t)(op->imm >> 32);
    unsigned r = use_reg(e, op->a);
    if (r != RAX)
        mov_rr(&e->a, true, RAX, (int)r);
    e->locked |= reg_bit(RAX);
    unsigned ra = return_address(e, back);
    emit_stack_check(e, NO_TARGET);
    x64_lookup(&e->a, e->t, e->k);
    push_address(e, ra, back);
    op_rr(&e->a, 0, false, 0xff, 2, RDX); /* call rdx */
    emit_return_site(e, back);
}

static void emit_return(Emit *e, const IrOp *op)
{
    unsigned r = use_reg(e, op->a);
    if (r != RAX)
        mov_rr(&e->a, true, RAX, (int)r);
    put8(&e->a, 0xc3);
}

static void emit_indirect(Emit *e, const IrOp *op)
{
    unsigned r = use_reg(e, op->a);
    if (r != RAX)
        mov_rr(&e->a, true, RAX, (int)r);
    x64_lookup(&e->a, e->t, e->k);
    op_rr(&e->a, 0, false, 0xff, 4, RDX); /* jmp rdx */
}

static void emit_raise(Emit *e, const IrOp *op)
{
    Asm *a = &e->a;
    unsigned v = use_reg(e, op->a), t = temp_gpr(e);
    store(a, true, RBP, CPU_DISP(e, fault.value), (int)v);
    store_i(a, false, RBP, CPU_DISP(e, fault.exception), (int32_t)op->imm);
    store_i(a, false, RBP, CPU_DISP(e, fault_pending), 1);
    emit_pc(e, t, e->insn);
    store(a, true, RBP, CPU_DISP(e, pc), (int)t);
    emit_jump_thunk(e, e->k->exit_raise);
}

static void emit_mode(Emit *e, const IrOp *op)
{
    unsigned t;
    if (op->a) {
        t = use_reg(e, op->a);
    } else {
        t = temp_gpr(e);
        emit_pc(e, t, op->imm);
    }
    store(&e->a, true, RBP, CPU_DISP(e, pc), (int)t);
    emit_jump_thunk(e, e->k->exit_mode);
}

void emit_cold_exit(Emit *e, Cold *c)
{
    Asm *a = &e->a;
    Link *l = &e->t->links[c->info];
    switch (c->kind) {
    case COLD_LINK:
        l->stub = (uint32_t)code_offset(e);
        store_i(a, false, RBP, CPU_DISP(e, exit_info), (int32_t)c->info);
        emit_jump_thunk(e, e->k->exit_link);
        break;
    case COLD_FLAGS:
        store_flags(e, c->site, RCX);
        if (!l->loop)
            loop_leave(e);
        emit_link_jump(e, l, c->info, JUMP_ALWAYS);
        break;
    case COLD_LEAVE:
        loop_leave(e);
        emit_link_jump(e, l, c->info, JUMP_ALWAYS);
        break;
    case COLD_GUARD:
        /* first to the dispatcher, to be linked again; later (patched) to the lookup behind it */
        l->retry = (uint32_t)code_offset(e);
        store_i(a, false, RBP, CPU_DISP(e, exit_info), (int32_t)c->info);
        emit_jump_thunk(e, e->k->exit_link);
        l->lookup = (uint32_t)code_offset(e);
        load(a, true, RAX, RBP, CPU_DISP(e, pc_base));
        if (l->offset)
            alu_ri(a, true, ALU_ADD, RAX, (int32_t)l->offset);
        if (c->reg != NO_REG) { /* a call: pushed here, comes back there */
            push(&e->a, c->reg);
            emit_call_thunk(e, e->k->lookup);
        } else {
            emit_jump_thunk(e, e->k->lookup);
        }
        break;
    case COLD_STACK: {
        emit_call_thunk(e, e->k->reset_stack);
        alu_mi(a, false, ALU_CMP, RBP, CPU_DISP(e, live_tag), 0);
        uint8_t *fine = jump_short(a, CC_NE);
        if (c->disp != NO_TARGET)
            emit_pc(e, RAX, c->disp);
        emit_jump_thunk(e, e->k->miss);
        land(a, fine);
        break;
    }
    case COLD_PC_MISS:
    default:
        emit_pc(e, RAX, c->disp);
        emit_jump_thunk(e, e->k->miss);
        break;
    }
}

/* Exits that always happen, but direct ones; outside the loop. */
static bool emit_last_exit(Emit *e, const IrOp *op)
{
    switch (op->code) {
    case IR_EXIT_CALL:
        emit_direct_call(e, op);
        return true;
    case IR_EXIT_CALL_IND:
        emit_indirect_call(e, op);
        return true;
    case IR_EXIT_RET:
        emit_return(e, op);
        return true;
    case IR_EXIT_IND:
        emit_indirect(e, op);
        return true;
    case IR_EXIT_MODE:
        emit_mode(e, op);
        return true;
    case IR_RAISE:
        emit_raise(e, op);
        return true;
    default:
        return false;
    }
}

bool emit_exit(Emit *e, const IrOp *op)
{
    bool swapped = e->swapped;
    if (!(ir_code_attr(op->code) & IR_ATTR_E))
        return false;
    if (op->code == IR_EXIT) {
        emit_exit_to(e, op->imm, true, op->sub);
    } else if (op->code == IR_EXIT_IF) {
        emit_exit_if(e, op);
    } else {
        loop_keep(e, op->a);
        loop_leave(e);
        if (!emit_last_exit(e, op))
            return false;
    }
    loop_set(e, swapped); /* what follows was jumped to, or the exit was not taken */
    if (op->code == IR_EXIT_IF)
        emit_exit_else(e, op);
    return true;
}
