/* SPDX-License-Identifier: MIT */
/*
 * The meaning of every pure vector operation, on bytes in the host's (little-endian) lane order.
 */
#include <string.h>

#include "base/bits.h"
#include "translate/ir_priv.h"

static uint64_t lane_get(const IrValue *v, unsigned lane, unsigned size)
{
    uint64_t x = 0;
    memcpy(&x, v->bytes + lane * size, size);
    return x;
}

static void lane_set(IrValue *v, unsigned lane, unsigned size, uint64_t x)
{
    memcpy(v->bytes + lane * size, &x, size);
}

static int64_t clamp(int64_t v, int64_t low, int64_t high)
{
    return v < low ? low : v > high ? high : v;
}

/* Sums of lanes narrower than 64 bits do not overflow here; those of 64 bits are told by their signs. */
static uint64_t saturated(unsigned code, uint64_t x, uint64_t y, unsigned width)
{
    int64_t sx = bits_sext(x, width), sy = bits_sext(y, width), r;
    uint64_t top = bits_mask(width);
    if (code == IR_VADDUSAT)
        return x + y < x || x + y > top ? top : x + y;
    if (code == IR_VSUBUSAT)
        return x > y ? x - y : 0;
    bool over = code == IR_VADDSAT ? __builtin_add_overflow(sx, sy, &r) : __builtin_sub_overflow(sx, sy, &r);
    if (over)
        return sx < 0 ? UINT64_C(1) << 63 : UINT64_C(1) << 63 ^ UINT64_MAX;
    return (uint64_t)clamp(r, -(int64_t)(top >> 1) - 1, (int64_t)(top >> 1));
}

static uint64_t shifted(unsigned code, uint64_t x, uint64_t n, unsigned width)
{
    int64_t sx = bits_sext(x, width);
    if (code == IR_VSAR || code == IR_VSARV)
        return (uint64_t)(sx >> (n < width ? n : width - 1));
    return n >= width ? 0 : code == IR_VSHL || code == IR_VSHLV ? x << n : x >> n;
}

static uint64_t lane_op(const IrOp *op, uint64_t x, uint64_t y, unsigned width)
{
    int64_t sx = bits_sext(x, width), sy = bits_sext(y, width);
    switch (op->code) {
    case IR_VADD: return x + y;
    case IR_VSUB: return x - y;
    case IR_VMUL: return x * y;
    case IR_VAND: return x & y;
    case IR_VOR: return x | y;
    case IR_VXOR: return x ^ y;
    case IR_VANDN: return x & ~y;
    case IR_VCMPEQ: return x == y ? UINT64_MAX : 0;
    case IR_VCMPGT: return sx > sy ? UINT64_MAX : 0;
    case IR_VMINS: return sx < sy ? x : y;
    case IR_VMAXS: return sx > sy ? x : y;
    case IR_VMINU: return x < y ? x : y;
    case IR_VMAXU: return x > y ? x : y;
    case IR_VADDSAT: case IR_VADDUSAT: case IR_VSUBSAT: case IR_VSUBUSAT:
        return saturated(op->code, x, y, width);
    case IR_VAVGU: return (x | y) - ((x ^ y) >> 1);
    case IR_VABS: return sx < 0 ? 0 - x : x;
    case IR_VSHLV: case IR_VSHRV: case IR_VSARV: return shifted(op->code, x, y, width);
    default: return shifted(op->code, x, (uint64_t)op->imm, width);
    }
}

/* Lane i of what moves lanes about; n is the number of lanes. */
static uint64_t moved_lane(const IrOp *op, const IrValue *a, const IrValue *b, unsigned i, unsigned n, unsigned size)
{
    unsigned at, odd = op->code == IR_VUZPO;
    if (op->code == IR_VZIPL || op->code == IR_VZIPH) {
        at = i / 2 + (op->code == IR_VZIPH ? n / 2 : 0);
        return lane_get(i & 1 ? b : a, at, size);
    }
    at = 2 * (i % (n / 2)) + odd;
    return lane_get(i < n / 2 ? a : b, at, size);
}

static uint64_t packed_lane(const IrOp *op, const IrValue *a, const IrValue *b, unsigned i, unsigned size)
{
    unsigned n = 16 / size, bits = 4 * size;
    int64_t top = (int64_t)bits_mask(bits), v = bits_sext(lane_get(i < n ? a : b, i % n, size), 8 * size);
    return (uint64_t)(op->code == IR_VPACKU ? clamp(v, 0, top) : clamp(v, -(top >> 1) - 1, top >> 1));
}

static void eval_move(const IrOp *op, IrValue *v, const IrValue *a, const IrValue *b)
{
    unsigned size = 1u << op->sub, n = 16 / size;
    memset(v, 0, sizeof *v);
    switch (op->code) {
    case IR_VPACKS: case IR_VPACKU:
        for (unsigned i = 0; i < 2 * n; i++)
            lane_set(v, i, size / 2, packed_lane(op, a, b, i, size));
        break;
    case IR_VWIDENS: case IR_VWIDENU:
        for (unsigned i = 0; i < n / 2; i++) {
            uint64_t x = lane_get(a, i, size);
            lane_set(v, i, 2 * size, op->code == IR_VWIDENS ? (uint64_t)bits_sext(x, 8 * size) : x);
        }
        break;
    case IR_VEXT:
        for (unsigned i = 0; i < 16; i++) {
            unsigned at = i + (unsigned)op->imm;
            v->bytes[i] = at < 16 ? a->bytes[at] : b->bytes[at - 16];
        }
        break;
    case IR_VSHUFFLE:
        for (unsigned i = 0; i < 16; i++)
            v->bytes[i] = b->bytes[i] < 16 ? a->bytes[b->bytes[i]] : 0;
        break;
    case IR_VSAD:
        for (unsigned i = 0; i < 16; i++) {
            int d = a->bytes[i] - b->bytes[i];
            v->w[i / 8] += (unsigned)(d < 0 ? -d : d);
        }
        break;
    case IR_VCLMUL:
        for (unsigned i = 0; i < 64; i++)
            if (b->w[op->imm >> 4 & 1] >> i & 1) {
                uint64_t x = a->w[op->imm & 1];
                v->w[0] ^= x << i;
                v->w[1] ^= i ? x >> (64 - i) : 0;
            }
        break;
    default:
        for (unsigned i = 0; i < n; i++)
            lane_set(v, i, size, moved_lane(op, a, b, i, n, size));
        break;
    }
}

/* ---- the rounds of AES (FIPS 197), on its state of columns */

static uint8_t times(uint8_t a, unsigned b)
{
    unsigned r = 0, x = a;
    for (; b; b >>= 1) {
        r ^= b & 1 ? x : 0;
        x = x << 1 ^ (x & 0x80 ? 0x11b : 0);
    }
    return (uint8_t)r;
}

static uint8_t rotate8(uint8_t v, unsigned n)
{
    return (uint8_t)(v << n | v >> (8 - n));
}

static uint8_t inverse8(uint8_t v)
{
    uint8_t r = 1;
    for (unsigned i = 0; i < 254; i++) /* v to the 254th */
        r = times(r, v);
    return r;
}

static uint8_t sub_byte(uint8_t v, bool inverse)
{
    if (inverse)
        return inverse8((uint8_t)(rotate8(v, 1) ^ rotate8(v, 3) ^ rotate8(v, 6) ^ 5));
    v = inverse8(v);
    return (uint8_t)(v ^ rotate8(v, 1) ^ rotate8(v, 2) ^ rotate8(v, 3) ^ rotate8(v, 4) ^ 0x63);
}

static void eval_aes(const IrOp *op, IrValue *v, const IrValue *a)
{
    static const uint8_t factors[2][4] = {{2, 3, 1, 1}, {14, 11, 13, 9}};
    bool inverse = op->imm & 1;
    memset(v, 0, sizeof *v);
    for (unsigned i = 0; i < 16; i++) {
        unsigned row = i & 3, column = i >> 2;
        if (op->imm < 2) {
            unsigned from = (column + (inverse ? 4 - row : row)) & 3;
            v->bytes[i] = sub_byte(a->bytes[from << 2 | row], inverse);
        } else {
            for (unsigned k = 0; k < 4; k++)
                v->bytes[i] ^= times(a->bytes[column << 2 | k], factors[inverse][(k - row) & 3]);
        }
    }
}

bool ir_eval_vector(const IrOp *op, IrValue *r, const IrValue *a, const IrValue *b, const IrValue *c)
{
    unsigned size = 1u << op->sub;
    IrValue v = *a;
    if (op->code < IR_VADD || op->code > IR_VZEXT)
        return false;
    switch (op->code) {
    case IR_VSPLAT:
        memset(&v, 0, sizeof v);
        for (unsigned i = 0; i < ir_type_bits(op->type) / 8 / size; i++)
            lane_set(&v, i, size, a->u);
        break;
    case IR_VEXTRACT:
        memset(&v, 0, sizeof v);
        v.u = lane_get(a, (unsigned)op->imm, size);
        break;
    case IR_VINSERT:
        lane_set(&v, (unsigned)op->imm, size, b->u);
        break;
    case IR_VPAIR:
        v = (IrValue){.w = {a->u, b->u}};
        break;
    case IR_VZEXT:
        v = (IrValue){.w = {a->u & bits_mask(ir_type_bits(op->aux))}};
        break;
    case IR_VAES:
        eval_aes(op, &v, a);
        break;
    case IR_VSHA256:
        ir_eval_sha256(op, &v, a, b, c);
        break;
    case IR_VSHA:
        ir_eval_sha(op, &v, a, b);
        break;
    default:
        if (op->code > IR_VINSERT) {
            eval_move(op, &v, a, b);
            break;
        }
        for (unsigned i = 0; i < ir_type_bits(op->type) / 8 / size; i++)
            lane_set(&v, i, size, lane_op(op, lane_get(a, i, size), lane_get(b, i, size), 8 * size));
        break;
    }
    *r = v;
    return true;
}
