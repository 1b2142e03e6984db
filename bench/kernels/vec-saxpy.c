/* SPDX-License-Identifier: MIT */
/* Vectors of single precision: a multiple is added, and what is out of bounds is cut. */
#include "bench.h"

#define N 4096

KERNEL("vec-saxpy", 450000)
{
    static float x[N], y[N];
    uint64_t sum = 0, seed = 21;
    for (int i = 0; i < N; i++) {
        x[i] = (float)(next_random(&seed) % 2001) / 1000 - 1;
        y[i] = (float)(next_random(&seed) % 2001) / 1000 - 1;
    }
    while (n-- > 0) {
        float a = (float)(n % 17) / 16 - 0.5f;
        for (int i = 0; i < N; i++) {
            float v = y[i] + a * x[i];
            v = v > 1 ? 1 : v;
            y[i] = v < -1 ? -1 : v;
        }
        x[n % N] = -x[n % N];
        if (n % 64 == 0)
            sum = mix_f64(sum, (double)y[(n * 5) % N]);
    }
    return sum;
}
