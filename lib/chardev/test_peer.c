/* SPDX-License-Identifier: MIT */
/* Back ends whose peer comes and goes: sockets, pty, FIFOs. The peer is this program too. */
#include "base/test_wait.h"
#include "base/error.h"
#include "chardev/test_front.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void front_init(Front *f, Chardev *c, size_t room)
{
    *f = (Front){ .room = room, .got = g_string_new(NULL) };
    chardev_set_handlers(c, front_can_receive, front_receive, front_event, f);
}


static char *temp_dir(void)
{
    return g_dir_make_tmp("peer-XXXXXX", NULL);
}

static int unix_socket(const char *path, bool server)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    strcpy(un.sun_path, path);
    if (server) {
        g_assert_cmpint(bind(fd, (struct sockaddr *)&un, sizeof un), ==, 0);
        g_assert_cmpint(listen(fd, 1), ==, 0);
    } else {
        g_assert_cmpint(connect(fd, (struct sockaddr *)&un, sizeof un), ==, 0);
    }
    return fd;
}

static void expect(int fd, const char *text)
{
    char buf[256];
    size_t want = strlen(text), got = 0;
    g_assert_cmpuint(want, <, sizeof buf);
    while (got < want) {
        run_idle();
        ssize_t n = recv(fd, buf + got, want - got, 0);
        g_assert_cmpint(n, >, 0);
        got += (size_t)n;
    }
    buf[got] = '\0';
    g_assert_cmpstr(buf, ==, text);
}

static void put(int fd, const char *text)
{
    g_assert_cmpint(write(fd, text, strlen(text)), ==, strlen(text));
}

/* A peer talks, vanishes, and another one comes. */
static void test_server(void)
{
    g_autofree char *dir = temp_dir(), *path = g_build_filename(dir, "s", NULL);
    g_autofree char *spec = g_strdup_printf("unix:%s,server,nowait", path);
    Chardev *c = chardev_open(spec, NULL, NULL);
    g_assert_nonnull(c);
    g_autoptr(GError) error = NULL;
    g_assert_null(chardev_open(spec, NULL, &error)); /* somebody listens there: us */
    g_assert_nonnull(strstr(error->message, "in use"));
    Front f;
    front_init(&f, c, 100);
    g_assert_cmpint(f.opened, ==, 0);
    g_assert_false(chardev_is_open(c));
    int a = unix_socket(path, false), b;
    run_until(f.opened); /* the second peer below may have queued meanwhile, or the probe above */
    run_until(chardev_is_open(c) && f.opened > f.closed);
    g_assert_cmpuint(chardev_write(c, "hello", 5), ==, 5);
    put(a, "hi");
    run_until(f.got->len == 2);
    expect(a, "hello");
    f.room = 0;
    put(a, "last words");
    int closed = f.closed;
    close(a);
    run_until(f.closed == closed + 1); /* though the guest does not read */
    g_assert_cmpstr(f.got->str, ==, "hi");
    g_assert_cmpuint(chardev_write(c, "nobody", 6), ==, 6);
    b = unix_socket(path, false);
    run_until(chardev_is_open(c));
    put(b, "next");
    f.room = 100;
    chardev_accept_input(c);
    run_until(f.got->len == 16);
    g_assert_cmpstr(f.got->str, ==, "hilast wordsnext");
    chardev_write(c, "you", 3);
    expect(b, "you");
    chardev_write(c, "bye", 3);
    chardev_free(c);
    expect(b, "bye");
    close(b);
    g_assert_cmpint(access(path, F_OK), !=, 0);
    g_rmdir(dir);
    g_string_free(f.got, TRUE);
}

/* What was taken for a peer that then vanished reaches the next one. */
static void test_output_kept(void)
{
    g_autofree char *dir = temp_dir(), *path = g_build_filename(dir, "s", NULL);
    g_autofree char *spec = g_strdup_printf("unix:%s,server=on,wait=off", path);
    Chardev *c = chardev_open(spec, NULL, NULL);
    Front f;
    front_init(&f, c, 100);
    int a = unix_socket(path, false);
    run_until(f.opened == 1);
    g_autofree uint8_t *block = g_malloc(1 << 20);
    for (size_t i = 0; i < 1 << 20; i++)
        block[i] = (uint8_t)(i * 7 / 5);
    g_assert_cmpuint(chardev_write(c, block, 1 << 20), ==, 1 << 20);
    uint8_t got[4096];
    ssize_t n = read(a, got, sizeof got);
    g_assert_cmpint(n, ==, sizeof got);
    close(a);
    run_until(f.closed == 1);
    a = unix_socket(path, false);
    run_until(f.opened == 2);
    /* The kernel had some of it, which went down with the peer; all after that is there. */
    g_autoptr(GByteArray) rest = g_byte_array_new();
    fcntl(a, F_SETFL, O_NONBLOCK);
    for (;;) {
        run_idle();
        n = read(a, got, sizeof got);
        if (n > 0)
            g_byte_array_append(rest, got, (guint)n);
        else if (chardev_flush(c, 0, NULL))
            break;
    }
    while ((n = read(a, got, sizeof got)) > 0)
        g_byte_array_append(rest, got, (guint)n);
    g_assert_cmpuint(rest->len, >, 500000);
    g_assert_cmpmem(rest->data, rest->len, block + (1 << 20) - rest->len, rest->len);
    chardev_free(c);
    close(a);
    g_rmdir(dir);
    g_string_free(f.got, TRUE);
}

/* A peer that does not read: writers wait a little, then are told. */
static void test_stalled(void)
{
    int sv[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), ==, 0);
    g_autofree char *spec = g_strdup_printf("socket,id=s,fd=%d", sv[0]);
    g_autoptr(ChardevTable) t = chardev_table_new(NULL);
    g_assert_true(chardev_table_add(t, spec, NULL));
    Chardev *c = chardev_table_get(t, "s", NULL);
    g_assert_true(chardev_is_open(c));
    g_autofree uint8_t *block = g_malloc0(1 << 20);
    size_t taken = 0, last = 1;
    for (int i = 0; i < 8; i++)
        taken += last = chardev_write(c, block, 1 << 20);
    g_assert_cmpuint(last, ==, 0);
    g_assert_false(chardev_flush(c, 10, NULL));
    size_t seen = 0;
    while (seen < taken) {
        run_idle();
        ssize_t n = recv(sv[1], block, 1 << 20, MSG_DONTWAIT);
        if (n > 0)
            seen += (size_t)n;
        else
            g_assert_true(errno == EAGAIN);
    }
    g_assert_true(chardev_flush(c, 0, NULL));
    close(sv[1]);
    run_until(!chardev_is_open(c));
}

static void test_client(void)
{
    g_autofree char *dir = temp_dir(), *path = g_build_filename(dir, "s", NULL);
    g_autofree char *plain = g_strdup_printf("unix:%s", path);
    g_autoptr(GError) error = NULL;
    g_assert_null(chardev_open(plain, NULL, &error));
    g_assert_nonnull(strstr(error->message, path));
    g_autofree char *spec = g_strdup_printf("unix:%s,reconnect=1", path);
    Chardev *c = chardev_open(spec, NULL, NULL); /* nobody is there yet */
    g_assert_nonnull(c);
    Front f;
    front_init(&f, c, 100);
    int l = unix_socket(path, true);
    for (int round = 1; round <= 2; round++) {
        run_until(f.opened == round);
        int a = accept(l, NULL, NULL);
        chardev_write(c, "hello", 5);
        expect(a, "hello");
        close(a);
        run_until(f.closed == round);
    }
    chardev_free(c);
    close(l);
    /* the path is left over, as after a kill: a server takes it */
    g_autofree char *server = g_strdup_printf("unix:%s,server=on,wait=off", path);
    c = chardev_open(server, NULL, NULL);
    g_assert_nonnull(c);
    chardev_free(c);
    g_rmdir(dir);
    g_string_free(f.got, TRUE);
}

/* A front end that has the socket for itself: nobody else connects again, and it may until it was
 * refused. */
static void test_lent(void)
{
    g_autofree char *dir = temp_dir(), *path = g_build_filename(dir, "s", NULL);
    g_autofree char *spec = g_strdup_printf("unix:%s,reconnect-ms=20,reconnect-tries=3", path);
    int l = unix_socket(path, true);
    Chardev *c = chardev_open(spec, NULL, NULL);
    g_assert_nonnull(c);
    ChardevRetry retry = chardev_retry(c);
    g_assert_cmpuint(retry.wait_ms, ==, 20);
    g_assert_cmpuint(retry.tries, ==, 3);
    int ours = chardev_socket(c), theirs = accept(l, NULL, NULL);
    g_assert_cmpint(ours, >=, 0);
    close(theirs);
    close(ours);
    run_until(!chardev_is_open(c));
    ours = chardev_connect_again(c);
    g_assert_cmpint(ours, >=, 0);
    theirs = accept(l, NULL, NULL);
    g_assert_cmpint(write(theirs, "x", 1), ==, 1);
    char x;
    g_assert_cmpint(read(ours, &x, 1), ==, 1);
    gint64 end = g_get_monotonic_time() + 100000;
    while (g_get_monotonic_time() < end)
        g_main_context_iteration(NULL, FALSE);
    g_assert_false(chardev_is_open(c));
    close(l);
    close(ours);
    close(theirs);
    g_assert_cmpint(chardev_connect_again(c), ==, -1);
    g_assert_cmpint(errno, ==, ECONNREFUSED);
    chardev_free(c);
    g_unlink(path);
    g_rmdir(dir);
    c = chardev_open("null", NULL, NULL);
    g_assert_cmpuint(chardev_retry(c).wait_ms, ==, 0);
    g_assert_cmpint(chardev_connect_again(c), ==, -1);
    chardev_free(c);
}

/* After so many refusals it is left alone. */
static void test_tries(void)
{
    g_autofree char *dir = temp_dir(), *path = g_build_filename(dir, "s", NULL);
    g_autofree char *spec = g_strdup_printf("unix:%s,reconnect-ms=5,reconnect-tries=3", path);
    Chardev *c = chardev_open(spec, NULL, NULL);
    g_assert_nonnull(c);
    gint64 end = g_get_monotonic_time() + 100000;
    while (g_get_monotonic_time() < end)
        g_main_context_iteration(NULL, FALSE);
    int l = unix_socket(path, true);
    end = g_get_monotonic_time() + 50000;
    while (g_get_monotonic_time() < end)
        g_main_context_iteration(NULL, FALSE);
    g_assert_false(chardev_is_open(c));
    chardev_free(c);
    close(l);
    g_unlink(path);
    g_rmdir(dir);
}

static void on_notice(void *opaque, const char *line)
{
    g_assert_null(*(char **)opaque);
    *(char **)opaque = g_strdup(line);
}

static bool give_up(void *opaque)
{
    return *(char **)opaque != NULL;
}

static void test_waiting(void)
{
    g_autofree char *dir = temp_dir(), *path = g_build_filename(dir, "s", NULL), *line = NULL;
    g_autofree char *spec = g_strdup_printf("unix:%s,server=on", path);
    ChardevHost host = { .notice = on_notice, .cancelled = give_up, .opaque = &line };
    g_autoptr(GError) error = NULL;
    g_assert_null(chardev_open(spec, &host, &error));
    g_assert_nonnull(strstr(line, path));
    g_assert_cmpint(access(path, F_OK), !=, 0);
    g_rmdir(dir);
}

/* TCP with the telnet protocol: negotiation is ours, 0xff travels doubled, a break is a break. */
static void test_telnet(void)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof in;
    int l = socket(AF_INET, SOCK_STREAM, 0);
    g_assert_cmpint(bind(l, (struct sockaddr *)&in, sizeof in), ==, 0);
    g_assert_cmpint(listen(l, 1), ==, 0);
    g_assert_cmpint(getsockname(l, (struct sockaddr *)&in, &len), ==, 0);
    g_autofree char *spec = g_strdup_printf("telnet:127.0.0.1:%d,nodelay=on", ntohs(in.sin_port));
    Chardev *c = chardev_open(spec, NULL, NULL);
    g_assert_nonnull(c);
    int a = accept(l, NULL, NULL);
    Front f;
    front_init(&f, c, 100);
    g_autofree char *where = chardev_describe(c);
    g_assert_true(g_str_has_prefix(where, "telnet:127.0.0.1:"));
    expect(a, "\xff\xfb\x01\xff\xfb\x03\xff\xfb");
    uint8_t binary[4];
    g_assert_cmpint(read(a, binary, 4), ==, 4);
    g_assert_cmpmem(binary, 4, "\0\xff\xfd\0", 4);
    g_assert_cmpuint(chardev_write(c, "a\xff" "b", 3), ==, 3);
    expect(a, "a\xff\xff" "b");
    put(a, "x\xff\xfd\x03y\xff\xff\xff\xfa\x18stuff\xff\xf0z\xff\xf3");
    put(a, "!");
    run_until(f.got->len == 5);
    g_assert_cmpstr(f.got->str, ==, "xy\xffz!");
    g_assert_cmpint(f.breaks, ==, 1);
    chardev_free(c);
    close(a);
    close(l);
    g_string_free(f.got, TRUE);
}

static void test_pty(void)
{
    g_autofree char *dir = temp_dir(), *link = g_build_filename(dir, "tty", NULL), *line = NULL;
    g_autofree char *spec = g_strdup_printf("pty,id=p,path=%s", link);
    ChardevHost host = { .notice = on_notice, .opaque = &line };
    ChardevTable *t = chardev_table_new(&host);
    g_assert_true(chardev_table_add(t, spec, NULL));
    g_assert_nonnull(strstr(line, "redirected to /dev/pts/"));
    Chardev *c = chardev_table_get(t, "p", NULL);
    Front f;
    front_init(&f, c, 100);
    chardev_write(c, "dropped", 7);
    for (int round = 1; round <= 2; round++) {
        int a = open(link, O_RDWR | O_NOCTTY);
        g_assert_cmpint(a, >=, 0);
        run_until(f.opened == round);
        put(a, "in\r");
        run_until(f.got->len == 3u * (unsigned)round);
        char buf[16] = "";
        chardev_write(c, "out\n", 4);
        g_assert_cmpint(read(a, buf, sizeof buf), ==, 4); /* raw: no \r, no echo of "in" */
        g_assert_cmpstr(buf, ==, "out\n");
        close(a);
        run_until(f.closed == round);
    }
    g_assert_cmpstr(f.got->str, ==, "in\rin\r");
    chardev_table_free(t);
    g_assert_cmpint(access(link, F_OK), !=, 0);
    g_rmdir(dir);
    g_string_free(f.got, TRUE);
}

static void test_fifos(void)
{
    g_autofree char *dir = temp_dir(), *in = g_build_filename(dir, "p.in", NULL);
    g_autofree char *out = g_build_filename(dir, "p.out", NULL);
    g_autofree char *spec = g_strdup_printf("pipe:%s/p", dir);
    g_assert_cmpint(mkfifo(in, 0600), ==, 0);
    g_autoptr(GError) error = NULL;
    g_assert_null(chardev_open(spec, NULL, &error));
    g_assert_nonnull(strstr(error->message, "p.out"));
    g_assert_cmpint(mkfifo(out, 0600), ==, 0);
    Chardev *c = chardev_open(spec, NULL, NULL);
    Front f;
    front_init(&f, c, 100);
    for (int round = 1; round <= 2; round++) {
        int w = open(in, O_WRONLY), r = open(out, O_RDONLY);
        char buf[16] = "";
        put(w, "in");
        run_until(f.got->len == 2u * (unsigned)round);
        chardev_write(c, "out", 3);
        g_assert_true(chardev_flush(c, 5000, NULL));
        g_assert_cmpint(read(r, buf, sizeof buf), ==, 3);
        close(w);
        close(r);
    }
    g_assert_cmpint(f.closed, ==, 0);
    chardev_free(c);
    g_unlink(in);
    g_unlink(out);
    g_rmdir(dir);
    g_string_free(f.got, TRUE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/peer/server", test_server);
    g_test_add_func("/peer/output_kept", test_output_kept);
    g_test_add_func("/peer/stalled", test_stalled);
    g_test_add_func("/peer/client", test_client);
    g_test_add_func("/peer/lent", test_lent);
    g_test_add_func("/peer/tries", test_tries);
    g_test_add_func("/peer/waiting", test_waiting);
    g_test_add_func("/peer/telnet", test_telnet);
    g_test_add_func("/peer/pty", test_pty);
    g_test_add_func("/peer/fifos", test_fifos);
    return g_test_run();
}
