/* SPDX-License-Identifier: MIT */
/*
 * FPCR.FZ as programs linked with -ffast-math have it: each operation on values about the edges, with FPSR, once
 * where no result was inexact before and once where one was. First, a loop that is known to go on, in
 * which the first inexact result comes: its counter's flags are not needed, and were others before.
 */
#include <stdint.h>
#include <stdio.h>

static const uint64_t doubles[] = {0, 0x8000000000000000, 1, 0x800fffffffffffff, 0x0010000000000000,
    0x8010000000000001, 0x0020000000000003, 0x1ff0000000000001, 0x9ff8000000000000, 0x3feffffffffffffe, 0x3ff0000000000000,
    0xbff0000000000000, 0x4008000000000000, 0x7fefffffffffffff, 0x7ff0000000000000, 0x7ff8000000000001};
static const uint64_t singles[] = {0, 0x80000000, 1, 0x807fffff, 0x00800000, 0x80800001, 0x01000003, 0x1f800001, 0xa0000000,
    0x3f7ffffe, 0x3f800000, 0xbf800000, 0x40400000, 0x7f7fffff, 0x7f800000, 0x7fc00001};
#define N (sizeof doubles / sizeof *doubles)

#define OP(name, text) \
    __attribute__((noinline)) static void name(const uint64_t v[3], uint64_t fpsr, uint64_t r[3]) \
    { \
        __asm__ volatile("ldr d0, [%0]\n\tldr d1, [%0, 8]\n\tldr d2, [%0, 16]\n\tmsr fpsr, %2\n\t" text \
                         "\n\tstr q3, [%1]\n\tmrs x9, fpsr\n\tstr x9, [%1, 16]" \
                         : : "r"(v), "r"(r), "r"(fpsr) : "x9", "v0", "v1", "v2", "v3", "cc", "memory"); \
    }
#define D "d3, d0, d1"
#define S "s3, s0, s1"
#define V "v3.4s, v0.4s, v1.4s"
#define W "v3.2d, v0.2d, v1.2d"
#define ALL(X) \
    X(d_add, "fadd " D) X(d_sub, "fsub " D) X(d_mul, "fmul " D) X(d_div, "fdiv " D) X(d_min, "fmin " D) \
    X(d_fma, "fmadd " D ", d2") X(d_fms, "fmsub " D ", d2") X(d_sqrt, "fsqrt d3, d0") X(d_int, "frintx d3, d0") \
    X(d_cmp, "fcmp d0, d1\n\tcset x9, mi\n\tfmov d3, x9") X(d_to_s, "fcvt s3, d0") X(d_to_x, "fcvtzs x9, d0\n\tfmov d3, x9") \
    X(w_add, "fadd " W) X(w_mul, "fmul " W) X(w_div, "fdiv " W) X(w_max, "fmax " W) X(w_gt, "fcmgt " W) \
    X(s_add, "fadd " S) X(s_sub, "fsub " S) X(s_mul, "fmul " S) X(s_div, "fdiv " S) X(s_max, "fmax " S) \
    X(s_fma, "fmadd " S ", s2") X(s_fms, "fmsub " S ", s2") X(s_sqrt, "fsqrt s3, s0") X(s_to_d, "fcvt d3, s0") \
    X(v_add, "fadd " V) X(v_sub, "fsub " V) X(v_mul, "fmul " V) X(v_min, "fmin " V) X(v_ge, "fcmge " V) \
    X(v_fma, "mov v3.16b, v2.16b\n\tfmla " V) X(v_round, "frintx v3.4s, v0.4s") X(v_int, "fcvtzs v3.4s, v0.4s")
ALL(OP)

static const struct { const char *name; void (*run)(const uint64_t v[3], uint64_t fpsr, uint64_t r[3]); } ops[] = {
#define LINE(name, text) {#name, name},
    ALL(LINE)
};

int main(void)
{
    double d;
    uint64_t fpsr;
    __asm__ volatile("msr fpsr, xzr\n\tmsr fpcr, %2\n\tcmp w5, w5\n\tmov w5, 12\n\tfmov %d0, 1.0\n\tfmov d1, 3.0\n"
                     "1:\tsubs w5, w5, 1\n\tfdiv %d0, %d0, d1\n\tb.ne 1b\n\tmrs %1, fpsr"
                     : "=&w"(d), "=&r"(fpsr) : "r"(UINT64_C(1) << 24) : "w5", "d1", "cc");
    printf("loop %a %x\n", d, (unsigned)fpsr);
    for (unsigned o = 0; o < sizeof ops / sizeof *ops; o++) {
        const uint64_t *from = ops[o].name[0] == 'd' || ops[o].name[0] == 'w' ? doubles : singles;
        for (unsigned i = 0; i < N * N * (ops[o].name[4] == 'a' || ops[o].name[4] == 's' ? N : 1); i++)
            for (unsigned inexact = 0; inexact <= 16; inexact += 16) {
                uint64_t v[3] = {from[i % N], from[i / N % N], from[i / N / N]}, r[3];
                if (ops[o].name[0] == 'v') /* another lane beside it */
                    v[0] |= from[(i + 5) % N] << 32, v[1] |= from[(i / N + 3) % N] << 32;
                ops[o].run(v, inexact, r);
                printf("%s %u %d: %lx %lx %x\n", ops[o].name, i, inexact != 0, (long)r[0], (long)r[1], (unsigned)r[2]);
            }
    }
    return 0;
}
