/* SPDX-License-Identifier: MIT */
/*
 * What holds between instructions and regions: branches inside a region,
 * helpers, precise exceptions, code that is written over, instructions across
 * pages, a full cache, kicks, calls and returns of any depth and order, several
 * CPUs, address spaces. The oracle is C, or what the program must come to.
 */
#include "translate/test_guest.h"

enum { LINK = 13 };
#define EMIT(name) static void emit_##name(IrBuilder *b, const Insn *i)
#define ORACLE(name) static void oracle_##name(State *s, const Insn *i)

static int64_t simm(const Insn *i) { return (int16_t)insn_imm(i); }

EMIT(add) { ir_put(b, R0 + i->d, ir_binary_imm(b, IR_ADD, ir_get(b, R0 + i->d), simm(i))); }
ORACLE(add) { s->regs.r[i->d] += (uint64_t)simm(i); }
EMIT(mov) { ir_put(b, R0 + i->d, ir_get(b, R0 + i->n)); }
ORACLE(mov) { s->regs.r[i->d] = s->regs.r[i->n]; }
EMIT(branch)
{
    ir_branch(b, ir_cmp(b, IR_NE, ir_get(b, R0 + i->d), ir_const(b, IR_I64, 0)), b->insn + simm(i));
}
ORACLE(branch) { s->skip = s->regs.r[i->d] != 0; }

/* d = sum of all odd k below n & 63, by a loop with a skip in it */
EMIT(sum)
{
    unsigned top = ir_label_new(b), even = ir_label_new(b), end = ir_label_new(b);
    ir_put(b, CTR, ir_binary_imm(b, IR_AND, ir_get(b, R0 + i->n), 63));
    ir_put(b, R0 + i->d, ir_const(b, IR_I64, 0));
    ir_label(b, top);
    IrRef k = ir_get(b, CTR);
    ir_brcond(b, ir_cmp(b, IR_EQ, k, ir_const(b, IR_I64, 0)), end);
    k = ir_binary_imm(b, IR_SUB, k, 1);
    ir_put(b, CTR, k);
    ir_brcond(b, ir_trunc(b, IR_I8, ir_binary_imm(b, IR_XOR, ir_binary_imm(b, IR_AND, k, 1), 1)),
              even);
    ir_put(b, R0 + i->d, ir_binary(b, IR_ADD, ir_get(b, R0 + i->d), k));
    ir_label(b, even);
    ir_br(b, top);
    ir_label(b, end);
}

ORACLE(sum)
{
    uint64_t n = s->regs.r[i->n] & 63, sum = 0;
    for (uint64_t k = 0; k < n; k++)
        sum += k & 1 ? k : 0;
    s->regs.r[i->d] = sum;
    s->regs.ctr = 0;
}

EMIT(mix)
{
    ir_put(b, R0 + i->d, ir_call(b, HELPER_MIX, ir_get(b, R0 + i->n), ir_get(b, R0 + i->m), 0, 0));
}
ORACLE(mix)
{
    uint64_t a = s->regs.r[i->n], c = s->regs.r[i->m];
    s->regs.r[3] ^= a + s->regs.r[2];
    s->regs.carry ^= 1;
    s->regs.v[1][1] += c;
    s->regs.r[i->d] = s->regs.r[5] * 3 + c;
}

EMIT(look)
{
    ir_put(b, R0 + 1,
           ir_binary_imm(b, IR_ADD, ir_get(b, R0 + 1), 9)); /* which the helper must see */
    ir_put(b, R0 + i->d, ir_call(b, HELPER_LOOK, ir_get(b, R0 + i->n), 0, 0, 0));
}
ORACLE(look)
{
    s->regs.r[1] += 9;
    s->regs.r[i->d] = s->regs.r[1] + 7 * s->regs.r[12] + s->regs.flags + s->regs.v[0][0] +
                      s->regs.r[i->n];
}

/* a trap in the middle: what was put before stays, what comes after does not happen */
EMIT(trap)
{
    unsigned over = ir_label_new(b);
    IrRef n = ir_get(b, R0 + i->n);
    ir_put(b, R0 + i->d, ir_const(b, IR_I64, 77));
    ir_brcond(b, ir_cmp(b, IR_NE, ir_binary_imm(b, IR_AND, n, 7), ir_const(b, IR_I64, 5)), over);
    ir_raise(b, 40, ir_binary_imm(b, IR_ADD, ir_get(b, R0 + i->n), 1));
    b->flow = IR_NEXT;
    ir_label(b, over);
    ir_put(b, R0 + i->m, ir_const(b, IR_I64, 78));
}
ORACLE(trap)
{
    uint64_t n = s->regs.r[i->n];
    s->regs.r[i->d] = 77;
    if ((n & 7) == 5)
        state_raise(s, 40, s->regs.r[i->n] + 1);
    else
        s->regs.r[i->m] = 78;
}

/* d = 77; m = 8 bytes at n (or unmapped memory past the data when n & 3 is 0) */
EMIT(fault)
{
    IrRef n = ir_get(b, R0 + i->n), zero = ir_const(b, IR_I64, 0);
    IrRef bad = ir_cmp(b, IR_EQ, ir_binary_imm(b, IR_AND, n, 3), zero);
    IrRef at = ir_binary(b, IR_ADD, ir_get(b, R0 + 15),
                         ir_select(b, bad, ir_const(b, IR_I64, 1 << 17), zero));
    ir_put(b, R0 + i->d, ir_const(b, IR_I64, 77));
    IrRef v = i->a & 1 ? ir_call(b, HELPER_LOAD, at, 0, 0, 0)
                       : ir_load(b, IR_I64, IR_MEM_SIZE(3), at, 0);
    ir_put(b, R0 + i->m, v);
}
ORACLE(fault)
{
    bool bad = (s->regs.r[i->n] & 3) == 0;
    s->regs.r[i->d] = 77;
    if (bad)
        state_raise(s, FAULT_PAGE, s->regs.r[15] + (1 << 17));
    else
        memcpy(&s->regs.r[i->m], state_at(s, s->regs.r[15]), 8);
}

/* without an oracle */
EMIT(jump) { ir_jump(b, b->insn + simm(i)); }
EMIT(call)
{
    ir_put(b, R0 + LINK, ir_pc(b, b->insn + i->length));
    ir_call_direct(b, b->insn + simm(i), b->insn + i->length);
}
EMIT(ret) { ir_return(b, ir_get(b, R0 + LINK)); }
EMIT(store) { ir_store(b, IR_MEM_SIZE(3), ir_get(b, R0 + i->n), 0, ir_get(b, R0 + i->d)); }
EMIT(atomic)
{
    ir_atomic(b, IR_ATOMIC_ADD, IR_I64, IR_MEM_SIZE(3), ir_get(b, R0 + i->n), ir_get(b, R0 + i->d));
}
EMIT(hook)
{
    ir_call(b, HELPER_HOOK, 0, 0, 0, 0);
    ir_exit_mode(b, b->insn + i->length);
}
EMIT(equal)
{
    ir_branch(b, ir_cmp(b, IR_EQ, ir_get(b, R0 + i->d), ir_get(b, R0 + i->n)), b->insn + simm(i));
}

#define OP(name, flags) {#name, emit_##name, oracle_##name, flags}
#define BARE(name) {#name, emit_##name, NULL, OP_SINGLE}
enum { ADD, MOV, BRANCH, SUM, MIX, LOOK, TRAP, FAULT, WITH_ORACLE, JUMP = WITH_ORACLE, CALL, RET,
      STORE, ATOMIC, HOOK, EQUAL };
static const Op ops[] = {
    OP(add, 0), OP(mov, 0), OP(branch, OP_BRANCH), OP(sum, 0), OP(mix, 0), OP(look, 0), OP(trap, 0),
    OP(fault, 0), BARE(jump), BARE(call), BARE(ret), BARE(store), BARE(atomic), BARE(hook),
    BARE(equal),
};


static Insn insn(unsigned op, unsigned d, unsigned n, int imm)
{
    return (Insn){.op = (uint8_t)op, .length = 8, .d = (uint8_t)d, .n = (uint8_t)n,
                  .imm = {(uint8_t)imm, (uint8_t)((unsigned)imm >> 8)}};
}

typedef struct Way {
    TranslateAccel accel;
    bool direct;
} Way;

static const Way ways[] = {{TRANSLATE_INTERP, false}, {TRANSLATE_JIT, false}, {TRANSLATE_JIT, true},
                           {TRANSLATE_VERIFY, false}};

static void go(Machine *m)
{
    m->cpu->core.pc = m->code;
    translate_run(&m->cpu->core);
}

/* Random programs; memory that faults only behind a page table. */
static void test_random_programs(void)
{
    test_n_ops = FAULT;
    test_each();
    test_programs();
    test_n_ops = WITH_ORACLE;
    for (unsigned w = 0; w < G_N_ELEMENTS(ways); w++) {
        if (ways[w].direct)
            continue;
        Machine m = machine_new(ways[w].accel, false);
        g_autoptr(GRand) r = g_rand_new_with_seed(5);
        for (unsigned k = 0; k < 200; k++) {
            Insn program[10];
            for (unsigned i = 0; i < 10; i++)
                program[i] = random_insn(g_rand_int_range(r, 0, 3)
                                             ? (unsigned)g_rand_int_range(r, 0, WITH_ORACLE)
                                             : FAULT,
                                         r);
            fix_branches(program, 10);
            g_assert_true(check_program(&m, "precise faults", program, 10, 5, r));
        }
        machine_free(&m);
    }
}

/*
 * The guest writes over code that it has run, on its own page and on another; so does DMA. The new
 * code is reached by a jump back or to another page, so in another region: what a store changes
 * further on in its own region is seen only when that is entered again.
 */
static void test_self_modifying(void)
{
    for (unsigned w = 0; w < G_N_ELEMENTS(ways); w++) {
        if (ways[w].direct)
            continue; /* there the user-mode runner catches the write */
        Machine m = machine_new(ways[w].accel, false);
        for (unsigned page = 0; page < 2; page++) {
            uint64_t target = m.code + 0x100 + page * 4096, start = m.code + 0x200;
            machine_put(&m, start, insn(STORE, 2, 3, 0));
            machine_put(&m, start + 8, insn(JUMP, 0, 0, (int)(int64_t)(target - start - 8)));
            machine_put(&m, target + 8, insn_stop());
            for (int k = 1; k < 200; k++) {
                Insn new = insn(ADD, 1, 0, k);
                m.cpu->regs.r[1] = 0;
                memcpy(&m.cpu->regs.r[2], &new, 8);
                m.cpu->regs.r[3] = target;
                m.cpu->core.pc = start;
                translate_run(&m.cpu->core);
                g_assert_cmpint(m.cpu->regs.r[1], ==, k);
                if (k % 3 == 0) { /* the same by DMA */
                    machine_put(&m, target, insn(ADD, 1, 0, k + 1000));
                    m.cpu->core.pc = target;
                    translate_run(&m.cpu->core);
                    g_assert_cmpint(m.cpu->regs.r[1], ==, 2 * k + 1000);
                }
            }
        }
        machine_free(&m);
    }
}

static void test_page_crossing(void)
{
    for (unsigned w = 0; w < G_N_ELEMENTS(ways); w++) {
        Machine m = machine_new(ways[w].accel, ways[w].direct);
        for (unsigned before = 1; before < 15; before++) {
            uint64_t start = m.code + 4096 - before;
            for (int k = 1; k < 20; k++) {
                Insn i = insn(ADD, 1, 0, k * 7);
                i.length = 15;
                machine_put(&m, start, i);
                machine_put(&m, start + 15, insn_stop());
                m.cpu->regs.r[1] = 0;
                m.cpu->core.pc = start;
                translate_run(&m.cpu->core);
                g_assert_cmpint(m.cpu->regs.r[1], ==, k * 7);
            }
        }
        machine_free(&m);
    }
}

static void test_cache_full(void)
{
    for (unsigned w = 0; w < G_N_ELEMENTS(ways); w++) {
        Machine m = machine_new_sized(ways[w].accel, ways[w].direct, 1 << 20);
        uint64_t at = m.code;
        for (int k = 0; k < 20; k++)
            at = machine_put(&m, at, insn(ADD, (unsigned)k % 9, 0, k + 1));
        machine_put(&m, at, insn_stop());
        for (uint32_t mode = 0; mode < 6000; mode++) {
            memset(m.cpu->regs.r, 0, sizeof m.cpu->regs.r);
            m.cpu->regs.order = mode;
            go(&m);
            g_assert_cmpint(m.cpu->regs.r[0], ==, 1 + 10 + 19);
            g_assert_cmpint(m.cpu->regs.r[8], ==, 9 + 18);
        }
        machine_free(&m);
    }
}

static gpointer stop_soon(gpointer cpu)
{
    g_usleep(20000);
    translate_stop(cpu);
    return NULL;
}

static void stop_it(Machine *m)
{
    gint64 start = g_get_monotonic_time();
    GThread *t = g_thread_new("stop", stop_soon, m->cpu);
    go(m);
    g_assert_cmpint(g_get_monotonic_time() - start, <, 1000000);
    g_thread_join(t);
}

static void test_stop(void)
{
    for (unsigned w = 0; w < G_N_ELEMENTS(ways); w++) {
        Machine m = machine_new(ways[w].accel, ways[w].direct);
        machine_put(&m, m.code, insn(JUMP, 0, 0, 0));
        stop_it(&m);
        m.cpu->regs.r[1] = 1;
        machine_put(&m, m.code, insn(BRANCH, 1, 0, 0));
        stop_it(&m);
        machine_put(&m, m.code, insn(JUMP, 0, 0, 4096));
        machine_put(&m, m.code + 4096, insn(JUMP, 0, 0, -4096));
        stop_it(&m);
        machine_put(&m, m.code, insn(CALL, 0, 0, 0)); /* calls itself for ever */
        stop_it(&m);
        machine_put(&m, m.code, insn(ADD, 2, 0, 1));
        machine_put(&m, m.code + 8, insn(CALL, 0, 0, 24)); /* call and return in a loop */
        machine_put(&m, m.code + 16, insn(JUMP, 0, 0, -16));
        machine_put(&m, m.code + 32, insn(RET, 0, 0, 0));
        stop_it(&m);
        g_assert_cmpint(m.cpu->regs.r[2], >, 0);
        machine_free(&m);
    }
}

/* 100000 calls deep, then as many returns. */
static void test_deep_calls(void)
{
    for (unsigned w = 0; w < G_N_ELEMENTS(ways); w++) {
        Machine m = machine_new(ways[w].accel, ways[w].direct);
        uint64_t at = m.code;
        at = machine_put(&m, at, insn(ADD, 1, 0, -1));
        at = machine_put(&m, at, insn(BRANCH, 1, 0, 16));
        at = machine_put(&m, at, insn(RET, 0, 0, 0));
        at = machine_put(&m, at, insn(CALL, 0, 0, -24));
        at = machine_put(&m, at, insn(ADD, 2, 0, 1));   /* every return comes here */
        at = machine_put(&m, at, insn(EQUAL, 2, 3, 16));
        at = machine_put(&m, at, insn(RET, 0, 0, 0));
        at = machine_put(&m, at, insn_stop());
        for (unsigned n = 1; n <= 100000; n *= 10) {
            m.cpu->regs.r[1] = n + 1;
            m.cpu->regs.r[2] = 0;
            m.cpu->regs.r[3] = n;
            go(&m);
            g_assert_cmpint(m.cpu->regs.r[1], ==, 0);
            g_assert_cmpint(m.cpu->regs.r[2], ==, n);
        }
        machine_free(&m);
    }
}

/* The inner of two calls returns to the outer one's caller. */
static void test_mismatched_returns(void)
{
    for (unsigned w = 0; w < G_N_ELEMENTS(ways); w++) {
        Machine m = machine_new(ways[w].accel, ways[w].direct);
        machine_put(&m, m.code, insn(CALL, 0, 0, 0x100));
        machine_put(&m, m.code + 8, insn(ADD, 1, 0, -1));
        machine_put(&m, m.code + 16, insn(BRANCH, 1, 0, -16));
        machine_put(&m, m.code + 24, insn_stop());
        machine_put(&m, m.code + 0x100, insn(MOV, 6, LINK, 0));
        machine_put(&m, m.code + 0x108, insn(CALL, 0, 0, 0xef8)); /* on the next page */
        machine_put(&m, m.code + 0x110, insn(ADD, 4, 0, 1)); /* never */
        machine_put(&m, m.code + 0x118, insn_stop());
        machine_put(&m, m.code + 0x1000, insn(MOV, LINK, 6, 0));
        machine_put(&m, m.code + 0x1008, insn(ADD, 2, 0, 1));
        machine_put(&m, m.code + 0x1010, insn(RET, 0, 0, 0));
        m.cpu->regs.r[1] = 20000;
        m.cpu->regs.r[2] = m.cpu->regs.r[4] = 0;
        go(&m);
        g_assert_cmpint(m.cpu->regs.r[2], ==, 20000);
        g_assert_cmpint(m.cpu->regs.r[4], ==, 0);
        machine_free(&m);
    }
}

static gpointer run_cpu(gpointer cpu)
{
    translate_run(cpu);
    return NULL;
}

static void test_two_cpus(void)
{
    for (unsigned w = 0; w < 3; w++) {
        enum { TIMES = 100000 };
        Machine m = machine_new(ways[w].accel, ways[w].direct);
        GuestEnv env = {.ram = test_ram};
        TestCpu *two[2] = {m.cpu, (TestCpu *)translate_cpu_new(m.t, &env, NULL)};
        GThread *threads[2];
        machine_put(&m, m.code, insn(ATOMIC, 2, 3, 0));
        machine_put(&m, m.code + 8, insn(ADD, 1, 0, -1));
        machine_put(&m, m.code + 16, insn(BRANCH, 1, 0, -16));
        machine_put(&m, m.code + 24, insn_stop());
        memset(machine_at(&m, m.data), 0, 8);
        for (unsigned c = 0; c < 2; c++) {
            two[c]->regs.r[1] = TIMES;
            two[c]->regs.r[2] = c + 1;
            two[c]->regs.r[3] = m.data;
            two[c]->core.pc = m.code;
            threads[c] = g_thread_new("cpu", run_cpu, two[c]);
        }
        for (unsigned c = 0; c < 2; c++)
            g_thread_join(threads[c]);
        uint64_t sum;
        memcpy(&sum, machine_at(&m, m.data), 8);
        g_assert_cmpint(sum, ==, 3 * TIMES);
        translate_cpu_free(&two[1]->core);
        machine_free(&m);
    }
}

/* The same virtual page leads to one and to another physical page, every tenth time round. */
static unsigned rounds;
static void remap(TestCpu *cpu)
{
    if (++rounds % 10)
        return;
    test_page_map[(VA_CODE >> 12) + 1] ^= 5 ^ 2;
    cpu->core.tag = translate_tag_new(&cpu->core);
    translate_tlb_flush(&cpu->core, ~0u, false);
}

static void test_address_spaces(void)
{
    for (unsigned w = 0; w < G_N_ELEMENTS(ways); w++) {
        if (ways[w].direct)
            continue;
        Machine m = machine_new(ways[w].accel, false);
        test_hook = remap;
        rounds = 0;
        machine_put(&m, m.code, insn(JUMP, 0, 0, 4096));
        machine_put(&m, m.code + 8, insn(HOOK, 0, 0, 0));
        machine_put(&m, m.code + 16, insn(ADD, 5, 0, -1));
        machine_put(&m, m.code + 24, insn(BRANCH, 5, 0, -24));
        machine_put(&m, m.code + 32, insn_stop());
        for (unsigned k = 0; k < 2; k++) {
            machine_put(&m, m.code + 4096, insn(ADD, 1, 0, k ? 1000 : 1));
            machine_put(&m, m.code + 4104, insn(JUMP, 0, 0, -4096));
            test_page_map[(VA_CODE >> 12) + 1] ^= 5 ^ 2;
        }
        g_assert_cmpint(test_page_map[(VA_CODE >> 12) + 1], ==, 5);
        m.cpu->regs.r[1] = 0;
        m.cpu->regs.r[5] = 200;
        go(&m);
        g_assert_cmpint(m.cpu->regs.r[1], ==, 100 * 1 + 100 * 1000);
        machine_free(&m);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_guest_setup(ops, G_N_ELEMENTS(ops));
    g_test_add_func("/translate/region/programs", test_random_programs);
    g_test_add_func("/translate/region/self-modifying", test_self_modifying);
    g_test_add_func("/translate/region/page-crossing", test_page_crossing);
    g_test_add_func("/translate/region/cache-full", test_cache_full);
    g_test_add_func("/translate/region/stop", test_stop);
    g_test_add_func("/translate/region/deep-calls", test_deep_calls);
    g_test_add_func("/translate/region/mismatched-returns", test_mismatched_returns);
    g_test_add_func("/translate/region/two-cpus", test_two_cpus);
    g_test_add_func("/translate/region/address-spaces", test_address_spaces);
    return g_test_run();
}
