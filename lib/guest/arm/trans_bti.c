/* SPDX-License-Identifier: MIT */
/*
 * Branch target identification (FEAT_BTI). PSTATE.BTYPE is a slot that indirect branches set and the
 * first instruction of every region looks at and clears, as no other can be reached by one. All that is
 * only done once the program has a guarded page, which is a bit of the mode.
 */
#include "guest/arm/arm_priv.h"

static bool is_breakpoint(uint32_t w) /* BRK, HLT */
{
    return (w & 0xffe0001f) == 0xd4200000 || (w & 0xffe0001f) == 0xd4400000;
}

static bool is_guarded(ArmTrans *c)
{
    const ArmCpu *cpu = c->b->cpu;
    return cpu->guarded && cpu->guarded(cpu->guarded_opaque, c->b->start + (uint64_t)c->b->insn);
}

/* Which values of BTYPE (bits) the instruction may be reached with. */
static unsigned allowed(uint32_t w)
{
    if ((w & 0xffffff3f) == 0xd503241f) /* BTI: none, c, j, jc */
        return 1 | (w & 0x40 ? 1u << 1 | 1u << 2 : 0) | (w & 0x80 ? 1u << 1 | 1u << 3 : 0);
    if (w == 0xd503233f || w == 0xd503237f) /* PACIASP, PACIBSP: as BTI c */
        return 1 | 1u << 1 | 1u << 2;
    return 1;
}

void arm_check_target(ArmTrans *c)
{
    IrBuilder *b = c->b;
    if (is_breakpoint(c->bits)) /* may be reached by all; its handler sees BTYPE */
        return;
    unsigned may = is_guarded(c) ? allowed(c->bits) : 15;
    if (may != 15) {
        unsigned right = ir_label_new(b);
        IrRef bit = ir_binary(b, IR_SHR, ir_const(b, IR_I64, may), ir_get(b, SLOT_BTYPE));
        ir_brcond(b, ir_cmp(b, IR_NE, ir_binary(b, IR_AND, bit, ir_const(b, IR_I64, 1)), ir_const(b, IR_I64, 0)),
                  right);
        ir_call(b, HELPER_BRANCH_TARGET, ir_get(b, SLOT_BTYPE), 0, 0, 0);
        ir_label(b, right);
    }
    ir_put(b, SLOT_BTYPE, ir_const(b, IR_I64, 0));
}

void arm_set_btype(ArmTrans *c, bool call, int rn)
{
    unsigned type = call ? 2 : !is_guarded(c) || rn == 16 || rn == 17 ? 1 : 3;
    ir_put(c->b, SLOT_BTYPE, ir_const(c->b, IR_I64, type));
}

HELPER(branch_target)
{
    translate_raise(cpu, ARM_BRANCH_TARGET, a);
    return 0;
}
