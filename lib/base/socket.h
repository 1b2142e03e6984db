/* SPDX-License-Identifier: MIT */
/*
 * Stream sockets by address: as option values and JSON name them (type=inet|unix|vsock|fd and what
 * goes with it), and as one word of text:
 *
 *   unix:PATH  HOST:PORT  [IPV6]:PORT  :PORT  inet:HOST:PORT  tcp:HOST:PORT  vsock:CID:PORT  fd:N
 *
 * An address is made by one thread and read by any. Descriptors that come from here are
 * close-on-exec. Names are looked up by the C library, which keeps to no deadline of ours.
 */
#pragma once

#include "base/option.h"

#include <glib.h>
#include <stdbool.h>
#include <sys/socket.h>

struct json_object;

typedef enum { SOCKET_INET, SOCKET_UNIX, SOCKET_VSOCK, SOCKET_FD } SocketType;

typedef struct {
    SocketType type;
    char *host;           /* inet; "": any address to listen on, this host to connect to */
    char *port;           /* inet and vsock */
    int family;           /* inet: AF_UNSPEC, AF_INET or AF_INET6, of ipv4= and ipv6= */
    unsigned to;          /* inet, to listen on: the last port to try; 0: one alone */
    bool numeric;         /* inet: host and port are numbers; nothing is looked up */
    bool keep_alive;      /* inet, to connect to */
    char *path;           /* unix */
    bool abstract, tight; /* unix: no file; its name ends with path, without zeros up to its size */
    char *cid;            /* vsock: a number, "host", "local" or, to listen, "any" */
    int fd;               /* fd: inherited; whoever connects or listens owns it from then on */
} SocketAddress;

/* NULL with a usage error. */
SocketAddress *socket_address_parse(const char *text, GError **error);
/* Of an object {"type": "unix", "path": ...}, whose values may all be strings; borrowed. Refuses
 * what does not belong to the type. */
SocketAddress *socket_address_json(struct json_object *tree, GError **error);
/* Of the keys PREFIXtype, PREFIXpath and so on; prefix is "server." for example, or "". The
 * caller's options_done refuses what is left. */
SocketAddress *socket_address_options(Options *o, const char *prefix, GError **error);
SocketAddress *socket_address_unix(const char *path);
SocketAddress *socket_address_inet(const char *host, const char *port);
void socket_address_free(SocketAddress *a); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SocketAddress, socket_address_free)
/* For messages: "host:port", "unix:/path", "vsock:3:1024", "fd:7". */
char *socket_address_text(const SocketAddress *a);

/* ---- connecting and listening --------------------------------------------- */

/* A blocking descriptor, or -1 with an error that names the address. All that its name stands for
 * is tried, for deadline_ms milliseconds in all; -1: for ever. */
int socket_connect(const SocketAddress *a, int deadline_ms, GError **error);

/* A GArray of int: listening, non-blocking descriptors, one for each address that the name stands
 * for, all with the same port. NULL with an error. A file of a unix socket that nobody listens on
 * is replaced, any other is left alone and is an error. */
GArray *socket_listen(const SocketAddress *a, int backlog, GError **error);
/* Closes them and removes the file of a unix socket; not for inherited ones, whose file is
 * another's. */
void socket_unlisten(GArray *fds);

/* Of a connection, small messages go at once; and when the peer is on this machine, large ones are not
 * paced, as some congestion controls (BBR) would do. Nothing where it is not TCP. */
void socket_quick(int fd);

/* Descriptors that a service manager has given to this process, as sd_listen_fds(3) says: 3, 4...
 * Their number, 0 when there are none, or -1 with an error when the variables make no sense. They
 * are made close-on-exec, and the variables are unset in any case. *names (which may be NULL) gets
 * a name for each ("" where none was given), NULL at the end; newly allocated, NULL when there are
 * none. Call it in main, once, while there is one thread. */
enum { SOCKET_INHERITED_FIRST = 3, SOCKET_INHERITED_MAX = 1024 };
int socket_inherited(char ***names, GError **error);

/* For messages: "::1:10809", "unix:/path" ("unix:" when it has no name), "vsock:3:1024"; this end,
 * and the peer's. Newly allocated. */
char *socket_name(int fd);
char *socket_peer_name(int fd);

/* ---- for those who run their own main loop ---------------------------------- */

typedef struct {
    struct sockaddr_storage addr;
    socklen_t len;
} SocketEnd;

/* What an address stands for, appended to a GArray of SocketEnd; type is SOCK_STREAM or SOCK_DGRAM,
 * passive to listen or bind. Not for fd. */
bool socket_resolve(const SocketAddress *a, int type, bool passive, GArray *ends, GError **error);
bool socket_vsock(const char *cid, const char *port, SocketEnd *end, GError **error);
/* A listening or, with SOCK_DGRAM, a bound descriptor, as socket_listen; -1 with an error. */
int socket_listen_end(const SocketEnd *end, int type, int backlog, GError **error);
/* "HOST:PORT" and "[HOST]:PORT", HOST may be empty; both newly allocated. */
bool socket_split_host(const char *text, char **host, char **port, GError **error);
/* The number of an open descriptor. */
bool socket_parse_fd(const char *text, int *fd, GError **error);
