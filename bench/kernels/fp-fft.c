/* SPDX-License-Identifier: MIT */
/* Radix-2 Fourier transform in place, in double precision; twiddle factors by halving angles. */
#include "bench.h"
#include <math.h>
#define BITS 12
#define COUNT (1 << BITS)

typedef struct {
    double re, im;
} Complex;

static Complex twiddle[COUNT / 2];

/* cos and sin of pi/2^k by the half-angle formulas, then all multiples by products. */
static void make_twiddles(void)
{
    double c = -1, s = 0;
    twiddle[0] = (Complex){ 1, 0 };
    for (int width = COUNT / 2; width >= 1; width /= 2) {
        if (width < COUNT / 2) {
            for (int i = width; i < COUNT / 2; i += 2 * width) {
                Complex w = twiddle[i - width];
                twiddle[i] = (Complex){ w.re * c - w.im * s, w.re * s + w.im * c };
            }
        }
        double half = sqrt((1 + c) / 2);
        s = -sqrt((1 - c) / 2);
        c = half;
    }
}

static void transform(Complex *v)
{
    for (unsigned i = 0, j = 0; i < COUNT; i++) {
        if (i < j) {
            Complex t = v[i];
            v[i] = v[j];
            v[j] = t;
        }
        unsigned bit = COUNT / 2;
        for (; j & bit; bit /= 2)
            j ^= bit;
        j |= bit;
    }
    for (int len = 2; len <= COUNT; len *= 2) {
        for (int at = 0; at < COUNT; at += len) {
            for (int k = 0; k < len / 2; k++) {
                Complex w = twiddle[k * (COUNT / len)], *a = v + at + k, *b = a + len / 2;
                Complex t = { b->re * w.re - b->im * w.im, b->re * w.im + b->im * w.re };
                *b = (Complex){ a->re - t.re, a->im - t.im };
                *a = (Complex){ a->re + t.re, a->im + t.im };
            }
        }
    }
}

KERNEL("fp-fft", 9000)
{
    static Complex v[COUNT];
    uint64_t sum = 0, seed = 31337;
    make_twiddles();
    for (int i = 0; i < COUNT; i++)
        v[i] = (Complex){ (double)(next_random(&seed) % 1000) / 1000, 0 };
    while (n-- > 0) {
        transform(v);
        for (int i = 0; i < COUNT; i++) /* back to the same size: the norm grows by sqrt(COUNT) */
            v[i] = (Complex){ v[i].re / 64, v[i].im / 64 };
    }
    for (int i = 0; i < COUNT; i += 37)
        sum = mix_f64(mix_f64(sum, v[i].re), v[i].im);
    return sum;
}
