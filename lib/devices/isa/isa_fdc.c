/* SPDX-License-Identifier: MIT */
/* The floppy controller of a PC, as ACPI describes it (ACPI 6.4 9.9): which drives there are, and how BIOS
   would drive them. */
#include "devices/device.h"

#include "base/bytes.h"

#include <string.h>

typedef struct {
    Device dev;
    char *type[2]; /* NULL, "none": no drive */
} IsaFdc;

/* Drive types of the CMOS, and the last cylinder, sector and head of what goes into them. */
static const struct {
    const char *name;
    uint8_t type, cylinder, sector, head;
} drives[] = {
    {"120", 2, 79, 15, 1},
    {"144", 4, 79, 21, 1},
    {"288", 5, 79, 48, 1},
    {"auto", 5, 79, 48, 1},
};

static void fdc_drive(Aml *a, unsigned n, const char *type)
{
    /* timings that every BIOS has */
    static const uint8_t rest[] = {0xaf, 2, 0x25, 2, 0x12, 0x1b, 0xff, 0x6c, 0xf6, 0xf, 8};
    for (size_t i = 0; i < G_N_ELEMENTS(drives); i++) {
        if (strcmp(type, drives[i].name))
            continue;
        aml_device(a, n ? "FLPB" : "FLPA");
        aml_name_int(a, "_ADR", n);
        aml_name_package(a, "_FDI", 16);
        aml_int(a, n);
        aml_int(a, drives[i].type);
        aml_int(a, drives[i].cylinder);
        aml_int(a, drives[i].sector);
        aml_int(a, drives[i].head);
        for (size_t k = 0; k < sizeof rest; k++)
            aml_int(a, rest[k]);
        aml_end(a);
        aml_end(a);
    }
}

static bool has_drive(const IsaFdc *f, unsigned n)
{
    return f->type[n] && f->type[n][0] && strcmp(f->type[n], "none");
}

static void fdc_acpi(const Device *dev, const DeviceAcpi *ctx)
{
    const IsaFdc *f = (const IsaFdc *)dev;
    Aml *a = ctx->aml;
    aml_device(a, "FDC0");
    aml_name_eisaid(a, "_HID", "PNP0700");
    aml_resources(a, "_CRS");
    aml_io(a, 0x3f2, 0x3f2, 0, 4);
    aml_io(a, 0x3f7, 0x3f7, 0, 1);
    aml_irq(a, 6);
    aml_dma(a, 2);
    aml_end(a);
    uint8_t there[20] = {0};
    for (unsigned n = 0; n < 2; n++) {
        st_le32(there + 4 * n, has_drive(f, n));
        if (has_drive(f, n))
            fdc_drive(a, n, f->type[n]);
    }
    st_le32(there + 16, 2); /* no tape drive */
    aml_name_buffer(a, "_FDE");
    aml_bytes(a, there, sizeof there);
    aml_end(a);
    aml_end(a);
}

static const DeviceProp fdc_props[] = {
    {"fdtypeA", DEVICE_STRING, offsetof(IsaFdc, type[0]), NULL, 0, 0, "drive A: 120, 144, 288, auto or none"},
    {"fdtypeB", DEVICE_STRING, offsetof(IsaFdc, type[1]), NULL, 0, 0, "drive B"},
    {.name = NULL},
};

const DeviceType isa_fdc_type = {
    .name = "isa-fdc",
    .single = "floppy controller",
    .summary = "floppy controller of a PC",
    .size = sizeof(IsaFdc),
    .props = fdc_props,
    .described = true,
    .slot = "isa",
    .acpi = fdc_acpi,
};
