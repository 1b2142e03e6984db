/* SPDX-License-Identifier: MIT */
/*
 * A small PCI driver over a board's ECAM window, for tests: functions found by their ids, BARs sized and
 * placed, capabilities walked, MSI-X pointed at RAM; and the driver's side of virtio over PCI.
 */
#pragma once

#include "qtest/test_board.h"

#include <linux/pci_regs.h>

#define ECAM UINT64_C(0x30000000)
#define PORTS UINT64_C(0x3000000)    /* the CPU's address of port 0 */
#define PCI_MEMORY UINT64_C(0x40000000)
#define PCI_ADDR(bus, devfn) (ECAM + ((uint64_t)(bus) << 20) + ((uint64_t)(devfn) << 12))

/* A function. */
typedef struct {
    Board *b;
    uint64_t cfg;    /* of its configuration space */
    uint64_t bar[6]; /* where pci_place put them, as the CPU sees it; 0: there is none */
    uint64_t size[6];
} Pci;

/* What pci_place may still give away: PCI addresses. */
typedef struct {
    uint64_t mem, io;
} PciPool;

#define PCI_POOL {PCI_MEMORY, 0x1000}

static inline uint32_t cfg(const Pci *p, char size, unsigned at)
{
    return (uint32_t)board_read(p->b, size, p->cfg + at);
}

static inline void cfg_set(const Pci *p, char size, unsigned at, uint32_t value)
{
    board_write(p->b, size, p->cfg + at, value);
}

/* The n-th function with these ids on a bus. */
static inline bool pci_find(Board *b, unsigned bus, uint16_t vendor, uint16_t device, unsigned n, Pci *p)
{
    for (unsigned devfn = 0; devfn < 256; devfn++) {
        *p = (Pci){.b = b, .cfg = PCI_ADDR(bus, devfn)};
        if (cfg(p, 'l', 0) == ((uint32_t)device << 16 | vendor) && n-- == 0)
            return true;
    }
    return false;
}

/* The first capability of that id behind one (0: from the start), or 0. Ends on loops. */
static inline unsigned pci_cap(const Pci *p, uint8_t id, unsigned behind)
{
    uint32_t status = cfg(p, 'w', PCI_STATUS);
    if (!(status & PCI_STATUS_CAP_LIST) || status == 0xffff) /* nobody is there */
        return 0;
    unsigned at = cfg(p, 'b', behind ? behind + 1 : PCI_CAPABILITY_LIST);
    for (unsigned i = 0; at && i < 48; i++) {
        g_assert_cmpuint(at, >=, 0x40);
        g_assert_cmpuint(at % 4, ==, 0);
        if (cfg(p, 'b', at) == id)
            return at;
        at = cfg(p, 'b', at + 1);
    }
    return 0;
}

/* Sizes all BARs, puts them one behind the other, and turns everything on. */
static inline void pci_place(Pci *p, PciPool *pool)
{
    cfg_set(p, 'w', PCI_COMMAND, 0);
    for (unsigned i = 0; i < 6; i++) {
        unsigned at = PCI_BASE_ADDRESS_0 + 4 * i;
        cfg_set(p, 'l', at, UINT32_MAX);
        uint32_t got = cfg(p, 'l', at);
        if (!got)
            continue;
        bool io = got & 1, wide = !io && got & PCI_BASE_ADDRESS_MEM_TYPE_64;
        uint64_t size = ~(got & ~(io ? 3u : 15u)) + 1;
        uint64_t *next = io ? &pool->io : &pool->mem;
        *next = (*next + size - 1) & ~(size - 1);
        cfg_set(p, 'l', at, (uint32_t)*next);
        p->size[i] = size;
        p->bar[i] = *next + (io ? PORTS : 0);
        *next += size;
        if (wide)
            cfg_set(p, 'l', PCI_BASE_ADDRESS_0 + 4 * ++i, 0);
    }
    cfg_set(p, 'w', PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

/* A bridge: the bus behind it, and the windows of memory and ports, which is a share of the pool's. */
static inline PciPool pci_bridge(const Pci *p, unsigned bus, PciPool *pool)
{
    enum { MEM = 0x400000, IO = 0x1000 };
    pool->mem = (pool->mem + MEM - 1) & ~(uint64_t)(MEM - 1);
    pool->io = (pool->io + IO - 1) & ~(uint64_t)(IO - 1);
    PciPool behind = *pool;
    pool->mem += MEM;
    pool->io += IO;
    cfg_set(p, 'l', PCI_PRIMARY_BUS, bus << 8 | bus << 16);
    cfg_set(p, 'w', PCI_IO_BASE, (uint32_t)((behind.io >> 8 & 0xf0) | ((pool->io - 1) & 0xf000)));
    cfg_set(p, 'l', PCI_IO_BASE_UPPER16, 0);
    cfg_set(p, 'w', PCI_MEMORY_BASE, (uint32_t)(behind.mem >> 16));
    cfg_set(p, 'w', PCI_MEMORY_LIMIT, (uint32_t)((pool->mem - 1) >> 16));
    cfg_set(p, 'l', PCI_PREF_MEMORY_BASE, 0x0000fff0); /* none */
    cfg_set(p, 'w', PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    return behind;
}

/* Turns MSI-X on, vector i writing tag + i to the i-th word at addr; returns how many there are. */
static inline unsigned pci_msix_on_ram(const Pci *p, uint64_t addr, uint32_t tag)
{
    unsigned at = pci_cap(p, PCI_CAP_ID_MSIX, 0);
    g_assert_cmpuint(at, !=, 0);
    unsigned count = (cfg(p, 'w', at + PCI_MSIX_FLAGS) & 0x7ff) + 1;
    uint32_t where = cfg(p, 'l', at + PCI_MSIX_TABLE);
    uint64_t table = p->bar[where & 7] + (where & ~7u);
    for (unsigned i = 0; i < count; i++) {
        wl(p->b, table + 16 * i, (uint32_t)(addr + 4 * i));
        wl(p->b, table + 16 * i + 4, (uint32_t)((addr + 4 * i) >> 32));
        wl(p->b, table + 16 * i + 8, tag + i);
        wl(p->b, table + 16 * i + 12, 0);
        wl(p->b, addr + 4 * i, 0);
    }
    cfg_set(p, 'w', at + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE);
    return count;
}

/* Waits, in the host's time, until 32 bits in memory are that. */
static inline bool pci_wait(Board *b, uint64_t addr, uint32_t value)
{
    for (unsigned i = 0; i < 5000; i++) {
        if (rl(b, addr) == value)
            return true;
        g_usleep(1000);
    }
    return false;
}

/* ---- virtio over PCI -------------------------------------------------------------- */

/* struct virtio_pci_common_cfg */
enum {
    VC_DEVICE_FEATURES_SEL = 0x00, VC_DEVICE_FEATURES = 0x04, VC_DRIVER_FEATURES_SEL = 0x08,
    VC_DRIVER_FEATURES = 0x0c, VC_CONFIG_VECTOR = 0x10, VC_QUEUES = 0x12, VC_STATUS = 0x14,
    VC_GENERATION = 0x15, VC_QUEUE = 0x16, VC_SIZE = 0x18, VC_VECTOR = 0x1a, VC_ENABLE = 0x1c,
    VC_NOTIFY_OFF = 0x1e, VC_DESC = 0x20, VC_DRIVER = 0x28, VC_USED = 0x30,
};

typedef struct {
    Pci pci;
    uint64_t common, notify, isr, config; /* CPU addresses */
    uint32_t multiplier;
    unsigned window; /* offset of the capability with the window */
} Virtio;

/* The registers by their capabilities; the function has been placed. */
static inline void virtio_walk(Virtio *v)
{
    const Pci *p = &v->pci;
    unsigned seen = 0;
    for (unsigned at = 0; (at = pci_cap(p, PCI_CAP_ID_VNDR, at));) {
        unsigned type = cfg(p, 'b', at + 3), bar = cfg(p, 'b', at + 4);
        uint32_t offset = cfg(p, 'l', at + 8), length = cfg(p, 'l', at + 12);
        g_assert_cmpuint(cfg(p, 'b', at + 2), >=, 16);
        g_assert_cmpuint(type, <=, 5);
        g_assert_false(seen >> type & 1);
        seen |= 1u << type;
        if (type == 5) {
            v->window = at;
            continue;
        }
        g_assert_cmpuint(bar, <, 6);
        g_assert_cmpuint((uint64_t)offset + length, <=, p->size[bar]);
        uint64_t where = p->bar[bar] + offset;
        switch (type) {
        case 1: v->common = where; g_assert_cmpuint(length, >=, 0x38); break;
        case 2: v->notify = where; v->multiplier = cfg(p, 'l', at + 16); break;
        case 3: v->isr = where; break;
        default: v->config = where; break;
        }
    }
    g_assert_cmphex(seen, ==, 0x3e);
}

static inline bool virtio_find(Board *b, unsigned bus, unsigned id, PciPool *pool, Virtio *v)
{
    static const uint16_t old[] = {0, 0x1000, 0x1001, 0x1003, 0x1005, 0x1002};
    *v = (Virtio){0};
    if (!pci_find(b, bus, 0x1af4, (uint16_t)(0x1040 + id), 0, &v->pci) &&
        !(id < G_N_ELEMENTS(old) && pci_find(b, bus, 0x1af4, old[id], 0, &v->pci)))
        return false;
    pci_place(&v->pci, pool);
    virtio_walk(v);
    return true;
}

/* As virtio_begin of test_board.h. */
static inline unsigned virtio_agree(const Virtio *v)
{
    Board *b = v->pci.b;
    wb(b, v->common + VC_STATUS, 0);
    wb(b, v->common + VC_STATUS, 3);
    for (uint32_t word = 0; word < 2; word++) {
        wl(b, v->common + VC_DEVICE_FEATURES_SEL, word);
        wl(b, v->common + VC_DRIVER_FEATURES_SEL, word);
        uint32_t offered = rl(b, v->common + VC_DEVICE_FEATURES);
        wl(b, v->common + VC_DRIVER_FEATURES, offered & ~(word ? 4u : 1u << 29));
    }
    wb(b, v->common + VC_STATUS, 11);
    return rb(b, v->common + VC_STATUS) & 0xff;
}

/* A queue of RING_SIZE entries at that place; the functions for rings of test_board.h drive it. */
static inline Ring virtio_ring(const Virtio *v, unsigned queue, uint64_t at, uint16_t vector)
{
    Board *b = v->pci.b;
    board_do(b, "memset 0x%" PRIx64 " 0x3000 0", at);
    ww(b, v->common + VC_QUEUE, queue);
    ww(b, v->common + VC_SIZE, RING_SIZE);
    ww(b, v->common + VC_VECTOR, vector);
    wq(b, v->common + VC_DESC, at);
    wq(b, v->common + VC_DRIVER, at + 0x1000);
    wq(b, v->common + VC_USED, at + 0x2000);
    ww(b, v->common + VC_ENABLE, 1);
    uint64_t off = board_read(b, 'w', v->common + VC_NOTIFY_OFF);
    return (Ring){b, v->notify + off * v->multiplier - VM_NOTIFY, at, queue};
}

static inline void virtio_go(const Virtio *v)
{
    wb(v->pci.b, v->common + VC_STATUS, 15);
}
