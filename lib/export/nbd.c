/* SPDX-License-Identifier: MIT */
/* The server: its exports, its listeners, and connections from their accept to their join. */
#include "export/export_priv.h"

#include "base/error.h"
#include "base/socket.h"
#include "base/thread.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
    ExportNbd *server;
    int fd;
    guint source; /* 0: not listened to now */
} Listener;

static void watch_listeners(ExportNbd *server);

/* ---- Exports --------------------------------------------------------------- */

static void export_free(Export *e)
{
    if (e->plain.fd >= 0)
        close(e->plain.fd);
    block_detach(e->user);
    block_node_unref(e->node);
    g_free((char *)e->wire.name);
    g_free((char *)e->wire.description);
    if (e->contexts)
        g_ptr_array_unref(e->contexts);
    g_free(e);
}

static bool list_contexts(Export *e, const ExportDisk *disk, GError **error)
{
    e->contexts = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(e->contexts, g_strdup(NBD_CONTEXT_ALLOCATION));
    if (disk->depth)
        g_ptr_array_add(e->contexts, g_strdup(NBD_CONTEXT_DEPTH));
    e->depth = disk->depth;
    e->first_bitmap = e->contexts->len;
    for (unsigned i = 0; disk->bitmaps && disk->bitmaps[i]; i++) {
        const char *name = disk->bitmaps[i];
        BlockBitmap *bitmap = block_bitmap_find(e->node, name);
        if (!bitmap)
            return fail(error, "Bitmap '%s' is not found", name);
        if (block_bitmap_inconsistent(bitmap))
            return fail(error, "Bitmap '%s' is inconsistent and cannot be used", name);
        if (disk->writable && block_bitmap_enabled(bitmap))
            return fail(error, "Enabled bitmap '%s' incompatible with readonly export", name);
        if (e->contexts->len >= NBD_MAX_CONTEXTS)
            return fail(error, "at most %d bitmaps are exported", NBD_MAX_CONTEXTS - 2);
        g_ptr_array_add(e->contexts, g_strconcat(NBD_CONTEXT_BITMAP, name, NULL));
    }
    g_ptr_array_add(e->contexts, NULL);
    e->wire.contexts = (const char *const *)e->contexts->pdata;
    return true;
}

static void describe(Export *e, const ExportDisk *disk)
{
    BlockAdvice advice = block_advice(e->user);
    e->wire.size = block_size(e->user);
    e->wire.minimum = 1; /* lib/block takes any alignment */
    e->wire.preferred = MAX(4096, MAX(advice.align, advice.optimal));
    if (e->wire.preferred & (e->wire.preferred - 1) || e->wire.preferred > NBD_MAX_PAYLOAD)
        e->wire.preferred = 4096;
    e->wire.maximum = NBD_MAX_PAYLOAD;
    e->wire.flags = NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA | NBD_FLAG_SEND_CACHE;
    e->wire.flags |= disk->multi_conn ? NBD_FLAG_CAN_MULTI_CONN : 0;
    if (disk->writable)
        e->wire.flags |= NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_SEND_FAST_ZERO;
    else
        e->wire.flags |= NBD_FLAG_READ_ONLY;
}

static Export *find_export(ExportNbd *server, const char *name)
{
    for (unsigned i = 0; i < server->exports->len; i++) {
        Export *e = server->exports->pdata[i];
        if (!e->removed && !strcmp(e->wire.name, name))
            return e;
    }
    return NULL;
}

bool export_nbd_add(ExportNbd *server, const ExportDisk *disk, GError **error)
{
    if (strlen(disk->name) > NBD_MAX_STRING ||
        (disk->description && strlen(disk->description) > NBD_MAX_STRING))
        return fail_usage(error, "names and descriptions of exports have at most %d bytes",
                          NBD_MAX_STRING);
    if (find_export(server, disk->name))
        return fail_usage(error, "there is an export '%s' already", disk->name);
    Export *e = g_new0(Export, 1);
    e->server = server;
    e->plain.fd = -1;
    e->node = block_node_ref(disk->node);
    e->wire.name = g_strdup(disk->name);
    e->wire.description = g_strdup(disk->description);
    g_autofree char *who = g_strdup_printf("nbd export '%s'", disk->name);
    BlockAttach attach = { .name = who,
                           .writethrough = disk->writethrough,
                           .perm = BLOCK_PERM_CONSISTENT_READ |
                                   (disk->writable ? BLOCK_PERM_WRITE : 0),
                           .shared = BLOCK_SHARE_ALL & ~BLOCK_PERM_RESIZE };
    e->user = block_attach(disk->node, &attach, error);
    if (!e->user || !list_contexts(e, disk, error)) {
        export_free(e);
        return false;
    }
    e->plain = block_plain(e->user);
    describe(e, disk);
    g_mutex_lock(&server->lock);
    g_ptr_array_add(server->exports, e);
    g_mutex_unlock(&server->lock);
    return true;
}

bool export_enter(Connection *c, Export *e)
{
    g_mutex_lock(&c->server->lock);
    bool in = !e->removed;
    if (in) {
        e->connections++;
        c->export = e;
    }
    if (c->server->removed) /* perhaps it was the last that could still see them */
        g_source_set_ready_time(c->server->reaper, 0);
    g_mutex_unlock(&c->server->lock);
    return in;
}

/* Who is in its handshake may have a pointer to any export. */
static bool some_shake_hands(const ExportNbd *server)
{
    for (const Connection *c = server->connections; c; c = c->next)
        if (!c->export && !c->ended)
            return true;
    return false;
}

/* Frees exports that were removed once nobody uses them. */
static void drop_removed(ExportNbd *server)
{
    g_mutex_lock(&server->lock);
    bool may = server->removed && !some_shake_hands(server);
    for (unsigned i = 0; may && i < server->exports->len;) {
        Export *e = server->exports->pdata[i];
        if (e->removed && !e->connections) {
            g_ptr_array_remove_index(server->exports, i);
            server->removed--;
            export_free(e);
        } else {
            i++;
        }
    }
    g_mutex_unlock(&server->lock);
}

/* ---- Connections ----------------------------------------------------------- */

static void connection_free(Connection *c)
{
    crypto_tls_free(c->tls);
    if (c->fd >= 0)
        close(c->fd);
    if (c->wake >= 0)
        close(c->wake);
    nbd_server_free(c->nbd);
    g_free(c->peer);
    g_free(c->broke);
    g_free(c);
}

/* Joins those that ended. Main thread. */
static void reap(ExportNbd *server)
{
    Connection **at = &server->connections;
    bool some = false;
    while (*at) {
        Connection *c = *at;
        g_mutex_lock(&server->lock);
        bool ended = c->ended;
        g_mutex_unlock(&server->lock);
        if (!ended) {
            at = &c->next;
            continue;
        }
        pthread_join(c->thread, NULL);
        *at = c->next;
        some = true;
        server->n_connections--;
        g_mutex_lock(&server->lock);
        if (c->export)
            c->export->connections--;
        g_mutex_unlock(&server->lock);
        if (c->broke && server->config.say) {
            g_autofree char *line = g_strdup_printf("client %s: %s", c->peer, c->broke);
            server->config.say(server->config.opaque, line);
        }
        connection_free(c);
    }
    drop_removed(server);
    if (!some)
        return;
    watch_listeners(server);
    if (server->config.changed)
        server->config.changed(server->config.opaque, server->n_connections, server->ever);
}

static gboolean on_reaper(gpointer opaque)
{
    ExportNbd *server = opaque;
    g_source_set_ready_time(server->reaper, -1);
    reap(server);
    return G_SOURCE_CONTINUE;
}

static gboolean dispatch(GSource *source, GSourceFunc func, gpointer opaque)
{
    return func(opaque);
}

static unsigned limit(const ExportNbd *server)
{
    unsigned n = server->config.connections;
    return n && n < EXPORT_MAX_CONNECTIONS ? n : EXPORT_MAX_CONNECTIONS;
}

static void refuse(ExportNbd *server, int fd, const char *why)
{
    if (server->config.say)
        server->config.say(server->config.opaque, why);
    close(fd);
}

void export_nbd_take(ExportNbd *server, int fd)
{
    static const char *const no_thread = "a client was turned away: no thread can be started";
    Connection *c = g_new0(Connection, 1);
    c->pipe[0] = c->pipe[1] = -1;
    c->server = server;
    c->fd = fd;
    c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    c->peer = socket_peer_name(fd);
    g_unix_set_fd_nonblocking(fd, FALSE, NULL);
    socket_quick(fd);
    if (c->wake < 0 || thread_start(&c->thread, "nbd", export_connection_run, c)) {
        c->fd = -1;
        connection_free(c);
        refuse(server, fd, no_thread);
        return;
    }
    c->next = server->connections;
    server->connections = c;
    server->n_connections++;
    server->ever++;
    watch_listeners(server);
    if (server->config.changed)
        server->config.changed(server->config.opaque, server->n_connections, server->ever);
}

/* ---- Listeners ------------------------------------------------------------- */

static gboolean on_client(gint fd, GIOCondition condition, gpointer opaque)
{
    ExportNbd *server = opaque;
    int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    if (client >= 0) {
        int on = 1;
        setsockopt(client, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        export_nbd_take(server, client);
    } else if ((errno == EMFILE || errno == ENFILE || errno == ENOMEM) && server->config.say) {
        g_autofree char *line = g_strdup_printf("a client has to wait: %s", g_strerror(errno));
        server->config.say(server->config.opaque, line);
        g_usleep(10000); /* it stays ready */
    }
    return G_SOURCE_CONTINUE;
}

/* Listens while there is room for a connection. */
static void watch_listeners(ExportNbd *server)
{
    bool on = !server->stopping && server->n_connections < limit(server);
    for (unsigned i = 0; i < server->listeners->len; i++) {
        Listener *l = &g_array_index(server->listeners, Listener, i);
        if (on && !l->source)
            l->source = g_unix_fd_add(l->fd, G_IO_IN, on_client, server);
        else if (!on && l->source) {
            g_source_remove(l->source);
            l->source = 0;
        }
    }
}

void export_nbd_listen(ExportNbd *server, int fd)
{
    Listener l = { .server = server, .fd = fd };
    g_unix_set_fd_nonblocking(fd, TRUE, NULL);
    g_array_append_val(server->listeners, l);
    watch_listeners(server);
}

/* ---- The server ------------------------------------------------------------ */

ExportNbd *export_nbd_new(const ExportNbdConfig *config, GError **error)
{
    static GSourceFuncs funcs = { .dispatch = dispatch };
    ExportNbd *server = g_new0(ExportNbd, 1);
    server->config = *config;
    if (config->creds)
        server->config.creds = crypto_tls_creds_ref(config->creds);
    if (config->authz)
        server->config.authz = crypto_authz_ref(config->authz);
    if (!server->config.handshake_ms)
        server->config.handshake_ms = EXPORT_HANDSHAKE_MS;
    g_mutex_init(&server->lock);
    server->exports = g_ptr_array_new();
    server->listeners = g_array_new(false, false, sizeof(Listener));
    server->reaper = g_source_new(&funcs, sizeof(GSource));
    g_source_set_callback(server->reaper, on_reaper, server, NULL);
    g_source_attach(server->reaper, NULL);
    return server;
}

/* Ends what serves e (NULL: all). */
static void end_connections(ExportNbd *server, const Export *e, bool now)
{
    for (Connection *c = server->connections; c; c = c->next) {
        g_mutex_lock(&server->lock);
        if ((!e || c->export == e) && !c->ended) {
            atomic_store(&c->stopping, true);
            shutdown(c->fd, now ? SHUT_RDWR : SHUT_RD);
        }
        g_mutex_unlock(&server->lock);
    }
}

void export_nbd_stop(ExportNbd *server, bool now)
{
    server->stopping = true;
    watch_listeners(server);
    end_connections(server, NULL, now);
}

bool export_nbd_remove(ExportNbd *server, const char *name, bool hard, GError **error)
{
    Export *e = find_export(server, name);
    if (!e)
        return fail(error, "there is no export '%s'", name);
    g_mutex_lock(&server->lock);
    e->removed = true;
    server->removed++;
    g_mutex_unlock(&server->lock);
    end_connections(server, e, hard);
    drop_removed(server);
    return true;
}

unsigned export_nbd_connections(const ExportNbd *server)
{
    return server->n_connections;
}

void export_nbd_free(ExportNbd *server)
{
    if (!server)
        return;
    server->config.changed = NULL;
    export_nbd_stop(server, true);
    for (Connection *c = server->connections, *next; c; c = next) {
        next = c->next;
        pthread_join(c->thread, NULL);
        connection_free(c);
    }
    g_source_destroy(server->reaper);
    g_source_unref(server->reaper);
    for (unsigned i = 0; i < server->exports->len; i++)
        export_free(server->exports->pdata[i]);
    g_ptr_array_unref(server->exports);
    g_array_unref(server->listeners);
    crypto_tls_creds_unref((CryptoTlsCreds *)server->config.creds);
    crypto_authz_unref((CryptoAuthz *)server->config.authz);
    g_mutex_clear(&server->lock);
    g_free(server);
}
