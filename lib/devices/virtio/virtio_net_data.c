/* SPDX-License-Identifier: MIT */
/*
 * The packets of a virtio-net card (Virtio 1.2, 5.1.6). A packet is copied once, between the guest's
 * buffers and the back end's; its header is the back end's where that has them, else one that says
 * nothing.
 *
 * To the guest: on any thread, under the card's lock. A packet that finds too few buffers takes
 * none; the back end keeps it, and offers it again when the driver has added some. From the guest:
 * on each transmit queue's own thread; a packet that the back end has no room for stays in its queue.
 */
#include "devices/virtio/virtio_net.h"

#include "base/bytes.h"

#include <string.h>

enum {
    HEADER = 12,
    HEADER_NUM_BUFFERS = 10,
    TX_FLUSH = 16, /* the driver gets buffers back after that many, while there are more */
};

/* A place in a list of pieces. */
typedef struct {
    const struct iovec *iov;
    unsigned count;
    size_t at; /* in the first one */
    size_t left;
} Cursor;

static size_t cursor_read(Cursor *c, void *buf, size_t len)
{
    uint8_t *to = buf;
    len = MIN(len, c->left);
    c->left -= len;
    for (size_t done = 0; done < len;) {
        size_t n = MIN(len - done, c->iov->iov_len - c->at);
        memcpy(to + done, (const uint8_t *)c->iov->iov_base + c->at, n);
        done += n;
        c->at += n;
        if (c->at == c->iov->iov_len) {
            c->iov++;
            c->count--;
            c->at = 0;
        }
    }
    return len;
}

static size_t length_of(const struct iovec *iov, unsigned count)
{
    size_t length = 0;
    for (unsigned i = 0; i < count; i++)
        length += iov[i].iov_len;
    return length;
}

/* Both ways. */
static size_t header_size(const VirtioNet *n)
{
    /* A legacy driver without MRG_RXBUF has no num_buffers. */
    return virtio_has(&n->v, VIRTIO_F_VERSION_1 | VIRTIO_F(NET_F_MRG_RXBUF)) ? HEADER
                                                                             : HEADER_NUM_BUFFERS;
}

/* ---- To the guest ---------------------------------------------------------------- */

static bool running(const VirtioNet *n)
{
    return (virtio_status(&n->v) & (VIRTIO_DRIVER_OK | VIRTIO_NEEDS_RESET)) == VIRTIO_DRIVER_OK;
}

static unsigned rx_pair(const VirtioNet *n, const uint8_t *head, size_t len)
{
    if (n->active < 2)
        return 0;
    unsigned pair = __atomic_load_n(&n->flows[virtio_net_flow(head, len)], __ATOMIC_RELAXED);
    bool enabled = pair < n->active &&
                   __atomic_load_n(&n->v.queues[2 * pair].enabled, __ATOMIC_ACQUIRE);
    return enabled ? pair : 0;
}

static void rx_untake(VirtioNet *n, unsigned queue, unsigned count)
{
    while (count)
        virtio_unpop(&n->v, queue, &n->chains[--count]);
}

typedef enum { RX_TAKEN, RX_STARVED, RX_DROPPED } RxResult;

/* Takes *count buffers for that many bytes into chains[]; none unless it says RX_TAKEN. */
static RxResult rx_take(VirtioNet *n, unsigned queue, size_t bytes, unsigned *count)
{
    VirtioDevice *v = &n->v;
    bool merge = virtio_has(v, VIRTIO_F(NET_F_MRG_RXBUF));
    RxResult result = RX_TAKEN;
    unsigned have = 0, entries = 0;
    for (size_t room = 0; room < bytes && result == RX_TAKEN;) {
        VringChain *chain = &n->chains[have];
        if (have == n->rx_size || entries >= v->queues[queue].config.size) {
            result = RX_DROPPED; /* it takes more than the driver can ever offer */
        } else if (virtio_pop(v, queue, chain)) {
            have++;
            entries += chain->count;
            room += chain->in_bytes;
            if (chain->in_bytes < (have == 1 ? header_size(n) : 1)) {
                virtio_break(v, "a receive buffer is too small for a header");
                result = RX_DROPPED;
            } else if (!merge && room < bytes) {
                result = RX_DROPPED;
            }
        } else if (!virtio_quiet(v, queue, false)) {
            /* The driver will notify of those after these: so it is asked before they are put
               back. */
            result = RX_STARVED;
        }
    }
    if (result != RX_TAKEN)
        rx_untake(n, queue, have);
    *count = have;
    return result;
}

/* Fills a buffer from offset on; bytes in it then. */
static uint32_t rx_fill(const VringChain *chain, size_t offset, Cursor *from)
{
    size_t end = offset, skip = offset;
    for (unsigned i = 0; i < chain->in_count && from->left; i++) {
        const struct iovec *to = &chain->in[i];
        if (skip >= to->iov_len) {
            skip -= to->iov_len;
            continue;
        }
        end += cursor_read(from, (uint8_t *)to->iov_base + skip, to->iov_len - skip);
        skip = 0;
    }
    return (uint32_t)end;
}

static bool rx_deliver(VirtioNet *n, unsigned pair, uint8_t header[HEADER], Cursor *packet)
{
    VirtioDevice *v = &n->v;
    unsigned queue = 2 * pair, count;
    size_t header_len = header_size(n);
    RxResult result = rx_take(n, queue, header_len + packet->left, &count);
    if (result != RX_TAKEN) {
        n->starved[pair] = result == RX_STARVED;
        return result == RX_DROPPED;
    }
    st_le16(header + HEADER_NUM_BUFFERS, (uint16_t)count);
    vring_chain_fill(&n->chains[0], 0, header, header_len);
    for (unsigned i = 0; i < count; i++)
        n->written[i] = rx_fill(&n->chains[i], i ? 0 : header_len, packet);
    virtio_push_all(v, queue, n->chains, n->written, count);
    virtio_flush(v, queue);
    return true;
}

bool virtio_net_receive(void *opaque, const struct iovec *iov, unsigned count)
{
    VirtioNet *n = opaque;
    Cursor packet = {iov, count, 0, length_of(iov, count)};
    uint8_t header[HEADER] = {0}, head[NET_PEEK];
    if (n->header && cursor_read(&packet, header, HEADER) < HEADER)
        return true;
    Cursor peek = packet;
    size_t len = cursor_read(&peek, head, sizeof head);
    pthread_mutex_lock(&n->lock);
    bool taken = true;
    /* Without a driver the cable leads nowhere. */
    if (running(n) && virtio_net_filter_pass(&n->filter, head, len))
        taken = rx_deliver(n, rx_pair(n, head, len), header, &packet);
    pthread_mutex_unlock(&n->lock);
    return taken;
}

static bool unstarve(VirtioNet *n, unsigned first, unsigned last)
{
    bool any = false;
    for (unsigned i = first; i <= last; i++) {
        any = any || n->starved[i];
        n->starved[i] = false;
    }
    return any;
}

void virtio_net_rx_notify(VirtioNet *n, unsigned pair)
{
    pthread_mutex_lock(&n->lock);
    virtio_quiet(&n->v, 2 * pair, true);
    bool again = unstarve(n, pair, pair);
    pthread_mutex_unlock(&n->lock);
    if (again)
        net_receive_again(n->backend);
}

void virtio_net_unstarve(VirtioNet *n)
{
    pthread_mutex_lock(&n->lock);
    bool again = unstarve(n, 0, n->pairs - 1);
    pthread_mutex_unlock(&n->lock);
    if (again)
        net_receive_again(n->backend);
}

/* ---- From the guest ---------------------------------------------------------------- */

static void note_flow(VirtioNet *n, unsigned pair, const VringChain *chain)
{
    uint8_t head[NET_PEEK];
    Cursor c = {chain->out, chain->out_count, 0, chain->out_bytes};
    cursor_read(&c, head, HEADER);
    unsigned flow = virtio_net_flow(head, cursor_read(&c, head, sizeof head));
    __atomic_store_n(&n->flows[flow], (uint8_t)pair, __ATOMIC_RELAXED);
}

/* The driver's header is shorter than the back end's. */
static bool tx_longer_header(VirtioNet *n, VringChain *chain)
{
    uint8_t header[HEADER] = {0};
    vring_chain_take(chain, header, header_size(n));
    g_autofree struct iovec *iov = g_new(struct iovec, chain->out_count + 1);
    iov[0] = (struct iovec){header, sizeof header};
    for (unsigned i = 0; i < chain->out_count; i++)
        iov[i + 1] = chain->out[i];
    return net_send(n->backend, iov, chain->out_count + 1);
}

/* False: the back end has no room. */
static bool tx_send(VirtioNet *n, unsigned pair, VringChain *chain)
{
    uint8_t header[HEADER];
    if (chain->out_bytes < header_size(n)) {
        virtio_break(&n->v, "a packet without a header");
        return true;
    }
    if (!n->backend)
        return true;
    if (__atomic_load_n(&n->active, __ATOMIC_RELAXED) > 1)
        note_flow(n, pair, chain);
    if (n->header && header_size(n) < HEADER)
        return tx_longer_header(n, chain);
    if (!n->header)
        vring_chain_take(chain, header, header_size(n));
    return net_send(n->backend, chain->out, chain->out_count);
}

void virtio_net_tx_notify(VirtioNet *n, unsigned pair)
{
    VirtioDevice *v = &n->v;
    VringChain chain = {0};
    unsigned queue = 2 * pair + 1, sent = 0;
    do {
        virtio_quiet(v, queue, true);
        while (virtio_pop(v, queue, &chain)) {
            if (!tx_send(n, pair, &chain)) {
                /* virtio_net_room follows, perhaps at once. */
                virtio_unpop(v, queue, &chain);
                virtio_flush(v, queue);
                vring_chain_clear(&chain);
                return;
            }
            virtio_push(v, queue, &chain, 0);
            if (++sent % TX_FLUSH == 0)
                virtio_flush(v, queue);
        }
        virtio_flush(v, queue);
    } while (virtio_quiet(v, queue, false));
    vring_chain_clear(&chain);
}

void virtio_net_room(void *opaque)
{
    VirtioNet *n = opaque;
    for (unsigned i = 0; i < n->pairs; i++)
        virtio_kick(&n->v, 2 * i + 1);
}
