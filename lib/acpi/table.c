/* SPDX-License-Identifier: MIT */
/*
 * Tables, their set, and the loader's commands. A command has 128 bytes: its number (u32), then by
 * kind: allocate 1 {file[56], align u32, zone u8}, add pointer 2 {destination[56], source[56], offset u32,
 * size u8}, add checksum 3 {file[56], offset u32, start u32, length u32}, write pointer 4 {destination[56],
 * source[56], destination offset u32, source offset u32, size u8}.
 */
#include "acpi/table.h"

#include "base/bits.h"
#include "base/bytes.h"
#include "base/error.h"

#include <string.h>

enum { COMMAND_SIZE = 128, FILE_NAME = 56 };
enum { ALLOCATE = 1, ADD_POINTER = 2, ADD_CHECKSUM = 3, WRITE_POINTER = 4 };
enum { ZONE_HIGH = 1, ZONE_FSEG = 2 };
enum { FACS_SIZE = 64, TABLES_ALIGN = 64, RSDP_ALIGN = 16 };
/* Of etc/acpi/tables: firmware copies it, and some give up on more. */
enum { TABLES_LIMIT = 16 << 20 };

typedef struct {
    uint32_t at;
    uint8_t size;
    const char *file; /* what is pointed to; interned */
} Pointer;

typedef struct {
    uint32_t at, start, len;
} Checksum;

struct AcpiTable {
    GByteArray *bytes;
    GArray *pointers;
    char id[9];
    bool own_id;
};

/* A file of the firmware interface. */
typedef struct {
    const char *name;
    GByteArray *bytes;
    GArray *pointers;  /* Pointer */
    GArray *checksums; /* Checksum */
    uint32_t align;
    uint8_t zone;
} File;

typedef struct {
    const char *name, *file;
    uint8_t size;
    uint32_t offset;
} Report;

struct AcpiTables {
    uint8_t oem_id[6], table_id[8];             /* of all */
    uint8_t root_oem_id[6], root_table_id[8];   /* of RSDT and FADT */
    bool xsdt;
    GPtrArray *files; /* File: the tables, then others; the RSDP last, once finished */
    GArray *listed;   /* uint32_t: offsets */
    GArray *reports;  /* Report */
    GArray *entries;  /* AcpiEntry; offsets within the tables until finished */
};

/* ---- One table --------------------------------------------------------------------- */

AcpiTable *acpi_table_new(const char *signature, uint8_t revision)
{
    AcpiTable *t = g_new0(AcpiTable, 1);
    t->bytes = g_byte_array_new();
    t->pointers = g_array_new(FALSE, FALSE, sizeof(Pointer));
    acpi_zero(t, ACPI_HEADER);
    memcpy(t->bytes->data, signature, 4);
    t->bytes->data[8] = revision;
    return t;
}

void acpi_table_free(AcpiTable *t)
{
    if (!t)
        return;
    g_byte_array_unref(t->bytes);
    g_array_unref(t->pointers);
    g_free(t);
}

void acpi_table_set_id(AcpiTable *t, const char *oem_table_id)
{
    g_strlcpy(t->id, oem_table_id, sizeof t->id);
    t->own_id = true;
}

void acpi_raw(AcpiTable *t, const void *data, size_t len)
{
    g_byte_array_append(t->bytes, data, (guint)len);
}

void acpi_zero(AcpiTable *t, size_t count)
{
    guint at = t->bytes->len;
    g_byte_array_set_size(t->bytes, at + (guint)count);
    memset(t->bytes->data + at, 0, count);
}

void acpi_u8(AcpiTable *t, uint8_t value)
{
    acpi_raw(t, &value, 1);
}

void acpi_u16(AcpiTable *t, uint16_t value)
{
    uint8_t out[2];
    st_le16(out, value);
    acpi_raw(t, out, sizeof out);
}

void acpi_u32(AcpiTable *t, uint32_t value)
{
    uint8_t out[4];
    st_le32(out, value);
    acpi_raw(t, out, sizeof out);
}

void acpi_u64(AcpiTable *t, uint64_t value)
{
    uint8_t out[8];
    st_le64(out, value);
    acpi_raw(t, out, sizeof out);
}

void acpi_gas(AcpiTable *t, uint8_t space, uint8_t bits, uint8_t access, uint64_t address)
{
    const uint8_t head[4] = {space, bits, 0, access};
    acpi_raw(t, head, sizeof head);
    acpi_u64(t, address);
}

size_t acpi_size(const AcpiTable *t)
{
    return t->bytes->len;
}

void acpi_set32(AcpiTable *t, size_t at, uint32_t value)
{
    g_assert(at + 4 <= t->bytes->len);
    st_le32(t->bytes->data + at, value);
}

uint32_t acpi_get32(const AcpiTable *t, size_t at)
{
    g_assert(at + 4 <= t->bytes->len);
    return ld_le32(t->bytes->data + at);
}

void acpi_pointer(AcpiTable *t, size_t at, uint8_t size, const char *file)
{
    g_assert(at + size <= t->bytes->len);
    Pointer p = {(uint32_t)at, size, g_intern_string(file)};
    g_array_append_val(t->pointers, p);
}

/* ---- The set --------------------------------------------------------------------------- */

static void file_free(gpointer opaque)
{
    File *f = opaque;
    g_byte_array_unref(f->bytes);
    g_array_unref(f->pointers);
    g_array_unref(f->checksums);
    g_free(f);
}

static File *file_add(AcpiTables *s, const char *name, uint32_t align, uint8_t zone)
{
    File *f = g_new0(File, 1);
    f->name = g_intern_string(name);
    f->bytes = g_byte_array_new();
    f->pointers = g_array_new(FALSE, FALSE, sizeof(Pointer));
    f->checksums = g_array_new(FALSE, FALSE, sizeof(Checksum));
    f->align = align;
    f->zone = zone;
    g_ptr_array_add(s->files, f);
    return f;
}

static File *tables(const AcpiTables *s)
{
    return g_ptr_array_index(s->files, 0);
}

AcpiTables *acpi_tables_new(const char *oem_id, const char *oem_table_id, bool xsdt)
{
    AcpiTables *s = g_new0(AcpiTables, 1);
    memcpy(s->oem_id, oem_id, strnlen(oem_id, sizeof s->oem_id));
    memcpy(s->table_id, oem_table_id, strnlen(oem_table_id, sizeof s->table_id));
    memcpy(s->root_oem_id, s->oem_id, sizeof s->oem_id);
    memcpy(s->root_table_id, s->table_id, sizeof s->table_id);
    s->xsdt = xsdt;
    s->files = g_ptr_array_new_with_free_func(file_free);
    s->listed = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    s->reports = g_array_new(FALSE, FALSE, sizeof(Report));
    s->entries = g_array_new(TRUE, TRUE, sizeof(AcpiEntry));
    file_add(s, ACPI_FILE_TABLES, TABLES_ALIGN, ZONE_HIGH);
    return s;
}

void acpi_tables_free(AcpiTables *s)
{
    if (!s)
        return;
    g_ptr_array_unref(s->files);
    g_array_unref(s->listed);
    g_array_unref(s->reports);
    g_array_unref(s->entries);
    g_free(s);
}

void acpi_tables_take_ids(AcpiTables *s, const uint8_t *oem_id, const uint8_t *oem_table_id)
{
    memcpy(s->root_oem_id, oem_id, sizeof s->root_oem_id);
    memcpy(s->root_table_id, oem_table_id, sizeof s->root_table_id);
}

static void entry_add(AcpiTables *s, const char *signature, uint32_t offset, uint32_t len)
{
    AcpiEntry e = {.offset = offset, .len = len};
    unsigned same = 1;
    memcpy(e.signature, signature, 4);
    for (guint i = 0; i < s->entries->len; i++)
        same += memcmp(g_array_index(s->entries, AcpiEntry, i).signature, e.signature, 4) == 0;
    g_autofree char *low = g_ascii_strdown(e.signature, -1);
    for (char *p = low; *p; p++)
        if (!g_ascii_isalnum(*p))
            *p = p[1] ? '_' : '\0';
    if (same > 1)
        g_snprintf(e.name, sizeof e.name, "%s-%u", low, same);
    else
        g_strlcpy(e.name, low, sizeof e.name);
    g_array_append_val(s->entries, e);
}

static void checksum_add(File *f, uint32_t at, uint32_t start, uint32_t len)
{
    Checksum c = {at, start, len};
    g_array_append_val(f->checksums, c);
}

static void header_fill(const AcpiTables *s, const AcpiTable *t)
{
    static const char creator[] = "LATH";
    uint8_t *h = t->bytes->data;
    bool root = !memcmp(h, "RSDT", 4) || !memcmp(h, "XSDT", 4) || !memcmp(h, "FACP", 4);
    st_le32(h + 4, t->bytes->len);
    memcpy(h + 10, root ? s->root_oem_id : s->oem_id, 6);
    memcpy(h + 16, root ? s->root_table_id : s->table_id, 8);
    if (t->own_id)
        memcpy(h + 16, t->id, 8);
    st_le32(h + 24, 1);
    memcpy(h + 28, creator, 4);
    st_le32(h + 32, 1);
}

uint32_t acpi_tables_add(AcpiTables *s, AcpiTable *t, bool listed)
{
    File *f = tables(s);
    uint32_t at = f->bytes->len;
    header_fill(s, t);
    g_byte_array_append(f->bytes, t->bytes->data, t->bytes->len);
    for (guint i = 0; i < t->pointers->len; i++) {
        Pointer p = g_array_index(t->pointers, Pointer, i);
        p.at += at;
        g_array_append_val(f->pointers, p);
    }
    checksum_add(f, at + ACPI_CHECKSUM_AT, at, t->bytes->len);
    entry_add(s, (const char *)t->bytes->data, at, t->bytes->len);
    if (listed)
        g_array_append_val(s->listed, at);
    acpi_table_free(t);
    return at;
}

/* Firmware aligns the file; so what is first in it is aligned. */
uint32_t acpi_tables_add_facs(AcpiTables *s)
{
    GByteArray *bytes = tables(s)->bytes;
    uint32_t at = bytes->len;
    uint8_t facs[FACS_SIZE] = "FACS";
    g_assert(at % TABLES_ALIGN == 0);
    st_le32(facs + 4, FACS_SIZE);
    g_byte_array_append(bytes, facs, sizeof facs);
    entry_add(s, "FACS", at, FACS_SIZE);
    return at;
}

bool acpi_tables_add_raw(AcpiTables *s, const void *data, size_t len, GError **error)
{
    File *f = tables(s);
    uint32_t at = f->bytes->len;
    if (len < ACPI_HEADER || ld_le32((const uint8_t *)data + 4) != len)
        return fail(error, "%zu bytes are not a table with a length of their own", len);
    if (len > TABLES_LIMIT)
        return fail(error, "a table of %zu bytes is larger than %d MiB", len, TABLES_LIMIT >> 20);
    g_byte_array_append(f->bytes, data, (guint)len);
    entry_add(s, data, at, (uint32_t)len);
    g_array_append_val(s->listed, at);
    return true;
}

void acpi_tables_add_file(AcpiTables *s, const char *name, GBytes *data, uint32_t align)
{
    File *f = file_add(s, name, align, ZONE_HIGH);
    gsize len;
    const void *bytes = g_bytes_get_data(data, &len);
    g_byte_array_append(f->bytes, bytes, (guint)len);
}

void acpi_tables_report(AcpiTables *s, const char *name, uint8_t size, const char *file,
                        uint32_t offset)
{
    Report r = {g_intern_string(name), g_intern_string(file), size, offset};
    g_array_append_val(s->reports, r);
}

static uint32_t root_add(AcpiTables *s)
{
    uint8_t width = s->xsdt ? 8 : 4;
    AcpiTable *root = acpi_table_new(s->xsdt ? "XSDT" : "RSDT", 1);
    for (guint i = 0; i < s->listed->len; i++) {
        size_t at = acpi_size(root);
        uint32_t offset = g_array_index(s->listed, uint32_t, i);
        if (s->xsdt)
            acpi_u64(root, offset);
        else
            acpi_u32(root, offset);
        acpi_pointer(root, at, width, ACPI_FILE_TABLES);
    }
    return acpi_tables_add(s, root, false);
}

/* 5.2.5.3 */
static void rsdp_add(AcpiTables *s, uint32_t root)
{
    File *f = file_add(s, ACPI_FILE_RSDP, RSDP_ALIGN, ZONE_FSEG);
    uint8_t rsdp[36] = "RSD PTR ";
    uint32_t len = s->xsdt ? 36 : 20;
    Pointer p = {s->xsdt ? 24 : 16, s->xsdt ? 8 : 4, g_intern_string(ACPI_FILE_TABLES)};
    memcpy(rsdp + 9, s->oem_id, 6);
    rsdp[15] = s->xsdt ? 2 : 0;
    if (s->xsdt)
        st_le32(rsdp + 20, len);
    st_le32(rsdp + p.at, root);
    g_byte_array_append(f->bytes, rsdp, len);
    g_array_append_val(f->pointers, p);
    checksum_add(f, 8, 0, 20);
    if (s->xsdt)
        checksum_add(f, 32, 0, len);
}

static void entries_finish(AcpiTables *s, uint32_t rsdp_len)
{
    uint32_t tables_at = align_up(rsdp_len, TABLES_ALIGN);
    for (guint i = 0; i < s->entries->len; i++)
        g_array_index(s->entries, AcpiEntry, i).offset += tables_at;
    AcpiEntry rsdp = {.name = "rsdp", .signature = "RSDP", .len = rsdp_len};
    g_array_prepend_val(s->entries, rsdp);
}

bool acpi_tables_finish(AcpiTables *s, GError **error)
{
    rsdp_add(s, root_add(s));
    if (tables(s)->bytes->len > TABLES_LIMIT)
        return fail(error, "the ACPI tables take %u bytes, more than %d MiB", tables(s)->bytes->len,
                    TABLES_LIMIT >> 20);
    entries_finish(s, s->xsdt ? 36 : 20);
    return true;
}

/* ---- What comes out --------------------------------------------------------------------- */

const AcpiEntry *acpi_tables_entries(const AcpiTables *s)
{
    return (const AcpiEntry *)(const void *)s->entries->data;
}

static const File *file_find(const AcpiTables *s, const char *name)
{
    for (guint i = 0; i < s->files->len; i++) {
        const File *f = g_ptr_array_index(s->files, i);
        if (strcmp(f->name, name) == 0)
            return f;
    }
    return NULL;
}

GBytes *acpi_tables_file(const AcpiTables *s, const char *name)
{
    const File *f = file_find(s, name);
    return f ? g_bytes_new(f->bytes->data, f->bytes->len) : NULL;
}

const char **acpi_tables_files(const AcpiTables *s)
{
    const char **names = g_new0(const char *, s->files->len + 1);
    for (guint i = 0; i < s->files->len; i++)
        names[i] = ((const File *)g_ptr_array_index(s->files, i))->name;
    return names;
}

static uint8_t *command_add(GByteArray *out, uint32_t number)
{
    guint at = out->len;
    g_byte_array_set_size(out, at + COMMAND_SIZE);
    memset(out->data + at, 0, COMMAND_SIZE);
    st_le32(out->data + at, number);
    return out->data + at + 4;
}

static void put_name(uint8_t *at, const char *name)
{
    g_strlcpy((char *)at, name, FILE_NAME);
}

static void loader_file(GByteArray *out, const File *f)
{
    for (guint i = 0; i < f->pointers->len; i++) {
        const Pointer *p = &g_array_index(f->pointers, Pointer, i);
        uint8_t *c = command_add(out, ADD_POINTER);
        put_name(c, f->name);
        put_name(c + FILE_NAME, p->file);
        st_le32(c + 2 * FILE_NAME, p->at);
        c[2 * FILE_NAME + 4] = p->size;
    }
    for (guint i = 0; i < f->checksums->len; i++) {
        const Checksum *sum = &g_array_index(f->checksums, Checksum, i);
        uint8_t *c = command_add(out, ADD_CHECKSUM);
        put_name(c, f->name);
        st_le32(c + FILE_NAME, sum->at);
        st_le32(c + FILE_NAME + 4, sum->start);
        st_le32(c + FILE_NAME + 8, sum->len);
    }
}

/* Allocations first, as some firmware does not look ahead; checksums after the pointers they cover.
 */
GBytes *acpi_tables_loader(const AcpiTables *s)
{
    GByteArray *out = g_byte_array_new();
    for (guint i = s->files->len; i > 0; i--) {
        const File *f = g_ptr_array_index(s->files, i - 1);
        uint8_t *c = command_add(out, ALLOCATE);
        put_name(c, f->name);
        st_le32(c + FILE_NAME, f->align);
        c[FILE_NAME + 4] = f->zone;
    }
    for (guint i = 0; i < s->files->len; i++)
        loader_file(out, g_ptr_array_index(s->files, i));
    for (guint i = 0; i < s->reports->len; i++) {
        const Report *r = &g_array_index(s->reports, Report, i);
        uint8_t *c = command_add(out, WRITE_POINTER);
        put_name(c, r->name);
        put_name(c + FILE_NAME, r->file);
        st_le32(c + 2 * FILE_NAME + 4, r->offset);
        c[2 * FILE_NAME + 8] = r->size;
    }
    return g_byte_array_free_to_bytes(out);
}

static uint64_t little(const uint8_t *p, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = size; i > 0; i--)
        value = value << 8 | p[i - 1];
    return value;
}

static bool patch(GByteArray *out, uint64_t file_at, const Pointer *p, uint64_t address,
                  GError **error)
{
    uint8_t *at = out->data + file_at + p->at;
    uint64_t value = little(at, p->size) + address;
    if (value < address || (p->size < 8 && value >> (8 * p->size)))
        return fail_usage(error, "an address of %u bytes cannot say where %s lies", p->size,
                          p->file);
    for (unsigned i = 0; i < p->size; i++)
        at[i] = (uint8_t)(value >> (8 * i));
    return true;
}

static void checksum_set(uint8_t *file, const Checksum *c)
{
    uint8_t sum = 0;
    file[c->at] = 0;
    for (uint32_t i = 0; i < c->len; i++)
        sum = (uint8_t)(sum + file[c->start + i]);
    file[c->at] = (uint8_t)-sum;
}

GBytes *acpi_tables_place(const AcpiTables *s, uint64_t base, GError **error)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    g_autofree uint64_t *where = g_new0(uint64_t, s->files->len);
    if (base % TABLES_ALIGN) {
        fail_usage(error, "the address of the tables is not a multiple of %d", TABLES_ALIGN);
        return NULL;
    }
    /* the RSDP is the last file, and lies first */
    for (guint n = 0; n < s->files->len; n++) {
        guint i = n ? n - 1 : s->files->len - 1;
        const File *f = g_ptr_array_index(s->files, i);
        guint old = out->len;
        where[i] = align_up(base + old, MAX(f->align, RSDP_ALIGN)) - base;
        g_byte_array_set_size(out, (guint)where[i] + f->bytes->len);
        memset(out->data + old, 0, where[i] - old);
        memcpy(out->data + where[i], f->bytes->data, f->bytes->len);
    }
    for (guint i = 0; i < s->files->len; i++) {
        const File *f = g_ptr_array_index(s->files, i);
        for (guint k = 0; k < f->pointers->len; k++) {
            const Pointer *p = &g_array_index(f->pointers, Pointer, k);
            guint to = 0;
            while (((const File *)g_ptr_array_index(s->files, to))->name != p->file)
                g_assert(++to < s->files->len);
            if (!patch(out, where[i], p, base + where[to], error))
                return NULL;
        }
        for (guint k = 0; k < f->checksums->len; k++)
            checksum_set(out->data + where[i], &g_array_index(f->checksums, Checksum, k));
    }
    return g_byte_array_free_to_bytes(g_steal_pointer(&out));
}
