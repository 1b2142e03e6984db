/* SPDX-License-Identifier: MIT */
/*
 * dgram: packets as datagrams over UDP, multicast or a unix socket. Keys:
 * local.type=inet|unix|fd and local.host=, local.port=, local.path=, local.str=;
 * remote.type=inet|unix and the like. A remote address that is a multicast group is joined.
 */
#include "base/error.h"
#include "net/net_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

typedef struct {
    int kind; /* -1 absent, 0 inet, 1 unix, 2 fd */
    const char *host, *port, *path, *fd;
} End;

static bool read_end(Options *o, const char *name, End *end, GError **error)
{
    static const char *const kinds[] = { "inet", "unix", "fd", NULL };
    g_autofree char *type = g_strconcat(name, ".type", NULL);
    g_autofree char *host = g_strconcat(name, ".host", NULL);
    g_autofree char *port = g_strconcat(name, ".port", NULL);
    g_autofree char *path = g_strconcat(name, ".path", NULL);
    g_autofree char *fd = g_strconcat(name, ".str", NULL);
    *end = (End){ -1, options_get(o, host), options_get(o, port), options_get(o, path),
                  options_get(o, fd) };
    if (!options_get_enum(o, type, kinds, &end->kind, error))
        return false;
    const char *missing = end->kind == 0 && !end->port ? port : end->kind == 1 && !end->path ? path
                          : end->kind == 2 && !end->fd ? fd : end->kind < 0 &&
                          (end->host || end->port || end->path || end->fd) ? type : NULL;
    return missing ? fail_usage(error, "%s=... is missing", missing) : true;
}

static bool resolve(const End *end, bool passive, NetAddress *a, GError **error)
{
    g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(NetAddress));
    if (end->kind == 1)
        return net_unix_address(end->path, a, error);
    if (!net_inet_addresses(end->host ? end->host : "", end->port, SOCK_DGRAM, passive, AF_UNSPEC,
                            list, error))
        return false;
    *a = g_array_index(list, NetAddress, 0);
    return true;
}

static bool is_group(const NetAddress *a)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)&a->addr;
    return a->addr.ss_family == AF_INET && IN_MULTICAST(ntohl(in->sin_addr.s_addr));
}

static bool join(int fd, const NetAddress *group, const struct in_addr *local, GError **error)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)&group->addr;
    struct ip_mreq request = { .imr_multiaddr = in->sin_addr };
    int on = 1;
    if (local)
        request.imr_interface = *local;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)in, sizeof *in) ||
        setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request) ||
        setsockopt(fd, IPPROTO_IP, IP_MULTICAST_LOOP, &on, sizeof on) ||
        (local && setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, local, sizeof *local)))
        return fail_errno(error, errno, "cannot join the multicast group");
    return true;
}

/* -1 with an error. */
static int bind_local(const End *end, NetAddress *a, GError **error)
{
    if (!resolve(end, true, a, error))
        return -1;
    int fd = socket(a->addr.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        fail_errno(error, errno, "cannot make a socket");
        return -1;
    }
    if (end->kind == 1) { /* left by one who was killed: nobody reads there */
        int probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (probe >= 0 && connect(probe, (struct sockaddr *)&a->addr, a->len) &&
            errno == ECONNREFUSED)
            unlink(end->path);
        if (probe >= 0)
            close(probe);
    }
    if (!bind(fd, (struct sockaddr *)&a->addr, a->len))
        return fd;
    fail_errno(error, errno, "cannot bind to %s", end->kind == 1 ? end->path : end->port);
    close(fd);
    return -1;
}

static NetDatagrams *open_group(NetBackend *b, const NetAddress *group, const char *local,
                                GError **error)
{
    struct in_addr interface;
    if (local && !inet_aton(local, &interface)) {
        fail_usage(error, "'%s' is not an address of this host", local);
        return NULL;
    }
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || !join(fd, group, local ? &interface : NULL, error)) {
        if (fd < 0)
            fail_errno(error, errno, "cannot make a socket");
        else
            close(fd);
        return NULL;
    }
    return net_datagrams_new(b, fd, group, false, NULL);
}

static bool dgram_open(NetBackend *b, Options *o, GError **error)
{
    End local, remote;
    NetAddress here, there;
    int fd = -1;
    if (!read_end(o, "local", &local, error) || !read_end(o, "remote", &remote, error) ||
        !options_done(o, error))
        return false;
    if (remote.kind == 2)
        return fail_usage(error, "remote.type=fd: a descriptor is local");
    if (remote.kind >= 0 && !resolve(&remote, false, &there, error))
        return false;
    if (remote.kind == 0 && is_group(&there) && local.kind < 1) {
        b->priv = open_group(b, &there, local.kind == 0 ? local.host : NULL, error);
        return b->priv != NULL;
    }
    if (local.kind < 0)
        return fail_usage(error, "local.type=... is missing");
    if (local.kind == 2 ? !net_parse_fd(local.fd, &fd, error)
                        : (fd = bind_local(&local, &here, error)) < 0)
        return false;
    if (remote.kind < 0 && local.kind != 2) {
        close(fd);
        return fail_usage(error, "remote.type=... is missing");
    }
    b->priv = net_datagrams_new(b, fd, remote.kind < 0 ? NULL : &there, true,
                                local.kind == 1 ? local.path : NULL);
    return true;
}

static bool dgram_send(NetBackend *b, const struct iovec *iov, unsigned count, size_t length)
{
    return net_datagrams_send(b->priv, iov, count, length);
}

static void dgram_resume(NetBackend *b)
{
    net_datagrams_resume(b->priv);
}

static void dgram_close(NetBackend *b)
{
    net_datagrams_free(b->priv);
}

const NetType dgram_net = {
    .name = "dgram",
    .usage = "dgram,id=N,local.type=inet,...,remote.type=inet,...",
    .summary = "datagrams: UDP, multicast, unix",
    .open = dgram_open,
    .send = dgram_send,
    .resume = dgram_resume,
    .close = dgram_close,
};
