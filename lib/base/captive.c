/* SPDX-License-Identifier: MIT */
/* Servers by socket activation. */
#include "base/captive.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GRACE_MS = 5000, STEP_MS = 10, GIVEN = 3 };

struct Captive {
    char *dir, *path;
    pid_t pid; /* 0: none */
};

static int listen_at(const char *path, GError **error)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof a.sun_path)
        return fail(error, "%s: the path is too long for a socket", path), -1;
    memcpy(a.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && !bind(fd, (struct sockaddr *)&a, sizeof a) && !listen(fd, SOMAXCONN))
        return fd;
    fail_errno(error, errno, "%s", path);
    if (fd >= 0)
        close(fd);
    return -1;
}

/* In the child. Does not return; what went wrong goes to report. */
static void become(const char *const *argv, int listener, int report, pid_t parent)
{
    char pid[32];
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "1", 1);
    unsetenv("LISTEN_FDNAMES");
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    signal(SIGPIPE, SIG_DFL);
    if (report == GIVEN)
        report = fcntl(report, F_DUPFD_CLOEXEC, GIVEN + 1);
    if (listener == GIVEN)
        fcntl(listener, F_SETFD, 0);
    else
        dup2(listener, GIVEN);
    if (getppid() == parent)
        execvp(argv[0], (char **)argv);
    int e = errno;
    if (write(report, &e, sizeof e) != sizeof e)
        _exit(126);
    _exit(127);
}

static bool start(Captive *c, const char *const *argv, int listener, GError **error)
{
    int report[2], e = 0;
    pid_t parent = getpid();
    if (pipe2(report, O_CLOEXEC))
        return fail_errno(error, errno, "%s", argv[0]);
    c->pid = fork();
    if (!c->pid)
        become(argv, listener, report[1], parent);
    close(report[1]);
    ssize_t n = 0;
    if (c->pid < 0) {
        e = errno;
        c->pid = 0;
    } else {
        do
            n = read(report[0], &e, sizeof e); /* nothing once it runs */
        while (n < 0 && errno == EINTR);
    }
    close(report[0]);
    return (n <= 0 && c->pid) || fail_errno(error, e, "%s", argv[0]);
}

Captive *captive_start(const char *const *argv, GError **error)
{
    g_autoptr(Captive) c = g_new0(Captive, 1);
    c->dir = g_dir_make_tmp("captive-XXXXXX", error);
    if (!c->dir)
        return NULL;
    c->path = g_build_filename(c->dir, "socket", NULL);
    int fd = listen_at(c->path, error);
    if (fd < 0)
        return NULL;
    bool ok = start(c, argv, fd, error);
    close(fd);
    return ok ? g_steal_pointer(&c) : NULL;
}

const char *captive_socket(const Captive *c)
{
    return c->path;
}

static void end_process(pid_t pid)
{
    kill(pid, SIGTERM);
    for (int ms = 0; ms < GRACE_MS; ms += STEP_MS) {
        if (waitpid(pid, NULL, WNOHANG) == pid)
            return;
        g_usleep(STEP_MS * 1000);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

void captive_end(Captive *c)
{
    if (!c)
        return;
    if (c->pid)
        end_process(c->pid);
    if (c->path)
        unlink(c->path);
    if (c->dir)
        rmdir(c->dir);
    g_free(c->path);
    g_free(c->dir);
    g_free(c);
}

/* ---- among arguments --------------------------------------------------------- */

/* The index of the bracket that closes the one at i, or 0. */
static int closing(int argc, char **argv, int i)
{
    int depth = 0;
    for (; i < argc; i++) {
        depth += !strcmp(argv[i], "[") ? 1 : !strcmp(argv[i], "]") ? -1 : 0;
        if (!depth)
            return i;
    }
    return 0;
}

static char *serve(char **argv, int n, GPtrArray *captives, GError **error)
{
    g_autofree const char **words = g_new0(const char *, (gsize)n + 1);
    for (int i = 0; i < n; i++)
        words[i] = argv[i];
    Captive *c = captive_start(words, error);
    if (!c)
        return NULL;
    g_ptr_array_add(captives, c);
    g_autofree char *path = g_uri_escape_string(c->path, "/", true);
    return g_strdup_printf("nbd+unix:///?socket=%s", path);
}

bool captive_arguments(int argc, char **argv, char ***out, GPtrArray **captives, GError **error)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)captive_end);
    g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "[")) {
            g_ptr_array_add(words, g_strdup(argv[i]));
            continue;
        }
        int end = closing(argc, argv, i);
        if (!end || end == i + 1)
            return fail_usage(error, end ? "nothing is between [ and ]" : "a ] is missing");
        char *uri = serve(argv + i + 1, end - i - 1, all, error);
        if (!uri)
            return false;
        g_ptr_array_add(words, uri);
        i = end;
    }
    g_ptr_array_add(words, NULL);
    *out = (char **)g_ptr_array_free(g_steal_pointer(&words), false);
    *captives = g_steal_pointer(&all);
    return true;
}
