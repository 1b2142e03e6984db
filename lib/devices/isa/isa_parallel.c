/* SPDX-License-Identifier: MIT */
/* Parallel ports of a PC, as ACPI describes them. */
#include "devices/device.h"

typedef struct {
    Device dev;
    uint32_t index, iobase, irq;
    Chardev *chardev;
} IsaParallel;

static void parallel_acpi(const Device *dev, const DeviceAcpi *ctx)
{
    static const uint16_t ports[] = {0x378, 0x278, 0x3bc};
    const IsaParallel *p = (const IsaParallel *)dev;
    uint32_t n = MIN(p->index, 2);
    uint16_t port = p->iobase ? (uint16_t)p->iobase : ports[n];
    Aml *a = ctx->aml;
    g_autofree char *name = g_strdup_printf("LPT%u", n + 1);
    aml_device(a, name);
    aml_name_eisaid(a, "_HID", "PNP0400");
    aml_name_int(a, "_UID", n + 1);
    aml_name_int(a, "_STA", 0xf);
    aml_resources(a, "_CRS");
    aml_io(a, port, port, 8, 8);
    aml_irq(a, p->irq);
    aml_end(a);
    aml_end(a);
}

static const DeviceProp parallel_props[] = {
    {"index", DEVICE_U32, offsetof(IsaParallel, index), "4294967295", 0, 0,
     "number of the port, from 0; 4294967295: the next"},
    {"iobase", DEVICE_U32, offsetof(IsaParallel, iobase), "0", 0, 0xfff8, "its ports; 0: by its number"},
    {"irq", DEVICE_U32, offsetof(IsaParallel, irq), "7", 0, 15, "its interrupt"},
    {"chardev", DEVICE_CHARDEV, offsetof(IsaParallel, chardev), NULL, 0, 0, "the other end"},
    {.name = NULL},
};

const DeviceType isa_parallel_type = {
    .name = "isa-parallel",
    .summary = "parallel port of a PC",
    .size = sizeof(IsaParallel),
    .props = parallel_props,
    .described = true,
    .slot = "isa",
    .acpi = parallel_acpi,
};
