/* SPDX-License-Identifier: MIT */
/* Sieve of Eratosthenes over bytes: stores with a stride, short loops. */
#include "bench.h"

#define LIMIT 1000000

KERNEL("int-sieve", 220)
{
    static uint8_t composite[LIMIT];
    uint64_t sum = 0;
    while (n-- > 0) {
        memset(composite, 0, sizeof composite);
        uint32_t count = 0;
        for (uint32_t i = 2; i < LIMIT; i++) {
            if (composite[i])
                continue;
            count++;
            for (uint64_t j = (uint64_t)i * i; j < LIMIT; j += i)
                composite[j] = 1;
        }
        sum = mix(sum, count);
    }
    return sum;
}
