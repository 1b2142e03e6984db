/* SPDX-License-Identifier: MIT */
/* The Mandelbrot set in double precision: multiplies, adds and a compare an iteration. */
#include "bench.h"

KERNEL("fp-mandel", 400)
{
    uint64_t total = 0;
    for (long y = 0; y < n; y++) {
        for (int x = 0; x < 400; x++) {
            double cr = x * 3.0 / 400 - 2.25, ci = (double)y * 2.5 / (double)n - 1.25;
            double zr = 0, zi = 0, r2 = 0, i2 = 0;
            int i = 0;
            for (; i < 4000 && r2 + i2 <= 4; i++) {
                zi = 2 * zr * zi + ci;
                zr = r2 - i2 + cr;
                r2 = zr * zr;
                i2 = zi * zi;
            }
            total = mix(total, (uint64_t)i);
        }
    }
    return total;
}
