/* SPDX-License-Identifier: MIT */
/* PCI host bridges of PCs that are only described: a bus with 32 slots. */
#include "devices/device.h"

typedef struct {
    Device dev;
    PciHost *host;
} PcHost;

static PciBus *root(PcHost *h)
{
    if (!h->host)
        h->host = pci_host_new(h->dev.type->bus_name, NULL, 0);
    return pci_host_bus(h->host);
}

static bool host_plug(Device *slot, Device *dev, GError **error)
{
    DevicePci *p = dev->type->pci(dev);
    return pci_plug(root((PcHost *)slot), &p->fn, p->addr, p->multifunction, error);
}

static bool host_plugged(const Device *slot)
{
    const PcHost *h = (const PcHost *)slot;
    return h->host && pci_bus_full(pci_host_bus(h->host));
}

static void host_discard(Device *dev)
{
    pci_host_free(((PcHost *)dev)->host);
}

#define HOST(symbol, text, bus, about)                                                             \
    const DeviceType symbol##_type = {                                                             \
        .name = text,                                                                              \
        .summary = about,                                                                          \
        .size = sizeof(PcHost),                                                                    \
        .described = true,                                                                         \
        .offers = "pci",                                                                           \
        .bus_name = bus,                                                                           \
        .plug = host_plug,                                                                         \
        .plugged = host_plugged,                                                                   \
        .discard = host_discard,                                                                   \
    }

HOST(pc_host, "i440FX-pcihost", "pci.0", "PCI host bridge of 440FX");
HOST(q35_host, "q35-pcihost", "pcie.0", "PCI Express host bridge of Q35");
