/* SPDX-License-Identifier: MIT */
/*
 * RISC-V as its users see it: the CPU struct, and what firmware and device
 * models need of it beyond guest.h. Unprivileged ISA 20191213 with later
 * ratified extensions, privileged ISA 1.12. The two members of guest.def are
 * riscv64 and riscv32; both share everything here.
 *
 * x and f registers are 64 bits in both. Where XLEN is 32 (riscv32, or U-mode
 * with UXL = 1) an x register holds its 32 bits sign-extended.
 *
 * Unless a comment says otherwise a function is for the CPU's own thread, or
 * for any thread while the CPU does not run.
 */
#pragma once

#include "guest/guest.h"

#define RISCV_PMP_ENTRIES 16
#define RISCV_SPACES 64

typedef enum { RISCV_U, RISCV_S, RISCV_RESERVED, RISCV_M } RiscvPriv;

typedef enum { /* exception numbers */
    RISCV_FETCH_MISALIGNED = 0, RISCV_FETCH_ACCESS = 1, RISCV_ILLEGAL = 2, RISCV_BREAKPOINT = 3,
    RISCV_LOAD_MISALIGNED = 4, RISCV_LOAD_ACCESS = 5, RISCV_STORE_MISALIGNED = 6, RISCV_STORE_ACCESS = 7,
    RISCV_ECALL_U = 8, RISCV_ECALL_S = 9, RISCV_ECALL_M = 11,
    RISCV_FETCH_PAGE = 12, RISCV_LOAD_PAGE = 13, RISCV_STORE_PAGE = 15,
} RiscvCause;

typedef enum { /* lines of set_irq: bits of mip */
    RISCV_IRQ_SSI = 1, RISCV_IRQ_MSI = 3, RISCV_IRQ_STI = 5, RISCV_IRQ_MTI = 7, RISCV_IRQ_SEI = 9, RISCV_IRQ_MEI = 11,
} RiscvIrq;

/* What the model and its properties chose; constant while the CPU lives. */
typedef struct RiscvProps {
    bool rv32;
    bool i, m, a, f, d, c, s, u;
    bool zicsr, zifencei, zba, zbb, zbc, zbs, zicond, zicbom, zicboz;
    bool sstc, svadu, svinval, svnapot, svpbmt;
    bool mmu, pmp;
    uint8_t satp_max;      /* highest mode of satp: 1 (Sv32), 8, 9, 10; 0: Bare only */
    uint64_t cbom_block, cboz_block; /* bytes */
    uint64_t vendor, arch, imp; /* mvendorid, marchid, mimpid */
} RiscvProps;

/* Bytes low..high inclusive that a PMP entry matches; low > high: none. */
typedef struct RiscvPmp {
    uint64_t low, high;
} RiscvPmp;

/* Addresses mapped by superpages since the last full flush, as one covering range an address
   half. */
typedef struct RiscvRange {
    uint64_t low[2], high[2]; /* first and last byte; low > high: empty */
} RiscvRange;

/* Pages that were executed under a class of tags. */
typedef struct RiscvFetched {
    uint64_t bloom[64];    /* a bit for each page number modulo 4096 */
    RiscvRange super;
} RiscvFetched;

typedef struct RiscvCpu {
    TranslateCpu base;
    uint64_t x[32];
    uint64_t f[32];        /* float bits; f32 boxed */
    /* slots besides the registers */
    uint64_t fs;           /* mstatus.FS */
    uint64_t mstatus;      /* without FS and SD */
    uint64_t sscratch, sepc, stvec, scause, stval;
    uint64_t mscratch, mepc, mtvec, mcause, mtval;
    /* not 0: after a CSR write that enables, a mode exit is due; set by other threads too */
    uint64_t attention;
    /* result of the last CSR helper: the mode changed, or an interrupt may be due */
    uint64_t exit_needed;

    RiscvPriv priv;
    RiscvProps props;
    uint64_t hart;
    uint64_t misa;         /* MXLEN bits wide */
    uint64_t mip;          /* atomic; without the software half of SEIP and without Sstc's STIP */
    bool seip_soft;
    uint64_t mie, medeleg, mideleg;
    uint64_t satp;
    uint64_t menvcfg, senvcfg;
    uint32_t mcounteren, scounteren, mcountinhibit;
    uint64_t stimecmp;
    /* added to the running count; the value itself while inhibited */
    uint64_t cycle_offset, instret_offset;
    uint64_t last_count;
    uint8_t frm;
    uint8_t saved_flags;   /* fflags, only while state is saved or loaded */
    uint8_t pmpcfg[RISCV_PMP_ENTRIES];
    uint64_t pmpaddr[RISCV_PMP_ENTRIES]; /* as the CSRs */
    RiscvPmp pmp[RISCV_PMP_ENTRIES]; /* made from them when pmpcfg is not what it was made from */
    uint8_t pmp_made[RISCV_PMP_ENTRIES];
    unsigned pmp_active;   /* entries that are not OFF */

    /* address spaces and the tags of (space, mode); see space.c */
    uint64_t last_space;
    uint32_t tag_given;    /* what riscv_mode set last; another in its place: all tags are stale */
    uint64_t flat_space, s_space, u_space; /* u_space: 0 until looked up for the current satp */
    bool s_local;          /* S-mode has executed from a page that is not global */
    RiscvFetched s_fetched, u_fetched;
    RiscvRange data_super;
    struct { uint64_t satp, space; } spaces[RISCV_SPACES];
    struct { uint64_t space, mode; uint32_t tag; } tags[RISCV_SPACES];
    uint32_t user_tags[3]; /* user mode: by what the mode key says of frm; 0: none yet */
} RiscvCpu;

/* x0 reads 0 and ignores writes. n < 32. */
uint64_t riscv_get_x(const TranslateCpu *cpu, unsigned n);
void riscv_set_x(TranslateCpu *cpu, unsigned n, uint64_t value);
RiscvPriv riscv_priv(const TranslateCpu *cpu);
uint64_t riscv_hart_id(const TranslateCpu *cpu);
/* True when registers are 32 bits wide in the current privilege. */
bool riscv_is_32(const TranslateCpu *cpu);

/* CSRs by number, as machine mode sees them and without privilege checks. False: there is no
   such CSR (or it is read-only). */
bool riscv_csr_read(TranslateCpu *cpu, unsigned number, uint64_t *value);
bool riscv_csr_write(TranslateCpu *cpu, unsigned number, uint64_t value);
/* NULL: no such CSR in this CPU. */
const char *riscv_csr_name(const TranslateCpu *cpu, unsigned number);

/*
 * Firmware in the host: resets the CPU and hands it over as an SBI would, in
 * S-mode at pc with a0 = hart, a1 = arg, address translation off, exceptions
 * but the supervisor's ecall delegated (that is env.hypercall, number 9), and S
 * interrupts, counters, cache-block operations, the timer and memory open to it.
 */
void riscv_enter_supervisor(TranslateCpu *cpu, uint64_t hart, uint64_t pc, uint64_t arg);
/* Only what it delegates and opens, after a reset. */
void riscv_sbi_enable(TranslateCpu *cpu);
/* stimecmp: the S timer interrupt is pending while time >= when. Calls env.deadline. */
void riscv_set_timer(TranslateCpu *cpu, uint64_t when);
/* For remote fences: drops translations of start..+size in all address spaces (size 0 or
   UINT64_MAX: all). A mode exit must follow (translate_kick). */
void riscv_fence(TranslateCpu *cpu, uint64_t start, uint64_t size);

/* Appends the hart's architectural state to out (state/state.h's format). */
void riscv_save(TranslateCpu *cpu, GByteArray *out);
/* Takes state back, for a CPU of the same model. Translations are dropped and the timer is set
   again. */
bool riscv_load(TranslateCpu *cpu, const uint8_t *data, size_t len, size_t *pos, GError **error);
