/* SPDX-License-Identifier: MIT */
/* The protocol: each command, wrong words, lines cut anywhere, limits, interrupt lines. */
#include "qtest/qtest.h"

#include <string.h>

typedef struct {
    BusSpace *space;
    BusClock *clock;
    Qtest *q;
    GString *out, *log;
    Device *dev;
    uint64_t last;
    int fired;
} Env;

static uint64_t port_read(void *opaque, uint64_t offset, unsigned size)
{
    return 0x1122334455667788u >> (64 - 8 * size);
}

static void port_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    ((Env *)opaque)->last = value;
}

static const BusOps ops = {.read = port_read, .write = port_write};

static Device *find(void *opaque, const char *name)
{
    Env *e = opaque;
    return !strcmp(name, e->dev->id) ? e->dev : NULL;
}

static void send(void *opaque, const char *line, size_t len)
{
    g_string_append_len(((Env *)opaque)->out, line, (gssize)len);
}

static void note(void *opaque, bool received, const char *line)
{
    g_string_append_printf(((Env *)opaque)->log, "%c%s|", received ? 'R' : 'S', line);
}

static void env_open(Env *e, bool big, bool ports, bool manual)
{
    g_autoptr(GError) error = NULL;
    *e = (Env){.space = bus_space_new("t", big), .out = g_string_new(NULL),
               .log = g_string_new(NULL)};
    e->clock = manual ? bus_clock_new_manual() : bus_clock_new();
    bus_ram_new(e->space, "ram", 0x1000, 0x1000, 0, 0, &error);
    bus_mmio_new(e->space, "port", 0x8000, 16, &ops, e, 0, &error);
    g_assert_no_error(error);
    e->dev = device_new(device_type_find("plic"), "plic");
    DeviceEnv env = {.space = e->space, .clock = e->clock};
    device_set_u64(e->dev, "contexts", 2, &error);
    device_start(e->dev, &env, &error);
    g_assert_no_error(error);
    QtestEnv q = {.space = e->space, .ports = ports ? e->space : NULL, .clock = e->clock,
                  .big_endian = big, .device = find, .send = send, .log = note, .opaque = e};
    e->q = qtest_new(&q);
}

static void env_close(Env *e)
{
    qtest_free(e->q);
    device_free(e->dev);
    bus_space_free(e->space);
    bus_clock_free(e->clock);
    g_string_free(e->out, TRUE);
    g_string_free(e->log, TRUE);
}

static void expect(Env *e, const char *line, const char *reply)
{
    g_string_truncate(e->out, 0);
    qtest_feed(e->q, line, strlen(line));
    qtest_feed(e->q, "\n", 1);
    g_assert_cmpstr(e->out->str, ==, reply);
}

static void expect_start(Env *e, const char *line, const char *start)
{
    g_string_truncate(e->out, 0);
    qtest_feed(e->q, line, strlen(line));
    qtest_feed(e->q, "\n", 1);
    if (!g_str_has_prefix(e->out->str, start) || !g_str_has_suffix(e->out->str, "\n"))
        g_error("'%s' is answered '%s'", line, e->out->str);
}

static void test_memory(void)
{
    Env e;
    env_open(&e, false, false, true);
    expect(&e, "writeq 0x1000 0x0123456789abcdef", "OK\n");
    expect(&e, "readq 0x1000", "OK 0x0123456789abcdef\n");
    expect(&e, "readl 4100", "OK 0x0000000001234567\n");
    expect(&e, "readw 0x1006", "OK 0x0000000000000123\n");
    expect(&e, "readb 010000", "OK 0x00000000000000ef\n");
    expect(&e, "writeb 0x1000 0x1ff", "OK\n");
    expect(&e, "read 0x1000 0x3", "OK 0xffcdab\n");
    expect(&e, "write 0x1010 4 0xDEAD", "OK\n");
    expect(&e, "read 0x1010 4", "OK 0xdead0000\n");
    expect(&e, "b64write 0x1020 3 TWFu", "OK\n");
    expect(&e, "readl 0x1020", "OK 0x00000000006e614d\n");
    expect(&e, "b64read 0x1020 4", "OK TWFuAA==\n");
    expect(&e, "memset 0x1030 3 0x5a", "OK\n");
    expect(&e, "readl 0x1030", "OK 0x00000000005a5a5a\n");
    expect(&e, "endianness", "OK little\n");
    /* Devices see the size; where there is nothing there are zeros, also beside memory. */
    expect(&e, "readl 0x8000", "OK 0x0000000011223344\n");
    expect(&e, "writew 0x8000 0x12345", "OK\n");
    g_assert_cmphex(e.last, ==, 0x2345);
    expect(&e, "readl 0x7000", "OK 0x0000000000000000\n");
    expect(&e, "writel 0x7000 1", "OK\n");
    expect(&e, "memset 0xff0 0x20 1", "OK\n");
    expect(&e, "read 0xffe 4", "OK 0x00000101\n");
    expect(&e, "readq 0xffffffffffffffff", "OK 0x0000000000000000\n");
    expect(&e, "read 0xfffffffffffffffe 4", "OK 0x00000000\n");
    g_string_truncate(e.log, 0);
    expect(&e, "readb 0x1030\r", "OK 0x000000000000005a\n");
    g_assert_cmpstr(e.log->str, ==, "Rreadb 0x1030|SOK 0x000000000000005a|");
    env_close(&e);
}

static void test_big(void)
{
    Env e;
    env_open(&e, true, true, true);
    expect(&e, "endianness", "OK big\n");
    expect(&e, "writel 0x1000 0x11223344", "OK\n");
    expect(&e, "read 0x1000 4", "OK 0x11223344\n");
    expect(&e, "readw 0x1000", "OK 0x0000000000001122\n");
    expect(&e, "inb 0x8000", "OK 0x0011\n");
    expect(&e, "outb 0x8000 7", "OK\n");
    g_assert_cmphex(e.last, ==, 7);
    expect(&e, "outb 0x10000 7", "ERR a port is from 0 to 0xffff\n");
    env_close(&e);
}

static void test_wrong(void)
{
    static const char *const err[] = {
        "readb", "readb 1 2", "readb x", "readb -1", "readb 0x1000z", "readl 0x10000000000000000",
        "writel 0x1000", "read 0x1000", "read 0x1000 0", "read 0x1000 0x1000001", "write 0x1000 1 0",
        "write 0x1000 1 0x1", "write 0x1000 1 0x1122", "write 0x1000 1 0xgg", "write 0x1000 1 1122",
        "b64write 0x1000 4 TWFu", "b64write 0x1000 0 TWFu", "memset 0x1000 4", "clock_set",
        "clock_set 0x8000000000000000", "memset 1 2 3 4 5 6 7 8", "set_irq_in plic unnamed-gpio-in x 1",
        "endianness now",
    };
    static const char *const refused[] = {
        "rtas get-term-char 0 0 0 0", "module_load a b", "inb 0", "outl 0 0", "hello", "READB 0x1000",
        "irq_intercept_in nobody", "set_irq_in nobody unnamed-gpio-in 1 1",
        "set_irq_in plic other 1 1", "set_irq_in plic unnamed-gpio-in 4096 1",
    };
    Env e;
    env_open(&e, false, false, true);
    for (size_t i = 0; i < G_N_ELEMENTS(err); i++)
        expect_start(&e, err[i], "ERR ");
    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++)
        expect_start(&e, refused[i], "FAIL ");
    expect(&e, "", "");
    expect(&e, "   ", "");
    g_string_truncate(e.out, 0);
    qtest_feed(e.q, "readb\0 1\n", 9);
    g_assert_true(g_str_has_prefix(e.out->str, "ERR "));
    env_close(&e);

    env_open(&e, false, false, false);
    expect_start(&e, "clock_step 1", "FAIL ");
    env_close(&e);
}

static void test_cut(void)
{
    static const char text[] = "writel 0x1000 0x55\nreadl  0x1000\nreadb 0x1001\n";
    Env e;
    env_open(&e, false, false, true);
    for (size_t i = 0; i < sizeof text; i++) {
        g_string_truncate(e.out, 0);
        qtest_feed(e.q, text, i);
        qtest_feed(e.q, text + i, sizeof text - 1 - i);
        g_assert_cmpstr(e.out->str, ==, "OK\nOK 0x0000000000000055\nOK 0x0000000000000000\n");
    }
    /* A peer that goes in the middle of a line does not spoil the next one's first. */
    g_string_truncate(e.out, 0);
    qtest_feed(e.q, "rea", 3);
    qtest_close(e.q);
    expect(&e, "readb 0x1001", "OK 0x0000000000000000\n");
    env_close(&e);
}

static void test_long(void)
{
    Env e;
    env_open(&e, false, false, true);
    g_autofree char *part = g_strnfill(1 << 20, 'r');
    g_string_truncate(e.out, 0);
    for (unsigned i = 0; i < 65; i++)
        qtest_feed(e.q, part, 1 << 20);
    g_assert_cmpuint(e.out->len, ==, 0);
    qtest_feed(e.q, "\n", 1);
    g_assert_true(g_str_has_prefix(e.out->str, "ERR a line has at most"));
    expect(&e, "readb 0x1000", "OK 0x0000000000000000\n");
    g_string_truncate(e.out, 0);
    qtest_feed(e.q, part, 1 << 20);
    qtest_feed(e.q, "\n", 1);
    g_assert_true(g_str_has_prefix(e.out->str, "FAIL Unknown command 'rrr"));
    g_assert_cmpuint(e.out->len, <, 200);
    env_close(&e);
}

static void on_timer(void *opaque)
{
    ((Env *)opaque)->fired++;
}

static void test_clock(void)
{
    Env e;
    env_open(&e, false, false, true);
    BusTimer *timer = bus_timer_new(e.clock, on_timer, &e);
    expect(&e, "clock_step", "OK 0\n");
    expect(&e, "clock_step 1000", "OK 1000\n");
    bus_timer_set(timer, 5000);
    expect(&e, "clock_step 3999", "OK 4999\n");
    g_assert_cmpint(e.fired, ==, 0);
    expect(&e, "clock_step", "OK 5000\n");
    g_assert_cmpint(e.fired, ==, 1);
    expect(&e, "clock_set 1000000", "OK 1000000\n");
    expect(&e, "clock_set 5", "OK 1000000\n");
    bus_timer_set(timer, 1000001);
    expect(&e, "clock_set 0x7fffffffffffffff", "OK 9223372036854775807\n");
    g_assert_cmpint(e.fired, ==, 2);
    expect_start(&e, "clock_step 1", "ERR ");
    bus_timer_free(timer);
    env_close(&e);
}

static void test_irq(void)
{
    Env e;
    env_open(&e, false, false, true);
    expect(&e, "set_irq_in plic unnamed-gpio-in 5 1", "OK\n");
    expect(&e, "irq_intercept_in plic", "OK\n");
    expect(&e, "irq_intercept_in plic", "OK\n");
    expect_start(&e, "irq_intercept_out plic", "FAIL ");
    expect(&e, "set_irq_in plic unnamed-gpio-in 7 1", "IRQ raise 7\nOK\n");
    expect(&e, "set_irq_in plic unnamed-gpio-in 7 9", "OK\n");
    expect(&e, "set_irq_in plic unnamed-gpio-in 7 0", "IRQ lower 7\nOK\n");
    qtest_close(e.q);
    expect(&e, "set_irq_in plic unnamed-gpio-in 7 1", "OK\n");
    expect(&e, "irq_intercept_out plic", "OK\n");
    device_irq(e.dev, 1, true);
    g_assert_true(g_str_has_suffix(e.out->str, "IRQ raise 1\n"));
    env_close(&e);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qtest/memory", test_memory);
    g_test_add_func("/qtest/big-endian", test_big);
    g_test_add_func("/qtest/wrong", test_wrong);
    g_test_add_func("/qtest/cut", test_cut);
    g_test_add_func("/qtest/long", test_long);
    g_test_add_func("/qtest/clock", test_clock);
    g_test_add_func("/qtest/irq", test_irq);
    return g_test_run();
}
