/* SPDX-License-Identifier: MIT */
/*
 * What the card computes on packets: Internet checksums (RFC 1071), TCP and UDP segmentation [7.2.6],
 * the frame check sequence, the receive-side scaling hash [7.1.11]. Nothing here knows of the card.
 */
#include "devices/net/e1000e_priv.h"

#include "base/bytes.h"

#include <string.h>

enum { ETHER = 14, TCP = 6, UDP = 17, TCP_FIN_PSH = 9 };

/* ---- Checksums ------------------------------------------------------------------------ */

uint16_t e1000e_sum(const uint8_t *p, size_t len)
{
    uint64_t sum = 0, word;
    for (; len >= 8; p += 8, len -= 8) {
        memcpy(&word, p, sizeof word);
        sum += (word & UINT32_MAX) + (word >> 32);
    }
    word = 0;
    memcpy(&word, p, len);
    sum += (word & UINT32_MAX) + (word >> 32);
    sum = (sum & UINT32_MAX) + (sum >> 32);
    while (sum >> 16)
        sum = (sum & UINT16_MAX) + (sum >> 16);
    uint16_t folded = (uint16_t)sum; /* in the order of memory */
    return ld_be16(&folded);
}

uint16_t e1000e_sum_add(uint16_t a, uint16_t b)
{
    uint32_t sum = (uint32_t)a + b;
    return (uint16_t)(sum + (sum >> 16));
}

bool e1000e_sum_put(uint8_t *p, size_t len, size_t start, size_t at, size_t end, bool udp)
{
    size_t stop = end && end < len ? end + 1 : len;
    if (start >= stop || at + 2 > len)
        return false;
    uint16_t sum = (uint16_t)~e1000e_sum(p + start, stop - start);
    st_be16(p + at, udp && !sum ? UINT16_MAX : sum);
    return true;
}

/* The sum of what stands for the IP header. */
static uint16_t pseudo_sum(const uint8_t *ip, bool ipv6, uint8_t protocol, size_t length)
{
    uint16_t sum = ipv6 ? e1000e_sum(ip + 8, 32) : e1000e_sum(ip + 12, 8);
    return e1000e_sum_add(e1000e_sum_add(sum, protocol), (uint16_t)length);
}

bool e1000e_l4_good(const uint8_t *p, const E1000eHeaders *h)
{
    size_t length = h->end - h->l4;
    uint16_t sum = pseudo_sum(p + h->ip, h->ipv6, h->protocol, length);
    return e1000e_sum_add(sum, e1000e_sum(p + h->l4, length)) == UINT16_MAX;
}

/* ---- Headers ------------------------------------------------------------------------------ */

static void parse_l4(const uint8_t *p, size_t at, uint8_t protocol, E1000eHeaders *h)
{
    size_t size = protocol == TCP ? 20 : 8;
    if ((protocol != TCP && protocol != UDP) || h->fragment || at + size > h->end)
        return;
    if (protocol == TCP)
        size = 4u * (p[at + 12] >> 4);
    else if (ld_be16(p + at + 4) != h->end - at)
        return;
    if (size < 8 || (protocol == TCP && size < 20) || at + size > h->end)
        return;
    h->l4 = at;
    h->data = at + size;
    h->protocol = protocol;
}

/* Past options that come before the transport, a few of them. */
static void parse_ipv6(const uint8_t *p, size_t len, E1000eHeaders *h)
{
    size_t at = h->ip + 40;
    uint8_t next = p[h->ip + 6];
    for (unsigned i = 0; i < 8 && (next == 0 || next == 43 || next == 60) && at + 8 <= len; i++) {
        next = p[at];
        at += 8u * (p[at + 1] + 1u);
    }
    h->fragment = next == 44;
    if (at <= len)
        parse_l4(p, at, next, h);
}

void e1000e_parse(const uint8_t *p, size_t len, E1000eHeaders *h)
{
    *h = (E1000eHeaders){0};
    if (len < ETHER + 20)
        return;
    size_t ip = ETHER;
    unsigned type = ld_be16(p + 12);
    if (type == 0x8100) {
        type = ld_be16(p + 16);
        ip += 4;
    }
    size_t left = len - ip, header = 4u * (p[ip] & 15u);
    if (type == 0x0800 && left >= 20 && p[ip] >> 4 == 4 && header >= 20 && header <= left) {
        size_t total = ld_be16(p + ip + 2);
        if (total < header || total > left)
            return;
        h->ip = ip;
        h->end = ip + total;
        h->fragment = ld_be16(p + ip + 6) & 0x3fff;
        parse_l4(p, ip + header, p[ip + 9], h);
    } else if (type == 0x86dd && left >= 40 && p[ip] >> 4 == 6) {
        size_t total = 40u + ld_be16(p + ip + 4);
        if (total > left)
            return;
        h->ip = ip;
        h->end = ip + total;
        h->ipv6 = true;
        parse_ipv6(p, h->end, h);
    }
}

/* ---- Segments --------------------------------------------------------------------------------- */

static bool lengths_set(const E1000eContext *c, uint8_t *out, size_t size, unsigned number)
{
    size_t need = c->ip_start + (c->ipv4 ? 20u : 40u);
    size_t tu_need = c->tu_start + (c->tcp ? 14u : 6u);
    if (need > c->header || tu_need > c->header || size < need)
        return false;
    uint8_t *ip = out + c->ip_start;
    if (c->ipv4) {
        st_be16(ip + 2, (uint16_t)(size - c->ip_start));
        st_be16(ip + 4, (uint16_t)(ld_be16(ip + 4) + number));
    } else {
        st_be16(ip + 4, (uint16_t)(size - c->ip_start - 40));
    }
    if (!c->tcp)
        st_be16(out + c->tu_start + 4, (uint16_t)(size - c->tu_start));
    return true;
}

size_t e1000e_segment(const E1000eContext *c, const uint8_t *packet, size_t len, size_t offset,
                      unsigned number, bool ip, bool tu, uint8_t *out)
{
    if (!c->mss || !c->header || c->header + offset > len)
        return 0;
    size_t data = MIN(c->mss, len - c->header - offset), size = c->header + data;
    memcpy(out, packet, c->header);
    memcpy(out + c->header, packet + c->header + offset, data);
    if (!lengths_set(c, out, size, number))
        return 0;
    if (c->tcp) {
        uint8_t *tcp = out + c->tu_start;
        st_be32(tcp + 4, ld_be32(tcp + 4) + (uint32_t)offset);
        if (c->header + offset + data < len)
            tcp[13] &= (uint8_t)~TCP_FIN_PSH;
    }
    if (ip && !e1000e_sum_put(out, size, c->ip_start, c->ip_at, c->ip_end, false))
        return 0;
    if (!tu)
        return size;
    /* The driver's sum of the pseudo header is without the length. */
    if (c->tu_at + 2u > size)
        return 0;
    st_be16(out + c->tu_at, e1000e_sum_add(ld_be16(out + c->tu_at),
                                           (uint16_t)(size - c->tu_start)));
    return e1000e_sum_put(out, size, c->tu_start, c->tu_at, c->tu_end, !c->tcp) ? size : 0;
}

/* ---- Others --------------------------------------------------------------------------------------- */

uint32_t e1000e_crc(const uint8_t *p, size_t len)
{
    uint32_t nibbles[16], crc = UINT32_MAX;
    for (uint32_t i = 0; i < 16; i++) {
        nibbles[i] = i;
        for (unsigned bit = 0; bit < 4; bit++)
            nibbles[i] = nibbles[i] >> 1 ^ (nibbles[i] & 1 ? 0xedb88320u : 0);
    }
    for (size_t i = 0; i < len; i++) {
        crc ^= p[i];
        crc = crc >> 4 ^ nibbles[crc & 15];
        crc = crc >> 4 ^ nibbles[crc & 15];
    }
    return ~crc;
}

uint32_t e1000e_toeplitz(const uint8_t *key, const uint8_t *data, size_t len)
{
    uint32_t hash = 0, window = ld_be32(key);
    for (size_t i = 0; i < len; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            hash ^= data[i] << bit & 0x80 ? window : 0;
            window = window << 1 | (key[i + 4] << bit & 0x80) >> 7;
        }
    }
    return hash;
}
