/* SPDX-License-Identifier: MIT */
/*
 * Integer operations, conditions and flags on x86-64. What is not here, or not
 * for narrow types, is done in C (emit_eval). Uses BMI1/BMI2, which
 * x64_start has checked.
 */
#include "translate/host/x64_priv.h"

#include "base/bits.h"

static void mov_if(Emit *e, bool w, unsigned dst, unsigned src)
{
    if (dst != src)
        mov_rr(&e->a, w, (int)dst, (int)src);
}

void collect_sum(const Emit *e, IrRef v, Address *at)
{
    const IrOp *op = op_of(e, v);
    g_assert(at->n < 2);
    if (e->live->fused[v] != IR_FUSED_SUM) {
        at->leaf[at->n++] = v;
    } else if (op->code == IR_SHL) {
        g_assert(!at->n || !at->scale[0]);
        at->scale[at->n] = (unsigned)op_of(e, op->b)->imm;
        at->leaf[at->n++] = op->a;
    } else {
        collect_sum(e, op->a, at);
        if (is_const(e, op->b))
            at->disp += bits_sext((uint64_t)op_of(e, op->b)->imm, ir_type_bits(op->type));
        else
            collect_sum(e, op->b, at);
    }
}

static bool emit_sum(Emit *e, IrRef i, const IrOp *op)
{
    Asm *a = &e->a;
    Address at = {.n = 0, .scale = {0}};
    bool w = is_64(op->type);
    if (e->live->fused[op->a] != IR_FUSED_SUM && e->live->fused[op->b] != IR_FUSED_SUM)
        return false;
    collect_sum(e, op->a, &at);
    if (is_const(e, op->b))
        at.disp += bits_sext((uint64_t)op_of(e, op->b)->imm, ir_type_bits(op->type));
    else
        collect_sum(e, op->b, &at);
    unsigned x = use_reg(e, at.leaf[0]), y = at.n > 1 ? use_reg(e, at.leaf[1]) : NO_REG;
    unsigned d = def_reg(e, i);
    if (y == NO_REG && !at.scale[0]) {
        lea(a, w, (int)d, (int)x, (int32_t)at.disp);
    } else if (y == NO_REG) {
        put_rex(a, 0, w, (int)d, (int)x, 0, false); /* no base */
        put8(a, 0x8d);
        put8(a, 4 | (d & 7) << 3);
        put8(a, at.scale[0] << 6 | (x & 7) << 3 | 5);
        put32(a, (uint32_t)at.disp);
    } else if (at.scale[0]) {
        op_rx(a, 0, w, 0x8d, (int)d, (int)y, (int)x, at.scale[0], (int32_t)at.disp);
    } else {
        op_rx(a, 0, w, 0x8d, (int)d, (int)x, (int)y, at.scale[1], (int32_t)at.disp);
    }
    return true;
}

/* dst = a op b for the ALU operations; commutative ones may swap */
static bool emit_alu(Emit *e, IrRef i, const IrOp *op, unsigned alu, bool commutes)
{
    bool w = is_64(op->type);
    int32_t imm, disp;
    if (alu == ALU_ADD && emit_sum(e, i, op))
        return true;
    if (use_imm(e, op->b, &imm)) {
        unsigned a = use_reg(e, op->a), d = def_reg(e, i);
        if (alu == ALU_ADD && d != a) {
            lea(&e->a, w, (int)d, (int)a, imm);
            return true;
        }
        mov_if(e, w, d, a);
        if (alu == ALU_AND && imm >= 0)
            w = false;
        alu_ri(&e->a, w, alu, (int)d, imm);
        return true;
    }
    if (use_mem(e, op->b, &disp)) {
        unsigned a = use_reg(e, op->a), d = def_reg(e, i);
        mov_if(e, w, d, a);
        alu_rm(&e->a, w, alu, (int)d, RBP, disp);
        return true;
    }
    unsigned a = use_reg(e, op->a), b = use_reg(e, op->b), d = def_reg(e, i);
    if (d == b && d != a) {
        if (!commutes) { /* only subtraction */
            op_rr(&e->a, 0, w, 0xf7, 3, (int)d); /* neg */
            alu_rr(&e->a, w, ALU_ADD, (int)d, (int)a);
            return true;
        }
        alu_rr(&e->a, w, alu, (int)d, (int)a);
    } else if (d != a && alu == ALU_ADD) {
        op_rx(&e->a, 0, w, 0x8d, (int)d, (int)a, (int)b, 0, 0);
    } else {
        mov_if(e, w, d, a);
        alu_rr(&e->a, w, alu, (int)d, (int)b);
    }
    return true;
}

static bool emit_mul(Emit *e, IrRef i, const IrOp *op)
{
    bool w = is_64(op->type);
    int32_t imm, disp;
    unsigned a = use_reg(e, op->a);
    if (use_imm(e, op->b, &imm)) {
        unsigned d = def_reg(e, i);
        op_rr(&e->a, 0, w, imm == (int8_t)imm ? 0x6b : 0x69, (int)d, (int)a);
        if (imm == (int8_t)imm)
            put8(&e->a, (uint8_t)imm);
        else
            put32(&e->a, (uint32_t)imm);
        return true;
    }
    if (use_mem(e, op->b, &disp)) {
        unsigned d = def_reg(e, i);
        mov_if(e, w, d, a);
        op_rm(&e->a, 0, w, 0x0faf, (int)d, RBP, disp);
        return true;
    }
    unsigned b = use_reg(e, op->b), d = def_reg(e, i);
    if (d == b) {
        op_rr(&e->a, 0, w, 0x0faf, (int)d, (int)a);
    } else {
        mov_if(e, w, d, a);
        op_rr(&e->a, 0, w, 0x0faf, (int)d, (int)b);
    }
    return true;
}

/* high products through rdx:rax */
static bool emit_mulh(Emit *e, IrRef i, const IrOp *op)
{
    if (op->type != IR_I64 && op->type != IR_I32)
        return false;
    if (op->code == IR_MULHSU || op->type == IR_I32)
        return false;
    take_reg(e, RAX);
    take_reg(e, RDX);
    use_in(e, op->a, RAX);
    unsigned b = use_reg(e, op->b);
    op_rr(&e->a, 0, true, 0xf7, op->code == IR_MULHS ? 5 : 4, (int)b);
    def_in(e, i, RDX);
    return true;
}

static bool emit_div(Emit *e, IrRef i, const IrOp *op)
{
    bool w = is_64(op->type), is_signed = op->code == IR_DIVS || op->code == IR_REMS;
    bool rem = op->code == IR_REMS || op->code == IR_REMU;
    if (op->type != IR_I64 && op->type != IR_I32)
        return false;
    take_reg(e, RAX);
    take_reg(e, RDX);
    use_in(e, op->a, RAX);
    unsigned b = use_reg(e, op->b);
    bool never_zero = is_const(e, op->b) && op_of(e, op->b)->imm != 0;
    bool never_minus =
        never_zero && bits_sext((uint64_t)op_of(e, op->b)->imm, ir_type_bits(op->type)) != -1;
    uint8_t *minus = NULL, *zero = NULL, *done_minus = NULL, *done_zero = NULL;
    if (is_signed && !never_minus) {
        alu_ri(&e->a, w, ALU_CMP, (int)b, -1);
        minus = jump_short(&e->a, CC_E);
    }
    if (!never_zero) {
        op_rr(&e->a, 0, w, 0x85, (int)b, (int)b);
        zero = jump_short(&e->a, CC_E);
    }
    if (is_signed) {
        put_rex(&e->a, 0, w, 0, 0, 0, false);
        put8(&e->a, 0x99); /* cqo */
    } else {
        op_rr(&e->a, 0, false, 0x31, RDX, RDX);
    }
    op_rr(&e->a, 0, w, 0xf7, is_signed ? 7 : 6, (int)b);
    if (minus || zero)
        done_minus = jump_short(&e->a, CC_O); /* patched below to an unconditional jump */
    if (done_minus)
        done_minus[-2] = 0xeb;
    if (minus) {
        land(&e->a, minus);
        op_rr(&e->a, 0, w, 0xf7, 3, RAX); /* neg: x / -1 */
        op_rr(&e->a, 0, false, 0x31, RDX, RDX);
        if (zero) {
            done_zero = jump_short(&e->a, CC_O);
            done_zero[-2] = 0xeb;
        }
    }
    if (zero) {
        land(&e->a, zero);
        mov_rr(&e->a, w, RDX, RAX);
        alu_ri(&e->a, w, ALU_OR, RAX, -1);
    }
    if (done_minus)
        land(&e->a, done_minus);
    if (done_zero)
        land(&e->a, done_zero);
    def_in(e, i, rem ? RDX : RAX);
    return true;
}

static bool emit_shift(Emit *e, IrRef i, const IrOp *op)
{
    static const struct { uint8_t sh, pp; } ops[] = {
        [IR_SHL - IR_SHL] = {SH_SHL, 1}, [IR_SHR - IR_SHL] = {SH_SHR, 3},
        [IR_SAR - IR_SHL] = {SH_SAR, 2}, [IR_ROL - IR_SHL] = {SH_ROL, 0},
        [IR_ROR - IR_SHL] = {SH_ROR, 0},
    };
    bool w = is_64(op->type), rotate = op->code == IR_ROL || op->code == IR_ROR;
    unsigned sh = ops[op->code - IR_SHL].sh, width = ir_type_bits(op->type);
    if (width < 32 && (op->code != IR_SHL || !is_const(e, op->b)))
        return false;
    if (is_const(e, op->b)) {
        unsigned n = (unsigned)op_of(e, op->b)->imm & (width - 1);
        unsigned a = use_reg(e, op->a), d = def_reg(e, i);
        if (rotate && d != a) {
            rorx(&e->a, w, (int)d, (int)a, op->code == IR_ROR ? n : width - n);
            return true;
        }
        if (op->code == IR_SHL && d != a && n >= 1 && n <= 3) {
            put_rex(&e->a, 0, w, (int)d, (int)a, 0, false); /* lea d, [a * 2^n + 0] */
            put8(&e->a, 0x8d);
            put8(&e->a, 4 | (d & 7) << 3);
            put8(&e->a, n << 6 | (a & 7) << 3 | 5);
            put32(&e->a, 0);
            return true;
        }
        mov_if(e, w, d, a);
        shift_ri(&e->a, w, sh, (int)d, n);
        return true;
    }
    if (rotate) {
        take_reg(e, RCX);
        use_in(e, op->b, RCX);
        unsigned a = use_reg(e, op->a), d = def_reg_not(e, i, reg_bit(RCX));
        mov_if(e, w, d, a);
        op_rr(&e->a, 0, w, 0xd3, (int)sh, (int)d);
        return true;
    }
    unsigned a = use_reg(e, op->a), b = use_reg(e, op->b), d = def_reg(e, i);
    /* shlx, shrx, sarx */
    vex_rr(&e->a, 2, ops[op->code - IR_SHL].pp, w, 0xf7, (int)d, (int)b, (int)a);
    return true;
}

static bool emit_bits(Emit *e, IrRef i, const IrOp *op)
{
    bool w = is_64(op->type);
    if (op->type != IR_I64 && op->type != IR_I32)
        return false;
    if (op->code == IR_ANDN) {
        unsigned a = use_reg(e, op->a), b = use_reg(e, op->b), d = def_reg(e, i);
        vex_rr(&e->a, 2, 0, w, 0xf2, (int)d, (int)b, (int)a);
        return true;
    }
    unsigned a = use_reg(e, op->a), d = def_reg(e, i);
    switch (op->code) {
    case IR_CLZ:
        op_rr(&e->a, 0xf3, w, 0x0fbd, (int)d, (int)a);
        return true;
    case IR_CTZ:
        op_rr(&e->a, 0xf3, w, 0x0fbc, (int)d, (int)a);
        return true;
    case IR_POPCNT:
        op_rr(&e->a, 0xf3, w, 0x0fb8, (int)d, (int)a);
        return true;
    case IR_BSWAP:
        mov_if(e, w, d, a);
        put_rex(&e->a, 0, w, 0, 0, (int)d, false);
        put8(&e->a, 0x0f);
        put8(&e->a, 0xc8 | (d & 7));
        return true;
    default: /* NOT, NEG */
        mov_if(e, w, d, a);
        op_rr(&e->a, 0, w, 0xf7, op->code == IR_NOT ? 2 : 3, (int)d);
        return true;
    }
}

/* d = zero or sign extension of the low `bits` of a to the width of w */
static void extend(Emit *e, bool is_signed, unsigned bits, bool w, unsigned d, unsigned a)
{
    if (bits == 8)
        op_rr8(&e->a, w && is_signed, is_signed ? 0x0fbe : 0x0fb6, (int)d, (int)a);
    else if (bits == 16)
        op_rr(&e->a, 0, w && is_signed, is_signed ? 0x0fbf : 0x0fb7, (int)d, (int)a);
    else if (is_signed)
        op_rr(&e->a, 0, true, 0x63, (int)d, (int)a);
    else
        mov_rr(&e->a, false, (int)d, (int)a);
}

static bool emit_extension(Emit *e, IrRef i, const IrOp *op)
{
    if (op->type == IR_I128)
        return false;
    if (op->code == IR_TRUNC && op->aux == IR_I128)
        return false;
    if (op->code == IR_TRUNC) {
        unsigned a = use_reg(e, op->a), d = def_reg(e, i);
        mov_if(e, false, d, a);
        return true;
    }
    unsigned a = use_reg(e, op->a), d = def_reg(e, i), made = op_of(e, op->a)->code;
    /* 32-bit operations leave the upper half clear already */
    if (op->code == IR_ZEXT && op_of(e, op->a)->type == IR_I32 && op->aux == IR_I32 && d == a &&
        made != IR_GET && made != IR_CALL && made != IR_TRUNC)
        return true;
    extend(e, op->code == IR_SEXT, ir_type_bits(op->aux), is_64(op->type), d, a);
    return true;
}

static bool emit_extract(Emit *e, IrRef i, const IrOp *op)
{
    unsigned pos = op->imm & 0xff, len = op->imm >> 8 & 0xff;
    if ((op->type != IR_I64 && op->type != IR_I32) || len > 31)
        return false;
    bool w = is_64(op->type);
    unsigned a = use_reg(e, op->a), d = def_reg(e, i);
    mov_if(e, w, d, a);
    if (pos)
        shift_ri(&e->a, w, SH_SHR, (int)d, pos);
    if (pos + len < ir_type_bits(op->type))
        alu_ri(&e->a, false, ALU_AND, (int)d, (int32_t)bits_mask(len));
    return true;
}

/* conditions */

static const uint8_t cond_cc[] = {CC_E, CC_NE, CC_L, CC_GE, CC_G, CC_LE, CC_B, CC_AE, CC_A, CC_BE};

static void emit_cmp(Emit *e, const IrOp *op, unsigned alu)
{
    unsigned bits = ir_type_bits(op->aux);
    bool w = bits == 64;
    int32_t imm, disp;
    if (bits < 32) {
        unsigned a = use_reg(e, op->a), b = use_reg(e, op->b);
        if (bits == 8)
            op_rr8(&e->a, false, alu << 3 | 2, (int)a, (int)b);
        else
            op_rr(&e->a, 0x66, false, alu << 3 | 3, (int)a, (int)b);
        return;
    }
    if (use_imm(e, op->b, &imm)) {
        if (imm == 0) {
            unsigned a = use_reg(e, op->a);
            op_rr(&e->a, 0, w, 0x85, (int)a, (int)a);
        } else if (use_mem(e, op->a, &disp)) {
            alu_mi(&e->a, w, alu, RBP, disp, imm);
        } else {
            alu_ri(&e->a, w, alu, (int)use_reg(e, op->a), imm);
        }
        return;
    }
    if (use_mem(e, op->b, &disp)) {
        alu_rm(&e->a, w, alu, (int)use_reg(e, op->a), RBP, disp);
        return;
    }
    unsigned a = use_reg(e, op->a), b = use_reg(e, op->b);
    alu_rr(&e->a, w, alu, (int)a, (int)b);
}

/* Sets the host's flags as the flag-producing operation says. For ADC and SBC the host carry is
 * loaded first. */
static bool produce_flags(Emit *e, const IrOp *op)
{
    unsigned bits = ir_type_bits(op->aux), alu;
    if (bits > 64)
        return false;
    switch (op->code) {
    case IR_FLAGS_SUB:
        /* compared with 0 it tests: carry and overflow clear either way */
        emit_cmp(e, op, ALU_CMP);
        return true;
    case IR_FLAGS_LOGIC: {
        unsigned a = use_reg(e, op->a);
        if (bits == 8)
            op_rr8(&e->a, false, 0x84, (int)a, (int)a);
        else
            op_rr(&e->a, bits == 16 ? 0x66 : 0, bits == 64, 0x85, (int)a, (int)a);
        return true;
    }
    case IR_FLAGS_ADD: alu = ALU_ADD; break;
    case IR_FLAGS_ADC: alu = ALU_ADC; break;
    case IR_FLAGS_SBC: alu = ALU_SBB; break;
    default: return false;
    }
    unsigned a = use_reg(e, op->a), t = temp_gpr(e), b;
    mov_rr(&e->a, true, (int)t, (int)a);
    e->locked &= ~reg_bit(a);
    b = use_reg(e, op->b);
    if (alu != ALU_ADD) {
        unsigned c = use_reg(e, op->c);
        op_rr(&e->a, 0, false, 0x0fba, 4, (int)c); /* bt c, 0 */
        put8(&e->a, 0);
    }
    if (bits == 8)
        op_rr8(&e->a, false, alu << 3 | 2, (int)t, (int)b);
    else
        op_rr(&e->a, bits == 16 ? 0x66 : 0, bits == 64, alu << 3 | 3, (int)t, (int)b);
    return true;
}

#define ALL_FLAGS (IR_FLAG_C | IR_FLAG_P | IR_FLAG_A | IR_FLAG_Z | IR_FLAG_S | IR_FLAG_O)

/* Not by PUSHF, which takes longer than all this. */
void emit_flag_bits(Emit *e, unsigned t, unsigned mask)
{
    Asm *a = &e->a;
    put8(a, 0x9f);       /* lahf */
    setcc(a, CC_O, RAX); /* seto al */
    mov_rr(a, false, (int)t, RAX);
    alu_ri(a, false, ALU_AND, RAX, 1);
    shift_ri(a, false, SH_SHR, (int)t, 8);
    shift_ri(a, false, SH_SHL, RAX, 11);
    alu_ri(a, false, ALU_AND, (int)t, (int32_t)(mask & ~(unsigned)IR_FLAG_O));
    alu_rr(a, false, ALU_OR, RAX, (int)t);
}

static bool emit_flags(Emit *e, IrRef i, const IrOp *op)
{
    if (!produce_flags(e, op))
        return false;
    e->locked = 0;
    take_reg(e, RAX);
    def_in(e, i, RAX);
    unsigned t = temp_gpr(e);
    emit_flag_bits(e, t, ALL_FLAGS & ~(op->code == IR_FLAGS_LOGIC ? (unsigned)IR_FLAG_A : 0));
    return true;
}

/* From a flags value in a register to a host condition. */
static unsigned test_packed(Emit *e, unsigned cond, unsigned f)
{
    static const uint16_t masks[] = {IR_FLAG_O, IR_FLAG_C, IR_FLAG_Z, IR_FLAG_C | IR_FLAG_Z,
                                     IR_FLAG_S, IR_FLAG_P};
    unsigned half = cond >> 1;
    if (half < 6) {
        op_rr(&e->a, 0, false, 0xf7, 0, (int)f); /* test f, imm32 */
        put32(&e->a, masks[half]);
    } else {
        unsigned t = temp_gpr(e), u;
        mov_rr(&e->a, false, (int)t, (int)f);
        shift_ri(&e->a, false, SH_SHR, (int)t, 4); /* overflow onto sign */
        alu_rr(&e->a, false, ALU_XOR, (int)t, (int)f);
        if (half == 6) {
            op_rr(&e->a, 0, false, 0xf7, 0, (int)t);
            put32(&e->a, IR_FLAG_S);
        } else {
            u = temp_gpr(e);
            alu_ri(&e->a, false, ALU_AND, (int)t, IR_FLAG_S);
            mov_rr(&e->a, false, (int)u, (int)f);
            alu_ri(&e->a, false, ALU_AND, (int)u, IR_FLAG_Z);
            alu_rr(&e->a, false, ALU_OR, (int)t, (int)u);
        }
    }
    return cond & 1 ? CC_E : CC_NE;
}

static unsigned flags_condition(Emit *e, const IrOp *op)
{
    const IrOp *f = op_of(e, op->a);
    if (e->live->fused[op->a] && produce_flags(e, f))
        return op->sub; /* numbered alike */
    return test_packed(e, op->sub, use_reg(e, op->a));
}

unsigned emit_condition(Emit *e, IrRef v)
{
    const IrOp *op = op_of(e, v);
    if (e->live->fused[v]) {
        if (op->code == IR_CMP) {
            emit_cmp(e, op, ALU_CMP);
            return cond_cc[op->sub];
        }
        return flags_condition(e, op);
    }
    unsigned r = use_reg(e, v);
    op_rr8(&e->a, false, 0x84, (int)r, (int)r);
    return CC_NE;
}

static bool emit_set(Emit *e, IrRef i, const IrOp *op)
{
    unsigned cc;
    if (op->code == IR_CMP) {
        if (ir_type_bits(op->aux) > 64)
            return false;
        emit_cmp(e, op, ALU_CMP);
        cc = cond_cc[op->sub];
    } else {
        cc = flags_condition(e, op);
    }
    e->locked = 0; /* what made the flags is used no more */
    setcc(&e->a, cc, (int)def_reg(e, i));
    return true;
}

static bool emit_select(Emit *e, IrRef i, const IrOp *op)
{
    if ((!ir_type_is_int(op->type) && op->type != IR_FLAGS) || is_wide_type(op->type))
        return false;
    unsigned cc = emit_condition(e, op->a);
    /* its registers are free again; what follows must leave the flags alone */
    e->locked = 0;
    e->keep_flags = true;
    unsigned yes = use_reg(e, op->b), no = use_reg(e, op->c), d = def_reg(e, i);
    e->keep_flags = false;
    bool w = is_64(op->type);
    if (d == yes) {
        op_rr(&e->a, 0, w, 0x0f40 | (cc ^ 1), (int)d, (int)no);
    } else {
        mov_if(e, w, d, no);
        op_rr(&e->a, 0, w, 0x0f40 | cc, (int)d, (int)yes);
    }
    return true;
}

/* The field is turned to the top while the new one is shifted in behind it, then all is turned
 * back. */
static bool emit_deposit(Emit *e, IrRef i, const IrOp *op)
{
    bool w = is_64(op->type);
    unsigned pos = op->imm & 0xff, len = op->imm >> 8 & 0xff, width = w ? 64 : 32;
    if (len == 0 || len == width)
        return false;
    unsigned a = use_reg(e, op->a), b = use_reg(e, op->b), d = def_reg_not(e, i, reg_bit(b));
    if (pos)
        rorx(&e->a, w, (int)d, (int)a, pos);
    else
        mov_if(e, w, d, a);
    op_rr(&e->a, 0, w, 0x0fac, (int)b, (int)d); /* shrd */
    put8(&e->a, len);
    if (pos + len < width)
        shift_ri(&e->a, w, SH_ROL, (int)d, pos + len);
    return true;
}

bool emit_int(Emit *e, IrRef i, const IrOp *op)
{
    if (is_wide_type(op->type))
        return false;
    switch (op->code) {
    case IR_ADD: return emit_alu(e, i, op, ALU_ADD, true);
    case IR_SUB: return emit_alu(e, i, op, ALU_SUB, false);
    case IR_AND: return emit_alu(e, i, op, ALU_AND, true);
    case IR_OR: return emit_alu(e, i, op, ALU_OR, true);
    case IR_XOR: return emit_alu(e, i, op, ALU_XOR, true);
    case IR_MUL: return emit_mul(e, i, op);
    case IR_MULHS:
    case IR_MULHU:
    case IR_MULHSU: return emit_mulh(e, i, op);
    case IR_DIVS:
    case IR_DIVU:
    case IR_REMS:
    case IR_REMU: return emit_div(e, i, op);
    case IR_SHL:
    case IR_SHR:
    case IR_SAR:
    case IR_ROL:
    case IR_ROR: return emit_shift(e, i, op);
    case IR_NOT:
    case IR_NEG:
    case IR_ANDN:
    case IR_CLZ:
    case IR_CTZ:
    case IR_POPCNT:
    case IR_BSWAP: return emit_bits(e, i, op);
    case IR_ZEXT:
    case IR_SEXT:
    case IR_TRUNC: return emit_extension(e, i, op);
    case IR_EXTRACT: return emit_extract(e, i, op);
    case IR_DEPOSIT: return emit_deposit(e, i, op);
    case IR_CMP:
    case IR_FLAGS_TEST: return emit_set(e, i, op);
    case IR_SELECT: return emit_select(e, i, op);
    case IR_FLAGS_ADD:
    case IR_FLAGS_ADC:
    case IR_FLAGS_SUB:
    case IR_FLAGS_SBC:
    case IR_FLAGS_LOGIC: return emit_flags(e, i, op);
    case IR_FLAGS_PACK:
    case IR_FLAGS_BITS: {
        unsigned a = use_reg(e, op->a), d = def_reg(e, i);
        mov_if(e, false, d, a);
        return true;
    }
    case IR_FLAGS_INVC: {
        unsigned a = use_reg(e, op->a), d = def_reg(e, i);
        mov_if(e, false, d, a);
        alu_ri(&e->a, false, ALU_XOR, (int)d, IR_FLAG_C);
        return true;
    }
    default:
        return false;
    }
}
