/* SPDX-License-Identifier: MIT */
/* What a server exports: as lines in the form that qemu-nbd -L has, or as JSON. */
#include "tool.h"

#include "base/error.h"
#include "block/nbd.h"

#include <json-c/json.h>
#include <stdio.h>

enum { DEADLINE_MS = 30000 };

static const struct {
    uint16_t flag;
    const char *name;
} flag_names[] = {
    { NBD_FLAG_READ_ONLY, "readonly" }, { NBD_FLAG_SEND_FLUSH, "flush" }, { NBD_FLAG_SEND_FUA, "fua" },
    { NBD_FLAG_ROTATIONAL, "rotational" }, { NBD_FLAG_SEND_TRIM, "trim" }, { NBD_FLAG_SEND_WRITE_ZEROES, "zeroes" },
    { NBD_FLAG_SEND_DF, "df" }, { NBD_FLAG_CAN_MULTI_CONN, "multi" }, { NBD_FLAG_SEND_RESIZE, "resize" },
    { NBD_FLAG_SEND_CACHE, "cache" }, { NBD_FLAG_SEND_FAST_ZERO, "fast-zero" },
};

static void print_one(const NbdExport *e)
{
    printf(" export: '%s'\n", e->name);
    if (e->description && *e->description)
        printf("  description: %s\n", e->description);
    if (e->flags & NBD_FLAG_HAS_FLAGS) {
        printf("  size:  %" G_GUINT64_FORMAT "\n  flags: 0x%x (", e->size, e->flags);
        for (unsigned i = 0; i < G_N_ELEMENTS(flag_names); i++)
            if (e->flags & flag_names[i].flag)
                printf(" %s", flag_names[i].name);
        printf(" )\n");
    }
    if (e->minimum)
        printf("  min block: %u\n  opt block: %u\n  max block: %u\n", e->minimum, e->preferred,
               e->maximum);
    unsigned n = e->contexts ? g_strv_length((char **)e->contexts) : 0;
    if (n)
        printf("  available meta contexts: %u\n", n);
    for (unsigned i = 0; i < n; i++)
        printf("   %s\n", e->contexts[i]);
}

static struct json_object *json_of(const NbdExport *e)
{
    struct json_object *o = json_object_new_object(), *flags = json_object_new_array(),
                       *contexts = json_object_new_array();
    json_object_object_add(o, "name", json_object_new_string(e->name));
    if (e->description)
        json_object_object_add(o, "description", json_object_new_string(e->description));
    if (e->flags & NBD_FLAG_HAS_FLAGS) {
        json_object_object_add(o, "size", json_object_new_int64((int64_t)e->size));
        for (unsigned i = 0; i < G_N_ELEMENTS(flag_names); i++)
            if (e->flags & flag_names[i].flag)
                json_object_array_add(flags, json_object_new_string(flag_names[i].name));
    }
    json_object_object_add(o, "flags", flags);
    if (e->minimum) {
        json_object_object_add(o, "min-block", json_object_new_int64(e->minimum));
        json_object_object_add(o, "opt-block", json_object_new_int64(e->preferred));
        json_object_object_add(o, "max-block", json_object_new_int64(e->maximum));
    }
    for (unsigned i = 0; e->contexts && e->contexts[i]; i++)
        json_object_array_add(contexts, json_object_new_string(e->contexts[i]));
    json_object_object_add(o, "contexts", contexts);
    return o;
}

static void print_all(const Tool *t, const NbdClient *client)
{
    const NbdExport *e;
    unsigned n = 0;
    while (nbd_client_listed(client, n))
        n++;
    if (t->json) {
        struct json_object *list = json_object_new_array();
        for (unsigned i = 0; (e = nbd_client_listed(client, i)); i++)
            json_object_array_add(list, json_of(e));
        puts(json_object_to_json_string_ext(list, JSON_C_TO_STRING_PRETTY |
                                                      JSON_C_TO_STRING_NOSLASHESCAPE));
        json_object_put(list);
        return;
    }
    printf("exports available: %u\n", n);
    for (unsigned i = 0; (e = nbd_client_listed(client, i)); i++)
        print_one(e);
}

/* ---- Where ------------------------------------------------------------------- */

/* The server that a URI names; its export does not matter. */
static SocketAddress *address_of(const char *text, bool *tls, GError **error)
{
    NbdUri uri;
    SocketAddress *a = NULL;
    if (nbd_uri_parse(text, &uri, error)) {
        *tls = uri.tls;
        g_autofree char *vsock = g_strdup_printf("vsock:%s:%s", uri.host ? uri.host : "",
                                                 uri.port ? uri.port : "");
        a = uri.transport == NBD_URI_UNIX    ? socket_address_unix(uri.socket)
            : uri.transport == NBD_URI_VSOCK ? socket_address_parse(vsock, error)
                                             : socket_address_inet(uri.host, uri.port);
    }
    nbd_uri_clear(&uri);
    return a;
}

static SocketAddress *address(const Tool *t, GError **error)
{
    bool tls = false;
    if (t->images->len) {
        SocketAddress *a = address_of(t->images->pdata[0], &tls, error);
        if (a && tls && !t->tls_creds) {
            fail_usage(error, "%s: TLS needs credentials: --object and --tls-creds",
                       (char *)t->images->pdata[0]);
            g_clear_pointer(&a, socket_address_free);
        }
        return a;
    }
    if (t->socket)
        return socket_address_unix(t->socket);
    g_autofree char *port = t->port ? g_strdup(t->port) : g_strdup_printf("%d", NBD_PORT);
    return socket_address_inet(t->bind ? t->bind : t->voice.compatible ? "0.0.0.0" : "localhost", port);
}

int list_exports(Tool *t)
{
    GError *error = NULL;
    BlockNbdPeer peer;
    g_autoptr(SocketAddress) a = address(t, &error);
    BlockNbdTarget target = { .address = a, .hostname = t->tls_hostname, .wanted = { .list = true },
                              .deadline_ms = DEADLINE_MS };
    if (a && t->tls_creds)
        target.creds = crypto_tls_creds(t->objects, t->tls_creds, false, &error);
    if (error || !block_nbd_connect(&target, &peer, &error))
        return voice_error(&t->voice, error);
    print_all(t, peer.client);
    block_nbd_close(&peer);
    return 0;
}
