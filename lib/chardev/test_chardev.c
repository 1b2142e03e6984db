/* SPDX-License-Identifier: MIT */
/* Back ends and the Ctrl-a keys. */
#include "base/error.h"
#include "chardev/test_front.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

static void front_quit(void *opaque)
{
    ((Front *)opaque)->quits++;
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
    const char *const bad[] = { "", "nul", "file", "file:", "null:x", "mon:", "mon:mon:stdio", "vc",
                                "udp::1",
                                "unix:", "memory", "file:/nonexistent/dir/x", "tcp:1", "tcp:host:",
                                "unix:/x,servr=on", "unix:/x,wait=off", "unix:/x,reconnect=soon",
                                "unix:/x,reconnect=1,reconnect-ms=1", "unix:/x,reconnect-tries=2",
                                "unix:/x,server=on,reconnect=1", "pipe:/nonexistent/p", "chardev:x",
                                "unix:/nonexistent/dir/s,server=on,wait=off", "/dev/ttyS0",
                                "unix:/x,tls-creds=y", "socket,path=/x" };
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

static char *output_of(Chardev *c)
{
    g_autoptr(GBytes) out = chardev_memory_take_output(c);
    return g_strndup(g_bytes_get_data(out, NULL), g_bytes_get_size(out));
}

static void test_keys(void)
{
    Chardev *back = chardev_memory_new();
    Front f = { .room = 100, .got = g_string_new(NULL) };
    ChardevHost host = { .quit = front_quit, .opaque = &f };
    ChardevMux *mux = chardev_mux_new(back, &host);
    Chardev *c = chardev_mux_port(mux);
    chardev_mux_unref(mux);
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
    g_autofree char *text = output_of(back);
    g_assert_nonnull(strstr(text, "Ctrl-a x    quit"));
    g_assert_nonnull(strstr(text, "nothing else"));
    chardev_free(c);
    g_string_free(f.got, TRUE);
}

/* Two users of one terminal: each gets what is typed while it has the focus. */
static void test_focus(void)
{
    Chardev *back = chardev_memory_new();
    Front f[2] = { { .room = 100, .got = g_string_new(NULL) },
                   { .room = 100, .got = g_string_new(NULL) } };
    ChardevMux *mux = chardev_mux_new(back, NULL);
    Chardev *c[2];
    for (int i = 0; i < 2; i++) {
        c[i] = chardev_mux_port(mux);
        chardev_set_handlers(c[i], front_can_receive, front_receive, front_event, &f[i]);
    }
    chardev_memory_input(back, "one\001ctwo\001b\001cone", 15);
    g_assert_cmpstr(f[0].got->str, ==, "oneone");
    g_assert_cmpstr(f[1].got->str, ==, "two");
    g_assert_cmpint(f[0].breaks, ==, 0);
    g_assert_cmpint(f[1].breaks, ==, 1);
    g_assert_cmpint(f[0].focus_out, ==, 1);
    g_assert_cmpint(f[0].focus_in, ==, 1);
    chardev_write(c[0], "a", 1);
    chardev_write(c[1], "b", 1);
    g_autofree char *text = output_of(back);
    g_assert_cmpstr(text, ==, "ab");
    chardev_free(c[0]); /* the focus goes to who is left */
    chardev_memory_input(back, "!", 1);
    g_assert_cmpstr(f[1].got->str, ==, "two!");
    chardev_free(c[1]);
    chardev_memory_input(back, "nobody", 6);
    chardev_mux_unref(mux);
    g_string_free(f[0].got, TRUE);
    g_string_free(f[1].got, TRUE);
}

static void on_monitor(void *opaque, Chardev *port)
{
    *(Chardev **)opaque = port;
}

static void test_table(void)
{
    Chardev *monitor = NULL;
    ChardevHost host = { .monitor = on_monitor, .opaque = &monitor };
    g_autoptr(ChardevTable) t = chardev_table_new(&host);
    static const char *const bad[] = { "null", "null,id=", "null,id=1a", "null,id=a b", "nul,id=a",
                                       "unix,id=a", "null,id=a,path=x", "ringbuf,id=a,size=3",
                                       "vc,id=a", "socket,id=a", "socket,id=a,port=1,path=/x",
                                       "file,id=a", "null,id=a,mux=perhaps", "memory,id=a", "",
                                       "null,id=a,logfile=/nonexistent/dir/log", "mux,id=a",
                                       "socket,id=a,fd=99999", "socket,id=a,fd=0,server=on",
                                       "socket,id=a,path=/x,websocket=on" };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(chardev_table_add(t, bad[i], &error));
        g_assert_nonnull(error);
    }
    g_assert_true(chardev_table_add(t, "ringbuf,id=r,size=8", NULL));
    g_assert_true(chardev_table_add(t, "ringbuf,id=m,mux=on", NULL));
    g_assert_false(chardev_table_add(t, "null,id=r", NULL));
    Chardev *r = chardev_table_get(t, "r", NULL);
    g_assert_nonnull(r);
    g_autoptr(GError) error = NULL;
    g_assert_null(chardev_table_open(t, "serial0", "chardev:r", &error));
    g_assert_nonnull(strstr(error->message, "mux=on"));
    g_assert_false(chardev_table_remove(t, "r", NULL));
    chardev_write(r, "0123456789", 10);
    g_autoptr(GBytes) oldest = chardev_ringbuf_read(r, 3, NULL);
    g_autoptr(GBytes) rest = chardev_ringbuf_read(r, 100, NULL);
    g_assert_cmpmem(g_bytes_get_data(oldest, NULL), g_bytes_get_size(oldest), "234", 3);
    g_assert_cmpmem(g_bytes_get_data(rest, NULL), g_bytes_get_size(rest), "56789", 5);
    Front f = { .room = 2, .got = g_string_new(NULL) };
    chardev_set_handlers(r, front_can_receive, front_receive, front_event, &f);
    g_assert_true(chardev_ringbuf_input(r, "abc", 3, NULL));
    g_assert_cmpstr(f.got->str, ==, "ab");
    Chardev *one = chardev_table_get(t, "m", NULL), *two = chardev_table_get(t, "m", NULL);
    g_assert_true(one && two && one != two);
    Chardev *n = chardev_table_open(t, "serial0", "mon:null", NULL);
    g_assert_nonnull(n);
    g_assert_true(monitor && monitor != n);
    g_autofree char *info = chardev_table_info(t);
    g_assert_cmpstr(info, ==, "r: filename=ringbuf\nm: filename=mux:ringbuf\n"
                              "serial0: filename=mux:null\n");
    g_string_free(f.got, TRUE);
}

static void test_log(void)
{
    g_autofree char *dir = g_dir_make_tmp("chardev-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "a,b", NULL), *text = NULL;
    for (int append = 0; append < 2; append++) {
        ChardevTable *t = chardev_table_new(NULL);
        g_autofree char *spec = g_strdup_printf("null,id=n,logfile=%s/a,,b,logappend=%s", dir,
                                                append ? "on" : "off");
        g_assert_true(chardev_table_add(t, spec, NULL));
        chardev_write(chardev_table_get(t, "n", NULL), append ? "two" : "one", 3);
        chardev_table_free(t);
    }
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "onetwo");
    g_unlink(path);
    g_rmdir(dir);
}

/* Input from a file, and output appended to another. */
static void test_file_both(void)
{
    g_autofree char *dir = g_dir_make_tmp("chardev-XXXXXX", NULL);
    g_autofree char *in = g_build_filename(dir, "in", NULL);
    g_autofree char *out = g_build_filename(dir, "out", NULL);
    g_autofree char *text = NULL;
    g_assert_true(g_file_set_contents(in, "typed", -1, NULL));
    g_assert_true(g_file_set_contents(out, "old ", -1, NULL));
    g_autofree char *spec = g_strdup_printf("file,id=f,path=%s,append=on,input-path=%s", out, in);
    ChardevTable *t = chardev_table_new(NULL);
    g_assert_true(chardev_table_add(t, spec, NULL));
    Chardev *c = chardev_table_get(t, "f", NULL);
    Front f = { .room = 100, .got = g_string_new(NULL) };
    chardev_set_handlers(c, front_can_receive, front_receive, front_event, &f);
    chardev_write(c, "new", 3);
    run_idle();
    g_assert_cmpstr(f.got->str, ==, "typed");
    g_assert_cmpint(f.closed, ==, 1);
    chardev_table_free(t);
    g_assert_true(g_file_get_contents(out, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "old new");
    g_unlink(in);
    g_unlink(out);
    g_rmdir(dir);
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
    g_test_add_func("/chardev/focus", test_focus);
    g_test_add_func("/chardev/table", test_table);
    g_test_add_func("/chardev/log", test_log);
    g_test_add_func("/chardev/file_both", test_file_both);
    g_test_add_func("/chardev/pipe", test_pipe_input);
    return g_test_run();
}
