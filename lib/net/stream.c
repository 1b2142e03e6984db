/* SPDX-License-Identifier: MIT */
/*
 * stream: a stream socket to another machine or to passt; each packet has its length in front
 * (32 bits, big-endian). Keys: server=, reconnect=, addr.type=inet|unix|fd and addr.host=,
 * addr.port=, addr.path=, addr.str=.
 */
#include "base/error.h"
#include "net/net_priv.h"

#include <string.h>

static bool parse(Options *o, NetLineConfig *config, GArray *addresses, GError **error)
{
    static const char *const kinds[] = { "inet", "unix", "fd", NULL };
    int kind = -1, family = AF_UNSPEC;
    bool ipv4 = false, ipv6 = false;
    uint64_t reconnect = 0;
    const char *path = options_get(o, "addr.path"), *fd = options_get(o, "addr.str");
    const char *host = options_get(o, "addr.host"), *port = options_get(o, "addr.port");
    if (!options_get_bool(o, "server", &config->server, error) ||
        !options_get_number(o, "reconnect", 0, 86400, &reconnect, error) ||
        !options_get_bool(o, "addr.ipv4", &ipv4, error) ||
        !options_get_bool(o, "addr.ipv6", &ipv6, error) ||
        !options_get_enum(o, "addr.type", kinds, &kind, error) || !options_done(o, error))
        return false;
    if (kind < 0)
        return fail_usage(error, "addr.type=... is missing");
    if (config->server && reconnect)
        return fail_usage(error, "reconnect= is for clients: a server listens again by itself");
    if (kind == 2 && reconnect)
        return fail_usage(error, "reconnect= needs an address, a descriptor has none");
    config->reconnect = (unsigned)reconnect;
    if (ipv4 != ipv6)
        family = ipv4 ? AF_INET : AF_INET6;
    if (kind == 0)
        return port ? net_inet_addresses(host ? host : "", port, SOCK_STREAM, config->server,
                                         family, addresses, error)
                    : fail_usage(error, "addr.port=... is missing");
    if (kind == 2)
        return fd ? net_parse_fd(fd, &config->fd, error)
                  : fail_usage(error, "addr.str=... is missing");
    NetAddress a;
    if (!path)
        return fail_usage(error, "addr.path=... is missing");
    config->path = path;
    if (!net_unix_address(path, &a, error))
        return false;
    g_array_append_val(addresses, a);
    return true;
}

static bool stream_open(NetBackend *b, Options *o, GError **error)
{
    g_autoptr(GArray) addresses = g_array_new(FALSE, FALSE, sizeof(NetAddress));
    NetLineConfig config = { .fd = -1, .addresses = addresses };
    if (!parse(o, &config, addresses, error))
        return false;
    b->priv = net_line_new(b, &config, error);
    return b->priv != NULL;
}

static bool stream_send(NetBackend *b, const struct iovec *iov, unsigned count, size_t length)
{
    return net_line_send(b->priv, iov, count, length);
}

static void stream_resume(NetBackend *b)
{
    net_line_resume(b->priv);
}

static void stream_close(NetBackend *b)
{
    net_line_free(b->priv);
}

const NetType stream_net = {
    .name = "stream",
    .usage = "stream,id=N,addr.type=unix,addr.path=PATH,...",
    .summary = "a stream socket: another machine, passt",
    .open = stream_open,
    .send = stream_send,
    .resume = stream_resume,
    .close = stream_close,
};
