/* SPDX-License-Identifier: MIT */
/*
 * The meaning of every pure operation, on IrValue: one place for constant
 * folding, for the interpreter, and for operations a back end leaves to C.
 * Integers are computed in 128 bits and cut to their width. Vectors are in
 * eval_vec.c; floating-point arithmetic is in eval_fp.c, since it needs the FP
 * environment.
 */
#include <string.h>

#include "base/bits.h"
#include "translate/ir_priv.h"

typedef unsigned __int128 U128;
typedef __int128 S128;

static U128 get(const IrValue *v)
{
    return (U128)v->w[1] << 64 | v->w[0];
}

static U128 mask_of(unsigned width)
{
    return width >= 128 ? ~(U128)0 : ((U128)1 << width) - 1;
}

static S128 signed_of(U128 v, unsigned width)
{
    return (S128)(v << (128 - width)) >> (128 - width);
}

static void set(IrValue *r, U128 v, unsigned width)
{
    v &= mask_of(width);
    r->w[0] = (uint64_t)v;
    r->w[1] = (uint64_t)(v >> 64);
    r->w[2] = r->w[3] = 0;
}

static U128 high_product(U128 a, U128 b, unsigned width, bool a_signed, bool b_signed)
{
    if (width <= 64) {
        U128 x = a_signed ? (U128)signed_of(a, width) : a;
        U128 y = b_signed ? (U128)signed_of(b, width) : b;
        return (U128)(a_signed ? (U128)((S128)(x * y) >> width) : (x * y) >> width);
    }
    /* 128 x 128: high half of the unsigned product from 64-bit parts, then corrected for signs */
    uint64_t a0 = (uint64_t)a, a1 = (uint64_t)(a >> 64), b0 = (uint64_t)b, b1 = (uint64_t)(b >> 64);
    U128 p00 = (U128)a0 * b0, p01 = (U128)a0 * b1, p10 = (U128)a1 * b0, p11 = (U128)a1 * b1;
    U128 middle = (p00 >> 64) + (uint64_t)p01 + (uint64_t)p10;
    U128 high = p11 + (p01 >> 64) + (p10 >> 64) + (middle >> 64);
    if (a_signed && (S128)a < 0)
        high -= b;
    if (b_signed && (S128)b < 0)
        high -= a;
    return high;
}

static U128 divide(unsigned code, U128 a, U128 b, unsigned width)
{
    S128 sa = signed_of(a, width), sb = signed_of(b, width);
    switch (code) {
    case IR_DIVU:
        return b ? a / b : ~(U128)0;
    case IR_REMU:
        return b ? a % b : a;
    case IR_DIVS:
        return !b ? ~(U128)0 : sb == -1 ? (U128)0 - a : (U128)(sa / sb);
    default:
        return !b ? a : sb == -1 ? 0 : (U128)(sa % sb);
    }
}

static U128 clmul(U128 a, U128 b, unsigned width, bool high)
{
    U128 low = 0, top = 0;
    for (unsigned i = 0; i < width; i++)
        if (b >> i & 1) {
            low ^= a << i;
            if (i)
                top ^= a >> (width - i);
        }
    return high ? top : low;
}

static U128 bit_reverse(U128 v, unsigned width)
{
    U128 r = 0;
    for (unsigned i = 0; i < width; i++)
        r = r << 1 | (v >> i & 1);
    return r;
}

static U128 byte_swap(U128 v, unsigned width)
{
    U128 r = 0;
    for (unsigned i = 0; i < width; i += 8)
        r = r << 8 | (v >> i & 0xff);
    return r;
}

static unsigned count_leading(U128 v, unsigned width)
{
    for (unsigned i = 0; i < width; i++)
        if (v >> (width - 1 - i) & 1)
            return i;
    return width;
}

static unsigned count_trailing(U128 v, unsigned width)
{
    for (unsigned i = 0; i < width; i++)
        if (v >> i & 1)
            return i;
    return width;
}

static U128 shift(unsigned code, U128 a, U128 b, unsigned width)
{
    unsigned n = (unsigned)b & (width - 1);
    switch (code) {
    case IR_SHL:
        return a << n;
    case IR_SHR:
        return a >> n;
    case IR_SAR:
        return (U128)(signed_of(a, width) >> n);
    case IR_ROR:
        n = (width - n) & (width - 1);
        /* fallthrough */
    default:
        return n ? a << n | a >> (width - n) : a;
    }
}

static bool compare(unsigned cond, U128 a, U128 b, unsigned width)
{
    S128 sa = signed_of(a, width), sb = signed_of(b, width);
    switch (cond) {
    case IR_EQ: return a == b;
    case IR_NE: return a != b;
    case IR_LT: return sa < sb;
    case IR_GE: return sa >= sb;
    case IR_GT: return sa > sb;
    case IR_LE: return sa <= sb;
    case IR_LTU: return a < b;
    case IR_GEU: return a >= b;
    case IR_GTU: return a > b;
    default: return a <= b;
    }
}

/* flags */

static uint32_t flags_of_result(uint64_t r, unsigned width)
{
    uint32_t f = 0;
    if (!(r & bits_mask(width)))
        f |= IR_FLAG_Z;
    if (r >> (width - 1) & 1)
        f |= IR_FLAG_S;
    if (!(__builtin_popcount(r & 0xff) & 1))
        f |= IR_FLAG_P;
    return f;
}

static uint32_t flags_add(uint64_t a, uint64_t b, unsigned carry, unsigned width)
{
    U128 sum = (U128)a + b + carry;
    uint64_t r = (uint64_t)sum & bits_mask(width);
    uint32_t f = flags_of_result(r, width);
    if (sum >> width & 1)
        f |= IR_FLAG_C;
    if (((a ^ r) & (b ^ r)) >> (width - 1) & 1)
        f |= IR_FLAG_O;
    if ((a ^ b ^ r) & 16)
        f |= IR_FLAG_A;
    return f;
}

static uint32_t flags_sub(uint64_t a, uint64_t b, unsigned borrow, unsigned width)
{
    uint64_t r = (a - b - borrow) & bits_mask(width);
    uint32_t f = flags_of_result(r, width);
    if ((U128)a < (U128)b + borrow)
        f |= IR_FLAG_C;
    if (((a ^ b) & (a ^ r)) >> (width - 1) & 1)
        f |= IR_FLAG_O;
    if ((a ^ b ^ r) & 16)
        f |= IR_FLAG_A;
    return f;
}

static uint32_t flags_shift(unsigned code, uint64_t a, uint64_t b, uint32_t old, unsigned width)
{
    unsigned n = (unsigned)b & (width == 64 ? 63 : 31);
    if (!n)
        return old;
    uint64_t r;
    bool carry, over;
    if (code == IR_FLAGS_SHL) {
        r = n < width ? a << n & bits_mask(width) : 0;
        carry = n <= width && (a >> (width - n) & 1);
        over = (r >> (width - 1) & 1) != carry;
    } else if (code == IR_FLAGS_SHR) {
        r = n < width ? a >> n : 0;
        carry = n <= width && (a >> (n - 1) & 1);
        over = a >> (width - 1) & 1;
    } else {
        int64_t s = bits_sext(a, width);
        r = (uint64_t)(s >> (n < 63 ? n : 63)) & bits_mask(width);
        carry = s >> (n - 1 < 63 ? n - 1 : 63) & 1;
        over = false;
    }
    uint32_t f = flags_of_result(r, width);
    return f | (carry ? IR_FLAG_C : 0) | (over ? IR_FLAG_O : 0);
}

static bool flags_test(unsigned cond, uint32_t f)
{
    bool c = f & IR_FLAG_C, z = f & IR_FLAG_Z, s = f & IR_FLAG_S, o = f & IR_FLAG_O,
         p = f & IR_FLAG_P, r;
    switch (cond >> 1) {
    case 0: r = o; break;
    case 1: r = c; break;
    case 2: r = z; break;
    case 3: r = c || z; break;
    case 4: r = s; break;
    case 5: r = p; break;
    case 6: r = s != o; break;
    default: r = z || s != o; break;
    }
    return r != (cond & 1);
}

static bool eval_flags(const IrOp *op, IrValue *r, const IrValue *a, const IrValue *b,
                       const IrValue *c)
{
    unsigned width = ir_type_bits(op->aux);
    uint64_t x = a->u & bits_mask(width), y = b->u & bits_mask(width);
    uint32_t f;
    switch (op->code) {
    case IR_FLAGS_ADD: f = flags_add(x, y, 0, width); break;
    case IR_FLAGS_ADC: f = flags_add(x, y, c->u & 1, width); break;
    case IR_FLAGS_SUB: f = flags_sub(x, y, 0, width); break;
    case IR_FLAGS_SBC: f = flags_sub(x, y, c->u & 1, width); break;
    case IR_FLAGS_LOGIC: f = flags_of_result(x, width); break;
    case IR_FLAGS_SHL:
    case IR_FLAGS_SHR:
    case IR_FLAGS_SAR: f = flags_shift(op->code, x, b->u, (uint32_t)c->u, width); break;
    case IR_FLAGS_PACK:
    case IR_FLAGS_BITS: f = (uint32_t)a->u; break;
    case IR_FLAGS_INVC: f = (uint32_t)a->u ^ IR_FLAG_C; break;
    case IR_FLAGS_TEST: f = flags_test(op->sub, (uint32_t)a->u); break;
    default: return false;
    }
    set(r, f, 32);
    return true;
}

static U128 eval_int(const IrOp *op, U128 x, U128 y, U128 z, unsigned width)
{
    unsigned from = ir_type_bits(op->aux), pos = op->imm & 0xff, len = op->imm >> 8 & 0xff;
    switch (op->code) {
    case IR_CONST: return (uint64_t)op->imm;
    case IR_ADD: return x + y;
    case IR_SUB: return x - y;
    case IR_MUL: return x * y;
    case IR_MULHS: return high_product(x, y, width, true, true);
    case IR_MULHU: return high_product(x, y, width, false, false);
    case IR_MULHSU: return high_product(x, y, width, true, false);
    case IR_DIVS: case IR_DIVU: case IR_REMS: case IR_REMU: return divide(op->code, x, y, width);
    case IR_AND: return x & y;
    case IR_OR: return x | y;
    case IR_XOR: return x ^ y;
    case IR_ANDN: return x & ~y;
    case IR_NOT: return ~x;
    case IR_NEG: return 0 - x;
    case IR_SHL: case IR_SHR: case IR_SAR: case IR_ROL: case IR_ROR: return shift(op->code, x, y, width);
    case IR_CLZ: return count_leading(x, width);
    case IR_CTZ: return count_trailing(x, width);
    case IR_POPCNT: return (unsigned)(__builtin_popcountll((uint64_t)x) + __builtin_popcountll((uint64_t)(x >> 64)));
    case IR_BSWAP: return byte_swap(x, width);
    case IR_BITREV: return bit_reverse(x, width);
    case IR_CLMUL: return clmul(x, y, width, false);
    case IR_CLMULH: return clmul(x, y, width, true);
    case IR_CMP: return compare(op->sub, x, y, from);
    case IR_SEXT: return (U128)signed_of(x, from);
    case IR_EXTRACT: return x >> pos & mask_of(len);
    case IR_DEPOSIT: return (x & ~(mask_of(len) << pos)) | (y & mask_of(len)) << pos;
    case IR_CONCAT: return x | y << from;
    case IR_HIGH: return x >> width;
    default: return x; /* ZEXT, TRUNC, BITCAST */
    }
    (void)z;
}

/* Sign and class operations on the bit patterns of floats up to 128 bits. */
static bool eval_sign(const IrOp *op, IrValue *r, const IrValue *a, const IrValue *b)
{
    unsigned width = ir_type_bits(op->type);
    U128 sign = (U128)1 << (width - 1), x = get(a);
    switch (op->code) {
    case IR_FNEG: set(r, x ^ sign, width); return true;
    case IR_FABS: set(r, x & ~sign, width); return true;
    case IR_FCOPYSIGN: set(r, (x & ~sign) | (get(b) & sign), width); return true;
    case IR_FBOX: set(r, x | (op->sub ? 0 : mask_of(64) & ~mask_of(ir_type_bits(op->aux))), 64); return true;
    case IR_FUNBOX:
        if (op->sub || a->u >> width == bits_mask(64 - width))
            set(r, x, width);
        else
            set(r, op->type == IR_F32 ? 0x7fc00000 : 0x7e00, width);
        return true;
    default: return false;
    }
}

static uint64_t float_class(U128 v, unsigned exponent_bits, unsigned fraction_bits)
{
    bool negative = v >> (exponent_bits + fraction_bits) & 1;
    U128 exponent = v >> fraction_bits & mask_of(exponent_bits),
         fraction = v & mask_of(fraction_bits);
    if (exponent == mask_of(exponent_bits)) {
        if (!fraction)
            return negative ? IR_CLASS_NEG_INF : IR_CLASS_POS_INF;
        return fraction >> (fraction_bits - 1) ? IR_CLASS_QNAN : IR_CLASS_SNAN;
    }
    if (exponent)
        return negative ? IR_CLASS_NEG_NORMAL : IR_CLASS_POS_NORMAL;
    if (fraction)
        return negative ? IR_CLASS_NEG_SUBNORMAL : IR_CLASS_POS_SUBNORMAL;
    return negative ? IR_CLASS_NEG_ZERO : IR_CLASS_POS_ZERO;
}

static uint64_t eval_class(IrType type, U128 v)
{
    switch (type) {
    case IR_F16: return float_class(v, 5, 10);
    case IR_F32: return float_class(v, 8, 23);
    case IR_F64: return float_class(v, 11, 52);
    case IR_F128: return float_class(v, 15, 112);
    default: { /* f80: the integer bit is explicit */
        U128 squeezed = (v >> 64) << 63 | (v & mask_of(63));
        return float_class(squeezed, 15, 63);
    }
    }
}

void ir_eval(const IrOp *op, IrValue *r, const IrValue *a, const IrValue *b, const IrValue *c)
{
    if (op->code == IR_SELECT) {
        *r = a->u & 1 ? *b : *c;
        return;
    }
    if (op->code == IR_FCLASS) {
        set(r, eval_class((IrType)op->aux, get(a)), 64);
        return;
    }
    if (op->code == IR_BITCAST) {
        *r = *a;
        return;
    }
    if (eval_flags(op, r, a, b, c) || ir_eval_vector(op, r, a, b, c) || eval_sign(op, r, a, b))
        return;
    unsigned width = ir_type_bits(op->type);
    set(r, eval_int(op, get(a), get(b), get(c), width), width);
}
