/* SPDX-License-Identifier: MIT */
/*
 * Source form: trees and values written as text, and values read from it. What a property's bytes mean is
 * not in the tree, so it is guessed as dtc guesses it: strings if they can be, else cells, else bytes.
 */
#include "fdt/refs_priv.h"

#include "base/bytes.h"
#include "base/error.h"

#include <errno.h>
#include <string.h>

/* ---- Writing --------------------------------------------------------------- */

/* Printable strings, each with its NUL, none but a lone one empty. */
static bool is_text(const uint8_t *data, size_t len)
{
    if (!len || data[len - 1])
        return false;
    for (size_t i = 0; i < len; i++) {
        bool empty = !data[i] && (i == 0 || !data[i - 1]);
        if (empty || (data[i] && !g_ascii_isprint(data[i])))
            return false;
    }
    return true;
}

static void put_strings(GString *s, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i += strlen((const char *)data + i) + 1) {
        g_string_append(s, i ? ", \"" : "\"");
        for (const uint8_t *p = data + i; *p; p++)
            g_string_append_printf(s, *p == '"' || *p == '\\' ? "\\%c" : "%c", *p);
        g_string_append_c(s, '"');
    }
}

char *fdt_refs_text(const Fdt *tree, const char *path, const char *name, const uint8_t *data,
                    size_t len, GHashTable *by_phandle)
{
    GString *s = g_string_new(NULL);
    if (is_text(data, len)) {
        put_strings(s, data, len);
        return g_string_free(s, FALSE);
    }
    bool cells = len % 4 == 0 && len;
    g_autofree bool *refs = cells && by_phandle
                                ? fdt_refs_find(tree, path, name, data, len / 4, by_phandle) : NULL;
    g_string_append_c(s, cells ? '<' : '[');
    for (size_t i = 0; i < len; i += cells ? 4 : 1) {
        const char *gap = i ? " " : "";
        const char *to = refs && refs[i / 4] ? g_hash_table_lookup(by_phandle,
                                                   GUINT_TO_POINTER(ld_be32(data + i))) : NULL;
        if (to)
            g_string_append_printf(s, "%s&{%s}", gap, to);
        else if (cells)
            g_string_append_printf(s, "%s%#x", gap, ld_be32(data + i));
        else
            g_string_append_printf(s, "%s%02x", gap, data[i]);
    }
    g_string_append_c(s, cells ? '>' : ']');
    return g_string_free(s, FALSE);
}

typedef struct {
    const Fdt *tree;
    GString *s;
    const char *path;
    int depth; /* of the node that is open */
} Writer;

static int depth_of(const char *path)
{
    int depth = 0;
    for (const char *p = path; *p; p++)
        depth += *p == '/';
    return path[1] ? depth : 0;
}

static void tabs(Writer *w, int n)
{
    while (n-- > 0)
        g_string_append_c(w->s, '\t');
}

static void close_to(Writer *w, int depth)
{
    for (; w->depth >= depth; w->depth--) {
        tabs(w, w->depth);
        g_string_append(w->s, "};\n");
    }
}

static void write_prop(void *opaque, const char *name, const void *data, size_t len)
{
    Writer *w = opaque;
    tabs(w, w->depth + 1);
    if (!len) {
        g_string_append_printf(w->s, "%s;\n", name);
        return;
    }
    g_autofree char *value = fdt_refs_text(w->tree, w->path, name, data, len, NULL);
    g_string_append_printf(w->s, "%s = %s;\n", name, value);
}

static bool write_node(void *opaque, const char *path)
{
    Writer *w = opaque;
    int depth = depth_of(path);
    close_to(w, depth);
    if (depth)
        g_string_append_c(w->s, '\n');
    tabs(w, depth);
    g_string_append_printf(w->s, "%s {\n", depth ? strrchr(path, '/') + 1 : "/");
    w->depth = depth;
    w->path = path;
    fdt_tree_each_prop(w->tree, path, write_prop, w);
    return true;
}

static void write_reserve(void *opaque, uint64_t addr, uint64_t size)
{
    g_string_append_printf(((Writer *)opaque)->s, "/memreserve/ %#" G_GINT64_MODIFIER "x %#"
                           G_GINT64_MODIFIER "x;\n", addr, size);
}

char *fdt_tree_dts(const Fdt *tree)
{
    Writer w = {.tree = tree, .s = g_string_new("/dts-v1/;\n"), .depth = -1};
    fdt_tree_each_reserve(tree, write_reserve, &w);
    g_string_append_c(w.s, '\n');
    fdt_tree_each(tree, write_node, &w);
    close_to(&w, 0);
    return g_string_free(w.s, FALSE);
}

/* ---- Reading values -------------------------------------------------------- */

typedef struct {
    Fdt *tree;
    const char *text, *p;
    GByteArray *out;
    unsigned bits; /* of an element between < and > */
} Reader;

static bool wrong(const Reader *r, const char *what, GError **error)
{
    return fail_usage(error, "'%s': %s at '%s'", r->text, what, *r->p ? r->p : "the end");
}

static void skip(Reader *r)
{
    while (g_ascii_isspace(*r->p))
        r->p++;
}

static void put(Reader *r, uint64_t value)
{
    uint8_t be[8];
    st_be64(be, value);
    g_byte_array_append(r->out, be + 8 - r->bits / 8, r->bits / 8);
}

/* "&{/path}": the phandle of a node, which is given one if it has none. */
static bool read_reference(Reader *r, GError **error)
{
    const char *end = r->p[1] == '{' ? strchr(r->p, '}') : NULL;
    if (!end || r->bits != 32)
        return wrong(r, end ? "a reference takes 32 bits" : "expected &{/path}", error);
    g_autofree char *path = g_strndup(r->p + 2, (gsize)(end - r->p - 2));
    if (!fdt_tree_has(r->tree, path))
        return fail_usage(error, "'%s': there is no node %s", r->text, path);
    uint32_t phandle = fdt_tree_get_phandle(r->tree, path);
    if (!phandle)
        fdt_tree_phandle_set(r->tree, path, phandle = fdt_tree_phandle_new(r->tree));
    put(r, phandle);
    r->p = end + 1;
    return true;
}

static bool read_number(Reader *r, GError **error)
{
    char *end;
    if (!g_ascii_isdigit(*r->p))
        return wrong(r, "expected a number", error);
    bool hex = r->p[0] == '0' && (r->p[1] == 'x' || r->p[1] == 'X');
    errno = 0;
    uint64_t value = g_ascii_strtoull(r->p, &end, hex ? 16 : 10);
    if (errno || (r->bits < 64 && value >> r->bits))
        return wrong(r, "the number does not fit", error);
    if (g_ascii_isalnum(*end))
        return wrong(r, "expected a number", error);
    put(r, value);
    r->p = end;
    return true;
}

static bool read_cells(Reader *r, GError **error)
{
    for (r->p++, skip(r); *r->p != '>'; skip(r))
        if (!(*r->p == '&' ? read_reference(r, error) : read_number(r, error)))
            return false;
    r->p++;
    return true;
}

static bool read_bytes(Reader *r, GError **error)
{
    for (r->p++, skip(r); *r->p != ']'; skip(r)) {
        if (!g_ascii_isxdigit(r->p[0]) || !g_ascii_isxdigit(r->p[1]))
            return wrong(r, "expected two hexadecimal digits or ]", error);
        uint8_t byte = (uint8_t)(g_ascii_xdigit_value(r->p[0]) << 4 |
                                 g_ascii_xdigit_value(r->p[1]));
        g_byte_array_append(r->out, &byte, 1);
        r->p += 2;
    }
    r->p++;
    return true;
}

static bool read_string(Reader *r, GError **error)
{
    for (r->p++; *r->p != '"'; r->p++) {
        if (*r->p == '\\' && (r->p[1] == '"' || r->p[1] == '\\'))
            r->p++;
        else if (*r->p == '\\')
            return wrong(r, "only \\\" and \\\\ are known", error);
        if (!*r->p)
            return wrong(r, "a string has no end", error);
        g_byte_array_append(r->out, (const uint8_t *)r->p, 1);
    }
    g_byte_array_append(r->out, (const uint8_t *)"", 1);
    r->p++;
    return true;
}

static bool read_part(Reader *r, GError **error)
{
    r->bits = 32;
    skip(r);
    if (g_str_has_prefix(r->p, "/bits/")) {
        char *end;
        r->p += strlen("/bits/");
        guint64 bits = g_ascii_strtoull(r->p, &end, 10);
        if (bits != 8 && bits != 16 && bits != 32 && bits != 64)
            return wrong(r, "expected 8, 16, 32 or 64 bits", error);
        r->bits = (unsigned)bits;
        r->p = end;
        skip(r);
        if (*r->p != '<')
            return wrong(r, "expected <", error);
    }
    switch (*r->p) {
    case '<':
        return read_cells(r, error);
    case '[':
        return read_bytes(r, error);
    case '"':
        return read_string(r, error);
    default:
        return wrong(r, "expected <cells>, [bytes] or \"text\"", error);
    }
}

static bool read_value(Reader *r, GError **error)
{
    for (;;) {
        if (!read_part(r, error))
            return false;
        skip(r);
        if (!*r->p)
            return true;
        if (*r->p != ',')
            return wrong(r, "expected a comma or the end", error);
        r->p++;
    }
}

static bool valid_name(const char *name)
{
    size_t len = strspn(name, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ,._+*#?-");
    return len && !name[len];
}

bool fdt_tree_set_text(Fdt *tree, const char *text, GError **error)
{
    const char *blank = strchr(text, ' ');
    if (text[0] != '/' || !blank)
        return fail_usage(error, "'%s': expected \"/path property=value\"", text);
    g_autofree char *path = g_strndup(text, (gsize)(blank - text));
    const char *from = blank + strspn(blank, " "), *equals = strchr(from, '=');
    g_autofree char *name = equals ? g_strndup(from, (gsize)(equals - from)) : g_strdup(from);
    g_strchomp(name);
    if (!valid_name(name))
        return fail_usage(error, "'%s': '%s' cannot be the name of a property", text, name);
    const char *slash = strrchr(path, '/');
    g_autofree char *above = g_strndup(path, slash == path ? 1 : (gsize)(slash - path));
    if (!fdt_tree_has(tree, path) && (!fdt_tree_has(tree, above) || !slash[1]))
        return fail_usage(error, "'%s': there is no node %s", text, slash[1] ? above : path);
    g_autoptr(GByteArray) out = g_byte_array_new();
    Reader r = {.tree = tree, .text = text, .p = equals ? equals + 1 : NULL, .out = out};
    if (equals && !read_value(&r, error))
        return false;
    fdt_tree_node(tree, path);
    fdt_tree_bytes(tree, path, name, out->data, out->len);
    return true;
}
