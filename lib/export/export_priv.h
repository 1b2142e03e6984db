/* SPDX-License-Identifier: MIT */
/*
 * The server within its folder: nbd.c has exports, listeners and the life of connections,
 * connection.c one connection's thread, transport.c its bytes, requests.c what is asked of the
 * disk, plain.c and pipe.c long reads and writes of plain files, status.c what block status says.
 */
#pragma once

#include "block/bitmap.h"
#include "crypto/tls.h"
#include "export/export.h"
#include "nbd/nbd.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

/* One export. It stays as long as its connections. */
typedef struct {
    NbdExport wire; /* name, description, contexts are ours */
    ExportNbd *server;
    BlockUser *user;
    BlockNode *node;
    BlockPlain plain;
    _Atomic bool cache_hidden; /* this kernel does not tell what of plain is in the page cache */
    GPtrArray *contexts;  /* of char *, NULL at the end */
    unsigned first_bitmap; /* index of the first bitmap's context */
    bool depth, removed;
    unsigned connections; /* that chose it; server->lock */
} Export;

typedef struct Connection Connection;

/* A request on its way, from its first byte to its answer's last. */
typedef struct Task {
    BlockRequest req; /* req.opaque: the task */
    Connection *connection;
    NbdRequest nbd;
    struct iovec iov;
    uint8_t *buf;
    size_t room;      /* of buf */
    uint64_t holds;   /* bytes counted by the connection */
    struct Task *next;
    uint64_t done;    /* of what is done in steps */
    bool plain;       /* a read whose data are sent from the export's plain file */
    bool by_pipe;     /* a write whose data go to it */
    size_t piped;     /* bytes that are in the pipe; done are written */
    int error;        /* of the write, positive */
    size_t head_len;  /* of the answer's head */
    uint8_t head[NBD_HEAD_ROOM + 256]; /* of the answer, its message included */
    GByteArray *body; /* the answer instead, of block status */
} Task;

enum { EXPORT_BATCH = 64 }; /* answers sent at once */

struct Connection {
    ExportNbd *server;
    Connection *next;
    pthread_t thread;
    int fd, wake;           /* wake: an eventfd, written when finished gets its first */
    CryptoTls *tls;
    NbdServer *nbd;
    Export *export;         /* chosen; NULL before */
    int64_t deadline;       /* of the handshake, monotonic us; 0: none */
    char *peer;
    char *broke;            /* why it ended, when not in good order */
    atomic_bool stopping;
    bool ended;             /* the thread is about to return; server->lock */

    Task *receiving;        /* its payload is on the way */
    int pipe[2];            /* for payloads that go to a plain file; -1: none */
    bool no_pipe;           /* it did not work, or did not help */
    unsigned tasks;         /* in use */
    uint64_t held;          /* bytes of them */
    unsigned in_flight;     /* at lib/block */
    uint8_t *warm;          /* a buffer of nobody */
    size_t warm_room;
    Task *spare;
    unsigned spares;
    uint64_t kept;          /* bytes of theirs */
    _Atomic(Task *) finished; /* by lib/block, newest first */
    atomic_int poking;        /* threads that are putting one there */
    bool dead;                /* sending has failed */
    unsigned looks_in_vain, looks_skipped; /* for bytes before going to sleep */

    Task *ready[EXPORT_BATCH]; /* answers to be sent */
    unsigned n_ready;
    uint64_t ready_bytes;
};

struct ExportNbd {
    ExportNbdConfig config;
    GMutex lock; /* of exports' removed and connections, of connections' export and ended */
    GPtrArray *exports;        /* of Export; grows and shrinks on the main thread, under lock */
    unsigned removed;          /* of them; lock */
    GArray *listeners;         /* of Listener */
    Connection *connections;   /* main thread */
    unsigned n_connections;
    uint64_t ever;
    bool stopping;
    GSource *reaper;           /* wakes the main thread when a connection ended */
};

/* connection.c */
void *export_connection_run(void *opaque);

/* nbd.c: any thread. Counts the connection in, or not: it has been removed. */
bool export_enter(Connection *c, Export *e);

/* transport.c: 0, or -errno; -ESHUTDOWN: the peer has closed. wait false: -EAGAIN when nothing is
 * there. */
int export_receive(Connection *c, bool wait);
/* more: there is more to come at once. */
int export_send(Connection *c, struct iovec *iov, int iovcnt, bool more);
/* Of a stop: throws away what still comes until the peer's kernel has all that was sent, for a
 * while; then the socket may be closed, and reset, without loss of answers. */
void export_linger(Connection *c);
/* Until there is something to be read, or finished has something. */
int export_wait(Connection *c);

/* requests.c */
/* Takes up what nbd_server_next gave; then the payload came. 0, or -errno of the connection. */
int export_request(Connection *c, const NbdRequest *request);
int export_payload(Connection *c);
/* Makes answers of what lib/block has finished. */
int export_collect(Connection *c);
/* Sends what is ready. Also when that fails, nothing is left ready. */
int export_flush_answers(Connection *c);
/* Waits for one that lib/block has. */
void export_wait_finished(Connection *c);
void export_free_tasks(Connection *c);

/* plain.c */
bool export_is_plain(const Connection *c);
/* Whether the read's data can go to the socket as they are; then, behind the answer's head, they
 * do. */
bool export_reads_plain(const Connection *c, const NbdRequest *request);
int export_send_plain(Connection *c, uint64_t offset, uint64_t length);

/* pipe.c */
/* Whether the write's payload can go to the file by the connection's pipe. */
bool export_writes_plain(Connection *c, const NbdRequest *request);
/* The task of such a write gets its payload from now on. 0, or -errno of the connection. */
int export_pipe_begin(Connection *c, Task *task);
/* A part of it, which must be there (EAGAIN). */
int export_pipe_receive(Connection *c);
void export_pipe_close(Connection *c);

/* status.c: fills task->body, or the errno (positive) to answer. */
int export_status(Connection *c, Task *task);
