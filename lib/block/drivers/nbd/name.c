/* SPDX-License-Identifier: MIT */
/* Names of exports: NBD URIs, and the older nbd:HOST:PORT[:exportname=NAME] and
 * nbd:unix:PATH[:exportname=NAME]. */
#include "block/drivers/nbd/nbd_priv.h"

#include "base/error.h"

#include <json-c/json.h>
#include <string.h>

static void set(struct json_object *o, const char *key, const char *value)
{
    if (value)
        json_object_object_add(o, key, json_object_new_string(value));
}

static struct json_object *server(const char *type, const char *host, const char *port, const char *path,
                                  const char *cid)
{
    struct json_object *o = json_object_new_object();
    set(o, "type", type);
    set(o, "host", host);
    set(o, "port", port);
    set(o, "path", path);
    set(o, "cid", cid);
    return o;
}

static bool from_uri(const char *name, struct json_object *options, GError **error)
{
    NbdUri u;
    bool ok = nbd_uri_parse(name, &u, error);
    if (ok && u.tls)
        ok = fail_usage(error, "%s: TLS needs credentials: --object tls-creds-x509 or tls-creds-psk, and "
                               "driver=nbd,server.type=...,tls-creds=ID", name);
    if (ok) {
        struct json_object *s = u.transport == NBD_URI_UNIX    ? server("unix", NULL, NULL, u.socket, NULL)
                                : u.transport == NBD_URI_VSOCK ? server("vsock", NULL, u.port, NULL, u.host)
                                                               : server("inet", u.host, u.port, NULL, NULL);
        json_object_object_add(options, "server", s);
        if (*u.name)
            set(options, "export", u.name);
    }
    nbd_uri_clear(&u);
    return ok;
}

bool nbd_name_parse(const char *name, struct json_object *options, GError **error)
{
    if (nbd_is_uri(name))
        return from_uri(name, options, error);
    if (!g_str_has_prefix(name, "nbd:"))
        return fail_usage(error, "an NBD URI has // behind the colon");
    const char *export = strstr(name, ":exportname=");
    g_autofree char *where = export ? g_strndup(name + 4, (gsize)(export - name - 4)) : g_strdup(name + 4);
    if (export)
        set(options, "export", export + strlen(":exportname="));
    if (g_str_has_prefix(where, "unix:")) {
        json_object_object_add(options, "server", server("unix", NULL, NULL, where + 5, NULL));
        return where[5] || fail_usage(error, "the path of the socket is missing");
    }
    g_autofree char *host = NULL, *port = NULL;
    if (!socket_split_host(where, &host, &port, error))
        return false;
    json_object_object_add(options, "server", server("inet", host, port, NULL, NULL));
    return true;
}

SocketAddress *nbd_name_address(const Nbd *nbd, GError **error)
{
    if (nbd->server && (nbd->path || nbd->host || nbd->port))
        fail_usage(error, "server goes without path, host and port");
    else if (nbd->path && (nbd->host || nbd->port))
        fail_usage(error, "path and host may not be used at the same time");
    else if (nbd->server)
        return socket_address_json(nbd->server, error);
    else if (nbd->path)
        return socket_address_unix(nbd->path);
    else if (nbd->host)
        return socket_address_inet(nbd->host, nbd->port ? nbd->port : "10809");
    else
        fail_usage(error, "server, or path or host, is missing");
    return NULL;
}

char *nbd_name_text(const Nbd *nbd)
{
    const SocketAddress *a = nbd->address;
    const char *export = nbd->export;
    NbdUri u = { .tls = nbd->creds, .name = nbd->export, .host = a->cid, .port = a->port };
    switch (a->type) {
    /* these two as QEMU writes them, which scripts compare */
    case SOCKET_INET:
        return g_strdup_printf("nbd://%s:%s%s%s", a->host, a->port, *export ? "/" : "", export);
    case SOCKET_UNIX:
        return g_strdup_printf("nbd+unix://%s%s?socket=%s", *export ? "/" : "", export, a->path);
    case SOCKET_VSOCK:
        u.transport = NBD_URI_VSOCK;
        break;
    default:
        return socket_address_text(a);
    }
    return nbd_uri_text(&u);
}
