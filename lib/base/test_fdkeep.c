/* SPDX-License-Identifier: MIT */
/* The store of descriptors: what is sent to it, what it holds, and datagrams of no sense. */
#include "base/fdkeep.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

typedef struct {
    char *dir, *path;
    FdKeep *keep;
    int to, pipe[2]; /* of the pipe, the writing end is sent: once all copies are closed, reading
                        ends */
} Bed;

static void bed_init(Bed *b, unsigned most)
{
    g_autoptr(GError) error = NULL;
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    b->dir = g_dir_make_tmp("fdkeep-XXXXXX", NULL);
    b->path = g_build_filename(b->dir, "notify", NULL);
    b->keep = fd_keep_new(b->path, most, &error);
    g_assert_no_error(error);
    b->to = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    g_strlcpy(a.sun_path, b->path, sizeof a.sun_path);
    g_assert_cmpint(connect(b->to, (struct sockaddr *)&a, sizeof a), ==, 0);
    g_assert_cmpint(pipe(b->pipe), ==, 0);
    fcntl(b->pipe[0], F_SETFL, O_NONBLOCK);
}

static void bed_clear(Bed *b)
{
    fd_keep_free(b->keep);
    close(b->to);
    close(b->pipe[0]);
    g_unlink(b->path);
    g_rmdir(b->dir);
    g_free(b->dir);
    g_free(b->path);
}

/* With n copies of the pipe's writing end. What had no room. */
static unsigned tell(Bed *b, const char *text, unsigned n)
{
    int fds[253];
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof fds)];
    } control = { 0 };
    struct iovec iov = { (void *)text, strlen(text) };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    if (n) {
        for (unsigned i = 0; i < n; i++)
            fds[i] = b->pipe[1];
        control.align.cmsg_level = SOL_SOCKET;
        control.align.cmsg_type = SCM_RIGHTS;
        control.align.cmsg_len = CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(&control.align), fds, n * sizeof(int));
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
    }
    g_assert_cmpint(sendmsg(b->to, &msg, 0), ==, (ssize_t)iov.iov_len);
    return fd_keep_receive(b->keep);
}

static void expect(const Bed *b, const char *names)
{
    g_autoptr(GString) all = g_string_new(NULL);
    for (unsigned i = 0; i < fd_keep_count(b->keep); i++) {
        struct stat st;
        g_string_append_printf(all, "%s%s", i ? ":" : "", fd_keep_name(b->keep, i));
        g_assert_cmpint(fstat(fd_keep_fd(b->keep, i), &st), ==, 0);
        g_assert_true(S_ISFIFO(st.st_mode));
        g_assert_true(fcntl(fd_keep_fd(b->keep, i), F_GETFD) & FD_CLOEXEC);
    }
    g_assert_cmpstr(all->str, ==, names);
}

/* No copy is left anywhere but in the store. */
static void expect_closed(Bed *b)
{
    char c;
    close(b->pipe[1]);
    g_assert_cmpint(read(b->pipe[0], &c, 1), ==, 0);
}

static void test_store(void)
{
    Bed b;
    bed_init(&b, 10);
    tell(&b, "READY=1", 0);
    tell(&b, "FDSTORE=1\nFDNAME=a.1", 1);
    tell(&b, "STATUS=x\nFDNAME=b-2\nFDPOLL=0\nFDSTORE=1\n", 1);
    tell(&b, "FDSTORE=1", 2);
    tell(&b, "FDSTORE=1\nFDNAME=a.1", 1);
    expect(&b, "a.1:b-2:stored:stored:a.1");
    tell(&b, "FDSTOREREMOVE=1\nFDNAME=a.1", 0);
    expect(&b, "b-2:stored:stored");
    tell(&b, "FDSTOREREMOVE=1\nFDNAME=none", 0);
    tell(&b, "FDSTOREREMOVE=1\nFDNAME=stored", 0);
    expect(&b, "b-2");
    tell(&b, "FDSTOREREMOVE=1\nFDNAME=b-2", 0);
    expect(&b, "");
    expect_closed(&b);
    bed_clear(&b);
}

static void test_nonsense(void)
{
    Bed b;
    bed_init(&b, 300);
    g_autofree char *long_name = g_strnfill(4000, 'n'),
                    *with = g_strconcat("FDSTORE=1\nFDNAME=", long_name, NULL);
    tell(&b, "BARRIER=1", 1);
    tell(&b, "", 3);
    tell(&b, "FDSTORE=0", 253);
    tell(&b, "FDSTORE=1", 0);
    tell(&b, "xFDSTORE=1\nFDNAME=a", 1);
    expect(&b, "");
    tell(&b, "FDSTORE=1\nFDNAME=a:b", 1);
    tell(&b, "FDSTORE=1\nFDNAME=", 1);
    tell(&b, with, 1);
    expect(&b, "stored:stored:stored");
    tell(&b, "FDSTOREREMOVE=1", 0);
    expect(&b, "");
    expect_closed(&b);
    bed_clear(&b);
}

static void test_full(void)
{
    Bed b;
    bed_init(&b, 300);
    g_assert_cmpuint(tell(&b, "FDSTORE=1\nFDNAME=x", 253), ==, 0);
    g_assert_cmpuint(tell(&b, "FDSTORE=1\nFDNAME=y", 50), ==, 3);
    g_assert_cmpuint(fd_keep_count(b.keep), ==, 300);
    tell(&b, "FDSTOREREMOVE=1\nFDNAME=x", 0);
    g_assert_cmpuint(fd_keep_count(b.keep), ==, 47);
    g_assert_cmpuint(tell(&b, "FDSTORE=1\nFDNAME=z", 253), ==, 0);
    fd_keep_free(b.keep);
    b.keep = NULL;
    expect_closed(&b);
    bed_clear(&b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/fdkeep/store", test_store);
    g_test_add_func("/base/fdkeep/nonsense", test_nonsense);
    g_test_add_func("/base/fdkeep/full", test_full);
    return g_test_run();
}
