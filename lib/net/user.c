/* SPDX-License-Identifier: MIT */
/*
 * user: a network of the guest's own behind this process, by libslirp: DHCP, DNS, TFTP, and
 * connections out through ordinary sockets. hostfwd= and guestfwd= lead connections in and to
 * commands or unix sockets. One guest a network.
 *
 * libslirp is used under a lock: cards send on any thread, everything else is on the main thread.
 * What it has for the guest comes while we hold the lock.
 *
 * Offloads: libslirp takes packets with their checksums right, over IPv4 of any size, and sends TCP
 * segments of the guest's size; so large ones from the guest go through as they are (over IPv6 they are
 * cut), and those to it are joined (segments.c) as long as one call of libslirp lasts.
 */
#include "base/error.h"
#include "net/net_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libslirp.h>
#include <string.h>

/* More than libslirp's MTU and any header of its packets. */
#define SMALL_PACKET 4096

typedef struct User User;

/* The source that polls libslirp's sockets. */
typedef struct {
    GSource source;
    User *u;
    GArray *polls; /* of Poll */
    guint used;    /* of them, since the last fill */
    gint64 deadline; /* of libslirp's own timers */
} UserSource;

typedef struct {
    int fd;
    GIOCondition events;
    gpointer tag;
} Poll;

struct User {
    NetBackend *b;
    GMutex lock; /* of the next two */
    Slirp *slirp;
    NetMerge merge;
    size_t header;     /* what the card wants: 0, 10 or 12; atomic, like the next two */
    unsigned features; /* NET_...: it may get */
    bool woken;        /* the main loop is about to ask for sockets */
    UserSource *source;
    struct in_addr net, mask;
    bool restricted;
};

/* ---- libslirp's calls ------------------------------------------------------ */

static size_t header_length(const User *u)
{
    return __atomic_load_n(&u->header, __ATOMIC_RELAXED);
}

/* Gives the guest what is held. Under the lock. */
static void flush(User *u)
{
    size_t length;
    if (!u->merge.count)
        return;
    const uint8_t *data = net_merge_end(&u->merge, header_length(u), &length);
    net_deliver_any(u->b, data, length);
}

static void deliver_alone(User *u, const uint8_t *data, size_t length)
{
    uint8_t packet[NET_HEADER_MAX + SMALL_PACKET];
    size_t header = header_length(u);
    if (!header || length > SMALL_PACKET) {
        /* libslirp sends nothing larger */
        if (!header)
            net_deliver_any(u->b, data, length);
        return;
    }
    net_header_checked(packet, header);
    if (!(__atomic_load_n(&u->features, __ATOMIC_RELAXED) & NET_CSUM))
        packet[0] = 0;
    memcpy(packet + header, data, length);
    net_deliver_any(u->b, packet, header + length);
}

static ssize_t on_packet(const void *data, size_t length, void *opaque)
{
    User *u = opaque;
    unsigned features = __atomic_load_n(&u->features, __ATOMIC_RELAXED);
    if (net_merge_add(&u->merge, data, length))
        return (ssize_t)length;
    flush(u);
    if (!net_merge_begin(&u->merge, data, length, features))
        deliver_alone(u, data, length);
    return (ssize_t)length;
}

static void on_guest_error(const char *message, void *opaque)
{
}

static int64_t on_clock(void *opaque)
{
    return g_get_monotonic_time() * 1000;
}

typedef struct {
    User *u;
    SlirpTimerCb call;
    void *opaque;
    GSource *source;
} Timer;

static gboolean on_timer(gpointer opaque)
{
    Timer *t = opaque;
    User *u = t->u;
    g_mutex_lock(&u->lock);
    g_clear_pointer(&t->source, g_source_unref);
    t->call(t->opaque);
    flush(u);
    g_mutex_unlock(&u->lock);
    return G_SOURCE_REMOVE;
}

static void *on_timer_new(SlirpTimerCb call, void *call_opaque, void *opaque)
{
    Timer *t = g_new0(Timer, 1);
    *t = (Timer){ opaque, call, call_opaque, NULL };
    return t;
}

static void timer_stop(Timer *t)
{
    if (t->source) {
        g_source_destroy(t->source);
        g_clear_pointer(&t->source, g_source_unref);
    }
}

static void on_timer_free(void *timer, void *opaque)
{
    timer_stop(timer);
    g_free(timer);
}

static void on_timer_mod(void *timer, int64_t at_ms, void *opaque)
{
    Timer *t = timer;
    int64_t left = at_ms - g_get_monotonic_time() / 1000;
    timer_stop(t);
    t->source = g_timeout_source_new((guint)CLAMP(left, 0, G_MAXINT));
    g_source_set_callback(t->source, on_timer, t, NULL);
    g_source_attach(t->source, NULL);
}

static void on_poll_fd(int fd, void *opaque)
{
}

/* Once is enough until the main loop has looked. */
static void on_notify(void *opaque)
{
    if (!__atomic_exchange_n(&((User *)opaque)->woken, true, __ATOMIC_SEQ_CST))
        g_main_context_wakeup(NULL);
}

static const SlirpCb callbacks = {
    .send_packet = on_packet,
    .guest_error = on_guest_error,
    .clock_get_ns = on_clock,
    .timer_new = on_timer_new,
    .timer_free = on_timer_free,
    .timer_mod = on_timer_mod,
    .register_poll_fd = on_poll_fd,
    .unregister_poll_fd = on_poll_fd,
    .notify = on_notify,
};

/* ---- Its sockets in the main loop ------------------------------------------ */

static const struct {
    int slirp;
    GIOCondition glib;
} events_map[] = { { SLIRP_POLL_IN, G_IO_IN }, { SLIRP_POLL_OUT, G_IO_OUT },
                   { SLIRP_POLL_PRI, G_IO_PRI }, { SLIRP_POLL_ERR, G_IO_ERR },
                   { SLIRP_POLL_HUP, G_IO_HUP } };

static void poll_remove_from(UserSource *s, guint first)
{
    for (guint i = first; i < s->polls->len; i++)
        g_source_remove_unix_fd(&s->source, g_array_index(s->polls, Poll, i).tag);
    g_array_set_size(s->polls, first);
}

static int on_add_poll(int fd, int events, void *opaque)
{
    UserSource *s = opaque;
    GIOCondition want = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(events_map); i++)
        want |= events & events_map[i].slirp ? events_map[i].glib : 0;
    if (s->used < s->polls->len && g_array_index(s->polls, Poll, s->used).fd != fd)
        poll_remove_from(s, s->used); /* the rest of the list has changed */
    if (s->used == s->polls->len) {
        Poll p = { fd, want, g_source_add_unix_fd(&s->source, fd, want) };
        g_array_append_val(s->polls, p);
    } else {
        Poll *p = &g_array_index(s->polls, Poll, s->used);
        if (p->events != want)
            g_source_modify_unix_fd(&s->source, p->tag, want);
        p->events = want;
    }
    return (int)s->used++;
}

static gboolean source_prepare(GSource *source, gint *timeout)
{
    UserSource *s = (UserSource *)source;
    uint32_t wait = UINT32_MAX;
    __atomic_store_n(&s->u->woken, false, __ATOMIC_SEQ_CST);
    g_mutex_lock(&s->u->lock);
    s->used = 0;
    slirp_pollfds_fill(s->u->slirp, &wait, on_add_poll, s);
    g_mutex_unlock(&s->u->lock);
    poll_remove_from(s, s->used);
    *timeout = wait > G_MAXINT ? -1 : (gint)wait;
    s->deadline = *timeout < 0 ? G_MAXINT64 : g_get_monotonic_time() + (gint64)wait * 1000;
    return FALSE;
}

static gboolean source_check(GSource *source)
{
    UserSource *s = (UserSource *)source;
    if (g_get_monotonic_time() >= s->deadline)
        return TRUE;
    for (guint i = 0; i < s->polls->len; i++) {
        if (g_source_query_unix_fd(source, g_array_index(s->polls, Poll, i).tag))
            return TRUE;
    }
    return FALSE;
}

static int on_revents(int index, void *opaque)
{
    UserSource *s = opaque;
    int events = 0;
    if (index < 0 || (guint)index >= s->polls->len)
        return 0;
    GIOCondition got = g_source_query_unix_fd(&s->source,
                                              g_array_index(s->polls, Poll, index).tag);
    for (size_t i = 0; i < G_N_ELEMENTS(events_map); i++)
        events |= got & events_map[i].glib ? events_map[i].slirp : 0;
    return events;
}

static gboolean source_dispatch(GSource *source, GSourceFunc callback, gpointer opaque)
{
    UserSource *s = (UserSource *)source;
    g_mutex_lock(&s->u->lock);
    slirp_pollfds_poll(s->u->slirp, 0, on_revents, s);
    flush(s->u);
    g_mutex_unlock(&s->u->lock);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_funcs = {
    .prepare = source_prepare,
    .check = source_check,
    .dispatch = source_dispatch,
};

/* ---- Forwards -------------------------------------------------------------- */

typedef struct {
    bool udp;
    struct in_addr addr;
    uint16_t port;
} End;

static bool parse_port(const char *text, uint16_t *port)
{
    guint64 n;
    if (!g_ascii_string_to_unsigned(text, 10, 0, 65535, &n, NULL))
        return false;
    *port = (uint16_t)n;
    return true;
}

/* "[tcp|udp]:[ADDR]:PORT"; the proto is left out in a forward's second half. */
static bool parse_end(const char *text, bool with_protocol, End *end)
{
    g_auto(GStrv) parts = g_strsplit(text, ":", -1);
    guint n = g_strv_length(parts), at = with_protocol ? 1 : 0;
    *end = (End){ .addr.s_addr = INADDR_ANY };
    if (n != at + 2)
        return false;
    if (with_protocol) {
        end->udp = !strcmp(parts[0], "udp");
        if (!end->udp && *parts[0] && strcmp(parts[0], "tcp"))
            return false;
    }
    return (!*parts[at] || inet_pton(AF_INET, parts[at], &end->addr) == 1) &&
           parse_port(parts[at + 1], &end->port);
}

static bool add_hostfwd(User *u, const char *text, GError **error)
{
    const char *dash = strchr(text, '-');
    g_autofree char *first = g_strndup(text, dash ? (gsize)(dash - text) : strlen(text));
    End host, guest;
    if (!dash || !parse_end(first, true, &host) || !parse_end(dash + 1, false, &guest) ||
        !guest.port)
        return fail_usage(error, "hostfwd=%s: it has the form "
                          "[tcp|udp]:[HOSTADDR]:HOSTPORT-[GUESTADDR]:GUESTPORT", text);
    g_mutex_lock(&u->lock);
    int e = slirp_add_hostfwd(u->slirp, host.udp, host.addr, host.port, guest.addr, guest.port);
    int reason = errno;
    g_mutex_unlock(&u->lock);
    if (e)
        return fail_errno(error, reason, "hostfwd=%s: cannot listen on port %u", text, host.port);
    on_notify(u);
    return true;
}

static bool add_guestfwd(User *u, const char *text, GError **error)
{
    const char *dash = strchr(text, '-');
    g_autofree char *first = g_strndup(text, dash ? (gsize)(dash - text) : strlen(text));
    End end;
    if (!dash || !parse_end(first, true, &end) || end.udp || !end.port)
        return fail_usage(error, "guestfwd=%s: it has the form tcp:ADDR:PORT-cmd:COMMAND or "
                          "tcp:ADDR:PORT-unix:PATH", text);
    int e;
    if (g_str_has_prefix(dash + 1, "cmd:"))
        e = slirp_add_exec(u->slirp, dash + 1 + strlen("cmd:"), &end.addr, end.port);
    else if (g_str_has_prefix(dash + 1, "unix:"))
        e = slirp_add_unix(u->slirp, dash + 1 + strlen("unix:"), &end.addr, end.port);
    else
        return fail_usage(error, "guestfwd=%s: only cmd:COMMAND and unix:PATH are there yet", text);
    return !e || fail_usage(error, "guestfwd=%s: the address is outside the guest's network or "
                            "taken", text);
}

/* ---- Opening --------------------------------------------------------------- */

static bool get_address(Options *o, const char *key, struct in_addr *a, GError **error)
{
    const char *text = options_get(o, key);
    return !text || inet_pton(AF_INET, text, a) == 1 ||
           fail_usage(error, "%s=%s: an IPv4 address is wanted", key, text);
}

static bool get_address6(Options *o, const char *key, const char *def, struct in6_addr *a,
                         GError **error)
{
    const char *text = options_get(o, key);
    return inet_pton(AF_INET6, text ? text : def, a) == 1 ||
           fail_usage(error, "%s=%s: an IPv6 address is wanted", key, text);
}

static bool read_network(Options *o, SlirpConfig *c, GError **error)
{
    const char *net = options_get(o, "net");
    unsigned bits = 24;
    c->vnetwork.s_addr = htonl(0x0a000200);
    if (net) {
        g_auto(GStrv) parts = g_strsplit(net, "/", 2);
        guint64 n = 24;
        struct in_addr mask;
        bool good = parts[0] && inet_pton(AF_INET, parts[0], &c->vnetwork) == 1;
        if (good && parts[1] && strchr(parts[1], '.')) {
            good = inet_pton(AF_INET, parts[1], &mask) == 1;
            uint32_t m = good ? ntohl(mask.s_addr) : 0;
            n = (guint64)__builtin_popcount(m);
            good = good && (n == 32 || (m << n) == 0);
        } else if (good && parts[1]) {
            good = g_ascii_string_to_unsigned(parts[1], 10, 0, 32, &n, NULL);
        }
        if (!good || n < 4 || n > 28)
            return fail_usage(error, "net=%s: it has the form 10.0.2.0/24, with 4 to 28 bits", net);
        bits = (unsigned)n;
    }
    uint32_t mask = ~UINT32_C(0) << (32 - bits), base = ntohl(c->vnetwork.s_addr) & mask;
    c->vnetmask.s_addr = htonl(mask);
    c->vnetwork.s_addr = htonl(base);
    c->vhost.s_addr = htonl(base | 2);
    c->vnameserver.s_addr = htonl(base | 3);
    c->vdhcp_start.s_addr = htonl(base | (bits > 27 ? 4 : 15));
    if (!get_address(o, "host", &c->vhost, error) ||
        !get_address(o, "dns", &c->vnameserver, error) ||
        !get_address(o, "dhcpstart", &c->vdhcp_start, error))
        return false;
    const struct { const char *key; struct in_addr a; } inside[] = {
        { "host", c->vhost }, { "dns", c->vnameserver }, { "dhcpstart", c->vdhcp_start } };
    for (size_t i = 0; i < G_N_ELEMENTS(inside); i++) {
        if ((ntohl(inside[i].a.s_addr) & mask) != base)
            return fail_usage(error, "%s= is outside the guest's network", inside[i].key);
    }
    if (c->vhost.s_addr == c->vnameserver.s_addr)
        return fail_usage(error, "host= and dns= must differ");
    return true;
}

static bool read_network6(Options *o, SlirpConfig *c, GError **error)
{
    const char *net = options_get(o, "ipv6-net");
    uint64_t bits = 64;
    c->in6_enabled = c->in_enabled = true;
    if (!options_get_bool(o, "ipv4", &c->in_enabled, error) ||
        !options_get_bool(o, "ipv6", &c->in6_enabled, error) ||
        !get_address6(o, "ipv6-prefix", "fec0::", &c->vprefix_addr6, error) ||
        !options_get_number(o, "ipv6-prefixlen", 1, 126, &bits, error))
        return false;
    if (net) {
        g_auto(GStrv) parts = g_strsplit(net, "/", 2);
        guint64 n = 64;
        if (!parts[0] || inet_pton(AF_INET6, parts[0], &c->vprefix_addr6) != 1 ||
            (parts[1] && !g_ascii_string_to_unsigned(parts[1], 10, 1, 126, &n, NULL)))
            return fail_usage(error, "ipv6-net=%s: it has the form fec0::/64", net);
        bits = n;
    }
    c->vprefix_len = (uint8_t)bits;
    c->vhost6 = c->vnameserver6 = c->vprefix_addr6;
    c->vhost6.s6_addr[15] |= 2;
    c->vnameserver6.s6_addr[15] |= 3;
    char host[INET6_ADDRSTRLEN], dns[INET6_ADDRSTRLEN];
    inet_ntop(AF_INET6, &c->vhost6, host, sizeof host);
    inet_ntop(AF_INET6, &c->vnameserver6, dns, sizeof dns);
    if (!c->in_enabled && !c->in6_enabled)
        return fail_usage(error, "ipv4=off,ipv6=off leaves nothing");
    return get_address6(o, "ipv6-host", host, &c->vhost6, error) &&
           get_address6(o, "ipv6-dns", dns, &c->vnameserver6, error);
}

static bool read_options(Options *o, SlirpConfig *c, GPtrArray *hostfwds, GPtrArray *guestfwds,
                         GPtrArray *search, GError **error)
{
    bool restricted = false;
    const char *text;
    for (unsigned i = 0; (text = options_nth(o, "hostfwd", i)); i++)
        g_ptr_array_add(hostfwds, (void *)text);
    for (unsigned i = 0; (text = options_nth(o, "guestfwd", i)); i++)
        g_ptr_array_add(guestfwds, (void *)text);
    for (unsigned i = 0; (text = options_nth(o, "dnssearch", i)); i++)
        g_ptr_array_add(search, (void *)text);
    g_ptr_array_add(search, NULL);
    c->version = 3;
    c->vhostname = options_get(o, "hostname");
    c->tftp_path = options_get(o, "tftp");
    c->tftp_server_name = options_get(o, "tftp-server-name");
    c->bootfile = options_get(o, "bootfile");
    c->vdomainname = options_get(o, "domainname");
    c->vdnssearch = search->len > 1 ? (const char **)search->pdata : NULL;
    if (!options_get_bool(o, "restrict", &restricted, error) || !read_network(o, c, error) ||
        !read_network6(o, c, error))
        return false;
    if (options_has(o, "smb"))
        return fail_usage(error, "smb= is not there; share a directory with virtiofs");
    c->restricted = restricted;
    if ((c->vhostname && strlen(c->vhostname) > 32) ||
        (c->bootfile && strlen(c->bootfile) >= 128) ||
        (c->vdomainname && strlen(c->vdomainname) > 253))
        return fail_usage(error, "hostname= has at most 32 bytes, bootfile= 127, domainname= 253");
    if (c->tftp_path && !g_file_test(c->tftp_path, G_FILE_TEST_IS_DIR))
        return fail_usage(error, "tftp=%s is not a directory", c->tftp_path);
    return options_done(o, error);
}

static bool user_open(NetBackend *b, Options *o, GError **error)
{
    SlirpConfig c = { 0 };
    g_autoptr(GPtrArray) hostfwds = g_ptr_array_new(), guestfwds = g_ptr_array_new();
    g_autoptr(GPtrArray) search = g_ptr_array_new();
    if (!read_options(o, &c, hostfwds, guestfwds, search, error))
        return false;
    User *u = g_new0(User, 1);
    b->priv = u;
    u->b = b;
    u->net = c.vnetwork;
    u->mask = c.vnetmask;
    u->restricted = c.restricted;
    g_mutex_init(&u->lock);
    net_merge_init(&u->merge);
    u->slirp = slirp_new(&c, &callbacks, u);
    if (!u->slirp)
        return fail(error, "libslirp does not take this configuration");
    for (guint i = 0; i < hostfwds->len; i++) {
        if (!add_hostfwd(u, hostfwds->pdata[i], error))
            return false;
    }
    for (guint i = 0; i < guestfwds->len; i++) {
        if (!add_guestfwd(u, guestfwds->pdata[i], error))
            return false;
    }
    u->source = (UserSource *)g_source_new(&source_funcs, sizeof *u->source);
    u->source->u = u;
    u->source->polls = g_array_new(FALSE, FALSE, sizeof(Poll));
    g_source_attach(&u->source->source, NULL);
    return true;
}

static void input(void *opaque, const uint8_t *packet, size_t length)
{
    slirp_input(((User *)opaque)->slirp, packet, (int)length);
}

static bool user_send(NetBackend *b, const struct iovec *iov, unsigned count, size_t length)
{
    User *u = b->priv;
    size_t header = header_length(u);
    g_autofree uint8_t *flat = NULL;
    const uint8_t *data = iov[0].iov_base;
    if (count > 1 || header) {
        size_t at = 0;
        flat = g_malloc(length);
        for (unsigned i = 0; i < count; at += iov[i++].iov_len)
            memcpy(flat + at, iov[i].iov_base, iov[i].iov_len);
        data = flat;
    }
    bool large6 = header && length > header && net_is_large6(flat);
    if (length <= header ||
        (header && !large6 && !net_checksum_finish(flat, flat + header, length - header)))
        return true;
    g_mutex_lock(&u->lock);
    if (large6)
        net_cut(flat, flat + header, length - header, input, u);
    else
        input(u, data + header, length - header);
    flush(u);
    g_mutex_unlock(&u->lock);
    on_notify(u); /* it may wait for other sockets now */
    return true;
}

static unsigned user_features(const NetBackend *b)
{
    return NET_VNET_HEADER | NET_CSUM | NET_TSO4 | NET_TSO6 | NET_TSO_ECN;
}

static bool user_set_header(NetBackend *b, size_t length, unsigned features)
{
    User *u = b->priv;
    __atomic_store_n(&u->header, length, __ATOMIC_RELAXED);
    __atomic_store_n(&u->features, length ? features : 0, __ATOMIC_RELAXED);
    return true;
}

static char *user_describe(const NetBackend *b)
{
    const User *u = b->priv;
    char net[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &u->net, net, sizeof net);
    return g_strdup_printf("user: net=%s/%d, restrict=%s", net,
                           __builtin_popcount(u->mask.s_addr), u->restricted ? "on" : "off");
}

static void user_close(NetBackend *b)
{
    User *u = b->priv;
    if (!u)
        return;
    if (u->source) {
        g_source_destroy(&u->source->source);
        g_array_unref(u->source->polls);
        g_source_unref(&u->source->source);
    }
    if (u->slirp)
        slirp_cleanup(u->slirp);
    net_merge_clear(&u->merge);
    g_mutex_clear(&u->lock);
    g_free(u);
}

const NetType user_net = {
    .name = "user",
    .usage = "user,id=N[,hostfwd=tcp::2222-:22][,restrict=on]...",
    .summary = "a network behind this process, no rights needed",
    .open = user_open,
    .send = user_send,
    .features = user_features,
    .set_header = user_set_header,
    .describe = user_describe,
    .close = user_close,
};

/* ---- For a monitor --------------------------------------------------------- */

static User *user_of(NetBackend *b, GError **error)
{
    if (b->type != &user_net)
        fail_usage(error, "%s is not a user back end", b->id);
    return b->type == &user_net ? b->priv : NULL;
}

bool net_user_hostfwd_add(NetBackend *b, const char *text, GError **error)
{
    User *u = user_of(b, error);
    return u && add_hostfwd(u, text, error);
}

bool net_user_hostfwd_remove(NetBackend *b, const char *text, GError **error)
{
    User *u = user_of(b, error);
    End end;
    if (!u)
        return false;
    if (!parse_end(text, true, &end))
        return fail_usage(error, "'%s': it has the form [tcp|udp]:[HOSTADDR]:HOSTPORT", text);
    g_mutex_lock(&u->lock);
    int e = slirp_remove_hostfwd(u->slirp, end.udp, end.addr, end.port);
    g_mutex_unlock(&u->lock);
    on_notify(u);
    return !e || fail(error, "there is no forward from %s", text);
}

char *net_user_info(NetBackend *b, GError **error)
{
    User *u = user_of(b, error);
    if (!u)
        return NULL;
    g_mutex_lock(&u->lock);
    char *text = slirp_connection_info(u->slirp);
    g_mutex_unlock(&u->lock);
    return text;
}
