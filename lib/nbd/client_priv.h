/* SPDX-License-Identifier: MIT */
/* The client's end within its folder: client.c has its life and handshake, listing.c what it is
 * told of exports, answers.c what comes back in transmission. */
#pragma once

#include "nbd/nbd_priv.h"

/* An export as the server tells of it; owns what e points to. */
typedef struct {
    NbdExport e;
    char *name, *description;
    GPtrArray *contexts;
    bool told; /* its size and flags are known */
} NbdListed;

struct NbdClient {
    /* wanted */
    char *name;
    bool list, tls, simple, want_extended;
    char **contexts;       /* NULL-terminated, may be NULL */

    NbdInput in;
    GByteArray *out;
    enum { CLIENT_GREETING, CLIENT_OLD, CLIENT_OPTION, CLIENT_NAME_REPLY, CLIENT_TLS, CLIENT_LISTED,
           CLIENT_ANSWERS, CLIENT_ENDED, CLIENT_BROKEN } state;
    bool fixed, no_zeroes, secured, structured, extended;
    uint32_t option;       /* sent, answers are awaited */
    unsigned options;      /* how many were sent: what a server can make us do is bounded */
    NbdListed *export;
    GPtrArray *listed;     /* of NbdListed */
    unsigned at;           /* of listed, being asked about */
    uint32_t *ids;         /* of contexts */
    bool *has;
    char *error;

    /* answers */
    uint64_t payload;      /* of DATA, not named a place yet */
    bool data;             /* a payload is on its way */
    GArray *extents;       /* of NbdExtent */
    char *message;
};

NbdListed *nbd_listed_new(const char *name, size_t len);
void nbd_listed_free(NbdListed *l);
/* The body of an INFO reply. False: it makes no sense. */
bool nbd_listed_info(NbdListed *l, const uint8_t *p, size_t len);
void nbd_listed_context(NbdListed *l, const uint8_t *p, size_t len);

NbdEvent nbd_client_break(NbdClient *c, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
NbdEvent nbd_client_answer(NbdClient *c, NbdFind find, void *opaque, NbdReply *reply);
