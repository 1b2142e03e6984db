/* SPDX-License-Identifier: MIT */
/*
 * Socket addresses as options, JSON and text spell them, and what they stand for. JSON is turned
 * into options first, so that both have one reader and the same words in errors.
 */
#include "base/error.h"
#include "base/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <linux/vm_sockets.h>
#include <netdb.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

static const char *const type_names[] = {
    [SOCKET_INET] = "inet",
    [SOCKET_UNIX] = "unix",
    [SOCKET_VSOCK] = "vsock",
    [SOCKET_FD] = "fd",
    NULL,
};

void socket_address_free(SocketAddress *a)
{
    if (!a)
        return;
    g_free(a->host);
    g_free(a->port);
    g_free(a->path);
    g_free(a->cid);
    g_free(a);
}

SocketAddress *socket_address_unix(const char *path)
{
    SocketAddress *a = g_new0(SocketAddress, 1);

    a->type = SOCKET_UNIX;
    a->path = g_strdup(path);
    return a;
}

SocketAddress *socket_address_inet(const char *host, const char *port)
{
    SocketAddress *a = g_new0(SocketAddress, 1);

    a->type = SOCKET_INET;
    a->family = AF_UNSPEC;
    a->host = g_strdup(host);
    a->port = g_strdup(port);
    return a;
}

char *socket_address_text(const SocketAddress *a)
{
    switch (a->type) {
    case SOCKET_INET:
        return g_strdup_printf("%s:%s", a->host, a->port);
    case SOCKET_UNIX:
        return g_strdup_printf("unix:%s%s", a->abstract ? "@" : "", a->path);
    case SOCKET_VSOCK:
        return g_strdup_printf("vsock:%s:%s", a->cid, a->port);
    case SOCKET_FD:
        break;
    }
    return g_strdup_printf("fd:%d", a->fd);
}

/* ---- options and JSON ------------------------------------------------------ */

typedef struct {
    Options *o;
    const char *prefix;
} Source;

/* A getter with the prefix in front of its key; what it returns lives as long as the options. */
static const char *get(const Source *s, const char *key)
{
    g_autofree char *full = g_strconcat(s->prefix, key, NULL);
    return options_get(s->o, full);
}

static const char *need(const Source *s, const char *key, GError **error)
{
    const char *value = get(s, key);

    if (!value)
        fail_usage(error, "Parameter '%s%s' is missing", s->prefix, key);
    return value;
}

static bool get_bool(const Source *s, const char *key, bool *value, bool *given, GError **error)
{
    g_autofree char *full = g_strconcat(s->prefix, key, NULL);

    *given = options_has(s->o, full);
    return options_get_bool(s->o, full, value, error);
}

/* ipv4= and ipv6=: one that is on leaves out the other, unless that is on too. */
static bool read_family(SocketAddress *a, const Source *s, GError **error)
{
    bool v4 = false, v6 = false, v4_given, v6_given;

    if (!get_bool(s, "ipv4", &v4, &v4_given, error) || !get_bool(s, "ipv6", &v6, &v6_given, error))
        return false;
    if (v4_given && v6_given && !v4 && !v6)
        return fail_usage(error, "Cannot disable IPv4 and IPv6 at same time");
    bool no4 = v4_given ? !v4 : v6, no6 = v6_given ? !v6 : v4;
    a->family = no4 == no6 ? AF_UNSPEC : no4 ? AF_INET6 : AF_INET;
    return true;
}

static bool read_inet(SocketAddress *a, const Source *s, GError **error)
{
    g_autofree char *to_key = g_strconcat(s->prefix, "to", NULL);
    const char *host = get(s, "host"), *port = need(s, "port", error);
    bool given;
    uint64_t to = 0;

    if (!port || !read_family(a, s, error) ||
        !get_bool(s, "keep-alive", &a->keep_alive, &given, error) ||
        !get_bool(s, "numeric", &a->numeric, &given, error) ||
        !options_get_number(s->o, to_key, 0, 65535, &to, error))
        return false;
    a->host = g_strdup(host ? host : "");
    a->port = g_strdup(port);
    a->to = (unsigned)to;
    return true;
}

static bool read_unix(SocketAddress *a, const Source *s, GError **error)
{
    const char *path = need(s, "path", error);
    bool given;

    a->tight = true;
    if (!path || !get_bool(s, "abstract", &a->abstract, &given, error) ||
        !get_bool(s, "tight", &a->tight, &given, error))
        return false;
    a->path = g_strdup(path);
    return true;
}

static bool read_vsock(SocketAddress *a, const Source *s, GError **error)
{
    const char *cid = need(s, "cid", error), *port = cid ? need(s, "port", error) : NULL;

    a->cid = g_strdup(cid);
    a->port = g_strdup(port);
    return port != NULL;
}

static bool read_fd(SocketAddress *a, const Source *s, GError **error)
{
    const char *text = need(s, "str", error);

    return text && socket_parse_fd(text, &a->fd, error);
}

SocketAddress *socket_address_options(Options *o, const char *prefix, GError **error)
{
    static bool (*const read[])(SocketAddress *a, const Source *s, GError **error) = {
        [SOCKET_INET] = read_inet,
        [SOCKET_UNIX] = read_unix,
        [SOCKET_VSOCK] = read_vsock,
        [SOCKET_FD] = read_fd,
    };
    g_autoptr(SocketAddress) a = g_new0(SocketAddress, 1);
    Source s = { o, prefix };
    const char *name = need(&s, "type", error);

    if (!name)
        return NULL;
    for (int i = 0; type_names[i]; i++) {
        a->type = (SocketType)i;
        if (!strcmp(name, type_names[i]))
            return read[i](a, &s, error) ? g_steal_pointer(&a) : NULL;
    }
    fail_usage(error, "Parameter '%stype' does not accept value '%s'", prefix, name);
    return NULL;
}

SocketAddress *socket_address_json(struct json_object *tree, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    struct json_object *data;

    if (!json_object_is_type(tree, json_type_object)) {
        fail_usage(error, "the address of a socket is an object");
        return NULL;
    }
    json_object_object_foreach (tree, key, value) {
        if (json_object_is_type(value, json_type_object) && !strcmp(key, "data"))
            continue;
        if (json_object_is_type(value, json_type_object) ||
            json_object_is_type(value, json_type_array) || strpbrk(key, "=,")) {
            fail_usage(error, "Parameter '%s' is unexpected", key);
            return NULL;
        }
        g_auto(GStrv) parts = g_strsplit(json_object_get_string(value), ",", -1);
        g_autofree char *safe = g_strjoinv(",,", parts);
        g_string_append_printf(text, "%s%s=%s", text->len ? "," : "", key, safe);
    }
    /* the older form: {"type": ..., "data": {...}} */
    if (json_object_object_get_ex(tree, "data", &data)) {
        struct json_object *type = NULL, *flat = NULL;
        SocketAddress *a = NULL;
        if (json_object_object_get_ex(tree, "type", &type) &&
            json_object_object_length(tree) == 2 && !json_object_deep_copy(data, &flat, NULL) &&
            !json_object_object_get_ex(flat, "data", NULL)) {
            json_object_object_add(flat, "type", json_object_get(type));
            a = socket_address_json(flat, error);
        } else {
            fail_usage(error, "'data' stands beside 'type' alone");
        }
        json_object_put(flat);
        return a;
    }
    g_autoptr(Options) o = options_parse(text->str, NULL, error);
    g_autoptr(SocketAddress) a = o ? socket_address_options(o, "", error) : NULL;
    return a && options_done(o, error) ? g_steal_pointer(&a) : NULL;
}

/* ---- text ------------------------------------------------------------------ */

bool socket_split_host(const char *text, char **host, char **port, GError **error)
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

bool socket_parse_fd(const char *text, int *fd, GError **error)
{
    guint64 n;

    if (!g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT, &n, NULL))
        return fail_usage(error, "fd=%s: a number is wanted", text);
    if (fcntl((int)n, F_GETFD) < 0)
        return fail_errno(error, errno, "fd=%s", text);
    *fd = (int)n;
    return true;
}

SocketAddress *socket_address_parse(const char *text, GError **error)
{
    g_autoptr(SocketAddress) a = g_new0(SocketAddress, 1);
    const char *colon = strchr(text, ':'), *rest = colon ? colon + 1 : text;
    bool ok = false;

    if (g_str_has_prefix(text, "unix:")) {
        a->type = SOCKET_UNIX;
        a->abstract = *rest == '@';
        a->tight = true;
        a->path = g_strdup(rest + a->abstract);
        ok = *a->path || fail_usage(error, "'%s': unix:PATH is wanted", text);
    } else if (g_str_has_prefix(text, "vsock:")) {
        a->type = SOCKET_VSOCK;
        ok = socket_split_host(rest, &a->cid, &a->port, NULL) ||
             fail_usage(error, "'%s': vsock:CID:PORT is wanted", text);
    } else if (g_str_has_prefix(text, "fd:")) {
        a->type = SOCKET_FD;
        ok = socket_parse_fd(rest, &a->fd, error);
    } else {
        /* "inet:10809" is a host of that name, as "localhost:10809" is */
        bool word = (g_str_has_prefix(text, "inet:") || g_str_has_prefix(text, "tcp:")) &&
                    strchr(rest, ':');
        const char *host = word ? rest : text;
        a->type = SOCKET_INET;
        ok = socket_split_host(host, &a->host, &a->port, error);
        if (ok && *host != '[' && strchr(a->host, ':'))
            ok = fail_usage(error, "'%s': an IPv6 address stands in brackets", text);
    }
    return ok ? g_steal_pointer(&a) : NULL;
}

/* ---- what they stand for --------------------------------------------------- */

static bool resolve_unix(const SocketAddress *a, SocketEnd *end, GError **error)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&end->addr;
    size_t n = strlen(a->path), at = a->abstract;

    if (!n || n + !a->abstract + at > sizeof un->sun_path)
        return fail_usage(error, "the path '%s' of a socket has 1 to %zu bytes", a->path,
                          sizeof un->sun_path - 1);
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path + at, a->path, n);
    end->len = sizeof *un;
    if (a->abstract && a->tight)
        end->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + at + n);
    return true;
}

bool socket_vsock(const char *cid, const char *port, SocketEnd *end, GError **error)
{
    static const struct {
        const char *name;
        unsigned cid;
    } names[] = {
        { "any", VMADDR_CID_ANY },
        { "local", VMADDR_CID_LOCAL },
        { "host", VMADDR_CID_HOST },
    };
    struct sockaddr_vm *vm = (struct sockaddr_vm *)&end->addr;
    guint64 c = 0, p;
    bool ok = false;

    for (size_t i = 0; !ok && i < G_N_ELEMENTS(names); i++) {
        ok = !strcmp(cid, names[i].name);
        c = names[i].cid;
    }
    if (!ok && !g_ascii_string_to_unsigned(cid, 10, 0, UINT32_MAX, &c, NULL))
        return fail_usage(error, "Failed to parse cid '%s'", cid);
    if (!g_ascii_string_to_unsigned(port, 10, 0, UINT32_MAX, &p, NULL))
        return fail_usage(error, "Failed to parse port '%s'", port);
    *end = (SocketEnd){ .len = sizeof *vm };
    vm->svm_family = AF_VSOCK;
    vm->svm_cid = (unsigned)c;
    vm->svm_port = (unsigned)p;
    return true;
}

static bool resolve_inet(const SocketAddress *a, int type, bool passive, GArray *ends,
                         GError **error)
{
    struct addrinfo hints = {
        .ai_family = a->family,
        .ai_socktype = type,
        .ai_flags = (passive ? AI_PASSIVE : 0) |
                    (a->numeric ? AI_NUMERICHOST | AI_NUMERICSERV : 0),
    };
    struct addrinfo *list = NULL;
    int e = getaddrinfo(*a->host ? a->host : NULL, a->port, &hints, &list);

    if (e)
        return fail(error, "address resolution failed for %s:%s: %s", a->host, a->port,
                    e == EAI_SYSTEM ? g_strerror(errno) : gai_strerror(e));
    for (const struct addrinfo *i = list; i; i = i->ai_next) {
        SocketEnd end = { .len = i->ai_addrlen };
        memcpy(&end.addr, i->ai_addr, i->ai_addrlen);
        g_array_append_val(ends, end);
    }
    freeaddrinfo(list);
    return true;
}

bool socket_resolve(const SocketAddress *a, int type, bool passive, GArray *ends, GError **error)
{
    SocketEnd end = { 0 };

    if (a->type == SOCKET_INET)
        return resolve_inet(a, type, passive, ends, error);
    if (a->type == SOCKET_FD)
        return fail_usage(error, "fd:%d has no address", a->fd);
    if (a->type == SOCKET_UNIX ? !resolve_unix(a, &end, error)
                               : !socket_vsock(a->cid, a->port, &end, error))
        return false;
    g_array_append_val(ends, end);
    return true;
}
