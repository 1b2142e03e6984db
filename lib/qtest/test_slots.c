/* SPDX-License-Identifier: MIT */
/* virtio-mmio slots of a board over the protocol: identity and reset values, requests that work, and
   rings and descriptors as a hostile driver would make them. What goes wrong shows to the guest as an
   unused buffer, a status byte or NEEDS_RESET; nothing else happens. */
#include "qtest/test_board.h"

#define RING (RAM + 0x10000)
#define HEADER (RAM + 0x20000)
#define STATUS_BYTE (RAM + 0x20100)
#define DATA (RAM + 0x21000)

/* The first device added is in the last slot. */
#define BLK SLOT(8)
#define RNG SLOT(7)
#define SERIAL SLOT(6)
#define EMPTY SLOT(1)

static const char *const devices[] = {
    "-blockdev driver=null-co,node-name=n,size=1M,read-zeroes=on", "-device virtio-blk-device,drive=n,id=blk",
    "-device virtio-rng-device,id=rng", "-device virtio-serial-device,id=ser",
    "-device virtconsole,chardev=c,id=con", NULL};

static void test_identity(void)
{
    static const struct {
        uint64_t slot;
        uint32_t id;
    } want[] = {{BLK, 2}, {RNG, 4}, {SERIAL, 3}, {EMPTY, 0}};
    Board b;
    board_open(&b, devices);
    for (size_t i = 0; i < G_N_ELEMENTS(want); i++) {
        uint64_t slot = want[i].slot;
        g_assert_cmphex(rl(&b, slot + VM_MAGIC), ==, 0x74726976);
        g_assert_cmphex(rl(&b, slot + VM_VERSION), ==, 2);
        g_assert_cmphex(rl(&b, slot + VM_DEVICE), ==, want[i].id);
        g_assert_cmphex(rl(&b, slot + VM_VENDOR), ==, 0x554d4551);
        g_assert_cmphex(rl(&b, slot + VM_STATUS), ==, 0);
        g_assert_cmphex(rl(&b, slot + VM_ISR), ==, 0);
        g_assert_cmphex(rl(&b, slot + VM_READY), ==, 0);
        /* Read-only, write-only, narrow. */
        wl(&b, slot + VM_MAGIC, 0);
        wl(&b, slot + VM_ISR, 3);
        wl(&b, slot + VM_QUEUE_MAX, 7);
        g_assert_cmphex(rl(&b, slot + VM_MAGIC), ==, 0x74726976);
        g_assert_cmphex(rl(&b, slot + VM_ISR), ==, 0);
        g_assert_cmphex(rl(&b, slot + VM_QUEUE), ==, 0);
        g_assert_cmphex(rb(&b, slot + VM_MAGIC), ==, 0);
        g_assert_cmphex(rq(&b, slot + VM_MAGIC), ==, 0);
        if (!want[i].id)
            continue;
        uint32_t max = rl(&b, slot + VM_QUEUE_MAX);
        g_assert_cmpuint(max, >=, RING_SIZE);
        g_assert_cmpuint(max & (max - 1), ==, 0);
        wl(&b, slot + VM_QUEUE, 1000); /* no such queue */
        g_assert_cmphex(rl(&b, slot + VM_QUEUE_MAX), ==, 0);
        wl(&b, slot + VM_READY, 1);
        g_assert_cmphex(rl(&b, slot + VM_READY), ==, 0);
        wl(&b, slot + VM_NOTIFY, 1000);
        wl(&b, slot + VM_FEATURES_SEL, 1);
        g_assert_cmphex(rl(&b, slot + VM_FEATURES) & 1, ==, 1); /* VERSION_1 */
        wl(&b, slot + VM_FEATURES_SEL, 2);
        g_assert_cmphex(rl(&b, slot + VM_FEATURES), ==, 0);
        g_assert_cmphex(rq(&b, slot + 0xff8), ==, 0); /* far behind the configuration */
    }
    /* blk: capacity in sectors */
    g_assert_cmpuint(rq(&b, BLK + VM_CONFIG), ==, 2048);
    g_assert_cmpuint(rl(&b, BLK + VM_CONFIG), ==, 2048);
    board_close(&b);
}

static void test_negotiation(void)
{
    Board b;
    board_open(&b, devices);
    /* What is not offered is not accepted, and without VERSION_1 there is no way on. */
    wl(&b, RNG + VM_STATUS, 3);
    wl(&b, RNG + VM_DRIVER_FEATURES_SEL, 0);
    wl(&b, RNG + VM_DRIVER_FEATURES, 0xffffffff);
    wl(&b, RNG + VM_STATUS, 11);
    g_assert_cmphex(rl(&b, RNG + VM_STATUS) & 8, ==, 0);
    wl(&b, RNG + VM_STATUS, 0);
    g_assert_cmphex(rl(&b, RNG + VM_STATUS), ==, 0);
    g_assert_cmphex(virtio_begin(&b, RNG), ==, 11);
    /* A queue whose size is not a power of two, zero, or too large does not work. */
    static const uint32_t sizes[] = {0, 3, 0x8000, 0x10000, UINT32_MAX};
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        wl(&b, RNG + VM_QUEUE, 0);
        wl(&b, RNG + VM_QUEUE_SIZE, sizes[i]);
        wl(&b, RNG + VM_READY, 1);
        wl(&b, RNG + VM_STATUS, 15);
        wl(&b, RNG + VM_NOTIFY, 0);
        virtio_begin(&b, RNG);
    }
    board_close(&b);
}

/* ---- blk ------------------------------------------------------------------------ */

static Ring blk_open(Board *b)
{
    g_assert_cmphex(virtio_begin(b, BLK), ==, 11);
    Ring r = ring_open(b, BLK, 0, RING);
    wl(b, BLK + VM_STATUS, 15);
    wb(b, STATUS_BYTE, 0xee);
    return r;
}

static void blk_header(Board *b, uint32_t type, uint64_t sector)
{
    wl(b, HEADER, type);
    wl(b, HEADER + 4, 0);
    wq(b, HEADER + 8, sector);
}

/* A read of len bytes to addr: header, data, status. */
static void blk_chain(Ring *r, uint64_t addr, uint32_t len)
{
    blk_header(r->b, 0, 0);
    ring_desc(r, 0, HEADER, 16, DESC_NEXT, 1);
    ring_desc(r, 1, addr, len, DESC_NEXT | DESC_WRITE, 2);
    ring_desc(r, 2, STATUS_BYTE, 1, DESC_WRITE, 0);
}

static void test_blk(void)
{
    Board b;
    board_open(&b, devices);
    Ring r = blk_open(&b);
    board_do(&b, "memset 0x%" PRIx64 " 0x200 0xaa", DATA);
    blk_chain(&r, DATA, 512);
    ring_offer(&r, 0);
    g_assert_true(ring_wait(&r, 1));
    g_assert_cmphex(rb(&b, STATUS_BYTE), ==, 0);
    g_assert_cmphex(rq(&b, DATA), ==, 0);
    g_assert_cmphex(rl(&b, RING + 0x2008), ==, 513);
    /* The line is up until the cause is acknowledged, and by nothing else. */
    for (unsigned i = 0; i < 1000 && !board_irq(&b, 8); i++)
        g_usleep(1000);
    g_assert_true(board_irq(&b, 8));
    g_assert_cmphex(rl(&b, BLK + VM_ISR), ==, 1);
    wl(&b, BLK + VM_ACK, 2);
    g_assert_true(board_irq(&b, 8));
    wl(&b, BLK + VM_ACK, 1);
    g_assert_false(board_irq(&b, 8));
    g_assert_cmphex(rl(&b, BLK + VM_ISR), ==, 0);

    /* Past the end, an unknown type, no data: errors by the status byte. */
    blk_header(&b, 0, 2048);
    ring_offer(&r, 0);
    g_assert_true(ring_wait(&r, 2));
    g_assert_cmphex(rb(&b, STATUS_BYTE), ==, 1);
    blk_header(&b, 77, 0);
    ring_offer(&r, 0);
    g_assert_true(ring_wait(&r, 3));
    g_assert_cmphex(rb(&b, STATUS_BYTE), ==, 2);
    blk_chain(&r, DATA, 100); /* not whole sectors */
    ring_offer(&r, 0);
    g_assert_true(ring_wait(&r, 4));
    g_assert_cmphex(rb(&b, STATUS_BYTE), ==, 1);
    board_close(&b);
}

/* Each breaks the device, or is a buffer used with an error; afterwards a reset makes it work. */
static void test_blk_hostile(void)
{
    static const struct {
        const char *what;
        uint64_t addr;
        uint32_t len;
    } data[] = {
        {"no length", DATA, 0},
        {"outside of memory", 0x28000000, 512},
        {"over its end", RAM + RAM_SIZE - 256, 512},
        {"wrapping around", UINT64_MAX - 255, 512},
        {"onto the device itself", BLK, 512},
        {"onto another device", PLIC, 512},
        {"onto fw_cfg's DMA register", FW_CFG, 512},
        {"onto flash", FLASH, 512},
        {"onto its own ring", RING, 512},
        {"too much", RAM, 0xfffffe00},
    };
    Board b;
    board_open(&b, devices);
    for (size_t i = 0; i < G_N_ELEMENTS(data); i++) {
        Ring r = blk_open(&b);
        blk_chain(&r, data[i].addr, data[i].len);
        g_test_message("%s", data[i].what);
        ring_offer(&r, 0);
        bool answered = data[i].addr == RING; /* which is no ring any more */
        for (unsigned k = 0; k < 3000 && !answered; k++) {
            answered = ring_used(&r) == 1 || rl(&b, BLK + VM_STATUS) & 64;
            g_usleep(1000);
        }
        g_assert_true(answered);
    }
    Ring r = blk_open(&b);
    blk_chain(&r, DATA, 512);
    ring_offer(&r, 0);
    g_assert_true(ring_wait(&r, 1));
    g_assert_cmphex(rb(&b, STATUS_BYTE), ==, 0);
    board_close(&b);
}

/* Chains that are none: the ring is broken, which the status says. */
static void test_ring_hostile(void)
{
    Board b;
    board_open(&b, devices);
    for (unsigned kind = 0; kind < 6; kind++) {
        Ring r = blk_open(&b);
        blk_chain(&r, DATA, 512);
        uint16_t head = 0;
        switch (kind) {
        case 0: head = RING_SIZE; break;                                  /* a head out of range */
        case 1: head = 0xffff; break;
        case 2: ring_desc(&r, 1, DATA, 512, DESC_NEXT | DESC_WRITE, 1); break;      /* to itself */
        case 3: ring_desc(&r, 1, DATA, 512, DESC_NEXT | DESC_WRITE, RING_SIZE); break;
        case 4: ring_desc(&r, 2, HEADER, 16, DESC_NEXT, 0); break;         /* round and round */
        case 5: /* an indirect table that is no whole number of descriptors */
            ring_desc(&r, 0, HEADER, 17, DESC_INDIRECT, 0);
            break;
        }
        ring_offer(&r, head);
        g_assert_true(virtio_broken(&b, BLK));
        for (unsigned i = 0; i < 1000 && !(rl(&b, BLK + VM_ISR) & 2); i++)
            g_usleep(1000);
        g_assert_cmphex(rl(&b, BLK + VM_ISR) & 2, ==, 2); /* a configuration interrupt */
        g_assert_cmpuint(ring_used(&r), ==, 0);
    }
    /* An index too far ahead. */
    Ring r = blk_open(&b);
    blk_chain(&r, DATA, 512);
    ww(&b, RING + 0x1002, 0x7000);
    wl(&b, BLK + VM_NOTIFY, 0);
    g_assert_true(virtio_broken(&b, BLK));
    board_close(&b);
}

/* The rings are where there is no memory, or leave it. */
static void test_ring_unmapped(void)
{
    static const uint64_t where[] = {0, 0x28000000, RAM + RAM_SIZE - 0x1000, UINT64_C(1) << 40,
                                     0xfffffffffffff000, BLK & ~UINT64_C(0xfff), FLASH, 0x1000};
    Board b;
    board_open(&b, devices);
    for (size_t i = 0; i < G_N_ELEMENTS(where); i++) {
        g_assert_cmphex(virtio_begin(&b, BLK), ==, 11);
        ring_open(&b, BLK, 0, where[i]);
        wl(&b, BLK + VM_STATUS, 15);
        wl(&b, BLK + VM_NOTIFY, 0);
        g_usleep(2000);
    }
    /* In flight: the address moves while the queue is enabled, which changes nothing; then the queue
       is taken away under a request. */
    Ring r = blk_open(&b);
    blk_chain(&r, DATA, 512);
    wl(&b, BLK + VM_QUEUE, 0);
    wl(&b, BLK + VM_DESC + 4, 0x5000);
    ring_offer(&r, 0);
    g_assert_true(ring_wait(&r, 1));
    for (unsigned i = 0; i < 20; i++) {
        r = blk_open(&b);
        blk_chain(&r, DATA, 512);
        ring_offer(&r, 0);
        wl(&b, BLK + VM_READY, 0);
        wl(&b, BLK + VM_STATUS, 0);
        g_assert_cmphex(rl(&b, BLK + VM_STATUS), ==, 0);
        g_assert_cmphex(rl(&b, BLK + VM_ISR), ==, 0);
    }
    /* Misaligned rings. */
    g_assert_cmphex(virtio_begin(&b, BLK), ==, 11);
    ring_open(&b, BLK, 0, RING + 1);
    wl(&b, BLK + VM_STATUS, 15);
    wl(&b, BLK + VM_NOTIFY, 0);
    g_usleep(2000);
    r = blk_open(&b);
    blk_chain(&r, DATA, 512);
    ring_offer(&r, 0);
    g_assert_true(ring_wait(&r, 1));
    board_close(&b);
}

/* ---- rng and console -------------------------------------------------------------- */

static void test_rng(void)
{
    Board b;
    board_open(&b, devices);
    g_assert_cmphex(virtio_begin(&b, RNG), ==, 11);
    Ring r = ring_open(&b, RNG, 0, RING);
    wl(&b, RNG + VM_STATUS, 15);
    ring_desc(&r, 0, DATA, 64, DESC_WRITE, 0);
    ring_offer(&r, 0);
    g_assert_true(ring_wait(&r, 1));
    g_assert_cmpuint(rl(&b, RING + 0x2008), ==, 64);
    g_assert_cmphex(rq(&b, DATA) | rq(&b, DATA + 56), !=, 0);
    /* Nothing to fill, a buffer to read, one that is not there. */
    ring_desc(&r, 0, DATA, 64, 0, 0);
    ring_offer(&r, 0);
    g_usleep(5000);
    virtio_begin(&b, RNG);
    r = ring_open(&b, RNG, 0, RING);
    wl(&b, RNG + VM_STATUS, 15);
    ring_desc(&r, 0, 0x28000000, 64, DESC_WRITE, 0);
    ring_offer(&r, 0);
    g_usleep(5000);
    board_close(&b);
}

static void test_console(void)
{
    Board b;
    board_open(&b, devices);
    g_assert_cmphex(virtio_begin(&b, SERIAL), ==, 11);
    ring_open(&b, SERIAL, 0, RING);
    Ring tx = ring_open(&b, SERIAL, 1, RING + 0x4000);
    wl(&b, SERIAL + VM_STATUS, 15);
    board_do(&b, "write 0x%" PRIx64 " 5 0x68656c6c6f", DATA);
    ring_desc(&tx, 0, DATA, 5, 0, 0);
    ring_offer(&tx, 0);
    g_assert_true(ring_wait(&tx, 1));
    g_autoptr(GBytes) out = chardev_memory_take_output(b.port);
    g_assert_cmpmem(g_bytes_get_data(out, NULL), g_bytes_get_size(out), "hello", 5);
    board_close(&b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/slots/identity", test_identity);
    g_test_add_func("/slots/negotiation", test_negotiation);
    g_test_add_func("/slots/blk", test_blk);
    g_test_add_func("/slots/blk-hostile", test_blk_hostile);
    g_test_add_func("/slots/ring-hostile", test_ring_hostile);
    g_test_add_func("/slots/ring-unmapped", test_ring_unmapped);
    g_test_add_func("/slots/rng", test_rng);
    g_test_add_func("/slots/console", test_console);
    return g_test_run();
}
