/* SPDX-License-Identifier: MIT */
/* What is put arrives with its name, what comes back is told from sockets, and a keeper that is
 * full or gone is no harm. */
#include "base/fdstore.h"
#include "base/socket.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* A keeper's socket, at path. */
static int keeper(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    g_strlcpy(a.sun_path, path, sizeof a.sun_path);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&a, sizeof a), ==, 0);
    return fd;
}

/* The next message; its descriptor, or -1. */
static int receive(int fd, char *text, size_t size)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = { text, size - 1 };
    struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
                        .msg_controllen = sizeof control.bytes };
    ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT);
    g_assert_cmpint(n, >=, 0);
    text[n] = 0;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    int got = -1;
    if (c && c->cmsg_type == SCM_RIGHTS)
        memcpy(&got, CMSG_DATA(c), sizeof got);
    return got;
}

static int memory(const char *text)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    g_assert_cmpint(write(fd, text, strlen(text)), ==, (ssize_t)strlen(text));
    return fd;
}

static void expect(int fd, const char *text)
{
    char buf[64] = "";
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(pread(fd, buf, sizeof buf - 1, 0), >=, 0);
    g_assert_cmpstr(buf, ==, text);
    close(fd);
}

static void test_put(void)
{
    char text[256];
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = g_dir_make_tmp("fdstore-XXXXXX", NULL),
                    *path = g_build_filename(dir, "s", NULL);
    int fd = keeper(path), one = memory("one");
    FdStore *s = fdstore_new(path, 2, &error);
    g_assert_no_error(error);
    g_assert_cmpint(fdstore_put(s, "a.one", one), ==, 0);
    g_assert_cmpint(fdstore_put(s, "a.two", one), ==, 0);
    g_assert_cmpint(fdstore_put(s, "a.three", one), ==, -ENOSPC);
    fdstore_remove(s, "a.two");
    g_assert_cmpint(fdstore_put(s, "a.three", one), ==, 0);
    fdstore_tell(s, "READY=1");
    close(one);
    expect(receive(fd, text, sizeof text), "one"); /* ours is closed, theirs is not */
    g_assert_cmpstr(text, ==, "FDSTORE=1\nFDNAME=a.one\nFDPOLL=0");
    close(receive(fd, text, sizeof text));
    g_assert_cmpint(receive(fd, text, sizeof text), ==, -1);
    g_assert_cmpstr(text, ==, "FDSTOREREMOVE=1\nFDNAME=a.two");
    close(receive(fd, text, sizeof text));
    g_assert_cmpint(receive(fd, text, sizeof text), ==, -1);
    g_assert_cmpstr(text, ==, "READY=1");
    fdstore_remove(s, "a.one");
    close(fd);
    one = memory("one");
    g_assert_cmpint(fdstore_put(s, "a.one", one), ==, -ECONNREFUSED);
    g_assert_cmpint(fdstore_put(s, "a.one", one), ==, -ENOTCONN);
    close(one);
    fdstore_free(s);
    unlink(path);
    g_assert_null(fdstore_new(path, 2, &error));
    g_assert_nonnull(strstr(error->message, path));
    g_clear_error(&error);
    g_assert_null(fdstore_new("relative", 2, &error));
    rmdir(dir);
}

/* In a child, as the descriptors have fixed numbers. */
static void started_again(const char *path)
{
    g_autoptr(GError) error = NULL;
    char **names = NULL;
    int sockets[2], one = memory("one"), two = memory("two");
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), ==, 0);
    dup2(sockets[0], 103);
    dup2(one, 104);
    dup2(two, 105);
    for (int i = 3; i < 6; i++)
        dup2(100 + i, i);
    g_autofree char *pid = g_strdup_printf("%d", (int)getpid());
    g_setenv("LISTEN_PID", pid, TRUE);
    g_setenv("LISTEN_FDS", "3", TRUE);
    g_setenv("LISTEN_FDNAMES", "socket:a.one:a.two", TRUE);
    g_setenv("NOTIFY_SOCKET", path, TRUE);
    g_setenv("FDSTORE", "3", TRUE);
    g_autoptr(FdStore) s = fdstore_open("a.", &error);
    g_assert_no_error(error);
    g_assert_nonnull(s);
    g_assert_null(g_getenv("NOTIFY_SOCKET"));
    g_assert_cmpint(socket_inherited(&names, &error), ==, 1);
    g_assert_no_error(error);
    g_assert_cmpstr(names[0], ==, "socket");
    g_strfreev(names);
    expect(fdstore_take(s, "a.two"), "two");
    g_assert_cmpint(fdstore_take(s, "a.two"), ==, -1);
    g_autofree char *left = fdstore_left(s);
    g_assert_cmpstr(left, ==, "a.one");
    expect(fdstore_take(s, left), "one");
    g_assert_null(fdstore_left(s));
    one = memory("x");
    g_assert_cmpint(fdstore_put(s, "a.x", one), ==, 0); /* those that came back count */
    g_assert_cmpint(fdstore_put(s, "a.y", one), ==, -ENOSPC);
}

static void test_back(void)
{
    int status;
    g_autofree char *dir = g_dir_make_tmp("fdstore-XXXXXX", NULL),
                    *path = g_build_filename(dir, "s", NULL);
    int fd = keeper(path);
    pid_t pid = fork();
    if (!pid) {
        started_again(path);
        _exit(0);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(status, ==, 0);
    close(fd);
    unlink(path);
    rmdir(dir);
}

static void test_none(void)
{
    g_autoptr(GError) error = NULL;
    g_unsetenv("NOTIFY_SOCKET");
    g_assert_null(fdstore_open("a.", &error));
    g_assert_no_error(error);
    g_setenv("NOTIFY_SOCKET", "/nonexistent/socket", TRUE);
    g_setenv("FDSTORE", "0", TRUE);
    g_assert_null(fdstore_open("a.", &error)); /* whoever started us keeps none */
    g_assert_no_error(error);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/fdstore/put", test_put);
    g_test_add_func("/base/fdstore/back", test_back);
    g_test_add_func("/base/fdstore/none", test_none);
    return g_test_run();
}
