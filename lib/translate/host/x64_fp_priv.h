/* SPDX-License-Identifier: MIT */
/* What the two files of the x86-64 compiler's floating point share: x64_fp.c has the operations,
 * x64_fp_look.c what is done about their results. */
#pragma once

#include "translate/host/x64_priv.h"

/* Constants: 16 bytes each; the one for f32 follows that for f64. */
enum { POOL_ABS, POOL_SIGN = 2, POOL_MIN = 4, POOL_NAN = 6, POOL_NEGATIVE_NAN = 8, POOL_ABOVE = 10,
      POOL_LOW, POOL_STICKY, POOL_STICKY_SET = POOL_STICKY + 4,
      POOL_ZERO = POOL_STICKY_SET + 2, POOL_LARGE, POOL_LARGE_NEGATIVE = POOL_LARGE + 2 };

typedef enum { NAN_HOST, NAN_DEFAULT, NAN_AGAIN } NanRule;

NanRule nan_rule(const Emit *e);

/* Where the operands of an operation are, for C: registers, or NO_REG for one at disp off rbp. */
typedef struct Operands {
    uint8_t regs[3];
    int32_t disp;
} Operands;

static inline unsigned scalar_pp(unsigned type)
{
    return type == IR_F32 ? 2 : 3; /* ss, sd */
}

/* An instruction of map 1 with a constant as its last operand. */
void vex_pool(Emit *e, unsigned pp, unsigned opcode, unsigned reg, unsigned vvvv, unsigned n);
void ucomi(Emit *e, bool signalling, unsigned type, unsigned a, unsigned b);
Cold *fp_jump_cold(Emit *e, ColdKind kind, unsigned cc);
Cold *finish_cold(Emit *e, Cold *c, IrRef i, unsigned d, const Operands *from);
/* Looks at d, just made by operation i. Returns what may follow, or NULL: it is right, or is looked
 * at later. */
Cold *fp_check(Emit *e, IrRef i, unsigned d, bool nan, bool tiny, const Operands *from);
/* Looks at v in r, an operand as type has it, for subnormals that are flushed, where that is to be noted. */
void fp_look_in(Emit *e, IrRef v, unsigned type, unsigned r);
bool emit_sticky(Emit *e, IrRef i, const IrOp *op);
bool emit_sticky_set(Emit *e, const IrOp *op);
