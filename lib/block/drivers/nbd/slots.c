/* SPDX-License-Identifier: MIT */
/*
 * Requests on a link: sent by whoever submits them as far as the socket takes it, the rest by the
 * thread; ended by the thread. Data goes right into the buffers of the request.
 */
#include "block/drivers/nbd/nbd_priv.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

enum { PIECES = 64 };

/* ---- Sending: the lock is held ----------------------------------------------- */

/* What is left to send of a slot: up to PIECES pieces. */
static int remaining(const NbdSlot *s, struct iovec *iov)
{
    int n = 0;
    uint64_t skip = s->sent;
    if (skip < s->head_len)
        iov[n++] = (struct iovec){ (uint8_t *)s->head + skip, s->head_len - (size_t)skip };
    skip -= MIN(skip, s->head_len);
    if (s->asked.command != NBD_CMD_WRITE)
        return n;
    uint64_t end = s->asked.length, at = 0; /* of the data */
    for (int i = 0; i < s->req->iovcnt && n < PIECES && at < end; i++) {
        uint64_t len = MIN(s->req->iov[i].iov_len, end - at);
        if (skip < len)
            iov[n++] = (struct iovec){ (uint8_t *)s->req->iov[i].iov_base + skip, (size_t)(len - skip) };
        skip -= MIN(skip, len);
        at += len;
    }
    return n;
}

static uint64_t whole(const NbdSlot *s)
{
    return s->head_len + (s->asked.command == NBD_CMD_WRITE ? s->asked.length : 0);
}

static ssize_t send_some(NbdLink *link, const struct iovec *iov, int n)
{
    struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };
    ssize_t sent;
    if (link->peer.tls)
        return crypto_tls_writev(link->peer.tls, iov, n);
    do
        sent = sendmsg(link->peer.fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : sent;
}

int nbd_slot_send(NbdLink *link)
{
    if (link->peer.tls && crypto_tls_unsent(link->peer.tls)) {
        int r = crypto_tls_flush(link->peer.tls);
        if (r)
            return r;
    }
    while (link->queue) {
        NbdSlot *s = link->queue;
        struct iovec iov[PIECES];
        while (s->sent < whole(s)) {
            ssize_t n = send_some(link, iov, remaining(s, iov));
            if (n < 0)
                return (int)n;
            s->sent += (uint64_t)n;
        }
        s->queued = false;
        link->queue = s->next;
        if (!link->queue)
            link->queue_end = &link->queue;
    }
    return link->peer.tls && crypto_tls_unsent(link->peer.tls) ? -EAGAIN : 0;
}

static void enqueue(NbdLink *link, NbdSlot *s)
{
    s->queued = true;
    s->sent = 0;
    s->next = NULL;
    *link->queue_end = s;
    link->queue_end = &s->next;
}

void nbd_slot_requeue(NbdLink *link)
{
    link->queue = NULL;
    link->queue_end = &link->queue;
    for (unsigned i = 0; i < NBD_SLOTS; i++) {
        NbdSlot *s = &link->slots[i];
        if (!s->used)
            continue;
        s->err = 0;
        s->got = 0;
        if (s->status)
            g_array_set_size(s->status->extents, 0);
        s->head_len = nbd_client_put_request(link->peer.client, &s->asked, s->head);
        enqueue(link, s);
    }
}

static void occupy(NbdLink *link, BlockRequest *req, NbdStatus *status, const NbdRequest *asked)
{
    unsigned i = 0;
    while (link->slots[i].used)
        i++;
    NbdSlot *s = &link->slots[i];
    *s = (NbdSlot){ .req = req, .status = status, .asked = *asked, .used = true };
    s->asked.cookie = i;
    link->used++;
    if (link->state != LINK_UP)
        return; /* sent once it is: nbd_slot_requeue */
    s->head_len = nbd_client_put_request(link->peer.client, &s->asked, s->head);
    bool alone = !link->queue;
    enqueue(link, s);
    if (alone && nbd_slot_send(link))
        eventfd_write(link->wake, 1); /* the thread sends the rest, or finds out what is wrong */
}

/* The request of a BlockRequest that waits for a slot is kept in it. */
static void put_aside(NbdLink *link, BlockRequest *req, const NbdRequest *asked)
{
    req->driver_word = asked->command | (uint64_t)asked->flags << 16 | asked->length << 32;
    req->next = NULL;
    *link->waiting_end = req;
    link->waiting_end = &req->next;
}

static void take_waiting(NbdLink *link)
{
    BlockRequest *req = link->waiting;
    if (!req || link->used == NBD_SLOTS)
        return;
    link->waiting = req->next;
    if (!link->waiting)
        link->waiting_end = &link->waiting;
    NbdRequest asked = { .command = (uint16_t)req->driver_word, .flags = (uint16_t)(req->driver_word >> 16),
                         .offset = req->at, .length = req->driver_word >> 32 };
    occupy(link, req, NULL, &asked);
}

int nbd_slot_submit(NbdLink *link, BlockRequest *req, NbdStatus *status, const NbdRequest *asked)
{
    int r = BLOCK_PENDING;
    g_mutex_lock(&link->lock);
    if (link->state == LINK_FAILED || link->state == LINK_NONE || link->stop)
        r = -EIO;
    else if (link->used < NBD_SLOTS)
        occupy(link, req, status, asked);
    else if (status)
        r = -EBUSY;
    else
        put_aside(link, req, asked);
    g_mutex_unlock(&link->lock);
    return r;
}

/* ---- Ending: the thread -------------------------------------------------------- */

static void tell(BlockRequest *req, NbdStatus *status, int err)
{
    if (req) {
        block_request_done(req, -err);
        return;
    }
    g_mutex_lock(&status->lock);
    status->err = err;
    status->over = true;
    g_cond_signal(&status->cond);
    g_mutex_unlock(&status->lock);
}

/* The last piece of an answer came. */
static int end(NbdLink *link, NbdSlot *s)
{
    BlockRequest *req = s->req;
    NbdStatus *status = s->status;
    int err = s->err;
    bool data = s->asked.command == NBD_CMD_READ, extents = status && status->extents->len;
    if (!err && ((data && s->got != s->asked.length) || (status && !extents))) {
        block_node_warn(link->nbd->node, "%s: the server says that a %s is done and leaves out what it gives",
                        block_node_file(link->nbd->node), nbd_command_name(s->asked.command));
        return -EPROTO;
    }
    link->answered = true;
    g_mutex_lock(&link->lock);
    s->used = false;
    link->used--;
    take_waiting(link);
    g_mutex_unlock(&link->lock);
    tell(req, status, err);
    return 0;
}

void nbd_slot_fail(NbdLink *link, int err)
{
    g_mutex_lock(&link->lock);
    BlockRequest *waiting = link->waiting;
    link->waiting = NULL;
    link->waiting_end = &link->waiting;
    link->queue = NULL;
    link->queue_end = &link->queue;
    for (unsigned i = 0; i < NBD_SLOTS; i++) {
        NbdSlot *s = &link->slots[i];
        if (!s->used)
            continue;
        BlockRequest *req = s->req;
        NbdStatus *status = s->status;
        s->used = false;
        link->used--;
        g_mutex_unlock(&link->lock);
        tell(req, status, err);
        g_mutex_lock(&link->lock);
    }
    g_mutex_unlock(&link->lock);
    while (waiting) {
        BlockRequest *next = waiting->next;
        block_request_done(waiting, -err);
        waiting = next;
    }
}

const NbdRequest *nbd_slot_find(void *opaque, uint64_t cookie)
{
    NbdLink *link = opaque;
    const NbdRequest *found = NULL;
    if (cookie >= NBD_SLOTS)
        return NULL;
    g_mutex_lock(&link->lock);
    NbdSlot *s = &link->slots[cookie];
    if (s->used && !s->queued)
        found = &s->asked;
    g_mutex_unlock(&link->lock);
    return found;
}

/* Names the next piece of the request's memory that data goes to. */
static void fill(NbdLink *link)
{
    BlockRequest *req = link->filling->req;
    uint64_t at = link->fill_at;
    int i = 0;
    for (; at >= req->iov[i].iov_len; i++)
        at -= req->iov[i].iov_len;
    uint64_t len = MIN(req->iov[i].iov_len - at, link->fill_left);
    nbd_client_payload(link->peer.client, (uint8_t *)req->iov[i].iov_base + at, len);
    link->fill_at += len;
    link->fill_left -= len;
}

static void zero(const BlockRequest *req, uint64_t at, uint64_t len)
{
    for (int i = 0; i < req->iovcnt && len; i++) {
        uint64_t n = req->iov[i].iov_len;
        if (at >= n) {
            at -= n;
            continue;
        }
        n = MIN(n - at, len);
        memset((uint8_t *)req->iov[i].iov_base + at, 0, (size_t)n);
        at = 0;
        len -= n;
    }
}

int nbd_slot_filled(NbdLink *link)
{
    NbdSlot *s = link->filling;
    if (!s)
        return 0;
    if (link->fill_left) {
        fill(link);
        return 0;
    }
    link->filling = NULL;
    return link->fill_last ? end(link, s) : 0;
}

int nbd_slot_reply(NbdLink *link, const NbdReply *reply)
{
    NbdSlot *s = &link->slots[reply->cookie];
    uint64_t at = reply->offset - s->asked.offset;
    switch (reply->kind) {
    case NBD_REPLY_DATA:
        s->got += reply->length;
        link->filling = s;
        link->fill_at = at;
        link->fill_left = reply->length;
        link->fill_last = reply->last;
        if (!reply->length)
            return nbd_slot_filled(link);
        fill(link);
        return 0;
    case NBD_REPLY_HOLE:
        s->got += reply->length;
        zero(s->req, at, reply->length);
        break;
    case NBD_REPLY_EXTENTS:
        if (reply->context == s->status->context && !s->status->extents->len)
            g_array_append_vals(s->status->extents, reply->extents, reply->n_extents);
        break;
    case NBD_REPLY_ERROR:
        if (reply->err == ESHUTDOWN && link->nbd->reconnect_delay)
            return -ESHUTDOWN; /* it is going: asked again when it is back */
        s->err = reply->err;
        break;
    case NBD_REPLY_END:
        break;
    }
    return reply->last ? end(link, s) : 0;
}
