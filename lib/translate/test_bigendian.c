/* SPDX-License-Identifier: MIT */
/*
 * What big-endian front ends need of the IR (Power, s390x, MIPS, SPARC,
 * PA-RISC): both byte orders in one program, and the same code translated for
 * each (the order is part of the mode key, as on Power and Arm); a carry bit in
 * a slot of its own, condition fields, rotate and mask, linked loads, a loop
 * inside an instruction, delay slots, nullification. Oracle: C after the manuals.
 */
#include "translate/test_guest.h"

#define EMIT(name) static void emit_##name(IrBuilder *b, const Insn *i)
#define ORACLE(name) static void oracle_##name(State *s, const Insn *i)
#define RD s->regs.r[i->d]
#define RN s->regs.r[i->n]
#define RM s->regs.r[i->m]

static IrRef get(IrBuilder *b, unsigned n) { return ir_get(b, R0 + n); }
static IrRef get32(IrBuilder *b, unsigned n) { return ir_trunc(b, IR_I32, get(b, n)); }
static void put(IrBuilder *b, unsigned n, IrRef v) { ir_put(b, R0 + n, v); }
static void put32(IrBuilder *b, unsigned n, IrRef v) { put(b, n, ir_zext(b, IR_I64, v)); }

/* memory: [r15 + (m & 0xff) + imm8]; mode 0 is big-endian; bit 7 of a: the byte-reversed form */
static IrRef address(IrBuilder *b, const Insn *i)
{
    return ir_binary(b, IR_ADD, get(b, 15), ir_binary_imm(b, IR_AND, get(b, i->m), 0xff));
}

static IrMem order(const IrBuilder *b, const Insn *i)
{
    return (b->mode & 1) ^ (i->a >> 7) ? 0 : IR_MEM_BE;
}

static uint8_t *at(State *s, const Insn *i)
{
    return state_at(s, s->regs.r[15] + (RM & 0xff) + (uint64_t)(int64_t)(int8_t)i->imm[0]);
}

static uint64_t read_bytes(State *s, const Insn *i, const uint8_t *p, unsigned n)
{
    bool big = !((s->regs.order & 1) ^ (i->a >> 7));
    uint64_t v = 0;
    for (unsigned k = 0; k < n; k++)
        v = v << 8 | p[big ? k : n - 1 - k];
    return v;
}

static void write_bytes(State *s, const Insn *i, uint8_t *p, unsigned n, uint64_t v)
{
    bool big = !((s->regs.order & 1) ^ (i->a >> 7));
    for (unsigned k = 0; k < n; k++, v >>= 8)
        p[big ? n - 1 - k : k] = (uint8_t)v;
}

#define LOAD(name, log2, sign, T) \
    EMIT(name) \
    { \
        IrMem mem = IR_MEM_SIZE(log2) | (sign ? IR_MEM_SIGNED : 0) | order(b, i); \
        put(b, i->d, ir_load(b, IR_I64, mem, address(b, i), (int8_t)i->imm[0])); \
    } \
    ORACLE(name) { RD = (uint64_t)(int64_t)(T)read_bytes(s, i, at(s, i), 1u << log2); }
#define STORE(name, log2) \
    EMIT(name) \
    { \
        ir_store(b, IR_MEM_SIZE(log2) | order(b, i), address(b, i), (int8_t)i->imm[0], \
                 get(b, i->d)); \
    } \
    ORACLE(name) { write_bytes(s, i, at(s, i), 1u << log2, RD); }

LOAD(lbz, 0, false, uint8_t)
LOAD(lhz, 1, false, uint16_t)
LOAD(lha, 1, true, int16_t)
LOAD(lwz, 2, false, uint32_t)
LOAD(lwa, 2, true, int32_t)
LOAD(ld, 3, false, uint64_t)
STORE(stb, 0)
STORE(sth, 1)
STORE(stw, 2)
STORE(std, 3)

/* 128 bits in the guest's order: v[d] as a number */
EMIT(lvx)
{
    ir_put(b, V0 + i->d,
           ir_load(b, IR_V128, IR_MEM_SIZE(4) | order(b, i), address(b, i), (int8_t)i->imm[0]));
}
ORACLE(lvx)
{
    bool big = !((s->regs.order & 1) ^ (i->a >> 7));
    uint8_t *p = at(s, i);
    s->regs.v[i->d][big] = read_bytes(s, i, p, 8);
    s->regs.v[i->d][!big] = read_bytes(s, i, p + 8, 8);
}
EMIT(stvx)
{
    ir_store(b, IR_MEM_SIZE(4) | order(b, i), address(b, i), (int8_t)i->imm[0],
             ir_get(b, V0 + i->d));
}
ORACLE(stvx)
{
    bool big = !((s->regs.order & 1) ^ (i->a >> 7));
    uint8_t *p = at(s, i);
    write_bytes(s, i, p, 8, s->regs.v[i->d][big]);
    write_bytes(s, i, p + 8, 8, s->regs.v[i->d][!big]);
}

/* setend: from here on the other order */
EMIT(setend)
{
    ir_put(b, ORDER, ir_binary_imm(b, IR_XOR, ir_get(b, ORDER), 1));
    ir_exit_mode(b, b->insn + i->length);
}
ORACLE(setend) { s->regs.order ^= 1; }

/* carries */
static void put_carry(IrBuilder *b, IrRef wide) /* bit 32 of an i64 sum */
{
    ir_put(b, CARRY, ir_trunc(b, IR_I8, ir_extract(b, wide, 32, 1)));
}
static void emit_sum(IrBuilder *b, const Insn *i, bool subtract, IrRef carry)
{
    IrRef x = get32(b, i->n), y = ir_zext(b, IR_I64, get32(b, i->m));
    if (subtract)
        x = ir_unary(b, IR_NOT, IR_I32, x);
    IrRef sum = ir_binary(b, IR_ADD, ir_binary(b, IR_ADD, ir_zext(b, IR_I64, x), y), carry);
    put32(b, i->d, ir_trunc(b, IR_I32, sum));
    put_carry(b, sum);
}
static void oracle_sum(State *s, const Insn *i, bool subtract, unsigned carry)
{
    uint64_t sum = (uint64_t)(uint32_t)(subtract ? ~RN : RN) + (uint32_t)RM + carry;
    RD = (uint32_t)sum;
    s->regs.carry = sum >> 32 & 1;
}
EMIT(addc) { emit_sum(b, i, false, ir_const(b, IR_I64, 0)); }
ORACLE(addc) { oracle_sum(s, i, false, 0); }
EMIT(adde) { emit_sum(b, i, false, ir_zext(b, IR_I64, ir_get(b, CARRY))); }
ORACLE(adde) { oracle_sum(s, i, false, s->regs.carry); }
EMIT(subfc) { emit_sum(b, i, true, ir_const(b, IR_I64, 1)); }
ORACLE(subfc) { oracle_sum(s, i, true, 1); }
EMIT(subfe) { emit_sum(b, i, true, ir_zext(b, IR_I64, ir_get(b, CARRY))); }
ORACLE(subfe) { oracle_sum(s, i, true, s->regs.carry); }

/* rotate and mask: shift imm0 & 31, mask begin a & 31, end imm1 & 31 (bit 0 is the highest) */
static uint32_t mask_of(const Insn *i)
{
    unsigned mb = i->a & 31, me = i->imm[1] & 31;
    uint32_t from = UINT32_MAX >> mb, to = UINT32_MAX << (31 - me);
    return mb <= me ? from & to : from | to;
}
static uint32_t rotated(uint64_t v, const Insn *i)
{
    unsigned n = i->imm[0] & 31;
    return (uint32_t)v << n | (uint32_t)((uint64_t)(uint32_t)v >> (32 - n));
}
static IrRef emit_rotated(IrBuilder *b, const Insn *i)
{
    IrRef v = ir_binary_imm(b, IR_ROL, get32(b, i->n), i->imm[0] & 31);
    return ir_binary_imm(b, IR_AND, v, mask_of(i));
}
EMIT(rlwinm) { put32(b, i->d, emit_rotated(b, i)); }
ORACLE(rlwinm) { RD = rotated(RN, i) & mask_of(i); }
EMIT(rlwimi)
{
    IrRef old = ir_binary_imm(b, IR_AND, get32(b, i->d), (int64_t)(uint32_t)~mask_of(i));
    put32(b, i->d, ir_binary(b, IR_OR, emit_rotated(b, i), old));
}
ORACLE(rlwimi) { RD = (rotated(RN, i) & mask_of(i)) | ((uint32_t)RD & ~mask_of(i)); }
EMIT(cntlzw) { put32(b, i->d, ir_unary(b, IR_CLZ, IR_I32, get32(b, i->n))); }
ORACLE(cntlzw) { RD = (uint32_t)RN ? (unsigned)__builtin_clz((uint32_t)RN) : 32; }
EMIT(extsb) { put(b, i->d, ir_sext(b, IR_I64, ir_trunc(b, IR_I8, get(b, i->n)))); }
ORACLE(extsb) { RD = (uint64_t)(int64_t)(int8_t)RN; }
EMIT(mulhw) { put32(b, i->d, ir_binary(b, IR_MULHS, get32(b, i->n), get32(b, i->m))); }
ORACLE(mulhw) { RD = (uint32_t)((uint64_t)((int64_t)(int32_t)RN * (int32_t)RM) >> 32); }
EMIT(mulhwu) { put32(b, i->d, ir_binary(b, IR_MULHU, get32(b, i->n), get32(b, i->m))); }
ORACLE(mulhwu) { RD = (uint64_t)(uint32_t)RN * (uint32_t)RM >> 32; }

/* quotient 0 where the manual leaves it undefined */
EMIT(divw)
{
    IrRef x = get32(b, i->n), y = get32(b, i->m), zero = ir_const(b, IR_I32, 0);
    IrRef bad = ir_binary(b, IR_AND, ir_cmp(b, IR_EQ, x, ir_const(b, IR_I32, 0x80000000)),
                          ir_cmp(b, IR_EQ, y, ir_const(b, IR_I32, UINT32_MAX)));
    bad = ir_binary(b, IR_OR, bad, ir_cmp(b, IR_EQ, y, zero));
    put32(b, i->d, ir_select(b, bad, zero, ir_binary(b, IR_DIVS, x, y)));
}
ORACLE(divw)
{
    int32_t x = (int32_t)RN, y = (int32_t)RM;
    RD = !y || (x == INT32_MIN && y == -1) ? 0 : (uint32_t)(x / y);
}

/* a condition field of four bits at 4 * (a & 7) */
static void emit_compare(IrBuilder *b, const Insn *i, IrCond less, IrCond greater)
{
    IrRef x = get32(b, i->n), y = get32(b, i->m);
    IrRef f = ir_binary(b, IR_OR,
                        ir_binary_imm(b, IR_SHL, ir_zext(b, IR_I32, ir_cmp(b, less, x, y)), 3),
                        ir_binary_imm(b, IR_SHL, ir_zext(b, IR_I32, ir_cmp(b, greater, x, y)), 2));
    f = ir_binary(b, IR_OR, f,
                  ir_binary_imm(b, IR_SHL, ir_zext(b, IR_I32, ir_cmp(b, IR_EQ, x, y)), 1));
    f = ir_binary(b, IR_OR, f, ir_zext(b, IR_I32, ir_get(b, CARRY)));
    ir_put(b, COND, ir_deposit(b, ir_get(b, COND), f, 4 * (i->a & 7u), 4));
}
static void set_field(State *s, const Insn *i, bool less, bool greater)
{
    unsigned f = (less ? 8 : greater ? 4 : 2) | s->regs.carry, pos = 4 * (i->a & 7u);
    s->regs.cond = (s->regs.cond & ~(15u << pos)) | f << pos;
}
EMIT(cmpw) { emit_compare(b, i, IR_LT, IR_GT); }
ORACLE(cmpw) { set_field(s, i, (int32_t)RN < (int32_t)RM, (int32_t)RN > (int32_t)RM); }
EMIT(cmplw) { emit_compare(b, i, IR_LTU, IR_GTU); }
ORACLE(cmplw) { set_field(s, i, (uint32_t)RN < (uint32_t)RM, (uint32_t)RN > (uint32_t)RM); }

EMIT(bc)
{
    ir_branch(b, ir_trunc(b, IR_I8, ir_extract(b, ir_get(b, COND), i->a & 31, 1)),
              b->insn + insn_imm(i));
}
ORACLE(bc) { s->skip = s->regs.cond >> (i->a & 31) & 1; }
EMIT(bdnz)
{
    IrRef c = ir_binary_imm(b, IR_SUB, ir_get(b, CTR), 1);
    ir_put(b, CTR, c);
    ir_branch(b, ir_cmp(b, IR_NE, c, ir_const(b, IR_I64, 0)), b->insn + insn_imm(i));
}
ORACLE(bdnz) { s->skip = --s->regs.ctr != 0; }

/* lwarx d; stwcx. n to the same word, or to the next one when a & 1 (which must fail) */
EMIT(lwarx_stwcx)
{
    IrMem mem = IR_MEM_SIZE(2) | order(b, i);
    IrRef a = ir_binary_imm(b, IR_AND, address(b, i), -4);
    IrRef v = ir_load_linked(b, IR_I64, mem, a);
    IrRef ok = ir_store_cond(b, mem, i->a & 1 ? ir_binary_imm(b, IR_ADD, a, 4) : a, get32(b, i->n));
    put(b, i->d, v);
    ir_put(
        b, COND,
        ir_deposit(b, ir_get(b, COND), ir_binary_imm(b, IR_SHL, ir_zext(b, IR_I32, ok), 1), 28, 4));
}
ORACLE(lwarx_stwcx)
{
    uint8_t *p = state_at(s, (s->regs.r[15] + (RM & 0xff)) & ~UINT64_C(3));
    uint64_t v = read_bytes(s, i, p, 4);
    if (!(i->a & 1))
        write_bytes(s, i, p, 4, RN);
    RD = v;
    s->regs.cond = (s->regs.cond & 0x0fffffff) | (i->a & 1 ? 0u : 2u << 28);
}

/* big-endian atomic add and compare-and-swap of a doubleword (CSG: r[n] expected, r[d] new) */
EMIT(laag)
{
    IrRef a = ir_binary_imm(b, IR_AND, address(b, i), -8);
    put(b, i->d,
        ir_atomic(b, IR_ATOMIC_ADD, IR_I64, IR_MEM_SIZE(3) | order(b, i), a, get(b, i->n)));
}
ORACLE(laag)
{
    uint8_t *p = state_at(s, (s->regs.r[15] + (RM & 0xff)) & ~UINT64_C(7));
    uint64_t v = read_bytes(s, i, p, 8);
    write_bytes(s, i, p, 8, v + RN);
    RD = v;
}
EMIT(csg)
{
    IrMem mem = IR_MEM_SIZE(3) | order(b, i);
    IrRef a = ir_binary_imm(b, IR_AND, address(b, i), -8);
    IrRef expected = i->a & 1 ? ir_load(b, IR_I64, mem, a, 0) : get(b, i->n);
    IrRef old = ir_cas(b, IR_I64, mem, a, expected, get(b, i->d));
    ir_put(b, COND, ir_zext(b, IR_I32, ir_cmp(b, IR_NE, old, expected)));
    put(b, i->n, old);
}
ORACLE(csg)
{
    uint8_t *p = state_at(s, (s->regs.r[15] + (RM & 0xff)) & ~UINT64_C(7));
    uint64_t old = read_bytes(s, i, p, 8), expected = i->a & 1 ? old : RN;
    if (old == expected)
        write_bytes(s, i, p, 8, RD);
    s->regs.cond = old != expected;
    RN = old;
}

/* MVC: (a & 31) + 1 bytes, one after another, so that overlapping operands propagate */
EMIT(mvc)
{
    unsigned top = ir_label_new(b);
    ir_put(b, CTR, ir_const(b, IR_I64, 0));
    ir_label(b, top);
    IrRef k = ir_get(b, CTR), base = ir_binary(b, IR_ADD, get(b, 15), k);
    ir_store(b, IR_MEM_SIZE(0), base, i->imm[1],
             ir_load(b, IR_I8, IR_MEM_SIZE(0), base, i->imm[0]));
    k = ir_binary_imm(b, IR_ADD, k, 1);
    ir_put(b, CTR, k);
    ir_brcond(b, ir_cmp(b, IR_LTU, k, ir_const(b, IR_I64, (i->a & 31u) + 1)), top);
}
ORACLE(mvc)
{
    unsigned n = (i->a & 31u) + 1;
    for (unsigned k = 0; k < n; k++)
        *state_at(s, s->regs.r[15] + i->imm[1] + k) = *state_at(s, s->regs.r[15] + i->imm[0] + k);
    s->regs.ctr = n;
}

/* MIPS beq with its slot, which changes an operand of the condition */
EMIT(beq_delayed)
{
    IrRef taken = ir_cmp(b, IR_LE, get(b, i->d), get(b, i->n));
    put(b, i->d, ir_binary_imm(b, IR_ADD, get(b, i->d), 5));
    ir_branch(b, taken, b->insn + insn_imm(i));
}
ORACLE(beq_delayed)
{
    s->skip = (int64_t)RD <= (int64_t)RN;
    RD += 5;
}

/* PA-RISC: an instruction whose outcome nullifies the one after it (here: m = m + n) */
EMIT(nullify)
{
    unsigned over = ir_label_new(b);
    IrRef x = get(b, i->n), y = get(b, i->m);
    put(b, i->d, ir_const(b, IR_I64, 0));
    ir_brcond(b, ir_cmp(b, IR_LTU, x, y), over);
    put(b, i->m, ir_binary(b, IR_ADD, get(b, i->m), get(b, i->n)));
    ir_label(b, over);
}
ORACLE(nullify)
{
    bool null = RN < RM;
    RD = 0;
    if (!null)
        RM += RN;
}

#define OP(name, flags) {#name, emit_##name, oracle_##name, flags}
static const Op ops[] = {
    OP(lbz, 0), OP(lhz, 0), OP(lha, 0), OP(lwz, 0), OP(lwa, 0), OP(ld, 0), OP(stb, 0), OP(sth, 0),
    OP(stw, 0), OP(std, 0), OP(lvx, 0), OP(stvx, 0), OP(setend, 0), OP(addc, 0), OP(adde, 0),
    OP(subfc, 0), OP(subfe, 0), OP(rlwinm, 0), OP(rlwimi, 0), OP(cntlzw, 0), OP(extsb, 0),
    OP(mulhw, 0), OP(mulhwu, 0), OP(divw, 0), OP(cmpw, 0), OP(cmplw, 0), OP(bc, OP_BRANCH),
    OP(bdnz, OP_BRANCH), OP(lwarx_stwcx, 0), OP(laag, 0), OP(csg, 0), OP(mvc, 0),
    OP(beq_delayed, OP_BRANCH), OP(nullify, 0),
};

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_guest_setup(ops, G_N_ELEMENTS(ops));
    g_test_add_func("/translate/bigendian/each", test_each);
    g_test_add_func("/translate/bigendian/programs", test_programs);
    return g_test_run();
}
