/* SPDX-License-Identifier: MIT */
/* What a server exports: as lines in the form that qemu-nbd -L has, or as JSON. */
#include "tool.h"

#include "base/error.h"
#include "base/socket.h"
#include "crypto/tls.h"
#include "nbd/nbd.h"

#include <errno.h>
#include <json-c/json.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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
        printf("  min block: %u\n  opt block: %u\n  max block: %u\n", e->minimum, e->preferred, e->maximum);
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
        puts(json_object_to_json_string_ext(list, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
        json_object_put(list);
        return;
    }
    printf("exports available: %u\n", n);
    for (unsigned i = 0; (e = nbd_client_listed(client, i)); i++)
        print_one(e);
}

/* ---- The conversation ------------------------------------------------------- */

typedef struct {
    const Tool *tool;
    int fd;
    CryptoTls *tls;
    NbdClient *client;
    const char *host; /* whom the server's certificate is for; NULL: not known */
} Peer;

static bool send_all(Peer *p, const uint8_t *bytes, size_t len, GError **error)
{
    while (len) {
        ssize_t n = p->tls ? crypto_tls_write(p->tls, bytes, len) : send(p->fd, bytes, len, MSG_NOSIGNAL);
        if (n < 0 && (p->tls || errno != EINTR))
            return fail_errno(error, p->tls ? (int)-n : errno, "the server went away");
        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
        }
    }
    return true;
}

static bool receive(Peer *p, GError **error)
{
    struct pollfd pfd = { .fd = p->fd, .events = POLLIN };
    struct iovec iov[2];
    nbd_client_buffers(p->client, iov);
    if (!(p->tls && crypto_tls_pending(p->tls)) && poll(&pfd, 1, DEADLINE_MS) == 0)
        return fail(error, "the server has not answered for %d seconds", DEADLINE_MS / 1000);
    ssize_t n = p->tls ? crypto_tls_read(p->tls, iov[0].iov_base, iov[0].iov_len)
                       : recv(p->fd, iov[0].iov_base, iov[0].iov_len, 0);
    if (n <= 0)
        return fail(error, "the server closed the connection");
    nbd_client_advance(p->client, (size_t)n);
    return true;
}

static bool secure(Peer *p, GError **error)
{
    const Tool *t = p->tool;
    const CryptoTlsCreds *creds = crypto_tls_creds(t->objects, t->tls_creds, false, error);
    CryptoTlsParty party = { .hostname = t->tls_hostname ? t->tls_hostname : p->host };
    if (!creds || !(p->tls = crypto_tls_new(creds, &party, p->fd, error)))
        return false;
    if (!crypto_tls_handshake(p->tls, DEADLINE_MS, error))
        return false;
    nbd_client_secured(p->client);
    return true;
}

static bool converse(Peer *p, GError **error)
{
    for (;;) {
        NbdReply reply;
        NbdEvent event = nbd_client_next(p->client, NULL, NULL, &reply);
        size_t len;
        const uint8_t *out = nbd_client_output(p->client, &len);
        if (len && event != NBD_READY) {
            if (!send_all(p, out, len, error))
                return false;
            nbd_client_sent(p->client);
            if (event == NBD_NEED)
                continue;
        }
        switch (event) {
        case NBD_READY:
            send_all(p, out, len, NULL); /* a farewell, to whoever still listens */
            return true;
        case NBD_START_TLS:
            if (!secure(p, error))
                return false;
            break;
        case NBD_BROKEN:
            return fail(error, "%s", nbd_client_error(p->client));
        default:
            if (!receive(p, error))
                return false;
        }
    }
}

static SocketAddress *address(const Tool *t)
{
    if (t->socket)
        return socket_address_unix(t->socket);
    g_autofree char *port = t->port ? g_strdup(t->port) : g_strdup_printf("%d", NBD_PORT);
    return socket_address_inet(t->bind ? t->bind : t->compatible ? "0.0.0.0" : "localhost", port);
}

int list_exports(Tool *t)
{
    GError *error = NULL;
    g_autoptr(SocketAddress) a = address(t);
    Peer p = { .tool = t, .host = t->socket ? NULL : t->bind ? t->bind : "localhost" };
    p.fd = socket_connect(a, DEADLINE_MS, &error);
    if (p.fd < 0)
        return tool_error(t, error);
    p.client = nbd_client_new(&(NbdWanted){ .list = true, .tls = t->tls_creds });
    int status = NBD_OK;
    if (converse(&p, &error))
        print_all(t, p.client);
    else
        status = tool_error(t, error);
    nbd_client_free(p.client);
    crypto_tls_free(p.tls);
    close(p.fd);
    return status;
}
