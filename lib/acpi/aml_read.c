/* SPDX-License-Identifier: MIT */
/*
 * Reading the objects of a DSDT or SSDT: scopes and devices are entered, names with their values
 * and methods with their bodies are told. Code at the outside of methods is not followed: from
 * there on the scope is told as bytes.
 */
#include "acpi/parse_priv.h"

#include <string.h>

enum { DEPTH_MAX = 32, PATH_MAX_LEN = 512 };

typedef struct {
    const AcpiReader *r;
    size_t at, end;
    GString *scope; /* "\\_SB.PCI0"; "\\" is the root */
} Aml;

static bool byte_at(const Aml *a, uint8_t *out)
{
    if (a->at >= a->end)
        return false;
    *out = a->r->data[a->at];
    return true;
}

/* Enters a package: *body_end is where it ends. */
static bool package_length(Aml *a, size_t *body_end)
{
    const uint8_t *p = a->r->data + a->at;
    size_t left = a->end - a->at, start = a->at;
    if (!left)
        return false;
    unsigned more = p[0] >> 6;
    if (left < 1 + more)
        return false;
    size_t len = more ? p[0] & 15 : p[0] & 63;
    for (unsigned i = 0; i < more; i++)
        len |= (size_t)p[1 + i] << (8 * i + 4);
    a->at += 1 + more;
    if (len < 1 + more || len > left)
        return false;
    *body_end = start + len;
    return true;
}

static bool segment_good(const uint8_t *p)
{
    for (unsigned i = 0; i < 4; i++)
        if (p[i] != '_' && !g_ascii_isupper(p[i]) && !(i && g_ascii_isdigit(p[i])))
            return false;
    return true;
}

/* A name, relative to the scope: the whole path, or NULL. */
static char *name(Aml *a)
{
    g_autoptr(GString) path = g_string_new(a->scope->str);
    uint8_t c;
    if (byte_at(a, &c) && c == '\\') {
        g_string_assign(path, "\\");
        a->at++;
    }
    while (byte_at(a, &c) && c == '^') {
        char *dot = strrchr(path->str, '.');
        g_string_truncate(path, dot ? (gsize)(dot - path->str) : 1);
        a->at++;
    }
    unsigned count = 1;
    if (!byte_at(a, &c))
        return NULL;
    if (c == 0) {
        a->at++;
        return g_strdup(path->str);
    }
    if (c == 0x2e) {
        count = 2;
        a->at++;
    } else if (c == 0x2f) {
        a->at++;
        if (!byte_at(a, &c))
            return NULL;
        count = c;
        a->at++;
    }
    for (unsigned i = 0; i < count; i++, a->at += 4) {
        if (a->end - a->at < 4 || !segment_good(a->r->data + a->at) || path->len > PATH_MAX_LEN)
            return NULL;
        if (path->len > 1)
            g_string_append_c(path, '.');
        g_string_append_len(path, (const char *)a->r->data + a->at, 4);
    }
    return g_strdup(path->str);
}

/* The length of an object that is data, or 0. */
static size_t data_length(const Aml *a)
{
    static const uint8_t number_sizes[] = {[0x0a] = 2, [0x0b] = 3, [0x0c] = 5, [0x0e] = 9};
    size_t left = a->end - a->at;
    const uint8_t *p = a->r->data + a->at;
    Aml inner = *a;
    size_t end;
    if (!left)
        return 0;
    if (p[0] == 0 || p[0] == 1 || p[0] == 0xff)
        return 1;
    if (p[0] == 0x0d) {
        const uint8_t *nul = memchr(p, 0, left);
        return nul ? (size_t)(nul - p) + 1 : 0;
    }
    if (p[0] < sizeof number_sizes && number_sizes[p[0]])
        return number_sizes[p[0]] <= left ? number_sizes[p[0]] : 0;
    if (p[0] == 0x11 || p[0] == 0x12 || p[0] == 0x13) {
        inner.at++;
        return package_length(&inner, &end) ? end - a->at : 0;
    }
    return 0;
}

static void see_value(const Aml *a, const char *path, size_t len)
{
    const uint8_t *p = a->r->data + a->at;
    if (p[0] == 0 || p[0] == 1 || p[0] == 0xff)
        acpi_see(a->r, path, ACPI_NUMBER, a->at, 1);
    else if (p[0] == 0x0d)
        acpi_see(a->r, path, ACPI_TEXT, a->at + 1, len - 2);
    else if (p[0] < 0x0f)
        acpi_see(a->r, path, ACPI_NUMBER, a->at + 1, len - 1);
    else
        acpi_see(a->r, path, p[0] == 0x11 ? ACPI_BYTES : ACPI_CODE, a->at, len);
}

static bool objects(Aml *a, unsigned depth);

/* A scope or device; skip: bytes behind the name. */
static bool enter(Aml *a, unsigned skip, unsigned depth)
{
    size_t body_end, end = a->end;
    if (!package_length(a, &body_end))
        return false;
    a->end = body_end;
    g_autofree char *path = name(a);
    bool good = path && a->end - a->at >= skip;
    if (good) {
        g_autofree char *outer = g_strdup(a->scope->str);
        a->at += skip;
        g_string_assign(a->scope, path);
        good = objects(a, depth + 1);
        g_string_assign(a->scope, outer);
    }
    a->at = body_end;
    a->end = end;
    return good;
}

static bool see_method(Aml *a)
{
    size_t body_end, end = a->end;
    if (!package_length(a, &body_end))
        return false;
    a->end = body_end;
    g_autofree char *path = name(a);
    if (path && a->at < body_end)
        acpi_see(a->r, path, ACPI_CODE, a->at, body_end - a->at);
    a->at = body_end;
    a->end = end;
    return path != NULL;
}

static bool see_name(Aml *a)
{
    g_autofree char *path = name(a);
    size_t len = path ? data_length(a) : 0;
    if (!len)
        return false;
    see_value(a, path, len);
    a->at += len;
    return true;
}

/* A region's offset and length are data, or a name. */
static bool see_region(Aml *a)
{
    g_autofree char *path = name(a);
    size_t start = a->at++;
    for (unsigned i = 0; path && i < 2; i++) {
        if (a->at > a->end)
            return false;
        size_t len = data_length(a);
        g_autofree char *other = len ? NULL : name(a);
        if (!len && !other)
            return false;
        a->at += len;
    }
    if (!path)
        return false;
    acpi_see(a->r, path, ACPI_CODE, start, a->at - start);
    return true;
}

static bool see_field(Aml *a)
{
    size_t start = a->at, body_end;
    if (!package_length(a, &body_end))
        return false;
    g_autofree char *path = g_strdup_printf("%s field list", a->scope->str);
    acpi_see(a->r, path, ACPI_CODE, start, body_end - start);
    a->at = body_end;
    return true;
}

static bool see_mutex(Aml *a)
{
    g_autofree char *path = name(a);
    if (!path || a->at >= a->end)
        return false;
    acpi_see(a->r, path, ACPI_NUMBER, a->at, 1);
    a->at++;
    return true;
}

static bool extended(Aml *a, unsigned depth)
{
    uint8_t op;
    if (!byte_at(a, &op))
        return false;
    a->at++;
    switch (op) {
    case 0x01: return see_mutex(a);
    case 0x80: return see_region(a);
    case 0x81: return see_field(a);
    case 0x82: return enter(a, 0, depth);
    case 0x83: return enter(a, 6, depth);
    default: return false;
    }
}

static bool object(Aml *a, unsigned depth)
{
    uint8_t op;
    if (!byte_at(a, &op))
        return false;
    a->at++;
    switch (op) {
    case 0x08: return see_name(a);
    case 0x10: return enter(a, 0, depth);
    case 0x14: return see_method(a);
    case 0x5b: return extended(a, depth);
    default: return false;
    }
}

static bool objects(Aml *a, unsigned depth)
{
    while (a->at < a->end) {
        size_t start = a->at;
        if (depth <= DEPTH_MAX && object(a, depth))
            continue;
        g_autofree char *path = g_strdup_printf("%s other code", a->scope->str);
        acpi_see(a->r, path, ACPI_CODE, start, a->end - start);
        a->at = a->end;
    }
    return true;
}

void acpi_see_aml(const AcpiReader *r, size_t at)
{
    g_autoptr(GString) scope = g_string_new("\\");
    Aml a = {r, at, r->len, scope};
    objects(&a, 0);
}
