/* SPDX-License-Identifier: MIT */
/*
 * A small register machine for the interpreter kernels: 8 registers, 32-bit words (operation, a, b, c;
 * or an 8-bit signed jump distance in c), and a program that keeps all operations busy: a linear
 * congruence, a table of counters, a nested loop.
 */
#pragma once
#include "bench.h"

enum { OP_SET, OP_ADD, OP_SUB, OP_MUL, OP_XOR, OP_SHR, OP_AND, OP_LOAD, OP_STORE, OP_DEC, OP_JNZ, OP_JLT, OP_MOVE, OP_HALT };

#define INSN(op, a, b, c) \
    ((uint32_t)(op) | (uint32_t)(a) << 8 | (uint32_t)(b) << 16 | (uint32_t)(uint8_t)(c) << 24)
#define OP(i) ((i) & 0xff)
#define A(i) ((i) >> 8 & 0xff)
#define B(i) ((i) >> 16 & 0xff)
#define C(i) ((i) >> 24)
#define TO(i) ((int8_t)((i) >> 24))

/* r0 outer count (given), r1 state, r2 multiplier, r3 mask, r4 inner count, r5..r7 scratch */
static const uint32_t program[] = {
    INSN(OP_SET, 1, 17, 0), INSN(OP_SET, 2, 109, 0), INSN(OP_SET, 3, 255, 0),
    /* outer: */ INSN(OP_SET, 4, 100, 0),
    /* inner: */ INSN(OP_MUL, 1, 1, 2), INSN(OP_ADD, 1, 1, 3), INSN(OP_SHR, 5, 1, 7),
    INSN(OP_AND, 5, 5, 3), INSN(OP_LOAD, 6, 5, 0), INSN(OP_ADD, 6, 6, 4),
    INSN(OP_JLT, 6, 1, 2), INSN(OP_XOR, 6, 6, 1),
    /* skipped to: */ INSN(OP_STORE, 6, 5, 0), INSN(OP_MOVE, 7, 6, 0), INSN(OP_SUB, 1, 1, 7),
    INSN(OP_DEC, 4, 0, 0), INSN(OP_JNZ, 4, 0, -13),
    INSN(OP_DEC, 0, 0, 0), INSN(OP_JNZ, 0, 0, -16), INSN(OP_HALT, 0, 0, 0),
};
