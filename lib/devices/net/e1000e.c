/* SPDX-License-Identifier: MIT */
/*
 * An Intel 82574L gigabit network card on PCI Express (82574 GbE Controller Family Datasheet): properties,
 * BARs, start and end. BAR 0 has the registers, BAR 1 a flash without anything in it, BAR 2 the
 * registers by address and data [10.1.2], BAR 3 the MSI-X table. Left out: MSI, waking up, a management
 * controller, stamps of received packets, flow control.
 */
#include "devices/net/e1000e_priv.h"

#include "base/bytes.h"
#include "base/error.h"

#include <string.h>

enum { FLASH_SIZE = 0x20000, IO_SIZE = 32, MSIX_SIZE = 0x4000, MSIX_PBA = 0x2000 };
enum { IO_ADDR = 0, IO_DATA = 4, DSN = 3 };

void e1000e_lock(E1000e *n)
{
    pthread_mutex_lock(&n->lock);
    __atomic_store_n(&n->owner, (void *)pthread_self(), __ATOMIC_RELAXED);
}

void e1000e_unlock(E1000e *n)
{
    __atomic_store_n(&n->owner, NULL, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&n->lock);
}

/* The card's own message came back to it: refused. */
static bool own_message(const E1000e *n)
{
    return __atomic_load_n(&n->owner, __ATOMIC_RELAXED) == (void *)pthread_self();
}

/* ---- Regions ------------------------------------------------------------------------------- */

static uint64_t regs_read(Device *dev, uint64_t offset, unsigned size)
{
    E1000e *n = (E1000e *)dev;
    return own_message(n) ? 0 : e1000e_read(n, (uint32_t)offset);
}

static void regs_write(Device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    E1000e *n = (E1000e *)dev;
    if (!own_message(n))
        e1000e_write(n, (uint32_t)offset, (uint32_t)value);
}

static uint64_t flash_read(Device *dev, uint64_t offset, unsigned size)
{
    return UINT64_MAX;
}

static void flash_write(Device *dev, uint64_t offset, uint64_t value, unsigned size)
{
}

static uint64_t io_read(Device *dev, uint64_t offset, unsigned size)
{
    E1000e *n = (E1000e *)dev;
    uint32_t addr = __atomic_load_n(&n->io_addr, __ATOMIC_RELAXED);
    if (offset == IO_ADDR)
        return addr;
    return offset == IO_DATA && addr < E1000E_BAR_SIZE && !own_message(n) ? e1000e_read(n, addr) : 0;
}

static void io_write(Device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    E1000e *n = (E1000e *)dev;
    uint32_t addr = __atomic_load_n(&n->io_addr, __ATOMIC_RELAXED);
    if (offset == IO_ADDR)
        __atomic_store_n(&n->io_addr, (uint32_t)value, __ATOMIC_RELAXED);
    else if (offset == IO_DATA && addr < E1000E_BAR_SIZE && !own_message(n))
        e1000e_write(n, addr, (uint32_t)value);
}

/* ---- Life -------------------------------------------------------------------------------------- */

static void on_link(void *opaque, bool up)
{
    E1000e *n = opaque;
    e1000e_lock(n);
    e1000e_link_update(n);
    e1000e_unlock(n);
}

static void card_reset(Device *dev)
{
    E1000e *n = (E1000e *)dev;
    n->io_addr = 0;
    e1000e_reset(n, true);
}

static void on_reset(void *opaque)
{
    card_reset(opaque);
}

static const PciOps card_ops = {.reset = on_reset};

/* The serial number: the address, widened. */
static void add_serial(E1000e *n)
{
    unsigned at = pci_ext_capability(&n->pci.fn, DSN, 1, 12);
    uint8_t *p = n->pci.fn.config + at + 4;
    const uint8_t bytes[8] = {n->mac[5], n->mac[4], n->mac[3], 0xff, 0xff, n->mac[2], n->mac[1],
                              n->mac[0]};
    memcpy(p, bytes, sizeof bytes);
}

static bool add_bars(Device *dev, GError **error)
{
    E1000e *n = (E1000e *)dev;
    return device_bar(dev, 0, PCI_BAR_MEM32, E1000E_BAR_SIZE, 0, 0, error) &&
           device_bar(dev, 1, PCI_BAR_MEM32, FLASH_SIZE, 1, 0, error) &&
           device_bar(dev, 2, PCI_BAR_IO, IO_SIZE, 2, 0, error) &&
           pci_msix(&n->pci.fn, 3, PCI_BAR_MEM32, MSIX_SIZE, E1000E_VECTORS, 0, MSIX_PBA, error);
}

static bool card_start(Device *dev, GError **error)
{
    static const PciIds ids = { .vendor = 0x8086, .device = 0x10d3, .sub_vendor = 0x8086,
                                .sub_device = 0, .class_code = 0x020000 };
    static const NetCard card = {.receive = e1000e_receive, .any_thread = true,
                                 .room = e1000e_room, .link = on_link};
    static const uint8_t first[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56}, none[6];
    E1000e *n = (E1000e *)dev;
    if (n->romfile && *n->romfile)
        return fail_usage(error, "romfile=%s: boot ROMs are not there yet", n->romfile);
    if (!memcmp(n->mac, none, sizeof none))
        memcpy(n->mac, first, sizeof first);
    if (!e1000e_thread_start(n, error))
        return false;
    pci_init(&n->pci.fn, &ids, &card_ops, n);
    pci_pin(&n->pci.fn, 1);
    if (!add_bars(dev, error))
        return false;
    pci_express(&n->pci.fn, 0);
    add_serial(n);
    e1000e_nvm_init(n);
    if (!n->backend)
        return true;
    unsigned features = net_features(n->backend);
    n->header = features & NET_VNET_HEADER &&
                net_set_header(n->backend, E1000E_HEADER, features & NET_CSUM);
    net_set_card(n->backend, &card, n);
    return true;
}

static void card_stop(Device *dev)
{
    E1000e *n = (E1000e *)dev;
    if (n->has_thread)
        e1000e_pause(n);
    if (n->backend && n->has_thread) {
        net_set_card(n->backend, NULL, NULL);
        net_set_header(n->backend, 0, 0);
    }
    e1000e_thread_end(n);
}

static void card_saving(Device *dev)
{
    E1000e *n = (E1000e *)dev;
    e1000e_pause(n);
    e1000e_lock(n);
    n->time_base = e1000e_time(n);
    n->time_at = bus_clock_now(n->dev.env.clock);
    memcpy(n->saved_regs, n->regs, sizeof n->regs);
    memcpy(n->saved_contexts, n->contexts, sizeof n->contexts);
    e1000e_unlock(n);
    e1000e_resume(n);
}

static bool card_loaded(Device *dev, GError **error)
{
    E1000e *n = (E1000e *)dev;
    e1000e_pause(n);
    e1000e_lock(n);
    n->time_at = bus_clock_now(n->dev.env.clock);
    n->irq_seen = n->tx_causes = 0;
    memcpy(n->regs, n->saved_regs, sizeof n->regs);
    memcpy(n->contexts, n->saved_contexts, sizeof n->contexts);
    e1000e_regs_loaded(n);
    n->starved = true;
    e1000e_rx_again(n);
    e1000e_link_update(n); /* it may be another now */
    e1000e_irq_update(n);
    e1000e_unlock(n);
    e1000e_resume(n);
    return true;
}

static DevicePci *card_pci(Device *dev)
{
    return &((E1000e *)dev)->pci;
}

#define AT(field) offsetof(E1000e, field)
static const DeviceProp card_props[] = {
    {"netdev", DEVICE_NET, AT(backend), NULL, 0, 0, "the -netdev it leads to"},
    {"mac", DEVICE_MAC, AT(mac), NULL, 0, 0, "its address; else the next of 52:54:00:12:34:56"},
    {"bootindex", DEVICE_U32, AT(bootindex), NULL, 0, 0, "for firmware; taken and not used yet"},
    {"romfile", DEVICE_STRING, AT(romfile), NULL, 0, 0, "empty, as there is no boot ROM"},
    DEVICE_PCI_PROPS(E1000e, pci),
    {.name = NULL},
};

static const DeviceRegion card_regions[] = {
    {.name = "e1000e", .size = E1000E_BAR_SIZE, .min = 4, .max = 4, .valid_min = 4,
     .valid_max = 8, .read = regs_read, .write = regs_write},
    {.name = "e1000e-flash", .size = FLASH_SIZE, .min = 1, .max = 8, .read = flash_read,
     .write = flash_write},
    {.name = "e1000e-io", .size = IO_SIZE, .min = 4, .max = 4, .valid_min = 4, .valid_max = 4,
     .read = io_read, .write = io_write},
    {.name = NULL},
};

static const StateField card_saved[] = {
    PCI_SAVED(E1000e, pci.fn),
    STATE_ARRAY(E1000e, saved_regs, 1),
    STATE_ARRAY(E1000e, nvm, 1),
    STATE_ARRAY(E1000e, phy, 1),
    STATE_FIELD(E1000e, link_lost, 1),
    {"contexts", AT(saved_contexts), 1, false, E1000E_QUEUES * E1000E_CONTEXT, 0, 1},
    STATE_FIELD(E1000e, io_addr, 1),
    STATE_FIELD(E1000e, time_base, 1),
    STATE_FIELD(E1000e, time_read, 1),
    STATE_FIELD(E1000e, time_stamp_tx, 1),
    STATE_END,
};

const DeviceType e1000e_type = {
    .name = "e1000e",
    .summary = "Intel 82574L gigabit network card",
    .size = sizeof(E1000e),
    .props = card_props,
    .regions = card_regions,
    .saved = card_saved,
    .slot = "pci",
    .unlocked = true,
    .start = card_start,
    .reset = card_reset,
    .stop = card_stop,
    .saving = card_saving,
    .loaded = card_loaded,
    .pci = card_pci,
};
