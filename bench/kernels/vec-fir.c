/* SPDX-License-Identifier: MIT */
/* A filter of eight taps over samples of 16 bits, which are two channels in turn. */
#include "bench.h"

#define N 4096
#define TAPS 8

KERNEL("vec-fir", 80000)
{
    static int16_t in[2 * (N + TAPS)], out[2 * N];
    static const int16_t tap[TAPS] = {-120, 340, 2100, 5800, 5800, 2100, 340, -120};
    uint64_t sum = 0, seed = 5;
    for (int i = 0; i < 2 * (N + TAPS); i++)
        in[i] = (int16_t)(next_random(&seed) % 20000) - 10000;
    while (n-- > 0) {
        for (int i = 0; i < N; i++) {
            int32_t left = 8192, right = 8192;
            for (int k = 0; k < TAPS; k++) {
                left += in[2 * (i + k)] * tap[k];
                right += in[2 * (i + k) + 1] * tap[k];
            }
            out[2 * i] = (int16_t)(left >> 14);
            out[2 * i + 1] = (int16_t)(right >> 14);
        }
        in[n % N] = out[(n * 7) % N];
        sum = mix(sum, (uint16_t)out[n % N]);
    }
    return sum;
}
