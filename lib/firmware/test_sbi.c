/* SPDX-License-Identifier: MIT */
/* Calls as a supervisor makes them, against a made-up machine of three harts that notes what is
   asked. */
#include "firmware/sbi.h"

#include <glib.h>
#include <string.h>

#define RAM_BASE 0x80000000u
#define RAM_SIZE 0x10000u

typedef struct {
    GString *log;
    GString *console, *input;
    uint8_t ram[RAM_SIZE];
    bool started[3];
} Fake;

static void set_timer(void *opaque, uint64_t when)
{
    g_string_append_printf(((Fake *)opaque)->log, "timer %" G_GINT64_MODIFIER "x;", when);
}

static void list_harts(Fake *f, const uint16_t *harts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        g_string_append_printf(f->log, " %u", harts[i]);
}

static void send_ipi(void *opaque, const uint16_t *harts, size_t count)
{
    Fake *f = opaque;
    g_string_append(f->log, "ipi");
    list_harts(f, harts, count);
    g_string_append(f->log, ";");
}

static void fence(void *opaque, SbiFence kind, const uint16_t *harts, size_t count, uint64_t start,
                  uint64_t size, uint64_t asid)
{
    Fake *f = opaque;
    g_string_append_printf(f->log, "fence%d", kind);
    list_harts(f, harts, count);
    g_string_append_printf(f->log, " %" G_GINT64_MODIFIER "x+%" G_GINT64_MODIFIER "x asid %"
                           G_GINT64_MODIFIER "x;", start, size, asid);
}

static bool executable(void *opaque, uint64_t addr)
{
    return addr >= RAM_BASE && addr < RAM_BASE + RAM_SIZE;
}

static bool hart_start(void *opaque, unsigned hart, uint64_t addr, uint64_t arg)
{
    Fake *f = opaque;
    if (f->started[hart])
        return false;
    f->started[hart] = true;
    g_string_append_printf(f->log, "start %u %" G_GINT64_MODIFIER "x %" G_GINT64_MODIFIER "x;", hart,
                           addr, arg);
    return true;
}

static void hart_stop(void *opaque)
{
    g_string_append(((Fake *)opaque)->log, "stop;");
}

static SbiHartState hart_state(void *opaque, unsigned hart)
{
    return ((Fake *)opaque)->started[hart] ? SBI_HART_STARTED : SBI_HART_STOPPED;
}

static void hart_suspend(void *opaque)
{
    g_string_append(((Fake *)opaque)->log, "suspend;");
}

static void system_reset(void *opaque, bool reboot, bool failure)
{
    g_string_append_printf(((Fake *)opaque)->log, "reset %d %d;", reboot, failure);
}

static bool read_memory(void *opaque, uint64_t addr, void *buf, size_t len)
{
    if (addr < RAM_BASE || addr - RAM_BASE > RAM_SIZE || len > RAM_SIZE - (addr - RAM_BASE))
        return false;
    memcpy(buf, ((Fake *)opaque)->ram + (addr - RAM_BASE), len);
    return true;
}

static bool write_memory(void *opaque, uint64_t addr, const void *buf, size_t len)
{
    if (addr < RAM_BASE || addr - RAM_BASE > RAM_SIZE || len > RAM_SIZE - (addr - RAM_BASE))
        return false;
    memcpy(((Fake *)opaque)->ram + (addr - RAM_BASE), buf, len);
    return true;
}

static size_t console_write(void *opaque, const void *buf, size_t len)
{
    g_string_append_len(((Fake *)opaque)->console, buf, (gssize)len);
    return len;
}

static size_t console_read(void *opaque, void *buf, size_t len)
{
    Fake *f = opaque;
    size_t n = MIN(len, f->input->len);
    memcpy(buf, f->input->str, n);
    g_string_erase(f->input, 0, (gssize)n);
    return n;
}

static SbiEnv fake_env(Fake *f)
{
    memset(f, 0, sizeof *f);
    f->log = g_string_new(NULL);
    f->console = g_string_new(NULL);
    f->input = g_string_new(NULL);
    f->started[0] = true;
    return (SbiEnv){ f, 3, 1, 2, 3, set_timer, send_ipi, fence, executable, hart_start, hart_stop,
                     hart_state, hart_suspend, system_reset, read_memory, write_memory,
                     console_write, console_read };
}

static void fake_clear(Fake *f)
{
    g_string_free(f->log, TRUE);
    g_string_free(f->console, TRUE);
    g_string_free(f->input, TRUE);
}

#define BASE 0x10
#define TIME 0x54494d45
#define IPI 0x735049
#define RFENCE 0x52464e43
#define HSM 0x48534d
#define SRST 0x53525354
#define DBCN 0x4442434e

static const struct {
    unsigned xlen;
    uint64_t eid, fid, a[5];
    int64_t error;
    uint64_t value;
    const char *log;
} cases[] = {
    { 64, BASE, 0, { 0 }, 0, 0x02000000, "" },
    { 64, BASE, 3, { HSM }, 0, 1, "" },
    { 64, BASE, 3, { 0x504d55 }, 0, 0, "" }, /* PMU */
    { 64, BASE, 3, { 4 }, 0, 0, "" },        /* legacy IPI */
    { 64, BASE, 3, { 1 }, 0, 1, "" },        /* legacy putchar */
    { 64, BASE, 6, { 0 }, 0, 3, "" },
    { 64, BASE, 7, { 0 }, -2, 0, "" },
    { 64, 0x12345678, 0, { 0 }, -2, 0, "" },
    { 64, TIME, 0, { 0x123456789a }, 0, 0, "timer 123456789a;" },
    { 32, TIME, 0, { 0xffffffff80000000, 5 }, 0, 0, "timer 580000000;" },
    { 64, TIME, 1, { 0 }, -2, 0, "" },
    { 64, IPI, 0, { 5, 0 }, 0, 0, "ipi 0 2;" },
    { 64, IPI, 0, { 1, 2 }, 0, 0, "ipi 2;" },
    { 64, IPI, 0, { 0, UINT64_MAX }, 0, 0, "ipi 0 1 2;" },
    { 32, IPI, 0, { 0, UINT64_MAX }, 0, 0, "ipi 0 1 2;" },
    { 64, IPI, 0, { 8, 0 }, -3, 0, "" },
    { 64, IPI, 0, { 2, 2 }, -3, 0, "" },
    { 64, IPI, 0, { 1, UINT64_MAX - 1 }, -3, 0, "" },
    { 64, RFENCE, 0, { 6, 0 }, 0, 0, "fence0 1 2 0+ffffffffffffffff asid 0;" },
    { 64, RFENCE, 1, { 2, 0, 0x1000, 0x2000 }, 0, 0, "fence1 1 1000+2000 asid 0;" },
    { 64, RFENCE, 1, { 2, 0, 0, 0 }, 0, 0, "fence1 1 0+ffffffffffffffff asid 0;" },
    { 64, RFENCE, 1, { 2, 0, 0x1000, UINT64_MAX }, 0, 0, "fence1 1 0+ffffffffffffffff asid 0;" },
    { 32, RFENCE, 1, { 2, 0, 0x1000, UINT64_MAX }, 0, 0, "fence1 1 0+ffffffffffffffff asid 0;" },
    { 64, RFENCE, 2, { 2, 0, 0x1000, 0x1000, 7 }, 0, 0, "fence2 1 1000+1000 asid 7;" },
    { 64, RFENCE, 1, { 2, 0, UINT64_MAX - 5, 0x1000 }, -5, 0, "" },
    { 64, RFENCE, 3, { 2, 0 }, -2, 0, "" },
    { 64, HSM, 0, { 1, 0x80001000, 0xabc }, 0, 0, "start 1 80001000 abc;" },
    { 64, HSM, 0, { 0, 0x80001000, 0 }, -6, 0, "" },
    { 64, HSM, 0, { 3, 0x80001000, 0 }, -3, 0, "" },
    { 64, HSM, 0, { 1, 0x1000, 0 }, -5, 0, "" },
    { 64, HSM, 0, { 1, 0x80001001, 0 }, -5, 0, "" },
    { 64, HSM, 1, { 0 }, 0, 0, "stop;" },
    { 64, HSM, 2, { 0 }, 0, SBI_HART_STARTED, "" },
    { 64, HSM, 2, { 2 }, 0, SBI_HART_STOPPED, "" },
    { 64, HSM, 2, { UINT64_MAX }, -3, 0, "" },
    { 64, HSM, 3, { 0 }, 0, 0, "suspend;" },
    { 64, HSM, 3, { 0x80000000 }, -2, 0, "" },
    { 64, HSM, 3, { 1 }, -3, 0, "" },
    { 64, SRST, 0, { 0, 0 }, 0, 0, "reset 0 0;" },
    { 64, SRST, 0, { 1, 1 }, 0, 0, "reset 1 1;" },
    { 64, SRST, 0, { 3, 0 }, -3, 0, "" },
    { 64, SRST, 0, { 0, 2 }, -3, 0, "" },
    { 64, DBCN, 0, { 5, 0x8000fffd, 0 }, -3, 0, "" },
    { 64, DBCN, 0, { 5, 0x80000000, 1 }, 0, 5, "" },
    { 64, DBCN, 0, { 0, 0, 0 }, 0, 0, "" },
    { 64, DBCN, 2, { 'x' }, 0, 0, "" },
};

static void test_calls(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Fake *f = g_new(Fake, 1);
        SbiEnv env = fake_env(f);
        SbiRegs r = { { 0 } };
        memcpy(r.a, cases[i].a, sizeof cases[i].a);
        r.a[6] = cases[i].fid;
        r.a[7] = cases[i].eid;
        sbi_call(&env, cases[i].xlen, &r);
        if ((int64_t)r.a[0] != cases[i].error || r.a[1] != cases[i].value ||
            strcmp(f->log->str, cases[i].log))
            g_error("case %zu: error %" G_GINT64_FORMAT ", value 0x%" G_GINT64_MODIFIER "x, %s", i,
                    (gint64)r.a[0], r.a[1], f->log->str);
        fake_clear(f);
        g_free(f);
    }
}

static void test_console(void)
{
    g_autofree Fake *f = g_new(Fake, 1);
    SbiEnv env = fake_env(f);
    memcpy(f->ram + 16, "hello", 5);
    SbiRegs w = { { 5, RAM_BASE + 16, 0, 0, 0, 0, 0, DBCN } };
    sbi_call(&env, 64, &w);
    g_assert_cmpstr(f->console->str, ==, "hello");
    g_string_assign(f->input, "keys");
    SbiRegs r = { { 3, RAM_BASE + 100, 0, 0, 0, 0, 1, DBCN } };
    sbi_call(&env, 64, &r);
    g_assert_cmpuint(r.a[0], ==, 0);
    g_assert_cmpuint(r.a[1], ==, 3);
    g_assert_cmpmem(f->ram + 100, 3, "key", 3);
    /* A bad address takes no input. */
    SbiRegs bad = { { 3, 16, 0, 0, 0, 0, 1, DBCN } };
    sbi_call(&env, 64, &bad);
    g_assert_cmpint((int64_t)bad.a[0], ==, SBI_ERR_INVALID_PARAM);
    g_assert_cmpstr(f->input->str, ==, "s");
    fake_clear(f);
}

static void test_legacy(void)
{
    g_autofree Fake *f = g_new(Fake, 1);
    SbiEnv env = fake_env(f);
    SbiRegs put = { { 'Z', 77, 0, 0, 0, 0, 0, 1 } };
    sbi_call(&env, 64, &put);
    g_assert_cmpstr(f->console->str, ==, "Z");
    g_assert_cmpuint(put.a[1], ==, 77); /* a1 is kept */
    SbiRegs get = { { 0, 0, 0, 0, 0, 0, 0, 2 } };
    sbi_call(&env, 64, &get);
    g_assert_cmpint((int64_t)get.a[0], ==, -1);
    g_string_assign(f->input, "q");
    get.a[7] = 2;
    sbi_call(&env, 64, &get);
    g_assert_cmpuint(get.a[0], ==, 'q');
    SbiRegs fence_i = { { 0, 0, 0, 0, 0, 0, 0, 5 } };
    sbi_call(&env, 64, &fence_i);
    g_assert_cmpint((int64_t)fence_i.a[0], ==, SBI_ERR_NOT_SUPPORTED);
    SbiRegs off = { { 0, 0, 0, 0, 0, 0, 0, 8 } };
    sbi_call(&env, 64, &off);
    g_assert_cmpstr(f->log->str, ==, "reset 0 0;");
    fake_clear(f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sbi/calls", test_calls);
    g_test_add_func("/sbi/console", test_console);
    g_test_add_func("/sbi/legacy", test_legacy);
    return g_test_run();
}
