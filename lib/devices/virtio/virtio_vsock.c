/* SPDX-License-Identifier: MIT */
/*
 * virtio-vsock (Virtio 1.2, 5.10): streams between programs in the guest and Unix sockets of the host,
 * without privileges. Packets from the guest are handled on the transmit queue's thread, those to it
 * sent by the I/O thread alone; a stream's credit is the guest's room, and ours.
 *
 * Left out: datagrams and sequenced packets; streams do not outlive a reset or a saved state.
 */
#include "devices/virtio/virtio_vsock.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/thread.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RX = 0, TX = 1, EVENT = 2, QUEUES = 3, QUEUE_SIZE = 128 };
enum { PACKET_MAX = 65536 };

static Vsock *vsock_of(VirtioDevice *v)
{
    return (Vsock *)(void *)((char *)v - offsetof(Vsock, v));
}

void vsock_wake(Vsock *s)
{
    uint64_t one = 1;
    while (write(s->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

/* ---- To the guest --------------------------------------------------------------------------- */

static void put_header(const Vsock *s, uint8_t *h, uint64_t key, uint16_t op, uint32_t len)
{
    memset(h, 0, VSOCK_HEADER);
    st_le64(h, VSOCK_HOST_CID);
    st_le64(h + 8, s->cid);
    st_le32(h + 16, (uint32_t)(key >> 32));
    st_le32(h + 20, (uint32_t)key);
    st_le32(h + 24, len);
    st_le16(h + 28, VIRTIO_VSOCK_TYPE_STREAM);
    st_le16(h + 30, op);
}

static void put_credit(uint8_t *h, VsockStream *c)
{
    st_le32(h + 36, VSOCK_BUFFER);
    st_le32(h + 40, c->fwd);
    c->fwd_told = c->fwd;
}

/* The next buffer with room for a header; false when there is none, and the guest will tell of more. */
static bool get_buffer(Vsock *s, VringChain *chain)
{
    if (s->starved)
        return false;
    while (!virtio_pop(&s->v, RX, chain)) {
        if (!virtio_quiet(&s->v, RX, false)) {
            s->starved = true;
            return false;
        }
    }
    if (chain->in_bytes >= VSOCK_HEADER)
        return true;
    virtio_break(&s->v, "a receive buffer is too small for a header");
    virtio_push(&s->v, RX, chain, 0);
    s->starved = true;
    return false;
}

static void give(Vsock *s, VringChain *chain, const uint8_t *header, uint32_t len)
{
    vring_chain_fill(chain, 0, header, VSOCK_HEADER);
    virtio_push(&s->v, RX, chain, VSOCK_HEADER + len);
    virtio_flush(&s->v, RX);
}

static bool send_header(Vsock *s, uint64_t key, VsockStream *c, uint16_t op, uint32_t flags)
{
    VringChain chain = {0};
    uint8_t header[VSOCK_HEADER];
    bool ok = get_buffer(s, &chain);
    if (ok) {
        put_header(s, header, key, op, 0);
        st_le32(header + 32, flags);
        if (c)
            put_credit(header, c);
        give(s, &chain, header, 0);
    }
    vring_chain_clear(&chain);
    return ok;
}

/* The pieces of a buffer behind the header, at most max bytes. */
static unsigned behind_header(const VringChain *chain, struct iovec *iov, size_t max)
{
    size_t skip = VSOCK_HEADER;
    unsigned count = 0;
    for (unsigned i = 0; i < chain->in_count && max; i++) {
        const struct iovec *p = &chain->in[i];
        size_t from = MIN(skip, p->iov_len), len = MIN(p->iov_len - from, max);
        skip -= from;
        if (len)
            iov[count++] = (struct iovec){ (uint8_t *)p->iov_base + from, len };
        max -= len;
    }
    return count;
}

bool vsock_send_data(Vsock *s, VsockStream *c)
{
    VringChain chain = {0};
    struct iovec iov[VRING_MAX_SIZE];
    uint8_t header[VSOCK_HEADER];
    uint64_t key = vsock_key(c->host_port, c->guest_port);
    if (c->tell || !get_buffer(s, &chain)) {
        vring_chain_clear(&chain);
        return false;
    }
    struct msghdr m = { .msg_iov = iov };
    m.msg_iovlen = behind_header(&chain, iov, MIN(vsock_credit(c), PACKET_MAX));
    ssize_t n = m.msg_iovlen ? recvmsg(c->fd, &m, MSG_DONTWAIT) : -1;
    if (n > 0) {
        put_header(s, header, key, VIRTIO_VSOCK_OP_RW, (uint32_t)n);
        put_credit(header, c);
        c->sent += (uint32_t)n;
        give(s, &chain, header, (uint32_t)n);
    } else {
        virtio_unpop(&s->v, RX, &chain);
        if (n == 0) {
            c->host_done = true;
            c->tell |= TELL_SHUTDOWN;
        } else if (errno != EAGAIN && errno != EINTR) {
            c->tell |= TELL_RST;
            vsock_close(c);
        }
    }
    vring_chain_clear(&chain);
    return n > 0;
}

/* What one stream has to tell; false when there is no buffer for all of it. */
static bool tell(Vsock *s, VsockStream *c)
{
    static const struct {
        unsigned what;
        uint16_t op;
        uint32_t flags;
    } order[] = {
        { TELL_REQUEST, VIRTIO_VSOCK_OP_REQUEST, 0 },
        { TELL_RESPONSE, VIRTIO_VSOCK_OP_RESPONSE, 0 },
        { TELL_CREDIT, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0 },
        { TELL_SHUTDOWN, VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_SHUTDOWN_SEND },
        { TELL_RST, VIRTIO_VSOCK_OP_RST, 0 },
    };
    uint64_t key = vsock_key(c->host_port, c->guest_port);
    for (size_t i = 0; i < G_N_ELEMENTS(order); i++) {
        if (!(c->tell & order[i].what))
            continue;
        if (!send_header(s, key, c, order[i].op, order[i].flags))
            return false;
        c->tell &= ~order[i].what;
    }
    return true;
}

void vsock_pump(Vsock *s)
{
    if (!(virtio_status(&s->v) & VIRTIO_DRIVER_OK))
        return;
    while (s->stray_count &&
           send_header(s, s->strays[s->stray_count - 1], NULL, VIRTIO_VSOCK_OP_RST, 0))
        s->stray_count--;
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, s->streams);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        VsockStream *c = value;
        bool all = !c->tell || tell(s, c);
        if (all && c->state == VSOCK_CLOSED)
            g_hash_table_iter_remove(&iter);
        else
            vsock_arm(c);
    }
}

/* ---- From the guest ---------------------------------------------------------------------------- */

static void stray(Vsock *s, uint64_t key)
{
    if (s->stray_count < VSOCK_STRAYS)
        s->strays[s->stray_count++] = key;
}

static void reset_stream(VsockStream *c)
{
    c->tell = TELL_RST;
    vsock_close(c);
}

static void on_request(Vsock *s, uint64_t key, const uint8_t *h)
{
    VsockStream *c = vsock_connect(s, (uint32_t)(key >> 32), (uint32_t)key);
    if (!c) {
        stray(s, key);
        return;
    }
    c->peer_alloc = ld_le32(h + 36);
    c->peer_fwd = ld_le32(h + 40);
    c->tell = TELL_RESPONSE;
    uint64_t *k = g_new(uint64_t, 1);
    *k = key;
    g_hash_table_replace(s->streams, k, c);
}

/* A packet of a stream that is there. */
static void on_stream(VsockStream *c, const uint8_t *h, VringChain *chain)
{
    c->peer_alloc = ld_le32(h + 36);
    c->peer_fwd = ld_le32(h + 40);
    uint32_t flags = ld_le32(h + 32);
    switch (ld_le16(h + 30)) {
    case VIRTIO_VSOCK_OP_RESPONSE:
        if (c->state == VSOCK_ASKING)
            vsock_opened(c);
        else
            reset_stream(c);
        break;
    case VIRTIO_VSOCK_OP_RST:
        vsock_close(c);
        c->tell = 0;
        break;
    case VIRTIO_VSOCK_OP_SHUTDOWN:
        if (flags & VIRTIO_VSOCK_SHUTDOWN_RCV)
            c->host_done = true;
        if (flags & VIRTIO_VSOCK_SHUTDOWN_SEND)
            vsock_guest_done(c);
        break;
    case VIRTIO_VSOCK_OP_RW:
        if (c->state != VSOCK_OPEN || c->guest_done || chain->out_bytes < ld_le32(h + 24) ||
            !vsock_take(c, chain->out, chain->out_count))
            reset_stream(c);
        break;
    case VIRTIO_VSOCK_OP_CREDIT_REQUEST: c->tell |= TELL_CREDIT; break;
    case VIRTIO_VSOCK_OP_CREDIT_UPDATE: break;
    default: reset_stream(c); break;
    }
    if (c->state != VSOCK_CLOSED)
        vsock_arm(c);
}

static void on_packet(Vsock *s, VringChain *chain)
{
    uint8_t h[VSOCK_HEADER];
    if (!vring_chain_take(chain, h, sizeof h)) {
        virtio_break(&s->v, "a packet without a header");
        return;
    }
    uint64_t key = vsock_key(ld_le32(h + 20), ld_le32(h + 16));
    uint16_t op = ld_le16(h + 30);
    bool ours = ld_le64(h) == s->cid && ld_le64(h + 8) == VSOCK_HOST_CID &&
                ld_le16(h + 28) == VIRTIO_VSOCK_TYPE_STREAM;
    VsockStream *c = ours ? g_hash_table_lookup(s->streams, &key) : NULL;
    if (c && c->state != VSOCK_CLOSED)
        on_stream(c, h, chain);
    else if (ours && !c && op == VIRTIO_VSOCK_OP_REQUEST)
        on_request(s, key, h);
    else if (op != VIRTIO_VSOCK_OP_RST)
        stray(s, key);
}

static void vsock_notify(VirtioDevice *v, unsigned queue)
{
    Vsock *s = vsock_of(v);
    VringChain chain = {0};
    if (queue == TX) {
        do {
            virtio_quiet(v, TX, true);
            while (virtio_pop(v, TX, &chain)) {
                pthread_mutex_lock(&s->lock);
                on_packet(s, &chain);
                pthread_mutex_unlock(&s->lock);
                virtio_push(v, TX, &chain, 0);
            }
            virtio_flush(v, TX);
        } while (virtio_quiet(v, TX, false));
    }
    vring_chain_clear(&chain);
    vsock_wake(s);
}

/* ---- The device ---------------------------------------------------------------------------------- */

static void vsock_virtio_reset(VirtioDevice *v)
{
    Vsock *s = vsock_of(v);
    pthread_mutex_lock(&s->lock);
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, s->streams);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        vsock_close(value);
        g_hash_table_iter_remove(&iter);
    }
    s->stray_count = 0;
    s->starved = false;
    pthread_mutex_unlock(&s->lock);
}

static void vsock_read_config(VirtioDevice *v, uint8_t *config)
{
    st_le64(config, vsock_of(v)->cid);
}

static const VirtioType vsock_virtio = {
    .name = "virtio-vsock",
    .id = 19,
    .reset = vsock_virtio_reset,
    .notify = vsock_notify,
    .read_config = vsock_read_config,
};

static bool watch(Vsock *s, int *fd)
{
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = fd };
    return !epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, *fd, &e);
}

static bool start_thread(Vsock *s, GError **error)
{
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->epoll_fd < 0 || s->wake_fd < 0 || !watch(s, &s->wake_fd) || !watch(s, &s->listen_fd))
        return fail_errno(error, errno, "cannot wait for sockets");
    int ret = thread_start(&s->thread, "vsock", vsock_serve, s);
    if (ret)
        return fail_errno(error, ret, "cannot make a thread");
    s->has_thread = true;
    return true;
}

static bool vsock_start(Device *dev, GError **error)
{
    Vsock *s = (Vsock *)dev;
    s->listen_fd = s->epoll_fd = s->wake_fd = -1;
    pthread_mutex_init(&s->lock, NULL);
    s->streams = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, vsock_free_stream);
    s->greeting = g_ptr_array_new();
    if (!s->cid)
        return fail_usage(error, "guest-cid property not set: a number from 3 on");
    if (!s->path)
        return fail_usage(error, "path property not set: path=SOCKET is where host programs connect");
    virtio_init(&s->v, &vsock_virtio, dev->env.space, QUEUES, QUEUE_SIZE,
                virtio_props_features(&s->props), 8);
    return vsock_listen(s, error) && start_thread(s, error);
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

static void vsock_stop(Device *dev)
{
    Vsock *s = (Vsock *)dev;
    if (s->has_thread) {
        pthread_mutex_lock(&s->lock);
        s->end = true;
        pthread_mutex_unlock(&s->lock);
        vsock_wake(s);
        pthread_join(s->thread, NULL);
    }
    virtio_clear(&s->v);
    g_hash_table_unref(s->streams);
    g_ptr_array_set_free_func(s->greeting, vsock_free_stream);
    g_ptr_array_unref(s->greeting);
    if (s->listen_fd >= 0)
        unlink(s->path);
    close_fd(s->listen_fd);
    close_fd(s->epoll_fd);
    close_fd(s->wake_fd);
    pthread_mutex_destroy(&s->lock);
}

static void vsock_reset(Device *dev)
{
    virtio_reset(&((Vsock *)dev)->v);
}

static void vsock_saving(Device *dev)
{
    virtio_saving(&((Vsock *)dev)->v);
}

static bool vsock_loaded(Device *dev, GError **error)
{
    return virtio_loaded(&((Vsock *)dev)->v, error);
}

static VirtioDevice *vsock_face(Device *dev)
{
    return &((Vsock *)dev)->v;
}

static const StateField vsock_saved[] = {VIRTIO_SAVED(Vsock, v), STATE_END};

static const DeviceProp vsock_props[] = {
    {"guest-cid", DEVICE_U64, offsetof(Vsock, cid), NULL, 3, 0xfffffffe, "the guest's address"},
    {"path", DEVICE_STRING, offsetof(Vsock, path), NULL, 0, 0,
     "the Unix socket that host programs connect to; PATH_PORT is where the guest's calls go"},
    VIRTIO_PROPS(Vsock, props),
    {.name = NULL},
};

const DeviceType virtio_vsock_type = {
    .name = "virtio-vsock-device",
    .summary = "streams between guest and host by AF_VSOCK, over Unix sockets",
    .size = sizeof(Vsock),
    .props = vsock_props,
    .saved = vsock_saved,
    .slot = "virtio",
    .start = vsock_start,
    .reset = vsock_reset,
    .stop = vsock_stop,
    .saving = vsock_saving,
    .loaded = vsock_loaded,
    .virtio = vsock_face,
};
