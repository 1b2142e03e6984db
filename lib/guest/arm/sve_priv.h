/* SPDX-License-Identifier: MIT */
/*
 * SVE (Scalable Vector Extension), which C does but for what trans_sve*.c says: one description of
 * an instruction, made when it is translated and passed to its helper in two words. Its `fn` says
 * what is done with registers and predicates, its `op` which operation is done in each lane.
 *
 * Registers are arrays of lanes in memory order, as the hosts there are have it (little-endian).
 * Bits of Z registers above 128 that an Advanced SIMD or floating-point instruction zeroed are
 * noted in ArmCpu.z_stale and made zero when the next helper looks.
 */
#pragma once

#include <string.h>

#include "guest/arm/arm_priv.h"

#define SVE_MAX_BYTES (8 * ARM_Z_WORDS)
#define SVE_NO_PG 255

typedef enum { /* what a helper does */
    SVE_TWO,       /* zd = op(zn, m), merging where pg is inactive */
    SVE_CMP,       /* pd = op(zn, m) in active lanes, NZCV */
    SVE_MLA,       /* zd = za + or - zn * zm, merging */
    SVE_DOT,       /* zd += products of four lanes; imm: lane of zm in each 16 bytes, or -1 */
    SVE_REDUCE, SVE_INDEX, SVE_CPY, SVE_ADR, SVE_MOVPRFX, SVE_SEL, SVE_FEXPA,
    SVE_EXT, SVE_DUP_LANE, SVE_TBL, SVE_INSR, SVE_REV, SVE_UNPK, SVE_ZIP, SVE_UZP, SVE_TRN,
    SVE_COMPACT, SVE_SPLICE, SVE_LAST, SVE_CLAST, SVE_CLAST_Z,
    SVE_PLOGIC, SVE_BRKP, SVE_BRK, SVE_BRKN, SVE_PTEST, SVE_PFIRST, SVE_PNEXT, SVE_PTRUE,
    SVE_PZIP, SVE_PUZP, SVE_PTRN, SVE_PREV, SVE_PUNPK, SVE_RDFFR, SVE_WRFFR, SVE_SETFFR,
    SVE_WHILE, SVE_CNTP, SVE_SAT_ADD,
    SVE2_LANES, SVE2_CMLA, SVE2_RDCMLAH, SVE2_CDOT, SVE2_CADD, SVE2_EORBT, SVE2_ADCL, SVE2_BITS, SVE2_XAR,
    SVE2_EXT, SVE2_SPLICE, SVE2_TBL, SVE2_TBX, SVE2_MATCH, SVE2_HISTCNT, SVE2_HISTSEG, SVE2_WHILE, SVE2_WHILEWR, SVE2_BITPERM, SVE2_RAX1, SVE2_MMLA, SVE2_USDOT,
    SVE_FP_TWO, SVE_FP_ONE, SVE_FP_CMP, SVE_FP_MLA, SVE_FP_REDUCE, SVE_FP_ADDA, SVE_FP_CVT,
    SVE_FP_CADD, SVE_FP_CMLA, SVE_FP_TMAD,
    SVE2_FPAIRS, SVE2_FCVT, SVE2_FLOGB, SVE2_FMLAL,
    SVE_LD, SVE_ST, SVE_LDR, SVE_STR, SVE_LDP, SVE_STP, SVE_LD_ALL, SVE_GATHER, SVE_SCATTER,
    SVE_FNS
} SveFn;

typedef enum { /* operations on lanes */
    SVE_ADD, SVE_SUB, SVE_SMAX, SVE_UMAX, SVE_SMIN, SVE_UMIN, SVE_SABD, SVE_UABD,
    SVE_MUL, SVE_SMULH, SVE_UMULH, SVE_SDIV, SVE_UDIV, SVE_ORR, SVE_EOR, SVE_AND, SVE_BIC,
    SVE_ASR, SVE_LSR, SVE_LSL, SVE_ASRD, SVE_SQADD, SVE_UQADD, SVE_SQSUB, SVE_UQSUB,
    SVE_EQ, SVE_NE, SVE_GE, SVE_GT, SVE_HS, SVE_HI, SVE_LT, SVE_LE, SVE_LO, SVE_LS,
    SVE_FTSSEL,
    /* of zn alone */
    SVE_MOV, SVE_SXTB, SVE_UXTB, SVE_SXTH, SVE_UXTH, SVE_SXTW, SVE_UXTW, SVE_ABS, SVE_NEG, SVE_CLS, SVE_CLZ,
    SVE_CNT, SVE_CNOT, SVE_FABS, SVE_FNEG, SVE_NOT, SVE_REVB, SVE_REVH, SVE_REVW, SVE_RBIT,
    SVE_OPS
} SveOp;

/* Of floating point, beyond FpOp of simd_priv.h. */
enum { SVE_FP_NE = 64, SVE_FP_UO, SVE_FP_SCALE, SVE_FP_TSMUL };

typedef enum { /* what m is */
    SVE_M_REG,     /* zm */
    SVE_M_IMM,     /* imm in each lane */
    SVE_M_VALUE,   /* the second number passed, in each lane */
    SVE_M_LANE,    /* in each 16 bytes the lane imm of zm */
    SVE_M_WIDE,    /* lanes of zm are doublewords, for all lanes of zn beside them */
} SveM;

enum { /* flags */
    SVE_ZERO = 1,     /* zeroing where pg is inactive */
    SVE_SETS = 2,     /* sets NZCV */
    SVE_NEGATIVE = 4, /* subtracts */
    SVE_SECOND = 8,   /* the second of a pair of instructions: B, H, "last" */
    SVE_UNSIGNED = 16,
    SVE_FIRST_FAULT = 32, SVE_NO_FAULT = 64,
    SVE_REVERSE = 128, /* n and m change places */
    SVE_UNCHECKED = 128, /* memory: whatever tags there are, as by SP and an immediate */
};

typedef struct ArmSve {
    uint8_t fn, op, esz, vl; /* esz: log2 of a lane's bytes; vl: of a register, in units of 16 bytes */
    uint8_t rd, rn, rm, ra, pg;
    uint8_t m, flags;
    uint8_t msz;             /* memory: log2 of a lane's bytes there, | 8 signed; conversions: of the result */
    int32_t imm;
} ArmSve;
_Static_assert(sizeof(ArmSve) == 16, "two words");

typedef uint64_t SveHelper(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y);

static inline unsigned sve_bytes(const ArmSve *s) { return 16u * s->vl; }
static inline unsigned sve_lanes(const ArmSve *s) { return 16u * s->vl >> s->esz; }
static inline void *sve_z(ArmCpu *cpu, unsigned n) { return cpu->v[n & 31]; }
static inline uint64_t *sve_p(ArmCpu *cpu, unsigned n) { return cpu->p[n]; }

/* The bit of lane i of a predicate. */
static inline bool sve_active(const uint64_t *p, unsigned esz, unsigned i)
{
    unsigned at = i << esz;
    return p[at >> 6] >> (at & 63) & 1;
}

/* The bits of a predicate that count for lanes of a size. */
static inline uint64_t sve_every(unsigned esz)
{
    static const uint64_t every[] = {UINT64_MAX, 0x5555555555555555, 0x1111111111111111, 0x0101010101010101, 0x0001000100010001};
    return every[esz];
}

/* Words of a predicate, and the bits of its last one. */
static inline unsigned sve_p_words(const ArmSve *s) { return (s->vl + 3u) / 4; }
static inline uint64_t sve_p_valid(const ArmSve *s, unsigned word)
{
    unsigned left = 16u * s->vl - 64 * word;
    return left >= 64 ? UINT64_MAX : bits_mask(left);
}

/* A lane as a number, zero-extended; and written. */
static inline uint64_t sve_get(const void *z, unsigned esz, unsigned i)
{
    const uint8_t *p = (const uint8_t *)z + (i << esz);
    uint64_t v = 0;
    switch (esz) {
    case 0: return *p;
    case 1: memcpy(&v, p, 2); return v;
    case 2: memcpy(&v, p, 4); return v;
    default: memcpy(&v, p, 8); return v;
    }
}

static inline void sve_set(void *z, unsigned esz, unsigned i, uint64_t v)
{
    uint8_t *p = (uint8_t *)z + (i << esz);
    switch (esz) {
    case 0: *p = (uint8_t)v; break;
    case 1: memcpy(p, &v, 2); break;
    case 2: memcpy(p, &v, 4); break;
    default: memcpy(p, &v, 8); break;
    }
}

/* sve.c: the governing predicate's active bits (all ones without one); false: none is inactive */
bool sve_governing(ArmCpu *cpu, const ArmSve *s, uint64_t out[4]);
/* r into zd: merging or zeroing as s says */
void sve_put(ArmCpu *cpu, const ArmSve *s, const void *r);
/* NZCV of result under the governing predicate g, both of lanes of esz */
void sve_set_nzcv(ArmCpu *cpu, const ArmSve *s, const uint64_t *g, const uint64_t *result);
/* zm, or the same in all lanes, in `space` */
const void *sve_operand(ArmCpu *cpu, const ArmSve *s, uint64_t value, void *space);
/* v in all lanes of 8 bytes */
static inline uint64_t sve_splat(unsigned esz, uint64_t v)
{
    return esz == 3 ? v : (v & bits_mask(8u << esz)) * (UINT64_MAX / bits_mask(8u << esz));
}
/* sve.c: the lowest bits of r's lanes, where g is active */
void sve_lanes_to_p(const ArmSve *s, const uint64_t *g, const uint64_t *r, uint64_t p[4]);
/* src, with zeros (or what `otherwise` is, in all lanes) where g, of lanes of esz, is inactive */
void sve_masked(const ArmSve *s, const uint64_t *g, void *dst, const void *src, uint64_t otherwise);
/* sve_fp_host.c: op (add, sub, mul, div, difference, multiply-add, square root) of all lanes by the host;
   false: not so. The same for relations, as lanes all ones or zero, and for maxima and minima: of s->op. */
bool sve_fp_relate(const ArmSve *s, void *r, const void *x, const void *y);
bool sve_fp_pick(const ArmSve *s, void *r, const void *x, const void *y);
bool sve_fp_host(ArmCpu *cpu, const ArmSve *s, unsigned op, void *r, const void *x, const void *y, const void *z);
/* sve_int.c: lanes of r = op(n, m) */
/* lanes of n, of msz (as of ArmSve), widened to esz */
void sve_widen(unsigned msz, unsigned esz, void *r, const void *n, unsigned bytes);
bool sve_has_op(SveOp op, unsigned esz);
void sve_lane_op(SveOp op, unsigned esz, void *r, const void *n, const void *m, unsigned bytes);
/* sve.c: elements of a pattern of PTRUE and the like */
unsigned sve_pattern(unsigned pattern, unsigned lanes);

SveHelper sve_two, sve_cmp, sve_mla, sve_dot, sve_reduce, sve_index, sve_cpy, sve_adr, sve_movprfx,
    sve_sel, sve_fexpa;
SveHelper sve_ext, sve_dup_lane, sve_tbl, sve_insr, sve_rev, sve_unpk, sve_zip, sve_uzp, sve_trn, sve_compact,
    sve_splice, sve_last, sve_clast, sve_clast_z;
SveHelper sve_plogic, sve_brkp, sve_brk, sve_brkn, sve_ptest, sve_pfirst, sve_pnext, sve_ptrue, sve_pzip, sve_puzp,
    sve_ptrn, sve_prev, sve_punpk, sve_rdffr, sve_wrffr, sve_setffr, sve_while, sve_cntp, sve_sat_add;
SveHelper sve_fp_two, sve_fp_one, sve_fp_cmp, sve_fp_mla, sve_fp_reduce, sve_fp_adda, sve_fp_cvt, sve_fp_cadd,
    sve_fp_cmla, sve_fp_tmad;
SveHelper sve_ld, sve_st, sve_ldr, sve_str, sve_ldp, sve_stp, sve_ld_all, sve_gather, sve_scatter;

/* ---- translation */

/* A description for the current mode, of the instruction's registers at their usual places. */
ArmSve sve_describe(const ArmTrans *c, SveFn fn, unsigned esz);
static inline unsigned sve_vl(const ArmTrans *c) { return 16 * ((unsigned)(c->b->mode >> MODE_VL_AT & 15) + 1); }
/* Does it, by the IR or the helper; true. x and y may be 0. */
bool sve_call(ArmTrans *c, const ArmSve *s, IrRef x, IrRef y);
/* The helper alone; its value, if it has one. */
IrRef sve_call_helper(ArmTrans *c, const ArmSve *s, IrRef x, IrRef y);
static inline unsigned sve_field(const ArmTrans *c, unsigned at, unsigned width)
{
    return c->bits >> at & ((1u << width) - 1);
}
static inline unsigned sve_size(const ArmTrans *c) { return sve_field(c, 22, 2); }
/* trans_sve.c: the V register's low bits alone are left of a Z register */
void sve_put_v(ArmTrans *c, unsigned n, IrRef low);
/* trans_sve_pred.c: predicates of at most 64 bits, which the IR has */
static inline bool sve_short(const ArmTrans *c) { return sve_vl(c) <= 64; }
IrRef sve_ir_p(ArmTrans *c, unsigned n);
void sve_ir_nzcv(ArmTrans *c, IrRef g, IrRef r);
/* trans_sve_ir.c, trans_sve_irmem.c, vectors of 16 bytes: what s says; false: the helper is needed. */
bool sve_by_ir(ArmTrans *c, const ArmSve *s, IrRef x, IrRef y);
bool sve_ir_load(ArmTrans *c, const ArmSve *s, IrRef x);
bool sve_ir_store(ArmTrans *c, const ArmSve *s, IrRef x);
/* The governing predicate as lanes all ones or zero. */
IrRef sve_ir_mask(ArmTrans *c, const ArmSve *s);
