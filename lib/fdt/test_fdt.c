/* SPDX-License-Identifier: MIT */
/* Trees: what dtc reads from what we write, round trips, and blobs that are no trees. */
#include "fdt/fdt.h"

#include <glib/gstdio.h>
#include <string.h>

static Fdt *sample(void)
{
    Fdt *t = fdt_tree_new();
    fdt_tree_u32(t, "/", "#address-cells", 2);
    fdt_tree_u32(t, "/", "#size-cells", 2);
    fdt_tree_string(t, "/", "model", "sample");
    fdt_tree_node(t, "/soc");
    fdt_tree_empty(t, "/soc", "ranges");
    fdt_tree_node(t, "/soc/b@20");
    fdt_tree_node(t, "/soc/a@10");
    fdt_tree_strings(t, "/soc/b@20", "compatible", "one", "two", NULL);
    fdt_tree_reg(t, "/soc/b@20", UINT64_C(0x100000020), 0x10);
    fdt_tree_u64(t, "/soc/a@10", "big", UINT64_C(0x0102030405060708));
    fdt_tree_phandle_set(t, "/soc/a@10", fdt_tree_phandle_new(t));
    fdt_tree_reserve(t, 0x1000, 0x2000);
    return t;
}

/* dtc writes exactly this, siblings in the order they were made. */
static void test_dtc(void)
{
    static const char want[] = "/dts-v1/;\n\n"
        "/memreserve/\t0x0000000000001000 0x0000000000002000;\n"
        "/ {\n\t#address-cells = <0x02>;\n\t#size-cells = <0x02>;\n\tmodel = \"sample\";\n\n"
        "\tsoc {\n\t\tranges;\n\n"
        "\t\tb@20 {\n\t\t\tcompatible = \"one\\0two\";\n"
        "\t\t\treg = <0x01 0x20 0x00 0x10>;\n\t\t};\n\n"
        "\t\ta@10 {\n\t\t\tbig = <0x1020304 0x5060708>;\n\t\t\tphandle = <0x01>;\n\t\t};\n\t};\n};\n";
    g_autofree char *dtc = g_find_program_in_path("dtc");
    if (!dtc) {
        g_test_skip("dtc is not installed");
        return;
    }
    g_autoptr(Fdt) t = sample();
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) blob = fdt_tree_finish(t, &error);
    g_assert_no_error(error);
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("fdt-XXXXXX", &path, &error);
    g_assert_no_error(error);
    g_close(fd, NULL);
    g_file_set_contents(path, g_bytes_get_data(blob, NULL), (gssize)g_bytes_get_size(blob), &error);
    g_assert_no_error(error);
    const char *argv[] = {dtc, "-q", "-I", "dtb", "-O", "dts", path, NULL};
    g_autofree char *out = NULL;
    g_spawn_sync(NULL, (char **)argv, NULL, 0, NULL, NULL, &out, NULL, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(out, ==, want);
    g_unlink(path);
}

static bool count(void *opaque, const char *path)
{
    ++*(int *)opaque;
    return strcmp(path, "/soc/b@20") != 0;
}

static void test_round_trip(void)
{
    g_autoptr(Fdt) t = sample();
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) blob = fdt_tree_finish(t, &error);
    gsize len;
    const uint8_t *data = g_bytes_get_data(blob, &len);
    g_autoptr(Fdt) u = fdt_tree_from_bytes(data, len, &error);
    g_assert_no_error(error);
    g_autoptr(GBytes) again = fdt_tree_finish(u, &error);
    g_assert_no_error(error);
    g_assert_true(g_bytes_equal(blob, again));
    g_assert_cmpuint(fdt_tree_get_phandle(u, "/soc/a@10"), ==, 1);
    g_assert_cmpuint(fdt_tree_phandle_new(u), ==, 2);
    g_assert_cmpstr(fdt_tree_get_string(u, "/soc/b@20", "compatible"), ==, "one");
    g_assert_null(fdt_tree_get_string(u, "/soc", "ranges"));
    int n = 0;
    fdt_tree_each(u, count, &n);
    g_assert_cmpint(n, ==, 3);
    fdt_tree_node_remove(u, "/soc");
    g_assert_false(fdt_tree_has(u, "/soc/a@10"));
    g_assert_true(fdt_tree_has(u, "/"));
    fdt_tree_prop_remove(u, "/", "model");
    g_assert_null(fdt_tree_get(u, "/", "model", NULL));
    /* Cut or flipped blobs are refused or read, and never crash. */
    for (gsize i = 0; i < len; i++) {
        g_autofree uint8_t *bad = g_memdup2(data, len);
        fdt_tree_free(fdt_tree_from_bytes(bad, i, NULL));
        bad[i] ^= 0x81;
        fdt_tree_free(fdt_tree_from_bytes(bad, len, NULL));
    }
}

static void test_failures(void)
{
    g_autoptr(Fdt) t = fdt_tree_new();
    g_autoptr(GError) error = NULL;
    fdt_tree_node(t, "/a/b");
    fdt_tree_u32(t, "/c", "x", 1);
    g_assert_null(fdt_tree_finish(t, &error));
    g_assert_nonnull(strstr(error->message, "/a/b"));
    g_assert_null(fdt_tree_from_bytes("", 0, NULL));
}

static void test_large(void)
{
    g_autoptr(Fdt) t = fdt_tree_new();
    for (int i = 0; i < 5000; i++) {
        g_autofree char *path = g_strdup_printf("/node@%x", i);
        fdt_tree_node(t, path);
        fdt_tree_u32(t, path, "reg", (uint32_t)i);
    }
    g_autoptr(GBytes) blob = fdt_tree_finish(t, NULL);
    g_autoptr(Fdt) u = fdt_tree_from_bytes(g_bytes_get_data(blob, NULL), g_bytes_get_size(blob), NULL);
    g_assert_cmpuint(fdt_tree_get_u32(u, "/node@1387", "reg", 0), ==, 4999);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fdt/dtc", test_dtc);
    g_test_add_func("/fdt/round-trip", test_round_trip);
    g_test_add_func("/fdt/failures", test_failures);
    g_test_add_func("/fdt/large", test_large);
    return g_test_run();
}
