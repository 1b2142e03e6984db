/* SPDX-License-Identifier: MIT */
/* Walks a random cycle through 4 MiB: one dependent load after the other. */
#include "bench.h"

#define COUNT 524288

KERNEL("mem-chase", 35000000)
{
    static uint64_t next[COUNT];
    uint64_t seed = 2463534242, at = 0;
    for (uint64_t i = 0; i < COUNT; i++)
        next[i] = i;
    for (uint64_t i = COUNT - 1; i > 0; i--) { /* Sattolo: one cycle */
        uint64_t j = next_random(&seed) % i, t = next[i];
        next[i] = next[j];
        next[j] = t;
    }
    while (n-- > 0)
        at = next[at];
    return mix(0, at);
}
