/* SPDX-License-Identifier: MIT */
/*
 * Random regions through the interpreter and through the compiler: every
 * operation with every type it takes, operands from registers, constants and
 * earlier results, memory accesses of all sizes and both byte orders. State and
 * memory must be the same afterwards. A failing seed is printed; run it alone
 * with TEST_SEED.
 */
#include <stdlib.h>
#include <string.h>

#include "translate/translate.h"

#define N_INT 14
#define N_FLOAT 12
#define N_WIDE 4
#define MEMORY 512

enum { INT0, FLOAT0 = INT0 + N_INT, WIDE0 = FLOAT0 + N_FLOAT, VECTOR0 = WIDE0 + N_WIDE,
      FLAGS0 = VECTOR0 + N_WIDE,
       NARROW0 = FLAGS0 + 2, SLOTS = NARROW0 + 3 };

typedef struct TestCpu {
    TranslateCpu core;
    uint64_t ints[N_INT];
    uint64_t floats[N_FLOAT];
    uint64_t wide[N_WIDE][2], vectors[N_WIDE][2];
    uint32_t flags[2];
    uint32_t i32;
    uint16_t i16;
    uint8_t i8;
} TestCpu;

static IrSlot slots[SLOTS];
static const uint16_t int_pins[] = {INT0, INT0 + 1, INT0 + 2, INT0 + 3, INT0 + 4, INT0 + 5,
                                    INT0 + 6, INT0 + 7, INT0 + 8, INT0 + 9};
static const uint16_t float_pins[] = {FLOAT0, FLOAT0 + 1, FLOAT0 + 2, FLOAT0 + 3, FLOAT0 + 4,
                                      FLOAT0 + 5, VECTOR0, FLOAT0 + 6, VECTOR0 + 1, VECTOR0 + 3};

typedef void Body(IrBuilder *b, GRand *r);
static Body *body;
static guint32 seed;

static uint64_t helper_stop(void *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    translate_stop(cpu);
    return 0;
}

static uint64_t helper_mix(void *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    TestCpu *t = cpu;
    t->ints[3] ^= a + t->ints[2];
    t->ints[12] += b;
    return a * 3 + b * 5 + c * 7 + d;
}

static uint64_t helper_pure(void *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    return (a ^ b << 1) + c;
}

enum { HELPER_STOP, HELPER_MIX, HELPER_PURE };
static const IrHelper helpers[] = {
    {"stop", helper_stop, IR_HELPER_FAULTS, IR_VOID},
    {"mix", helper_mix, IR_HELPER_READS | IR_HELPER_WRITES, IR_I64},
    {"pure", helper_pure, IR_HELPER_PURE, IR_I64},
};

static void test_mode(TranslateCpu *cpu) { cpu->mode = seed; }

/* As RISC-V, x86, Arm, Power, and what nobody has, with and without flushing. */
static void test_fp_rules(uint64_t mode, TranslateFp *fp)
{
    static const TranslateFp rules[] = {
        {.default_nan = true},
        {.negative_default = true, .propagate = 1, .denormal_flag = true},
        {.tiny_before = true, .propagate = 0},
        {.tiny_before = true, .propagate = 3},
        {.tiny_before = true, .default_nan = true, .negative_default = true},
        {.negative_default = true, .propagate = 2, .denormal_flag = true},
    };
    *fp = rules[mode % G_N_ELEMENTS(rules)];
    if (mode % 5 == 0)
        fp->flush_inputs = fp->flush_outputs = true;
}

static bool test_interrupt(TranslateCpu *cpu) { return false; }
static bool test_wake(TranslateCpu *cpu) { return true; }
static void test_raise(TranslateCpu *cpu, TranslateFault f)
{
    ((TestCpu *)cpu)->ints[0] = f.exception;
    translate_stop(cpu);
}
static void test_trouble(TranslateCpu *cpu, uint64_t address, TranslateAccess access,
                         TranslateTrouble t, TranslateFault *f)
{
    *f = (TranslateFault){t, address};
}

static unsigned test_fetch_mmu(TranslateCpu *cpu) { return 0; }

static bool test_insn(IrBuilder *b, const uint8_t *code, unsigned available)
{
    GRand *r = g_rand_new_with_seed(seed);
    ir_insn(b, b->insn, 4);
    body(b, r);
    ir_insn(b, b->insn, 4);
    ir_call(b, HELPER_STOP, 0, 0, 0, 0);
    ir_exit_mode(b, 0);
    g_rand_free(r);
    return true;
}

static TranslateGuest guest = {
    .name = "test", .cpu_size = sizeof(TestCpu), .hot = offsetof(TestCpu, ints), .max_insn = 4,
    .direct_memory = true,
    .int_pins = int_pins, .n_int_pins = G_N_ELEMENTS(int_pins), .float_pins = float_pins,
    .n_float_pins = G_N_ELEMENTS(float_pins), .fp_rules = test_fp_rules,
    .mode = test_mode, .insn = test_insn, .interrupt = test_interrupt, .wake = test_wake,
    .raise = test_raise,
    .trouble = test_trouble, .fetch_mmu = test_fetch_mmu,
};

static void make_slots(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < N_INT; i++)
        slots[n++] = (IrSlot){g_strdup_printf("int%u", i),
                              (uint32_t)(offsetof(TestCpu, ints) + 8 * i), IR_I64, false};
    for (unsigned i = 0; i < N_FLOAT; i++)
        slots[n++] = (IrSlot){g_strdup_printf("float%u", i),
                              (uint32_t)(offsetof(TestCpu, floats) + 8 * i), IR_F64, false};
    for (unsigned i = 0; i < N_WIDE; i++)
        slots[n++] = (IrSlot){g_strdup_printf("wide%u", i),
                              (uint32_t)(offsetof(TestCpu, wide) + 16 * i), IR_I128, false};
    for (unsigned i = 0; i < N_WIDE; i++)
        slots[n++] = (IrSlot){"vector", (uint32_t)(offsetof(TestCpu, vectors) + 16 * i), IR_V128,
                              false};
    for (unsigned i = 0; i < 2; i++)
        slots[n++] = (IrSlot){"flags", (uint32_t)(offsetof(TestCpu, flags) + 4 * i), IR_FLAGS,
                              false};
    slots[n++] = (IrSlot){"i32", offsetof(TestCpu, i32), IR_I32, false};
    slots[n++] = (IrSlot){"i16", offsetof(TestCpu, i16), IR_I16, false};
    slots[n++] = (IrSlot){"i8", offsetof(TestCpu, i8), IR_I8, false};
    guest.ir = (IrGuest){slots, n, helpers, G_N_ELEMENTS(helpers)};
}

/* random programs */

typedef struct Pool {
    IrRef v[64];
    IrType type[64];
    unsigned n;
} Pool;

static uint64_t interesting(GRand *r)
{
    static const uint64_t edge[] = {0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff,
                                    0x80000000, 0xffffffff, 0x7fffffffffffffff, 0x8000000000000000,
                                    UINT64_MAX, UINT64_MAX - 1, 63, 31, 64};
    if (g_rand_int_range(r, 0, 2))
        return edge[g_rand_int_range(r, 0, G_N_ELEMENTS(edge))];
    return (uint64_t)g_rand_int(r) << 32 | g_rand_int(r);
}

static void add(Pool *p, IrRef v, IrType type)
{
    if (!v)
        return;
    unsigned at = p->n < G_N_ELEMENTS(p->v) ? p->n++ : p->n - 1 - (v % 16);
    p->v[at] = v;
    p->type[at] = type;
}

static IrRef pick(IrBuilder *b, GRand *r, Pool *p, IrType type)
{
    for (unsigned tries = 0; tries < 6 && p->n; tries++) {
        unsigned i = (unsigned)g_rand_int_range(r, 0, (gint32)p->n);
        if (p->type[i] == type)
            return p->v[i];
    }
    switch (type) {
    case IR_I64:
        if (g_rand_int_range(r, 0, 4))
            return ir_get(b, INT0 + (unsigned)g_rand_int_range(r, 0, N_INT));
        return ir_const(b, IR_I64, interesting(r));
    case IR_I128: return ir_get(b, WIDE0 + (unsigned)g_rand_int_range(r, 0, N_WIDE));
    case IR_V128: return ir_get(b, VECTOR0 + (unsigned)g_rand_int_range(r, 0, N_WIDE));
    case IR_FLAGS: return ir_get(b, FLAGS0 + (unsigned)g_rand_int_range(r, 0, 2));
    case IR_F64: return ir_get(b, FLOAT0 + (unsigned)g_rand_int_range(r, 0, N_FLOAT));
    case IR_I32:
        if (g_rand_int_range(r, 0, 4) == 0)
            return ir_get(b, NARROW0);
        /* fallthrough */
    default:
        if (g_rand_int_range(r, 0, 3) == 0)
            return ir_const(b, type, interesting(r));
        return ir_trunc(b, type, ir_get(b, INT0 + (unsigned)g_rand_int_range(r, 0, N_INT)));
    }
}

static void put_random(IrBuilder *b, GRand *r, Pool *p)
{
    switch (g_rand_int_range(r, 0, 8)) {
    case 0:
        ir_put(b, WIDE0 + (unsigned)g_rand_int_range(r, 0, N_WIDE), pick(b, r, p, IR_I128));
        break;
    case 1:
        ir_put(b, VECTOR0 + (unsigned)g_rand_int_range(r, 0, N_WIDE), pick(b, r, p, IR_V128));
        break;
    case 2: ir_put(b, FLAGS0 + (unsigned)g_rand_int_range(r, 0, 2), pick(b, r, p, IR_FLAGS)); break;
    case 3:
        ir_put(b, FLOAT0 + (unsigned)g_rand_int_range(r, 0, N_FLOAT), pick(b, r, p, IR_F64));
        break;
    case 4: {
        unsigned w = (unsigned)g_rand_int_range(r, 0, 3);
        ir_put(b, NARROW0 + w, pick(b, r, p, w == 0 ? IR_I32 : w == 1 ? IR_I16 : IR_I8));
        break;
    }
    default:
        ir_put(b, INT0 + (unsigned)g_rand_int_range(r, 0, N_INT - 1), pick(b, r, p, IR_I64));
        break;
    }
}

static IrType int_type(GRand *r, bool wide)
{
    static const IrType types[] = {IR_I64, IR_I64, IR_I64, IR_I32, IR_I32, IR_I16, IR_I8, IR_I128};
    return types[g_rand_int_range(r, 0, wide ? 8 : 7)];
}

static void op_int(IrBuilder *b, GRand *r, Pool *p)
{
    static const IrCode two[] = {IR_ADD, IR_SUB, IR_MUL, IR_MULHS, IR_MULHU, IR_MULHSU, IR_DIVS,
                                 IR_DIVU, IR_REMS, IR_REMU, IR_AND, IR_OR, IR_XOR, IR_ANDN, IR_SHL,
                                 IR_SHR, IR_SAR, IR_ROL, IR_ROR, IR_CLMUL, IR_CLMULH};
    static const IrCode one[] = {IR_NOT, IR_NEG, IR_CLZ, IR_CTZ, IR_POPCNT, IR_BSWAP, IR_BITREV};
    IrType type = int_type(r, true);
    IrRef x = pick(b, r, p, type), y;
    if (g_rand_int_range(r, 0, 5) == 0) {
        add(p, ir_unary(b, one[g_rand_int_range(r, 0, G_N_ELEMENTS(one))], type, x), type);
        return;
    }
    y = pick(b, r, p, type);
    add(p, ir_binary(b, two[g_rand_int_range(r, 0, G_N_ELEMENTS(two))], x, y), type);
}

static void op_convert(IrBuilder *b, GRand *r, Pool *p)
{
    IrType from = int_type(r, false), to = int_type(r, true);
    IrRef x = pick(b, r, p, from);
    bool wider = ir_type_bits(to) > ir_type_bits(from);
    unsigned bits = ir_type_bits(from), pos = (unsigned)g_rand_int_range(r, 0, (gint32)bits);
    unsigned len = (unsigned)g_rand_int_range(r, 1, (gint32)(bits - pos + 1));
    switch (g_rand_int_range(r, 0, 4)) {
    case 0: add(p, ir_extract(b, x, pos, len), from); break;
    case 1: add(p, ir_deposit(b, x, pick(b, r, p, from), pos, len), from); break;
    case 2: add(p, wider ? ir_zext(b, to, x) : ir_trunc(b, to, x), to); break;
    default: add(p, wider ? ir_sext(b, to, x) : ir_trunc(b, to, x), to); break;
    }
    if (g_rand_int_range(r, 0, 6) == 0) {
        IrRef wide = ir_op(b, (IrOp){.code = IR_CONCAT,
                                     .type = IR_I128,
                                     .a = pick(b, r, p, IR_I64),
                                     .b = pick(b, r, p, IR_I64)});
        add(p, wide, IR_I128);
        add(p, ir_unary(b, IR_HIGH, IR_I64, wide), IR_I64);
    }
}

static void op_compare(IrBuilder *b, GRand *r, Pool *p)
{
    IrType type = int_type(r, true), result = int_type(r, false);
    IrRef c = ir_cmp(b, (IrCond)g_rand_int_range(r, 0, 10), pick(b, r, p, type),
                     pick(b, r, p, type));
    if (g_rand_int_range(r, 0, 2))
        add(p, ir_select(b, c, pick(b, r, p, result), pick(b, r, p, result)), result);
    else
        add(p, ir_zext(b, IR_I64, c), IR_I64);
}

static void op_flags(IrBuilder *b, GRand *r, Pool *p)
{
    IrType type = int_type(r, false);
    IrRef x = pick(b, r, p, type), y = pick(b, r, p, type), f;
    IrRef carry = ir_cmp(b, IR_LTU, pick(b, r, p, IR_I64), pick(b, r, p, IR_I64));
    switch (g_rand_int_range(r, 0, 9)) {
    case 0: f = ir_op(b, (IrOp){.code = IR_FLAGS_ADD, .type = IR_FLAGS, .a = x, .b = y}); break;
    case 1:
        f = ir_op(b, (IrOp){.code = IR_FLAGS_ADC, .type = IR_FLAGS, .a = x, .b = y, .c = carry});
        break;
    case 2: f = ir_op(b, (IrOp){.code = IR_FLAGS_SUB, .type = IR_FLAGS, .a = x, .b = y}); break;
    case 3:
        f = ir_op(b, (IrOp){.code = IR_FLAGS_SBC, .type = IR_FLAGS, .a = x, .b = y, .c = carry});
        break;
    case 4: f = ir_op(b, (IrOp){.code = IR_FLAGS_LOGIC, .type = IR_FLAGS, .a = x}); break;
    case 5:
        f = ir_op(b, (IrOp){.code = (uint8_t)(IR_FLAGS_SHL + g_rand_int_range(r, 0, 3)),
                            .type = IR_FLAGS,
                            .a = x,
                            .b = y,
                            .c = pick(b, r, p, IR_FLAGS)});
        break;
    case 6: f = ir_unary(b, IR_FLAGS_INVC, IR_FLAGS, pick(b, r, p, IR_FLAGS)); break;
    case 7:
        f = ir_unary(b, IR_FLAGS_PACK, IR_FLAGS,
                     ir_binary_imm(b, IR_AND, pick(b, r, p, IR_I32), 0x8d5));
        break;
    default: f = pick(b, r, p, IR_FLAGS); break;
    }
    if (g_rand_int_range(r, 0, 2))
        add(p, f, IR_FLAGS);
    if (g_rand_int_range(r, 0, 3) == 0)
        add(p, ir_unary(b, IR_FLAGS_BITS, IR_I32, f), IR_I32);
    IrRef t = ir_op(b, (IrOp){.code = IR_FLAGS_TEST,
                              .type = IR_I8,
                              .sub = (uint8_t)g_rand_int_range(r, 0, 16),
                              .a = f});
    if (g_rand_int_range(r, 0, 2))
        add(p, ir_select(b, t, pick(b, r, p, IR_I64), pick(b, r, p, IR_I64)), IR_I64);
    else
        add(p, ir_zext(b, IR_I64, t), IR_I64);
}

/* A scalar that fits a lane: an integer or a float. */
static IrRef pick_lane(IrBuilder *b, GRand *r, Pool *p, unsigned lane, bool is_float)
{
    static const IrType lanes[] = {IR_I8, IR_I16, IR_I32, IR_I64};
    if (is_float && lane == 3)
        return pick(b, r, p, IR_F64);
    if (is_float && lane == 2)
        return ir_flow(b, IR_F32, pick(b, r, p, IR_F64));
    return pick(b, r, p, lanes[lane]);
}

static void op_lanes(IrBuilder *b, GRand *r, Pool *p, IrOp op)
{
    static const IrType lanes[] = {IR_I8, IR_I16, IR_I32, IR_I64};
    unsigned lane = op.sub;
    bool is_float = g_rand_int_range(r, 0, 2);
    IrType type = IR_V128;
    IrRef v;
    switch (op.code) {
    case IR_VSPLAT:
        op.a = pick_lane(b, r, p, lane, is_float);
        break;
    case IR_VZEXT:
        op.a = pick_lane(b, r, p, lane, is_float);
        op.sub = 0;
        break;
    case IR_VPAIR:
        op.sub = 3;
        op.a = pick(b, r, p, IR_I64);
        op.b = pick(b, r, p, IR_I64);
        break;
    case IR_VINSERT:
        op.imm = g_rand_int_range(r, 0, 16 >> lane);
        op.b = pick_lane(b, r, p, lane, is_float);
        break;
    default: /* VEXTRACT */
        op.imm = g_rand_int_range(r, 0, 16 >> lane);
        op.type = type = is_float && lane == 3 ? IR_F64 : is_float && lane == 2 ? IR_F32 : lanes[lane];
        break;
    }
    v = ir_op(b, op);
    add(p, type == IR_F32 ? ir_fzext(b, v) : v, type == IR_F32 ? IR_F64 : type);
}

static void op_vector(IrBuilder *b, GRand *r, Pool *p)
{
    IrCode code = (IrCode)g_rand_int_range(r, IR_VADD, IR_VFROUND + 1);
    unsigned lane = (unsigned)g_rand_int_range(r, 0, 4);
    IrOp op = {
        .code = (uint8_t)code, .type = IR_V128, .sub = (uint8_t)lane, .a = pick(b, r, p, IR_V128)};
    if (code == IR_VSPLAT || code == IR_VEXTRACT || code == IR_VINSERT || code == IR_VPAIR || code == IR_VZEXT) {
        op_lanes(b, r, p, op);
        return;
    }
    if (ir_code_operands(code) > 1) /* a shuffle or a shift by small numbers does more */
        op.b = g_rand_int_range(r, 0, 4) ? pick(b, r, p, IR_V128) : ir_vconst(b, interesting(r), interesting(r));
    if ((code == IR_VSHUFFLE || code == IR_VSHLV || code == IR_VSHRV || code == IR_VSARV) && g_rand_int_range(r, 0, 2))
        op.b = ir_vector(b, IR_VAND, 0, op.b, ir_vconst(b, 0x0f0f0f0f0f0f0f0f, 0x1f1f1f1f1f1f1f1f));
    if (code == IR_VFMA || code == IR_VSHA256)
        op.c = pick(b, r, p, IR_V128);
    if (code >= IR_VFADD)
        op.sub = (uint8_t)g_rand_int_range(r, 2, 4);
    switch (code) {
    case IR_VSHL: case IR_VSHR: case IR_VSAR: op.imm = g_rand_int_range(r, 0, (8 << lane) + 1); break;
    case IR_VEXT: op.imm = g_rand_int_range(r, 0, 16); break;
    case IR_VPACKS: case IR_VPACKU: op.sub = (uint8_t)g_rand_int_range(r, 1, 4); break;
    case IR_VWIDENS: case IR_VWIDENU: op.sub = (uint8_t)g_rand_int_range(r, 0, 3); break;
    case IR_VCLMUL: op.imm = g_rand_int(r) & 0x11; break;
    case IR_VSHA256: op.imm = g_rand_int_range(r, 0, 2); break;
    case IR_VSHA: op.imm = g_rand_int_range(r, 0, IR_SHA1_MAJORITY + 1); break;
    case IR_VAES: op.imm = g_rand_int_range(r, 0, 4); break;
    case IR_VFMA: op.imm = g_rand_int_range(r, 0, 16); break;
    case IR_VFMIN: case IR_VFMAX: op.imm = g_rand_int_range(r, 0, 4); break;
    case IR_VFCMP: op.imm = g_rand_int_range(r, 0, 4) | g_rand_int_range(r, 0, 2) << 8; break;
    case IR_VFTOI: op.imm = g_rand_int_range(r, 0, 2) | g_rand_int_range(r, 0, 6) << 8; break;
    case IR_VITOF: op.imm = g_rand_int_range(r, 0, 2); break;
    case IR_VFROUND: op.imm = g_rand_int_range(r, 0, 2) | g_rand_int_range(r, 0, 6) << 8; break;
    default: break;
    }
    add(p, ir_op(b, op), IR_V128);
}

static void op_memory(IrBuilder *b, GRand *r, Pool *p)
{
    /* base: a register that holds an address within memory, bounded by a mask */
    IrRef at = ir_binary_imm(b, IR_AND, pick(b, r, p, IR_I64), MEMORY / 2 - 1);
    IrRef base = ir_binary(b, IR_ADD, ir_get(b, INT0 + 13), at);
    IrMem mem = IR_MEM_SIZE(g_rand_int_range(r, 0, 4)) |
                (g_rand_int_range(r, 0, 2) ? IR_MEM_SIGNED : 0) |
                (g_rand_int_range(r, 0, 3) ? 0 : IR_MEM_BE);
    int32_t disp = g_rand_int_range(r, 0, 128);
    IrType type = ir_mem_log2(mem) == 3 || g_rand_int_range(r, 0, 2) ? IR_I64 : IR_I32;
    if (g_rand_int_range(r, 0, 3) == 0) { /* a sum of its own, of several parts */
        IrRef index = ir_binary_imm(b, IR_AND, pick(b, r, p, IR_I64), 15);
        unsigned scale = (unsigned)g_rand_int_range(r, 0, 4);
        base = ir_binary_imm(b, IR_ADD, ir_get(b, INT0 + 13), g_rand_int_range(r, 0, 64));
        base = ir_binary(b, IR_ADD, base, ir_binary_imm(b, IR_SHL, index, scale));
    }
    IrRef aligned = ir_binary_imm(b, IR_AND, base, ~7);
    switch (g_rand_int_range(r, 0, 10)) {
    case 0:
    case 1:
    case 2: add(p, ir_load(b, type, mem, base, disp), type); break;
    case 3:
    case 4: ir_store(b, mem, base, disp, pick(b, r, p, IR_I64)); break;
    case 5:
        ir_store(b, IR_MEM_SIZE(g_rand_int_range(r, 0, 3)), base, disp, pick(b, r, p, IR_I32));
        break;
    case 6: add(p, ir_load(b, IR_V128, IR_MEM_SIZE(4), base, disp), IR_V128); break;
    case 7: ir_store(b, IR_MEM_SIZE(4), base, disp, pick(b, r, p, IR_V128)); break;
    case 8:
        add(p,
            ir_atomic(b, (IrAtomic)g_rand_int_range(r, 0, 9), IR_I64,
                      IR_MEM_SIZE(g_rand_int_range(r, 2, 4)) | IR_MEM_SIGNED, aligned,
                      pick(b, r, p, IR_I64)),
            IR_I64);
        break;
    default:
        add(p, ir_load_linked(b, IR_I64, IR_MEM_SIZE(3), aligned), IR_I64);
        add(p, ir_zext(b, IR_I64, ir_store_cond(b, IR_MEM_SIZE(3), aligned, pick(b, r, p, IR_I64))),
            IR_I64);
        break;
    }
}

static void op_float_bits(IrBuilder *b, GRand *r, Pool *p)
{
    IrRef f = pick(b, r, p, IR_F64), g = pick(b, r, p, IR_F64);
    switch (g_rand_int_range(r, 0, 11)) {
    case 0: add(p, ir_unary(b, IR_FNEG, IR_F64, f), IR_F64); break;
    case 1: add(p, ir_unary(b, IR_FABS, IR_F64, f), IR_F64); break;
    case 2: add(p, ir_binary(b, IR_FCOPYSIGN, f, g), IR_F64); break;
    case 3: add(p, ir_bitcast(b, IR_I64, f), IR_I64); break;
    case 4: add(p, ir_bitcast(b, IR_F64, pick(b, r, p, IR_I64)), IR_F64); break;
    case 5: add(p, ir_fbox(b, ir_bitcast(b, IR_F32, pick(b, r, p, IR_I32))), IR_F64); break;
    case 6: add(p, ir_bitcast(b, IR_I32, ir_funbox(b, IR_F32, f)), IR_I32); break;
    case 7: add(p, ir_fzext(b, ir_bitcast(b, IR_F32, pick(b, r, p, IR_I32))), IR_F64); break;
    case 8: add(p, ir_bitcast(b, IR_I32, ir_flow(b, IR_F32, f)), IR_I32); break;
    case 9:
        add(p, ir_select(b, ir_trunc(b, IR_I8, ir_extract(b, pick(b, r, p, IR_I64), 3, 1)), f, g),
            IR_F64);
        break;
    default: add(p, ir_fclass(b, f), IR_I64); break;
    }
}

static IrRef pick_float(IrBuilder *b, GRand *r, Pool *p, IrType type)
{
    return type == IR_F64 ? pick(b, r, p, IR_F64) : ir_funbox(b, IR_F32, pick(b, r, p, IR_F64));
}

static void add_float(IrBuilder *b, Pool *p, IrRef v, IrType type)
{
    add(p, type == IR_F64 ? v : ir_fbox(b, v), IR_F64);
}

static void op_float(IrBuilder *b, GRand *r, Pool *p)
{
    IrType t = g_rand_int_range(r, 0, 2) ? IR_F64 : IR_F32, other = t == IR_F64 ? IR_F32 : IR_F64;
    IrType i = g_rand_int_range(r, 0, 2) ? IR_I64 : IR_I32;
    IrRound round = g_rand_int_range(r, 0, 3) ? IR_RDYN : (IrRound)g_rand_int_range(r, 0, 5);
    IrRef x = pick_float(b, r, p, t), y = pick_float(b, r, p, t);
    switch (g_rand_int_range(r, 0, 11)) {
    case 0:
    case 1:
        add_float(b, p, ir_fop2(b, (IrCode)(IR_FADD + g_rand_int_range(r, 0, 4)), x, y, round), t);
        break;
    case 2: add_float(b, p, ir_fop1(b, IR_FSQRT, x, round), t); break;
    case 3:
        add_float(
            b, p,
            ir_fma_as(b, x, y, pick_float(b, r, p, t), g_rand_int(r) & g_rand_int(r) & 15, round),
            t);
        break;
    case 4:
        add_float(b, p,
                  ir_fminmax(b, g_rand_int_range(r, 0, 2) ? IR_FMIN : IR_FMAX, x, y,
                             (IrMinMax)g_rand_int_range(r, 0, 4)),
                  t);
        break;
    case 5:
        add(p,
            ir_zext(
                b, IR_I64,
                ir_fcmp(b, (IrFCond)g_rand_int_range(r, 0, 4), x, y, g_rand_int_range(r, 0, 2))),
            IR_I64);
        break;
    case 6:
        add(p,
            ir_ftoi(b, i, x,
                    (unsigned)g_rand_int_range(r, 0, 2) | 1u << g_rand_int_range(r, 0, 5), round),
            i);
        break;
    case 7:
        add_float(b, p, ir_itof(b, t, pick(b, r, p, i), g_rand_int_range(r, 0, 2), round), t);
        break;
    case 8:
        add_float(b, p,
                  ir_op(b, (IrOp){.code = IR_FROUND,
                                  .type = t,
                                  .sub = round,
                                  .imm = g_rand_int(r) & 1,
                                  .a = x}),
                  t);
        break;
    case 9: {
        bool flags = g_rand_int_range(r, 0, 2);
        add(p,
            ir_frel(b, flags ? IR_FLAGS : IR_I32, x, y, g_rand_int_range(r, 0, 2), 0x81, 0x40, 0,
                    0x845),
            flags ? IR_FLAGS : IR_I32);
        break;
    }
    default: add_float(b, p, ir_ftof(b, other, x, round), other); break;
    }
}

static void op_branch(IrBuilder *b, GRand *r, Pool *p)
{
    unsigned over = ir_label_new(b);
    ir_brcond(
        b,
        ir_cmp(b, (IrCond)g_rand_int_range(r, 0, 10), pick(b, r, p, IR_I64), pick(b, r, p, IR_I64)),
        over);
    for (unsigned i = 0; i < 3; i++) {
        op_int(b, r, p);
        put_random(b, r, p);
    }
    ir_label(b, over);
    p->n = 0;
}

static void random_body(IrBuilder *b, GRand *r)
{
    Pool p = {.n = 0};
    unsigned n = (unsigned)g_rand_int_range(r, 5, 60);
    const char *few = getenv("TEST_OPS"); /* to narrow a failure down */
    n = few ? (unsigned)atoi(few) : n;
    for (unsigned i = 0; i < n; i++) {
        switch (g_rand_int_range(r, 0, 19)) {
        case 16:
        case 17:
        case 18: op_vector(b, r, &p); break;
        case 0: op_convert(b, r, &p); break;
        case 1:
        case 2: op_compare(b, r, &p); break;
        case 3: op_flags(b, r, &p); break;
        case 4: op_vector(b, r, &p); break;
        case 5:
        case 6: op_memory(b, r, &p); break;
        case 7: op_float_bits(b, r, &p); break;
        case 10:
        case 11: op_float(b, r, &p); break;
        case 8:
            if (i % 3 == 0)
                op_branch(b, r, &p);
            break;
        case 9:
            add(&p,
                ir_call(b, g_rand_int_range(r, 0, 2) ? HELPER_MIX : HELPER_PURE,
                        pick(b, r, &p, IR_I64), pick(b, r, &p, IR_I64), pick(b, r, &p, IR_I64), 0),
                IR_I64);
            break;
        default: op_int(b, r, &p); break;
        }
        if (g_rand_int_range(r, 0, 2))
            put_random(b, r, &p);
    }
}

typedef struct Outcome {
    TestCpu cpu;
    unsigned fp_flags;
    uint8_t memory[MEMORY];
} Outcome;

static uint8_t *test_memory;

/* With address translation: memory at guest address 0x10000, code at 0x20000. */
static bool test_ram(void *opaque, uint64_t phys, GuestPage *page)
{
    static uint8_t flags[2];
    if (phys >> GUEST_PAGE_BITS != 0x10 && phys >> GUEST_PAGE_BITS != 0x20)
        return false;
    *page = (GuestPage){phys >> GUEST_PAGE_BITS == 0x10 ? test_memory : test_memory + 4096,
                        &flags[phys >> 17 & 1], true};
    return true;
}


static void run(TranslateAccel accel, guint32 s, Outcome *out)
{
    TranslateOptions options = {.accel = accel, .code_size = 4 << 20};
    GError *error = NULL;
    GuestEnv env = {.ram = test_ram};
    seed = s;
    Translator *t = translate_new(&guest, &options, &error);
    g_assert_no_error(error);
    TranslateCpu *cpu = translate_cpu_new(t, &env, NULL);
    TestCpu *c = (TestCpu *)cpu;
    GRand *r = g_rand_new_with_seed(s ^ 0x5eed);
    for (unsigned i = 0; i < MEMORY; i++)
        test_memory[i] = (uint8_t)g_rand_int(r);
    for (unsigned i = 0; i < N_INT; i++)
        c->ints[i] = interesting(r);
    c->ints[13] = guest.direct_memory ? (uint64_t)(uintptr_t)test_memory : 0x10000;
    for (unsigned i = 0; i < N_FLOAT; i++)
        c->floats[i] = interesting(r) | (i & 1 ? 0xffffffff00000000u : 0);
    for (unsigned i = 0; i < N_WIDE * 2; i++) {
        c->wide[i / 2][i % 2] = interesting(r);
        c->vectors[i / 2][i % 2] = interesting(r);
    }
    c->flags[0] = g_rand_int(r) & 0x8d5;
    c->flags[1] = g_rand_int(r) & 0x8d5;
    c->i32 = g_rand_int(r);
    c->i16 = (uint16_t)g_rand_int(r);
    c->i8 = (uint8_t)g_rand_int(r);
    g_rand_free(r);
    translate_fp_set_round(cpu, (IrRound)(s % 4));
    cpu->pc = guest.direct_memory ? (uint64_t)(uintptr_t)test_memory : 0x20000;
    translate_run(cpu);
    memcpy(&out->cpu.ints, &c->ints, sizeof *c - offsetof(TestCpu, ints));
    memcpy(out->memory, test_memory, MEMORY);
    out->fp_flags = translate_fp_flags(cpu);
    translate_cpu_free(cpu);
    translate_free(t);
}

static void print_region(guint32 s)
{
    IrBuilder b;
    g_autoptr(GString) text = g_string_new(NULL);
    seed = s;
    ir_builder_init(&b, &guest.ir);
    test_insn(&b, NULL, 4);
    ir_print(&b, text);
    g_print("%s", text->str);
    ir_builder_clear(&b);
}

static void test_random(void)
{
    const char *one = getenv("TEST_SEED"), *count = getenv("TEST_COUNT");
    guint32 from = one ? (guint32)strtoul(one, NULL, 0) : 1,
            n = one     ? 1
                : count ? (guint32)strtoul(count, NULL, 0)
                        : 3000;
    static Outcome interp, jit;
    body = random_body;
    if (one && getenv("TEST_PRINT"))
        print_region(from);
    for (guint32 s = from; s < from + n; s++) {
        /* a TranslateCpu is large: only what the guest owns is compared */
        run(TRANSLATE_INTERP, s, &interp);
        run(getenv("TEST_VERIFY") ? TRANSLATE_VERIFY : TRANSLATE_JIT, s, &jit);
        if (memcmp(&interp.cpu.ints, &jit.cpu.ints, sizeof(TestCpu) - offsetof(TestCpu, ints)) ||
            memcmp(interp.memory, jit.memory, MEMORY) || interp.fp_flags != jit.fp_flags) {
            if (interp.fp_flags != jit.fp_flags)
                g_test_message("flags %#x, compiler %#x", interp.fp_flags, jit.fp_flags);
            for (unsigned i = 0; i < SLOTS; i++)
                if (memcmp((uint8_t *)&interp.cpu + slots[i].offset,
                           (uint8_t *)&jit.cpu + slots[i].offset, ir_type_bits(slots[i].type) / 8))
                    g_test_message("slot %u (%s) differs: interpreter %#" G_GINT64_MODIFIER
                                   "x compiler %#" G_GINT64_MODIFIER "x",
                                   i, slots[i].name,
                                   *(guint64 *)(void *)((uint8_t *)&interp.cpu + slots[i].offset),
                                   *(guint64 *)(void *)((uint8_t *)&jit.cpu + slots[i].offset));
            print_region(s);
            g_test_message("TEST_SEED=%u", s);
            g_test_fail();
            return;
        }
    }
}

static void test_random_translated(void)
{
    guest.direct_memory = false;
    test_random();
    guest.direct_memory = true;
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    make_slots();
    test_memory = g_aligned_alloc0(1, 8192, 4096);
    g_test_add_func("/translate/compile/random", test_random);
    g_test_add_func("/translate/compile/random-translated", test_random_translated);
    return g_test_run();
}
