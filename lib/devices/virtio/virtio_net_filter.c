/* SPDX-License-Identifier: MIT */
/*
 * Which packets a virtio-net card takes (Virtio 1.2, 5.1.6.5.1 to .3), and which of its queue pairs
 * they belong to: that which last sent of the same flow (5.1.6.5.6, automatic receive steering).
 */
#include "devices/virtio/virtio_net.h"

#include "base/bytes.h"

#include <string.h>

enum { ETHER = 14, ETHER_VLAN = 0x8100, ETHER_IPV4 = 0x0800, ETHER_IPV6 = 0x86dd };

void virtio_net_filter_reset(NetFilter *f, const uint8_t mac[6])
{
    *f = (NetFilter){.promisc = 1};
    memcpy(f->mac, mac, sizeof f->mac);
}

bool virtio_net_filter_valid(const NetFilter *f)
{
    return f->uni_count <= NET_FILTER_MACS && f->multi_count <= NET_FILTER_MACS - f->uni_count;
}

static bool listed(const NetFilter *f, uint32_t first, uint32_t count, const uint8_t *mac)
{
    for (uint32_t i = first; i < first + count; i++)
        if (!memcmp(f->macs + 6 * i, mac, 6))
            return true;
    return false;
}

bool virtio_net_filter_pass(const NetFilter *f, const uint8_t *head, size_t len)
{
    static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    if (len < ETHER)
        return false;
    if (f->promisc)
        return true;
    if (len >= ETHER + 4 && ld_be16(head + 12) == ETHER_VLAN) {
        unsigned vlan = ld_be16(head + 14) & 0xfff;
        if (!(f->vlans[vlan / 32] >> vlan % 32 & 1))
            return false;
    }
    if (!memcmp(head, broadcast, 6))
        return !f->no_broadcast;
    if (head[0] & 1)
        return !f->no_multi && (f->all_multi || f->multi_overflow ||
                                listed(f, f->uni_count, f->multi_count, head));
    return !f->no_uni && (f->all_uni || f->uni_overflow || !memcmp(head, f->mac, 6) ||
                          listed(f, 0, f->uni_count, head));
}

/* Both ends' words are joined so that their order does not matter. */
unsigned virtio_net_flow(const uint8_t *head, size_t len)
{
    size_t at = ETHER;
    uint32_t hash = 0;
    if (len < at + 4)
        return 0;
    unsigned type = ld_be16(head + 12);
    if (type == ETHER_VLAN) {
        type = ld_be16(head + 16);
        at += 4;
    }
    size_t ports = 0;
    uint8_t protocol = 0;
    if (type == ETHER_IPV4 && len >= at + 20) {
        hash = ld_be32(head + at + 12) ^ ld_be32(head + at + 16);
        protocol = head[at + 9];
        /* Fragments are told apart by their addresses alone. */
        ports = ld_be16(head + at + 6) & 0x3fff ? 0 : at + 4u * (head[at] & 15u);
    } else if (type == ETHER_IPV6 && len >= at + 40) {
        for (size_t i = 8; i < 40; i += 4)
            hash ^= ld_be32(head + at + i);
        protocol = head[at + 6];
        ports = at + 40;
    }
    if (ports && (protocol == 6 || protocol == 17) && len >= ports + 4)
        hash ^= (uint32_t)(ld_be16(head + ports) ^ ld_be16(head + ports + 2)) * 0x10001u;
    hash = (hash ^ protocol) * 0x9e3779b1u;
    return hash >> 22;
}
