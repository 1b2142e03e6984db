/* SPDX-License-Identifier: MIT */
#include "base/save.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static void expect(const char *path, const char *text)
{
    g_autofree char *got = NULL;
    g_assert_true(g_file_get_contents(path, &got, NULL, NULL));
    g_assert_cmpstr(got, ==, text);
}

static void *read_all(void *opaque)
{
    char *text = NULL;
    g_assert_true(g_file_get_contents(opaque, &text, NULL, NULL));
    return text;
}

static void test_save(void)
{
    g_autofree char *dir = g_dir_make_tmp("save-XXXXXX", NULL);
    g_autofree char *file = g_build_filename(dir, "file", NULL),
                    *link = g_build_filename(dir, "link", NULL);
    g_autofree char *pipe = g_build_filename(dir, "pipe", NULL),
                    *none = g_build_filename(dir, "no", "file", NULL);
    g_autoptr(GError) error = NULL;
    struct stat st;
    g_assert_true(save_file(file, "one", 3, NULL));
    expect(file, "one");
    g_assert_true(save_file(file, "", 0, NULL));
    expect(file, "");
    g_assert_cmpint(symlink("file", link), ==, 0);
    g_assert_true(save_file(link, "two", 3, NULL));
    expect(file, "two");
    g_assert_true(g_file_test(link, G_FILE_TEST_IS_SYMLINK));
    g_assert_cmpint(mkfifo(pipe, 0600), ==, 0);
    GThread *thread = g_thread_new("reader", read_all, pipe);
    g_assert_true(save_file(pipe, "three", 5, NULL));
    g_autofree char *got = g_thread_join(thread);
    g_assert_cmpstr(got, ==, "three");
    g_assert_true(g_stat(pipe, &st) == 0 && S_ISFIFO(st.st_mode));
    g_assert_true(save_file("/dev/null", "four", 4, NULL));
    g_assert_true(g_stat("/dev/null", &st) == 0 && S_ISCHR(st.st_mode));
    if (!access("/dev/full", W_OK)) {
        g_assert_false(save_file("/dev/full", "five", 4, &error));
        g_assert_cmpstr(error->message, ==, "/dev/full: No space left on device");
        g_clear_error(&error);
    }
    g_assert_false(save_file(none, "six", 3, &error));
    g_assert_nonnull(strstr(error->message, none));
    g_autofree char *remove = g_strdup_printf("rm -r '%s'", dir);
    g_assert_cmpint(system(remove), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/save", test_save);
    return g_test_run();
}
