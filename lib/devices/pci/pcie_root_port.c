/* SPDX-License-Identifier: MIT */
/*
 * A root port of PCI Express with a slot, into which a device goes before the machine starts or while
 * it runs. A device in it is let go after the guest has turned the slot's power off, for which the
 * attention button asks.
 */
#include "devices/device.h"

#include "base/error.h"

typedef struct {
    Device dev;
    DevicePci pci;
    uint32_t chassis, number;
    PciBus *bus; /* made when first needed */
    PciSlot slot;
    Device *child; /* NULL: empty */
} Port;

static void port_written(void *opaque, unsigned offset, unsigned len)
{
    pci_slot_written(&((Port *)opaque)->slot, offset, len);
}

static void port_bus_reset(void *opaque)
{
    pci_slot_reset(&((Port *)opaque)->slot);
}

static void slot_off(void *opaque)
{
    Port *port = opaque;
    const DeviceEnv *env = &port->dev.env;
    if (port->child && env->ejected)
        env->ejected(env->ejected_opaque, port->child);
}

static const PciOps port_ops = {.reset = port_bus_reset, .written = port_written};

static PciBus *port_bus(Port *port)
{
    if (!port->bus)
        port->bus = pci_bus_new(port->dev.id, 1);
    return port->bus;
}

static bool port_start(Device *dev, GError **error)
{
    Port *port = (Port *)dev;
    static const PciIds ids = { .vendor = 0x1b36, .device = 0x000c, .class_code = 0x060400 };
    pci_init(&port->pci.fn, &ids, &port_ops, port);
    pci_bridge_init(&port->pci.fn, port_bus(port));
    pci_express(&port->pci.fn, 4);
    pci_slot_init(&port->slot, &port->pci.fn, (uint16_t)port->number, slot_off, port);
    pci_slot_set(&port->slot, port->child != NULL, false);
    pci_pin(&port->pci.fn, 1);
    return true;
}

static void port_reset(Device *dev)
{
    port_bus_reset(dev);
}

static void port_discard(Device *dev)
{
    pci_bus_free(((Port *)dev)->bus);
}

static bool port_plug(Device *dev, Device *child, GError **error)
{
    Port *port = (Port *)dev;
    DevicePci *p = child->type->pci(child);
    if (!pci_plug(port_bus(port), &p->fn, p->addr, p->multifunction, error))
        return false;
    port->child = child;
    return true;
}

static bool port_plugged(const Device *dev)
{
    return ((const Port *)dev)->child != NULL;
}

static void port_inserted(Device *dev, Device *child)
{
    pci_slot_set(&((Port *)dev)->slot, true, true);
}

static bool port_eject(Device *dev, Device *child, GError **error)
{
    pci_slot_button(&((Port *)dev)->slot);
    return true;
}

static void port_unplug(Device *dev, Device *child)
{
    Port *port = (Port *)dev;
    port->child = NULL;
    if (port->pci.fn.config)
        pci_slot_set(&port->slot, false, true);
}

static DevicePci *port_pci(Device *dev)
{
    return &((Port *)dev)->pci;
}

static const DeviceProp port_props[] = {
    DEVICE_PCI_PROPS(Port, pci),
    {"chassis", DEVICE_U32, offsetof(Port, chassis), "0", 0, 255, "number of the chassis it is in"},
    {"slot", DEVICE_U32, offsetof(Port, number), "0", 0, 0x1fff, "number of the slot"},
    {.name = NULL},
};

static const StateField port_saved[] = {PCI_SAVED(Port, pci.fn), STATE_END};

const DeviceType pcie_root_port_type = {
    .name = "pcie-root-port",
    .summary = "PCI Express root port, with a slot for hot plugging",
    .size = sizeof(Port),
    .props = port_props,
    .saved = port_saved,
    .slot = "pci",
    .offers = "pci",
    .bus_name = "%s",
    .unlocked = true, /* lib/pci has its locks */
    .start = port_start,
    .reset = port_reset,
    .discard = port_discard,
    .plug = port_plug,
    .plugged = port_plugged,
    .inserted = port_inserted,
    .eject = port_eject,
    .unplug = port_unplug,
    .pci = port_pci,
};
