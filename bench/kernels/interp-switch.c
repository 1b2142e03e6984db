/* SPDX-License-Identifier: MIT */
/* A bytecode interpreter that dispatches with a switch. */

#include "bytecode.h"

static uint64_t __attribute__((noinline)) run(const uint32_t *pc, uint64_t count, uint64_t *memory)
{
    uint64_t r[8] = { count };
    for (;;) {
        uint32_t i = *pc++;
        switch (OP(i)) {
        case OP_SET: r[A(i)] = B(i); break;
        case OP_ADD: r[A(i)] = r[B(i)] + r[C(i)]; break;
        case OP_SUB: r[A(i)] = r[B(i)] - r[C(i)]; break;
        case OP_MUL: r[A(i)] = r[B(i)] * r[C(i)]; break;
        case OP_XOR: r[A(i)] = r[B(i)] ^ r[C(i)]; break;
        case OP_SHR: r[A(i)] = r[B(i)] >> C(i); break;
        case OP_AND: r[A(i)] = r[B(i)] & r[C(i)]; break;
        case OP_LOAD: r[A(i)] = memory[r[B(i)]]; break;
        case OP_STORE: memory[r[B(i)]] = r[A(i)]; break;
        case OP_DEC: r[A(i)]--; break;
        case OP_JNZ: pc += r[A(i)] ? TO(i) : 0; break;
        case OP_JLT: pc += r[A(i)] < r[B(i)] ? TO(i) - 1 : 0; break;
        case OP_MOVE: r[A(i)] = r[B(i)]; break;
        case OP_HALT: return r[1];
        }
    }
}

KERNEL("interp-switch", 360000)
{
    static uint64_t memory[256];
    uint64_t sum = run(program, (uint64_t)n, memory);
    for (int i = 0; i < 256; i++)
        sum = mix(sum, memory[i]);
    return sum;
}
