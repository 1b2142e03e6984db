/* SPDX-License-Identifier: MIT */
/*
 * What arrives [7.1]: filters, checksums, VLAN tags, and descriptors: legacy, extended, and extended ones
 * with headers split from the rest. On any thread, under the card's lock. A packet that finds too few
 * descriptors takes none; the back end keeps it, and offers it again when the tail moves. Interrupts
 * are not delayed (RDTR, RADV). Left out: stamps of received packets, flow control, iSCSI and NFS headers.
 */
#include "devices/net/e1000e_priv.h"

#include "base/bytes.h"

#include <string.h>

enum {
    MIN_FRAME = 60, /* without FCS */
    FCS = 4,
    MAX_FRAME = 1522, /* with it, and a VLAN tag */
    MAX_JUMBO = 16384,
    PS_BUFFERS = 4,
};

/* Bits of a descriptor's status; of its errors as an extended one has them, legacy: 24 lower. */
enum {
    ST_DD = 1 << 0, ST_EOP = 1 << 1, ST_IXSM = 1 << 2, ST_VP = 1 << 3, ST_UDPCS = 1 << 4,
    ST_TCPCS = 1 << 5, ST_IPCS = 1 << 6, ST_PIF = 1 << 7, ST_ERRORS = 24,
    ERR_L4 = 1 << 29, ERR_IP = 1 << 30, SPLIT = 1 << 15,
};
/* A virtio-net header's flags. */
enum { NEEDS_CSUM = 1, DATA_VALID = 2 };

/* A packet on its way in. */
typedef struct {
    const uint8_t *data;
    size_t length;  /* as it is stored */
    size_t counted; /* on the wire, with FCS */
    size_t head;    /* its headers', 0: not known */
    uint32_t status, errors, word0, word1; /* of an extended descriptor */
    uint16_t vlan, sum;
    unsigned queue;
} Packet;

/* A ring as its registers have it. */
typedef struct {
    unsigned regs; /* offset */
    uint64_t base;
    uint32_t count, head, entry; /* entry: bytes of a descriptor */
    uint32_t units;              /* head and tail registers count 16 bytes, whatever its size */
    uint32_t sizes[PS_BUFFERS];  /* of buffers */
    bool split, extended;
} Ring;

/* ---- The ring ------------------------------------------------------------------------- */

static uint32_t buffer_size(uint32_t rctl)
{
    uint32_t flexible = rctl >> 27 & 15, code = rctl >> 16 & 3;
    if (flexible)
        return flexible * 1024;
    return rctl & RCTL_BSEX && code ? 32768u >> code : 2048u >> code;
}

static void ring_get(const E1000e *n, unsigned queue, Ring *r)
{
    uint32_t rctl = e1000e_get(n, R_RCTL), ps = e1000e_get(n, R_PSRCTL);
    unsigned regs = R_RX + R_NEXT_RING * queue;
    *r = (Ring){.regs = regs};
    r->extended = e1000e_get(n, R_RFCTL) & RFCTL_EXSTEN;
    r->split = r->extended && rctl & RCTL_DTYP_PS;
    r->entry = r->split ? 32 : 16;
    r->base = e1000e_get(n, regs) | (uint64_t)e1000e_get(n, regs + RING_HIGH) << 32;
    r->count = e1000e_get(n, regs + RING_LEN) / r->entry;
    r->units = r->entry / 16;
    r->head = e1000e_get(n, regs + RING_HEAD) / r->units;
    r->sizes[0] = r->split ? (ps & 0x7f) * 128 : buffer_size(rctl);
    for (unsigned i = 1; r->split && i < PS_BUFFERS; i++)
        r->sizes[i] = (ps >> 8 * i & 0x3f) * 1024;
}

/* Descriptors that are the card's. */
static uint32_t available(const E1000e *n, const Ring *r)
{
    uint32_t tail = e1000e_get(n, r->regs + RING_TAIL) / r->units;
    if (!r->count || r->head >= r->count || tail >= r->count)
        return 0;
    return (tail + r->count - r->head) % r->count;
}

/* How many a packet takes; 0: there is no room in any. Only the first of several holds headers. */
static uint32_t needed(const Ring *r, const Packet *p)
{
    size_t pages = (size_t)r->sizes[1] + r->sizes[2] + r->sizes[3];
    if (!r->split || !pages)
        return r->sizes[0] ? (uint32_t)((p->length + r->sizes[0] - 1) / r->sizes[0]) : 0;
    size_t first = (p->head && p->head <= r->sizes[0] ? p->head : r->sizes[0]) + pages;
    return p->length <= first ? 1 : 1 + (uint32_t)((p->length - first + pages - 1) / pages);
}

static void write_guest(E1000e *n, uint64_t addr, const uint8_t *data, size_t len)
{
    while (len) {
        uint64_t got = len;
        uint8_t *to = bus_dma_map(n->dev.env.space, addr, &got, true);
        if (!to)
            return; /* nobody listens there */
        memcpy(to, data, got);
        bus_dma_unmap(n->dev.env.space, addr, got);
        addr += got;
        data += got;
        len -= got;
    }
}

/* ---- Descriptors ------------------------------------------------------------------------ */

/* The word with DD goes last. */
static void finish(E1000e *n, uint64_t addr, uint8_t *desc, uint32_t size, const uint8_t *out,
                   unsigned status_at)
{
    memcpy(desc, out, status_at);
    memcpy(desc + status_at + 4, out + status_at + 4, size - status_at - 4);
    uint32_t word;
    memcpy(&word, out + status_at, sizeof word);
    if ((uintptr_t)desc & 3)
        memcpy(desc + status_at, &word, sizeof word);
    else
        __atomic_store_n((uint32_t *)(void *)(desc + status_at), word, __ATOMIC_RELEASE);
    bus_dma_unmap(n->dev.env.space, addr, size);
}

static size_t put_legacy(E1000e *n, const Ring *r, const Packet *p, size_t at, const uint8_t *desc,
                         uint8_t *out)
{
    size_t len = MIN(r->sizes[0], p->length - at);
    bool last = at + len == p->length;
    write_guest(n, ld_le64(desc), p->data + at, len);
    memcpy(out, desc, 8);
    st_le16(out + 8, (uint16_t)len);
    st_le16(out + 10, p->sum);
    out[12] = (uint8_t)(ST_DD | (last ? p->status | ST_EOP : 0));
    out[13] = (uint8_t)(last ? p->errors >> ST_ERRORS : 0);
    st_le16(out + 14, last ? p->vlan : 0);
    return len;
}

static void put_words(const Packet *p, bool last, uint8_t *out)
{
    st_le32(out, p->word0);
    st_le32(out + 4, p->word1);
    st_le32(out + 8, ST_DD | (last ? p->status | p->errors | ST_EOP : 0));
    st_le16(out + 14, last ? p->vlan : 0);
}

static size_t put_extended(E1000e *n, const Ring *r, const Packet *p, size_t at,
                           const uint8_t *desc, uint8_t *out)
{
    size_t len = MIN(r->sizes[0], p->length - at);
    write_guest(n, ld_le64(desc), p->data + at, len);
    put_words(p, at + len == p->length, out);
    st_le16(out + 12, (uint16_t)len);
    return len;
}

/* Headers go to buffer 0 if they fit it, else it is filled like the others. */
static size_t put_split(E1000e *n, const Ring *r, const Packet *p, size_t at, const uint8_t *desc,
                        uint8_t *out)
{
    bool split = p->head && p->head <= r->sizes[0], pages = r->sizes[1] || r->sizes[2] || r->sizes[3];
    uint16_t lengths[PS_BUFFERS];
    size_t done = 0;
    for (unsigned i = 0; i < PS_BUFFERS; i++) {
        size_t room = i ? r->sizes[i] : !pages || !at ? r->sizes[0] : 0;
        if (!i && !at && split && pages)
            room = p->head;
        size_t len = MIN(room, p->length - at - done);
        write_guest(n, ld_le64(desc + 8 * i), p->data + at + done, len);
        lengths[i] = (uint16_t)len;
        done += len;
    }
    put_words(p, at + done == p->length, out);
    st_le16(out + 12, lengths[0]);
    st_le16(out + 16, (uint16_t)(!at && split ? SPLIT | (unsigned)p->head : 0));
    for (unsigned i = 1; i < PS_BUFFERS; i++)
        st_le16(out + 16 + 2 * i, lengths[i]);
    return done;
}

/* False: the ring is not in RAM. */
static bool put_packet(E1000e *n, Ring *r, const Packet *p)
{
    size_t at = 0;
    while (at < p->length) {
        uint8_t in[32], out[32] = {0};
        uint64_t addr = r->base + (uint64_t)r->head * r->entry;
        uint8_t *desc = e1000e_map(n, addr, r->entry, true);
        if (!desc)
            return false;
        memcpy(in, desc, r->entry);
        size_t done = (r->split ? put_split : r->extended ? put_extended : put_legacy)(n, r, p, at,
                                                                                      in, out);
        if (!done)
            return false;
        finish(n, addr, desc, r->entry, out, r->extended ? 8 : 12);
        at += done;
        r->head = (r->head + 1) % r->count;
        *e1000e_reg(n, r->regs + RING_HEAD) = r->head * r->units;
    }
    return true;
}

/* ---- What is told of a packet ------------------------------------------------------------- */

static void check_sums(const E1000e *n, Packet *p, const E1000eHeaders *h, bool valid)
{
    uint32_t rxcsum = e1000e_get(n, R_RXCSUM);
    if (rxcsum & RXCSUM_IPOFL && h->ip && !h->ipv6) {
        size_t len = 4u * (p->data[h->ip] & 15u);
        bool good = e1000e_sum(p->data + h->ip, len) == UINT16_MAX;
        p->status |= ST_IPCS;
        p->errors |= good ? 0 : ERR_IP;
    }
    bool none = h->protocol == 17 && h->l4 && !ld_be16(p->data + h->l4 + 6);
    if (rxcsum & RXCSUM_TUOFL && h->l4 && !none) {
        p->status |= h->protocol == 6 ? ST_TCPCS : ST_UDPCS;
        p->errors |= valid || e1000e_l4_good(p->data, h) ? 0 : ERR_L4;
    }
    if (!(p->status & (ST_IPCS | ST_TCPCS | ST_UDPCS)))
        p->status |= ST_IXSM;
}

/* The hash, or the packet's sum and the IP header's id, and the queue. */
static void describe(const E1000e *n, Packet *p, const E1000eHeaders *h)
{
    uint32_t hash, rxcsum = e1000e_get(n, R_RXCSUM);
    unsigned kind = e1000e_rss(n, p->data, h, &hash, &p->queue);
    if (rxcsum & RXCSUM_PCSD) {
        p->word0 = kind | p->queue << 8;
        p->word1 = hash;
        return;
    }
    size_t start = rxcsum & 0xff;
    p->sum = start < p->length ? e1000e_sum(p->data + start, p->length - start) : 0;
    p->word0 = p->queue << 8;
    p->word1 = (h->ip && !h->ipv6 ? ld_be16(p->data + h->ip + 4) : 0) | (uint32_t)p->sum << 16;
}

/* A copy that may be changed. */
static uint8_t *own(E1000e *n, Packet *p)
{
    if (p->data != n->rx_buf)
        memcpy(n->rx_buf, p->data, p->length);
    p->data = n->rx_buf;
    return n->rx_buf;
}

static void strip(E1000e *n, Packet *p, E1000eHeaders *h)
{
    if (!(e1000e_get(n, R_CTRL) & CTRL_VME) || p->length < 18 ||
        ld_be16(p->data + 12) != e1000e_get(n, R_VET))
        return;
    uint8_t *data = own(n, p);
    p->vlan = ld_be16(data + 14);
    p->status |= ST_VP;
    memmove(data + 12, data + 16, p->length - 16);
    p->length -= 4;
    p->head -= p->head ? 4 : 0;
}

static void append_fcs(E1000e *n, Packet *p)
{
    if (e1000e_get(n, R_RCTL) & RCTL_SECRC)
        return;
    uint8_t *data = own(n, p);
    st_le32(data + p->length, e1000e_crc(data, p->length));
    p->length += FCS;
}

/* ---- Receiving --------------------------------------------------------------------------------- */

static void count_packet(E1000e *n, const uint8_t *to, size_t length)
{
    static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    e1000e_count(n, S_TPR, 1);
    e1000e_count(n, S_GPRC, 1);
    e1000e_count_wide(n, S_TOR, (uint32_t)length);
    e1000e_count_wide(n, S_GORC, (uint32_t)length);
    e1000e_count_size(n, S_PRC64, length);
    if (!memcmp(to, broadcast, 6))
        e1000e_count(n, S_BPRC, 1);
    else if (to[0] & 1)
        e1000e_count(n, S_MPRC, 1);
}

/* RDMTS: a half, a quarter or an eighth of the ring is left. */
static bool runs_low(const E1000e *n, const Ring *r, uint32_t before)
{
    uint32_t mark = r->count >> (1 + (e1000e_get(n, R_RCTL) >> 8 & 3));
    return before > mark && available(n, r) <= mark;
}

/* False: it is to come again. */
static bool deliver(E1000e *n, const Packet *p, bool wait)
{
    Ring r;
    ring_get(n, p->queue, &r);
    uint32_t have = available(n, &r), need = needed(&r, p);
    if (!need || need >= r.count) {
        e1000e_count(n, S_MPC, 1);
        return true;
    }
    if (have < need) {
        e1000e_count(n, S_RNBC, 1);
        n->starved = wait;
        return !wait;
    }
    uint32_t causes = p->queue ? INT_RXQ0 << 1 : INT_RXQ0;
    if (!put_packet(n, &r, p))
        return true;
    count_packet(n, p->data, p->counted);
    causes |= INT_RXT0 | (runs_low(n, &r, have) ? INT_RXDMT0 : 0);
    if (p->counted <= e1000e_get(n, R_RSRPD))
        causes |= INT_SRPD;
    e1000e_cause(n, causes);
    return true;
}

static bool too_long(E1000e *n, size_t length)
{
    bool jumbo = e1000e_get(n, R_RCTL) & RCTL_LPE;
    if (length + FCS <= (jumbo ? MAX_JUMBO : MAX_FRAME))
        return false;
    e1000e_count(n, S_ROC, 1);
    return true;
}

/* A header in front that may ask for a checksum, or say that it is right. */
static bool finish_sum(E1000e *n, Packet *p, const uint8_t *header, bool *valid)
{
    *valid = header[0] & DATA_VALID;
    if (!(header[0] & NEEDS_CSUM))
        return true;
    size_t start = ld_le16(header + 6);
    *valid = e1000e_sum_put(own(n, p), p->length, start, start + ld_le16(header + 8), 0, true);
    return *valid;
}

/* Under the lock; header: the back end's, or zeros. */
static bool receive(E1000e *n, const uint8_t *data, size_t length, const uint8_t *header, bool wait)
{
    Packet p = {.data = data, .length = length};
    E1000eHeaders h;
    bool exact, valid;
    bool on = e1000e_get(n, R_RCTL) & RCTL_EN && e1000e_get(n, R_STATUS) & STATUS_LU &&
              pci_bus_master(&n->pci.fn);
    if (!on || length < 14 || too_long(n, length))
        return true;
    if (!e1000e_wanted(n, data, length, &exact)) {
        e1000e_count(n, S_TPR, 1);
        return true;
    }
    if (!finish_sum(n, &p, header, &valid))
        return true;
    if (length < MIN_FRAME) {
        memset(own(n, &p) + length, 0, MIN_FRAME - length);
        p.length = MIN_FRAME;
    }
    p.counted = p.length + FCS;
    p.status = exact ? 0 : ST_PIF;
    e1000e_parse(p.data, p.length, &h);
    p.head = h.l4 ? h.data : 0;
    check_sums(n, &p, &h, valid);
    describe(n, &p, &h);
    strip(n, &p, &h);
    append_fcs(n, &p);
    return deliver(n, &p, wait);
}

/* The packet in one piece, its header apart; NULL: it is none. Under the lock. */
static const uint8_t *flatten(E1000e *n, const struct iovec *iov, unsigned count, uint8_t *header,
                              size_t *length)
{
    size_t skip = n->header ? E1000E_HEADER : 0, total = 0;
    if (count == 1 && iov->iov_len >= skip) {
        memcpy(header, iov->iov_base, skip);
        *length = iov->iov_len - skip;
        return (const uint8_t *)iov->iov_base + skip;
    }
    for (unsigned i = 0; i < count; i++) {
        const uint8_t *from = iov[i].iov_base;
        size_t len = iov[i].iov_len, head = MIN(skip, len);
        memcpy(header + (n->header ? E1000E_HEADER - skip : 0), from, head);
        skip -= head;
        len -= head;
        if (len > E1000E_FRAME_MAX - total)
            return NULL;
        memcpy(n->rx_buf + total, from + head, len);
        total += len;
    }
    *length = total;
    return skip ? NULL : n->rx_buf;
}

bool e1000e_receive(void *opaque, const struct iovec *iov, unsigned count)
{
    E1000e *n = opaque;
    uint8_t header[E1000E_HEADER] = {0};
    size_t length = 0;
    e1000e_lock(n);
    const uint8_t *data = flatten(n, iov, count, header, &length);
    bool taken = !data || e1000e_loopback(n) || receive(n, data, length, header, true);
    e1000e_unlock(n);
    return taken;
}

void e1000e_receive_own(E1000e *n, const uint8_t *packet, size_t length)
{
    static const uint8_t none[E1000E_HEADER];
    e1000e_lock(n);
    receive(n, packet, length, none, false);
    e1000e_unlock(n);
}

void e1000e_rx_again(E1000e *n)
{
    if (n->starved && n->backend)
        net_receive_again(n->backend);
    n->starved = false;
}
