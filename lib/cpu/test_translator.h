/* SPDX-License-Identifier: MIT */
/*
 * For the tests of vCPUs and of what stands on them: a made-up translator. Its functions are
 * defined here, so that the real one is not linked. A "program" is a C function, step, that is
 * called as long as the CPU runs. The test supplies fake_isa.
 */
#pragma once

#include <string.h>

#include "cpu/cpu.h"

typedef struct Fake {
    TranslateCpu head;
    void (*step)(struct Fake *f);
    uint64_t arg;
    gint pending; /* interrupt lines */
    gint steps, idles, fences, flushes;
    /* a hart's */
    uint64_t a[8], id, fence_start, fence_size;
    uint8_t priv;
} Fake;

extern const GuestIsa fake_isa;

struct Translator {
    gint invalidated;
};

Translator *translate_new(const TranslateGuest *guest, const TranslateOptions *options,
                          GError **error)
{
    return g_new0(Translator, 1);
}

void translate_free(Translator *t)
{
    g_free(t);
}

TranslateCpu *translate_cpu_new(Translator *t, const GuestEnv *env, void *user)
{
    Fake *f = g_new0(Fake, 1);
    f->head.env = *env;
    f->head.user = user;
    f->head.guest = &fake_isa.translate;
    f->head.translator = t;
    return &f->head;
}

void translate_cpu_free(TranslateCpu *cpu)
{
    g_free(cpu);
}

void translate_kick(TranslateCpu *cpu)
{
    __atomic_store_n(&cpu->kicked, 1, __ATOMIC_SEQ_CST);
}

void translate_stop(TranslateCpu *cpu)
{
    __atomic_store_n(&cpu->stop, 1, __ATOMIC_SEQ_CST);
}

TranslateExit translate_run(TranslateCpu *cpu)
{
    Fake *f = (Fake *)cpu;
    while (!__atomic_load_n(&cpu->stop, __ATOMIC_SEQ_CST)) {
        if (cpu->idle) {
            cpu->env.idle(cpu->env.opaque);
            cpu->idle = !cpu->guest->wake(cpu) && !__atomic_load_n(&cpu->stop, __ATOMIC_SEQ_CST);
            g_atomic_int_inc(&f->idles);
            continue;
        }
        f->step(f);
        g_atomic_int_inc(&f->steps);
    }
    __atomic_store_n(&cpu->stop, 0, __ATOMIC_SEQ_CST);
    return TRANSLATE_STOPPED;
}

void translate_invalidate(Translator *t, uint64_t phys, uint64_t size)
{
    g_atomic_int_inc(&t->invalidated);
}

TranslateStats translate_stats(Translator *t)
{
    return (TranslateStats){.invalidated = (uint64_t)g_atomic_int_get(&t->invalidated)};
}

void translate_tlb_flush(TranslateCpu *cpu, unsigned mmu_mask, bool keep_global)
{
    g_atomic_int_inc(&((Fake *)cpu)->flushes);
}

void translate_tlb_flush_page(TranslateCpu *cpu, uint64_t address)
{
    g_atomic_int_inc(&((Fake *)cpu)->flushes);
}

uint32_t translate_tag_new(TranslateCpu *cpu)
{
    return 1;
}

static bool fake_wake(TranslateCpu *cpu)
{
    return g_atomic_int_get(&((Fake *)cpu)->pending) != 0;
}

static void fake_set_irq(TranslateCpu *cpu, unsigned line, bool level)
{
    Fake *f = (Fake *)cpu;
    if (level)
        g_atomic_int_or((guint *)&f->pending, 1u << line);
    else
        g_atomic_int_and((guint *)&f->pending, ~(1u << line));
}
