/* SPDX-License-Identifier: MIT */
/*
 * What an x86 front end needs of floating point, scalar SSE: the first operand's
 * NaN, a negative default NaN, the sticky flag for subnormals (DE), DAZ and FTZ,
 * flags from compares. Oracle: the host itself, which executes the same
 * instruction under the same MXCSR. Packed and x87 arithmetic are not here.
 *
 * Bit 0 of an instruction's a: double, else single. Mode bits: DAZ, FTZ.
 */
#ifdef __x86_64__

#include <cpuid.h>
#include <immintrin.h>

#include "translate/test_fp.h"

#define EMIT(name) static void emit_##name(IrBuilder *b, const Insn *i)
#define ORACLE(name) static void oracle_##name(State *s, const Insn *i)
#define DOUBLE ((i->a & 1) != 0)
#define W64 ((i->a & 2) != 0) /* of an integer */
enum { MODE_DAZ = 1, MODE_FTZ = 2 };
enum { C = IR_FLAG_C, Z = IR_FLAG_Z, P = IR_FLAG_P };

static void rules(uint64_t mode, TranslateFp *fp)
{
    fp->flush_inputs = mode & MODE_DAZ;
    fp->flush_outputs = mode & MODE_FTZ;
}

/* ---- the host */

static uint32_t mxcsr_of(const State *s)
{
    static const uint8_t rc[] = {[IR_RNE] = 0, [IR_RTZ] = 3, [IR_RDN] = 1, [IR_RUP] = 2};
    uint32_t f = s->fp_flags;
    return 0x1f80 | (uint32_t)rc[s->fp_round] << 13 | (s->regs.order & MODE_DAZ ? 0x40u : 0) |
           (s->regs.order & MODE_FTZ ? 0x8000u : 0) | (f & 1) | (f & 30) << 1 | (f >> 4 & 2);
}

static void set_flags(State *s, uint32_t mxcsr)
{
    s->fp_flags = (mxcsr & 1) | (mxcsr >> 1 & 30) | (mxcsr << 4 & 32);
}

/* Runs `text` with %[x] and %[y] in xmm registers, under the state's MXCSR. */
#define HOST(s, text, outputs, ...) \
    do { \
        uint32_t own, csr = mxcsr_of(s); \
        __asm__ volatile("stmxcsr %[own]\n\tldmxcsr %[csr]\n\t" text \
                         "\n\tstmxcsr %[csr]\n\tldmxcsr %[own]" \
                         : [own] "=m"(own), [csr] "+m"(csr), outputs : __VA_ARGS__ \
                         : "cc"); \
        set_flags(s, csr); \
    } while (0)

static __m128i xmm(uint64_t v) { return _mm_set_epi64x(0, (int64_t)v); }
static uint64_t low(__m128i v) { return (uint64_t)_mm_cvtsi128_si64(v); }

/* d = x of text(x, y) */
static uint64_t keep(const Insn *i, uint64_t old, uint64_t v)
{
    return DOUBLE ? v : (old & ~UINT64_C(0xffffffff)) | (uint32_t)v;
}

/* ---- registers: a single leaves the upper half as it is */

static IrRef get(IrBuilder *b, const Insn *i, unsigned n)
{
    return DOUBLE ? ir_get(b, F0 + n) : ir_flow(b, IR_F32, ir_get(b, F0 + n));
}

static void put_single(IrBuilder *b, unsigned n, IrRef v)
{
    IrRef old = ir_bitcast(b, IR_I64, ir_get(b, F0 + n));
    IrRef bits = ir_zext(b, IR_I64, ir_bitcast(b, IR_I32, v));
    ir_put(b, F0 + n, ir_bitcast(b, IR_F64, ir_deposit(b, old, bits, 0, 32)));
}

static void put(IrBuilder *b, const Insn *i, unsigned n, IrRef v)
{
    if (DOUBLE)
        ir_put(b, F0 + n, v);
    else
        put_single(b, n, v);
}

/* ---- arithmetic: op d, n */

#define ORACLE2(name, insn) \
    ORACLE(name) \
    { \
        __m128i x = xmm(s->regs.f[i->d]), y = xmm(s->regs.f[i->n]); \
        if (DOUBLE) \
            HOST(s, insn "sd %[y], %[x]", [x] "+x"(x), [y] "x"(y)); \
        else \
            HOST(s, insn "ss %[y], %[x]", [x] "+x"(x), [y] "x"(y)); \
        s->regs.f[i->d] = low(x); \
    }
#define TWO(name, code) \
    EMIT(name) { put(b, i, i->d, ir_fop2(b, code, get(b, i, i->d), get(b, i, i->n), IR_RDYN)); } \
    ORACLE2(name, #name)
TWO(add, IR_FADD)
TWO(sub, IR_FSUB)
TWO(mul, IR_FMUL)
TWO(div, IR_FDIV)

EMIT(min)
{
    put(b, i, i->d, ir_fminmax(b, IR_FMIN, get(b, i, i->d), get(b, i, i->n), IR_MINMAX_X86));
}
ORACLE2(min, "min")
EMIT(max)
{
    put(b, i, i->d, ir_fminmax(b, IR_FMAX, get(b, i, i->d), get(b, i, i->n), IR_MINMAX_X86));
}
ORACLE2(max, "max")
EMIT(sqrt) { put(b, i, i->d, ir_fop1(b, IR_FSQRT, get(b, i, i->n), IR_RDYN)); }
ORACLE2(sqrt, "sqrt")

/* vfmadd213, and its three sisters by bits 2-3 of a: d = n * d + m */
EMIT(fma)
{
    IrRef v = ir_fma_as(b, get(b, i, i->n), get(b, i, i->d), get(b, i, i->m), i->a >> 2 & 3,
                        IR_RDYN);
    put(b, i, i->d, v);
}
#define HOST_FMA(insn) \
    if (DOUBLE) \
        HOST(s, insn "sd %[z], %[y], %[x]", [x] "+x"(x), [y] "x"(y), [z] "x"(z)); \
    else \
        HOST(s, insn "ss %[z], %[y], %[x]", [x] "+x"(x), [y] "x"(y), [z] "x"(z)); \
    break
ORACLE(fma)
{
    __m128i x = xmm(s->regs.f[i->d]), y = xmm(s->regs.f[i->n]), z = xmm(s->regs.f[i->m]);
    switch (i->a >> 2 & 3) {
    case 0: HOST_FMA("vfmadd213");
    case 1: HOST_FMA("vfnmadd213");
    case 2: HOST_FMA("vfmsub213");
    default: HOST_FMA("vfnmsub213");
    }
    s->regs.f[i->d] = low(x);
}

/* ---- compares: ucomis, comis when a bit 2 is set */

EMIT(ucomi)
{
    ir_put(b, FLAGS,
           ir_frel(b, IR_FLAGS, get(b, i, i->d), get(b, i, i->n), i->a & 4, C, Z, 0, Z | P | C));
}
#define HOST_COMI(insn) \
    HOST(s, insn " %[y], %[x]\n\tlea -128(%%rsp), %%rsp\n\tpushf\n\tpop %[f]\n\tlea 128(%%rsp), %%rsp", \
         [f] "=&r"(f), [x] "x"(x), [y] "x"(y)) /* the red zone is left alone */
ORACLE(ucomi)
{
    __m128i x = xmm(s->regs.f[i->d]), y = xmm(s->regs.f[i->n]);
    uint64_t f;
    switch (i->a & 5) {
    case 0: HOST_COMI("ucomiss"); break;
    case 1: HOST_COMI("ucomisd"); break;
    case 4: HOST_COMI("comiss"); break;
    default: HOST_COMI("comisd"); break;
    }
    s->regs.flags = (uint32_t)f & test_flags_mask;
}

/* cmpsd: eq lt le unord by a bits 2-3, as a mask */
EMIT(cmp)
{
    static const IrFCond conds[] = {IR_FEQ, IR_FLT, IR_FLE, IR_FUN};
    unsigned k = i->a >> 2 & 3;
    IrRef v = ir_fcmp(b, conds[k], get(b, i, i->d), get(b, i, i->n), k == 1 || k == 2);
    v = ir_unary(b, IR_NEG, IR_I64, ir_zext(b, IR_I64, v));
    IrType t = DOUBLE ? IR_I64 : IR_I32;
    put(b, i, i->d, ir_bitcast(b, DOUBLE ? IR_F64 : IR_F32, ir_trunc(b, t, v)));
}
#define HOST_CMP(n) \
    if (DOUBLE) \
        HOST(s, "cmpsd $" #n ", %[y], %[x]", [x] "+x"(x), [y] "x"(y)); \
    else \
        HOST(s, "cmpss $" #n ", %[y], %[x]", [x] "+x"(x), [y] "x"(y)); \
    break
ORACLE(cmp)
{
    __m128i x = xmm(s->regs.f[i->d]), y = xmm(s->regs.f[i->n]);
    switch (i->a >> 2 & 3) {
    case 0: HOST_CMP(0);
    case 1: HOST_CMP(1);
    case 2: HOST_CMP(2);
    default: HOST_CMP(3);
    }
    s->regs.f[i->d] = low(x);
}

/* ---- conversions; a bit 2: truncates */

EMIT(cvt2si)
{
    IrRef v = ir_ftoi(b, W64 ? IR_I64 : IR_I32, get(b, i, i->n), IR_TOINT_X86,
                      i->a & 4 ? IR_RTZ : IR_RDYN);
    ir_put(b, R0 + i->d, ir_zext(b, IR_I64, v));
}
ORACLE(cvt2si)
{
    __m128i y = xmm(s->regs.f[i->n]);
    uint64_t r = 0;
    uint32_t r32 = 0;
    switch (i->a & 7) {
    case 0: HOST(s, "cvtss2si %[y], %[r]", [r] "=&r"(r32), [y] "x"(y)); break;
    case 1: HOST(s, "cvtsd2si %[y], %[r]", [r] "=&r"(r32), [y] "x"(y)); break;
    case 2: HOST(s, "cvtss2si %[y], %[r]", [r] "=&r"(r), [y] "x"(y)); break;
    case 3: HOST(s, "cvtsd2si %[y], %[r]", [r] "=&r"(r), [y] "x"(y)); break;
    case 4: HOST(s, "cvttss2si %[y], %[r]", [r] "=&r"(r32), [y] "x"(y)); break;
    case 5: HOST(s, "cvttsd2si %[y], %[r]", [r] "=&r"(r32), [y] "x"(y)); break;
    case 6: HOST(s, "cvttss2si %[y], %[r]", [r] "=&r"(r), [y] "x"(y)); break;
    default: HOST(s, "cvttsd2si %[y], %[r]", [r] "=&r"(r), [y] "x"(y)); break;
    }
    s->regs.r[i->d] = W64 ? r : r32;
}

EMIT(cvtsi2)
{
    IrRef v = ir_trunc(b, W64 ? IR_I64 : IR_I32, ir_get(b, R0 + i->n));
    put(b, i, i->d, ir_itof(b, DOUBLE ? IR_F64 : IR_F32, v, false, IR_RDYN));
}
ORACLE(cvtsi2)
{
    __m128i x = xmm(s->regs.f[i->d]);
    uint64_t r = s->regs.r[i->n];
    uint32_t r32 = (uint32_t)r;
    switch (i->a & 3) {
    case 0: HOST(s, "cvtsi2ssl %[r], %[x]", [x] "+x"(x), [r] "r"(r32)); break;
    case 1: HOST(s, "cvtsi2sdl %[r], %[x]", [x] "+x"(x), [r] "r"(r32)); break;
    case 2: HOST(s, "cvtsi2ssq %[r], %[x]", [x] "+x"(x), [r] "r"(r)); break;
    default: HOST(s, "cvtsi2sdq %[r], %[x]", [x] "+x"(x), [r] "r"(r)); break;
    }
    s->regs.f[i->d] = low(x);
}

/* cvtsd2ss when bit 0 is set, else cvtss2sd */
EMIT(cvts2s)
{
    IrRef v = ir_ftof(b, DOUBLE ? IR_F32 : IR_F64, get(b, i, i->n), IR_RDYN);
    if (DOUBLE)
        put_single(b, i->d, v);
    else
        ir_put(b, F0 + i->d, v);
}
ORACLE(cvts2s)
{
    __m128i x = xmm(s->regs.f[i->d]), y = xmm(s->regs.f[i->n]);
    if (DOUBLE)
        HOST(s, "cvtsd2ss %[y], %[x]", [x] "+x"(x), [y] "x"(y));
    else
        HOST(s, "cvtss2sd %[y], %[x]", [x] "+x"(x), [y] "x"(y));
    s->regs.f[i->d] = low(x);
}

/* rounds: nearest, down, up, zero by a bits 2-3, or as MXCSR says with bit 4; bit 5: not inexact */
EMIT(round)
{
    static const uint8_t modes[] = {IR_RNE, IR_RDN, IR_RUP, IR_RTZ};
    uint8_t round = i->a & 16 ? IR_RDYN : modes[i->a >> 2 & 3];
    put(b, i, i->d,
        ir_op(b, (IrOp){.code = IR_FROUND,
                        .type = DOUBLE ? IR_F64 : IR_F32,
                        .sub = round,
                        .imm = !(i->a & 32),
                        .a = get(b, i, i->n)}));
}
#define HOST_ROUND(n) \
    case n: \
        if (DOUBLE) \
            HOST(s, "roundsd $" #n ", %[y], %[x]", [x] "+x"(x), [y] "x"(y)); \
        else \
            HOST(s, "roundss $" #n ", %[y], %[x]", [x] "+x"(x), [y] "x"(y)); \
        break;
ORACLE(round)
{
    __m128i x = xmm(s->regs.f[i->d]), y = xmm(s->regs.f[i->n]);
    switch ((i->a & 16 ? 4 : i->a >> 2 & 3) | (i->a & 32 ? 8 : 0)) {
    HOST_ROUND(0) HOST_ROUND(1) HOST_ROUND(2) HOST_ROUND(3) HOST_ROUND(4)
    HOST_ROUND(8) HOST_ROUND(9) HOST_ROUND(10) HOST_ROUND(11) HOST_ROUND(12)
    }
    s->regs.f[i->d] = low(x);
}

/* xorps and andps with a constant, as compilers negate */
EMIT(sign)
{
    put(b, i, i->d,
        ir_unary(b, i->a & 4 ? IR_FNEG : IR_FABS, DOUBLE ? IR_F64 : IR_F32, get(b, i, i->n)));
}
ORACLE(sign)
{
    uint64_t sign = DOUBLE ? UINT64_C(1) << 63 : UINT64_C(1) << 31, v = s->regs.f[i->n];
    s->regs.f[i->d] = keep(i, s->regs.f[i->d], i->a & 4 ? v ^ sign : v & ~sign);
}

/* a branch on what a compare left */
EMIT(ja)
{
    ir_branch(b,
              ir_op(b, (IrOp){.code = IR_FLAGS_TEST,
                              .type = IR_I8,
                              .sub = i->a & 4 ? IR_F_A : IR_F_P,
                              .a = ir_get(b, FLAGS)}),
              b->insn + insn_imm(i));
}
ORACLE(ja)
{
    uint32_t f = s->regs.flags;
    s->skip = i->a & 4 ? !(f & (C | Z)) : f & P ? 1 : 0;
}

#define OP(name, flags) {#name, emit_##name, oracle_##name, flags}
static const Op ops[] = {
    OP(add, 0), OP(sub, 0), OP(mul, 0), OP(div, 0), OP(min, 0), OP(max, 0), OP(sqrt, 0),
    OP(ucomi, 0), OP(cmp, 0), OP(cvt2si, 0), OP(cvtsi2, 0), OP(cvts2s, 0), OP(round, 0),
    OP(sign, 0), OP(ja, OP_BRANCH), OP(fma, 0),
};

int main(int argc, char **argv)
{
    static const TranslateFp fp = {.negative_default = true, .propagate = SF_PROPAGATE_X86,
                                   .denormal_flag = true};
    unsigned a, b, c, d, n = G_N_ELEMENTS(ops);
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_FMA) || !(c & bit_SSE4_1))
        n--;
    fp_modes = 4;
    test_flags_mask = IR_FLAG_C | IR_FLAG_P | IR_FLAG_A | IR_FLAG_Z | IR_FLAG_S | IR_FLAG_O;
    return fp_main(argc, argv, ops, n, &fp, rules);
}

#else
int main(void) { return 0; }
#endif
