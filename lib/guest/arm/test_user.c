/* SPDX-License-Identifier: MIT */
/*
 * A program in user mode on aarch64: what reaches the environment as an exception, with which number,
 * value and registers; pointer authentication, whose codes nobody else can know: against the published
 * vectors of QARMA-64, and by what becomes of wrong ones; random numbers; features that are off. With
 * -accel jit, interp and verify.
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bytes.h"
#include "guest/arm/arm_priv.h"

#define PAGES 3u
#define SVC 0xd4000001u
#define BRK(n) (0xd4200000u | (n) << 5)
#define RET 0xd65f03c0u
#define PAC(op, rd, rn) (0xdac10000u | (op) << 10 | (rn) << 5 | (rd)) /* PACIA is 0, AUTIA 4, XPACI 16 */
#define PACGA(rd, rn, rm) (0x9ac03000u | (rm) << 16 | (rn) << 5 | (rd))

typedef struct Process {
    Translator *t;
    TranslateCpu *cpu;
    ArmCpu *arm;
    uint64_t code, data, end;
    uint32_t exception;
    uint64_t value, pc;
} Process;

static TranslateCpu *running;

static void on_fault(int sig, siginfo_t *info, void *ucontext)
{
    if (!running || !translate_host_fault(running, ucontext))
        signal(sig, SIG_DFL);
}

static void exception(void *opaque, TranslateCpu *cpu, uint32_t number, uint64_t value)
{
    Process *p = opaque;
    p->exception = number;
    p->value = value;
    p->pc = cpu->pc;
    translate_stop(cpu);
}

static bool executable(void *opaque, uint64_t address)
{
    const Process *p = opaque;
    return address - p->code < GUEST_PAGE_SIZE;
}

static Process process_new(TranslateAccel accel)
{
    g_autoptr(GError) error = NULL;
    TranslateOptions options = {.accel = accel, .code_size = 2 << 20};
    Process p = {0};
    p.t = translate_new(guest_isa_by_name("aarch64")->user, &options, &error);
    g_assert_no_error(error);
    uint8_t *memory = mmap(NULL, PAGES * GUEST_PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    g_assert(memory != MAP_FAILED);
    g_assert_cmpint(mprotect(memory, (PAGES - 1) * GUEST_PAGE_SIZE, PROT_READ | PROT_WRITE), ==, 0);
    p.code = (uint64_t)(uintptr_t)memory;
    p.data = p.code + GUEST_PAGE_SIZE;
    p.end = p.data + GUEST_PAGE_SIZE; /* nothing is there */
    return p;
}

static void process_free(Process *p)
{
    munmap((void *)(uintptr_t)p->code, PAGES * GUEST_PAGE_SIZE);
    translate_cpu_free(p->cpu);
    translate_free(p->t);
}

/* A CPU of the model with code to be run; registers may be set before `go`. */
static void prepare(Process *p, const char *model, const uint32_t *code, unsigned n)
{
    g_autoptr(GError) error = NULL;
    const GuestIsa *isa = guest_isa_by_name("aarch64");
    GuestEnv env = {.opaque = p, .executable = executable, .exception = exception};
    for (unsigned i = 0; i < n; i++)
        st_le32((uint8_t *)(uintptr_t)(p->code + 4 * i), code[i]);
    translate_invalidate(p->t, p->code, GUEST_PAGE_SIZE);
    translate_cpu_free(p->cpu);
    p->cpu = translate_cpu_new(p->t, &env, p);
    p->arm = (ArmCpu *)(void *)p->cpu;
    g_assert(isa->configure(p->cpu, model, &error));
    isa->reset_user(p->cpu, p->code);
    p->arm->sp = p->end;
}

static void go(Process *p)
{
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    p->exception = 0;
    running = p->cpu;
    sigaction(SIGSEGV, &sa, NULL);
    translate_run(p->cpu);
    running = NULL;
}

#define PREPARE(p, model, ...) \
    do { \
        const uint32_t code_[] = {__VA_ARGS__}; \
        prepare(p, model, code_, G_N_ELEMENTS(code_)); \
    } while (0)
#define RUN(p, model, ...) \
    do { \
        PREPARE(p, model, __VA_ARGS__); \
        go(p); \
    } while (0)

static const TranslateAccel accels[] = {TRANSLATE_JIT, TRANSLATE_INTERP, TRANSLATE_VERIFY};
#define EACH_ACCEL(p) \
    for (unsigned accel_ = 0; accel_ < G_N_ELEMENTS(accels); accel_++) \
        for (Process p = process_new(accels[accel_]); p.t; process_free(&p), p.t = NULL)

/* ---- exceptions ---------------------------------------------------------------------------- */

static void test_exceptions(void)
{
    EACH_ACCEL(p) {
        RUN(&p, NULL, 0xd2800be0 /* mov x0, #95 */, SVC | 0x123 << 5);
        g_assert_cmpuint(p.exception, ==, ARM_SVC);
        g_assert_cmphex(p.value, ==, 0x123);
        g_assert_cmphex(p.pc, ==, p.code + 4);
        g_assert_cmpuint(p.arm->x[0], ==, 95);
        RUN(&p, NULL, BRK(0xbeefu));
        g_assert_cmpuint(p.exception, ==, ARM_BRK);
        g_assert_cmphex(p.value, ==, 0xbeef);
        RUN(&p, NULL, 0x12345678 & 0x0000ffff);
        g_assert_cmpuint(p.exception, ==, ARM_UNDEFINED);
        g_assert_cmphex(p.value, ==, 0x5678);
        /* LDXR, LDADD, LDAR must be aligned */
        static const uint32_t aligned[] = {0xc85f7c20, 0xf8200021, 0xc8dffc20};
        for (unsigned i = 0; i < G_N_ELEMENTS(aligned); i++) {
            PREPARE(&p, NULL, aligned[i]);
            p.arm->x[1] = p.data + 12;
            go(&p);
            g_assert_cmpuint(p.exception, ==, ARM_ALIGNMENT);
            g_assert_cmphex(p.value, ==, p.data + 12);
        }
        /* BR to an odd address, and to where nothing may be executed */
        PREPARE(&p, NULL, 0xd61f0020);
        p.arm->x[1] = p.code + 2;
        go(&p);
        g_assert_cmpuint(p.exception, ==, ARM_PC_ALIGNMENT);
        PREPARE(&p, NULL, 0xd61f0020);
        p.arm->x[1] = p.data;
        go(&p);
        g_assert_cmpuint(p.exception, ==, ARM_FETCH);
        g_assert_cmphex(p.value, ==, p.data);
    }
}

/* Nothing of an instruction that faults is done: written-back bases, registers of a pair. */
static void test_faults(void)
{
    static const uint32_t words[] = {
        0xf8408420, /* ldr x0, [x1], #8 */ 0xf8408c20, /* ldr x0, [x1, #8]! */
        0xa9400820, /* ldp x0, x2, [x1] */ 0x4cdf7020, /* ld1 {v0.16b}, [x1], #16 */
        0x3dc00020, /* ldr q0, [x1] */
    };
    EACH_ACCEL(p)
        for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
            PREPARE(&p, NULL, 0xd2800be3 /* mov x3, #95 */, words[i]);
            uint64_t at = p.arm->x[1] = p.end - (i ? 8 : 0);
            p.arm->x[0] = p.arm->x[2] = 7;
            p.arm->v[0][0] = p.arm->v[0][1] = 9;
            go(&p);
            g_assert_cmpuint(p.exception, ==, TRANSLATE_HOST_FAULT);
            g_assert_cmphex(p.pc, ==, p.code + 4);
            g_assert_cmphex(p.arm->x[1], ==, at);
            g_assert_cmpuint(p.arm->x[0] + p.arm->x[2], ==, 14);
            g_assert_cmpuint(p.arm->x[3], ==, 95);
            g_assert_cmpuint(p.arm->v[0][0] + p.arm->v[0][1], ==, 18);
        }
}

/* ---- pointer authentication -------------------------------------------------------------------- */

/* Avanzi's paper, appendix A: the 64-bit cipher with sigma 2 and five rounds, as Arm has it. */
static void test_qarma(void)
{
    const uint64_t w0 = UINT64_C(0x84be85ce9804e94b), k0 = UINT64_C(0xec2802d4e0a488e9);
    g_assert_cmphex(arm_qarma5(UINT64_C(0xfb623599da6e8127), UINT64_C(0x477d469dec0b8762), w0, k0), ==,
                    UINT64_C(0xc003b93999b33765));
}

static void set_keys(Process *p)
{
    for (unsigned i = 0; i < 5; i++) {
        p->arm->pac_keys[i][0] = UINT64_C(0x0123456789abcdef) * (i + 1);
        p->arm->pac_keys[i][1] = (UINT64_C(0xfedcba9876543210) * (i + 3)) | 1;
    }
}

static void test_pauth(const char *model, bool qarma)
{
    const uint64_t field = UINT64_C(0x7f) << 48, pointer = UINT64_C(0x5a00123456789abc);
    EACH_ACCEL(p)
        for (unsigned key = 0; key < 4; key++) {
            unsigned wrong = 0;
            PREPARE(&p, model, PAC(key, 0, 1), 0xaa0003e2 /* mov x2, x0 */, PAC(4 | key, 0, 1), 0xaa0203e3,
                    PAC(16 + (key >> 1), 3, 31), 0xaa0203e4, PAC(4 | key, 4, 5), SVC);
            for (unsigned round = 0; round < 100; round++) {
                guest_isa_by_name("aarch64")->reset_user(p.cpu, p.code);
                set_keys(&p);
                p.arm->x[0] = pointer;
                p.arm->x[1] = 1000 + round; /* and another modifier */
                p.arm->x[5] = 5000 + round;
                go(&p);
                g_assert_cmphex(p.arm->x[0], ==, pointer);
                g_assert_cmphex(p.arm->x[3], ==, pointer);
                g_assert_cmphex(p.arm->x[2] & ~field, ==, pointer);
                if (qarma) {
                    uint64_t code = arm_qarma5(pointer, 1000 + round, p.arm->pac_keys[key][1], p.arm->pac_keys[key][0]);
                    g_assert_cmphex(p.arm->x[2] & field, ==, code & field);
                }
                if (p.arm->x[4] == pointer) /* one of 128 is right by chance */
                    continue;
                wrong++;
                g_assert_cmphex(p.arm->x[4], ==, pointer | UINT64_C(1) << (key & 1 ? 54 : 53));
            }
            g_assert_cmpuint(wrong, >=, 94);
        }
}

static void test_pauth_impdef(void) { test_pauth("max", false); }
static void test_pauth_qarma(void) { test_pauth("max,pauth-impdef=off", true); }

/* A key that the process disabled does nothing; PACGA goes on. Without the feature hints are none. */
static void test_pauth_off(void)
{
    EACH_ACCEL(p) {
        PREPARE(&p, NULL, PAC(0, 0, 1), PAC(1, 2, 1), PACGA(3, 0, 1), SVC);
        set_keys(&p);
        p.arm->pac_disabled = 1u << ARM_KEY_IA;
        p.arm->x[0] = p.arm->x[2] = 0x123456;
        go(&p);
        g_assert_cmphex(p.arm->x[0], ==, 0x123456);
        g_assert_cmphex(p.arm->x[2], !=, 0x123456);
        g_assert_cmphex(p.arm->x[3] & 0xffffffff, ==, 0);
        g_assert_cmphex(p.arm->x[3], !=, 0);
        PREPARE(&p, "cortex-a76", 0xd503233f /* paciasp */, SVC);
        p.arm->x[30] = 0x1234;
        go(&p);
        g_assert_cmphex(p.arm->x[30], ==, 0x1234);
        g_assert_cmpuint(p.exception, ==, ARM_SVC);
        RUN(&p, "cortex-a76", PAC(0, 0, 1));
        g_assert_cmpuint(p.exception, ==, ARM_UNDEFINED);
        /* RETAA to a wrong address: one that faults */
        PREPARE(&p, NULL, 0xd65f0bff);
        set_keys(&p);
        p.arm->x[30] = p.code ^ UINT64_C(0x55) << 48;
        go(&p);
        g_assert_cmpuint(p.exception, ==, ARM_FETCH);
    }
}

/* ---- others ------------------------------------------------------------------------------------------ */

static void test_features(void)
{
    static const struct { const char *model; uint32_t word; } gone[] = {
        {"max,fp16=off", 0x1ee22820 /* fadd h0, h1, h2 */}, {"cortex-a53", 0xf8200021 /* ldadd */},
        {"max,dotprod=off", 0x4e829420 /* sdot */}, {"max,jscvt=off", 0x1e7e0020 /* fjcvtzs */},
        {"max,flagm=off", 0xd500401f /* cfinv */}, {"max,flagm=off", 0xd500405f /* axflag, which needs it */},
        {"max,rng=off", 0xd53b2400 /* mrs x0, rndr */}, {"max,sha3=off", 0xce020c20 /* eor3 */},
        {"cortex-a76", 0xd53b42c0 /* mrs x0, ssbs */}, {"max,dpb2=off", 0xd50b7d20 /* dc cvadp */},
        {"max,lrcpc2=off", 0xd9400020 /* ldapur */}, {"max,crc32=off", 0x9ac24c20}, {"max,bf16=off", 0x1e634020},
    };
    EACH_ACCEL(p)
        for (unsigned i = 0; i < G_N_ELEMENTS(gone); i++) {
            for (unsigned there = 0; there < 2; there++) {
                PREPARE(&p, there ? "max" : gone[i].model, gone[i].word, SVC);
                p.arm->x[0] = p.arm->x[1] = p.data;
                go(&p);
                g_assert_cmpuint(p.exception, ==, there ? ARM_SVC : ARM_UNDEFINED);
                if (!there)
                    g_assert_cmphex(p.arm->x[0], ==, p.data);
            }
        }
}

static void test_random(void)
{
    EACH_ACCEL(p) {
        RUN(&p, NULL, 0xd53b2400, 0xd53b2421 /* mrs x1, rndrrs */, SVC);
        g_assert_cmphex(p.arm->x[0], !=, p.arm->x[1]);
        g_assert_cmphex(arm_nzcv(p.cpu), ==, 0);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/arm/user/exceptions", test_exceptions);
    g_test_add_func("/arm/user/faults", test_faults);
    g_test_add_func("/arm/user/qarma", test_qarma);
    g_test_add_func("/arm/user/pauth/impdef", test_pauth_impdef);
    g_test_add_func("/arm/user/pauth/qarma", test_pauth_qarma);
    g_test_add_func("/arm/user/pauth/off", test_pauth_off);
    g_test_add_func("/arm/user/features", test_features);
    g_test_add_func("/arm/user/random", test_random);
    return g_test_run();
}
