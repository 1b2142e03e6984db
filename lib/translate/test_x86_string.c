/* SPDX-License-Identifier: MIT */
/*
 * What an x86 front end needs of the IR for memory: operands in memory, locked
 * operations, push, pop, call and return, and string instructions, which are
 * loops inside one instruction. The oracle is the host itself, which executes
 * the same instruction. Arithmetic: test_x86.c.
 */
#ifdef __x86_64__

#include "translate/test_x86.h"

/* ---- memory: [r15 + (m & 0xff) + disp8] */

static IrRef emit_address(IrBuilder *b, const Insn *i, bool aligned)
{
    IrRef at = ir_binary(b, IR_ADD, ir_get(b, R0 + BASE),
                         ir_binary_imm(b, IR_AND, ir_get(b, R0 + i->m), 0xff));
    return aligned ? ir_binary_imm(b, IR_AND, at, -(int64_t)(1 << W(i))) : at;
}

static uint8_t *address_of(State *s, const Insn *i, bool aligned)
{
    uint64_t at = s->regs.r[BASE] + (s->regs.r[i->m] & 0xff);
    return state_at(s, aligned ? at & -(uint64_t)(1 << W(i))
                               : at + (uint64_t)(int64_t)(int8_t)i->imm[0]);
}

static uint64_t read_mem(const uint8_t *p, unsigned w)
{
    uint64_t v = 0;
    memcpy(&v, p, 1u << w);
    return v;
}

static void emit_mov_load(IrBuilder *b, const Insn *i)
{
    IrRef v = ir_load(b, type_of(W(i)), IR_MEM_SIZE(W(i)), emit_address(b, i, false),
                      (int8_t)i->imm[0]);
    put_reg(b, i->d, W(i), DH(i), v);
}

static void oracle_mov_load(State *s, const Insn *i)
{
    set_reg(s, i->d, W(i), DH(i), read_mem(address_of(s, i, false), W(i)));
}

static void emit_mov_store(IrBuilder *b, const Insn *i)
{
    ir_store(b, IR_MEM_SIZE(W(i)), emit_address(b, i, false), (int8_t)i->imm[0],
             get_reg(b, i->d, W(i), DH(i)));
}

static void oracle_mov_store(State *s, const Insn *i)
{
    uint64_t v = reg_of(s, i->d, W(i), DH(i));
    memcpy(address_of(s, i, false), &v, 1u << W(i));
}

static void emit_add_mem(IrBuilder *b, const Insn *i)
{
    IrRef at = emit_address(b, i, false), y = get_reg(b, i->d, W(i), DH(i));
    IrRef x = ir_load(b, type_of(W(i)), IR_MEM_SIZE(W(i)), at, (int8_t)i->imm[0]);
    ir_store(b, IR_MEM_SIZE(W(i)), at, (int8_t)i->imm[0], ir_binary(b, IR_ADD, x, y));
    ir_put(b, FLAGS, flags_op(b, IR_FLAGS_ADD, x, y, 0));
}

static void oracle_add_mem(State *s, const Insn *i)
{
    uint8_t *p = address_of(s, i, false);
    uint64_t v = host_add[W(i)](read_mem(p, W(i)), reg_of(s, i->d, W(i), DH(i)), &s->regs.flags);
    memcpy(p, &v, 1u << W(i));
    s->undefined = 0;
}

static void emit_xchg_mem(IrBuilder *b, const Insn *i)
{
    IrRef v = ir_atomic(b, IR_ATOMIC_SWAP, type_of(W(i)), IR_MEM_SIZE(W(i)),
                        emit_address(b, i, true), get_reg(b, i->d, W(i), DH(i)));
    put_reg(b, i->d, W(i), DH(i), v);
}

static void oracle_xchg_mem(State *s, const Insn *i)
{
    uint8_t *p = address_of(s, i, true);
    uint64_t old = read_mem(p, W(i)), v = reg_of(s, i->d, W(i), DH(i));
    memcpy(p, &v, 1u << W(i));
    set_reg(s, i->d, W(i), DH(i), old);
}

static void emit_xadd(IrBuilder *b, const Insn *i)
{
    IrRef y = get_reg(b, i->d, W(i), DH(i));
    IrRef old = ir_atomic(b, IR_ATOMIC_ADD, type_of(W(i)), IR_MEM_SIZE(W(i)),
                          emit_address(b, i, true), y);
    put_reg(b, i->d, W(i), DH(i), old);
    ir_put(b, FLAGS, flags_op(b, IR_FLAGS_ADD, old, y, 0));
}

static void oracle_xadd(State *s, const Insn *i)
{
    uint8_t *p = address_of(s, i, true);
    uint64_t old = read_mem(p, W(i)),
             v = host_add[W(i)](old, reg_of(s, i->d, W(i), DH(i)), &s->regs.flags);
    memcpy(p, &v, 1u << W(i));
    set_reg(s, i->d, W(i), DH(i), old);
    s->undefined = 0;
}

static void emit_cmpxchg(IrBuilder *b, const Insn *i)
{
    IrRef a = get_reg(b, RAX_, W(i), false);
    IrRef old = ir_cas(b, type_of(W(i)), IR_MEM_SIZE(W(i)), emit_address(b, i, true), a,
                       get_reg(b, i->d, W(i), DH(i)));
    IrRef same = ir_cmp(b, IR_EQ, a, old);
    IrRef whole = ir_get(b, R0 + RAX_), now;
    if (W(i) < 2)
        now = ir_deposit(b, whole, ir_zext(b, IR_I64, old), 0, 8u << W(i));
    else
        now = ir_zext(b, IR_I64, old);
    ir_put(b, R0 + RAX_, ir_select(b, same, whole, now));
    ir_put(b, FLAGS, flags_op(b, IR_FLAGS_SUB, a, old, 0));
}

#define HOST_CMPXCHG(T) \
    static void cmpxchg_##T(uint8_t *p, uint64_t *a, uint64_t y_, uint64_t *f) \
    { \
        T y = (T)y_; \
        __asm__ volatile(WITH_FLAGS("lock cmpxchg %[y], (%[p])") \
                         : "+a"(*a), [f] "+&r"(*f) \
                         : [y] "r"(y), [p] "r"(p) \
                         : "cc", "memory"); \
    }
HOST_CMPXCHG(uint8_t) HOST_CMPXCHG(uint16_t) HOST_CMPXCHG(uint32_t) HOST_CMPXCHG(uint64_t)

static void oracle_cmpxchg(State *s, const Insn *i)
{
    static void (*const host[])(uint8_t *, uint64_t *, uint64_t, uint64_t *) = {
        cmpxchg_uint8_t, cmpxchg_uint16_t, cmpxchg_uint32_t, cmpxchg_uint64_t};
    uint64_t f = s->regs.flags | 0x202;
    host[W(i)](address_of(s, i, true), &s->regs.r[RAX_], reg_of(s, i->d, W(i), DH(i)), &f);
    s->regs.flags = (uint32_t)f & ALL_FLAGS;
    s->undefined = 0;
}

/* ---- the stack */

static void emit_push(IrBuilder *b, const Insn *i)
{
    IrRef sp = ir_binary_imm(b, IR_SUB, ir_get(b, R0 + SP), 8);
    ir_store(b, IR_MEM_SIZE(3), sp, 0, ir_get(b, R0 + i->n));
    ir_put(b, R0 + SP, sp);
}

static void oracle_push(State *s, const Insn *i)
{
    memcpy(state_at(s, s->regs.r[SP] -= 8), &s->regs.r[i->n], 8);
}

static void emit_pop(IrBuilder *b, const Insn *i)
{
    IrRef sp = ir_get(b, R0 + SP), v = ir_load(b, IR_I64, IR_MEM_SIZE(3), sp, 0);
    ir_put(b, R0 + SP, ir_binary_imm(b, IR_ADD, sp, 8));
    ir_put(b, R0 + i->d, v);
}

static void oracle_pop(State *s, const Insn *i)
{
    memcpy(&s->regs.r[i->d], state_at(s, s->regs.r[SP]), 8);
    s->regs.r[SP] += 8;
}

static void emit_call(IrBuilder *b, const Insn *i)
{
    IrRef sp = ir_binary_imm(b, IR_SUB, ir_get(b, R0 + SP), 8);
    ir_store(b, IR_MEM_SIZE(3), sp, 0, ir_pc(b, b->insn + i->length));
    ir_put(b, R0 + SP, sp);
    ir_call_direct(b, b->insn + insn_imm(i), b->insn + i->length);
}

static void oracle_call(State *s, const Insn *i)
{
    uint64_t back = s->pc + i->length;
    memcpy(state_at(s, s->regs.r[SP] -= 8), &back, 8);
    s->skip = 1;
}

/* ret to the address after the next instruction, pushed first: a return that no call announced */
static void emit_push_ret(IrBuilder *b, const Insn *i)
{
    IrRef sp = ir_get(b, R0 + SP);
    ir_store(b, IR_MEM_SIZE(3), sp, -8, ir_pc(b, b->insn + insn_imm(i)));
    ir_return(b, ir_load(b, IR_I64, IR_MEM_SIZE(3), sp, -8));
}

static void oracle_push_ret(State *s, const Insn *i)
{
    uint64_t to = s->pc + insn_imm(i);
    memcpy(state_at(s, s->regs.r[SP] - 8), &to, 8);
    s->skip = 1;
}

/* ---- string instructions: count, source and target are set first, to stay in memory */

static void emit_rep(IrBuilder *b, const Insn *i, bool move)
{
    unsigned top = ir_label_new(b), end = ir_label_new(b);
    ir_put(b, R0 + RCX_, ir_binary_imm(b, IR_AND, ir_get(b, R0 + RCX_), 31));
    ir_put(b, R0 + RSI_, ir_binary_imm(b, IR_ADD, ir_get(b, R0 + BASE), i->imm[0]));
    ir_put(b, R0 + RDI_, ir_binary_imm(b, IR_ADD, ir_get(b, R0 + BASE), i->imm[1]));
    ir_label(b, top);
    IrRef count = ir_get(b, R0 + RCX_);
    ir_brcond(b, ir_cmp(b, IR_EQ, count, ir_const(b, IR_I64, 0)), end);
    IrRef to = ir_get(b, R0 + RDI_);
    if (move) {
        IrRef from = ir_get(b, R0 + RSI_);
        ir_store(b, IR_MEM_SIZE(0), to, 0, ir_load(b, IR_I8, IR_MEM_SIZE(0), from, 0));
        ir_put(b, R0 + RSI_, ir_binary_imm(b, IR_ADD, from, 1));
    } else {
        ir_store(b, IR_MEM_SIZE(0), to, 0, get_reg(b, RAX_, 0, false));
    }
    ir_put(b, R0 + RDI_, ir_binary_imm(b, IR_ADD, to, 1));
    ir_put(b, R0 + RCX_, ir_binary_imm(b, IR_SUB, count, 1));
    ir_br(b, top);
    ir_label(b, end);
}

static void oracle_rep(State *s, const Insn *i, bool move)
{
    uint64_t *r = s->regs.r, count = r[RCX_] & 31;
    uint8_t *from = state_at(s, r[BASE] + i->imm[0]), *to = state_at(s, r[BASE] + i->imm[1]),
            *to0 = to;
    if (move)
        __asm__ volatile("rep movsb" : "+c"(count), "+S"(from), "+D"(to) : : "memory");
    else
        __asm__ volatile("rep stosb" : "+c"(count), "+D"(to) : "a"(r[RAX_]) : "memory");
    r[RCX_] = count;
    r[RSI_] = r[BASE] + i->imm[0] + (move ? (uint64_t)(to - to0) : 0);
    r[RDI_] = r[BASE] + i->imm[1] + (uint64_t)(to - to0);
}

static void emit_movs(IrBuilder *b, const Insn *i) { emit_rep(b, i, true); }
static void emit_stos(IrBuilder *b, const Insn *i) { emit_rep(b, i, false); }
static void oracle_movs(State *s, const Insn *i) { oracle_rep(s, i, true); }
static void oracle_stos(State *s, const Insn *i) { oracle_rep(s, i, false); }

static const Op ops[] = {
    OP(cmp, 0), OP(add, 0), OP(adc, 0), OP(sub, 0), OP(mov_imm, 0), OP(mov, 0), OP(setcc, 0),
    OP(cmov, 0), OP(jcc, OP_BRANCH), OP(jmp, OP_BRANCH), OP(mov_load, 0), OP(mov_store, 0),
    OP(add_mem, 0), OP(xchg_mem, 0), OP(xadd, 0), OP(cmpxchg, 0), OP(push, 0), OP(pop, 0),
    OP(call, OP_BRANCH), OP(push_ret, OP_BRANCH), OP(movs, 0), OP(stos, 0),
};

/* Widths that an instruction does not have. */
static void adjust(Insn *i, GRand *r)
{
    if (ops[i->op].emit == emit_cmov && W(i) == 0)
        i->a |= 1;
    i->m &= 7;
}

int main(int argc, char **argv)
{
    return x86_main(argc, argv, ops, G_N_ELEMENTS(ops), adjust);
}

#else
int main(void) { return 0; }
#endif
