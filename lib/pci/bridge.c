/* SPDX-License-Identifier: MIT */
/*
 * Bridges: the type 1 header with its windows (PCI-to-PCI Bridge 1.2, 3.2), and the slot of a root
 * port that takes a device while the machine runs (PCI Express 4.0, 6.7 and 7.5.3).
 */
#include "pci/pci_priv.h"

#include "base/bytes.h"

/* ---- Windows ---------------------------------------------------------------------- */

static void join(PciBus *bus, PciHost *host)
{
    bus->host = host;
    for (unsigned i = 0; i < PCI_DEVFNS; i++)
        if (bus->functions[i] && bus->functions[i]->secondary)
            join(bus->functions[i]->secondary, host);
}

void pci_bridge_init(PciFunction *fn, PciBus *bus)
{
    fn->secondary = bus;
    bus->bridge = fn;
    join(bus, fn->host);
    uint8_t *c = fn->config, *w = fn->writable;
    c[PCI_HEADER_TYPE] |= PCI_HEADER_TYPE_BRIDGE;
    st_le16(c + PCI_SUBSYSTEM_VENDOR_ID, 0); /* other registers of a type 1 header */
    st_le16(c + PCI_SUBSYSTEM_ID, 0);
    w[PCI_PRIMARY_BUS] = w[PCI_SECONDARY_BUS] = w[PCI_SUBORDINATE_BUS] = 0xff;
    w[PCI_IO_BASE] = w[PCI_IO_LIMIT] = 0xf0;
    c[PCI_IO_BASE] = c[PCI_IO_LIMIT] = PCI_IO_RANGE_TYPE_32;
    st_le16(w + PCI_IO_BASE_UPPER16, 0xffff);
    st_le16(w + PCI_IO_LIMIT_UPPER16, 0xffff);
    st_le16(w + PCI_MEMORY_BASE, 0xfff0);
    st_le16(w + PCI_MEMORY_LIMIT, 0xfff0);
    st_le16(w + PCI_PREF_MEMORY_BASE, 0xfff0);
    st_le16(w + PCI_PREF_MEMORY_LIMIT, 0xfff0);
    st_le16(c + PCI_PREF_MEMORY_BASE, PCI_PREF_RANGE_TYPE_64);
    st_le16(c + PCI_PREF_MEMORY_LIMIT, PCI_PREF_RANGE_TYPE_64);
    st_le32(w + PCI_PREF_BASE_UPPER32, UINT32_MAX);
    st_le32(w + PCI_PREF_LIMIT_UPPER32, UINT32_MAX);
    st_le16(w + PCI_BRIDGE_CONTROL, PCI_BRIDGE_CTL_PARITY | PCI_BRIDGE_CTL_SERR |
                                        PCI_BRIDGE_CTL_BUS_RESET);
}

static bool within(uint64_t base, uint64_t size, uint64_t first, uint64_t last)
{
    return first <= last && base >= first && base <= last && size - 1 <= last - base;
}

bool pci_bridge_passes(const PciFunction *bridge, bool io, uint64_t base, uint64_t size)
{
    const uint8_t *c = bridge->config;
    if (!bridge->visible || !(c[PCI_COMMAND] & (io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
        return false;
    if (io) {
        uint64_t first = (c[PCI_IO_BASE] & 0xf0u) << 8 |
                         (uint64_t)ld_le16(c + PCI_IO_BASE_UPPER16) << 16;
        uint64_t last = (c[PCI_IO_LIMIT] & 0xf0u) << 8 | 0xfff |
                        (uint64_t)ld_le16(c + PCI_IO_LIMIT_UPPER16) << 16;
        return within(base, size, first, last);
    }
    uint64_t first = (uint64_t)(ld_le16(c + PCI_MEMORY_BASE) & 0xfff0u) << 16;
    uint64_t last = (uint64_t)(ld_le16(c + PCI_MEMORY_LIMIT) & 0xfff0u) << 16 | 0xfffff;
    uint64_t pref = (uint64_t)(ld_le16(c + PCI_PREF_MEMORY_BASE) & 0xfff0u) << 16 |
                    (uint64_t)ld_le32(c + PCI_PREF_BASE_UPPER32) << 32;
    uint64_t pref_last = (uint64_t)(ld_le16(c + PCI_PREF_MEMORY_LIMIT) & 0xfff0u) << 16 |
                         0xfffff | (uint64_t)ld_le32(c + PCI_PREF_LIMIT_UPPER32) << 32;
    return within(base, size, first, last) || within(base, size, pref, pref_last);
}

/* ---- Slots -------------------------------------------------------------------------- */

enum {
    EVENTS = PCI_EXP_SLTSTA_ABP | PCI_EXP_SLTSTA_PFD | PCI_EXP_SLTSTA_MRLSC | PCI_EXP_SLTSTA_PDC |
             PCI_EXP_SLTSTA_CC | PCI_EXP_SLTSTA_DLLSC,
};

static uint8_t *reg(const PciSlot *slot, unsigned offset)
{
    return slot->fn->config + slot->fn->express + offset;
}

static void set16(uint8_t *at, uint16_t set, uint16_t clear)
{
    st_le16(at, (uint16_t)((ld_le16(at) & ~clear) | set));
}

/* The pin follows what has happened and is to be told. */
static void slot_irq(const PciSlot *slot)
{
    uint16_t control = ld_le16(reg(slot, PCI_EXP_SLTCTL));
    uint16_t status = ld_le16(reg(slot, PCI_EXP_SLTSTA));
    uint16_t wanted = control & (PCI_EXP_SLTCTL_ABPE | PCI_EXP_SLTCTL_PFDE |
                                 PCI_EXP_SLTCTL_MRLSCE | PCI_EXP_SLTCTL_PDCE |
                                 PCI_EXP_SLTCTL_CCIE);
    if (control & PCI_EXP_SLTCTL_DLLSCE)
        wanted |= PCI_EXP_SLTSTA_DLLSC;
    pci_intx(slot->fn, control & PCI_EXP_SLTCTL_HPIE && status & wanted);
}

static void show_presence(const PciSlot *slot)
{
    uint16_t there = slot->present ? PCI_EXP_SLTSTA_PDS : 0;
    set16(reg(slot, PCI_EXP_SLTSTA), there, PCI_EXP_SLTSTA_PDS);
    set16(reg(slot, PCI_EXP_LNKSTA), slot->present ? PCI_EXP_LNKSTA_DLLLA : 0,
          PCI_EXP_LNKSTA_DLLLA);
}

void pci_slot_init(PciSlot *slot, PciFunction *fn, uint16_t number, void (*off)(void *opaque),
                   void *opaque)
{
    slot->fn = fn;
    slot->off = off;
    slot->opaque = opaque;
    uint8_t *w = fn->writable + fn->express, *clear = fn->clear + fn->express;
    set16(reg(slot, PCI_EXP_FLAGS), PCI_EXP_FLAGS_SLOT, 0);
    st_le32(reg(slot, PCI_EXP_LNKCAP),
            ld_le32(reg(slot, PCI_EXP_LNKCAP)) | PCI_EXP_LNKCAP_DLLLARC);
    st_le32(reg(slot, PCI_EXP_SLTCAP),
            PCI_EXP_SLTCAP_ABP | PCI_EXP_SLTCAP_PCP | PCI_EXP_SLTCAP_AIP | PCI_EXP_SLTCAP_PIP |
                PCI_EXP_SLTCAP_HPS | PCI_EXP_SLTCAP_HPC | (uint32_t)number << 19);
    st_le16(reg(slot, PCI_EXP_SLTCTL), PCI_EXP_SLTCTL_ATTN_IND_OFF | PCI_EXP_SLTCTL_PWR_IND_OFF);
    st_le16(w + PCI_EXP_SLTCTL, 0x17ff);
    st_le16(clear + PCI_EXP_SLTSTA, EVENTS);
    st_le16(w + PCI_EXP_RTCTL, 0xf);
    show_presence(slot);
}

void pci_slot_written(PciSlot *slot, unsigned offset, unsigned len)
{
    unsigned control = slot->fn->express + PCI_EXP_SLTCTL;
    if (offset >= control + 4 || offset + len <= control)
        return;
    /* A write of the control register is a command, done at once. */
    bool command = offset < control + 2;
    if (command)
        set16(reg(slot, PCI_EXP_SLTSTA), PCI_EXP_SLTSTA_CC, 0);
    uint16_t now = ld_le16(reg(slot, PCI_EXP_SLTCTL));
    bool off = now & PCI_EXP_SLTCTL_PCC &&
               (now & PCI_EXP_SLTCTL_PIC) == PCI_EXP_SLTCTL_PWR_IND_OFF;
    slot_irq(slot);
    if (command && off && slot->present && slot->off)
        slot->off(slot->opaque);
}

void pci_slot_set(PciSlot *slot, bool present, bool tell)
{
    PciHost *host = slot->fn->host;
    pthread_mutex_lock(&host->lock);
    bool change = slot->present != present;
    slot->present = present;
    show_presence(slot);
    if (change && tell) {
        set16(reg(slot, PCI_EXP_SLTSTA), PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC, 0);
        slot_irq(slot);
    }
    pthread_mutex_unlock(&host->lock);
}

void pci_slot_button(PciSlot *slot)
{
    PciHost *host = slot->fn->host;
    pthread_mutex_lock(&host->lock);
    bool heard = ld_le16(reg(slot, PCI_EXP_SLTCTL)) & PCI_EXP_SLTCTL_HPIE;
    set16(reg(slot, PCI_EXP_SLTSTA), PCI_EXP_SLTSTA_ABP, 0);
    slot_irq(slot);
    if (!heard && slot->off)
        slot->off(slot->opaque);
    pthread_mutex_unlock(&host->lock);
}

void pci_slot_reset(PciSlot *slot)
{
    pthread_mutex_lock(&slot->fn->host->lock);
    show_presence(slot);
    pthread_mutex_unlock(&slot->fn->host->lock);
}
