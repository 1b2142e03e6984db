/* SPDX-License-Identifier: MIT */
/*
 * For the tests of what an x86 front end needs: registers that overlap, flags,
 * instructions of two operands, conditions, the host itself as the oracle, and
 * the instructions that each of those tests mixes with its own.
 */
#pragma once

#include "translate/test_guest.h"

#ifdef __x86_64__

#define ALL_FLAGS (IR_FLAG_C | IR_FLAG_P | IR_FLAG_A | IR_FLAG_Z | IR_FLAG_S | IR_FLAG_O)
enum { A = IR_FLAG_A, C = IR_FLAG_C, O = IR_FLAG_O, P = IR_FLAG_P, S = IR_FLAG_S, Z = IR_FLAG_Z };
enum { RAX_ = 0, RCX_ = 1, RDX_ = 2, RSI_ = 6, RDI_ = 7, SP = 14, BASE = 15 };

/* ---- the host as the oracle */

typedef uint64_t Two(uint64_t x, uint64_t y, uint32_t *flags);

#define WITH_FLAGS(text) \
    "lea -128(%%rsp), %%rsp\n\tpush %[f]\n\tpopf\n\t" text \
    "\n\tpushf\n\tpop %[f]\n\tlea 128(%%rsp), %%rsp"
#define ONE_WIDTH(name, T, text, y_in) \
    static inline uint64_t name##_##T(uint64_t xx, uint64_t yy, uint32_t *flags) \
    { \
        T x = (T)xx, y = (T)yy; \
        uint64_t f = *flags | 0x202; \
        __asm__ volatile(WITH_FLAGS(text) \
                         : [x] "+&r"(x), [f] "+&r"(f) \
                         : [y] y_in(y) \
                         : "cc", "memory"); \
        *flags = (uint32_t)f & ALL_FLAGS; \
        return x; \
    }
#define FOUR(name, text, y_in) \
    ONE_WIDTH(name, uint8_t, text, y_in) ONE_WIDTH(name, uint16_t, text, y_in) \
    ONE_WIDTH(name, uint32_t, text, y_in) ONE_WIDTH(name, uint64_t, text, y_in) \
    static Two *const host_##name[] = {name##_uint8_t, name##_uint16_t, name##_uint32_t, \
                                       name##_uint64_t};
#define THREE(name, text, y_in) \
    ONE_WIDTH(name, uint16_t, text, y_in) ONE_WIDTH(name, uint32_t, text, y_in) \
    ONE_WIDTH(name, uint64_t, text, y_in) \
    static Two *const host_##name[] = {NULL, name##_uint16_t, name##_uint32_t, name##_uint64_t};

FOUR(add, "add %[y], %[x]", "r")
FOUR(adc, "adc %[y], %[x]", "r")
FOUR(sub, "sub %[y], %[x]", "r")
FOUR(cmp, "cmp %[y], %[x]", "r")

static inline uint64_t mask_width(unsigned w)
{
    return bits_mask(8u << w);
}

static inline uint64_t reg_of(const State *s, unsigned n, unsigned w, bool high)
{
    return (w == 0 && high ? s->regs.r[n] >> 8 : s->regs.r[n]) & mask_width(w);
}

static inline void set_reg(State *s, unsigned n, unsigned w, bool high, uint64_t v)
{
    uint64_t *r = &s->regs.r[n];
    if (w >= 2)
        *r = v & mask_width(w);
    else if (w == 0 && high)
        *r = (*r & ~UINT64_C(0xff00)) | (v & 0xff) << 8;
    else
        *r = (*r & ~mask_width(w)) | (v & mask_width(w));
}

/* ---- what a front end does with registers */

static inline IrType type_of(unsigned w)
{
    return (IrType)(IR_I8 + w);
}

static inline IrRef get_reg(IrBuilder *b, unsigned n, unsigned w, bool high)
{
    IrRef v = ir_get(b, R0 + n);
    if (w == 0 && high)
        v = ir_extract(b, v, 8, 8);
    return ir_trunc(b, type_of(w), v);
}

static inline void put_reg(IrBuilder *b, unsigned n, unsigned w, bool high, IrRef v)
{
    if (w < 2)
        v = ir_deposit(b, ir_get(b, R0 + n), ir_zext(b, IR_I64, v), w == 0 && high ? 8 : 0,
                       8u << w);
    ir_put(b, R0 + n, ir_zext(b, IR_I64, v));
}

static inline IrRef flags_op(IrBuilder *b, IrCode code, IrRef x, IrRef y, IrRef z)
{
    return ir_op(b, (IrOp){.code = (uint8_t)code, .type = IR_FLAGS, .a = x, .b = y, .c = z});
}

static inline IrRef flags_test(IrBuilder *b, unsigned cc)
{
    return ir_op(
        b, (IrOp){.code = IR_FLAGS_TEST, .type = IR_I8, .sub = (uint8_t)cc, .a = ir_get(b, FLAGS)});
}

static inline IrRef flag_bits(IrBuilder *b)
{
    return ir_unary(b, IR_FLAGS_BITS, IR_I32, ir_get(b, FLAGS));
}

static inline void put_flag_bits(IrBuilder *b, IrRef bits)
{
    ir_put(b, FLAGS, ir_unary(b, IR_FLAGS_PACK, IR_FLAGS, bits));
}

/* The flags of mask from `bits`, the others as they are. */
static inline void merge_flags(IrBuilder *b, uint32_t mask, IrRef bits)
{
    put_flag_bits(b, ir_binary(b, IR_OR, ir_binary_imm(b, IR_AND, flag_bits(b), ~(int64_t)mask),
                               ir_binary_imm(b, IR_AND, bits, mask)));
}

/* fields of an instruction */
#define W(i) ((i)->a & 3u)
#define DH(i) (((i)->a & 4) != 0)
#define NH(i) (((i)->a & 8) != 0)
#define CC(i) ((i)->a >> 4)

/* ---- two operands: op d, n */

#define TWO(name, emit_value, emit_flags, writes, undef) \
    static inline void emit_##name(IrBuilder *b, const Insn *i) \
    { \
        IrRef x = get_reg(b, i->d, W(i), DH(i)), y = get_reg(b, i->n, W(i), NH(i)); \
        IrRef carry = flags_test(b, IR_F_C), v = emit_value, f = emit_flags; \
        (void)carry, (void)y; \
        if (writes) \
            put_reg(b, i->d, W(i), DH(i), v); \
        ir_put(b, FLAGS, f); \
    } \
    static inline void oracle_##name(State *s, const Insn *i) \
    { \
        uint64_t v = host_##name[W(i)](reg_of(s, i->d, W(i), DH(i)), reg_of(s, i->n, W(i), NH(i)), \
                                       &s->regs.flags); \
        if (writes) \
            set_reg(s, i->d, W(i), DH(i), v); \
        s->undefined = undef; \
    }

static inline IrRef add_carry(IrBuilder *b, IrCode code, IrRef x, IrRef y, IrRef carry)
{
    return ir_binary(b, code, ir_binary(b, code, x, y), ir_zext(b, (IrType)b->ops[x].type, carry));
}

TWO(cmp, 0, flags_op(b, IR_FLAGS_SUB, x, y, 0), false, 0)
TWO(add, ir_binary(b, IR_ADD, x, y), flags_op(b, IR_FLAGS_ADD, x, y, 0), true, 0)
TWO(adc, add_carry(b, IR_ADD, x, y, carry), flags_op(b, IR_FLAGS_ADC, x, y, carry), true, 0)
TWO(sub, ir_binary(b, IR_SUB, x, y), flags_op(b, IR_FLAGS_SUB, x, y, 0), true, 0)

/* ---- moves and conditions */

static inline uint64_t immediate(const Insn *i)
{
    return (uint64_t)(int64_t)(int16_t)insn_imm(i);
}

static inline void emit_mov_imm(IrBuilder *b, const Insn *i)
{
    put_reg(b, i->d, W(i), DH(i), ir_const(b, type_of(W(i)), immediate(i)));
}

static inline void oracle_mov_imm(State *s, const Insn *i)
{
    set_reg(s, i->d, W(i), DH(i), immediate(i));
}

static inline void emit_mov(IrBuilder *b, const Insn *i)
{
    put_reg(b, i->d, W(i), DH(i), get_reg(b, i->n, W(i), NH(i)));
}
static inline void oracle_mov(State *s, const Insn *i)
{
    set_reg(s, i->d, W(i), DH(i), reg_of(s, i->n, W(i), NH(i)));
}

static inline bool holds(const State *s, unsigned cc)
{
    uint32_t f = s->regs.flags;
    bool c = f & C, z = f & Z, sf = f & S, o = f & O, r;
    switch (cc >> 1) {
    case 0: r = o; break;
    case 1: r = c; break;
    case 2: r = z; break;
    case 3: r = c || z; break;
    case 4: r = sf; break;
    case 5: r = f & P; break;
    case 6: r = sf != o; break;
    default: r = z || sf != o; break;
    }
    return r ^ (cc & 1);
}

static inline void emit_setcc(IrBuilder *b, const Insn *i)
{
    put_reg(b, i->d, 0, DH(i), flags_test(b, CC(i)));
}
static inline void oracle_setcc(State *s, const Insn *i)
{
    set_reg(s, i->d, 0, DH(i), holds(s, CC(i)));
}

static inline void emit_cmov(IrBuilder *b, const Insn *i)
{
    put_reg(b, i->d, W(i), false,
            ir_select(b, flags_test(b, CC(i)), get_reg(b, i->n, W(i), false),
                      get_reg(b, i->d, W(i), false)));
}

static inline void oracle_cmov(State *s, const Insn *i)
{
    set_reg(s, i->d, W(i), false, reg_of(s, holds(s, CC(i)) ? i->n : i->d, W(i), false));
}

static inline void emit_jcc(IrBuilder *b, const Insn *i)
{
    ir_branch(b, flags_test(b, CC(i)), b->insn + insn_imm(i));
}
static inline void oracle_jcc(State *s, const Insn *i) { s->skip = holds(s, CC(i)); }
static inline void emit_jmp(IrBuilder *b, const Insn *i) { ir_jump(b, b->insn + insn_imm(i)); }
static inline void oracle_jmp(State *s, const Insn *i) { s->skip = 1; }

#define OP(name, flags) {#name, emit_##name, oracle_##name, flags}

static int x86_main(int argc, char **argv, const Op *ops, unsigned n,
                    void (*adjust)(Insn *i, GRand *r))
{
    g_test_init(&argc, &argv, NULL);
    test_guest_setup(ops, n);
    test_adjust = adjust;
    test_max_length = 15;
    g_test_add_func("/translate/x86/each", test_each);
    g_test_add_func("/translate/x86/programs", test_programs);
    return g_test_run();
}

#endif
