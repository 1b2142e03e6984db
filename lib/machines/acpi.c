/* SPDX-License-Identifier: MIT */
/* Tables of a machine: what the user adds, and what all boards share. */
#include "machines/acpi_priv.h"

#include "devices/pci/described_bridge.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/option.h"
#include "base/size.h"

#include <inttypes.h>
#include <string.h>

enum { TABLE_LIMIT = 4 << 20 };

/* ---- -smbios --------------------------------------------------------------------------- */

static GBytes *read_file(void *opaque, const char *name, GError **error)
{
    g_autofree char *data = NULL;
    gsize len;
    g_autoptr(GError) why = NULL;
    if (!g_file_get_contents(name, &data, &len, &why)) {
        const char *colon = strrchr(why->message, ':');
        fail(error, "Could not open '%s'%s", name, colon ? colon : "");
        return NULL;
    }
    return g_bytes_new_take(g_steal_pointer(&data), len);
}

bool machine_add_smbios(Machine *m, const char *text, GError **error)
{
    if (!m->smbios)
        m->smbios = smbios_options_new(read_file, NULL);
    return smbios_options_add(m->smbios, text, error);
}

void machine_set_uuid(Machine *m, const uint8_t uuid[16])
{
    memcpy(m->uuid, uuid, sizeof m->uuid);
    m->has_uuid = true;
}

/* ---- -acpitable --------------------------------------------------------------------------- */

/* Text into a field of that many bytes, the rest NUL. */
static bool put_id(Options *o, const char *key, uint8_t *at, size_t size, GError **error)
{
    const char *text = options_get(o, key);
    if (!text)
        return true;
    if (strlen(text) > size)
        return fail_usage(error, "Parameter '%s' has at most %zu characters: '%s'", key, size, text);
    memset(at, 0, size);
    memcpy(at, text, strlen(text));
    return true;
}

static bool put_number(Options *o, const char *key, uint8_t *at, unsigned size, GError **error)
{
    uint64_t value;
    if (!options_has(o, key))
        return true;
    if (!number_parse(options_get(o, key), &value, NULL) || value >> (8 * size))
        return fail_usage(error, "Parameter '%s' expects uint%u_t", key, 8 * size);
    for (unsigned i = 0; i < size; i++)
        at[i] = (uint8_t)(value >> (8 * i));
    return true;
}

/* The bytes of all files of "A:B:C". */
static bool append_files(GByteArray *out, const char *names, GError **error)
{
    g_auto(GStrv) list = g_strsplit(names, ":", -1);
    for (char **name = list; *name; name++) {
        g_autofree char *data = NULL;
        gsize len;
        g_autoptr(GError) why = NULL;
        if (!**name)
            continue;
        if (!g_file_get_contents(*name, &data, &len, &why)) {
            const char *colon = strrchr(why->message, ':');
            return fail(error, "can't open file %s%s", *name, colon ? colon : "");
        }
        if (out->len + len > TABLE_LIMIT)
            return fail_usage(error, "%s: a table of more than %d MiB", *name, TABLE_LIMIT >> 20);
        g_byte_array_append(out, (const guint8 *)data, (guint)len);
    }
    return true;
}

static bool fill_header(Options *o, uint8_t *h, GError **error)
{
    return put_id(o, "sig", h, 4, error) && put_number(o, "rev", h + 8, 1, error) &&
           put_id(o, "oem_id", h + 10, 6, error) && put_id(o, "oem_table_id", h + 16, 8, error) &&
           put_number(o, "oem_rev", h + 24, 4, error) &&
           put_id(o, "asl_compiler_id", h + 28, 4, error) &&
           put_number(o, "asl_compiler_rev", h + 32, 4, error);
}

static bool user_table(Options *o, GByteArray *out, GError **error)
{
    static const uint8_t header[ACPI_HEADER] =
        "QEMU\0\0\0\0\1\0QEMUQEQEMUQEMU\1\0\0\0QEMU\1\0\0";
    const char *data = options_get(o, "data"), *file = options_get(o, "file");
    if (data && file)
        return fail_usage(error, "'-acpitable' requires one of 'data' or 'file'");
    if (!data && !file)
        return fail_usage(error, "'-acpitable' requires one of 'data' or 'file'");
    if (data)
        g_byte_array_append(out, header, sizeof header);
    if (!append_files(out, data ? data : file, error))
        return false;
    if (out->len < ACPI_HEADER)
        return fail_usage(error,
                          "ACPI table claiming to have header is too short, available: %u, expected: %d",
                          out->len, ACPI_HEADER);
    if (!fill_header(o, out->data, error) || !options_done(o, error))
        return false;
    st_le32(out->data + 4, out->len);
    uint8_t sum = 0;
    out->data[ACPI_CHECKSUM_AT] = 0;
    for (guint i = 0; i < out->len; i++)
        sum = (uint8_t)(sum + out->data[i]);
    out->data[ACPI_CHECKSUM_AT] = (uint8_t)-sum;
    return true;
}

bool machine_add_acpitable(Machine *m, const char *text, GError **error)
{
    g_autoptr(Options) o = options_parse(text, NULL, error);
    g_autoptr(GByteArray) out = g_byte_array_new();
    if (!o || !user_table(o, out, error))
        return prefix(error, "-acpitable %s", text);
    if (!m->acpi_user)
        m->acpi_user = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    g_ptr_array_add(m->acpi_user, g_byte_array_free_to_bytes(g_steal_pointer(&out)));
    return true;
}

void machine_acpi_clear(Machine *m)
{
    g_clear_pointer(&m->acpi_user, g_ptr_array_unref);
    smbios_options_free(m->smbios);
}

/* ---- For boards ---------------------------------------------------------------------------- */

bool machine_acpi_props(const Machine *m, GError **error)
{
    const char *id = machine_prop(m, "x-oem-id"), *table = machine_prop(m, "x-oem-table-id");
    if (id && strlen(id) > 6)
        return fail_usage(error, "User specified x-oem-id value is bigger than 6 bytes in size");
    if (table && strlen(table) > 8)
        return fail_usage(error, "User specified x-oem-table-id value is bigger than 8 bytes in size");
    return machine_smbios_ep64(m, NULL, error);
}

AcpiTables *machine_acpi_begin(const Machine *m, bool xsdt)
{
    AcpiTables *s = acpi_tables_new(machine_prop(m, "x-oem-id"), machine_prop(m, "x-oem-table-id"),
                                    xsdt);
    for (guint i = 0; m->acpi_user && i < m->acpi_user->len; i++) {
        const uint8_t *data = g_bytes_get_data(g_ptr_array_index(m->acpi_user, i), NULL);
        if (!memcmp(data, "SLIC", 4)) {
            acpi_tables_take_ids(s, data + 10, data + 16);
            break;
        }
    }
    return s;
}

bool machine_acpi_user(const Machine *m, AcpiTables *s, GError **error)
{
    for (guint i = 0; m->acpi_user && i < m->acpi_user->len; i++) {
        gsize len;
        const void *data = g_bytes_get_data(g_ptr_array_index(m->acpi_user, i), &len);
        if (!acpi_tables_add_raw(s, data, len, error))
            return false;
    }
    return true;
}

AcpiTable *machine_acpi_aml(const char *signature, uint8_t revision, Aml *aml, GError **error)
{
    g_autoptr(GBytes) bytes = aml_finish(aml, error);
    if (!bytes)
        return NULL;
    AcpiTable *t = acpi_table_new(signature, revision);
    gsize len;
    const void *data = g_bytes_get_data(bytes, &len);
    acpi_raw(t, data, len);
    return t;
}

bool machine_is_pxb(const Device *dev)
{
    return dev->type == &pxb_type || dev->type == &pxb_pcie_type;
}

/* Functions of the root bus and of further host bridges are behind the IOMMU. */
AcpiTable *machine_viot(const Machine *m, uint16_t bdf)
{
    g_autoptr(GArray) ranges = g_array_new(FALSE, FALSE, sizeof(AcpiPciRange));
    AcpiPciRange r = {0, 0, 0xff, 0};
    g_array_append_val(ranges, r);
    for (guint i = 0; i < m->added->len; i++) {
        const Device *dev = g_ptr_array_index(m->added, i);
        if (!machine_is_pxb(dev))
            continue;
        uint16_t bus = (uint16_t)(((const DescribedBridge *)dev)->bus_nr << 8);
        r = (AcpiPciRange){0, bus, bus | 0xff, bus};
        g_array_append_val(ranges, r);
    }
    return acpi_viot(0, bdf, (const AcpiPciRange *)(const void *)ranges->data, ranges->len);
}

/* What a host bridge lets the OS do itself (PCI Firmware 3.3 4.5.1). */
void machine_acpi_osc(Aml *a, unsigned control)
{
    aml_asl(a,
            "Method (_OSC, 4, NotSerialized) {"
            " CreateDWordField (Arg3, 0, CDW1)"
            " If (Arg0 == ToUUID (\"33db4d5b-1ff7-401c-9657-7441c03dd766\")) {"
            "  CreateDWordField (Arg3, 8, CDW3)"
            "  Local0 = CDW3 & 0x%02x"
            "  If (Arg1 != 1) { CDW1 |= 8 }"
            "  If (CDW3 != Local0) { CDW1 |= 0x10 }"
            "  CDW3 = Local0 }"
            " Else { CDW1 |= 4 }"
            " Return (Arg3) }",
            control);
}

/* Which entry point: of "smbios-entry-point-type", or its other name and spelling. */
bool machine_smbios_ep64(const Machine *m, bool *ep64, GError **error)
{
    const char *type = g_hash_table_lookup(m->options->props, "smbios-entry-point-type");
    const char *ep = g_hash_table_lookup(m->options->props, "smbios-ep");
    const char *value = type ? type : ep;
    bool wide = value && (!strcmp(value, "64") || !strcmp(value, "3-0") || !strcmp(value, "3.0"));
    bool narrow = value && (!strcmp(value, "32") || !strcmp(value, "2-1") || !strcmp(value, "2.1"));
    if (value && !wide && !narrow)
        return fail_usage(error, "Parameter '%s' does not accept value '%s'",
                          type ? "smbios-entry-point-type" : "smbios-ep", value);
    if (ep64)
        *ep64 = wide;
    return true;
}

/* Serial and parallel ports without a number get the next. */
static bool number_ports(Machine *m, const char *type, unsigned most, GError **error)
{
    bool used[4] = {false};
    for (unsigned pass = 0; pass < 2; pass++) {
        for (guint i = 0; i < m->added->len; i++) {
            Device *dev = g_ptr_array_index(m->added, i);
            if (strcmp(dev->type->name, type))
                continue;
            g_autofree char *text = device_get(dev, device_prop(dev->type, "index", NULL));
            guint64 n = g_ascii_strtoull(text, NULL, 10);
            if ((n == UINT32_MAX) != (pass == 1))
                continue;
            for (n = pass ? 0 : n; pass && n < most && used[n]; n++)
                ;
            if (n >= most)
                return fail_usage(error, "-device %s: Max. supported number of ISA %s ports is %u.", type,
                                  strchr(type, '-') + 1, most);
            if (used[n])
                return fail_usage(error, "-device %s: port %u is given twice", type, (unsigned)n);
            used[n] = true;
            if (!device_set_u64(dev, "index", n, error))
                return false;
        }
    }
    return true;
}

bool machine_number_ports(Machine *m, GError **error)
{
    return number_ports(m, "isa-serial", 4, error) && number_ports(m, "isa-parallel", 3, error);
}

/* ---- All --------------------------------------------------------------------------------------- */

/* Numbers of further host bridges' buses are theirs alone; 0 is the first one's. */
static bool check_buses(const Machine *m, GError **error)
{
    const char *taken[256] = {"pcie.0"};
    for (guint i = 0; i < m->added->len; i++) {
        const Device *dev = g_ptr_array_index(m->added, i);
        if (!machine_is_pxb(dev))
            continue;
        uint32_t bus = ((const DescribedBridge *)dev)->bus_nr;
        if (taken[bus])
            return fail_usage(error, "-device %s,id=%s: bus %" PRIu32 " is already used by '%s'", dev->type->name,
                              dev->id, bus, taken[bus]);
        taken[bus] = dev->id;
    }
    return true;
}

AcpiTables *machine_acpi(Machine *m, GError **error)
{
    if (!m->type->acpi) {
        fail(error, "machine '%s' has no ACPI tables", m->type->name);
        return NULL;
    }
    if (!g_strcmp0(machine_prop(m, "acpi"), "off")) {
        fail_usage(error, "-M acpi=off: the machine has no ACPI tables then");
        return NULL;
    }
    AcpiTables *s = check_buses(m, error) ? m->type->acpi(m, error) : NULL;
    if (s && !acpi_tables_finish(s, error))
        g_clear_pointer(&s, acpi_tables_free);
    return s;
}

static bool find_pci(void *opaque, const char *id, uint16_t *segment, uint8_t *bus, uint8_t *devfn)
{
    const Machine *m = opaque;
    g_autofree char *front = g_strdup_printf("%s/pci", id);
    Device *dev = machine_device(m, front);
    dev = dev ? dev : machine_device(m, id);
    DevicePci *pci = dev && dev->type->pci ? dev->type->pci(dev) : NULL;
    if (!pci || !pci->fn.bus)
        return false;
    *segment = 0;
    *bus = 0; /* firmware numbers the others */
    *devfn = pci->fn.devfn;
    return true;
}

bool machine_smbios(Machine *m, SmbiosTables *out, GError **error)
{
    SmbiosMachine s = {
        .version = machine_options_name(m->options),
        .manufacturer = "QEMU",
        .has_uuid = m->has_uuid,
        .ram_size = m->options->ram_size,
        .find_pci = find_pci,
        .opaque = m,
    };
    const MachineSmp *smp = &m->options->smp;
    SmbiosRange ranges[MACHINE_SMBIOS_RANGES];
    if (!m->type->smbios)
        return fail(error, "machine '%s' has no SMBIOS tables", m->type->name);
    memcpy(s.uuid, m->uuid, sizeof s.uuid);
    s.cores = smp->dies * smp->clusters * smp->cores;
    s.threads = s.cores * smp->threads;
    s.sockets = smp->sockets;
    s.ranges = ranges;
    return m->type->smbios(m, &s, ranges, error) && smbios_build(out, m->smbios, &s, error);
}
