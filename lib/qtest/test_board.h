/* SPDX-License-Identifier: MIT */
/*
 * A whole board in this process, driven over the -qtest protocol as a test at the other end of
 * `vm-run -qtest` would, with a plain driver's side of a split virtqueue. For tests.
 */
#pragma once

#include "base/bytes.h"
#include "machines/machine.h"
#include "qtest/qtest.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define RAM UINT64_C(0x80000000)
#define RAM_SIZE UINT64_C(0x4000000)
#define UART UINT64_C(0x10000000)
#define PLIC UINT64_C(0xc000000)
#define CLINT UINT64_C(0x2000000)
#define RTC UINT64_C(0x101000)
#define FINISHER UINT64_C(0x100000)
#define FW_CFG UINT64_C(0x10100000)
#define FLASH UINT64_C(0x20000000)
#define SLOTS 8

#define SLOT(n) (UINT64_C(0x10000000) + (n) * UINT64_C(0x1000)) /* 1 .. 8 */

typedef struct {
    Machine *m;
    BusClock *clock;
    Qtest *q;
    Chardev *serial, *port;
    MachineEntry entry;
    MachineBoot boot;
    GMutex lock;    /* of what follows: interrupts come from queue threads */
    GString *reply; /* what came since the last command, but for IRQ lines */
    bool irq[64];   /* inputs of the PLIC, or whatever is intercepted */
    unsigned raised[64];
    DevicePower power;
    unsigned powers;
    unsigned io_errors; /* that stop the machine; atomic */
} Board;

static inline void board_send(void *opaque, const char *line, size_t len)
{
    Board *b = opaque;
    unsigned n;
    g_mutex_lock(&b->lock);
    bool raise = sscanf(line, "IRQ raise %u", &n) == 1;
    bool irq = raise || sscanf(line, "IRQ lower %u", &n) == 1;
    if (!irq)
        g_string_append_len(b->reply, line, (gssize)len);
    if (irq && n < G_N_ELEMENTS(b->irq)) {
        b->irq[n] = raise;
        b->raised[n] += raise;
    }
    g_mutex_unlock(&b->lock);
}

static inline Device *board_device(void *opaque, const char *name)
{
    return machine_device(((Board *)opaque)->m, name);
}

static inline void board_power(void *opaque, DevicePower what, uint32_t code)
{
    Board *b = opaque;
    b->power = what;
    b->powers++;
}

static inline void board_io_error(void *opaque, Device *dev, bool write, int error)
{
    __atomic_fetch_add(&((Board *)opaque)->io_errors, 1, __ATOMIC_RELAXED);
}

static inline Chardev *board_chardev(void *opaque, const char *id, GError **error)
{
    return ((Board *)opaque)->port;
}

/* One line, answered: newly allocated, without its newline. */
static inline char *G_GNUC_PRINTF(2, 0) board_ask_v(Board *b, const char *fmt, va_list args)
{
    g_autofree char *line = g_strdup_vprintf(fmt, args);
    g_mutex_lock(&b->lock);
    g_string_truncate(b->reply, 0);
    g_mutex_unlock(&b->lock);
    qtest_feed(b->q, line, strlen(line));
    qtest_feed(b->q, "\n", 1);
    g_mutex_lock(&b->lock);
    char *reply = g_strdup(g_strchomp(b->reply->str));
    g_mutex_unlock(&b->lock);
    return reply;
}

static inline char *G_GNUC_PRINTF(2, 3) board_ask(Board *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *reply = board_ask_v(b, fmt, args);
    va_end(args);
    return reply;
}

static inline void G_GNUC_PRINTF(2, 3) board_do(Board *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *reply = board_ask_v(b, fmt, args);
    va_end(args);
    if (!g_str_has_prefix(reply, "OK"))
        g_error("'%s' is answered '%s'", fmt, reply);
}

static inline uint64_t board_read(Board *b, char size, uint64_t addr)
{
    g_autofree char *reply = board_ask(b, "read%c 0x%" PRIx64, size, addr);
    g_assert_true(g_str_has_prefix(reply, "OK 0x"));
    return g_ascii_strtoull(reply + 3, NULL, 16);
}

static inline void board_write(Board *b, char size, uint64_t addr, uint64_t value)
{
    board_do(b, "write%c 0x%" PRIx64 " 0x%" PRIx64, size, addr, value);
}

#define rb(b, a) board_read(b, 'b', a)
#define rl(b, a) ((uint32_t)board_read(b, 'l', a))
#define rq(b, a) board_read(b, 'q', a)
#define wb(b, a, v) board_write(b, 'b', a, v)
#define ww(b, a, v) board_write(b, 'w', a, v)
#define wl(b, a, v) board_write(b, 'l', a, v)
#define wq(b, a, v) board_write(b, 'q', a, v)

static inline bool board_irq(Board *b, unsigned n)
{
    g_mutex_lock(&b->lock);
    bool level = b->irq[n];
    g_mutex_unlock(&b->lock);
    return level;
}

static inline bool board_set_port(Board *b, const char *spec, GError **error)
{
    chardev_free(b->port);
    b->port = chardev_open(spec, NULL, error);
    return b->port;
}

/* adds: "-blockdev TEXT", "-drive TEXT", "-object TEXT", "-device TEXT", NULL; "-chardev SPEC" (a short form) is what
   every chardev= stands for. The board starts as
   with no kernel; the PLIC's inputs are intercepted. */
static inline void board_open_as(Board *b, const char *machine_text, const char *const *adds)
{
    g_autoptr(GError) error = NULL;
    memset(b, 0, sizeof *b);
    g_mutex_init(&b->lock);
    b->reply = g_string_new(NULL);
    b->clock = bus_clock_new_manual();
    bus_clock_seed(b->clock, 1);
    b->serial = chardev_memory_new();
    b->port = chardev_memory_new();
    g_autoptr(MachineOptions) o = machine_options_new("riscv64", &error);
    machine_options_parse_machine(o, "riscv64", machine_text, &error);
    machine_options_parse_smp(o, "2", &error);
    machine_options_parse_memory(o, "64M", &error);
    g_assert_no_error(error);
    MachineCpus cpus = {.isa = "rv64imafdc", .mmu_type = "riscv,sv48"};
    b->m = machine_new(o, &cpus, b->clock, &error);
    g_assert_no_error(error);
    machine_set_serial(b->m, 0, b->serial, &error);
    machine_set_chardev_source(b->m, board_chardev, b);
    for (; adds && *adds; adds++) {
        const char *text = strchr(*adds, ' ') + 1;
        bool ok = g_str_has_prefix(*adds, "-blockdev ") ? machine_add_blockdev(b->m, text, &error)
                  : g_str_has_prefix(*adds, "-drive ") ? machine_add_drive(b->m, text, false, &error)
                  : g_str_has_prefix(*adds, "-object ") ? machine_add_object(b->m, text, &error)
                  : g_str_has_prefix(*adds, "-chardev ") ? board_set_port(b, text, &error)
                                                        : machine_add_device(b->m, text, &error);
        g_assert_no_error(error);
        g_assert_true(ok);
    }
    machine_on_io_error(b->m, board_io_error, b);
    machine_start(b->m, board_power, b, &error);
    g_assert_no_error(error);
    b->boot.mode = MACHINE_FIRMWARE_NONE;
    machine_boot(b->m, &b->boot, &b->entry, &error);
    g_assert_no_error(error);
    QtestEnv env = {.space = machine_space(b->m), .clock = b->clock, .device = board_device,
                    .send = board_send, .opaque = b};
    b->q = qtest_new(&env);
    board_do(b, "irq_intercept_in plic");
}

static inline void board_open(Board *b, const char *const *adds)
{
    board_open_as(b, "virt", adds);
}

static inline void board_close(Board *b)
{
    qtest_close(b->q);
    machine_free(b->m);
    qtest_free(b->q);
    bus_clock_free(b->clock);
    chardev_free(b->serial);
    chardev_free(b->port);
    g_string_free(b->reply, TRUE);
    g_mutex_clear(&b->lock);
}

/* ---- virtio-mmio, the driver's side ---------------------------------------- */

enum {
    VM_MAGIC = 0, VM_VERSION = 4, VM_DEVICE = 8, VM_VENDOR = 12, VM_FEATURES = 0x10,
    VM_FEATURES_SEL = 0x14, VM_DRIVER_FEATURES = 0x20, VM_DRIVER_FEATURES_SEL = 0x24,
    VM_QUEUE = 0x30, VM_QUEUE_MAX = 0x34, VM_QUEUE_SIZE = 0x38, VM_READY = 0x44,
    VM_NOTIFY = 0x50, VM_ISR = 0x60, VM_ACK = 0x64, VM_STATUS = 0x70, VM_DESC = 0x80,
    VM_DRIVER = 0x90, VM_USED = 0xa0, VM_GENERATION = 0xfc, VM_CONFIG = 0x100,
};
enum { DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4 };
enum { RING_SIZE = 8 };

/* A queue's three parts, a page apart. */
typedef struct {
    Board *b;
    uint64_t slot, ring;
    unsigned queue;
} Ring;

/* Resets the device and negotiates all but packed rings; returns the status it ends with. */
static inline uint32_t virtio_begin(Board *b, uint64_t slot)
{
    wl(b, slot + VM_STATUS, 0);
    wl(b, slot + VM_STATUS, 3);
    for (uint32_t word = 0; word < 2; word++) {
        wl(b, slot + VM_FEATURES_SEL, word);
        wl(b, slot + VM_DRIVER_FEATURES_SEL, word);
        uint32_t offered = rl(b, slot + VM_FEATURES);
        /* without EVENT_IDX (29) and PACKED (34) */
        wl(b, slot + VM_DRIVER_FEATURES, offered & ~(word ? 4u : 1u << 29));
    }
    wl(b, slot + VM_STATUS, 11);
    return rl(b, slot + VM_STATUS);
}

static inline Ring ring_open(Board *b, uint64_t slot, unsigned queue, uint64_t at)
{
    board_do(b, "memset 0x%" PRIx64 " 0x3000 0", at);
    wl(b, slot + VM_QUEUE, queue);
    wl(b, slot + VM_QUEUE_SIZE, RING_SIZE);
    wl(b, slot + VM_DESC, (uint32_t)at);
    wl(b, slot + VM_DESC + 4, (uint32_t)(at >> 32));
    wl(b, slot + VM_DRIVER, (uint32_t)at + 0x1000);
    wl(b, slot + VM_DRIVER + 4, (uint32_t)(at >> 32));
    wl(b, slot + VM_USED, (uint32_t)at + 0x2000);
    wl(b, slot + VM_USED + 4, (uint32_t)(at >> 32));
    wl(b, slot + VM_READY, 1);
    return (Ring){b, slot, at, queue};
}

static inline void ring_desc(const Ring *r, unsigned i, uint64_t addr, uint32_t len, uint16_t flags,
                             uint16_t next)
{
    wq(r->b, r->ring + 16 * i, addr);
    wl(r->b, r->ring + 16 * i + 8, len);
    ww(r->b, r->ring + 16 * i + 12, flags);
    ww(r->b, r->ring + 16 * i + 14, next);
}

static inline unsigned ring_used(const Ring *r)
{
    return (unsigned)board_read(r->b, 'w', r->ring + 0x2002);
}

static inline void ring_offer(const Ring *r, uint16_t head)
{
    unsigned idx = (unsigned)board_read(r->b, 'w', r->ring + 0x1002);
    ww(r->b, r->ring + 0x1004 + 2 * (idx % RING_SIZE), head);
    ww(r->b, r->ring + 0x1002, (idx + 1) & 0xffff);
    wl(r->b, r->slot + VM_NOTIFY, r->queue);
}

/* Waits, in the host's time, until so many buffers are used; false if they are not. */
static inline bool ring_wait(const Ring *r, unsigned used)
{
    for (unsigned i = 0; i < 30000; i++) {
        if (ring_used(r) == used)
            return true;
        g_usleep(1000);
    }
    return false;
}

/* The device gave up on its driver: NEEDS_RESET and a configuration interrupt. */
static inline bool virtio_broken(Board *b, uint64_t slot)
{
    for (unsigned i = 0; i < 30000; i++) {
        if (rl(b, slot + VM_STATUS) & 64)
            return true;
        g_usleep(1000);
    }
    return false;
}
