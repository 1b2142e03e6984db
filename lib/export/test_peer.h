/* SPDX-License-Identifier: MIT */
/*
 * A client for the tests: the client's end of lib/nbd on a blocking socket, with many requests on
 * their way at once, each known by its cookie.
 */
#pragma once

#include "nbd/nbd.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PEER_COOKIES = 256, PEER_EXTENTS = 64 };

typedef struct {
    int fd;
    NbdClient *client;
    struct {
        NbdRequest r;
        uint8_t *buf;
        bool open;
        int err;
    } asked[PEER_COOKIES];
    unsigned open; /* requests without a whole answer */
    bool ending;   /* one of them when its data is there */
    unsigned count[8]; /* of extents that came, by context */
    NbdExtent extents[8][PEER_EXTENTS];
} Peer;

static const NbdRequest *peer_find(void *opaque, uint64_t cookie)
{
    Peer *p = opaque;
    return cookie < PEER_COOKIES && p->asked[cookie].open ? &p->asked[cookie].r : NULL;
}

static bool peer_all(int fd, const void *bytes, size_t len)
{
    for (const uint8_t *p = bytes; len;) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

static void peer_extents(Peer *p, const NbdReply *reply)
{
    unsigned context = reply->context % 8;
    p->count[context] = MIN(reply->n_extents, PEER_EXTENTS);
    memcpy(p->extents[context], reply->extents, p->count[context] * sizeof(NbdExtent));
}

/* A step; false: the connection is over. *ready: the handshake is. */
static bool peer_step(Peer *p, bool *ready)
{
    NbdReply reply;
    struct iovec iov[2];
    NbdEvent event = nbd_client_next(p->client, peer_find, p, &reply);
    size_t len;
    const uint8_t *out = nbd_client_output(p->client, &len);
    if (len && !peer_all(p->fd, out, len))
        return false;
    nbd_client_sent(p->client);
    if (event == NBD_READY)
        *ready = true;
    if (event == NBD_PAYLOAD && p->ending) {
        p->ending = false;
        p->open--;
    }
    if (event == NBD_READY || event == NBD_PAYLOAD || (event == NBD_NEED && len))
        return true;
    if (event == NBD_NEED) {
        struct msghdr msg = { .msg_iov = iov,
                              .msg_iovlen = (size_t)nbd_client_buffers(p->client, iov) };
        ssize_t n = recvmsg(p->fd, &msg, 0);
        if (n > 0)
            nbd_client_advance(p->client, (size_t)n);
        return n > 0;
    }
    if (event != NBD_REPLY)
        return false;
    NbdRequest *r = &p->asked[reply.cookie].r;
    uint8_t *to = p->asked[reply.cookie].buf
                      ? p->asked[reply.cookie].buf + (reply.offset - r->offset)
                      : NULL;
    if (reply.kind == NBD_REPLY_DATA)
        nbd_client_payload(p->client, to, reply.length);
    else if (reply.kind == NBD_REPLY_HOLE && to)
        memset(to, 0, reply.length);
    else if (reply.kind == NBD_REPLY_EXTENTS)
        peer_extents(p, &reply);
    else if (reply.kind == NBD_REPLY_ERROR)
        p->asked[reply.cookie].err = reply.err;
    if (reply.last) {
        p->asked[reply.cookie].open = false;
        p->ending = reply.kind == NBD_REPLY_DATA; /* it is on its way */
        p->open -= !p->ending;
    }
    return true;
}

/* NULL: it was not let in. */
static Peer *peer_new(int fd, const NbdWanted *wanted)
{
    Peer *p = g_new0(Peer, 1);
    bool ready = false;
    p->fd = fd;
    p->client = nbd_client_new(wanted);
    while (!ready)
        if (!peer_step(p, &ready)) {
            nbd_client_free(p->client);
            close(fd);
            g_free(p);
            return NULL;
        }
    return p;
}

static void peer_free(Peer *p)
{
    nbd_client_free(p->client);
    close(p->fd);
    g_free(p);
}

static bool peer_ask(Peer *p, unsigned cookie, NbdCommand command, unsigned flags, uint64_t offset,
                     uint64_t length, void *buf)
{
    uint8_t head[NBD_HEAD_ROOM];
    NbdRequest r = { .command = (uint16_t)command, .flags = (uint16_t)flags, .cookie = cookie, .offset = offset,
                     .length = length };
    p->asked[cookie].r = r;
    p->asked[cookie].buf = command == NBD_CMD_READ ? buf : NULL;
    p->asked[cookie].open = true;
    p->asked[cookie].err = 0;
    p->open++;
    return peer_all(p->fd, head, nbd_client_put_request(p->client, &r, head)) &&
           (command != NBD_CMD_WRITE || peer_all(p->fd, buf, length));
}

/* Until all is answered; false: the connection ended before. */
static bool peer_wait(Peer *p)
{
    bool ready;
    while (p->open)
        if (!peer_step(p, &ready))
            return false;
    return true;
}

/* One request and its answer: 0, an errno, or -1 when the connection ended. */
static int peer_do(Peer *p, NbdCommand command, unsigned flags, uint64_t offset, uint64_t length,
                   void *buf)
{
    return peer_ask(p, 0, command, flags, offset, length, buf) && peer_wait(p) ? p->asked[0].err
                                                                               : -1;
}
