/* SPDX-License-Identifier: MIT */
/*
 * What an x86 front end needs of the IR: condition flags of every arithmetic
 * instruction in four widths, registers that overlap (AL, AH, AX, EAX, RAX),
 * loops inside one instruction, faults in the middle of one, locked operations,
 * instructions of any length. The oracle is the host itself, which executes the
 * same instruction; flags that the manual leaves undefined are not compared.
 */
#include "translate/test_guest.h"

#ifdef __x86_64__

#define ALL_FLAGS (IR_FLAG_C | IR_FLAG_P | IR_FLAG_A | IR_FLAG_Z | IR_FLAG_S | IR_FLAG_O)
enum { A = IR_FLAG_A, C = IR_FLAG_C, O = IR_FLAG_O, P = IR_FLAG_P, S = IR_FLAG_S, Z = IR_FLAG_Z };
enum { RAX_ = 0, RCX_ = 1, RDX_ = 2, RSI_ = 6, RDI_ = 7, SP = 14, BASE = 15, EXCEPTION_DE = 33 };

/* ---- the host as the oracle */

typedef uint64_t Two(uint64_t x, uint64_t y, uint32_t *flags);

#define WITH_FLAGS(text) \
    "lea -128(%%rsp), %%rsp\n\tpush %[f]\n\tpopf\n\t" text "\n\tpushf\n\tpop %[f]\n\tlea 128(%%rsp), %%rsp"
#define ONE_WIDTH(name, T, text, y_in) \
    static uint64_t name##_##T(uint64_t xx, uint64_t yy, uint32_t *flags) \
    { \
        T x = (T)xx, y = (T)yy; \
        uint64_t f = *flags | 0x202; \
        __asm__ volatile(WITH_FLAGS(text) : [x] "+&r"(x), [f] "+&r"(f) : [y] y_in(y) : "cc", "memory"); \
        *flags = (uint32_t)f & ALL_FLAGS; \
        return x; \
    }
#define FOUR(name, text, y_in) \
    ONE_WIDTH(name, uint8_t, text, y_in) ONE_WIDTH(name, uint16_t, text, y_in) \
    ONE_WIDTH(name, uint32_t, text, y_in) ONE_WIDTH(name, uint64_t, text, y_in) \
    static Two *const host_##name[] = {name##_uint8_t, name##_uint16_t, name##_uint32_t, name##_uint64_t};
#define THREE(name, text, y_in) \
    ONE_WIDTH(name, uint16_t, text, y_in) ONE_WIDTH(name, uint32_t, text, y_in) ONE_WIDTH(name, uint64_t, text, y_in) \
    static Two *const host_##name[] = {NULL, name##_uint16_t, name##_uint32_t, name##_uint64_t};

FOUR(add, "add %[y], %[x]", "r")
FOUR(adc, "adc %[y], %[x]", "r")
FOUR(sub, "sub %[y], %[x]", "r")
FOUR(sbb, "sbb %[y], %[x]", "r")
FOUR(cmp, "cmp %[y], %[x]", "r")
FOUR(and, "and %[y], %[x]", "r")
FOUR(or, "or %[y], %[x]", "r")
FOUR(xor, "xor %[y], %[x]", "r")
FOUR(test, "test %[y], %[x]", "r")
FOUR(inc, "inc %[x]", "r")
FOUR(dec, "dec %[x]", "r")
FOUR(not, "not %[x]", "r")
FOUR(neg, "neg %[x]", "r")
FOUR(shl, "shl %%cl, %[x]", "c")
FOUR(shr, "shr %%cl, %[x]", "c")
FOUR(sar, "sar %%cl, %[x]", "c")
FOUR(rol, "rol %%cl, %[x]", "c")
FOUR(ror, "ror %%cl, %[x]", "c")
THREE(imul, "imul %[y], %[x]", "r")
THREE(bt, "bt %[y], %[x]", "r")
THREE(bts, "bts %[y], %[x]", "r")
THREE(bsf, "bsf %[y], %[x]", "r")
THREE(popcnt, "popcnt %[y], %[x]", "r")

static uint64_t mask_width(unsigned w)
{
    return bits_mask(8u << w);
}

static uint64_t reg_of(const State *s, unsigned n, unsigned w, bool high)
{
    return (w == 0 && high ? s->regs.r[n] >> 8 : s->regs.r[n]) & mask_width(w);
}

static void set_reg(State *s, unsigned n, unsigned w, bool high, uint64_t v)
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

static IrType type_of(unsigned w)
{
    return (IrType)(IR_I8 + w);
}

static IrRef get_reg(IrBuilder *b, unsigned n, unsigned w, bool high)
{
    IrRef v = ir_get(b, R0 + n);
    if (w == 0 && high)
        v = ir_extract(b, v, 8, 8);
    return ir_trunc(b, type_of(w), v);
}

static void put_reg(IrBuilder *b, unsigned n, unsigned w, bool high, IrRef v)
{
    if (w < 2)
        v = ir_deposit(b, ir_get(b, R0 + n), ir_zext(b, IR_I64, v), w == 0 && high ? 8 : 0, 8u << w);
    ir_put(b, R0 + n, ir_zext(b, IR_I64, v));
}

static IrRef flags_op(IrBuilder *b, IrCode code, IrRef x, IrRef y, IrRef z)
{
    return ir_op(b, (IrOp){.code = (uint8_t)code, .type = IR_FLAGS, .a = x, .b = y, .c = z});
}

static IrRef flags_test(IrBuilder *b, unsigned cc)
{
    return ir_op(b, (IrOp){.code = IR_FLAGS_TEST, .type = IR_I8, .sub = (uint8_t)cc, .a = ir_get(b, FLAGS)});
}

static IrRef flag_bits(IrBuilder *b)
{
    return ir_unary(b, IR_FLAGS_BITS, IR_I32, ir_get(b, FLAGS));
}

static void put_flag_bits(IrBuilder *b, IrRef bits)
{
    ir_put(b, FLAGS, ir_unary(b, IR_FLAGS_PACK, IR_FLAGS, bits));
}

/* The flags of mask from `bits`, the others as they are. */
static void merge_flags(IrBuilder *b, uint32_t mask, IrRef bits)
{
    put_flag_bits(b, ir_binary(b, IR_OR, ir_binary_imm(b, IR_AND, flag_bits(b), ~(int64_t)mask),
                               ir_binary_imm(b, IR_AND, bits, mask)));
}

/* fields of an instruction */
#define W(i) ((i)->a & 3u)
#define DH(i) (((i)->a & 4) != 0)
#define NH(i) (((i)->a & 8) != 0)
#define CC(i) ((i)->a >> 4)

static void adjust(Insn *i, GRand *r);

/* ---- two operands: op d, n */

#define TWO(name, emit_value, emit_flags, writes, undef) \
    static void emit_##name(IrBuilder *b, const Insn *i) \
    { \
        IrRef x = get_reg(b, i->d, W(i), DH(i)), y = get_reg(b, i->n, W(i), NH(i)); \
        IrRef carry = flags_test(b, IR_F_C), v = emit_value, f = emit_flags; \
        (void)carry, (void)y; \
        if (writes) \
            put_reg(b, i->d, W(i), DH(i), v); \
        ir_put(b, FLAGS, f); \
    } \
    static void oracle_##name(State *s, const Insn *i) \
    { \
        uint64_t v = host_##name[W(i)](reg_of(s, i->d, W(i), DH(i)), reg_of(s, i->n, W(i), NH(i)), &s->regs.flags); \
        if (writes) \
            set_reg(s, i->d, W(i), DH(i), v); \
        s->undefined = undef; \
    }

static IrRef add_carry(IrBuilder *b, IrCode code, IrRef x, IrRef y, IrRef carry)
{
    return ir_binary(b, code, ir_binary(b, code, x, y), ir_zext(b, (IrType)b->ops[x].type, carry));
}

TWO(cmp, 0, flags_op(b, IR_FLAGS_SUB, x, y, 0), false, 0)
TWO(add, ir_binary(b, IR_ADD, x, y), flags_op(b, IR_FLAGS_ADD, x, y, 0), true, 0)
TWO(adc, add_carry(b, IR_ADD, x, y, carry), flags_op(b, IR_FLAGS_ADC, x, y, carry), true, 0)
TWO(sub, ir_binary(b, IR_SUB, x, y), flags_op(b, IR_FLAGS_SUB, x, y, 0), true, 0)
TWO(sbb, add_carry(b, IR_SUB, x, y, carry), flags_op(b, IR_FLAGS_SBC, x, y, carry), true, 0)
TWO(and, ir_binary(b, IR_AND, x, y), flags_op(b, IR_FLAGS_LOGIC, v, 0, 0), true, A)
TWO(or, ir_binary(b, IR_OR, x, y), flags_op(b, IR_FLAGS_LOGIC, v, 0, 0), true, A)
TWO(xor, ir_binary(b, IR_XOR, x, y), flags_op(b, IR_FLAGS_LOGIC, v, 0, 0), true, A)
TWO(test, ir_binary(b, IR_AND, x, y), flags_op(b, IR_FLAGS_LOGIC, v, 0, 0), false, A)
TWO(neg, ir_unary(b, IR_NEG, type_of(W(i)), x), flags_op(b, IR_FLAGS_SUB, ir_const(b, type_of(W(i)), 0), x, 0), true, 0)
TWO(not, ir_unary(b, IR_NOT, type_of(W(i)), x), ir_get(b, FLAGS), true, 0)

/* increments keep the carry */
static IrRef keep_carry(IrBuilder *b, IrRef f)
{
    IrRef bits = ir_unary(b, IR_FLAGS_BITS, IR_I32, f);
    bits = ir_binary(b, IR_OR, ir_binary_imm(b, IR_AND, bits, ~(int64_t)C), ir_binary_imm(b, IR_AND, flag_bits(b), C));
    return ir_unary(b, IR_FLAGS_PACK, IR_FLAGS, bits);
}

TWO(inc, ir_binary_imm(b, IR_ADD, x, 1),
    keep_carry(b, flags_op(b, IR_FLAGS_ADD, x, ir_const(b, type_of(W(i)), 1), 0)), true, 0)
TWO(dec, ir_binary_imm(b, IR_SUB, x, 1),
    keep_carry(b, flags_op(b, IR_FLAGS_SUB, x, ir_const(b, type_of(W(i)), 1), 0)), true, 0)

/* an immediate operand */
static uint64_t immediate(const Insn *i)
{
    return (uint64_t)(int64_t)(int16_t)insn_imm(i);
}

static void emit_add_imm(IrBuilder *b, const Insn *i)
{
    IrRef x = get_reg(b, i->d, W(i), DH(i)), y = ir_const(b, type_of(W(i)), immediate(i));
    put_reg(b, i->d, W(i), DH(i), ir_binary(b, IR_ADD, x, y));
    ir_put(b, FLAGS, flags_op(b, IR_FLAGS_ADD, x, y, 0));
}

static void oracle_add_imm(State *s, const Insn *i)
{
    set_reg(s, i->d, W(i), DH(i), host_add[W(i)](reg_of(s, i->d, W(i), DH(i)), immediate(i), &s->regs.flags));
    s->undefined = 0;
}

static void emit_mov_imm(IrBuilder *b, const Insn *i)
{
    put_reg(b, i->d, W(i), DH(i), ir_const(b, type_of(W(i)), immediate(i)));
}

static void oracle_mov_imm(State *s, const Insn *i)
{
    set_reg(s, i->d, W(i), DH(i), immediate(i));
}

/* ---- shifts and rotates: by CL, or by an immediate when bit 4 of a is set */

static uint64_t shift_count(const State *s, const Insn *i)
{
    return i->a & 16 ? i->imm[0] : s->regs.r[RCX_] & 0xff;
}

static unsigned masked_count(uint64_t count, unsigned w)
{
    return (unsigned)count & (w == 3 ? 63 : 31);
}

/* The count masked as x86 does, in the operand's type. */
static IrRef emit_count(IrBuilder *b, const Insn *i)
{
    IrRef n = i->a & 16 ? ir_const(b, IR_I64, i->imm[0]) : ir_get(b, R0 + RCX_);
    return ir_binary_imm(b, IR_AND, ir_trunc(b, type_of(W(i)), n), W(i) == 3 ? 63 : 31);
}

/* A shift by the width or more is no shift modulo the width. */
static IrRef emit_shifted(IrBuilder *b, IrCode code, IrRef x, IrRef n, unsigned w)
{
    if (w >= 2)
        return ir_binary(b, code, x, n);
    IrRef wide = code == IR_SAR ? ir_sext(b, IR_I64, x) : ir_zext(b, IR_I64, x);
    return ir_trunc(b, type_of(w), ir_binary(b, code, wide, ir_zext(b, IR_I64, n)));
}

static void emit_shift(IrBuilder *b, const Insn *i, IrCode code, IrCode flags)
{
    IrRef x = get_reg(b, i->d, W(i), DH(i)), n = emit_count(b, i);
    IrRef f = flags_op(b, flags, x, n, ir_get(b, FLAGS));
    put_reg(b, i->d, W(i), DH(i), emit_shifted(b, code, x, n, W(i)));
    ir_put(b, FLAGS, f);
}

static void oracle_shift(State *s, const Insn *i, Two *const *host)
{
    uint64_t count = shift_count(s, i);
    unsigned n = masked_count(count, W(i)), width = 8u << W(i);
    set_reg(s, i->d, W(i), DH(i), host[W(i)](reg_of(s, i->d, W(i), DH(i)), count, &s->regs.flags));
    if (n)
        s->undefined = A | (n != 1 ? O : 0) | (n >= width && host != host_sar ? C : 0);
}

static void emit_shl(IrBuilder *b, const Insn *i) { emit_shift(b, i, IR_SHL, IR_FLAGS_SHL); }
static void emit_shr(IrBuilder *b, const Insn *i) { emit_shift(b, i, IR_SHR, IR_FLAGS_SHR); }
static void emit_sar(IrBuilder *b, const Insn *i) { emit_shift(b, i, IR_SAR, IR_FLAGS_SAR); }
static void oracle_shl(State *s, const Insn *i) { oracle_shift(s, i, host_shl); }
static void oracle_shr(State *s, const Insn *i) { oracle_shift(s, i, host_shr); }
static void oracle_sar(State *s, const Insn *i) { oracle_shift(s, i, host_sar); }

static void emit_rotate(IrBuilder *b, const Insn *i, bool left)
{
    unsigned width = 8u << W(i);
    IrRef x = get_reg(b, i->d, W(i), DH(i)), n = emit_count(b, i), v = ir_binary(b, left ? IR_ROL : IR_ROR, x, n);
    IrRef low = ir_zext(b, IR_I32, ir_trunc(b, IR_I8, ir_binary_imm(b, IR_AND, v, 1)));
    IrRef top = ir_trunc(b, IR_I32, ir_zext(b, IR_I64, ir_binary_imm(b, IR_SHR, v, width - 1)));
    IrRef next = ir_trunc(b, IR_I32, ir_zext(b, IR_I64, ir_extract(b, v, width - 2, 1)));
    IrRef over = ir_binary(b, IR_XOR, top, left ? low : next);
    IrRef bits = ir_binary(b, IR_OR, left ? low : top, ir_binary_imm(b, IR_SHL, over, 11));
    IrRef old = flag_bits(b);
    bits = ir_binary(b, IR_OR, ir_binary_imm(b, IR_AND, old, ~(int64_t)(C | O)), bits);
    IrRef none = ir_cmp(b, IR_EQ, n, ir_const(b, type_of(W(i)), 0));
    put_reg(b, i->d, W(i), DH(i), v);
    put_flag_bits(b, ir_select(b, none, old, bits));
}

static void oracle_rotate(State *s, const Insn *i, Two *const *host)
{
    uint64_t count = shift_count(s, i);
    set_reg(s, i->d, W(i), DH(i), host[W(i)](reg_of(s, i->d, W(i), DH(i)), count, &s->regs.flags));
    if (masked_count(count, W(i)) > 1)
        s->undefined |= O;
}

static void emit_rol(IrBuilder *b, const Insn *i) { emit_rotate(b, i, true); }
static void emit_ror(IrBuilder *b, const Insn *i) { emit_rotate(b, i, false); }
static void oracle_rol(State *s, const Insn *i) { oracle_rotate(s, i, host_rol); }
static void oracle_ror(State *s, const Insn *i) { oracle_rotate(s, i, host_ror); }

/* ---- multiply and divide */

static void put_overflow(IrBuilder *b, IrRef over)
{
    IrRef o = ir_zext(b, IR_I32, over);
    merge_flags(b, C | O, ir_binary(b, IR_OR, o, ir_binary_imm(b, IR_SHL, o, 11)));
}

static void emit_imul(IrBuilder *b, const Insn *i)
{
    IrType t = type_of(W(i));
    IrRef x = get_reg(b, i->d, W(i), false), y = get_reg(b, i->n, W(i), false), v = ir_binary(b, IR_MUL, x, y);
    IrRef high = ir_binary(b, IR_MULHS, x, y);
    IrRef over = ir_cmp(b, IR_NE, high, ir_binary(b, IR_SAR, v, ir_const(b, t, ir_type_bits(t) - 1)));
    put_reg(b, i->d, W(i), false, v);
    put_overflow(b, over);
}

static void oracle_imul(State *s, const Insn *i)
{
    set_reg(s, i->d, W(i), false, host_imul[W(i)](reg_of(s, i->d, W(i), false), reg_of(s, i->n, W(i), false), &s->regs.flags));
    s->undefined = A | P | S | Z;
}

/* mul and imul of the accumulator (a bit 4: signed) */
static void emit_mul(IrBuilder *b, const Insn *i)
{
    unsigned w = W(i), width = 8u << w;
    bool is_signed = i->a & 16;
    IrRef x = get_reg(b, RAX_, w, false), y = get_reg(b, i->n, w, NH(i));
    IrRef low = ir_binary(b, IR_MUL, x, y), high = ir_binary(b, is_signed ? IR_MULHS : IR_MULHU, x, y);
    IrRef plain = is_signed ? ir_binary(b, IR_SAR, low, ir_const(b, type_of(w), width - 1)) : ir_const(b, type_of(w), 0);
    IrRef over = ir_cmp(b, IR_NE, high, plain);
    if (w == 0) {
        put_reg(b, RAX_, 1, false, ir_op(b, (IrOp){.code = IR_CONCAT, .type = IR_I16, .a = low, .b = high}));
    } else {
        put_reg(b, RAX_, w, false, low);
        put_reg(b, RDX_, w, false, high);
    }
    put_overflow(b, over);
}

#define HOST_MUL(T, op) \
    static void host_##op##_##T(uint64_t *a, uint64_t *d, uint64_t y_, uint64_t *f) \
    { \
        T y = (T)y_; \
        __asm__ volatile(WITH_FLAGS(#op " %[y]") : "+a"(*a), "+d"(*d), [f] "+&r"(*f) : [y] "r"(y) : "cc", "memory"); \
    }
HOST_MUL(uint8_t, mul) HOST_MUL(uint16_t, mul) HOST_MUL(uint32_t, mul) HOST_MUL(uint64_t, mul)
HOST_MUL(uint8_t, imul) HOST_MUL(uint16_t, imul) HOST_MUL(uint32_t, imul) HOST_MUL(uint64_t, imul)
HOST_MUL(uint8_t, div) HOST_MUL(uint16_t, div) HOST_MUL(uint32_t, div) HOST_MUL(uint64_t, div)
HOST_MUL(uint8_t, idiv) HOST_MUL(uint16_t, idiv) HOST_MUL(uint32_t, idiv) HOST_MUL(uint64_t, idiv)

typedef void Pair(uint64_t *a, uint64_t *d, uint64_t y, uint64_t *f);
static Pair *const host_pair[4][4] = {
    {host_mul_uint8_t, host_mul_uint16_t, host_mul_uint32_t, host_mul_uint64_t},
    {host_imul_uint8_t, host_imul_uint16_t, host_imul_uint32_t, host_imul_uint64_t},
    {host_div_uint8_t, host_div_uint16_t, host_div_uint32_t, host_div_uint64_t},
    {host_idiv_uint8_t, host_idiv_uint16_t, host_idiv_uint32_t, host_idiv_uint64_t},
};

static void oracle_mul(State *s, const Insn *i)
{
    uint64_t f = s->regs.flags | 0x202;
    host_pair[i->a & 16 ? 1 : 0][W(i)](&s->regs.r[RAX_], &s->regs.r[RDX_], reg_of(s, i->n, W(i), NH(i)), &f);
    s->regs.flags = (uint32_t)f & ALL_FLAGS;
    s->undefined = A | P | S | Z;
}

/* Dividend, quotient and what does not fit, in twice the width. */
static IrRef emit_dividend(IrBuilder *b, unsigned w)
{
    if (w == 0)
        return get_reg(b, RAX_, 1, false);
    return ir_op(b, (IrOp){.code = IR_CONCAT, .type = type_of(w + 1), .a = get_reg(b, RAX_, w, false),
                           .b = get_reg(b, RDX_, w, false)});
}

static void emit_div(IrBuilder *b, const Insn *i)
{
    unsigned w = W(i), good = ir_label_new(b), bad = ir_label_new(b);
    bool is_signed = i->a & 16;
    IrType t = type_of(w), t2 = type_of(w + 1);
    IrRef y = get_reg(b, i->n, w, NH(i)), x, q;
    ir_brcond(b, ir_cmp(b, IR_EQ, y, ir_const(b, t, 0)), bad);
    x = emit_dividend(b, w);
    y = is_signed ? ir_sext(b, t2, y) : ir_zext(b, t2, y);
    q = ir_binary(b, is_signed ? IR_DIVS : IR_DIVU, x, y);
    IrRef cut = ir_trunc(b, t, q), again = is_signed ? ir_sext(b, t2, cut) : ir_zext(b, t2, cut);
    /* the least dividend by -1 overflows twice the width as well: its quotient is itself */
    IrRef least = ir_cmp(b, IR_LT, ir_binary(b, IR_AND, q, ir_binary(b, IR_AND, x, y)), ir_const(b, t2, 0));
    IrRef fits = ir_cmp(b, IR_EQ, again, q);
    if (is_signed)
        fits = ir_binary(b, IR_AND, fits, ir_binary_imm(b, IR_XOR, least, 1));
    ir_brcond(b, fits, good);
    ir_label(b, bad);
    ir_raise(b, EXCEPTION_DE, ir_const(b, IR_I64, 7));
    b->flow = IR_NEXT;
    ir_label(b, good);
    x = emit_dividend(b, w);
    y = get_reg(b, i->n, w, NH(i));
    y = is_signed ? ir_sext(b, t2, y) : ir_zext(b, t2, y);
    q = ir_trunc(b, t, ir_binary(b, is_signed ? IR_DIVS : IR_DIVU, x, y));
    IrRef m = ir_trunc(b, t, ir_binary(b, is_signed ? IR_REMS : IR_REMU, x, y));
    if (w == 0) {
        put_reg(b, RAX_, 1, false, ir_op(b, (IrOp){.code = IR_CONCAT, .type = IR_I16, .a = q, .b = m}));
    } else {
        put_reg(b, RAX_, w, false, q);
        put_reg(b, RDX_, w, false, m);
    }
}

static bool divides(const State *s, const Insn *i)
{
    unsigned w = W(i), width = 8u << w;
    U128 y = reg_of(s, i->n, w, NH(i));
    U128 x = w == 0 ? reg_of(s, RAX_, 1, false) : (U128)reg_of(s, RDX_, w, false) << width | reg_of(s, RAX_, w, false);
    if (!y)
        return false;
    if (!(i->a & 16))
        return x / y <= mask_width(w);
    S128 sx = (S128)(x << (128 - 2 * width)) >> (128 - 2 * width), sy = (S128)bits_sext((uint64_t)y, width);
    if (sy == -1)
        return sx > -((S128)1 << (width - 1)) && sx <= (S128)1 << (width - 1);
    S128 q = sx / sy;
    return q >= -((S128)1 << (width - 1)) && q < (S128)1 << (width - 1);
}

static void oracle_div(State *s, const Insn *i)
{
    uint64_t f = s->regs.flags | 0x202;
    if (!divides(s, i)) {
        state_raise(s, EXCEPTION_DE, 7);
        return;
    }
    host_pair[i->a & 16 ? 3 : 2][W(i)](&s->regs.r[RAX_], &s->regs.r[RDX_], reg_of(s, i->n, W(i), NH(i)), &f);
    s->regs.flags = (uint32_t)f & ALL_FLAGS;
    s->undefined = ALL_FLAGS;
}

/* ---- moves */

static void emit_lea(IrBuilder *b, const Insn *i)
{
    IrRef v = ir_binary(b, IR_ADD, ir_get(b, R0 + i->n), ir_binary_imm(b, IR_SHL, ir_get(b, R0 + i->m), i->a >> 4 & 3));
    v = ir_binary_imm(b, IR_ADD, v, (int64_t)immediate(i));
    put_reg(b, i->d, W(i), false, ir_trunc(b, type_of(W(i)), v));
}

static void oracle_lea(State *s, const Insn *i)
{
    uint64_t v = s->regs.r[i->n] + (s->regs.r[i->m] << (i->a >> 4 & 3)) + immediate(i);
    set_reg(s, i->d, W(i), false, v);
}

static void emit_mov(IrBuilder *b, const Insn *i) { put_reg(b, i->d, W(i), DH(i), get_reg(b, i->n, W(i), NH(i))); }
static void oracle_mov(State *s, const Insn *i) { set_reg(s, i->d, W(i), DH(i), reg_of(s, i->n, W(i), NH(i))); }

/* movzx, movsx: from width m & 3, at most d's (a bit 4: signed) */
static void emit_movx(IrBuilder *b, const Insn *i)
{
    IrRef v = get_reg(b, i->n, MIN(i->m & 3u, W(i)), NH(i));
    IrType t = type_of(W(i));
    put_reg(b, i->d, W(i), false, i->a & 16 ? ir_sext(b, t, v) : ir_zext(b, t, v));
}

static void oracle_movx(State *s, const Insn *i)
{
    unsigned from = MIN(i->m & 3u, W(i));
    uint64_t v = reg_of(s, i->n, from, NH(i));
    set_reg(s, i->d, W(i), false, i->a & 16 ? (uint64_t)bits_sext(v, 8u << from) : v);
}

static void emit_xchg(IrBuilder *b, const Insn *i)
{
    IrRef x = get_reg(b, i->d, W(i), DH(i)), y = get_reg(b, i->n, W(i), NH(i));
    put_reg(b, i->d, W(i), DH(i), y);
    put_reg(b, i->n, W(i), NH(i), x);
}

static void oracle_xchg(State *s, const Insn *i)
{
    uint64_t x = reg_of(s, i->d, W(i), DH(i)), y = reg_of(s, i->n, W(i), NH(i));
    set_reg(s, i->d, W(i), DH(i), y);
    set_reg(s, i->n, W(i), NH(i), x);
}

static void emit_bswap(IrBuilder *b, const Insn *i)
{
    put_reg(b, i->d, W(i), false, ir_unary(b, IR_BSWAP, type_of(W(i)), get_reg(b, i->d, W(i), false)));
}

static void oracle_bswap(State *s, const Insn *i)
{
    if (W(i) == 3) {
        __asm__("bswap %0" : "+r"(s->regs.r[i->d]));
    } else {
        uint32_t v = (uint32_t)s->regs.r[i->d];
        __asm__("bswap %0" : "+r"(v));
        s->regs.r[i->d] = v;
    }
}

/* cbw cwde cdqe; with a bit 4: cwd cdq cqo */
static void emit_cbw(IrBuilder *b, const Insn *i)
{
    unsigned w = W(i);
    IrType t = type_of(w);
    if (i->a & 16)
        put_reg(b, RDX_, w, false, ir_binary(b, IR_SAR, get_reg(b, RAX_, w, false), ir_const(b, t, (8u << w) - 1)));
    else
        put_reg(b, RAX_, w, false, ir_sext(b, t, get_reg(b, RAX_, w - 1, false)));
}

static void oracle_cbw(State *s, const Insn *i)
{
    uint64_t *a = &s->regs.r[RAX_], *d = &s->regs.r[RDX_];
    switch (W(i) | (i->a & 16)) {
    case 1: __asm__("cbw" : "+a"(*a)); break;
    case 2: __asm__("cwde" : "+a"(*a)); break;
    case 3: __asm__("cdqe" : "+a"(*a)); break;
    case 17: __asm__("cwd" : "+a"(*a), "+d"(*d)); break;
    case 18: __asm__("cdq" : "+a"(*a), "+d"(*d)); break;
    default: __asm__("cqo" : "+a"(*a), "+d"(*d)); break;
    }
}

static void emit_lahf(IrBuilder *b, const Insn *i)
{
    put_reg(b, RAX_, 0, true, ir_trunc(b, IR_I8, ir_binary_imm(b, IR_OR, flag_bits(b), 2)));
}

static void oracle_lahf(State *s, const Insn *i)
{
    uint64_t f = s->regs.flags | 0x202;
    __asm__ volatile(WITH_FLAGS("lahf") : "+a"(s->regs.r[RAX_]), [f] "+&r"(f) : : "cc", "memory");
}

static void emit_sahf(IrBuilder *b, const Insn *i)
{
    merge_flags(b, ALL_FLAGS & ~O, ir_zext(b, IR_I32, get_reg(b, RAX_, 0, true)));
}

static void oracle_sahf(State *s, const Insn *i)
{
    uint64_t f = s->regs.flags | 0x202;
    __asm__ volatile(WITH_FLAGS("sahf") : "+a"(s->regs.r[RAX_]), [f] "+&r"(f) : : "cc", "memory");
    s->regs.flags = (uint32_t)f & ALL_FLAGS;
}

/* ---- bits */

static void emit_bt(IrBuilder *b, const Insn *i)
{
    IrType t = type_of(W(i));
    IrRef x = get_reg(b, i->d, W(i), false), n = get_reg(b, i->n, W(i), false);
    IrRef bit = ir_binary_imm(b, IR_AND, ir_binary(b, IR_SHR, x, n), 1);
    if (i->a & 16) /* bts */
        put_reg(b, i->d, W(i), false, ir_binary(b, IR_OR, x, ir_binary(b, IR_SHL, ir_const(b, t, 1), n)));
    merge_flags(b, C, ir_trunc(b, IR_I32, ir_zext(b, IR_I64, bit)));
}

static void oracle_bt(State *s, const Insn *i)
{
    uint64_t x = reg_of(s, i->d, W(i), false), n = reg_of(s, i->n, W(i), false);
    if (i->a & 16)
        set_reg(s, i->d, W(i), false, host_bts[W(i)](x, n, &s->regs.flags));
    else
        host_bt[W(i)](x, n, &s->regs.flags);
    s->undefined |= O | S | A | P;
}

static void emit_bsf(IrBuilder *b, const Insn *i)
{
    IrType t = type_of(W(i));
    IrRef x = get_reg(b, i->n, W(i), false), zero = ir_cmp(b, IR_EQ, x, ir_const(b, t, 0));
    put_reg(b, i->d, W(i), false, ir_select(b, zero, get_reg(b, i->d, W(i), false), ir_unary(b, IR_CTZ, t, x)));
    merge_flags(b, Z, ir_binary_imm(b, IR_SHL, ir_zext(b, IR_I32, zero), 6));
}

static void oracle_bsf(State *s, const Insn *i)
{
    set_reg(s, i->d, W(i), false, host_bsf[W(i)](reg_of(s, i->d, W(i), false), reg_of(s, i->n, W(i), false), &s->regs.flags));
    s->undefined = ALL_FLAGS & ~Z;
}

static void emit_popcnt(IrBuilder *b, const Insn *i)
{
    IrType t = type_of(W(i));
    IrRef x = get_reg(b, i->n, W(i), false), zero = ir_cmp(b, IR_EQ, x, ir_const(b, t, 0));
    put_reg(b, i->d, W(i), false, ir_unary(b, IR_POPCNT, t, x));
    put_flag_bits(b, ir_binary_imm(b, IR_SHL, ir_zext(b, IR_I32, zero), 6));
}

static void oracle_popcnt(State *s, const Insn *i)
{
    set_reg(s, i->d, W(i), false, host_popcnt[W(i)](0, reg_of(s, i->n, W(i), false), &s->regs.flags));
    s->undefined = 0;
}

/* ---- conditions */

static bool holds(const State *s, unsigned cc)
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

static void emit_setcc(IrBuilder *b, const Insn *i) { put_reg(b, i->d, 0, DH(i), flags_test(b, CC(i))); }
static void oracle_setcc(State *s, const Insn *i) { set_reg(s, i->d, 0, DH(i), holds(s, CC(i))); }

static void emit_cmov(IrBuilder *b, const Insn *i)
{
    put_reg(b, i->d, W(i), false, ir_select(b, flags_test(b, CC(i)), get_reg(b, i->n, W(i), false), get_reg(b, i->d, W(i), false)));
}

static void oracle_cmov(State *s, const Insn *i)
{
    set_reg(s, i->d, W(i), false, reg_of(s, holds(s, CC(i)) ? i->n : i->d, W(i), false));
}

static void emit_jcc(IrBuilder *b, const Insn *i) { ir_branch(b, flags_test(b, CC(i)), b->insn + insn_imm(i)); }
static void oracle_jcc(State *s, const Insn *i) { s->skip = holds(s, CC(i)); }
static void emit_jmp(IrBuilder *b, const Insn *i) { ir_jump(b, b->insn + insn_imm(i)); }
static void oracle_jmp(State *s, const Insn *i) { s->skip = 1; }

/* ---- memory: [r15 + (m & 0xff) + disp8] */

static IrRef emit_address(IrBuilder *b, const Insn *i, bool aligned)
{
    IrRef at = ir_binary(b, IR_ADD, ir_get(b, R0 + BASE), ir_binary_imm(b, IR_AND, ir_get(b, R0 + i->m), 0xff));
    return aligned ? ir_binary_imm(b, IR_AND, at, -(int64_t)(1 << W(i))) : at;
}

static uint8_t *address_of(State *s, const Insn *i, bool aligned)
{
    uint64_t at = s->regs.r[BASE] + (s->regs.r[i->m] & 0xff);
    return state_at(s, aligned ? at & -(uint64_t)(1 << W(i)) : at + (uint64_t)(int64_t)(int8_t)i->imm[0]);
}

static uint64_t read_mem(const uint8_t *p, unsigned w)
{
    uint64_t v = 0;
    memcpy(&v, p, 1u << w);
    return v;
}

static void emit_mov_load(IrBuilder *b, const Insn *i)
{
    IrRef v = ir_load(b, type_of(W(i)), IR_MEM_SIZE(W(i)), emit_address(b, i, false), (int8_t)i->imm[0]);
    put_reg(b, i->d, W(i), DH(i), v);
}

static void oracle_mov_load(State *s, const Insn *i)
{
    set_reg(s, i->d, W(i), DH(i), read_mem(address_of(s, i, false), W(i)));
}

static void emit_mov_store(IrBuilder *b, const Insn *i)
{
    ir_store(b, IR_MEM_SIZE(W(i)), emit_address(b, i, false), (int8_t)i->imm[0], get_reg(b, i->d, W(i), DH(i)));
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
    IrRef v = ir_atomic(b, IR_ATOMIC_SWAP, type_of(W(i)), IR_MEM_SIZE(W(i)), emit_address(b, i, true), get_reg(b, i->d, W(i), DH(i)));
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
    IrRef old = ir_atomic(b, IR_ATOMIC_ADD, type_of(W(i)), IR_MEM_SIZE(W(i)), emit_address(b, i, true), y);
    put_reg(b, i->d, W(i), DH(i), old);
    ir_put(b, FLAGS, flags_op(b, IR_FLAGS_ADD, old, y, 0));
}

static void oracle_xadd(State *s, const Insn *i)
{
    uint8_t *p = address_of(s, i, true);
    uint64_t old = read_mem(p, W(i)), v = host_add[W(i)](old, reg_of(s, i->d, W(i), DH(i)), &s->regs.flags);
    memcpy(p, &v, 1u << W(i));
    set_reg(s, i->d, W(i), DH(i), old);
    s->undefined = 0;
}

static void emit_cmpxchg(IrBuilder *b, const Insn *i)
{
    IrRef a = get_reg(b, RAX_, W(i), false);
    IrRef old = ir_cas(b, type_of(W(i)), IR_MEM_SIZE(W(i)), emit_address(b, i, true), a, get_reg(b, i->d, W(i), DH(i)));
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
        __asm__ volatile(WITH_FLAGS("lock cmpxchg %[y], (%[p])") : "+a"(*a), [f] "+&r"(*f) : [y] "r"(y), [p] "r"(p) : "cc", "memory"); \
    }
HOST_CMPXCHG(uint8_t) HOST_CMPXCHG(uint16_t) HOST_CMPXCHG(uint32_t) HOST_CMPXCHG(uint64_t)

static void oracle_cmpxchg(State *s, const Insn *i)
{
    static void (*const host[])(uint8_t *, uint64_t *, uint64_t, uint64_t *) = {cmpxchg_uint8_t, cmpxchg_uint16_t,
                                                                               cmpxchg_uint32_t, cmpxchg_uint64_t};
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
    uint8_t *from = state_at(s, r[BASE] + i->imm[0]), *to = state_at(s, r[BASE] + i->imm[1]), *to0 = to;
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

#define OP(name, flags) {#name, emit_##name, oracle_##name, flags}
static const Op ops[] = {
    OP(cmp, 0), OP(add, 0), OP(adc, 0), OP(sub, 0), OP(sbb, 0), OP(and, OP_UNDEFINES), OP(or, OP_UNDEFINES),
    OP(xor, OP_UNDEFINES), OP(test, OP_UNDEFINES), OP(neg, 0), OP(not, 0), OP(inc, 0), OP(dec, 0), OP(add_imm, 0),
    OP(mov_imm, 0), OP(shl, OP_UNDEFINES), OP(shr, OP_UNDEFINES), OP(sar, OP_UNDEFINES), OP(rol, OP_UNDEFINES),
    OP(ror, OP_UNDEFINES), OP(imul, OP_UNDEFINES), OP(mul, OP_UNDEFINES), OP(div, OP_UNDEFINES), OP(lea, 0), OP(mov, 0),
    OP(movx, 0), OP(xchg, 0), OP(bswap, 0), OP(cbw, 0), OP(lahf, 0), OP(sahf, 0), OP(bt, OP_UNDEFINES),
    OP(bsf, OP_UNDEFINES), OP(popcnt, 0), OP(setcc, 0), OP(cmov, 0), OP(jcc, OP_BRANCH), OP(jmp, OP_BRANCH),
    OP(mov_load, 0), OP(mov_store, 0), OP(add_mem, 0), OP(xchg_mem, 0), OP(xadd, 0), OP(cmpxchg, 0), OP(push, 0),
    OP(pop, 0), OP(call, OP_BRANCH), OP(push_ret, OP_BRANCH), OP(movs, 0), OP(stos, 0),
};

/* Widths that an instruction does not have. */
static void adjust(Insn *i, GRand *r)
{
    void (*e)(IrBuilder *, const Insn *) = ops[i->op].emit;
    if ((e == emit_imul || e == emit_bt || e == emit_popcnt || e == emit_cmov || e == emit_lea || e == emit_cbw) && W(i) == 0)
        i->a |= 1;
    if (e == emit_bswap && W(i) < 2)
        i->a |= 2;
    if (e == emit_bsf) /* of a zero, what the upper half of the 32-bit form becomes differs between hosts */
        i->a |= W(i) == 1 ? 1 : 3;
    if (e == emit_xchg && i->d == i->n)
        i->n ^= 1;
    i->m &= 7;
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_guest_setup(ops, G_N_ELEMENTS(ops));
    test_adjust = adjust;
    test_max_length = 15;
    g_test_add_func("/translate/x86/each", test_each);
    g_test_add_func("/translate/x86/programs", test_programs);
    return g_test_run();
}

#else
int main(void) { return 0; }
#endif
