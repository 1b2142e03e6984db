/* SPDX-License-Identifier: MIT */
/*
 * What differs between two sets, one field a line: "TABLE: FIELD: OLD -> NEW". Addresses of tables
 * and checksums follow from the rest, and are left out unless nothing else differs.
 */
#include "acpigen.h"

#include "acpi/parse.h"

#include <inttypes.h>
#include <string.h>

typedef struct {
    GHashTable *values; /* name to text */
    GPtrArray *names;   /* in order */
    bool broken;
} Fields;

static char *value_text(const AcpiField *f)
{
    if (f->kind == ACPI_NUMBER && f->size <= 8)
        return g_strdup_printf("%#" PRIx64, f->number);
    if (f->kind == ACPI_TEXT) {
        g_autofree char *text = g_strndup((const char *)f->bytes, f->size);
        g_autofree char *escaped = g_strescape(text, NULL);
        return g_strdup_printf("\"%s\"", escaped);
    }
    GString *s = g_string_new(f->kind == ACPI_CODE ? "AML " : "");
    for (size_t i = 0; i < f->size; i++)
        g_string_append_printf(s, "%02x", f->bytes[i]);
    return g_string_free(s, FALSE);
}

static void take(void *opaque, const AcpiField *f)
{
    Fields *fields = opaque;
    g_autofree char *name = g_strdup(f->name);
    for (unsigned n = 2; g_hash_table_contains(fields->values, name); n++) {
        g_free(name);
        name = g_strdup_printf("%s (%u)", f->name, n);
    }
    g_ptr_array_add(fields->names, g_strdup(name));
    g_hash_table_insert(fields->values, g_steal_pointer(&name), value_text(f));
}

static Fields fields_of(const Table *t)
{
    Fields f = {g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
                g_ptr_array_new_with_free_func(g_free), false};
    gsize len;
    const uint8_t *data = g_bytes_get_data(t->bytes, &len);
    f.broken = !(strcmp(t->name, "smbios") ? acpi_parse(data, len, take, &f, NULL)
                                           : smbios_parse(data, len, take, &f, NULL));
    return f;
}

static void fields_clear(Fields *f)
{
    g_hash_table_unref(f->values);
    g_ptr_array_unref(f->names);
}

/* What follows from other things: where tables lie, sums, lengths. */
static bool follows(const char *table, const char *field)
{
    static const char *const always[] = {"Checksum", "Length", "Extended Checksum", "RSDT Address", "XSDT Address",
                                         "FIRMWARE_CTRL", "DSDT", "X_FIRMWARE_CTRL", "X_DSDT", NULL};
    return g_strv_contains(always, field) || ((!strcmp(table, "rsdt") || !strcmp(table, "xsdt")) &&
                                              g_str_has_prefix(field, "Entry "));
}

/* Long values are cut around the first place where they differ. */
static char *cut(const char *text, size_t from)
{
    enum { SHOWN = 48 };
    size_t len = strlen(text), start = from > SHOWN / 2 ? from - SHOWN / 2 : 0;
    if (len <= 2 * SHOWN)
        return g_strdup(text);
    return g_strdup_printf("%s%.*s%s", start ? "..." : "", SHOWN, text + start,
                           len > start + SHOWN ? "..." : "");
}

static void print_change(const char *table, const char *field, const char *a, const char *b)
{
    size_t same = 0;
    while (a && b && a[same] && a[same] == b[same])
        same++;
    g_autofree char *before = a ? cut(a, same) : g_strdup("(not there)");
    g_autofree char *after = b ? cut(b, same) : g_strdup("(not there)");
    printf("%s: %s: %s -> %s\n", table, field, before, after);
}

static unsigned diff_tables(const Table *a, const Table *b)
{
    Fields fa = fields_of(a), fb = fields_of(b);
    unsigned changes = 0, hidden = 0;
    for (guint i = 0; i < fa.names->len; i++) {
        const char *name = g_ptr_array_index(fa.names, i);
        const char *va = g_hash_table_lookup(fa.values, name),
                   *vb = g_hash_table_lookup(fb.values, name);
        if (vb && !strcmp(va, vb))
            continue;
        if (follows(a->name, name)) {
            hidden++;
            continue;
        }
        print_change(a->name, name, va, vb);
        changes++;
    }
    for (guint i = 0; i < fb.names->len; i++) {
        const char *name = g_ptr_array_index(fb.names, i);
        if (g_hash_table_contains(fa.values, name) || follows(b->name, name))
            continue;
        print_change(b->name, name, NULL, g_hash_table_lookup(fb.values, name));
        changes++;
    }
    if (!changes && !g_bytes_equal(a->bytes, b->bytes) && (!hidden || fa.broken || fb.broken)) {
        printf("%s: bytes differ that have no name\n", a->name);
        changes++;
    }
    fields_clear(&fa);
    fields_clear(&fb);
    return changes;
}

unsigned diff_sets(const Set *a, const Set *b)
{
    unsigned changes = 0;
    for (guint i = 0; i < a->tables->len; i++) {
        const Table *t = &g_array_index(a->tables, Table, i), *other = set_find(b, t->name);
        if (other) {
            changes += diff_tables(t, other);
        } else {
            printf("%s: only in the first\n", t->name);
            changes++;
        }
    }
    for (guint i = 0; i < b->tables->len; i++) {
        const Table *t = &g_array_index(b->tables, Table, i);
        if (!set_find(a, t->name)) {
            printf("%s: only in the second\n", t->name);
            changes++;
        }
    }
    return changes;
}
