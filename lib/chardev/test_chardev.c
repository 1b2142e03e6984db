/* SPDX-License-Identifier: MIT */
/* Back ends and the Ctrl-a keys. */
#include "base/error.h"
#include "chardev/chardev_priv.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

typedef struct Front {
    size_t room;
    GString *got;
    int closed, breaks, quits;
} Front;

static size_t front_can_receive(void *opaque)
{
    return ((Front *)opaque)->room;
}

static void front_receive(void *opaque, const uint8_t *buf, size_t len)
{
    Front *f = opaque;
    g_assert_cmpuint(len, <=, f->room);
    f->room -= len;
    g_string_append_len(f->got, (const char *)buf, (gssize)len);
}

static void front_event(void *opaque, ChardevEvent event)
{
    Front *f = opaque;
    f->closed += event == CHARDEV_EVENT_CLOSED;
    f->breaks += event == CHARDEV_EVENT_BREAK;
}

static void front_quit(void *opaque)
{
    ((Front *)opaque)->quits++;
}

static void run_idle(void)
{
    while (g_main_context_iteration(NULL, FALSE))
        ;
}

static void test_memory(void)
{
    g_autoptr(Chardev) c = chardev_memory_new();
    Front f = { .room = 3, .got = g_string_new(NULL) };
    chardev_set_handlers(c, front_can_receive, front_receive, front_event, &f);
    chardev_memory_input(c, "abcdef", 6);
    g_assert_cmpstr(f.got->str, ==, "abc");
    f.room = 2;
    chardev_accept_input(c);
    g_assert_cmpstr(f.got->str, ==, "abc"); /* never inside the call */
    run_idle();
    g_assert_cmpstr(f.got->str, ==, "abcde");
    g_assert_cmpuint(chardev_write(c, "xyz", 3), ==, 3);
    g_autoptr(GBytes) out = chardev_memory_take_output(c);
    g_assert_cmpmem("xyz", 3, g_bytes_get_data(out, NULL), g_bytes_get_size(out));
    g_string_free(f.got, TRUE);
}

static void test_specs(void)
{
    const char *const bad[] = { "", "nul", "file", "file:", "null:x", "mon:", "mon:mon:stdio", "pty",
                                "unix:/x,server", "memory", "file:/nonexistent/dir/x" };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(chardev_open(bad[i], NULL, &error));
        g_assert_nonnull(error);
        g_assert_nonnull(strstr(error->message, bad[i]));
    }
    g_autoptr(Chardev) none = chardev_open("none", NULL, NULL);
    g_assert_nonnull(none);
    g_assert_cmpuint(chardev_write(none, "x", 1), ==, 1);
    g_assert_cmpuint(chardev_write(NULL, "x", 1), ==, 1);
    g_autofree char *help = chardev_help();
    g_assert_nonnull(strstr(help, "file:PATH"));
    g_assert_null(strstr(help, "memory"));
}

static void test_file(void)
{
    g_autofree char *dir = g_dir_make_tmp("chardev-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "out", NULL);
    g_autofree char *spec = g_strconcat("file:", path, NULL);
    Chardev *c = chardev_open(spec, NULL, NULL);
    g_assert_nonnull(c);
    GString *want = g_string_new(NULL);
    for (int i = 0; i < 5000; i++) {
        char line[32];
        int n = g_snprintf(line, sizeof line, "line %d\n", i);
        g_string_append(want, line);
        g_assert_cmpuint(chardev_write(c, line, (size_t)n), ==, n);
    }
    g_assert_true(chardev_flush(c, 5000, NULL));
    chardev_free(c);
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, want->str);
    g_string_free(want, TRUE);
    g_unlink(path);
    g_rmdir(dir);

    g_autoptr(Chardev) full = chardev_open("file:/dev/full", NULL, NULL);
    g_autoptr(GError) error = NULL;
    chardev_write(full, "lost", 4);
    g_assert_false(chardev_flush(full, 5000, &error));
    g_assert_true(g_error_matches(error, base_error_quark(), BASE_ERROR_SYSTEM));
}

/* A reader that stopped must hold nobody up for long, and lose what is said to be lost only. */
static void test_stalled_output(void)
{
    int p[2];
    g_assert_cmpint(pipe(p), ==, 0);
    ChardevSink *s = chardev_sink_new(p[1], true);
    g_autofree uint8_t *block = g_malloc0(1 << 20);
    size_t taken = 0, last;
    for (int i = 0; i < 6; i++)
        taken += last = chardev_sink_write(s, block, 1 << 20);
    g_assert_cmpuint(last, ==, 0);
    g_assert_cmpuint(taken, >=, CHARDEV_BUFFER_MAX);
    gint64 start = g_get_monotonic_time();
    g_assert_cmpuint(chardev_sink_write(s, block, 1), ==, 0);
    g_assert_cmpint(g_get_monotonic_time() - start, <, 2 * G_USEC_PER_SEC);
    size_t seen = 0;
    while (seen < taken) {
        ssize_t n = read(p[0], block, 1 << 20);
        g_assert_cmpint(n, >, 0);
        seen += (size_t)n;
    }
    g_assert_cmpuint(seen, ==, taken);
    g_assert_true(chardev_sink_flush(s, 20000, NULL));
    close(p[0]);
    chardev_sink_write(s, block, 1);
    g_assert_false(chardev_sink_flush(s, 20000, NULL)); /* EPIPE, and no SIGPIPE */
    chardev_sink_free(s);
}

static void test_keys(void)
{
    Chardev *back = chardev_memory_new();
    Front f = { .room = 100, .got = g_string_new(NULL) };
    ChardevHost host = { .quit = front_quit, .opaque = &f };
    g_autoptr(Chardev) c = chardev_mux_new(back, &host);
    chardev_set_handlers(c, front_can_receive, front_receive, front_event, &f);
    chardev_memory_input(back, "a\001\001b\001zc\001", 8);
    g_assert_cmpstr(f.got->str, ==, "a\001bc");
    chardev_memory_input(back, "b", 1); /* the prefix was in another read */
    g_assert_cmpint(f.breaks, ==, 1);
    f.room = 0;
    chardev_memory_input(back, "later\001x", 7);
    g_assert_cmpint(f.quits, ==, 1); /* although the guest does not read */
    g_assert_cmpstr(f.got->str, ==, "a\001bc");
    f.room = 100;
    chardev_accept_input(c);
    run_idle();
    g_assert_cmpstr(f.got->str, ==, "a\001bclater");
    chardev_memory_input(back, "\001h\001c", 4);
    g_autoptr(GBytes) out = chardev_memory_take_output(back);
    g_autofree char *text = g_strndup(g_bytes_get_data(out, NULL), g_bytes_get_size(out));
    g_assert_nonnull(strstr(text, "Ctrl-a x    quit"));
    g_assert_nonnull(strstr(text, "no monitor"));
    g_string_free(f.got, TRUE);
}

/* Standard input from a pipe: all of it arrives as room allows, then the end is told once. */
static void test_pipe_input(void)
{
    int p[2], old = dup(STDIN_FILENO);
    g_assert_cmpint(pipe(p), ==, 0);
    dup2(p[0], STDIN_FILENO);
    close(p[0]);
    Chardev *c = chardev_open("stdio", NULL, NULL);
    g_assert_nonnull(c);
    g_autoptr(GError) error = NULL;
    g_assert_null(chardev_open("mon:stdio", NULL, &error));
    g_assert_nonnull(strstr(error->message, "in use"));
    Front f = { .room = 3, .got = g_string_new(NULL) };
    chardev_set_handlers(c, front_can_receive, front_receive, front_event, &f);
    g_assert_cmpint(write(p[1], "hello", 5), ==, 5);
    close(p[1]);
    run_idle();
    g_assert_cmpstr(f.got->str, ==, "hel");
    g_assert_cmpint(f.closed, ==, 0);
    f.room = 10;
    chardev_accept_input(c);
    run_idle();
    g_assert_cmpstr(f.got->str, ==, "hello");
    g_assert_cmpint(f.closed, ==, 1);
    chardev_free(c);
    c = chardev_open("stdio", NULL, NULL); /* free for the next */
    g_assert_nonnull(c);
    chardev_free(c);
    dup2(old, STDIN_FILENO);
    close(old);
    g_string_free(f.got, TRUE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/chardev/memory", test_memory);
    g_test_add_func("/chardev/specs", test_specs);
    g_test_add_func("/chardev/file", test_file);
    g_test_add_func("/chardev/stalled", test_stalled_output);
    g_test_add_func("/chardev/keys", test_keys);
    g_test_add_func("/chardev/pipe", test_pipe_input);
    return g_test_run();
}
