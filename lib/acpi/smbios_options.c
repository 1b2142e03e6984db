/* SPDX-License-Identifier: MIT */
/* The grammar of -smbios: a table of types and their fields, and files. */
#include "acpi/smbios_priv.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/option.h"
#include "base/size.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { FILE_LIMIT = 65535 };

typedef enum { TEXT, BOOL, NUMBER, UUID, RELEASE, KIND, LIST, PATH } FieldKind;

typedef struct {
    const char *name;
    FieldKind kind;
    uint64_t max; /* of numbers */
    const char *too_large;
} Field;

typedef struct {
    unsigned type;
    bool several; /* each option is a structure of its own; else fields add up */
    const Field *fields;
} Type;

#define SPEED_TOO_LARGE "SMBIOS CPU speed is too large (> 65535)"

#define FIELD(name, kind) {name, kind, 0, NULL}
#define STRING(name) FIELD(name, TEXT)
#define UPTO(name, max) {name, NUMBER, max, NULL}
#define END FIELD(NULL, TEXT)

static const Field bios[] = {STRING("vendor"), STRING("version"), STRING("date"),
                             FIELD("release", RELEASE), FIELD("uefi", BOOL), END};
static const Field computer[] = {STRING("manufacturer"), STRING("product"), STRING("version"),
                                 STRING("serial"), FIELD("uuid", UUID), STRING("sku"),
                                 STRING("family"), END};
static const Field board[] = {STRING("manufacturer"), STRING("product"), STRING("version"),
                              STRING("serial"), STRING("asset"), STRING("location"), END};
static const Field chassis[] = {STRING("manufacturer"), STRING("version"), STRING("serial"),
                                STRING("asset"), STRING("sku"), END};
static const Field processor[] = {
    STRING("sock_pfx"), STRING("manufacturer"), STRING("version"), STRING("serial"), STRING("asset"),
    STRING("part"), {"max-speed", NUMBER, 65535, SPEED_TOO_LARGE},
    {"current-speed", NUMBER, 65535, SPEED_TOO_LARGE}, UPTO("processor-id", UINT64_MAX), END};
static const Field port[] = {STRING("internal_reference"), STRING("external_reference"),
                             UPTO("connector_type", 255), UPTO("port_type", 255), END};
static const Field slot[] = {
    STRING("slot_designation"), UPTO("slot_type", 255), UPTO("slot_data_bus_width", 255),
    UPTO("current_usage", 255), UPTO("slot_length", 255), UPTO("slot_id", 65535),
    UPTO("slot_characteristics1", 255), UPTO("slot_characteristics2", 255), STRING("pcidev"),
    STRING("pci_device"), END};
static const Field oem_strings[] = {FIELD("value", LIST), FIELD("path", PATH), END};
static const Field memory[] = {STRING("loc_pfx"), STRING("bank"), STRING("manufacturer"),
                               STRING("serial"), STRING("asset"), STRING("part"),
                               UPTO("speed", 65535), END};
static const Field onboard[] = {STRING("designation"), FIELD("kind", KIND), UPTO("instance", 255),
                                STRING("pcidev"), END};

static const Type types[SMBIOS_KINDS] = {
    [SMBIOS_T0] = {0, false, bios},       [SMBIOS_T1] = {1, false, computer},
    [SMBIOS_T2] = {2, false, board},      [SMBIOS_T3] = {3, false, chassis},
    [SMBIOS_T4] = {4, false, processor},  [SMBIOS_T8] = {8, true, port},
    [SMBIOS_T9] = {9, true, slot},        [SMBIOS_T11] = {11, false, oem_strings},
    [SMBIOS_T17] = {17, false, memory},   [SMBIOS_T41] = {41, true, onboard},
};

/* Kinds of onboard devices, by their number (7.42.1). */
static const char *const onboard_kinds[] = {"", "other", "unknown", "video", "scsi", "ethernet",
                                            "tokenring", "sound", "pata", "sata", "sas", NULL};

static void user_free(gpointer opaque)
{
    SmbiosUser *u = opaque;
    g_hash_table_unref(u->fields);
    g_free(u);
}

SmbiosOptions *smbios_options_new(SmbiosRead read, void *opaque)
{
    SmbiosOptions *o = g_new0(SmbiosOptions, 1);
    o->read = read;
    o->opaque = opaque;
    o->several = g_ptr_array_new_with_free_func(user_free);
    o->strings = g_ptr_array_new_with_free_func(g_free);
    o->blobs = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    return o;
}

void smbios_options_free(SmbiosOptions *o)
{
    if (!o)
        return;
    for (int i = 0; i < SMBIOS_KINDS; i++)
        g_clear_pointer(&o->merged[i], g_hash_table_unref);
    g_ptr_array_unref(o->several);
    g_ptr_array_unref(o->strings);
    g_ptr_array_unref(o->blobs);
    g_free(o);
}

const char *smbios_field(const SmbiosOptions *o, int kind, const char *name)
{
    return o && o->merged[kind] ? g_hash_table_lookup(o->merged[kind], name) : NULL;
}

static uint64_t number_or(const char *text, uint64_t def)
{
    uint64_t value;
    return text && number_parse(text, &value, NULL) ? value : def;
}

uint64_t smbios_number(const SmbiosOptions *o, int kind, const char *name, uint64_t def)
{
    return number_or(smbios_field(o, kind, name), def);
}

uint64_t smbios_user_number(const SmbiosUser *u, const char *name, uint64_t def)
{
    return number_or(g_hash_table_lookup(u->fields, name), def);
}

/* ---- type= ------------------------------------------------------------------------------- */

static bool check_release(const char *text)
{
    unsigned major, minor;
    char rest;
    return sscanf(text, "%3u.%3u%c", &major, &minor, &rest) == 2 && major < 256 && minor < 256;
}

/* A field's value, checked, as it is kept: kinds become their number. */
static char *field_value(const Field *f, const char *text, GError **error)
{
    uint64_t number;
    switch (f->kind) {
    case NUMBER:
        if (!number_parse(text, &number, NULL)) {
            fail_usage(error, "Parameter '%s' expects a number", f->name);
            return NULL;
        }
        if (number > f->max) {
            if (f->too_large)
                fail_usage(error, "%s", f->too_large);
            else
                fail_usage(error, "Parameter '%s' is too large (> %" PRIu64 ")", f->name, f->max);
            return NULL;
        }
        break;
    case BOOL:
        if (strcmp(text, "on") && strcmp(text, "off") && strcmp(text, "yes") &&
            strcmp(text, "no") && strcmp(text, "true") && strcmp(text, "false")) {
            fail_usage(error, "Parameter '%s' expects 'on' or 'off'", f->name);
            return NULL;
        }
        return g_strdup(*text == 'y' || *text == 't' || !strcmp(text, "on") ? "on" : "off");
    case UUID:
        if (!g_uuid_string_is_valid(text)) {
            fail_usage(error, "Invalid UUID");
            return NULL;
        }
        break;
    case RELEASE:
        if (!check_release(text)) {
            fail_usage(error, "Invalid release");
            return NULL;
        }
        break;
    case KIND:
        for (unsigned i = 1; onboard_kinds[i]; i++)
            if (!strcmp(text, onboard_kinds[i]))
                return g_strdup_printf("%u", i);
        fail_usage(error, "invalid parameter value: %s", text);
        return NULL;
    default:
        break;
    }
    return g_strdup(text);
}

static const Field *field_find(const Type *type, const char *name)
{
    for (const Field *f = type->fields; f->name; f++)
        if (!strcmp(f->name, name))
            return f;
    return NULL;
}

/* An OEM string, of the text or of a file's contents. */
static bool add_string(SmbiosOptions *o, const Field *f, const char *value, GError **error)
{
    if (f->kind == LIST) {
        g_ptr_array_add(o->strings, g_strdup(value));
        return true;
    }
    g_autoptr(GBytes) bytes = o->read(o->opaque, value, error);
    gsize len;
    const char *data = bytes ? g_bytes_get_data(bytes, &len) : NULL;
    if (!bytes)
        return false;
    if (memchr(data, 0, len))
        return fail_usage(error, "NUL in OEM strings value in '%s'", value);
    g_ptr_array_add(o->strings, g_strndup(data, len));
    return true;
}

static bool add_fields(SmbiosOptions *o, int kind, Options *options, GHashTable *into,
                       GError **error)
{
    const char *key, *value;
    for (unsigned i = 0; options_item(options, i, &key, &value); i++) {
        if (!strcmp(key, "type"))
            continue;
        const Field *f = field_find(&types[kind], key);
        if (!f)
            return fail_usage(error, "Invalid parameter '%s'", key);
        if (f->kind == LIST || f->kind == PATH) {
            if (!add_string(o, f, value, error))
                return false;
            continue;
        }
        char *kept = field_value(f, value, error);
        if (!kept)
            return false;
        g_hash_table_replace(into, g_strdup(key), kept);
    }
    return true;
}

static int kind_of(unsigned type)
{
    for (int i = 0; i < SMBIOS_KINDS; i++)
        if (types[i].type == type)
            return i;
    return -1;
}

static bool add_type(SmbiosOptions *o, Options *options, GError **error)
{
    uint64_t type;
    if (!number_parse(options_get(options, "type"), &type, NULL))
        return fail_usage(error, "Parameter 'type' expects a number");
    if (type > 127)
        return fail_usage(error, "out of range!");
    if (o->replaced[type])
        return fail_usage(error, "can't add fields, binary file already loaded!");
    int kind = kind_of((unsigned)type);
    if (kind < 0)
        return fail_usage(error, "Don't know how to build fields for SMBIOS type %u",
                          (unsigned)type);
    if (types[kind].several) {
        SmbiosUser *u = g_new0(SmbiosUser, 1);
        u->kind = kind;
        u->fields = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        g_ptr_array_add(o->several, u);
        return add_fields(o, kind, options, u->fields, error);
    }
    if (!o->merged[kind])
        o->merged[kind] = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return add_fields(o, kind, options, o->merged[kind], error);
}

/* ---- file= ---------------------------------------------------------------------------------- */

/* The length of the structure with its strings, or 0. */
static size_t structure_len(const uint8_t *p, size_t len)
{
    if (len < 4 || p[1] < 4 || p[1] + 2u > len)
        return 0;
    size_t at = p[1];
    if (p[at] == 0 && p[at + 1] == 0)
        return at + 2;
    while (at + 1 < len && (p[at] || p[at + 1]))
        at++;
    return at + 1 < len ? at + 2 : 0;
}

static bool add_file(SmbiosOptions *o, Options *options, GError **error)
{
    const char *key, *value, *name = options_get(options, "file");
    for (unsigned i = 0; options_item(options, i, &key, &value); i++)
        if (strcmp(key, "file"))
            return fail_usage(error, "Invalid parameter '%s'", key);
    GBytes *bytes = o->read(o->opaque, name, NULL);
    gsize len = 0;
    const uint8_t *data = bytes ? g_bytes_get_data(bytes, &len) : NULL;
    if (!bytes || len < 4) {
        g_clear_pointer(&bytes, g_bytes_unref);
        return fail(error, "Cannot read SMBIOS file %s", name);
    }
    g_ptr_array_add(o->blobs, bytes);
    if (len > FILE_LIMIT)
        return fail_usage(error, "%s: %zu bytes are too large for a structure (at most %d)", name,
                          len, FILE_LIMIT);
    if (structure_len(data, len) != len)
        return fail_usage(error, "%s: its %zu bytes are not one SMBIOS structure with its strings",
                          name, len);
    int kind = data[0] < 128 ? kind_of(data[0]) : -1;
    if (kind >= 0 && (o->merged[kind] || (data[0] == 11 && o->strings->len)))
        return fail_usage(error, "can't load type %u struct, fields already specified!", data[0]);
    if (data[0] < 128)
        o->replaced[data[0]] = true;
    return true;
}

bool smbios_options_add(SmbiosOptions *o, const char *text, GError **error)
{
    g_autoptr(Options) options = options_parse(text, NULL, error);
    if (!options)
        return prefix(error, "-smbios %s", text);
    bool good = options_has(options, "file")   ? add_file(o, options, error)
                : options_has(options, "type") ? add_type(o, options, error)
                                               : fail_usage(error, "Must specify type= or file=");
    return good || prefix(error, "-smbios %s", text);
}

char *smbios_options_help(void)
{
    GString *s = g_string_new("");
    for (int i = 0; i < SMBIOS_KINDS; i++) {
        g_string_append_printf(s, "type=%u", types[i].type);
        for (const Field *f = types[i].fields; f->name; f++)
            g_string_append_printf(s, ",%s=", f->name);
        g_string_append_c(s, '\n');
    }
    g_string_append(s, "file=NAME\n");
    return g_string_free(s, FALSE);
}
