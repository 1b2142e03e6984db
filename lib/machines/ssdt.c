/* SPDX-License-Identifier: MIT */
/*
 * Parts of the namespace that need memory of their own, which firmware sets aside: the generation id of a
 * virtual machine, and the page through which NVDIMMs are asked.
 */
#include "machines/acpi_priv.h"

#include "devices/mem/memory_device.h"
#include "devices/misc/vmgenid.h"

#include "base/bytes.h"
#include "base/error.h"

#include <string.h>

#define VMGENID_FILE "etc/vmgenid_guid"
#define VMGENID_ADDRESS_FILE "etc/vmgenid_addr"
#define NVDIMM_FILE "etc/acpi/nvdimm-mem"

enum { PAGE = 4096, GUID_AT = 40, NVDIMM_PORT = 0xa18, NVDIMM_REGISTER = 0x9090000 };

/* Name (name, the address of file): 32 bits wide; only while nothing is open. Returns its place. */
static size_t name_address(Aml *a, const char *name)
{
    static const uint8_t dword[5] = {0x0c};
    aml_name(a, name);
    aml_bytes(a, dword, sizeof dword);
    return aml_size(a) - 4;
}

static bool ssdt_add(AcpiTables *s, const char *id, Aml *a, size_t address_at, const char *file, GError **error)
{
    AcpiTable *t = machine_acpi_aml("SSDT", 1, a, error);
    if (!t)
        return false;
    acpi_table_set_id(t, id);
    acpi_pointer(t, ACPI_HEADER + address_at, 4, file);
    acpi_tables_add(s, t, true);
    return true;
}

/* ---- Generation id --------------------------------------------------------------------------- */

static const Device *device_of(const Machine *m, const DeviceType *type)
{
    for (guint i = 0; i < m->added->len; i++) {
        const Device *dev = g_ptr_array_index(m->added, i);
        if (dev->type == type)
            return dev;
    }
    return NULL;
}

static bool vmgenid_guid(const Machine *m, const Device *dev, uint8_t guid[16], GError **error)
{
    const char *text = ((const Vmgenid *)dev)->guid;
    if (!text)
        return true;
    if (!strcmp(text, "auto"))
        bus_random(m->clock, guid, 16);
    else if (!aml_uuid(text, guid))
        return fail_usage(error, "-device vmgenid: Invalid UUID: '%s'", text);
    return true;
}

/* The guest reads the address of the id's 16 bytes as two halves. */
bool acpi_vmgenid(const Machine *m, AcpiTables *s, const char *event, GError **error)
{
    const Device *dev = device_of(m, &vmgenid_type);
    g_autofree uint8_t *page = g_malloc0(PAGE);
    if (!dev)
        return true;
    if (!vmgenid_guid(m, dev, page + GUID_AT, error))
        return false;
    Aml *a = aml_new();
    size_t at = name_address(a, "VGIA");
    aml_asl(a, "Scope (\\_SB) { Device (VGEN) {"
               " Name (_HID, \"QEMUVGID\") Name (_CID, \"VM_Gen_Counter\") Name (_DDN, \"VM_Gen_Counter\")"
               " Method (_STA) { If (VGIA == 0) { Return (0) } Return (0x0F) }"
               " Method (ADDR) { Local0 = Package (2) { 0, 0 } Local0 [0] = VGIA + %d Return (Local0) } } }",
            GUID_AT);
    aml_asl(a, "Method (%s) { Notify (\\_SB.VGEN, 0x80) }", event);
    if (!ssdt_add(s, "VMGENID", a, at, VMGENID_FILE, error))
        return false;
    g_autoptr(GBytes) data = g_bytes_new(page, PAGE);
    acpi_tables_add_file(s, VMGENID_FILE, data, PAGE);
    acpi_tables_report(s, VMGENID_ADDRESS_FILE, 8, VMGENID_FILE, GUID_AT);
    return true;
}

/* ---- NVDIMMs ------------------------------------------------------------------------------------ */

/*
 * NCAL (uuid, revision, function, arguments, handle): all that is asked goes through a page. In: handle,
 * revision, function, the argument's bytes. Writing the page's address to a port hands it over. Out: the
 * number of bytes from the page's start, then what is returned.
 */
static const char nvdimm_call[] =
    "Method (NCAL, 5, Serialized) {"
    " Local6 = \\MEMA"
    " OperationRegion (NRAM, SystemMemory, Local6, 0x1000)"
    " Field (NRAM, DWordAcc, NoLock, Preserve) { HDLE, 32, REVS, 32, FUNC, 32, FARG, 32672 }"
    " Field (NRAM, DWordAcc, NoLock, Preserve) { RLEN, 32, ODAT, 32736 }"
    " If (Arg4 == 0) { Local0 = ToUUID (\"2f10e7a4-9e91-11e4-89d3-123b93f75cba\") }"
    " ElseIf (Arg4 == 0x10000) { Local0 = ToUUID (\"648b9cf2-cda1-4312-8ad9-49c4af32bd62\") }"
    " Else { Local0 = ToUUID (\"4309ac30-0d11-11e4-9191-0800200c9a66\") }"
    " If (Local6 == 0 || Arg0 != Local0) {"
    "  If (Arg2 == 0) { Return (Buffer (1) { 0 }) }"
    "  Return (Buffer (1) { 1 }) }"
    " HDLE = Arg4 REVS = Arg1 FUNC = Arg2"
    " If (ObjectType (Arg3) == 4) { If (SizeOf (Arg3) == 1) { FARG = DerefOf (Arg3 [0]) } }"
    " NTFI = Local6"
    " Local1 = RLEN - 4"
    /* a field of up to eight bytes would be read as a number */
    " If (Local1 <= 8) {"
    "  Name (ONEB, Buffer (1) { 0 }) Local2 = 0 Local3 = Buffer (0) { }"
    "  While (Local2 < Local1) {"
    "   ONEB [0] = DerefOf (ODAT [Local2]) Concatenate (Local3, ONEB, Local3) Local2++ }"
    "  Return (Local3) }"
    " Local1 <<= 3 CreateField (ODAT, 0, Local1, OBUF) Return (OBUF) }";

/* _FIT reads the table in pieces until there is none left; a change on the way begins anew. */
static const char nvdimm_fit[] =
    "Method (_DSM, 4, NotSerialized) { Return (NCAL (Arg0, Arg1, Arg2, Arg3, 0)) }"
    "Name (RSTA, 0)"
    "Method (RFIT, 1, Serialized) {"
    " Local0 = Package (1) { 0 } Local0 [0] = Arg0"
    " Local1 = NCAL (ToUUID (\"648b9cf2-cda1-4312-8ad9-49c4af32bd62\"), 1, 1, Local0, 0x10000)"
    " CreateDWordField (Local1, 0, STAU) RSTA = STAU"
    " If (STAU) { Return (Buffer (0) { }) }"
    " Local2 = SizeOf (Local1) - 4"
    " If (Local2 == 0) { Return (Buffer (0) { }) }"
    " CreateField (Local1, 32, Local2 << 3, BUFF) Return (BUFF) }"
    "Method (_FIT, 0, Serialized) {"
    " Local0 = Buffer (0) { } Local1 = 0"
    " While (1) {"
    "  Local2 = RFIT (Local1) Local3 = SizeOf (Local2)"
    "  If (RSTA == 0x100) { Local0 = Buffer (0) { } Local1 = 0 Continue }"
    "  If (Local3 == 0) { Break }"
    "  Local1 += Local3 Concatenate (Local0, Local2, Local0) }"
    " Return (Local0) }";

/* Labels of one module: their size, reading and writing (ACPI 6.4 6.5.10). */
static void nvdimm_device(Aml *a, unsigned slot)
{
    unsigned handle = slot + 1;
    g_autofree char *name = g_strdup_printf("NV%02X", slot);
    aml_device(a, name);
    aml_name_int(a, "_ADR", handle);
    aml_asl(a, "Method (_DSM, 4, NotSerialized) { Return (NCAL (Arg0, Arg1, Arg2, Arg3, %u)) }", handle);
    aml_asl(a,
            "Name (LUID, ToUUID (\"4309ac30-0d11-11e4-9191-0800200c9a66\"))"
            "Method (_LSI, 0, Serialized) {"
            " Local0 = NCAL (LUID, 1, 4, 0, %u)"
            " CreateDWordField (Local0, 0, STTS) CreateDWordField (Local0, 4, SLSA)"
            " CreateDWordField (Local0, 8, MAXT)"
            " Local1 = Package (3) { 0, 0, 0 } Local1 [0] = STTS Local1 [1] = SLSA Local1 [2] = MAXT"
            " Return (Local1) }",
            handle);
    aml_asl(a,
            "Method (_LSR, 2, Serialized) {"
            " Name (ARGB, Buffer (8) { }) CreateDWordField (ARGB, 0, OFST) CreateDWordField (ARGB, 4, LEN)"
            " OFST = Arg0 LEN = Arg1 Local0 = Package (1) { 0 } Local0 [0] = ARGB"
            " Local1 = NCAL (LUID, 1, 5, Local0, %u)"
            " CreateDWordField (Local1, 0, STTS) CreateField (Local1, 32, LEN << 3, LDAT)"
            " Local2 = ToBuffer (LDAT) Local3 = Package (2) { 0, 0 }"
            " Local3 [0] = STTS Local3 [1] = Local2 Return (Local3) }",
            handle);
    aml_asl(a,
            "Method (_LSW, 3, Serialized) {"
            " Name (ARGB, Buffer (8) { }) CreateDWordField (ARGB, 0, OFST) CreateDWordField (ARGB, 4, LEN)"
            " OFST = Arg0 LEN = Arg1 Local1 = Arg2 Concatenate (ARGB, Local1, Local2)"
            " Local0 = Package (1) { 0 } Local0 [0] = Local2"
            " Local3 = NCAL (LUID, 1, 6, Local0, %u) CreateDWordField (Local3, 0, STTS) Return (STTS) }",
            handle);
    aml_end(a);
}

static AcpiTable *nfit(const Machine *m, const GArray *dimms, GError **error)
{
    g_autoptr(AcpiTable) t = acpi_nfit();
    const char *keeps = machine_prop(m, "nvdimm-persistence");
    unsigned capabilities = 0;
    for (guint i = 0; i < dimms->len; i++) {
        const MachineDimm *d = &g_array_index(dimms, MachineDimm, i);
        if (d->nvdimm)
            acpi_nfit_dimm(t, d->slot, d->base, d->size, d->node, ((const MemoryDevice *)d->device)->unarmed);
    }
    if (keeps && !strcmp(keeps, "cpu"))
        capabilities = 3; /* caches, and the memory controller */
    else if (keeps && !strcmp(keeps, "mem-ctrl"))
        capabilities = 2;
    else if (keeps)
        return (AcpiTable *)(fail_usage(error, "-machine nvdimm-persistence=%s: unsupported option", keeps),
                             NULL);
    if (capabilities)
        acpi_nfit_capabilities(t, 31 - __builtin_clz(capabilities | 1), capabilities);
    return g_steal_pointer(&t);
}

bool acpi_nvdimm_table(const Machine *m, const GArray *dimms, AcpiTables *s, const char *event, GError **error)
{
    bool any = false;
    if (!machine_prop_on(m, "nvdimm"))
        return true;
    for (guint i = 0; i < dimms->len; i++)
        any |= g_array_index(dimms, MachineDimm, i).nvdimm;
    AcpiTable *table = any ? nfit(m, dimms, error) : NULL;
    if (any && !table)
        return false;
    if (table)
        acpi_tables_add(s, table, true);
    Aml *a = aml_new();
    size_t at = name_address(a, "MEMA");
    aml_scope(a, "\\_SB");
    aml_device(a, "NVDR");
    aml_name_string(a, "_HID", "ACPI0012");
    aml_asl(a, "OperationRegion (NPIO, %s, 0x%x, 4) Field (NPIO, DWordAcc, NoLock, Preserve) { NTFI, 32 }",
            event ? "SystemIO" : "SystemMemory", event ? NVDIMM_PORT : NVDIMM_REGISTER);
    aml_asl(a, "%s%s", nvdimm_call, nvdimm_fit);
    for (unsigned i = 0; i < m->options->ram_slots; i++)
        nvdimm_device(a, i);
    aml_end(a);
    aml_end(a);
    if (event)
        aml_asl(a, "Method (%s) { Notify (\\_SB.NVDR, 0x80) }", event);
    if (!ssdt_add(s, "NVDIMM", a, at, NVDIMM_FILE, error))
        return false;
    g_autofree uint8_t *page = g_malloc0(PAGE);
    g_autoptr(GBytes) data = g_bytes_new(page, PAGE);
    acpi_tables_add_file(s, NVDIMM_FILE, data, PAGE);
    return true;
}
