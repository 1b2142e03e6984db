/* SPDX-License-Identifier: MIT */
/*
 * A program in user mode on riscv64: what reaches the environment as an
 * exception, with which number, value, pc and registers; FENCE.I; rounding modes;
 * privileged instructions and CSRs refused; counters. Expected numbers are those
 * of the privileged ISA. With -accel jit, interp and verify.
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "guest/riscv/harness_priv.h"

#define PAGES 4u
#define FENCE_I 0x0000100fu
#define LR_D(rd, rs1) OP_R(0x08, 0, rs1, 3, rd, 0x2f)
#define SC_D(rd, rs2, rs1) OP_R(0x0c, rs2, rs1, 3, rd, 0x2f)
#define AMOADD_W(rd, rs2, rs1) OP_R(0, rs2, rs1, 2, rd, 0x2f)
#define FADD_D(rd, rs1, rs2) OP_R(1, rs2, rs1, 7, rd, 0x53)
#define FCVT_D_L(rd, rs1) OP_R(0x69, 2, rs1, 7, rd, 0x53)
#define FDIV_D(rd, rs1, rs2) OP_R(0x0d, rs2, rs1, 7, rd, 0x53)
#define FMV_X_D(rd, rs1) OP_R(0x71, 0, rs1, 0, rd, 0x53)

typedef struct Seen {
    uint32_t exception;
    uint64_t value, pc, a0;
} Seen;

/* a process: code at `code`, two pages of data behind it, then nothing */
typedef struct Process {
    Translator *t;
    TranslateCpu *cpu;
    RiscvCpu *rv;
    uint64_t code, data, end;
    Seen seen[8];
    unsigned n, fences;
} Process;

static TranslateCpu *running;

static void on_fault(int sig, siginfo_t *info, void *ucontext)
{
    if (!running || !translate_host_fault(running, ucontext))
        signal(sig, SIG_DFL);
}

/* A system call goes on behind it, 93 (exit) ends it, as does any other exception. */
static void exception(void *opaque, TranslateCpu *cpu, uint32_t number, uint64_t value)
{
    Process *p = opaque;
    if (p->n < G_N_ELEMENTS(p->seen))
        p->seen[p->n++] = (Seen){number, value, cpu->pc, p->rv->x[A0]};
    if (number == RISCV_ECALL_U && p->rv->x[A7] != 93)
        cpu->pc += 4;
    else
        translate_stop(cpu);
}

static bool executable(void *opaque, uint64_t address)
{
    const Process *p = opaque;
    return address >= p->code && address < p->end;
}

static void fence(void *opaque, uint64_t start, uint64_t size)
{
    Process *p = opaque;
    p->fences++;
    g_assert_cmphex(start, ==, 0);
    g_assert_cmphex(size, ==, UINT64_MAX);
    translate_invalidate(p->t, p->code, p->end - p->code);
}

static uint64_t now(void *opaque) { return 123456; }

static Process process_new(TranslateAccel accel)
{
    GError *error = NULL;
    TranslateOptions options = {.accel = accel, .code_size = 2 << 20};
    const GuestIsa *isa = guest_isa_by_name("riscv64");
    Process p = {0};
    p.t = translate_new(isa->user, &options, &error);
    g_assert_no_error(error);
    uint8_t *memory = mmap(NULL, (PAGES + 1) * GUEST_PAGE_SIZE, PROT_NONE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    g_assert(memory != MAP_FAILED);
    g_assert_cmpint(mprotect(memory, PAGES * GUEST_PAGE_SIZE, PROT_READ | PROT_WRITE), ==, 0);
    p.code = (uint64_t)(uintptr_t)memory;
    p.data = p.code + 2 * GUEST_PAGE_SIZE;
    p.end = p.code + PAGES * GUEST_PAGE_SIZE;
    return p;
}

static void process_free(Process *p)
{
    munmap((void *)(uintptr_t)p->code, (PAGES + 1) * GUEST_PAGE_SIZE);
    translate_cpu_free(p->cpu);
    translate_free(p->t);
}

static const char *model;
static bool stop_soon;

static gpointer stopper(gpointer cpu)
{
    g_usleep(20000);
    translate_stop(cpu);
    return NULL;
}

static void run(Process *p, const uint32_t *code, unsigned n)
{
    GError *error = NULL;
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    const GuestIsa *isa = guest_isa_by_name("riscv64");
    GuestEnv env = {.opaque = p, .executable = executable, .exception = exception, .time = now,
                    .remote_fence = fence};
    for (unsigned i = 0; i < n; i++)
        st_le32((uint8_t *)(uintptr_t)(p->code + 4 * i), code[i]);
    translate_invalidate(p->t, p->code, 4 * n);
    translate_cpu_free(p->cpu);
    p->cpu = translate_cpu_new(p->t, &env, p);
    p->rv = (RiscvCpu *)(void *)p->cpu;
    g_assert(isa->configure(p->cpu, model, &error));
    isa->reset_user(p->cpu, p->code);
    p->rv->x[SP] = p->data;
    p->rv->x[GP] = p->end;
    p->n = p->fences = 0;
    running = p->cpu;
    sigaction(SIGSEGV, &sa, NULL);
    GThread *thread = stop_soon ? g_thread_new("stopper", stopper, p->cpu) : NULL;
    translate_run(p->cpu);
    if (thread)
        g_thread_join(thread);
}

#define PROGRAM(p, ...) \
    do { \
        const uint32_t code_[] = {__VA_ARGS__}; \
        run(p, code_, G_N_ELEMENTS(code_)); \
    } while (0)
#define EXIT ADDI(A7, ZERO, 93), ECALL

static const TranslateAccel accels[] = {TRANSLATE_JIT, TRANSLATE_INTERP, TRANSLATE_VERIFY};
#define FOR_ACCELS(p) \
    for (unsigned a_ = 0; a_ < G_N_ELEMENTS(accels); a_++) \
        for (Process p = process_new(accels[a_]), *once_ = &p; once_; \
             process_free(&p), once_ = NULL)

static void test_calls(void)
{
    FOR_ACCELS(p) {
        PROGRAM(&p, ADDI(A0, ZERO, 41), ADDI(A7, ZERO, 1), ECALL, ADDI(A0, A0, 1), EXIT);
        g_assert_cmpuint(p.n, ==, 2);
        g_assert_cmpuint(p.seen[0].exception, ==, RISCV_ECALL_U);
        g_assert_cmphex(p.seen[0].pc, ==, p.code + 8);
        g_assert_cmpuint(p.seen[0].a0, ==, 41);
        g_assert_cmphex(p.seen[1].pc, ==, p.code + 20);
        g_assert_cmpuint(p.seen[1].a0, ==, 42);
    }
}

static void assert_ends(const Process *p, uint32_t exception, uint64_t at, uint64_t value)
{
    g_assert_cmpuint(p->n, ==, 1);
    g_assert_cmpuint(p->seen[0].exception, ==, exception);
    g_assert_cmphex(p->seen[0].pc, ==, p->code + at);
    g_assert_cmphex(p->seen[0].value, ==, value);
}

static void test_exceptions(void)
{
    FOR_ACCELS(p) {
        PROGRAM(&p, NOP, EBREAK);
        assert_ends(&p, RISCV_BREAKPOINT, 4, p.code + 4);
        PROGRAM(&p, NOP, 0xffffffff);
        assert_ends(&p, RISCV_ILLEGAL, 4, 0xffffffff);
        PROGRAM(&p, MRET);
        assert_ends(&p, RISCV_ILLEGAL, 0, MRET);
        PROGRAM(&p, WFI);
        assert_ends(&p, RISCV_ILLEGAL, 0, WFI);
        PROGRAM(&p, CSRR(A0, 0x100));
        assert_ends(&p, RISCV_ILLEGAL, 0, CSRR(A0, 0x100));
        PROGRAM(&p, ADDI(A1, SP, 2), AMOADD_W(A0, ZERO, A1));
        assert_ends(&p, RISCV_STORE_MISALIGNED, 4, p.data + 2);
        PROGRAM(&p, ADDI(A1, SP, 4), LR_D(A0, A1));
        assert_ends(&p, RISCV_LOAD_MISALIGNED, 4, p.data + 4);
        PROGRAM(&p, JALR(ZERO, GP, 0));
        g_assert_cmpuint(p.seen[0].exception, ==, RISCV_FETCH_ACCESS);
        g_assert_cmphex(p.seen[0].pc, ==, p.end);
        g_assert_cmphex(p.seen[0].value, ==, p.end);
    }
}

static void test_memory(void)
{
    FOR_ACCELS(p) {
        /* misaligned accesses are fine, also over pages */
        PROGRAM(&p, ADDI(A0, ZERO, -1), SD(A0, SP, 4093 - 4096), LD(A0, SP, 4093 - 4096), EXIT);
        g_assert_cmphex(p.seen[0].a0, ==, UINT64_MAX);
        PROGRAM(&p, ADDI(A0, ZERO, 7), LD(A0, GP, 16));
        assert_ends(&p, TRANSLATE_HOST_FAULT, 4, p.end + 16);
        g_assert_cmpuint(p.seen[0].a0, ==, 7);
        PROGRAM(&p, ADDI(A0, ZERO, 7), SD(A0, GP, -4));
        assert_ends(&p, TRANSLATE_HOST_FAULT, 4, p.end);
        PROGRAM(&p, ADDI(A0, ZERO, 7), AMOADD_W(A0, A0, GP));
        assert_ends(&p, TRANSLATE_HOST_FAULT, 4, p.end);
        PROGRAM(&p, ADDI(A1, ZERO, 9), SD(A1, SP, 0), LR_D(A0, SP), ADDI(A0, A0, 1), SC_D(A2, A0, SP),
            LD(A0, SP, 0), AMOADD_W(A1, A0, SP), LD(A0, SP, 0), EXIT);
        g_assert_cmpuint(p.seen[0].a0, ==, 20);
        g_assert_cmpuint(p.rv->x[A2], ==, 0);
        g_assert_cmpuint(p.rv->x[A1], ==, 10);
    }
}

/* A loop that runs off its data: the registers are those of the round that failed. */
static void test_loop(void)
{
    FOR_ACCELS(p) {
        PROGRAM(&p, ADDI(A1, SP, 0), ADDI(A2, ZERO, 1), /* 8: */ ADDI(S0 + 12, S0 + 12, 3),
            ADDI(A2, A2, 2), SD(A2, A1, 0), ADDI(A1, A1, 8), ADDI(T6, T6, 1),
            0xfe0418e3 /* bnez s0, 12: never */, 0xfe9ff06f /* j 8 */);
        g_assert_cmpuint(p.n, >=, 1);
        g_assert_cmpuint(p.seen[0].exception, ==, TRANSLATE_HOST_FAULT);
        g_assert_cmphex(p.seen[0].pc, ==, p.code + 16);
        g_assert_cmphex(p.seen[0].value, ==, p.end);
        uint64_t rounds = (p.end - p.data) / 8;
        g_assert_cmpuint(p.rv->x[A2], ==, 1 + 2 * (rounds + 1));
        g_assert_cmpuint(p.rv->x[T6], ==, rounds);
        g_assert_cmpuint(p.rv->x[S0 + 12], ==, 3 * (rounds + 1));
        g_assert_cmphex(p.rv->x[A1], ==, p.end);
    }
}

/* An instruction is written over; it takes effect behind the fence at the latest. */
static void test_fence_i(void)
{
    FOR_ACCELS(p) {
        PROGRAM(&p, LUI(A1, ADDI(A0, A0, 100) >> 12), /* addi a0, a0, 100 = 0x06450513 */
            ADDI(A1, A1, ADDI(A0, A0, 100) & 0xfff), 0x00000617 /* auipc a2, 0 */,
            ADDI(A3, ZERO, 2),
            /* 16: */ ADDI(A0, A0, 1), SW(A1, A2, 8), FENCE_I, ADDI(A3, A3, -1),
            0xfe0698e3 /* bnez a3, 16 */, EXIT);
        g_assert_cmpuint(p.fences, ==, 2);
        g_assert_cmpuint(p.seen[0].a0, ==, 101);
    }
}

/* fcsr: a rounding mode that the host has, one it has not, one there is none of. */
static void test_rounding(void)
{
    FOR_ACCELS(p) {
        static const uint64_t third[] = {0x3fd5555555555555, 0x3fd5555555555555,
                                         0x3fd5555555555555, 0x3fd5555555555556,
                                         0x3fd5555555555555};
        for (unsigned frm = 0; frm < 5; frm++) {
            PROGRAM(&p, ADDI(A1, ZERO, 1), FCVT_D_L(1, A1), ADDI(A1, ZERO, 3), FCVT_D_L(2, A1),
                OP_I(2, frm, 5, ZERO, 0x73) /* csrwi frm */, FDIV_D(3, 1, 2), FMV_X_D(A0, 3),
                CSRR(A1, 3), EXIT);
            g_assert_cmpuint(p.n, ==, 1);
            g_assert_cmphex(p.seen[0].a0, ==, third[frm]);
            g_assert_cmphex(p.rv->x[A1], ==, frm << 5 | 1);
        }
        PROGRAM(&p, OP_I(2, 5, 5, ZERO, 0x73), FDIV_D(3, 1, 2));
        assert_ends(&p, RISCV_ILLEGAL, 4, FDIV_D(3, 1, 2));
    }
}

static void test_counters(void)
{
    FOR_ACCELS(p) {
        PROGRAM(&p, CSRR(A0, 0xc01), CSRR(A1, 0xc00), CSRR(A2, 0xc02), EXIT);
        g_assert_cmpuint(p.seen[0].exception, ==, RISCV_ECALL_U);
        g_assert_cmpuint(p.seen[0].a0, ==, 123456);
        g_assert_cmpuint(p.rv->x[A2], >, p.rv->x[A1]);
    }
}

static void test_cache_blocks(void)
{
    model = "max";
    FOR_ACCELS(p) {
        memset((void *)(uintptr_t)p.data, 0xff, 256);
        PROGRAM(&p, ADDI(A1, SP, 70), 0x0045a00f /* cbo.zero (a1) */, 0x0015a00f /* cbo.clean (a1) */,
            LD(A0, SP, 64), LD(A1, SP, 128), EXIT);
        g_assert_cmpuint(p.seen[0].exception, ==, RISCV_ECALL_U);
        g_assert_cmphex(p.seen[0].a0, ==, 0);
        g_assert_cmphex(p.rv->x[A1], ==, UINT64_MAX);
        PROGRAM(&p, 0x0011a00f /* cbo.clean (gp) */);
        assert_ends(&p, TRANSLATE_HOST_FAULT, 0, p.end);
    }
    model = NULL;
}

/* What goes on for ever is stopped: a jump, a call of itself, calls back and jumps forward, a jump
 * forward to one back. */
static void test_stop(void)
{
    stop_soon = true;
    FOR_ACCELS(p) {
        PROGRAM(&p, NOP, LOOP);
        PROGRAM(&p, NOP, 0x000000ef /* jal . */);
        PROGRAM(&p, 0x0080006f /* j 8 */, 0x0080006f /* 4: j 12 */, 0xffdff0ef /* 8: jal 4 */,
                0xffdff06f /* 12: j 8 */);
        PROGRAM(&p, 0x0080006f /* j 8 */, 0x0080006f /* 4: j 12 */, 0xffdff06f /* 8: j 4 */,
                0xffdff0ef /* 12: jal 8 */);
        g_assert_cmpuint(p.n, ==, 0);
    }
    stop_soon = false;
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/riscv/user/calls", test_calls);
    g_test_add_func("/riscv/user/exceptions", test_exceptions);
    g_test_add_func("/riscv/user/memory", test_memory);
    g_test_add_func("/riscv/user/loop", test_loop);
    g_test_add_func("/riscv/user/fence-i", test_fence_i);
    g_test_add_func("/riscv/user/rounding", test_rounding);
    g_test_add_func("/riscv/user/counters", test_counters);
    g_test_add_func("/riscv/user/stop", test_stop);
    g_test_add_func("/riscv/user/cache-blocks", test_cache_blocks);
    return g_test_run();
}
