/* SPDX-License-Identifier: MIT */
/* Serial ports of a PC, as ACPI describes them: ports and interrupts by their number. */
#include "devices/device.h"

#define INDEX_AUTO UINT32_MAX

typedef struct {
    Device dev;
    uint32_t index, iobase, irq;
    Chardev *chardev;
} IsaSerial;

static void serial_acpi(const Device *dev, const DeviceAcpi *ctx)
{
    static const uint16_t ports[] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
    static const uint8_t irqs[] = {4, 3, 4, 3};
    const IsaSerial *s = (const IsaSerial *)dev;
    uint32_t n = MIN(s->index, 3);
    uint16_t port = s->iobase ? (uint16_t)s->iobase : ports[n];
    Aml *a = ctx->aml;
    g_autofree char *name = g_strdup_printf("COM%u", n + 1);
    aml_device(a, name);
    aml_name_eisaid(a, "_HID", "PNP0501");
    aml_name_int(a, "_UID", n + 1);
    aml_name_int(a, "_STA", 0xf);
    aml_resources(a, "_CRS");
    aml_io(a, port, port, 0, 8);
    aml_irq(a, s->irq ? s->irq : irqs[n]);
    aml_end(a);
    aml_end(a);
}

static const DeviceProp serial_props[] = {
    {"index", DEVICE_U32, offsetof(IsaSerial, index), "4294967295", 0, 0,
     "number of the port, from 0; 4294967295: the next"},
    {"iobase", DEVICE_U32, offsetof(IsaSerial, iobase), "0", 0, 0xfff8, "its ports; 0: by its number"},
    {"irq", DEVICE_U32, offsetof(IsaSerial, irq), "0", 0, 15, "its interrupt; 0: by its number"},
    {"chardev", DEVICE_CHARDEV, offsetof(IsaSerial, chardev), NULL, 0, 0, "the other end"},
    {.name = NULL},
};

const DeviceType isa_serial_type = {
    .name = "isa-serial",
    .summary = "serial port of a PC",
    .size = sizeof(IsaSerial),
    .props = serial_props,
    .described = true,
    .slot = "isa",
    .acpi = serial_acpi,
};
