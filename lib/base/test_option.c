/* SPDX-License-Identifier: MIT */
#include "base/error.h"
#include "base/option.h"

static Options *parse(const char *text, const char *implied)
{
    g_autoptr(GError) error = NULL;
    Options *o = options_parse(text, implied, &error);
    g_assert_no_error(error);
    g_assert_nonnull(o);
    return o;
}

static void test_grammar(void)
{
    g_autoptr(Options) o = parse("virtio,,blk,drive=d0,ro,serial=a,,b=c,nocache,x=", "driver");
    g_assert_cmpstr(options_get(o, "driver"), ==, "virtio,blk");
    g_assert_cmpstr(options_get(o, "drive"), ==, "d0");
    g_assert_cmpstr(options_get(o, "ro"), ==, "on");
    g_assert_cmpstr(options_get(o, "serial"), ==, "a,b=c");
    g_assert_cmpstr(options_get(o, "cache"), ==, "off");
    g_assert_cmpstr(options_get(o, "x"), ==, "");
    g_assert_null(options_get(o, "y"));
    g_assert_true(options_done(o, NULL));
}

static void test_implied(void)
{
    g_autoptr(Options) with = parse("driver=e1000,mac=1", "driver");
    g_autoptr(Options) without = parse("readonly,a=1", NULL);
    g_autoptr(Options) empty = parse("", "driver");
    g_autoptr(Options) tail = parse("a=1,", NULL);
    g_assert_cmpstr(options_get(with, "driver"), ==, "e1000");
    g_assert_cmpstr(options_get(without, "readonly"), ==, "on");
    g_assert_false(options_has(empty, "driver"));
    g_assert_cmpstr(options_get(tail, "a"), ==, "1");
    g_assert_true(options_done(tail, NULL));
}

static void test_no(void)
{
    g_autoptr(Options) o = parse("node,nowait,wait=on", NULL);
    g_assert_cmpstr(options_get(o, "node"), ==, "on");
    g_assert_cmpstr(options_get(o, "wait"), ==, "on");
    g_assert_true(options_done(o, NULL));
    g_autoptr(Options) given = parse("nowait=1", NULL);
    g_assert_null(options_get(given, "wait")); /* with a value it is a key of its own */
    g_assert_false(options_done(given, NULL));
}

static void test_repeated(void)
{
    g_autoptr(Options) o = parse("f=1,g=2,f=3", NULL);
    const char *key, *value;
    g_assert_cmpstr(options_get(o, "f"), ==, "3");
    g_assert_cmpstr(options_nth(o, "f", 0), ==, "1");
    g_assert_cmpstr(options_nth(o, "f", 1), ==, "3");
    g_assert_null(options_nth(o, "f", 2));
    g_assert_false(options_done(o, NULL));
    g_assert_true(options_item(o, 1, &key, &value));
    g_assert_cmpstr(key, ==, "g");
    g_assert_cmpstr(value, ==, "2");
    g_assert_false(options_item(o, 3, &key, &value));
    g_assert_true(options_done(o, NULL));
}

static void expect_error(GError **error, const char *message)
{
    g_assert_error(*error, base_error_quark(), BASE_ERROR_USAGE);
    g_assert_cmpstr((*error)->message, ==, message);
    g_clear_error(error);
}

static void test_types(void)
{
    static const char *const colors[] = { "red", "green", NULL };
    g_autoptr(Options)
        o = parse("b=yes,c=maybe,s=1.5G,m=512,t=4X,n=0x10,big=99,word=x,col=green,bad=blue", NULL);
    g_autoptr(GError) error = NULL;
    bool b = false;
    uint64_t v = 7;
    int e = -1;

    g_assert_true(options_get_bool(o, "b", &b, &error) && b);
    g_assert_false(options_get_bool(o, "c", &b, &error));
    expect_error(&error, "c=maybe: it is on or off");
    g_assert_true(options_get_size(o, "s", 1, &v, &error));
    g_assert_cmpuint(v, ==, UINT64_C(3) << 29);
    g_assert_true(options_get_size(o, "m", 1 << 20, &v, &error));
    g_assert_cmpuint(v, ==, 512 << 20);
    g_assert_false(options_get_size(o, "t", 1, &v, &error));
    expect_error(&error, "t: '4X' is not a size (such as 512M, 1.5G, 64k)");
    g_assert_true(options_get_number(o, "n", 0, 20, &v, &error));
    g_assert_cmpuint(v, ==, 16);
    g_assert_false(options_get_number(o, "big", 1, 64, &v, &error));
    expect_error(&error, "big=99: it is 1 to 64");
    g_assert_false(options_get_number(o, "word", 1, 64, &v, &error));
    expect_error(&error, "word: 'x' is not a number");
    g_assert_cmpuint(v, ==, 16);
    g_assert_true(options_get_number(o, "absent", 1, 64, &v, &error));
    g_assert_cmpuint(v, ==, 16);
    g_assert_true(options_get_enum(o, "col", colors, &e, &error));
    g_assert_cmpint(e, ==, 1);
    g_assert_false(options_get_enum(o, "bad", colors, &e, &error));
    expect_error(&error, "bad=blue: it is one of red, green");
    g_assert_null(options_need(o, "id", &error));
    expect_error(&error, "id=... is missing");
    g_assert_true(options_done(o, &error));
}

static void test_errors(void)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(options_parse("a=1,=2", NULL, &error));
    expect_error(&error, "an option without a name in 'a=1,=2'");
    g_assert_null(options_parse("a,,b", NULL, &error));
    expect_error(&error, "an option without a name in 'a,,b'");

    g_autoptr(Options) o = parse("drvie=x", NULL);
    options_get(o, "drive");
    options_get(o, "driver");
    options_get(o, "id");
    g_assert_false(options_done(o, &error));
    expect_error(&error, "unknown option 'drvie' (did you mean 'drive'?)");
    g_autoptr(Options) far = parse("zebra=x", NULL);
    options_get(far, "id");
    g_assert_false(options_done(far, &error));
    expect_error(&error, "unknown option 'zebra'");
}

static void test_nearest(void)
{
    static const char *const names[] = { "kernel", "initrd", "append", "cpus", "maxcpus", NULL };
    g_autofree char *huge = g_strnfill(1000, 'k');
    g_assert_cmpstr(option_nearest("kernal", names), ==, "kernel");
    g_assert_cmpstr(option_nearest("cpu", names), ==, "cpus");
    g_assert_cmpstr(option_nearest("maxcpu", names), ==, "maxcpus");
    g_assert_null(option_nearest("x", names));
    g_assert_null(option_nearest("display", names));
    g_assert_null(option_nearest(huge, names));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/option/grammar", test_grammar);
    g_test_add_func("/option/implied", test_implied);
    g_test_add_func("/option/no", test_no);
    g_test_add_func("/option/repeated", test_repeated);
    g_test_add_func("/option/types", test_types);
    g_test_add_func("/option/errors", test_errors);
    g_test_add_func("/option/nearest", test_nearest);
    return g_test_run();
}
