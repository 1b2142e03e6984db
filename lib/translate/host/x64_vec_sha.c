/* SPDX-License-Identifier: MIT */
/*
 * SHA1 and SHA256 by the host's instructions (SHA-NI), which have the first word of a state on top: A, B,
 * E and F in one register, C, D, G and H in another. They know no VEX forms, and one takes xmm0.
 */
#include "translate/host/x64_priv.h"
#include "translate/host/x64_vec_priv.h"

enum { REVERSED = 0x1b, UPPER = 0x0e };

/* Of the legacy encoding: dst changes. */
static void sha_rr(Emit *e, uint32_t opcode, unsigned dst, unsigned src)
{
    op_rr(&e->a, 0, false, opcode, (int)(dst - XMM(0)), (int)(src - XMM(0)));
}

static unsigned temp_but_xmm0(Emit *e, bool *own)
{
    unsigned t = temp_xmm(e);
    if (t != XMM(0))
        return t;
    *own = true; /* it stays locked */
    return temp_xmm(e);
}

/* Four rounds; of the six temporaries no more than six are taken, wherever the operands are. */
static bool emit_rounds(Emit *e, IrRef i, const IrOp *op)
{
    unsigned x = use_reg(e, op->a), y = use_reg(e, op->b), w = use_reg(e, op->c), d = def_reg(e, i);
    bool own = d == XMM(0) && d != x && d != y && d != w;
    unsigned abef = d, cdgh = temp_but_xmm0(e, &own);
    if (d == x || d == y || d == w || d == XMM(0))
        abef = temp_but_xmm0(e, &own);
    vec_rri(e, 1, 0, 0xc6, cdgh, y, x, 0xbb); /* vshufps: H G D C */
    vec_rri(e, 1, 0, 0xc6, abef, y, x, 0x11);
    if (!own)
        store_xmm(&e->a, IR_V128, XMM(0), CPU_DISP(e, save));
    if (w != XMM(0))
        mov_xmm(e, XMM(0), w);
    sha_rr(e, 0x0f38cb, cdgh, abef); /* is now what ABEF will be after two rounds */
    vec_rri(e, 1, 1, 0x70, XMM(0), 0, XMM(0), UPPER);
    sha_rr(e, 0x0f38cb, abef, cdgh);
    if (!own)
        load_xmm(&e->a, IR_V128, XMM(0), CPU_DISP(e, save));
    vec_rri(e, 1, 0, 0xc6, d, abef, cdgh, op->imm ? 0x11 : 0xbb);
    return true;
}

/* What changes its first operand is given a copy of it. */
static bool emit_two(Emit *e, IrRef i, const IrOp *op, uint32_t opcode)
{
    unsigned x = use_reg(e, op->a), y = use_reg(e, op->b), t = temp_xmm(e), d = def_reg(e, i);
    mov_xmm(e, t, x);
    sha_rr(e, opcode, t, y);
    mov_xmm(e, d, t);
    return true;
}

static bool emit_sha1(Emit *e, IrRef i, const IrOp *op)
{
    unsigned x = use_reg(e, op->a), y = use_reg(e, op->b), t = temp_xmm(e), u = temp_xmm(e), d = def_reg(e, i);
    vec_rri(e, 1, 1, 0x70, t, 0, x, REVERSED);
    vec_rri(e, 1, 1, 0x70, u, 0, y, REVERSED);
    sha_rr(e, 0x0f3acc, t, u);
    put8(&e->a, (unsigned)op->imm - IR_SHA1_CHOOSE);
    vec_rri(e, 1, 1, 0x70, d, 0, t, REVERSED);
    return true;
}

bool emit_vec_sha(Emit *e, IrRef i, const IrOp *op)
{
    if (!e->k->has_sha || (op->code != IR_VSHA && op->code != IR_VSHA256))
        return false;
    if (op->code == IR_VSHA256)
        return emit_rounds(e, i, op);
    return op->imm >= IR_SHA1_CHOOSE ? emit_sha1(e, i, op)
                                     : emit_two(e, i, op, op->imm == IR_SHA256_SCHEDULE0 ? 0x0f38cc : 0x0f38cd);
}
