/* SPDX-License-Identifier: MIT */
/* Addresses and inherited descriptors as options name them. */
#include "base/error.h"
#include "net/net_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <netdb.h>
#include <string.h>
#include <sys/un.h>

bool net_unix_address(const char *path, NetAddress *a, GError **error)
{
    *a = (NetAddress){ .len = sizeof(struct sockaddr_un) };
    struct sockaddr_un *un = (struct sockaddr_un *)&a->addr;
    un->sun_family = AF_UNIX;
    if (!*path || strlen(path) >= sizeof un->sun_path)
        return fail_usage(error, "the path '%s' of a socket has 1 to %zu bytes", path,
                          sizeof un->sun_path - 1);
    memcpy(un->sun_path, path, strlen(path));
    return true;
}

bool net_inet_addresses(const char *host, const char *port, int type, bool passive, int family,
                        GArray *addresses, GError **error)
{
    struct addrinfo hints = { .ai_family = family, .ai_socktype = type,
                              .ai_flags = passive ? AI_PASSIVE : 0 };
    struct addrinfo *list = NULL;
    int e = getaddrinfo(*host ? host : NULL, port, &hints, &list);
    if (e)
        return fail(error, "%s port %s: %s", *host ? host : "any address", port,
                    e == EAI_SYSTEM ? g_strerror(errno) : gai_strerror(e));
    for (const struct addrinfo *i = list; i; i = i->ai_next) {
        NetAddress a = { .len = i->ai_addrlen };
        memcpy(&a.addr, i->ai_addr, i->ai_addrlen);
        g_array_append_val(addresses, a);
    }
    freeaddrinfo(list);
    return true;
}

bool net_split_host(const char *text, char **host, char **port, GError **error)
{
    const char *colon = strrchr(text, ':');
    if (!colon || !colon[1])
        return fail_usage(error, "'%s': HOST:PORT is wanted", text);
    size_t len = (size_t)(colon - text);
    bool brackets = len > 1 && text[0] == '[' && text[len - 1] == ']';
    *host = brackets ? g_strndup(text + 1, len - 2) : g_strndup(text, len);
    *port = g_strdup(colon + 1);
    return true;
}

bool net_parse_fd(const char *text, int *fd, GError **error)
{
    guint64 n;
    if (!g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT, &n, NULL))
        return fail_usage(error, "fd=%s: a number is wanted", text);
    if (fcntl((int)n, F_GETFD) < 0)
        return fail_errno(error, errno, "fd=%s", text);
    g_unix_set_fd_nonblocking((int)n, TRUE, NULL);
    *fd = (int)n;
    return true;
}
