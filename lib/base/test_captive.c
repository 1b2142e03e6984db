/* SPDX-License-Identifier: MIT */
/* Servers by socket activation: what they are given, how they end, and brackets among arguments. */
#include "base/captive.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* What a server at that path says. */
static void expect(const char *path, const char *text)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    char buf[100] = "";
    size_t n = 0;
    ssize_t r;
    g_strlcpy(a.sun_path, path, sizeof a.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&a, sizeof a), ==, 0);
    while (n < sizeof buf - 1 && (r = read(fd, buf + n, sizeof buf - 1 - n)) > 0)
        n += (size_t)r;
    close(fd);
    g_assert_cmpstr(buf, ==, text);
}

#define SERVER "import os, socket, sys\n" \
    "assert os.environ['LISTEN_FDS'] == '1' and int(os.environ['LISTEN_PID']) == os.getpid()\n" \
    "c = socket.socket(fileno=3).accept()[0]; c.sendall(sys.argv[1].encode()); c.close()\n" \
    "import time; time.sleep(1000)"

static void test_start(void)
{
    static const char *const argv[] = { "python3", "-c", SERVER, "hello", NULL };
    g_autoptr(GError) error = NULL;
    Captive *c = captive_start(argv, &error);
    g_assert_no_error(error);
    g_autofree char *path = g_strdup(captive_socket(c));
    expect(path, "hello");
    captive_end(c);
    g_assert_cmpint(access(path, F_OK), !=, 0);
    static const char *const none[] = { "/nonexistent/program", NULL };
    g_assert_null(captive_start(none, &error));
    g_assert_nonnull(strstr(error->message, "/nonexistent/program: No such file"));
}

static void test_arguments(void)
{
    const char *argv[] = { "convert", "[", "python3", "-c", SERVER, "[", "]", "]", "out", NULL };
    g_autoptr(GError) error = NULL;
    char **out = NULL;
    GPtrArray *captives = NULL;
    captive_arguments(9, (char **)argv, &out, &captives, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(g_strv_length(out), ==, 3);
    g_assert_cmpstr(out[0], ==, "convert");
    g_assert_true(g_str_has_prefix(out[1], "nbd+unix:///?socket=/"));
    g_assert_cmpstr(out[2], ==, "out");
    g_assert_cmpuint(captives->len, ==, 1);
    expect(captive_socket(captives->pdata[0]), "["); /* brackets within are the command's */
    g_strfreev(out);
    g_ptr_array_unref(captives);
    const char *open[] = { "a", "[", "b", NULL }, *empty[] = { "[", "]", NULL };
    g_assert_false(captive_arguments(3, (char **)open, &out, &captives, &error));
    g_assert_cmpstr(error->message, ==, "a ] is missing");
    g_clear_error(&error);
    g_assert_false(captive_arguments(2, (char **)empty, &out, &captives, &error));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/captive/start", test_start);
    g_test_add_func("/base/captive/arguments", test_arguments);
    return g_test_run();
}
