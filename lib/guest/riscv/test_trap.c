/* SPDX-License-Identifier: MIT */
/* Exceptions with their cause, epc and tval; delegation; interrupts; xRET; WFI; S-mode calls. */
#include "guest/riscv/harness_priv.h"

static Machine *fresh(gconstpointer accel)
{
    return machine_new("riscv64", "rv64", ACCEL(accel));
}

static void test_illegal(gconstpointer accel)
{
    Machine *m = fresh(accel);
    static const uint32_t illegal[] = {
        0xffffffff, 0x0000000b, 0x00007033 | 0x7fu << 25, /* no such funct7 */
        OP_I(0x7c0, 0, 2, A0, 0x73),   /* no such CSR */
        CSRRW(0, 0xc00, A0),           /* cycle is read-only */
        0x02b57553,                    /* fadd.d with FS off */
        OP_R(0x07, A1, A0, 5, A0, 0x33), /* czero.eqz: not in rv64 */
        OP_R(0, A1, A0, 4, A0, 0x2f),  /* no such AMO size */
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(illegal); i++) {
        machine_reset(m);
        RUN(m, NOP, illegal[i]);
        machine_trapped(m, RISCV_ILLEGAL, RAM + 4, illegal[i], RISCV_M);
    }
    /* 16 bits: tval has no more than those */
    static const uint16_t compressed[] = {0x0000, 0x4002 /* c.lwsp x0 */, 0x6101 /* c.addi16sp 0 */, 0x8002 /* c.jr x0 */,
                                          0x6501 | 0 /* c.lui a0,0 */, 0x9c41 /* reserved */, 0x8000 /* reserved */};
    for (unsigned i = 0; i < G_N_ELEMENTS(compressed); i++) {
        machine_reset(m);
        RUN(m, 0xabcd0000u | compressed[i]);
        machine_trapped(m, RISCV_ILLEGAL, RAM, compressed[i], RISCV_M);
    }
    machine_free(m);
}

static void test_calls(gconstpointer accel)
{
    Machine *m = fresh(accel);
    RUN(m, ECALL);
    machine_trapped(m, RISCV_ECALL_M, RAM, 0, RISCV_M);
    machine_reset(m);
    m->rv->priv = RISCV_U;
    RUN(m, NOP, ECALL);
    machine_trapped(m, RISCV_ECALL_U, RAM + 4, 0, RISCV_U);
    machine_reset(m);
    m->rv->priv = RISCV_S;
    RUN(m, ECALL);
    machine_trapped(m, RISCV_ECALL_S, RAM, 0, RISCV_S);
    g_assert_cmpuint(m->calls, ==, 1);
    machine_reset(m);
    RUN(m, NOP, EBREAK);
    machine_trapped(m, RISCV_BREAKPOINT, RAM + 4, RAM + 4, RISCV_M);
    /* answered: goes on behind the call */
    machine_reset(m);
    m->answer_calls = true;
    m->rv->priv = RISCV_S;
    RUN(m, ECALL, ADDI(A1, A0, 1));
    g_assert_cmpuint(m->rv->priv, ==, RISCV_S);
    g_assert_cmpuint(m->rv->x[A1], ==, 10);
    machine_free(m);
}

static void test_addresses(gconstpointer accel)
{
    Machine *m = fresh(accel);
    struct {
        uint32_t insn;
        uint64_t address;
        unsigned cause;
    } cases[] = {
        {LD(A1, A0, 0), 0x4000, RISCV_LOAD_ACCESS},
        {LD(A1, A0, 8), 0x4000, RISCV_LOAD_ACCESS},
        {SD(A1, A0, 0), 0x4000, RISCV_STORE_ACCESS},
        {OP_R(0x00, A1, A0, 3, A1, 0x2f), 0x4000, RISCV_STORE_ACCESS},   /* amoadd.d */
        {OP_R(0x08, 0, A0, 3, A1, 0x2f), RAM + 4, RISCV_LOAD_MISALIGNED}, /* lr.d */
        {OP_R(0x0c, A1, A0, 3, A1, 0x2f), RAM + 4, RISCV_STORE_MISALIGNED}, /* sc.d */
        {OP_R(0x00, A1, A0, 2, A1, 0x2f), RAM + 2, RISCV_STORE_MISALIGNED}, /* amoadd.w */
        {OP_R(0x04, A1, A0, 3, A1, 0x2f), RAM + 1, RISCV_STORE_MISALIGNED}, /* amoswap.d */
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint64_t off = (cases[i].insn & 0x7f) == 3 ? cases[i].insn >> 20 : 0;
        machine_reset(m);
        m->rv->x[A0] = cases[i].address;
        m->rv->x[A1] = 0x55;
        RUN(m, NOP, cases[i].insn);
        machine_trapped(m, cases[i].cause, RAM + 4, cases[i].address + off, RISCV_M);
        g_assert_cmphex(m->rv->x[A1], ==, 0x55); /* nothing written */
    }
    /* misaligned plain accesses work, across a page too */
    machine_reset(m);
    m->rv->x[A0] = RAM + 0x4ffd;
    m->rv->x[A1] = UINT64_C(0x0123456789abcdef);
    RUN(m, SD(A1, A0, 0), LD(A2, A0, 0), LOAD(2, A3, A0, 1));
    g_assert_cmphex(m->rv->x[A2], ==, UINT64_C(0x0123456789abcdef));
    g_assert_cmphex(m->rv->x[A3], ==, (uint64_t)(int64_t)(int32_t)0x6789abcd);
    /* jumps into nothing */
    machine_reset(m);
    m->rv->x[A0] = 0x4000;
    RUN(m, JALR(RA, A0, 3));
    machine_trapped(m, RISCV_FETCH_ACCESS, 0x4002, 0x4002, RISCV_M);
    g_assert_cmphex(m->rv->x[RA], ==, RAM + 4);
    machine_free(m);
}

static void test_no_c(gconstpointer accel)
{
    Machine *m = machine_new("riscv64", "rv64,c=off", ACCEL(accel));
    RUN(m, NOP, 0x006000efu); /* jal ra, .+6 */
    machine_trapped(m, RISCV_FETCH_MISALIGNED, RAM + 4, RAM + 10, RISCV_M);
    g_assert_cmphex(m->rv->x[RA], ==, 0);
    machine_reset(m);
    m->rv->x[A0] = RAM + 6;
    RUN(m, JALR(RA, A0, 0));
    machine_trapped(m, RISCV_FETCH_MISALIGNED, RAM, RAM + 6, RISCV_M);
    g_assert_cmphex(m->rv->x[RA], ==, 0);
    machine_reset(m);
    RUN(m, 0x00001363u, 0x00000363u); /* bne x0,x0,.+6; beq x0,x0,.+6 */
    machine_trapped(m, RISCV_FETCH_MISALIGNED, RAM + 4, RAM + 10, RISCV_M);
    machine_reset(m);
    RUN(m, 0x00010001u); /* two c.nop: no C, no instruction */
    machine_trapped(m, RISCV_ILLEGAL, RAM, 0x0001, RISCV_M);
    machine_free(m);
}

static void expect_illegal(Machine *m, RiscvPriv priv, uint64_t mstatus, uint32_t insn,
                           bool illegal)
{
    machine_reset(m);
    m->rv->priv = priv;
    m->rv->mstatus |= mstatus;
    m->rv->sepc = m->rv->mepc = RAM + 4; /* for xRET */
    RUN(m, insn, NOP);
    if (illegal)
        machine_trapped(m, RISCV_ILLEGAL, RAM, insn, priv);
    else
        g_assert_cmphex(m->rv->mcause, ==, 0);
}

static void test_privilege(gconstpointer accel)
{
    Machine *m = fresh(accel);
    expect_illegal(m, RISCV_U, 0, MRET, true);
    expect_illegal(m, RISCV_S, 0, MRET, true);
    expect_illegal(m, RISCV_U, 0, SRET, true);
    expect_illegal(m, RISCV_S, MSTATUS_SPP, SRET, false);
    expect_illegal(m, RISCV_S, MSTATUS_SPP | MSTATUS_TSR, SRET, true);
    expect_illegal(m, RISCV_M, MSTATUS_SPP | MSTATUS_TSR, SRET, false);
    expect_illegal(m, RISCV_U, 0, WFI, true);
    expect_illegal(m, RISCV_S, MSTATUS_TW, WFI, true);
    expect_illegal(m, RISCV_U, 0, SFENCE, true);
    expect_illegal(m, RISCV_S, 0, SFENCE, false);
    expect_illegal(m, RISCV_S, MSTATUS_TVM, SFENCE, true);
    expect_illegal(m, RISCV_S, 0, CSRR(A0, 0x180), false);
    expect_illegal(m, RISCV_S, MSTATUS_TVM, CSRR(A0, 0x180), true);
    expect_illegal(m, RISCV_M, MSTATUS_TVM, CSRR(A0, 0x180), false);
    expect_illegal(m, RISCV_U, 0, CSRR(A0, 0x100), true);
    expect_illegal(m, RISCV_S, 0, CSRR(A0, 0x300), true);
    expect_illegal(m, RISCV_S, 0, CSRR(A0, 0xc01), true);  /* mcounteren.TM is 0 */
    expect_illegal(m, RISCV_S, 0, CSRR(A0, 0x14d), true);  /* menvcfg.STCE is 0 */
    /* henvcfgh, an RV32 register of H: plain illegal */
    expect_illegal(m, RISCV_M, 0, CSRR(A0, 0x61a), true);
    expect_illegal(m, RISCV_U, 0, 0x0045200fu, true);      /* cbo.zero (a0): menvcfg.CBZE is 0 */
    machine_free(m);
}

static void test_delegation(gconstpointer accel)
{
    Machine *m = fresh(accel);
    m->rv->medeleg = BIT64(RISCV_ECALL_U) | BIT64(RISCV_ILLEGAL);
    m->rv->priv = RISCV_U;
    m->rv->mstatus |= MSTATUS_SIE;
    RUN(m, NOP, ECALL);
    g_assert_cmpuint(m->rv->priv, ==, RISCV_S);
    g_assert_cmphex(m->rv->scause, ==, RISCV_ECALL_U);
    g_assert_cmphex(m->rv->sepc, ==, RAM + 4);
    g_assert_cmphex(m->rv->mcause, ==, 0);
    g_assert_cmphex(m->rv->mstatus & (MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP), ==, MSTATUS_SPIE);
    /* never from M to S */
    machine_reset(m);
    m->rv->medeleg = BIT64(RISCV_ILLEGAL);
    RUN(m, 0xffffffffu);
    machine_trapped(m, RISCV_ILLEGAL, RAM, 0xffffffff, RISCV_M);
    /* stval has the instruction too */
    machine_reset(m);
    m->rv->medeleg = BIT64(RISCV_ILLEGAL);
    m->rv->priv = RISCV_S;
    RUN(m, 0xffffffffu);
    g_assert_cmphex(m->rv->stval, ==, 0xffffffff);
    g_assert_cmphex(m->rv->mstatus & MSTATUS_SPP, ==, MSTATUS_SPP);
    machine_free(m);
}

static void test_interrupts(gconstpointer accel)
{
    Machine *m = fresh(accel);
    const GuestIsa *isa = guest_isa_by_name("riscv64");
    /* pending, enabled, MIE set by an instruction: taken behind it */
    isa->set_irq(m->cpu, RISCV_IRQ_MTI, true);
    isa->set_irq(m->cpu, RISCV_IRQ_MSI, true);
    m->rv->mie = MIP_MTIP | MIP_MSIP;
    RUN(m, NOP, CSRRSI(A0, 0x300, 8), NOP, NOP);
    machine_trapped(m, BIT64(63) | RISCV_IRQ_MSI, RAM + 8, 0, RISCV_M);
    g_assert_cmphex(m->rv->mstatus & (MSTATUS_MIE | MSTATUS_MPIE), ==, MSTATUS_MPIE);
    /* M interrupts beat S-mode whatever SIE is; external first; vectored */
    machine_reset(m);
    m->rv->priv = RISCV_S;
    m->rv->mie = MIP_ALL;
    m->rv->mideleg = MIP_S;
    m->rv->mtvec = (M_HANDLER - 4 * RISCV_IRQ_MEI) | 1;
    isa->set_irq(m->cpu, RISCV_IRQ_MEI, true);
    isa->set_irq(m->cpu, RISCV_IRQ_SEI, true);
    RUN(m, NOP, NOP);
    machine_trapped(m, BIT64(63) | RISCV_IRQ_MEI, RAM, 0, RISCV_S);
    /* delegated: waits for SIE in S-mode */
    machine_reset(m);
    isa->set_irq(m->cpu, RISCV_IRQ_MEI, false);
    m->rv->priv = RISCV_S;
    m->rv->mie = MIP_ALL;
    m->rv->mideleg = MIP_S;
    isa->set_irq(m->cpu, RISCV_IRQ_SEI, true);
    isa->set_irq(m->cpu, RISCV_IRQ_STI, true);
    RUN(m, NOP, CSRRSI(0, 0x100, 2), NOP);
    g_assert_cmphex(m->rv->scause, ==, BIT64(63) | RISCV_IRQ_SEI);
    g_assert_cmphex(m->rv->sepc, ==, RAM + 8);
    /* by register as well, and through mie */
    machine_reset(m);
    m->rv->priv = RISCV_S;
    m->rv->mideleg = MIP_S;
    m->rv->mstatus |= MSTATUS_SIE;
    m->rv->x[A0] = MIP_SEIP | MIP_SSIP;
    isa->set_irq(m->cpu, RISCV_IRQ_SEI, true);
    RUN(m, NOP, CSRRS(0, 0x104, A0), NOP);
    g_assert_cmphex(m->rv->sepc, ==, RAM + 8);
    isa->set_irq(m->cpu, RISCV_IRQ_SEI, false);
    isa->set_irq(m->cpu, RISCV_IRQ_STI, false);
    /* software sets SSIP by itself */
    machine_reset(m);
    m->rv->priv = RISCV_S;
    m->rv->mideleg = m->rv->mie = MIP_S;
    m->rv->mstatus |= MSTATUS_SIE;
    RUN(m, NOP, CSRRSI(0, 0x144, 2), NOP);
    g_assert_cmphex(m->rv->scause, ==, BIT64(63) | RISCV_IRQ_SSI);
    g_assert_cmphex(m->rv->sepc, ==, RAM + 8);
    machine_free(m);
}

static void pass_time(Machine *m)
{
    m->time += 1000;
    translate_kick(m->cpu);
}

static void test_wfi_and_timer(gconstpointer accel)
{
    Machine *m = fresh(accel);
    /* stimecmp through the menvcfg gate; WFI ends though interrupts are off */
    m->rv->priv = RISCV_S;
    m->rv->menvcfg |= MENVCFG_STCE;
    m->rv->mcounteren = 2;
    m->rv->mideleg = m->rv->mie = MIP_S;
    m->rv->x[A0] = 2500;
    m->on_idle = pass_time;
    RUN(m, CSRRW(0, 0x14d, A0), WFI, CSRR(A1, 0xc01), CSRR(A2, 0x144));
    g_assert_cmpuint(m->rv->x[A1], ==, 3000);
    g_assert_cmphex(m->rv->x[A2], ==, MIP_STIP);
    g_assert_cmpuint(m->idles, ==, 2);
    g_assert_cmphex(m->rv->scause, ==, 0);
    /* the same with SIE: the trap is behind WFI */
    machine_reset(m);
    m->rv->priv = RISCV_S;
    m->rv->menvcfg |= MENVCFG_STCE;
    m->rv->mcounteren = 2;
    m->rv->mideleg = m->rv->mie = MIP_S;
    m->rv->mstatus |= MSTATUS_SIE;
    m->rv->x[A0] = 1500;
    m->on_idle = pass_time;
    RUN(m, CSRRW(0, 0x14d, A0), WFI, NOP);
    g_assert_cmphex(m->rv->scause, ==, BIT64(63) | RISCV_IRQ_STI);
    g_assert_cmphex(m->rv->sepc, ==, RAM + 8);
    machine_free(m);
}

static bool stopping_call(void *opaque, TranslateCpu *cpu, uint32_t number)
{
    translate_stop(cpu);
    return true;
}

/* A stop asked for while the hart is between two stretches of code: here, by the call that firmware answers. */
static void test_stop_in_call(gconstpointer accel)
{
    Machine *m = fresh(accel);
    m->cpu->env.hypercall = stopping_call;
    m->rv->priv = RISCV_S;
    RUN(m, ECALL, LOOP); /* returns */
    g_assert_cmphex(m->cpu->pc, ==, RAM + 4);
    machine_free(m);
}

static void test_returns(gconstpointer accel)
{
    Machine *m = fresh(accel);
    m->rv->mstatus = bits_set(m->rv->mstatus, MSTATUS_MPP_SHIFT, 2, RISCV_S) | MSTATUS_MPRV |
                     MSTATUS_MPIE;
    m->rv->mepc = RAM + 8;
    RUN(m, MRET, EBREAK, NOP);
    g_assert_cmpuint(m->rv->priv, ==, RISCV_S);
    g_assert_cmphex(m->rv->mstatus & (MSTATUS_MPRV | MSTATUS_MPIE | MSTATUS_MIE | MSTATUS_MPP), ==,
                    MSTATUS_MPIE | MSTATUS_MIE);
    machine_reset(m);
    m->rv->priv = RISCV_S;
    m->rv->mstatus |= MSTATUS_SPIE;
    m->rv->sepc = RAM + 8;
    RUN(m, SRET, EBREAK, NOP);
    g_assert_cmpuint(m->rv->priv, ==, RISCV_U);
    g_assert_cmphex(m->rv->mstatus & (MSTATUS_SIE | MSTATUS_SPIE), ==, MSTATUS_SIE | MSTATUS_SPIE);
    machine_free(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    both_ways("/riscv/trap/illegal", test_illegal);
    both_ways("/riscv/trap/calls", test_calls);
    both_ways("/riscv/trap/addresses", test_addresses);
    both_ways("/riscv/trap/no-c", test_no_c);
    both_ways("/riscv/trap/privilege", test_privilege);
    both_ways("/riscv/trap/delegation", test_delegation);
    both_ways("/riscv/trap/interrupts", test_interrupts);
    both_ways("/riscv/trap/wfi-timer", test_wfi_and_timer);
    both_ways("/riscv/trap/returns", test_returns);
    both_ways("/riscv/trap/stop-in-call", test_stop_in_call);
    return g_test_run();
}
