/* SPDX-License-Identifier: MIT */
/* Every field of every table as JSON: [{"table": NAME, "length": N, "fields": [{"name", "offset", "size",
   "value"}...]}...]. Numbers are numbers, text is a string, all else hexadecimal digits. */
#include "acpigen.h"

#include "acpi/parse.h"

#include <inttypes.h>
#include <string.h>

typedef struct {
    bool first;
} Fields;

static void put_string(const char *text, size_t len)
{
    putchar('"');
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < 0x20 || c > 0x7e)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

static void put_hex(const uint8_t *bytes, size_t len)
{
    putchar('"');
    for (size_t i = 0; i < len; i++)
        printf("%02x", bytes[i]);
    putchar('"');
}

static void put_field(void *opaque, const AcpiField *f)
{
    Fields *fields = opaque;
    fputs(fields->first ? "\n    {\"name\": " : ",\n    {\"name\": ", stdout);
    fields->first = false;
    put_string(f->name, strlen(f->name));
    printf(", \"offset\": %zu, \"size\": %zu, \"value\": ", f->offset, f->size);
    if (f->kind == ACPI_NUMBER && f->size <= 8)
        printf("%" PRIu64, f->number);
    else if (f->kind == ACPI_TEXT)
        put_string((const char *)f->bytes, f->size);
    else
        put_hex(f->bytes, f->size);
    putchar('}');
}

static bool put_table(const char *name, GBytes *bytes, bool smbios, bool first, GError **error)
{
    gsize len;
    const uint8_t *data = g_bytes_get_data(bytes, &len);
    Fields fields = {true};
    printf("%s\n  {\"table\": \"%s\", \"length\": %zu, \"fields\": [", first ? "" : ",", name, len);
    bool good = smbios ? smbios_parse(data, len, put_field, &fields, error)
                       : acpi_parse(data, len, put_field, &fields, error);
    fputs("\n  ]}", stdout);
    return good;
}

bool output_json(const Set *set, GError **error)
{
    bool good = true;
    putchar('[');
    for (guint i = 0; good && i < set->tables->len; i++) {
        const Table *t = &g_array_index(set->tables, Table, i);
        good = put_table(t->name, t->bytes, false, i == 0, error);
    }
    if (good && set->smbios.anchor) {
        g_autoptr(GBytes) dump = smbios_dump(&set->smbios);
        good = put_table("smbios", dump, true, false, error);
    }
    puts("\n]");
    return good;
}
