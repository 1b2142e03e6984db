/* SPDX-License-Identifier: MIT */
/*
 * Lane operations that AVX2 has not as one instruction: products of bytes and doublewords, shifts of
 * bytes, minima of doublewords; and those by an immediate or by lanes.
 */
#include "translate/host/x64_vec_priv.h"

/* Bytes: products of those with even and with odd numbers, in words. */
static bool mul_bytes(Emit *e, IrRef i, const IrOp *op)
{
    unsigned a = use_reg(e, op->a), b = use_reg(e, op->b), t = temp_xmm(e), u = temp_xmm(e), d;
    vec_shift(e, 1, 2, t, a, 8);
    vec_shift(e, 1, 2, u, b, 8);
    vec_rr(e, 1, 1, 0xd5, t, t, u); /* vpmullw */
    vec_shift(e, 1, 6, t, t, 8);
    vec_rr(e, 1, 1, 0xd5, u, a, b);
    vec_rks(e, 1, 0xdb, u, u, 0x00ff00ff00ff00ff); /* vpand */
    d = def_reg(e, i);
    vec_rr(e, 1, 1, 0xeb, d, t, u); /* vpor */
    return true;
}

static bool mul_doublewords(Emit *e, IrRef i, const IrOp *op)
{
    unsigned wa = op_of(e, op->a)->code, wb = op_of(e, op->b)->code;
    unsigned a = use_reg(e, op->a), b = use_reg(e, op->b), d, t, u;
    if (wa == wb && op_of(e, op->a)->sub == 2 && (wa == IR_VWIDENS || wa == IR_VWIDENU)) {
        d = def_reg(e, i); /* vpmuldq, vpmuludq */
        vec_rr(e, wa == IR_VWIDENS ? 2 : 1, 1, wa == IR_VWIDENS ? 0x28 : 0xf4, d, a, b);
        return true;
    }
    t = temp_xmm(e);
    u = temp_xmm(e);
    vec_shift(e, 3, 2, t, a, 32);
    vec_rr(e, 1, 1, 0xf4, t, t, b);
    vec_shift(e, 3, 2, u, b, 32);
    vec_rr(e, 1, 1, 0xf4, u, u, a);
    vec_rr(e, 1, 1, 0xd4, t, t, u); /* vpaddq */
    vec_shift(e, 3, 6, t, t, 32);
    vec_rr(e, 1, 1, 0xf4, u, a, b);
    d = def_reg(e, i);
    vec_rr(e, 1, 1, 0xd4, d, t, u);
    return true;
}

static bool minmax_doublewords(Emit *e, IrRef i, const IrOp *op)
{
    bool is_unsigned = op->code == IR_VMINU || op->code == IR_VMAXU;
    bool max = op->code == IR_VMAXS || op->code == IR_VMAXU;
    unsigned a = use_reg(e, op->a), b = use_reg(e, op->b), t = temp_xmm(e);
    if (is_unsigned) {
        unsigned u = temp_xmm(e);
        vec_rks(e, 1, 0xef, t, a, UINT64_C(1) << 63);
        vec_rks(e, 1, 0xef, u, b, UINT64_C(1) << 63);
        vec_rr(e, 2, 1, 0x37, t, t, u); /* vpcmpgtq */
    } else {
        vec_rr(e, 2, 1, 0x37, t, a, b);
    }
    unsigned d = def_reg(e, i); /* vblendvpd: where t is set, the last */
    vec_rri(e, 3, 1, 0x4b, d, max ? b : a, max ? a : b, (t - 16) << 4);
    return true;
}

/* A right shift that fills with the sign: of the logical one the sign bit, moved down, is subtracted. */
static void extend_sign(Emit *e, unsigned log2, unsigned d, unsigned n)
{
    uint64_t sign = vec_repeat(log2, UINT64_C(1) << ((8u << log2) - 1 - n));
    vec_rks(e, 1, 0xef, d, d, sign);
    vec_rks(e, 1, log2 == 0 ? 0xf8 : 0xfb, d, d, sign);
}

static bool shift_imm(Emit *e, IrRef i, const IrOp *op)
{
    unsigned log2 = op->sub, width = 8u << log2, n = (unsigned)op->imm;
    bool left = op->code == IR_VSHL, sign = op->code == IR_VSAR;
    unsigned a = use_reg(e, op->a), d = def_reg(e, i);
    if (n >= width) {
        if (!sign) {
            vec_rr(e, 1, 1, 0xef, d, d, d);
            return true;
        }
        n = width - 1;
    }
    if (log2 == 0) {
        vec_shift(e, 1, left ? 6 : 2, d, a, n);
        vec_rks(e, 1, 0xdb, d, d, vec_repeat(0, left ? 0xffu << n & 0xff : 0xffu >> n));
    } else {
        vec_shift(e, log2, left ? 6 : sign && log2 < 3 ? 4 : 2, d, a, n);
    }
    if (sign && (log2 == 0 || log2 == 3))
        extend_sign(e, log2, d, n);
    return true;
}

static bool shift_lanes(Emit *e, IrRef i, const IrOp *op)
{
    unsigned opcode = op->code == IR_VSHLV ? 0x47 : op->code == IR_VSHRV ? 0x45 : 0x46;
    if (op->sub < 2 || (op->code == IR_VSARV && op->sub == 3))
        return false;
    unsigned a = use_reg(e, op->a), b = use_reg(e, op->b), d = def_reg(e, i);
    vex_rr(&e->a, 2, 1, op->sub == 3, opcode, (int)d - 16, (int)a - 16, (int)b - 16);
    return true;
}

static bool absolute(Emit *e, IrRef i, const IrOp *op)
{
    unsigned a = use_reg(e, op->a), d;
    if (op->sub < 3) {
        d = def_reg(e, i);
        vec_rr(e, 2, 1, 0x1c + op->sub, d, 0, a);
        return true;
    }
    unsigned t = temp_xmm(e);
    d = def_reg_not(e, i, reg_bit(a));
    vec_rr(e, 1, 1, 0xef, d, d, d);
    vec_rr(e, 1, 1, 0xfb, t, d, a);                 /* vpsubq: -a */
    vec_rri(e, 3, 1, 0x4b, d, a, t, (a - 16) << 4); /* vblendvpd: by the sign of a */
    return true;
}

/* a & ~b is the host's ~b & a */
static bool and_not(Emit *e, IrRef i, const IrOp *op)
{
    unsigned a = use_reg(e, op->a), b = use_reg(e, op->b), d = def_reg(e, i);
    vec_rr(e, 1, 1, 0xdf, d, b, a);
    return true;
}

bool emit_vec_lanes(Emit *e, IrRef i, const IrOp *op)
{
    switch (op->code) {
    case IR_VANDN: return and_not(e, i, op);
    case IR_VMUL: return op->sub == 0 ? mul_bytes(e, i, op) : mul_doublewords(e, i, op);
    case IR_VMINS: case IR_VMINU: case IR_VMAXS: case IR_VMAXU: return minmax_doublewords(e, i, op);
    case IR_VSHL: case IR_VSHR: case IR_VSAR: return shift_imm(e, i, op);
    case IR_VSHLV: case IR_VSHRV: case IR_VSARV: return shift_lanes(e, i, op);
    case IR_VABS: return absolute(e, i, op);
    default: return false;
    }
}
