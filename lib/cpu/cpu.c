/* SPDX-License-Identifier: MIT */
/*
 * Groups and threads. A CPU's thread loops: do the work left for it, wait while it is off or
 * the group is paused, set it up if it was just turned on, run guest code until somebody asks
 * it to stop (translate_stop), which is done for every change of what the loop looks at.
 */
#include "base/error.h"
#include "cpu/cpu_priv.h"

#include <string.h>

#define SLICE_NS (10 * 1000 * 1000)

/* ---- accel single: turns --------------------------------------------------- */

static void on_slice(void *opaque)
{
    CpuGroup *g = opaque;
    g_mutex_lock(&g->turn_lock);
    bool contended = g->turn_waiting;
    g_mutex_unlock(&g->turn_lock);
    if (!contended)
        return;
    /* The others are not in guest code: stopping them costs nothing. */
    for (unsigned i = 0; i < g->count; i++)
        translate_stop(g->cpus[i].tc);
}

void cpu_turn_take(CpuGroup *g)
{
    if (!g->accel.single)
        return;
    g_mutex_lock(&g->turn_lock);
    g->turn_waiting++;
    if (g->turn_taken)
        bus_timer_set(g->slice, bus_clock_now(g->clock) + SLICE_NS);
    while (g->turn_taken)
        g_cond_wait(&g->turn_free, &g->turn_lock);
    g->turn_taken = true;
    if (--g->turn_waiting)
        bus_timer_set(g->slice, bus_clock_now(g->clock) + SLICE_NS);
    g_mutex_unlock(&g->turn_lock);
}

void cpu_turn_give(CpuGroup *g)
{
    if (!g->accel.single)
        return;
    g_mutex_lock(&g->turn_lock);
    g->turn_taken = false;
    g_cond_signal(&g->turn_free);
    g_mutex_unlock(&g->turn_lock);
}

/* ---- Threads --------------------------------------------------------------- */

/* Under the lock. */
static void do_work(Vcpu *v)
{
    for (guint i = 0; i < v->work->len; i++) {
        CpuWork *w = &g_array_index(v->work, CpuWork, i);
        w->fn(v->tc, w->arg);
        if (w->left)
            --*w->left;
    }
    if (v->work->len)
        g_cond_broadcast(&v->group->moved);
    g_array_set_size(v->work, 0);
}

static gpointer vcpu_thread(gpointer opaque)
{
    Vcpu *v = opaque;
    CpuGroup *g = v->group;
    g_mutex_lock(&g->lock);
    while (!g->quit) {
        do_work(v);
        if (g->paused || !v->on) {
            v->running = false;
            g_cond_broadcast(&g->moved);
            g_cond_wait(&v->wake, &g->lock);
            continue;
        }
        if (v->setup_set) {
            v->setup_set = false;
            v->setup.fn(v->tc, v->setup.arg);
        }
        v->running = true;
        g_mutex_unlock(&g->lock);
        cpu_turn_take(g);
        translate_run(v->tc);
        cpu_turn_give(g);
        g_mutex_lock(&g->lock);
    }
    v->running = false;
    do_work(v);
    g_cond_broadcast(&g->moved);
    g_mutex_unlock(&g->lock);
    return NULL;
}

/* Has the thread look at its state again. Under the lock. */
static void nudge(Vcpu *v)
{
    translate_stop(v->tc);
    cpu_kick(v);
    g_cond_signal(&v->wake);
}

/* ---- Groups ---------------------------------------------------------------- */

static bool check_count(const CpuGroup *g, GError **error)
{
    if (!g->count || g->count > 1024)
        return fail_usage(error, "%u CPUs: 1 to 1024 can be had", g->count);
    if (g->accel.accel == TRANSLATE_VERIFY && g->count > 1)
        return fail_usage(error, "-accel verify runs one CPU only (-smp 1)");
    return true;
}

CpuGroup *cpu_group_new(const GuestIsa *isa, unsigned count, const char *model,
                        const CpuAccel *accel, GError **error)
{
    CpuGroup *g = g_new0(CpuGroup, 1);
    TranslateOptions options = { .accel = accel->accel, .code_size = accel->code_size };
    g->isa = isa;
    g->accel = *accel;
    g->count = count;
    g->paused = true;
    g_mutex_init(&g->lock);
    g_cond_init(&g->moved);
    g_mutex_init(&g->turn_lock);
    g_cond_init(&g->turn_free);
    if (!check_count(g, error) ||
        !(g->translator = translate_new(&isa->translate, &options, error))) {
        g->count = 0;
        cpu_group_free(g);
        return NULL;
    }
    g->cpus = g_new0(Vcpu, count);
    for (unsigned i = 0; i < count; i++) {
        Vcpu *v = &g->cpus[i];
        GuestEnv env;
        v->group = g;
        v->index = i;
        v->level_irq = (CpuIrqMode){ v, false };
        v->edge_irq = (CpuIrqMode){ v, true };
        g_cond_init(&v->wake);
        g_mutex_init(&v->idle_lock);
        g_cond_init(&v->idle_wake);
        v->work = g_array_new(FALSE, FALSE, sizeof(CpuWork));
        cpu_env(v, &env);
        v->tc = translate_cpu_new(g->translator, &env, v);
        if (!isa->configure(v->tc, model, error)) {
            g->count = i + 1;
            cpu_group_free(g);
            return NULL;
        }
    }
    return g;
}

void cpu_group_end(CpuGroup *g)
{
    if (!g)
        return;
    g_mutex_lock(&g->lock);
    g->quit = true;
    for (unsigned i = 0; i < g->count; i++) {
        if (g->cpus[i].thread)
            nudge(&g->cpus[i]);
    }
    g_mutex_unlock(&g->lock);
    for (unsigned i = 0; i < g->count; i++) {
        if (g->cpus[i].thread)
            g_thread_join(g->cpus[i].thread);
        g->cpus[i].thread = NULL;
        cpu_timers_free(&g->cpus[i]);
    }
    if (g->space) {
        bus_set_code_hook(g->space, NULL, NULL);
        bus_set_map_hook(g->space, NULL, NULL);
        g->space = NULL;
    }
    g_clear_pointer(&g->slice, bus_timer_free);
}

void cpu_group_free(CpuGroup *g)
{
    if (!g)
        return;
    cpu_group_end(g);
    for (unsigned i = 0; i < g->count; i++) {
        Vcpu *v = &g->cpus[i];
        translate_cpu_free(v->tc);
        g_array_unref(v->work);
        g_cond_clear(&v->wake);
        g_mutex_clear(&v->idle_lock);
        g_cond_clear(&v->idle_wake);
    }
    translate_free(g->translator);
    g_mutex_clear(&g->lock);
    g_cond_clear(&g->moved);
    g_mutex_clear(&g->turn_lock);
    g_cond_clear(&g->turn_free);
    g_free(g->cpus);
    g_free(g);
}

void cpu_group_connect(CpuGroup *g, BusSpace *space, BusClock *clock, uint64_t hz,
                       const CpuHooks *hooks)
{
    g->space = space;
    g->clock = clock;
    g->hz = hz;
    if (hooks)
        g->hooks = *hooks;
    if (g->accel.single)
        g->slice = bus_timer_new(clock, on_slice, g);
    bus_set_code_hook(space, cpu_code_written, g);
    bus_set_map_hook(space, cpu_map_changed, g);
}

void cpu_group_set_hypercall(CpuGroup *g, bool (*hypercall)(void *, Vcpu *, uint32_t),
                             void *opaque)
{
    g->hooks.hypercall = hypercall;
    g->hooks.hypercall_opaque = opaque;
}

bool cpu_group_start(CpuGroup *g, GError **error)
{
    for (unsigned i = 0; i < g->count; i++) {
        g_autofree char *name = g_strdup_printf("cpu %u", i);
        g->cpus[i].thread = g_thread_try_new(name, vcpu_thread, &g->cpus[i], error);
        if (!g->cpus[i].thread)
            return prefix(error, "cannot start a thread for CPU %u", i);
    }
    return true;
}

void cpu_group_halt(CpuGroup *g)
{
    g_mutex_lock(&g->lock);
    g->paused = true;
    for (unsigned i = 0; i < g->count; i++)
        nudge(&g->cpus[i]);
    g_mutex_unlock(&g->lock);
}

static bool any_running(const CpuGroup *g)
{
    for (unsigned i = 0; i < g->count; i++) {
        if (g->cpus[i].running)
            return true;
    }
    return false;
}

void cpu_group_pause(CpuGroup *g)
{
    cpu_group_halt(g);
    g_mutex_lock(&g->lock);
    while (any_running(g))
        g_cond_wait(&g->moved, &g->lock);
    g_mutex_unlock(&g->lock);
}

void cpu_group_resume(CpuGroup *g)
{
    g_mutex_lock(&g->lock);
    g->paused = false;
    for (unsigned i = 0; i < g->count; i++)
        g_cond_signal(&g->cpus[i].wake);
    g_mutex_unlock(&g->lock);
}

bool cpu_group_is_paused(CpuGroup *g)
{
    g_mutex_lock(&g->lock);
    bool paused = g->paused;
    g_mutex_unlock(&g->lock);
    return paused;
}

TranslateStats cpu_group_stats(CpuGroup *g)
{
    return translate_stats(g->translator);
}

unsigned cpu_group_count(const CpuGroup *g)
{
    return g->count;
}

const GuestIsa *cpu_group_isa(const CpuGroup *g)
{
    return g->isa;
}

BusClock *cpu_group_clock(const CpuGroup *g)
{
    return g->clock;
}

uint64_t cpu_group_hz(const CpuGroup *g)
{
    return g->hz;
}

Vcpu *cpu_group_cpu(CpuGroup *g, unsigned n)
{
    return n < g->count ? &g->cpus[n] : NULL;
}

/* ---- One CPU ---------------------------------------------------------------- */

unsigned cpu_index(const Vcpu *v)
{
    return v->index;
}

CpuGroup *cpu_group_of(const Vcpu *v)
{
    return v->group;
}

TranslateCpu *cpu_state(Vcpu *v)
{
    return v->tc;
}

CpuPower cpu_power(Vcpu *v)
{
    g_mutex_lock(&v->group->lock);
    CpuPower p = v->on ? v->setup_set ? CPU_ON_PENDING : CPU_ON
                       : v->running ? CPU_OFF_PENDING : CPU_OFF;
    g_mutex_unlock(&v->group->lock);
    return p;
}

bool cpu_on(Vcpu *v, CpuSetup setup, const void *arg, size_t size)
{
    g_assert(size <= CPU_ARG_MAX);
    g_mutex_lock(&v->group->lock);
    bool was_off = !v->on && !v->running;
    if (was_off) {
        v->on = true;
        v->setup_set = true;
        v->setup.fn = setup;
        if (size)
            memcpy(v->setup.arg, arg, size);
        g_cond_signal(&v->wake);
    }
    g_mutex_unlock(&v->group->lock);
    return was_off;
}

void cpu_off(Vcpu *v)
{
    g_mutex_lock(&v->group->lock);
    v->on = false;
    nudge(v);
    g_mutex_unlock(&v->group->lock);
}

void cpu_group_all_off(CpuGroup *g)
{
    g_mutex_lock(&g->lock);
    g_assert(g->paused && !any_running(g));
    for (unsigned i = 0; i < g->count; i++) {
        Vcpu *v = &g->cpus[i];
        v->on = false;
        v->setup_set = false;
        for (unsigned n = 0; n < CPU_DEADLINES; n++) {
            if (v->timers[n])
                bus_timer_cancel(v->timers[n]);
        }
    }
    g_mutex_unlock(&g->lock);
}

void cpu_call(CpuGroup *g, Vcpu *from, const uint16_t *list, size_t count, CpuSetup fn,
              const void *arg, size_t size, bool wait)
{
    CpuWork w = { .fn = fn };
    unsigned left = 0;
    bool own = false;
    g_assert(size <= CPU_ARG_MAX);
    if (size)
        memcpy(w.arg, arg, size);
    g_mutex_lock(&g->lock);
    for (size_t i = 0; i < count; i++) {
        Vcpu *v = cpu_group_cpu(g, list[i]);
        if (!v || !v->thread)
            continue;
        if (v == from) {
            own = true;
            continue;
        }
        w.left = wait && v->running ? &left : NULL;
        left += w.left != NULL;
        g_array_append_val(v->work, w);
        if (v->running)
            nudge(v);
        else
            g_cond_signal(&v->wake); /* so that work does not pile up */
    }
    g_cond_broadcast(&g->moved); /* a target may itself be waiting in here */
    if (own)
        fn(from->tc, w.arg);
    if (left) {
        if (from) {
            g_mutex_unlock(&g->lock);
            cpu_turn_give(g);
            g_mutex_lock(&g->lock);
        }
        while (left) {
            if (from)
                do_work(from);
            if (left)
                g_cond_wait(&g->moved, &g->lock);
        }
        g_mutex_unlock(&g->lock);
        if (from)
            cpu_turn_take(g);
        return;
    }
    g_mutex_unlock(&g->lock);
}
