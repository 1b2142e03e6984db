/* SPDX-License-Identifier: MIT */
#include "base/error.h"
#include "base/size.h"

static void good(const char *text, uint64_t unit, uint64_t want)
{
    g_autoptr(GError) error = NULL;
    uint64_t size = 77;
    g_assert_true(size_parse_unit(text, unit, &size, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(size, ==, want);
}

static void bad(const char *text, const char *message)
{
    g_autoptr(GError) error = NULL;
    uint64_t size = 77;
    g_assert_false(size_parse(text, &size, &error));
    g_assert_error(error, base_error_quark(), BASE_ERROR_USAGE);
    g_assert_cmpstr(error->message, ==, message);
    g_assert_cmpuint(size, ==, 77);
}

static void test_parse(void)
{
    good("0", 1, 0);
    good("512", 1, 512);
    good("512", 1 << 20, UINT64_C(512) << 20);
    good("512b", 1 << 20, 512);
    good("64k", 1, 64 << 10);
    good("64K", 1, 64 << 10);
    good("128M", 1, 128 << 20);
    good("4G", 1, UINT64_C(4) << 30);
    good("1.5G", 1, UINT64_C(3) << 29);
    good("0.1k", 1, 102);
    good("0.5", 1 << 20, 1 << 19);
    good("1.0", 1, 1);
    good("2T", 1, UINT64_C(2) << 40);
    good("3P", 1, UINT64_C(3) << 50);
    good("15E", 1, UINT64_C(15) << 60);
    good("15.9999999999999999999999E", 1, 18446744073709551614u);
    good("0x1000", 1, 4096);
    good("0xffffffffffffffff", 1, UINT64_MAX);
    good("18446744073709551615", 1, UINT64_MAX);
}

static void test_refuse(void)
{
    const char *not_sizes[] = { "",    "M",   "-1",    "+1",  " 1",  "1 ",
                                "1MM", "1MB", "1..5G", ".5G", "1.G", "1e3k" };
    for (unsigned i = 0; i < G_N_ELEMENTS(not_sizes); i++) {
        g_autofree char *message =
            g_strdup_printf("'%s' is not a size (such as 512M, 1.5G, 64k)", not_sizes[i]);
        bad(not_sizes[i], message);
    }
    bad("0x", "'0x' is not a number");
    bad("0xg", "'0xg' is not a number");
    bad("0X10M", "'0X10M' is not a number");
    bad("1.5", "size '1.5' is a fraction of a byte");
    bad("1.5b", "size '1.5b' is a fraction of a byte");
    bad("16E", "size '16E' is more than 64 bits hold");
    bad("18446744073709551616", "size '18446744073709551616' is more than 64 bits hold");
    bad("99999999999999999999999k", "size '99999999999999999999999k' is more than 64 bits hold");
}

static void test_number(void)
{
    g_autoptr(GError) error = NULL;
    uint64_t v;
    g_assert_true(number_parse("42", &v, NULL));
    g_assert_cmpuint(v, ==, 42);
    g_assert_true(number_parse("0xFf", &v, NULL));
    g_assert_cmpuint(v, ==, 255);
    g_assert_false(number_parse("-1", &v, NULL));
    g_assert_false(number_parse("4k", &v, &error));
    g_assert_cmpstr(error->message, ==, "'4k' is not a number");
}

static void shows(uint64_t size, const char *people, const char *exact)
{
    g_autofree char *p = size_format(size);
    g_autofree char *e = size_format_exact(size);
    uint64_t back = 0;
    g_assert_cmpstr(p, ==, people);
    g_assert_cmpstr(e, ==, exact);
    g_assert_true(size_parse(e, &back, NULL));
    g_assert_cmpuint(back, ==, size);
}

static void test_format(void)
{
    shows(0, "0 B", "0");
    shows(700, "700 B", "700");
    shows(1000, "0.977 KiB", "1000");
    shows(1024, "1 KiB", "1k");
    shows(3 << 19, "1.5 MiB", "1536k");
    shows(UINT64_C(4) << 30, "4 GiB", "4G");
    shows((UINT64_C(1) << 30) - 1, "1 GiB", "1073741823");
    shows(UINT64_MAX, "16 EiB", "18446744073709551615");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/size/parse", test_parse);
    g_test_add_func("/size/refuse", test_refuse);
    g_test_add_func("/size/number", test_number);
    g_test_add_func("/size/format", test_format);
    return g_test_run();
}
