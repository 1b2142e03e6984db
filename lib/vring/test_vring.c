/* SPDX-License-Identifier: MIT */
/* Rings as a driver makes them, good and hostile; the driver's side is written out by hand. */
#include "vring/vring.h"

#include "base/bytes.h"

#include <string.h>

#define RAM UINT64_C(0x80000000)
#define RAM_SIZE UINT64_C(0x40000)
#define DESC RAM
#define DRIVER (RAM + 0x1000)
#define DEVICE (RAM + 0x2000)
#define TABLE (RAM + 0x4000)
#define DATA (RAM + 0x10000)
#define UART UINT64_C(0x10000000)

enum { NEXT = 1, WRITE = 2, INDIRECT = 4, SIZE = 8 };

typedef struct {
    BusSpace *space;
    uint8_t *ram;
    Vring ring;
    VringChain chain;
    unsigned touched_mmio;
    uint64_t code_at, code_len;
} Env;

static uint64_t mmio_read(void *opaque, uint64_t offset, unsigned size)
{
    ((Env *)opaque)->touched_mmio++;
    return 0;
}

static void mmio_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    ((Env *)opaque)->touched_mmio++;
}

static void code_written(void *opaque, uint64_t phys, uint64_t len)
{
    Env *env = opaque;
    env->code_at = phys;
    env->code_len = len;
}

static const BusOps mmio_ops = {.read = mmio_read, .write = mmio_write};

static void env_init(Env *env, unsigned flags)
{
    *env = (Env){0};
    env->space = bus_space_new("test", false);
    BusRegion *ram = bus_ram_new(env->space, "ram", RAM, RAM_SIZE, 0, 0, NULL);
    g_assert_nonnull(ram);
    g_assert_nonnull(bus_ram_new(env->space, "rom", RAM + RAM_SIZE, 4096, BUS_RAM_ROM, 0, NULL));
    g_assert_nonnull(bus_mmio_new(env->space, "uart", UART, 0x1000, &mmio_ops, env, 0, NULL));
    env->ram = bus_ram_host(ram);
    bus_set_code_hook(env->space, code_written, env);
    VringConfig config = {DESC, DRIVER, DEVICE, SIZE, flags};
    g_assert_true(vring_start(&env->ring, env->space, &config, NULL));
}

static void env_clear(Env *env)
{
    g_assert_cmpuint(env->touched_mmio, ==, 0);
    vring_chain_clear(&env->chain);
    bus_space_free(env->space);
}

static uint8_t *at(Env *env, uint64_t addr)
{
    return env->ram + (addr - RAM);
}

static void put(Env *env, uint64_t where, uint64_t addr, uint32_t len, uint16_t flags,
                uint16_t next)
{
    uint8_t *p = at(env, where);
    bool packed = env->ring.config.flags & VRING_PACKED;
    st_le64(p, addr);
    st_le32(p + 8, len);
    st_le16(p + (packed ? 14 : 12), flags);
    st_le16(p + (packed ? 12 : 14), next);
}

static void desc(Env *env, unsigned i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
    put(env, DESC + 16 * i, addr, len, flags, next);
}

static void offer(Env *env, uint16_t head)
{
    uint8_t *p = at(env, DRIVER);
    uint16_t idx = ld_le16(p + 2);
    st_le16(p + 4 + 2 * (idx % SIZE), head);
    st_le16(p + 2, (uint16_t)(idx + 1));
}

static void test_split(void)
{
    Env env;
    env_init(&env, 0);
    g_assert_cmpint(vring_pop(&env.ring, &env.chain), ==, VRING_EMPTY);
    memcpy(at(&env, DATA), "header", 6);
    desc(&env, 3, DATA, 6, NEXT, 5);
    desc(&env, 5, DATA + 0x1000, 0x1000, NEXT | WRITE, 1);
    desc(&env, 1, DATA + 0x3000, 1, WRITE, 0);
    offer(&env, 3);
    g_assert_cmpint(vring_pop(&env.ring, &env.chain), ==, VRING_GOT);
    g_assert_cmpuint(env.chain.out_count, ==, 1);
    g_assert_cmpuint(env.chain.in_count, ==, 2);
    g_assert_cmpuint(env.chain.in_bytes, ==, 0x1001);
    char header[6];
    g_assert_false(vring_chain_take(&env.chain, header, 7));
    g_assert_true(vring_chain_take(&env.chain, header, 6));
    g_assert_cmpint(memcmp(header, "header", 6), ==, 0);
    uint8_t *status = vring_chain_take_last(&env.chain);
    g_assert_true(status == at(&env, DATA + 0x3000));
    g_assert_cmpuint(env.chain.in_count, ==, 1);
    g_assert_cmpuint(vring_chain_fill(&env.chain, 0xffe, "abcd", 4), ==, 2);
    g_assert_cmpint(memcmp(at(&env, DATA + 0x1ffe), "ab\0", 3), ==, 0);

    /* what was written is marked, the status byte too */
    BusRamRef code;
    g_assert_true(bus_find_ram(env.space, DATA + 0x3000, &code));
    bus_page_mark(code.flags, BUS_PAGE_CODE);
    vring_push(&env.ring, &env.chain, 0x1001);
    g_assert_cmpuint(env.code_at, ==, DATA + 0x3000);
    g_assert_cmpuint(env.code_len, ==, 1);
    g_assert_cmpuint(ld_le16(at(&env, DEVICE) + 2), ==, 1);
    g_assert_cmpuint(ld_le32(at(&env, DEVICE) + 4), ==, 3);
    g_assert_cmpuint(ld_le32(at(&env, DEVICE) + 8), ==, 0x1001);
    g_assert_true(vring_flush(&env.ring));
    g_assert_false(vring_flush(&env.ring));
    /* the driver wants no interrupts */
    st_le16(at(&env, DRIVER), 1);
    offer(&env, 3);
    g_assert_cmpint(vring_pop(&env.ring, &env.chain), ==, VRING_GOT);
    vring_push(&env.ring, &env.chain, 0);
    g_assert_false(vring_flush(&env.ring));
    /* and is told not to notify */
    g_assert_false(vring_notify(&env.ring, false));
    g_assert_cmpuint(ld_le16(at(&env, DEVICE)), ==, 1);
    offer(&env, 3);
    g_assert_true(vring_notify(&env.ring, true));
    g_assert_cmpuint(ld_le16(at(&env, DEVICE)), ==, 0);
    env_clear(&env);
}

static void test_event_index(void)
{
    Env env;
    env_init(&env, VRING_EVENT_IDX);
    uint8_t *used_event = at(&env, DRIVER) + 4 + 2 * SIZE;
    const uint8_t *avail_event = at(&env, DEVICE) + 4 + 8 * SIZE;
    desc(&env, 0, DATA, 16, 0, 0);
    /* interrupts only when index 2 is used: the third; all the way round the 16-bit index */
    for (unsigned i = 0; i < 66000; i++) {
        st_le16(used_event, (uint16_t)(i / 3 * 3 + 2));
        offer(&env, 0);
        g_assert_cmpint(vring_pop(&env.ring, &env.chain), ==, VRING_GOT);
        vring_push(&env.ring, &env.chain, 0);
        bool wanted = vring_flush(&env.ring);
        if (i)
            g_assert_cmpint(wanted, ==, i % 3 == 2);
    }
    g_assert_false(vring_notify(&env.ring, true));
    g_assert_cmpuint(ld_le16(avail_event), ==, 66000 & 0xffff);
    env_clear(&env);
}

static void test_indirect(void)
{
    Env env;
    env_init(&env, VRING_INDIRECT);
    put(&env, TABLE, DATA, 16, NEXT, 2);
    put(&env, TABLE + 32, DATA + 16, 16, NEXT, 1); /* goes on where the first ends: one piece */
    put(&env, TABLE + 16, DATA + 32, 4, WRITE, 0); /* so would this, but for the direction */
    desc(&env, 0, TABLE, 48, INDIRECT, 0);
    offer(&env, 0);
    g_assert_cmpint(vring_pop(&env.ring, &env.chain), ==, VRING_GOT);
    g_assert_cmpuint(env.chain.out_count, ==, 1);
    g_assert_cmpuint(env.chain.out_bytes, ==, 32);
    g_assert_cmpuint(env.chain.in_count, ==, 1);
    g_assert_cmpuint(env.chain.in_bytes, ==, 4);
    env_clear(&env);
}

static void test_index_restored(void)
{
    Env env;
    env_init(&env, 0);
    desc(&env, 2, DATA, 16, 0, 0);
    st_le16(at(&env, DRIVER) + 2, 41);
    offer(&env, 2);
    VringIndex index = {41, 40, 1, 1};
    VringConfig config = env.ring.config;
    g_assert_true(vring_start(&env.ring, env.space, &config, &index));
    g_assert_cmpint(vring_pop(&env.ring, &env.chain), ==, VRING_GOT);
    vring_push(&env.ring, &env.chain, 0);
    g_assert_cmpuint(ld_le16(at(&env, DEVICE) + 2), ==, 41);
    env_clear(&env);
}

/* ---- Packed ---------------------------------------------------------------- */

enum { AVAIL = 1 << 7, USED = 1 << 15 };

static void test_packed(void)
{
    Env env;
    env_init(&env, VRING_PACKED | VRING_EVENT_IDX);
    unsigned pos = 0;
    bool wrap = true;
    g_assert_cmpint(vring_pop(&env.ring, &env.chain), ==, VRING_EMPTY);
    /* chains of three in a ring of eight: wraps within a chain */
    for (unsigned round = 0; round < 100; round++) {
        unsigned first = pos;
        bool first_wrap = wrap;
        for (unsigned k = 0; k < 3; k++) {
            uint16_t own = wrap ? AVAIL : USED;
            desc(&env, pos, DATA + 0x1000 * k, 8, own | (k < 2 ? NEXT : 0) | (k ? WRITE : 0),
                 (uint16_t)(round + 7));
            if (++pos == SIZE) {
                pos = 0;
                wrap = !wrap;
            }
        }
        g_assert_cmpint(vring_pop(&env.ring, &env.chain), ==, VRING_GOT);
        g_assert_cmpuint(env.chain.out_bytes, ==, 8);
        g_assert_cmpuint(env.chain.in_bytes, ==, 16);
        g_assert_cmpint(vring_pop(&env.ring, &(VringChain){0}), ==, VRING_EMPTY);
        /* an interrupt wanted at this position, or at one behind it */
        bool want = round % 2;
        unsigned event = want ? first : pos;
        st_le16(at(&env, DRIVER), (uint16_t)(event | ((want ? first_wrap : wrap) ? 1 << 15 : 0)));
        st_le16(at(&env, DRIVER) + 2, 2);
        vring_push(&env.ring, &env.chain, 5);
        const uint8_t *used = at(&env, DESC + 16 * first);
        g_assert_cmpuint(ld_le32(used + 8), ==, 5);
        g_assert_cmpuint(ld_le16(used + 12), ==, round + 7);
        g_assert_cmpuint(ld_le16(used + 14), ==, (first_wrap ? AVAIL | USED : 0) | WRITE);
        g_assert_cmpint(vring_flush(&env.ring), ==, want);
    }
    g_assert_false(vring_notify(&env.ring, true));
    g_assert_cmpuint(ld_le16(at(&env, DEVICE)), ==, pos | (wrap ? 1 << 15 : 0));
    g_assert_cmpuint(ld_le16(at(&env, DEVICE) + 2), ==, 2);
    env_clear(&env);
}

static void test_packed_indirect(void)
{
    Env env;
    env_init(&env, VRING_PACKED | VRING_INDIRECT);
    put(&env, TABLE, DATA, 16, 0, 0);
    put(&env, TABLE + 16, DATA + 0x100, 16, WRITE, 0);
    desc(&env, 0, TABLE, 32, INDIRECT | AVAIL, 99);
    g_assert_cmpint(vring_pop(&env.ring, &env.chain), ==, VRING_GOT);
    g_assert_cmpuint(env.chain.out_bytes, ==, 16);
    g_assert_cmpuint(env.chain.in_bytes, ==, 16);
    vring_push(&env.ring, &env.chain, 16);
    g_assert_cmpuint(ld_le16(at(&env, DESC) + 12), ==, 99);
    g_assert_true(vring_flush(&env.ring));
    st_le16(at(&env, DRIVER) + 2, 1);
    env_clear(&env);
}

static void test_packed_endless(void)
{
    Env env;
    env_init(&env, VRING_PACKED);
    for (unsigned i = 0; i < SIZE; i++)
        desc(&env, i, DATA, 8, AVAIL | NEXT, 0);
    g_assert_cmpint(vring_pop(&env.ring, &env.chain), ==, VRING_BROKEN);
    env_clear(&env);
}

/* ---- Hostile ---------------------------------------------------------------- */

typedef struct {
    const char *what;
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
} Bad;

static void test_broken(void)
{
    static const Bad bad[] = {
        {"itself", DATA, 16, NEXT, 0},
        {"next out of range", DATA, 16, NEXT, SIZE},
        {"no length", DATA, 0, 0, 0},
        {"outside of memory", 0x1000, 16, 0, 0},
        {"over the end of memory", RAM + RAM_SIZE + 4090, 16, 0, 0},
        {"over the end of the address space", UINT64_MAX - 7, 16, 0, 0},
        {"a device", UART, 16, 0, 0},
        {"a device, written", UART, 16, WRITE, 0},
        {"ROM, written", RAM + RAM_SIZE, 16, WRITE, 0},
        {"4 GiB", DATA, UINT32_MAX, NEXT, 1},
        {"table of no length", TABLE, 0, INDIRECT, 0},
        {"table of odd length", TABLE, 24, INDIRECT, 0},
        {"table and more", TABLE, 16, INDIRECT | NEXT, 0},
        {"table outside of memory", 0x1000, 16, INDIRECT, 0},
        {"table in a device", UART, 16, INDIRECT, 0},
        {"table at the end", UINT64_MAX - 7, 32, INDIRECT, 0},
        {"table in a table", DESC, 16, INDIRECT, 0},
        {"endless table", TABLE + 0x100, 16, INDIRECT, 0},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        Env env;
        env_init(&env, VRING_INDIRECT);
        g_test_message("%s", bad[i].what);
        desc(&env, 0, bad[i].addr, bad[i].len, bad[i].flags, bad[i].next);
        desc(&env, 1, DATA, 16, 0, 0);
        put(&env, TABLE + 0x100, DATA, 8, NEXT, 0);
        offer(&env, 0);
        g_assert_cmpint(vring_pop(&env.ring, &env.chain), ==, VRING_BROKEN);
        g_assert_nonnull(env.ring.broken);
        g_assert_cmpint(vring_pop(&env.ring, &env.chain), ==, VRING_BROKEN);
        g_assert_false(vring_notify(&env.ring, true));
        env_clear(&env);
    }
}

static void test_order(void)
{
    Env env;
    env_init(&env, 0);
    desc(&env, 0, DATA, 16, NEXT | WRITE, 1);
    desc(&env, 1, DATA, 16, 0, 0);
    offer(&env, 0);
    g_assert_cmpint(vring_pop(&env.ring, &env.chain), ==, VRING_BROKEN);
    env_clear(&env);
}

static void test_heads(void)
{
    Env env;
    env_init(&env, 0);
    offer(&env, SIZE);
    g_assert_cmpint(vring_pop(&env.ring, &env.chain), ==, VRING_BROKEN);
    env_clear(&env);

    env_init(&env, 0);
    st_le16(at(&env, DRIVER) + 2, SIZE + 1);
    g_assert_cmpint(vring_pop(&env.ring, &env.chain), ==, VRING_BROKEN);
    env_clear(&env);

    /* the same buffer again and again, none given back: as many as the ring has, no more */
    env_init(&env, 0);
    desc(&env, 0, DATA, 16, 0, 0);
    VringChain chains[SIZE] = {{0}};
    for (unsigned i = 0; i < SIZE; i++) {
        offer(&env, 0);
        g_assert_cmpint(vring_pop(&env.ring, &chains[i]), ==, VRING_GOT);
    }
    offer(&env, 0);
    g_assert_cmpint(vring_pop(&env.ring, &env.chain), ==, VRING_BROKEN);
    for (unsigned i = 0; i < SIZE; i++) {
        vring_push(&env.ring, &chains[i], 0);
        vring_chain_clear(&chains[i]);
    }
    env_clear(&env);
}

static void test_rings_elsewhere(void)
{
    static const VringConfig bad[] = {
        {DESC, DRIVER, DEVICE, 0, 0},
        {DESC, DRIVER, DEVICE, 7, 0},
        {DESC, DRIVER, DEVICE, 2048, 0},
        {DESC + 8, DRIVER, DEVICE, SIZE, 0},
        {DESC, DRIVER + 1, DEVICE, SIZE, 0},
        {DESC, DRIVER, DEVICE + 2, SIZE, 0},
        {0x1000, DRIVER, DEVICE, SIZE, 0},
        {DESC, UART, DEVICE, SIZE, 0},
        {DESC, DRIVER, RAM + RAM_SIZE, SIZE, 0},
        {RAM + RAM_SIZE, DRIVER, DEVICE, SIZE, VRING_PACKED},
        {UINT64_MAX - 15, DRIVER, DEVICE, SIZE, 0},
    };
    Env env;
    env_init(&env, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_false(vring_start(&env.ring, env.space, &bad[i], NULL));
        g_assert_nonnull(env.ring.broken);
        g_assert_cmpint(vring_pop(&env.ring, &env.chain), ==, VRING_BROKEN);
        g_assert_false(vring_notify(&env.ring, true));
        g_assert_false(vring_flush(&env.ring));
    }
    env_clear(&env);
}

/* Unmapped in flight: the chain goes back, nothing breaks. */
static void test_unmapped(void)
{
    Env env;
    env_init(&env, 0);
    BusRegion *extra = bus_ram_new(env.space, "extra", 0x90000000, 0x1000, 0, 0, NULL);
    desc(&env, 0, 0x90000000, 16, WRITE, 0);
    offer(&env, 0);
    g_assert_cmpint(vring_pop(&env.ring, &env.chain), ==, VRING_GOT);
    bus_region_remove(extra);
    memset(env.chain.in[0].iov_base, 1, 16);
    vring_push(&env.ring, &env.chain, 16);
    g_assert_true(vring_flush(&env.ring));
    offer(&env, 0);
    g_assert_cmpint(vring_pop(&env.ring, &env.chain), ==, VRING_BROKEN);
    env_clear(&env);
}

/* Several buffers are put back, taken again and given at once; flags VRING_PACKED or not. */
static void put_back(unsigned flags)
{
    bool packed = flags & VRING_PACKED;
    Env env;
    VringChain chains[3] = {{0}};
    const uint32_t written[3] = {1, 2, 3};
    env_init(&env, flags);
    /* near the end of the ring, so that what is put back goes over it */
    for (unsigned i = 0; i < SIZE - 2 + 3; i++) {
        bool lap = i >= SIZE;
        desc(&env, i % SIZE, DATA + 0x100 * i, 16,
             (uint16_t)(WRITE | (packed ? (lap ? 1 << 15 : 1 << 7) : 0)), (uint16_t)i);
        if (!packed)
            offer(&env, (uint16_t)(i % SIZE));
        if (i < SIZE - 2) {
            g_assert_cmpint(vring_pop(&env.ring, &env.chain), ==, VRING_GOT);
            vring_push(&env.ring, &env.chain, 1);
        }
    }
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 3; i++) {
            g_assert_cmpint(vring_pop(&env.ring, &chains[i]), ==, VRING_GOT);
            g_assert_true(chains[i].in[0].iov_base == at(&env, DATA + 0x100 * (SIZE - 2 + i)));
        }
        g_assert_cmpint(vring_pop(&env.ring, &env.chain), ==, VRING_EMPTY);
        for (unsigned i = 3; round == 0 && i-- > 0;)
            vring_unpop(&env.ring, &chains[i]);
    }
    vring_push_all(&env.ring, chains, written, 3);
    g_assert_cmpuint(env.ring.in_flight, ==, 0);
    for (unsigned i = 0; i < 3; i++) {
        unsigned slot = (SIZE - 2 + i) % SIZE;
        const uint8_t *p = packed ? at(&env, DESC + 16 * slot) + 8 : at(&env, DEVICE) + 8 + 8 * slot;
        g_assert_cmpuint(ld_le32(p), ==, written[i]);
    }
    for (unsigned i = 0; i < 3; i++)
        vring_chain_clear(&chains[i]);
    env_clear(&env);
}

static void test_put_back(void)
{
    put_back(0);
    put_back(VRING_PACKED);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vring/split", test_split);
    g_test_add_func("/vring/event-index", test_event_index);
    g_test_add_func("/vring/indirect", test_indirect);
    g_test_add_func("/vring/index-restored", test_index_restored);
    g_test_add_func("/vring/put-back", test_put_back);
    g_test_add_func("/vring/packed", test_packed);
    g_test_add_func("/vring/packed-indirect", test_packed_indirect);
    g_test_add_func("/vring/packed-endless", test_packed_endless);
    g_test_add_func("/vring/broken", test_broken);
    g_test_add_func("/vring/order", test_order);
    g_test_add_func("/vring/heads", test_heads);
    g_test_add_func("/vring/rings-elsewhere", test_rings_elsewhere);
    g_test_add_func("/vring/unmapped", test_unmapped);
    return g_test_run();
}
