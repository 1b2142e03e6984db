/* SPDX-License-Identifier: MIT */
/* One function: its configuration space, capabilities, BARs and where they are mapped, INTx. */
#include "pci/pci_priv.h"

#include "base/bytes.h"
#include "base/error.h"

#include <string.h>
#include <unistd.h>

enum { CAPS_START = 0x40, CAPS_END = 0x100, EXPRESS_LEN = 0x3c };

/* ---- Making ---------------------------------------------------------------------- */

void pci_init(PciFunction *fn, const PciIds *ids, const PciOps *ops, void *opaque)
{
    fn->ops = ops;
    fn->opaque = opaque;
    fn->host = fn->bus->host;
    fn->config_size = PCI_SPACE_SIZE;
    fn->config = g_malloc0(PCI_SPACE_SIZE);
    fn->initial = g_malloc0(PCI_SPACE_SIZE);
    fn->writable = g_malloc0(PCI_SPACE_SIZE);
    fn->clear = g_malloc0(PCI_SPACE_SIZE);
    fn->cap_end = CAPS_START;
    fn->ext_end = PCI_CFG_SPACE_SIZE;
    uint8_t *c = fn->config;
    st_le16(c + PCI_VENDOR_ID, ids->vendor);
    st_le16(c + PCI_DEVICE_ID, ids->device);
    st_le32(c + PCI_CLASS_REVISION, ids->class_code << 8 | ids->revision);
    st_le16(c + PCI_SUBSYSTEM_VENDOR_ID, ids->sub_vendor);
    st_le16(c + PCI_SUBSYSTEM_ID, ids->sub_device);
    if (!(fn->devfn & 7) && fn->bus->multifunction[fn->devfn >> 3])
        c[PCI_HEADER_TYPE] = 0x80;
    st_le16(fn->writable + PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
                                            PCI_COMMAND_PARITY | PCI_COMMAND_SERR |
                                            PCI_COMMAND_INTX_DISABLE);
    st_le16(fn->clear + PCI_STATUS,
            PCI_STATUS_PARITY | PCI_STATUS_SIG_TARGET_ABORT | PCI_STATUS_REC_TARGET_ABORT |
                PCI_STATUS_REC_MASTER_ABORT | PCI_STATUS_SIG_SYSTEM_ERROR |
                PCI_STATUS_DETECTED_PARITY);
    fn->writable[PCI_CACHE_LINE_SIZE] = 0xff;
    fn->writable[PCI_INTERRUPT_LINE] = 0xff;
}

void pci_clear(PciFunction *fn)
{
    for (size_t i = 0; i < G_N_ELEMENTS(fn->msix_regions); i++)
        g_clear_pointer(&fn->msix_regions[i], bus_region_remove);
    g_clear_pointer(&fn->config, g_free);
    g_clear_pointer(&fn->initial, g_free);
    g_clear_pointer(&fn->writable, g_free);
    g_clear_pointer(&fn->clear, g_free);
    g_clear_pointer(&fn->msix_table, g_free);
    g_clear_pointer(&fn->msix_pending, g_free);
    fn->config_size = 0;
}

void pci_bar(PciFunction *fn, unsigned n, PciBarKind kind, uint64_t size, BusRegion *region,
             uint64_t offset)
{
    PciBar *bar = &fn->bars[n];
    unsigned at = PCI_BASE_ADDRESS_0 + 4 * n, part = 0;
    if (bar->kind == PCI_BAR_NONE) {
        bool wide = kind == PCI_BAR_MEM64 || kind == PCI_BAR_MEM64_PREFETCH;
        bar->kind = kind;
        bar->size = size;
        bar->mapped = UINT64_MAX;
        fn->config[at] = (uint8_t)((kind == PCI_BAR_IO ? PCI_BASE_ADDRESS_SPACE_IO : 0) |
                                   (wide ? PCI_BASE_ADDRESS_MEM_TYPE_64 : 0) |
                                   (kind == PCI_BAR_MEM64_PREFETCH ? PCI_BASE_ADDRESS_MEM_PREFETCH
                                                                   : 0));
        uint64_t mask = ~(size - 1);
        st_le32(fn->writable + at, (uint32_t)mask);
        if (wide)
            st_le32(fn->writable + at + 4, (uint32_t)(mask >> 32));
    }
    while (part < PCI_BAR_PARTS && bar->parts[part].region)
        part++;
    g_return_if_fail(part < PCI_BAR_PARTS);
    bar->parts[part].region = region;
    bar->parts[part].offset = offset;
}

unsigned pci_capability(PciFunction *fn, uint8_t id, unsigned len)
{
    unsigned at = fn->cap_end;
    g_return_val_if_fail(at + len <= CAPS_END, 0);
    fn->config[at] = id;
    fn->config[fn->cap_last ? fn->cap_last + 1 : PCI_CAPABILITY_LIST] = (uint8_t)at;
    fn->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
    fn->cap_last = at;
    fn->cap_end = (at + len + 3) & ~3u;
    return at;
}

unsigned pci_ext_capability(PciFunction *fn, uint16_t id, uint8_t version, unsigned len)
{
    unsigned at = fn->ext_end;
    g_return_val_if_fail(at + len <= PCI_SPACE_SIZE, 0);
    st_le32(fn->config + at, id | (uint32_t)version << 16);
    if (fn->ext_last)
        st_le32(fn->config + fn->ext_last, ld_le32(fn->config + fn->ext_last) | at << 20);
    fn->ext_last = at;
    fn->ext_end = (at + len + 3) & ~3u;
    return at;
}

void pci_express(PciFunction *fn, uint8_t type)
{
    bool link = true;
    if (type == PCI_EXP_TYPE_ENDPOINT && !pci_bus_behind_bridge(fn->bus)) {
        type = PCI_EXP_TYPE_RC_END;
        link = false;
    }
    unsigned at = fn->express = pci_capability(fn, PCI_CAP_ID_EXP, EXPRESS_LEN);
    uint8_t *c = fn->config + at, *w = fn->writable + at, *clear = fn->clear + at;
    st_le16(c + PCI_EXP_FLAGS, (uint16_t)(2 | type << 4));
    /* role-based error reporting; endpoints can be reset alone */
    st_le32(c + PCI_EXP_DEVCAP,
            PCI_EXP_DEVCAP_RBER | (type == PCI_EXP_TYPE_ROOT_PORT ? 0 : PCI_EXP_DEVCAP_FLR));
    st_le16(w + PCI_EXP_DEVCTL, type == PCI_EXP_TYPE_ROOT_PORT ? 0x7fff : 0xffff);
    st_le16(clear + PCI_EXP_DEVSTA, 0xf);
    if (link) {
        st_le32(c + PCI_EXP_LNKCAP, 1 | 1 << 4); /* 2.5 GT/s, one lane */
        st_le16(c + PCI_EXP_LNKSTA, 1 | 1 << 4);
        st_le16(w + PCI_EXP_LNKCTL, 0x1fb);
    }
}

void pci_pin(PciFunction *fn, unsigned pin)
{
    fn->config[PCI_INTERRUPT_PIN] = (uint8_t)pin;
}

/* ---- Where BARs are ------------------------------------------------------------------ */

static uint64_t bar_addr(const PciFunction *fn, unsigned n)
{
    const uint8_t *at = fn->config + PCI_BASE_ADDRESS_0 + 4 * n;
    uint64_t low = ld_le32(at);
    if (fn->bars[n].kind == PCI_BAR_MEM64 || fn->bars[n].kind == PCI_BAR_MEM64_PREFETCH)
        low |= (uint64_t)ld_le32(at + 4) << 32;
    return low & ~(fn->bars[n].size - 1);
}

/* The CPU's address for it, or UINT64_MAX if no window leads there. */
static uint64_t bar_place(const PciFunction *fn, unsigned n)
{
    const PciBar *bar = &fn->bars[n];
    bool io = bar->kind == PCI_BAR_IO;
    if (!fn->visible || !(fn->config[PCI_COMMAND] & (io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
        return UINT64_MAX;
    uint64_t addr = bar_addr(fn, n);
    for (const PciFunction *b = fn->bus->bridge; b; b = b->bus->bridge)
        if (!pci_bridge_passes(b, io, addr, bar->size))
            return UINT64_MAX;
    for (size_t i = 0; i < fn->host->window_count; i++) {
        const PciWindow *w = &fn->host->windows[i];
        if (w->io == io && addr >= w->pci && addr - w->pci < w->size &&
            bar->size <= w->size - (addr - w->pci))
            return w->cpu + (addr - w->pci);
    }
    return UINT64_MAX;
}

static void remap_bars(PciFunction *fn)
{
    for (unsigned n = 0; n < PCI_BARS; n++) {
        PciBar *bar = &fn->bars[n];
        uint64_t place = bar->kind == PCI_BAR_NONE ? UINT64_MAX : bar_place(fn, n);
        if (bar->kind == PCI_BAR_NONE || place == bar->mapped)
            continue;
        bar->mapped = place;
        for (unsigned i = 0; i < PCI_BAR_PARTS && bar->parts[i].region; i++) {
            BusRegion *region = bar->parts[i].region;
            if (place != UINT64_MAX)
                bus_region_move(region, place + bar->parts[i].offset);
            bus_region_enable(region, place != UINT64_MAX);
        }
    }
}

static void remap_tree(PciFunction *fn)
{
    remap_bars(fn);
    for (unsigned i = 0; fn->secondary && i < PCI_DEVFNS; i++) {
        PciFunction *child = fn->secondary->functions[i];
        if (child && child->config)
            remap_tree(child);
    }
}

void pci_remap(PciFunction *fn)
{
    if (!fn->host->space)
        return;
    bus_update_begin(fn->host->space);
    remap_tree(fn);
    bus_update_end(fn->host->space);
}

/* ---- Interrupt pins -------------------------------------------------------------------- */

/* Every bridge turns the pins by the slot of what is behind it (PCI-to-PCI Bridge 9.1). Under the
   interrupt lock. */
static void drive(PciFunction *fn, bool level)
{
    if (fn->intx_driven == level || !fn->config[PCI_INTERRUPT_PIN])
        return;
    fn->intx_driven = level;
    unsigned pin = fn->config[PCI_INTERRUPT_PIN] - 1u;
    for (const PciFunction *f = fn; f; f = f->bus->bridge)
        pin = (pin + (f->devfn >> 3)) % 4;
    PciHost *host = fn->host;
    unsigned before = host->asserted[pin];
    host->asserted[pin] += level ? 1 : -1u;
    if (!before != !host->asserted[pin])
        bus_irq_set(host->lines[pin], level);
}

static void update(PciFunction *fn)
{
    uint16_t command = ld_le16(fn->config + PCI_COMMAND);
    drive(fn, fn->intx && fn->visible && !(command & PCI_COMMAND_INTX_DISABLE) &&
                  !pci_msix_on(fn));
}

void pci_intx(PciFunction *fn, bool level)
{
    if (!fn->config)
        return;
    pthread_mutex_lock(&fn->host->irq_lock);
    __atomic_store_n(&fn->intx, level, __ATOMIC_RELAXED);
    update(fn);
    pthread_mutex_unlock(&fn->host->irq_lock);
}

static void line_set(void *opaque, int n, bool level)
{
    pci_intx(opaque, level);
}

BusIrq pci_intx_line(PciFunction *fn)
{
    return (BusIrq){ line_set, fn, 0 };
}

void pci_intx_update(PciFunction *fn)
{
    pthread_mutex_lock(&fn->host->irq_lock);
    update(fn);
    pthread_mutex_unlock(&fn->host->irq_lock);
}

bool pci_bus_master(const PciFunction *fn)
{
    return __atomic_load_n(&fn->config[PCI_COMMAND], __ATOMIC_ACQUIRE) & PCI_COMMAND_MASTER;
}

/* ---- Life -------------------------------------------------------------------------------- */

void pci_show(PciFunction *fn)
{
    memcpy(fn->initial, fn->config, PCI_SPACE_SIZE);
    pthread_mutex_lock(&fn->host->lock);
    pthread_mutex_lock(&fn->host->irq_lock);
    fn->visible = true;
    pthread_mutex_unlock(&fn->host->irq_lock);
    pci_remap(fn);
    pthread_mutex_unlock(&fn->host->lock);
}

void pci_hide(PciFunction *fn)
{
    if (!fn->config || !fn->visible)
        return;
    pthread_mutex_lock(&fn->host->lock);
    pthread_mutex_lock(&fn->host->irq_lock); /* devices' threads look at it */
    fn->visible = false;
    pthread_mutex_unlock(&fn->host->irq_lock);
    pci_remap(fn);
    pci_intx_update(fn);
    pthread_mutex_unlock(&fn->host->lock);
    for (unsigned n = 0; n < PCI_BARS; n++)
        for (unsigned i = 0; i < PCI_BAR_PARTS && fn->bars[n].parts[i].region; i++)
            while (bus_region_busy(fn->bars[n].parts[i].region))
                usleep(100);
}

void pci_reset(PciFunction *fn)
{
    pthread_mutex_lock(&fn->host->lock);
    memcpy(fn->config, fn->initial, PCI_SPACE_SIZE);
    pthread_mutex_lock(&fn->host->irq_lock);
    for (uint32_t i = 0; i < fn->msix_words; i++)
        fn->msix_table[i] = i % 4 == 3; /* masked */
    for (uint32_t i = 0; i < fn->msix_pending_words; i++)
        fn->msix_pending[i] = 0;
    __atomic_store_n(&fn->intx, false, __ATOMIC_RELAXED);
    update(fn);
    pthread_mutex_unlock(&fn->host->irq_lock);
    pci_remap(fn);
    pthread_mutex_unlock(&fn->host->lock);
}

bool pci_loaded(PciFunction *fn, GError **error)
{
    for (unsigned i = 0; i < PCI_SPACE_SIZE; i++) {
        uint8_t changes = fn->writable[i] | fn->clear[i];
        bool fixed = i < PCI_COMMAND || (i >= PCI_REVISION_ID && i < PCI_CACHE_LINE_SIZE);
        if (fixed && fn->config[i] != fn->initial[i])
            return fail(error, "the saved state is of another PCI function");
        fn->config[i] = (uint8_t)((fn->config[i] & changes) | (fn->initial[i] & ~changes));
    }
    pthread_mutex_lock(&fn->host->lock);
    pci_remap(fn);
    pci_intx_update(fn);
    pthread_mutex_unlock(&fn->host->lock);
    return true;
}
