/* SPDX-License-Identifier: MIT */
/* Addresses as text, options and JSON; listening, connecting, deadlines, inherited descriptors. */
#include "base/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <json-c/json.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void match(const char *pattern, const char *text, const char *what)
{
    if (!g_pattern_match_simple(pattern, text))
        g_error("%s: '%s', not '%s'", what, text, pattern);
}

static void test_text(void)
{
    static const struct {
        const char *text, *want; /* of socket_address_text; or of the error */
    } cases[] = {
        { "unix:/a:b", "unix:/a:b" }, { "unix:@name", "unix:@name" },
        { "localhost:1", "localhost:1" }, { "[::1]:10809", "::1:10809" }, { ":5", ":5" },
        { "tcp:h:1", "h:1" }, { "inet:[::]:1", ":::1" }, { "inet:7", "inet:7" },
        { "vsock:3:1024", "vsock:3:1024" }, { "fd:0", "fd:0" }, { "unix:", "*unix:PATH is wanted" },
        { "::1:80", "*brackets" }, { "host", "*HOST:PORT is wanted" }, { "host:", "*HOST:PORT *" },
        { "vsock:3", "*vsock:CID:PORT *" }, { "fd:x", "fd=x: a number *" },
        { "fd:999", "fd=999: Bad file descriptor" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(SocketAddress) a = socket_address_parse(cases[i].text, &error);
        g_autofree char *text = a ? socket_address_text(a) : g_strdup(error->message);
        match(cases[i].want, text, cases[i].text);
    }
}

static void test_json(void)
{
    static const struct {
        const char *json, *want;
    } cases[] = {
        { "{'type':'unix','path':'/a,b=c'}", "unix:/a,b=c" },
        { "{'type':'unix','data':{'path':'/x'}}", "unix:/x" },
        { "{'type':'inet','host':'h','port':'1','ipv4':true,'to':9}", "h:1" },
        { "{'type':'inet','host':'h','port':1,'ipv6':'off'}", "h:1" },
        { "{'type':'vsock','cid':'2','port':'9'}", "vsock:2:9" },
        { "{'type':'fd','str':'0'}", "fd:0" },
        { "{'type':'unix'}", "Parameter 'path' is missing" },
        { "{'path':'a'}", "Parameter 'type' is missing" },
        { "{'type':'foo'}", "Parameter 'type' does not accept value 'foo'" },
        { "{'type':'inet','host':'h'}", "Parameter 'port' is missing" },
        { "{'type':'unix','path':'/x','foo':1}", "unknown option 'foo'*" },
        { "{'type':'unix','path':['/x']}", "Parameter 'path' is unexpected" },
        { "{'type':'unix','data':{'data':{'path':'/x'}}}", "'data' stands *" },
        { "{'type':'unix','path':'/x','data':{}}", "'data' stands *" },
        { "{'type':'inet','host':'h','port':'1','ipv4':'off','ipv6':'off'}", "Cannot disable *" },
        { "[]", "the address of a socket is an object" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        struct json_object *tree = json_tokener_parse(cases[i].json);
        g_autoptr(SocketAddress) a = socket_address_json(tree, &error);
        g_autofree char *text = a ? socket_address_text(a) : g_strdup(error->message);
        match(cases[i].want, text, cases[i].json);
        json_object_put(tree);
    }
    g_autoptr(Options) o = options_parse("s.type=inet,s.host=h,s.port=1,s.ipv6=on,x=y", NULL, NULL);
    g_autoptr(SocketAddress) a = socket_address_options(o, "s.", NULL);
    g_assert_cmpint(a->family, ==, AF_INET6);
    g_assert_false(options_done(o, NULL)); /* x */
}

/* A connection at addr, both of whose ends name it. */
static void talk(const SocketAddress *to, GArray *fds)
{
    GError *error = NULL;
    int fd = socket_connect(to, 5000, &error), peer = -1;

    g_assert_no_error(error);
    g_assert_false(fcntl(fd, F_GETFL) & O_NONBLOCK);
    g_assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    for (guint i = 0; i < fds->len && peer < 0; i++)
        peer = accept(g_array_index(fds, int, i), NULL, NULL);
    g_assert_cmpint(peer, >=, 0);
    g_autofree char *a = socket_peer_name(fd), *b = socket_name(peer);
    g_assert_cmpstr(a, ==, b);
    close(fd);
    close(peer);
}

static void test_unix(void)
{
    g_autofree char *dir = g_dir_make_tmp("lathe-socket-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "s", NULL);
    g_autofree char *want = g_strconcat("unix:", path, NULL);
    g_autoptr(SocketAddress) a = socket_address_unix(path);
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(socket_connect(a, 100, &error), ==, -1);
    match("Failed to connect to '/*/s': No such file or directory", error->message, "absent");
    g_clear_error(&error);
    GArray *fds = socket_listen(a, 5, &error);
    g_assert_no_error(error);
    g_autofree char *name = socket_name(g_array_index(fds, int, 0));
    g_assert_cmpstr(name, ==, want);
    talk(a, fds);
    g_assert_null(socket_listen(a, 5, &error)); /* a live one is left alone */
    match("Failed to bind socket to /*/s: Address already in use", error->message, "live");
    g_clear_error(&error);
    talk(a, fds);
    close(g_array_index(fds, int, 0)); /* a dead one is replaced */
    g_array_unref(fds);
    fds = socket_listen(a, 0, &error);
    g_assert_no_error(error);
    /* nobody accepts: the queue fills up, and then there is a deadline */
    int n = 0, held[64];
    while (n < 64 && (held[n] = socket_connect(a, 50, &error)) >= 0)
        n++;
    g_assert_cmpint(n, <, 64);
    match("*: Connection timed out", error->message, "full");
    g_clear_error(&error);
    while (n)
        close(held[--n]);
    socket_unlisten(fds);
    g_assert_cmpint(g_access(path, F_OK), ==, -1);
    g_assert_true(g_file_set_contents(path, "kept", -1, NULL)); /* no socket: not ours to remove */
    g_assert_null(socket_listen(a, 5, NULL));
    g_assert_cmpint(unlink(path), ==, 0);
    rmdir(dir);
    g_autofree char *longer = g_strnfill(200, 'x');
    g_autoptr(SocketAddress) b = socket_address_unix(longer);
    g_assert_null(socket_listen(b, 5, &error));
    match("*1 to 107 bytes", error->message, "long");
}

static void test_inet(void)
{
    g_autoptr(SocketAddress) any = socket_address_inet("localhost", "0");
    g_autoptr(GError) error = NULL;
    GArray *fds = socket_listen(any, 5, &error);

    g_assert_no_error(error);
    g_autofree char *name = socket_name(g_array_index(fds, int, 0));
    const char *port = strrchr(name, ':') + 1;
    for (guint i = 0; i < fds->len; i++) { /* one port for all */
        g_autofree char *other = socket_name(g_array_index(fds, int, i));
        g_assert_cmpstr(strrchr(other, ':') + 1, ==, port);
    }
    g_autoptr(SocketAddress) a = socket_address_inet("localhost", port);
    talk(a, fds);
    g_assert_null(socket_listen(a, 5, &error));
    match("cannot listen on localhost:*: Address already in use", error->message, "used");
    g_clear_error(&error);
    a->to = (unsigned)MIN(atoi(port) + 50, 65535); /* or another up to there */
    GArray *more = socket_listen(a, 5, &error);
    g_assert_no_error(error);
    socket_unlisten(more);
    socket_unlisten(fds);
    g_assert_cmpint(socket_connect(a, 5000, &error), ==, -1);
    match("Failed to connect to 'localhost:*': Connection refused", error->message, "refused");
    g_clear_error(&error);
    g_autoptr(SocketAddress) bad = socket_address_inet("nosuch", "1");
    bad->numeric = true;
    g_assert_cmpint(socket_connect(bad, 100, &error), ==, -1);
    match("address resolution failed for nosuch:1: *", error->message, "name");
}

static int inherit(const char *pid, const char *fds, const char *names, char ***out, GError **error)
{
    g_autofree char *self = g_strdup_printf("%d", getpid());

    g_setenv("LISTEN_PID", pid ? pid : self, TRUE);
    g_setenv("LISTEN_FDS", fds, TRUE);
    if (names)
        g_setenv("LISTEN_FDNAMES", names, TRUE);
    int n = socket_inherited(out, error);
    g_assert_null(getenv("LISTEN_PID"));
    g_assert_null(getenv("LISTEN_FDS"));
    g_assert_null(getenv("LISTEN_FDNAMES"));
    return n;
}

/* In a child, whose descriptors 3 and 4 are what the test makes of them. */
static void inherited_child(void)
{
    int pair[2];
    char **names;

    g_assert_cmpint(socket_inherited(&names, NULL), ==, 0);
    g_assert_null(names);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
    int a = fcntl(pair[0], F_DUPFD, 100), b = fcntl(pair[1], F_DUPFD, 100);
    dup2(a, 3);
    dup2(b, 4);
    close(5);
    g_assert_cmpint(inherit("1", "2", NULL, &names, NULL), ==, 0);
    g_assert_cmpint(inherit("x", "2", NULL, NULL, NULL), ==, -1);
    g_assert_cmpint(inherit(NULL, "0", NULL, NULL, NULL), ==, -1);
    g_assert_cmpint(inherit(NULL, "x", NULL, NULL, NULL), ==, -1);
    g_assert_cmpint(inherit(NULL, "99999", NULL, NULL, NULL), ==, -1);
    g_assert_cmpint(inherit(NULL, "3", NULL, NULL, NULL), ==, -1); /* 5 is closed */
    g_assert_cmpint(inherit(NULL, "2", "one", NULL, NULL), ==, -1);
    fcntl(3, F_SETFD, 0);
    g_assert_cmpint(inherit(NULL, "2", "one:two", &names, NULL), ==, 2);
    g_assert_true(fcntl(3, F_GETFD) & FD_CLOEXEC);
    g_assert_cmpstr(names[0], ==, "one");
    g_assert_cmpstr(names[1], ==, "two");
    g_strfreev(names);
    g_assert_cmpint(inherit(NULL, "2", NULL, &names, NULL), ==, 2);
    g_assert_cmpstr(names[1], ==, "");
    g_strfreev(names);
}

static char *congestion_of(int fd)
{
    char name[32] = "";
    socklen_t size = sizeof name - 1;
    g_assert_cmpint(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &size), ==, 0);
    return g_strdup(name);
}

/* A connection within this machine, and one that is none (it keeps what the system has). */
static void test_quick(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof a;
    int pair[2], on = 0;
    int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
    g_assert_cmpint(bind(listener, (struct sockaddr *)&a, sizeof a), ==, 0);
    g_assert_cmpint(listen(listener, 1), ==, 0);
    g_assert_cmpint(getsockname(listener, (struct sockaddr *)&a, &size), ==, 0);
    g_autofree char *before = congestion_of(fd);
    socket_quick(fd);
    g_autofree char *unconnected = congestion_of(fd);
    g_assert_cmpstr(unconnected, ==, before);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&a, sizeof a), ==, 0);
    socket_quick(fd);
    g_autofree char *connected = congestion_of(fd);
    g_assert_cmpstr(connected, ==, "reno");
    size = sizeof on;
    g_assert_cmpint(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &size), ==, 0);
    g_assert_cmpint(on, !=, 0);
    close(fd);
    close(listener);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
    socket_quick(pair[0]);
    close(pair[0]);
    close(pair[1]);
}

static void test_inherited(void)
{
    if (g_test_subprocess()) {
        inherited_child();
        return;
    }
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
    g_test_trap_assert_passed();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/socket/text", test_text);
    g_test_add_func("/base/socket/json", test_json);
    g_test_add_func("/base/socket/unix", test_unix);
    g_test_add_func("/base/socket/inet", test_inet);
    g_test_add_func("/base/socket/quick", test_quick);
    g_test_add_func("/base/socket/inherited", test_inherited);
    return g_test_run();
}
