/* SPDX-License-Identifier: MIT */
/* Ackermann's function: deep recursion. */
#include "bench.h"

static uint32_t __attribute__((noinline)) ackermann(uint32_t m, uint32_t k)
{
    if (!m)
        return k + 1;
    if (!k)
        return ackermann(m - 1, 1);
    return ackermann(m - 1, ackermann(m, k - 1));
}

KERNEL("call-ackermann", 300)
{
    uint64_t sum = 0;
    while (n-- > 0)
        sum = mix(sum, ackermann(3, 7 + (uint32_t)(n & 1)));
    return sum;
}
