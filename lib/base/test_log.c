/* SPDX-License-Identifier: MIT */
#include "base/error.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void test_parse(void)
{
    uint32_t mask = 0;
    g_autoptr(GError) error = NULL;
    g_assert_true(log_parse("in_asm,cpu", &mask, NULL));
    g_assert_cmpuint(mask, ==, LOG_IN_ASM | LOG_CPU);
    g_assert_true(log_parse("none", &mask, NULL));
    g_assert_cmpuint(mask, ==, 0);
    g_assert_true(log_parse("all", &mask, NULL));
    g_assert_cmpuint(mask, ==, (LOG_STRACE << 1) - 1);
    g_assert_false(log_parse("mmu,zz", &mask, &error));
    g_assert_error(error, base_error_quark(), BASE_ERROR_USAGE);
    g_assert_nonnull(strstr(error->message, "unknown log category 'zz'"));
    g_assert_nonnull(strstr(error->message, "guest_errors"));
}

static void test_help(void)
{
    g_autofree char *help = log_help();
    g_auto(GStrv) lines = g_strsplit(g_strstrip(help), "\n", -1);
    uint32_t all = 0;
    for (char **l = lines; *l; l++) {
        uint32_t one;
        *strchr(*l, ' ') = 0;
        g_assert_true(log_parse(*l, &one, NULL));
        all |= one;
    }
    g_assert_cmpuint(all, ==, (LOG_STRACE << 1) - 1);
}

enum { THREADS = 4, LINES = 500 };

static void *writer(void *arg)
{
    for (int i = 0; i < LINES; i++)
        log_line(LOG_INT, "thread %d line %d %s", GPOINTER_TO_INT(arg), i, i % 2 ? "x" : "yy");
    return NULL;
}

static void test_lines(void)
{
    g_autofree char *dir = g_dir_make_tmp("log-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "log.%d", NULL);
    char number[32];
    g_snprintf(number, sizeof number, "log.%d", (int)getpid());
    g_autofree char *real = g_build_filename(dir, number, NULL);
    g_autofree char *text = NULL;
    GThread *t[THREADS];

    g_autofree char *plus = g_strconcat("+", path, NULL);
    g_assert_true(g_file_set_contents(real, "old\n", -1, NULL));
    g_assert_true(log_open(path, NULL)); /* nothing is left of it */
    g_assert_true(log_open(plus, NULL)); /* goes on */
    log_set_mask(LOG_INT);
    log_line(LOG_EXEC, "not this");
    for (int i = 0; i < THREADS; i++)
        t[i] = g_thread_new("writer", writer, GINT_TO_POINTER(i));
    for (int i = 0; i < THREADS; i++)
        g_thread_join(t[i]);
    g_autofree char *big = g_strnfill(5000, 'z');
    log_line(LOG_INT, "%s", big);
    log_text(LOG_INT, "end");
    log_set_mask(0);
    log_line(LOG_INT, "nor this");
    g_assert_true(log_open(NULL, NULL));

    g_assert_true(g_file_get_contents(real, &text, NULL, NULL));
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, THREADS * LINES + 2);
    int next[THREADS] = { 0 };
    for (int i = 0; i < THREADS * LINES; i++) {
        int thread, line, end = 0;
        char x[3];
        g_assert_cmpint(sscanf(lines[i], "thread %d line %d %2s%n", &thread, &line, x, &end), ==, 3);
        g_assert_cmpuint(strlen(lines[i]), ==, (unsigned)end);
        g_assert_cmpint(line, ==, next[thread]++);
    }
    g_assert_cmpstr(lines[THREADS * LINES], ==, big);
    g_assert_cmpstr(lines[THREADS * LINES + 1], ==, "end");
    unlink(real);
    rmdir(dir);
}

static void test_open_fails(void)
{
    g_autoptr(GError) error = NULL;
    g_assert_false(log_open("/nonexistent/dir/log", &error));
    g_assert_error(error, base_error_quark(), BASE_ERROR_SYSTEM);
    g_assert_cmpstr(error->message, ==, "log file /nonexistent/dir/log: No such file or directory");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/log/parse", test_parse);
    g_test_add_func("/log/help", test_help);
    g_test_add_func("/log/lines", test_lines);
    g_test_add_func("/log/open-fails", test_open_fails);
    return g_test_run();
}
