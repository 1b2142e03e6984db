/* SPDX-License-Identifier: MIT */
/* The port by which a guest tells of its panic, as ACPI describes it. */
#include "devices/device.h"

typedef struct {
    Device dev;
    uint32_t ioport;
} Pvpanic;

static void pvpanic_acpi(const Device *dev, const DeviceAcpi *ctx)
{
    uint16_t port = (uint16_t)((const Pvpanic *)dev)->ioport;
    Aml *a = ctx->aml;
    aml_device(a, "PEVT");
    aml_name_string(a, "_HID", "QEMU0001");
    aml_resources(a, "_CRS");
    aml_io(a, port, port, 1, 1);
    aml_end(a);
    aml_asl(a, "OperationRegion (PEOR, SystemIO, 0x%x, 1)"
               "Field (PEOR, ByteAcc, NoLock, Preserve) { PEPT, 8 }"
               "Name (_STA, 0x0F)"
               "Method (RDPT) { Return (PEPT) }"
               "Method (WRPT, 1) { PEPT = Arg0 }",
            port);
    aml_end(a);
}

static const DeviceProp pvpanic_props[] = {
    {"ioport", DEVICE_U32, offsetof(Pvpanic, ioport), "0x505", 0, 0xffff, "its port"},
    {.name = NULL},
};

const DeviceType pvpanic_type = {
    .name = "pvpanic",
    .single = "pvpanic",
    .summary = "port for telling of a guest's panic",
    .size = sizeof(Pvpanic),
    .props = pvpanic_props,
    .described = true,
    .slot = "isa",
    .acpi = pvpanic_acpi,
};
