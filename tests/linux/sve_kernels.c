/* SPDX-License-Identifier: MIT */
/*
 * Loops that compilers make SVE of, and some with intrinsics: sums, gathers, conditions, structures, first
 * faults at the end of memory. What is printed depends on the vector length only in the order of sums.
 */
#include <arm_sve.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define N 1003
static double a[N], b[N], d[N];
static float f[N], g[N];
static int x[N], y[N], at[N];
static short h[N];
static unsigned char q[N], rgb[3 * N];
#define APART __attribute__((noinline)) static

APART void scale(double s)
{
    for (int i = 0; i < N; i++)
        d[i] = a[i] * s + b[i];
}

APART double dot(void)
{
    double r = 0;
    for (int i = 0; i < N; i++)
        r += a[i] * b[i];
    return r;
}

APART void choose(void)
{
    for (int i = 0; i < N; i++)
        y[i] = x[i] > 7 ? x[i] * 3 : h[i] - q[i];
}

APART void gather(void)
{
    for (int i = 0; i < N; i++)
        f[i] = g[at[i]] + 1;
}

APART void scatter(void)
{
    for (int i = 0; i < N; i++)
        g[at[i]] = f[i] / (1 + q[i]);
}

APART void grey(void)
{
    for (int i = 0; i < N; i++)
        q[i] = (unsigned char)((rgb[3 * i] * 77 + rgb[3 * i + 1] * 151 + rgb[3 * i + 2] * 28) >> 8);
}

APART void divide(void)
{
    for (int i = 0; i < N; i++)
        x[i] = (int)(f[i] * 3.7f) / (y[i] | 1);
}

APART int greatest(void)
{
    int m = -1000000;
    for (int i = 0; i < N; i++)
        m = y[i] > m ? y[i] : m;
    return m;
}

/* strlen by first-faulting loads: the string ends where memory does */
APART size_t length(const char *s)
{
    size_t n = 0;
    for (;;) {
        svsetffr();
        svuint8_t v = svldff1_u8(svptrue_b8(), (const uint8_t *)s + n);
        svbool_t there = svrdffr(), zero = svcmpeq_n_u8(there, v, 0);
        if (svptest_any(there, zero))
            return n + svcntp_b8(there, svbrkb_z(there, zero));
        n += svcntp_b8(there, there);
    }
}

APART float tree(void)
{
    svfloat32_t sum = svdup_f32(0);
    for (unsigned i = 0; i < N; i += (unsigned)svcntw()) {
        svbool_t p = svwhilelt_b32_u32(i, N);
        sum = svmla_f32_m(p, sum, svld1_f32(p, f + i), svld1_f32(p, g + i));
    }
    return svaddv_f32(svptrue_b32(), sum);
}

APART unsigned compacted(int *out)
{
    unsigned n = 0;
    for (unsigned i = 0; i < N; i += (unsigned)svcntw()) {
        svbool_t p = svwhilelt_b32_u32(i, N);
        svint32_t v = svld1_s32(p, x + i);
        svbool_t odd = svcmpne_n_s32(p, svand_n_s32_x(p, v, 1), 0);
        unsigned k = (unsigned)svcntp_b32(p, odd);
        svst1_s32(svwhilelt_b32_u32(0, k), out + n, svcompact_s32(odd, v));
        n += k;
    }
    return n;
}

static unsigned long hash(const void *p, size_t n)
{
    unsigned long r = 1469598103934665603;
    for (size_t i = 0; i < n; i++)
        r = (r ^ ((const unsigned char *)p)[i]) * 1099511628211;
    return r;
}
#define SHOW(array) printf(#array " %016lx\n", hash(array, sizeof array))

int main(void)
{
    int out[N];
    for (int i = 0; i < N; i++) {
        a[i] = i * 0.5 - 3;
        b[i] = sqrt(i);
        f[i] = (float)i;
        g[i] = i * 1.25f;
        x[i] = i * 7919 % 31;
        h[i] = (short)(i % 300 - 5);
        at[i] = i * 37 % N;
        q[i] = (unsigned char)(3 * i);
        rgb[3 * i] = rgb[3 * i + 2] = (unsigned char)(i * 5);
        rgb[3 * i + 1] = (unsigned char)(i * i);
    }
    scale(3.25);
    SHOW(d);
    printf("%a\n", dot());
    grey();
    choose();
    gather();
    scatter();
    SHOW(q);
    SHOW(y);
    SHOW(f);
    SHOW(g);
    divide();
    SHOW(x);
    printf("%d %a\n", greatest(), (double)tree());
    memset(out, 0, sizeof out);
    printf("%u\n", compacted(out));
    SHOW(out);
    char *edge = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(edge + 4096, 4096);
    memset(edge, 'x', 4095);
    printf("%zu %zu %zu\n", length(edge), length(edge + 4000), length(edge + 4094));
    return 0;
}
