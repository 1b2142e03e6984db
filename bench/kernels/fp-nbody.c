/* SPDX-License-Identifier: MIT */
/* Gravity of five bodies in double precision: divisions and square roots. */
#include "bench.h"
#include <math.h>
typedef struct {
    double x[3], v[3], mass;
} Body;

static void step(Body *b, int count, double dt)
{
    for (int i = 0; i < count; i++) {
        for (int j = i + 1; j < count; j++) {
            double d[3], r2 = 0;
            for (int k = 0; k < 3; k++) {
                d[k] = b[i].x[k] - b[j].x[k];
                r2 += d[k] * d[k];
            }
            double mag = dt / (r2 * sqrt(r2));
            for (int k = 0; k < 3; k++) {
                b[i].v[k] -= d[k] * b[j].mass * mag;
                b[j].v[k] += d[k] * b[i].mass * mag;
            }
        }
    }
    for (int i = 0; i < count; i++) {
        for (int k = 0; k < 3; k++)
            b[i].x[k] += dt * b[i].v[k];
    }
}

KERNEL("fp-nbody", 6000000)
{
    Body b[5];
    uint64_t seed = 777, sum = 0;
    for (int i = 0; i < 5; i++) {
        for (int k = 0; k < 3; k++) {
            b[i].x[k] = (double)(i * 4 + k) + (double)(next_random(&seed) % 1000) / 1000;
            b[i].v[k] = (double)(next_random(&seed) % 1000) / 4000;
        }
        b[i].mass = i ? 0.01 * i : 40;
    }
    while (n-- > 0)
        step(b, 5, 0.001);
    for (int i = 0; i < 5; i++)
        sum = mix_f64(mix_f64(sum, b[i].x[0]), b[i].v[2]);
    return sum;
}
