/* SPDX-License-Identifier: MIT */
/*
 * The way to the host: a port of virtio-serial, a serial line, or a socket that is listened on, one
 * peer at a time as hosts expect. Sources: virtio 1.2, 5.3 (console device), poll and read of
 * Linux's virtio ports, termios(3).
 *
 * The peer's descriptor sits in an epoll of its own, edge-triggered: a virtio port whose host end
 * is closed reports POLLHUP all the time, and only an edge tells without spinning that the host has
 * come back.
 *
 * What the peer does not fetch is kept up to a limit, above which no more of its requests are read.
 */
#include "ga.h"

#include "base/error.h"
#include "base/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <termios.h>
#include <unistd.h>

enum {
    READ_SIZE = 64 << 10,
    MOST_PENDING = 1 << 20, /* bytes of answers, before the next request is run */
    KEEP = 64 << 10,        /* of an emptied buffer */
    TURNS = 64,             /* requests or reads before others get a turn */
    BACKLOG = 16,
    NEWS_LATE = 2 * G_USEC_PER_SEC, /* that a host came, after its data */
    FIRST_WAIT = 250, LAST_WAIT = 5000, /* ms until a device is tried again */
};

struct GaChannel {
    Ga *ga;
    GArray *listening; /* of int; NULL: a device */
    GaWatch *doors;    /* one for each of them */
    GaWatch peer;      /* an epoll with fd in it */
    int fd;            /* the peer's; -1: none */
    int64_t heard;     /* monotonic us when something was last read */
    bool port;         /* it is a port of virtio, whose end means that the host is not there now */
    GaWatch again;     /* the time to look for a device */
    int wait;          /* ms for the next time */
    char *wrong;       /* what was said last of a device that cannot be opened */
    GString *out;
    size_t sent;       /* of out */
    char in[READ_SIZE];
    size_t at, len;    /* of in */
    bool ended;        /* the peer has said all it will */
    bool busy;         /* within a command, which may wait in the main loop */
};

static void look_again(GaChannel *c);
static void watch_doors(GaChannel *c);

static size_t pending(const GaChannel *c)
{
    return c->out->len - c->sent;
}

static void empty(GaChannel *c)
{
    if (c->out->allocated_len > KEEP) {
        g_string_free(c->out, true);
        c->out = g_string_new(NULL);
    }
    g_string_truncate(c->out, 0);
    c->sent = 0;
}

static void forget_peer(GaChannel *c)
{
    if (c->fd < 0)
        return;
    ga_watch_remove(c->ga, &c->peer);
    close(c->peer.fd);
    close(c->fd);
    c->fd = -1;
    c->at = c->len = 0;
    c->ended = false;
    empty(c);
    agent_reset(c->ga->agent);
}

/* The peer is gone; err is why, 0: it closed. */
static void lost(GaChannel *c, int err)
{
    Ga *ga = c->ga;
    ga_debug(ga, "the host is gone%s%s", err ? ": " : "", err ? g_strerror(err) : "");
    forget_peer(c);
    if (c->listening) {
        watch_doors(c);
    } else if (ga->options.retry) {
        c->wait = FIRST_WAIT;
        look_again(c);
    } else {
        ga_log(ga, "%s: %s", ga->options.path, err ? g_strerror(err) : "closed");
        ga->status = GA_FAILED;
    }
}

/* 0, also when the peer takes no more now, or -errno. */
static int flush_out(GaChannel *c)
{
    while (pending(c)) {
        ssize_t n = write(c->fd, c->out->str + c->sent, pending(c));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? 0 : -errno;
        c->sent += n;
    }
    empty(c);
    return 0;
}

/* Not more than one request at a time: each ends with a brace, or is wrong. */
static void feed(GaChannel *c)
{
    const char *start = c->in + c->at, *end = memchr(start, '}', c->len - c->at);
    size_t n = end ? (size_t)(end - start) + 1 : c->len - c->at;
    c->at += n;
    c->busy = true;
    agent_feed(c->ga->agent, start, n);
    c->busy = false;
}

/* The end of what is read, from a virtio port: there is no host at the moment, and what it began is
 * to be forgotten. But a host's data may overtake the news that it came, which goes through another
 * queue and a work thread of the kernel: then its request is read, its answer is refused, and any
 * number of events may come before the port is open. So what came lately is taken for the new
 * host's; should it have been the old one's after all, the next host passes over an answer to what
 * it did not ask. */
static void host_absent(GaChannel *c)
{
    int64_t due = c->heard + NEWS_LATE;
    if (g_get_monotonic_time() < due) {
        c->peer.due = due;
        return;
    }
    agent_reset(c->ga->agent);
    empty(c);
}

/* 1: go on, 0: wait for an event, or -errno. */
static int read_in(GaChannel *c)
{
    ssize_t n = read(c->fd, c->in, sizeof c->in);
    if (n < 0)
        return errno == EAGAIN ? 0 : errno == EINTR ? 1 : -errno;
    c->at = 0;
    c->len = (size_t)n;
    if (n) {
        c->heard = g_get_monotonic_time();
        return 1;
    }
    if (c->port) {
        host_absent(c);
        return 0;
    }
    c->ended = true;
    return 1;
}

static void pump(GaChannel *c)
{
    for (unsigned i = 0; i < TURNS; i++) {
        int r = flush_out(c);
        if (r < 0)
            return lost(c, -r);
        if (c->busy || pending(c) > MOST_PENDING || c->ga->quit)
            return;
        if (c->at < c->len) {
            feed(c);
        } else if (c->ended) {
            if (!pending(c))
                lost(c, 0);
            return;
        } else if ((r = read_in(c)) <= 0) {
            if (r < 0)
                lost(c, -r);
            return;
        }
    }
    c->peer.due = g_get_monotonic_time(); /* no edge will tell of what is there already */
}

static void on_peer(Ga *ga, GaWatch *watch, short revents)
{
    struct epoll_event event;
    if (revents && epoll_wait(watch->fd, &event, 1, 0) < 0)
        ga_debug(ga, "epoll: %s", g_strerror(errno));
    pump(ga->channel);
}

/* Takes fd, which is closed when it cannot be waited for. */
static int new_peer(GaChannel *c, int fd)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET };
    int poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (poll_fd < 0 || epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        int err = errno;
        close(fd);
        if (poll_fd >= 0)
            close(poll_fd);
        return -err;
    }
    c->fd = fd;
    c->peer = (GaWatch){ .fd = poll_fd, .events = POLLIN, .ready = on_peer };
    ga_watch_add(c->ga, &c->peer);
    return 0;
}

/* ---- sockets ------------------------------------------------------------------------ */

static void on_door(Ga *ga, GaWatch *watch, short revents)
{
    GaChannel *c = ga->channel;
    int fd = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return; /* it went before we came */
    int r = new_peer(c, fd);
    if (r < 0)
        return ga_log(ga, "a connection: %s", g_strerror(-r));
    ga_debug(ga, "a host connected");
    for (unsigned i = 0; i < c->listening->len; i++)
        ga_watch_remove(ga, &c->doors[i]);
}

static void watch_doors(GaChannel *c)
{
    for (unsigned i = 0; i < c->listening->len; i++) {
        c->doors[i] = (GaWatch){ .fd = g_array_index(c->listening, int, i), .events = POLLIN,
                                 .ready = on_door };
        ga_watch_add(c->ga, &c->doors[i]);
    }
}

/* Listening descriptors; those that a service manager gave us, if it did. */
static GArray *listen_on(const GaOptions *o, GError **error)
{
    g_autoptr(SocketAddress) address = NULL;
    if (o->inherited) {
        GArray *fds = g_array_new(false, false, sizeof(int));
        int fd = SOCKET_INHERITED_FIRST;
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        return g_array_append_val(fds, fd);
    }
    if (o->method == GA_UNIX_LISTEN) {
        address = socket_address_unix(o->path);
    } else {
        g_autofree char *text = g_strconcat("vsock:", o->path, NULL);
        address = socket_address_parse(text, error);
    }
    return address ? socket_listen(address, BACKLOG, error) : NULL;
}

/* ---- devices -------------------------------------------------------------------------- */

static bool set_line(int fd)
{
    struct termios t;
    if (tcgetattr(fd, &t) < 0)
        return false;
    cfmakeraw(&t);
    cfsetspeed(&t, B38400);
    t.c_cflag |= CLOCAL | CREAD;
    t.c_cflag &= ~(tcflag_t)HUPCL;
    t.c_cc[VMIN] = 1;
    t.c_cc[VTIME] = 0;
    tcflush(fd, TCIFLUSH); /* what a boot loader was asked, say */
    return tcsetattr(fd, TCSANOW, &t) == 0;
}

static bool open_device(GaChannel *c, GError **error)
{
    const GaOptions *o = &c->ga->options;
    int fd = open(o->path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), err;
    if (fd < 0) {
        err = errno;
        return fail_errno(error, err, err == EBUSY ? "%s (another agent?)" : "%s", o->path);
    }
    if (o->method == GA_ISA_SERIAL && !set_line(fd)) {
        err = errno;
        close(fd);
        return fail_errno(error, err, "%s is no serial line", o->path);
    }
    err = -new_peer(c, fd);
    if (err)
        return err == EPERM ? fail(error, "%s is neither a port nor a line", o->path) :
                              fail_errno(error, err, "%s", o->path);
    c->port = o->method == GA_VIRTIO_SERIAL && !isatty(fd);
    ga_debug(c->ga, "%s is open", o->path);
    return true;
}

static void on_again(Ga *ga, GaWatch *watch, short revents)
{
    GaChannel *c = ga->channel;
    g_autoptr(GError) error = NULL;
    ga_watch_remove(ga, watch);
    if (open_device(c, &error)) {
        g_clear_pointer(&c->wrong, g_free);
        return;
    }
    if (g_strcmp0(c->wrong, error->message)) {
        ga_log(ga, "%s; waiting for it", error->message);
        g_free(c->wrong);
        c->wrong = g_strdup(error->message);
    }
    look_again(c);
}

static void look_again(GaChannel *c)
{
    c->again = (GaWatch){ .fd = -1, .due = g_get_monotonic_time() + c->wait * 1000,
                          .ready = on_again };
    c->wait = MIN(c->wait * 2, LAST_WAIT);
    ga_watch_add(c->ga, &c->again);
}

/* ---- for main -------------------------------------------------------------------------- */

bool ga_channel_open(Ga *ga, GError **error)
{
    GaOptions *o = &ga->options;
    GaChannel *c = ga->channel = g_new0(GaChannel, 1);
    *c = (GaChannel){ .ga = ga, .fd = -1, .wait = FIRST_WAIT, .out = g_string_new(NULL) };
    if (o->method == GA_UNIX_LISTEN || o->method == GA_VSOCK_LISTEN) {
        c->listening = listen_on(o, error);
        if (!c->listening)
            return false;
        c->doors = g_new0(GaWatch, c->listening->len);
        watch_doors(c);
        return true;
    }
    g_autoptr(GError) local = NULL;
    if (open_device(c, &local))
        return true;
    if (!o->retry) {
        g_propagate_error(error, g_steal_pointer(&local));
        return false;
    }
    ga_log(ga, "%s; waiting for it", local->message);
    c->wrong = g_strdup(local->message);
    look_again(c);
    return true;
}

void ga_channel_close(Ga *ga)
{
    GaChannel *c = ga->channel;
    if (!c)
        return;
    if (c->fd >= 0)
        flush_out(c);
    forget_peer(c);
    ga_watch_remove(ga, &c->again);
    for (unsigned i = 0; c->doors && i < c->listening->len; i++)
        ga_watch_remove(ga, &c->doors[i]);
    if (c->listening && ga->options.inherited)
        g_array_unref(c->listening);
    else if (c->listening)
        socket_unlisten(c->listening);
    g_free(c->doors);
    g_free(c->wrong);
    g_string_free(c->out, true);
    g_free(c);
    ga->channel = NULL;
}

void ga_channel_send(void *opaque, const char *bytes, size_t len)
{
    Ga *ga = opaque;
    if (ga->channel && ga->channel->fd >= 0)
        g_string_append_len(ga->channel->out, bytes, (gssize)len);
}
