/* SPDX-License-Identifier: MIT */
/*
 * Exceptions, interrupts, delegation, xRET, WFI (privileged ISA 1.12, 3.1 and
 * 4.1). mtval and stval hold the instruction's bits after an illegal
 * instruction, the address after address faults and EBREAK, else 0.
 *
 * mip is one atomic word. Bits that a CSR write may set share it with those
 * that devices drive; the software half of SEIP is apart, and the timer of Sstc
 * is compared when asked for.
 */
#include "guest/riscv/riscv_priv.h"

bool riscv_timer_on(const RiscvCpu *cpu)
{
    return cpu->props.sstc && cpu->menvcfg & MENVCFG_STCE;
}

uint64_t riscv_pending(RiscvCpu *cpu)
{
    uint64_t mip = __atomic_load_n(&cpu->mip, __ATOMIC_SEQ_CST);
    if (cpu->seip_soft)
        mip |= MIP_SEIP;
    if (riscv_timer_on(cpu)) {
        const GuestEnv *env = &cpu->base.env;
        uint64_t now = env->time ? env->time(env->opaque) : 0;
        mip &= ~MIP_STIP;
        if (cpu->stimecmp != UINT64_MAX && now >= cpu->stimecmp)
            mip |= MIP_STIP;
    }
    return mip;
}

void riscv_set_irq(TranslateCpu *base, unsigned line, bool level)
{
    RiscvCpu *cpu = riscv_of(base);
    if (line > 63 || !(MIP_ALL >> line & 1))
        return;
    if (!level) {
        __atomic_and_fetch(&cpu->mip, ~BIT64(line), __ATOMIC_SEQ_CST);
        return;
    }
    __atomic_or_fetch(&cpu->mip, BIT64(line), __ATOMIC_SEQ_CST);
    __atomic_store_n(&cpu->attention, 1, __ATOMIC_SEQ_CST);
    translate_kick(base);
}

/* Where a trap with xtvec goes. */
static uint64_t vector(uint64_t tvec, bool interrupt, uint64_t cause)
{
    uint64_t base = tvec & ~UINT64_C(3);
    return interrupt && tvec & 1 ? base + 4 * cause : base;
}

static uint64_t in_xlen(const RiscvCpu *cpu, RiscvPriv priv, uint64_t v)
{
    return riscv_priv_is_32(cpu, priv) ? (uint64_t)(int64_t)(int32_t)v : v;
}

static void enter(RiscvCpu *cpu, bool interrupt, uint64_t number, uint64_t value)
{
    uint64_t deleg = interrupt ? cpu->mideleg : cpu->medeleg;
    RiscvPriv to = cpu->priv != RISCV_M && cpu->props.s && deleg >> (number & 63) & 1 ? RISCV_S :
                   RISCV_M;
    bool narrow = riscv_priv_is_32(cpu, to);
    uint64_t cause = number | (interrupt ? narrow ? (uint64_t)INT64_C(-0x80000000) : BIT64(63) : 0);
    uint64_t epc = in_xlen(cpu, to, cpu->base.pc), s = cpu->mstatus, pc;
    value = in_xlen(cpu, to, value);
    if (to == RISCV_S) {
        s = bits_set(s, 5, 1, bits_get(s, 1, 1)) & ~MSTATUS_SIE;
        s = bits_set(s, 8, 1, cpu->priv);
        cpu->sepc = epc;
        cpu->scause = cause;
        cpu->stval = value;
        pc = vector(cpu->stvec, interrupt, number);
    } else {
        s = bits_set(s, 7, 1, bits_get(s, 3, 1)) & ~MSTATUS_MIE;
        s = bits_set(s, MSTATUS_MPP_SHIFT, 2, cpu->priv);
        cpu->mepc = epc;
        cpu->mcause = cause;
        cpu->mtval = value;
        pc = vector(cpu->mtvec, interrupt, number);
    }
    cpu->mstatus = s;
    cpu->priv = to;
    cpu->base.pc = narrow ? (uint32_t)pc : pc;
}

void riscv_raise(TranslateCpu *base, TranslateFault fault)
{
    RiscvCpu *cpu = riscv_of(base);
    if (fault.exception == RISCV_ECALL_S && base->env.hypercall) {
        uint64_t pc = base->pc;
        base->pc = pc + 4;
        if (base->env.hypercall(base->env.opaque, base, fault.exception))
            return;
        base->pc = pc;
    }
    if (fault.exception == RISCV_BREAKPOINT && base->env.semihost &&
        base->env.semihost(base->env.opaque, base)) {
        base->pc += 4;
        return;
    }
    enter(cpu, false, fault.exception, fault.value);
}

bool riscv_interrupt(TranslateCpu *base)
{
    static const uint8_t order[] = {RISCV_IRQ_MEI, RISCV_IRQ_MSI, RISCV_IRQ_MTI,
                                    RISCV_IRQ_SEI, RISCV_IRQ_SSI, RISCV_IRQ_STI};
    RiscvCpu *cpu = riscv_of(base);
    /* Cleared first: what another thread sets meanwhile is not lost. */
    __atomic_store_n(&cpu->attention, 0, __ATOMIC_SEQ_CST);
    uint64_t due = riscv_pending(cpu) & cpu->mie;
    if (!due)
        return false;
    uint64_t m = due & ~cpu->mideleg, s = due & cpu->mideleg;
    bool m_on = cpu->priv < RISCV_M || cpu->mstatus & MSTATUS_MIE;
    bool s_on = cpu->priv < RISCV_S || (cpu->priv == RISCV_S && cpu->mstatus & MSTATUS_SIE);
    uint64_t take = m_on && m ? m : s_on ? s : 0;
    __atomic_store_n(&cpu->attention, 1, __ATOMIC_SEQ_CST);
    if (!take)
        return false;
    base->idle = false;
    for (unsigned i = 0; i < sizeof order; i++)
        if (take >> order[i] & 1) {
            enter(cpu, true, order[i], 0);
            return true;
        }
    return false;
}

bool riscv_wake(TranslateCpu *base)
{
    RiscvCpu *cpu = riscv_of(base);
    return riscv_pending(cpu) & cpu->mie;
}

void riscv_trouble(TranslateCpu *base, uint64_t address, TranslateAccess access,
                   TranslateTrouble trouble,
                   TranslateFault *fault)
{
    static const uint8_t causes[2][3] = {
        [TRANSLATE_BUS_ERROR] = {RISCV_FETCH_ACCESS, RISCV_LOAD_ACCESS, RISCV_STORE_ACCESS},
        [TRANSLATE_MISALIGNED] = {RISCV_FETCH_MISALIGNED, RISCV_LOAD_MISALIGNED, RISCV_STORE_MISALIGNED},
    };
    *fault = (TranslateFault){causes[trouble][access], address};
}

static uint64_t return_pc(const RiscvCpu *cpu, uint64_t epc)
{
    return riscv_priv_is_32(cpu, cpu->priv) ? (uint32_t)epc : epc;
}

static RiscvPriv lowest(const RiscvCpu *cpu)
{
    return cpu->props.u ? RISCV_U : RISCV_M;
}

uint64_t riscv_helper_mret(void *opaque, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    RiscvCpu *cpu = opaque;
    uint64_t s = cpu->mstatus;
    cpu->priv = (RiscvPriv)bits_get(s, MSTATUS_MPP_SHIFT, 2);
    s = bits_set(s, 3, 1, bits_get(s, 7, 1)) | MSTATUS_MPIE;
    s = bits_set(s, MSTATUS_MPP_SHIFT, 2, lowest(cpu));
    if (cpu->priv != RISCV_M)
        s &= ~MSTATUS_MPRV;
    cpu->mstatus = s;
    return return_pc(cpu, cpu->mepc);
}

uint64_t riscv_helper_sret(void *opaque, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    RiscvCpu *cpu = opaque;
    uint64_t s = cpu->mstatus;
    cpu->priv = s & MSTATUS_SPP ? RISCV_S : RISCV_U;
    s = bits_set(s, 1, 1, bits_get(s, 5, 1)) | MSTATUS_SPIE;
    s &= ~(MSTATUS_SPP | MSTATUS_MPRV);
    if (!cpu->props.u)
        s |= MSTATUS_SPP;
    cpu->mstatus = s;
    return return_pc(cpu, cpu->sepc);
}

uint64_t riscv_helper_wfi(void *opaque, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    RiscvCpu *cpu = opaque;
    cpu->base.idle = true;
    return 0;
}
