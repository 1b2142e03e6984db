/* SPDX-License-Identifier: MIT */
/*
 * A virtio-net card between its files: virtio_net.c is the device, virtio_net_data.c moves packets,
 * virtio_net_filter.c chooses them, virtio_net_ctrl.c answers the control queue.
 *
 * Queues: receive and transmit in turn for each pair, then the control queue; that is number 2 when
 * the driver knows of one pair only (5.1.2).
 */
#pragma once

#include "devices/virtio/virtio_props.h"

enum {
    NET_F_CSUM = 0,
    NET_F_GUEST_CSUM = 1,
    NET_F_CTRL_GUEST_OFFLOADS = 2,
    NET_F_MTU = 3,
    NET_F_MAC = 5,
    NET_F_GUEST_TSO4 = 7,
    NET_F_GUEST_TSO6 = 8,
    NET_F_GUEST_ECN = 9,
    NET_F_HOST_TSO4 = 11,
    NET_F_HOST_TSO6 = 12,
    NET_F_HOST_ECN = 13,
    NET_F_MRG_RXBUF = 15,
    NET_F_STATUS = 16,
    NET_F_CTRL_VQ = 17,
    NET_F_CTRL_RX = 18,
    NET_F_CTRL_VLAN = 19,
    NET_F_CTRL_RX_EXTRA = 20,
    NET_F_GUEST_ANNOUNCE = 21,
    NET_F_MQ = 22,
    NET_F_CTRL_MAC_ADDR = 23,
    NET_F_SPEED_DUPLEX = 63,
};

enum { NET_S_LINK_UP = 1, NET_S_ANNOUNCE = 2 };

enum {
    NET_MAX_PAIRS = (VIRTIO_MAX_QUEUES - 1) / 2,
    NET_FILTER_MACS = 64, /* of other addresses that a driver may ask for */
    NET_FLOWS = 1024,
    NET_PEEK = 14 + 4 + 40 + 4, /* Ethernet, a VLAN's tag, IPv6, ports */
};

/* What the driver wants to receive; after a reset, everything. */
typedef struct {
    uint8_t mac[6];
    uint8_t promisc, all_multi, all_uni, no_multi, no_uni, no_broadcast;
    uint8_t uni_overflow, multi_overflow; /* it has more than the table takes */
    uint32_t uni_count, multi_count;
    uint8_t macs[NET_FILTER_MACS * 6]; /* first uni_count, then multi_count */
    uint32_t vlans[4096 / 32];
} NetFilter;

typedef struct {
    Device dev;
    VirtioDevice v;
    /* properties */
    VirtioProps props;
    NetBackend *backend; /* NULL: what is sent is lost */
    uint8_t mac[6];
    bool want[64];       /* by feature bit */
    bool gso;
    uint32_t queues, rx_size, tx_size, mtu, speed;
    uint32_t bootindex;
    char *duplex, *tx_mode;

    unsigned pairs;      /* that there are */
    bool header;         /* the back end's packets have virtio-net headers */
    VringChain *chains;  /* rx_size; under lock, of a packet on its way to the guest */
    uint32_t *written;
    uint8_t flows[NET_FLOWS]; /* the pair that last sent of a flow; atomic */

    pthread_mutex_t lock; /* of what follows */
    uint8_t starved[NET_MAX_PAIRS]; /* a packet waits for receive buffers */
    NetFilter filter;
    uint16_t active;      /* pairs in use */
    uint16_t status;
    uint64_t guest_offloads; /* feature bits that are on */
} VirtioNet;

/* The driver is told that it should make itself known on the network again (GUEST_ANNOUNCE), as after
   it was moved there. Any thread. */
void virtio_net_announce(VirtioNet *n);

/* ---- Packets ------------------------------------------------------------------ */

/* NetCard.receive and room. */
bool virtio_net_receive(void *opaque, const struct iovec *iov, unsigned count);
void virtio_net_room(void *opaque);
/* A notification of a queue other than the control queue. */
void virtio_net_rx_notify(VirtioNet *n, unsigned pair);
void virtio_net_tx_notify(VirtioNet *n, unsigned pair);
/* Packets that wait for receive buffers are offered again. */
void virtio_net_unstarve(VirtioNet *n);

/* ---- Choosing: under lock -------------------------------------------------------- */

void virtio_net_filter_reset(NetFilter *f, const uint8_t mac[6]);
/* Of a saved state. */
bool virtio_net_filter_valid(const NetFilter *f);
/* The driver wants the packet that begins with these bytes. */
bool virtio_net_filter_pass(const NetFilter *f, const uint8_t *head, size_t len);
/* A number below NET_FLOWS, the same for both directions. */
unsigned virtio_net_flow(const uint8_t *head, size_t len);

/* ---- Control queue --------------------------------------------------------------- */

void virtio_net_ctrl_notify(VirtioNet *n, unsigned queue);
/* Tells the back end what may come in. Not under lock. */
void virtio_net_apply_offloads(VirtioNet *n);
/* Feature bits of what GUEST_OFFLOADS may switch. */
uint64_t virtio_net_offload_bits(const VirtioNet *n);
