/* SPDX-License-Identifier: MIT */
/* Archives against cpio(1), which unpacks what is made here and makes what is looked into here. */
#include "load/load.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

static char *run(const char *command)
{
    char *out = NULL;
    int status;
    const char *argv[] = { "/bin/sh", "-c", command, NULL };
    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &out, NULL,
                               &status, NULL));
    g_assert_cmpint(status, ==, 0);
    return out;
}

static void test_make(void)
{
    g_autofree char *dir = g_dir_make_tmp("cpio-XXXXXX", NULL);
    g_autofree char *make = g_strdup_printf(
        "cd %s && mkdir -p in/sub/deep && echo one >in/a && printf 12345 >in/sub/b && "
        "ln -s ../a in/sub/link && chmod 755 in/a && : >in/sub/deep/empty", dir);
    g_free(run(make));
    g_autoptr(GByteArray) out = g_byte_array_new();
    g_autofree char *in = g_build_filename(dir, "in", NULL);
    load_cpio_add(out, "first", S_IFREG | 0640, "xyz", 3);
    g_assert_true(load_cpio_add_folder(out, in, "root", 1 << 20, NULL));
    load_cpio_end(out);
    g_autofree char *file = g_build_filename(dir, "x.cpio", NULL);
    g_assert_true(g_file_set_contents(file, (const char *)out->data, out->len, NULL));
    g_autofree char *unpack = g_strdup_printf(
        "cd %s && mkdir out && cd out && cpio --quiet -id <../x.cpio && cat first && "
        "diff -r --no-dereference ../in root && stat -c ' %%a' root/a && stat -c %%a first", dir);
    g_autofree char *text = run(unpack);
    g_assert_cmpstr(text, ==, "xyz 755\n640\n");
    g_autoptr(GByteArray) small = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    g_assert_false(load_cpio_add_folder(small, in, "", 3, &error)); /* larger than is allowed */
    g_assert_nonnull(error);
    g_autofree char *end = g_strdup_printf("rm -rf %s", dir);
    g_free(run(end));
}

static void test_look(void)
{
    static const char *const names[] = { "bin/sh", "etc/passwd", "late", NULL };
    static const char *const packers[] = { "cat", "gzip", "zstd -q" };
    for (size_t i = 0; i < G_N_ELEMENTS(packers); i++) {
        g_autofree char *dir = g_dir_make_tmp("cpio-XXXXXX", NULL);
        /* a plain archive, then a packed one, then another: as initial RAM disks are put together */
        g_autofree char *make = g_strdup_printf(
            "cd %s && mkdir -p bin && echo x >bin/sh && echo y >early && echo z >late && "
            "{ echo early | cpio --quiet -o -H newc; find . -name sh | cpio --quiet -o -H newc | %s; "
            "echo late | cpio --quiet -o -H newc | gzip; } >all", dir, packers[i]);
        g_free(run(make));
        g_autofree char *file = g_build_filename(dir, "all", NULL);
        g_autoptr(GBytes) bytes = load_read(file, 1 << 20, NULL);
        bool found[3] = {0};
        g_assert_true(load_cpio_has(bytes, names, found));
        g_assert_true(found[0]);
        g_assert_false(found[1]);
        g_assert_true(found[2]);
        g_autoptr(GBytes) cut = g_bytes_new_from_bytes(bytes, 0, g_bytes_get_size(bytes) - 30);
        g_assert_false(load_cpio_has(cut, names, found));
        g_autofree char *end = g_strdup_printf("rm -rf %s", dir);
        g_free(run(end));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cpio/make", test_make);
    g_test_add_func("/cpio/look", test_look);
    return g_test_run();
}
