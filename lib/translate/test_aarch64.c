/* SPDX-License-Identifier: MIT */
/*
 * What an AArch64 front end needs of the IR: NZCV with carry as "no borrow",
 * conditional selects and compares, bit fields, wide multiplies, indexed and
 * paired loads and stores, exclusives and atomics, 128-bit vectors. Oracle: C
 * after the Arm manual. Scalar floating point: test_fp_arm.c.
 */
#include "translate/test_guest.h"

#define EMIT(name) static void emit_##name(IrBuilder *b, const Insn *i)
#define ORACLE(name) static void oracle_##name(State *s, const Insn *i)
#define W64 ((i->a & 1) != 0)
#define TYPE (W64 ? IR_I64 : IR_I32)
#define BITS (W64 ? 64u : 32u)
enum { C = IR_FLAG_C, Z = IR_FLAG_Z, N = IR_FLAG_S, V = IR_FLAG_O };

static IrRef get(IrBuilder *b, const Insn *i, unsigned n)
{
    return ir_trunc(b, TYPE, ir_get(b, R0 + n));
}
static void put(IrBuilder *b, unsigned n, IrRef v) { ir_put(b, R0 + n, ir_zext(b, IR_I64, v)); }
static uint64_t cut(const Insn *i, uint64_t v) { return v & bits_mask(BITS); }
#define RD s->regs.r[i->d]
#define RN cut(i, s->regs.r[i->n])
#define RM cut(i, s->regs.r[i->m])

/* AddWithCarry of the manual */
static uint64_t add_with_carry(const Insn *i, uint64_t x, uint64_t y, unsigned carry,
                               uint32_t *nzcv)
{
    U128 u = (U128)cut(i, x) + cut(i, y) + carry;
    S128 v = (S128)bits_sext(cut(i, x), BITS) + bits_sext(cut(i, y), BITS) + carry;
    uint64_t r = cut(i, (uint64_t)u);
    *nzcv = (r >> (BITS - 1) ? N : 0) | (r ? 0 : Z) | (u != r ? C : 0) |
            (v != bits_sext(r, BITS) ? V : 0);
    return r;
}

static IrRef flags3(IrBuilder *b, IrCode code, IrRef x, IrRef y, IrRef z)
{
    return ir_op(b, (IrOp){.code = (uint8_t)code, .type = IR_FLAGS, .a = x, .b = y, .c = z});
}
static IrRef invert_carry(IrBuilder *b, IrRef f) { return ir_unary(b, IR_FLAGS_INVC, IR_FLAGS, f); }

/* the operand m, shifted as a says: bits 1-2 kind, 3-7 amount */
static IrRef shifted(IrBuilder *b, const Insn *i)
{
    static const IrCode kinds[] = {IR_SHL, IR_SHR, IR_SAR, IR_ROR};
    return ir_binary_imm(b, kinds[i->a >> 1 & 3], get(b, i, i->m), i->a >> 3);
}
static uint64_t shifted_value(const State *s, const Insn *i)
{
    uint64_t v = RM;
    unsigned n = i->a >> 3;
    switch (i->a >> 1 & 3) {
    case 0: return cut(i, v << n);
    case 1: return v >> n;
    case 2: return cut(i, (uint64_t)(bits_sext(v, BITS) >> n));
    default: return n ? cut(i, v >> n | v << (BITS - n)) : v;
    }
}

EMIT(adds)
{
    IrRef x = get(b, i, i->n), y = shifted(b, i);
    put(b, i->d, ir_binary(b, IR_ADD, x, y));
    ir_put(b, FLAGS, flags3(b, IR_FLAGS_ADD, x, y, 0));
}
ORACLE(adds) { RD = add_with_carry(i, RN, shifted_value(s, i), 0, &s->regs.flags); }
EMIT(subs)
{
    IrRef x = get(b, i, i->n), y = shifted(b, i);
    put(b, i->d, ir_binary(b, IR_SUB, x, y));
    ir_put(b, FLAGS, invert_carry(b, flags3(b, IR_FLAGS_SUB, x, y, 0)));
}
ORACLE(subs) { RD = add_with_carry(i, RN, ~shifted_value(s, i), 1, &s->regs.flags); }
static IrRef carry_of(IrBuilder *b, unsigned cc)
{
    return ir_op(
        b, (IrOp){.code = IR_FLAGS_TEST, .type = IR_I8, .sub = (uint8_t)cc, .a = ir_get(b, FLAGS)});
}
EMIT(adcs)
{
    IrRef x = get(b, i, i->n), y = get(b, i, i->m), c = carry_of(b, IR_F_C);
    IrRef f = flags3(b, IR_FLAGS_ADC, x, y, c);
    put(b, i->d, ir_binary(b, IR_ADD, ir_binary(b, IR_ADD, x, y), ir_zext(b, TYPE, c)));
    ir_put(b, FLAGS, f);
}
ORACLE(adcs) { RD = add_with_carry(i, RN, RM, s->regs.flags & C, &s->regs.flags); }
EMIT(sbcs)
{
    IrRef x = get(b, i, i->n), y = get(b, i, i->m), borrow = carry_of(b, IR_F_NC);
    IrRef f = invert_carry(b, flags3(b, IR_FLAGS_SBC, x, y, borrow));
    put(b, i->d, ir_binary(b, IR_SUB, ir_binary(b, IR_SUB, x, y), ir_zext(b, TYPE, borrow)));
    ir_put(b, FLAGS, f);
}
ORACLE(sbcs) { RD = add_with_carry(i, RN, ~RM, s->regs.flags & C, &s->regs.flags); }
EMIT(ands)
{
    IrRef v = ir_binary(b, IR_AND, get(b, i, i->n), shifted(b, i));
    put(b, i->d, v);
    ir_put(b, FLAGS, flags3(b, IR_FLAGS_LOGIC, v, 0, 0));
}
ORACLE(ands)
{
    uint64_t r = RD = RN & shifted_value(s, i);
    s->regs.flags = (r >> (BITS - 1) ? N : 0) | (r ? 0 : Z);
}
EMIT(bic) { put(b, i->d, ir_binary(b, IR_ANDN, get(b, i, i->n), shifted(b, i))); }
ORACLE(bic) { RD = RN & ~shifted_value(s, i); }
EMIT(eon)
{
    put(b, i->d, ir_unary(b, IR_NOT, TYPE, ir_binary(b, IR_XOR, get(b, i, i->n), shifted(b, i))));
}
ORACLE(eon) { RD = cut(i, ~(RN ^ shifted_value(s, i))); }

/* bit fields: position and length that fit */
#define POS (i->imm[0] & (BITS - 1))
#define LEN (1 + i->imm[1] % (BITS - POS))
EMIT(ubfx) { put(b, i->d, ir_extract(b, get(b, i, i->n), POS, LEN)); }
ORACLE(ubfx) { RD = RN >> POS & bits_mask(LEN); }
EMIT(sbfx)
{
    IrRef v = ir_binary_imm(b, IR_SHL, get(b, i, i->n), BITS - POS - LEN);
    put(b, i->d, ir_binary_imm(b, IR_SAR, v, BITS - LEN));
}
ORACLE(sbfx) { RD = cut(i, (uint64_t)bits_sext(RN >> POS & bits_mask(LEN), LEN)); }
EMIT(bfi) { put(b, i->d, ir_deposit(b, get(b, i, i->d), get(b, i, i->n), POS, LEN)); }
ORACLE(bfi) { RD = cut(i, (RD & ~(bits_mask(LEN) << POS)) | (RN & bits_mask(LEN)) << POS); }
EMIT(extr)
{
    IrRef low = ir_binary_imm(b, IR_SHR, get(b, i, i->m), POS);
    IrRef high = ir_binary_imm(b, IR_SHL, get(b, i, i->n), (BITS - POS) & (BITS - 1));
    put(b, i->d, POS ? ir_binary(b, IR_OR, low, high) : low);
}
ORACLE(extr) { RD = cut(i, (uint64_t)(((U128)RN << BITS | RM) >> POS)); }

/* conditions 0..15 as Arm numbers them, on flags whose carry is Arm's */
static IrRef condition(IrBuilder *b, unsigned cc)
{
    static const uint8_t tests[] = {IR_F_Z, IR_F_C, IR_F_S, IR_F_O, 0, IR_F_GE, IR_F_G};
    IrRef v;
    if (cc >> 1 == 7)
        return ir_const(b, IR_I8, 1);
    if (cc >> 1 == 4) { /* HI: C and not Z; x86's "above" once the carry is a borrow */
        v = ir_op(b, (IrOp){.code = IR_FLAGS_TEST,
                            .type = IR_I8,
                            .sub = IR_F_A,
                            .a = invert_carry(b, ir_get(b, FLAGS))});
    } else {
        v = ir_op(b, (IrOp){.code = IR_FLAGS_TEST,
                            .type = IR_I8,
                            .sub = tests[cc >> 1],
                            .a = ir_get(b, FLAGS)});
    }
    return cc & 1 ? ir_binary_imm(b, IR_XOR, v, 1) : v;
}
static bool holds(const State *s, unsigned cc)
{
    uint32_t f = s->regs.flags;
    bool n = f & N, z = f & Z, c = f & C, v = f & V;
    const bool r[] = {z, c, n, v, c && !z, n == v, n == v && !z, true};
    return r[cc >> 1] ^ (cc < 14 ? cc & 1 : 0);
}
#define CC (i->imm[0] & 15u)
EMIT(csinc)
{
    IrRef no = get(b, i, i->m);
    if (i->a & 2)
        no = ir_unary(b, IR_NEG, TYPE, no);
    else
        no = ir_binary_imm(b, IR_ADD, no, 1);
    put(b, i->d, ir_select(b, condition(b, CC), get(b, i, i->n), no));
}
ORACLE(csinc) { RD = holds(s, CC) ? RN : cut(i, i->a & 2 ? 0 - RM : RM + 1); }
EMIT(ccmp)
{
    uint32_t f = (i->imm[1] & 8 ? N : 0) | (i->imm[1] & 4 ? Z : 0) | (i->imm[1] & 2 ? C : 0) |
                 (i->imm[1] & 1 ? V : 0);
    IrRef other = ir_unary(b, IR_FLAGS_PACK, IR_FLAGS, ir_const(b, IR_I32, f)),
          c = condition(b, CC);
    IrRef real = invert_carry(b, flags3(b, IR_FLAGS_SUB, get(b, i, i->n), get(b, i, i->m), 0));
    ir_put(b, FLAGS, ir_select(b, c, real, other));
}
ORACLE(ccmp)
{
    uint32_t f = (i->imm[1] & 8 ? N : 0) | (i->imm[1] & 4 ? Z : 0) | (i->imm[1] & 2 ? C : 0) |
                 (i->imm[1] & 1 ? V : 0);
    if (holds(s, CC))
        add_with_carry(i, RN, ~RM, 1, &f);
    s->regs.flags = f;
}
EMIT(b_cond) { ir_branch(b, condition(b, i->a & 15u), b->insn + insn_imm(i)); }
ORACLE(b_cond) { s->skip = holds(s, i->a & 15u); }
EMIT(cbz)
{
    ir_branch(b, ir_cmp(b, i->a & 2 ? IR_NE : IR_EQ, get(b, i, i->n), ir_const(b, TYPE, 0)),
              b->insn + insn_imm(i));
}
ORACLE(cbz) { s->skip = (i->a & 2 ? RN != 0 : RN == 0); }
EMIT(tbz)
{
    ir_branch(b, ir_trunc(b, IR_I8, ir_extract(b, ir_get(b, R0 + i->n), i->a & 63, 1)),
              b->insn + insn_imm(i));
}
ORACLE(tbz) { s->skip = s->regs.r[i->n] >> (i->a & 63) & 1; }

EMIT(msub)
{
    put(b, i->d,
        ir_binary(b, IR_SUB, get(b, i, i->d),
                  ir_binary(b, IR_MUL, get(b, i, i->n), get(b, i, i->m))));
}
ORACLE(msub) { RD = cut(i, RD - RN * RM); }
EMIT(smulh)
{
    put(b, i->d, ir_binary(b, i->a & 2 ? IR_MULHU : IR_MULHS, get(b, i, i->n), get(b, i, i->m)));
}
ORACLE(smulh)
{
    U128 u = (U128)RN * RM;
    S128 p = (S128)bits_sext(RN, BITS) * bits_sext(RM, BITS);
    RD = cut(i, i->a & 2 ? (uint64_t)(u >> BITS) : (uint64_t)(p >> BITS));
}
EMIT(div)
{
    IrRef x = get(b, i, i->n), y = get(b, i, i->m), zero = ir_const(b, TYPE, 0);
    put(b, i->d,
        ir_select(b, ir_cmp(b, IR_EQ, y, zero), zero,
                  ir_binary(b, i->a & 2 ? IR_DIVU : IR_DIVS, x, y)));
}
ORACLE(div)
{
    if (!RM)
        RD = 0;
    else
        RD = cut(i,
                 i->a & 2 ? RN / RM : (uint64_t)((S128)bits_sext(RN, BITS) / bits_sext(RM, BITS)));
}
EMIT(clz) { put(b, i->d, ir_unary(b, i->a & 2 ? IR_BITREV : IR_CLZ, TYPE, get(b, i, i->n))); }
ORACLE(clz)
{
    uint64_t v = RN, r = 0;
    for (unsigned k = 0; k < BITS; k++)
        r |= (v >> k & 1) << (BITS - 1 - k);
    RD = i->a & 2 ? r : v ? (unsigned)__builtin_clzll(v) - (64 - BITS) : BITS;
}
EMIT(rev) { put(b, i->d, ir_unary(b, IR_BSWAP, TYPE, get(b, i, i->n))); }
ORACLE(rev) { RD = W64 ? __builtin_bswap64(RN) : __builtin_bswap32((uint32_t)RN); }
EMIT(adr) { ir_put(b, R0 + i->d, ir_pc(b, b->insn + (int16_t)insn_imm(i))); }
ORACLE(adr) { RD = s->pc + (uint64_t)(int64_t)(int16_t)insn_imm(i); }

/* str and ldr with the base (r15) written back: pre (a & 2) or post */
#define DISP ((int8_t)i->imm[0] / 4)
EMIT(ldr)
{
    IrRef base = ir_get(b, R0 + 15), next = ir_binary_imm(b, IR_ADD, base, DISP);
    IrRef v = ir_load(b, TYPE, IR_MEM_SIZE(2 + W64) | IR_MEM_ACQUIRE, i->a & 2 ? next : base, 0);
    ir_put(b, R0 + 15, next);
    put(b, i->d, v);
}
ORACLE(ldr)
{
    uint64_t base = s->regs.r[15], v = 0;
    s->regs.r[15] += (uint64_t)(int64_t)DISP;
    memcpy(&v, state_at(s, i->a & 2 ? s->regs.r[15] : base), BITS / 8);
    RD = v;
}
EMIT(stp)
{
    IrRef base = ir_get(b, R0 + 15), next = ir_binary_imm(b, IR_ADD, base, DISP),
          to = i->a & 2 ? next : base;
    ir_store(b, IR_MEM_SIZE(2 + W64), to, 0, get(b, i, i->d));
    ir_store(b, IR_MEM_SIZE(2 + W64) | IR_MEM_RELEASE, to, (int)BITS / 8, get(b, i, i->n));
    ir_put(b, R0 + 15, next);
}
ORACLE(stp)
{
    uint64_t base = s->regs.r[15], x = RD, y = RN;
    s->regs.r[15] += (uint64_t)(int64_t)DISP;
    uint8_t *p = state_at(s, i->a & 2 ? s->regs.r[15] : base);
    memcpy(p, &x, BITS / 8);
    memcpy(p + BITS / 8, &y, BITS / 8);
}
static IrRef aligned(IrBuilder *b, const Insn *i, unsigned size)
{
    IrRef at = ir_binary(b, IR_ADD, ir_get(b, R0 + 15),
                         ir_binary_imm(b, IR_AND, ir_get(b, R0 + i->m), 0xff));
    return ir_binary_imm(b, IR_AND, at, -(int64_t)size);
}
static uint8_t *aligned_at(State *s, const Insn *i, unsigned size)
{
    return state_at(s, (s->regs.r[15] + (s->regs.r[i->m] & 0xff)) & -(uint64_t)size);
}
EMIT(ldop)
{
    static const IrAtomic what[] = {IR_ATOMIC_SWAP, IR_ATOMIC_ADD, IR_ATOMIC_XOR, IR_ATOMIC_MAX};
    put(b, i->d,
        ir_atomic(b, what[i->a >> 1 & 3], TYPE, IR_MEM_SIZE(2 + W64), aligned(b, i, BITS / 8),
                  get(b, i, i->n)));
}
ORACLE(ldop)
{
    uint8_t *p = aligned_at(s, i, BITS / 8);
    uint64_t old = 0, n = RN;
    memcpy(&old, p, BITS / 8);
    uint64_t larger = bits_sext(old, BITS) > bits_sext(n, BITS) ? old : n;
    const uint64_t r[] = {n, old + n, old ^ n, larger};
    memcpy(p, &r[i->a >> 1 & 3], BITS / 8);
    RD = old;
}
EMIT(exclusive) /* ldxr, then stxr */
{
    IrRef at = aligned(b, i, BITS / 8), v = ir_load_linked(b, TYPE, IR_MEM_SIZE(2 + W64), at);
    IrRef failed = ir_binary_imm(b, IR_XOR,
                                 ir_store_cond(b, IR_MEM_SIZE(2 + W64), at, get(b, i, i->n)), 1);
    put(b, i->d, v);
    ir_put(b, R0 + 9, ir_zext(b, IR_I64, failed));
}
ORACLE(exclusive)
{
    uint8_t *p = aligned_at(s, i, BITS / 8);
    uint64_t v = 0, n = RN;
    memcpy(&v, p, BITS / 8);
    memcpy(p, &n, BITS / 8);
    RD = v;
    s->regs.r[9] = 0;
}

/* vectors */
#define VD s->regs.v[i->d]
#define LANE (i->a >> 1 & 3u)
EMIT(vector2)
{
    static const IrCode what[] = {IR_VADD, IR_VCMPEQ, IR_VAND, IR_VSHUFFLE};
    ir_put(b, V0 + i->d,
           ir_op(b, (IrOp){.code = (uint8_t)what[i->a >> 3 & 3],
                           .type = IR_V128,
                           .sub = (uint8_t)LANE,
                           .a = ir_get(b, V0 + i->n),
                           .b = ir_get(b, V0 + i->m)}));
}
ORACLE(vector2)
{
    uint8_t x[16], y[16], r[16];
    unsigned size = 1u << LANE;
    memcpy(x, s->regs.v[i->n], 16);
    memcpy(y, s->regs.v[i->m], 16);
    for (unsigned k = 0; k < 16; k += size) {
        uint64_t p = 0, q = 0, v;
        memcpy(&p, x + k, size);
        memcpy(&q, y + k, size);
        v = (i->a >> 3 & 3) == 0 ? p + q : (i->a >> 3 & 3) == 1 ? (p == q ? UINT64_MAX : 0) : p & q;
        memcpy(r + k, &v, size);
    }
    for (unsigned k = 0; k < 16 && (i->a >> 3 & 3) == 3; k++) /* tbl */
        r[k] = y[k] < 16 ? x[y[k]] : 0;
    memcpy(VD, r, 16);
}
EMIT(dup)
{
    static const IrType lanes[] = {IR_I8, IR_I16, IR_I32, IR_I64};
    ir_put(b, V0 + i->d, ir_op(b, (IrOp){.code = IR_VSPLAT, .type = IR_V128, .sub = (uint8_t)LANE,
                                         .a = ir_trunc(b, lanes[LANE], ir_get(b, R0 + i->n))}));
}
ORACLE(dup)
{
    for (unsigned k = 0; k < 16; k += 1u << LANE)
        memcpy((uint8_t *)VD + k, &s->regs.r[i->n], 1u << LANE);
}
#define INDEX (i->imm[0] & ((16u >> LANE) - 1))
EMIT(ins_umov)
{
    static const IrType lanes[] = {IR_I8, IR_I16, IR_I32, IR_I64};
    IrRef v = ir_op(b, (IrOp){.code = IR_VINSERT,
                              .type = IR_V128,
                              .sub = (uint8_t)LANE,
                              .imm = INDEX,
                              .a = ir_get(b, V0 + i->d),
                              .b = ir_trunc(b, lanes[LANE], ir_get(b, R0 + i->n))});
    ir_put(b, V0 + i->d, v);
    put(b, i->m, ir_op(b, (IrOp){.code = IR_VEXTRACT, .type = lanes[LANE], .sub = (uint8_t)LANE,
                                 .imm = ((16u >> LANE) - 1) ^ INDEX, .a = v}));
}
ORACLE(ins_umov)
{
    uint64_t v = 0;
    unsigned size = 1u << LANE;
    memcpy((uint8_t *)VD + INDEX * size, &s->regs.r[i->n], size);
    memcpy(&v, (uint8_t *)VD + (((16u >> LANE) - 1) ^ INDEX) * size, size);
    s->regs.r[i->m] = v;
}

#define OP(name, flags) {#name, emit_##name, oracle_##name, flags}
static const Op ops[] = {
    OP(adds, 0), OP(subs, 0), OP(adcs, 0), OP(sbcs, 0), OP(ands, 0), OP(bic, 0), OP(eon, 0),
    OP(ubfx, 0), OP(sbfx, 0), OP(bfi, 0), OP(extr, 0), OP(csinc, 0), OP(ccmp, 0),
    OP(b_cond, OP_BRANCH), OP(cbz, OP_BRANCH), OP(tbz, OP_BRANCH), OP(msub, 0), OP(smulh, 0),
    OP(div, 0), OP(clz, 0), OP(rev, 0), OP(adr, 0), OP(ldr, 0), OP(stp, 0), OP(ldop, 0),
    OP(exclusive, 0), OP(vector2, 0), OP(dup, 0), OP(ins_umov, 0),
};

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_guest_setup(ops, G_N_ELEMENTS(ops));
    test_flags_mask = N | Z | C | V;
    g_test_add_func("/translate/aarch64/each", test_each);
    g_test_add_func("/translate/aarch64/programs", test_programs);
    return g_test_run();
}
