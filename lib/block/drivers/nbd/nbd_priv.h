/* SPDX-License-Identifier: MIT */
/*
 * The driver nbd within its folder: nbd.c is the driver, name.c the names of files, connect.c reaches a
 * server, link.c is a connection with its thread, slots.c the requests on it.
 *
 * A link's thread receives, finishes requests, sends what could not be sent at once, and connects again
 * when the server has gone. Whoever submits a request sends it himself if the socket takes it. A
 * server that lets several connections see the same disk gets a second one and more once a link has
 * MANY requests on it.
 */
#pragma once

#include "block/driver.h"
#include "block/nbd.h"

#include <pthread.h>
#include <stdatomic.h>

enum { NBD_SLOTS = 128, NBD_LINKS = 16, NBD_MANY = 4 };

typedef struct Nbd Nbd;

/* What block status said, for who waits for it. */
typedef struct {
    GMutex lock;
    GCond cond;
    bool over;
    int err;
    uint32_t context;
    GArray *extents; /* of NbdExtent */
} NbdStatus;

/* A request on a link. */
typedef struct NbdSlot {
    BlockRequest *req;   /* or */
    NbdStatus *status;   /* of block status */
    NbdRequest asked;    /* cookie: the slot's index */
    bool used;
    bool queued;         /* to be sent, or the rest of it */
    int err;
    uint64_t got;        /* bytes of data that came */
    uint8_t head[NBD_HEAD_ROOM];
    size_t head_len;
    uint64_t sent;       /* of head and data */
    struct NbdSlot *next; /* of the queue */
} NbdSlot;

typedef struct {
    Nbd *nbd;
    pthread_t thread;
    bool started;
    int wake;            /* an eventfd */

    GMutex lock;         /* of all below; the peer is received from by the thread alone */
    enum { LINK_NONE, LINK_STARTING, LINK_UP, LINK_LOST, LINK_FAILED } state;
    bool stop;
    BlockNbdPeer peer;
    NbdSlot slots[NBD_SLOTS];
    unsigned used;
    NbdSlot *queue, **queue_end;
    BlockRequest *waiting, **waiting_end; /* for a slot */
    int64_t give_up;     /* LOST: when what waits fails; monotonic us; 0: it was never lost */

    /* the thread's own: whether this connection answered anything, and where data goes */
    bool answered;
    NbdSlot *filling;
    uint64_t fill_at, fill_left; /* within the request */
    bool fill_last;
} NbdLink;

struct Nbd {
    /* props */
    struct json_object *server;
    char *path, *host, *port, *export, *tls_creds, *tls_hostname, *context;
    bool tls;            /* of a nbds: name */
    uint64_t reconnect_delay, open_timeout, connections;

    BlockNode *node;
    SocketAddress *address;
    CryptoTlsCreds *creds;
    uint64_t size;
    uint16_t flags;
    uint32_t minimum, preferred, maximum;
    bool extended, has_context;
    uint32_t context_id;
    const char *contexts[2];
    atomic_uint links_up; /* links that were made: the first ones of links */
    GMutex grow;
    NbdLink links[NBD_LINKS];
};

/* name.c */
bool nbd_name_parse(const char *name, struct json_object *options, GError **error);
/* The address that the options stand for; a usage error. */
SocketAddress *nbd_name_address(const Nbd *nbd, GError **error);
char *nbd_name_text(const Nbd *nbd);

/* link.c */
/* Connects the first link, and takes what the server says of the export into nbd. */
bool nbd_link_open(Nbd *nbd, GError **error);
/* Starts a further one, which connects by itself. */
void nbd_link_add(Nbd *nbd);
void nbd_link_close(NbdLink *link);

/* slots.c */
/* A request, for this link: BLOCK_PENDING or -errno. */
int nbd_slot_submit(NbdLink *link, BlockRequest *req, NbdStatus *status, const NbdRequest *asked);
/* With the lock held: sends what is queued, as far as it goes. 0, -EAGAIN, or -errno. */
int nbd_slot_send(NbdLink *link);
/* All requests are to be sent once more. With the lock held. */
void nbd_slot_requeue(NbdLink *link);
/* Ends all requests with that errno. */
void nbd_slot_fail(NbdLink *link, int err);
const NbdRequest *nbd_slot_find(void *opaque, uint64_t cookie);
/* What the client's end says; 0 or -errno of the connection. */
int nbd_slot_reply(NbdLink *link, const NbdReply *reply);
int nbd_slot_filled(NbdLink *link);
