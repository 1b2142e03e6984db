/* SPDX-License-Identifier: MIT */
/* Servers by socket activation: what they are given, how they end, and brackets among arguments. */
#include "base/captive.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
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

/* ---- Kept ones ------------------------------------------------------------------- */

/* Answers each connection with what it was given and its pid, having stored one descriptor more
 * under a name that counts; "die" on a connection is its end. */
#define KEPT "import array, os, signal, socket, sys\n" \
    "names = os.environ['LISTEN_FDNAMES'].split(':'); n = len(names)\n" \
    "assert names[0] == 'socket' and int(os.environ['LISTEN_FDS']) == n and int(os.environ['LISTEN_PID']) == os.getpid()\n" \
    "assert int(os.environ['FDSTORE']) >= 400\n" \
    "assert [f for f in map(int, os.listdir('/proc/self/fd')) if f > 2 + n and os.path.exists('/proc/self/fd/%d' % f)] == []\n" \
    "got = ' '.join(m + '=' + os.pread(3 + i, 99, 0).decode() for i, m in enumerate(names) if i)\n" \
    "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect(os.environ['NOTIFY_SOCKET'])\n" \
    "def tell(text, *fds):\n" \
    "    s.sendmsg([text.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))] if fds else [])\n" \
    "m = os.memfd_create('m'); os.write(m, b'value%d' % n)\n" \
    "tell('READY=1\\nSTATUS=fine'); tell('FDSTORE=1\\nFDNAME=gone', m); tell('FDSTORE=1\\nFDNAME=name.%d\\nFDPOLL=0' % n, m)\n" \
    "tell('FDSTOREREMOVE=1\\nFDNAME=gone'); tell('BARRIER=1', m); tell('FDSTORE=1')\n" \
    "l = socket.socket(fileno=3)\n" \
    "while True:\n" \
    "    c = l.accept()[0]; c.sendall(('%d %s' % (os.getpid(), got)).encode()); c.shutdown(1)\n" \
    "    if c.recv(3): os.kill(os.getpid(), int(sys.argv[1]))\n"

typedef struct {
    gint count;
    char last[200];
} Said; /* by the other process */

static void said(void *opaque, const char *line)
{
    Said *s = opaque;
    g_strlcpy(s->last, line, sizeof s->last);
    g_atomic_int_inc(&s->count);
}

static int try_connect(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    g_strlcpy(a.sun_path, path, sizeof a.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (!connect(fd, (struct sockaddr *)&a, sizeof a))
        return fd;
    close(fd);
    return -1;
}

/* What it was given; *pid is who said so, and then it dies if it is to. NULL: refused. */
static char *ask(const char *path, int *pid, bool die)
{
    char buf[300] = "";
    size_t n = 0;
    ssize_t r;
    int fd = try_connect(path), end = 0;
    if (fd < 0)
        return NULL;
    while (n < sizeof buf - 1 && (r = read(fd, buf + n, sizeof buf - 1 - n)) > 0)
        n += (size_t)r;
    if (n && die)
        g_assert_cmpint(send(fd, "die", 3, MSG_NOSIGNAL), ==, 3);
    while (n && die && read(fd, buf + n, 1) > 0) /* until it is dead */
        ;
    close(fd);
    if (sscanf(buf, "%d %n", pid, &end) != 1)
        return NULL; /* given up while we waited */
    return g_strdup(buf + end);
}

static Captive *start_kept(const char *signal, unsigned restarts, Said **s)
{
    const char *argv[] = { "python3", "-c", KEPT, signal, NULL };
    g_autoptr(GError) error = NULL;
    *s = mmap(NULL, sizeof **s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CaptiveKeep keep = { .restarts = restarts, .seconds = 1000, .say = said, .opaque = *s };
    Captive *c = captive_start_kept(argv, &keep, &error);
    g_assert_no_error(error);
    return c;
}

static void test_kept(void)
{
    static const char *const given[] = { "", "name.1=value1", "name.1=value1 name.2=value2",
                                         "name.1=value1 name.2=value2 name.3=value3" };
    Said *s;
    Captive *c = start_kept("9", 10, &s);
    g_autofree char *path = g_strdup(captive_socket(c)), *dir = g_path_get_dirname(path);
    int last = 0, pid;
    for (unsigned i = 0; i < G_N_ELEMENTS(given); i++) {
        g_autofree char *got = ask(path, &pid, true);
        g_assert_cmpstr(got, ==, given[i]);
        g_assert_cmpint(pid, !=, last);
        last = pid;
    }
    g_autofree char *got = ask(path, &pid, false);
    g_assert_nonnull(got);
    g_assert_cmpint(g_atomic_int_get(&s->count), ==, G_N_ELEMENTS(given));
    g_assert_cmpstr(s->last, ==, "python3 was killed by signal 9, and was started again");
    captive_end(c);
    g_assert_cmpint(kill(pid, 0), !=, 0);
    g_assert_cmpint(access(dir, F_OK), !=, 0);
    munmap(s, sizeof *s);
    static const char *const none[] = { "/nonexistent/program", NULL };
    g_autoptr(GError) error = NULL;
    g_assert_null(captive_start_kept(none, &(CaptiveKeep){ .restarts = 1 }, &error));
    g_assert_nonnull(strstr(error->message, "/nonexistent/program: No such file"));
}

/* In vain so often: who connects is refused, those who wait are let go. */
static void test_given_up(void)
{
    Said *s;
    Captive *c = start_kept("15", 2, &s);
    g_autofree char *path = g_strdup(captive_socket(c));
    int pid, answers = 0;
    for (;;) {
        g_autofree char *got = ask(path, &pid, true);
        if (!got)
            break;
        g_assert_cmpint(++answers, <=, 3);
    }
    g_assert_cmpint(answers, ==, 3);
    g_assert_cmpint(try_connect(path), ==, -1);
    g_assert_cmpstr(s->last, ==, "python3 was killed by signal 15, 3 times in 1000 seconds: it is not started again");
    g_assert_cmpint(access(path, F_OK), !=, 0);
    captive_end(c);
    munmap(s, sizeof *s);
}

/* One that does not want to is left alone. */
static void test_unwilling(void)
{
    static const char *const argv[] = { "false", NULL };
    Said *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    Captive *c = captive_start_kept(argv, &(CaptiveKeep){ .restarts = 5, .seconds = 10, .say = said, .opaque = s }, NULL);
    g_assert_nonnull(c);
    for (int fd, i = 0; (fd = try_connect(captive_socket(c))) >= 0; close(fd), i++) {
        g_assert_cmpint(i, <, 3000);
        g_usleep(10000);
    }
    g_assert_cmpstr(s->last, ==, "false ended with status 1: it is not started again");
    g_assert_cmpint(g_atomic_int_get(&s->count), ==, 1);
    captive_end(c);
    munmap(s, sizeof *s);
}

/* Whoever started it dies without a word: so do keeper and program, and the folder goes. */
static void test_orphan(void)
{
    int to_us[2];
    char path[200] = "";
    g_assert_cmpint(pipe(to_us), ==, 0);
    pid_t starter = fork();
    if (!starter) {
        Said *s;
        Captive *c = start_kept("9", 10, &s);
        if (write(to_us[1], captive_socket(c), strlen(captive_socket(c))) > 0)
            kill(getpid(), SIGKILL);
    }
    close(to_us[1]);
    g_assert_cmpint(read(to_us[0], path, sizeof path - 1), >, 0);
    waitpid(starter, NULL, 0);
    for (int i = 0; i < 3000 && !access(path, F_OK); i++)
        g_usleep(10000);
    g_assert_cmpint(access(path, F_OK), !=, 0);
    g_assert_cmpint(try_connect(path), ==, -1);
    close(to_us[0]);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/captive/start", test_start);
    g_test_add_func("/base/captive/arguments", test_arguments);
    g_test_add_func("/base/captive/kept", test_kept);
    g_test_add_func("/base/captive/given-up", test_given_up);
    g_test_add_func("/base/captive/unwilling", test_unwilling);
    g_test_add_func("/base/captive/orphan", test_orphan);
    return g_test_run();
}
