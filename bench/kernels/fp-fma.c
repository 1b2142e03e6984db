/* SPDX-License-Identifier: MIT */
/* Polynomials by Horner's rule with fused multiply-add, double and single precision. */
#include "bench.h"
#include <math.h>
KERNEL("fp-fma", 60000000)
{
    static const double c[] = { 0.5, -1.25, 0.75, 0.125, -0.3, 0.9, -0.7, 0.2 };
    double x = 0.3, sum = 0;
    float y = 0.3f, fsum = 0;
    for (long i = 0; i < n; i++) {
        double p = c[0];
        float q = (float)c[7];
        for (int k = 1; k < 8; k++) {
            p = fma(p, x, c[k]);
            q = fmaf(q, y, 0.25f);
        }
        sum = fma(p, 0.001, sum * 0.999);
        fsum = fmaf(q, 0.001f, fsum * 0.999f);
        x = x > 0.9 ? x - 0.8 : x + 0.0007;
        y = y > 0.9f ? y - 0.8f : y + 0.0007f;
    }
    return mix_f64(mix_f64(0, sum), (double)fsum);
}
