/* SPDX-License-Identifier: MIT */
/*
 * Vectors of 128 bits in xmm registers, with AVX and AVX2: constants, and the operations that are one
 * instruction. What is not here or in the files beside it is done in C.
 *
 * Constants lie behind a region's code, each once.
 */
#include "translate/host/x64_vec_priv.h"

#include "base/bits.h"

void vec_rr(Emit *e, unsigned map, unsigned pp, unsigned opcode, unsigned reg, unsigned vvvv, unsigned rm)
{
    vex_rr(&e->a, map, pp, false, opcode, (int)reg - 16, vvvv ? (int)vvvv - 16 : 0, (int)rm - 16);
}

void vec_rri(Emit *e, unsigned map, unsigned pp, unsigned opcode, unsigned reg, unsigned vvvv, unsigned rm, unsigned imm)
{
    vec_rr(e, map, pp, opcode, reg, vvvv, rm);
    put8(&e->a, imm);
}

static unsigned const_number(Emit *e, const uint64_t k[2])
{
    unsigned n = 0;
    while (n < e->n_consts && (e->consts[n][0] != k[0] || e->consts[n][1] != k[1]))
        n++;
    if (n == MAX_CONSTS) {
        e->failed = true;
        return 0;
    }
    if (n == e->n_consts) {
        memcpy(e->consts[n], k, sizeof e->consts[n]);
        e->n_consts++;
    }
    return n;
}

/* An instruction whose last operand is a constant; `more` bytes follow. */
static void with_const(Emit *e, unsigned map, unsigned pp, unsigned opcode, unsigned reg, unsigned vvvv,
                       const uint64_t k[2], unsigned more)
{
    unsigned n = const_number(e, k);
    put_vex(&e->a, map, pp, false, false, (int)reg - 16, 0, 0, vvvv ? (int)vvvv - 16 : 0);
    put8(&e->a, opcode);
    put8(&e->a, 0x05 | (reg & 7) << 3); /* rip + disp32 */
    put32(&e->a, 0);
    if (e->n_const_uses == MAX_CONST_USES) {
        e->failed = true;
        return;
    }
    e->const_uses[e->n_const_uses].at = e->a.p;
    e->const_uses[e->n_const_uses].n = (uint8_t)n;
    e->const_uses[e->n_const_uses++].more = (uint8_t)more;
}

void put_vector_consts(Emit *e)
{
    if (!e->n_consts)
        return;
    while ((uintptr_t)e->a.p & 15)
        put8(&e->a, 0xcc);
    uint8_t *first = e->a.p;
    for (unsigned n = 0; n < e->n_consts; n++) {
        put64(&e->a, e->consts[n][0]);
        put64(&e->a, e->consts[n][1]);
    }
    for (unsigned n = 0; n < e->n_const_uses; n++) {
        uint8_t *at = e->const_uses[n].at;
        int32_t rel = (int32_t)(first + 16 * e->const_uses[n].n - (at + e->const_uses[n].more));
        memcpy(at - 4, &rel, 4);
    }
}

void vec_rk(Emit *e, unsigned map, unsigned opcode, unsigned reg, unsigned vvvv, const uint64_t k[2])
{
    with_const(e, map, 1, opcode, reg, vvvv, k, 0);
}

void vec_rks(Emit *e, unsigned map, unsigned opcode, unsigned reg, unsigned vvvv, uint64_t each_half)
{
    const uint64_t k[2] = {each_half, each_half};
    vec_rk(e, map, opcode, reg, vvvv, k);
}

bool vector_const(const Emit *e, IrRef v, uint64_t out[2])
{
    const IrOp *op = op_of(e, v);
    unsigned bits = ir_type_bits(op->aux);
    if (op->type != IR_V128)
        return false;
    switch (op->code) {
    case IR_CONST:
        out[0] = (uint64_t)op->imm;
        out[1] = 0;
        return true;
    case IR_VPAIR:
        if (!is_const(e, op->a) || !is_const(e, op->b))
            return false;
        out[0] = (uint64_t)op_of(e, op->a)->imm;
        out[1] = (uint64_t)op_of(e, op->b)->imm;
        return true;
    case IR_VZEXT:
    case IR_VSPLAT:
        if (!is_const(e, op->a))
            return false;
        out[0] = (uint64_t)op_of(e, op->a)->imm & bits_mask(op->code == IR_VZEXT ? bits : 8u << op->sub);
        out[1] = 0;
        if (op->code == IR_VSPLAT)
            out[0] = out[1] = vec_repeat(op->sub, out[0]);
        return true;
    default:
        return false;
    }
}

void make_vector_const(Emit *e, unsigned r, const uint64_t v[2])
{
    if (!v[0] && !v[1])
        vec_rr(e, 1, 1, 0xef, r, r, r); /* vpxor */
    else if (v[0] == UINT64_MAX && v[1] == UINT64_MAX)
        vec_rr(e, 1, 1, 0x76, r, r, r); /* vpcmpeqd */
    else
        with_const(e, 1, 1, 0x6f, r, 0, v, 0); /* vmovdqa */
}

void vec_shift(Emit *e, unsigned log2, unsigned way, unsigned d, unsigned a, unsigned n)
{
    vex_rr(&e->a, 1, 1, false, 0x70 + log2, (int)way, (int)d - 16, (int)a - 16);
    put8(&e->a, n);
}

/* map << 8 | opcode, by lane size; 0: not one instruction */
static const uint16_t simple[IR_VAVGU - IR_VADD + 1][4] = {
    [IR_VADD - IR_VADD] = {0x1fc, 0x1fd, 0x1fe, 0x1d4},
    [IR_VSUB - IR_VADD] = {0x1f8, 0x1f9, 0x1fa, 0x1fb},
    [IR_VMUL - IR_VADD] = {0, 0x1d5, 0x240, 0},
    [IR_VAND - IR_VADD] = {0x1db, 0x1db, 0x1db, 0x1db},
    [IR_VOR - IR_VADD] = {0x1eb, 0x1eb, 0x1eb, 0x1eb},
    [IR_VXOR - IR_VADD] = {0x1ef, 0x1ef, 0x1ef, 0x1ef},
    [IR_VCMPEQ - IR_VADD] = {0x174, 0x175, 0x176, 0x229},
    [IR_VCMPGT - IR_VADD] = {0x164, 0x165, 0x166, 0x237},
    [IR_VMINS - IR_VADD] = {0x238, 0x1ea, 0x239, 0},
    [IR_VMAXS - IR_VADD] = {0x23c, 0x1ee, 0x23d, 0},
    [IR_VMINU - IR_VADD] = {0x1da, 0x23a, 0x23b, 0},
    [IR_VMAXU - IR_VADD] = {0x1de, 0x23e, 0x23f, 0},
    [IR_VADDSAT - IR_VADD] = {0x1ec, 0x1ed, 0, 0},
    [IR_VADDUSAT - IR_VADD] = {0x1dc, 0x1dd, 0, 0},
    [IR_VSUBSAT - IR_VADD] = {0x1e8, 0x1e9, 0, 0},
    [IR_VSUBUSAT - IR_VADD] = {0x1d8, 0x1d9, 0, 0},
    [IR_VAVGU - IR_VADD] = {0x1e0, 0x1e3, 0, 0},
};

static unsigned simple_opcode(const IrOp *op)
{
    static const uint16_t zips[2][4] = {{0x160, 0x161, 0x162, 0x16c}, {0x168, 0x169, 0x16a, 0x16d}};
    static const uint16_t packs[2][4] = {{0, 0x163, 0x16b, 0}, {0, 0x167, 0x22b, 0}};
    if (op->code <= IR_VAVGU)
        return simple[op->code - IR_VADD][op->sub];
    switch (op->code) {
    case IR_VZIPL: case IR_VZIPH: return zips[op->code == IR_VZIPH][op->sub];
    case IR_VPACKS: case IR_VPACKU: return packs[op->code == IR_VPACKU][op->sub];
    case IR_VSAD: return 0x1f6;
    default: return 0;
    }
}

static bool emit_simple(Emit *e, IrRef i, const IrOp *op)
{
    unsigned opcode = simple_opcode(op);
    IrRef x = op->a, y = op->b;
    uint64_t k[2];
    if (!opcode)
        return false;
    if (vector_const(e, y, k) && e->reg[y] == NO_REG && (k[0] || k[1])) {
        unsigned a = use_reg(e, x), d = def_reg(e, i);
        vec_rk(e, opcode >> 8, opcode & 255, d, a, k);
        return true;
    }
    unsigned a = use_reg(e, x), b = use_reg(e, y), d = def_reg(e, i);
    vec_rr(e, opcode >> 8, 1, opcode & 255, d, a, b);
    return true;
}

bool emit_vector(Emit *e, IrRef i, const IrOp *op)
{
    uint64_t known[2];
    if (op->type == IR_V256 || op->aux == IR_V256)
        return false;
    if (vector_const(e, i, known))
        return true; /* made where it is used */
    return emit_simple(e, i, op) || emit_vec_move(e, i, op) || emit_vec_sha(e, i, op) || emit_vec_lanes(e, i, op) || emit_vec_float(e, i, op);
}
