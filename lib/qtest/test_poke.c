/* SPDX-License-Identifier: MIT */
/*
 * Random accesses to every device of a board, of every size, with random rings, descriptors, DMA
 * commands, NVMe commands, BARs and messages anywhere, cards coming and going, resets and passing
 * time: whatever a guest does, nothing here may crash, hang or leak
 * (run it under the sanitizers). POKE_SECONDS says how long (3), POKE_SEED with which numbers.
 */
#include "qtest/test_pci.h"

#include <glib/gstdio.h>
#include <stdlib.h>

#define ROUND 2000 /* actions between machine resets, on average */

enum { ROOT_PORTS = 3, PCI_MOST = 16 };

typedef struct {
    Board b;
    GRand *rand;
    uint64_t done;
    Pci pci[PCI_MOST + ROOT_PORTS]; /* every function, in place, but for what was done to it since */
    unsigned pci_count, ports; /* the first ones are root ports */
} Poker;

static const struct {
    uint64_t addr, size;
} areas[] = {
    {UART, 0x100},       {PLIC, 0x600000},  {PLIC, 0x1000},   {PLIC + 0x2000, 0x100},
    {PLIC + 0x200000, 0x4000}, {CLINT, 0x10000}, {CLINT, 0x20}, {CLINT + 0x4000, 0x20},
    {CLINT + 0xbff8, 8}, {RTC, 0x1000},     {RTC, 0x20},      {FINISHER, 0x1000},
    {FW_CFG, 0x18},      {FLASH, 0x4000000}, {FLASH, 0x100},  {0x1000, 0xf000},
    {0x0, 0x100},        {SLOT(1), 0x8000}, {SLOT(5), 0x140}, {SLOT(6), 0x140},
    {0x30000000, 0x10000000}, {0x30000000, 0x10000}, {0x30008000, 0x100}, {0x30010000, 0x100},
    {0x40000000, 0x20000}, {0x3000000, 0x100}, {SLOT(7), 0x140},    {SLOT(8), 0x140},  {RAM - 8, 16},    {RAM + RAM_SIZE - 8, 16},
};

static uint32_t below(Poker *p, uint32_t n)
{
    return g_rand_int(p->rand) % n;
}

static uint64_t any64(Poker *p)
{
    return (uint64_t)g_rand_int(p->rand) << 32 | g_rand_int(p->rand);
}

static void poke_place(Poker *p);

/* Numbers that mean something more often than chance would have it. */
static uint64_t value(Poker *p)
{
    static const uint64_t special[] = {0, 1, 2, 3, 7, 8, 11, 15, 0xff, 0x70, 0x90, 0x98, 0x20, 0xd0,
                                       0xe8, 0x40, 0x60, 0xff00ff, 0x700070, 0x200020, 0xd000d0,
                                       0xffff, 0xffffffff, UINT64_MAX, 0x80000000};
    switch (below(p, 4)) {
    case 0: return any64(p);
    case 1: return below(p, 64);
    default: return special[below(p, G_N_ELEMENTS(special))];
    }
}

static uint64_t address(Poker *p)
{
    switch (below(p, 8)) {
    case 0: return areas[below(p, G_N_ELEMENTS(areas))].addr + below(p, 0x100);
    case 4: return p->pci_count ? p->pci[below(p, p->pci_count)].bar[below(p, 6)] + below(p, 0x2000) : 0;
    case 1: return any64(p);
    case 2: return RAM + RAM_SIZE - below(p, 0x1000);
    case 3: return UINT64_MAX - below(p, 0x1000);
    default: return RAM + (below(p, 0x10000) & ~15u);
    }
}

static void poke_register(Poker *p)
{
    unsigned i = below(p, G_N_ELEMENTS(areas)), n = below(p, 4);
    uint64_t at = areas[i].addr + below(p, (uint32_t)areas[i].size);
    if (below(p, 8))
        at &= ~(uint64_t)((1u << n) - 1);
    if (below(p, 2))
        board_write(&p->b, "bwlq"[n], at, value(p));
    else
        board_read(&p->b, "bwlq"[n], at);
}

static uint32_t length(Poker *p)
{
    static const uint32_t special[] = {0, 1, 7, 8, 16, 24, 511, 512, 513, 4096, 0xfffffe00, UINT32_MAX};
    return below(p, 3) ? special[below(p, G_N_ELEMENTS(special))] : g_rand_int(p->rand);
}

static void poke_descriptors(Poker *p, uint64_t at)
{
    for (unsigned i = 0; i < 8; i++) {
        wq(&p->b, at + 16 * i, address(p));
        wl(&p->b, at + 16 * i + 8, length(p));
        ww(&p->b, at + 16 * i + 12, below(p, 16) ? below(p, 8) : g_rand_int(p->rand) & 0xffff);
        ww(&p->b, at + 16 * i + 14, below(p, 16) ? below(p, 9) : g_rand_int(p->rand) & 0xffff);
    }
}

/* A driver that means well up to the ring, mostly. */
static void poke_virtio(Poker *p)
{
    Board *b = &p->b;
    uint64_t slot = SLOT(4 + below(p, 5)), ring = RAM + 0x10000 * (1 + below(p, 4));
    virtio_begin(b, slot);
    if (!below(p, 8)) /* packed rings too */
        wl(b, slot + VM_DRIVER_FEATURES, rl(b, slot + VM_FEATURES));
    unsigned queues = 1 + below(p, 4);
    for (unsigned q = 0; q < queues; q++) {
        ring_open(b, slot, q, below(p, 16) ? ring + 0x4000 * q : address(p));
        poke_descriptors(p, ring + 0x4000 * q);
    }
    wl(b, slot + VM_STATUS, 15);
    for (unsigned n = below(p, 8); n > 0; n--) {
        unsigned q = below(p, queues);
        uint64_t avail = ring + 0x4000 * q + 0x1000;
        for (unsigned i = 0; i < 8; i++)
            ww(b, avail + 4 + 2 * i, below(p, 16) ? below(p, 8) : g_rand_int(p->rand) & 0xffff);
        ww(b, avail + 2, below(p, 16) ? below(p, 9) : g_rand_int(p->rand) & 0xffff);
        wl(b, slot + VM_NOTIFY, q);
        switch (below(p, 6)) {
        case 0: wl(b, slot + VM_STATUS, 0); break;
        case 1: wl(b, slot + VM_QUEUE, q); wl(b, slot + VM_READY, 0); break;
        case 2: poke_descriptors(p, ring + 0x4000 * q); break;
        case 3: g_usleep(below(p, 200)); break;
        }
    }
}

/* ---- PCI -------------------------------------------------------------------------- */

/* Numbers the buses and gives every function its place, as firmware does. */
static void poke_place(Poker *p)
{
    PciPool pool = PCI_POOL;
    p->pci_count = p->ports = 0;
    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned slot = 1; slot < 32 && p->pci_count < PCI_MOST; slot++) {
            Pci *f = &p->pci[p->pci_count];
            *f = (Pci){.b = &p->b, .cfg = PCI_ADDR(0, slot << 3)};
            bool port = cfg(f, 'b', PCI_HEADER_TYPE) == 1;
            if (cfg(f, 'w', 0) == 0xffff || port == !!pass)
                continue;
            p->pci_count++;
            p->ports += port;
            if (pass)
                pci_place(f, &pool);
        }
    }
    unsigned bus = 1;
    for (unsigned i = 0; i < p->ports; i++, bus++) {
        PciPool behind = pci_bridge(&p->pci[i], bus, &pool);
        Pci *f = &p->pci[p->pci_count];
        *f = (Pci){.b = &p->b, .cfg = PCI_ADDR(bus, 0)};
        if (cfg(f, 'w', 0) != 0xffff) {
            pci_place(f, &behind);
            p->pci_count++;
        }
    }
}

static Pci *any_pci(Poker *p)
{
    return &p->pci[below(p, p->pci_count)];
}

/* Configuration space: BARs above all, command, windows, capabilities. */
static void poke_config(Poker *p)
{
    Pci *f = any_pci(p);
    unsigned n = below(p, 3), size = 1u << n, at = below(p, 0x120) & ~(size - 1);
    switch (below(p, 6)) {
    case 0:
        at = PCI_BASE_ADDRESS_0 + 4 * below(p, 6);
        cfg_set(f, 'l', at, (uint32_t)address(p));
        break;
    case 1: cfg_set(f, 'w', PCI_COMMAND, below(p, 8)); break;
    case 2: cfg(f, "bwl"[n], at); break;
    case 3: { /* MSI-X on, off, masked */
        unsigned msix = pci_cap(f, PCI_CAP_ID_MSIX, 0);
        if (msix)
            cfg_set(f, 'w', msix + PCI_MSIX_FLAGS, below(p, 4) << 14);
        break;
    }
    case 4: { /* a reset of its own */
        unsigned express = pci_cap(f, PCI_CAP_ID_EXP, 0);
        if (express && !below(p, 8))
            cfg_set(f, 'w', express + PCI_EXP_DEVCTL, 0x8000);
        break;
    }
    default: cfg_set(f, "bwl"[n], at, (uint32_t)value(p));
    }
    if (!below(p, 30))
        poke_place(p);
}

static void poke_bar(Poker *p)
{
    const Pci *f = any_pci(p);
    unsigned bar = below(p, 6), n = below(p, 4);
    if (!f->size[bar])
        return;
    uint64_t at = f->bar[bar] + below(p, (uint32_t)f->size[bar]) % (below(p, 2) ? 0x40 : 0x4000);
    if (below(p, 8))
        at &= ~(uint64_t)((1u << n) - 1);
    if (below(p, 3))
        board_write(&p->b, "bwlq"[n], at, below(p, 3) ? value(p) : address(p));
    else
        board_read(&p->b, "bwlq"[n], at);
}

/* Messages to RAM, to devices, to nowhere, to the tables themselves. */
static void poke_msix(Poker *p)
{
    const Pci *f = any_pci(p);
    unsigned at = pci_cap(f, PCI_CAP_ID_MSIX, 0);
    if (!at)
        return;
    uint32_t where = cfg(f, 'l', at + PCI_MSIX_TABLE);
    uint64_t table = f->bar[where & 7] + (where & ~7u) + 16 * below(p, 8), to = address(p) & ~UINT64_C(3);
    wl(&p->b, table, (uint32_t)to);
    wl(&p->b, table + 4, (uint32_t)(to >> 32));
    wl(&p->b, table + 8, (uint32_t)value(p));
    wl(&p->b, table + 12, below(p, 4) == 0);
    cfg_set(f, 'w', at + PCI_MSIX_FLAGS, below(p, 4) ? 0x8000 : below(p, 4) << 14);
}

/* A driver of virtio over PCI that means well up to the ring, mostly. */
static void poke_virtio_pci(Poker *p)
{
    Virtio v = {.pci = *any_pci(p)};
    if (cfg(&v.pci, 'w', 0) != 0x1af4 || !v.pci.bar[4])
        return;
    Board *b = &p->b;
    uint64_t at = v.pci.bar[4], ring = RAM + 0x10000 * (1 + below(p, 4));
    v.common = at;
    v.notify = at + 0x3000;
    v.multiplier = 4;
    if (below(p, 4))
        cfg_set(&v.pci, 'w', PCI_COMMAND, 7);
    virtio_agree(&v);
    unsigned queues = 1 + below(p, 4);
    for (unsigned q = 0; q < queues; q++) {
        virtio_ring(&v, q, below(p, 16) ? ring + 0x4000 * q : address(p), (uint16_t)below(p, 5));
        poke_descriptors(p, ring + 0x4000 * q);
    }
    virtio_go(&v);
    for (unsigned n = below(p, 8); n > 0; n--) {
        unsigned q = below(p, queues);
        uint64_t avail = ring + 0x4000 * q + 0x1000;
        for (unsigned i = 0; i < 8; i++)
            ww(b, avail + 4 + 2 * i, below(p, 16) ? below(p, 8) : g_rand_int(p->rand) & 0xffff);
        ww(b, avail + 2, below(p, 16) ? below(p, 9) : g_rand_int(p->rand) & 0xffff);
        wl(b, v.notify + 4 * q, q);
        switch (below(p, 8)) {
        case 0: wb(b, v.common + VC_STATUS, 0); break;
        case 1: poke_descriptors(p, ring + 0x4000 * q); break;
        case 2: g_usleep(below(p, 200)); break;
        case 3: poke_config(p); break;
        case 4: poke_msix(p); break;
        }
    }
}

/* An NVMe controller that is on, with random queues and commands. */
static void poke_nvme(Poker *p)
{
    Board *b = &p->b;
    const Pci *f = NULL;
    for (unsigned i = 0; i < p->pci_count; i++)
        if (cfg(&p->pci[i], 'l', 0) == 0x00101b36 && (!f || below(p, 2)))
            f = &p->pci[i];
    if (!f)
        return;
    uint64_t regs = f->bar[0], sq = RAM + 0x60000, cq = RAM + 0x70000;
    if (!(rl(b, regs + 0x1c) & 1) || !below(p, 20)) {
        cfg_set(f, 'w', PCI_COMMAND, 7);
        wl(b, regs + 0x14, 0);
        wl(b, regs + 0x24, below(p, 8) ? 0x000f000f : (uint32_t)value(p));
        wq(b, regs + 0x28, below(p, 8) ? sq : address(p) & ~UINT64_C(4095));
        wq(b, regs + 0x30, below(p, 8) ? cq : address(p) & ~UINT64_C(4095));
        wl(b, regs + 0x14, 0x00460001);
    }
    unsigned qid = below(p, 4);
    uint64_t ring = sq + 0x1000 * qid;
    for (unsigned i = 0; i < 4; i++) {
        uint64_t c = ring + 64 * below(p, 16);
        static const uint8_t ops[] = {0, 1, 2, 4, 5, 6, 8, 9, 10, 12};
        wl(b, c, (below(p, 8) ? ops[below(p, sizeof ops)] : below(p, 256)) | g_rand_int(p->rand) << 16);
        wl(b, c + 4, below(p, 8) ? 1 : (uint32_t)value(p));
        wq(b, c + 24, below(p, 4) ? address(p) & ~UINT64_C(4095) : address(p));
        wq(b, c + 32, below(p, 4) ? address(p) & ~UINT64_C(4095) : address(p));
        uint32_t queue = 1 + below(p, 4);
        wl(b, c + 40, below(p, 2) ? queue | 15 << 16 : below(p, 4) ? below(p, 12) : (uint32_t)value(p));
        wl(b, c + 44, below(p, 2) ? 1 | queue << 16 : (uint32_t)value(p));
        wl(b, c + 48, below(p, 4) ? below(p, 300) : (uint32_t)value(p));
    }
    for (unsigned n = below(p, 4); n > 0; n--)
        wl(b, regs + 0x1000 + 8 * below(p, 5) + 4 * below(p, 2), below(p, 8) ? below(p, 16) : (uint32_t)value(p));
    wl(b, regs + 0x1000 + 8 * qid, below(p, 16));
    if (!below(p, 40))
        wl(b, regs + 0x14, 0x00464001); /* shutdown */
}

/* A gigabit card that is on and in loop-back, with random rings and descriptors. */
static void poke_e1000e(Poker *p)
{
    enum { CTRL = 0x0, RCTL = 0x100, TCTL = 0x400, RX = 0x2800, TX = 0x3800, LOW = 0, HIGH = 4,
           LEN = 8, HEAD = 0x10, TAIL = 0x18 };
    Board *b = &p->b;
    Pci *f = NULL;
    for (unsigned i = 0; i < p->pci_count; i++)
        if (cfg(&p->pci[i], 'l', 0) == 0x10d38086)
            f = &p->pci[i];
    if (!f)
        return;
    uint64_t regs = f->bar[0];
    static const unsigned rings[] = {RX, TX, RX + 0x100, TX + 0x100};
    cfg_set(f, 'w', PCI_COMMAND, 7);
    for (unsigned i = 0; i < G_N_ELEMENTS(rings); i++) {
        uint64_t ring = below(p, 16) ? RAM + 0x90000 + 0x1000 * i : address(p) & ~UINT64_C(15);
        wl(b, regs + rings[i] + LOW, (uint32_t)ring);
        wl(b, regs + rings[i] + HIGH, (uint32_t)(ring >> 32));
        wl(b, regs + rings[i] + LEN, below(p, 8) ? 0x400 : (uint32_t)value(p));
        for (unsigned n = 0; n < 8; n++) {
            uint64_t desc = RAM + 0x90000 + 0x1000 * i + 16 * below(p, 64);
            wq(b, desc, address(p));
            wq(b, desc + 8, below(p, 2) ? (uint64_t)(below(p, 0xff) << 24 | below(p, 0x1000)) | below(p, 16)
                                        : any64(p));
        }
    }
    wl(b, regs + RCTL, below(p, 8) ? 0x805e : (uint32_t)value(p)); /* on, all of it, looped back */
    wl(b, regs + TCTL, below(p, 8) ? 0x10a : (uint32_t)value(p));
    for (unsigned n = below(p, 6); n > 0; n--)
        wl(b, regs + rings[below(p, G_N_ELEMENTS(rings))] + (below(p, 8) ? TAIL : HEAD), below(p, 70));
    if (!below(p, 20))
        wl(b, regs + CTRL, 1u << 26); /* a reset in the middle of it */
}

/* A card comes or goes, in the port that is kept for it. */
static void poke_hotplug(Poker *p)
{
    static const char *const cards[] = {"virtio-rng-pci,id=hot,bus=rp2",
                                        "virtio-blk-pci,id=hot,bus=rp2,drive=hot",
                                        "nvme,id=hot,bus=rp2,drive=hot,serial=hot",
                                        "virtio-net-pci,id=hot,bus=rp2",
                                        "virtio-scsi-pci,id=hot,bus=rp2", "e1000e,id=hot,bus=rp2"};
    if (machine_device(p->b.m, "hot"))
        machine_remove_device(p->b.m, "hot", NULL);
    else
        machine_add_device(p->b.m, cards[below(p, G_N_ELEMENTS(cards))], NULL);
    while (g_main_context_iteration(NULL, FALSE))
        ;
    poke_place(p);
}

static void poke_pci(Poker *p)
{
    switch (below(p, 16)) {
    case 0: case 1: case 2: poke_virtio_pci(p); break;
    case 3: case 4: case 5: poke_nvme(p); break;
    case 6: case 7: poke_msix(p); break;
    case 8: case 9: case 10: poke_config(p); break;
    case 11: below(p, 8) ? (void)0 : poke_hotplug(p); break;
    case 12: case 13: poke_e1000e(p); break;
    default: poke_bar(p); break;
    }
}

static void poke_fw_cfg(Poker *p)
{
    Board *b = &p->b;
    uint64_t at = below(p, 8) ? RAM + 0x80000 : address(p);
    wl(b, at, GUINT32_SWAP_LE_BE(below(p, 32) | below(p, 0x30) << 16));
    wl(b, at + 4, GUINT32_SWAP_LE_BE(length(p)));
    wq(b, at + 8, GUINT64_SWAP_LE_BE(address(p)));
    wq(b, FW_CFG + 0x10, GUINT64_SWAP_LE_BE(at));
}

static void poke_time(Poker *p)
{
    static const uint32_t steps[] = {1, 100, 10000, 1000000, 1000000000};
    uint8_t bytes[64];
    if (below(p, 2))
        g_free(board_ask(&p->b, "clock_step %u",
                         below(p, steps[below(p, G_N_ELEMENTS(steps))] + 1)));
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)g_rand_int(p->rand);
    if (below(p, 2))
        chardev_memory_input(below(p, 2) ? p->b.serial : p->b.port, bytes, 1 + below(p, 64));
    g_main_context_iteration(NULL, FALSE);
    g_bytes_unref(chardev_memory_take_output(p->b.serial));
    g_bytes_unref(chardev_memory_take_output(p->b.port));
}

static void step(Poker *p)
{
    switch (below(p, 24)) {
    case 0: poke_virtio(p); break;
    case 1: poke_fw_cfg(p); break;
    case 2: poke_time(p); break;
    case 3:
        g_free(board_ask(&p->b, "set_irq_in plic unnamed-gpio-in %u %u", below(p, 100),
                         below(p, 2)));
        break;
    case 4: case 5: case 6: case 7: case 8: case 9: poke_pci(p); break;
    default: poke_register(p); break;
    }
    if (!below(p, ROUND)) {
        g_autoptr(GError) error = NULL;
        machine_reset(p->b.m, &p->b.entry, &error);
        g_assert_no_error(error);
        poke_place(p);
    }
    p->done++;
}

static void test_poke(void)
{
    g_autofree char *dir = g_dir_make_tmp("poke-XXXXXX", NULL);
    g_autofree char *vsock = g_strdup_printf("-device virtio-vsock-pci,guest-cid=3,path=%s/v", dir);
    const char *const adds[] = {
        "-blockdev driver=null-co,node-name=n,size=1M", "-device virtio-blk-device,drive=n,id=blk",
        "-device virtio-rng-device,id=rng", "-device virtio-serial-device,id=ser",
        "-device virtconsole,chardev=c,id=con", "-blockdev driver=null-co,node-name=m,size=64k",
        "-device virtio-blk-device,drive=m,id=blk2", "-device virtio-rng-pci,id=rng2",
        "-device virtio-serial-pci,id=ser2", "-device virtio-net-pci,id=net",
        "-device virtio-balloon-pci,id=bal", "-device pci-serial,id=uart,chardev=c2",
        "-blockdev driver=null-co,node-name=o,size=1M", "-device nvme,id=nv,drive=o,serial=poke",
        "-device pcie-root-port,id=rp", "-device pcie-root-port,id=rp2",
        "-device pcie-root-port,id=rp3",
        "-blockdev driver=null-co,node-name=p,size=1M,latency-ns=50000",
        "-device virtio-blk-pci,drive=p,id=blk3,bus=rp",
        "-blockdev driver=null-co,node-name=q,size=1M,latency-ns=50000",
        "-device nvme,id=nv2,drive=q,serial=poke2,bus=rp3",
        "-device e1000e,id=e1000e", vsock, "-device virtio-scsi-pci,id=scsi",
        "-blockdev driver=null-co,node-name=s,size=1M,latency-ns=50000",
        "-device scsi-hd,drive=s,bus=scsi.0", "-device scsi-cd,bus=scsi.0",
        "-blockdev driver=null-co,node-name=hot,size=1M,latency-ns=20000", NULL};
    const char *seconds = g_getenv("POKE_SECONDS"), *seed_text = g_getenv("POKE_SEED");
    guint32 seed = seed_text ? (guint32)strtoul(seed_text, NULL, 0) : (guint32)g_get_real_time();
    gint64 end = g_get_monotonic_time() + (seconds ? atoi(seconds) : 3) * G_USEC_PER_SEC;
    Poker p = {.rand = g_rand_new_with_seed(seed)};
    g_printerr("# POKE_SEED=%u\n", seed);
    board_open_as(&p.b, "virt,aclint=on", adds);
    poke_place(&p);
    g_assert_cmpuint(p.ports, ==, ROOT_PORTS);
    g_assert_cmpuint(p.pci_count, ==, 14);
    while (g_get_monotonic_time() < end)
        step(&p);
    /* Afterwards the board works as ever. */
    g_autoptr(GError) error = NULL;
    machine_reset(p.b.m, &p.b.entry, &error);
    g_assert_no_error(error);
    g_assert_cmphex(rl(&p.b, SLOT(8)), ==, 0x74726976);
    g_assert_cmphex(rb(&p.b, UART + 5) & 0x60, ==, 0x60);
    g_assert_cmphex(virtio_begin(&p.b, SLOT(7)), ==, 11);
    Ring r = ring_open(&p.b, SLOT(7), 0, RAM + 0x10000);
    wl(&p.b, SLOT(7) + VM_STATUS, 15);
    ring_desc(&r, 0, RAM + 0x8000, 64, DESC_WRITE, 0);
    ring_offer(&r, 0);
    g_assert_true(ring_wait(&r, 1));
    PciPool pool = PCI_POOL;
    Virtio v;
    g_assert_true(virtio_find(&p.b, 0, 4, &pool, &v));
    g_assert_cmphex(virtio_agree(&v), ==, 11);
    r = virtio_ring(&v, 0, RAM + 0x10000, 0xffff);
    virtio_go(&v);
    ring_desc(&r, 0, RAM + 0x8000, 64, DESC_WRITE, 0);
    ring_offer(&r, 0);
    g_assert_true(ring_wait(&r, 1));
    g_printerr("# %" PRIu64 " actions\n", p.done);
    board_close(&p.b);
    g_assert_cmpint(g_rmdir(dir), ==, 0);
    g_rand_free(p.rand);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/poke", test_poke);
    return g_test_run();
}
