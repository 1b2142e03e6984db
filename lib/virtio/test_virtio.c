/* SPDX-License-Identifier: MIT */
/* A device that copies, driven through the registers of a virtio-mmio slot. */
#include "virtio/virtio.h"

#include "base/bytes.h"

#include <string.h>

#define RAM UINT64_C(0x80000000)
#define RAM_SIZE UINT64_C(0x40000)
#define DESC(q) (RAM + 0x4000 * (q))
#define DRIVER(q) (DESC(q) + 0x1000)
#define DEVICE(q) (DESC(q) + 0x2000)
#define DATA (RAM + 0x10000)

enum { SIZE = 8, QUEUES = 2, CONFIG_SIZE = 12 };
enum { NEXT = 1, WRITE = 2 };

typedef struct {
    VirtioDevice v;
    VirtioMmio m;
    BusSpace *space;
    uint8_t *ram;
    bool line; /* atomic */
    unsigned drained, resets, slow;
    uint32_t written;
} Copy;

static void copy_notify(VirtioDevice *v, unsigned queue)
{
    Copy *c = (Copy *)v;
    VringChain chain = {0};
    do {
        virtio_quiet(v, queue, true);
        while (virtio_pop(v, queue, &chain)) {
            uint8_t buf[64];
            size_t len = MIN(sizeof buf, chain.out_bytes);
            g_assert_true(vring_chain_take(&chain, buf, len));
            if (c->slow)
                g_usleep(c->slow);
            virtio_push(v, queue, &chain, (uint32_t)vring_chain_fill(&chain, 0, buf, len));
        }
        virtio_flush(v, queue);
    } while (virtio_quiet(v, queue, false));
    vring_chain_clear(&chain);
}

static void copy_drain(VirtioDevice *v)
{
    ((Copy *)v)->drained++;
}

static void copy_reset(VirtioDevice *v)
{
    ((Copy *)v)->resets++;
}

static void copy_read_config(VirtioDevice *v, uint8_t *config)
{
    st_le64(config, 0x1122334455667788);
    st_le32(config + 8, ((Copy *)v)->written);
}

static void copy_write_config(VirtioDevice *v, uint32_t offset, const uint8_t *bytes, uint32_t len)
{
    if (offset == 8 && len == 4)
        ((Copy *)v)->written = ld_le32(bytes);
}

static const VirtioType copy_type = {
    .name = "copy", .id = 42, .drain = copy_drain, .reset = copy_reset, .notify = copy_notify,
    .read_config = copy_read_config, .write_config = copy_write_config,
};

static void line_set(void *opaque, bool level)
{
    __atomic_store_n(&((Copy *)opaque)->line, level, __ATOMIC_RELEASE);
}

static void copy_new(Copy *c)
{
    *c = (Copy){0};
    c->space = bus_space_new("test", false);
    BusRegion *ram = bus_ram_new(c->space, "ram", RAM, RAM_SIZE, 0, 0, NULL);
    g_assert_nonnull(ram);
    c->ram = bus_ram_host(ram);
    virtio_init(&c->v, &copy_type, c->space, QUEUES, SIZE,
                VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC | 2, CONFIG_SIZE);
    virtio_mmio_init(&c->m, line_set, c);
    virtio_mmio_plug(&c->m, &c->v);
}

static void copy_free(Copy *c)
{
    virtio_clear(&c->v);
    virtio_mmio_clear(&c->m);
    bus_space_free(c->space);
}

static uint32_t rd(Copy *c, uint64_t offset)
{
    return (uint32_t)virtio_mmio_read(&c->m, offset, 4);
}

static void wr(Copy *c, uint64_t offset, uint32_t value)
{
    virtio_mmio_write(&c->m, offset, value, 4);
}

static void accept(Copy *c, uint64_t features)
{
    wr(c, 0x70, 1);
    wr(c, 0x70, 3);
    for (uint32_t word = 0; word < 2; word++) {
        wr(c, 0x24, word);
        wr(c, 0x20, (uint32_t)(features >> (32 * word)));
    }
    wr(c, 0x70, 11);
}

static void queue_set(Copy *c, uint32_t queue, uint32_t size, uint64_t desc)
{
    wr(c, 0x30, queue);
    wr(c, 0x38, size);
    wr(c, 0x80, (uint32_t)desc);
    wr(c, 0x84, (uint32_t)(desc >> 32));
    wr(c, 0x90, (uint32_t)DRIVER(queue));
    wr(c, 0x94, 0);
    wr(c, 0xa0, (uint32_t)DEVICE(queue));
    wr(c, 0x44, 1);
}

static void bring_up(Copy *c)
{
    accept(c, VIRTIO_F_VERSION_1);
    g_assert_cmpuint(rd(c, 0x70), ==, 11);
    queue_set(c, 0, SIZE, DESC(0));
    queue_set(c, 1, SIZE, DESC(1));
    g_assert_cmpuint(rd(c, 0x44), ==, 1);
    wr(c, 0x70, 15);
}

static uint8_t *at(Copy *c, uint64_t addr)
{
    return c->ram + (addr - RAM);
}

static void desc(Copy *c, unsigned q, unsigned i, uint64_t addr, uint32_t len, uint16_t flags,
                 uint16_t next)
{
    uint8_t *p = at(c, DESC(q) + 16 * i);
    st_le64(p, addr);
    st_le32(p + 8, len);
    st_le16(p + 12, flags);
    st_le16(p + 14, next);
}

static void offer(Copy *c, unsigned q, uint16_t head)
{
    uint8_t *p = at(c, DRIVER(q));
    uint16_t *idx = (uint16_t *)(void *)(p + 2);
    st_le16(p + 4 + 2 * (*idx % SIZE), head);
    __atomic_store_n(idx, (uint16_t)(*idx + 1), __ATOMIC_RELEASE);
}

static uint16_t used(Copy *c, unsigned q)
{
    return __atomic_load_n((uint16_t *)(void *)(at(c, DEVICE(q)) + 2), __ATOMIC_ACQUIRE);
}

static void wait_line(Copy *c)
{
    for (unsigned i = 0; !__atomic_load_n(&c->line, __ATOMIC_ACQUIRE); i++) {
        g_assert_cmpuint(i, <, 5000);
        g_usleep(1000);
    }
}

/* One copy of a word through queue q. */
static void copy_once(Copy *c, unsigned q)
{
    uint16_t before = used(c, q);
    memcpy(at(c, DATA), "payload", 8);
    memset(at(c, DATA + 0x100), 0, 8);
    desc(c, q, 0, DATA, 8, NEXT, 1);
    desc(c, q, 1, DATA + 0x100, 8, WRITE, 0);
    offer(c, q, 0);
    wr(c, 0x50, q);
    wait_line(c);
    g_assert_cmpuint(used(c, q), ==, (uint16_t)(before + 1));
    g_assert_cmpstr((char *)at(c, DATA + 0x100), ==, "payload");
    g_assert_cmpuint(rd(c, 0x60), ==, 1);
    wr(c, 0x64, 1);
    g_assert_false(c->line);
}

static void test_registers(void)
{
    Copy c;
    copy_new(&c);
    g_assert_cmphex(rd(&c, 0), ==, 0x74726976);
    g_assert_cmpuint(rd(&c, 4), ==, 2);
    g_assert_cmpuint(rd(&c, 8), ==, 42);
    wr(&c, 0x14, 1);
    g_assert_cmphex(rd(&c, 0x10), ==, 1);
    wr(&c, 0x14, 0);
    g_assert_cmphex(rd(&c, 0x10), ==, 0x30000002);
    wr(&c, 0x14, 2);
    g_assert_cmphex(rd(&c, 0x10), ==, 0);
    wr(&c, 0x30, 1);
    g_assert_cmpuint(rd(&c, 0x34), ==, SIZE);
    wr(&c, 0x30, 2);
    g_assert_cmpuint(rd(&c, 0x34), ==, 0);
    g_assert_cmphex(rd(&c, 0xb0), ==, UINT32_MAX);
    /* the configuration, at any size; the rest of the page is nothing */
    g_assert_cmphex(virtio_mmio_read(&c.m, 0x100, 8), ==, 0x1122334455667788);
    g_assert_cmphex(virtio_mmio_read(&c.m, 0x101, 1), ==, 0x77);
    wr(&c, 0x108, 7);
    wr(&c, 0x10c, 9);
    wr(&c, 0xffc, 9);
    g_assert_cmphex(rd(&c, 0x108), ==, 7);
    g_assert_cmphex(virtio_mmio_read(&c.m, 0x108, 8), ==, 7);
    g_assert_cmphex(rd(&c, 0xffc), ==, 0);
    g_assert_cmphex(virtio_mmio_read(&c.m, 0, 1), ==, 0);
    g_assert_cmphex(virtio_mmio_read(&c.m, 2, 4), ==, 0);
    /* an empty slot */
    c.m.v = NULL;
    g_assert_cmpuint(rd(&c, 8), ==, 0);
    g_assert_cmphex(rd(&c, 0x100), ==, 0);
    wr(&c, 0x70, 1);
    copy_free(&c);
}

static void test_negotiation(void)
{
    Copy c;
    copy_new(&c);
    accept(&c, 2); /* without VERSION_1 */
    g_assert_cmpuint(rd(&c, 0x70), ==, 3);
    wr(&c, 0x70, 0);
    accept(&c, VIRTIO_F_VERSION_1 | 4); /* not offered */
    g_assert_cmpuint(rd(&c, 0x70), ==, 3);
    wr(&c, 0x70, 0);
    g_assert_cmpuint(c.resets, ==, 2);
    /* no buffers before DRIVER_OK; then they are seen without a notification */
    accept(&c, VIRTIO_F_VERSION_1);
    queue_set(&c, 0, SIZE, DESC(0));
    desc(&c, 0, 0, DATA, 8, 0, 0);
    offer(&c, 0, 0);
    wr(&c, 0x50, 0);
    g_usleep(10000);
    g_assert_cmpuint(used(&c, 0), ==, 0);
    wr(&c, 0x70, 15);
    wait_line(&c);
    g_assert_cmpuint(used(&c, 0), ==, 1);
    wr(&c, 0x50, 99);
    copy_free(&c);
}

static void test_copy(void)
{
    Copy c;
    copy_new(&c);
    bring_up(&c);
    for (unsigned i = 0; i < 50; i++)
        copy_once(&c, i & 1);
    /* a reset in the middle: the device waits for the buffer it has */
    c.slow = 20000;
    offer(&c, 0, 0);
    wr(&c, 0x50, 0);
    g_usleep(5000);
    wr(&c, 0x70, 0);
    g_assert_cmpuint(rd(&c, 0x70), ==, 0);
    g_assert_false(c.line);
    g_assert_cmpuint(rd(&c, 0x44), ==, 0);
    uint16_t then = used(&c, 0);
    offer(&c, 0, 0);
    wr(&c, 0x50, 0);
    g_usleep(30000);
    g_assert_cmpuint(used(&c, 0), ==, then);
    c.slow = 0;
    memset(c.ram, 0, 0x8000);
    bring_up(&c);
    copy_once(&c, 1);
    copy_free(&c);
}

static void needs_reset(Copy *c)
{
    wait_line(c);
    g_assert_cmpuint(rd(c, 0x60) & 2, ==, 2);
    g_assert_cmpuint(rd(c, 0x70), ==, 15 + VIRTIO_NEEDS_RESET);
    wr(c, 0x70, 0);
    memset(c->ram, 0, 0x8000);
    bring_up(c);
    copy_once(c, 0);
}

static void test_broken(void)
{
    Copy c;
    copy_new(&c);
    bring_up(&c);
    desc(&c, 0, 0, DATA, 8, NEXT, 0);
    offer(&c, 0, 0);
    wr(&c, 0x50, 0);
    needs_reset(&c);
    offer(&c, 1, 999);
    wr(&c, 0x50, 1);
    needs_reset(&c);
    /* rings outside of memory, of a wrong size, too early */
    wr(&c, 0x70, 0);
    accept(&c, VIRTIO_F_VERSION_1);
    queue_set(&c, 0, SIZE, 0x1000);
    g_assert_cmpuint(rd(&c, 0x44), ==, 0);
    g_assert_cmpuint(rd(&c, 0x70) & VIRTIO_NEEDS_RESET, !=, 0);
    static const uint32_t sizes[] = {0, 3, SIZE * 2, 65536 + SIZE, UINT32_MAX};
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        wr(&c, 0x70, 0);
        accept(&c, VIRTIO_F_VERSION_1);
        queue_set(&c, 0, sizes[i], DESC(0));
        g_assert_cmpuint(rd(&c, 0x44), ==, 0);
        g_assert_cmpuint(rd(&c, 0x70) & VIRTIO_NEEDS_RESET, !=, 0);
    }
    wr(&c, 0x70, 0);
    queue_set(&c, 0, SIZE, DESC(0));
    g_assert_cmpuint(rd(&c, 0x44), ==, 0);
    copy_free(&c);
}

static void test_queue_off(void)
{
    Copy c;
    copy_new(&c);
    bring_up(&c);
    copy_once(&c, 0);
    wr(&c, 0x30, 0);
    wr(&c, 0x44, 0);
    g_assert_cmpuint(rd(&c, 0x44), ==, 0);
    offer(&c, 0, 0);
    wr(&c, 0x50, 0);
    copy_once(&c, 1);
    g_assert_cmpuint(used(&c, 0), ==, 1);
    copy_free(&c);
}

static void test_saved(void)
{
    static const StateField fields[] = {VIRTIO_SAVED(Copy, v), STATE_END};
    Copy c;
    copy_new(&c);
    bring_up(&c);
    for (unsigned i = 0; i < 5; i++)
        copy_once(&c, 1);
    virtio_saving(&c.v);
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    state_save(fields, &c, bytes);
    /* buffers that nobody has looked at yet are found after loading */
    offer(&c, 1, 0);
    virtio_reset(&c.v);
    g_assert_cmpuint(rd(&c, 0x70), ==, 0);
    size_t pos = 0;
    g_assert_true(state_load(fields, &c, bytes->data, bytes->len, &pos, NULL));
    g_assert_true(virtio_loaded(&c.v, NULL));
    wait_line(&c);
    g_assert_cmpuint(used(&c, 1), ==, 6);
    wr(&c, 0x64, 1);
    copy_once(&c, 1);
    /* a state that lies */
    c.v.saved[0] = SIZE * 2 | 1 << 16;
    g_assert_false(virtio_loaded(&c.v, NULL));
    c.v.accepted |= 4;
    g_assert_false(virtio_loaded(&c.v, NULL));
    copy_free(&c);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio/registers", test_registers);
    g_test_add_func("/virtio/negotiation", test_negotiation);
    g_test_add_func("/virtio/copy", test_copy);
    g_test_add_func("/virtio/broken", test_broken);
    g_test_add_func("/virtio/queue-off", test_queue_off);
    g_test_add_func("/virtio/saved", test_saved);
    return g_test_run();
}
