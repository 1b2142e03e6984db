/* SPDX-License-Identifier: MIT */
/*
 * What moves lanes about: between vectors and scalars, and within vectors; and AES and carry-less
 * products, where the host has them.
 *
 * The low part of a vector as a float costs nothing: it is the register. A float as a vector costs
 * nothing if its register is known to be zero above it (Emit.zeroed).
 */
#include "translate/host/x64_vec_priv.h"

static void mov_d(Emit *e, bool w, unsigned xmm, unsigned gpr, bool to_xmm)
{
    vex_rr(&e->a, 1, 1, w, to_xmm ? 0x6e : 0x7e, (int)xmm - 16, 0, (int)gpr);
}

/* Zeroes what is above the float in x. */
static void zero_above(Emit *e, unsigned type, unsigned d, unsigned x)
{
    if (type == IR_F64)
        vec_rr(e, 1, 2, 0x7e, d, 0, x); /* vmovq */
    else
        vec_rri(e, 3, 1, 0x21, d, x, x, 0x0e); /* vinsertps */
}

static bool emit_zext(Emit *e, IrRef i, const IrOp *op)
{
    IrRef x = op->a;
    unsigned type = op->aux, r, d;
    if (type == IR_F16 || !(is_float_type(type) || ir_type_is_int(type)))
        return false;
    r = use_reg(e, x);
    if (!is_float_type(type)) {
        unsigned from = r;
        if (ir_type_bits(type) < 32) {
            from = temp_gpr(e);
            op_rr8(&e->a, false, type == IR_I8 ? 0x0fb6 : 0x0fb7, (int)from, (int)r);
        }
        d = def_reg(e, i);
        mov_d(e, type == IR_I64, d, from, true);
        return true;
    }
    bool zero = e->zeroed[x];
    unsigned slot = e->put_to[i];
    if (slot != NO_SLOT && e->slot_low[slot] == x && e->slot[x] == slot && e->reg[x] == NO_REG &&
        e->pin[slot] == (int)r) { /* made in place */
        if (!zero)
            zero_above(e, type, r, r);
        e->zeroed[x] = 1;
        slot_now_holds(e, slot, i);
        return true;
    }
    d = def_reg(e, i);
    if (zero)
        mov_xmm(e, d, r);
    else
        zero_above(e, type, d, r);
    if (slot != NO_SLOT && e->pin[slot] == (int)d && !e->slot_low[slot] && e->slot[x] == NO_SLOT) {
        slot_low_holds(e, slot, x);
        e->zeroed[x] = zero || e->reg[x] == NO_REG; /* its own register is as it was */
    }
    return true;
}

/* The low float of a vector: the same register, or the same place in memory. */
static bool extract_low(Emit *e, IrRef i, const IrOp *op)
{
    unsigned slot = e->slot[op->a];
    IrRef low = slot != NO_SLOT ? e->slot_low[slot] : 0;
    if (slot != NO_SLOT && e->slot_held[slot] == op->a && (!low || e->live->last[low] <= e->at)) {
        slot_low_holds(e, slot, i);
        e->zeroed[i] = e->always_zeroed[slot] == 2 || (e->always_zeroed[slot] && op->type == IR_F64);
        return true;
    }
    unsigned a = use_reg(e, op->a), d = def_reg(e, i);
    mov_xmm(e, d, a);
    return true;
}

static bool extract_float(Emit *e, IrRef i, const IrOp *op)
{
    if (op->imm == 0)
        return extract_low(e, i, op);
    unsigned a = use_reg(e, op->a), d = def_reg(e, i);
    if (op->type == IR_F64)
        vec_rr(e, 1, 1, 0x15, d, a, a); /* vunpckhpd */
    else
        vec_rri(e, 1, 1, 0x70, d, 0, a, (unsigned)op->imm); /* vpshufd */
    return true;
}

static bool emit_extract_lane(Emit *e, IrRef i, const IrOp *op)
{
    static const uint8_t opcodes[] = {0x14, 0x15, 0x16, 0x16};
    if (is_float_type(op->type))
        return extract_float(e, i, op);
    if (op->type == IR_F16)
        return false;
    unsigned slot = e->slot[op->a], lane = (unsigned)op->imm;
    if (op->sub >= 2 && e->reg[op->a] == NO_REG && slot != NO_SLOT && e->pin[slot] < 0 &&
        e->live->uses[op->a] == 1) { /* from memory */
        unsigned d = def_reg(e, i);
        load(&e->a, op->sub == 3, (int)d, RBP, slot_disp(e, slot) + (int32_t)(lane << op->sub));
        return true;
    }
    unsigned a = use_reg(e, op->a), d = def_reg(e, i);
    if (lane == 0) {
        mov_d(e, op->sub == 3, a, d, false);
        return true;
    }
    vex_rr(&e->a, 3, 1, op->sub == 3, opcodes[op->sub], (int)a - 16, 0, (int)d); /* vpextr */
    put8(&e->a, lane);
    return true;
}

static void insert_int(Emit *e, unsigned log2, unsigned d, unsigned a, unsigned g, unsigned lane)
{
    /* vpinsrb, vpinsrw, vpinsrd, vpinsrq */
    vex_rr(&e->a, log2 == 1 ? 1 : 3, 1, log2 == 3, log2 == 0 ? 0x20 : log2 == 1 ? 0xc4 : 0x22, (int)d - 16,
           (int)a - 16, (int)g);
    put8(&e->a, lane);
}

static bool emit_insert_lane(Emit *e, IrRef i, const IrOp *op)
{
    unsigned type = op_of(e, op->b)->type, lane = (unsigned)op->imm;
    if (type == IR_F16)
        return false;
    unsigned a = use_reg(e, op->a), b = use_reg(e, op->b), d = def_reg(e, i);
    if (!is_float_type(type))
        insert_int(e, op->sub, d, a, b, lane);
    else if (op->sub == 2)
        vec_rri(e, 3, 1, 0x21, d, a, b, lane << 4); /* vinsertps */
    else if (lane)
        vec_rr(e, 1, 1, 0x14, d, a, b); /* vunpcklpd */
    else
        vec_rr(e, 1, 3, 0x10, d, a, b); /* vmovsd */
    return true;
}

static bool emit_splat(Emit *e, IrRef i, const IrOp *op)
{
    static const uint8_t opcodes[] = {0x78, 0x79, 0x58, 0x59};
    unsigned a = use_reg(e, op->a), d;
    if (op->aux == IR_F16)
        return false;
    d = def_reg(e, i);
    if (a < 16)
        mov_d(e, op->sub == 3, d, a, true);
    vec_rr(e, 2, 1, opcodes[op->sub], d, 0, a < 16 ? d : a); /* vpbroadcast */
    return true;
}

static bool emit_pair(Emit *e, IrRef i, const IrOp *op)
{
    unsigned a = use_reg(e, op->a), b = use_reg(e, op->b), d = def_reg(e, i);
    mov_d(e, true, d, a, true);
    insert_int(e, 3, d, d, b, 1);
    return true;
}

/* All bytes of v are below 16. */
static bool below_16(const Emit *e, IrRef v)
{
    const IrOp *op = op_of(e, v);
    uint64_t k[2];
    return op->code == IR_VAND && vector_const(e, op->b, k) && !((k[0] | k[1]) & 0xf0f0f0f0f0f0f0f0);
}

static bool emit_shuffle(Emit *e, IrRef i, const IrOp *op)
{
    uint64_t k[2];
    uint8_t bytes[16];
    unsigned a = use_reg(e, op->a), b, d;
    if (vector_const(e, op->b, k)) {
        memcpy(bytes, k, sizeof k);
        for (unsigned n = 0; n < 16; n++)
            if (bytes[n] > 15)
                bytes[n] = 0x80;
        memcpy(k, bytes, sizeof k);
        d = def_reg(e, i);
        vec_rk(e, 2, 0x00, d, a, k); /* vpshufb */
        return true;
    }
    b = use_reg(e, op->b);
    if (!below_16(e, op->b)) {
        unsigned t = temp_xmm(e);
        vec_rks(e, 1, 0xdc, t, b, 0x7070707070707070); /* vpaddusb: bit 7 of those above 15 */
        b = t;
    }
    d = def_reg(e, i);
    vec_rr(e, 2, 1, 0x00, d, a, b);
    return true;
}

/* Lanes with even or odd numbers. Narrow ones are cut out as the low part of the double lane and packed,
 * which saturates nothing then. */
static bool emit_unzip(Emit *e, IrRef i, const IrOp *op)
{
    bool odd = op->code == IR_VUZPO;
    unsigned a = use_reg(e, op->a), b = use_reg(e, op->b), d, t, u;
    if (op->sub == 3) {
        d = def_reg(e, i);
        vec_rr(e, 1, 1, odd ? 0x6d : 0x6c, d, a, b); /* vpunpck[hl]qdq */
        return true;
    }
    if (op->sub == 2) {
        d = def_reg(e, i);
        vec_rri(e, 1, 0, 0xc6, d, a, b, odd ? 0xdd : 0x88); /* vshufps */
        return true;
    }
    unsigned n = 8u << op->sub;
    uint64_t low = op->sub ? 0x0000ffff0000ffff : 0x00ff00ff00ff00ff;
    t = temp_xmm(e);
    u = a == b ? t : temp_xmm(e);
    if (odd) {
        vec_shift(e, op->sub + 1, 2, t, a, n);
        if (u != t)
            vec_shift(e, op->sub + 1, 2, u, b, n);
    } else {
        vec_rks(e, 1, 0xdb, t, a, low);
        if (u != t)
            vec_rks(e, 1, 0xdb, u, b, low);
    }
    d = def_reg(e, i);
    vec_rr(e, op->sub ? 2 : 1, 1, op->sub ? 0x2b : 0x67, d, t, u); /* vpackus */
    return true;
}

static bool emit_ext(Emit *e, IrRef i, const IrOp *op)
{
    static const uint8_t turns[] = {0xe4, 0x39, 0x4e, 0x93};
    unsigned a = use_reg(e, op->a), b = use_reg(e, op->b), d = def_reg(e, i);
    if (a == b && op->imm % 4 == 0)
        vec_rri(e, 1, 1, 0x70, d, 0, a, turns[op->imm / 4 & 3]); /* vpshufd */
    else
        vec_rri(e, 3, 1, 0x0f, d, b, a, (unsigned)op->imm); /* vpalignr */
    return true;
}

static bool emit_widen(Emit *e, IrRef i, const IrOp *op)
{
    static const uint8_t opcodes[] = {0x20, 0x23, 0x25};
    if (op->sub > 2)
        return false;
    unsigned a = use_reg(e, op->a), d = def_reg(e, i);
    vec_rr(e, 2, 1, opcodes[op->sub] + (op->code == IR_VWIDENU ? 0x10u : 0), d, 0, a);
    return true;
}

static bool emit_clmul(Emit *e, IrRef i, const IrOp *op)
{
    if (!e->k->has_clmul)
        return false;
    unsigned a = use_reg(e, op->a), b = use_reg(e, op->b), d = def_reg(e, i);
    vec_rri(e, 3, 1, 0x44, d, a, b, (unsigned)op->imm);
    return true;
}

/* The host's instructions for whole rounds, with a key of zeros. */
static bool emit_aes(Emit *e, IrRef i, const IrOp *op)
{
    if (!e->k->has_aes)
        return false;
    unsigned a = use_reg(e, op->a), zero = temp_xmm(e), d;
    vec_rr(e, 1, 1, 0xef, zero, zero, zero);
    d = def_reg(e, i);
    switch (op->imm) {
    case 0: vec_rr(e, 2, 1, 0xdd, d, a, zero); break; /* vaesenclast */
    case 1: vec_rr(e, 2, 1, 0xdf, d, a, zero); break; /* vaesdeclast */
    case 2: /* what vaesdeclast undid, vaesenc does again before it mixes */
        vec_rr(e, 2, 1, 0xdf, d, a, zero);
        vec_rr(e, 2, 1, 0xdc, d, d, zero);
        break;
    default: vec_rr(e, 2, 1, 0xdb, d, 0, a); break; /* vaesimc */
    }
    return true;
}

bool emit_vec_move(Emit *e, IrRef i, const IrOp *op)
{
    switch (op->code) {
    case IR_VZEXT: return emit_zext(e, i, op);
    case IR_VEXTRACT: return emit_extract_lane(e, i, op);
    case IR_VINSERT: return emit_insert_lane(e, i, op);
    case IR_VSPLAT: return emit_splat(e, i, op);
    case IR_VPAIR: return emit_pair(e, i, op);
    case IR_VSHUFFLE: return emit_shuffle(e, i, op);
    case IR_VUZPE: case IR_VUZPO: return emit_unzip(e, i, op);
    case IR_VEXT: return emit_ext(e, i, op);
    case IR_VWIDENS: case IR_VWIDENU: return emit_widen(e, i, op);
    case IR_VCLMUL: return emit_clmul(e, i, op);
    case IR_VAES: return emit_aes(e, i, op);
    default: return false;
    }
}
