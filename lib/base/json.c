/* SPDX-License-Identifier: MIT */
/*
 * json-c does the reading; here is only what it has not: where a value ends in a stream (a number
 * ends at the byte behind it), the limits, and what starts anew after a mistake.
 */
#include "base/json.h"

#include <json-c/json.h>
#include <string.h>

enum { KEPT = 64 << 10 }; /* bytes of a buffer that is used again */

struct JsonStream {
    JsonTake take;
    void *opaque;
    struct json_tokener *tokener;
    GByteArray *text;  /* of the value that has begun */
    unsigned depth, parts;
    char quote;        /* the string that we are in ends with it; 0: in none */
    bool escaped;
    char last;         /* byte outside of strings that is no blank */
    bool word;         /* a number or keyword at the outermost level */
    bool skip;         /* to the next line */
};

JsonStream *json_stream_new(JsonTake take, void *opaque)
{
    JsonStream *s = g_new0(JsonStream, 1);
    s->take = take;
    s->opaque = opaque;
    s->tokener = json_tokener_new_ex(JSON_MAX_DEPTH + 1);
    s->text = g_byte_array_new();
    return s;
}

void json_stream_free(JsonStream *s)
{
    if (!s)
        return;
    json_tokener_free(s->tokener);
    g_byte_array_unref(s->text);
    g_free(s);
}

static void forget(JsonStream *s)
{
    if (s->text->len > KEPT) {
        g_byte_array_unref(s->text);
        s->text = g_byte_array_new();
        json_tokener_free(s->tokener); /* it keeps the longest string it has seen */
        s->tokener = json_tokener_new_ex(JSON_MAX_DEPTH + 1);
    }
    g_byte_array_set_size(s->text, 0);
    s->depth = s->parts = 0;
    s->quote = s->last = 0;
    s->escaped = s->word = false;
}

void json_stream_reset(JsonStream *s)
{
    forget(s);
    s->skip = false;
}

bool json_stream_open(const JsonStream *s)
{
    return s->text->len;
}

static void wrong(JsonStream *s, const char *what)
{
    forget(s);
    s->skip = true;
    s->take(s->opaque, NULL, what);
}

/* The text is whole. */
static void finish(JsonStream *s)
{
    json_tokener_reset(s->tokener);
    struct json_object *value =
        json_tokener_parse_ex(s->tokener, (const char *)s->text->data, (int)s->text->len);
    enum json_tokener_error e = json_tokener_get_error(s->tokener);
    if (e == json_tokener_continue) { /* a number could go on */
        value = json_tokener_parse_ex(s->tokener, "\n", 1);
        e = json_tokener_get_error(s->tokener);
    }
    if (e == json_tokener_success) {
        forget(s);
        s->take(s->opaque, value, NULL);
        return;
    }
    g_autofree char *what = s->word ? g_strdup_printf("JSON parse error, invalid keyword '%.*s'",
                                                      (int)MIN(s->text->len, 64),
                                                      (const char *)s->text->data)
                                    : g_strdup_printf("JSON parse error, %s",
                                                      json_tokener_error_desc(e));
    g_autofree char *valid = g_utf8_make_valid(what, -1);
    forget(s);
    s->take(s->opaque, NULL, valid);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_structure(char c)
{
    return strchr("{}[],:\"'", c) != NULL;
}

static void in_string(JsonStream *s, char c)
{
    if (s->escaped)
        s->escaped = false;
    else if (c == '\\')
        s->escaped = true;
    else if (c == s->quote)
        s->quote = 0;
    else if ((unsigned char)c < 0x20)
        return wrong(s, "JSON parse error, a control character in a string");
    if (!s->quote && !s->depth)
        finish(s);
}

/* One byte of a value, outside of strings, already in the text. */
static void in_structure(JsonStream *s, char c)
{
    char last = s->last;
    if (!is_blank(c))
        s->last = c;
    switch (c) {
    case '"':
    case '\'':
        s->quote = c;
        return;
    case '{':
    case '[':
        if (++s->depth > JSON_MAX_DEPTH)
            wrong(s, "JSON nesting depth limit exceeded");
        return;
    case '}':
    case ']':
        if (!s->depth || last == ',') /* json-c takes a comma at the end */
            wrong(s, "JSON parse error, expecting value");
        else if (!--s->depth)
            finish(s);
        return;
    case ',':
        if (++s->parts > JSON_MAX_PARTS)
            wrong(s, "JSON token count limit exceeded");
        return;
    default:
        if (!s->depth)
            s->word = true;
    }
}

static void take_byte(JsonStream *s, char c)
{
    if (c == '\xff') {
        bool open = s->text->len;
        json_stream_reset(s);
        if (open)
            s->take(s->opaque, NULL, "JSON parse error, stray '\\uFFFD'");
        return;
    }
    if (s->skip) {
        s->skip = c != '\n';
        return;
    }
    if (s->word && !s->depth && !s->quote && (is_blank(c) || is_structure(c)))
        finish(s);
    if (!s->text->len && is_blank(c))
        return;
    if (s->text->len == JSON_MAX_BYTES)
        return wrong(s, "JSON token size limit exceeded");
    g_byte_array_append(s->text, (const guint8 *)&c, 1);
    if (s->quote)
        in_string(s, c);
    else
        in_structure(s, c);
}

/* The bytes of a string up to what matters in one, at once. */
static size_t run_of_string(JsonStream *s, const char *p, size_t len)
{
    size_t n = 0;
    while (n < len && p[n] != s->quote && p[n] != '\\' && p[n] != '\xff' &&
           (unsigned char)p[n] >= 0x20)
        n++;
    n = MIN(n, JSON_MAX_BYTES - s->text->len);
    if (n)
        g_byte_array_append(s->text, (const guint8 *)p, (guint)n);
    return n;
}

void json_stream_feed(JsonStream *s, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len;) {
        if (s->quote && !s->escaped && !s->skip) {
            size_t n = run_of_string(s, bytes + i, len - i);
            i += n;
            if (n)
                continue;
        }
        take_byte(s, bytes[i++]);
    }
}

void json_append(GString *out, struct json_object *value)
{
    const char *sep = "";
    switch (json_object_get_type(value)) {
    case json_type_object:
        g_string_append_c(out, '{');
        json_object_object_foreach(value, key, member) {
            struct json_object *name = json_object_new_string(key);
            g_string_append_printf(out, "%s%s: ", sep, json_object_to_json_string_ext(name, JSON_C_TO_STRING_NOSLASHESCAPE));
            json_object_put(name);
            json_append(out, member);
            sep = ", ";
        }
        g_string_append_c(out, '}');
        break;
    case json_type_array:
        g_string_append_c(out, '[');
        for (size_t i = 0; i < json_object_array_length(value); i++, sep = ", ") {
            g_string_append(out, sep);
            json_append(out, json_object_array_get_idx(value, i));
        }
        g_string_append_c(out, ']');
        break;
    default:
        g_string_append(out, json_object_to_json_string_ext(value, JSON_C_TO_STRING_NOSLASHESCAPE));
    }
}
