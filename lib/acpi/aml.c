/* SPDX-License-Identifier: MIT */
/* The stream, names, numbers and what has a body. Encodings: ACPI 6.4 20.2. */
#include "acpi/aml_priv.h"

#include "base/bytes.h"
#include "base/error.h"

#include <string.h>

enum {
    OP_NAME = 0x08, OP_BYTE = 0x0a, OP_WORD = 0x0b, OP_DWORD = 0x0c, OP_STRING = 0x0d,
    OP_QWORD = 0x0e, OP_SCOPE = 0x10, OP_BUFFER = 0x11, OP_PACKAGE = 0x12, OP_METHOD = 0x14,
    OP_EXT = 0x5b, EXT_DEVICE = 0x82,
    DUAL_NAME = 0x2e, MULTI_NAME = 0x2f, END_TAG = 0x79,
};

/* ---- The stream --------------------------------------------------------------- */

Aml *aml_new(void)
{
    Aml *a = g_new0(Aml, 1);
    a->out = g_byte_array_new();
    a->open = g_array_new(FALSE, FALSE, sizeof(AmlOpen));
    return a;
}

void aml_free(Aml *a)
{
    if (!a)
        return;
    g_byte_array_unref(a->out);
    g_array_unref(a->open);
    g_free(a->mistake);
    g_free(a);
}

GBytes *aml_finish(Aml *a, GError **error)
{
    GBytes *bytes = NULL;
    if (a->open->len)
        aml_mistake(a, "%u bodies are still open", a->open->len);
    if (a->mistake)
        fail(error, "AML: %s", a->mistake);
    else
        bytes = g_byte_array_free_to_bytes(g_steal_pointer(&a->out));
    if (!a->out)
        a->out = g_byte_array_new();
    aml_free(a);
    return bytes;
}

size_t aml_size(const Aml *a)
{
    return a->out->len;
}

void aml_mistake(Aml *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (!a->mistake)
        a->mistake = g_strdup_vprintf(fmt, ap);
    va_end(ap);
}

void aml_op(Aml *a, uint8_t op)
{
    g_byte_array_append(a->out, &op, 1);
}

void aml_ext(Aml *a, uint8_t op)
{
    aml_op(a, OP_EXT);
    aml_op(a, op);
}

void aml_bytes(Aml *a, const void *data, size_t len)
{
    g_byte_array_append(a->out, data, (guint)len);
}

void aml_insert(Aml *a, guint at, const void *data, guint len)
{
    guint tail = a->out->len - at;
    g_byte_array_set_size(a->out, a->out->len + len);
    memmove(a->out->data + at + len, a->out->data + at, tail);
    memcpy(a->out->data + at, data, len);
}

/* ---- Lengths, numbers, names ------------------------------------------------------ */

unsigned aml_length(uint8_t out[4], size_t len, bool own)
{
    for (unsigned n = 1; n <= 4; n++) {
        size_t value = own ? len + n : len;
        if (n == 1 && value < 0x40) {
            out[0] = (uint8_t)value;
            return 1;
        }
        if (n > 1 && value < (size_t)1 << (8 * n - 4)) {
            out[0] = (uint8_t)((n - 1) << 6 | (value & 15));
            for (unsigned i = 1; i < n; i++)
                out[i] = (uint8_t)(value >> (8 * i - 4));
            return n;
        }
    }
    return 0;
}

unsigned aml_number(uint8_t out[9], uint64_t value)
{
    if (value <= 1) {
        out[0] = (uint8_t)value;
        return 1;
    }
    unsigned n = value <= UINT8_MAX ? 1 : value <= UINT16_MAX ? 2 : value <= UINT32_MAX ? 4 : 8;
    out[0] = n == 1 ? OP_BYTE : n == 2 ? OP_WORD : n == 4 ? OP_DWORD : OP_QWORD;
    for (unsigned i = 0; i < n; i++)
        out[1 + i] = (uint8_t)(value >> (8 * i));
    return 1 + n;
}

void aml_int(Aml *a, uint64_t value)
{
    uint8_t out[9];
    aml_bytes(a, out, aml_number(out, value));
}

void aml_string(Aml *a, const char *text)
{
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p > 0x7f)
            aml_mistake(a, "'%s' is not ASCII", text);
    aml_op(a, OP_STRING);
    aml_bytes(a, text, strlen(text) + 1);
}

/* One segment, padded; its length, 0 when it is none. */
static size_t segment(const char *text, size_t len, uint8_t out[4])
{
    size_t n = 0;
    while (n < len &&
           (text[n] == '_' || g_ascii_isupper(text[n]) || (n && g_ascii_isdigit(text[n]))))
        n++;
    if (n < 1 || n > 4 || (n < len && text[n] != '.'))
        return 0;
    memset(out, '_', 4);
    memcpy(out, text, n);
    return n;
}

void aml_path(Aml *a, const char *text, size_t len)
{
    const char *p = text, *end = text + len;
    g_autoptr(GByteArray) segments = g_byte_array_new();
    if (p < end && *p == '\\') {
        aml_op(a, (uint8_t)*p++);
    } else {
        while (p < end && *p == '^')
            aml_op(a, (uint8_t)*p++);
    }
    bool prefixed = p > text;
    while (p < end) {
        uint8_t seg[4];
        size_t n = segment(p, (size_t)(end - p), seg);
        if (!n || (p + n < end && p + n + 1 == end)) {
            aml_mistake(a, "'%.*s' is not a name", (int)len, text);
            return;
        }
        g_byte_array_append(segments, seg, 4);
        p += n + (p + n < end);
    }
    guint count = segments->len / 4;
    if (count == 0) {
        if (!prefixed)
            aml_mistake(a, "a name is missing");
        aml_op(a, 0);
    } else if (count == 2) {
        aml_op(a, DUAL_NAME);
    } else if (count > 2) {
        aml_op(a, MULTI_NAME);
        aml_op(a, (uint8_t)count);
        if (count > 255)
            aml_mistake(a, "'%.*s' has too many parts", (int)len, text);
    }
    aml_bytes(a, segments->data, segments->len);
}

void aml_ref(Aml *a, const char *name)
{
    aml_path(a, name, strlen(name));
}

/* Three letters of five bits, four hexadecimal digits; the bytes stand in the other order
 * (ACPI 19.6.35). */
uint32_t aml_eisa_number(Aml *a, const char *id)
{
    uint32_t value = 0;
    bool good = strlen(id) == 7;
    for (unsigned i = 0; good && i < 3; i++) {
        good = g_ascii_isupper(id[i]);
        value = value << 5 | (uint32_t)(id[i] - '@');
    }
    for (unsigned i = 3; good && i < 7; i++) {
        good = g_ascii_isxdigit(id[i]);
        value = value << 4 | (uint32_t)g_ascii_xdigit_value(id[i]);
    }
    if (!good)
        aml_mistake(a, "'%s' is not an EISA identifier", id);
    return GUINT32_SWAP_LE_BE(value);
}

/* Always a double word, even where fewer bytes would do. */
void aml_eisaid(Aml *a, const char *id)
{
    uint8_t out[5] = {OP_DWORD};
    st_le32(out + 1, aml_eisa_number(a, id));
    aml_bytes(a, out, sizeof out);
}

bool aml_uuid(const char *text, uint8_t out[16])
{
    static const uint8_t order[] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    const char *p = text;
    for (unsigned i = 0; i < 16; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && *p++ != '-')
            return false;
        if (!g_ascii_isxdigit(p[0]) || !g_ascii_isxdigit(p[1]))
            return false;
        out[order[i]] = (uint8_t)(g_ascii_xdigit_value(p[0]) << 4 | g_ascii_xdigit_value(p[1]));
        p += 2;
    }
    return *p == '\0';
}

/* ---- Bodies ----------------------------------------------------------------------- */

void aml_open(Aml *a, AmlOpenKind kind)
{
    AmlOpen open = {a->out->len, kind};
    g_array_append_val(a->open, open);
}

void aml_end(Aml *a)
{
    if (!a->open->len) {
        aml_mistake(a, "nothing is open");
        return;
    }
    AmlOpen open = g_array_index(a->open, AmlOpen, a->open->len - 1);
    g_array_set_size(a->open, a->open->len - 1);
    if (open.kind == AML_OPEN_TEMPLATE) {
        aml_op(a, END_TAG);
        aml_op(a, 0); /* a checksum of 0 counts as good */
    }
    if (open.kind != AML_OPEN_PACKAGE) {
        uint8_t size[9];
        aml_insert(a, open.at, size, aml_number(size, a->out->len - open.at));
    }
    uint8_t len[4];
    unsigned n = aml_length(len, a->out->len - open.at, true);
    if (!n)
        aml_mistake(a, "a body is larger than 256 MiB");
    aml_insert(a, open.at, len, n);
}

void aml_scope(Aml *a, const char *name)
{
    aml_op(a, OP_SCOPE);
    aml_open(a, AML_OPEN_PACKAGE);
    aml_ref(a, name);
}

void aml_device(Aml *a, const char *name)
{
    aml_ext(a, EXT_DEVICE);
    aml_open(a, AML_OPEN_PACKAGE);
    aml_ref(a, name);
}

void aml_method(Aml *a, const char *name, unsigned args, bool serialized)
{
    if (args > 7)
        aml_mistake(a, "%s has more than 7 arguments", name);
    aml_op(a, OP_METHOD);
    aml_open(a, AML_OPEN_PACKAGE);
    aml_ref(a, name);
    aml_op(a, (uint8_t)(args | (serialized ? 8 : 0)));
}

void aml_package(Aml *a, unsigned count)
{
    if (count > 255)
        aml_mistake(a, "a package has more than 255 elements");
    aml_op(a, OP_PACKAGE);
    aml_open(a, AML_OPEN_PACKAGE);
    aml_op(a, (uint8_t)count);
}

void aml_name_package(Aml *a, const char *name, unsigned count)
{
    aml_name(a, name);
    aml_package(a, count);
}

void aml_resources(Aml *a, const char *name)
{
    aml_name(a, name);
    aml_op(a, OP_BUFFER);
    aml_open(a, AML_OPEN_TEMPLATE);
}

void aml_name_buffer(Aml *a, const char *name)
{
    aml_name(a, name);
    aml_op(a, OP_BUFFER);
    aml_open(a, AML_OPEN_BUFFER);
}

void aml_name(Aml *a, const char *name)
{
    aml_op(a, OP_NAME);
    aml_ref(a, name);
}

void aml_name_int(Aml *a, const char *name, uint64_t value)
{
    aml_name(a, name);
    aml_int(a, value);
}

void aml_name_string(Aml *a, const char *name, const char *text)
{
    aml_name(a, name);
    aml_string(a, text);
}

void aml_name_eisaid(Aml *a, const char *name, const char *id)
{
    aml_name(a, name);
    aml_eisaid(a, id);
}

void aml_name_unicode(Aml *a, const char *name, const char *text)
{
    aml_name_buffer(a, name);
    for (const char *p = text;; p++) {
        const uint8_t unit[2] = {(uint8_t)*p, 0};
        aml_bytes(a, unit, sizeof unit);
        if (!*p)
            break;
    }
    aml_end(a);
}
