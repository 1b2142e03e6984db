/* SPDX-License-Identifier: MIT */
/*
 * Guest memory as C sees it: the TLB behind the inline one that compiled code
 * uses, page crossing, device memory, atomics, load-linked/store-conditional.
 *
 * The TLB is direct mapped by page number. A tag is the page's address; compiled
 * code takes tag ^ address: at most 4096 - size on a hit, which also sends
 * accesses that cross the page here. Compiled code guesses which entry to look at
 * (x64_mem.c), so the tag of an unused entry must match no address at all: it is
 * one that no mode of any guest can map (bit 62 is not bit 63), and a random one,
 * since for a guest that made it up the host would fault.
 *
 * Write permission is given only when the page is writable, needs no dirty bit
 * set first, and holds no translated code.
 */
#include <string.h>
#include <sys/random.h>

#include "base/bits.h"
#include "translate/host/touch.h"
#include "translate/translate_priv.h"

static inline unsigned tlb_index(uint64_t address)
{
    return address >> GUEST_PAGE_BITS & (TRANSLATE_TLB_SIZE - 1);
}

static inline uint64_t tlb_invalid(const TranslateCpu *cpu, unsigned index)
{
    return cpu->tlb_poison | (uint64_t)(index ^ 1) << GUEST_PAGE_BITS;
}

void memory_start(TranslateCpu *cpu)
{
    uint64_t random = 0;
    if (cpu->guest->direct_memory)
        return; /* the TLB is not used, nor touched */
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random)
        random = (uint64_t)g_random_int() << 32 | g_random_int();
    cpu->tlb_poison = BIT64(62) | (random & bits_mask(38) << 24);
    for (unsigned m = 0; m < TRANSLATE_MMUS; m++)
        for (unsigned i = 0; i < TRANSLATE_TLB_SIZE; i++)
            cpu->tlb[m][i].read = cpu->tlb[m][i].write = tlb_invalid(cpu, i);
}

static inline bool tlb_hit(uint64_t tag, uint64_t address)
{
    return (tag ^ address) < GUEST_PAGE_SIZE;
}

static bool flush_group(TranslateCpu *cpu, TranslateTlbEntry *tlb, unsigned first, bool keep_global)
{
    bool kept = false;
    for (unsigned i = first; i < first + TRANSLATE_TLB_GROUP; i++) {
        TranslateTlbEntry *e = &tlb[i];
        if (keep_global && e->info & TRANSLATE_TLB_GLOBAL) {
            kept = true;
            continue;
        }
        __atomic_store_n(&e->write, tlb_invalid(cpu, i), __ATOMIC_RELAXED);
        e->read = tlb_invalid(cpu, i);
        e->info = 0;
    }
    return kept;
}

void translate_tlb_flush(TranslateCpu *cpu, unsigned mmu_mask, bool keep_global)
{
    for (unsigned m = 0; m < TRANSLATE_MMUS; m++) {
        uint64_t used = mmu_mask >> m & 1 ? cpu->tlb_used[m] : 0;
        while (used) {
            unsigned group = (unsigned)__builtin_ctzll(used);
            used &= used - 1;
            if (!flush_group(cpu, cpu->tlb[m], group * TRANSLATE_TLB_GROUP, keep_global))
                cpu->tlb_used[m] &= ~BIT64(group);
        }
    }
}

void translate_tlb_flush_page(TranslateCpu *cpu, uint64_t address)
{
    unsigned i = tlb_index(address);
    for (unsigned m = 0; m < TRANSLATE_MMUS; m++) {
        TranslateTlbEntry *e = &cpu->tlb[m][i];
        __atomic_store_n(&e->write, tlb_invalid(cpu, i), __ATOMIC_RELAXED);
        e->read = tlb_invalid(cpu, i);
        e->info = 0;
    }
}

void memory_protect(Translator *t, uint64_t phys_page)
{
    if (t->guest->direct_memory)
        return;
    for (unsigned c = 0; c < t->cpus->len; c++) {
        TranslateCpu *cpu = t->cpus->pdata[c];
        for (unsigned m = 0; m < TRANSLATE_MMUS; m++) {
            for (uint64_t used = __atomic_load_n(&cpu->tlb_used[m], __ATOMIC_RELAXED); used;
                 used &= used - 1) {
                unsigned first = (unsigned)__builtin_ctzll(used) * TRANSLATE_TLB_GROUP;
                for (unsigned i = first; i < first + TRANSLATE_TLB_GROUP; i++) {
                    TranslateTlbEntry *e = &cpu->tlb[m][i];
                    if ((e->info & ~PAGE_MASK) == phys_page)
                        __atomic_store_n(&e->write, tlb_invalid(cpu, i), __ATOMIC_RELAXED);
                }
            }
        }
    }
}

void translate_raise(TranslateCpu *cpu, uint32_t exception, uint64_t value)
{
    if (cpu->fault_pending)
        return;
    cpu->fault = (TranslateFault){exception, value};
    cpu->fault_pending = 1;
}

static void trouble(TranslateCpu *cpu, uint64_t address, TranslateAccess access,
                    TranslateTrouble what)
{
    TranslateFault fault;
    if (cpu->fault_pending)
        return;
    cpu->guest->trouble(cpu, address, access, what, &fault);
    translate_raise(cpu, fault.exception, fault.value);
}

static bool walk(TranslateCpu *cpu, uint64_t address, TranslateAccess access, unsigned mmu,
                 TranslateMap *map)
{
    TranslateFault fault;
    if (!cpu->guest->walk) {
        *map = (TranslateMap){address, true, true, true, true};
        return true;
    }
    if (cpu->guest->walk(cpu, address, access, mmu, map, &fault))
        return true;
    translate_raise(cpu, fault.exception, fault.value);
    return false;
}

/* One access within one page, after the TLB missed. host is NULL for device memory, phys is
 * right then. */
static bool resolve(TranslateCpu *cpu, uint64_t address, unsigned size, TranslateAccess access,
                    unsigned mmu, uint8_t **host, uint64_t *phys, uint8_t **flags)
{
    TranslateMap map;
    GuestPage page;
    cpu->access_size = (uint8_t)size;
    if (!walk(cpu, address, access, mmu, &map))
        return false;
    *phys = map.phys;
    *host = NULL;
    *flags = NULL;
    if (!cpu->env.ram || !cpu->env.ram(cpu->env.opaque, map.phys, &page))
        return true;
    if (access == TRANSLATE_STORE && !page.writable)
        return true; /* left to env.store, which refuses or ignores it */
    *host = page.host + (address & PAGE_MASK);
    *flags = page.flags;

    unsigned i = tlb_index(address);
    TranslateTlbEntry *e = &cpu->tlb[mmu][i];
    uint64_t base = address & ~PAGE_MASK;
    bool code = page.flags && __atomic_load_n(page.flags, __ATOMIC_SEQ_CST) & GUEST_PAGE_CODE;
    cpu->tlb_used[mmu] |= BIT64(i / TRANSLATE_TLB_GROUP);
    e->addend = (uint64_t)(uintptr_t)page.host - base;
    e->info = (map.phys & ~PAGE_MASK) | (map.global ? TRANSLATE_TLB_GLOBAL : 0);
    e->read = map.read ? base : tlb_invalid(cpu, i);
    /* compiled code takes a page that it may write for one that it may read */
    bool write = map.write && map.read && page.writable && !code;
    __atomic_store_n(&e->write, write ? base : tlb_invalid(cpu, i), __ATOMIC_SEQ_CST);
    /* memory_protect may have run between the look at the flag and the store */
    if (page.flags && __atomic_load_n(page.flags, __ATOMIC_SEQ_CST) & GUEST_PAGE_CODE)
        __atomic_store_n(&e->write, tlb_invalid(cpu, i), __ATOMIC_SEQ_CST);
    return true;
}

static uint64_t read_host(const uint8_t *p, unsigned size)
{
    switch (size) {
    case 1: return *p;
    case 2: { uint16_t v; memcpy(&v, p, 2); return v; }
    case 4: { uint32_t v; memcpy(&v, p, 4); return v; }
    default: { uint64_t v; memcpy(&v, p, 8); return v; }
    }
}

static void write_host(uint8_t *p, unsigned size, uint64_t v)
{
    switch (size) {
    case 1: *p = (uint8_t)v; break;
    case 2: { uint16_t w = (uint16_t)v; memcpy(p, &w, 2); break; }
    case 4: { uint32_t w = (uint32_t)v; memcpy(p, &w, 4); break; }
    default: memcpy(p, &v, 8); break;
    }
}

/* User mode: the host address of a guest address; and what follows when the host faulted there. */

static uint64_t direct_address(const TranslateCpu *cpu, uint64_t address)
{
    return address + cpu->translator->options.memory_base;
}

static bool touched(TranslateCpu *cpu, Touch touch)
{
    if (G_LIKELY(!touch.fault))
        return true;
    translate_raise(cpu, TRANSLATE_HOST_FAULT, cpu->touch_address);
    return false;
}

static bool direct_load(TranslateCpu *cpu, uint64_t address, unsigned size, uint64_t *value)
{
    uint64_t at = direct_address(cpu, address);
    Touch touch = size == 1   ? touch_load8(at)
                  : size == 2 ? touch_load16(at)
                  : size == 4 ? touch_load32(at)
                              : touch_load64(at);
    *value = touch.value;
    return touched(cpu, touch);
}

static bool direct_store(TranslateCpu *cpu, uint64_t address, unsigned size, uint64_t value)
{
    uint64_t at = direct_address(cpu, address);
    Touch touch = size == 1   ? touch_store8(at, value)
                  : size == 2 ? touch_store16(at, value)
                  : size == 4 ? touch_store32(at, value)
                              : touch_store64(at, value);
    return touched(cpu, touch);
}

bool memory_copy(TranslateCpu *cpu, void *to, uint64_t address, size_t n)
{
    return touched(cpu, touch_copy(to, direct_address(cpu, address), n));
}

static uint64_t swap_value(uint64_t v, unsigned size)
{
    return __builtin_bswap64(v) >> (64 - 8 * size);
}

static uint64_t finish_load(uint64_t v, IrMem mem)
{
    unsigned size = ir_mem_bytes(mem);
    if (mem & IR_MEM_BE && size > 1)
        v = swap_value(v, size);
    if (mem & IR_MEM_SIGNED)
        v = (uint64_t)bits_sext(v, 8 * size);
    return v;
}

static bool crosses(uint64_t address, unsigned size)
{
    return (address & PAGE_MASK) + size > GUEST_PAGE_SIZE;
}

/* Raw little-endian bytes, within a page, size 1 to 8. */
static bool load_piece(TranslateCpu *cpu, uint64_t address, unsigned size, unsigned mmu,
                       uint64_t *value)
{
    TranslateTlbEntry *e = &cpu->tlb[mmu][tlb_index(address)];
    uint8_t *host, *flags;
    uint64_t phys;
    if (cpu->guest->direct_memory)
        return direct_load(cpu, address, size, value);
    if (tlb_hit(e->read, address)) {
        *value = read_host((uint8_t *)(uintptr_t)(e->addend + address), size);
        return true;
    }
    if (!resolve(cpu, address, size, TRANSLATE_LOAD, mmu, &host, &phys, &flags))
        return false;
    if (host) {
        *value = read_host(host, size);
        return true;
    }
    if (cpu->env.load && cpu->env.load(cpu->env.opaque, phys, size, value))
        return true;
    trouble(cpu, address, TRANSLATE_LOAD, TRANSLATE_BUS_ERROR);
    return false;
}

static bool store_piece(TranslateCpu *cpu, uint64_t address, unsigned size, unsigned mmu,
                        uint64_t value)
{
    TranslateTlbEntry *e = &cpu->tlb[mmu][tlb_index(address)];
    uint8_t *host, *flags;
    uint64_t phys;
    if (cpu->guest->direct_memory)
        return direct_store(cpu, address, size, value);
    if (tlb_hit(e->write, address)) {
        write_host((uint8_t *)(uintptr_t)(e->addend + address), size, value);
        return true;
    }
    if (!resolve(cpu, address, size, TRANSLATE_STORE, mmu, &host, &phys, &flags))
        return false;
    if (host) {
        write_host(host, size, value);
        if (flags && __atomic_load_n(flags, __ATOMIC_SEQ_CST) & GUEST_PAGE_CODE)
            cache_guest_wrote(cpu->translator, phys, size);
        return true;
    }
    if (cpu->env.store && cpu->env.store(cpu->env.opaque, phys, size, value))
        return true;
    trouble(cpu, address, TRANSLATE_STORE, TRANSLATE_BUS_ERROR);
    return false;
}

static bool check_alignment(TranslateCpu *cpu, uint64_t address, IrMem mem, TranslateAccess access)
{
    if (!(mem & IR_MEM_ALIGNED) || is_aligned(address, ir_mem_bytes(mem)))
        return true;
    trouble(cpu, address, access, TRANSLATE_MISALIGNED);
    return false;
}

static uint64_t effective(uint64_t address, IrMem mem)
{
    return mem & IR_MEM_ADDR32 ? (uint32_t)address : address;
}

static uint64_t real_load(TranslateCpu *cpu, uint64_t address, IrMem mem)
{
    unsigned size = ir_mem_bytes(mem), mmu = ir_mem_mmu(mem);
    uint64_t v = 0;
    address = effective(address, mem);
    cpu->count.slow_loads++;
    if (!check_alignment(cpu, address, mem, TRANSLATE_LOAD))
        return 0;
    if (cpu->guest->direct_memory || !crosses(address, size)) {
        if (!load_piece(cpu, address, size, mmu, &v))
            return 0;
    } else {
        for (unsigned i = 0; i < size; i++) {
            uint64_t byte;
            if (!load_piece(cpu, effective(address + i, mem), 1, mmu, &byte))
                return 0;
            v |= byte << 8 * i;
        }
    }
    return finish_load(v, mem);
}

static void real_store(TranslateCpu *cpu, uint64_t address, IrMem mem, uint64_t value)
{
    unsigned size = ir_mem_bytes(mem), mmu = ir_mem_mmu(mem);
    address = effective(address, mem);
    cpu->count.slow_stores++;
    if (!check_alignment(cpu, address, mem, TRANSLATE_STORE))
        return;
    if (mem & IR_MEM_BE && size > 1)
        value = swap_value(value, size);
    if (cpu->guest->direct_memory || !crosses(address, size)) {
        store_piece(cpu, address, size, mmu, value);
        return;
    }
    /* Both pages must be writable before either is written. */
    uint8_t *host, *flags;
    uint64_t phys;
    if (!resolve(cpu, address, 1, TRANSLATE_STORE, mmu, &host, &phys, &flags))
        return;
    if (!resolve(cpu, effective((address | PAGE_MASK) + 1, mem), 1, TRANSLATE_STORE, mmu, &host,
                 &phys, &flags))
        return;
    for (unsigned i = 0; i < size; i++)
        if (!store_piece(cpu, effective(address + i, mem), 1, mmu, value >> 8 * i & 0xff))
            return;
}

static void real_load_wide(TranslateCpu *cpu, uint64_t address, IrMem mem, IrValue *value)
{
    unsigned size = ir_mem_bytes(mem);
    IrMem part = (mem & ~7u) | 3;
    memset(value, 0, sizeof *value);
    if (!check_alignment(cpu, effective(address, mem), mem, TRANSLATE_LOAD))
        return;
    part &= ~IR_MEM_ALIGNED;
    for (unsigned i = 0; i < size / 8 && !cpu->fault_pending; i++)
        value->w[mem & IR_MEM_BE ? size / 8 - 1 - i : i] = real_load(cpu, address + 8 * i, part);
}

static void real_store_wide(TranslateCpu *cpu, uint64_t address, IrMem mem, const IrValue *value)
{
    unsigned size = ir_mem_bytes(mem);
    IrMem part = (mem & ~7u & ~IR_MEM_ALIGNED) | 3;
    uint8_t *host, *flags;
    uint64_t phys, last = effective(address + size - 1, mem);
    if (!check_alignment(cpu, effective(address, mem), mem, TRANSLATE_STORE))
        return;
    if (!cpu->guest->direct_memory && crosses(effective(address, mem), size) &&
        !resolve(cpu, last, 1, TRANSLATE_STORE, ir_mem_mmu(mem), &host, &phys, &flags))
        return;
    for (unsigned i = 0; i < size / 8 && !cpu->fault_pending; i++)
        real_store(cpu, address + 8 * i, part, value->w[mem & IR_MEM_BE ? size / 8 - 1 - i : i]);
}

/* Host address for an atomic on one aligned word, write permission checked; NULL with a fault
 * pending. */
static uint8_t *atomic_host(TranslateCpu *cpu, uint64_t address, IrMem mem, uint64_t *phys,
                            uint8_t **flags)
{
    unsigned size = ir_mem_bytes(mem), mmu = ir_mem_mmu(mem);
    uint8_t *host;
    *flags = NULL;
    if (!is_aligned(address, size)) {
        trouble(cpu, address, TRANSLATE_STORE, TRANSLATE_MISALIGNED);
        return NULL;
    }
    if (cpu->guest->direct_memory)
        return (uint8_t *)(uintptr_t)direct_address(cpu, address);
    TranslateTlbEntry *e = &cpu->tlb[mmu][tlb_index(address)];
    if (tlb_hit(e->write, address) && tlb_hit(e->read, address))
        return (uint8_t *)(uintptr_t)(e->addend + address);
    if (!resolve(cpu, address, size, TRANSLATE_STORE, mmu, &host, phys, flags))
        return NULL;
    if (!host)
        trouble(cpu, address, TRANSLATE_STORE, TRANSLATE_BUS_ERROR);
    return host;
}

static void atomic_done(TranslateCpu *cpu, uint64_t phys, const uint8_t *flags, unsigned size)
{
    if (flags && __atomic_load_n(flags, __ATOMIC_SEQ_CST) & GUEST_PAGE_CODE)
        cache_guest_wrote(cpu->translator, phys, size);
}

static uint64_t combine(IrAtomic what, uint64_t old, uint64_t v, unsigned size)
{
    int64_t so = bits_sext(old, 8 * size), sv = bits_sext(v, 8 * size);
    v &= bits_mask(8 * size);
    switch (what) {
    case IR_ATOMIC_SWAP: return v;
    case IR_ATOMIC_ADD: return old + v;
    case IR_ATOMIC_AND: return old & v;
    case IR_ATOMIC_OR: return old | v;
    case IR_ATOMIC_XOR: return old ^ v;
    case IR_ATOMIC_MIN: return so < sv ? old : v;
    case IR_ATOMIC_MAX: return so > sv ? old : v;
    case IR_ATOMIC_MINU: return old < v ? old : v;
    default: return old > v ? old : v;
    }
}

static bool host_cas(uint8_t *p, unsigned size, uint64_t *expected, uint64_t desired)
{
    switch (size) {
    case 1: {
        uint8_t e = (uint8_t)*expected;
        bool ok = __atomic_compare_exchange_n(p, &e, (uint8_t)desired, false, __ATOMIC_SEQ_CST,
                                              __ATOMIC_SEQ_CST);
        *expected = e;
        return ok;
    }
    case 2: {
        uint16_t e = (uint16_t)*expected;
        bool ok = __atomic_compare_exchange_n((uint16_t *)(void *)p, &e, (uint16_t)desired, false,
                                              __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
        *expected = e;
        return ok;
    }
    case 4: {
        uint32_t e = (uint32_t)*expected;
        bool ok = __atomic_compare_exchange_n((uint32_t *)(void *)p, &e, (uint32_t)desired, false,
                                              __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
        *expected = e;
        return ok;
    }
    default:
        return __atomic_compare_exchange_n((uint64_t *)(void *)p, expected, desired, false,
                                           __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
}

/* The same at atomic_host(address); *ok: exchanged. False: the host faulted. */
static bool place_cas(TranslateCpu *cpu, uint8_t *host, unsigned size, uint64_t *expected,
                      uint64_t desired, bool *ok)
{
    if (!cpu->guest->direct_memory) {
        *ok = host_cas(host, size, expected, desired);
        return true;
    }
    uint64_t at = (uint64_t)(uintptr_t)host, e = *expected;
    Touch touch = size == 1   ? touch_cas8(at, e, desired)
                  : size == 2 ? touch_cas16(at, e, desired)
                  : size == 4 ? touch_cas32(at, e, desired)
                              : touch_cas64(at, e, desired);
    *ok = touch.value == (e & bits_mask(8 * size));
    *expected = touch.value;
    return touched(cpu, touch);
}

/* Returns what was there. Written out for x86-64, where clang without -mcx16 would call a
 * function that nobody has. */
static unsigned __int128 host_cas16(uint8_t *p, unsigned __int128 expected,
                                    unsigned __int128 desired)
{
#ifdef __x86_64__
    uint64_t low = (uint64_t)expected, high = (uint64_t)(expected >> 64);
    __asm__ volatile("lock cmpxchg16b %0"
                     : "+m"(*(unsigned __int128 *)(void *)p), "+a"(low), "+d"(high)
                     : "b"((uint64_t)desired), "c"((uint64_t)(desired >> 64))
                     : "memory", "cc");
    return (unsigned __int128)high << 64 | low;
#else
    return __sync_val_compare_and_swap((unsigned __int128 *)(void *)p, expected, desired);
#endif
}

static uint64_t to_guest_order(uint64_t v, IrMem mem)
{
    return mem & IR_MEM_BE && ir_mem_bytes(mem) > 1 ? swap_value(v, ir_mem_bytes(mem)) : v;
}

static uint64_t real_atomic(TranslateCpu *cpu, IrAtomic what, uint64_t address, IrMem mem,
                            uint64_t operand)
{
    unsigned size = ir_mem_bytes(mem);
    uint64_t phys = 0, old, new;
    uint8_t *flags;
    bool ok;
    address = effective(address, mem);
    uint8_t *host = atomic_host(cpu, address, mem, &phys, &flags);
    if (!host)
        return 0;
    if (!cpu->guest->direct_memory)
        old = read_host(host, size);
    else if (!direct_load(cpu, address, size, &old))
        return 0;
    do {
        new = to_guest_order(combine(what, to_guest_order(old, mem), operand, size), mem);
        if (!place_cas(cpu, host, size, &old, new, &ok))
            return 0;
    } while (!ok);
    atomic_done(cpu, phys, flags, size);
    return finish_load(old, mem);
}

static void real_cas(TranslateCpu *cpu, uint64_t address, IrMem mem, IrValue *old,
                     const IrValue *expected, const IrValue *desired)
{
    unsigned size = ir_mem_bytes(mem);
    uint64_t phys = 0;
    uint8_t *flags;
    memset(old, 0, sizeof *old);
    address = effective(address, mem);
    uint8_t *host = atomic_host(cpu, address, mem, &phys, &flags);
    if (!host)
        return;
    bool ok;
    if (size == 16 && cpu->guest->direct_memory) {
        memcpy(old->w, expected->w, 16);
        if (!touched(cpu, touch_cas128((uintptr_t)host, old->w, desired->w)))
            return;
    } else if (size == 16) {
        unsigned __int128 e, d;
        memcpy(&e, expected->w, 16);
        memcpy(&d, desired->w, 16);
        /* no big-endian 16-byte exchange yet: front ends swap the halves themselves */
        unsigned __int128 was = host_cas16(host, e, d);
        memcpy(old->w, &was, 16);
    } else {
        uint64_t e = to_guest_order(expected->u & bits_mask(8 * size), mem);
        if (!place_cas(cpu, host, size, &e,
                       to_guest_order(desired->u & bits_mask(8 * size), mem), &ok))
            return;
        old->u = finish_load(e, mem);
    }
    atomic_done(cpu, phys, flags, size);
}

static uint64_t real_load_linked(TranslateCpu *cpu, uint64_t address, IrMem mem)
{
    address = effective(address, mem);
    cpu->linked_valid = 0;
    if (!is_aligned(address, ir_mem_bytes(mem))) {
        trouble(cpu, address, TRANSLATE_LOAD, TRANSLATE_MISALIGNED);
        return 0;
    }
    uint64_t v = real_load(cpu, address, mem & ~IR_MEM_SIGNED);
    if (cpu->fault_pending)
        return 0;
    cpu->linked_address = address;
    cpu->linked_value = v;
    cpu->linked_valid = 1;
    return mem & IR_MEM_SIGNED ? (uint64_t)bits_sext(v, 8 * ir_mem_bytes(mem)) : v;
}

static bool real_store_cond(TranslateCpu *cpu, uint64_t address, IrMem mem, uint64_t value)
{
    unsigned size = ir_mem_bytes(mem);
    uint64_t phys = 0;
    uint8_t *flags;
    address = effective(address, mem);
    bool linked = cpu->linked_valid && cpu->linked_address == address;
    cpu->linked_valid = 0;
    uint8_t *host = atomic_host(cpu, address, mem, &phys, &flags);
    if (!host || !linked)
        return false;
    uint64_t e = to_guest_order(cpu->linked_value, mem);
    bool ok;
    if (!place_cas(cpu, host, size, &e,
                   to_guest_order(value & bits_mask(8 * size), mem), &ok))
        return false;
    if (ok)
        atomic_done(cpu, phys, flags, size);
    return ok;
}

/* The public faces: with -accel verify answered from the log or logged. */

uint64_t memory_load(TranslateCpu *cpu, uint64_t address, IrMem mem)
{
    IrValue out = {.w = {0}};
    if (G_LIKELY(!cpu->verify))
        return real_load(cpu, address, mem);
    if (!verify_replay(cpu, IR_LOAD, address, mem, NULL, &out)) {
        out.u = real_load(cpu, address, mem);
        verify_record(cpu, IR_LOAD, address, mem, NULL, &out);
    }
    return out.u;
}

void memory_store(TranslateCpu *cpu, uint64_t address, IrMem mem, uint64_t value)
{
    IrValue in = {.w = {value & bits_mask(8 * ir_mem_bytes(mem))}};
    if (G_LIKELY(!cpu->verify)) {
        real_store(cpu, address, mem, value);
    } else if (!verify_replay(cpu, IR_STORE, address, mem, &in, NULL)) {
        real_store(cpu, address, mem, value);
        verify_record(cpu, IR_STORE, address, mem, &in, NULL);
    }
}

void memory_load_wide(TranslateCpu *cpu, uint64_t address, IrMem mem, IrValue *value)
{
    if (!cpu->verify) {
        real_load_wide(cpu, address, mem, value);
    } else if (!verify_replay(cpu, IR_LOAD, address, mem, NULL, value)) {
        real_load_wide(cpu, address, mem, value);
        verify_record(cpu, IR_LOAD, address, mem, NULL, value);
    }
}

void memory_store_wide(TranslateCpu *cpu, uint64_t address, IrMem mem, const IrValue *value)
{
    if (!cpu->verify) {
        real_store_wide(cpu, address, mem, value);
    } else if (!verify_replay(cpu, IR_STORE, address, mem, value, NULL)) {
        real_store_wide(cpu, address, mem, value);
        verify_record(cpu, IR_STORE, address, mem, value, NULL);
    }
}

uint64_t memory_atomic(TranslateCpu *cpu, IrAtomic what, uint64_t address, IrMem mem,
                       uint64_t operand)
{
    operand &= bits_mask(8 * ir_mem_bytes(mem));
    IrValue in = {.w = {operand, what}}, out = {.w = {0}};
    if (G_LIKELY(!cpu->verify))
        return real_atomic(cpu, what, address, mem, operand);
    if (!verify_replay(cpu, IR_ATOMIC, address, mem, &in, &out)) {
        out.u = real_atomic(cpu, what, address, mem, operand);
        verify_record(cpu, IR_ATOMIC, address, mem, &in, &out);
    }
    return out.u;
}

void memory_cas(TranslateCpu *cpu, uint64_t address, IrMem mem, IrValue *old,
                const IrValue *expected, const IrValue *desired)
{
    /* compiled code leaves what it likes above the operands' bytes */
    unsigned bits = 8 * ir_mem_bytes(mem);
    IrValue in = {.w = {desired->u & bits_mask(MIN(bits, 64)), bits > 64 ? desired->w[1] : 0,
                        expected->u & bits_mask(MIN(bits, 64)), bits > 64 ? expected->w[1] : 0}};
    if (!cpu->verify) {
        real_cas(cpu, address, mem, old, expected, desired);
    } else if (!verify_replay(cpu, IR_CAS, address, mem, &in, old)) {
        real_cas(cpu, address, mem, old, expected, desired);
        verify_record(cpu, IR_CAS, address, mem, &in, old);
    }
}

/* The link that a logged access made or broke is part of the state that is compared. */
uint64_t memory_load_linked(TranslateCpu *cpu, uint64_t address, IrMem mem)
{
    IrValue out = {.w = {0}};
    if (G_LIKELY(!cpu->verify))
        return real_load_linked(cpu, address, mem);
    if (!verify_replay(cpu, IR_LOAD_LINKED, address, mem, NULL, &out)) {
        out.u = real_load_linked(cpu, address, mem);
        out.w[1] = cpu->linked_address;
        out.w[2] = cpu->linked_value;
        out.w[3] = cpu->linked_valid;
        verify_record(cpu, IR_LOAD_LINKED, address, mem, NULL, &out);
    }
    cpu->linked_address = out.w[1];
    cpu->linked_value = out.w[2];
    cpu->linked_valid = (uint32_t)out.w[3];
    return out.u;
}

bool memory_store_cond(TranslateCpu *cpu, uint64_t address, IrMem mem, uint64_t value)
{
    IrValue in = {.w = {value & bits_mask(8 * ir_mem_bytes(mem))}}, out = {.w = {0}};
    if (G_LIKELY(!cpu->verify))
        return real_store_cond(cpu, address, mem, value);
    if (!verify_replay(cpu, IR_STORE_COND, address, mem, &in, &out)) {
        out.u = real_store_cond(cpu, address, mem, value);
        verify_record(cpu, IR_STORE_COND, address, mem, &in, &out);
    }
    cpu->linked_valid = 0;
    return out.u;
}

bool memory_fetch(TranslateCpu *cpu, uint64_t address, uint64_t *phys, GuestPage *page)
{
    TranslateMap map;
    if (cpu->guest->direct_memory) {
        if (cpu->env.executable && !cpu->env.executable(cpu->env.opaque, address)) {
            trouble(cpu, address, TRANSLATE_FETCH, TRANSLATE_BUS_ERROR);
            return false;
        }
        *phys = address;
        page->host = NULL; /* see memory_copy */
        page->flags = NULL;
        page->writable = false;
        return true;
    }
    cpu->access_size = 1;
    if (!walk(cpu, address, TRANSLATE_FETCH, cpu->guest->fetch_mmu(cpu), &map))
        return false;
    *phys = map.phys;
    if (cpu->env.ram && cpu->env.ram(cpu->env.opaque, map.phys, page))
        return true;
    trouble(cpu, address, TRANSLATE_FETCH, TRANSLATE_BUS_ERROR);
    return false;
}

/* for helpers and walks */

bool translate_load(TranslateCpu *cpu, uint64_t address, IrMem mem, uint64_t *value)
{
    *value = memory_load(cpu, address, mem);
    return !cpu->fault_pending;
}

bool translate_store(TranslateCpu *cpu, uint64_t address, IrMem mem, uint64_t value)
{
    memory_store(cpu, address, mem, value);
    return !cpu->fault_pending;
}

bool translate_phys_load(TranslateCpu *cpu, uint64_t phys, IrMem mem, uint64_t *value)
{
    GuestPage page;
    unsigned size = ir_mem_bytes(mem);
    if (crosses(phys, size))
        return false;
    if (cpu->env.ram && cpu->env.ram(cpu->env.opaque, phys, &page)) {
        *value = finish_load(read_host(page.host + (phys & PAGE_MASK), size), mem);
        return true;
    }
    if (!cpu->env.load || !cpu->env.load(cpu->env.opaque, phys, size, value))
        return false;
    *value = finish_load(*value, mem);
    return true;
}

bool translate_phys_store(TranslateCpu *cpu, uint64_t phys, IrMem mem, uint64_t value)
{
    GuestPage page;
    unsigned size = ir_mem_bytes(mem);
    if (crosses(phys, size))
        return false;
    value = to_guest_order(value, mem);
    if (cpu->env.ram && cpu->env.ram(cpu->env.opaque, phys, &page) && page.writable) {
        write_host(page.host + (phys & PAGE_MASK), size, value);
        atomic_done(cpu, phys, page.flags, size);
        return true;
    }
    return cpu->env.store && cpu->env.store(cpu->env.opaque, phys, size, value);
}

bool translate_phys_cas(TranslateCpu *cpu, uint64_t phys, unsigned size, uint64_t expected,
                        uint64_t desired)
{
    GuestPage page;
    if ((size != 4 && size != 8) || !is_aligned(phys, size))
        return false;
    if (!cpu->env.ram || !cpu->env.ram(cpu->env.opaque, phys, &page) || !page.writable)
        return false;
    if (!host_cas(page.host + (phys & PAGE_MASK), size, &expected, desired))
        return false;
    atomic_done(cpu, phys, page.flags, size);
    return true;
}
