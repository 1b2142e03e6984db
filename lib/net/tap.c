/* SPDX-License-Identifier: MIT */
/*
 * tap: a network interface of the host (Documentation/networking/tuntap.rst of Linux), made or
 * opened by name (ifname=) or inherited (fd=). Carries virtio-net headers, and so unfinished
 * checksums and large segments, when the card wants them. Left out: scripts, vhost, several queues.
 */
#include "base/error.h"
#include "net/net_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define READ_BUDGET 64
#define IOV_LIMIT 64
#define HEADER_MAX 12

typedef struct {
    NetBackend *b;
    char name[IFNAMSIZ];
    bool has_header;     /* the interface has headers on its packets */
    unsigned features;
    size_t header;       /* what the card wants: 0, 10 or 12 */
    GSource *in;
    uint8_t *buf;        /* HEADER_MAX + NET_PACKET_MAX */
    GMutex lock;         /* of what follows */
    int fd;
    GSource *writable;
} Tap;

static void clear_source(GSource **source)
{
    if (*source) {
        g_source_destroy(*source);
        g_clear_pointer(source, g_source_unref);
    }
}

/* The header on the interface's packets; without the card's wish it is the shortest. */
static size_t wire_header(const Tap *t)
{
    return !t->has_header ? 0 : t->header ? t->header : 10;
}

static gboolean on_input(gint fd, GIOCondition condition, gpointer opaque)
{
    Tap *t = opaque;
    size_t skip = t->header ? 0 : wire_header(t);
    for (int i = 0; i < READ_BUDGET; i++) {
        if (!net_wants_more(t->b)) {
            clear_source(&t->in);
            return G_SOURCE_REMOVE;
        }
        ssize_t n = read(fd, t->buf, HEADER_MAX + NET_PACKET_MAX);
        if (n < 0 && errno != EINTR)
            break;
        if (n > 0 && (size_t)n > skip)
            net_deliver(t->b, t->buf + skip, (size_t)n - skip);
    }
    return G_SOURCE_CONTINUE;
}

static void tap_resume(NetBackend *b)
{
    Tap *t = b->priv;
    if (t->in)
        return;
    t->in = g_unix_fd_source_new(t->fd, G_IO_IN);
    g_source_set_callback(t->in, G_SOURCE_FUNC(on_input), t, NULL);
    g_source_attach(t->in, NULL);
}

static gboolean on_writable(gint fd, GIOCondition condition, gpointer opaque)
{
    Tap *t = opaque;
    g_mutex_lock(&t->lock);
    clear_source(&t->writable);
    g_mutex_unlock(&t->lock);
    net_room(t->b);
    return G_SOURCE_REMOVE;
}

static bool tap_send(NetBackend *b, const struct iovec *iov, unsigned count, size_t length)
{
    static const uint8_t no_header[HEADER_MAX];
    Tap *t = b->priv;
    struct iovec all[IOV_LIMIT + 1];
    g_autofree uint8_t *flat = NULL;
    size_t n = 0;
    if (!t->header && wire_header(t))
        all[n++] = (struct iovec){ (void *)no_header, wire_header(t) };
    if (count <= IOV_LIMIT) {
        for (unsigned i = 0; i < count; i++)
            all[n++] = iov[i];
    } else {
        size_t at = 0;
        flat = g_malloc(length);
        for (unsigned i = 0; i < count; at += iov[i++].iov_len)
            memcpy(flat + at, iov[i].iov_base, iov[i].iov_len);
        all[n++] = (struct iovec){ flat, length };
    }
    bool taken = true;
    g_mutex_lock(&t->lock);
    if (writev(t->fd, all, (int)n) < 0 && errno == EAGAIN) { /* others: the interface is down */
        taken = false;
        if (!t->writable) {
            t->writable = g_unix_fd_source_new(t->fd, G_IO_OUT | G_IO_ERR);
            g_source_set_callback(t->writable, G_SOURCE_FUNC(on_writable), t, NULL);
            g_source_attach(t->writable, NULL);
        }
    }
    g_mutex_unlock(&t->lock);
    return taken;
}

static unsigned tap_features(const NetBackend *b)
{
    return ((const Tap *)b->priv)->features;
}

static unsigned offload_flags(unsigned features)
{
    return (features & NET_CSUM ? TUN_F_CSUM : 0) | (features & NET_TSO4 ? TUN_F_TSO4 : 0) |
           (features & NET_TSO6 ? TUN_F_TSO6 : 0) | (features & NET_TSO_ECN ? TUN_F_TSO_ECN : 0);
}

static bool tap_set_header(NetBackend *b, size_t length, unsigned features)
{
    Tap *t = b->priv;
    int wire = length ? (int)length : 10;
    if (!t->has_header)
        return !length;
    if ((length != t->header && ioctl(t->fd, TUNSETVNETHDRSZ, &wire)) ||
        ioctl(t->fd, TUNSETOFFLOAD, (unsigned long)offload_flags(length ? features : 0)))
        return false;
    if (length != t->header)
        t->header = length;
    return true;
}

/* Opens or makes the interface; -1 with an error. */
static int open_interface(const char *name, struct ifreq *request, GError **error)
{
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        fail_errno(error, errno, "cannot open /dev/net/tun");
        return -1;
    }
    *request = (struct ifreq){ .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
    g_strlcpy(request->ifr_name, name ? name : "tap%d", IFNAMSIZ);
    if (!ioctl(fd, TUNSETIFF, request))
        return fd;
    fail_errno(error, errno, "cannot open the interface %s", name ? name : "tapN");
    close(fd);
    return -1;
}

static bool check_words(Options *o, const char **name, const char **fd, GError **error)
{
    const char *up = options_get(o, "script"), *down = options_get(o, "downscript");
    bool vhost = false;
    uint64_t queues = 1;
    *name = options_get(o, "ifname");
    *fd = options_get(o, "fd");
    if (!options_get_bool(o, "vhost", &vhost, error) ||
        !options_get_number(o, "queues", 1, 256, &queues, error) || !options_done(o, error))
        return false;
    if (vhost || queues > 1)
        return fail_usage(error, vhost ? "vhost=on is not there yet"
                                       : "queues= above 1 are not there yet");
    if ((up && strcmp(up, "no")) || (down && strcmp(down, "no")))
        return fail_usage(error, "scripts are not run here: make the interface first, and "
                          "script=no,downscript=no");
    if (*name && *fd)
        return fail_usage(error, "ifname= and fd= exclude each other");
    if (*name && (!**name || strlen(*name) >= IFNAMSIZ))
        return fail_usage(error, "ifname=%s: it has 1 to %d bytes", *name, IFNAMSIZ - 1);
    return true;
}

static bool tap_open(NetBackend *b, Options *o, GError **error)
{
    const char *name, *fd_text;
    struct ifreq request = { 0 };
    int fd;
    if (!check_words(o, &name, &fd_text, error))
        return false;
    if (fd_text ? !net_parse_fd(fd_text, &fd, error)
                : (fd = open_interface(name, &request, error)) < 0)
        return false;
    if (ioctl(fd, TUNGETIFF, &request) || !(request.ifr_flags & IFF_TAP)) {
        if (!fd_text)
            close(fd);
        return fail_usage(error, "fd=%s is not a tap device", fd_text ? fd_text : "");
    }
    Tap *t = g_new0(Tap, 1);
    b->priv = t;
    t->b = b;
    t->fd = fd;
    t->has_header = request.ifr_flags & IFF_VNET_HDR;
    g_strlcpy(t->name, request.ifr_name, sizeof t->name);
    t->buf = g_malloc(HEADER_MAX + NET_PACKET_MAX);
    g_mutex_init(&t->lock);
    if (t->has_header) {
        t->header = HEADER_MAX + 1; /* as nobody knows */
        tap_set_header(b, 0, 0);
        t->header = 0;
        t->features = NET_VNET_HEADER;
        const unsigned all = NET_CSUM | NET_TSO4 | NET_TSO6 | NET_TSO_ECN;
        if (!ioctl(fd, TUNSETOFFLOAD, (unsigned long)offload_flags(all)))
            t->features |= all;
        ioctl(fd, TUNSETOFFLOAD, 0UL);
    }
    tap_resume(b);
    return true;
}

static char *tap_describe(const NetBackend *b)
{
    const Tap *t = b->priv;
    return g_strdup_printf("tap: ifname=%s", t->name);
}

static void tap_close(NetBackend *b)
{
    Tap *t = b->priv;
    if (!t)
        return;
    clear_source(&t->in);
    clear_source(&t->writable);
    close(t->fd);
    g_mutex_clear(&t->lock);
    g_free(t->buf);
    g_free(t);
}

const NetType tap_net = {
    .name = "tap",
    .usage = "tap,id=N[,ifname=NAME | fd=N]",
    .summary = "a network interface of the host",
    .open = tap_open,
    .send = tap_send,
    .resume = tap_resume,
    .features = tap_features,
    .set_header = tap_set_header,
    .describe = tap_describe,
    .close = tap_close,
};
