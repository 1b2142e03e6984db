/* SPDX-License-Identifier: MIT */
/*
 * What an x86 front end needs of the IR for arithmetic: condition flags of every
 * instruction in four widths, registers that overlap (AL, AH, AX, EAX, RAX),
 * division that faults, instructions of any length. The oracle is the host
 * itself, which executes the same instruction; flags that the manual leaves
 * undefined are not compared. Memory, stack and strings: test_x86_string.c.
 */
#ifdef __x86_64__

#include "translate/test_x86.h"

enum { EXCEPTION_DE = 33 };

FOUR(sbb, "sbb %[y], %[x]", "r")
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

/* ---- two operands: op d, n */

TWO(sbb, add_carry(b, IR_SUB, x, y, carry), flags_op(b, IR_FLAGS_SBC, x, y, carry), true, 0)
TWO(and, ir_binary(b, IR_AND, x, y), flags_op(b, IR_FLAGS_LOGIC, v, 0, 0), true, A)
TWO(or, ir_binary(b, IR_OR, x, y), flags_op(b, IR_FLAGS_LOGIC, v, 0, 0), true, A)
TWO(xor, ir_binary(b, IR_XOR, x, y), flags_op(b, IR_FLAGS_LOGIC, v, 0, 0), true, A)
TWO(test, ir_binary(b, IR_AND, x, y), flags_op(b, IR_FLAGS_LOGIC, v, 0, 0), false, A)
TWO(neg, ir_unary(b, IR_NEG, type_of(W(i)), x),
    flags_op(b, IR_FLAGS_SUB, ir_const(b, type_of(W(i)), 0), x, 0), true, 0)
TWO(not, ir_unary(b, IR_NOT, type_of(W(i)), x), ir_get(b, FLAGS), true, 0)

/* increments keep the carry */
static IrRef keep_carry(IrBuilder *b, IrRef f)
{
    IrRef bits = ir_unary(b, IR_FLAGS_BITS, IR_I32, f);
    bits = ir_binary(b, IR_OR, ir_binary_imm(b, IR_AND, bits, ~(int64_t)C),
                     ir_binary_imm(b, IR_AND, flag_bits(b), C));
    return ir_unary(b, IR_FLAGS_PACK, IR_FLAGS, bits);
}

TWO(inc, ir_binary_imm(b, IR_ADD, x, 1),
    keep_carry(b, flags_op(b, IR_FLAGS_ADD, x, ir_const(b, type_of(W(i)), 1), 0)), true, 0)
TWO(dec, ir_binary_imm(b, IR_SUB, x, 1),
    keep_carry(b, flags_op(b, IR_FLAGS_SUB, x, ir_const(b, type_of(W(i)), 1), 0)), true, 0)

/* an immediate operand */
static void emit_add_imm(IrBuilder *b, const Insn *i)
{
    IrRef x = get_reg(b, i->d, W(i), DH(i)), y = ir_const(b, type_of(W(i)), immediate(i));
    put_reg(b, i->d, W(i), DH(i), ir_binary(b, IR_ADD, x, y));
    ir_put(b, FLAGS, flags_op(b, IR_FLAGS_ADD, x, y, 0));
}

static void oracle_add_imm(State *s, const Insn *i)
{
    set_reg(s, i->d, W(i), DH(i),
            host_add[W(i)](reg_of(s, i->d, W(i), DH(i)), immediate(i), &s->regs.flags));
    s->undefined = 0;
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
    IrRef x = get_reg(b, i->d, W(i), DH(i)), n = emit_count(b, i),
          v = ir_binary(b, left ? IR_ROL : IR_ROR, x, n);
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
    IrRef x = get_reg(b, i->d, W(i), false), y = get_reg(b, i->n, W(i), false),
          v = ir_binary(b, IR_MUL, x, y);
    IrRef high = ir_binary(b, IR_MULHS, x, y);
    IrRef over = ir_cmp(b, IR_NE, high,
                        ir_binary(b, IR_SAR, v, ir_const(b, t, ir_type_bits(t) - 1)));
    put_reg(b, i->d, W(i), false, v);
    put_overflow(b, over);
}

static void oracle_imul(State *s, const Insn *i)
{
    set_reg(s, i->d, W(i), false,
            host_imul[W(i)](reg_of(s, i->d, W(i), false), reg_of(s, i->n, W(i), false),
                            &s->regs.flags));
    s->undefined = A | P | S | Z;
}

/* mul and imul of the accumulator (a bit 4: signed) */
static void emit_mul(IrBuilder *b, const Insn *i)
{
    unsigned w = W(i), width = 8u << w;
    bool is_signed = i->a & 16;
    IrRef x = get_reg(b, RAX_, w, false), y = get_reg(b, i->n, w, NH(i));
    IrRef low = ir_binary(b, IR_MUL, x, y),
          high = ir_binary(b, is_signed ? IR_MULHS : IR_MULHU, x, y);
    IrRef plain = is_signed ? ir_binary(b, IR_SAR, low, ir_const(b, type_of(w), width - 1))
                            : ir_const(b, type_of(w), 0);
    IrRef over = ir_cmp(b, IR_NE, high, plain);
    if (w == 0) {
        put_reg(b, RAX_, 1, false,
                ir_op(b, (IrOp){.code = IR_CONCAT, .type = IR_I16, .a = low, .b = high}));
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
        __asm__ volatile(WITH_FLAGS(#op " %[y]") \
                         : "+a"(*a), "+d"(*d), [f] "+&r"(*f) \
                         : [y] "r"(y) \
                         : "cc", "memory"); \
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
    host_pair[i->a & 16 ? 1 : 0][W(i)](&s->regs.r[RAX_], &s->regs.r[RDX_],
                                       reg_of(s, i->n, W(i), NH(i)), &f);
    s->regs.flags = (uint32_t)f & ALL_FLAGS;
    s->undefined = A | P | S | Z;
}

/* Dividend, quotient and what does not fit, in twice the width. */
static IrRef emit_dividend(IrBuilder *b, unsigned w)
{
    if (w == 0)
        return get_reg(b, RAX_, 1, false);
    return ir_op(b, (IrOp){.code = IR_CONCAT,
                           .type = type_of(w + 1),
                           .a = get_reg(b, RAX_, w, false),
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
    IrRef least = ir_cmp(b, IR_LT, ir_binary(b, IR_AND, q, ir_binary(b, IR_AND, x, y)),
                         ir_const(b, t2, 0));
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
        put_reg(b, RAX_, 1, false,
                ir_op(b, (IrOp){.code = IR_CONCAT, .type = IR_I16, .a = q, .b = m}));
    } else {
        put_reg(b, RAX_, w, false, q);
        put_reg(b, RDX_, w, false, m);
    }
}

static bool divides(const State *s, const Insn *i)
{
    unsigned w = W(i), width = 8u << w;
    U128 y = reg_of(s, i->n, w, NH(i));
    U128 x = w == 0 ? reg_of(s, RAX_, 1, false)
                    : (U128)reg_of(s, RDX_, w, false) << width | reg_of(s, RAX_, w, false);
    if (!y)
        return false;
    if (!(i->a & 16))
        return x / y <= mask_width(w);
    S128 sx = (S128)(x << (128 - 2 * width)) >> (128 - 2 * width),
         sy = (S128)bits_sext((uint64_t)y, width);
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
    host_pair[i->a & 16 ? 3 : 2][W(i)](&s->regs.r[RAX_], &s->regs.r[RDX_],
                                       reg_of(s, i->n, W(i), NH(i)), &f);
    s->regs.flags = (uint32_t)f & ALL_FLAGS;
    s->undefined = ALL_FLAGS;
}

/* ---- moves */

static void emit_lea(IrBuilder *b, const Insn *i)
{
    IrRef v = ir_binary(b, IR_ADD, ir_get(b, R0 + i->n),
                        ir_binary_imm(b, IR_SHL, ir_get(b, R0 + i->m), i->a >> 4 & 3));
    v = ir_binary_imm(b, IR_ADD, v, (int64_t)immediate(i));
    put_reg(b, i->d, W(i), false, ir_trunc(b, type_of(W(i)), v));
}

static void oracle_lea(State *s, const Insn *i)
{
    uint64_t v = s->regs.r[i->n] + (s->regs.r[i->m] << (i->a >> 4 & 3)) + immediate(i);
    set_reg(s, i->d, W(i), false, v);
}

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
    put_reg(b, i->d, W(i), false,
            ir_unary(b, IR_BSWAP, type_of(W(i)), get_reg(b, i->d, W(i), false)));
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
        put_reg(b, RDX_, w, false,
                ir_binary(b, IR_SAR, get_reg(b, RAX_, w, false), ir_const(b, t, (8u << w) - 1)));
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
        put_reg(b, i->d, W(i), false,
                ir_binary(b, IR_OR, x, ir_binary(b, IR_SHL, ir_const(b, t, 1), n)));
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
    put_reg(b, i->d, W(i), false,
            ir_select(b, zero, get_reg(b, i->d, W(i), false), ir_unary(b, IR_CTZ, t, x)));
    merge_flags(b, Z, ir_binary_imm(b, IR_SHL, ir_zext(b, IR_I32, zero), 6));
}

static void oracle_bsf(State *s, const Insn *i)
{
    set_reg(
        s, i->d, W(i), false,
        host_bsf[W(i)](reg_of(s, i->d, W(i), false), reg_of(s, i->n, W(i), false), &s->regs.flags));
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
    set_reg(s, i->d, W(i), false,
            host_popcnt[W(i)](0, reg_of(s, i->n, W(i), false), &s->regs.flags));
    s->undefined = 0;
}

static const Op ops[] = {
    OP(cmp, 0), OP(add, 0), OP(adc, 0), OP(sub, 0), OP(sbb, 0), OP(and, OP_UNDEFINES),
    OP(or, OP_UNDEFINES), OP(xor, OP_UNDEFINES), OP(test, OP_UNDEFINES), OP(neg, 0), OP(not, 0),
    OP(inc, 0), OP(dec, 0), OP(add_imm, 0), OP(mov_imm, 0), OP(shl, OP_UNDEFINES),
    OP(shr, OP_UNDEFINES), OP(sar, OP_UNDEFINES), OP(rol, OP_UNDEFINES), OP(ror, OP_UNDEFINES),
    OP(imul, OP_UNDEFINES), OP(mul, OP_UNDEFINES), OP(div, OP_UNDEFINES), OP(lea, 0), OP(mov, 0),
    OP(movx, 0), OP(xchg, 0), OP(bswap, 0), OP(cbw, 0), OP(lahf, 0), OP(sahf, 0),
    OP(bt, OP_UNDEFINES), OP(bsf, OP_UNDEFINES), OP(popcnt, 0), OP(setcc, 0), OP(cmov, 0),
    OP(jcc, OP_BRANCH), OP(jmp, OP_BRANCH),
};

/* Widths that an instruction does not have. */
static void adjust(Insn *i, GRand *r)
{
    void (*e)(IrBuilder *, const Insn *) = ops[i->op].emit;
    if ((e == emit_imul || e == emit_bt || e == emit_popcnt || e == emit_cmov || e == emit_lea ||
         e == emit_cbw) &&
        W(i) == 0)
        i->a |= 1;
    if (e == emit_bswap && W(i) < 2)
        i->a |= 2;
    if (e == emit_bsf) /* of a zero, what the upper half of the 32-bit form becomes differs between
                          hosts */
        i->a |= W(i) == 1 ? 1 : 3;
    if (e == emit_xchg && i->d == i->n)
        i->n ^= 1;
    i->m &= 7;
}

int main(int argc, char **argv)
{
    return x86_main(argc, argv, ops, G_N_ELEMENTS(ops), adjust);
}

#else
int main(void) { return 0; }
#endif
