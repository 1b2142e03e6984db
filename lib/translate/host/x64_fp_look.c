/* SPDX-License-Identifier: MIT */
/*
 * Floating point on x86-64, as far as the host does otherwise than the guest: the
 * looks at results, the cold code that puts them right, sticky flags. The rules
 * are in x64_fp.c.
 */
#include "translate/host/x64_fp_priv.h"

uint32_t x64_float_pool(Translator *t, Asm *a)
{
    /* what works on an f32 leaves the upper half, which may be a box's ones */
    static const uint64_t pool[][2] = {
        {0x7fffffffffffffff, 0}, {0xffffffff7fffffff, 0}, {0x8000000000000000, 0}, {0x80000000, 0},
        {0x0010000000000000, 0}, {0x00800000, 0}, {0x7ff8000000000000, 0}, {0xffffffff7fc00000, 0},
        {0xfff8000000000000, 0}, {0xffffffffffc00000, 0}, {0xffffffff00000000, 0}, {0xffffffff, 0},
    };
    while ((uintptr_t)a->p & 15)
        put8(a, 0xcc);
    uint32_t at = (uint32_t)(a->p - t->code.write);
    _Static_assert(G_N_ELEMENTS(pool) == POOL_STICKY, "tables follow");
    for (unsigned i = 0; i < G_N_ELEMENTS(pool); i++) {
        put64(a, pool[i][0]);
        put64(a, pool[i][1]);
    }
    /* MXCSR's six flags to FSTICKY's five in reverse, and back: invalid, (denormal,) divide by zero,
     * overflow, underflow, inexact */
    for (unsigned m = 0; m < 64; m++)
        put8(a, (m & 1) << 4 | (m & 4) << 1 | (m & 8) >> 1 | (m & 16) >> 3 | (m & 32) >> 5);
    for (unsigned f = 0; f < 32; f++)
        put8(a, (f & 1) << 5 | (f & 2) << 3 | (f & 4) << 1 | (f & 8) >> 1 | (f & 16) >> 4);
    /* 0; a number is large if what two numbers' product differs from it by is not tiny: 2^-900, 2^-60 */
    static const uint64_t more[] = {0, UINT64_C(123) << 52, 67 << 23, UINT64_C(0x87b) << 52,
                                    UINT64_C(0xa1800000)};
    for (unsigned i = 0; i < G_N_ELEMENTS(more); i++) {
        put64(a, more[i]);
        put64(a, 0);
    }
    return at;
}

/* An instruction of map 1 with a constant as its last operand. */
void vex_pool(Emit *e, unsigned pp, unsigned opcode, unsigned reg, unsigned vvvv, unsigned n)
{
    put_vex(&e->a, 1, pp, false, false, (int)reg - 16, 0, 0, vvvv ? (int)vvvv - 16 : 0);
    put8(&e->a, opcode);
    put8(&e->a, 0x05 | (reg & 7) << 3); /* rip + disp32 */
    put32(&e->a, e->k->pool + 16 * n - ((uint32_t)code_offset(e) + 4));
}

/* stmxcsr or ldmxcsr of one of cpu->sticky */
static void sticky_mxcsr(Emit *e, bool store_it, unsigned n)
{
    put_vex(&e->a, 1, 0, false, false, store_it ? 3 : 2, 0, RBP, 0);
    put8(&e->a, 0xae);
    put_mem(&e->a, store_it ? 3 : 2, RBP, CPU_DISP(e, sticky) + (int32_t)(4 * n));
}

NanRule nan_rule(const Emit *e)
{
    if (translate_fp_is_sse(&e->fp))
        return NAN_HOST;
    return e->fp.default_nan && !e->fp.tiny_before ? NAN_DEFAULT : NAN_AGAIN;
}

void ucomi(Emit *e, bool signalling, unsigned type, unsigned a, unsigned b)
{
    vex_rr(&e->a, 1, type == IR_F32 ? 0 : 1, false, signalling ? 0x2f : 0x2e, (int)a - 16, 0,
           (int)b - 16);
}

Cold *fp_jump_cold(Emit *e, ColdKind kind, unsigned cc)
{
    Cold *c = add_cold(e, kind);
    put8(&e->a, 0x0f);
    put8(&e->a, 0x80 | cc);
    put32(&e->a, 0);
    c->from = e->a.p;
    return c;
}

Cold *finish_cold(Emit *e, Cold *c, IrRef i, unsigned d, const Operands *from)
{
    c->op = i;
    c->type = op_of(e, i)->type;
    c->reg = (uint8_t)d;
    c->wide = e->boxed[i];
    memcpy(c->regs, from->regs, sizeof c->regs);
    c->disp = from->disp;
    c->back = e->a.p;
    return c;
}

/*
 * With default_nan a NaN need not be put right before somebody sees its bits: arithmetic and
 * comparisons do with any. So the look at a result waits for the next one, and two of them take one
 * comparison. Whatever is not known to do no harm looks first (emit_op in x64.c), as does who moves
 * the value; one that is overwritten before nobody has seen.
 */
void flush_nan(Emit *e)
{
    static const Operands none = {{NO_REG, NO_REG, NO_REG}, 0};
    IrRef v = e->nan_value;
    if (!v)
        return;
    e->nan_value = 0;
    ucomi(e, false, op_of(e, v)->type, e->nan_reg, e->nan_reg);
    finish_cold(e, fp_jump_cold(e, COLD_NAN, CC_P), v, e->nan_reg, &none);
}

bool may_wait_for_nan(const Emit *e, const IrOp *op)
{
    switch (op->code) {
    case IR_CONST:
    case IR_PC:
    case IR_NOP:
    case IR_GET:
    case IR_INSN:
    case IR_PUT: /* looks itself */
    case IR_FADD:
    case IR_FSUB:
    case IR_FMUL:
    case IR_FDIV:
    case IR_FSQRT:
    case IR_FMA:
    case IR_FCMP:
        return true;
    default:
        return op->code >= IR_ADD && op->code <= IR_TRUNC && ir_type_is_int(op->type);
    }
}

static Cold *check_nan(Emit *e, IrRef i, unsigned d, const Operands *from)
{
    unsigned code = op_of(e, i)->code, type = op_of(e, i)->type;
    IrRef other = e->nan_value;
    if (other && e->nan_reg == d)
        other = e->nan_value = 0;
    if (other && op_of(e, other)->type == type) {
        ucomi(e, false, type, d, e->nan_reg);
        Cold *c = finish_cold(e, fp_jump_cold(e, COLD_NAN, CC_P), i, d, from);
        c->pair = e->nan_reg;
        c->disp = e->boxed[other];
        e->nan_value = 0;
        return c;
    }
    flush_nan(e);
    if (code == IR_FADD || code == IR_FSUB || code == IR_FMUL || code == IR_FDIV ||
        code == IR_FSQRT) {
        e->nan_value = i;
        e->nan_reg = (uint8_t)d;
        return NULL;
    }
    ucomi(e, false, type, d, d);
    return finish_cold(e, fp_jump_cold(e, COLD_NAN, CC_P), i, d, from);
}

/* The host says nothing of operands that it takes for zeros, only that they are equal to it. */
void fp_look_in(Emit *e, IrRef v, unsigned type, unsigned r)
{
    if (!translate_fp_flushes(&e->fp) || e->normal[v])
        return;
    vex_pool(e, type == IR_F32 ? 0 : 1, 0x2e, r, 0, POOL_ZERO); /* vucomis: "equal" for NaNs as well */
    Cold *c = fp_jump_cold(e, COLD_SUBNORMAL, CC_E);
    c->type = type;
    c->reg = (uint8_t)r;
    c->back = e->a.p;
    e->normal[v] = 1;
}

/* Looks at a result, which may be a zero or NaN, or where tiny just the smallest normal. */
static Cold *check_flushed(Emit *e, IrRef i, unsigned d, bool tiny, const Operands *from)
{
    unsigned f32 = op_of(e, i)->type == IR_F32, t = d;
    if (tiny) {
        t = temp_xmm(e);
        vex_pool(e, 0, 0x54, t, d, POOL_ABS + f32); /* vandps */
    }
    vex_pool(e, f32 ? 0 : 1, 0x2e, t, 0, tiny ? POOL_MIN + f32 : POOL_ZERO); /* vucomis */
    Cold *c = finish_cold(e, fp_jump_cold(e, COLD_EVAL, tiny ? CC_BE : CC_E), i, d, from);
    c->base = 2;
    return c;
}

/* Looks at d, just made by operation i. Returns what may follow, or NULL: it is right. */
Cold *fp_check(Emit *e, IrRef i, unsigned d, bool nan, bool tiny, const Operands *from)
{
    unsigned type = op_of(e, i)->type, f32 = type == IR_F32;
    Cold *c;
    if (translate_fp_flushes(&e->fp)) {
        unsigned code = op_of(e, i)->code;
        e->normal[i] = 1;
        if (tiny || code == IR_FADD || code == IR_FSUB || code == IR_FDIV)
            return check_flushed(e, i, d, tiny, from);
    }
    if (tiny) {
        unsigned t = temp_xmm(e);
        vex_pool(e, 0, 0x54, t, d, POOL_ABS + f32); /* vandps */
        /* vucomis, which says "equal" for NaNs as well */
        vex_pool(e, f32 ? 0 : 1, 0x2e, t, 0, POOL_MIN + f32);
        c = fp_jump_cold(e, COLD_EVAL, CC_E);
    } else if (nan && nan_rule(e) == NAN_DEFAULT) {
        return check_nan(e, i, d, from);
    } else if (nan) {
        ucomi(e, false, type, d, d);
        c = fp_jump_cold(e, COLD_EVAL, CC_P);
    } else {
        return NULL;
    }
    return finish_cold(e, c, i, d, from);
}

/* Sets IE if the product alone does, and no other flag. */
static void multiply_again(Emit *e, const Cold *c)
{
    Asm *a = &e->a;
    int32_t old = CPU_DISP(e, slow_value), now = CPU_DISP(e, slow_value) + 4;
    put_vex(a, 1, 0, false, false, 3, 0, RBP, 0); /* vstmxcsr */
    put8(a, 0xae);
    put_mem(a, 3, RBP, old);
    vex_rr(a, 1, scalar_pp(c->type), false, 0x59, c->reg - 16, c->regs[0] - 16, c->regs[1] - 16);
    put_vex(a, 1, 0, false, false, 3, 0, RBP, 0);
    put8(a, 0xae);
    put_mem(a, 3, RBP, now);
    alu_mi(a, false, ALU_AND, RBP, now, 1);
    store(a, true, RBP, CPU_DISP(e, slow_address), RAX);
    load(a, false, RAX, RBP, now);
    op_rm(a, 0, false, 0x09, RAX, RBP, old); /* or [old], eax */
    load(a, true, RAX, RBP, CPU_DISP(e, slow_address));
    put_vex(a, 1, 0, false, false, 2, 0, RBP, 0); /* vldmxcsr */
    put8(a, 0xae);
    put_mem(a, 2, RBP, old);
}

/* The operation in C, with its operands from where they are. */
static void cold_eval(Emit *e, const Cold *c, const IrOp *op)
{
    Asm *a = &e->a;
    bool vector = op->type == IR_V128;
    for (unsigned n = 0; n < ir_code_operands(op->code); n++) {
        int32_t to = cell_disp(e, CELL_A + n);
        if (c->regs[n] == NO_REG) {
            op_rm(a, 0, false, 0xff, 6, RBP, c->disp); /* push, pop: no register is free */
            op_rm(a, 0, false, 0x8f, 0, RBP, to);
        } else if (c->regs[n] >= 16) {
            store_xmm(a, vector ? IR_V128 : IR_F64, c->regs[n], to);
        } else {
            store(a, true, RBP, to, c->regs[n]);
        }
    }
    IrOp *copy = g_memdup2(op, sizeof *op);
    if (!e->r->evals)
        e->r->evals = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(e->r->evals, copy);
    store_i(a, false, RBP, CPU_DISP(e, args), (int32_t)(uintptr_t)copy);
    store_i(a, false, RBP, CPU_DISP(e, args) + 4, (int32_t)((uintptr_t)copy >> 32));
    emit_call_thunk(e, e->k->eval);
    if (c->wide) /* it counts as boxed */
        store_i(a, false, RBP, cell_disp(e, CELL_RESULT) + 4, -1);
    if (c->reg >= 16)
        load_xmm(a, vector ? IR_V128 : IR_F64, c->reg, cell_disp(e, CELL_RESULT));
    else
        load(a, is_64(c->type), c->reg, RBP, cell_disp(e, CELL_RESULT));
}

/* A single is boxed only where it counts as such. */
static void load_nan(Emit *e, const Cold *c, unsigned r, bool boxed, unsigned nan)
{
    if (c->type == IR_F32 && !boxed)
        vex_pool(e, 2, 0x10, r, 0, nan); /* vmovss */
    else
        vex_pool(e, 2, 0x7e, r, 0, nan); /* vmovq */
}

/* Each lane in turn: shifted left, a subnormal is no zero and has no exponent. */
static void note_subnormal(Emit *e, const Cold *c)
{
    Asm *a = &e->a;
    bool wide = c->type == IR_F64;
    unsigned lanes = !c->pair ? 1 : wide ? 2 : 4;
    uint8_t *zero, *fine;
    put8(a, 0x50); /* push rax */
    for (unsigned n = 0; n < lanes; n++) {
        put_vex(a, 3, 1, wide, false, c->reg - 16, 0, RAX, 0); /* vpextrd, vpextrq */
        put8(a, 0x16);
        put8(a, 0xc0 | (c->reg & 7) << 3);
        put8(a, n);
        op_rr(a, 0, wide, 0x03, RAX, RAX);
        zero = jump_short(a, CC_E);
        shift_ri(a, wide, SH_SHR, RAX, wide ? 53 : 24);
        fine = jump_short(a, CC_NE);
        op_rm8(a, 0xc6, 0, RBP, CPU_DISP(e, fp_denormal)); /* mov byte, 1 */
        put8(a, 1);
        land(a, zero);
        land(a, fine);
    }
    put8(a, 0x58);
}

static void jump_back(Emit *e, const Cold *c, unsigned cc)
{
    put8(&e->a, 0x0f);
    put8(&e->a, 0x80 | cc);
    put32(&e->a, (uint32_t)(c->back - (e->a.p + 4)));
}

static void compare_zero(Emit *e, unsigned type, unsigned r)
{
    vex_pool(e, type == IR_F32 ? 0 : 1, 0x2e, r, 0, POOL_ZERO);
}

/*
 * A result that was looked at by check_flushed goes to C, unless it is a zero for good reason: the
 * sum of a number and its opposite, or of a large number and a product, the product of a zero, a zero
 * divided or converted.
 */
static void back_if_zero(Emit *e, const Cold *c, const IrOp *op)
{
    unsigned a = c->regs[0], b = c->regs[1];
    uint8_t *nan = jump_short(&e->a, CC_P), *no = NULL, *least = NULL;
    switch (op->code) {
    case IR_FADD:
        vex_pool(e, 0, 0x57, c->reg, a, POOL_SIGN + (c->type == IR_F32)); /* vxorps */
        ucomi(e, false, c->type, c->reg, b);
        no = jump_short(&e->a, CC_NE);
        vex_rr(&e->a, 1, scalar_pp(c->type), false, 0x58, c->reg - 16, a - 16, b - 16);
        put8(&e->a, 0xe9);
        put32(&e->a, (uint32_t)(c->back - (e->a.p + 4)));
        break;
    case IR_FSUB:
        ucomi(e, false, c->type, a, b);
        jump_back(e, c, CC_E);
        break;
    case IR_FDIV:
        compare_zero(e, c->type, a);
        jump_back(e, c, CC_E);
        break;
    case IR_FMA:
    case IR_FMUL:
        least = jump_short(&e->a, CC_E);
        if (op->code == IR_FMA) {
            unsigned f32 = c->type == IR_F32, z = c->regs[2];
            vex_pool(e, !f32, 0x2e, z, 0, POOL_LARGE + f32);
            jump_back(e, c, CC_AE);
            vex_pool(e, !f32, 0x2e, z, 0, POOL_LARGE_NEGATIVE + f32);
            jump_back(e, c, CC_BE);
            compare_zero(e, c->type, z);
            no = jump_short(&e->a, CC_NE);
        }
        compare_zero(e, c->type, a);
        jump_back(e, c, CC_E);
        compare_zero(e, c->type, b);
        jump_back(e, c, CC_E);
        break;
    default:
        least = jump_short(&e->a, CC_E);
        compare_zero(e, op->aux, a);
        jump_back(e, c, CC_E);
        break;
    }
    land(&e->a, nan);
    if (no)
        land(&e->a, no);
    if (least)
        land(&e->a, least);
}

void emit_cold_float(Emit *e, Cold *c)
{
    const IrOp *op = op_of(e, c->op);
    if (c->kind == COLD_SUBNORMAL) {
        note_subnormal(e, c);
        return;
    }
    if (c->kind == COLD_STICKY) {
        sticky_mxcsr(e, false, 0);
        return;
    }
    if (c->kind == COLD_NAN) {
        bool negative = e->fp.negative_default && op->code != IR_FUNBOX;
        unsigned nan = (negative ? POOL_NEGATIVE_NAN : POOL_NAN) + (c->type == IR_F32);
        uint8_t *fine = NULL;
        if (c->pair) { /* either of two */
            ucomi(e, false, c->type, c->reg, c->reg);
            fine = jump_short(&e->a, CC_NP);
        }
        if (c->base == 1)
            multiply_again(e, c);
        load_nan(e, c, c->reg, c->wide, nan);
        if (c->pair) {
            land(&e->a, fine);
            ucomi(e, false, c->type, c->pair, c->pair);
            fine = jump_short(&e->a, CC_NP);
            load_nan(e, c, c->pair, c->disp, nan);
            land(&e->a, fine);
        }
        return;
    }
    if (c->base == 1) { /* of equal values the least is either, but for the signs of zeros */
        uint8_t *nan = jump_short(&e->a, CC_P);
        vex_rr(&e->a, 1, 0, false, op->code == IR_FMIN ? 0x56 : 0x54, c->reg - 16, c->regs[0] - 16,
               c->regs[1] - 16); /* vorps, vandps */
        put8(&e->a, 0xe9);
        put32(&e->a, (uint32_t)(c->back - (e->a.p + 4)));
        land(&e->a, nan);
    }
    if (c->base == 2 && op->type != IR_V128)
        back_if_zero(e, c, op);
    cold_eval(e, c, op);
}

/* movzx r, byte [table + r]; code lies below 2 GiB */
static void sticky_table(Emit *e, unsigned r, unsigned pool)
{
    op_rm(&e->a, 0, false, 0x0fb6, (int)r, (int)r,
          (int32_t)((uint32_t)(uintptr_t)e->t->code.run + e->k->pool + 16 * pool));
}

bool emit_sticky(Emit *e, IrRef i, const IrOp *op)
{
    if (!op->sub)
        return false;
    unsigned d = def_reg(e, i);
    sticky_mxcsr(e, true, 0);
    load(&e->a, false, (int)d, RBP, CPU_DISP(e, sticky));
    alu_ri(&e->a, false, ALU_AND, (int)d, 63);
    sticky_table(e, d, POOL_STICKY);
    e->sticky = i;
    return true;
}

/* Compilers put a comparison that is to raise no flag between the two: mostly none was raised. */
bool emit_sticky_set(Emit *e, const IrOp *op)
{
    int32_t now = CPU_DISP(e, sticky) + 4;
    if (!op->sub)
        return false;
    sticky_mxcsr(e, true, 1);
    if (e->sticky && e->sticky == op->a) {
        unsigned t = temp_gpr(e);
        load(&e->a, false, (int)t, RBP, now);
        alu_rm(&e->a, false, ALU_CMP, (int)t, RBP, CPU_DISP(e, sticky));
        fp_jump_cold(e, COLD_STICKY, CC_NE)->back = e->a.p;
        return true;
    }
    unsigned a = use_reg(e, op->a), t = temp_gpr(e);
    mov_rr(&e->a, false, (int)t, (int)a);
    alu_ri(&e->a, false, ALU_AND, (int)t, 31);
    sticky_table(e, t, POOL_STICKY_SET);
    alu_mi(&e->a, false, ALU_AND, RBP, now, ~63);
    op_rm(&e->a, 0, false, 0x09, (int)t, RBP, now); /* or */
    sticky_mxcsr(e, false, 1);
    return true;
}
