/* SPDX-License-Identifier: MIT */
/* Lines of -strace. Guest addresses are host addresses, so this program's own memory is the guest's. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "linux/call_priv.h"
#include "linux/strace_priv.h"

#define P(pointer) ((uint64_t)(uintptr_t)(pointer))

static const LinuxCall *call_named(const char *name)
{
    unsigned i = 0;
    while (strcmp(linux_calls[i].name, name))
        g_assert_cmpuint(++i, <, CALLS);
    return &linux_calls[i];
}

/* The lines of one call. */
static char *trace(const char *name, int64_t result, const uint64_t args[6])
{
    g_autofree char *path = NULL;
    char *text;
    int fd = g_file_open_tmp("lathe-strace-XXXXXX", &path, NULL);
    LinuxThread *t = g_new0(LinuxThread, 1);
    t->tid = 42;
    memcpy(t->args, args, sizeof t->args);
    g_assert_true(log_open(path, NULL));
    log_set_mask(LOG_STRACE);
    strace_enter(t, call_named(name));
    strace_leave(t, call_named(name), result);
    log_set_mask(0);
    g_assert_true(log_open(NULL, NULL));
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    unlink(path);
    close(fd);
    g_free(t);
    return text;
}

#define CHECK(expected, name, result, ...)                                          \
    do {                                                                            \
        g_autofree char *line_ = trace(name, result, (const uint64_t[6]){ __VA_ARGS__ }); \
        g_assert_cmpstr(line_, ==, expected);                                       \
    } while (0)

static void test_files(void)
{
    struct iovec io[2] = { { (void *)"ab", 2 }, { (void *)"c\n", 2 } };
    int32_t pair[2] = { 3, 4 };
    CHECK("42 openat(AT_FDCWD, \"/etc/passwd\", O_RDONLY|O_CLOEXEC) = 3\n", "openat", 3,
          (uint64_t)-100, P("/etc/passwd"), O_CLOEXEC, 0777);
    CHECK("42 openat(5, \"x\", O_WRONLY|O_CREAT|O_TRUNC, 0644) = -1 EACCES (Permission denied)\n",
          "openat", -EACCES, 5, P("x"), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    CHECK("42 openat(AT_FDCWD, \".\", O_RDWR|O_TMPFILE, 0600) = 4\n", "openat", 4, (uint64_t)-100,
          P("."), O_RDWR | O_TMPFILE, 0600);
    CHECK("42 openat(AT_FDCWD, NULL, O_RDONLY) = -1 EFAULT (Bad address)\n", "openat", -EFAULT,
          (uint64_t)-100, 0, 0);
    CHECK("42 pwrite64(3, \"a\\tb\\0\\0011\\377\\\"\\\\\", 9, 0) = 9\n", "pwrite64", 9, 3,
          P("a\tb\0\0011\377\"\\"), 9, 0);
    CHECK("42 pwrite64(3, \"01234567890123456789012345678901\"..., 50, 0) = 50\n", "pwrite64", 50, 3,
          P("01234567890123456789012345678901234567890123456789"), 50, 0);
    CHECK("42 pread64(3, \"abc\", 100, 7) = 3\n", "pread64", 3, 3, P("abcdef"), 100, 7);
    CHECK("42 pread64(3, 0x10, 100, 7) = -1 EBADF (Bad file descriptor)\n", "pread64", -EBADF, 3, 16,
          100, 7);
    CHECK("42 pwritev(1, [{iov_base=\"ab\", iov_len=2}, {iov_base=\"c\\n\", iov_len=2}], 2, 0, 0) = 4\n",
          "pwritev", 4, 1, P(io), 2);
    CHECK("42 pipe2([3, 4], O_CLOEXEC) = 0\n", "pipe2", 0, P(pair), O_CLOEXEC);
    CHECK("42 fcntl(3, F_GETFL) = 32768\n", "fcntl", 32768, 3, F_GETFL, 99);
    CHECK("42 fcntl(3, F_SETFD, FD_CLOEXEC) = 0\n", "fcntl", 0, 3, F_SETFD, 1);
    CHECK("42 fcntl(3, F_SETFL, O_RDONLY|O_NONBLOCK) = 0\n", "fcntl", 0, 3, F_SETFL, O_NONBLOCK);
    CHECK("42 ioctl(0, TIOCGWINSZ, 0x1234) = -1 ENOTTY (Inappropriate ioctl for device)\n", "ioctl",
          -ENOTTY, 0, 0x5413, 0x1234);
    CHECK("42 ioctl(0, 0x99999999, NULL) = 0\n", "ioctl", 0, 0, 0x99999999, 0);
    CHECK("42 lseek(3, -5, SEEK_END) = 1000\n", "lseek", 1000, 3, (uint64_t)-5, SEEK_END);
    CHECK("42 faccessat(AT_FDCWD, \"x\", R_OK|X_OK) = 0\n", "faccessat", 0, (uint64_t)-100, P("x"), 5);
    CHECK("42 faccessat(AT_FDCWD, \"x\", F_OK) = 0\n", "faccessat", 0, (uint64_t)-100, P("x"), 0);
}

static void test_memory(void)
{
    CHECK("42 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = "
          "0x3fff000000\n", "mmap", 0x3fff000000, 0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS,
          (uint64_t)-1, 0);
    CHECK("42 mprotect(0x1000, 8192, PROT_NONE) = 0\n", "mprotect", 0, 0x1000, 8192, 0);
    CHECK("42 brk(NULL) = 0x7d000\n", "brk", 0x7d000, 0);
    CHECK("42 mmap(0x5000, 1, 0x8, MAP_SHARED|0x40, 3, 0x2000) = -1 EINVAL (Invalid argument)\n",
          "mmap", -EINVAL, 0x5000, 1, 8, 0x41, 3, 0x2000);
}

static void test_processes(void)
{
    struct timespec brief = { 1, 5 };
    uint64_t set = 0x4002, most = ~UINT64_C(0x100);
    const char *argv[] = { "ls", "-l", NULL };
    CHECK("42 clone(CLONE_VM|CLONE_VFORK|SIGCHLD, 0x1000, NULL, NULL, NULL) = 43\n", "clone", 43,
          CLONE_VM | CLONE_VFORK | 17, 0x1000);
    CHECK("42 clone(SIGCHLD, NULL, NULL, NULL, NULL) = 43\n", "clone", 43, 17);
    CHECK("", "clone", 0, 17); /* the child */
    CHECK("42 execve(\"/bin/ls\", [\"ls\", \"-l\"], 0x40 <unfinished ...>\n"
          "42 <... execve resumed>) = -1 ENOENT (No such file or directory)\n", "execve", -ENOENT,
          P("/bin/ls"), P(argv), 64);
    CHECK("42 exit_group(3) = ?\n", "exit_group", 0, 3);
    CHECK("42 kill(-5, SIGTERM) = 0\n", "kill", 0, (uint64_t)-5, 15);
    CHECK("42 tgkill(1, 2, SIGRT_2) = 0\n", "tgkill", 0, 1, 2, 34);
    CHECK("42 rt_sigprocmask(SIG_BLOCK, [INT TERM], NULL, 8) = 0\n", "rt_sigprocmask", 0, 0,
          P(&set), 0, 8);
    set = 0x4002;
    CHECK("42 rt_sigprocmask(SIG_SETMASK, ~[KILL], [INT TERM], 8) = 0\n", "rt_sigprocmask", 0, 2,
          P(&most), P(&set), 8);
    CHECK("42 wait4(-1, NULL, WNOHANG|WUNTRACED, NULL <unfinished ...>\n"
          "42 <... wait4 resumed>) = -1 ECHILD (No child processes)\n", "wait4", -ECHILD,
          (uint64_t)-1, 0, 3, 0);
    CHECK("42 clock_nanosleep(CLOCK_MONOTONIC, 0, {tv_sec=1, tv_nsec=5}, NULL <unfinished ...>\n"
          "42 <... clock_nanosleep resumed>) = ? ERESTARTSYS (To be restarted)\n",
          "clock_nanosleep", -LINUX_RESTART, 1, 0, P(&brief), 0);
    CHECK("42 futex(0x80, FUTEX_WAKE|FUTEX_PRIVATE_FLAG, 1 <unfinished ...>\n"
          "42 <... futex resumed>) = 0\n", "futex", 0, 128, FUTEX_WAKE_PRIVATE, 1, 7, 7, 7);
    CHECK("42 futex(0x80, FUTEX_WAIT, 5, NULL <unfinished ...>\n"
          "42 <... futex resumed>) = -1 EAGAIN (Resource temporarily unavailable)\n", "futex",
          -EAGAIN, 128, FUTEX_WAIT, 5);
    CHECK("42 clock_gettime(CLOCK_REALTIME, {tv_sec=1, tv_nsec=5}) = 0\n", "clock_gettime", 0, 0,
          P(&brief));
}

static void test_sockets(void)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(80) };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(443) };
    struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = "/run/x" };
    struct sockaddr_un abstract = { .sun_family = AF_UNIX, .sun_path = "\0name" };
    uint32_t size = sizeof in;
    inet_pton(AF_INET, "127.0.0.1", &in.sin_addr);
    inet_pton(AF_INET6, "fe80::1", &in6.sin6_addr);
    CHECK("42 socket(AF_INET6, SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK, 6) = 3\n", "socket", 3,
          AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 6);
    CHECK("42 socket(77, 9, 0) = -1 EAFNOSUPPORT (Address family not supported by protocol)\n",
          "socket", -EAFNOSUPPORT, 77, 9, 0);
    CHECK("42 bind(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr(\"127.0.0.1\")}, "
          "16) = 0\n", "bind", 0, 3, P(&in), sizeof in);
    CHECK("42 bind(3, {sa_family=AF_INET6, sin6_port=htons(443), sin6_addr=\"fe80::1\"}, 28) = 0\n",
          "bind", 0, 3, P(&in6), sizeof in6);
    CHECK("42 bind(3, {sa_family=AF_UNIX, sun_path=\"/run/x\"}, 110) = 0\n", "bind", 0, 3, P(&un),
          sizeof un);
    CHECK("42 bind(3, {sa_family=AF_UNIX, sun_path=@\"name\"}, 7) = 0\n", "bind", 0, 3, P(&abstract),
          7);
    CHECK("42 bind(3, {sa_family=AF_UNIX, sun_path=\"\"}, 2) = 0\n", "bind", 0, 3, P(&un), 2);
    CHECK("42 bind(3, 0x10, 1) = 0\n", "bind", 0, 3, 16, 1);
    g_autofree char *named = g_strdup_printf(
        "42 getsockname(3, {sa_family=AF_INET, sin_port=htons(80), "
        "sin_addr=inet_addr(\"127.0.0.1\")}, 0x%" G_GINT64_MODIFIER "x) = 0\n", P(&size));
    CHECK(named, "getsockname", 0, 3, P(&in), P(&size));
}

static void test_signals(void)
{
    struct {
        siginfo_t info;
        const char *text;
    } some[] = {
        { { .si_signo = SIGCHLD, .si_code = CLD_EXITED },
          "{si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=7, si_uid=8, si_status=3}" },
        { { .si_signo = SIGCHLD, .si_code = CLD_KILLED },
          "{si_signo=SIGCHLD, si_code=CLD_KILLED, si_pid=7, si_uid=8, si_status=SIGQUIT}" },
        { { .si_signo = SIGINT, .si_code = SI_USER },
          "{si_signo=SIGINT, si_code=SI_USER, si_pid=7, si_uid=8}" },
        { { .si_signo = SIGSEGV, .si_code = SEGV_MAPERR },
          "{si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=0x1234}" },
        { { .si_signo = SIGFPE, .si_code = 99 }, "{si_signo=SIGFPE, si_code=99, si_addr=0x1234}" },
        { { .si_signo = 34, .si_code = SI_TKILL },
          "{si_signo=SIGRT_2, si_code=SI_TKILL, si_pid=7, si_uid=8}" },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(some); i++) {
        g_autoptr(GString) out = g_string_new(NULL);
        if (strstr(some[i].text, "si_addr")) {
            some[i].info.si_addr = (void *)0x1234;
        } else {
            some[i].info.si_pid = 7;
            some[i].info.si_uid = 8;
            some[i].info.si_status = 3;
        }
        strace_info(out, &some[i].info);
        g_assert_cmpstr(out->str, ==, some[i].text);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/strace/files", test_files);
    g_test_add_func("/strace/memory", test_memory);
    g_test_add_func("/strace/processes", test_processes);
    g_test_add_func("/strace/sockets", test_sockets);
    g_test_add_func("/strace/signals", test_signals);
    return g_test_run();
}
