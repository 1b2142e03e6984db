/* SPDX-License-Identifier: MIT */
/* Trusted platform modules, as ACPI describes them: registers of the TPM Interface Specification, or the
   command-response buffer (TCG PC Client Platform TPM Profile). */
#include "devices/misc/tpm.h"

enum { TPM_BASE = 0xfed40000, TPM_SIZE = 0x5000, CRB_SIZE = 0x1000 };

static void tis_acpi(const Device *dev, const DeviceAcpi *ctx)
{
    const Tpm *t = (const Tpm *)dev;
    Aml *a = ctx->aml;
    aml_device(a, "TPM");
    if (t->version2) {
        aml_name_string(a, "_HID", "MSFT0101");
        aml_name_string(a, "_STR", "TPM 2.0 Device");
        aml_name_int(a, "_UID", 1);
    } else {
        aml_name_eisaid(a, "_HID", "PNP0C31");
    }
    aml_name_int(a, "_STA", 0xf);
    aml_resources(a, "_CRS");
    aml_memory32(a, true, TPM_BASE, TPM_SIZE);
    aml_end(a);
    aml_end(a);
}

static void crb_acpi(const Device *dev, const DeviceAcpi *ctx)
{
    Aml *a = ctx->aml;
    aml_device(a, "TPM");
    aml_name_string(a, "_HID", "MSFT0101");
    aml_resources(a, "_CRS");
    aml_memory32(a, true, TPM_BASE, CRB_SIZE);
    aml_end(a);
    aml_asl(a, "Name (_STA, 0x0F) Name (_UID, 1)");
    aml_end(a);
}

static const DeviceProp tpm_props[] = {
    {"tpmdev", DEVICE_STRING, offsetof(Tpm, tpmdev), NULL, 0, 0, "the TPM behind it"},
    {"x-tpm2", DEVICE_BOOL, offsetof(Tpm, version2), "on", 0, 0, "it is a TPM 2.0"},
    {.name = NULL},
};

const DeviceType tpm_tis_type = {
    .name = "tpm-tis",
    .summary = "TPM with registers of the TPM Interface Specification",
    .size = sizeof(Tpm),
    .props = tpm_props,
    .described = true,
    .slot = "isa",
    .acpi = tis_acpi,
};

const DeviceType tpm_crb_type = {
    .name = "tpm-crb",
    .summary = "TPM with a command-response buffer",
    .size = sizeof(Tpm),
    .props = tpm_props,
    .described = true,
    .slot = "system",
    .acpi = crb_acpi,
};
