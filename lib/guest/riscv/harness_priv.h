/* SPDX-License-Identifier: MIT */
/*
 * For the tests of this folder: one hart with 4 MiB of RAM at 0x80000000, a
 * word at 0x100000 whose writing stops it, and encoders for the instructions
 * that tests are written in. Nothing else is on the bus.
 */
#pragma once

#include <string.h>

#include "base/bytes.h"
#include "guest/riscv/riscv_priv.h"

#define RAM UINT64_C(0x80000000)
#define RAM_SIZE (4u << 20)
#define STOP UINT64_C(0x100000)
#define M_HANDLER (RAM + 0x3000)
#define S_HANDLER (RAM + 0x3400)
#define TABLES (RAM + 0x100000)

enum { ZERO, RA, SP, GP, TP, T0, T1, T2, S0, S1, A0, A1, A2, A3, A4, A5, A6, A7, T6 = 31 };

#define OP_R(f7, rs2, rs1, f3, rd, op) ((uint32_t)((uint32_t)(f7) << 25 | (rs2) << 20 | (rs1) << 15 | (f3) << 12 | (rd) << 7 | (op)))
#define OP_I(imm, rs1, f3, rd, op) ((uint32_t)((uint32_t)(imm) << 20 | (rs1) << 15 | (f3) << 12 | (rd) << 7 | (op)))
#define OP_S(imm, rs2, rs1, f3) \
    ((uint32_t)(((uint32_t)(imm) >> 5 & 127) << 25 | (rs2) << 20 | (rs1) << 15 | (f3) << 12 | ((imm) & 31) << 7 | 0x23))
#define ADDI(rd, rs1, imm) OP_I(imm, rs1, 0, rd, 0x13)
#define LOAD(f3, rd, rs1, imm) OP_I(imm, rs1, f3, rd, 0x03)
#define LD(rd, rs1, imm) LOAD(3, rd, rs1, imm)
#define SD(rs2, rs1, imm) OP_S(imm, rs2, rs1, 3)
#define SW(rs2, rs1, imm) OP_S(imm, rs2, rs1, 2)
#define LUI(rd, imm20) ((uint32_t)((uint32_t)(imm20) << 12 | (rd) << 7 | 0x37))
#define JALR(rd, rs1, imm) OP_I(imm, rs1, 0, rd, 0x67)
#define CSRRW(rd, csr, rs1) OP_I(csr, rs1, 1, rd, 0x73)
#define CSRRS(rd, csr, rs1) OP_I(csr, rs1, 2, rd, 0x73)
#define CSRRC(rd, csr, rs1) OP_I(csr, rs1, 3, rd, 0x73)
#define CSRRSI(rd, csr, imm) OP_I(csr, imm, 6, rd, 0x73)
#define CSRRCI(rd, csr, imm) OP_I(csr, imm, 7, rd, 0x73)
#define CSRR(rd, csr) CSRRS(rd, csr, 0)
#define ECALL 0x00000073u
#define EBREAK 0x00100073u
#define SRET 0x10200073u
#define MRET 0x30200073u
#define WFI 0x10500073u
#define SFENCE 0x12000073u
#define LOOP 0x0000006fu /* j . */
#define NOP 0x00000013u

typedef struct Machine {
    Translator *translator;
    TranslateCpu *cpu;
    RiscvCpu *rv;
    uint8_t *ram;
    uint8_t flags[RAM_SIZE / GUEST_PAGE_SIZE];
    uint64_t time;
    unsigned idles;     /* times the hart waited */
    void (*on_idle)(struct Machine *m);
    unsigned calls;     /* S-mode ecalls seen */
    bool answer_calls;
} Machine;

static inline bool machine_ram(void *opaque, uint64_t phys, GuestPage *out)
{
    Machine *m = opaque;
    if (phys < RAM || phys - RAM >= RAM_SIZE)
        return false;
    uint64_t page = (phys - RAM) / GUEST_PAGE_SIZE;
    *out = (GuestPage){m->ram + page * GUEST_PAGE_SIZE, &m->flags[page], true};
    return true;
}

static inline bool machine_store(void *opaque, uint64_t phys, unsigned size, uint64_t value)
{
    Machine *m = opaque;
    if (phys != STOP)
        return false;
    translate_stop(m->cpu);
    return true;
}

static inline uint64_t machine_time(void *opaque)
{
    return ((Machine *)opaque)->time;
}

static inline void machine_idle(void *opaque)
{
    Machine *m = opaque;
    if (++m->idles > 3)
        translate_stop(m->cpu);
    else if (m->on_idle)
        m->on_idle(m);
}

static inline bool machine_hypercall(void *opaque, TranslateCpu *cpu, uint32_t number)
{
    Machine *m = opaque;
    m->calls++;
    if (m->answer_calls)
        riscv_set_x(cpu, A0, number);
    return m->answer_calls;
}

static inline uint8_t *machine_at(Machine *m, uint64_t phys)
{
    g_assert(phys >= RAM && phys - RAM < RAM_SIZE);
    return m->ram + (phys - RAM);
}

/* Puts code at phys. */
static inline void machine_code(Machine *m, uint64_t phys, const uint32_t *code, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        st_le32(machine_at(m, phys + 4 * i), code[i]);
    translate_invalidate(m->translator, phys, 4 * n);
}

/* Power-on, with handlers that stop in place; the program starts at RAM. */
static inline void machine_reset(Machine *m)
{
    static const uint32_t stop[] = {LUI(T6, STOP >> 12), SW(0, T6, 0), LOOP};
    const GuestIsa *isa = guest_isa_by_name(m->cpu->guest->name);
    memset(m->ram, 0, RAM_SIZE);
    translate_invalidate(m->translator, RAM, RAM_SIZE);
    isa->reset(m->cpu, 0, RAM);
    m->time = 1000;
    m->idles = m->calls = 0;
    m->on_idle = NULL;
    m->answer_calls = false;
    m->rv->mtvec = M_HANDLER;
    m->rv->stvec = S_HANDLER;
    machine_code(m, M_HANDLER, stop, 3);
    machine_code(m, S_HANDLER, stop, 3);
    if (m->rv->props.pmp) {
        riscv_pmp_write(m->rv, 0x3b0, UINT64_MAX);
        riscv_pmp_write(m->rv, 0x3a0, 0x1f);
    }
}

static inline Machine *machine_new(const char *isa_name, const char *model, TranslateAccel accel)
{
    Machine *m = g_new0(Machine, 1);
    const GuestIsa *isa = guest_isa_by_name(isa_name);
    TranslateOptions options = {.accel = accel, .code_size = 4u << 20};
    GuestEnv env = {.opaque = m, .ram = machine_ram, .store = machine_store, .time = machine_time,
                    .idle = machine_idle, .hypercall = machine_hypercall};
    g_autoptr(GError) error = NULL;
    m->translator = translate_new(&isa->translate, &options, &error);
    g_assert_no_error(error);
    m->cpu = translate_cpu_new(m->translator, &env, NULL);
    m->rv = riscv_of(m->cpu);
    m->ram = g_malloc0(RAM_SIZE + GUEST_PAGE_SIZE);
    isa->configure(m->cpu, model, &error);
    g_assert_no_error(error);
    machine_reset(m);
    return m;
}

static inline void machine_free(Machine *m)
{
    translate_cpu_free(m->cpu);
    translate_free(m->translator);
    g_free(m->ram);
    g_free(m);
}

/* Runs code from phys = pc until a handler or the code itself stops it. */
static inline void machine_run(Machine *m, const uint32_t *code, unsigned n)
{
    static const uint32_t stop[] = {LUI(T6, STOP >> 12), SW(0, T6, 0), LOOP};
    machine_code(m, RAM, code, n);
    machine_code(m, RAM + 4 * n, stop, 3);
    m->cpu->pc = RAM;
    translate_run(m->cpu);
}
#define RUN(m, ...) \
    machine_run(m, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

/* Checks a trap into M-mode. */
static inline void machine_trapped(Machine *m, uint64_t cause, uint64_t epc, uint64_t tval,
                                   RiscvPriv from)
{
    g_assert_cmphex(m->rv->mcause, ==, cause);
    g_assert_cmphex(m->rv->mepc, ==, epc);
    g_assert_cmphex(m->rv->mtval, ==, tval);
    g_assert_cmpuint(m->rv->priv, ==, RISCV_M);
    g_assert_cmpuint(bits_get(m->rv->mstatus, MSTATUS_MPP_SHIFT, 2), ==, from);
}

/* Every test runs with the interpreter and with the compiler. */
static inline void both_ways(const char *name, void (*fn)(gconstpointer accel))
{
    g_autofree char *interp = g_strdup_printf("%s/interp", name),
        *jit = g_strdup_printf("%s/jit", name);
    g_test_add_data_func(interp, GUINT_TO_POINTER(TRANSLATE_INTERP), fn);
    g_test_add_data_func(jit, GUINT_TO_POINTER(TRANSLATE_JIT), fn);
}
#define ACCEL(p) ((TranslateAccel)GPOINTER_TO_UINT(p))
