/* SPDX-License-Identifier: MIT */
/*
 * Network back ends: the host end of a guest's network card. A card sends Ethernet frames (no FCS)
 * and is given those that arrive; a back end (user-mode networking, a socket, a tap device) carries
 * them. The grammars of -netdev, -nic and -net live here. nets.def lists the back ends.
 *
 * Threads: net_send, net_receive_again and net_link may be called on any thread, also under a
 * device's lock. A card's functions are called on the thread of the default GLib main context,
 * never from within net_send (but see any_thread). net_set_header may be called on any thread to
 * change features alone. Everything else belongs to the main thread.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

typedef struct NetBackend NetBackend;

/* The longest packet, with a virtio-net header; longer ones are dropped. */
#define NET_PACKET_MAX ((size_t)(64 + 4) << 10)
/* Most packets that wait for a card without room; later ones are dropped. */
#define NET_QUEUE_MAX 512

/* What a back end can do for the card. */
enum {
    NET_VNET_HEADER = 1 << 0, /* struct virtio_net_hdr in front of packets, both ways */
    NET_CSUM = 1 << 1,        /* the rest only with it: unfinished checksums */
    NET_TSO4 = 1 << 2,        /* and TCP segments larger than the MTU */
    NET_TSO6 = 1 << 3,
    NET_TSO_ECN = 1 << 4,
};

/* A card. Any member may be NULL. */
typedef struct {
    /* A packet for the guest, borrowed. False: there is no room, the back end keeps it until
       net_receive_again. NULL: packets are dropped. */
    bool (*receive)(void *opaque, const struct iovec *iov, unsigned count);
    /* receive may be called on any thread, one at a time, also from within net_send of any card. */
    bool any_thread;
    /* After net_send has said false: there is room again. */
    void (*room)(void *opaque);
    /* The link went up or down: net_set_link, or a peer came or left. */
    void (*link)(void *opaque, bool up);
} NetCard;

/* ---- For cards ------------------------------------------------------------- */

/* NULL takes the card away. One card a back end; packets that came before it are dropped. */
void net_set_card(NetBackend *b, const NetCard *card, void *opaque);
/* True: taken (or dropped, as networks do: no link, too long). False: no room now, card->room will
   be called. With a header set (net_set_header) it comes first in iov. */
bool net_send(NetBackend *b, const struct iovec *iov, unsigned count);
/* The card has room again. */
void net_receive_again(NetBackend *b);
/* NET_... bits. */
unsigned net_features(const NetBackend *b);
/* Packets have a virtio-net header of 10 or 12 bytes (0: none, as at the start) both ways, and
   those for the guest may use these features. False if the back end cannot. */
bool net_set_header(NetBackend *b, size_t length, unsigned features);
bool net_link(const NetBackend *b);

/* ---- For a monitor --------------------------------------------------------- */

const char *net_id(const NetBackend *b);
/* Takes the guest's cable out, or puts it back. */
void net_set_link(NetBackend *b, bool up);
/* "user: net=10.0.2.0, restrict=off" and the like; newly allocated. */
char *net_describe(const NetBackend *b);
/* "[tcp|udp]:[HOSTADDR]:HOSTPORT-[GUESTADDR]:GUESTPORT", of a user back end. */
bool net_user_hostfwd_add(NetBackend *b, const char *text, GError **error);
/* "[tcp|udp]:[HOSTADDR]:HOSTPORT" */
bool net_user_hostfwd_remove(NetBackend *b, const char *text, GError **error);
/* The connections of a user back end, as a table; newly allocated. NULL and an error for others. */
char *net_user_info(NetBackend *b, GError **error);

/* ---- All of a machine's ---------------------------------------------------- */

/* What the options ask for: the back ends by name, and the cards that -nic wants. It owns them. */
typedef struct NetTable NetTable;

/* A card from -nic. */
typedef struct {
    char *model;     /* NULL: the board's usual one */
    uint8_t mac[6];
    bool has_mac;    /* mac= was given */
    NetBackend *backend;
} NetNic;

NetTable *net_table_new(void);
/* Cards must have been taken away. */
void net_table_free(NetTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NetTable, net_table_free)

/* -netdev TYPE,id=ID[,KEY=VALUE...] */
bool net_table_add(NetTable *table, const char *text, GError **error);
/* -nic TYPE[,model=MODEL][,mac=MAC][,KEY=VALUE...], -nic none */
bool net_table_add_nic(NetTable *table, const char *text, GError **error);
/* -net none; other words of the old option are refused with what to write instead. */
bool net_table_add_net(NetTable *table, const char *text, GError **error);
/* The back end for one card; each is given out once. */
NetBackend *net_table_get(NetTable *table, const char *id, GError **error);
/* The card is gone: net_table_get gives it out again. */
void net_release(NetBackend *b);
/* For a monitor, without taking it: by name, or the nth; NULL: no such. */
NetBackend *net_table_find(const NetTable *table, const char *id);
NetBackend *net_table_nth(const NetTable *table, unsigned n);
/* Forgets a back end, which must have no card. */
bool net_table_remove(NetTable *table, const char *id, GError **error);
/* Of NetNic, borrowed. */
const GPtrArray *net_table_nics(const NetTable *table);
/* -nic none or -net none was given: no card but what -device adds. */
bool net_table_no_default(const NetTable *table);
/* The name of the nth -netdev that was given to no card; NULL: there are no more. */
const char *net_table_unused(const NetTable *table, unsigned n);
/* One line a back end, "n0: TYPE..."; newly allocated. */
char *net_table_info(const NetTable *table);

/* "52:54:00:12:34:56" */
bool net_parse_mac(const char *text, uint8_t mac[6], GError **error);
/* One line a kind of back end; newly allocated. */
char *net_help(void);
