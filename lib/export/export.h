/* SPDX-License-Identifier: MIT */
/*
 * Disks served to others: an NBD server of block nodes.
 *
 *   server = export_nbd_new(&config, &error);
 *   export_nbd_add(server, &(ExportDisk){ .name = "", .node = node, .writable = true }, &error);
 *   export_nbd_listen(server, fds of socket_listen);         or export_nbd_take(server, connected);
 *   run the main loop; config.changed says when clients come and go
 *   export_nbd_stop(server); ...until no connection is left...; export_nbd_free(server);
 *
 * Threads. All calls are for the thread that runs the default main context, and callbacks run
 * there. Each connection has a thread of its own: it reads requests, asks lib/block, which finishes
 * most at once, and sends answers by the dozen; what lib/block has to wait for is answered as it
 * ends, in any order. A connection's memory is bounded by EXPORT_MAX_REQUESTS and EXPORT_MAX_BYTES,
 * and half a mebibyte in a pipe of the kernel's.
 *
 * A stop lets each connection answer what it has read, and no more; what was acknowledged by then
 * was written, and is flushed by whoever closes the node.
 */
#pragma once

#include "block/block.h"

#include <glib.h>
#include <stdbool.h>

typedef struct CryptoTlsCreds CryptoTlsCreds;
typedef struct CryptoAuthz CryptoAuthz;

enum {
    EXPORT_MAX_REQUESTS = 128,      /* of a connection at once; more wait in its socket */
    EXPORT_MAX_BYTES = 66 << 20,    /* of their data, two of the largest and some */
    EXPORT_MAX_CONNECTIONS = 1024,  /* at once, whatever the configuration says */
    EXPORT_HANDSHAKE_MS = 10000,    /* the default */
};

typedef struct ExportNbd ExportNbd;

typedef struct {
    const CryptoTlsCreds *creds; /* NULL: no TLS; else it is required. A reference is kept */
    const CryptoAuthz *authz;    /* who may come in by TLS; NULL: all */
    unsigned connections; /* at once; the next waits to be accepted. 0: EXPORT_MAX_CONNECTIONS */
    unsigned handshake_ms;       /* until a client must have chosen its export; 0: the default */
    /* Connections now, and those there ever were. NULL: nobody is told. */
    void (*changed)(void *opaque, unsigned connections, uint64_t ever);
    /* A line for the log: who broke off, and why. NULL: it is not said. */
    void (*say)(void *opaque, const char *line);
    void *opaque;
} ExportNbdConfig;

/* What is offered. Strings are copied, a reference to node is kept. */
typedef struct {
    const char *name;               /* "": the one for clients that name none */
    const char *description;        /* NULL: none */
    BlockNode *node;
    bool writable;
    bool writethrough;              /* each write is on disk when it is answered */
    bool depth;                     /* offer qemu:allocation-depth */
    const char *const
        *bitmaps; /* names of the node's, offered as qemu:dirty-bitmap:NAME; NULL: none */
    bool multi_conn;                /* tell clients that several connections see the same disk */
} ExportDisk;

ExportNbd *export_nbd_new(const ExportNbdConfig *config, GError **error);
/* Ends all connections, waiting for what they do, and closes the listeners. NULL is fine. */
void export_nbd_free(ExportNbd *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ExportNbd, export_nbd_free)

/* Takes the permissions on the node. */
bool export_nbd_add(ExportNbd *server, const ExportDisk *disk, GError **error);
/* No new client gets it; those there are ended first, without hurry (hard: at once). */
bool export_nbd_remove(ExportNbd *server, const char *name, bool hard, GError **error);

/* Accepts from fd, a listening socket that stays the caller's and must outlive the server. */
void export_nbd_listen(ExportNbd *server, int fd);
/* Serves a connected socket, which becomes the server's. */
void export_nbd_take(ExportNbd *server, int fd);

/* Listens no more and lets the connections come to their end; config.changed tells of it. now: they
 * are cut off, without an answer to what they wait for. */
void export_nbd_stop(ExportNbd *server, bool now);
unsigned export_nbd_connections(const ExportNbd *server);
