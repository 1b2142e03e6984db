/* SPDX-License-Identifier: MIT */
/*
 * What is sent [7.2]: legacy, context and data descriptors, taken by a thread of the card's. A packet is
 * copied together, then given to the back end, whole with its header where that does checksums and
 * segments, else finished or cut here. The head moves, and descriptors are reported done, when
 * a packet is on its way; so one given up for a pause is sent again after it. The thread holds the lock
 * only between packets. Interrupts are not delayed (TIDV, TADV).
 */
#include "devices/net/e1000e_priv.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/thread.h"
#include "base/log.h"

#include <string.h>

enum { ENTRY = 16, BATCH = 16, MIN_FRAME = 60, FCS = 4 };

/* Byte 11 of a descriptor, and the kind of extended ones. */
enum {
    CMD_EOP = 1 << 0, CMD_TSE_OR_IC = 1 << 2, CMD_RS = 1 << 3, CMD_DEXT = 1 << 5,
    CMD_VLE = 1 << 6, KIND_DATA = 1,
};
enum { POPTS_IP = 1, POPTS_TU = 2, EXT_STAMP = 1 << 4, DD = 1 };
/* A virtio-net header. */
enum { NEEDS_CSUM = 1, GSO_TCPV4 = 1, GSO_TCPV6 = 4 };

/* A ring as its registers have it. */
typedef struct {
    unsigned queue, regs;
    uint64_t base;
    uint32_t count, head, tail;
} Ring;

/* A packet put together. */
typedef struct {
    uint8_t *data; /* behind E1000E_LEAD bytes */
    size_t length;
    bool too_long, first_seen, segment, ip, tu, vlan, stamp;
    bool legacy_sum;
    uint8_t css, cso;
    uint16_t tag;
    uint32_t next; /* the descriptor after its last */
    uint8_t raw[E1000E_CONTEXT];
    E1000eContext context;
    uint8_t to[6];
    /* of the card, when it was begun */
    unsigned pauses;
    uint32_t tctl, ctrl, vet;
    bool loop, link;
    /* what has been sent */
    uint32_t frames;
    size_t bytes;
} Packet;

typedef enum { NOTHING, CONTEXT, PACKET } Taken;

uint8_t *e1000e_map(E1000e *n, uint64_t addr, uint64_t len, bool write)
{
    uint64_t got = len;
    uint8_t *host = bus_dma_map(n->dev.env.space, addr, &got, write);
    return host && got == len ? host : NULL;
}

/* ---- Taking descriptors -------------------------------------------------------------- */

static void context_get(const uint8_t *raw, E1000eContext *c)
{
    *c = (E1000eContext){
        .ip_start = raw[0], .ip_at = raw[1], .ip_end = ld_le16(raw + 2),
        .tu_start = raw[4], .tu_at = raw[5], .tu_end = ld_le16(raw + 6),
        .payload = ld_le32(raw + 8) & 0xfffff,
        .tcp = raw[11] & 1, .ipv4 = raw[11] & 2, .segment = raw[11] & 4,
        .header = raw[13], .mss = ld_le16(raw + 14),
    };
}

static void append(E1000e *n, Packet *p, uint64_t addr, uint32_t len)
{
    if (p->too_long || len > E1000E_FRAME_MAX - p->length) {
        p->too_long = true;
        return;
    }
    while (len) {
        uint64_t got = len;
        const uint8_t *from = bus_dma_map(n->dev.env.space, addr, &got, false);
        if (!from) {
            p->too_long = true; /* it cannot be read: it is not sent */
            return;
        }
        memcpy(p->data + p->length, from, got);
        p->length += got;
        addr += got;
        len -= (uint32_t)got;
    }
}

/* Of a descriptor with data; true: the packet's last. */
static bool take_data(E1000e *n, Packet *p, const uint8_t *d)
{
    uint8_t cmd = d[11];
    bool extended = cmd & CMD_DEXT;
    append(n, p, ld_le64(d), extended ? ld_le32(d + 8) & 0xfffff : ld_le16(d + 8));
    if (extended && !p->first_seen) {
        p->segment = cmd & CMD_TSE_OR_IC;
        p->ip = d[13] & POPTS_IP;
        p->tu = d[13] & POPTS_TU;
    }
    if (extended)
        p->stamp = p->stamp || d[12] & EXT_STAMP;
    if (!extended && cmd & CMD_TSE_OR_IC) {
        p->legacy_sum = true;
        p->cso = d[10];
        p->css = d[13];
    }
    if (cmd & CMD_VLE) {
        p->vlan = true;
        p->tag = ld_le16(d + 14);
    }
    p->first_seen = true;
    return cmd & CMD_EOP;
}

/* From the ring's head on: a context, or a whole packet. Without the lock. */
static Taken take(E1000e *n, const Ring *r, Packet *p)
{
    for (p->next = r->head; p->next != r->tail;) {
        uint64_t addr = r->base + (uint64_t)p->next * ENTRY;
        const uint8_t *from = e1000e_map(n, addr, ENTRY, false);
        uint8_t d[ENTRY];
        if (!from) {
            log_line(LOG_GUEST_ERRORS, "e1000e: a transmit ring is not in RAM");
            return NOTHING;
        }
        memcpy(d, from, sizeof d);
        p->next = (p->next + 1) % r->count;
        if (d[11] & CMD_DEXT && (d[10] >> 4) != KIND_DATA) {
            memcpy(p->raw, d, sizeof p->raw);
            context_get(d, &p->context);
            if (!p->first_seen)
                return CONTEXT;
        } else if (take_data(n, p, d)) {
            return PACKET;
        }
    }
    return NOTHING;
}

/* Raises what has come together. Under the lock. */
static void tell(E1000e *n)
{
    if (n->tx_causes)
        e1000e_cause(n, n->tx_causes);
    n->tx_causes = 0;
}

/* ---- Sending ----------------------------------------------------------------------------- */

/* Gives it to the back end, waiting for room. False: the card came to rest meanwhile. */
static bool give(E1000e *n, const Packet *p, const struct iovec *iov, unsigned count)
{
    for (;;) {
        __atomic_store_n(&n->room, false, __ATOMIC_SEQ_CST);
        if (net_send(n->backend, iov, count))
            return true;
        e1000e_lock(n);
        tell(n);
        n->busy = false;
        pthread_cond_broadcast(&n->rest);
        e1000e_unlock(n);
        pthread_mutex_lock(&n->lock);
        while (!n->end && !n->paused && n->pauses == p->pauses &&
               !__atomic_load_n(&n->room, __ATOMIC_SEQ_CST))
            pthread_cond_wait(&n->wake, &n->lock);
        bool go_on = !n->end && !n->paused && n->pauses == p->pauses;
        n->busy = go_on;
        pthread_mutex_unlock(&n->lock);
        if (!go_on)
            return false;
    }
}

/* One frame at data, with E1000E_LEAD bytes in front that may be used; header has what the back end
   is asked for. */
static bool send_frame(E1000e *n, Packet *p, uint8_t *data, size_t len, uint8_t *header)
{
    if (p->vlan && p->ctrl & CTRL_VME && len >= 12) {
        memmove(data - 4, data, 12);
        data -= 4;
        len += 4;
        st_be16(data + 12, (uint16_t)p->vet);
        st_be16(data + 14, p->tag);
        if (header[0] & NEEDS_CSUM)
            st_le16(header + 6, (uint16_t)(ld_le16(header + 6) + 4));
        if (header[1])
            st_le16(header + 2, (uint16_t)(ld_le16(header + 2) + 4));
    }
    if (len < MIN_FRAME && p->tctl & TCTL_PSP) {
        memset(data + len, 0, MIN_FRAME - len);
        len = MIN_FRAME;
    }
    p->frames++;
    p->bytes += len + FCS;
    if (p->loop) {
        e1000e_receive_own(n, data, len);
        return true;
    }
    if (!n->backend || !p->link)
        return true;
    struct iovec iov[2] = {{header, E1000E_HEADER}, {data, len}};
    return give(n, p, n->header ? iov : iov + 1, n->header ? 2 : 1);
}

/* Whether the back end can be asked for it. */
static bool offloads(const E1000e *n, const Packet *p, unsigned what)
{
    const E1000eContext *c = &p->context;
    return n->header && (net_features(n->backend) & what) == what && !p->loop &&
           p->tu && !c->tu_end && c->tu_at > c->tu_start && c->tu_at + 2u <= p->length;
}

static void ask_sum(const E1000eContext *c, uint8_t *header)
{
    header[0] = NEEDS_CSUM;
    st_le16(header + 6, c->tu_start);
    st_le16(header + 8, (uint16_t)(c->tu_at - c->tu_start));
}

/* A large segment for the back end to cut: lengths and sums as they would be without a cut. */
static bool send_large(E1000e *n, Packet *p)
{
    const E1000eContext *c = &p->context;
    uint8_t header[E1000E_HEADER] = {0}, *d = p->data, *ip = d + c->ip_start;
    if (c->ipv4) {
        st_be16(ip + 2, (uint16_t)(p->length - c->ip_start));
        e1000e_sum_put(d, p->length, c->ip_start, c->ip_at, c->ip_end, false);
    } else {
        st_be16(ip + 4, (uint16_t)(p->length - c->ip_start - 40));
    }
    st_be16(d + c->tu_at, e1000e_sum_add(ld_be16(d + c->tu_at),
                                         (uint16_t)(p->length - c->tu_start)));
    ask_sum(c, header);
    header[1] = c->ipv4 ? GSO_TCPV4 : GSO_TCPV6;
    st_le16(header + 2, c->header);
    st_le16(header + 4, c->mss);
    size_t segments = (p->length - c->header + c->mss - 1) / c->mss;
    bool sent = send_frame(n, p, d, p->length, header);
    p->frames = (uint32_t)segments;
    p->bytes += (segments - 1) * (c->header + (size_t)FCS);
    return sent;
}

static bool send_segments(E1000e *n, Packet *p)
{
    const E1000eContext *c = &p->context;
    unsigned what = NET_CSUM | (c->ipv4 ? NET_TSO4 : NET_TSO6);
    size_t need = c->ip_start + (c->ipv4 ? 20u : 40u);
    if (!c->mss || !c->header || c->header >= p->length)
        return true; /* there is nothing that could be sent */
    bool plain = c->tcp && need <= c->tu_start && c->tu_start + 20u <= c->header &&
                 p->length - c->ip_start <= 65535 && c->ip_at + 2u <= c->header;
    if (plain && p->length - c->header > c->mss && (p->ip || !c->ipv4) && offloads(n, p, what))
        return send_large(n, p);
    uint8_t *out = n->cut_buf + E1000E_LEAD;
    unsigned number = 0;
    for (size_t at = 0; at < p->length - c->header; at += c->mss) {
        uint8_t header[E1000E_HEADER] = {0};
        size_t len = e1000e_segment(c, p->data, p->length, at, number++, p->ip, p->tu, out);
        if (len && !send_frame(n, p, out, len, header))
            return false;
    }
    return true;
}

/* False: it was given up for a pause. */
static bool send_packet(E1000e *n, Packet *p)
{
    const E1000eContext *c = &p->context;
    uint8_t header[E1000E_HEADER] = {0};
    if (p->too_long || !p->length)
        return true;
    memcpy(p->to, p->data, sizeof p->to);
    if (p->segment && c->segment)
        return send_segments(n, p);
    if (p->ip)
        e1000e_sum_put(p->data, p->length, c->ip_start, c->ip_at, c->ip_end, false);
    if (p->tu && offloads(n, p, NET_CSUM))
        ask_sum(c, header);
    else if (p->tu)
        e1000e_sum_put(p->data, p->length, c->tu_start, c->tu_at, c->tu_end, !c->tcp);
    if (p->legacy_sum)
        e1000e_sum_put(p->data, p->length, p->css, p->cso, 0, false);
    return send_frame(n, p, p->data, p->length, header);
}

/* ---- Done with it ------------------------------------------------------------------------------ */

/* Reports the descriptors from the head on that ask for it. */
static bool report(E1000e *n, const Ring *r, uint32_t next)
{
    bool any = false;
    for (uint32_t i = r->head; i != next; i = (i + 1) % r->count) {
        uint64_t addr = r->base + (uint64_t)i * ENTRY;
        uint8_t *d = e1000e_map(n, addr, ENTRY, true);
        if (!d || !(d[11] & CMD_RS))
            continue;
        __atomic_store_n(d + 12, (uint8_t)(d[12] | DD), __ATOMIC_RELEASE);
        bus_dma_unmap(n->dev.env.space, addr + 12, 1);
        any = true;
    }
    return any;
}

static void count_packet(E1000e *n, const Packet *p)
{
    static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    if (!p->frames)
        return;
    e1000e_count(n, S_TPT, p->frames);
    e1000e_count(n, S_GPTC, p->frames);
    e1000e_count_wide(n, S_TOT, (uint32_t)p->bytes);
    e1000e_count_wide(n, S_GOTC, (uint32_t)p->bytes);
    if (p->segment)
        e1000e_count(n, S_TSCTC, 1);
    else
        e1000e_count_size(n, S_PTC64, p->bytes);
    if (p->to[0] & 1)
        e1000e_count(n, memcmp(p->to, broadcast, 6) ? S_MPTC : S_BPTC, p->frames);
    if (p->stamp && e1000e_get(n, R_TSYNCTXCTL) & 0x10 && !(e1000e_get(n, R_TSYNCTXCTL) & 1)) {
        n->time_stamp_tx = e1000e_time(n);
        *e1000e_reg(n, R_TSYNCTXCTL) |= 1;
    }
}

/* ---- The thread ------------------------------------------------------------------------------------ */

/* False: there is nothing to send. Under the lock. */
static bool ring_get(const E1000e *n, unsigned queue, Ring *r)
{
    unsigned regs = R_TX + R_NEXT_RING * queue;
    *r = (Ring){.queue = queue, .regs = regs};
    r->base = e1000e_get(n, regs) | (uint64_t)e1000e_get(n, regs + RING_HIGH) << 32;
    r->count = e1000e_get(n, regs + RING_LEN) / ENTRY;
    r->head = e1000e_get(n, regs + RING_HEAD);
    r->tail = e1000e_get(n, regs + RING_TAIL);
    return e1000e_get(n, R_TCTL) & TCTL_EN && !n->paused && !n->end &&
           pci_bus_master(&n->pci.fn) && r->head < r->count &&
           r->tail < r->count && r->head != r->tail;
}

typedef enum { SERVED, INCOMPLETE, GIVEN_UP } Served;

/* One packet or context. Under the lock, which it lets go of. */
static Served serve_one(E1000e *n, const Ring *r, bool *reported)
{
    Packet p = {.data = n->tx_buf + E1000E_LEAD, .pauses = n->pauses};
    memcpy(p.raw, n->contexts[r->queue], sizeof p.raw);
    context_get(p.raw, &p.context);
    p.tctl = e1000e_get(n, R_TCTL);
    p.ctrl = e1000e_get(n, R_CTRL);
    p.vet = e1000e_get(n, R_VET);
    p.loop = e1000e_loopback(n);
    p.link = e1000e_get(n, R_STATUS) & STATUS_LU;
    e1000e_unlock(n);
    Taken taken = take(n, r, &p);
    bool sent = taken != PACKET || send_packet(n, &p);
    e1000e_lock(n);
    if (!sent)
        return GIVEN_UP;
    if (taken == NOTHING)
        return INCOMPLETE;
    *reported |= report(n, r, p.next);
    *e1000e_reg(n, r->regs + RING_HEAD) = p.next;
    memcpy(n->contexts[r->queue], p.raw, sizeof p.raw);
    count_packet(n, &p);
    return SERVED;
}

/* False: given up for a pause; the card is not the thread's any more. */
static bool serve_queue(E1000e *n, unsigned queue)
{
    Ring r;
    for (unsigned i = 1; ring_get(n, queue, &r); i++) {
        bool reported = false;
        Served served = serve_one(n, &r, &reported);
        if (served == GIVEN_UP)
            return false;
        if (served == INCOMPLETE)
            break;
        n->tx_causes |= reported ? INT_TXDW | (uint32_t)INT_TXQ0 << queue : 0;
        bool empty = e1000e_get(n, r.regs + RING_HEAD) == e1000e_get(n, r.regs + RING_TAIL);
        n->tx_causes |= empty ? INT_TXQE : 0;
        if (empty || i % BATCH == 0)
            tell(n);
    }
    tell(n);
    return true;
}

static void *serve(void *opaque)
{
    E1000e *n = opaque;
    pthread_mutex_lock(&n->lock);
    while (!n->end) {
        if (!n->work || n->paused) {
            pthread_cond_wait(&n->wake, &n->lock);
            continue;
        }
        n->work = false;
        n->busy = true;
        pthread_mutex_unlock(&n->lock);
        e1000e_lock(n);
        if (serve_queue(n, 0) && serve_queue(n, 1))
            n->busy = false;
        e1000e_unlock(n);
        pthread_mutex_lock(&n->lock);
        pthread_cond_broadcast(&n->rest);
    }
    pthread_mutex_unlock(&n->lock);
    return NULL;
}

void e1000e_tx_wake(E1000e *n)
{
    n->work = true;
    pthread_cond_signal(&n->wake);
}

void e1000e_room(void *opaque)
{
    E1000e *n = opaque;
    pthread_mutex_lock(&n->lock);
    __atomic_store_n(&n->room, true, __ATOMIC_SEQ_CST);
    pthread_cond_signal(&n->wake);
    pthread_mutex_unlock(&n->lock);
}

void e1000e_pause(E1000e *n)
{
    pthread_mutex_lock(&n->lock);
    n->paused++;
    n->pauses++;
    pthread_cond_signal(&n->wake);
    while (n->busy)
        pthread_cond_wait(&n->rest, &n->lock);
    pthread_mutex_unlock(&n->lock);
}

void e1000e_resume(E1000e *n)
{
    Ring r;
    pthread_mutex_lock(&n->lock);
    n->paused--;
    /* After a reset it sleeps on: saved state may be loaded next. */
    n->work = ring_get(n, 0, &r) || ring_get(n, 1, &r);
    if (n->work)
        e1000e_tx_wake(n);
    pthread_mutex_unlock(&n->lock);
}

bool e1000e_thread_start(E1000e *n, GError **error)
{
    pthread_mutex_init(&n->lock, NULL);
    pthread_cond_init(&n->wake, NULL);
    pthread_cond_init(&n->rest, NULL);
    n->tx_buf = g_malloc(E1000E_LEAD + E1000E_FRAME_MAX + MIN_FRAME);
    n->cut_buf = g_malloc(E1000E_LEAD + E1000E_FRAME_MAX + MIN_FRAME);
    n->rx_buf = g_malloc(E1000E_FRAME_MAX + MIN_FRAME + FCS);
    int ret = thread_start(&n->thread, "e1000e", serve, n);
    n->has_thread = !ret;
    if (ret)
        return fail_errno(error, ret, "cannot make a thread");
    return true;
}

void e1000e_thread_end(E1000e *n)
{
    if (n->has_thread) {
        e1000e_pause(n);
        pthread_mutex_lock(&n->lock);
        n->end = true;
        pthread_cond_signal(&n->wake);
        pthread_mutex_unlock(&n->lock);
        pthread_join(n->thread, NULL);
    }
    if (n->tx_buf) {
        pthread_mutex_destroy(&n->lock);
        pthread_cond_destroy(&n->wake);
        pthread_cond_destroy(&n->rest);
    }
    g_free(n->tx_buf);
    g_free(n->cut_buf);
    g_free(n->rx_buf);
}
