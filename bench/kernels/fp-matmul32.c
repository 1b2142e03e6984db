/* SPDX-License-Identifier: MIT */
/* Product of two matrices in single precision. */
#include "bench.h"

#define SIDE 160

KERNEL("fp-matmul32", 140)
{
    static float a[SIDE][SIDE], b[SIDE][SIDE], c[SIDE][SIDE];
    uint64_t sum = 0, seed = 99;
    for (int i = 0; i < SIDE * SIDE; i++) {
        a[i / SIDE][i % SIDE] = (float)(next_random(&seed) % 2000) / 1000 - 1;
        b[i / SIDE][i % SIDE] = (float)(next_random(&seed) % 2000) / 1000 - 1;
    }
    while (n-- > 0) {
        for (int i = 0; i < SIDE; i++) {
            for (int j = 0; j < SIDE; j++) {
                float s = 0;
                for (int k = 0; k < SIDE; k++)
                    s += a[i][k] * b[k][j];
                c[i][j] = s;
            }
        }
        a[n % SIDE][7] += c[n % SIDE][3] / 1000;
        sum = mix_f64(sum, (double)c[5][n % SIDE]);
    }
    return sum;
}
