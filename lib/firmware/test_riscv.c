/* SPDX-License-Identifier: MIT */
/*
 * SBI over a CpuGroup, with a made-up translator: harts are C functions that make ecalls.
 */
#include "cpu/test_translator.h"
#include "firmware/riscv.h"

/* What harts run, by their start address. */
static void (*const programs[])(Fake *f);

static void run_program(Fake *f)
{
    programs[f->head.pc & 0xf](f);
}

static bool fake_configure(TranslateCpu *cpu, const char *spec, GError **error)
{
    return true;
}

static void fake_reset(TranslateCpu *cpu, uint64_t id, uint64_t entry)
{
    Fake *f = (Fake *)cpu;
    memset(f->a, 0xee, sizeof f->a);
    f->id = id;
    f->priv = 3;
    f->step = run_program;
    cpu->pc = entry;
}

static void fake_describe(TranslateCpu *cpu, GString *out)
{
    g_string_append(out, "riscv,isa=rv64imafdc_zicboz_svpbmt\nmmu-type=riscv,sv39\n");
}

#define REG(name, field) { name, offsetof(Fake, field), sizeof(((Fake *)0)->field) }
static const GuestReg fake_regs[] = {
    REG("a0", a[0]), REG("a1", a[1]), REG("a2", a[2]), REG("a3", a[3]), REG("a4", a[4]),
    REG("a5", a[5]), REG("a6", a[6]), REG("a7", a[7]), { NULL, 0, 0 },
};

const GuestIsa fake_isa = {
    .name = "fake",
    .elf_class = 64,
    .regs = fake_regs,
    .configure = fake_configure,
    .reset = fake_reset,
    .describe = fake_describe,
    .set_irq = fake_set_irq,
    .translate = { .cpu_size = sizeof(Fake), .wake = fake_wake },
};

static void fake_enter(TranslateCpu *cpu, const GuestIsa *isa, uint64_t hart, uint64_t entry,
                       uint64_t arg)
{
    Fake *f = (Fake *)cpu;
    isa->reset(cpu, hart, entry);
    f->priv = 1;
    f->a[0] = hart;
    f->a[1] = arg;
}

static void fake_fence(TranslateCpu *cpu, uint64_t start, uint64_t size)
{
    Fake *f = (Fake *)cpu;
    f->fence_start = start;
    f->fence_size = size;
    g_atomic_int_inc(&f->fences);
}

/* no set_timer: the CPU has no Sstc */
static const FirmwareRiscvHart fake_hart = { .enter = fake_enter, .fence = fake_fence };

/* ---- Supervisors ------------------------------------------------------------------ */

static int64_t ecall(Fake *f, uint64_t eid, uint64_t fid, uint64_t a0, uint64_t a1, uint64_t a2,
                     uint64_t a3)
{
    uint64_t args[] = { a0, a1, a2, a3 };
    memcpy(f->a, args, sizeof args);
    f->a[6] = fid;
    f->a[7] = eid;
    g_assert_true(f->head.env.hypercall(f->head.env.opaque, &f->head, 9));
    return (int64_t)f->a[0];
}

#define RAM 0x80000000u
#define HSM 0x48534d

static Fake *sibling(Fake *f, unsigned n)
{
    Vcpu *v = f->head.user;
    return (Fake *)cpu_state(cpu_group_cpu(cpu_group_of(v), n));
}

static void secondary(Fake *f)
{
    g_assert_cmpuint(f->a[0], ==, f->id);
    g_assert_cmphex(f->a[1], ==, 0xabc);
    g_assert_cmpuint(f->priv, ==, 1);
    f->head.pc = RAM + 2;
}

static void secondary_wait(Fake *f)
{
    if (g_atomic_int_get(&f->pending) & 2) {
        fake_set_irq(&f->head, 1, false);
        ecall(f, HSM, 1, 0, 0, 0, 0);
    } else {
        ecall(f, HSM, 3, 0, 0, 0, 0); /* suspend until the IPI */
    }
}

static void wait_state(Fake *f, unsigned hart, uint64_t state)
{
    do {
        g_assert_cmpint(ecall(f, HSM, 2, hart, 0, 0, 0), ==, 0);
        g_thread_yield();
    } while (f->a[1] != state);
}

static void primary(Fake *f)
{
    g_assert_cmpuint(f->a[0], ==, 0);
    g_assert_cmphex(f->a[1], ==, RAM + 0x100);
    /* U-mode's is not ours */
    g_assert_false(f->head.env.hypercall(f->head.env.opaque, &f->head, 8));
    for (int round = 0; round < 20; round++) {
        for (unsigned hart = 1; hart < 3; hart++) {
            wait_state(f, hart, 1);
            g_assert_cmpint(ecall(f, HSM, 0, hart, RAM + 4, 0xabc, 0), ==, 0);
        }
        for (unsigned hart = 1; hart < 3; hart++)
            wait_state(f, hart, 0);
        g_assert_cmpint(ecall(f, HSM, 0, 1, RAM, 0, 0), ==, -6);
        gint fences = g_atomic_int_get(&sibling(f, 1)->fences);
        g_assert_cmpint(ecall(f, 0x52464e43, 1, 2, 0, 0x1ffc, 0x1008), ==, 0);
        g_assert_cmpint(g_atomic_int_get(&sibling(f, 1)->fences) - fences, ==, 1);
        g_assert_cmphex(sibling(f, 1)->fence_start, ==, 0x1ffc);
        g_assert_cmphex(sibling(f, 1)->fence_size, ==, 0x1008);
        g_assert_cmpint(ecall(f, 0x735049, 0, 6, 0, 0, 0), ==, 0);
    }
    for (unsigned hart = 1; hart < 3; hart++)
        wait_state(f, hart, 1);
    /* the timer, without Sstc: STIP rises and falls */
    uint64_t now = f->head.env.time(f->head.env.opaque);
    g_assert_cmpint(ecall(f, 0x54494d45, 0, now + 20000, 0, 0, 0), ==, 0);
    while (!(g_atomic_int_get(&f->pending) & 0x20))
        g_thread_yield();
    g_assert_cmpuint(f->head.env.time(f->head.env.opaque), >=, now + 20000);
    g_assert_cmpint(ecall(f, 0x54494d45, 0, UINT64_MAX, 0, 0, 0), ==, 0);
    g_assert_cmpint(g_atomic_int_get(&f->pending) & 0x20, ==, 0);
    g_assert_cmpint(ecall(f, 0x4442434e, 0, 5, RAM + 0x200, 0, 0), ==, 0);
    g_assert_cmpuint(f->a[1], ==, 5);
    ecall(f, 0x53525354, 0, 1, 0, 0, 0); /* reboot: does not come back */
    f->head.pc = RAM + 3;
}

static void nothing(Fake *f)
{
    g_thread_yield();
}

static void (*const programs[])(Fake *f) = {
    [0] = primary, [4] = secondary, [2] = secondary_wait, [3] = nothing,
};

static void on_reset(void *opaque, bool reboot, bool failure)
{
    g_assert_true(reboot && !failure);
    g_atomic_int_set((gint *)opaque, 1);
}

static void test_harts(void)
{
    gint done = 0;
    CpuAccel accel = { 0 };
    g_autoptr(BusSpace) space = bus_space_new("memory", false);
    g_assert_nonnull(bus_ram_new(space, "ram", RAM, 0x4000, 0, 0, NULL));
    bus_load(space, RAM + 0x200, "hello", 5, NULL);
    BusClock *clock = bus_clock_new();
    Chardev *console = chardev_memory_new();
    CpuGroup *g = cpu_group_new(&fake_isa, 3, NULL, &accel, NULL);
    FirmwareRiscvEnv env = { .hart = &fake_hart, .space = space, .console = console,
                            .reset = on_reset, .opaque = &done };
    cpu_group_connect(g, space, clock, 10000000, NULL);
    FirmwareRiscv *f = firmware_riscv_new(g, &env, NULL);
    g_assert_nonnull(f);
    cpu_group_set_hypercall(g, firmware_riscv_hypercall, f);
    g_assert_true(cpu_group_start(g, NULL));
    bus_clock_start(clock);
    for (int boot = 0; boot < 3; boot++) { /* and reboots */
        g_atomic_int_set(&done, 0);
        firmware_riscv_boot(f, RAM, RAM + 0x100);
        cpu_group_resume(g);
        for (int i = 0; i < 20000 && !g_atomic_int_get(&done); i++)
            g_usleep(1000);
        g_assert_cmpint(g_atomic_int_get(&done), ==, 1);
        cpu_group_pause(g);
        cpu_group_all_off(g);
        g_autoptr(GBytes) out = chardev_memory_take_output(console);
        g_assert_cmpmem("hello", 5, g_bytes_get_data(out, NULL), g_bytes_get_size(out));
    }
    cpu_group_end(g);
    firmware_riscv_free(f);
    cpu_group_free(g);
    bus_clock_free(clock);
    chardev_free(console);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/firmware/riscv/harts", test_harts);
    return g_test_run();
}
