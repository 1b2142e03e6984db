/* SPDX-License-Identifier: MIT */
/*
 * Offloads of virtio-net (Virtio 1.2, 5.1.6) done here, for back ends whose other end knows no
 * header: checksums that the guest left unfinished, and TCP segments joined to a large one, which
 * costs a guest as much as a small one; and large ones cut. Segments are joined as GRO does it: in order, of one
 * size but for the last, with the same acknowledgement; the header has what is needed to take the
 * packet apart again.
 */
#include "base/bytes.h"
#include "net/net_priv.h"

#include <string.h>

enum { NEEDS_CSUM = 1, DATA_VALID = 2, GSO_TCPV4 = 1, GSO_TCPV6 = 4 };
enum { ETHER = 14, IPV4 = 20, IPV6 = 40, TCP = 20, TCP_CHECKSUM = 16, PROTOCOL_TCP = 6 };
enum { TCP_FIN = 1, TCP_PSH = 8, TCP_ACK = 16, TCP_CWR = 128, GSO_ECN = 128 };
#define IP_LENGTH_MAX 65535

/* The sum of 16-bit words in any byte order that is the same for all; not folded. */
static uint64_t sum_of(const uint8_t *p, size_t length, uint64_t sum)
{
    for (; length >= 4; p += 4, length -= 4) {
        uint32_t word;
        memcpy(&word, p, sizeof word);
        sum += word;
    }
    uint8_t rest[4] = { 0 };
    uint32_t word;
    memcpy(rest, p, length);
    memcpy(&word, rest, sizeof word);
    return sum + word;
}

/* As it is stored: in memory order. */
static uint16_t fold(uint64_t sum)
{
    sum = (sum >> 32) + (sum & UINT32_MAX);
    sum = (sum >> 32) + (sum & UINT32_MAX);
    sum = (sum >> 16) + (sum & UINT16_MAX);
    sum = (sum >> 16) + (sum & UINT16_MAX);
    sum = (sum >> 16) + (sum & UINT16_MAX);
    return (uint16_t)sum;
}

bool net_checksum_finish(const uint8_t *header, uint8_t *packet, size_t length)
{
    size_t start = ld_le16(header + 6), at = start + ld_le16(header + 8);
    if (!(header[0] & NEEDS_CSUM))
        return true;
    if (start > length || length < 2 || at > length - 2)
        return false;
    uint16_t sum = (uint16_t)~fold(sum_of(packet + start, length - start, 0));
    if (!sum)
        sum = UINT16_MAX; /* 0 means none in UDP, and is the same elsewhere */
    memcpy(packet + at, &sum, sizeof sum);
    return true;
}

/* ---- Cutting ----------------------------------------------------------------------- */

bool net_is_large6(const uint8_t *header)
{
    return (header[1] & ~GSO_ECN) == GSO_TCPV6;
}

/* The sum of what stands for the IP header in a TCP checksum; ip is that header. */
static uint64_t pseudo_sum(const uint8_t *ip, bool ipv6, size_t tcp_length)
{
    uint8_t pseudo[4] = { 0, PROTOCOL_TCP, 0, 0 };
    st_be16(pseudo + 2, (uint16_t)tcp_length);
    return sum_of(ip + (ipv6 ? 8 : 12), ipv6 ? 32 : 8, sum_of(pseudo, sizeof pseudo, 0));
}

bool net_cut(const uint8_t *header, const uint8_t *packet, size_t length,
             void (*each)(void *opaque, const uint8_t *packet, size_t length), void *opaque)
{
    size_t size = ld_le16(header + 4), tcp = ld_le16(header + 6);
    if (!(header[0] & NEEDS_CSUM) || !size || tcp < ETHER + IPV6 || tcp + TCP > length ||
        ld_be16(packet + 12) != 0x86dd)
        return false;
    size_t data = tcp + 4u * (packet[tcp + 12] >> 4), room = data + MIN(size, length);
    if (data < tcp + TCP || data >= length)
        return false;
    g_autofree uint8_t *cut = g_malloc(room);
    memcpy(cut, packet, data);
    for (size_t at = data; at < length; at += size) {
        size_t n = MIN(size, length - at);
        bool last = at + n == length;
        memcpy(cut + data, packet + at, n);
        st_be16(cut + ETHER + 4, (uint16_t)(data + n - ETHER - IPV6));
        st_be32(cut + tcp + 4, ld_be32(packet + tcp + 4) + (uint32_t)(at - data));
        cut[tcp + 13] = (uint8_t)(packet[tcp + 13] & ~(last ? 0 : TCP_FIN | TCP_PSH) &
                                  ~(at == data ? 0 : TCP_CWR));
        memset(cut + tcp + TCP_CHECKSUM, 0, 2);
        size_t tcp_length = data + n - tcp;
        uint16_t sum = (uint16_t)~fold(sum_of(cut + tcp, tcp_length,
                                              pseudo_sum(cut + ETHER, true, tcp_length)));
        memcpy(cut + tcp + TCP_CHECKSUM, &sum, sizeof sum);
        each(opaque, cut, data + n);
    }
    return true;
}

/* ---- Joining ----------------------------------------------------------------------- */

/* Where things are in a TCP segment with data; false if it is anything else. */
static bool parse(const uint8_t *p, size_t length, NetSegment *s)
{
    if (length < ETHER + IPV4 + TCP)
        return false;
    s->ipv6 = ld_be16(p + 12) == 0x86dd;
    if (!s->ipv6 && ld_be16(p + 12) != 0x0800)
        return false;
    s->tcp = (size_t)ETHER + (s->ipv6 ? IPV6 : IPV4);
    if (length < s->tcp + TCP)
        return false;
    const uint8_t *ip = p + ETHER, *tcp = p + s->tcp;
    bool plain = s->ipv6 ? ip[6] == PROTOCOL_TCP
                         : ip[0] == 0x45 && ip[9] == PROTOCOL_TCP && !(ld_be16(ip + 6) & 0x3fff);
    size_t end = (size_t)ETHER + (s->ipv6 ? IPV6 + ld_be16(ip + 4) : ld_be16(ip + 2));
    s->data = s->tcp + 4u * (tcp[12] >> 4);
    s->length = end;
    return plain && (tcp[13] & ~TCP_PSH) == TCP_ACK && s->data >= s->tcp + TCP && end <= length &&
           s->data < end;
}

void net_merge_init(NetMerge *m)
{
    *m = (NetMerge){ .buf = g_malloc(NET_HEADER_MAX + ETHER + IP_LENGTH_MAX + IPV6) };
    m->packet = m->buf + NET_HEADER_MAX;
}

void net_merge_clear(NetMerge *m)
{
    g_free(m->buf);
}

bool net_merge_begin(NetMerge *m, const uint8_t *packet, size_t length, unsigned features)
{
    NetSegment s;
    if (!parse(packet, length, &s) || !(features & (s.ipv6 ? NET_TSO6 : NET_TSO4)))
        return false;
    m->at = s;
    m->size = s.length - s.data;
    m->count = 1;
    m->next = ld_be32(packet + s.tcp + 4) + (uint32_t)m->size;
    m->open = true;
    memcpy(m->packet, packet, s.length);
    return true;
}

bool net_merge_add(NetMerge *m, const uint8_t *packet, size_t length)
{
    NetSegment s;
    if (!m->count || !m->open || !parse(packet, length, &s) || s.data != m->at.data ||
        s.ipv6 != m->at.ipv6)
        return false;
    size_t size = s.length - s.data, addresses = s.ipv6 ? 8 : 12;
    const uint8_t *old = m->packet + s.tcp, *tcp = packet + s.tcp;
    if (size > m->size || m->at.length + size > ETHER + IP_LENGTH_MAX ||
        ld_be32(tcp + 4) != m->next || memcmp(packet, m->packet, ETHER) ||
        memcmp(packet + ETHER + addresses, m->packet + ETHER + addresses,
               s.tcp + 4 - ETHER - addresses) ||
        memcmp(tcp + 8, old + 8, 4) || memcmp(tcp + TCP, old + TCP, s.data - s.tcp - TCP))
        return false;
    memcpy(m->packet + m->at.length, packet + s.data, size);
    m->at.length += size;
    m->next += (uint32_t)size;
    m->count++;
    m->open = size == m->size; /* a shorter one is the last */
    m->packet[s.tcp + 13] |= tcp[13];
    memcpy(m->packet + s.tcp + 14, tcp + 14, 2); /* the newest window */
    return true;
}

/* The sum of the pseudo header goes where the checksum will be. */
static void set_large_header(NetMerge *m, uint8_t *header)
{
    const NetSegment *s = &m->at;
    uint8_t *ip = m->packet + ETHER, *tcp = m->packet + s->tcp;
    size_t tcp_length = s->length - s->tcp;
    if (s->ipv6) {
        st_be16(ip + 4, (uint16_t)tcp_length);
    } else {
        st_be16(ip + 2, (uint16_t)(s->length - ETHER));
        memset(ip + 10, 0, 2);
        uint16_t check = (uint16_t)~fold(sum_of(ip, IPV4, 0));
        memcpy(ip + 10, &check, sizeof check);
    }
    uint16_t partial = fold(pseudo_sum(ip, s->ipv6, tcp_length));
    memcpy(tcp + TCP_CHECKSUM, &partial, sizeof partial);
    header[0] = NEEDS_CSUM;
    header[1] = s->ipv6 ? GSO_TCPV6 : GSO_TCPV4;
    st_le16(header + 2, (uint16_t)s->data);
    st_le16(header + 4, (uint16_t)m->size);
    st_le16(header + 6, (uint16_t)s->tcp);
    st_le16(header + 8, TCP_CHECKSUM);
}

const uint8_t *net_merge_end(NetMerge *m, size_t header_length, size_t *length)
{
    uint8_t *header = m->packet - header_length;
    memset(header, 0, header_length);
    header[0] = DATA_VALID;
    if (m->count > 1)
        set_large_header(m, header);
    m->count = 0;
    *length = header_length + m->at.length;
    return header;
}

void net_header_checked(uint8_t *header, size_t header_length)
{
    memset(header, 0, header_length);
    header[0] = DATA_VALID;
}
