/* SPDX-License-Identifier: MIT */
/* LDAPUR, STLUR and the like (FEAT_LRCPC2): with an acquire or release, and an offset. */
#include "guest/arm/arm_priv.h"

#define DECODE_EXTERN
#define DECODE_TYPES_ONLY
#include "gen/guest/arm/a64_mem.inc"

bool trans_a64_ldapur(ArmTrans *c, const ArgsMOrder *a)
{
    IrMem mem = IR_MEM_SIZE((unsigned)a->size) | IR_MEM_ALIGNED | IR_MEM_ATOMIC;
    IrRef base = arm_x_sp(c, a->rn);
    if (!c->p->lrcpc2 || (a->opc == 2 && a->size == 3) || (a->opc == 3 && a->size > 1))
        return false;
    if (!a->opc) {
        ir_store(c->b, mem | IR_MEM_RELEASE, base, a->imm, arm_x(c, a->rt));
        return true;
    }
    mem |= IR_MEM_ACQUIRE | (a->opc & 2 ? IR_MEM_SIGNED : 0);
    arm_put(c, a->rt, ir_load(c->b, a->opc == 3 ? IR_I32 : IR_I64, mem, base, a->imm));
    return true;
}
