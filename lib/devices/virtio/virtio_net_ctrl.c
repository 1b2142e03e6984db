/* SPDX-License-Identifier: MIT */
/*
 * The control queue of a virtio-net card (Virtio 1.2, 5.1.6.5): what to receive, addresses, VLANs,
 * announcements, the number of queue pairs, offloads. A command that makes no sense is answered with
 * VIRTIO_NET_ERR and changes nothing. Left out: receive-side scaling, hash reports, coalescing.
 */
#include "devices/virtio/virtio_net.h"

#include "base/bytes.h"

#include <string.h>

enum { OK = 0, ERR = 1 };
enum {
    CLASS_RX = 0,
    CLASS_MAC = 1,
    CLASS_VLAN = 2,
    CLASS_ANNOUNCE = 3,
    CLASS_MQ = 4,
    CLASS_GUEST_OFFLOADS = 5,
};
enum { MAC_TABLE_SET = 0, MAC_ADDR_SET = 1, VLAN_ADD = 0, VLAN_DEL = 1 };

/* ---- Commands: under lock, but for offloads; the class was negotiated ------------- */

static bool rx_mode(VirtioNet *n, uint8_t command, VringChain *chain)
{
    NetFilter *f = &n->filter;
    uint8_t *const modes[] = {&f->promisc, &f->all_multi, &f->all_uni,
                              &f->no_multi, &f->no_uni, &f->no_broadcast};
    uint8_t on;
    bool extra = command > 1; /* the first two are CTRL_RX, the others CTRL_RX_EXTRA */
    if (command >= G_N_ELEMENTS(modes) ||
        !virtio_has(&n->v, VIRTIO_F(extra ? NET_F_CTRL_RX_EXTRA : NET_F_CTRL_RX)) ||
        chain->out_bytes != 1 || !vring_chain_take(chain, &on, 1))
        return false;
    *modes[command] = on != 0;
    return true;
}

/* One half of MAC_TABLE_SET: appends to the table as far as it goes. */
static bool mac_list(VringChain *chain, NetFilter *f, uint32_t *count, uint8_t *overflow)
{
    uint8_t raw[4], mac[6];
    if (!vring_chain_take(chain, raw, sizeof raw))
        return false;
    uint32_t entries = ld_le32(raw), before = f->uni_count + f->multi_count;
    if (entries > chain->out_bytes / sizeof mac)
        return false;
    *overflow = entries > NET_FILTER_MACS - before;
    for (uint32_t i = 0; i < entries && vring_chain_take(chain, mac, sizeof mac); i++)
        if (!*overflow)
            memcpy(f->macs + sizeof mac * (before + i), mac, sizeof mac);
    *count = *overflow ? 0 : entries;
    return true;
}

static bool mac_command(VirtioNet *n, uint8_t command, VringChain *chain)
{
    NetFilter f = n->filter;
    if (command == MAC_ADDR_SET) {
        if (!virtio_has(&n->v, VIRTIO_F(NET_F_CTRL_MAC_ADDR)) ||
            chain->out_bytes != sizeof f.mac || !vring_chain_take(chain, f.mac, sizeof f.mac))
            return false;
    } else {
        f.uni_count = f.multi_count = 0;
        if (command != MAC_TABLE_SET || !virtio_has(&n->v, VIRTIO_F(NET_F_CTRL_RX)) ||
            !mac_list(chain, &f, &f.uni_count, &f.uni_overflow) ||
            !mac_list(chain, &f, &f.multi_count, &f.multi_overflow) || chain->out_bytes)
            return false;
    }
    n->filter = f;
    return true;
}

static bool vlan_command(VirtioNet *n, uint8_t command, VringChain *chain)
{
    uint8_t raw[2];
    if (command > VLAN_DEL || !virtio_has(&n->v, VIRTIO_F(NET_F_CTRL_VLAN)) ||
        chain->out_bytes != sizeof raw || !vring_chain_take(chain, raw, sizeof raw))
        return false;
    unsigned vlan = ld_le16(raw);
    if (vlan >= 4096)
        return false;
    uint32_t bit = UINT32_C(1) << vlan % 32;
    if (command == VLAN_ADD)
        n->filter.vlans[vlan / 32] |= bit;
    else
        n->filter.vlans[vlan / 32] &= ~bit;
    return true;
}

static bool announce_ack(VirtioNet *n, uint8_t command)
{
    if (command || !(n->status & NET_S_ANNOUNCE))
        return false;
    n->status &= (uint16_t)~NET_S_ANNOUNCE;
    return true;
}

static bool mq_command(VirtioNet *n, uint8_t command, VringChain *chain)
{
    uint8_t raw[2];
    if (command || !virtio_has(&n->v, VIRTIO_F(NET_F_MQ)) || chain->out_bytes != sizeof raw ||
        !vring_chain_take(chain, raw, sizeof raw))
        return false;
    unsigned pairs = ld_le16(raw);
    if (!pairs || pairs > n->pairs)
        return false;
    __atomic_store_n(&n->active, (uint16_t)pairs, __ATOMIC_RELAXED);
    return true;
}

uint64_t virtio_net_offload_bits(const VirtioNet *n)
{
    return n->v.accepted &
           (VIRTIO_F(NET_F_GUEST_CSUM) | VIRTIO_F(NET_F_GUEST_TSO4) |
            VIRTIO_F(NET_F_GUEST_TSO6) | VIRTIO_F(NET_F_GUEST_ECN));
}

static bool offloads_command(VirtioNet *n, uint8_t command, VringChain *chain)
{
    uint8_t raw[8];
    if (command || !virtio_has(&n->v, VIRTIO_F(NET_F_CTRL_GUEST_OFFLOADS)) ||
        chain->out_bytes != sizeof raw || !vring_chain_take(chain, raw, sizeof raw) ||
        ld_le64(raw) & ~virtio_net_offload_bits(n))
        return false;
    n->guest_offloads = ld_le64(raw);
    return true;
}

void virtio_net_apply_offloads(VirtioNet *n)
{
    if (!n->header)
        return;
    pthread_mutex_lock(&n->lock);
    uint64_t on = n->guest_offloads;
    pthread_mutex_unlock(&n->lock);
    unsigned features = 0;
    if (on & VIRTIO_F(NET_F_GUEST_CSUM))
        features = NET_CSUM | (on & VIRTIO_F(NET_F_GUEST_TSO4) ? NET_TSO4 : 0u) |
                   (on & VIRTIO_F(NET_F_GUEST_TSO6) ? NET_TSO6 : 0u) |
                   (on & VIRTIO_F(NET_F_GUEST_ECN) ? NET_TSO_ECN : 0u);
    net_set_header(n->backend, 12, features);
}

/* ---- The queue ----------------------------------------------------------------------- */

static bool command(VirtioNet *n, const uint8_t header[2], VringChain *chain)
{
    switch (header[0]) {
    case CLASS_RX: return rx_mode(n, header[1], chain);
    case CLASS_MAC: return mac_command(n, header[1], chain);
    case CLASS_VLAN: return vlan_command(n, header[1], chain);
    case CLASS_ANNOUNCE: return announce_ack(n, header[1]);
    case CLASS_MQ: return mq_command(n, header[1], chain);
    case CLASS_GUEST_OFFLOADS: return offloads_command(n, header[1], chain);
    default: return false;
    }
}

void virtio_net_ctrl_notify(VirtioNet *n, unsigned queue)
{
    VirtioDevice *v = &n->v;
    VringChain chain = {0};
    do {
        virtio_quiet(v, queue, true);
        while (virtio_pop(v, queue, &chain)) {
            uint8_t header[2];
            chain.touched = chain.in_bytes; /* the answer is the last byte */
            uint32_t all = (uint32_t)chain.in_bytes;
            uint8_t *ack = vring_chain_take_last(&chain);
            if (!ack || !vring_chain_take(&chain, header, sizeof header)) {
                virtio_break(v, "a command without a header or room for the answer");
                virtio_push(v, queue, &chain, 0);
                continue;
            }
            pthread_mutex_lock(&n->lock);
            bool done = command(n, header, &chain);
            pthread_mutex_unlock(&n->lock);
            if (done && header[0] == CLASS_GUEST_OFFLOADS)
                virtio_net_apply_offloads(n);
            *ack = done ? OK : ERR;
            virtio_push(v, queue, &chain, all);
            virtio_flush(v, queue);
        }
    } while (virtio_quiet(v, queue, false));
    vring_chain_clear(&chain);
}
