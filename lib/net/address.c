/* SPDX-License-Identifier: MIT */
/* Addresses and inherited descriptors as options name them. */
#include "net/net_priv.h"

#include <glib-unix.h>

bool net_unix_address(const char *path, NetAddress *a, GError **error)
{
    g_autoptr(SocketAddress) address = socket_address_unix(path);
    g_autoptr(GArray) ends = g_array_new(FALSE, FALSE, sizeof(NetAddress));

    if (!socket_resolve(address, SOCK_STREAM, false, ends, error))
        return false;
    *a = g_array_index(ends, NetAddress, 0);
    return true;
}

bool net_inet_addresses(const char *host, const char *port, int type, bool passive, int family,
                        GArray *addresses, GError **error)
{
    g_autoptr(SocketAddress) address = socket_address_inet(host, port);

    address->family = family;
    return socket_resolve(address, type, passive, addresses, error);
}

bool net_parse_fd(const char *text, int *fd, GError **error)
{
    if (!socket_parse_fd(text, fd, error))
        return false;
    g_unix_set_fd_nonblocking(*fd, TRUE, NULL);
    return true;
}
