/* SPDX-License-Identifier: MIT */
/* virtio over PCI as drivers use it, modern and legacy: capabilities, registers, the window in
   configuration space, MSI-X, resets; with the devices that matter behind it. */
#include "qtest/test_full_disk.h"

#define RING (RAM + 0x10000)
#define HEADER (RAM + 0x20000)
#define STATUS_BYTE (RAM + 0x20100)
#define DATA (RAM + 0x21000)
#define VECTORS (RAM + 0x9000)

static const char *const devices[] = {
    "-blockdev driver=null-co,node-name=n,size=1M,read-zeroes=on",
    "-device virtio-blk-pci,drive=n,id=blk,addr=1", "-device virtio-net-pci,id=net,addr=2",
    "-device virtio-rng-pci,id=rng,addr=3", "-device virtio-serial-pci,id=ser,addr=4",
    "-device virtio-balloon-pci,id=bal,addr=5",
    "-blockdev driver=null-co,node-name=s,size=1M,latency-ns=20000000",
    "-device virtio-blk-pci,drive=s,id=slow,addr=6,disable-legacy=on", NULL};

static const struct {
    unsigned id, class_code;
} known[] = {{1, 0x020000}, {2, 0x010000}, {4, 0x00ff00}, {3, 0x078000}, {5, 0x00ff00}};

static void test_identity(void)
{
    Board b;
    PciPool pool = PCI_POOL;
    board_open(&b, devices);
    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        Virtio v;
        if (known[i].id == 2) /* the transitional one of two */
            g_assert_true(pci_find(&b, 0, 0x1af4, 0x1001, 0, &v.pci));
        g_assert_true(virtio_find(&b, 0, known[i].id == 2 ? 2 : known[i].id, &pool, &v));
        g_assert_cmphex(cfg(&v.pci, 'l', PCI_CLASS_REVISION) >> 8, ==, known[i].class_code);
        uint64_t c = v.common;
        g_assert_cmphex(rb(&b, c + VC_STATUS), ==, 0);
        g_assert_cmphex(rb(&b, v.isr), ==, 0);
        unsigned queues = (unsigned)board_read(&b, 'w', c + VC_QUEUES);
        g_assert_cmpuint(queues, >=, 1);
        for (unsigned q = 0; q < queues; q++) {
            ww(&b, c + VC_QUEUE, q);
            unsigned size = (unsigned)board_read(&b, 'w', c + VC_SIZE);
            g_assert_cmpuint(size, >=, RING_SIZE);
            g_assert_cmpuint(size & (size - 1), ==, 0);
            g_assert_cmphex(board_read(&b, 'w', c + VC_ENABLE), ==, 0);
            g_assert_cmphex(board_read(&b, 'w', c + VC_VECTOR), ==, 0xffff);
            g_assert_cmphex(rq(&b, c + VC_DESC), ==, 0);
            ww(&b, c + VC_VECTOR, 1000); /* none: what it reads as tells */
            g_assert_cmphex(board_read(&b, 'w', c + VC_VECTOR), ==, 0xffff);
            ww(&b, c + VC_VECTOR, 0);
            g_assert_cmphex(board_read(&b, 'w', c + VC_VECTOR), ==, 0);
        }
        ww(&b, c + VC_QUEUE, queues); /* no such queue */
        g_assert_cmphex(board_read(&b, 'w', c + VC_SIZE), ==, 0);
        ww(&b, c + VC_ENABLE, 1);
        wq(&b, c + VC_DESC, RING);
        g_assert_cmphex(board_read(&b, 'w', c + VC_ENABLE), ==, 0);
        wl(&b, v.notify + 4 * queues, queues);
        wl(&b, v.notify + 0xffc, 0xffff);
        /* Read-only, and accesses that are no field's. */
        ww(&b, c + VC_QUEUES, 0);
        g_assert_cmpuint(board_read(&b, 'w', c + VC_QUEUES), ==, queues);
        wl(&b, c + VC_STATUS, 0x0f0f0f0f);
        g_assert_cmphex(rb(&b, c + VC_STATUS), ==, 0);
        g_assert_cmphex(rl(&b, c + 0x40), ==, 0);
        wl(&b, c + VC_DEVICE_FEATURES_SEL, 1);
        g_assert_cmphex(rl(&b, c + VC_DEVICE_FEATURES) & 1, ==, 1);
        wl(&b, c + VC_DEVICE_FEATURES_SEL, 2);
        g_assert_cmphex(rl(&b, c + VC_DEVICE_FEATURES), ==, 0);
        g_assert_cmphex(rq(&b, v.config + 0xff8), ==, 0);
        g_assert_cmphex(virtio_agree(&v), ==, 11);
        /* A ring that is not in RAM, or is in the device's own registers. */
        static const uint64_t bad[] = {0, UART, UINT64_MAX - 4095, RAM + RAM_SIZE};
        for (size_t k = 0; k <= G_N_ELEMENTS(bad); k++) {
            g_assert_cmphex(virtio_agree(&v), ==, 11);
            uint64_t at = k < G_N_ELEMENTS(bad) ? bad[k] : v.pci.bar[4];
            ww(&b, c + VC_QUEUE, 0);
            wq(&b, c + VC_DESC, at);
            wq(&b, c + VC_DRIVER, at);
            wq(&b, c + VC_USED, at);
            ww(&b, c + VC_ENABLE, 1);
            g_assert_cmphex(rb(&b, c + VC_STATUS) & 64, ==, 64);
            wb(&b, c + VC_STATUS, 0);
            g_assert_cmphex(rb(&b, c + VC_STATUS), ==, 0);
        }
    }
    board_close(&b);
}

/* ---- Requests -------------------------------------------------------------------------- */

static void blk_request(const Ring *r, uint32_t type, uint64_t sector)
{
    wl(r->b, HEADER, type);
    wl(r->b, HEADER + 4, 0);
    wq(r->b, HEADER + 8, sector);
    wb(r->b, STATUS_BYTE, 0xee);
    ring_desc(r, 0, HEADER, 16, DESC_NEXT, 1);
    ring_desc(r, 1, DATA, 512, DESC_NEXT | (type == 0 ? DESC_WRITE : 0), 2);
    ring_desc(r, 2, STATUS_BYTE, 1, DESC_WRITE, 0);
    ring_offer(r, 0);
}

static void test_blk(void)
{
    Board b;
    Virtio v;
    PciPool pool = PCI_POOL;
    board_open(&b, devices);
    g_assert_true(pci_find(&b, 0, 0x1af4, 0x1001, 0, &v.pci));
    pci_place(&v.pci, &pool);
    virtio_walk(&v);
    g_assert_cmpuint(rq(&b, v.config), ==, 2048);
    /* The pin first: slot 1 is INTB. */
    g_assert_cmphex(virtio_agree(&v), ==, 11);
    Ring r = virtio_ring(&v, 0, RING, 0xffff);
    virtio_go(&v);
    board_do(&b, "memset 0x%" PRIx64 " 512 0x55", DATA);
    blk_request(&r, 0, 0);
    g_assert_true(ring_wait(&r, 1));
    g_assert_cmphex(rb(&b, STATUS_BYTE), ==, 0);
    g_assert_cmphex(rq(&b, DATA), ==, 0);
    for (unsigned i = 0; i < 1000 && !board_irq(&b, 33); i++)
        g_usleep(1000);
    g_assert_true(board_irq(&b, 33));
    g_assert_cmphex(rb(&b, v.isr), ==, 1);
    g_assert_false(board_irq(&b, 33));
    g_assert_cmphex(rb(&b, v.isr), ==, 0);
    /* Messages: the queue's vector, and nothing of the pin. */
    g_assert_cmphex(virtio_agree(&v), ==, 11);
    g_assert_cmpuint(pci_msix_on_ram(&v.pci, VECTORS, 0x700), ==, 2);
    ww(&b, v.common + VC_CONFIG_VECTOR, 0);
    r = virtio_ring(&v, 0, RING, 1);
    virtio_go(&v);
    blk_request(&r, 1, 2047);
    g_assert_true(pci_wait(&b, VECTORS + 4, 0x701));
    g_assert_true(ring_wait(&r, 1));
    g_assert_cmphex(rb(&b, STATUS_BYTE), ==, 0);
    g_assert_false(board_irq(&b, 33));
    blk_request(&r, 1, 2048); /* behind the end */
    g_assert_true(ring_wait(&r, 2));
    g_assert_cmphex(rb(&b, STATUS_BYTE), ==, 1);
    /* Masked, a message waits: the pending bit, then the message when it is let go. */
    unsigned msix = pci_cap(&v.pci, PCI_CAP_ID_MSIX, 0);
    uint64_t table = v.pci.bar[1], pba = v.pci.bar[1] + (cfg(&v.pci, 'l', msix + 8) & ~7u);
    g_usleep(10000);
    wl(&b, table + 16 + 12, 1);
    wl(&b, VECTORS + 4, 0);
    blk_request(&r, 0, 0);
    g_assert_true(ring_wait(&r, 3));
    g_assert_true(pci_wait(&b, pba, 2));
    g_assert_cmphex(rl(&b, VECTORS + 4), ==, 0);
    wl(&b, table + 16 + 12, 0);
    g_assert_cmphex(rl(&b, VECTORS + 4), ==, 0x701);
    g_assert_cmphex(rl(&b, pba), ==, 0);
    /* A broken ring: the configuration's vector tells. */
    ring_desc(&r, 0, HEADER, 16, DESC_NEXT, 77);
    ring_offer(&r, 0);
    g_assert_true(pci_wait(&b, VECTORS, 0x700));
    g_assert_cmphex(rb(&b, v.common + VC_STATUS) & 64, ==, 64);
    board_close(&b);
}

/* Messages that lead into registers, the device's own included, are dropped and nothing hangs. */
static void test_message_loops(void)
{
    Board b;
    Virtio v;
    PciPool pool = PCI_POOL;
    board_open(&b, devices);
    g_assert_true(virtio_find(&b, 0, 4, &pool, &v));
    const uint64_t targets[] = {v.common + VC_STATUS - 2, v.common + VC_QUEUE + 2, v.notify, v.isr,
                                v.pci.bar[1], v.pci.bar[1] + 12, v.pci.cfg + PCI_COMMAND, FINISHER,
                                UINT64_MAX - 3, RAM + RAM_SIZE};
    for (size_t i = 0; i < G_N_ELEMENTS(targets); i++) {
        cfg_set(&v.pci, 'w', PCI_COMMAND, 7);
        g_assert_cmphex(virtio_agree(&v), ==, 11);
        pci_msix_on_ram(&v.pci, VECTORS, 0);
        for (unsigned n = 0; n < 2; n++) {
            wl(&b, v.pci.bar[1] + 16 * n, (uint32_t)targets[i] & ~3u);
            wl(&b, v.pci.bar[1] + 16 * n + 4, (uint32_t)(targets[i] >> 32));
        }
        ww(&b, v.common + VC_CONFIG_VECTOR, 0);
        Ring r = virtio_ring(&v, 0, RING, 1);
        virtio_go(&v);
        ring_desc(&r, 0, DATA, 64, DESC_WRITE, 0);
        ring_offer(&r, 0);
        g_assert_true(ring_wait(&r, 1));
        ww(&b, v.common + VC_QUEUE, 0);
        ring_desc(&r, 0, DATA, 64, DESC_WRITE | DESC_NEXT, 99); /* broken: the other message */
        ring_offer(&r, 0);
        for (unsigned n = 0; n < 1000 && !(rb(&b, v.common + VC_STATUS) & 64); n++)
            g_usleep(1000);
        g_assert_cmphex(rb(&b, v.common + VC_STATUS) & 64, ==, 64);
    }
    g_assert_cmpuint(b.powers, ==, 0);
    board_close(&b);
}

/* ---- The window in configuration space ---------------------------------------------------- */

static uint32_t window(const Virtio *v, unsigned bar, uint32_t offset, uint32_t len)
{
    cfg_set(&v->pci, 'b', v->window + 4, bar);
    cfg_set(&v->pci, 'l', v->window + 8, offset);
    cfg_set(&v->pci, 'l', v->window + 12, len);
    return cfg(&v->pci, 'l', v->window + 16);
}

static void window_set(const Virtio *v, unsigned bar, uint32_t offset, uint32_t len, uint32_t value)
{
    window(v, bar, offset, len);
    cfg_set(&v->pci, len == 1 ? 'b' : len == 2 ? 'w' : 'l', v->window + 16, value);
}

static void test_window(void)
{
    Board b;
    Virtio v;
    PciPool pool = PCI_POOL;
    board_open(&b, devices);
    g_assert_true(virtio_find(&b, 0, 2, &pool, &v));
    cfg_set(&v.pci, 'w', PCI_COMMAND, PCI_COMMAND_MASTER); /* the BARs are off */
    g_assert_cmphex(rb(&b, v.common + VC_STATUS), ==, 0xff);
    window_set(&v, 4, VC_STATUS, 1, 3);
    g_assert_cmphex(window(&v, 4, VC_STATUS, 1), ==, 3);
    window_set(&v, 4, VC_DEVICE_FEATURES_SEL, 4, 1);
    g_assert_cmphex(window(&v, 4, VC_DEVICE_FEATURES, 4) & 1, ==, 1);
    window_set(&v, 4, VC_QUEUE, 2, 0);
    g_assert_cmpuint(window(&v, 4, VC_SIZE, 2), >=, RING_SIZE);
    g_assert_cmpuint(window(&v, 4, 0x2000, 4), ==, 2048); /* capacity */
    /* Lengths, BARs and offsets that make no sense do nothing. */
    static const struct {
        unsigned bar;
        uint32_t offset, len;
    } bad[] = {{4, VC_STATUS, 3}, {4, VC_STATUS, 0}, {4, VC_STATUS, UINT32_MAX}, {0, VC_STATUS, 1},
               {6, 0, 4}, {255, 0, 4}, {4, UINT32_MAX, 1}, {4, 0x4000, 4}, {4, 0x15, 4},
               {4, 0x3ffe, 4}, {4, UINT32_MAX - 3, 4}};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        window(&v, bad[i].bar, bad[i].offset, bad[i].len);
        cfg_set(&v.pci, 'l', v.window + 16, 0);
        cfg_set(&v.pci, 'b', v.window + 17, 0);
    }
    g_assert_cmphex(window(&v, 4, VC_STATUS, 1), ==, 3);
    board_close(&b);
}

/* ---- Legacy ports ------------------------------------------------------------------------- */

static void test_legacy(void)
{
    static const char *const adds[] = {"-device virtio-rng-pci,disable-modern=on,addr=3,id=r", NULL};
    enum { FEATURES = 0, ACCEPT = 4, PAGE = 8, SIZE = 12, SEL = 14, NOTIFY = 16, STATUS = 18, ISR = 19 };
    Board b;
    Pci p;
    PciPool pool = PCI_POOL;
    board_open(&b, adds);
    g_assert_true(pci_find(&b, 0, 0x1af4, 0x1005, 0, &p));
    pci_place(&p, &pool);
    g_assert_cmphex(cfg(&p, 'b', PCI_REVISION_ID), ==, 0);
    g_assert_cmphex(cfg(&p, 'w', PCI_SUBSYSTEM_ID), ==, 4);
    g_assert_cmpuint(pci_cap(&p, PCI_CAP_ID_VNDR, 0), ==, 0);
    g_assert_cmpuint(p.size[0], ==, 32);
    uint64_t io = p.bar[0];
    wb(&b, io + STATUS, 0);
    wb(&b, io + STATUS, 3);
    wl(&b, io + ACCEPT, rl(&b, io + FEATURES) & ~(1u << 29));
    ww(&b, io + SEL, 0);
    unsigned n = (unsigned)board_read(&b, 'w', io + SIZE);
    g_assert_cmpuint(n, >=, 8);
    board_do(&b, "memset 0x%" PRIx64 " 0x8000 0", RING);
    wl(&b, io + PAGE, (uint32_t)(RING / 4096));
    g_assert_cmphex(rl(&b, io + PAGE), ==, RING / 4096);
    wb(&b, io + STATUS, 7);
    uint64_t avail = RING + 16 * n, used = (avail + 2 * (3 + n) + 4095) & ~UINT64_C(4095);
    wq(&b, RING, DATA);
    wl(&b, RING + 8, 64);
    ww(&b, RING + 12, DESC_WRITE);
    ww(&b, avail + 4, 0);
    ww(&b, avail + 2, 1);
    ww(&b, io + NOTIFY, 0);
    g_assert_true(pci_wait(&b, used, 1u << 16));
    for (unsigned i = 0; i < 1000 && !board_irq(&b, 35); i++)
        g_usleep(1000);
    g_assert_true(board_irq(&b, 35)); /* slot 3: INTD */
    g_assert_cmphex(rb(&b, io + ISR), ==, 1);
    g_assert_false(board_irq(&b, 35));
    ww(&b, io + SEL, 99);
    g_assert_cmphex(board_read(&b, 'w', io + SIZE), ==, 0);
    wl(&b, io + PAGE, 1);
    ww(&b, io + NOTIFY, 99);
    /* Off, and a page that is not RAM. */
    ww(&b, io + SEL, 0);
    wl(&b, io + PAGE, 0);
    wl(&b, io + PAGE, 1);
    wl(&b, io + PAGE, UINT32_MAX);
    wb(&b, io + STATUS, 0);
    g_assert_cmphex(rb(&b, io + STATUS), ==, 0);
    g_assert_cmphex(rl(&b, io + PAGE), ==, 0);
    board_close(&b);
}

/* ---- The others, with a buffer each ---------------------------------------------------------- */

static void test_others(void)
{
    Board b;
    Virtio v;
    PciPool pool = PCI_POOL;
    board_open(&b, devices);
    /* rng: random bytes */
    g_assert_true(virtio_find(&b, 0, 4, &pool, &v));
    g_assert_cmphex(virtio_agree(&v), ==, 11);
    pci_msix_on_ram(&v.pci, VECTORS, 0x10);
    Ring r = virtio_ring(&v, 0, RING, 1);
    virtio_go(&v);
    ring_desc(&r, 0, DATA, 64, DESC_WRITE, 0);
    ring_offer(&r, 0);
    g_assert_true(pci_wait(&b, VECTORS + 4, 0x11));
    g_assert_cmphex(rq(&b, DATA) | rq(&b, DATA + 8), !=, 0);
    /* net: a packet goes nowhere and comes back; balloon: a page */
    static const struct {
        unsigned id, queue, len;
    } out[] = {{1, 1, 12 + 60}, {5, 0, 4}};
    for (size_t i = 0; i < G_N_ELEMENTS(out); i++) {
        g_assert_true(virtio_find(&b, 0, out[i].id, &pool, &v));
        g_assert_cmphex(virtio_agree(&v), ==, 11);
        pci_msix_on_ram(&v.pci, VECTORS, 0x20);
        board_do(&b, "memset 0x%" PRIx64 " 4096 0", DATA);
        wl(&b, DATA, out[i].id == 5 ? (uint32_t)((RAM + 0x100000) >> 12) : 0);
        r = virtio_ring(&v, out[i].queue, RING, 1);
        virtio_go(&v);
        ring_desc(&r, 0, DATA, out[i].len, 0, 0);
        ring_offer(&r, 0);
        g_assert_true(ring_wait(&r, 1));
        g_assert_true(pci_wait(&b, VECTORS + 4, 0x21));
    }
    /* serial: the control queues are there */
    g_assert_true(virtio_find(&b, 0, 3, &pool, &v));
    g_assert_cmpuint(board_read(&b, 'w', v.common + VC_QUEUES), >=, 4);
    board_close(&b);
}

/* ---- Resets, requests in flight ----------------------------------------------------------------- */

static void test_resets(void)
{
    Board b;
    Virtio v = {0};
    PciPool pool = PCI_POOL;
    g_autoptr(GError) error = NULL;
    board_open(&b, devices);
    g_assert_true(pci_find(&b, 0, 0x1af4, 0x1042, 0, &v.pci));
    for (unsigned round = 0; round < 8; round++) {
        PciPool again = pool;
        pci_place(&v.pci, &again);
        virtio_walk(&v);
        g_assert_cmphex(virtio_agree(&v), ==, 11);
        pci_msix_on_ram(&v.pci, VECTORS, 0x30);
        Ring r = virtio_ring(&v, 0, RING, 1);
        virtio_go(&v);
        blk_request(&r, round & 1, 0);
        ring_offer(&r, 0);
        if (round & 2)
            g_usleep(10000);
        switch (round % 4) {
        case 0: wb(&b, v.common + VC_STATUS, 0); break;
        case 1: cfg_set(&v.pci, 'w', PCI_COMMAND, 0); wl(&b, VECTORS + 4, 0); break;
        case 2: machine_reset(b.m, &b.entry, &error); break;
        default: {
            unsigned express = pci_cap(&v.pci, PCI_CAP_ID_EXP, 0);
            if (express)
                cfg_set(&v.pci, 'w', express + PCI_EXP_DEVCTL, 0x8000);
            else
                wb(&b, v.common + VC_STATUS, 0);
        }
        }
        g_assert_no_error(error);
        unsigned used = ring_used(&r);
        if (round % 4 != 1) {
            g_usleep(30000);
            g_assert_cmpuint(ring_used(&r), ==, used);
        }
        g_usleep(30000);
        if (round % 4 == 1) /* not a bus master: no message */
            g_assert_cmphex(rl(&b, VECTORS + 4), ==, 0);
    }
    board_close(&b);
}

/* Function-level reset, of one behind a port. */
static void test_flr(void)
{
    static const char *const adds[] = {
        "-device pcie-root-port,id=rp,addr=2",
        "-blockdev driver=null-co,node-name=s,size=1M,latency-ns=20000000",
        "-device virtio-blk-pci,drive=s,id=slow,bus=rp", NULL};
    Board b;
    Pci port;
    Virtio v = {0};
    PciPool pool = PCI_POOL;
    board_open(&b, adds);
    g_assert_true(pci_find(&b, 0, 0x1b36, 0x000c, 0, &port));
    PciPool behind = pci_bridge(&port, 1, &pool);
    g_assert_true(pci_find(&b, 1, 0x1af4, 0x1042, 0, &v.pci));
    unsigned express = pci_cap(&v.pci, PCI_CAP_ID_EXP, 0);
    g_assert_cmphex(cfg(&v.pci, 'l', express + PCI_EXP_DEVCAP) & PCI_EXP_DEVCAP_FLR, !=, 0);
    for (unsigned round = 0; round < 4; round++) {
        PciPool again = behind;
        pci_place(&v.pci, &again);
        virtio_walk(&v);
        g_assert_cmphex(virtio_agree(&v), ==, 11);
        pci_msix_on_ram(&v.pci, VECTORS, 0x40);
        Ring r = virtio_ring(&v, 0, RING, 1);
        virtio_go(&v);
        blk_request(&r, 0, 0);
        if (round & 1)
            g_usleep(5000);
        cfg_set(&v.pci, 'w', express + PCI_EXP_DEVCTL, 0x8000);
        unsigned used = ring_used(&r);
        g_assert_cmphex(cfg(&v.pci, 'w', PCI_COMMAND), ==, 0);
        g_assert_cmphex(cfg(&v.pci, 'w', express + PCI_EXP_DEVCTL) & 0x8000, ==, 0);
        g_assert_cmphex(cfg(&v.pci, 'l', PCI_BASE_ADDRESS_4) & ~15u, ==, 0);
        g_assert_cmphex(cfg(&v.pci, 'w', pci_cap(&v.pci, PCI_CAP_ID_MSIX, 0) + 2) & 0x8000, ==, 0);
        g_usleep(30000);
        g_assert_cmpuint(ring_used(&r), ==, used);
    }
    board_close(&b);
}

/* ---- A disk without room ------------------------------------------------------------------------ */

static void test_werror(void)
{
    g_autofree char *drive = NULL, *file = disk_new("werror=stop", &drive);
    const char *const adds[] = {drive, "-device virtio-blk-pci,drive=n,id=blk,addr=1", NULL};
    Board b;
    Virtio v = {0};
    PciPool pool = PCI_POOL;
    g_autoptr(GError) error = NULL;
    board_open(&b, adds);
    g_assert_true(pci_find(&b, 0, 0x1af4, 0x1001, 0, &v.pci));
    pci_place(&v.pci, &pool);
    virtio_walk(&v);
    g_assert_cmphex(virtio_agree(&v), ==, 11);
    Ring r = virtio_ring(&v, 0, RING, 0xffff);
    virtio_go(&v);
    board_do(&b, "memset 0x%" PRIx64 " 512 0x77", DATA);
    blk_request(&r, 1, 0);
    g_assert_true(ring_wait(&r, 1));
    /* Kept, the guest hears nothing; tried again in vain; then with room. */
    disk_full(true);
    blk_request(&r, 1, 1500);
    g_assert_true(disk_stopped(&b, 1));
    machine_retry(b.m);
    g_assert_true(disk_stopped(&b, 2));
    g_usleep(20000);
    g_assert_cmpuint(ring_used(&r), ==, 1);
    g_assert_cmphex(rb(&b, STATUS_BYTE), ==, 0xee);
    disk_full(false);
    machine_retry(b.m);
    g_assert_true(ring_wait(&r, 2));
    g_assert_cmphex(rb(&b, STATUS_BYTE), ==, 0);
    g_assert_true(disk_holds(file, 1500 * 512, 0x77, 512));
    machine_retry(b.m); /* nothing is kept */
    /* A reset ends it all. */
    for (unsigned round = 0; round < 3; round++) {
        disk_full(true);
        blk_request(&r, 1, 1600);
        g_assert_true(disk_stopped(&b, 3 + round));
        if (round)
            wb(&b, v.common + VC_STATUS, 0);
        else
            machine_reset(b.m, &b.entry, &error);
        g_assert_no_error(error);
        disk_full(false);
        machine_retry(b.m);
        pool = (PciPool)PCI_POOL;
        pci_place(&v.pci, &pool);
        g_assert_cmphex(virtio_agree(&v), ==, 11);
        r = virtio_ring(&v, 0, RING, 0xffff);
        virtio_go(&v);
        g_assert_true(disk_holds(file, 1600 * 512, 0, 512));
    }
    disk_full(true);
    blk_request(&r, 1, 1600); /* and so does the end */
    g_assert_true(disk_stopped(&b, 6));
    board_close(&b);
    disk_full(false);
    g_unlink(file);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-pci/identity", test_identity);
    g_test_add_func("/virtio-pci/blk", test_blk);
    g_test_add_func("/virtio-pci/message-loops", test_message_loops);
    g_test_add_func("/virtio-pci/window", test_window);
    g_test_add_func("/virtio-pci/legacy", test_legacy);
    g_test_add_func("/virtio-pci/others", test_others);
    g_test_add_func("/virtio-pci/resets", test_resets);
    g_test_add_func("/virtio-pci/flr", test_flr);
    g_test_add_func("/virtio-pci/werror", test_werror);
    return g_test_run();
}
