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
 * again with the index computed in line at that place.
 *
 * The first of some accesses off one base value checks the range of them all and
 * keeps the addend; those after it only test that it is one (bit 0 clear). Where
 * the range crosses pages each access looks its own page up, in cold code.
 *
 * User mode uses the address as it is (plus a base). Everything else (a miss,
 * device memory, page crossing, code pages) is memory.c's, called from cold code.
 */
#include "translate/host/x64_priv.h"

#define SHARE_REACH 60 /* operations from one access to the next that shares its page's check */
#define SHARE_SPAN 256 /* bytes */

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
           (int32_t)(is_store ? offsetof(TranslateTlbEntry, write)
                              : offsetof(TranslateTlbEntry, read));
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

/* The host's memory operand for an access: [base + (index << scale) + disp], index NO_REG if there is
 * none. */
typedef struct Host {
    unsigned base, index;
    int32_t disp;
    unsigned scale;
} Host;

/* User mode: a sum that is part of the access (live.c). */
static Host sum_address(Emit *e, const IrOp *op)
{
    Address at = {.n = 0, .scale = {0}, .disp = (int32_t)(op->imm >> 32)};
    collect_sum(e, op->a, &at);
    unsigned x = use_reg(e, at.leaf[0]), y = at.n > 1 ? use_reg(e, at.leaf[1]) : NO_REG;
    if (y == NO_REG && at.scale[0]) { /* which hosts have with a base only */
        unsigned t = temp_gpr(e);
        mov_rr(&e->a, true, (int)t, (int)x);
        shift_ri(&e->a, true, SH_SHL, (int)t, at.scale[0]);
        x = t;
    }
    if (y == NO_REG)
        return (Host){x, NO_REG, (int32_t)at.disp, 0};
    if (at.scale[0])
        return (Host){y, x, (int32_t)at.disp, at.scale[0]};
    return (Host){x, y, (int32_t)at.disp, at.scale[1]};
}

static bool is_sum(const Emit *e, const IrOp *op)
{
    return e->live->fused[op->a] == IR_FUSED_SUM;
}

/* User mode. With c an unaligned address goes there. */
static Host direct_address(Emit *e, unsigned base, int32_t disp, IrMem mem, Cold *c)
{
    Asm *a = &e->a;
    uint64_t memory = e->t->options.memory_base;
    int64_t all = (int64_t)(memory + (uint64_t)(int64_t)disp);
    unsigned size = ir_mem_bytes(mem);
    if (mem & IR_MEM_ADDR32 || (c && disp & (int32_t)(size - 1))) {
        unsigned t = temp_gpr(e);
        lea(a, !(mem & IR_MEM_ADDR32), (int)t, (int)base, disp);
        if (!c)
            e->locked &= ~reg_bit(base); /* not used again */
        base = t;
        disp = 0;
        all = (int64_t)memory;
    }
    if (c) {
        op_rr8(a, false, 0xf6, 0, (int)base); /* test base, size - 1 */
        put8(a, size - 1);
        jump_cold(e, c, CC_NE);
    }
    if (all == (int32_t)all)
        return (Host){base, NO_REG, (int32_t)all, 0};
    unsigned t = temp_gpr(e);
    mov_ri(a, (int)t, memory);
    return (Host){base, t, disp, 0};
}

/* t2: offset in the page if the tag matched; cc of a failed check of `size` bytes there */
static unsigned emit_tag_check(Emit *e, unsigned t1, unsigned t2, int32_t size, IrMem mem,
                               bool is_store)
{
    Asm *a = &e->a;
    op_rx(a, 0, true, ALU_XOR << 3 | 3, (int)t2, RBP, (int)t1, 0,
          tlb_disp(e, ir_mem_mmu(mem), is_store));
    if (mem & IR_MEM_ALIGNED && size > 1) {
        /* test: no bits above the page's, none below the size */
        op_rr(a, 0, true, 0xf7, 0, (int)t2);
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

static void emit_addend(Emit *e, unsigned t1, IrMem mem)
{
    op_rx(&e->a, 0, true, 0x8b, (int)t1, RBP, (int)t1, 0,
          tlb_disp(e, ir_mem_mmu(mem), false) + (int32_t)offsetof(TranslateTlbEntry, addend));
}

/* Whether an access may share its page's check with others off the same base. */
static bool may_share(const IrOp *op)
{
    IrMem mem = (IrMem)op->imm;
    return (op->code == IR_LOAD || op->code == IR_STORE) &&
           !(mem & (IR_MEM_ALIGNED | IR_MEM_ADDR32)) && ir_mem_log2(mem) <= 4;
}

/* What lies ahead off the same base and within reach; `page` becomes the range of it all. True
 * if there is any. */
static bool look_ahead(const Emit *e, IrRef i, SharedPage *page)
{
    const IrOp *first = op_of(e, i);
    IrMem mem = (IrMem)first->imm;
    int32_t disp = (int32_t)(first->imm >> 32);
    *page = (SharedPage){.base = first->a,
                         .last = i,
                         .low = disp,
                         .high = disp + (int32_t)ir_mem_bytes(mem),
                         .mmu = (uint8_t)ir_mem_mmu(mem),
                         .write = first->code == IR_STORE};
    for (IrRef j = i + 1; j < e->b->n && j < page->last + SHARE_REACH; j++) {
        const IrOp *op = op_of(e, j);
        if (op->code == IR_LABEL || op->code == IR_CALL || op->code == IR_BR)
            break;
        if (op->a != first->a || !may_share(op) || ir_mem_mmu((IrMem)op->imm) != page->mmu ||
            (op->code == IR_STORE && !page->write) || e->live->dead[j])
            continue;
        int32_t low = (int32_t)(op->imm >> 32), high = low + (int32_t)ir_mem_bytes((IrMem)op->imm);
        low = MIN(low, page->low);
        high = MAX(high, page->high);
        if (high - low > SHARE_SPAN)
            continue;
        page->low = low;
        page->high = high;
        page->last = j;
    }
    return page->last > i;
}

/* The shared page that has room for the access; or negative. */
static int find_shared(const Emit *e, const IrOp *op)
{
    int32_t disp = (int32_t)(op->imm >> 32);
    for (int n = 0; n < SHARED_PAGES && may_share(op); n++) {
        const SharedPage *s = &e->shared[n];
        if (s->base == op->a && disp >= s->low &&
            disp + (int32_t)ir_mem_bytes((IrMem)op->imm) <= s->high &&
            s->mmu == ir_mem_mmu((IrMem)op->imm) && (s->write || op->code == IR_LOAD))
            return n;
    }
    return -1;
}

/* Where to remember a new one: free, or needed last of all. */
static unsigned shared_place(Emit *e)
{
    unsigned place = 0;
    for (unsigned n = 0; n < SHARED_PAGES; n++)
        if (!e->shared[n].base)
            return n;
        else if (e->shared[n].last > e->shared[place].last)
            place = n;
    drop_shared(e, place);
    return place;
}

static uint32_t shared_regs(const Emit *e)
{
    uint32_t regs = 0;
    for (unsigned n = 0; n < SHARED_PAGES; n++)
        if (e->shared[n].base)
            regs |= reg_bit(e->reg[SHARED_REF(n)]);
    return regs;
}

static Host member_address(Emit *e, unsigned base, const IrOp *op, unsigned n, Cold *c)
{
    unsigned r = e->reg[SHARED_REF(n)];
    e->locked |= reg_bit(r);
    c->member = true;
    c->regs[0] = (uint8_t)r;
    op_rr8(&e->a, false, 0xf6, 0, (int)r); /* test r, 1 */
    put8(&e->a, 1);
    jump_cold(e, c, CC_NE);
    return (Host){base, r, (int32_t)(op->imm >> 32), 0};
}

/* Checks the access; the way to cold code is noted in *cold. */
static Host emit_address(Emit *e, IrRef i, unsigned base, bool is_store, Cold **cold)
{
    Asm *a = &e->a;
    const IrOp *op = op_of(e, i);
    IrMem mem = (IrMem)op->imm;
    int32_t disp = (int32_t)(op->imm >> 32);
    bool direct = e->t->guest->direct_memory;
    *cold = direct && (!(mem & IR_MEM_ALIGNED) || ir_mem_bytes(mem) == 1)
                ? NULL
                : add_cold(e, is_store ? COLD_STORE : COLD_LOAD);
    if (direct)
        return direct_address(e, base, disp, mem, *cold);
    Cold *c = *cold;
    int n = find_shared(e, op);
    if (n >= 0)
        return member_address(e, base, op, (unsigned)n, c);
    SharedPage page;
    bool shares = may_share(op) && look_ahead(e, i, &page);
    unsigned t2 = temp_gpr(e), t1 = temp_gpr(e);
    unsigned site = e->n_sites++;
    bool indexed = site < INDEXED_SITES && e->indexed >> site & 1;
    c->regs[0] = (uint8_t)t1;
    c->regs[1] = (uint8_t)t2;
    c->low = shares ? page.low : disp;
    c->span = shares ? page.high - page.low : (int32_t)ir_mem_bytes(mem);
    emit_effective(e, t2, base, c->low, mem);
    if (indexed) {
        rorx(a, true, (int)t1, (int)t2, GUEST_PAGE_BITS - log2_of_entry());
        alu_ri(a, false, ALU_AND, (int)t1, (int32_t)((TRANSLATE_TLB_SIZE - 1) << log2_of_entry()));
    } else {
        c->hint = e->t->next_hint++ % TRANSLATE_HINTS;
        load(a, false, (int)t1, RBP, hint_disp(e, c->hint, offsetof(TranslateHint, entry)));
    }
    jump_cold(e, c, emit_tag_check(e, t1, t2, c->span, mem, is_store));
    if (!indexed) {
        c->hit = a->p;
        c->site = (uint8_t)MIN(site, INDEXED_SITES);
    }
    emit_addend(e, t1, mem);
    if (shares) {
        unsigned place = shared_place(e);
        e->shared[place] = page;
        hold_shared(e, place, t1);
    }
    if (mem & IR_MEM_ADDR32) {
        emit_effective(e, t2, base, disp, mem);
        return (Host){t2, t1, 0, 0};
    }
    return (Host){base, t1, disp, 0};
}

static void mem_op(Emit *e, unsigned pre, bool w, uint32_t opcode, unsigned reg, Host h)
{
    if (h.index == NO_REG)
        op_rm(&e->a, pre, w, opcode, (int)reg, (int)h.base, h.disp);
    else
        op_rx(&e->a, pre, w, opcode, (int)reg, (int)h.base, (int)h.index, h.scale, h.disp);
}

/* opcode 0x10 loads, 0x11 stores a float or a vector */
static void mem_op_float(Emit *e, unsigned log2, unsigned opcode, unsigned x, Host h)
{
    unsigned pp = log2 == 4 ? 0 : log2 == 2 ? 2 : 3;
    Asm *a = &e->a;
    put_vex(a, 1, pp, false, false, (int)x - 16, h.index == NO_REG ? 0 : (int)h.index, (int)h.base,
            0);
    put8(a, opcode);
    if (h.index == NO_REG)
        put_mem(a, (int)x - 16, (int)h.base, h.disp);
    else
        put_memx(a, (int)x - 16, (int)h.base, (int)h.index, h.scale, h.disp);
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

static void emit_load_from(Emit *e, IrMem mem, unsigned type, unsigned d, Host from)
{
    if (d >= 16)
        mem_op_float(e, type == IR_V128 ? ir_mem_log2(mem) : type == IR_F32 ? 2 : 3, 0x10, d, from);
    else
        emit_load_gpr(e, mem, is_64(type), d, from);
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
    c->size = (uint8_t)ir_mem_bytes((IrMem)op->imm);
    c->pages = shared_regs(e);
    c->back = e->a.p;
}

/* In line: integers as far as a register goes, floats and whole vectors in the host's byte order. */
static bool can_access(IrMem mem, unsigned type)
{
    unsigned log2 = ir_mem_log2(mem);
    if (type == IR_V128)
        return !(mem & IR_MEM_BE) && (log2 == 4 || log2 == 3 || log2 == 2);
    return log2 <= 3 && !is_wide_type(type) && type != IR_F16 && !(is_float_type(type) && mem & IR_MEM_BE);
}

static bool emit_load(Emit *e, IrRef i, const IrOp *op)
{
    IrMem mem = (IrMem)op->imm;
    Cold *c;
    if (!can_access(mem, op->type))
        return false;
    if (is_sum(e, op)) {
        Host from = sum_address(e, op);
        e->zeroed[i] = 1;
        emit_load_from(e, mem, op->type, def_reg(e, i), from);
        return true;
    }
    unsigned base = use_reg(e, op->a), d = def_reg(e, i);
    Host host = emit_address(e, i, base, false, &c);
    emit_load_from(e, mem, op->type, d, host);
    e->zeroed[i] = 1;
    fill_cold(e, c, i, op, base, d);
    return true;
}

static void emit_store_gpr(Emit *e, IrMem mem, unsigned v, Host to)
{
    bool be = mem & IR_MEM_BE;
    unsigned log2 = ir_mem_log2(mem);
    if (log2 == 0) {
        put_rex(&e->a, 0, false, (int)v, to.index == NO_REG ? 0 : (int)to.index, (int)to.base,
                v >= 4);
        put8(&e->a, 0x88);
        if (to.index == NO_REG)
            put_mem(&e->a, (int)v, (int)to.base, to.disp);
        else
            put_memx(&e->a, (int)v, (int)to.base, (int)to.index, to.scale, to.disp);
        return;
    }
    mem_op(e, log2 == 1 ? 0x66 : 0, log2 == 3, be ? 0x0f38f1 : 0x89, v, to);
}

static void emit_store_to(Emit *e, IrMem mem, unsigned v, Host to)
{
    if (v >= 16)
        mem_op_float(e, ir_mem_log2(mem), 0x11, v, to);
    else
        emit_store_gpr(e, mem, v, to);
}

static void emit_store_imm(Emit *e, IrMem mem, int32_t imm, Host to)
{
    unsigned log2 = ir_mem_log2(mem);
    mem_op(e, log2 == 1 ? 0x66 : 0, log2 == 3, log2 == 0 ? 0xc6 : 0xc7, 0, to);
    if (log2 == 0)
        put8(&e->a, (uint8_t)imm);
    else if (log2 == 1)
        e->a.p = (uint8_t *)memcpy(e->a.p, &imm, 2) + 2;
    else
        put32(&e->a, (uint32_t)imm);
}

static bool emit_store(Emit *e, IrRef i, const IrOp *op)
{
    IrMem mem = (IrMem)op->imm;
    const IrOp *value = op_of(e, op->b);
    Cold *c;
    int32_t imm;
    if (!can_access(mem, value->type))
        return false;
    if (is_sum(e, op)) {
        Host to = sum_address(e, op);
        if (use_imm(e, op->b, &imm))
            emit_store_imm(e, mem, imm, to);
        else
            emit_store_to(e, mem, use_reg(e, op->b), to);
        return true;
    }
    if (e->t->guest->direct_memory && !(mem & (IR_MEM_ALIGNED | IR_MEM_BE)) &&
        use_imm(e, op->b, &imm)) {
        emit_store_imm(e, mem, imm, direct_address(e, use_reg(e, op->a),
                                                   (int32_t)(op->imm >> 32), mem, NULL));
        return true;
    }
    unsigned base = use_reg(e, op->a), v = use_reg(e, op->b);
    Host host = emit_address(e, i, base, true, &c);
    emit_store_to(e, mem, v, host);
    fill_cold(e, c, i, op, base, v);
    return true;
}

/* Looks `size` bytes at base + disp up where they belong in the TLB: t1 is their entry then.
 * Returns the jump if not. */
static uint8_t *cold_lookup(Emit *e, const Cold *c, unsigned t1, unsigned t2, int32_t disp,
                            int32_t size)
{
    Asm *a = &e->a;
    emit_effective(e, t1, c->base, disp, c->info);
    mov_rr(a, true, (int)t2, (int)t1);
    shift_ri(a, true, SH_SHR, (int)t1, GUEST_PAGE_BITS - log2_of_entry());
    alu_ri(a, false, ALU_AND, (int)t1, (int32_t)((TRANSLATE_TLB_SIZE - 1) << log2_of_entry()));
    unsigned cc = emit_tag_check(e, t1, t2, size, c->info, c->kind == COLD_STORE);
    put8(a, 0x0f);
    put8(a, 0x80 | cc);
    put32(a, 0);
    return a->p;
}

static void land_here(Emit *e, uint8_t *from)
{
    int32_t over = (int32_t)(e->a.p - from);
    memcpy(from - 4, &over, 4);
}

static void jump_back(Emit *e, const uint8_t *to)
{
    put8(&e->a, 0xe9);
    put32(&e->a, (uint32_t)(to - (e->a.p + 4)));
}

/* A wrong guess: the entry where the page belongs is the next one. */
static void emit_guess_again(Emit *e, const Cold *c)
{
    Asm *a = &e->a;
    unsigned t1 = c->regs[0], t2 = c->regs[1];
    uint8_t *miss = cold_lookup(e, c, t1, t2, c->low, c->span);
    store(a, false, RBP, hint_disp(e, c->hint, offsetof(TranslateHint, entry)), (int)t1);
    if (c->site < INDEXED_SITES) {
        alu_mi(a, false, ALU_ADD, RBP, hint_disp(e, c->hint, offsetof(TranslateHint, wrong)), 1);
        alu_mi(a, false, ALU_CMP, RBP, hint_disp(e, c->hint, offsetof(TranslateHint, wrong)),
               X64_WRONG_GUESSES);
        put8(a, 0x0f); /* jb: back to where it is used */
        put8(a, 0x80 | CC_B);
        put32(a, (uint32_t)(c->hit - (a->p + 4)));
        store_i(a, false, RBP, hint_disp(e, c->hint, offsetof(TranslateHint, wrong)), 0);
        store_i(a, false, RBP, CPU_DISP(e, slow_info), c->site);
        emit_call_thunk(e, e->k->wrong_guesses);
    }
    jump_back(e, c->hit);
    land_here(e, miss);
}

/* The access by itself, where it does not lie in one page with those that it shares a check
 * with. */
static void emit_access_alone(Emit *e, const Cold *c)
{
    Asm *a = &e->a;
    unsigned t1 = c->regs[0], t2 = c->regs[1];
    if (c->member) {
        for (t2 = RAX; t2 == c->base || t2 == c->reg || t2 == t1;
             t2++) /* one of rax, rcx, rdx, rbx */
            ;
        push(a, t2);
    }
    uint8_t *miss = cold_lookup(e, c, t1, t2, c->disp, c->size);
    emit_addend(e, t1, c->info);
    if (c->member)
        pop(a, t2);
    Host host = {c->base, t1, c->disp, 0};
    if (c->kind == COLD_STORE)
        emit_store_to(e, c->info, c->reg, host);
    else
        emit_load_from(e, c->info, c->type, c->reg, host);
    mov_ri(a, (int)t1, 1);
    jump_back(e, c->back);
    land_here(e, miss);
    if (c->member)
        pop(a, t2);
}

void emit_cold_memory(Emit *e, Cold *c)
{
    Asm *a = &e->a;
    bool is_store = c->kind == COLD_STORE;
    bool is_float = c->reg >= 16, wide = ir_mem_log2(c->info) > 3;
    int32_t value = wide ? cell_disp(e, is_store ? CELL_A : CELL_RESULT) : CPU_DISP(e, slow_value);
    if (c->hit)
        emit_guess_again(e, c);
    if (c->member || c->span > c->size)
        emit_access_alone(e, c);
    /* a scratch register that is neither base nor value: any temporary is free to be changed if
     * put back */
    if (c->disp || c->info & IR_MEM_ADDR32) {
        unsigned t =
            c->base == RAX || c->reg == RAX ? (c->base == RCX || c->reg == RCX ? RDX : RCX) : RAX;
        store(a, true, RBP, CPU_DISP(e, slow_value), (int)t);
        lea(a, !(c->info & IR_MEM_ADDR32), (int)t, c->base, c->disp);
        store(a, true, RBP, CPU_DISP(e, slow_address), (int)t);
        load(a, true, (int)t, RBP, CPU_DISP(e, slow_value));
    } else {
        store(a, true, RBP, CPU_DISP(e, slow_address), c->base);
    }
    if (is_store) {
        if (is_float)
            store_xmm(a, wide ? IR_V128 : IR_F64, c->reg, value);
        else
            store(a, true, RBP, CPU_DISP(e, slow_value), c->reg);
    }
    store_i(a, false, RBP, CPU_DISP(e, slow_info), (int32_t)c->info);
    emit_call_thunk(e, is_store ? e->k->store : e->k->load);
    if (!is_store && is_float)
        load_xmm(a, wide ? IR_V128 : IR_F64, c->reg, value);
    else if (!is_store)
        load(a, is_64(c->type), c->reg, RBP, CPU_DISP(e, slow_value));
    for (unsigned r = 0; r < 16; r++) /* what was known of pages may have changed meanwhile */
        if (c->pages & reg_bit(r))
            mov_ri(a, (int)r, 1);
}

bool emit_memory(Emit *e, IrRef i, const IrOp *op)
{
    if (e->t->options.accel == TRANSLATE_VERIFY && e->t->guest->direct_memory)
        return false; /* every access is to be seen */
    if (op->code == IR_LOAD)
        return emit_load(e, i, op);
    if (op->code == IR_STORE)
        return emit_store(e, i, op);
    return emit_atomic(e, i, op);
}
