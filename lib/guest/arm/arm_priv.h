/* SPDX-License-Identifier: MIT */
/* What the files of the Arm front end share: slots, helpers, the mode key, the translation
   context. */
#pragma once

#include "base/bits.h"
#include "guest/arm/arm.h"

static inline ArmCpu *arm_of(TranslateCpu *cpu)
{
    return (ArmCpu *)(void *)cpu;
}

/* Slots: x0..x30 and sp, v0..v31, then these. */
enum {
    SLOT_X = 0, SLOT_SP = 31, SLOT_V = 32, SLOT_FLAGS = 64, SLOT_TPIDR,
    SLOT_PAIR_ADDRESS, SLOT_PAIR_LOW, SLOT_PAIR_HIGH, SLOT_QC, SLOT_COUNT
};

/* The mode key. */
#define MODE_DN 1u
#define MODE_FZ 2u

/* Helpers, in the order of the table in arm.c. Those of vectors work on cpu->v. */
enum {
    HELPER_CRC32,      /* (crc, value, bytes, castagnoli) */
    HELPER_SET_FPCR, HELPER_FPSR, HELPER_SET_FPSR,
    HELPER_COUNTER,
    HELPER_CODE_FENCE, /* (address) */
    HELPER_CLREX,
    HELPER_SERVICE,    /* (number, key, instruction) */
    HELPER_LANES,      /* (the halves of an ArmLanes of simd_priv.h) */
    HELPER_FP_LANES,   /* the same, floating point */
    HELPER_PERMUTE, HELPER_CRYPTO, /* (kind, instruction) */
    HELPER_FCVT_FIXED, /* (float bits, scale | 256 unsigned | 512 64 bits | 1024 double): the integer */
    HELPER_FIXED_FCVT, /* (integer, the same): the float */
    HELPER_FCVT_HALF,  /* (bits, from | to << 2) of FP types as encoded */
    HELPER_COUNT
};
extern const IrHelper arm_helpers[HELPER_COUNT];

#define HELPER(name) uint64_t arm_helper_##name(void *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
HELPER(crc32);
HELPER(set_fpcr);
HELPER(fpsr);
HELPER(set_fpsr);
HELPER(counter);
HELPER(code_fence);
HELPER(clrex);
HELPER(service);
HELPER(lanes);
HELPER(fp_lanes);
HELPER(permute);
HELPER(crypto);
HELPER(fcvt_fixed);
HELPER(fixed_fcvt);
HELPER(fcvt_half);

/* user.c */
void arm_user_mode(TranslateCpu *cpu);
void arm_user_reset(TranslateCpu *cpu, uint64_t entry);
void arm_trouble(TranslateCpu *cpu, uint64_t address, TranslateAccess access,
                 TranslateTrouble trouble, TranslateFault *fault);
void arm_fp_rules(uint64_t mode, TranslateFp *fp);

/* model.c */
void arm_list_models(GString *out);
bool arm_configure(TranslateCpu *cpu, const char *spec, GError **error);
void arm_describe(TranslateCpu *cpu, GString *out);

/* translation */
typedef struct ArmTrans {
    IrBuilder *b;
    const ArmProps *p;
    uint32_t bits;      /* the instruction */
    int64_t next;       /* offset of the following instruction */
} ArmTrans;

/* flags.c */
TranslateFlagsUse arm_flags_use(const uint8_t *code, unsigned available, int64_t *target);
bool arm_insn(IrBuilder *b, const uint8_t *code, unsigned available);

enum { ZR = 31 };

/* x0..x30, else zero. */
static inline IrRef arm_x(ArmTrans *c, int n)
{
    return n == ZR ? ir_const(c->b, IR_I64, 0) : ir_get(c->b, SLOT_X + (unsigned)n);
}

/* x0..x30, else sp. */
static inline IrRef arm_x_sp(ArmTrans *c, int n)
{
    return ir_get(c->b, SLOT_X + (unsigned)n);
}

static inline IrType arm_type(int sf)
{
    return sf ? IR_I64 : IR_I32;
}

static inline IrRef arm_r(ArmTrans *c, int sf, int n)
{
    return ir_trunc(c->b, arm_type(sf), arm_x(c, n));
}

/* Any integer value up to 64 bits, zero-extended. */
static inline void arm_put(ArmTrans *c, int n, IrRef v)
{
    if (n != ZR)
        ir_put(c->b, SLOT_X + (unsigned)n, ir_zext(c->b, IR_I64, v));
}

static inline void arm_put_sp(ArmTrans *c, int n, IrRef v)
{
    ir_put(c->b, SLOT_X + (unsigned)n, ir_zext(c->b, IR_I64, v));
}

/* The exception of an instruction that is not there; true, for `return arm_undefined(c)`. */
static inline bool arm_undefined(ArmTrans *c)
{
    ir_raise(c->b, ARM_UNDEFINED, ir_const(c->b, IR_I64, c->bits));
    return true;
}

/* trans_int.c: whether condition cc (0..15) holds: i8. */
IrRef arm_condition(ArmTrans *c, unsigned cc);
IrRef arm_nzcv_const(ArmTrans *c, unsigned nzcv);
/* DecodeBitMasks of the manual; false: reserved. */
bool arm_bit_mask(bool sf, unsigned n, unsigned immr, unsigned imms, uint64_t *mask);

/* trans_simd.c: VFPExpandImm of the manual. */
uint64_t arm_fp_imm(unsigned imm8, bool twice);
/* trans_lanes.c: one lane, zero-extended to i64; and written, with the others kept (true). */
IrRef arm_get_lane(ArmTrans *c, int v, unsigned log2, unsigned lane);
bool arm_insert_lane(ArmTrans *c, int v, unsigned log2, unsigned lane, IrRef value);

static inline IrRef arm_v(ArmTrans *c, int n)
{
    return ir_get(c->b, SLOT_V + (unsigned)n);
}

static inline void arm_put_vector(ArmTrans *c, int n, IrRef v)
{
    ir_put(c->b, SLOT_V + (unsigned)n, v);
}

/* Halves of a V register as i64, and writing them. */
static inline IrRef arm_v_low(ArmTrans *c, int n)
{
    return ir_vextract(c->b, IR_I64, arm_v(c, n), 0);
}

static inline IrRef arm_v_high(ArmTrans *c, int n)
{
    return ir_vextract(c->b, IR_I64, arm_v(c, n), 1);
}

/* high 0: the upper half is zeroed. */
static inline void arm_put_v(ArmTrans *c, int n, IrRef low, IrRef high)
{
    arm_put_vector(c, n, high ? ir_vpair(c->b, low, high) : ir_vzext(c->b, low));
}
