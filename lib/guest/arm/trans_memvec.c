/* SPDX-License-Identifier: MIT */
/*
 * LD1 to LD4 and ST1 to ST4: memory is accessed 16 or 8 bytes at a time, and lanes that take turns there
 * are shuffled in registers.
 */
#include "guest/arm/arm_priv.h"

#include <string.h>

#define DECODE_EXTERN
#define DECODE_TYPES_ONLY
#include "gen/guest/arm/a64_mem.inc"

/* The base after it: by what was accessed if rm is 31. */
static void post_index(ArmTrans *c, int rn, int rm, bool post, int32_t bytes)
{
    if (!post)
        return;
    IrRef base = arm_x_sp(c, rn);
    arm_put_sp(c, rn, rm == 31 ? ir_binary_imm(c->b, IR_ADD, base, bytes)
                               : ir_binary(c->b, IR_ADD, base, arm_x(c, rm)));
}

static IrRef join(ArmTrans *c, IrRef v, IrRef part)
{
    return v ? ir_vector(c->b, IR_VOR, 0, v, part) : part;
}

/* Byte from[i] of src where there is one, else zero; 0: there is none at all. */
static IrRef pick_bytes(ArmTrans *c, IrRef src, const uint8_t *from)
{
    uint8_t index[16];
    uint64_t k[2];
    bool any = false;
    for (unsigned i = 0; i < 16; i++) {
        bool is_its = from[i] < 16;
        index[i] = is_its ? from[i] : 255;
        any |= is_its;
    }
    memcpy(k, index, sizeof k);
    return any ? ir_vector(c->b, IR_VSHUFFLE, 0, src, ir_vconst(c->b, k[0], k[1])) : 0;
}

/* Registers v[0..turn), of 8 or 16 bytes each, as the bytes of memory m[0..turn), or back. */
static void interleave(ArmTrans *c, unsigned turn, unsigned log2, unsigned bytes, const IrRef *in, IrRef *out, bool load)
{
    unsigned total = turn * bytes, unit = load ? 16 : bytes; /* bytes of an input */
    for (unsigned k = 0; k < turn; k++) {
        out[k] = 0;
        for (unsigned j = 0; j < turn; j++) {
            uint8_t from[16];
            memset(from, 255, sizeof from);
            for (unsigned i = 0; i < (load ? bytes : 16); i++) {
                unsigned at = load ? i : 16 * k + i; /* of a register; of memory */
                unsigned lane = at >> log2, rest = at & ((1u << log2) - 1);
                if (load)
                    at = ((lane * turn + k) << log2) + rest;
                else if (at < total)
                    at = lane % turn * bytes + ((lane / turn) << log2) + rest;
                else
                    continue;
                if (at / unit == j)
                    from[i] = (uint8_t)(at % unit);
            }
            IrRef part = pick_bytes(c, in[j], from);
            if (part)
                out[k] = join(c, out[k], part);
        }
        if (!out[k])
            out[k] = ir_vconst(c->b, 0, 0);
    }
}

/* Two and four whole registers: by what takes turns of two, once or twice. */
static void turns_of_two(ArmTrans *c, unsigned turn, unsigned log2, const IrRef *in, IrRef *out, bool load)
{
    IrCode first = load ? IR_VUZPE : IR_VZIPL, second = load ? IR_VUZPO : IR_VZIPH;
    IrRef t[4];
    if (turn == 2) {
        out[0] = ir_vector(c->b, first, log2, in[0], in[1]);
        out[1] = ir_vector(c->b, second, log2, in[0], in[1]);
        return;
    }
    unsigned step = load ? 1 : 2, other = 3 - step; /* partners in the first round, in the second */
    t[0] = ir_vector(c->b, first, log2, in[0], in[step]);
    t[1] = ir_vector(c->b, second, log2, in[0], in[step]);
    t[2] = ir_vector(c->b, first, log2, in[other], in[3]);
    t[3] = ir_vector(c->b, second, log2, in[other], in[3]);
    out[0] = ir_vector(c->b, first, log2, t[0], t[2]);
    out[load ? 2 : 1] = ir_vector(c->b, second, log2, t[0], t[2]);
    out[load ? 1 : 2] = ir_vector(c->b, first, log2, t[1], t[3]);
    out[3] = ir_vector(c->b, second, log2, t[1], t[3]);
}

static void take_turns(ArmTrans *c, unsigned turn, unsigned log2, unsigned bytes, const IrRef *in, IrRef *out, bool load)
{
    if (bytes == 16 && turn != 3)
        turns_of_two(c, turn, log2, in, out, load);
    else
        interleave(c, turn, log2, bytes, in, out, load);
}

/* All that is loaded must be there before a register changes. */
static bool multi_turns(ArmTrans *c, const ArgsMMulti *i, unsigned turn, unsigned bytes)
{
    unsigned log2 = (unsigned)i->size, total = turn * bytes;
    IrRef base = arm_x_sp(c, i->rn), memory[4], regs[4];
    for (unsigned k = 0; k < turn; k++)
        regs[k] = i->l ? 0 : arm_v(c, (i->rt + (int)k) & 31);
    if (!i->l)
        take_turns(c, turn, log2, bytes, regs, memory, false);
    for (unsigned k = 0; k < turn; k++) {
        unsigned at = 16 * k, size = at + 16 <= total ? 4 : 3;
        if (i->l)
            memory[k] = at < total ? ir_load(c->b, IR_V128, IR_MEM_SIZE(size), base, (int32_t)at) : ir_vconst(c->b, 0, 0);
        else if (at < total)
            ir_store(c->b, IR_MEM_SIZE(size), base, (int32_t)at, memory[k]);
    }
    post_index(c, i->rn, i->rm, i->post, (int32_t)total);
    if (i->l)
        take_turns(c, turn, log2, bytes, memory, regs, true);
    for (unsigned k = 0; k < turn && i->l; k++)
        arm_put_vector(c, (i->rt + (int)k) & 31, regs[k]);
    return true;
}

bool trans_a64_multi(ArmTrans *c, const ArgsMMulti *i)
{
    /* registers (the low digit), and how many of them take turns */
    static const uint8_t kinds[16] = {[0] = 0x44, [2] = 0x14, [4] = 0x33, [6] = 0x13, [7] = 0x11,
                                      [8] = 0x22, [10] = 0x12};
    unsigned kind = kinds[i->lanes], regs = kind & 15, turn = kind >> 4, bytes = i->q ? 16 : 8;
    IrRef base = arm_x_sp(c, i->rn), v[4];
    if (!kind || (turn > 1 && i->size == 3 && !i->q))
        return false;
    if (turn > 1)
        return multi_turns(c, i, turn, bytes);
    for (unsigned k = 0; k < regs; k++) { /* plain memory order */
        int32_t disp = (int32_t)(k * bytes);
        if (i->l)
            v[k] = ir_load(c->b, IR_V128, IR_MEM_SIZE(i->q ? 4 : 3), base, disp);
        else
            ir_store(c->b, IR_MEM_SIZE(i->q ? 4 : 3), base, disp, arm_v(c, (i->rt + (int)k) & 31));
    }
    post_index(c, i->rn, i->rm, i->post, (int32_t)(regs * bytes));
    for (unsigned k = 0; k < regs && i->l; k++)
        arm_put_vector(c, (i->rt + (int)k) & 31, v[k]);
    return true;
}

/* One lane of one to four registers, or the same in all lanes. */
bool trans_a64_single(ArmTrans *c, const ArgsMSingle *i)
{
    static const IrType types[] = {IR_I8, IR_I16, IR_F32, IR_F64};
    unsigned regs = (unsigned)((i->sopc & 1) << 1 | i->two) + 1, log2 = (unsigned)i->sopc >> 1;
    unsigned index = (unsigned)(i->q << 3 | i->s << 2 | i->size), lane;
    IrRef base = arm_x_sp(c, i->rn), v[4];
    bool all = log2 == 3;
    if (all) {
        if (!i->l || i->s)
            return false;
        log2 = (unsigned)i->size;
        lane = 0;
    } else if (log2 == 2 && i->size & 1) {
        if (i->size != 1 || i->s)
            return false;
        log2 = 3;
        lane = index >> 3;
    } else {
        if ((log2 == 1 && i->size & 1) || (log2 == 2 && i->size))
            return false;
        lane = index >> log2;
    }
    for (unsigned k = 0; k < regs; k++) {
        int r = (i->rt + (int)k) & 31;
        if (i->l)
            v[k] = ir_load(c->b, types[log2], IR_MEM_SIZE(log2), base, (int32_t)(k << log2));
        else
            ir_store(c->b, IR_MEM_SIZE(log2), base, (int32_t)(k << log2),
                     ir_vextract(c->b, types[log2], arm_v(c, r), lane));
    }
    post_index(c, i->rn, i->rm, i->post, (int32_t)(regs << log2));
    for (unsigned k = 0; k < regs && i->l; k++) {
        int r = (i->rt + (int)k) & 31;
        if (all) {
            IrRef x = ir_vsplat(c->b, v[k]);
            arm_put_vector(c, r, i->q ? x : ir_vzext(c->b, ir_vextract(c->b, IR_F64, x, 0)));
        } else {
            arm_put_vector(c, r, ir_vinsert(c->b, arm_v(c, r), lane, v[k]));
        }
    }
    return true;
}
