/* SPDX-License-Identifier: MIT */
/*
 * Finding the code for an address: the pages a CPU has executed, its jump table,
 * the cache; what is not there is made. In user mode what is read may go away at
 * any moment, so regions are made from copies.
 */
#include <string.h>

#include "translate/translate_priv.h"

static bool fetch(TranslateCpu *cpu, uint64_t pc, uint64_t *phys, GuestPage *page)
{
    uint64_t base = pc & ~PAGE_MASK;
    unsigned i = pc >> GUEST_PAGE_BITS & 255;
    if (cpu->fetch[i].page == base && cpu->fetch[i].tag == cpu->tag) {
        *phys = cpu->fetch[i].phys | (pc & PAGE_MASK);
        page->host = (uint8_t *)(uintptr_t)cpu->fetch[i].host;
        page->flags = cpu->fetch[i].flags;
        return true;
    }
    if (!memory_fetch(cpu, pc, phys, page))
        return false;
    cpu->fetch[i].page = base;
    cpu->fetch[i].tag = cpu->tag;
    cpu->fetch[i].phys = *phys & ~PAGE_MASK;
    cpu->fetch[i].host = (uint64_t)(uintptr_t)page->host;
    cpu->fetch[i].flags = page->flags;
    return true;
}

static void mark_code(Translator *t, const GuestPage *page, uint64_t phys)
{
    if (!page->flags || __atomic_load_n(page->flags, __ATOMIC_SEQ_CST) & GUEST_PAGE_CODE)
        return;
    __atomic_or_fetch(page->flags, GUEST_PAGE_CODE, __ATOMIC_SEQ_CST);
    memory_protect(t, phys & ~PAGE_MASK);
}

static TranslateJump *jump_entry(TranslateCpu *cpu, uint64_t pc)
{
    return &cpu->jump_table[pc >> cpu->guest->insn_align & (TRANSLATE_JUMPS - 1)];
}

/* With the lock, under which r has just been found to be alive, at cpu->pc. Not for a link to be:
 * who comes that way needs no table. */
static Region *remember(TranslateCpu *cpu, Region *r, bool link)
{
    Translator *t = cpu->translator;
    if (t->options.accel != TRANSLATE_JIT || !r || link)
        return r;
    TranslateJump *j = jump_entry(cpu, cpu->pc);
    j->tag = 0;
    j->pc = cpu->pc;
    j->host = (uint32_t)(uintptr_t)t->code.run + r->entry;
    j->tag = cpu->tag;
    return r;
}

static bool pc_is_aligned(TranslateCpu *cpu)
{
    TranslateFault fault;
    if (!(cpu->pc & (((uint64_t)1 << cpu->guest->insn_align) - 1)))
        return true;
    cpu->guest->trouble(cpu, cpu->pc, TRANSLATE_FETCH, TRANSLATE_MISALIGNED, &fault);
    translate_raise(cpu, fault.exception, fault.value);
    return false;
}

/*
 * User mode: with the lock, makes the region at cpu->pc from a copy of the bytes there, unless
 * something was invalidated since `epoch`, before they were copied.
 */
static RegionResult make_direct(TranslateCpu *cpu, uint32_t epoch, const uint8_t *bytes,
                                unsigned available, uint64_t next_page, Region **r)
{
    Translator *t = cpu->translator;
    *r = NULL;
    if (t->epoch != epoch)
        return REGION_MADE; /* none: try again */
    *r = cache_find(t, cpu->pc, cpu->mode);
    if (*r)
        return REGION_MADE;
    RegionResult result = region_make(cpu, cpu->pc, bytes, available, next_page, r);
    if (result == REGION_MADE)
        learn_note(t, cpu->pc, cpu->mode);
    return result;
}

/* As find_region, in user mode. What is read may go away meanwhile: so it is copied, without the lock. */
static Region *find_direct(TranslateCpu *cpu, bool link)
{
    Translator *t = cpu->translator;
    uint8_t all[GUEST_PAGE_SIZE + 16];
    unsigned in_page = (unsigned)(cpu->pc & PAGE_MASK), available = GUEST_PAGE_SIZE - in_page;
    uint8_t *bytes = all + in_page; /* what lies before them is looked at as well, by region.c */
    uint64_t phys, next = (cpu->pc | PAGE_MASK) + 1;
    GuestPage page;
    uint32_t epoch = __atomic_load_n(&t->epoch, __ATOMIC_SEQ_CST);

    if (cpu->fetch_epoch != epoch)
        memset(cpu->fetch, 0, sizeof cpu->fetch);
    cpu->fetch_epoch = epoch;
    if (!pc_is_aligned(cpu) || !fetch(cpu, cpu->pc, &phys, &page))
        return NULL;
    g_mutex_lock(&t->lock);
    Region *r = remember(cpu, cache_find(t, cpu->pc, cpu->mode), link);
    g_mutex_unlock(&t->lock);
    if (r)
        return r;
    if (!memory_copy(cpu, all, cpu->pc - in_page, GUEST_PAGE_SIZE))
        return NULL;
    g_mutex_lock(&t->lock);
    RegionResult result = make_direct(cpu, epoch, bytes, available, 0, &r);
    remember(cpu, r, link);
    g_mutex_unlock(&t->lock);
    if (result == REGION_NEEDS_BYTES) {
        if (!fetch(cpu, next, &phys, &page) || !memory_copy(cpu, bytes + available, next, 16))
            return NULL;
        g_mutex_lock(&t->lock);
        result = make_direct(cpu, epoch, bytes, available < 16 ? 16 : available, next, &r);
        remember(cpu, r, link);
        g_mutex_unlock(&t->lock);
        g_assert(result != REGION_NEEDS_BYTES);
    }
    if (result == REGION_NO_ROOM)
        flush_all(cpu);
    return result == REGION_MADE ? r : NULL;
}

Region *find_region(TranslateCpu *cpu, bool link)
{
    Translator *t = cpu->translator;
    uint64_t phys, phys2 = 0;
    GuestPage page, page2;
    Region *r = NULL;
    uint8_t joined[32];

    if (cpu->guest->direct_memory)
        return find_direct(cpu, link);
    if (!pc_is_aligned(cpu))
        return NULL;
    if (!fetch(cpu, cpu->pc, &phys, &page))
        return NULL;
    g_mutex_lock(&t->lock);
    r = cache_find(t, phys, cpu->mode);
    if (r && r->last <= (int32_t)GUEST_PAGE_SIZE) {
        remember(cpu, r, link);
        g_mutex_unlock(&t->lock);
        return r;
    }
    unsigned in_page = (unsigned)(phys & PAGE_MASK), available = GUEST_PAGE_SIZE - in_page;
    RegionResult result = REGION_NEEDS_BYTES;
    if (!r) {
        mark_code(t, &page, phys);
        result = region_make(cpu, phys, page.host + in_page, available, 0, &r);
        if (result == REGION_MADE)
            remember(cpu, r, link);
    }
    g_mutex_unlock(&t->lock);
    if (result == REGION_NEEDS_BYTES) {
        /* across the page's end: the second page must be what the region was made from, each
         * time */
        if (!fetch(cpu, (cpu->pc | PAGE_MASK) + 1, &phys2, &page2))
            return NULL;
        g_mutex_lock(&t->lock);
        if (r && !r->dead && r->phys2 == phys2) {
            remember(cpu, r, link);
            g_mutex_unlock(&t->lock);
            return r;
        }
        if (r)
            cache_kill(t, r);
        mark_code(t, &page, phys);
        mark_code(t, &page2, phys2);
        memcpy(joined, page.host + in_page, available);
        memcpy(joined + available, page2.host, sizeof joined - available);
        result = region_make(cpu, phys, joined, available < 16 ? 16 : available, phys2, &r);
        if (result == REGION_MADE)
            remember(cpu, r, link);
        g_mutex_unlock(&t->lock);
        g_assert(result != REGION_NEEDS_BYTES);
    }
    if (result == REGION_NO_ROOM) {
        flush_all(cpu);
        return NULL;
    }
    return r;
}

uint32_t find_known(TranslateCpu *cpu)
{
    const Translator *t = cpu->translator;
    if (t->options.accel != TRANSLATE_JIT || cpu->verify)
        return 0;
    const TranslateJump *j = jump_entry(cpu, cpu->pc);
    if (j->pc != cpu->pc || j->tag != cpu->tag)
        return 0;
    return j->host - (uint32_t)(uintptr_t)t->code.run;
}
