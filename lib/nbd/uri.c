/* SPDX-License-Identifier: MIT */
/* NBD URIs (the NBD project's doc/uri.md), with libnbd's keys. */
#include "nbd/nbd.h"

#include "base/error.h"

#include <string.h>

static const struct {
    const char *scheme;
    bool tls;
    int transport;
} schemes[] = {
    { "nbd", false, NBD_URI_TCP },        { "nbds", true, NBD_URI_TCP },
    { "nbd+tcp", false, NBD_URI_TCP },    { "nbds+tcp", true, NBD_URI_TCP },
    { "nbd+unix", false, NBD_URI_UNIX },  { "nbds+unix", true, NBD_URI_UNIX },
    { "nbd+vsock", false, NBD_URI_VSOCK }, { "nbds+vsock", true, NBD_URI_VSOCK },
};

static int scheme_of(const char *text)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(schemes); i++) {
        size_t n = strlen(schemes[i].scheme);
        if (!g_ascii_strncasecmp(text, schemes[i].scheme, n) && !strncmp(text + n, ":/", 2))
            return (int)i;
    }
    return -1;
}

bool nbd_is_uri(const char *text)
{
    return scheme_of(text) >= 0;
}

static bool read_keys(NbdUri *uri, const char *query, GError **error)
{
    GUriParamsIter it;
    char *key, *value;
    GError *local = NULL;
    g_uri_params_iter_init(&it, query, -1, "&;", G_URI_PARAMS_NONE);
    while (g_uri_params_iter_next(&it, &key, &value, &local)) {
        char **to = !strcmp(key, "socket")             ? &uri->socket
                    : !strcmp(key, "tls-psk-file")     ? &uri->psk_file
                    : !strcmp(key, "tls-certificates") ? &uri->certificates
                    : !strcmp(key, "tls-hostname")     ? &uri->hostname
                                                       : NULL;
        if (to) { /* others are to be ignored, says the specification */
            g_free(*to);
            *to = g_steal_pointer(&value);
        }
        g_free(key);
        g_free(value);
    }
    if (!local)
        return true;
    g_propagate_error(error, local);
    return false;
}

bool nbd_uri_parse(const char *text, NbdUri *uri, GError **error)
{
    *uri = (NbdUri){ 0 };
    int which = scheme_of(text);
    if (which < 0)
        return fail_usage(error, "%s: not an NBD URI", text);
    GError *local = NULL;
    g_autoptr(GUri)
        u = g_uri_parse(text, G_URI_FLAGS_HAS_PASSWORD | G_URI_FLAGS_ENCODED_QUERY, &local);
    if (!u) {
        fail_usage(error, "%s: %s", text, local->message);
        g_error_free(local);
        return false;
    }
    uri->tls = schemes[which].tls;
    uri->transport = schemes[which].transport;
    const char *path = g_uri_get_path(u), *user = g_uri_get_user(u), *host = g_uri_get_host(u);
    uri->name = g_strdup(*path == '/' ? path + 1 : path);
    uri->user = user && *user ? g_strdup(user) : NULL;
    if (g_uri_get_query(u) && !read_keys(uri, g_uri_get_query(u), error))
        return false;
    if (uri->transport == NBD_URI_UNIX) {
        if (host && *host)
            return fail_usage(error, "%s: no host goes with a Unix socket: nbd+unix:///EXPORT?socket=PATH", text);
        return (uri->socket && *uri->socket) ||
               fail_usage(error, "%s: socket=PATH is missing", text);
    }
    if (uri->socket)
        return fail_usage(error, "%s: socket= goes with nbd+unix:", text);
    if ((!host || !*host) && uri->transport == NBD_URI_VSOCK)
        return fail_usage(error, "%s: the context number is missing", text);
    uri->host = g_strdup(host && *host ? host : "localhost");
    uri->port = g_uri_get_port(u) > 0 ? g_strdup_printf("%d", g_uri_get_port(u))
                                      : g_strdup_printf("%d", NBD_PORT);
    return true;
}

void nbd_uri_clear(NbdUri *uri)
{
    char **all[] = { &uri->host, &uri->port, &uri->socket, &uri->name, &uri->user, &uri->psk_file,
                     &uri->certificates, &uri->hostname };
    for (unsigned i = 0; i < G_N_ELEMENTS(all); i++)
        g_clear_pointer(all[i], g_free);
}

static void add_key(GString *s, const char *key, const char *value)
{
    if (!value)
        return;
    g_autofree char *escaped = g_uri_escape_string(value, "/:", true);
    g_string_append_printf(s, "%c%s=%s", strchr(s->str, '?') ? '&' : '?', key, escaped);
}

char *nbd_uri_text(const NbdUri *uri)
{
    static const char *const transports[] = { "", "+unix", "+vsock" };
    GString *s = g_string_new(uri->tls ? "nbds" : "nbd");
    g_string_append_printf(s, "%s://", transports[uri->transport]);
    if (uri->user) {
        g_autofree char *user = g_uri_escape_string(uri->user, NULL, true);
        g_string_append_printf(s, "%s@", user);
    }
    if (uri->transport != NBD_URI_UNIX) {
        g_string_append_printf(s, strchr(uri->host, ':') ? "[%s]" : "%s", uri->host);
        if (strcmp(uri->port, "10809"))
            g_string_append_printf(s, ":%s", uri->port);
    }
    g_autofree char *name = g_uri_escape_string(uri->name, "/", true);
    if (*name || uri->transport == NBD_URI_UNIX)
        g_string_append_printf(s, "/%s", name);
    add_key(s, "socket", uri->socket);
    add_key(s, "tls-psk-file", uri->psk_file);
    add_key(s, "tls-certificates", uri->certificates);
    add_key(s, "tls-hostname", uri->hostname);
    return g_string_free(s, false);
}
