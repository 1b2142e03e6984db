/* SPDX-License-Identifier: MIT */
/* A virtio device in a slot, and the driver's side of it by hand; split rings. */
#pragma once

#include "base/test_wait.h"
#include "devices/device.h"

#include "base/bytes.h"

#include <string.h>

#define RAM UINT64_C(0x80000000)
#define RAM_SIZE UINT64_C(0x200000)
#define SLOT UINT64_C(0x10001000)
#define RING(q) (RAM + 0x4000 * (q))
#define BUFFERS(q) (RAM + 0x40000 + 0x40000 * (q))

enum { SIZE = 64, QUEUES = 5, NEXT = 1, WRITE = 2 };

typedef struct {
    BusSpace *space;
    BusClock *clock;
    BusRegion *region;
    Device *slot, *dev;
    uint8_t *ram;
    uint16_t seen[QUEUES]; /* used entries looked at */
    bool line;             /* atomic */
} Card;

static inline void line_set(void *opaque, int n, bool level)
{
    __atomic_store_n(&((Card *)opaque)->line, level, __ATOMIC_RELEASE);
}

static inline void wr(Card *c, uint64_t offset, uint32_t value)
{
    g_assert_cmpint(bus_write(c->space, SLOT + offset, value, 4), ==, BUS_OK);
}

static inline uint32_t rd(Card *c, uint64_t offset, unsigned size)
{
    uint64_t value;
    g_assert_cmpint(bus_read(c->space, SLOT + offset, size, &value), ==, BUS_OK);
    return (uint32_t)value;
}

static inline uint8_t *at(Card *c, uint64_t addr)
{
    return c->ram + (addr - RAM);
}

/* To DRIVER_OK with all that is offered but for these features. */
static inline void bring_up(Card *c, uint64_t without)
{
    wr(c, 0x70, 0);
    memset(at(c, RAM), 0, 0x40000);
    memset(c->seen, 0, sizeof c->seen);
    wr(c, 0x70, 3);
    for (uint32_t word = 0; word < 2; word++) {
        wr(c, 0x14, word);
        wr(c, 0x24, word);
        wr(c, 0x20, rd(c, 0x10, 4) & ~(uint32_t)(without >> 32 * word));
    }
    wr(c, 0x70, 11);
    g_assert_cmpuint(rd(c, 0x70, 4), ==, 11);
    for (uint32_t q = 0; q < QUEUES; q++) {
        wr(c, 0x30, q);
        if (!rd(c, 0x34, 4))
            break;
        wr(c, 0x38, SIZE);
        wr(c, 0x80, (uint32_t)RING(q));
        wr(c, 0x90, (uint32_t)RING(q) + 0x1000);
        wr(c, 0xa0, (uint32_t)RING(q) + 0x2000);
        wr(c, 0x44, 1);
    }
    wr(c, 0x70, 15);
    g_assert_cmpuint(rd(c, 0x70, 4), ==, 15);
}

/* A device of that type in a slot of its own machine. props: "name=value" in turn, or NULL. */
static inline void card_make(Card *c, const char *type, const char *const *props)
{
    g_autoptr(GError) error = NULL;
    *c = (Card){.space = bus_space_new("t", false), .clock = bus_clock_new_manual()};
    c->region = bus_ram_new(c->space, "ram", RAM, RAM_SIZE, 0, 0, NULL);
    c->ram = bus_ram_host(c->region);
    c->slot = device_new(device_type_find("virtio-mmio"), "slot");
    c->dev = device_new(device_type_find(type), "card");
    device_connect(c->slot, 0, (BusIrq){line_set, c, 0});
    device_place(c->slot, 0, SLOT);
    for (; props && *props; props++) {
        g_auto(GStrv) parts = g_strsplit(*props, "=", 2);
        device_set(c->dev, parts[0], parts[1], &error);
        g_assert_no_error(error);
    }
}

static inline void card_start(Card *c)
{
    g_autoptr(GError) error = NULL;
    g_assert_true(c->slot->type->plug(c->slot, c->dev, NULL));
    DeviceEnv env = {.space = c->space, .clock = c->clock};
    g_assert_true(device_start(c->slot, &env, NULL));
    device_start(c->dev, &env, &error);
    g_assert_no_error(error);
    bring_up(c, 0);
}

static inline void card_clear(Card *c)
{
    device_free(c->dev);
    device_free(c->slot);
    bus_clock_free(c->clock);
    bus_space_free(c->space);
}

/* ---- The driver's side ------------------------------------------------------------- */

static inline void desc(Card *c, unsigned q, unsigned i, uint64_t addr, uint32_t len, uint16_t flags)
{
    uint8_t *p = at(c, RING(q) + 16 * i);
    st_le64(p, addr);
    st_le32(p + 8, len);
    st_le16(p + 12, flags);
    st_le16(p + 14, (uint16_t)(i + 1));
}

static inline void offer(Card *c, unsigned q, unsigned head)
{
    uint8_t *p = at(c, RING(q) + 0x1000);
    uint16_t *idx = (uint16_t *)(void *)(p + 2);
    /* an interrupt for each */
    __atomic_store_n((uint16_t *)(void *)(p + 4 + 2 * SIZE), *idx, __ATOMIC_RELAXED);
    st_le16(p + 4 + 2 * (*idx % SIZE), (uint16_t)head);
    __atomic_store_n(idx, (uint16_t)(*idx + 1), __ATOMIC_RELEASE);
    wr(c, 0x50, q);
}

static inline uint16_t used(Card *c, unsigned q)
{
    return __atomic_load_n((uint16_t *)(void *)(at(c, RING(q) + 0x2000) + 2), __ATOMIC_ACQUIRE);
}


/* Long enough for what must not happen. */
static inline void run_a_while(void)
{
    gint64 until = g_get_monotonic_time() + 30000;
    while (g_get_monotonic_time() < until)
        if (!g_main_context_iteration(NULL, FALSE))
            g_usleep(100);
}
