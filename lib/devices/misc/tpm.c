/* SPDX-License-Identifier: MIT */
/* Trusted platform modules, as ACPI describes them: registers of the TPM Interface Specification, or the
   command-response buffer (TCG PC Client Platform TPM Profile). */
#include "devices/misc/tpm.h"

enum { TPM_BASE = 0xfed40000, TPM_SIZE = 0x5000, CRB_SIZE = 0x1000 };
enum { PPI_BASE = TPM_BASE + 0x5000 };

/*
 * What the OS asks of firmware for the next boot (TCG PC Client Platform Physical Presence Interface 1.30,
 * and Platform Reset Attack Mitigation for MOVV). The memory behind it: a byte an operation, whose low
 * three bits say how it may be asked for, then at 0x101 the last response, the request and its parameter,
 * the last request.
 */
static void ppi_acpi(Aml *a)
{
    aml_asl(a,
            "OperationRegion (TPPI, SystemMemory, 0x%x, 0x5B)"
            "Field (TPPI, AnyAcc, NoLock, Preserve) {"
            " PPIN, 8, PPIP, 32, PPRP, 32, PPRQ, 32, PPRM, 32, LPPR, 32 }"
            "Field (TPPI, ByteAcc, NoLock, Preserve) { Offset (0x5A), MOVV, 8 }"
            /* how an operation may be asked for: 0 not at all, 2 by firmware only */
            "Method (PPHW, 1, Serialized) {"
            " If (Arg0 >= 0x100) { Return (0) }"
            " OperationRegion (TPOP, SystemMemory, 0x%x + Arg0, 1)"
            " Field (TPOP, ByteAcc, NoLock, Preserve) { HOWP, 8 }"
            " Return (HOWP & 7) }",
            PPI_BASE + 0x100, PPI_BASE);
    aml_asl(a,
            "Method (PPID, 3, Serialized) {" /* revision, function, arguments */
            " If (Arg1 == 0) { Return (Buffer (2) { 0xFF, 0x01 }) }"
            " If (Arg1 == 1) { Return (\"1.3\") }"
            " If (Arg1 == 3) {"
            "  If (Arg0 == 1) { Local0 = Package (2) { 0, 0 } }"
            "  Else { Local0 = Package (3) { 0, 0, 0 } Local0 [2] = PPRM }"
            "  Local0 [1] = PPRQ Return (Local0) }"
            " If (Arg1 == 4) { Return (2) }" /* a reboot brings it on */
            " If (Arg1 == 5) { Local0 = Package (3) { 0, 0, 0 } Local0 [1] = LPPR Local0 [2] = PPRP Return (Local0) }"
            " If (Arg1 == 6) { Return (3) }" /* no preferred language */
            " Local0 = DerefOf (Arg2 [0]) Local1 = PPHW (Local0)"
            " If (Arg1 == 8) { Return (Local1) }"
            " If (Local1 == 0) { Return (1) }"
            " If (Arg1 == 2) { PPRQ = Local0 PPRM = 0 Return (0) }"
            " If (Arg1 == 7) {"
            "  If (Local1 == 2) { Return (3) }"
            "  PPRQ = Local0 PPRM = 0"
            "  If (Arg0 >= 2) { PPRM = DerefOf (Arg2 [1]) }"
            "  Return (0) }"
            " Return (1) }"
            "Method (_DSM, 4, Serialized) {"
            " If (Arg0 == ToUUID (\"3dddfaa6-361b-4eb4-a424-8d10089d1653\")) {"
            "  If (Arg2 > 8) { Return (Buffer (1) { 0 }) }"
            "  Return (PPID (Arg1, Arg2, Arg3)) }"
            " If (Arg0 == ToUUID (\"376054ed-cc13-4675-901c-4756d7f2d45d\")) {"
            "  If (Arg2 == 0) { Return (Buffer (1) { 3 }) }"
            "  If (Arg2 == 1) { MOVV = DerefOf (Arg3 [0]) Return (0) } }"
            " Return (Buffer (1) { 0 }) }");
}

static void tis_acpi(const Device *dev, const DeviceAcpi *ctx)
{
    const Tpm *t = (const Tpm *)dev;
    Aml *a = ctx->aml;
    aml_device(a, "TPM");
    if (t->version2) {
        aml_name_string(a, "_HID", "MSFT0101");
        aml_name_unicode(a, "_STR", "TPM 2.0 Device");
        aml_name_int(a, "_UID", 1);
    } else {
        aml_name_eisaid(a, "_HID", "PNP0C31");
        aml_name_int(a, "_UID", 1);
    }
    aml_name_int(a, "_STA", 0xf);
    aml_resources(a, "_CRS");
    aml_memory32(a, true, TPM_BASE, TPM_SIZE);
    aml_end(a);
    if (t->ppi)
        ppi_acpi(a);
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
    if (((const Tpm *)dev)->ppi)
        ppi_acpi(a);
    aml_end(a);
}

static const DeviceProp tpm_props[] = {
    {"tpmdev", DEVICE_STRING, offsetof(Tpm, tpmdev), NULL, 0, 0, "the TPM behind it"},
    {"ppi", DEVICE_BOOL, offsetof(Tpm, ppi), "on", 0, 0, "the OS can ask firmware for operations"},
    {"x-tpm2", DEVICE_BOOL, offsetof(Tpm, version2), "on", 0, 0, "it is a TPM 2.0"},
    {.name = NULL},
};

const DeviceType tpm_tis_type = {
    .name = "tpm-tis",
    .single = "TPM",
    .summary = "TPM with registers of the TPM Interface Specification",
    .size = sizeof(Tpm),
    .props = tpm_props,
    .described = true,
    .slot = "isa",
    .acpi = tis_acpi,
};

const DeviceType tpm_crb_type = {
    .name = "tpm-crb",
    .single = "TPM",
    .summary = "TPM with a command-response buffer",
    .size = sizeof(Tpm),
    .props = tpm_props,
    .described = true,
    .slot = "system",
    .acpi = crb_acpi,
};
