/* SPDX-License-Identifier: MIT */
/*
 * Address spaces and tags. The translator trusts that what a tag has executed
 * stays mapped as it was, and its jump tables know only address and tag; so each
 * pair of an address space and a mode key has a tag of its own.
 *
 * A space is a number never used again: one for untranslated addresses, one for
 * S-mode (kept across satp writes while all that S-mode executed was global),
 * one for each recent satp value in U-mode. A fence that may concern executed
 * pages gives new numbers. What was executed is remembered as a Bloom filter of
 * page numbers, and as a covering range where superpages are concerned.
 */
#include <string.h>

#include "guest/riscv/riscv_priv.h"

static void range_clear(RiscvRange *r)
{
    r->low[0] = r->low[1] = UINT64_MAX;
    r->high[0] = r->high[1] = 0;
}

static void range_add(RiscvRange *r, uint64_t address, uint64_t size)
{
    unsigned half = (unsigned)(address >> 63);
    uint64_t low = address & ~(size - 1), high = low | (size - 1);
    if (low < r->low[half])
        r->low[half] = low;
    if (high > r->high[half])
        r->high[half] = high;
}

static bool range_has(const RiscvRange *r, uint64_t address)
{
    unsigned half = (unsigned)(address >> 63);
    return address >= r->low[half] && address <= r->high[half];
}

static void fetched_clear(RiscvFetched *f)
{
    memset(f->bloom, 0, sizeof f->bloom);
    range_clear(&f->super);
}

static void fetched_add(RiscvFetched *f, uint64_t address, uint64_t size)
{
    unsigned page = (unsigned)(address >> GUEST_PAGE_BITS) & 4095;
    if (size > GUEST_PAGE_SIZE)
        range_add(&f->super, address, size);
    else
        f->bloom[page / 64] |= BIT64(page % 64);
}

static bool fetched_has(const RiscvFetched *f, uint64_t address)
{
    unsigned page = (unsigned)(address >> GUEST_PAGE_BITS) & 4095;
    return f->bloom[page / 64] >> (page % 64) & 1 || range_has(&f->super, address);
}

static uint64_t space_new(RiscvCpu *cpu)
{
    return ++cpu->last_space;
}

static void renew_s(RiscvCpu *cpu)
{
    cpu->s_space = space_new(cpu);
    cpu->s_local = false;
    fetched_clear(&cpu->s_fetched);
}

static void renew_u(RiscvCpu *cpu)
{
    memset(cpu->spaces, 0, sizeof cpu->spaces);
    cpu->u_space = 0;
    fetched_clear(&cpu->u_fetched);
}

void riscv_spaces_renew(RiscvCpu *cpu)
{
    cpu->flat_space = space_new(cpu);
    renew_s(cpu);
    renew_u(cpu);
    range_clear(&cpu->data_super);
    translate_tlb_flush(&cpu->base, ~0u, false);
}

void riscv_spaces_reset(RiscvCpu *cpu)
{
    memset(cpu->tags, 0, sizeof cpu->tags);
    cpu->tag_given = cpu->base.tag;
    riscv_spaces_renew(cpu);
}

static uint64_t u_space_of(RiscvCpu *cpu, uint64_t satp)
{
    unsigned i = (unsigned)((satp ^ satp >> 44 ^ satp >> 6) & (RISCV_SPACES - 1));
    if (!cpu->spaces[i].space || cpu->spaces[i].satp != satp) {
        cpu->spaces[i].satp = satp;
        cpu->spaces[i].space = space_new(cpu);
    }
    return cpu->spaces[i].space;
}

static bool translating(const RiscvCpu *cpu, uint64_t satp)
{
    return cpu->props.rv32 ? satp >> 31 & 1 : satp >> 60;
}

static uint64_t current_space(RiscvCpu *cpu)
{
    if (cpu->priv == RISCV_M || !translating(cpu, cpu->satp))
        return cpu->flat_space;
    if (cpu->priv == RISCV_S)
        return cpu->s_space;
    if (!cpu->u_space)
        cpu->u_space = u_space_of(cpu, cpu->satp);
    return cpu->u_space;
}

void riscv_mode(TranslateCpu *base)
{
    RiscvCpu *cpu = riscv_of(base);
    uint64_t mode = riscv_mode_key(cpu);
    if (base->tag != cpu->tag_given) /* somebody outside invalidated it */
        riscv_spaces_renew(cpu);
    uint64_t space = current_space(cpu);
    unsigned i = (unsigned)((space * 0x9e37u ^ mode ^ mode >> 6) & (RISCV_SPACES - 1));
    if (!cpu->tags[i].tag || cpu->tags[i].space != space || cpu->tags[i].mode != mode) {
        cpu->tags[i].space = space;
        cpu->tags[i].mode = mode;
        cpu->tags[i].tag = translate_tag_new(base);
    }
    base->mode = mode;
    base->tag = cpu->tag_given = cpu->tags[i].tag;
}

void riscv_space_switch(RiscvCpu *cpu, uint64_t old_satp)
{
    bool same_kind = translating(cpu, old_satp) && translating(cpu, cpu->satp);
    if (old_satp == cpu->satp)
        return;
    cpu->u_space = 0;
    translate_tlb_flush(&cpu->base, BIT32(MMU_U) | BIT32(MMU_SUM), false);
    translate_tlb_flush(&cpu->base, BIT32(MMU_S), same_kind);
    if (cpu->s_local)
        renew_s(cpu);
}

void riscv_space_note(RiscvCpu *cpu, uint64_t address, uint64_t size, TranslateAccess access,
                      RiscvPriv priv,
                      bool global)
{
    if (access != TRANSLATE_FETCH) {
        if (size > GUEST_PAGE_SIZE)
            range_add(&cpu->data_super, address, size);
    } else if (priv == RISCV_S) {
        fetched_add(&cpu->s_fetched, address, size);
        cpu->s_local |= !global;
    } else {
        fetched_add(&cpu->u_fetched, address, size);
    }
}

static void forget_asid(RiscvCpu *cpu, uint64_t asid)
{
    unsigned at = cpu->props.rv32 ? 22 : 44, bits = cpu->props.rv32 ? 9 : 16;
    for (unsigned i = 0; i < RISCV_SPACES; i++)
        if (bits_get(cpu->spaces[i].satp, at, bits) == (asid & bits_mask(bits)))
            cpu->spaces[i].space = 0;
    cpu->u_space = 0;
    if (cpu->s_local)
        renew_s(cpu);
}

void riscv_space_flush(RiscvCpu *cpu, bool by_address, uint64_t address, bool by_asid,
                       uint64_t asid)
{
    if (!by_address) {
        /* What the TLB holds is the current space's, and global entries, which an ASID does not
           name. */
        translate_tlb_flush(&cpu->base, BIT32(MMU_U) | BIT32(MMU_SUM), false);
        translate_tlb_flush(&cpu->base, BIT32(MMU_S), by_asid);
        if (by_asid) {
            forget_asid(cpu, asid);
            return;
        }
        range_clear(&cpu->data_super);
        renew_s(cpu);
        renew_u(cpu);
        return;
    }
    if (range_has(&cpu->data_super, address)) {
        translate_tlb_flush(&cpu->base, BIT32(MMU_U) | BIT32(MMU_S) | BIT32(MMU_SUM), false);
        range_clear(&cpu->data_super);
    } else {
        translate_tlb_flush_page(&cpu->base, address);
    }
    if (fetched_has(&cpu->s_fetched, address))
        renew_s(cpu);
    if (fetched_has(&cpu->u_fetched, address))
        renew_u(cpu);
}

uint64_t riscv_helper_sfence(void *opaque, uint64_t address, uint64_t asid, uint64_t how,
                             uint64_t d)
{
    RiscvCpu *cpu = opaque;
    uint64_t s = cpu->s_space, u = cpu->u_space;
    if (cpu->props.rv32)
        address = (uint32_t)address;
    riscv_space_flush(cpu, how & 1, address, how & 2, asid);
    cpu->exit_needed = s != cpu->s_space || u != cpu->u_space;
    return 0;
}

void riscv_fence(TranslateCpu *base, uint64_t start, uint64_t size)
{
    RiscvCpu *cpu = riscv_of(base);
    if (!size || size > 64 * GUEST_PAGE_SIZE) {
        riscv_space_flush(cpu, false, 0, false, 0);
        return;
    }
    uint64_t end = start + size;
    for (uint64_t at = start & ~(uint64_t)(GUEST_PAGE_SIZE - 1); at < end; at += GUEST_PAGE_SIZE)
        riscv_space_flush(cpu, true, at, false, 0);
}
