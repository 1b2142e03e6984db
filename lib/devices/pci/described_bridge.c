/* SPDX-License-Identifier: MIT */
/* Bridges and further host bridges of boards that are only described: a bus behind a function, with so
   many slots. */
#include "devices/pci/described_bridge.h"

#include "base/error.h"

static PciBus *bridge_bus(DescribedBridge *b)
{
    if (!b->bus)
        b->bus = pci_bus_new(b->dev.id, b->dev.type == &described_root_port_type ||
                                                b->dev.type == &described_downstream_type
                                            ? 1
                                            : 32);
    return b->bus;
}

static bool bridge_plug(Device *slot, Device *dev, GError **error)
{
    DescribedBridge *b = (DescribedBridge *)slot;
    DevicePci *p = dev->type->pci(dev);
    if (slot->type == &pxb_pcie_type && (!dev->type->offers || dev->type->front))
        return fail_usage(error, "PCI: Only PCI/PCIe bridges can be plugged into pxb-pcie");
    return pci_plug(bridge_bus(b), &p->fn, p->addr, p->multifunction, error);
}

static bool bridge_plugged(const Device *slot)
{
    /* further host bridges take only what asks for them */
    if (slot->type == &pxb_type || slot->type == &pxb_pcie_type)
        return true;
    const DescribedBridge *b = (const DescribedBridge *)slot;
    return b->bus && pci_bus_full(b->bus);
}

static void bridge_discard(Device *dev)
{
    pci_bus_free(((DescribedBridge *)dev)->bus);
}

static DevicePci *bridge_pci(Device *dev)
{
    return &((DescribedBridge *)dev)->pci;
}

static const DeviceProp bridge_props[] = {
    DEVICE_PCI_PROPS(DescribedBridge, pci),
    {.name = NULL},
};

static const DeviceProp pxb_props[] = {
    DEVICE_PCI_PROPS(DescribedBridge, pci),
    {"bus_nr", DEVICE_U32, offsetof(DescribedBridge, bus_nr), "0", 0, 255, "number of its bus"},
    {"numa_node", DEVICE_U32, offsetof(DescribedBridge, numa_node), "65535", 0, 65535,
     "its node of -numa; 65535: none"},
    {.name = NULL},
};

#define BRIDGE(symbol, text, about, properties)                                                    \
    const DeviceType symbol##_type = {                                                             \
        .name = text,                                                                              \
        .summary = about,                                                                          \
        .size = sizeof(DescribedBridge),                                                           \
        .props = properties,                                                                       \
        .described = true,                                                                         \
        .fixed = true,                                                                             \
        .slot = "pci",                                                                             \
        .offers = "pci",                                                                           \
        .bus_name = "%s",                                                                          \
        .plug = bridge_plug,                                                                       \
        .plugged = bridge_plugged,                                                                 \
        .discard = bridge_discard,                                                                 \
        .pci = bridge_pci,                                                                         \
    }

BRIDGE(described_bridge, "pci-bridge", "PCI bridge", bridge_props);
BRIDGE(described_pcie_bridge, "pcie-pci-bridge", "bridge from PCI Express to PCI", bridge_props);
BRIDGE(described_dmi_bridge, "i82801b11-bridge", "bridge from PCI Express to PCI of ICH9", bridge_props);
BRIDGE(described_root_port, "ioh3420", "Intel's root port of PCI Express", bridge_props);
BRIDGE(described_upstream, "x3130-upstream", "upper side of a PCI Express switch", bridge_props);
BRIDGE(described_downstream, "xio3130-downstream", "a port of a PCI Express switch", bridge_props);
BRIDGE(pxb, "pxb", "further PCI host bridge", pxb_props);
BRIDGE(pxb_pcie, "pxb-pcie", "further PCI Express host bridge", pxb_props);
