/* SPDX-License-Identifier: MIT */
/* The same bytecode with computed goto: an indirect jump after each operation. */

#include "bytecode.h"

#define NEXT i = *pc++; goto *op[OP(i)]

static uint64_t __attribute__((noinline)) run(const uint32_t *pc, uint64_t count, uint64_t *memory)
{
    static const void *const op[] = {
        &&set, &&add, &&sub, &&mul, &&xor, &&shr, &&and, &&load, &&store, &&dec, &&jnz, &&jlt, &&move, &&halt,
    };
    uint64_t r[8] = { count };
    uint32_t i;
    NEXT;
set: r[A(i)] = B(i); NEXT;
add: r[A(i)] = r[B(i)] + r[C(i)]; NEXT;
sub: r[A(i)] = r[B(i)] - r[C(i)]; NEXT;
mul: r[A(i)] = r[B(i)] * r[C(i)]; NEXT;
xor: r[A(i)] = r[B(i)] ^ r[C(i)]; NEXT;
shr: r[A(i)] = r[B(i)] >> C(i); NEXT;
and: r[A(i)] = r[B(i)] & r[C(i)]; NEXT;
load: r[A(i)] = memory[r[B(i)]]; NEXT;
store: memory[r[B(i)]] = r[A(i)]; NEXT;
dec: r[A(i)]--; NEXT;
jnz: pc += r[A(i)] ? TO(i) : 0; NEXT;
jlt: pc += r[A(i)] < r[B(i)] ? TO(i) - 1 : 0; NEXT;
move: r[A(i)] = r[B(i)]; NEXT;
halt: return r[1];
}

KERNEL("interp-goto", 360000)
{
    static uint64_t memory[256];
    uint64_t sum = run(program, (uint64_t)n, memory);
    for (int i = 0; i < 256; i++)
        sum = mix(sum, memory[i]);
    return sum;
}
