/* SPDX-License-Identifier: MIT */
/* Product of two matrices of 32-bit integers. */
#include "bench.h"

#define SIDE 160

KERNEL("int-matmul", 220)
{
    static int32_t a[SIDE][SIDE], b[SIDE][SIDE], c[SIDE][SIDE];
    uint64_t sum = 0, seed = 88172645463325252;
    for (int i = 0; i < SIDE * SIDE; i++) {
        a[i / SIDE][i % SIDE] = (int32_t)(next_random(&seed) & 0xffff);
        b[i / SIDE][i % SIDE] = (int32_t)(next_random(&seed) & 0xffff);
    }
    while (n-- > 0) {
        for (int i = 0; i < SIDE; i++) {
            for (int j = 0; j < SIDE; j++) {
                uint32_t s = 0;
                for (int k = 0; k < SIDE; k++)
                    s += (uint32_t)a[i][k] * (uint32_t)b[k][j];
                c[i][j] = (int32_t)s;
            }
        }
        a[n % SIDE][7] ^= c[n % SIDE][3] & 0xff;
        sum = mix(sum, (uint32_t)c[5][n % SIDE]);
    }
    return sum;
}
