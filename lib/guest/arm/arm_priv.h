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
    SLOT_PAIR_ADDRESS, SLOT_PAIR_LOW, SLOT_PAIR_HIGH, SLOT_QC,
    SLOT_PSTATE, SLOT_PAC, SLOT_BTYPE = SLOT_PAC + 10,
    SLOT_Z_STALE, SLOT_P, SLOT_P_END = SLOT_P + 16, /* P0 to P15, FFR: their first 64 bits */
    SLOT_SVE_ADDRESS,
    SLOT_COUNT
};

/* The mode key. */
#define MODE_DN 1u
#define MODE_FZ 2u
#define MODE_GUARDS 4u                         /* BTYPE is kept, and looked at in guarded pages */
#define MODE_TAGGED 8u                         /* the top byte of addresses is cut off */
#define MODE_TAG_CHECKS 0x100u                 /* accesses are checked */
#define MODE_NO_KEY(key) (UINT64_C(0x10) << (key)) /* of pointer authentication, disabled */
#define MODE_Z_USED 0x1000u /* Z registers may have bits set above 128 */
#define MODE_INEXACT 0x2000u /* with MODE_FZ: FPSR.IXC is set */
#define MODE_VL_AT 16       /* vector length / 16 - 1, 4 bits; 0 without SVE */

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
    HELPER_FCVT_FIXED, /* (float bits, scale | 256 unsigned | 512 64 bits | 1024 double): the integer */
    HELPER_FIXED_FCVT, /* (integer, the same): the float */
    HELPER_FCVT_HALF,  /* (bits, from | to << 2) of FP types as encoded */
    /* halves: lanes; a scalar x * y + z; compared; from and to integers */
    HELPER_HALF_LANES, HELPER_HALF_FMA, HELPER_HALF_COMPARE, HELPER_HALF_TO_INT, HELPER_HALF_FROM_INT,
    HELPER_DOT, HELPER_CRYPTO3, /* ext_priv.h */
    HELPER_RANDOM,
    HELPER_QARMA,
    HELPER_BRANCH_TARGET, /* (BTYPE): raises */
    /* mte.c */
    HELPER_TAG_CHECK, HELPER_TAG_ALIGNED, HELPER_LOAD_TAG, HELPER_STORE_TAG, HELPER_ADD_TAG, HELPER_RANDOM_TAG,
    /* (the halves of an ArmSve of sve_priv.h, two numbers): by what they touch */
    HELPER_SVE, HELPER_SVE_VALUE, HELPER_SVE_FP, HELPER_SVE_MEM, HELPER_SVE_START,
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
HELPER(fcvt_fixed);
HELPER(fixed_fcvt);
HELPER(fcvt_half);
HELPER(half_lanes);
HELPER(half_fma);
HELPER(half_compare);
HELPER(half_to_int);
HELPER(half_from_int);
HELPER(dot);
HELPER(crypto3);
HELPER(random);
HELPER(qarma);
HELPER(branch_target);
HELPER(tag_check);
HELPER(tag_aligned);
HELPER(load_tag);
HELPER(store_tag);
HELPER(add_tag);
HELPER(random_tag);
HELPER(sve);
HELPER(sve_start);

/* user.c */
void arm_user_reset(TranslateCpu *cpu, uint64_t entry);
void arm_trouble(TranslateCpu *cpu, uint64_t address, TranslateAccess access,
                 TranslateTrouble trouble, TranslateFault *fault);
void arm_fp_rules(uint64_t mode, TranslateFp *fp);

/* model.c */
void arm_list_models(GString *out);
bool arm_configure(TranslateCpu *cpu, const char *spec, GError **error);
/* An ID register, CRm << 3 | op2 of S3_0_C0_Cm_op2; false: there is none at EL0. */
bool arm_id_register(const ArmProps *p, unsigned reg, uint64_t *value);
void arm_describe(TranslateCpu *cpu, GString *out);
/* sve_model.c: vector lengths into p, and the CPU's own */
struct Options;
bool arm_sve_configure(ArmCpu *cpu, struct Options *options, ArmProps *p, GError **error);

/* translation */
typedef struct ArmTrans {
    IrBuilder *b;
    const ArmProps *p;
    uint32_t bits;      /* the instruction */
    int64_t next;       /* offset of the following instruction */
} ArmTrans;

/* flags.c */
TranslateFlagsUse arm_flags_use(const uint8_t *code, unsigned available, int64_t *target);
/* trans_sve.c: before an instruction of SVE; false: it is left, and comes again in another mode. */
bool arm_sve_enter(ArmTrans *c);
/* After another instruction, whose operations start at `first`: V registers written end at 128 bits. */
void arm_sve_after(ArmTrans *c, unsigned first);

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

/* trans_int.c: to an address: op 0 BR, 1 BLR, 2 RET, by register rn. */
void arm_branch_register(ArmTrans *c, unsigned op, int rn, IrRef to);
/* trans_bti.c: before the first instruction of a region; before BR and BLR by register rn. */
void arm_check_target(ArmTrans *c);
void arm_set_btype(ArmTrans *c, bool call, int rn);
/* trans_mte.c: before an instruction that accesses memory; DC GVA. */
void arm_check_tags(ArmTrans *c);
void arm_tag_block(ArmTrans *c, IrRef address);
/* trans_pauth.c: a hint that is one of pointer authentication; false: it is none, or does nothing. */
bool arm_pauth_hint(ArmTrans *c, unsigned hint);
/* pauth.c */
uint64_t arm_qarma5(uint64_t data, uint64_t modifier, uint64_t key0, uint64_t key1);

/* trans_pstate.c: a bit of PSTATE by the encoding of its register, op1 << 3 | op2 of MSR (immediate), and
   by that of MRS, op2 of S3_3_C4_C2_op2; 0: there is none. */
uint32_t arm_pstate_immediate(const ArmProps *p, unsigned op);
uint32_t arm_pstate_register(const ArmProps *p, unsigned op2);
void arm_put_pstate(ArmTrans *c, uint32_t bit, IrRef from); /* that bit of from */

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
