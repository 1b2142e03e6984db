/* SPDX-License-Identifier: MIT */
/*
 * A CPU's environment over a bus: GuestEnv's callbacks, the code and map hooks, and sleeping.
 *
 * Sleeping: the sleeper sets `idling`, then looks for reasons to stay awake, then waits; a waker
 * makes the reason, then looks at `idling`. Both sides are sequentially consistent, so one of
 * them sees the other.
 */
#include "cpu/cpu_priv.h"

static bool env_ram(void *opaque, uint64_t phys, GuestPage *out)
{
    Vcpu *v = opaque;
    BusRamRef ref;
    if (!bus_find_ram(v->group->space, phys, &ref))
        return false;
    *out = (GuestPage){ ref.host, ref.flags, ref.writable };
    return true;
}

static bool env_load(void *opaque, uint64_t phys, unsigned size, uint64_t *value)
{
    Vcpu *v = opaque;
    return bus_read(v->group->space, phys, size, value) == BUS_OK;
}

static bool env_store(void *opaque, uint64_t phys, unsigned size, uint64_t value)
{
    Vcpu *v = opaque;
    return bus_write(v->group->space, phys, value, size) == BUS_OK;
}

static uint64_t env_time(void *opaque)
{
    const CpuGroup *g = ((Vcpu *)opaque)->group;
    return (uint64_t)((unsigned __int128)bus_clock_now(g->clock) * g->hz / 1000000000u);
}

static void on_deadline(void *opaque)
{
    cpu_kick(opaque);
}

static void env_deadline(void *opaque, unsigned n, uint64_t when)
{
    Vcpu *v = opaque;
    CpuGroup *g = v->group;
    if (n >= CPU_DEADLINES)
        return;
    if (!v->timers[n])
        v->timers[n] = bus_timer_new(g->clock, on_deadline, v);
    unsigned __int128 ns = ((unsigned __int128)when * 1000000000u + g->hz - 1) / g->hz;
    bus_timer_set(v->timers[n], when == UINT64_MAX || ns > INT64_MAX ? INT64_MAX : (int64_t)ns);
}

static bool env_hypercall(void *opaque, TranslateCpu *cpu, uint32_t number)
{
    Vcpu *v = opaque;
    const CpuHooks *h = &v->group->hooks;
    return h->hypercall && h->hypercall(h->hypercall_opaque, v, number);
}

static void env_power(void *opaque, uint32_t what)
{
    Vcpu *v = opaque;
    const CpuHooks *h = &v->group->hooks;
    if (h->power)
        h->power(h->opaque, v, what);
}

static void flush_tlb(TranslateCpu *cpu, const void *arg)
{
    translate_tlb_flush(cpu, UINT32_MAX, false);
}

static void call_all(CpuGroup *g, Vcpu *from, CpuSetup fn, bool wait)
{
    g_autofree uint16_t *list = g_new(uint16_t, g->count);
    for (unsigned i = 0; i < g->count; i++)
        list[i] = (uint16_t)i;
    cpu_call(g, from, list, g->count, fn, NULL, 0, wait);
}

static void env_remote_fence(void *opaque, uint64_t start, uint64_t size)
{
    Vcpu *v = opaque;
    call_all(v->group, v, flush_tlb, true);
}

static void env_idle(void *opaque)
{
    cpu_idle(opaque);
}

void cpu_env(Vcpu *v, GuestEnv *env)
{
    *env = (GuestEnv){
        .opaque = v,
        .ram = env_ram,
        .load = env_load,
        .store = env_store,
        .time = env_time,
        .deadline = env_deadline,
        .hypercall = env_hypercall,
        .idle = env_idle,
        .power = env_power,
        .remote_fence = env_remote_fence,
    };
}

void cpu_timers_free(Vcpu *v)
{
    for (unsigned i = 0; i < CPU_DEADLINES; i++)
        g_clear_pointer(&v->timers[i], bus_timer_free);
}

void cpu_code_written(void *opaque, uint64_t phys, uint64_t len)
{
    CpuGroup *g = opaque;
    translate_invalidate(g->translator, phys, len);
}

void cpu_map_changed(void *opaque)
{
    call_all(opaque, NULL, flush_tlb, false);
}

/* ---- Sleeping and waking --------------------------------------------------- */

void cpu_idle(Vcpu *v)
{
    const TranslateGuest *guest = v->tc->guest;
    g_atomic_int_set(&v->idling, 1);
    if (!guest->wake(v->tc) && !g_atomic_int_get(&v->leave_idle)) {
        cpu_turn_give(v->group);
        g_mutex_lock(&v->idle_lock);
        while (!guest->wake(v->tc) && !g_atomic_int_get(&v->leave_idle))
            g_cond_wait(&v->idle_wake, &v->idle_lock);
        g_mutex_unlock(&v->idle_lock);
        cpu_turn_take(v->group);
    }
    g_atomic_int_set(&v->idling, 0);
    g_atomic_int_set(&v->leave_idle, 0);
}

void cpu_kick(Vcpu *v)
{
    g_atomic_int_set(&v->leave_idle, 1);
    translate_kick(v->tc);
    if (g_atomic_int_get(&v->idling)) {
        g_mutex_lock(&v->idle_lock);
        g_cond_broadcast(&v->idle_wake);
        g_mutex_unlock(&v->idle_lock);
    }
}

void cpu_set_irq(Vcpu *v, unsigned line, bool level)
{
    v->group->isa->set_irq(v->tc, line, level);
    if (level)
        cpu_kick(v);
}

static void irq_set(void *opaque, int n, bool level)
{
    const CpuIrqMode *mode = opaque;
    if (level || !mode->edge)
        cpu_set_irq(mode->v, (unsigned)n, level);
}

BusIrq cpu_irq(Vcpu *v, unsigned line, bool edge)
{
    return (BusIrq){ irq_set, edge ? &v->edge_irq : &v->level_irq, (int)line };
}
