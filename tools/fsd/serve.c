/* SPDX-License-Identifier: MIT */
/*
 * Serving: the socket, the program of --run, one front end after the other, the signals that end
 * it. A request's way is ring -> lib/fuse -> ring on the queue's thread; those that wait for a lock
 * have a thread of their own, so that the request which frees it is not behind them.
 */
#include "tool.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/log.h"
#include "base/socket.h"
#include "base/thread.h"
#include "vhost/vhost.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_WAITING = 512, TAG = 36, QUEUES = 32 };

typedef struct {
    Tool *tool;
    FuseSession *session;
    VhostBackend *backend;
    _Atomic bool ended;
    _Atomic unsigned waiting;
    int wake;               /* an eventfd: it is over */
    int status;
    uint8_t config[TAG + 4]; /* struct virtio_fs_config */
} Server;

/* ---- Requests --------------------------------------------------------------------- */

typedef struct {
    Server *server;
    VhostRequest *request;
} Waiting;

static size_t answer(Server *s, VhostRequest *r)
{
    return fuse_session_handle(s->session, r->chain.out, (int)r->chain.out_count, r->chain.in,
                               (int)r->chain.in_count, fuse_slot(r->queue, r->chain.id));
}

static void *wait_body(void *opaque)
{
    Waiting *w = opaque;
    size_t written = answer(w->server, w->request);
    vhost_request_done(w->request, (uint32_t)written);
    atomic_fetch_sub(&w->server->waiting, 1);
    g_free(w);
    return NULL;
}

static int64_t handle(void *opaque, VhostRequest *r)
{
    Server *s = opaque;
    if (fuse_may_wait(r->chain.out, (int)r->chain.out_count) &&
        atomic_fetch_add(&s->waiting, 1) < MAX_WAITING) {
        pthread_t thread;
        Waiting *w = g_new(Waiting, 1);
        *w = (Waiting){ s, r };
        if (!thread_start(&thread, "fs-lock", wait_body, w)) {
            pthread_detach(thread);
            return VHOST_LATER;
        }
        atomic_fetch_sub(&s->waiting, 1);
        g_free(w);
    }
    return (int64_t)answer(s, r);
}

static void interrupt(void *opaque)
{
    Server *s = opaque;
    fuse_session_interrupt(s->session);
}

static void reset(void *opaque)
{
    Server *s = opaque;
    if (atomic_load(&s->ended) && s->tool->store)
        return; /* the guest is still there, and so shall be what it knows when we are started again
                 */
    fuse_session_reset(s->session);
}

/* ---- Sockets ------------------------------------------------------------------------ */

static bool listen_at(Tool *t, GError **error)
{
    g_autoptr(SocketAddress) a = socket_address_unix(t->socket_path);
    GArray *fds = socket_listen(a, 1, error);
    if (!fds)
        return false;
    t->listener = g_array_index(fds, int, 0);
    g_array_unref(fds);
    g_autofree char *dir = g_path_get_dirname(t->socket_path);
    t->socket_dir = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    t->socket_file = g_path_get_basename(t->socket_path);
    const struct group *group = t->socket_group ? getgrnam(t->socket_group) : NULL;
    if (t->socket_group && !group)
        return fail(error, "--socket-group %s: there is no such group", t->socket_group);
    if (group && (chown(t->socket_path, (uid_t)-1, group->gr_gid) || chmod(t->socket_path, 0660)))
        return fail_errno(error, errno, "%s", t->socket_path);
    return true;
}

/* A descriptor that is listening, or connected. */
static bool take(Tool *t, int fd, GError **error)
{
    int listening = 0;
    socklen_t size = sizeof listening;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size))
        return fail_errno(error, errno, "descriptor %d is no socket of ours", fd);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (listening) {
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        t->listener = fd;
    } else
        t->connection = fd;
    return true;
}

static bool open_socket(Tool *t, GError **error)
{
    if (t->fd >= 0)
        return take(t, t->fd, error);
    if (t->inherited > 0)
        return t->inherited == 1
                   ? take(t, SOCKET_INHERITED_FIRST, error)
                   : fail(error, "%d sockets were given to us, and one is needed", t->inherited);
    if (!t->socket_path) {
        const char *runtime = g_getenv("XDG_RUNTIME_DIR");
        char *path = g_strdup_printf("%s/fsd.%d", runtime ? runtime : "/tmp", (int)getpid());
        g_ptr_array_add(t->kept, path);
        t->socket_path = path;
    }
    return listen_at(t, error);
}

static bool start_program(Tool *t, GError **error)
{
    char *argv[] = { "/bin/sh", "-c", (char *)t->run, NULL };
    g_auto(GStrv) env = g_environ_setenv(g_get_environ(), "socket", t->socket_path, TRUE);
    return g_spawn_async(NULL, argv, env, G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_CHILD_INHERITS_STDIN,
                         NULL, NULL, &t->child, error) ||
           prefix(error, "--run");
}

static bool daemonize(GError **error)
{
    pid_t pid = fork();
    if (pid < 0)
        return fail_errno(error, errno, "fork");
    if (pid)
        _exit(0);
    setsid();
    int null = open("/dev/null", O_RDWR);
    if (null < 0)
        return fail_errno(error, errno, "/dev/null");
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    if (null > 2)
        close(null);
    return true;
}

/* ---- The end ---------------------------------------------------------------------------- */

static void end(Server *s, int status)
{
    s->status = status;
    atomic_store(&s->ended, true);
    eventfd_write(s->wake, 1);
    vhost_backend_stop(s->backend);
}

static void *signal_body(void *opaque)
{
    Server *s = opaque;
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < 4; i++)
        sigaddset(&set, (int[]){ SIGTERM, SIGINT, SIGHUP, SIGCHLD }[i]);
    for (;;) {
        int status, signal = sigwaitinfo(&set, NULL);
        if (signal == SIGTERM || signal == SIGINT || signal == SIGHUP) {
            end(s, 0);
            if (s->tool->child)
                kill(s->tool->child, signal);
        }
        for (pid_t pid; signal == SIGCHLD && (pid = waitpid(-1, &status, WNOHANG)) > 0;)
            if (pid == s->tool->child)
                end(s, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    }
    return NULL;
}

/* A connection, or -1 when it is over. */
static int next_connection(Server *s)
{
    while (!atomic_load(&s->ended)) {
        struct pollfd p[2] = { { s->tool->listener, POLLIN, 0 }, { s->wake, POLLIN, 0 } };
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return -1;
        if (!(p[0].revents & POLLIN))
            continue;
        int fd = accept4(s->tool->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            return fd;
    }
    return -1;
}

static int serve_all(Server *s)
{
    Tool *t = s->tool;
    bool good = true;
    for (;;) {
        g_autoptr(GError) error = NULL;
        int fd = t->connection >= 0 ? t->connection : next_connection(s);
        if (fd < 0)
            break;
        fd = keeper_start(t, QUEUES, fd);
        good = vhost_backend_serve(s->backend, fd, &error);
        if (!good)
            voice_fail(&t->voice, "%s", error->message);
        else if (t->verbose)
            voice_warn(&t->voice, "the front end is gone");
        close(fd);
        if (t->once || t->connection >= 0 || atomic_load(&s->ended))
            break;
    }
    if (t->child)
        while (!atomic_load(&s->ended)) {
            struct pollfd p = { s->wake, POLLIN, 0 };
            poll(&p, 1, -1);
        }
    return atomic_load(&s->ended) ? s->status : good ? 0 : VOICE_FAILED;
}

static void say(void *opaque, const char *line)
{
    voice_warn(&((const Server *)opaque)->tool->voice, "%s", line);
}

static void trouble(void *opaque, int error)
{
    const Tool *t = ((Server *)opaque)->tool;
    if (error == ENOENT)
        voice_warn(&t->voice, "%s: the directory has been removed", t->shared_dir);
    else if (error != EROFS || !t->fs.readonly)
        voice_warn(&t->voice, "%s: %s", t->shared_dir, g_strerror(error));
}

/* Nothing of this is worth not to serve for. */
static void keep(Tool *t, Fs *fs)
{
    g_autofree char *forgot = NULL;
    g_autoptr(GError) error = NULL;
    if (!t->store)
        return;
    if (!fs_keep(fs, t->store, &forgot, &error))
        voice_warn(&t->voice, "what is open is not kept for a restart: %s", error->message);
    if (forgot)
        voice_warn(&t->voice, "what was open before the restart is forgotten: %s", forgot);
}

static void say_resumed(const Tool *t, const Fs *fs, const FuseSession *session)
{
    unsigned files, open;
    if (!fs_resumed(fs, &files, &open))
        return;
    if (!fuse_session_resumed(session))
        voice_warn(&t->voice,
                   "what was open before the restart is forgotten: it was made with other options");
    else if (t->verbose)
        voice_warn(&t->voice, "goes on with %u files, %u open", files, open);
}

static bool set_up(Server *s, Fs **fs, GError **error)
{
    Tool *t = s->tool;
    t->fuse.trouble = trouble;
    t->fuse.opaque = s;
    pthread_t thread;
    VhostDevice device = { .name = "fs", .queues = QUEUES, .config = t->tag ? s->config : NULL,
                           .config_size = sizeof s->config, .handle = handle, .interrupt = interrupt,
                           .say = say, .reset = reset, .opaque = s };
    *fs = fs_new(&t->fs, error);
    if (*fs)
        keep(t, *fs);
    if (!*fs || !(s->session = fuse_session_new(*fs, &t->fuse, error)))
        return false;
    say_resumed(t, *fs, s->session);
    if (t->tag) /* else a front end names it; some wonder at a back end that could */
        memcpy(s->config, t->tag, MIN(strlen(t->tag), TAG));
    st_le32(s->config + TAG, QUEUES - 1);
    s->backend = vhost_backend_new(&device);
    s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->wake < 0 || thread_start(&thread, "fs-signals", signal_body, s))
        return fail_errno(error, errno, "a thread for signals");
    pthread_detach(thread);
    return confine_calls(t, error);
}

int serve(Tool *t)
{
    GError *error = NULL;
    Fs *fs = NULL;
    Server s = { .tool = t, .wake = -1 };
    sigset_t set;
    sigemptyset(&set);
    if (!open_socket(t, &error) || (t->run && !start_program(t, &error)) ||
        (t->daemonize && !daemonize(&error)))
        return voice_error(&t->voice, error);
    for (int i = 0; i < 4; i++)
        sigaddset(&set, (int[]){ SIGTERM, SIGINT, SIGHUP, SIGCHLD }[i]);
    sigprocmask(SIG_BLOCK, &set, NULL); /* for sigwaitinfo, after the child was started without */
    if (t->store)
        fdstore_tell(t->store,
                     "READY=1"); /* the socket listens, for what a manager wants to know */
    int status = confine(t, &error) && set_up(&s, &fs, &error) ? serve_all(&s)
                                                               : voice_error(&t->voice, error);
    if (t->socket_dir >= 0 && t->socket_file)
        unlinkat(t->socket_dir, t->socket_file, 0);
    if (s.backend && !atomic_load(&s.waiting))
        vhost_backend_free(s.backend);
    fuse_session_free(s.session);
    fs_free(fs);
    return status;
}
