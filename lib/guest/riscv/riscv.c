/* SPDX-License-Identifier: MIT */
/*
 * The RISC-V guest: slots, pins, helpers, the mode key, reset, registers by
 * name, what firmware in the host may do. Decoding is in decode.c, models in
 * model.c, traps in trap.c.
 */
#include "guest/riscv/riscv.h"

#include <stddef.h>
#include <string.h>

#include "guest/riscv/riscv_priv.h"

#define FIELD(member) offsetof(RiscvCpu, member)
#define X(n) [SLOT_X + (n)] = {.name = "x" #n, .offset = FIELD(x) + 8 * (n), .type = IR_I64}
#define F(n) [SLOT_F + (n)] = {.name = "f" #n, .offset = FIELD(f) + 8 * (n), .type = IR_F64}
#define S(slot, member) [slot] = {.name = #member, .offset = FIELD(member), .type = IR_I64}

static const IrSlot slots[SLOT_COUNT] = {
    X(0), X(1), X(2), X(3), X(4), X(5), X(6), X(7), X(8), X(9), X(10), X(11), X(12), X(13), X(14), X(15),
    X(16), X(17), X(18), X(19), X(20), X(21), X(22), X(23), X(24), X(25), X(26), X(27), X(28), X(29), X(30), X(31),
    F(0), F(1), F(2), F(3), F(4), F(5), F(6), F(7), F(8), F(9), F(10), F(11), F(12), F(13), F(14), F(15),
    F(16), F(17), F(18), F(19), F(20), F(21), F(22), F(23), F(24), F(25), F(26), F(27), F(28), F(29), F(30), F(31),
    S(SLOT_FS, fs), S(SLOT_MSTATUS, mstatus),
    S(SLOT_SSCRATCH, sscratch), S(SLOT_SEPC, sepc), S(SLOT_STVEC, stvec), S(SLOT_SCAUSE, scause), S(SLOT_STVAL, stval),
    S(SLOT_MSCRATCH, mscratch), S(SLOT_MEPC, mepc), S(SLOT_MTVEC, mtvec), S(SLOT_MCAUSE, mcause), S(SLOT_MTVAL, mtval),
    [SLOT_ATTENTION] = {.name = "attention", .offset = FIELD(attention), .type = IR_I64, .shared = true}, S(SLOT_EXIT_NEEDED, exit_needed),
};
#undef X
#undef F
#undef S

/* By how often compiled programs use them. */
static const uint16_t int_pins[] = {
    15, 14, 13, 10, 2, 11, 12, 8, 1, 9, 18, 16, 17, 19, 20, 6, 7, 28, 21, 5, 22, 23, 24, 29, 30, 31, 25, 26, 27, 4, 3,
};
#define F(n) (SLOT_F + (n))
static const uint16_t float_pins[] = {
    F(15), F(14), F(10), F(13), F(11), F(12), F(16), F(17), F(0), F(1), F(2), F(3), F(4), F(5), F(6), F(7),
    F(8), F(9), F(18), F(19), F(20), F(21), F(22), F(23), F(24), F(25), F(26), F(27), F(28), F(29), F(30), F(31),
};
#undef F

static uint64_t helper_cbo(void *opaque, uint64_t address, uint64_t kind, uint64_t bits,
                           uint64_t d);
static uint64_t helper_cbo_zero(void *opaque, uint64_t bits, uint64_t b, uint64_t c, uint64_t d);

#define RWF (IR_HELPER_READS | IR_HELPER_WRITES | IR_HELPER_FAULTS)
const IrHelper riscv_helpers[HELPER_COUNT] = {
    [HELPER_CSR_READ] = {"csr_read", riscv_helper_csr_read, IR_HELPER_READS | IR_HELPER_FAULTS, IR_I64},
    [HELPER_CSR_WRITE] = {"csr_write", riscv_helper_csr_write, RWF, IR_I64},
    [HELPER_FCSR_READ] = {"fcsr_read", riscv_helper_csr_read, IR_HELPER_READS | IR_HELPER_FAULTS | IR_HELPER_FPENV, IR_I64},
    [HELPER_FCSR_WRITE] = {"fcsr_write", riscv_helper_csr_write, RWF | IR_HELPER_FPENV, IR_I64},
    [HELPER_MRET] = {"mret", riscv_helper_mret, IR_HELPER_READS | IR_HELPER_WRITES, IR_I64},
    [HELPER_SRET] = {"sret", riscv_helper_sret, IR_HELPER_READS | IR_HELPER_WRITES, IR_I64},
    [HELPER_WFI] = {"wfi", riscv_helper_wfi, IR_HELPER_WRITES, IR_VOID},
    [HELPER_SFENCE] = {"sfence", riscv_helper_sfence, IR_HELPER_READS | IR_HELPER_WRITES, IR_VOID},
    [HELPER_CBO] = {"cbo", helper_cbo, IR_HELPER_READS | IR_HELPER_FAULTS, IR_VOID},
    [HELPER_CBO_ZERO] = {"cbo_zero", helper_cbo_zero, IR_HELPER_READS | IR_HELPER_FAULTS, IR_VOID},
    [HELPER_FENCE_I] = {"fence_i", riscv_helper_fence_i, IR_HELPER_READS, IR_VOID},
    [HELPER_SERVICE] = {"service", riscv_helper_service, RWF, IR_VOID},
};

bool riscv_priv_is_32(const RiscvCpu *cpu, RiscvPriv priv)
{
    return cpu->props.rv32 || (priv == RISCV_U &&
                               bits_get(cpu->mstatus, MSTATUS_UXL_SHIFT, 2) == 1);
}

uint64_t riscv_mode_key(const RiscvCpu *cpu)
{
    uint64_t s = cpu->mstatus, key = cpu->priv;
    RiscvPriv data = cpu->priv;
    if (cpu->priv == RISCV_M && s & MSTATUS_MPRV)
        data = (RiscvPriv)bits_get(s, MSTATUS_MPP_SHIFT, 2);
    unsigned mmu = data == RISCV_M ? MMU_M : data == RISCV_U ? MMU_U : s & MSTATUS_SUM ? MMU_SUM : MMU_S;
    key |= (uint64_t)mmu << MODE_MMU_SHIFT;
    if (riscv_priv_is_32(cpu, cpu->priv))
        key |= MODE_32;
    if (riscv_priv_is_32(cpu, data))
        key |= MODE_DATA_32;
    key |= (cpu->fs == 2 ? 1 : cpu->fs) << MODE_FS_SHIFT;
    key |= (uint64_t)(cpu->frm < 4 ? FRM_NORMAL : cpu->frm == 4 ? FRM_RMM :
                      FRM_INVALID) << MODE_FRM_SHIFT;
    if (s & MSTATUS_TVM)
        key |= MODE_TVM;
    if (s & MSTATUS_TW)
        key |= MODE_TW;
    if (s & MSTATUS_TSR)
        key |= MODE_TSR;
    return key;
}

static unsigned fetch_mmu(TranslateCpu *base)
{
    static const uint8_t mmu[] = {[RISCV_U] = MMU_U, [RISCV_S] = MMU_S, [RISCV_RESERVED] = MMU_M,
                                  [RISCV_M] = MMU_M};
    return mmu[riscv_of(base)->priv];
}

/* cache-block operations: what menvcfg and senvcfg let this privilege do */

static bool envcfg_allows(const RiscvCpu *cpu, uint64_t bits)
{
    if (cpu->priv == RISCV_M)
        return true;
    return cpu->menvcfg & bits && (cpu->priv == RISCV_S || !cpu->props.s || cpu->senvcfg & bits);
}

static uint64_t helper_cbo(void *opaque, uint64_t address, uint64_t kind, uint64_t bits, uint64_t d)
{
    RiscvCpu *cpu = opaque;
    TranslateMap map;
    TranslateFault fault;
    if (!envcfg_allows(cpu, kind ? MENVCFG_CBCFE : MENVCFG_CBIE)) {
        translate_raise(&cpu->base, RISCV_ILLEGAL, bits);
        return 0;
    }
    if (cpu->base.mode & MODE_DATA_32)
        address = (uint32_t)address;
    if (cpu->base.mode & MODE_USER) {
        uint64_t unused; /* there must be something */
        translate_load(&cpu->base, address, IR_MEM_SIZE(0), &unused);
        return 0;
    }
    cpu->base.access_size = 1;
    if (!riscv_walk(&cpu->base, address, TRANSLATE_LOAD, MODE_MMU(cpu->base.mode), &map, &fault))
        translate_raise(&cpu->base, fault.exception + 2, fault.value); /* load faults are reported as those of stores */
    return 0;
}

static uint64_t helper_cbo_zero(void *opaque, uint64_t bits, uint64_t b, uint64_t c, uint64_t d)
{
    RiscvCpu *cpu = opaque;
    if (!envcfg_allows(cpu, MENVCFG_CBZE))
        translate_raise(&cpu->base, RISCV_ILLEGAL, bits);
    return 0;
}

static void reset(TranslateCpu *base, uint64_t id, uint64_t entry)
{
    RiscvCpu *cpu = riscv_of(base);
    memset(cpu->x, 0, sizeof cpu->x);
    memset(cpu->f, 0, sizeof cpu->f);
    cpu->fs = 0;
    cpu->priv = RISCV_M;
    cpu->hart = id;
    cpu->mstatus = (uint64_t)(cpu->props.u ? RISCV_U : RISCV_M) << MSTATUS_MPP_SHIFT;
    if (!cpu->props.rv32)
        cpu->mstatus |= (cpu->props.u ? UINT64_C(2) << MSTATUS_UXL_SHIFT : 0) |
                        (cpu->props.s ? UINT64_C(2) << MSTATUS_SXL_SHIFT : 0);
    cpu->sscratch = cpu->sepc = cpu->stvec = cpu->scause = cpu->stval = 0;
    cpu->mscratch = cpu->mepc = cpu->mtvec = cpu->mcause = cpu->mtval = 0;
    __atomic_store_n(&cpu->mip, 0, __ATOMIC_SEQ_CST);
    cpu->seip_soft = false;
    cpu->mie = cpu->medeleg = cpu->mideleg = cpu->satp = cpu->senvcfg = 0;
    cpu->menvcfg = cpu->props.svadu ? MENVCFG_ADUE : 0;
    cpu->mcounteren = cpu->scounteren = cpu->mcountinhibit = 0;
    cpu->stimecmp = UINT64_MAX;
    cpu->cycle_offset = cpu->instret_offset = 0;
    translate_fp_set_flags(base, 0);
    riscv_set_frm(cpu, 0);
    base->pc = cpu->props.rv32 ? (uint32_t)entry : entry;
    base->idle = false;
    base->linked_valid = 0;
    riscv_pmp_reset(cpu);
    riscv_spaces_reset(cpu);
}

static void dump(TranslateCpu *base, GString *out)
{
    RiscvCpu *cpu = riscv_of(base);
    g_string_append_printf(out, "pc %016" G_GINT64_MODIFIER "x priv %u", base->pc, cpu->priv);
    for (unsigned i = 1; i < 32; i++)
        g_string_append_printf(out, " x%u %" G_GINT64_MODIFIER "x", i, cpu->x[i]);
    g_string_append_printf(out, " mstatus %" G_GINT64_MODIFIER "x satp %" G_GINT64_MODIFIER "x scause %" G_GINT64_MODIFIER
                           "x sepc %" G_GINT64_MODIFIER "x stval %" G_GINT64_MODIFIER "x mcause %" G_GINT64_MODIFIER
                           "x mepc %" G_GINT64_MODIFIER "x\n", riscv_mstatus(cpu), cpu->satp, cpu->scause, cpu->sepc,
                           cpu->stval, cpu->mcause, cpu->mepc);
}

/* registers by name */

#define XR(name, n, size) {name, FIELD(x) + 8 * (n), size}
#define FR(name, n) {name, FIELD(f) + 8 * (n), 8}
#define REGS(size) \
    XR("zero", 0, size), XR("ra", 1, size), XR("sp", 2, size), XR("gp", 3, size), XR("tp", 4, size), \
    XR("t0", 5, size), XR("t1", 6, size), XR("t2", 7, size), XR("fp", 8, size), XR("s1", 9, size), \
    XR("a0", 10, size), XR("a1", 11, size), XR("a2", 12, size), XR("a3", 13, size), XR("a4", 14, size), \
    XR("a5", 15, size), XR("a6", 16, size), XR("a7", 17, size), XR("s2", 18, size), XR("s3", 19, size), \
    XR("s4", 20, size), XR("s5", 21, size), XR("s6", 22, size), XR("s7", 23, size), XR("s8", 24, size), \
    XR("s9", 25, size), XR("s10", 26, size), XR("s11", 27, size), XR("t3", 28, size), XR("t4", 29, size), \
    XR("t5", 30, size), XR("t6", 31, size), {"pc", FIELD(base.pc), size}, \
    FR("ft0", 0), FR("ft1", 1), FR("ft2", 2), FR("ft3", 3), FR("ft4", 4), FR("ft5", 5), FR("ft6", 6), FR("ft7", 7), \
    FR("fs0", 8), FR("fs1", 9), FR("fa0", 10), FR("fa1", 11), FR("fa2", 12), FR("fa3", 13), FR("fa4", 14), \
    FR("fa5", 15), FR("fa6", 16), FR("fa7", 17), FR("fs2", 18), FR("fs3", 19), FR("fs4", 20), FR("fs5", 21), \
    FR("fs6", 22), FR("fs7", 23), FR("fs8", 24), FR("fs9", 25), FR("fs10", 26), FR("fs11", 27), FR("ft8", 28), \
    FR("ft9", 29), FR("ft10", 30), FR("ft11", 31), \
    {"mscratch", FIELD(mscratch), size}, {"mepc", FIELD(mepc), size}, {"mtvec", FIELD(mtvec), size}, \
    {"mcause", FIELD(mcause), size}, {"mtval", FIELD(mtval), size}, {"sscratch", FIELD(sscratch), size}, \
    {"sepc", FIELD(sepc), size}, {"stvec", FIELD(stvec), size}, {"scause", FIELD(scause), size}, \
    {"stval", FIELD(stval), size}, {"satp", FIELD(satp), size}, \
    {"medeleg", FIELD(medeleg), size}, {"mideleg", FIELD(mideleg), size}, {"mie", FIELD(mie), size}, \
    {"mcounteren", FIELD(mcounteren), 4}, {"scounteren", FIELD(scounteren), 4}, {"menvcfg", FIELD(menvcfg), 8}, \
    {"senvcfg", FIELD(senvcfg), size}, {"stimecmp", FIELD(stimecmp), 8}, {"mhartid", FIELD(hart), size}, \
    {"pmpcfg0", FIELD(pmpcfg), size}, {"pmpaddr0", FIELD(pmpaddr), size}, {"priv", FIELD(priv), 4}, \
    XR("s0", 8, size), {NULL, 0, 0}

static const GuestReg regs64[] = {REGS(8)};
static const GuestReg regs32[] = {REGS(4)};
static const uint16_t machines[] = {243, 0}; /* EM_RISCV */

/* what system and user mode share */
#define TRANSLATE_COMMON(name_) \
        .name = name_, \
        .ir = {slots, SLOT_COUNT, riscv_helpers, HELPER_COUNT}, \
        .cpu_size = sizeof(RiscvCpu), \
        .hot = FIELD(x), \
        .insn_align = 1, \
        .max_insn = 4, \
        .int_pins = int_pins, .n_int_pins = G_N_ELEMENTS(int_pins), \
        .float_pins = float_pins, .n_float_pins = G_N_ELEMENTS(float_pins), \
        .fp = {.default_nan = true}, \
        .trouble = riscv_trouble, .insn = riscv_insn, .dump = dump

#define TRANSLATE(name_) { \
        TRANSLATE_COMMON(name_), \
        .mode = riscv_mode, .walk = riscv_walk, .fetch_mmu = fetch_mmu, \
        .raise = riscv_raise, .interrupt = riscv_interrupt, .wake = riscv_wake, \
    }

static const TranslateGuest user64 = {
    TRANSLATE_COMMON("riscv64"),
    .direct_memory = true, .mode = riscv_user_mode,
};

extern const GuestIsa riscv64_isa, riscv32_isa;

const GuestIsa riscv64_isa = {
    .name = "riscv64", .summary = "RISC-V, 64 bits", .elf_machines = machines, .elf_class = 64, .regs = regs64,
    .translate = TRANSLATE("riscv64"), .user = &user64,
    .list_models = riscv_list_models64, .configure = riscv_configure,
    .reset = reset, .reset_user = riscv_user_reset, .describe = riscv_describe, .set_irq = riscv_set_irq,
    .registers = riscv_registers, .find_page = riscv_find_page,
};

const GuestIsa riscv32_isa = {
    .name = "riscv32", .summary = "RISC-V, 32 bits", .elf_machines = machines, .elf_class = 32, .regs = regs32,
    .translate = TRANSLATE("riscv32"), .list_models = riscv_list_models32, .configure = riscv_configure,
    .reset = reset, .describe = riscv_describe, .set_irq = riscv_set_irq,
    .registers = riscv_registers, .find_page = riscv_find_page,
};

/* for firmware */

uint64_t riscv_get_x(const TranslateCpu *cpu, unsigned n)
{
    return n ? ((const RiscvCpu *)(const void *)cpu)->x[n & 31] : 0;
}

void riscv_set_x(TranslateCpu *base, unsigned n, uint64_t value)
{
    RiscvCpu *cpu = riscv_of(base);
    if (n)
        cpu->x[n & 31] = riscv_priv_is_32(cpu, cpu->priv) ? (uint64_t)(int64_t)(int32_t)value :
                         value;
}

RiscvPriv riscv_priv(const TranslateCpu *cpu)
{
    return ((const RiscvCpu *)(const void *)cpu)->priv;
}

uint64_t riscv_hart_id(const TranslateCpu *cpu)
{
    return ((const RiscvCpu *)(const void *)cpu)->hart;
}

bool riscv_is_32(const TranslateCpu *base)
{
    const RiscvCpu *cpu = (const RiscvCpu *)(const void *)base;
    return riscv_priv_is_32(cpu, cpu->priv);
}

void riscv_sbi_enable(TranslateCpu *base)
{
    RiscvCpu *cpu = riscv_of(base);
    cpu->medeleg = MEDELEG_MASK & ~BIT64(RISCV_ECALL_S);
    cpu->mideleg = MIP_S;
    cpu->mcounteren = UINT32_MAX;
    cpu->menvcfg |= MENVCFG_CBIE | MENVCFG_CBCFE | MENVCFG_CBZE |
        (cpu->props.sstc ? MENVCFG_STCE : 0) |
                    (cpu->props.svpbmt ? MENVCFG_PBMTE : 0);
    if (cpu->props.pmp) { /* all of memory, for all */
        riscv_pmp_write(cpu, 0x3b0, UINT64_MAX);
        riscv_pmp_write(cpu, 0x3a0, 0x1f);
    }
}

void riscv_enter_supervisor(TranslateCpu *base, uint64_t hart, uint64_t pc, uint64_t arg)
{
    reset(base, hart, pc);
    riscv_sbi_enable(base);
    riscv_of(base)->priv = RISCV_S;
    riscv_set_x(base, 10, hart);
    riscv_set_x(base, 11, arg);
}
