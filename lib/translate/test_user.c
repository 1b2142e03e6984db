/* SPDX-License-Identifier: MIT */
/*
 * User mode: guest memory at host addresses, exceptions that the environment
 * takes. What test_loop.c does not have: faults of wide, atomic and helpers'
 * accesses, code that may not be executed, cannot be read or was changed, kicks,
 * a child after fork, CPUs that come and go while others run. Expected states are
 * written out, and the same with -accel jit, interp and verify.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "translate/test_guest.h"

#define EMIT(name) static void emit_##name(IrBuilder *b, const Insn *i)

static int64_t simm(const Insn *i) { return (int16_t)insn_imm(i); }

EMIT(add) { ir_put(b, R0 + i->d, ir_binary_imm(b, IR_ADD, ir_get(b, R0 + i->n), simm(i))); }
EMIT(jump) { ir_jump(b, b->insn + simm(i)); }
EMIT(go) { ir_jump_indirect(b, ir_get(b, R0 + i->n)); }
EMIT(trap) { ir_raise(b, 7, ir_get(b, R0 + i->n)); }
EMIT(hook) { ir_call(b, HELPER_HOOK, 0, 0, 0, 0); ir_exit_mode(b, b->insn + i->length); }
EMIT(back)
{
    IrRef n = ir_binary_imm(b, IR_SUB, ir_get(b, R0 + i->d), 1);
    ir_put(b, R0 + i->d, n);
    ir_branch(b, ir_cmp(b, IR_NE, n, ir_const(b, IR_I64, 0)), b->insn + simm(i));
}

/* r1 = 5, an access at r15 + imm that puts into r2, r2 = ... */
enum { LOAD8, LOAD64, LOAD_BE, LOAD128, STORE16, STORE128, ADD32, CAS64, CAS128, LINKED, CONDITIONAL,
       HELPER, N_ACCESSES };
EMIT(access)
{
    IrRef at = ir_get(b, R0 + 15), v = ir_get(b, R0 + 3), got = 0;
    int32_t disp = (int32_t)simm(i);
    IrRef place = ir_binary_imm(b, IR_ADD, at, disp);
    ir_put(b, R0 + 1, ir_const(b, IR_I64, 5));
    switch (i->a) {
    case LOAD8: got = ir_load(b, IR_I64, IR_MEM_SIZE(0), at, disp); break;
    case LOAD64: got = ir_load(b, IR_I64, IR_MEM_SIZE(3), at, disp); break;
    case LOAD_BE: got = ir_load(b, IR_I64, IR_MEM_SIZE(2) | IR_MEM_BE, at, disp); break;
    case LOAD128: ir_put(b, V0, ir_load(b, IR_V128, IR_MEM_SIZE(4), at, disp)); break;
    case STORE16: ir_store(b, IR_MEM_SIZE(1), at, disp, ir_trunc(b, IR_I16, v)); break;
    case STORE128: ir_store(b, IR_MEM_SIZE(4), at, disp, ir_get(b, V0)); break;
    case ADD32: got = ir_atomic(b, IR_ATOMIC_ADD, IR_I64, IR_MEM_SIZE(2), place, v); break;
    case CAS64: got = ir_cas(b, IR_I64, IR_MEM_SIZE(3), place, v, v); break;
    case CAS128: {
        IrRef wide = ir_get(b, WIDE);
        ir_put(b, WIDE, ir_cas(b, IR_I128, IR_MEM_SIZE(4), place, wide, wide));
        break;
    }
    case LINKED: got = ir_load_linked(b, IR_I64, IR_MEM_SIZE(3), place); break;
    case CONDITIONAL: got = ir_zext(b, IR_I64, ir_store_cond(b, IR_MEM_SIZE(3), place, v)); break;
    default: got = ir_call(b, HELPER_LOAD, place, 0, 0, 0); break;
    }
    if (got)
        ir_put(b, R0 + 2, got);
}

#define OP(name) {#name, emit_##name, NULL, 0}
enum { ADD, JUMP, GO, TRAP, HOOK, BACK, ACCESS, N_OPS };
static const Op ops[] = {OP(add), OP(jump), OP(go), OP(trap), OP(hook), OP(back), OP(access)};

static Insn insn(unsigned op, unsigned d, unsigned n, int imm)
{
    return (Insn){.op = (uint8_t)op, .length = 8, .d = (uint8_t)d, .n = (uint8_t)n,
                  .imm = {(uint8_t)imm, (uint8_t)(imm >> 8)}};
}

/* the environment */

typedef struct Env {
    unsigned attentions, asked;
    uint64_t forbidden; /* page that must not be executed */
} Env;

static bool executable(void *opaque, uint64_t address)
{
    Env *e = opaque;
    e->asked++;
    return (address & ~(uint64_t)4095) != e->forbidden;
}

static void attention(void *opaque, TranslateCpu *cpu)
{
    __atomic_add_fetch(&((Env *)opaque)->attentions, 1, __ATOMIC_SEQ_CST);
}

static Env env;

static Machine user_machine(TranslateAccel accel)
{
    Machine m = machine_new_sized(accel, true, 1 << 20);
    memset(&env, 0, sizeof env);
    m.cpu->core.env.opaque = &env;
    m.cpu->core.env.executable = executable;
    m.cpu->core.env.attention = attention;
    machine_guard_data(&m);
    m.cpu->regs.r[15] = m.data;
    return m;
}

static void user_free(Machine *m)
{
    machine_unguard_data(m);
    machine_free(m);
}

static void put_program(const Machine *m, const Insn *program, unsigned n)
{
    uint64_t at = m->code;
    for (unsigned i = 0; i < n; i++)
        at = machine_put(m, at, program[i]);
    machine_put(m, at, insn_stop());
}

static void run_at(const Machine *m, uint64_t pc)
{
    m->cpu->core.pc = pc;
    m->cpu->regs.exception = 0;
    test_running = &m->cpu->core;
    translate_run(&m->cpu->core);
}

static const TranslateAccel accels[] = {TRANSLATE_JIT, TRANSLATE_INTERP, TRANSLATE_VERIFY};
#define FOR_ACCELS(m) \
    for (unsigned a_ = 0; a_ < G_N_ELEMENTS(accels); a_++) \
        for (Machine m = user_machine(accels[a_]), *once_ = &m; once_; user_free(&m), once_ = NULL)

/* Each kind of access: fine in the data, and then where there is none. */
static void test_accesses(void)
{
    FOR_ACCELS(m)
        for (unsigned kind = 0; kind < N_ACCESSES; kind++) {
            Insn access = insn(ACCESS, 0, 0, 64);
            access.a = (uint8_t)kind;
            Insn program[] = {insn(ADD, 4, 4, 1), access, insn(ADD, 4, 4, 2), insn(ADD, 5, 1, 1)};
            Regs *regs = &m.cpu->regs;
            put_program(&m, program, G_N_ELEMENTS(program));
            /* a conditional store without its link touches nothing */
            for (unsigned bad = 0; bad < (kind == CONDITIONAL ? 1 : 3); bad++) {
                memset(regs, 0, sizeof *regs);
                regs->r[15] = bad == 1 ? m.data + DATA_SIZE : bad == 2 ? m.data - 4096 : m.data;
                regs->r[2] = 99;
                run_at(&m, m.code);
                if (!bad) {
                    g_assert_cmpuint(regs->exception, ==, 0);
                    g_assert_cmpuint(regs->r[4], ==, 3);
                    g_assert_cmpuint(regs->r[5], ==, 6);
                    continue;
                }
                g_assert_cmpuint(regs->exception, ==, TRANSLATE_HOST_FAULT);
                g_assert_cmphex(regs->exception_value, ==, regs->r[15] + 64);
                g_assert_cmphex(regs->exception_pc, ==, m.code + 8);
                g_assert_cmpuint(regs->r[4], ==, 1);
                g_assert_cmpuint(regs->r[1], ==, 5); /* put before the access */
                g_assert_cmpuint(regs->r[2], ==, 99);
                g_assert_cmpuint(regs->r[5], ==, 0);
            }
        }
}

/* A value that half lies in the page behind: nothing of it is stored. */
static void test_crossing(void)
{
    FOR_ACCELS(m) {
        Insn store = insn(ACCESS, 0, 0, -1);
        store.a = STORE16;
        uint8_t *last = machine_at(&m, m.data) + DATA_SIZE - 1;
        put_program(&m, &store, 1);
        *last = 77;
        m.cpu->regs.r[15] = m.data + DATA_SIZE;
        run_at(&m, m.code);
        g_assert_cmpuint(m.cpu->regs.exception, ==, TRANSLATE_HOST_FAULT);
        g_assert_cmphex(m.cpu->regs.exception_value, ==, m.data + DATA_SIZE);
        g_assert_cmpuint(*last, ==, 77);
    }
}

/* Code in a page that is not there, in one that may not be executed, and in one that was allowed
 * once. */
static void test_executable(void)
{
    FOR_ACCELS(m) {
        Insn go = insn(GO, 0, 3, 0);
        Regs *regs = &m.cpu->regs;
        uint64_t other = m.data, missing = m.data + DATA_SIZE;
        if (((other ^ m.code) >> GUEST_PAGE_BITS & 255) == 0)
            other += GUEST_PAGE_SIZE; /* else both would be remembered in the same place */
        put_program(&m, &go, 1);
        machine_put(&m, other, insn_stop());

        regs->r[3] = missing;
        run_at(&m, m.code);
        g_assert_cmpuint(regs->exception, ==, TRANSLATE_HOST_FAULT);
        g_assert_cmphex(regs->exception_pc, ==, missing);

        regs->r[3] = other;
        run_at(&m, m.code);
        g_assert_cmpuint(regs->exception, ==, 0);
        unsigned asked = env.asked;
        run_at(&m, m.code);
        g_assert_cmpuint(env.asked, ==, asked);

        env.forbidden = other;
        translate_invalidate(m.t, other, 4096);
        run_at(&m, m.code);
        g_assert_cmpuint(regs->exception, ==, FAULT_BUS);
        g_assert_cmphex(regs->exception_value, ==, other);
        env.forbidden = 0;
        translate_invalidate(m.t, 0, UINT64_MAX);
        run_at(&m, m.code);
        g_assert_cmpuint(regs->exception, ==, 0);
    }
}

/* An instruction that begins on a page and ends on one that is not there. */
static void test_half_instruction(void)
{
    FOR_ACCELS(m) {
        Insn add = insn(ADD, 4, 4, 1);
        uint64_t at = m.data + DATA_SIZE - 4;
        memcpy(machine_at(&m, at), &add, 4);
        run_at(&m, at);
        g_assert_cmpuint(m.cpu->regs.exception, ==, TRANSLATE_HOST_FAULT);
        g_assert_cmphex(m.cpu->regs.exception_pc, ==, at);
        g_assert_cmphex(m.cpu->regs.exception_value, ==, m.data + DATA_SIZE);
    }
}

/* Attention after each exception, and after each kick. */
static void test_attention(void)
{
    FOR_ACCELS(m) {
        Insn trap = insn(TRAP, 0, 0, 0), add = insn(ADD, 4, 4, 1);
        unsigned before;
        put_program(&m, &trap, 1);
        run_at(&m, m.code);
        g_assert_cmpuint(m.cpu->regs.exception, ==, 7);
        g_assert_cmpuint(env.attentions, ==, 1);
        put_program(&m, &add, 1);
        m.cpu->core.kicked = 0; /* what remains of the stop */
        before = env.attentions;
        run_at(&m, m.code);
        g_assert_cmpuint(env.attentions, ==, before);
        m.cpu->core.kicked = 0;
        translate_kick(&m.cpu->core);
        run_at(&m, m.code);
        g_assert_cmpuint(env.attentions, ==, before + 1);
    }
}

/* The hook of a loop that goes on for ever: kicks come from another thread. */
static gpointer kicker(gpointer data)
{
    const Machine *m = data;
    for (unsigned i = 0; i < 5; i++) {
        unsigned before = __atomic_load_n(&env.attentions, __ATOMIC_SEQ_CST);
        g_usleep(1000);
        translate_kick(&m->cpu->core);
        while (__atomic_load_n(&env.attentions, __ATOMIC_SEQ_CST) == before)
            g_usleep(100);
    }
    translate_stop(&m->cpu->core);
    return NULL;
}

static void test_kick(void)
{
    FOR_ACCELS(m) {
        Insn program[] = {insn(ADD, 4, 4, 1), insn(ADD, 9, 9, 1), insn(JUMP, 0, 0, -16)};
        put_program(&m, program, G_N_ELEMENTS(program));
        GThread *t = g_thread_new("kicker", kicker, &m);
        run_at(&m, m.code);
        g_thread_join(t);
        g_assert_cmpuint(env.attentions, >=, 5);
        uint64_t gone = m.cpu->regs.r[4] - m.cpu->regs.r[9];
        g_assert_cmpuint(gone, <=, 1);
        g_assert_cmpuint(m.cpu->regs.r[4], >, 100);
    }
}

/*
 * A parent and its child each change the code they have in common, and make more; neither sees
 * anything of the other.
 */
static void change_and_run(const Machine *m, int step, unsigned rounds)
{
    for (unsigned k = 0; k < rounds; k++) {
        Insn loop[] = {insn(ADD, 4, 4, step), insn(BACK, 5, 0, -8)};
        put_program(m, loop, G_N_ELEMENTS(loop));
        m->cpu->regs.r[4] = 0;
        m->cpu->regs.r[5] = 1000;
        run_at(m, m->code);
        g_assert_cmpint((int64_t)m->cpu->regs.r[4], ==, 1000 * step);
    }
}

/* Where a child had to translate, its parent does before the next fork. */
static void test_fork_learn(void)
{
    Machine m = user_machine(TRANSLATE_JIT);
    change_and_run(&m, 1, 3);
    translate_fork_learn(&m.cpu->core); /* the first: from now on children tell */
    translate_fork_prepare(m.t);
    pid_t child = fork();
    if (child == 0) {
        if (!translate_fork_child(m.t, &m.cpu->core, NULL))
            _exit(1);
        translate_invalidate(m.t, m.code, GUEST_PAGE_SIZE);
        uint64_t before = translate_stats(m.t).translated;
        change_and_run(&m, 7, 200);
        _exit(translate_stats(m.t).translated > before ? 0 : 2);
    }
    translate_fork_parent(m.t);
    int status;
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_cmpint(status, ==, 0);
    translate_invalidate(m.t, m.code, GUEST_PAGE_SIZE);
    uint64_t before = translate_stats(m.t).translated;
    uint64_t pc = m.cpu->core.pc;
    translate_fork_learn(&m.cpu->core);
    g_assert_cmpuint(translate_stats(m.t).translated, >, before);
    g_assert_cmphex(m.cpu->core.pc, ==, pc);
    before = translate_stats(m.t).translated;
    translate_fork_learn(&m.cpu->core); /* all is learned */
    g_assert_cmpuint(translate_stats(m.t).translated, ==, before);
    user_free(&m);
}

static void test_fork(void)
{
    FOR_ACCELS(m) {
        GuestEnv none = {.executable = NULL};
        change_and_run(&m, 1, 3);
        /* in the child they go with the others' threads */
        TranslateCpu *others[] = {translate_cpu_new(m.t, &none, NULL),
                                  translate_cpu_new(m.t, &none, NULL)};
        translate_fork_prepare(m.t);
        pid_t child = fork();
        if (child == 0) {
            /* code pages of the test are private to each process as data is */
            if (!translate_fork_child(m.t, &m.cpu->core, NULL))
                _exit(1);
            m.cpu->regs.r[5] = 1000;
            m.cpu->regs.r[4] = 0;
            run_at(&m, m.code); /* as it was translated before */
            if (m.cpu->regs.r[4] != 1000)
                _exit(2);
            change_and_run(&m, 7, 200);
            _exit(0);
        }
        translate_fork_parent(m.t);
        change_and_run(&m, 3, 200);
        int status;
        g_assert_cmpint(waitpid(child, &status, 0), ==, child);
        g_assert_cmpint(status, ==, 0);
        translate_cpu_free(others[0]);
        translate_cpu_free(others[1]);
        change_and_run(&m, 2, 3);
    }
}

/* CPUs come and go while another one fills the code cache again and again. */
static gpointer come_and_go(gpointer data)
{
    const Machine *m = data;
    static unsigned done;
    for (unsigned i = 0; i < 300; i++) {
        TranslateCpu *cpu = translate_cpu_new(m->t, &m->cpu->core.env, NULL);
        ((TestCpu *)cpu)->handler = m->cpu->handler;
        ((TestCpu *)cpu)->regs.r[5] = 50;
        cpu->pc = m->code;
        test_running = cpu;
        translate_run(cpu);
        g_assert_cmpuint(((TestCpu *)cpu)->regs.r[4], ==, 50);
        translate_cpu_free(cpu);
    }
    __atomic_add_fetch(&done, 1, __ATOMIC_SEQ_CST);
    return &done;
}

static void test_cpus(void)
{
    Machine m = user_machine(TRANSLATE_JIT);
    Insn loop[] = {insn(ADD, 4, 4, 1), insn(BACK, 5, 0, -8)};
    unsigned flushes = 0, *done;
    put_program(&m, loop, G_N_ELEMENTS(loop));
    m.cpu->core.env.executable = NULL; /* it counts */
    GThread *t = g_thread_new("comes and goes", come_and_go, &m);
    for (unsigned k = 0; k < 40000; k++) {
        Insn more[] = {insn(ADD, 6, 6, 1), insn(ADD, 7, 6, 1)};
        uint64_t at = m.data + 16 * (k & 255);
        machine_put(&m, machine_put(&m, machine_put(&m, at, more[0]), more[1]), insn_stop());
        run_at(&m, at);
    }
    flushes = (unsigned)translate_stats(m.t).flushes;
    done = g_thread_join(t);
    g_assert_cmpuint(*done, ==, 1);
    g_assert_cmpuint(flushes, >, 0);
    g_assert_cmpuint(m.cpu->regs.r[6], ==, 40000);
    user_free(&m);
}

/* The same where guest address 0 is elsewhere: within a displacement, and not. */
static void test_base(void)
{
    static const uint64_t bases[] = {0x3000, UINT64_C(0x5000000000), (uint64_t)-0x700000000000};
    for (unsigned i = 0; i < G_N_ELEMENTS(bases); i++) {
        test_memory_base = bases[i];
        test_accesses();
        test_crossing();
        test_executable();
        test_half_instruction();
        test_fork();
    }
    test_memory_base = 0;
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_guest_setup(ops, N_OPS);
    g_test_add_func("/translate/user/accesses", test_accesses);
    g_test_add_func("/translate/user/crossing", test_crossing);
    g_test_add_func("/translate/user/executable", test_executable);
    g_test_add_func("/translate/user/half-instruction", test_half_instruction);
    g_test_add_func("/translate/user/attention", test_attention);
    g_test_add_func("/translate/user/kick", test_kick);
    g_test_add_func("/translate/user/fork", test_fork);
    g_test_add_func("/translate/user/fork-learn", test_fork_learn);
    g_test_add_func("/translate/user/base", test_base);
    g_test_add_func("/translate/user/cpus", test_cpus);
    return g_test_run();
}
