/* SPDX-License-Identifier: MIT */
/*
 * Control and status registers: the table, reading and writing, counters, the
 * floating-point control register, checks that depend on more than privilege.
 *
 * An entry is storage (a 64-bit field and the mask of writable bits) or a pair
 * of functions. Values are XLEN bits; where XLEN is 32 they are given out
 * sign-extended. cycle and instret count at 1 GHz of the platform's 10 MHz time.
 */
#include <stddef.h>
#include <string.h>

#include "guest/riscv/riscv_priv.h"

typedef enum {
    NEED_NOTHING, NEED_F, NEED_S, NEED_U, NEED_32, NEED_SSTC, NEED_SSTC_32, NEED_U_32, NEED_PMP, NEED_PMPCFG,
} Need;

typedef struct Csr {
    const char *name;
    uint8_t need;
    bool counter;           /* subject to mcounteren and scounteren */
    uint32_t field;         /* offset, when there is no read function */
    uint64_t mask;
    uint64_t (*read)(RiscvCpu *cpu, unsigned number);
    void (*write)(RiscvCpu *cpu, unsigned number, uint64_t value);
} Csr;

/* status */

uint64_t riscv_mstatus(const RiscvCpu *cpu)
{
    uint64_t v = cpu->mstatus | cpu->fs << MSTATUS_FS_SHIFT;
    if (cpu->fs == 3)
        v |= cpu->props.rv32 ? BIT64(31) : BIT64(63);
    return v;
}

static uint64_t read_mstatus(RiscvCpu *cpu, unsigned number)
{
    return riscv_mstatus(cpu);
}

static uint64_t read_sstatus(RiscvCpu *cpu, unsigned number)
{
    return riscv_mstatus(cpu) & (SSTATUS_MASK | BIT64(63) | (cpu->props.rv32 ? BIT64(31) : 0));
}

static uint64_t legal_mpp(const RiscvCpu *cpu, uint64_t old, uint64_t mpp)
{
    bool ok = mpp == RISCV_M || (mpp == RISCV_S && cpu->props.s) ||
              (mpp == RISCV_U && cpu->props.u);
    return ok ? mpp : old;
}

static void write_mstatus(RiscvCpu *cpu, unsigned number, uint64_t v)
{
    uint64_t mask = MSTATUS_MIE | MSTATUS_MPIE, old = cpu->mstatus, s;
    if (cpu->props.s)
        mask |= MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP | MSTATUS_SUM | MSTATUS_MXR | MSTATUS_TVM |
            MSTATUS_TSR;
    if (cpu->props.u)
        mask |= MSTATUS_MPRV | MSTATUS_TW;
    s = (old & ~mask) | (v & mask);
    s = bits_set(s, MSTATUS_MPP_SHIFT, 2,
                 legal_mpp(cpu, bits_get(old, MSTATUS_MPP_SHIFT, 2),
                           bits_get(v, MSTATUS_MPP_SHIFT, 2)));
    uint64_t uxl = bits_get(v, MSTATUS_UXL_SHIFT, 2);
    if (!cpu->props.rv32 && cpu->props.u && (uxl == 1 || uxl == 2))
        s = bits_set(s, MSTATUS_UXL_SHIFT, 2, uxl);
    cpu->mstatus = s;
    if (cpu->props.f)
        cpu->fs = bits_get(v, MSTATUS_FS_SHIFT, 2);
    if ((s ^ old) & MSTATUS_MXR)
        translate_tlb_flush(&cpu->base, BIT32(MMU_U) | BIT32(MMU_S) | BIT32(MMU_SUM), false);
}

static void write_sstatus(RiscvCpu *cpu, unsigned number, uint64_t v)
{
    write_mstatus(cpu, number, (riscv_mstatus(cpu) & ~SSTATUS_MASK) | (v & SSTATUS_MASK));
}

static uint64_t read_zero(RiscvCpu *cpu, unsigned number)
{
    return 0;
}

static void write_ignore(RiscvCpu *cpu, unsigned number, uint64_t v)
{
}

static uint64_t read_misa(RiscvCpu *cpu, unsigned number)
{
    return cpu->misa;
}

/* interrupts */

static uint64_t sie_mask(const RiscvCpu *cpu)
{
    return MIP_ALL & (cpu->props.s ? ~UINT64_C(0) : ~MIP_S);
}

static void write_mie(RiscvCpu *cpu, unsigned number, uint64_t v)
{
    cpu->mie = v & sie_mask(cpu);
}

static uint64_t read_sie(RiscvCpu *cpu, unsigned number)
{
    return cpu->mie & cpu->mideleg;
}

static void write_sie(RiscvCpu *cpu, unsigned number, uint64_t v)
{
    cpu->mie = (cpu->mie & ~cpu->mideleg) | (v & cpu->mideleg);
}

static uint64_t read_mip(RiscvCpu *cpu, unsigned number)
{
    return riscv_pending(cpu);
}

static uint64_t read_sip(RiscvCpu *cpu, unsigned number)
{
    return riscv_pending(cpu) & cpu->mideleg;
}

static void assign_mip(RiscvCpu *cpu, uint64_t mask, uint64_t v)
{
    __atomic_or_fetch(&cpu->mip, v & mask, __ATOMIC_SEQ_CST);
    __atomic_and_fetch(&cpu->mip, v | ~mask, __ATOMIC_SEQ_CST);
}

static void write_mip(RiscvCpu *cpu, unsigned number, uint64_t v)
{
    if (!cpu->props.s)
        return;
    cpu->seip_soft = v & MIP_SEIP;
    assign_mip(cpu, MIP_SSIP | (riscv_timer_on(cpu) ? 0 : MIP_STIP), v);
}

static void write_sip(RiscvCpu *cpu, unsigned number, uint64_t v)
{
    assign_mip(cpu, MIP_SSIP & cpu->mideleg, v);
}

/* the S timer */

void riscv_set_timer(TranslateCpu *base, uint64_t when)
{
    RiscvCpu *cpu = riscv_of(base);
    cpu->stimecmp = when;
    if (base->env.deadline)
        base->env.deadline(base->env.opaque, 0, when);
}

static uint64_t read_stimecmp(RiscvCpu *cpu, unsigned number)
{
    return number == 0x15d ? cpu->stimecmp >> 32 : cpu->stimecmp;
}

static void write_stimecmp(RiscvCpu *cpu, unsigned number, uint64_t v)
{
    if (number == 0x15d)
        v = bits_set(cpu->stimecmp, 32, 32, v);
    else if (cpu->props.rv32)
        v = bits_set(cpu->stimecmp, 0, 32, v);
    riscv_set_timer(&cpu->base, v);
}

/* address translation, environment configuration */

static void write_satp(RiscvCpu *cpu, unsigned number, uint64_t v)
{
    uint64_t old = cpu->satp;
    if (!cpu->props.mmu)
        return;
    if (cpu->props.rv32) {
        cpu->satp = (uint32_t)v;
    } else {
        unsigned mode = (unsigned)(v >> 60);
        if (mode && (mode < 8 || mode > cpu->props.satp_max))
            return; /* the whole write has no effect */
        cpu->satp = v;
    }
    riscv_space_switch(cpu, old);
}

static uint64_t envcfg_mask(const RiscvCpu *cpu)
{
    return 1 | (cpu->props.zicbom ? MENVCFG_CBIE | MENVCFG_CBCFE : 0) |
           (cpu->props.zicboz ? MENVCFG_CBZE : 0);
}

static uint64_t legal_envcfg(uint64_t old, uint64_t v)
{
    if (bits_get(v, MENVCFG_CBIE_SHIFT, 2) == 2) /* reserved */
        v = bits_set(v, MENVCFG_CBIE_SHIFT, 2, bits_get(old, MENVCFG_CBIE_SHIFT, 2));
    return v;
}

static uint64_t read_menvcfg(RiscvCpu *cpu, unsigned number)
{
    return number == 0x31a ? cpu->menvcfg >> 32 : cpu->menvcfg;
}

static void write_menvcfg(RiscvCpu *cpu, unsigned number, uint64_t v)
{
    uint64_t mask = envcfg_mask(cpu) | (cpu->props.sstc ? MENVCFG_STCE : 0) |
                    (cpu->props.svadu ? MENVCFG_ADUE : 0) | (cpu->props.svpbmt ? MENVCFG_PBMTE : 0);
    uint64_t old = cpu->menvcfg;
    if (number == 0x31a)
        v = bits_set(old, 32, 32, v);
    else if (cpu->props.rv32)
        v = bits_set(old, 0, 32, v);
    cpu->menvcfg = legal_envcfg(old, v & mask);
    if ((cpu->menvcfg ^ old) & (MENVCFG_ADUE | MENVCFG_PBMTE))
        riscv_spaces_renew(cpu);
}

static void write_senvcfg(RiscvCpu *cpu, unsigned number, uint64_t v)
{
    cpu->senvcfg = legal_envcfg(cpu->senvcfg, v & envcfg_mask(cpu));
}

static uint64_t read_enable(RiscvCpu *cpu, unsigned number)
{
    return number == 0x106 ? cpu->scounteren : number == 0x306 ? cpu->mcounteren :
           cpu->mcountinhibit;
}

/* counters */

static uint64_t running_count(RiscvCpu *cpu)
{
    const GuestEnv *env = &cpu->base.env;
    uint64_t now = (env->time ? env->time(env->opaque) : 0) * 100;
    if (now <= cpu->last_count)
        now = cpu->last_count + 1;
    cpu->last_count = now;
    return now;
}

static void write_enable(RiscvCpu *cpu, unsigned number, uint64_t v)
{
    if (number == 0x106) {
        cpu->scounteren = (uint32_t)v;
        return;
    }
    if (number == 0x306) {
        cpu->mcounteren = (uint32_t)v;
        return;
    }
    uint32_t changed = (cpu->mcountinhibit ^ (uint32_t)v) & 5;
    uint64_t now = running_count(cpu);
    /* an offset while it counts, the value while it does not */
    if (changed & 1)
        cpu->cycle_offset = v & 1 ? now + cpu->cycle_offset : cpu->cycle_offset - now;
    if (changed & 4)
        cpu->instret_offset = v & 4 ? now + cpu->instret_offset : cpu->instret_offset - now;
    cpu->mcountinhibit = v & 5;
}

static uint64_t *count_of(RiscvCpu *cpu, unsigned number, bool *stopped)
{
    unsigned n = number & 0x1f;
    *stopped = cpu->mcountinhibit >> n & 1;
    return n == 0 ? &cpu->cycle_offset : n == 2 ? &cpu->instret_offset : NULL;
}

static uint64_t read_count(RiscvCpu *cpu, unsigned number)
{
    bool stopped, high = number & 0x80;
    uint64_t *p = count_of(cpu, number, &stopped);
    uint64_t v = !p ? 0 : stopped ? *p : *p + running_count(cpu);
    return high ? v >> 32 : v;
}

static void write_count(RiscvCpu *cpu, unsigned number, uint64_t v)
{
    bool stopped, high = number & 0x80;
    uint64_t *p = count_of(cpu, number, &stopped), now = 0;
    if (!p)
        return;
    if (!stopped)
        now = running_count(cpu);
    if (cpu->props.rv32)
        v = bits_set(*p + now, high ? 32 : 0, 32, v);
    *p = v - now;
}

static uint64_t read_time(RiscvCpu *cpu, unsigned number)
{
    const GuestEnv *env = &cpu->base.env;
    uint64_t v = env->time ? env->time(env->opaque) : 0;
    return number & 0x80 ? v >> 32 : v;
}

/* floating point: RISC-V's flag bits are the translator's the other way round */

static unsigned reverse_flags(unsigned f)
{
    return (f & 1) << 4 | (f & 2) << 2 | (f & 4) | (f & 8) >> 2 | (f & 16) >> 4;
}

unsigned riscv_fflags(RiscvCpu *cpu)
{
    return reverse_flags(translate_fp_flags(&cpu->base));
}

void riscv_set_fflags(RiscvCpu *cpu, unsigned flags)
{
    translate_fp_set_flags(&cpu->base, reverse_flags(flags & 31));
}

void riscv_set_frm(RiscvCpu *cpu, unsigned frm)
{
    cpu->frm = frm & 7;
    if (cpu->frm <= IR_RMM)
        translate_fp_set_round(&cpu->base, (IrRound)cpu->frm);
}

static uint64_t read_fcsr(RiscvCpu *cpu, unsigned number)
{
    uint64_t flags = riscv_fflags(cpu);
    return number == 1 ? flags : number == 2 ? cpu->frm : flags | (uint64_t)cpu->frm << 5;
}

static void write_fcsr(RiscvCpu *cpu, unsigned number, uint64_t v)
{
    if (number & 1)
        riscv_set_fflags(cpu, (unsigned)v);
    if (number == 2)
        riscv_set_frm(cpu, (unsigned)v);
    else if (number == 3)
        riscv_set_frm(cpu, (unsigned)(v >> 5));
    cpu->fs = 3;
}

static uint64_t read_pmp(RiscvCpu *cpu, unsigned number)
{
    return riscv_pmp_read(cpu, number);
}

#define FIELD(name_, need_, member, mask_) {.name = name_, .need = need_, .field = offsetof(RiscvCpu, member), .mask = mask_}
#define PAIR(name_, need_, read_, write_) {.name = name_, .need = need_, .read = read_, .write = write_}
#define ALL UINT64_MAX
#define HPM(n) \
    [0xb00 + (n)] = PAIR("mhpmcounter" #n, NEED_NOTHING, read_zero, write_ignore), \
    [0xb80 + (n)] = PAIR("mhpmcounter" #n "h", NEED_32, read_zero, write_ignore), \
    [0x320 + (n)] = PAIR("mhpmevent" #n, NEED_NOTHING, read_zero, write_ignore), \
    [0xc00 + (n)] = {.name = "hpmcounter" #n, .counter = true, .read = read_zero}, \
    [0xc80 + (n)] = {.name = "hpmcounter" #n "h", .need = NEED_32, .counter = true, .read = read_zero}
#define PMPADDR(n) [0x3b0 + (n)] = PAIR("pmpaddr" #n, NEED_PMP, read_pmp, riscv_pmp_write)

static const Csr csrs[4096] = {
    [0x001] = PAIR("fflags", NEED_F, read_fcsr, write_fcsr),
    [0x002] = PAIR("frm", NEED_F, read_fcsr, write_fcsr),
    [0x003] = PAIR("fcsr", NEED_F, read_fcsr, write_fcsr),
    [0x100] = PAIR("sstatus", NEED_S, read_sstatus, write_sstatus),
    [0x104] = PAIR("sie", NEED_S, read_sie, write_sie),
    [0x105] = FIELD("stvec", NEED_S, stvec, ~UINT64_C(2)),
    [0x106] = PAIR("scounteren", NEED_S, read_enable, write_enable),
    [0x10a] = {.name = "senvcfg", .need = NEED_S, .field = offsetof(RiscvCpu, senvcfg), .mask = ALL, .write = write_senvcfg},
    [0x140] = FIELD("sscratch", NEED_S, sscratch, ALL),
    [0x141] = FIELD("sepc", NEED_S, sepc, ~UINT64_C(1)),
    [0x142] = FIELD("scause", NEED_S, scause, ALL),
    [0x143] = FIELD("stval", NEED_S, stval, ALL),
    [0x144] = PAIR("sip", NEED_S, read_sip, write_sip),
    [0x14d] = PAIR("stimecmp", NEED_SSTC, read_stimecmp, write_stimecmp),
    [0x15d] = PAIR("stimecmph", NEED_SSTC_32, read_stimecmp, write_stimecmp),
    [0x180] = {.name = "satp", .need = NEED_S, .field = offsetof(RiscvCpu, satp), .write = write_satp},
    [0x300] = PAIR("mstatus", NEED_NOTHING, read_mstatus, write_mstatus),
    [0x301] = PAIR("misa", NEED_NOTHING, read_misa, write_ignore),
    [0x302] = FIELD("medeleg", NEED_S, medeleg, MEDELEG_MASK),
    [0x303] = FIELD("mideleg", NEED_S, mideleg, MIP_S),
    [0x304] = {.name = "mie", .field = offsetof(RiscvCpu, mie), .write = write_mie},
    [0x305] = FIELD("mtvec", NEED_NOTHING, mtvec, ~UINT64_C(2)),
    [0x306] = PAIR("mcounteren", NEED_U, read_enable, write_enable),
    [0x30a] = PAIR("menvcfg", NEED_U, read_menvcfg, write_menvcfg),
    [0x310] = PAIR("mstatush", NEED_32, read_zero, write_ignore),
    [0x31a] = PAIR("menvcfgh", NEED_U_32, read_menvcfg, write_menvcfg),
    [0x320] = PAIR("mcountinhibit", NEED_NOTHING, read_enable, write_enable),
    [0x340] = FIELD("mscratch", NEED_NOTHING, mscratch, ALL),
    [0x341] = FIELD("mepc", NEED_NOTHING, mepc, ~UINT64_C(1)),
    [0x342] = FIELD("mcause", NEED_NOTHING, mcause, ALL),
    [0x343] = FIELD("mtval", NEED_NOTHING, mtval, ALL),
    [0x344] = PAIR("mip", NEED_NOTHING, read_mip, write_mip),
    [0x3a0] = PAIR("pmpcfg0", NEED_PMPCFG, read_pmp, riscv_pmp_write),
    [0x3a1] = PAIR("pmpcfg1", NEED_PMPCFG, read_pmp, riscv_pmp_write),
    [0x3a2] = PAIR("pmpcfg2", NEED_PMPCFG, read_pmp, riscv_pmp_write),
    [0x3a3] = PAIR("pmpcfg3", NEED_PMPCFG, read_pmp, riscv_pmp_write),
    PMPADDR(0), PMPADDR(1), PMPADDR(2), PMPADDR(3), PMPADDR(4), PMPADDR(5), PMPADDR(6), PMPADDR(7),
    PMPADDR(8), PMPADDR(9), PMPADDR(10), PMPADDR(11), PMPADDR(12), PMPADDR(13), PMPADDR(14), PMPADDR(15),
    /* no triggers: type 0 */
    [0x7a0] = PAIR("tselect", NEED_NOTHING, read_zero, write_ignore),
    [0x7a1] = PAIR("tdata1", NEED_NOTHING, read_zero, write_ignore),
    [0x7a2] = PAIR("tdata2", NEED_NOTHING, read_zero, write_ignore),
    [0x7a3] = PAIR("tdata3", NEED_NOTHING, read_zero, write_ignore),
    [0xb00] = PAIR("mcycle", NEED_NOTHING, read_count, write_count),
    [0xb02] = PAIR("minstret", NEED_NOTHING, read_count, write_count),
    [0xb80] = PAIR("mcycleh", NEED_32, read_count, write_count),
    [0xb82] = PAIR("minstreth", NEED_32, read_count, write_count),
    [0xc00] = {.name = "cycle", .counter = true, .read = read_count},
    [0xc01] = {.name = "time", .counter = true, .read = read_time},
    [0xc02] = {.name = "instret", .counter = true, .read = read_count},
    [0xc80] = {.name = "cycleh", .need = NEED_32, .counter = true, .read = read_count},
    [0xc81] = {.name = "timeh", .need = NEED_32, .counter = true, .read = read_time},
    [0xc82] = {.name = "instreth", .need = NEED_32, .counter = true, .read = read_count},
    HPM(3), HPM(4), HPM(5), HPM(6), HPM(7), HPM(8), HPM(9), HPM(10), HPM(11), HPM(12), HPM(13), HPM(14),
    HPM(15), HPM(16), HPM(17), HPM(18), HPM(19), HPM(20), HPM(21), HPM(22), HPM(23), HPM(24), HPM(25),
    HPM(26), HPM(27), HPM(28), HPM(29), HPM(30), HPM(31),
    [0xf11] = FIELD("mvendorid", NEED_NOTHING, props.vendor, 0),
    [0xf12] = FIELD("marchid", NEED_NOTHING, props.arch, 0),
    [0xf13] = FIELD("mimpid", NEED_NOTHING, props.imp, 0),
    [0xf14] = FIELD("mhartid", NEED_NOTHING, hart, 0),
    [0xf15] = PAIR("mconfigptr", NEED_NOTHING, read_zero, NULL),
};

bool riscv_csr_exists(const RiscvCpu *cpu, unsigned number)
{
    const RiscvProps *p = &cpu->props;
    if (number >= G_N_ELEMENTS(csrs) || !csrs[number].name)
        return false;
    switch ((Need)csrs[number].need) {
    case NEED_F: return p->f;
    case NEED_S: return p->s;
    case NEED_U: return p->u;
    case NEED_32: return p->rv32;
    case NEED_U_32: return p->u && p->rv32;
    case NEED_SSTC: return p->s && p->sstc;
    case NEED_SSTC_32: return p->s && p->sstc && p->rv32;
    case NEED_PMP: return p->pmp;
    case NEED_PMPCFG: return p->pmp && (p->rv32 || !(number & 1));
    default: return true;
    }
}

const char *riscv_csr_name(const TranslateCpu *base, unsigned number)
{
    const RiscvCpu *cpu = (const RiscvCpu *)(const void *)base;
    return riscv_csr_exists(cpu, number) ? csrs[number].name : NULL;
}

static uint64_t csr_read(RiscvCpu *cpu, unsigned number)
{
    const Csr *csr = &csrs[number];
    uint64_t v;
    if (csr->read)
        v = csr->read(cpu, number);
    else
        memcpy(&v, (const char *)cpu + csr->field, sizeof v);
    return cpu->props.rv32 ? (uint64_t)(int64_t)(int32_t)v : v;
}

static void csr_write(RiscvCpu *cpu, unsigned number, uint64_t v)
{
    const Csr *csr = &csrs[number];
    if (csr->write) {
        csr->write(cpu, number, cpu->props.rv32 ? (uint32_t)v : v);
        return;
    }
    v &= csr->mask;
    memcpy((char *)cpu + csr->field, &v, sizeof v);
}

bool riscv_csr_read(TranslateCpu *base, unsigned number, uint64_t *value)
{
    RiscvCpu *cpu = riscv_of(base);
    if (!riscv_csr_exists(cpu, number))
        return false;
    *value = csr_read(cpu, number);
    return true;
}

bool riscv_csr_write(TranslateCpu *base, unsigned number, uint64_t value)
{
    RiscvCpu *cpu = riscv_of(base);
    if (!riscv_csr_exists(cpu, number) || number >> 10 == 3)
        return false;
    csr_write(cpu, number, value);
    return true;
}

/* What translation could not check. */
static bool allowed_now(const RiscvCpu *cpu, unsigned number)
{
    unsigned bit = number & 0x1f;
    if (cpu->priv == RISCV_M)
        return true;
    if (csrs[number].counter) {
        if (!(cpu->mcounteren >> bit & 1))
            return false;
        return cpu->priv != RISCV_U || !cpu->props.s || cpu->scounteren >> bit & 1;
    }
    if (number == 0x14d || number == 0x15d)
        return riscv_timer_on(cpu) && cpu->mcounteren & 2;
    return true;
}

uint64_t riscv_helper_csr_read(void *opaque, uint64_t number, uint64_t bits, uint64_t c, uint64_t d)
{
    RiscvCpu *cpu = opaque;
    if (!allowed_now(cpu, (unsigned)number)) {
        translate_raise(&cpu->base, RISCV_ILLEGAL, bits);
        return 0;
    }
    return csr_read(cpu, (unsigned)number);
}

uint64_t riscv_helper_csr_write(void *opaque, uint64_t what, uint64_t operand, uint64_t bits,
                                uint64_t d)
{
    RiscvCpu *cpu = opaque;
    unsigned number = what & 0xfff, op = (unsigned)(what >> 12);
    if (!allowed_now(cpu, number)) {
        translate_raise(&cpu->base, RISCV_ILLEGAL, bits);
        return 0;
    }
    uint64_t old = csr_read(cpu, number), base = old;
    if (number == 0x344) /* what a device drives is not written back as software's */
        base = bits_set(base, RISCV_IRQ_SEI, 1, cpu->seip_soft);
    uint64_t value = op == CSR_OP_WRITE ? operand : op == CSR_OP_SET ? base | operand : base & ~operand;
    csr_write(cpu, number, value);
    cpu->exit_needed = riscv_mode_key(cpu) != cpu->base.mode || riscv_pending(cpu) & cpu->mie;
    return old;
}
