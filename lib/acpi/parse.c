/* SPDX-License-Identifier: MIT */
/* The reader of static tables: walks the layouts of fields.c. */
#include "acpi/parse_priv.h"

#include "acpi/table.h"

#include "base/bytes.h"
#include "base/error.h"

#include <string.h>

void acpi_see(const AcpiReader *r, const char *name, AcpiFieldKind kind, size_t offset, size_t size)
{
    AcpiField f = {name, kind, offset, size, 0, r->data + offset};
    for (size_t i = kind == ACPI_NUMBER ? size : 0; i > 0; i--)
        f.number = f.number << 8 | f.bytes[i - 1];
    r->seen(r->opaque, &f);
}

static bool all_zero(const uint8_t *p, size_t len)
{
    while (len && !*p)
        p++, len--;
    return !len;
}

static void see_gas(const AcpiReader *r, const char *name, size_t at)
{
    static const struct {
        const char *name;
        uint8_t at, size;
    } parts[] = {{"space", 0, 1}, {"bit width", 1, 1}, {"bit offset", 2, 1}, {"access size", 3, 1},
                 {"address", 4, 8}};
    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
        g_autofree char *part = g_strdup_printf("%s %s", name, parts[i].name);
        acpi_see(r, part, ACPI_NUMBER, at + parts[i].at, parts[i].size);
    }
}

size_t acpi_see_fields(const AcpiReader *r, const char *prefix, const AcpiFieldDef *fields,
                       size_t at, size_t end)
{
    for (const AcpiFieldDef *f = fields; f && f->name && at < end; f++) {
        size_t size = f->size ? f->size : end - at;
        if (size > end - at)
            break;
        g_autofree char *name = prefix ? g_strdup_printf("%s: %s", prefix, f->name)
                                       : g_strdup(f->name);
        if (f->kind == 'g')
            see_gas(r, name, at);
        else if (f->kind == 'n')
            acpi_see(r, name, ACPI_NUMBER, at, size);
        else if (f->kind == 't')
            acpi_see(r, name, ACPI_TEXT, at, size);
        else if (f->kind == 'b' || !all_zero(r->data + at, size))
            acpi_see(r, name, ACPI_BYTES, at, size);
        at += size;
    }
    return at;
}

/* What has no name. */
static void see_rest(const AcpiReader *r, const char *prefix, size_t at, size_t end)
{
    g_autofree char *name = prefix ? g_strdup_printf("%s: other bytes", prefix)
                                   : g_strdup("other bytes");
    if (at < end)
        acpi_see(r, name, ACPI_BYTES, at, end - at);
}

/* ---- Structures within tables ------------------------------------------------------------- */

typedef struct {
    uint16_t type;
    size_t len, fields_at;
} Head;

static size_t sum_of(const AcpiFieldDef *fields)
{
    size_t sum = 0;
    for (; fields->name; fields++)
        sum += fields->size;
    return sum;
}

static bool head_read(const AcpiReader *r, const AcpiTableDef *def, size_t at, Head *h)
{
    static const uint8_t least[] = {[ACPI_STRUCT_8] = 2, [ACPI_STRUCT_16] = 4, [ACPI_STRUCT_HMAT] = 8,
                                    [ACPI_STRUCT_VIOT] = 4, [ACPI_STRUCT_IORT] = 3, [ACPI_STRUCT_FIXED] = 1};
    const uint8_t *p = r->data + at;
    if (r->len - at < least[def->head])
        return false;
    *h = (Head){.fields_at = least[def->head]};
    switch (def->head) {
    case ACPI_STRUCT_8: h->type = p[0], h->len = p[1]; break;
    case ACPI_STRUCT_16: h->type = ld_le16(p), h->len = ld_le16(p + 2); break;
    case ACPI_STRUCT_HMAT: h->type = ld_le16(p), h->len = ld_le32(p + 4); break;
    case ACPI_STRUCT_VIOT: h->type = p[0], h->len = ld_le16(p + 2); break;
    case ACPI_STRUCT_IORT: h->type = p[0], h->len = ld_le16(p + 1); break;
    case ACPI_STRUCT_FIXED: h->len = sum_of(def->structs->fields), h->fields_at = 0; break;
    }
    return h->len >= least[def->head] && h->len <= r->len - at;
}

static const AcpiStructDef *struct_find(const AcpiStructDef *defs, uint16_t type)
{
    for (; defs->name; defs++)
        if (defs->type == type)
            return defs;
    return NULL;
}

static void see_head(const AcpiReader *r, AcpiStructHead head, const char *name, size_t at)
{
    static const struct {
        uint8_t type_size, len_at, len_size;
    } heads[] = {[ACPI_STRUCT_8] = {1, 1, 1}, [ACPI_STRUCT_16] = {2, 2, 2}, [ACPI_STRUCT_HMAT] = {2, 4, 4},
                 [ACPI_STRUCT_VIOT] = {1, 2, 2}, [ACPI_STRUCT_IORT] = {1, 1, 2}, [ACPI_STRUCT_FIXED] = {0, 0, 0}};
    g_autofree char *type = g_strdup_printf("%s: Type", name), *len = g_strdup_printf("%s: Length", name);
    if (!heads[head].type_size)
        return;
    acpi_see(r, type, ACPI_NUMBER, at, heads[head].type_size);
    acpi_see(r, len, ACPI_NUMBER, at + heads[head].len_at, heads[head].len_size);
}

/* How many of that type came before: a number in the name tells them apart. */
static unsigned count_of(GArray *counts, uint16_t type)
{
    for (guint i = 0; i + 1 < counts->len; i += 2)
        if (g_array_index(counts, unsigned, i) == type)
            return g_array_index(counts, unsigned, i + 1)++;
    const unsigned fresh[2] = {type, 1};
    g_array_append_vals(counts, fresh, 2);
    return 0;
}

static void see_structs(const AcpiReader *r, const AcpiTableDef *def, size_t at)
{
    g_autoptr(GArray) counts = g_array_new(FALSE, FALSE, sizeof(unsigned));
    Head h;
    while (at < r->len && head_read(r, def, at, &h)) {
        const AcpiStructDef *s = struct_find(def->structs, h.type);
        unsigned n = count_of(counts, h.type);
        g_autofree char *name = s ? g_strdup_printf("%s %u", s->name, n)
                                  : g_strdup_printf("type %u %u", h.type, n);
        see_head(r, def->head, name, at);
        size_t end = acpi_see_fields(r, name, s ? s->fields : NULL, at + h.fields_at, at + h.len);
        see_rest(r, name, end, at + h.len);
        at += h.len;
    }
    see_rest(r, NULL, at, r->len);
}

/* ---- Tables ---------------------------------------------------------------------------------- */

bool acpi_parse(const uint8_t *data, size_t len, AcpiFieldSeen seen, void *opaque, GError **error)
{
    const AcpiReader r = {data, len, seen, opaque};
    if (len >= 20 && !memcmp(data, "RSD PTR ", 8)) {
        see_rest(&r, NULL, acpi_see_fields(&r, NULL, acpi_rsdp_def, 0, len), len);
        return true;
    }
    if (len < 8 || ld_le32(data + 4) != len)
        return fail(error, "%zu bytes are not a table: its length is another", len);
    if (!memcmp(data, "FACS", 4)) {
        see_rest(&r, NULL, acpi_see_fields(&r, NULL, acpi_facs_def, 0, len), len);
        return true;
    }
    if (len < ACPI_HEADER)
        return fail(error, "%zu bytes are shorter than a table's header", len);
    acpi_see_fields(&r, NULL, acpi_header_def, 0, ACPI_HEADER);
    if (!memcmp(data, "DSDT", 4) || !memcmp(data, "SSDT", 4)) {
        acpi_see_aml(&r, ACPI_HEADER);
        return true;
    }
    const AcpiTableDef *def = acpi_table_def(data);
    size_t at = acpi_see_fields(&r, NULL, def ? def->fields : NULL, ACPI_HEADER, len);
    if (def && def->structs)
        see_structs(&r, def, at);
    else
        see_rest(&r, NULL, at, len);
    return true;
}
