/* SPDX-License-Identifier: MIT */
/*
 * Connecting to and listening on socket addresses, and sockets inherited from a service manager
 * (sd_listen_fds(3)). Left out: multipath TCP.
 */
#include "base/socket.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* The same address at both ends. */
static bool stays_here(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } a, b;
    socklen_t a_size = sizeof a, b_size = sizeof b;

    if (getsockname(fd, &a.any, &a_size) || getpeername(fd, &b.any, &b_size) ||
        a.any.sa_family != b.any.sa_family)
        return false;
    switch (a.any.sa_family) {
    case AF_INET:
        return a.in.sin_addr.s_addr == b.in.sin_addr.s_addr;
    case AF_INET6:
        return !memcmp(&a.in6.sin6_addr, &b.in6.sin6_addr, sizeof a.in6.sin6_addr);
    default:
        return false;
    }
}

void socket_quick(int fd)
{
    static const char unpaced[] = "reno"; /* which every kernel has, and lets everybody use */
    int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (stays_here(fd))
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, unpaced, sizeof unpaced - 1);
}

/* ---- names ----------------------------------------------------------------- */

static char *end_text(const SocketEnd *end)
{
    char host[NI_MAXHOST], port[NI_MAXSERV];
    const struct sockaddr *sa = (const struct sockaddr *)&end->addr;

    if (sa->sa_family == AF_UNIX) {
        const struct sockaddr_un *un = (const struct sockaddr_un *)&end->addr;
        size_t head = offsetof(struct sockaddr_un, sun_path);
        size_t n = end->len > head ? end->len - head : 0;
        bool abstract = n && !un->sun_path[0];
        g_autofree char *path = g_strndup(un->sun_path + abstract, n - abstract);
        return g_strdup_printf("unix:%s%s", abstract && *path ? "@" : "", path);
    }
    if (sa->sa_family == AF_VSOCK) {
        const struct sockaddr_vm *vm = (const struct sockaddr_vm *)&end->addr;
        return vm->svm_cid == VMADDR_CID_ANY
                   ? g_strdup_printf("vsock:any:%u", vm->svm_port)
                   : g_strdup_printf("vsock:%u:%u", vm->svm_cid, vm->svm_port);
    }
    if (getnameinfo(sa, end->len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV))
        return g_strdup("a socket");
    return g_strdup_printf("%s:%s", host, port);
}

static char *name_of(int fd, int (*ask)(int fd, struct sockaddr *addr, socklen_t *len))
{
    SocketEnd end = { .len = sizeof end.addr };

    if (ask(fd, (struct sockaddr *)&end.addr, &end.len))
        return g_strdup_printf("fd:%d", fd);
    return end_text(&end);
}

char *socket_name(int fd)
{
    return name_of(fd, getsockname);
}

char *socket_peer_name(int fd)
{
    return name_of(fd, getpeername);
}

/* ---- connecting ------------------------------------------------------------ */

static gint64 now_ms(void)
{
    return g_get_monotonic_time() / 1000;
}

/* Until fd is connected or `until` has come (-1: never): 0 or an errno. */
static int wait_connected(int fd, gint64 until)
{
    struct pollfd p = { .fd = fd, .events = POLLOUT };
    socklen_t len = sizeof(int);
    int e = 0, n;

    do {
        gint64 left = until < 0 ? -1 : MAX(until - now_ms(), 0);
        n = poll(&p, 1, (int)MIN(left, G_MAXINT));
    } while (n < 0 && errno == EINTR);
    if (n <= 0)
        return n ? errno : ETIMEDOUT;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) ? errno : e;
}

static int connect_within(int fd, const SocketEnd *end, gint64 until)
{
    for (;;) {
        if (!connect(fd, (const struct sockaddr *)&end->addr, end->len))
            return 0;
        if (errno == EINPROGRESS || errno == EINTR)
            return wait_connected(fd, until);
        /* the queue of a unix socket is full, and nothing tells when it is no longer */
        if (errno != EAGAIN || end->addr.ss_family != AF_UNIX)
            return errno;
        if (until >= 0 && now_ms() >= until)
            return ETIMEDOUT;
        g_usleep(5000);
    }
}

/* A blocking descriptor, or -errno. */
static int connect_end(const SocketEnd *end, gint64 until)
{
    int fd = socket(end->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    int e = connect_within(fd, end, until);
    if (!e && fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK))
        e = errno;
    if (!e)
        return fd;
    close(fd);
    return -e;
}

static bool is_socket(int fd, GError **error)
{
    int type;
    socklen_t len = sizeof type;

    if (!getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len))
        return true;
    return errno == ENOTSOCK ? fail_usage(error, "File descriptor '%d' is not a socket", fd)
                             : fail_errno(error, errno, "fd:%d", fd);
}

/* An inherited descriptor becomes like one of ours. */
static bool take_fd(int fd, bool blocking, GError **error)
{
    int flags = fcntl(fd, F_GETFL);

    if (!is_socket(fd, error))
        return false;
    flags = blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK;
    if (fcntl(fd, F_SETFL, flags) || fcntl(fd, F_SETFD, FD_CLOEXEC))
        return fail_errno(error, errno, "fd:%d", fd);
    return true;
}

int socket_connect(const SocketAddress *a, int deadline_ms, GError **error)
{
    g_autoptr(GArray) ends = g_array_new(FALSE, FALSE, sizeof(SocketEnd));
    gint64 until = deadline_ms < 0 ? -1 : now_ms() + deadline_ms;
    int fd = -EADDRNOTAVAIL, on = 1;

    if (a->type == SOCKET_FD)
        return take_fd(a->fd, true, error) ? a->fd : -1;
    if (!socket_resolve(a, SOCK_STREAM, false, ends, error))
        return -1;
    for (guint i = 0; fd < 0 && i < ends->len; i++) {
        /* one that does not answer leaves a share of the time to the others */
        gint64 now = now_ms(), left = until - now;
        gint64 share = until < 0 ? -1 : now + MAX(left, 0) / (ends->len - i);
        fd = connect_end(&g_array_index(ends, SocketEnd, i), share);
    }
    if (fd < 0) {
        g_autofree char *text = socket_address_text(a);
        const char *name = g_str_has_prefix(text, "unix:") ? text + strlen("unix:") : text;
        fail_errno(error, -fd, "Failed to connect to '%s'", name);
        return -1;
    }
    if (a->keep_alive)
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    return fd;
}

/* ---- listening ------------------------------------------------------------- */

static const char *unix_path(const SocketEnd *end)
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)&end->addr;

    return un->sun_family == AF_UNIX && end->len > offsetof(struct sockaddr_un, sun_path) &&
                   un->sun_path[0]
               ? un->sun_path
               : NULL;
}

/* Nobody answers at a path that is in use: what listened there was killed. */
static bool remove_dead(const SocketEnd *end, int type)
{
    const char *path = unix_path(end);
    struct stat st;
    int fd = -1;

    bool dead = path && !lstat(path, &st) && S_ISSOCK(st.st_mode) &&
                (fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) >= 0 &&
                connect(fd, (const struct sockaddr *)&end->addr, end->len) && errno == ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    return dead && !unlink(path);
}

/* -errno. only6: IPv6 alone, as the same port of IPv4 is or may be another descriptor's. */
static int listen_end(const SocketEnd *end, int type, int backlog, bool only6)
{
    const struct sockaddr *addr = (const struct sockaddr *)&end->addr;
    int on = 1, fd = socket(addr->sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    if (addr->sa_family != AF_UNIX)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (addr->sa_family == AF_INET6 && only6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    int e = bind(fd, addr, end->len) ? errno : 0;
    if (e == EADDRINUSE && remove_dead(end, type))
        e = bind(fd, addr, end->len) ? errno : 0;
    if (!e && type == SOCK_STREAM && listen(fd, backlog)) {
        e = errno;
        if (unix_path(end))
            unlink(unix_path(end));
    }
    if (!e)
        return fd;
    close(fd);
    return -e;
}

int socket_listen_end(const SocketEnd *end, int type, int backlog, GError **error)
{
    int fd = listen_end(end, type, backlog, false);

    if (fd >= 0)
        return fd;
    g_autofree char *text = end_text(end);
    if (unix_path(end))
        fail_errno(error, -fd, "Failed to bind socket to %s", unix_path(end));
    else
        fail_errno(error, -fd, "cannot listen on %s", text);
    return -1;
}

static in_port_t *port_of(SocketEnd *end)
{
    return end->addr.ss_family == AF_INET6 ? &((struct sockaddr_in6 *)&end->addr)->sin6_port
                                           : &((struct sockaddr_in *)&end->addr)->sin_port;
}

static void close_all(GArray *fds)
{
    for (guint i = 0; i < fds->len; i++)
        close(g_array_index(fds, int, i));
    g_array_set_size(fds, 0);
}

/* All of ends at one port, which for 0 is what the first one gets. 0 or an errno, that of an
 * address in use before others. */
static int listen_port(GArray *ends, unsigned port, int backlog, bool only6, GArray *fds)
{
    int e = 0;

    for (guint i = 0; i < ends->len; i++) {
        SocketEnd *end = &g_array_index(ends, SocketEnd, i);
        SocketEnd got = { .len = sizeof got.addr };
        *port_of(end) = htons((uint16_t)port);
        int fd = listen_end(end, SOCK_STREAM, backlog, only6);
        if (fd < 0) {
            /* a family that this host has not, an address that is not there: others may do */
            e = -fd;
            if (e == EADDRINUSE) {
                close_all(fds);
                return e;
            }
            continue;
        }
        g_array_append_val(fds, fd);
        if (!port && !getsockname(fd, (struct sockaddr *)&got.addr, &got.len))
            port = ntohs(*port_of(&got));
    }
    return fds->len ? 0 : e;
}

static int listen_inet(const SocketAddress *a, GArray *ends, int backlog, GArray *fds)
{
    unsigned first = ntohs(*port_of(&g_array_index(ends, SocketEnd, 0)));
    unsigned last = MAX(first, a->to), tries = first ? 1 : 16;
    bool only6 = ends->len > 1 || a->family == AF_INET6;
    int e = EADDRINUSE;

    for (unsigned port = first; e == EADDRINUSE && port <= last; port++)
        for (unsigned i = 0; e == EADDRINUSE && i < tries; i++)
            e = listen_port(ends, port, backlog, only6, fds);
    return e;
}

GArray *socket_listen(const SocketAddress *a, int backlog, GError **error)
{
    g_autoptr(GArray) ends = g_array_new(FALSE, FALSE, sizeof(SocketEnd));
    g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(int));
    int listens = 0;
    socklen_t len = sizeof listens;

    if (a->type == SOCKET_FD) {
        if (!take_fd(a->fd, false, error))
            return NULL;
        if (getsockopt(a->fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) || !listens) {
            fail_usage(error, "fd:%d does not listen", a->fd);
            return NULL;
        }
        g_array_append_val(fds, a->fd);
        return g_steal_pointer(&fds);
    }
    if (!socket_resolve(a, SOCK_STREAM, true, ends, error))
        return NULL;
    if (a->type == SOCKET_INET) {
        int e = listen_inet(a, ends, backlog, fds);
        if (!e)
            return g_steal_pointer(&fds);
        g_autofree char *text = socket_address_text(a);
        fail_errno(error, e, "cannot listen on %s", text);
        return NULL;
    }
    int fd = socket_listen_end(&g_array_index(ends, SocketEnd, 0), SOCK_STREAM, backlog, error);
    if (fd < 0)
        return NULL;
    g_array_append_val(fds, fd);
    return g_steal_pointer(&fds);
}

void socket_unlisten(GArray *fds)
{
    for (guint i = 0; fds && i < fds->len; i++) {
        SocketEnd end = { .len = sizeof end.addr - 1 }; /* a path without a zero ends in ours */
        int fd = g_array_index(fds, int, i);
        if (!getsockname(fd, (struct sockaddr *)&end.addr, &end.len) && unix_path(&end))
            unlink(unix_path(&end));
        close(fd);
    }
    if (fds)
        g_array_unref(fds);
}

/* ---- inherited ------------------------------------------------------------- */

static int read_inherited(const char *pid, const char *count, const char *names, char ***out,
                          GError **error)
{
    guint64 n;

    if (!pid || !count)
        return 0;
    if (!g_ascii_string_to_unsigned(pid, 10, 1, G_MAXINT, &n, NULL))
        return fail(error, "LISTEN_PID=%s: a process id is wanted", pid) - 1;
    if ((pid_t)n != getpid())
        return 0;
    if (!g_ascii_string_to_unsigned(count, 10, 1, SOCKET_INHERITED_MAX, &n, NULL))
        return fail(error, "LISTEN_FDS=%s: a number from 1 to %d is wanted", count,
                    SOCKET_INHERITED_MAX) - 1;
    for (int fd = SOCKET_INHERITED_FIRST; fd < SOCKET_INHERITED_FIRST + (int)n; fd++) {
        if (fcntl(fd, F_SETFD, FD_CLOEXEC))
            return fail_errno(error, errno, "LISTEN_FDS=%s: descriptor %d", count, fd) - 1;
        if (!is_socket(fd, error))
            return prefix(error, "LISTEN_FDS=%s", count) - 1;
    }
    g_auto(GStrv) words = g_strsplit(names ? names : "", ":", -1);
    if (names && g_strv_length(words) != n)
        return fail(error, "LISTEN_FDNAMES=%s: %s names are wanted", names, count) - 1;
    if (out) {
        *out = g_new0(char *, n + 1);
        for (guint64 i = 0; i < n; i++)
            (*out)[i] = g_strdup(names ? words[i] : "");
    }
    return (int)n;
}

int socket_inherited(char ***names, GError **error)
{
    if (names)
        *names = NULL;
    int n = read_inherited(getenv("LISTEN_PID"), getenv("LISTEN_FDS"), getenv("LISTEN_FDNAMES"),
                           names, error);
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return n;
}
