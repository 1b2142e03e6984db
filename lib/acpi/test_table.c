/* SPDX-License-Identifier: MIT */
/* The set of tables: that the loader's commands and acpi_tables_place mean the same, sums, limits.
 */
#include "acpi/parse.h"
#include "acpi/tables.h"

#include "base/bytes.h"

#include <string.h>

enum { BASE = 0x7ff00000 };

static uint8_t sum(const uint8_t *p, size_t len)
{
    uint8_t s = 0;
    while (len--)
        s = (uint8_t)(s + *p++);
    return s;
}

static AcpiTables *make(bool xsdt)
{
    AcpiTables *s = acpi_tables_new("LATHE", "TESTTEST", xsdt);
    uint32_t facs = acpi_tables_add_facs(s);
    AcpiTable *dsdt = acpi_table_new("DSDT", 2);
    acpi_u8(dsdt, 0xa3);
    uint32_t at = acpi_tables_add(s, dsdt, false);
    const AcpiFadt f = {.revision = 3, .has_facs = true, .facs = facs, .dsdt = at, .gpe0 = 0x620, .gpe0_len = 16};
    acpi_tables_add(s, acpi_fadt(&f), true);
    acpi_tables_add(s, acpi_tpm2(0, 0, 6, "etc/log", 16), true);
    g_autoptr(GBytes) log = g_bytes_new("0123456789abcdef", 16);
    acpi_tables_add_file(s, "etc/log", log, 4096);
    g_assert_true(acpi_tables_finish(s, NULL));
    return s;
}

/* ---- The loader --------------------------------------------------------------------------- */

typedef struct {
    const char *name;
    uint64_t at;
    uint8_t *bytes;
    size_t len;
} Loaded;

static Loaded *loaded(Loaded *files, const uint8_t *name)
{
    while (files->name && strcmp(files->name, (const char *)name))
        files++;
    g_assert_nonnull(files->name);
    return files;
}

/* Does what firmware does; where says the addresses, so that the result can be compared. */
static void run_loader(const AcpiTables *s, Loaded *files)
{
    g_autoptr(GBytes) commands = acpi_tables_loader(s);
    gsize len;
    const uint8_t *c = g_bytes_get_data(commands, &len);
    unsigned allocated = 0;
    g_assert_cmpuint(len % 128, ==, 0);
    for (const uint8_t *end = c + len; c < end; c += 128) {
        Loaded *f = loaded(files, c + 4);
        if (ld_le32(c) == 1) {
            uint32_t align = ld_le32(c + 60);
            g_assert_cmpuint(f->at % align, ==, 0);
            allocated++;
        } else if (ld_le32(c) == 2) {
            const Loaded *to = loaded(files, c + 60);
            uint32_t at = ld_le32(c + 116), size = c[120];
            g_assert_cmpuint(at + size, <=, f->len);
            uint64_t value = size == 8 ? ld_le64(f->bytes + at) : ld_le32(f->bytes + at);
            g_assert_cmpuint(value, <, to->len);
            value += to->at;
            if (size == 8)
                st_le64(f->bytes + at, value);
            else
                st_le32(f->bytes + at, (uint32_t)value);
        } else if (ld_le32(c) == 3) {
            uint32_t at = ld_le32(c + 60), start = ld_le32(c + 64), length = ld_le32(c + 68);
            g_assert_cmpuint(start + length, <=, f->len);
            f->bytes[at] = 0;
            f->bytes[at] = (uint8_t)-sum(f->bytes + start, length);
        } else {
            g_assert_not_reached();
        }
    }
    g_assert_cmpuint(allocated, ==, 3);
}

static void same_as_loader(bool xsdt)
{
    g_autoptr(AcpiTables) s = make(xsdt);
    g_autoptr(GBytes) placed = acpi_tables_place(s, BASE, NULL);
    g_assert_nonnull(placed);
    gsize len;
    const uint8_t *all = g_bytes_get_data(placed, &len);
    g_autofree const char **names = acpi_tables_files(s);
    Loaded files[8] = {{0}};
    unsigned n = 0;
    /* the RSDP first, then the others, each where it has to be aligned */
    uint64_t at = BASE;
    const uint64_t aligns[] = {64, 4096};
    g_autoptr(GBytes) rsdp = acpi_tables_file(s, ACPI_FILE_RSDP);
    files[n++] = (Loaded){ACPI_FILE_RSDP, BASE, NULL, g_bytes_get_size(rsdp)};
    at += g_bytes_get_size(rsdp);
    for (unsigned i = 0; names[i]; i++) {
        if (!strcmp(names[i], ACPI_FILE_RSDP))
            continue;
        g_autoptr(GBytes) bytes = acpi_tables_file(s, names[i]);
        at = (at + aligns[i] - 1) & ~(aligns[i] - 1);
        files[n++] = (Loaded){names[i], at, NULL, g_bytes_get_size(bytes)};
        at += g_bytes_get_size(bytes);
    }
    for (unsigned i = 0; i < n; i++) {
        g_autoptr(GBytes) bytes = acpi_tables_file(s, files[i].name);
        files[i].bytes = g_memdup2(g_bytes_get_data(bytes, NULL), files[i].len);
    }
    run_loader(s, files);
    for (unsigned i = 0; i < n; i++) {
        g_assert_cmpuint(files[i].at - BASE + files[i].len, <=, len);
        g_assert_cmpmem(files[i].bytes, files[i].len, all + (files[i].at - BASE), files[i].len);
        g_free(files[i].bytes);
    }
    for (const AcpiEntry *e = acpi_tables_entries(s); e->len; e++)
        if (strcmp(e->name, "facs"))
            g_assert_cmpuint(sum(all + e->offset, e->len), ==, 0);
}

static void test_loader(void)
{
    same_as_loader(false);
    same_as_loader(true);
}

/* ---- The root ------------------------------------------------------------------------------- */

static void test_root(void)
{
    g_autoptr(AcpiTables) s = make(true);
    g_autoptr(GBytes) placed = acpi_tables_place(s, BASE, NULL);
    const uint8_t *all = g_bytes_get_data(placed, NULL);
    g_assert_cmpmem(all, 8, "RSD PTR ", 8);
    g_assert_cmpuint(sum(all, 20), ==, 0);
    g_assert_cmpuint(sum(all, 36), ==, 0);
    const uint8_t *xsdt = all + (ld_le64(all + 24) - BASE);
    g_assert_cmpmem(xsdt, 4, "XSDT", 4);
    g_assert_cmpuint(ld_le32(xsdt + 4), ==, 36 + 2 * 8);
    const uint8_t *facp = all + (ld_le64(xsdt + 36) - BASE),
                  *tpm2 = all + (ld_le64(xsdt + 44) - BASE);
    g_assert_cmpmem(facp, 4, "FACP", 4);
    g_assert_cmpmem(facp + 10, 14, "LATHE\0TESTTEST", 14);
    g_assert_cmpmem(tpm2, 4, "TPM2", 4);
    g_assert_cmpmem(all + (ld_le64(tpm2 + 68) - BASE), 16, "0123456789abcdef", 16);
    g_assert_cmpmem(all + (ld_le32(facp + 36) - BASE), 4, "FACS", 4);
    g_assert_cmpuint(ld_le32(facp + 36) % 64, ==, 0);
    g_assert_cmpmem(all + (ld_le64(facp + 140) - BASE), 4, "DSDT", 4);
}

static void test_addresses(void)
{
    g_autoptr(AcpiTables) s = make(false);
    GError *error = NULL;
    g_assert_null(acpi_tables_place(s, UINT64_C(0x100000000), &error));
    g_assert_nonnull(strstr(error->message, "4 bytes"));
    g_clear_error(&error);
    g_assert_null(acpi_tables_place(s, BASE + 8, &error));
    g_assert_nonnull(strstr(error->message, "multiple of 64"));
    g_clear_error(&error);
}

static void test_ids(void)
{
    g_autoptr(AcpiTables) s = acpi_tables_new("A", "B", false);
    acpi_tables_take_ids(s, (const uint8_t *)"OEM...", (const uint8_t *)"TABLE...");
    const uint8_t slic[36] = "SLIC\x24\0\0\0\1\0USER  USERTBL";
    GError *error = NULL;
    const AcpiFadt f = {.revision = 1};
    acpi_tables_add(s, acpi_fadt(&f), true);
    acpi_tables_add(s, acpi_waet(2), true);
    g_assert_true(acpi_tables_add_raw(s, slic, sizeof slic, NULL));
    g_assert_false(acpi_tables_add_raw(s, slic, 35, &error));
    g_clear_error(&error);
    g_assert_true(acpi_tables_finish(s, NULL));
    g_autoptr(GBytes) all = acpi_tables_place(s, 0, NULL);
    const uint8_t *data = g_bytes_get_data(all, NULL);
    const char *const expected[][2] = {{"facp", "OEM...TABLE..."}, {"waet", "A\0\0\0\0\0B\0\0\0\0\0\0\0"},
                                       {"slic", "USER  USERTBL\0"}, {"rsdt", "OEM...TABLE..."}};
    unsigned seen = 0;
    for (const AcpiEntry *e = acpi_tables_entries(s); e->len; e++)
        for (unsigned i = 0; i < G_N_ELEMENTS(expected); i++)
            if (!strcmp(e->name, expected[i][0])) {
                g_assert_cmpmem(data + e->offset + 10, 14, expected[i][1], 14);
                seen++;
            }
    g_assert_cmpuint(seen, ==, 4);
}

/* ---- Reading back ---------------------------------------------------------------------------- */

typedef struct {
    const char *name;
    uint64_t number;
    bool found;
    size_t covered;
} Want;

static void look(void *opaque, const AcpiField *f)
{
    Want *w = opaque;
    w->covered += f->size;
    if (!strcmp(f->name, w->name)) {
        w->found = true;
        w->number = f->number;
    }
}

static uint64_t field(AcpiTable *t, const char *name)
{
    AcpiTables *s = acpi_tables_new("A", "B", false);
    acpi_tables_add(s, t, true);
    g_autoptr(GBytes) bytes = acpi_tables_file(s, ACPI_FILE_TABLES);
    gsize len;
    const uint8_t *data = g_bytes_get_data(bytes, &len);
    Want w = {.name = name};
    g_assert_true(acpi_parse(data, len, look, &w, NULL));
    if (!w.found)
        g_test_message("no field '%s'", name);
    g_assert_true(w.found);
    acpi_tables_free(s);
    return w.number;
}

static void test_fields(void)
{
    const AcpiFadt f = {.revision = 3, .sci_int = 9, .iapc_boot_arch = 2, .gpe0 = 0x620, .gpe0_len = 16};
    g_assert_cmpuint(field(acpi_fadt(&f), "SCI_INT"), ==, 9);
    g_assert_cmpuint(field(acpi_fadt(&f), "IAPC_BOOT_ARCH"), ==, 2);
    g_assert_cmpuint(field(acpi_fadt(&f), "X_GPE0_BLK address"), ==, 0x620);
    AcpiTable *madt = acpi_madt(1, 0xfee00000, 1);
    acpi_madt_cpu(madt, 0, 0, true);
    acpi_madt_cpu(madt, 300, 0x12c, true);
    acpi_madt_ioapic(madt, 1, 0xfec10000, 24);
    acpi_madt_nmi(madt, true, 1);
    g_assert_cmpuint(field(madt, "Local x2APIC 0: X2APIC ID"), ==, 0x12c);
    g_assert_cmpuint(field(acpi_erst(0x1000), "Instruction 26: Register Region address"), ==, 0x1008);
    g_assert_cmpuint(field(acpi_erst(0x1000), "Instruction Entry Count"), ==, 27);
    AcpiTable *srat = acpi_srat(1);
    acpi_srat_memory(srat, 0x100000, 0x1000, 3, 1);
    g_assert_cmpuint(field(srat, "Memory Affinity 0: Proximity Domain"), ==, 3);
    const AcpiPciRange range = {0, 0, 0xff, 0};
    g_assert_cmpuint(field(acpi_viot(0, 8, &range, 1), "virtio-iommu on PCI 0: PCI BDF number"), ==, 8);
    g_assert_cmpuint(field(acpi_viot(0, 8, &range, 1), "PCI range 0: Output node"), ==, 48);
    AcpiTable *iort = acpi_iort(3);
    uint32_t its = acpi_iort_its(iort, 0, 0);
    const AcpiIortMap map = {0, 0xffff, 0, its, 0};
    acpi_iort_root(iort, 1, 64, &map, 1);
    g_assert_cmpuint(field(iort, "Number of IORT Nodes"), ==, 2);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/acpi/table/placed-as-the-loader-does-it", test_loader);
    g_test_add_func("/acpi/table/root-leads-everywhere", test_root);
    g_test_add_func("/acpi/table/addresses-that-do-not-fit", test_addresses);
    g_test_add_func("/acpi/table/ids-of-the-set-and-of-a-user", test_ids);
    g_test_add_func("/acpi/table/fields-are-read-back", test_fields);
    return g_test_run();
}
