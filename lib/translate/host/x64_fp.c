/* SPDX-License-Identifier: MIT */
/*
 * f32 and f64 on x86-64, in line where the host's result and sticky flags are
 * the guest's. Rounding is MXCSR's (IR_RDYN); an explicit mode is left to C
 * unless the result is exact or it is truncation.
 *
 * NaN results: with default_nan a result that is a NaN goes to cold code, which
 * puts the default NaN in its place. Guests that hand NaN payloads on as x86
 * does need nothing. Others, and guests that detect tininess before rounding,
 * are left to C altogether.
 */
#include "translate/host/x64_priv.h"

static bool native_rules(const Emit *e)
{
    const TranslateFp *fp = &e->t->guest->fp;
    return !fp->tiny_before && (fp->default_nan || fp->propagate == 1);
}

static unsigned scalar_pp(unsigned type)
{
    return type == IR_F32 ? 2 : 3; /* ss, sd */
}

static void ucomi(Emit *e, bool signalling, unsigned type, unsigned a, unsigned b)
{
    vex_rr(&e->a, 1, type == IR_F32 ? 0 : 1, false, signalling ? 0x2f : 0x2e, (int)a - 16, 0, (int)b - 16);
}

static Cold *jump_cold(Emit *e, ColdKind kind, unsigned cc)
{
    Cold *c = add_cold(e, kind);
    put8(&e->a, 0x0f);
    put8(&e->a, 0x80 | cc);
    put32(&e->a, 0);
    c->from = e->a.p;
    return c;
}

/* After an operation that made d: a NaN becomes the default NaN. */
static void check_nan(Emit *e, IrRef i, unsigned type, unsigned d)
{
    if (!e->t->guest->fp.default_nan)
        return;
    ucomi(e, false, type, d, d);
    Cold *c = jump_cold(e, COLD_NAN, CC_P);
    c->op = i;
    c->type = (uint8_t)type;
    c->reg = (uint8_t)d;
    c->back = e->a.p;
}

static bool emit_arith(Emit *e, IrRef i, const IrOp *op, unsigned opcode)
{
    bool commutes = op->code == IR_FADD || op->code == IR_FMUL;
    int32_t disp;
    if (op->sub != IR_RDYN)
        return false;
    if (op->type == IR_F64 && use_mem(e, op->b, &disp)) {
        unsigned a = use_reg(e, op->a), d = def_reg(e, i);
        vex_rm(&e->a, 1, 3, false, opcode, (int)d - 16, (int)a - 16, RBP, disp);
        check_nan(e, i, op->type, d);
        return true;
    }
    unsigned a = use_reg(e, op->a), b = use_reg(e, op->b);
    if (commutes && op->type == IR_F32 && !e->boxed[op->a] && e->boxed[op->b]) {
        unsigned t = a;
        a = b;
        b = t;
        e->boxed[i] = 1;
    } else {
        e->boxed[i] = op->type == IR_F32 && e->boxed[op->a]; /* upper lanes come from the first source */
    }
    unsigned d = def_reg(e, i);
    vex_rr(&e->a, 1, scalar_pp(op->type), false, opcode, (int)d - 16, (int)a - 16, (int)b - 16);
    check_nan(e, i, op->type, d);
    return true;
}

static bool emit_sqrt(Emit *e, IrRef i, const IrOp *op)
{
    if (op->sub != IR_RDYN)
        return false;
    unsigned a = use_reg(e, op->a), d = def_reg(e, i);
    e->boxed[i] = op->type == IR_F32 && e->boxed[op->a];
    vex_rr(&e->a, 1, scalar_pp(op->type), false, 0x51, (int)d - 16, (int)a - 16, (int)a - 16);
    check_nan(e, i, op->type, d);
    return true;
}

static bool emit_fma(Emit *e, IrRef i, const IrOp *op)
{
    static const uint8_t opcode[] = {0xb9, 0xbd, 0xbb, 0xbf}; /* 231: fmadd, fnmadd, fmsub, fnmsub */
    if (op->sub != IR_RDYN)
        return false;
    unsigned a = use_reg(e, op->a), b = use_reg(e, op->b), c = use_reg(e, op->c);
    unsigned d = def_reg_not(e, i, a == c || b == c ? 0 : reg_bit(a) | reg_bit(b));
    if (d == a || d == b) { /* an operand is also the addend, or the destination is a factor */
        unsigned t = temp_xmm(e);
        mov_xmm(e, t, d == a ? a : b);
        if (a == d)
            a = t;
        if (b == d)
            b = t;
    }
    e->boxed[i] = op->type == IR_F32 && e->boxed[op->c];
    mov_xmm(e, d, c);
    vex_rr(&e->a, 2, 1, op->type == IR_F64, opcode[op->imm & 3], (int)d - 16, (int)a - 16, (int)b - 16);
    if (e->t->guest->fp.default_nan) {
        ucomi(e, false, op->type, d, d);
        Cold *cold = jump_cold(e, COLD_NAN, CC_P);
        cold->op = i;
        cold->type = op->type;
        cold->reg = (uint8_t)d;
        cold->base = 1; /* multiply again: infinity times zero is invalid even if the addend is a NaN */
        cold->regs[0] = (uint8_t)a;
        cold->regs[1] = (uint8_t)b;
        cold->back = e->a.p;
    }
    return true;
}

static bool emit_fcmp(Emit *e, IrRef i, const IrOp *op)
{
    unsigned a = use_reg(e, op->a), b = use_reg(e, op->b), d = def_reg(e, i);
    switch (op->sub) {
    case IR_FEQ: {
        unsigned t = temp_gpr(e);
        ucomi(e, op->imm, op->aux, a, b);
        setcc(&e->a, CC_NP, (int)t);
        setcc(&e->a, CC_E, (int)d);
        op_rr8(&e->a, false, 0x22, (int)d, (int)t); /* and */
        break;
    }
    case IR_FUN:
        ucomi(e, op->imm, op->aux, a, b);
        setcc(&e->a, CC_P, (int)d);
        break;
    default: /* a < b is b above a, which no NaN is */
        ucomi(e, op->imm, op->aux, b, a);
        setcc(&e->a, op->sub == IR_FLT ? CC_A : CC_AE, (int)d);
        break;
    }
    return true;
}

static bool emit_ftoi(Emit *e, IrRef i, const IrOp *op)
{
    bool trunc = op->sub == IR_RTZ;
    if ((!trunc && op->sub != IR_RDYN) || op->imm & IR_TOINT_UNSIGNED || (op->type != IR_I32 && op->type != IR_I64))
        return false;
    bool w = op->type == IR_I64;
    unsigned a = use_reg(e, op->a), d = def_reg(e, i);
    put_vex(&e->a, 1, scalar_pp(op->aux), w, false, (int)d, 0, (int)a - 16, 0);
    put8(&e->a, trunc ? 0x2c : 0x2d);
    put8(&e->a, 0xc0 | (d & 7) << 3 | (a & 7));
    if (op->imm & IR_TOINT_X86)
        return true;
    /* the host answers 1 << (width - 1) for all that does not fit: then C decides */
    alu_ri(&e->a, w, ALU_CMP, (int)d, 1); /* overflows for that value only */
    Cold *c = jump_cold(e, COLD_EVAL, CC_O);
    c->op = i;
    c->regs[0] = (uint8_t)a;
    c->reg = (uint8_t)d;
    c->type = op->type;
    c->back = e->a.p;
    return true;
}

static bool emit_itof(Emit *e, IrRef i, const IrOp *op)
{
    bool w = op->aux == IR_I64, is_unsigned = op->imm & 1;
    bool exact = op->aux == IR_I32 && op->type == IR_F64;
    if ((op->aux != IR_I32 && op->aux != IR_I64) || (op->sub != IR_RDYN && !exact) || (is_unsigned && w))
        return false;
    unsigned a = use_reg(e, op->a), d = def_reg(e, i);
    if (is_unsigned) {
        unsigned t = temp_gpr(e);
        mov_rr(&e->a, false, (int)t, (int)a);
        a = t;
        w = true;
    }
    vex_rr(&e->a, 1, 0, false, 0x57, (int)d - 16, (int)d - 16, (int)d - 16); /* vxorps: no old value to wait for */
    put_vex(&e->a, 1, scalar_pp(op->type), w, false, (int)d - 16, 0, (int)a, (int)d - 16);
    put8(&e->a, 0x2a);
    put8(&e->a, 0xc0 | (d & 7) << 3 | (a & 7));
    return true;
}

static bool emit_ftof(Emit *e, IrRef i, const IrOp *op)
{
    if (!is_float_type(op->aux) || (op->type == IR_F32 && op->sub != IR_RDYN))
        return false;
    unsigned a = use_reg(e, op->a), d = def_reg(e, i);
    vex_rr(&e->a, 1, scalar_pp(op->aux), false, 0x5a, (int)d - 16, (int)a - 16, (int)a - 16);
    check_nan(e, i, op->type, d);
    return true;
}

static bool emit_bitcast(Emit *e, IrRef i, const IrOp *op)
{
    bool to = is_float_type(op->type), from = is_float_type(op->aux);
    int32_t disp;
    if (is_wide_type(op->type) || op->type == IR_F16 || op->aux == IR_F16)
        return false;
    if (to && !from && use_mem(e, op->a, &disp)) {
        unsigned d = def_reg(e, i);
        vex_rm(&e->a, 1, op->type == IR_F32 ? 2 : 3, false, 0x10, (int)d - 16, 0, RBP, disp);
        return true;
    }
    unsigned a = use_reg(e, op->a), d = def_reg(e, i);
    bool w = is_64(op->type);
    if (to && !from)
        vex_rr(&e->a, 1, 1, w, 0x6e, (int)d - 16, 0, (int)a);
    else if (from && !to)
        vex_rr(&e->a, 1, 1, w, 0x7e, (int)a - 16, 0, (int)d);
    else if (to)
        mov_xmm(e, d, a);
    else
        mov_rr(&e->a, w, (int)d, (int)a);
    return true;
}

/* a constant in memory beside the code: ones above, sign masks */
static void or_ones_above(Emit *e, unsigned d, unsigned a)
{
    unsigned t = temp_xmm(e);
    vex_rr(&e->a, 1, 1, false, 0x76, (int)t - 16, (int)t - 16, (int)t - 16); /* vpcmpeqd: all ones */
    put_vex(&e->a, 1, 1, false, false, 6, 0, (int)t - 16, (int)t - 16);      /* vpsllq t, t, 32 */
    put8(&e->a, 0x73);
    put8(&e->a, 0xc0 | 6 << 3 | (t & 7));
    put8(&e->a, 32);
    vex_rr(&e->a, 1, 0, false, 0x56, (int)d - 16, (int)a - 16, (int)t - 16); /* vorps */
}

static bool emit_box(Emit *e, IrRef i, const IrOp *op)
{
    if (op->aux != IR_F32)
        return false;
    unsigned a = use_reg(e, op->a), d = def_reg(e, i);
    if (e->boxed[op->a])
        mov_xmm(e, d, a);
    else
        or_ones_above(e, d, a);
    e->boxed[i] = 1;
    return true;
}

static bool emit_unbox(Emit *e, IrRef i, const IrOp *op)
{
    if (op->type != IR_F32)
        return false;
    unsigned a = use_reg(e, op->a), t = temp_gpr(e), d = def_reg(e, i);
    if (!e->boxed[op->a]) {
        put_vex(&e->a, 3, 1, false, false, (int)a - 16, 0, (int)t, 0); /* vpextrd t, a, 1 */
        put8(&e->a, 0x16);
        put8(&e->a, 0xc0 | (a & 7) << 3 | (t & 7));
        put8(&e->a, 1);
        mov_xmm(e, d, a);
        alu_ri(&e->a, false, ALU_CMP, (int)t, -1);
        Cold *c = jump_cold(e, COLD_NAN, CC_NE);
        c->op = i;
        c->type = IR_F32;
        c->reg = (uint8_t)d;
        c->back = e->a.p;
    } else {
        mov_xmm(e, d, a);
    }
    e->boxed[i] = 1;
    return true;
}

/* Sign operations: with masks made from all ones by shifts. */
static bool emit_sign(Emit *e, IrRef i, const IrOp *op)
{
    bool f32 = op->type == IR_F32;
    unsigned a = use_reg(e, op->a), t = temp_xmm(e), b = 0, d;
    if (op->code == IR_FCOPYSIGN)
        b = use_reg(e, op->b);
    d = def_reg_not(e, i, reg_bit(a) | (op->code == IR_FCOPYSIGN ? reg_bit(b) : 0));
    if (f32) { /* only the low lane, to keep a box's ones */
        unsigned g = temp_gpr(e);
        mov_ri(&e->a, (int)g, 0x80000000u);
        vex_rr(&e->a, 1, 1, false, 0x6e, (int)t - 16, 0, (int)g); /* vmovd */
    } else {
        vex_rr(&e->a, 1, 1, false, 0x76, (int)t - 16, (int)t - 16, (int)t - 16);
        put_vex(&e->a, 1, 1, false, false, 6, 0, (int)t - 16, (int)t - 16); /* vpsllq t, t, 63 */
        put8(&e->a, 0x73);
        put8(&e->a, 0xc0 | 6 << 3 | (t & 7));
        put8(&e->a, 63);
    }
    e->boxed[i] = f32 && e->boxed[op->a];
    if (op->code == IR_FNEG) {
        vex_rr(&e->a, 1, 0, false, 0x57, (int)d - 16, (int)a - 16, (int)t - 16);
        return true;
    }
    vex_rr(&e->a, 1, 0, false, 0x55, (int)d - 16, (int)t - 16, (int)a - 16); /* vandnps: a & ~sign */
    if (op->code == IR_FCOPYSIGN) {
        vex_rr(&e->a, 1, 0, false, 0x54, (int)t - 16, (int)t - 16, (int)b - 16); /* sign of b */
        vex_rr(&e->a, 1, 0, false, 0x56, (int)d - 16, (int)d - 16, (int)t - 16);
    }
    return true;
}

static void load_default_nan(Emit *e, unsigned type, unsigned d)
{
    bool negative = e->t->guest->fp.negative_default;
    /* through memory, so that no register is needed; the upper half boxes an f32 */
    uint64_t nan = type == IR_F32 ? 0xffffffff7fc00000u | (uint64_t)negative << 31
                                  : 0x7ff8000000000000u | (uint64_t)negative << 63;
    store_i(&e->a, false, RBP, CPU_DISP(e, slow_value), (int32_t)nan);
    store_i(&e->a, false, RBP, CPU_DISP(e, slow_value) + 4, (int32_t)(nan >> 32));
    vex_rm(&e->a, 1, 2, false, 0x7e, (int)d - 16, 0, RBP, CPU_DISP(e, slow_value));
}

void emit_cold_float(Emit *e, Cold *c)
{
    if (c->kind == COLD_NAN) {
        if (c->base == 1) {
            /* product alone, keeping only what it says of invalidity */
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
        load_default_nan(e, c->type, c->reg);
        return;
    }
    /* COLD_EVAL: a conversion whose result C must decide; the operand is a register */
    const IrOp *op = op_of(e, c->op);
    vex_rm(&e->a, 1, 1, false, 0xd6, c->regs[0] - 16, 0, RBP, cell_disp(e, CELL_A));
    if (op->aux == IR_F32)
        store_i(&e->a, false, RBP, cell_disp(e, CELL_A) + 4, 0);
    IrOp *copy = g_memdup2(op, sizeof *op);
    if (!e->r->evals)
        e->r->evals = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(e->r->evals, copy);
    store_i(&e->a, false, RBP, CPU_DISP(e, args), (int32_t)(uintptr_t)copy);
    store_i(&e->a, false, RBP, CPU_DISP(e, args) + 4, (int32_t)((uintptr_t)copy >> 32));
    emit_call_thunk(e, e->k->eval);
    load(&e->a, is_64(c->type), c->reg, RBP, cell_disp(e, CELL_RESULT));
}

bool emit_float(Emit *e, IrRef i, const IrOp *op)
{
    unsigned type = op->type == IR_I8 ? op->aux : op->type;
    if (op->code == IR_BITCAST)
        return emit_bitcast(e, i, op);
    if (op->code == IR_FCMP && is_float_type(op->aux))
        return emit_fcmp(e, i, op);
    if (op->code == IR_FTOI && is_float_type(op->aux))
        return emit_ftoi(e, i, op);
    if (!is_float_type(type))
        return false;
    switch (op->code) {
    case IR_FNEG:
    case IR_FABS:
    case IR_FCOPYSIGN: return emit_sign(e, i, op);
    case IR_FBOX: return emit_box(e, i, op);
    case IR_FUNBOX: return emit_unbox(e, i, op);
    case IR_ITOF: return emit_itof(e, i, op);
    default: break;
    }
    if (!native_rules(e))
        return false;
    switch (op->code) {
    case IR_FADD: return emit_arith(e, i, op, 0x58);
    case IR_FSUB: return emit_arith(e, i, op, 0x5c);
    case IR_FMUL: return emit_arith(e, i, op, 0x59);
    case IR_FDIV: return emit_arith(e, i, op, 0x5e);
    case IR_FSQRT: return emit_sqrt(e, i, op);
    case IR_FMA: return emit_fma(e, i, op);
    case IR_FTOF: return emit_ftof(e, i, op);
    default: return false;
    }
}
