/* SPDX-License-Identifier: MIT */
/*
 * For the tests of this folder: a made-up guest whose instructions are whatever
 * the test's table says. Each table line emits the IR that a front end of some
 * real ISA would emit, and has an oracle that computes the same on a State
 * without any IR. Programs of one and of many instructions run through the
 * interpreter, the compiler and both (verify), with guest memory at host
 * addresses and behind a page table; the states must agree.
 *
 * Registers: r[0..13] data, r[14] a stack pointer, r[15] a data pointer. Data
 * memory is two pages, contiguous for the guest and not in the host.
 */
#pragma once

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bits.h"
#include "translate/translate.h"

typedef unsigned __int128 U128;
typedef __int128 S128;

typedef struct Regs {
    uint64_t r[16];
    uint64_t f[8];
    uint64_t v[8][2];
    uint64_t wide[2];
    uint64_t ctr;
    uint32_t flags, cond, order;
    uint16_t half;
    uint8_t carry, cells[5];
    /* written by the guest's raise callback, no slots */
    uint64_t exception_pc, exception_value;
    uint32_t exception, pad;
} Regs;

enum { R0, F0 = R0 + 16, V0 = F0 + 8, WIDE = V0 + 8, CTR, FLAGS, COND, ORDER, HALF, CARRY, SLOTS };

typedef struct TestCpu {
    TranslateCpu core;
    Regs regs;
    uint64_t handler; /* exceptions go there: an instruction that stops */
} TestCpu;

#define DATA_SIZE 8192
#define CODE_SIZE 16384

typedef struct State {
    Regs regs;
    uint64_t base;       /* guest address of data memory */
    uint64_t pc;
    unsigned skip;       /* instructions to leave out */
    bool stopped;
    uint32_t undefined;  /* flags that the manual leaves undefined now */
    unsigned fp_round, fp_flags; /* IrRound, TranslateFpFlags */
    uint8_t mem[DATA_SIZE];
} State;

typedef struct Insn { /* as it lies in guest memory; `length` bytes in all */
    uint8_t op, length, d, n, m, a;
    uint8_t imm[2];
} Insn;

static inline uint16_t insn_imm(const Insn *i) { return (uint16_t)(i->imm[0] | i->imm[1] << 8); }

typedef struct Op {
    const char *name;
    void (*emit)(IrBuilder *b, const Insn *i);
    void (*oracle)(State *s, const Insn *i);
    unsigned flags;
} Op;

enum { OP_BRANCH = 1,    /* imm is made the distance past the next instruction */
       OP_UNDEFINES = 2, /* leaves flags undefined: op 0, which defines all, must follow */
       OP_SINGLE = 4,    /* not within random programs */
       OP_FLOAT = 8 };   /* operands are drawn from floats */

#define OP_STOP 255

static const Op *test_ops;
static unsigned test_n_ops;
static unsigned test_min_length = 8, test_max_length = 8;
static uint32_t test_flags_mask = IR_FLAG_C | IR_FLAG_P | IR_FLAG_A | IR_FLAG_Z | IR_FLAG_S |
                                  IR_FLAG_O;
/* makes a random instruction a valid one; NULL: none needed */
static void (*test_adjust)(Insn *i, GRand *r);
static void (*test_prepare)(State *s, GRand *r); /* changes a random state; NULL: none needed */

/* the guest */

static uint64_t helper_stop(void *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    translate_stop(cpu);
    return 0;
}

static uint64_t helper_mix(void *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    TestCpu *t = cpu;
    t->regs.r[3] ^= a + t->regs.r[2];
    t->regs.carry ^= 1;
    t->regs.v[1][1] += b;
    return t->regs.r[5] * 3 + b;
}

static uint64_t helper_look(void *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    TestCpu *t = cpu;
    return t->regs.r[1] + 7 * t->regs.r[12] + t->regs.flags + t->regs.v[0][0] + a;
}

/* Reads memory as a helper does, with the guest's faults. */
static uint64_t helper_load(void *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    uint64_t v = 0;
    translate_load(cpu, a, IR_MEM_SIZE(3), &v);
    return v;
}

/* Whatever the test wants done. */
static void (*test_hook)(TestCpu *cpu);
static uint64_t helper_hook(void *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    test_hook(cpu);
    return 0;
}

enum { HELPER_STOP, HELPER_MIX, HELPER_LOOK, HELPER_LOAD, HELPER_HOOK };
static const IrHelper test_helpers[] = {
    {"stop", helper_stop, IR_HELPER_FAULTS, IR_VOID},
    {"mix", helper_mix, IR_HELPER_READS | IR_HELPER_WRITES, IR_I64},
    {"look", helper_look, IR_HELPER_READS, IR_I64},
    {"load", helper_load, IR_HELPER_FAULTS, IR_I64},
    {"hook", helper_hook, IR_HELPER_READS | IR_HELPER_WRITES | IR_HELPER_FAULTS, IR_VOID},
};

static void test_mode(TranslateCpu *cpu)
{
    uint64_t mode = ((TestCpu *)cpu)->regs.order;
    if (cpu->mode != mode) /* a tag belongs to one mode */
        cpu->tag = translate_tag_new(cpu);
    cpu->mode = mode;
}
static bool test_interrupt(TranslateCpu *cpu) { return false; }
static bool test_wake(TranslateCpu *cpu) { return true; }
static unsigned test_fetch_mmu(TranslateCpu *cpu) { return 0; }

static void test_raise(TranslateCpu *cpu, TranslateFault f)
{
    Regs *regs = &((TestCpu *)cpu)->regs;
    regs->exception = f.exception;
    regs->exception_value = f.value;
    regs->exception_pc = cpu->pc;
    cpu->pc = ((TestCpu *)cpu)->handler;
}

enum { FAULT_BUS = 100, FAULT_MISALIGNED, FAULT_PAGE };

static void test_trouble(TranslateCpu *cpu, uint64_t address, TranslateAccess access,
                         TranslateTrouble t, TranslateFault *f)
{
    *f = (TranslateFault){t == TRANSLATE_BUS_ERROR ? FAULT_BUS : FAULT_MISALIGNED, address};
}

static bool test_insn(IrBuilder *b, const uint8_t *code, unsigned available)
{
    Insn i;
    if (available < 2 || available < code[1])
        return false;
    memset(&i, 0, sizeof i);
    memcpy(&i, code, code[1] < sizeof i ? code[1] : sizeof i);
    ir_insn(b, b->insn, i.length);
    if (i.op == OP_STOP) {
        ir_call(b, HELPER_STOP, 0, 0, 0, 0);
        ir_exit_mode(b, b->insn);
    } else {
        test_ops[i.op].emit(b, &i);
    }
    return true;
}

/* Virtual pages of the translated guest; physical ones are in another order. */
enum { VA_DATA = 0x10000, VA_CODE = 0x20000, PAGES = 16 };
static uint8_t test_page_map[256];  /* virtual page number to physical page; 0: none */
static bool test_read_only[256];    /* virtual pages; before the machine runs */
static uint8_t *test_ram_host;      /* PAGES + 1 pages; physical page p at p << 12 */
static uint8_t test_page_flags[PAGES + 1];

static bool test_walk(TranslateCpu *cpu, uint64_t address, TranslateAccess access, unsigned mmu,
                      TranslateMap *map, TranslateFault *fault)
{
    uint64_t page = address >> GUEST_PAGE_BITS;
    if (page > 255 || !test_page_map[page]) {
        *fault = (TranslateFault){FAULT_PAGE, address};
        return false;
    }
    if (access == TRANSLATE_STORE && test_read_only[page]) {
        *fault = (TranslateFault){FAULT_PAGE, address};
        return false;
    }
    *map = (TranslateMap){(uint64_t)test_page_map[page] << GUEST_PAGE_BITS | (address & 4095), true,
                          !test_read_only[page], true, false};
    return true;
}

static bool test_ram(void *opaque, uint64_t phys, GuestPage *page)
{
    uint64_t n = phys >> GUEST_PAGE_BITS;
    if (n > PAGES)
        return false;
    *page = (GuestPage){test_ram_host + (n << GUEST_PAGE_BITS), &test_page_flags[n], true};
    return true;
}

static IrSlot test_slots[SLOTS];
static const uint16_t test_int_pins[] = {R0, R0 + 1, R0 + 2, R0 + 15, R0 + 3, R0 + 14, R0 + 4,
                                         R0 + 5, R0 + 6, R0 + 7};
static const uint16_t test_float_pins[] = {F0, F0 + 1, V0, F0 + 2, V0 + 1, F0 + 3, F0 + 4};

#define TEST_GUEST(direct_) \
    { \
        .name = "test", .cpu_size = sizeof(TestCpu), .hot = offsetof(TestCpu, regs), \
        .max_insn = 15, .direct_memory = direct_, .int_pins = test_int_pins, \
        .n_int_pins = G_N_ELEMENTS(test_int_pins), .float_pins = test_float_pins, \
        .n_float_pins = G_N_ELEMENTS(test_float_pins), .fp = {.default_nan = true}, \
        .mode = test_mode, .insn = test_insn, .interrupt = test_interrupt, .wake = test_wake, \
        .raise = test_raise, .trouble = test_trouble, .fetch_mmu = test_fetch_mmu, \
        .walk = direct_ ? NULL : test_walk \
    }
static TranslateGuest test_guests[2] = {TEST_GUEST(false), TEST_GUEST(true)};

static void test_guest_setup(const Op *ops, unsigned n_ops)
{
    unsigned n = 0;
    test_ops = ops;
    test_n_ops = n_ops;
#define SLOT(text, field, type) \
    test_slots[n++] = (IrSlot){ \
        text, (uint32_t)(offsetof(TestCpu, regs) + offsetof(Regs, field)), type, false}
    static char names[32][8];
    for (unsigned i = 0; i < 16; i++) {
        g_snprintf(names[i], 8, "r%u", i);
        SLOT(names[i], r[i], IR_I64);
    }
    for (unsigned i = 0; i < 8; i++) {
        g_snprintf(names[16 + i], 8, "f%u", i);
        SLOT(names[16 + i], f[i], IR_F64);
    }
    for (unsigned i = 0; i < 8; i++) {
        g_snprintf(names[24 + i], 8, "v%u", i);
        SLOT(names[24 + i], v[i][0], IR_V128);
    }
    SLOT("wide", wide[0], IR_I128);
    SLOT("ctr", ctr, IR_I64);
    SLOT("flags", flags, IR_FLAGS);
    SLOT("cond", cond, IR_I32);
    SLOT("order", order, IR_I32);
    SLOT("half", half, IR_I16);
    SLOT("carry", carry, IR_I8);
#undef SLOT
    test_guests[0].ir = test_guests[1].ir = (IrGuest){test_slots, n, test_helpers,
                                                      G_N_ELEMENTS(test_helpers)};
    if (!test_ram_host)
        test_ram_host = g_aligned_alloc0(PAGES + 1, GUEST_PAGE_SIZE, GUEST_PAGE_SIZE);
}

/* a machine: one translator, one CPU */

typedef struct Machine {
    Translator *t;
    TestCpu *cpu;
    bool direct;
    uint64_t data, code; /* guest addresses */
} Machine;

static void test_map_pages(void)
{
    memset(test_page_map, 0, sizeof test_page_map);
    test_page_map[VA_DATA >> 12] = 9;
    test_page_map[(VA_DATA >> 12) + 1] = 7;
    for (unsigned i = 0; i < 4; i++)
        test_page_map[(VA_CODE >> 12) + i] = (uint8_t)(6 - i);
}

static uint64_t test_memory_base; /* of direct machines */

/* Host address of a guest address, within its page. */
static uint8_t *machine_at(const Machine *m, uint64_t address)
{
    if (m->direct)
        return (uint8_t *)(uintptr_t)(address + test_memory_base);
    return test_ram_host + ((uint64_t)test_page_map[address >> 12] << 12) + (address & 4095);
}

/* As a loader does: bytes written, code there dropped. */
static void machine_write(const Machine *m, uint64_t address, const void *from, size_t size)
{
    for (size_t i = 0; i < size; i++)
        *machine_at(m, address + i) = ((const uint8_t *)from)[i];
    for (size_t i = 0; i < size; i++) {
        uint64_t phys = m->direct ? address + i
                                  : (uint64_t)(machine_at(m, address + i) - test_ram_host);
        if (i == 0 || (phys & 4095) == 0)
            translate_invalidate(m->t, phys, MIN(size - i, 4096 - (phys & 4095)));
    }
}

static inline Insn insn_stop(void) { return (Insn){.op = OP_STOP, .length = 2}; }

static uint64_t machine_put(const Machine *m, uint64_t at, Insn i)
{
    uint8_t bytes[16] = {0};
    memcpy(bytes, &i, sizeof i);
    machine_write(m, at, bytes, i.length);
    return at + i.length;
}

static Machine machine_new_sized(TranslateAccel accel, bool direct, size_t code_size)
{
    GError *error = NULL;
    GuestEnv env = {.ram = test_ram};
    TranslateOptions options = {.accel = accel, .code_size = code_size,
                                .memory_base = direct ? test_memory_base : 0};
    Machine m = {.direct = direct};
    memset(test_page_flags, 0, sizeof test_page_flags);
    test_map_pages();
    m.t = translate_new(&test_guests[direct], &options, &error);
    g_assert_no_error(error);
    m.cpu = (TestCpu *)translate_cpu_new(m.t, &env, NULL);
    m.data = direct ? (uint64_t)(uintptr_t)test_ram_host + 4096 - test_memory_base : VA_DATA;
    m.code = direct ? (uint64_t)(uintptr_t)test_ram_host + 3 * 4096 - test_memory_base : VA_CODE;
    m.cpu->handler = m.code + CODE_SIZE - 16;
    machine_put(&m, m.cpu->handler, insn_stop());
    return m;
}

static inline Machine machine_new(TranslateAccel accel, bool direct)
{
    return machine_new_sized(accel, direct, 4 << 20);
}

/* user mode: faults of the host that are the guest's, by the handler that an environment has */

static __thread TranslateCpu *test_running;

static void test_on_fault(int sig, siginfo_t *info, void *ucontext)
{
    if (!test_running || !translate_host_fault(test_running, ucontext))
        signal(sig, SIG_DFL); /* it comes again, and is ours */
}

/* For a direct machine: data memory that ends before a page which is not there. */
static inline void machine_guard_data(Machine *m)
{
    uint8_t *p = mmap(NULL, DATA_SIZE + 2 * GUEST_PAGE_SIZE, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct sigaction sa = {.sa_sigaction = test_on_fault, .sa_flags = SA_SIGINFO};
    g_assert(p != MAP_FAILED);
    g_assert_cmpint(mprotect(p + GUEST_PAGE_SIZE, DATA_SIZE, PROT_READ | PROT_WRITE), ==, 0);
    m->data = (uint64_t)(uintptr_t)p + GUEST_PAGE_SIZE - test_memory_base;
    test_running = &m->cpu->core;
    sigaction(SIGSEGV, &sa, NULL);
    sigaction(SIGBUS, &sa, NULL);
}

static inline void machine_unguard_data(const Machine *m)
{
    munmap((uint8_t *)(uintptr_t)(m->data + test_memory_base) - GUEST_PAGE_SIZE, DATA_SIZE + 2 * GUEST_PAGE_SIZE);
}

static void machine_free(Machine *m)
{
    translate_cpu_free(&m->cpu->core);
    translate_free(m->t);
}

/* random operands */

static inline uint64_t test_random(GRand *r)
{
    static const uint64_t edge[] = {0, 1, 2, 3, 7, 8, 0x0f, 0x7f, 0x80, 0xff, 0x7fff, 0x8000,
                                    0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff,
                                    0x100000000, 0x7fffffffffffffff, 0x8000000000000000, UINT64_MAX,
                                    UINT64_MAX - 1, 0xffffffff80000000, 63, 31, 32, 64, 0xff80,
                                    0xffff8000};
    switch (g_rand_int_range(r, 0, 5)) {
    case 0:
    case 1: return edge[g_rand_int_range(r, 0, G_N_ELEMENTS(edge))];
    case 2: return (uint64_t)(int64_t)g_rand_int_range(r, -300, 300);
    default: return (uint64_t)g_rand_int(r) << 32 | g_rand_int(r);
    }
}

static inline uint64_t test_random_float(GRand *r)
{
    static const double edge[] = {0.0, -0.0, 1, -1, 0.5, 1.5, 2.5, 3, 1e300, -1e300, 1e-300,
                                  2147483647.5, 2147483648.0, -2147483648.5, 4294967296.0,
                                  9223372036854775808.0, -9223372036854775808.0, 9.3e18,
                                  18446744073709551616.0, G_MAXDOUBLE, 1e19, -1e19, 123456.75};
    double x;
    switch (g_rand_int_range(r, 0, 6)) {
    case 0:
    case 1: x = edge[g_rand_int_range(r, 0, G_N_ELEMENTS(edge))]; break;
    case 2: x = g_rand_int_range(r, -100, 100) * 0.25; break;
    case 3:
        if (g_rand_boolean(r))
            return 0x7ff0000000000000;
        return g_rand_boolean(r) ? 0xfff0000000000000 : 0x7ff8000000000000;
    case 4: x = g_rand_double_range(r, -1e20, 1e20); break;
    default: return (uint64_t)g_rand_int(r) << 32 | g_rand_int(r);
    }
    uint64_t bits;
    memcpy(&bits, &x, 8);
    return bits;
}

static void random_state(State *s, const Machine *m, GRand *r)
{
    memset(&s->regs, 0, sizeof s->regs);
    for (unsigned i = 0; i < 14; i++)
        s->regs.r[i] = test_random(r);
    for (unsigned i = 0; i < 8; i++) {
        s->regs.f[i] = test_random_float(r);
        s->regs.v[i][0] = test_random(r);
        s->regs.v[i][1] = test_random(r);
    }
    s->regs.r[15] = m->data + 4096 - (uint64_t)g_rand_int_range(r, 0, 300);
    s->regs.r[14] = m->data + 6144 + 8 * (uint64_t)g_rand_int_range(r, 0, 16);
    s->regs.wide[0] = test_random(r);
    s->regs.wide[1] = test_random(r);
    s->regs.ctr = (uint64_t)g_rand_int_range(r, 0, 3);
    s->regs.flags = g_rand_int(r) & test_flags_mask;
    s->regs.cond = g_rand_int(r);
    s->regs.half = (uint16_t)g_rand_int(r);
    s->regs.carry = g_rand_int(r) & 1;
    s->base = m->data;
    s->pc = m->code;
    s->skip = s->undefined = 0;
    s->stopped = false;
    s->fp_round = IR_RNE;
    s->fp_flags = 0;
    for (unsigned i = 0; i < DATA_SIZE; i += 4) {
        uint32_t w = g_rand_int(r);
        memcpy(s->mem + i, &w, 4);
    }
    if (test_prepare)
        test_prepare(s, r);
}

static inline uint8_t *state_at(State *s, uint64_t address)
{
    g_assert_cmpuint(address - s->base, <, DATA_SIZE - 16);
    return s->mem + (address - s->base);
}

static inline void state_raise(State *s, uint32_t exception, uint64_t value)
{
    s->regs.exception = exception;
    s->regs.exception_value = value;
    s->regs.exception_pc = s->pc;
    s->stopped = true;
}

static void run_oracle(State *s, const Insn *program, unsigned n)
{
    for (unsigned i = 0; i < n && !s->stopped; i++) {
        if (s->skip)
            s->skip--;
        else
            test_ops[program[i].op].oracle(s, &program[i]);
        s->pc += program[i].length;
    }
}

static void run_machine(const Machine *m, const State *s, State *out)
{
    m->cpu->regs = s->regs;
    for (unsigned page = 0; page < 2; page++)
        memcpy(machine_at(m, m->data + page * 4096), s->mem + page * 4096, 4096);
    m->cpu->core.pc = m->code;
    m->cpu->core.mxcsr = 0x1f80;
    translate_fp_set_round(&m->cpu->core, (IrRound)s->fp_round);
    translate_fp_set_flags(&m->cpu->core, s->fp_flags);
    test_running = &m->cpu->core;
    translate_run(&m->cpu->core);
    out->regs = m->cpu->regs;
    out->fp_flags = translate_fp_flags(&m->cpu->core);
    for (unsigned page = 0; page < 2; page++)
        memcpy(out->mem + page * 4096, machine_at(m, m->data + page * 4096), 4096);
}

static void print_program(const State *before, const Insn *program, unsigned n)
{
    IrBuilder b;
    g_autoptr(GString) text = g_string_new(NULL);
    for (unsigned i = 0; i < n; i++)
        g_string_append_printf(text, "%s d=%u n=%u m=%u a=%u imm=%#x length %u\n",
                               test_ops[program[i].op].name, program[i].d, program[i].n,
                               program[i].m, program[i].a, insn_imm(&program[i]),
                               program[i].length);
    for (unsigned i = 0; i < 16; i++)
        g_string_append_printf(text, "r%u=%#" G_GINT64_MODIFIER "x ", i, before->regs.r[i]);
    for (unsigned i = 0; i < 8; i++)
        g_string_append_printf(text, "f%u=%#" G_GINT64_MODIFIER "x ", i, before->regs.f[i]);
    g_string_append_printf(text, "flags=%#x carry=%u mode=%u round=%u sticky=%#x\n",
                           before->regs.flags, before->regs.carry, before->regs.order,
                           before->fp_round, before->fp_flags);
    ir_builder_init(&b, &test_guests[0].ir);
    for (unsigned i = 0; i < n && b.flow != IR_ENDED; i++) {
        test_insn(&b, (const uint8_t *)&program[i], 16);
        b.insn += b.length;
    }
    ir_print(&b, text);
    ir_builder_clear(&b);
    g_printerr("%s", text->str);
}

static bool compare_states(const State *expected, const State *got, const char *who)
{
    Regs a = expected->regs, b = got->regs;
    a.flags &= test_flags_mask & ~expected->undefined;
    b.flags &= test_flags_mask & ~expected->undefined;
    if (!memcmp(&a, &b, sizeof a) && !memcmp(expected->mem, got->mem, DATA_SIZE) &&
        expected->fp_flags == got->fp_flags)
        return true;
    g_printerr("%s differs from the oracle:\n", who);
    if (expected->fp_flags != got->fp_flags)
        g_printerr("  sticky flags: expected %#x got %#x\n", expected->fp_flags, got->fp_flags);
    const uint64_t *x = (const uint64_t *)(const void *)&a, *y = (const uint64_t *)(const void *)&b;
    for (unsigned i = 0; i < sizeof a / 8; i++)
        if (x[i] != y[i])
            g_printerr("  word %u of the registers (slot %s): expected %#" G_GINT64_MODIFIER
                       "x got %#" G_GINT64_MODIFIER "x\n",
                       i,
                       i < 24   ? test_slots[i].name
                       : i < 40 ? test_slots[24 + (i - 24) / 2].name
                       : i < 42 ? "wide"
                                : "ctr, flags, cond, order, carry or exception",
                       x[i], y[i]);
    for (unsigned i = 0; i < DATA_SIZE; i++)
        if (expected->mem[i] != got->mem[i])
            g_printerr("  memory %#x: expected %#x got %#x\n", i, expected->mem[i], got->mem[i]);
    return false;
}

static const struct {
    TranslateAccel accel;
    bool direct;
    const char *name;
} test_ways[] = {
    {TRANSLATE_INTERP, false, "the interpreter, translated"},
    {TRANSLATE_INTERP, true, "the interpreter, direct"},
    {TRANSLATE_JIT, false, "the compiler, translated"},
    {TRANSLATE_JIT, true, "the compiler, direct"},
    {TRANSLATE_VERIFY, false, "verify, translated"},
    {TRANSLATE_VERIFY, true, "verify, direct"},
};

/* Runs the program on `times` random states and compares. */
static bool check_program(const Machine *m, const char *who, const Insn *program, unsigned n,
                          unsigned times, GRand *r)
{
    static State before, expected, got;
    uint64_t at = m->code;
    for (unsigned i = 0; i < n; i++)
        at = machine_put(m, at, program[i]);
    at = machine_put(m, at, insn_stop());
    machine_put(m, at, insn_stop()); /* for a branch past the last one */
    for (unsigned i = 0; i < times; i++) {
        random_state(&before, m, r);
        expected = before;
        run_oracle(&expected, program, n);
        run_machine(m, &before, &got);
        if (!compare_states(&expected, &got, who)) {
            print_program(&before, program, n);
            return false;
        }
    }
    return true;
}

static Insn random_insn(unsigned op, GRand *r)
{
    Insn i = {.op = (uint8_t)op,
              .length = (uint8_t)g_rand_int_range(r, (gint32)test_min_length,
                                                  (gint32)test_max_length + 1),
              .d = (uint8_t)g_rand_int_range(r, 0, 8),
              .n = (uint8_t)g_rand_int_range(r, 0, 8),
              .m = (uint8_t)g_rand_int_range(r, 0, 8),
              .a = (uint8_t)g_rand_int(r)};
    uint32_t v = g_rand_int(r);
    i.imm[0] = (uint8_t)v;
    i.imm[1] = (uint8_t)(v >> 8);
    if (test_adjust)
        test_adjust(&i, r);
    return i;
}

static void fix_branches(Insn *program, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (!(test_ops[program[i].op].flags & OP_BRANCH))
            continue;
        unsigned distance = program[i].length + (i + 1 < n ? program[i + 1].length : 2u);
        program[i].imm[0] = (uint8_t)distance;
        program[i].imm[1] = 0;
    }
}

/* Every operation by itself, in several encodings. */
static inline void test_each(void)
{
    for (unsigned w = 0; w < G_N_ELEMENTS(test_ways); w++) {
        Machine m = machine_new(test_ways[w].accel, test_ways[w].direct);
        for (unsigned op = 0; op < test_n_ops; op++) {
            g_autoptr(GRand) r = g_rand_new_with_seed(1000 + op);
            for (unsigned e = 0; e < 20; e++) {
                Insn i = random_insn(op, r);
                fix_branches(&i, 1);
                if (!check_program(&m, test_ways[w].name, &i, 1, 20, r)) {
                    g_printerr("operation %s\n", test_ops[op].name);
                    g_test_fail();
                    break;
                }
            }
        }
        machine_free(&m);
    }
}

/* Random programs. TEST_SEED runs one alone. */
static inline void test_programs(void)
{
    const char *one = getenv("TEST_SEED"), *count = getenv("TEST_COUNT");
    guint32 from = one ? (guint32)strtoul(one, NULL, 0) : 1;
    guint32 n = one ? 1 : count ? (guint32)strtoul(count, NULL, 0) : 300;
    for (unsigned w = 0; w < G_N_ELEMENTS(test_ways); w++) {
        Machine m = machine_new(test_ways[w].accel, test_ways[w].direct);
        for (guint32 seed = from; seed < from + n; seed++) {
            g_autoptr(GRand) r = g_rand_new_with_seed(seed);
            Insn program[24];
            unsigned length = (unsigned)g_rand_int_range(r, 2, 20), k = 0;
            while (k < length) {
                unsigned op = (unsigned)g_rand_int_range(r, 0, (gint32)test_n_ops);
                if (test_ops[op].flags & OP_SINGLE)
                    continue;
                program[k++] = random_insn(op, r);
                if (test_ops[op].flags & OP_UNDEFINES)
                    program[k++] = random_insn(0, r);
            }
            /* a skip must not pass by an instruction that defines undefined flags */
            for (unsigned i = 0; i + 2 < k; i++)
                if (test_ops[program[i].op].flags & OP_BRANCH &&
                    test_ops[program[i + 1].op].flags & OP_UNDEFINES)
                    program[i + 1] = random_insn(0, r);
            for (unsigned i = 0; i + 1 < k; i++)
                if (test_ops[program[i].op].flags & OP_UNDEFINES && program[i + 1].op)
                    program[i + 1] = random_insn(0, r);
            fix_branches(program, k);
            if (!check_program(&m, test_ways[w].name, program, k, 6, r)) {
                g_printerr("TEST_SEED=%u\n", seed);
                g_test_fail();
                break;
            }
        }
        machine_free(&m);
    }
}
