/* SPDX-License-Identifier: MIT */
/* A host, bridges and functions driven through ECAM as firmware and drivers do. */
#include "pci/pci.h"

#include <linux/pci_regs.h>

enum { IO_WINDOW = 0x3000000, MEM_WINDOW = 0x40000000, DOORBELL = 0x1000 };
#define HIGH_WINDOW UINT64_C(0x400000000)

typedef struct {
    BusSpace *space;
    PciHost *host;
    bool lines[4];
} World;

typedef struct {
    PciFunction fn;
    unsigned resets, offs;
    PciSlot slot;
} Model;

static void on_line(void *opaque, int n, bool level)
{
    ((World *)opaque)->lines[n] = level;
}

static void world_new(World *w)
{
    const PciWindow windows[] = { { true, IO_WINDOW, 0, 0x10000 },
                                  { false, MEM_WINDOW, MEM_WINDOW, 0x40000000 },
                                  { false, HIGH_WINDOW, HIGH_WINDOW, 0x400000000 } };
    *w = (World){ .space = bus_space_new("test", false) };
    g_assert_nonnull(bus_ram_new(w->space, "ram", 0, 0x10000, 0, 0, NULL));
    w->host = pci_host_new("pcie.0", windows, G_N_ELEMENTS(windows));
    BusIrq lines[4];
    for (int i = 0; i < 4; i++)
        lines[i] = (BusIrq){ on_line, w, i };
    g_assert_true(pci_host_start(w->host, w->space, lines, NULL));
}

static void world_free(World *w)
{
    pci_host_free(w->host);
    bus_space_free(w->space);
}

static uint32_t get(World *w, unsigned bus, uint8_t devfn, unsigned at, unsigned size)
{
    return (uint32_t)pci_host_read(w->host, (uint64_t)bus << 20 | (uint64_t)devfn << 12 | at, size);
}

static void put(World *w, unsigned bus, uint8_t devfn, unsigned at, unsigned size, uint32_t value)
{
    pci_host_write(w->host, (uint64_t)bus << 20 | (uint64_t)devfn << 12 | at, value, size);
}

static uint64_t reg_read(void *opaque, uint64_t offset, unsigned size)
{
    return 0xabcd0000 + offset;
}

static void reg_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
}

static void on_reset(void *opaque)
{
    ((Model *)opaque)->resets++;
}

static void on_off(void *opaque)
{
    ((Model *)opaque)->offs++;
}

static void on_written(void *opaque, unsigned offset, unsigned len)
{
    Model *m = opaque;
    if (m->slot.fn)
        pci_slot_written(&m->slot, offset, len);
}

static const BusOps reg_ops = {.read = reg_read, .write = reg_write, .max = 4};
static const PciOps model_ops = {.reset = on_reset, .written = on_written};

static BusRegion *hidden(World *w, uint64_t size)
{
    bus_update_begin(w->space);
    BusRegion *r = bus_mmio_new(w->space, "bar", 0, size, &reg_ops, NULL, 0, NULL);
    bus_region_enable(r, false);
    bus_update_end(w->space);
    return r;
}

/* An endpoint with a BAR of each kind, MSI-X in BAR 1 and a pin. */
static void model_start(World *w, Model *m)
{
    static const PciIds ids = { .vendor = 0x1234, .device = 0x5678, .sub_vendor = 0x9abc,
                                .sub_device = 0xdef0, .revision = 3, .class_code = 0x010802 };
    pci_init(&m->fn, &ids, &model_ops, m);
    pci_bar(&m->fn, 0, PCI_BAR_IO, 0x40, hidden(w, 0x40), 0);
    g_assert_true(pci_msix(&m->fn, 1, PCI_BAR_MEM32, 0x1000, 3, 0, 0x800, NULL));
    pci_bar(&m->fn, 4, PCI_BAR_MEM64_PREFETCH, 0x4000, hidden(w, 0x4000), 0);
    pci_express(&m->fn, 0);
    pci_pin(&m->fn, 1);
    pci_show(&m->fn);
}

static void model_end(Model *m)
{
    pci_hide(&m->fn);
    pci_clear(&m->fn);
    pci_unplug(&m->fn);
}

static uint64_t mem(World *w, uint64_t addr)
{
    uint64_t value;
    BusResult r = bus_read(w->space, addr, 4, &value);
    return r == BUS_OK ? value : UINT64_C(1) << 40;
}

static void test_header(void)
{
    World w;
    Model m = {0};
    world_new(&w);
    g_assert_true(pci_plug(pci_host_bus(w.host), &m.fn, "3.0", false, NULL));
    g_assert_cmphex(get(&w, 0, 3 << 3, 0, 4), ==, 0xffffffff); /* not shown yet */
    model_start(&w, &m);
    g_assert_cmphex(get(&w, 0, 3 << 3, PCI_VENDOR_ID, 4), ==, 0x56781234);
    g_assert_cmphex(get(&w, 0, 3 << 3, PCI_CLASS_REVISION, 4), ==, 0x01080203);
    g_assert_cmphex(get(&w, 0, 3 << 3, PCI_SUBSYSTEM_VENDOR_ID, 4), ==, 0xdef09abc);
    g_assert_cmphex(get(&w, 0, 4 << 3, 0, 4), ==, 0xffffffff);
    g_assert_cmphex(get(&w, 7, 0, 0, 2), ==, 0xffff);
    put(&w, 0, 3 << 3, PCI_VENDOR_ID, 4, 0); /* read-only */
    g_assert_cmphex(get(&w, 0, 3 << 3, PCI_VENDOR_ID, 2), ==, 0x1234);
    /* All ones in a BAR show its size. */
    static const struct {
        unsigned at;
        uint32_t mask;
    } bars[] = { { 0x10, 0xffffffc1 }, { 0x14, 0xfffff000 }, { 0x18, 0 }, { 0x1c, 0 },
                 { 0x20, 0xffffc00c }, { 0x24, 0xffffffff } };
    for (size_t i = 0; i < G_N_ELEMENTS(bars); i++) {
        put(&w, 0, 3 << 3, bars[i].at, 4, 0xffffffff);
        g_assert_cmphex(get(&w, 0, 3 << 3, bars[i].at, 4), ==, bars[i].mask);
    }
    /* The chain of capabilities ends, and has both. */
    unsigned seen = 0;
    for (unsigned at = get(&w, 0, 3 << 3, PCI_CAPABILITY_LIST, 1), n = 0; at;
         at = get(&w, 0, 3 << 3, at + 1, 1)) {
        unsigned id = get(&w, 0, 3 << 3, at, 1);
        seen |= id == PCI_CAP_ID_MSIX ? 1 : id == PCI_CAP_ID_EXP ? 2 : 0;
        g_assert_cmpuint(++n, <, 10);
    }
    g_assert_cmpuint(seen, ==, 3);
    model_end(&m);
    g_assert_cmphex(get(&w, 0, 3 << 3, 0, 4), ==, 0xffffffff);
    world_free(&w);
}

static void test_bars(void)
{
    World w;
    Model m = {0};
    world_new(&w);
    g_assert_true(pci_plug(pci_host_bus(w.host), &m.fn, NULL, false, NULL));
    model_start(&w, &m);
    put(&w, 0, 0, 0x10, 4, 0x80);
    put(&w, 0, 0, 0x20, 4, 0x8000);
    put(&w, 0, 0, 0x24, 4, HIGH_WINDOW >> 32);
    g_assert_cmphex(mem(&w, HIGH_WINDOW + 0x8000), ==, 0xffffffff); /* nobody claims it */
    put(&w, 0, 0, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    g_assert_cmphex(mem(&w, HIGH_WINDOW + 0x8010), ==, 0xabcd0010);
    g_assert_cmphex(mem(&w, IO_WINDOW + 0x84), ==, 0xffffffff);
    put(&w, 0, 0, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
    g_assert_cmphex(mem(&w, IO_WINDOW + 0x84), ==, 0xabcd0004);
    put(&w, 0, 0, 0x24, 4, 0x77); /* no window leads there */
    g_assert_cmphex(mem(&w, HIGH_WINDOW + 0x8010), ==, 0xffffffff);
    g_assert_cmphex(mem(&w, UINT64_C(0x7700008010)), ==, UINT64_C(1) << 40);
    put(&w, 0, 0, 0x20, 4, 0);
    put(&w, 0, 0, 0x24, 4, 0); /* not onto RAM */
    g_assert_cmphex(mem(&w, 0x10), ==, 0);
    put(&w, 0, 0, 0x10, 4, 0xfff0); /* the last place for it */
    g_assert_cmphex(mem(&w, IO_WINDOW + 0xffc0), ==, 0xabcd0000);
    /* A reset of the function forgets all of it. */
    put(&w, 0, 0, m.fn.express + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
    g_assert_cmpuint(m.resets, ==, 1);
    g_assert_cmphex(get(&w, 0, 0, PCI_COMMAND, 2), ==, 0);
    g_assert_cmphex(mem(&w, IO_WINDOW + 0xffc0), ==, 0xffffffff);
    model_end(&m);
    world_free(&w);
}

static void test_places(void)
{
    World w;
    Model m[4] = {0};
    world_new(&w);
    PciBus *bus = pci_host_bus(w.host);
    g_assert_true(pci_plug(bus, &m[0].fn, "2", true, NULL));
    g_assert_true(pci_plug(bus, &m[1].fn, "2.7", false, NULL));
    static const char *const wrong[] = { "2", "2.7", "20", "1.8", "x", "", "1.", "1.1x" };
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) e = NULL;
        g_assert_false(pci_plug(bus, &m[2].fn, wrong[i], false, &e));
        g_assert_nonnull(e);
    }
    g_assert_true(pci_plug(bus, &m[2].fn, "1f", false, NULL));
    g_autoptr(GError) e = NULL;
    g_assert_false(pci_plug(bus, &m[3].fn, "1f.1", false, &e)); /* function 0 stands alone */
    for (int i = 0; i < 3; i++)
        pci_unplug(&m[i].fn);
    world_free(&w);
}

static void test_pins(void)
{
    World w;
    Model a = {0}, b = {0};
    world_new(&w);
    g_assert_true(pci_plug(pci_host_bus(w.host), &a.fn, "2", false, NULL));
    g_assert_true(pci_plug(pci_host_bus(w.host), &b.fn, "6", false, NULL));
    model_start(&w, &a);
    model_start(&w, &b);
    pci_intx(&a.fn, true);
    g_assert_true(w.lines[2]);
    g_assert_cmphex(get(&w, 0, 2 << 3, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT, !=, 0);
    pci_intx(&b.fn, true); /* the same line, since it turns by four */
    pci_intx(&a.fn, false);
    g_assert_true(w.lines[2]);
    put(&w, 0, 6 << 3, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
    g_assert_false(w.lines[2]);
    g_assert_cmphex(get(&w, 0, 6 << 3, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT, !=, 0);
    put(&w, 0, 6 << 3, PCI_COMMAND, 2, 0);
    g_assert_true(w.lines[2]);
    model_end(&b); /* takes its interrupt along */
    g_assert_false(w.lines[2]);
    model_end(&a);
    world_free(&w);
}

static void test_msix(void)
{
    World w;
    Model m = {0};
    world_new(&w);
    g_assert_true(pci_plug(pci_host_bus(w.host), &m.fn, NULL, false, NULL));
    model_start(&w, &m);
    put(&w, 0, 0, 0x14, 4, MEM_WINDOW);
    put(&w, 0, 0, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    for (unsigned v = 0; v < 3; v++) {
        bus_write(w.space, MEM_WINDOW + 16 * v, DOORBELL + 4 * v, 4);
        bus_write(w.space, MEM_WINDOW + 16 * v + 8, 0x100 + v, 4);
    }
    unsigned control = m.fn.msix_cap + PCI_MSIX_FLAGS;
    g_assert_cmpuint(get(&w, 0, 0, control, 2), ==, 2); /* three of them */
    pci_msix_send(&m.fn, 0);
    g_assert_cmphex(mem(&w, DOORBELL), ==, 0); /* not turned on */
    pci_intx(&m.fn, true);
    g_assert_true(w.lines[0]);
    put(&w, 0, 0, control, 2, PCI_MSIX_FLAGS_ENABLE);
    g_assert_false(w.lines[0]); /* messages in place of the pin */
    pci_msix_send(&m.fn, 1); /* masked: waits */
    g_assert_cmphex(mem(&w, DOORBELL + 4), ==, 0);
    g_assert_cmphex(mem(&w, MEM_WINDOW + 0x800), ==, 2);
    bus_write(w.space, MEM_WINDOW + 16 + 12, 0, 4);
    g_assert_cmphex(mem(&w, DOORBELL + 4), ==, 0x101);
    g_assert_cmphex(mem(&w, MEM_WINDOW + 0x800), ==, 0);
    put(&w, 0, 0, control, 2, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
    bus_write(w.space, DOORBELL + 4, 0, 4);
    pci_msix_send(&m.fn, 1);
    g_assert_cmphex(mem(&w, DOORBELL + 4), ==, 0);
    put(&w, 0, 0, control, 2, PCI_MSIX_FLAGS_ENABLE);
    g_assert_cmphex(mem(&w, DOORBELL + 4), ==, 0x101);
    pci_msix_send(&m.fn, 3); /* there is none */
    pci_msix_send(&m.fn, 0xffff);
    /* A message onto the table itself harms nobody. */
    bus_write(w.space, MEM_WINDOW, MEM_WINDOW + 12, 4);
    bus_write(w.space, MEM_WINDOW + 8, 0, 4);
    bus_write(w.space, MEM_WINDOW + 12, 0, 4);
    pci_msix_send(&m.fn, 0);
    put(&w, 0, 0, PCI_COMMAND, 2, PCI_COMMAND_MEMORY); /* no bus master, no messages */
    bus_write(w.space, DOORBELL + 4, 0, 4);
    pci_msix_send(&m.fn, 1);
    g_assert_cmphex(mem(&w, DOORBELL + 4), ==, 0);
    model_end(&m);
    world_free(&w);
}

static void port_start(Model *p, PciBus *behind)
{
    static const PciIds ids = { .vendor = 1, .device = 2, .class_code = 0x060400 };
    pci_init(&p->fn, &ids, &model_ops, p);
    pci_bridge_init(&p->fn, behind);
    pci_express(&p->fn, PCI_EXP_TYPE_ROOT_PORT);
    pci_slot_init(&p->slot, &p->fn, 5, on_off, p);
    pci_pin(&p->fn, 1);
    pci_show(&p->fn);
}

static void test_bridge(void)
{
    World w;
    Model port = {0}, m = {0}, second = {0};
    world_new(&w);
    PciBus *behind = pci_bus_new("rp", 1);
    g_assert_true(pci_plug(pci_host_bus(w.host), &port.fn, "3", false, NULL));
    g_assert_true(pci_plug(behind, &m.fn, NULL, false, NULL));
    g_assert_false(pci_plug(behind, &second.fn, NULL, false, NULL)); /* one a link */
    port_start(&port, behind);
    model_start(&w, &m);
    g_assert_cmphex(get(&w, 1, 0, 0, 4), ==, 0xffffffff);
    put(&w, 0, 3 << 3, PCI_PRIMARY_BUS, 4, 0x00050100); /* secondary 1, subordinate 5 */
    g_assert_cmphex(get(&w, 1, 0, 0, 4), ==, 0x56781234);
    g_assert_cmphex(get(&w, 2, 0, 0, 4), ==, 0xffffffff);
    /* A BAR shows only through the port's window and when the port lets memory through. */
    put(&w, 1, 0, 0x20, 4, 0);
    put(&w, 1, 0, 0x24, 4, HIGH_WINDOW >> 32);
    put(&w, 1, 0, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    g_assert_cmphex(mem(&w, HIGH_WINDOW + 8), ==, 0xffffffff);
    put(&w, 0, 3 << 3, PCI_PREF_MEMORY_BASE, 4, 0);
    put(&w, 0, 3 << 3, PCI_PREF_BASE_UPPER32, 4, HIGH_WINDOW >> 32);
    put(&w, 0, 3 << 3, PCI_PREF_LIMIT_UPPER32, 4, HIGH_WINDOW >> 32);
    g_assert_cmphex(mem(&w, HIGH_WINDOW + 8), ==, 0xffffffff);
    put(&w, 0, 3 << 3, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    g_assert_cmphex(mem(&w, HIGH_WINDOW + 8), ==, 0xabcd0008);
    pci_intx(&m.fn, true); /* slot 0 behind the port in slot 3 */
    g_assert_true(w.lines[3]);
    /* The reset of the bus behind. */
    put(&w, 0, 3 << 3, PCI_BRIDGE_CONTROL, 2, PCI_BRIDGE_CTL_BUS_RESET);
    g_assert_cmpuint(m.resets, ==, 1);
    g_assert_false(w.lines[3]);
    g_assert_cmphex(mem(&w, HIGH_WINDOW + 8), ==, 0xffffffff);
    /* Numbers that lead a bridge to itself are followed nowhere. */
    put(&w, 0, 3 << 3, PCI_PRIMARY_BUS, 4, 0x00ff0000);
    g_assert_cmphex(get(&w, 9, 0, 0, 4), ==, 0xffffffff);
    model_end(&m);
    model_end(&port);
    pci_bus_free(behind);
    world_free(&w);
}

static void test_slot(void)
{
    World w;
    Model port = {0};
    world_new(&w);
    PciBus *behind = pci_bus_new("rp", 1);
    g_assert_true(pci_plug(pci_host_bus(w.host), &port.fn, "0", false, NULL));
    port_start(&port, behind);
    unsigned cap = port.fn.express, control = cap + PCI_EXP_SLTCTL, status = cap + PCI_EXP_SLTSTA;
    g_assert_cmphex(get(&w, 0, 0, cap + PCI_EXP_SLTCAP, 4) >> 19, ==, 5);
    pci_slot_set(&port.slot, true, true);
    g_assert_cmphex(get(&w, 0, 0, status, 2), ==,
                    PCI_EXP_SLTSTA_PDS | PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC);
    g_assert_false(w.lines[0]);
    put(&w, 0, 0, control, 2, PCI_EXP_SLTCTL_HPIE | PCI_EXP_SLTCTL_PDCE | PCI_EXP_SLTCTL_ABPE);
    g_assert_true(w.lines[0]);
    put(&w, 0, 0, status, 2, 0xffff);
    g_assert_cmphex(get(&w, 0, 0, status, 2), ==, PCI_EXP_SLTSTA_PDS);
    g_assert_false(w.lines[0]);
    pci_slot_button(&port.slot);
    g_assert_true(w.lines[0]);
    g_assert_cmpuint(port.offs, ==, 0);
    put(&w, 0, 0, status, 2, PCI_EXP_SLTSTA_ABP);
    /* Power and its light off: the device may go. */
    put(&w, 0, 0, control, 2, PCI_EXP_SLTCTL_HPIE | PCI_EXP_SLTCTL_PCC | PCI_EXP_SLTCTL_PWR_IND_OFF);
    g_assert_cmpuint(port.offs, ==, 1);
    pci_slot_set(&port.slot, false, true);
    g_assert_cmphex(get(&w, 0, 0, status, 2) & PCI_EXP_SLTSTA_PDS, ==, 0);
    /* Without a listener it goes at once. */
    put(&w, 0, 0, control, 2, 0);
    pci_slot_set(&port.slot, true, true);
    pci_slot_button(&port.slot);
    g_assert_cmpuint(port.offs, ==, 2);
    model_end(&port);
    pci_bus_free(behind);
    world_free(&w);
}

/* Random configuration accesses to a port with a device behind it: nothing but a sane machine. */
static void test_poke(void)
{
    World w;
    Model port = {0}, m = {0};
    world_new(&w);
    PciBus *behind = pci_bus_new("rp", 1);
    g_assert_true(pci_plug(pci_host_bus(w.host), &port.fn, "1", false, NULL));
    g_assert_true(pci_plug(behind, &m.fn, NULL, false, NULL));
    port_start(&port, behind);
    model_start(&w, &m);
    GRand *rand = g_rand_new_with_seed(7);
    for (int i = 0; i < 20000; i++) {
        unsigned size = 1u << g_rand_int_range(rand, 0, 3);
        uint8_t devfn = g_rand_boolean(rand) ? 1 << 3 : 0;
        unsigned bus = (unsigned)g_rand_int_range(rand, 0, 3);
        unsigned at = (unsigned)g_rand_int_range(rand, 0, 0x200) & ~(size - 1);
        put(&w, bus, devfn, at, size, g_rand_int(rand));
        get(&w, bus, devfn, at, size);
        pci_intx(&m.fn, g_rand_boolean(rand));
        pci_msix_send(&m.fn, (unsigned)g_rand_int_range(rand, 0, 4));
    }
    g_rand_free(rand);
    g_assert_cmphex(get(&w, 0, 1 << 3, 0, 4), ==, 0x00020001);
    model_end(&m);
    model_end(&port);
    for (int i = 0; i < 4; i++)
        g_assert_false(w.lines[i]);
    pci_bus_free(behind);
    world_free(&w);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pci/header", test_header);
    g_test_add_func("/pci/bars", test_bars);
    g_test_add_func("/pci/places", test_places);
    g_test_add_func("/pci/pins", test_pins);
    g_test_add_func("/pci/msix", test_msix);
    g_test_add_func("/pci/bridge", test_bridge);
    g_test_add_func("/pci/slot", test_slot);
    g_test_add_func("/pci/poke", test_poke);
    return g_test_run();
}
