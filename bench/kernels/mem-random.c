/* SPDX-License-Identifier: MIT */
/* Random reads and writes over 16 MiB, 8 bytes each: TLB and cache misses. */
#include "bench.h"

#define COUNT (1u << 21)

KERNEL("mem-random", 60000000)
{
    static uint64_t table[COUNT];
    uint64_t seed = 6364136223846793005u;
    for (uint64_t i = 0; i < COUNT; i++)
        table[i] = i;
    while (n-- > 0) {
        uint64_t r = next_random(&seed);
        table[r % COUNT] ^= r;
    }
    uint64_t sum = 0;
    for (uint64_t i = 0; i < COUNT; i += 61)
        sum = mix(sum, table[i]);
    return sum;
}
