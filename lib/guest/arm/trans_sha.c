/* SPDX-License-Identifier: MIT */
/* SHA1 and SHA256 by the operations that the IR has for them, and SHA1's schedule, which is logic. */
#include "guest/arm/simd_priv.h"

#define DECODE_EXTERN
#define DECODE_TYPES_ONLY
#include "gen/guest/arm/a64_simd.inc"

static IrRef zero(ArmTrans *c) { return ir_vconst(c->b, 0, 0); }

/* Words rotated to the left by one. */
static IrRef turn(ArmTrans *c, IrRef v)
{
    return ir_vector(c->b, IR_VOR, 2, ir_vector_imm(c->b, IR_VSHL, 2, v, 0, 1),
                     ir_vector_imm(c->b, IR_VSHR, 2, v, 0, 31));
}

/* Four rounds of SHA1. m has the words with their constant, which the IR adds. */
static IrRef sha1(ArmTrans *c, unsigned kind, IrRef d, IrRef n, IrRef m)
{
    static const uint64_t constants[] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc};
    IrBuilder *b = c->b;
    uint64_t k = constants[kind] * UINT64_C(0x100000001);
    IrRef e = ir_vzext(b, ir_vextract(b, IR_F32, n, 0));
    m = ir_vector(b, IR_VADD, 2, ir_vector(b, IR_VSUB, 2, m, ir_vconst(b, k, k)), e);
    return ir_vector_imm(b, IR_VSHA, 2, d, m, IR_SHA1_CHOOSE + kind);
}

static IrRef sha256(ArmTrans *c, IrRef abcd, IrRef efgh, IrRef m, int64_t which)
{
    return ir_op(c->b, (IrOp){.code = IR_VSHA256, .type = IR_V128, .sub = 2, .a = abcd, .b = efgh, .c = m, .imm = which});
}

bool trans_a64_sha_three(ArmTrans *c, const ArgsVSha *a)
{
    IrBuilder *b = c->b;
    if (!c->p->crypto || a->op > 6)
        return false;
    IrRef d = arm_v(c, a->rd), n = arm_v(c, a->rn), m = arm_v(c, a->rm), v;
    switch (a->op) {
    case 0: case 1: case 2: v = sha1(c, (unsigned)a->op, d, n, m); break;
    case 3: /* SHA1SU0 */
        v = ir_vector(b, IR_VXOR, 2, d, ir_vector_imm(b, IR_VEXT, 0, d, n, 8));
        v = ir_vector(b, IR_VXOR, 2, v, m);
        break;
    case 4: v = sha256(c, d, n, m, 0); break;
    case 5: v = sha256(c, n, d, m, 1); break;
    default: /* SHA256SU1 */
        v = ir_vector(b, IR_VADD, 2, d, ir_vector_imm(b, IR_VEXT, 0, n, m, 4));
        v = ir_vector_imm(b, IR_VSHA, 2, v, m, IR_SHA256_SCHEDULE1);
        break;
    }
    arm_put_vector(c, a->rd, v);
    return true;
}

bool trans_a64_sha_two(ArmTrans *c, const ArgsVAes *a)
{
    IrBuilder *b = c->b;
    if (!c->p->crypto || a->op > 2)
        return false;
    IrRef d = arm_v(c, a->rd), n = arm_v(c, a->rn), v;
    if (a->op == 0) { /* SHA1H */
        v = ir_vzext(b, ir_binary_imm(b, IR_ROR, ir_vextract(b, IR_I32, n, 0), 2));
    } else if (a->op == 1) { /* SHA1SU1: the last word takes part of the first */
        v = turn(c, ir_vector(b, IR_VXOR, 2, d, ir_vector_imm(b, IR_VEXT, 0, n, zero(c), 4)));
        v = ir_vector(b, IR_VXOR, 2, v, ir_vector_imm(b, IR_VEXT, 0, zero(c), turn(c, v), 4));
    } else {
        v = ir_vector_imm(b, IR_VSHA, 2, d, n, IR_SHA256_SCHEDULE0);
    }
    arm_put_vector(c, a->rd, v);
    return true;
}
