/* SPDX-License-Identifier: MIT */
/* fw_cfg behind ports, as ACPI describes it. */
#include "devices/device.h"

enum { FIRST_PORT = 0x510, PORTS = 12 };

static void fw_cfg_acpi(const Device *dev, const DeviceAcpi *ctx)
{
    Aml *a = ctx->aml;
    aml_device(a, "FWCF");
    aml_asl(a, "Name (_HID, \"QEMU0002\") Name (_STA, 0x0B)");
    aml_resources(a, "_CRS");
    aml_io(a, FIRST_PORT, FIRST_PORT, 1, PORTS);
    aml_end(a);
    aml_end(a);
}

const DeviceType fw_cfg_io_type = {
    .name = "fw_cfg_io",
    .summary = "what firmware and guests are told, behind ports",
    .size = sizeof(Device),
    .described = true,
    .acpi = fw_cfg_acpi,
};
