/* SPDX-License-Identifier: MIT */
/*
 * Loads, stores, A (load-reserved, store-conditional, read-modify-write),
 * FENCE and FENCE.I. Misaligned loads and stores are done by the translator;
 * misaligned atomics are exceptions.
 */
#include "guest/riscv/riscv_priv.h"

#define DECODE_EXTERN
#define DECODE_TYPES_ONLY
#include "gen/guest/riscv/rv.inc"

bool trans_load(RvTrans *c, const ArgsLoad *a)
{
    unsigned size = a->mem & 3;
    bool is_unsigned = a->mem & 4;
    if (c->rv32 && (size == 3 || (size == 2 && is_unsigned)))
        return false;
    IrMem mem = c->mem | IR_MEM_SIZE(size) | (is_unsigned || size == 3 ? 0 : IR_MEM_SIGNED);
    rv_put64(c, a->rd, ir_load(c->b, IR_I64, mem, rv_get64(c, a->rs1), a->imm));
    return true;
}

bool trans_store(RvTrans *c, const ArgsStore *a)
{
    if (c->rv32 && a->mem == 3)
        return false;
    ir_store(c->b, c->mem | IR_MEM_SIZE(a->mem), rv_get64(c, a->rs1), a->imm, rv_get64(c, a->rs2));
    return true;
}

/* Values are kept sign-extended, also by amominu.w and the like, whose result is the old word. */
static bool atomic_mem(RvTrans *c, int size, int aqrl, IrMem *mem)
{
    if (!c->p->a || (c->rv32 && size == 3))
        return false;
    *mem = c->mem | IR_MEM_SIZE(size) | (size == 3 ? 0 : IR_MEM_SIGNED) | IR_MEM_ALIGNED |
           IR_MEM_ATOMIC |
           (aqrl & 2 ? IR_MEM_ACQUIRE : 0) | (aqrl & 1 ? IR_MEM_RELEASE : 0);
    return true;
}

bool trans_lr(RvTrans *c, const ArgsLr *a)
{
    IrMem mem;
    if (!atomic_mem(c, a->size, a->aqrl, &mem))
        return false;
    rv_put64(c, a->rd, ir_load_linked(c->b, IR_I64, mem, rv_get64(c, a->rs1)));
    return true;
}

bool trans_sc(RvTrans *c, const ArgsSc *a)
{
    IrMem mem;
    if (!atomic_mem(c, a->size, a->aqrl, &mem))
        return false;
    IrRef ok = ir_store_cond(c->b, mem & ~IR_MEM_SIGNED, rv_get64(c, a->rs1), rv_get64(c, a->rs2));
    rv_put64(c, a->rd, ir_zext(c->b, IR_I64, ir_cmp(c->b, IR_EQ, ok, ir_const(c->b, IR_I8, 0))));
    return true;
}

bool trans_amo(RvTrans *c, const ArgsAmo *a)
{
    IrMem mem;
    if (!atomic_mem(c, a->size, a->aqrl, &mem))
        return false;
    rv_put64(c, a->rd, ir_atomic(c->b, (IrAtomic)a->what, IR_I64, mem, rv_get64(c, a->rs1),
                                 rv_get64(c, a->rs2)));
    return true;
}

/* pred and succ are I O R W from bit 3 down; devices are memory to us. */
bool trans_fence(RvTrans *c, const ArgsFence *a)
{
    unsigned pred = ((unsigned)a->pred | (unsigned)a->pred >> 2) & 3;
    unsigned succ = ((unsigned)a->succ | (unsigned)a->succ >> 2) & 3;
    unsigned order = 0;
    if (a->fm == 8 && a->pred == 3 && a->succ == 3) { /* fence.tso: all but stores before loads */
        ir_fence(c->b, IR_FENCE_LL | IR_FENCE_LS | IR_FENCE_SS);
        return true;
    }
    if (pred & 2)
        order |= (succ & 2 ? IR_FENCE_LL : 0) | (succ & 1 ? IR_FENCE_LS : 0);
    if (pred & 1)
        order |= (succ & 2 ? IR_FENCE_SL : 0) | (succ & 1 ? IR_FENCE_SS : 0);
    ir_fence(c->b, order);
    return true;
}

bool trans_fence_i(RvTrans *c, const ArgsNone *a)
{
    if (!c->p->zifencei)
        return false;
    if (c->mode & MODE_USER)
        ir_call(c->b, HELPER_FENCE_I, 0, 0, 0, 0);
    ir_exit_mode(c->b, c->next); /* otherwise code is kept coherent; what follows is looked up */
    return true;
}

bool trans_service(RvTrans *c, const ArgsService *a)
{
    if (!(c->mode & MODE_USER))
        return false;
    ir_call(c->b, HELPER_SERVICE, ir_const(c->b, IR_I64, (uint64_t)a->imm), rv_get64(c, 5),
            ir_const(c->b, IR_I64, c->bits), 0);
    return true;
}
