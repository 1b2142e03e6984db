/* SPDX-License-Identifier: MIT */
/*
 * Which packets the card takes [7.1.1]: by its 16 addresses, the hash table of groups, VLANs and the
 * promiscuous modes; and which of its two queues they go to [7.1.11].
 */
#include "devices/net/e1000e_priv.h"

#include "base/bytes.h"

#include <string.h>

enum { ADDRESSES = 16 };

static bool address_match(const E1000e *n, const uint8_t *packet)
{
    for (unsigned i = 0; i < ADDRESSES; i++) {
        uint32_t low = e1000e_get(n, R_RAL + 8 * i), high = e1000e_get(n, R_RAL + 8 * i + 4);
        if (!(high >> 31))
            continue;
        const uint8_t *a = packet + ((high >> 16 & 3) == 1 ? 6 : 0); /* that of the sender */
        if (ld_le32(a) == low && ld_le16(a + 4) == (high & 0xffff))
            return true;
    }
    return false;
}

static bool group_match(const E1000e *n, const uint8_t *to)
{
    static const uint8_t shifts[4] = {4, 3, 2, 0};
    unsigned shift = shifts[e1000e_get(n, R_RCTL) >> 12 & 3];
    unsigned hash = (unsigned)ld_le16(to + 4) >> shift & 0xfff;
    return e1000e_get(n, R_MTA + 4 * (hash >> 5)) >> (hash & 31) & 1;
}

static bool vlan_match(const E1000e *n, const uint8_t *packet, size_t length)
{
    if (!(e1000e_get(n, R_RCTL) & RCTL_VFE) || length < 18 ||
        ld_be16(packet + 12) != e1000e_get(n, R_VET))
        return true;
    unsigned id = ld_be16(packet + 14) & 0xfff;
    return e1000e_get(n, R_VFTA + 4 * (id >> 5)) >> (id & 31) & 1;
}

bool e1000e_wanted(const E1000e *n, const uint8_t *packet, size_t length, bool *exact)
{
    static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    uint32_t rctl = e1000e_get(n, R_RCTL);
    *exact = false;
    if (!vlan_match(n, packet, length))
        return false;
    *exact = address_match(n, packet);
    if (*exact)
        return true;
    if (!(packet[0] & 1))
        return rctl & RCTL_UPE;
    if (!memcmp(packet, broadcast, 6) && rctl & RCTL_BAM) {
        *exact = true;
        return true;
    }
    return rctl & RCTL_MPE || group_match(n, packet);
}

unsigned e1000e_rss(const E1000e *n, const uint8_t *packet, const E1000eHeaders *h, uint32_t *hash,
                    unsigned *queue)
{
    enum { TCP4 = 1 << 16, IP4 = 1 << 17, IP6_EX = 1 << 19, IP6 = 1 << 20 };
    uint32_t mrqc = e1000e_get(n, R_MRQC);
    bool tcp = h->l4 && h->protocol == 6;
    uint32_t tcp6 = B(18) | B(21);
    uint8_t input[36], key[40];
    size_t addresses = h->ipv6 ? 32 : 8;
    unsigned kind = 0;
    *queue = 0;
    *hash = 0;
    if (!h->ip)
        return 0;
    if (h->ipv6)
        kind = tcp && mrqc & tcp6 ? 3 : mrqc & (IP6 | IP6_EX) ? 5 : 0;
    else
        kind = tcp && mrqc & TCP4 ? 1 : mrqc & IP4 ? 2 : 0;
    if (!kind)
        return 0;
    bool ports = kind == 1 || kind == 3;
    memcpy(input, packet + h->ip + (h->ipv6 ? 8 : 12), addresses);
    if (ports)
        memcpy(input + addresses, packet + h->l4, 4);
    for (unsigned i = 0; i < sizeof key; i += 4)
        st_le32(key + i, e1000e_get(n, R_RSSRK + i));
    *hash = e1000e_toeplitz(key, input, addresses + (ports ? 4 : 0));
    unsigned entry = *hash & 127;
    if ((mrqc & 3) == 1)
        *queue = e1000e_get(n, R_RETA + (entry & ~3u)) >> 8 * (entry & 3) >> 7 & 1;
    return kind;
}
