/* SPDX-License-Identifier: MIT */
/*
 * Groups and threads over a made-up translator.
 */
#include "base/error.h"
#include "cpu/test_translator.h"

#include <string.h>

/* ---- The ISA ------------------------------------------------------------------ */

static bool fake_configure(TranslateCpu *cpu, const char *spec, GError **error)
{
    return !spec || !strcmp(spec, "good") || fail_usage(error, "no model '%s'", spec);
}

const GuestIsa fake_isa = {
    .name = "fake",
    .configure = fake_configure,
    .set_irq = fake_set_irq,
    .translate = { .cpu_size = sizeof(Fake), .wake = fake_wake },
};

/* ---- A machine ------------------------------------------------------------------- */

#define CPUS 3

typedef struct {
    BusSpace *space;
    BusClock *clock;
    CpuGroup *group;
    gint calls;
} World;

static Fake *fake(World *w, unsigned n)
{
    return (Fake *)cpu_state(cpu_group_cpu(w->group, n));
}

static bool hypercall(void *opaque, Vcpu *cpu, uint32_t number)
{
    World *w = opaque;
    g_atomic_int_inc(&w->calls);
    if (number == 1)
        cpu_off(cpu);
    return number != 7;
}

static void world_init(World *w, bool single)
{
    CpuAccel accel = { .single = single };
    w->calls = 0;
    w->space = bus_space_new("memory", false);
    g_assert_nonnull(bus_ram_new(w->space, "ram", 0x1000, 0x4000, 0, 0, NULL));
    w->clock = bus_clock_new();
    w->group = cpu_group_new(&fake_isa, CPUS, "good", &accel, NULL);
    g_assert_nonnull(w->group);
    cpu_group_connect(w->group, w->space, w->clock, 10000000, NULL);
    cpu_group_set_hypercall(w->group, hypercall, w);
    g_assert_true(cpu_group_start(w->group, NULL));
    bus_clock_start(w->clock);
}

static void world_clear(World *w)
{
    cpu_group_end(w->group);
    bus_clock_free(w->clock);
    bus_space_free(w->space);
    cpu_group_free(w->group);
}

static void wait_until(bool (*done)(World *w), World *w)
{
    gint64 end = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;
    while (!done(w)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(500);
    }
}

static void step_spin(Fake *f)
{
    g_thread_yield();
}

static void step_idle(Fake *f)
{
    f->head.idle = true;
}

static void step_off(Fake *f)
{
    g_assert_true(f->head.env.hypercall(f->head.env.opaque, &f->head, 1));
}

typedef struct {
    void (*step)(Fake *f);
    uint64_t arg;
} Setup;

static void setup_cpu(TranslateCpu *cpu, const void *arg)
{
    const Setup *s = arg;
    ((Fake *)cpu)->step = s->step;
    ((Fake *)cpu)->arg = s->arg;
}

static bool turn_on(World *w, unsigned n, void (*step)(Fake *f))
{
    Setup s = { step, n };
    return cpu_on(cpu_group_cpu(w->group, n), setup_cpu, &s, sizeof s);
}

/* ---- Tests -------------------------------------------------------------------------- */

static bool all_stepped(World *w)
{
    return g_atomic_int_get(&fake(w, 0)->steps) > 100 &&
           g_atomic_int_get(&fake(w, 1)->steps) > 100 && g_atomic_int_get(&fake(w, 2)->steps) > 100;
}

static void test_run_pause(gconstpointer single)
{
    World w;
    world_init(&w, GPOINTER_TO_INT(single));
    for (unsigned i = 0; i < CPUS; i++) {
        g_assert_cmpint(cpu_power(cpu_group_cpu(w.group, i)), ==, CPU_OFF);
        g_assert_true(turn_on(&w, i, step_spin));
        g_assert_false(turn_on(&w, i, step_spin));
        g_assert_cmpint(cpu_power(cpu_group_cpu(w.group, i)), ==, CPU_ON_PENDING);
    }
    g_assert_cmpint(fake(&w, 0)->steps, ==, 0); /* paused from the start */
    cpu_group_resume(w.group);
    wait_until(all_stepped, &w);
    for (int round = 0; round < 50; round++) {
        cpu_group_pause(w.group);
        gint before = g_atomic_int_get(&fake(&w, 1)->steps);
        g_usleep(200);
        g_assert_cmpint(g_atomic_int_get(&fake(&w, 1)->steps), ==, before);
        cpu_group_resume(w.group);
    }
    cpu_group_pause(w.group);
    cpu_group_all_off(w.group);
    g_assert_cmpint(cpu_power(cpu_group_cpu(w.group, 2)), ==, CPU_OFF);
    world_clear(&w);
}

static bool first_is_off(World *w)
{
    return cpu_power(cpu_group_cpu(w->group, 0)) == CPU_OFF;
}

static void test_off_and_on(void)
{
    World w;
    world_init(&w, false);
    cpu_group_resume(w.group);
    for (int round = 1; round <= 200; round++) {
        g_assert_true(turn_on(&w, 0, step_off));
        wait_until(first_is_off, &w);
        g_assert_cmpint(w.calls, ==, round); /* the call was its last instruction */
    }
    world_clear(&w);
}

static bool idles(World *w)
{
    return g_atomic_int_get(&fake(w, 0)->idles) > 0;
}

static void test_idle_irq(void)
{
    World w;
    world_init(&w, false);
    Fake *f = fake(&w, 0);
    Vcpu *v = cpu_group_cpu(w.group, 0);
    turn_on(&w, 0, step_idle);
    cpu_group_resume(w.group);
    while (g_atomic_int_get(&f->steps) < 1)
        g_usleep(200);
    gint steps = 0; /* it sleeps, as soon as a busy host has let it come to that */
    for (int tries = 0; g_atomic_int_get(&f->steps) != steps; tries++) {
        g_assert_cmpint(tries, <, 100);
        steps = g_atomic_int_get(&f->steps);
        g_usleep(50000);
    }
    BusIrq line = cpu_irq(v, 3, false), edge = cpu_irq(v, 1, true);
    bus_irq_set(line, true);
    wait_until(idles, &w);
    while (g_atomic_int_get(&f->steps) < steps + 10) /* stays awake while the level is up */
        g_usleep(200);
    bus_irq_set(line, false);
    g_assert_cmpint(g_atomic_int_get(&f->pending), ==, 0);
    bus_irq_set(edge, true);
    bus_irq_set(edge, false);
    g_assert_cmpint(g_atomic_int_get(&f->pending), ==, 2);
    fake_set_irq(&f->head, 1, false);
    cpu_group_pause(w.group); /* also out of sleep */
    world_clear(&w);
}

static void fence(TranslateCpu *cpu, const void *arg)
{
    g_atomic_int_inc(&((Fake *)cpu)->fences);
}

/* Each fences the others all the time: none may wait for one that waits for it. */
static void step_fence(Fake *f)
{
    static const uint16_t all[] = { 0, 1, 2 };
    Vcpu *v = f->head.user;
    cpu_call(cpu_group_of(v), v, all, CPUS, fence, NULL, 0, true);
}

static void test_calls(gconstpointer single)
{
    World w;
    world_init(&w, GPOINTER_TO_INT(single));
    turn_on(&w, 0, step_fence);
    turn_on(&w, 1, step_fence);
    turn_on(&w, 2, step_fence);
    cpu_group_resume(w.group);
    wait_until(all_stepped, &w);
    cpu_group_pause(w.group);
    /* Each has seen all that were asked for: the steps that ended, at least. */
    gint asked = fake(&w, 0)->steps + fake(&w, 1)->steps + fake(&w, 2)->steps;
    for (unsigned i = 0; i < CPUS; i++)
        g_assert_cmpint(g_atomic_int_get(&fake(&w, i)->fences), >=, asked - CPUS);
    world_clear(&w);
}

static void test_env(void)
{
    World w;
    world_init(&w, false);
    Fake *f = fake(&w, 0);
    const GuestEnv *e = &f->head.env;
    GuestPage page;
    uint64_t value;
    g_assert_true(e->ram(e->opaque, 0x2004, &page));
    g_assert_true(page.writable);
    page.host[4] = 0x5a;
    g_assert_false(e->ram(e->opaque, 0x9000, &page));
    g_assert_false(e->load(e->opaque, 0x9000, 4, &value));
    g_assert_true(e->load(e->opaque, 0x2004, 1, &value));
    g_assert_cmphex(value, ==, 0x5a);
    g_assert_false(e->hypercall(e->opaque, &f->head, 7));
    uint64_t t = e->time(e->opaque);
    g_usleep(10000);
    g_assert_cmpuint(e->time(e->opaque) - t, >=, 90000); /* 10 MHz */
    /* Writes by devices to pages with code are told; to others not. */
    bus_dma_write(w.space, 0x2000, "x", 1);
    g_assert_cmpint(f->head.translator->invalidated, ==, 0);
    g_assert_true(e->ram(e->opaque, 0x2000, &page));
    bus_page_mark(page.flags, GUEST_PAGE_CODE);
    bus_dma_write(w.space, 0x2000, "x", 1);
    g_assert_cmpint(f->head.translator->invalidated, ==, 1);
    /* A deadline wakes a sleeper, and not before its time. */
    uint64_t when = e->time(e->opaque) + 300000;
    e->deadline(e->opaque, 0, when);
    cpu_idle(cpu_group_cpu(w.group, 0));
    g_assert_cmpuint(e->time(e->opaque), >=, when);
    g_assert_cmpint(__atomic_load_n(&f->head.kicked, __ATOMIC_SEQ_CST), ==, 1);
    world_clear(&w);
}

static void test_refused(void)
{
    CpuAccel accel = { 0 };
    g_autoptr(GError) error = NULL;
    g_assert_null(cpu_group_new(&fake_isa, 2, "bad", &accel, &error));
    g_assert_true(g_error_matches(error, base_error_quark(), BASE_ERROR_USAGE));
    g_clear_error(&error);
    accel.accel = TRANSLATE_VERIFY;
    g_assert_null(cpu_group_new(&fake_isa, 2, NULL, &accel, &error));
    g_assert_nonnull(strstr(error->message, "verify"));
}

static void test_accel(void)
{
    static const struct {
        const char *text;
        bool ok;
        CpuAccel accel;
    } cases[] = {
        { "tcg", true, { .accel = TRANSLATE_JIT } },
        { "jit,tb-size=128", true, { .accel = TRANSLATE_JIT, .code_size = 128 << 20 } },
        { "accel=interp,thread=single", true, { .accel = TRANSLATE_INTERP, .single = true } },
        { "verify,thread=multi", true, { .accel = TRANSLATE_VERIFY } },
        { "kvm:tcg", true, { .accel = TRANSLATE_JIT } },
        { "kvm", false, { 0 } },
        { "", false, { 0 } },
        { "nonesuch", false, { 0 } },
        { "tcg,tb-size=-1", false, { 0 } },
        { "tcg,tb-size=99999999999", false, { 0 } },
        { "tcg,thread=both", false, { 0 } },
        { "tcg,foo=1", false, { 0 } },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        CpuAccel a = { 0 };
        g_autoptr(GError) error = NULL;
        bool ok = cpu_accel_parse(&a, cases[i].text, &error);
        if (ok != cases[i].ok)
            g_error("%s: %s", cases[i].text, error ? error->message : "taken");
        if (ok) {
            g_assert_cmpint(a.accel, ==, cases[i].accel.accel);
            g_assert_cmpuint(a.code_size, ==, cases[i].accel.code_size);
            g_assert_cmpint(a.single, ==, cases[i].accel.single);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/cpu/run/multi", GINT_TO_POINTER(0), test_run_pause);
    g_test_add_data_func("/cpu/run/single", GINT_TO_POINTER(1), test_run_pause);
    g_test_add_func("/cpu/off-on", test_off_and_on);
    g_test_add_func("/cpu/idle", test_idle_irq);
    g_test_add_data_func("/cpu/calls/multi", GINT_TO_POINTER(0), test_calls);
    g_test_add_data_func("/cpu/calls/single", GINT_TO_POINTER(1), test_calls);
    g_test_add_func("/cpu/env", test_env);
    g_test_add_func("/cpu/refused", test_refused);
    g_test_add_func("/cpu/accel", test_accel);
    return g_test_run();
}
