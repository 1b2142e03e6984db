/* SPDX-License-Identifier: MIT */
/*
 * The process that keeps a captive: starts the program, waits for its end, starts it again with the
 * descriptors it has stored. It is forked off before rights are given up, has one thread, and holds
 * nothing of its parent's but output. The parent's death, or its wish, is the end of the control
 * socket.
 */
#include "base/captive_priv.h"

#include "base/error.h"
#include "base/fdkeep.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SPARE_FDS = 64, MOST_RESTARTS = 64, REASON = 256, UNWILLING_MS = 2000 };

typedef struct {
    const char *const *argv;
    const CaptiveKeep *keep;
    char *dir, *path, *notify;
    int listener, control, signals;
    FdKeep *store;
    unsigned room;
    bool full;                /* and it was said */
    pid_t pid;                /* 0: it is given up */
    gint64 begun;
    gint64 at[MOST_RESTARTS]; /* the last restarts, a ring */
    unsigned restarts;
} Keeper;

static void say(const Keeper *k, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
static void say(const Keeper *k, const char *fmt, ...)
{
    if (!k->keep->say)
        return;
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    g_autofree char *name = g_path_get_basename(k->argv[0]),
                    *line = g_strdup_printf("%s %s", name, text);
    k->keep->say(k->keep->opaque, line);
}

/* ---- The program ------------------------------------------------------------------ */

static bool start(Keeper *k, GError **error)
{
    unsigned n = fd_keep_count(k->store);
    g_autofree int *fds = g_new(int, n + 1);
    g_autoptr(GString) names = g_string_new("socket");
    fds[0] = k->listener;
    for (unsigned i = 0; i < n; i++) {
        fds[i + 1] = fd_keep_fd(k->store, i);
        g_string_append_printf(names, ":%s", fd_keep_name(k->store, i));
    }
    CaptiveProgram p = { .argv = k->argv, .fds = fds, .n_fds = n + 1, .names = names->str, .notify = k->notify,
                         .store = k->room };
    k->pid = captive_spawn(&p, error);
    return k->pid;
}

static void receive(Keeper *k)
{
    bool lost = fd_keep_receive(k->store);
    if (lost && !k->full)
        say(k, "stores more than %u descriptors: some will be missing when it is started again",
            k->room);
    k->full = k->full || lost;
}

static void give_up(Keeper *k)
{
    unlink(k->path);
    close(k->listener);
    k->listener = -1;
    k->pid = 0;
    g_clear_pointer(&k->store, fd_keep_free);
}

static bool too_often(Keeper *k)
{
    unsigned most = MIN(k->keep->restarts, MOST_RESTARTS);
    gint64 now = g_get_monotonic_time(), *last = &k->at[k->restarts % MAX(most, 1)];
    if (!most || (k->restarts >= most && now - *last < k->keep->seconds * G_USEC_PER_SEC))
        return true;
    *last = now;
    k->restarts++;
    return false;
}

/* One that ends at once and by itself did not like how it was started, and has said so. */
static bool unwilling(const Keeper *k, int status)
{
    return WIFEXITED(status) && !k->restarts &&
           g_get_monotonic_time() - k->begun < UNWILLING_MS * 1000;
}

static void ended(Keeper *k, int status)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *how = WIFSIGNALED(status)
                               ? g_strdup_printf("was killed by signal %d", WTERMSIG(status))
                               : g_strdup_printf("ended with status %d", WEXITSTATUS(status));
    receive(k); /* its last words */
    if (unwilling(k, status)) {
        say(k, "%s: it is not started again", how);
        give_up(k);
        return;
    }
    if (too_often(k)) {
        say(k, "%s, %u times in %u seconds: it is not started again", how, k->keep->restarts + 1,
            k->keep->seconds);
        give_up(k);
        return;
    }
    if (start(k, &error)) {
        say(k, "%s, and was started again", how);
        return;
    }
    say(k, "%s, and cannot be started again: %s", how, error->message);
    give_up(k);
}

/* ---- The process ------------------------------------------------------------------ */

static void close_others(const Keeper *k)
{
    g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
    g_autoptr(GArray) found = g_array_new(FALSE, FALSE, sizeof(int));
    for (const char *name; dir && (name = g_dir_read_name(dir));) {
        int fd = atoi(name);
        if (fd > 2 && fd != k->listener && fd != k->control)
            g_array_append_val(found, fd);
    }
    for (guint i = 0; i < found->len; i++)
        close(g_array_index(found, int, i)); /* that of the folder, too: it is closed again in vain */
}

/* Each descriptor that is stored is there a second time while the program starts. */
static unsigned find_room(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l))
        return 0;
    rlim_t want = 2 * FD_KEEP_MOST + SPARE_FDS;
    if (l.rlim_cur < want) {
        l.rlim_cur = MIN(want, l.rlim_max);
        setrlimit(RLIMIT_NOFILE, &l);
        getrlimit(RLIMIT_NOFILE, &l);
    }
    return l.rlim_cur <= SPARE_FDS ? 0 : (unsigned)MIN((l.rlim_cur - SPARE_FDS) / 2, FD_KEEP_MOST);
}

static bool set_up(Keeper *k, GError **error)
{
    sigset_t set;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, 0) < 0)
        return fail_errno(error, errno, "/dev/null");
    close_others(k);
    setpgid(0, 0);
    prctl(PR_SET_NAME, "captive");
    signal(SIGPIPE, SIG_IGN);
    /* the program's, too: it is in no foreground, and may say something */
    signal(SIGTTOU, SIG_IGN);
    sigfillset(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
    k->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (k->signals < 0)
        return fail_errno(error, errno, "signals");
    k->room = find_room();
    k->begun = g_get_monotonic_time();
    k->store = fd_keep_new(k->notify, k->room, error);
    return k->store && start(k, error);
}

/* False: we are to end. */
static bool handle_signals(Keeper *k)
{
    struct signalfd_siginfo info;
    int status;
    bool go_on = true;
    while (read(k->signals, &info, sizeof info) == sizeof info)
        go_on = go_on && info.ssi_signo != SIGTERM && info.ssi_signo != SIGINT &&
                info.ssi_signo != SIGHUP;
    if (go_on && k->pid && waitpid(k->pid, &status, WNOHANG) == k->pid)
        ended(k, status);
    return go_on;
}

static void keep(Keeper *k)
{
    bool go_on = true;
    while (go_on) {
        struct pollfd p[3] = { { .fd = k->signals, .events = POLLIN },
                               { .fd = k->control, .events = POLLIN },
                               { .fd = k->store ? fd_keep_socket(k->store) : -1,
                                 .events = POLLIN } };
        if (poll(p, 3, -1) < 0 && errno != EINTR)
            break;
        if (p[2].revents)
            receive(k);
        go_on = !p[1].revents && (!p[0].revents || handle_signals(k));
    }
    if (k->pid)
        captive_end_process(k->pid);
}

static void clean_up(const Keeper *k)
{
    unlink(k->notify);
    unlink(k->path);
    rmdir(k->dir);
}

/* In the child: tells the parent "", or why it could not begin. */
static G_NORETURN void run(Keeper *k)
{
    GError *error = NULL;
    char reason[REASON] = "";
    bool ok = set_up(k, &error);
    if (!ok)
        g_strlcpy(reason, error->message, sizeof reason);
    if (send(k->control, reason, sizeof reason, MSG_NOSIGNAL) == sizeof reason && ok)
        keep(k);
    clean_up(k);
    _exit(0);
}

pid_t captive_keeper_start(const char *const *argv, const CaptiveKeep *keep, const char *dir,
                           int listener, int *control, GError **error)
{
    int pair[2];
    char reason[REASON];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        return fail_errno(error, errno, "%s", argv[0]), 0;
    pid_t pid = fork();
    if (!pid) {
        Keeper k = { .argv = argv, .keep = keep, .dir = g_strdup(dir), .listener = listener, .control = pair[1],
                     .path = g_build_filename(dir, "socket", NULL), .notify = g_build_filename(dir, "notify", NULL) };
        run(&k);
    }
    int e = errno;
    close(pair[1]);
    ssize_t n = -1;
    if (pid > 0)
        do
            n = recv(pair[0], reason, sizeof reason, 0);
        while (n < 0 && errno == EINTR);
    if (n == sizeof reason && !*reason) {
        *control = pair[0];
        return pid;
    }
    close(pair[0]);
    if (pid > 0)
        waitpid(pid, NULL, 0);
    return pid < 0 ? fail_errno(error, e, "%s", argv[0])
                   : fail(error, "%s",
                          n == sizeof reason ? reason : "the process that keeps it has died"),
           0;
}
