/* SPDX-License-Identifier: MIT */
/* The PCI machine of a board over the protocol: the host's window, root ports with what is behind
   them, cards that come and go while the machine runs, and the serial card. */
#include "qtest/test_pci.h"

static unsigned removed;

static void on_removed(void *opaque, const char *id)
{
    removed++;
}

static void add(Board *b, const char *text)
{
    g_autoptr(GError) error = NULL;
    machine_add_device(b->m, text, &error);
    g_assert_no_error(error);
}

/* Asks for it; whether it went is to be seen. */
static void take(Board *b, const char *id)
{
    g_autoptr(GError) error = NULL;
    machine_remove_device(b->m, id, &error);
    g_assert_no_error(error);
    while (g_main_context_iteration(NULL, FALSE))
        ;
}

/* ---- The host ------------------------------------------------------------------- */

static void test_ecam(void)
{
    static const char *const adds[] = {"-device virtio-rng-pci,addr=3,id=r", NULL};
    Board b;
    board_open(&b, adds);
    g_assert_cmphex(rl(&b, ECAM), ==, 0x00081b36);
    g_assert_cmphex(rl(&b, ECAM + PCI_CLASS_REVISION) >> 8, ==, 0x060000);
    for (unsigned i = 0; i < 4; i++)
        g_assert_cmphex(rb(&b, ECAM + i), ==, 0x00081b36 >> 8 * i & 0xff);
    g_assert_cmphex(board_read(&b, 'w', ECAM + 2), ==, 0x0008);
    /* Eight bytes are two of four. */
    g_assert_cmphex(rq(&b, ECAM), ==, rl(&b, ECAM) | (uint64_t)rl(&b, ECAM + 4) << 32);
    /* Nobody: another slot, a function, a bus without a bridge, the last one. */
    static const uint64_t holes[] = {1 << 15, 3 << 15 | 1 << 12, 1 << 20, 0xffff000, 0xffffffc};
    for (size_t i = 0; i < G_N_ELEMENTS(holes); i++) {
        wl(&b, ECAM + holes[i], 0);
        g_assert_cmphex(rl(&b, ECAM + holes[i]), ==, UINT32_MAX);
        g_assert_cmphex(board_read(&b, 'w', ECAM + holes[i]), ==, 0xffff);
        g_assert_cmphex(rb(&b, ECAM + holes[i]), ==, 0xff);
    }
    Pci p;
    g_assert_true(pci_find(&b, 0, 0x1af4, 0x1005, 0, &p));
    g_assert_cmphex(p.cfg, ==, PCI_ADDR(0, 3 << 3));
    cfg_set(&p, 'l', 0, 0); /* ids are read-only */
    g_assert_cmphex(cfg(&p, 'l', 0), ==, 0x10051af4);
    cfg_set(&p, 'b', PCI_INTERRUPT_LINE, 0x5a);
    g_assert_cmphex(cfg(&p, 'l', PCI_INTERRUPT_LINE) & 0xffff, ==, 0x015a);
    g_assert_cmphex(cfg(&p, 'l', 0xffc), ==, 0);
    /* Windows with nothing in them. */
    static const uint64_t empty[] = {PORTS, PORTS + 0xfffc, PCI_MEMORY, PCI_MEMORY + 0x3ffffffc};
    for (size_t i = 0; i < G_N_ELEMENTS(empty); i++) {
        wl(&b, empty[i], 0);
        g_assert_cmphex(rl(&b, empty[i]), ==, UINT32_MAX);
    }
    /* A BAR beyond the windows, over RAM or over the UART is nowhere. */
    PciPool pool = PCI_POOL;
    pci_place(&p, &pool);
    g_assert_cmphex(rl(&b, p.bar[1] + 12), ==, 1); /* MSI-X table: masked */
    wl(&b, RAM, 0x12345678);
    static const uint32_t bad[] = {(uint32_t)RAM, (uint32_t)UART, (uint32_t)ECAM, 0, 0xfffff000};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        cfg_set(&p, 'l', PCI_BASE_ADDRESS_1, bad[i]);
        g_assert_cmphex(rl(&b, p.bar[1] + 12), ==, UINT32_MAX);
        g_assert_cmphex(rl(&b, RAM), ==, 0x12345678);
        g_assert_cmphex(rb(&b, UART + 5) & 0x60, ==, 0x60);
        g_assert_cmphex(rl(&b, ECAM), ==, 0x00081b36);
    }
    cfg_set(&p, 'l', PCI_BASE_ADDRESS_1, (uint32_t)p.bar[1]);
    g_assert_cmphex(rl(&b, p.bar[1] + 12), ==, 1);
    cfg_set(&p, 'w', PCI_COMMAND, 0);
    g_assert_cmphex(rl(&b, p.bar[1] + 12), ==, UINT32_MAX);
    board_close(&b);
}

/* ---- Root ports ------------------------------------------------------------------- */

static void test_port(void)
{
    static const char *const adds[] = {"-device pcie-root-port,id=rp,chassis=1,slot=5,addr=2",
                                       "-device virtio-rng-pci,bus=rp,id=r", NULL};
    Board b;
    board_open(&b, adds);
    Pci port, gone;
    g_assert_true(pci_find(&b, 0, 0x1b36, 0x000c, 0, &port));
    g_assert_cmphex(cfg(&port, 'b', PCI_HEADER_TYPE), ==, 1);
    g_assert_cmphex(cfg(&port, 'l', PCI_CLASS_REVISION) >> 8, ==, 0x060400);
    unsigned express = pci_cap(&port, PCI_CAP_ID_EXP, 0);
    g_assert_cmphex(cfg(&port, 'w', express + PCI_EXP_FLAGS), ==, 0x142);
    g_assert_cmphex(cfg(&port, 'l', express + PCI_EXP_SLTCAP) >> 19, ==, 5);
    g_assert_cmphex(cfg(&port, 'w', express + PCI_EXP_SLTSTA) & PCI_EXP_SLTSTA_PDS, !=, 0);
    /* Bus numbers lead there, and nowhere before they are set. */
    g_assert_false(pci_find(&b, 7, 0x1af4, 0x1044, 0, &gone));
    PciPool pool = PCI_POOL, behind = pci_bridge(&port, 7, &pool);
    Virtio v;
    g_assert_true(virtio_find(&b, 7, 4, &behind, &v)); /* modern only: behind a port */
    g_assert_cmphex(v.pci.cfg, ==, PCI_ADDR(7, 0));
    g_assert_cmphex(cfg(&v.pci, 'l', 0), ==, 0x10441af4);
    g_assert_cmpuint(pci_cap(&v.pci, PCI_CAP_ID_EXP, 0), !=, 0);
    for (unsigned slot = 1; slot < 32; slot++)
        g_assert_cmphex(rl(&b, PCI_ADDR(7, slot << 3)), ==, UINT32_MAX);
    g_assert_cmphex(virtio_agree(&v), ==, 11);
    /* The window must let it through, the port must be on. */
    uint16_t limit = (uint16_t)cfg(&port, 'w', PCI_MEMORY_LIMIT);
    cfg_set(&port, 'w', PCI_MEMORY_LIMIT, 0);
    g_assert_cmphex(rb(&b, v.common + VC_STATUS), ==, 0xff);
    cfg_set(&port, 'w', PCI_MEMORY_LIMIT, limit);
    g_assert_cmphex(rb(&b, v.common + VC_STATUS), ==, 11);
    cfg_set(&port, 'w', PCI_COMMAND, 0);
    g_assert_cmphex(rb(&b, v.common + VC_STATUS), ==, 0xff);
    cfg_set(&port, 'w', PCI_COMMAND, 7);
    g_assert_cmphex(rb(&b, v.common + VC_STATUS), ==, 11);
    /* A secondary bus reset: the device is as after power-on. */
    cfg_set(&port, 'w', PCI_BRIDGE_CONTROL, PCI_BRIDGE_CTL_BUS_RESET);
    cfg_set(&port, 'w', PCI_BRIDGE_CONTROL, 0);
    g_assert_cmphex(rb(&b, v.common + VC_STATUS), ==, 0xff);
    g_assert_cmphex(cfg(&v.pci, 'w', PCI_COMMAND), ==, 0);
    behind = (PciPool)PCI_POOL;
    pci_place(&v.pci, &behind);
    g_assert_cmphex(rb(&b, v.common + VC_STATUS), ==, 0);
    /* Bus numbers that make no sense: a loop, backwards, all ones. */
    static const uint32_t numbers[] = {0, 0x000000ff, 0x00ff00, 0xffffff, 0x01ff00, 0xff0000};
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        cfg_set(&port, 'l', PCI_PRIMARY_BUS, numbers[i]);
        for (unsigned bus = 0; bus < 256; bus += 51)
            board_read(&b, 'l', PCI_ADDR(bus, 0));
    }
    board_close(&b);
}

static void test_hotplug(void)
{
    static const char *const adds[] = {"-device pcie-root-port,id=rp,addr=2",
                                       "-device pcie-root-port,id=rp2,addr=4", NULL};
    Board b;
    removed = 0;
    board_open(&b, adds);
    machine_on_removed(b.m, on_removed, NULL);
    Pci port;
    g_assert_true(pci_find(&b, 0, 0x1b36, 0x000c, 0, &port));
    PciPool pool = PCI_POOL, behind = pci_bridge(&port, 1, &pool);
    unsigned e = pci_cap(&port, PCI_CAP_ID_EXP, 0);
    unsigned control = e + PCI_EXP_SLTCTL, status = e + PCI_EXP_SLTSTA;
    g_assert_cmphex(cfg(&port, 'w', status), ==, 0);
    Virtio v;
    g_assert_false(pci_find(&b, 1, 0x1af4, 0x1044, 0, &v.pci));
    /* Told to a guest that listens. The port's pin is INTC: slot 2. */
    cfg_set(&port, 'w', control, PCI_EXP_SLTCTL_HPIE | PCI_EXP_SLTCTL_PDCE | PCI_EXP_SLTCTL_ABPE);
    add(&b, "virtio-rng-pci,bus=rp,id=r");
    g_assert_cmphex(cfg(&port, 'w', status), ==,
                    PCI_EXP_SLTSTA_PDS | PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC |
                        (cfg(&port, 'w', status) & PCI_EXP_SLTSTA_CC));
    g_assert_true(board_irq(&b, 34));
    cfg_set(&port, 'w', status, 0xffff);
    g_assert_false(board_irq(&b, 34));
    g_assert_true(virtio_find(&b, 1, 4, &behind, &v));
    g_assert_cmphex(virtio_agree(&v), ==, 11);
    Ring r = virtio_ring(&v, 0, RAM + 0x10000, 0xffff);
    virtio_go(&v);
    ring_desc(&r, 0, RAM + 0x8000, 64, DESC_WRITE, 0);
    ring_offer(&r, 0);
    g_assert_true(ring_wait(&r, 1));
    /* Asked to let go, the guest has its time: it stays until the power is off. */
    take(&b, "r");
    g_assert_cmpuint(removed, ==, 0);
    g_assert_cmphex(cfg(&port, 'w', status) & PCI_EXP_SLTSTA_ABP, !=, 0);
    g_assert_true(board_irq(&b, 34));
    g_assert_cmphex(rb(&b, v.common + VC_STATUS), ==, 15);
    /* The power off, and again and again before anybody acts on it. */
    for (unsigned i = 0; i < 100; i++)
        cfg_set(&port, 'w', control,
                PCI_EXP_SLTCTL_HPIE | PCI_EXP_SLTCTL_PDCE | PCI_EXP_SLTCTL_PCC |
                    PCI_EXP_SLTCTL_PWR_IND_OFF);
    while (g_main_context_iteration(NULL, FALSE))
        ;
    g_assert_cmpuint(removed, ==, 1);
    g_assert_null(machine_device(b.m, "r"));
    g_assert_cmphex(rb(&b, v.common + VC_STATUS), ==, 0xff);
    g_assert_false(pci_find(&b, 1, 0x1af4, 0x1044, 0, &v.pci));
    g_assert_cmphex(cfg(&port, 'w', status) & PCI_EXP_SLTSTA_PDS, ==, 0);
    g_assert_cmphex(cfg(&port, 'w', status) & PCI_EXP_SLTSTA_PDC, !=, 0);
    /* A guest that listens to nothing: gone at once. The place and the id are free again. */
    cfg_set(&port, 'w', control, 0);
    cfg_set(&port, 'w', status, 0xffff);
    for (unsigned i = 0; i < 20; i++) {
        add(&b, "virtio-rng-pci,bus=rp,id=r");
        PciPool again = {PCI_MEMORY, 0x1000};
        g_assert_true(virtio_find(&b, 1, 4, &again, &v));
        g_assert_cmphex(virtio_agree(&v), ==, 11);
        take(&b, "r");
        g_assert_cmpuint(removed, ==, 2 + i);
    }
    /* A machine that is reset forgets what it asked. */
    add(&b, "virtio-rng-pci,bus=rp,id=r");
    g_autoptr(GError) error = NULL;
    machine_reset(b.m, &b.entry, &error);
    g_assert_no_error(error);
    g_assert_cmphex(cfg(&port, 'w', status) & PCI_EXP_SLTSTA_PDS, !=, 0);
    g_assert_false(machine_add_device(b.m, "virtio-rng-pci,bus=rp,id=more", &error));
    g_clear_error(&error);
    g_assert_false(machine_add_device(b.m, "virtio-rng-pci,bus=pcie.0,id=more", &error));
    g_clear_error(&error);
    g_assert_false(machine_remove_device(b.m, "pcie", &error));
    g_clear_error(&error);
    g_assert_false(machine_remove_device(b.m, "rp", &error));
    board_close(&b);
}

/* Requests are in flight when the card goes: they end, nothing is touched afterwards. */
static void test_busy_removal(void)
{
    static const char *const adds[] = {
        "-device pcie-root-port,id=rp,addr=2",
        "-blockdev driver=null-co,node-name=slow,size=1M,latency-ns=30000000", NULL};
    Board b;
    board_open(&b, adds);
    Pci port;
    g_assert_true(pci_find(&b, 0, 0x1b36, 0x000c, 0, &port));
    PciPool pool = PCI_POOL;
    pci_bridge(&port, 1, &pool);
    for (unsigned round = 0; round < 6; round++) {
        PciPool behind = PCI_POOL;
        Virtio v;
        add(&b, "virtio-blk-pci,bus=rp,id=d,drive=slow");
        g_assert_true(virtio_find(&b, 1, 2, &behind, &v));
        g_assert_cmphex(virtio_agree(&v), ==, 11);
        pci_msix_on_ram(&v.pci, RAM + 0x9000, 0x100);
        Ring r = virtio_ring(&v, 0, RAM + 0x10000, 1);
        virtio_go(&v);
        board_do(&b, "memset 0x%" PRIx64 " 16 0", RAM + 0x20000);
        ring_desc(&r, 0, RAM + 0x20000, 16, DESC_NEXT, 1);
        ring_desc(&r, 1, RAM + 0x21000, 4096, DESC_NEXT | DESC_WRITE, 2);
        ring_desc(&r, 2, RAM + 0x20100, 1, DESC_WRITE, 0);
        for (unsigned i = 0; i < 2; i++)
            ring_offer(&r, 0);
        if (round & 1)
            g_usleep(20000);
        take(&b, "d");
        g_assert_null(machine_device(b.m, "d"));
        unsigned used = ring_used(&r);
        g_usleep(50000);
        g_assert_cmpuint(ring_used(&r), ==, used);
        wl(&b, v.common + VC_STATUS, 0); /* nobody */
        g_assert_cmphex(rl(&b, v.common), ==, UINT32_MAX);
    }
    board_close(&b);
}

/* ---- pci-serial --------------------------------------------------------------------- */

static void test_serial(void)
{
    static const char *const adds[] = {"-device pci-serial,chardev=c,addr=5,id=s", NULL};
    Board b;
    board_open(&b, adds);
    Pci p;
    PciPool pool = PCI_POOL;
    g_assert_true(pci_find(&b, 0, 0x1b36, 0x0002, 0, &p));
    g_assert_cmphex(cfg(&p, 'l', PCI_CLASS_REVISION), ==, 0x07000201);
    pci_place(&p, &pool);
    g_assert_cmpuint(p.size[0], ==, 8);
    g_assert_cmphex(rb(&b, p.bar[0] + 5), ==, 0x60);
    wb(&b, p.bar[0] + 7, 0x5a);
    g_assert_cmphex(rb(&b, p.bar[0] + 7), ==, 0x5a);
    g_assert_cmphex(rb(&b, p.bar[0] + 8), ==, 0xff);
    wb(&b, p.bar[0], 'x');
    g_autoptr(GBytes) out = chardev_memory_take_output(b.port);
    g_assert_cmpmem(g_bytes_get_data(out, NULL), g_bytes_get_size(out), "x", 1);
    /* The pin: slot 5's INTA is INTB. */
    wb(&b, p.bar[0] + 1, 1);
    chardev_memory_input(b.port, "k", 1);
    g_assert_true(board_irq(&b, 33));
    g_assert_cmphex(cfg(&p, 'w', PCI_STATUS) & PCI_STATUS_INTERRUPT, !=, 0);
    cfg_set(&p, 'w', PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_INTX_DISABLE);
    g_assert_false(board_irq(&b, 33));
    cfg_set(&p, 'w', PCI_COMMAND, PCI_COMMAND_IO);
    g_assert_true(board_irq(&b, 33));
    g_assert_cmphex(rb(&b, p.bar[0]), ==, 'k');
    g_assert_false(board_irq(&b, 33));
    /* Moved, it answers there alone. */
    cfg_set(&p, 'l', PCI_BASE_ADDRESS_0, 0x4440);
    g_assert_cmphex(rb(&b, PORTS + 0x4447), ==, 0x5a);
    g_assert_cmphex(rb(&b, p.bar[0] + 7), ==, 0xff);
    board_close(&b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pci-board/ecam", test_ecam);
    g_test_add_func("/pci-board/port", test_port);
    g_test_add_func("/pci-board/hotplug", test_hotplug);
    g_test_add_func("/pci-board/busy-removal", test_busy_removal);
    g_test_add_func("/pci-board/serial", test_serial);
    return g_test_run();
}
