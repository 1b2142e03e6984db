/* SPDX-License-Identifier: MIT */
/*
 * MSI-X (PCI Local Bus 3.0, 6.8.2): a table of messages and the bits of those that wait, both in a
 * BAR. A message is a write of 32 bits to memory or to an interrupt controller, never to another
 * device's registers, as locks of devices may be held.
 */
#include "pci/pci_priv.h"

#include "base/bytes.h"

enum { ADDR = 0, ADDR_HIGH = 1, DATA = 2, CONTROL = 3, ENTRY_WORDS = 4 };

typedef struct {
    uint64_t addr;
    uint32_t data;
} Message;

static uint16_t flags(const PciFunction *fn)
{
    return ld_le16(fn->config + fn->msix_cap + PCI_MSIX_FLAGS);
}

bool pci_msix_on(const PciFunction *fn)
{
    return fn->msix_cap && flags(fn) & PCI_MSIX_FLAGS_ENABLE;
}

static void post(const PciFunction *fn, const Message *m)
{
    if (pci_bus_master(fn) && fn->host->space)
        bus_message(fn->host->space, m->addr, m->data);
}

/* Under the interrupt lock: true if the message may go, which then no longer waits. */
static bool ready(PciFunction *fn, unsigned vector, Message *m)
{
    const uint32_t *e = &fn->msix_table[ENTRY_WORDS * vector];
    if (!pci_msix_on(fn) || flags(fn) & PCI_MSIX_FLAGS_MASKALL || e[CONTROL] & 1)
        return false;
    fn->msix_pending[vector / 64] &= ~(UINT64_C(1) << vector % 64);
    *m = (Message){ e[ADDR] | (uint64_t)e[ADDR_HIGH] << 32, e[DATA] };
    return true;
}

void pci_msix_send(PciFunction *fn, unsigned vector)
{
    Message m;
    if (!pci_msix_on(fn) || vector >= fn->msix_words / ENTRY_WORDS)
        return;
    pthread_mutex_lock(&fn->host->irq_lock);
    bool go = ready(fn, vector, &m);
    if (!go)
        fn->msix_pending[vector / 64] |= UINT64_C(1) << vector % 64;
    pthread_mutex_unlock(&fn->host->irq_lock);
    if (go)
        post(fn, &m);
}

/* One that waits. */
static bool next_ready(PciFunction *fn, Message *m)
{
    bool go = false;
    pthread_mutex_lock(&fn->host->irq_lock);
    for (uint32_t i = 0; !go && i < fn->msix_pending_words; i++)
        for (uint64_t bits = fn->msix_pending[i]; !go && bits; bits &= bits - 1)
            go = ready(fn, 64 * i + (unsigned)__builtin_ctzll(bits), m);
    pthread_mutex_unlock(&fn->host->irq_lock);
    return go;
}

void pci_msix_update(PciFunction *fn)
{
    Message m;
    while (next_ready(fn, &m))
        post(fn, &m);
}

/* ---- The registers ------------------------------------------------------------------ */

static uint64_t table_read(void *opaque, uint64_t offset, unsigned size)
{
    const PciFunction *fn = opaque;
    return __atomic_load_n(&fn->msix_table[offset / 4], __ATOMIC_RELAXED);
}

static void table_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    PciFunction *fn = opaque;
    static const uint32_t writable[ENTRY_WORDS] = { 0xfffffffc, 0xffffffff, 0xffffffff, 1 };
    size_t word = offset / 4;
    pthread_mutex_lock(&fn->host->irq_lock);
    fn->msix_table[word] = (uint32_t)value & writable[word % ENTRY_WORDS];
    pthread_mutex_unlock(&fn->host->irq_lock);
    if (word % ENTRY_WORDS == CONTROL)
        pci_msix_update(fn);
}

static uint64_t pending_read(void *opaque, uint64_t offset, unsigned size)
{
    const PciFunction *fn = opaque;
    return __atomic_load_n(&fn->msix_pending[offset / 8], __ATOMIC_RELAXED) >> offset % 8 * 8;
}

static void pending_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
}

static const BusOps table_ops = {
    .read = table_read, .write = table_write, .min = 4, .max = 4, .valid_min = 4, .valid_max = 8,
};
static const BusOps pending_ops = {
    .read = pending_read, .write = pending_write, .min = 4, .max = 8, .valid_min = 4,
    .valid_max = 8,
};

/* A region that is not in the map. */
static BusRegion *hidden(PciFunction *fn, const char *name, uint64_t size, const BusOps *ops,
                         GError **error)
{
    bus_update_begin(fn->host->space);
    BusRegion *region = bus_mmio_new(fn->host->space, name, 0, size, ops, fn, 0, error);
    if (region)
        bus_region_enable(region, false);
    bus_update_end(fn->host->space);
    return region;
}

bool pci_msix(PciFunction *fn, unsigned n, PciBarKind kind, uint64_t size, unsigned vectors,
              uint64_t table, uint64_t pba, GError **error)
{
    if (!vectors)
        return true;
    vectors = MIN(vectors, PCI_MSIX_MAX);
    fn->msix_words = ENTRY_WORDS * vectors;
    fn->msix_pending_words = (vectors + 63) / 64;
    fn->msix_table = g_new0(uint32_t, fn->msix_words);
    fn->msix_pending = g_new0(uint64_t, fn->msix_pending_words);
    BusRegion *t = hidden(fn, "msix-table", 4 * fn->msix_words, &table_ops, error);
    fn->msix_regions[0] = t;
    BusRegion *p = t ? hidden(fn, "msix-pba", 8 * fn->msix_pending_words, &pending_ops, error)
                     : NULL;
    if (!p)
        return false;
    fn->msix_regions[1] = p;
    pci_bar(fn, n, kind, size, t, table);
    pci_bar(fn, n, kind, size, p, pba);
    for (unsigned i = 0; i < vectors; i++)
        fn->msix_table[ENTRY_WORDS * i + CONTROL] = 1;
    unsigned at = fn->msix_cap = pci_capability(fn, PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF);
    st_le16(fn->config + at + PCI_MSIX_FLAGS, (uint16_t)(vectors - 1));
    st_le16(fn->writable + at + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
    st_le32(fn->config + at + PCI_MSIX_TABLE, (uint32_t)table | n);
    st_le32(fn->config + at + PCI_MSIX_PBA, (uint32_t)pba | n);
    return true;
}
