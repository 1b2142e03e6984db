/* SPDX-License-Identifier: MIT */
/* A virtio-serial device with a console and a named port on memory chardevs, driven as Linux does. */
#include "devices/device.h"

#include "base/bytes.h"

#include <string.h>

#define RAM UINT64_C(0x80000000)
#define RAM_SIZE UINT64_C(0x100000)
#define SLOT UINT64_C(0x10001000)
#define RING(q) (RAM + 0x4000 * (q))
#define BUFFER(q) (RAM + 0x40000 + 0x1000 * (q))

enum { SIZE = 8, QUEUES = 6, WRITE = 2 };
enum { C_IN = 2, C_OUT = 3, P1_IN = 4, P1_OUT = 5 };
enum { READY = 0, ADD = 1, PORT_READY = 3, CONSOLE = 4, OPEN = 6, NAME = 7 };

typedef struct {
    BusSpace *space;
    BusClock *clock;
    Device *slot, *serial, *console, *port;
    Chardev *chardev[2];
    uint8_t *ram;
} Env;

static void wr(Env *e, uint64_t offset, uint32_t value)
{
    g_assert_cmpint(bus_write(e->space, SLOT + offset, value, 4), ==, BUS_OK);
}

static uint32_t rd(Env *e, uint64_t offset)
{
    uint64_t value;
    g_assert_cmpint(bus_read(e->space, SLOT + offset, 4, &value), ==, BUS_OK);
    return (uint32_t)value;
}

static uint8_t *at(Env *e, uint64_t addr)
{
    return e->ram + (addr - RAM);
}

static void bring_up(Env *e, uint32_t features)
{
    wr(e, 0x70, 0);
    memset(e->ram, 0, 0x40000);
    wr(e, 0x70, 3);
    wr(e, 0x24, 0);
    wr(e, 0x20, features);
    wr(e, 0x24, 1);
    wr(e, 0x20, 1);
    wr(e, 0x70, 11);
    g_assert_cmpuint(rd(e, 0x70), ==, 11);
    for (uint32_t q = 0; q < QUEUES; q++) {
        wr(e, 0x30, q);
        wr(e, 0x38, SIZE);
        wr(e, 0x80, (uint32_t)RING(q));
        wr(e, 0x90, (uint32_t)RING(q) + 0x1000);
        wr(e, 0xa0, (uint32_t)RING(q) + 0x2000);
        wr(e, 0x44, 1);
    }
    wr(e, 0x70, 15);
}

static Device *make(Env *e, const char *type, Device *slot)
{
    Device *dev = device_new(device_type_find(type), type);
    if (slot)
        g_assert_true(slot->type->plug(slot, dev, NULL));
    return dev;
}

static void env_init(Env *e)
{
    *e = (Env){.space = bus_space_new("t", false), .clock = bus_clock_new_manual()};
    DeviceEnv env = {.space = e->space, .clock = e->clock};
    e->ram = bus_ram_host(bus_ram_new(e->space, "ram", RAM, RAM_SIZE, 0, 0, NULL));
    e->slot = make(e, "virtio-mmio", NULL);
    device_place(e->slot, 0, SLOT);
    e->serial = make(e, "virtio-serial-device", e->slot);
    e->console = make(e, "virtconsole", e->serial);
    e->port = make(e, "virtserialport", e->serial);
    g_assert_true(device_set(e->port, "name", "org.lathe", NULL));
    for (unsigned i = 0; i < 2; i++)
        e->chardev[i] = chardev_memory_new();
    device_set_chardev(e->console, "chardev", e->chardev[0], NULL);
    device_set_chardev(e->port, "chardev", e->chardev[1], NULL);
    Device *all[] = {e->slot, e->serial, e->console, e->port};
    for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
        g_assert_true(device_start(all[i], &env, NULL));
}

static void env_clear(Env *e)
{
    device_free(e->port);
    device_free(e->console);
    device_free(e->serial);
    device_free(e->slot);
    for (unsigned i = 0; i < 2; i++)
        chardev_free(e->chardev[i]);
    bus_clock_free(e->clock);
    bus_space_free(e->space);
}

static uint16_t used(Env *e, unsigned q)
{
    return __atomic_load_n((uint16_t *)(void *)(at(e, RING(q) + 0x2002)), __ATOMIC_ACQUIRE);
}

/* One buffer of len bytes at BUFFER(q). */
static void offer(Env *e, unsigned q, uint32_t len, bool in)
{
    uint8_t *d = at(e, RING(q)), *a = at(e, RING(q) + 0x1000);
    uint16_t *idx = (uint16_t *)(void *)(a + 2);
    st_le64(d, BUFFER(q));
    st_le32(d + 8, len);
    st_le16(d + 12, in ? WRITE : 0);
    st_le16(a + 4 + 2 * (*idx % SIZE), 0);
    __atomic_store_n(idx, (uint16_t)(*idx + 1), __ATOMIC_RELEASE);
    wr(e, 0x50, q);
}

/* Waits until count buffers of q are used; the last one's length. */
static uint32_t wait_used(Env *e, unsigned q, uint16_t count)
{
    for (unsigned i = 0; used(e, q) != count; i++) {
        g_assert_cmpuint(i, <, 5000);
        g_main_context_iteration(NULL, FALSE);
        g_usleep(1000);
    }
    return ld_le32(at(e, RING(q) + 0x2004 + 8 * ((count - 1u) % SIZE) + 4));
}

static void control(Env *e, uint32_t nr, uint16_t event, uint16_t value)
{
    uint16_t before = used(e, C_OUT);
    uint8_t *m = at(e, BUFFER(C_OUT));
    st_le32(m, nr);
    st_le16(m + 4, event);
    st_le16(m + 6, value);
    offer(e, C_OUT, 8, false);
    wait_used(e, C_OUT, (uint16_t)(before + 1));
}

static void expect(Env *e, uint32_t nr, uint16_t event, uint16_t value, const char *text)
{
    uint16_t before = used(e, C_IN);
    offer(e, C_IN, 64, true);
    uint32_t len = wait_used(e, C_IN, (uint16_t)(before + 1));
    const uint8_t *m = at(e, BUFFER(C_IN));
    g_assert_cmpuint(ld_le32(m), ==, nr);
    g_assert_cmpuint(ld_le16(m + 4), ==, event);
    g_assert_cmpuint(ld_le16(m + 6), ==, value);
    g_assert_cmpuint(len, ==, 8 + (text ? strlen(text) : 0));
    if (text)
        g_assert_cmpint(memcmp(m + 8, text, strlen(text)), ==, 0);
}

static void handshake(Env *e)
{
    control(e, UINT32_MAX, READY, 1);
    expect(e, 0, ADD, 1, NULL);
    expect(e, 1, ADD, 1, NULL);
    control(e, 0, PORT_READY, 1);
    expect(e, 0, CONSOLE, 1, NULL);
    expect(e, 0, OPEN, 1, NULL);
    control(e, 1, PORT_READY, 1);
    expect(e, 1, NAME, 1, "org.lathe");
    expect(e, 1, OPEN, 1, NULL);
}

static void expect_output(Env *e, unsigned n, const char *text)
{
    g_autoptr(GBytes) bytes = chardev_memory_take_output(e->chardev[n]);
    gsize len;
    const char *data = g_bytes_get_data(bytes, &len);
    g_assert_cmpmem(data, len, text, strlen(text));
}

static void send_out(Env *e, unsigned q, const char *text)
{
    uint16_t before = used(e, q);
    memcpy(at(e, BUFFER(q)), text, strlen(text));
    offer(e, q, (uint32_t)strlen(text), false);
    wait_used(e, q, (uint16_t)(before + 1));
}

static void test_ports(void)
{
    Env e;
    env_init(&e);
    g_assert_cmpuint(rd(&e, 8), ==, 3);
    g_assert_cmpuint(rd(&e, 0x104), ==, 2);
    for (unsigned round = 0; round < 2; round++) {
        bring_up(&e, 2);
        handshake(&e);
        send_out(&e, 1, "to the console");
        expect_output(&e, 0, "to the console");
        send_out(&e, P1_OUT, "to the port");
        expect_output(&e, 1, "to the port");
        /* input waits until the guest has opened the port, and has a buffer */
        chardev_memory_input(e.chardev[1], "first", 5);
        offer(&e, P1_IN, 3, true);
        g_usleep(5000);
        g_assert_cmpuint(used(&e, P1_IN), ==, 0);
        control(&e, 1, OPEN, 1);
        g_assert_cmpuint(wait_used(&e, P1_IN, 1), ==, 3);
        g_assert_cmpint(memcmp(at(&e, BUFFER(P1_IN)), "fir", 3), ==, 0);
        offer(&e, P1_IN, 16, true);
        g_assert_cmpuint(wait_used(&e, P1_IN, 2), ==, 2);
        g_assert_cmpint(memcmp(at(&e, BUFFER(P1_IN)), "st", 2), ==, 0);
        /* a buffer that waits for input goes with the reset */
        offer(&e, P1_IN, 16, true);
    }
    env_clear(&e);
}

static void test_one_port(void)
{
    Env e;
    env_init(&e);
    bring_up(&e, 0); /* a driver that knows one port only */
    send_out(&e, 1, "hello");
    expect_output(&e, 0, "hello");
    offer(&e, 0, 16, true);
    chardev_memory_input(e.chardev[0], "typed", 5);
    g_assert_cmpuint(wait_used(&e, 0, 1), ==, 5);
    env_clear(&e);
}

static void test_hostile(void)
{
    Env e;
    env_init(&e);
    bring_up(&e, 2);
    control(&e, 99, PORT_READY, 1);
    control(&e, 99, OPEN, 1);
    control(&e, 1, 4711, 1);
    for (unsigned i = 0; i < 3000; i++)
        control(&e, UINT32_MAX, READY, 1); /* and never listens */
    uint16_t before = used(&e, C_OUT);
    offer(&e, C_OUT, 3, false);
    wait_used(&e, C_OUT, (uint16_t)(before + 1));
    expect(&e, 0, ADD, 1, NULL);
    g_assert_cmpuint(rd(&e, 0x70), ==, 15);
    env_clear(&e);
}

static void test_plug(void)
{
    g_autoptr(GError) error = NULL;
    Device *serial = device_new(device_type_find("virtio-serial-device"), "s");
    Device *port = device_new(device_type_find("virtserialport"), "p");
    g_assert_true(device_set(port, "nr", "0", NULL));
    g_assert_false(serial->type->plug(serial, port, &error));
    g_assert_nonnull(strstr(error->message, "virtconsole"));
    g_clear_error(&error);
    g_assert_true(device_set(port, "nr", "31", NULL));
    g_assert_false(serial->type->plug(serial, port, &error));
    g_assert_nonnull(strstr(error->message, "31 ports"));
    device_free(port);
    device_free(serial);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-serial/ports", test_ports);
    g_test_add_func("/virtio-serial/one-port", test_one_port);
    g_test_add_func("/virtio-serial/hostile", test_hostile);
    g_test_add_func("/virtio-serial/plug", test_plug);
    return g_test_run();
}
