/* SPDX-License-Identifier: MIT */
/* The spectral norm of an infinite matrix: integer to double conversion and division. */
#include "bench.h"
#include <math.h>
#define SIDE 300

static double element(int i, int j)
{
    return 1.0 / ((i + j) * (i + j + 1) / 2 + i + 1);
}

static void times(const double *v, double *out, int transposed)
{
    for (int i = 0; i < SIDE; i++) {
        double s = 0;
        for (int j = 0; j < SIDE; j++)
            s += (transposed ? element(j, i) : element(i, j)) * v[j];
        out[i] = s;
    }
}

KERNEL("fp-spectral", 1500)
{
    double u[SIDE], v[SIDE], t[SIDE], uv = 0, vv = 0;
    for (int i = 0; i < SIDE; i++)
        u[i] = 1;
    while (n-- > 0) {
        times(u, t, 0);
        times(t, v, 1);
        uv = vv = 0;
        for (int i = 0; i < SIDE; i++) {
            uv += u[i] * v[i];
            vv += v[i] * v[i];
        }
        double scale = 1 / sqrt(vv);
        for (int i = 0; i < SIDE; i++)
            u[i] = v[i] * scale;
    }
    return mix_f64(mix_f64(0, uv), vv);
}
