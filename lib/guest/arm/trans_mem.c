/* SPDX-License-Identifier: MIT */
/*
 * Loads and stores. Those of more than 8 bytes are done in pieces; exclusives are the translator's
 * load-linked, but for LDXP of two doublewords, whose address and value are kept here. Written-back
 * bases and loaded registers change after the last access that may fault.
 */
#include "guest/arm/arm_priv.h"

#include <string.h>

#define DECODE_EXTERN
#define DECODE_TYPES_ONLY
#include "gen/guest/arm/a64_mem.inc"

/* One access of 1 << log2 bytes (4: a whole vector) between memory and a register. */
typedef struct Access {
    unsigned log2;
    bool vec, load, sign;
    bool to32; /* sign-extended to 32 bits only */
    bool hint; /* a prefetch: nothing */
} Access;

/* size, V and opc of most encodings; false: unallocated */
static bool access_of(int size, int vec, int opc, Access *out)
{
    *out = (Access){.log2 = (unsigned)size, .vec = vec, .load = opc & 1};
    if (vec) {
        out->log2 |= opc & 2 ? 4 : 0;
        return !(opc & 2) || size == 0;
    }
    if (opc & 2) {
        out->load = out->sign = true;
        out->to32 = opc & 1;
        out->hint = size == 3 && opc == 2;
        return opc == 2 || size < 2;
    }
    return true;
}

static IrRef load(ArmTrans *c, Access a, IrMem more, IrRef base, int32_t disp)
{
    IrType type = !a.vec ? (a.to32 ? IR_I32 : IR_I64) : a.log2 == 4 ? IR_V128 : a.log2 == 3 ? IR_F64
                  : a.log2 == 2 ? IR_F32 : IR_I64;
    return ir_load(c->b, type, IR_MEM_SIZE(a.log2) | (a.sign ? IR_MEM_SIGNED : 0) | more, base, disp);
}

static void set_loaded(ArmTrans *c, Access a, int rt, IrRef v)
{
    if (a.vec)
        arm_put_vector(c, rt, a.log2 == 4 ? v : ir_vzext(c->b, v));
    else
        arm_put(c, rt, v);
}

static void store(ArmTrans *c, Access a, IrMem more, IrRef base, int32_t disp, int rt)
{
    static const IrType types[] = {IR_I8, IR_I16, IR_F32, IR_F64};
    IrRef v = !a.vec ? arm_x(c, rt) : a.log2 == 4 ? arm_v(c, rt) : ir_vextract(c->b, types[a.log2], arm_v(c, rt), 0);
    ir_store(c->b, IR_MEM_SIZE(a.log2) | more, base, disp, v);
}

/* base + disp, and if write_back says so base + back to rn in the end */
static bool transfer(ArmTrans *c, Access a, int rt, int rn, IrRef base, int32_t disp, bool write_back,
                     int32_t back)
{
    IrRef v = 0;
    if (a.hint)
        return true;
    if (a.load)
        v = load(c, a, 0, base, disp);
    else
        store(c, a, 0, base, disp, rt);
    if (write_back)
        arm_put_sp(c, rn, ir_binary_imm(c->b, IR_ADD, base, back));
    if (a.load)
        set_loaded(c, a, rt, v);
    return true;
}

bool trans_a64_ldst_imm(ArmTrans *c, const ArgsMImm *i)
{
    Access a;
    if (!access_of(i->size, i->vec, i->opc, &a))
        return false;
    return transfer(c, a, i->rt, i->rn, arm_x_sp(c, i->rn), i->imm << a.log2, false, 0);
}

/* mode 0: unscaled, 1: post-indexed, 2: as an unprivileged access, 3: pre-indexed */
bool trans_a64_ldst_imm9(ArmTrans *c, const ArgsMImm9 *i)
{
    Access a;
    if (!access_of(i->size, i->vec, i->opc, &a) || (i->vec && i->mode == 2) || (a.hint && i->mode))
        return false;
    return transfer(c, a, i->rt, i->rn, arm_x_sp(c, i->rn), i->mode == 1 ? 0 : i->imm, i->mode & 1,
                    i->imm);
}

bool trans_a64_ldst_reg(ArmTrans *c, const ArgsMReg *i)
{
    Access a;
    if (!access_of(i->size, i->vec, i->opc, &a) || !(i->option & 2))
        return false;
    IrRef index = arm_x(c, i->rm);
    if (!(i->option & 1)) {
        index = ir_trunc(c->b, IR_I32, index);
        index = i->option & 4 ? ir_sext(c->b, IR_I64, index) : ir_zext(c->b, IR_I64, index);
    }
    if (i->s)
        index = ir_binary_imm(c->b, IR_SHL, index, a.log2);
    IrRef base = ir_binary(c->b, IR_ADD, arm_x_sp(c, i->rn), index);
    return transfer(c, a, i->rt, i->rn, base, 0, false, 0);
}

bool trans_a64_load_lit(ArmTrans *c, const ArgsMLit *i)
{
    Access a = {.log2 = 2 + (unsigned)(i->opc & 1), .vec = i->vec, .load = true};
    if (i->vec) {
        a.log2 = 2 + (unsigned)i->opc;
        if (i->opc == 3)
            return false;
    } else if (i->opc == 3) {
        return true; /* PRFM */
    } else if (i->opc == 2) {
        a.log2 = 2;
        a.sign = true;
    }
    return transfer(c, a, i->rt, 0, ir_pc(c->b, c->b->insn + i->imm), 0, false, 0);
}

bool trans_a64_pair(ArmTrans *c, const ArgsMPair *i)
{
    Access a = {.vec = i->vec, .load = i->l};
    if (i->opc == 3)
        return false;
    if (i->vec) {
        a.log2 = 2 + (unsigned)i->opc;
    } else {
        a.log2 = i->opc & 2 ? 3 : 2;
        a.sign = i->opc == 1; /* LDPSW */
        if (a.sign && (!i->l || !i->idx))
            return false;
    }
    IrRef base = arm_x_sp(c, i->rn);
    int32_t offset = i->imm * (1 << a.log2), disp = i->idx == 1 ? 0 : offset, second = disp + (1 << a.log2);
    IrRef v = 0, w = 0;
    if (a.load) {
        v = load(c, a, 0, base, disp);
        w = load(c, a, 0, base, second);
    } else {
        store(c, a, 0, base, disp, i->rt);
        store(c, a, 0, base, second, i->rt2);
    }
    if (i->idx & 1)
        arm_put_sp(c, i->rn, ir_binary_imm(c->b, IR_ADD, base, offset));
    if (a.load) {
        set_loaded(c, a, i->rt, v);
        set_loaded(c, a, i->rt2, w);
    }
    return true;
}

/* ---- exclusives and atomics ---------------------------------------------------------- */

static IrRef concat(ArmTrans *c, IrRef low, IrRef high)
{
    return ir_op(c->b, (IrOp){.code = IR_CONCAT, .type = IR_I128, .a = low, .b = high});
}

static IrRef high_half(ArmTrans *c, IrRef v)
{
    return ir_op(c->b, (IrOp){.code = IR_HIGH, .type = IR_I64, .a = v});
}

/* Stores a pair of doublewords if pair_address says so, else only the status is set. */
static bool store_pair(ArmTrans *c, const ArgsMExcl *i, IrMem mem)
{
    IrBuilder *b = c->b;
    unsigned fail = ir_label_new(b), end = ir_label_new(b);
    ir_brcond(b, ir_cmp(b, IR_NE, arm_x_sp(c, i->rn), ir_get(b, SLOT_PAIR_ADDRESS)), fail);
    IrRef low = ir_get(b, SLOT_PAIR_LOW), high = ir_get(b, SLOT_PAIR_HIGH);
    IrRef was = ir_cas(b, IR_I128, mem, arm_x_sp(c, i->rn), concat(c, low, high),
                       concat(c, arm_x(c, i->rt), arm_x(c, i->rt2)));
    IrRef differ = ir_binary(b, IR_OR, ir_binary(b, IR_XOR, ir_trunc(b, IR_I64, was), low),
                             ir_binary(b, IR_XOR, high_half(c, was), high));
    ir_put(b, SLOT_PAIR_ADDRESS, ir_const(b, IR_I64, 1));
    arm_put(c, i->rs, ir_cmp(b, IR_NE, differ, ir_const(b, IR_I64, 0)));
    ir_br(b, end);
    ir_label(b, fail);
    ir_put(b, SLOT_PAIR_ADDRESS, ir_const(b, IR_I64, 1));
    arm_put(c, i->rs, ir_const(b, IR_I64, 1));
    ir_label(b, end);
    return true;
}

static bool compare_pair(ArmTrans *c, const ArgsMExcl *i)
{
    IrBuilder *b = c->b;
    IrMem mem = IR_MEM_ALIGNED | IR_MEM_ATOMIC | IR_MEM_ACQUIRE | IR_MEM_RELEASE;
    IrRef base = arm_x_sp(c, i->rn);
    if (!c->p->lse || i->rt2 != 31 || i->rs & 1 || i->rt & 1)
        return false;
    int rs2 = i->rs + 1, rt2 = i->rt + 1;
    if (i->size & 1) {
        IrRef was = ir_cas(b, IR_I128, mem | IR_MEM_SIZE(4), base, concat(c, arm_x(c, i->rs), arm_x(c, rs2)),
                           concat(c, arm_x(c, i->rt), arm_x(c, rt2)));
        IrRef low = ir_trunc(b, IR_I64, was), high = high_half(c, was);
        arm_put(c, i->rs, low);
        arm_put(c, rs2, high);
        return true;
    }
    IrRef old = ir_deposit(b, arm_x(c, i->rs), arm_x(c, rs2), 32, 32);
    IrRef new = ir_deposit(b, arm_x(c, i->rt), arm_x(c, rt2), 32, 32);
    IrRef was = ir_cas(b, IR_I64, mem | IR_MEM_SIZE(3), base, old, new);
    arm_put(c, i->rs, ir_extract(b, was, 0, 32));
    arm_put(c, rs2, ir_extract(b, was, 32, 32));
    return true;
}

static bool exclusive_pair(ArmTrans *c, const ArgsMExcl *i, IrMem mem)
{
    IrBuilder *b = c->b;
    IrRef base = arm_x_sp(c, i->rn), v;
    if (i->size == 3) {
        mem |= IR_MEM_SIZE(4);
        if (!i->l)
            return store_pair(c, i, mem);
        v = ir_load(b, IR_I128, mem, base, 0);
        IrRef low = ir_trunc(b, IR_I64, v), high = high_half(c, v);
        ir_put(b, SLOT_PAIR_ADDRESS, base);
        ir_put(b, SLOT_PAIR_LOW, low);
        ir_put(b, SLOT_PAIR_HIGH, high);
        arm_put(c, i->rt, low);
        arm_put(c, i->rt2, high);
        return true;
    }
    mem |= IR_MEM_SIZE(3);
    if (i->l) {
        v = ir_load_linked(b, IR_I64, mem, base);
        arm_put(c, i->rt, ir_extract(b, v, 0, 32));
        arm_put(c, i->rt2, ir_extract(b, v, 32, 32));
    } else {
        v = ir_store_cond(b, mem, base, ir_deposit(b, arm_x(c, i->rt), arm_x(c, i->rt2), 32, 32));
        arm_put(c, i->rs, ir_binary_imm(b, IR_XOR, v, 1));
    }
    return true;
}

bool trans_a64_exclusive(ArmTrans *c, const ArgsMExcl *i)
{
    IrMem mem = IR_MEM_ALIGNED | IR_MEM_ATOMIC | (!i->o0 ? 0 : i->l ? IR_MEM_ACQUIRE : IR_MEM_RELEASE);
    if (i->o1)
        return i->size & 2 ? exclusive_pair(c, i, mem) : compare_pair(c, i);
    mem |= IR_MEM_SIZE((unsigned)i->size);
    if (i->l) {
        arm_put(c, i->rt, ir_load_linked(c->b, IR_I64, mem, arm_x_sp(c, i->rn)));
    } else {
        IrRef done = ir_store_cond(c->b, mem, arm_x_sp(c, i->rn), arm_x(c, i->rt));
        arm_put(c, i->rs, ir_binary_imm(c->b, IR_XOR, done, 1));
    }
    return true;
}

/* LDAR, STLR, and without o0 LDLAR and STLLR, which may be as strong. Both are ordered among
   themselves, which the IR knows as sequential consistency. */
bool trans_a64_ordered(ArmTrans *c, const ArgsMExcl *i)
{
    Access a = {.log2 = (unsigned)i->size, .load = i->l};
    IrMem mem = IR_MEM_ALIGNED | IR_MEM_ATOMIC | (a.load ? IR_MEM_ACQUIRE : IR_MEM_ACQUIRE | IR_MEM_RELEASE);
    if (!i->o0 && !c->p->lse)
        return false;
    if (a.load)
        set_loaded(c, a, i->rt, load(c, a, mem, arm_x_sp(c, i->rn), 0));
    else
        store(c, a, mem, arm_x_sp(c, i->rn), 0, i->rt);
    return true;
}

bool trans_a64_cas(ArmTrans *c, const ArgsMExcl *i)
{
    IrMem mem = IR_MEM_SIZE((unsigned)i->size) | IR_MEM_ALIGNED | IR_MEM_ATOMIC | (i->l ? IR_MEM_ACQUIRE : 0) |
                (i->o0 ? IR_MEM_RELEASE : 0);
    if (!c->p->lse || i->rt2 != 31)
        return false;
    arm_put(c, i->rs, ir_cas(c->b, IR_I64, mem, arm_x_sp(c, i->rn), arm_x(c, i->rs), arm_x(c, i->rt)));
    return true;
}

bool trans_a64_atomic(ArmTrans *c, const ArgsMAmo *i)
{
    static const uint8_t codes[] = {IR_ATOMIC_ADD, IR_ATOMIC_AND, IR_ATOMIC_XOR, IR_ATOMIC_OR,
                                    IR_ATOMIC_MAX, IR_ATOMIC_MIN, IR_ATOMIC_MAXU, IR_ATOMIC_MINU};
    IrMem mem = IR_MEM_SIZE((unsigned)i->size) | IR_MEM_ALIGNED | IR_MEM_ATOMIC | (i->a ? IR_MEM_ACQUIRE : 0) |
                (i->r ? IR_MEM_RELEASE : 0);
    if (i->o3 && i->what == 4 && i->a && !i->r && i->rs == 31) { /* LDAPR */
        if (!c->p->lrcpc)
            return false;
        arm_put(c, i->rt, ir_load(c->b, IR_I64, mem, arm_x_sp(c, i->rn), 0));
        return true;
    }
    if (!c->p->lse || (i->o3 && i->what))
        return false;
    IrRef v = arm_x(c, i->rs);
    if (!i->o3 && i->what == 1)
        v = ir_unary(c->b, IR_NOT, IR_I64, v); /* LDCLR */
    arm_put(c, i->rt, ir_atomic(c->b, i->o3 ? IR_ATOMIC_SWAP : (IrAtomic)codes[i->what], IR_I64, mem,
                                arm_x_sp(c, i->rn), v));
    return true;
}
