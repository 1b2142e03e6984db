/* SPDX-License-Identifier: MIT */
/* Each device of the virt board by register pokes, and what the core does for all of them. */
#include "devices/device.h"
#include "devices/intc/riscv_aclint.h"

#include <string.h>

/* A device alone on a space, with a log of its first lines. */
typedef struct {
    BusSpace *space;
    BusClock *clock;
    Device *dev;
    bool line[16];
    int edges[16];
} Bench;

static void line_set(void *opaque, int n, bool level)
{
    Bench *b = opaque;
    b->line[n] = level;
    b->edges[n] += level;
}

static void bench_new(Bench *b, const char *type)
{
    memset(b, 0, sizeof *b);
    b->space = bus_space_new("t", false);
    b->clock = bus_clock_new_manual();
    const DeviceType *t = device_type_find(type);
    g_assert_nonnull(t);
    b->dev = device_new(t, "dev");
    for (int n = 0; n < 16; n++)
        device_connect(b->dev, (unsigned)n, (BusIrq){line_set, b, n});
}

static void bench_start(Bench *b)
{
    g_autoptr(GError) error = NULL;
    DeviceEnv env = {.space = b->space, .clock = b->clock};
    bool ok = device_start(b->dev, &env, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
}

static void bench_free(Bench *b)
{
    device_free(b->dev);
    bus_clock_free(b->clock);
    bus_space_free(b->space);
}

static uint64_t rd(Bench *b, uint64_t addr, unsigned size)
{
    uint64_t v;
    g_assert_cmpint(bus_read(b->space, addr, size, &v), ==, BUS_OK);
    return v;
}

static void wr(Bench *b, uint64_t addr, uint64_t v, unsigned size)
{
    g_assert_cmpint(bus_write(b->space, addr, v, size), ==, BUS_OK);
}

/* ---- UART ---------------------------------------------------------------- */

static void uart_new(Bench *b, Chardev *c)
{
    bench_new(b, "uart16550");
    device_place(b->dev, 0, 0);
    g_assert_true(device_set_chardev(b->dev, "chardev", c, NULL));
    bench_start(b);
}

static void expect_output(Chardev *c, const char *want)
{
    g_autoptr(GBytes) out = chardev_memory_take_output(c);
    gsize len;
    const void *data = g_bytes_get_data(out, &len);
    g_assert_cmpmem(data, len, want, strlen(want));
}

static void test_uart_probe(void)
{
    Bench b;
    uart_new(&b, NULL);
    /* What Linux does to know a 16550A. */
    wr(&b, 1, 0, 1);
    g_assert_cmphex(rd(&b, 1, 1), ==, 0);
    wr(&b, 1, 0x0f, 1);
    g_assert_cmphex(rd(&b, 1, 1), ==, 0x0f);
    wr(&b, 1, 0, 1);
    wr(&b, 4, 0x1a, 1);
    g_assert_cmphex(rd(&b, 6, 1) & 0xf0, ==, 0x90);
    wr(&b, 4, 0, 1);
    g_assert_cmphex(rd(&b, 6, 1) & 0xf0, ==, 0xb0);
    wr(&b, 7, 0x5a, 1);
    g_assert_cmphex(rd(&b, 7, 1), ==, 0x5a);
    g_assert_cmphex(rd(&b, 2, 1), ==, 0x01);
    wr(&b, 2, 1, 1);
    g_assert_cmphex(rd(&b, 2, 1), ==, 0xc1);
    wr(&b, 3, 0x83, 1);
    wr(&b, 0, 0x34, 1);
    wr(&b, 1, 0x12, 1);
    g_assert_cmphex(rd(&b, 0, 1), ==, 0x34);
    g_assert_cmphex(rd(&b, 1, 1), ==, 0x12);
    wr(&b, 3, 3, 1);
    g_assert_cmphex(rd(&b, 1, 1), ==, 0);
    g_assert_cmphex(rd(&b, 5, 1), ==, 0x60);
    bench_free(&b);
}

static void test_uart_transmit(void)
{
    g_autoptr(Chardev) c = chardev_memory_new();
    Bench b;
    uart_new(&b, c);
    wr(&b, 2, 1, 1);
    g_assert_false(b.line[0]);
    wr(&b, 1, 2, 1); /* the transmitter is empty: the interrupt comes at once */
    g_assert_true(b.line[0]);
    g_assert_cmphex(rd(&b, 2, 1), ==, 0xc2);
    g_assert_false(b.line[0]); /* reading IIR takes it */
    g_assert_cmphex(rd(&b, 2, 1), ==, 0xc1);
    for (const char *p = "hello"; *p; p++)
        wr(&b, 0, (uint8_t)*p, 1);
    g_assert_true(b.line[0]);
    expect_output(c, "hello");
    wr(&b, 1, 0, 1);
    g_assert_false(b.line[0]);
    wr(&b, 1, 2, 1);
    g_assert_true(b.line[0]);
    bench_free(&b);
}

static void test_uart_receive(void)
{
    g_autoptr(Chardev) c = chardev_memory_new();
    Bench b;
    uart_new(&b, c);
    /* No FIFO: one byte at a time, the rest waits outside and nothing is lost. */
    wr(&b, 1, 1, 1);
    chardev_memory_input(c, "ab", 2);
    g_assert_true(b.line[0]);
    g_assert_cmphex(rd(&b, 2, 1), ==, 0x04);
    g_assert_cmphex(rd(&b, 5, 1), ==, 0x61);
    g_assert_cmphex(rd(&b, 0, 1), ==, 'a');
    g_assert_false(b.line[0]);
    chardev_memory_input(c, "", 0);
    g_assert_cmphex(rd(&b, 0, 1), ==, 'b');
    g_assert_cmphex(rd(&b, 5, 1), ==, 0x60);

    /* FIFO with a trigger of 8: below it the time-out interrupts. */
    wr(&b, 2, 0x81, 1);
    chardev_memory_input(c, "1234567", 7);
    g_assert_false(b.line[0]);
    bus_clock_advance(b.clock, 100000000);
    g_assert_true(b.line[0]);
    g_assert_cmphex(rd(&b, 2, 1), ==, 0xcc);
    g_assert_cmphex(rd(&b, 0, 1), ==, '1');
    g_assert_false(b.line[0]);
    chardev_memory_input(c, "89", 2);
    g_assert_cmphex(rd(&b, 2, 1), ==, 0xc4);
    for (char want = '2'; want <= '9'; want++)
        g_assert_cmphex(rd(&b, 0, 1), ==, want);
    g_assert_false(b.line[0]);
    bus_clock_advance(b.clock, 100000000);
    g_assert_false(b.line[0]);
    bench_free(&b);
}

static void test_uart_loop(void)
{
    g_autoptr(Chardev) c = chardev_memory_new();
    Bench b;
    uart_new(&b, c);
    wr(&b, 4, 0x10, 1);
    wr(&b, 0, 'z', 1);
    expect_output(c, "");
    g_assert_cmphex(rd(&b, 0, 1), ==, 'z');
    /* Overrun: without the FIFO there is room for one. */
    wr(&b, 1, 4, 1);
    wr(&b, 0, 'y', 1);
    wr(&b, 0, 'x', 1);
    g_assert_true(b.line[0]);
    g_assert_cmphex(rd(&b, 2, 1), ==, 0x06);
    g_assert_cmphex(rd(&b, 5, 1), ==, 0x63);
    g_assert_false(b.line[0]);
    bench_free(&b);
}

/* ---- ACLINT -------------------------------------------------------------- */

static void test_aclint(void)
{
    Bench b;
    bench_new(&b, "riscv-aclint");
    g_assert_true(device_set(b.dev, "harts", "2", NULL));
    device_place(b.dev, 0, 0);
    device_place(b.dev, 1, 0x4000);
    device_place(b.dev, 2, 0x10000);
    bench_start(&b);
    wr(&b, 0, 0xffffffff, 4);
    g_assert_cmphex(rd(&b, 0, 4), ==, 1);
    g_assert_true(b.line[0]);
    wr(&b, 0, 0, 4);
    g_assert_false(b.line[0]);
    wr(&b, 8, 1, 4); /* no such hart */
    g_assert_cmphex(rd(&b, 8, 4), ==, 0);
    wr(&b, 0x10004, 1, 4);
    g_assert_cmpint(b.edges[5], ==, 1);
    g_assert_cmphex(rd(&b, 0x10004, 4), ==, 0);

    bus_clock_advance(b.clock, 12345);
    g_assert_cmpuint(rd(&b, 0xbff8, 8), ==, 123);
    g_assert_cmpuint(riscv_aclint_mtime(b.dev), ==, 123);
    g_assert_cmpint(riscv_aclint_deadline(b.dev, 200), ==, 20000);
    wr(&b, 0x4008, 200, 4);
    wr(&b, 0x400c, 0, 4);
    g_assert_false(b.line[4]);
    bus_clock_advance(b.clock, 7654);
    g_assert_false(b.line[4]);
    bus_clock_advance(b.clock, 1);
    g_assert_true(b.line[4]);
    wr(&b, 0x4008, UINT64_MAX, 8);
    g_assert_false(b.line[4]);
    /* Writing mtime moves the line too; a half leaves the other half. */
    wr(&b, 0x4000, UINT64_C(0x500000000), 8);
    wr(&b, 0xbffc, 5, 4);
    g_assert_true(b.line[1]);
    g_assert_cmphex(rd(&b, 0xbffc, 4), ==, 5);
    g_assert_cmphex(rd(&b, 0xbff8, 4), ==, 200);
    wr(&b, 0xbff8, UINT64_MAX, 8);
    g_assert_true(b.line[4]);
    wr(&b, 0xbff8, 0, 8);
    g_assert_false(b.line[1] || b.line[4]);
    device_reset(b.dev);
    g_assert_cmphex(rd(&b, 0x4000, 8), ==, UINT64_MAX);
    g_assert_cmpuint(rd(&b, 0xbff8, 8), ==, 200); /* the clock's own count again */
    g_autoptr(GError) error = NULL;
    g_assert_false(device_set(b.dev, "harts", "4096", &error));
    bench_free(&b);
}

/* ---- PLIC ---------------------------------------------------------------- */

#define CTX(n) (0x200000 + (n) * 0x1000)

static void test_plic(void)
{
    Bench b;
    bench_new(&b, "plic");
    g_assert_true(device_set(b.dev, "contexts", "4", NULL));
    device_place(b.dev, 0, 0);
    bench_start(&b);
    BusIrq in5 = device_input(b.dev, 5), in6 = device_input(b.dev, 6),
        in96 = device_input(b.dev, 96);
    wr(&b, 0, 7, 4);
    g_assert_cmphex(rd(&b, 0, 4), ==, 0); /* source 0 does not exist */
    wr(&b, 4 * 5, 0xff, 4);
    g_assert_cmphex(rd(&b, 4 * 5, 4), ==, 7);
    wr(&b, 4 * 5, 3, 4);
    wr(&b, 4 * 6, 4, 4);
    wr(&b, 4 * 96, 4, 4);
    wr(&b, 0x2080, 0xffffffff, 4);
    g_assert_cmphex(rd(&b, 0x2080, 4), ==, 0xfffffffe);
    wr(&b, 0x208c, 0xffffffff, 4);
    g_assert_cmphex(rd(&b, 0x208c, 4), ==, 1);

    bus_irq_set(in5, true);
    g_assert_true(b.line[1]);
    g_assert_false(b.line[0]);
    g_assert_cmphex(rd(&b, 0x1000, 4), ==, 1 << 5);
    wr(&b, CTX(1), 3, 4); /* the threshold masks its own priority */
    g_assert_false(b.line[1]);
    g_assert_cmphex(rd(&b, CTX(1) + 4, 4), ==, 0);
    wr(&b, CTX(1), 0, 4);
    bus_irq_set(in96, true);
    bus_irq_set(in6, true);
    /* The highest priority first, of equals the lowest number. */
    g_assert_cmphex(rd(&b, CTX(1) + 4, 4), ==, 6);
    g_assert_cmphex(rd(&b, CTX(1) + 4, 4), ==, 96);
    g_assert_cmphex(rd(&b, CTX(1) + 4, 4), ==, 5);
    g_assert_cmphex(rd(&b, CTX(1) + 4, 4), ==, 0);
    g_assert_false(b.line[1]);
    /* Completing while the line is high asks again; while it is low it does not. */
    wr(&b, CTX(1) + 4, 6, 4);
    g_assert_true(b.line[1]);
    g_assert_cmphex(rd(&b, CTX(1) + 4, 4), ==, 6);
    bus_irq_set(in6, false);
    wr(&b, CTX(1) + 4, 6, 4);
    g_assert_false(b.line[1]);
    /* A completion by a context that has not enabled the source is ignored. */
    wr(&b, CTX(0) + 4, 5, 4);
    g_assert_false(b.line[1]);
    wr(&b, CTX(1) + 4, 5, 4);
    g_assert_true(b.line[1]);
    /* A request stays when the line drops before the claim. */
    bus_irq_set(in5, false);
    g_assert_true(b.line[1]);
    /* Saved and loaded into a fresh one. */
    g_autoptr(GByteArray) saved = g_byte_array_new();
    device_save(b.dev, saved);
    device_reset(b.dev);
    g_assert_false(b.line[1]);
    gsize pos = 0;
    g_autoptr(GError) error = NULL;
    g_assert_true(device_load(b.dev, saved->data, saved->len, &pos, &error));
    g_assert_true(b.line[1]);
    g_assert_cmphex(rd(&b, CTX(1) + 4, 4), ==, 5);
    /* Outside of what exists. */
    g_assert_cmphex(rd(&b, CTX(4) + 4, 4), ==, 0);
    wr(&b, CTX(1) + 4, 0xffffffff, 4);
    bus_irq_set(device_input(b.dev, 97), true);
    bus_irq_set(device_input(b.dev, 0), true);
    bench_free(&b);
}

/* ---- RTC and the small ones ---------------------------------------------- */

static void test_rtc(void)
{
    Bench b;
    bench_new(&b, "goldfish_rtc");
    device_place(b.dev, 0, 0);
    bench_start(&b);
    const uint64_t epoch = UINT64_C(946684800000000000);
    bus_clock_advance(b.clock, 1000);
    uint64_t low = rd(&b, 0, 4);
    g_assert_cmpuint(rd(&b, 4, 4) << 32 | low, ==, epoch + 1000);
    uint64_t alarm = epoch + 5000;
    wr(&b, 0x10, 1, 4);
    wr(&b, 0x0c, alarm >> 32, 4);
    wr(&b, 0x08, (uint32_t)alarm, 4);
    g_assert_cmpuint(rd(&b, 0x18, 4), ==, 1);
    bus_clock_advance(b.clock, 3999);
    g_assert_false(b.line[0]);
    bus_clock_advance(b.clock, 1);
    g_assert_true(b.line[0]);
    g_assert_cmpuint(rd(&b, 0x18, 4), ==, 0);
    wr(&b, 0x1c, 1, 4);
    g_assert_false(b.line[0]);
    /* An alarm in the past rings at once; a cleared one never. */
    wr(&b, 0x08, (uint32_t)alarm, 4);
    g_assert_true(b.line[0]);
    wr(&b, 0x1c, 1, 4);
    wr(&b, 0x08, (uint32_t)alarm + 1000000, 4);
    wr(&b, 0x14, 1, 4);
    bus_clock_advance(b.clock, 2000000);
    g_assert_false(b.line[0]);
    /* Setting the time. */
    wr(&b, 4, 1, 4);
    wr(&b, 0, 42, 4);
    low = rd(&b, 0, 4);
    g_assert_cmpuint(rd(&b, 4, 4) << 32 | low, ==, UINT64_C(0x10000002a));
    bench_free(&b);
}

static void test_slot(void)
{
    Bench b;
    bench_new(&b, "virtio-mmio");
    device_place(b.dev, 0, 0);
    bench_start(&b);
    g_assert_cmphex(rd(&b, 0, 4), ==, 0x74726976);
    g_assert_cmphex(rd(&b, 4, 4), ==, 2);
    g_assert_cmphex(rd(&b, 8, 4), ==, 0);
    wr(&b, 0x70, 0xff, 4);
    g_assert_cmphex(rd(&b, 0x70, 4), ==, 0);
    bench_free(&b);
}

static void test_props(void)
{
    g_autoptr(Device) dev = device_new(device_type_find("riscv-aclint"), "a");
    g_autoptr(GError) error = NULL;
    g_assert_false(device_set(dev, "nosuch", "1", &error));
    g_assert_nonnull(strstr(error->message, "riscv-aclint.nosuch"));
    g_assert_false(device_set(dev, "harts", "two", NULL));
    g_assert_false(device_set(dev, "harts", "-1", NULL));
    g_assert_false(device_set(dev, "harts", "0", NULL));
    g_assert_false(device_set(dev, "aclint", "perhaps", NULL));
    g_assert_true(device_set(dev, "aclint", "yes", NULL));
    g_assert_true(device_set(dev, "harts", "0x10", NULL));
    g_assert_null(device_type_find("nosuch"));
    for (const DeviceType *const *t = device_types(); *t; t++)
        g_assert_true(device_type_find((*t)->name) == *t);
}

/* Any access of any size anywhere in any device: none may crash. */
static void test_storm(void)
{
    for (const DeviceType *const *t = device_types(); *t; t++) {
        Bench b;
        if ((*t)->slot || (*t)->described)
            continue; /* no registers of its own: test_virtio.c, or never any */
        bench_new(&b, (*t)->name);
        uint64_t base = 0;
        for (unsigned r = 0; (*t)->regions && (*t)->regions[r].name; r++) {
            device_place(b.dev, r, base);
            base += (*t)->regions[r].size;
        }
        bench_start(&b);
        GRand *rand = g_rand_new_with_seed(7);
        for (int i = 0; i < 20000 && base; i++) {
            uint64_t at = g_rand_int(rand) % base, v;
            unsigned size = 1u << g_rand_int_range(rand, 0, 4);
            if (g_rand_int(rand) & 1)
                at = (at & 0xff) | (at & ~(uint64_t)0xfff); /* near the start of something */
            at &= ~(uint64_t)(size - 1);
            if (g_rand_int(rand) & 1)
                bus_write(b.space, at, (uint64_t)g_rand_int(rand) << 32 | g_rand_int(rand), size);
            else
                bus_read(b.space, at, size, &v);
            if (i % 100 == 0)
                bus_clock_advance(b.clock, g_rand_int(rand) % 1000000);
        }
        g_rand_free(rand);
        bench_free(&b);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/devices/uart-probe", test_uart_probe);
    g_test_add_func("/devices/uart-transmit", test_uart_transmit);
    g_test_add_func("/devices/uart-receive", test_uart_receive);
    g_test_add_func("/devices/uart-loop", test_uart_loop);
    g_test_add_func("/devices/aclint", test_aclint);
    g_test_add_func("/devices/plic", test_plic);
    g_test_add_func("/devices/rtc", test_rtc);
    g_test_add_func("/devices/slot", test_slot);
    g_test_add_func("/devices/props", test_props);
    g_test_add_func("/devices/storm", test_storm);
    return g_test_run();
}
