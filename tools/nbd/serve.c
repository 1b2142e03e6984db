/* SPDX-License-Identifier: MIT */
/*
 * Serving: the images are opened, the sockets listened on, everything else of the host is given up,
 * and then the main loop runs until the last client has left (without -t), the command of --run has
 * ended, or a signal came. The first signal lets each client have the answers it waits for; after
 * GRACE_MS, or a second signal, connections are cut.
 */
#include "tool.h"

#include "base/error.h"
#include "base/socket.h"
#include "crypto/tls.h"
#include "nbd/nbd.h"
#include "sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GRACE_MS = 10000, BACKLOG = 128 };

typedef struct {
    Tool *tool;
    BlockGraph *graph;
    ExportNbd *nbd;
    GPtrArray *held;          /* nodes */
    GArray *listeners;        /* of socket_listen; NULL when they were given to us */
    char *private_path, *private_dir; /* of a socket of our own, NULL: none */
    GMainLoop *loop;
    NbdUri where;             /* without the export's name */
    Device *device;           /* NULL: none */
    GPid child;               /* 0: none */
    int status;
    bool stopping;
    guint grace;
} Server;

/* ---- Ending ----------------------------------------------------------------- */

static void quit_when_empty(Server *s)
{
    if (s->stopping && !export_nbd_connections(s->nbd))
        g_main_loop_quit(s->loop);
}

static gboolean on_grace(gpointer opaque)
{
    Server *s = opaque;
    s->grace = 0;
    voice_warn(&s->tool->voice, "clients that do not take their answers are cut off");
    export_nbd_stop(s->nbd, true);
    return G_SOURCE_REMOVE;
}

static void stop(Server *s)
{
    export_nbd_stop(s->nbd, s->stopping);
    if (!s->stopping)
        s->grace = g_timeout_add(GRACE_MS, on_grace, s);
    s->stopping = true;
    quit_when_empty(s);
}

static gboolean on_signal(gpointer opaque)
{
    Server *s = opaque;
    if (s->child) /* the command decides when it is over */
        kill(s->child, SIGTERM);
    else
        stop(s);
    return G_SOURCE_CONTINUE;
}

static void on_changed(void *opaque, unsigned connections, uint64_t ever)
{
    Server *s = opaque;
    bool ends = !s->tool->persistent || s->device;
    if (!connections && ever && ends && !s->child)
        stop(s);
    quit_when_empty(s);
}

static void on_say(void *opaque, const char *line)
{
    Server *s = opaque;
    voice_fail(&s->tool->voice, "%s", line);
}

static void on_warning(void *opaque, const char *text)
{
    voice_warn(&((const Tool *)opaque)->voice, "%s", text);
}

/* Of --fork: whoever started us may go on. */
static void say_ready(const Tool *t)
{
    if (t->ready_fd < 0)
        return;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, STDOUT_FILENO);
        if (!t->verbose)
            dup2(null, STDERR_FILENO);
        close(null);
    }
    if (write(t->ready_fd, "r", 1) != 1)
        voice_warn(&t->voice, "who started this server has gone");
    close(t->ready_fd);
}

static void on_device(void *opaque, GError *error)
{
    Server *s = opaque;
    if (error) {
        s->status = voice_error(&s->tool->voice, error);
        stop(s);
        return;
    }
    if (!s->tool->voice.compatible)
        device_print(s->device);
    say_ready(s->tool);
}

/* ---- Sockets ---------------------------------------------------------------- */

static bool label_sockets(const Tool *t, GError **error)
{
    if (!t->selinux_label)
        return true;
    int fd = open("/proc/thread-self/attr/sockcreate", O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, t->selinux_label, strlen(t->selinux_label)) >= 0;
    int e = errno;
    if (fd >= 0)
        close(fd);
    return ok || fail_errno(error, e, "Cannot set SELinux socket label to %s", t->selinux_label);
}

/* A path that only this user can reach. */
static bool private_socket(Server *s, GError **error)
{
    const char *runtime = g_getenv("XDG_RUNTIME_DIR");
    if (runtime && *runtime == '/' && !access(runtime, W_OK)) {
        s->private_path = g_strdup_printf("%s/nbd.%d", runtime, (int)getpid());
        return true;
    }
    s->private_dir = g_strdup_printf("%s/nbd.XXXXXX", g_get_tmp_dir());
    if (!mkdtemp(s->private_dir)) {
        int e = errno;
        g_clear_pointer(&s->private_dir, g_free);
        return fail_errno(error, e, "a folder for the socket in %s", g_get_tmp_dir());
    }
    s->private_path = g_strdup_printf("%s/socket", s->private_dir);
    return true;
}

static void warn_if_open(const Tool *t, const char *host)
{
    bool any = !*host || !strcmp(host, "0.0.0.0") || !strcmp(host, "::");
    if (any && !t->tls_creds)
        voice_warn(&t->voice,
                   "whoever reaches this host can %s what is served; -b 127.0.0.1, -k or "
                   "--tls-creds prevent that",
                   t->read_only ? "read" : "read and write");
}

static bool listen_tcp(Server *s, GError **error)
{
    const Tool *t = s->tool;
    const char *host = t->bind ? t->bind : t->voice.compatible ? "0.0.0.0" : "127.0.0.1";
    warn_if_open(t, host);
    g_autofree char *port = t->port ? g_strdup(t->port) : g_strdup_printf("%d", NBD_PORT);
    g_autoptr(SocketAddress) a = socket_address_inet(host, port);
    s->listeners = socket_listen(a, BACKLOG, error);
    if (!s->listeners)
        return false;
    g_autofree char *name = socket_name(g_array_index(s->listeners, int, 0));
    bool any = !*host || !strcmp(host, "0.0.0.0") || !strcmp(host, "::");
    s->where.transport = NBD_URI_TCP;
    s->where.host = g_strdup(any ? "localhost" : host);
    s->where.port = g_strdup(strrchr(name, ':') ? strrchr(name, ':') + 1 : port);
    return true;
}

static bool listen_unix(Server *s, GError **error)
{
    const Tool *t = s->tool;
    if (!t->socket && !private_socket(s, error))
        return false;
    const char *path = t->socket ? t->socket : s->private_path;
    g_autoptr(SocketAddress) a = socket_address_unix(path);
    mode_t mask = umask(t->socket ? umask(0) : 077);
    if (t->socket)
        umask(mask);
    s->listeners = socket_listen(a, BACKLOG, error);
    umask(mask);
    if (!s->listeners)
        return false;
    g_autofree char *cwd = g_get_current_dir();
    s->where.transport = NBD_URI_UNIX;
    s->where.socket = g_canonicalize_filename(path, cwd);
    return true;
}

static bool listen_all(Server *s, GError **error)
{
    const Tool *t = s->tool;
    if (t->what == NBD_CONNECT) {
        s->device = device_begin(t, s->nbd, on_device, s, error);
        return s->device;
    }
    s->where.tls = t->tls_creds;
    if (t->inherited) {
        for (int i = 0; i < t->inherited; i++)
            export_nbd_listen(s->nbd, SOCKET_INHERITED_FIRST + i);
        return true;
    }
    bool tcp = t->tcp || (t->voice.compatible && !t->socket && !t->run);
    if (!label_sockets(t, error) || !(tcp ? listen_tcp(s, error) : listen_unix(s, error)))
        return false;
    for (unsigned i = 0; i < s->listeners->len; i++)
        export_nbd_listen(s->nbd, g_array_index(s->listeners, int, i));
    return true;
}

static char *uri_of(Server *s, unsigned i)
{
    g_autofree char *name = disks_name(s->tool, i);
    NbdUri uri = s->where;
    uri.name = name;
    return nbd_uri_text(&uri);
}

/* ---- The captive command ---------------------------------------------------- */

static void on_child(GPid pid, gint status, gpointer opaque)
{
    Server *s = opaque;
    s->child = 0;
    s->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    stop(s);
}

/* As nbdkit's captive commands have it: $uri, $nbd, $unixsocket, $port, $exportname, $tls. */
static bool run_child(Server *s, GError **error)
{
    const Tool *t = s->tool;
    char *argv[] = { (char *)"/bin/sh", (char *)"-c", (char *)t->run, NULL };
    g_auto(GStrv) env = g_get_environ();
    g_autofree char *uri = uri_of(s, 0), *name = disks_name(t, 0);
    const char *socket = s->where.socket ? s->where.socket : "",
               *port = s->where.port ? s->where.port : "";
    g_autofree char *nbd = *socket ? g_strdup_printf("nbd:unix:%s", socket)
                                   : g_strdup_printf("nbd:%s:%s", s->where.host, port);
    const char *const vars[][2] = {
        { "uri", uri },   { "nbd", nbd },         { "unixsocket", socket },
        { "port", port }, { "exportname", name }, { "tls", t->tls_creds ? "require" : "" }
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(vars); i++)
        env = g_environ_setenv(env, vars[i][0], vars[i][1], true);
    GSpawnFlags flags = G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_CHILD_INHERITS_STDIN;
    if (!g_spawn_async(NULL, argv, env, flags, NULL, NULL, &s->child, error))
        return false;
    g_child_watch_add(s->child, on_child, s);
    return true;
}

/* ---- Starting --------------------------------------------------------------- */

static bool write_pid(const Tool *t, GError **error)
{
    if (!t->pid_file)
        return true;
    g_autofree char *temporary = g_strdup_printf("%s.%d", t->pid_file, (int)getpid());
    g_autofree char *text = g_strdup_printf("%d\n", (int)getpid());
    if (!g_file_set_contents(temporary, text, -1, error))
        return prefix(error, "--pid-file");
    if (!rename(temporary, t->pid_file))
        return true;
    int e = errno;
    unlink(temporary);
    return fail_errno(error, e, "--pid-file %s", t->pid_file);
}

static bool new_server(Server *s, GError **error)
{
    const Tool *t = s->tool;
    ExportNbdConfig config = { .connections = t->shared, .handshake_ms = t->handshake_ms, .changed = on_changed,
                               .say = on_say, .opaque = s };
    if (t->tls_creds && !(config.creds = crypto_tls_creds(t->objects, t->tls_creds, true, error)))
        return false;
    if (t->tls_authz && !(config.authz = crypto_authz(t->objects, t->tls_authz, error)))
        return false;
    s->nbd = export_nbd_new(&config, error);
    return s->nbd && disks_offer(t, s->graph, s->nbd, s->held, error) && listen_all(s, error);
}

/* What can still be opened: what looking up a name needs (a server that this one passes on may come
 * back elsewhere), and rules of who may come in, which may change. */
static bool confine_files(const Server *s, GError **error)
{
    static const char *const names[] = { "/etc", "/usr", "/lib", "/lib64", "/run/systemd/resolve" };
    g_auto(GStrv) folders = crypto_objects_folders(s->tool->objects);
    g_autoptr(GPtrArray) readable = g_ptr_array_new();
    g_autofree char *socket_dir = s->where.socket ? g_path_get_dirname(s->where.socket) : NULL;
    g_autofree char *pid_dir = s->tool->pid_file ? g_path_get_dirname(s->tool->pid_file) : NULL;
    g_autofree char *above = s->private_dir ? g_path_get_dirname(s->private_dir) : NULL;
    const char *removable[4] = { NULL };
    unsigned n = 0;
    if (socket_dir)
        removable[n++] = socket_dir;
    if (pid_dir)
        removable[n++] = pid_dir;
    if (above)
        removable[n++] = above;
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
        g_ptr_array_add(readable, (gpointer)names[i]);
    for (unsigned i = 0; folders[i]; i++)
        g_ptr_array_add(readable, folders[i]);
    g_ptr_array_add(readable, NULL);
    SandboxPaths paths = { (const char *const *)readable->pdata, removable };
    return sandbox_paths(&paths, error) && sandbox_unprivileged(error);
}

static bool confine(const Server *s, GError **error)
{
    if (s->tool->no_sandbox)
        return true;
    /* a device has to be taken away in the end, with all privileges */
    if (!s->device && !confine_files(s, error))
        return false;
    SandboxOptions sandbox = { .on = true, .elevate = SANDBOX_ELEVATE_DENY, .no_spawn = true,
                               .no_resource_control = true };
    return sandbox_apply(&sandbox, error);
}

static void announce(Server *s)
{
    if (s->tool->voice.compatible || s->tool->run || s->tool->inherited || s->device)
        return;
    for (unsigned i = 0; i < disks_count(s->tool); i++) {
        g_autofree char *uri = uri_of(s, i);
        puts(uri);
    }
    fflush(stdout);
}

static bool start(Server *s, GError **error)
{
    return new_server(s, error) && write_pid(s->tool, error) &&
           (!s->tool->run || run_child(s, error)) && confine(s, error);
}

static void finish(Server *s)
{
    if (s->grace)
        g_source_remove(s->grace);
    device_end(s->device);
    export_nbd_free(s->nbd);
    int r = block_flush_all(s->graph);
    if (r && !s->status)
        s->status = voice_fail(&s->tool->voice,
                               "what was written last could not be brought to the disk: %s",
                               g_strerror(-r));
    if (s->listeners)
        socket_unlisten(s->listeners);
    if (s->private_dir)
        rmdir(s->private_dir);
    if (s->tool->pid_file)
        unlink(s->tool->pid_file);
    g_ptr_array_unref(s->held);
    block_graph_free(s->graph);
    nbd_uri_clear(&s->where);
    g_free(s->private_path);
    g_free(s->private_dir);
    g_main_loop_unref(s->loop);
}

static int serve_here(Tool *t)
{
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
    Server s = { .tool = t, .loop = g_main_loop_new(NULL, false), .graph = block_graph_new(),
                 .held = g_ptr_array_new_with_free_func((GDestroyNotify)block_node_unref) };
    guint sources[G_N_ELEMENTS(signals)];
    GError *error = NULL;
    block_graph_set_objects(s.graph, t->objects);
    block_graph_on_warning(s.graph, on_warning, t);
    for (unsigned i = 0; i < G_N_ELEMENTS(signals); i++)
        sources[i] = g_unix_signal_add(signals[i], on_signal, &s);
    if (start(&s, &error)) {
        announce(&s);
        if (!s.device)
            say_ready(t);
        g_main_loop_run(s.loop);
    } else {
        s.status = voice_error(&t->voice, error);
        if (s.child)
            kill(s.child, SIGTERM);
    }
    finish(&s);
    for (unsigned i = 0; i < G_N_ELEMENTS(sources); i++)
        g_source_remove(sources[i]);
    return s.status;
}

/* The parent's part of --fork: -1 in the child. */
static int await_ready(Tool *t)
{
    int fds[2];
    char byte;
    if (pipe2(fds, O_CLOEXEC))
        return voice_fail(&t->voice, "--fork: %s", g_strerror(errno));
    pid_t pid = fork();
    if (pid < 0)
        return voice_fail(&t->voice, "--fork: %s", g_strerror(errno));
    if (!pid) {
        close(fds[0]);
        t->ready_fd = fds[1];
        setsid();
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        dup2(null, STDIN_FILENO);
        close(null);
        return -1;
    }
    close(fds[1]);
    ssize_t n;
    do
        n = read(fds[0], &byte, 1);
    while (n < 0 && errno == EINTR);
    close(fds[0]);
    if (n == 1)
        return 0;
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status)
               ? WEXITSTATUS(status)
               : voice_fail(&t->voice, "the server ended as it started");
}

int serve(Tool *t)
{
    if (t->fork || (t->what == NBD_CONNECT && !t->verbose)) {
        int status = await_ready(t);
        if (status >= 0)
            return status;
    }
    if (t->exit_with_parent) {
        pid_t parent = getppid();
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (parent == 1 || getppid() != parent)
            return voice_fail(&t->voice, "--exit-with-parent: the parent has ended already");
    }
    return serve_here(t);
}
