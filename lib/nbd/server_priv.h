/* SPDX-License-Identifier: MIT */
/* The server's end within its folder: server.c has its life and requests, handshake.c the options,
 * reply.c what goes back. */
#pragma once

#include "nbd/nbd_priv.h"

struct NbdServer {
    NbdOffer offer;
    NbdTls tls;
    NbdInput in;
    GByteArray *out;
    enum { SERVER_FLAGS, SERVER_OPTION, SERVER_OPTION_DATA, SERVER_TLS, SERVER_REQUESTS, SERVER_PAYLOAD,
           SERVER_ENDED, SERVER_BROKEN } state;
    bool fixed, no_zeroes;     /* the client's handshake flags */
    bool secured;
    bool structured, extended;
    uint32_t option, option_len; /* being read */
    const NbdExport *chosen;
    NbdExport shown;           /* what chosen points to: with this connection's flags */
    const NbdExport
        *context_of; /* whose contexts were set; an export of that name may be another by now */
    int contexts[NBD_MAX_CONTEXTS];
    unsigned n_contexts;
    uint64_t payload;          /* bytes announced by the last request */
    char *error;
};

void nbd_server_greet(NbdServer *s);
/* One step of the handshake. False: *event is for the caller. */
bool nbd_server_shake(NbdServer *s, NbdEvent *event);
NbdEvent nbd_server_break(NbdServer *s, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
