/* SPDX-License-Identifier: MIT */
/*
 * Loops, which the compiler makes as one region with registers of its own, and
 * accesses off one base, which share the check of their page: random loops with
 * jumps forward in them and out of them, accesses that walk over a page's end
 * into another page and into none, helpers that look at the state. The oracle is
 * the interpreter, which knows of neither.
 */
#include "translate/test_guest.h"

enum { POINTER = 12, COUNT = 13, BODY = 10, ROUNDS = 12 };
#define EMIT(name) static void emit_##name(IrBuilder *b, const Insn *i)

static int64_t simm(const Insn *i) { return (int16_t)insn_imm(i); }

EMIT(alu)
{
    static const uint8_t codes[] = {IR_ADD, IR_SUB, IR_XOR, IR_AND, IR_OR, IR_MUL};
    IrRef n = ir_get(b, R0 + i->n), m = ir_get(b, R0 + i->m);
    if (i->a & 0x80) { /* on words, as RV64 does it */
        n = ir_trunc(b, IR_I32, n);
        m = ir_trunc(b, IR_I32, m);
    }
    ir_put(b, R0 + i->d, ir_sext(b, IR_I64, ir_binary(b, codes[i->a % 6], n, m)));
}

EMIT(step)
{
    ir_put(b, R0 + POINTER, ir_binary_imm(b, IR_ADD, ir_get(b, R0 + POINTER), i->a & 15));
}

EMIT(skip)
{
    ir_branch(b, ir_cmp(b, i->a & 1 ? IR_EQ : IR_LTU, ir_get(b, R0 + i->n), ir_get(b, R0 + i->m)),
              b->insn + simm(i));
}

EMIT(jump) { ir_jump(b, b->insn + simm(i)); }

/* Some accesses off one base, a fault in the middle of which leaves the earlier ones done. */
EMIT(frame)
{
    IrRef base = ir_get(b, R0 + (i->a & 1 ? POINTER : 15));
    for (unsigned k = 0; k < 4; k++) {
        unsigned what = i->a >> 1 >> k & 7, r = (i->n + k) % COUNT;
        int32_t disp = (int32_t)(i->m * 4 + k * (i->imm[0] & 31));
        IrMem mem = IR_MEM_SIZE(what & 3);
        static const IrType types[] = {IR_I8, IR_I16, IR_I32, IR_I64};
        if (what & 4) {
            ir_store(b, mem, base, disp, ir_trunc(b, types[what & 3], ir_get(b, R0 + r)));
        } else if (r != POINTER) {
            ir_put(b, R0 + r, ir_load(b, IR_I64, mem | (i->imm[1] & 1 && (what & 3) != 3
                                                            ? IR_MEM_SIGNED
                                                            : 0), base, disp));
        }
    }
}

EMIT(floats)
{
    IrRef base = ir_get(b, R0 + 15);
    IrRef x = ir_load(b, IR_F64, IR_MEM_SIZE(3), base, 8), y = ir_get(b, F0 + (i->n & 7));
    ir_store(b, IR_MEM_SIZE(3), base, 24, y);
    ir_put(b, F0 + (i->m & 7), x);
    ir_put(b, F0 + (i->d & 7), y);
}

/* Sums and shifts with several users, as an address is made of them. */
EMIT(address)
{
    IrRef v[10] = {ir_get(b, R0 + i->n), ir_get(b, R0 + i->m), ir_get(b, R0 + POINTER)};
    uint32_t bits = (uint32_t)insn_imm(i) << 8 | i->a;
    unsigned n = 3;
    while (n < 10) {
        bits = bits * 1664525 + 1013904223;
        IrRef x = v[(bits >> 8) % n], y = v[(bits >> 12) % n];
        if (bits >> 28 & 1)
            v[n++] = ir_binary(b, IR_ADD, x, y);
        else if (bits >> 29 & 1)
            v[n++] = ir_binary_imm(b, IR_SHL, x, bits >> 16 & 3);
        else
            v[n++] = ir_binary_imm(b, IR_ADD, x, (int32_t)(bits << 3));
    }
    ir_put(b, R0 + i->d, v[9]);
    if (bits & 1 << 20)
        ir_put(b, R0 + (i->d + 1) % POINTER, v[7]);
    if (bits & 1 << 21)
        ir_put(b, R0 + (i->d + 2) % POINTER, v[6]);
}

/* Whole vectors, and floats in their low parts, as some ISAs keep them. */
EMIT(vectors)
{
    unsigned d = V0 + (i->d & 7);
    IrRef x = ir_get(b, V0 + (i->n & 7)), y = ir_get(b, V0 + (i->m & 7)), base = ir_get(b, R0 + 15);
    IrType t = i->a & 8 ? IR_F64 : IR_F32;
    IrRef fx = ir_vextract(b, t, x, 0), fy = ir_vextract(b, t, y, i->a >> 4 & 1);
    switch (i->a & 7) {
    case 0: ir_put(b, d, ir_vector(b, IR_VADD, i->a >> 3 & 3, x, y)); break;
    case 1: ir_put(b, d, ir_load(b, IR_V128, IR_MEM_SIZE(4), base, i->imm[0])); break;
    case 2: ir_store(b, IR_MEM_SIZE(4), base, i->imm[0], x); break;
    case 3: ir_put(b, d, ir_vzext(b, ir_vextract(b, t, y, 0))); break;
    case 4: ir_put(b, d, ir_vinsert(b, x, 1, fx)); break;
    default:
        ir_put(b, d, ir_vzext(b, ir_fop2(b, i->a & 1 ? IR_FADD : IR_FMUL, fx, fy, IR_RDYN)));
        if (i->a & 32) /* the other one again, from where it is now */
            ir_put(b, V0 + (i->m & 7), ir_vzext(b, ir_vextract(b, t, ir_get(b, d), 0)));
        break;
    }
}

EMIT(look) { ir_put(b, R0 + i->d, ir_call(b, HELPER_LOOK, ir_get(b, R0 + i->n), 0, 0, 0)); }
EMIT(mix)
{
    ir_put(b, R0 + i->d, ir_call(b, HELPER_MIX, ir_get(b, R0 + i->n), ir_get(b, R0 + i->m), 0, 0));
}

EMIT(again)
{
    IrRef n = ir_binary_imm(b, IR_SUB, ir_get(b, R0 + COUNT), 1);
    ir_put(b, R0 + COUNT, n);
    ir_branch(b, ir_cmp(b, IR_NE, n, ir_const(b, IR_I64, 0)), b->insn + simm(i));
}

#define OP(name) {#name, emit_##name, NULL, 0}
enum { ALU, STEP, SKIP, JUMP, FRAME, FLOATS, LOOK, MIX, AGAIN, ADDRESS, VECTORS, N_OPS };
static const Op ops[] = {OP(alu),    OP(step), OP(skip), OP(jump), OP(frame),
                         OP(floats), OP(look), OP(mix),  OP(again), OP(address), OP(vectors)};

static unsigned random_op(GRand *r)
{
    static const uint8_t often[] = {ALU, ADDRESS, VECTORS, FRAME, FRAME, SKIP, VECTORS, STEP, ALU, FLOATS};
    unsigned k = (unsigned)g_rand_int_range(r, 0, 24);
    return k < 20 ? often[k % 10] : k == 20 ? JUMP : k == 21 ? LOOK : k == 22 ? MIX : SKIP;
}

/* Jumps go forward, at most behind the loop; `again` goes back to the start or to the one after
 * it. */
static void make_program(Insn *program, unsigned n, GRand *r)
{
    for (unsigned i = 0; i < n; i++) {
        Insn *p = &program[i];
        *p = random_insn(i + 1 < n ? random_op(r) : AGAIN, r);
        p->d = (uint8_t)g_rand_int_range(r, 0, POINTER);
        p->n = (uint8_t)g_rand_int_range(r, 0, POINTER);
        p->m = (uint8_t)g_rand_int_range(r, 0, POINTER);
        int to = p->op == AGAIN ? -8 * ((int)i - (g_rand_int_range(r, 0, 8) == 0))
                                : 8 * g_rand_int_range(r, 1, (gint32)(n - i) + 1);
        if (p->op == SKIP || p->op == JUMP || p->op == AGAIN) {
            p->imm[0] = (uint8_t)to;
            p->imm[1] = (uint8_t)(to >> 8);
        }
    }
}

static void prepare(State *s, GRand *r)
{
    s->regs.r[COUNT] = (uint64_t)g_rand_int_range(r, 1, ROUNDS);
    s->regs.r[POINTER] = s->base + (g_rand_boolean(r) ? 4096 : 8192) -
                         (uint64_t)g_rand_int_range(r, 0, 200);
}

static void random_loops(unsigned count, bool direct)
{
    static State before, expected, got;
    static const TranslateAccel accels[] = {TRANSLATE_INTERP, TRANSLATE_JIT, TRANSLATE_VERIFY};
    Machine m[G_N_ELEMENTS(accels)];
    g_autoptr(GRand) r = g_rand_new_with_seed((guint32)g_test_rand_int());
    for (unsigned a = 0; a < G_N_ELEMENTS(accels); a++)
        m[a] = machine_new(accels[a], direct);
    if (direct)
        machine_guard_data(&m[0]);
    for (unsigned a = 1; a < G_N_ELEMENTS(accels); a++)
        m[a].data = m[0].data;
    for (unsigned k = 0; k < count; k++) {
        Insn program[BODY];
        unsigned n = (unsigned)g_rand_int_range(r, 2, BODY + 1);
        make_program(program, n, r);
        for (unsigned a = 0; a < G_N_ELEMENTS(accels); a++) {
            uint64_t at = m[a].code;
            for (unsigned i = 0; i < n; i++)
                at = machine_put(&m[a], at, program[i]);
            machine_put(&m[a], at, insn_stop());
            machine_put(&m[a], at + 8, insn_stop()); /* for a jump behind the loop */
        }
        for (unsigned i = 0; i < 4; i++) {
            random_state(&before, &m[0], r);
            run_machine(&m[0], &before, &expected);
            expected.undefined = 0;
            for (unsigned a = 1; a < G_N_ELEMENTS(accels); a++) {
                run_machine(&m[a], &before, &got);
                if (!compare_states(&expected, &got, a == 1 ? "the compiler" : "verify")) {
                    print_program(&before, program, n);
                    g_assert_not_reached();
                }
            }
        }
    }
    if (direct)
        machine_unguard_data(&m[0]);
    for (unsigned a = 0; a < G_N_ELEMENTS(accels); a++)
        machine_free(&m[a]);
}

static void test_random_loops(void)
{
    random_loops(g_test_slow() ? 20000 : 1500, false);
}

/* Guest memory at host addresses: the fault is the host's. */
static void test_user(void)
{
    random_loops(g_test_slow() ? 20000 : 1500, true);
    test_memory_base = UINT64_C(0x5000000000);
    random_loops(g_test_slow() ? 5000 : 500, true);
    test_memory_base = 0;
}

/* Loads and stores off one base where only the loads are allowed. */
static void test_read_only_page(void)
{
    test_read_only[(VA_DATA >> 12) + 1] = true;
    random_loops(g_test_slow() ? 5000 : 500, false);
    test_read_only[(VA_DATA >> 12) + 1] = false;
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_guest_setup(ops, N_OPS);
    test_prepare = prepare;
    g_test_add_func("/translate/loop/random", test_random_loops);
    g_test_add_func("/translate/loop/user", test_user);
    g_test_add_func("/translate/loop/read-only-page", test_read_only_page);
    return g_test_run();
}
