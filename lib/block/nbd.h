/* SPDX-License-Identifier: MIT */
/* Reaching an NBD server: the connection, TLS and the handshake, for the driver nbd and for tools that
 * only want to know what a server has. Blocking, any thread. */
#pragma once

#include "base/socket.h"
#include "crypto/tls.h"
#include "nbd/nbd.h"

typedef struct {
    const SocketAddress *address;
    const CryptoTlsCreds *creds; /* NULL: no TLS */
    const char *hostname;        /* whom the server's certificate must be for; NULL: by the address */
    NbdWanted wanted;            /* .tls follows from creds */
    int deadline_ms;             /* for all of it; -1: none */
} BlockNbdTarget;

/* A connection whose handshake is over. */
typedef struct {
    int fd;          /* blocking; -1: none */
    CryptoTls *tls;  /* NULL: in the clear */
    NbdClient *client;
} BlockNbdPeer;

/* *peer is filled on success alone. */
bool block_nbd_connect(const BlockNbdTarget *target, BlockNbdPeer *peer, GError **error);
/* Says goodbye if it can be said at once, and closes. Safe on a peer that is not there (fd -1). */
void block_nbd_close(BlockNbdPeer *peer);
