/* SPDX-License-Identifier: MIT */
/* JSON in streams: values one behind the other in pieces of any length, mistakes, limits, 0xFF. */
#include "base/json.h"

#include <json-c/json.h>
#include <string.h>

/* Values as text, errors as "!...", one behind the other. */
static void take(void *opaque, struct json_object *value, const char *error)
{
    GString *out = opaque;
    if (error)
        g_string_append_printf(out, "!%s;", error);
    else
        g_string_append_printf(out, "%s;",
                               json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN));
    json_object_put(value);
}

static void check(const char *bytes, const char *expected)
{
    for (size_t piece = 1; piece < 8; piece += 3) {
        g_autoptr(GString) out = g_string_new("");
        g_autoptr(JsonStream) s = json_stream_new(take, out);
        for (size_t at = 0, len = strlen(bytes); at < len; at += piece)
            json_stream_feed(s, bytes + at, MIN(piece, len - at));
        g_assert_cmpstr(out->str, ==, expected);
    }
}

static void test_values(void)
{
    check("{\"a\":1}", "{\"a\":1};");
    check("{\"a\":[1,2,{\"b\":\"}\"}]}{}\n[]", "{\"a\":[1,2,{\"b\":\"}\"}]};{};[];");
    check(" 5 \"x\" true\nnull ", "5;\"x\";true;null;");
    check("5{}", "5;{};");
    check("{'execute':'its'}", "{\"execute\":\"its\"};");
    check("{\n  \"a\":\n 1\n}\n", "{\"a\":1};");
    check("\"\\\"\\\\\"[]", "\"\\\"\\\\\";[];");
}

static void test_mistakes(void)
{
    check("x\n{}", "!JSON parse error, invalid keyword 'x';{};");
    check("}\n{}", "!JSON parse error, expecting value;{};");
    g_autoptr(GString) out = g_string_new("");
    g_autoptr(JsonStream) s = json_stream_new(take, out);
    static const char *const wrong[] = { "{\"a\" 1}\n", "{\"a\":1 2}\n", "[1,]]\n", "\"a\x01\n", "{]\n", "tru}\n" };
    for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_string_set_size(out, 0);
        json_stream_feed(s, wrong[i], strlen(wrong[i]));
        if (!g_str_has_prefix(out->str, "!JSON parse error, "))
            g_error("%s: %s", wrong[i], out->str);
        g_string_set_size(out, 0);
        json_stream_feed(s, "\n{}", 3);
        g_assert_true(g_str_has_suffix(out->str, "{};"));
    }
}

static void test_resync(void)
{
    check("{\"a\xff{}", "!JSON parse error, stray '\\uFFFD';{};");
    check("\xff{}", "{};");
    check("x} garbage \xff{\"a\":1}",
          "!JSON parse error, invalid keyword 'x';!JSON parse error, expecting value;"
          "{\"a\":1};");
}

static void test_limits(void)
{
    g_autoptr(GString) out = g_string_new("");
    g_autoptr(JsonStream) s = json_stream_new(take, out);
    for (unsigned i = 0; i <= JSON_MAX_DEPTH; i++)
        json_stream_feed(s, "[", 1);
    g_assert_cmpstr(out->str, ==, "!JSON nesting depth limit exceeded;");
    g_string_set_size(out, 0);
    json_stream_feed(s, "\n[", 2);
    for (unsigned i = 0; i <= JSON_MAX_PARTS; i++)
        json_stream_feed(s, "1,", 2);
    g_assert_cmpstr(out->str, ==, "!JSON token count limit exceeded;");
    g_string_set_size(out, 0);
    g_autofree char *big = g_malloc(1 << 20);
    memset(big, 'a', 1 << 20);
    json_stream_feed(s, "\n\"", 2);
    for (unsigned i = 0; i < 65; i++)
        json_stream_feed(s, big, 1 << 20);
    g_assert_cmpstr(out->str, ==, "!JSON token size limit exceeded;");
    g_string_set_size(out, 0);
    json_stream_feed(s, "\n{}", 3);
    g_assert_cmpstr(out->str, ==, "{};");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/json/values", test_values);
    g_test_add_func("/base/json/mistakes", test_mistakes);
    g_test_add_func("/base/json/resync", test_resync);
    g_test_add_func("/base/json/limits", test_limits);
    return g_test_run();
}
