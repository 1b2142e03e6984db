/* SPDX-License-Identifier: MIT */
/* Exceptions, hints, barriers, cache maintenance and the system registers that EL0 may use. */
#include "guest/arm/arm_priv.h"

#define DECODE_EXTERN
#define DECODE_TYPES_ONLY
#include "gen/guest/arm/a64_sys.inc"

bool trans_a64_svc(ArmTrans *c, const ArgsSImm *a)
{
    ir_raise(c->b, ARM_SVC, ir_const(c->b, IR_I64, (uint64_t)a->imm));
    return true;
}

bool trans_a64_brk(ArmTrans *c, const ArgsSImm *a)
{
    ir_raise(c->b, ARM_BRK, ir_const(c->b, IR_I64, (uint64_t)a->imm));
    return true;
}

/* NOP, YIELD, WFE and the rest; those of pointer authentication and branch targets do nothing where
   these are not implemented. */
bool trans_a64_hint(ArmTrans *c, const ArgsSNone *a)
{
    arm_pauth_hint(c, c->bits >> 5 & 127);
    return true;
}

bool trans_a64_barrier(ArmTrans *c, const ArgsSBar *a)
{
    switch (a->op2) {
    case 2:
        ir_call(c->b, HELPER_CLREX, 0, 0, 0, 0);
        return true;
    case 4: case 5: /* DSB, DMB: loads, stores or all, whoever is to see it */
        ir_fence(c->b, (a->crm & 3) == 1 ? IR_FENCE_LL | IR_FENCE_LS : (a->crm & 3) == 2 ? IR_FENCE_SS : IR_FENCE_ALL);
        return true;
    case 6:
        ir_exit_mode(c->b, c->next);
        return true;
    case 7: /* SB: there is no speculation to stop */
        return c->p->sb && !a->crm;
    default:
        return false;
    }
}

#define REG(op0, op1, crn, crm, op2) \
    (((op0) << 14 | (op1) << 11 | (crn) << 7 | (crm) << 3 | (op2)) & 0xffff)

static IrRef read_register(ArmTrans *c, int reg)
{
    IrBuilder *b = c->b;
    uint64_t id;
    IrRef f, v;
    switch (reg) {
    case REG(3, 3, 13, 0, 2): return ir_get(b, SLOT_TPIDR);
    case REG(3, 3, 13, 0, 3): return ir_const(b, IR_I64, 0); /* TPIDRRO_EL0 */
    case REG(3, 3, 9, 14, 0): return ir_const(b, IR_I64, 0); /* PMUSERENR_EL0: nothing of it is for EL0 */
    case REG(3, 3, 4, 2, 0): /* NZCV */
        f = ir_zext(b, IR_I64, ir_unary(b, IR_FLAGS_BITS, IR_I32, ir_get(b, SLOT_FLAGS)));
        id = 0;
        v = ir_const(b, IR_I64, 0);
        static const struct { unsigned from, to; } map[] = {{7, 31}, {6, 30}, {0, 29}, {11, 28}};
        for (unsigned i = 0; i < G_N_ELEMENTS(map); i++)
            v = ir_binary(b, IR_OR, v, ir_binary_imm(b, IR_SHL, ir_extract(b, f, map[i].from, 1), map[i].to));
        return v;
    case REG(3, 3, 4, 4, 0): /* FPCR; DN and FZ are in the mode, but rounding is not */
        return ir_call(b, HELPER_FPSR, ir_const(b, IR_I64, 1), 0, 0, 0);
    case REG(3, 3, 4, 4, 1): return ir_call(b, HELPER_FPSR, ir_const(b, IR_I64, 0), 0, 0, 0);
    case REG(3, 3, 0, 0, 1): return ir_const(b, IR_I64, c->p->ctr); /* CTR_EL0: lines of 64 bytes */
    case REG(3, 3, 0, 0, 7): return ir_const(b, IR_I64, 4);          /* DCZID_EL0: 64 bytes */
    case REG(3, 3, 14, 0, 0): return ir_call(b, HELPER_COUNTER, ir_const(b, IR_I64, 1), 0, 0, 0);
    case REG(3, 3, 14, 0, 2): return ir_call(b, HELPER_COUNTER, ir_const(b, IR_I64, 0), 0, 0, 0);
    case REG(3, 3, 4, 2, 5): case REG(3, 3, 4, 2, 6): case REG(3, 3, 4, 2, 7): /* DIT, SSBS, TCO */
        if (!(id = arm_pstate_register(c->p, (unsigned)reg & 7)))
            return 0;
        return ir_binary(b, IR_AND, ir_get(b, SLOT_PSTATE), ir_const(b, IR_I64, id));
    case REG(3, 3, 2, 4, 0): case REG(3, 3, 2, 4, 1): /* RNDR, RNDRRS: Z is set when there was none */
        if (!c->p->rng)
            return 0;
        v = ir_call(b, HELPER_RANDOM, 0, 0, 0, 0);
        ir_put(b, SLOT_FLAGS, ir_select(b, ir_cmp(b, IR_EQ, v, ir_const(b, IR_I64, 0)), arm_nzcv_const(c, 4),
                                        arm_nzcv_const(c, 0)));
        return v;
    default: /* what the kernel answers for EL0, whose accesses it traps */
        if (reg >> 7 != REG(3, 0, 0, 0, 0) >> 7 || !arm_id_register(c->p, (unsigned)reg & 127, &id))
            return 0;
        return ir_const(b, IR_I64, id);
    }
}

bool trans_a64_sysreg(ArmTrans *c, const ArgsSSysreg *a)
{
    IrBuilder *b = c->b;
    int reg = a->reg | 0x8000;
    if (a->l) {
        IrRef v = read_register(c, reg);
        if (v)
            arm_put(c, a->rt, v);
        return v != 0;
    }
    IrRef x = arm_x(c, a->rt), f;
    switch (reg) {
    case REG(3, 3, 13, 0, 2):
        ir_put(b, SLOT_TPIDR, x);
        return true;
    case REG(3, 3, 4, 2, 0):
        f = ir_const(b, IR_I64, 0);
        static const struct { unsigned from, to; } map[] = {{31, 7}, {30, 6}, {29, 0}, {28, 11}};
        for (unsigned i = 0; i < G_N_ELEMENTS(map); i++)
            f = ir_binary(b, IR_OR, f, ir_binary_imm(b, IR_SHL, ir_extract(b, x, map[i].from, 1), map[i].to));
        ir_put(b, SLOT_FLAGS, ir_unary(b, IR_FLAGS_PACK, IR_FLAGS, ir_trunc(b, IR_I32, f)));
        return true;
    case REG(3, 3, 4, 4, 0):
        ir_call(b, HELPER_SET_FPCR, x, 0, 0, 0);
        ir_exit_mode(b, c->next);
        return true;
    case REG(3, 3, 4, 4, 1):
        ir_call(b, HELPER_SET_FPSR, x, 0, 0, 0);
        ir_exit_mode(b, c->next);
        return true;
    case REG(3, 3, 4, 2, 5): case REG(3, 3, 4, 2, 6): case REG(3, 3, 4, 2, 7):
        if (!arm_pstate_register(c->p, (unsigned)reg & 7))
            return false;
        arm_put_pstate(c, arm_pstate_register(c->p, (unsigned)reg & 7), x);
        return true;
    default:
        return false;
    }
}

#define SYS(op1, crn, crm, op2) (REG(1, op1, crn, crm, op2))

/* DC and IC. Data and code are coherent once the code fence says so; cleaning a line does nothing
   but fault where nothing is. */
bool trans_a64_sys(ArmTrans *c, const ArgsSSys *a)
{
    IrBuilder *b = c->b;
    IrRef x = arm_x(c, a->rt);
    switch ((a->reg & 0x3fff) | 0x4000) {
    case SYS(3, 7, 4, 1): /* DC ZVA */
        x = ir_binary_imm(b, IR_AND, x, -64);
        for (int32_t at = 0; at < 64; at += 8)
            ir_store(b, IR_MEM_SIZE(3), x, at, ir_const(b, IR_I64, 0));
        return true;
    case SYS(3, 7, 4, 3): case SYS(3, 7, 4, 4): /* DC GVA, GZVA */
        if (!c->p->mte)
            return false;
        if ((a->reg & 7) == 4)
            for (int32_t at = 0; at < 64; at += 8)
                ir_store(b, IR_MEM_SIZE(3), ir_binary_imm(b, IR_AND, x, -64), at, ir_const(b, IR_I64, 0));
        arm_tag_block(c, x);
        return true;
    case SYS(3, 7, 10, 3): case SYS(3, 7, 10, 5): case SYS(3, 7, 12, 3): case SYS(3, 7, 12, 5):
    case SYS(3, 7, 13, 3): case SYS(3, 7, 13, 5): case SYS(3, 7, 14, 3): case SYS(3, 7, 14, 5): /* with tags */
        if (!c->p->mte)
            return false;
        ir_load(b, IR_I64, IR_MEM_SIZE(0), x, 0);
        return true;
    case SYS(3, 7, 5, 1): /* IC IVAU */
        ir_call(b, HELPER_CODE_FENCE, x, 0, 0, 0);
        ir_exit_mode(b, c->next);
        return true;
    case SYS(3, 7, 12, 1): case SYS(3, 7, 13, 1): /* DC CVAP, CVADP */
        if (!(a->reg >> 3 & 1 ? c->p->dpb2 : c->p->dpb))
            return false;
        /* fall through */
    case SYS(3, 7, 10, 1): case SYS(3, 7, 11, 1): case SYS(3, 7, 14, 1): /* DC CVAC, CVAU, CIVAC */
        ir_load(b, IR_I64, IR_MEM_SIZE(0), x, 0);
        return true;
    default:
        return false;
    }
}

bool trans_a64_service(ArmTrans *c, const ArgsSServ *a)
{
    ir_call(c->b, HELPER_SERVICE, ir_const(c->b, IR_I64, (uint64_t)a->imm), arm_x(c, 9),
            ir_const(c->b, IR_I64, c->bits), 0);
    return true;
}
