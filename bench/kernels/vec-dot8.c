/* SPDX-License-Identifier: MIT */
/* Sums of products, and of absolute differences, of bytes. */
#include "bench.h"

#define N 8192

KERNEL("vec-dot8", 120000)
{
    static uint8_t a[N], b[N];
    uint64_t sum = 0, seed = 7;
    for (int i = 0; i < N; i++) {
        a[i] = (uint8_t)next_random(&seed);
        b[i] = (uint8_t)next_random(&seed);
    }
    while (n-- > 0) {
        uint32_t dot = 0, far = 0;
        for (int i = 0; i < N; i++) {
            int d = a[i] - b[i];
            dot += (uint32_t)a[i] * b[i];
            far += (uint32_t)(d < 0 ? -d : d);
        }
        a[n % N] ^= (uint8_t)(dot + far);
        sum = mix(sum, dot + (uint64_t)far);
    }
    return sum;
}
