/* SPDX-License-Identifier: MIT */
/*
 * socket: one peer at a time over a stream socket, unix (path=), TCP (host= port=) or one that was
 * inherited (fd=), as a server, which listens again when the peer has gone, or as a client,
 * which with reconnect=SECONDS (reconnect-ms=) connects again, with reconnect-tries=N until it has
 * been refused so often in a row. telnet=on speaks enough of RFC 854 (binary, remote echo,
 * character at a time, break) for a telnet client to be a terminal.
 *
 * Names are looked up once, at the start. Left out: TLS, websocket, tn3270.
 */
#include "base/error.h"
#include "base/socket.h"
#include "chardev/chardev_priv.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SE = 240, BREAK = 243, SB = 250, WILL = 251, DONT = 254, IAC = 255 };

typedef struct {
    ChardevStream *stream;
    bool server, wait, telnet, nodelay;
    unsigned reconnect; /* milliseconds; 0: never */
    unsigned tries, refused; /* how often in a row it may be; 0: for ever */
    bool lent;          /* the front end has the socket and connects again by itself */
    char *path, *host, *port;
    bool made_path;     /* it is ours to remove */
    GArray *addresses;  /* of SocketEnd; a client tries them in order */
    guint next;
    int listen_fd, connect_fd; /* or -1 */
    GSource *source;    /* of listen_fd or connect_fd, or the time until the next attempt */
    int error;          /* why the last attempt to connect failed */
    enum { TEXT, COMMAND, OPTION, SUB, SUB_COMMAND } state; /* of the telnet input */
} Socket;

static void clear_source(Socket *s)
{
    if (s->source) {
        g_source_destroy(s->source);
        g_clear_pointer(&s->source, g_source_unref);
    }
}

static void set_source(Chardev *c, GSource *source, GSourceFunc func)
{
    Socket *s = c->priv;
    clear_source(s);
    s->source = source;
    g_source_set_callback(source, func, c, NULL);
    g_source_attach(source, NULL);
}

/* ---- Telnet ---------------------------------------------------------------- */

static size_t telnet_filter(Chardev *c, uint8_t *buf, size_t len)
{
    Socket *s = c->priv;
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        uint8_t b = buf[i];
        switch (s->state) {
        case TEXT:
            if (b == IAC)
                s->state = COMMAND;
            else
                buf[n++] = b;
            break;
        case COMMAND:
            s->state = b == SB ? SUB : b >= WILL && b <= DONT ? OPTION : TEXT;
            if (b == IAC)
                buf[n++] = b;
            else if (b == BREAK)
                chardev_send_event(c, CHARDEV_EVENT_BREAK);
            break;
        case OPTION: /* the answers to what we have announced: nothing follows from them */
            s->state = TEXT;
            break;
        case SUB:
            if (b == IAC)
                s->state = SUB_COMMAND;
            break;
        case SUB_COMMAND:
            s->state = b == SE ? TEXT : SUB;
            break;
        }
    }
    return n;
}

static void telnet_hello(Socket *s)
{
    enum { BINARY = 0, ECHO_BACK = 1, NO_GO_AHEAD = 3, DO = 253 };
    static const uint8_t hello[] = { IAC, WILL, ECHO_BACK, IAC, WILL, NO_GO_AHEAD,
                                     IAC, WILL, BINARY, IAC, DO, BINARY };
    s->state = TEXT;
    chardev_stream_push(s->stream, hello, sizeof hello);
}

static size_t telnet_write(Socket *s, const uint8_t *buf, size_t len)
{
    static const uint8_t escaped[] = { IAC, IAC };
    size_t done = 0;
    while (done < len) {
        const uint8_t *iac = memchr(buf + done, IAC, len - done);
        size_t run = iac ? (size_t)(iac - buf) - done : len - done;
        size_t n = run ? chardev_stream_write(s->stream, buf + done, run) : 0;
        done += n;
        if (n < run)
            break;
        if (!iac)
            continue;
        size_t taken = chardev_stream_write(s->stream, escaped, 2);
        if (!taken)
            break;
        chardev_stream_push(s->stream, escaped, 2 - taken);
        done++;
    }
    return done;
}

/* ---- Peers ----------------------------------------------------------------- */

static void attach(Chardev *c, int fd)
{
    Socket *s = c->priv;
    if (s->nodelay)
        socket_quick(fd);
    chardev_stream_attach(s->stream, fd, true);
    if (s->telnet)
        telnet_hello(s);
}

static gboolean on_accept(gint listen_fd, GIOCondition condition, gpointer opaque)
{
    Chardev *c = opaque;
    Socket *s = c->priv;
    int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return G_SOURCE_CONTINUE; /* it left before we looked */
    clear_source(s); /* others wait in the queue until this one has gone */
    attach(c, fd);
    return G_SOURCE_REMOVE;
}

static void start_listening(Chardev *c)
{
    Socket *s = c->priv;
    set_source(c, g_unix_fd_source_new(s->listen_fd, G_IO_IN), G_SOURCE_FUNC(on_accept));
}

static void try_next(Chardev *c);

static gboolean on_connected(gint fd, GIOCondition condition, gpointer opaque)
{
    Chardev *c = opaque;
    Socket *s = c->priv;
    socklen_t len = sizeof s->error;
    s->connect_fd = -1;
    clear_source(s);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &s->error, &len))
        s->error = errno;
    if (!s->error) {
        s->refused = 0;
        attach(c, fd);
    } else {
        close(fd);
        try_next(c);
    }
    return G_SOURCE_REMOVE;
}

static gboolean on_retry(gpointer opaque)
{
    Chardev *c = opaque;
    Socket *s = c->priv;
    s->next = 0;
    clear_source(s);
    try_next(c);
    return G_SOURCE_REMOVE;
}

/* Connects to the next address; after the last, waits or gives up with s->error. */
static void try_next(Chardev *c)
{
    Socket *s = c->priv;
    while (s->next < s->addresses->len) {
        const SocketEnd *a = &g_array_index(s->addresses, SocketEnd, s->next++);
        int fd = socket(a->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd >= 0 && !connect(fd, (const struct sockaddr *)&a->addr, a->len)) {
            s->error = 0;
            s->refused = 0;
            attach(c, fd);
            return;
        }
        s->error = errno;
        if (fd >= 0 && errno == EINPROGRESS) {
            s->connect_fd = fd;
            set_source(c, g_unix_fd_source_new(fd, G_IO_OUT | G_IO_HUP | G_IO_ERR),
                       G_SOURCE_FUNC(on_connected));
            return;
        }
        if (fd >= 0)
            close(fd);
    }
    if (s->reconnect && (!s->tries || ++s->refused < s->tries))
        set_source(c, g_timeout_source_new(s->reconnect), on_retry);
}

static void on_gone(Chardev *c)
{
    Socket *s = c->priv;
    if (s->listen_fd >= 0)
        start_listening(c);
    else if (s->reconnect && !s->lent)
        set_source(c, g_timeout_source_new(s->reconnect), on_retry);
}

/* Runs the main loop until a peer is there or none can come. */
static bool wait_for_peer(Chardev *c, GError **error)
{
    Socket *s = c->priv;
    while (!chardev_stream_attached(s->stream)) {
        if (!s->source)
            return fail_errno(error, s->error, "cannot connect");
        if (chardev_cancelled(c))
            return fail(error, "nobody has connected");
        g_main_context_iteration(NULL, TRUE);
    }
    return true;
}

/* ---- Opening --------------------------------------------------------------- */

static bool find_addresses(Socket *s, bool ipv4, bool ipv6, GError **error)
{
    g_autoptr(SocketAddress) a = s->path ? socket_address_unix(s->path)
                                         : socket_address_inet(s->host, s->port);

    if (ipv4 != ipv6)
        a->family = ipv4 ? AF_INET : AF_INET6;
    return socket_resolve(a, SOCK_STREAM, s->server, s->addresses, error);
}

static bool take_fd(Chardev *c, const char *text, GError **error)
{
    Socket *s = c->priv;
    guint64 fd;
    int listens = 0;
    socklen_t len = sizeof listens;
    if (!g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT, &fd, NULL))
        return fail_usage(error, "fd=%s: a number is wanted", text);
    if (getsockopt((int)fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len))
        return fail_errno(error, errno, "fd=%s", text);
    if (listens && !s->server)
        return fail_usage(error, "fd=%s listens: it goes with server=on", text);
    if (!listens && s->server)
        return fail_usage(error, "fd=%s does not listen: it goes without server=on", text);
    g_unix_set_fd_nonblocking((int)fd, TRUE, NULL);
    if (listens)
        s->listen_fd = (int)fd;
    else
        attach(c, (int)fd);
    return true;
}

static bool start_server(Chardev *c, GError **error)
{
    Socket *s = c->priv;
    for (guint i = 0; s->listen_fd < 0 && i < s->addresses->len; i++) {
        g_clear_error(error);
        s->listen_fd = socket_listen_end(&g_array_index(s->addresses, SocketEnd, i), SOCK_STREAM,
                                         1, error);
    }
    if (s->listen_fd < 0)
        return false;
    s->made_path = s->path != NULL;
    start_listening(c);
    if (!s->wait)
        return true;
    g_autofree char *where = chardev_describe(c);
    chardev_notice(c, "waiting for connection on: %s", where);
    return wait_for_peer(c, error);
}

static bool read_reconnect(Socket *s, Options *o, GError **error)
{
    uint64_t seconds = 0, ms = 0, tries = 0;
    if (!options_get_number(o, "reconnect", 0, 86400, &seconds, error) ||
        !options_get_number(o, "reconnect-ms", 0, 86400000, &ms, error) ||
        !options_get_number(o, "reconnect-tries", 0, 1000000, &tries, error))
        return false;
    if (seconds && ms)
        return fail_usage(error, "reconnect= and reconnect-ms= are the same thing");
    s->reconnect = (unsigned)(seconds ? seconds * 1000 : ms);
    s->tries = (unsigned)tries;
    return !tries || s->reconnect || fail_usage(error, "reconnect-tries= goes with reconnect=");
}

static bool read_options(Socket *s, Options *o, const char **fd, bool *ipv4, bool *ipv6,
                         GError **error)
{
    bool websocket = false, wait_given = options_has(o, "wait");
    s->path = g_strdup(options_get(o, "path"));
    s->host = g_strdup(options_get(o, "host"));
    s->port = g_strdup(options_get(o, "port"));
    *fd = options_get(o, "fd");
    *ipv4 = *ipv6 = false;
    s->wait = true;
    if (!options_get_bool(o, "server", &s->server, error) ||
        !options_get_bool(o, "wait", &s->wait, error) ||
        !options_get_bool(o, "telnet", &s->telnet, error) ||
        !options_get_bool(o, "websocket", &websocket, error) ||
        !options_get_bool(o, "nodelay", &s->nodelay, error) ||
        !options_get_bool(o, "ipv4", ipv4, error) || !options_get_bool(o, "ipv6", ipv6, error) ||
        !read_reconnect(s, o, error))
        return false;
    if (websocket || options_has(o, "tls-creds"))
        return fail_usage(error, "%s is not there yet", websocket ? "websocket" : "TLS");
    if (!options_done(o, error))
        return false;
    if (!!s->path + !!*fd + (s->host || s->port) != 1)
        return fail_usage(error, "a socket has one of path=, port= with host=, and fd=");
    if (!s->path && !*fd && (!s->port || !*s->port))
        return fail_usage(error, "port=... is missing");
    if (s->server && s->reconnect)
        return fail_usage(error, "reconnect= is for clients: a server listens again by itself");
    if (!s->server && wait_given)
        return fail_usage(error, "wait= is for servers (server=on)");
    if (*fd && s->reconnect)
        return fail_usage(error, "reconnect= needs an address, fd= has none");
    if (!s->path && !*fd && !s->host)
        s->host = g_strdup("");
    return true;
}

static bool socket_open(Chardev *c, Options *o, GError **error)
{
    Socket *s = g_new0(Socket, 1);
    const char *fd;
    bool ipv4, ipv6;
    c->priv = s;
    s->listen_fd = s->connect_fd = -1;
    s->addresses = g_array_new(FALSE, TRUE, sizeof(SocketEnd));
    s->stream = chardev_stream_new(c, on_gone);
    if (!read_options(s, o, &fd, &ipv4, &ipv6, error))
        return false;
    if (s->telnet)
        chardev_stream_set_filter(s->stream, telnet_filter);
    if (fd ? !take_fd(c, fd, error) : !find_addresses(s, ipv4, ipv6, error))
        return false;
    if (s->server)
        return start_server(c, error);
    if (fd)
        return true;
    try_next(c);
    return s->reconnect || wait_for_peer(c, error);
}

static size_t socket_write(Chardev *c, const uint8_t *buf, size_t len)
{
    Socket *s = c->priv;
    return s->telnet ? telnet_write(s, buf, len) : chardev_stream_write(s->stream, buf, len);
}

static void socket_accept_input(Chardev *c)
{
    Socket *s = c->priv;
    chardev_stream_accept(s->stream);
}

static bool socket_flush(Chardev *c, int timeout_ms, GError **error)
{
    Socket *s = c->priv;
    return chardev_stream_flush(s->stream, timeout_ms, error);
}

static char *socket_describe(const Chardev *c)
{
    const Socket *s = c->priv;
    const char *server = s->server ? ",server=on" : "";
    const char *scheme = s->telnet ? "telnet" : s->path ? "unix" : s->port ? "tcp" : "fd";
    if (s->path)
        return g_strdup_printf("%s:%s%s", scheme, s->path, server);
    if (s->port)
        return g_strdup_printf(strchr(s->host, ':') ? "%s:[%s]:%s%s" : "%s:%s:%s%s", scheme,
                               s->host, s->port, server);
    return g_strdup_printf("%s:%s", scheme, server);
}

static int socket_peer(const Chardev *c)
{
    Socket *s = c->priv;
    s->lent = true;
    return chardev_stream_fd(s->stream);
}

static ChardevRetry socket_retry(const Chardev *c)
{
    const Socket *s = c->priv;
    return (ChardevRetry){ s->reconnect, s->tries };
}

/* Blocks nowhere: a queue that is full counts as refused. */
static int socket_connect_again(const Chardev *c)
{
    const Socket *s = c->priv;
    if (!s->path || s->server)
        return errno = ENOTCONN, -1;
    const SocketEnd *a = &g_array_index(s->addresses, SocketEnd, 0);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&a->addr, a->len)) {
        int e = errno;
        close(fd);
        fd = -1;
        errno = e;
    }
    return fd;
}

static void socket_close(Chardev *c)
{
    Socket *s = c->priv;
    clear_source(s);
    chardev_stream_free(s->stream);
    if (s->connect_fd >= 0)
        close(s->connect_fd);
    if (s->listen_fd >= 0)
        close(s->listen_fd);
    if (s->made_path)
        unlink(s->path);
    g_array_unref(s->addresses);
    g_free(s->path);
    g_free(s->host);
    g_free(s->port);
    g_free(s);
}

const ChardevType socket_chardev = {
    .name = "socket",
    .usage = "unix:PATH, tcp:HOST:PORT, telnet:HOST:PORT",
    .summary = "a stream socket; ,server=on[,wait=off] listens",
    .open = socket_open,
    .write = socket_write,
    .accept_input = socket_accept_input,
    .flush = socket_flush,
    .describe = socket_describe,
    .socket = socket_peer,
    .retry = socket_retry,
    .connect_again = socket_connect_again,
    .close = socket_close,
};
