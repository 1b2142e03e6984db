/* SPDX-License-Identifier: MIT */
/*
 * Page-table walks: Sv32, Sv39, Sv48, Sv57 (privileged ISA 1.12, 4.3 to 4.6),
 * Svnapot, Svpbmt's bits, A and D set by hardware (Svadu) or left to software,
 * physical memory protection of tables and pages.
 *
 * The MMU index carries the effective privilege (MPRV included) and SUM. MXR,
 * satp and PMP are not in it: their writes flush.
 */
#include "guest/riscv/riscv_priv.h"

enum {
    PTE_V = 1, PTE_R = 2, PTE_W = 4, PTE_X = 8, PTE_U = 16, PTE_G = 32, PTE_A = 64, PTE_D = 128,
};
#define PTE_PBMT (UINT64_C(3) << 61)
#define PTE_N BIT64(63)
#define RETRIES 64

typedef struct Walk {
    RiscvCpu *cpu;
    uint64_t address;
    TranslateAccess access;
    unsigned mmu;
    uint64_t pte, pte_at;
    uint64_t size;      /* bytes the leaf maps */
    unsigned pte_size;
    bool global;
} Walk;

typedef enum { WALK_OK, WALK_PAGE_FAULT, WALK_ACCESS_FAULT, WALK_AGAIN } WalkResult;

static RiscvPriv mmu_priv(unsigned mmu)
{
    return mmu == MMU_M ? RISCV_M : mmu == MMU_U ? RISCV_U : RISCV_S;
}

static bool reserved_bits(const Walk *w, uint64_t pte, bool leaf)
{
    const RiscvCpu *cpu = w->cpu;
    uint64_t bad;
    if (w->pte_size == 4)
        return false;
    bad = UINT64_C(0x7f) << 54 | PTE_PBMT | PTE_N;
    if (leaf && cpu->props.svpbmt && cpu->menvcfg & MENVCFG_PBMTE && (pte & PTE_PBMT) != PTE_PBMT)
        bad &= ~PTE_PBMT;
    if (leaf && cpu->props.svnapot)
        bad &= ~PTE_N;
    return pte & bad;
}

/* Sets w->pte to the leaf. */
static WalkResult find_leaf(Walk *w)
{
    RiscvCpu *cpu = w->cpu;
    uint64_t satp = cpu->satp, a = w->address;
    unsigned levels, bits, mode = (unsigned)(cpu->props.rv32 ? satp >> 31 & 1 : satp >> 60);
    uint64_t table;
    bool whole;
    if (cpu->props.rv32) {
        levels = 2;
        bits = 10;
        w->pte_size = 4;
        table = (satp & bits_mask(22)) << 12;
        a = (uint32_t)a;
    } else {
        levels = mode - 5;
        bits = 9;
        w->pte_size = 8;
        table = (satp & bits_mask(44)) << 12;
        if ((uint64_t)bits_sext(a, 12 + 9 * levels) != a)
            return WALK_PAGE_FAULT;
    }
    for (unsigned level = levels; level-- > 0;) {
        unsigned shift = 12 + bits * level;
        uint64_t at = table + bits_get(a, shift, bits) * w->pte_size, pte;
        if (!(riscv_pmp_allows(cpu, at, w->pte_size, RISCV_S, &whole) & 1) ||
            !translate_phys_load(&w->cpu->base, at, IR_MEM_SIZE(w->pte_size == 4 ? 2 : 3), &pte))
            return WALK_ACCESS_FAULT;
        bool leaf = pte & (PTE_R | PTE_X);
        if (!(pte & PTE_V) || (pte & (PTE_R | PTE_W)) == PTE_W || reserved_bits(w, pte, leaf))
            return WALK_PAGE_FAULT;
        w->global |= (pte & PTE_G) != 0;
        if (leaf) {
            w->pte = pte;
            w->pte_at = at;
            w->size = BIT64(shift);
            if (pte & PTE_N) { /* Svnapot: only 64 KiB */
                if (level || bits_get(pte, 10, 4) != 8)
                    return WALK_PAGE_FAULT;
                w->size = 0x10000;
            }
            return WALK_OK;
        }
        if (pte & (PTE_D | PTE_A | PTE_U))
            return WALK_PAGE_FAULT;
        table = (w->pte_size == 4 ? pte >> 10 : bits_get(pte, 10, 44)) << 12;
    }
    return WALK_PAGE_FAULT;
}

static bool readable(const Walk *w)
{
    return w->pte & PTE_R || (w->pte & PTE_X && w->cpu->mstatus & MSTATUS_MXR);
}

static bool allowed(const Walk *w)
{
    uint64_t pte = w->pte;
    bool not_user = w->mmu == MMU_S || w->access == TRANSLATE_FETCH;
    if (w->mmu == MMU_U ? !(pte & PTE_U) : pte & PTE_U && not_user)
        return false;
    switch (w->access) {
    case TRANSLATE_FETCH: return pte & PTE_X;
    case TRANSLATE_LOAD: return readable(w);
    default: return pte & PTE_W;
    }
}

/* Accessed and dirty bits. */
static WalkResult touch(Walk *w)
{
    RiscvCpu *cpu = w->cpu;
    uint64_t want = w->pte | PTE_A | (w->access == TRANSLATE_STORE ? PTE_D : 0), now;
    bool whole;
    if (want == w->pte)
        return WALK_OK;
    if (!(cpu->menvcfg & MENVCFG_ADUE))
        return WALK_PAGE_FAULT;
    if (!(riscv_pmp_allows(cpu, w->pte_at, w->pte_size, RISCV_S, &whole) & 2))
        return WALK_ACCESS_FAULT;
    if (translate_phys_cas(&cpu->base, w->pte_at, w->pte_size, w->pte, want)) {
        w->pte = want;
        return WALK_OK;
    }
    /* Changed meanwhile by another CPU: look again. If it is the same, it cannot be written at
       all. */
    if (!translate_phys_load(&cpu->base, w->pte_at, IR_MEM_SIZE(w->pte_size == 4 ? 2 : 3), &now) ||
        now == w->pte)
        return WALK_ACCESS_FAULT;
    return WALK_AGAIN;
}

static uint64_t leaf_phys(const Walk *w)
{
    uint64_t page = (w->pte_size == 4 ? w->pte >> 10 : bits_get(w->pte, 10, 44)) << 12;
    uint64_t in = w->size - 1;
    return (page & ~in) | (w->address & in);
}

static WalkResult translated(Walk *w)
{
    for (unsigned i = 0; i < RETRIES; i++) {
        w->global = false;
        WalkResult r = find_leaf(w);
        if (r != WALK_OK)
            return r;
        uint64_t page = (w->pte_size == 4 ? w->pte >> 10 : bits_get(w->pte, 10, 44)) << 12;
        if (!(w->pte & PTE_N && w->pte_size == 8) && page & (w->size - 1))
            return WALK_PAGE_FAULT; /* misaligned superpage */
        if (!allowed(w))
            return WALK_PAGE_FAULT;
        r = touch(w);
        if (r != WALK_AGAIN)
            return r;
    }
    return WALK_ACCESS_FAULT;
}

static bool fault_of(const Walk *w, bool page, TranslateFault *fault)
{
    static const uint8_t causes[2][3] = {{RISCV_FETCH_ACCESS, RISCV_LOAD_ACCESS,
                                          RISCV_STORE_ACCESS},
                                         {RISCV_FETCH_PAGE, RISCV_LOAD_PAGE, RISCV_STORE_PAGE}};
    *fault = (TranslateFault){causes[page][w->access], w->address};
    return false;
}

bool riscv_walk(TranslateCpu *base, uint64_t address, TranslateAccess access, unsigned mmu,
                TranslateMap *map,
                TranslateFault *fault)
{
    RiscvCpu *cpu = riscv_of(base);
    Walk w = {.cpu = cpu, .address = address, .access = access, .mmu = mmu};
    static const uint8_t needs[] = {[TRANSLATE_FETCH] = 4, [TRANSLATE_LOAD] = 1,
                                    [TRANSLATE_STORE] = 2};
    RiscvPriv priv = mmu_priv(mmu);
    unsigned mode = (unsigned)(cpu->props.rv32 ? cpu->satp >> 31 & 1 : cpu->satp >> 60), can = 7;
    bool whole;
    if (access == TRANSLATE_FETCH && riscv_priv_is_32(cpu, priv))
        w.address = (uint32_t)address; /* a jump past the end of the address space wraps */
    if (priv == RISCV_M || !mode) {
        *map = (TranslateMap){w.address, true, true, true, false};
    } else {
        WalkResult r = translated(&w);
        if (r != WALK_OK)
            return fault_of(&w, r == WALK_PAGE_FAULT, fault);
        *map = (TranslateMap){
            .phys = leaf_phys(&w), .read = readable(&w), .write = w.pte & PTE_W && w.pte & PTE_D,
            .execute = w.pte & PTE_X, .global = w.global,
        };
        riscv_space_note(cpu, w.address, w.size, access, priv, w.global);
    }
    if (cpu->props.pmp) {
        can = riscv_pmp_allows(cpu, map->phys, cpu->base.access_size, priv, &whole);
        if (!(can & needs[access]))
            return fault_of(&w, false, fault);
        map->read &= whole && can & 1;
        map->write &= whole && can & 2;
        map->execute &= whole && can & 4;
    }
    return true;
}

bool riscv_find_page(TranslateCpu *base, uint64_t address, uint64_t *phys)
{
    RiscvCpu *cpu = riscv_of(base);
    RiscvPriv priv = cpu->priv;
    if (priv == RISCV_M && cpu->mstatus & MSTATUS_MPRV)
        priv = (RiscvPriv)bits_get(cpu->mstatus, MSTATUS_MPP_SHIFT, 2);
    unsigned mode = (unsigned)(cpu->props.rv32 ? cpu->satp >> 31 & 1 : cpu->satp >> 60);
    Walk w = {.cpu = cpu, .address = address};
    if (riscv_priv_is_32(cpu, priv))
        w.address = (uint32_t)address;
    *phys = w.address;
    if (priv == RISCV_M || !mode)
        return true;
    if (find_leaf(&w) != WALK_OK)
        return false;
    *phys = leaf_phys(&w);
    return true;
}
