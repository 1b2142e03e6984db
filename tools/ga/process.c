/* SPDX-License-Identifier: MIT */
/*
 * Starting programs by posix_spawn(3), and their pipes. Their ends are seen by pidfd_open(2), so
 * that SIGCHLD is nobody's; a kernel before 5.3 is asked every so often. A program that is
 * forgotten while it runs leaves its watch behind to reap it.
 */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHUNK = 64 << 10, LOOK = 100 * 1000 /* us */, ASKED = 1 /* ms */ };

#define USUAL_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

const char *const ga_captures[] = { "none", "stdout", "stderr", "separated", "merged", NULL };

/* ---- the program's end ---------------------------------------------------------------------- */

static bool reap(pid_t pid, int *status)
{
    pid_t r;
    while ((r = waitpid(pid, status, WNOHANG)) < 0 && errno == EINTR)
        ;
    return r != 0;
}

static void end_watch(Ga *ga, GaWatch *w)
{
    ga_watch_remove(ga, w);
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
}

static void on_end(Ga *ga, GaWatch *watch, short revents)
{
    GaProcess *p = watch->opaque;
    if (!reap(p->pid, &p->status)) {
        if (watch->fd < 0)
            watch->due = g_get_monotonic_time() + LOOK;
        return;
    }
    p->ended = true;
    end_watch(ga, watch);
}

/* A watch without a GaProcess; opaque is the process ID. */
static void on_orphan_end(Ga *ga, GaWatch *watch, short revents)
{
    int status;
    if (!reap(GPOINTER_TO_INT(watch->opaque), &status)) {
        if (watch->fd < 0)
            watch->due = g_get_monotonic_time() + LOOK;
        return;
    }
    end_watch(ga, watch);
    g_free(watch);
}

static void watch_end(GaProcess *p)
{
    int fd = (int)syscall(SYS_pidfd_open, p->pid, 0);
    p->end = (GaWatch){ .fd = fd, .events = POLLIN, .ready = on_end, .opaque = p };
    if (fd < 0)
        p->end.due = g_get_monotonic_time() + LOOK;
    ga_watch_add(p->ga, &p->end);
}

/* ---- pipes ---------------------------------------------------------------------------------- */

static void close_pipe(Ga *ga, GaPipe *pipe)
{
    if (pipe->watch.fd < 0)
        return;
    ga_watch_remove(ga, &pipe->watch);
    close(pipe->watch.fd);
    pipe->watch.fd = -1;
}

static void on_output(Ga *ga, GaWatch *watch, short revents)
{
    GaPipe *pipe = watch->opaque;
    char buf[CHUNK];
    size_t room = pipe->most - pipe->bytes->len;
    if (pipe->hold && !room) {
        ga_watch_remove(ga, watch); /* until ga_process_took */
        return;
    }
    ssize_t n = read(watch->fd, buf, pipe->hold ? MIN(room, sizeof buf) : sizeof buf);
    if (n > 0) {
        g_byte_array_append(pipe->bytes, (const uint8_t *)buf, (unsigned)MIN((size_t)n, room));
        pipe->truncated |= (size_t)n > room;
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        close_pipe(ga, pipe);
    }
}

static void on_input(Ga *ga, GaWatch *watch, short revents)
{
    GaPipe *pipe = watch->opaque;
    size_t len = pipe->bytes->len - pipe->at;
    ssize_t n = len ? write(watch->fd, pipe->bytes->data + pipe->at, len) : 0;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0) { /* it does not want more */
        g_byte_array_set_size(pipe->bytes, 0);
        pipe->at = 0;
        close_pipe(ga, pipe);
        return;
    }
    pipe->at += (size_t)n;
    if (pipe->at < pipe->bytes->len)
        return;
    g_byte_array_set_size(pipe->bytes, 0);
    pipe->at = 0;
    if (pipe->last)
        close_pipe(ga, pipe);
    else
        ga_watch_remove(ga, watch);
}

static void open_end(GaProcess *p, GaPipe *pipe, int fd, bool input)
{
    pipe->bytes = g_byte_array_new();
    pipe->watch = (GaWatch){ .fd = fd, .events = input ? POLLOUT : POLLIN,
                             .ready = input ? on_input : on_output,
                             .opaque = pipe };
    if (fd < 0)
        return;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    if (!input)
        ga_watch_add(p->ga, &pipe->watch);
}

/* ---- starting ------------------------------------------------------------------------------- */

static bool is_program(const char *path)
{
    struct stat st;
    return access(path, X_OK) == 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* As execvpe() would; the name itself where nothing is found, for the error. */
static char *look_up(const char *name, char **env)
{
    const char *path = env ? g_environ_getenv(env, "PATH") : NULL;
    if (!*name || strchr(name, '/'))
        return g_strdup(name);
    if (!path)
        path = g_getenv("PATH");
    g_auto(GStrv) folders = g_strsplit(path ? path : USUAL_PATH, ":", -1);
    for (unsigned i = 0; folders[i]; i++) {
        g_autofree char *file = g_build_filename(*folders[i] ? folders[i] : ".", name, NULL);
        if (is_program(file))
            return g_steal_pointer(&file);
    }
    return NULL;
}

typedef struct {
    int in[2], out[2], err[2]; /* pipes; -1: none */
    int null;
} Ends;

static void close_ends(Ends *e)
{
    int all[] = { e->in[0], e->in[1], e->out[0], e->out[1], e->err[0], e->err[1], e->null };
    for (unsigned i = 0; i < G_N_ELEMENTS(all); i++)
        if (all[i] >= 0)
            close(all[i]);
}

static bool make_ends(const GaProgram *g, Ends *e)
{
    bool out = g->capture == GA_CAPTURE_STDOUT || g->capture == GA_CAPTURE_SEPARATED ||
               g->capture == GA_CAPTURE_MERGED;
    bool err = g->capture == GA_CAPTURE_STDERR || g->capture == GA_CAPTURE_SEPARATED;
    *e = (Ends){ { -1, -1 }, { -1, -1 }, { -1, -1 }, open("/dev/null", O_RDWR | O_CLOEXEC) };
    return e->null >= 0 && (!g->input || pipe2(e->in, O_CLOEXEC) == 0) &&
           (!out || pipe2(e->out, O_CLOEXEC) == 0) && (!err || pipe2(e->err, O_CLOEXEC) == 0);
}

/* 0 or an errno. */
static int spawn(const GaProgram *g, const char *file, const Ends *e, pid_t *pid)
{
    posix_spawnattr_t attr;
    posix_spawn_file_actions_t files;
    /* what we ignore, or whoever started us may have ignored */
    static const int plain[] = { SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGALRM, SIGTERM, SIGCHLD,
                                 SIGTSTP };
    sigset_t none, defaults;
    unsigned n = g->args ? g_strv_length(g->args) : 0;
    g_autofree char **argv = g_new0(char *, n + 2);
    argv[0] = (char *)g->path;
    for (unsigned i = 0; i < n; i++)
        argv[i + 1] = g->args[i];
    sigemptyset(&none);
    sigemptyset(&defaults);
    for (unsigned i = 0; i < G_N_ELEMENTS(plain); i++)
        sigaddset(&defaults, plain[i]);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &defaults);
    posix_spawnattr_setflags(&attr,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
    posix_spawn_file_actions_init(&files);
    int out = e->out[1] >= 0 ? e->out[1] : e->null;
    int err = g->capture == GA_CAPTURE_MERGED ? out : e->err[1] >= 0 ? e->err[1] : e->null;
    posix_spawn_file_actions_adddup2(&files, e->in[0] >= 0 ? e->in[0] : e->null, 0);
    posix_spawn_file_actions_adddup2(&files, out, 1);
    posix_spawn_file_actions_adddup2(&files, err, 2);
    int status = posix_spawn(pid, file, &files, &attr, argv, g->env ? g->env : environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    return status;
}

GaProcess *ga_process_start(Ga *ga, const GaProgram *g, GError **error)
{
    Ends e;
    pid_t pid = 0;
    g_autofree char *file = look_up(g->path, g->env);
    int err = make_ends(g, &e) ? 0 : errno;
    if (!err)
        err = file ? spawn(g, file, &e, &pid) : ENOENT;
    if (err) {
        close_ends(&e);
        ga_fail(error, "Guest agent command failed, error was "
                "'Failed to execute child process \u201c%s\u201d (%s)'", g->path, g_strerror(err));
        return NULL;
    }
    GaProcess *p = g_new0(GaProcess, 1);
    p->ga = ga;
    p->pid = pid;
    p->out.most = p->err.most = g->most;
    p->out.hold = p->err.hold = g->hold;
    open_end(p, &p->in, e.in[1], true);
    open_end(p, &p->out, e.out[0], false);
    open_end(p, &p->err, e.err[0], false);
    e.in[1] = e.out[0] = e.err[0] = -1;
    close_ends(&e);
    watch_end(p);
    return p;
}

void ga_process_free(GaProcess *p)
{
    GaPipe *all[] = { p ? &p->in : NULL, p ? &p->out : NULL, p ? &p->err : NULL };
    if (!p)
        return;
    for (unsigned i = 0; i < G_N_ELEMENTS(all); i++) {
        close_pipe(p->ga, all[i]);
        ga_watch_remove(p->ga, &all[i]->watch);
        g_byte_array_unref(all[i]->bytes);
    }
    if (!p->ended) {
        GaWatch *orphan = g_memdup2(&p->end, sizeof p->end);
        ga_watch_remove(p->ga, &p->end);
        orphan->ready = on_orphan_end;
        orphan->opaque = GINT_TO_POINTER(p->pid);
        ga_watch_add(p->ga, orphan);
    }
    g_free(p);
}

void ga_process_forget(Ga *ga)
{
    for (unsigned i = ga->watches->len; i--;) {
        GaWatch *w = ga->watches->pdata[i];
        if (w->ready != on_orphan_end)
            continue;
        end_watch(ga, w);
        g_free(w);
    }
}

size_t ga_process_unread(const GaProcess *p)
{
    return p->in.bytes->len - p->in.at;
}

void ga_process_write(GaProcess *p, const void *bytes, size_t len, bool last)
{
    if (p->in.watch.fd < 0)
        return;
    g_byte_array_append(p->in.bytes, bytes, (unsigned)len);
    p->in.last |= last;
    ga_watch_add(p->ga, &p->in.watch);
}

void ga_process_took(GaProcess *p)
{
    if (p->out.watch.fd >= 0)
        ga_watch_add(p->ga, &p->out.watch);
    if (p->err.watch.fd >= 0)
        ga_watch_add(p->ga, &p->err.watch);
}

static void read_all(GaProcess *p, GaPipe *pipe)
{
    unsigned had;
    if (pipe->watch.fd < 0)
        return;
    do {
        had = pipe->bytes->len;
        on_output(p->ga, &pipe->watch, POLLIN);
    } while (pipe->watch.fd >= 0 && pipe->bytes->len != had);
}

void ga_process_look(GaProcess *p)
{
    struct pollfd end = { .fd = p->end.fd, .events = POLLIN };
    if (!p->ended && (end.fd < 0 || poll(&end, 1, ASKED) > 0))
        on_end(p->ga, &p->end, 0);
    if (!p->ended)
        return;
    read_all(p, &p->out);
    read_all(p, &p->err);
}

bool ga_process_done(const GaProcess *p)
{
    return p->ended && p->out.watch.fd < 0 && p->err.watch.fd < 0;
}
