/* SPDX-License-Identifier: MIT */
/* One picture of bytes over another, by a third of opacities; then blurred along its lines. */
#include "bench.h"

#define N 16384

static void blend(uint8_t *restrict to, const uint8_t *restrict from, const uint8_t *restrict alpha)
{
    for (int i = 0; i < N; i++) {
        unsigned v = (unsigned)from[i] * alpha[i] + (unsigned)to[i] * (255u - alpha[i]) + 128;
        to[i] = (uint8_t)((v + (v >> 8)) >> 8);
    }
}

static void blur(uint8_t *restrict to, const uint8_t *restrict from)
{
    for (int i = 1; i < N - 1; i++)
        to[i] = (uint8_t)((from[i - 1] + 2 * from[i] + from[i + 1] + 2) >> 2);
}

KERNEL("vec-blend", 60000)
{
    static uint8_t a[N], b[N], alpha[N];
    uint64_t sum = 0, seed = 3;
    for (int i = 0; i < N; i++) {
        a[i] = (uint8_t)next_random(&seed);
        b[i] = (uint8_t)next_random(&seed);
        alpha[i] = (uint8_t)next_random(&seed);
    }
    while (n-- > 0) {
        blend(a, b, alpha);
        blur(b, a);
        b[n % N] ^= (uint8_t)n;
        sum = mix(sum, a[(n * 7) % N]);
    }
    return sum;
}
