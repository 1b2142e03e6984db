/* SPDX-License-Identifier: MIT */
/*
 * socket: the older spelling of stream and dgram. listen=[HOST]:PORT, connect=HOST:PORT,
 * mcast=GROUP:PORT[,localaddr=ADDR], udp=HOST:PORT,localaddr=[HOST]:PORT, fd=N (connected, stream
 * or datagram). Says the same in the newer words and hands over to those.
 */
#include "base/error.h"
#include "net/net_priv.h"

#include <errno.h>

static char *escape(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);
    return g_strjoinv(",,", parts);
}

/* In the words of stream or dgram. */
static char *translate(const char *how, const char *value, const char *local, bool *datagrams,
                       GError **error)
{
    g_autofree char *host = NULL, *port = NULL, *lhost = NULL, *lport = NULL;
    *datagrams = false;
    if (*how == 'f') {
        int fd, type;
        socklen_t len = sizeof type;
        if (!net_parse_fd(value, &fd, error))
            return NULL;
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len)) {
            fail_errno(error, errno, "fd=%s", value);
            return NULL;
        }
        *datagrams = type == SOCK_DGRAM;
        return g_strdup_printf(*datagrams ? "local.type=fd,local.str=%s"
                                          : "addr.type=fd,addr.str=%s", value);
    }
    g_autofree char *safe = escape(value);
    if (!socket_split_host(safe, &host, &port, error))
        return NULL;
    if (*how == 'l' || *how == 'c')
        return g_strdup_printf("addr.type=inet,addr.host=%s,addr.port=%s%s", host, port,
                               *how == 'l' ? ",server=on" : "");
    *datagrams = true;
    g_autofree char *remote = g_strdup_printf("remote.type=inet,remote.host=%s,remote.port=%s",
                                              host, port);
    if (*how == 'm') {
        g_autofree char *address = local ? escape(local) : NULL;
        return address ? g_strdup_printf("%s,local.type=inet,local.port=0,local.host=%s", remote,
                                         address) : g_steal_pointer(&remote);
    }
    if (!local) {
        fail_usage(error, "localaddr=... is missing");
        return NULL;
    }
    g_autofree char *safe_local = escape(local);
    if (!socket_split_host(safe_local, &lhost, &lport, error))
        return NULL;
    return g_strdup_printf("%s,local.type=inet,local.host=%s,local.port=%s", remote, lhost, lport);
}

static bool socket_open(NetBackend *b, Options *o, GError **error)
{
    static const char *const ways[] = { "fd", "listen", "connect", "mcast", "udp" };
    const char *how = NULL, *value = NULL, *local = options_get(o, "localaddr");
    unsigned count = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
        const char *v = options_get(o, ways[i]);
        if (v) {
            how = ways[i];
            value = v;
            count++;
        }
    }
    if (!options_done(o, error))
        return false;
    if (count != 1)
        return fail_usage(error, "one of listen=, connect=, mcast=, udp= and fd= is wanted");
    if (local && *how != 'm' && *how != 'u')
        return fail_usage(error, "localaddr= goes with mcast= and udp=");
    bool datagrams;
    g_autofree char *text = translate(how, value, local, &datagrams, error);
    g_autoptr(Options) inner = text ? options_parse(text, NULL, error) : NULL;
    if (!inner)
        return false;
    /* The newer types keep all their state in priv, so this one becomes one of them. */
    b->type = datagrams ? &dgram_net : &stream_net;
    return b->type->open(b, inner, error);
}

const NetType socket_net = {
    .name = "socket",
    .usage = "socket,id=N,listen=:PORT | connect=HOST:PORT | ...",
    .summary = "the older spelling of stream and dgram",
    .open = socket_open,
};
