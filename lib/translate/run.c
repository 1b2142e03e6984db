/* SPDX-License-Identifier: MIT */
/*
 * The run loop of one vCPU (find.c has how it finds code), and making and freeing translators and CPUs.
 *
 * The loop owns every slow decision: exceptions, interrupts, modes, finding or
 * making the region for an address, linking. Compiled code comes back here when
 * it meets an address it has no link for, when its tag is taken away
 * (translate_kick writes 0 into live_tag, which every guarded link, indirect
 * jump and backward jump compares), or when an instruction asks for it.
 */
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "base/error.h"
#include "base/log.h"
#include "translate/host/touch.h"
#include "translate/translate_priv.h"

Translator *translate_new(const TranslateGuest *guest, const TranslateOptions *options,
                          GError **error)
{
    Translator *t = g_new0(Translator, 1);
    t->guest = guest;
    if (options)
        t->options = *options;
    g_mutex_init(&t->lock);
    g_cond_init(&t->resumed);
    t->cpus = g_ptr_array_new();
    ir_builder_init(&t->builder, &guest->ir);
    ir_live_init(&t->live);
    if (t->options.accel != TRANSLATE_INTERP) {
#ifdef __x86_64__
        t->host = &x64_host;
#else
        if (t->options.accel == TRANSLATE_VERIFY) {
            fail(error, "no compiler for this host: -accel verify needs one");
            translate_free(t);
            return NULL;
        }
        t->options.accel = TRANSLATE_INTERP;
#endif
    }
    if (!cache_start(t, error) || (t->host && !t->host->start(t, error))) {
        translate_free(t);
        return NULL;
    }
    t->code.start = t->code.used;
    return t;
}

void translate_free(Translator *t)
{
    if (!t)
        return;
    cache_stop(t);
    learn_stop(t);
    ir_builder_clear(&t->builder);
    ir_live_clear(&t->live);
    g_ptr_array_free(t->cpus, TRUE);
    g_free(t->host_data);
    g_mutex_clear(&t->lock);
    g_cond_clear(&t->resumed);
    g_free(t);
}

static size_t cpu_bytes(const TranslateGuest *g)
{
    return (g->cpu_size + PAGE_MASK) & ~PAGE_MASK;
}

TranslateCpu *translate_cpu_new(Translator *t, const GuestEnv *env, void *user)
{
    TranslateCpu *cpu =
        mmap(NULL, cpu_bytes(t->guest), PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    g_assert(cpu != MAP_FAILED);
    cpu->guest = t->guest;
    cpu->translator = t;
    cpu->env = *env;
    cpu->user = user;
    cpu->mxcsr = 0x1f80;
    cpu->fp = t->guest->fp;
    cpu->tag = translate_tag_new(cpu);
    cpu->jump_table = mmap(NULL, TRANSLATE_JUMPS * sizeof(TranslateJump), PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    g_assert(cpu->jump_table != MAP_FAILED);
    if (t->options.accel != TRANSLATE_JIT)
        cpu->values = g_new0(IrValue, IR_MAX_OPS + 8);
    memory_start(cpu);
    if (t->options.accel == TRANSLATE_VERIFY)
        verify_start(cpu);
    g_mutex_lock(&t->lock);
    cpu->index = t->cpus->len;
    g_ptr_array_add(t->cpus, cpu);
    g_mutex_unlock(&t->lock);
    return cpu;
}

static void free_cpu(TranslateCpu *cpu)
{
    verify_free(cpu);
    g_free(cpu->values);
    munmap(cpu->jump_table, TRANSLATE_JUMPS * sizeof(TranslateJump));
    munmap(cpu, cpu_bytes(cpu->guest));
}

void translate_cpu_free(TranslateCpu *cpu)
{
    if (!cpu)
        return;
    Translator *t = cpu->translator;
    g_mutex_lock(&t->lock);
    g_ptr_array_remove(t->cpus, cpu);
    g_mutex_unlock(&t->lock);
    free_cpu(cpu);
}

void translate_kick(TranslateCpu *cpu)
{
    __atomic_store_n(&cpu->kicked, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&cpu->live_tag, 0, __ATOMIC_SEQ_CST);
}

void translate_stop(TranslateCpu *cpu)
{
    __atomic_store_n(&cpu->stop, 1, __ATOMIC_SEQ_CST);
    translate_kick(cpu);
}

uint32_t translate_tag_new(TranslateCpu *cpu)
{
    Translator *t = cpu->translator;
    uint32_t tag = __atomic_add_fetch(&t->last_tag, 1, __ATOMIC_SEQ_CST);
    if (tag >=
        UINT32_MAX -
            1) { /* all were used: at the next stop forget everything that was known under them */
        __atomic_store_n(&t->last_tag, 1, __ATOMIC_SEQ_CST);
        __atomic_store_n(&t->tags_ran_out, 1, __ATOMIC_SEQ_CST);
        return 1;
    }
    return tag;
}

uint64_t translate_pc(TranslateCpu *cpu)
{
    Translator *t = cpu->translator;
    if (!cpu->in_code)
        return cpu->pc;
    if (!t->host || (cpu->verify && cpu->in_code == 2))
        return cpu->insn_pc;
    uint32_t at = (uint32_t)(cpu->fault_host_pc - (uint64_t)(uintptr_t)t->code.run) - 1;
    g_mutex_lock(&t->lock);
    const Region *r = cache_region_at(t, at);
    uint64_t base = 0;
    if (r)
        base = (t->guest->direct_memory ? r->phys : cpu->pc_base + r->in_page) +
               (uint64_t)(int64_t)region_point(r, at - r->entry);
    g_mutex_unlock(&t->lock);
    return base;
}

uint64_t link_target(const TranslateCpu *cpu, const Link *link)
{
    if (cpu->guest->direct_memory)
        return (link->from->phys & ~PAGE_MASK) + (uint64_t)link->page + link->offset;
    return cpu->pc_base + link->offset; /* the exit has moved pc_base to the target's page */
}

/* FP environment: sticky bits and rounding are kept as x86's MXCSR has them. */

unsigned translate_fp_flags(TranslateCpu *cpu)
{
    uint32_t m = cpu->mxcsr;
    return (m & 1) | (m >> 1 & 30) |
           (cpu->fp.denormal_flag ? m << 4 & 32 : (uint32_t)cpu->fp_denormal << 5);
}

void translate_fp_set_flags(TranslateCpu *cpu, unsigned flags)
{
    cpu->mxcsr = (cpu->mxcsr & ~0x3fu) | (flags & 1) | (flags & 30) << 1 |
                 (cpu->fp.denormal_flag ? flags >> 4 & 2 : 0);
    cpu->fp_denormal = !cpu->fp.denormal_flag && flags & TRANSLATE_FP_DENORMAL;
}

void translate_fp_set_round(TranslateCpu *cpu, IrRound round)
{
    static const uint8_t rc[] = {
        [IR_RNE] = 0, [IR_RTZ] = 3, [IR_RDN] = 1, [IR_RUP] = 2, [IR_RMM] = 0};
    cpu->round = round;
    cpu->mxcsr = (cpu->mxcsr & ~0x6000u) | (uint32_t)rc[round] << 13;
}

/* After the mode has changed. What is flushed in C alone is so without MXCSR. */
static void fp_enter_mode(TranslateCpu *cpu)
{
    cpu->fp = translate_fp_rules(cpu->guest, cpu->mode);
    cpu->mxcsr &= ~0x8040u;
    if (translate_fp_is_sse(&cpu->fp))
        cpu->mxcsr |= (cpu->fp.flush_inputs ? 0x40u : 0) | (cpu->fp.flush_outputs ? 0x8000u : 0);
    else if (translate_fp_flushes(&cpu->fp))
        cpu->mxcsr |= 0x8040u;
}

/* stopping the world, to reset the cache */

static void enter_code(TranslateCpu *cpu, uint32_t how)
{
    Translator *t = cpu->translator;
    for (;;) {
        __atomic_store_n(&cpu->in_code, how, __ATOMIC_SEQ_CST);
        if (!__atomic_load_n(&t->flushing, __ATOMIC_SEQ_CST))
            return;
        __atomic_store_n(&cpu->in_code, 0, __ATOMIC_SEQ_CST);
        g_mutex_lock(&t->lock);
        while (t->flushing)
            g_cond_wait(&t->resumed, &t->lock);
        g_mutex_unlock(&t->lock);
    }
}

static void leave_code(TranslateCpu *cpu)
{
    __atomic_store_n(&cpu->in_code, 0, __ATOMIC_SEQ_CST);
}

/* False: no CPU is in code. With the lock held. */
static bool kick_running(Translator *t)
{
    bool any = false;
    for (guint i = 0; i < t->cpus->len; i++) {
        TranslateCpu *other = t->cpus->pdata[i];
        if (!__atomic_load_n(&other->in_code, __ATOMIC_SEQ_CST))
            continue;
        translate_kick(other);
        any = true;
    }
    return any;
}

void flush_all(TranslateCpu *cpu)
{
    Translator *t = cpu->translator;
    g_mutex_lock(&t->lock);
    if (t->flushing) { /* somebody else does it */
        while (t->flushing)
            g_cond_wait(&t->resumed, &t->lock);
        g_mutex_unlock(&t->lock);
        return;
    }
    t->flushing = 1;
    while (kick_running(t)) { /* CPUs may come and go meanwhile */
        g_mutex_unlock(&t->lock);
        g_usleep(20);
        g_mutex_lock(&t->lock);
    }
    cache_reset(t);
    __atomic_store_n(&t->flushing, 0, __ATOMIC_SEQ_CST);
    g_cond_broadcast(&t->resumed);
    g_mutex_unlock(&t->lock);
}

#define GUARD_MISSES 8

/* The last exit was through a link: make it lead to r, which is where it went. */
static void link_exit(TranslateCpu *cpu, uint32_t index, Region *r, uint64_t flushes)
{
    Translator *t = cpu->translator;
    g_mutex_lock(&t->lock);
    Link *link = &t->links[index];
    if (flushes != t->count.flushes) {
        /* both are gone */
    } else if (!link->from->dead && !r->dead && link->from->mode == r->mode &&
               link->misses < GUARD_MISSES) {
        if (link->guard && link->to)
            link->misses++;
        cpu->count.links++;
        cache_link(t, link, r, cpu->tag);
    } else if (link->misses == GUARD_MISSES) {
        link->misses++;
        t->host->patch(t, link, NULL, 1); /* from now on through the jump table */
    }
    g_mutex_unlock(&t->lock);
}

static void log_entry(TranslateCpu *cpu)
{
    log_line(LOG_EXEC, "run %u: pc %#" G_GINT64_MODIFIER "x mode %#" G_GINT64_MODIFIER "x",
             cpu->index, cpu->pc, cpu->mode);
    if (log_enabled(LOG_CPU) && cpu->guest->dump) {
        g_autoptr(GString) s = g_string_new(NULL);
        cpu->guest->dump(cpu, s);
        log_text(LOG_CPU, s->str);
    }
}

/*
 * Runs r, which starts at cpu->pc; or what is compiled for cpu->pc at code offset `entry`, and r is
 * NULL. flushes: the number of cache resets when it was found; another since, and r is gone.
 */
static ExitReason run_code(TranslateCpu *cpu, Region *r, uint32_t entry, uint64_t flushes)
{
    Translator *t = cpu->translator;
    ExitReason reason;
    if (log_enabled(LOG_EXEC | LOG_CPU))
        log_entry(cpu);
    enter_code(cpu, t->options.accel == TRANSLATE_JIT ? 1 : 2);
    if (flushes != __atomic_load_n(&t->count.flushes, __ATOMIC_SEQ_CST)) {
        reason = EXIT_MISS; /* r went with a reset */
    } else if (!t->host) {
        reason = interp_run(cpu, r);
    } else if (t->options.accel == TRANSLATE_VERIFY) {
        reason = verify_run(cpu, r);
    } else {
        cpu->pc_base = cpu->pc & ~PAGE_MASK;
        reason = t->host->run(cpu, r ? r->entry : entry);
        if (reason == EXIT_FAULT)
            cpu->pc = translate_pc(cpu);
        else if (reason == EXIT_LINK)
            cpu->pc = link_target(cpu, &t->links[cpu->exit_info]);
        else if (reason == EXIT_RAISE)
            reason = EXIT_FAULT;
    }
    leave_code(cpu);
    cpu->count.exits++;
    return reason;
}

/* Exceptions, interrupts, idling, the mode: all that stands between two stretches of code. */
static void settle(TranslateCpu *cpu)
{
    if (cpu->fault_pending) {
        cpu->fault_pending = 0;
        cpu->guest->raise(cpu, cpu->fault);
    }
    __atomic_store_n(&cpu->kicked, 0, __ATOMIC_SEQ_CST);
    cpu->guest->interrupt(cpu);
    if (cpu->idle) {
        while (!__atomic_load_n(&cpu->stop, __ATOMIC_SEQ_CST) && !cpu->guest->wake(cpu) &&
               cpu->env.idle)
            cpu->env.idle(cpu->env.opaque);
        cpu->idle = false;
        __atomic_store_n(&cpu->kicked, 0, __ATOMIC_SEQ_CST);
        cpu->guest->interrupt(cpu);
    }
    cpu->guest->mode(cpu);
    if (cpu->guest->fp_rules)
        fp_enter_mode(cpu);
}

/* The same in user mode: exceptions and signals are the environment's. */
static void settle_direct(TranslateCpu *cpu)
{
    bool due = cpu->fault_pending;
    if (due) {
        cpu->fault_pending = 0;
        if (cpu->guest->raise)
            cpu->guest->raise(cpu, cpu->fault);
        else
            cpu->env.exception(cpu->env.opaque, cpu, cpu->fault.exception, cpu->fault.value);
    }
    due |= __atomic_exchange_n(&cpu->kicked, 0, __ATOMIC_SEQ_CST);
    if (due && cpu->env.attention)
        cpu->env.attention(cpu->env.opaque, cpu);
    cpu->guest->mode(cpu);
    if (cpu->guest->fp_rules)
        fp_enter_mode(cpu);
}

/* One stretch of code, and others as long as there are only links to make. */
static ExitReason run_on(TranslateCpu *cpu, bool settled)
{
    Translator *t = cpu->translator;
    uint64_t flushes = __atomic_load_n(&t->count.flushes, __ATOMIC_SEQ_CST);
    /* after a system call it is mostly known where to go on */
    uint32_t entry = settled ? find_known(cpu) : 0;
    ExitReason reason;
    if (entry) {
        reason = run_code(cpu, NULL, entry, flushes);
    } else {
        Region *r = find_region(cpu, false);
        cpu->count.misses++;
        if (!r)
            return cpu->fault_pending ? EXIT_FAULT : EXIT_MISS;
        reason = run_code(cpu, r, 0, flushes);
    }
    while (reason == EXIT_LINK && !__atomic_load_n(&cpu->kicked, __ATOMIC_SEQ_CST)) {
        uint32_t index = (uint32_t)cpu->exit_info;
        __atomic_store_n(&cpu->live_tag, cpu->tag, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&cpu->kicked, __ATOMIC_SEQ_CST))
            break;
        Region *r = find_region(cpu, true);
        cpu->count.misses++;
        if (!r)
            break;
        link_exit(cpu, index, r, flushes);
        reason = run_code(cpu, r, 0, flushes);
    }
    return cpu->fault_pending ? EXIT_FAULT : reason;
}

TranslateExit translate_run(TranslateCpu *cpu)
{
    Translator *t = cpu->translator;
    bool unsettled = true, settled;
    while (!__atomic_load_n(&cpu->stop, __ATOMIC_SEQ_CST)) {
        settled = unsettled || __atomic_load_n(&cpu->kicked, __ATOMIC_SEQ_CST);
        if (settled && cpu->guest->direct_memory)
            settle_direct(cpu);
        else if (settled)
            settle(cpu);
        unsettled = false;
        __atomic_store_n(&cpu->live_tag, cpu->tag, __ATOMIC_SEQ_CST);
        /* the kick of a stop asked for during settle is gone, the stop is not */
        if (__atomic_load_n(&cpu->kicked, __ATOMIC_SEQ_CST) ||
            __atomic_load_n(&cpu->stop, __ATOMIC_SEQ_CST))
            continue;
        if (G_UNLIKELY(__atomic_load_n(&t->tags_ran_out, __ATOMIC_SEQ_CST)) &&
            __atomic_exchange_n(&t->tags_ran_out, 0, __ATOMIC_SEQ_CST))
            flush_all(cpu);
        ExitReason reason = run_on(cpu, settled && cpu->guest->direct_memory);
        unsettled = reason == EXIT_FAULT || reason == EXIT_MODE;
    }
    __atomic_store_n(&cpu->stop, 0, __ATOMIC_SEQ_CST);
    return TRANSLATE_STOPPED;
}

/* user mode */

bool translate_host_fault(TranslateCpu *cpu, void *ucontext)
{
#ifdef __x86_64__
    const Translator *t = cpu->translator;
    greg_t *regs = ((ucontext_t *)ucontext)->uc_mcontext.gregs, *pc = &regs[REG_RIP];
    uint64_t fixup = touch_fixup((uint64_t)*pc);
    /* the host says no address but with a page fault, not for one that no address can be */
    uint64_t address = regs[REG_TRAPNO] == 14
                           ? (uint64_t)regs[REG_CR2] - t->options.memory_base
                           : 0;
    if (fixup) {
        *pc = (greg_t)fixup;
        cpu->touch_address = address;
        return true;
    }
    return cpu->in_code && t->host && t->host->fault(cpu, (uint64_t)*pc, address, ucontext);
#else
    return false;
#endif
}

void translate_fork_prepare(Translator *t)
{
    g_mutex_lock(&t->lock);
    while (t->flushing)
        g_cond_wait(&t->resumed, &t->lock);
    cache_copy(t);
}

void translate_fork_parent(Translator *t)
{
    cache_drop_copy(t);
    g_mutex_unlock(&t->lock);
}

bool translate_fork_child(Translator *t, TranslateCpu *self, GError **error)
{
    bool ok = cache_take_copy(t, error);
    learn_child(t);
    for (guint i = 0; i < t->cpus->len; i++)
        if (t->cpus->pdata[i] != self)
            free_cpu(t->cpus->pdata[i]);
    g_ptr_array_set_size(t->cpus, 0);
    g_ptr_array_add(t->cpus, self);
    self->index = 0;
    g_mutex_unlock(&t->lock);
    return ok;
}

void translate_describe(TranslateCpu *cpu, GString *out)
{
    Translator *t = cpu->translator;
    g_string_append_printf(out,
                           "cpu %u pc %#" G_GINT64_MODIFIER "x mode %#" G_GINT64_MODIFIER
                           "x tag %u: %" G_GINT64_MODIFIER "u exits, %" G_GINT64_MODIFIER
                           "u lookups, %" G_GINT64_MODIFIER "u links, %" G_GINT64_MODIFIER
                           "u slow loads, %" G_GINT64_MODIFIER "u slow stores\n",
                           cpu->index, cpu->pc, cpu->mode, cpu->tag, cpu->count.exits,
                           cpu->count.misses, cpu->count.links, cpu->count.slow_loads,
                           cpu->count.slow_stores);
    g_string_append_printf(out,
                           "translator: %" G_GINT64_MODIFIER "u regions, %" G_GINT64_MODIFIER
                           "u guest bytes, %zu code bytes, %" G_GINT64_MODIFIER
                           "u invalidated, %" G_GINT64_MODIFIER "u resets\n",
                           t->count.translated, t->count.guest_bytes, t->code.used,
                           t->count.invalidated, t->count.flushes);
}
