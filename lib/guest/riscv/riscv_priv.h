/* SPDX-License-Identifier: MIT */
/* What the files of the RISC-V front end share: fields of CSRs, slots, helpers, the mode key,
   the translation context. */
#pragma once

#include "base/bits.h"
#include "guest/riscv/riscv.h"

static inline RiscvCpu *riscv_of(TranslateCpu *cpu)
{
    return (RiscvCpu *)(void *)cpu;
}

/* mstatus */
#define MSTATUS_SIE BIT64(1)
#define MSTATUS_MIE BIT64(3)
#define MSTATUS_SPIE BIT64(5)
#define MSTATUS_MPIE BIT64(7)
#define MSTATUS_SPP BIT64(8)
#define MSTATUS_MPP_SHIFT 11
#define MSTATUS_MPP (UINT64_C(3) << 11)
#define MSTATUS_FS_SHIFT 13
#define MSTATUS_FS (UINT64_C(3) << 13)
#define MSTATUS_MPRV BIT64(17)
#define MSTATUS_SUM BIT64(18)
#define MSTATUS_MXR BIT64(19)
#define MSTATUS_TVM BIT64(20)
#define MSTATUS_TW BIT64(21)
#define MSTATUS_TSR BIT64(22)
#define MSTATUS_UXL (UINT64_C(3) << 32)
#define MSTATUS_UXL_SHIFT 32
#define MSTATUS_SXL (UINT64_C(3) << 34)
#define MSTATUS_SXL_SHIFT 34
#define SSTATUS_MASK (MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP | MSTATUS_FS | MSTATUS_SUM | MSTATUS_MXR | MSTATUS_UXL)

#define MEDELEG_MASK UINT64_C(0xb3ff)
#define MENVCFG_CBIE_SHIFT 4
#define MENVCFG_CBIE (UINT64_C(3) << 4)
#define MENVCFG_CBCFE BIT64(6)
#define MENVCFG_CBZE BIT64(7)
#define MENVCFG_ADUE BIT64(61)
#define MENVCFG_PBMTE BIT64(62)
#define MENVCFG_STCE BIT64(63)

#define MIP_SSIP BIT64(RISCV_IRQ_SSI)
#define MIP_MSIP BIT64(RISCV_IRQ_MSI)
#define MIP_STIP BIT64(RISCV_IRQ_STI)
#define MIP_MTIP BIT64(RISCV_IRQ_MTI)
#define MIP_SEIP BIT64(RISCV_IRQ_SEI)
#define MIP_MEIP BIT64(RISCV_IRQ_MEI)
#define MIP_S (MIP_SSIP | MIP_STIP | MIP_SEIP)
#define MIP_ALL (MIP_S | MIP_MSIP | MIP_MTIP | MIP_MEIP)

/* Slots: x0..x31, f0..f31, then these. */
enum {
    SLOT_X = 0, SLOT_F = 32, SLOT_FS = 64, SLOT_MSTATUS,
    SLOT_SSCRATCH, SLOT_SEPC, SLOT_STVEC, SLOT_SCAUSE, SLOT_STVAL,
    SLOT_MSCRATCH, SLOT_MEPC, SLOT_MTVEC, SLOT_MCAUSE, SLOT_MTVAL,
    SLOT_ATTENTION, SLOT_EXIT_NEEDED, SLOT_COUNT
};

/* Helpers, in the order of the table in helper.c. */
enum {
    HELPER_CSR_READ,  /* (number, instruction) */
    HELPER_CSR_WRITE, /* (number | op << 12, operand, instruction): the old value */
    HELPER_FCSR_READ, HELPER_FCSR_WRITE, /* the same for fflags, frm, fcsr */
    HELPER_MRET, HELPER_SRET, /* the new pc */
    HELPER_WFI,
    HELPER_SFENCE,    /* (address, asid, bit 0: by address, bit 1: by asid) */
    HELPER_CBO,       /* (address, 0 inval 1 clean 2 flush, instruction) */
    HELPER_CBO_ZERO,  /* (instruction): checks that it is allowed */
    HELPER_FENCE_I,   /* (): user mode */
    HELPER_SERVICE,   /* (number, key, instruction): user mode */
    HELPER_COUNT
};
enum { CSR_OP_WRITE = 1, CSR_OP_SET = 2, CSR_OP_CLEAR = 3 };
extern const IrHelper riscv_helpers[HELPER_COUNT];

/* The mode key. */
#define MODE_PRIV(m) ((RiscvPriv)((m) & 3))
#define MODE_MMU_SHIFT 2
#define MODE_MMU(m) ((unsigned)((m) >> 2 & 3))
#define MODE_32 BIT64(4)
#define MODE_FS_SHIFT 5
#define MODE_FS(m) ((unsigned)((m) >> 5 & 3)) /* 0 off, 1 on, 3 dirty */
#define MODE_FRM_SHIFT 7
#define MODE_FRM(m) ((unsigned)((m) >> 7 & 3))
#define MODE_TVM BIT64(9)
#define MODE_TW BIT64(10)
#define MODE_TSR BIT64(11)
#define MODE_DATA_32 BIT64(12) /* data addresses are 32 bits wide */
#define MODE_USER BIT64(13)    /* a program of an operating system: see user.c */
enum { FRM_NORMAL, FRM_RMM, FRM_INVALID };
enum { MMU_U, MMU_S, MMU_SUM, MMU_M };

uint64_t riscv_mode_key(const RiscvCpu *cpu);
bool riscv_priv_is_32(const RiscvCpu *cpu, RiscvPriv priv);

/* trap.c */
uint64_t riscv_pending(RiscvCpu *cpu);
void riscv_raise(TranslateCpu *cpu, TranslateFault fault);
bool riscv_interrupt(TranslateCpu *cpu);
bool riscv_wake(TranslateCpu *cpu);
void riscv_trouble(TranslateCpu *cpu, uint64_t address, TranslateAccess access,
                   TranslateTrouble trouble,
                   TranslateFault *fault);
void riscv_set_irq(TranslateCpu *cpu, unsigned line, bool level);
uint64_t riscv_helper_mret(void *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
uint64_t riscv_helper_sret(void *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
uint64_t riscv_helper_wfi(void *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d);

/* user.c */
void riscv_user_mode(TranslateCpu *cpu);
void riscv_user_reset(TranslateCpu *cpu, uint64_t entry);
uint64_t riscv_helper_fence_i(void *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
uint64_t riscv_helper_service(void *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d);

/* mmu.c */
/* Without permissions, A and D bits: where data at address is in the current mode. */
bool riscv_find_page(TranslateCpu *cpu, uint64_t address, uint64_t *phys);
/* registers.c */
void riscv_registers(TranslateCpu *cpu, bool fp, GString *out);
bool riscv_walk(TranslateCpu *cpu, uint64_t address, TranslateAccess access, unsigned mmu,
                TranslateMap *map,
                TranslateFault *fault);
/* pmp.c: bits 1 read, 2 write, 4 execute that privilege level may do at phys; *whole: the same
   for all of its page */
unsigned riscv_pmp_allows(RiscvCpu *cpu, uint64_t phys, unsigned size, RiscvPriv priv, bool *whole);
uint64_t riscv_pmp_read(const RiscvCpu *cpu, unsigned number);
void riscv_pmp_write(RiscvCpu *cpu, unsigned number, uint64_t value);
void riscv_pmp_reset(RiscvCpu *cpu);

/* space.c: tags, and what invalidates them */
void riscv_mode(TranslateCpu *cpu);
void riscv_spaces_reset(RiscvCpu *cpu);
void riscv_spaces_renew(RiscvCpu *cpu);             /* everything about addresses changed */
void riscv_space_switch(RiscvCpu *cpu, uint64_t old_satp);
/* A walk succeeded: notes what later flushes must know. size: bytes the leaf maps. */
void riscv_space_note(RiscvCpu *cpu, uint64_t address, uint64_t size, TranslateAccess access,
                      RiscvPriv priv,
                      bool global);
void riscv_space_flush(RiscvCpu *cpu, bool by_address, uint64_t address, bool by_asid,
                       uint64_t asid);
uint64_t riscv_helper_sfence(void *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d);

/* csr.c */
bool riscv_csr_exists(const RiscvCpu *cpu, unsigned number);
uint64_t riscv_mstatus(const RiscvCpu *cpu);
uint64_t riscv_helper_csr_read(void *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
uint64_t riscv_helper_csr_write(void *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
bool riscv_timer_on(const RiscvCpu *cpu);
void riscv_set_frm(RiscvCpu *cpu, unsigned frm);
unsigned riscv_fflags(RiscvCpu *cpu); /* as the CSR has them */
void riscv_set_fflags(RiscvCpu *cpu, unsigned flags);

/* model.c */
void riscv_list_models32(GString *out);
void riscv_list_models64(GString *out);
bool riscv_configure(TranslateCpu *cpu, const char *spec, GError **error);
void riscv_describe(TranslateCpu *cpu, GString *out);

/* translation */
typedef struct RvTrans {
    IrBuilder *b;
    const RiscvProps *p;
    uint32_t bits;      /* the instruction */
    uint64_t mode;
    bool rv32;          /* XLEN is 32 here */
    IrType xlen;        /* IR_I32 or IR_I64 */
    IrMem mem;          /* MMU index and address width of data accesses */
    int64_t next;       /* offset of the following instruction */
} RvTrans;

bool riscv_insn(IrBuilder *b, const uint8_t *code, unsigned available);

/* Whole register as kept: 64 bits, sign-extended where XLEN is 32. */
static inline IrRef rv_get64(RvTrans *c, int n)
{
    return n ? ir_get(c->b, SLOT_X + (unsigned)n) : ir_const(c->b, IR_I64, 0);
}

static inline void rv_put64(RvTrans *c, int n, IrRef v)
{
    if (n)
        ir_put(c->b, SLOT_X + (unsigned)n, v);
}

/* Register of XLEN bits. */
static inline IrRef rv_get(RvTrans *c, int n)
{
    return ir_trunc(c->b, c->xlen, rv_get64(c, n));
}

/* Any integer value up to 64 bits, sign-extended into rd. */
static inline void rv_put(RvTrans *c, int n, IrRef v)
{
    if (n)
        ir_put(c->b, SLOT_X + (unsigned)n, ir_sext(c->b, IR_I64, v));
}

static inline IrRef rv_get32(RvTrans *c, int n)
{
    return ir_trunc(c->b, IR_I32, rv_get64(c, n));
}

static inline IrRef rv_imm(RvTrans *c, int64_t v)
{
    return ir_const(c->b, c->xlen, (uint64_t)v);
}

/* The illegal-instruction exception; true, for `return rv_illegal(c)`. */
static inline bool rv_illegal(RvTrans *c)
{
    ir_raise(c->b, RISCV_ILLEGAL, ir_const(c->b, IR_I64, c->bits));
    return true;
}

/* Leaves through the dispatcher if slot `slot` is not 0, else goes on. */
void rv_exit_if_slot(RvTrans *c, unsigned slot);
/* Before an instruction that changes f registers or fcsr. */
void rv_fs_dirty(RvTrans *c);
