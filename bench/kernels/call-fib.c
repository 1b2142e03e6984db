/* SPDX-License-Identifier: MIT */
/* Fibonacci numbers by plain recursion: calls and returns. */
#include "bench.h"

static uint32_t __attribute__((noinline, noclone, optimize("no-optimize-sibling-calls"))) fib(uint32_t k)
{
    return k < 2 ? k : fib(k - 1) + fib(k - 2);
}

KERNEL("call-fib", 40)
{
    return mix(0, fib((uint32_t)n));
}
