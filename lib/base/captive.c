/* SPDX-License-Identifier: MIT */
/* Servers by socket activation. */
#include "base/captive_priv.h"

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
    pid_t pid;   /* the program, or with control its keeper; 0: none */
    int control; /* or -1 */
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

/* ---- Programs ------------------------------------------------------------------- */

static void set_number(const char *name, unsigned n)
{
    char text[16];
    snprintf(text, sizeof text, "%u", n);
    setenv(name, text, 1);
}

static void set_environment(const CaptiveProgram *p)
{
    set_number("LISTEN_PID", (unsigned)getpid());
    set_number("LISTEN_FDS", p->n_fds);
    unsetenv("LISTEN_FDNAMES");
    unsetenv("NOTIFY_SOCKET");
    unsetenv("FDSTORE");
    if (p->names)
        setenv("LISTEN_FDNAMES", p->names, 1);
    if (p->notify) {
        setenv("NOTIFY_SOCKET", p->notify, 1);
        set_number("FDSTORE", p->store);
    }
}

/* First all go out of the way of each other, and *report out of theirs. */
static bool place(const CaptiveProgram *p, int *report)
{
    int end = GIVEN + (int)p->n_fds;
    g_autofree int *high = g_new(int, p->n_fds);
    *report = fcntl(*report, F_DUPFD_CLOEXEC, end);
    for (unsigned i = 0; i < p->n_fds; i++) {
        high[i] = p->fds[i] < end ? fcntl(p->fds[i], F_DUPFD_CLOEXEC, end) : p->fds[i];
        if (high[i] < 0)
            return false;
    }
    for (unsigned i = 0; i < p->n_fds; i++)
        if (dup2(high[i], GIVEN + (int)i) < 0)
            return false;
    return *report >= 0;
}

/* In the child. Does not return; what went wrong goes to report. */
static void become(const CaptiveProgram *p, int report, pid_t parent)
{
    sigset_t none;
    int old = report;
    set_environment(p);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    signal(SIGPIPE, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (place(p, &report) && getppid() == parent)
        execvp(p->argv[0], (char **)p->argv);
    int e = errno;
    if (write(report >= 0 ? report : old, &e, sizeof e) != sizeof e)
        _exit(126);
    _exit(127);
}

pid_t captive_spawn(const CaptiveProgram *p, GError **error)
{
    int report[2], e = 0;
    pid_t parent = getpid();
    if (pipe2(report, O_CLOEXEC))
        return fail_errno(error, errno, "%s", p->argv[0]), 0;
    pid_t pid = fork();
    if (!pid)
        become(p, report[1], parent);
    if (pid < 0)
        e = errno;
    close(report[1]);
    ssize_t n = 0;
    if (pid > 0)
        do
            n = read(report[0], &e, sizeof e); /* nothing once it runs */
        while (n < 0 && errno == EINTR);
    close(report[0]);
    if (pid > 0 && n <= 0)
        return pid;
    if (pid > 0)
        waitpid(pid, NULL, 0);
    return fail_errno(error, e, "%s", p->argv[0]), 0;
}

void captive_end_process(pid_t pid)
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

/* ---- Captives ------------------------------------------------------------------- */

/* A folder with a socket. */
static Captive *captive_new(int *listener, GError **error)
{
    g_autoptr(Captive) c = g_new0(Captive, 1);
    c->control = -1;
    c->dir = g_dir_make_tmp("captive-XXXXXX", error);
    if (!c->dir)
        return NULL;
    c->path = g_build_filename(c->dir, "socket", NULL);
    *listener = listen_at(c->path, error);
    return *listener < 0 ? NULL : g_steal_pointer(&c);
}

Captive *captive_start(const char *const *argv, GError **error)
{
    int fd;
    g_autoptr(Captive) c = captive_new(&fd, error);
    if (!c)
        return NULL;
    c->pid = captive_spawn(&(CaptiveProgram){ .argv = argv, .fds = &fd, .n_fds = 1 }, error);
    close(fd);
    return c->pid ? g_steal_pointer(&c) : NULL;
}

Captive *captive_start_kept(const char *const *argv, const CaptiveKeep *keep, GError **error)
{
    int fd;
    g_autoptr(Captive) c = captive_new(&fd, error);
    if (!c)
        return NULL;
    c->pid = captive_keeper_start(argv, keep, c->dir, fd, &c->control, error);
    close(fd);
    return c->pid ? g_steal_pointer(&c) : NULL;
}

const char *captive_socket(const Captive *c)
{
    return c->path;
}

/* The keeper ends its program first, which may take as long as one here. */
static void end_keeper(Captive *c)
{
    close(c->control);
    for (int ms = 0; ms < GRACE_MS; ms += STEP_MS) {
        if (waitpid(c->pid, NULL, WNOHANG) == c->pid)
            return;
        g_usleep(STEP_MS * 1000);
    }
    captive_end_process(c->pid);
}

void captive_end(Captive *c)
{
    if (!c)
        return;
    if (c->control >= 0)
        end_keeper(c);
    else if (c->pid)
        captive_end_process(c->pid);
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
