/* SPDX-License-Identifier: MIT */
/* What back ends share: the struct, the type table's shape, framing, connections, addresses. */
#pragma once

#include "base/option.h"
#include "base/socket.h"
#include "net/net.h"

#include <sys/socket.h>

typedef struct {
    const char *name, *usage, *summary;
    /* Main thread. Reads its keys and calls options_done before it touches anything outside. */
    bool (*open)(NetBackend *b, Options *o, GError **error);
    /* Any thread: as net_send; length is the sum of iov's. False: net_room must follow. */
    bool (*send)(NetBackend *b, const struct iovec *iov, unsigned count, size_t length);
    /* Main thread: there is room for packets again. NULL: it does not stop reading. */
    void (*resume)(NetBackend *b);
    /* NULL: none. */
    unsigned (*features)(const NetBackend *b);
    bool (*set_header)(NetBackend *b, size_t length, unsigned features);
    /* Newly allocated. NULL: the name alone. */
    char *(*describe)(const NetBackend *b);
    /* Main thread; priv is NULL when open failed early. */
    void (*close)(NetBackend *b);
} NetType;

struct NetBackend {
    const NetType *type;
    void *priv; /* the type's own */
    char *id;
    bool taken;      /* given to a card; main thread */
    GMutex card_lock; /* of the next two, and of giving packets to the card; before lock */
    NetCard card;
    void *card_opaque;
    GMutex lock;     /* of what follows */
    GQueue packets;  /* of GBytes: for a card without room, or until the main thread is there */
    GSource *idle;   /* on_idle is on its way */
    bool again;      /* for on_idle: resume the back end */
    bool room;       /* for on_idle: tell the card of room */
    bool link_set, peer; /* the cable is in; somebody is at its other end */
};

#define NET(name) extern const NetType name##_net;
#include "net/nets.def"
#undef NET

/* From "TYPE,KEY=VALUE,..." as options; id is copied. */
NetBackend *net_open(Options *o, const char *id, GError **error);
void net_free(NetBackend *b);

/* Main thread, not within send: a packet for the card. Returns whether more may come now; if not,
   resume will be called. */
bool net_deliver(NetBackend *b, const void *data, size_t length);
/* Any thread, also within send: at once if the card takes that, else by way of the main loop; drops it
   when too many wait. */
void net_deliver_any(NetBackend *b, const void *data, size_t length);
/* May more come? */
bool net_wants_more(NetBackend *b);
/* Any thread: send has room again. */
void net_room(NetBackend *b);
/* Main thread: somebody is at the other end, or has left. True at the start. */
void net_set_peer(NetBackend *b, bool there);

/* ---- Packets in a stream of bytes ------------------------------------------ */

/* Each with its length in front, 32 bits, big-endian. */
typedef struct {
    uint8_t header[4];
    unsigned have; /* bytes of header */
    size_t length; /* of the packet, once the header is whole */
    GByteArray *packet;
} NetFrames;

void net_frames_init(NetFrames *f);
void net_frames_clear(NetFrames *f);
/* Forgets what is there of an unfinished packet. */
void net_frames_reset(NetFrames *f);
/* Calls packet for each one completed. False: a length beyond NET_PACKET_MAX; the stream is of no
   use any more. Packets of length 0 are passed over. */
bool net_frames_feed(NetFrames *f, const uint8_t *data, size_t length,
                     void (*packet)(void *opaque, const uint8_t *data, size_t length),
                     void *opaque);

/* ---- Offloads, for back ends whose other end knows none ---------------------- */

enum { NET_HEADER_MAX = 12 };

/* Offsets in a packet. */
typedef struct {
    bool ipv6;
    size_t tcp, data, length;
} NetSegment;

/* TCP segments on their way to be one large packet. */
typedef struct {
    uint8_t *buf, *packet; /* buf has room for a header before the packet */
    NetSegment at;         /* of packet, as far as it goes */
    size_t size;           /* data bytes of each segment but the last */
    unsigned count;        /* segments; 0: nothing is held */
    uint32_t next;         /* the sequence number that follows */
    bool open;             /* more may follow */
} NetMerge;

/* Does what the virtio-net header asks for; false when it makes no sense. */
bool net_checksum_finish(const uint8_t *header, uint8_t *packet, size_t length);
/* It is a large TCP segment over IPv6. */
bool net_is_large6(const uint8_t *header);
/* Cuts such a one up into finished packets, borrowed; false when its header makes no sense. */
bool net_cut(const uint8_t *header, const uint8_t *packet, size_t length,
             void (*each)(void *opaque, const uint8_t *packet, size_t length), void *opaque);
/* The header of a packet whose checksums are right. */
void net_header_checked(uint8_t *header, size_t header_length);
void net_merge_init(NetMerge *m);
void net_merge_clear(NetMerge *m);
/* A copy of the first segment is held; false if it is none, or not of a kind in features. Nothing may
   be held. */
bool net_merge_begin(NetMerge *m, const uint8_t *packet, size_t length, unsigned features);
/* False: it does not go with what is held. */
bool net_merge_add(NetMerge *m, const uint8_t *packet, size_t length);
/* What was held, with a header of 10 or 12 bytes in front; borrowed, until the next begin. */
const uint8_t *net_merge_end(NetMerge *m, size_t header_length, size_t *length);

/* ---- A peer on a stream socket --------------------------------------------- */

typedef SocketEnd NetAddress;

/* Server or client, with one peer at a time that may vanish and come back. */
typedef struct NetLine NetLine;
typedef struct {
    bool server;
    unsigned reconnect; /* seconds; 0: never */
    int fd;             /* inherited: connected, or with server listening; -1: addresses */
    const GArray *addresses; /* of NetAddress */
    const char *path;   /* of a unix socket, or NULL */
} NetLineConfig;
/* config is borrowed during the call. A client that does not reconnect waits for its connection. */
NetLine *net_line_new(NetBackend *b, const NetLineConfig *config, GError **error);
void net_line_free(NetLine *l);
bool net_line_send(NetLine *l, const struct iovec *iov, unsigned count, size_t length);
void net_line_resume(NetLine *l);

/* ---- Datagrams ------------------------------------------------------------- */

typedef struct NetDatagrams NetDatagrams;
/* Takes fd. remote may be NULL (fd is connected). one_peer: else datagrams are
   only sent there (multicast). path (may be NULL) is removed at the end. */
NetDatagrams *net_datagrams_new(NetBackend *b, int fd, const NetAddress *remote, bool one_peer,
                                const char *path);
void net_datagrams_free(NetDatagrams *d);
bool net_datagrams_send(NetDatagrams *d, const struct iovec *iov, unsigned count, size_t length);
void net_datagrams_resume(NetDatagrams *d);

/* ---- Addresses ------------------------------------------------------------- */

bool net_unix_address(const char *path, NetAddress *a, GError **error);
/* "" is any address (passive) or this host. Appends to a GArray of NetAddress. */
bool net_inet_addresses(const char *host, const char *port, int type, bool passive, int family,
                        GArray *addresses, GError **error);
/* An inherited descriptor's number, non-blocking from here on. */
bool net_parse_fd(const char *text, int *fd, GError **error);
