/* SPDX-License-Identifier: MIT */
/* A 16550A on a PCI card: eight I/O ports in BAR 0, and the pin. */
#include "devices/char/uart16550_priv.h"

static void on_reset(void *opaque)
{
    device_reset(opaque);
}

static const PciOps card_ops = {.reset = on_reset};

static bool card_start(Device *dev, GError **error)
{
    static const PciIds ids = { .vendor = 0x1b36, .device = 0x0002, .sub_vendor = 0x1af4,
                                .sub_device = 0x1100, .revision = 1, .class_code = 0x070002 };
    PciFunction *fn = &((Uart *)dev)->pci.fn;
    pci_init(fn, &ids, &card_ops, dev);
    pci_pin(fn, 1);
    device_connect(dev, 0, pci_intx_line(fn));
    return device_bar(dev, 0, PCI_BAR_IO, 8, 0, 0, error) && uart16550_start(dev, error);
}

static DevicePci *card_pci(Device *dev)
{
    return &((Uart *)dev)->pci;
}

static const DeviceProp card_props[] = {
    {.name = "chardev", .kind = DEVICE_CHARDEV, .offset = offsetof(Uart, chardev),
     .help = "where the line leads"},
    DEVICE_PCI_PROPS(Uart, pci),
    {.name = NULL},
};

static const StateField card_saved[] = {PCI_SAVED(Uart, pci.fn), UART_SAVED, STATE_END};

static const DeviceRegion card_regions[] = {
    {.name = "pci-serial", .size = 8, .min = 1, .max = 1, .read = uart16550_read,
     .write = uart16550_write},
    {.name = NULL},
};

const DeviceType pci_serial_type = {
    .name = "pci-serial",
    .summary = "16550A serial port on a PCI card",
    .size = sizeof(Uart),
    .props = card_props,
    .regions = card_regions,
    .saved = card_saved,
    .slot = "pci",
    .start = card_start,
    .reset = uart16550_reset,
    .stop = uart16550_stop,
    .loaded = uart16550_loaded,
    .pci = card_pci,
};
