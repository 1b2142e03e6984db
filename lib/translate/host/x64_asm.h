/* SPDX-License-Identifier: MIT */
/*
 * x86-64 encoder: bytes at a moving pointer. Names follow the form of the
 * operands: rr register-register, rm register-memory [base + disp], rx
 * [base + index*scale + disp]. `opcode` is the opcode as a number: 0x89, 0x0faf,
 * 0x0f38f0; `pre` a mandatory prefix (0x66, 0xf2, 0xf3) or 0. w: 64-bit operand.
 * The caller has checked that there is room.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };
enum { CC_O, CC_NO, CC_B, CC_AE, CC_E, CC_NE, CC_BE, CC_A, CC_S, CC_NS, CC_P, CC_NP, CC_L, CC_GE, CC_LE, CC_G };
enum { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP };
enum { SH_ROL, SH_ROR, SH_SHL = 4, SH_SHR, SH_SAR = 7 };

typedef struct Asm {
    uint8_t *p;
} Asm;

static inline void put8(Asm *a, unsigned v)
{
    *a->p++ = (uint8_t)v;
}

static inline void put32(Asm *a, uint32_t v)
{
    memcpy(a->p, &v, 4);
    a->p += 4;
}

static inline void put64(Asm *a, uint64_t v)
{
    memcpy(a->p, &v, 8);
    a->p += 8;
}

static inline void put_opcode(Asm *a, uint32_t opcode)
{
    if (opcode > 0xffff)
        put8(a, opcode >> 16);
    if (opcode > 0xff)
        put8(a, opcode >> 8 & 0xff);
    put8(a, opcode & 0xff);
}

static inline void put_rex(Asm *a, unsigned pre, bool w, int reg, int index, int base, bool force)
{
    unsigned rex = 0x40 | (unsigned)w << 3 | (unsigned)(reg >> 3) << 2 |
                   (unsigned)(index >> 3) << 1 | (unsigned)base >> 3;
    if (pre)
        put8(a, pre);
    if (rex != 0x40 || force)
        put8(a, rex);
}

/* modrm, sib and displacement for [base + disp] */
static inline void put_mem(Asm *a, int reg, int base, int32_t disp)
{
    unsigned r = (unsigned)(reg & 7) << 3, b = (unsigned)base & 7;
    unsigned mod = disp == 0 && b != RBP ? 0 : disp == (int8_t)disp ? 0x40 : 0x80;
    put8(a, mod | r | b);
    if (b == RSP)
        put8(a, 0x24);
    if (mod == 0x40)
        put8(a, (uint8_t)disp);
    else if (mod == 0x80)
        put32(a, (uint32_t)disp);
}

static inline void put_memx(Asm *a, int reg, int base, int index, unsigned scale, int32_t disp)
{
    unsigned r = (unsigned)(reg & 7) << 3, b = (unsigned)base & 7;
    unsigned mod = disp == 0 && b != RBP ? 0 : disp == (int8_t)disp ? 0x40 : 0x80;
    put8(a, mod | r | 4);
    put8(a, scale << 6 | (unsigned)(index & 7) << 3 | b);
    if (mod == 0x40)
        put8(a, (uint8_t)disp);
    else if (mod == 0x80)
        put32(a, (uint32_t)disp);
}

static inline void op_rr(Asm *a, unsigned pre, bool w, uint32_t opcode, int reg, int rm)
{
    put_rex(a, pre, w, reg, 0, rm, false);
    put_opcode(a, opcode);
    put8(a, 0xc0 | (unsigned)(reg & 7) << 3 | (unsigned)(rm & 7));
}

/* the same where a byte register is among the operands */
static inline void op_rr8(Asm *a, bool w, uint32_t opcode, int reg, int rm)
{
    put_rex(a, 0, w, reg, 0, rm, true);
    put_opcode(a, opcode);
    put8(a, 0xc0 | (unsigned)(reg & 7) << 3 | (unsigned)(rm & 7));
}

static inline void op_rm(Asm *a, unsigned pre, bool w, uint32_t opcode, int reg, int base,
                         int32_t disp)
{
    put_rex(a, pre, w, reg, 0, base, false);
    put_opcode(a, opcode);
    put_mem(a, reg, base, disp);
}

static inline void op_rm8(Asm *a, uint32_t opcode, int reg, int base, int32_t disp)
{
    put_rex(a, 0, false, reg, 0, base, reg >= 4);
    put_opcode(a, opcode);
    put_mem(a, reg, base, disp);
}

static inline void op_rx(Asm *a, unsigned pre, bool w, uint32_t opcode, int reg, int base,
                         int index, unsigned scale, int32_t disp)
{
    put_rex(a, pre, w, reg, index, base, false);
    put_opcode(a, opcode);
    put_memx(a, reg, base, index, scale, disp);
}

static inline void mov_rr(Asm *a, bool w, int dst, int src)
{
    op_rr(a, 0, w, 0x8b, dst, src);
}

static inline void mov_ri(Asm *a, int dst, uint64_t v)
{
    if (v == 0) {
        op_rr(a, 0, false, 0x31, dst, dst);
    } else if (v <= UINT32_MAX) {
        put_rex(a, 0, false, 0, 0, dst, false);
        put8(a, 0xb8 | (unsigned)(dst & 7));
        put32(a, (uint32_t)v);
    } else if ((int64_t)v == (int32_t)v) {
        put_rex(a, 0, true, 0, 0, dst, false);
        put8(a, 0xc7);
        put8(a, 0xc0 | (unsigned)(dst & 7));
        put32(a, (uint32_t)v);
    } else {
        put_rex(a, 0, true, 0, 0, dst, false);
        put8(a, 0xb8 | (unsigned)(dst & 7));
        put64(a, v);
    }
}

/* mov without touching the flags */
static inline void mov_ri_keep(Asm *a, int dst, uint32_t v)
{
    put_rex(a, 0, false, 0, 0, dst, false);
    put8(a, 0xb8 | (unsigned)(dst & 7));
    put32(a, v);
}

static inline void load(Asm *a, bool w, int dst, int base, int32_t disp)
{
    op_rm(a, 0, w, 0x8b, dst, base, disp);
}

static inline void store(Asm *a, bool w, int base, int32_t disp, int src)
{
    op_rm(a, 0, w, 0x89, src, base, disp);
}

/* stores a sign-extended 32-bit immediate */
static inline void store_i(Asm *a, bool w, int base, int32_t disp, int32_t v)
{
    op_rm(a, 0, w, 0xc7, 0, base, disp);
    put32(a, (uint32_t)v);
}

static inline void lea(Asm *a, bool w, int dst, int base, int32_t disp)
{
    op_rm(a, 0, w, 0x8d, dst, base, disp);
}

static inline void alu_rr(Asm *a, bool w, unsigned op, int dst, int src)
{
    op_rr(a, 0, w, op << 3 | 3, dst, src);
}

static inline void alu_rm(Asm *a, bool w, unsigned op, int dst, int base, int32_t disp)
{
    op_rm(a, 0, w, op << 3 | 3, dst, base, disp);
}

static inline void alu_ri(Asm *a, bool w, unsigned op, int dst, int32_t v)
{
    op_rr(a, 0, w, v == (int8_t)v ? 0x83 : 0x81, (int)op, dst);
    if (v == (int8_t)v)
        put8(a, (uint8_t)v);
    else
        put32(a, (uint32_t)v);
}

static inline void alu_mi(Asm *a, bool w, unsigned op, int base, int32_t disp, int32_t v)
{
    op_rm(a, 0, w, v == (int8_t)v ? 0x83 : 0x81, (int)op, base, disp);
    if (v == (int8_t)v)
        put8(a, (uint8_t)v);
    else
        put32(a, (uint32_t)v);
}

static inline void shift_ri(Asm *a, bool w, unsigned op, int dst, unsigned n)
{
    op_rr(a, 0, w, 0xc1, (int)op, dst);
    put8(a, n);
}

static inline void setcc(Asm *a, unsigned cc, int dst)
{
    op_rr8(a, false, 0x0f90 | cc, 0, dst);
}

/* VEX encodings; map 1: 0f, 2: 0f38, 3: 0f3a; pp 0 none, 1 66, 2 f3, 3 f2 */
static inline void put_vex(Asm *a, unsigned map, unsigned pp, bool w, bool l, int reg, int index,
                           int base, int vvvv)
{
    if (map == 1 && !w && index < 8 && base < 8) {
        put8(a, 0xc5);
        put8(a, (unsigned)(reg < 8) << 7 | (unsigned)(~vvvv & 15) << 3 | (unsigned)l << 2 | pp);
        return;
    }
    put8(a, 0xc4);
    put8(a,
         (unsigned)(reg < 8) << 7 | (unsigned)(index < 8) << 6 | (unsigned)(base < 8) << 5 | map);
    put8(a, (unsigned)w << 7 | (unsigned)(~vvvv & 15) << 3 | (unsigned)l << 2 | pp);
}

static inline void vex_rr(Asm *a, unsigned map, unsigned pp, bool w, unsigned opcode, int reg,
                          int vvvv, int rm)
{
    put_vex(a, map, pp, w, false, reg, 0, rm, vvvv);
    put8(a, opcode);
    put8(a, 0xc0 | (unsigned)(reg & 7) << 3 | (unsigned)(rm & 7));
}

static inline void vex_rm(Asm *a, unsigned map, unsigned pp, bool w, unsigned opcode, int reg,
                          int vvvv, int base, int32_t disp)
{
    put_vex(a, map, pp, w, false, reg, 0, base, vvvv);
    put8(a, opcode);
    put_mem(a, reg, base, disp);
}

static inline void rorx(Asm *a, bool w, int dst, int src, unsigned n)
{
    vex_rr(a, 3, 3, w, 0xf0, dst, 0, src);
    put8(a, n);
}

/* Short forward jump over what follows; land() ends it. */
static inline uint8_t *jump_short(Asm *a, unsigned cc)
{
    put8(a, 0x70 | cc);
    put8(a, 0);
    return a->p;
}

static inline void land(Asm *a, uint8_t *from)
{
    from[-1] = (uint8_t)(a->p - from);
}

static inline void push(Asm *a, unsigned r)
{
    put_rex(a, 0, false, 0, 0, (int)r, false);
    put8(a, 0x50 | (r & 7));
}

static inline void pop(Asm *a, unsigned r)
{
    put_rex(a, 0, false, 0, 0, (int)r, false);
    put8(a, 0x58 | (r & 7));
}

static inline void put_nops(Asm *a, unsigned n)
{
    static const uint8_t nops[9][9] = {
        {0x90},
        {0x66, 0x90},
        {0x0f, 0x1f, 0x00},
        {0x0f, 0x1f, 0x40, 0},
        {0x0f, 0x1f, 0x44, 0, 0},
        {0x66, 0x0f, 0x1f, 0x44, 0, 0},
        {0x0f, 0x1f, 0x80, 0, 0, 0, 0},
        {0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0},
        {0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0},
    };
    while (n) {
        unsigned k = n < 9 ? n : 9;
        memcpy(a->p, nops[k - 1], k);
        a->p += k;
        n -= k;
    }
}
