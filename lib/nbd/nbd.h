/* SPDX-License-Identifier: MIT */
/*
 * The Network Block Device protocol (the NBD project's doc/proto.md): fixed newstyle handshake,
 * simple, structured and extended replies. Both ends are state machines: bytes in, events and bytes
 * out. They know no socket, no thread, no clock and no disk.
 *
 * Both are used alike, by one thread at a time:
 *
 *     for (;;) {
 *         event = nbd_X_next(x, ...);
 *         if nbd_X_output has something: send it, nbd_X_sent(x), and when event is NBD_NEED, again
 *         switch (event) {
 *         case NBD_NEED:   n = nbd_X_buffers(x, iov); readv(fd, iov, n); nbd_X_advance(x, got);
 * break;
 *         ...the events, see NbdEvent
 *
 * Payloads go right where the caller wants them: after an event that has one the caller names the
 * place, and nbd_X_buffers then gives that place first, with room for what follows it behind, so
 * that one system call fills both.
 *
 * What the peer says is believed only within stated limits (NBD_MAX_*); all else is NBD_BROKEN.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* ---- The protocol's numbers ----------------------------------------------- */

enum { NBD_PORT = 10809 };

enum {
    NBD_MAX_STRING = 4096,            /* bytes of a name, description, context, message */
    NBD_MAX_PAYLOAD = 32 << 20,       /* of a read or write */
    NBD_MAX_OPTION = 64 << 10,        /* bytes of an option's data or of a reply to one */
    NBD_MAX_CONTEXTS = 64,            /* of one connection */
    NBD_MAX_EXTENTS = 1 << 20,        /* of one reply to block status that a client takes */
    NBD_MAX_LIST = 1 << 16,           /* exports that a client reads of a list */
};

enum { /* transmission flags: what an export can do */
    NBD_FLAG_HAS_FLAGS = 1 << 0,
    NBD_FLAG_READ_ONLY = 1 << 1,
    NBD_FLAG_SEND_FLUSH = 1 << 2,
    NBD_FLAG_SEND_FUA = 1 << 3,
    NBD_FLAG_ROTATIONAL = 1 << 4,
    NBD_FLAG_SEND_TRIM = 1 << 5,
    NBD_FLAG_SEND_WRITE_ZEROES = 1 << 6,
    NBD_FLAG_SEND_DF = 1 << 7,        /* set by the server end when replies are structured */
    NBD_FLAG_CAN_MULTI_CONN = 1 << 8,
    NBD_FLAG_SEND_RESIZE = 1 << 9,
    NBD_FLAG_SEND_CACHE = 1 << 10,
    NBD_FLAG_SEND_FAST_ZERO = 1 << 11,
};

typedef enum {
    NBD_CMD_READ, NBD_CMD_WRITE, NBD_CMD_DISC, NBD_CMD_FLUSH, NBD_CMD_TRIM, NBD_CMD_CACHE,
    NBD_CMD_WRITE_ZEROES, NBD_CMD_BLOCK_STATUS, NBD_CMD_RESIZE
} NbdCommand;

enum { /* command flags */
    NBD_CMD_FLAG_FUA = 1 << 0,
    NBD_CMD_FLAG_NO_HOLE = 1 << 1,
    NBD_CMD_FLAG_DF = 1 << 2,
    NBD_CMD_FLAG_REQ_ONE = 1 << 3,
    NBD_CMD_FLAG_FAST_ZERO = 1 << 4,
    NBD_CMD_FLAG_PAYLOAD_LEN = 1 << 5, /* extended headers: length is the payload's */
};

enum { /* of extents, by context */
    NBD_STATE_HOLE = 1 << 0, NBD_STATE_ZERO = 1 << 1, /* base:allocation */
    NBD_STATE_DIRTY = 1 << 0,                         /* qemu:dirty-bitmap:NAME */
};

#define NBD_CONTEXT_ALLOCATION "base:allocation"
#define NBD_CONTEXT_DEPTH "qemu:allocation-depth"
#define NBD_CONTEXT_BITMAP "qemu:dirty-bitmap:"

/* "write zeroes" and so on, for messages; never NULL. */
const char *nbd_command_name(unsigned command);
/* The protocol's error for an errno and the reverse: what it has no number for is EINVAL on the
 * wire, and what is unknown on the wire is EINVAL here. Positive numbers. */
uint32_t nbd_error_of(int err);
int nbd_errno_of(uint32_t error);

/* ---- What both ends speak of ---------------------------------------------- */

/* An export, as a server offers it and as a client is told of it. A client's is its NbdClient's. */
typedef struct {
    const char *name, *description; /* description may be NULL */
    uint64_t size;
    uint16_t flags;                 /* NBD_FLAG_* */
    /* of requests; 0: nothing is known. minimum and preferred are powers of two */
    uint32_t minimum, preferred, maximum;
    const char *const *contexts;    /* metadata contexts; NULL at the end; NULL: none */
} NbdExport;

typedef struct {
    uint16_t flags;  /* NBD_CMD_FLAG_* */
    uint16_t command;
    uint64_t cookie;
    uint64_t offset, length; /* bytes of the disk */
} NbdRequest;

/* A piece of what block status says. */
typedef struct {
    uint64_t length, flags;
} NbdExtent;

typedef enum {
    NBD_NEED, /* more bytes, where nbd_X_buffers says */
    NBD_START_TLS, /* send the output, make the connection secure, then nbd_X_secured */
    NBD_READY, /* the handshake is over: server: nbd_server_export; client: nbd_client_export, or
                  of a list that it has been read whole */
    NBD_REQUEST, /* server: *request; a write's payload follows: nbd_server_payload */
    NBD_REPLY, /* client: *reply; one with data wants nbd_client_payload */
    NBD_PAYLOAD, /* what payload named is filled */
    NBD_END, /* the peer is done, in good order: send the output, close */
    NBD_BROKEN, /* the peer broke the protocol, or refused: nbd_X_error; send the output, close */
} NbdEvent;

/* ---- Server --------------------------------------------------------------- */

typedef struct NbdServer NbdServer;

/* What a server offers; called while it is fed. What they return must stay until it is freed. */
typedef struct {
    const NbdExport *(*nth)(void *opaque, unsigned i); /* for lists; NULL past the last */
    const NbdExport *(*find)(void *opaque, const char *name);      /* NULL: there is none */
    /* A client wants that export, found before, in earnest (GO): false, with a reason of the text's
     * length at most, refuses it. NULL: all are let in. */
    bool (*admit)(void *opaque, const NbdExport *chosen, char *reason, size_t room);
    void *opaque;
} NbdOffer;

typedef enum { NBD_TLS_NONE, NBD_TLS_OFFERED, NBD_TLS_REQUIRED } NbdTls;

/* offer is copied. */
NbdServer *nbd_server_new(const NbdOffer *offer, NbdTls tls);
void nbd_server_free(NbdServer *s); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NbdServer, nbd_server_free)

/* Where the next bytes go: 1 or 2 pieces, none empty. Valid until the next call that is not output.
 */
int nbd_server_buffers(NbdServer *s, struct iovec iov[2]);
void nbd_server_advance(NbdServer *s, size_t got);
/* Bytes of the handshake to be sent before anything else, *len of them; then they are forgotten
 * with nbd_server_sent. */
const uint8_t *nbd_server_output(const NbdServer *s, size_t *len);
void nbd_server_sent(NbdServer *s);
/* What follows from the bytes that are there. NBD_REQUEST fills *request. */
NbdEvent nbd_server_next(NbdServer *s, NbdRequest *request);
/* Whether nbd_server_next would say something else than NBD_NEED without more bytes (it may be
 * wrong in saying yes). */
bool nbd_server_has_more(const NbdServer *s);
/* The secured connection begins: bytes that came in the clear behind STARTTLS have been refused. */
void nbd_server_secured(NbdServer *s);
/* Where the payload of the last request, a write, goes: its length. NULL: it is thrown away.
 * NBD_PAYLOAD follows. */
void nbd_server_payload(NbdServer *s, void *to);
/* Or the caller takes the payload off the connection itself: *len bytes of it are here already
 * (until the next nbd_server_buffers), others are left, and what it has taken of those it tells by
 * nbd_server_passed. NBD_PAYLOAD follows when none is left. */
const uint8_t *nbd_server_payload_here(NbdServer *s, size_t *len);
uint64_t nbd_server_payload_left(const NbdServer *s);
void nbd_server_passed(NbdServer *s, uint64_t bytes);
/* What is left comes by nbd_server_buffers after all, and is thrown away. */
void nbd_server_payload_rest(NbdServer *s);
/* The export the client chose; from NBD_READY on. */
const NbdExport *nbd_server_export(const NbdServer *s);
/* Structured (or extended) replies were agreed on: data may come in pieces and holes. */
bool nbd_server_structured(const NbdServer *s);
/* What broke, for the log; a text of s. */
const char *nbd_server_error(const NbdServer *s);
/* Whether the request is one the export takes: 0, or the errno to answer with, and then *why (a
 * constant) is for the message. The server end leaves that to its caller, who answers it all. */
int nbd_server_check(const NbdServer *s, const NbdRequest *request, const char **why);
/* The metadata contexts the client set, by position: the index in the export's contexts, -1 past
 * the last. */
int nbd_server_context(const NbdServer *s, unsigned i);

/* Replies: heads that go in front of data, written to out (NBD_HEAD_ROOM bytes), their length
 * returned. Any thread: they look only at what no longer changes from NBD_READY on. */
enum { NBD_HEAD_ROOM = 64 };
/* The end of a request with err (positive; 0: it is done), without data. message may be NULL; it is
 * not sent with simple replies and cut at 4096 bytes; out needs room for it, too. */
size_t nbd_server_put_end(const NbdServer *s, const NbdRequest *request, int err,
                          const char *message, uint8_t *out);
/* length bytes of data at offset follow. Simple replies: only the whole read at once. */
size_t nbd_server_put_data(const NbdServer *s, const NbdRequest *request, uint64_t offset,
                           uint64_t length, bool last, uint8_t *out);
/* Zeroes there, structured replies only. */
size_t nbd_server_put_hole(const NbdServer *s, const NbdRequest *request, uint64_t offset,
                           uint64_t length, bool last, uint8_t *out);
/* Extents of the ith context that was set: all bytes of the reply, into out. Those of a reply
 * without extended headers are cut where they do not fit 32 bits. */
void nbd_server_put_extents(const NbdServer *s, const NbdRequest *request, unsigned i,
                            const NbdExtent *extents, unsigned n, bool last, GByteArray *out);

/* ---- Client --------------------------------------------------------------- */

typedef struct NbdClient NbdClient;

typedef struct {
    const char *name;           /* the export; "" is the default one */
    bool list; /* rather: what is there (nbd_client_listed), with all it says of each */
    bool tls;                   /* the connection must become secure */
    bool simple;                /* ask for no structured replies */
    bool extended;              /* ask for extended headers */
    const char *const *contexts; /* metadata contexts wanted; NULL at the end; NULL: none */
} NbdWanted;

/* wanted is copied. */
NbdClient *nbd_client_new(const NbdWanted *wanted);
void nbd_client_free(NbdClient *c); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NbdClient, nbd_client_free)

int nbd_client_buffers(NbdClient *c, struct iovec iov[2]);
void nbd_client_advance(NbdClient *c, size_t got);
const uint8_t *nbd_client_output(const NbdClient *c, size_t *len);
void nbd_client_sent(NbdClient *c);
void nbd_client_secured(NbdClient *c);
const char *nbd_client_error(const NbdClient *c);

/* What the server said of the export; from NBD_READY on. */
const NbdExport *nbd_client_export(const NbdClient *c);
bool nbd_client_structured(const NbdClient *c);
bool nbd_client_extended(const NbdClient *c);
/* The number in replies of the ith context of wanted, false when the server has it not. */
bool nbd_client_context(const NbdClient *c, unsigned i, uint32_t *id);
/* Of a list: NULL past the last. Their contexts are what the server has for each. */
const NbdExport *nbd_client_listed(const NbdClient *c, unsigned i);

typedef enum { NBD_REPLY_END, NBD_REPLY_DATA, NBD_REPLY_HOLE, NBD_REPLY_EXTENTS, NBD_REPLY_ERROR } NbdReplyKind;

/* A piece of an answer. */
typedef struct {
    NbdReplyKind kind;
    uint64_t cookie;
    bool last;               /* no more follows for this request */
    uint64_t offset, length; /* of DATA and HOLE, within the request */
    int err;                 /* of ERROR: errno, positive */
    const char *message;     /* of ERROR: the server's words, or NULL; until the next call */
    uint32_t context;        /* of EXTENTS: its number */
    const NbdExtent *extents; /* until the next call; never longer than 2^63 together */
    unsigned n_extents;
} NbdReply;

/* Asked for each reply, within nbd_client_next: the request with that cookie that waits for an
 * answer, NULL if there is none. What follows is checked against it. */
typedef const NbdRequest *(*NbdFind)(void *opaque, uint64_t cookie);

NbdEvent nbd_client_next(NbdClient *c, NbdFind find, void *opaque, NbdReply *reply);
/* After DATA: where the next len bytes of its payload go, at most what is left of it (reply.length
 * in all). NBD_PAYLOAD follows when they are there; then this again for the rest, if any is left.
 */
void nbd_client_payload(NbdClient *c, void *to, uint64_t len);
/* The head of a request, into out; a write's data follows it. Any thread, from NBD_READY on. */
size_t nbd_client_put_request(const NbdClient *c, const NbdRequest *request,
                              uint8_t out[NBD_HEAD_ROOM]);

/* ---- URIs ----------------------------------------------------------------- */

/* nbd://HOST[:PORT]/[EXPORT], nbds:// for TLS, nbd+unix:///[EXPORT]?socket=PATH,
 * nbd+vsock://CID[:PORT]/; further keys: tls-psk-file=, tls-certificates=, tls-verify-peer=,
 * tls-hostname= (the NBD project's doc/uri.md, libnbd's keys). */
typedef struct {
    bool tls;
    enum { NBD_URI_TCP, NBD_URI_UNIX, NBD_URI_VSOCK } transport;
    char *host, *port;   /* TCP and vsock (a CID); port never NULL with them */
    char *socket;        /* Unix */
    char *name;          /* the export; never NULL */
    char *user;          /* NULL: none */
    char *psk_file, *certificates, *hostname; /* NULL: not given */
} NbdUri;

bool nbd_is_uri(const char *text);
/* uri is filled, and cleared by nbd_uri_clear, also after a failure. */
bool nbd_uri_parse(const char *text, NbdUri *uri, GError **error);
void nbd_uri_clear(NbdUri *uri);
/* The text of one, newly allocated. */
char *nbd_uri_text(const NbdUri *uri);
